//! The time at which the query began: `now()`, `current_timestamp()`, `localtimestamp()`, `current_date()`,
//! `current_time()`, `localtime()`.

use arrow::datatypes::{DataType, TimeUnit};
use chrono::{DateTime, Utc};
use datafusion::common::{Result, ScalarValue};
use datafusion::logical_expr::simplify::{ExprSimplifyResult, SimplifyContext};
use datafusion::logical_expr::{Expr, ScalarUDF, Volatility};

use super::super::scalar::{Function, Kind, timestamp};
use super::civil::DAY;

/// The functions of this file.
pub(super) fn scalar() -> Vec<ScalarUDF> {
    let time = DataType::Time32(TimeUnit::Millisecond);
    let now = with_zone as fn(i64) -> ScalarValue;
    vec![
        function("now", timestamp(Some("UTC")), now, |_, info| Ok(at_start(info, with_zone))),
        function("current_timestamp", timestamp(Some("UTC")), now, |_, info| Ok(at_start(info, with_zone))),
        function("localtimestamp", timestamp(None), without_zone, |_, info| Ok(at_start(info, without_zone))),
        function("current_date", DataType::Date32, date, |_, info| Ok(at_start(info, date))),
        function("current_time", time.clone(), time_of_day, |_, info| Ok(at_start(info, time_of_day))),
        function("localtime", time, time_of_day, |_, info| Ok(at_start(info, time_of_day))),
    ]
}

type Simplify = fn(Vec<Expr>, &SimplifyContext) -> Result<ExprSimplifyResult>;

/// The precision that may stand in brackets is three digits in any case.
fn function(
    name: &'static str,
    returns: DataType,
    value: fn(i64) -> ScalarValue,
    simplify: Simplify,
) -> ScalarUDF {
    Function::new(name, &[&[], &[Kind::BigInt]], returns, move |args| {
        value(Utc::now().timestamp_millis()).to_array_of_size(args.rows())
    })
    .volatility(Volatility::Stable)
    .simplify(simplify)
    .into()
}

fn at_start(info: &SimplifyContext, value: fn(i64) -> ScalarValue) -> ExprSimplifyResult {
    let start: DateTime<Utc> = info.query_execution_start_time().unwrap_or_else(Utc::now);
    ExprSimplifyResult::Simplified(Expr::Literal(value(start.timestamp_millis()), None))
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
