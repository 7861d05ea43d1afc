//! One thread's work: log files to rows, rows to Parquet files that wait for their commit.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use anyhow::{Context, Result};
use chrono::DateTime;
use tokio::runtime::Handle;
use tokio::sync::{OwnedSemaphorePermit, mpsc};
use tokio_util::sync::CancellationToken;
use tracing::warn;

use super::{Options, Progress};
use crate::event::{Appended, Broken, EventBuilder, NotRecords, Origin};
use crate::hex;
use crate::lake::{Batch, LakeWriter, LogFileEntry, QuarantineEntry, Staged, Status};
use crate::log_file::{Limits, LogFile, Unreadable};
use crate::source::{Candidate, Place};
use crate::store::read_local;

/// A candidate with its bytes, or without them if they are a local file's.
pub(super) struct Fetched {
    pub(super) candidate: Candidate,
    pub(super) bytes: Option<Result<Vec<u8>>>,
    /// Its share of the memory for fetched bytes, given back when it has been read.
    pub(super) _budget: Option<OwnedSemaphorePermit>,
}

/// A batch is written after this time even if it is small: an interruption costs no more than that.
const BATCH_AGE: Duration = Duration::from_mins(1);

/// Rows take their memory about five times while a batch is sorted and encoded: the batch itself,
/// its sorted copy, the pages of the row group, and what is uploaded.
const MEMORY_PER_BATCH: usize = 5;

/// Bytes of one unreadable file that quarantine keeps. Its source has them all.
const KEPT_BYTES: usize = 64 << 20;

pub(super) struct Loader {
    writer: LakeWriter,
    limits: Limits,
    batch_memory: usize,
    progress: Arc<Progress>,
    stop: CancellationToken,
    events: EventBuilder,
    batch: Batch,
    kept_bytes: usize,
    since: Instant,
}

impl Loader {
    pub(super) fn new(
        writer: LakeWriter,
        options: &Options,
        progress: Arc<Progress>,
        stop: CancellationToken,
    ) -> Self {
        let share = options.memory_limit / 4 * 3 / options.threads.max(1);
        Loader {
            writer,
            limits: options.limits.clone(),
            batch_memory: share / MEMORY_PER_BATCH,
            progress,
            stop,
            events: EventBuilder::new(),
            batch: Batch::default(),
            kept_bytes: 0,
            since: Instant::now(),
        }
    }

    /// Loads what comes until nothing more does; then writes what it has.
    pub(super) fn run(
        mut self,
        files: &Mutex<mpsc::Receiver<Fetched>>,
        staged: &mpsc::Sender<Staged>,
    ) -> Result<()> {
        loop {
            let next = files.lock().unwrap_or_else(PoisonError::into_inner).blocking_recv();
            let Some(fetched) = next else { break };
            if self.stop.is_cancelled() {
                continue;
            }
            self.load(fetched);
            let full = self.events.memory() + self.kept_bytes >= self.batch_memory;
            if full || self.since.elapsed() >= BATCH_AGE {
                self.write(staged)?;
            }
        }
        self.write(staged)
    }

    fn load(&mut self, fetched: Fetched) {
        let Fetched { candidate, bytes, _budget } = fetched;
        let bytes = bytes.unwrap_or_else(|| match &candidate.place {
            Place::Local(path) => read_local(path, self.limits.compressed),
            Place::S3(_) => unreachable!("objects come with their bytes"),
        });
        match bytes {
            Ok(bytes) => self.read(&candidate, &bytes),
            Err(error) => {
                warn!(error = format!("{error:#}"), "not ingested; the next run will try again");
                self.progress.failed(&candidate.log_file, &error);
            }
        }
        self.progress.done(candidate.size);
    }

    fn read(&mut self, candidate: &Candidate, bytes: &[u8]) {
        let mut entry = entry_of(candidate, bytes.len());
        match LogFile::read(bytes, &self.limits) {
            Ok(file) => {
                entry.uncompressed_size = Some(file.bytes.len() as u64);
                entry.sha256 = Some(hex::encode(&file.sha256));
                match self.events.append(&file, &origin(candidate)) {
                    Ok(appended) => self.take(candidate, &mut entry, &file, &appended),
                    Err(error) => self.set_aside(candidate, &mut entry, bytes, &error),
                }
            }
            Err(error) => self.set_aside(candidate, &mut entry, bytes, &error),
        }
        self.batch.files.push(entry);
    }

    fn take(&mut self, candidate: &Candidate, entry: &mut LogFileEntry, file: &LogFile, appended: &Appended) {
        let time = |micros: Option<i64>| micros.and_then(DateTime::from_timestamp_micros);
        entry.record_count = appended.records;
        entry.event_count = appended.rows;
        entry.quarantined_count = appended.broken.len() as u64;
        entry.odd_count = appended.oddities.total();
        entry.min_event_time = time(appended.min_event_time);
        entry.max_event_time = time(appended.max_event_time);
        for broken in &appended.broken {
            let log_file = &candidate.log_file;
            warn!(
                log_file,
                index = broken.record_index,
                reason = broken.reason,
                detail = broken.detail,
                "quarantined"
            );
            self.progress.quarantined(broken.reason, false);
            let bytes = broken_bytes(broken, file).to_vec();
            self.kept_bytes += bytes.len();
            self.batch.quarantine.push(quarantine_entry(entry, broken, bytes));
        }
        self.progress.read(appended.rows, &appended.oddities, file.bytes.len() as u64);
    }

    /// Puts the whole file into quarantine.
    fn set_aside(&mut self, candidate: &Candidate, entry: &mut LogFileEntry, bytes: &[u8], why: &dyn Reason) {
        warn!(log_file = candidate.log_file, reason = why.code(), detail = why.to_string(), "quarantined");
        self.progress.quarantined(why.code(), true);
        entry.status = Status::Quarantined;
        let kept = bytes[..bytes.len().min(KEPT_BYTES)].to_vec();
        self.kept_bytes += kept.len();
        self.batch.quarantine.push(QuarantineEntry {
            reason: why.code().to_owned(),
            detail: why.to_string(),
            bytes: kept,
            ..whole_file(entry)
        });
    }

    /// Writes the batch, and hands it to the committer.
    fn write(&mut self, staged: &mpsc::Sender<Staged>) -> Result<()> {
        self.since = Instant::now();
        self.kept_bytes = 0;
        if self.batch.files.is_empty() {
            return Ok(());
        }
        let mut batch = std::mem::take(&mut self.batch);
        if self.events.rows() > 0 {
            batch.events.push(self.events.finish());
        }
        let written = self.writer.write_here(&Handle::current(), batch).context("writing to the lake")?;
        // The committer is gone only after an error of its own, which is the one to be told.
        let _ = staged.blocking_send(written);
        Ok(())
    }
}

/// Why a whole file is set aside.
trait Reason: std::fmt::Display {
    fn code(&self) -> &'static str;
}

impl Reason for Unreadable {
    fn code(&self) -> &'static str {
        self.code()
    }
}

impl Reason for NotRecords {
    fn code(&self) -> &'static str {
        "not_a_log_file"
    }
}

/// Where the rows of a candidate come from.
pub(super) fn origin(candidate: &Candidate) -> Origin<'_> {
    let key = candidate.key.as_ref();
    let epoch = chrono::NaiveDate::default();
    Origin {
        log_file: &candidate.log_file,
        account: key.map(|key| key.account_id.as_str()),
        region: key.map(|key| key.region.as_str()),
        log_date: key.and_then(|key| i32::try_from((key.date - epoch).num_days()).ok()),
    }
}

fn entry_of(candidate: &Candidate, size: usize) -> LogFileEntry {
    let key = candidate.key.as_ref();
    let address = candidate.log_file.strip_prefix("s3://").and_then(|rest| rest.split_once('/'));
    LogFileEntry {
        log_file: candidate.log_file.clone(),
        bucket: address.map(|(bucket, _)| bucket.to_owned()),
        key: address.map(|(_, key)| key.to_owned()),
        etag: candidate.etag.clone(),
        size: size as u64,
        account: key.map(|key| key.account_id.clone()),
        region: key.map(|key| key.region.clone()),
        log_date: key.map(|key| key.date),
        tree: key.map(|key| key.tree.folder().to_owned()),
        ..LogFileEntry::default()
    }
}

fn whole_file(entry: &LogFileEntry) -> QuarantineEntry {
    QuarantineEntry {
        log_file: entry.log_file.clone(),
        bucket: entry.bucket.clone(),
        key: entry.key.clone(),
        version_id: entry.version_id.clone(),
        ..QuarantineEntry::default()
    }
}

fn quarantine_entry(entry: &LogFileEntry, broken: &Broken, bytes: Vec<u8>) -> QuarantineEntry {
    QuarantineEntry {
        reason: broken.reason.to_owned(),
        detail: broken.detail.clone(),
        record_index: broken.record_index.and_then(|index| u64::try_from(index).ok()),
        byte_offset: Some(broken.byte_offset as u64),
        byte_length: Some(broken.byte_length as u64),
        bytes,
        ..whole_file(entry)
    }
}

/// The bytes that are no record: of the text, or of what follows the compressed stream.
fn broken_bytes<'a>(broken: &Broken, file: &'a LogFile) -> &'a [u8] {
    let end = broken.byte_offset + broken.byte_length;
    file.bytes.get(broken.byte_offset..end).unwrap_or(&file.trailing_bytes)
}
