//! Rows to Parquet files, with the statistics that Delta keeps of each.

mod chunk;
mod hybrid;
mod sorted;
#[cfg(test)]
mod tests;
mod truncated;

use std::collections::BTreeMap;

use anyhow::{Context, Result, bail};
use arrow::array::{Array, ArrayAccessor, ArrayIter, AsArray, BooleanArray, RecordBatch, UInt32Array};
use arrow::compute::{filter_record_batch, interleave_record_batch};
use arrow::datatypes::{Date32Type, SchemaRef, TimestampMicrosecondType, UInt32Type};
use bytes::Bytes;
use chrono::Utc;
use parquet::arrow::arrow_reader::ParquetRecordBatchReaderBuilder;
use parquet::arrow::arrow_writer::ArrowWriterOptions;
use parquet::arrow::{ARROW_SCHEMA_META_KEY, ArrowSchemaConverter, ArrowWriter, encode_arrow_schema};
use parquet::basic::{Compression, Encoding, ZstdLevel};
use parquet::file::metadata::{KeyValue, ParquetMetaData, SortingColumn};
use parquet::file::properties::{EnabledStatistics, WriterProperties, WriterPropertiesBuilder};
use parquet::schema::types::ColumnPath;
use uuid::Uuid;

use super::action::Add;
use super::file_stats;
use super::tables::Kind;
use super::views::{as_stored, with_views};
use crate::event::schema::{EVENT_DATE, EVENT_TIME};
use crate::event::{as_texts, with_texts};

/// CloudTrail's text repeats itself so much that level 1 takes most of the gain, and encoding is
/// the dearest step after inflating.
const ZSTD_LEVEL: i32 = 1;

/// Small enough to skip much of a file, large enough for dictionaries to pay.
pub(crate) const ROW_GROUP_ROWS: usize = 128 * 1024;

/// How many sorted rows are gathered at a time: bounds the second copy that sorting makes.
pub(crate) const GATHER_ROWS: usize = 8 * 1024;

/// Rows of a page, at most. DataFusion asks for 8,192 at a time, so that no batch is of two pages.
const PAGE_ROWS: usize = 2 * GATHER_ROWS;

/// Columns whose values are scattered over all times, so that only a bloom filter tells where they
/// are not. The writer begins with a filter for as many values as a row group has rows, and folds it down to
/// what there are.
pub(crate) const BLOOM_COLUMNS: [&str; 3] = ["eventid", "useridentity.accesskeyid", "sourceipaddress"];

/// How often a bloom filter may err. A query reads one block of it, however large it is, and where it errs a
/// column of ids: 20 bytes a row that hardly compress.
const BLOOM_ERRORS: f64 = 0.01;

/// Columns in which (nearly) every value is new: a dictionary only costs time, and the bounds of one page are those
/// of all.
const IDS: [&str; 2] = ["eventid", "requestid"];

/// The event's time as CloudTrail writes it. Rows are in its order, so that a text begins as the one before, of which
/// zstd makes a third of what the codes of a dictionary take.
const TIME_TEXT: &str = "eventtime";

/// Half of the bytes of a page of ids or times, since the writer ends a page with the second piece that has as many:
/// of an event that was found by something else, whole pages are read to show it. Larger ones hardly compress better.
const SMALL_PAGE: usize = 32 << 10;

/// A Parquet file in memory and the action that would add it.
#[derive(Debug)]
pub(crate) struct Encoded {
    pub(crate) add: Add,
    pub(crate) bytes: Bytes,
}

/// Splits events by date and sorts each date's by time: one file a date.
pub(crate) fn encode_events(batches: &[RecordBatch]) -> Result<Vec<Encoded>> {
    let Some(first) = batches.first() else { return Ok(vec![]) };
    let date_column = first.schema().index_of(EVENT_DATE)?;
    let stored: Vec<usize> = (0..first.num_columns()).filter(|column| *column != date_column).collect();
    let mut stored = batches.iter().map(|batch| batch.project(&stored)).collect::<Result<Vec<_>, _>>()?;
    if stored.len() > 1 {
        // Each has codes of its own.
        stored = stored.iter().map(as_texts).collect();
    }
    let mut files = vec![];
    for (date, mut rows) in rows_by_date(batches)? {
        rows.sort_unstable();
        let value = date.map(|date| date.to_string());
        files.push(encode_sorted(&stored, &rows, value)?);
    }
    Ok(files)
}

/// What the rows of `events` are sorted by: rows without a time come last.
pub(crate) type SortKey = (bool, i64);

/// The sort keys of a batch's rows.
pub(crate) fn sort_keys(batch: &RecordBatch) -> Result<Vec<SortKey>> {
    let times = batch.column_by_name(EVENT_TIME).context("events without event_time")?;
    let times = times.as_primitive_opt::<TimestampMicrosecondType>().context("event_time is no timestamp")?;
    let key = |row| if times.is_valid(row) { (false, times.value(row)) } else { (true, 0) };
    Ok((0..batch.num_rows()).map(key).collect())
}

/// A row's place in the sorted file: equal times keep their order.
type Row = (SortKey, usize, usize);

fn rows_by_date(batches: &[RecordBatch]) -> Result<BTreeMap<Option<chrono::NaiveDate>, Vec<Row>>> {
    let mut days: BTreeMap<Option<i32>, Vec<Row>> = BTreeMap::new();
    for (index, batch) in batches.iter().enumerate() {
        let dates = batch.column_by_name(EVENT_DATE).context("events without event_date")?;
        let dates = dates.as_primitive_opt::<Date32Type>().context("event_date is no date")?;
        for (row, key) in sort_keys(batch)?.into_iter().enumerate() {
            let day = dates.is_valid(row).then(|| dates.value(row));
            days.entry(day).or_default().push((key, index, row));
        }
    }
    let date = |day: Option<i32>| day.and_then(Date32Type::to_naive_date_opt);
    Ok(days.into_iter().map(|(day, rows)| (date(day), rows)).collect())
}

fn encode_sorted(batches: &[RecordBatch], rows: &[Row], date: Option<String>) -> Result<Encoded> {
    let directory = format!("{EVENT_DATE}={}/", date.as_deref().unwrap_or("__HIVE_DEFAULT_PARTITION__"));
    let partition = BTreeMap::from([(EVENT_DATE.to_owned(), date)]);
    let schema = with_texts(&batches[0].schema());
    let [batch] = batches else {
        let gathered = rows.chunks(GATHER_ROWS).map(|rows| gather(batches, rows));
        return encode(Kind::Events, &schema, gathered, &directory, partition);
    };
    let places: UInt32Array = rows.iter().map(|(_, _, row)| u32::try_from(*row).ok()).collect();
    let (bytes, metadata) = sorted::write(batch, &places, &schema, properties(Kind::Events, &schema)?)?;
    encoded(Kind::Events, bytes, &metadata, &directory, partition)
}

/// The rows in the order that `rows` has.
fn gather(batches: &[RecordBatch], rows: &[Row]) -> Result<RecordBatch> {
    let places: Vec<(usize, usize)> = rows.iter().map(|(_, batch, row)| (*batch, *row)).collect();
    let batches: Vec<&RecordBatch> = batches.iter().collect();
    Ok(interleave_record_batch(&batches, &places)?)
}

/// Encodes rows of one of the tables that have no partitions.
pub(crate) fn encode_rows(kind: Kind, rows: RecordBatch) -> Result<Encoded> {
    let schema = rows.schema();
    encode(kind, &schema, [Ok(rows)].into_iter(), "", BTreeMap::new())
}

/// Encodes a file anew with only the rows that `wanted` chooses, or to nothing if it chooses none.
pub(crate) fn only_rows(
    kind: Kind,
    file: Bytes,
    add: &Add,
    wanted: impl Fn(&RecordBatch) -> Result<BooleanArray>,
) -> Result<Option<Encoded>> {
    let reader = ParquetRecordBatchReaderBuilder::try_new_with_options(file, as_stored())?;
    let schema = reader.schema().clone();
    let mut kept = vec![];
    for batch in reader.build()? {
        let batch = batch?;
        let wanted = wanted(&batch)?;
        if wanted.has_true() {
            kept.push(filter_record_batch(&batch, &wanted)?);
        }
    }
    if kept.is_empty() {
        return Ok(None);
    }
    let directory = add.path.rfind('/').map_or("", |slash| &add.path[..=slash]);
    let kept = kept.into_iter().map(Ok);
    Ok(Some(encode(kind, &schema, kept, directory, add.partition_values.clone())?))
}

/// Chooses the rows whose text in `column` is none that `is_unwanted` knows.
pub(crate) fn unless(
    batch: &RecordBatch,
    column: &'static str,
    is_unwanted: impl Fn(&str) -> bool,
) -> Result<BooleanArray> {
    let texts = batch.column_by_name(column).context(column)?;
    let texts = texts.as_string_opt::<i32>().context(column)?;
    Ok(texts.iter().map(|text| Some(!text.is_some_and(&is_unwanted))).collect())
}

fn encode(
    kind: Kind,
    schema: &SchemaRef,
    batches: impl Iterator<Item = Result<RecordBatch>>,
    directory: &str,
    partition_values: BTreeMap<String, Option<String>>,
) -> Result<Encoded> {
    let mut bytes = Vec::new();
    let mut writer = ArrowWriter::try_new_with_options(&mut bytes, schema.clone(), options(kind, schema)?)?;
    for batch in batches {
        writer.write(&batch?)?;
    }
    let metadata = writer.close()?;
    encoded(kind, bytes, &metadata, directory, partition_values)
}

fn encoded(
    kind: Kind,
    bytes: Vec<u8>,
    metadata: &ParquetMetaData,
    directory: &str,
    partition_values: BTreeMap<String, Option<String>>,
) -> Result<Encoded> {
    let path = format!("{directory}part-{}.parquet", Uuid::new_v4());
    let add = add(kind, path, partition_values, bytes.len() as u64, metadata);
    check_rows(metadata)?;
    Ok(Encoded { add, bytes: bytes.into() })
}

/// The action that adds a file that was written.
pub(crate) fn add(
    kind: Kind,
    path: String,
    partition_values: BTreeMap<String, Option<String>>,
    size: u64,
    metadata: &ParquetMetaData,
) -> Add {
    Add {
        path,
        partition_values,
        size,
        modification_time: Utc::now().timestamp_millis(),
        data_change: true,
        stats: Some(file_stats::of_parquet(metadata, kind.stats_columns())),
    }
}

fn check_rows(metadata: &ParquetMetaData) -> Result<()> {
    match metadata.file_metadata().num_rows() {
        0 => bail!("a Parquet file without rows"),
        _ => Ok(()),
    }
}

/// How the files of a table are written.
pub(crate) fn options(kind: Kind, schema: &SchemaRef) -> Result<ArrowWriterOptions> {
    let properties = properties(kind, schema)?;
    Ok(ArrowWriterOptions::new().with_properties(properties).with_skip_arrow_metadata(true))
}

fn properties(kind: Kind, schema: &SchemaRef) -> Result<WriterProperties> {
    let builder = WriterProperties::builder()
        .set_created_by(concat!("trailq version ", env!("CARGO_PKG_VERSION")).to_owned())
        .set_compression(Compression::ZSTD(ZstdLevel::try_new(ZSTD_LEVEL)?))
        .set_max_row_group_row_count(Some(ROW_GROUP_ROWS))
        .set_data_page_row_count_limit(PAGE_ROWS);
    let builder = match kind {
        Kind::Events => event_properties(builder, schema)?,
        Kind::LogFiles | Kind::Quarantine | Kind::Digests => builder,
    };
    let read_as = encode_arrow_schema(&with_views(schema));
    let read_as = KeyValue::new(ARROW_SCHEMA_META_KEY.to_owned(), read_as);
    Ok(builder.set_key_value_metadata(Some(vec![read_as])).build())
}

fn event_properties(
    mut builder: WriterPropertiesBuilder,
    schema: &SchemaRef,
) -> Result<WriterPropertiesBuilder> {
    for name in IDS.into_iter().chain([TIME_TEXT]) {
        // These are as long as each other, which takes four bytes of each unless the lengths stand apart.
        builder = builder
            .set_column_dictionary_enabled(name.into(), false)
            .set_column_encoding(name.into(), Encoding::DELTA_LENGTH_BYTE_ARRAY)
            .set_column_data_page_size_limit(name.into(), SMALL_PAGE);
    }
    for name in IDS {
        builder = builder.set_column_statistics_enabled(name.into(), EnabledStatistics::Chunk);
    }
    for name in BLOOM_COLUMNS {
        builder = builder
            .set_column_bloom_filter_max_ndv(path(name), ROW_GROUP_ROWS as u64)
            .set_column_bloom_filter_fpp(path(name), BLOOM_ERRORS);
    }
    // Sorted numbers: their differences are nearly nothing.
    builder = builder
        .set_column_dictionary_enabled(EVENT_TIME.into(), false)
        .set_column_encoding(EVENT_TIME.into(), Encoding::DELTA_BINARY_PACKED);
    let leaves = ArrowSchemaConverter::new().convert(schema)?;
    let by_time = leaves.columns().iter().position(|leaf| leaf.path().string() == EVENT_TIME);
    let by_time = i32::try_from(by_time.context("events without event_time")?)?;
    let order = SortingColumn { column_idx: by_time, descending: false, nulls_first: false };
    Ok(builder.set_sorting_columns(Some(vec![order])))
}

fn path(dotted: &str) -> ColumnPath {
    ColumnPath::new(dotted.split('.').map(ToOwned::to_owned).collect())
}

/// The columns of a table's rows in a Parquet file that was just written or read.
pub(crate) fn read_columns(file: Bytes, names: &[&str]) -> Result<Vec<RecordBatch>> {
    let reader = ParquetRecordBatchReaderBuilder::try_new_with_options(file, as_stored())?;
    let mask = parquet::arrow::ProjectionMask::columns(reader.parquet_schema(), names.iter().copied());
    Ok(reader.with_projection(mask).build()?.collect::<Result<Vec<_>, _>>()?)
}

/// Checks that the `log_file` of every row is one that `is_listed` knows.
pub(crate) fn check_provenance(batches: &[RecordBatch], is_listed: impl Fn(&str) -> bool) -> Result<()> {
    for batch in batches {
        let names = batch.column_by_name("log_file").context("events without log_file")?;
        let listed = match names.as_dictionary_opt::<UInt32Type>() {
            Some(codes) => {
                let names = codes.values().as_string_opt::<i32>().context("log_file is no text")?;
                all_runs(codes.keys(), |code| is_listed(names.value(code as usize)))
            }
            None => all_runs(names.as_string_opt::<i32>().context("log_file is no text")?, &is_listed),
        };
        if !listed {
            bail!("a row comes from no log file of its batch");
        }
    }
    Ok(())
}

/// Whether `is_right` says so of each value; equal neighbours are asked for once: the rows of a file stand together.
fn all_runs<A: ArrayAccessor>(values: A, is_right: impl Fn(A::Item) -> bool) -> bool
where
    A::Item: PartialEq + Copy,
{
    let mut last = None;
    ArrayIter::new(values).all(|value| {
        let right = value.is_some() && (value == last || value.is_some_and(&is_right));
        last = value;
        right
    })
}
