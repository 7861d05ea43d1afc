//! Compaction: small files to large ones, in the order and with the settings of all others.
//!
//! A row does not change, nor does what it is found by: log files, digests and pieces of quarantine are
//! known by their addresses and ids, never by a Parquet file. What is replaced is committed as a [`swap`]:
//! whoever removed one of the files meanwhile wins, and the group is planned anew from what is there then.
//! So any number may optimize at once, next to whoever else writes; they only waste each other's work.
//!
//! The delta crate's own OPTIMIZE is not used: two of them at once can both succeed, and every row is
//! there twice.

mod merge;
mod plan;
mod rows;

use std::collections::HashSet;

use anyhow::{Context, Result};
use chrono::Utc;
use deltalake::logstore::object_store::path::Path;
use tokio_util::sync::CancellationToken;
use tracing::{debug, info, warn};

use self::plan::{Group, Policy};
use super::Lake;
use super::action::Add;
use super::swap::{self, Head, Operation, Swap};
use super::table::DataFile;
use super::tables::Kind;
use crate::output::causes;

/// Of the memory limit, what files that are being read may take. The rest is for the one being written.
const FOR_READING: f64 = 0.6;

/// Groups are committed together until they come to this many bytes or files.
const COMMIT_BYTES: u64 = 1 << 30;
const COMMIT_GROUPS: usize = 64;

/// Groups that could not be merged at once, or that others had touched, are planned anew so often.
const ROUNDS: usize = 12;

/// How files are to be joined.
#[derive(Clone, Debug)]
pub struct OptimizeOptions {
    /// The size of a file of `events` to aim for, in bytes.
    pub target_size: u64,
    /// Memory to stay within, in bytes.
    pub memory_limit: u64,
    /// Whether every small file is worth it, or only so many that no row is written again often.
    pub everything: bool,
}

impl Default for OptimizeOptions {
    fn default() -> Self {
        Self { target_size: 256 << 20, memory_limit: 512 << 20, everything: true }
    }
}

impl OptimizeOptions {
    pub(crate) fn policy(&self) -> Policy {
        #[expect(
            clippy::cast_possible_truncation,
            clippy::cast_sign_loss,
            clippy::cast_precision_loss,
            reason = "an estimate"
        )]
        let memory = (self.memory_limit as f64 * FOR_READING) as u64;
        Policy { target_size: self.target_size, memory, everything: self.everything, now: Utc::now() }
    }
}

/// What was done to a table.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Optimized {
    /// Files that were replaced.
    pub num_removed_files: u64,
    /// Files that took their place.
    pub num_added_files: u64,
    /// Bytes of the former.
    pub removed_bytes: u64,
    /// Bytes of the latter.
    pub added_bytes: u64,
    /// Commits that it took.
    pub commits: u64,
    /// Groups that others were at, too.
    pub lost: u64,
    /// Groups that could not be merged; the log says why.
    pub failed: u64,
}

impl Lake {
    /// Joins the small files of all tables, and returns what was done to each.
    ///
    /// After `stop` it commits what it has merged, and gives up what it is at.
    pub async fn optimize(
        &self,
        options: &OptimizeOptions,
        stop: &CancellationToken,
    ) -> Result<Vec<(&'static str, Optimized)>> {
        let mut done = vec![];
        for kind in self.kinds().await? {
            let optimized = Optimizer { lake: self, kind, options, stop }.run().await;
            done.push((kind.name(), optimized.with_context(|| format!("optimizing {}", kind.name()))?));
        }
        Ok(done)
    }

    /// How many files each table would lose, and how many it would gain for them.
    pub(crate) fn plan_optimize(
        kind: Kind,
        files: &[DataFile],
        options: &OptimizeOptions,
    ) -> (usize, usize, u64) {
        let groups = plan::plan(kind, files, &options.policy());
        let files = groups.iter().map(|group| group.files.len()).sum();
        (files, groups.len(), groups.iter().map(Group::bytes).sum())
    }
}

/// The work on one table.
struct Optimizer<'a> {
    lake: &'a Lake,
    kind: Kind,
    options: &'a OptimizeOptions,
    stop: &'a CancellationToken,
}

/// A file that cannot be joined with others: another engine's, or one that is damaged.
#[derive(Debug, thiserror::Error)]
#[error("{path}: {why}")]
struct Unfit {
    path: Path,
    why: &'static str,
}

impl Unfit {
    fn columns(path: &Path) -> Self {
        Self { path: path.clone(), why: "it has other columns than those that this version writes" }
    }

    fn order(path: &Path) -> Self {
        Self { path: path.clone(), why: "its rows are not in the order of event_time" }
    }

    fn unreadable(path: &Path) -> Self {
        Self { path: path.clone(), why: "it cannot be read" }
    }
}

/// What is merged and not committed yet.
#[derive(Default)]
struct Merged {
    swaps: Vec<Swap>,
    bytes: u64,
}

impl Optimizer<'_> {
    async fn run(&self) -> Result<Optimized> {
        let mut done = Optimized::default();
        let mut left_alone: HashSet<Path> = HashSet::new();
        for _ in 0..ROUNDS {
            let table = self.lake.table(self.kind);
            let (mut head, mut files) = swap::look(table).await?;
            files.retain(|file| !left_alone.contains(&file.path));
            let groups = plan::plan(self.kind, &files, &self.options.policy());
            if groups.is_empty() || self.stop.is_cancelled() {
                break;
            }
            debug!(table = table.name, groups = groups.len(), "planned");
            self.round(groups, &mut head, &mut left_alone, &mut done).await?;
        }
        if done.commits > 0 {
            let (version, _) = self.lake.table(self.kind).head().await?;
            self.lake.table(self.kind).checkpoint(version).await;
        }
        Ok(done)
    }

    async fn round(
        &self,
        groups: Vec<Group>,
        head: &mut Head,
        left_alone: &mut HashSet<Path>,
        done: &mut Optimized,
    ) -> Result<()> {
        let mut merged = Merged::default();
        for group in groups {
            if self.stop.is_cancelled() {
                break;
            }
            match self.merge(group.clone()).await {
                Ok(swap) => {
                    merged.bytes += group.bytes();
                    merged.swaps.push(swap);
                }
                Err(_) if self.stop.is_cancelled() => break,
                Err(error) => {
                    let files = group.files.len();
                    let table = self.kind.name();
                    warn!(table, files, error = causes(&error), "files were not joined");
                    done.failed += 1;
                    match error.downcast_ref::<Unfit>() {
                        // The others are tried again without it.
                        Some(unfit) => left_alone.extend([unfit.path.clone()]),
                        None => left_alone.extend(group.files.into_iter().map(|member| member.file.path)),
                    }
                }
            }
            if merged.bytes >= COMMIT_BYTES || merged.swaps.len() >= COMMIT_GROUPS {
                self.commit(std::mem::take(&mut merged), head, done).await?;
            }
        }
        self.commit(merged, head, done).await
    }

    /// Writes what takes the place of a group, on a thread that may be busy for long.
    async fn merge(&self, group: Group) -> Result<Swap> {
        let (table, kind, stop) = (self.lake.table(self.kind).clone(), self.kind, self.stop.clone());
        let runtime = tokio::runtime::Handle::current();
        let merge = move || {
            runtime.block_on(async {
                let removes = group.files.iter().map(|member| swap::remove(&member.file, false));
                let removes = removes.collect::<Result<Vec<_>>>()?;
                let mut adds = match kind {
                    Kind::Events => vec![merge::merge(&table, &group, &stop).await?],
                    _ => rows::rewrite(&table, kind, &group).await?,
                };
                for add in &mut adds {
                    add.data_change = false;
                }
                Ok(Swap { removes, adds })
            })
        };
        tokio::task::spawn_blocking(merge).await?
    }

    async fn commit(&self, merged: Merged, head: &mut Head, done: &mut Optimized) -> Result<()> {
        if merged.swaps.is_empty() {
            return Ok(());
        }
        let table = self.lake.table(self.kind);
        let swapped = swap::commit(table, head, merged.swaps, Operation::Optimize).await?;
        for swap in &swapped.lost {
            debug!(table = table.name, files = swap.removes.len(), "others have removed some of these files");
            table.delete_files(&swap.adds).await;
        }
        done.lost += swapped.lost.len() as u64;
        let Some(version) = swapped.version else { return Ok(()) };
        done.commits += 1;
        for swap in &swapped.landed {
            done.num_removed_files += swap.removes.len() as u64;
            done.num_added_files += swap.adds.len() as u64;
            done.removed_bytes += swap.removes.iter().filter_map(|remove| remove.size).sum::<u64>();
            done.added_bytes += bytes(&swap.adds);
        }
        info!(table = table.name, version, groups = swapped.landed.len(), "optimized");
        Ok(())
    }
}

fn bytes(adds: &[Add]) -> u64 {
    adds.iter().map(|add| add.size).sum()
}
