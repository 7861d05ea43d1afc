//! The words of `integrity` and its like, by a verdict or by looking up each row's log file.

use std::collections::HashMap;
use std::fmt::{self, Display, Formatter};
use std::hash::{Hash, Hasher};
use std::sync::Arc;

use arrow::array::{Array, ArrayRef, AsArray, RecordBatch, StringViewArray, StringViewBuilder};
use arrow::buffer::{Buffer, NullBuffer, ScalarBuffer};
use arrow::compute::cast;
use arrow::datatypes::{DataType, Schema};
use datafusion::common::{DataFusionError, Result, ScalarValue};
use datafusion::logical_expr::ColumnarValue;
use datafusion::physical_expr::PhysicalExpr;

use crate::integrity::{Reason, State, Verdict, Verdicts};
use crate::remembered::Remembered;

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
    pub(crate) const fn name(self) -> &'static str {
        match self {
            Self::Integrity => "integrity",
            Self::Reason => "integrity_reason",
            Self::Digest => "digest",
        }
    }

    /// What it says if the verdict is this; nothing of the digest.
    pub(crate) fn word(self, verdict: Verdict) -> ScalarValue {
        let word = match self {
            Self::Integrity => Some(verdict.state().as_str()),
            Self::Reason => verdict.reason().map(Reason::as_str),
            Self::Digest => None,
        };
        ScalarValue::Utf8View(word.map(ToOwned::to_owned))
    }
}

/// What is known of the log file that a column names.
#[derive(Debug)]
pub(crate) struct ToldOf {
    pub(crate) log_file: Arc<dyn PhysicalExpr>,
    pub(crate) told: Told,
    pub(crate) verdicts: Arc<Verdicts>,
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
    /// The word for each name.
    fn words(&self, names: &StringViewArray) -> Result<StringViewArray> {
        let words = Words::of(self.told);
        let mut remembered = Remembered::new();
        let mut views = Vec::with_capacity(names.len());
        let mut known = Vec::with_capacity(names.len());
        let mut nulls = false;
        for (row, view) in names.views().iter().enumerate() {
            let told = if names.is_null(row) {
                None
            } else {
                remembered
                    .get(*view, || Ok::<_, DataFusionError>(words.view(self.verdict(names.value(row)))))?
            };
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
        self.verdicts.get(log_file).map(|(verdict, _)| verdict)
    }
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
