//! What stands behind AND and OR is computed only for the rows that it decides, as in Trino.
//!
//! `regexp_like(x, '^\d+$') AND CAST(x AS bigint) > 5` is no error where `x` is `abc`. DataFusion computes both
//! sides for all rows of a batch, and the conditions of a filter in an order of its own. So what may fail is put
//! behind the rest with CASE, which does keep to the rows that reach it. It is done last, once conditions have
//! been pushed down and have told which files to skip; those that cannot fail stay what they are.

use std::collections::VecDeque;

use datafusion::common::tree_node::{Transformed, TreeNode, TreeNodeRecursion};
use datafusion::common::{DFSchema, Result};
use datafusion::logical_expr::expr_rewriter::NamePreserver;
use datafusion::logical_expr::utils::{conjunction, merge_schema, split_conjunction_owned};
use datafusion::logical_expr::{BinaryExpr, Expr, Filter, LogicalPlan, Operator, lit, when};

use self::fallible::{fails_only_as, has_subquery, may_fail};

mod fallible;

/// The same plan, in which nothing fails for rows that other conditions have ruled out.
pub(super) fn in_order(plan: LogicalPlan) -> Result<LogicalPlan> {
    Ok(plan.transform_up_with_subqueries(node)?.data)
}

fn node(plan: LogicalPlan) -> Result<Transformed<LogicalPlan>> {
    let schema = match plan.inputs().as_slice() {
        [] => return Ok(Transformed::no(plan)),
        inputs => merge_schema(inputs),
    };
    match plan {
        LogicalPlan::Filter(filter) => {
            let predicate = conditions(filter.predicate, &schema)?;
            Ok(Transformed::yes(LogicalPlan::Filter(Filter::try_new(predicate, filter.input)?)))
        }
        LogicalPlan::Join(mut join) => {
            join.filter = join.filter.map(|filter| conditions(filter, &schema)).transpose()?;
            Ok(Transformed::yes(LogicalPlan::Join(join)))
        }
        plan => {
            let names = NamePreserver::new(&plan);
            plan.map_expressions(|expr| {
                let name = names.save(&expr);
                Ok(operators(expr, &schema)?.update_data(|expr| name.restore(expr)))
            })
        }
    }
}

/// The conditions of a filter, for which NULL is as good as false. Those that cannot fail come first, in whatever
/// order, and each other one is asked only of rows that pass all before it.
fn conditions(predicate: Expr, schema: &DFSchema) -> Result<Expr> {
    let all = split_conjunction_owned(predicate).into_iter();
    let all: Vec<Expr> = all.map(|expr| Ok(operators(expr, schema)?.data)).collect::<Result<_>>()?;
    let is_sure = |expr: &Expr| has_subquery(expr) || (!expr.is_volatile() && !may_fail(expr, schema));
    let (mut sure, unsure): (Vec<Expr>, Vec<Expr>) = all.into_iter().partition(is_sure);
    let mut groups: Vec<Expr> = Vec::new();
    for expr in unsure {
        match groups.last_mut() {
            Some(before) if fails_only_as(&expr, before, schema) => *before = before.clone().and(expr),
            _ => groups.push(expr),
        }
    }
    let guards = conjunction(sure.iter().filter(|expr| !has_subquery(expr)).cloned());
    let mut chain: Option<Expr> = None;
    for group in groups.into_iter().rev() {
        chain = Some(behind(group, chain)?);
    }
    if let Some(unsure) = chain {
        sure.push(match guards {
            Some(guards) => behind(guards, Some(unsure))?,
            None => unsure,
        });
    }
    Ok(conjunction(sure).unwrap_or_else(|| lit(true)))
}

/// A condition, and another that is asked only where it holds.
fn behind(first: Expr, then: Option<Expr>) -> Result<Expr> {
    match then {
        Some(then) => when(first, then).otherwise(lit(false)),
        None => Ok(first),
    }
}

/// Every AND and OR in an expression, with what may fail behind the rest.
fn operators(expr: Expr, schema: &DFSchema) -> Result<Transformed<Expr>> {
    expr.transform_down(|expr| {
        let Expr::BinaryExpr(BinaryExpr { op: op @ (Operator::And | Operator::Or), .. }) = &expr else {
            return Ok(Transformed::no(expr));
        };
        let op = *op;
        let mut changed = false;
        let mut operands = Vec::new();
        for operand in flat(expr, op) {
            let operand = operators(operand, schema)?;
            changed |= operand.transformed;
            operands.push(operand.data);
        }
        if operands[1..].iter().any(|operand| may_fail(operand, schema)) {
            let (chained, guarded) = chain(operands, op, schema)?;
            return Ok(Transformed::new(chained, changed | guarded, TreeNodeRecursion::Jump));
        }
        Ok(Transformed::new(joined(operands, op), changed, TreeNodeRecursion::Jump))
    })
}

/// The operands of a chain of one operator.
fn flat(expr: Expr, op: Operator) -> Vec<Expr> {
    let mut operands = Vec::new();
    let mut left = VecDeque::from([expr]);
    while let Some(expr) = left.pop_front() {
        match expr {
            Expr::BinaryExpr(binary) if binary.op == op => {
                left.push_front(*binary.right);
                left.push_front(*binary.left);
            }
            other => operands.push(other),
        }
    }
    operands
}

fn joined(operands: Vec<Expr>, op: Operator) -> Expr {
    operands.into_iter().reduce(|left, right| binary(left, op, right)).unwrap_or_else(|| lit(true))
}

fn binary(left: Expr, op: Operator, right: Expr) -> Expr {
    Expr::BinaryExpr(BinaryExpr::new(Box::new(left), op, Box::new(right)))
}

/// The operands from the last to the first, each asked only where those before it leave the answer open.
fn chain(operands: Vec<Expr>, op: Operator, schema: &DFSchema) -> Result<(Expr, bool)> {
    let mut operands = operands.into_iter().rev();
    let mut rest = operands.next().unwrap_or_else(|| lit(true));
    let mut guarded = false;
    for left in operands {
        if !may_fail(&rest, schema) || fails_only_as(&rest, &left, schema) {
            rest = binary(left, op, rest);
            continue;
        }
        guarded = true;
        let (decided, answer) = match op {
            Operator::And => (left.clone().is_false(), lit(false)),
            _ => (left.clone().is_true(), lit(true)),
        };
        rest = when(decided, answer).otherwise(binary(left, op, rest))?;
    }
    Ok((rest, guarded))
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use crate::sql::testing::{answer, session};

    async fn ask(sql: &str) -> Vec<String> {
        let rows = ["a", "b", "3", "4", "5", "600"].map(|text| json!({"eventname": text, "eventid": "1"}));
        answer(&session(&rows), sql).await
    }

    #[tokio::test]
    async fn a_condition_that_fails_is_asked_only_of_rows_that_pass_the_others() {
        let from = "SELECT eventname FROM cloudtrail_logs WHERE";
        let order = "ORDER BY eventname";
        let digits = r"regexp_like(eventname, '^\d+$')";
        let number = "CAST(eventname AS bigint)";
        for (condition, expected) in [
            (format!("{digits} AND {number} > 3"), vec!["4", "5", "600"]),
            (format!("{number} > 3 AND {digits}"), vec!["4", "5", "600"]),
            (format!("{digits} AND {number} BETWEEN 4 AND 5"), vec!["4", "5"]),
            ("length(eventname) = 3 AND CAST(substr(eventname, 2) AS bigint) = 0".to_owned(), vec!["600"]),
            (format!("NOT {digits} OR {number} > 5"), vec!["600", "a", "b"]),
            (format!("NOT ({digits} AND {number} > 3)"), vec!["3", "a", "b"]),
            (format!("{digits} AND {number} <> 4 AND 12 / ({number} - 4) > 0"), vec!["5"]),
        ] {
            assert_eq!(ask(&format!("{from} {condition} {order}")).await, expected, "{condition}");
        }
    }

    #[tokio::test]
    async fn what_is_selected_keeps_null_apart_from_false() {
        let sql = r"SELECT regexp_like(eventname, '^\d') AND CAST(eventname AS bigint) > 3,
            NOT regexp_like(eventname, '^\d') OR CAST(eventname AS bigint) > 3,
            errorcode = 'x' AND eventname = 'a', errorcode = 'x' OR CAST(eventname AS varchar) = 'a'
            FROM cloudtrail_logs WHERE eventname IN ('a', '3', '4') ORDER BY eventname";
        assert_eq!(ask(sql).await, ["false,false,false,", "true,true,false,", "false,true,,true"]);
    }

    #[tokio::test]
    async fn many_alternatives_that_may_fail_do_not_grow_the_plan_beyond_them() {
        let one = |number: usize| format!("CAST(substr(eventname, {number}) AS bigint) = {number}");
        let alternatives: Vec<_> = (1..60).map(one).collect();
        let sql = format!(
            r"SELECT count(*) FROM cloudtrail_logs WHERE eventname = '5' AND (eventid = '1' OR {})",
            alternatives.join(" OR ")
        );
        assert_eq!(ask(&sql).await, ["1"]);
    }
}
