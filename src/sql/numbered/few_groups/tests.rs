use arrow::array::{StringViewArray, new_null_array};
use datafusion::datasource::MemTable;

use super::*;
use crate::sql::testing::{answer, events};
use crate::sql::{Session, Tables};

/// Batches of events that have these names and error codes, and nothing else.
fn session_of(batches: &[Vec<(Option<&str>, Option<&str>)>]) -> Session {
    let schema = events(&[]).schema();
    let batch = |rows: &Vec<(Option<&str>, Option<&str>)>| {
        let columns = schema.fields().iter().map(|field| -> ArrayRef {
            match field.name().as_str() {
                "eventname" => Arc::new(rows.iter().map(|(name, _)| *name).collect::<StringViewArray>()),
                "errorcode" => Arc::new(rows.iter().map(|(_, code)| *code).collect::<StringViewArray>()),
                _ => new_null_array(field.data_type(), rows.len()),
            }
        });
        RecordBatch::try_new(schema.clone(), columns.collect()).unwrap()
    };
    // Two partitions, of which each aggregates for itself.
    let (even, odd): (Vec<_>, Vec<_>) = batches.iter().enumerate().partition(|(at, _)| at % 2 == 0);
    let partition = |of: Vec<(usize, &Vec<_>)>| of.into_iter().map(|(_, rows)| batch(rows)).collect();
    let table = MemTable::try_new(schema.clone(), vec![partition(even), partition(odd)]).unwrap();
    Session::new(Tables::of(Arc::new(table))).unwrap()
}

const NAMES: [Option<&str>; 5] =
    [Some("GetObject"), None, Some(""), Some("AssumeRoleWithWebIdentity"), Some("DescribeInstances")];
const CODES: [Option<&str>; 3] = [None, Some("AccessDenied"), Some("Client.UnauthorizedOperation")];

fn some_batches() -> Vec<Vec<(Option<&'static str>, Option<&'static str>)>> {
    let row = |row: usize| (NAMES[row * 7 % 11 % NAMES.len()], CODES[row * 5 % 7 % CODES.len()]);
    let batches = [0..0, 0..40, 40..41, 41..300, 300..310, 310..1000];
    batches.into_iter().map(|rows| rows.map(row).collect()).collect()
}

#[tokio::test]
async fn groups_are_as_those_of_texts_that_do_not_repeat() {
    let session = session_of(&some_batches());
    let aggregates = "count(*), count(errorcode), min(errorcode), max(eventname),
        sum(length(eventname)), avg(length(errorcode)), count(*) FILTER (WHERE errorcode LIKE '%Denied')";
    for (numbered, plain) in [
        ("eventname", "eventname || ''"),
        ("eventname, errorcode", "eventname || '', errorcode || ''"),
        ("errorcode, eventname, errorcode", "errorcode || '', eventname || '', errorcode || ''"),
        ("awsregion, errorcode", "awsregion || '', errorcode || ''"),
    ] {
        let ask =
            |by: &str| format!("SELECT {by}, {aggregates} FROM cloudtrail_logs GROUP BY {by} ORDER BY {by}");
        let plan = answer(&session, &format!("EXPLAIN {}", ask(numbered))).await.concat();
        assert!(plan.contains("NumberedAggregateExec: mode=Partial"), "{plan}");
        let plan = answer(&session, &format!("EXPLAIN {}", ask(plain))).await.concat();
        assert!(!plan.contains("Numbered"), "{plan}");
        let expected = answer(&session, &ask(plain)).await;
        assert!(expected.len() > 1);
        assert_eq!(answer(&session, &ask(numbered)).await, expected, "{numbered}");
    }
    let distinct = "SELECT DISTINCT eventname FROM cloudtrail_logs ORDER BY 1";
    let expected = ["\"\"", "AssumeRoleWithWebIdentity", "DescribeInstances", "GetObject", ""];
    assert_eq!(answer(&session, distinct).await, expected);
}

#[tokio::test]
async fn no_rows_are_no_groups() {
    let session = session_of(&[vec![], vec![]]);
    let sql = "SELECT eventname, count(*) FROM cloudtrail_logs GROUP BY 1";
    assert!(answer(&session, sql).await.is_empty());
}

#[tokio::test]
async fn names_that_do_not_repeat_are_counted_all_the_same() {
    let names: Vec<String> = (0..MOST_GROUPS * 2 + 10).map(|name| format!("name {name}")).collect();
    let rows: Vec<_> = names.iter().map(|name| (Some(name.as_str()), None)).collect();
    // Each of them twice in one partition, so far apart that they have been passed on in between.
    let batches: Vec<_> = rows.chunks(10_000).flat_map(|rows| [rows.to_vec(), vec![]]).collect();
    let session = session_of(&[batches.clone(), batches].concat());
    let sql = "SELECT count(*), min(n), max(n) FROM
        (SELECT eventname, count(*) AS n FROM cloudtrail_logs GROUP BY eventname)";
    assert_eq!(answer(&session, sql).await, [format!("{},2,2", names.len())]);
}

#[tokio::test]
async fn what_may_take_much_room_or_has_other_groups_is_left_to_datafusion() {
    let session = session_of(&some_batches());
    for sql in [
        "SELECT eventname, array_agg(errorcode) FROM cloudtrail_logs GROUP BY 1",
        "SELECT eventname, count(DISTINCT errorcode), count(*) FROM cloudtrail_logs GROUP BY 1",
        "SELECT eventname, eventid, count(*) FROM cloudtrail_logs GROUP BY 1, 2",
        "SELECT eventname, count(*) FROM cloudtrail_logs GROUP BY ROLLUP (eventname)",
        "SELECT count(*) FROM cloudtrail_logs",
    ] {
        let plan = answer(&session, &format!("EXPLAIN {sql}")).await.concat();
        assert!(!plan.contains("NumberedAggregateExec"), "{sql}: {plan}");
    }
}
