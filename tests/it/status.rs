//! What `trailq status` says, and its exit code.

use trailq::generate::signing::SigningKey;
use trailq::generate::{Options, Tamper, Volume, write_directory};

use super::support::{Folder, any_key, gzip, ingest, log_file, number, sample_logs, trailq};

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
fn a_failure_stays_loud_however_old_until_somebody_has_dealt_with_it() {
    let folder = Folder::new();
    let options = Options {
        accounts: 1,
        regions: vec!["us-east-1".to_owned()],
        days: 9,
        volume: Volume::Total(600),
        tamper: vec![Tamper::ModifyLog],
        seed: 3,
        ..Options::default()
    };
    write_directory(&options, &SigningKey::demonstration().unwrap(), &folder.path("logs")).unwrap();
    let (bucket, lake) = ("s3://example-books-cloudtrail", folder.lake());
    ingest(&lake, &[&folder.text("logs"), "--as", bucket]).expect(1);
    let rows_of = |log_file: &str| {
        let sql = format!("SELECT count(*) AS n FROM cloudtrail_logs WHERE log_file = '{log_file}'");
        number(&lake, &sql)
    };
    let status = |more: &[&str]| {
        trailq(&[&["status", "--lake", &lake, "--metrics-address", "off"][..], more].concat())
    };
    let quarantine =
        |more: &[&str]| trailq(&[&["quarantine", more[0], "--lake", &lake][..], &more[1..]].concat());
    let run = status(&["--format", "json"]).expect(1);
    let report: serde_json::Value = serde_json::from_str(&run.stdout).unwrap();
    // It is older than the days of which log files are counted.
    assert_eq!(
        (&report["integrity"]["failed"], &report["integrity_failures"]["hash_mismatch"]),
        (&0.into(), &1.into())
    );
    let failed = report["failed_log_files"][0]["log_file"].as_str().unwrap().to_owned();
    let date = failed.rsplit('_').nth(1).unwrap();
    let after = format!("{}-{}-{}", &date[..4], &date[4..6], date[6..8].parse::<u32>().unwrap() + 1);
    status(&["--fail-on", "integrity", "--failed-since", &after]).expect(0);
    let text = status(&["--fail-on", "integrity"]).expect(1).stdout;
    assert!(text.contains("FAILED and not dealt with, of all time: 1 (1 hash_mismatch)"), "{text}");
    assert_eq!(text.lines().count(), 10, "{text}");

    let rows = rows_of(&failed);
    let dry = quarantine(&["withdraw", "--failed", "--dry-run"]).expect(0);
    assert!(
        dry.stdout.contains(&failed) && dry.stdout.contains("1 log file would be withdrawn"),
        "{}",
        dry.stdout
    );
    assert_eq!(rows_of(&failed), rows);
    let run = quarantine(&["withdraw", "--failed"]).expect(0);
    assert!(run.stdout.contains("integrity failed: hash_mismatch"), "{}", run.stdout);
    assert_eq!((rows > 0, rows_of(&failed)), (true, 0));
    // It waits in quarantine, and has not been dealt with.
    status(&["--fail-on", "integrity"]).expect(1);
    quarantine(&["discard", "--reason", "integrity_failed"]).expect(0);
    assert!(status(&[]).expect(0).stdout.contains("nothing"));
    quarantine(&["withdraw", "s3://no/such/file"]).expect(2);
}

#[test]
fn a_lake_that_is_not_there_is_an_error() {
    let folder = Folder::new();
    let run = trailq(&["status", "--lake", &folder.lake()]).expect(2);
    assert!(run.stderr.contains("no lake at"), "{}", run.stderr);
}
