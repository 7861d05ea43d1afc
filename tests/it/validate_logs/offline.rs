//! Copies of a bucket on disk, with and without what the copy would lose.

use std::fs;
use std::path::Path;

use serde_json::Value;
use trailq::generate::signing::SigningKey;
use trailq::generate::{Options, Volume, write_directory};

use crate::support::{self, Folder, Run};

/// A copy of a generated bucket: a day of a few accounts and regions.
fn copy(folder: &Folder) -> String {
    let options = Options { days: 1, volume: Volume::Total(600), ..Options::default() };
    write_directory(&options, &SigningKey::demonstration().unwrap(), &folder.path("copy")).unwrap();
    folder.text("copy")
}

fn validate(arguments: &[&str]) -> Run {
    // Whatever is asked of AWS fails at once: nothing may be asked.
    let mut command = support::command(&[&["validate-logs"], arguments].concat());
    command.env("AWS_ENDPOINT_URL", "http://127.0.0.1:9").env("AWS_EC2_METADATA_DISABLED", "true");
    command.output().unwrap().into()
}

fn findings(run: &Run) -> Vec<Value> {
    let json: Value = serde_json::from_str(&run.stdout).unwrap();
    json["findings"].as_array().unwrap().clone()
}

fn count(findings: &[Value], kind: &str, verdict: &str) -> usize {
    findings.iter().filter(|finding| finding["kind"] == kind && finding["verdict"] == verdict).count()
}

fn first_log_file(copy: &str) -> std::path::PathBuf {
    support::log_files(Path::new(copy)).into_iter().next().unwrap()
}

#[test]
fn a_whole_copy_is_proven_without_a_network() {
    let folder = Folder::new();
    let copy = copy(&folder);
    let run = validate(&["--local", &copy, "--format", "json"]).expect(0);
    let findings = findings(&run);
    let logs = support::log_files(Path::new(&copy)).len();
    assert_eq!(count(&findings, "log_file", "valid"), logs);
    assert!(count(&findings, "digest", "valid") > 24);
    let other = |finding: &&Value| finding["verdict"] != "valid" && finding["verdict"] != "note";
    assert_eq!(findings.iter().find(other), None);
    assert!(run.stderr.contains("public keys are those of"), "{}", run.stderr);
}

#[test]
fn an_altered_file_of_a_copy_is_found() {
    let folder = Folder::new();
    let copy = copy(&folder);
    let log = first_log_file(&copy);
    fs::write(&log, support::log_file(&["forged"])).unwrap();
    let run = validate(&["--local", &copy]).expect(1);
    assert_eq!(run.stderr.matches("INVALID: hash value doesn't match").count(), 1, "{}", run.stderr);
    assert!(run.stderr.contains(log.file_name().unwrap().to_str().unwrap()));
}

#[test]
fn without_signatures_nothing_is_proven_and_hashes_are_still_compared() {
    let folder = Folder::new();
    let copy = copy(&folder);
    fs::remove_file(Path::new(&copy).join("digest-metadata.json")).unwrap();
    fs::write(first_log_file(&copy), support::log_file(&["forged"])).unwrap();
    let run = validate(&["--local", &copy, "--format", "json"]).expect(1);
    assert!(run.stderr.contains("digests cannot be"), "{}", run.stderr);
    let findings = findings(&run);
    assert_eq!((count(&findings, "digest", "valid"), count(&findings, "log_file", "valid")), (0, 0));
    assert_eq!(count(&findings, "log_file", "invalid"), 1);
    assert_eq!(count(&findings, "log_file", "unproven"), support::log_files(Path::new(&copy)).len() - 1);
    let text = validate(&["--local", &copy]).expect(1);
    assert!(text.stdout.contains("UNPROVEN") && !text.stdout.contains("  proven"), "{}", text.stdout);
}

#[test]
fn keys_of_a_file_are_the_only_ones_believed() {
    let folder = Folder::new();
    let copy = copy(&folder);
    let keys = Path::new(&copy).join("public-keys.json");
    let taken = folder.text("keys.json");
    fs::rename(&keys, &taken).unwrap();
    validate(&["--local", &copy, "--public-keys", &taken]).expect(0);
    let none = folder.write("none.json", br#"{"PublicKeyList": []}"#);
    let run = validate(&["--local", &copy, "--public-keys", &none]).expect(1);
    assert!(run.stdout.contains("NOT PROVEN"), "{}", run.stdout);
}

#[test]
fn a_copy_that_is_none_is_refused_with_a_reason() {
    let folder = Folder::new();
    fs::create_dir_all(folder.path("empty")).unwrap();
    let run = validate(&["--local", &folder.text("empty")]).expect(255);
    assert!(run.stderr.contains("say it with --s3-bucket"), "{}", run.stderr);
    let run = validate(&["--local", &folder.text("nowhere")]).expect(255);
    assert!(run.stderr.contains("nowhere"), "{}", run.stderr);
}

#[test]
fn keys_that_a_lake_has_seen_are_enough() {
    let folder = Folder::new();
    let copy = copy(&folder);
    let keys = fs::read_to_string(Path::new(&copy).join("public-keys.json")).unwrap();
    fs::remove_file(Path::new(&copy).join("public-keys.json")).unwrap();
    let log = first_log_file(&copy);
    support::ingest(&folder.lake(), &[log.to_str().unwrap()]).expect(0);
    validate(&["--local", &copy, "--lake", &folder.lake()]).expect(1);
    let fingerprint = SigningKey::demonstration().unwrap().fingerprint().to_owned();
    folder.write(&format!("lake/public_keys/{fingerprint}.json"), keys.as_bytes());
    validate(&["--local", &copy, "--lake", &folder.lake()]).expect(0);
}

#[test]
fn evidence_of_a_check_can_be_verified_by_others() {
    let folder = Folder::new();
    let copy = copy(&folder);
    fs::write(first_log_file(&copy), support::log_file(&["forged"])).unwrap();
    let bundle = folder.text("evidence.tar.zst");
    let run = validate(&["--local", &copy, "--evidence", &bundle]).expect(1);
    assert!(run.stderr.contains("seal "), "{}", run.stderr);
    let verified = support::trailq(&["verify-evidence", &bundle]).expect(0);
    assert!(verified.stdout.contains("1 hash mismatch"), "{}", verified.stdout);
    let again = validate(&["--local", &copy, "--evidence", &bundle]).expect(255);
    assert!(again.stderr.contains("is there already"), "{}", again.stderr);
}
