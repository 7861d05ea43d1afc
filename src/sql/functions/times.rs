//! Functions of times: `timestamp`, `timestamp with time zone`, `date` and intervals.
//!
//! All of them count milliseconds since 1970, as Trino does, and the session's zone is UTC, as in Athena.

use datafusion::logical_expr::ScalarUDF;

mod arithmetic;
mod civil;
mod fields;
mod formats;
mod instants;
mod iso;
mod iso_text;
mod java;
mod joda;
mod mysql;
mod now;
mod parse;
mod pattern;
mod spans;
#[cfg(test)]
mod tests;
mod unix;
mod zone;
mod zones;

pub(super) use java::java_text;
pub(super) use spans::{ORDER, PARTS, TIMES, TIMES_DOUBLE};

/// The functions of this family.
pub(super) fn scalar() -> Vec<ScalarUDF> {
    [
        arithmetic::scalar(),
        fields::scalar(),
        formats::scalar(),
        iso::scalar(),
        now::scalar(),
        spans::scalar(),
        unix::scalar(),
        zones::scalar(),
    ]
    .concat()
}
