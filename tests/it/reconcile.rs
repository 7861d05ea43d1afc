//! The bucket, its digests and the lake held against each other; and what a copy of a bucket would lose.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use serde_json::Value;
use trailq::generate::signing::SigningKey;
use trailq::generate::{Options, Tamper, Volume, write_directory};
use trailq::object::ObjectKind;

use super::aws;
use super::support::{self, Folder, Run, ingest, log_file, number, sample_logs, trailq};
use super::validate_logs::servers::servers;

/// A copy of a bucket of one account and region, two days.
struct Copy {
    dir: PathBuf,
    bucket: String,
    tampered: BTreeMap<&'static str, String>,
}

impl Copy {
    fn new(folder: &Folder, bucket: &str, tamper: &[Tamper]) -> Self {
        Self::with(folder, bucket, Options { tamper: tamper.to_vec(), ..Self::options() })
    }

    fn options() -> Options {
        Options {
            accounts: 1,
            regions: vec!["us-east-1".into()],
            days: 2,
            volume: Volume::Total(700),
            ..Options::default()
        }
    }

    fn with(folder: &Folder, bucket: &str, options: Options) -> Self {
        let dir = folder.path(bucket);
        let key = SigningKey::demonstration().unwrap();
        let summary = write_directory(&Options { bucket: bucket.to_owned(), ..options }, &key, &dir).unwrap();
        let tampered = summary.tampered.into_iter().map(|done| (done.kind.name(), done.key)).collect();
        Self { dir, bucket: bucket.to_owned(), tampered }
    }

    fn dir(&self) -> &str {
        self.dir.to_str().unwrap()
    }

    fn address(&self, key: &str) -> String {
        format!("s3://{}/{key}", self.bucket)
    }

    fn tampered(&self, kind: Tamper) -> String {
        self.address(&self.tampered[kind.name()])
    }

    /// The keys of log files, or of digests, in order.
    fn keys(&self, digests: bool) -> Vec<String> {
        let mut keys = Vec::new();
        let mut open = vec![self.dir.join("AWSLogs")];
        while let Some(folder) = open.pop() {
            for entry in fs::read_dir(folder).unwrap() {
                let path = entry.unwrap().path();
                if path.is_dir() {
                    open.push(path);
                } else {
                    let key = path.strip_prefix(&self.dir).unwrap().to_str().unwrap().to_owned();
                    if matches!(ObjectKind::of(&key), ObjectKind::Digest(_)) == digests {
                        keys.push(key);
                    }
                }
            }
        }
        keys.sort();
        keys
    }

    fn remove(&self, key: &str) {
        fs::remove_file(self.dir.join(key)).unwrap();
    }

    fn ingest(&self, lake: &str) -> Run {
        ingest(lake, &[self.dir(), "--no-digests", "--as", &format!("s3://{}", self.bucket)]).expect(0)
    }

    fn reconcile(&self, lake: &str, more: &[&str]) -> Found {
        let mut arguments = vec!["reconcile", self.dir(), "--format", "ndjson", "--lake", lake];
        arguments.extend(more);
        Found::new(&trailq(&arguments))
    }
}

/// What `trailq reconcile --format ndjson` has found.
struct Found {
    code: Option<i32>,
    findings: Vec<Value>,
    summary: Value,
}

impl Found {
    fn new(run: &Run) -> Self {
        assert!(matches!(run.code, Some(0 | 1)), "{}{}", run.stdout, run.stderr);
        let mut findings: Vec<Value> =
            run.stdout.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
        let summary = findings.pop().unwrap();
        assert_eq!(summary["section"], "summary");
        Self { code: run.code, findings, summary }
    }

    /// The subjects of a section.
    fn of(&self, section: &str) -> Vec<&str> {
        let findings = self.findings.iter().filter(|finding| finding["section"] == section);
        findings.map(|finding| finding["subject"].as_str().unwrap()).collect()
    }

    /// The sections with something in them, and how much.
    fn counts(&self) -> BTreeMap<&str, u64> {
        let counts = self.summary["counts"].as_object().unwrap().iter();
        let counts: BTreeMap<&str, u64> =
            counts.map(|(name, count)| (name.as_str(), count.as_u64().unwrap())).collect();
        for (name, count) in &counts {
            assert_eq!(self.of(name).len() as u64, *count, "{name}");
        }
        counts.into_iter().filter(|(_, count)| *count > 0).collect()
    }

    fn total(&self, name: &str) -> u64 {
        self.summary["totals"][name].as_u64().unwrap()
    }
}

#[test]
fn a_bucket_that_agrees_with_its_digests_and_the_lake_has_nothing_to_tell() {
    let folder = Folder::new();
    let copy = Copy::new(&folder, "agrees", &[]);
    copy.ingest(&folder.lake());
    for more in [&[][..], &["--deep"]] {
        let found = copy.reconcile(&folder.lake(), more);
        assert_eq!((found.code, found.counts()), (Some(0), BTreeMap::new()));
        let logs = copy.keys(false).len() as u64;
        assert_eq!((found.total("log_files"), found.total("verified")), (logs, logs));
        assert_eq!((found.total("in_lake"), found.total("digests_read")), (logs, 48));
    }
}

#[test]
fn digests_that_were_checked_while_ingesting_are_not_read_again() {
    let folder = Folder::new();
    let copy = Copy::new(&folder, "checked", &[]);
    ingest(&folder.lake(), &[copy.dir(), "--as", "s3://checked"]).expect(0);
    let found = copy.reconcile(&folder.lake(), &[]);
    assert_eq!((found.code, found.counts()), (Some(0), BTreeMap::new()));
    assert_eq!((found.total("digests_read"), found.total("digests_known")), (0, 48));
    let deep = copy.reconcile(&folder.lake(), &["--deep"]);
    assert_eq!((deep.counts(), deep.total("digests_read")), (BTreeMap::new(), 48));
}

#[test]
fn each_way_of_tampering_has_its_section() {
    let folder = Folder::new();
    for (kind, section) in [
        (Tamper::ModifyLog, "altered"),
        (Tamper::DeleteLog, "missing"),
        (Tamper::InjectLog, "injected"),
        (Tamper::ModifyDigest, "invalid_digest"),
    ] {
        let copy = Copy::new(&folder, &format!("bucket-{kind}"), &[kind]);
        let lake = folder.text(kind.name());
        copy.ingest(&lake);
        let found = copy.reconcile(&lake, &[]);
        assert_eq!(found.code, Some(1));
        assert_eq!(found.of(section), [copy.tampered(kind)], "{kind}: {:?}", found.findings);
        if kind != Tamper::ModifyDigest {
            assert_eq!(found.counts(), BTreeMap::from([(section, 1)]), "{kind}");
        }
    }
}

#[test]
fn a_digest_that_is_gone_leaves_a_time_without_one_and_log_files_that_nobody_vouches_for() {
    let folder = Folder::new();
    let copy = Copy::new(&folder, "gone-digest", &[Tamper::DeleteDigest]);
    copy.ingest(&folder.lake());
    let found = copy.reconcile(&folder.lake(), &[]);
    assert_eq!(found.code, Some(1));
    let time = found.of("no_digest");
    assert_eq!(time.len(), 1, "{:?}", found.findings);
    assert!(time[0].starts_with("111122223333 us-east-1 org-trail 2026-03-0"), "{time:?}");
    let sections: Vec<&str> = found.counts().into_keys().collect();
    assert!(sections.iter().all(|section| ["no_digest", "untrusted"].contains(section)), "{sections:?}");
}

#[test]
fn a_hole_of_many_digests_is_told_as_one_time_of_all_its_hours() {
    let folder = Folder::new();
    let options = Options { days: 7, ..Copy::options() };
    let copy = Copy::with(&folder, "hole", options);
    copy.ingest(&folder.lake());
    let digests = copy.keys(true);
    for key in &digests[30..130] {
        copy.remove(key);
    }
    let found = copy.reconcile(&folder.lake(), &[]);
    let holes: Vec<&Value> = found.findings.iter().filter(|one| one["section"] == "no_digest").collect();
    assert_eq!(holes.len(), 1, "{holes:#?}");
    assert_eq!(holes[0]["detail"], "100 hours, missing");
    assert!(found.counts()["untrusted"] > 0);
}

#[test]
fn the_newest_digests_taken_away_are_noticed() {
    let folder = Folder::new();
    let copy = Copy::new(&folder, "newest", &[]);
    copy.ingest(&folder.lake());
    let digests = copy.keys(true);
    for key in &digests[digests.len() - 6..] {
        copy.remove(key);
    }
    let found = copy.reconcile(&folder.lake(), &[]);
    assert_eq!(found.code, Some(1));
    let sections: Vec<&str> = found.counts().into_keys().collect();
    assert_eq!(sections, ["digests_stopped"], "{:?}", found.findings);
}

#[test]
fn what_the_lake_lacks_is_repaired_and_what_was_injected_is_not() {
    let folder = Folder::new();
    let copy = Copy::new(&folder, "lacks", &[Tamper::InjectLog]);
    let logs = copy.keys(false);
    let some: Vec<String> =
        logs.iter().step_by(3).map(|key| copy.dir.join(key).to_str().unwrap().to_owned()).collect();
    let mut arguments: Vec<&str> = some.iter().map(String::as_str).collect();
    arguments.extend(["--no-digests", "--as", "s3://lacks"]);
    let injected = copy.tampered(Tamper::InjectLog);
    arguments.retain(|path| !path.ends_with(injected.rsplit('/').next().unwrap()));
    ingest(&folder.lake(), &arguments).expect(0);
    let before = copy.reconcile(&folder.lake(), &[]);
    let had = before.total("in_lake");
    assert_eq!(before.counts(), BTreeMap::from([("injected", 1), ("not_in_lake", logs.len() as u64 - had)]));
    assert_eq!(before.total("verified") + before.total("listed"), logs.len() as u64 - 1);

    let repaired = copy.reconcile(&folder.lake(), &["--repair"]);
    let told = &repaired.summary["repaired"];
    assert_eq!(told["log_files"].as_u64().unwrap(), logs.len() as u64 - had - 1, "{told}");
    assert_eq!(told["digests"], 48);
    let after = copy.reconcile(&folder.lake(), &[]);
    assert_eq!(after.counts(), BTreeMap::from([("injected", 1), ("not_in_lake", 1)]));
    assert_eq!((after.total("digests_known"), after.total("digests_read")), (48, 0));
    assert_eq!(after.total("verified"), logs.len() as u64 - 1);
    let forged = format!("SELECT count(*) AS n FROM log_files WHERE log_file = '{injected}'");
    assert_eq!(number(&folder.lake(), &forged), 0);
    let again = copy.reconcile(&folder.lake(), &["--repair"]);
    assert_eq!(again.summary["repaired"]["log_files"], 0);
}

#[test]
fn a_digest_that_the_lake_has_checked_is_missed_when_it_goes_away() {
    let folder = Folder::new();
    let copy = Copy::new(&folder, "remembered", &[]);
    copy.reconcile(&folder.lake(), &["--repair"]);
    let digests = copy.keys(true);
    let newest = digests.last().unwrap();
    copy.remove(newest);
    let found = copy.reconcile(&folder.lake(), &[]);
    assert_eq!((found.code, found.of("missing_digest")), (Some(1), vec![copy.address(newest).as_str()]));
    // What it listed is still proven: the lake has its content.
    assert_eq!(found.counts(), BTreeMap::from([("missing_digest", 1)]));
}

#[test]
fn what_has_expired_is_told_apart_from_what_was_deleted() {
    let folder = Folder::new();
    let options = Options { days: 3, ..Copy::options() };
    let copy = Copy::with(&folder, "expires", options);
    copy.ingest(&folder.lake());
    let of_day = |day: &str| copy.keys(false).into_iter().filter(|key| key.contains(day)).collect::<Vec<_>>();
    let expired = of_day("/2026/03/02/");
    for key in &expired {
        copy.remove(key);
    }
    let deleted = &of_day("/2026/03/03/")[0];
    copy.remove(deleted);
    let found = copy.reconcile(&folder.lake(), &[]);
    let counts = BTreeMap::from([("expired", expired.len() as u64), ("missing", 1)]);
    assert_eq!((found.code, found.counts()), (Some(1), counts), "{:?}", found.findings);
    assert_eq!(found.of("missing"), [copy.address(deleted)]);
    let one = found.findings.iter().find(|finding| finding["section"] == "missing").unwrap();
    assert_eq!(one["detail"], "the lake has it");
}

#[test]
fn content_that_changed_after_it_was_ingested_shows_only_to_who_looks_deep() {
    let folder = Folder::new();
    let copy = Copy::new(&folder, "changes", &[]);
    copy.ingest(&folder.lake());
    let key = &copy.keys(false)[3];
    fs::write(copy.dir.join(key), log_file(&["another"])).unwrap();
    assert_eq!(copy.reconcile(&folder.lake(), &[]).counts(), BTreeMap::new());
    let found = copy.reconcile(&folder.lake(), &["--deep"]);
    assert_eq!((found.code, found.of("altered")), (Some(1), vec![copy.address(key).as_str()]));
    fs::write(copy.dir.join(key), "no gzip").unwrap();
    let found = copy.reconcile(&folder.lake(), &["--deep"]);
    assert_eq!(found.of("altered"), [copy.address(key)]);
}

#[test]
fn a_backfill_digest_vouches_for_what_the_hourly_ones_missed() {
    let folder = Folder::new();
    let copy = Copy::with(&folder, "backfill", Options { backfill: true, ..Copy::options() });
    copy.ingest(&folder.lake());
    assert_eq!(copy.reconcile(&folder.lake(), &[]).counts(), BTreeMap::new());
    let backfill = copy.keys(true).into_iter().find(|key| key.ends_with("_backfill.json.gz")).unwrap();
    copy.remove(&backfill);
    let found = copy.reconcile(&folder.lake(), &[]);
    assert_eq!(found.counts(), BTreeMap::from([("injected", 1)]));
}

#[test]
fn what_is_neither_log_file_nor_digest_is_told_and_not_suspicious() {
    let folder = Folder::new();
    let copy = Copy::new(&folder, "foreign", &[]);
    copy.ingest(&folder.lake());
    let beside = |key: &str| format!("{}/notes.txt", key.rsplit_once('/').unwrap().0);
    let foreign = [beside(&copy.keys(false)[0]), beside(&copy.keys(true)[0])];
    for key in &foreign {
        fs::write(copy.dir.join(key), "x").unwrap();
    }
    let found = copy.reconcile(&folder.lake(), &[]);
    assert_eq!((found.code, found.counts()), (Some(0), BTreeMap::from([("foreign", 2)])));
}

#[test]
fn a_quarantined_file_is_told() {
    let folder = Folder::new();
    let copy = Copy::new(&folder, "odd", &[]);
    let key = &copy.keys(false)[2];
    fs::write(copy.dir.join(key), "no gzip").unwrap();
    ingest(&folder.lake(), &[copy.dir(), "--no-digests", "--as", "s3://odd"]).expect(1);
    let found = copy.reconcile(&folder.lake(), &[]);
    assert_eq!(found.of("quarantined"), [copy.address(key)]);
}

#[test]
fn without_digests_all_is_uncovered_and_nothing_suspicious() {
    let folder = Folder::new();
    let copy = Copy::with(&folder, "no-digests", Options { digests: false, ..Copy::options() });
    copy.ingest(&folder.lake());
    let found = copy.reconcile(&folder.lake(), &[]);
    let logs = copy.keys(false).len() as u64;
    assert_eq!((found.code, found.counts()), (Some(0), BTreeMap::from([("uncovered", logs)])));
}

#[test]
fn days_accounts_and_regions_can_be_chosen() {
    let folder = Folder::new();
    let options = Options {
        accounts: 2,
        regions: vec!["us-east-1".into(), "eu-west-1".into()],
        days: 4,
        volume: Volume::Total(4000),
        ..Options::default()
    };
    let copy = Copy::with(&folder, "chosen", options);
    copy.ingest(&folder.lake());
    let all = copy.reconcile(&folder.lake(), &[]);
    assert_eq!((all.counts(), all.total("digests_read")), (BTreeMap::new(), 4 * 96));
    let chosen =
        ["--account", "444455556666", "--region", "eu-west-1", "--from", "2026-03-03", "--to", "2026-03-03"];
    let found = copy.reconcile(&folder.lake(), &chosen);
    let wanted = copy
        .keys(false)
        .into_iter()
        .filter(|key| key.contains("/444455556666/") && key.contains("/eu-west-1/2026/03/03/"));
    assert_eq!((found.counts(), found.total("log_files")), (BTreeMap::new(), wanted.count() as u64));
    assert_eq!(found.total("verified"), found.total("log_files"));
    assert_eq!(found.total("digests_read"), 4 * 24, "those of the day before and of two days after as well");
}

#[test]
fn sample_logs_show_one_altered_and_one_missing_file_without_a_lake() {
    let folder = Folder::new();
    let text = trailq(&["reconcile", &sample_logs(), "--deep"]).expect(1).stdout;
    for told in [
        "468",
        "lake                     none",
        "\n1 altered: not what CloudTrail wrote\n  s3://example-books-cloudtrail/AWSLogs/o-exampleorgid/777788889999/",
        "\n1 missing: a digest lists them, and the bucket does not have them\n",
        "\n2 to look into\n",
    ] {
        assert!(text.contains(told), "no {told:?} in\n{text}");
    }
    let clean = trailq(&["reconcile", &sample_logs(), "--deep", "--account", "444455556666"]).expect(0);
    assert!(clean.stdout.ends_with("\nnothing suspicious\n"), "{}", clean.stdout);
    drop(folder);
}

#[test]
fn a_copy_without_signatures_says_how_to_get_them() {
    let folder = Folder::new();
    let copy = Copy::new(&folder, "plain", &[]);
    fs::remove_file(copy.dir.join("digest-metadata.json")).unwrap();
    let error = trailq(&["reconcile", copy.dir()]).expect(2).stderr;
    assert!(error.contains("trailq collect-metadata"), "{error}");
}

/// A trail's bucket in our own S3, and the copy that it was made from.
fn in_s3(folder: &Folder, bucket: &str, tamper: &[Tamper]) -> Copy {
    let copy = Copy::new(folder, bucket, tamper);
    aws::upload_trail(copy.dir(), bucket);
    copy
}

#[test]
fn a_bucket_in_s3_is_compared_and_repaired() {
    let folder = Folder::new();
    let copy = in_s3(&folder, "reconciled", &[Tamper::ModifyLog, Tamper::DeleteLog, Tamper::InjectLog]);
    let keys = format!("{}/public-keys.json", copy.dir());
    let source = "s3://reconciled";
    let reconcile = |more: &[&str]| {
        let fixed = ["reconcile", source, "--format", "ndjson", "--public-keys", &keys];
        let lake = folder.lake();
        let lake = ["--lake", lake.as_str()];
        Found::new(&aws::trailq(&[&fixed[..], &lake, more].concat()))
    };
    let found = reconcile(&["--repair", "--deep"]);
    let logs = copy.keys(false).len() as u64;
    assert_eq!(found.of("altered"), [copy.tampered(Tamper::ModifyLog)]);
    assert_eq!(found.of("missing"), [copy.tampered(Tamper::DeleteLog)]);
    assert_eq!(found.of("injected"), [copy.tampered(Tamper::InjectLog)]);
    assert_eq!(found.summary["repaired"]["log_files"], logs - 2);
    let after = reconcile(&[]);
    assert_eq!(after.counts()["not_in_lake"], 2);
    assert_eq!((after.total("in_lake"), after.total("digests_known")), (logs - 2, 48));
    let gone = &copy.keys(false)[0];
    aws::delete("reconciled", &[gone]);
    let expired = reconcile(&[]);
    assert!(expired.of("missing").contains(&copy.address(gone).as_str()), "{:?}", expired.counts());
}

#[test]
fn the_signatures_of_a_bucket_are_collected_and_a_copy_of_it_can_be_checked() {
    let folder = Folder::new();
    let copy = in_s3(&folder, "collected", &[]);
    let copied = folder.path("copied");
    let metadata = copy.dir.join("digest-metadata.json");
    let expected = objects(&metadata);
    fs::rename(&copy.dir, &copied).unwrap();
    let to = copied.join("digest-metadata.json");
    fs::remove_file(&to).unwrap();
    let to = to.to_str().unwrap();
    let day = ["collect-metadata", "s3://collected", "--to", to, "--to-date", "2026-03-02"];
    let first = aws::trailq(&day).expect(0);
    assert!(first.stdout.contains(": 24 digests, 0 of them known before, 24 added\n"), "{}", first.stdout);
    let rest = aws::trailq(&["collect-metadata", "s3://collected/AWSLogs/", "--to", to]).expect(0);
    assert!(rest.stdout.contains(": 48 digests, 24 of them known before, 24 added\n"), "{}", rest.stdout);
    assert_eq!(objects(Path::new(to)), expected);
    let checked = trailq(&["reconcile", copied.to_str().unwrap(), "--deep"]).expect(0);
    assert!(checked.stdout.contains("nothing suspicious"), "{}", checked.stdout);
    let other = aws::trailq(&["collect-metadata", "s3://another", "--to", to]).expect(2).stderr;
    assert!(other.contains("is of the bucket collected"), "{other}");
}

#[test]
fn public_keys_are_collected_as_well_and_kept_with_those_of_before() {
    let folder = Folder::new();
    let trail = servers().make("collect-keys", "--rotate 3");
    let to = folder.text("digest-metadata.json");
    let source = format!("s3://{}", trail.bucket());
    let mut command = support::command(&["collect-metadata", &source, "--to", &to, "--public-keys"]);
    command.envs(trail.environment()).env("AWS_REGION", "us-east-1");
    let run = Run::from(command.output().unwrap()).expect(0);
    assert!(run.stdout.contains(": 6 digests, 0 of them known before, 6 added\n"), "{}", run.stdout);
    let keys = |name: &str| -> Vec<String> {
        let list: Value = serde_json::from_slice(&fs::read(folder.path(name)).unwrap()).unwrap();
        let keys = list["PublicKeyList"].as_array().unwrap().iter();
        keys.map(|key| key["Fingerprint"].as_str().unwrap().to_owned()).collect()
    };
    let both = keys("public-keys.json");
    assert_eq!(both.len(), 2, "{}", run.stdout);
    Run::from(command.output().unwrap()).expect(0);
    assert_eq!(keys("public-keys.json"), both);
    let copied =
        Command::new("cp").arg("-r").arg(trail.objects().join("AWSLogs")).arg(folder.path("")).status();
    assert!(copied.unwrap().success());
    let checked = trailq(&["reconcile", &folder.text(""), "--deep"]).expect(0);
    assert!(checked.stdout.contains("nothing suspicious"), "{}", checked.stdout);
}

fn objects(metadata: &Path) -> Value {
    let file: Value = serde_json::from_slice(&fs::read(metadata).unwrap()).unwrap();
    file["objects"].clone()
}

#[test]
fn only_the_digests_that_are_asked_for_are_collected() {
    let folder = Folder::new();
    let options = Options { accounts: 2, days: 1, volume: Volume::Total(200), ..Options::default() };
    let copy = Copy::with(&folder, "part", options);
    aws::upload_trail(copy.dir(), "part");
    let to = folder.text("part.json");
    let chosen = ["--account", "444455556666", "--region", "eu-west-1"];
    let run = aws::trailq(&[&["collect-metadata", "s3://part", "--to", &to][..], &chosen].concat()).expect(0);
    assert!(run.stdout.contains(": 24 digests, 0 of them known before, 24 added"), "{}", run.stdout);
    let all = objects(Path::new(&to));
    assert!(
        all.as_object().unwrap().keys().all(|key| key.contains("444455556666_CloudTrail-Digest_eu-west-1"))
    );
}
