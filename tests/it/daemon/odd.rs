//! Everything that may be odd in a file, all at once: each has its defined result, and costs no other file and
//! no other record anything.

use std::collections::BTreeMap;
use std::time::Duration;

use super::super::fake_aws::{FakeAws, FakeQueue, Faults};
use super::super::support::{Folder, any_key, command, gzip, log_file, log_text, number, rows, trailq};
use super::s3_event;
use super::setup::Running;

/// What is in the lake of one file: its events, and why something of it is in quarantine.
type Outcome = (Vec<String>, Vec<String>);

/// A log file of three records, whose middle one is this.
fn around(middle: &[u8]) -> Vec<u8> {
    let text = log_text(&["1", "X", "3"]);
    let (start, end) = (text.find(",{").unwrap() + 1, text.rfind(",{").unwrap());
    gzip(&[&text.as_bytes()[..start], middle, &text.as_bytes()[end..]].concat())
}

/// A file's name and bytes, and what is to become of it: its events, and the reasons.
type Odd = (&'static str, Vec<u8>, &'static [&'static str], &'static [&'static str]);

/// Files that are odd, and one that is not.
fn files() -> Vec<Odd> {
    let whole = log_text(&["1", "2"]);
    let (first, second) = whole.as_bytes().split_at(60);
    let deep =
        format!("{{\"eventID\":\"deep\",\"requestParameters\":{}{}}}", "[".repeat(600), "]".repeat(600));
    let twice =
        br#"{"eventVersion":"1.11","eventTime":"2026-01-05T08:07:00Z","eventID":"first","eventID":"last"}"#;
    let many: Vec<String> = (0..7).map(|number| number.to_string()).collect();
    let many: Vec<&str> = many.iter().map(String::as_str).collect();
    vec![
        ("whole", gzip(whole.as_bytes()), &["1", "2"], &[]),
        ("bomb", gzip(&vec![b' '; 20 << 20]), &[], &["decompression_bomb"]),
        ("cut", log_file(&["1", "2"])[..40].to_vec(), &[], &["damaged_gzip"]),
        ("members", [gzip(first), gzip(second)].concat(), &["1", "2"], &[]),
        ("documents", [log_file(&["1"]), log_file(&["2"])].concat(), &["1", "2"], &[]),
        ("trailing", [log_file(&["1"]), b"more".to_vec()].concat(), &["1"], &["trailing_bytes"]),
        ("empty", Vec::new(), &[], &["empty"]),
        ("text", gzip(b"hello"), &[], &["not_a_log_file"]),
        ("document", gzip(br#"{"logFiles":[]}"#), &[], &["not_a_log_file"]),
        ("utf8", around(b"{\"eventID\":\"\xff\"}"), &["1", "3"], &["invalid_utf8"]),
        ("broken", around(b"{\"eventID\":\"2\", nonsense}"), &["1", "3"], &["invalid_json"]),
        ("number", around(b"2"), &["1", "3"], &["not_a_record"]),
        ("deep", around(deep.as_bytes()), &["1", "3"], &["invalid_json"]),
        ("twice", around(twice), &["1", "3", "last"], &[]),
        ("many", log_file(&many), &[], &["too_many_records"]),
    ]
}

fn outcomes(lake: &str) -> BTreeMap<String, Outcome> {
    let name = |row: &serde_json::Value| {
        let log_file = row["log_file"].as_str().unwrap();
        log_file.rsplit('_').next().unwrap().trim_end_matches(".json.gz").to_owned()
    };
    let mut outcomes: BTreeMap<String, Outcome> = BTreeMap::new();
    for row in rows(lake, "SELECT log_file, eventid FROM cloudtrail_logs ORDER BY eventid") {
        outcomes.entry(name(&row)).or_default().0.push(row["eventid"].as_str().unwrap().to_owned());
    }
    for row in rows(lake, "SELECT log_file, reason FROM quarantine WHERE status = 'open' ORDER BY reason") {
        outcomes.entry(name(&row)).or_default().1.push(row["reason"].as_str().unwrap().to_owned());
    }
    outcomes
}

#[tokio::test(flavor = "multi_thread")]
async fn whatever_is_odd_in_a_file_has_its_defined_result() {
    let aws = FakeAws::start(Faults::none(0));
    let queue_url = aws.create_queue("odd", FakeQueue::new(Duration::from_secs(30)));
    let files = files();
    for (name, bytes, ..) in &files {
        aws.put("logs", &any_key(name), bytes.clone());
        aws.send("odd", &s3_event("logs", &[&any_key(name)]));
    }
    let (folder, count) = (Folder::new(), files.len() as u64);
    let lake = folder.lake();
    let places = ["--queue-url", &queue_url, "--bucket", "logs", "--lake", &lake, "--max-records", "6"];
    let mut command = command(&[&["daemon"][..], &places].concat());
    command.envs(aws.environment());
    let daemon = Running::start(command, &folder);
    let done = |page: &super::setup::Page| page.objects("committed") + page.objects("quarantined") == count;
    let page = daemon.wait_for("done", done).await;
    page.assert_balanced();
    assert_eq!((page.sum("records_quarantined_total"), page.objects("failed")), (5, 0));
    daemon.wait_for("settled", |page| page.sum("sqs_messages_inflight") == 0).await;
    assert!(daemon.stop().0.success());
    assert_eq!(aws.with_queue("odd", |queue| queue.len()), 0);

    let told = |texts: &[&str]| texts.iter().map(|text| (*text).to_owned()).collect::<Vec<_>>();
    let expected: BTreeMap<String, Outcome> =
        files.iter().map(|(name, _, events, why)| ((*name).to_owned(), (told(events), told(why)))).collect();
    assert_eq!(outcomes(&lake), expected);
    let duplicates = "SELECT odd_count AS n FROM log_files WHERE log_file LIKE '%_twice.json.gz'";
    assert_eq!(number(&lake, duplicates), 1);
    // The bytes are all there: what other limits allow can be had.
    trailq(&["quarantine", "replay", "--lake", &lake, "--reason", "too_many_records"]).expect(0);
    assert_eq!(outcomes(&lake)["many"].0.len(), 7);
}
