//! Times of a trail of which no digest holds.

use std::fmt;

use chrono::{DateTime, Utc};

use super::evidence::Evidence;
use super::trail::{Cover, PATIENCE, Segment, Trail};

/// A time without a valid digest.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Gap {
    /// The account whose log files the digests list.
    pub account: String,
    /// The region whose log files the digests list.
    pub region: String,
    /// The trail; nothing if no digest of any trail is known there.
    pub trail: Option<String>,
    /// Bucket and prefix, `s3://bucket/prefix`.
    pub location: String,
    /// Beginning.
    pub from: DateTime<Utc>,
    /// End.
    pub to: DateTime<Utc>,
    /// Why.
    pub why: Why,
}

/// Why there is no valid digest.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Why {
    /// A valid digest links to one that is not in the bucket.
    Missing,
    /// The digest does not hold.
    Invalid,
    /// The digest holds, but the next one links to another in its place.
    Replaced,
    /// The public key of the digest could not be looked up.
    KeyNotFound,
    /// A chain of digests begins after it: validation or the trail was off.
    Off,
    /// The digest is linked to, and nobody has looked for it yet.
    NotSeen,
    /// The digest may still come.
    NotYet,
    /// Log files are there, and no digest came for a day.
    NoDigest,
}

impl Why {
    /// As it stands in the table `integrity_gaps`.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Missing => "missing",
            Self::Invalid => "invalid",
            Self::Replaced => "replaced",
            Self::KeyNotFound => "key_not_found",
            Self::Off => "validation_off",
            Self::NotSeen => "not_seen",
            Self::NotYet => "not_yet",
            Self::NoDigest => "no_digest",
        }
    }
}

impl fmt::Display for Why {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl Gap {
    /// Its length in hours, rounded up: as many digests are lacking.
    pub fn hours(&self) -> i64 {
        ((self.to - self.from).num_seconds() + 3599).div_euclid(3600)
    }
}

/// The gaps between the first and the last digest known of each trail, in the order of account, region
/// and trail.
///
/// What lies before and after shows only by the log files that are there.
pub fn gaps(evidence: &Evidence) -> Vec<Gap> {
    let mut gaps: Vec<Gap> = evidence.trails().flat_map(of_trail).collect();
    gaps.sort();
    gaps
}

/// Why there is no digest at a time after (or before) all that are known.
pub(super) fn beyond(to: DateTime<Utc>, now: DateTime<Utc>) -> Why {
    if now - to < PATIENCE { Why::NotYet } else { Why::NoDigest }
}

fn of_trail(trail: &Trail) -> Vec<Gap> {
    let known = trail.segments.iter().filter(|segment| segment.start > DateTime::<Utc>::MIN_UTC);
    let Some(first) = known.clone().map(|segment| segment.start).min() else { return Vec::new() };
    let mut pieces: Vec<(DateTime<Utc>, DateTime<Utc>, Why)> = Vec::new();
    let mut add = |from: DateTime<Utc>, to: DateTime<Utc>, why: Why| {
        if from >= to {
            return;
        }
        match pieces.last_mut() {
            Some(last) if last.2 == why && last.1 >= from => last.1 = last.1.max(to),
            _ => pieces.push((from, to, why)),
        }
    };
    let holding: Vec<&Segment> = known.clone().filter(|segment| segment.cover == Cover::Holds).collect();
    let others: Vec<&Segment> = known.filter(|segment| segment.cover != Cover::Holds).collect();
    let mut at = first;
    for held in &holding {
        fill(at, held.start, &others, &mut add);
        at = at.max(held.end);
    }
    let last = others.iter().map(|segment| segment.end).max().unwrap_or(at);
    fill(at, last, &others, &mut add);
    let gap = |(from, to, why)| Gap {
        account: trail.account.clone(),
        region: trail.region.clone(),
        trail: Some(trail.name.clone()),
        location: trail.root.clone(),
        from,
        to,
        why,
    };
    pieces.into_iter().map(gap).collect()
}

/// Says of all of a time without valid digest why there is none.
fn fill(
    from: DateTime<Utc>,
    to: DateTime<Utc>,
    others: &[&Segment],
    add: &mut impl FnMut(DateTime<Utc>, DateTime<Utc>, Why),
) {
    if from >= to {
        return;
    }
    let mut at = from;
    for segment in others.iter().filter(|segment| segment.end > from && segment.start < to) {
        add(at, segment.start.min(to), Why::NotSeen);
        let why = match segment.cover {
            Cover::Missing => Why::Missing,
            Cover::Invalid => Why::Invalid,
            Cover::Replaced => Why::Replaced,
            Cover::Unknown => Why::KeyNotFound,
            Cover::Off => Why::Off,
            Cover::Holds => continue,
        };
        add(at.max(segment.start), segment.end.min(to), why);
        at = at.max(segment.end);
    }
    add(at, to, Why::NotSeen);
}
