//! The lines of a Delta commit that we write and read.

use std::collections::BTreeMap;

use anyhow::{Context, Result};
use arrow::datatypes::Date32Type;
use chrono::{NaiveDate, Utc};
use serde::de::IgnoredAny;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

/// The application id under which the other tables note how far they have followed `events`.
pub(crate) const EVENTS_APP_ID: &str = "trailq/events";

/// The application id under which `events` notes the first date, in days since 1970, of which retention
/// has left the rows.
pub(crate) const RETAINED_APP_ID: &str = "trailq/retained_from";

/// What wrote a commit or a file.
pub(crate) const ENGINE: &str = concat!("trailq/", env!("CARGO_PKG_VERSION"));

/// Delta's `add`: a file joins a table.
#[derive(Clone, Debug, Deserialize, Serialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Add {
    pub(crate) path: String,
    pub(crate) partition_values: BTreeMap<String, Option<String>>,
    pub(crate) size: u64,
    pub(crate) modification_time: i64,
    pub(crate) data_change: bool,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) stats: Option<String>,
}

/// Delta's `remove`: a file leaves a table, for others have its rows now, or nobody.
#[derive(Clone, Debug, Deserialize, Serialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Remove {
    pub(crate) path: String,
    #[serde(default)]
    pub(crate) deletion_timestamp: Option<i64>,
    #[serde(default)]
    pub(crate) data_change: bool,
    #[serde(default)]
    pub(crate) extended_file_metadata: bool,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) partition_values: Option<BTreeMap<String, Option<String>>>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) size: Option<u64>,
}

/// What a commit to `events` says about the other tables: our field `trailq` in `commitInfo`.
#[derive(Clone, Debug, Default, Deserialize, Serialize)]
#[serde(default)]
pub(crate) struct Pointers {
    /// A nonce by which a writer knows its own commit when the answer to its PUT was lost.
    pub(crate) commit_id: String,
    /// The files of `log_files` that belong to this commit.
    pub(crate) ledger: Vec<Add>,
    /// The files of `quarantine` that belong to this commit.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub(crate) quarantine: Vec<Add>,
    /// The files of `digests` that belong to this commit.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub(crate) digests: Vec<Add>,
}

/// What we need to know of a commit, ours or another's.
#[derive(Clone, Debug, Default)]
pub(crate) struct Commit {
    /// Whose it is and where its ledger is; empty if another engine wrote it.
    pub(crate) pointers: Pointers,
    /// The version in its `txn` with our application id.
    pub(crate) events_version: Option<u64>,
    /// Whether it changes the table's schema, properties or protocol.
    pub(crate) changes_table: bool,
    /// The paths of the files that it removes.
    pub(crate) removed: Vec<String>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Line {
    commit_info: Option<CommitInfo>,
    meta_data: Option<IgnoredAny>,
    protocol: Option<IgnoredAny>,
    txn: Option<Txn>,
    remove: Option<Remove>,
}

#[derive(Deserialize)]
struct CommitInfo {
    trailq: Option<Pointers>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Txn {
    app_id: String,
    version: i64,
}

impl Commit {
    /// Reads the JSON lines of a commit file.
    pub(crate) fn parse(bytes: &[u8]) -> Result<Self> {
        let mut commit = Self::default();
        for line in serde_json::Deserializer::from_slice(bytes).into_iter::<Line>() {
            let line = line.context("a line that is no Delta action")?;
            if let Some(pointers) = line.commit_info.and_then(|info| info.trailq) {
                commit.pointers = pointers;
            }
            if let Some(txn) = line.txn.filter(|txn| txn.app_id == EVENTS_APP_ID) {
                commit.events_version = u64::try_from(txn.version).ok();
            }
            commit.removed.extend(line.remove.map(|remove| remove.path));
            commit.changes_table |= line.meta_data.is_some() || line.protocol.is_some();
        }
        Ok(commit)
    }
}

/// The JSON lines of a commit that only adds files.
pub(crate) fn append_lines(
    adds: &[Add],
    pointers: &Pointers,
    events_version: Option<u64>,
) -> Result<Vec<u8>> {
    let info = json!({"commitInfo": {
        "timestamp": Utc::now().timestamp_millis(),
        "operation": "WRITE",
        "operationParameters": {"mode": "Append"},
        // Tells other engines that their DELETE or MERGE does not conflict with this.
        "isBlindAppend": true,
        "engineInfo": ENGINE,
        "trailq": pointers,
    }});
    let mut lines = serde_json::to_vec(&info)?;
    lines.push(b'\n');
    if let Some(version) = events_version {
        // Without `lastUpdated` it never expires.
        push_line(&mut lines, &json!({"txn": {"appId": EVENTS_APP_ID, "version": version}}))?;
    }
    push_adds(&mut lines, adds)?;
    Ok(lines)
}

/// The JSON lines of a commit that takes rows out: files leave, others come with what remains.
pub(crate) fn delete_lines(removes: &[Remove], adds: &[Add], pointers: &Pointers) -> Result<Vec<u8>> {
    replace_lines("DELETE", None, removes, adds, pointers)
}

/// The JSON lines of a commit by which files leave and others come.
pub(crate) fn replace_lines(
    operation: &str,
    retained_from: Option<NaiveDate>,
    removes: &[Remove],
    adds: &[Add],
    pointers: &Pointers,
) -> Result<Vec<u8>> {
    let info = json!({"commitInfo": {
        "timestamp": Utc::now().timestamp_millis(),
        "operation": operation,
        "operationParameters": {},
        "isBlindAppend": false,
        "engineInfo": ENGINE,
        "trailq": pointers,
    }});
    let mut lines = serde_json::to_vec(&info)?;
    lines.push(b'\n');
    if let Some(date) = retained_from {
        let days = Date32Type::from_naive_date(date);
        push_line(&mut lines, &json!({"txn": {"appId": RETAINED_APP_ID, "version": days}}))?;
    }
    for remove in removes {
        push_line(&mut lines, &json!({"remove": remove}))?;
    }
    push_adds(&mut lines, adds)?;
    Ok(lines)
}

fn push_adds(lines: &mut Vec<u8>, adds: &[Add]) -> Result<()> {
    adds.iter().try_for_each(|add| push_line(lines, &json!({"add": add})))
}

fn push_line(lines: &mut Vec<u8>, action: &Value) -> Result<()> {
    serde_json::to_writer(&mut *lines, action)?;
    lines.push(b'\n');
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_commit_is_read_back_as_written() {
        let add = Add {
            path: "part-1.parquet".into(),
            partition_values: [("event_date".to_owned(), None)].into(),
            size: 7,
            modification_time: 1,
            data_change: true,
            stats: Some("{\"numRecords\":1}".into()),
        };
        let pointers =
            Pointers { commit_id: "nonce".into(), ledger: vec![add.clone()], ..Pointers::default() };
        let lines = append_lines(&[add], &pointers, Some(5)).unwrap();
        let commit = Commit::parse(&lines).unwrap();
        assert_eq!(commit.pointers.commit_id, "nonce");
        assert_eq!(commit.pointers.ledger[0].path, "part-1.parquet");
        assert_eq!(commit.events_version, Some(5));
        assert!(!commit.changes_table);
    }

    #[test]
    fn a_commit_that_takes_rows_out_says_which_files_it_removes() {
        let remove = Remove {
            path: "event_date=2026-01-05/part-1.parquet".into(),
            deletion_timestamp: Some(1),
            data_change: true,
            extended_file_metadata: true,
            partition_values: Some([("event_date".to_owned(), Some("2026-01-05".to_owned()))].into()),
            size: Some(7),
        };
        let lines = delete_lines(&[remove], &[], &Pointers::default()).unwrap();
        assert_eq!(Commit::parse(&lines).unwrap().removed, ["event_date=2026-01-05/part-1.parquet"]);
        let foreign = br#"{"remove":{"path":"x","dataChange":false}}"#;
        assert_eq!(Commit::parse(foreign).unwrap().removed, ["x"]);
    }

    #[test]
    fn a_foreign_commit_has_no_pointers_and_a_schema_change_is_seen() {
        let lines = br#"{"commitInfo":{"operation":"SET TBLPROPERTIES"}}
{"txn":{"appId":"spark","version":9}}
{"metaData":{"id":"x"}}"#;
        let commit = Commit::parse(lines).unwrap();
        assert!(commit.pointers.ledger.is_empty());
        assert_eq!(commit.events_version, None);
        assert!(commit.changes_table);
    }
}
