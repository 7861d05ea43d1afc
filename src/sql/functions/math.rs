//! Functions of numbers. Integers stay integers, decimals decimals; what is left to DataFusion means the same
//! there: `degrees`, `radians` and the trigonometric ones.

use datafusion::logical_expr::ScalarUDF;

mod arithmetic;
mod bits;
mod comparison;
mod doubles;
mod integers;
mod random;
mod rounding;
#[cfg(test)]
mod tests;

pub(super) use arithmetic::{ADD, MULTIPLY, SUBTRACT};

/// One of the operators.
pub(super) fn arithmetic(name: &str) -> Option<ScalarUDF> {
    arithmetic::scalar().into_iter().find(|function| function.name() == name)
}

/// The functions of this family.
pub(super) fn scalar() -> Vec<ScalarUDF> {
    [
        arithmetic::scalar(),
        bits::scalar(),
        comparison::scalar(),
        doubles::scalar(),
        integers::scalar(),
        random::scalar(),
        rounding::scalar(),
    ]
    .concat()
}
