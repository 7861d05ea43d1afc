//! The audit: every few minutes, what the digests say of the lake, and what follows from it.
//!
//! Log files that a digest lists and no message has announced are fetched; digests that others link to
//! are fetched, and put down as missing if they are not there; digests whose public key was not to be
//! had are checked again; and what fails is told, once.

use std::collections::HashSet;
use std::sync::Arc;

use anyhow::Result;
use chrono::{DateTime, Days, TimeDelta, Utc};
use tokio::sync::mpsc;
use tokio_util::sync::CancellationToken;
use tracing::{debug, error, info};

use super::dispatch::{Arrival, Asked};
use super::{OnIntegrityFailure, Options};
use crate::integrity::{self, Audit, Failed, Reason, State};
use crate::lake::Lake;
use crate::metrics::{Health, Metrics};
use crate::object::ObjectRef;
use crate::output::escape;

/// Objects that are asked for at once.
const ASKED_AT_ONCE: usize = 100;
/// Failures that are remembered as told.
const REMEMBERED: usize = 100_000;

/// The one who audits.
pub(super) struct Auditor {
    pub(super) lake: Lake,
    pub(super) arrivals: mpsc::Sender<Arrival>,
    pub(super) options: Arc<Options>,
    pub(super) metrics: Arc<Metrics>,
    pub(super) health: Arc<Health>,
    pub(super) told: HashSet<(String, Reason)>,
}

impl Auditor {
    /// Audits at each interval until `stop`.
    pub(super) async fn run(mut self, stop: CancellationToken) {
        self.health.expect("integrity", false, self.options.integrity_interval * 10);
        let interval = self.options.integrity_interval;
        while stop.run_until_cancelled(tokio::time::sleep(interval)).await.is_some() {
            let Some(audited) = stop.run_until_cancelled(self.audit()).await else { return };
            match audited {
                Ok(()) => self.health.fine("integrity"),
                Err(error) => {
                    let told = format!("{error:#}");
                    error!(error = told, "digests and log files could not be compared; tried again later");
                    self.metrics.error("integrity", "lake");
                    self.health.troubled("integrity", &told);
                }
            }
        }
    }

    async fn audit(&mut self) -> Result<()> {
        let now = Utc::now();
        let days = Days::new(u64::from(self.options.integrity_days));
        let since = now.date_naive().checked_sub_days(days).unwrap_or_default();
        let audit = integrity::audit(&self.lake, since, now).await?;
        self.count(&audit, now);
        self.failed(&audit.failed).await?;
        let absent = self.absent(&audit, now);
        for (objects, why) in
            [(absent, Asked::Absent), (audit.unseen, Asked::Linked), (audit.recheck, Asked::Recheck)]
        {
            for some in objects.chunks(ASKED_AT_ONCE) {
                if self.arrivals.send(Arrival::Asked(some.to_vec(), why)).await.is_err() {
                    return Ok(());
                }
            }
        }
        Ok(())
    }

    fn count(&self, audit: &Audit, now: DateTime<Utc>) {
        for state in State::ALL {
            self.metrics.log_files(state.as_str(), audit.count(state));
        }
        for ((account, region), end) in &audit.newest_digest_end {
            self.metrics.digest_lag(account, region, (now - *end).num_seconds().max(0));
        }
        let count = |state| audit.count(state);
        debug!(
            verified = count(State::Verified),
            pending = count(State::Pending),
            uncovered = count(State::Uncovered),
            failed = count(State::Failed),
            absent = audit.absent.len(),
            unseen = audit.unseen.len(),
            "audited"
        );
    }

    /// Log files whose digest has been here for longer than a message may take.
    fn absent(&self, audit: &Audit, now: DateTime<Utc>) -> Vec<ObjectRef> {
        let grace = TimeDelta::from_std(self.options.integrity_grace).unwrap_or(TimeDelta::MAX);
        let late = audit.absent.iter().filter(|file| file.checked_at.is_none_or(|at| now - at >= grace));
        late.filter_map(|file| object(&file.log_file)).collect()
    }

    async fn failed(&mut self, failed: &[Failed]) -> Result<()> {
        let mut new = Vec::new();
        for file in failed {
            if self.told.len() < REMEMBERED && self.told.insert((file.log_file.clone(), file.why)) {
                let (log_file, digest) = (escape(&file.log_file, true), file.digest.as_deref().unwrap_or(""));
                let (log_file, digest, why) = (&*log_file, &*escape(digest, true), file.why.as_str());
                error!(log_file, digest, why, "integrity failed: {}", meaning(file.why));
                self.metrics.error("integrity", why);
                new.push(file);
            }
        }
        if self.options.on_integrity_failure == OnIntegrityFailure::Quarantine {
            self.withdraw(&new).await?;
        }
        Ok(())
    }

    /// Moves the events of log files that failed to quarantine.
    async fn withdraw(&self, failed: &[&Failed]) -> Result<()> {
        let reasons: HashSet<Reason> = failed.iter().map(|file| file.why).collect();
        for why in reasons {
            let of_reason = failed.iter().filter(|file| file.why == why);
            let log_files: Vec<String> = of_reason.map(|file| file.log_file.clone()).collect();
            let detail = format!("integrity failed: {why}");
            self.lake.withdraw(&log_files, "integrity_failed", &detail).await?;
            self.metrics.withdrawn(log_files.len() as u64);
            info!(files = log_files.len(), why = why.as_str(), "moved to quarantine");
        }
        Ok(())
    }
}

/// What is known of a log file that failed for this reason, and no more than that.
fn meaning(why: Reason) -> &'static str {
    match why {
        Reason::HashMismatch => "this log file is not as CloudTrail wrote it",
        Reason::Deleted => "CloudTrail wrote this log file, and the bucket does not have it",
        Reason::Unreadable => "CloudTrail wrote this log file, and what is in its place cannot be unpacked",
        Reason::BadSignature => "the digest that would vouch for this log file does not hold",
        Reason::BrokenChain => "the digest that would vouch for this log file is missing or was replaced",
        Reason::NoDigestYet | Reason::KeyNotFound | Reason::NotListed | Reason::NoDigest | Reason::NoKey => {
            "this log file is not proven"
        }
    }
}

/// The object at an address; nothing if it is none of a bucket.
fn object(uri: &str) -> Option<ObjectRef> {
    let (bucket, key) = uri.strip_prefix("s3://")?.split_once('/')?;
    Some(ObjectRef::new(bucket, key))
}
