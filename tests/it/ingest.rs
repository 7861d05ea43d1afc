//! `trailq ingest`: which log files it takes, and that it takes each of them once.

use std::fs;
use std::os::unix::fs::symlink;

use super::support::{
    Folder, any_key, assert_same_places, corpus, event_ids, gzip, ingest, key, log_file, log_text, number,
    places_in_lake, rows,
};

#[test]
fn running_it_again_adds_nothing() {
    let (folder, corpus) = (Folder::new(), corpus());
    let first = ingest(&folder.lake(), &[&corpus.dir]).expect(0);
    assert_eq!(first.summary("new in the lake"), corpus.files as u64);
    assert_eq!(first.summary("events added"), corpus.places.len() as u64);
    let again = ingest(&folder.lake(), &[&corpus.dir]).expect(0);
    assert_eq!(again.summary("already in the lake"), corpus.files as u64);
    assert_eq!((again.summary("new in the lake"), again.summary("events added")), (0, 0));
    let words: Vec<&str> = again.stdout.split_whitespace().collect();
    assert!(words.windows(2).any(|pair| pair == ["commits", "none"]), "{}", again.stdout);
    assert_same_places(&places_in_lake(&folder.lake()), &corpus.places);
}

#[test]
fn sources_that_overlap_add_each_file_once() {
    let (folder, corpus) = (Folder::new(), corpus());
    let account = format!("{}/AWSLogs/o-exampleorgid/111122223333", corpus.dir);
    let part = ingest(&folder.lake(), &[&account, &account]).expect(0).summary("new in the lake");
    assert!(part > 0 && part < corpus.files as u64, "{part} files of the account");
    let glob = format!("{}/AWSLogs/*/*/CloudTrail/eu-*", corpus.dir);
    let rest = ingest(&folder.lake(), &[&glob, &corpus.dir, &account]).expect(0);
    assert_eq!(rest.summary("already in the lake"), part);
    assert_eq!(rest.summary("new in the lake"), corpus.files as u64 - part);
    assert_same_places(&places_in_lake(&folder.lake()), &corpus.places);
}

#[test]
fn a_directory_gives_its_log_files_and_nothing_else() {
    let folder = Folder::new();
    let logs = folder.text("logs");
    folder.write(&format!("logs/{}", any_key("a")), &log_file(&["a"]));
    folder.write(
        "logs/copied here/111122223333_CloudTrail_eu-west-1_20260105T0810Z_b.json.gz",
        &log_file(&["b"]),
    );
    folder.write("logs/notes.json.gz", &log_file(&["not me"]));
    folder.write("logs/111122223333_CloudTrail_eu-west-1_20260105T0810Z_c.json.gz.part", b"half");
    let run = ingest(&folder.lake(), &[&logs]).expect(0);
    assert_eq!((run.summary("new in the lake"), run.summary("other files (not read)")), (2, 2));
    assert_eq!(event_ids(&folder.lake()), ["a", "b"]);
}

#[test]
fn a_named_file_is_taken_whatever_it_is_called() {
    let folder = Folder::new();
    let names =
        ["a[1].json.gz", "b *?.gz", "c ünï%20\u{1f511}.json", "d 'q\" ;--.log", "e\nnew line", "-f.json.gz"];
    let files: Vec<String> = names.iter().map(|name| folder.write(name, &log_file(&[&name[..1]]))).collect();
    let files: Vec<&str> = files.iter().map(String::as_str).collect();
    ingest(&folder.lake(), &files).expect(0);
    assert_eq!(event_ids(&folder.lake()), ["-", "a", "b", "c", "d", "e"]);
    let found = rows(&folder.lake(), "SELECT DISTINCT log_file FROM cloudtrail_logs");
    let real = |name: &&str| fs::canonicalize(name).unwrap().to_str().unwrap().to_owned();
    let mut found: Vec<String> =
        found.iter().map(|row| row["log_file"].as_str().unwrap().to_owned()).collect();
    let mut expected: Vec<String> = files.iter().map(real).collect();
    found.sort();
    expected.sort();
    assert_eq!(found, expected);
}

#[test]
fn a_glob_takes_what_it_matches() {
    let folder = Folder::new();
    for name in ["x/1.json.gz", "x/2.json.gz", "y/3.json.gz", "y/4.txt"] {
        folder.write(name, &log_file(&[name]));
    }
    folder.write(&format!("zed/{}", any_key("z")), &log_file(&["z"]));
    let run = ingest(&folder.lake(), &[&folder.text("*/[13].json.gz"), &folder.text("z*")]).expect(0);
    assert_eq!(run.summary("new in the lake"), 3);
    assert_eq!(event_ids(&folder.lake()), ["x/1.json.gz", "y/3.json.gz", "z"]);
}

#[test]
fn every_container_is_read() {
    let folder = Folder::new();
    let base = any_key("n").replace("_n.json.gz", "");
    let write = |end: &str, bytes: &[u8]| folder.write(&format!("logs/{base}_{end}"), bytes);
    write("plain.json", log_text(&["plain"]).as_bytes());
    write("zst.json.zst", &zstd::encode_all(log_text(&["zst"]).as_bytes(), 3).unwrap());
    let text = log_text(&["members"]);
    let (front, back) = text.split_at(text.len() / 2);
    write("members.json.gz", &[gzip(front.as_bytes()), gzip(back.as_bytes())].concat());
    write("misnamed.json.gz", log_text(&["misnamed"]).as_bytes());
    write("bom.json.gz", &gzip(format!("\u{feff}{}\n", log_text(&["bom"])).as_bytes()));
    write("none.json.gz", &log_file(&[]));
    ingest(&folder.lake(), &[&folder.text("logs")]).expect(0);
    assert_eq!(event_ids(&folder.lake()), ["bom", "members", "misnamed", "plain", "zst"]);
    assert_eq!(number(&folder.lake(), "SELECT count(*) AS n FROM log_files WHERE event_count = 0"), 1);
}

#[test]
fn filters_choose_by_what_the_keys_say() {
    let folder = Folder::new();
    let (ours, theirs) = ("111122223333", "444455556666");
    for account in [ours, theirs] {
        for region in ["eu-west-1", "us-east-1"] {
            for day in ["2026-01-04", "2026-01-05", "2026-01-06"] {
                let id = format!("{} {region} {day}", &account[..1]);
                folder.write(&format!("logs/{}", key(account, region, day, "a")), &log_file(&[&id]));
            }
        }
    }
    let ingested = |name: &str, filter: &[&str]| {
        let lake = folder.text(name);
        let run = ingest(&lake, &[filter, &[folder.text("logs").as_str()]].concat()).expect(0);
        assert_eq!(run.summary("new in the lake"), event_ids(&lake).len() as u64);
        event_ids(&lake)
    };
    let only = ingested("one", &["--account", theirs, "--region", "us-east-1", "--from", "2026-01-06"]);
    assert_eq!(only, ["4 us-east-1 2026-01-06"]);
    let day = ingested("two", &["--region", "eu-west-1", "--from", "2026-01-05", "--to", "2026-01-05"]);
    assert_eq!(day, ["1 eu-west-1 2026-01-05", "4 eu-west-1 2026-01-05"]);
    assert_eq!(ingested("three", &["--account", ours, "--account", theirs, "--to", "2026-01-04"]).len(), 4);
    let reversed = ["--from", "2026-01-06", "--to", "2026-01-05", &folder.text("logs")];
    let refused = ingest(&folder.text("four"), &reversed).expect(2);
    assert!(refused.stderr.contains("--from 2026-01-06 is after --to 2026-01-05"), "{}", refused.stderr);
}

#[test]
fn rows_of_a_copy_name_the_bucket_it_is_a_copy_of() {
    let folder = Folder::new();
    let key = any_key("a");
    for copy in ["copy", "other copy"] {
        folder.write(&format!("{copy}/{key}"), &log_file(&["a"]));
    }
    let bucket = ["--as", "s3://trail"];
    ingest(&folder.lake(), &[&bucket[..], &[&folder.text("copy")]].concat()).expect(0);
    let again = ingest(&folder.lake(), &[&bucket[..], &[&folder.text("other copy")]].concat()).expect(0);
    assert_eq!(again.summary("already in the lake"), 1);
    let found = rows(&folder.lake(), "SELECT log_file, bucket, key FROM log_files");
    let expected =
        serde_json::json!({"log_file": format!("s3://trail/{key}"), "bucket": "trail", "key": key});
    assert_eq!(found, [expected]);
}

#[test]
fn a_dry_run_says_what_would_be_done_and_does_nothing() {
    let folder = Folder::new();
    let logs = folder.text("logs");
    folder.write(&format!("logs/{}", any_key("a")), &log_file(&["a"]));
    let dry = ingest(&folder.lake(), &["--dry-run", &logs]).expect(0);
    assert_eq!(dry.summary("would be ingested"), 1);
    assert!(!folder.path("lake").exists());
    ingest(&folder.lake(), &[&logs]).expect(0);
    folder.write(&format!("logs/{}", any_key("b")), &log_file(&["b"]));
    let dry = ingest(&folder.lake(), &["--dry-run", &logs]).expect(0);
    assert_eq!((dry.summary("already in the lake"), dry.summary("would be ingested")), (1, 1));
    assert_eq!(event_ids(&folder.lake()), ["a"]);
}

#[test]
fn a_source_that_is_not_there_is_an_error() {
    let folder = Folder::new();
    let missing = folder.text("no such place");
    let run = ingest(&folder.lake(), &[&missing]).expect(2);
    let expected =
        format!("error: {missing}: no such file or directory, and no file matches it as a pattern\n");
    assert!(run.stderr.ends_with(&expected), "{}", run.stderr);
}

#[test]
fn a_file_that_cannot_be_read_fails_and_the_next_run_tries_it_again() {
    let folder = Folder::new();
    folder.write(&format!("logs/{}", any_key("good")), &log_file(&["good"]));
    // Links that lead nowhere, and to what no one can read: tests may run as root, whom no permission stops.
    for (name, target) in [("broken", "/nowhere"), ("unreadable", "/proc/self/mem")] {
        symlink(target, folder.path(&format!("logs/{}", any_key(name)))).unwrap();
    }
    let run = ingest(&folder.lake(), &[&folder.text("logs")]).expect(1);
    assert_eq!((run.summary("new in the lake"), run.summary("failed")), (1, 2));
    assert!(run.stdout.contains("_broken.json.gz: No such file"), "{}", run.stdout);
    assert!(run.stdout.contains("_unreadable.json.gz: "), "{}", run.stdout);
    for name in ["broken", "unreadable"] {
        fs::remove_file(folder.path(&format!("logs/{}", any_key(name)))).unwrap();
        folder.write(&format!("logs/{}", any_key(name)), &log_file(&[name]));
    }
    let run = ingest(&folder.lake(), &[&folder.text("logs")]).expect(0);
    assert_eq!((run.summary("already in the lake"), run.summary("new in the lake")), (1, 2));
    assert_eq!(event_ids(&folder.lake()), ["broken", "good", "unreadable"]);
}

#[test]
fn a_file_that_changed_since_is_left_as_it_was_and_told() {
    let folder = Folder::new();
    let path = folder.write(&format!("logs/{}", any_key("a")), &log_file(&["first"]));
    ingest(&folder.lake(), &[&path]).expect(0);
    fs::write(&path, log_file(&["second", "third"])).unwrap();
    let run = ingest(&folder.lake(), &[&path]).expect(0);
    assert_eq!(run.summary("of them changed since"), 1);
    assert!(run.stderr.contains("changed since it was ingested"), "{}", run.stderr);
    assert_eq!(event_ids(&folder.lake()), ["first"]);
}
