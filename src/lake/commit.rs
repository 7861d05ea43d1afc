//! The commit: one conditional write to the log of `events`, and the ledger that follows it.
//!
//! `events` is the truth. A commit to it adds the batch's rows and, in `commitInfo`, points to the
//! files with the batch's rows of `log_files`, `quarantine` and `digests`. Those tables add the files
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

use super::action::{Add, Commit, Pointers, Remove, append_lines, delete_lines};
use super::entry::{DigestStatus, LogFileId};
use super::seen::{Seen, SeenDigests};
use super::table::{Put, Table, TableState};
use super::tables::{Kind, Tables};
use super::withdraw::collides;
use super::writer::{LakeWriter, Staged, StagedFile, num_records};

/// How long a writer may trust its head. A log is cleaned no sooner than a day after a commit; a writer
/// that slept longer could find its next version free because it has been cleaned away.
pub(crate) const HEAD_TRUSTED_FOR: Duration = Duration::from_hours(1);

/// How long a writer may go by the list of ledger files that it knows. Those that were replaced by one
/// are deleted no sooner than a day after.
const FILES_TRUSTED_FOR: Duration = Duration::from_hours(6);

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
    /// How many pieces `quarantine` has gained.
    pub quarantined: u64,
    /// How many pieces of `quarantine` were dealt with.
    pub resolved: u64,
    /// How many rows `digests` has gained.
    pub digests: u64,
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
    digests: Follower,
    writer: LakeWriter,
    /// The newest version of `events` that we have looked at: its log files are in `seen`.
    head: u64,
    /// Commits to `events` that the ledger has not followed yet.
    pending: BTreeMap<u64, Pointers>,
    seen: Seen,
    seen_digests: SeenDigests,
    checked: SystemTime,
    /// When the lists of files were read.
    loaded: SystemTime,
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
    /// Finds the ends of the logs.
    pub(crate) async fn load(tables: &Tables, writer: LakeWriter) -> Result<Self> {
        let follower = |kind| Follower { table: tables.get(kind).clone(), version: 0, events_version: 0 };
        let mut committer = Self {
            events: tables.get(Kind::Events).clone(),
            ledger: follower(Kind::LogFiles),
            quarantine: follower(Kind::Quarantine),
            digests: follower(Kind::Digests),
            writer,
            head: 0,
            pending: BTreeMap::new(),
            seen: Seen::default(),
            seen_digests: SeenDigests::default(),
            checked: SystemTime::UNIX_EPOCH,
            loaded: SystemTime::UNIX_EPOCH,
        };
        committer.reload().await?;
        Ok(committer)
    }

    /// Reads the ends of the logs afresh. The other tables come before `events`, so that whatever
    /// they lack is in the commits between.
    async fn reload(&mut self) -> Result<()> {
        let now = SystemTime::now();
        // All to their end, also after an error: a log that is still read when the process ends panics.
        let (ledger, quarantine, digests) =
            tokio::join!(self.ledger.table.load(), self.quarantine.table.load(), self.digests.table.load());
        let (ledger, quarantine, digests) = (ledger?, quarantine?, digests?);
        self.ledger.set(&ledger);
        self.quarantine.set(&quarantine);
        self.digests.set(&digests);
        self.seen.set_ledger(&ledger.files);
        self.seen_digests.set(&digests.files);
        let (head, _) = self.events.head().await?;
        self.pending.clear();
        for version in self.ledger.events_version + 1..=head {
            let commit = self.events.read_commit(version).await?;
            self.absorb(version, commit.with_context(|| missing(&self.events, version))?);
        }
        self.head = head;
        (self.checked, self.loaded) = (now, now);
        Ok(())
    }

    /// Takes note of another's commit.
    fn absorb(&mut self, version: u64, commit: Commit) {
        self.seen.add_ledger(&commit.pointers.ledger);
        self.seen_digests.add(&commit.pointers.digests);
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
        let older = |time: SystemTime, than| time.elapsed().map_or(true, |elapsed| elapsed > than);
        older(self.checked, HEAD_TRUSTED_FOR) || older(self.loaded, FILES_TRUSTED_FOR)
    }

    /// The size of each of these log files that the lake has. All dates are looked at if none is given.
    pub(crate) async fn known(
        &mut self,
        ids: &[LogFileId],
        dates: Option<&RangeInclusive<NaiveDate>>,
    ) -> Result<Vec<Option<u64>>> {
        self.follow().await?;
        self.seen.read(&self.ledger.table, dates).await?;
        Ok(ids.iter().map(|id| self.seen.known(*id).map(|known| known.size)).collect())
    }

    /// The best outcome of each of these digests that the lake has. All dates are looked at if none is
    /// given.
    pub(crate) async fn known_digests(
        &mut self,
        ids: &[LogFileId],
        dates: Option<&RangeInclusive<NaiveDate>>,
    ) -> Result<Vec<Option<DigestStatus>>> {
        self.follow().await?;
        self.seen_digests.read(&self.digests.table, dates).await?;
        Ok(ids.iter().map(|id| self.seen_digests.best(*id)).collect())
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
        if self.is_stale() || batches.iter().any(Staged::changes_log_files) {
            // What a change was made of may be newer than our head.
            self.follow().await?;
        }
        let commit_id = Uuid::new_v4().to_string();
        let given: usize = batches.iter().map(Staged::num_log_files).sum();
        let mut batches = self.without_repeated(batches).await?;
        loop {
            batches = self.without_known(batches).await?;
            let mut committed = summary(&batches);
            committed.duplicates = (given as u64).saturating_sub(committed.files);
            if batches.iter().all(Staged::is_empty) {
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

    /// Replaces files of `events`, if nobody else has touched them or their log files since version
    /// `base`; nothing otherwise. Brings the other tables up to it.
    pub(crate) async fn replace(
        &mut self,
        base: u64,
        removes: &[Remove],
        staged: &Staged,
    ) -> Result<Option<Committed>> {
        let committed = self.replace_events(base, removes, staged).await?;
        if let Some(committed) = &committed {
            if let Err(error) = self.catch_up().await {
                warn!(error = format!("{error:#}"), "the ledger lags behind events");
            }
            self.events.checkpoint_if_due(committed.version).await;
        }
        Ok(committed)
    }

    /// The atomic part of it.
    pub(crate) async fn replace_events(
        &mut self,
        base: u64,
        removes: &[Remove],
        staged: &Staged,
    ) -> Result<Option<Committed>> {
        self.follow().await?;
        for version in base + 1..=self.head {
            let commit = self.events.read_commit(version).await?;
            if commit.is_none_or(|commit| collides(&commit.removed, removes)) {
                return Ok(None);
            }
        }
        let batches = std::slice::from_ref(staged);
        let commit_id = Uuid::new_v4().to_string();
        loop {
            self.read_known(staged).await?;
            if !staged.files.iter().all(|file| self.seen.is_next(file)) {
                return Ok(None);
            }
            let committed = Committed { version: self.head + 1, events: 0, ..summary(batches) };
            let (adds, pointers) = actions(batches, commit_id.clone());
            let lines: Bytes = delete_lines(removes, &adds, &pointers)?.into();
            match self.events.put_commit(committed.version, &commit_id, &lines).await? {
                Put::Landed => {
                    self.landed(&committed, batches, pointers);
                    return Ok(Some(committed));
                }
                Put::Taken(commit) => {
                    let collides = collides(&commit.removed, removes);
                    self.step_over(commit)?;
                    if collides {
                        return Ok(None);
                    }
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
            self.seen_digests.add_own(&batch.checked, &batch.digests);
        }
        info!(
            version = committed.version,
            files = committed.files,
            duplicates = committed.duplicates,
            events = committed.events,
            digests = committed.digests,
            bytes = committed.bytes,
            "committed"
        );
    }

    /// Drops log files and digests that stand in two of the batches from the later one.
    async fn without_repeated(&self, batches: Vec<Staged>) -> Result<Vec<Staged>> {
        let (mut ids, mut outcomes) = (HashSet::new(), HashSet::new());
        let mut kept = Vec::with_capacity(batches.len());
        for batch in batches {
            let repeated = batch.files.iter().map(|file| file.id).filter(|id| !ids.insert(*id)).collect();
            let outcome = batch.checked.iter().map(|digest| (digest.id, digest.status));
            let known = outcome.filter(|outcome| !outcomes.insert(*outcome)).collect();
            kept.push(self.rewritten(batch, &repeated, known).await?);
        }
        Ok(kept)
    }

    /// Drops log files and outcomes of digests that the lake has, up to our head.
    async fn without_known(&mut self, batches: Vec<Staged>) -> Result<Vec<Staged>> {
        let mut kept = Vec::with_capacity(batches.len());
        for batch in batches.into_iter().filter(|batch| !batch.is_empty()) {
            self.read_known(&batch).await?;
            let is_late = |file: &&StagedFile| !self.seen.is_next(file);
            let late = batch.files.iter().filter(is_late).map(|file| file.id).collect();
            let outcome = batch.checked.iter().map(|digest| (digest.id, digest.status));
            let known = outcome.filter(|(id, status)| self.seen_digests.has(*id, *status)).collect();
            kept.push(self.rewritten(batch, &late, known).await?);
        }
        Ok(kept)
    }

    /// Reads what a batch must be compared with.
    async fn read_known(&mut self, batch: &Staged) -> Result<()> {
        if !batch.files.is_empty() {
            self.seen.read(&self.ledger.table, batch.log_dates().as_ref()).await?;
        }
        if !batch.checked.is_empty() {
            self.seen_digests.read(&self.digests.table, batch.digest_dates().as_ref()).await?;
        }
        Ok(())
    }

    async fn rewritten(
        &self,
        mut batch: Staged,
        log_files: &HashSet<LogFileId>,
        digests: HashSet<(LogFileId, DigestStatus)>,
    ) -> Result<Staged> {
        if !log_files.is_empty() {
            batch = self.writer.without(batch, log_files).await?;
        }
        if !digests.is_empty() {
            batch = self.writer.without_digests(batch, digests).await?;
        }
        Ok(batch)
    }

    /// Lets `quarantine` and `digests`, then `log_files` add what commits to `events` point to.
    ///
    /// In this order, so that the first two are complete up to the version in the ledger's `txn` and
    /// need no commits of their own while there is nothing to add.
    pub(crate) async fn catch_up(&mut self) -> Result<()> {
        let target = self.head;
        let followed = self.ledger.events_version;
        for follower in [&mut self.quarantine, &mut self.digests] {
            follower.events_version = follower.events_version.max(followed);
        }
        self.quarantine.add(&self.pending, target, u64::MAX, |pointers| &pointers.quarantine).await?;
        self.digests.add(&self.pending, target, u64::MAX, |pointers| &pointers.digests).await?;
        self.ledger.add(&self.pending, target, LEDGER_LAG, |pointers| &pointers.ledger).await?;
        let followed = self.ledger.events_version;
        self.pending.retain(|version, _| *version > followed);
        Ok(())
    }
}

impl Follower {
    fn set(&mut self, state: &TableState) {
        self.version = state.version;
        self.events_version = state.events_version.unwrap_or(0);
    }

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
        quarantine: [all(|batch| &batch.quarantine), all(|batch| &batch.resolved)].concat(),
        digests: all(|batch| &batch.digests),
    };
    (all(|batch| &batch.events), pointers)
}

fn summary(batches: &[Staged]) -> Committed {
    let mut committed = Committed::default();
    for batch in batches {
        committed.files += batch.files.len() as u64;
        committed.events += num_records(&batch.events);
        committed.quarantined += num_records(&batch.quarantine);
        committed.resolved += num_records(&batch.resolved);
        committed.digests += batch.checked.len() as u64;
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
