//! Ingest: log files of any source into the lake, each once.
//!
//! ```text
//! list ─▶ leave out what the lake has ─▶ fetch ─▶ inflate, hash, read ─▶ encode ─▶ commit
//! (1 task)          (1 task)             (S3)        (a thread a core)            (1 task)
//! ```
//!
//! Every step waits for the next, so memory is bounded whatever the number of files. All state is
//! in the lake: an interrupted run is resumed by running it again, and running it again adds nothing.

pub mod digests;
pub(crate) mod load;
mod progress;
pub mod scan;

use std::collections::HashSet;
use std::ops::RangeInclusive;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use anyhow::{Context, Result};
use chrono::NaiveDate;
use tokio::sync::{Semaphore, mpsc};
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;
use tracing::warn;

use crate::lake::{Lake, LogFileId};
use crate::log_file::Limits;
use crate::quarantine;
use crate::source::FoundDigest;
use crate::source::{self, Candidate, Filter, Ignored, Place};
use crate::store::{S3, S3Options, read_local};
use digests::{Desk, DigestOptions};
use load::{Job, LoadOptions, Loaders, Work};
pub use progress::{Failure, Progress, Summary};

/// What to ingest, and at what cost.
#[derive(Debug, Clone)]
pub struct Options {
    /// Files, directories, globs, `s3://bucket/prefix`.
    pub sources: Vec<String>,
    /// What the rows call the sources: a base such as `s3://bucket`, for local copies of one.
    pub rename: Option<String>,
    /// Which log files.
    pub filter: Filter,
    /// How buckets are reached.
    pub s3: S3Options,
    /// Memory for log files and rows on their way, in bytes.
    pub memory_limit: usize,
    /// Threads that read log files.
    pub threads: usize,
    /// What one log file may cost.
    pub limits: Limits,
    /// Looks only, and counts what would be done.
    pub dry_run: bool,
    /// How to check the digests that are met; without it they are left unread.
    pub digests: Option<DigestOptions>,
}

/// A batch is written after this time even if it is small: an interruption costs no more than that.
const BATCH_AGE: Duration = Duration::from_mins(1);

/// Requests to S3 at once. Small objects are all waiting, so many more than cores.
const FETCHES: usize = 48;
/// Log files whose presence in the lake is asked for at once.
const LOOK_UP: usize = 1000;
/// Log files that may be listed ahead of the reading: enough to know the end of most runs early, so
/// that the time left can be told. They take about half a kilobyte each.
const LISTED_AHEAD: usize = 20_000;
/// The unit of the budget for fetched bytes.
const KIB: u64 = 1024;

/// The threads that read log files, unless somebody asks for another number: one a core.
pub fn cores() -> usize {
    std::thread::available_parallelism().map_or(1, std::num::NonZero::get)
}

/// Ingests until the sources end or `stop` is cancelled, and says what was done.
///
/// Without a lake, or for a dry run, it only says what there is to do. After `stop` what has been read
/// is still committed. `progress` can be looked at meanwhile.
pub async fn run(
    lake: Option<&Lake>,
    options: &Options,
    progress: &Arc<Progress>,
    stop: &CancellationToken,
) -> Result<Summary> {
    let started = Instant::now();
    let ignored = Arc::new(Ignored::default());
    let (to_fetch, candidates) = mpsc::channel(LISTED_AHEAD);
    let store = Arc::new(S3::with_options(options.s3.clone()));
    let writes = lake.filter(|_| !options.dry_run);
    let desk = match (writes, &options.digests) {
        (Some(lake), Some(digests)) => Some(Desk::new(lake, &store, options, digests)?),
        _ => None,
    };
    let (to_check, digests) = mpsc::channel(LOOK_UP);
    let lister = list(options.clone(), store.clone(), ignored.clone(), desk.as_ref().map(|_| to_check));
    let reappeared = Reappeared::default();
    let sift = sift(lake.cloned(), lister, to_fetch, progress.clone(), reappeared.clone(), stop.clone());
    let outcome = match writes {
        Some(lake) => {
            let run = Run { lake, options, store, desk: desk.clone(), reappeared, progress, stop };
            let (sifted, loaded) = tokio::join!(sift, run.load_all(candidates, digests));
            let outcome = loaded.and(sifted);
            match outcome {
                Ok(()) if !stop.is_cancelled() => run.conclude().await,
                other => other,
            }
        }
        None => tokio::join!(sift, count(candidates)).0,
    };
    outcome?;
    let mut summary = progress.summary(&ignored, started.elapsed(), stop.is_cancelled());
    summary.integrity = desk.map(|desk| desk.finish());
    Ok(summary)
}

/// The listing as a channel: an error is its last word.
fn list(
    options: Options,
    store: Arc<S3>,
    ignored: Arc<Ignored>,
    digests: Option<mpsc::Sender<FoundDigest>>,
) -> (mpsc::Receiver<Candidate>, tokio::task::JoinHandle<Result<()>>) {
    let (sender, receiver) = mpsc::channel(LOOK_UP);
    let task = async move {
        let rename = options.rename.as_deref();
        source::list(&options.sources, rename, &options.filter, &store, &ignored, sender, digests).await
    };
    (receiver, tokio::spawn(task))
}

/// Leaves out what the lake has, and what the sources name twice.
async fn sift(
    lake: Option<Lake>,
    (mut candidates, lister): (mpsc::Receiver<Candidate>, tokio::task::JoinHandle<Result<()>>),
    wanted: mpsc::Sender<Candidate>,
    progress: Arc<Progress>,
    reappeared: Reappeared,
    stop: CancellationToken,
) -> Result<()> {
    let mut met = HashSet::new();
    let mut chunk = Vec::with_capacity(LOOK_UP);
    loop {
        chunk.clear();
        let received = tokio::select! {
            received = candidates.recv_many(&mut chunk, LOOK_UP) => received,
            () = stop.cancelled() => 0,
        };
        if received == 0 {
            break;
        }
        let ids: Vec<LogFileId> = chunk.iter().map(|candidate| LogFileId::of(&candidate.log_file)).collect();
        let known = match &lake {
            Some(lake) => lake.known(&ids, dates(&chunk)).await.context("reading the ledger")?,
            None => vec![None; ids.len()],
        };
        for ((candidate, id), known) in chunk.drain(..).zip(ids).zip(known) {
            if !met.insert(id) {
                continue;
            }
            progress.found(candidate.size);
            match known {
                Some(0) if candidate.size > 0 => {
                    progress.known(candidate.size);
                    reappeared.lock().unwrap_or_else(PoisonError::into_inner).push(candidate);
                }
                Some(size) => {
                    if size != candidate.size {
                        let log_file = &candidate.log_file;
                        warn!(
                            log_file,
                            was = size,
                            is = candidate.size,
                            "changed since it was ingested; left as it was"
                        );
                        progress.changed();
                    }
                    progress.known(candidate.size);
                }
                None if wanted.send(candidate).await.is_err() => break,
                None => {}
            }
        }
    }
    progress.listing_ended();
    // Ends a listing that still goes on: nobody takes what it finds any more.
    drop(candidates);
    drop(wanted);
    lister.await.context("the listing ended early")?
}

/// The dates between which the keys of all candidates lie, if all have one.
fn dates(chunk: &[Candidate]) -> Option<RangeInclusive<NaiveDate>> {
    let dates: Option<Vec<NaiveDate>> =
        chunk.iter().map(|candidate| candidate.key.as_ref().map(|key| key.date)).collect();
    let dates = dates?;
    Some(*dates.iter().min()?..=*dates.iter().max()?)
}

async fn count(mut candidates: mpsc::Receiver<Candidate>) {
    while candidates.recv().await.is_some() {}
}

/// Log files of which the ledger knows no bytes: a digest listed them, and they were not there.
type Reappeared = Arc<Mutex<Vec<Candidate>>>;

/// What the steps of a run that writes share.
struct Run<'a> {
    lake: &'a Lake,
    options: &'a Options,
    store: Arc<S3>,
    desk: Option<Desk>,
    reappeared: Reappeared,
    progress: &'a Arc<Progress>,
    stop: &'a CancellationToken,
}

impl Run<'_> {
    /// Fetches, reads, writes and commits the candidates and the digests.
    async fn load_all(
        &self,
        candidates: mpsc::Receiver<Candidate>,
        digests: mpsc::Receiver<FoundDigest>,
    ) -> Result<()> {
        let (candidates, touching) = self.touch(candidates);
        let (jobs, loaders) = self.loaders();
        let to_loaders = jobs.clone();
        let checking = async move {
            match &self.desk {
                Some(desk) => desk.check_all(digests, to_loaders, self.stop).await,
                None => Ok(()),
            }
        };
        let fetching =
            fetch_all(self.store.clone(), self.options, candidates, jobs, self.progress, self.stop);
        let ((), (), checked, outcome) = tokio::join!(touching, fetching, checking, self.commit(loaders));
        outcome.and(checked)
    }

    /// Judges what is in the lake now, and looks for what digests miss, until there is nothing more to say.
    async fn conclude(&self) -> Result<()> {
        self.read_reappeared().await?;
        let Some(desk) = &self.desk else { return Ok(()) };
        for _ in 0..digests::ROUNDS {
            let found = desk.conclude().await.context("comparing log files and digests")?;
            if found.is_empty() || self.stop.is_cancelled() {
                break;
            }
            let (jobs, loaders) = self.loaders();
            let sending = async move {
                for job in found {
                    if jobs.send(job).await.is_err() {
                        break;
                    }
                }
            };
            let ((), outcome) = tokio::join!(sending, self.commit(loaders));
            outcome?;
        }
        Ok(())
    }

    /// Reads log files that were missing when a digest listed them.
    async fn read_reappeared(&self) -> Result<()> {
        let reappeared = std::mem::take(&mut *self.reappeared.lock().unwrap_or_else(PoisonError::into_inner));
        for candidate in reappeared {
            let limits = &self.options.limits;
            let bytes = match &candidate.place {
                Place::S3(object) => self.store.get(object, limits.compressed).await,
                Place::Local(path) => read_local(path, limits.compressed),
            };
            match bytes {
                Ok(bytes) => {
                    let found = quarantine::found(self.lake, &candidate.log_file, bytes, limits).await?;
                    if let (Some(desk), Some(key), true) = (&self.desk, &candidate.key, found.pieces > 0) {
                        desk.touch(key.date);
                    }
                    if found.pieces == 0 {
                        warn!(log_file = candidate.log_file, "changed since it was ingested; left as it was");
                        self.progress.changed();
                    }
                    self.progress.reappeared(found.pieces);
                }
                Err(error) => self.progress.failed(&candidate.log_file, &error),
            }
        }
        Ok(())
    }

    /// Tells the desk of which days log files come by.
    fn touch(
        &self,
        mut candidates: mpsc::Receiver<Candidate>,
    ) -> (mpsc::Receiver<Candidate>, impl Future<Output = ()>) {
        let (sender, receiver) = mpsc::channel(1);
        let desk = self.desk.clone();
        let passing = async move {
            while let Some(candidate) = candidates.recv().await {
                if let (Some(desk), Some(key)) = (&desk, &candidate.key) {
                    desk.touch(key.date);
                }
                if sender.send(candidate).await.is_err() {
                    break;
                }
            }
        };
        (receiver, passing)
    }

    fn loaders(&self) -> (mpsc::Sender<Job<()>>, Loaders<()>) {
        let options = LoadOptions {
            threads: self.options.threads,
            limits: self.options.limits.clone(),
            memory: self.options.memory_limit / 4 * 3,
            batch_size: usize::MAX,
            batch_age: BATCH_AGE,
        };
        Loaders::start(&self.lake.writer(), &options, self.progress, self.stop)
    }

    async fn commit(&self, mut loaders: Loaders<()>) -> Result<()> {
        let committed = commit_all(self.lake, &mut loaders, self.progress).await;
        // A failed commit is what makes the loaders give up, so it is told first.
        committed.and(loaders.join().await)
    }
}

/// Fetches objects, many at once; local files go on as they are and are read by the loaders.
async fn fetch_all(
    store: Arc<S3>,
    options: &Options,
    mut candidates: mpsc::Receiver<Candidate>,
    loaders: mpsc::Sender<Job<()>>,
    progress: &Arc<Progress>,
    stop: &CancellationToken,
) {
    let budget_kib = (options.memory_limit as u64 / 4 / KIB).max(1);
    let budget = Arc::new(Semaphore::new(usize::try_from(budget_kib).unwrap_or(Semaphore::MAX_PERMITS)));
    let requests = Arc::new(Semaphore::new(FETCHES));
    let mut running = JoinSet::new();
    loop {
        let next = tokio::select! {
            next = candidates.recv() => next,
            () = stop.cancelled() => None,
        };
        let Some(candidate) = next else { break };
        if let Some(work) = without_fetching(&candidate, &options.limits) {
            if loaders.send(Job { work, ticket: (), budget: None }).await.is_err() {
                return;
            }
            continue;
        }
        let Place::S3(object) = candidate.place.clone() else { continue };
        let share = (candidate.size / KIB + 1).min(budget_kib);
        let permits = budget.clone().acquire_many_owned(u32::try_from(share).unwrap_or(u32::MAX)).await;
        let request = requests.clone().acquire_owned().await;
        let (store, to_loaders, progress) = (store.clone(), loaders.clone(), progress.clone());
        let limit = options.limits.compressed;
        running.spawn(async move {
            let fetched = store.get(&object, limit).await;
            drop(request);
            match fetched {
                Ok(bytes) => {
                    let work = Work::Fetched(candidate, bytes);
                    let _ = to_loaders.send(Job { work, ticket: (), budget: permits.ok() }).await;
                }
                Err(error) => {
                    warn!(error = format!("{error:#}"), "not ingested; the next run will try again");
                    progress.failed(&candidate.log_file, &error);
                    progress.done(candidate.size);
                }
            }
        });
        while running.try_join_next().is_some() {}
        if loaders.is_closed() {
            return;
        }
    }
    running.join_all().await;
}

/// What needs no request: files of this machine, and files that are larger than allowed.
fn without_fetching(candidate: &Candidate, limits: &Limits) -> Option<Work> {
    if candidate.size > limits.compressed {
        return Some(Work::too_large(candidate.clone(), candidate.size, limits.compressed));
    }
    match candidate.place {
        Place::Local(_) => Some(Work::Local(candidate.clone())),
        Place::S3(_) => None,
    }
}

/// Commits what the loaders have written, as much at once as is waiting.
async fn commit_all(lake: &Lake, loaders: &mut Loaders<()>, progress: &Progress) -> Result<()> {
    while let Some(loaded) = loaders.next().await {
        let staged: Result<Vec<_>> = loaded.into_iter().filter_map(|one| one.staged.transpose()).collect();
        let staged = staged?;
        if staged.is_empty() {
            continue;
        }
        let committed = lake.commit(staged).await.context("committing to the lake")?;
        progress.committed(&committed);
    }
    Ok(())
}
