//! Columns of dates, timestamps and intervals of any of Arrow's units, read in milliseconds.

use arrow::array::{Array, ArrayRef, AsArray};
use arrow::buffer::NullBuffer;
use arrow::datatypes::{
    DataType, Date32Type, DurationMicrosecondType, DurationMillisecondType, DurationNanosecondType,
    DurationSecondType, IntervalDayTimeType, IntervalMonthDayNanoType, IntervalUnit, IntervalYearMonthType,
    TimeUnit, TimestampMicrosecondType, TimestampMillisecondType, TimestampNanosecondType,
    TimestampSecondType,
};
use datafusion::common::{Result, exec_datafusion_err, internal_err};

use super::super::scalar::Arguments;
use super::civil::DAY;
use super::zone::Zone;

/// A column of the kind `Instant`, or one value in each row.
pub(super) struct Instants<'a> {
    values: Values<'a>,
    nulls: Option<&'a NullBuffer>,
    constant: bool,
    scale: Scale,
    /// The zone of its type.
    pub(super) zone: Zone,
}

enum Values<'a> {
    Days(&'a [i32]),
    Ticks(&'a [i64]),
}

/// How many milliseconds one tick of the type has, or how many ticks a millisecond.
#[derive(Clone, Copy)]
enum Scale {
    MillisPerTick(i64),
    TicksPerMilli(i64),
}

impl Scale {
    fn of(data_type: &DataType) -> Result<Self> {
        Ok(match data_type {
            DataType::Date32 => Self::MillisPerTick(DAY),
            DataType::Timestamp(TimeUnit::Second, _) => Self::MillisPerTick(1_000),
            DataType::Timestamp(TimeUnit::Millisecond, _) => Self::MillisPerTick(1),
            DataType::Timestamp(TimeUnit::Microsecond, _) => Self::TicksPerMilli(1_000),
            DataType::Timestamp(TimeUnit::Nanosecond, _) => Self::TicksPerMilli(1_000_000),
            other => return internal_err!("a date or timestamp expected, not {other}"),
        })
    }

    fn to_millis(self, ticks: i64) -> i64 {
        match self {
            Self::MillisPerTick(millis) => ticks.saturating_mul(millis),
            Self::TicksPerMilli(ticks_per_milli) => ticks.div_euclid(ticks_per_milli),
        }
    }

    fn to_ticks(self, millis: i64) -> Option<i64> {
        match self {
            Self::MillisPerTick(per_tick) => Some(millis.div_euclid(per_tick)),
            Self::TicksPerMilli(ticks) => millis.checked_mul(ticks),
        }
    }
}

impl<'a> Instants<'a> {
    pub(super) fn new(args: &'a Arguments, index: usize) -> Result<Self> {
        let array = args.one_or_all(index);
        let zone = match array.data_type() {
            DataType::Timestamp(_, zone) => Zone::of(zone.as_deref())?,
            _ => Zone::UTC,
        };
        let constant = args.literal(index).is_some();
        let scale = Scale::of(array.data_type())?;
        Ok(Self { values: values(array)?, nulls: array.nulls(), constant, scale, zone })
    }

    fn ticks(&self, row: usize) -> Option<i64> {
        let row = if self.constant { 0 } else { row };
        if self.nulls.is_some_and(|nulls| nulls.is_null(row)) {
            return None;
        }
        Some(match self.values {
            Values::Days(days) => i64::from(days[row]),
            Values::Ticks(ticks) => ticks[row],
        })
    }

    /// Milliseconds after 1970 in UTC.
    pub(super) fn utc(&self, row: usize) -> Option<i64> {
        self.ticks(row).map(|ticks| self.scale.to_millis(ticks))
    }

    /// Milliseconds after 1970 by the clocks of its zone.
    pub(super) fn local(&self, row: usize) -> Option<i64> {
        self.utc(row).map(|utc| self.zone.local(utc))
    }

    /// A column of the same type, each value changed by `change`, which takes and gives milliseconds in UTC;
    /// what is finer than a millisecond is kept if `keep_rest`.
    pub(super) fn map<F>(&self, args: &Arguments, keep_rest: bool, mut change: F) -> Result<ArrayRef>
    where
        F: FnMut(usize, i64) -> Result<Option<i64>>,
    {
        let mut ticks = |row: usize| -> Result<Option<i64>> {
            let Some(ticks) = self.ticks(row) else { return Ok(None) };
            let millis = self.scale.to_millis(ticks);
            let rest = match self.scale {
                Scale::TicksPerMilli(per_milli) if keep_rest => ticks.rem_euclid(per_milli),
                _ => 0,
            };
            let Some(changed) = change(row, millis)? else { return Ok(None) };
            let changed = self.scale.to_ticks(changed).and_then(|ticks| ticks.checked_add(rest));
            changed.map(Some).ok_or_else(out_of_range)
        };
        match args.return_type() {
            DataType::Timestamp(TimeUnit::Second, _) => args.to_numbers::<TimestampSecondType, _>(ticks),
            DataType::Timestamp(TimeUnit::Millisecond, _) => {
                args.to_numbers::<TimestampMillisecondType, _>(ticks)
            }
            DataType::Timestamp(TimeUnit::Microsecond, _) => {
                args.to_numbers::<TimestampMicrosecondType, _>(ticks)
            }
            DataType::Timestamp(TimeUnit::Nanosecond, _) => {
                args.to_numbers::<TimestampNanosecondType, _>(ticks)
            }
            _ => args.to_numbers::<Date32Type, _>(|row| {
                let days = ticks(row)?;
                days.map(|days| i32::try_from(days).map_err(|_| out_of_range())).transpose()
            }),
        }
    }
}

/// The error of a time that no timestamp can hold.
pub(super) fn out_of_range() -> datafusion::error::DataFusionError {
    exec_datafusion_err!("NUMERIC_VALUE_OUT_OF_RANGE: the time is too far from now for a timestamp")
}

fn values(array: &ArrayRef) -> Result<Values<'_>> {
    Ok(match array.data_type() {
        DataType::Date32 => Values::Days(array.as_primitive::<Date32Type>().values()),
        DataType::Timestamp(TimeUnit::Second, _) => {
            Values::Ticks(array.as_primitive::<TimestampSecondType>().values())
        }
        DataType::Timestamp(TimeUnit::Millisecond, _) => {
            Values::Ticks(array.as_primitive::<TimestampMillisecondType>().values())
        }
        DataType::Timestamp(TimeUnit::Microsecond, _) => {
            Values::Ticks(array.as_primitive::<TimestampMicrosecondType>().values())
        }
        DataType::Timestamp(TimeUnit::Nanosecond, _) => {
            Values::Ticks(array.as_primitive::<TimestampNanosecondType>().values())
        }
        other => return internal_err!("a date or timestamp expected, not {other}"),
    })
}

/// An interval: months, and milliseconds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Span {
    /// Of an interval year to month.
    pub(super) months: i64,
    /// Of an interval day to second.
    pub(super) millis: i64,
}

/// The interval of a row of an argument of the kind `Interval`.
pub(super) fn span(args: &Arguments, index: usize, row: usize) -> Result<Option<Span>> {
    let array = args.one_or_all(index);
    let row = args.place(index, row);
    if array.is_null(row) {
        return Ok(None);
    }
    let millis = |millis: i64| Span { months: 0, millis };
    Ok(Some(match array.data_type() {
        DataType::Duration(TimeUnit::Second) => {
            millis(array.as_primitive::<DurationSecondType>().value(row).saturating_mul(1_000))
        }
        DataType::Duration(TimeUnit::Millisecond) => {
            millis(array.as_primitive::<DurationMillisecondType>().value(row))
        }
        DataType::Duration(TimeUnit::Microsecond) => {
            millis(array.as_primitive::<DurationMicrosecondType>().value(row) / 1_000)
        }
        DataType::Duration(TimeUnit::Nanosecond) => {
            millis(array.as_primitive::<DurationNanosecondType>().value(row) / 1_000_000)
        }
        DataType::Interval(IntervalUnit::YearMonth) => {
            let months = array.as_primitive::<IntervalYearMonthType>().value(row);
            Span { months: i64::from(months), millis: 0 }
        }
        DataType::Interval(IntervalUnit::DayTime) => {
            let value = array.as_primitive::<IntervalDayTimeType>().value(row);
            millis(i64::from(value.days) * DAY + i64::from(value.milliseconds))
        }
        DataType::Interval(IntervalUnit::MonthDayNano) => {
            let value = array.as_primitive::<IntervalMonthDayNanoType>().value(row);
            let millis = i64::from(value.days) * DAY + value.nanoseconds / 1_000_000;
            Span { months: i64::from(value.months), millis }
        }
        other => return internal_err!("an interval expected, not {other}"),
    }))
}
