//! ISO 8601 in all the forms that Joda's `dateTimeParser` reads:
//!
//! ```text
//! datetime = time | date ['T' [clock] [offset]]        time   = 'T' clock [offset]
//! date     = yyyy ['-' MM ['-' dd]] | yyyy '-' DDD | xxxx '-W' ww ['-' e]
//! clock    = HH [':' mm [':' ss]] [('.' | ',') digit+] offset = 'Z' | ('+' | '-') HH [':' mm]
//! ```

use super::civil::{DAY, Date, HOUR, MINUTE, SECOND, days_in_month};
use super::parse::{Bucket, digit_count, fraction, malformed, number, offset};
use super::pattern::Field;

/// A moment in UTC and the offset that the text gives, in milliseconds.
pub(super) type Moment = (i64, Option<i64>);

/// Reads a date, a time, or both. The error is Joda's message.
pub(super) fn parse_time(text: &str) -> Result<Moment, String> {
    if let Some(utc) = parse_common(text.as_bytes()) {
        return Ok((utc, Some(0)));
    }
    let mut bucket = Bucket::default();
    let (end, zone) = time_or_date(text, &mut bucket).map_err(|at| malformed(text, at))?;
    finish(text, end, &mut bucket).map(|local| (local.saturating_sub(zone.unwrap_or(0)), zone))
}

/// Reads a date alone, in days after 1970-01-01.
pub(super) fn parse_date(text: &str) -> Result<i64, String> {
    let mut bucket = Bucket::default();
    let end = date(text, &mut bucket).map_err(|at| malformed(text, at))?;
    finish(text, end, &mut bucket).map(|local| local.div_euclid(DAY))
}

fn finish(text: &str, end: usize, bucket: &mut Bucket) -> Result<i64, String> {
    if end < text.len() {
        return Err(malformed(text, end));
    }
    bucket.local().map_err(|why| format!("Cannot parse \"{text}\": {why}"))
}

/// The form that nearly all of CloudTrail's times have, `2026-01-01T00:00:00Z`.
fn parse_common(text: &[u8]) -> Option<i64> {
    let &[y1, y2, y3, y4, b'-', m1, m2, b'-', d1, d2, b'T', h1, h2, b':', n1, n2, b':', s1, s2, b'Z'] = text
    else {
        return None;
    };
    let two = |tens: u8, ones: u8| {
        let (tens, ones) = (tens.wrapping_sub(b'0'), ones.wrapping_sub(b'0'));
        (tens < 10 && ones < 10).then(|| i64::from(tens) * 10 + i64::from(ones))
    };
    let (year, month, day) = (two(y1, y2)? * 100 + two(y3, y4)?, two(m1, m2)?, two(d1, d2)?);
    let (hour, minute, second) = (two(h1, h2)?, two(n1, n2)?, two(s1, s2)?);
    let valid = (1..=12).contains(&month) && day >= 1 && hour < 24 && minute < 60 && second < 60;
    if !valid || (day > 28 && day > days_in_month(year, month)) {
        return None;
    }
    Some(Date { year, month, day }.to_day() * DAY + hour * HOUR + minute * MINUTE + second * SECOND)
}

fn time_or_date(text: &str, bucket: &mut Bucket) -> Result<(usize, Option<i64>), usize> {
    let mut end = 0;
    if !starts_with_t(text, 0) {
        end = date(text, bucket)?;
        if !starts_with_t(text, end) {
            return Ok((end, None));
        }
    }
    let date_given = end > 0;
    end += 1;
    match clock(text, end, bucket) {
        Some(after) => end = after,
        None if date_given => {}
        None => return Err(end),
    }
    match offset(text, end) {
        Some((offset, end)) => Ok((end, Some(offset))),
        None => Ok((end, None)),
    }
}

fn starts_with_t(text: &str, at: usize) -> bool {
    matches!(text.as_bytes().get(at), Some(b'T' | b't'))
}

/// The longest of the forms of a date.
fn date(text: &str, bucket: &mut Bucket) -> Result<usize, usize> {
    let bytes = text.as_bytes();
    let (year, after_year) = number(text, 0, 9, true).ok_or(0_usize)?;
    let dashed = |at: usize, max: usize| match bytes.get(at) {
        Some(b'-') => number(text, at + 1, max, false),
        _ => None,
    };
    if bytes.get(after_year) == Some(&b'-') && matches!(bytes.get(after_year + 1), Some(b'W' | b'w')) {
        let Some((week, end)) = number(text, after_year + 2, 2, false) else { return Ok(after_year) };
        bucket.set(Field::WeekYear, year);
        bucket.set(Field::Week, week);
        let Some((day, end)) = dashed(end, 1) else { return Ok(end) };
        bucket.set(Field::DayOfWeek, day);
        return Ok(end);
    }
    bucket.set(Field::Year, year);
    let Some((month, after_month)) = dashed(after_year, 2) else { return Ok(after_year) };
    if let Some((day, end)) = dashed(after_year, 3).filter(|(_, end)| *end > after_month) {
        bucket.set(Field::DayOfYear, day);
        return Ok(end);
    }
    bucket.set(Field::Month, month);
    let Some((day, end)) = dashed(after_month, 2) else { return Ok(after_month) };
    bucket.set(Field::Day, day);
    Ok(end)
}

fn clock(text: &str, at: usize, bucket: &mut Bucket) -> Option<usize> {
    let bytes = text.as_bytes();
    let (hour, mut end) = number(text, at, 2, false)?;
    bucket.set(Field::Hour, hour);
    let mut unit = HOUR;
    for (field, smaller) in [(Field::Minute, MINUTE), (Field::Second, SECOND)] {
        let next = if bytes.get(end) == Some(&b':') { number(text, end + 1, 2, false) } else { None };
        let Some((value, after)) = next else { break };
        bucket.set(field, value);
        (unit, end) = (smaller, after);
    }
    if matches!(bytes.get(end), Some(b'.' | b',')) {
        let digits = digit_count(&bytes[end + 1..]).min(9);
        let millis = fraction(&text[end + 1..end + 1 + digits], unit);
        set_fraction(bucket, millis, unit);
        end += 1 + digits;
    }
    Some(end)
}

/// A fraction of an hour is minutes, seconds and milliseconds.
fn set_fraction(bucket: &mut Bucket, millis: i64, unit: i64) {
    if unit == HOUR {
        bucket.set(Field::Minute, millis / MINUTE);
    }
    if unit >= MINUTE {
        bucket.set(Field::Second, millis % MINUTE / SECOND);
    }
    bucket.set(Field::Millis, millis % SECOND);
}

#[cfg(test)]
mod tests {
    use super::*;
    use chrono::DateTime;

    fn parsed(text: &str) -> Option<String> {
        let (utc, _) = parse_time(text).ok()?;
        Some(DateTime::from_timestamp_millis(utc).unwrap().format("%Y-%m-%dT%H:%M:%S%.3f").to_string())
    }

    #[test]
    fn all_forms_of_iso_8601_are_read() {
        for (text, time) in [
            ("2026-01-05T13:51:00Z", "2026-01-05T13:51:00.000"),
            ("2026-01-05T13:51:00.5+01:30", "2026-01-05T12:21:00.500"),
            ("2026-01-05T13:51:00,123456789-0100", "2026-01-05T14:51:00.123"),
            ("2026-01-05T13+01", "2026-01-05T12:00:00.000"),
            ("2026-01-05T13:30.5", "2026-01-05T13:30:30.000"),
            ("2026-01-05T13.25Z", "2026-01-05T13:15:00.000"),
            ("2026-01-05T", "2026-01-05T00:00:00.000"),
            ("2026-01-05TZ", "2026-01-05T00:00:00.000"),
            ("2026-01-05", "2026-01-05T00:00:00.000"),
            ("2026-1-5", "2026-01-05T00:00:00.000"),
            ("2026-01", "2026-01-01T00:00:00.000"),
            ("2026", "2026-01-01T00:00:00.000"),
            ("2026-W01", "2025-12-29T00:00:00.000"),
            ("2026-W01-4T10:20", "2026-01-01T10:20:00.000"),
            ("2024-366", "2024-12-31T00:00:00.000"),
            ("T10:20:30Z", "1970-01-01T10:20:30.000"),
            ("1969-12-31T23:59:59.999Z", "1969-12-31T23:59:59.999"),
            ("2024-02-29T00:00:00Z", "2024-02-29T00:00:00.000"),
        ] {
            assert_eq!(parsed(text).as_deref(), Some(time), "{text}");
        }
    }

    #[test]
    fn what_is_not_iso_8601_is_told_where_it_breaks() {
        for (text, message) in [
            ("2025-12-31 23:59:59", r#"Invalid format: "2025-12-31 23:59:59" is malformed at " 23:59:59""#),
            ("StopLogging", r#"Invalid format: "StopLogging""#),
            ("", r#"Invalid format: """#),
            (
                "2026-13-01T00:00:00Z",
                r#"Cannot parse "2026-13-01T00:00:00Z": Value 13 for monthOfYear must be in the range [1,12]"#,
            ),
            (
                "2026-02-29T00:00:00Z",
                r#"Cannot parse "2026-02-29T00:00:00Z": Value 29 for dayOfMonth must be in the range [1,28]"#,
            ),
            (
                "2026-01-01T24:00:00Z",
                r#"Cannot parse "2026-01-01T24:00:00Z": Value 24 for hourOfDay must be in the range [0,23]"#,
            ),
            ("2026-01-01Z", r#"Invalid format: "2026-01-01Z" is malformed at "Z""#),
            ("2026-01-01T00:00:00é", r#"Invalid format: "2026-01-01T00:00:00é" is malformed at "é""#),
        ] {
            assert_eq!(parse_time(text).unwrap_err(), message);
        }
        for text in [
            "é",
            "2026-é",
            "2026-01-01T1é",
            "999999999999-01-01",
            "-",
            "T",
            "2026-W60",
            "2026-01-01T00:00:00+2",
        ] {
            assert!(parse_time(text).is_err(), "{text}");
        }
    }

    #[test]
    fn a_date_alone_has_no_time() {
        assert_eq!(parse_date("2026-01-02"), Ok(20_455));
        assert_eq!(parse_date("2026-W01-5"), Ok(20_455));
        assert!(parse_date("2026-01-02T00:00").is_err());
    }
}
