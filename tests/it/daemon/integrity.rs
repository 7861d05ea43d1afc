//! Digests that come by the queue, and what the audit makes of them.

use std::path::{Path, PathBuf};
use std::time::Duration;

use trailq::generate::signing::SigningKey;
use trailq::generate::{Options, Volume, write_directory};

use super::super::support::{gzip, inflated, log_files, number, rows, trailq};
use super::setup::Trail;
use crate::aws;

/// A day of made-up logs and digests of a bucket in a directory.
fn generate(directory: &str, bucket: &str) {
    let options = Options {
        accounts: 1,
        days: 1,
        volume: Volume::Total(300),
        bucket: bucket.to_owned(),
        ..Options::default()
    };
    write_directory(&options, &SigningKey::demonstration().unwrap(), Path::new(directory)).unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn digests_prove_log_files_and_bring_in_those_that_nobody_announced() {
    let trail = Trail::new("digests-queue", 10).await;
    let logs = trail.folder.text("logs");
    std::fs::create_dir_all(&logs).unwrap();
    generate(&logs, "digests");
    let files = log_files(Path::new(&logs)).len() as u64;
    assert!(files > 10, "{files}");
    // All is announced but two log files, one of which is gone as well.
    let keys = |path: &Path| path.strip_prefix(&logs).unwrap().to_str().unwrap().to_owned();
    let paths = log_files(Path::new(&logs));
    let (unannounced, deleted) = (keys(&paths[3]), keys(&paths[7]));
    aws::upload_trail(&logs, "digests");
    trail.s3.delete_object().bucket("digests").key(&deleted).send().await.unwrap();
    let listed = trail.s3.list_objects_v2().bucket("digests").send().await.unwrap();
    assert_eq!(listed.is_truncated(), Some(false));
    for object in listed.contents() {
        let key = object.key().unwrap();
        if key != unannounced {
            trail.send(&super::s3_event("digests", &[key])).await;
        }
    }
    let keys_file = format!("{logs}/public-keys.json");
    let more = [
        "--bucket",
        "digests",
        "--public-keys",
        &keys_file,
        "--integrity-interval",
        "1",
        // Digests come before what they list, and a busy machine is slow to follow.
        "--integrity-grace",
        "10",
        "--integrity-days",
        "30000",
    ];
    let daemon = trail.daemon(&more);
    trail.wait_until_empty().await;
    let settled = |page: &super::setup::Page| {
        let states = page.by("log_files", "integrity");
        let count = |state: &str| states.get(state).copied().unwrap_or(0);
        page.sum("integrity_recovered_total") >= 1 && count("failed") == 1 && count("verified") + 1 >= files
    };
    let page = daemon.wait_for("verified", settled).await;
    tokio::time::sleep(Duration::from_secs(1)).await;
    daemon.metrics().assert_balanced();
    assert_eq!(page.sum("integrity_recovered_total"), 1);
    assert!(page.by("digest_lag_seconds", "region").len() >= 2);
    let (status, log) = daemon.stop();
    assert!(status.success(), "{log}");
    assert!(log.contains("fetched because a digest lists it") && log.contains(&unannounced), "{log}");
    assert!(log.contains("integrity failed") && log.contains("why=\"deleted\""), "{log}");
    let lake = trail.lake();
    assert_eq!(number(&lake, "SELECT count(*) AS n FROM log_files"), files);
    let failed = rows(&lake, "SELECT key, integrity_reason FROM log_files WHERE integrity = 'failed'");
    assert_eq!((failed.len(), failed[0]["key"].as_str()), (1, Some(deleted.as_str())));
    let not_valid = rows(&lake, "SELECT digest, status FROM digests WHERE status <> 'valid'");
    assert!(not_valid.is_empty(), "{not_valid:?}");
}

/// Changes the first digest that lists something.
fn alter_a_digest(directory: &str) {
    let pattern = format!("{directory}/AWSLogs/**/CloudTrail-Digest/**/*.json.gz");
    let lists = |path: &PathBuf| inflated(path).contains("\"logFiles\":[{");
    let path = glob::glob(&pattern).unwrap().flatten().find(lists).unwrap();
    let altered = inflated(&path).replacen("\"logFiles\":[{", "\"logFiles\":[{\"added\":1,", 1);
    std::fs::write(&path, gzip(altered.as_bytes())).unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_digest_that_does_not_hold_is_told_first_and_what_it_lists_goes_where_the_policy_says() {
    let trail = Trail::new("digests-bad-queue", 10).await;
    let (logs, bucket) = (trail.folder.text("logs"), "digests-bad");
    std::fs::create_dir_all(&logs).unwrap();
    generate(&logs, bucket);
    alter_a_digest(&logs);
    aws::upload_trail(&logs, bucket);
    let listed = trail.s3.list_objects_v2().bucket(bucket).send().await.unwrap();
    for object in listed.contents() {
        trail.send(&super::s3_event(bucket, &[object.key().unwrap()])).await;
    }
    let keys_file = format!("{logs}/public-keys.json");
    let daemon = trail.daemon(&[
        "--bucket",
        bucket,
        "--public-keys",
        &keys_file,
        "--integrity-interval",
        "1",
        "--integrity-days",
        "30000",
        "--on-integrity-failure",
        "quarantine",
    ]);
    trail.wait_until_empty().await;
    let page = daemon.wait_for("withdrawn", |page| page.sum("integrity_withdrawn_total") >= 1).await;
    page.assert_balanced();
    let (status, log) = daemon.stop();
    assert!(status.success(), "{log}");
    assert_eq!(log.matches("this digest does not hold: nothing that it lists is proven").count(), 1, "{log}");
    assert!(log.contains("reason=\"wrong_signature\""), "{log}");
    assert!(log.contains("the digest that would vouch for this log file does not hold"), "{log}");
    assert!(!log.contains("is not as CloudTrail wrote it"), "nobody knows that: {log}");
    let lake = trail.lake();
    let failed =
        rows(&lake, "SELECT DISTINCT status, integrity_reason FROM log_files WHERE integrity = 'failed'");
    assert_eq!(failed, [serde_json::json!({"status": "quarantined", "integrity_reason": "bad_signature"})]);
    let run = trailq(&["status", "--lake", &lake, "--metrics-address", "off"]).expect(1);
    assert!(run.stdout.contains("of all time: 1 invalid"), "{}", run.stdout);
    assert!(
        run.stdout.contains("integrity_failed") && run.stdout.contains("bad_signature"),
        "{}",
        run.stdout
    );
}
