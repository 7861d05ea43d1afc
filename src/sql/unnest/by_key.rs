//! The steps of a subquery that look at all rows it has beside one row: aggregates, DISTINCT, LIMIT, windows.

use std::sync::Arc;

use datafusion::common::tree_node::{Transformed, TreeNode};
use datafusion::common::{Column, DFSchema, JoinType, Result};
use datafusion::functions_window::expr_fn::row_number;
use datafusion::logical_expr::expr::{AggregateFunction, Sort};
use datafusion::logical_expr::{
    Aggregate, Distinct, Expr, ExprFunctionExt, ExprSchemable, FetchType, Limit, LogicalPlan,
    LogicalPlanBuilder, SkipType, Window, lit, when,
};

use super::lateral::Beside;
use super::resolved;

/// What the key is called where the rows are grouped by it, and what the place of a row is called.
const GROUP: &str = "$group";
const PLACE: &str = "$place";

impl Beside<'_> {
    pub(super) fn attach_by_key(&self, plan: &LogicalPlan) -> Result<Option<LogicalPlan>> {
        let Some(key) = &self.key else { return Ok(None) };
        match plan {
            // The order says which rows a LIMIT takes, and nothing else.
            LogicalPlan::Sort(sort) if sort.fetch.is_none() => self.attach(&sort.input),
            LogicalPlan::Aggregate(aggregate) => self.attach_aggregate(aggregate, key),
            LogicalPlan::Distinct(Distinct::All(input)) => {
                let Some(input) = self.attach(input)? else { return Ok(None) };
                self.grouped(&input, self.added(&input), Vec::new(), key, plan.schema())
            }
            LogicalPlan::Limit(limit) => self.attach_limit(limit, key),
            LogicalPlan::Window(window) => self.attach_window(window, key),
            _ => Ok(None),
        }
    }

    fn attach_aggregate(&self, aggregate: &Aggregate, key: &Column) -> Result<Option<LogicalPlan>> {
        let sets = |expr: &Expr| matches!(expr, Expr::GroupingSet(_));
        if aggregate.group_expr.iter().any(sets) {
            return Ok(None);
        }
        let Some(input) = self.attach(&aggregate.input)? else { return Ok(None) };
        let all = |exprs: &[Expr]| -> Result<Vec<Expr>> {
            exprs.iter().map(|expr| resolved(expr.clone(), input.schema())).collect()
        };
        let (groups, aggregates) = (all(&aggregate.group_expr)?, all(&aggregate.aggr_expr)?);
        self.grouped(&input, groups, aggregates, key, &aggregate.schema)
    }

    /// The rows beside the groups that each has. Aggregates of everything are there also beside a row without any.
    fn grouped(
        &self,
        input: &LogicalPlan,
        groups: Vec<Expr>,
        aggregates: Vec<Expr>,
        key: &Column,
        schema: &DFSchema,
    ) -> Result<Option<LogicalPlan>> {
        let total = groups.is_empty();
        let keys: Vec<Expr> = std::iter::once(Expr::Column(key.clone())).chain(groups).collect();
        let nothing =
            aggregates.iter().map(|expr| of_nothing(expr, input.schema())).collect::<Result<Vec<_>>>()?;
        let grouped = LogicalPlanBuilder::from(input.clone()).aggregate(keys, aggregates)?.build()?;
        let columns = grouped.schema().iter().map(Expr::from);
        let name = |at: usize| if at == 0 { GROUP.to_owned() } else { format!("{GROUP}{at}") };
        let columns: Vec<Expr> = columns.enumerate().map(|(at, column)| column.alias(name(at))).collect();
        let number = columns.len();
        let grouped = LogicalPlanBuilder::from(grouped).project(columns)?.build()?;
        let column = |at: usize| Expr::Column(Column::new_unqualified(name(at)));
        let join = if total { JoinType::Left } else { JoinType::Inner };
        let keys = (vec![key.clone()], vec![Column::new_unqualified(GROUP)]);
        let both = LogicalPlanBuilder::from(self.left.clone()).join(grouped, join, keys, None)?.build()?;
        let added = (1..number).map(|at| match nothing.get(at - 1) {
            Some(Some(nothing)) if total => when(column(0).is_null(), nothing.clone()).otherwise(column(at)),
            _ => Ok(column(at)),
        });
        self.project(&both, added.collect::<Result<_>>()?, schema)
    }

    fn attach_limit(&self, limit: &Limit, key: &Column) -> Result<Option<LogicalPlan>> {
        // Below what is selected, where what it is ordered by still is.
        if let LogicalPlan::Projection(projection) = limit.input.as_ref() {
            let mut projection = projection.clone();
            let below = Limit { input: projection.input, ..limit.clone() };
            projection.input = Arc::new(LogicalPlan::Limit(below));
            return self.attach(&LogicalPlan::Projection(projection));
        }
        let (SkipType::Literal(skip), FetchType::Literal(fetch)) =
            (limit.get_skip_type()?, limit.get_fetch_type()?)
        else {
            return Ok(None);
        };
        let (below, order): (_, &[Sort]) = match limit.input.as_ref() {
            LogicalPlan::Sort(sort) => (&sort.input, &sort.expr),
            _ => (&limit.input, &[]),
        };
        let Some(input) = self.attach(below)? else { return Ok(None) };
        let order = order
            .iter()
            .map(|sort| Ok(Sort { expr: resolved(sort.expr.clone(), input.schema())?, ..sort.clone() }));
        let order = order.collect::<Result<Vec<_>>>()?;
        let place = row_number().partition_by(vec![Expr::Column(key.clone())]).order_by(order).build()?;
        let added = self.added(&input);
        let all: Vec<Expr> = input.schema().iter().map(Expr::from).collect();
        let place_of = |plan: &LogicalPlan| plan.schema().iter().last().map(Expr::from);
        let numbered = LogicalPlanBuilder::window_plan(input.clone(), vec![place])?;
        let Some(number) = place_of(&numbered) else { return Ok(None) };
        let numbered = LogicalPlanBuilder::from(numbered)
            .project(all.into_iter().chain([number.alias(PLACE)]))?
            .build()?;
        let number = Expr::Column(Column::new_unqualified(PLACE));
        let first = u64::try_from(skip).unwrap_or_default();
        let mut wanted = number.clone().gt(lit(first));
        if let Some(fetch) = fetch {
            wanted = wanted.and(number.lt_eq(lit(first.saturating_add(fetch as u64))));
        }
        let limited = LogicalPlanBuilder::from(numbered).filter(wanted)?.build()?;
        self.project(&limited, added, limit.input.schema())
    }

    fn attach_window(&self, window: &Window, key: &Column) -> Result<Option<LogicalPlan>> {
        let Some(input) = self.attach(&window.input)? else { return Ok(None) };
        let by_key = |expr: Expr| match expr {
            Expr::WindowFunction(mut function) => {
                function.params.partition_by.push(Expr::Column(key.clone()));
                Ok(Transformed::yes(Expr::WindowFunction(function)))
            }
            other => Ok(Transformed::no(other)),
        };
        let exprs = window
            .window_expr
            .iter()
            .map(|expr| Ok(resolved(expr.clone(), input.schema())?.transform_up(by_key)?.data));
        let exprs = exprs.collect::<Result<Vec<_>>>()?;
        let added = self.added(&input).len();
        let plan = LogicalPlanBuilder::window_plan(input, exprs)?;
        let columns = self.added(&plan);
        debug_assert_eq!(columns.len(), added + window.window_expr.len());
        self.project(&plan, columns, &window.schema)
    }
}

/// What an aggregate says of no rows at all, if that is not NULL.
fn of_nothing(aggregate: &Expr, schema: &DFSchema) -> Result<Option<Expr>> {
    let value = match aggregate {
        Expr::Alias(alias) => return of_nothing(&alias.expr, schema),
        Expr::AggregateFunction(AggregateFunction { func, .. }) => {
            func.default_value(&aggregate.get_type(schema)?)?
        }
        _ => return Ok(None),
    };
    Ok((!value.is_null()).then(|| lit(value)))
}
