//! Which time is covered, as ranges that neither touch nor overlap.

use chrono::{DateTime, TimeDelta, Utc};

type Range = (DateTime<Utc>, DateTime<Utc>);

/// Time that is covered, in order.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Coverage {
    ranges: Vec<Range>,
}

impl Coverage {
    /// The ranges, in order.
    pub fn ranges(&self) -> &[Range] {
        &self.ranges
    }

    /// The time covered in all.
    pub fn total(&self) -> TimeDelta {
        self.ranges.iter().map(|(start, end)| *end - *start).sum()
    }

    /// Adds a range.
    pub fn add(&mut self, start: DateTime<Utc>, end: DateTime<Utc>) {
        if start >= end {
            return;
        }
        let first = self.ranges.partition_point(|range| range.1 < start);
        let last = self.ranges.partition_point(|range| range.0 <= end);
        let mut joined = (start, end);
        for range in self.ranges.drain(first..last) {
            joined = (joined.0.min(range.0), joined.1.max(range.1));
        }
        self.ranges.insert(first, joined);
    }

    /// Takes a range out.
    pub fn remove(&mut self, start: DateTime<Utc>, end: DateTime<Utc>) {
        if start >= end {
            return;
        }
        let first = self.ranges.partition_point(|range| range.1 <= start);
        let last = self.ranges.partition_point(|range| range.0 < end);
        if first >= last {
            return;
        }
        let (before, after) = (self.ranges[first].0, self.ranges[last - 1].1);
        let left = [(before, start), (end, after)];
        self.ranges.splice(first..last, left.into_iter().filter(|range| range.0 < range.1));
    }

    /// Whether all of a range is covered.
    pub fn contains(&self, start: DateTime<Utc>, end: DateTime<Utc>) -> bool {
        let at = self.ranges.partition_point(|range| range.1 < end);
        self.ranges.get(at).is_some_and(|range| range.0 <= start && end <= range.1)
    }

    /// What is left of a range.
    #[must_use]
    pub fn within(&self, start: DateTime<Utc>, end: DateTime<Utc>) -> Coverage {
        let cut = |range: &Range| (range.0.max(start), range.1.min(end));
        Coverage { ranges: self.ranges.iter().map(cut).filter(|range| range.0 < range.1).collect() }
    }

    /// What of a range is not covered.
    pub fn gaps(&self, start: DateTime<Utc>, end: DateTime<Utc>) -> Vec<Range> {
        let mut gaps = Vec::new();
        let mut from = start;
        for (covered, until) in self.within(start, end).ranges {
            if from < covered {
                gaps.push((from, covered));
            }
            from = until;
        }
        if from < end {
            gaps.push((from, end));
        }
        gaps
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn at(hour: i64) -> DateTime<Utc> {
        DateTime::from_timestamp(hour * 3600, 0).unwrap()
    }

    proptest! {
        #[test]
        fn ranges_say_what_a_list_of_hours_would_say(
            steps in proptest::collection::vec((any::<bool>(), 0i64..40, 0i64..12), 0..30),
        ) {
            let (mut coverage, mut hours) = (Coverage::default(), [false; 60]);
            for (add, start, length) in steps {
                let end = start + length;
                if add { coverage.add(at(start), at(end)) } else { coverage.remove(at(start), at(end)) }
                for hour in start..end {
                    hours[usize::try_from(hour).unwrap()] = add;
                }
            }
            for hour in 0..59 {
                let known = hours[usize::try_from(hour).unwrap()];
                prop_assert_eq!(coverage.contains(at(hour), at(hour + 1)), known, "{}", hour);
            }
            let covered = i64::try_from(hours.iter().filter(|hour| **hour).count()).unwrap();
            prop_assert_eq!(coverage.total(), TimeDelta::hours(covered));
            prop_assert!(coverage.ranges().windows(2).all(|two| two[0].1 < two[1].0));
            let open: TimeDelta = coverage.gaps(at(0), at(60)).iter().map(|gap| gap.1 - gap.0).sum();
            prop_assert_eq!(open + coverage.total(), TimeDelta::hours(60));
        }
    }
}
