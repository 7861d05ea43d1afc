//! Files of a table for others: those leave and these join in one version, unless somebody else has
//! touched the same files meanwhile.
//!
//! It takes no note of who adds files at the same time. Only of a file that has left the table already
//! must nobody put the rows back, so every commit since the version that a swap was made of is looked
//! through for the files that it removes.

use std::time::SystemTime;

use anyhow::{Context, Result, bail};
use bytes::Bytes;
use chrono::{NaiveDate, Utc};
use uuid::Uuid;

use super::action::{Add, Commit, Pointers, Remove, replace_lines};
use super::commit::HEAD_TRUSTED_FOR;
use super::table::{DataFile, Put, Table};
use super::withdraw::collides;
use crate::failpoint;

/// Some files, and those that take their place.
#[derive(Clone, Debug, Default)]
pub(crate) struct Swap {
    pub(crate) removes: Vec<Remove>,
    pub(crate) adds: Vec<Add>,
}

/// What a commit that swaps files is called in the table's history.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Operation {
    /// The rows stay.
    Optimize,
    /// The rows go, and none of an earlier date than this is left.
    Retain(NaiveDate),
}

impl Operation {
    fn name(self) -> &'static str {
        match self {
            Self::Optimize => "OPTIMIZE",
            Self::Retain(_) => "DELETE",
        }
    }

    fn retained_from(self) -> Option<NaiveDate> {
        match self {
            Self::Optimize => None,
            Self::Retain(date) => Some(date),
        }
    }
}

/// The end of a log as somebody has seen it.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Head {
    pub(crate) version: u64,
    pub(crate) seen: SystemTime,
}

impl Head {
    /// Of a table whose log is read from now on.
    pub(crate) fn before(version: u64, seen: SystemTime) -> Self {
        Self { version, seen }
    }

    /// Older ones are not to be followed: what comes next may have been cleaned away.
    fn check(&self, table: &Table) -> Result<()> {
        let trusted = self.seen.elapsed().is_ok_and(|elapsed| elapsed < HEAD_TRUSTED_FOR);
        if !trusted {
            bail!("{table} was looked at too long ago to commit to it: try again");
        }
        Ok(())
    }
}

/// What became of swaps.
#[derive(Debug, Default)]
pub(crate) struct Swapped {
    /// The version that holds those that landed, if any did.
    pub(crate) version: Option<u64>,
    pub(crate) landed: Vec<Swap>,
    /// Those whose files others had taken away. What was written for them is not needed.
    pub(crate) lost: Vec<Swap>,
}

/// Commits swaps that were made of the files at `head`, all that can be in one version.
///
/// After an error it is not known whether they have landed: their files must stay.
pub(crate) async fn commit(
    table: &Table,
    head: &mut Head,
    swaps: Vec<Swap>,
    operation: Operation,
) -> Result<Swapped> {
    head.check(table)?;
    let mut swapped = Swapped { landed: swaps, ..Swapped::default() };
    while let Some(commit) = table.read_commit(head.version + 1).await? {
        swapped.step_over(table, head, &commit)?;
    }
    let commit_id = Uuid::new_v4().to_string();
    while !swapped.landed.is_empty() {
        let version = head.version + 1;
        let lines = lines(&swapped.landed, operation, &commit_id)?;
        failpoint::reach(failpoint::BEFORE_SWAP);
        match table.put_commit(version, &commit_id, &lines).await? {
            Put::Landed => {
                failpoint::reach(failpoint::AFTER_SWAP);
                *head = Head { version, seen: SystemTime::now() };
                swapped.version = Some(version);
                table.checkpoint_if_due(version).await;
                break;
            }
            Put::Taken(commit) => swapped.step_over(table, head, &commit)?,
        }
    }
    Ok(swapped)
}

fn lines(swaps: &[Swap], operation: Operation, commit_id: &str) -> Result<Bytes> {
    let removes: Vec<Remove> = swaps.iter().flat_map(|swap| swap.removes.iter().cloned()).collect();
    let adds: Vec<Add> = swaps.iter().flat_map(|swap| swap.adds.iter().cloned()).collect();
    let pointers = Pointers { commit_id: commit_id.to_owned(), ..Pointers::default() };
    let lines = replace_lines(operation.name(), operation.retained_from(), &removes, &adds, &pointers)?;
    Ok(lines.into())
}

impl Swapped {
    /// Moves past another's commit, and gives up what it has taken away.
    fn step_over(&mut self, table: &Table, head: &mut Head, commit: &Commit) -> Result<()> {
        let version = head.version + 1;
        if commit.changes_table {
            bail!("version {version} of {table} changes the table itself: try again");
        }
        let landed = std::mem::take(&mut self.landed);
        let lost = |swap: &Swap| collides(&commit.removed, &swap.removes);
        let (lost, left): (Vec<_>, Vec<_>) = landed.into_iter().partition(lost);
        self.lost.extend(lost);
        self.landed = left;
        *head = Head { version, seen: SystemTime::now() };
        Ok(())
    }
}

/// Whether the log can spell the path of a file in one way only. A `remove` of another could miss it,
/// and its rows would be there twice.
pub(crate) fn is_plain(file: &DataFile) -> bool {
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || b"/=._-".contains(&byte);
    file.path.as_ref().bytes().all(plain)
}

/// The action that takes a file out of its table.
pub(crate) fn remove(file: &DataFile, data_change: bool) -> Result<Remove> {
    if !is_plain(file) {
        bail!("cannot replace {}: no file of trailq's has such a name", file.path);
    }
    Ok(Remove {
        path: file.path.to_string(),
        deletion_timestamp: Some(Utc::now().timestamp_millis()),
        data_change,
        extended_file_metadata: true,
        partition_values: Some(file.partition_values.iter().cloned().collect()),
        size: Some(file.size),
    })
}

/// What a table's log says now, and where it ends.
pub(crate) async fn look(table: &Table) -> Result<(Head, Vec<DataFile>)> {
    let seen = SystemTime::now();
    let state = table.load().await.with_context(|| format!("looking at {table}"))?;
    Ok((Head::before(state.version, seen), state.files))
}
