//! Functions of text. Positions and lengths count characters, from 1.

use datafusion::logical_expr::ScalarUDF;

mod case;
mod concat;
mod data_size;
mod distance;
mod format;
mod java_format;
mod like;
mod maps;
mod normalize;
mod pad;
mod split;
mod substring;
#[cfg(test)]
mod tests;
mod url;

pub(super) use split::array_of_texts;
pub(super) use substring::starts_with_literal;

/// The functions of this family.
pub(super) fn scalar() -> Vec<ScalarUDF> {
    [
        case::scalar(),
        concat::scalar(),
        data_size::scalar(),
        distance::scalar(),
        format::scalar(),
        like::scalar(),
        maps::scalar(),
        normalize::scalar(),
        pad::scalar(),
        split::scalar(),
        substring::scalar(),
        url::scalar(),
    ]
    .concat()
}
