//! Expressions answered without the rest of `sql`.

use std::sync::LazyLock;

use arrow::util::display::{ArrayFormatter, FormatOptions};
use datafusion::common::Result;
use datafusion::prelude::{SessionConfig, SessionContext};

/// The value of an expression as text; NULL is `NULL`.
async fn value(expression: &str) -> Result<String> {
    Ok(column(&format!("SELECT {expression}")).await?.remove(0))
}

/// The first column of a query.
pub(super) async fn column(sql: &str) -> Result<Vec<String>> {
    static CONTEXT: LazyLock<SessionContext> = LazyLock::new(context);
    let batches = CONTEXT.sql(sql).await?.collect().await?;
    let options = FormatOptions::new().with_null("NULL").with_timestamp_format(Some("%Y-%m-%d %H:%M:%S%.3f"));
    let options = options.with_timestamp_tz_format(Some("%Y-%m-%d %H:%M:%S%.3f %z"));
    let mut values = Vec::new();
    for batch in batches {
        let column = ArrayFormatter::try_new(batch.column(0), &options)?;
        values.extend((0..batch.num_rows()).map(|row| column.value(row).to_string()));
    }
    Ok(values)
}

fn context() -> SessionContext {
    let config = SessionConfig::new().set_bool("datafusion.sql_parser.parse_float_as_decimal", true);
    let mut state = SessionContext::new_with_config(config).state();
    super::register(&mut state).unwrap();
    SessionContext::new_with_state(state)
}

/// Each expression has the value beside it.
pub(super) async fn expect(values: &[(&str, &str)]) {
    for (expression, expected) in values {
        let value = value(expression).await.unwrap_or_else(|error| panic!("{expression}: {error}"));
        assert_eq!(value, *expected, "{expression}");
    }
}

/// Each expression fails with the words beside it.
pub(super) async fn expect_errors(errors: &[(&str, &str)]) {
    for (expression, words) in errors {
        match value(expression).await {
            Ok(value) => panic!("{expression} is {value}"),
            Err(error) => assert!(error.to_string().contains(words), "{expression}: {error}"),
        }
    }
}
