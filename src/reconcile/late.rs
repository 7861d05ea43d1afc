//! Log files that no digest of their time vouches for. `CloudTrail` lists late what it delivered late, so they are
//! in doubt for a while before they are told of.

use chrono::{DateTime, Days, NaiveDate, Utc};

use super::{DAYS_LATE, DayReport, Finding, Section};
use crate::integrity::{Evidence, LogFileFact, Reason, Verdict};

/// A log file in doubt.
#[derive(Debug)]
pub(super) struct Doubt {
    pub(super) date: NaiveDate,
    pub(super) fact: LogFileFact,
    /// What is told of it if no digest comes.
    pub(super) finding: Finding,
    /// Its key, if the lake lacks it.
    pub(super) lacking: Option<String>,
}

/// Log files in doubt, in the order of their dates.
#[derive(Debug, Default)]
pub(super) struct Late {
    doubts: Vec<Doubt>,
}

impl Late {
    pub(super) fn push(&mut self, doubt: Doubt) {
        self.doubts.push(doubt);
    }

    pub(super) fn is_empty(&self) -> bool {
        self.doubts.is_empty()
    }

    /// Resolves what a digest has come for.
    pub(super) fn settle(&mut self, evidence: &Evidence, now: DateTime<Utc>, report: &mut DayReport) {
        if self.doubts.is_empty() {
            return;
        }
        let listed: std::collections::HashSet<&str> =
            evidence.listed().map(|(log_file, _)| log_file).collect();
        self.doubts.retain_mut(|doubt| {
            if !listed.contains(doubt.fact.log_file.as_str()) {
                return true;
            }
            let (verdict, digest) = evidence.judge(&doubt.fact, now);
            match verdict {
                Verdict::Verified => report.totals.verified += 1,
                Verdict::Not(Reason::HashMismatch) => {
                    report.add(Finding::new(Section::Altered, &doubt.fact.log_file).says(digest));
                }
                // Listed, and nobody has taken its hash.
                Verdict::Not(_) => report.totals.listed += 1,
            }
            report.lacking.extend(doubt.lacking.take());
            false
        });
    }

    /// Tells of those for which no digest will come any more.
    pub(super) fn flush_before(&mut self, date: NaiveDate, report: &mut DayReport) {
        let limit = date - Days::new(DAYS_LATE);
        let (told, kept) = std::mem::take(&mut self.doubts).into_iter().partition(|doubt| doubt.date < limit);
        self.doubts = kept;
        tell(told, report);
    }

    pub(super) fn flush(&mut self, report: &mut DayReport) {
        tell(std::mem::take(&mut self.doubts), report);
    }
}

fn tell(doubts: Vec<Doubt>, report: &mut DayReport) {
    for doubt in doubts {
        // Digests that stopped say nothing against a log file.
        if !doubt.finding.section.is_suspicious() || doubt.finding.section == Section::DigestsStopped {
            report.lacking.extend(doubt.lacking);
        }
        report.add(doubt.finding);
    }
}
