//! Functions of JSON.

use datafusion::logical_expr::ScalarUDF;

/// The functions of this file.
pub(super) fn scalar() -> Vec<ScalarUDF> {
    Vec::new()
}
