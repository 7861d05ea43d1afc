//! What `trailq status` says, and its exit code.

use trailq::generate::signing::SigningKey;
use trailq::generate::{Options, Tamper, Volume, write_directory};

use super::support::{Folder, any_key, gzip, ingest, log_file, sample_logs, trailq};

#[test]
fn a_lake_in_good_order_is_told_in_ten_lines_with_zero() {
    let folder = Folder::new();
    let source = folder.write(&format!("logs/{}", any_key("a")), &log_file(&["1", "2"]));
    ingest(&folder.lake(), &[&source]).expect(0);
    let run = trailq(&["status", "--lake", &folder.lake(), "--metrics-address", "off"]).expect(0);
    assert_eq!(run.stdout.lines().count(), 10, "{}", run.stdout);
    for told in ["version 1", "2 events of 1 log files", "2026-01-05T08:07:00Z", "not asked", "nothing"] {
        assert!(run.stdout.contains(told), "{told}\n{}", run.stdout);
    }
    // Nobody listens on port 1, and that is no fault of the lake's.
    let run = trailq(&["status", "--lake", &folder.lake(), "--metrics-address", "127.0.0.1:1"]).expect(0);
    assert!(run.stdout.contains("none reached: Connection refused"), "{}", run.stdout);
}

#[test]
fn quarantine_makes_the_exit_code_one_unless_told_otherwise() {
    let folder = Folder::new();
    let source = folder.write(&format!("logs/{}", any_key("a")), &gzip(b"no records"));
    ingest(&folder.lake(), &[&source]).expect(1);
    let status = ["status", "--lake", &folder.lake(), "--metrics-address", "off"];
    let run = trailq(&status).expect(1);
    assert!(run.stdout.contains("1 not_a_log_file"), "{}", run.stdout);
    trailq(&[&status[..], &["--fail-on", "integrity"]].concat()).expect(0);
    trailq(&[&status[..], &["--fail-on", "quarantine"]].concat()).expect(1);
    let run = trailq(&[&status[..], &["--fail-on", "nothing", "--format", "json"]].concat()).expect(0);
    let report: serde_json::Value = serde_json::from_str(&run.stdout).unwrap();
    assert_eq!((&report["quarantine"]["not_a_log_file"], &report["log_files"]), (&1.into(), &1.into()));
}

#[test]
fn integrity_and_gaps_are_told_of_a_lake_with_digests() {
    let folder = Folder::new();
    ingest(&folder.lake(), &[&sample_logs()]);
    let status =
        ["status", "--lake", &folder.lake(), "--metrics-address", "off", "--integrity-days", "30000"];
    let run = trailq(&[&status[..], &["--fail-on", "nothing", "--format", "json"]].concat()).expect(0);
    let report: serde_json::Value = serde_json::from_str(&run.stdout).unwrap();
    let by_state = report["integrity"].as_object().unwrap();
    let counted: u64 = by_state.values().map(|count| count.as_u64().unwrap()).sum();
    assert_eq!(counted, report["log_files"].as_u64().unwrap(), "{report}");
}

#[test]
fn a_failed_log_file_makes_the_exit_code_one() {
    let folder = Folder::new();
    // Nothing but that: a file that was deleted would be in quarantine, too.
    let options = Options {
        accounts: 1,
        regions: vec!["us-east-1".to_owned()],
        days: 1,
        volume: Volume::Total(300),
        tamper: vec![Tamper::ModifyLog],
        ..Options::default()
    };
    write_directory(&options, &SigningKey::demonstration().unwrap(), &folder.path("logs")).unwrap();
    let bucket = "s3://example-books-cloudtrail";
    ingest(&folder.lake(), &[&folder.text("logs"), "--as", bucket]).expect(1);
    let status = ["status", "--lake", &folder.lake(), "--metrics-address", "off"];
    let run = trailq(&status).expect(1);
    assert!(run.stdout.contains("1 failed") && run.stdout.contains("hash_mismatch"), "{}", run.stdout);
    trailq(&[&status[..], &["--fail-on", "integrity"]].concat()).expect(1);
    trailq(&[&status[..], &["--fail-on", "quarantine"]].concat()).expect(0);
}

#[test]
fn a_lake_that_is_not_there_is_an_error() {
    let folder = Folder::new();
    let run = trailq(&["status", "--lake", &folder.lake()]).expect(2);
    assert!(run.stderr.contains("no lake at"), "{}", run.stderr);
}
