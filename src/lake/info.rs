//! What a lake consists of, and what optimize and vacuum would make of it.

use std::time::Duration;

use anyhow::{Context, Result};
use chrono::{NaiveDate, Utc};
use deltalake::logstore::object_store::{ObjectMeta, ObjectStore, path::Path};
use futures::StreamExt;
use serde::Serialize;

use super::Lake;
use super::file_stats::FileStats;
use super::optimize::OptimizeOptions;
use super::retain::event_date;
use super::settle::Settled;
use super::table::{DataFile, Table};
use super::tables::Kind;

/// What a lake consists of.
#[derive(Clone, Debug, Serialize)]
pub struct LakeInfo {
    /// Where it is.
    pub url: String,
    /// Of which days there are events.
    pub first_event_date: Option<NaiveDate>,
    /// The last of them.
    pub last_event_date: Option<NaiveDate>,
    /// The first date whose events retention has left, if it has dropped any.
    pub retained_from: Option<NaiveDate>,
    /// Files of `events` that no query needs to judge.
    pub integrity: Settled,
    /// Its tables.
    pub tables: Vec<TableInfo>,
}

/// What a table consists of.
#[derive(Clone, Debug, Default, Serialize)]
pub struct TableInfo {
    /// Its name.
    pub table: &'static str,
    /// Its newest version.
    pub version: u64,
    /// Rows.
    pub num_records: u64,
    /// Parquet files.
    pub num_files: u64,
    /// Bytes of these.
    pub size_in_bytes: u64,
    /// The size of which half of the files are smaller.
    pub median_file_size: u64,
    /// The size of the largest.
    pub max_file_size: u64,
    /// Partitions, or 1 if it has none.
    pub num_partitions: u64,
    /// The log: commits that are still there.
    pub num_commits: u64,
    /// The log: files of checkpoints.
    pub num_checkpoints: u64,
    /// The log: bytes of both.
    pub log_size_in_bytes: u64,
    /// What optimize would do.
    pub optimize: Winnings,
    /// What vacuum would delete: files that are not in the table, older than the retention.
    pub vacuum: Unused,
    /// Files that are not in the table and younger.
    pub unused: Unused,
}

/// What optimize would do to a table.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Winnings {
    /// So many files would be replaced,
    pub num_removed_files: u64,
    /// by about so many,
    pub num_added_files: u64,
    /// and so many bytes read and written.
    pub removed_bytes: u64,
}

/// Files that are in no table.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Unused {
    /// How many.
    pub num_files: u64,
    /// Their bytes.
    pub size_in_bytes: u64,
}

impl Lake {
    /// Looks at all tables. `retention` is that of vacuum.
    pub async fn info(&self, options: &OptimizeOptions, retention: Duration) -> Result<LakeInfo> {
        let mut tables = vec![];
        let mut dates: Option<(NaiveDate, NaiveDate)> = None;
        let now = Utc::now();
        let (old, all) = tokio::try_join!(self.unused(retention, now), self.unused(Duration::ZERO, now))?;
        for kind in self.kinds().await? {
            let state = self.table(kind).load().await?;
            let mut info = table_info(kind, &state.files);
            info.version = state.version;
            self.table(kind).log_info(&mut info).await?;
            let (removed, added, bytes) = Self::plan_optimize(kind, &state.files, options);
            info.optimize = Winnings {
                num_removed_files: removed as u64,
                num_added_files: added as u64,
                removed_bytes: bytes,
            };
            let unused = |unused: &[(Kind, Vec<_>)]| {
                let of_kind = unused.iter().filter(|(of, _)| *of == kind).flat_map(|(_, files)| files);
                let size = |files: Unused, file: &ObjectMeta| Unused {
                    num_files: files.num_files + 1,
                    size_in_bytes: files.size_in_bytes + file.size,
                };
                of_kind.fold(Unused::default(), size)
            };
            (info.vacuum, info.unused) = (unused(&old), unused(&all));
            info.unused.num_files = info.unused.num_files.saturating_sub(info.vacuum.num_files);
            info.unused.size_in_bytes = info.unused.size_in_bytes.saturating_sub(info.vacuum.size_in_bytes);
            if kind == Kind::Events {
                let all = || state.files.iter().filter_map(event_date);
                dates = all().min().zip(all().max());
            }
            tables.push(info);
        }
        Ok(LakeInfo {
            url: self.url().to_owned(),
            first_event_date: dates.map(|(first, _)| first),
            last_event_date: dates.map(|(_, last)| last),
            retained_from: self.retained_from().await?,
            integrity: self.settled().await?,
            tables,
        })
    }
}

fn table_info(kind: Kind, files: &[DataFile]) -> TableInfo {
    let mut sizes: Vec<u64> = files.iter().map(|file| file.size).collect();
    sizes.sort_unstable();
    let partitions: std::collections::HashSet<_> = files.iter().map(|file| &file.partition_values).collect();
    let rows = files.iter().filter_map(|file| FileStats::parse(file.stats.as_deref()).num_records);
    TableInfo {
        table: kind.name(),
        num_records: rows.sum(),
        num_files: files.len() as u64,
        size_in_bytes: sizes.iter().sum(),
        median_file_size: sizes.get(sizes.len() / 2).copied().unwrap_or_default(),
        max_file_size: sizes.last().copied().unwrap_or_default(),
        num_partitions: partitions.len() as u64,
        ..TableInfo::default()
    }
}

impl Table {
    async fn log_info(&self, info: &mut TableInfo) -> Result<()> {
        let mut listing = self.store().list(Some(&Path::from("_delta_log")));
        while let Some(file) = listing.next().await {
            let file = file.with_context(|| format!("listing the log of {self}"))?;
            let name = file.location.filename().unwrap_or_default();
            info.log_size_in_bytes += file.size;
            info.num_commits += u64::from(name.strip_suffix(".json").is_some());
            info.num_checkpoints += u64::from(name.contains(".checkpoint"));
        }
        Ok(())
    }
}
