//! Casts to and from dates, times and timestamps.

use std::sync::Arc;

use arrow::array::timezone::Tz;
use arrow::array::{Array, ArrayRef, AsArray, Date32Array, Int64Array};
use arrow::compute;
use arrow::datatypes::{DataType, Date32Type, TimeUnit};
use datafusion::common::{Result, internal_err};

use super::super::args::Texts;
use super::super::types::Type;
use super::failures::Failures;
use super::text::each;
use super::time_text::{clock, date, moment, offset, push_clock, push_date, push_moment, to_utc, zone};

const NANOS: i128 = 1_000_000_000;
const NANOS_OF_DAY: i128 = 86_400 * NANOS;

/// A column of moments in whichever of Arrow's types it came.
struct Moments {
    values: Int64Array,
    nanos: i128,
    digits: u8,
    /// The zone, unless it is UTC or the moments have none.
    zone: Option<Tz>,
}

impl Moments {
    fn of(input: &ArrayRef) -> Result<Self> {
        let (unit, zone_name) = match input.data_type() {
            DataType::Timestamp(unit, zone) => (*unit, zone.as_deref()),
            DataType::Time32(unit) | DataType::Time64(unit) => (*unit, None),
            DataType::Date32 => {
                return Self::of(&compute::cast(input, &DataType::Timestamp(TimeUnit::Second, None))?);
            }
            other => return internal_err!("no moments in {other}"),
        };
        let values = match input.data_type() {
            DataType::Time32(_) => compute::cast(&compute::cast(input, &DataType::Int32)?, &DataType::Int64)?,
            _ => compute::cast(input, &DataType::Int64)?,
        };
        let zone = zone_name.and_then(zone).filter(|(_, name)| name != "UTC").map(|(zone, _)| zone);
        let digits = digits(unit);
        Ok(Self { values: values.as_primitive().clone(), nanos: power(9 - digits), digits, zone })
    }

    /// Nanoseconds of UTC since 1970.
    fn utc(&self, row: usize) -> i128 {
        i128::from(self.values.value(row)) * self.nanos
    }

    /// Nanoseconds that the clock of the zone shows since 1970.
    fn local(&self, row: usize) -> i128 {
        let utc = self.utc(row);
        match self.zone {
            Some(zone) => utc + i128::from(offset(zone, utc)) * NANOS,
            None => utc,
        }
    }
}

fn digits(unit: TimeUnit) -> u8 {
    match unit {
        TimeUnit::Second => 0,
        TimeUnit::Millisecond => 3,
        TimeUnit::Microsecond => 6,
        TimeUnit::Nanosecond => 9,
    }
}

fn power(exponent: u8) -> i128 {
    10_i128.pow(u32::from(exponent))
}

/// Nanoseconds as a number of the unit that holds so many decimal places, rounded to them; a half rounds up.
fn in_unit(nanos: i128, precision: u8) -> Option<i64> {
    let held = match precision {
        0 => 0,
        1..=3 => 3,
        4..=6 => 6,
        _ => 9,
    };
    let step = power(9 - precision.min(9));
    let rounded = (nanos + step / 2).div_euclid(step) * step;
    i64::try_from(rounded / power(9 - held)).ok()
}

/// The name of the zone that a text has.
pub(super) fn zone_of(text: &str) -> Option<String> {
    moment(text)?.zone.and_then(zone).map(|(_, name)| name)
}

/// Casts to a date, a time or a timestamp.
pub(super) fn cast(input: &ArrayRef, from: &Type, to: &Type, failures: &mut Failures) -> Result<ArrayRef> {
    match (from, to) {
        (Type::Date, Type::Date) => Ok(Arc::clone(input)),
        (Type::Varchar(_) | Type::Char(_), Type::Date) => Ok(Arc::new(dates(&Texts::of(input)?, failures))),
        (Type::Varchar(_) | Type::Char(_), _) => read(&Texts::of(input)?, to, failures),
        (_, Type::Date) => Ok(Arc::new(days(&Moments::of(input)?))),
        _ => converted(&Moments::of(input)?, from, to, failures),
    }
}

fn cannot(text: &str, to: &str) -> String {
    format!("INVALID_CAST_ARGUMENT: Value cannot be cast to {to}: {text}")
}

fn dates(texts: &Texts, failures: &mut Failures) -> Date32Array {
    let read = |(row, text): (usize, Option<&str>)| {
        let text = text?;
        failures.note(row, date(text), || cannot(text, "date"))
    };
    texts.iter().enumerate().map(read).collect()
}

fn read(texts: &Texts, to: &Type, failures: &mut Failures) -> Result<ArrayRef> {
    let mut zones = Zones::default();
    let values: Int64Array = texts
        .iter()
        .enumerate()
        .map(|(row, text)| {
            let text = text?;
            let (value, name) = match to {
                Type::Time(precision) => (clock(text).and_then(|nanos| in_unit(nanos, *precision)), "time"),
                Type::Timestamp(precision) => {
                    let local =
                        moment(text).filter(|moment| moment.zone.is_none()).map(|moment| moment.local);
                    (local.and_then(|nanos| in_unit(nanos, *precision)), "timestamp")
                }
                Type::TimestampWithTimeZone(precision) => {
                    let utc = moment(text).and_then(|moment| match moment.zone {
                        Some(name) => to_utc(zones.get(name)?, moment.local),
                        None => Some(moment.local),
                    });
                    (utc.and_then(|nanos| in_unit(nanos, *precision)), "timestamp with time zone")
                }
                _ => (None, "date"),
            };
            failures.note(row, value, || cannot(text, name))
        })
        .collect();
    finished(values, to)
}

/// The zone of the row before, which is nearly always the zone of the next one as well.
#[derive(Default)]
struct Zones(Option<(String, Tz)>);

impl Zones {
    fn get(&mut self, name: &str) -> Option<Tz> {
        if self.0.as_ref().is_none_or(|(known, _)| known != name) {
            self.0 = Some((name.to_owned(), zone(name)?.0));
        }
        self.0.as_ref().map(|(_, zone)| *zone)
    }
}

/// Numbers of a unit as the type that they are of.
fn finished(values: Int64Array, to: &Type) -> Result<ArrayRef> {
    let wanted = to.arrow();
    let values: ArrayRef = Arc::new(values);
    Ok(match wanted {
        DataType::Time32(_) => compute::cast(&compute::cast(&values, &DataType::Int32)?, &wanted)?,
        _ => compute::cast(&values, &wanted)?,
    })
}

fn days(moments: &Moments) -> Date32Array {
    moments
        .values
        .iter()
        .enumerate()
        .map(|(row, value)| {
            value.and_then(|_| i32::try_from(moments.local(row).div_euclid(NANOS_OF_DAY)).ok())
        })
        .collect()
}

fn converted(moments: &Moments, from: &Type, to: &Type, failures: &mut Failures) -> Result<ArrayRef> {
    let convert = |row: usize| match to {
        Type::Time(precision) => {
            let nanos = moments.local(row).rem_euclid(NANOS_OF_DAY);
            // What rounds up to midnight is midnight.
            in_unit(nanos, *precision).map(|value| value % (86_400 * seconds(*precision)))
        }
        Type::TimestampWithTimeZone(precision) => in_unit(moments.utc(row), *precision),
        Type::Timestamp(precision) => in_unit(moments.local(row), *precision),
        _ => None,
    };
    let values: Int64Array = (0..moments.values.len())
        .map(|row| {
            let reason = || format!("INVALID_CAST_ARGUMENT: Cannot cast {from} to {to}: out of range");
            moments.values.is_valid(row).then(|| failures.note(row, convert(row), reason))?
        })
        .collect();
    finished(values, to)
}

/// How many of the unit that holds so many decimal places are a second.
fn seconds(precision: u8) -> i64 {
    match precision {
        0 => 1,
        1..=3 => 1000,
        4..=6 => 1_000_000,
        _ => 1_000_000_000,
    }
}

/// The texts of dates and times.
pub(super) fn written(input: &ArrayRef, from: &Type) -> Result<ArrayRef> {
    if let Type::Date = from {
        let values = input.as_primitive::<Date32Type>();
        return Ok(each(values, |out, row| push_date(out, values.value(row))));
    }
    let moments = Moments::of(input)?;
    let zone = match input.data_type() {
        DataType::Timestamp(_, Some(name)) => zone(name).map_or_else(|| name.to_string(), |(_, name)| name),
        _ => String::new(),
    };
    Ok(each(&moments.values, |out, row| {
        if let Type::Time(_) = from {
            let nanos = moments.utc(row);
            let part = |nanos: i128| u64::try_from(nanos).unwrap_or_default();
            push_clock(out, part(nanos / NANOS), part(nanos % NANOS), moments.digits);
            return;
        }
        push_moment(out, moments.local(row), moments.digits);
        if !zone.is_empty() {
            out.push(' ');
            out.push_str(&zone);
        }
    }))
}
