//! Upkeep: small files are joined while the daemon works, what digests prove of past days is settled, and
//! once a day what is not needed is deleted.
//!
//! One daemon at a time does it, by a lease that lies beside the lake. It is done in pieces that are
//! committed each for itself, so it may be broken off at any moment, and be at work in two places.

use std::sync::Arc;
use std::time::Duration;

use anyhow::Result;
use chrono::{Days, TimeDelta, Utc};
use tokio_util::sync::CancellationToken;
use tracing::{debug, error, info, warn};

use super::Options;
use crate::lake::{Lake, Lease, OptimizeOptions, VacuumOptions};
use crate::metrics::Metrics;

/// How often what is not needed is looked for.
const VACUUM_EVERY: TimeDelta = TimeDelta::hours(24);

/// How often the lease is looked at meanwhile.
const KEEP_EVERY: Duration = Duration::from_mins(1);

/// The time for giving the lease back at the end.
const RELEASING: Duration = Duration::from_secs(2);

/// The one who looks after the lake.
pub(super) struct Keeper {
    pub(super) lake: Lake,
    pub(super) options: Arc<Options>,
    pub(super) metrics: Arc<Metrics>,
}

impl Keeper {
    /// Looks after the lake at each interval until `stop`.
    pub(super) async fn run(self, stop: CancellationToken) {
        let Some(interval) = self.options.upkeep_interval else { return };
        loop {
            // Several daemons that were started together should not ask together.
            let pause = interval.mul_f64(0.75 + 0.5 * fastrand::f64());
            if stop.run_until_cancelled(tokio::time::sleep(pause)).await.is_none() {
                return;
            }
            let outcome = match self.turn(&stop).await {
                Ok(outcome) => outcome,
                Err(error) => {
                    error!(
                        error = format!("{error:#}"),
                        "the lake could not be looked after; tried again later"
                    );
                    self.metrics.error("upkeep", "lake");
                    "failed"
                }
            };
            self.metrics.upkeep_turn(outcome);
        }
    }

    async fn turn(&self, stop: &CancellationToken) -> Result<&'static str> {
        let Some(mut lease) = self.lake.lease().await? else {
            debug!("another looks after the lake");
            return Ok("elsewhere");
        };
        let is_due = lease.vacuumed_at().is_none_or(|at| Utc::now() - at >= VACUUM_EVERY);
        let worked = stop.run_until_cancelled(self.work(&mut lease, is_due, stop)).await;
        if is_due && matches!(worked, Some(Ok(()))) {
            lease.vacuumed();
        }
        match tokio::time::timeout(RELEASING, lease.release()).await {
            Ok(Ok(())) => {}
            Ok(Err(error)) => {
                warn!(error = format!("{error:#}"), "the lease was not given back: it will end");
            }
            Err(_) => warn!("the lease was not given back in time: it will end"),
        }
        match worked {
            None => Ok("stopped"),
            Some(worked) => worked.map(|()| "done"),
        }
    }

    /// Works, and keeps the lease meanwhile.
    async fn work(&self, lease: &mut Lease, vacuum: bool, stop: &CancellationToken) -> Result<()> {
        let mut work = std::pin::pin!(async {
            self.optimize(stop).await?;
            if vacuum {
                self.vacuum().await?;
            }
            self.settle(stop).await
        });
        loop {
            tokio::select! {
                worked = &mut work => return worked,
                () = tokio::time::sleep(KEEP_EVERY) => {
                    if !lease.keep().await? {
                        warn!("another looks after the lake as well: this one goes on, and both are safe");
                    }
                }
            }
        }
    }

    async fn optimize(&self, stop: &CancellationToken) -> Result<()> {
        let options = OptimizeOptions {
            memory_limit: self.options.upkeep_memory() as u64,
            everything: false,
            ..OptimizeOptions::default()
        };
        for (table, done) in self.lake.optimize(&options, stop).await? {
            self.metrics.upkeep(table, "joined", done.num_removed_files, done.removed_bytes);
            self.metrics.upkeep(table, "written", done.num_added_files, done.added_bytes);
            if done.num_removed_files > 0 {
                let (from, to) = (done.num_removed_files, done.num_added_files);
                info!(table, from, to, bytes = done.added_bytes, "joined small files");
            }
        }
        Ok(())
    }

    /// Settles the days whose digests are there. Those of the last days change with every digest: a query
    /// judges them as quickly.
    async fn settle(&self, stop: &CancellationToken) -> Result<()> {
        let done = self.lake.settle(false, stop).await?;
        if done.num_judged > 0 {
            let (judged, settled, files) = (done.num_judged, done.num_settled, done.num_files);
            info!(judged, settled, files, "settled the integrity of files");
        }
        Ok(())
    }

    async fn vacuum(&self) -> Result<()> {
        if let Some(days) = self.options.retain_days {
            let from = Utc::now().date_naive().checked_sub_days(Days::new(days.into())).unwrap_or_default();
            let done = self.lake.retain(from, false).await?;
            self.metrics.upkeep("events", "dropped", done.num_removed_files, done.removed_bytes);
            if done.num_removed_files > 0 {
                info!(before = %from, events = done.events, files = done.num_removed_files, "dropped old events");
            }
        }
        let retention = self.options.vacuum_retention;
        let options = VacuumOptions { retention, log_retention: retention, ..VacuumOptions::default() };
        for (table, done) in self.lake.vacuum(&options).await? {
            let files = done.files.len() as u64;
            self.metrics.upkeep(table, "deleted", files + done.log_files, done.bytes);
            if files + done.log_files > 0 {
                info!(
                    table,
                    files,
                    commits = done.log_files,
                    bytes = done.bytes,
                    "deleted what is not needed"
                );
            }
        }
        Ok(())
    }
}
