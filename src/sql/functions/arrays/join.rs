//! `array_join`.

use std::sync::Arc;

use arrow::array::{Array, ArrayRef, AsArray, StringBuilder};
use arrow::datatypes::DataType;
use datafusion::common::Result;
use datafusion::logical_expr::ScalarUDF;

use super::super::casts::to_varchar;
use super::function::{Function, Types, array_of, element_of, is_varchar};
use super::lists::Lists;

/// The functions of this file.
pub(super) fn scalar() -> Vec<ScalarUDF> {
    let expected = "array_join(array(E), varchar), array_join(array(E), varchar, varchar)";
    vec![Function::udf("array_join", expected, types, array_join)]
}

fn types(given: &[DataType]) -> Option<Types> {
    let (array, texts) = given.split_first()?;
    if element_of(array)?.is_nested() || !(1..=2).contains(&texts.len()) || !texts.iter().all(is_varchar) {
        return None;
    }
    let takes = [&[array_of(array)?][..], &vec![DataType::Utf8; texts.len()]].concat();
    Types::new(takes, DataType::Utf8)
}

/// Elements that are NULL are left out, unless something is given to stand for them.
fn array_join(args: &[ArrayRef], _: &DataType) -> Result<ArrayRef> {
    let lists = Lists::new(&args[0])?;
    let texts = to_varchar(&lists.values)?;
    let texts = texts.as_string::<i32>();
    let separators = args[1].as_string::<i32>();
    let replacements = args.get(2).map(AsArray::as_string::<i32>);
    let mut joined = StringBuilder::with_capacity(lists.len(), texts.value_data().len());
    for (row, elements) in lists.rows().enumerate() {
        let replacement =
            replacements.map(|replacements| replacements.is_valid(row).then(|| replacements.value(row)));
        let Some(elements) = elements.filter(|_| separators.is_valid(row) && replacement != Some(None))
        else {
            joined.append_null();
            continue;
        };
        let mut first = true;
        for element in elements {
            let text =
                if texts.is_valid(element) { Some(texts.value(element)) } else { replacement.flatten() };
            let Some(text) = text else { continue };
            if !first {
                append(&mut joined, separators.value(row));
            }
            append(&mut joined, text);
            first = false;
        }
        joined.append_value("");
    }
    Ok(Arc::new(joined.finish()))
}

/// Adds to the value that is being built.
fn append(builder: &mut StringBuilder, text: &str) {
    // A StringBuilder as a writer cannot fail.
    let _ = std::fmt::Write::write_str(builder, text);
}
