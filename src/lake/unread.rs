//! Which files of a table were looked into, and which of the others are worth it.

use std::collections::HashSet;
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
    /// Files that are not read yet.
    files: Vec<File>,
    /// Files that were read, or written by us.
    read: HashSet<Path>,
}

/// A file and the dates of its rows, if the statistics tell.
#[derive(Debug)]
struct File {
    path: Path,
    /// Nothing if some row may have no date.
    dates: Option<(NaiveDate, NaiveDate)>,
}

impl File {
    fn new(path: Path, stats: Option<&str>, column: &str) -> Self {
        let stats = FileStats::parse(stats);
        let has_all = stats.nulls(column) == Some(0);
        Self { path, dates: has_all.then(|| stats.dates(column)).flatten() }
    }

    fn may_hold(&self, wanted: Option<&RangeInclusive<NaiveDate>>) -> bool {
        match (self.dates, wanted) {
            (Some((first, last)), Some(wanted)) => first <= *wanted.end() && last >= *wanted.start(),
            _ => true,
        }
    }
}

impl Unread {
    pub(crate) fn new(column: &'static str) -> Self {
        Self { column, files: vec![], read: HashSet::new() }
    }

    /// Replaces the list of files to look into by that of a newer snapshot.
    pub(crate) fn set(&mut self, files: &[DataFile]) {
        self.files = files
            .iter()
            .filter(|file| !self.read.contains(&file.path))
            .map(|file| File::new(file.path.clone(), file.stats.as_deref(), self.column))
            .collect();
    }

    /// Adds files that a commit points to.
    pub(crate) fn add(&mut self, adds: &[Add]) {
        for add in adds {
            let path = Path::from(add.path.as_str());
            if !self.read.contains(&path) && !self.files.iter().any(|file| file.path == path) {
                self.files.push(File::new(path, add.stats.as_deref(), self.column));
            }
        }
    }

    /// Takes it that these were read.
    pub(crate) fn skip(&mut self, adds: &[Add]) {
        for add in adds {
            let path = Path::from(add.path.as_str());
            self.files.retain(|file| file.path != path);
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
        let wanted: Vec<Path> =
            self.files.iter().filter(|file| file.may_hold(dates)).map(|file| file.path.clone()).collect();
        let mut reads = futures::stream::iter(wanted)
            .map(|path| async move {
                let bytes = table.get_file(&path).await?;
                let rows = tokio::task::spawn_blocking(move || parse(bytes)).await?;
                anyhow::Ok((rows.with_context(|| format!("reading {path} of {table}"))?, path))
            })
            .buffer_unordered(CONCURRENT_READS);
        while let Some((rows, path)) = reads.try_next().await? {
            rows.into_iter().for_each(&mut take);
            self.read.insert(path);
        }
        drop(reads);
        self.files.retain(|file| !self.read.contains(&file.path));
        Ok(())
    }
}
