//! Functions of doubles, and constants.

use arrow::array::ArrayRef;
use arrow::datatypes::{DataType, Float64Type, Int64Type};
use datafusion::common::{Result, ScalarValue, exec_err};
use datafusion::logical_expr::ScalarUDF;

use super::super::scalar::{Arguments, Function, Kind};

/// The functions of this file.
pub(super) fn scalar() -> Vec<ScalarUDF> {
    const TWO: &[&[Kind]] = &[&[Kind::Double, Kind::Double]];
    const BUCKET: &[&[Kind]] = &[&[Kind::Double, Kind::Double, Kind::Double, Kind::BigInt]];
    vec![
        of_one("sqrt", f64::sqrt),
        of_one("cbrt", f64::cbrt),
        of_one("exp", f64::exp),
        of_one("ln", f64::ln),
        of_one("log2", f64::log2),
        of_one("log10", f64::log10),
        Function::new("power", TWO, DataType::Float64, |args| of_two(args, f64::powf)).alias("pow").into(),
        Function::new("log", TWO, DataType::Float64, |args| of_two(args, |base, x| x.ln() / base.ln()))
            .into(),
        test("is_nan", f64::is_nan),
        test("is_finite", f64::is_finite),
        test("is_infinite", f64::is_infinite),
        constant("pi", std::f64::consts::PI),
        constant("e", std::f64::consts::E),
        constant("nan", f64::NAN),
        constant("infinity", f64::INFINITY),
        Function::new("width_bucket", BUCKET, DataType::Int64, width_bucket).into(),
    ]
}

fn of_one(name: &'static str, function: fn(f64) -> f64) -> ScalarUDF {
    Function::new(name, &[&[Kind::Double]], DataType::Float64, move |args| {
        let values = args.double(0)?;
        args.to_numbers::<Float64Type, _>(|row| Ok(values.at(row).map(function)))
    })
    .into()
}

fn of_two(args: &Arguments, function: fn(f64, f64) -> f64) -> Result<ArrayRef> {
    let (left, right) = (args.double(0)?, args.double(1)?);
    args.to_numbers::<Float64Type, _>(|row| {
        Ok(left.at(row).zip(right.at(row)).map(|(left, right)| function(left, right)))
    })
}

fn test(name: &'static str, function: fn(f64) -> bool) -> ScalarUDF {
    Function::new(name, &[&[Kind::Double]], DataType::Boolean, move |args| {
        let values = args.double(0)?;
        args.to_booleans(|row| Ok(values.at(row).map(function)))
    })
    .into()
}

fn constant(name: &'static str, value: f64) -> ScalarUDF {
    Function::new(name, &[&[]], DataType::Float64, move |args| {
        ScalarValue::from(value).to_array_of_size(args.rows())
    })
    .into()
}

/// Which of `count` equal parts between two bounds a number falls into; 0 is before the first.
#[allow(clippy::cast_possible_truncation, clippy::cast_precision_loss)] // at most `count`
fn width_bucket(args: &Arguments) -> Result<ArrayRef> {
    let (values, lows, highs) = (args.double(0)?, args.double(1)?, args.double(2)?);
    let counts = args.bigint(3)?;
    args.to_numbers::<Int64Type, _>(|row| {
        let (Some(value), Some(low), Some(high), Some(count)) =
            (values.at(row), lows.at(row), highs.at(row), counts.at(row))
        else {
            return Ok(None);
        };
        if count <= 0 {
            return exec_err!("INVALID_FUNCTION_ARGUMENT: bucketCount must be greater than 0");
        }
        if value.is_nan() || !low.is_finite() || !high.is_finite() {
            return exec_err!("INVALID_FUNCTION_ARGUMENT: operand and bounds must be numbers");
        }
        if (high - low).abs() <= 0.0 {
            return exec_err!("INVALID_FUNCTION_ARGUMENT: bounds cannot equal each other");
        }
        let (lower, upper) = (low.min(high), low.max(high));
        let result = if value < lower {
            0
        } else if value >= upper {
            count.saturating_add(1)
        } else {
            ((value - lower) * count as f64 / (upper - lower) + 1.0) as i64
        };
        Ok(Some(if low > high { count - result + 1 } else { result }))
    })
}
