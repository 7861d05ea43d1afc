//! Expressions answered without the rest of `sql`.

use arrow::util::display::{ArrayFormatter, FormatOptions};
use datafusion::common::Result;
use datafusion::prelude::{SessionConfig, SessionContext};

/// The value of an expression as text; NULL is `NULL`.
pub(super) async fn value(expression: &str) -> Result<String> {
    let config = SessionConfig::new().set_bool("datafusion.sql_parser.parse_float_as_decimal", true);
    let context = SessionContext::new_with_config(config);
    let mut state = context.state();
    super::register(&mut state)?;
    let context = SessionContext::new_with_state(state);
    let batches = context.sql(&format!("SELECT {expression}")).await?.collect().await?;
    let options = FormatOptions::new().with_null("NULL").with_timestamp_format(Some("%Y-%m-%d %H:%M:%S%.3f"));
    let options = options.with_timestamp_tz_format(Some("%Y-%m-%d %H:%M:%S%.3f %z"));
    Ok(ArrayFormatter::try_new(batches[0].column(0), &options)?.value(0).to_string())
}

/// Each expression has the value beside it, however its arguments are folded.
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
