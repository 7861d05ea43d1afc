//! Sets of days, and whether the rows of a file may be of one of them.

use std::ops::RangeInclusive;

use chrono::NaiveDate;

/// The first and the last date of a file's rows, if the log tells.
pub(crate) type Span = Option<(NaiveDate, NaiveDate)>;

/// Dates, as ranges that do not touch, in order.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(crate) struct Dates(Vec<RangeInclusive<NaiveDate>>);

impl Dates {
    /// The span of a file that has no date in any of its rows.
    pub(crate) const NONE: (NaiveDate, NaiveDate) = (NaiveDate::MAX, NaiveDate::MIN);

    /// All there are.
    pub(crate) fn all() -> Self {
        Self(vec![NaiveDate::MIN..=NaiveDate::MAX])
    }

    /// Those in any of these ranges.
    pub(crate) fn of(ranges: impl IntoIterator<Item = RangeInclusive<NaiveDate>>) -> Self {
        let mut ranges: Vec<_> = ranges.into_iter().filter(|range| !range.is_empty()).collect();
        ranges.sort_by_key(|range| *range.start());
        let mut merged: Vec<RangeInclusive<NaiveDate>> = Vec::new();
        for range in ranges {
            match merged.last_mut() {
                Some(last) if *range.start() <= last.end().succ_opt().unwrap_or(NaiveDate::MAX) => {
                    *last = *last.start()..=*last.end().max(range.end());
                }
                _ => merged.push(range),
            }
        }
        Self(merged)
    }

    /// The same with so many days before and after each.
    pub(crate) fn widened(&self, before: u64, after: u64) -> Self {
        let range = |range: &RangeInclusive<NaiveDate>| {
            let start = range.start().checked_sub_days(chrono::Days::new(before)).unwrap_or(NaiveDate::MIN);
            let end = range.end().checked_add_days(chrono::Days::new(after)).unwrap_or(NaiveDate::MAX);
            start..=end
        };
        Self::of(self.0.iter().map(range))
    }

    /// Those of these dates that are not among `other`.
    pub(crate) fn without(&self, other: &Self) -> Self {
        let mut left = self.0.clone();
        for taken in &other.0 {
            left = left
                .into_iter()
                .flat_map(|range| {
                    let before = taken.start().pred_opt().map(|end| *range.start()..=end.min(*range.end()));
                    let after = taken.end().succ_opt().map(|start| start.max(*range.start())..=*range.end());
                    [before, after]
                })
                .flatten()
                // One that is empty would be split in two again by each that follows: 2^n of them.
                .filter(|range| !range.is_empty())
                .collect();
        }
        Self::of(left)
    }

    /// Whether all dates of `other` are among these.
    pub(crate) fn cover(&self, other: &Self) -> bool {
        other.0.iter().all(|theirs| {
            self.0.iter().any(|ours| ours.contains(theirs.start()) && ours.contains(theirs.end()))
        })
    }

    /// Whether a date is among these.
    pub(crate) fn contain(&self, date: NaiveDate) -> bool {
        self.0.iter().any(|range| range.contains(&date))
    }

    /// The last of them.
    pub(crate) fn last(&self) -> Option<NaiveDate> {
        self.0.last().map(|range| *range.end())
    }

    /// How many there are.
    pub(crate) fn count(&self) -> i64 {
        self.0.iter().map(|range| range.end().signed_duration_since(*range.start()).num_days() + 1).sum()
    }

    /// Whether rows of a file may be of these dates. Where nothing is known of it, they may.
    pub(crate) fn touch(&self, span: Span) -> bool {
        let Some((first, last)) = span else { return true };
        self.0.iter().any(|range| *range.start() <= last && *range.end() >= first)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn date(days: i64) -> NaiveDate {
        NaiveDate::default() + chrono::Duration::days(days)
    }

    #[test]
    fn dates_without_many_others_are_found_at_once() {
        let ours = Dates::of((0..500).map(|year| date(year * 365)..=date(year * 365 + 35)));
        let theirs = Dates::of((0..500).map(|year| date(year * 365)..=date(year * 365 + 2)));
        let left = ours.without(&theirs);
        assert_eq!(left.0.len(), 500);
        assert_eq!(left.0[1], date(368)..=date(400));
        assert_eq!(Dates::all().without(&Dates::all()), Dates::of([]));
    }
}
