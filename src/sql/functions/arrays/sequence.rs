//! `sequence`.

use std::sync::Arc;

use arrow::array::{Array, ArrayRef, AsArray, Int64Array, IntervalMonthDayNanoArray, PrimitiveArray};
use arrow::compute::cast;
use arrow::datatypes::{
    DataType, Date32Type, Int64Type, IntervalMonthDayNano, IntervalMonthDayNanoType, IntervalUnit, TimeUnit,
    TimestampMillisecondType,
};
use chrono::{DateTime, Datelike, Months, NaiveDate, NaiveDateTime};
use datafusion::common::{Result, exec_datafusion_err, exec_err};
use datafusion::logical_expr::ScalarUDF;

use super::function::{Function, Types, is_bigint, list_of};
use super::lists::lists;

/// Trino's limit.
const MAX_ENTRIES: usize = 10_000;
const MILLIS_A_DAY: i64 = 86_400_000;

/// The functions of this file.
pub(super) fn scalar() -> Vec<ScalarUDF> {
    let expected = "sequence(bigint, bigint[, bigint]), sequence(date, date[, interval]), \
                    sequence(timestamp, timestamp, interval)";
    vec![Function::udf("sequence", expected, types, sequence)]
}

fn types(given: &[DataType]) -> Option<Types> {
    let interval = DataType::Interval(IntervalUnit::MonthDayNano);
    match given {
        [start, until] if is_bigint(start) && is_bigint(until) => {
            Types::new([DataType::Int64, DataType::Int64], list_of(DataType::Int64))
        }
        [start, until, step] if is_bigint(start) && is_bigint(until) && is_bigint(step) => {
            Types::new([DataType::Int64, DataType::Int64, DataType::Int64], list_of(DataType::Int64))
        }
        [DataType::Date32, DataType::Date32] => {
            Types::new([DataType::Date32, DataType::Date32], list_of(DataType::Date32))
        }
        [DataType::Date32, DataType::Date32, DataType::Interval(_)] => {
            Types::new([DataType::Date32, DataType::Date32, interval], list_of(DataType::Date32))
        }
        [DataType::Timestamp(_, zone), DataType::Timestamp(..), DataType::Interval(_)] => {
            let time = DataType::Timestamp(TimeUnit::Millisecond, zone.clone());
            Types::new([time.clone(), time.clone(), interval], list_of(time))
        }
        _ => None,
    }
}

fn sequence(args: &[ArrayRef], gives: &DataType) -> Result<ArrayRef> {
    match args[0].data_type() {
        DataType::Int64 => {
            let (starts, untils) = (args[0].as_primitive::<Int64Type>(), args[1].as_primitive::<Int64Type>());
            let steps = args.get(2).map(AsArray::as_primitive::<Int64Type>);
            let rows = (0..starts.len()).map(|row| {
                let step = match steps {
                    Some(steps) => steps.is_valid(row).then(|| Step { months: 0, by: steps.value(row) }),
                    None => Some(Step {
                        months: 0,
                        by: if untils.value(row) >= starts.value(row) { 1 } else { -1 },
                    }),
                };
                Some((value(starts, row)?, value(untils, row)?, step?))
            });
            build(rows, gives, |values| Ok(Arc::new(Int64Array::from(values))))
        }
        DataType::Date32 => {
            let (starts, untils) =
                (args[0].as_primitive::<Date32Type>(), args[1].as_primitive::<Date32Type>());
            let steps = args.get(2).map(AsArray::as_primitive::<IntervalMonthDayNanoType>);
            let rows = (0..starts.len())
                .map(|row| {
                    let (Some(start), Some(until)) = (value(starts, row), value(untils, row)) else { return Ok(None) };
                    let (start, until) = (i64::from(start) * MILLIS_A_DAY, i64::from(until) * MILLIS_A_DAY);
                    let step = match steps {
                        Some(steps) => interval(steps, row),
                        None => Some(Step { months: 0, by: if until >= start { MILLIS_A_DAY } else { -MILLIS_A_DAY } }),
                    };
                    match step {
                        Some(step) if step.by % MILLIS_A_DAY != 0 => exec_err!(
                            "INVALID_FUNCTION_ARGUMENT: sequence step must be a day interval if start and end values are dates"
                        ),
                        step => Ok(step.map(|step| (start, until, step))),
                    }
                })
                .collect::<Result<Vec<_>>>()?;
            build(rows.into_iter(), gives, |values| {
                let days =
                    values.into_iter().map(|millis| i32::try_from(millis / MILLIS_A_DAY).unwrap_or_default());
                Ok(Arc::new(PrimitiveArray::<Date32Type>::from_iter_values(days)))
            })
        }
        time => {
            let (starts, untils) = (
                args[0].as_primitive::<TimestampMillisecondType>(),
                args[1].as_primitive::<TimestampMillisecondType>(),
            );
            let steps = args[2].as_primitive::<IntervalMonthDayNanoType>();
            let rows = (0..starts.len())
                .map(|row| Some((value(starts, row)?, value(untils, row)?, interval(steps, row)?)));
            build(rows, gives, |values| {
                let times = PrimitiveArray::<TimestampMillisecondType>::from_iter_values(values);
                Ok(cast(&times, time)?)
            })
        }
    }
}

fn value<T: arrow::datatypes::ArrowPrimitiveType>(
    array: &PrimitiveArray<T>,
    row: usize,
) -> Option<T::Native> {
    array.is_valid(row).then(|| array.value(row))
}

/// How far from one entry to the next: a number (days and times in milliseconds), or months.
#[derive(Clone, Copy)]
struct Step {
    months: i32,
    by: i64,
}

impl Step {
    /// Which way it goes.
    fn sign(self) -> i64 {
        if self.months == 0 { self.by.signum() } else { i64::from(self.months.signum()) }
    }

    /// The entry that is `count` steps after the first, None past the end of time.
    fn after(self, start: i64, count: usize) -> Option<i64> {
        if self.months == 0 {
            return self.by.checked_mul(i64::try_from(count).ok()?)?.checked_add(start);
        }
        let months = self.months.checked_mul(i32::try_from(count).ok()?)?;
        let time = DateTime::from_timestamp_millis(start)?.naive_utc();
        Some(add_months(time, months)?.and_utc().timestamp_millis())
    }
}

fn add_months(time: NaiveDateTime, months: i32) -> Option<NaiveDateTime> {
    let by = Months::new(months.unsigned_abs());
    let date: NaiveDate =
        if months < 0 { time.date().checked_sub_months(by)? } else { time.date().checked_add_months(by)? };
    (date.year() < 10_000).then(|| date.and_time(time.time()))
}

fn interval(steps: &IntervalMonthDayNanoArray, row: usize) -> Option<Step> {
    let IntervalMonthDayNano { months, days, nanoseconds } = value(steps, row)?;
    Some(Step { months, by: i64::from(days) * MILLIS_A_DAY + nanoseconds / 1_000_000 })
}

fn build(
    rows: impl Iterator<Item = Option<(i64, i64, Step)>>,
    gives: &DataType,
    array: impl FnOnce(Vec<i64>) -> Result<ArrayRef>,
) -> Result<ArrayRef> {
    let (mut values, mut lengths, mut valid) = (Vec::new(), Vec::new(), Vec::new());
    for row in rows {
        let begun = values.len();
        if let Some((start, until, step)) = row {
            entries(start, until, step, &mut values)?;
        }
        lengths.push(values.len() - begun);
        valid.push(row.is_some());
    }
    lists(array(values)?, &lengths, Some(valid.into()), gives)
}

fn entries(start: i64, until: i64, step: Step, values: &mut Vec<i64>) -> Result<()> {
    let sign = step.sign();
    if sign == 0 {
        return exec_err!("INVALID_FUNCTION_ARGUMENT: step must not be zero");
    }
    if (sign > 0 && until < start) || (sign < 0 && until > start) {
        return exec_err!(
            "INVALID_FUNCTION_ARGUMENT: sequence stop value should be greater than or equal to start value \
             if step is greater than zero otherwise stop should be less than or equal to start"
        );
    }
    for count in 0.. {
        let Some(value) = step.after(start, count) else { return Ok(()) };
        if (sign > 0 && value > until) || (sign < 0 && value < until) {
            return Ok(());
        }
        if count == MAX_ENTRIES {
            return Err(exec_datafusion_err!(
                "INVALID_FUNCTION_ARGUMENT: result of sequence function must not have more than {MAX_ENTRIES} entries"
            ));
        }
        values.push(value);
    }
    Ok(())
}
