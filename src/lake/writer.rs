//! Batches to Parquet files in the lake, which nobody sees before the commit.

use std::collections::HashSet;
use std::ops::RangeInclusive;
use std::sync::Arc;

use anyhow::{Context, Result, anyhow};
use arrow::array::{BooleanArray, RecordBatch};
use chrono::NaiveDate;
use futures::future::try_join_all;

use super::action::Add;
use super::encode::{self, Encoded};
use super::entry::{DigestEntry, DigestStatus, LogFileEntry, LogFileId, QuarantineEntry, Quarantined};
use super::file_stats::FileStats;
use super::rows;
use super::table::Table;
use super::tables::{Kind, Tables};
use crate::event::with_texts;

/// Log files and digests that join the lake together, or not at all.
#[derive(Debug, Default)]
pub struct Batch {
    /// The log files' records, in the schema of [`crate::event::schema`]; texts may be codes of a dictionary.
    pub events: Vec<RecordBatch>,
    /// One entry for each log file, those without any event included.
    pub files: Vec<LogFileEntry>,
    /// What of the log files could not be stored as events.
    pub quarantine: Vec<QuarantineEntry>,
    /// What became of pieces of these log files that were in quarantine.
    pub resolved: Vec<Quarantined>,
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
    /// Files of `quarantine` with what became of earlier rows.
    pub(crate) resolved: Vec<Add>,
    pub(crate) digests: Vec<Add>,
    pub(crate) files: Vec<StagedFile>,
    pub(crate) checked: Vec<StagedDigest>,
}

/// What a commit must know of a log file.
#[derive(Clone, Debug)]
pub(crate) struct StagedFile {
    pub(crate) id: LogFileId,
    pub(crate) log_file: String,
    pub(crate) size: u64,
    pub(crate) log_date: Option<NaiveDate>,
    pub(crate) revision: u32,
}

/// What a commit must know of a digest.
#[derive(Clone, Debug)]
pub(crate) struct StagedDigest {
    pub(crate) id: LogFileId,
    pub(crate) status: DigestStatus,
    pub(crate) end_date: NaiveDate,
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

    /// How many digests it holds.
    pub fn num_digests(&self) -> usize {
        self.checked.len()
    }

    /// How many bytes it adds to the lake.
    pub fn bytes(&self) -> u64 {
        let tables = [&self.events, &self.ledger, &self.quarantine, &self.resolved, &self.digests];
        tables.into_iter().flatten().map(|add| add.size).sum()
    }

    /// Whether it changes what the lake has of a log file.
    pub(crate) fn changes_log_files(&self) -> bool {
        self.files.iter().any(|file| file.revision > 0)
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.files.is_empty() && self.checked.is_empty()
    }

    /// The dates of its log files' keys, or nothing if one has none.
    pub(crate) fn log_dates(&self) -> Option<RangeInclusive<NaiveDate>> {
        let dates: Option<Vec<NaiveDate>> = self.files.iter().map(|file| file.log_date).collect();
        let dates = dates?;
        Some(*dates.iter().min()?..=*dates.iter().max()?)
    }

    /// The dates on which its digests end.
    pub(crate) fn digest_dates(&self) -> Option<RangeInclusive<NaiveDate>> {
        let dates = || self.checked.iter().map(|digest| digest.end_date);
        Some(dates().min()?..=dates().max()?)
    }
}

/// How many rows these files have.
pub(crate) fn num_records(adds: &[Add]) -> u64 {
    adds.iter().filter_map(|add| FileStats::parse(add.stats.as_deref()).num_records).sum()
}

/// Writes batches; several may do so at once, each with its own clone.
#[derive(Clone, Debug)]
pub struct LakeWriter {
    tables: Tables,
    ingested_by: Arc<str>,
}

impl LakeWriter {
    pub(crate) fn new(tables: Tables) -> Self {
        let ingested_by = format!("{}:{}", hostname(), std::process::id()).into();
        Self { tables, ingested_by }
    }

    /// Who writes: host and process, as in `ingested_by`.
    pub fn name(&self) -> &str {
        &self.ingested_by
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
        let EncodedBatch { events, ledger, quarantine, resolved, digests, files, checked } = encoded;
        let staged = Staged {
            events: adds(&events),
            ledger: adds(&ledger),
            quarantine: adds(&quarantine),
            resolved: adds(&resolved),
            digests: adds(&digests),
            files,
            checked,
        };
        let uploads = [
            (Kind::Events, events),
            (Kind::LogFiles, ledger),
            (Kind::Quarantine, quarantine),
            (Kind::Quarantine, resolved),
            (Kind::Digests, digests),
        ];
        let uploads = uploads.into_iter().flat_map(|(kind, files)| {
            let table = self.tables.get(kind);
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
        self.tables.get(Kind::Events).delete_files(&staged.events).await;
        self.tables.get(Kind::LogFiles).delete_files(&staged.ledger).await;
        self.tables.get(Kind::Quarantine).delete_files(&staged.quarantine).await;
        self.tables.get(Kind::Quarantine).delete_files(&staged.resolved).await;
        self.tables.get(Kind::Digests).delete_files(&staged.digests).await;
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
        let wanted = move |rows: &RecordBatch| encode::unless(rows, "log_file", |name| names.contains(name));
        Ok(Staged {
            events: self.rewrite(Kind::Events, staged.events, wanted.clone()).await?,
            ledger: self.rewrite(Kind::LogFiles, staged.ledger, wanted.clone()).await?,
            quarantine: self.rewrite(Kind::Quarantine, staged.quarantine, wanted.clone()).await?,
            resolved: self.rewrite(Kind::Quarantine, staged.resolved, wanted).await?,
            files: kept,
            ..staged
        })
    }

    /// Writes a staged batch anew without digests of which the lake knows the same.
    pub(crate) async fn without_digests(
        &self,
        staged: Staged,
        unwanted: HashSet<(LogFileId, DigestStatus)>,
    ) -> Result<Staged> {
        let is_wanted = |digest: &StagedDigest| !unwanted.contains(&(digest.id, digest.status));
        let checked = staged.checked.iter().filter(|digest| is_wanted(digest)).cloned().collect();
        let unwanted: HashSet<(String, &str)> =
            unwanted.iter().map(|(id, status)| (id.to_string(), status.as_str())).collect();
        let wanted = move |rows: &RecordBatch| rows::digests_unless(rows, &unwanted);
        let digests = self.rewrite(Kind::Digests, staged.digests, wanted).await?;
        Ok(Staged { digests, checked, ..staged })
    }

    /// Replaces those of a table's files of which `wanted` does not choose every row.
    async fn rewrite(
        &self,
        kind: Kind,
        adds: Vec<Add>,
        wanted: impl Fn(&RecordBatch) -> Result<BooleanArray> + Clone + Send + 'static,
    ) -> Result<Vec<Add>> {
        let table = self.tables.get(kind);
        let mut kept = Vec::with_capacity(adds.len());
        for add in adds {
            match rewritten(table, kind, &add, wanted.clone()).await? {
                Rewritten::Same => kept.push(add),
                Rewritten::Nothing => table.delete_files(&[add]).await,
                Rewritten::Replaced(encoded) => {
                    table.put_file(&encoded.add.path, encoded.bytes).await?;
                    kept.push(encoded.add);
                    table.delete_files(&[add]).await;
                }
            }
        }
        Ok(kept)
    }
}

/// What is left of a file.
pub(crate) enum Rewritten {
    /// All of it.
    Same,
    /// Nothing.
    Nothing,
    /// These rows.
    Replaced(Encoded),
}

/// Encodes a file of a table anew with only the rows that `wanted` chooses.
pub(crate) async fn rewritten(
    table: &Table,
    kind: Kind,
    add: &Add,
    wanted: impl Fn(&RecordBatch) -> Result<BooleanArray> + Send + 'static,
) -> Result<Rewritten> {
    let bytes = table.get_file(&add.path.as_str().into()).await?;
    let old = add.clone();
    let encoded = tokio::task::spawn_blocking(move || encode::only_rows(kind, bytes, &old, wanted)).await?;
    let encoded = encoded.with_context(|| format!("rewriting {} of {table}", add.path))?;
    let rows = |add: &Add| num_records(std::slice::from_ref(add));
    Ok(match encoded {
        None => Rewritten::Nothing,
        Some(encoded) if rows(&encoded.add) == rows(add) => Rewritten::Same,
        Some(encoded) => Rewritten::Replaced(encoded),
    })
}

/// A batch as Parquet files in memory.
struct EncodedBatch {
    events: Vec<Encoded>,
    ledger: Vec<Encoded>,
    quarantine: Vec<Encoded>,
    resolved: Vec<Encoded>,
    digests: Vec<Encoded>,
    files: Vec<StagedFile>,
    checked: Vec<StagedDigest>,
}

impl EncodedBatch {
    fn of(mut batch: Batch, ingested_by: &str) -> Result<Self> {
        check(&mut batch)?;
        let mut encoded = Self {
            events: encode::encode_events(&batch.events)?,
            ledger: vec![],
            quarantine: vec![],
            resolved: vec![],
            digests: vec![],
            files: batch.files.iter().map(StagedFile::of).collect(),
            checked: batch.digests.iter().map(StagedDigest::of).collect(),
        };
        if !batch.files.is_empty() {
            let rows = rows::log_files_batch(&batch.files, ingested_by)?;
            encoded.ledger.push(encode::encode_rows(Kind::LogFiles, rows)?);
        }
        if !batch.quarantine.is_empty() {
            let rows = rows::quarantine_batch(batch.quarantine)?;
            encoded.quarantine.push(encode::encode_rows(Kind::Quarantine, rows)?);
        }
        if !batch.resolved.is_empty() {
            // A file of their own, so that its statistics tell: readers look for these first.
            let rows = rows::resolved_batch(&batch.resolved)?;
            encoded.resolved.push(encode::encode_rows(Kind::Quarantine, rows)?);
        }
        if !batch.digests.is_empty() {
            let rows = rows::digests_batch(&batch.digests, ingested_by)?;
            encoded.digests.push(encode::encode_rows(Kind::Digests, rows)?);
        }
        Ok(encoded)
    }
}

impl StagedFile {
    fn of(file: &LogFileEntry) -> Self {
        Self {
            id: file.id(),
            log_file: file.log_file.clone(),
            size: file.size,
            log_date: file.log_date,
            revision: file.revision,
        }
    }
}

impl StagedDigest {
    fn of(digest: &DigestEntry) -> Self {
        Self { id: digest.id(), status: digest.status, end_date: digest.digest_end_time.date_naive() }
    }
}

/// Refuses a batch that contradicts itself: rows of no file, or a file twice. A digest that is twice
/// in it with one outcome is taken once.
fn check(batch: &mut Batch) -> Result<()> {
    batch.events.retain(|events| events.num_rows() > 0);
    let schema = Kind::Events.schema();
    for events in &batch.events {
        if with_texts(&events.schema()).fields() != schema.fields() {
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
    let mut quarantined = batch.quarantine.iter().chain(batch.resolved.iter().map(|row| &row.entry));
    if let Some(entry) = quarantined.find(|entry| !names.contains(entry.log_file.as_str())) {
        return Err(anyhow!("{:?} is in quarantine, but not in its batch", entry.log_file));
    }
    let mut outcomes = HashSet::new();
    batch.digests.retain(|digest| outcomes.insert((digest.id(), digest.status)));
    Ok(())
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
