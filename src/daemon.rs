//! The daemon: messages to objects to commits, and only then the messages' deletion.
//!
//! ```text
//! receive ─▶ dispatch ─▶ fetch ─▶ load (threads) ─▶ commit ─▶ acknowledge
//!  (each     bodies to    bytes    rows, Parquet     one        delete, or
//!  queue)    objects                                 a batch    hand back
//! ```
//!
//! Commit, then acknowledge: that order is the promise. A message is deleted when every object that it
//! announces is in the lake, in quarantine, or nothing to us; until then its visibility is extended, and
//! if anything fails it goes back to the queue. All state is there and in the lake, so the daemon may
//! die at any moment, and several may work side by side, with `trailq ingest` among them: what two of
//! them bring is in the lake once.

mod acknowledge;
mod audit;
mod commit;
mod dispatch;
mod fetch;
mod hand;
mod options;
mod receive;
mod upkeep;
mod works;

use std::collections::HashSet;
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use anyhow::{Context as _, Result};
use tokio::sync::{mpsc, watch};
use tokio::task::JoinSet;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;
use tracing::{info, warn};

pub use self::options::{ForeignMessages, OnIntegrityFailure, Options, limits_within};

use self::audit::Auditor;
use self::commit::Committer;
use self::dispatch::{Arrival, Dispatcher};
use self::fetch::Fetcher;
use self::hand::Hand;
use self::receive::Receiver;
use self::upkeep::Keeper;
use self::works::Works;
use crate::ingest::Progress;
use crate::ingest::load::{LoadOptions, Loaders, Turn};
use crate::integrity::Checker;
use crate::lake::{Lake, LogFileId};
use crate::metrics::{Health, Metrics, Totals};
use crate::queue::Queue;
use crate::store::Fetch;

/// All that a daemon works with.
pub struct Daemon {
    /// Where messages come from.
    pub queues: Vec<Arc<dyn Queue>>,
    /// Where objects come from.
    pub objects: Arc<dyn Fetch>,
    /// Where events go.
    pub lake: Lake,
    /// Who judges digests; without, they are ignored.
    pub checker: Option<Checker>,
    /// Its settings.
    pub options: Options,
    /// Its counters.
    pub metrics: Arc<Metrics>,
    /// How it is doing.
    pub health: Arc<Health>,
}

/// Messages that were received and wait to be dispatched.
const ARRIVALS: usize = 100;
/// Of the time for an orderly end, what is kept for handing back what could not be finished.
const HANDING_BACK: Duration = Duration::from_secs(3);
/// A part that does nothing for this long is stuck. Bodies, look-ups and commits may all be slow.
const STUCK: Duration = Duration::from_mins(10);

impl Daemon {
    /// Works until `stop`; then finishes or hands back what is in hand, within the time for it.
    pub async fn run(self, stop: CancellationToken) -> Result<Totals> {
        let metrics = self.metrics.clone();
        let options = Arc::new(self.options.clone());
        let (hand, done) = Hand::new(self.queues.clone(), options.clone(), metrics.clone());
        let acknowledged = CancellationToken::new();
        let acknowledging = tokio::spawn(acknowledge::acknowledge(hand.clone(), done, acknowledged.clone()));
        let mut receivers = JoinSet::new();
        let working = self.work(hand.clone(), options.clone(), stop.clone(), &mut receivers);
        let stopped_at = Arc::new(OnceLock::new());
        let grace = async {
            stop.cancelled().await;
            let stopped_at = *stopped_at.get_or_init(Instant::now);
            tokio::time::sleep_until(stopped_at + options.shutdown_grace.saturating_sub(HANDING_BACK)).await;
        };
        let outcome = tokio::select! {
            outcome = working => outcome,
            () = grace => {
                warn!("the time for an orderly end is over: what is not committed is handed back");
                Ok(())
            }
        };
        let deadline = *stopped_at.get_or_init(Instant::now) + options.shutdown_grace.max(HANDING_BACK);
        // What comes to hand after this would be handed back by nobody.
        let _ = tokio::time::timeout_at(deadline, receivers.shutdown()).await;
        hand.hand_back_all();
        acknowledged.cancel();
        let _ = tokio::time::timeout_at(deadline, acknowledging).await;
        let totals = metrics.totals();
        info!(received = totals.received, deleted = totals.deleted, returned = totals.returned, "stopped");
        outcome.map(|()| totals)
    }

    /// From receipts to commits. Ends after `stop`, or with an error that does not heal.
    async fn work(
        self,
        hand: Arc<Hand>,
        options: Arc<Options>,
        stop: CancellationToken,
        receivers: &mut JoinSet<()>,
    ) -> Result<()> {
        let Daemon { objects, lake, checker, metrics, health, .. } = self;
        health.expect("dispatch", false, Duration::MAX);
        health.expect("lake", false, Duration::MAX);
        let audits = checker.is_some();
        let works = Arc::new(Works::new(metrics.clone()));
        let (jobs, loaders) = start_loaders(&lake, &options);
        let turn = loaders.turn();
        let (open, gate) = watch::channel(true);
        let (arrivals, arriving) = mpsc::channel(ARRIVALS);
        let dispatcher = Dispatcher {
            hand: hand.clone(),
            works: works.clone(),
            fetcher: Fetcher::new(objects, checker, works.clone(), metrics.clone(), jobs, options.clone()),
            lake: lake.clone(),
            options: options.clone(),
            health: health.clone(),
            turn: turn.clone(),
            begun: 0,
            refused: HashSet::new(),
        };
        let auditor = Auditor {
            lake: lake.clone(),
            arrivals: arrivals.clone(),
            options: options.clone(),
            metrics: metrics.clone(),
            health: health.clone(),
            told: HashSet::new(),
        };
        let keeper = Keeper { lake: lake.clone(), options: options.clone(), metrics: metrics.clone() };
        let committer = Committer { lake, works, metrics, health: health.clone(), open, failures: 0 };
        start_receivers(receivers, &hand, &arrivals, &turn, &gate, &health, &options, &stop);
        drop(arrivals);
        if audits {
            receivers.spawn(auditor.run(stop.clone()));
        } else {
            drop(auditor);
        }
        receivers.spawn(keeper.run(stop.clone()));
        receivers.spawn(turn_over(hand, health, stop.clone()));
        let queue_work = tokio::spawn(dispatcher.run(arriving, stop.clone()));
        let lake_work = committer.run(loaders, stop.clone());
        let receiving = async {
            while receivers.join_next().await.is_some() {}
            queue_work.await
        };
        let (ended, result) = tokio::join!(receiving, lake_work);
        result.and(ended.context("the dispatcher ended early"))
    }
}

/// Says that the runtime turns, and how often visibility was extended.
async fn turn_over(hand: Arc<Hand>, health: Arc<Health>, stop: CancellationToken) {
    health.expect("runtime", true, STUCK);
    while stop.run_until_cancelled(tokio::time::sleep(Duration::from_secs(1))).await.is_some() {
        health.fine("runtime");
        for (queue, keeper) in hand.queues.iter().zip(&hand.keepers) {
            hand.metrics.extended(queue.name(), keeper.counts().extended);
        }
    }
}

fn start_loaders(
    lake: &Lake,
    options: &Options,
) -> (mpsc::Sender<crate::ingest::load::Job<LogFileId>>, Loaders<LogFileId>) {
    let loading = LoadOptions {
        threads: options.threads,
        limits: options.limits.clone(),
        memory: options.load_memory(),
        batch_size: options.batch_size,
        batch_age: options.batch_age,
    };
    Loaders::start(&lake.writer(), &loading, &Arc::new(Progress::default()), &CancellationToken::new())
}

#[allow(clippy::too_many_arguments, reason = "they are started once")]
fn start_receivers(
    receivers: &mut JoinSet<()>,
    hand: &Arc<Hand>,
    arrivals: &mpsc::Sender<Arrival>,
    turn: &Turn,
    open: &watch::Receiver<bool>,
    health: &Arc<Health>,
    options: &Options,
    stop: &CancellationToken,
) {
    for (queue, of_queue) in hand.queues.iter().enumerate() {
        let part = format!("queue {}", of_queue.name());
        health.expect(&part, false, STUCK);
        for _ in 0..options.receivers.max(1) {
            let receiver = Receiver {
                queue,
                hand: hand.clone(),
                arrivals: arrivals.clone(),
                turn: turn.clone(),
                open: open.clone(),
                health: health.clone(),
                part: part.clone(),
            };
            receivers.spawn(receiver.run(stop.clone()));
        }
    }
}
