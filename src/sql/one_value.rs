//! Scalar subqueries that refer to the outer query and are no aggregate: `(SELECT name FROM accounts WHERE id = account)`.
//!
//! Trino takes them, and fails if there are two rows for one outside. DataFusion makes joins of aggregates only. So the
//! value becomes one: the only one, or with `ORDER BY … LIMIT 1` the first.

use std::sync::Arc;

use datafusion::common::tree_node::{Transformed, TreeNode};
use datafusion::common::{Column, Result};
use datafusion::functions_aggregate::expr_fn::first_value;
use datafusion::logical_expr::expr::Sort;
use datafusion::logical_expr::expr_rewriter::NamePreserver;
use datafusion::logical_expr::{Expr, FetchType, Limit, LogicalPlan, LogicalPlanBuilder, SkipType, Subquery};

use super::functions::single;

/// The same plan, in which such subqueries are aggregates.
pub(super) fn aggregated(plan: LogicalPlan) -> Result<LogicalPlan> {
    plan.transform_down_with_subqueries(|node| {
        let names = NamePreserver::new(&node);
        node.map_expressions(|expr| {
            let name = names.save(&expr);
            Ok(expr.transform_down(one)?.update_data(|expr| name.restore(expr)))
        })
    })
    .map(|transformed| transformed.data)
}

fn one(expr: Expr) -> Result<Transformed<Expr>> {
    let Expr::ScalarSubquery(subquery) = &expr else { return Ok(Transformed::no(expr)) };
    if subquery.outer_ref_columns.is_empty() || has_one_row(&subquery.subquery) {
        return Ok(Transformed::no(expr));
    }
    let plan = match first(&subquery.subquery)? {
        Some(plan) => plan,
        None => only(&subquery.subquery)?,
    };
    let subquery = Subquery { subquery: Arc::new(plan), ..subquery.clone() };
    Ok(Transformed::yes(Expr::ScalarSubquery(subquery)))
}

/// Whether a plan is an aggregate of everything, or an expression of one.
fn has_one_row(plan: &LogicalPlan) -> bool {
    match plan {
        LogicalPlan::Aggregate(aggregate) => aggregate.group_expr.is_empty(),
        LogicalPlan::Projection(_)
        | LogicalPlan::SubqueryAlias(_)
        | LogicalPlan::Filter(_)
        | LogicalPlan::Sort(_)
        | LogicalPlan::Limit(_) => plan.inputs().iter().all(|input| has_one_row(input)),
        _ => false,
    }
}

fn only(plan: &LogicalPlan) -> Result<LogicalPlan> {
    let value = Expr::Column(Column::from(plan.schema().qualified_field(0)));
    let nothing: [Expr; 0] = [];
    LogicalPlanBuilder::from(plan.clone()).aggregate(nothing, [single().call(vec![value])])?.build()
}

/// The first value by the order of `… ORDER BY … LIMIT 1`.
fn first(plan: &LogicalPlan) -> Result<Option<LogicalPlan>> {
    let LogicalPlan::Limit(limit) = plan else { return Ok(None) };
    if !is_first_row(limit)? {
        return Ok(None);
    }
    let (value, order, input): (Expr, Vec<Sort>, &Arc<LogicalPlan>) = match limit.input.as_ref() {
        LogicalPlan::Sort(sort) => {
            let value = Expr::Column(Column::from(sort.input.schema().qualified_field(0)));
            (value, sort.expr.clone(), &sort.input)
        }
        LogicalPlan::Projection(projection) => match projection.input.as_ref() {
            LogicalPlan::Sort(sort) => (projection.expr[0].clone(), sort.expr.clone(), &sort.input),
            _ => (projection.expr[0].clone(), Vec::new(), &projection.input),
        },
        other => (Expr::Column(Column::from(other.schema().qualified_field(0))), Vec::new(), &limit.input),
    };
    let nothing: [Expr; 0] = [];
    let input = LogicalPlanBuilder::from(input.as_ref().clone());
    input.aggregate(nothing, [first_value(value.unalias(), order)])?.build().map(Some)
}

fn is_first_row(limit: &Limit) -> Result<bool> {
    let (skip, fetch) = (limit.get_skip_type()?, limit.get_fetch_type()?);
    Ok(matches!((skip, fetch), (SkipType::Literal(0), FetchType::Literal(Some(1)))))
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use crate::sql::testing::{answer, session};

    #[tokio::test]
    async fn a_subquery_may_look_one_row_up() {
        let rows = [("1", "x", "a"), ("2", "y", "a"), ("3", "z", "b")]
            .map(|(id, name, host)| json!({"eventid": id, "eventname": name, "sourceipaddress": host}));
        let session = session(&rows);
        let sql = "SELECT eventid, (SELECT b.eventname FROM cloudtrail_logs b WHERE b.eventid = a.eventid)
            FROM cloudtrail_logs a ORDER BY 1";
        assert_eq!(answer(&session, sql).await, ["1,x", "2,y", "3,z"]);
        let sql = "SELECT eventid, (SELECT b.eventname FROM cloudtrail_logs b WHERE b.sourceipaddress = a.sourceipaddress
            ORDER BY b.eventid DESC LIMIT 1) FROM cloudtrail_logs a ORDER BY 1";
        assert_eq!(answer(&session, sql).await, ["1,y", "2,y", "3,z"]);
        let sql =
            "SELECT (SELECT b.eventname FROM cloudtrail_logs b WHERE b.sourceipaddress = a.sourceipaddress)
            FROM cloudtrail_logs a";
        let error = session.collect(sql, &[]).await.unwrap_err().to_string();
        assert!(error.starts_with("SUBQUERY_MULTIPLE_ROWS"), "{error}");
    }
}
