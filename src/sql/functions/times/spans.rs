//! Durations: `to_milliseconds`, `parse_duration`, `human_readable_seconds`, and a multiple of an interval.

use arrow::array::ArrayRef;
use arrow::datatypes::{DataType, Int64Type, IntervalMonthDayNano, IntervalMonthDayNanoType, IntervalUnit};
use datafusion::common::{Result, exec_datafusion_err, exec_err};
use datafusion::logical_expr::ScalarUDF;

use super::super::scalar::{Arguments, Function, Kind, put};
use super::civil::{DAY, HOUR, MINUTE, SECOND};
use super::instants::span;

/// The functions of this file.
pub(super) fn scalar() -> Vec<ScalarUDF> {
    let interval = DataType::Interval(IntervalUnit::MonthDayNano);
    let multiple = interval.clone();
    vec![
        Function::new("to_milliseconds", &[&[Kind::Interval]], DataType::Int64, to_milliseconds).into(),
        Function::new("parse_duration", &[&[Kind::Text]], interval, parse_duration).into(),
        Function::new("human_readable_seconds", &[&[Kind::Double]], DataType::Utf8, human_readable_seconds)
            .into(),
        Function::new(ORDER, &[&[Kind::Interval]], DataType::Int64, order).into(),
        Function::new(TIMES, &[&[Kind::Interval, Kind::BigInt]], multiple.clone(), times).into(),
        Function::new(TIMES_DOUBLE, &[&[Kind::Interval, Kind::Double]], multiple.clone(), times_double)
            .into(),
        Function::new(PARTS, &[&[Kind::Interval, Kind::Double]], multiple, parts).into(),
    ]
}

/// A number by which intervals are in order.
pub(in super::super) const ORDER: &str = "$interval_order";
/// `interval * bigint`.
pub(in super::super) const TIMES: &str = "$interval_times";
/// `interval * double`.
pub(in super::super) const TIMES_DOUBLE: &str = "$interval_times_double";
/// `interval / double`.
pub(in super::super) const PARTS: &str = "$interval_divided";

fn times(args: &Arguments) -> Result<ArrayRef> {
    let numbers = args.bigint(1)?;
    scaled(args, |row| numbers.at(row), i64::checked_mul)
}

#[allow(clippy::cast_precision_loss)] // Trino counts in doubles as well
fn times_double(args: &Arguments) -> Result<ArrayRef> {
    let numbers = args.double(1)?;
    scaled(args, |row| numbers.at(row), |part, number| whole(part as f64 * number))
}

#[allow(clippy::cast_precision_loss)] // Trino counts in doubles as well
fn parts(args: &Arguments) -> Result<ArrayRef> {
    let numbers = args.double(1)?;
    scaled(args, |row| numbers.at(row), |part, number| whole(part as f64 / number))
}

/// What is left of a number behind the point is cut off; one that is none has no multiple.
#[allow(clippy::cast_possible_truncation)] // `as` stays at the largest number
fn whole(value: f64) -> Option<i64> {
    value.is_finite().then_some(value as i64)
}

/// The intervals of the first argument with both their parts changed by `change`.
fn scaled<N: Copy>(
    args: &Arguments,
    number: impl Fn(usize) -> Option<N>,
    change: impl Fn(i64, N) -> Option<i64>,
) -> Result<ArrayRef> {
    args.to_numbers::<IntervalMonthDayNanoType, _>(|row| {
        let (Some(span), Some(number)) = (span(args, 0, row)?, number(row)) else { return Ok(None) };
        let part = |part: i64| if part == 0 { Some(0) } else { change(part, number) };
        let scaled = part(span.months).zip(part(span.millis)).and_then(|(months, millis)| {
            let days = i32::try_from(millis / DAY).ok()?;
            Some(IntervalMonthDayNano::new(i32::try_from(months).ok()?, days, millis % DAY * 1_000_000))
        });
        if scaled.is_none() {
            return exec_err!("NUMERIC_VALUE_OUT_OF_RANGE: a multiple of an interval is out of range");
        }
        Ok(scaled)
    })
}

fn to_milliseconds(args: &Arguments) -> Result<ArrayRef> {
    args.to_numbers::<Int64Type, _>(|row| match span(args, 0, row)? {
        Some(span) if span.months != 0 => exec_err!(
            "FUNCTION_NOT_FOUND: Unexpected parameters (interval year to month) for function to_milliseconds. \
            Expected: to_milliseconds(interval day to second)"
        ),
        span => Ok(span.map(|span| span.millis)),
    })
}

/// Milliseconds, or months: no interval has both. Arrow compares days before hours, so that 25 hours would be less
/// than a day.
fn order(args: &Arguments) -> Result<ArrayRef> {
    args.to_numbers::<Int64Type, _>(|row| {
        let span = span(args, 0, row)?;
        Ok(span.map(|span| if span.months == 0 { span.millis } else { span.months }))
    })
}

fn parse_duration(args: &Arguments) -> Result<ArrayRef> {
    let texts = args.text(0)?;
    args.to_numbers::<IntervalMonthDayNanoType, _>(|row| {
        let Some(text) = texts.at(row) else { return Ok(None) };
        let millis = duration(text.trim()).ok_or_else(|| {
            exec_datafusion_err!(
                "INVALID_FUNCTION_ARGUMENT: duration is not a valid data duration string: {text}"
            )
        })?;
        let days = i32::try_from(millis / DAY)
            .map_err(|_| exec_datafusion_err!("INVALID_FUNCTION_ARGUMENT: duration is too long: {text}"))?;
        Ok(Some(IntervalMonthDayNano::new(0, days, millis % DAY * 1_000_000)))
    })
}

/// A duration as Airlift writes it, `3.81 d`, in milliseconds.
#[allow(clippy::cast_possible_truncation)] // `as` stays at the largest number
fn duration(text: &str) -> Option<i64> {
    let unit_at = text.find(|c: char| c.is_ascii_alphabetic())?;
    let number = text[..unit_at].trim_end();
    let millis = match &text[unit_at..] {
        "ns" => 1e-6,
        "us" => 1e-3,
        "ms" => 1.0,
        "s" => 1e3,
        "m" => 6e4,
        "h" => 3.6e6,
        "d" => 8.64e7,
        _ => return None,
    };
    let (whole, part) = number.split_once('.').unwrap_or((number, "0"));
    let digits = |text: &str| !text.is_empty() && text.bytes().all(|b| b.is_ascii_digit());
    if !digits(whole) || !digits(part) {
        return None;
    }
    let number: f64 = number.parse().ok()?;
    Some((number * millis + 0.5).floor() as i64)
}

#[allow(clippy::cast_possible_truncation)] // `as` stays at the largest number
fn human_readable_seconds(args: &Arguments) -> Result<ArrayRef> {
    let values = args.double(0)?;
    args.to_texts(|row, out| {
        let Some(value) = values.at(row) else { return Ok(None) };
        if !value.is_finite() {
            return exec_err!("INVALID_FUNCTION_ARGUMENT: Invalid argument found: {value}");
        }
        put(out, &readable(value.abs().round() as i64)).map(Some)
    })
}

fn readable(mut seconds: i64) -> String {
    let mut parts = Vec::new();
    let units = [("week", 7 * DAY), ("day", DAY), ("hour", HOUR), ("minute", MINUTE), ("second", SECOND)];
    for (name, millis) in units {
        let unit = millis / SECOND;
        let count = seconds / unit;
        seconds %= unit;
        if count > 0 || (name == "second" && parts.is_empty()) {
            parts.push(format!("{count} {name}{}", if count == 1 { "" } else { "s" }));
        }
    }
    parts.join(", ")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn seconds_are_readable() {
        for (seconds, text) in [
            (0, "0 seconds"),
            (1, "1 second"),
            (96, "1 minute, 36 seconds"),
            (3762, "1 hour, 2 minutes, 42 seconds"),
            (56_363_463, "93 weeks, 1 day, 8 hours, 31 minutes, 3 seconds"),
        ] {
            assert_eq!(readable(seconds), text);
        }
    }

    #[test]
    fn durations_are_those_of_airlift() {
        assert_eq!(duration("42.8ms"), Some(43));
        assert_eq!(duration("3.81 d"), Some(329_184_000));
        assert_eq!(duration("5m"), Some(300_000));
        for text in ["", "5", "m", "-5m", "5 weeks", "1e3s", "é5s", "5.s"] {
            assert_eq!(duration(text), None, "{text}");
        }
    }
}
