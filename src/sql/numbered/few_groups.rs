//! The first of two aggregates, all of whose groups are texts that repeat: the number of a text is that of its group.
//!
//! DataFusion's aggregate hashes numbers as it hashes anything else, which takes more than all the rest of a count.

use std::collections::HashMap;
use std::fmt;
use std::sync::Arc;

use arrow::array::{Array, ArrayRef, AsArray, RecordBatch, StringViewArray};
use arrow::datatypes::SchemaRef;
use datafusion::common::tree_node::TreeNodeRecursion;
use datafusion::common::{Result, internal_datafusion_err, internal_err};
use datafusion::execution::{SendableRecordBatchStream, TaskContext};
use datafusion::logical_expr::{EmitTo, GroupsAccumulator};
use datafusion::physical_expr::PhysicalExpr;
use datafusion::physical_expr::aggregate::AggregateFunctionExpr;
use datafusion::physical_expr::expressions::Literal;
use datafusion::physical_plan::aggregates::{AggregateExec, AggregateMode};
use datafusion::physical_plan::execution_plan::{ChildrenPropertiesMode, ReplaceChildrenOptions};
use datafusion::physical_plan::metrics::{
    BaselineMetrics, ExecutionPlanMetricsSet, MetricsSet, RecordOutput,
};
use datafusion::physical_plan::stream::RecordBatchStreamAdapter;
use datafusion::physical_plan::{DisplayAs, DisplayFormatType, ExecutionPlan, PlanProperties};
use futures::{StreamExt, stream};

use super::Known;
use crate::remembered::Remembered;

/// Aggregates that keep a few bytes a group, so that nothing has to be spilled.
const SMALL: [&str; 5] = ["avg", "count", "max", "min", "sum"];

/// After a batch with which there are so many groups, they are passed on, and counted anew from the next.
const MOST_GROUPS: usize = 1 << 16;

/// An aggregate by texts that repeat.
#[derive(Debug)]
pub(super) struct FewGroups {
    aggregate: Arc<AggregateExec>,
    metrics: ExecutionPlanMetricsSet,
}

impl FewGroups {
    /// The same aggregate, of whose groups each text repeats. Nothing if it is not the first of two, or may
    /// have to keep much.
    pub(super) fn instead_of(aggregate: &AggregateExec) -> Option<Self> {
        let is_small = |aggregated: &Arc<AggregateFunctionExpr>| {
            SMALL.contains(&aggregated.fun().name())
                && !aggregated.is_distinct()
                && aggregated.order_bys().is_empty()
                && aggregated.groups_accumulator_supported()
        };
        let fits = *aggregate.mode() == AggregateMode::Partial && aggregate.aggr_expr().iter().all(is_small);
        fits.then(|| Self::of(Arc::new(aggregate.clone())))
    }

    fn of(aggregate: Arc<AggregateExec>) -> Self {
        Self { aggregate, metrics: ExecutionPlanMetricsSet::new() }
    }
}

impl DisplayAs for FewGroups {
    fn fmt_as(&self, format: DisplayFormatType, f: &mut fmt::Formatter) -> fmt::Result {
        if !matches!(format, DisplayFormatType::TreeRender) {
            write!(f, "Numbered")?;
        }
        self.aggregate.fmt_as(format, f)
    }
}

impl ExecutionPlan for FewGroups {
    fn name(&self) -> &'static str {
        "NumberedAggregateExec"
    }

    fn properties(&self) -> &Arc<PlanProperties> {
        self.aggregate.properties()
    }

    fn children(&self) -> Vec<&Arc<dyn ExecutionPlan>> {
        self.aggregate.children()
    }

    fn apply_expressions(
        &self,
        f: &mut dyn FnMut(&Arc<dyn PhysicalExpr>) -> Result<TreeNodeRecursion>,
    ) -> Result<TreeNodeRecursion> {
        self.aggregate.apply_expressions(f)
    }

    fn replace_children(
        self: Arc<Self>,
        children: Vec<Arc<dyn ExecutionPlan>>,
        options: ReplaceChildrenOptions,
    ) -> Result<Arc<dyn ExecutionPlan>> {
        let aggregate = self.aggregate.clone().replace_children(children, options)?;
        let Some(aggregate) = aggregate.downcast_ref::<AggregateExec>() else {
            return internal_err!("an aggregate with another child is an aggregate");
        };
        Ok(Arc::new(Self::of(Arc::new(aggregate.clone()))))
    }

    fn with_new_children(
        self: Arc<Self>,
        children: Vec<Arc<dyn ExecutionPlan>>,
    ) -> Result<Arc<dyn ExecutionPlan>> {
        self.replace_children(children, ReplaceChildrenOptions::new(ChildrenPropertiesMode::Recompute))
    }

    fn execute(&self, partition: usize, context: Arc<TaskContext>) -> Result<SendableRecordBatchStream> {
        let groups = Groups::of(&self.aggregate)?;
        let running = Running {
            rows: Some(self.aggregate.input().execute(partition, context)?),
            groups,
            metrics: BaselineMetrics::new(&self.metrics, partition),
        };
        let batches = stream::try_unfold(running, Running::next);
        Ok(Box::pin(RecordBatchStreamAdapter::new(self.schema(), batches)))
    }

    fn metrics(&self) -> Option<MetricsSet> {
        Some(self.metrics.clone_inner())
    }
}

/// A partition that is being aggregated.
struct Running {
    /// What is left of its rows.
    rows: Option<SendableRecordBatchStream>,
    groups: Groups,
    metrics: BaselineMetrics,
}

impl Running {
    /// The next groups, and what comes after them.
    async fn next(mut self) -> Result<Option<(RecordBatch, Self)>> {
        while let Some(rows) = &mut self.rows {
            let batch = rows.next().await.transpose()?;
            let timer = self.metrics.elapsed_compute().timer();
            match batch {
                Some(batch) => self.groups.add(&batch)?,
                None => self.rows = None,
            }
            let count = self.groups.count();
            if count >= MOST_GROUPS || (self.rows.is_none() && count > 0) {
                let groups = self.groups.take()?.record_output(&self.metrics);
                drop(timer);
                return Ok(Some((groups, self)));
            }
        }
        Ok(None)
    }
}

/// What is known of the groups of the rows so far.
struct Groups {
    schema: SchemaRef,
    by: Vec<Arc<dyn PhysicalExpr>>,
    numbers: Numbers,
    /// The group of each row of the last batch: room that the next one takes.
    of_rows: Vec<usize>,
    aggregated: Vec<Aggregated>,
}

struct Aggregated {
    arguments: Vec<Argument>,
    filter: Option<Arc<dyn PhysicalExpr>>,
    accumulator: Box<dyn GroupsAccumulator>,
}

/// What is aggregated: `count(*)` counts the rows of a constant, which need not be made for each batch.
struct Argument {
    expr: Arc<dyn PhysicalExpr>,
    constant: Option<ArrayRef>,
}

impl Argument {
    fn of(expr: Arc<dyn PhysicalExpr>) -> Self {
        Self { expr, constant: None }
    }

    fn of_rows(&mut self, batch: &RecordBatch) -> Result<ArrayRef> {
        let rows = batch.num_rows();
        if let Some(constant) = self.constant.as_ref().filter(|constant| constant.len() >= rows) {
            return Ok(constant.slice(0, rows));
        }
        let values = self.expr.evaluate(batch)?.into_array(rows)?;
        if self.expr.is::<Literal>() {
            self.constant = Some(values.clone());
        }
        Ok(values)
    }
}

impl Groups {
    fn of(aggregate: &AggregateExec) -> Result<Self> {
        let aggregated = aggregate.aggr_expr().iter().zip(aggregate.filter_expr());
        let aggregated = aggregated.map(|(aggregated, filter)| {
            let accumulator = aggregated.create_groups_accumulator()?;
            let arguments = aggregated.expressions().into_iter().map(Argument::of).collect();
            Ok(Aggregated { arguments, filter: filter.clone(), accumulator })
        });
        let by: Vec<_> = aggregate.group_expr().expr().iter().map(|(expr, _)| expr.clone()).collect();
        Ok(Self {
            schema: aggregate.schema(),
            numbers: Numbers::new(by.len()),
            of_rows: Vec::new(),
            by,
            aggregated: aggregated.collect::<Result<_>>()?,
        })
    }

    fn count(&self) -> usize {
        self.numbers.count()
    }

    fn add(&mut self, batch: &RecordBatch) -> Result<()> {
        let column = |expr: &Arc<dyn PhysicalExpr>| expr.evaluate(batch)?.into_array(batch.num_rows());
        let columns = self.by.iter().map(column).collect::<Result<Vec<_>>>()?;
        self.numbers.of_rows(&columns, &mut self.of_rows)?;
        for aggregated in &mut self.aggregated {
            let values = aggregated.arguments.iter_mut().map(|argument| argument.of_rows(batch));
            let values = values.collect::<Result<Vec<_>>>()?;
            let filter = aggregated.filter.as_ref().map(column).transpose()?;
            let filter = filter.as_ref().map(AsArray::as_boolean);
            aggregated.accumulator.update_batch(&values, &self.of_rows, filter, self.numbers.count())?;
        }
        Ok(())
    }

    /// The groups with what was aggregated, of which nothing is left.
    fn take(&mut self) -> Result<RecordBatch> {
        let numbers = std::mem::replace(&mut self.numbers, Numbers::new(self.by.len()));
        let mut columns = numbers.into_columns();
        for aggregated in &mut self.aggregated {
            columns.extend(aggregated.accumulator.state(EmitTo::All)?);
        }
        Ok(RecordBatch::try_new(self.schema.clone(), columns)?)
    }
}

/// The numbers of groups: of one column those of its texts, of each further one those of pairs of a group by the
/// columns before and a text.
struct Numbers {
    texts: Vec<Texts>,
    pairs: Vec<Pairs>,
}

impl Numbers {
    /// For so many columns, at least one.
    fn new(columns: usize) -> Self {
        Self {
            texts: (0..columns).map(|_| Texts::new()).collect(),
            pairs: (1..columns).map(|_| Pairs::new()).collect(),
        }
    }

    fn count(&self) -> usize {
        match self.pairs.last() {
            Some(pairs) => pairs.by_number.len(),
            None => self.texts.first().map_or(0, |texts| texts.known.texts.len()),
        }
    }

    /// Puts the group of each row into `groups`.
    fn of_rows(&mut self, columns: &[ArrayRef], groups: &mut Vec<usize>) -> Result<()> {
        let mut further = Vec::new();
        for (at, (texts, column)) in self.texts.iter_mut().zip(columns).enumerate() {
            let column = column
                .as_string_view_opt()
                .ok_or_else(|| internal_datafusion_err!("groups by {}", column.data_type()))?;
            match at.checked_sub(1) {
                None => texts.of_column(column, groups),
                Some(before) => {
                    texts.of_column(column, &mut further);
                    self.pairs[before].of_rows(groups, &further);
                }
            }
        }
        Ok(())
    }

    /// The texts of each group, column by column.
    fn into_columns(self) -> Vec<ArrayRef> {
        let mut groups: Vec<usize> = (0..self.count()).collect();
        let mut columns: Vec<ArrayRef> = Vec::with_capacity(self.texts.len());
        for (at, texts) in self.texts.iter().enumerate().rev() {
            let numbers = match at.checked_sub(1) {
                None => std::mem::take(&mut groups),
                Some(before) => {
                    let pairs = &self.pairs[before].by_number;
                    let (lefts, rights) = groups.iter().map(|group| pairs[*group]).unzip();
                    groups = lefts;
                    rights
                }
            };
            columns.push(Arc::new(texts.known.to_column(numbers.into_iter().map(Some))));
        }
        columns.reverse();
        columns
    }
}

/// The texts of a column, and of one of them what else is a group: that there is none.
struct Texts {
    remembered: Remembered<usize>,
    known: Known,
    null: Option<usize>,
}

impl Texts {
    fn new() -> Self {
        Self { remembered: Remembered::lasting(), known: Known::default(), null: None }
    }

    /// Puts the number of each row's text into `numbers`.
    fn of_column(&mut self, column: &StringViewArray, numbers: &mut Vec<usize>) {
        let Self { remembered, known, null } = self;
        let nulls = column.nulls().filter(|nulls| nulls.null_count() > 0);
        let null = nulls.map(|_| *null.get_or_insert_with(|| known.add(None)));
        remembered.go_on_with(column);
        let mut number = |(row, view): (usize, &u128)| {
            remembered.known(*view).unwrap_or_else(|| {
                let number = known.of_text(column.value(row));
                remembered.remember(*view, number);
                number
            })
        };
        numbers.clear();
        let views = column.views().iter().enumerate();
        match nulls.zip(null) {
            None => numbers.extend(views.map(number)),
            Some((nulls, null)) => {
                numbers.extend(views.map(|row| if nulls.is_valid(row.0) { number(row) } else { null }));
            }
        }
    }
}

/// Pairs of numbers in the order in which they came; their places are their numbers.
struct Pairs {
    remembered: Remembered<usize>,
    numbers: HashMap<(usize, usize), usize>,
    by_number: Vec<(usize, usize)>,
}

impl Pairs {
    fn new() -> Self {
        Self { remembered: Remembered::lasting(), numbers: HashMap::new(), by_number: Vec::new() }
    }

    /// Makes of each number on the left that of its pair with the one on the right.
    fn of_rows(&mut self, lefts: &mut [usize], rights: &[usize]) {
        for (left, right) in lefts.iter_mut().zip(rights) {
            let both = (*left as u128) << 64 | *right as u128;
            *left = self.remembered.known(both).unwrap_or_else(|| {
                let number = self.of_pair((*left, *right));
                self.remembered.remember(both, number);
                number
            });
        }
    }

    fn of_pair(&mut self, pair: (usize, usize)) -> usize {
        *self.numbers.entry(pair).or_insert_with(|| {
            self.by_number.push(pair);
            self.by_number.len() - 1
        })
    }
}

#[cfg(test)]
mod tests;
