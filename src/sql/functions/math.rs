//! Functions of numbers. Integers stay integers, decimals decimals; what is left to DataFusion means the same
//! there: `degrees`, `radians` and the trigonometric ones.

use datafusion::logical_expr::ScalarUDF;

mod bits;
mod comparison;
mod doubles;
mod integers;
mod random;
mod rounding;
#[cfg(test)]
mod tests;

/// The functions of this family.
pub(super) fn scalar() -> Vec<ScalarUDF> {
    [
        bits::scalar(),
        comparison::scalar(),
        doubles::scalar(),
        integers::scalar(),
        random::scalar(),
        rounding::scalar(),
    ]
    .concat()
}
