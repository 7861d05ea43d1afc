use serde_json::{Value, json};

use super::super::testing::{answer, tables};
use super::super::{Session, SessionOptions};

/// Two trails whose log files overlap, and two records without an id.
fn overlapping() -> Vec<Value> {
    let event = |id: &str, log_file: &str, index: i32| {
        json!({"eventid": id, "recipientaccountid": "111122223333", "log_file": log_file, "record_index": index,
            "eventname": format!("Name-{id}"), "event_time": "2026-01-05T12:00:00Z", "event_date": "2026-01-05",
            "log_date": "2026-01-05", "region": if log_file == "a" { "eu-west-1" } else { "us-east-1" }})
    };
    vec![
        event("1", "b", 0),
        event("2", "b", 1),
        event("2", "a", 7),
        event("3", "a", 8),
        event("3", "a", 9),
        json!({"log_file": "a", "record_index": 1, "eventname": "NoId"}),
        json!({"log_file": "b", "record_index": 1, "eventname": "NoId"}),
        json!({"eventid": "2", "recipientaccountid": "444455556666", "log_file": "b", "record_index": 2,
            "eventname": "Name-2"}),
    ]
}

fn session() -> Session {
    Session::open(tables(&overlapping()), SessionOptions { distinct: true, ..SessionOptions::default() })
        .unwrap()
}

#[tokio::test]
async fn each_event_is_shown_once_as_the_first_log_file_has_it() {
    let session = session();
    let sql = "SELECT eventid, log_file, record_index FROM cloudtrail_logs ORDER BY 1, 2, 3";
    let expected = ["1,b,0", "2,a,7", "2,b,2", "3,a,8", ",a,1", ",b,1"];
    assert_eq!(answer(&session, sql).await, expected);
    assert_eq!(answer(&session, "SELECT count(*) FROM cloudtrail_logs").await, ["6"]);
    assert_eq!(answer(&session, "SELECT count(*) FROM events").await, ["8"]);
    let sql = "SELECT eventname, count(*) FROM cloudtrail_logs GROUP BY 1 ORDER BY 1";
    assert_eq!(answer(&session, sql).await, ["Name-1,1", "Name-2,2", "Name-3,1", "NoId,2"]);
    let sql = "SELECT useridentity.arn, count(*) FROM cloudtrail_logs WHERE eventname <> 'NoId' GROUP BY 1";
    assert_eq!(answer(&session, sql).await, [",4"]);
}

#[tokio::test]
async fn the_table_of_distinct_events_is_there_without_being_asked_for() {
    let session = Session::new(tables(&overlapping())).unwrap();
    assert_eq!(answer(&session, "SELECT count(*) FROM distinct_events").await, ["6"]);
    assert_eq!(answer(&session, "SELECT count(*) FROM cloudtrail_logs").await, ["8"]);
    let sql = "SELECT log_file FROM distinct_events WHERE eventid = '3' AND record_index >= 8";
    assert_eq!(answer(&session, sql).await, ["a"]);
}

#[tokio::test]
async fn a_condition_on_where_a_row_comes_from_chooses_among_the_rows_shown() {
    let session = session();
    let sql = "SELECT eventid FROM cloudtrail_logs WHERE region = 'us-east-1' ORDER BY 1";
    assert_eq!(answer(&session, sql).await, ["1"], "of 2 the row of eu-west-1 is shown");
    let sql = "SELECT eventid FROM cloudtrail_logs WHERE record_index = 9";
    assert_eq!(answer(&session, sql).await, [""; 0]);
}

#[tokio::test]
async fn conditions_on_the_record_are_applied_before_and_others_after() {
    let session = session();
    let plan = async |condition: &str| {
        let sql = format!("EXPLAIN SELECT eventname FROM cloudtrail_logs WHERE {condition}");
        answer(&session, &sql).await.join("\n")
    };
    let of = |plan: &str, what: &str| plan.find(what).unwrap_or_else(|| panic!("no {what} in\n{plan}"));
    let before = plan("eventname = 'Name-2' AND event_date = '2026-01-05'").await;
    assert!(of(&before, "DistinctEvents") < of(&before, "Name-2"), "{before}");
    assert!(before.contains("DistinctEventsExec: any"), "{before}");
    let nested = "EXPLAIN SELECT useridentity.arn FROM cloudtrail_logs WHERE useridentity.type = 'Root'";
    let nested = answer(&session, nested).await.join("\n");
    assert!(nested.contains("DistinctEventsExec: any"), "{nested}");
    let after = plan("log_file = 'a' AND eventname = 'Name-2'").await;
    assert!(of(&after, "DistinctEvents") > of(&after, "log_file = "), "{after}");
    assert!(of(&after, "DistinctEvents") < of(&after, "Name-2"), "{after}");
    assert!(after.contains("DistinctEventsExec: first by log_file"), "{after}");
}
