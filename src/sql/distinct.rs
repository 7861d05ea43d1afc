//! Each event once, though two trails have delivered it in two log files.
//!
//! The rows of both stay in `events`, each with its log file: that is evidence. `distinct_events`, and
//! with `--distinct` `cloudtrail_logs` itself, show each (`recipientaccountid`, `eventid`) once: the row
//! that comes first by (`log_file`, `record_index`). Rows without an `eventid` all stay.
//!
//! The rows of one event are copies of one record, so a condition on what the record says holds for all
//! of them or for none, and is applied before they are told apart: files, row groups and rows are skipped
//! as without it. A condition on where a row comes from (`log_file`, `account`, `region`, `log_date` and what is
//! made of it, such as `"timestamp"` and `day`) is applied afterwards, since another copy may be the one
//! that is shown; give a time as well, or --since, for a query to be quick.
//!
//! What it costs: every row that is left is looked up by its id in a set in memory, of some 50 to 100
//! bytes an event. A query that does not ask where rows come from reads two more columns, `eventid` and
//! `recipientaccountid`, and takes whichever copy it meets first, as it cannot tell them apart: about
//! 0.7 µs of CPU a row, which makes a count by name over everything 2.5 times as dear, and one over a
//! filtered half 1.4 times. One that asks (`SELECT *` does) reads these columns with `log_file` and
//! `record_index` of all matching rows beforehand, also under a LIMIT: 6 to 7 times as dear.

use std::cmp::Ordering;
use std::collections::HashSet;
use std::fmt;
use std::hash::Hash;
use std::sync::Arc;

use arrow::datatypes::SchemaRef;
use async_trait::async_trait;
use datafusion::catalog::Session;
use datafusion::common::{DFSchemaRef, Result, internal_err};
use datafusion::execution::context::QueryPlanner;
use datafusion::logical_expr::{
    Expr, Extension, LogicalPlan, UserDefinedLogicalNode, UserDefinedLogicalNodeCore,
};
use datafusion::physical_expr::PhysicalExpr;
use datafusion::physical_expr::expressions::Column;
use datafusion::physical_plan::ExecutionPlan;
use datafusion::physical_plan::projection::ProjectionExec;
use datafusion::physical_planner::{DefaultPhysicalPlanner, ExtensionPlanner, PhysicalPlanner};

use self::exec::DistinctExec;
use super::in_order::in_order;
use super::joins::with_qualified_keys;
use crate::event::schema::{EVENT_DATE, EVENT_TIME, LOG_FILE, NULL_FIELDS, RECORD, RECORD_INDEX, UNMAPPED};

mod exec;
mod ids;

/// By what an event is told from others.
const KEY: [&str; 2] = ["recipientaccountid", "eventid"];

/// By what the first of its rows is told.
const PLACE: [&str; 2] = [LOG_FILE, RECORD_INDEX];

/// The rows of `input`, which has the columns of `events`, each event once.
pub(super) fn distinct(input: LogicalPlan) -> LogicalPlan {
    LogicalPlan::Extension(Extension { node: Arc::new(Distinct { input }) })
}

/// Whether a node shows each event once.
pub(super) fn is_distinct(node: &dyn UserDefinedLogicalNode) -> bool {
    node.as_any().is::<Distinct>()
}

/// How DataFusion calls members that it takes out of structs early. Only records have structs.
const EXTRACTED: &str = "__datafusion_extracted";

/// Whether a column says what the record says, and not where the row comes from.
fn is_of_record(column: &str) -> bool {
    column.starts_with(EXTRACTED)
        || [UNMAPPED, NULL_FIELDS, EVENT_TIME, EVENT_DATE].contains(&column)
        || RECORD.iter().any(|field| field.column == column)
}

#[derive(Debug, PartialEq, Eq, Hash)]
struct Distinct {
    input: LogicalPlan,
}

impl PartialOrd for Distinct {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        self.input.partial_cmp(&other.input)
    }
}

impl UserDefinedLogicalNodeCore for Distinct {
    fn name(&self) -> &'static str {
        "DistinctEvents"
    }

    fn inputs(&self) -> Vec<&LogicalPlan> {
        vec![&self.input]
    }

    fn schema(&self) -> &DFSchemaRef {
        self.input.schema()
    }

    fn expressions(&self) -> Vec<Expr> {
        vec![]
    }

    fn prevent_predicate_push_down_columns(&self) -> HashSet<String> {
        let names = self.input.schema().fields().iter().map(|field| field.name());
        names.filter(|name| !is_of_record(name)).cloned().collect()
    }

    fn fmt_for_explain(&self, f: &mut fmt::Formatter) -> fmt::Result {
        write!(f, "DistinctEvents: {}", KEY.join(", "))
    }

    fn with_exprs_and_inputs(&self, _: Vec<Expr>, mut inputs: Vec<LogicalPlan>) -> Result<Self> {
        if let (Some(input), 0) = (inputs.pop(), inputs.len()) {
            return Ok(Self { input });
        }
        internal_err!("DistinctEvents has one input")
    }

    fn necessary_children_exprs(&self, output_columns: &[usize]) -> Option<Vec<Vec<usize>>> {
        let fields = self.input.schema().fields();
        let asks_for_place = output_columns.iter().any(|column| !is_of_record(fields[*column].name()));
        let needed = |name: &str| KEY.contains(&name) || (asks_for_place && PLACE.contains(&name));
        let columns = fields.iter().enumerate();
        let columns = columns.filter(|(index, field)| output_columns.contains(index) || needed(field.name()));
        Some(vec![columns.map(|(index, _)| index).collect()])
    }
}

/// Plans queries as DataFusion does, and knows how to show each event once.
#[derive(Debug)]
pub(super) struct Planner;

#[async_trait]
impl QueryPlanner for Planner {
    async fn create_physical_plan(
        &self,
        plan: &LogicalPlan,
        session: &dyn Session,
    ) -> Result<Arc<dyn ExecutionPlan>> {
        let plan = in_order(with_qualified_keys(plan.clone())?)?;
        let planner = DefaultPhysicalPlanner::with_extension_planners(vec![Arc::new(Self)]);
        planner.create_physical_plan(&plan, session).await
    }
}

#[async_trait]
impl ExtensionPlanner for Planner {
    async fn plan_extension(
        &self,
        _: &dyn PhysicalPlanner,
        node: &dyn UserDefinedLogicalNode,
        _: &[&LogicalPlan],
        inputs: &[Arc<dyn ExecutionPlan>],
        _: &dyn Session,
        _: &datafusion::logical_expr::physical_planning_context::PhysicalPlanningContext,
    ) -> Result<Option<Arc<dyn ExecutionPlan>>> {
        let ([rows], true) = (inputs, is_distinct(node)) else { return Ok(None) };
        let schema = rows.schema();
        let asks_for_place = schema.fields().iter().any(|field| !is_of_record(field.name()));
        let places = asks_for_place.then(|| places(rows, &schema)).transpose()?;
        Ok(Some(Arc::new(DistinctExec::new(rows.clone(), places))))
    }
}

/// The same rows with only what tells events and places apart.
fn places(rows: &Arc<dyn ExecutionPlan>, schema: &SchemaRef) -> Result<Arc<dyn ExecutionPlan>> {
    let columns = KEY.into_iter().chain(PLACE).map(|name| {
        let column: Arc<dyn PhysicalExpr> = Arc::new(Column::new_with_schema(name, schema)?);
        Ok((column, name.to_owned()))
    });
    let columns = columns.collect::<Result<Vec<_>>>()?;
    Ok(Arc::new(ProjectionExec::try_new(columns, rows.clone())?))
}

#[cfg(test)]
mod tests;
