//! The rows of a plan, each event once.

use std::collections::HashMap;
use std::fmt;
use std::sync::Arc;

use arrow::array::{Array, ArrayRef, AsArray, BooleanArray, RecordBatch, StringViewArray};
use arrow::compute::{cast, filter_record_batch};
use arrow::datatypes::{DataType, Int32Type};
use datafusion::common::tree_node::TreeNodeRecursion;
use datafusion::common::{DataFusionError, Result, exec_datafusion_err, internal_err};
use datafusion::execution::{SendableRecordBatchStream, TaskContext};
use datafusion::physical_expr::PhysicalExpr;
use datafusion::physical_plan::execution_plan::{
    ChildrenPropertiesMode, EmissionType, ReplaceChildrenOptions,
};
use datafusion::physical_plan::stream::RecordBatchStreamAdapter;
use datafusion::physical_plan::{
    DisplayAs, DisplayFormatType, ExecutionPlan, ExecutionPlanProperties, PlanProperties,
};
use futures::{StreamExt, TryStreamExt};
use tokio::sync::OnceCell;
use tokio::task::JoinSet;

use super::ids::{Firsts, Id, Met, Place};
use super::{KEY, PLACE};

/// Lets a row of each event pass.
pub(super) struct DistinctExec {
    rows: Arc<dyn ExecutionPlan>,
    /// The same rows with only what tells the first of an event's rows, if it matters which is shown.
    places: Option<Arc<dyn ExecutionPlan>>,
    properties: Arc<PlanProperties>,
    shared: Arc<Shared>,
}

/// What the partitions of one run know together.
struct Shared {
    met: Met,
    firsts: OnceCell<Firsts>,
}

impl DistinctExec {
    pub(super) fn new(rows: Arc<dyn ExecutionPlan>, places: Option<Arc<dyn ExecutionPlan>>) -> Self {
        let emission = if places.is_some() { EmissionType::Final } else { EmissionType::Incremental };
        let properties = PlanProperties::new(
            rows.equivalence_properties().clone(),
            rows.output_partitioning().clone(),
            emission,
            rows.boundedness(),
        );
        let shared = Shared { met: Met::new(), firsts: OnceCell::new() };
        Self { rows, places, properties: Arc::new(properties), shared: Arc::new(shared) }
    }
}

impl fmt::Debug for DistinctExec {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("DistinctExec")
            .field("rows", &self.rows)
            .field("places", &self.places)
            .finish_non_exhaustive()
    }
}

impl DisplayAs for DistinctExec {
    fn fmt_as(&self, _: DisplayFormatType, f: &mut fmt::Formatter) -> fmt::Result {
        let which = if self.places.is_some() { "first by log_file, record_index" } else { "any" };
        write!(f, "DistinctEventsExec: {which}")
    }
}

impl ExecutionPlan for DistinctExec {
    fn name(&self) -> &'static str {
        "DistinctEventsExec"
    }

    fn properties(&self) -> &Arc<PlanProperties> {
        &self.properties
    }

    fn maintains_input_order(&self) -> Vec<bool> {
        vec![true; self.children().len()]
    }

    fn benefits_from_input_partitioning(&self) -> Vec<bool> {
        vec![false; self.children().len()]
    }

    fn children(&self) -> Vec<&Arc<dyn ExecutionPlan>> {
        std::iter::once(&self.rows).chain(&self.places).collect()
    }

    fn apply_expressions(
        &self,
        _: &mut dyn FnMut(&Arc<dyn PhysicalExpr>) -> Result<TreeNodeRecursion>,
    ) -> Result<TreeNodeRecursion> {
        Ok(TreeNodeRecursion::Continue)
    }

    fn replace_children(
        self: Arc<Self>,
        children: Vec<Arc<dyn ExecutionPlan>>,
        _: ReplaceChildrenOptions,
    ) -> Result<Arc<dyn ExecutionPlan>> {
        let mut children = children.into_iter();
        if let (Some(rows), places) = (children.next(), children.next())
            && places.is_some() == self.places.is_some()
        {
            return Ok(Arc::new(Self::new(rows, places)));
        }
        internal_err!("DistinctEventsExec has other children")
    }

    fn with_new_children(
        self: Arc<Self>,
        children: Vec<Arc<dyn ExecutionPlan>>,
    ) -> Result<Arc<dyn ExecutionPlan>> {
        self.replace_children(children, ReplaceChildrenOptions::new(ChildrenPropertiesMode::Recompute))
    }

    fn execute(&self, partition: usize, context: Arc<TaskContext>) -> Result<SendableRecordBatchStream> {
        let rows = self.rows.execute(partition, context.clone())?;
        let shared = self.shared.clone();
        let schema = self.schema();
        let Some(places) = self.places.clone() else {
            let stream = rows.map(move |batch| shared.unmet(&batch?));
            return Ok(Box::pin(RecordBatchStreamAdapter::new(schema, stream)));
        };
        let stream = futures::stream::once(async move {
            shared.firsts.get_or_try_init(|| find_firsts(places, context)).await?;
            let mut numbers = HashMap::new();
            Ok::<_, DataFusionError>(rows.map(move |batch| {
                let Some(firsts) = shared.firsts.get() else {
                    return internal_err!("the first rows are known");
                };
                only_firsts(firsts, &batch?, &mut numbers)
            }))
        });
        Ok(Box::pin(RecordBatchStreamAdapter::new(schema, stream.try_flatten())))
    }
}

impl Shared {
    /// The rows of events that were not met before.
    fn unmet(&self, batch: &RecordBatch) -> Result<RecordBatch> {
        let ids = Ids::of(batch)?;
        let new = (0..batch.num_rows()).map(|row| Some(ids.id(row).is_none_or(|id| self.met.is_new(id))));
        filter(batch, &new.collect())
    }
}

/// Where the first row of each event is: all partitions at once.
async fn find_firsts(places: Arc<dyn ExecutionPlan>, context: Arc<TaskContext>) -> Result<Firsts> {
    let firsts = Arc::new(Firsts::new());
    let mut partitions = JoinSet::new();
    for partition in 0..places.output_partitioning().partition_count() {
        let mut batches = places.execute(partition, context.clone())?;
        let firsts = firsts.clone();
        partitions.spawn(async move {
            let mut numbers = HashMap::new();
            while let Some(batch) = batches.try_next().await? {
                note_firsts(&firsts, &batch, &mut numbers)?;
            }
            Ok::<_, DataFusionError>(())
        });
    }
    while let Some(ended) = partitions.join_next().await {
        ended.map_err(|error| DataFusionError::External(error.into()))??;
    }
    Arc::into_inner(firsts).ok_or_else(|| exec_datafusion_err!("a partition has not ended"))
}

/// The numbers of log files that a partition has met.
type Numbers = HashMap<String, u32>;

fn note_firsts(firsts: &Firsts, batch: &RecordBatch, numbers: &mut Numbers) -> Result<()> {
    let (ids, places) = (Ids::of(batch)?, Places::of(batch)?);
    for row in 0..batch.num_rows() {
        if let Some(id) = ids.id(row) {
            firsts.note(id, places.place(row, firsts, numbers));
        }
    }
    Ok(())
}

fn only_firsts(firsts: &Firsts, batch: &RecordBatch, numbers: &mut Numbers) -> Result<RecordBatch> {
    let (ids, places) = (Ids::of(batch)?, Places::of(batch)?);
    let mut is_first =
        |row| ids.id(row).is_none_or(|id| firsts.is_first(&id, places.place(row, firsts, numbers)));
    let first: BooleanArray = (0..batch.num_rows()).map(|row| Some(is_first(row))).collect();
    filter(batch, &first)
}

fn filter(batch: &RecordBatch, wanted: &BooleanArray) -> Result<RecordBatch> {
    if !wanted.has_false() {
        return Ok(batch.clone());
    }
    Ok(filter_record_batch(batch, wanted)?)
}

/// The columns that tell events apart.
struct Ids {
    accounts: StringViewArray,
    event_ids: StringViewArray,
}

impl Ids {
    fn of(batch: &RecordBatch) -> Result<Self> {
        let [account, event_id] = KEY;
        Ok(Self { accounts: text(batch, account)?, event_ids: text(batch, event_id)? })
    }

    /// Nothing for a record without an id.
    fn id(&self, row: usize) -> Option<Id> {
        let account = self.accounts.is_valid(row).then(|| self.accounts.value(row));
        self.event_ids.is_valid(row).then(|| Id::of(account, self.event_ids.value(row)))
    }
}

/// The columns that tell an event's rows apart.
struct Places {
    log_files: StringViewArray,
    indexes: ArrayRef,
}

impl Places {
    fn of(batch: &RecordBatch) -> Result<Self> {
        let [log_file, record_index] = PLACE;
        let indexes = cast(column(batch, record_index)?, &DataType::Int32)?;
        Ok(Self { log_files: text(batch, log_file)?, indexes })
    }

    fn place(&self, row: usize, firsts: &Firsts, numbers: &mut Numbers) -> Place {
        let log_file = if self.log_files.is_valid(row) { self.log_files.value(row) } else { "" };
        let number = numbers.get(log_file).copied().unwrap_or_else(|| {
            let number = firsts.number(log_file);
            numbers.insert(log_file.to_owned(), number);
            number
        });
        (number, self.indexes.as_primitive::<Int32Type>().value(row))
    }
}

fn column<'a>(batch: &'a RecordBatch, name: &str) -> Result<&'a ArrayRef> {
    batch.column_by_name(name).ok_or_else(|| exec_datafusion_err!("events without {name}"))
}

fn text(batch: &RecordBatch, name: &str) -> Result<StringViewArray> {
    Ok(cast(column(batch, name)?, &DataType::Utf8View)?.as_string_view().clone())
}
