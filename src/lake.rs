//! The lake: three Delta tables, each log file in them once.
//!
//! `events` holds the records, `log_files` (the ledger) one row for each file they came from, and
//! `quarantine` what could not be stored. Any engine that knows Delta Lake can read them.
//!
//! A [`Batch`] of log files is written in two steps. [`LakeWriter::write`] puts Parquet files under
//! fresh names where nobody looks; [`Lake::commit`] makes them part of the lake by **one**
//! conditional write to the log of `events`. A crash before it leaves unused files, which VACUUM
//! removes; a crash after it leaves a ledger that lags behind, which the next commit, or the next
//! [`Lake::open_or_create`], brings up to date. In between there is nothing.
//!
//! Before it commits, a writer knows the log files of every version of `events` up to the one it
//! follows, and if another writer was first, it reads what that one has added and leaves out what
//! both have. So each log file is in the lake once, whoever tries, however often.
//!
//! This module knows Delta and Parquet. It has never heard of SQS, gzip or JSON records.

mod action;
mod commit;
mod encode;
mod entry;
mod file_stats;
mod location;
mod provider;
mod seen;
mod table;
mod tables;
mod writer;

#[cfg(test)]
mod tests;

use std::ops::RangeInclusive;
use std::sync::{Arc, RwLock};

use anyhow::{Context, Result, bail};
use chrono::NaiveDate;
use datafusion::catalog::TableProvider;
use datafusion::prelude::SessionContext;
use deltalake::kernel::StructType;
use deltalake::kernel::engine::arrow_conversion::{TryIntoArrow, TryIntoKernel};
use tokio::sync::{Mutex, OnceCell};
use tracing::warn;

use self::action::Add;
use self::commit::Committer;
use self::location::Location;
use self::provider::LakeTable;
use self::table::{DataFile, Table};
use self::tables::Kind;

pub use self::commit::Committed;
pub use self::entry::{
    DigestEntry, DigestStatus, ListedLogFile, LogFileEntry, LogFileId, QuarantineEntry, Status,
};
pub use self::writer::{Batch, LakeWriter, Staged};

/// A lake, open for reading, or for writing as well. Clones share their state.
#[derive(Clone, Debug)]
pub struct Lake {
    inner: Arc<Inner>,
}

#[derive(Debug)]
struct Inner {
    location: Location,
    events: Arc<Table>,
    log_files: Arc<Table>,
    quarantine: Arc<Table>,
    writer: LakeWriter,
    committer: OnceCell<Mutex<Committer>>,
    view: RwLock<Option<Arc<View>>>,
}

/// The lake as readers see it: the three tables at versions that belong together.
#[derive(Debug)]
struct View {
    /// The newest versions of `events`, `log_files` and `quarantine`.
    versions: [u64; 3],
    events: Arc<LakeTable>,
    log_files: Arc<LakeTable>,
    quarantine: Arc<LakeTable>,
    event_files: Vec<String>,
}

impl Lake {
    /// Opens a lake for reading, and writes nothing.
    ///
    /// `location` is a path, `file:///path` or `s3://bucket/prefix`.
    pub async fn open(location: &str) -> Result<Self> {
        let lake = Self::at(location).await?;
        if !lake.inner.events.exists().await? {
            bail!("no lake at {location}: run `trailq ingest` first");
        }
        Ok(lake)
    }

    /// Whether there is a lake at `location`.
    pub async fn exists(location: &str) -> Result<bool> {
        Self::at(location).await?.inner.events.exists().await
    }

    /// Opens a lake for writing: creates what is missing of it, and brings a lagging ledger up to date.
    pub async fn open_or_create(location: &str) -> Result<Self> {
        let lake = Self::at(location).await?;
        for kind in Kind::ALL {
            let table = lake.table(kind);
            table.create(&kind.schema(), kind.partition_columns(), kind.stats_columns()).await?;
            check_schema(table, kind).await?;
        }
        lake.committer().await?.lock().await.catch_up().await?;
        Ok(lake)
    }

    async fn at(location: &str) -> Result<Self> {
        let location = Location::parse(location).await?;
        let kinds = [Kind::Events, Kind::LogFiles, Kind::Quarantine];
        let stores = location.log_stores(kinds.map(Kind::name))?;
        let mut tables = kinds
            .into_iter()
            .zip(stores)
            .map(|(kind, log_store)| Arc::new(Table { name: kind.name(), log_store }));
        let (Some(events), Some(log_files), Some(quarantine)) = (tables.next(), tables.next(), tables.next())
        else {
            bail!("a lake has three tables");
        };
        Ok(Self::of_tables(location, events, log_files, quarantine))
    }

    fn of_tables(
        location: Location,
        events: Arc<Table>,
        log_files: Arc<Table>,
        quarantine: Arc<Table>,
    ) -> Self {
        let writer = LakeWriter::new(events.clone(), log_files.clone(), quarantine.clone());
        let inner = Inner {
            location,
            events,
            log_files,
            quarantine,
            writer,
            committer: OnceCell::new(),
            view: RwLock::new(None),
        };
        Self { inner: Arc::new(inner) }
    }

    /// The lake's URL.
    pub fn url(&self) -> &str {
        self.inner.location.url().as_str()
    }

    /// A writer of batches.
    pub fn writer(&self) -> LakeWriter {
        self.inner.writer.clone()
    }

    /// Makes written batches part of the lake: all of them, or after an error perhaps none.
    ///
    /// Log files that the lake has already are left out and counted as duplicates. After an error
    /// it may not be known whether the batches have landed; write and commit the same log files
    /// again, and they will be duplicates if so.
    pub async fn commit(&self, batches: Vec<Staged>) -> Result<Committed> {
        self.committer().await?.lock().await.commit(batches).await
    }

    /// Deletes the files of a batch that will not be committed, as well as it can.
    pub async fn discard(&self, staged: Staged) {
        self.inner.writer.discard(staged).await;
    }

    /// For each log file its compressed size, if the lake has it (be it as events or in quarantine).
    ///
    /// `log_dates` says between which dates the keys of all of them lie, and spares reading the
    /// ledger of other days. This is to save work: a commit checks for itself.
    pub async fn known(
        &self,
        ids: &[LogFileId],
        log_dates: Option<RangeInclusive<NaiveDate>>,
    ) -> Result<Vec<Option<u64>>> {
        self.committer().await?.lock().await.known(ids, log_dates.as_ref()).await
    }

    /// Lets readers see what was committed since the lake was opened or last refreshed.
    pub async fn refresh(&self) -> Result<()> {
        let old = self.current_view();
        let view = match old {
            Some(old) if !self.has_news(&old).await? => return Ok(()),
            _ => Arc::new(self.load_view().await?),
        };
        *self.inner.view.write().unwrap_or_else(std::sync::PoisonError::into_inner) = Some(view);
        Ok(())
    }

    /// The records, as of the last refresh.
    pub async fn events(&self) -> Result<Arc<dyn TableProvider>> {
        Ok(self.view().await?.events.clone())
    }

    /// The ledger, as of the last refresh, lagging rows included.
    pub async fn log_files(&self) -> Result<Arc<dyn TableProvider>> {
        Ok(self.view().await?.log_files.clone())
    }

    /// The quarantine, as of the last refresh, lagging rows included.
    pub async fn quarantine(&self) -> Result<Arc<dyn TableProvider>> {
        Ok(self.view().await?.quarantine.clone())
    }

    /// The URIs of the Parquet files of `events`, as of the last refresh.
    pub async fn event_files(&self) -> Result<Vec<String>> {
        Ok(self.view().await?.event_files.clone())
    }

    /// The version of `events`, as of the last refresh.
    pub async fn version(&self) -> Result<u64> {
        Ok(self.view().await?.versions[0])
    }

    /// Lets a session read the lake's files.
    pub fn register_object_store(&self, context: &SessionContext) -> Result<()> {
        let url = provider::store_url(self.inner.location.url())?;
        context.register_object_store(url.as_ref(), self.inner.events.log_store.root_object_store(None));
        Ok(())
    }

    fn table(&self, kind: Kind) -> &Arc<Table> {
        match kind {
            Kind::Events => &self.inner.events,
            Kind::LogFiles => &self.inner.log_files,
            Kind::Quarantine => &self.inner.quarantine,
        }
    }

    async fn committer(&self) -> Result<&Mutex<Committer>> {
        let Inner { events, log_files, quarantine, writer, .. } = self.inner.as_ref();
        let load = || async {
            let (events, log_files, quarantine) = (events.clone(), log_files.clone(), quarantine.clone());
            Committer::load(events, log_files, quarantine, writer.clone()).await.map(Mutex::new)
        };
        self.inner.committer.get_or_try_init(load).await
    }

    fn current_view(&self) -> Option<Arc<View>> {
        self.inner.view.read().unwrap_or_else(std::sync::PoisonError::into_inner).clone()
    }

    async fn view(&self) -> Result<Arc<View>> {
        if self.current_view().is_none() {
            self.refresh().await?;
        }
        self.current_view().context("a lake without a view")
    }

    async fn has_news(&self, view: &View) -> Result<bool> {
        let tables = [Kind::Events, Kind::LogFiles, Kind::Quarantine];
        for (kind, version) in tables.into_iter().zip(view.versions) {
            if self.table(kind).log_store.read_commit_entry(version + 1).await?.is_some() {
                return Ok(true);
            }
        }
        Ok(false)
    }

    /// Reads the ledger before `events`: what it lacks is then in the commits between.
    async fn load_view(&self) -> Result<View> {
        let Inner { events, log_files, quarantine, .. } = self.inner.as_ref();
        let (mut ledger, mut odd) = tokio::try_join!(log_files.load(), quarantine.load())?;
        let events_state = events.load().await?;
        let followed = ledger.events_version.unwrap_or(0);
        for version in followed + 1..=events_state.version {
            let Some(commit) = events.read_commit(version).await? else {
                warn!("{}", commit::missing(events, version));
                continue;
            };
            add_missing(&mut ledger.files, commit.pointers.ledger);
            add_missing(&mut odd.files, commit.pointers.quarantine);
        }
        let provider = |kind: Kind, state: &table::TableState| {
            let root = self.table(kind).log_store.root_url();
            LakeTable::new(kind, root, &state.schema, &state.files).map(Arc::new)
        };
        let uri = |file: &DataFile| events.log_store.to_uri(&file.path);
        Ok(View {
            versions: [events_state.version, ledger.version, odd.version],
            events: provider(Kind::Events, &events_state)?,
            log_files: provider(Kind::LogFiles, &ledger)?,
            quarantine: provider(Kind::Quarantine, &odd)?,
            event_files: events_state.files.iter().map(uri).collect(),
        })
    }
}

/// Adds files that a table will have once it has followed `events`.
fn add_missing(files: &mut Vec<DataFile>, adds: Vec<Add>) {
    for add in adds {
        let file = DataFile::from(add);
        if !files.iter().any(|known| known.path == file.path) {
            files.push(file);
        }
    }
}

/// Refuses to write to a table with other columns than ours.
async fn check_schema(table: &Table, kind: Kind) -> Result<()> {
    let (_, found) = table.head().await?;
    let ours: StructType = kind.schema().as_ref().try_into_kernel()?;
    let ours: arrow::datatypes::Schema = (&ours).try_into_arrow()?;
    if found.fields() != ours.fields() {
        bail!("{table} has other columns than this version of trailq writes");
    }
    Ok(())
}
