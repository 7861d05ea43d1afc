//! Batches to Parquet files in the lake, which nobody sees before the commit.

use std::collections::HashSet;
use std::ops::RangeInclusive;
use std::sync::Arc;

use anyhow::{Context, Result, anyhow};
use arrow::array::RecordBatch;
use chrono::NaiveDate;
use futures::future::try_join_all;

use super::action::Add;
use super::encode::{self, Encoded};
use super::entry::{self, DigestEntry, LogFileEntry, LogFileId, QuarantineEntry};
use super::file_stats::FileStats;
use super::table::Table;
use super::tables::Kind;

/// Log files that join the lake together, or not at all.
#[derive(Debug, Default)]
pub struct Batch {
    /// Their records, in the schema of [`crate::event::schema`].
    pub events: Vec<RecordBatch>,
    /// One entry for each of them, those without any event included.
    pub files: Vec<LogFileEntry>,
    /// What of them could not be stored as events.
    pub quarantine: Vec<QuarantineEntry>,
    /// Digests that were checked.
    pub digests: Vec<DigestEntry>,
}

/// A batch written, but not committed: hand it to [`super::Lake::commit`] or [`super::Lake::discard`].
#[derive(Debug)]
#[must_use = "a batch is not in the lake before it is committed"]
pub struct Staged {
    pub(crate) events: Vec<Add>,
    pub(crate) ledger: Vec<Add>,
    pub(crate) quarantine: Vec<Add>,
    pub(crate) files: Vec<StagedFile>,
}

/// What a commit must know of a log file.
#[derive(Clone, Debug)]
pub(crate) struct StagedFile {
    pub(crate) id: LogFileId,
    pub(crate) log_file: String,
    pub(crate) size: u64,
    pub(crate) log_date: Option<NaiveDate>,
}

impl Staged {
    /// How many log files it holds.
    pub fn num_log_files(&self) -> usize {
        self.files.len()
    }

    /// How many rows it adds to `events`.
    pub fn num_events(&self) -> u64 {
        num_records(&self.events)
    }

    /// How many bytes it adds to the lake.
    pub fn bytes(&self) -> u64 {
        [&self.events, &self.ledger, &self.quarantine].into_iter().flatten().map(|add| add.size).sum()
    }

    /// The dates of its log files' keys, or nothing if one has none.
    pub(crate) fn log_dates(&self) -> Option<RangeInclusive<NaiveDate>> {
        let dates: Option<Vec<NaiveDate>> = self.files.iter().map(|file| file.log_date).collect();
        let dates = dates?;
        Some(*dates.iter().min()?..=*dates.iter().max()?)
    }
}

/// How many rows these files have.
pub(crate) fn num_records(adds: &[Add]) -> u64 {
    adds.iter().filter_map(|add| FileStats::parse(add.stats.as_deref()).num_records).sum()
}

/// Writes batches; several may do so at once, each with its own clone.
#[derive(Clone, Debug)]
pub struct LakeWriter {
    events: Arc<Table>,
    log_files: Arc<Table>,
    quarantine: Arc<Table>,
    ingested_by: Arc<str>,
}

impl LakeWriter {
    pub(crate) fn new(events: Arc<Table>, log_files: Arc<Table>, quarantine: Arc<Table>) -> Self {
        let ingested_by = format!("{}:{}", hostname(), std::process::id()).into();
        Self { events, log_files, quarantine, ingested_by }
    }

    /// Sorts and encodes a batch on a blocking thread, then uploads its files.
    ///
    /// After an error the lake is as before, and files already uploaded are deleted again as well
    /// as it can be done.
    pub async fn write(&self, batch: Batch) -> Result<Staged> {
        let writer = self.clone();
        let encoded = tokio::task::spawn_blocking(move || writer.encode(batch)).await??;
        self.upload(encoded).await
    }

    /// The same for a thread that may block. Rows that are made, encoded and freed on one thread
    /// give their memory back; on several, the allocator keeps some for each.
    pub fn write_here(&self, runtime: &tokio::runtime::Handle, batch: Batch) -> Result<Staged> {
        let encoded = self.encode(batch)?;
        runtime.block_on(self.upload(encoded))
    }

    fn encode(&self, batch: Batch) -> Result<EncodedBatch> {
        EncodedBatch::of(batch, &self.ingested_by).context("encoding a batch")
    }

    async fn upload(&self, encoded: EncodedBatch) -> Result<Staged> {
        let EncodedBatch { events, ledger, quarantine, files } = encoded;
        let staged =
            Staged { events: adds(&events), ledger: adds(&ledger), quarantine: adds(&quarantine), files };
        let uploads = [(&self.events, events), (&self.log_files, ledger), (&self.quarantine, quarantine)];
        let uploads = uploads.into_iter().flat_map(|(table, files)| {
            files.into_iter().map(move |file| async move { table.put_file(&file.add.path, file.bytes).await })
        });
        match try_join_all(uploads).await {
            Ok(_) => Ok(staged),
            Err(error) => {
                self.discard(staged).await;
                Err(error)
            }
        }
    }

    /// Deletes the files of a batch that will not be committed, as well as it can.
    pub async fn discard(&self, staged: Staged) {
        self.events.delete_files(&staged.events).await;
        self.log_files.delete_files(&staged.ledger).await;
        self.quarantine.delete_files(&staged.quarantine).await;
    }

    /// Writes a staged batch anew without the log files that the lake already has.
    ///
    /// Only the files that hold rows of theirs are rewritten. It reads them back instead of
    /// keeping every staged batch in memory for a case this rare.
    pub(crate) async fn without(&self, staged: Staged, unwanted: &HashSet<LogFileId>) -> Result<Staged> {
        let (dropped, kept): (Vec<_>, Vec<_>) =
            staged.files.into_iter().partition(|file| unwanted.contains(&file.id));
        let names: HashSet<String> = dropped.into_iter().map(|file| file.log_file).collect();
        let names = Arc::new(names);
        Ok(Staged {
            events: rewrite(&self.events, Kind::Events, staged.events, &names).await?,
            ledger: rewrite(&self.log_files, Kind::LogFiles, staged.ledger, &names).await?,
            quarantine: rewrite(&self.quarantine, Kind::Quarantine, staged.quarantine, &names).await?,
            files: kept,
        })
    }
}

async fn rewrite(
    table: &Table,
    kind: Kind,
    adds: Vec<Add>,
    unwanted: &Arc<HashSet<String>>,
) -> Result<Vec<Add>> {
    let mut kept = Vec::with_capacity(adds.len());
    for add in adds {
        let bytes = table.get_file(&add.path.as_str().into()).await?;
        let (old, unwanted) = (add.clone(), unwanted.clone());
        let encode = move || encode::without_log_files(kind, bytes, &old, |name| unwanted.contains(name));
        let encoded = tokio::task::spawn_blocking(encode).await?;
        let encoded = encoded.with_context(|| format!("rewriting {} of {table}", add.path))?;
        if let Some(encoded) = encoded {
            if num_records(std::slice::from_ref(&encoded.add)) == num_records(std::slice::from_ref(&add)) {
                kept.push(add);
                continue;
            }
            table.put_file(&encoded.add.path, encoded.bytes).await?;
            kept.push(encoded.add);
        }
        table.delete_files(&[add]).await;
    }
    Ok(kept)
}

/// A batch as Parquet files in memory.
struct EncodedBatch {
    events: Vec<Encoded>,
    ledger: Vec<Encoded>,
    quarantine: Vec<Encoded>,
    files: Vec<StagedFile>,
}

impl EncodedBatch {
    fn of(mut batch: Batch, ingested_by: &str) -> Result<Self> {
        check(&mut batch)?;
        let mut encoded = Self {
            events: encode::encode_events(&batch.events)?,
            ledger: vec![],
            quarantine: vec![],
            files: batch.files.iter().map(StagedFile::of).collect(),
        };
        if !batch.files.is_empty() {
            let rows = entry::log_files_batch(&batch.files, ingested_by)?;
            encoded.ledger.push(encode::encode_rows(Kind::LogFiles, rows)?);
        }
        if !batch.quarantine.is_empty() {
            let rows = entry::quarantine_batch(&batch.quarantine)?;
            encoded.quarantine.push(encode::encode_rows(Kind::Quarantine, rows)?);
        }
        Ok(encoded)
    }
}

impl StagedFile {
    fn of(file: &LogFileEntry) -> Self {
        Self { id: file.id(), log_file: file.log_file.clone(), size: file.size, log_date: file.log_date }
    }
}

/// Refuses a batch that contradicts itself: rows of no file, or a file twice.
fn check(batch: &mut Batch) -> Result<()> {
    batch.events.retain(|events| events.num_rows() > 0);
    let schema = Kind::Events.schema();
    for events in &batch.events {
        if events.schema().fields() != schema.fields() {
            return Err(anyhow!("a batch of events in another schema"));
        }
    }
    let mut names = HashSet::new();
    for file in &batch.files {
        if !names.insert(file.log_file.as_str()) {
            return Err(anyhow!("{:?} is twice in one batch", file.log_file));
        }
    }
    encode::check_provenance(&batch.events, |name| names.contains(name))?;
    match batch.quarantine.iter().find(|entry| !names.contains(entry.log_file.as_str())) {
        Some(entry) => Err(anyhow!("{:?} is in quarantine, but not in its batch", entry.log_file)),
        None => Ok(()),
    }
}

fn adds(files: &[Encoded]) -> Vec<Add> {
    files.iter().map(|file| file.add.clone()).collect()
}

fn hostname() -> String {
    let name = std::fs::read_to_string("/proc/sys/kernel/hostname")
        .or_else(|_| std::fs::read_to_string("/etc/hostname"));
    let name = name.ok().map(|name| name.trim().to_owned()).filter(|name| !name.is_empty());
    name.or_else(|| std::env::var("HOSTNAME").ok()).unwrap_or_else(|| "localhost".to_owned())
}
