//! Subqueries in expressions whose rows come from the row outside alone: `(SELECT count(*) FROM UNNEST(resources)
//! AS t(r) WHERE r.type = 'AWS::S3::Object')`, `EXISTS (…)`, `x IN (…)`.
//!
//! DataFusion would make joins of them, and cannot where no table stands on the other side. Here each becomes a
//! function of the columns that it takes from outside, which is asked for a whole batch of rows at once.

use datafusion::common::tree_node::{Transformed, TreeNode, TreeNodeRecursion};
use datafusion::common::{Column, DFSchema, Result};
use datafusion::execution::SessionState;
use datafusion::logical_expr::expr::{Exists, InSubquery};
use datafusion::logical_expr::expr_rewriter::NamePreserver;
use datafusion::logical_expr::utils::{find_out_reference_exprs, merge_schema};
use datafusion::logical_expr::{Expr, LogicalPlan, Subquery, not};

use super::Call;
use super::per_row::{Kind, Template, Wanted};

/// The same plan with functions in the place of such subqueries.
pub(super) fn replace(plan: LogicalPlan, state: &SessionState) -> Result<LogicalPlan> {
    plan.transform_down_with_subqueries(|node| {
        let schema = merge_schema(&node.inputs());
        let names = NamePreserver::new(&node);
        node.map_expressions(|expr| {
            let name = names.save(&expr);
            let replaced = expr.transform_down(|expr| one(expr, &schema, state))?;
            Ok(replaced.update_data(|expr| name.restore(expr)))
        })
    })
    .map(|transformed| transformed.data)
}

fn one(expr: Expr, schema: &DFSchema, state: &SessionState) -> Result<Transformed<Expr>> {
    let outside = Outside { schema, state };
    let replaced = match &expr {
        Expr::ScalarSubquery(subquery) => outside.function(Kind::Scalar, subquery, None)?,
        Expr::Exists(Exists { subquery, negated }) => {
            let exists = outside.function(Kind::Exists, subquery, None)?;
            exists.map(|exists| if *negated { not(exists) } else { exists })
        }
        Expr::InSubquery(InSubquery { expr, subquery, negated }) => {
            let is_in = outside.function(Kind::In, subquery, Some(expr))?;
            is_in.map(|is_in| if *negated { not(is_in) } else { is_in })
        }
        _ => None,
    };
    Ok(match replaced {
        Some(function) => Transformed::new(function, true, TreeNodeRecursion::Jump),
        None => Transformed::no(expr),
    })
}

/// Where a subquery stands.
struct Outside<'a> {
    schema: &'a DFSchema,
    state: &'a SessionState,
}

impl Outside<'_> {
    /// The function that answers for a subquery; none for one that has rows from elsewhere.
    fn function(&self, kind: Kind, subquery: &Subquery, compared: Option<&Expr>) -> Result<Option<Expr>> {
        if !has_own_rows(&subquery.subquery)? {
            return Ok(None);
        }
        let mut arguments = self.references(&subquery.subquery)?;
        if arguments.is_empty() && subquery.outer_ref_columns.is_empty() {
            return Ok(None);
        }
        for column in compared.into_iter().flat_map(Expr::column_refs) {
            let column = Expr::Column(column.clone());
            if !arguments.contains(&column) {
                arguments.push(column);
            }
        }
        let wanted = Wanted { kind, subquery: &subquery.subquery, compared };
        let Some(template) = Template::new(&wanted, &arguments, self.schema)? else { return Ok(None) };
        // What is left is of a query further out, and goes through here.
        let further = template.open_references();
        if further.is_empty() {
            return template.function(self.state).map(|function| Some(function.call(arguments)));
        }
        arguments.extend(further);
        let Some(template) = Template::new(&wanted, &arguments, self.schema)? else { return Ok(None) };
        template.function(self.state).map(|function| Some(function.call(arguments)))
    }

    /// The columns out here that a subquery takes, also for subqueries within it.
    fn references(&self, subquery: &LogicalPlan) -> Result<Vec<Expr>> {
        let mut found: Vec<Expr> = Vec::new();
        subquery.apply_with_subqueries(|node| {
            node.apply_expressions(|expr| {
                for column in find_out_reference_exprs(expr).iter().filter_map(|expr| self.column(expr)) {
                    if !found.contains(&column) {
                        found.push(column);
                    }
                }
                Ok(TreeNodeRecursion::Continue)
            })
        })?;
        Ok(found)
    }

    fn column(&self, reference: &Expr) -> Option<Expr> {
        let Expr::OuterReferenceColumn(_, column) = reference else { return None };
        self.schema.has_column(column).then(|| Expr::Column(Column::clone(column)))
    }
}

/// Whether a plan reads no table, and has UNNEST or VALUES.
fn has_own_rows(plan: &LogicalPlan) -> Result<bool> {
    let (mut own, mut tables) = (false, false);
    plan.apply(|node| {
        own |= matches!(node, LogicalPlan::Values(_)) || Call::of(node).is_some();
        tables |= matches!(node, LogicalPlan::TableScan(_) | LogicalPlan::RecursiveQuery(_));
        Ok(TreeNodeRecursion::Continue)
    })?;
    Ok(own && !tables)
}
