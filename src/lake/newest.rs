//! Of tables to which corrections are appended, the rows that hold.
//!
//! The ledger gets a further row for a log file with the next `revision`; quarantine gets a further
//! row with the same `id` and another `status`. Readers see the newest. A lake in which nothing was
//! corrected, which the files' statistics tell, is read as it is; otherwise the few corrections are
//! read first, and the rows that they replace are left out by an anti-join.

use std::sync::Arc;

use anyhow::Result;
use datafusion::catalog::TableProvider;
use datafusion::common::JoinType;
use datafusion::datasource::{ViewTable, provider_as_source};
use datafusion::logical_expr::{Expr, LogicalPlanBuilder, lit};
use datafusion::prelude::col;

use super::entry::QuarantineStatus;
use super::file_stats::FileStats;
use super::table::DataFile;

const LATER: &str = "later";

/// The ledger with one row for each log file: that of the highest revision.
pub(crate) fn ledger(raw: Arc<dyn TableProvider>, files: &[DataFile]) -> Result<Arc<dyn TableProvider>> {
    let is_revised = |file: &DataFile| {
        let stats = FileStats::parse(file.stats.as_deref());
        stats.numbers("revision").is_none_or(|(_, highest)| highest > 0)
    };
    if raw.schema().column_with_name("revision").is_none() || !files.iter().any(is_revised) {
        return Ok(raw);
    }
    let later = col("revision").gt(lit(0_i64));
    let replaced = vec![same_id("log_files"), column("log_files", "revision").lt(column(LATER, "revision"))];
    without(&raw, "log_files", later, replaced)
}

/// The quarantine with one row for each piece: what became of it, if anything did.
pub(crate) fn quarantine(raw: Arc<dyn TableProvider>, files: &[DataFile]) -> Result<Arc<dyn TableProvider>> {
    let open = QuarantineStatus::Open.as_str();
    let is_resolved = |file: &DataFile| {
        let stats = FileStats::parse(file.stats.as_deref());
        stats.texts("status").is_none_or(|bounds| bounds != (open, open))
    };
    if raw.schema().column_with_name("status").is_none() || !files.iter().any(is_resolved) {
        return Ok(raw);
    }
    let later = col("status").not_eq(lit(open));
    let replaced = vec![same_id("quarantine"), column("quarantine", "status").eq(lit(open))];
    without(&raw, "quarantine", later, replaced)
}

/// The rows to which no row among the `later` ones is related by `replaced`.
fn without(
    raw: &Arc<dyn TableProvider>,
    name: &str,
    later: Expr,
    replaced: Vec<Expr>,
) -> Result<Arc<dyn TableProvider>> {
    let scan = |name: &str| LogicalPlanBuilder::scan(name, provider_as_source(raw.clone()), None);
    let later = scan(LATER)?.filter(later)?.build()?;
    let plan = scan(name)?.join_on(later, JoinType::LeftAnti, replaced)?.build()?;
    Ok(Arc::new(ViewTable::new(plan, None)))
}

fn same_id(table: &str) -> Expr {
    column(table, "id").eq(column(LATER, "id"))
}

fn column(table: &str, name: &str) -> Expr {
    col(format!("{table}.{name}"))
}
