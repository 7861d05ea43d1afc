//! The verdicts on the log files of some dates, from the facts that a lake holds.

use std::collections::{HashMap, HashSet};
use std::fmt;
use std::sync::Arc;

use anyhow::Result;
use chrono::{DateTime, NaiveDate, Utc};
// Names are long, and there are many.
use datafusion::common::HashMap as FastMap;

use super::evidence::{Evidence, Judged};
use super::fact::LogFileFact;
use super::state::{Reason, Verdict};
use crate::lake::{Dates, Facts, Fingerprint, Listed};
use crate::object::LogKey;

/// Days before a log file's date of which digests are looked at: for links, and for clocks.
const DAYS_BEFORE: u64 = 1;
/// Days after it in which nearly all log files are listed, and the digest after that links back.
const DAYS_AFTER: u64 = 2;
/// `CloudTrail` delivers for 30 days what it could not deliver at once, and lists it then.
const DAYS_LATE: u64 = 35;
/// Digests are waited for no longer than for a day, and clocks differ.
const DAYS_WAITED: i64 = 2;

/// What is known of the log files of some dates.
#[derive(Default)]
pub(crate) struct Verdicts {
    by_log_file: FastMap<Box<str>, Known>,
    /// That on all others.
    others: Option<Verdict>,
}

/// What is known of one.
#[derive(Debug, Clone)]
struct Known {
    verdict: Verdict,
    digest: Option<Arc<str>>,
    basis: Basis,
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
    /// For each of them the verdict, if the digests of the days near it settle it.
    settled: Vec<Option<Judged>>,
    pub(crate) evidence: Evidence,
}

impl Case {
    /// Reads the log files of some dates, and all digests that may have a say.
    pub(crate) async fn load(facts: &Facts, dates: &Dates, now: DateTime<Utc>) -> Result<Self> {
        let files = facts.log_files(dates).await?;
        let near = near(dates);
        let mut evidence = Evidence::default();
        evidence.extend(facts.digests(&near, Listed::All).await?);
        let judged = files.iter().map(|file| evidence.judged(file, now));
        let settled: Vec<Option<Judged>> =
            judged.map(|judged| Some(judged).filter(|judged| is_settled(judged.verdict))).collect();
        let unsettled: HashSet<&str> = files
            .iter()
            .zip(&settled)
            .filter(|(_, settled)| settled.is_none())
            .map(|(file, _)| file.log_file.as_str())
            .collect();
        if !unsettled.is_empty() {
            let late = facts.digests(&late(dates), Listed::Only(&unsettled)).await?;
            // Those that list none of them say nothing new of these dates.
            evidence.extend(late.into_iter().filter(|(_, listed)| !listed.is_empty()));
        }
        Ok(Self { files, settled, evidence })
    }

    /// Each log file with its verdict, and the digest that says so. What is settled stays so, whatever others
    /// were looked for besides: a verdict follows from the log file and the digests, not from its neighbours.
    pub(crate) fn judge(
        &self,
        now: DateTime<Utc>,
    ) -> impl Iterator<Item = (&LogFileFact, Verdict, Option<&str>)> {
        let digest = |judged| self.evidence.digest_of(judged);
        self.judged(now).map(move |(file, judged, _)| (file, judged.verdict, digest(judged)))
    }

    fn judged(&self, now: DateTime<Utc>) -> impl Iterator<Item = (&LogFileFact, Judged, Basis)> {
        self.files.iter().zip(&self.settled).map(move |(file, settled)| match settled {
            Some(judged) => (file, *judged, Basis::Near),
            None => (file, self.evidence.judged(file, now), Basis::Late),
        })
    }

    /// The verdicts alone.
    fn verdicts(self, now: DateTime<Utc>) -> Verdicts {
        let judged: Vec<(Judged, Basis)> =
            self.judged(now).map(|(_, judged, basis)| (judged, basis)).collect();
        let mut digests: HashMap<&str, Arc<str>> = HashMap::new();
        let mut by_log_file = FastMap::with_capacity(self.files.len());
        for (file, (judged, basis)) in self.files.into_iter().zip(judged) {
            let digest = self.evidence.digest_of(judged);
            let digest = digest.map(|digest| digests.entry(digest).or_insert_with(|| digest.into()).clone());
            let known = Known { verdict: judged.verdict, digest, basis };
            by_log_file.insert(file.log_file.into_boxed_str(), known);
        }
        Verdicts { by_log_file, others: None }
    }
}

/// When the digests end that list nearly all log files of some dates.
fn near(dates: &Dates) -> Dates {
    dates.widened(DAYS_BEFORE, DAYS_AFTER)
}

/// When those end that list what was delivered late.
fn late(dates: &Dates) -> Dates {
    dates.widened(0, DAYS_LATE).without(&near(dates))
}

/// Whether no digest that comes a month later could change the verdict for the better.
fn is_settled(verdict: Verdict) -> bool {
    matches!(
        verdict,
        Verdict::Verified | Verdict::Not(Reason::HashMismatch | Reason::Deleted | Reason::Unreadable)
    )
}

/// What a verdict on log files of some dates follows from.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) enum Basis {
    /// The log files, and the digests near them.
    Near,
    /// Late digests as well: one of them has a say, or none of them lists the log file.
    Late,
}

impl Basis {
    /// As it is written down.
    pub(crate) const fn as_str(self) -> &'static str {
        match self {
            Self::Near => "near",
            Self::Late => "late",
        }
    }

    /// Reads that.
    pub(crate) fn parse(word: &str) -> Option<Self> {
        [Self::Near, Self::Late].into_iter().find(|basis| basis.as_str() == word)
    }

    /// Names the files of the lake that the verdict is read from.
    pub(crate) fn fingerprint(self, facts: &Facts, dates: &Dates) -> Fingerprint {
        match self {
            Self::Near => facts.fingerprint(dates, &near(dates)),
            Self::Late => facts.fingerprint(dates, &dates.widened(DAYS_BEFORE, DAYS_LATE)),
        }
    }

    /// Whether a final verdict on log files of these dates stays, as long as its fingerprint does. That no
    /// digest lists them is known when none is waited for any more, by everybody's clock.
    pub(crate) fn stays(self, dates: &Dates, now: DateTime<Utc>) -> bool {
        let days = |last: NaiveDate| now.date_naive().signed_duration_since(last).num_days();
        self == Self::Near || dates.last().is_none_or(|last| days(last) > DAYS_WAITED)
    }

    /// Whether digests near these dates are still to be expected.
    pub(crate) fn is_open(dates: &Dates, now: DateTime<Utc>) -> bool {
        near(dates).last().is_some_and(|last| last >= now.date_naive())
    }
}

impl Verdicts {
    /// Reads the facts about the log files of some dates and judges them.
    pub(crate) async fn load(facts: &Facts, dates: &Dates, now: DateTime<Utc>) -> Result<Self> {
        let case = Case::load(facts, dates, now).await?;
        // Of a million files it takes a while.
        Ok(tokio::task::spawn_blocking(move || case.verdicts(now)).await?)
    }

    /// One verdict on all log files but these.
    pub(crate) fn except<'a>(
        verdict: Verdict,
        exceptions: impl Iterator<Item = (&'a String, &'a Verdict)>,
    ) -> Self {
        let known = |verdict: &Verdict| Known { verdict: *verdict, digest: None, basis: Basis::Late };
        let by_log_file = exceptions.map(|(name, verdict)| (name.as_str().into(), known(verdict))).collect();
        Self { by_log_file, others: Some(verdict) }
    }

    /// The verdict on a log file, and what it follows from; nothing if the ledger does not have it.
    pub(crate) fn get(&self, log_file: &str) -> Option<(Verdict, Basis)> {
        let known = self.by_log_file.get(log_file).map(|known| (known.verdict, known.basis));
        known.or(self.others.map(|verdict| (verdict, Basis::Late))).or_else(|| {
            // Of no date, so that it was not looked for.
            let named = LogKey::parse(log_file).or_else(|| LogKey::from_file_name(log_file)).is_some();
            (!named).then_some((Verdict::Not(Reason::NoKey), Basis::Near))
        })
    }

    /// The digest that says so.
    pub(crate) fn digest(&self, log_file: &str) -> Option<&str> {
        self.by_log_file.get(log_file)?.digest.as_deref()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn verdicts_are_not_printed_one_by_one() {
        let mut verdicts = Verdicts::default();
        for number in 0..1000 {
            let known = Known { verdict: Verdict::Verified, digest: None, basis: Basis::Near };
            verdicts.by_log_file.insert(format!("s3://{number}").into(), known);
        }
        assert_eq!(format!("{verdicts:?}"), "Verdicts(1000)");
    }
}
