//! `format(pattern, …)`.

use std::fmt::Write as _;
use std::net::Ipv6Addr;

use arrow::array::{Array, ArrayRef, AsArray};
use arrow::compute::cast;
use arrow::datatypes::{DataType, Decimal128Type, Float64Type, Int64Type};
use datafusion::common::{Result, ScalarValue, exec_datafusion_err, exec_err};
use datafusion::logical_expr::ScalarUDF;

use super::super::scalar::{Arguments, Function, Kind, put};
use super::super::times::java_text;
use super::super::types::type_name;
use super::java_format::{Format, Value};

/// The functions of this file.
pub(super) fn scalar() -> Vec<ScalarUDF> {
    const TAKES: &[&[Kind]] = &[&[Kind::Text, Kind::Any]];
    vec![
        Function::new("format", TAKES, DataType::Utf8, format).repeats().into(),
        Function::new("format_number", &[&[Kind::Double]], DataType::Utf8, format_number).into(),
    ]
}

/// `format_number(123456)` is `123K`: three digits and a unit.
fn format_number(args: &Arguments) -> Result<ArrayRef> {
    let values = args.double(0)?;
    args.to_texts(|row, out| {
        let Some(value) = values.at(row) else { return Ok(None) };
        put(out, &with_unit(value)).map(Some)
    })
}

fn with_unit(value: f64) -> String {
    let mut units = ["K", "M", "B", "T", "Q"].into_iter();
    let (mut value, mut unit) = (value, "");
    while value.abs() >= 1000.0
        && let Some(next) = units.next()
    {
        (value, unit) = (value / 1000.0, next);
    }
    let places = match value.abs() {
        small if small < 10.0 => 100.0,
        small if small < 100.0 => 10.0,
        _ => 1.0,
    };
    format!("{}{unit}", (value * places).round() / places)
}

fn format(args: &Arguments) -> Result<ArrayRef> {
    let patterns = args.text(0)?;
    let columns = (1..args.len()).map(|index| Column::new(args, index)).collect::<Result<Vec<_>>>()?;
    let mut last: Option<(&str, Format)> = None;
    args.to_texts(|row, out| {
        let Some(pattern) = patterns.at(row) else { return Ok(None) };
        let invalid = |why: String| {
            exec_datafusion_err!("INVALID_FUNCTION_ARGUMENT: Invalid format string: {pattern} ({why})")
        };
        if last.as_ref().is_none_or(|(last, _)| *last != pattern) {
            last = Some((pattern, Format::parse(pattern).map_err(invalid)?));
        }
        let values: Vec<_> = columns.iter().map(|column| column.value(row)).collect::<Result<_>>()?;
        let Some((_, format)) = &last else { return Ok(None) };
        put(out, &format.write(&values).map_err(invalid)?).map(Some)
    })
}

/// An argument, of a type that is written in its own way.
struct Column {
    array: ArrayRef,
    constant: bool,
}

impl Column {
    fn new(args: &Arguments, index: usize) -> Result<Self> {
        let array = args.one_or_all(index);
        let as_type = match array.data_type() {
            data_type if data_type.is_integer() => DataType::Int64,
            DataType::Float32 | DataType::Float16 => DataType::Float64,
            DataType::Utf8View | DataType::LargeUtf8 | DataType::Dictionary(..) => DataType::Utf8,
            other => other.clone(),
        };
        let constant = args.literal(index).is_some();
        Ok(Self { array: cast(array, &as_type)?, constant })
    }

    fn value(&self, row: usize) -> Result<Value> {
        let row = if self.constant { 0 } else { row };
        let array = &self.array;
        if array.is_null(row) || array.data_type().is_null() {
            return Ok(Value::Null);
        }
        Ok(match array.data_type() {
            DataType::Utf8 => Value::Text(array.as_string::<i32>().value(row).to_owned()),
            DataType::Int64 => Value::Integer(array.as_primitive::<Int64Type>().value(row)),
            DataType::Float64 => Value::Double(array.as_primitive::<Float64Type>().value(row)),
            DataType::Boolean => Value::Boolean(array.as_boolean().value(row)),
            DataType::Decimal128(..) => {
                Value::Decimal(array.as_primitive::<Decimal128Type>().value_as_string(row))
            }
            DataType::Date32 | DataType::Timestamp(..) => {
                Value::Text(java_text(&ScalarValue::try_from_array(array, row)?)?)
            }
            DataType::FixedSizeBinary(16) => Value::Text(address(array.as_fixed_size_binary().value(row))),
            other => {
                return exec_err!(
                    "NOT_SUPPORTED: format() does not write {}: CAST it AS varchar",
                    type_name(other)
                );
            }
        })
    }
}

fn address(bytes: &[u8]) -> String {
    let mut text = String::new();
    if let Ok(octets) = <[u8; 16]>::try_from(bytes) {
        let address = Ipv6Addr::from(octets);
        let _ = match address.to_ipv4_mapped() {
            Some(address) => write!(text, "{address}"),
            None => write!(text, "{address}"),
        };
    }
    text
}

#[cfg(test)]
mod tests {
    use super::with_unit;

    #[test]
    fn numbers_are_written_with_three_digits_and_a_unit() {
        for (value, expected) in [
            (0.0, "0"),
            (999.0, "999"),
            (1000.0, "1K"),
            (1234.0, "1.23K"),
            (12_345.0, "12.3K"),
            (123_456.0, "123K"),
            (1e6, "1M"),
            (-2.5e9, "-2.5B"),
            (3e15, "3Q"),
            (3e18, "3000Q"),
        ] {
            assert_eq!(with_unit(value), expected);
        }
    }
}
