//! The verdicts on the log files of some dates, from the facts that a lake holds.

use std::collections::{HashMap, HashSet};
use std::fmt;
use std::sync::Arc;

use anyhow::Result;
use chrono::{DateTime, Utc};

use super::evidence::Evidence;
use super::fact::LogFileFact;
use super::state::{Reason, Verdict};
use crate::lake::{Dates, Facts, Listed};

/// Days before a log file's date of which digests are looked at: for links, and for clocks.
const DAYS_BEFORE: u64 = 1;
/// Days after it in which nearly all log files are listed, and the digest after that links back.
const DAYS_AFTER: u64 = 2;
/// `CloudTrail` delivers for 30 days what it could not deliver at once, and lists it then.
const DAYS_LATE: u64 = 35;

/// What is known of the log files of some dates.
#[derive(Default)]
pub(crate) struct Verdicts {
    by_log_file: HashMap<Box<str>, (Verdict, Option<Arc<str>>)>,
}

/// Plans are printed for each file that they read: a million verdicts in them would take minutes.
impl fmt::Debug for Verdicts {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Verdicts({})", self.by_log_file.len())
    }
}

/// Log files with the evidence to judge them by.
#[derive(Debug)]
pub(crate) struct Case {
    pub(crate) files: Vec<LogFileFact>,
    pub(crate) evidence: Evidence,
}

impl Case {
    /// Reads the log files of some dates, and all digests that may have a say.
    pub(crate) async fn load(facts: &Facts, dates: &Dates, now: DateTime<Utc>) -> Result<Self> {
        let files = facts.log_files(dates).await?;
        let near = dates.widened(DAYS_BEFORE, DAYS_AFTER);
        let mut evidence = Evidence::default();
        evidence.extend(facts.digests(&near, Listed::All).await?);
        let late = dates.widened(0, DAYS_LATE).without(&near);
        let unsettled: HashSet<&str> = files
            .iter()
            .filter(|file| !is_settled(evidence.judge(file, now).0))
            .map(|file| file.log_file.as_str())
            .collect();
        if !unsettled.is_empty() {
            let late = facts.digests(&late, Listed::Only(&unsettled)).await?;
            // Those that list none of them say nothing new of these dates.
            evidence.extend(late.into_iter().filter(|(_, listed)| !listed.is_empty()));
        }
        Ok(Self { files, evidence })
    }

    /// Judges all of them.
    pub(crate) fn verdicts(self, now: DateTime<Utc>) -> Verdicts {
        let Self { files, evidence } = self;
        let mut digests: HashMap<&str, Arc<str>> = HashMap::new();
        let mut by_log_file = HashMap::with_capacity(files.len());
        for file in files {
            let (verdict, digest) = evidence.judge(&file, now);
            let digest = digest.map(|digest| digests.entry(digest).or_insert_with(|| digest.into()).clone());
            by_log_file.insert(file.log_file.into_boxed_str(), (verdict, digest));
        }
        Verdicts { by_log_file }
    }
}

/// Whether no digest that comes a month later could change the verdict for the better.
fn is_settled(verdict: Verdict) -> bool {
    matches!(
        verdict,
        Verdict::Verified | Verdict::Not(Reason::HashMismatch | Reason::Deleted | Reason::Unreadable)
    )
}

impl Verdicts {
    /// Reads the facts about the log files of some dates and judges them.
    pub(crate) async fn load(facts: &Facts, dates: &Dates, now: DateTime<Utc>) -> Result<Self> {
        let case = Case::load(facts, dates, now).await?;
        // Judging a million files takes a while.
        Ok(tokio::task::spawn_blocking(move || case.verdicts(now)).await?)
    }

    /// The verdict on a log file; nothing if the ledger does not have it.
    pub(crate) fn get(&self, log_file: &str) -> Option<Verdict> {
        self.by_log_file.get(log_file).map(|(verdict, _)| *verdict)
    }

    /// The digest that says so.
    pub(crate) fn digest(&self, log_file: &str) -> Option<&str> {
        self.by_log_file.get(log_file)?.1.as_deref()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn verdicts_are_not_printed_one_by_one() {
        let mut verdicts = Verdicts::default();
        for number in 0..1000 {
            verdicts.by_log_file.insert(format!("s3://{number}").into(), (Verdict::Verified, None));
        }
        assert_eq!(format!("{verdicts:?}"), "Verdicts(1000)");
    }
}
