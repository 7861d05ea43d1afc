//! Two trails on one bucket deliver the same events: both rows stay, and queries may see each once.

use serde_json::json;

use super::support::{Folder, any_key, command, ingest, key, log_file, number, rows, rows_of};

/// Events `1` and `2` by one trail, `2` and `3` by another.
fn two_trails() -> Folder {
    let folder = Folder::new();
    folder.write(&format!("bucket/b-trail/{}", any_key("one")), &log_file(&["1", "2"]));
    let tomorrow = key("111122223333", "eu-west-1", "2026-01-06", "two");
    folder.write(&format!("bucket/a-trail/{tomorrow}"), &log_file(&["3", "2"]));
    ingest(&folder.lake(), &[&folder.text("bucket")]).expect(0);
    folder
}

#[test]
fn an_event_of_two_trails_is_kept_twice_and_shown_once() {
    let folder = two_trails();
    assert_eq!(number(&folder.lake(), "SELECT count(*) AS n FROM cloudtrail_logs"), 4);
    assert_eq!(number(&folder.lake(), "SELECT count(*) AS n FROM distinct_events"), 3);
    let sql = "SELECT eventid, element_at(split(log_file, '/'), -9) AS trail, record_index FROM distinct_events ORDER BY 1";
    let expected = [
        json!({"eventid": "1", "trail": "b-trail", "record_index": 0}),
        json!({"eventid": "2", "trail": "a-trail", "record_index": 1}),
        json!({"eventid": "3", "trail": "a-trail", "record_index": 0}),
    ];
    assert_eq!(rows(&folder.lake(), sql), expected);
    let distinct = |sql: &str| {
        rows_of(command(&["sql", "--distinct", "--lake", &folder.lake(), "--format", "ndjson", sql]))
    };
    assert_eq!(distinct("SELECT count(*) AS n FROM cloudtrail_logs"), [json!({"n": 3})]);
    // A day is that of the key: the copy that is shown is of the day after.
    let of_day =
        |day: &str| distinct(&format!("SELECT eventid FROM cloudtrail_logs WHERE day = '{day}' ORDER BY 1"));
    assert_eq!(of_day("05"), [json!({"eventid": "1"})]);
    assert_eq!(of_day("06"), [json!({"eventid": "2"}), json!({"eventid": "3"})]);
    let sql = "SELECT count(*) AS n FROM cloudtrail_logs WHERE eventname = 'GetObject' AND eventid = '2'";
    assert_eq!(distinct(sql), [json!({"n": 1})]);
}

#[test]
fn files_are_skipped_below_the_distinction() {
    let folder = two_trails();
    let plan = |condition: &str| {
        let sql = format!("EXPLAIN SELECT eventname FROM cloudtrail_logs WHERE {condition}");
        let run = command(&["sql", "--distinct", "--lake", &folder.lake(), "--format", "csv", &sql]).output();
        String::from_utf8(run.unwrap().stdout).unwrap()
    };
    let outside = plan("eventtime < '2020-01-01'");
    assert!(outside.contains("EmptyExec") || !outside.contains(".parquet"), "{outside}");
    let inside = plan("eventtime >= '2026-01-05'");
    assert!(inside.contains(".parquet") && inside.contains("DistinctEventsExec: any"), "{inside}");
    // The pass for the first places reads their columns only.
    let first = plan("log_file LIKE '%one%'");
    let narrow = "projection=[eventid, recipientaccountid, log_file, record_index]";
    let other = "projection=[recipientaccountid, eventid, log_file, record_index]";
    assert!(first.contains(narrow) || first.contains(other), "{first}");
}
