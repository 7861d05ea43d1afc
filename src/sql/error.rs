//! What is wrong with a query, for the person who wrote it: the line, a caret, the nearest names.

use std::fmt;

use datafusion::common::DataFusionError;
use datafusion::execution::SessionState;
use datafusion::sql::sqlparser::parser::ParserError;
use datafusion::sql::sqlparser::tokenizer::Span;

use self::explain::{Query, first_line, unwrap};
use super::nearest::nearest;
use super::place::Place;
use crate::output::escape;

mod explain;

/// A query that cannot be run, or failed while it ran. Its text has several lines.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SqlError {
    message: String,
    place: Option<Place>,
    help: Vec<String>,
}

/// The clause that finds patterns of rows.
pub(super) const MATCH_RECOGNIZE: &str = "MATCH_RECOGNIZE";
/// Tables that log files read in place do not have.
const LAKE_TABLES: [&str; 4] = ["log_files", "quarantine", "digests", "integrity_gaps"];
const NEEDS_A_LAKE: &str =
    "only a lake knows: put the log files into one with trailq ingest, then ask with --lake";

impl std::error::Error for SqlError {}

impl fmt::Display for SqlError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", escape(&self.message, true))?;
        if let Some(place) = &self.place {
            write!(f, "{place}")?;
        }
        for help in &self.help {
            write!(f, "\n  {}", escape(help, true))?;
        }
        Ok(())
    }
}

impl SqlError {
    pub(super) fn at(message: impl Into<String>, place: Option<Place>) -> Self {
        Self { message: message.into(), place, help: Vec::new() }
    }

    pub(super) fn suggest(mut self, names: &[String]) -> Self {
        if !names.is_empty() {
            self.help.push(format!("did you mean: {}?", names.join(", ")));
        }
        self
    }

    /// Adds a line that says what to do.
    pub(super) fn with_help(mut self, help: &str) -> Self {
        self.help.push(help.to_owned());
        self
    }

    /// An error at a place that the syntax tree knows.
    pub(super) fn spanned(message: &str, span: Span, text: &str) -> Self {
        Self::at(first_line(message), Place::of_span(text, span))
    }

    /// Patterns of rows, which Athena has.
    pub(super) fn match_recognize(place: Option<Place>) -> Self {
        Self::at("NOT_SUPPORTED: MATCH_RECOGNIZE is not supported", place)
            .with_help("lag(), lead() and sums over a window find what follows on what")
    }

    /// A text that is no SQL.
    pub(super) fn syntax(error: &ParserError, text: &str) -> Self {
        Query { text, state: None, span: None }.syntax_error(&error.to_string())
    }

    /// A table that is not among `known`.
    pub(super) fn unknown_table<'a>(
        name: &str,
        known: impl Iterator<Item = &'a str>,
        span: Span,
        text: &str,
    ) -> Self {
        let short = name.rsplit('.').next().unwrap_or(name);
        let error =
            Self::at(format!("TABLE_NOT_FOUND: Table '{name}' does not exist"), Place::of_span(text, span));
        if LAKE_TABLES.contains(&short) {
            return error.with_help(NEEDS_A_LAKE);
        }
        let known: Vec<&str> = known.filter(|name| !name.contains('$')).collect();
        let error = error.suggest(&nearest(short, known.iter().copied()));
        error
            .with_help(&format!("tables: {}", known.join(", ")))
            .with_help(&format!("if it is your name for cloudtrail_logs: --table {short}"))
    }

    /// Says what `error` means for `text`; `state` has the names that there are.
    pub(super) fn explain(error: &DataFusionError, text: &str, state: Option<&SessionState>) -> Self {
        let (span, root) = unwrap(error);
        let query = Query { text, state, span };
        match root {
            DataFusionError::SQL(error, _) => query.syntax_error(&error.to_string()),
            DataFusionError::SchemaError(error, _) => query.schema_error(error),
            DataFusionError::Plan(message) | DataFusionError::Execution(message) => query.plan_error(message),
            DataFusionError::NotImplemented(message) => query.not_supported(message),
            other => query.other(&other.strip_backtrace()),
        }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use crate::sql::testing::session;

    async fn error(sql: &str) -> String {
        let session = session(&[json!({"eventname": "x", "useridentity": {"arn": "a"}})]);
        session.collect(sql, &[]).await.unwrap_err().to_string()
    }

    #[tokio::test]
    async fn an_unknown_column_shows_its_place_and_the_nearest() {
        let shown = error("SELECT *\nFROM cloudtrail_logs\nWHERE evenname = 'ConsoleLogin'").await;
        let expected = "COLUMN_NOT_FOUND: Column 'evenname' cannot be resolved (line 3, column 7)
  3 | WHERE evenname = 'ConsoleLogin'
    |       ^^^^^^^^
  did you mean: eventname?
  trailq sql \"describe cloudtrail_logs\" lists all columns";
        assert_eq!(shown, expected);
    }

    #[tokio::test]
    async fn every_clause_shows_the_place_of_an_unknown_column() {
        for sql in [
            "SELECT evenname FROM cloudtrail_logs",
            "SELECT count(*) FROM cloudtrail_logs GROUP BY evenname",
            "SELECT eventname FROM cloudtrail_logs ORDER BY evenname",
            "SELECT upper(evenname) FROM cloudtrail_logs",
            "SELECT a.evenname FROM cloudtrail_logs a",
            "SELECT * FROM (SELECT evenname FROM cloudtrail_logs)",
            "SELECT count(*) FROM cloudtrail_logs a JOIN cloudtrail_logs b ON a.eventid = b.evenname",
        ] {
            let shown = error(sql).await;
            assert!(shown.contains("evenname' cannot be resolved (line 1, column "), "{sql}:\n{shown}");
            assert!(shown.contains("did you mean: eventname"), "{sql}:\n{shown}");
            let caret = shown.lines().nth(2).unwrap().find('^').unwrap();
            let line = &shown.lines().nth(1).unwrap()[caret..];
            assert!(line.starts_with("evenname") || line.contains(".evenname"), "{sql}:\n{shown}");
        }
    }

    #[tokio::test]
    async fn an_unknown_member_is_looked_up_in_its_struct() {
        let shown = error("SELECT useridentity.acountid FROM cloudtrail_logs").await;
        let expected =
            "COLUMN_NOT_FOUND: Column 'acountid' cannot be resolved in 'useridentity' (line 1, column 21)
  1 | SELECT useridentity.acountid FROM cloudtrail_logs
    |                     ^^^^^^^^
  did you mean: accountid?";
        assert_eq!(shown, expected);
        let shown = error("SELECT resources[1].bananas FROM cloudtrail_logs").await;
        assert!(
            shown.starts_with(
                "COLUMN_NOT_FOUND: Column 'bananas' cannot be resolved in 'resources' (line 1, column 21)"
            ),
            "{shown}"
        );
        assert!(shown.ends_with("it has: arn, accountid, type, arnprefix"), "{shown}");
        let shown =
            error("SELECT useridentity.sessioncontext.sessionissuer.usernam FROM cloudtrail_logs").await;
        assert!(shown.contains("did you mean: username?"), "{shown}");
    }

    #[tokio::test]
    async fn an_unknown_table_or_function_names_the_nearest() {
        let shown = error("SELECT 1 FROM cloudtrail_log").await;
        let expected = "TABLE_NOT_FOUND: Table 'cloudtrail_log' does not exist (line 1, column 15)
  1 | SELECT 1 FROM cloudtrail_log
    |               ^^^^^^^^^^^^^^
  did you mean: cloudtrail_logs, cloudtrail_lake?
  tables: cloudtrail_lake, cloudtrail_logs, distinct_events, events
  if it is your name for cloudtrail_logs: --table cloudtrail_log";
        assert_eq!(shown, expected);
        let shown = error("SELECT json_extract_scaler(requestparameters, '$.a') FROM cloudtrail_logs").await;
        assert!(
            shown.starts_with(
                "FUNCTION_NOT_FOUND: Function 'json_extract_scaler' not registered (line 1, column 8)"
            ),
            "{shown}"
        );
        assert!(shown.contains("did you mean: json_extract_scalar"), "{shown}");
    }

    #[tokio::test]
    async fn a_syntax_error_points_at_the_token() {
        let shown = error("SELECT 1;\nSELECT eventname FROM cloudtrail_logs WHERE WHERE x").await;
        assert!(shown.contains("found x (line 2, column 51)\n  2 | SELECT eventname"), "{shown}");
        let shown = error("SELECT eventname eventtime useragent FROM cloudtrail_logs").await;
        assert!(shown.contains("\n    |                            ^^^^^^^^^"), "{shown}");
        let shown = error("SELECT count(").await;
        assert!(shown.contains("found the end of the text (line 1, column 14)"), "{shown}");
        let shown = error("SELECT eventname\nFROM cloudtrail_logs WHERE eventtime >  \n\n").await;
        assert!(shown.contains("(line 2, column 39)\n  2 | FROM cloudtrail_logs"), "{shown}");
        let shown = error("SELECT 'open").await;
        assert!(shown.contains("(line 1, column 8)"), "{shown}");
    }

    #[tokio::test]
    async fn the_caret_stands_right_behind_tabs_and_wide_characters() {
        let shown = error("SELECT\n\t'é日本\u{202e}', evenname FROM cloudtrail_logs").await;
        let expected = "COLUMN_NOT_FOUND: Column 'evenname' cannot be resolved (line 2, column 10)
  2 |  'é日本\\u{202e}', evenname FROM cloudtrail_logs
    |                   ^^^^^^^^\n";
        assert!(shown.starts_with(expected), "{shown}");
    }

    #[tokio::test]
    async fn a_long_line_is_cut_around_the_place() {
        let sql = format!("SELECT {} evenname {} FROM cloudtrail_logs", "1,".repeat(200), ", 1".repeat(200));
        let shown = error(&sql).await;
        let line = shown.lines().nth(1).unwrap();
        assert!(line.starts_with("  1 | …") && line.ends_with('…') && line.len() < 150, "{shown}");
        let caret = shown.lines().nth(2).unwrap().chars().position(|c| c == '^').unwrap();
        assert!(line.chars().skip(caret).collect::<String>().starts_with("evenname"), "{shown}");
    }

    #[tokio::test]
    async fn an_ambiguous_column_says_so() {
        let shown = error("SELECT eventname FROM cloudtrail_logs a, cloudtrail_logs b").await;
        assert!(
            shown.starts_with("AMBIGUOUS_NAME: Column 'eventname' is ambiguous (line 1, column 8)"),
            "{shown}"
        );
    }

    #[tokio::test]
    async fn a_call_that_does_not_fit_shows_its_place_and_no_internals() {
        let shown = error("SELECT\n  strpos(eventname) FROM cloudtrail_logs").await;
        assert!(
            shown.starts_with("FUNCTION_NOT_FOUND: Unexpected parameters (varchar) for function strpos"),
            "{shown}"
        );
        assert!(shown.contains("(line 2, column 3)\n  2 |   strpos(eventname) FROM"), "{shown}");
        let sql =
            "SELECT (SELECT max(b.eventtime) FROM cloudtrail_logs b WHERE b.eventname < upper(a.eventname))
            FROM cloudtrail_logs a";
        let shown = error(sql).await;
        assert!(shown.starts_with("NOT_SUPPORTED: a subquery that refers to the outer query"), "{shown}");
        let shown = error("SELECT 1 FROM db.nothing").await;
        assert!(
            shown.starts_with("TABLE_NOT_FOUND: Table 'db.nothing' does not exist (line 1, column 15)"),
            "{shown}"
        );
    }

    #[tokio::test]
    async fn a_parameter_without_a_value_is_named() {
        let shown = error("SELECT 1 FROM cloudtrail_logs WHERE eventname = $name").await;
        assert!(
            shown.starts_with("SYNTAX_ERROR: parameter $name has no value (line 1, column 49)"),
            "{shown}"
        );
    }
}
