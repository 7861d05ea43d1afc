//! `from_iso8601_timestamp`, `from_iso8601_date`, `to_iso8601`, and `date`.

use std::fmt::Write as _;

use arrow::array::ArrayRef;
use arrow::datatypes::{DataType, Date32Type, TimestampMillisecondType};
use datafusion::common::{Result, exec_datafusion_err};
use datafusion::logical_expr::simplify::{ExprSimplifyResult, SimplifyContext};
use datafusion::logical_expr::{Cast, Expr, ScalarUDF};

use super::super::scalar::{Arguments, Function, Kind, timestamp};
use super::civil::{DAY, Date, HOUR, MINUTE, SECOND, days_in_month};
use super::instants::{Instants, out_of_range};
use super::iso_text::{parse_date, parse_time};
use super::zone::offset_text;

/// The functions of this file.
pub(super) fn scalar() -> Vec<ScalarUDF> {
    const TEXT: &[&[Kind]] = &[&[Kind::Text]];
    const DATE: &[&[Kind]] = &[&[Kind::Instant], &[Kind::Text]];
    vec![
        Function::new("from_iso8601_timestamp", TEXT, timestamp(Some("UTC")), from_iso8601_timestamp).into(),
        Function::new("from_iso8601_date", TEXT, DataType::Date32, from_iso8601_date).into(),
        Function::new("to_iso8601", &[&[Kind::Instant]], DataType::Utf8, to_iso8601).into(),
        Function::new("date", DATE, DataType::Date32, date).simplify(date_as_cast).into(),
    ]
}

fn invalid(why: &str) -> datafusion::error::DataFusionError {
    exec_datafusion_err!("INVALID_FUNCTION_ARGUMENT: {why}")
}

/// A column has one zone, so that the moment is kept, and not the offset that its text had.
fn from_iso8601_timestamp(args: &Arguments) -> Result<ArrayRef> {
    let texts = args.text(0)?;
    args.to_numbers::<TimestampMillisecondType, _>(|row| {
        let Some(text) = texts.at(row) else { return Ok(None) };
        parse_time(text).map(|(utc, _)| Some(utc)).map_err(|why| invalid(&why))
    })
}

fn from_iso8601_date(args: &Arguments) -> Result<ArrayRef> {
    let texts = args.text(0)?;
    args.to_numbers::<Date32Type, _>(|row| {
        let Some(text) = texts.at(row) else { return Ok(None) };
        let day = parse_date(text).map_err(|why| invalid(&why))?;
        i32::try_from(day).map(Some).map_err(|_| out_of_range())
    })
}

fn to_iso8601(args: &Arguments) -> Result<ArrayRef> {
    let instants = Instants::new(args, 0)?;
    let data_type = args.one_or_all(0).data_type();
    let (is_date, has_zone) =
        (*data_type == DataType::Date32, matches!(data_type, DataType::Timestamp(_, Some(_))));
    args.to_texts(|row, out| {
        let Some(utc) = instants.utc(row) else { return Ok(None) };
        let local = instants.zone.local(utc);
        let Date { year, month, day } = Date::of_millis(local);
        let _ = write!(out, "{year:04}-{month:02}-{day:02}");
        if is_date {
            return Ok(Some(()));
        }
        let time = local.rem_euclid(DAY);
        let (hour, minute, second) = (time / HOUR, time % HOUR / MINUTE, time % MINUTE / SECOND);
        let _ = write!(out, "T{hour:02}:{minute:02}:{second:02}.{:03}", time % SECOND);
        if has_zone {
            let offset = instants.zone.offset(utc);
            let _ = out.write_str(&if offset == 0 { "Z".to_owned() } else { offset_text(offset, ":") });
        }
        Ok(Some(()))
    })
}

/// `date(x)` is `CAST(x AS date)`.
fn date(args: &Arguments) -> Result<ArrayRef> {
    let to_day = |day: i64| i32::try_from(day).map(Some).map_err(|_| out_of_range());
    if matches!(args.one_or_all(0).data_type(), DataType::Utf8 | DataType::Utf8View) {
        let texts = args.text(0)?;
        return args.to_numbers::<Date32Type, _>(|row| {
            let Some(text) = texts.at(row) else { return Ok(None) };
            let day = plain_date(text.trim()).ok_or_else(|| {
                exec_datafusion_err!("INVALID_CAST_ARGUMENT: Value cannot be cast to date: {text}")
            })?;
            to_day(day)
        });
    }
    let instants = Instants::new(args, 0)?;
    args.to_numbers::<Date32Type, _>(|row| match instants.local(row) {
        Some(local) => to_day(local.div_euclid(DAY)),
        None => Ok(None),
    })
}

/// A date as casts read it, `2026-01-05` or `2026-1-5`.
fn plain_date(text: &str) -> Option<i64> {
    let (sign, digits) = match text.as_bytes().first()? {
        b'-' => (-1, &text[1..]),
        b'+' => (1, &text[1..]),
        _ => (1, text),
    };
    let mut parts = digits.split('-');
    let mut number = |lengths: std::ops::RangeInclusive<usize>| {
        let part = parts.next()?;
        let valid = lengths.contains(&part.len()) && part.bytes().all(|b| b.is_ascii_digit());
        if valid { part.parse::<i64>().ok() } else { None }
    };
    let (year, month, day) = (sign * number(1..=7)?, number(1..=2)?, number(1..=2)?);
    let valid = parts.next().is_none()
        && (1..=12).contains(&month)
        && (1..=days_in_month(year, month)).contains(&day);
    valid.then(|| Date { year, month, day }.to_day())
}

/// What DataFusion knows how to look through, so that files can be left out.
fn date_as_cast(mut args: Vec<Expr>, info: &SimplifyContext) -> Result<ExprSimplifyResult> {
    let native = match info.get_data_type(&args[0])? {
        DataType::Date32 => return Ok(ExprSimplifyResult::Simplified(args.remove(0))),
        DataType::Timestamp(_, None) => true,
        DataType::Timestamp(_, Some(zone)) => zone.as_ref() == "UTC",
        _ => false,
    };
    if !native {
        return Ok(ExprSimplifyResult::Original(args));
    }
    let cast = Cast::new(Box::new(args.remove(0)), DataType::Date32);
    Ok(ExprSimplifyResult::Simplified(Expr::Cast(cast)))
}
