//! The faces of the one lake: `cloudtrail_logs` as Athena shows it, and `cloudtrail_lake`.
//!
//! A partition column that is a date has the form in which the query compares it, since each definition of a
//! partitioned table chose its own: `dt >= '2026-01-05'` and `dt >= '2026/01/05'` find the same rows. In such a
//! query `cloudtrail_logs` means a view with that form, under a name that nobody can write.

use std::collections::BTreeMap;
use std::ops::ControlFlow;
use std::sync::Arc;

use async_trait::async_trait;
use datafusion::catalog::{SchemaProvider, TableProvider};
use datafusion::common::{Result, plan_datafusion_err};
use datafusion::datasource::ViewTable;
use datafusion::prelude::SessionContext;
use datafusion::sql::sqlparser::ast::{
    Expr, Function, FunctionArg, FunctionArgExpr, FunctionArguments, Query, Value, ValueWithSpan, Visit,
    Visitor,
};

use super::dialect::{CAST, TRY_CAST};
use super::lake_view::{CLOUDTRAIL_LAKE, cloudtrail_lake};
use super::prune::Pruned;
use super::time::TimeRange;
use super::view::date_text::Form;
use super::view::{cloudtrail_logs, distinct_events, is_date};
use super::{CLOUDTRAIL_LOGS, SessionOptions, Tables};

/// The schema whose tables are `cloudtrail_logs` with dates in other forms.
pub(super) const FACES: &str = "$faces";

/// The partition that is the day of a month in most definitions, and a whole date in some.
const DAY: &str = "day";

/// Turns pruning off: `benches/pruning.py` sets it to measure what pruning saves.
const NO_PRUNING: &str = "TRAILQ_BENCH_NO_PRUNING";

/// What the views are of.
#[derive(Clone, Debug)]
pub(super) struct Faces {
    events: Arc<dyn TableProvider>,
    range: TimeRange,
    distinct: bool,
}

impl Faces {
    pub(super) fn new(events: &Arc<dyn TableProvider>, options: &SessionOptions) -> Self {
        Self::over(events, options, std::env::var_os(NO_PRUNING).is_none())
    }

    /// The faces of events that are pruned or not.
    pub(super) fn over(events: &Arc<dyn TableProvider>, options: &SessionOptions, prunes: bool) -> Self {
        let events: Arc<dyn TableProvider> = Arc::new(Pruned::new(events.clone(), prunes));
        Self { events, range: options.range, distinct: options.distinct }
    }

    /// The tables of a session, by their names.
    pub(super) fn tables(&self, tables: Tables) -> Result<Vec<(String, Arc<dyn TableProvider>)>> {
        let lake = cloudtrail_lake(&self.events, self.range, self.distinct)?;
        let once = distinct_events(&self.events)?;
        let mut all: Vec<(String, Arc<dyn TableProvider>)> = vec![
            (CLOUDTRAIL_LOGS.to_owned(), self.view(&BTreeMap::new())?),
            (CLOUDTRAIL_LAKE.to_owned(), Arc::new(ViewTable::new(lake, None))),
            ("distinct_events".to_owned(), Arc::new(ViewTable::new(once, None))),
            ("events".to_owned(), self.events.clone()),
        ];
        let others = [
            ("log_files", tables.log_files),
            ("quarantine", tables.quarantine),
            ("digests", tables.digests),
            ("integrity_gaps", tables.integrity_gaps),
        ];
        all.extend(others.into_iter().filter_map(|(name, table)| Some((name.to_owned(), table?))));
        Ok(all)
    }

    /// Registers the schema in which `cloudtrail_logs` has dates in other forms.
    pub(super) fn register(&self, context: &SessionContext) -> Result<()> {
        let state = context.state();
        let catalog = &state.config_options().catalog.default_catalog;
        let catalog = context.catalog(catalog).ok_or_else(|| plan_datafusion_err!("no catalog {catalog}"))?;
        catalog.register_schema(FACES, Arc::new(self.clone()))?;
        Ok(())
    }

    /// The table that `cloudtrail_logs` means in a query that compares dates in other forms.
    pub(super) fn of(query: &Query) -> Option<String> {
        let mut dates = Dates::default();
        let _ = Visit::visit(query, &mut dates);
        (!dates.forms.is_empty()).then(|| format!("{FACES}.{}", view_name(&dates.forms)))
    }

    fn view(&self, forms: &BTreeMap<String, Form>) -> Result<Arc<dyn TableProvider>> {
        let plan = cloudtrail_logs(&self.events, self.range, self.distinct, forms)?;
        Ok(Arc::new(ViewTable::new(plan, None)))
    }
}

/// Builds views as they are asked for, and lists none.
#[async_trait]
impl SchemaProvider for Faces {
    fn table_names(&self) -> Vec<String> {
        Vec::new()
    }

    async fn table(&self, name: &str) -> Result<Option<Arc<dyn TableProvider>>> {
        Ok(Some(self.view(&forms_in(name))?))
    }

    fn table_exist(&self, _: &str) -> bool {
        true
    }
}

/// `dt:yyyy-MM-dd`: the forms in the name of a view.
fn view_name(forms: &BTreeMap<String, Form>) -> String {
    let column = |(name, form): (&String, &Form)| format!("{name}:{}", form.pattern());
    forms.iter().map(column).collect::<Vec<_>>().join(",")
}

fn forms_in(name: &str) -> BTreeMap<String, Form> {
    let column = |column: &str| {
        let (name, form) = column.split_once(':')?;
        Some((name.to_owned(), Form::named(form)?))
    };
    name.split(',').filter_map(column).collect()
}

/// Finds the dates among the columns that a query compares, and their forms: of each the first.
#[derive(Default)]
struct Dates {
    forms: BTreeMap<String, Form>,
}

impl Visitor for Dates {
    type Break = ();

    fn pre_visit_expr(&mut self, expr: &Expr) -> ControlFlow<()> {
        match expr {
            Expr::BinaryOp { left, right, .. } => {
                self.compare(left, [&**right]);
                self.compare(right, [&**left]);
            }
            Expr::InList { expr, list, .. } => self.compare(expr, list),
            Expr::Between { expr, low, high, .. } => self.compare(expr, [&**low, &**high]),
            Expr::Like { expr, pattern, .. } => self.compare(expr, [&**pattern]),
            Expr::Function(function) => self.read(function),
            _ => {}
        }
        ControlFlow::Continue(())
    }
}

impl Dates {
    fn compare<'e>(&mut self, column: &Expr, with: impl IntoIterator<Item = &'e Expr>) {
        let Some(name) = date_column(column) else { return };
        let mut forms = Forms(None);
        for expr in with {
            // Some call a whole date `day`. Of others, a part of a date may be computed from a whole one.
            if name != DAY || is_written(expr) {
                let _ = Visit::visit(expr, &mut forms);
            }
        }
        if let Some(form) = forms.0 {
            self.forms.entry(name).or_insert(form);
        }
    }
}

impl Dates {
    /// What a function reads a date by: `date_parse(dt, '%Y/%m/%d')`, `CAST(dt AS date)`.
    fn read(&mut self, function: &Function) {
        let args = arguments(function);
        let [column, others @ ..] = args.as_slice() else { return };
        self.compare(column, others.iter().copied());
        let iso = match function.name.to_string().trim_matches('"').to_lowercase().as_str() {
            "date" | "from_iso8601_date" | "from_iso8601_timestamp" => true,
            CAST | TRY_CAST => others.iter().any(|data_type| {
                let data_type = data_type.to_string().to_lowercase();
                ["'date", "'timestamp"].iter().any(|time| data_type.starts_with(time))
            }),
            _ => false,
        };
        if let Some(name) = date_column(column).filter(|_| iso) {
            self.forms.entry(name).or_insert(Form::Dashes);
        }
    }
}

/// The date that an expression is, or is the beginning of: `dt`, `substr(dt, 1, 7)`.
fn date_column(expr: &Expr) -> Option<String> {
    let ident = match expr {
        Expr::Identifier(ident) => ident,
        Expr::CompoundIdentifier(idents) => idents.last()?,
        Expr::Substring { expr, .. } => return date_column(expr),
        Expr::Function(function) => {
            let name = function.name.to_string().to_lowercase();
            let first = arguments(function).first().copied()?;
            return if name.starts_with("substr") { date_column(first) } else { None };
        }
        _ => return None,
    };
    Some(ident.value.to_lowercase()).filter(|name| is_date(name) || name == DAY)
}

/// Whether an expression is a text, or a date made one: `'2026/01/05'`, `date_format(current_date, '%Y/%m/%d')`.
fn is_written(expr: &Expr) -> bool {
    match expr {
        Expr::Value(_) => true,
        Expr::Function(function) => {
            let name = function.name.to_string().to_lowercase();
            name == "date_format" || name == "format_datetime"
        }
        _ => false,
    }
}

fn arguments(function: &Function) -> Vec<&Expr> {
    let FunctionArguments::List(list) = &function.args else { return Vec::new() };
    let value = |argument| match argument {
        &FunctionArg::Unnamed(FunctionArgExpr::Expr(ref expr)) => Some(expr),
        _ => None,
    };
    list.args.iter().filter_map(value).collect()
}

/// Finds the first text that has the form of a date, or is a pattern of one.
struct Forms(Option<Form>);

impl Visitor for Forms {
    type Break = ();

    fn pre_visit_value(&mut self, value: &ValueWithSpan) -> ControlFlow<()> {
        if let Value::SingleQuotedString(text) = &value.value
            && let Some(form) = Form::of(text)
        {
            self.0 = Some(form);
            return ControlFlow::Break(());
        }
        ControlFlow::Continue(())
    }
}
