//! What the digests prove about the log files of a lake: `integrity`, whatever comes first.

use std::fs;
use std::path::{Path, PathBuf};

use serde_json::{Value, json};
use trailq::generate::signing::SigningKey;
use trailq::generate::{Options, Tamper, Tampered, Volume, write_directory};

use super::aws;
use super::support::{
    Folder, Run, gzip, inflated, ingest, log_files, number, number_in, rows, rows_of, sample_logs, trailq,
};

const BUCKET: &str = "s3://example-books-cloudtrail";

/// Log files, signed digests and what goes with them, in `folder/logs`; somebody has tampered with them.
fn bucket(folder: &Folder, tamper: &[Tamper]) -> Vec<Tampered> {
    let options = Options {
        // One account logs enough for every hour that is tampered with to have log files.
        accounts: if tamper.is_empty() { 2 } else { 1 },
        regions: vec!["us-east-1".to_owned()],
        days: 2,
        volume: Volume::Total(1500),
        tamper: tamper.to_vec(),
        ..Options::default()
    };
    write_directory(&options, &SigningKey::demonstration().unwrap(), &folder.path("logs")).unwrap().tampered
}

/// Ingests a copy of the bucket.
fn take(folder: &Folder, lake: &str, options: &[&str]) -> Run {
    ingest(&folder.text(lake), &[&[&*folder.text("logs"), "--as", BUCKET], options].concat())
}

/// Every log file, digest and gap with what is known of it, and the rows of every log file.
fn told(lake: &str) -> [Vec<Value>; 4] {
    [
        "SELECT log_file, status, integrity, integrity_reason, digest FROM log_files ORDER BY log_file",
        "SELECT digest, status, reason FROM digests ORDER BY digest",
        "SELECT * FROM integrity_gaps ORDER BY account, region, start_time",
        "SELECT log_file, integrity, integrity_reason, count(*) AS n FROM events GROUP BY 1, 2, 3 ORDER BY 1",
    ]
    .map(|sql| rows(lake, sql))
}

/// State and reason of the log files that are not verified.
fn odd(lake: &str) -> Vec<(String, String, String)> {
    let sql = "SELECT log_file, integrity, integrity_reason FROM log_files
               WHERE integrity <> 'verified' ORDER BY log_file";
    let text = |row: &Value, name: &str| row[name].as_str().unwrap().to_owned();
    let row = |row: &Value| (text(row, "log_file"), text(row, "integrity"), text(row, "integrity_reason"));
    rows(lake, sql).iter().map(row).collect()
}

fn files_below(directory: &Path) -> Vec<PathBuf> {
    let mut found = Vec::new();
    for entry in fs::read_dir(directory).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() { found.extend(files_below(&path)) } else { found.push(path) }
    }
    found.sort();
    found
}

#[test]
fn of_the_sample_logs_one_was_altered_and_one_deleted() {
    let folder = Folder::new();
    let lake = folder.lake();
    let run = ingest(&lake, &[&sample_logs(), "--as", BUCKET]).expect(1);
    assert_eq!(
        (run.summary("valid"), run.summary("log files verified"), run.summary("FAILED")),
        (648, 467, 2)
    );
    let sql = "SELECT integrity, integrity_reason, count(*) AS n FROM log_files GROUP BY 1, 2 ORDER BY 1, 2";
    let expected = [
        ("failed", json!("deleted"), 1),
        ("failed", json!("hash_mismatch"), 1),
        ("verified", json!(null), 467),
    ];
    let expected =
        expected.map(|(state, why, n)| json!({"integrity": state, "integrity_reason": why, "n": n}));
    assert_eq!(rows(&lake, sql), expected);
    assert_eq!(number(&lake, "SELECT count(*) AS n FROM integrity_gaps"), 0);
    let again = ingest(&lake, &[&sample_logs(), "--as", BUCKET]).expect(0);
    assert_eq!((again.summary("known to be valid"), again.summary("new in the lake")), (648, 0));
    assert!(again.stdout.contains("none"), "{}", again.stdout);
    assert_eq!(number(&lake, "SELECT count(*) AS n FROM digests"), 648);
}

#[test]
fn a_copy_of_nobody_knows_which_bucket_is_not_checked() {
    let folder = Folder::new();
    bucket(&folder, &[]);
    let run = ingest(&folder.lake(), &[&folder.text("logs")]).expect(0);
    assert_eq!(run.summary("not checked"), 96);
    assert!(run.stdout.contains("--as"), "{}", run.stdout);
    let left =
        ingest(&folder.text("other"), &[&folder.text("logs"), "--as", BUCKET, "--no-digests"]).expect(0);
    assert_eq!(left.summary("digest files (not read)"), 96);
    fs::remove_file(folder.path("logs/digest-metadata.json")).unwrap();
    let unsigned = take(&folder, "third", &[]).expect(0);
    assert_eq!(unsigned.summary("not checked"), 96);
    assert!(unsigned.stdout.contains("digest-metadata.json"), "{}", unsigned.stdout);
}

#[test]
fn every_kind_of_tampering_shows_in_the_state_of_the_log_file() {
    for (kind, code, state, reason) in [
        (Tamper::ModifyLog, 1, "failed", "hash_mismatch"),
        (Tamper::DeleteLog, 1, "failed", "deleted"),
        (Tamper::InjectLog, 0, "uncovered", "not_listed"),
        (Tamper::DeleteDigest, 1, "failed", "broken_chain"),
        (Tamper::ModifyDigest, 1, "failed", "bad_signature"),
        (Tamper::SwapSignature, 1, "failed", "bad_signature"),
    ] {
        let folder = Folder::new();
        let done = bucket(&folder, &[kind]);
        let run = take(&folder, "lake", &[]).expect(code);
        let odd = odd(&folder.lake());
        assert!(!odd.is_empty(), "{kind}");
        for (log_file, found, why) in &odd {
            assert_eq!((found.as_str(), why.as_str()), (state, reason), "{kind} {log_file}");
            if code == 1 {
                assert!(
                    run.stdout.contains(&format!("integrity failed: {reason}: {log_file}")),
                    "{}",
                    run.stdout
                );
            }
        }
        if matches!(kind, Tamper::ModifyLog | Tamper::DeleteLog | Tamper::InjectLog) {
            assert_eq!(odd.len(), 1);
            assert_eq!(odd[0].0, format!("{BUCKET}/{}", done[0].key));
        }
        let gaps = rows(&folder.lake(), "SELECT why, unverified_log_files AS files FROM integrity_gaps");
        let expected = match kind {
            Tamper::DeleteDigest => vec!["missing"],
            Tamper::ModifyDigest | Tamper::SwapSignature => vec!["invalid"],
            _ => vec![],
        };
        let mut whys: Vec<&str> = gaps.iter().map(|gap| gap["why"].as_str().unwrap()).collect();
        whys.dedup();
        assert_eq!(whys, expected, "{kind}");
        // Rows carry the state of their file.
        let sql = "SELECT count(*) AS n FROM cloudtrail_logs e JOIN log_files f ON e.log_file = f.log_file
                   WHERE (e.integrity IS DISTINCT FROM f.integrity)
                   OR (e.integrity_reason IS DISTINCT FROM f.integrity_reason)";
        assert_eq!(number(&folder.lake(), sql), 0, "{kind}");
    }
}

/// Alters, deletes and adds a log file, and alters and deletes a digest, far enough from one another that
/// each shows.
fn tamper(folder: &Folder) {
    let below = |part: &str| -> Vec<PathBuf> {
        let all = files_below(&folder.path("logs/AWSLogs"));
        all.into_iter().filter(|path| path.to_string_lossy().contains(part)).collect()
    };
    let logs = below("/111122223333/CloudTrail/");
    fs::write(&logs[3], gzip(format!("{} ", inflated(&logs[3])).as_bytes())).unwrap();
    fs::remove_file(&logs[6]).unwrap();
    let forged = logs[9].to_string_lossy().replace(".json.gz", "f0rged.json.gz");
    fs::copy(&logs[9], forged).unwrap();
    let digests = below("/444455556666/CloudTrail-Digest/");
    fs::remove_file(&digests[20]).unwrap();
    let altered = inflated(&digests[30]).replacen("\"awsAccountId\":", "\"x\":1,\"awsAccountId\":", 1);
    fs::write(&digests[30], gzip(altered.as_bytes())).unwrap();
}

#[test]
fn any_order_of_arrival_gives_the_same_states() {
    let folder = Folder::new();
    bucket(&folder, &[]);
    tamper(&folder);
    take(&folder, "at once", &[]).expect(1);
    let expected = told(&folder.text("at once"));
    let whys: std::collections::BTreeSet<_> =
        expected[0].iter().filter_map(|row| row["integrity_reason"].as_str()).collect();
    for why in ["hash_mismatch", "deleted", "not_listed"] {
        assert!(whys.contains(why), "{whys:?}");
    }
    assert_eq!(expected[2].len(), 2, "{:?}", expected[2]);
    let objects = files_below(&folder.path("logs/AWSLogs"));
    let is_digest = |path: &PathBuf| path.to_string_lossy().contains("CloudTrail-Digest");
    let (digests, logs): (Vec<PathBuf>, Vec<PathBuf>) = objects.iter().cloned().partition(is_digest);
    let mut orders = vec![vec![digests.clone(), logs.clone()], vec![logs, digests]];
    for seed in 1..=3 {
        let mut random = fastrand::Rng::with_seed(seed);
        let mut shuffled = objects.clone();
        random.shuffle(&mut shuffled);
        orders.push(shuffled.chunks(shuffled.len() / 4 + 1).map(<[PathBuf]>::to_vec).collect());
    }
    for (number, stages) in orders.into_iter().enumerate() {
        let copy = Folder::new();
        // What was settled of a part must not count for the whole.
        let settle = |lake: &str| trailq(&["lake", "optimize", "--lake", lake]).expect(0);
        for name in ["digest-metadata.json", "public-keys.json"] {
            copy.write(&format!("logs/{name}"), &fs::read(folder.path("logs").join(name)).unwrap());
        }
        for stage in stages {
            for path in stage {
                let key = path.strip_prefix(folder.path("logs")).unwrap().to_str().unwrap();
                copy.write(&format!("logs/{key}"), &fs::read(&path).unwrap());
            }
            // A copy in part is as suspicious as a bucket in which somebody deletes.
            let run = take(&copy, "lake", &[]);
            assert!(matches!(run.code, Some(0 | 1)), "{}", run.stderr);
            if number % 2 == 0 {
                settle(&copy.lake());
            }
        }
        if number % 3 == 0 {
            settle(&copy.lake());
        }
        let found = told(&copy.lake());
        for (found, expected) in found.iter().zip(&expected) {
            assert_eq!(found, expected, "order {number}");
        }
        let count = "SELECT count(*) AS n, count(DISTINCT log_file || '#' || CAST(record_index AS varchar)) AS rows FROM events";
        assert_eq!(rows(&copy.lake(), count), rows(&folder.text("at once"), count), "order {number}");
    }
}

#[test]
fn digests_wait_for_their_public_key() {
    let folder = Folder::new();
    bucket(&folder, &[]);
    fs::rename(folder.path("logs/public-keys.json"), folder.path("keys.json")).unwrap();
    let run = take(&folder, "lake", &[]).expect(0);
    assert_eq!((run.summary("without their public key"), run.summary("log files verified")), (96, 0));
    let pending = "SELECT count(*) AS n FROM log_files WHERE integrity = 'pending' AND integrity_reason = 'key_not_found'";
    let files = log_files(&folder.path("logs")).len() as u64;
    assert_eq!(number(&folder.lake(), pending), files);
    let keys = folder.text("keys.json");
    let run = take(&folder, "lake", &["--public-keys", &keys]).expect(0);
    assert_eq!((run.summary("valid"), run.summary("log files verified")), (96, files));
    let statuses = rows(&folder.lake(), "SELECT status, count(*) AS n FROM digests GROUP BY 1");
    assert_eq!(statuses, [json!({"status": "valid", "n": 96})]);
    assert_eq!(number(&folder.lake(), "SELECT count(*) AS n FROM digests WHERE status = 'key_not_found'"), 0);
}

#[test]
fn the_lake_remembers_public_keys_and_believes_none_that_does_not_fit_its_name() {
    let folder = Folder::new();
    bucket(&folder, &[]);
    fs::rename(folder.path("logs/public-keys.json"), folder.path("keys.json")).unwrap();
    // A first part with the key, the rest without.
    let keys = folder.text("keys.json");
    take(&folder, "lake", &["--account", "111122223333", "--public-keys", &keys]).expect(0);
    let kept = fs::read_dir(folder.path("lake/public_keys")).unwrap().next().unwrap().unwrap().path();
    let key = fs::read_to_string(&kept).unwrap();
    fs::write(&kept, key.replace("\"MII", "\"MIJ")).unwrap();
    let run = take(&folder, "lake", &[]).expect(0);
    assert_eq!(run.summary("without their public key"), 48);
    fs::write(&kept, key).unwrap();
    let run = take(&folder, "lake", &[]).expect(0);
    assert_eq!((run.summary("known to be valid"), run.summary("valid")), (48, 48));
}

#[test]
fn keys_that_lie_beside_a_copy_are_not_remembered() {
    let folder = Folder::new();
    bucket(&folder, &[]);
    take(&folder, "lake", &["--account", "111122223333"]).expect(0);
    assert!(!folder.path("lake/public_keys").exists());
    fs::remove_file(folder.path("logs/public-keys.json")).unwrap();
    let run = take(&folder, "lake", &[]).expect(0);
    assert_eq!((run.summary("known to be valid"), run.summary("without their public key")), (48, 48));
}

#[test]
fn filters_take_the_digests_that_list_what_they_take() {
    let folder = Folder::new();
    bucket(&folder, &[]);
    let run =
        take(&folder, "lake", &["--from", "2026-03-02", "--to", "2026-03-02", "--account", "111122223333"]);
    let run = run.expect(0);
    assert_eq!(run.summary("log files verified"), run.summary("new in the lake"));
    let digests = rows(&folder.lake(), "SELECT DISTINCT account FROM digests");
    assert_eq!(digests, [json!({"account": "111122223333"})]);
}

#[test]
fn integrity_is_a_column_like_others() {
    let folder = Folder::new();
    let done = bucket(&folder, &[Tamper::ModifyLog, Tamper::InjectLog]);
    take(&folder, "lake", &[]).expect(1);
    let lake = folder.lake();
    let forged = format!("{BUCKET}/{}", done.iter().find(|done| done.kind == Tamper::InjectLog).unwrap().key);
    for (sql, expected) in [
        (format!("SELECT count(*) AS n FROM events WHERE log_file = '{forged}' AND integrity = 'uncovered'"), 1),
        (format!("SELECT count(*) AS n FROM events WHERE log_file = '{forged}' AND integrity = 'verified'"), 0),
        ("SELECT count(*) AS n FROM cloudtrail_logs WHERE integrity IN ('uncovered', 'none')".to_owned(), 1),
        ("SELECT count(*) AS n FROM cloudtrail_logs WHERE integrity_reason = 'not_listed' OR eventname = 'none'".to_owned(), 1),
        ("SELECT count(*) AS n FROM cloudtrail_logs WHERE integrity = 'verified' AND event_date = '1999-01-01'".to_owned(), 0),
        ("SELECT count(*) AS n FROM (SELECT integrity FROM cloudtrail_logs ORDER BY event_time DESC LIMIT 7)".to_owned(), 7),
        ("SELECT count(DISTINCT integrity) AS n FROM cloudtrail_logs".to_owned(), 3),
    ] {
        assert_eq!(number(&lake, &sql), expected, "{sql}");
    }
    let all = number(&lake, "SELECT count(*) AS n FROM events");
    let by_state = rows(&lake, "SELECT integrity, count(*) AS n FROM events GROUP BY 1");
    assert_eq!(by_state.iter().map(|row| row["n"].as_u64().unwrap()).sum::<u64>(), all);
    let star = rows(&lake, "SELECT * FROM cloudtrail_logs LIMIT 1");
    assert!(star[0].get("integrity").is_none(), "{star:?}");
    let star = rows(&lake, "SELECT *, integrity FROM cloudtrail_logs LIMIT 1");
    assert!(star[0].get("integrity").is_some(), "{star:?}");
}

#[test]
fn a_query_that_does_not_ask_for_integrity_does_not_load_it() {
    let folder = Folder::new();
    bucket(&folder, &[]);
    take(&folder, "lake", &[]).expect(0);
    // Without its facts, only queries that need them fail.
    fs::remove_dir_all(folder.path("lake/digests")).unwrap();
    let ledger = folder.path("lake/log_files");
    for entry in fs::read_dir(&ledger).unwrap() {
        let path = entry.unwrap().path();
        if path.extension().is_some_and(|extension| extension == "parquet") {
            fs::remove_file(path).unwrap();
        }
    }
    assert!(
        number(&folder.lake(), "SELECT count(*) AS n FROM cloudtrail_logs WHERE eventname LIKE 'D%'") > 0
    );
    let sql = "SELECT count(*) AS n FROM cloudtrail_logs WHERE integrity = 'verified'";
    let run = trailq(&["sql", "--lake", &folder.lake(), sql]).expect(2);
    assert!(run.stderr.contains("log_files"), "{}", run.stderr);
}

#[test]
fn an_optimized_lake_tells_the_same_and_need_not_judge() {
    let folder = Folder::new();
    bucket(&folder, &[]);
    let logs = log_files(&folder.path("logs"));
    fs::write(&logs[3], gzip(format!("{} ", inflated(&logs[3])).as_bytes())).unwrap();
    take(&folder, "lake", &[]).expect(1);
    let lake = folder.lake();
    let before = told(&lake);
    let run = trailq(&["lake", "optimize", "--lake", &lake]).expect(0);
    assert!(run.stdout.contains("events: integrity is settled for"), "{}", run.stdout);
    assert_eq!(told(&lake), before);
    trailq(&["lake", "check", "--lake", &lake]).expect(0);
    // Of the rows of a day whose log files are all verified nothing else is asked for.
    let days = "SELECT CAST(event_date AS varchar) AS day FROM events GROUP BY event_date
                HAVING count(DISTINCT integrity) = 1 AND max(integrity) = 'verified'";
    let day = rows(&lake, days)[0]["day"].clone();
    let of_day = format!("FROM events WHERE event_date = DATE '{}'", day.as_str().unwrap());
    let explained =
        trailq(&["sql", "--lake", &lake, &format!("EXPLAIN SELECT eventname, integrity {of_day}")]);
    let plan = explained.expect(0).stdout;
    assert!(plan.contains("integrity=verified") && !plan.contains("log_file"), "{plan}");
    // Who changes the summary is found out.
    let summary = folder.path("lake/_verdicts/settled.json");
    let written = fs::read_to_string(&summary).unwrap();
    fs::write(&summary, written.replace("\"verified\"", "\"hash_mismatch\"")).unwrap();
    let run = trailq(&["lake", "check", "--lake", &lake]).expect(1);
    assert!(run.stdout.contains("events: other verdict event_date="), "{}", run.stdout);
    fs::write(&summary, "").unwrap();
    assert_eq!(told(&lake), before);
}

#[test]
fn log_files_read_in_place_have_no_integrity_and_that_is_said() {
    for sql in ["SELECT integrity FROM cloudtrail_logs", "SELECT * FROM digests"] {
        let run = trailq(&["sql", "--from", &sample_logs(), sql]).expect(2);
        assert!(run.stderr.contains("only a lake knows"), "{}", run.stderr);
    }
}

#[test]
fn a_bucket_is_asked_for_what_its_digests_miss() {
    let folder = Folder::new();
    bucket(&folder, &[]);
    let source = "s3://example-books-cloudtrail";
    aws::upload_trail(&folder.text("logs"), "example-books-cloudtrail");
    let all = files_below(&folder.path("logs/AWSLogs"));
    let keys: Vec<&str> =
        all.iter().map(|path| path.strip_prefix(folder.path("logs")).unwrap().to_str().unwrap()).collect();
    let log = keys.iter().filter(|key| key.contains("/CloudTrail/")).nth(40).unwrap();
    let digest = keys.iter().find(|key| key.contains("-Digest") && key.contains("20260303T0")).unwrap();
    aws::delete("example-books-cloudtrail", &[log, digest]);
    let keys_file = folder.text("logs/public-keys.json");
    let lake = folder.lake();
    let run = aws::trailq(&["ingest", "--lake", &lake, source, "--public-keys", &keys_file]).expect(1);
    assert_eq!((run.summary("valid"), run.summary("MISSING")), (95, 1));
    let sql = format!("SELECT integrity_reason FROM log_files WHERE log_file = '{source}/{log}'");
    assert_eq!(rows(&lake, &sql), [json!({"integrity_reason": "deleted"})]);
    let sql = format!(
        "SELECT count(*) AS n FROM digests WHERE digest = '{source}/{digest}' AND status = 'missing'"
    );
    assert_eq!(number(&lake, &sql), 1);
    let sql = "SELECT sum(unverified_log_files) AS n FROM integrity_gaps WHERE why = 'missing'";
    let broken = "SELECT count(*) AS n FROM log_files WHERE integrity_reason = 'broken_chain'";
    assert_eq!(number(&lake, sql), number(&lake, broken));
    // CloudTrail's API is not there: digests that came since cannot be judged, and nothing is lost.
    let other = folder.text("other");
    let run = aws::trailq(&["ingest", "--lake", &other, source]);
    assert_eq!((run.code, run.summary("without their public key")), (Some(0), 95), "{}", run.stderr);
    let mut command = aws::command(&["sql", "--lake", &other, "--format", "ndjson"]);
    command.arg("SELECT count(*) AS n FROM log_files WHERE integrity = 'verified'");
    assert_eq!(number_in(&rows_of(command)), 0);
}
