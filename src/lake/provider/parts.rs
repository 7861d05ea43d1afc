//! A scan in parts: files all of whose rows have one verdict that is known get its words, and nothing is read
//! for it. The rows of others are looked up, among a few exceptions or among all log files of their days.

use std::collections::BTreeMap;
use std::sync::Arc;

use arrow::array::{Array, AsArray, RecordBatch};
use arrow::datatypes::{Field, Schema};
use datafusion::catalog::Session;
use datafusion::common::{DFSchema, Result, ScalarValue};
use datafusion::logical_expr::Expr;
use datafusion::logical_expr::utils::conjunction;
use datafusion::physical_plan::ExecutionPlan;
use datafusion::physical_plan::filter::FilterExecBuilder;

use super::LakeTable;
use crate::integrity::{Verdict, Verdicts};
use crate::lake::derived::{Derived, Origin, Outcomes};
use crate::lake::settled::Common;

/// What a query wants of a table.
pub(super) struct Request<'a> {
    pub(super) state: &'a dyn Session,
    /// The columns.
    pub(super) wanted: Vec<usize>,
    pub(super) origins: Vec<Origin>,
    /// What rows must pass, by stored columns, if anything: others look again.
    pub(super) filters: Vec<Expr>,
    /// What they must pass by derived ones: nobody looks again.
    pub(super) derived_filters: Vec<Expr>,
    pub(super) limit: Option<usize>,
    pub(super) replaced: Option<Arc<Outcomes>>,
}

/// Files that are read alike.
pub(super) struct Part {
    pub(super) files: Vec<usize>,
    pub(super) known: Known,
}

/// What is known of the verdicts on the rows of files.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Known {
    /// All have this one.
    All(Verdict),
    /// All but those of some log files.
    Most(Verdict),
    /// Nothing, or nobody asks.
    Nothing,
}

impl Known {
    fn of(common: Option<&Common>) -> Self {
        match common {
            Some(common) if common.except.is_empty() => Self::All(common.verdict),
            Some(common) => Self::Most(common.verdict),
            None => Self::Nothing,
        }
    }
}

impl Request<'_> {
    fn asks_for_derived(&self) -> bool {
        !self.derived_filters.is_empty() || self.origins.iter().any(Origin::is_derived)
    }
}

impl LakeTable {
    /// Divides files by what is known of the verdicts on their rows, and leaves out those that by it have no
    /// row for the query.
    pub(super) async fn parts(&self, request: &Request<'_>, chosen: Vec<usize>) -> Result<Vec<Part>> {
        let mut by_known: BTreeMap<Known, Vec<usize>> = BTreeMap::new();
        match &self.derived {
            Some(derived) if request.asks_for_derived() => {
                let settled = self.settled(derived).await;
                let mut passing = Passing { table: self, request, known: BTreeMap::new() };
                for file in chosen {
                    let common = settled[file].as_ref();
                    if passing.any_of(common)? {
                        by_known.entry(Known::of(common)).or_default().push(file);
                    }
                }
            }
            _ if chosen.is_empty() => {}
            _ => drop(by_known.insert(Known::Nothing, chosen)),
        }
        Ok(by_known.into_iter().map(|(known, files)| Part { files, known }).collect())
    }

    async fn settled(&self, derived: &Derived) -> Arc<[Option<Common>]> {
        derived.settled(&self.data_files, |file| self.log_dates(&[file])).await
    }

    /// The scan of a part, with all that the query wants.
    pub(super) async fn plan(
        &self,
        request: &Request<'_>,
        part: &Part,
        left_out: usize,
    ) -> Result<Arc<dyn ExecutionPlan>> {
        let schema = self.schema.project(&request.wanted)?;
        let (origins, replaced) = (&request.origins, &request.replaced);
        let scan = |columns: &[usize]| self.source_over(request, part, columns, left_out);
        let stored: Vec<usize> = origins.iter().filter_map(Origin::stored).collect();
        let Some(derived) = &self.derived else { return scan(&stored) };
        let verdicts = match part.known {
            Known::All(verdict) => return Derived::add_words(scan(&stored)?, &schema, origins, verdict),
            Known::Most(verdict) => {
                let settled = self.settled(derived).await;
                let exceptions = part.files.iter().filter_map(|file| settled[*file].as_ref());
                Arc::new(Verdicts::except(verdict, exceptions.flat_map(|common| common.except.iter())))
            }
            Known::Nothing if request.asks_for_derived() => {
                derived.verdicts(&self.log_dates(&part.files)).await?
            }
            Known::Nothing if replaced.is_some() => Arc::default(),
            Known::Nothing => return scan(&stored),
        };
        let (schema, origins) = self.with_filtered(request, &schema);
        let stored = Derived::needed(self.stored(), &origins, replaced.is_some());
        let plan = Derived::add_to(scan(&stored)?, &schema, &origins, replaced.clone(), &verdicts)?;
        filtered(request, plan)
    }

    /// The columns that a query wants, and after them those that rows are chosen by.
    fn with_filtered(&self, request: &Request<'_>, schema: &Schema) -> (Schema, Vec<Origin>) {
        let (mut fields, mut origins) = (schema.fields().to_vec(), request.origins.clone());
        for column in request.derived_filters.iter().flat_map(Expr::column_refs) {
            let Some((at, _)) = self.schema.column_with_name(&column.name) else { continue };
            if !fields.iter().any(|field| *field.name() == column.name) {
                fields.push(self.schema.fields()[at].clone());
                origins.push(self.columns[at]);
            }
        }
        (Schema::new(fields), origins)
    }
}

/// Which verdicts pass what a query wants of derived columns.
struct Passing<'a> {
    table: &'a LakeTable,
    request: &'a Request<'a>,
    known: BTreeMap<Verdict, bool>,
}

impl Passing<'_> {
    /// Whether rows of a file may pass, by the verdicts on them.
    fn any_of(&mut self, common: Option<&Common>) -> Result<bool> {
        let Some(common) = common else { return Ok(true) };
        for verdict in common.except.values().chain([&common.verdict]) {
            if self.passes(*verdict)? {
                return Ok(true);
            }
        }
        Ok(false)
    }

    fn passes(&mut self, verdict: Verdict) -> Result<bool> {
        if let Some(passes) = self.known.get(&verdict) {
            return Ok(*passes);
        }
        let passes = self.asked(verdict)?;
        self.known.insert(verdict, passes);
        Ok(passes)
    }

    /// Asks the filters about a row with that verdict.
    fn asked(&self, verdict: Verdict) -> Result<bool> {
        let columns = self.table.schema.fields().iter().zip(&self.table.columns);
        let words = columns.filter_map(|(field, origin)| match origin {
            Origin::Derived(told) => Some((field.clone(), told.word(verdict))),
            Origin::Stored(_) => None,
        });
        let (fields, words): (Vec<Arc<Field>>, Vec<ScalarValue>) = words.unzip();
        let words = words.iter().map(ScalarValue::to_array).collect::<Result<Vec<_>>>()?;
        let row = RecordBatch::try_new(Arc::new(Schema::new(fields)), words)?;
        let schema = DFSchema::try_from(row.schema())?;
        for filter in &self.request.derived_filters {
            let expr = self.request.state.create_physical_expr(filter.clone(), &schema)?;
            let passes = expr.evaluate(&row)?.into_array(1)?;
            if passes.as_boolean_opt().is_none_or(|passes| !(passes.is_valid(0) && passes.value(0))) {
                return Ok(false);
            }
        }
        Ok(true)
    }
}

/// Leaves out the rows that do not pass, and the columns that only this needs.
fn filtered(request: &Request<'_>, plan: Arc<dyn ExecutionPlan>) -> Result<Arc<dyn ExecutionPlan>> {
    let Some(predicate) = conjunction(request.derived_filters.iter().cloned()) else { return Ok(plan) };
    let schema = DFSchema::try_from(plan.schema())?;
    let predicate = request.state.create_physical_expr(predicate, &schema)?;
    let filter = FilterExecBuilder::new(predicate, plan);
    Ok(Arc::new(filter.apply_projection(Some((0..request.wanted.len()).collect()))?.build()?))
}
