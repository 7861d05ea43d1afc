//! Delta's statistics of a file: from Parquet's when writing, to Arrow arrays when pruning.

use std::borrow::Cow;
use std::fmt::{self, Formatter};
use std::sync::Arc;

use arrow::array::{ArrayRef, Date32Array, Int64Array, StringArray, TimestampMicrosecondArray, UInt64Array};
use arrow::datatypes::{DataType, Schema, TimeUnit};
use chrono::{DateTime, Datelike, NaiveDate, SecondsFormat};
use parquet::basic::{LogicalType, TimeUnit as ParquetTimeUnit};
use parquet::file::metadata::{ColumnChunkMetaData, ParquetMetaData};
use parquet::file::statistics::Statistics;
use serde::de::{Deserialize, Deserializer, IgnoredAny, MapAccess, SeqAccess, Visitor};
use serde_json::{Map, Value};

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

/// The parsed statistics of one file. They borrow from the JSON, since a lake has tens of thousands of
/// files, and each of them is looked at whenever the lake is opened.
#[derive(Debug, Default, serde::Deserialize)]
#[serde(default, rename_all = "camelCase")]
pub(crate) struct FileStats<'a> {
    pub(crate) num_records: Option<u64>,
    #[serde(borrow)]
    min_values: Values<'a>,
    #[serde(borrow)]
    max_values: Values<'a>,
    #[serde(borrow)]
    null_count: Values<'a>,
}

impl<'a> FileStats<'a> {
    /// Parses statistics; those that cannot be read are as good as none.
    pub(crate) fn parse(json: Option<&'a str>) -> Self {
        json.and_then(|json| serde_json::from_str(json).ok()).unwrap_or_default()
    }

    /// How many nulls a column has.
    pub(crate) fn nulls(&self, name: &str) -> Option<u64> {
        self.null_count.number(name)?.try_into().ok()
    }

    /// The smallest and largest date of a column of dates, or of timestamps.
    pub(crate) fn dates(&self, name: &str) -> Option<(NaiveDate, NaiveDate)> {
        let date = |values: &Values| values.text(name)?.get(..10)?.parse().ok();
        Some((date(&self.min_values)?, date(&self.max_values)?))
    }

    /// The smallest and largest time of a column of timestamps, in microseconds.
    pub(crate) fn times(&self, name: &str) -> Option<(i64, i64)> {
        Some((micros(self.min_values.text(name)?, false)?, micros(self.max_values.text(name)?, true)?))
    }

    /// The smallest and largest text of a column. Long ones are cut, and remain bounds.
    pub(crate) fn texts(&self, name: &str) -> Option<(&str, &str)> {
        Some((self.min_values.text(name)?, self.max_values.text(name)?))
    }

    /// The smallest and largest number of a column.
    pub(crate) fn numbers(&self, name: &str) -> Option<(i64, i64)> {
        Some((self.min_values.number(name)?, self.max_values.number(name)?))
    }

    /// Whether there is anything to be known of a column.
    pub(crate) fn has(&self, name: &str) -> bool {
        self.min_values.get(name).is_some() || self.nulls(name).is_some()
    }
}

/// Values by the names of columns. They are few: looking through them is quicker than any map.
#[derive(Debug, Default)]
struct Values<'a>(Vec<(Cow<'a, str>, Bound<'a>)>);

impl Values<'_> {
    fn get(&self, name: &str) -> Option<&Bound<'_>> {
        self.0.iter().find(|(column, _)| column == name).map(|(_, value)| value)
    }

    /// The same; it looks first where the name was in another file, since most name their columns in the same order.
    fn get_near(&self, name: &str, place: &mut usize) -> Option<&Bound<'_>> {
        if self.0.get(*place).is_none_or(|(column, _)| column != name) {
            *place = self.0.iter().position(|(column, _)| column == name)?;
        }
        Some(&self.0[*place].1)
    }

    fn text(&self, name: &str) -> Option<&str> {
        self.get(name)?.text()
    }

    fn number(&self, name: &str) -> Option<i64> {
        self.get(name)?.number()
    }
}

/// A value of the kinds that we compare by.
#[derive(Debug)]
enum Bound<'a> {
    Text(Cow<'a, str>),
    Number(i64),
    Other,
}

impl Bound<'_> {
    fn text(&self) -> Option<&str> {
        match self {
            Self::Text(text) => Some(text),
            Self::Number(_) | Self::Other => None,
        }
    }

    fn number(&self) -> Option<i64> {
        match self {
            Self::Number(number) => Some(*number),
            Self::Text(_) | Self::Other => None,
        }
    }
}

/// A name that is borrowed unless an escape is in it.
#[derive(serde::Deserialize)]
struct Name<'a>(#[serde(borrow)] Cow<'a, str>);

impl<'de: 'a, 'a> Deserialize<'de> for Values<'a> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct OfMap;
        impl<'de> Visitor<'de> for OfMap {
            type Value = Values<'de>;

            fn expecting(&self, f: &mut Formatter) -> fmt::Result {
                f.write_str("values by column")
            }

            fn visit_unit<E>(self) -> Result<Self::Value, E> {
                Ok(Values::default())
            }

            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Self::Value, A::Error> {
                let mut values = Vec::with_capacity(16);
                while let Some((Name(name), value)) = map.next_entry()? {
                    values.push((name, value));
                }
                Ok(Values(values))
            }
        }
        deserializer.deserialize_any(OfMap)
    }
}

impl<'de: 'a, 'a> Deserialize<'de> for Bound<'a> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct OfAny;
        impl<'de> Visitor<'de> for OfAny {
            type Value = Bound<'de>;

            fn expecting(&self, f: &mut Formatter) -> fmt::Result {
                f.write_str("a value")
            }

            fn visit_borrowed_str<E>(self, text: &'de str) -> Result<Self::Value, E> {
                Ok(Bound::Text(Cow::Borrowed(text)))
            }

            fn visit_str<E>(self, text: &str) -> Result<Self::Value, E> {
                Ok(Bound::Text(Cow::Owned(text.to_owned())))
            }

            fn visit_i64<E>(self, number: i64) -> Result<Self::Value, E> {
                Ok(Bound::Number(number))
            }

            fn visit_u64<E>(self, number: u64) -> Result<Self::Value, E> {
                Ok(i64::try_from(number).map_or(Bound::Other, Bound::Number))
            }

            fn visit_f64<E>(self, _: f64) -> Result<Self::Value, E> {
                Ok(Bound::Other)
            }

            fn visit_bool<E>(self, _: bool) -> Result<Self::Value, E> {
                Ok(Bound::Other)
            }

            fn visit_unit<E>(self) -> Result<Self::Value, E> {
                Ok(Bound::Other)
            }

            fn visit_seq<A: SeqAccess<'de>>(self, mut items: A) -> Result<Self::Value, A::Error> {
                while items.next_element::<IgnoredAny>()?.is_some() {}
                Ok(Bound::Other)
            }

            // The members of a struct, which other engines write.
            fn visit_map<A: MapAccess<'de>>(self, mut members: A) -> Result<Self::Value, A::Error> {
                while members.next_entry::<IgnoredAny, IgnoredAny>()?.is_some() {}
                Ok(Bound::Other)
            }
        }
        deserializer.deserialize_any(OfAny)
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
        let (mut low, mut high, mut none) = (0, 0, 0);
        let min = files.iter().map(move |file| file.min_values.get_near(name, &mut low));
        let max = files.iter().map(move |file| file.max_values.get_near(name, &mut high));
        let nulls = files.iter().map(move |file| file.null_count.get_near(name, &mut none));
        let nulls = nulls.map(|nulls| u64::try_from(nulls?.number()?).ok());
        let null_count: UInt64Array = nulls.collect();
        Some(Self {
            min: array(data_type, min, false)?,
            max: array(data_type, max, true)?,
            null_count: Arc::new(null_count),
        })
    }
}

fn array<'a>(
    data_type: &DataType,
    values: impl Iterator<Item = Option<&'a Bound<'a>>> + Clone,
    largest: bool,
) -> Option<ArrayRef> {
    let numbers = values.clone();
    let text = values.map(|value| value.and_then(Bound::text));
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
            let numbers = numbers.map(|number| number.and_then(Bound::number));
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn statistics_are_read_whatever_else_is_in_them() {
        let json = r#"{"numRecords":3,"tightBounds":true,
            "minValues":{"event_time":"2026-01-05T00:00:00.000Z","a\u0062":"x\ty","user":{"id":"1"},"n":-2,"f":1.5},
            "maxValues":{"event_time":"2026-01-05T00:00:01.000Z","ab":"z","user":{"id":"2"},"n":7,"l":[1]},
            "nullCount":{"event_time":0,"ab":1,"user":{"id":0},"n":null}}"#;
        let stats = FileStats::parse(Some(json));
        assert_eq!((stats.num_records, stats.nulls("ab"), stats.nulls("n")), (Some(3), Some(1), None));
        assert_eq!((stats.texts("ab"), stats.numbers("n")), (Some(("x\ty", "z")), Some((-2, 7))));
        assert_eq!((stats.texts("user"), stats.numbers("f"), stats.texts("none")), (None, None, None));
        let (first, last) = stats.times("event_time").unwrap();
        assert_eq!(last - first, 1_000_999, "the last may have been cut");
        assert_eq!(stats.dates("event_time").unwrap().0.to_string(), "2026-01-05");
        assert!(stats.has("user") && !stats.has("l"));
    }

    #[test]
    fn what_is_no_statistics_is_none() {
        for json in [None, Some(""), Some("7"), Some("{\"numRecords\":\"x\"}")] {
            assert_eq!(FileStats::parse(json).num_records, None);
        }
        let empty = FileStats::parse(Some(r#"{"numRecords":1,"minValues":null}"#));
        assert_eq!((empty.num_records, empty.has("a")), (Some(1), false));
    }
}
