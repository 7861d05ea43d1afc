//! Time zones: the offset at a moment, and the moment that a local time is.

use arrow::array::timezone::Tz;
use chrono::{DateTime, Offset, TimeZone};
use datafusion::common::{Result, exec_datafusion_err};

use super::civil::{HOUR, MINUTE};

/// A zone of Trino; that of a type without one is UTC.
#[derive(Clone, Copy, Debug)]
pub(super) enum Zone {
    /// Milliseconds east of UTC.
    Fixed(i64),
    /// A place of the time zone database.
    Named(Tz),
}

impl Zone {
    pub(super) const UTC: Self = Self::Fixed(0);

    /// The zone in the type of a column.
    pub(super) fn of(zone: Option<&str>) -> Result<Self> {
        match zone {
            None | Some("UTC") => Ok(Self::UTC),
            Some(zone) => match parse_offset(zone) {
                Some(offset) => Ok(Self::Fixed(offset)),
                None => zone.parse().map(Self::Named).map_err(|_| not_a_zone(zone)),
            },
        }
    }

    /// How far the local time is ahead of UTC at a moment, in milliseconds.
    pub(super) fn offset(self, utc: i64) -> i64 {
        match self {
            Self::Fixed(offset) => offset,
            Self::Named(zone) => {
                // A moment that chrono cannot name is beyond what the time zone database knows.
                let Some(moment) = DateTime::from_timestamp_millis(utc) else { return 0 };
                i64::from(zone.offset_from_utc_datetime(&moment.naive_utc()).fix().local_minus_utc()) * 1_000
            }
        }
    }

    pub(super) fn local(self, utc: i64) -> i64 {
        utc.saturating_add(self.offset(utc))
    }

    /// The moment of a local time, as Joda's `convertLocalToUTC`: a time that the clocks leave out is
    /// moved by what they leave out, and one that comes twice is the one nearer to `before`.
    pub(super) fn utc(self, local: i64, before: i64) -> i64 {
        if let Self::Fixed(offset) = self {
            return local.saturating_sub(offset);
        }
        let same = local.saturating_sub(self.offset(before));
        if self.offset(same) == self.offset(before) {
            return same;
        }
        let estimate = self.offset(local);
        let offset = self.offset(local.saturating_sub(estimate));
        let in_gap = self.offset(local.saturating_sub(offset)) != offset;
        local.saturating_sub(if estimate < 0 && in_gap { estimate } else { offset })
    }
}

fn not_a_zone(zone: &str) -> datafusion::error::DataFusionError {
    exec_datafusion_err!("INVALID_FUNCTION_ARGUMENT: '{zone}' is not a valid time zone")
}

/// The name that a type bears for a zone that a query names: `america/new_york` is found too, and `Z`,
/// `GMT`, `UTC+2` are UTC and an offset.
pub(super) fn canonical(zone: &str) -> Result<String> {
    let upper = zone.to_ascii_uppercase();
    let upper = upper.strip_prefix("ETC/").unwrap_or(&upper);
    if ["UTC", "GMT", "Z", "UT", "UCT", "ZULU", "GREENWICH", "UNIVERSAL", "GMT0"].contains(&upper) {
        return Ok("UTC".to_owned());
    }
    let offset = ["UTC", "GMT", "UT"].iter().find_map(|prefix| upper.strip_prefix(prefix)).unwrap_or(zone);
    if let Some(offset) = parse_offset(offset) {
        return Ok(if offset == 0 { "UTC".to_owned() } else { offset_text(offset, ":") });
    }
    let spelled = [zone.to_owned(), upper.to_owned(), in_title_case(zone)];
    let known =
        spelled.iter().find(|zone| zone.parse::<Tz>().is_ok() && zone.as_bytes()[0].is_ascii_alphabetic());
    known.cloned().ok_or_else(|| not_a_zone(zone))
}

fn in_title_case(zone: &str) -> String {
    let mut start = true;
    let letter = |c: char| {
        let c = if start { c.to_ascii_uppercase() } else { c.to_ascii_lowercase() };
        start = !c.is_ascii_alphabetic();
        c
    };
    zone.chars().map(letter).collect()
}

/// `+02:00`, `+0200`, `+2`, `-3:30`: in milliseconds.
pub(super) fn parse_offset(text: &str) -> Option<i64> {
    let sign = match text.as_bytes().first()? {
        b'+' => 1,
        b'-' => -1,
        _ => return None,
    };
    let digits = &text[1..];
    let (hours, minutes) = match digits.split_once(':') {
        Some((hours, minutes)) if minutes.len() == 2 => (hours, minutes),
        Some(_) => return None,
        None if digits.len() == 4 && digits.is_ascii() => digits.split_at(2),
        None => (digits, "00"),
    };
    let number = |text: &str| text.bytes().all(|b| b.is_ascii_digit()).then(|| text.parse::<i64>().ok());
    let (hours_number, minutes) = (number(hours)??, number(minutes)??);
    let valid = (1..=2).contains(&hours.len()) && hours_number <= 14 && minutes < 60;
    valid.then_some(sign * (hours_number * HOUR + minutes * MINUTE))
}

/// An offset as text, `+02:00` with the separator `:`.
pub(super) fn offset_text(offset: i64, separator: &str) -> String {
    let sign = if offset < 0 { '-' } else { '+' };
    let minutes = offset.abs() / MINUTE;
    format!("{sign}{:02}{separator}{:02}", minutes / 60, minutes % 60)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn zones_are_found_however_they_are_spelled() {
        for (zone, name) in [
            ("America/New_York", "America/New_York"),
            ("america/new_york", "America/New_York"),
            ("utc", "UTC"),
            ("Etc/UTC", "UTC"),
            ("Z", "UTC"),
            ("GMT", "UTC"),
            ("UTC+2", "+02:00"),
            ("+05:30", "+05:30"),
            ("-0330", "-03:30"),
            ("+00:00", "UTC"),
            ("EST5EDT", "EST5EDT"),
        ] {
            assert_eq!(canonical(zone).unwrap(), name, "{zone}");
        }
        for zone in ["", "Mars/Olympus", "+99:00", "+2:3", "é", "+é1", "UTC+", "+"] {
            assert!(canonical(zone).is_err(), "{zone}");
        }
    }

    #[test]
    fn a_local_time_that_does_not_exist_moves_forward() {
        let zone = Zone::of(Some("America/New_York")).unwrap();
        let local = 1_772_937_000_000; // 2026-03-08 02:30
        assert_eq!(zone.local(zone.utc(local, local - 86_400_000)), local + HOUR);
        let zone = Zone::of(Some("Europe/Berlin")).unwrap();
        let local = 1_774_751_400_000; // 2026-03-29 02:30
        assert_eq!(zone.local(zone.utc(local, local - 86_400_000)), local + HOUR);
    }
}
