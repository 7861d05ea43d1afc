//! Parquet files of a table as streams: some rows at a time, however large the file is.

use std::collections::BTreeMap;
use std::ops::Range;
use std::sync::Arc;

use anyhow::{Context, Result};
use arrow::array::RecordBatch;
use arrow::datatypes::SchemaRef;
use bytes::Bytes;
use deltalake::logstore::object_store::buffered::BufWriter;
use deltalake::logstore::object_store::{ObjectStore, ObjectStoreExt, path::Path};
use futures::FutureExt;
use futures::future::BoxFuture;
use parquet::arrow::arrow_reader::ArrowReaderOptions;
use parquet::arrow::async_reader::{AsyncFileReader, ParquetRecordBatchStream};
use parquet::arrow::{AsyncArrowWriter, ParquetRecordBatchStreamBuilder, ProjectionMask};
use parquet::errors::ParquetError;
use parquet::file::metadata::{ParquetMetaData, ParquetMetaDataReader};
use tracing::warn;
use uuid::Uuid;

use super::action::Add;
use super::encode;
use super::table::{DataFile, Table};
use super::tables::Kind;
use super::views::as_stored;

/// Up to this size a file is fetched by one request.
pub(crate) const SMALL_FILE: u64 = 4 << 20;

/// What is asked for first of a larger file: most footers are within it.
const FOOTER_HINT: usize = 64 << 10;

/// Bytes of a part of an upload; two of them may be on their way.
const PART_BYTES: usize = 8 << 20;

/// The rows of a file, to be read in batches.
pub(crate) type Rows = ParquetRecordBatchStream<Source>;

/// A file of a table, for the Parquet reader.
pub(crate) struct Source {
    store: Arc<dyn ObjectStore>,
    path: Path,
    size: u64,
    /// All of it, if it is small.
    whole: Option<Bytes>,
}

impl Source {
    async fn open(table: &Table, file: &DataFile) -> Result<Self> {
        let store = table.store();
        let whole = if file.size <= SMALL_FILE { Some(table.get_file(&file.path).await?) } else { None };
        let size = whole.as_ref().map_or(file.size, |bytes| bytes.len() as u64);
        Ok(Self { store, path: file.path.clone(), size, whole })
    }

    fn slice(bytes: &Bytes, range: Range<u64>) -> Result<Bytes, ParquetError> {
        let bounds = usize::try_from(range.start).ok().zip(usize::try_from(range.end).ok());
        let within = bounds.filter(|(start, end)| start <= end && *end <= bytes.len());
        let (start, end) =
            within.ok_or_else(|| ParquetError::EOF(format!("{range:?} is not in the file")))?;
        Ok(bytes.slice(start..end))
    }
}

impl AsyncFileReader for Source {
    fn get_bytes(&mut self, range: Range<u64>) -> BoxFuture<'_, Result<Bytes, ParquetError>> {
        async move {
            match &self.whole {
                Some(bytes) => Self::slice(bytes, range),
                None => Ok(self.store.get_range(&self.path, range).await.map_err(external)?),
            }
        }
        .boxed()
    }

    fn get_byte_ranges(
        &mut self,
        ranges: Vec<Range<u64>>,
    ) -> BoxFuture<'_, Result<Vec<Bytes>, ParquetError>> {
        async move {
            match &self.whole {
                Some(bytes) => ranges.into_iter().map(|range| Self::slice(bytes, range)).collect(),
                None => Ok(self.store.get_ranges(&self.path, &ranges).await.map_err(external)?),
            }
        }
        .boxed()
    }

    fn get_metadata<'a>(
        &'a mut self,
        options: Option<&'a ArrowReaderOptions>,
    ) -> BoxFuture<'a, Result<Arc<ParquetMetaData>, ParquetError>> {
        async move {
            let reader = ParquetMetaDataReader::new().with_arrow_reader_options(options);
            let size = self.size;
            let metadata = reader.with_prefetch_hint(Some(FOOTER_HINT)).load_and_finish(self, size).await?;
            Ok(Arc::new(metadata))
        }
        .boxed()
    }
}

fn external(error: deltalake::logstore::object_store::Error) -> ParquetError {
    ParquetError::External(Box::new(error))
}

/// Opens a file of a table: its footer is read, and it is ready for its rows to be.
pub(crate) async fn open(table: &Table, file: &DataFile) -> Result<ParquetRecordBatchStreamBuilder<Source>> {
    let source = Source::open(table, file).await?;
    let builder = ParquetRecordBatchStreamBuilder::new_with_options(source, as_stored()).await;
    builder.with_context(|| format!("reading {} of {table}", file.path))
}

/// The rows of a file: of some columns, or of all if none is named.
pub(crate) async fn rows(
    table: &Table,
    file: &DataFile,
    columns: &[&str],
    batch_size: usize,
) -> Result<Rows> {
    let mut builder = open(table, file).await?;
    if !columns.is_empty() {
        let mask = ProjectionMask::columns(builder.parquet_schema(), columns.iter().copied());
        builder = builder.with_projection(mask);
    }
    Ok(builder.with_batch_size(batch_size).build()?)
}

/// A file of a table that is being written; no commit names it yet.
pub(crate) struct FileWriter {
    table: Arc<Table>,
    kind: Kind,
    path: String,
    partition_values: BTreeMap<String, Option<String>>,
    writer: AsyncArrowWriter<BufWriter>,
    rows: u64,
}

impl FileWriter {
    /// Begins a file in the directory of a partition, which ends in a slash, or in the table's own, which is empty.
    pub(crate) fn create(
        table: &Arc<Table>,
        kind: Kind,
        schema: &SchemaRef,
        directory: &str,
        partition_values: BTreeMap<String, Option<String>>,
    ) -> Result<Self> {
        let path = format!("{directory}part-{}.parquet", Uuid::new_v4());
        let store = BufWriter::with_capacity(table.store(), Path::from(path.as_str()), PART_BYTES);
        let (store, options) = (store.with_max_concurrency(2), encode::options(kind, schema)?);
        let writer = AsyncArrowWriter::try_new_with_options(store, schema.clone(), options)?;
        Ok(Self { table: table.clone(), kind, path, partition_values, writer, rows: 0 })
    }

    /// Begins a file in the partition of another.
    pub(crate) fn beside(
        table: &Arc<Table>,
        kind: Kind,
        schema: &SchemaRef,
        other: &DataFile,
    ) -> Result<Self> {
        let path = other.path.as_ref();
        let directory = path.rfind('/').map_or("", |slash| &path[..=slash]);
        Self::create(table, kind, schema, directory, other.partition_values.iter().cloned().collect())
    }

    /// Appends rows.
    pub(crate) async fn write(&mut self, rows: &RecordBatch) -> Result<()> {
        self.rows += rows.num_rows() as u64;
        let written = self.writer.write(rows).await;
        written.with_context(|| format!("writing {} of {}", self.path, self.table))
    }

    /// How many rows it has so far.
    pub(crate) fn num_rows(&self) -> u64 {
        self.rows
    }

    /// Completes the file. After an error nothing is there, or something that VACUUM removes.
    pub(crate) async fn finish(mut self) -> Result<Add> {
        let finished = self.writer.finish().await;
        let metadata = finished.with_context(|| format!("writing {} of {}", self.path, self.table))?;
        let size = self.writer.bytes_written() as u64;
        self.table.persist(&Path::from(self.path.as_str())).await?;
        Ok(encode::add(self.kind, self.path, self.partition_values, size, &metadata))
    }

    /// Gives the file up.
    pub(crate) async fn abort(self) {
        if let Err(error) = self.writer.into_inner().abort().await {
            warn!(table = self.table.name, path = self.path, %error, "could not give up an unused file");
        }
    }
}
