//! What is no record, or no log file: it goes to quarantine with its bytes, and the rest goes on.

use base64::Engine as _;
use serde_json::{Value, json};

use super::support::{
    Folder, Run, any_key, event_ids, gzip, ingest, log_file, log_text, number, rows, trailq,
};

const BROKEN_RECORD: &str = r#"{"eventID":"broken", nonsense}"#;

/// A directory in which each file is bad in its own way, and one is good.
fn bad_logs() -> Folder {
    let folder = Folder::new();
    let write = |name: &str, bytes: &[u8]| {
        folder.write(&format!("logs/{}", any_key(name)), bytes);
    };
    write("good", &log_file(&["good"]));
    write("truncated", truncated());
    write("bomb", &gzip(&vec![b' '; 20 << 20]));
    write("text", &gzip(b"hello"));
    write("other", &gzip(br#"{"digestPublicKeyFingerprint":"x"}"#));
    write("empty", b"");
    let text = log_text(&["before", "BROKEN", "after"]);
    let (start, end) = (text.find(r#"{"eventVersion":"1.11","eventTime":"2026-01-05T08:07:00Z","eventName":"GetObject","awsRegion":"eu-west-1","eventID":"BROKEN""#).unwrap(), text.find("BROKEN\"}").unwrap() + 8);
    write("record", &gzip(format!("{}{BROKEN_RECORD}{}", &text[..start], &text[end..]).as_bytes()));
    folder
}

fn truncated() -> &'static [u8] {
    static BYTES: std::sync::OnceLock<Vec<u8>> = std::sync::OnceLock::new();
    BYTES.get_or_init(|| {
        let mut bytes = log_file(&["lost", "lost as well"]);
        bytes.truncate(bytes.len() / 2);
        bytes
    })
}

fn ingest_logs(folder: &Folder, options: &[&str]) -> Run {
    ingest(&folder.lake(), &[options, &[folder.text("logs").as_str()]].concat())
}

/// What the quarantine has of the file `name`.
fn kept(folder: &Folder, name: &str) -> (String, Value, Vec<u8>) {
    let sql = format!(
        "SELECT reason, record_index, encode(bytes, 'base64') AS bytes FROM quarantine WHERE log_file LIKE '%_{name}.json.gz'"
    );
    let [row] = &rows(&folder.lake(), &sql)[..] else { panic!("not one row of {name}") };
    let bytes =
        base64::engine::general_purpose::STANDARD_NO_PAD.decode(row["bytes"].as_str().unwrap()).unwrap();
    (row["reason"].as_str().unwrap().to_owned(), row["record_index"].clone(), bytes)
}

#[test]
fn each_kind_of_damage_is_told_and_kept_and_stops_nothing_else() {
    let folder = bad_logs();
    let run = ingest_logs(&folder, &[]).expect(1);
    assert_eq!((run.summary("new in the lake"), run.summary("events added")), (7, 3));
    assert!(run.stdout.contains("1 file: decompression_bomb"), "{}", run.stdout);
    assert!(run.stdout.contains("2 files: not_a_log_file"), "{}", run.stdout);
    assert!(run.stdout.contains("See what was quarantined:  trailq quarantine list"), "{}", run.stdout);
    assert_eq!(event_ids(&folder.lake()), ["after", "before", "good"]);
    let whole = |reason: &str, bytes: &[u8]| (reason.to_owned(), Value::Null, bytes.to_owned());
    assert_eq!(kept(&folder, "truncated"), whole("damaged_gzip", truncated()));
    assert_eq!(kept(&folder, "text"), whole("not_a_log_file", &gzip(b"hello")));
    assert_eq!(kept(&folder, "empty"), whole("empty", b""));
    assert_eq!(kept(&folder, "bomb"), whole("decompression_bomb", &gzip(&vec![b' '; 20 << 20])));
    let (reason, index, bytes) = kept(&folder, "record");
    assert_eq!(
        (reason.as_str(), index, bytes.as_slice()),
        ("invalid_json", json!(1), BROKEN_RECORD.as_bytes())
    );
}

#[test]
fn records_around_a_broken_one_keep_their_numbers() {
    let folder = bad_logs();
    ingest_logs(&folder, &[]).expect(1);
    let sql =
        "SELECT eventid, record_index FROM cloudtrail_logs WHERE log_file LIKE '%_record.json.gz' ORDER BY 2";
    let expected =
        [json!({"eventid": "before", "record_index": 0}), json!({"eventid": "after", "record_index": 2})];
    assert_eq!(rows(&folder.lake(), sql), expected);
    let sql = "SELECT record_count, event_count, quarantined_count FROM log_files WHERE log_file LIKE '%_record.json.gz'";
    assert_eq!(
        rows(&folder.lake(), sql),
        [json!({"record_count": 3, "event_count": 2, "quarantined_count": 1})]
    );
}

#[test]
fn a_file_of_more_records_than_may_be_is_set_aside_and_read_with_another_limit() {
    let folder = Folder::new();
    folder.write(&format!("logs/{}", any_key("few")), &log_file(&["1", "2"]));
    folder.write(&format!("logs/{}", any_key("many")), &log_file(&["3", "4", "5"]));
    let lines = ["6", "7", "8"].map(|id| {
        format!("{{\"eventVersion\":\"1.11\",\"eventTime\":\"2026-01-05T08:07:00Z\",\"eventID\":\"{id}\"}}")
    });
    folder.write(&format!("logs/{}", any_key("lines")), &gzip(lines.join("\n").as_bytes()));
    let run = ingest_logs(&folder, &["--max-records", "2", "--threads", "1"]).expect(1);
    assert!(run.stdout.contains("2 files: too_many_records"), "{}", run.stdout);
    assert_eq!(event_ids(&folder.lake()), ["1", "2"]);
    assert_eq!(
        kept(&folder, "many"),
        ("too_many_records".to_owned(), Value::Null, log_file(&["3", "4", "5"]))
    );
    let lake = folder.lake();
    let replay = ["quarantine", "replay", "--lake", &lake, "--reason", "too_many_records"];
    let still = trailq(&[&replay[..], &["--max-records", "2"]].concat()).expect(1);
    assert!(still.stdout.contains("more than the 2 records that a log file may have"), "{}", still.stdout);
    trailq(&replay).expect(0);
    assert_eq!(event_ids(&lake), ["1", "2", "3", "4", "5", "6", "7", "8"]);
}

#[test]
fn quarantine_can_be_allowed() {
    let folder = bad_logs();
    let run = ingest_logs(&folder, &["--allow-quarantine"]).expect(0);
    assert_eq!(run.summary("events added"), 3);
    assert_eq!(number(&folder.lake(), "SELECT count(*) AS n FROM quarantine"), 6);
}

#[test]
fn running_it_again_quarantines_nothing_twice() {
    let folder = bad_logs();
    ingest_logs(&folder, &[]).expect(1);
    let again = ingest_logs(&folder, &[]).expect(0);
    assert_eq!((again.summary("already in the lake"), again.summary("new in the lake")), (7, 0));
    assert_eq!(number(&folder.lake(), "SELECT count(*) AS n FROM quarantine"), 6);
    assert_eq!(event_ids(&folder.lake()), ["after", "before", "good"]);
}

#[test]
fn hostile_text_reaches_the_terminal_escaped() {
    let folder = Folder::new();
    folder.write("\u{1b}[2Jevil.json.gz", b"\x1b]0;title\x07");
    let run = ingest(&folder.lake(), &[&folder.text("*evil*")]).expect(1);
    let all = format!("{}{}", run.stdout, run.stderr);
    assert!(all.contains("evil.json.gz") && !all.contains(['\u{1b}', '\u{7}']), "{all:?}");

    let missing = ingest(&folder.lake(), &["/nowhere/\u{1b}[2J"]).expect(2);
    assert!(
        missing.stderr.contains("/nowhere/\\u{1b}[2J") && !missing.stderr.contains('\u{1b}'),
        "{}",
        missing.stderr
    );
}
