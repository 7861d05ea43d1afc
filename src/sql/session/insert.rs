//! `INSERT INTO` a table that CREATE TABLE AS made. What is recorded takes no rows from anybody.

use std::collections::BTreeSet;
use std::sync::Arc;

use arrow::datatypes::{DataType, Field, Schema, SchemaRef};
use datafusion::common::{Column, TableReference};
use datafusion::datasource::MemTable;
use datafusion::logical_expr::{Expr, LogicalPlan, LogicalPlanBuilder, cast, lit};
use datafusion::scalar::ScalarValue;
use datafusion::sql::sqlparser::ast::Query;
use futures::TryStreamExt;

use super::{Run, Session};
use crate::output::counted;
use crate::sql::adapt::Headings;
use crate::sql::catalogue::Entry;
use crate::sql::command::Name;
use crate::sql::error::SqlError;
use crate::sql::types::type_name;
use crate::sql::{Answer, export};

impl Session {
    pub(super) async fn insert_into(
        &self,
        name: &Name,
        columns: Option<&[String]>,
        query: &Query,
        run: &Run<'_>,
    ) -> Result<Answer, SqlError> {
        let fail = |message: &str| SqlError::spanned(message, name.span, run.text);
        let failed = |error: anyhow::Error| fail(&format!("{error:#}"));
        let table = name.last();
        self.load(&BTreeSet::from([table.to_owned()]), &mut Vec::new()).await?;
        if !matches!(self.catalogue.get(table).await.map_err(failed)?, Some(Entry::Table(_))) {
            return Err(fail(&format!(
                "NOT_SUPPORTED: INSERT is refused: '{table}' is no table that CREATE TABLE AS made, and SQL only reads the rest of the lake"
            )));
        }
        let provider = self.context.table_provider(TableReference::bare(table)).await;
        let target = provider.map_err(|error| fail(&error.to_string()))?.schema();
        let (plan, _) = self.plan(query.clone(), run).await?;
        let places =
            places(&target, columns, plan.schema().fields().len()).map_err(|message| fail(&message))?;
        let plan = shaped(plan, &target, &places).map_err(|message| fail(&message))?;
        let answer = self.start(plan, &Headings::default(), run).await?;
        let rows = if self.catalogue.store().is_some() {
            let appended = export::append(&self.context, &self.catalogue, table, answer).await;
            let (provider, rows) = appended.map_err(failed)?;
            self.register(table, provider);
            rows
        } else {
            self.append_in_memory(table, &target, answer, run).await?
        };
        self.forget_views().await.map_err(failed)?;
        Ok(Answer::note(format!("{} inserted into {table}", counted(rows as u64, "row"))))
    }

    async fn append_in_memory(
        &self,
        table: &str,
        target: &SchemaRef,
        answer: Answer,
        run: &Run<'_>,
    ) -> Result<usize, SqlError> {
        let explain = |error| SqlError::explain(&error, run.text, None);
        let frame = self.context.table(TableReference::bare(table)).await.map_err(explain)?;
        let mut all = frame.collect().await.map_err(explain)?;
        let added: Vec<_> = answer.batches.try_collect().await?;
        let rows = added.iter().map(arrow::array::RecordBatch::num_rows).sum();
        for batch in added {
            let batch = arrow::array::RecordBatch::try_new(Arc::clone(target), batch.columns().to_vec());
            all.push(batch.map_err(|error| SqlError::at(error.to_string(), None))?);
        }
        let provider = MemTable::try_new(Arc::clone(target), vec![all]).map_err(explain)?;
        self.register(table, Arc::new(provider));
        Ok(rows)
    }

    /// Views are read again, since they may show the table as it was.
    async fn forget_views(&self) -> anyhow::Result<()> {
        for (name, entry) in self.catalogue.entries().await? {
            if matches!(entry, Entry::View(_)) {
                self.forget(&name);
            }
        }
        Ok(())
    }
}

/// For each column of the table, which column of the query it takes.
fn places(target: &Schema, columns: Option<&[String]>, given: usize) -> Result<Vec<Option<usize>>, String> {
    let names: Vec<&str> = match columns {
        Some(columns) => columns.iter().map(String::as_str).collect(),
        None => target.fields().iter().map(|field| field.name().as_str()).collect(),
    };
    let unknown = names.iter().find(|name| target.column_with_name(name).is_none());
    if let Some(unknown) = unknown {
        return Err(format!(
            "COLUMN_NOT_FOUND: Insert column name does not exist in target table: {unknown}"
        ));
    }
    if names.iter().collect::<BTreeSet<_>>().len() < names.len() {
        return Err("DUPLICATE_COLUMN_NAME: Insert column name is specified more than once".to_owned());
    }
    if names.len() != given {
        return Err(format!(
            "TYPE_MISMATCH: Insert query has mismatched column types: the table takes {} columns, the query has {given}",
            names.len()
        ));
    }
    Ok(target.fields().iter().map(|field| names.iter().position(|name| name == field.name())).collect())
}

/// The rows of a query in the columns of the table, NULL where it gives none.
fn shaped(plan: LogicalPlan, target: &Schema, places: &[Option<usize>]) -> Result<LogicalPlan, String> {
    let mut columns = Vec::new();
    for (field, place) in target.fields().iter().zip(places) {
        let value = match place {
            Some(place) => {
                let (qualifier, given) = plan.schema().qualified_field(*place);
                check(given, field)?;
                let column = Expr::Column(Column::from((qualifier, given)));
                if given.data_type() == field.data_type() {
                    column
                } else {
                    cast(column, field.data_type().clone())
                }
            }
            None => lit(ScalarValue::try_new_null(field.data_type()).map_err(|error| error.to_string())?),
        };
        columns.push(value.alias(field.name()));
    }
    let plan = LogicalPlanBuilder::from(plan).project(columns).and_then(LogicalPlanBuilder::build);
    plan.map_err(|error| error.to_string())
}

fn check(given: &Field, field: &Field) -> Result<(), String> {
    if fits(given.data_type(), field.data_type()) {
        return Ok(());
    }
    Err(format!(
        "TYPE_MISMATCH: Insert query has mismatched column types: column '{}' is {} and the query gives {}",
        field.name(),
        type_name(field.data_type()),
        type_name(given.data_type())
    ))
}

/// Whether a value may go into a column: Trino's implicit casts. An integer that is too large fails when it is
/// written.
fn fits(given: &DataType, column: &DataType) -> bool {
    use DataType as D;
    let is_text = |data_type: &D| matches!(data_type, D::Utf8 | D::Utf8View);
    match (given, column) {
        (D::Null, _)
        | (D::Decimal128(..), D::Decimal128(..) | D::Float32 | D::Float64)
        | (D::Float32 | D::Float64, D::Float32 | D::Float64)
        | (D::Date32, D::Timestamp(..)) => true,
        (D::Dictionary(_, given), column) => fits(given, column),
        (given, column) if is_text(given) && is_text(column) => true,
        (given, column) if given.is_integer() => {
            column.is_integer() || column.is_floating() || matches!(column, D::Decimal128(..))
        }
        (D::Timestamp(_, given), D::Timestamp(_, column)) => given.is_some() == column.is_some(),
        (D::List(given), D::List(column)) | (D::Map(given, _), D::Map(column, _)) => {
            fits(given.data_type(), column.data_type())
        }
        (D::Struct(given), D::Struct(column)) => {
            let mut pairs = given.iter().zip(column);
            given.len() == column.len()
                && pairs.all(|(given, column)| fits(given.data_type(), column.data_type()))
        }
        (given, column) => given == column,
    }
}
