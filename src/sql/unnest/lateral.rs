//! `CROSS JOIN LATERAL (SELECT …)` where the subquery only computes: over no table, over UNNEST, over VALUES.
//!
//! Such a subquery has its rows from the row beside it alone. So it needs no join: what it selects becomes
//! further columns, and what it leaves out with WHERE is left out.

use datafusion::common::{Column, DFSchema, JoinType, Result, TableReference};
use datafusion::logical_expr::{Expr, Join, LogicalPlan, LogicalPlanBuilder};

use super::{Call, resolved};

/// The columns of `left` and beside them those of a subquery of this kind; none for any other one.
pub(super) fn beside(subquery: &LogicalPlan, left: &LogicalPlan) -> Result<Option<LogicalPlan>> {
    if !refers(subquery) {
        return Ok(None);
    }
    Beside::new(left, None).attach(subquery)
}

/// Whether a plan has a subquery that refers to another query in it.
fn refers(plan: &LogicalPlan) -> bool {
    match plan {
        LogicalPlan::Subquery(subquery) => !subquery.outer_ref_columns.is_empty(),
        LogicalPlan::SubqueryAlias(alias) => refers(&alias.input),
        _ => false,
    }
}

/// Rows, beside which a subquery puts its own.
pub(super) struct Beside<'a> {
    pub(super) left: &'a LogicalPlan,
    /// The columns of the rows, which every step keeps in front of what it adds.
    pub(super) kept: Vec<Expr>,
    /// The column that tells the rows apart. Without one, each row of the subquery has to come from one row.
    pub(super) key: Option<Column>,
}

impl<'a> Beside<'a> {
    pub(super) fn new(left: &'a LogicalPlan, key: Option<Column>) -> Self {
        Self { left, kept: left.schema().iter().map(Expr::from).collect(), key }
    }

    /// The rows with those of a subquery beside each; none if it has rows from elsewhere.
    pub(super) fn attach(&self, plan: &LogicalPlan) -> Result<Option<LogicalPlan>> {
        match plan {
            LogicalPlan::Subquery(subquery) => self.attach(&subquery.subquery),
            LogicalPlan::EmptyRelation(empty) if empty.produce_one_row => Ok(Some(self.left.clone())),
            LogicalPlan::Values(_) => {
                let rows = LogicalPlanBuilder::from(self.left.clone());
                rows.cross_join(plan.clone())?.build().map(Some)
            }
            LogicalPlan::Extension(_) => match Call::of(plan) {
                Some(call) => call.beside(self.left.clone(), JoinType::Inner, LATERAL).map(Some),
                None => Ok(None),
            },
            LogicalPlan::Join(join) => self.attach_join(join),
            LogicalPlan::Filter(filter) => {
                let Some(input) = self.attach(&filter.input)? else { return Ok(None) };
                let condition = resolved(filter.predicate.clone(), input.schema())?;
                LogicalPlanBuilder::from(input).filter(condition)?.build().map(Some)
            }
            LogicalPlan::Projection(projection) => {
                let Some(input) = self.attach(&projection.input)? else { return Ok(None) };
                let exprs = projection.expr.iter().map(|expr| resolved(expr.clone(), input.schema()));
                self.project(&input, exprs.collect::<Result<Vec<_>>>()?, &projection.schema)
            }
            LogicalPlan::SubqueryAlias(alias) => {
                let Some(input) = self.attach(&alias.input)? else { return Ok(None) };
                self.project(&input, self.added(&input), &alias.schema)
            }
            other => self.attach_by_key(other),
        }
    }

    /// `UNNEST(a) AS t(x) CROSS JOIN UNNEST(x.b) AS u(y)`: one beside the other.
    fn attach_join(&self, join: &Join) -> Result<Option<LogicalPlan>> {
        let Some(call) = Call::of(&join.right) else { return Ok(None) };
        let condition = join.filter.as_ref().filter(|filter| !super::is_true(filter));
        let takes = match join.join_type {
            JoinType::Inner => true,
            JoinType::Left => condition.is_none(),
            _ => false,
        };
        if !takes || !join.on.is_empty() {
            return Ok(None);
        }
        let Some(input) = self.attach(&join.left)? else { return Ok(None) };
        let both = call.beside(input, join.join_type, LATERAL)?;
        Ok(Some(match condition {
            Some(condition) => {
                let condition = resolved(condition.clone(), both.schema())?;
                LogicalPlanBuilder::from(both).filter(condition)?.build()?
            }
            None => both,
        }))
    }

    /// What steps have put behind the columns of the rows.
    pub(super) fn added(&self, plan: &LogicalPlan) -> Vec<Expr> {
        plan.schema().iter().skip(self.kept.len()).map(Expr::from).collect()
    }

    /// The columns of the rows, and behind them some others under the names that they have in `schema`.
    pub(super) fn project(
        &self,
        input: &LogicalPlan,
        exprs: Vec<Expr>,
        schema: &DFSchema,
    ) -> Result<Option<LogicalPlan>> {
        let named = exprs.into_iter().zip(schema.iter());
        let named = named.map(|(expr, (qualifier, field))| named_as(expr, qualifier, field.name()));
        LogicalPlanBuilder::from(input.clone())
            .project(self.kept.iter().cloned().chain(named))?
            .build()
            .map(Some)
    }
}

/// Tells the columns of a lateral UNNEST from those of others.
const LATERAL: usize = usize::MAX;

fn named_as(expr: Expr, qualifier: Option<&TableReference>, name: &str) -> Expr {
    expr.alias_qualified(qualifier.cloned(), name)
}
