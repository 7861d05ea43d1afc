//! A subquery as a function of the columns that it takes from outside: for a batch of rows it is run once, over
//! all of them, each with its number, and gives each row its answer.

use std::fmt;
use std::future::Future;
use std::hash::{Hash, Hasher};
use std::pin::pin;
use std::sync::Arc;
use std::task::{Context, Poll, Waker};

use arrow::array::{
    Array, ArrayRef, AsArray, BooleanArray, Int64Array, RecordBatch, UInt64Array, new_null_array,
};
use arrow::compute::{concat, take};
use arrow::datatypes::{DataType, Field, FieldRef, Int64Type, Schema, SchemaRef};
use datafusion::common::tree_node::{Transformed, TreeNode};
use datafusion::common::{Column, DFSchema, Result, exec_datafusion_err, exec_err, internal_err};
use datafusion::datasource::{MemTable, provider_as_source};
use datafusion::execution::{SessionState, SessionStateBuilder};
use datafusion::logical_expr::expr::ScalarFunction;
use datafusion::logical_expr::{
    ColumnarValue, Expr, ExprSchemable, LogicalPlan, LogicalPlanBuilder, ReturnFieldArgs, ScalarFunctionArgs,
    ScalarUDF, ScalarUDFImpl, Signature, Volatility,
};
use datafusion::physical_plan::collect;

use super::lateral::Beside;

/// The batch, as the plan knows it, and in it the number of each row.
const ROWS: &str = "$rows";
const NUMBER: &str = "$row";

/// What is asked of a subquery.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) enum Kind {
    /// Its one value.
    Scalar,
    /// Whether it has a row.
    Exists,
    /// Whether something is among its values.
    In,
}

/// A subquery and the question.
pub(super) struct Wanted<'a> {
    pub(super) kind: Kind,
    pub(super) subquery: &'a LogicalPlan,
    /// What is looked for among its values.
    pub(super) compared: Option<&'a Expr>,
}

/// The function.
#[derive(Debug, PartialEq, Eq, Hash)]
pub(super) struct PerRow {
    kind: Kind,
    /// The numbers of rows, and what the subquery gives beside each.
    plan: LogicalPlan,
    gives: FieldRef,
    batch: SchemaRef,
    signature: Signature,
    state: Shared,
}

/// What plans are run in, which is no part of what the function is.
struct Shared(Arc<SessionState>);

/// The plan of a subquery for a batch, before it is a function.
pub(super) struct Template {
    kind: Kind,
    plan: LogicalPlan,
    batch: SchemaRef,
}

impl Template {
    /// The plan for a subquery with these arguments; none if it cannot be run by itself.
    pub(super) fn new(wanted: &Wanted<'_>, arguments: &[Expr], outside: &DFSchema) -> Result<Option<Self>> {
        let batch = batch(arguments, outside)?;
        let rows = rows(&batch, arguments)?;
        let key = Column::new_unqualified(NUMBER);
        let beside = Beside::new(&rows, Some(key.clone()));
        let Some(plan) = beside.attach(wanted.subquery)? else { return Ok(None) };
        let Some(value) = beside.added(&plan).into_iter().next() else { return Ok(None) };
        let value = match (wanted.kind, wanted.compared) {
            (Kind::In, Some(compared)) => compared.clone().eq(value),
            _ => value,
        };
        let columns = [Expr::Column(key), value.alias("$value")];
        let plan = LogicalPlanBuilder::from(plan).project(columns)?.build()?;
        Ok(Some(Self { kind: wanted.kind, plan, batch }))
    }

    /// What is neither in the subquery nor among the arguments.
    pub(super) fn open_references(&self) -> Vec<Expr> {
        self.plan.all_out_ref_exprs()
    }

    /// The function that runs it.
    pub(super) fn function(self, state: &SessionState) -> Result<PerRow> {
        let state = alone(state);
        let plan = state.optimize(&super::expand(self.plan, &state)?)?;
        let gives = match self.kind {
            Kind::Scalar => plan.schema().field(1).as_ref().clone().with_nullable(true),
            Kind::Exists | Kind::In => Field::new("", DataType::Boolean, true),
        };
        let signature = Signature::any(self.batch.fields().len() - 1, Volatility::Immutable);
        let (kind, batch, gives) = (self.kind, self.batch, Arc::new(gives));
        Ok(PerRow { kind, plan, gives, batch, signature, state: Shared(state) })
    }
}

impl PerRow {
    pub(super) fn call(self, arguments: Vec<Expr>) -> Expr {
        Expr::ScalarFunction(ScalarFunction::new_udf(Arc::new(ScalarUDF::from(self)), arguments))
    }

    /// What the subquery gives for the rows of a batch: to which of them, and what.
    fn run(&self, rows: RecordBatch) -> Result<(Vec<u64>, ArrayRef)> {
        let table = MemTable::try_new(rows.schema(), vec![vec![rows]])?;
        let source = provider_as_source(Arc::new(table));
        let plan = self.plan.clone().transform_up(|node| match node {
            LogicalPlan::TableScan(mut scan) if scan.table_name.table() == ROWS => {
                scan.source = Arc::clone(&source);
                Ok(Transformed::yes(LogicalPlan::TableScan(scan)))
            }
            other => Ok(Transformed::no(other)),
        })?;
        let state = &self.state.0;
        let answer = at_once(async {
            let plan = state.query_planner().create_physical_plan(&plan.data, state.as_ref()).await?;
            collect(plan, state.task_ctx()).await
        })?;
        let numbers =
            answer.iter().flat_map(|batch| batch.column(0).as_primitive::<Int64Type>().values().to_vec());
        let numbers = numbers.map(|number| u64::try_from(number).unwrap_or_default()).collect();
        let values: Vec<&dyn Array> = answer.iter().map(|batch| batch.column(1).as_ref()).collect();
        let values = match values.as_slice() {
            [] => new_null_array(self.plan.schema().field(1).data_type(), 0),
            values => concat(values)?,
        };
        Ok((numbers, values))
    }
}

/// The schema of a batch: the arguments, and the numbers of the rows.
fn batch(arguments: &[Expr], outside: &DFSchema) -> Result<SchemaRef> {
    let mut fields = vec![Field::new(NUMBER, DataType::Int64, false)];
    for (at, argument) in arguments.iter().enumerate() {
        let (_, field) = argument.to_field(outside)?;
        fields.push(field.as_ref().clone().with_name(format!("${at}")).with_nullable(true));
    }
    Ok(Arc::new(Schema::new(fields)))
}

/// The rows of a batch, with the names that the arguments have outside.
fn rows(batch: &SchemaRef, arguments: &[Expr]) -> Result<LogicalPlan> {
    let source = provider_as_source(Arc::new(MemTable::try_new(Arc::clone(batch), vec![vec![]])?));
    let scan = LogicalPlanBuilder::scan(ROWS, source, None)?;
    let stored = |name: &str| Expr::Column(Column::new(Some(ROWS), name));
    let mut columns = vec![stored(NUMBER).alias(NUMBER)];
    for (at, argument) in arguments.iter().enumerate() {
        let (Expr::Column(column) | Expr::OuterReferenceColumn(_, column)) = argument else {
            return internal_err!("a subquery takes columns, not {argument}");
        };
        let named = stored(&format!("${at}")).alias_qualified(column.relation.clone(), column.name.as_str());
        columns.push(named);
    }
    scan.project(columns)?.build()
}

/// The session, but with everything in one piece: what is in memory already is not handed to other threads.
fn alone(state: &SessionState) -> Arc<SessionState> {
    // It has the session's catalog, in the place of which it would otherwise put an empty one.
    let config = state.config().clone().with_create_default_catalog_and_schema(false);
    let config = config.with_target_partitions(1);
    Arc::new(SessionStateBuilder::new_from_existing(state.clone()).with_config(config).build())
}

/// The outcome of work that waits for nothing outside, since all it reads is in memory.
fn at_once<T>(work: impl Future<Output = Result<T>>) -> Result<T> {
    /// How often work may ask to be called again before it is taken to wait for somebody else.
    const CALLS: usize = 1 << 20;
    // Unconstrained: here nobody would renew what tokio allows a task to do in one go.
    let mut work = pin!(tokio::task::coop::unconstrained(work));
    let mut context = Context::from_waker(Waker::noop());
    for _ in 0..CALLS {
        if let Poll::Ready(outcome) = work.as_mut().poll(&mut context) {
            return outcome;
        }
    }
    exec_err!("NOT_SUPPORTED: a subquery over UNNEST that reads tables as well")
}

impl ScalarUDFImpl for PerRow {
    fn name(&self) -> &'static str {
        "$subquery"
    }

    fn signature(&self) -> &Signature {
        &self.signature
    }

    fn return_type(&self, _: &[DataType]) -> Result<DataType> {
        Ok(self.gives.data_type().clone())
    }

    fn return_field_from_args(&self, _: ReturnFieldArgs) -> Result<FieldRef> {
        Ok(Arc::clone(&self.gives))
    }

    fn invoke_with_args(&self, args: ScalarFunctionArgs) -> Result<ColumnarValue> {
        let number = i64::try_from(args.number_rows).map_err(|_| exec_datafusion_err!("too many rows"))?;
        let mut columns: Vec<ArrayRef> = vec![Arc::new(Int64Array::from_iter_values(0..number))];
        for (value, field) in args.args.iter().zip(self.batch.fields().iter().skip(1)) {
            let column = value.to_array(args.number_rows)?;
            columns.push(arrow::compute::cast(&column, field.data_type())?);
        }
        let (numbers, values) = self.run(RecordBatch::try_new(Arc::clone(&self.batch), columns)?)?;
        let answer = match self.kind {
            Kind::Scalar => scalar(&numbers, &values, args.number_rows)?,
            Kind::Exists => exists(&numbers, args.number_rows),
            Kind::In => is_in(&numbers, values.as_boolean(), args.number_rows),
        };
        Ok(ColumnarValue::Array(answer))
    }
}

/// The value of each row, and NULL for a row without one.
fn scalar(numbers: &[u64], values: &ArrayRef, rows: usize) -> Result<ArrayRef> {
    let mut places: Vec<Option<u64>> = vec![None; rows];
    for (place, row) in (0..).zip(numbers) {
        if let Some(taken) = places.get_mut(usize::try_from(*row).unwrap_or(usize::MAX))
            && taken.replace(place).is_some()
        {
            return exec_err!("SUBQUERY_MULTIPLE_ROWS: Scalar sub-query has returned multiple rows");
        }
    }
    Ok(take(values, &UInt64Array::from(places), None)?)
}

fn exists(numbers: &[u64], rows: usize) -> ArrayRef {
    let mut found = vec![false; rows];
    for row in numbers {
        if let Some(found) = found.get_mut(usize::try_from(*row).unwrap_or(usize::MAX)) {
            *found = true;
        }
    }
    Arc::new(BooleanArray::from(found))
}

/// True where one of the values is equal, and else NULL where that is not known of one.
fn is_in(numbers: &[u64], equal: &BooleanArray, rows: usize) -> ArrayRef {
    let mut found: Vec<Option<bool>> = vec![Some(false); rows];
    for (row, equal) in numbers.iter().zip(equal) {
        if let Some(found) = found.get_mut(usize::try_from(*row).unwrap_or(usize::MAX)) {
            *found = match (*found, equal) {
                (Some(true), _) | (_, Some(true)) => Some(true),
                (None, _) | (_, None) => None,
                _ => Some(false),
            };
        }
    }
    Arc::new(BooleanArray::from(found))
}

impl fmt::Debug for Shared {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("session")
    }
}

impl PartialEq for Shared {
    fn eq(&self, _: &Self) -> bool {
        true
    }
}

impl Eq for Shared {}

impl Hash for Shared {
    fn hash<H: Hasher>(&self, _: &mut H) {}
}
