//! The log files that the lake has, as far as anyone has asked: a set that fills from the ledger.

use std::collections::{HashMap, HashSet};
use std::ops::RangeInclusive;

use anyhow::{Context, Result};
use arrow::array::{Array, AsArray};
use arrow::datatypes::Int64Type;
use bytes::Bytes;
use chrono::NaiveDate;
use deltalake::logstore::object_store::path::Path;
use futures::{StreamExt, TryStreamExt};

use super::action::Add;
use super::encode::read_columns;
use super::entry::LogFileId;
use super::file_stats::FileStats;
use super::table::{DataFile, Table};
use super::writer::StagedFile;

/// How many ledger files are read at once.
const CONCURRENT_READS: usize = 16;

/// Which log files the lake has.
///
/// An id costs 24 bytes and its share of the table's empty places. Ledger files are read only when
/// someone asks for dates that they may hold.
#[derive(Debug, Default)]
pub(crate) struct Seen {
    sizes: HashMap<LogFileId, u64>,
    /// Files of the ledger that are not read yet.
    unread: Vec<LedgerFile>,
    /// Files of the ledger that were read, or written by us.
    read: HashSet<Path>,
}

/// A file of the ledger and the dates of its log files, if the statistics tell.
#[derive(Debug)]
struct LedgerFile {
    path: Path,
    /// Nothing if some log file may have no date.
    dates: Option<(NaiveDate, NaiveDate)>,
}

impl LedgerFile {
    fn new(path: Path, stats: Option<&str>) -> Self {
        let stats = FileStats::parse(stats);
        let has_all = stats.nulls("log_date") == Some(0);
        Self { path, dates: has_all.then(|| stats.dates("log_date")).flatten() }
    }

    fn may_hold(&self, wanted: Option<&RangeInclusive<NaiveDate>>) -> bool {
        match (self.dates, wanted) {
            (Some((first, last)), Some(wanted)) => first <= *wanted.end() && last >= *wanted.start(),
            _ => true,
        }
    }
}

impl Seen {
    /// Replaces the list of ledger files to look into by that of a newer snapshot.
    pub(crate) fn set_ledger(&mut self, files: &[DataFile]) {
        self.unread = files
            .iter()
            .filter(|file| !self.read.contains(&file.path))
            .map(|file| LedgerFile::new(file.path.clone(), file.stats.as_deref()))
            .collect();
    }

    /// Adds ledger files that a commit points to.
    pub(crate) fn add_ledger(&mut self, adds: &[Add]) {
        for add in adds {
            let path = Path::from(add.path.as_str());
            if !self.read.contains(&path) && !self.unread.iter().any(|file| file.path == path) {
                self.unread.push(LedgerFile::new(path, add.stats.as_deref()));
            }
        }
    }

    /// Adds log files that we have committed ourselves, so that their ledger needs no reading.
    pub(crate) fn add_own(&mut self, files: &[StagedFile], ledger: &[Add]) {
        self.sizes.extend(files.iter().map(|file| (file.id, file.size)));
        for add in ledger {
            let path = Path::from(add.path.as_str());
            self.unread.retain(|file| file.path != path);
            self.read.insert(path);
        }
    }

    /// Reads the ledger files that may hold log files of these dates; of all dates, if none is given.
    pub(crate) async fn read(
        &mut self,
        ledger: &Table,
        dates: Option<&RangeInclusive<NaiveDate>>,
    ) -> Result<()> {
        let wanted: Vec<Path> =
            self.unread.iter().filter(|file| file.may_hold(dates)).map(|file| file.path.clone()).collect();
        let mut reads = futures::stream::iter(wanted)
            .map(|path| async move {
                let bytes = ledger.get_file(&path).await?;
                let ids = tokio::task::spawn_blocking(move || ids(bytes)).await?;
                anyhow::Ok((ids.with_context(|| format!("reading {path} of {ledger}"))?, path))
            })
            .buffer_unordered(CONCURRENT_READS);
        while let Some((ids, path)) = reads.try_next().await? {
            self.sizes.extend(ids);
            self.read.insert(path);
        }
        drop(reads);
        self.unread.retain(|file| !self.read.contains(&file.path));
        Ok(())
    }

    /// The compressed size of a log file that the lake has.
    pub(crate) fn size(&self, id: LogFileId) -> Option<u64> {
        self.sizes.get(&id).copied()
    }
}

fn ids(file: Bytes) -> Result<Vec<(LogFileId, u64)>> {
    let mut ids = vec![];
    for batch in read_columns(file, &["id", "size"])? {
        let hex = batch.column_by_name("id").context("no id")?.as_string::<i32>();
        let sizes = batch.column_by_name("size").context("no size")?.as_primitive::<Int64Type>();
        for (row, hex) in hex.iter().enumerate() {
            let id = hex.and_then(LogFileId::parse).context("a row of the ledger has no id")?;
            let size = if sizes.is_valid(row) { sizes.value(row) } else { 0 };
            ids.push((id, u64::try_from(size).unwrap_or_default()));
        }
    }
    Ok(ids)
}
