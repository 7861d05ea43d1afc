//! What the lake's files say of log files and digests, as far as their integrity goes.

use std::collections::{BTreeSet, HashMap, HashSet};
use std::sync::{Arc, OnceLock};

use anyhow::{Context, Result};
use arrow::array::{Array, AsArray, ListArray, RecordBatch, StringArray};
use arrow::datatypes::{Int64Type, TimestampMicrosecondType};
use chrono::{DateTime, NaiveDate, Utc};
use deltalake::logstore::object_store::path::Path;
use futures::{StreamExt, TryStreamExt};
use ring::digest::{Context as Hashing, SHA256};

use super::Lake;
use super::dates::{Dates, Span};
use super::derived::{Outcomes, rank_of};
use super::encode::read_columns;
use super::entry::{DigestStatus, ListedLogFile, LogFileId, Status};
use super::file_stats::FileStats;
use super::table::DataFile;
use super::tables::{Kind, Tables};
use crate::integrity::{DigestFact, Link, LogFileFact, Mark};

/// How many files are read at once.
const CONCURRENT_READS: usize = 16;

/// A file whose rows are of more days than these is looked into for which.
const FEW_DAYS: i64 = 40;

/// The reason of what is in quarantine because the bucket does not have it.
const MISSING: &str = "missing";

/// The facts of a lake at one version, read when somebody asks.
#[derive(Clone, Debug)]
pub(crate) struct Facts {
    tables: Tables,
    log_files: Arc<[DataFile]>,
    quarantine: Arc<[DataFile]>,
    digests: Arc<[DataFile]>,
    spans: Arc<OnceLock<Spans>>,
}

/// Of which dates the rows of each file are.
#[derive(Debug)]
struct Spans {
    log_files: Vec<Span>,
    digests: Vec<Span>,
}

/// Names the files that facts were read from.
pub(crate) type Fingerprint = [u8; 32];

/// Which of the log files that digests list are wanted.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Listed<'a> {
    /// All of them.
    All,
    /// None.
    None,
    /// These only.
    Only(&'a HashSet<&'a str>),
}

impl Facts {
    pub(super) fn of(
        tables: &Tables,
        log_files: &Arc<[DataFile]>,
        quarantine: &Arc<[DataFile]>,
        digests: &Arc<[DataFile]>,
    ) -> Self {
        Self {
            tables: tables.clone(),
            log_files: log_files.clone(),
            quarantine: quarantine.clone(),
            digests: digests.clone(),
            spans: Arc::default(),
        }
    }

    fn spans(&self) -> &Spans {
        let of = |files: &[DataFile], column| files.iter().map(|file| span_of(file, column)).collect();
        self.spans.get_or_init(|| Spans {
            log_files: of(&self.log_files, "log_date"),
            digests: of(&self.digests, "digest_end_time"),
        })
    }

    /// The files with rows of the ledger of these dates.
    fn ledger_of(&self, dates: &Dates) -> impl Iterator<Item = &DataFile> {
        let spans = self.log_files.iter().zip(&self.spans().log_files);
        spans.filter(|(_, span)| dates.touch(**span)).map(|(file, _)| file)
    }

    /// The files with rows of digests that end on these dates.
    fn digests_of(&self, ends: &Dates) -> impl Iterator<Item = &DataFile> {
        let spans = self.digests.iter().zip(&self.spans().digests);
        spans.filter(|(_, span)| ends.touch(**span)).map(|(file, _)| file)
    }

    /// Names all files that log files of some dates and digests that end on some are read from. No two files
    /// ever have one name, and none is changed once it is there.
    pub(crate) fn fingerprint(&self, dates: &Dates, ends: &Dates) -> Fingerprint {
        let names = |files: &mut dyn Iterator<Item = &DataFile>| -> Vec<String> {
            let mut names: Vec<String> = files.map(|file| file.path.to_string()).collect();
            names.sort_unstable();
            names
        };
        let mut hash = Hashing::new(&SHA256);
        for names in [names(&mut self.ledger_of(dates)), names(&mut self.digests_of(ends))] {
            hash.update(&(names.len() as u64).to_be_bytes());
            for name in names {
                hash.update(&(name.len() as u64).to_be_bytes());
                hash.update(name.as_bytes());
            }
        }
        let mut fingerprint = Fingerprint::default();
        fingerprint.copy_from_slice(hash.finish().as_ref());
        fingerprint
    }

    /// What the ledger says of the log files of these dates, one fact a log file.
    pub(crate) async fn log_files(&self, dates: &Dates) -> Result<Vec<LogFileFact>> {
        const COLUMNS: &[&str] = &["log_file", "sha256", "status", "revision", "log_date"];
        let files = self.ledger_of(dates);
        let rows = self.read(Kind::LogFiles, files, COLUMNS).await?;
        let mut facts = Vec::with_capacity(rows.iter().map(RecordBatch::num_rows).sum());
        for batch in &rows {
            read_log_files(batch, dates, &mut facts)?;
        }
        let mut facts = newest(facts);
        let in_doubt = |fact: &LogFileFact| fact.status == Status::Quarantined && fact.sha256.is_none();
        if facts.iter().any(in_doubt) {
            let missing = self.missing().await?;
            for fact in facts.iter_mut().filter(|fact| in_doubt(fact)) {
                fact.missing = missing.contains(&fact.log_file);
            }
        }
        Ok(facts)
    }

    /// The dates of log files and of digests, and those between.
    pub(crate) async fn dates(&self) -> Result<BTreeSet<NaiveDate>> {
        let mut dates = BTreeSet::new();
        let mut wild = Vec::new();
        let spans = self.spans();
        for (file, span) in self.log_files.iter().zip(&spans.log_files) {
            match *span {
                Some(span) if is_short(span) => dates.extend(days_of(span)),
                Some(_) => wild.push(file),
                None => {}
            }
        }
        for span in spans.digests.iter().flatten().filter(|span| is_short(**span)) {
            dates.extend(days_of(*span));
        }
        // A key may claim any year: days that nothing is of are not to be walked through.
        for batch in self.read(Kind::LogFiles, wild.into_iter(), &["log_date"]).await? {
            let days = column(&batch, "log_date")?.as_primitive::<arrow::datatypes::Date32Type>();
            dates.extend((0..batch.num_rows()).filter_map(|row| days.value_as_date(row)));
        }
        Ok(dates)
    }

    /// The log files that are in quarantine because the bucket does not have them.
    async fn missing(&self) -> Result<HashSet<String>> {
        let files = self.quarantine.iter().filter(|file| {
            let stats = FileStats::parse(file.stats.as_deref());
            stats.texts("reason").is_none_or(|(first, last)| first <= MISSING && last >= MISSING)
        });
        let mut missing = HashSet::new();
        for batch in self.read(Kind::Quarantine, files, &["log_file", "reason"]).await? {
            let (names, reasons) = (text(&batch, "log_file")?, text(&batch, "reason")?);
            for (name, reason) in names.iter().zip(reasons) {
                if let (Some(name), Some(MISSING)) = (name, reason) {
                    missing.insert(name.to_owned());
                }
            }
        }
        Ok(missing)
    }

    /// The digests that end on these dates, and what they list.
    pub(crate) async fn digests(
        &self,
        ends: &Dates,
        listed: Listed<'_>,
    ) -> Result<Vec<(DigestFact, Vec<ListedLogFile>)>> {
        const COLUMNS: &[&str] = &[
            "digest",
            "account",
            "region",
            "trail",
            "home_region",
            "digest_start_time",
            "digest_end_time",
            "status",
            "hash_value",
            "signature",
            "previous_digest_s3_bucket",
            "previous_digest_s3_object",
            "previous_digest_hash_value",
            "previous_digest_signature",
            "checked_at",
            "log_files",
        ];
        let columns = if matches!(listed, Listed::None) { &COLUMNS[..COLUMNS.len() - 1] } else { COLUMNS };
        let files = self.digests_of(ends);
        let mut facts = Vec::new();
        let mut reads = std::pin::pin!(self.stream(Kind::Digests, files, columns));
        while let Some(batches) = reads.try_next().await? {
            for batch in &batches {
                read_digests(batch, ends, listed, &mut facts)?;
            }
        }
        Ok(facts)
    }

    /// Whether some digest may have several rows: at most one of them says that it is valid.
    pub(crate) fn may_have_outcomes(&self) -> bool {
        self.digests.iter().any(|file| !is_all_valid(file))
    }

    /// The best outcome of each digest that was not valid at some time.
    pub(crate) async fn best_outcomes(&self) -> Result<Outcomes> {
        const COLUMNS: &[&str] = &["id", "status"];
        let mut best = Outcomes::new();
        let odd = self.digests.iter().filter(|file| !is_all_valid(file));
        for (id, rank) in self.outcomes(odd, COLUMNS).await? {
            if rank < rank_of(DigestStatus::Valid.as_str()) {
                let highest = best.entry(id).or_insert(rank);
                *highest = rank.max(*highest);
            }
        }
        if best.is_empty() {
            return Ok(best);
        }
        for (id, rank) in self.outcomes(self.digests.iter(), COLUMNS).await? {
            best.entry(id).and_modify(|highest| *highest = rank.max(*highest));
        }
        Ok(best)
    }

    async fn outcomes<'a>(
        &self,
        files: impl Iterator<Item = &'a DataFile>,
        columns: &'static [&'static str],
    ) -> Result<Vec<(LogFileId, u8)>> {
        let mut outcomes = Vec::new();
        for batch in self.read(Kind::Digests, files, columns).await? {
            for (id, status) in text(&batch, "id")?.iter().zip(text(&batch, "status")?) {
                if let (Some(id), Some(status)) = (id.and_then(LogFileId::parse), status) {
                    outcomes.push((id, rank_of(status)));
                }
            }
        }
        Ok(outcomes)
    }

    async fn read<'a>(
        &self,
        kind: Kind,
        files: impl Iterator<Item = &'a DataFile>,
        columns: &'static [&'static str],
    ) -> Result<Vec<RecordBatch>> {
        let batches: Vec<Vec<RecordBatch>> = self.stream(kind, files, columns).try_collect().await?;
        Ok(batches.into_iter().flatten().collect())
    }

    /// Reads some columns of some files, the files in any order.
    fn stream<'a>(
        &self,
        kind: Kind,
        files: impl Iterator<Item = &'a DataFile>,
        columns: &'static [&'static str],
    ) -> impl futures::Stream<Item = Result<Vec<RecordBatch>>> {
        let table = self.tables.get(kind).clone();
        let paths: Vec<Path> = files.map(|file| file.path.clone()).collect();
        let read = move |path: Path| {
            let table = table.clone();
            async move {
                let bytes = table.get_file(&path).await?;
                let read = tokio::task::spawn_blocking(move || read_columns(bytes, columns)).await?;
                read.with_context(|| format!("reading {path} of {table}"))
            }
        };
        futures::stream::iter(paths).map(read).buffer_unordered(CONCURRENT_READS)
    }
}

impl Lake {
    /// The facts by which the integrity of log files is judged, as of the last refresh.
    pub(crate) async fn facts(&self) -> Result<Facts> {
        Ok(self.view().await?.facts.clone())
    }
}

fn span_of(file: &DataFile, column: &str) -> Span {
    let stats = FileStats::parse(file.stats.as_deref());
    let undated = stats.num_records.is_some() && stats.nulls(column) == stats.num_records;
    if undated { Some(Dates::NONE) } else { stats.dates(column) }
}

fn is_short((first, last): (NaiveDate, NaiveDate)) -> bool {
    (last - first).num_days() <= FEW_DAYS
}

fn days_of((first, last): (NaiveDate, NaiveDate)) -> impl Iterator<Item = NaiveDate> {
    first.iter_days().take_while(move |date| *date <= last)
}

fn is_all_valid(file: &DataFile) -> bool {
    let valid = DigestStatus::Valid.as_str();
    FileStats::parse(file.stats.as_deref()).texts("status") == Some((valid, valid))
}

/// One fact a log file. Only changed log files have several.
fn newest(facts: Vec<LogFileFact>) -> Vec<LogFileFact> {
    if facts.iter().all(|fact| fact.revision == 0) {
        return facts;
    }
    let mut newest: HashMap<String, LogFileFact> = HashMap::with_capacity(facts.len());
    for fact in facts {
        let fact = match newest.remove(&fact.log_file) {
            Some(other) => other.newer(fact),
            None => fact,
        };
        newest.insert(fact.log_file.clone(), fact);
    }
    newest.into_values().collect()
}

fn read_log_files(batch: &RecordBatch, dates: &Dates, facts: &mut Vec<LogFileFact>) -> Result<()> {
    let (names, hashes, statuses) =
        (text(batch, "log_file")?, text(batch, "sha256")?, text(batch, "status")?);
    let revisions = column(batch, "revision")?.as_primitive::<Int64Type>();
    let days = column(batch, "log_date")?.as_primitive::<arrow::datatypes::Date32Type>();
    for row in 0..batch.num_rows() {
        if names.is_null(row) || !days.value_as_date(row).is_some_and(|date| dates.contain(date)) {
            continue;
        }
        let sha256 = hashes.is_valid(row).then(|| hashes.value(row));
        let status = statuses.is_valid(row).then(|| statuses.value(row));
        facts.push(LogFileFact {
            log_file: names.value(row).to_owned(),
            sha256: sha256.and_then(LogFileFact::parse_sha256),
            status: status.and_then(Status::parse).unwrap_or_default(),
            missing: false,
            revision: u32::try_from(if revisions.is_valid(row) { revisions.value(row) } else { 0 })
                .unwrap_or(u32::MAX),
        });
    }
    Ok(())
}

fn read_digests(
    batch: &RecordBatch,
    ends: &Dates,
    listed: Listed<'_>,
    facts: &mut Vec<(DigestFact, Vec<ListedLogFile>)>,
) -> Result<()> {
    let names = text(batch, "digest")?;
    let end_times = column(batch, "digest_end_time")?.as_primitive::<TimestampMicrosecondType>();
    for row in 0..batch.num_rows() {
        let end = time(end_times.is_valid(row).then(|| end_times.value(row)));
        let Some(end) = end.filter(|end| names.is_valid(row) && ends.contain(end.date_naive())) else {
            continue;
        };
        let listed = match listed {
            Listed::None => Vec::new(),
            wanted => listed_in(column(batch, "log_files")?.as_list::<i32>(), row, wanted)?,
        };
        facts.push((read_digest(batch, row, end)?, listed));
    }
    Ok(())
}

fn read_digest(batch: &RecordBatch, row: usize, end: DateTime<Utc>) -> Result<DigestFact> {
    let value = |name: &'static str| -> Result<Option<&str>> {
        let column = text(batch, name)?;
        Ok(column.is_valid(row).then(|| column.value(row)))
    };
    let owned = |name: &'static str| -> Result<String> { Ok(value(name)?.unwrap_or_default().to_owned()) };
    let mark = |name: &'static str| -> Result<Option<Mark>> { Ok(value(name)?.map(Mark::of)) };
    let when = |name: &'static str| -> Result<Option<DateTime<Utc>>> {
        let column = column(batch, name)?.as_primitive::<TimestampMicrosecondType>();
        Ok(time(column.is_valid(row).then(|| column.value(row))))
    };
    let previous = value("previous_digest_s3_bucket")?.zip(value("previous_digest_s3_object")?);
    let previous = match previous {
        None => None,
        Some((bucket, key)) => Some(Link {
            bucket: bucket.to_owned(),
            key: key.to_owned(),
            hash_value: mark("previous_digest_hash_value")?,
            signature: mark("previous_digest_signature")?,
        }),
    };
    let status = value("status")?.and_then(DigestStatus::parse).context("a digest without a status")?;
    Ok(DigestFact {
        digest: owned("digest")?,
        account: owned("account")?,
        region: owned("region")?,
        trail: owned("trail")?,
        home_region: owned("home_region")?,
        start: when("digest_start_time")?,
        end,
        status,
        hash_value: mark("hash_value")?,
        signature: mark("signature")?,
        previous,
        checked_at: when("checked_at")?,
    })
}

fn listed_in(lists: &ListArray, row: usize, wanted: Listed<'_>) -> Result<Vec<ListedLogFile>> {
    if lists.is_null(row) {
        return Ok(Vec::new());
    }
    let list = lists.value(row);
    let list = list.as_struct_opt().context("log_files is a list of structs")?;
    let member = |name: &'static str| -> Result<&StringArray> {
        let column = list.column_by_name(name).with_context(|| format!("log_files without {name}"))?;
        column.as_string_opt().with_context(|| format!("{name} is no text"))
    };
    let pairs = member("log_file")?.iter().zip(member("hash_value")?);
    let wanted = pairs.filter_map(|(log_file, hash)| {
        let log_file = log_file?;
        let wanted = match wanted {
            Listed::Only(only) => only.contains(log_file),
            Listed::All | Listed::None => true,
        };
        wanted.then(|| ListedLogFile {
            log_file: log_file.to_owned(),
            hash_value: hash.unwrap_or_default().to_owned(),
        })
    });
    Ok(wanted.collect())
}

fn time(micros: Option<i64>) -> Option<DateTime<Utc>> {
    micros.and_then(DateTime::from_timestamp_micros)
}

fn column<'a>(batch: &'a RecordBatch, name: &'static str) -> Result<&'a arrow::array::ArrayRef> {
    batch.column_by_name(name).with_context(|| format!("rows without {name}"))
}

fn text<'a>(batch: &'a RecordBatch, name: &'static str) -> Result<&'a StringArray> {
    column(batch, name)?.as_string_opt().with_context(|| format!("{name} is no text"))
}
