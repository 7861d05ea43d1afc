//! The commit: one conditional write to the log of `events`, and the ledger that follows it.
//!
//! `events` is the truth. A commit to it adds the batch's rows and, in `commitInfo`, points to the
//! files with the batch's rows of `log_files` and `quarantine`. Those tables add the files
//! afterwards, noting in a `txn` up to which version of `events` they have followed. Whoever opens
//! the lake to write makes up for a crash between the two.

use std::collections::{BTreeMap, HashSet};
use std::ops::RangeInclusive;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use anyhow::{Context, Result, bail};
use bytes::Bytes;
use chrono::NaiveDate;
use tracing::{debug, info, warn};
use uuid::Uuid;

use super::action::{Add, Commit, Pointers, append_lines};
use super::entry::LogFileId;
use super::seen::Seen;
use super::table::{Put, Table};
use super::writer::{LakeWriter, Staged, num_records};

/// How long a writer may trust its head. A log is cleaned no sooner than 30 days after a commit; a
/// writer that slept longer could find its next version free because it has been cleaned away.
const HEAD_TRUSTED_FOR: Duration = Duration::from_hours(1);

/// How far the ledger's `txn` may lag behind commits of other engines that give it nothing to add.
const LEDGER_LAG: u64 = 100;

/// What a commit did.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Committed {
    /// The version of `events` that holds the batches.
    pub version: u64,
    /// How many log files were added.
    pub files: u64,
    /// How many log files were left out because the lake has them already.
    pub duplicates: u64,
    /// How many rows `events` has gained.
    pub events: u64,
    /// How many rows `quarantine` has gained.
    pub quarantined: u64,
    /// How many Parquet files `events` has gained.
    pub num_added_files: u64,
    /// How many bytes the lake has gained.
    pub bytes: u64,
}

/// Where a writer believes the ends of the logs to be, and which log files are in the lake.
#[derive(Debug)]
pub(crate) struct Committer {
    events: Arc<Table>,
    ledger: Follower,
    quarantine: Follower,
    writer: LakeWriter,
    /// The newest version of `events` that we have looked at: its log files are in `seen`.
    head: u64,
    /// Commits to `events` that the ledger has not followed yet.
    pending: BTreeMap<u64, Pointers>,
    seen: Seen,
    checked: SystemTime,
}

/// A table that follows `events`.
#[derive(Debug)]
struct Follower {
    table: Arc<Table>,
    version: u64,
    /// Up to which version of `events` it has the files.
    events_version: u64,
}

impl Committer {
    /// Reads the ends of the three logs.
    pub(crate) async fn load(
        events: Arc<Table>,
        log_files: Arc<Table>,
        quarantine: Arc<Table>,
        writer: LakeWriter,
    ) -> Result<Self> {
        let follower = |table| Follower { table, version: 0, events_version: 0 };
        let mut committer = Self {
            events,
            ledger: follower(log_files),
            quarantine: follower(quarantine),
            writer,
            head: 0,
            pending: BTreeMap::new(),
            seen: Seen::default(),
            checked: SystemTime::UNIX_EPOCH,
        };
        committer.reload().await?;
        Ok(committer)
    }

    /// Reads the ends of the logs afresh. The ledger comes before `events`, so that whatever it
    /// lacks is in the commits between.
    async fn reload(&mut self) -> Result<()> {
        let (ledger, quarantine) = tokio::try_join!(self.ledger.table.load(), self.quarantine.table.load())?;
        self.ledger.version = ledger.version;
        self.ledger.events_version = ledger.events_version.unwrap_or(0);
        self.quarantine.version = quarantine.version;
        self.quarantine.events_version = quarantine.events_version.unwrap_or(0);
        self.seen.set_ledger(&ledger.files);
        let (head, _) = self.events.head().await?;
        self.pending.clear();
        for version in self.ledger.events_version + 1..=head {
            let commit = self.events.read_commit(version).await?;
            self.absorb(version, commit.with_context(|| missing(&self.events, version))?);
        }
        self.head = head;
        self.checked = SystemTime::now();
        Ok(())
    }

    /// Takes note of another's commit.
    fn absorb(&mut self, version: u64, commit: Commit) {
        self.seen.add_ledger(&commit.pointers.ledger);
        self.pending.insert(version, commit.pointers);
    }

    /// Reads the commits since our head.
    pub(crate) async fn follow(&mut self) -> Result<()> {
        if self.is_stale() {
            return self.reload().await;
        }
        while let Some(commit) = self.events.read_commit(self.head + 1).await? {
            self.step_over(commit)?;
        }
        self.checked = SystemTime::now();
        Ok(())
    }

    /// Moves the head past another's commit.
    fn step_over(&mut self, commit: Commit) -> Result<()> {
        let version = self.head + 1;
        if commit.changes_table {
            bail!("version {version} of {} changes the table itself: open the lake anew", self.events);
        }
        self.absorb(version, commit);
        self.head = version;
        Ok(())
    }

    /// A clock that was set back counts as well.
    fn is_stale(&self) -> bool {
        self.checked.elapsed().map_or(true, |elapsed| elapsed > HEAD_TRUSTED_FOR)
    }

    /// The size of each of these log files that the lake has. All dates are looked at if none is given.
    pub(crate) async fn known(
        &mut self,
        ids: &[LogFileId],
        dates: Option<&RangeInclusive<NaiveDate>>,
    ) -> Result<Vec<Option<u64>>> {
        self.follow().await?;
        self.seen.read(&self.ledger.table, dates).await?;
        Ok(ids.iter().map(|id| self.seen.size(*id)).collect())
    }

    /// Commits batches to `events`, then brings the other tables up to it.
    pub(crate) async fn commit(&mut self, batches: Vec<Staged>) -> Result<Committed> {
        let committed = self.commit_events(batches).await?;
        if let Err(error) = self.catch_up().await {
            // The batch is in the lake. The next commit or the next to open it adds the ledger's rows.
            warn!(error = format!("{error:#}"), "the ledger lags behind events");
        }
        self.events.checkpoint_if_due(committed.version).await;
        Ok(committed)
    }

    /// The atomic part. After an error nothing is known to be committed; the same log files may be
    /// written and committed again, and are left out if they have landed after all.
    pub(crate) async fn commit_events(&mut self, batches: Vec<Staged>) -> Result<Committed> {
        if self.is_stale() {
            self.reload().await?;
        }
        let commit_id = Uuid::new_v4().to_string();
        let given: usize = batches.iter().map(Staged::num_log_files).sum();
        let mut batches = self.without_repeated(batches).await?;
        loop {
            batches = self.without_known(batches).await?;
            let mut committed = summary(&batches);
            committed.duplicates = (given as u64).saturating_sub(committed.files);
            if committed.files == 0 {
                return Ok(Committed { version: self.head, ..committed });
            }
            committed.version = self.head + 1;
            let (adds, pointers) = actions(&batches, commit_id.clone());
            let lines: Bytes = append_lines(&adds, &pointers, None)?.into();
            match self.events.put_commit(committed.version, &commit_id, &lines).await? {
                Put::Landed => {
                    self.landed(&committed, &batches, pointers);
                    return Ok(committed);
                }
                Put::Taken(commit) => {
                    debug!(version = committed.version, "another writer was first");
                    self.step_over(commit)?;
                }
            }
        }
    }

    fn landed(&mut self, committed: &Committed, batches: &[Staged], pointers: Pointers) {
        self.head = committed.version;
        self.checked = SystemTime::now();
        self.pending.insert(committed.version, pointers);
        for batch in batches {
            self.seen.add_own(&batch.files, &batch.ledger);
        }
        info!(
            version = committed.version,
            files = committed.files,
            duplicates = committed.duplicates,
            events = committed.events,
            bytes = committed.bytes,
            "committed"
        );
    }

    /// Drops log files that stand in two of the batches from the later one.
    async fn without_repeated(&self, batches: Vec<Staged>) -> Result<Vec<Staged>> {
        let mut ids = HashSet::new();
        let mut kept = Vec::with_capacity(batches.len());
        for batch in batches {
            let repeated: HashSet<LogFileId> =
                batch.files.iter().map(|file| file.id).filter(|id| !ids.insert(*id)).collect();
            kept.push(self.rewritten(batch, &repeated).await?);
        }
        Ok(kept)
    }

    /// Drops log files that the lake has, up to our head.
    async fn without_known(&mut self, batches: Vec<Staged>) -> Result<Vec<Staged>> {
        let mut kept = Vec::with_capacity(batches.len());
        for batch in batches.into_iter().filter(|batch| !batch.files.is_empty()) {
            self.seen.read(&self.ledger.table, batch.log_dates().as_ref()).await?;
            let known: HashSet<LogFileId> =
                batch.files.iter().map(|file| file.id).filter(|id| self.seen.size(*id).is_some()).collect();
            kept.push(self.rewritten(batch, &known).await?);
        }
        Ok(kept)
    }

    async fn rewritten(&self, batch: Staged, unwanted: &HashSet<LogFileId>) -> Result<Staged> {
        if unwanted.is_empty() {
            return Ok(batch);
        }
        self.writer.without(batch, unwanted).await
    }

    /// Lets `quarantine`, then `log_files` add what commits to `events` point to.
    ///
    /// In this order, so that `quarantine` is complete up to the version in the ledger's `txn` and
    /// needs no commits of its own while there is nothing to add.
    pub(crate) async fn catch_up(&mut self) -> Result<()> {
        let target = self.head;
        let followed = self.ledger.events_version;
        self.quarantine.events_version = self.quarantine.events_version.max(followed);
        self.quarantine.add(&self.pending, target, u64::MAX, |pointers| &pointers.quarantine).await?;
        self.ledger.add(&self.pending, target, LEDGER_LAG, |pointers| &pointers.ledger).await?;
        let followed = self.ledger.events_version;
        self.pending.retain(|version, _| *version > followed);
        Ok(())
    }
}

impl Follower {
    /// Adds the files of the commits that this table has not followed yet, unless another does.
    async fn add(
        &mut self,
        pending: &BTreeMap<u64, Pointers>,
        target: u64,
        allowed_lag: u64,
        files: impl Fn(&Pointers) -> &Vec<Add>,
    ) -> Result<()> {
        let commit_id = Uuid::new_v4().to_string();
        loop {
            let commits = pending.range(self.events_version + 1..).filter(|(version, _)| **version <= target);
            let adds: Vec<Add> = commits.flat_map(|(_, pointers)| files(pointers).clone()).collect();
            if adds.is_empty() && target.saturating_sub(self.events_version) < allowed_lag {
                return Ok(());
            }
            let pointers = Pointers { commit_id: commit_id.clone(), ..Pointers::default() };
            let lines: Bytes = append_lines(&adds, &pointers, Some(target))?.into();
            let version = self.version + 1;
            let put = self.table.put_commit(version, &commit_id, &lines).await?;
            self.version = version;
            match put {
                Put::Landed => {
                    self.events_version = target;
                    self.table.checkpoint_if_due(version).await;
                    return Ok(());
                }
                Put::Taken(commit) if commit.changes_table => {
                    bail!("version {version} of {} changes the table itself", self.table)
                }
                Put::Taken(commit) => {
                    self.events_version = self.events_version.max(commit.events_version.unwrap_or(0));
                }
            }
        }
    }
}

fn actions(batches: &[Staged], commit_id: String) -> (Vec<Add>, Pointers) {
    let all = |adds: fn(&Staged) -> &Vec<Add>| batches.iter().flat_map(adds).cloned().collect();
    let pointers = Pointers {
        commit_id,
        ledger: all(|batch| &batch.ledger),
        quarantine: all(|batch| &batch.quarantine),
    };
    (all(|batch| &batch.events), pointers)
}

fn summary(batches: &[Staged]) -> Committed {
    let mut committed = Committed::default();
    for batch in batches {
        committed.files += batch.files.len() as u64;
        committed.events += num_records(&batch.events);
        committed.quarantined += num_records(&batch.quarantine);
        committed.num_added_files += batch.events.len() as u64;
        committed.bytes += batch.bytes();
    }
    committed
}

/// What to say when a commit is gone that the ledger still needs.
pub(crate) fn missing(events: &Table, version: u64) -> String {
    format!("version {version} of {events} was cleaned away before the ledger had followed it")
}

#[cfg(test)]
impl Committer {
    /// Pretends that the logs were last looked at then.
    pub(crate) fn forget_when_checked(&mut self, checked: SystemTime) {
        self.checked = checked;
    }
}
