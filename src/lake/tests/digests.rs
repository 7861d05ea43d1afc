//! Digests are facts beside the log files: each outcome of a digest is in the lake once.

use chrono::{DateTime, TimeDelta, Utc};

use super::support::{batch, number, stage, temporary, time};
use crate::lake::{Batch, DigestEntry, DigestStatus, Kind, Lake, ListedLogFile, LogFileId};

const DIGESTS: &str = "SELECT count(*) FROM digests";

fn noon() -> DateTime<Utc> {
    time("2026-01-05T12:00:00Z")
}

pub(super) fn digest(name: &str, status: DigestStatus, end: DateTime<Utc>) -> DigestEntry {
    let listed =
        |name: &str| ListedLogFile { log_file: format!("s3://bucket/{name}"), hash_value: "00".into() };
    DigestEntry {
        digest: format!("s3://bucket/{name}"),
        bucket: "bucket".to_owned(),
        key: name.to_owned(),
        account: "111122223333".to_owned(),
        region: "eu-west-1".to_owned(),
        trail: "trail".to_owned(),
        home_region: "eu-west-1".to_owned(),
        backfill: false,
        digest_start_time: Some(end - TimeDelta::hours(1)),
        digest_end_time: end,
        status,
        reason: None,
        detail: None,
        hash_value: Some("ab".to_owned()),
        signature: None,
        public_key_fingerprint: None,
        previous_digest_s3_bucket: None,
        previous_digest_s3_object: None,
        previous_digest_hash_value: None,
        previous_digest_signature: None,
        log_files: vec![listed("a"), listed("b")],
    }
}

pub(super) fn of(digests: Vec<DigestEntry>) -> Batch {
    Batch { digests, ..Batch::default() }
}

/// How many rows the table has; readers see one of each digest.
async fn rows(lake: &Lake) -> usize {
    lake.refresh().await.unwrap();
    let mut rows = 0;
    for file in lake.data_files(Kind::Digests).await.unwrap().iter() {
        let batches = lake.read_data_file(Kind::Digests, file, &["id"]).await.unwrap();
        rows += batches.iter().map(arrow::array::RecordBatch::num_rows).sum::<usize>();
    }
    rows
}

fn id(name: &str) -> LogFileId {
    LogFileId::of(&format!("s3://bucket/{name}"))
}

#[tokio::test(flavor = "multi_thread")]
async fn digests_are_committed_with_log_files_and_without() {
    let (_directory, path) = temporary();
    let lake = Lake::open_or_create(&path).await.unwrap();
    let both = Batch { digests: vec![digest("d1", DigestStatus::Valid, noon())], ..batch(&["a"], noon()) };
    let staged = lake.writer().write(both).await.unwrap();
    let committed = lake.commit(vec![staged]).await.unwrap();
    assert_eq!((committed.version, committed.files, committed.digests), (1, 1, 1));
    let staged = lake.writer().write(of(vec![digest("d2", DigestStatus::Missing, noon())])).await.unwrap();
    let committed = lake.commit(vec![staged]).await.unwrap();
    assert_eq!((committed.version, committed.files, committed.digests), (2, 0, 1));
    assert_eq!(number(&path, DIGESTS).await, 2);
    let listed = "SELECT count(*) FROM (SELECT unnest(log_files) AS f FROM digests) WHERE f['log_file'] = 's3://bucket/b'";
    assert_eq!(number(&path, listed).await, 2);
    assert_eq!(number(&path, "SELECT count(*) FROM log_files").await, 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn an_outcome_that_is_known_is_not_added_again() {
    let (_directory, path) = temporary();
    let lakes = [Lake::open_or_create(&path).await.unwrap(), Lake::open_or_create(&path).await.unwrap()];
    let valid = || digest("d", DigestStatus::Valid, noon());
    let unknown = || digest("d", DigestStatus::KeyNotFound, noon());
    let stage = async |lake: &Lake, digests| lake.writer().write(of(digests)).await.unwrap();
    let [first, second] = &lakes;
    let staged = (stage(first, vec![unknown(), unknown()]).await, stage(second, vec![unknown()]).await);
    let (a, b) = tokio::join!(first.commit(vec![staged.0]), second.commit(vec![staged.1]));
    assert_eq!(a.unwrap().digests + b.unwrap().digests, 1);
    assert_eq!(first.known_digests(&[id("d")]).await.unwrap(), [Some(DigestStatus::KeyNotFound)]);
    // In two batches of one commit, with a new outcome among them.
    let batches = vec![stage(first, vec![valid(), unknown()]).await, stage(first, vec![valid()]).await];
    assert_eq!(first.commit(batches).await.unwrap().digests, 1);
    assert_eq!(rows(first).await, 2);
    let other = Lake::open_or_create(&path).await.unwrap();
    for lake in [first, second, &other] {
        assert_eq!(lake.known_digests(&[id("d"), id("e")]).await.unwrap(), [Some(DigestStatus::Valid), None]);
    }
    let again = stage(&other, vec![valid()]).await;
    assert_eq!(other.commit(vec![again]).await.unwrap().digests, 0);
    assert_eq!((rows(&other).await, number(&path, DIGESTS).await), (2, 1));
}

#[tokio::test(flavor = "multi_thread")]
async fn only_the_days_asked_for_are_read() {
    let (_directory, path) = temporary();
    let lake = Lake::open_or_create(&path).await.unwrap();
    for day in 0..3 {
        let entry = digest(&format!("d{day}"), DigestStatus::Valid, noon() + TimeDelta::days(day));
        let staged = lake.writer().write(of(vec![entry])).await.unwrap();
        lake.commit(vec![staged]).await.unwrap();
    }
    let other = Lake::open_or_create(&path).await.unwrap();
    let ids = [id("d0"), id("d1"), id("d2")];
    let second = "2026-01-06".parse().unwrap()..="2026-01-06".parse().unwrap();
    let known = other.known_digests_between(&ids, Some(second)).await.unwrap();
    assert_eq!(known, [None, Some(DigestStatus::Valid), None]);
    assert_eq!(other.known_digests(&ids).await.unwrap(), [Some(DigestStatus::Valid); 3]);
}

#[tokio::test(flavor = "multi_thread")]
async fn digests_survive_a_crash_after_the_commit() {
    let (_directory, path) = temporary();
    let lake = Lake::open_or_create(&path).await.unwrap();
    let staged = lake.writer().write(of(vec![digest("d", DigestStatus::Valid, noon())])).await.unwrap();
    lake.committer().await.unwrap().lock().await.commit_events(vec![staged]).await.unwrap();
    drop(lake);
    assert_eq!(number(&path, DIGESTS).await, 1);
    for _ in 0..2 {
        let lake = Lake::open_or_create(&path).await.unwrap();
        assert_eq!(lake.table(Kind::Digests).head().await.unwrap().0, 1);
        assert_eq!(number(&path, DIGESTS).await, 1);
        assert_eq!(lake.known_digests(&[id("d")]).await.unwrap(), [Some(DigestStatus::Valid)]);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_lake_without_the_table_is_read_as_one_without_digests() {
    let (_directory, path) = temporary();
    let lake = Lake::open_or_create(&path).await.unwrap();
    lake.commit(vec![stage(&lake, &["a"]).await]).await.unwrap();
    drop(lake);
    std::fs::remove_dir_all(format!("{path}/digests")).unwrap();
    assert_eq!(number(&path, DIGESTS).await, 0);
    assert_eq!(number(&path, "SELECT count(*) FROM events").await, 10);
    let reader = Lake::open(&path).await.unwrap();
    reader.refresh().await.unwrap();
    let lake = Lake::open_or_create(&path).await.unwrap();
    let staged = lake.writer().write(of(vec![digest("d", DigestStatus::Valid, noon())])).await.unwrap();
    lake.commit(vec![staged]).await.unwrap();
    assert_eq!(number(&path, DIGESTS).await, 1);
    reader.refresh().await.unwrap();
    assert_eq!(reader.data_files(Kind::Digests).await.unwrap().len(), 1);
}
