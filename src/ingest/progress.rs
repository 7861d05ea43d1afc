//! How far an ingest run is, and what it did.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering::Relaxed};
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use super::digests::Digests;
use crate::event::Oddities;
use crate::lake::Committed;
use crate::source::Ignored;

/// Counters that a run keeps, for whoever wants to show them.
#[derive(Debug, Default)]
pub struct Progress {
    listed: AtomicBool,
    found: Count,
    known: Count,
    done: Count,
    changed: AtomicU64,
    reappeared: AtomicU64,
    events: AtomicU64,
    raw_bytes: AtomicU64,
    totals: Mutex<Totals>,
}

#[derive(Debug, Default)]
struct Count {
    files: AtomicU64,
    bytes: AtomicU64,
}

#[derive(Debug, Default, Clone)]
struct Totals {
    committed: Committed,
    commits: u64,
    oddities: Oddities,
    quarantined: BTreeMap<(&'static str, bool), u64>,
    failures: Vec<Failure>,
    failed: u64,
}

/// A log file that could not be fetched or read. It is not in the lake; the next run tries again.
#[derive(Debug, Clone)]
pub struct Failure {
    /// Its address.
    pub log_file: String,
    /// What went wrong.
    pub error: String,
}

/// Failures that are told one by one; beyond, they are only counted.
const TOLD_FAILURES: usize = 20;

impl Count {
    fn add(&self, bytes: u64) {
        self.files.fetch_add(1, Relaxed);
        self.bytes.fetch_add(bytes, Relaxed);
    }

    fn get(&self) -> (u64, u64) {
        (self.files.load(Relaxed), self.bytes.load(Relaxed))
    }
}

impl Progress {
    /// Log files and bytes found so far, and whether these are all.
    pub fn found_so_far(&self) -> (u64, u64, bool) {
        let (files, bytes) = self.found.get();
        (files, bytes, self.listed.load(Relaxed))
    }

    /// Log files and bytes that are done with: read, known already, or failed.
    pub fn done_so_far(&self) -> (u64, u64) {
        let (done, known) = (self.done.get(), self.known.get());
        (done.0 + known.0, done.1 + known.1)
    }

    /// Events read so far.
    pub fn events_so_far(&self) -> u64 {
        self.events.load(Relaxed)
    }

    pub(super) fn listing_ended(&self) {
        self.listed.store(true, Relaxed);
    }

    pub(super) fn found(&self, bytes: u64) {
        self.found.add(bytes);
    }

    pub(super) fn known(&self, bytes: u64) {
        self.known.add(bytes);
    }

    pub(super) fn changed(&self) {
        self.changed.fetch_add(1, Relaxed);
    }

    pub(super) fn reappeared(&self, files: u64) {
        self.reappeared.fetch_add(files, Relaxed);
    }

    pub(super) fn done(&self, bytes: u64) {
        self.done.add(bytes);
    }

    pub(super) fn read(&self, events: u64, oddities: &Oddities, raw_bytes: u64) {
        self.events.fetch_add(events, Relaxed);
        self.raw_bytes.fetch_add(raw_bytes, Relaxed);
        if oddities.total() > 0 {
            self.totals().oddities.add(oddities);
        }
    }

    pub(super) fn quarantined(&self, reason: &'static str, whole_file: bool) {
        *self.totals().quarantined.entry((reason, whole_file)).or_default() += 1;
    }

    pub(super) fn failed(&self, log_file: &str, error: &anyhow::Error) {
        let mut totals = self.totals();
        totals.failed += 1;
        if totals.failures.len() < TOLD_FAILURES {
            totals.failures.push(Failure { log_file: log_file.to_owned(), error: format!("{error:#}") });
        }
    }

    pub(super) fn committed(&self, committed: &Committed) {
        let mut totals = self.totals();
        let sum = &mut totals.committed;
        sum.version = committed.version;
        sum.files += committed.files;
        sum.duplicates += committed.duplicates;
        sum.events += committed.events;
        sum.quarantined += committed.quarantined;
        sum.num_added_files += committed.num_added_files;
        sum.bytes += committed.bytes;
        totals.commits += 1;
    }

    fn totals(&self) -> std::sync::MutexGuard<'_, Totals> {
        self.totals.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(super) fn summary(&self, ignored: &Ignored, elapsed: Duration, stopped: bool) -> Summary {
        let totals = self.totals().clone();
        let (found, found_bytes) = self.found.get();
        let (known, _) = self.known.get();
        let done = self.done.get();
        Summary {
            found,
            found_bytes,
            known: known + totals.committed.duplicates,
            changed: self.changed.load(Relaxed),
            reappeared: self.reappeared.load(Relaxed),
            new: totals.committed.files,
            read_bytes: done.1,
            raw_bytes: self.raw_bytes.load(Relaxed),
            events: totals.committed.events,
            odd_values: totals.oddities,
            quarantined: totals
                .quarantined
                .into_iter()
                .map(|((why, whole), count)| (why, whole, count))
                .collect(),
            failed: totals.failed,
            failures: totals.failures,
            digests: ignored.digests.load(Relaxed),
            filtered: ignored.filtered.load(Relaxed),
            others: ignored.others.load(Relaxed),
            commits: totals.commits,
            version: (totals.commits > 0).then_some(totals.committed.version),
            lake_bytes: totals.committed.bytes,
            elapsed,
            stopped,
            integrity: None,
        }
    }
}

/// What a run did.
#[derive(Debug, Clone)]
pub struct Summary {
    /// Log files that the sources hold and the filter lets through.
    pub found: u64,
    /// Their stored bytes.
    pub found_bytes: u64,
    /// Of these, already in the lake.
    pub known: u64,
    /// Of the known ones, those whose size is another than when they were ingested.
    pub changed: u64,
    /// Of the known ones, those that were missing and could now be read.
    pub reappeared: u64,
    /// Added to the lake.
    pub new: u64,
    /// Stored bytes that were read.
    pub read_bytes: u64,
    /// The same, inflated.
    pub raw_bytes: u64,
    /// Events added.
    pub events: u64,
    /// Values that are not as CloudTrail documents them; all are kept.
    pub odd_values: Oddities,
    /// What went to quarantine: reason, whether whole files, how many.
    pub quarantined: Vec<(&'static str, bool, u64)>,
    /// Log files that could not be fetched or read.
    pub failed: u64,
    /// The first of these.
    pub failures: Vec<Failure>,
    /// Digest files met and not read.
    pub digests: u64,
    /// Log files that the filter left out.
    pub filtered: u64,
    /// Other files met.
    pub others: u64,
    /// Commits to the lake.
    pub commits: u64,
    /// The version of the lake after them.
    pub version: Option<u64>,
    /// Bytes that the lake has gained.
    pub lake_bytes: u64,
    /// How long it took.
    pub elapsed: Duration,
    /// Whether it was stopped before the sources ended.
    pub stopped: bool,
    /// What became of the digests, if they were read.
    pub integrity: Option<Digests>,
}
