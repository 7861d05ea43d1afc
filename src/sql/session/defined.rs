//! What statements and the lake's catalogue define: views, other names, tables made by CREATE TABLE AS.

use std::collections::BTreeSet;
use std::sync::Arc;

use datafusion::catalog::TableProvider;
use datafusion::common::TableReference;
use datafusion::datasource::ViewTable;
use datafusion::sql::sqlparser::ast::Query;
use futures::future::BoxFuture;

use super::{Run, Session, lock};
use crate::sql::adapt::{free_relations, named_relations};
use crate::sql::catalogue::Entry;
use crate::sql::command::{Command, Name, Properties};
use crate::sql::error::SqlError;
use crate::sql::{Answer, CLOUDTRAIL_LOGS, Script, export};

impl Session {
    /// Registers the views and tables of the catalogue that are among `names`; `path` are those being read.
    pub(super) fn load<'a>(
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
                    Some(Entry::Table(files)) => {
                        let table = export::table(&self.context, &self.catalogue, &files).await;
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

    pub(super) fn register(&self, name: &str, table: Arc<dyn TableProvider>) {
        let mut names = lock(&self.names);
        let columns: Vec<String> = table.schema().fields().iter().map(|field| field.name().clone()).collect();
        names.columns.extend(columns.iter().cloned());
        names.stored.insert(name.to_owned(), columns);
        names.tables.insert(name.to_owned());
        let _ = self.context.deregister_table(TableReference::bare(name));
        let _ = self.context.register_table(TableReference::bare(name), table);
    }

    pub(super) fn forget(&self, name: &str) {
        let mut names = lock(&self.names);
        names.tables.remove(name);
        names.synonyms.remove(name);
        let _ = self.context.deregister_table(TableReference::bare(name));
    }

    pub(super) async fn create_view(
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
        if free_relations(query).contains(view) {
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

    pub(super) async fn drop_entry(
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

    pub(super) async fn define(&self, name: &Name) -> Result<Answer, SqlError> {
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

    pub(super) async fn create_table_as(
        &self,
        name: &Name,
        if_not_exists: bool,
        properties: &Properties,
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
            export::create_table(&self.context, &self.catalogue, table, answer, properties)
                .await
                .map_err(|error| fail(&format!("{error:#}")))?;
        self.register(table, provider);
        Ok(Answer::note(note))
    }
}
