//! What the lake's files say of log files and digests, as far as their integrity goes.

use std::collections::{BTreeSet, HashMap, HashSet};
use std::ops::RangeInclusive;
use std::sync::Arc;

use anyhow::{Context, Result};
use arrow::array::{Array, AsArray, ListArray, RecordBatch, StringArray};
use arrow::datatypes::{Int64Type, TimestampMicrosecondType};
use chrono::{DateTime, NaiveDate, Utc};
use deltalake::logstore::object_store::{
    Error as StoreError, ObjectStore, ObjectStoreExt, PutMode, PutOptions, path::Path,
};
use futures::{StreamExt, TryStreamExt};

use super::Lake;
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
}

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

/// Dates, as ranges that do not touch, in order.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Dates(Vec<RangeInclusive<NaiveDate>>);

impl Dates {
    /// All there are.
    pub(crate) fn all() -> Self {
        Self(vec![NaiveDate::MIN..=NaiveDate::MAX])
    }

    /// Those in any of these ranges.
    pub(crate) fn of(ranges: impl IntoIterator<Item = RangeInclusive<NaiveDate>>) -> Self {
        let mut ranges: Vec<_> = ranges.into_iter().filter(|range| !range.is_empty()).collect();
        ranges.sort_by_key(|range| *range.start());
        let mut merged: Vec<RangeInclusive<NaiveDate>> = Vec::new();
        for range in ranges {
            match merged.last_mut() {
                Some(last) if *range.start() <= last.end().succ_opt().unwrap_or(NaiveDate::MAX) => {
                    *last = *last.start()..=*last.end().max(range.end());
                }
                _ => merged.push(range),
            }
        }
        Self(merged)
    }

    /// The same with so many days before and after each.
    pub(crate) fn widened(&self, before: u64, after: u64) -> Self {
        let range = |range: &RangeInclusive<NaiveDate>| {
            let start = range.start().checked_sub_days(chrono::Days::new(before)).unwrap_or(NaiveDate::MIN);
            let end = range.end().checked_add_days(chrono::Days::new(after)).unwrap_or(NaiveDate::MAX);
            start..=end
        };
        Self::of(self.0.iter().map(range))
    }

    /// Those of these dates that are not among `other`.
    pub(crate) fn without(&self, other: &Self) -> Self {
        let mut left = self.0.clone();
        for taken in &other.0 {
            left = left
                .into_iter()
                .flat_map(|range| {
                    let before = taken.start().pred_opt().map(|end| *range.start()..=end.min(*range.end()));
                    let after = taken.end().succ_opt().map(|start| start.max(*range.start())..=*range.end());
                    [before, after]
                })
                .flatten()
                // One that is empty would be split in two again by each that follows: 2^n of them.
                .filter(|range| !range.is_empty())
                .collect();
        }
        Self::of(left)
    }

    /// Whether all dates of `other` are among these.
    pub(crate) fn cover(&self, other: &Self) -> bool {
        other.0.iter().all(|theirs| {
            self.0.iter().any(|ours| ours.contains(theirs.start()) && ours.contains(theirs.end()))
        })
    }

    /// Whether a date is among these.
    pub(crate) fn contain(&self, date: NaiveDate) -> bool {
        self.0.iter().any(|range| range.contains(&date))
    }

    fn may_be_in(&self, file: &DataFile, column: &str) -> bool {
        let Some((first, last)) = FileStats::parse(file.stats.as_deref()).dates(column) else { return true };
        self.0.iter().any(|range| *range.start() <= last && *range.end() >= first)
    }
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
        }
    }

    /// What the ledger says of the log files of these dates, one fact a log file.
    pub(crate) async fn log_files(&self, dates: &Dates) -> Result<Vec<LogFileFact>> {
        const COLUMNS: &[&str] = &["log_file", "sha256", "status", "revision", "log_date"];
        let files = self.log_files.iter().filter(|file| dates.may_be_in(file, "log_date"));
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
        for (files, column) in [(&self.log_files, "log_date"), (&self.digests, "digest_end_time")] {
            for file in files.iter() {
                match FileStats::parse(file.stats.as_deref()).dates(column) {
                    Some((first, last)) if (last - first).num_days() <= FEW_DAYS => {
                        dates.extend(first.iter_days().take_while(|date| *date <= last));
                    }
                    Some(_) if column == "log_date" => wild.push(file),
                    _ => {}
                }
            }
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
        let files = self.digests.iter().filter(|file| ends.may_be_in(file, "digest_end_time"));
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

    /// Reads a small file that lies beside the tables, if it is there.
    pub(crate) async fn read_file(&self, name: &str) -> Result<Option<Vec<u8>>> {
        let (store, path) = self.place_of(name)?;
        match store.get(&path).await {
            Ok(found) => {
                let bytes = found.bytes().await.with_context(|| format!("reading {path}"))?;
                Ok(Some(bytes.to_vec()))
            }
            Err(StoreError::NotFound { .. }) => Ok(None),
            Err(error) => Err(error).with_context(|| format!("reading {path}")),
        }
    }

    /// Writes a small file beside the tables, unless it is there.
    pub(crate) async fn write_file(&self, name: &str, bytes: Vec<u8>) -> Result<()> {
        let (store, path) = self.place_of(name)?;
        let create = PutOptions { mode: PutMode::Create, ..PutOptions::default() };
        match store.put_opts(&path, bytes.into(), create).await {
            Ok(_) | Err(StoreError::AlreadyExists { .. }) => Ok(()),
            Err(error) => Err(error).with_context(|| format!("writing {path}")),
        }
    }

    /// The names of the files in a directory beside the tables.
    pub(crate) async fn file_names(&self, directory: &str) -> Result<Vec<String>> {
        let (store, path) = self.place_of(directory)?;
        let listed: Vec<_> = store.list(Some(&path)).try_collect().await?;
        Ok(listed.into_iter().filter_map(|found| Some(found.location.filename()?.to_owned())).collect())
    }

    fn place_of(&self, name: &str) -> Result<(Arc<dyn ObjectStore>, Path)> {
        let store = self.table(Kind::Events).log_store.root_object_store(None);
        let url = self.inner.location.url().join(name).with_context(|| format!("the file {name}"))?;
        Ok((store, Path::from_url_path(url.path())?))
    }
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
        let value = |column: &StringArray| column.is_valid(row).then(|| column.value(row).to_owned());
        facts.push(LogFileFact {
            log_file: names.value(row).to_owned(),
            sha256: value(hashes).as_deref().and_then(LogFileFact::parse_sha256),
            status: value(statuses).as_deref().and_then(Status::parse).unwrap_or_default(),
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

#[cfg(test)]
mod tests {
    use super::*;

    fn date(days: i64) -> NaiveDate {
        NaiveDate::default() + chrono::Duration::days(days)
    }

    #[test]
    fn dates_without_many_others_are_found_at_once() {
        let ours = Dates::of((0..500).map(|year| date(year * 365)..=date(year * 365 + 35)));
        let theirs = Dates::of((0..500).map(|year| date(year * 365)..=date(year * 365 + 2)));
        let left = ours.without(&theirs);
        assert_eq!(left.0.len(), 500);
        assert_eq!(left.0[1], date(368)..=date(400));
        assert_eq!(Dates::all().without(&Dates::all()), Dates::of([]));
    }
}
