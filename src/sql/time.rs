//! Times that people write: ISO 8601, and how long ago.

use anyhow::{Result, bail};
use chrono::{DateTime, FixedOffset, NaiveDate, NaiveDateTime, NaiveTime, TimeDelta, Utc};

/// A span of time: from `since`, up to but without `until`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct TimeRange {
    /// The first moment in it; none is the beginning.
    pub since: Option<DateTime<Utc>>,
    /// The first moment after it; none is the end.
    pub until: Option<DateTime<Utc>>,
}

/// Reads a bound of a range: `2026-01-05`, `2026-01-05T13:51:00Z`, or `90m`, `24h`, `7d`, `2w` before `now`.
pub fn parse_bound(text: &str, now: DateTime<Utc>) -> Result<DateTime<Utc>> {
    let text = text.trim();
    if let Some(time) = parse_iso8601(text).or_else(|| parse_iso8601(&text.replacen(' ', "T", 1))) {
        return Ok(time);
    }
    if let Some(ago) = parse_ago(text).and_then(|ago| now.checked_sub_signed(ago)) {
        return Ok(ago);
    }
    bail!("'{text}' is no time: write 2026-01-05, 2026-01-05T13:51:00Z, or 90m, 24h, 7d, 2w for so long ago")
}

fn parse_ago(text: &str) -> Option<TimeDelta> {
    let (at, unit) = text.char_indices().next_back()?;
    let number: i64 = text[..at].parse().ok().filter(|number| *number >= 0)?;
    match unit {
        's' => TimeDelta::try_seconds(number),
        'm' => TimeDelta::try_minutes(number),
        'h' => TimeDelta::try_hours(number),
        'd' => TimeDelta::try_days(number),
        'w' => TimeDelta::try_weeks(number),
        _ => None,
    }
}

/// Reads an ISO 8601 time: a date, and perhaps a time after `T`, and perhaps a zone; without one, UTC.
pub(super) fn parse_iso8601(text: &str) -> Option<DateTime<Utc>> {
    if let Ok(time) = DateTime::parse_from_rfc3339(text) {
        return text.as_bytes().get(10).filter(|&&b| b == b'T').map(|_| time.to_utc());
    }
    let (date, time) = text.split_once('T').unwrap_or((text, ""));
    let date = parse_date(date)?;
    let zone_at = time.find(['Z', '+', '-']).unwrap_or(time.len());
    let (time, zone) = time.split_at(zone_at);
    let local = NaiveDateTime::new(date, parse_time(time)?);
    Some(local.and_local_timezone(parse_zone(zone)?).single()?.to_utc())
}

fn parse_date(text: &str) -> Option<NaiveDate> {
    let complete = match text.len() {
        4 => format!("{text}-01-01"),
        7 => format!("{text}-01"),
        10 => text.to_owned(),
        _ => return None,
    };
    NaiveDate::parse_from_str(&complete, "%Y-%m-%d").ok()
}

fn parse_time(text: &str) -> Option<NaiveTime> {
    let complete = match text.len() {
        0 => "00:00:00".to_owned(),
        2 => format!("{text}:00:00"),
        5 => format!("{text}:00"),
        _ => text.to_owned(),
    };
    NaiveTime::parse_from_str(&complete, "%H:%M:%S%.f").ok()
}

fn parse_zone(text: &str) -> Option<FixedOffset> {
    if text.is_empty() || text == "Z" {
        return FixedOffset::east_opt(0);
    }
    let sign = if text.starts_with('-') { -1 } else { 1 };
    let digits: String = text[1..].chars().filter(|c| *c != ':').collect();
    if !matches!(digits.len(), 2 | 4) || !digits.bytes().all(|b| b.is_ascii_digit()) {
        return None;
    }
    let hours: i32 = digits[..2].parse().ok()?;
    let minutes: i32 = if digits.len() == 4 { digits[2..].parse().ok()? } else { 0 };
    FixedOffset::east_opt(sign * (hours * 3600 + minutes * 60))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn iso(text: &str) -> Option<String> {
        parse_iso8601(text).map(|time| time.to_rfc3339())
    }

    #[test]
    fn iso_times_are_read_in_all_their_forms() {
        for (text, time) in [
            ("2026-01-05T13:51:00Z", "2026-01-05T13:51:00+00:00"),
            ("2026-01-05T13:51:00.5+01:30", "2026-01-05T12:21:00.500+00:00"),
            ("2026-01-05T13:51-0100", "2026-01-05T14:51:00+00:00"),
            ("2026-01-05T13+01", "2026-01-05T12:00:00+00:00"),
            ("2026-01-05", "2026-01-05T00:00:00+00:00"),
            ("2026-01", "2026-01-01T00:00:00+00:00"),
        ] {
            assert_eq!(iso(text).as_deref(), Some(time), "{text}");
        }
        for text in
            ["", "x", "2026-13-01", "2026-01-05 13:51:00Z", "2026-01-05T25:00", "2026-01-05T13:51é", "ééé"]
        {
            assert_eq!(iso(text), None, "{text}");
        }
    }

    #[test]
    fn bounds_are_times_or_how_long_ago() {
        let now = "2026-01-08T12:00:00Z".parse().unwrap();
        for (text, time) in [
            ("2026-01-05", "2026-01-05T00:00:00Z"),
            ("2026-01-05 13:51:00", "2026-01-05T13:51:00Z"),
            ("90m", "2026-01-08T10:30:00Z"),
            ("24h", "2026-01-07T12:00:00Z"),
            ("7d", "2026-01-01T12:00:00Z"),
        ] {
            assert_eq!(parse_bound(text, now).unwrap(), time.parse::<DateTime<Utc>>().unwrap(), "{text}");
        }
        for text in ["", "yesterday", "-3d", "5", "99999999999999999d", "3é"] {
            assert!(parse_bound(text, now).is_err(), "{text}");
        }
    }
}
