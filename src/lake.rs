//! The lake: four Delta tables, each log file in them once.
//!
//! `events` holds the records, `log_files` (the ledger) one row for each file they came from,
//! `quarantine` what could not be stored, and `digests` the digests that were checked. Any engine that
//! knows Delta Lake can read them.
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
//! What the lake has of a log file may change: rows in quarantine are read again, rows of `events` are
//! taken out. Each such change is one commit as well, and adds a row to the ledger with the next
//! `revision`. A revision is given once, which makes each change happen once.
//!
//! A lake that gets a commit a minute would silt up. `optimize` joins small files, `vacuum` deletes what
//! nobody needs any more, `retain` drops old days, `check` says whether all of it is whole. What digests
//! prove of old days is settled, so that queries need not judge them again.
//!
//! This module knows Delta and Parquet. It has never heard of SQS, gzip or JSON records.

mod action;
mod beside;
mod blooms;
mod bounds;
mod cells;
mod check;
mod commit;
mod dates;
mod derived;
mod encode;
mod entry;
mod facts;
mod file_stats;
mod info;
mod lease;
mod location;
mod members;
mod newest;
mod once_per_text;
mod optimize;
mod parallel;
mod provider;
mod quarantined;
mod retain;
mod rows;
mod seen;
mod settle;
mod settled;
mod shown;
mod stream;
mod swap;
mod table;
mod tables;
mod told;
mod unread;
mod vacuum;
mod views;
mod withdraw;
mod writer;

#[cfg(test)]
mod tests;

use std::collections::HashSet;
use std::ops::RangeInclusive;
use std::sync::{Arc, RwLock};
use std::time::SystemTime;

use anyhow::{Context, Result, bail};
use arrow::array::RecordBatch;
use chrono::NaiveDate;
use datafusion::catalog::TableProvider;
use datafusion::datasource::object_store::ObjectStoreUrl;
use datafusion::object_store::ObjectStore;
use datafusion::object_store::path::Path;
use datafusion::prelude::SessionContext;
use deltalake::kernel::StructType;
use deltalake::kernel::engine::arrow_conversion::{TryIntoArrow, TryIntoKernel};
use tokio::sync::{Mutex, OnceCell};
use tracing::warn;

use self::action::{Add, Pointers};
use self::commit::{Committer, HEAD_TRUSTED_FOR};
use self::derived::Derived;
use self::file_stats::FileStats;
use self::location::Location;
use self::provider::LakeTable;
use self::table::{Table, TableState};
use self::tables::Tables;

pub use self::check::{Checked, LakeFinding};
pub use self::commit::Committed;
pub(crate) use self::dates::Dates;
pub use self::entry::{
    DigestEntry, DigestStatus, ListedLogFile, LogFileEntry, LogFileId, QuarantineEntry, QuarantineStatus,
    Quarantined, Status,
};
pub(crate) use self::facts::{Facts, Fingerprint, Listed};
pub use self::info::{LakeInfo, TableInfo, Unused, Winnings};
pub(crate) use self::lease::Lease;
pub use self::optimize::{OptimizeOptions, Optimized};
pub use self::quarantined::QuarantineFilter;
pub use self::retain::Retained;
pub use self::settle::Settled;
pub(crate) use self::table::DataFile;
pub(crate) use self::tables::Kind;
pub use self::vacuum::{SHORTEST_RETENTION, VacuumOptions, Vacuumed};
#[cfg(test)]
pub(crate) use self::views::with_views;
pub use self::withdraw::{WITHDRAWN_FOR, Withdrawn};
pub use self::writer::{Batch, LakeWriter, Staged};

/// The store of a directory or of an S3 prefix, which need not be a lake, and its place in that store.
pub(crate) async fn directory(location: &str) -> Result<(Arc<dyn ObjectStore>, Path)> {
    let location = Location::parse(location).await?;
    let [log_store] = location.log_stores(["."])?;
    Ok((log_store.root_object_store(None), Path::from_url_path(location.url().path())?))
}

/// A lake, open for reading, or for writing as well. Clones share their state.
#[derive(Clone, Debug)]
pub struct Lake {
    inner: Arc<Inner>,
}

#[derive(Debug)]
struct Inner {
    location: Location,
    tables: Tables,
    writer: LakeWriter,
    committer: OnceCell<Mutex<Committer>>,
    view: RwLock<Option<Arc<View>>>,
}

/// The lake as readers see it: its tables at versions that belong together.
#[derive(Debug)]
struct View {
    events: TableView,
    log_files: TableView,
    quarantine: TableView,
    digests: TableView,
    facts: Facts,
    /// When it was read.
    loaded: SystemTime,
}

/// One of its tables.
#[derive(Debug)]
struct TableView {
    version: u64,
    files: Arc<[DataFile]>,
    provider: Arc<LakeTable>,
}

impl View {
    fn get(&self, kind: Kind) -> &TableView {
        match kind {
            Kind::Events => &self.events,
            Kind::LogFiles => &self.log_files,
            Kind::Quarantine => &self.quarantine,
            Kind::Digests => &self.digests,
        }
    }
}

impl Lake {
    /// Opens a lake for reading, and writes nothing.
    ///
    /// `location` is a path, `file:///path` or `s3://bucket/prefix`.
    pub async fn open(location: &str) -> Result<Self> {
        let lake = Self::at(location).await?;
        if !lake.table(Kind::Events).exists().await? {
            bail!("no lake at {location}: run `trailq ingest` first");
        }
        Ok(lake)
    }

    /// Whether there is a lake at `location`.
    pub async fn exists(location: &str) -> Result<bool> {
        Self::at(location).await?.table(Kind::Events).exists().await
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
        let tables = Tables::at(&location)?;
        Ok(Self::of_tables(location, tables))
    }

    fn of_tables(location: Location, tables: Tables) -> Self {
        let writer = LakeWriter::new(tables.clone());
        let inner = Inner { location, tables, writer, committer: OnceCell::new(), view: RwLock::new(None) };
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

    /// For each digest its best outcome, if the lake has any: valid before invalid before key not found
    /// before missing. The ids are those of the digests' addresses.
    pub async fn known_digests(&self, ids: &[LogFileId]) -> Result<Vec<Option<DigestStatus>>> {
        self.known_digests_between(ids, None).await
    }

    /// The same for digests that all end between these dates, which spares reading those of other days.
    pub async fn known_digests_between(
        &self,
        ids: &[LogFileId],
        end_dates: Option<RangeInclusive<NaiveDate>>,
    ) -> Result<Vec<Option<DigestStatus>>> {
        self.committer().await?.lock().await.known_digests(ids, end_dates.as_ref()).await
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
        Ok(self.view().await?.events.provider.clone())
    }

    /// The ledger, as of the last refresh, lagging rows included: one row a log file, the newest.
    pub async fn log_files(&self) -> Result<Arc<dyn TableProvider>> {
        let ledger = &self.view().await?.log_files;
        newest::ledger(ledger.provider.clone(), &ledger.files)
    }

    /// The quarantine, as of the last refresh, lagging rows included: one row a piece, the newest.
    /// Of a piece that was dealt with it has no bytes; those stay in the Delta table's older row.
    pub async fn quarantine(&self) -> Result<Arc<dyn TableProvider>> {
        let quarantine = &self.view().await?.quarantine;
        newest::quarantine(quarantine.provider.clone(), &quarantine.files)
    }

    /// The digests that were checked, as of the last refresh, lagging rows included.
    pub async fn digests(&self) -> Result<Arc<dyn TableProvider>> {
        Ok(self.view().await?.digests.provider.clone())
    }

    /// The Parquet files of a table with what the log knows of each, as of the last refresh, lagging
    /// ones included.
    #[allow(dead_code, reason = "for integrity")]
    pub(crate) async fn data_files(&self, kind: Kind) -> Result<Arc<[DataFile]>> {
        Ok(self.view().await?.get(kind).files.clone())
    }

    /// Reads some columns of one of these files.
    #[allow(dead_code, reason = "for integrity")]
    pub(crate) async fn read_data_file(
        &self,
        kind: Kind,
        file: &DataFile,
        columns: &'static [&'static str],
    ) -> Result<Vec<RecordBatch>> {
        let bytes = self.table(kind).get_file(&file.path).await?;
        let read = tokio::task::spawn_blocking(move || encode::read_columns(bytes, columns)).await?;
        read.with_context(|| format!("reading {} of {}", file.path, self.table(kind)))
    }

    /// The URIs of the Parquet files of `events`, as of the last refresh.
    pub async fn event_files(&self) -> Result<Vec<String>> {
        let log_store = &self.table(Kind::Events).log_store;
        let view = self.view().await?;
        Ok(view.events.files.iter().map(|file| log_store.to_uri(&file.path)).collect())
    }

    /// How many rows `events` has, as of the last refresh.
    pub async fn num_events(&self) -> Result<u64> {
        let rows = |file: &DataFile| FileStats::parse(file.stats.as_deref()).num_records;
        Ok(self.view().await?.events.files.iter().filter_map(rows).sum())
    }

    /// The version of `events`, as of the last refresh.
    pub async fn version(&self) -> Result<u64> {
        Ok(self.view().await?.events.version)
    }

    /// Lets a session read the lake's files.
    pub fn register_object_store(&self, context: &SessionContext) -> Result<()> {
        let url = provider::store_url(self.inner.location.url())?;
        context
            .register_object_store(url.as_ref(), self.table(Kind::Events).log_store.root_object_store(None));
        Ok(())
    }

    /// The store that the lake is in, its address for a session, and the lake's place in it.
    pub(crate) fn store(&self) -> Result<(Arc<dyn ObjectStore>, ObjectStoreUrl, Path)> {
        let url = self.inner.location.url();
        let store = self.table(Kind::Events).log_store.root_object_store(None);
        Ok((store, provider::store_url(url)?, Path::from_url_path(url.path())?))
    }

    fn table(&self, kind: Kind) -> &Arc<Table> {
        self.inner.tables.get(kind)
    }

    async fn committer(&self) -> Result<&Mutex<Committer>> {
        let Inner { tables, writer, .. } = self.inner.as_ref();
        let load = || async { Committer::load(tables, writer.clone()).await.map(Mutex::new) };
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
        // The versions after an old one may have been cleaned away.
        if view.loaded.elapsed().map_or(true, |elapsed| elapsed > HEAD_TRUSTED_FOR) {
            return Ok(true);
        }
        for kind in Kind::ALL {
            let next = view.get(kind).version + 1;
            if self.table(kind).log_store.read_commit_entry(next).await?.is_some() {
                return Ok(true);
            }
        }
        Ok(false)
    }

    /// Reads the other tables before `events`: what they lack is then in the commits between.
    async fn load_view(&self) -> Result<View> {
        let table = |kind| self.table(kind);
        let loaded = SystemTime::now();
        // All to their end, also after an error: a log that is still read when the process ends panics.
        let (ledger, odd, digests) = tokio::join!(
            table(Kind::LogFiles).load(),
            table(Kind::Quarantine).load(),
            load_digests(table(Kind::Digests))
        );
        let (mut ledger, mut odd, mut digests) = (ledger?, odd?, digests?);
        let mut events = table(Kind::Events).load().await?;
        let followed = ledger.events_version.unwrap_or(0);
        let mut pointers = Pointers::default();
        for version in followed + 1..=events.version {
            let Some(commit) = table(Kind::Events).read_commit(version).await? else {
                warn!("{}", commit::missing(table(Kind::Events), version));
                continue;
            };
            pointers.ledger.extend(commit.pointers.ledger);
            // These may be ahead of the ledger, and what they have added may be in other files already.
            if odd.events_version.is_none_or(|followed| followed < version) {
                pointers.quarantine.extend(commit.pointers.quarantine);
            }
            if digests.events_version.is_none_or(|followed| followed < version) {
                pointers.digests.extend(commit.pointers.digests);
            }
        }
        add_missing(&mut ledger.files, pointers.ledger);
        add_missing(&mut odd.files, pointers.quarantine);
        add_missing(&mut digests.files, pointers.digests);
        let shared = |state: &mut TableState| -> Arc<[DataFile]> { std::mem::take(&mut state.files).into() };
        let (ledger_files, odd_files, digest_files) =
            (shared(&mut ledger), shared(&mut odd), shared(&mut digests));
        let facts = Facts::of(&self.inner.tables, &ledger_files, &odd_files, &digest_files);
        let (verdicts, summary) = (derived::Cache::default(), self.summary_place()?);
        let view = |kind: Kind, state: TableState, files: Arc<[DataFile]>| -> Result<TableView> {
            let root = table(kind).log_store.root_url();
            let provider = LakeTable::new(kind, root, &state.schema, &files)?.with_derived(Derived::new(
                kind,
                facts.clone(),
                verdicts.clone(),
                summary.clone(),
            ));
            Ok(TableView { version: state.version, files, provider: Arc::new(provider) })
        };
        let event_files = shared(&mut events);
        Ok(View {
            events: view(Kind::Events, events, event_files)?,
            log_files: view(Kind::LogFiles, ledger, ledger_files)?,
            quarantine: view(Kind::Quarantine, odd, odd_files)?,
            digests: view(Kind::Digests, digests, digest_files)?,
            facts,
            loaded,
        })
    }
}

#[cfg(test)]
impl Lake {
    /// Pretends that the view was read long ago.
    pub(crate) fn forget_when_viewed(&self) {
        let mut view = self.inner.view.write().unwrap();
        let old = view.take().and_then(Arc::into_inner).expect("nobody else looks at it");
        *view = Some(Arc::new(View { loaded: SystemTime::UNIX_EPOCH, ..old }));
    }
}

/// A lake that nobody has written to since there are digests has no such table.
async fn load_digests(table: &Table) -> Result<TableState> {
    if table.exists().await? {
        return table.load().await;
    }
    Ok(TableState { version: 0, schema: Kind::Digests.schema(), files: vec![], events_version: None })
}

/// Adds files that a table will have once it has followed `events`.
fn add_missing(files: &mut Vec<DataFile>, adds: Vec<Add>) {
    if adds.is_empty() {
        return;
    }
    let known: HashSet<Path> = files.iter().map(|file| file.path.clone()).collect();
    files.extend(adds.into_iter().map(DataFile::from).filter(|file| !known.contains(&file.path)));
}

/// Refuses to write to a table with other columns than ours.
async fn check_schema(table: &Table, kind: Kind) -> Result<()> {
    let (_, found) = table.head().await?;
    let ours: StructType = kind.schema().as_ref().try_into_kernel()?;
    let ours: arrow::datatypes::Schema = (&ours).try_into_arrow()?;
    if found.fields() != ours.fields() {
        bail!(
            "{table} was made by another version of trailq: its columns are not those that this version \
             writes. Ingest the log files into a new lake, or use the version that made this one"
        );
    }
    Ok(())
}
