//! DataFusion takes members out of structs early, so that only they are read. Where a view shows columns made
//! of one another it cannot, and says so with an error; then the structs are read whole.

use std::sync::Arc;

use datafusion::common::Result;
use datafusion::common::tree_node::Transformed;
use datafusion::logical_expr::LogicalPlan;
use datafusion::optimizer::{ApplyOrder, OptimizerConfig, OptimizerRule};

/// The rules that take members out early.
const RULES: [&str; 2] = ["extract_leaf_expressions", "push_down_leaf_projections"];

type Rule = Arc<dyn OptimizerRule + Send + Sync>;

/// The rule, which leaves a plan alone where it fails, if it is one of these.
pub(super) fn tolerant(rule: Rule) -> Rule {
    if RULES.contains(&rule.name()) { Arc::new(Tolerant(rule)) } else { rule }
}

#[derive(Debug)]
struct Tolerant(Rule);

impl OptimizerRule for Tolerant {
    fn name(&self) -> &str {
        self.0.name()
    }

    fn apply_order(&self) -> Option<ApplyOrder> {
        self.0.apply_order()
    }

    fn rewrite(&self, plan: LogicalPlan, config: &dyn OptimizerConfig) -> Result<Transformed<LogicalPlan>> {
        self.0.rewrite(plan.clone(), config).or_else(|error| {
            tracing::debug!(rule = self.name(), %error, "structs are read whole");
            Ok(Transformed::no(plan))
        })
    }
}
