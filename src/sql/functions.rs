//! Trino's functions, in place of built-in ones of the same name where the meaning differs.
//!
//! It knows nothing of CloudTrail and nothing of the rest of `sql`, so each function is tested by itself.
//!
//! Trino's types are Arrow types, and the ones that Arrow does not know have one that nothing else uses here:
//!
//! | Trino | Arrow |
//! |---|---|
//! | `varchar` | `Utf8`, `Utf8View` |
//! | `JSON` | `LargeUtf8`: its text, compact |
//! | `IPADDRESS` | `FixedSizeBinary(16)`: IPv4 as `::ffff:a.b.c.d` |
//! | `IPPREFIX` | `FixedSizeBinary(17)`: the address, and the length of the prefix |
//! | `timestamp`, `timestamp with time zone` | `Timestamp(Millisecond)`, without or with a zone |
//! | `varbinary` | `Binary` |
//! | `array`, `map`, `row` | `List`, `Map`, `Struct` |

use std::sync::Arc;

use arrow::array::ArrayRef;
use arrow::datatypes::DataType;
use datafusion::common::Result;
use datafusion::execution::{FunctionRegistry, SessionState};
use datafusion::logical_expr::{Expr, ScalarUDF, lit};
use datafusion::sql::sqlparser::ast::BinaryOperator;

mod aggregates;
mod args;
mod arrays;
mod binary;
mod by_name;
mod casts;
mod float_text;
mod function;
mod ip;
mod json;
mod lambdas;
mod maps;
mod math;
mod regexps;
mod scalar;
mod scalar_arguments;
#[cfg(test)]
mod testing;
mod text;
mod times;
pub(super) mod types;

pub(super) use aggregates::single;
pub(super) use lambdas::REPLACE_BY;

/// Adds the functions to a session.
pub(super) fn register(state: &mut SessionState) -> Result<()> {
    let scalar: [fn() -> Vec<ScalarUDF>; 11] = [
        arrays::scalar,
        binary::scalar,
        casts::scalar,
        ip::scalar,
        json::scalar,
        maps::scalar,
        math::scalar,
        regexps::scalar,
        text::scalar,
        times::scalar,
        types::scalar,
    ];
    for function in scalar.iter().flat_map(|group| group()) {
        state.register_udf(Arc::new(function))?;
    }
    for name in lambdas::REPLACED {
        state.deregister_udf(name)?;
    }
    for function in lambdas::higher_order() {
        state.register_higher_order_function(Arc::new(function))?;
    }
    for function in aggregates::aggregate() {
        state.register_udaf(Arc::new(function))?;
    }
    for function in aggregates::window() {
        state.register_udwf(Arc::new(function))?;
    }
    Ok(())
}

/// `interval * number`, or `interval / number`.
pub(super) fn scaled_interval(interval: Expr, number: Expr, whole: bool, divided: bool) -> Expr {
    let name = match (divided, whole) {
        (true, _) => times::PARTS,
        (false, true) => times::TIMES,
        (false, false) => times::TIMES_DOUBLE,
    };
    let scale = times::scalar().into_iter().find(|function| function.name() == name);
    match scale {
        Some(scale) => scale.call(vec![interval, number]),
        None => interval,
    }
}

/// A number by which an interval compares with others.
pub(super) fn interval_order(interval: Expr) -> Expr {
    let order = times::scalar().into_iter().find(|function| function.name() == times::ORDER);
    match order {
        Some(order) => order.call(vec![interval]),
        None => interval,
    }
}

/// `left op right` of integers, which fails where the result leaves their range.
pub(super) fn integer_operation(op: &BinaryOperator, left: Expr, right: Expr) -> Option<Expr> {
    let name = match op {
        BinaryOperator::Plus => math::ADD,
        BinaryOperator::Minus => math::SUBTRACT,
        BinaryOperator::Multiply => math::MULTIPLY,
        _ => return None,
    };
    Some(math::arithmetic(name)?.call(vec![left, right]))
}

/// Text as an address.
pub(super) fn address(text: Expr) -> Expr {
    cast_to(text, "ipaddress")
}

/// `CAST(value AS type)`.
pub(super) fn cast_to(value: Expr, data_type: &str) -> Expr {
    let cast = casts::scalar().into_iter().find(|function| function.name() == "$cast");
    match cast {
        Some(cast) => cast.call(vec![value, lit(data_type)]),
        None => value,
    }
}

/// Values as a CAST to varchar writes them.
pub(crate) fn to_varchar(values: &ArrayRef) -> Result<ArrayRef> {
    casts::to_varchar(values)
}

/// Adds a double as Athena shows it: `1.5`, `100.0`, `1.0E10`.
pub(crate) fn push_double(out: &mut String, value: f64) {
    float_text::java_text(out, value);
}

/// Whether a type is IPADDRESS or IPPREFIX, or an array of them.
pub(super) fn is_address(data_type: &DataType) -> bool {
    match data_type {
        DataType::FixedSizeBinary(16 | 17) => true,
        DataType::List(element) => is_address(element.data_type()),
        _ => false,
    }
}
