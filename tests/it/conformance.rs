//! The conformance suite: Athena's and `CloudTrail` Lake's SQL with Trino's answers.
//!
//! `CONFORMANCE=03_json` runs the files with that in their names.

use std::fmt::Write as _;
use std::future::ready;
use std::panic::AssertUnwindSafe;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex};

use arrow::record_batch::RecordBatch;
use async_trait::async_trait;
use futures::{FutureExt as _, TryStreamExt as _};
use sqllogictest::{AsyncDB, DBOutput, RecordOutput, Runner};
use trailq::sql::{Script, Session, SqlError, sources};

use crate::slt::{self, Letter};
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
    let (mut summary, mut differences) = (String::new(), Vec::new());
    for path in slt::files(&suite()) {
        let name = path.strip_prefix(suite()).unwrap().to_str().unwrap().to_owned();
        if !name.contains(&wanted) {
            continue;
        }
        let (passed, failed) = runtime.block_on(run_file(&path));
        assert!(passed + failed.len() > 0, "{name} has no statement");
        let _ = writeln!(summary, "{name}: {passed} passed, {} failed", failed.len());
        differences.extend(failed);
    }
    eprintln!("{summary}");
    assert!(differences.is_empty(), "these differ:\n{}\n{summary}", differences.join("\n"));
}

/// Runs the records of a file in one session over a lake of its own: how many passed, and how the others
/// differ.
async fn run_file(path: &Path) -> (usize, Vec<String>) {
    let folder = Folder::new();
    let lake = folder.lake();
    let data = repository().join("tests/data/records");
    ingest(&lake, &[data.to_str().unwrap()]).expect(0);
    let session = Arc::new(Session::new(sources::open_lake(&lake).await.unwrap()).unwrap());
    let headings = Arc::<Mutex<Vec<String>>>::default();
    let mut runner = Runner::new(|| {
        ready(Ok::<_, Failure>(Trailq { session: session.clone(), headings: headings.clone() }))
    });
    runner.with_column_validator(Letter::fit);
    for label in LABELS {
        runner.add_label(label);
    }
    let (mut passed, mut failed, mut expected) = (0, Vec::new(), None);
    for record in slt::records(path) {
        if let Some(names) = slt::headings(&record) {
            expected = Some(names);
        }
        let Some(sql) = slt::statement(&record).map(str::to_owned) else { continue };
        let expected = expected.take();
        match (runner.run_async(record).await, expected) {
            // Its label is not one of ours.
            (Ok(RecordOutput::Nothing), _) => {}
            (Ok(_), Some(names)) if names != *headings.lock().unwrap() => {
                let found = headings.lock().unwrap().clone();
                failed.push(format!(
                    "{}: {sql}\nexpected the columns {names:?}, not {found:?}",
                    path.display()
                ));
            }
            (Ok(_), _) => passed += 1,
            (Err(error), _) => failed.push(error.display(false).to_string()),
        }
    }
    (passed, failed)
}

/// A session as the database under test.
struct Trailq {
    session: Arc<Session>,
    /// Those of the last answer.
    headings: Arc<Mutex<Vec<String>>>,
}

/// What a person would see of an error.
#[derive(Debug, thiserror::Error)]
#[error("{0}")]
struct Failure(String);

impl From<SqlError> for Failure {
    fn from(error: SqlError) -> Self {
        Self(error.to_string())
    }
}

#[async_trait]
impl AsyncDB for Trailq {
    type Error = Failure;
    type ColumnType = Letter;

    async fn run(&mut self, sql: &str) -> Result<DBOutput<Letter>, Failure> {
        // A panic fails its own statement only.
        let answer = AssertUnwindSafe(self.answer(sql)).catch_unwind().await;
        answer.unwrap_or_else(|_| Err(Failure("a panic".to_owned())))
    }

    async fn shutdown(&mut self) {}

    async fn sleep(duration: std::time::Duration) {
        tokio::time::sleep(duration).await;
    }
}

impl Trailq {
    async fn answer(&self, sql: &str) -> Result<DBOutput<Letter>, Failure> {
        let script = Script::parse(sql)?;
        let [statement] = script.statements() else { return Err(Failure("not one statement".to_owned())) };
        let answer = self.session.run(&script, statement, &[]).await?;
        let fields = answer.schema.fields();
        *self.headings.lock().unwrap() = fields.iter().map(|field| field.name().clone()).collect();
        let types = fields.iter().map(|field| Letter::of(field.data_type())).collect();
        let batches: Vec<RecordBatch> = answer.batches.try_collect().await?;
        let mut rows = Vec::new();
        for batch in &batches {
            for row in 0..batch.num_rows() {
                rows.push(batch.columns().iter().map(|column| value::text(column, row)).collect());
            }
        }
        Ok(DBOutput::Rows { types, rows })
    }
}
