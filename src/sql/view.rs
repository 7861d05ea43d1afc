//! `cloudtrail_logs`: the events with the columns that AWS's table definitions for Athena have.
//!
//! `SELECT *` shows what AWS's definition has, and its partition columns. Other columns are there for who
//! names them: fields that the definition lacks, where a row comes from, what is known of its integrity,
//! `"$path"`, and the partition columns that other published definitions have.

use std::collections::BTreeMap;
use std::sync::Arc;

use arrow::datatypes::{DataType, TimeUnit};
use chrono::{DateTime, Utc};
use datafusion::catalog::TableProvider;
use datafusion::common::{Column, Result, ScalarValue};
use datafusion::datasource::provider_as_source;
use datafusion::logical_expr::{Expr, LogicalPlan, LogicalPlanBuilder, lit};

use self::date_text::{Form, date_text};
use super::time::TimeRange;
use crate::event::schema::{ACCOUNT, EVENT_DATE, EVENT_TIME, LOG_DATE, LOG_FILE, REGION};

pub(super) mod date_text;

const EVENTS: &str = "events";

/// The columns that AWS's table definitions partition by, as `*` shows them.
pub(super) const PARTITION_COLUMNS: [&str; 6] = ["account", "region", "year", "month", "day", "timestamp"];

/// What SHOW PARTITIONS asks.
pub(super) const PARTITIONS: &str =
    "SELECT DISTINCT 'account=' || account || '/region=' || region || '/year=' || year
    || '/month=' || month || '/day=' || day AS partition FROM cloudtrail_logs ORDER BY 1";

/// The columns of AWS's definition, in its order.
pub(super) const DEFINED: [&str; 29] = [
    "eventversion",
    "useridentity",
    "eventtime",
    "eventsource",
    "eventname",
    "awsregion",
    "sourceipaddress",
    "useragent",
    "errorcode",
    "errormessage",
    "requestparameters",
    "responseelements",
    "additionaleventdata",
    "requestid",
    "eventid",
    "resources",
    "eventtype",
    "apiversion",
    "readonly",
    "recipientaccountid",
    "serviceeventdetails",
    "sharedeventid",
    "vpcendpointid",
    "vpcendpointaccountid",
    "eventcategory",
    "addendum",
    "sessioncredentialfromconsole",
    "edgedevicedetails",
    "tlsdetails",
];

/// What a partition column says of the key of a row's log file.
#[derive(Clone, Copy)]
enum Part {
    Account,
    Region,
    Date(Form),
}

/// What each of [`PARTITION_COLUMNS`] says.
const SHOWN_PARTITIONS: [(&str, Part); 6] = [
    ("account", Part::Account),
    ("region", Part::Region),
    ("year", Part::Date(Form::Year)),
    ("month", Part::Date(Form::Month)),
    ("day", Part::Date(Form::Day)),
    ("timestamp", Part::Date(Form::Slashes)),
];

/// The partition columns of other definitions. Of dates, publications have both 2026/01/05 and
/// 2026-01-05 under one name: the form here is the commoner one, and a statement that compares the column
/// with another form gets that ([`super::faces`]).
const OTHER_PARTITIONS: [(&str, Part); 14] = [
    ("accountid", Part::Account),
    ("account_id", Part::Account),
    ("account_partition", Part::Account),
    ("p_account", Part::Account),
    ("region_partition", Part::Region),
    ("p_region", Part::Region),
    ("date", Part::Date(Form::Slashes)),
    ("dt", Part::Date(Form::Slashes)),
    ("date_partition", Part::Date(Form::Slashes)),
    ("partition_date", Part::Date(Form::Slashes)),
    ("eventdate", Part::Date(Form::Slashes)),
    ("log_date", Part::Date(Form::Slashes)),
    ("p_date", Part::Date(Form::Slashes)),
    ("ingest_date", Part::Date(Form::Dashes)),
];

/// Trino's name for the object that a row comes from.
const PATH: &str = "$path";

/// What `*` shows of `cloudtrail_logs`: the columns of AWS's table definition, and its partitions.
pub(super) fn star() -> Vec<String> {
    DEFINED.into_iter().chain(PARTITION_COLUMNS).map(str::to_owned).collect()
}

/// Whether a column is a whole date whose form the statement decides.
pub(super) fn is_date(name: &str) -> bool {
    let partition = OTHER_PARTITIONS.iter().find(|(other, _)| *other == name);
    matches!(partition, Some((_, Part::Date(form))) if form.is_whole())
}

/// The plan of the view: AWS's 29 columns first, then the partitions of AWS's definitions, then whatever
/// `*` does not show; dates in `forms`, where these have another. With `distinct`, each event once.
pub(super) fn cloudtrail_logs(
    events: &Arc<dyn TableProvider>,
    range: TimeRange,
    distinct: bool,
    forms: &BTreeMap<String, Form>,
) -> Result<LogicalPlan> {
    let schema = events.schema();
    let is_there = |name: &str| schema.column_with_name(name).is_some();
    let mut names: Vec<&str> = DEFINED.into_iter().filter(|name| is_there(name)).collect();
    let mut columns: Vec<Expr> = names.iter().map(|name| column(name)).collect();
    let partitions = SHOWN_PARTITIONS.into_iter().chain(OTHER_PARTITIONS).filter(|_| is_there(LOG_DATE));
    for (name, part) in partitions {
        let part = match (part, forms.get(name)) {
            (Part::Date(_), Some(form)) => Part::Date(*form),
            _ => part,
        };
        names.push(name);
        let made = partition(part);
        // What is stored under its own name stays what it is.
        columns.push(if made == column(name) { made } else { computed(made, name) });
    }
    if is_there(LOG_FILE) {
        columns.push(computed(column(LOG_FILE), PATH));
    }
    let others = schema.fields().iter().filter(|field| !names.contains(&field.name().as_str()));
    columns.extend(others.map(|field| column(field.name())));
    Base { events, range, distinct }.plan()?.project(columns)?.build()
}

/// The plan of `distinct_events`: the columns of `events`, and each event once.
pub(super) fn distinct_events(events: &Arc<dyn TableProvider>) -> Result<LogicalPlan> {
    let base = Base { events, range: TimeRange::default(), distinct: true };
    base.plan()?.build()
}

/// What every view shows rows of: the events of a range, each once if so wanted.
pub(super) struct Base<'a> {
    pub(super) events: &'a Arc<dyn TableProvider>,
    pub(super) range: TimeRange,
    pub(super) distinct: bool,
}

impl Base<'_> {
    /// The plan, to be built upon.
    pub(super) fn plan(&self) -> Result<LogicalPlanBuilder> {
        let source = provider_as_source(Arc::clone(self.events));
        let mut plan = LogicalPlanBuilder::scan(EVENTS, source, None)?;
        for bound in bounds(self.range) {
            plan = plan.filter(bound)?;
        }
        if self.distinct {
            plan = super::distinct::distinct(plan.build()?).into();
        }
        Ok(plan)
    }
}

/// A column of the events.
pub(super) fn column(name: &str) -> Expr {
    Expr::Column(Column::new(Some(EVENTS), name))
}

/// A column that is made of others. It is qualified, as they are: DataFusion, when it takes members out of
/// structs early, has both side by side, and an unqualified name would then be that of two columns.
pub(super) fn computed(expr: Expr, name: &str) -> Expr {
    expr.alias_qualified(Some("face"), name)
}

/// A file whose key has no date takes the date of its events, so that a condition on a partition
/// finds the same events in files that were copied out of their folders.
fn partition(part: Part) -> Expr {
    match part {
        Part::Account => column(ACCOUNT),
        Part::Region => column(REGION),
        Part::Date(form) => date_text(column(LOG_DATE), column(EVENT_DATE), form),
    }
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
