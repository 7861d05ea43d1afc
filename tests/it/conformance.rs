//! The conformance suite: Athena's and `CloudTrail` Lake's SQL with Trino's answers.
//!
//! `CONFORMANCE=1` prints every difference, `CONFORMANCE=03_json` those of one file.

use std::collections::BTreeSet;
use std::fmt::Write as _;
use std::fs;
use std::path::PathBuf;

use arrow::record_batch::RecordBatch;
use futures::{FutureExt as _, TryStreamExt as _};
use trailq::sql::{Script, Session, sources};

use crate::slt::{self, Expected, Record};
use crate::support::{Folder, ingest, repository};
use crate::value;

/// What trailq accepts although Athena does not, of the choices that the suite leaves open.
const LABELS: [&str; 2] = ["json_dot", "lake_lenient"];

fn suite() -> PathBuf {
    repository().join("tests/conformance")
}

#[test]
fn every_statement_of_the_suite_answers_as_athena_does() {
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build().unwrap();
    let wanted = std::env::var("CONFORMANCE").unwrap_or_default();
    let mut failed = BTreeSet::new();
    let mut summary = String::new();
    for path in slt::files(&suite()) {
        let name = path.strip_prefix(suite()).unwrap().to_str().unwrap().to_owned();
        let records = slt::parse(&fs::read_to_string(&path).unwrap());
        let outcomes = runtime.block_on(run_file(&records));
        let failures = outcomes.iter().filter(|(_, outcome)| outcome.is_err()).count();
        let _ = writeln!(summary, "{name}: {} passed, {failures} failed", outcomes.len() - failures);
        for (record, outcome) in outcomes {
            let Err(difference) = outcome else { continue };
            if wanted == "1" || (!wanted.is_empty() && name.contains(&wanted)) {
                eprintln!("=== {name}:{}\n{}\n--- {difference}\n", record.line, record.sql);
            }
            failed.insert(format!("{name}:{} {}", record.line, slt::normalized(&record.sql)));
        }
    }
    eprintln!("{summary}");
    assert!(failed.is_empty(), "these differ:\n{failed:#?}\n{summary}");
}

type Outcome = Result<(), String>;

/// Runs the records of a file in one session over a lake of its own.
async fn run_file(records: &[Record]) -> Vec<(&Record, Outcome)> {
    let folder = Folder::new();
    let lake = folder.lake();
    let data = repository().join("tests/data/records");
    ingest(&lake, &[data.to_str().unwrap()]).expect(0);
    let session = Session::new(sources::open_lake(&lake).await.unwrap()).unwrap();
    let mut outcomes = Vec::new();
    for record in records {
        if record.labels.iter().all(|label| LABELS.contains(&label.as_str())) {
            // A panic fails its own statement only.
            let checked = std::panic::AssertUnwindSafe(check(&session, record)).catch_unwind().await;
            outcomes.push((record, checked.unwrap_or_else(|_| Err("a panic".to_owned()))));
        }
    }
    outcomes
}

/// The headings of an answer, and its rows.
type Answer = (Vec<String>, Vec<RecordBatch>);

async fn check(session: &Session, record: &Record) -> Outcome {
    let answer = answer(session, &record.sql).await;
    match (&record.expected, answer) {
        (Expected::Success, Ok(_)) => Ok(()),
        (Expected::Error(pattern), Err(error)) => {
            let matches = regex::Regex::new(pattern).unwrap().is_match(&error);
            if matches { Ok(()) } else { Err(format!("expected an error with {pattern}, not: {error}")) }
        }
        (Expected::Error(pattern), Ok(_)) => Err(format!("expected an error with {pattern}, not success")),
        (_, Err(error)) => Err(error),
        (Expected::Rows { types, sorted, lines }, Ok((columns, batches))) => {
            if let Some(expected) = &record.columns
                && *expected != columns
            {
                return Err(format!("expected the columns {expected:?}, not {columns:?}"));
            }
            let mut rows = rows(&batches, types)?;
            if *sorted {
                rows.sort();
            }
            let found: Vec<String> = rows.iter().map(|row| slt::normalized(&row.join(" "))).collect();
            if found == *lines {
                return Ok(());
            }
            Err(format!("expected\n{}\nfound\n{}", lines.join("\n"), found.join("\n")))
        }
    }
}

async fn answer(session: &Session, sql: &str) -> Result<Answer, String> {
    let script = Script::parse(sql).map_err(|error| error.to_string())?;
    let [statement] = script.statements() else { return Err("not one statement".to_owned()) };
    let answer = session.run(&script, statement, &[]).await.map_err(|error| error.to_string())?;
    let columns = answer.schema.fields().iter().map(|field| field.name().clone()).collect();
    let batches =
        answer.batches.try_collect().await.map_err(|error: trailq::sql::SqlError| error.to_string())?;
    Ok((columns, batches))
}

fn rows(batches: &[RecordBatch], types: &str) -> Result<Vec<Vec<String>>, String> {
    let mut rows = Vec::new();
    for batch in batches {
        if batch.num_columns() != types.len() {
            return Err(format!("expected {} columns, found {}", types.len(), batch.num_columns()));
        }
        for (letter, column) in types.chars().zip(batch.columns()) {
            if !value::is_of(column.data_type(), letter) {
                return Err(format!("expected a column of type {letter}, found {}", column.data_type()));
            }
        }
        for row in 0..batch.num_rows() {
            rows.push(batch.columns().iter().map(|column| value::text(column, row)).collect());
        }
    }
    Ok(rows)
}
