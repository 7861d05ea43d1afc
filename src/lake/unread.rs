//! Which files of a table were looked into, and which of the others are worth it.

use std::collections::{HashMap, HashSet};
use std::ops::RangeInclusive;

use anyhow::{Context, Result};
use bytes::Bytes;
use chrono::NaiveDate;
use deltalake::logstore::object_store::path::Path;
use futures::{StreamExt, TryStreamExt};

use super::action::Add;
use super::file_stats::FileStats;
use super::table::{DataFile, Table};

/// How many files are read at once.
const CONCURRENT_READS: usize = 16;

/// The files of a table of which a set in memory is made, as far as anyone has asked.
#[derive(Debug)]
pub(crate) struct Unread {
    /// The column that says of which dates a row is.
    column: &'static str,
    /// Files that are not read yet, and the dates of their rows, if the statistics tell.
    files: HashMap<Path, Option<(NaiveDate, NaiveDate)>>,
    /// Files that were read, or written by us.
    read: HashSet<Path>,
}

/// Between which dates the rows of a file are: nothing if some row may have no date.
fn dates(stats: Option<&str>, column: &str) -> Option<(NaiveDate, NaiveDate)> {
    let stats = FileStats::parse(stats);
    let has_all = stats.nulls(column) == Some(0);
    has_all.then(|| stats.dates(column)).flatten()
}

fn may_hold(dates: Option<(NaiveDate, NaiveDate)>, wanted: Option<&RangeInclusive<NaiveDate>>) -> bool {
    match (dates, wanted) {
        (Some((first, last)), Some(wanted)) => first <= *wanted.end() && last >= *wanted.start(),
        _ => true,
    }
}

impl Unread {
    pub(crate) fn new(column: &'static str) -> Self {
        Self { column, files: HashMap::new(), read: HashSet::new() }
    }

    /// Replaces the list of files to look into by that of a newer snapshot.
    pub(crate) fn set(&mut self, files: &[DataFile]) {
        // What others have replaced meanwhile need not be remembered.
        let active: HashSet<&Path> = files.iter().map(|file| &file.path).collect();
        self.read.retain(|path| active.contains(path));
        let unread = files.iter().filter(|file| !self.read.contains(&file.path));
        let unread = unread.map(|file| (file.path.clone(), dates(file.stats.as_deref(), self.column)));
        self.files = unread.collect();
    }

    /// Adds files that a commit points to.
    pub(crate) fn add(&mut self, adds: &[Add]) {
        for add in adds {
            let path = Path::from(add.path.as_str());
            if !self.read.contains(&path) {
                self.files.insert(path, dates(add.stats.as_deref(), self.column));
            }
        }
    }

    /// Takes it that these were read.
    pub(crate) fn skip(&mut self, adds: &[Add]) {
        for add in adds {
            let path = Path::from(add.path.as_str());
            self.files.remove(&path);
            self.read.insert(path);
        }
    }

    /// Reads the files that may hold rows of these dates (of all dates, if none is given), each once.
    pub(crate) async fn read<T: Send + 'static>(
        &mut self,
        table: &Table,
        dates: Option<&RangeInclusive<NaiveDate>>,
        parse: fn(Bytes) -> Result<Vec<T>>,
        mut take: impl FnMut(T),
    ) -> Result<()> {
        let wanted = self.files.iter().filter(|(_, held)| may_hold(**held, dates));
        let wanted: Vec<Path> = wanted.map(|(path, _)| path.clone()).collect();
        let mut reads = futures::stream::iter(wanted)
            .map(|path| async move {
                let bytes = table.get_file(&path).await?;
                let rows = tokio::task::spawn_blocking(move || parse(bytes)).await?;
                anyhow::Ok((rows.with_context(|| format!("reading {path} of {table}"))?, path))
            })
            .buffer_unordered(CONCURRENT_READS);
        while let Some((rows, path)) = reads.try_next().await? {
            rows.into_iter().for_each(&mut take);
            self.files.remove(&path);
            self.read.insert(path);
        }
        Ok(())
    }
}
