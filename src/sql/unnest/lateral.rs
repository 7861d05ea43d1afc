//! `CROSS JOIN LATERAL (SELECT …)` where the subquery only computes: over no table, or over UNNEST.
//!
//! Such a subquery has its rows from the row beside it alone. So it needs no join: what it selects becomes
//! further columns, and what it leaves out with WHERE is left out.

use datafusion::common::{DFSchema, JoinType, Result};
use datafusion::logical_expr::{Expr, LogicalPlan, LogicalPlanBuilder};

use super::{Call, resolved};

/// The columns of `left` and beside them those of a subquery of this kind; none for any other one.
pub(super) fn beside(subquery: &LogicalPlan, left: &LogicalPlan) -> Result<Option<LogicalPlan>> {
    if !refers(subquery) {
        return Ok(None);
    }
    let kept: Vec<Expr> = left.schema().iter().map(Expr::from).collect();
    attach(subquery, left, &kept)
}

/// Whether a plan has a subquery that refers to another query in it.
fn refers(plan: &LogicalPlan) -> bool {
    match plan {
        LogicalPlan::Subquery(subquery) => !subquery.outer_ref_columns.is_empty(),
        LogicalPlan::SubqueryAlias(alias) => refers(&alias.input),
        _ => false,
    }
}

fn attach(plan: &LogicalPlan, left: &LogicalPlan, kept: &[Expr]) -> Result<Option<LogicalPlan>> {
    match plan {
        LogicalPlan::Subquery(subquery) => attach(&subquery.subquery, left, kept),
        LogicalPlan::EmptyRelation(empty) if empty.produce_one_row => Ok(Some(left.clone())),
        LogicalPlan::Extension(_) => match Call::of(plan) {
            Some(call) => call.beside(left.clone(), JoinType::Inner, LATERAL).map(Some),
            None => Ok(None),
        },
        LogicalPlan::Filter(filter) => {
            let Some(input) = attach(&filter.input, left, kept)? else { return Ok(None) };
            let condition = resolved(filter.predicate.clone(), input.schema())?;
            LogicalPlanBuilder::from(input).filter(condition)?.build().map(Some)
        }
        LogicalPlan::Projection(projection) => {
            let Some(input) = attach(&projection.input, left, kept)? else { return Ok(None) };
            let exprs =
                projection.expr.iter().zip(projection.schema.iter()).map(|(expr, (qualifier, field))| {
                    Ok(named(resolved(expr.clone(), input.schema())?, qualifier, field.name()))
                });
            project(&input, kept, exprs.collect::<Result<Vec<_>>>()?)
        }
        LogicalPlan::SubqueryAlias(alias) => {
            let Some(input) = attach(&alias.input, left, kept)? else { return Ok(None) };
            let inner: Vec<Expr> = columns_beside(input.schema(), kept.len());
            let exprs = inner.into_iter().zip(alias.schema.iter());
            let exprs = exprs.map(|(column, (qualifier, field))| named(column, qualifier, field.name()));
            project(&input, kept, exprs.collect())
        }
        _ => Ok(None),
    }
}

/// Tells the columns of a lateral UNNEST from those of others.
const LATERAL: usize = usize::MAX;

fn named(expr: Expr, qualifier: Option<&datafusion::common::TableReference>, name: &str) -> Expr {
    expr.alias_qualified(qualifier.cloned(), name)
}

/// The columns behind the first ones.
fn columns_beside(schema: &DFSchema, first: usize) -> Vec<Expr> {
    schema.iter().skip(first).map(Expr::from).collect()
}

fn project(input: &LogicalPlan, kept: &[Expr], beside: Vec<Expr>) -> Result<Option<LogicalPlan>> {
    let exprs = kept.iter().cloned().chain(beside);
    LogicalPlanBuilder::from(input.clone()).project(exprs)?.build().map(Some)
}
