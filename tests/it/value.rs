//! Values as the conformance suite writes them.

use arrow::array::{Array, AsArray};
use arrow::datatypes::{
    DataType, Date32Type, Decimal128Type, Float32Type, Float64Type, Int8Type, Int16Type, Int32Type,
    Int64Type, TimeUnit,
};
use chrono::{DateTime, Days, NaiveDate};

/// The value of a row.
pub(crate) fn text(array: &dyn Array, row: usize) -> String {
    match write(array, row).as_deref() {
        None => "NULL".to_owned(),
        Some("") => "(empty)".to_owned(),
        Some(text) => text.to_owned(),
    }
}

fn write(array: &dyn Array, row: usize) -> Option<String> {
    if array.is_null(row) || *array.data_type() == DataType::Null {
        return None;
    }
    let inner = |array: &dyn Array, row: usize| write(array, row).unwrap_or_else(|| "null".to_owned());
    Some(match array.data_type() {
        DataType::Utf8 => array.as_string::<i32>().value(row).to_owned(),
        DataType::LargeUtf8 => array.as_string::<i64>().value(row).to_owned(),
        DataType::Utf8View => array.as_string_view().value(row).to_owned(),
        DataType::Boolean => array.as_boolean().value(row).to_string(),
        DataType::Int8 => array.as_primitive::<Int8Type>().value(row).to_string(),
        DataType::Int16 => array.as_primitive::<Int16Type>().value(row).to_string(),
        DataType::Int32 => array.as_primitive::<Int32Type>().value(row).to_string(),
        DataType::Int64 => array.as_primitive::<Int64Type>().value(row).to_string(),
        DataType::Float32 => float(f64::from(array.as_primitive::<Float32Type>().value(row))),
        DataType::Float64 => float(array.as_primitive::<Float64Type>().value(row)),
        DataType::Decimal128(..) => trimmed(&array.as_primitive::<Decimal128Type>().value_as_string(row)),
        DataType::Date32 => date(array.as_primitive::<Date32Type>().value(row)),
        DataType::Timestamp(unit, zone) => timestamp(array, row, *unit, zone.as_deref()),
        DataType::List(_) => {
            let list = array.as_list::<i32>().value(row);
            let items: Vec<String> = (0..list.len()).map(|at| inner(&list, at)).collect();
            format!("[{}]", items.join(", "))
        }
        DataType::Map(..) => {
            let entries = array.as_map().value(row);
            let pair = |at| format!("{}={}", inner(entries.column(0), at), inner(entries.column(1), at));
            format!("{{{}}}", (0..entries.len()).map(pair).collect::<Vec<_>>().join(", "))
        }
        DataType::Struct(fields) => {
            let columns = fields.iter().zip(array.as_struct().columns());
            let pairs = columns.map(|(field, column)| format!("{}={}", field.name(), inner(column, row)));
            format!("{{{}}}", pairs.collect::<Vec<_>>().join(", "))
        }
        other => panic!("no text for {other}"),
    })
}

/// Twelve decimal places, no trailing zeros, no exponent.
fn float(value: f64) -> String {
    if value.is_infinite() {
        return if value > 0.0 { "Infinity" } else { "-Infinity" }.to_owned();
    }
    if value.is_nan() { "NaN".to_owned() } else { trimmed(&format!("{value:.12}")) }
}

fn trimmed(number: &str) -> String {
    if !number.contains('.') {
        return number.to_owned();
    }
    let number = number.trim_end_matches('0').trim_end_matches('.');
    if number == "-0" { "0".to_owned() } else { number.to_owned() }
}

fn date(days: i32) -> String {
    let epoch = NaiveDate::from_ymd_opt(1970, 1, 1).unwrap();
    let distance = Days::new(u64::from(days.unsigned_abs()));
    let date = if days < 0 { epoch - distance } else { epoch + distance };
    date.to_string()
}

fn timestamp(array: &dyn Array, row: usize, unit: TimeUnit, zone: Option<&str>) -> String {
    let cast = arrow::compute::cast(array, &DataType::Timestamp(TimeUnit::Millisecond, None));
    let utc = match (unit, zone) {
        (_, None | Some("UTC" | "+00:00")) => cast.unwrap(),
        _ => panic!("{unit:?} {zone:?}"),
    };
    let millis = utc.as_primitive::<arrow::datatypes::TimestampMillisecondType>().value(row);
    let text = DateTime::from_timestamp_millis(millis).unwrap().format("%Y-%m-%d %H:%M:%S%.3f");
    if zone.is_some() { format!("{text} UTC") } else { text.to_string() }
}
