//! Functions that take lambdas.

use datafusion::logical_expr::HigherOrderUDF;

/// The functions of this file.
pub(super) fn higher_order() -> Vec<HigherOrderUDF> {
    Vec::new()
}
