//! The digests of one trail on a time line, and what they say of a log file that none of them lists.

use std::collections::{BTreeMap, HashMap};

use chrono::{DateTime, TimeDelta, Utc};

use super::evidence::{Trust, index};
use super::fact::DigestFact;
use super::state::Reason;
use crate::object::DigestKey;

/// How long a digest may be late before its log files count as uncovered.
pub(super) const PATIENCE: TimeDelta = TimeDelta::hours(24);

/// A digest lists what was *delivered* in its hour, and a log file is named after the time when
/// CloudTrail began it: so the digests of this long after its time may list it.
const LISTED_WITHIN: TimeDelta = TimeDelta::hours(2);

/// Hours of digests whose beginning is not known.
pub(super) const HOUR: TimeDelta = TimeDelta::hours(1);

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
pub(super) enum Outcome {
    /// A digest that could list it does not hold, or is not there.
    Broken(Reason, u32),
    /// The key of a digest that could list it could not be looked up.
    Unknown(u32),
    /// A digest that could list it may still come.
    Open,
    /// All digests that could list it are there. Whether one is of its very time.
    Settled(bool),
}

impl Trail {
    pub(super) fn is_of(&self, digest: &DigestFact) -> bool {
        (self.name.as_str(), self.home_region.as_str())
            == (digest.trail.as_str(), digest.home_region.as_str())
    }

    /// Whether the trail still wrote digests not long before that time.
    pub(super) fn is_live_at(&self, time: DateTime<Utc>) -> bool {
        self.reach.last().is_some_and(|end| *end + PATIENCE >= time)
    }

    pub(super) fn outcome(&self, time: DateTime<Utc>) -> Outcome {
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

pub(super) fn trails(digests: &[DigestFact], trust: &[Trust]) -> HashMap<String, Vec<Trail>> {
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
pub(super) fn place(root: &str, account: &str, region: &str) -> String {
    format!("{root}\n{account}\n{region}")
}

/// Bucket and prefix of a digest.
pub(super) fn root(digest: &str) -> String {
    DigestKey::parse(digest).map(|key| key.prefix).unwrap_or_default()
}
