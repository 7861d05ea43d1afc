//! Parquet, for the next tool: zstd, one row group after another as the rows come.

use std::io::Write;

use anyhow::{Context, Result};
use arrow::datatypes::SchemaRef;
use arrow::record_batch::RecordBatch;
use parquet::arrow::ArrowWriter;
use parquet::basic::{Compression, ZstdLevel};
use parquet::file::properties::WriterProperties;

pub(super) struct Parquet<W: Write + Send>(ArrowWriter<W>);

impl<W: Write + Send> Parquet<W> {
    pub(super) fn begin(schema: &SchemaRef, out: W) -> Result<Self> {
        let properties =
            WriterProperties::builder().set_compression(Compression::ZSTD(ZstdLevel::default())).build();
        let writer = ArrowWriter::try_new(out, schema.clone(), Some(properties))
            .context("these columns cannot be written as Parquet")?;
        Ok(Self(writer))
    }

    pub(super) fn batch(&mut self, batch: &RecordBatch) -> Result<()> {
        self.0.write(batch).context("writing the answer as Parquet")
    }

    pub(super) fn finish(self) -> Result<()> {
        self.0.close().context("writing the answer as Parquet")?;
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use bytes::Bytes;
    use parquet::arrow::arrow_reader::ParquetRecordBatchReader;
    use serde_json::json;

    use super::super::{Format, Options, write};
    use crate::sql::Answer;

    #[tokio::test]
    async fn what_was_written_is_read_back() {
        let batch = crate::sql::testing::events(&[json!({"eventname": "x", "resources": [{"arn": "y"}]})]);
        let answer = Answer::of(batch.clone());
        let mut file = Vec::new();
        write(answer, &Options::plain(Format::Parquet), &mut file).await.unwrap();
        let read: Vec<_> = ParquetRecordBatchReader::try_new(Bytes::from(file), 10).unwrap().collect();
        assert_eq!(read[0].as_ref().unwrap().columns(), batch.columns());
    }
}
