//! SQL over the lake: a DataFusion session that shows `cloudtrail_logs`, runs scripts and explains errors.
//!
//! It only reads: whatever could write a file or change a table is refused before it is planned.
//! It knows nothing of where the tables come from, nor of how answers are printed.

use std::sync::Arc;

use arrow::datatypes::SchemaRef;
use arrow::record_batch::RecordBatch;
use datafusion::catalog::TableProvider;
use datafusion::common::{DataFusionError, ScalarValue};
use datafusion::dataframe::DataFrame;
use datafusion::datasource::ViewTable;
use datafusion::execution::context::SQLOptions;
use datafusion::execution::{SessionState, SessionStateBuilder};
use datafusion::logical_expr::LogicalPlan;
use datafusion::prelude::{SessionConfig, SessionContext};
use datafusion::sql::parser::Statement as SqlStatement;
use futures::stream::BoxStream;
use futures::{StreamExt, TryStreamExt};

use crate::lake::Lake;

mod distinct;
mod error;
mod functions;
pub mod named;
mod names;
mod nearest;
mod place;
pub mod sources;
mod statement;
mod time;
mod types;
mod view;

pub use error::SqlError;
pub use statement::{Script, Statement};
pub use time::{TimeRange, parse_bound};

/// The name under which AWS's guide, and so everybody's queries, know the events.
pub const CLOUDTRAIL_LOGS: &str = "cloudtrail_logs";

/// The tables that a session shows.
#[derive(Clone, Debug)]
pub struct Tables {
    /// The events, in the columns of [`crate::event::schema`].
    pub events: Arc<dyn TableProvider>,
    /// One row for each log file ingested; a lake has it, plain files do not.
    pub log_files: Option<Arc<dyn TableProvider>>,
    /// What could not be read as a record; a lake has it, plain files do not.
    pub quarantine: Option<Arc<dyn TableProvider>>,
    /// The digests that were checked; a lake has them, plain files do not.
    pub digests: Option<Arc<dyn TableProvider>>,
    /// Times of which no digest holds; a lake knows them, plain files do not.
    pub integrity_gaps: Option<Arc<dyn TableProvider>>,
    /// The lake that they are of, if they are of one.
    pub lake: Option<Lake>,
}

impl Tables {
    /// Events that are of no lake.
    pub fn of(events: Arc<dyn TableProvider>) -> Self {
        Self { events, log_files: None, quarantine: None, digests: None, integrity_gaps: None, lake: None }
    }
}

/// An answer on its way: the columns, and the rows as they are computed.
pub struct Answer {
    /// The columns.
    pub schema: SchemaRef,
    /// The rows.
    pub batches: BoxStream<'static, Result<RecordBatch, SqlError>>,
}

/// A DataFusion session over the lake's tables.
pub struct Session {
    context: SessionContext,
}

impl Session {
    /// Opens a session over `tables`, all time.
    pub fn new(tables: Tables) -> anyhow::Result<Self> {
        Self::between(tables, TimeRange::default())
    }

    /// Opens a session in which `cloudtrail_logs` has only the events of `range`.
    ///
    /// A record without a readable event time is in the range if its date is.
    pub fn between(tables: Tables, range: TimeRange) -> anyhow::Result<Self> {
        Self::open(tables, range, false)
    }

    /// The same; with `distinct`, `cloudtrail_logs` has each event once, though several trails may have
    /// delivered it, as the table `distinct_events` has it always.
    pub fn open(tables: Tables, range: TimeRange, distinct: bool) -> anyhow::Result<Self> {
        let context = SessionContext::new_with_state(state()?);
        sources::register_stores(&tables, &context)?;
        let view = view::cloudtrail_logs(&tables.events, range, distinct)?;
        context.register_table(CLOUDTRAIL_LOGS, Arc::new(ViewTable::new(view, None)))?;
        let once = view::distinct_events(&tables.events)?;
        context.register_table("distinct_events", Arc::new(ViewTable::new(once, None)))?;
        context.register_table("events", tables.events)?;
        let others = [
            ("log_files", tables.log_files),
            ("quarantine", tables.quarantine),
            ("digests", tables.digests),
            ("integrity_gaps", tables.integrity_gaps),
        ];
        for (name, table) in others {
            if let Some(table) = table {
                context.register_table(name, table)?;
            }
        }
        Ok(Self { context })
    }

    /// The DataFusion context, to register object stores with.
    pub fn context(&self) -> &SessionContext {
        &self.context
    }

    /// Plans one statement of `script` and starts it.
    ///
    /// `parameters` are bound to the statement's `$name` placeholders as text values; they never
    /// become part of the SQL.
    pub async fn run(
        &self,
        script: &Script,
        statement: &Statement,
        parameters: &[(String, String)],
    ) -> Result<Answer, SqlError> {
        let state = self.context.state();
        let explain = |error| SqlError::explain(&error, script.text(), Some(&state));
        let plan = plan(&state, statement, parameters).await.map_err(explain)?;
        if let LogicalPlan::DescribeTable(table) = &plan {
            let rows = types::describe(&table.schema).map_err(|error| explain(error.into()))?;
            let schema = rows.schema();
            return Ok(Answer { schema, batches: futures::stream::iter([Ok(rows)]).boxed() });
        }
        let frame = DataFrame::new(state.clone(), plan);
        let stream = frame.execute_stream().await.map_err(explain)?;
        let text: Arc<str> = script.text().into();
        Ok(Answer {
            schema: stream.schema(),
            batches: stream.map_err(move |error| SqlError::explain(&error, &text, None)).boxed(),
        })
    }

    /// Runs every statement of `sql` and returns the rows of the last one.
    pub async fn collect(
        &self,
        sql: &str,
        parameters: &[(String, String)],
    ) -> Result<Vec<RecordBatch>, SqlError> {
        let script = Script::parse(sql)?;
        let mut rows = Vec::new();
        for statement in script.statements() {
            rows = self.run(&script, statement, parameters).await?.batches.try_collect().await?;
        }
        Ok(rows)
    }
}

impl std::fmt::Debug for Session {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Session").finish_non_exhaustive()
    }
}

async fn plan(
    state: &SessionState,
    statement: &Statement,
    parameters: &[(String, String)],
) -> Result<LogicalPlan, DataFusionError> {
    let mut statement: SqlStatement = statement.syntax().clone();
    names::adapt(&mut statement, &names::known(state).await);
    let plan = state.statement_to_plan(statement).await?;
    // The second lock on the door: `statement.rs` has already refused whatever is not a query.
    let read_only =
        SQLOptions::new().with_allow_ddl(false).with_allow_dml(false).with_allow_statements(false);
    read_only.verify_plan(&plan)?;
    if parameters.is_empty() {
        return Ok(plan);
    }
    let values: Vec<_> =
        parameters.iter().map(|(name, value)| (name.clone(), ScalarValue::from(value.as_str()))).collect();
    plan.with_param_values(values)
}

fn state() -> datafusion::common::Result<SessionState> {
    let mut state = SessionStateBuilder::new()
        .with_config(config())
        .with_default_features()
        .with_query_planner(Arc::new(distinct::Planner))
        .build();
    functions::register(&mut state)?;
    Ok(state)
}

fn config() -> SessionConfig {
    let mut config = SessionConfig::new().with_information_schema(true).with_collect_statistics(true);
    let options = config.options_mut();
    options.sql_parser.collect_spans = true;
    // Athena puts NULLs last whichever way it sorts.
    "nulls_last".clone_into(&mut options.sql_parser.default_null_ordering);
    let parquet = &mut options.execution.parquet;
    parquet.pushdown_filters = true;
    parquet.reorder_filters = true;
    parquet.enable_page_index = true;
    parquet.bloom_filter_on_read = true;
    config
}

#[cfg(test)]
pub(crate) mod testing {
    //! Tables in memory, for the tests of this module and of its neighbours.

    use std::sync::Arc;

    use arrow::json::ReaderBuilder;
    use arrow::record_batch::RecordBatch;
    use datafusion::datasource::MemTable;
    use serde_json::Value;

    use super::{Session, Tables};
    use crate::event::schema::schema;

    /// Rows of the events table from JSON objects keyed by the names of the columns.
    pub(crate) fn events(rows: &[Value]) -> RecordBatch {
        let mut decoder = ReaderBuilder::new(schema()).with_strict_mode(true).build_decoder().unwrap();
        decoder.serialize(rows).unwrap();
        decoder.flush().unwrap().unwrap_or_else(|| RecordBatch::new_empty(schema()))
    }

    pub(crate) fn tables(rows: &[Value]) -> Tables {
        let table = MemTable::try_new(schema(), vec![vec![events(rows)]]).unwrap();
        Tables::of(Arc::new(table))
    }

    pub(crate) fn session(rows: &[Value]) -> Session {
        Session::new(tables(rows)).unwrap()
    }

    /// The answer as CSV without its header: what most tests compare with.
    pub(crate) async fn answer(session: &Session, sql: &str) -> Vec<String> {
        let batches = match session.collect(sql, &[]).await {
            Ok(batches) => batches,
            Err(error) => panic!("{error}"),
        };
        let csv = crate::output::to_csv(&batches);
        csv.lines().skip(1).map(str::to_owned).collect()
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::testing::{answer, session};

    fn two_rows() -> super::Session {
        session(&[
            json!({
                "eventname": "ConsoleLogin", "eventtime": "2026-01-05T13:51:00Z",
                "event_time": "2026-01-05T13:51:00Z", "event_date": "2026-01-05", "log_date": "2026-01-05",
                "useridentity": {"type": "IAMUser", "arn": "arn:aws:iam::1:user/a", "username": "a"},
                "requestparameters": "{\"bucketName\":\"b\",\"n\":[1,{\"x\":null}]}",
            }),
            json!({
                "eventname": "GetObject", "eventtime": "2026-02-06T00:00:00Z",
                "event_time": "2026-02-06T00:00:00Z", "event_date": "2026-02-06",
                "errorcode": "AccessDenied",
                "useridentity": {"type": "AssumedRole", "sessioncontext":
                    {"sessionissuer": {"username": "role-a"}}},
                "resources": [{"arn": "arn:aws:s3:::b/k", "accountid": "1"}, {"arn": "second"}],
            }),
        ])
    }

    #[tokio::test]
    async fn documented_struct_and_array_access_works() {
        let session = two_rows();
        let sql = "SELECT useridentity.sessioncontext.sessionissuer.username, resources[1].arn,
            resources[2].ARN, cloudtrail_logs.useridentity.type
            FROM cloudtrail_logs WHERE eventName = 'GetObject'";
        assert_eq!(answer(&session, sql).await, ["role-a,arn:aws:s3:::b/k,second,AssumedRole"]);
    }

    #[tokio::test]
    async fn columns_have_the_names_that_athena_gives_them() {
        let session = two_rows();
        let sql = "SELECT useridentity.arn, resources[1].arn AS first, useridentity.userName, eventname
            FROM cloudtrail_logs";
        let batches = session.collect(sql, &[]).await.unwrap();
        let names: Vec<_> = batches[0].schema().fields().iter().map(|f| f.name().clone()).collect();
        assert_eq!(names, ["arn", "first", "username", "eventname"]);
    }

    #[tokio::test]
    async fn quoted_identifiers_match_without_case_unless_an_alias_says_otherwise() {
        let session = two_rows();
        let sql = r#"SELECT "eventName", "userIdentity"."type" FROM "cloudtrail_logs" ORDER BY 1"#;
        assert_eq!(answer(&session, sql).await, ["ConsoleLogin,IAMUser", "GetObject,AssumedRole"]);
        let sql = r#"SELECT "eventName" FROM (SELECT 'mine' AS "eventName" FROM cloudtrail_logs LIMIT 1)"#;
        assert_eq!(answer(&session, sql).await, ["mine"]);
    }

    #[tokio::test]
    async fn partition_columns_of_the_documented_tables_come_from_the_date() {
        let session = two_rows();
        let sql = r#"SELECT "timestamp", year, month, day FROM cloudtrail_logs
            WHERE "timestamp" >= '2026/01/01' ORDER BY eventtime"#;
        let expected = ["2026/01/05,2026,01,05", "2026/02/06,2026,02,06"];
        assert_eq!(answer(&session, sql).await, expected);
    }

    #[tokio::test]
    async fn nulls_come_last_in_both_directions() {
        let session = two_rows();
        for direction in ["ASC", "DESC"] {
            let sql = format!("SELECT eventname FROM cloudtrail_logs ORDER BY errorcode {direction}");
            assert_eq!(answer(&session, &sql).await, ["GetObject", "ConsoleLogin"]);
        }
    }

    #[tokio::test]
    async fn json_functions_read_the_free_form_columns() {
        let session = two_rows();
        let sql = "SELECT json_extract_scalar(requestparameters, '$.bucketName'),
            json_extract(requestparameters, '$.n'), json_extract_scalar(requestparameters, '$.n')
            FROM cloudtrail_logs WHERE requestparameters IS NOT NULL";
        assert_eq!(answer(&session, sql).await, [r#"b,"[1,{""x"":null}]","#]);
    }

    #[tokio::test]
    async fn a_time_range_bounds_what_every_query_sees() {
        let range = super::TimeRange {
            since: Some("2026-01-05T13:51:00Z".parse().unwrap()),
            until: Some("2026-02-06T00:00:00Z".parse().unwrap()),
        };
        let rows = [
            json!({"eventname": "Before", "event_time": "2026-01-05T13:50:59Z", "event_date": "2026-01-05"}),
            json!({"eventname": "First", "event_time": "2026-01-05T13:51:00Z", "event_date": "2026-01-05"}),
            json!({"eventname": "Untimed", "event_date": "2026-01-07"}),
            json!({"eventname": "At the end", "event_time": "2026-02-06T00:00:00Z", "event_date": "2026-02-06"}),
        ];
        let session = super::Session::between(super::testing::tables(&rows), range).unwrap();
        let found = answer(&session, "SELECT eventname FROM cloudtrail_logs ORDER BY 1").await;
        assert_eq!(found, ["First", "Untimed"]);
    }

    #[tokio::test]
    async fn parameters_are_values_and_never_sql() {
        let session = two_rows();
        let hostile = "x' OR '1'='1";
        let sql = "SELECT count(*) FROM cloudtrail_logs WHERE eventname = $name";
        for (value, count) in [(hostile, "0"), ("GetObject", "1")] {
            let parameters = [("name".to_owned(), value.to_owned())];
            let batches = session.collect(sql, &parameters).await.unwrap();
            assert_eq!(crate::output::to_csv(&batches).lines().nth(1).unwrap(), count);
        }
    }

    #[tokio::test]
    async fn nothing_that_writes_is_run() {
        let session = two_rows();
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("out.csv");
        let copy = format!("COPY cloudtrail_logs TO '{}' STORED AS CSV", file.display());
        let statements = [
            copy.clone(),
            format!("EXPLAIN ANALYZE {copy}"),
            format!("CREATE EXTERNAL TABLE t STORED AS CSV LOCATION '{}'", folder.path().display()),
            "CREATE TABLE t AS SELECT 1".to_owned(),
            "CREATE VIEW v AS SELECT 1".to_owned(),
            "DROP TABLE events".to_owned(),
            "INSERT INTO events SELECT * FROM events".to_owned(),
            "DELETE FROM events".to_owned(),
            "SET datafusion.execution.batch_size = 1".to_owned(),
            "WITH x AS (SELECT 1) INSERT INTO events SELECT * FROM x".to_owned(),
            "SELECT 1 INTO t".to_owned(),
            "EXPLAIN ANALYZE INSERT INTO events SELECT * FROM events".to_owned(),
        ];
        for sql in statements {
            let error = session.collect(&sql, &[]).await.unwrap_err().to_string();
            assert!(error.contains("refused") || error.contains("not supported"), "{sql}: {error}");
        }
        assert!(!file.exists());
        assert_eq!(answer(&session, "SELECT count(*) FROM events").await, ["2"]);
    }

    #[tokio::test]
    async fn show_and_describe_answer() {
        let session = two_rows();
        let tables = answer(&session, "SHOW TABLES").await.join("\n");
        assert!(tables.contains("cloudtrail_logs") && tables.contains("events"), "{tables}");
        let columns = answer(&session, "DESCRIBE cloudtrail_logs").await;
        let names = columns.iter().filter_map(|line| line.split(',').next());
        let names: Vec<_> = names.filter(|name| !name.contains('.')).take(20).collect();
        let order = "eventversion useridentity eventtime eventsource eventname awsregion sourceipaddress \
            useragent errorcode errormessage requestparameters responseelements additionaleventdata requestid \
            eventid resources eventtype apiversion readonly recipientaccountid";
        assert_eq!(names.join(" "), order);
        assert!(columns.iter().any(|line| line.starts_with("timestamp,")), "{columns:?}");
    }
}
