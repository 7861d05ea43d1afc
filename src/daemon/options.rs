//! What the daemon may do, and how much of it at once.

use std::collections::HashSet;
use std::time::Duration;

use chrono::{DateTime, Utc};

use crate::log_file::Limits;

/// The daemon's settings, checked.
#[derive(Debug, Clone)]
pub struct Options {
    /// The buckets that are read. What messages say of others is never followed.
    pub buckets: HashSet<String>,
    /// Requests for messages at once, for each queue.
    pub receivers: usize,
    /// How long a message stays ours after each extension.
    pub visibility_timeout: Duration,
    /// Messages in hand, at most.
    pub max_in_hand: usize,
    /// Requests for objects at once.
    pub requests: usize,
    /// Memory for log files and rows on their way, in bytes.
    pub memory_limit: usize,
    /// Threads that read log files.
    pub threads: usize,
    /// A batch is committed after this time even if it is small.
    pub batch_age: Duration,
    /// A batch is committed when its rows have this size in memory.
    pub batch_size: usize,
    /// What one log file may cost.
    pub limits: Limits,
    /// How long a message that could not be served stays away the first time; twice as long each time.
    pub retry_after: Duration,
    /// How long it stays away at most.
    pub retry_after_max: Duration,
    /// After so many receipts an object that is not there is put down as missing.
    pub max_receive_count: u32,
    /// What to do with messages that are not understood.
    pub foreign_messages: ForeignMessages,
    /// Log files written before this time are left alone.
    pub start_timestamp: Option<DateTime<Utc>>,
    /// Log files older than this are left alone.
    pub ignore_older: Option<Duration>,
    /// The time for an orderly end.
    pub shutdown_grace: Duration,
    /// How often digests and log files are compared; never if there is nothing to check digests with.
    pub integrity_interval: Duration,
    /// How long a log file that a digest lists may still be on its way.
    pub integrity_grace: Duration,
    /// How many days back the audit looks.
    pub integrity_days: u32,
    /// What to do with the events of a log file whose integrity failed.
    pub on_integrity_failure: OnIntegrityFailure,
    /// How often the lake is looked after; never if there is none.
    pub upkeep_interval: Option<Duration>,
    /// How long files and commits stay that the lake does not need any more.
    pub vacuum_retention: Duration,
    /// Events older than so many days are dropped, if any.
    pub retain_days: Option<u32>,
}

/// What to do with messages that are not understood, or that name a bucket that is not allowed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
pub enum ForeignMessages {
    /// Leave them to the queue, which moves them to its dead-letter queue if it has one
    Leave,
    /// Delete them, after they have been logged
    Delete,
}

/// What to do with the events of a log file whose integrity failed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
pub enum OnIntegrityFailure {
    /// Keep them; their column integrity says failed
    Keep,
    /// Move them to quarantine
    Quarantine,
}

impl Default for Options {
    fn default() -> Self {
        let memory_limit = 512_000_000;
        Options {
            buckets: HashSet::new(),
            receivers: 2,
            visibility_timeout: Duration::from_mins(5),
            max_in_hand: 10_000,
            requests: 48,
            memory_limit,
            threads: crate::ingest::cores(),
            batch_age: Duration::from_mins(1),
            batch_size: 128_000_000,
            limits: limits_within(memory_limit),
            retry_after: Duration::from_secs(15),
            retry_after_max: Duration::from_mins(15),
            max_receive_count: 3,
            foreign_messages: ForeignMessages::Leave,
            start_timestamp: None,
            ignore_older: None,
            shutdown_grace: Duration::from_secs(30),
            integrity_interval: Duration::from_mins(5),
            integrity_grace: Duration::from_mins(15),
            integrity_days: 3,
            on_integrity_failure: OnIntegrityFailure::Keep,
            upkeep_interval: Some(Duration::from_mins(10)),
            vacuum_retention: Duration::from_hours(7 * 24),
            retain_days: None,
        }
    }
}

impl Options {
    /// How long a message that could not be served stays away, by how often it was received: about
    /// twice as long each time, never at the same time as others.
    pub(super) fn retry_after(&self, receive_count: u32) -> Duration {
        let doublings = receive_count.saturating_sub(1).min(16);
        let pause = self.retry_after.saturating_mul(1 << doublings).min(self.retry_after_max);
        pause.mul_f64(0.75 + 0.5 * fastrand::f64())
    }

    /// The memory for bytes that are fetched and not read yet.
    pub(super) fn fetch_memory(&self) -> usize {
        self.memory_limit / 8
    }

    /// The memory for looking after the lake. It comes on top of the limit while something is merged.
    pub(super) fn upkeep_memory(&self) -> usize {
        self.memory_limit / 4
    }

    /// The memory for rows, and for what writing them takes.
    pub(super) fn load_memory(&self) -> usize {
        self.memory_limit / 2
    }
}

/// What one log file may cost within a memory limit. CloudTrail's own stay under 50 MB inflated.
pub fn limits_within(memory_limit: usize) -> Limits {
    let memory_limit = memory_limit as u64;
    Limits::of(memory_limit / 8, memory_limit / 4)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_message_stays_away_twice_as_long_each_time_up_to_a_limit() {
        let options = Options::default();
        for (count, around) in [(0, 15), (1, 15), (2, 30), (3, 60), (10, 900), (u32::MAX, 900)] {
            let pause = options.retry_after(count).as_secs_f64();
            let around = f64::from(around);
            assert!(pause >= around * 0.75 && pause <= around * 1.25, "{count}: {pause}");
        }
    }
}
