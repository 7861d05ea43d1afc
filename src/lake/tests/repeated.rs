//! Conditions on texts that repeat, over files as they are written: with dictionaries that differ, pages with and
//! without them, and several batches.

use std::fmt::Write;
use std::sync::Arc;

use chrono::TimeDelta;
use datafusion::datasource::MemTable;
use datafusion::prelude::SessionContext;

use super::support::{decode, entry, number_of, session, temporary, time};
use crate::lake::{Batch, Lake, with_views};

const ROWS: i64 = 45_000;

/// Two days of events: a few names, of which some are long, empty or absent, and parameters that never repeat.
fn lines(day: i64) -> String {
    let names =
        ["GetObject", "", "PutObject", "AssumeRoleWithWebIdentity", "DescribeInstanceTypeOfferings", "Z"];
    let start = time("2026-01-05T00:00:00Z") + TimeDelta::days(day);
    let mut lines = String::new();
    for row in 0..ROWS {
        let seed = (row * row + day) % 7919;
        let place = usize::try_from(seed % 7).unwrap();
        let at = start + TimeDelta::seconds(row);
        let identity = serde_json::json!({
            "arn": format!("arn:aws:sts::1:assumed-role/role-{}", (seed + day) % 90),
            "accesskeyid": format!("key {row} of {day}"),
        });
        let line = serde_json::json!({
            "eventname": names.get(place),
            "errorcode": (seed % 50 < 3).then(|| format!("Code{}", seed % 50)),
            "useridentity": (seed % 5 > 0).then_some(identity),
            "requestparameters": format!("{{\"key\":\"{:032x}\",\"day\":{day}}}", seed * row),
            "eventid": format!("{day}-{row}"),
            "event_time": at.to_rfc3339(),
            "event_date": at.date_naive().to_string(),
            "log_file": day.to_string(),
        });
        writeln!(lines, "{line}").unwrap();
    }
    lines
}

/// The same rows as a lake has them, and in memory.
async fn twice() -> (tempfile::TempDir, SessionContext) {
    let (directory, path) = temporary();
    let lake = Lake::open_or_create(&path).await.unwrap();
    let days = [decode(&lines(0)), decode(&lines(1))];
    for (day, rows) in days.iter().enumerate() {
        let files = vec![entry(&day.to_string(), time("2026-01-05T00:00:00Z"), 1)];
        let batch = Batch { events: vec![rows.clone()], files, ..Batch::default() };
        let staged = lake.writer().write(batch).await.unwrap();
        lake.commit(vec![staged]).await.unwrap();
    }
    let context = session(&lake).await;
    let schema = Arc::new(with_views(&days[0].schema()));
    let days = days.iter().map(|rows| {
        let columns = rows.columns().iter().zip(schema.fields());
        let columns = columns.map(|(column, field)| arrow::compute::cast(column, field.data_type()).unwrap());
        arrow::array::RecordBatch::try_new(schema.clone(), columns.collect()).unwrap()
    });
    let table = MemTable::try_new(schema.clone(), vec![days.collect()]).unwrap();
    context.register_table("in_memory", Arc::new(table)).unwrap();
    (directory, context)
}

async fn answer(context: &SessionContext, sql: &str) -> String {
    let batches = context.sql(sql).await.unwrap().collect().await.unwrap();
    arrow::util::pretty::pretty_format_batches(&batches).unwrap().to_string()
}

#[tokio::test(flavor = "multi_thread")]
async fn conditions_pass_the_same_rows_of_files_as_of_memory() {
    let (_directory, context) = twice().await;
    let conditions = [
        "eventname LIKE '%Object%'",
        "eventname NOT LIKE '%Object%'",
        "(eventname LIKE '%Object%') IS NULL",
        "(eventname LIKE '%Object%') IS NOT TRUE",
        "eventname IN ('GetObject', '', 'nowhere')",
        "eventname = 'Z' OR eventname = 'PutObject'",
        "character_length(eventname) = 0",
        "coalesce(eventname, '?') = '?'",
        "errorcode IN ('Code1', 'Code2')",
        "upper(errorcode) = 'CODE0'",
        "useridentity['arn'] LIKE '%role-1%'",
        "coalesce(useridentity['arn'], 'none') = 'none'",
        "requestparameters LIKE '%7%' AND requestparameters LIKE '%\"day\":1%'",
        "eventname LIKE 'Get%' AND useridentity['arn'] LIKE '%9' AND requestparameters LIKE '%8%'",
        "eventname LIKE 'Get%' OR useridentity['arn'] LIKE '%9'",
        "eventid LIKE '%-77'",
        "eventname LIKE 'nothing%'",
        "useridentity['arn'] IN (SELECT useridentity['arn'] FROM {table} WHERE errorcode = 'Code0' AND event_date = '2026-01-05')",
    ];
    let aggregates = "count(*) AS n, count(eventname) AS named, min(eventid) AS first, max(eventid) AS last, max(requestparameters) AS most";
    for condition in conditions {
        let ask = |table: &str| {
            let condition = condition.replace("{table}", table);
            format!("SELECT {aggregates} FROM {table} WHERE {condition}")
        };
        let expected = answer(&context, &ask("in_memory")).await;
        assert_eq!(answer(&context, &ask("events")).await, expected, "{condition}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn joins_by_texts_have_the_same_rows_of_files_as_of_memory() {
    let (_directory, context) = twice().await;
    let of_member = "SELECT did.eventname, count(*), count(DISTINCT took.arn), max(did.eventid) FROM \
        (SELECT DISTINCT useridentity['arn'] AS arn FROM {table} WHERE errorcode = 'Code2') AS took \
        JOIN {table} AS did ON took.arn = did.useridentity['arn'] GROUP BY 1 ORDER BY 1";
    let of_column = "SELECT count(*), min(did.eventid) FROM (SELECT eventname FROM {table} \
        WHERE eventname LIKE '%e' GROUP BY 1) AS names JOIN {table} AS did USING (eventname)";
    for sql in [of_member, of_column] {
        let expected = answer(&context, &sql.replace("{table}", "in_memory")).await;
        assert_eq!(answer(&context, &sql.replace("{table}", "events")).await, expected, "{sql}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn the_index_of_pages_is_kept_with_the_footer_once_a_query_has_a_use_for_it() {
    let (_directory, context) = twice().await;
    let kept = || {
        let footers = context.runtime_env().cache_manager.get_file_metadata_cache().list_entries();
        let with_index = footers.values().filter(|footer| {
            footer.value.file_metadata.extra_info().get("page_index").is_some_and(|has| has == "true")
        });
        (footers.len(), with_index.count())
    };
    for (condition, expected) in [
        ("useridentity['arn'] = 'arn:aws:sts::1:assumed-role/role-1'", (2, 0)),
        ("requestparameters LIKE '%7%'", (2, 0)),
        // Found by bloom filters, in one file, of which only pages need be read.
        ("useridentity['accesskeyid'] = 'key 1 of 0'", (2, 1)),
        ("event_date = '2026-01-05' AND eventname = 'Z'", (2, 1)),
        ("eventname = 'Z'", (2, 2)),
    ] {
        let sql = format!("SELECT count(*) FROM events WHERE {condition}");
        assert!(number_of(&context, &sql).await > 0, "{condition}");
        assert_eq!(kept(), expected, "{condition}");
    }
}
