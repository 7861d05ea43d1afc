//! Trino's functions of arrays, and the ways into arrays, maps and rows.

use datafusion::logical_expr::ScalarUDF;

mod access;
mod edit;
pub(super) mod function;
mod join;
pub(super) mod lists;
mod rows;
mod sequence;
mod sets;
#[cfg(test)]
pub(super) mod tests;

pub(super) use access::{count, text};
pub(super) use rows::{align, columns_of};

/// The functions of these files.
pub(super) fn scalar() -> Vec<ScalarUDF> {
    [access::scalar(), edit::scalar(), join::scalar(), rows::scalar(), sequence::scalar(), sets::scalar()]
        .concat()
}
