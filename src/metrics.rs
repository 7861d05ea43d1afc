//! What the daemon counts, and the page where Prometheus reads it.
//!
//! Every message and every object that was seen is counted again when it is done with, in exactly one
//! way, so that the sums balance at any time:
//!
//! ```text
//! messages received = deleted + returned + expired + in flight
//! objects seen      = committed + duplicate + quarantined + ignored + failed + in flight
//! ```

mod server;

use std::fmt::Write as _;
use std::time::Duration;

use prometheus_client::encoding::text::encode;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::metrics::histogram::{Histogram, exponential_buckets};
use prometheus_client::registry::Registry;

pub use server::{Health, Server};

/// Names and values of labels.
type Labels = Vec<(&'static str, String)>;

/// The daemon's counters.
#[derive(Debug)]
pub struct Metrics {
    registry: Registry,
    received: Family<Labels, Counter>,
    deleted: Family<Labels, Counter>,
    returned: Family<Labels, Counter>,
    expired: Family<Labels, Counter>,
    in_flight: Family<Labels, Gauge>,
    extensions: Family<Labels, Counter>,
    bodies: Family<Labels, Counter>,
    lag: Histogram,
    seen: Counter,
    objects: Family<Labels, Counter>,
    objects_in_flight: Gauge,
    ignored: Family<Labels, Counter>,
    bytes: Counter,
    processing: Histogram,
    events: Counter,
    records_quarantined: Counter,
    commits: Counter,
    commit_seconds: Histogram,
    last_commit: Gauge,
    lake_version: Gauge,
    recovered: Counter,
    withdrawn: Counter,
    digest_lag: Family<Labels, Gauge>,
    log_files: Family<Labels, Gauge>,
    upkeep_turns: Family<Labels, Counter>,
    upkeep_files: Family<Labels, Counter>,
    upkeep_bytes: Family<Labels, Counter>,
    errors: Family<Labels, Counter>,
}

/// How a message was done with.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Ending {
    /// Deleted from its queue.
    Deleted,
    /// Handed back, or left until it is visible again: why.
    Returned(&'static str),
    /// No longer ours when it should have been deleted or handed back: it will come again.
    Expired,
}

/// How an object was done with.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum ObjectOutcome {
    /// In the lake, by this daemon.
    Committed,
    /// In the lake already.
    Duplicate,
    /// In quarantine as a whole.
    Quarantined,
    /// Not ours to read.
    Ignored,
    /// Handed back with its message, to be tried again.
    Failed,
}

impl ObjectOutcome {
    /// All outcomes.
    pub const ALL: [Self; 5] =
        [Self::Committed, Self::Duplicate, Self::Quarantined, Self::Ignored, Self::Failed];

    /// As it stands in the label `outcome`.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Committed => "committed",
            Self::Duplicate => "duplicate",
            Self::Quarantined => "quarantined",
            Self::Ignored => "ignored",
            Self::Failed => "failed",
        }
    }
}

/// What all of it comes to.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Totals {
    /// Messages received.
    pub received: u64,
    /// Messages deleted.
    pub deleted: u64,
    /// Messages handed back.
    pub returned: u64,
    /// Messages that were ours no longer.
    pub expired: u64,
    /// Messages in hand.
    pub in_flight: u64,
    /// Objects that messages announced, and that the audit asked for.
    pub seen: u64,
    /// Objects committed.
    pub committed: u64,
    /// Objects that the lake had.
    pub duplicate: u64,
    /// Objects put into quarantine.
    pub quarantined: u64,
    /// Objects that are nothing to us.
    pub ignored: u64,
    /// Objects handed back.
    pub failed: u64,
    /// Objects in work.
    pub objects_in_flight: u64,
    /// Commits.
    pub commits: u64,
    /// Rows added to `events`.
    pub events: u64,
}

impl Totals {
    /// Says which of the identities does not hold, if one does not.
    pub fn imbalance(&self) -> Option<String> {
        let messages = self.deleted + self.returned + self.expired + self.in_flight;
        let settled = self.committed + self.duplicate + self.quarantined + self.ignored + self.failed;
        let objects = settled + self.objects_in_flight;
        let mut told = String::new();
        if messages != self.received {
            let _ = write!(told, "{} messages were received, and {messages} accounted for; ", self.received);
        }
        if objects != self.seen {
            let _ = write!(told, "{} objects were seen, and {objects} accounted for; ", self.seen);
        }
        (!told.is_empty()).then_some(told)
    }
}

impl Default for Metrics {
    fn default() -> Self {
        Self::new()
    }
}

impl Metrics {
    /// Counters at zero.
    #[allow(clippy::too_many_lines, reason = "one metric after the other")]
    pub fn new() -> Self {
        let mut metrics = Metrics {
            registry: Registry::with_prefix("trailq"),
            received: Family::default(),
            deleted: Family::default(),
            returned: Family::default(),
            expired: Family::default(),
            in_flight: Family::default(),
            extensions: Family::default(),
            bodies: Family::default(),
            lag: Histogram::new(exponential_buckets(1.0, 3.0, 12)),
            seen: Counter::default(),
            objects: Family::default(),
            objects_in_flight: Gauge::default(),
            ignored: Family::default(),
            bytes: Counter::default(),
            processing: Histogram::new(exponential_buckets(0.1, 2.5, 10)),
            events: Counter::default(),
            records_quarantined: Counter::default(),
            commits: Counter::default(),
            commit_seconds: Histogram::new(exponential_buckets(0.01, 2.5, 10)),
            last_commit: Gauge::default(),
            lake_version: Gauge::default(),
            recovered: Counter::default(),
            withdrawn: Counter::default(),
            digest_lag: Family::default(),
            log_files: Family::default(),
            upkeep_turns: Family::default(),
            upkeep_files: Family::default(),
            upkeep_bytes: Family::default(),
            errors: Family::default(),
        };
        for outcome in ObjectOutcome::ALL {
            drop(metrics.objects.get_or_create(&vec![("outcome", outcome.as_str().to_owned())]));
        }
        metrics.register();
        metrics
    }

    fn register(&mut self) {
        macro_rules! register {
            ($($field:ident $name:literal $help:literal;)*) => {
                $(self.registry.register($name, $help, self.$field.clone());)*
            };
        }
        register! {
            received "sqs_messages_received" "Messages received";
            deleted "sqs_messages_deleted" "Messages deleted, after what they announced was committed";
            returned "sqs_messages_returned" "Messages handed back to be received again, by reason";
            expired "sqs_messages_expired" "Messages whose receipt was no longer valid when they were done";
            in_flight "sqs_messages_inflight" "Messages in hand";
            extensions "sqs_visibility_timeout_extensions" "Times that the visibility of a message was extended";
            bodies "sqs_message_bodies" "Messages by the kind of their body";
            lag "sqs_lag_seconds" "Age of messages when they were first received";
            seen "s3_objects_seen" "Objects announced by messages or asked for by the audit";
            objects "s3_objects" "Objects done with, by outcome";
            objects_in_flight "s3_objects_inflight" "Objects in work";
            ignored "s3_objects_ignored" "Objects that are nothing to us, by kind";
            bytes "s3_bytes" "Bytes fetched";
            processing "object_processing_seconds" "Time from receipt to the end of an object's work";
            events "events" "Events added to the lake";
            records_quarantined "records_quarantined" "Records put into quarantine one by one";
            commits "commits" "Commits to the lake";
            commit_seconds "commit_seconds" "Time that a commit took";
            last_commit "last_commit_timestamp_seconds" "When the last commit landed";
            lake_version "lake_version" "The version of the lake after the last commit";
            recovered "integrity_recovered" "Log files that digests list, no message announced, and the audit fetched";
            withdrawn "integrity_withdrawn" "Log files moved to quarantine because their integrity failed";
            digest_lag "digest_lag_seconds" "Time since the end of the newest valid digest, by account and region";
            log_files "log_files" "Log files of the audited days by their integrity";
            upkeep_turns "upkeep_turns" "Times that the lake was to be looked after, by what came of it";
            upkeep_files "upkeep_files" "Parquet files and commits that upkeep has joined, written, dropped or deleted";
            upkeep_bytes "upkeep_bytes" "Bytes of these";
            errors "errors" "Errors by stage and kind";
        }
    }

    /// The page that Prometheus reads.
    pub fn page(&self) -> String {
        let mut page = String::new();
        // Writing to a string does not fail.
        let _ = encode(&mut page, &self.registry);
        page
    }

    pub(crate) fn received(&self, queue: &str) {
        self.received.get_or_create(&of_queue(queue)).inc();
        self.in_flight.get_or_create(&of_queue(queue)).inc();
    }

    pub(crate) fn lag(&self, lag: Duration) {
        self.lag.observe(lag.as_secs_f64());
    }

    pub(crate) fn body(&self, kind: &str) {
        self.bodies.get_or_create(&vec![("kind", kind.to_owned())]).inc();
    }

    pub(crate) fn ended(&self, queue: &str, ending: Ending) {
        let mut labels = of_queue(queue);
        self.in_flight.get_or_create(&labels).dec();
        match ending {
            Ending::Deleted => self.deleted.get_or_create(&labels).inc(),
            Ending::Expired => self.expired.get_or_create(&labels).inc(),
            Ending::Returned(reason) => {
                labels.push(("reason", reason.to_owned()));
                self.returned.get_or_create(&labels).inc()
            }
        };
    }

    /// How often visibility was extended for a queue since the daemon began.
    pub(crate) fn extended(&self, queue: &str, times: u64) {
        let counter = self.extensions.get_or_create_owned(&of_queue(queue));
        counter.inc_by(times.saturating_sub(counter.get()));
    }

    pub(crate) fn object_seen(&self) {
        self.seen.inc();
        self.objects_in_flight.inc();
    }

    pub(crate) fn object_done(&self, outcome: ObjectOutcome, took: Duration) {
        self.objects_in_flight.dec();
        self.objects.get_or_create(&vec![("outcome", outcome.as_str().to_owned())]).inc();
        self.processing.observe(took.as_secs_f64());
    }

    pub(crate) fn fetched(&self, bytes: u64) {
        self.bytes.inc_by(bytes);
    }

    pub(crate) fn committed(&self, committed: &crate::lake::Committed, broken: u64, took: Duration) {
        self.events.inc_by(committed.events);
        self.records_quarantined.inc_by(broken);
        self.commits.inc();
        self.commit_seconds.observe(took.as_secs_f64());
        self.last_commit.set(chrono::Utc::now().timestamp());
        self.lake_version.set(as_gauge(committed.version));
    }

    pub(crate) fn error(&self, stage: &str, kind: &str) {
        self.errors.get_or_create(&vec![("stage", stage.to_owned()), ("kind", kind.to_owned())]).inc();
    }

    pub(crate) fn upkeep_turn(&self, outcome: &str) {
        self.upkeep_turns.get_or_create(&vec![("outcome", outcome.to_owned())]).inc();
    }

    pub(crate) fn upkeep(&self, table: &str, what: &str, files: u64, bytes: u64) {
        let labels = vec![("table", table.to_owned()), ("what", what.to_owned())];
        self.upkeep_files.get_or_create(&labels).inc_by(files);
        self.upkeep_bytes.get_or_create(&labels).inc_by(bytes);
    }

    pub(crate) fn recovered(&self) {
        self.recovered.inc();
    }

    pub(crate) fn withdrawn(&self, files: u64) {
        self.withdrawn.inc_by(files);
    }

    pub(crate) fn digest_lag(&self, account: &str, region: &str, lag: i64) {
        let labels = vec![("account", account.to_owned()), ("region", region.to_owned())];
        self.digest_lag.get_or_create(&labels).set(lag);
    }

    pub(crate) fn log_files(&self, integrity: &str, files: u64) {
        self.log_files.get_or_create(&vec![("integrity", integrity.to_owned())]).set(as_gauge(files));
    }

    pub(crate) fn ignored(&self, kind: &str) {
        self.ignored.get_or_create(&vec![("kind", kind.to_owned())]).inc();
    }

    /// The sums over all queues.
    pub fn totals(&self) -> Totals {
        let outcome = |outcome: ObjectOutcome| {
            self.objects.get_or_create(&vec![("outcome", outcome.as_str().to_owned())]).get()
        };
        let page = self.page();
        let sum = |name: &str| sum(&page, name);
        Totals {
            received: sum("trailq_sqs_messages_received_total"),
            deleted: sum("trailq_sqs_messages_deleted_total"),
            returned: sum("trailq_sqs_messages_returned_total"),
            expired: sum("trailq_sqs_messages_expired_total"),
            in_flight: sum("trailq_sqs_messages_inflight"),
            seen: self.seen.get(),
            committed: outcome(ObjectOutcome::Committed),
            duplicate: outcome(ObjectOutcome::Duplicate),
            quarantined: outcome(ObjectOutcome::Quarantined),
            ignored: outcome(ObjectOutcome::Ignored),
            failed: outcome(ObjectOutcome::Failed),
            objects_in_flight: u64::try_from(self.objects_in_flight.get()).unwrap_or(0),
            commits: self.commits.get(),
            events: self.events.get(),
        }
    }
}

/// Adds up the values of a counter or gauge on a page, over all its labels.
pub fn sum(page: &str, name: &str) -> u64 {
    samples(page, name).map(|(_, count)| count).sum()
}

/// The samples of a counter or gauge on a page: labels as they stand there, and the value.
pub fn samples<'a>(page: &'a str, name: &'a str) -> impl Iterator<Item = (&'a str, u64)> {
    page.lines().filter_map(move |line| {
        let rest = line.strip_prefix(name)?;
        let (labels, value) = match rest.strip_prefix('{') {
            Some(rest) => rest.rsplit_once("} ")?,
            None => ("", rest.strip_prefix(' ')?),
        };
        Some((labels, value.split(' ').next()?.parse().ok()?))
    })
}

fn of_queue(queue: &str) -> Labels {
    vec![("queue", queue.to_owned())]
}

fn as_gauge(value: u64) -> i64 {
    i64::try_from(value).unwrap_or(i64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_page_says_what_was_counted_and_the_sums_balance() {
        let metrics = Metrics::new();
        for queue in ["trail \"1\"\n", "trail \"1\"\n", "trail \"1\"\n", "other"] {
            metrics.received(queue);
        }
        metrics.ended("other", Ending::Deleted);
        metrics.ended("trail \"1\"\n", Ending::Returned("failed"));
        metrics.object_seen();
        metrics.object_seen();
        metrics.object_done(ObjectOutcome::Committed, Duration::from_secs(2));
        let totals = metrics.totals();
        assert_eq!((totals.received, totals.deleted, totals.returned, totals.in_flight), (4, 1, 1, 2));
        assert_eq!((totals.seen, totals.committed, totals.objects_in_flight), (2, 1, 1));
        assert_eq!(totals.imbalance(), None);
        let wrong = Totals { received: 5, ..totals };
        assert!(wrong.imbalance().unwrap().contains("5 messages"));
        let page = metrics.page();
        assert!(page.contains("trailq_s3_objects_total{outcome=\"committed\"} 1"), "{page}");
        assert!(
            page.contains("trailq_sqs_messages_received_total{queue=\"trail \\\"1\\\"\\n\"} 3"),
            "{page}"
        );
    }
}
