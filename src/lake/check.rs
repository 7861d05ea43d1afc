//! Whether the lake is what its logs say: every file is there and whole, and the tables agree.

use std::collections::{HashMap, HashSet};

use anyhow::{Context, Result, bail};
use arrow::array::{Array, AsArray, RecordBatch, StringArray};
use arrow::datatypes::{DataType, Date32Type, Int32Type, Int64Type, TimestampMicrosecondType};
use chrono::{DateTime, NaiveDate};
use deltalake::logstore::object_store::{Error as StoreError, ObjectStoreExt};
use futures::{StreamExt, TryStreamExt};
use serde::Serialize;

use super::dates::Dates;
use super::facts::Listed;
use super::file_stats::FileStats;
use super::stream;
use super::table::{DataFile, Table};
use super::tables::Kind;
use super::{Lake, View};
use crate::event::schema::{LOG_DATE, LOG_FILE, RECORD_INDEX};

/// Files that are looked at at once.
const CONCURRENT_READS: usize = 16;

/// Days whose log files are compared at once.
const DAYS_AT_ONCE: usize = 4;

/// Rows that are read at once.
const READ_ROWS: usize = 8 * 1024;

/// Findings that are told. Beyond, they are only counted.
const TOLD: usize = 10_000;

/// What a check has found.
#[derive(Clone, Debug, Default, Serialize)]
pub struct Checked {
    /// The version of `events` that was looked at.
    pub version: u64,
    /// Parquet files of all tables.
    pub num_files: u64,
    /// Rows of `events`.
    pub num_events: u64,
    /// Log files in the ledger.
    pub num_log_files: u64,
    /// Of these, those of which retention has dropped events.
    pub num_dropped: u64,
    /// Rows of `digests`.
    pub num_digests: u64,
    /// Whether the tables were compared with each other: not if files are missing or broken.
    pub compared: bool,
    /// What is wrong, and the first of it.
    pub num_findings: u64,
    /// The first ten thousand of these.
    pub findings: Vec<LakeFinding>,
}

/// Something that is wrong with a lake.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct LakeFinding {
    /// The table that it is wrong with.
    pub table: &'static str,
    /// What is wrong, in a word.
    pub what: &'static str,
    /// The Parquet file, log file or digest.
    pub place: String,
    /// More of it.
    pub detail: String,
}

impl Checked {
    pub(super) fn add(&mut self, kind: Kind, what: &'static str, place: &str, detail: impl Into<String>) {
        self.num_findings += 1;
        if self.findings.len() < TOLD {
            let (table, place, detail) = (kind.name(), place.to_owned(), detail.into());
            self.findings.push(LakeFinding { table, what, place, detail });
        }
    }
}

impl Lake {
    /// Looks at every file of all tables, and compares events, ledger, quarantine, digests and the summary of
    /// verdicts.
    ///
    /// With `deep` every page of every file is read, which takes as long as reading the lake takes.
    pub async fn check(&self, deep: bool) -> Result<Checked> {
        self.refresh().await?;
        let view = self.view().await?;
        let mut checked = Checked { version: view.events.version, ..Checked::default() };
        for kind in Kind::BY_READERS {
            self.check_files(kind, &view, deep, &mut checked).await?;
        }
        if checked.num_findings > 0 {
            // Counting rows of files that cannot be read would end in an error that says less.
            return Ok(checked);
        }
        checked.compared = true;
        let mut strangers = self.in_quarantine(&view).await?;
        self.check_log_files(&view, &mut strangers, &mut checked).await?;
        for log_file in strangers {
            checked.add(Kind::Quarantine, "unknown log file", &log_file, "the ledger does not have it");
        }
        self.check_digests(&view, &mut checked).await?;
        self.check_settled(&view, &mut checked).await?;
        Ok(checked)
    }

    async fn check_files(&self, kind: Kind, view: &View, deep: bool, checked: &mut Checked) -> Result<()> {
        let table = self.table(kind);
        let files = view.get(kind).files.iter();
        let looks = files.map(|file| async move { (file, look_at(table, file, deep).await) });
        let looks: Vec<_> = looks.collect();
        let mut looks = futures::stream::iter(looks).buffer_unordered(CONCURRENT_READS);
        while let Some((file, found)) = looks.next().await {
            checked.num_files += 1;
            let rows = FileStats::parse(file.stats.as_deref()).num_records;
            if kind == Kind::Events {
                checked.num_events += rows.unwrap_or_default();
            }
            let place = file.path.as_ref();
            match found? {
                Found::Missing => {
                    checked.add(kind, "missing file", place, "the log has it, the store does not");
                }
                Found::Size(size) => {
                    checked.add(kind, "other size", place, format!("{size} bytes, not {}", file.size));
                }
                Found::Broken(why) => checked.add(kind, "broken file", place, why),
                Found::Rows(found) if rows.is_some_and(|rows| rows != found) => {
                    let rows = rows.unwrap_or_default();
                    checked.add(kind, "other rows", place, format!("{found} rows, not {rows}"));
                }
                Found::Rows(_) => {}
            }
        }
        Ok(())
    }

    /// The log files that quarantine has pieces of.
    async fn in_quarantine(&self, view: &View) -> Result<HashSet<String>> {
        let mut names = HashSet::new();
        for file in view.quarantine.files.iter() {
            let mut rows = stream::rows(self.table(Kind::Quarantine), file, &[LOG_FILE], READ_ROWS).await?;
            while let Some(batch) = rows.try_next().await? {
                names.extend(text(&batch, LOG_FILE)?.iter().flatten().map(ToOwned::to_owned));
            }
        }
        Ok(names)
    }

    /// Counts the rows of each log file, and checks that none is there twice, some days at a time.
    async fn check_log_files(
        &self,
        view: &View,
        strangers: &mut HashSet<String>,
        checked: &mut Checked,
    ) -> Result<()> {
        let retained_from = self.retained_from().await?;
        let dates: Vec<NaiveDate> = view.facts.dates().await?.into_iter().collect();
        let days = dates.chunks(DAYS_AT_ONCE).map(|days| Some(days.iter().copied().collect()));
        let windows = days.chain([None]).map(|days| Window { days, log_files: HashMap::new() });
        let mut events = 0;
        for mut window in windows {
            self.read_ledger(view, &mut window).await?;
            events += self.read_events(view, &mut window).await?;
            for (log_file, rows) in window.log_files {
                strangers.remove(&log_file);
                rows.compare(&log_file, retained_from, checked);
            }
        }
        if let Some(stray) = checked.num_events.checked_sub(events).filter(|stray| *stray > 0) {
            let detail = format!("{stray} rows are of days of which the ledger has no log file");
            checked.add(Kind::Events, "rows of no log file", "", detail);
        }
        Ok(())
    }

    async fn read_ledger(&self, view: &View, window: &mut Window) -> Result<()> {
        const COLUMNS: &[&str] =
            &["log_file", "log_date", "event_count", "record_count", "min_event_time", "revision"];
        for file in view.log_files.files.iter() {
            if !window.may_hold(file) {
                continue;
            }
            let mut rows = stream::rows(self.table(Kind::LogFiles), file, COLUMNS, READ_ROWS).await?;
            while let Some(batch) = rows.try_next().await? {
                window.add_ledger(&batch)?;
            }
        }
        Ok(())
    }

    async fn read_events(&self, view: &View, window: &mut Window) -> Result<u64> {
        let mut seen = 0;
        for file in view.events.files.iter() {
            if !window.may_hold(file) {
                continue;
            }
            let columns = &[LOG_FILE, LOG_DATE, RECORD_INDEX];
            let mut rows = stream::rows(self.table(Kind::Events), file, columns, READ_ROWS).await?;
            while let Some(batch) = rows.try_next().await? {
                seen += window.add_events(&batch)?;
            }
        }
        Ok(seen)
    }

    async fn check_digests(&self, view: &View, checked: &mut Checked) -> Result<()> {
        let dates: Vec<NaiveDate> = view.facts.dates().await?.into_iter().collect();
        for days in dates.chunks(DAYS_AT_ONCE) {
            let days = Dates::of(days.iter().map(|day| *day..=*day));
            let mut seen = HashSet::new();
            for (fact, _) in view.facts.digests(&days, Listed::None).await? {
                checked.num_digests += 1;
                if !seen.insert((fact.digest.clone(), fact.status.as_str())) {
                    let detail = format!("it is there twice as {}", fact.status.as_str());
                    checked.add(Kind::Digests, "digest twice", &fact.digest, detail);
                }
            }
        }
        Ok(())
    }
}

/// What there is of a file.
enum Found {
    Missing,
    Size(u64),
    Broken(String),
    Rows(u64),
}

async fn look_at(table: &Table, file: &DataFile, deep: bool) -> Result<Found> {
    match table.store().head(&file.path).await {
        Ok(meta) if meta.size != file.size => return Ok(Found::Size(meta.size)),
        Ok(_) => {}
        Err(StoreError::NotFound { .. }) => return Ok(Found::Missing),
        Err(error) => return Err(error).with_context(|| format!("looking at {} of {table}", file.path)),
    }
    let read = async {
        let builder = stream::open(table, file).await?;
        let told = builder.metadata().file_metadata().num_rows();
        if !deep {
            return Ok(u64::try_from(told)?);
        }
        let (mut rows, mut found) = (builder.with_batch_size(READ_ROWS).build()?, 0);
        while let Some(batch) = rows.try_next().await? {
            found += batch.num_rows() as u64;
        }
        anyhow::Ok(found)
    };
    Ok(match read.await {
        Ok(rows) => Found::Rows(rows),
        Err(error) => Found::Broken(format!("{error:#}")),
    })
}

/// The log files of some days, or those without a day.
struct Window {
    days: Option<HashSet<NaiveDate>>,
    log_files: HashMap<String, LogFileRows>,
}

/// What ledger and events have of a log file.
#[derive(Debug, Default)]
struct LogFileRows {
    /// From the newest row of the ledger; nothing if it has none.
    ledger: Option<LedgerRow>,
    found: u64,
    /// The records that were found, a bit each.
    records: Vec<u64>,
    /// One that was found again.
    twice: Option<u64>,
}

#[derive(Clone, Copy, Debug)]
struct LedgerRow {
    revision: i64,
    event_count: u64,
    record_count: u64,
    first_date: Option<NaiveDate>,
}

impl Window {
    fn may_hold(&self, file: &DataFile) -> bool {
        let stats = FileStats::parse(file.stats.as_deref());
        match &self.days {
            None => stats.nulls(LOG_DATE) != Some(0),
            Some(days) => stats
                .dates(LOG_DATE)
                .is_none_or(|(first, last)| days.iter().any(|day| first <= *day && *day <= last)),
        }
    }

    fn holds(&self, day: Option<NaiveDate>) -> bool {
        match (&self.days, day) {
            (Some(days), Some(day)) => days.contains(&day),
            (None, None) => true,
            _ => false,
        }
    }

    fn add_ledger(&mut self, batch: &RecordBatch) -> Result<()> {
        let (names, days) = (text(batch, "log_file")?, dates(batch)?);
        let number = |name: &'static str| -> Result<Vec<u64>> {
            let column = column(batch, name)?.as_primitive_opt::<Int64Type>().context(name)?;
            Ok(column
                .iter()
                .map(|value| value.and_then(|value| u64::try_from(value).ok()).unwrap_or(0))
                .collect())
        };
        let (events, records) = (number("event_count")?, number("record_count")?);
        let revisions = number("revision")?;
        let times = column(batch, "min_event_time")?.as_primitive_opt::<TimestampMicrosecondType>();
        let times = times.context("min_event_time is no time")?;
        for (row, day) in days.into_iter().enumerate() {
            if !self.holds(day) {
                continue;
            }
            let time = times.is_valid(row).then(|| DateTime::from_timestamp_micros(times.value(row)));
            let time = time.flatten().map(|time| time.date_naive());
            let told = LedgerRow {
                revision: i64::try_from(revisions[row])?,
                event_count: events[row],
                record_count: records[row],
                first_date: time.min(day).or(time).or(day),
            };
            let of_file = self.log_files.entry(names.value(row).to_owned()).or_default();
            if of_file.ledger.is_none_or(|known| known.revision < told.revision) {
                of_file.ledger = Some(told);
            }
        }
        Ok(())
    }

    fn add_events(&mut self, batch: &RecordBatch) -> Result<u64> {
        let (names, days) = (text(batch, LOG_FILE)?, dates(batch)?);
        let indexes = column(batch, RECORD_INDEX)?.as_primitive_opt::<Int32Type>();
        let indexes = indexes.context("record_index is no number")?;
        let mut seen = 0;
        for (row, day) in days.into_iter().enumerate() {
            if !self.holds(day) {
                continue;
            }
            seen += 1;
            let name = names.value(row);
            let index = indexes.is_valid(row).then(|| indexes.value(row));
            match self.log_files.get_mut(name) {
                Some(of_file) => of_file.add(index),
                None => self.log_files.entry(name.to_owned()).or_default().add(index),
            }
        }
        Ok(seen)
    }
}

impl LogFileRows {
    fn add(&mut self, index: Option<i32>) {
        self.found += 1;
        let Some(index) = index.and_then(|index| u64::try_from(index).ok()) else { return };
        // A file that claims more records than it has must not cost memory.
        let bound = self.ledger.map_or(0, |ledger| ledger.record_count.min(1 << 24));
        let Some(word) = usize::try_from(index / 64).ok().filter(|_| index < bound) else { return };
        if self.records.len() <= word {
            self.records.resize(word + 1, 0);
        }
        let bit = 1 << (index % 64);
        if self.records[word] & bit != 0 {
            self.twice = Some(index);
        }
        self.records[word] |= bit;
    }

    fn compare(self, log_file: &str, retained_from: Option<NaiveDate>, checked: &mut Checked) {
        let Some(ledger) = self.ledger else {
            let detail = format!("{} rows of events; the ledger does not have it", self.found);
            return checked.add(Kind::Events, "unknown log file", log_file, detail);
        };
        checked.num_log_files += 1;
        let dropped = retained_from.is_some_and(|from| ledger.first_date.is_none_or(|date| date < from));
        checked.num_dropped += u64::from(dropped);
        if let Some(index) = self.twice {
            checked.add(Kind::Events, "record twice", log_file, format!("record {index} of it"));
        }
        let agrees = self.found == ledger.event_count || dropped && self.found < ledger.event_count;
        if !agrees {
            let detail = format!("{} rows of events; the ledger says {}", self.found, ledger.event_count);
            checked.add(Kind::LogFiles, "other rows", log_file, detail);
        }
    }
}

fn column<'a>(batch: &'a RecordBatch, name: &'static str) -> Result<&'a arrow::array::ArrayRef> {
    batch.column_by_name(name).with_context(|| format!("rows without {name}"))
}

fn text<'a>(batch: &'a RecordBatch, name: &'static str) -> Result<&'a StringArray> {
    column(batch, name)?.as_string_opt().with_context(|| format!("{name} is no text"))
}

/// The dates in the keys of the rows' log files.
fn dates(batch: &RecordBatch) -> Result<Vec<Option<NaiveDate>>> {
    let dates = column(batch, LOG_DATE)?;
    if dates.data_type() != &DataType::Date32 {
        bail!("{LOG_DATE} is no date");
    }
    let dates = dates.as_primitive::<Date32Type>();
    Ok((0..dates.len())
        .map(|row| if dates.is_valid(row) { dates.value_as_date(row) } else { None })
        .collect())
}
