//! A DataFusion session over the lake's tables, and what each statement does in it.

use std::collections::BTreeMap;
use std::sync::atomic::AtomicBool;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use anyhow::Result;
use arrow::array::RecordBatch;
use arrow::datatypes::{Schema, SchemaRef};
use datafusion::common::{DataFusionError, ScalarValue, TableReference};
use datafusion::dataframe::DataFrame;
use datafusion::execution::context::SQLOptions;
use datafusion::logical_expr::LogicalPlan;
use datafusion::prelude::SessionContext;
use datafusion::sql::parser::Statement as SqlStatement;
use datafusion::sql::sqlparser::ast::{Query, Statement as Sql};
use futures::{StreamExt, TryStreamExt};

use super::adapt::{self, Headings, Names, named_relations};
use super::addresses;
use super::catalogue::Catalogue;
use super::command::Command;
use super::error::SqlError;
use super::faces::Faces;
use super::lake_view::{self, CLOUDTRAIL_LAKE};
use super::show::{self, Kind};
use super::{
    Answer, CLOUDTRAIL_LOGS, Script, Statement, Tables, TimeRange, one_value, parameters, sources, state,
    types, unnest, view,
};

mod defined;
mod described;
mod insert;

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
        let stars = [(CLOUDTRAIL_LOGS, view::star()), (CLOUDTRAIL_LAKE, lake_view::star())];
        for (name, table) in faces.tables(tables)? {
            let columns: Vec<String> =
                table.schema().fields().iter().map(|field| field.name().clone()).collect();
            if let Some((_, star)) = stars.iter().find(|(face, _)| *face == name) {
                let hidden = columns.iter().filter(|column| !star.contains(column)).cloned();
                names.hidden.insert(name.clone(), hidden.collect());
            }
            names.columns.extend(columns);
            names.tables.insert(name.clone());
            context.register_table(TableReference::bare(name), table)?;
        }
        names.lake_face = Some(CLOUDTRAIL_LAKE.to_owned());
        names.stars = stars.into_iter().map(|(face, star)| (face.to_owned(), star)).collect();
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
            Command::InsertInto { name, columns, query } => {
                self.insert_into(name, columns.as_deref(), query, run).await
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
            let hidden = names.hidden.get(CLOUDTRAIL_LOGS).cloned().unwrap_or_default();
            names.hidden.insert(face.clone(), hidden);
            names.faces.insert(CLOUDTRAIL_LOGS.to_owned(), face);
        }
        let headings = adapt::adapt(&mut query, &names, run.text)?;
        let state = self.context.state();
        let explain = |error: DataFusionError| SqlError::explain(&error, run.text, Some(&state));
        let statement = SqlStatement::Statement(Box::new(Sql::Query(Box::new(query))));
        let plan = state.statement_to_plan(statement).await.map_err(explain)?;
        let plan = unnest::expand(plan, &state).and_then(one_value::aggregated).map_err(explain)?;
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
