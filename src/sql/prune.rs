//! What a condition implies about stored columns, so that files and row groups are skipped by it.
//!
//! DataFusion skips by conditions that compare a column with a literal. People write others, on partition
//! columns that are made of dates and on functions of times and names; what those imply is added to them:
//!
//! | condition | implies | in |
//! |---|---|---|
//! | any on `year`, `month`, `day`, `"timestamp"`, `dt` … | `log_date` is one of some dates | [`dates`] |
//! | `date_trunc('day', event_time) = …`, `date(…) >= …` | `event_time` is in a range | [`times`] |
//! | `lower(eventname) = …`, `substr(eventtime, 1, 10) = …` | the text is in a range | [`texts`] |
//!
//! Only ever added, and only what holds for every row that the conditions let through: answers stay
//! as they are, and the property test holds the two to that.

use std::sync::Arc;

use arrow::datatypes::SchemaRef;
use async_trait::async_trait;
use datafusion::catalog::{Session, TableProvider};
use datafusion::common::{DFSchema, Result, Statistics};
use datafusion::datasource::TableType;
use datafusion::logical_expr::expr::{InList, Like};
use datafusion::logical_expr::utils::conjunction;
use datafusion::logical_expr::{Between, BinaryExpr, Expr, Operator, TableProviderFilterPushDown};
use datafusion::physical_plan::ExecutionPlan;
use datafusion::physical_plan::filter::FilterExecBuilder;

use crate::event::schema::EVENT_TIME;

mod dates;
#[cfg(test)]
mod tests;
mod texts;
mod times;

/// Longer lists imply nothing, since the planner would take longer than the scan.
const LONGEST_LIST: usize = 64;

/// A table of events that is scanned with what the conditions imply, too.
#[derive(Debug)]
pub(super) struct Pruned {
    inner: Arc<dyn TableProvider>,
    is_on: bool,
}

impl Pruned {
    pub(super) fn new(inner: Arc<dyn TableProvider>, is_on: bool) -> Self {
        Self { inner, is_on }
    }
}

#[async_trait]
impl TableProvider for Pruned {
    fn schema(&self) -> SchemaRef {
        self.inner.schema()
    }

    fn table_type(&self) -> TableType {
        self.inner.table_type()
    }

    fn supports_filters_pushdown(&self, filters: &[&Expr]) -> Result<Vec<TableProviderFilterPushDown>> {
        self.inner.supports_filters_pushdown(filters)
    }

    fn statistics(&self) -> Option<Statistics> {
        self.inner.statistics()
    }

    async fn scan(
        &self,
        state: &dyn Session,
        projection: Option<&Vec<usize>>,
        filters: &[Expr],
        limit: Option<usize>,
    ) -> Result<Arc<dyn ExecutionPlan>> {
        let schema = self.inner.schema();
        let implied = if self.is_on { implied(filters, &schema, state)? } else { Vec::new() };
        let filters: Vec<Expr> =
            filters.iter().chain(implied.iter().map(|implied| &implied.expr)).cloned().collect();
        let of_rows = implied.into_iter().filter(|implied| implied.of_rows).map(|implied| implied.expr);
        let Some(predicate) = conjunction(of_rows) else {
            return self.inner.scan(state, projection, &filters, limit).await;
        };
        // The condition needs its columns; what was asked for stands before them.
        let mut columns = projection.cloned().unwrap_or_else(|| (0..schema.fields().len()).collect());
        let wanted = columns.len();
        for column in predicate.column_refs() {
            let at = schema.index_of(&column.name)?;
            if !columns.contains(&at) {
                columns.push(at);
            }
        }
        let scan = self.inner.scan(state, Some(&columns), &filters, None).await?;
        let scanned = DFSchema::try_from(scan.schema())?;
        let predicate = state.create_physical_expr(predicate, &scanned)?;
        let filter = FilterExecBuilder::new(predicate, scan);
        Ok(Arc::new(filter.apply_projection(Some((0..wanted).collect()))?.build()?))
    }
}

/// What conditions imply, and whether it is worth asking of each row, or only of files.
struct Implied {
    expr: Expr,
    of_rows: bool,
}

/// What `filters`, all of which hold, imply.
fn implied(filters: &[Expr], schema: &SchemaRef, state: &dyn Session) -> Result<Vec<Implied>> {
    let context = Context { schema: DFSchema::try_from(schema.clone())?, state };
    let mut found: Vec<Implied> = dates::implied(filters, &context).into_iter().collect();
    let of_each = filters.iter().filter_map(|filter| of_condition(filter, &context));
    found.extend(of_each.map(|expr| Implied { of_rows: is_of_time(&expr), expr }));
    found.retain(|implied| !filters.contains(&implied.expr));
    Ok(found)
}

/// Rows are sorted by time, so that pages and rows differ by it. Of other columns, what is implied tells
/// files and row groups apart; to ask it of each row besides the condition itself would cost more than it saves.
fn is_of_time(expr: &Expr) -> bool {
    expr.column_refs().iter().all(|column| [EVENT_TIME, "eventtime"].contains(&column.name.as_str()))
}

/// What is needed to ask an expression about values.
struct Context<'a> {
    schema: DFSchema,
    state: &'a dyn Session,
}

/// What one condition implies about times and texts.
fn of_condition(filter: &Expr, context: &Context) -> Option<Expr> {
    match filter {
        Expr::BinaryExpr(BinaryExpr { left, op: Operator::And, right }) => {
            match (of_condition(left, context), of_condition(right, context)) {
                (Some(left), Some(right)) => Some(left.and(right)),
                (left, right) => left.or(right),
            }
        }
        Expr::BinaryExpr(BinaryExpr { left, op: Operator::Or, right }) => {
            Some(of_condition(left, context)?.or(of_condition(right, context)?))
        }
        Expr::BinaryExpr(BinaryExpr { left, op, right }) => match (&**left, &**right) {
            (of, literal @ Expr::Literal(..)) => of_comparison(of, *op, literal, context),
            (literal @ Expr::Literal(..), of) => of_comparison(of, op.swap()?, literal, context),
            _ => None,
        },
        Expr::Between(Between { expr, negated: false, low, high }) => {
            let low = of_comparison(expr, Operator::GtEq, low, context);
            let high = of_comparison(expr, Operator::LtEq, high, context);
            match (low, high) {
                (Some(low), Some(high)) => Some(low.and(high)),
                (low, high) => low.or(high),
            }
        }
        Expr::InList(InList { expr, list, negated: false }) if list.len() <= LONGEST_LIST => {
            let of_each = list.iter().map(|value| of_comparison(expr, Operator::Eq, value, context));
            of_each.collect::<Option<Vec<_>>>()?.into_iter().reduce(Expr::or)
        }
        Expr::Like(Like { negated: false, expr, pattern, escape_char: None, case_insensitive: false }) => {
            texts::of_like(expr, pattern, context)
        }
        Expr::ScalarFunction(call) if call.name() == "starts_with" => match call.args.as_slice() {
            [of, prefix] => texts::of_prefix(of, prefix, context),
            _ => None,
        },
        _ => None,
    }
}

fn of_comparison(of: &Expr, op: Operator, literal: &Expr, context: &Context) -> Option<Expr> {
    let Expr::Literal(value, _) = literal else { return None };
    if value.is_null() {
        return None;
    }
    times::of_comparison(of, op, literal, context).or_else(|| texts::of_comparison(of, op, value, context))
}
