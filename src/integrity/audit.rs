//! What somebody should do something about: the daemon, and the person who asks for the status.

use std::collections::{BTreeMap, HashSet};

use anyhow::Result;
use chrono::{DateTime, NaiveDate, Utc};

use super::evidence::Evidence;
use super::fact::DigestFact;
use super::state::{Reason, State};
use super::verdicts::Case;
use crate::lake::{Dates, DigestStatus, Facts, Lake, Listed, LogFileId};
use crate::object::{DigestKey, LogKey, ObjectRef};

/// Findings of one kind that are told one by one. Beyond, they are only counted.
const TOLD: usize = 10_000;

/// How far back digests of a trail are looked for, to tell a hole in its chain from its beginning.
const CHAIN_DAYS: u64 = 31;

/// What the digests say of a lake.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Audit {
    /// Log files by state.
    pub counts: BTreeMap<State, u64>,
    /// Log files that are not verified, by reason.
    pub reasons: BTreeMap<Reason, u64>,
    /// Log files that failed; the first ten thousand.
    pub failed: Vec<Failed>,
    /// Log files that a valid digest lists and the lake does not have; the first ten thousand a day.
    pub absent: Vec<Absent>,
    /// Digests that a valid one links to and that nobody has looked for, in the midst of a chain.
    pub unseen: Vec<ObjectRef>,
    /// The same where a chain begins, as far as the lake knows: perhaps from before it.
    pub unseen_before: Vec<ObjectRef>,
    /// Digests whose public key could not be looked up: to be checked again.
    pub recheck: Vec<ObjectRef>,
    /// The end of the newest valid digest by account and region.
    pub newest_digest_end: BTreeMap<(String, String), DateTime<Utc>>,
}

/// A log file that failed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Failed {
    /// Its address.
    pub log_file: String,
    /// Why.
    pub why: Reason,
    /// The address of the digest that says so.
    pub digest: Option<String>,
}

/// A log file that the lake lacks.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Absent {
    /// Its address.
    pub log_file: String,
    /// The address of the digest that lists it.
    pub digest: String,
    /// When that digest was checked.
    pub checked_at: Option<DateTime<Utc>>,
}

impl Audit {
    /// How many log files are in a state.
    pub fn count(&self, state: State) -> u64 {
        self.counts.get(&state).copied().unwrap_or(0)
    }
}

/// Judges the log files and digests of a lake from a date on, a day at a time.
pub async fn audit(lake: &Lake, since: NaiveDate, now: DateTime<Utc>) -> Result<Audit> {
    lake.refresh().await?;
    let dates = lake.facts().await?.dates().await?;
    audit_dates(lake, dates.into_iter().filter(|date| *date >= since), now).await
}

/// Judges the log files and digests of some dates.
pub async fn audit_dates(
    lake: &Lake,
    dates: impl IntoIterator<Item = NaiveDate>,
    now: DateTime<Utc>,
) -> Result<Audit> {
    lake.refresh().await?;
    let facts = lake.facts().await?;
    let mut auditor = Auditor { lake, facts: &facts, audit: Audit::default(), met: HashSet::new() };
    for date in dates {
        auditor.day(date, now).await?;
    }
    Ok(auditor.audit)
}

struct Auditor<'a> {
    lake: &'a Lake,
    facts: &'a Facts,
    audit: Audit,
    /// Digests told of.
    met: HashSet<String>,
}

impl Auditor<'_> {
    async fn day(&mut self, date: NaiveDate, now: DateTime<Utc>) -> Result<()> {
        let dates = Dates::of([date..=date]);
        let case = Case::load(self.facts, &dates, now).await?;
        for (file, verdict, digest) in case.judge(now) {
            *self.audit.counts.entry(verdict.state()).or_default() += 1;
            let Some(why) = verdict.reason() else { continue };
            *self.audit.reasons.entry(why).or_default() += 1;
            if verdict.state() == State::Failed && self.audit.failed.len() < TOLD {
                let digest = digest.map(str::to_owned);
                self.audit.failed.push(Failed { log_file: file.log_file.clone(), why, digest });
            }
        }
        self.absent(&case, date).await?;
        self.links(&case.evidence, date).await?;
        let of_day = |digest: &&DigestFact| digest.end.date_naive() == date;
        for digest in case.evidence.digests().iter().filter(of_day) {
            if digest.status == DigestStatus::Valid {
                let place = (digest.account.clone(), digest.region.clone());
                let newest = self.audit.newest_digest_end.entry(place).or_insert(digest.end);
                *newest = digest.end.max(*newest);
            }
        }
        for digest in case.evidence.not_judged().filter(of_day) {
            if self.met.insert(digest.digest.clone()) {
                self.audit.recheck.extend(ObjectRef::from_uri(&digest.digest));
            }
        }
        Ok(())
    }

    /// Log files that digests of this day list and the ledger lacks.
    async fn absent(&mut self, case: &Case, date: NaiveDate) -> Result<()> {
        let have: HashSet<&str> = case.files.iter().map(|file| file.log_file.as_str()).collect();
        let listed = case.evidence.listed();
        let lacking: Vec<(&str, &DigestFact)> = listed
            .filter(|(log_file, digest)| digest.end.date_naive() == date && !have.contains(log_file))
            .collect();
        // Most of these are of the day before, which the ledger knows.
        let key_dates = lacking.iter().map(|(log_file, _)| LogKey::parse(log_file).map(|key| key.date));
        let key_dates: Option<Vec<NaiveDate>> = key_dates.collect();
        let dates = key_dates.and_then(|dates| Some(*dates.iter().min()?..=*dates.iter().max()?));
        let ids: Vec<LogFileId> = lacking.iter().map(|(log_file, _)| LogFileId::of(log_file)).collect();
        let known = if ids.is_empty() { Vec::new() } else { self.lake.known(&ids, dates).await? };
        let mut absent: Vec<Absent> = lacking
            .into_iter()
            .zip(known)
            .filter(|(_, known)| known.is_none())
            .map(|((log_file, digest), _)| Absent {
                log_file: log_file.to_owned(),
                digest: digest.digest.clone(),
                checked_at: digest.checked_at,
            })
            .collect();
        absent.sort_by(|a, b| a.log_file.cmp(&b.log_file));
        absent.truncate(TOLD);
        self.audit.absent.extend(absent);
        Ok(())
    }

    /// Digests that those of this day link to and that are not known.
    async fn links(&mut self, evidence: &Evidence, date: NaiveDate) -> Result<()> {
        let of_day = |digest: &DigestFact| digest.end.date_naive() == date;
        for (digest, link) in evidence.with_unknown_link().filter(|(digest, _)| of_day(digest)) {
            let Some(key) = DigestKey::parse(&link.key) else { continue };
            let id = LogFileId::of(&link.address());
            let end = key.end_time.date_naive();
            let known = self.lake.known_digests_between(&[id], Some(end..=end)).await?;
            if known.iter().any(Option::is_some) || !self.met.insert(link.address()) {
                continue;
            }
            let object = ObjectRef::new(&link.bucket, &link.key);
            if evidence.is_oldest(digest) && self.is_oldest(digest).await? {
                self.audit.unseen_before.push(object);
            } else {
                self.audit.unseen.push(object);
            }
        }
        Ok(())
    }

    /// Whether nothing is known of a trail in the month before.
    async fn is_oldest(&self, digest: &DigestFact) -> Result<bool> {
        let end = digest.end.date_naive();
        let mut evidence = Evidence::default();
        let month = Dates::of([end..=end]).widened(CHAIN_DAYS, 0);
        evidence.extend(self.facts.digests(&month, Listed::None).await?);
        Ok(evidence.is_oldest(digest))
    }
}
