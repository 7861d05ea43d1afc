//! What a view has at hand already, instead of working it out from what it shows.
//!
//! | asked | given |
//! |---|---|
//! | `from_iso8601_timestamp(eventtime)`, and `parse_datetime`, `date_parse` with the pattern of event times, and `eventtime` where it is compared with a time | the stored `event_time` |
//! | `element_at(requestparameters, 'k')`, `requestparameters['k']` of CloudTrail Lake's maps | the member of the JSON, without the map |
//! | `useridentity.arn` of CloudTrail Lake's | the stored member, without the struct |
//!
//! Where the question stands above the view, it is asked through the nodes in between, and the answer
//! comes up as one more column. An event time that cannot be read is NULL, where Trino would fail the query.

use std::sync::Arc;

use arrow::datatypes::{DataType, TimeUnit};
use datafusion::common::tree_node::{Transformed, TreeNode};
use datafusion::common::{Column, DFSchema, ExprSchema, Result};
use datafusion::functions::core::expr_fn::get_field_path;
use datafusion::logical_expr::expr::{ScalarFunction, TryCast};
use datafusion::logical_expr::expr_rewriter::NamePreserver;
use datafusion::logical_expr::{
    Cast, Expr, ExprSchemable, Extension, LogicalPlan, Projection, SubqueryAlias, cast, lit,
};
use datafusion::optimizer::optimize_projections::OptimizeProjections;
use datafusion::optimizer::optimizer::Optimizer;
use datafusion::optimizer::{ApplyOrder, OptimizerConfig, OptimizerRule};

use super::correlated::Correlated;
use super::distinct;
use super::lake_view::{argument_of_json_map, argument_of_lake_identity, json_member};
use crate::event::schema::EVENT_TIME;

mod leaves;

/// How Java's and `MySQL`'s patterns write the times that CloudTrail writes. The third is published with its
/// last quote missing.
const EVENT_TIME_PATTERNS: [&str; 5] = [
    "yyyy-MM-dd'T'HH:mm:ss'Z'",
    "yyyy-MM-dd'T'HH:mm:ssZ",
    "yyyy-MM-dd'T'HH:mm:ss'Z",
    "%Y-%m-%dT%H:%i:%sZ",
    "%Y-%m-%dT%H:%i:%SZ",
];

/// DataFusion's rules with this one: first, while every view still has all its columns, and again once
/// conditions have been pushed down into the views.
pub(super) fn rules() -> Vec<Arc<dyn OptimizerRule + Send + Sync>> {
    let mut rules = Optimizer::new().rules;
    let pushed = rules.iter().position(|rule| rule.name() == "push_down_filter");
    rules.insert(pushed.map_or(rules.len(), |at| at + 1), Arc::new(Given));
    rules.insert(0, Arc::new(Given));
    // Then without the columns that nobody asked for: a view has many, made of one another.
    rules.insert(1, Arc::new(OptimizeProjections::new()));
    rules.insert(0, Arc::new(Correlated));
    rules.into_iter().map(leaves::tolerant).collect()
}

#[derive(Debug)]
struct Given;

impl OptimizerRule for Given {
    fn name(&self) -> &'static str {
        "given_by_the_view"
    }

    fn apply_order(&self) -> Option<ApplyOrder> {
        Some(ApplyOrder::BottomUp)
    }

    fn rewrite(&self, plan: LogicalPlan, _: &dyn OptimizerConfig) -> Result<Transformed<LogicalPlan>> {
        match &plan {
            LogicalPlan::Projection(_) | LogicalPlan::Aggregate(_) => answer(plan, true),
            LogicalPlan::Filter(_) | LogicalPlan::Sort(_) | LogicalPlan::Window(_) => answer(plan, false),
            LogicalPlan::TableScan(scan) if !scan.filters.is_empty() => answer(plan, false),
            _ => Ok(Transformed::no(plan)),
        }
    }
}

/// Answers the questions in the expressions of a node. Its input gets new columns only if `may_grow`, that
/// is if the node does not hand them on.
fn answer(plan: LogicalPlan, may_grow: bool) -> Result<Transformed<LogicalPlan>> {
    let mut input = match &plan {
        LogicalPlan::TableScan(_) => plan.clone(),
        _ => match plan.inputs().as_slice() {
            [input] => (*input).clone(),
            _ => return Ok(Transformed::no(plan)),
        },
    };
    let is_scan = matches!(plan, LogicalPlan::TableScan(_));
    let names = NamePreserver::new(&plan);
    let mut found = false;
    let plan = plan.map_expressions(|expr| {
        let name = names.save(&expr);
        let answered = expr.transform_up(|expr| {
            let Some((question, column)) = Question::in_expr(&expr) else { return Ok(Transformed::no(expr)) };
            let Some((asked, given)) = question.ask(&input, column)? else {
                return Ok(Transformed::no(expr));
            };
            let is_new = asked.schema().fields().len() != input.schema().fields().len();
            if is_new && !may_grow {
                return Ok(Transformed::no(expr));
            }
            let Some(given) = question.typed(&expr, given, input.schema())? else {
                return Ok(Transformed::no(expr));
            };
            input = asked;
            Ok(Transformed::yes(given))
        })?;
        found |= answered.transformed;
        Ok(answered.update_data(|expr| name.restore(expr)))
    })?;
    if !found || is_scan {
        return Ok(plan);
    }
    let exprs = plan.data.expressions();
    Ok(Transformed::yes(plan.data.with_new_exprs(exprs, vec![input])?))
}

/// What is asked of a column.
#[derive(Debug)]
enum Question {
    /// The time that its text is.
    Time,
    /// The text under a key of the map, and whether there has to be one.
    Key(String, bool),
    /// A member of the struct.
    Member(Vec<String>),
}

impl Question {
    /// The question that an expression is, and of what.
    fn in_expr(expr: &Expr) -> Option<(Self, &Expr)> {
        // What a comparison of text with a time makes of the text.
        if let Expr::TryCast(TryCast { expr, field }) = expr
            && matches!(field.data_type(), DataType::Timestamp(..))
        {
            return Some((Self::Time, without_cast(expr)));
        }
        let Expr::ScalarFunction(ScalarFunction { func, args }) = expr else { return None };
        match (func.name(), args.as_slice()) {
            ("from_iso8601_timestamp", [time]) => Some((Self::Time, without_cast(time))),
            ("parse_datetime" | "date_parse", [time, pattern]) => {
                let pattern = text(pattern)?;
                EVENT_TIME_PATTERNS.contains(&pattern).then_some((Self::Time, without_cast(time)))
            }
            ("element_at", [map, key]) => Some((Self::Key(text(key)?.to_owned(), false), map)),
            ("$subscript", [map, key]) => Some((Self::Key(text(key)?.to_owned(), true), map)),
            ("get_field", [base, path @ ..]) => {
                let path: Option<Vec<String>> =
                    path.iter().map(|name| Some(text(name)?.to_owned())).collect();
                Some((Self::Member(path?), base))
            }
            _ => None,
        }
    }

    /// The answer, and the plan that has it.
    fn ask(&self, plan: &LogicalPlan, of: &Expr) -> Result<Option<(LogicalPlan, Expr)>> {
        if let Some(given) = self.of_made(of) {
            return Ok(Some((plan.clone(), given)));
        }
        let Expr::Column(column) = of else { return Ok(None) };
        match plan {
            LogicalPlan::SubqueryAlias(alias) => self.ask_alias(alias, column),
            LogicalPlan::Projection(projection) => self.ask_projection(projection, column),
            LogicalPlan::Filter(_) | LogicalPlan::Sort(_) | LogicalPlan::Limit(_) => {
                let [input] = plan.inputs()[..] else { return Ok(None) };
                let Some((input, given)) = self.ask(input, of)? else { return Ok(None) };
                Ok(Some((plan.with_new_exprs(plan.expressions(), vec![input])?, given)))
            }
            // Its rows are whole ones of its input's.
            LogicalPlan::Extension(Extension { node }) if distinct::is_distinct(node.as_ref()) => {
                let [input] = node.inputs()[..] else { return Ok(None) };
                let given = self.ask(input, of)?;
                let is_there =
                    |given: &Expr| given.column_refs().iter().all(|column| plan.schema().has_column(column));
                Ok(given.filter(|(_, given)| is_there(given)).map(|(_, given)| (plan.clone(), given)))
            }
            LogicalPlan::TableScan(scan) if matches!(self, Self::Time) && column.name == "eventtime" => {
                let schema = &scan.projected_schema;
                let stored = schema.columns().into_iter().find(|stored| stored.name == EVENT_TIME);
                let typed = |stored: &Column| {
                    let utc = DataType::Timestamp(TimeUnit::Microsecond, Some("UTC".into()));
                    schema.data_type(stored).is_ok_and(|found| *found == utc)
                };
                let stored = stored.filter(|stored| typed(stored) && schema.has_column(column));
                Ok(stored.map(|stored| (plan.clone(), Expr::Column(stored))))
            }
            _ => Ok(None),
        }
    }

    /// The answer where the view's expression itself is asked.
    fn of_made(&self, expr: &Expr) -> Option<Expr> {
        match self {
            Self::Time => None,
            Self::Key(key, required) => {
                Some(json_member(argument_of_json_map(expr)?.clone(), key, *required))
            }
            Self::Member(path) => {
                let names: Vec<&str> = path.iter().map(String::as_str).collect();
                let stored = argument_of_lake_identity(expr, &names)?;
                Some(get_field_path(stored.clone(), path.iter().map(|name| lit(name.as_str())).collect()))
            }
        }
    }

    fn ask_alias(&self, alias: &SubqueryAlias, column: &Column) -> Result<Option<(LogicalPlan, Expr)>> {
        let Some(at) = alias.schema.maybe_index_of_column(column) else { return Ok(None) };
        let inner = Expr::Column(Column::from(alias.input.schema().qualified_field(at)));
        let Some((input, Expr::Column(given))) = self.ask(&alias.input, &inner)? else { return Ok(None) };
        let at = input.schema().index_of_column(&given)?;
        let plan = LogicalPlan::SubqueryAlias(SubqueryAlias::try_new(Arc::new(input), alias.alias.clone())?);
        let given = Column::from(plan.schema().qualified_field(at));
        Ok(Some((plan, Expr::Column(given))))
    }

    /// Adds the answer to what is projected.
    fn ask_projection(
        &self,
        projection: &Projection,
        column: &Column,
    ) -> Result<Option<(LogicalPlan, Expr)>> {
        let Some(at) = projection.schema.maybe_index_of_column(column) else { return Ok(None) };
        let of = without_alias(&projection.expr[at]);
        let Some((input, given)) = self.ask(&projection.input, of)? else { return Ok(None) };
        let projected = projection.expr.iter().position(|expr| *without_alias(expr) == given);
        let mut exprs = projection.expr.clone();
        let at = projected.unwrap_or_else(|| {
            exprs.push(given.clone().alias(format!("{self:?} of {given}")));
            exprs.len() - 1
        });
        let plan = LogicalPlan::Projection(Projection::try_new(exprs, Arc::new(input))?);
        let given = Column::from(plan.schema().qualified_field(at));
        Ok(Some((plan, Expr::Column(given))))
    }

    /// The answer in the type of the expression that it stands for.
    fn typed(&self, expr: &Expr, given: Expr, schema: &DFSchema) -> Result<Option<Expr>> {
        let data_type = expr.get_type(schema)?;
        Ok(match (self, &data_type) {
            (Self::Time, DataType::Timestamp(..)) => Some(cast(given, data_type)),
            (Self::Key(..), text) if text.is_string() => Some(cast(given, data_type)),
            (Self::Time | Self::Key(..), _) => None,
            (Self::Member(_), _) => Some(given),
        })
    }
}

/// Text that was only made another type of text.
fn without_cast(expr: &Expr) -> &Expr {
    match expr {
        Expr::Cast(Cast { expr, field }) if field.data_type().is_string() => without_cast(expr),
        _ => expr,
    }
}

fn without_alias(expr: &Expr) -> &Expr {
    match expr {
        Expr::Alias(alias) => without_alias(&alias.expr),
        _ => expr,
    }
}

fn text(expr: &Expr) -> Option<&str> {
    let Expr::Literal(value, _) = expr else { return None };
    value.try_as_str().flatten()
}
