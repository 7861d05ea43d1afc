//! Rows: `ROW(…)` and `zip`.

use std::sync::Arc;

use arrow::array::{Array, ArrayRef, AsArray, StructArray, UInt64Array};
use arrow::buffer::NullBuffer;
use arrow::compute::take;
use arrow::datatypes::{DataType, Fields};
use datafusion::common::{Result, internal_err};
use datafusion::logical_expr::ScalarUDF;

use super::function::{Function, Types, array_of, element_of, list_of, row_of};
use super::lists::{Lists, lists};

/// The functions of this file.
pub(super) fn scalar() -> Vec<ScalarUDF> {
    vec![
        Function::udf("$row", "ROW(T, …)", row_types, row),
        Function::udf("zip", "zip(array(T1), array(T2), …) of 2 to 5 arrays", zip_types, zip),
    ]
}

fn row_types(given: &[DataType]) -> Option<Types> {
    if given.is_empty() {
        return None;
    }
    Types::new(given, row_of(given.iter().cloned()))
}

fn row(args: &[ArrayRef], gives: &DataType) -> Result<ArrayRef> {
    let DataType::Struct(fields) = gives else {
        return internal_err!("{gives} is no row");
    };
    Ok(Arc::new(StructArray::try_new(fields.clone(), args.to_vec(), None)?))
}

fn zip_types(given: &[DataType]) -> Option<Types> {
    if !(2..=5).contains(&given.len()) {
        return None;
    }
    let elements = given.iter().map(|array| element_of(array).cloned()).collect::<Option<Vec<_>>>()?;
    let takes = given.iter().map(array_of).collect::<Option<Vec<_>>>()?;
    Types::new(takes, list_of(row_of(elements)))
}

/// Rows of the elements that stand at the same place, NULL where an array is shorter.
fn zip(args: &[ArrayRef], gives: &DataType) -> Result<ArrayRef> {
    let DataType::List(element) = gives else {
        return internal_err!("{gives} is no array");
    };
    let DataType::Struct(fields) = element.data_type() else {
        return internal_err!("{element} is no row");
    };
    let arrays = args.iter().map(Lists::new).collect::<Result<Vec<_>>>()?;
    let aligned = align(&arrays);
    let columns = arrays
        .iter()
        .zip(&aligned.places)
        .map(|(array, places)| Ok(take(&array.values, places, None)?))
        .collect::<Result<Vec<_>>>()?;
    let length = aligned.lengths.iter().sum();
    let rows = StructArray::try_new_with_length(fields.clone(), columns, None, length)?;
    lists(Arc::new(rows), &aligned.lengths, Some(aligned.valid.into()), gives)
}

/// Arrays side by side: for each of them, which of its elements stands at each place of the longest.
pub(crate) struct Aligned {
    pub(crate) places: Vec<UInt64Array>,
    pub(crate) lengths: Vec<usize>,
    pub(crate) valid: Vec<bool>,
}

/// Lays arrays side by side. Where one of them is NULL, all of the row is.
pub(crate) fn align(arrays: &[Lists]) -> Aligned {
    let (mut lengths, mut valid) = (Vec::new(), Vec::new());
    let mut places = vec![Vec::new(); arrays.len()];
    for row in 0..arrays[0].len() {
        let elements: Option<Vec<_>> = arrays.iter().map(|array| array.row(row)).collect();
        let longest = elements.iter().flatten().map(ExactSizeIterator::len).max().unwrap_or(0);
        for (elements, places) in elements.iter().flatten().zip(&mut places) {
            places
                .extend((0..longest).map(|at| (at < elements.len()).then_some((elements.start + at) as u64)));
        }
        lengths.push(longest);
        valid.push(elements.is_some());
    }
    let places = places.into_iter().map(UInt64Array::from).collect();
    Aligned { places, lengths, valid }
}

/// The columns of rows, with NULL where the row itself is.
pub(crate) fn columns_of(rows: &ArrayRef) -> Result<(Vec<ArrayRef>, Fields, Option<NullBuffer>)> {
    let rows = rows.as_struct();
    let columns = match rows.nulls() {
        None => rows.columns().to_vec(),
        Some(nulls) => {
            let places: UInt64Array =
                nulls.iter().enumerate().map(|(row, valid)| valid.then_some(row as u64)).collect();
            rows.columns().iter().map(|column| Ok(take(column, &places, None)?)).collect::<Result<_>>()?
        }
    };
    Ok((columns, rows.fields().clone(), rows.nulls().cloned()))
}
