//! What SHOW, DESCRIBE and the information schema tell of tables, views and functions.

use std::collections::{BTreeMap, BTreeSet, HashSet};
use std::sync::Arc;
use std::sync::atomic::Ordering;

use arrow::datatypes::{Schema, SchemaRef};
use datafusion::catalog::{MemorySchemaProvider, SchemaProvider};
use datafusion::common::{DataFusionError, TableReference};
use datafusion::datasource::MemTable;
use datafusion::sql::sqlparser::tokenizer::Span;

use super::{Run, Session, lock, rows};
use crate::sql::catalogue::Entry;
use crate::sql::command::{Command, Name};
use crate::sql::error::SqlError;
use crate::sql::show::{self, Kind};
use crate::sql::tokens::is_event_data_store;
use crate::sql::{Answer, CLOUDTRAIL_LOGS, Script, view};

impl Session {
    /// The columns of a table or view, and what it is.
    pub(super) async fn relation(&self, name: &Name, text: &str) -> Result<(SchemaRef, String), SqlError> {
        let last = name.last().to_owned();
        self.load(&BTreeSet::from([last.clone()]), &mut Vec::new()).await?;
        let names = lock(&self.names).clone();
        let table = names.synonyms.get(&last).cloned().unwrap_or_else(|| last.clone());
        let table = match &names.lake_face {
            Some(face) if is_event_data_store(&last) => face.clone(),
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
    pub(super) async fn relations(
        &self,
        run: &Run<'_>,
    ) -> Result<BTreeMap<String, (Kind, SchemaRef)>, SqlError> {
        let outermost = !self.describing.swap(true, Ordering::Relaxed);
        let before = lock(&self.names).tables.clone();
        let relations = self.described(run).await;
        if outermost {
            // What is a view of the descriptions has seen none of them yet.
            let views: Vec<String> = lock(&self.names).tables.difference(&before).cloned().collect();
            for name in &views {
                self.forget(name);
            }
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
            let named = Name { parts: vec![name.clone()], span: Span::empty() };
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

    pub(super) async fn register_information_schema(&self) -> Result<(), SqlError> {
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

    pub(super) async fn partitions(&self, name: &Name, run: &Run<'_>) -> Result<Answer, SqlError> {
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

    pub(super) async fn show_create(&self, name: &Name, run: &Run<'_>) -> Result<Answer, SqlError> {
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

    pub(super) fn functions(&self, pattern: Option<&str>) -> Vec<String> {
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
