//! Loaders: threads that turn log files to rows, and rows to Parquet files that wait for their commit.
//!
//! Each thread fills a batch of its own. It writes the batch when its memory is full; and when any
//! batch has reached its age, or somebody asks for it, all threads write at once, so that one commit
//! takes what is there.

mod entry;
mod job;

use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context, Result, anyhow};
use chrono::DateTime;
use tokio::runtime::Handle;
use tokio::sync::{Mutex, mpsc, watch};
use tokio::task::JoinSet;
use tokio::time::{Instant, sleep_until, timeout_at};
use tokio_util::sync::CancellationToken;
use tracing::{error, info, warn};

use super::Progress;
use crate::contain::contained;
use crate::event::{Appended, EventBuilder};
use crate::failpoint;
use crate::hex;
use crate::lake::{Batch, LakeWriter, LogFileEntry, QuarantineEntry, Staged, Status};
use crate::log_file::{Limits, LogFile};
use crate::source::{Candidate, Place};
use crate::store::read_local;
pub(super) use entry::origin;
pub(crate) use job::{Done, Job, Loaded, Outcome, Work};

/// What loaders may take.
#[derive(Debug, Clone)]
pub(crate) struct LoadOptions {
    /// Threads.
    pub(crate) threads: usize,
    /// What one log file may cost.
    pub(crate) limits: Limits,
    /// Memory for the rows of all threads, everything that writing them takes included.
    pub(crate) memory: usize,
    /// Rows that are written as one batch, in bytes of memory; less if `memory` is too little.
    pub(crate) batch_size: usize,
    /// A batch is written after this time even if it is small.
    pub(crate) batch_age: Duration,
}

/// Rows take their memory about five times while a batch is sorted and encoded: the batch itself,
/// its sorted copy, the pages of the row group, and what is uploaded.
const MEMORY_PER_BATCH: usize = 5;

/// Bytes of one unreadable file that quarantine keeps. Its source has them all.
const KEPT_BYTES: usize = 64 << 20;

/// Memory that a log file takes which a digest lists.
const LISTED_BYTES: usize = 400;

/// What a loader keeps of the memory that a log file was inflated into, for the next one: CloudTrail's own fit.
const KEPT_ROOM: usize = 64 << 20;

/// The reason of a file that the reader is not up to.
const READER_PANICKED: &str = "reader_panicked";

/// How long a commit waits for the loaders that have not written yet at their common turn.
const TURN_PATIENCE: Duration = Duration::from_secs(2);

impl LoadOptions {
    fn batch_memory(&self) -> usize {
        let threads = self.threads.max(1);
        (self.memory / threads / MEMORY_PER_BATCH).min(self.batch_size / threads).max(1)
    }
}

/// Running loaders.
pub(crate) struct Loaders<T> {
    loaded: mpsc::Receiver<Loaded<T>>,
    threads: JoinSet<Result<()>>,
    count: usize,
    turn: Turn,
    /// Of the threads that have ended.
    outcome: Result<()>,
}

/// When all loaders write what they have.
#[derive(Debug, Clone)]
pub(crate) struct Turn(watch::Sender<u64>);

impl Turn {
    /// Lets all loaders write what they have.
    pub(crate) fn advance(&self) {
        self.0.send_modify(|turn| *turn += 1);
    }
}

impl<T: Send + 'static> Loaders<T> {
    /// Starts loaders; they end when all senders of jobs are gone. After `stop` they leave undone what
    /// they have not begun, and its tickets are dropped.
    pub(crate) fn start(
        writer: &LakeWriter,
        options: &LoadOptions,
        progress: &Arc<Progress>,
        stop: &CancellationToken,
    ) -> (mpsc::Sender<Job<T>>, Self) {
        let count = options.threads.max(1);
        let (to_loaders, jobs) = mpsc::channel(count * 4);
        let (to_committer, loaded) = mpsc::channel(1);
        let (jobs, turn) = (Arc::new(Mutex::new(jobs)), Turn(watch::Sender::new(0)));
        let mut threads = JoinSet::new();
        for _ in 0..count {
            let thread = Loader {
                writer: writer.clone(),
                limits: options.limits.clone(),
                batch_memory: options.batch_memory(),
                batch_age: options.batch_age,
                progress: progress.clone(),
                stop: stop.clone(),
                events: EventBuilder::new(),
                room: Vec::new(),
                batch: Batch::default(),
                done: Vec::new(),
                kept_bytes: 0,
                since: None,
                turn: turn.clone(),
            };
            let (jobs, to_committer) = (jobs.clone(), to_committer.clone());
            threads.spawn_blocking(move || thread.run(&jobs, &to_committer));
        }
        (to_loaders, Loaders { loaded, threads, count, turn, outcome: Ok(()) })
    }

    /// What makes the loaders write.
    pub(crate) fn turn(&self) -> Turn {
        self.turn.clone()
    }

    /// What to commit next: all that is waiting. Nothing when the loaders have ended.
    pub(crate) async fn next(&mut self) -> Option<Vec<Loaded<T>>> {
        let first = self.first().await?;
        let deadline = Instant::now() + TURN_PATIENCE;
        let mut turn = first.turn;
        let mut loaded = vec![first];
        loop {
            let turned = loaded.iter().filter(|one| one.turn.is_some() && one.turn >= turn).count();
            let next = if turn.is_some() && turned < self.count {
                timeout_at(deadline, self.loaded.recv()).await.ok().flatten()
            } else {
                self.loaded.try_recv().ok()
            };
            let Some(next) = next else { return Some(loaded) };
            turn = turn.max(next.turn);
            loaded.push(next);
        }
    }

    /// A thread that ends by itself is broken, and what it had is lost: then this is the end.
    async fn first(&mut self) -> Option<Loaded<T>> {
        loop {
            tokio::select! {
                biased;
                loaded = self.loaded.recv() => return loaded,
                Some(ended) = self.threads.join_next() => {
                    self.outcome = ended.context("a loader panicked").flatten();
                    if self.outcome.is_err() {
                        return None;
                    }
                }
            }
        }
    }

    /// Waits for the end of all threads.
    pub(crate) async fn join(mut self) -> Result<()> {
        drop(self.loaded);
        let mut outcome = self.outcome;
        while let Some(joined) = self.threads.join_next().await {
            outcome = outcome.and(joined.context("a loader panicked").flatten());
        }
        outcome
    }
}

/// One thread's work.
struct Loader<T> {
    writer: LakeWriter,
    limits: Limits,
    batch_memory: usize,
    batch_age: Duration,
    progress: Arc<Progress>,
    stop: CancellationToken,
    events: EventBuilder,
    /// Where the last log file was inflated, for the next one.
    room: Vec<u8>,
    batch: Batch,
    done: Vec<Done<T>>,
    kept_bytes: usize,
    /// Since when the batch is not empty.
    since: Option<Instant>,
    turn: Turn,
}

enum Next<T> {
    Job(Box<Job<T>>),
    Turn(u64),
    End,
}

impl<T> Loader<T> {
    /// Loads what comes until nothing more does; then writes what it has.
    fn run(mut self, jobs: &Mutex<mpsc::Receiver<Job<T>>>, loaded: &mpsc::Sender<Loaded<T>>) -> Result<()> {
        let runtime = Handle::current();
        let mut turns = self.turn.0.subscribe();
        loop {
            match runtime.block_on(self.next(jobs, &mut turns)) {
                Next::Job(_) if self.stop.is_cancelled() => {}
                Next::Job(job) => self.load(*job),
                Next::Turn(turn) => self.write(Some(turn), loaded)?,
                Next::End => break,
            }
            if self.events.memory() + self.kept_bytes >= self.batch_memory {
                self.write(None, loaded)?;
            }
        }
        self.write(None, loaded)
    }

    async fn next(&self, jobs: &Mutex<mpsc::Receiver<Job<T>>>, turns: &mut watch::Receiver<u64>) -> Next<T> {
        if self.since.is_some_and(|since| since.elapsed() >= self.batch_age) {
            self.turn.advance();
        }
        let job = async { jobs.lock().await.recv().await };
        let old = async {
            match self.since {
                Some(since) => sleep_until(since + self.batch_age).await,
                None => std::future::pending().await,
            }
        };
        tokio::select! {
            biased;
            Ok(()) = turns.changed() => Next::Turn(*turns.borrow_and_update()),
            job = job => job.map_or(Next::End, |job| Next::Job(Box::new(job))),
            () = old => {
                self.turn.advance();
                Next::Turn(*turns.borrow_and_update())
            }
        }
    }

    fn load(&mut self, job: Job<T>) {
        let Job { work, ticket, budget } = job;
        let outcome = match work {
            Work::Fetched(candidate, bytes) => Some(self.read(&candidate, &bytes)),
            Work::Local(candidate) => self.local(&candidate),
            Work::SetAside(candidate, code, detail) => {
                let entry = entry::of_candidate(&candidate, candidate.size);
                let outcome = self.set_aside(entry, &[], code, detail);
                self.progress.done(candidate.size);
                Some(outcome)
            }
            Work::Digest(entry) => {
                let outcome = Outcome::Digest(entry.status);
                self.kept_bytes += entry.log_files.len() * LISTED_BYTES;
                self.batch.digests.push(*entry);
                Some(outcome)
            }
        };
        drop(budget);
        if let Some(outcome) = outcome {
            self.since.get_or_insert_with(Instant::now);
            self.done.push(Done { ticket, outcome });
        }
    }

    /// Reads a file of this machine. One that can't be read is no part of the batch.
    fn local(&mut self, candidate: &Candidate) -> Option<Outcome> {
        let Place::Local(path) = &candidate.place else { unreachable!("objects come with their bytes") };
        match read_local(path, self.limits.compressed) {
            Ok(bytes) => Some(self.read(candidate, &bytes)),
            Err(error) => {
                warn!(error = format!("{error:#}"), "not ingested; the next run will try again");
                self.progress.failed(&candidate.log_file, &error);
                self.progress.done(candidate.size);
                None
            }
        }
    }

    /// Reads a log file. What is in it is nobody's word: should it make the reader panic, it is set aside
    /// like any other that cannot be read, and the files before it keep their rows.
    fn read(&mut self, candidate: &Candidate, bytes: &[u8]) -> Outcome {
        let mut entry = entry::of_candidate(candidate, bytes.len() as u64);
        let rows = self.events.rows();
        let parsed = contained(|| self.parse(candidate, bytes, &mut entry));
        let outcome = match parsed {
            Ok(Ok((file, appended))) => {
                let outcome = self.take(entry, &file, &appended);
                self.room = file.bytes;
                self.room.truncate(KEPT_ROOM);
                self.room.shrink_to(KEPT_ROOM);
                outcome
            }
            Ok(Err((code, detail))) => self.set_aside(entry, bytes, code, detail),
            Err(panicked) => {
                let events = std::mem::take(&mut self.events);
                let kept = events.memory();
                if rows > 0 {
                    self.batch.events.push(events.salvage(rows));
                    self.kept_bytes += kept;
                }
                error!(log_file = entry.log_file, detail = panicked, "the reader panicked: please report it");
                self.set_aside(entry, bytes, READER_PANICKED, panicked)
            }
        };
        self.progress.done(candidate.size);
        outcome
    }

    /// Appends a log file's records, or says why not: a short code, and in words.
    fn parse(
        &mut self,
        candidate: &Candidate,
        bytes: &[u8],
        entry: &mut LogFileEntry,
    ) -> Result<(LogFile, Appended), (&'static str, String)> {
        let file = LogFile::read_into(std::mem::take(&mut self.room), bytes, &self.limits);
        let file = file.map_err(|error| (error.code(), error.to_string()))?;
        entry.uncompressed_size = Some(file.bytes.len() as u64);
        entry.sha256 = Some(hex::encode(&file.sha256));
        let appended = self.events.append(&file, &origin(candidate), self.limits.records);
        let appended = appended.map_err(|error| (error.code(), error.to_string()))?;
        failpoint::panic_at(failpoint::PANIC_IN_READER);
        Ok((file, appended))
    }

    fn take(&mut self, mut entry: LogFileEntry, file: &LogFile, appended: &Appended) -> Outcome {
        let time = |micros: Option<i64>| micros.and_then(DateTime::from_timestamp_micros);
        entry.record_count = appended.records;
        entry.event_count = appended.rows;
        entry.quarantined_count = appended.broken.len() as u64;
        entry.odd_count = appended.oddities.total();
        entry.min_event_time = time(appended.min_event_time);
        entry.max_event_time = time(appended.max_event_time);
        for broken in &appended.broken {
            let log_file = &entry.log_file;
            warn!(
                log_file,
                index = broken.record_index,
                reason = broken.reason,
                detail = broken.detail,
                "quarantined"
            );
            self.progress.quarantined(broken.reason, false);
            let kept = entry::broken_record(&entry, broken, file);
            self.kept_bytes += kept.bytes.len();
            self.batch.quarantine.push(kept);
        }
        let raw_bytes = file.bytes.len() as u64;
        self.progress.read(appended.rows, &appended.oddities, raw_bytes);
        let outcome = Outcome::Events { rows: appended.rows, raw_bytes, broken: entry.quarantined_count };
        self.batch.files.push(entry);
        outcome
    }

    /// Puts the whole file into quarantine.
    fn set_aside(
        &mut self,
        mut entry: LogFileEntry,
        bytes: &[u8],
        code: &'static str,
        detail: String,
    ) -> Outcome {
        if code == "missing" {
            // What this means is for the digests to say, loudly.
            info!(log_file = entry.log_file, reason = code, detail, "quarantined");
        } else {
            warn!(log_file = entry.log_file, reason = code, detail, "quarantined");
        }
        self.progress.quarantined(code, true);
        entry.status = Status::Quarantined;
        let kept = bytes[..bytes.len().min(KEPT_BYTES)].to_vec();
        self.kept_bytes += kept.len();
        self.batch.quarantine.push(QuarantineEntry {
            reason: code.to_owned(),
            detail,
            bytes: kept,
            ..entry::whole_file(&entry)
        });
        self.batch.files.push(entry);
        Outcome::Quarantined(code)
    }

    /// Writes the batch, and hands it to the committer. At a common turn it says so even if it has nothing.
    fn write(&mut self, turn: Option<u64>, loaded: &mpsc::Sender<Loaded<T>>) -> Result<()> {
        self.since = None;
        self.kept_bytes = 0;
        if turn.is_some() {
            // A daemon may have little to do from now on.
            self.room = Vec::new();
        }
        let done = std::mem::take(&mut self.done);
        if done.is_empty() && turn.is_none() {
            return Ok(());
        }
        let staged = if done.is_empty() { Ok(None) } else { self.stage_contained().map(Some) };
        // The committer is gone only after an error of its own, which is told first.
        loaded.blocking_send(Loaded { staged, done, turn }).ok().context("an earlier commit failed")
    }

    /// A batch that makes the writer panic is one that was not written: whoever has its tickets knows what
    /// to do.
    fn stage_contained(&mut self) -> Result<Staged> {
        let staged = contained(|| self.stage());
        staged.unwrap_or_else(|panicked| {
            self.events = EventBuilder::new();
            Err(anyhow!("the writer panicked, please report it: {panicked}"))
        })
    }

    fn stage(&mut self) -> Result<Staged> {
        failpoint::reach(failpoint::BEFORE_WRITE);
        let mut batch = std::mem::take(&mut self.batch);
        if self.events.rows() > 0 {
            batch.events.push(self.events.finish_as_codes());
        }
        let staged = self.writer.write_here(&Handle::current(), batch).context("writing to the lake");
        failpoint::reach(failpoint::AFTER_WRITE);
        staged
    }
}
