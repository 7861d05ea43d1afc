//! Log files that failed at any time, and that nobody has dealt with.
//!
//! A failure stays one, however long ago it was found out. It is dealt with when nothing of the log file is
//! in `events`, and nothing of it waits in quarantine: so somebody has withdrawn it, or it never got in,
//! and somebody has looked at what quarantine had of it.

use std::collections::{BTreeMap, HashSet};

use anyhow::Result;
use chrono::{DateTime, NaiveDate, Utc};

use super::audit::Failed;
use super::state::{Reason, State};
use super::verdicts::Case;
use crate::lake::{Dates, Lake, QuarantineFilter, Status};

/// Days that are judged together. Their evidence is in memory together, and what lies beside them is read
/// twice.
const DAYS_TOGETHER: usize = 31;

/// Failures that are told one by one. Beyond, they are only counted.
const TOLD: usize = 10_000;

/// Log files that failed and were not dealt with.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Failures {
    /// By reason.
    pub reasons: BTreeMap<Reason, u64>,
    /// The first ten thousand, by the date in their keys.
    pub log_files: Vec<Failed>,
    /// Those of them that have rows in `events`, or had none to begin with: these can be withdrawn.
    pub in_events: HashSet<String>,
}

impl Failures {
    /// How many there are.
    pub fn count(&self) -> u64 {
        self.reasons.values().sum()
    }
}

/// Judges all log files of a lake, those whose keys have a date before `since` left out.
pub async fn failures(lake: &Lake, since: Option<NaiveDate>, now: DateTime<Utc>) -> Result<Failures> {
    let open = lake.quarantined(&QuarantineFilter::default()).await?;
    let open: HashSet<&str> = open.iter().map(|piece| piece.entry.log_file.as_str()).collect();
    let facts = lake.facts().await?;
    let dates = facts.dates().await?;
    let dates: Vec<NaiveDate> =
        dates.into_iter().filter(|date| since.is_none_or(|since| *date >= since)).collect();
    let mut failures = Failures::default();
    for dates in dates.chunks(DAYS_TOGETHER) {
        let dates = Dates::of(dates.iter().map(|date| *date..=*date));
        let case = Case::load(&facts, &dates, now).await?;
        for (file, verdict, digest) in case.judge(now) {
            let Some(why) = verdict.reason().filter(|why| why.state() == State::Failed) else { continue };
            let in_events = file.status == Status::Committed;
            if in_events || open.contains(file.log_file.as_str()) {
                failures.add(&file.log_file, why, digest, in_events);
            }
        }
    }
    Ok(failures)
}

impl Failures {
    fn add(&mut self, log_file: &str, why: Reason, digest: Option<&str>, in_events: bool) {
        *self.reasons.entry(why).or_default() += 1;
        if self.log_files.len() < TOLD {
            let (log_file, digest) = (log_file.to_owned(), digest.map(str::to_owned));
            if in_events {
                self.in_events.insert(log_file.clone());
            }
            self.log_files.push(Failed { log_file, why, digest });
        }
    }
}
