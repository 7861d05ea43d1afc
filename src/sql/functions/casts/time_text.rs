//! Dates and times as Trino reads and writes them.

use arrow::array::timezone::Tz;
use chrono::{DateTime, Datelike, Days, NaiveDate, NaiveDateTime, Offset, TimeZone, Timelike};

const NANOS: i128 = 1_000_000_000;

/// A time as it stands in a text.
#[derive(Debug, PartialEq)]
pub(super) struct Moment<'a> {
    /// Nanoseconds of the clock's reading since 1970, whatever the zone.
    pub(super) local: i128,
    /// The name of a zone or an offset, if the text has one.
    pub(super) zone: Option<&'a str>,
}

/// `2026-01-01`, `2026-01-01 00:00`, `2026-01-01 00:00:00.123456 Europe/Berlin`: no `T`, and nothing else.
pub(super) fn moment(text: &str) -> Option<Moment<'_>> {
    let text = text.trim_matches(|c| c <= ' ');
    let mut scan = Scan { text, at: 0 };
    let day = scan.date()?;
    let midnight = i128::from(days(day)) * 86_400 * NANOS;
    if scan.is_at_end() {
        return Some(Moment { local: midnight, zone: None });
    }
    scan.byte(b' ')?;
    let time = scan.rest().starts_with(|c: char| c.is_ascii_digit()).then(|| scan.clock());
    let time = match time {
        Some(time) => time?,
        None => 0,
    };
    let zone = scan.rest().trim_start();
    Some(Moment { local: midnight + time, zone: (!zone.is_empty()).then_some(zone) })
}

/// `00:00`, `00:00:00.123`: nanoseconds since midnight.
pub(super) fn clock(text: &str) -> Option<i128> {
    let mut scan = Scan { text: text.trim_matches(|c| c <= ' '), at: 0 };
    let time = scan.clock()?;
    scan.is_at_end().then_some(time)
}

/// `2026-01-01`: days since 1970.
pub(super) fn date(text: &str) -> Option<i32> {
    let mut scan = Scan { text: text.trim_matches(|c| c <= ' '), at: 0 };
    let date = scan.date()?;
    scan.is_at_end().then(|| days(date))
}

fn days(date: NaiveDate) -> i32 {
    date.to_epoch_days()
}

/// A text that is read from left to right.
struct Scan<'a> {
    text: &'a str,
    at: usize,
}

impl<'a> Scan<'a> {
    fn rest(&self) -> &'a str {
        &self.text[self.at..]
    }

    fn is_at_end(&self) -> bool {
        self.at == self.text.len()
    }

    fn byte(&mut self, byte: u8) -> Option<()> {
        (self.rest().as_bytes().first() == Some(&byte)).then(|| self.at += 1)
    }

    /// A number of `least` to `most` digits.
    fn digits(&mut self, least: usize, most: usize) -> Option<&'a str> {
        let rest = self.rest();
        let length = rest.bytes().take_while(u8::is_ascii_digit).count();
        (least..=most).contains(&length).then(|| self.at += length)?;
        Some(&rest[..length])
    }

    fn date(&mut self) -> Option<NaiveDate> {
        let negative = self.byte(b'-').is_some();
        if !negative {
            self.byte(b'+');
        }
        let year: i32 = self.digits(4, 6)?.parse().ok()?;
        self.byte(b'-')?;
        let month = self.digits(1, 2)?.parse().ok()?;
        self.byte(b'-')?;
        let day = self.digits(1, 2)?.parse().ok()?;
        NaiveDate::from_ymd_opt(if negative { -year } else { year }, month, day)
    }

    fn clock(&mut self) -> Option<i128> {
        let hour: u32 = self.digits(1, 2)?.parse().ok().filter(|hour| *hour < 24)?;
        self.byte(b':')?;
        let minute: u32 = self.digits(1, 2)?.parse().ok().filter(|minute| *minute < 60)?;
        let minutes = i128::from(hour * 60 + minute);
        if self.byte(b':').is_none() {
            return Some(minutes * 60 * NANOS);
        }
        let second: u32 = self.digits(1, 2)?.parse().ok().filter(|second| *second < 60)?;
        let fraction = if self.byte(b'.').is_some() { fraction(self.digits(1, 12)?) } else { 0 };
        Some((minutes * 60 + i128::from(second)) * NANOS + fraction)
    }
}

/// Nanoseconds of the digits behind a point; what lies below them rounds half up.
fn fraction(digits: &str) -> i128 {
    let nanos = |digits: &str| format!("{digits:0<9}").parse::<i128>().unwrap_or_default();
    match digits.split_at_checked(9) {
        Some((kept, rest)) => {
            nanos(kept) + i128::from(rest.bytes().next().is_some_and(|digit| digit >= b'5'))
        }
        None => nanos(digits),
    }
}

/// The zone of a name or an offset, and the name under which Trino shows it.
pub(super) fn zone(name: &str) -> Option<(Tz, String)> {
    let upper = name.to_ascii_uppercase();
    if matches!(upper.as_str(), "UTC" | "Z" | "ZULU" | "UT" | "UCT" | "GMT" | "GMT0" | "ETC/UTC" | "ETC/GMT")
    {
        return Some(("UTC".parse().ok()?, "UTC".to_owned()));
    }
    let tz: Tz = name.parse().ok()?;
    let Some(sign) = name.chars().next().filter(|c| matches!(c, '+' | '-')) else {
        return Some((tz, name.to_owned()));
    };
    let minutes = tz.offset_from_utc_datetime(&NaiveDateTime::default()).fix().local_minus_utc().abs() / 60;
    if minutes == 0 {
        return Some((tz, "UTC".to_owned()));
    }
    Some((tz, format!("{sign}{:02}:{:02}", minutes / 60, minutes % 60)))
}

/// Seconds by which the clock of a zone is ahead of UTC at a moment, in nanoseconds of UTC since 1970.
pub(super) fn offset(zone: Tz, utc: i128) -> i64 {
    let Some(time) = naive(utc) else { return 0 };
    i64::from(zone.offset_from_utc_datetime(&time).fix().local_minus_utc())
}

/// The moment at which the clock of a zone shows `local`, both in nanoseconds since 1970. Of two the
/// earlier; a reading that a clock never shows counts from before it was changed.
pub(super) fn to_utc(zone: Tz, local: i128) -> Option<i128> {
    let time = naive(local)?;
    let offset = match zone.offset_from_local_datetime(&time).earliest() {
        Some(offset) => offset,
        None => zone.offset_from_utc_datetime(&time.checked_sub_days(Days::new(1))?),
    };
    Some(local - i128::from(offset.fix().local_minus_utc()) * NANOS)
}

fn naive(nanos: i128) -> Option<NaiveDateTime> {
    let seconds = i64::try_from(nanos.div_euclid(NANOS)).ok()?;
    let fraction = u32::try_from(nanos.rem_euclid(NANOS)).ok()?;
    DateTime::from_timestamp(seconds, fraction).map(|time| time.naive_utc())
}

/// Writes `2026-01-01 00:02:11.000` with so many decimal places.
pub(super) fn push_moment(out: &mut String, local: i128, digits: u8) {
    let Some(time) = naive(local) else {
        out.push('?');
        return;
    };
    push_day(out, time.date());
    out.push(' ');
    push_clock(out, u64::from(time.num_seconds_from_midnight()), u64::from(time.nanosecond()), digits);
}

/// Writes `2026-01-01` of a day since 1970.
pub(super) fn push_date(out: &mut String, day: i32) {
    match NaiveDate::from_epoch_days(day) {
        Some(date) => push_day(out, date),
        None => out.push('?'),
    }
}

fn push_day(out: &mut String, date: NaiveDate) {
    if date.year() < 0 {
        out.push('-');
    } else if date.year() > 9999 {
        out.push('+');
    }
    push_padded(out, u64::from(date.year().unsigned_abs()), 4);
    out.push('-');
    push_padded(out, u64::from(date.month()), 2);
    out.push('-');
    push_padded(out, u64::from(date.day()), 2);
}

/// Writes `00:02:11.000`.
pub(super) fn push_clock(out: &mut String, seconds: u64, nanos: u64, digits: u8) {
    push_padded(out, seconds / 3600, 2);
    out.push(':');
    push_padded(out, seconds / 60 % 60, 2);
    out.push(':');
    push_padded(out, seconds % 60, 2);
    if digits > 0 {
        out.push('.');
        push_padded(out, nanos / 10_u64.pow(9 - u32::from(digits.min(9))), usize::from(digits.min(9)));
    }
}

fn push_padded(out: &mut String, value: u64, width: usize) {
    let mut digits = [b'0'; 20];
    let mut left = value;
    let mut start = digits.len();
    while left > 0 || digits.len() - start < width {
        start -= 1;
        digits[start] = b'0' + u8::try_from(left % 10).unwrap_or_default();
        left /= 10;
    }
    out.extend(digits[start..].iter().map(|digit| char::from(*digit)));
}

#[cfg(test)]
mod tests {
    use super::*;

    const MILLIS: i128 = 1_000_000;

    fn written(local: i128, digits: u8) -> String {
        let mut out = String::new();
        push_moment(&mut out, local, digits);
        out
    }

    #[test]
    fn moments_are_read_in_every_form_that_trino_knows() {
        for (text, expected, zone) in [
            ("2026-01-01", "2026-01-01 00:00:00.000000", None),
            (" 2026-1-2 ", "2026-01-02 00:00:00.000000", None),
            ("2026-01-01 10:20", "2026-01-01 10:20:00.000000", None),
            ("2026-01-01 1:2:3.4", "2026-01-01 01:02:03.400000", None),
            ("2026-01-01 10:20:30.123456789", "2026-01-01 10:20:30.123456", None),
            ("2026-01-01 10:20:30 UTC", "2026-01-01 10:20:30.000000", Some("UTC")),
            ("2026-01-01 10:20:30+02:00", "2026-01-01 10:20:30.000000", Some("+02:00")),
            ("2026-01-01 Europe/Berlin", "2026-01-01 00:00:00.000000", Some("Europe/Berlin")),
            ("-0001-01-01", "-0001-01-01 00:00:00.000000", None),
        ] {
            let read = moment(text).unwrap_or_else(|| panic!("{text}"));
            assert_eq!((written(read.local, 6).as_str(), read.zone), (expected, zone), "{text}");
        }
        for text in [
            "",
            "2026",
            "2026-13-01",
            "2026-02-30",
            "2026-01-01 25:00",
            "2026-01-01 10:60",
            "26-01-01",
            "2026-01-01 10",
            "2026-01-01  10:20x:",
        ] {
            let read = moment(text).filter(|read| read.zone.is_none());
            assert_eq!(read, None, "{text}");
        }
        assert_eq!(moment("2026-01-01T10:20:30Z"), None);
    }

    #[test]
    fn zones_have_the_names_that_trino_shows() {
        for (name, shown) in [
            ("Z", "UTC"),
            ("utc", "UTC"),
            ("+02:00", "+02:00"),
            ("+0530", "+05:30"),
            ("-08", "-08:00"),
            ("+00:00", "UTC"),
            ("Europe/Berlin", "Europe/Berlin"),
        ] {
            assert_eq!(zone(name).unwrap().1, shown);
        }
        assert!(zone("Mars/Olympus").is_none());
    }

    #[test]
    fn clocks_that_are_changed_show_some_times_twice_and_some_never() {
        let (berlin, _) = zone("Europe/Berlin").unwrap();
        let utc = |text: &str| written(to_utc(berlin, moment(text).unwrap().local).unwrap(), 0);
        assert_eq!(utc("2026-01-01 12:00"), "2026-01-01 11:00:00");
        assert_eq!(utc("2026-10-25 02:30"), "2026-10-25 00:30:00");
        assert_eq!(utc("2026-03-29 02:30"), "2026-03-29 01:30:00");
        assert_eq!(offset(berlin, moment("2026-07-01").unwrap().local), 7200);
    }

    #[test]
    fn times_before_1970_and_far_away_are_written() {
        assert_eq!(written(-MILLIS, 3), "1969-12-31 23:59:59.999");
        assert_eq!(written(moment("10000-01-01").map_or(0, |read| read.local), 0), "+10000-01-01 00:00:00");
        assert_eq!(
            (date("2026-1-5"), date("1969-12-31"), date("2026-01-05 00:00")),
            (Some(20_458), Some(-1), None)
        );
        assert_eq!(
            (clock("1:02"), clock("23:59:59.999"), clock("24:00")),
            (Some(3_720 * NANOS), Some(86_399_999 * MILLIS), None)
        );
    }
}
