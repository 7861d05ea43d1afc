//! Delta's statistics of a file: from Parquet's when writing, to Arrow arrays when pruning.

use arrow::array::{ArrayRef, Date32Array, Int64Array, StringArray, TimestampMicrosecondArray, UInt64Array};
use arrow::datatypes::{DataType, Schema, TimeUnit};
use chrono::{DateTime, Datelike, NaiveDate, SecondsFormat};
use parquet::basic::{LogicalType, TimeUnit as ParquetTimeUnit};
use parquet::file::metadata::{ColumnChunkMetaData, ParquetMetaData};
use parquet::file::statistics::Statistics;
use serde::Deserialize;
use serde_json::{Map, Value};
use std::sync::Arc;

/// The statistics JSON for an `add`, over the named columns.
///
/// The smallest and largest values are those of Parquet's statistics. It cuts long ones: the
/// smallest to a prefix, the largest to a prefix rounded up, so both remain bounds.
pub(crate) fn of_parquet(metadata: &ParquetMetaData, columns: &[&str]) -> String {
    let (mut min, mut max, mut nulls) = (Map::new(), Map::new(), Map::new());
    for name in columns {
        let Some(column) = ColumnStats::of_parquet(metadata, name) else { continue };
        nulls.insert((*name).to_owned(), column.null_count.into());
        if let (Some(smallest), Some(largest)) = (column.min, column.max) {
            min.insert((*name).to_owned(), smallest);
            max.insert((*name).to_owned(), largest);
        }
    }
    let rows = metadata.file_metadata().num_rows();
    serde_json::json!({"numRecords": rows, "minValues": min, "maxValues": max, "nullCount": nulls})
        .to_string()
}

struct ColumnStats {
    null_count: u64,
    min: Option<Value>,
    max: Option<Value>,
}

impl ColumnStats {
    fn of_parquet(metadata: &ParquetMetaData, name: &str) -> Option<Self> {
        let schema = metadata.file_metadata().schema_descr();
        let leaf = schema.columns().iter().position(|column| column.path().string() == name)?;
        let (mut null_count, mut bounds, mut known) = (0, None, true);
        for group in metadata.row_groups() {
            let column = group.column(leaf);
            let statistics = column.statistics()?;
            let nulls = statistics.null_count_opt()?;
            null_count += nulls;
            match Bounds::of(statistics) {
                Some(more) => bounds = Some(more.union(bounds)),
                // Only nulls have no bounds.
                None => known &= i64::try_from(nulls).ok() == Some(column.num_values()),
            }
        }
        let column = metadata.row_groups().first()?.column(leaf);
        let bounds = bounds.filter(|_| known).and_then(|bounds| bounds.json(column));
        let (min, max) = bounds.unzip();
        Some(Self { null_count, min, max })
    }
}

/// The smallest and largest value of a column.
enum Bounds {
    Number(i64, i64),
    Bytes(Vec<u8>, Vec<u8>),
}

impl Bounds {
    fn of(statistics: &Statistics) -> Option<Self> {
        match statistics {
            Statistics::Int32(s) => Some(Self::Number((*s.min_opt()?).into(), (*s.max_opt()?).into())),
            Statistics::Int64(s) => Some(Self::Number(*s.min_opt()?, *s.max_opt()?)),
            Statistics::ByteArray(s) => {
                Some(Self::Bytes(s.min_opt()?.data().to_vec(), s.max_opt()?.data().to_vec()))
            }
            _ => None,
        }
    }

    fn union(self, other: Option<Self>) -> Self {
        match (self, other) {
            (Self::Number(a, b), Some(Self::Number(c, d))) => Self::Number(a.min(c), b.max(d)),
            (Self::Bytes(a, b), Some(Self::Bytes(c, d))) => Self::Bytes(a.min(c), b.max(d)),
            (bounds, _) => bounds,
        }
    }

    fn json(self, column: &ColumnChunkMetaData) -> Option<(Value, Value)> {
        let logical = column.column_descr().logical_type_ref();
        match (self, logical) {
            (Self::Number(min, max), Some(LogicalType::Date)) => Some((date(min)?, date(max)?)),
            (Self::Number(min, max), Some(LogicalType::Timestamp(time))) => {
                (time.unit == ParquetTimeUnit::MICROS).then_some(())?;
                Some((timestamp(min)?, timestamp(max)?))
            }
            (Self::Number(min, max), _) => Some((min.into(), max.into())),
            (Self::Bytes(min, max), _) => {
                Some((String::from_utf8(min).ok()?.into(), String::from_utf8(max).ok()?.into()))
            }
        }
    }
}

fn date(days: i64) -> Option<Value> {
    let date = arrow::datatypes::Date32Type::to_naive_date_opt(i32::try_from(days).ok()?)?;
    writable(&date).then(|| date.to_string().into())
}

fn timestamp(micros: i64) -> Option<Value> {
    let time = DateTime::from_timestamp_micros(micros)?;
    writable(&time).then(|| time.to_rfc3339_opts(SecondsFormat::Micros, true).into())
}

/// Years beyond four digits have no agreed spelling.
fn writable(date: &impl Datelike) -> bool {
    (0..=9999).contains(&date.year())
}

/// The parsed statistics of one file.
#[derive(Debug, Default, Deserialize)]
#[serde(default, rename_all = "camelCase")]
pub(crate) struct FileStats {
    pub(crate) num_records: Option<u64>,
    min_values: Value,
    max_values: Value,
    null_count: Value,
}

impl FileStats {
    /// Parses statistics; those that cannot be read are as good as none.
    pub(crate) fn parse(json: Option<&str>) -> Self {
        json.and_then(|json| serde_json::from_str(json).ok()).unwrap_or_default()
    }

    /// How many nulls a column has.
    pub(crate) fn nulls(&self, name: &str) -> Option<u64> {
        self.null_count.get(name)?.as_u64()
    }

    /// The smallest and largest date of a column of dates, or of timestamps.
    pub(crate) fn dates(&self, name: &str) -> Option<(NaiveDate, NaiveDate)> {
        let date = |values: &Value| values.get(name)?.as_str()?.get(..10)?.parse().ok();
        Some((date(&self.min_values)?, date(&self.max_values)?))
    }

    /// The smallest and largest time of a column of timestamps, in microseconds.
    pub(crate) fn times(&self, name: &str) -> Option<(i64, i64)> {
        let text = |values: &Value| Some(values.get(name)?.as_str()?.to_owned());
        Some((micros(&text(&self.min_values)?, false)?, micros(&text(&self.max_values)?, true)?))
    }

    /// The smallest and largest text of a column. Long ones are cut, and remain bounds.
    pub(crate) fn texts(&self, name: &str) -> Option<(&str, &str)> {
        Some((self.min_values.get(name)?.as_str()?, self.max_values.get(name)?.as_str()?))
    }

    /// The smallest and largest number of a column.
    pub(crate) fn numbers(&self, name: &str) -> Option<(i64, i64)> {
        Some((self.min_values.get(name)?.as_i64()?, self.max_values.get(name)?.as_i64()?))
    }

    /// Whether there is anything to be known of a column.
    pub(crate) fn has(&self, name: &str) -> bool {
        self.min_values.get(name).is_some() || self.nulls(name).is_some()
    }
}

/// The statistics of one column over many files, as arrays with one element a file.
#[derive(Debug)]
pub(crate) struct ColumnBounds {
    pub(crate) min: ArrayRef,
    pub(crate) max: ArrayRef,
    pub(crate) null_count: ArrayRef,
}

impl ColumnBounds {
    /// Gathers a column's statistics, if its type is one that we prune by and any file has them.
    pub(crate) fn gather(files: &[FileStats], schema: &Schema, name: &str) -> Option<Self> {
        let data_type = schema.field_with_name(name).ok()?.data_type();
        if !files.iter().any(|file| file.has(name)) {
            return None;
        }
        let min = files.iter().map(|file| file.min_values.get(name));
        let max = files.iter().map(|file| file.max_values.get(name));
        let null_count: UInt64Array = files.iter().map(|file| file.nulls(name)).collect();
        Some(Self {
            min: array(data_type, min, false)?,
            max: array(data_type, max, true)?,
            null_count: Arc::new(null_count),
        })
    }
}

fn array<'a>(
    data_type: &DataType,
    values: impl Iterator<Item = Option<&'a Value>> + Clone,
    largest: bool,
) -> Option<ArrayRef> {
    let numbers = values.clone();
    let text = values.map(|value| value.and_then(Value::as_str));
    match data_type {
        DataType::Utf8 | DataType::Utf8View => Some(Arc::new(text.collect::<StringArray>())),
        DataType::Date32 => {
            let days = text.map(|text| {
                let date: NaiveDate = text?.parse().ok()?;
                Some(arrow::datatypes::Date32Type::from_naive_date(date))
            });
            Some(Arc::new(days.collect::<Date32Array>()))
        }
        DataType::Timestamp(TimeUnit::Microsecond, zone) => {
            let times = text.map(|text| micros(text?, largest));
            let times: TimestampMicrosecondArray = times.collect();
            Some(Arc::new(times.with_timezone_opt(zone.clone())))
        }
        DataType::Int64 => {
            let numbers = numbers.map(|number| number.and_then(Value::as_i64));
            Some(Arc::new(numbers.collect::<Int64Array>()))
        }
        _ => None,
    }
}

/// Other engines cut timestamps to milliseconds, the largest as well: it may be 999 µs later.
fn micros(text: &str, largest: bool) -> Option<i64> {
    let micros = DateTime::parse_from_rfc3339(text).ok()?.timestamp_micros();
    Some(if largest && micros % 1000 == 0 { micros + 999 } else { micros })
}
