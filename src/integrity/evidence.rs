//! From facts to verdicts: pure, and indifferent to the order and the number of the facts.

use std::collections::{HashMap, HashSet};

use chrono::{DateTime, Utc};
// Names are long, and there are many.
use datafusion::common::HashMap as FastMap;

use super::fact::{DigestFact, Link, LogFileFact, Sha256};
use super::state::{Reason, Verdict};
use super::trail::{Outcome, PATIENCE, Trail, place, root, trails};
use crate::lake::{DigestStatus, ListedLogFile};
use crate::object::LogKey;

/// All that is known of the digests of some time, ready to judge log files by.
#[derive(Debug, Default)]
pub struct Evidence {
    digests: Vec<DigestFact>,
    /// One for each of `digests`.
    trust: Vec<Trust>,
    /// The first of `listings` of each log file.
    first: FastMap<Box<str>, u32>,
    listings: Vec<Listing>,
    /// By [`place`].
    trails: HashMap<String, Vec<Trail>>,
}

/// How far a digest is to be believed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Trust {
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

/// What was said of a log file, and the number of the digest that says it.
#[derive(Debug, Clone, Copy)]
pub(super) struct Judged {
    pub(super) verdict: Verdict,
    pub(super) digest: Option<u32>,
}

/// A log file as a digest lists it.
#[derive(Debug)]
struct Listing {
    digest: u32,
    /// Nothing if it is no hash, so that nothing matches it.
    hash: Option<Sha256>,
    next: Option<u32>,
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
        let judged = self.judged(file, now);
        (judged.verdict, self.digest_of(judged))
    }

    pub(super) fn judged(&self, file: &LogFileFact, now: DateTime<Utc>) -> Judged {
        let (verdict, digest) = match self.by_listing(file) {
            Some((verdict, digest)) => (verdict, Some(digest)),
            None => self.by_coverage(&file.log_file, now),
        };
        Judged { verdict, digest }
    }

    /// The address of the digest that says it.
    pub(super) fn digest_of(&self, judged: Judged) -> Option<&str> {
        judged.digest.map(|digest| self.digests[digest as usize].digest.as_str())
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

pub(super) fn index(number: usize) -> u32 {
    u32::try_from(number).unwrap_or(u32::MAX)
}

fn index_of_new(listings: &[Listing]) -> u32 {
    index(listings.len())
}
