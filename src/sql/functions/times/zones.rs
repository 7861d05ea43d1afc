//! `at_timezone`, `with_timezone` and `current_timezone`.

use std::sync::Arc;

use arrow::array::ArrayRef;
use arrow::compute::cast;
use arrow::datatypes::DataType;
use datafusion::common::{Result, ScalarValue, exec_err, plan_err};
use datafusion::logical_expr::{ReturnFieldArgs, ScalarUDF};

use super::super::scalar::{Arguments, Function, Kind, put, timestamp};
use super::civil::{DAY, MINUTE};
use super::instants::Instants;
use super::zone::{Zone, canonical, offset_text};

/// The functions of this file.
pub(super) fn scalar() -> Vec<ScalarUDF> {
    const TAKES: &[&[Kind]] = &[&[Kind::Timestamp, Kind::Text], &[Kind::Timestamp, Kind::Interval]];
    vec![
        Function::new("at_timezone", TAKES, timestamp(None), at_timezone)
            .returns(|args| in_zone("at_timezone", args))
            .into(),
        Function::new("with_timezone", TAKES, timestamp(None), with_timezone)
            .returns(|args| in_zone("with_timezone", args))
            .into(),
        Function::new("timezone", &[&[Kind::Timestamp]], DataType::Utf8, |args| {
            let instants = Instants::new(args, 0)?;
            let id = match args.one_or_all(0).data_type() {
                DataType::Timestamp(_, Some(zone)) => zone.as_ref(),
                _ => "UTC",
            };
            args.to_texts(|row, out| instants.utc(row).map(|_| put(out, id)).transpose())
        })
        .into(),
        Function::new("current_timezone", &[&[]], DataType::Utf8, |args| {
            ScalarValue::from("UTC").to_array_of_size(args.rows())
        })
        .into(),
    ]
}

fn in_zone(name: &str, args: &ReturnFieldArgs) -> Result<DataType> {
    let DataType::Timestamp(unit, _) = args.arg_fields[0].data_type() else {
        return plan_err!("FUNCTION_NOT_FOUND: {name} needs a timestamp");
    };
    Ok(DataType::Timestamp(*unit, Some(constant_zone(name, args, 1)?.into())))
}

/// The zone that an argument names. It belongs to the type of the result, so that it cannot change from
/// row to row.
pub(super) fn constant_zone(name: &str, args: &ReturnFieldArgs, index: usize) -> Result<String> {
    match args.scalar_arguments[index] {
        Some(ScalarValue::Utf8(Some(zone)) | ScalarValue::Utf8View(Some(zone))) => canonical(zone),
        Some(ScalarValue::IntervalMonthDayNano(Some(offset))) if offset.months == 0 => {
            let millis = i64::from(offset.days) * DAY + offset.nanoseconds / 1_000_000;
            if millis % MINUTE != 0 || millis.abs() > 14 * 60 * MINUTE {
                return exec_err!("INVALID_FUNCTION_ARGUMENT: not the offset of a time zone: {offset:?}");
            }
            Ok(if millis == 0 { "UTC".to_owned() } else { offset_text(millis, ":") })
        }
        Some(value) if value.is_null() => Ok("UTC".to_owned()),
        _ => plan_err!(
            "NOT_SUPPORTED: the time zone of {name} must be written as text, not computed for each row"
        ),
    }
}

/// The same moment by other clocks.
fn at_timezone(args: &Arguments) -> Result<ArrayRef> {
    let moments = args.array(0)?;
    let is_null = args.literal(1).is_some_and(ScalarValue::is_null);
    let DataType::Timestamp(unit, zone) = moments.data_type() else {
        return exec_err!("a timestamp expected, not {}", moments.data_type());
    };
    if is_null {
        return Ok(arrow::array::new_null_array(args.return_type(), args.rows()));
    }
    let in_utc = match zone {
        Some(_) => Arc::clone(&moments),
        None => cast(&moments, &DataType::Timestamp(*unit, Some("UTC".into())))?,
    };
    Ok(cast(&in_utc, args.return_type())?)
}

/// The moment at which clocks elsewhere show this time.
fn with_timezone(args: &Arguments) -> Result<ArrayRef> {
    let instants = Instants::new(args, 0)?;
    let DataType::Timestamp(_, zone) = args.return_type() else { return exec_err!("a timestamp expected") };
    let zone = Zone::of(zone.as_deref())?;
    let is_null = args.literal(1).is_some_and(ScalarValue::is_null);
    instants.map(args, true, |_, utc| {
        let local = instants.zone.local(utc);
        Ok((!is_null).then(|| zone.utc(local, local)))
    })
}
