//! The digests of a few days: read, checked, and linked to each other.

use std::collections::{BTreeMap, HashMap, HashSet};

use anyhow::Result;
use chrono::{DateTime, NaiveDate, Utc};
use futures::{StreamExt as _, TryStreamExt as _};

use super::{DayReport, Finding, Place, REQUESTS, Reconciler, Section, place_of};
use crate::bucket::{Day, Fetched};
use crate::integrity::{Checker, DigestFact, Evidence};
use crate::lake::{DigestEntry, DigestStatus, ListedLogFile, LogFileId};
use crate::object::{DigestKey, ObjectRef};

/// The reason of a digest that could not be read. The lake is not told of it.
const UNREADABLE: &str = "unreadable";

/// A digest with what it lists.
type Fact = (DigestFact, Vec<ListedLogFile>);

/// Account, region, trail and home region below a root, and whether the digests are backfill.
type Chain = (String, String, String, String, bool);

/// The digests of the days around the one that is compared.
#[derive(Default)]
pub(super) struct Window {
    days: BTreeMap<NaiveDate, Vec<Day>>,
    facts: BTreeMap<NaiveDate, Vec<Fact>>,
    read_until: Option<NaiveDate>,
    /// The last digest of each trail before the window, without what it lists: gaps may begin there.
    before: HashMap<Chain, DigestFact>,
    /// The chains of which a digest was met.
    chains: HashSet<Chain>,
    /// The digests of the last days: those that are there, and those that the lake knows.
    known: BTreeMap<NaiveDate, HashSet<LogFileId>>,
    last_end: HashMap<Place, DateTime<Utc>>,
    /// The first day of each place of which the bucket has digests: before it they have expired.
    first_day: HashMap<Place, NaiveDate>,
}

impl Window {
    pub(super) fn new(days: BTreeMap<NaiveDate, Vec<Day>>) -> Self {
        let mut first_day = HashMap::new();
        for day in days.values().flatten() {
            first_day.entry(place_of(day)).or_insert(day.date);
        }
        Self { days, first_day, ..Self::default() }
    }

    /// Whether the bucket has digests of a place.
    pub(super) fn has(&self, place: &Place) -> bool {
        self.first_day.contains_key(place)
    }

    /// The end of the last digest of a place so far.
    pub(super) fn last_end(&self, place: &Place) -> Option<DateTime<Utc>> {
        self.last_end.get(place).copied()
    }

    /// The digests of the window, to judge by.
    pub(super) fn evidence(&self) -> Evidence {
        let mut evidence = Evidence::default();
        let before = self.before.values().map(|fact| (fact.clone(), Vec::new()));
        evidence.extend(before.chain(self.facts.values().flatten().cloned()));
        evidence
    }

    /// Days of digests that were not read yet.
    pub(super) fn unread_days(&self) -> Vec<NaiveDate> {
        let unread = self.days.keys().filter(|date| self.read_until.is_none_or(|read| **date > read));
        unread.copied().collect()
    }

    pub(super) fn forget_before(&mut self, date: NaiveDate) {
        let kept = self.facts.split_off(&date);
        for (fact, _) in std::mem::replace(&mut self.facts, kept).into_values().flatten() {
            let chain = chain_of(&fact);
            let newer = self.before.get(&chain).is_none_or(|known| known.end <= fact.end);
            if fact.status == DigestStatus::Valid && newer {
                self.before.insert(chain, fact);
            }
        }
        self.known = self.known.split_off(&date);
    }
}

impl Reconciler {
    /// Reads the digests of a day, unless that was done.
    pub(super) async fn load_digests(&mut self, date: NaiveDate, report: &mut DayReport) -> Result<()> {
        if self.digests.read_until.is_some_and(|read| date <= read) {
            return Ok(());
        }
        self.digests.read_until = Some(date);
        let mut known = self.known_digests(date).await?;
        let days = self.digests.days.get(&date).cloned().unwrap_or_default();
        let listing = futures::stream::iter(&days).map(async |day| self.bucket.objects(&day.folder).await);
        let listed: Vec<_> = listing.buffered(REQUESTS).try_collect().await?;
        let mut keys: Vec<(ObjectRef, DigestKey)> = Vec::new();
        for listed in listed.into_iter().flatten() {
            let object = self.bucket.object(&listed.key);
            match DigestKey::parse(&listed.key) {
                Some(key) => keys.push((object, key)),
                None => super::tell_foreign(&object, report),
            }
        }
        let present: HashSet<LogFileId> =
            keys.iter().map(|(object, _)| LogFileId::of(&object.uri())).collect();
        let mut facts: Vec<Fact> = Vec::with_capacity(keys.len());
        let mut unread = Vec::new();
        for (object, key) in keys {
            match known.remove(&object.uri()) {
                Some(fact) if !self.options.deep => facts.push(fact),
                _ => unread.push((object, key)),
            }
        }
        report.totals.digests_known += facts.len() as u64;
        report.totals.digests_read += unread.len() as u64;
        let entries = self.check_all(unread).await?;
        for entry in &entries {
            tell(entry, report);
            facts.push((DigestFact::from(entry), entry.log_files.clone()));
        }
        let judged = entries.into_iter().filter(|entry| entry.reason.as_deref() != Some(UNREADABLE));
        report.new_digests.extend(judged);
        // What the lake has checked is proof, even if somebody took it away since.
        for (_, fact) in known {
            self.tell_gone(&fact.0, report);
            facts.push(fact);
        }
        facts.sort_by(|(a, _), (b, _)| (a.end, &a.digest).cmp(&(b.end, &b.digest)));
        let gone = facts.iter().map(|(fact, _)| LogFileId::of(&fact.digest));
        self.digests.known.insert(date, present.into_iter().chain(gone).collect());
        self.follow_links(&mut facts, report).await?;
        for (fact, _) in &facts {
            let Some(key) = self.digest_key(&fact.digest) else { continue };
            let end = self.digests.last_end.entry(place_of_digest(&key)).or_insert(fact.end);
            *end = fact.end.max(*end);
        }
        self.digests.facts.insert(date, facts);
        Ok(())
    }

    /// The digests of a day that the lake has found valid, by address.
    async fn known_digests(&mut self, date: NaiveDate) -> Result<HashMap<String, Fact>> {
        let of_day = self.ledger.digests(date).await?;
        let ours = of_day
            .into_iter()
            .filter(|(fact, _)| fact.status == DigestStatus::Valid && self.is_wanted_digest(&fact.digest));
        Ok(ours.map(|fact| (fact.0.digest.clone(), fact)).collect())
    }

    fn is_wanted_digest(&self, address: &str) -> bool {
        let Some(key) = self.key_of(address) else { return false };
        let Some(parsed) = DigestKey::parse(key) else { return false };
        let wanted = &self.options.wanted;
        key.starts_with(&self.prefix)
            && (wanted.accounts.is_empty() || wanted.accounts.contains(&parsed.account_id))
            && (wanted.regions.is_empty() || wanted.regions.contains(&parsed.region))
    }

    /// The key of an address, if it is in this bucket.
    pub(super) fn key_of<'a>(&self, address: &'a str) -> Option<&'a str> {
        address.strip_prefix("s3://")?.strip_prefix(self.bucket.name())?.strip_prefix('/')
    }

    fn digest_key(&self, address: &str) -> Option<DigestKey> {
        DigestKey::parse(self.key_of(address)?)
    }

    /// Reads and checks digests, in the order given.
    async fn check_all(&self, unread: Vec<(ObjectRef, DigestKey)>) -> Result<Vec<DigestEntry>> {
        let limit = self.options.limits.compressed;
        let check = |(object, key): (ObjectRef, DigestKey)| async move {
            anyhow::Ok(match self.bucket.fetch(&object.key, limit).await? {
                Fetched::Object(fetched) => Some(self.checker.check(&object, &key, &fetched).await),
                Fetched::Unreadable(why) => Some(unreadable(&object, &key, why)),
                // One that went away since the listing is found missing by the link to it.
                Fetched::NotThere => None,
            })
        };
        let checks = futures::stream::iter(unread).map(check).buffered(REQUESTS);
        let entries: Vec<Option<DigestEntry>> = checks.try_collect().await?;
        Ok(entries.into_iter().flatten().collect())
    }

    /// Says that the bucket no longer has a digest, unless its time is before all that it has.
    fn tell_gone(&self, fact: &DigestFact, report: &mut DayReport) {
        let Some(key) = self.digest_key(&fact.digest) else { return };
        let place = place_of_digest(&key);
        let first = self.digests.first_day.get(&place);
        if first.is_some_and(|first| fact.end.date_naive() >= *first) {
            report.add(Finding::new(Section::MissingDigest, &fact.digest));
        }
    }

    /// Adds what valid digests link to and the bucket does not have.
    async fn follow_links(&mut self, facts: &mut Vec<Fact>, report: &mut DayReport) -> Result<()> {
        let mut missing = Vec::new();
        for (fact, _) in facts.iter() {
            let is_first = self.digests.chains.insert(chain_of(fact));
            let Some(link) = fact.previous.as_ref().filter(|_| fact.status == DigestStatus::Valid) else {
                continue;
            };
            // What the first digest links to is from before: not asked for, or expired.
            if is_first || link.bucket != self.bucket.name() {
                continue;
            }
            let object = ObjectRef::new(&link.bucket, &link.key);
            let Some(key) = DigestKey::parse(&link.key) else { continue };
            let id = LogFileId::of(&object.uri());
            if self.digests.known.values().any(|known| known.contains(&id)) {
                continue;
            }
            let first_read = self.digests.known.keys().next();
            let was_read = first_read.is_some_and(|first| key.end_time.date_naive() >= *first);
            let limit = self.options.limits.compressed;
            if was_read || matches!(self.bucket.fetch(&object.key, limit).await?, Fetched::NotThere) {
                missing.push(Checker::missing(&object, &key));
            }
        }
        for entry in missing {
            facts.push((DigestFact::from(&entry), Vec::new()));
            report.new_digests.push(entry);
        }
        Ok(())
    }
}

/// A digest that is there and could not be read: no more is known of it than of one without a key.
fn unreadable(object: &ObjectRef, key: &DigestKey, why: String) -> DigestEntry {
    DigestEntry {
        status: DigestStatus::KeyNotFound,
        reason: Some(UNREADABLE.to_owned()),
        detail: Some(why),
        ..Checker::missing(object, key)
    }
}

/// Says what is wrong with a digest itself. That others lack it shows in the gaps.
fn tell(entry: &DigestEntry, report: &mut DayReport) {
    let section = match entry.status {
        DigestStatus::Invalid => Section::InvalidDigest,
        DigestStatus::KeyNotFound => Section::NotJudged,
        DigestStatus::Valid | DigestStatus::Missing => return,
    };
    report.add(Finding {
        section,
        subject: entry.digest.clone(),
        detail: entry.detail.clone(),
        digest: None,
    });
}

fn chain_of(fact: &DigestFact) -> Chain {
    let root = fact.digest.split("/CloudTrail-Digest/").next().unwrap_or_default();
    let backfill = fact.digest.ends_with("_backfill.json.gz");
    (root.to_owned(), fact.region.clone(), fact.trail.clone(), fact.home_region.clone(), backfill)
}

fn place_of_digest(key: &DigestKey) -> Place {
    let prefix = if key.prefix.is_empty() { String::new() } else { format!("{}/", key.prefix) };
    let root = match &key.organization_id {
        Some(id) => format!("{prefix}AWSLogs/{id}"),
        None => format!("{prefix}AWSLogs"),
    };
    (root, key.account_id.clone(), key.region.clone())
}
