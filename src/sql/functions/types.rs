//! Trino's types: their text, as a CAST writes it and `typeof` prints it, and the Arrow type that holds them.

use std::fmt::{self, Display};
use std::sync::Arc;

use arrow::datatypes::{DECIMAL128_MAX_PRECISION, DataType, Field, IntervalUnit, TimeUnit};
use datafusion::common::{DataFusionError, plan_datafusion_err};

use super::arrays::function::map_of;

mod parser;
mod type_of;

pub(super) use type_of::scalar;

/// A type of Trino.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Type {
    Unknown,
    Boolean,
    Tinyint,
    Smallint,
    Integer,
    Bigint,
    Real,
    Double,
    Decimal(u8, i8),
    Varchar(Option<usize>),
    Char(usize),
    Varbinary,
    Date,
    Time(u8),
    Timestamp(u8),
    TimestampWithTimeZone(u8),
    IntervalYearToMonth,
    IntervalDayToSecond,
    Json,
    IpAddress,
    IpPrefix,
    Uuid,
    Array(Box<Type>),
    Map(Box<Type>, Box<Type>),
    Row(Vec<(Option<String>, Type)>),
}

impl Type {
    /// Reads a type's text: Trino's spelling, or Hive's (`string`, `struct<a:int>`), which Athena's DDL has.
    pub(super) fn parse(text: &str) -> Result<Self, DataFusionError> {
        parser::parse(text).ok_or_else(|| plan_datafusion_err!("TYPE_NOT_FOUND: Unknown type: {text}"))
    }

    /// The type that an Arrow type stands for; `None` if Trino has nothing like it.
    pub(super) fn of(data_type: &DataType) -> Option<Self> {
        Some(match data_type {
            DataType::Null => Self::Unknown,
            DataType::Boolean => Self::Boolean,
            DataType::Int8 => Self::Tinyint,
            DataType::Int16 | DataType::UInt8 => Self::Smallint,
            DataType::Int32 | DataType::UInt16 => Self::Integer,
            DataType::Int64 | DataType::UInt32 | DataType::UInt64 => Self::Bigint,
            DataType::Float16 | DataType::Float32 => Self::Real,
            DataType::Float64 => Self::Double,
            DataType::Decimal32(precision, scale)
            | DataType::Decimal64(precision, scale)
            | DataType::Decimal128(precision, scale) => Self::Decimal(*precision, *scale),
            DataType::Decimal256(_, scale) => Self::Decimal(DECIMAL128_MAX_PRECISION, *scale),
            DataType::Utf8 | DataType::Utf8View => Self::Varchar(None),
            DataType::LargeUtf8 => Self::Json,
            DataType::FixedSizeBinary(16) => Self::IpAddress,
            DataType::FixedSizeBinary(17) => Self::IpPrefix,
            DataType::Binary
            | DataType::LargeBinary
            | DataType::BinaryView
            | DataType::FixedSizeBinary(_) => Self::Varbinary,
            DataType::Date32 | DataType::Date64 => Self::Date,
            DataType::Time32(unit) | DataType::Time64(unit) => Self::Time(digits(*unit)),
            DataType::Timestamp(unit, None) => Self::Timestamp(digits(*unit)),
            DataType::Timestamp(unit, Some(_)) => Self::TimestampWithTimeZone(digits(*unit)),
            DataType::Interval(IntervalUnit::YearMonth) => Self::IntervalYearToMonth,
            DataType::Interval(_) | DataType::Duration(_) => Self::IntervalDayToSecond,
            DataType::List(element)
            | DataType::LargeList(element)
            | DataType::ListView(element)
            | DataType::LargeListView(element)
            | DataType::FixedSizeList(element, _) => Self::Array(Box::new(Self::of(element.data_type())?)),
            DataType::Map(entries, _) => {
                let DataType::Struct(pair) = entries.data_type() else { return None };
                let [key, value] = &pair[..] else { return None };
                Self::Map(Box::new(Self::of(key.data_type())?), Box::new(Self::of(value.data_type())?))
            }
            DataType::Struct(fields) => {
                Self::Row(fields.iter().enumerate().map(member).collect::<Option<_>>()?)
            }
            DataType::Dictionary(_, value) => Self::of(value)?,
            DataType::RunEndEncoded(_, value) => Self::of(value.data_type())?,
            DataType::Union(..) => return None,
        })
    }

    /// The Arrow type that holds it.
    pub(super) fn arrow(&self) -> DataType {
        match self {
            Self::Unknown => DataType::Null,
            Self::Boolean => DataType::Boolean,
            Self::Tinyint => DataType::Int8,
            Self::Smallint => DataType::Int16,
            Self::Integer => DataType::Int32,
            Self::Bigint => DataType::Int64,
            Self::Real => DataType::Float32,
            Self::Double => DataType::Float64,
            Self::Decimal(precision, scale) => DataType::Decimal128(*precision, *scale),
            Self::Varchar(_) | Self::Char(_) | Self::Uuid => DataType::Utf8,
            Self::Varbinary => DataType::Binary,
            Self::Date => DataType::Date32,
            Self::Time(precision) => match unit(*precision) {
                unit @ (TimeUnit::Second | TimeUnit::Millisecond) => DataType::Time32(unit),
                unit => DataType::Time64(unit),
            },
            Self::Timestamp(precision) => DataType::Timestamp(unit(*precision), None),
            Self::TimestampWithTimeZone(precision) => {
                DataType::Timestamp(unit(*precision), Some("UTC".into()))
            }
            Self::IntervalYearToMonth => DataType::Interval(IntervalUnit::YearMonth),
            Self::IntervalDayToSecond => DataType::Interval(IntervalUnit::MonthDayNano),
            Self::Json => DataType::LargeUtf8,
            Self::IpAddress => DataType::FixedSizeBinary(16),
            Self::IpPrefix => DataType::FixedSizeBinary(17),
            Self::Array(element) => DataType::List(Arc::new(Field::new_list_field(element.arrow(), true))),
            Self::Map(key, value) => map_of(key.arrow(), value.arrow()),
            Self::Row(members) => DataType::Struct(members.iter().enumerate().map(field).collect()),
        }
    }
}

/// The decimal places of a second in a unit.
fn digits(unit: TimeUnit) -> u8 {
    match unit {
        TimeUnit::Second => 0,
        TimeUnit::Millisecond => 3,
        TimeUnit::Microsecond => 6,
        TimeUnit::Nanosecond => 9,
    }
}

/// The smallest unit that holds so many decimal places of a second.
fn unit(precision: u8) -> TimeUnit {
    match precision {
        0 => TimeUnit::Second,
        1..=3 => TimeUnit::Millisecond,
        4..=6 => TimeUnit::Microsecond,
        _ => TimeUnit::Nanosecond,
    }
}

/// A member without a name is called by its place, as Trino shows it: `{field0=1}`.
fn anonymous(place: usize) -> String {
    format!("field{place}")
}

fn member((place, field): (usize, &Arc<Field>)) -> Option<(Option<String>, Type)> {
    let name = (field.name() != &anonymous(place)).then(|| field.name().clone());
    Some((name, Type::of(field.data_type())?))
}

fn field((place, (name, of)): (usize, &(Option<String>, Type))) -> Field {
    Field::new(name.clone().unwrap_or_else(|| anonymous(place)), of.arrow(), true)
}

impl Display for Type {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Unknown => out.write_str("unknown"),
            Self::Boolean => out.write_str("boolean"),
            Self::Tinyint => out.write_str("tinyint"),
            Self::Smallint => out.write_str("smallint"),
            Self::Integer => out.write_str("integer"),
            Self::Bigint => out.write_str("bigint"),
            Self::Real => out.write_str("real"),
            Self::Double => out.write_str("double"),
            Self::Decimal(precision, scale) => write!(out, "decimal({precision},{scale})"),
            Self::Varchar(None) => out.write_str("varchar"),
            Self::Varchar(Some(length)) => write!(out, "varchar({length})"),
            Self::Char(length) => write!(out, "char({length})"),
            Self::Varbinary => out.write_str("varbinary"),
            Self::Date => out.write_str("date"),
            Self::Time(precision) => write!(out, "time({precision})"),
            Self::Timestamp(precision) => write!(out, "timestamp({precision})"),
            Self::TimestampWithTimeZone(precision) => write!(out, "timestamp({precision}) with time zone"),
            Self::IntervalYearToMonth => out.write_str("interval year to month"),
            Self::IntervalDayToSecond => out.write_str("interval day to second"),
            Self::Json => out.write_str("json"),
            Self::IpAddress => out.write_str("ipaddress"),
            Self::IpPrefix => out.write_str("ipprefix"),
            Self::Uuid => out.write_str("uuid"),
            Self::Array(element) => write!(out, "array({element})"),
            Self::Map(key, value) => write!(out, "map({key}, {value})"),
            Self::Row(members) => {
                out.write_str("row(")?;
                for (place, (name, of)) in members.iter().enumerate() {
                    let comma = if place == 0 { "" } else { ", " };
                    match name {
                        Some(name) => write!(out, "{comma}{} {of}", shown_name(name))?,
                        None => write!(out, "{comma}{of}")?,
                    }
                }
                out.write_str(")")
            }
        }
    }
}

/// A member's name, in quotes if it could not be written without.
fn shown_name(name: &str) -> String {
    let plain = name.starts_with(|c: char| c.is_ascii_alphabetic() || c == '_')
        && name.chars().all(|c| c.is_ascii_alphanumeric() || c == '_');
    if plain { name.to_owned() } else { format!("\"{}\"", name.replace('"', "\"\"")) }
}

/// An Arrow type in Trino's words.
pub(in crate::sql) fn type_name(data_type: &DataType) -> String {
    Type::of(data_type).map_or_else(|| data_type.to_string().to_lowercase(), |of| of.to_string())
}

/// The error of a call with arguments of types that the function does not have.
pub(super) fn unexpected(function: &str, given: &[DataType], expected: &str) -> DataFusionError {
    let given: Vec<String> = given.iter().map(type_name).collect();
    plan_datafusion_err!(
        "FUNCTION_NOT_FOUND: Unexpected parameters ({}) for function {function}. Expected: {expected}",
        given.join(", ")
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shown(text: &str) -> String {
        Type::parse(text).unwrap().to_string()
    }

    #[test]
    fn types_are_read_in_either_spelling() {
        for (text, expected) in [
            ("VARCHAR", "varchar"),
            ("string", "varchar"),
            ("varchar( 10 )", "varchar(10)"),
            ("char", "char(1)"),
            ("int", "integer"),
            ("float", "real"),
            ("double precision", "double"),
            ("decimal", "decimal(38,0)"),
            ("decimal(5)", "decimal(5,0)"),
            ("DECIMAL(10, 2)", "decimal(10,2)"),
            ("timestamp", "timestamp(3)"),
            ("timestamp(6)", "timestamp(6)"),
            ("timestamp with time zone", "timestamp(3) with time zone"),
            ("timestamp(0)  with time  zone", "timestamp(0) with time zone"),
            ("timestamp without time zone", "timestamp(3)"),
            ("time", "time(3)"),
            ("interval year to month", "interval year to month"),
            ("interval day to second", "interval day to second"),
            ("array(json)", "array(json)"),
            ("array<string>", "array(varchar)"),
            ("ARRAY(MAP(VARCHAR, JSON))", "array(map(varchar, json))"),
            ("map<string,array<int>>", "map(varchar, array(integer))"),
            ("row(a varchar, b bigint)", "row(a varchar, b bigint)"),
            ("ROW(varchar, double precision)", "row(varchar, double)"),
            (
                "row(ts timestamp(3) with time zone, timestamp)",
                "row(ts timestamp(3) with time zone, timestamp(3))",
            ),
            ("row(\"a b\" json)", "row(\"a b\" json)"),
            ("struct<a:string,b:struct<c:int>>", "row(a varchar, b row(c integer))"),
            ("ipaddress", "ipaddress"),
            ("uuid", "uuid"),
        ] {
            assert_eq!(shown(text), expected, "{text}");
        }
    }

    #[test]
    fn what_is_no_type_is_refused() {
        for text in [
            "",
            "text",
            "varchar(",
            "varchar(x)",
            "varchar(3",
            "array",
            "array(",
            "array()",
            "map(varchar)",
            "row()",
            "decimal(39,0)",
            "decimal(5,6)",
            "bigint)",
            "bigint bigint",
            "timestamp(13)",
            "char(0)",
        ] {
            let error = Type::parse(text).unwrap_err().to_string();
            assert!(error.contains("TYPE_NOT_FOUND: Unknown type"), "{text}: {error}");
        }
        let deep = "array(".repeat(100_000);
        assert!(Type::parse(&deep).is_err());
    }

    #[test]
    fn a_type_comes_back_from_arrow() {
        for text in [
            "boolean",
            "tinyint",
            "smallint",
            "integer",
            "bigint",
            "real",
            "double",
            "decimal(10,2)",
            "varchar",
            "varbinary",
            "date",
            "time(3)",
            "timestamp(0)",
            "timestamp(3)",
            "timestamp(6)",
            "timestamp(9) with time zone",
            "interval year to month",
            "interval day to second",
            "json",
            "ipaddress",
            "ipprefix",
            "array(json)",
            "map(varchar, json)",
            "row(a varchar, b row(bigint, json))",
            "unknown",
        ] {
            assert_eq!(type_name(&Type::parse(text).unwrap().arrow()), text);
        }
    }
}
