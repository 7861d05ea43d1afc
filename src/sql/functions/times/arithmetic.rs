//! `date_add`, `date_diff` and `date_trunc`: times by calendar units, as Joda's fields count them.

use arrow::array::ArrayRef;
use arrow::datatypes::{DataType, Int64Type};
use datafusion::common::{Result, exec_err};
use datafusion::logical_expr::ScalarUDF;

use super::super::scalar::{Arguments, Function, Kind, Texts};
use super::civil::{DAY, Date, HOUR, MINUTE, SECOND, day_of_week, days_in_month, is_leap};
use super::instants::{Instants, out_of_range};
use super::zone::Zone;

/// The functions of this file.
pub(super) fn scalar() -> Vec<ScalarUDF> {
    const ADD: &[&[Kind]] = &[&[Kind::Text, Kind::BigInt, Kind::Instant]];
    const DIFF: &[&[Kind]] =
        &[&[Kind::Text, Kind::Date, Kind::Date], &[Kind::Text, Kind::Timestamp, Kind::Timestamp]];
    const TRUNC: &[&[Kind]] = &[&[Kind::Text, Kind::Instant]];
    vec![
        Function::new("date_add", ADD, DataType::Null, date_add).returns_type_of(2).into(),
        Function::new("date_diff", DIFF, DataType::Int64, date_diff).into(),
        Function::new("date_trunc", TRUNC, DataType::Null, date_trunc).returns_type_of(1).into(),
    ]
}

/// A unit of time, so long in milliseconds or months.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Unit {
    /// Of a day or less: 1 is a millisecond.
    Time(i64),
    /// Days by the calendar, which need not have 24 hours.
    Days(i64),
    Months(i64),
}

impl Unit {
    fn parse(text: &str, of: &DataType) -> Result<Self> {
        let unit = match text.to_ascii_lowercase().as_str() {
            "millisecond" => Self::Time(1),
            "second" => Self::Time(SECOND),
            "minute" => Self::Time(MINUTE),
            "hour" => Self::Time(HOUR),
            "day" => Self::Days(1),
            "week" => Self::Days(7),
            "month" => Self::Months(1),
            "quarter" => Self::Months(3),
            "year" => Self::Months(12),
            _ => return not_a_unit(text, of),
        };
        match (unit, of) {
            (Self::Time(_), DataType::Date32) => not_a_unit(text, of),
            _ => Ok(unit),
        }
    }

    fn add(self, count: i64, utc: i64, zone: Zone) -> Option<i64> {
        let local = zone.local(utc);
        let changed = match self {
            // Clocks that are put forward do not make an hour longer.
            Self::Time(millis) => return utc.checked_add(count.checked_mul(millis)?),
            Self::Days(days) => local.checked_add(count.checked_mul(days)?.checked_mul(DAY)?)?,
            Self::Months(months) => {
                let date = Date::of_millis(local).plus_months(count.checked_mul(months)?)?;
                date.to_day().checked_mul(DAY)?.checked_add(local.rem_euclid(DAY))?
            }
        };
        Some(zone.utc(changed, utc))
    }

    fn truncate(self, utc: i64, zone: Zone) -> i64 {
        let local = zone.local(utc);
        let day = local.div_euclid(DAY);
        let first = match self {
            Self::Time(millis) => return utc.saturating_sub(local.rem_euclid(millis)),
            Self::Days(1) => day,
            Self::Days(_) => day - day_of_week(day) + 1,
            Self::Months(months) => {
                let date = Date::of_day(day);
                let month = (date.month - 1) / months * months + 1;
                Date { month, day: 1, ..date }.to_day()
            }
        };
        zone.utc(first.saturating_mul(DAY), utc)
    }

    /// Complete units from `start` to `end`.
    fn between(self, start: i64, end: i64, zone: Zone) -> i64 {
        match self {
            Self::Time(millis) => end.saturating_sub(start) / millis,
            Self::Days(days) => zone.local(end).saturating_sub(zone.local(start)) / (days * DAY),
            Self::Months(12) => signed(zone.local(start), zone.local(end), years_between),
            Self::Months(months) => signed(zone.local(start), zone.local(end), months_between) / months,
        }
    }
}

fn not_a_unit<T>(text: &str, of: &DataType) -> Result<T> {
    let of = if *of == DataType::Date32 { "DATE" } else { "TIMESTAMP" };
    exec_err!("INVALID_FUNCTION_ARGUMENT: '{text}' is not a valid {of} field")
}

fn signed(start: i64, end: i64, between: fn(i64, i64) -> i64) -> i64 {
    if end < start { -between(end, start) } else { between(start, end) }
}

/// The last day of a month counts as the same day of a longer one.
fn months_between(start: i64, end: i64) -> i64 {
    let (first, last) = (Date::of_millis(start), Date::of_millis(end));
    let months = (last.year - first.year) * 12 + last.month - first.month;
    let ends_month = last.day == days_in_month(last.year, last.month);
    let first_day = if ends_month { first.day.min(last.day) } else { first.day };
    let in_first = (first_day, start.rem_euclid(DAY));
    let in_last = (last.day, end.rem_euclid(DAY));
    months - i64::from(in_last < in_first)
}

/// The 29th of February, and what follows it, is a day earlier in a year without it.
fn years_between(start: i64, end: i64) -> i64 {
    const FEBRUARY_29: i64 = 59 * DAY;
    let in_year = |millis: i64, year: i64| millis - Date { year, month: 1, day: 1 }.to_day() * DAY;
    let (first, last) = (Date::of_millis(start).year, Date::of_millis(end).year);
    let (mut in_first, mut in_last) = (in_year(start, first), in_year(end, last));
    if in_first >= FEBRUARY_29 {
        match (is_leap(first), is_leap(last)) {
            (true, false) => in_first -= DAY,
            (false, true) if in_last >= FEBRUARY_29 => in_last -= DAY,
            _ => {}
        }
    }
    last - first - i64::from(in_last < in_first)
}

/// The unit of each row: nearly always one and the same.
struct Units<'a> {
    texts: Texts<'a>,
    of: &'a DataType,
    one: Option<Unit>,
}

impl<'a> Units<'a> {
    fn new(args: &'a Arguments, of: &'a DataType) -> Result<Self> {
        let texts = args.text(0)?;
        let constant = if texts.is_constant() { texts.at(0) } else { None };
        let one = constant.map(|text| Unit::parse(text, of)).transpose()?;
        Ok(Self { texts, of, one })
    }

    fn at(&self, row: usize) -> Result<Option<Unit>> {
        match self.one {
            Some(unit) => Ok(Some(unit)),
            None => self.texts.at(row).map(|text| Unit::parse(text, self.of)).transpose(),
        }
    }
}

fn date_add(args: &Arguments) -> Result<ArrayRef> {
    let units = Units::new(args, args.one_or_all(2).data_type())?;
    let counts = args.bigint(1)?;
    let instants = Instants::new(args, 2)?;
    instants.map(args, true, |row, utc| {
        let (Some(unit), Some(count)) = (units.at(row)?, counts.at(row)) else { return Ok(None) };
        unit.add(count, utc, instants.zone).map(Some).ok_or_else(out_of_range)
    })
}

fn date_trunc(args: &Arguments) -> Result<ArrayRef> {
    let units = Units::new(args, args.one_or_all(1).data_type())?;
    let instants = Instants::new(args, 1)?;
    instants.map(args, false, |row, utc| Ok(units.at(row)?.map(|unit| unit.truncate(utc, instants.zone))))
}

fn date_diff(args: &Arguments) -> Result<ArrayRef> {
    let units = Units::new(args, args.one_or_all(1).data_type())?;
    let (starts, ends) = (Instants::new(args, 1)?, Instants::new(args, 2)?);
    // As in Trino, the zone of the first counts.
    args.to_numbers::<Int64Type, _>(|row| {
        let (Some(unit), Some(start), Some(end)) = (units.at(row)?, starts.utc(row), ends.utc(row)) else {
            return Ok(None);
        };
        Ok(Some(unit.between(start, end, starts.zone)))
    })
}
