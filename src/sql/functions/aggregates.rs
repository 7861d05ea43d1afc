//! Aggregates.

use datafusion::logical_expr::AggregateUDF;

/// The functions of this file.
pub(super) fn aggregate() -> Vec<AggregateUDF> {
    Vec::new()
}
