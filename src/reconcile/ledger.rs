//! What the lake says, some days at a time: its files hold the rows of many days, and reading one for each of them
//! would take as many times as long.

use std::collections::BTreeMap;

use anyhow::Result;
use chrono::{Days, NaiveDate};

use crate::integrity::{DigestFact, LogFileFact};
use crate::lake::{Dates, Facts, Listed, ListedLogFile};
use crate::object::LogKey;

/// Days that are read at once.
const AT_ONCE: u64 = 8;

/// The facts of a lake, or of none.
#[derive(Default)]
pub(super) struct Ledger {
    facts: Option<Facts>,
    log_files: Chunk<LogFileFact>,
    digests: Chunk<(DigestFact, Vec<ListedLogFile>)>,
}

/// What was read of some days, until it is asked for.
struct Chunk<T> {
    until: Option<NaiveDate>,
    days: BTreeMap<NaiveDate, Vec<T>>,
}

impl<T> Default for Chunk<T> {
    fn default() -> Self {
        Self { until: None, days: BTreeMap::new() }
    }
}

impl Ledger {
    pub(super) fn new(facts: Option<Facts>) -> Self {
        Self { facts, ..Self::default() }
    }

    /// Whether there is a lake.
    pub(super) fn is_there(&self) -> bool {
        self.facts.is_some()
    }

    /// What the lake says of the log files of a day. Days are to be asked for in order, and each once.
    pub(super) async fn log_files(&mut self, date: NaiveDate) -> Result<Vec<LogFileFact>> {
        let Some(facts) = &self.facts else { return Ok(Vec::new()) };
        if let Some(dates) = self.log_files.lacks(date) {
            for fact in facts.log_files(&dates).await? {
                let key = LogKey::parse(&fact.log_file).or_else(|| LogKey::from_file_name(&fact.log_file));
                if let Some(key) = key {
                    self.log_files.days.entry(key.date).or_default().push(fact);
                }
            }
        }
        Ok(self.log_files.days.remove(&date).unwrap_or_default())
    }

    /// What the lake says of the digests of a day, in the same way.
    pub(super) async fn digests(&mut self, date: NaiveDate) -> Result<Vec<(DigestFact, Vec<ListedLogFile>)>> {
        let Some(facts) = &self.facts else { return Ok(Vec::new()) };
        if let Some(dates) = self.digests.lacks(date) {
            for fact in facts.digests(&dates, Listed::All).await? {
                self.digests.days.entry(fact.0.end.date_naive()).or_default().push(fact);
            }
        }
        Ok(self.digests.days.remove(&date).unwrap_or_default())
    }
}

impl<T> Chunk<T> {
    /// The days to read now, if this one was not.
    fn lacks(&mut self, date: NaiveDate) -> Option<Dates> {
        if self.until.is_some_and(|until| date <= until) {
            return None;
        }
        let until = date + Days::new(AT_ONCE - 1);
        self.until = Some(until);
        self.days.clear();
        Some(Dates::of([date..=until]))
    }
}
