//! `trailq quarantine`, as a user runs it.

use serde_json::{Value, json};

use super::support::{
    Folder, Run, any_key, event_ids, gzip, ingest, log_file, log_text, number, rows, trailq,
};

const BROKEN: &str = r#"{"eventID":"broken", nonsense}"#;

/// A lake with a good file, a truncated one, and one with a broken record in it.
fn lake() -> Folder {
    let folder = Folder::new();
    let write = |name: &str, bytes: &[u8]| {
        folder.write(&format!("logs/{}", any_key(name)), bytes);
    };
    write("good", &log_file(&["good"]));
    let whole = log_file(&["lost", "found"]);
    write("cut", &whole[..whole.len() / 2]);
    let text = log_text(&["before"]).replace("]}", &format!(",{BROKEN}]}}"));
    write("record", &gzip(text.as_bytes()));
    ingest(&folder.lake(), &[&folder.text("logs")]).expect(1);
    folder
}

fn quarantine(folder: &Folder, arguments: &[&str]) -> Run {
    let lake = folder.lake();
    let (command, rest) = arguments.split_first().unwrap();
    trailq(&[&["quarantine", command, "--lake", &lake][..], rest].concat())
}

fn listed(folder: &Folder, options: &[&str]) -> Vec<Value> {
    let run = quarantine(folder, &[&["list", "--format", "ndjson"][..], options].concat()).expect(0);
    run.stdout.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
}

fn id(folder: &Folder, reason: &str) -> String {
    let [row] = &listed(folder, &["--reason", reason])[..] else { panic!("not one {reason}") };
    row["id"].as_str().unwrap().to_owned()
}

fn mend(folder: &Folder) {
    folder.write(&format!("logs/{}", any_key("cut")), &log_file(&["lost", "found"]));
}

#[test]
fn the_list_says_what_why_and_where() {
    let folder = lake();
    let run = quarantine(&folder, &["list", "--format", "table"]).expect(0);
    assert!(run.stdout.contains("whole file") && run.stdout.contains("damaged_gzip"), "{}", run.stdout);
    assert!(run.stdout.contains(&id(&folder, "invalid_json")[..8]), "{}", run.stdout);
    assert!(!run.stdout.contains(&id(&folder, "invalid_json")), "only as much as is needed");
    assert_eq!(run.stderr, "2 pieces: 1 damaged_gzip, 1 invalid_json\n");
    let [row] = &listed(&folder, &["--reason", "invalid_json"])[..] else { panic!("not one row") };
    assert_eq!((&row["record_index"], &row["byte_length"]), (&json!(1), &json!(BROKEN.len())));
    assert_eq!(row["status"], "open");
    let log_file = row["log_file"].as_str().unwrap();
    assert_eq!(listed(&folder, &["--log-file", log_file]).len(), 1);
    assert_eq!(listed(&folder, &["--log-file", "elsewhere"]).len(), 0);
    let csv = quarantine(&folder, &["list"]).expect(0);
    assert!(csv.stdout.starts_with("id,log_file,bucket,key,version_id,reason,detail,"), "{}", csv.stdout);
}

#[test]
fn a_piece_is_shown_with_its_bytes() {
    let folder = lake();
    let record = id(&folder, "invalid_json");
    let run = quarantine(&folder, &["show", &record[..8]]).expect(0);
    assert!(run.stdout.contains(&format!("id              {record}\n")), "{}", run.stdout);
    assert!(run.stdout.ends_with(&format!("\n\n{BROKEN}\n")), "{}", run.stdout);
    assert_eq!(quarantine(&folder, &["show", &record, "--raw"]).expect(0).stdout, BROKEN);
    let run = quarantine(&folder, &["show", &record, "--max-bytes", "9"]).expect(0);
    assert!(run.stdout.contains("{\"eventID\n… and 21 bytes more"), "{}", run.stdout);
    let run = quarantine(&folder, &["show", &id(&folder, "damaged_gzip")]).expect(0);
    assert!(run.stdout.contains("\n00000000  1f 8b 08 "), "{}", run.stdout);
}

#[test]
fn an_id_must_name_one_piece() {
    let folder = lake();
    let run = quarantine(&folder, &["show", "zz"]).expect(2);
    assert!(run.stderr.contains("nothing in quarantine has the id \"zz\""), "{}", run.stderr);
    let run = quarantine(&folder, &["show", ""]).expect(2);
    assert!(run.stderr.contains("2 ids in quarantine begin with \"\""), "{}", run.stderr);
    for command in ["replay", "discard"] {
        let run = quarantine(&folder, &[command]).expect(2);
        assert!(run.stderr.contains("which pieces? Name them, or give --reason"), "{}", run.stderr);
    }
}

#[test]
fn what_still_cannot_be_read_stays() {
    let folder = lake();
    let run = quarantine(&folder, &["replay", "--all"]).expect(1);
    assert!(
        run.stdout.starts_with("0 pieces replayed: 0 events added\nstill in quarantine: 2 pieces"),
        "{}",
        run.stdout
    );
    assert!(run.stdout.contains("damaged_gzip: the gzip stream is damaged"), "{}", run.stdout);
    assert_eq!((listed(&folder, &[]).len(), event_ids(&folder.lake()).len()), (2, 2));
}

#[test]
fn a_mended_file_is_fetched_again_once() {
    let folder = lake();
    mend(&folder);
    let cut = id(&folder, "damaged_gzip");
    // The bytes kept are what they were.
    quarantine(&folder, &["replay", &cut]).expect(1);
    let run = quarantine(&folder, &["replay", &cut, "--refetch", "--dry-run"]).expect(0);
    assert_eq!(run.stdout, "1 piece would be replayed: 2 events added\n");
    assert_eq!(event_ids(&folder.lake()), ["before", "good"]);
    let run = quarantine(&folder, &["replay", &cut, "--refetch"]).expect(0);
    assert_eq!(run.stdout, "1 piece replayed: 2 events added\n");
    assert_eq!(event_ids(&folder.lake()), ["before", "found", "good", "lost"]);
    let run = quarantine(&folder, &["replay", &cut, "--refetch"]).expect(2);
    assert!(run.stderr.contains("was replayed already"), "{}", run.stderr);
    // The ledger says what the file is now, in one row; ingesting adds nothing.
    let sql = "SELECT status, record_count, event_count, sha256 IS NOT NULL AS hashed FROM log_files WHERE log_file LIKE '%_cut.json.gz'";
    let expected = json!({"status": "committed", "record_count": 2, "event_count": 2, "hashed": true});
    assert_eq!(rows(&folder.lake(), sql), [expected]);
    let again = ingest(&folder.lake(), &[&folder.text("logs")]).expect(0);
    assert_eq!((again.summary("already in the lake"), again.summary("new in the lake")), (3, 0));
    assert_eq!(event_ids(&folder.lake()).len(), 4);
    // It is still to be seen, and what became of it.
    assert_eq!(listed(&folder, &[]).len(), 1);
    let row = listed(&folder, &["--all", "--reason", "damaged_gzip"]).remove(0);
    assert_eq!((&row["status"], row["resolved_at"].is_string()), (&json!("replayed"), true));
    assert_eq!(number(&folder.lake(), "SELECT count(*) AS n FROM quarantine"), 2);
}

#[test]
fn two_replays_at_once_add_the_events_once() {
    let folder = lake();
    mend(&folder);
    let replay = || quarantine(&folder, &["replay", "--reason", "damaged_gzip", "--refetch"]).expect(0);
    let runs = std::thread::scope(|scope| {
        let runs: Vec<_> = (0..3).map(|_| scope.spawn(replay)).collect();
        runs.into_iter().map(|run| run.join().unwrap().stdout).collect::<String>()
    });
    assert_eq!(runs.matches("1 piece replayed: 2 events added").count(), 1, "{runs}");
    assert_eq!(runs.matches("0 pieces replayed: 0 events added").count(), 2, "{runs}");
    assert_eq!(event_ids(&folder.lake()), ["before", "found", "good", "lost"]);
}

#[test]
fn a_file_that_is_another_now_is_not_taken_for_the_one_ingested() {
    let folder = lake();
    folder.write(&format!("logs/{}", any_key("record")), &log_file(&["forged"]));
    let run = quarantine(&folder, &["replay", "--reason", "invalid_json", "--refetch"]).expect(1);
    assert!(run.stdout.contains("changed: its SHA-256 is "), "{}", run.stdout);
    folder.write(&format!("logs/{}", any_key("record")), b"");
    std::fs::remove_file(folder.path(&format!("logs/{}", any_key("cut")))).unwrap();
    let run = quarantine(&folder, &["replay", "--all", "--refetch"]).expect(1);
    assert!(run.stdout.contains("not_fetched: reading ") && run.stdout.contains("empty: "), "{}", run.stdout);
    assert_eq!(event_ids(&folder.lake()), ["before", "good"]);
}

#[test]
fn other_limits_let_a_large_file_in() {
    let folder = Folder::new();
    let padded = format!("{}{}", log_text(&["large"]), " ".repeat(20 << 20));
    folder.write(&format!("logs/{}", any_key("large")), &gzip(padded.as_bytes()));
    ingest(&folder.lake(), &[&folder.text("logs")]).expect(1);
    let replay = ["replay", "--reason", "decompression_bomb"];
    let run = quarantine(&folder, &replay).expect(1);
    assert!(run.stdout.contains("refused as a decompression bomb"), "{}", run.stdout);
    let run = quarantine(&folder, &[&replay[..], &["--max-ratio", "5000"]].concat()).expect(0);
    assert_eq!(run.stdout, "1 piece replayed: 1 event added\n");
    assert_eq!(event_ids(&folder.lake()), ["large"]);
}

#[test]
fn discarding_many_is_to_be_confirmed() {
    let folder = lake();
    let run = quarantine(&folder, &["discard", &id(&folder, "invalid_json")[..8]]).expect(0);
    assert_eq!(run.stdout, "1 piece discarded\n");
    folder.write(&format!("more/{}", any_key("empty")), b"");
    folder.write(&format!("more/{}", any_key("hello")), &gzip(b"hello"));
    ingest(&folder.lake(), &[&folder.text("more")]).expect(1);
    let ids: Vec<String> =
        listed(&folder, &[]).iter().map(|row| row["id"].as_str().unwrap().to_owned()).collect();
    let ids: Vec<&str> = ids.iter().map(String::as_str).collect();
    let run = quarantine(&folder, &[&["discard"][..], &ids].concat()).expect(2);
    assert!(run.stderr.contains("this would discard 3 pieces: "), "{}", run.stderr);
    assert_eq!(listed(&folder, &[]).len(), 3);
    let run = quarantine(&folder, &[&["discard", "--yes"][..], &ids].concat()).expect(0);
    assert_eq!(run.stdout, "3 pieces discarded\n");
    assert_eq!((listed(&folder, &[]).len(), listed(&folder, &["--all"]).len()), (0, 4));
    // Discarded is not forgotten: nobody ingests it again.
    ingest(&folder.lake(), &[&folder.text("more")]).expect(0);
    assert_eq!(listed(&folder, &[]).len(), 0);
}

#[test]
fn where_no_lake_is_none_is_made() {
    let folder = Folder::new();
    for arguments in [&["list"][..], &["replay", "--all"], &["discard", "--reason", "x"]] {
        let run = quarantine(&folder, arguments).expect(2);
        assert!(run.stderr.contains("no lake at "), "{}", run.stderr);
    }
    assert!(!folder.path("lake").exists());
}
