//! The calendar: what day and week a number of milliseconds since 1970 is, in a local time.
//!
//! Like Joda's `ISOChronology`, it goes on in both directions without end.

/// A second, in milliseconds.
pub(super) const SECOND: i64 = 1_000;
/// A minute.
pub(super) const MINUTE: i64 = 60 * SECOND;
/// An hour.
pub(super) const HOUR: i64 = 60 * MINUTE;
/// A day.
pub(super) const DAY: i64 = 24 * HOUR;

/// The day of the calendar that a number of days after 1970-01-01 is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Date {
    /// The year; 0 is 1 BC.
    pub(super) year: i64,
    /// From 1.
    pub(super) month: i64,
    /// From 1.
    pub(super) day: i64,
}

impl Date {
    /// Days are counted in eras of 400 years that begin in March, so that a leap day comes last.
    pub(super) fn of_day(days: i64) -> Self {
        let shifted = days.saturating_add(719_468);
        let era = shifted.div_euclid(146_097);
        let day_of_era = shifted.rem_euclid(146_097);
        let year_of_era =
            (day_of_era - day_of_era / 1_460 + day_of_era / 36_524 - day_of_era / 146_096) / 365;
        let day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
        let month_from_march = (5 * day_of_year + 2) / 153;
        let month = if month_from_march < 10 { month_from_march + 3 } else { month_from_march - 9 };
        Self {
            year: year_of_era + era * 400 + i64::from(month <= 2),
            month,
            day: day_of_year - (153 * month_from_march + 2) / 5 + 1,
        }
    }

    pub(super) fn of_millis(local: i64) -> Self {
        Self::of_day(local.div_euclid(DAY))
    }

    /// Days after 1970-01-01.
    pub(super) fn to_day(self) -> i64 {
        let year = self.year - i64::from(self.month <= 2);
        let era = year.div_euclid(400);
        let year_of_era = year.rem_euclid(400);
        let month_from_march = if self.month > 2 { self.month - 3 } else { self.month + 9 };
        let day_of_year = (153 * month_from_march + 2) / 5 + self.day - 1;
        let day_of_era = year_of_era * 365 + year_of_era / 4 - year_of_era / 100 + day_of_year;
        era * 146_097 + day_of_era - 719_468
    }

    /// So many months later, or on the last day of that month if it has no such day.
    pub(super) fn plus_months(self, months: i64) -> Option<Self> {
        let months = (self.year * 12 + self.month - 1).checked_add(months)?;
        let (year, month) = (months.div_euclid(12), months.rem_euclid(12) + 1);
        // Beyond it, milliseconds do not fit into 64 bits.
        if year.abs() > 290_000_000 {
            return None;
        }
        Some(Self { year, month, day: self.day.min(days_in_month(year, month)) })
    }

    pub(super) fn day_of_year(self) -> i64 {
        self.to_day() - Self { year: self.year, month: 1, day: 1 }.to_day() + 1
    }
}

pub(super) fn is_leap(year: i64) -> bool {
    year % 4 == 0 && (year % 100 != 0 || year % 400 == 0)
}

pub(super) fn days_in_month(year: i64, month: i64) -> i64 {
    match month {
        2 => 28 + i64::from(is_leap(year)),
        4 | 6 | 9 | 11 => 30,
        _ => 31,
    }
}

/// Monday is 1, Sunday 7.
pub(super) fn day_of_week(day: i64) -> i64 {
    (day + 3).rem_euclid(7) + 1
}

/// The year that the week of a day belongs to, and its number there: the one with the Thursday.
pub(super) fn week_of(day: i64) -> (i64, i64) {
    let thursday = day - day_of_week(day) + 4;
    let date = Date::of_day(thursday);
    (date.year, (date.day_of_year() - 1) / 7 + 1)
}

/// The Monday of the first week of a week year.
pub(super) fn first_monday(week_year: i64) -> i64 {
    let fourth = Date { year: week_year, month: 1, day: 4 }.to_day();
    fourth - day_of_week(fourth) + 1
}

pub(super) fn weeks_in_year(week_year: i64) -> i64 {
    (first_monday(week_year + 1) - first_monday(week_year)) / 7
}

#[cfg(test)]
mod tests {
    use super::*;
    use chrono::{Datelike, NaiveDate};

    #[test]
    fn the_calendar_is_that_of_chrono() {
        let epoch = NaiveDate::from_ymd_opt(1970, 1, 1).unwrap();
        for day in (-800_000..800_000).step_by(13) {
            let expected = epoch + chrono::TimeDelta::days(day);
            let date = Date::of_day(day);
            assert_eq!(
                (date.year, date.month, date.day),
                (i64::from(expected.year()), i64::from(expected.month()), i64::from(expected.day()))
            );
            assert_eq!(date.to_day(), day);
            assert_eq!(date.day_of_year(), i64::from(expected.ordinal()));
            assert_eq!(day_of_week(day), i64::from(expected.weekday().number_from_monday()));
            let week = expected.iso_week();
            assert_eq!(week_of(day), (i64::from(week.year()), i64::from(week.week())));
        }
    }
}
