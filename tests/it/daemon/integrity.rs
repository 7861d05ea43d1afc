//! Digests that come by the queue, and what the audit makes of them.

use std::path::Path;
use std::time::Duration;

use trailq::generate::signing::SigningKey;
use trailq::generate::{Options, Volume, write_directory};

use super::super::support::{log_files, number, rows};
use super::setup::Trail;
use crate::aws;

/// A day of made-up logs and digests in a directory.
fn generate(directory: &str) {
    let options = Options {
        accounts: 1,
        days: 1,
        volume: Volume::Total(300),
        bucket: "digests".to_owned(),
        ..Options::default()
    };
    write_directory(&options, &SigningKey::demonstration().unwrap(), Path::new(directory)).unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn digests_prove_log_files_and_bring_in_those_that_nobody_announced() {
    let trail = Trail::new("digests-queue", 10).await;
    let logs = trail.folder.text("logs");
    std::fs::create_dir_all(&logs).unwrap();
    generate(&logs);
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
        "--integrity-grace",
        "2",
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
    let digests = "SELECT count(*) AS n FROM digests WHERE status <> 'valid'";
    let missing = number(&lake, digests);
    assert!(missing <= 40, "{missing}");
}
