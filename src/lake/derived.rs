//! Columns that are not stored, but follow from the facts when a query asks for them.
//!
//! `integrity` and `integrity_reason` of `events` and `log_files` are computed from the row's
//! `log_file`, by verdicts that are loaded when the scan is planned: only if one of them is asked for,
//! and only for the log files of the dates that the scan reads. A log file or a digest of which the
//! lake has learned more later has several rows; of digests' rows queries see the best.

use std::collections::HashMap;
use std::fmt::{self, Display, Formatter};
use std::hash::{Hash, Hasher};
use std::sync::Arc;
use std::time::{Duration, Instant};

use arrow::array::{Array, ArrayRef, AsArray, BooleanArray, RecordBatch, StringViewArray, StringViewBuilder};
use arrow::buffer::{Buffer, NullBuffer, ScalarBuffer};
use arrow::compute::cast;
use arrow::datatypes::{DataType, Field, FieldRef, Schema, SchemaRef};
use chrono::Utc;
use datafusion::common::{DataFusionError, Result};
use datafusion::logical_expr::ColumnarValue;
use datafusion::physical_expr::PhysicalExpr;
use datafusion::physical_expr::expressions::Column;
use datafusion::physical_expr::projection::ProjectionExpr;
use datafusion::physical_plan::ExecutionPlan;
use datafusion::physical_plan::filter::FilterExec;
use datafusion::physical_plan::projection::ProjectionExec;
use tokio::sync::{Mutex, OnceCell};

use super::entry::{DigestStatus, LogFileId};
use super::facts::{Dates, Facts};
use super::tables::Kind;
use crate::event::schema::LOG_FILE;
use crate::integrity::{Reason, State, Verdict, Verdicts};
use crate::object::LogKey;

/// Verdicts are judged anew after this time, since time alone changes some.
const VERDICTS_LAST: Duration = Duration::from_mins(5);

/// Where a column of a table comes from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Origin {
    /// The stored column with this number.
    Stored(usize),
    /// The verdicts.
    Derived(Told),
}

impl Origin {
    /// The number of the stored column.
    pub(crate) fn stored(&self) -> Option<usize> {
        match self {
            Self::Stored(at) => Some(*at),
            Self::Derived(_) => None,
        }
    }
}

/// What a derived column tells of a log file.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) enum Told {
    /// Its state.
    Integrity,
    /// Why it is not verified.
    Reason,
    /// The digest that says so.
    Digest,
}

impl Told {
    const fn name(self) -> &'static str {
        match self {
            Self::Integrity => "integrity",
            Self::Reason => "integrity_reason",
            Self::Digest => "digest",
        }
    }
}

/// What the columns and rows of a table are derived from, shared by all queries of one version.
#[derive(Clone, Debug)]
pub(crate) struct Derived {
    kind: Kind,
    facts: Facts,
    verdicts: Cache,
    replaced: Arc<OnceCell<Option<Arc<Outcomes>>>>,
}

/// Verdicts that were loaded last, for all tables of one version.
pub(crate) type Cache = Arc<Mutex<Option<Loaded>>>;

/// Verdicts, and what they are of.
#[derive(Debug)]
pub(crate) struct Loaded {
    dates: Dates,
    at: Instant,
    verdicts: Arc<Verdicts>,
}

/// Of each digest that was not valid at some time, the rank of the best outcome of any of its rows.
pub(crate) type Outcomes = HashMap<LogFileId, u8>;

impl Derived {
    pub(crate) fn new(kind: Kind, facts: Facts, verdicts: Cache) -> Self {
        Self { kind, facts, verdicts, replaced: Arc::default() }
    }

    /// The columns that queries see, and where each comes from.
    pub(crate) fn columns(&self, stored: &SchemaRef) -> (SchemaRef, Vec<Origin>) {
        let told: &[Told] = match self.kind {
            Kind::Events => &[Told::Integrity, Told::Reason],
            Kind::LogFiles => &[Told::Integrity, Told::Reason, Told::Digest],
            Kind::Quarantine | Kind::Digests => &[],
        };
        let mut columns: Vec<(FieldRef, Origin)> = stored
            .fields()
            .iter()
            .cloned()
            .enumerate()
            .map(|(at, field)| (field, Origin::Stored(at)))
            .collect();
        let derived = told.iter().map(|told| {
            (Arc::new(Field::new(told.name(), DataType::Utf8View, true)), Origin::Derived(*told))
        });
        // The ledger has a column of that name, from before anything was derived.
        let at = columns.iter().position(|(field, _)| field.name() == Told::Integrity.name());
        match at {
            Some(at) if !told.is_empty() => drop(columns.splice(at..=at, derived)),
            _ => columns.extend(derived),
        }
        let (fields, origins): (Vec<FieldRef>, Vec<Origin>) = columns.into_iter().unzip();
        (Arc::new(Schema::new(fields)), origins)
    }

    /// Whether rows may have replaced others.
    pub(crate) fn may_replace(&self) -> bool {
        self.kind == Kind::Digests && self.facts.may_have_outcomes()
    }

    /// Which rows have replaced others, if any has.
    pub(crate) async fn replaced(&self) -> Result<Option<Arc<Outcomes>>> {
        if !self.may_replace() {
            return Ok(None);
        }
        let load = || async {
            let best = self.facts.best_outcomes().await.map_err(external)?;
            Ok(Some(best).filter(|best| !best.is_empty()).map(Arc::new))
        };
        self.replaced.get_or_try_init(load).await.cloned()
    }

    /// The stored columns that are needed to make these.
    pub(crate) fn needed(stored: &SchemaRef, origins: &[Origin], replaced: bool) -> Vec<usize> {
        let mut needed: Vec<usize> = origins.iter().filter_map(Origin::stored).collect();
        let mut also = |name: &str| {
            if let Some((at, _)) = stored.column_with_name(name)
                && !needed.contains(&at)
            {
                needed.push(at);
            }
        };
        if origins.iter().any(|origin| matches!(origin, Origin::Derived(_))) {
            also(LOG_FILE);
        }
        if replaced {
            also("id");
            also("status");
        }
        needed
    }

    /// Puts the derived columns upon a scan of the stored ones.
    pub(crate) async fn add_to(
        &self,
        source: Arc<dyn ExecutionPlan>,
        schema: &Schema,
        origins: &[Origin],
        replaced: Option<Arc<Outcomes>>,
        dates: &Dates,
    ) -> Result<Arc<dyn ExecutionPlan>> {
        let input = source.schema();
        let column = |name: &str| -> Result<Arc<dyn PhysicalExpr>> {
            Ok(Arc::new(Column::new(name, input.index_of(name)?)))
        };
        let mut plan = source;
        if let Some(best) = replaced {
            let (id, status) = (column("id")?, column("status")?);
            plan = Arc::new(FilterExec::try_new(Arc::new(IsBest { id, status, best }), plan)?);
        }
        let derived = origins.iter().any(|origin| matches!(origin, Origin::Derived(_)));
        let verdicts = if derived { self.verdicts(dates).await? } else { Arc::default() };
        let exprs = schema.fields().iter().zip(origins).map(|(field, origin)| {
            let expr = match origin {
                Origin::Stored(_) => column(field.name())?,
                Origin::Derived(told) => {
                    Arc::new(ToldOf { log_file: column(LOG_FILE)?, told: *told, verdicts: verdicts.clone() })
                }
            };
            Ok(ProjectionExpr { expr, alias: field.name().clone() })
        });
        let exprs = exprs.collect::<Result<Vec<_>>>()?;
        Ok(Arc::new(ProjectionExec::try_new(exprs, plan)?))
    }

    /// The verdicts on the log files of these dates, kept for the next query.
    async fn verdicts(&self, dates: &Dates) -> Result<Arc<Verdicts>> {
        let mut kept = self.verdicts.lock().await;
        if let Some(loaded) = kept.as_ref()
            && loaded.at.elapsed() < VERDICTS_LAST
            && loaded.dates.cover(dates)
        {
            return Ok(loaded.verdicts.clone());
        }
        let verdicts = Verdicts::load(&self.facts, dates, Utc::now()).await.map_err(external)?;
        let verdicts = Arc::new(verdicts);
        *kept = Some(Loaded { dates: dates.clone(), at: Instant::now(), verdicts: verdicts.clone() });
        Ok(verdicts)
    }
}

/// Of two rows of one digest the one with the higher number counts.
pub(crate) fn rank_of(status: &str) -> u8 {
    DigestStatus::parse(status).map_or(0, crate::integrity::rank)
}

fn external(error: anyhow::Error) -> DataFusionError {
    DataFusionError::External(error.into())
}

/// What is known of the log file that a column names.
#[derive(Debug)]
struct ToldOf {
    log_file: Arc<dyn PhysicalExpr>,
    told: Told,
    verdicts: Arc<Verdicts>,
}

impl PartialEq for ToldOf {
    fn eq(&self, other: &Self) -> bool {
        self.log_file.eq(&other.log_file)
            && self.told == other.told
            && Arc::ptr_eq(&self.verdicts, &other.verdicts)
    }
}

impl Eq for ToldOf {}

impl Hash for ToldOf {
    fn hash<H: Hasher>(&self, state: &mut H) {
        self.log_file.hash(state);
        self.told.hash(state);
        Arc::as_ptr(&self.verdicts).hash(state);
    }
}

impl Display for ToldOf {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        write!(f, "{}({})", self.told.name(), self.log_file)
    }
}

impl PhysicalExpr for ToldOf {
    fn data_type(&self, _: &Schema) -> Result<DataType> {
        Ok(DataType::Utf8View)
    }

    fn nullable(&self, _: &Schema) -> Result<bool> {
        Ok(true)
    }

    fn evaluate(&self, batch: &RecordBatch) -> Result<ColumnarValue> {
        let names = self.log_file.evaluate(batch)?.into_array(batch.num_rows())?;
        let names = cast(&names, &DataType::Utf8View)?;
        let names = names.as_string_view();
        let told: ArrayRef = match self.told {
            Told::Digest => Arc::new(self.digests(names)),
            Told::Integrity | Told::Reason => Arc::new(self.words(names)?),
        };
        Ok(ColumnarValue::Array(told))
    }

    fn children(&self) -> Vec<&Arc<dyn PhysicalExpr>> {
        vec![&self.log_file]
    }

    fn with_new_children(
        self: Arc<Self>,
        children: Vec<Arc<dyn PhysicalExpr>>,
    ) -> Result<Arc<dyn PhysicalExpr>> {
        let mut children = children.into_iter();
        let log_file = children.next().unwrap_or_else(|| self.log_file.clone());
        Ok(Arc::new(Self { log_file, told: self.told, verdicts: self.verdicts.clone() }))
    }

    fn fmt_sql(&self, f: &mut Formatter<'_>) -> fmt::Result {
        write!(f, "{}(", self.told.name())?;
        self.log_file.fmt_sql(f)?;
        write!(f, ")")
    }
}

impl ToldOf {
    /// The word for each name. A page of a Parquet dictionary gives equal names equal views, so a few
    /// remembered ones save nearly all look-ups.
    fn words(&self, names: &StringViewArray) -> Result<StringViewArray> {
        const REMEMBERED: usize = 1 << 10;
        let words = Words::of(self.told);
        let mut remembered: Vec<(u128, Option<u128>)> = vec![(0, None); REMEMBERED];
        let mut views = Vec::with_capacity(names.len());
        let mut known = Vec::with_capacity(names.len());
        let mut nulls = false;
        for (row, view) in names.views().iter().enumerate() {
            let place = &mut remembered[slot(*view, REMEMBERED)];
            if place.0 != *view || *view == 0 {
                let told = if names.is_null(row) { None } else { words.view(self.verdict(names.value(row))) };
                *place = (*view, told);
            }
            let told = if names.is_null(row) { None } else { place.1 };
            nulls |= told.is_none();
            known.push(told.is_some());
            views.push(told.unwrap_or_default());
        }
        let nulls = nulls.then(|| NullBuffer::from(known));
        Ok(StringViewArray::try_new(ScalarBuffer::from(views), words.buffers, nulls)?)
    }

    fn digests(&self, names: &StringViewArray) -> StringViewArray {
        names.iter().map(|name| self.verdicts.digest(name?)).collect()
    }

    fn verdict(&self, log_file: &str) -> Option<Verdict> {
        self.verdicts.get(log_file).or_else(|| {
            // Of no date, so that it was not looked for.
            let named = LogKey::parse(log_file).or_else(|| LogKey::from_file_name(log_file)).is_some();
            (!named).then_some(Verdict::Not(Reason::NoKey))
        })
    }
}

/// Where a view is remembered: views of one dictionary differ by their offset.
fn slot(view: u128, slots: usize) -> usize {
    #[expect(clippy::cast_possible_truncation, reason = "any bits do")]
    let bits = ((view >> 64) as u64 ^ (view as u64)).wrapping_mul(0x9e37_79b9_7f4a_7c15);
    usize::try_from(bits >> 32).unwrap_or_default() % slots
}

/// The words of a column, as views of buffers that all its arrays share.
struct Words {
    told: Told,
    states: HashMap<State, u128>,
    reasons: HashMap<Reason, u128>,
    buffers: Arc<[Buffer]>,
}

impl Words {
    fn of(told: Told) -> Self {
        let mut builder = StringViewBuilder::new();
        let words = State::ALL.iter().map(|state| state.as_str());
        for word in words.chain(Reason::ALL.iter().map(|reason| reason.as_str())) {
            builder.append_value(word);
        }
        let array = builder.finish();
        let mut views = array.views().iter().copied();
        let states = State::ALL.into_iter().zip(views.by_ref()).collect();
        let reasons = Reason::ALL.into_iter().zip(views).collect();
        Self { told, states, reasons, buffers: array.data_buffers().to_vec().into() }
    }

    fn view(&self, verdict: Option<Verdict>) -> Option<u128> {
        match self.told {
            Told::Reason => self.reasons.get(&verdict?.reason()?).copied(),
            _ => self.states.get(&verdict?.state()).copied(),
        }
    }
}

/// Whether a row says the best that is known of its digest.
struct IsBest {
    id: Arc<dyn PhysicalExpr>,
    status: Arc<dyn PhysicalExpr>,
    best: Arc<Outcomes>,
}

impl fmt::Debug for IsBest {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        write!(f, "{self}")
    }
}

impl PartialEq for IsBest {
    fn eq(&self, other: &Self) -> bool {
        self.id.eq(&other.id) && self.status.eq(&other.status) && Arc::ptr_eq(&self.best, &other.best)
    }
}

impl Eq for IsBest {}

impl Hash for IsBest {
    fn hash<H: Hasher>(&self, state: &mut H) {
        self.id.hash(state);
        self.status.hash(state);
        Arc::as_ptr(&self.best).hash(state);
    }
}

impl Display for IsBest {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        write!(f, "is_best({}, {})", self.id, self.status)
    }
}

impl PhysicalExpr for IsBest {
    fn data_type(&self, _: &Schema) -> Result<DataType> {
        Ok(DataType::Boolean)
    }

    fn nullable(&self, _: &Schema) -> Result<bool> {
        Ok(false)
    }

    fn evaluate(&self, batch: &RecordBatch) -> Result<ColumnarValue> {
        let of = |expr: &Arc<dyn PhysicalExpr>| expr.evaluate(batch)?.into_array(batch.num_rows());
        let ids = cast(&of(&self.id)?, &DataType::Utf8View)?;
        let statuses = cast(&of(&self.status)?, &DataType::Utf8View)?;
        let rows = ids.as_string_view().iter().zip(statuses.as_string_view());
        let best = rows.map(|(id, status)| {
            let best = id.and_then(LogFileId::parse).and_then(|id| self.best.get(&id));
            Some(best.is_none_or(|best| status.map_or(0, rank_of) >= *best))
        });
        Ok(ColumnarValue::Array(Arc::new(best.collect::<BooleanArray>())))
    }

    fn children(&self) -> Vec<&Arc<dyn PhysicalExpr>> {
        vec![&self.id, &self.status]
    }

    fn with_new_children(
        self: Arc<Self>,
        children: Vec<Arc<dyn PhysicalExpr>>,
    ) -> Result<Arc<dyn PhysicalExpr>> {
        let mut children = children.into_iter();
        let id = children.next().unwrap_or_else(|| self.id.clone());
        let status = children.next().unwrap_or_else(|| self.status.clone());
        Ok(Arc::new(Self { id, status, best: self.best.clone() }))
    }

    fn fmt_sql(&self, f: &mut Formatter<'_>) -> fmt::Result {
        write!(f, "{self}")
    }
}
