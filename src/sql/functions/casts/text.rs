//! Casts to varchar and char.

use std::fmt::Write as _;
use std::sync::Arc;

use arrow::array::{Array, ArrayRef, AsArray, StringBuilder};
use arrow::compute;
use arrow::datatypes::{
    DataType, Decimal128Type, Float32Type, Float64Type, IntervalMonthDayNanoType, IntervalUnit,
    IntervalYearMonthType,
};
use datafusion::common::{Result, internal_err};

use super::super::float_text::sql_text;
use super::super::ip::{address_text, prefix_text};
use super::super::types::Type;
use super::failures::Failures;
use super::number_text::decimal_text;
use super::time_text::push_clock;
use super::times;

/// Casts to `varchar`, `varchar(n)` or `char(n)`.
pub(super) fn cast(input: &ArrayRef, from: &Type, to: &Type, failures: &mut Failures) -> Result<ArrayRef> {
    let is_text = matches!(from, Type::Varchar(_) | Type::Char(_) | Type::Uuid);
    let texts = if is_text { compute::cast(input, &DataType::Utf8)? } else { written(input, from)? };
    match to {
        Type::Varchar(Some(length)) if is_text => Ok(resized(&texts, *length, false)),
        Type::Char(length) => Ok(resized(&texts, *length, true)),
        Type::Varchar(Some(length)) => {
            check_length(&texts, *length, failures);
            Ok(texts)
        }
        _ => Ok(texts),
    }
}

/// Cut to so many characters, and filled up with blanks if it is a char.
fn resized(texts: &ArrayRef, length: usize, is_char: bool) -> ArrayRef {
    let texts = texts.as_string::<i32>();
    let mut values = StringBuilder::with_capacity(texts.len(), texts.value_data().len());
    for text in texts {
        let Some(text) = text else {
            values.append_null();
            continue;
        };
        let end = text.char_indices().nth(length).map_or(text.len(), |(at, _)| at);
        let cut = &text[..end];
        let missing = if is_char { length.saturating_sub(cut.chars().count()) } else { 0 };
        if missing == 0 {
            values.append_value(cut);
        } else {
            values.append_value(format!("{cut}{}", " ".repeat(missing)));
        }
    }
    Arc::new(values.finish())
}

fn check_length(texts: &ArrayRef, length: usize, failures: &mut Failures) {
    for (row, text) in texts.as_string::<i32>().iter().enumerate() {
        if let Some(text) = text.filter(|text| text.len() > length) {
            failures.add(row, || {
                format!("INVALID_CAST_ARGUMENT: Value {text} cannot be represented as varchar({length})")
            });
        }
    }
}

fn written(input: &ArrayRef, from: &Type) -> Result<ArrayRef> {
    match from {
        Type::Boolean | Type::Tinyint | Type::Smallint | Type::Integer | Type::Bigint => {
            Ok(compute::cast(input, &DataType::Utf8)?)
        }
        Type::Real => {
            let values = compute::cast(input, &DataType::Float32)?;
            let values = values.as_primitive::<Float32Type>();
            Ok(each(values, |out, row| sql_text(out, values.value(row))))
        }
        Type::Double => {
            let values = input.as_primitive::<Float64Type>();
            Ok(each(values, |out, row| sql_text(out, values.value(row))))
        }
        Type::Decimal(precision, scale) => {
            let values = compute::cast(input, &DataType::Decimal128(*precision, *scale))?;
            let values = values.as_primitive::<Decimal128Type>();
            Ok(each(values, |out, row| out.push_str(&decimal_text(values.value(row), *scale))))
        }
        Type::Date | Type::Time(_) | Type::Timestamp(_) | Type::TimestampWithTimeZone(_) => {
            times::written(input, from)
        }
        Type::IntervalYearToMonth => {
            let values = input.as_primitive::<IntervalYearMonthType>();
            Ok(each(values, |out, row| push_months(out, values.value(row))))
        }
        Type::IntervalDayToSecond => {
            let values = compute::cast(input, &DataType::Interval(IntervalUnit::MonthDayNano))?;
            let values = values.as_primitive::<IntervalMonthDayNanoType>();
            Ok(each(values, |out, row| {
                let value = values.value(row);
                if value.months == 0 {
                    push_time(
                        out,
                        i128::from(value.days) * 86_400_000_000_000 + i128::from(value.nanoseconds),
                    );
                } else {
                    push_months(out, value.months);
                }
            }))
        }
        Type::IpAddress => {
            let values = input.as_fixed_size_binary();
            Ok(each(values, |out, row| out.push_str(&address_text(values.value(row)))))
        }
        Type::IpPrefix => {
            let values = input.as_fixed_size_binary();
            Ok(each(values, |out, row| out.push_str(&prefix_text(values.value(row)))))
        }
        other => internal_err!("no text of {other}"),
    }
}

/// The text of every row that is not NULL.
pub(super) fn each(values: &dyn Array, mut push: impl FnMut(&mut String, usize)) -> ArrayRef {
    let mut texts = StringBuilder::with_capacity(values.len(), values.len() * 16);
    let mut text = String::new();
    for row in 0..values.len() {
        if values.is_null(row) {
            texts.append_null();
            continue;
        }
        text.clear();
        push(&mut text, row);
        texts.append_value(&text);
    }
    Arc::new(texts.finish())
}

/// `1-2`: a year and two months.
fn push_months(out: &mut String, months: i32) {
    let sign = if months < 0 { "-" } else { "" };
    let months = months.unsigned_abs();
    let _ = write!(out, "{sign}{}-{}", months / 12, months % 12);
}

/// `2 03:00:00.000`: two days and three hours.
fn push_time(out: &mut String, nanos: i128) {
    let millis = nanos.unsigned_abs() / 1_000_000;
    let days = millis / 86_400_000;
    let millis = u64::try_from(millis % 86_400_000).unwrap_or_default();
    let _ = write!(out, "{}{days} ", if nanos < 0 { "-" } else { "" });
    push_clock(out, millis / 1000, millis % 1000 * 1_000_000, 3);
}
