//! Taking log files out of `events` again: their rows go to quarantine, in one commit.
//!
//! The Parquet files that hold rows of theirs are replaced by files without them. Delta calls that
//! `remove` and `add`; a reader sees either all of it or nothing. Time travel and the removed files
//! show the rows until VACUUM deletes them.

use std::collections::{BTreeMap, HashMap, HashSet};
use std::fmt::Write as _;
use std::sync::Arc;

use anyhow::{Context, Result, bail};
use arrow::array::{Array, AsArray, BooleanArray, RecordBatch};
use arrow::compute::filter_record_batch;
use arrow::datatypes::Int32Type;
use deltalake::logstore::object_store::path::Path;
use futures::TryStreamExt;
use tracing::{debug, warn};

use super::action::{Add, Remove};
use super::encode;
use super::entry::{LogFileEntry, QuarantineEntry, Status};
use super::file_stats::FileStats;
use super::stream::{self, FileWriter};
use super::swap;
use super::table::Table;
use super::{Batch, Committed, DataFile, Kind, Lake, Staged};
use crate::event::record_json;
use crate::event::schema::{ACCOUNT, EVENT_TIME, LOG_DATE, LOG_FILE, RECORD_INDEX, REGION};

/// How often it is tried anew after another writer has changed the same log files or Parquet files.
const ATTEMPTS: usize = 20;

/// Rows that are read at once.
const READ_ROWS: usize = 8 * 1024;

/// Bytes of one log file's records that quarantine keeps.
const KEPT_BYTES: usize = 64 << 20;

/// The member in which a document of withdrawn records says which records of the log file they are:
/// ranges, both ends included.
pub(crate) const RECORD_INDEXES: &str = "recordIndexes";

/// Why log files are withdrawn: because the digests speak against them, or because somebody wanted it.
/// Nothing else is in quarantine for these reasons.
pub const WITHDRAWN_FOR: [&str; 2] = ["integrity_failed", "withdrawn"];

/// What was taken out.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Withdrawn {
    /// How many log files.
    pub log_files: u64,
    /// How many rows of `events`.
    pub events: u64,
}

impl Lake {
    /// Moves the rows of these log files from `events` to quarantine, as `reason` and `detail`.
    ///
    /// Unknown log files and those in quarantine already are passed over, so that doing it again does
    /// nothing. A log file without rows goes as well: perhaps somebody has emptied it. `trailq
    /// quarantine replay` puts the rows back.
    pub async fn withdraw(&self, log_files: &[String], reason: &str, detail: &str) -> Result<Withdrawn> {
        for _ in 0..ATTEMPTS {
            let Some(withdrawal) = self.plan_withdrawal(log_files, reason, detail).await? else {
                return Ok(Withdrawn::default());
            };
            let Withdrawal { base, removes, staged, withdrawn } = withdrawal;
            let committed = self.committer().await?.lock().await.replace(base, &removes, &staged).await;
            match committed {
                Ok(Some(Committed { version, .. })) => {
                    warn!(version, log_files = withdrawn.log_files, events = withdrawn.events, "withdrawn");
                    return Ok(withdrawn);
                }
                Ok(None) => {
                    debug!("another writer has changed the same files");
                    self.discard(staged).await;
                }
                // It may have landed: its files must stay.
                Err(error) => return Err(error),
            }
        }
        bail!("other writers keep changing the same log files: try again")
    }

    /// Writes what a withdrawal needs where nobody looks; nothing if there is nothing to take out.
    pub(crate) async fn plan_withdrawal(
        &self,
        log_files: &[String],
        reason: &str,
        detail: &str,
    ) -> Result<Option<Withdrawal>> {
        self.refresh().await?;
        let view = self.view().await?;
        let names: Vec<&str> = log_files.iter().map(String::as_str).collect();
        let mut entries = self.ledger(&names).await?;
        entries.retain(|entry| entry.status == Status::Committed);
        if entries.is_empty() {
            return Ok(None);
        }
        let names: HashSet<String> = entries.iter().map(|entry| entry.log_file.clone()).collect();
        let mut taken = Taken::default();
        let names = Arc::new(names);
        for file in view.events.files.iter().filter(|file| may_hold(file, &entries)) {
            if let Err(error) = self.take_out(file, &names, &mut taken).await {
                self.table(Kind::Events).delete_files(&taken.rest).await;
                return Err(error);
            }
        }
        let Taken { rows, removes, rest } = taken;
        match self.stage_withdrawal(entries, rows, reason, detail).await {
            Ok(Some((mut staged, withdrawn))) => {
                staged.events.extend(rest);
                Ok(Some(Withdrawal { base: view.events.version, removes, staged, withdrawn }))
            }
            nothing => {
                self.table(Kind::Events).delete_files(&rest).await;
                nothing.map(|_| None)
            }
        }
    }

    /// Writes the rows that are taken out as pieces of quarantine.
    async fn stage_withdrawal(
        &self,
        entries: Vec<LogFileEntry>,
        rows: Vec<RecordBatch>,
        reason: &str,
        detail: &str,
    ) -> Result<Option<(Staged, Withdrawn)>> {
        let documents = tokio::task::spawn_blocking(move || documents(&rows)).await??;
        let (batch, withdrawn) = withdrawn_batch(entries, &documents, reason, detail);
        if batch.files.is_empty() {
            return Ok(None);
        }
        Ok(Some((self.writer().write(batch).await?, withdrawn)))
    }

    async fn take_out(&self, file: &DataFile, names: &Arc<HashSet<String>>, taken: &mut Taken) -> Result<()> {
        let (table, file, names) = (self.table(Kind::Events).clone(), file.clone(), names.clone());
        let runtime = tokio::runtime::Handle::current();
        let split = move || {
            runtime.block_on(async {
                let split = split(&table, &file, &names).await;
                let split = split.with_context(|| format!("reading {} of {table}", file.path))?;
                split.map(|split| anyhow::Ok((split, swap::remove(&file, true)?))).transpose()
            })
        };
        if let Some((Split { rows, rest }, remove)) = tokio::task::spawn_blocking(split).await?? {
            taken.removes.push(remove);
            taken.rows.extend(rows);
            taken.rest.extend(rest);
        }
        Ok(())
    }
}

/// All that a withdrawal commits, against the version of `events` that it was made of.
#[derive(Debug)]
pub(crate) struct Withdrawal {
    pub(crate) base: u64,
    pub(crate) removes: Vec<Remove>,
    pub(crate) staged: Staged,
    pub(crate) withdrawn: Withdrawn,
}

#[derive(Default)]
struct Taken {
    rows: Vec<RecordBatch>,
    removes: Vec<Remove>,
    /// Files that were written with what stays.
    rest: Vec<Add>,
}

/// Whether a file may hold rows of any of these log files, by its statistics.
fn may_hold(file: &DataFile, entries: &[LogFileEntry]) -> bool {
    let stats = FileStats::parse(file.stats.as_deref());
    entries.iter().any(|entry| {
        let date = entry.log_date.is_none_or(|date| {
            stats.dates(LOG_DATE).is_none_or(|(first, last)| (first..=last).contains(&date))
        });
        date && text_may_be(&stats, ACCOUNT, entry.account.as_deref())
            && text_may_be(&stats, REGION, entry.region.as_deref())
            && time_may_be(&stats, entry)
    })
}

fn text_may_be(stats: &FileStats, column: &str, text: Option<&str>) -> bool {
    text.is_none_or(|text| stats.texts(column).is_none_or(|(first, last)| first <= text && text <= last))
}

/// The ledger knows the times of a log file's rows, if each of them has one.
fn time_may_be(stats: &FileStats, entry: &LogFileEntry) -> bool {
    let (Some(from), Some(to), 0) = (entry.min_event_time, entry.max_event_time, entry.odd_count) else {
        return true;
    };
    let dates = from.date_naive()..=to.date_naive();
    let held = stats.dates(EVENT_TIME);
    held.is_none_or(|(first, last)| first <= *dates.end() && last >= *dates.start())
}

/// The rows that were taken out of a file, and the file of the others, if there are any.
struct Split {
    rows: Vec<RecordBatch>,
    rest: Option<Add>,
}

/// Takes the rows of some log files out of a file, and writes one with the others. Nothing if it has
/// none of them.
async fn split(table: &Arc<Table>, file: &DataFile, names: &HashSet<String>) -> Result<Option<Split>> {
    let is_one = |name: &str| names.contains(name);
    let stays = |rows: &RecordBatch| encode::unless(rows, LOG_FILE, is_one);
    let mut sources = stream::rows(table, file, &[LOG_FILE], READ_ROWS).await?;
    let mut touched = false;
    while let Some(rows) = sources.try_next().await? {
        touched |= stays(&rows)?.has_false();
    }
    if !touched {
        return Ok(None);
    }
    let mut rest = None;
    match divide(table, file, &mut rest, stays).await {
        Ok(rows) => {
            let rest = match rest {
                Some(writer) => Some(writer.finish().await?),
                None => None,
            };
            Ok(Some(Split { rows, rest }))
        }
        Err(error) => {
            if let Some(writer) = rest {
                writer.abort().await;
            }
            Err(error)
        }
    }
}

/// Writes the rows that stay to `rest`, and returns the others.
async fn divide(
    table: &Arc<Table>,
    file: &DataFile,
    rest: &mut Option<FileWriter>,
    stays: impl Fn(&RecordBatch) -> Result<BooleanArray>,
) -> Result<Vec<RecordBatch>> {
    let mut rows = vec![];
    let mut batches = stream::rows(table, file, &[], READ_ROWS).await?;
    while let Some(batch) = batches.try_next().await? {
        let stays = stays(&batch)?;
        let goes: BooleanArray = stays.iter().map(|stays| stays.map(|stays| !stays)).collect();
        if goes.has_true() {
            rows.push(filter_record_batch(&batch, &goes)?);
        }
        if stays.has_true() {
            let batch = filter_record_batch(&batch, &stays)?;
            let writer = match rest {
                Some(writer) => writer,
                None => rest.insert(FileWriter::beside(table, Kind::Events, &batch.schema(), file)?),
            };
            writer.write(&batch).await?;
        }
    }
    Ok(rows)
}

/// The records of one log file that were taken out.
#[derive(Default)]
struct Document {
    /// By their index in the log file.
    records: BTreeMap<i32, String>,
}

fn documents(batches: &[RecordBatch]) -> Result<HashMap<String, Document>> {
    let mut documents: HashMap<String, Document> = HashMap::new();
    for batch in batches {
        let names = batch.column_by_name(LOG_FILE).context(LOG_FILE)?.as_string::<i32>();
        let indexes = batch.column_by_name(RECORD_INDEX).context(RECORD_INDEX)?;
        let indexes = indexes.as_primitive::<Int32Type>();
        for row in 0..batch.num_rows() {
            if names.is_null(row) {
                continue;
            }
            let document = documents.entry(names.value(row).to_owned()).or_default();
            document.records.insert(indexes.value(row), record_json(batch, row)?);
        }
    }
    Ok(documents)
}

impl Document {
    /// `{"recordIndexes":[[0,4],[6,9]],"Records":[…]}`, as long as quarantine keeps it, and how many
    /// records and bytes that leaves out.
    fn bytes(&self) -> (Vec<u8>, usize, usize) {
        let (mut records, mut indexes) = (String::new(), vec![]);
        let (mut left_out, mut missing) = (0, 0);
        for (index, record) in &self.records {
            if left_out > 0 || records.len() + record.len() > KEPT_BYTES {
                left_out += 1;
                missing += record.len() + 1;
                continue;
            }
            if !records.is_empty() {
                records.push(',');
            }
            records.push_str(record);
            indexes.push(*index);
        }
        let ranges: Vec<String> =
            ranges(&indexes).into_iter().map(|(first, last)| format!("[{first},{last}]")).collect();
        let document = format!("{{\"{RECORD_INDEXES}\":[{}],\"Records\":[{records}]}}", ranges.join(","));
        (document.into_bytes(), left_out, missing)
    }
}

/// Numbers in order as ranges, both ends included.
fn ranges(numbers: &[i32]) -> Vec<(i32, i32)> {
    let mut ranges: Vec<(i32, i32)> = vec![];
    for number in numbers {
        match ranges.last_mut() {
            Some((_, last)) if *last + 1 == *number => *last = *number,
            _ => ranges.push((*number, *number)),
        }
    }
    ranges
}

fn withdrawn_batch(
    entries: Vec<LogFileEntry>,
    documents: &HashMap<String, Document>,
    reason: &str,
    detail: &str,
) -> (Batch, Withdrawn) {
    let (mut batch, mut withdrawn) = (Batch::default(), Withdrawn::default());
    let without_rows = Document::default();
    for entry in entries {
        let document = match documents.get(&entry.log_file) {
            Some(document) => document,
            None if entry.event_count == 0 => &without_rows,
            None => {
                warn!(log_file = entry.log_file, "the ledger tells of rows that events does not have");
                continue;
            }
        };
        let count = document.records.len() as u64;
        withdrawn.log_files += 1;
        withdrawn.events += count;
        let (bytes, left_out, missing) = document.bytes();
        let mut detail = detail.to_owned();
        if left_out > 0 {
            let _ = write!(detail, " (the last {left_out} of {count} records are not kept here)");
        }
        batch.quarantine.push(QuarantineEntry {
            log_file: entry.log_file.clone(),
            bucket: entry.bucket.clone(),
            key: entry.key.clone(),
            version_id: entry.version_id.clone(),
            reason: reason.to_owned(),
            detail,
            byte_length: Some((bytes.len() + missing) as u64),
            bytes,
            ..QuarantineEntry::default()
        });
        batch.files.push(LogFileEntry {
            status: Status::Quarantined,
            event_count: 0,
            quarantined_count: entry.quarantined_count + count,
            revision: entry.revision + 1,
            ..entry
        });
    }
    (batch, withdrawn)
}

/// Whether a commit that removes these paths takes away what a withdrawal would replace.
pub(crate) fn collides(taken_away: &[String], replaced: &[Remove]) -> bool {
    let paths: HashSet<Path> = replaced.iter().map(|remove| Path::from(remove.path.as_str())).collect();
    taken_away.iter().any(|path| paths.contains(&Path::from(path.as_str())))
}

#[cfg(test)]
mod tests {
    use super::ranges;

    #[test]
    fn numbers_become_ranges() {
        assert_eq!(ranges(&[]), []);
        assert_eq!(ranges(&[0, 1, 2, 4, 7, 8]), [(0, 2), (4, 4), (7, 8)]);
    }
}
