//! One Delta table of the lake: its log, its files, and the one write that is atomic.

use std::fs::File;
use std::path::{Path as FilePath, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context, Result, anyhow};
use arrow::datatypes::{Date32Type, Schema, SchemaRef};
use bytes::Bytes;
use chrono::NaiveDate;
use deltalake::kernel::engine::arrow_conversion::TryIntoKernel;
use deltalake::kernel::{LogicalFileView, Snapshot, StructType};
use deltalake::logstore::object_store::{Error as StoreError, ObjectStore, ObjectStoreExt, path::Path};
use deltalake::logstore::{CommitOrBytes, LogStoreRef};
use deltalake::protocol::SaveMode;
use deltalake::{DeltaTable, TableProperty};
use futures::TryStreamExt;
use tracing::{info, warn};
use uuid::Uuid;

use super::action::{Add, Commit, EVENTS_APP_ID, RETAINED_APP_ID};
use super::tables::Kind;

/// How often a commit is tried again when neither it nor another's can be found in the log.
const ATTEMPTS: u32 = 4;

/// How many commits apart the checkpoints are: opening reads the last one and the commits after it.
const CHECKPOINT_INTERVAL: u64 = 100;

/// A Delta table of the lake.
#[derive(Clone, Debug)]
pub(crate) struct Table {
    pub(crate) name: &'static str,
    pub(crate) log_store: LogStoreRef,
}

/// An active file of a table.
#[derive(Clone, Debug)]
pub(crate) struct DataFile {
    /// Relative to the table.
    pub(crate) path: Path,
    pub(crate) size: u64,
    pub(crate) partition_values: Vec<(String, Option<String>)>,
    /// Delta's statistics, as JSON.
    pub(crate) stats: Option<String>,
    /// Milliseconds.
    pub(crate) modification_time: i64,
}

/// A table as it stands at one version.
#[derive(Debug)]
pub(crate) struct TableState {
    pub(crate) version: u64,
    pub(crate) schema: SchemaRef,
    pub(crate) files: Vec<DataFile>,
    /// How far it has followed `events`.
    pub(crate) events_version: Option<u64>,
}

/// What became of a commit.
pub(crate) enum Put {
    /// It is that version.
    Landed,
    /// That version is another's.
    Taken(Commit),
}

impl Table {
    /// Whether there is a Delta log.
    pub(crate) async fn exists(&self) -> Result<bool> {
        self.log_store.is_delta_table_location().await.with_context(|| format!("looking for {self}"))
    }

    /// Creates the table unless it is there, or another process creates it at the same moment.
    pub(crate) async fn create(&self, schema: &Schema, partition: &[&str], stats: &[&str]) -> Result<()> {
        if self.exists().await? {
            return Ok(());
        }
        let columns: StructType = schema.try_into_kernel().context("the schema as Delta's")?;
        let created = DeltaTable::new(self.log_store.clone())
            .create()
            .with_save_mode(SaveMode::Ignore)
            .with_columns(columns.fields().cloned())
            .with_partition_columns(partition.iter().copied())
            .with_configuration_property(TableProperty::DataSkippingStatsColumns, Some(stats.join(",")))
            // For other engines that clean logs: the ledger follows the commits of `events`.
            .with_configuration_property(TableProperty::LogRetentionDuration, Some("interval 30 days"))
            .await;
        match created {
            Ok(_) => info!(table = self.name, "created"),
            Err(_) if self.exists().await? => {}
            Err(error) => return Err(error).with_context(|| format!("creating {self}")),
        }
        Ok(())
    }

    /// The newest version and the schema, without the files.
    pub(crate) async fn head(&self) -> Result<(u64, SchemaRef)> {
        let snapshot = Snapshot::try_new(self.log_store.as_ref(), None)
            .await
            .with_context(|| format!("reading the log of {self}"))?;
        Ok((snapshot.version(), snapshot.arrow_schema()))
    }

    /// Replays the log to the newest version, from the last checkpoint.
    ///
    /// Always afresh: a kept snapshot grows by one batch a commit and gets slower with each.
    pub(crate) async fn load(&self) -> Result<TableState> {
        let state =
            if self.name == Kind::Events.name() { self.leader().await } else { self.follower().await };
        state.with_context(|| format!("reading the log of {self}"))
    }

    /// Of the table that others follow, which has by far the most files: their statistics are left as the log
    /// has them, since a table with files in memory has them taken apart as well.
    async fn leader(&self) -> Result<TableState> {
        let snapshot = Snapshot::try_new(self.log_store.as_ref(), None).await?;
        let files = snapshot.file_views(self.log_store.as_ref(), None);
        let files = files.map_ok(|view| DataFile::from(&view)).try_collect().await?;
        Ok(TableState {
            version: snapshot.version(),
            schema: snapshot.arrow_schema(),
            files,
            events_version: None,
        })
    }

    /// Of a table that follows `events`.
    async fn follower(&self) -> Result<TableState> {
        let mut table = DeltaTable::new(self.log_store.clone());
        table.load().await?;
        let state = table.snapshot()?;
        let followed = state.transaction_version(self.log_store.as_ref(), EVENTS_APP_ID).await?;
        Ok(TableState {
            version: state.version(),
            schema: state.snapshot().arrow_schema(),
            files: state.log_data().into_iter().map(|view| DataFile::from(&view)).collect(),
            events_version: followed.and_then(|version| u64::try_from(version).ok()),
        })
    }

    /// Reads one commit, or nothing if there is no such version (yet).
    pub(crate) async fn read_commit(&self, version: u64) -> Result<Option<Commit>> {
        let bytes = self
            .log_store
            .read_commit_entry(version)
            .await
            .with_context(|| format!("reading version {version} of {self}"))?;
        bytes
            .map(|bytes| Commit::parse(&bytes))
            .transpose()
            .with_context(|| format!("version {version} of {self}"))
    }

    /// Writes a commit as this version, unless there is one: the atomic point.
    ///
    /// An error does not say that nothing happened: the PUT may have been applied and its answer
    /// lost, and a client that then tries again hears 'exists'. So the log is asked each time, and
    /// `commit_id` tells our commit from another's.
    pub(crate) async fn put_commit(&self, version: u64, commit_id: &str, lines: &Bytes) -> Result<Put> {
        let mut attempt = 0;
        loop {
            let body = CommitOrBytes::LogBytes(lines.clone());
            let written = self.log_store.write_commit_entry(version, body, Uuid::new_v4()).await;
            let Err(error) = written else {
                self.persist(&commit_path(version)).await?;
                return Ok(Put::Landed);
            };
            match self.read_commit(version).await {
                Ok(Some(commit)) if commit.pointers.commit_id == commit_id => return Ok(Put::Landed),
                Ok(Some(commit)) => return Ok(Put::Taken(commit)),
                Ok(None) | Err(_) => {}
            }
            attempt += 1;
            if attempt == ATTEMPTS {
                return Err(anyhow!(error))
                    .with_context(|| format!("committing version {version} of {self}"));
            }
            warn!(table = self.name, version, %error, "trying the commit again");
            tokio::time::sleep(Duration::from_millis(100 << attempt)).await;
        }
    }

    /// Writes a data file that no commit names yet.
    pub(crate) async fn put_file(&self, path: &str, bytes: Bytes) -> Result<()> {
        let path = Path::from(path);
        let put = self.store().put(&path, bytes.into()).await;
        put.with_context(|| format!("writing {path} of {self}"))?;
        self.persist(&path).await
    }

    /// Reads a data file as a whole.
    pub(crate) async fn get_file(&self, path: &Path) -> Result<Bytes> {
        let read = async { self.store().get(path).await?.bytes().await };
        read.await.with_context(|| format!("reading {path} of {self}"))
    }

    /// Deletes data files that no commit names, as well as it can: VACUUM takes what stays.
    pub(crate) async fn delete_files(&self, adds: &[Add]) {
        for add in adds {
            match self.store().delete(&Path::from(add.path.as_str())).await {
                Ok(()) | Err(StoreError::NotFound { .. }) => {}
                Err(error) => {
                    warn!(table = self.name, path = add.path, %error, "could not delete an unused file");
                }
            }
        }
    }

    /// Writes a checkpoint if this version is due for one. A failure costs time at opening, no data.
    pub(crate) async fn checkpoint_if_due(&self, version: u64) {
        if version > 0 && version.is_multiple_of(CHECKPOINT_INTERVAL) {
            self.checkpoint(version).await;
        }
    }

    /// Writes a checkpoint of this version, with the same reserve.
    pub(crate) async fn checkpoint(&self, version: u64) {
        let mut table = DeltaTable::new(self.log_store.clone());
        let checkpoint = async {
            table.load_version(version).await?;
            deltalake::checkpoints::create_checkpoint(&table, None).await
        };
        if let Err(error) = checkpoint.await {
            warn!(table = self.name, version, %error, "could not write a checkpoint");
        }
    }

    /// The first date of which retention has left the rows, if any was dropped.
    pub(crate) async fn retained_from(&self) -> Result<Option<NaiveDate>> {
        let mut table = DeltaTable::new(self.log_store.clone());
        table.load().await.with_context(|| format!("reading the log of {self}"))?;
        let days = table.snapshot()?.transaction_version(self.log_store.as_ref(), RETAINED_APP_ID).await?;
        Ok(days.and_then(|days| Date32Type::to_naive_date_opt(i32::try_from(days).ok()?)))
    }

    /// The store, rooted at the table.
    pub(crate) fn store(&self) -> Arc<dyn ObjectStore> {
        self.log_store.object_store(None)
    }

    /// Makes a local file survive a power cut; an object store has done so when it answers.
    pub(crate) async fn persist(&self, path: &Path) -> Result<()> {
        let Some(root) = self.local_root() else { return Ok(()) };
        let file = root.join(path.as_ref());
        let synced = tokio::task::spawn_blocking(move || sync(&root, &file)).await?;
        synced.with_context(|| format!("syncing {path} of {self}"))
    }

    pub(crate) fn local_root(&self) -> Option<PathBuf> {
        let url = self.log_store.root_url();
        (url.scheme() == "file").then(|| url.to_file_path().ok()).flatten()
    }
}

impl std::fmt::Display for Table {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}", self.log_store.root_url())
    }
}

/// Syncs a file and the directories from it up to the table's, which may be new as well.
fn sync(root: &FilePath, file: &FilePath) -> std::io::Result<()> {
    File::open(file)?.sync_all()?;
    for directory in file.ancestors().skip(1).take_while(|directory| directory.starts_with(root)) {
        File::open(directory)?.sync_all()?;
    }
    Ok(())
}

fn commit_path(version: u64) -> Path {
    Path::from(format!("_delta_log/{version:020}.json"))
}

impl From<&LogicalFileView> for DataFile {
    fn from(view: &LogicalFileView) -> Self {
        Self {
            path: view.object_store_path(),
            size: u64::try_from(view.size()).unwrap_or_default(),
            partition_values: view.partition_values_map().into_iter().collect(),
            stats: view.stats(),
            modification_time: view.modification_time(),
        }
    }
}

impl From<Add> for DataFile {
    fn from(add: Add) -> Self {
        Self {
            path: Path::from(add.path.as_str()),
            size: add.size,
            partition_values: add.partition_values.into_iter().collect(),
            stats: add.stats,
            modification_time: add.modification_time,
        }
    }
}
