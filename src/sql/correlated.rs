//! Subqueries that meet the outer query in a member of a struct: `WHERE b.useridentity.arn = a.useridentity.arn`.
//!
//! DataFusion makes a join of an aggregate over such a subquery only where the subquery's side of the condition is
//! a column. So what is compared becomes one, below the condition.

use std::sync::Arc;

use datafusion::common::tree_node::Transformed;
use datafusion::common::{Column, Result};
use datafusion::logical_expr::utils::{conjunction, split_conjunction_owned};
use datafusion::logical_expr::{BinaryExpr, Expr, Filter, LogicalPlan, LogicalPlanBuilder, Operator};
use datafusion::optimizer::{ApplyOrder, OptimizerConfig, OptimizerRule};

/// The rule.
#[derive(Debug)]
pub(super) struct Correlated;

impl OptimizerRule for Correlated {
    fn name(&self) -> &'static str {
        "correlated_expressions_as_columns"
    }

    fn apply_order(&self) -> Option<ApplyOrder> {
        Some(ApplyOrder::BottomUp)
    }

    /// Only below nodes that choose among the columns, since there is one more.
    fn rewrite(&self, plan: LogicalPlan, config: &dyn OptimizerConfig) -> Result<Transformed<LogicalPlan>> {
        let input = match &plan {
            LogicalPlan::Aggregate(aggregate) => &aggregate.input,
            LogicalPlan::Projection(projection) => &projection.input,
            _ => return Ok(Transformed::no(plan)),
        };
        let LogicalPlan::Filter(filter) = input.as_ref() else { return Ok(Transformed::no(plan)) };
        let Some(filter) = with_columns(filter, config)? else { return Ok(Transformed::no(plan)) };
        Ok(Transformed::yes(plan.with_new_exprs(plan.expressions(), vec![filter])?))
    }
}

/// The filter over one more column for each side of an equation that is none; nothing if there is no such.
fn with_columns(filter: &Filter, config: &dyn OptimizerConfig) -> Result<Option<LogicalPlan>> {
    let mut columns: Vec<Expr> = Vec::new();
    let mut as_column = |side: Expr| {
        let name = config.alias_generator().next("__correlated");
        columns.push(side.alias(name.as_str()));
        Expr::Column(Column::from_name(name))
    };
    let conditions = split_conjunction_owned(filter.predicate.clone()).into_iter().map(|expr| match expr {
        Expr::BinaryExpr(BinaryExpr { left, op: Operator::Eq, right }) => {
            let (left, right) = match (left.contains_outer(), right.contains_outer()) {
                (false, true) if is_computed(&left) => (as_column(*left), *right),
                (true, false) if is_computed(&right) => (*left, as_column(*right)),
                _ => (*left, *right),
            };
            left.eq(right)
        }
        other => other,
    });
    let conditions: Vec<Expr> = conditions.collect();
    if columns.is_empty() {
        return Ok(None);
    }
    let all = filter.input.schema().iter().map(Expr::from).chain(columns);
    let input = LogicalPlanBuilder::from(Arc::unwrap_or_clone(Arc::clone(&filter.input))).project(all)?;
    match conjunction(conditions) {
        Some(predicate) => input.filter(predicate)?.build().map(Some),
        None => Ok(None),
    }
}

/// Whether an expression is of columns, and not one itself.
fn is_computed(expr: &Expr) -> bool {
    !matches!(expr, Expr::Column(_)) && expr.any_column_refs() && !expr.is_volatile()
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use crate::sql::testing::{answer, session};

    #[tokio::test]
    async fn an_aggregate_may_be_of_the_rows_with_the_same_member() {
        let rows = [("a", "1", "x"), ("a", "2", "y"), ("b", "3", "x"), ("c", "4", "z")].map(
            |(arn, time, name)| json!({"eventname": name, "eventtime": time, "useridentity": {"arn": arn}}),
        );
        let session = session(&rows);
        let sql = "SELECT useridentity.arn, (SELECT count(*) FROM cloudtrail_logs b
                WHERE b.useridentity.arn = a.useridentity.arn AND b.eventname <> 'z') AS n
            FROM cloudtrail_logs a WHERE eventtime IN ('1', '3', '4') ORDER BY 1";
        assert_eq!(answer(&session, sql).await, ["a,2", "b,1", "c,0"]);
        let sql = "SELECT eventtime FROM cloudtrail_logs a WHERE eventtime = (SELECT max(b.eventtime)
            FROM cloudtrail_logs b WHERE upper(b.useridentity.arn) = upper(a.useridentity.arn)) ORDER BY 1";
        assert_eq!(answer(&session, sql).await, ["2", "3", "4"]);
    }
}
