//! Two kinds of joins that DataFusion 55.2 does not manage by itself.
//!
//! Keys that are made of members of structs, `ON lower(a.useridentity.arn) = lower(b.useridentity.arn)`: the member
//! is taken out early, and then looked for without the name of its table.
//!
//! Lambdas in the condition of a join of everything with everything: what needs one side alone is computed
//! beforehand, and the parameters of the lambda are lost over it.

use std::sync::Arc;

use datafusion::common::config::ConfigOptions;
use datafusion::common::tree_node::{Transformed, TreeNode, TreeNodeRecursion};
use datafusion::common::{Column, DFSchema, Result};
use datafusion::logical_expr::{Expr, LogicalPlan};
use datafusion::physical_expr::{HigherOrderFunctionExpr, PhysicalExpr};
use datafusion::physical_optimizer::PhysicalOptimizerRule;
use datafusion::physical_optimizer::optimizer::PhysicalOptimizer;
use datafusion::physical_plan::ExecutionPlan;
use datafusion::physical_plan::joins::NestedLoopJoinExec;

/// The same plan, in which the keys of joins name the tables of their columns.
pub(super) fn with_qualified_keys(plan: LogicalPlan) -> Result<LogicalPlan> {
    let plan = plan.transform_up_with_subqueries(|plan| {
        let LogicalPlan::Join(mut join) = plan else { return Ok(Transformed::no(plan)) };
        for (left, right) in &mut join.on {
            *left = qualified(left.clone(), join.left.schema())?;
            *right = qualified(right.clone(), join.right.schema())?;
        }
        Ok(Transformed::yes(LogicalPlan::Join(join)))
    })?;
    Ok(plan.data)
}

fn qualified(key: Expr, schema: &DFSchema) -> Result<Expr> {
    let key = key.transform(|expr| {
        let at = match &expr {
            Expr::Column(column) if column.relation.is_none() => schema.maybe_index_of_column(column),
            _ => None,
        };
        Ok(match at {
            Some(at) => Transformed::yes(Expr::Column(Column::from(schema.qualified_field(at)))),
            None => Transformed::no(expr),
        })
    })?;
    Ok(key.data)
}

/// The rule that takes conditions apart.
const RULE: &str = "ProjectionPushdown";

type Rule = Arc<dyn PhysicalOptimizerRule + Send + Sync>;

/// DataFusion's rules, of which one leaves such plans alone.
pub(super) fn rules() -> Vec<Rule> {
    let careful = |rule: Rule| if rule.name() == RULE { Arc::new(Careful(rule)) as Rule } else { rule };
    PhysicalOptimizer::default().rules.into_iter().map(careful).collect()
}

#[derive(Debug)]
struct Careful(Rule);

impl PhysicalOptimizerRule for Careful {
    fn optimize(
        &self,
        plan: Arc<dyn ExecutionPlan>,
        config: &ConfigOptions,
    ) -> Result<Arc<dyn ExecutionPlan>> {
        let has_lambda = plan.exists(|node| Ok(joins_by_lambda(node)))?;
        if has_lambda { Ok(plan) } else { self.0.optimize(plan, config) }
    }

    fn name(&self) -> &str {
        self.0.name()
    }

    fn schema_check(&self) -> bool {
        self.0.schema_check()
    }
}

fn joins_by_lambda(node: &Arc<dyn ExecutionPlan>) -> bool {
    let join = node.downcast_ref::<NestedLoopJoinExec>();
    join.and_then(NestedLoopJoinExec::filter).is_some_and(|filter| has_lambda(filter.expression()))
}

fn has_lambda(expr: &Arc<dyn PhysicalExpr>) -> bool {
    let mut found = false;
    let _ = expr.apply(|inner| {
        found |= inner.downcast_ref::<HigherOrderFunctionExpr>().is_some();
        Ok(if found { TreeNodeRecursion::Stop } else { TreeNodeRecursion::Continue })
    });
    found
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use crate::sql::testing::{answer, session};

    #[tokio::test]
    async fn keys_may_be_made_of_members() {
        let rows = ["A", "a", "b"].map(|arn| json!({"eventname": arn, "useridentity": {"arn": arn}}));
        let sql = "SELECT a.eventname, b.eventname FROM cloudtrail_logs a LEFT JOIN cloudtrail_logs b
            ON lower(a.useridentity.arn) = lower(b.useridentity.arn) AND b.eventname <> a.eventname ORDER BY 1";
        assert_eq!(answer(&session(&rows), sql).await, ["A,a", "a,A", "b,"]);
    }

    #[tokio::test]
    async fn a_lambda_may_read_both_sides_of_a_join() {
        let rows = ["a", "b", "ab"].map(|name| json!({"eventname": name, "eventid": name}));
        let sql = "SELECT a.eventname, b.eventname FROM cloudtrail_logs a JOIN cloudtrail_logs b
            ON any_match(ARRAY['a', 'b'], x -> x = a.eventname AND x || 'b' = b.eventname) ORDER BY 1, 2";
        assert_eq!(answer(&session(&rows), sql).await, ["a,ab"]);
        let sql = "SELECT count(*) FROM cloudtrail_logs a LEFT JOIN cloudtrail_logs b
            ON any_match(ARRAY['a', 'b'], x -> strpos(a.eventname, x) > 0 AND strpos(b.eventname, x) > 0)
            AND a.eventid <> b.eventid";
        assert_eq!(answer(&session(&rows), sql).await, ["4"]);
    }
}
