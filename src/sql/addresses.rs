//! Addresses and prefixes in an answer are text, as Athena shows them, and not the bytes that they are.

use datafusion::common::Result;
use datafusion::logical_expr::{Expr, LogicalPlan, LogicalPlanBuilder};

use super::functions::types::type_name;
use super::functions::{cast_to, is_address};

/// The plan with its columns of addresses as text.
pub(super) fn as_text(plan: LogicalPlan) -> Result<LogicalPlan> {
    if !plan.schema().fields().iter().any(|field| is_address(field.data_type())) {
        return Ok(plan);
    }
    let columns: Vec<Expr> = plan
        .schema()
        .iter()
        .map(|(qualifier, field)| {
            let column = Expr::from((qualifier, field));
            if !is_address(field.data_type()) {
                return column;
            }
            let text =
                type_name(field.data_type()).replace("ipaddress", "varchar").replace("ipprefix", "varchar");
            cast_to(column, &text).alias_qualified(qualifier.cloned(), field.name())
        })
        .collect();
    LogicalPlanBuilder::from(plan).project(columns)?.build()
}
