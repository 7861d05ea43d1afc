//! The log files of one day: the listing, the ledger and the digests held against each other.

use std::collections::{BTreeMap, BTreeSet, HashMap};

use anyhow::Result;
use chrono::{NaiveDate, TimeDelta};
use futures::{StreamExt as _, TryStreamExt as _};

use super::late::Doubt;
use super::{DayReport, Finding, REQUESTS, Reconciler, Section, place_of_key};
use crate::bucket::Fetched;
use crate::integrity::{Evidence, LogFileFact, Reason, Verdict};
use crate::lake::Status;
use crate::log_file::LogFile;
use crate::object::LogKey;
use crate::store::Listed;

/// A digest lists what was delivered in its hour, which may be this long after the time in a file's name.
const LISTED_WITHIN: TimeDelta = TimeDelta::hours(2);

/// What came of reading a log file.
pub(super) enum Hashed {
    /// Its SHA-256.
    Sha256([u8; 32]),
    /// It is no log file that could be unpacked.
    Broken(String),
    /// It could not be had.
    Unreadable(String),
}

/// What is known of the log files of a day, by address.
pub(super) struct Compared {
    pub(super) date: NaiveDate,
    /// Those in the bucket.
    pub(super) present: BTreeMap<String, Listed>,
    /// Those in the ledger.
    pub(super) ledger: HashMap<String, LogFileFact>,
    /// The hashes of those in the bucket, if they were taken.
    pub(super) hashes: HashMap<String, Hashed>,
}

impl Reconciler {
    /// Reads all log files of a day and takes their hashes.
    pub(super) async fn hashes(&self, present: &BTreeMap<String, Listed>) -> Result<HashMap<String, Hashed>> {
        let limits = self.options.limits.clone();
        let hash = |(address, listed): (&String, &Listed)| {
            let (address, key, limits) = (address.clone(), listed.key.clone(), limits.clone());
            async move {
                let hashed = match self.bucket.fetch(&key, limits.compressed).await? {
                    Fetched::NotThere => Hashed::Unreadable("went away since it was listed".to_owned()),
                    Fetched::Unreadable(why) => Hashed::Unreadable(why),
                    Fetched::Object(fetched) => {
                        let read = move || LogFile::read(&fetched.bytes, &limits).map(|file| file.sha256);
                        match tokio::task::spawn_blocking(read).await? {
                            Ok(sha256) => Hashed::Sha256(sha256),
                            Err(error) => Hashed::Broken(error.to_string()),
                        }
                    }
                };
                anyhow::Ok((address, hashed))
            }
        };
        let hashes: Vec<_> = present.iter().map(hash).collect();
        futures::stream::iter(hashes).buffer_unordered(REQUESTS).try_collect().await
    }

    pub(super) fn compare(&mut self, day: &Compared, evidence: &Evidence, report: &mut DayReport) {
        for address in day.present.keys() {
            self.present_file(address, day, evidence, report);
        }
        let listed = evidence.listed().filter(|(address, _)| {
            self.log_key(address).is_some_and(|key| key.date == day.date && self.wants(&key))
        });
        let listed: BTreeMap<&str, &str> =
            listed.map(|(address, digest)| (address, digest.digest.as_str())).collect();
        for (address, digest) in &listed {
            if !day.present.contains_key(*address) {
                self.absent_file(address, Some(digest), day, report);
            }
        }
        let only_in_lake: BTreeSet<&String> = day
            .ledger
            .iter()
            .filter(|(address, fact)| {
                !fact.missing && !day.present.contains_key(*address) && !listed.contains_key(address.as_str())
            })
            .map(|(address, _)| address)
            .collect();
        for address in only_in_lake {
            self.absent_file(address, None, day, report);
        }
    }

    fn log_key(&self, address: &str) -> Option<LogKey> {
        LogKey::parse(self.key_of(address)?)
    }

    fn wants(&self, key: &LogKey) -> bool {
        let wanted = &self.options.wanted;
        (wanted.accounts.is_empty() || wanted.accounts.contains(&key.account_id))
            && (wanted.regions.is_empty() || wanted.regions.contains(&key.region))
    }

    /// A log file that the bucket has.
    fn present_file(&mut self, address: &str, day: &Compared, evidence: &Evidence, report: &mut DayReport) {
        report.totals.log_files += 1;
        let in_lake = day.ledger.get(address).filter(|fact| !fact.missing);
        report.totals.in_lake += u64::from(in_lake.is_some());
        if in_lake.is_some_and(|fact| fact.status == Status::Quarantined) {
            report.add(Finding::new(Section::Quarantined, address));
        }
        let lakes = in_lake.and_then(|fact| fact.sha256);
        let buckets = match day.hashes.get(address) {
            None => None,
            Some(Hashed::Sha256(sha256)) => Some(*sha256),
            Some(Hashed::Broken(why)) => {
                report.add(Finding::new(Section::Altered, address).because(why.as_str()));
                return;
            }
            Some(Hashed::Unreadable(why)) => {
                report.add(Finding::new(Section::NotJudged, address).because(why.as_str()));
                return;
            }
        };
        let changed = matches!((buckets, lakes), (Some(bucket), Some(lake)) if bucket != lake);
        let fact = LogFileFact {
            log_file: address.to_owned(),
            sha256: buckets.or(lakes),
            status: Status::Committed,
            missing: false,
            revision: 0,
        };
        let key = day.present.get(address).map(|listed| listed.key.clone());
        let lacking = key.filter(|_| self.ledger.is_there() && in_lake.is_none());
        if lacking.is_some() {
            report.add(Finding::new(Section::NotInLake, address));
        }
        let (verdict, digest) = evidence.judge(&fact, self.now);
        let digest = digest.map(str::to_owned);
        if changed {
            let told = match verdict {
                Verdict::Verified => {
                    "the lake took in another content than the bucket has; the bucket's is what the digest lists"
                }
                Verdict::Not(_) => "the lake took in another content than the bucket has",
            };
            report.add(Finding::new(Section::Altered, address).because(told).says(digest.as_deref()));
            return;
        }
        self.judged(fact, verdict, digest.as_deref(), lacking, day.date, report);
    }

    fn judged(
        &mut self,
        fact: LogFileFact,
        verdict: Verdict,
        digest: Option<&str>,
        lacking: Option<String>,
        date: NaiveDate,
        report: &mut DayReport,
    ) {
        let address = fact.log_file.clone();
        let section = match verdict {
            Verdict::Verified => {
                report.totals.verified += 1;
                report.lacking.extend(lacking);
                return;
            }
            // A valid digest lists it, and nobody has taken its hash: the lake lacks it.
            Verdict::Not(Reason::Unreadable | Reason::Deleted) => {
                report.totals.listed += 1;
                report.lacking.extend(lacking);
                return;
            }
            Verdict::Not(Reason::NoDigestYet | Reason::KeyNotFound) => {
                report.totals.pending += 1;
                report.lacking.extend(lacking);
                return;
            }
            Verdict::Not(Reason::HashMismatch) => {
                report.add(Finding::new(Section::Altered, address).says(digest));
                return;
            }
            Verdict::Not(Reason::NotListed) => Section::Injected,
            Verdict::Not(Reason::BadSignature | Reason::BrokenChain) => Section::Untrusted,
            Verdict::Not(Reason::NoDigest | Reason::NoKey) => self.why_uncovered(&address),
        };
        let mut finding = Finding::new(section, &address).says(digest);
        if section == Section::Untrusted {
            finding = finding.because(verdict.reason().map_or("", Reason::as_str));
        }
        let place = self.log_key(&address).map(|key| place_of_key(&key));
        if place.is_some_and(|place| self.digests.has(&place)) {
            self.late.push(Doubt { date, fact, finding, lacking });
        } else {
            // No digest of its account and region will ever come: no need to wait.
            report.lacking.extend(lacking);
            report.add(finding);
        }
    }

    /// Whether the digests of a place came to an end, or there never were any at that time.
    fn why_uncovered(&self, address: &str) -> Section {
        let Some(key) = self.log_key(address) else { return Section::Uncovered };
        match self.digests.last_end(&place_of_key(&key)) {
            Some(end) if end <= key.time + LISTED_WITHIN => Section::DigestsStopped,
            _ => Section::Uncovered,
        }
    }

    /// A log file that the bucket does not have.
    fn absent_file(&self, address: &str, digest: Option<&str>, day: &Compared, report: &mut DayReport) {
        let in_lake = day.ledger.get(address).is_some_and(|fact| !fact.missing);
        let place = self.log_key(address).map(|key| place_of_key(&key));
        let first = place.and_then(|place| self.first_log_day.get(&place));
        // What expires goes in the order of its age: nothing older than it is left.
        let has_expired = first.is_none_or(|first| day.date < *first);
        let section = if has_expired || digest.is_none() { Section::Expired } else { Section::Missing };
        let detail = match (section, in_lake) {
            (Section::Missing, true) => Some("the lake has it"),
            (Section::Expired, false) => Some("the lake does not have it either"),
            (Section::Expired, true) if !has_expired => Some("no digest lists it"),
            _ => None,
        };
        let finding = Finding { detail: detail.map(str::to_owned), ..Finding::new(section, address) };
        report.add(finding.says(digest));
    }
}
