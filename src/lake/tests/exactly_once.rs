//! Each log file is in the lake once, whatever happens.

use std::time::SystemTime;

use bytes::Bytes;
use deltalake::logstore::CommitOrBytes;
use uuid::Uuid;

use super::support::{Fault, Faulty, batch, number, quarantined, session, stage, temporary, time};
use crate::lake::table::Table;
use crate::lake::tables::Kind;
use crate::lake::{Batch, Lake, LogFileId};

const ROWS: &str = "SELECT count(*) FROM events";
const DISTINCT: &str = "SELECT count(DISTINCT eventid) FROM events";
const LEDGER: &str = "SELECT count(*) FROM log_files";
const DISTINCT_LEDGER: &str = "SELECT count(DISTINCT id) FROM log_files";

#[tokio::test(flavor = "multi_thread")]
async fn where_no_lake_is_the_error_says_what_to_run() {
    let (_directory, path) = temporary();
    let error = Lake::open(&path).await.unwrap_err().to_string();
    assert_eq!(error, format!("no lake at {path}: run `trailq ingest` first"));
    assert!(!std::path::Path::new(&path).exists());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_lake_is_created_appended_to_and_opened_again() {
    let (_directory, path) = temporary();
    let lake = Lake::open_or_create(&path).await.unwrap();
    assert_eq!(number(&path, ROWS).await, 0);
    let committed = lake.commit(vec![stage(&lake, &["a", "b"]).await]).await.unwrap();
    assert_eq!((committed.version, committed.files, committed.events), (1, 2, 20));
    assert_eq!((committed.duplicates, committed.num_added_files), (0, 1));
    let again = Lake::open_or_create(&path).await.unwrap();
    let committed =
        again.commit(vec![stage(&again, &["c"]).await, stage(&again, &["d"]).await]).await.unwrap();
    assert_eq!((committed.version, committed.files, committed.events), (2, 2, 20));
    assert_eq!(number(&path, ROWS).await, 40);
    assert_eq!(number(&path, DISTINCT).await, 40);
    assert_eq!(number(&path, LEDGER).await, 4);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_log_file_given_again_adds_nothing() {
    let (_directory, path) = temporary();
    let lake = Lake::open_or_create(&path).await.unwrap();
    lake.commit(vec![stage(&lake, &["a", "b"]).await]).await.unwrap();
    // The same process, another one, and twice in one commit.
    let committed = lake.commit(vec![stage(&lake, &["b", "c"]).await]).await.unwrap();
    assert_eq!((committed.files, committed.duplicates, committed.events), (1, 1, 10));
    let other = Lake::open_or_create(&path).await.unwrap();
    let batches = vec![stage(&other, &["c", "d"]).await, stage(&other, &["d", "e"]).await];
    let committed = other.commit(batches).await.unwrap();
    assert_eq!((committed.files, committed.duplicates, committed.events), (2, 2, 20));
    let committed = other.commit(vec![stage(&other, &["a"]).await]).await.unwrap();
    assert_eq!((committed.version, committed.files, committed.duplicates), (3, 0, 1));
    assert_eq!(number(&path, ROWS).await, 50);
    assert_eq!(number(&path, DISTINCT).await, 50);
    assert_eq!(number(&path, LEDGER).await, 5);
    assert_eq!(number(&path, "SELECT count(*) FROM events WHERE eventid LIKE 'c-%'").await, 10);
}

#[tokio::test(flavor = "multi_thread")]
async fn files_of_dropped_duplicates_are_deleted() {
    let (_directory, path) = temporary();
    let lake = Lake::open_or_create(&path).await.unwrap();
    lake.commit(vec![stage(&lake, &["a"]).await]).await.unwrap();
    lake.commit(vec![stage(&lake, &["a"]).await]).await.unwrap();
    let staged = stage(&lake, &["b"]).await;
    lake.discard(staged).await;
    let partition = std::path::Path::new(&path).join("events/event_date=2026-01-05");
    assert_eq!(std::fs::read_dir(partition).unwrap().count(), 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn writers_that_share_log_files_add_each_once() {
    let (_directory, path) = temporary();
    let lakes = [Lake::open_or_create(&path).await.unwrap(), Lake::open_or_create(&path).await.unwrap()];
    for round in 0..12 {
        let names: Vec<String> = (0..5).map(|index| format!("{round}-{index}")).collect();
        let names: Vec<&str> = names.iter().map(String::as_str).collect();
        let batches = [stage(&lakes[0], &names[..4]).await, stage(&lakes[1], &names[2..]).await];
        let [first, second] = batches;
        let (first, second) = tokio::join!(lakes[0].commit(vec![first]), lakes[1].commit(vec![second]));
        let (first, second) = (first.unwrap(), second.unwrap());
        assert_eq!(first.files + second.files, 5);
        assert_eq!(first.duplicates + second.duplicates, 2);
        assert_ne!(first.version, second.version);
    }
    for (sql, expected) in [(ROWS, 600), (DISTINCT, 600), (LEDGER, 60), (DISTINCT_LEDGER, 60)] {
        assert_eq!(number(&path, sql).await, expected, "{sql}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_crash_before_the_commit_leaves_nothing() {
    let (_directory, path) = temporary();
    let lake = Lake::open_or_create(&path).await.unwrap();
    drop(stage(&lake, &["a"]).await);
    drop(lake);
    assert_eq!(number(&path, ROWS).await, 0);
    assert_eq!(number(&path, LEDGER).await, 0);
    let lake = Lake::open_or_create(&path).await.unwrap();
    let committed = lake.commit(vec![stage(&lake, &["a"]).await]).await.unwrap();
    assert_eq!((committed.files, committed.duplicates), (1, 0));
    assert_eq!(number(&path, ROWS).await, 10);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_crash_after_the_commit_is_repaired_by_the_next_writer() {
    let (_directory, path) = temporary();
    let lake = Lake::open_or_create(&path).await.unwrap();
    let odd = lake.writer().write(quarantined("q", time("2026-01-05T12:00:00Z"))).await.unwrap();
    let batches = vec![stage(&lake, &["a"]).await, odd];
    lake.committer().await.unwrap().lock().await.commit_events(batches).await.unwrap();
    drop(lake);
    let quarantine = "SELECT count(*) FROM quarantine";
    // A reader sees the lagging rows and writes nothing.
    assert_eq!(number(&path, LEDGER).await, 2);
    assert_eq!(number(&path, quarantine).await, 1);
    assert_eq!(versions(&path).await, [1, 0, 0]);
    for _ in 0..2 {
        let lake = Lake::open_or_create(&path).await.unwrap();
        assert_eq!(versions(&path).await, [1, 1, 1]);
        assert_eq!(number(&path, LEDGER).await, 2);
        assert_eq!(number(&path, quarantine).await, 1);
        let committed = lake.commit(vec![stage(&lake, &["a", "q"]).await]).await.unwrap();
        assert_eq!((committed.files, committed.duplicates), (0, 2));
    }
    assert_eq!(number(&path, ROWS).await, 10);
}

#[tokio::test(flavor = "multi_thread")]
async fn two_writers_repair_the_same_crash_once() {
    let (_directory, path) = temporary();
    let lakes = [Lake::open_or_create(&path).await.unwrap(), Lake::open_or_create(&path).await.unwrap()];
    let staged = stage(&lakes[0], &["a"]).await;
    lakes[0].committer().await.unwrap().lock().await.commit_events(vec![staged]).await.unwrap();
    for lake in &lakes {
        let mut committer = lake.committer().await.unwrap().lock().await;
        committer.follow().await.unwrap();
    }
    let [first, second] = &lakes;
    let catch_up = async |lake: &Lake| lake.committer().await.unwrap().lock().await.catch_up().await;
    let (first, second) = tokio::join!(catch_up(first), catch_up(second));
    first.unwrap();
    second.unwrap();
    assert_eq!(versions(&path).await, [1, 1, 0]);
    let ledger = lakes[0].table(Kind::LogFiles).load().await.unwrap();
    assert_eq!(ledger.files.len(), 1);
    assert_eq!(ledger.events_version, Some(1));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_commit_whose_answer_is_lost_is_found_in_the_log() {
    for fault in [Fault::LosesAnswer, Fault::SaysExists, Fault::Refuses] {
        let (_directory, path) = temporary();
        let lake = faulty(&path, fault, 1).await;
        let committed = lake.commit(vec![stage(&lake, &["a"]).await]).await.unwrap();
        assert_eq!((committed.version, committed.files, committed.duplicates), (1, 1, 0), "{fault:?}");
        let committed = lake.commit(vec![stage(&lake, &["a", "b"]).await]).await.unwrap();
        assert_eq!((committed.version, committed.files, committed.duplicates), (2, 1, 1), "{fault:?}");
        assert_eq!(number(&path, ROWS).await, 20);
        assert_eq!(number(&path, LEDGER).await, 2);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_commit_that_fails_and_has_landed_is_a_duplicate_next_time() {
    let (_directory, path) = temporary();
    let lake = faulty(&path, Fault::GoesDark, 1).await;
    lake.commit(vec![stage(&lake, &["a"]).await]).await.unwrap_err();
    let lake = Lake::open_or_create(&path).await.unwrap();
    let committed = lake.commit(vec![stage(&lake, &["a", "b"]).await]).await.unwrap();
    assert_eq!((committed.version, committed.files, committed.duplicates), (2, 1, 1));
    assert_eq!(number(&path, DISTINCT).await, 20);
    assert_eq!(number(&path, ROWS).await, 20);
}

#[tokio::test(flavor = "multi_thread")]
async fn commits_of_other_engines_are_stepped_over_unless_they_change_the_table() {
    let (_directory, path) = temporary();
    let lake = Lake::open_or_create(&path).await.unwrap();
    write_commit(&lake, 1, r#"{"commitInfo":{"operation":"VACUUM START","engineInfo":"Spark"}}"#).await;
    let committed = lake.commit(vec![stage(&lake, &["a"]).await]).await.unwrap();
    assert_eq!(committed.version, 2);
    write_commit(&lake, 3, r#"{"protocol":{"minReaderVersion":1,"minWriterVersion":4}}"#).await;
    let error = lake.commit(vec![stage(&lake, &["b"]).await]).await.unwrap_err();
    assert!(error.to_string().contains("changes the table"), "{error}");
    assert_eq!(number(&path, ROWS).await, 10);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_writer_that_slept_looks_at_the_log_before_it_commits() {
    let (_directory, path) = temporary();
    let lakes = [Lake::open_or_create(&path).await.unwrap(), Lake::open_or_create(&path).await.unwrap()];
    lakes[0].commit(vec![stage(&lakes[0], &["a"]).await]).await.unwrap();
    lakes[0].commit(vec![stage(&lakes[0], &["b"]).await]).await.unwrap();
    // Version 1 is cleaned away while the other writer believes that 0 is the newest.
    std::fs::remove_file(format!("{path}/events/_delta_log/{:020}.json", 1)).unwrap();
    let table = lakes[0].table(Kind::Events);
    let mut delta = deltalake::DeltaTable::new(table.log_store.clone());
    assert!(delta.load().await.is_err(), "a log with a gap");
    write_commit(&lakes[0], 1, r#"{"commitInfo":{}}"#).await;
    delta.load().await.unwrap();
    deltalake::checkpoints::create_checkpoint(&delta, None).await.unwrap();
    std::fs::remove_file(format!("{path}/events/_delta_log/{:020}.json", 1)).unwrap();
    lakes[1].committer().await.unwrap().lock().await.forget_when_checked(SystemTime::UNIX_EPOCH);
    let committed = lakes[1].commit(vec![stage(&lakes[1], &["a", "c"]).await]).await.unwrap();
    assert_eq!((committed.version, committed.files, committed.duplicates), (3, 1, 1));
}

#[tokio::test(flavor = "multi_thread")]
async fn the_lake_knows_its_log_files_by_size() {
    let (_directory, path) = temporary();
    let lake = Lake::open_or_create(&path).await.unwrap();
    for (name, day) in [("a", "2026-01-05T00:00:00Z"), ("b", "2026-02-05T00:00:00Z")] {
        let staged = lake.writer().write(batch(&[name], time(day))).await.unwrap();
        lake.commit(vec![staged]).await.unwrap();
    }
    let other = Lake::open_or_create(&path).await.unwrap();
    let ids = ["a", "b", "c"].map(LogFileId::of);
    let january = "2026-01-01".parse().unwrap()..="2026-01-31".parse().unwrap();
    assert_eq!(other.known(&ids, Some(january)).await.unwrap(), [Some(1010), None, None]);
    assert_eq!(other.known(&ids, None).await.unwrap(), [Some(1010), Some(1010), None]);
    // Also what others have committed since.
    lake.commit(vec![stage(&lake, &["c"]).await]).await.unwrap();
    assert_eq!(other.known(&ids, None).await.unwrap()[2], Some(1010));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_batch_that_contradicts_itself_is_refused() {
    let (_directory, path) = temporary();
    let lake = Lake::open_or_create(&path).await.unwrap();
    let noon = time("2026-01-05T12:00:00Z");
    let unlisted = Batch { files: vec![], ..batch(&["a"], noon) };
    let twice = batch(&["a", "a"], noon);
    let odd = Batch { files: vec![], ..quarantined("a", noon) };
    for batch in [unlisted, twice, odd] {
        assert!(lake.writer().write(batch).await.is_err());
    }
    assert!(lake.commit(vec![]).await.unwrap().files == 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_log_file_without_records_is_in_the_ledger() {
    let (_directory, path) = temporary();
    let lake = Lake::open_or_create(&path).await.unwrap();
    let empty = Batch { events: vec![], ..batch(&["empty"], time("2026-01-05T12:00:00Z")) };
    let staged = lake.writer().write(empty).await.unwrap();
    let committed = lake.commit(vec![staged]).await.unwrap();
    assert_eq!((committed.files, committed.num_added_files), (1, 0));
    let context = session(&lake).await;
    assert_eq!(super::support::number_of(&context, LEDGER).await, 1);
}

/// A lake whose log of `events` fails at its first commits.
async fn faulty(path: &str, fault: Fault, times: u32) -> Lake {
    let lake = Lake::open_or_create(path).await.unwrap();
    let events = lake.table(Kind::Events);
    let log_store = Faulty::wrap(events.log_store.clone(), fault, times);
    let events = Table { name: events.name, log_store };
    Lake::of_tables(lake.inner.location.clone(), lake.inner.tables.with(Kind::Events, events))
}

/// Those of `events`, `log_files` and `quarantine`.
async fn versions(path: &str) -> [u64; 3] {
    let lake = Lake::open(path).await.unwrap();
    let view = lake.view().await.unwrap();
    [Kind::Events, Kind::LogFiles, Kind::Quarantine].map(|kind| view.get(kind).version)
}

pub(super) async fn write_commit(lake: &Lake, version: u64, lines: &'static str) {
    let body = CommitOrBytes::LogBytes(Bytes::from_static(lines.as_bytes()));
    let log_store = &lake.table(Kind::Events).log_store;
    log_store.write_commit_entry(version, body, Uuid::new_v4()).await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_lake_of_another_version_is_not_written_to() {
    let (_directory, path) = temporary();
    let lake = Lake::open_or_create(&path).await.unwrap();
    let ledger = lake.table(Kind::LogFiles);
    std::fs::remove_dir_all(format!("{path}/log_files")).unwrap();
    ledger.create(&Kind::Digests.schema(), &[], &[]).await.unwrap();
    let error = Lake::open_or_create(&path).await.unwrap_err().to_string();
    assert!(error.contains("/log_files/ was made by another version of trailq"), "{error}");
}
