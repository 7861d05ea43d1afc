//! SQL over the lake: a DataFusion session that shows `cloudtrail_logs`, runs scripts and explains errors.
//!
//! It only reads: whatever could write a file or change a table is refused before it is planned.
//! It knows nothing of where the tables come from, nor of how answers are printed.

use std::sync::Arc;

use arrow::datatypes::SchemaRef;
use arrow::record_batch::RecordBatch;
use datafusion::catalog::TableProvider;
use datafusion::execution::runtime_env::RuntimeEnvBuilder;
use datafusion::execution::{FunctionRegistry, SessionState, SessionStateBuilder};
use datafusion::prelude::SessionConfig;
use futures::StreamExt;
use futures::stream::BoxStream;

use crate::lake::Lake;

mod adapt;
mod addresses;
mod catalogue;
mod command;
mod correlated;
mod ddl;
mod dialect;
mod distinct;
mod error;
mod export;
mod faces;
mod functions;
mod given;
mod in_order;
mod joins;
mod json_dot;
mod lake_view;
mod members;
pub mod named;
mod nearest;
mod numbered;
mod one_value;
mod operators;
mod parameters;
mod place;
mod prune;
mod sample;
mod session;
mod show;
pub mod sources;
mod statement;
mod syntax;
mod time;
mod tokens;
mod types;
mod unnest;
mod view;

pub use error::SqlError;
pub(crate) use functions::{push_double, to_varchar};
pub use session::{Session, SessionOptions};
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
    /// What was done, of a statement that has no rows.
    pub note: Option<String>,
}

impl Answer {
    /// Some rows.
    pub fn of(rows: RecordBatch) -> Self {
        Self { schema: rows.schema(), batches: futures::stream::iter([Ok(rows)]).boxed(), note: None }
    }

    /// No rows, and what was done.
    fn note(note: String) -> Self {
        let schema = Arc::new(arrow::datatypes::Schema::empty());
        Self { schema, batches: futures::stream::empty().boxed(), note: Some(note) }
    }
}

/// Memory for the footers of Parquet files, at most. Where they do not fit, each query decodes them anew: those of
/// three hundred files of events are more than the fifty megabytes that DataFusion has for them.
const FOOTERS: usize = 256 << 20;

fn state() -> datafusion::common::Result<SessionState> {
    let runtime = RuntimeEnvBuilder::new().with_metadata_cache_limit(FOOTERS).build_arc()?;
    let mut builder = SessionStateBuilder::new()
        .with_config(config())
        .with_runtime_env(runtime)
        .with_default_features()
        .with_relation_planners(vec![Arc::new(unnest::UnnestPlanner), Arc::new(sample::SamplePlanner)])
        .with_query_planner(Arc::new(distinct::Planner))
        .with_optimizer_rules(given::rules())
        .with_physical_optimizer_rules(joins::rules())
        .with_physical_optimizer_rule(Arc::new(numbered::NumberedGroups));
    // Before the planners of DataFusion, which take what they are asked first.
    builder.expr_planners().get_or_insert_default().insert(0, Arc::new(operators::Operators));
    let mut state = builder.build();
    functions::register(&mut state)?;
    state.register_udf(Arc::new(ddl::narrow()))?;
    Ok(state)
}

fn config() -> SessionConfig {
    let mut config = SessionConfig::new().with_collect_statistics(true);
    let options = config.options_mut();
    options.sql_parser.collect_spans = true;
    // 1.5 is a decimal in Trino; what has an exponent is a double.
    options.sql_parser.parse_float_as_decimal = true;
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

    use arrow::datatypes::SchemaRef;
    use arrow::json::ReaderBuilder;
    use arrow::record_batch::RecordBatch;
    use datafusion::datasource::MemTable;
    use serde_json::Value;

    use super::{Session, Tables};
    use crate::event::schema;
    use crate::lake::with_views;

    /// The events' columns as a lake shows them.
    fn schema() -> SchemaRef {
        Arc::new(with_views(&schema::schema()))
    }

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
        assert_eq!(names, ["arn", "first", "userName", "eventname"]);
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
    async fn nothing_that_writes_into_the_lake_is_run() {
        let session = two_rows();
        for sql in [
            "COPY cloudtrail_logs TO 'out.csv' STORED AS CSV",
            "EXPLAIN ANALYZE INSERT INTO events SELECT * FROM events",
            "DROP TABLE events",
            "DROP TABLE IF EXISTS cloudtrail_logs",
            "CREATE TABLE events AS SELECT 1 AS a",
            "CREATE OR REPLACE VIEW cloudtrail_logs AS SELECT 1 AS a",
            "INSERT INTO events SELECT * FROM events",
            "DELETE FROM events",
            "UPDATE events SET eventname = 'x'",
            "SET datafusion.execution.batch_size = 1",
            "WITH x AS (SELECT 1) INSERT INTO events SELECT * FROM x",
            "SELECT 1 INTO t",
        ] {
            let error = session.collect(sql, &[]).await.unwrap_err().to_string();
            let classes = ["NOT_SUPPORTED", "SYNTAX_ERROR", "ALREADY_EXISTS"];
            assert!(classes.iter().any(|class| error.starts_with(class)), "{sql}: {error}");
        }
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
