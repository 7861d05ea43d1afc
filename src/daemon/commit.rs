//! Committing: what the loaders have written, to the lake; only then are messages done with.

use std::sync::Arc;
use std::time::{Duration, Instant};

use anyhow::{Result, bail};
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;
use tracing::{error, info};

use super::hand::Failed;
use super::receive::jittered;
use super::works::{End, Works};
use crate::failpoint;
use crate::ingest::load::{Done, Loaded, Loaders, Outcome};
use crate::lake::{Committed, Lake, LogFileId, Staged};
use crate::metrics::{Health, Metrics};

/// The pause after a failed commit, the first and at most.
const PAUSES: (Duration, Duration) = (Duration::from_secs(1), Duration::from_mins(2));

/// Failed commits in a row, half an hour of them, after which it is better to begin anew.
const GIVEN_UP_AFTER: u32 = 20;

/// The one who commits.
pub(super) struct Committer {
    pub(super) lake: Lake,
    pub(super) works: Arc<Works>,
    pub(super) metrics: Arc<Metrics>,
    pub(super) health: Arc<Health>,
    /// Whether messages are received.
    pub(super) open: watch::Sender<bool>,
    pub(super) failures: u32,
}

impl Committer {
    /// Commits until the loaders have ended.
    pub(super) async fn run(
        mut self,
        mut loaders: Loaders<LogFileId>,
        stop: CancellationToken,
    ) -> Result<()> {
        while let Some(loaded) = loaders.next().await {
            let (staged, done) = self.written(loaded);
            if !done.is_empty() {
                self.commit(staged, done, &stop).await;
            }
            if self.failures >= GIVEN_UP_AFTER {
                stop.cancel();
                bail!("{} commits in a row failed: started anew, it may open the lake afresh", self.failures);
            }
        }
        // If this is before its time, a loader is broken, and with it the whole.
        stop.cancel();
        loaders.join().await
    }

    /// Sorts out what could not be written: its messages go back.
    fn written(&self, loaded: Vec<Loaded<LogFileId>>) -> (Vec<Staged>, Vec<Done<LogFileId>>) {
        let (mut staged, mut done) = (Vec::new(), Vec::new());
        for one in loaded {
            match one.staged {
                Ok(batch) => {
                    staged.extend(batch);
                    done.extend(one.done);
                }
                Err(error) => {
                    error!(error = format!("{error:#}"), files = one.done.len(), "a batch was not written");
                    self.metrics.error("write", "lake");
                    self.fail(&one.done, "write");
                }
            }
        }
        (staged, done)
    }

    async fn commit(&mut self, staged: Vec<Staged>, done: Vec<Done<LogFileId>>, stop: &CancellationToken) {
        let started = Instant::now();
        failpoint::reach(failpoint::BEFORE_COMMIT);
        match self.lake.commit(staged).await {
            Ok(committed) => {
                failpoint::reach(failpoint::AFTER_COMMIT);
                self.failures = 0;
                self.landed(&committed, &done, started.elapsed());
            }
            Err(error) => {
                self.failures += 1;
                let told = format!("{error:#}");
                let (files, failures) = (done.len(), self.failures);
                error!(error = told, files, failures, "commit failed: handed back, to be tried again");
                self.metrics.error("commit", "lake");
                self.health.troubled("lake", &told);
                self.fail(&done, "commit");
                self.pause(stop).await;
            }
        }
    }

    fn landed(&self, committed: &Committed, done: &[Done<LogFileId>], took: Duration) {
        let broken = done.iter().map(|one| match one.outcome {
            Outcome::Events { broken, .. } => broken,
            _ => 0,
        });
        self.metrics.committed(committed, broken.sum(), took);
        self.health.fine("lake");
        info!(
            version = committed.version,
            objects = done.len(),
            duplicates = committed.duplicates,
            events = committed.events,
            bytes = committed.bytes,
            milliseconds = u64::try_from(took.as_millis()).unwrap_or(u64::MAX),
            "committed"
        );
        // Which files another writer had put in before us is not told one by one.
        let mut duplicates = committed.duplicates;
        for one in done {
            let end = match one.outcome {
                Outcome::Events { .. } | Outcome::Quarantined(_) if duplicates > 0 => {
                    duplicates -= 1;
                    End::Duplicate
                }
                Outcome::Quarantined(_) => End::Quarantined,
                Outcome::Events { .. } | Outcome::Digest(_) => End::Committed,
            };
            self.works.finish(one.ticket, end);
        }
    }

    fn fail(&self, done: &[Done<LogFileId>], reason: &'static str) {
        for one in done {
            self.works.finish(one.ticket, End::Failed(Failed::later(reason)));
        }
    }

    /// Waits, and lets no messages come meanwhile: each receipt brings them nearer to the dead-letter
    /// queue, and the fault is not theirs.
    async fn pause(&self, stop: &CancellationToken) {
        self.open.send_replace(false);
        stop.run_until_cancelled(tokio::time::sleep(jittered(PAUSES, self.failures))).await;
        self.open.send_replace(true);
    }
}
