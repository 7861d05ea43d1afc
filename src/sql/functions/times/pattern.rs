//! The patterns of `date_format` and `format_datetime`, once they are read: a list of what stands one
//! after the other, as Joda's `DateTimeFormatterBuilder` has it. Here they are written; `parse` reads.

use std::fmt::Write;

use datafusion::common::{Result, exec_err};

use super::civil::{DAY, Date, HOUR, MINUTE, SECOND, day_of_week, week_of};
use super::zone::{Zone, offset_text};

pub(super) const MONTHS: [&str; 12] = [
    "January",
    "February",
    "March",
    "April",
    "May",
    "June",
    "July",
    "August",
    "September",
    "October",
    "November",
    "December",
];
pub(super) const DAYS: [&str; 7] =
    ["Monday", "Tuesday", "Wednesday", "Thursday", "Friday", "Saturday", "Sunday"];
pub(super) const HALVES: [&str; 2] = ["AM", "PM"];
pub(super) const ERAS: [&str; 2] = ["BC", "AD"];

/// A pattern: its items in order.
#[derive(Clone, Debug, Default)]
pub(super) struct Pattern {
    /// What stands one after the other.
    pub(super) items: Vec<Item>,
}

/// One piece of a pattern.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Item {
    /// Text as it is.
    Literal(String),
    /// A number, written with `min` digits at least and read with `max` at most.
    Number {
        /// What it counts.
        field: Field,
        /// Digits to write at least.
        min: usize,
        /// Digits to read at most.
        max: usize,
    },
    /// The last two digits of a year between `pivot - 50` and `pivot + 49`.
    TwoDigits {
        /// `Year` or `WeekYear`.
        field: Field,
        /// The middle of the years meant.
        pivot: i64,
        /// Another number of digits is the year itself.
        lenient: bool,
    },
    /// Digits after the second.
    Fraction {
        /// Digits to write at least.
        min: usize,
        /// Digits to write or read at most.
        max: usize,
    },
    /// A name in English, or its first three letters.
    Name {
        /// `Month`, `DayOfWeek`, `HalfDay` or `Era`.
        field: Field,
        /// Three letters.
        short: bool,
    },
    /// `+0200`, or `+02:00`.
    Offset {
        /// With a colon.
        colon: bool,
    },
    /// `America/New_York`.
    ZoneId,
    /// `EST`, or `Eastern Standard Time`.
    ZoneName {
        /// In a few letters.
        short: bool,
    },
}

/// A part of a time, by Joda's names.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Field {
    Era,
    Century,
    Year,
    YearOfEra,
    WeekYear,
    Month,
    Week,
    DayOfYear,
    Day,
    DayOfWeek,
    HalfDay,
    Hour,
    ClockHour,
    HourOfHalfDay,
    ClockHourOfHalfDay,
    Minute,
    Second,
    Millis,
}

impl Field {
    /// The part of a local time.
    pub(super) fn of(self, local: i64) -> i64 {
        let day = local.div_euclid(DAY);
        let date = || Date::of_day(day);
        let hour = local.rem_euclid(DAY) / HOUR;
        let of_clock = |hour: i64, hours: i64| if hour == 0 { hours } else { hour };
        let year_of_era = || if date().year > 0 { date().year } else { 1 - date().year };
        match self {
            Self::Era => i64::from(date().year > 0),
            Self::Century => year_of_era() / 100,
            Self::Year => date().year,
            Self::YearOfEra => year_of_era(),
            Self::WeekYear => week_of(day).0,
            Self::Month => date().month,
            Self::Week => week_of(day).1,
            Self::DayOfYear => date().day_of_year(),
            Self::Day => date().day,
            Self::DayOfWeek => day_of_week(day),
            Self::HalfDay => hour / 12,
            Self::Hour => hour,
            Self::ClockHour => of_clock(hour, 24),
            Self::HourOfHalfDay => hour % 12,
            Self::ClockHourOfHalfDay => of_clock(hour % 12, 12),
            Self::Minute => local.rem_euclid(HOUR) / MINUTE,
            Self::Second => local.rem_euclid(MINUTE) / SECOND,
            Self::Millis => local.rem_euclid(SECOND),
        }
    }

    /// The names of a field that has some, from the number that comes first.
    pub(super) fn names(self) -> (i64, &'static [&'static str]) {
        match self {
            Self::Month => (1, &MONTHS),
            Self::DayOfWeek => (1, &DAYS),
            Self::HalfDay => (0, &HALVES),
            _ => (0, &ERAS),
        }
    }
}

impl Pattern {
    /// Adds text as it is.
    pub(super) fn literal(&mut self, text: &str) {
        match self.items.last_mut() {
            Some(Item::Literal(before)) => before.push_str(text),
            _ if text.is_empty() => {}
            _ => self.items.push(Item::Literal(text.to_owned())),
        }
    }

    /// Adds a number.
    pub(super) fn number(&mut self, field: Field, min: usize, max: usize) {
        // More zeros than anybody wants: the pattern may come from a column.
        let (min, max) = (min.min(100), max.max(min).min(100));
        self.items.push(Item::Number { field, min, max });
    }

    /// Writes a moment by the clocks of a zone.
    pub(super) fn write(&self, utc: i64, zone: Zone, zone_id: &str, out: &mut impl Write) -> Result<()> {
        let offset = zone.offset(utc);
        let local = utc.saturating_add(offset);
        for item in &self.items {
            match item {
                Item::Literal(text) => write_str(out, text),
                Item::Number { field, min, .. } => write_number(out, field.of(local), *min),
                Item::TwoDigits { field, .. } => write_number(out, field.of(local).abs() % 100, 2),
                Item::Fraction { min, max } => write_fraction(out, local.rem_euclid(SECOND), *min, *max),
                Item::Name { field, short } => {
                    let (first, names) = field.names();
                    let name = names[usize::try_from(field.of(local) - first).unwrap_or_default()];
                    write_str(out, if *short { &name[..3.min(name.len())] } else { name });
                }
                Item::Offset { colon } => write_str(out, &offset_text(offset, if *colon { ":" } else { "" })),
                Item::ZoneId => write_str(out, zone_id),
                Item::ZoneName { short } => write_str(out, &zone_name(zone, zone_id, utc, *short)?),
            }
        }
        Ok(())
    }
}

/// Into a buffer, which never fails.
fn write_str(out: &mut impl Write, text: &str) {
    let _ = out.write_str(text);
}

fn write_number(out: &mut impl Write, number: i64, digits: usize) {
    let sign = if number < 0 { "-" } else { "" };
    let _ = match digits {
        2 if (0..100).contains(&number) => {
            let digit = |digit: i64| char::from(b'0' + u8::try_from(digit).unwrap_or_default());
            out.write_char(digit(number / 10)).and_then(|()| out.write_char(digit(number % 10)))
        }
        _ => write!(out, "{sign}{:0digits$}", number.unsigned_abs()),
    };
}

fn write_fraction(out: &mut impl Write, millis: i64, min: usize, max: usize) {
    let digits = format!("{millis:03}{}", "0".repeat(max.saturating_sub(3)));
    let digits = &digits[..max];
    let kept = digits.trim_end_matches('0').len().max(min);
    write_str(out, &digits[..kept]);
}

/// The names of the zones that Java calls by name, as far as they are known without its tables.
fn zone_name(zone: Zone, id: &str, utc: i64, short: bool) -> Result<String> {
    if matches!(zone, Zone::Fixed(_)) {
        let name = match (id, short) {
            ("UTC", false) => "Coordinated Universal Time",
            _ => id,
        };
        return Ok(name.to_owned());
    }
    let summer = zone.offset(utc) != standard_offset(zone, utc);
    let (standard, daylight, long) = match id {
        "America/New_York" | "America/Detroit" | "America/Toronto" | "US/Eastern" => {
            ("EST", "EDT", "Eastern")
        }
        "America/Chicago" | "US/Central" => ("CST", "CDT", "Central"),
        "America/Denver" | "US/Mountain" => ("MST", "MDT", "Mountain"),
        "America/Los_Angeles" | "US/Pacific" => ("PST", "PDT", "Pacific"),
        "Europe/London" if short => ("GMT", "BST", ""),
        "Europe/Berlin" | "Europe/Paris" | "Europe/Madrid" | "Europe/Rome" | "Europe/Amsterdam"
        | "Europe/Brussels" | "Europe/Vienna" | "Europe/Zurich" | "Europe/Stockholm" | "Europe/Warsaw" => {
            if short {
                ("CET", "CEST", "")
            } else {
                ("CET", "CEST", "Central European")
            }
        }
        "Asia/Tokyo" => ("JST", "JDT", "Japan"),
        "Asia/Kolkata" => ("IST", "IST", "India"),
        _ => {
            return exec_err!(
                "NOT_SUPPORTED: the name of the zone '{id}' is not known; write ZZZ for its id, or ZZ for its offset"
            );
        }
    };
    Ok(match (short, summer) {
        (true, false) => standard.to_owned(),
        (true, true) => daylight.to_owned(),
        (false, false) => format!("{long} Standard Time"),
        (false, true) if long == "Central European" => format!("{long} Summer Time"),
        (false, true) => format!("{long} Daylight Time"),
    })
}

/// The offset without summer time: the smaller of those in January and July.
fn standard_offset(zone: Zone, utc: i64) -> i64 {
    let year = Date::of_millis(utc).year;
    let at = |month| zone.offset(Date { year, month, day: 1 }.to_day().saturating_mul(DAY));
    at(1).min(at(7))
}
