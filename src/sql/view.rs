//! `cloudtrail_logs`: the events with the columns that AWS's table definitions for Athena have.
//!
//! `SELECT *` shows what AWS's definition has, and its partition columns. Other columns are there for who
//! names them: fields that the definition lacks, where a row comes from, what is known of its integrity,
//! `"$path"`, and the partition columns that other published definitions have. A statement that names one
//! of those sees a table defined with it: `SELECT *` then shows it too, as Athena would.

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
use crate::event::schema::{ACCOUNT, EVENT_DATE, EVENT_TIME, LOG_DATE, LOG_FILE, REGION, schema};

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
const OTHER_PARTITIONS: [(&str, Part); 13] = [
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
    ("p_date", Part::Date(Form::Dashes)),
    ("ingest_date", Part::Date(Form::Dashes)),
    ("log_date", Part::Date(Form::Dashes)),
];

/// Trino's name for the object that a row comes from.
const PATH: &str = "$path";

/// The columns that are there only for who names them, of events of such columns.
pub(super) fn hidden_columns(events: &Arc<dyn TableProvider>) -> Vec<String> {
    let shown = |name: &String| {
        DEFINED.contains(&name.as_str()) || SHOWN_PARTITIONS.iter().any(|(partition, _)| partition == name)
    };
    let mut hidden: Vec<String> = events.schema().fields().iter().map(|field| field.name().clone()).collect();
    hidden.extend(OTHER_PARTITIONS.map(|(name, _)| name.to_owned()));
    hidden.push(PATH.to_owned());
    hidden.retain(|name| !shown(name));
    hidden.sort();
    hidden.dedup();
    hidden
}

/// Whether a hidden column is a whole date, whose form the statement decides.
pub(super) fn is_date(name: &str) -> bool {
    let partition = OTHER_PARTITIONS.iter().find(|(other, _)| *other == name);
    matches!(partition, Some((_, Part::Date(form))) if form.is_whole())
}

/// The plan of the view: AWS's 29 columns first, then the partitions of AWS's definitions, then the
/// hidden columns that are `named`, dates in the form that is given. With `distinct`, each event once.
pub(super) fn cloudtrail_logs(
    events: &Arc<dyn TableProvider>,
    range: TimeRange,
    distinct: bool,
    named: &BTreeMap<String, Option<Form>>,
) -> Result<LogicalPlan> {
    let schema = events.schema();
    let defined = DEFINED.into_iter().filter(|name| schema.column_with_name(name).is_some());
    let mut columns: Vec<Expr> = defined.map(column).collect();
    let is_named = |name: &str| named.contains_key(name);
    let others = OTHER_PARTITIONS.into_iter().filter(|(name, _)| is_named(name));
    let of_keys = schema.column_with_name(LOG_DATE).is_some();
    let partitions = SHOWN_PARTITIONS.into_iter().chain(others).filter(|_| of_keys);
    columns.extend(partitions.map(|(name, part)| {
        let part = match (part, named.get(name)) {
            (Part::Date(form), Some(Some(wanted))) if form.is_whole() => Part::Date(*wanted),
            _ => part,
        };
        partition(part).alias(name)
    }));
    if is_named(PATH) && schema.column_with_name(LOG_FILE).is_some() {
        columns.push(column(LOG_FILE).alias(PATH));
    }
    for field in schema.fields() {
        let name = field.name().as_str();
        let is_there = columns.iter().any(|column| column.name_for_alias().is_ok_and(|other| other == name));
        if is_named(name) && !is_there {
            columns.push(column(name));
        }
    }
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
