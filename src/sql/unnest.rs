//! `CROSS JOIN UNNEST(array, …) [WITH ORDINALITY] AS t(a, …)`, with the columns of what it is joined to.
//!
//! DataFusion plans it as a subquery that refers to the outer query, and cannot run that. Here the call is
//! planned as a node of its own, which then takes the join's place: the arrays become columns of the left
//! side, and these are unnested.

use std::cmp::Ordering;
use std::fmt;
use std::sync::Arc;

use arrow::datatypes::{DataType, Field};
use datafusion::common::tree_node::{Transformed, TreeNode, TreeNodeRecursion};
use datafusion::common::{
    Column, DFSchema, DFSchemaRef, JoinType, NullHandling, Result, ScalarValue, TableReference,
    UnnestOptions, internal_err, plan_err,
};
use datafusion::execution::SessionState;
use datafusion::functions::expr_fn::coalesce;
use datafusion::functions::expr_fn::{get_field, greatest};
use datafusion::functions_nested::expr_fn::{array_length, gen_series, map_entries};
use datafusion::logical_expr::planner::{
    PlannedRelation, RelationPlanner, RelationPlannerContext, RelationPlanning,
};
use datafusion::logical_expr::{
    Expr, ExprSchemable, Extension, Join, LogicalPlan, LogicalPlanBuilder, UserDefinedLogicalNodeCore, cast,
    lit, when,
};
use datafusion::sql::sqlparser::ast::{TableAlias, TableFactor};

mod by_key;
mod lateral;
mod per_row;
mod subquery;

/// Plans UNNEST in FROM.
#[derive(Debug)]
pub(super) struct UnnestPlanner;

impl RelationPlanner for UnnestPlanner {
    fn plan_relation(
        &self,
        relation: TableFactor,
        context: &mut dyn RelationPlannerContext,
    ) -> Result<RelationPlanning> {
        let TableFactor::UNNEST { alias, array_exprs, with_ordinality, with_offset: false, .. } = relation
        else {
            return Ok(RelationPlanning::Original(Box::new(relation)));
        };
        let nothing = DFSchema::empty();
        let arguments = array_exprs
            .into_iter()
            .map(|expr| context.sql_expr_to_logical_expr(expr, &nothing))
            .collect::<Result<Vec<_>>>()?;
        let call = Call::new(arguments, with_ordinality, alias.as_ref())?;
        let plan = LogicalPlan::Extension(Extension { node: Arc::new(call) });
        Ok(RelationPlanning::Planned(Box::new(PlannedRelation::new(plan, None))))
    }
}

/// Puts what can be run in the place of every call in `plan`.
pub(super) fn expand(plan: LogicalPlan, state: &SessionState) -> Result<LogicalPlan> {
    let plan = subquery::replace(plan, state)?;
    let mut number = 0;
    let mut expand = |node: LogicalPlan| {
        let mut columns = |left, call: &Call, join| {
            number += 1;
            call.beside(left, join, number)
        };
        match node {
            LogicalPlan::Join(Join { left, right, join_type, filter, on, .. })
                if Call::of(&right).is_some() && matches!(join_type, JoinType::Inner | JoinType::Left) =>
            {
                let Some(call) = Call::of(&right) else { return internal_err!("UNNEST without a call") };
                let condition = filter.filter(|filter| !is_true(filter));
                if !on.is_empty() || (join_type == JoinType::Left && condition.is_some()) {
                    return plan_err!("NOT_SUPPORTED: LEFT JOIN UNNEST takes the condition ON TRUE only");
                }
                let plan = columns(Arc::unwrap_or_clone(left), call, join_type)?;
                let plan = match condition {
                    Some(condition) => LogicalPlanBuilder::from(plan).filter(condition)?.build()?,
                    None => plan,
                };
                Ok(Transformed::yes(plan))
            }
            LogicalPlan::Join(join) if Call::of(&join.right).is_some() => {
                plan_err!("NOT_SUPPORTED: UNNEST can be joined by CROSS JOIN, INNER JOIN and LEFT JOIN")
            }
            LogicalPlan::Join(Join { left, right, join_type: JoinType::Inner, filter, on, .. })
                if on.is_empty()
                    && matches!(&*right, LogicalPlan::Subquery(_) | LogicalPlan::SubqueryAlias(_)) =>
            {
                let Some(beside) = lateral::beside(&right, &left)? else {
                    let join = LogicalPlanBuilder::from(Arc::unwrap_or_clone(left)).join_on(
                        Arc::unwrap_or_clone(right),
                        JoinType::Inner,
                        filter,
                    )?;
                    return Ok(Transformed::no(join.build()?));
                };
                Ok(Transformed::yes(match filter.filter(|filter| !is_true(filter)) {
                    Some(condition) => LogicalPlanBuilder::from(beside).filter(condition)?.build()?,
                    None => beside,
                }))
            }
            LogicalPlan::Extension(extension) => match extension.node.as_any().downcast_ref::<Call>() {
                Some(call) => {
                    let one_row = LogicalPlanBuilder::empty(true).build()?;
                    Ok(Transformed::yes(columns(one_row, call, JoinType::Inner)?))
                }
                None => Ok(Transformed::no(LogicalPlan::Extension(extension))),
            },
            node => Ok(Transformed::no(node)),
        }
    };
    // A join that was replaced may have another one on its left, and that one is below the replacement.
    plan.transform_down_with_subqueries(|node| {
        let result = expand(node)?;
        Ok(Transformed::new(result.data, result.transformed, TreeNodeRecursion::Continue))
    })
    .map(|transformed| transformed.data)
}

fn is_true(expr: &Expr) -> bool {
    matches!(expr, Expr::Literal(ScalarValue::Boolean(Some(true)), _))
}

/// A column of the answer: what it takes of which argument.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd)]
struct Output {
    argument: usize,
    /// The member of each element; without one, the element.
    member: Option<String>,
}

/// A call of UNNEST, not yet beside the table whose columns it may use.
#[derive(Debug, PartialEq, Eq, Hash)]
struct Call {
    arguments: Vec<Expr>,
    outputs: Vec<Output>,
    ordinality: bool,
    schema: DFSchemaRef,
}

impl PartialOrd for Call {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        self.outputs.partial_cmp(&other.outputs)
    }
}

impl Call {
    fn new(arguments: Vec<Expr>, ordinality: bool, alias: Option<&TableAlias>) -> Result<Self> {
        let aliases: Vec<String> = alias
            .map(|alias| alias.columns.iter().map(|column| column.name.value.clone()).collect())
            .unwrap_or_default();
        let elements = arguments.iter().map(element).collect::<Result<Vec<_>>>()?;
        let expanded: Vec<(Output, Field)> =
            elements.iter().enumerate().flat_map(|(at, element)| members(at, element)).collect();
        let whole: Vec<(Output, Field)> = elements
            .iter()
            .enumerate()
            .map(|(argument, element)| (Output { argument, member: None }, element.clone()))
            .collect();
        let extra = usize::from(ordinality);
        let chosen = if aliases.is_empty() || aliases.len() == expanded.len() + extra {
            expanded
        } else if aliases.len() == whole.len() + extra && arguments.len() == aliases.len() - extra {
            // One name for an element that is a row: the row itself.
            whole
        } else {
            let table = alias.map_or("UNNEST", |alias| alias.name.value.as_str());
            return plan_err!(
                "MISMATCHED_COLUMN_ALIASES: Column alias list has {} entries but '{table}' has {} columns available",
                aliases.len(),
                expanded.len() + extra
            );
        };
        let (outputs, mut fields): (Vec<_>, Vec<_>) = chosen.into_iter().unzip();
        if ordinality {
            fields.push(Field::new("ordinality", DataType::Int64, true));
        }
        let qualifier = alias.map(|alias| TableReference::bare(alias.name.value.clone()));
        let named = fields.into_iter().enumerate().map(|(at, field)| {
            let name = aliases.get(at).cloned().unwrap_or_else(|| field.name().clone());
            (qualifier.clone(), Arc::new(field.with_name(name)))
        });
        let schema = DFSchema::new_with_metadata(named.collect(), std::collections::HashMap::new())?;
        Ok(Self { arguments, outputs, ordinality, schema: Arc::new(schema) })
    }

    /// The call that the right side of a join is, if it is one.
    fn of(plan: &LogicalPlan) -> Option<&Self> {
        match plan {
            LogicalPlan::Extension(extension) => extension.node.as_any().downcast_ref(),
            LogicalPlan::Subquery(subquery) => Self::of(&subquery.subquery),
            LogicalPlan::SubqueryAlias(alias) => Self::of(&alias.input),
            _ => None,
        }
    }

    /// The columns of `left`, and beside each row what the arrays of that row hold.
    fn beside(&self, left: LogicalPlan, join: JoinType, number: usize) -> Result<LogicalPlan> {
        let arrays = self
            .arguments
            .iter()
            .map(|argument| {
                let list = as_list(resolved(argument.clone(), left.schema())?, left.schema())?;
                Ok(if join == JoinType::Left { null_if_empty(list)? } else { list })
            })
            .collect::<Result<Vec<_>>>()?;
        let kept: Vec<Expr> = left.schema().iter().map(Expr::from).collect();
        let name = |at: usize| format!("$unnest{number}_{at}");
        let mut lists: Vec<Expr> =
            arrays.iter().enumerate().map(|(at, list)| list.clone().alias(name(at))).collect();
        if self.ordinality {
            lists.push(ordinals(&arrays)?.alias(name(arrays.len())));
        }
        let unnested: Vec<Column> = (0..lists.len()).map(|at| Column::new_unqualified(name(at))).collect();
        let handling = if join == JoinType::Left { NullHandling::Preserve } else { NullHandling::Drop };
        let options = UnnestOptions::new().with_null_handling(handling);
        let fields = self.schema.iter().zip(self.outputs.iter().map(Some).chain([None]));
        let shown = fields.map(|((qualifier, field), output)| {
            let column = |at: usize| Expr::Column(Column::new_unqualified(name(at)));
            let value = match output {
                Some(Output { argument, member: Some(member) }) => {
                    get_field(column(*argument), member.as_str())
                }
                Some(Output { argument, member: None }) => column(*argument),
                None => column(arrays.len()),
            };
            value.alias_qualified(qualifier.cloned(), field.name())
        });
        LogicalPlanBuilder::from(left)
            .project(kept.iter().cloned().chain(lists))?
            .unnest_columns_with_options(unnested, options)?
            .project(kept.iter().cloned().chain(shown))?
            .build()
    }
}

/// What the elements of an argument are.
fn element(argument: &Expr) -> Result<Field> {
    match argument.get_type(&DFSchema::empty())? {
        DataType::List(element) | DataType::LargeList(element) | DataType::FixedSizeList(element, _) => {
            Ok(element.as_ref().clone())
        }
        DataType::Map(entries, _) => Ok(entries.as_ref().clone()),
        DataType::Null => Ok(Field::new("element", DataType::Null, true)),
        other => plan_err!("TYPE_MISMATCH: Cannot unnest type: {}", super::types::type_name(&other)),
    }
}

/// The columns that the elements of an argument make: the members of a row, the key and the value of a map.
fn members(argument: usize, element: &Field) -> Vec<(Output, Field)> {
    match element.data_type() {
        DataType::Struct(fields) => fields
            .iter()
            .map(|field| {
                let output = Output { argument, member: Some(field.name().clone()) };
                (output, field.as_ref().clone().with_nullable(true))
            })
            .collect(),
        _ => {
            vec![(Output { argument, member: None }, element.clone().with_name(format!("$unnest{argument}")))]
        }
    }
}

/// The argument with the columns of the table beside it in place of references to an outer query.
fn resolved(argument: Expr, schema: &DFSchema) -> Result<Expr> {
    let resolve = |expr: Expr| match expr {
        Expr::OuterReferenceColumn(_, column) if schema.has_column(&column) => {
            Ok(Transformed::yes(Expr::Column(column)))
        }
        other => Ok(Transformed::no(other)),
    };
    argument.transform(resolve).map(|transformed| transformed.data)
}

fn as_list(argument: Expr, schema: &DFSchema) -> Result<Expr> {
    Ok(match argument.get_type(schema)? {
        DataType::Map(..) => map_entries(argument),
        DataType::Null => {
            let nothing = DataType::List(Arc::new(Field::new_list_field(DataType::Null, true)));
            lit(ScalarValue::try_from(&nothing)?)
        }
        _ => argument,
    })
}

/// LEFT JOIN keeps a row whose array is empty like one whose array is NULL.
fn null_if_empty(list: Expr) -> Result<Expr> {
    when(length(list.clone()).gt(lit(0_i64)), list).end()
}

fn length(list: Expr) -> Expr {
    coalesce(vec![cast(array_length(list), DataType::Int64), lit(0_i64)])
}

/// 1, 2, … as far as the longest of the arrays goes.
fn ordinals(arrays: &[Expr]) -> Result<Expr> {
    let lengths: Vec<Expr> = arrays.iter().cloned().map(length).collect();
    let longest = if let [only] = lengths.as_slice() { only.clone() } else { greatest(lengths) };
    when(longest.clone().gt(lit(0_i64)), gen_series(lit(1_i64), longest, lit(1_i64))).end()
}

impl UserDefinedLogicalNodeCore for Call {
    fn name(&self) -> &'static str {
        "UnnestCall"
    }

    fn inputs(&self) -> Vec<&LogicalPlan> {
        Vec::new()
    }

    fn schema(&self) -> &DFSchemaRef {
        &self.schema
    }

    fn expressions(&self) -> Vec<Expr> {
        self.arguments.clone()
    }

    fn fmt_for_explain(&self, f: &mut fmt::Formatter) -> fmt::Result {
        write!(f, "UnnestCall")
    }

    fn with_exprs_and_inputs(&self, arguments: Vec<Expr>, _: Vec<LogicalPlan>) -> Result<Self> {
        let (outputs, schema) = (self.outputs.clone(), Arc::clone(&self.schema));
        Ok(Self { arguments, outputs, ordinality: self.ordinality, schema })
    }
}
