//! The cells of rows that a query of ours answered, as plain values.

use std::sync::Arc;

use anyhow::{Context, Result};
use arrow::array::{Array, AsArray, RecordBatch};
use arrow::compute::cast;
use arrow::datatypes::{DataType, Date32Type, Field, Int64Type, Schema, TimestampMicrosecondType};
use chrono::{DateTime, NaiveDate, Utc};

/// Rows whose text and bytes are stored plainly, not as views.
pub(crate) struct Cells {
    rows: RecordBatch,
}

impl Cells {
    pub(crate) fn of(rows: &RecordBatch) -> Result<Self> {
        let (mut fields, mut columns) = (vec![], vec![]);
        for (field, column) in rows.schema().fields().iter().zip(rows.columns()) {
            let plain = match field.data_type() {
                DataType::Utf8View => DataType::Utf8,
                DataType::BinaryView => DataType::Binary,
                other => other.clone(),
            };
            columns.push(cast(column, &plain)?);
            fields.push(Field::new(field.name(), plain, true));
        }
        Ok(Self { rows: RecordBatch::try_new(Arc::new(Schema::new(fields)), columns)? })
    }

    pub(crate) fn num_rows(&self) -> usize {
        self.rows.num_rows()
    }

    fn column(&self, name: &str) -> Result<&Arc<dyn Array>> {
        self.rows.column_by_name(name).with_context(|| format!("rows without {name}"))
    }

    pub(crate) fn text(&self, name: &str, row: usize) -> Result<Option<String>> {
        let column =
            self.column(name)?.as_string_opt::<i32>().with_context(|| format!("{name} is no text"))?;
        Ok(column.is_valid(row).then(|| column.value(row).to_owned()))
    }

    pub(crate) fn bytes(&self, name: &str, row: usize) -> Result<Option<Vec<u8>>> {
        let column = self.column(name)?.as_binary_opt::<i32>();
        let column = column.with_context(|| format!("{name} holds no bytes"))?;
        Ok(column.is_valid(row).then(|| column.value(row).to_owned()))
    }

    pub(crate) fn number(&self, name: &str, row: usize) -> Result<Option<u64>> {
        let column = self.column(name)?.as_primitive_opt::<Int64Type>();
        let column = column.with_context(|| format!("{name} is no number"))?;
        Ok(column.is_valid(row).then(|| u64::try_from(column.value(row)).unwrap_or_default()))
    }

    pub(crate) fn time(&self, name: &str, row: usize) -> Result<Option<DateTime<Utc>>> {
        let column = self.column(name)?.as_primitive_opt::<TimestampMicrosecondType>();
        let column = column.with_context(|| format!("{name} is no time"))?;
        Ok(column.is_valid(row).then(|| DateTime::from_timestamp_micros(column.value(row))).flatten())
    }

    pub(crate) fn date(&self, name: &str, row: usize) -> Result<Option<NaiveDate>> {
        let column = self.column(name)?.as_primitive_opt::<Date32Type>();
        let column = column.with_context(|| format!("{name} is no date"))?;
        Ok(column.is_valid(row).then(|| column.value_as_date(row)).flatten())
    }
}
