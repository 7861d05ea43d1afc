//! Buckets as sources, and lakes in buckets.

use std::process::Stdio;

use super::aws::{command, create_bucket, trailq, upload};
use super::support::{
    Folder, Place, Run, any_key, assert_same_places, key, log_file, number_in, places, places_in, repository,
    rows_of,
};

fn rows(lake: &str, sql: &str) -> Vec<serde_json::Value> {
    rows_of(command(&["sql", "--lake", lake, "--format", "ndjson", sql]))
}

fn places_in_lake(lake: &str) -> Vec<Place> {
    places(&rows(lake, "SELECT log_file, record_index, coalesce(eventid, '') AS id FROM cloudtrail_logs"))
}

/// The places of the conformance records, as they are called in a bucket.
fn records(bucket: &str, prefix: &str) -> Vec<Place> {
    let root = repository().join("tests/data/records");
    let root_name = format!("{}/", root.canonicalize().unwrap().to_str().unwrap());
    let mut places = places_in(&root);
    for place in &mut places {
        place.0 = format!("s3://{bucket}/{prefix}{}", place.0.strip_prefix(&root_name).unwrap());
    }
    places
}

fn upload_records(bucket: &str, prefix: &str) {
    upload(repository().join("tests/data/records").to_str().unwrap(), bucket, prefix);
}

#[test]
fn a_bucket_of_many_objects_and_an_odd_prefix_is_ingested_once() {
    let folder = Folder::new();
    // More than the thousand objects of a page.
    for number in 0..1030 {
        folder.write(&format!("logs/{}", any_key(&format!("n{number}"))), &log_file(&[&number.to_string()]));
    }
    upload(&folder.text("logs"), "many", "my logs/ünï + %2F/");
    let source = "s3://many/my logs/ünï + %2F/";
    let run = trailq(&["ingest", "--lake", &folder.lake(), source]).expect(0);
    assert_eq!((run.summary("new in the lake"), run.summary("events added")), (1030, 1030));
    let again = trailq(&["ingest", "--lake", &folder.lake(), "s3://many"]).expect(0);
    assert_eq!((again.summary("already in the lake"), again.summary("new in the lake")), (1030, 0));
    let sql = "SELECT count(DISTINCT eventid) AS n FROM cloudtrail_logs
               WHERE log_file LIKE 's3://many/my logs/ünï + \\%2F/AWSLogs/111122223333/CloudTrail/%' ESCAPE '\\'";
    assert_eq!(number_in(&rows(&folder.lake(), sql)), 1030);
    let ledger = "SELECT count(*) AS n FROM log_files WHERE bucket = 'many' AND length(etag) = 32";
    assert_eq!(number_in(&rows(&folder.lake(), ledger)), 1030);
}

#[test]
fn filters_leave_out_folders_of_a_bucket() {
    let folder = Folder::new();
    for (account, region, day) in [
        ("111122223333", "eu-west-1", "2026-01-05"),
        ("111122223333", "eu-west-1", "2026-02-01"),
        ("111122223333", "us-east-1", "2026-01-05"),
        ("444455556666", "eu-west-1", "2026-01-05"),
    ] {
        folder.write(&format!("logs/{}", key(account, region, day, "a")), &log_file(&[day]));
    }
    upload(&folder.text("logs"), "filtered", "trail/");
    let filter = ["--account", "111122223333", "--region", "eu-west-1", "--to", "2026-01-31"];
    let lake = folder.lake();
    let all = [&["ingest", "--lake", &lake][..], &filter, &["s3://filtered/trail"]].concat();
    let run = trailq(&all).expect(0);
    assert_eq!((run.summary("log files found"), run.summary("new in the lake")), (1, 1));
    let found = rows(&lake, "SELECT account, region, log_date FROM log_files");
    let expected =
        serde_json::json!({"account": "111122223333", "region": "eu-west-1", "log_date": "2026-01-05"});
    assert_eq!(found, [expected]);
}

#[test]
fn a_lake_in_a_bucket_is_filled_and_asked() {
    upload_records("records", "org trail/");
    create_bucket("lake");
    let lake = "s3://lake/our trailq";
    let run = trailq(&["ingest", "--lake", lake, "s3://records"]).expect(0);
    assert_eq!((run.summary("new in the lake"), run.summary("events added")), (10, 68));
    let again = trailq(&["ingest", "--lake", lake, "s3://records"]).expect(0);
    assert_eq!((again.summary("already in the lake"), again.summary("events added")), (10, 0));
    assert_same_places(&places_in_lake(lake), &records("records", "org trail/"));
}

#[test]
fn two_processes_fill_one_lake_in_a_bucket_with_each_event_once() {
    create_bucket("shared-lake");
    let folder = Folder::new();
    let logs = folder.text("logs");
    trailq(&["generate", "--out", &logs, "--days", "2", "--events", "9000", "--no-digests"]).expect(0);
    let lake = "s3://shared-lake/lake";
    let start = || {
        let options = ["ingest", "--lake", lake, "--memory-limit", "32", "--threads", "1", &logs];
        command(&options).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap()
    };
    let runs = [start(), start()].map(|child| Run::from(child.wait_with_output().unwrap()).expect(0));
    let sum = |name: &str| runs.iter().map(|run| run.summary(name)).sum::<u64>();
    assert_eq!(sum("events added"), 9000);
    assert_eq!(sum("new in the lake"), sum("already in the lake"));
    assert_same_places(&places_in_lake(lake), &places_in(folder.path("logs").as_path()));
    let ledger = "SELECT count(*) - count(DISTINCT log_file) AS n FROM log_files";
    assert_eq!(number_in(&rows(lake, ledger)), 0);
}

#[test]
fn a_bucket_is_asked_in_place() {
    upload_records("in-place", "");
    let sql = "SELECT log_file, record_index, coalesce(eventid, '') AS id FROM cloudtrail_logs";
    let found = rows_of(command(&["sql", "--from", "s3://in-place", "--format", "ndjson", sql]));
    assert_same_places(&places(&found), &records("in-place", ""));
}

#[test]
fn a_bucket_that_is_not_there_is_an_error_that_names_it() {
    let folder = Folder::new();
    let runs = [
        trailq(&["ingest", "--lake", &folder.lake(), "s3://no-such-bucket/x"]),
        trailq(&["ingest", "--lake", "s3://no-such-bucket/x", repository().to_str().unwrap()]),
        trailq(&["sql", "--lake", "s3://no-such-bucket/x", "SELECT 1 FROM cloudtrail_logs"]),
        trailq(&["sql", "--from", "s3://no-such-bucket/x", "SELECT 1 FROM cloudtrail_logs"]),
    ];
    for run in runs {
        let stderr = run.expect(2).stderr;
        let told = stderr.contains("s3://no-such-bucket/x") && stderr.contains("bucket does not exist");
        assert!(told && stderr.lines().count() < 4, "{stderr}");
    }
}
