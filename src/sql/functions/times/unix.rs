//! Seconds since 1970: `to_unixtime`, `from_unixtime`, `from_unixtime_nanos`.

use arrow::array::ArrayRef;
use arrow::datatypes::{
    DataType, Float64Type, Int64Type, TimeUnit, TimestampMillisecondType, TimestampNanosecondType,
};
use datafusion::common::{Result, ScalarValue, exec_datafusion_err};
use datafusion::logical_expr::{ReturnFieldArgs, ScalarUDF};

use super::super::scalar::{Arguments, Function, Kind, timestamp};
use super::civil::{HOUR, MINUTE};
use super::instants::Instants;
use super::zone::offset_text;
use super::zones::constant_zone;

/// The functions of this file.
pub(super) fn scalar() -> Vec<ScalarUDF> {
    const FROM: &[&[Kind]] =
        &[&[Kind::Double], &[Kind::Double, Kind::Text], &[Kind::Double, Kind::BigInt, Kind::BigInt]];
    let nanos = DataType::Timestamp(TimeUnit::Nanosecond, Some("UTC".into()));
    vec![
        Function::new("to_unixtime", &[&[Kind::Timestamp]], DataType::Float64, to_unixtime).into(),
        Function::new("from_unixtime", FROM, timestamp(None), from_unixtime).returns(zone_of).into(),
        Function::new("from_unixtime_nanos", &[&[Kind::BigInt]], nanos, |args| {
            let nanos = args.numbers::<Int64Type>(0)?;
            args.to_numbers::<TimestampNanosecondType, _>(|row| Ok(nanos.at(row)))
        })
        .into(),
    ]
}

#[allow(clippy::cast_precision_loss)] // as in Trino, whose result is a double
fn to_unixtime(args: &Arguments) -> Result<ArrayRef> {
    let instants = Instants::new(args, 0)?;
    args.to_numbers::<Float64Type, _>(|row| Ok(instants.utc(row).map(|utc| utc as f64 / 1_000.0)))
}

#[allow(clippy::cast_possible_truncation)] // checked
fn from_unixtime(args: &Arguments) -> Result<ArrayRef> {
    let seconds = args.double(0)?;
    args.to_numbers::<TimestampMillisecondType, _>(|row| {
        let Some(seconds) = seconds.at(row) else { return Ok(None) };
        let millis = (seconds * 1_000.0 + 0.5).floor();
        if millis.abs() < 9e15 || millis.is_nan() {
            return Ok(Some(millis as i64));
        }
        Err(exec_datafusion_err!("INVALID_FUNCTION_ARGUMENT: Millis overflow: {millis:e}"))
    })
}

fn zone_of(args: &ReturnFieldArgs) -> Result<DataType> {
    let number = |index: usize| match args.scalar_arguments[index] {
        Some(ScalarValue::Int64(number)) => number.unwrap_or(0),
        _ => 0,
    };
    let zone = match args.arg_fields.len() {
        1 => "UTC".to_owned(),
        2 => constant_zone("from_unixtime", args, 1)?,
        _ => match (number(1).saturating_mul(HOUR)).saturating_add(number(2).saturating_mul(MINUTE)) {
            0 => "UTC".to_owned(),
            offset if offset.abs() > 14 * HOUR => {
                return Err(exec_datafusion_err!(
                    "INVALID_FUNCTION_ARGUMENT: Invalid offset minutes: {}",
                    offset / MINUTE
                ));
            }
            offset => offset_text(offset, ":"),
        },
    };
    Ok(timestamp(Some(&zone)))
}
