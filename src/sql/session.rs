//! A DataFusion session over the lake's tables, and what each statement does in it.

use std::collections::{BTreeMap, BTreeSet, HashSet};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use anyhow::Result;
use arrow::array::RecordBatch;
use arrow::datatypes::{Schema, SchemaRef};
use datafusion::catalog::{MemorySchemaProvider, SchemaProvider, TableProvider};
use datafusion::common::{DataFusionError, ScalarValue, TableReference};
use datafusion::dataframe::DataFrame;
use datafusion::datasource::{MemTable, ViewTable};
use datafusion::execution::context::SQLOptions;
use datafusion::logical_expr::LogicalPlan;
use datafusion::prelude::SessionContext;
use datafusion::sql::parser::Statement as SqlStatement;
use datafusion::sql::sqlparser::ast::{Query, Statement as Sql};
use futures::future::BoxFuture;
use futures::{StreamExt, TryStreamExt};

use super::adapt::{self, Headings, Names, named_relations};
use super::addresses;
use super::catalogue::{Catalogue, Entry};
use super::command::{Command, Name};
use super::error::SqlError;
use super::faces::Faces;
use super::lake_view::{self, CLOUDTRAIL_LAKE};
use super::show::{self, Kind};
use super::{
    Answer, CLOUDTRAIL_LOGS, Script, Statement, Tables, TimeRange, parameters, sources, state, types, unnest,
    view,
};

/// What a session shows of its tables, and under which names.
#[derive(Clone, Debug, Default)]
pub struct SessionOptions {
    /// `cloudtrail_logs` has only the events of this span of time.
    pub range: TimeRange,
    /// `cloudtrail_logs` has each event once, though several trails may have delivered it.
    pub distinct: bool,
    /// Other names of `cloudtrail_logs`.
    pub table_names: Vec<String>,
    /// Names of event data stores beside their ids, which all mean the one lake.
    pub event_data_stores: Vec<String>,
}

/// A session over the lake's tables: statements run in it one after another and see what earlier ones named.
pub struct Session {
    context: SessionContext,
    names: Mutex<Names>,
    catalogue: Catalogue,
    prepared: Mutex<BTreeMap<String, Prepared>>,
    /// Whether all relations are being described: one of them may be a view of these descriptions.
    describing: AtomicBool,
}

/// A prepared statement, with the text that it stands in.
#[derive(Clone, Debug)]
struct Prepared {
    command: Command,
    text: Arc<str>,
}

/// What a statement is run with.
struct Run<'a> {
    text: &'a str,
    parameters: &'a [(String, String)],
}

impl Session {
    /// Opens a session over `tables`, all time.
    pub fn new(tables: Tables) -> Result<Self> {
        Self::open(tables, SessionOptions::default())
    }

    /// Opens a session in which `cloudtrail_logs` has only the events of `range`.
    ///
    /// A record without a readable event time is in the range if its date is.
    pub fn between(tables: Tables, range: TimeRange) -> Result<Self> {
        Self::open(tables, SessionOptions { range, ..SessionOptions::default() })
    }

    /// Opens a session over `tables`.
    #[allow(clippy::needless_pass_by_value, reason = "options are made for one session")]
    pub fn open(tables: Tables, options: SessionOptions) -> Result<Self> {
        let faces = Faces::new(&tables.events, &options);
        Self::with_faces(tables, &options, &faces)
    }

    pub(super) fn with_faces(tables: Tables, options: &SessionOptions, faces: &Faces) -> Result<Self> {
        let context = SessionContext::new_with_state(state()?);
        sources::register_stores(&tables, &context)?;
        let catalogue = match &tables.lake {
            Some(lake) => {
                let (store, url, root) = lake.store()?;
                Catalogue::in_lake(store, url, &root)
            }
            None => Catalogue::in_memory(),
        };
        let mut names = Names::default();
        faces.register(&context)?;
        for (name, table) in faces.tables(tables)? {
            names.columns.extend(table.schema().fields().iter().map(|field| field.name().clone()));
            names.tables.insert(name.clone());
            context.register_table(TableReference::bare(name), table)?;
        }
        names.lake_face = Some(CLOUDTRAIL_LAKE.to_owned());
        names.stars = BTreeMap::from([
            (CLOUDTRAIL_LOGS.to_owned(), view::star()),
            (CLOUDTRAIL_LAKE.to_owned(), lake_view::star()),
        ]);
        names.aggregates = context.state().aggregate_functions().keys().cloned().collect();
        let last_part = |name: &String| name.to_lowercase().rsplit('.').next().unwrap_or_default().to_owned();
        for name in &options.table_names {
            names.synonyms.insert(last_part(name), CLOUDTRAIL_LOGS.to_owned());
        }
        for name in &options.event_data_stores {
            names.synonyms.insert(name.to_lowercase(), CLOUDTRAIL_LAKE.to_owned());
        }
        Ok(Self {
            context,
            names: Mutex::new(names),
            catalogue,
            prepared: Mutex::default(),
            describing: AtomicBool::new(false),
        })
    }

    /// The DataFusion context, to register object stores with.
    pub fn context(&self) -> &SessionContext {
        &self.context
    }

    /// Plans one statement of `script` and starts it.
    ///
    /// `parameters` are bound to the statement's `$name` placeholders as text values, and those that are
    /// called `1`, `2` … to its `?`; they never become part of the SQL.
    pub async fn run(
        &self,
        script: &Script,
        statement: &Statement,
        parameters: &[(String, String)],
    ) -> Result<Answer, SqlError> {
        let run = Run { text: script.text(), parameters };
        self.command(statement.command(), &run, script).await
    }

    /// Runs every statement of `sql` and returns the rows of the last one.
    pub async fn collect(
        &self,
        sql: &str,
        parameters: &[(String, String)],
    ) -> Result<Vec<RecordBatch>, SqlError> {
        let script = Script::parse(sql)?;
        let mut rows = Vec::new();
        for statement in script.statements() {
            rows = self.run(&script, statement, parameters).await?.batches.try_collect().await?;
        }
        Ok(rows)
    }

    async fn command(&self, command: &Command, run: &Run<'_>, script: &Script) -> Result<Answer, SqlError> {
        match command {
            Command::CreateView { name, or_replace, query, source } => {
                self.create_view(name, *or_replace, query, script.slice(*source), run).await
            }
            Command::Prepare { name, statement } => {
                let prepared = Prepared { command: *statement.clone(), text: run.text.into() };
                lock(&self.prepared).insert(name.clone(), prepared);
                Ok(Answer::note(format!("statement {name} is prepared: EXECUTE {name} USING …")))
            }
            Command::Execute { name, values } => {
                let prepared = lock(&self.prepared).get(name.last()).cloned();
                let Some(mut prepared) = prepared else {
                    let message = format!("NOT_FOUND: Prepared statement not found: {}", name.last());
                    return Err(SqlError::spanned(&message, name.span, run.text));
                };
                parameters::bind(&mut prepared.command, values)
                    .map_err(|message| SqlError::spanned(&message, name.span, run.text))?;
                let run = Run { text: &prepared.text, parameters: run.parameters };
                self.ask(&prepared.command, &run).await
            }
            Command::ExecuteImmediate { sql, span, values } => {
                let script = Script::parse(sql)?;
                let [statement] = script.statements() else {
                    let message = "SYNTAX_ERROR: EXECUTE IMMEDIATE takes one statement";
                    return Err(SqlError::spanned(message, *span, run.text));
                };
                let mut command = statement.command().clone();
                parameters::bind(&mut command, values)
                    .map_err(|message| SqlError::spanned(&message, *span, run.text))?;
                self.ask(&command, &Run { text: sql, parameters: run.parameters }).await
            }
            Command::Deallocate(name) => {
                if lock(&self.prepared).remove(name.last()).is_some() {
                    return Ok(Answer::note(format!("statement {} is gone", name.last())));
                }
                let message = format!("NOT_FOUND: Prepared statement not found: {}", name.last());
                Err(SqlError::spanned(&message, name.span, run.text))
            }
            other => self.ask(other, run).await,
        }
    }

    /// Runs what needs no more of the script than its text.
    async fn ask(&self, command: &Command, run: &Run<'_>) -> Result<Answer, SqlError> {
        match command {
            Command::Query(query) => self.query(query, run).await,
            Command::Explain { query, analyze, verbose } => {
                self.explain(query, *analyze, *verbose, run).await
            }
            Command::Describe(name) => {
                let (schema, _) = self.relation(name, run.text).await?;
                rows(types::describe(&schema))
            }
            Command::ShowColumns(name) => {
                let (schema, _) = self.relation(name, run.text).await?;
                rows(show::column("field", schema.fields().iter().map(|field| field.name().clone())))
            }
            Command::ShowTables { pattern } => {
                let names = self.relations(run).await?.into_keys();
                rows(show::column("tab_name", names.filter(|name| show::fits(name, pattern.as_deref()))))
            }
            Command::ShowViews { pattern } => {
                let views = self.relations(run).await?.into_iter();
                let views = views.filter(|(_, (kind, _))| *kind == Kind::View).map(|(name, _)| name);
                rows(show::column("views", views.filter(|name| show::fits(name, pattern.as_deref()))))
            }
            Command::ShowPartitions(name) => self.partitions(name, run).await,
            Command::ShowCreate(name) => self.show_create(name, run).await,
            Command::ShowDatabases => rows(show::column("database_name", [show::DATABASE.to_owned()])),
            Command::ShowFunctions { pattern } => {
                rows(show::column("function", self.functions(pattern.as_deref())))
            }
            Command::DropView { name, if_exists } => self.drop_entry(name, *if_exists, true, run).await,
            Command::DropTable { name, if_exists } => self.drop_entry(name, *if_exists, false, run).await,
            Command::DefineTable(name) => self.define(name).await,
            Command::CreateTableAs { name, if_not_exists, properties, query } => {
                self.create_table_as(name, *if_not_exists, properties, query, run).await
            }
            Command::Unload { query, to, properties, span } => {
                let answer = self.query(query, run).await?;
                super::export::unload(answer, to, properties)
                    .await
                    .map(Answer::note)
                    .map_err(|error| SqlError::spanned(&format!("{error:#}"), *span, run.text))
            }
            Command::NotNeeded(why) => Ok(Answer::note(format!("nothing to do: {why}"))),
            _ => Err(SqlError::at("NOT_SUPPORTED: this statement cannot be run here", None)),
        }
    }

    async fn query(&self, query: &Query, run: &Run<'_>) -> Result<Answer, SqlError> {
        let (plan, headings) = self.plan(query.clone(), run).await?;
        self.start(plan, &headings, run).await
    }

    async fn start(&self, plan: LogicalPlan, headings: &Headings, run: &Run<'_>) -> Result<Answer, SqlError> {
        let state = self.context.state();
        let plan =
            addresses::as_text(plan).map_err(|error| SqlError::explain(&error, run.text, Some(&state)))?;
        let frame = DataFrame::new(state.clone(), plan);
        let stream = frame
            .execute_stream()
            .await
            .map_err(|error| SqlError::explain(&error, run.text, Some(&state)))?;
        let text: Arc<str> = run.text.into();
        let schema = renamed(&stream.schema(), headings);
        let renamed = schema.clone();
        let batches = stream.map_err(move |error| SqlError::explain(&error, &text, None)).map(move |batch| {
            let batch = batch?;
            let options = arrow::array::RecordBatchOptions::new().with_row_count(Some(batch.num_rows()));
            RecordBatch::try_new_with_options(renamed.clone(), batch.columns().to_vec(), &options)
                .map_err(|error| SqlError::at(error.to_string(), None))
        });
        Ok(Answer { schema, batches: batches.boxed(), note: None })
    }

    /// The plan of a query, and what its columns are called.
    async fn plan(&self, mut query: Query, run: &Run<'_>) -> Result<(LogicalPlan, Headings), SqlError> {
        parameters::bind_numbered(&mut query, run.parameters)
            .map_err(|message| SqlError::at(message, None))?;
        self.load(&named_relations(&query), &mut Vec::new()).await?;
        let mut names = lock(&self.names).clone();
        if let Some(face) = Faces::of(&query) {
            names.stars.insert(face.clone(), view::star());
            names.faces.insert(CLOUDTRAIL_LOGS.to_owned(), face);
        }
        let headings = adapt::adapt(&mut query, &names, run.text)?;
        let state = self.context.state();
        let explain = |error: DataFusionError| SqlError::explain(&error, run.text, Some(&state));
        let statement = SqlStatement::Statement(Box::new(Sql::Query(Box::new(query))));
        let plan = state.statement_to_plan(statement).await.map_err(explain)?;
        let plan = unnest::expand(plan).map_err(explain)?;
        // The second lock on the door: nothing but queries gets as far as here.
        let read_only =
            SQLOptions::new().with_allow_ddl(false).with_allow_dml(false).with_allow_statements(false);
        read_only.verify_plan(&plan).map_err(explain)?;
        if run.parameters.is_empty() {
            return Ok((plan, headings));
        }
        let values: Vec<_> = run
            .parameters
            .iter()
            .map(|(name, value)| (name.clone(), ScalarValue::from(value.as_str())))
            .collect();
        Ok((plan.with_param_values(values).map_err(explain)?, headings))
    }

    async fn explain(
        &self,
        query: &Query,
        analyze: bool,
        verbose: bool,
        run: &Run<'_>,
    ) -> Result<Answer, SqlError> {
        let (plan, _) = self.plan(query.clone(), run).await?;
        let state = self.context.state();
        let explain = |error: DataFusionError| SqlError::explain(&error, run.text, Some(&state));
        let plan = DataFrame::new(state.clone(), plan).explain(verbose, analyze).map_err(explain)?;
        self.start(plan.logical_plan().clone(), &Headings::default(), run).await
    }

    /// Registers the views and tables of the catalogue that are among `names`; `path` are those being read.
    fn load<'a>(
        &'a self,
        names: &'a BTreeSet<String>,
        path: &'a mut Vec<String>,
    ) -> BoxFuture<'a, Result<(), SqlError>> {
        Box::pin(async move {
            if names.contains("tables") || names.contains("columns") || names.contains("schemata") {
                self.register_information_schema().await?;
            }
            for name in names {
                if lock(&self.names).tables.contains(name) || lock(&self.names).synonyms.contains_key(name) {
                    continue;
                }
                match self
                    .catalogue
                    .get(name)
                    .await
                    .map_err(|error| SqlError::at(format!("{error:#}"), None))?
                {
                    Some(Entry::View(sql)) => self.load_view(name, &sql, path).await?,
                    Some(Entry::Synonym) => {
                        lock(&self.names).synonyms.insert(name.clone(), CLOUDTRAIL_LOGS.to_owned());
                    }
                    Some(Entry::Table(file)) => {
                        let table = super::export::table(&self.context, &self.catalogue, &file).await;
                        let table = table.map_err(|error| {
                            SqlError::at(format!("reading table '{name}': {error:#}"), None)
                        })?;
                        self.register(name, table);
                    }
                    None => {}
                }
            }
            Ok(())
        })
    }

    async fn load_view(&self, name: &str, sql: &str, path: &mut Vec<String>) -> Result<(), SqlError> {
        if path.iter().any(|above| above == name) {
            let message =
                format!("INVALID_VIEW: view '{name}' is defined by itself ({} → {name})", path.join(" → "));
            return Err(SqlError::at(message, None));
        }
        path.push(name.to_owned());
        let script = Script::parse(sql)?;
        let [statement] = script.statements() else {
            return Err(SqlError::at(format!("INVALID_VIEW: view '{name}' is not one query"), None));
        };
        let Command::Query(query) = statement.command() else {
            return Err(SqlError::at(format!("INVALID_VIEW: view '{name}' is no query"), None));
        };
        self.load(&named_relations(query), path).await?;
        let (plan, _) = self.plan((**query).clone(), &Run { text: sql, parameters: &[] }).await?;
        path.pop();
        self.register(name, Arc::new(ViewTable::new(plan, Some(sql.to_owned()))));
        Ok(())
    }

    fn register(&self, name: &str, table: Arc<dyn TableProvider>) {
        let mut names = lock(&self.names);
        names.columns.extend(table.schema().fields().iter().map(|field| field.name().clone()));
        names.tables.insert(name.to_owned());
        let _ = self.context.deregister_table(TableReference::bare(name));
        let _ = self.context.register_table(TableReference::bare(name), table);
    }

    fn forget(&self, name: &str) {
        let mut names = lock(&self.names);
        names.tables.remove(name);
        names.synonyms.remove(name);
        let _ = self.context.deregister_table(TableReference::bare(name));
    }

    async fn create_view(
        &self,
        name: &Name,
        or_replace: bool,
        query: &Query,
        sql: &str,
        run: &Run<'_>,
    ) -> Result<Answer, SqlError> {
        let fail = |message: &str| SqlError::spanned(message, name.span, run.text);
        let view = name.last();
        let known = self.catalogue.get(view).await.map_err(|error| fail(&format!("{error:#}")))?;
        let taken = match &known {
            Some(Entry::View(_)) => !or_replace,
            Some(_) => true,
            None => lock(&self.names).tables.contains(view) || lock(&self.names).synonyms.contains_key(view),
        };
        if taken {
            let what = if matches!(known, Some(Entry::View(_))) { "View" } else { "Table" };
            return Err(fail(&format!("ALREADY_EXISTS: {what} already exists: '{view}'")));
        }
        if named_relations(query).contains(view) {
            return Err(fail(&format!("INVALID_VIEW: view '{view}' would be defined by itself")));
        }
        let (plan, headings) = self.plan(query.clone(), &Run { text: run.text, parameters: &[] }).await?;
        if let Some(refusal) = headings.refusal(plan.schema().as_arrow()) {
            return Err(fail(&refusal));
        }
        self.catalogue
            .put(view, Entry::View(sql.to_owned()))
            .await
            .map_err(|error| fail(&format!("{error:#}")))?;
        self.register(view, Arc::new(ViewTable::new(plan, Some(sql.to_owned()))));
        Ok(Answer::note(format!("view {view} is there{}", self.lasting())))
    }

    /// How long a name lasts.
    fn lasting(&self) -> &'static str {
        if self.catalogue.store().is_some() {
            ", in this lake"
        } else {
            ", until the end: only a lake keeps names"
        }
    }

    async fn drop_entry(
        &self,
        name: &Name,
        if_exists: bool,
        view: bool,
        run: &Run<'_>,
    ) -> Result<Answer, SqlError> {
        let fail = |message: &str| SqlError::spanned(message, name.span, run.text);
        let known = self.catalogue.get(name.last()).await.map_err(|error| fail(&format!("{error:#}")))?;
        let kind = if view { "View" } else { "Table" };
        match known {
            Some(Entry::View(_)) if !view => {
                return Err(fail(&format!("NOT_SUPPORTED: '{}' is a view: DROP VIEW {0}", name.last())));
            }
            Some(Entry::Table(_) | Entry::Synonym) if view => {
                return Err(fail(&format!("NOT_SUPPORTED: '{}' is a table: DROP TABLE {0}", name.last())));
            }
            Some(_) => {}
            None if lock(&self.names).tables.contains(name.last()) => {
                return Err(fail(&format!(
                    "NOT_SUPPORTED: {kind} '{}' is part of the lake, which SQL only reads",
                    name.last()
                )));
            }
            None if if_exists => {
                return Ok(Answer::note(format!("there is no {} {}", kind.to_lowercase(), name.last())));
            }
            None => return Err(fail(&format!("TABLE_NOT_FOUND: {kind} '{}' does not exist", name.last()))),
        }
        self.catalogue.remove(name.last()).await.map_err(|error| fail(&format!("{error:#}")))?;
        self.forget(name.last());
        Ok(Answer::note(format!("{} {} is gone", kind.to_lowercase(), name.last())))
    }

    async fn define(&self, name: &Name) -> Result<Answer, SqlError> {
        let table = name.last();
        let known = lock(&self.names).tables.contains(table);
        if !known {
            let put = self.catalogue.put(table, Entry::Synonym).await;
            put.map_err(|error| SqlError::at(format!("{error:#}"), None))?;
            lock(&self.names).synonyms.insert(table.to_owned(), CLOUDTRAIL_LOGS.to_owned());
        }
        Ok(Answer::note(format!(
            "no definition is needed: the lake knows its columns and partitions; {table} now means {CLOUDTRAIL_LOGS}{}",
            self.lasting()
        )))
    }

    async fn create_table_as(
        &self,
        name: &Name,
        if_not_exists: bool,
        properties: &super::command::Properties,
        query: &Query,
        run: &Run<'_>,
    ) -> Result<Answer, SqlError> {
        let fail = |message: &str| SqlError::spanned(message, name.span, run.text);
        let table = name.last();
        self.load(&BTreeSet::from([table.to_owned()]), &mut Vec::new()).await?;
        if lock(&self.names).tables.contains(table) || lock(&self.names).synonyms.contains_key(table) {
            if if_not_exists {
                return Ok(Answer::note(format!("table {table} is there already")));
            }
            return Err(fail(&format!("ALREADY_EXISTS: Table already exists: '{table}'")));
        }
        let (plan, headings) = self.plan(query.clone(), run).await?;
        if let Some(refusal) = headings.refusal(plan.schema().as_arrow()) {
            return Err(fail(&refusal));
        }
        let answer = self.start(plan, &headings, run).await?;
        let (provider, note) =
            super::export::create_table(&self.context, &self.catalogue, table, answer, properties)
                .await
                .map_err(|error| fail(&format!("{error:#}")))?;
        self.register(table, provider);
        Ok(Answer::note(note))
    }

    /// The columns of a table or view, and what it is.
    async fn relation(&self, name: &Name, text: &str) -> Result<(SchemaRef, String), SqlError> {
        let last = name.last().to_owned();
        self.load(&BTreeSet::from([last.clone()]), &mut Vec::new()).await?;
        let names = lock(&self.names).clone();
        let table = names.synonyms.get(&last).cloned().unwrap_or_else(|| last.clone());
        let table = match &names.lake_face {
            Some(face) if super::tokens::is_event_data_store(&last) => face.clone(),
            _ => table,
        };
        if !names.tables.contains(&table) {
            let known = names.tables.iter().chain(names.synonyms.keys()).map(String::as_str);
            return Err(SqlError::unknown_table(&name.full(), known, name.span, text));
        }
        let provider = self.context.table_provider(TableReference::bare(table.clone())).await;
        let provider = provider.map_err(|error| SqlError::explain(&error, text, None))?;
        Ok((provider.schema(), table))
    }

    /// Every table and view that may be named, with its columns.
    async fn relations(&self, run: &Run<'_>) -> Result<BTreeMap<String, (Kind, SchemaRef)>, SqlError> {
        let outermost = !self.describing.swap(true, Ordering::Relaxed);
        let before = lock(&self.names).tables.clone();
        let relations = self.described(run).await;
        if outermost {
            // What is a view of the descriptions has seen none of them yet.
            let views: Vec<String> = lock(&self.names).tables.difference(&before).cloned().collect();
            views.iter().for_each(|name| self.forget(name));
            self.describing.store(false, Ordering::Relaxed);
        }
        relations
    }

    async fn described(&self, run: &Run<'_>) -> Result<BTreeMap<String, (Kind, SchemaRef)>, SqlError> {
        let entries =
            self.catalogue.entries().await.map_err(|error| SqlError::at(format!("{error:#}"), None))?;
        let mut relations = BTreeMap::new();
        let mut tables: BTreeSet<String> = lock(&self.names).tables.clone();
        tables.extend(lock(&self.names).synonyms.keys().cloned());
        tables.extend(entries.keys().cloned());
        for name in tables.into_iter().filter(|name| !name.contains('$')) {
            let kind =
                if matches!(entries.get(&name), Some(Entry::View(_))) { Kind::View } else { Kind::Table };
            let named = Name {
                parts: vec![name.clone()],
                span: datafusion::sql::sqlparser::tokenizer::Span::empty(),
            };
            match self.relation(&named, run.text).await {
                Ok((schema, _)) => {
                    relations.insert(name, (kind, schema));
                }
                // A view over what is no longer there is still a view.
                Err(_) => {
                    relations.insert(name, (kind, Arc::new(Schema::empty())));
                }
            }
        }
        Ok(relations)
    }

    async fn register_information_schema(&self) -> Result<(), SqlError> {
        if self.describing.load(Ordering::Relaxed) {
            return self.register_descriptions(&BTreeMap::new());
        }
        let run = Run { text: "", parameters: &[] };
        // Boxed, since a view among the relations may itself ask for the information schema.
        let relations = Box::pin(self.relations(&run)).await?;
        self.register_descriptions(&relations)
    }

    fn register_descriptions(&self, relations: &BTreeMap<String, (Kind, SchemaRef)>) -> Result<(), SqlError> {
        let fail = |error: DataFusionError| SqlError::explain(&error, "", None);
        let tables = show::information_schema(relations).map_err(|error| fail(error.into()))?;
        let schema = MemorySchemaProvider::new();
        for (name, rows) in tables {
            let table = MemTable::try_new(rows.schema(), vec![vec![rows]]).map_err(fail)?;
            schema.register_table(name.to_owned(), Arc::new(table)).map_err(fail)?;
        }
        if let Some(catalog) = self.context.catalog("datafusion") {
            catalog.register_schema("information_schema", Arc::new(schema)).map_err(fail)?;
        }
        Ok(())
    }

    async fn partitions(&self, name: &Name, run: &Run<'_>) -> Result<Answer, SqlError> {
        let (_, table) = self.relation(name, run.text).await?;
        if table != CLOUDTRAIL_LOGS {
            let message = format!("NOT_SUPPORTED: Table '{}' is not a partitioned table", name.last());
            return Err(SqlError::spanned(&message, name.span, run.text));
        }
        let script = Script::parse(view::PARTITIONS)?;
        let run = Run { text: script.text(), parameters: &[] };
        match script.statements()[0].command() {
            Command::Query(query) => self.query(query, &run).await,
            _ => Err(SqlError::at("SHOW PARTITIONS is no query", None)),
        }
    }

    async fn show_create(&self, name: &Name, run: &Run<'_>) -> Result<Answer, SqlError> {
        let (schema, table) = self.relation(name, run.text).await?;
        let entry =
            self.catalogue.get(&table).await.map_err(|error| SqlError::at(format!("{error:#}"), None))?;
        rows(match entry {
            Some(Entry::View(sql)) => show::column("Create View", [format!("CREATE VIEW {table} AS\n{sql}")]),
            _ => show::column(
                "createtab_stmt",
                [show::create_table(name.last(), &schema, &view::PARTITION_COLUMNS)],
            ),
        })
    }

    fn functions(&self, pattern: Option<&str>) -> Vec<String> {
        let state = self.context.state();
        let mut names: HashSet<String> = state.scalar_functions().keys().cloned().collect();
        names.extend(state.aggregate_functions().keys().cloned());
        names.extend(state.window_functions().keys().cloned());
        names.extend(state.higher_order_functions().keys().cloned());
        let mut names: Vec<String> =
            names.into_iter().filter(|name| !name.starts_with('$') && show::fits(name, pattern)).collect();
        names.sort();
        names
    }
}

impl std::fmt::Debug for Session {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Session").finish_non_exhaustive()
    }
}

fn rows(rows: Result<RecordBatch, arrow::error::ArrowError>) -> Result<Answer, SqlError> {
    rows.map(Answer::of).map_err(|error| SqlError::at(error.to_string(), None))
}

fn renamed(schema: &SchemaRef, headings: &Headings) -> SchemaRef {
    let names = headings.of(schema);
    let fields =
        schema.fields().iter().zip(names).map(|(field, name)| field.as_ref().clone().with_name(name));
    Arc::new(Schema::new(fields.collect::<Vec<_>>()))
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
