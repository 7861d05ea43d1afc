//! The time at which the query began: `now()`, `current_timestamp()`, `localtimestamp()`, `current_date()`,
//! `current_time()`, `localtime()`.

use arrow::datatypes::{DataType, TimeUnit};
use datafusion::common::{ScalarValue, internal_err};
use datafusion::logical_expr::simplify::ExprSimplifyResult;
use datafusion::logical_expr::{Expr, ScalarUDF, Volatility};

use super::super::scalar::{Function, Kind, timestamp};
use super::civil::DAY;

/// The functions of this file.
pub(super) fn scalar() -> Vec<ScalarUDF> {
    let time = DataType::Time32(TimeUnit::Millisecond);
    vec![
        function("now", timestamp(Some("UTC")), with_zone),
        function("current_timestamp", timestamp(Some("UTC")), with_zone),
        function("localtimestamp", timestamp(None), without_zone),
        function("current_date", DataType::Date32, date),
        function("current_time", time.clone(), time_of_day),
        function("localtime", time, time_of_day),
    ]
}

/// The precision that may stand in brackets is three digits in any case.
fn function(name: &'static str, returns: DataType, value: fn(i64) -> ScalarValue) -> ScalarUDF {
    // Called, it would know another time than the same call elsewhere in the query.
    Function::new(name, &[&[], &[Kind::BigInt]], returns, |_| {
        internal_err!("the time of the query is put in before it runs")
    })
    .volatility(Volatility::Stable)
    .simplify(move |args, info| {
        let Some(start) = info.query_execution_start_time() else {
            return Ok(ExprSimplifyResult::Original(args));
        };
        Ok(ExprSimplifyResult::Simplified(Expr::Literal(value(start.timestamp_millis()), None)))
    })
    .into()
}

fn with_zone(millis: i64) -> ScalarValue {
    ScalarValue::TimestampMillisecond(Some(millis), Some("UTC".into()))
}

fn without_zone(millis: i64) -> ScalarValue {
    ScalarValue::TimestampMillisecond(Some(millis), None)
}

fn date(millis: i64) -> ScalarValue {
    ScalarValue::Date32(i32::try_from(millis.div_euclid(DAY)).ok())
}

fn time_of_day(millis: i64) -> ScalarValue {
    ScalarValue::Time32Millisecond(i32::try_from(millis.rem_euclid(DAY)).ok())
}
