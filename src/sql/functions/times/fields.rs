//! The parts of a time: `year(x)`, `day_of_week(x)`, `timezone_hour(x)`; also what EXTRACT gives.

use arrow::array::{Array, ArrayRef, AsArray};
use arrow::datatypes::{
    DataType, Date32Type, Int64Type, Time32MillisecondType, Time32SecondType, Time64MicrosecondType,
    Time64NanosecondType, TimeUnit,
};
use datafusion::common::{Result, internal_err};
use datafusion::logical_expr::ScalarUDF;

use super::super::scalar::{Arguments, Function, Kind};
use super::civil::{DAY, Date, HOUR, MINUTE, SECOND, day_of_week, days_in_month, week_of};
use super::instants::{Instants, Span, span};

/// The functions of this file.
pub(super) fn scalar() -> Vec<ScalarUDF> {
    let mut functions: Vec<Function> = vec![
        of_date("year", |local| Date::of_millis(local).year, Some(|span| span.months / 12)),
        of_date("quarter", |local| (Date::of_millis(local).month + 2) / 3, None),
        of_date("month", |local| Date::of_millis(local).month, Some(|span| span.months % 12)),
        of_date("week", |local| week_of(local.div_euclid(DAY)).1, None).alias("week_of_year"),
        of_date("day", |local| Date::of_millis(local).day, Some(|span| span.millis / DAY))
            .alias("day_of_month"),
        of_date("day_of_week", |local| day_of_week(local.div_euclid(DAY)), None).alias("dow"),
        of_date("day_of_year", |local| Date::of_millis(local).day_of_year(), None).alias("doy"),
        of_date("year_of_week", |local| week_of(local.div_euclid(DAY)).0, None).alias("yow"),
        of_time("hour", HOUR, 24),
        of_time("minute", MINUTE, 60),
        of_time("second", SECOND, 60),
        of_time("millisecond", 1, 1_000),
    ];
    functions.push(Function::new("timezone_hour", &[&[Kind::Timestamp]], DataType::Int64, |args| {
        offsets(args, |offset| offset / HOUR)
    }));
    functions.push(Function::new("timezone_minute", &[&[Kind::Timestamp]], DataType::Int64, |args| {
        offsets(args, |offset| offset % HOUR / MINUTE)
    }));
    functions.push(Function::new("last_day_of_month", &[&[Kind::Instant]], DataType::Date32, |args| {
        let instants = Instants::new(args, 0)?;
        args.to_numbers::<Date32Type, _>(|row| Ok(instants.local(row).map(last_day_of_month)))
    }));
    functions.into_iter().map(Into::into).collect()
}

type OfSpan = fn(Span) -> i64;

/// A part of the date; `of_span` is that of an interval, if it has one.
fn of_date(name: &'static str, of_local: fn(i64) -> i64, of_span: Option<OfSpan>) -> Function {
    let takes: &'static [&'static [Kind]] =
        if of_span.is_some() { &[&[Kind::Instant], &[Kind::Interval]] } else { &[&[Kind::Instant]] };
    Function::new(name, takes, DataType::Int64, move |args| match (args.one_or_all(0).data_type(), of_span) {
        (DataType::Interval(_) | DataType::Duration(_), Some(of_span)) => spans(args, of_span),
        _ => locals(args, of_local),
    })
}

/// A part of the time: so many units of so many milliseconds.
fn of_time(name: &'static str, millis: i64, count: i64) -> Function {
    const TAKES: &[&[Kind]] = &[&[Kind::Timestamp], &[Kind::Time], &[Kind::Interval]];
    Function::new(name, TAKES, DataType::Int64, move |args| match args.one_or_all(0).data_type() {
        DataType::Interval(_) | DataType::Duration(_) => spans(args, |span| span.millis / millis % count),
        DataType::Time32(_) | DataType::Time64(_) => args
            .to_numbers::<Int64Type, _>(|row| Ok(time_of_day(args, row)?.map(|time| time / millis % count))),
        _ => locals(args, |local| local.div_euclid(millis).rem_euclid(count)),
    })
}

fn locals(args: &Arguments, part: impl Fn(i64) -> i64) -> Result<ArrayRef> {
    let instants = Instants::new(args, 0)?;
    args.to_numbers::<Int64Type, _>(|row| Ok(instants.local(row).map(&part)))
}

fn spans(args: &Arguments, part: impl Fn(Span) -> i64) -> Result<ArrayRef> {
    args.to_numbers::<Int64Type, _>(|row| Ok(span(args, 0, row)?.map(&part)))
}

fn offsets(args: &Arguments, part: impl Fn(i64) -> i64) -> Result<ArrayRef> {
    let instants = Instants::new(args, 0)?;
    args.to_numbers::<Int64Type, _>(|row| Ok(instants.utc(row).map(|utc| part(instants.zone.offset(utc)))))
}

fn time_of_day(args: &Arguments, row: usize) -> Result<Option<i64>> {
    let array = args.one_or_all(0);
    let row = args.place(0, row);
    if array.is_null(row) {
        return Ok(None);
    }
    Ok(Some(match array.data_type() {
        DataType::Time32(TimeUnit::Second) => {
            i64::from(array.as_primitive::<Time32SecondType>().value(row)) * SECOND
        }
        DataType::Time32(TimeUnit::Millisecond) => {
            i64::from(array.as_primitive::<Time32MillisecondType>().value(row))
        }
        DataType::Time64(TimeUnit::Microsecond) => {
            array.as_primitive::<Time64MicrosecondType>().value(row) / 1_000
        }
        DataType::Time64(TimeUnit::Nanosecond) => {
            array.as_primitive::<Time64NanosecondType>().value(row) / 1_000_000
        }
        other => return internal_err!("a time expected, not {other}"),
    }))
}

fn last_day_of_month(local: i64) -> i32 {
    let date = Date::of_millis(local);
    let last = Date { day: days_in_month(date.year, date.month), ..date }.to_day();
    i32::try_from(last).unwrap_or(i32::MAX)
}
