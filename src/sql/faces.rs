//! The faces of the one lake: `cloudtrail_logs` as Athena shows it, and `cloudtrail_lake`.
//!
//! Columns of `cloudtrail_logs` that `SELECT *` does not show are there for a statement that names them:
//! its `FROM cloudtrail_logs` then means a view that has them, under a name that nobody can write.
//! A date among them is written as the statement compares it, since each definition of a partitioned table
//! chose its own form: `dt >= '2026-01-05'` and `dt >= '2026/01/05'` find the same rows.

use std::collections::{BTreeMap, HashSet};
use std::ops::ControlFlow;
use std::sync::Arc;

use async_trait::async_trait;
use datafusion::catalog::{SchemaProvider, TableProvider};
use datafusion::common::{Result, plan_datafusion_err};
use datafusion::datasource::ViewTable;
use datafusion::prelude::SessionContext;
use datafusion::sql::sqlparser::ast::{Expr, Ident, Query, Value, ValueWithSpan, Visit, Visitor};

use super::lake_view::{CLOUDTRAIL_LAKE, cloudtrail_lake};
use super::prune::Pruned;
use super::time::TimeRange;
use super::view::date_text::Form;
use super::view::{cloudtrail_logs, distinct_events, hidden_columns, is_date};
use super::{CLOUDTRAIL_LOGS, SessionOptions, Tables};

/// The schema whose tables are `cloudtrail_logs` with more columns. Its name and theirs cannot be written.
const SCHEMA: &str = "$faces";

/// Turns pruning off: `benches/pruning.py` sets it to measure what pruning saves.
const NO_PRUNING: &str = "TRAILQ_BENCH_NO_PRUNING";

/// What the views are of.
#[derive(Clone, Debug)]
pub(super) struct Faces {
    events: Arc<dyn TableProvider>,
    range: TimeRange,
    distinct: bool,
    hidden: Arc<HashSet<String>>,
}

impl Faces {
    pub(super) fn new(events: &Arc<dyn TableProvider>, options: &SessionOptions) -> Self {
        Self::over(events, options, std::env::var_os(NO_PRUNING).is_none())
    }

    /// The faces of events that are pruned or not.
    pub(super) fn over(events: &Arc<dyn TableProvider>, options: &SessionOptions, prunes: bool) -> Self {
        let events: Arc<dyn TableProvider> = Arc::new(Pruned::new(events.clone(), prunes));
        let hidden = hidden_columns(&events).into_iter().collect();
        Self { events, range: options.range, distinct: options.distinct, hidden: Arc::new(hidden) }
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

    /// Registers the schema in which `cloudtrail_logs` has more columns.
    pub(super) fn register(&self, context: &SessionContext) -> Result<()> {
        let state = context.state();
        let catalog = &state.config_options().catalog.default_catalog;
        let catalog = context.catalog(catalog).ok_or_else(|| plan_datafusion_err!("no catalog {catalog}"))?;
        catalog.register_schema(SCHEMA, Arc::new(self.clone()))?;
        Ok(())
    }

    /// The columns that only a statement that names them sees.
    pub(super) fn hidden(&self) -> HashSet<String> {
        self.hidden.as_ref().clone()
    }

    /// The table that `cloudtrail_logs` means in a query that names hidden columns.
    pub(super) fn wide(&self, query: &Query) -> BTreeMap<String, String> {
        let mut names = Names { hidden: &self.hidden, named: BTreeMap::new() };
        let _ = Visit::visit(query, &mut names);
        if names.named.is_empty() {
            return BTreeMap::new();
        }
        BTreeMap::from([(CLOUDTRAIL_LOGS.to_owned(), format!("{SCHEMA}.{}", view_name(&names.named)))])
    }

    fn view(&self, named: &BTreeMap<String, Option<Form>>) -> Result<Arc<dyn TableProvider>> {
        let plan = cloudtrail_logs(&self.events, self.range, self.distinct, named)?;
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
        Ok(Some(self.view(&columns_in(name))?))
    }

    fn table_exist(&self, _: &str) -> bool {
        true
    }
}

/// `dt:yyyy-MM-dd,log_file`: the columns in the name of a view.
fn view_name(named: &BTreeMap<String, Option<Form>>) -> String {
    let column = |(name, form): (&String, &Option<Form>)| match form {
        Some(form) => format!("{name}:{}", form.pattern()),
        None => name.clone(),
    };
    named.iter().map(column).collect::<Vec<_>>().join(",")
}

fn columns_in(name: &str) -> BTreeMap<String, Option<Form>> {
    let column = |column: &str| match column.split_once(':') {
        Some((name, form)) => (name.to_owned(), Form::named(form)),
        None => (column.to_owned(), None),
    };
    name.split(',').map(column).collect()
}

/// Finds the hidden columns that a statement names, and what it compares them with.
struct Names<'a> {
    hidden: &'a HashSet<String>,
    named: BTreeMap<String, Option<Form>>,
}

impl Visitor for Names<'_> {
    type Break = ();

    fn pre_visit_expr(&mut self, expr: &Expr) -> ControlFlow<()> {
        if let Expr::CompoundIdentifier(idents) = expr {
            for ident in idents {
                self.note(ident);
            }
        }
        if let Expr::Identifier(ident) = expr {
            self.note(ident);
        }
        match expr {
            Expr::BinaryOp { left, right, .. } => {
                self.compare(left, [&**right]);
                self.compare(right, [&**left]);
            }
            Expr::InList { expr, list, .. } => self.compare(expr, list),
            Expr::Between { expr, low, high, .. } => self.compare(expr, [&**low, &**high]),
            Expr::Like { expr, pattern, .. } => self.compare(expr, [&**pattern]),
            _ => {}
        }
        ControlFlow::Continue(())
    }
}

impl Names<'_> {
    fn note(&mut self, ident: &Ident) -> Option<String> {
        let name = ident.value.to_lowercase();
        let hidden = self.hidden.contains(&name);
        hidden.then(|| {
            self.named.entry(name.clone()).or_default();
            name
        })
    }

    /// Takes the form of a date from what its column is compared with.
    fn compare<'e>(&mut self, column: &Expr, with: impl IntoIterator<Item = &'e Expr>) {
        let ident = match column {
            Expr::Identifier(ident) => Some(ident),
            Expr::CompoundIdentifier(idents) => idents.last(),
            _ => None,
        };
        let Some(name) = ident.and_then(|ident| self.note(ident)).filter(|name| is_date(name)) else {
            return;
        };
        let mut forms = Forms(None);
        for expr in with {
            let _ = Visit::visit(expr, &mut forms);
        }
        if let Some(form) = forms.0 {
            self.named.entry(name).or_default().get_or_insert(form);
        }
    }
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
