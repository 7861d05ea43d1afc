//! Small batches, and a log store that fails on command.

use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};

use arrow::array::{AsArray, RecordBatch};
use arrow::datatypes::Int64Type;
use async_trait::async_trait;
use bytes::Bytes;
use chrono::{DateTime, TimeDelta, Utc};
use datafusion::prelude::{SessionConfig, SessionContext};
use deltalake::DeltaResult;
use deltalake::kernel::transaction::TransactionError;
use deltalake::logstore::object_store::{Error as StoreError, ObjectStore};
use deltalake::logstore::{CommitOrBytes, LogStore, LogStoreConfig, LogStoreRef};
use tracing_subscriber::EnvFilter;
use uuid::Uuid;

use crate::event::schema;
use crate::lake::{Batch, Lake, LogFileEntry, QuarantineEntry, Staged};

pub(super) fn time(text: &str) -> DateTime<Utc> {
    text.parse().unwrap()
}

/// Records of one log file, a second apart, latest first.
pub(super) fn events(log_file: &str, start: DateTime<Utc>, count: i64) -> RecordBatch {
    let mut lines = String::new();
    for index in (0..count).rev() {
        let at = start + TimeDelta::seconds(index);
        let line = serde_json::json!({
            "eventid": format!("{log_file}-{index}"),
            "eventtime": at.format("%Y-%m-%dT%H:%M:%SZ").to_string(),
            "event_time": at.to_rfc3339(),
            "event_date": at.date_naive().to_string(),
            "log_date": start.date_naive().to_string(),
            "eventname": "ConsoleLogin",
            "useridentity": {"accountid": format!("account-of-{log_file}"), "type": "IAMUser"},
            "resources": [{"arn": "arn:aws:s3:::bucket"}],
            "log_file": log_file,
            "record_index": index,
        });
        lines.push_str(&line.to_string());
        lines.push('\n');
    }
    decode(&lines)
}

/// NDJSON lines as events.
pub(super) fn decode(lines: &str) -> RecordBatch {
    let mut reader = arrow::json::ReaderBuilder::new(schema::schema())
        .with_batch_size(1 << 20)
        .build(lines.as_bytes())
        .unwrap();
    reader.next().unwrap().unwrap()
}

pub(super) fn entry(log_file: &str, start: DateTime<Utc>, count: u64) -> LogFileEntry {
    LogFileEntry {
        log_file: log_file.to_owned(),
        size: 1000 + count,
        record_count: count,
        event_count: count,
        min_event_time: Some(start),
        log_date: Some(start.date_naive()),
        ..LogFileEntry::default()
    }
}

/// A batch of log files with ten records each.
pub(super) fn batch(log_files: &[&str], start: DateTime<Utc>) -> Batch {
    Batch {
        events: log_files.iter().map(|name| events(name, start, 10)).collect(),
        files: log_files.iter().map(|name| entry(name, start, 10)).collect(),
        ..Batch::default()
    }
}

/// A log file that is in quarantine as a whole.
pub(super) fn quarantined(log_file: &str, start: DateTime<Utc>) -> Batch {
    Batch {
        events: vec![],
        files: vec![LogFileEntry { status: crate::lake::Status::Quarantined, ..entry(log_file, start, 0) }],
        quarantine: vec![QuarantineEntry {
            log_file: log_file.to_owned(),
            reason: "gzip".to_owned(),
            bytes: b"no gzip".to_vec(),
            ..QuarantineEntry::default()
        }],
        ..Batch::default()
    }
}

pub(super) async fn stage(lake: &Lake, log_files: &[&str]) -> Staged {
    lake.writer().write(batch(log_files, time("2026-01-05T12:00:00Z"))).await.unwrap()
}

/// Where to make a lake: in a new directory, or under the prefix that `TRAILQ_TEST_LAKE` names
/// (`s3://bucket/prefix`, for trying the tests by hand; those that look at files need a directory).
pub(super) fn temporary() -> (tempfile::TempDir, String) {
    let logs = tracing_subscriber::fmt().with_env_filter(EnvFilter::from_default_env()).with_test_writer();
    let _ = logs.try_init();
    let directory = tempfile::tempdir().unwrap();
    if let Ok(prefix) = std::env::var("TRAILQ_TEST_LAKE") {
        return (directory, format!("{prefix}/{}", Uuid::new_v4()));
    }
    let path = directory.path().join("my lake").to_str().unwrap().to_owned();
    (directory, path)
}

pub(super) async fn session(lake: &Lake) -> SessionContext {
    let context = SessionContext::new_with_config(SessionConfig::new().with_target_partitions(2));
    lake.register_object_store(&context).unwrap();
    lake.refresh().await.unwrap();
    context.register_table("events", lake.events().await.unwrap()).unwrap();
    context.register_table("log_files", lake.log_files().await.unwrap()).unwrap();
    context.register_table("quarantine", lake.quarantine().await.unwrap()).unwrap();
    context.register_table("digests", lake.digests().await.unwrap()).unwrap();
    context
}

/// Opens the lake as a reader and asks it for a number.
pub(super) async fn number(path: &str, sql: &str) -> i64 {
    let context = session(&Lake::open(path).await.unwrap()).await;
    number_of(&context, sql).await
}

pub(super) async fn number_of(context: &SessionContext, sql: &str) -> i64 {
    let batches = context.sql(sql).await.unwrap().collect().await.unwrap();
    batches[0].column(0).as_primitive::<Int64Type>().value(0)
}

/// What goes wrong with the next writes to a log.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) enum Fault {
    /// The write is applied, and its answer is lost.
    LosesAnswer,
    /// The write is applied, its answer is lost, and the client's own retry hears 'exists'.
    SaysExists,
    /// The write is not applied.
    Refuses,
    /// The write is applied, its answer is lost, and the log cannot be read either.
    GoesDark,
}

/// A log store whose first few writes fail.
#[derive(Debug)]
pub(super) struct Faulty {
    pub(super) inner: LogStoreRef,
    pub(super) fault: Fault,
    pub(super) left: AtomicU32,
}

impl Faulty {
    pub(super) fn wrap(inner: LogStoreRef, fault: Fault, times: u32) -> LogStoreRef {
        Arc::new(Self { inner, fault, left: times.into() })
    }

    fn strikes(&self) -> bool {
        self.left.fetch_update(Ordering::SeqCst, Ordering::SeqCst, |left| left.checked_sub(1)).is_ok()
    }
}

fn timeout() -> StoreError {
    StoreError::Generic { store: "test", source: "timed out".into() }
}

#[async_trait]
impl LogStore for Faulty {
    fn name(&self) -> String {
        "Faulty".into()
    }

    async fn read_commit_entry(&self, version: u64) -> DeltaResult<Option<Bytes>> {
        if self.fault == Fault::GoesDark && self.left.load(Ordering::SeqCst) == 0 {
            return Err(timeout().into());
        }
        self.inner.read_commit_entry(version).await
    }

    async fn write_commit_entry(
        &self,
        version: u64,
        commit: CommitOrBytes,
        operation_id: Uuid,
    ) -> Result<(), TransactionError> {
        if !self.strikes() {
            return match self.fault {
                Fault::GoesDark => Err(timeout().into()),
                _ => self.inner.write_commit_entry(version, commit, operation_id).await,
            };
        }
        if self.fault == Fault::Refuses {
            return Err(timeout().into());
        }
        self.inner.write_commit_entry(version, commit, operation_id).await?;
        match self.fault {
            Fault::SaysExists => Err(TransactionError::VersionAlreadyExists(version)),
            _ => Err(timeout().into()),
        }
    }

    async fn abort_commit_entry(
        &self,
        version: u64,
        commit: CommitOrBytes,
        operation_id: Uuid,
    ) -> Result<(), TransactionError> {
        self.inner.abort_commit_entry(version, commit, operation_id).await
    }

    async fn get_latest_version(&self, version: u64) -> DeltaResult<u64> {
        self.inner.get_latest_version(version).await
    }

    fn object_store(&self, operation_id: Option<Uuid>) -> Arc<dyn ObjectStore> {
        self.inner.object_store(operation_id)
    }

    fn root_object_store(&self, operation_id: Option<Uuid>) -> Arc<dyn ObjectStore> {
        self.inner.root_object_store(operation_id)
    }

    fn config(&self) -> &LogStoreConfig {
        self.inner.config()
    }
}
