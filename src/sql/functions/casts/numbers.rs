//! Casts to numbers and booleans.

use std::fmt::Display;
use std::str::FromStr;
use std::sync::Arc;

use arrow::array::{
    Array, ArrayRef, ArrowPrimitiveType, AsArray, BooleanArray, Decimal128Array, Float32Array, Float64Array,
    Int64Array, PrimitiveArray,
};
use arrow::compute;
use arrow::datatypes::{
    DataType, Decimal128Type, Float32Type, Float64Type, Int8Type, Int16Type, Int32Type, Int64Type,
};
use datafusion::common::{Result, internal_err};

use super::super::args::Texts;
use super::super::float_text::java_text;
use super::super::types::Type;
use super::failures::Failures;
use super::number_text::{decimal, decimal_text, double, fits, real, rescale};

/// A column from which numbers are made.
enum Numbers {
    Boolean(BooleanArray),
    Integer(Int64Array),
    Real(Float32Array),
    Double(Float64Array),
    Decimal(Decimal128Array, i8),
    Text(Texts),
}

impl Numbers {
    fn of(input: &ArrayRef, from: &Type) -> Result<Self> {
        Ok(match from {
            Type::Boolean => Self::Boolean(input.as_boolean().clone()),
            Type::Tinyint | Type::Smallint | Type::Integer | Type::Bigint => {
                Self::Integer(compute::cast(input, &DataType::Int64)?.as_primitive().clone())
            }
            Type::Real => Self::Real(compute::cast(input, &DataType::Float32)?.as_primitive().clone()),
            Type::Double => Self::Double(input.as_primitive().clone()),
            Type::Decimal(precision, scale) => {
                let values = compute::cast(input, &DataType::Decimal128(*precision, *scale))?;
                Self::Decimal(values.as_primitive::<Decimal128Type>().clone(), *scale)
            }
            Type::Varchar(_) | Type::Char(_) => Self::Text(Texts::of(input)?),
            other => return internal_err!("no numbers in {other}"),
        })
    }
}

/// Casts to a number of type `to`.
pub(super) fn cast(input: &ArrayRef, from: &Type, to: &Type, failures: &mut Failures) -> Result<ArrayRef> {
    let numbers = Numbers::of(input, from)?;
    Ok(match to {
        Type::Tinyint => integers::<Int8Type>(&numbers, &INTEGERS[0], failures),
        Type::Smallint => integers::<Int16Type>(&numbers, &INTEGERS[1], failures),
        Type::Integer => integers::<Int32Type>(&numbers, &INTEGERS[2], failures),
        Type::Bigint => integers::<Int64Type>(&numbers, &INTEGERS[3], failures),
        Type::Real => Arc::new(reals(&numbers, failures)),
        Type::Double => Arc::new(doubles(&numbers, failures)),
        Type::Decimal(precision, scale) => Arc::new(
            decimals(&numbers, from, *precision, *scale, failures)
                .with_precision_and_scale(*precision, *scale)?,
        ),
        other => return internal_err!("{other} is no number"),
    })
}

/// The name of an integer type in messages: that of the type, and that in casts of text.
struct Names(&'static str, &'static str);

const INTEGERS: [Names; 4] = [
    Names("tinyint", "TINYINT"),
    Names("smallint", "SMALLINT"),
    Names("integer", "INT"),
    Names("bigint", "BIGINT"),
];

/// Converts every value that is not NULL.
fn each<T: ArrowPrimitiveType, V>(
    values: impl Iterator<Item = Option<V>>,
    failures: &mut Failures,
    convert: impl Fn(&V) -> Option<T::Native>,
    reason: impl Fn(&V) -> String,
) -> PrimitiveArray<T> {
    values
        .enumerate()
        .map(|(row, value)| value.and_then(|value| failures.note(row, convert(&value), || reason(&value))))
        .collect()
}

fn integers<T: ArrowPrimitiveType>(numbers: &Numbers, names: &Names, failures: &mut Failures) -> ArrayRef
where
    T::Native: TryFrom<i64> + TryFrom<i128> + FromStr,
{
    let Names(name, text_name) = names;
    Arc::new(match numbers {
        Numbers::Boolean(values) => each::<T, _>(
            values.iter(),
            failures,
            |value| i64::from(*value).try_into().ok(),
            |_| String::new(),
        ),
        Numbers::Integer(values) => each(
            values.iter(),
            failures,
            |value| (*value).try_into().ok(),
            |value| format!("NUMERIC_VALUE_OUT_OF_RANGE: Out of range for {name}: {value}"),
        ),
        Numbers::Real(values) => each(
            values.iter(),
            failures,
            |value| rounded(f64::from(*value)).and_then(|value| value.try_into().ok()),
            |value| not_an_integer("real", name, *value),
        ),
        Numbers::Double(values) => each(
            values.iter(),
            failures,
            |value| rounded(*value).and_then(|value| value.try_into().ok()),
            |value| not_an_integer("double", name, *value),
        ),
        Numbers::Decimal(values, scale) => each(
            values.iter(),
            failures,
            |value| rescale(*value, *scale, 0).and_then(|value| value.try_into().ok()),
            |value| {
                let upper = name.to_uppercase();
                format!("INVALID_CAST_ARGUMENT: Cannot cast '{}' to {upper}", decimal_text(*value, *scale))
            },
        ),
        Numbers::Text(values) => each(
            values.iter(),
            failures,
            |text| text.parse().ok(),
            |text| format!("INVALID_CAST_ARGUMENT: Cannot cast '{text}' to {text_name}"),
        ),
    })
}

/// The nearest whole number, halves away from zero.
#[expect(clippy::cast_possible_truncation, reason = "the range is checked")]
pub(super) fn rounded(value: f64) -> Option<i64> {
    let rounded = value.round();
    let bound = 9_223_372_036_854_775_808.0;
    (rounded >= -bound && rounded < bound).then_some(rounded as i64)
}

fn not_an_integer<F: Display + std::fmt::LowerExp + Into<f64> + Copy>(
    from: &str,
    to: &str,
    value: F,
) -> String {
    let wide: f64 = value.into();
    if wide.is_nan() {
        return format!("INVALID_CAST_ARGUMENT: Cannot cast {from} NaN to {to}");
    }
    let mut text = String::new();
    java_text(&mut text, value);
    if to == "bigint" {
        return format!("INVALID_CAST_ARGUMENT: Unable to cast {text} to bigint");
    }
    format!("NUMERIC_VALUE_OUT_OF_RANGE: Out of range for {to}: {text}")
}

#[expect(clippy::cast_precision_loss, reason = "a double is the nearest to the integer")]
fn doubles(numbers: &Numbers, failures: &mut Failures) -> Float64Array {
    match numbers {
        Numbers::Boolean(values) => {
            values.iter().map(|value| value.map(|value| f64::from(u8::from(value)))).collect()
        }
        Numbers::Integer(values) => values.unary::<_, Float64Type>(|value| value as f64),
        Numbers::Real(values) => values.unary::<_, Float64Type>(f64::from),
        Numbers::Double(values) => values.clone(),
        Numbers::Decimal(values, scale) => {
            values.unary::<_, Float64Type>(|value| decimal_double(value, *scale))
        }
        Numbers::Text(values) => each(
            values.iter(),
            failures,
            |text| double(text),
            |text| format!("INVALID_CAST_ARGUMENT: Cannot cast '{text}' to DOUBLE"),
        ),
    }
}

fn decimal_double(value: i128, scale: i8) -> f64 {
    decimal_text(value, scale).parse().unwrap_or(f64::NAN)
}

#[expect(
    clippy::cast_possible_truncation,
    clippy::cast_precision_loss,
    reason = "a real is the nearest to the number"
)]
fn reals(numbers: &Numbers, failures: &mut Failures) -> Float32Array {
    match numbers {
        Numbers::Boolean(values) => {
            values.iter().map(|value| value.map(|value| f32::from(u8::from(value)))).collect()
        }
        Numbers::Integer(values) => values.unary::<_, Float32Type>(|value| value as f32),
        Numbers::Real(values) => values.clone(),
        Numbers::Double(values) => values.unary::<_, Float32Type>(|value| value as f32),
        Numbers::Decimal(values, scale) => {
            values.unary::<_, Float32Type>(|value| decimal_text(value, *scale).parse().unwrap_or(f32::NAN))
        }
        Numbers::Text(values) => each(
            values.iter(),
            failures,
            |text| real(text),
            |text| format!("INVALID_CAST_ARGUMENT: Cannot cast '{text}' to REAL"),
        ),
    }
}

fn decimals(
    numbers: &Numbers,
    from: &Type,
    precision: u8,
    scale: i8,
    failures: &mut Failures,
) -> PrimitiveArray<Decimal128Type> {
    let reason = |value: &dyn Display| {
        let from = from.to_string();
        let from = if from.starts_with("decimal") { "DECIMAL".to_owned() } else { from.to_uppercase() };
        format!("INVALID_CAST_ARGUMENT: Cannot cast {from} '{value}' to DECIMAL({precision}, {scale})")
    };
    let whole = |value: i128| rescale(value, 0, scale).filter(|value| fits(*value, precision));
    match numbers {
        Numbers::Boolean(values) => {
            each(values.iter(), failures, |value| whole(i128::from(*value)), |value| reason(value))
        }
        Numbers::Integer(values) => {
            each(values.iter(), failures, |value| whole(i128::from(*value)), |value| reason(value))
        }
        Numbers::Real(values) => each(
            values.iter(),
            failures,
            |value| decimal(&value.to_string(), precision, scale),
            |value| reason(value),
        ),
        Numbers::Double(values) => each(
            values.iter(),
            failures,
            |value| decimal(&format!("{value:e}"), precision, scale),
            |value| reason(value),
        ),
        Numbers::Decimal(values, from_scale) => each(
            values.iter(),
            failures,
            |value| rescale(*value, *from_scale, scale).filter(|value| fits(*value, precision)),
            |value| reason(&decimal_text(*value, *from_scale)),
        ),
        Numbers::Text(values) => {
            each(values.iter(), failures, |text| decimal(text.trim(), precision, scale), |text| reason(text))
        }
    }
}

/// Casts to boolean: a number is true unless it is 0.
pub(super) fn boolean(input: &ArrayRef, from: &Type, failures: &mut Failures) -> Result<ArrayRef> {
    let values: BooleanArray = match Numbers::of(input, from)? {
        Numbers::Boolean(values) => values,
        Numbers::Integer(values) => values.iter().map(|value| value.map(|value| value != 0)).collect(),
        Numbers::Real(values) => values.iter().map(|value| value.map(|value| value != 0.0)).collect(),
        Numbers::Double(values) => values.iter().map(|value| value.map(|value| value != 0.0)).collect(),
        Numbers::Decimal(values, _) => values.iter().map(|value| value.map(|value| value != 0)).collect(),
        Numbers::Text(values) => values
            .iter()
            .enumerate()
            .map(|(row, text)| {
                let text = text?;
                let reason = || format!("INVALID_CAST_ARGUMENT: Cannot cast '{text}' to BOOLEAN");
                failures.note(row, truth(text), reason)
            })
            .collect(),
    };
    debug_assert_eq!(values.len(), input.len());
    Ok(Arc::new(values))
}

/// `true`, `t` and `1`, `false`, `f` and `0`, in either case.
pub(super) fn truth(text: &str) -> Option<bool> {
    let is = |words: [&str; 3]| words.iter().any(|word| text.eq_ignore_ascii_case(word));
    if is(["true", "t", "1"]) {
        return Some(true);
    }
    is(["false", "f", "0"]).then_some(false)
}
