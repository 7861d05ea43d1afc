//! `cloudtrail_logs`: the events with the columns that AWS's table definitions have.

use std::sync::Arc;

use arrow::datatypes::{DataType, SchemaRef, TimeUnit};
use chrono::{DateTime, Utc};
use datafusion::catalog::TableProvider;
use datafusion::common::{Column, Result, ScalarValue};
use datafusion::datasource::{ViewTable, provider_as_source};
use datafusion::functions::expr_fn::{coalesce, replace, substr, substring};
use datafusion::logical_expr::{Expr, LogicalPlan, LogicalPlanBuilder, cast, lit};

use super::time::TimeRange;
use super::{CLOUDTRAIL_LOGS, SessionOptions, Tables};
use crate::event::schema::{EVENT_DATE, EVENT_TIME, LOG_DATE, schema};

const EVENTS: &str = "events";

/// The table that event data store ids mean.
pub(super) const LAKE_FACE: &str = "cloudtrail_lake";

/// The columns that AWS's table definitions partition by, as `*` shows them.
pub(super) const PARTITION_COLUMNS: [&str; 6] = ["account", "region", "year", "month", "day", "timestamp"];

/// What SHOW PARTITIONS asks.
pub(super) const PARTITIONS: &str =
    "SELECT DISTINCT 'account=' || account || '/region=' || region || '/year=' || year
    || '/month=' || month || '/day=' || day AS partition FROM cloudtrail_logs ORDER BY 1";

/// The tables of a session, by their names.
pub(super) fn tables(
    tables: Tables,
    options: &SessionOptions,
) -> Result<Vec<(String, Arc<dyn TableProvider>)>> {
    let view = cloudtrail_logs(&tables.events, options.range, options.distinct)?;
    let once = distinct_events(&tables.events)?;
    let mut all: Vec<(String, Arc<dyn TableProvider>)> = vec![
        (CLOUDTRAIL_LOGS.to_owned(), Arc::new(ViewTable::new(view, None))),
        ("distinct_events".to_owned(), Arc::new(ViewTable::new(once, None))),
        ("events".to_owned(), tables.events),
    ];
    let others = [
        ("log_files", tables.log_files),
        ("quarantine", tables.quarantine),
        ("digests", tables.digests),
        ("integrity_gaps", tables.integrity_gaps),
    ];
    all.extend(others.into_iter().filter_map(|(name, table)| Some((name.to_owned(), table?))));
    Ok(all)
}

/// What `*` shows of `cloudtrail_logs`: the columns of AWS's table definition, and its partitions.
pub(super) fn star() -> Vec<String> {
    let columns = column_names(&schema()).into_iter().take(DDL_COLUMNS);
    columns.chain(PARTITION_COLUMNS.map(str::to_owned)).collect()
}

/// How many columns AWS's table definition has.
const DDL_COLUMNS: usize = 29;

/// The plan of the view: AWS's 29 columns first, then ours, then the partitions of AWS's definitions.
/// With `distinct`, each event once.
pub(super) fn cloudtrail_logs(
    events: &Arc<dyn TableProvider>,
    range: TimeRange,
    distinct: bool,
) -> Result<LogicalPlan> {
    let mut plan = LogicalPlanBuilder::scan(EVENTS, provider_as_source(Arc::clone(events)), None)?;
    for bound in bounds(range) {
        plan = plan.filter(bound)?;
    }
    if distinct {
        plan = super::distinct::distinct(plan.build()?).into();
    }
    let names = column_names(&events.schema());
    let partitions = if names.iter().any(|name| name == LOG_DATE) { partitions() } else { Vec::new() };
    plan.project(names.iter().map(|name| column(name)).chain(partitions))?.build()
}

/// The plan of `distinct_events`: the columns of `events`, and each event once.
pub(super) fn distinct_events(events: &Arc<dyn TableProvider>) -> Result<LogicalPlan> {
    let plan = LogicalPlanBuilder::scan(EVENTS, provider_as_source(Arc::clone(events)), None)?.build()?;
    Ok(super::distinct::distinct(plan))
}

fn column(name: &str) -> Expr {
    Expr::Column(Column::new(Some(EVENTS), name))
}

/// The names in the order of AWS's definition, then of [`schema`], then whatever else there is.
fn column_names(provided: &SchemaRef) -> Vec<String> {
    let ours = schema();
    let known = ours.fields().iter().filter(|field| provided.column_with_name(field.name()).is_some());
    let others = provided.fields().iter().filter(|field| ours.column_with_name(field.name()).is_none());
    let mut names: Vec<String> = known.chain(others).map(|field| field.name().clone()).collect();
    // AWS's definition has `readonly` not where records have it, but after `apiversion`.
    let at = |names: &[String], wanted: &str| names.iter().position(|name| name == wanted);
    if let (Some(from), Some(to)) = (at(&names, "readonly"), at(&names, "apiversion"))
        && from < to
    {
        names[from..=to].rotate_left(1);
    }
    names
}

/// `"timestamp"` as yyyy/MM/dd, and `year`, `month`, `day`: the folders of the object key.
///
/// A file whose key has no date takes the date of its events, so that a condition on a partition
/// finds the same events in files that were copied out of their folders.
fn partitions() -> Vec<Expr> {
    let date = || cast(coalesce(vec![column(LOG_DATE), column(EVENT_DATE)]), DataType::Utf8);
    vec![
        replace(date(), lit("-"), lit("/")).alias("timestamp"),
        substring(date(), lit(1_i64), lit(4_i64)).alias("year"),
        substring(date(), lit(6_i64), lit(2_i64)).alias("month"),
        substr(date(), lit(9_i64)).alias("day"),
    ]
}

/// The range as conditions on the time, or on the date for rows without one. Files are skipped by
/// their statistics of both; the date alone would not do, since rows of wild times are filed elsewhere.
fn bounds(range: TimeRange) -> Vec<Expr> {
    let timeless = || column(EVENT_TIME).is_null();
    let since = range.since.map(|since| {
        let dated = timeless().and(column(EVENT_DATE).gt_eq(date(since)));
        column(EVENT_TIME).gt_eq(instant(since)).or(dated)
    });
    let until = range.until.map(|until| {
        let dated = timeless().and(column(EVENT_DATE).lt_eq(date(until)));
        column(EVENT_TIME).lt(instant(until)).or(dated)
    });
    since.into_iter().chain(until).collect()
}

fn instant(time: DateTime<Utc>) -> Expr {
    let value = ScalarValue::TimestampMicrosecond(Some(time.timestamp_micros()), Some("UTC".into()));
    debug_assert_eq!(value.data_type(), DataType::Timestamp(TimeUnit::Microsecond, Some("UTC".into())));
    lit(value)
}

fn date(time: DateTime<Utc>) -> Expr {
    let days = time.timestamp().div_euclid(86_400);
    lit(ScalarValue::Date32(i32::try_from(days).ok()))
}
