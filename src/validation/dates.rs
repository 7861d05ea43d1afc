//! Times as people type them, read as the AWS CLI reads them: that is, as Python's dateutil does.
//!
//! Words and numbers in nearly any order; what is missing comes from today's local date. An offset from
//! UTC is read and, by the AWS CLI, dropped.

mod tokens;

use chrono::{DateTime, Datelike as _, Local, NaiveDate, NaiveDateTime, TimeDelta, Utc};

use tokens::{afternoon, is_jump, month, split, unit, weekday};

/// A time, and how far from UTC it was said to be.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Typed {
    /// Date and time as typed.
    pub local: NaiveDateTime,
    /// Seconds east of UTC, if that was said.
    pub offset: Option<i32>,
}

impl Typed {
    /// The time with its offset dropped, which is how the AWS CLI takes it.
    pub fn as_the_cli_does(self) -> DateTime<Utc> {
        self.local.and_utc()
    }

    /// The time that was meant.
    pub fn meant(self) -> DateTime<Utc> {
        self.local.and_utc() - TimeDelta::seconds(self.offset.unwrap_or(0).into())
    }
}

/// Reads a time; `None` where dateutil would refuse.
pub fn parse(text: &str) -> Option<Typed> {
    parse_on(text, Local::now().date_naive())
}

/// As [`parse`], on that day.
pub fn parse_on(text: &str, today: NaiveDate) -> Option<Typed> {
    let mut reader = Reader { tokens: split(text), today, ..Reader::default() };
    reader.read()?;
    reader.finish()
}

#[derive(Default)]
struct Reader {
    tokens: Vec<String>,
    at: usize,
    today: NaiveDate,
    date: Vec<u32>,
    year_at: Option<usize>,
    month_at: Option<usize>,
    century: bool,
    weekday: Option<u32>,
    hour: Option<u32>,
    minute: Option<u32>,
    second: Option<u32>,
    micros: u32,
    afternoon: Option<bool>,
    zone: Option<String>,
    offset: Option<i32>,
}

impl Reader {
    fn token(&self, ahead: usize) -> Option<&str> {
        self.tokens.get(self.at + ahead).map(String::as_str)
    }

    fn read(&mut self) -> Option<()> {
        while let Some(token) = self.token(0).map(str::to_owned) {
            if token.starts_with(|c: char| c.is_ascii_digit()) {
                self.number(&token)?;
            } else if let Some(day) = weekday(&token) {
                self.weekday = Some(day);
            } else if let Some(month) = month(&token) {
                self.month(month)?;
            } else if let Some(afternoon) = afternoon(&token).filter(|_| self.hour.is_some()) {
                self.hour = Some(half_day(self.hour.filter(|hour| *hour <= 12)?, afternoon));
                self.afternoon = Some(afternoon);
            } else if self.is_zone(&token) {
                self.zone(&token);
            } else if self.hour.is_some() && (token == "+" || token == "-") {
                self.offset(&token)?;
            } else if !is_jump(&token) {
                return None;
            }
            self.at += 1;
        }
        Some(())
    }

    fn push(&mut self, text: &str) -> Option<()> {
        let value: f64 = text.parse().ok()?;
        if value > 100.0 || (text.len() > 2 && text.bytes().all(|b| b.is_ascii_digit())) {
            self.century = true;
            self.year_at = Some(self.date.len());
        }
        #[expect(
            clippy::cast_possible_truncation,
            clippy::cast_sign_loss,
            reason = "digits only, and casts saturate"
        )]
        self.date.push(value as u32);
        Some(())
    }

    fn number(&mut self, text: &str) -> Option<()> {
        let digits = |range: std::ops::Range<usize>| text.get(range)?.parse::<u32>().ok();
        let next = self.token(1).map(str::to_owned);
        let length = text.len();
        let no_unit = next.as_deref().is_none_or(|next| next != ":" && unit(next).is_none());
        if self.date.len() == 3 && (length == 2 || length == 4) && self.hour.is_none() && no_unit {
            self.hour = Some(digits(0..2)?);
            if length == 4 {
                self.minute = Some(digits(2..4)?);
            }
        } else if length == 6 || (length > 6 && text.find('.') == Some(6)) {
            if self.date.is_empty() && !text.contains('.') {
                for part in [0..2, 2..4, 4..6] {
                    self.push(text.get(part)?)?;
                }
            } else {
                (self.hour, self.minute) = (Some(digits(0..2)?), Some(digits(2..4)?));
                self.seconds(text.get(4..)?)?;
            }
        } else if matches!(length, 8 | 12 | 14) && !text.contains('.') {
            for part in [0..4, 4..6, 6..8] {
                self.push(text.get(part)?)?;
            }
            if length > 8 {
                (self.hour, self.minute) = (Some(digits(8..10)?), Some(digits(10..12)?));
            }
            if length > 12 {
                self.second = Some(digits(12..14)?);
            }
        } else if let Some((unit, skip)) = self.unit_ahead() {
            self.with_unit(text, unit)?;
            self.at += skip;
        } else if next.as_deref() == Some(":") && self.token(2).is_some() {
            self.clock(text)?;
        } else if matches!(next.as_deref(), Some("-" | "/" | ".")) {
            self.separated(text)?;
        } else if next.as_deref().is_none_or(is_jump) {
            if let Some(afternoon) = self.token(2).and_then(afternoon) {
                self.hour = Some(half_day(text.parse().ok()?, afternoon));
                self.at += 2;
            } else {
                self.push(text)?;
                self.at += 1;
            }
        } else if let Some(afternoon) = next.as_deref().and_then(afternoon) {
            let hour: u32 = text.parse().ok().filter(|hour| *hour < 24)?;
            self.hour = Some(half_day(hour, afternoon));
            self.at += 1;
        } else if (1..=31).contains(&text.parse::<u32>().ok()?) {
            self.push(text)?;
        } else {
            return None;
        }
        Some(())
    }

    /// A unit right after the number, or after one blank.
    fn unit_ahead(&self) -> Option<(usize, usize)> {
        let next = self.token(1)?;
        match unit(next) {
            Some(unit) => Some((unit, 1)),
            None if next == " " => Some((unit(self.token(2)?)?, 2)),
            None => None,
        }
    }

    fn with_unit(&mut self, text: &str, unit: usize) -> Option<()> {
        match unit {
            0 => self.hour = Some(text.split('.').next()?.parse().ok()?),
            1 => self.minute = Some(text.split('.').next()?.parse().ok()?),
            _ => self.seconds(text)?,
        }
        Some(())
    }

    fn clock(&mut self, hour: &str) -> Option<()> {
        self.hour = Some(hour.parse().ok()?);
        self.minute = Some(self.token(2)?.split('.').next()?.parse().ok()?);
        if self.token(3) == Some(":") && self.token(4).is_some() {
            let seconds = self.token(4)?.to_owned();
            self.seconds(&seconds)?;
            self.at += 2;
        }
        self.at += 2;
        Some(())
    }

    fn seconds(&mut self, text: &str) -> Option<()> {
        let (whole, fraction) = text.split_once('.').unwrap_or((text, ""));
        self.second = Some(whole.parse().ok()?);
        let micros: String = fraction.chars().chain("000000".chars()).take(6).collect();
        self.micros = micros.parse().ok()?;
        Some(())
    }

    /// `2024-03-01`, `1/3/2024`, `01-Mar-2024`.
    fn separated(&mut self, first: &str) -> Option<()> {
        let separator = self.token(1)?.to_owned();
        self.push(first)?;
        if let Some(second) = self.token(2).filter(|token| !is_jump(token)).map(str::to_owned) {
            self.part_of_date(&second)?;
            if self.token(3) == Some(separator.as_str()) {
                let third = self.token(4)?.to_owned();
                self.part_of_date(&third)?;
                self.at += 2;
            }
            self.at += 1;
        }
        self.at += 1;
        Some(())
    }

    fn part_of_date(&mut self, text: &str) -> Option<()> {
        match month(text) {
            Some(month) => self.push_month(month),
            None => self.push(text),
        }
    }

    fn push_month(&mut self, month: u32) -> Option<()> {
        if self.month_at.replace(self.date.len()).is_some() {
            return None;
        }
        self.date.push(month);
        Some(())
    }

    /// `March`, `Mar-01`, `Mar-01-2024`.
    fn month(&mut self, month: u32) -> Option<()> {
        self.push_month(month)?;
        let Some(separator) = self.token(1).filter(|token| matches!(*token, "-" | "/")).map(str::to_owned)
        else {
            return Some(());
        };
        let day = self.token(2)?.to_owned();
        self.push(&day)?;
        if self.token(3) == Some(separator.as_str()) {
            let year = self.token(4)?.to_owned();
            self.push(&year)?;
            self.at += 2;
        }
        self.at += 2;
        Some(())
    }

    fn is_zone(&self, token: &str) -> bool {
        let upper = token.bytes().all(|b| b.is_ascii_uppercase()) && token.len() <= 5;
        let named = upper || matches!(token, "z" | "utc" | "gmt");
        self.hour.is_some() && self.zone.is_none() && self.offset.is_none() && named && !token.is_empty()
    }

    fn zone(&mut self, token: &str) {
        self.zone = Some(token.to_owned());
        if matches!(token.to_ascii_uppercase().as_str(), "Z" | "UTC" | "GMT") {
            self.offset = Some(0);
        }
        // `GMT+3` is what Posix writes as `GMT-3`.
        let turned = match self.token(1) {
            Some("+") => "-",
            Some("-") => "+",
            _ => return,
        };
        self.offset = None;
        turned.clone_into(&mut self.tokens[self.at + 1]);
    }

    fn offset(&mut self, sign: &str) -> Option<()> {
        let sign = if sign == "+" { 1 } else { -1 };
        let digits = self.token(1)?.to_owned();
        let number = |text: &str| text.parse::<i32>().ok();
        let (hours, minutes) = if digits.len() == 4 {
            (number(digits.get(..2)?)?, number(digits.get(2..)?)?)
        } else if self.token(2) == Some(":") {
            let minutes = number(self.token(3)?)?;
            self.at += 2;
            (number(&digits)?, minutes)
        } else if digits.len() <= 2 {
            (number(&digits)?, 0)
        } else {
            return None;
        };
        self.offset = Some(sign * (hours * 3600 + minutes * 60)).filter(|offset| offset.abs() < 86_400);
        self.at += 1;
        self.offset.map(|_| ())
    }

    fn finish(self) -> Option<Typed> {
        let nothing =
            self.date.is_empty() && self.weekday.is_none() && self.hour.is_none() && self.minute.is_none();
        if nothing && self.second.is_none() {
            return None;
        }
        let (year, month, day) = self.resolve()?;
        let year = match year {
            Some(year) => full_year(i32::try_from(year).ok()?, self.century, self.today.year()),
            None => self.today.year(),
        };
        let month = month.unwrap_or(self.today.month());
        let date = match day {
            Some(day) => NaiveDate::from_ymd_opt(year, month, day)?,
            None => (1..=self.today.day()).rev().find_map(|day| NaiveDate::from_ymd_opt(year, month, day))?,
        };
        let date = match self.weekday.filter(|_| day.is_none()) {
            Some(weekday) => {
                let ahead = (7 + weekday - date.weekday().num_days_from_monday()) % 7;
                date.checked_add_days(chrono::Days::new(ahead.into()))?
            }
            None => date,
        };
        let (hour, minute) = (self.hour.unwrap_or(0), self.minute.unwrap_or(0));
        let local = date.and_hms_micro_opt(hour, minute, self.second.unwrap_or(0), self.micros)?;
        Some(Typed { local, offset: self.offset })
    }

    /// Which of the numbers is the year, which the month, which the day.
    fn resolve(&self) -> Option<(Option<u32>, Option<u32>, Option<u32>)> {
        let full = |year, month, day| Some((Some(year), Some(month), Some(day)));
        if let ([_, _, _], Some(year), Some(month)) = (&self.date[..], self.year_at, self.month_at) {
            let day = 3_usize.checked_sub(year + month).filter(|_| year != month)?;
            return full(self.date[year], self.date[month], self.date[day]);
        }
        match (&self.date[..], self.month_at) {
            ([], _) => Some((None, None, None)),
            ([month], Some(_)) => Some((None, Some(*month), None)),
            ([one], None) if *one > 31 => Some((Some(*one), None, None)),
            ([one], None) => Some((None, None, Some(*one))),
            ([one, two], Some(at)) => {
                let (month, other) = if at == 0 { (*one, *two) } else { (*two, *one) };
                Some(if other > 31 {
                    (Some(other), Some(month), None)
                } else {
                    (None, Some(month), Some(other))
                })
            }
            ([one, two], None) if *one > 31 => Some((Some(*one), Some(*two), None)),
            ([one, two], None) if *two > 31 => Some((Some(*two), Some(*one), None)),
            ([one, two], None) => Some((None, Some(*one), Some(*two))),
            ([one, two, three], Some(0)) if *two > 31 => full(*two, *one, *three),
            ([one, two, three], Some(0)) => full(*three, *one, *two),
            ([one, two, three], Some(1)) if *one > 31 => full(*one, *two, *three),
            ([one, two, three], Some(1)) => full(*three, *two, *one),
            ([one, two, three], Some(_)) if *two > 31 => full(*two, *three, *one),
            ([one, two, three], Some(_)) => full(*one, *three, *two),
            ([one, two, three], None) if *one > 31 || self.year_at == Some(0) => full(*one, *two, *three),
            ([one, two, three], None) if *one > 12 => full(*three, *two, *one),
            ([one, two, three], None) => full(*three, *one, *two),
            _ => None,
        }
    }
}

fn half_day(hour: u32, afternoon: bool) -> u32 {
    match (hour, afternoon) {
        (12, false) => 0,
        (hour, true) if hour < 12 => hour + 12,
        (hour, _) => hour,
    }
}

/// Two digits mean the year that is nearest to now.
fn full_year(year: i32, century: bool, now: i32) -> i32 {
    if century || year >= 100 {
        return year;
    }
    let year = year + now / 100 * 100;
    if year >= now + 50 {
        year - 100
    } else if year < now - 50 {
        year + 100
    } else {
        year
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(text: &str) -> String {
        let today = NaiveDate::from_ymd_opt(2026, 11, 21).unwrap();
        parse_on(text, today).map_or("refused".to_owned(), |typed| {
            let offset = typed.offset.map(|offset| format!(" {offset}")).unwrap_or_default();
            format!("{}{offset}", typed.local)
        })
    }

    /// What dateutil 2.9 answers to each, on that day.
    #[test]
    fn times_read_as_dateutil_reads_them() {
        for (text, expected) in [
            ("2015-01-08T05:21:42Z", "2015-01-08 05:21:42 0"),
            ("2024-03-01T02:00:00.123456Z", "2024-03-01 02:00:00.123456 0"),
            ("20160129T19:00:00Z", "2016-01-29 19:00:00 0"),
            ("20240301T020000Z", "2024-03-01 02:00:00 0"),
            ("20240301T040000", "2024-03-01 04:00:00"),
            ("202403010200", "2024-03-01 02:00:00"),
            ("March 1, 2024 02:00", "2024-03-01 02:00:00"),
            ("2024-03-01 4am", "2024-03-01 04:00:00"),
            ("2024-03-01 12 am", "2024-03-01 00:00:00"),
            ("1 Mar 2024 16:05", "2024-03-01 16:05:00"),
            ("01-Mar-2024", "2024-03-01 00:00:00"),
            ("3/1/2024", "2024-03-01 00:00:00"),
            ("13/1/2024", "2024-01-13 00:00:00"),
            ("01.03.2024", "2024-01-03 00:00:00"),
            ("2024/03/01 02h30m", "2024-03-01 02:30:00"),
            ("Fri Mar  1 02:00:00 UTC 2024", "2024-03-01 02:00:00 0"),
            ("2024-03-01T02:00:00+05:00", "2024-03-01 02:00:00 18000"),
            ("2024-03-01T04:00:00-0300", "2024-03-01 04:00:00 -10800"),
            ("2024-03-01 04:00 GMT+3", "2024-03-01 04:00:00 -10800"),
            ("2024-03", "2024-03-21 00:00:00"),
            ("2024", "2024-11-21 00:00:00"),
            ("10:30", "2026-11-21 10:30:00"),
            ("March 2024", "2024-03-21 00:00:00"),
            ("240301", "2001-03-24 00:00:00"),
            ("foo", "refused"),
            ("1709258400", "refused"),
            ("20240301T06zzzzZ", "refused"),
            ("yesterday-ish", "refused"),
            ("2024-13-41", "refused"),
            ("2024-03-01T25:00:00Z", "refused"),
            ("9999999999999999", "refused"),
            ("", "refused"),
        ] {
            assert_eq!(read(text), expected, "{text}");
        }
    }

    #[test]
    fn an_offset_is_dropped_or_honoured() {
        let typed = parse("2024-03-01T02:00:00+05:00").unwrap();
        assert_eq!(typed.as_the_cli_does().to_rfc3339(), "2024-03-01T02:00:00+00:00");
        assert_eq!(typed.meant().to_rfc3339(), "2024-02-29T21:00:00+00:00");
    }

    proptest::proptest! {
        #[test]
        fn no_text_makes_the_reader_panic(text in "[0-9A-Za-z:+./, -]{0,24}|\\PC{0,12}") {
            let _ = parse(&text);
        }
    }
}
