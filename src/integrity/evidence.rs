//! From facts to verdicts: pure, and indifferent to the order and the number of the facts.

use std::collections::{BTreeMap, HashMap, HashSet};

use chrono::{DateTime, TimeDelta, Utc};

use super::state::{Reason, Verdict};
use crate::hex;
use crate::lake::{DigestEntry, DigestStatus, ListedLogFile, LogFileId, Status};
use crate::object::{DigestKey, LogKey};

/// How long a digest may be late before its log files count as uncovered.
pub(super) const PATIENCE: TimeDelta = TimeDelta::hours(24);

/// A digest lists what was *delivered* in its hour, and a log file is named after the time when
/// CloudTrail began it: so the digests of this long after its time may list it.
const LISTED_WITHIN: TimeDelta = TimeDelta::hours(2);

/// Hours of digests whose beginning is not known.
pub(super) const HOUR: TimeDelta = TimeDelta::hours(1);

/// A SHA-256.
type Hash = [u8; 32];

/// What the ledger says of a log file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LogFileFact {
    /// Its address, `s3://bucket/key`.
    pub log_file: String,
    /// SHA-256 of its uncompressed bytes, unless they could not be had.
    pub sha256: Option<Hash>,
    /// Whether its records are in `events`.
    pub status: Status,
    /// Whether it is in quarantine because the bucket does not have it.
    pub missing: bool,
    /// Which fact about the log file this is; the highest counts.
    pub revision: u32,
}

impl LogFileFact {
    /// Reads the hash as the ledger has it.
    pub fn parse_sha256(text: &str) -> Option<Hash> {
        // Digests list lower-case digits; the AWS CLI compares text, so others never match.
        let lower = !text.bytes().any(|digit| digit.is_ascii_uppercase());
        lower.then(|| hex::decode(text)).flatten()?.try_into().ok()
    }

    /// Of two facts about one log file the one that counts, whatever their order.
    #[must_use]
    pub fn newer(self, other: Self) -> Self {
        let rank =
            |fact: &Self| (fact.revision, fact.status == Status::Committed, fact.sha256, !fact.missing);
        if rank(&other) > rank(&self) { other } else { self }
    }
}

/// What is known of a digest, without what it lists.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DigestFact {
    /// Its address, `s3://bucket/key`.
    pub digest: String,
    /// The account in its key.
    pub account: String,
    /// The region in its key.
    pub region: String,
    /// The trail in its key.
    pub trail: String,
    /// The home region in its key.
    pub home_region: String,
    /// The beginning of its hour, if it is known.
    pub start: Option<DateTime<Utc>>,
    /// The end of its hour.
    pub end: DateTime<Utc>,
    /// Whether it holds.
    pub status: DigestStatus,
    /// SHA-256 of its uncompressed bytes.
    pub hash_value: Option<Mark>,
    /// Its signature.
    pub signature: Option<Mark>,
    /// The digest before it; nothing for the first of a chain.
    pub previous: Option<Link>,
    /// When this was written down.
    pub checked_at: Option<DateTime<Utc>>,
}

/// What a digest says of the one before it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Link {
    /// Bucket of the digest before.
    pub bucket: String,
    /// Key of the digest before.
    pub key: String,
    /// SHA-256 of the digest before.
    pub hash_value: Option<Mark>,
    /// Signature of the digest before.
    pub signature: Option<Mark>,
}

/// What stands for a hash or a signature in hex of either case: as good for comparing, and far shorter
/// than a signature.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Mark(LogFileId);

impl Mark {
    /// Takes hex digits.
    pub fn of(hex: &str) -> Self {
        Self(LogFileId::of(&hex.to_ascii_lowercase()))
    }
}

impl Link {
    /// The address of the digest before.
    pub fn address(&self) -> String {
        format!("s3://{}/{}", self.bucket, self.key)
    }

    /// Whether `digest` is the one that was linked to. The signed part is the signature; both must fit.
    fn fits(&self, digest: &DigestFact) -> bool {
        let same = |ours: Option<Mark>, theirs: Option<Mark>| match (ours, theirs) {
            (Some(ours), Some(theirs)) => ours == theirs,
            _ => true,
        };
        same(self.hash_value, digest.hash_value) && same(self.signature, digest.signature)
    }
}

impl From<&DigestEntry> for DigestFact {
    fn from(entry: &DigestEntry) -> Self {
        let mark = |hex: &Option<String>| hex.as_deref().map(Mark::of);
        let previous = entry.previous_digest_s3_bucket.clone().zip(entry.previous_digest_s3_object.clone());
        Self {
            digest: entry.digest.clone(),
            account: entry.account.clone(),
            region: entry.region.clone(),
            trail: entry.trail.clone(),
            home_region: entry.home_region.clone(),
            start: entry.digest_start_time,
            end: entry.digest_end_time,
            status: entry.status,
            hash_value: mark(&entry.hash_value),
            signature: mark(&entry.signature),
            previous: previous.map(|(bucket, key)| Link {
                bucket,
                key,
                hash_value: mark(&entry.previous_digest_hash_value),
                signature: mark(&entry.previous_digest_signature),
            }),
            checked_at: None,
        }
    }
}

/// All that is known of the digests of some time, ready to judge log files by.
#[derive(Debug, Default)]
pub struct Evidence {
    digests: Vec<DigestFact>,
    /// One for each of `digests`.
    trust: Vec<Trust>,
    /// The first of `listings` of each log file.
    first: HashMap<Box<str>, u32>,
    listings: Vec<Listing>,
    /// By [`place`].
    trails: HashMap<String, Vec<Trail>>,
}

/// How far a digest is to be believed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Trust {
    /// It holds, and the next digest links to it.
    Holds,
    /// It holds, but the next digest links to another in its place.
    Replaced,
    /// Its public key could not be looked up.
    Unknown,
    /// It is there and does not hold.
    Invalid,
    /// It is not there.
    Missing,
    /// Another row says more about the same digest.
    Superseded,
}

/// A log file as a digest lists it.
#[derive(Debug)]
struct Listing {
    digest: u32,
    /// Nothing if it is no hash, so that nothing matches it.
    hash: Option<Hash>,
    next: Option<u32>,
}

/// The digests of one trail, for one account and region.
#[derive(Debug)]
pub(super) struct Trail {
    pub(super) root: String,
    pub(super) account: String,
    pub(super) region: String,
    pub(super) name: String,
    pub(super) home_region: String,
    /// By their beginning.
    pub(super) segments: Vec<Segment>,
    /// The latest end of the segments up to each.
    reach: Vec<DateTime<Utc>>,
}

/// A time of which a trail's digest is known.
#[derive(Debug, Clone)]
pub(super) struct Segment {
    pub(super) start: DateTime<Utc>,
    pub(super) end: DateTime<Utc>,
    pub(super) cover: Cover,
    /// Index of the digest.
    pub(super) digest: u32,
}

/// What is known of a segment.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Cover {
    /// A digest that holds.
    Holds,
    /// A digest whose key could not be looked up.
    Unknown,
    /// A digest that does not hold.
    Invalid,
    /// A digest that was replaced.
    Replaced,
    /// A digest that is not there, and all before it that is not known either.
    Missing,
    /// Before the first digest of a chain: validation was off.
    Off,
}

/// What one trail says of a log file that no digest lists.
enum Outcome {
    /// A digest that could list it does not hold, or is not there.
    Broken(Reason, u32),
    /// The key of a digest that could list it could not be looked up.
    Unknown(u32),
    /// A digest that could list it may still come.
    Open,
    /// All digests that could list it are there. Whether one is of its very time.
    Settled(bool),
}

impl Evidence {
    /// Adds facts.
    pub fn extend(&mut self, facts: impl IntoIterator<Item = (DigestFact, Vec<ListedLogFile>)>) {
        for (digest, listed) in facts {
            let index = index(self.digests.len());
            for entry in listed {
                let at = index_of_new(&self.listings);
                let next = self.first.insert(entry.log_file.into_boxed_str(), at);
                let hash = LogFileFact::parse_sha256(&entry.hash_value);
                self.listings.push(Listing { digest: index, hash, next });
            }
            self.digests.push(digest);
        }
        self.trust = trust(&self.digests);
        self.trails = trails(&self.digests, &self.trust);
    }

    /// The digests, in the order in which they were added.
    pub fn digests(&self) -> &[DigestFact] {
        &self.digests
    }

    /// All trails of which a digest is known.
    pub(super) fn trails(&self) -> impl Iterator<Item = &Trail> {
        self.trails.values().flatten()
    }

    /// What can be said of a log file, and the digest that says it.
    pub fn judge(&self, file: &LogFileFact, now: DateTime<Utc>) -> (Verdict, Option<&str>) {
        let (verdict, digest) = match self.by_listing(file) {
            Some((verdict, digest)) => (verdict, Some(digest)),
            None => self.by_coverage(&file.log_file, now),
        };
        (verdict, digest.map(|digest| self.digests[digest as usize].digest.as_str()))
    }

    /// The log files that digests that hold list, and the first such digest of each.
    pub fn listed(&self) -> impl Iterator<Item = (&str, &DigestFact)> {
        self.first.iter().filter_map(|(log_file, first)| {
            let holding = self.listings(*first).filter(|listing| self.holds(listing));
            let digests = holding.map(|listing| &self.digests[listing.digest as usize]);
            Some((log_file.as_ref(), digests.min_by_key(|digest| &digest.digest)?))
        })
    }

    /// The digests that hold and link to one that is not known.
    pub(super) fn with_unknown_link(&self) -> impl Iterator<Item = (&DigestFact, &Link)> {
        let known: HashSet<&str> = self.digests.iter().map(|digest| digest.digest.as_str()).collect();
        self.digests.iter().zip(&self.trust).filter_map(move |(digest, trust)| {
            let link =
                digest.previous.as_ref().filter(|_| matches!(trust, Trust::Holds | Trust::Replaced))?;
            (!known.contains(link.address().as_str())).then_some((digest, link))
        })
    }

    /// The digests whose public key could not be looked up, and of which nothing better is known.
    pub(super) fn not_judged(&self) -> impl Iterator<Item = &DigestFact> {
        let judged = self.digests.iter().zip(&self.trust);
        judged.filter(|(_, trust)| **trust == Trust::Unknown).map(|(digest, _)| digest)
    }

    /// Whether no digest of the same trail is known that ends before this one.
    pub(super) fn is_oldest(&self, digest: &DigestFact) -> bool {
        let trails = self.trails.get(&place(&root(&digest.digest), &digest.account, &digest.region));
        let trail = trails.into_iter().flatten().find(|trail| trail.is_of(digest));
        trail.is_none_or(|trail| trail.segments.iter().all(|segment| segment.end >= digest.end))
    }

    fn listings(&self, first: u32) -> impl Iterator<Item = &Listing> {
        let mut next = Some(first);
        std::iter::from_fn(move || {
            let listing = &self.listings[next? as usize];
            next = listing.next;
            Some(listing)
        })
    }

    fn holds(&self, listing: &Listing) -> bool {
        self.trust[listing.digest as usize] == Trust::Holds
    }

    /// The verdict of the digests that list the file; any that holds suffices.
    fn by_listing(&self, file: &LogFileFact) -> Option<(Verdict, u32)> {
        let first = *self.first.get(file.log_file.as_str())?;
        // The least address of several, so that the order of the facts does not show.
        let least = |fits: &dyn Fn(&Listing) -> bool| {
            let listings = self.listings(first).filter(|listing| fits(listing));
            listings.map(|listing| listing.digest).min_by_key(|digest| &self.digests[*digest as usize].digest)
        };
        let same = |listing: &Listing| file.sha256.is_some() && listing.hash == file.sha256;
        if let Some(digest) = least(&|listing| self.holds(listing) && same(listing)) {
            return Some((Verdict::Verified, digest));
        }
        let differs = match (file.sha256, file.missing) {
            (Some(_), _) => Reason::HashMismatch,
            (None, true) => Reason::Deleted,
            (None, false) => Reason::Unreadable,
        };
        let found = [
            (Trust::Holds, differs),
            (Trust::Replaced, Reason::BrokenChain),
            (Trust::Unknown, Reason::KeyNotFound),
            (Trust::Invalid, Reason::BadSignature),
        ];
        found.into_iter().find_map(|(trust, reason)| {
            let digest = least(&|listing| self.trust[listing.digest as usize] == trust)?;
            Some((Verdict::Not(reason), digest))
        })
    }

    /// The verdict on a file that no digest lists.
    fn by_coverage(&self, log_file: &str, now: DateTime<Utc>) -> (Verdict, Option<u32>) {
        let key = LogKey::parse(log_file).or_else(|| LogKey::from_file_name(log_file));
        let Some(key) = key else { return (Verdict::Not(Reason::NoKey), None) };
        let trails = self.trails.get(&place(&key.prefix, &key.account_id, &key.region));
        let live = trails.into_iter().flatten().filter(|trail| trail.is_live_at(key.time));
        let outcomes: Vec<Outcome> = live.map(|trail| trail.outcome(key.time)).collect();
        let not = |reason, digest| (Verdict::Not(reason), digest);
        let unknown = outcomes.iter().find_map(|outcome| match outcome {
            Outcome::Unknown(digest) => Some(*digest),
            _ => None,
        });
        if unknown.is_some() {
            return not(Reason::KeyNotFound, unknown);
        }
        // Whichever trail wrote it: its digest may still come, however broken another trail's are.
        let open = outcomes.is_empty() || outcomes.iter().any(|outcome| matches!(outcome, Outcome::Open));
        if open && now - key.time < PATIENCE {
            return not(Reason::NoDigestYet, None);
        }
        for outcome in &outcomes {
            if let Outcome::Broken(reason, digest) = outcome {
                return not(*reason, Some(*digest));
            }
        }
        let listed_by_none = outcomes.iter().any(|outcome| matches!(outcome, Outcome::Settled(true)));
        not(if listed_by_none { Reason::NotListed } else { Reason::NoDigest }, None)
    }
}

impl Trail {
    fn is_of(&self, digest: &DigestFact) -> bool {
        (self.name.as_str(), self.home_region.as_str())
            == (digest.trail.as_str(), digest.home_region.as_str())
    }

    /// Whether the trail still wrote digests not long before that time.
    fn is_live_at(&self, time: DateTime<Utc>) -> bool {
        self.reach.last().is_some_and(|end| *end + PATIENCE >= time)
    }

    fn outcome(&self, time: DateTime<Utc>) -> Outcome {
        let (mut covered, until) = (time, time + LISTED_WITHIN);
        let from = self.reach.partition_point(|end| *end <= time);
        let to = self.segments.partition_point(|segment| segment.start < until);
        let mut unknown = None;
        let mut own_hour = false;
        let mut broken: Option<(Reason, u32)> = None;
        for segment in self.segments.get(from..to).unwrap_or_default() {
            if segment.end <= time {
                continue;
            }
            match segment.cover {
                Cover::Invalid => broken = broken.or(Some((Reason::BadSignature, segment.digest))),
                Cover::Missing | Cover::Replaced => {
                    broken = broken.or(Some((Reason::BrokenChain, segment.digest)));
                }
                Cover::Unknown => unknown = unknown.or(Some(segment.digest)),
                Cover::Holds => own_hour |= segment.start <= time,
                Cover::Off => {}
            }
            if segment.start <= covered {
                covered = covered.max(segment.end);
            }
        }
        match (broken, unknown) {
            (Some((reason, digest)), _) => Outcome::Broken(reason, digest),
            (None, Some(digest)) => Outcome::Unknown(digest),
            (None, None) if covered >= until => Outcome::Settled(own_hour),
            (None, None) => Outcome::Open,
        }
    }

    fn close(&mut self, digests: &[DigestFact]) {
        self.segments.sort_by_key(|segment| (segment.start, segment.end, segment.digest));
        let mut off = Vec::new();
        let mut before: Option<DateTime<Utc>> = None;
        for segment in &mut self.segments {
            let digest = &digests[segment.digest as usize];
            match (segment.cover, before) {
                // Whatever lies between the last digest known and one that is missing, or does not hold, is as
                // unproven as its hour: the link to the one before it is gone with it.
                (Cover::Missing | Cover::Invalid, Some(before)) if before < segment.start => {
                    segment.start = before;
                }
                (Cover::Holds, _) if digest.previous.is_none() => off.push(Segment {
                    start: before.unwrap_or(DateTime::<Utc>::MIN_UTC).min(segment.start),
                    end: segment.start,
                    cover: Cover::Off,
                    digest: segment.digest,
                }),
                _ => {}
            }
            before = before.max(Some(segment.end));
        }
        self.segments.extend(off.into_iter().filter(|segment| segment.start < segment.end));
        self.segments.sort_by_key(|segment| (segment.start, segment.end, segment.digest));
        let mut reach = DateTime::<Utc>::MIN_UTC;
        self.reach = self
            .segments
            .iter()
            .map(|segment| {
                reach = reach.max(segment.end);
                reach
            })
            .collect();
    }
}

/// Says of each row how far its digest is to be believed.
fn trust(digests: &[DigestFact]) -> Vec<Trust> {
    let mut best: HashMap<&str, u8> = HashMap::new();
    let mut valid: HashMap<&str, Vec<usize>> = HashMap::new();
    for (at, digest) in digests.iter().enumerate() {
        let rank = best.entry(&digest.digest).or_default();
        *rank = (*rank).max(self::rank(digest.status));
        if digest.status == DigestStatus::Valid {
            valid.entry(&digest.digest).or_default().push(at);
        }
    }
    let of = |digest: &DigestFact| match digest.status {
        status if rank(status) < best[digest.digest.as_str()] => Trust::Superseded,
        DigestStatus::Valid => Trust::Holds,
        DigestStatus::Invalid => Trust::Invalid,
        DigestStatus::Missing => Trust::Missing,
        DigestStatus::KeyNotFound => Trust::Unknown,
    };
    let mut trust: Vec<Trust> = digests.iter().map(of).collect();
    for digest in digests.iter().filter(|digest| digest.status == DigestStatus::Valid) {
        let Some(link) = &digest.previous else { continue };
        for at in valid.get(link.address().as_str()).into_iter().flatten() {
            if !link.fits(&digests[*at]) {
                trust[*at] = Trust::Replaced;
            }
        }
    }
    trust
}

/// What was seen once stays seen: a digest that was valid and is deleted later has proven what it lists.
pub(crate) fn rank(status: DigestStatus) -> u8 {
    match status {
        DigestStatus::KeyNotFound => 0,
        DigestStatus::Missing => 1,
        DigestStatus::Invalid => 2,
        DigestStatus::Valid => 3,
    }
}

fn trails(digests: &[DigestFact], trust: &[Trust]) -> HashMap<String, Vec<Trail>> {
    // One segment a digest: of several rows that hold, one that was not replaced.
    let mut chosen: BTreeMap<&str, (usize, Cover)> = BTreeMap::new();
    for (at, (digest, trust)) in digests.iter().zip(trust).enumerate() {
        let cover = match trust {
            Trust::Holds => Cover::Holds,
            Trust::Replaced => Cover::Replaced,
            Trust::Unknown => Cover::Unknown,
            Trust::Invalid => Cover::Invalid,
            Trust::Missing => Cover::Missing,
            Trust::Superseded => continue,
        };
        let entry = chosen.entry(&digest.digest).or_insert((at, cover));
        let rank = |at: usize, cover: Cover| (cover != Cover::Holds, digests[at].start);
        if rank(at, cover) < rank(entry.0, entry.1) {
            *entry = (at, cover);
        }
    }
    let mut trails: HashMap<String, Vec<Trail>> = HashMap::new();
    for (at, cover) in chosen.into_values() {
        let digest = &digests[at];
        let root = root(&digest.digest);
        let trails = trails.entry(place(&root, &digest.account, &digest.region)).or_default();
        let trail = trails.iter().position(|trail| trail.is_of(digest)).unwrap_or_else(|| {
            trails.push(Trail {
                root,
                account: digest.account.clone(),
                region: digest.region.clone(),
                name: digest.trail.clone(),
                home_region: digest.home_region.clone(),
                segments: Vec::new(),
                reach: Vec::new(),
            });
            trails.len() - 1
        });
        // An invalid digest may say anything of its beginning.
        let told = if cover == Cover::Invalid { None } else { digest.start };
        let start = told.unwrap_or(digest.end - HOUR).min(digest.end);
        trails[trail].segments.push(Segment { start, end: digest.end, cover, digest: index(at) });
    }
    for trail in trails.values_mut().flatten() {
        trail.close(digests);
    }
    trails
}

/// Where a trail writes: digests and log files of one trail lie below the same bucket and prefix.
fn place(root: &str, account: &str, region: &str) -> String {
    format!("{root}\n{account}\n{region}")
}

/// Bucket and prefix of a digest.
fn root(digest: &str) -> String {
    DigestKey::parse(digest).map(|key| key.prefix).unwrap_or_default()
}

fn index(number: usize) -> u32 {
    u32::try_from(number).unwrap_or(u32::MAX)
}

fn index_of_new(listings: &[Listing]) -> u32 {
    index(listings.len())
}
