//! Columns that are not stored, but follow from the facts when a query asks for them.
//!
//! `integrity` and `integrity_reason` of `events` and `log_files` are computed from the row's
//! `log_file`, by verdicts that are loaded when the scan is planned: only if one of them is asked for,
//! and only for the log files of the dates that the scan reads. Files of `events` that are [`settled`] need
//! none of it: their rows all get the same words. A log file or a digest of which the lake has learned more
//! later has several rows; of digests' rows queries see the best.
//!
//! [`settled`]: super::settled

use std::collections::HashMap;
use std::fmt::{self, Display, Formatter};
use std::hash::{Hash, Hasher};
use std::sync::Arc;
use std::time::{Duration, Instant};

use arrow::array::{AsArray, BooleanArray, RecordBatch};
use arrow::compute::cast;
use arrow::datatypes::{DataType, Field, FieldRef, Schema, SchemaRef};
use chrono::Utc;
use datafusion::common::{DataFusionError, Result};
use datafusion::logical_expr::ColumnarValue;
use datafusion::physical_expr::PhysicalExpr;
use datafusion::physical_expr::expressions::{Column, Literal};
use datafusion::physical_expr::projection::ProjectionExpr;
use datafusion::physical_plan::ExecutionPlan;
use datafusion::physical_plan::filter::FilterExec;
use datafusion::physical_plan::projection::ProjectionExec;
use tokio::sync::{Mutex, OnceCell};

use super::dates::Dates;
use super::entry::{DigestStatus, LogFileId};
use super::facts::Facts;
use super::settled::{Common, Place, Summary};
use super::table::DataFile;
use super::tables::Kind;
use super::told::{Told, ToldOf};
use crate::event::schema::LOG_FILE;
use crate::integrity::{Verdict, Verdicts};

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

    pub(crate) fn is_derived(&self) -> bool {
        matches!(self, Self::Derived(_))
    }
}

/// What the columns and rows of a table are derived from, shared by all queries of one version.
#[derive(Clone, Debug)]
pub(crate) struct Derived {
    kind: Kind,
    facts: Facts,
    verdicts: Cache,
    replaced: Arc<OnceCell<Option<Arc<Outcomes>>>>,
    summary: Place,
    settled: Arc<OnceCell<Arc<[Option<Common>]>>>,
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
    pub(crate) fn new(kind: Kind, facts: Facts, verdicts: Cache, summary: Place) -> Self {
        Self { kind, facts, verdicts, replaced: Arc::default(), summary, settled: Arc::default() }
    }

    /// Of each file the verdicts on its rows, as far as they were found out and nothing has come since that they
    /// may depend on.
    pub(crate) async fn settled(
        &self,
        files: &[DataFile],
        dates_of: impl Fn(usize) -> Dates,
    ) -> Arc<[Option<Common>]> {
        let load = || async {
            let summary = match self.kind {
                Kind::Events => Summary::load(&self.summary).await,
                Kind::LogFiles | Kind::Quarantine | Kind::Digests => Summary::default(),
            };
            let mut holding = summary.holding(&self.facts, Utc::now());
            let known = |(at, file): (usize, &DataFile)| {
                if summary.knows(file) { holding.of(file, &dates_of(at))?.common().cloned() } else { None }
            };
            files.iter().enumerate().map(known).collect()
        };
        self.settled.get_or_init(load).await.clone()
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
        if origins.iter().any(Origin::is_derived) {
            also(LOG_FILE);
        }
        if replaced {
            also("id");
            also("status");
        }
        needed
    }

    /// Puts the derived columns upon a scan of the stored ones.
    pub(crate) fn add_to(
        source: Arc<dyn ExecutionPlan>,
        schema: &Schema,
        origins: &[Origin],
        replaced: Option<Arc<Outcomes>>,
        verdicts: &Arc<Verdicts>,
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

    /// Puts the words of one verdict upon a scan of the stored columns.
    pub(crate) fn add_words(
        source: Arc<dyn ExecutionPlan>,
        schema: &Schema,
        origins: &[Origin],
        verdict: Verdict,
    ) -> Result<Arc<dyn ExecutionPlan>> {
        if !origins.iter().any(Origin::is_derived) {
            return Ok(source);
        }
        let input = source.schema();
        let exprs = schema.fields().iter().zip(origins).map(|(field, origin)| {
            let name = field.name();
            let expr: Arc<dyn PhysicalExpr> = match origin {
                Origin::Stored(_) => Arc::new(Column::new(name, input.index_of(name)?)),
                Origin::Derived(told) => Arc::new(Literal::new(told.word(verdict))),
            };
            Ok(ProjectionExpr { expr, alias: name.clone() })
        });
        let exprs = exprs.collect::<Result<Vec<_>>>()?;
        Ok(Arc::new(ProjectionExec::try_new(exprs, source)?))
    }

    /// The verdicts on the log files of these dates, kept for the next query.
    pub(crate) async fn verdicts(&self, dates: &Dates) -> Result<Arc<Verdicts>> {
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
