//! The generator, its digests, and validation of what it makes.

mod whole_bucket;

use flate2::read::MultiGzDecoder;
use std::cell::Cell;
use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::io::Read as _;
use std::path::{Path, PathBuf};
use trailq::bucket::{LocalBucket, PUBLIC_KEYS_FILE, read_public_keys};
use trailq::digest::{self, DigestError, PublicKey, PublicKeys};
use trailq::generate::signing::SigningKey;
use trailq::generate::{GeneratedObject, Options, Story, Tamper, Volume, generate, write_directory};
use trailq::object::{ObjectKind, ObjectRef, Tree};
use trailq::validation::StoredObject;
use whole_bucket::{DigestFinding, DigestVerdict, LogFileVerdict, Report, Unlisted, validate};

fn small() -> Options {
    Options { days: 1, volume: Volume::Total(600), ..Options::default() }
}

fn objects(options: &Options) -> Vec<GeneratedObject> {
    let mut objects = Vec::new();
    let key = SigningKey::demonstration().unwrap();
    generate(options, &key, |object| {
        objects.push(object);
        Ok(())
    })
    .unwrap();
    objects
}

fn sample_logs() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("sample-logs")
}

fn inflate(bytes: &[u8]) -> String {
    let mut text = String::new();
    MultiGzDecoder::new(bytes).read_to_string(&mut text).unwrap();
    text
}

fn demonstration_keys() -> PublicKeys {
    let json =
        SigningKey::demonstration().unwrap().public_keys_json("2026-03-02T00:00:00Z", "2026-03-05T00:00:00Z");
    PublicKeys::from_json(json.as_bytes()).unwrap()
}

/// Validates objects in memory.
fn check(objects: &[GeneratedObject], keys: &PublicKeys) -> Report {
    let bucket = Options::default().bucket;
    let by_key: BTreeMap<&str, &GeneratedObject> = objects.iter().map(|o| (o.key.as_str(), o)).collect();
    let listing: Vec<String> = by_key.keys().map(|key| (*key).to_owned()).collect();
    let load = |object: &ObjectRef| {
        let found = by_key.get(object.key.as_str());
        Ok(found.map(|o| StoredObject { bytes: o.bytes.clone(), metadata: o.metadata.clone() }))
    };
    validate(&bucket, &listing, keys, load, |_, _| None).unwrap()
}

/// All files below a directory, with their content.
fn files(root: &Path) -> BTreeMap<PathBuf, Vec<u8>> {
    let mut found = BTreeMap::new();
    let mut folders = vec![root.to_owned()];
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                folders.push(path);
            } else {
                found.insert(path.strip_prefix(root).unwrap().to_owned(), fs::read(&path).unwrap());
            }
        }
    }
    found
}

#[test]
fn the_same_options_give_the_same_bytes_and_another_seed_gives_others() {
    let (one, two) = (objects(&small()), objects(&small()));
    assert_eq!(one, two);
    let other = objects(&Options { seed: 2, ..small() });
    let keys = |objects: &[GeneratedObject]| objects.iter().map(|o| o.key.clone()).collect::<BTreeSet<_>>();
    let logs = |keys: BTreeSet<String>| keys.into_iter().filter(|key| !key.contains("Digest")).collect();
    let (ours, others): (BTreeSet<String>, BTreeSet<String>) = (logs(keys(&one)), logs(keys(&other)));
    assert!(ours.is_disjoint(&others));
}

#[test]
fn sample_logs_are_what_the_generator_makes() {
    let made = tempfile::tempdir().unwrap();
    let key = SigningKey::demonstration().unwrap();
    let summary = write_directory(&Options::sample(), &key, made.path()).unwrap();
    let (made, mut kept) = (files(made.path()), files(&sample_logs()));
    let readme = String::from_utf8(kept.remove(Path::new("README.md")).unwrap()).unwrap();
    let counts = format!(
        "{} events in {} log files, and {} hourly digests",
        summary.events, summary.log_files, summary.digests
    );
    assert!(readme.replace(',', "").contains(&counts.replace(',', "")), "README.md must say {counts}");
    let names = |files: &BTreeMap<PathBuf, Vec<u8>>| files.keys().cloned().collect::<Vec<_>>();
    assert_eq!(names(&made), names(&kept));
    for (path, bytes) in &made {
        assert!(*bytes == kept[path], "{} differs", path.display());
    }
}

/// What validation finds in `sample-logs`.
fn sample_report() -> (LocalBucket, Report) {
    let bucket = LocalBucket::open(&sample_logs()).unwrap();
    let keys = read_public_keys(&sample_logs().join(PUBLIC_KEYS_FILE)).unwrap();
    let report = validate(bucket.bucket(), &bucket.keys(), &keys, |o| bucket.load(o), |_, _| None).unwrap();
    (bucket, report)
}

#[test]
fn sample_logs_have_one_changed_and_one_missing_file_and_nothing_else_is_wrong() {
    let (bucket, report) = sample_report();
    assert_eq!((report.invalid_digests(), report.suspicious_log_files()), (0, 0));
    assert_eq!((report.digests.len(), report.chain_starts.len()), (648, 9));
    let logs = bucket.keys().iter().filter(|key| matches!(ObjectKind::of(key), ObjectKind::Log(_))).count();
    assert_eq!((report.log_files.len(), report.unlisted.len()), (logs + 1, 0));
    let wrong = report.log_files.iter().filter(|log| log.verdict != LogFileVerdict::Valid);
    let wrong: Vec<_> = wrong.map(|log| (log.object.key.rsplit('/').next().unwrap(), &log.verdict)).collect();
    let readme = fs::read_to_string(sample_logs().join("README.md")).unwrap();
    assert!(wrong.iter().all(|(name, _)| readme.contains(name)), "README.md must name {wrong:?}");
    let (altered, missing) = (wrong[0].1, wrong[1].1);
    assert!(matches!(altered, LogFileVerdict::HashMismatch { .. }), "{altered:?}");
    assert_eq!((missing, wrong.len()), (&LogFileVerdict::Missing, 2));
}

#[test]
fn what_was_tampered_with_in_sample_logs_is_in_one_account_and_region() {
    let (_, report) = sample_report();
    for log in report.log_files.iter().filter(|log| log.verdict != LogFileVerdict::Valid) {
        let ObjectKind::Log(key) = ObjectKind::of(&log.object.key) else { panic!("{log:?}") };
        assert_eq!((key.account_id.as_str(), key.region.as_str()), ("777788889999", "eu-west-1"));
    }
}

#[test]
fn known_hashes_spare_loading_log_files() {
    let objects = objects(&small());
    let by_key: BTreeMap<&str, &GeneratedObject> = objects.iter().map(|o| (o.key.as_str(), o)).collect();
    let listing: Vec<String> = by_key.keys().map(|key| (*key).to_owned()).collect();
    let load = |object: &ObjectRef| {
        let found = by_key[object.key.as_str()];
        assert!(!found.metadata.is_empty(), "only digests are loaded");
        Ok(Some(StoredObject { bytes: found.bytes.clone(), metadata: found.metadata.clone() }))
    };
    let asked = Cell::new(0);
    let known = |_: &str, key: &str| {
        asked.set(asked.get() + 1);
        let text = inflate(&by_key[key].bytes);
        let hash = trailq::hex::decode(&digest::sha256_hex(text.as_bytes())).unwrap();
        Some(<[u8; 32]>::try_from(hash).unwrap())
    };
    let report = validate(&Options::default().bucket, &listing, &demonstration_keys(), load, known).unwrap();
    assert!(report.is_valid() && asked.get() == report.log_files.len() && asked.get() > 10);
}

#[test]
fn each_way_of_tampering_is_found_and_nothing_else() {
    for kind in Tamper::ALL {
        let options = Options { tamper: vec![kind], ..small() };
        let mut made = Vec::new();
        let key = SigningKey::demonstration().unwrap();
        let summary = generate(&options, &key, |object| {
            made.push(object);
            Ok(())
        })
        .unwrap();
        let victim = &summary.tampered[0].key;
        let report = check(&made, &demonstration_keys());
        let digest =
            |key: &str| report.digests.iter().find(|d| d.object.key == key).map(|d| d.verdict.clone());
        let log =
            |key: &str| report.log_files.iter().find(|l| l.object.key == key).map(|l| l.verdict.clone());
        let counts = (report.invalid_digests(), report.invalid_log_files());
        match kind {
            Tamper::ModifyLog => {
                assert!(matches!(log(victim), Some(LogFileVerdict::HashMismatch { .. })));
                assert_eq!(counts, (0, 1));
            }
            Tamper::DeleteLog => {
                assert_eq!(log(victim), Some(LogFileVerdict::Missing));
                assert_eq!(counts, (0, 1));
            }
            Tamper::InjectLog => {
                let unlisted: Vec<_> = report.unlisted.iter().map(|u| (&u.object.key, &u.reason)).collect();
                assert_eq!(unlisted, [(victim, &Unlisted::NotListed)]);
                assert_eq!((counts, report.suspicious_log_files()), ((0, 0), 1));
            }
            Tamper::DeleteDigest => {
                assert_eq!(digest(victim), Some(DigestVerdict::Missing));
                assert_eq!(counts, (1, 0));
            }
            Tamper::ModifyDigest => {
                let wrong = DigestVerdict::Invalid(DigestError::WrongSignature);
                assert_eq!(digest(victim), Some(wrong));
                assert_eq!(counts, (1, 0));
            }
            Tamper::SwapSignature => {
                let wrong = DigestVerdict::Invalid(DigestError::WrongSignature);
                assert_eq!(digest(victim), Some(wrong));
                assert_eq!(counts, (2, 0));
            }
        }
        assert!(!report.is_valid());
    }
}

#[test]
fn all_ways_of_tampering_at_once_are_found() {
    let options = Options { tamper: Tamper::ALL.to_vec(), ..small() };
    let report = check(&objects(&options), &demonstration_keys());
    let missing = |d: &&DigestFinding| d.verdict == DigestVerdict::Missing;
    assert_eq!(report.digests.iter().filter(missing).count(), 1);
    assert_eq!((report.invalid_digests(), report.invalid_log_files()), (4, 2));
}

#[test]
fn digests_signed_with_another_key_do_not_pass() {
    let report = check(&objects(&small()), &PublicKeys::default());
    assert_eq!(report.invalid_digests(), report.digests.len());
    let unknown = |d: &DigestFinding| matches!(d.verdict, DigestVerdict::Invalid(DigestError::UnknownKey(_)));
    assert!(report.digests.iter().all(unknown));
    assert!(report.unlisted.iter().all(|log| matches!(log.reason, Unlisted::InvalidDigest(_))));
}

#[test]
fn a_signed_digest_of_another_history_breaks_the_chain() {
    let mut ours = objects(&small());
    let others = objects(&Options { volume: Volume::Total(900), ..small() });
    let is_late =
        |object: &&mut GeneratedObject| !object.metadata.is_empty() && object.key.contains("302T15");
    let victim = ours.iter_mut().find(is_late).unwrap();
    let other = others.into_iter().find(|object| object.key == victim.key).unwrap();
    assert_ne!(victim.bytes, other.bytes);
    *victim = other;
    let key = victim.key.clone();
    let report = check(&ours, &demonstration_keys());
    assert!(report.digests.iter().all(|digest| digest.verdict == DigestVerdict::Valid), "each is signed");
    let broken: Vec<_> = report.digests.iter().filter(|digest| digest.broken_link.is_some()).collect();
    // It does not fit the digest before it, and the one after does not fit it.
    assert_eq!(broken.len(), 2);
    assert!(broken.iter().any(|digest| digest.object.key == key));
}

#[test]
fn a_moved_digest_is_not_valid_where_it_lies_now() {
    let mut objects = objects(&small());
    let at = objects.iter().position(|o| !o.metadata.is_empty() && o.key.contains("T1")).unwrap();
    objects[at].key = objects[at].key.replace("_org-trail_", "_other-trail_");
    let report = check(&objects, &demonstration_keys());
    let moved = |d: &&DigestFinding| matches!(d.verdict, DigestVerdict::Invalid(DigestError::Moved(_)));
    assert_eq!(report.digests.iter().filter(moved).count(), 1);
}

#[test]
fn a_key_in_either_form_has_the_same_fingerprint() {
    let keys = demonstration_keys();
    let fingerprint = SigningKey::demonstration().unwrap().fingerprint().to_owned();
    let pkcs1 = &keys.get(&fingerprint).unwrap().pkcs1;
    // SEQUENCE { SEQUENCE { rsaEncryption, NULL }, BIT STRING { 0 unused bits, PKCS#1 } }
    let length = |length: usize| u16::try_from(length).unwrap().to_be_bytes();
    let mut bits = vec![0x03, 0x82];
    bits.extend(length(pkcs1.len() + 1));
    bits.push(0);
    bits.extend(pkcs1);
    let algorithm = [0x30, 13, 6, 9, 0x2a, 0x86, 0x48, 0x86, 0xf7, 0x0d, 1, 1, 1, 5, 0];
    let mut spki = vec![0x30, 0x82];
    spki.extend(length(algorithm.len() + bits.len()));
    spki.extend(algorithm);
    spki.extend(bits);
    assert_eq!(PublicKey::from_der(&spki), PublicKey::from_der(pkcs1));
    assert_eq!(PublicKey::from_der(&spki).fingerprint, fingerprint);
}

#[test]
fn a_forged_key_does_not_lead_out_of_the_directory() {
    let root = tempfile::tempdir().unwrap();
    let (inside, outside) = (root.path().join("in"), root.path().join("out.json"));
    fs::write(&outside, "secret").unwrap();
    write_directory(&Options { days: 1, ..small() }, &SigningKey::demonstration().unwrap(), &inside).unwrap();
    let bucket = LocalBucket::open(&inside).unwrap();
    for key in ["../out.json", outside.to_str().unwrap(), "AWSLogs/../../out.json"] {
        assert_eq!(bucket.load(&ObjectRef::new(bucket.bucket(), key)).unwrap(), None, "{key}");
    }
    assert_eq!(bucket.load(&ObjectRef::new("another", bucket.keys()[0].clone())).unwrap(), None);
}

#[test]
fn files_are_as_cloudtrail_writes_them() {
    let mut ids = BTreeSet::new();
    let mut trees = BTreeSet::new();
    for object in objects(&Options::sample()) {
        let ObjectKind::Log(key) = ObjectKind::of(&object.key) else { continue };
        trees.insert(key.tree);
        let text = inflate(&object.bytes);
        assert!(text.starts_with(r#"{"Records":[{"#) && text.ends_with("}]}") && !text.contains('\n'));
        assert_eq!(object.bytes[4..8], [0; 4], "the gzip header holds no time");
        assert!(key.time.timestamp() % 300 == 0 && key.date == key.time.date_naive());
        let file: serde_json::Value = serde_json::from_str(&text).unwrap();
        let records = file["Records"].as_array().unwrap();
        assert_eq!(records.len() as u64, object.records);
        for record in records {
            assert!(ids.insert(record["eventID"].as_str().unwrap().to_owned()), "an eventID occurs twice");
            assert_eq!(
                (&record["recipientAccountId"], &record["awsRegion"]),
                (&key.account_id.clone().into(), &key.region.clone().into())
            );
            let time =
                record["eventTime"].as_str().unwrap().parse::<chrono::DateTime<chrono::Utc>>().unwrap();
            let delay = (key.time - time).num_seconds();
            assert!((0..=600).contains(&delay) || key.tree == Tree::Insight, "{delay} s");
        }
    }
    assert_eq!(trees.len(), 3);
}

#[test]
fn aggregated_events_are_in_files_of_their_own_tree_and_of_their_own_shape() {
    let options = Options { aggregated: true, ..small() };
    let made = objects(&options);
    assert_eq!(made.iter().map(|object| object.records).sum::<u64>(), 600);
    let is_aggregated = |object: &&GeneratedObject| matches!(ObjectKind::of(&object.key), ObjectKind::Log(key) if key.tree == Tree::Aggregated);
    let files: Vec<_> = made.iter().filter(is_aggregated).collect();
    assert!(files.len() > 5, "{}", files.len());
    for file in files {
        let file: serde_json::Value = serde_json::from_str(&inflate(&file.bytes)).unwrap();
        let record = &file["Records"][0];
        assert_eq!(record["eventCategory"], "Aggregated");
        assert!(record["eventId"].is_string() && record.get("eventTime").is_none());
        let window = &record["timeWindow"];
        assert!(window["windowStart"].as_str() < window["windowEnd"].as_str());
    }
    assert!(check(&made, &demonstration_keys()).is_valid());
}

#[test]
fn what_the_hourly_digests_miss_a_backfill_digest_lists() {
    let made = objects(&Options { backfill: true, ..small() });
    let is_backfill = |object: &&GeneratedObject| object.key.ends_with("_backfill.json.gz");
    let (backfills, others): (Vec<_>, Vec<_>) = made.iter().partition(is_backfill);
    assert!((3..=9).contains(&backfills.len()), "{}", backfills.len());
    for backfill in &backfills {
        let time = &backfill.metadata["backfill-generation-timestamp"];
        let ObjectKind::Digest(key) = ObjectKind::of(&backfill.key) else { panic!("{}", backfill.key) };
        assert!(key.backfill && *time > key.end_time.to_rfc3339(), "{time}");
    }
    let report = check(&made, &demonstration_keys());
    assert!(report.is_valid() && report.unlisted.is_empty());
    let others: Vec<_> = others.into_iter().cloned().collect();
    assert_eq!(check(&others, &demonstration_keys()).suspicious_log_files(), backfills.len());
}

#[test]
fn a_backfill_changes_no_log_file() {
    let is_log = |object: &GeneratedObject| !object.key.contains("Digest");
    let logs = |options: &Options| objects(options).into_iter().filter(is_log).collect::<Vec<_>>();
    assert_eq!(logs(&Options { backfill: true, ..small() }), logs(&small()));
}

#[test]
fn a_total_is_exact_with_and_without_a_story() {
    for story in [None, Some(Story::Intrusion)] {
        let options = Options { days: 2, volume: Volume::Total(3000), story, ..Options::default() };
        assert_eq!(objects(&options).iter().map(|object| object.records).sum::<u64>(), 3000);
    }
}

#[test]
fn options_that_make_no_sense_are_refused_with_a_reason() {
    let refused = [
        (Options { accounts: 0, ..small() }, "number of accounts"),
        (Options { days: 0, ..small() }, "number of days"),
        (Options { start: chrono::NaiveDate::MAX, ..small() }, "first day"),
        (Options { regions: vec!["../x".into()], ..small() }, "name of a region"),
        (Options { regions: vec!["eu-west-1".into(), "eu-west-1".into()], ..small() }, "twice"),
        (Options { bucket: "a/b".into(), ..small() }, "name of a bucket"),
        (Options { organization_id: "x\"".into(), ..small() }, "organization"),
        (Options { accounts: 2, days: 3, ..Options::sample() }, "at least 3 accounts"),
        (Options { digests: false, tamper: vec![Tamper::DeleteLog], ..small() }, "without digests"),
        (Options { digests: false, backfill: true, ..small() }, "nothing to backfill"),
        (Options { tamper: Vec::new(), ..Options::sample() }, "where to tamper"),
        (Options { tamper_in: Some(("1".into(), "x".into())), ..Options::sample() }, "no object left"),
    ];
    let key = SigningKey::demonstration().unwrap();
    for (options, reason) in refused {
        let error = generate(&options, &key, |_| Ok(())).unwrap_err().to_string();
        assert!(error.contains(reason), "{error}");
    }
}

#[test]
fn the_story_can_be_told_from_the_sample_logs() {
    let mut told = BTreeMap::new();
    let mut taken = (0_u64, 0_u64);
    for (path, bytes) in files(&sample_logs().join("AWSLogs")) {
        if path.to_str().unwrap().contains("Digest") {
            continue;
        }
        let file: serde_json::Value = serde_json::from_str(&inflate(&bytes)).unwrap();
        for record in file["Records"].as_array().unwrap() {
            let key = record["userIdentity"]["accessKeyId"].as_str().unwrap_or_default();
            *told
                .entry((key.to_owned(), record["sourceIPAddress"].as_str().unwrap_or_default().to_owned()))
                .or_insert(0) += 1;
            let is_taken = record["eventName"] == "GetObject" && record.get("errorCode").is_none();
            if key == "ASIAROSAMNT77EXAMPLE" && is_taken {
                taken.0 += 1;
                taken.1 += record["additionalEventData"]["bytesTransferredOut"].as_u64().unwrap();
            }
        }
    }
    let calls =
        |key: &str, address: &str| told.get(&(key.to_owned(), address.to_owned())).copied().unwrap_or(0);
    let leaked = "AKIACIDEPLOY7EXAMPLE";
    assert_eq!(calls(leaked, "198.51.100.201"), 1);
    assert_eq!((calls(leaked, "192.0.2.144"), calls(leaked, "203.0.113.66")), (36, 40));
    assert_eq!(calls("AKIAROSAADMN7EXAMPLE", "203.0.113.66"), 8);
    let readme = fs::read_to_string(sample_logs().join("README.md")).unwrap();
    assert_eq!(taken.0, 348);
    assert!(readme.contains(&format!("{} bytes", taken.1)), "README.md must say {} bytes", taken.1);
}
