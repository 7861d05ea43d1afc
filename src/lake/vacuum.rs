//! Files that nobody needs any more: Parquet files that are in no table, and what the logs say of versions
//! that cannot be read any more.
//!
//! A file that a commit has removed may still be read by who looks at an older version, and a file that
//! no commit names may be about to be committed. So neither goes before its time, the `retention`, has
//! passed. The order matters: the files are listed first, then the tables are read, so that what was
//! committed in between is in them.

use std::collections::HashSet;
use std::time::Duration;

use anyhow::{Context, Result, bail};
use chrono::{DateTime, TimeDelta, Utc};
use deltalake::DeltaTableError;
use deltalake::checkpoints::cleanup_expired_logs_for;
use deltalake::logstore::object_store::{Error as StoreError, ObjectMeta, ObjectStore, path::Path};
use futures::{StreamExt, TryStreamExt};
use percent_encoding::percent_decode_str;
use tracing::info;

use super::Lake;
use super::action::Pointers;
use super::table::Table;
use super::tables::Kind;
use crate::failpoint;

/// Where a table keeps its log.
const LOG_DIRECTORY: &str = "_delta_log";

/// Commits that are read at once.
const CONCURRENT_READS: usize = 32;

/// Below this a running writer or a long query may lose what it needs.
pub const SHORTEST_RETENTION: Duration = Duration::from_hours(24);

/// What may go.
#[derive(Clone, Debug)]
pub struct VacuumOptions {
    /// How long files stay that no table has, or has any more.
    pub retention: Duration,
    /// How long the commits of versions stay, at least as long as the files.
    pub log_retention: Duration,
    /// Whether a retention below [`SHORTEST_RETENTION`] is meant: nobody else uses the lake.
    pub alone: bool,
    /// Whether to say what would go and leave it there.
    pub dry_run: bool,
}

impl Default for VacuumOptions {
    fn default() -> Self {
        let week = Duration::from_hours(7 * 24);
        Self { retention: week, log_retention: week, alone: false, dry_run: false }
    }
}

/// What has gone, or would.
#[derive(Clone, Debug, Default)]
pub struct Vacuumed {
    /// Parquet files, relative to their table.
    pub files: Vec<String>,
    /// Bytes of these.
    pub bytes: u64,
    /// Commits and checkpoints. A dry run does not count them.
    pub log_files: u64,
}

impl Lake {
    /// Deletes files that are in no table and were not for the time of retention, and old commits.
    pub async fn vacuum(&self, options: &VacuumOptions) -> Result<Vec<(&'static str, Vacuumed)>> {
        if !options.alone && options.retention.min(options.log_retention) < SHORTEST_RETENTION {
            bail!("a retention below one day may take what a running writer or query needs");
        }
        let now = Utc::now();
        let unused = self.unused(options.retention, now).await?;
        let mut done = vec![];
        for (kind, unused) in unused {
            let mut vacuumed = Vacuumed {
                bytes: unused.iter().map(|file| file.size).sum(),
                files: unused.iter().map(|file| file.location.to_string()).collect(),
                log_files: 0,
            };
            if !options.dry_run {
                self.table(kind).delete(unused).await?;
                failpoint::reach(failpoint::WHILE_VACUUMING);
                self.table(kind).delete_staged(options.retention);
                vacuumed.log_files = self.clean_log(kind, options, now).await?;
            }
            let (files, log_files) = (vacuumed.files.len(), vacuumed.log_files);
            if files > 0 || log_files > 0 {
                info!(table = kind.name(), files, bytes = vacuumed.bytes, log_files, "vacuumed");
            }
            done.push((kind.name(), vacuumed));
        }
        Ok(done)
    }

    /// The files of each table that are not in it, and were not for so long.
    pub(crate) async fn unused(
        &self,
        retention: Duration,
        now: DateTime<Utc>,
    ) -> Result<Vec<(Kind, Vec<ObjectMeta>)>> {
        let since = now - TimeDelta::from_std(retention)?;
        let mut old = vec![];
        for kind in self.kinds().await? {
            old.push((kind, self.table(kind).files_before(since).await?));
        }
        let pointed_to = self.pointed_to().await?;
        for (kind, files) in &mut old {
            let table = self.table(*kind);
            let mut needed: HashSet<Path> =
                table.load().await?.files.into_iter().map(|file| file.path).collect();
            needed.extend(table.removed_since(since).await?);
            let none = vec![];
            let adds = match kind {
                Kind::Events => &none,
                Kind::LogFiles => &pointed_to.ledger,
                Kind::Quarantine => &pointed_to.quarantine,
                Kind::Digests => &pointed_to.digests,
            };
            needed.extend(adds.iter().map(|add| Path::from(add.path.as_str())));
            files.retain(|file| !needed.contains(&file.location));
        }
        Ok(old)
    }

    /// The tables that there are. A lake that nobody has written to for long may lack the newest kind.
    pub(crate) async fn kinds(&self) -> Result<Vec<Kind>> {
        let mut kinds = vec![];
        for kind in Kind::BY_READERS {
            if self.table(kind).exists().await? {
                kinds.push(kind);
            }
        }
        Ok(kinds)
    }

    /// Files of the other tables that commits to `events` point to and that are not in them yet.
    async fn pointed_to(&self) -> Result<Pointers> {
        let followed = self.followed().await?;
        let (events, mut all) = (self.table(Kind::Events), Pointers::default());
        let (head, _) = events.head().await?;
        for version in followed + 1..=head {
            let commit = events.read_commit(version).await?;
            let pointers = commit.with_context(|| super::commit::missing(events, version))?.pointers;
            all.ledger.extend(pointers.ledger);
            all.quarantine.extend(pointers.quarantine);
            all.digests.extend(pointers.digests);
        }
        Ok(all)
    }

    /// Up to which version of `events` the other tables have what its commits point to.
    async fn followed(&self) -> Result<u64> {
        Ok(self.table(Kind::LogFiles).load().await?.events_version.unwrap_or(0))
    }

    /// Deletes the commits of old versions, but none after the last checkpoint before them, and none
    /// that the other tables have yet to follow.
    async fn clean_log(&self, kind: Kind, options: &VacuumOptions, now: DateTime<Utc>) -> Result<u64> {
        let table = self.table(kind);
        let retention = TimeDelta::from_std(options.log_retention.max(options.retention))?;
        let (head, _) = table.head().await?;
        let keep = if kind == Kind::Events { head.min(self.followed().await?) } else { head };
        let since = (now - retention).timestamp_millis();
        match cleanup_expired_logs_for(keep, table.log_store.as_ref(), since, None).await {
            Ok(deleted) => Ok(deleted as u64),
            // Another vacuum is at the same.
            Err(DeltaTableError::ObjectStore { source: StoreError::NotFound { .. } }) => Ok(0),
            Err(error) => Err(error).with_context(|| format!("cleaning the log of {table}")),
        }
    }
}

impl Table {
    /// The Parquet files below the table that were written before a time, whether it has them or not.
    pub(crate) async fn files_before(&self, time: DateTime<Utc>) -> Result<Vec<ObjectMeta>> {
        let mut found = vec![];
        let mut listing = self.store().list(None);
        while let Some(file) = listing.next().await {
            let file = file.with_context(|| format!("listing {self}"))?;
            if is_data_file(&file.location) && file.last_modified < time {
                found.push(file);
            }
        }
        Ok(found)
    }

    /// The files that commits since a time have removed.
    async fn removed_since(&self, time: DateTime<Utc>) -> Result<HashSet<Path>> {
        let versions = self.versions_since(time).await?;
        let reads = futures::stream::iter(versions).map(|version| self.read_commit(version));
        let mut reads = std::pin::pin!(reads.buffer_unordered(CONCURRENT_READS));
        let mut removed = HashSet::new();
        while let Some(commit) = reads.try_next().await? {
            let paths = commit.map(|commit| commit.removed).unwrap_or_default();
            for path in &paths {
                // Other engines encode what is odd in a path.
                removed.insert(Path::from(percent_decode_str(path).decode_utf8_lossy().as_ref()));
                removed.insert(Path::from(path.as_str()));
            }
        }
        Ok(removed)
    }

    async fn versions_since(&self, time: DateTime<Utc>) -> Result<Vec<u64>> {
        let mut versions = vec![];
        let mut listing = self.store().list(Some(&Path::from(LOG_DIRECTORY)));
        while let Some(file) = listing.next().await {
            let file = file.with_context(|| format!("listing the log of {self}"))?;
            let name = file.location.filename().unwrap_or_default();
            let version: Option<u64> = name.strip_suffix(".json").and_then(|version| version.parse().ok());
            versions.extend(version.filter(|_| file.last_modified >= time));
        }
        Ok(versions)
    }

    async fn delete(&self, files: Vec<ObjectMeta>) -> Result<()> {
        let locations = futures::stream::iter(files).map(|file| Ok(file.location)).boxed();
        let mut deletions = self.store().delete_stream(locations);
        while let Some(deleted) = deletions.next().await {
            match deleted {
                // Another vacuum.
                Ok(_) | Err(StoreError::NotFound { .. }) => {}
                Err(error) => return Err(error).with_context(|| format!("deleting unused files of {self}")),
            }
        }
        Ok(())
    }

    /// Deletes what writers that were killed have left of files in a directory: `NAME.parquet#1`, and in
    /// the log `NAME.json#1`. The store does not list these. In a bucket they are unfinished uploads, for a
    /// lifecycle rule to end.
    fn delete_staged(&self, retention: Duration) {
        let Some(root) = self.local_root() else { return };
        let mut open = vec![root];
        while let Some(directory) = open.pop() {
            let Ok(entries) = std::fs::read_dir(&directory) else { continue };
            for entry in entries.flatten() {
                let path = entry.path();
                let name = entry.file_name().to_string_lossy().into_owned();
                let is_table = !is_hidden(&name) || name == LOG_DIRECTORY;
                let age = entry.metadata().ok().and_then(|data| data.modified().ok()?.elapsed().ok());
                if entry.file_type().is_ok_and(|kind| kind.is_dir()) && is_table {
                    open.push(path);
                } else if is_staged(&name) && age.is_some_and(|age| age >= retention) {
                    let _ = std::fs::remove_file(path);
                }
            }
        }
    }
}

/// Whether a store on disk was still writing this file: it gets its name when it is whole.
fn is_staged(name: &str) -> bool {
    let Some((name, number)) = name.rsplit_once('#') else { return false };
    let is_number = !number.is_empty() && number.bytes().all(|byte| byte.is_ascii_digit());
    is_number && [".parquet", ".json"].iter().any(|kind| name.ends_with(kind))
}

/// Whether a path is one of a table's data files, not of its log or of anything else that is hidden.
fn is_data_file(path: &Path) -> bool {
    path.as_ref().ends_with(".parquet") && !path.parts().any(|part| is_hidden(part.as_ref()))
}

fn is_hidden(name: &str) -> bool {
    name.starts_with(['_', '.'])
}
