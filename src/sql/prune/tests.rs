//! Answers are the same with and without what conditions imply, whatever the rows and the conditions.

use std::sync::Arc;

use arrow::datatypes::SchemaRef;
use async_trait::async_trait;
use datafusion::catalog::{Session as CatalogSession, TableProvider};
use datafusion::common::Result;
use datafusion::datasource::{MemTable, TableType};
use datafusion::logical_expr::{Expr, TableProviderFilterPushDown};
use datafusion::physical_plan::ExecutionPlan;
use proptest::prelude::*;
use serde_json::{Value, json};

use crate::event::parse_time;
use crate::sql::faces::Faces;
use crate::sql::testing::{answer, events};
use crate::sql::{Session, SessionOptions, Tables};

/// A table in memory that wants to be told the conditions, as a lake's does.
#[derive(Debug)]
struct Told(MemTable);

#[async_trait]
impl TableProvider for Told {
    fn schema(&self) -> SchemaRef {
        self.0.schema()
    }

    fn table_type(&self) -> TableType {
        TableType::Base
    }

    fn supports_filters_pushdown(&self, filters: &[&Expr]) -> Result<Vec<TableProviderFilterPushDown>> {
        Ok(vec![TableProviderFilterPushDown::Inexact; filters.len()])
    }

    async fn scan(
        &self,
        state: &dyn CatalogSession,
        projection: Option<&Vec<usize>>,
        filters: &[Expr],
        limit: Option<usize>,
    ) -> Result<Arc<dyn ExecutionPlan>> {
        self.0.scan(state, projection, filters, limit).await
    }
}

fn session(rows: &[Value], prunes: bool) -> Session {
    let rows = events(rows);
    let table = MemTable::try_new(rows.schema(), vec![vec![rows]]).unwrap();
    let (tables, options) = (Tables::of(Arc::new(Told(table))), SessionOptions::default());
    let faces = Faces::over(&tables.events, &options, prunes);
    Session::with_faces(tables, &options, &faces).unwrap()
}

const DATES: [&str; 9] = [
    "2026-01-04",
    "2026-01-05",
    "2026-01-06",
    "2026-02-05",
    "2025-12-31",
    "2025-01-05",
    "1999-12-31",
    "2250-06-30",
    "1970-01-01",
];

const TIMES: [&str; 12] = [
    "2026-01-05T00:00:00Z",
    "2026-01-05T12:30:00Z",
    "2026-01-05T23:59:59Z",
    "2026-01-05T23:59:59.999999Z",
    "2026-01-06T00:00:00Z",
    "2026-01-05T22:30:00-02:00",
    "2026-01-05",
    "2026-01-05T25:00:00Z",
    "yesterday",
    "",
    "2260-01-01T00:00:00Z",
    "1970-01-01T00:00:00Z",
];

const NAMES: [&str; 10] = [
    "GetObject",
    "getobject",
    "GETOBJECT",
    "Get",
    "GetObjectAcl",
    "\u{212a}ey",
    "Key",
    "KEY",
    "",
    "\u{130}D",
];

fn row() -> impl Strategy<Value = Value> {
    let one_of =
        |values: &'static [&'static str]| proptest::option::weighted(0.85, prop::sample::select(values));
    let row = (one_of(&DATES), one_of(&DATES), one_of(&TIMES), one_of(&NAMES), one_of(&NAMES));
    row.prop_map(|(log_date, event_date, time, name, arn)| {
        let event_time = time.and_then(parse_time).and_then(chrono::DateTime::from_timestamp_micros);
        json!({
            "log_date": log_date, "event_date": event_date, "eventtime": time,
            "event_time": event_time.map(|time| time.to_rfc3339()),
            "eventname": name, "useridentity": {"arn": arn},
        })
    })
}

const OPERATORS: [&str; 6] = ["=", "<", "<=", ">", ">=", "<>"];

/// Conditions on dates, times and texts.
fn simple() -> impl Strategy<Value = String> {
    let operator = || prop::sample::select(&OPERATORS[..]);
    let of_date = (
        prop::sample::select(vec![
            "year",
            "\"timestamp\"",
            "dt",
            "p_date",
            "concat(year, '/', month, '/', day)",
            "year || '/' || month || '/' || day",
        ]),
        operator(),
        prop::sample::select(vec!["2026", "2026/01", "2026/01/05", "2025/12/31", "1999/12/31", "9", "x", ""]),
    );
    let of_part = (
        prop::sample::select(vec!["month", "day"]),
        operator(),
        prop::sample::select(vec!["01", "05", "5", "31"]),
    );
    let of_time = (
        prop::sample::select(vec![
            "from_iso8601_timestamp(eventtime)",
            "date_trunc('day', from_iso8601_timestamp(eventtime))",
            "date_trunc('month', from_iso8601_timestamp(eventtime))",
            "from_iso8601_timestamp(eventtime) + INTERVAL '1' DAY",
            "CAST(from_iso8601_timestamp(eventtime) AS DATE)",
            "date_trunc('hour', event_time)",
            "event_time",
        ]),
        operator(),
        prop::sample::select(vec![
            "TIMESTAMP '2026-01-05 00:00:00'",
            "TIMESTAMP '2026-01-05 23:59:59.999'",
            "TIMESTAMP '2026-01-01 00:00:00'",
            "DATE '2026-01-05'",
            "from_iso8601_timestamp('2026-01-05T12:30:00Z')",
            "now() - INTERVAL '7' DAY",
            "TIMESTAMP '1960-01-01 00:00:00'",
        ]),
    );
    let of_text = (
        prop::sample::select(vec![
            "lower(eventname)",
            "upper(eventname)",
            "substr(eventname, 1, 3)",
            "substring(eventname, 1, 3)",
            "useridentity.arn",
            "lower(useridentity.arn)",
            "upper(useridentity.arn)",
            "substr(useridentity.arn, 1, 3)",
            "eventname",
        ]),
        operator(),
        prop::sample::select(vec![
            "getobject",
            "GETOBJECT",
            "GetObject",
            "Get",
            "Ge",
            "key",
            "KEY",
            "k",
            "id",
            "ID",
            "",
        ]),
    );
    let of_day = (
        prop::sample::select(vec!["eventtime", "substr(eventtime, 1, 10)"]),
        operator(),
        prop::sample::select(&DATES[..]),
    );
    let prefix = (
        prop::sample::select(vec![
            "eventname",
            "lower(eventname)",
            "upper(useridentity.arn)",
            "useridentity.arn",
            "\"timestamp\"",
        ]),
        prop::sample::select(vec!["get%", "GET%", "Get_bject%", "k%", "2026/01/%", "%", "", "K%y"]),
    );
    let quoted = |(of, operator, value): (&str, &str, &str)| format!("{of} {operator} '{value}'");
    prop_oneof![
        of_date.prop_map(quoted),
        of_part.prop_map(quoted),
        of_time.prop_map(|(of, operator, value)| format!("{of} {operator} {value}")),
        of_text.prop_map(quoted),
        of_day.prop_map(quoted),
        prefix.prop_map(|(of, pattern)| format!("{of} LIKE '{pattern}'")),
        prop::sample::select(vec![
            "day IN ('04', '05')".to_owned(),
            "dt BETWEEN '2026-01-05' AND '2026-01-06'".to_owned(),
            "\"timestamp\" IS NULL".to_owned(),
            "coalesce(\"timestamp\", '2026/01/05') = '2026/01/05'".to_owned(),
            "CAST(year AS INTEGER) >= 2026".to_owned(),
            "lower(eventname) IN ('getobject', 'key')".to_owned(),
            "useridentity.arn IN ('Get', 'Key')".to_owned(),
            "date_format(from_iso8601_timestamp(eventtime), '%Y-%m-%d') >= '2026-01-05'".to_owned(),
            "from_iso8601_timestamp(eventtime) BETWEEN TIMESTAMP '2026-01-05 00:00:00' AND TIMESTAMP '2026-01-06 00:00:00'"
                .to_owned(),
        ]),
    ]
}

fn condition() -> impl Strategy<Value = String> {
    simple().prop_recursive(3, 8, 2, |inner| {
        prop_oneof![
            (inner.clone(), inner.clone()).prop_map(|(a, b)| format!("({a} AND {b})")),
            (inner.clone(), inner.clone()).prop_map(|(a, b)| format!("({a} OR {b})")),
            inner.prop_map(|a| format!("NOT ({a})")),
        ]
    })
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 192, ..ProptestConfig::default() })]

    #[test]
    fn answers_are_the_same_with_and_without_what_is_implied(
        rows in prop::collection::vec(row(), 1..24),
        conditions in prop::collection::vec(condition(), 4),
    ) {
        let rows: Vec<Value> = rows.into_iter().enumerate().map(|(at, mut row)| {
            row["record_index"] = json!(at);
            row
        }).collect();
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        let (with, without) = (session(&rows, true), session(&rows, false));
        for condition in conditions {
            let sql = format!("SELECT record_index FROM cloudtrail_logs WHERE {condition} ORDER BY 1");
            let (with, without) = runtime.block_on(async { (answer(&with, &sql).await, answer(&without, &sql).await) });
            prop_assert_eq!(with, without, "{}", condition);
        }
    }
}

async fn plan(sql: &str) -> String {
    answer(&session(&[], true), &format!("EXPLAIN {sql}")).await.join("\n")
}

#[tokio::test]
async fn conditions_imply_ranges_of_stored_columns() {
    let cases = [
        ("year = '2026' AND month = '01' AND day = '05'", "log_date@"),
        ("dt = '2026-01-05' OR dt = '2026-01-07'", "log_date@"),
        ("concat(year, month, day) >= '20260105'", "log_date@"),
        (
            "date_trunc('day', from_iso8601_timestamp(eventtime)) = TIMESTAMP '2026-01-05 00:00:00'",
            "event_time@",
        ),
        ("substr(eventtime, 1, 10) = '2026-01-05'", "eventtime@"),
    ];
    for (condition, column) in cases {
        let plan = plan(&format!("SELECT eventid FROM cloudtrail_logs WHERE {condition}")).await;
        let physical = plan.split("physical_plan").nth(1).unwrap();
        let ranges = physical.split(" AND ").flat_map(|part| part.split(" OR "));
        let ranges: Vec<_> =
            ranges.filter(|part| part.contains(column) && part.contains(['<', '>'])).collect();
        assert!(ranges.len() >= 2, "{condition}: {plan}");
    }
    // Of these nothing is asked of rows, at most of files.
    let none = [
        "month = '01' OR eventname = 'x'",
        "lower(eventname) = 'getobject'",
        "lower(eventname) <> 'getobject'",
        "eventid = 'x'",
    ];
    for condition in none {
        let plan = plan(&format!("SELECT eventid FROM cloudtrail_logs WHERE {condition}")).await;
        let physical = plan.split("physical_plan").nth(1).unwrap();
        assert!(!physical.contains(['<', '>']) || physical.contains("!="), "{condition}: {plan}");
    }
}
