//! Times without a digest that holds, put together from the days.

use chrono::{DateTime, Days, NaiveDate, NaiveTime, SecondsFormat, Utc};

use super::{DayReport, Finding, Section};
use crate::integrity::{self, Evidence, Gap, Why};

/// Gaps that may go on the next day.
#[derive(Debug, Default)]
pub(super) struct Gaps {
    open: Vec<Gap>,
}

impl Gaps {
    /// Takes the gaps of a day, as far as they reach into it.
    pub(super) fn day(&mut self, evidence: &Evidence, date: NaiveDate, report: &mut DayReport) {
        let (start, end) = (midnight(date), midnight(date + Days::new(1)));
        for mut gap in integrity::gaps(evidence) {
            if gap.from >= end || gap.to <= start {
                continue;
            }
            gap.to = gap.to.min(end);
            match self.open.iter_mut().find(|open| goes_on(open, &gap)) {
                Some(open) => (open.from, open.to) = (open.from.min(gap.from), open.to.max(gap.to)),
                None => self.open.push(gap),
            }
        }
        let (open, closed) = std::mem::take(&mut self.open).into_iter().partition(|gap| gap.to >= end);
        self.open = open;
        tell(closed, report);
    }

    pub(super) fn flush(&mut self, report: &mut DayReport) {
        tell(std::mem::take(&mut self.open), report);
    }
}

fn goes_on(open: &Gap, gap: &Gap) -> bool {
    let place = |gap: &Gap| {
        (gap.location.clone(), gap.account.clone(), gap.region.clone(), gap.trail.clone(), gap.why)
    };
    open.to >= gap.from && place(open) == place(gap)
}

fn tell(gaps: Vec<Gap>, report: &mut DayReport) {
    for gap in gaps {
        let section = match gap.why {
            Why::Off => Section::ValidationOff,
            // Each digest without a key is told of by itself.
            Why::KeyNotFound | Why::NotYet => continue,
            Why::Missing | Why::Invalid | Why::Replaced | Why::NotSeen | Why::NoDigest => Section::NoDigest,
        };
        let iso = |time: DateTime<Utc>| time.to_rfc3339_opts(SecondsFormat::Secs, true);
        let trail = gap.trail.as_deref().unwrap_or("any trail");
        let subject = format!("{} {} {trail} {} to {}", gap.account, gap.region, iso(gap.from), iso(gap.to));
        let hours = gap.hours();
        let s = if hours == 1 { "" } else { "s" };
        report.add(Finding::new(section, subject).because(format!("{hours} hour{s}, {}", gap.why)));
    }
}

fn midnight(date: NaiveDate) -> DateTime<Utc> {
    date.and_time(NaiveTime::MIN).and_utc()
}
