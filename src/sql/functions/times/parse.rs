//! Reading a time by a pattern, as Joda's `DateTimeParserBucket` does: every field that the text gives is
//! put into 1970-01-01, the largest first.

use super::civil::{
    DAY, Date, HOUR, MINUTE, SECOND, day_of_week, days_in_month, first_monday, is_leap, week_of,
    weeks_in_year,
};
use super::pattern::{Field, Item, Pattern};
use super::zone::{Zone, canonical};

/// What a text said.
#[derive(Default)]
pub(super) struct Bucket {
    fields: Vec<(Field, i64)>,
    zone: Option<Zone>,
}

impl Pattern {
    /// The moment that a text names, in UTC; one without a zone is in UTC. The error is Joda's message.
    pub(super) fn parse(&self, text: &str, bucket: &mut Bucket) -> Result<i64, String> {
        bucket.fields.clear();
        bucket.zone = None;
        let mut at = 0;
        for item in &self.items {
            at = item.parse(text, at, bucket).map_err(|at| malformed(text, at))?;
        }
        if at < text.len() {
            return Err(malformed(text, at));
        }
        let local = bucket.local().map_err(|why| format!("Cannot parse \"{text}\": {why}"))?;
        Ok(bucket.zone.map_or(local, |zone| zone.utc(local, local)))
    }
}

/// Joda's words for a text that the pattern does not fit at a place.
pub(super) fn malformed(text: &str, at: usize) -> String {
    let shown = match text[at..].char_indices().nth(35) {
        Some(_) => text[at..].char_indices().nth(32).map_or(text.len(), |(length, _)| at + length),
        None => text.len(),
    };
    let dots = if shown < text.len() { "..." } else { "" };
    match at {
        0 => format!("Invalid format: \"{}{dots}\"", &text[..shown]),
        at if at >= text.len() => format!("Invalid format: \"{text}\" is too short"),
        at => format!(
            "Invalid format: \"{0}{dots}\" is malformed at \"{1}{dots}\"",
            &text[..shown],
            &text[at..shown]
        ),
    }
}

impl Item {
    /// Reads the item at a place of the text, and gives the place behind it, or the place of the error.
    fn parse(&self, text: &str, at: usize, bucket: &mut Bucket) -> Result<usize, usize> {
        match self {
            Self::Literal(literal) => literal_end(text, at, literal).ok_or(at),
            Self::Number { field, max, .. } => {
                let signed = matches!(field, Field::Year | Field::WeekYear | Field::Century);
                let (value, end) = number(text, at, *max, signed).ok_or(at)?;
                bucket.fields.push((*field, value));
                Ok(end)
            }
            Self::TwoDigits { field, pivot, lenient } => {
                let (value, end) = two_digits(text, at, *pivot, *lenient).ok_or(at)?;
                bucket.fields.push((*field, value));
                Ok(end)
            }
            Self::Fraction { max, .. } => {
                let digits = digit_count(&text.as_bytes()[at..]).min(*max);
                bucket.fields.push((Field::Millis, fraction(&text[at..at + digits], SECOND)));
                Ok(at + digits)
            }
            Self::Name { field, .. } => {
                let (value, end) = name(text, at, *field).ok_or(at)?;
                bucket.fields.push((*field, value));
                Ok(end)
            }
            Self::Offset { .. } => {
                let (offset, end) = offset(text, at).ok_or(at)?;
                bucket.zone = Some(Zone::Fixed(offset));
                Ok(end)
            }
            Self::ZoneId => {
                let length = text[at..].bytes().take_while(|b| zone_byte(*b)).count();
                let zone = canonical(&text[at..at + length]).and_then(|name| Zone::of(Some(&name)));
                bucket.zone = Some(zone.map_err(|_| at)?);
                Ok(at + length)
            }
            Self::ZoneName { .. } => {
                let (name, zone) =
                    ZONE_NAMES.iter().find(|(name, _)| text[at..].starts_with(name)).ok_or(at)?;
                bucket.zone = Some(Zone::of(Some(zone)).map_err(|_| at)?);
                Ok(at + name.len())
            }
        }
    }
}

/// The zone names that Joda reads by default.
const ZONE_NAMES: [(&str, &str); 11] = [
    ("UTC", "UTC"),
    ("UT", "UTC"),
    ("GMT", "UTC"),
    ("EST", "America/New_York"),
    ("EDT", "America/New_York"),
    ("CST", "America/Chicago"),
    ("CDT", "America/Chicago"),
    ("MST", "America/Denver"),
    ("MDT", "America/Denver"),
    ("PST", "America/Los_Angeles"),
    ("PDT", "America/Los_Angeles"),
];

fn zone_byte(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || matches!(byte, b'/' | b'_' | b'-' | b'+' | b':')
}

/// Joda reads literals without regard to case.
fn literal_end(text: &str, at: usize, literal: &str) -> Option<usize> {
    if text.as_bytes()[at..].starts_with(literal.as_bytes()) {
        return Some(at + literal.len());
    }
    let mut rest = text[at..].char_indices();
    for expected in literal.chars() {
        let (_, found) = rest.next()?;
        if found != expected && !found.to_lowercase().eq(expected.to_lowercase()) {
            return None;
        }
    }
    Some(at + rest.next().map_or(text.len() - at, |(length, _)| length))
}

pub(super) fn digit_count(bytes: &[u8]) -> usize {
    bytes.iter().take_while(|b| b.is_ascii_digit()).count()
}

/// A number of at most `max` digits, and where it ends.
pub(super) fn number(text: &str, at: usize, max: usize, signed: bool) -> Option<(i64, usize)> {
    let bytes = &text.as_bytes()[at..];
    let sign = usize::from(signed && max > 1 && matches!(bytes.first(), Some(b'-' | b'+')));
    let digits = digit_count(&bytes[sign..]).min(max);
    if digits == 0 || digits > 18 {
        return None;
    }
    let end = at + sign + digits;
    let value = text[at + sign..end].parse::<i64>().ok()?;
    Some((if sign == 1 && bytes[0] == b'-' { -value } else { value }, end))
}

fn two_digits(text: &str, at: usize, pivot: i64, lenient: bool) -> Option<(i64, usize)> {
    let bytes = &text.as_bytes()[at..];
    let digits = digit_count(bytes);
    if lenient && (digits != 2 || matches!(bytes.first(), Some(b'-' | b'+'))) {
        return number(text, at, 9, true);
    }
    if digits < 2 {
        return None;
    }
    let year: i64 = text[at..at + 2].parse().ok()?;
    let low = pivot - 50;
    let in_century = low.rem_euclid(100);
    Some((year + low - in_century + if year < in_century { 100 } else { 0 }, at + 2))
}

/// What the digits after a point are of `unit` milliseconds.
pub(super) fn fraction(digits: &str, unit: i64) -> i64 {
    let mut part = unit * 10;
    let mut tenths = 0;
    for digit in digits.bytes() {
        part /= 10;
        tenths += i64::from(digit - b'0') * part;
    }
    tenths / 10
}

/// The longest of a field's names that stands at a place: as they are, in lower or in upper case.
fn name(text: &str, at: usize, field: Field) -> Option<(i64, usize)> {
    let (first, names) = field.names();
    let rest = &text.as_bytes()[at..];
    let spelled = |name: &str| {
        let found = rest.get(..name.len())?;
        let matches = found == name.as_bytes()
            || found == name.to_ascii_uppercase().as_bytes()
            || found == name.to_ascii_lowercase().as_bytes();
        matches.then_some(name.len())
    };
    let numbered = (first..).zip(names);
    let lengths = numbered.filter_map(|(value, name)| {
        let length = spelled(name).or_else(|| spelled(name.get(..3)?))?;
        Some((value, at + length))
    });
    lengths.max_by_key(|(_, end)| *end)
}

/// `Z`, or an offset with or without colons, up to milliseconds.
pub(super) fn offset(text: &str, at: usize) -> Option<(i64, usize)> {
    let bytes = text.as_bytes();
    let sign = match bytes.get(at)? {
        b'Z' | b'z' => return Some((0, at + 1)),
        b'+' => 1,
        b'-' => -1,
        _ => return None,
    };
    let two = |at: usize, limit: i64| {
        let digits = bytes.get(at..at + 2).filter(|digits| digits.iter().all(u8::is_ascii_digit))?;
        let value = i64::from(digits[0] - b'0') * 10 + i64::from(digits[1] - b'0');
        (value < limit).then_some(value)
    };
    let mut end = at + 3;
    let mut offset = two(at + 1, 24)? * HOUR;
    let separated = bytes.get(end) == Some(&b':');
    for unit in [MINUTE, SECOND] {
        let next = end + usize::from(separated);
        let more = if separated {
            bytes.get(end) == Some(&b':')
        } else {
            bytes.get(end).is_some_and(u8::is_ascii_digit)
        };
        if !more {
            return Some((sign * offset, end));
        }
        offset += two(next, 60)? * unit;
        end = next + 2;
    }
    Some((sign * offset, end))
}

impl Bucket {
    pub(super) fn set(&mut self, field: Field, value: i64) {
        self.fields.push((field, value));
    }

    /// The local time that the fields give.
    pub(super) fn local(&mut self) -> Result<i64, String> {
        self.fields.sort_by_key(|(field, _)| field.rank());
        let dates = (Field::Month.rank()..=Field::DayOfWeek.rank()).contains(&match self.fields.first() {
            Some((field, _)) => field.rank(),
            None => return Ok(0),
        });
        if dates {
            self.fields.insert(0, (Field::Year, 2000));
        }
        let mut local = 0;
        for (field, value) in &self.fields {
            local = field.floor(field.set(local, *value)?);
        }
        // A second time, since a day of the week may have moved the day of the month.
        for (field, value) in &self.fields {
            local = field.set(local, *value)?;
        }
        Ok(match self.fields.last() {
            Some((field, _)) => field.floor(local),
            None => local,
        })
    }
}

impl Field {
    /// The larger the field, the sooner it is set.
    fn rank(self) -> u8 {
        match self {
            Self::Era => 0,
            Self::Century => 1,
            Self::Year | Self::YearOfEra | Self::WeekYear => 2,
            Self::Month => 3,
            Self::Week => 4,
            Self::DayOfYear => 5,
            Self::Day => 6,
            Self::DayOfWeek => 7,
            Self::HalfDay => 8,
            Self::Hour | Self::ClockHour => 9,
            Self::HourOfHalfDay | Self::ClockHourOfHalfDay => 10,
            Self::Minute => 11,
            Self::Second => 12,
            Self::Millis => 13,
        }
    }

    fn joda_name(self) -> &'static str {
        match self {
            Self::Era => "era",
            Self::Century => "centuryOfEra",
            Self::Year => "year",
            Self::YearOfEra => "yearOfEra",
            Self::WeekYear => "weekyear",
            Self::Month => "monthOfYear",
            Self::Week => "weekOfWeekyear",
            Self::DayOfYear => "dayOfYear",
            Self::Day => "dayOfMonth",
            Self::DayOfWeek => "dayOfWeek",
            Self::HalfDay => "halfdayOfDay",
            Self::Hour => "hourOfDay",
            Self::ClockHour => "clockhourOfDay",
            Self::HourOfHalfDay => "hourOfHalfday",
            Self::ClockHourOfHalfDay => "clockhourOfHalfday",
            Self::Minute => "minuteOfHour",
            Self::Second => "secondOfMinute",
            Self::Millis => "millisOfSecond",
        }
    }

    /// The values that the field may have in the time `local`.
    fn range(self, local: i64) -> (i64, i64) {
        const LAST_YEAR: i64 = 292_278_993;
        let day = local.div_euclid(DAY);
        match self {
            Self::Era | Self::HalfDay => (0, 1),
            Self::Century => (0, LAST_YEAR / 100),
            Self::Year | Self::WeekYear => (-292_275_054, LAST_YEAR),
            Self::YearOfEra => (1, LAST_YEAR),
            Self::Month | Self::ClockHourOfHalfDay => (1, 12),
            Self::Week => (1, weeks_in_year(week_of(day).0)),
            Self::DayOfYear => (1, 365 + i64::from(is_leap(Date::of_day(day).year))),
            Self::Day => (1, days_in_month(Date::of_day(day).year, Date::of_day(day).month)),
            Self::DayOfWeek => (1, 7),
            Self::Hour => (0, 23),
            Self::ClockHour => (1, 24),
            Self::HourOfHalfDay => (0, 11),
            Self::Minute | Self::Second => (0, 59),
            Self::Millis => (0, 999),
        }
    }

    /// The time `local` with this field changed, and no larger one.
    fn set(self, local: i64, value: i64) -> Result<i64, String> {
        let (first, last) = self.range(local);
        if !(first..=last).contains(&value) {
            let name = self.joda_name();
            return Err(format!("Value {value} for {name} must be in the range [{first},{last}]"));
        }
        let day = local.div_euclid(DAY);
        let date = Date::of_day(day);
        let time = local.rem_euclid(DAY);
        let in_year = |year: i64| date.plus_months((year - date.year) * 12).map_or(day, Date::to_day);
        let before = self.of(local);
        let new_day = match self {
            Self::Era if value == before => day,
            Self::Era => in_year(1 - date.year),
            Self::Century => in_year(value * 100 + date.year.rem_euclid(100)),
            Self::Year => in_year(value),
            Self::YearOfEra => in_year(if date.year > 0 { value } else { 1 - value }),
            Self::WeekYear => {
                let week = week_of(day).1.min(weeks_in_year(value));
                first_monday(value) + (week - 1) * 7 + day_of_week(day) - 1
            }
            Self::Month => date.plus_months(value - date.month).map_or(day, Date::to_day),
            Self::Week => day + (value - before) * 7,
            Self::DayOfYear | Self::Day | Self::DayOfWeek => day + value - before,
            Self::HalfDay => return Ok(local + (value - before) * 12 * HOUR),
            Self::Hour | Self::HourOfHalfDay => return Ok(local + (value - before) * HOUR),
            Self::ClockHour => return Ok(local + (value % 24 - before % 24) * HOUR),
            Self::ClockHourOfHalfDay => return Ok(local + (value % 12 - before % 12) * HOUR),
            Self::Minute => return Ok(local + (value - before) * MINUTE),
            Self::Second => return Ok(local + (value - before) * SECOND),
            Self::Millis => return Ok(local + value - before),
        };
        new_day
            .checked_mul(DAY)
            .and_then(|day| day.checked_add(time))
            .ok_or_else(|| "out of range".to_owned())
    }

    /// The time with all that is smaller than this field put to its beginning.
    fn floor(self, local: i64) -> i64 {
        let day = local.div_euclid(DAY);
        let date = || Date::of_day(day);
        let first = match self {
            Self::Era | Self::Millis => return local,
            Self::Century => Date { year: date().year.div_euclid(100) * 100, month: 1, day: 1 }.to_day(),
            Self::Year | Self::YearOfEra => Date { month: 1, day: 1, ..date() }.to_day(),
            Self::WeekYear => first_monday(week_of(day).0),
            Self::Month => Date { day: 1, ..date() }.to_day(),
            Self::Week => day - day_of_week(day) + 1,
            Self::DayOfYear | Self::Day | Self::DayOfWeek => day,
            Self::HalfDay => return local - local.rem_euclid(12 * HOUR),
            Self::Hour | Self::ClockHour | Self::HourOfHalfDay | Self::ClockHourOfHalfDay => {
                return local - local.rem_euclid(HOUR);
            }
            Self::Minute => return local - local.rem_euclid(MINUTE),
            Self::Second => return local - local.rem_euclid(SECOND),
        };
        first.saturating_mul(DAY)
    }
}
