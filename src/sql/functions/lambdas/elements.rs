//! Lambdas over elements of arrays: `filter`, `transform`, `any_match`, `zip_with` …

use std::sync::Arc;

use arrow::array::{Array, ArrayRef, BooleanArray, UInt64Array};
use arrow::compute::take;
use arrow::datatypes::DataType;
use datafusion::common::Result;
use datafusion::logical_expr::HigherOrderUDF;

use super::super::arrays::align;
use super::super::arrays::function::{array_of, element_of, list_of};
use super::super::arrays::lists::{Lists, Picks, lists};
use super::{Call, Lambdas, is_boolean, owners};

/// The functions of this file.
pub(super) fn higher_order() -> Vec<HigherOrderUDF> {
    let array = |name, expected, gives, run| Lambdas::udf(name, expected, "vl", arrays, elements, gives, run);
    vec![
        array("filter", "filter(array(T), function(T,boolean))", same, filter),
        array("transform", "transform(array(T), function(T,U))", transformed, transform),
        array("any_match", "any_match(array(T), function(T,boolean))", answer, |call| {
            matches(call, true, true)
        }),
        array("all_match", "all_match(array(T), function(T,boolean))", answer, |call| {
            matches(call, false, false)
        }),
        array("none_match", "none_match(array(T), function(T,boolean))", answer, |call| {
            matches(call, true, false)
        }),
        Lambdas::udf(
            "zip_with",
            "zip_with(array(T), array(U), function(T,U,R))",
            "vvl",
            arrays,
            elements,
            transformed,
            zip_with,
        ),
    ]
}

/// All values are arrays.
pub(super) fn arrays(given: &[DataType]) -> Option<Vec<DataType>> {
    given.iter().map(array_of).collect()
}

/// The lambda takes an element of each array.
fn elements(values: &[DataType], _: &[Option<DataType>]) -> Option<Vec<Vec<DataType>>> {
    let elements = values.iter().map(|array| element_of(array).cloned()).collect::<Option<_>>()?;
    Some(vec![elements])
}

fn same(values: &[DataType], outputs: &[DataType]) -> Option<DataType> {
    is_boolean(&outputs[0]).then(|| values[0].clone())
}

fn answer(_: &[DataType], outputs: &[DataType]) -> Option<DataType> {
    is_boolean(&outputs[0]).then_some(DataType::Boolean)
}

#[allow(clippy::unnecessary_wraps)] // As others do.
fn transformed(_: &[DataType], outputs: &[DataType]) -> Option<DataType> {
    Some(list_of(outputs[0].clone()))
}

/// The elements of arrays that are not NULL, and to which rows they belong.
fn flat(array: &Lists) -> Result<(ArrayRef, UInt64Array)> {
    let owners = owners(array.rows().map(|elements| elements.map_or(0, |elements| elements.len())));
    if owners.len() == array.values.len() {
        return Ok((Arc::clone(&array.values), owners));
    }
    let places: UInt64Array = array.rows().flatten().flatten().map(|element| element as u64).collect();
    Ok((take(&array.values, &places, None)?, owners))
}

fn filter(call: &Call) -> Result<ArrayRef> {
    let array = Lists::new(&call.value(0)?)?;
    let (values, owners) = flat(&array)?;
    let kept = call.test(1, &[Arc::clone(&values)], &owners)?;
    let mut picks = Picks::default();
    let mut begun = 0;
    for elements in array.rows() {
        let Some(elements) = elements else {
            picks.end_null();
            continue;
        };
        let end = begun + elements.len();
        picks.extend((begun..end).filter(|&element| kept.is_valid(element) && kept.value(element)));
        picks.end_row();
        begun = end;
    }
    picks.finish(&[&values], call.gives())
}

fn transform(call: &Call) -> Result<ArrayRef> {
    let array = Lists::new(&call.value(0)?)?;
    let (values, owners) = flat(&array)?;
    let lengths: Vec<_> =
        array.rows().map(|elements| elements.map_or(0, |elements| elements.len())).collect();
    lists(call.evaluate(1, &[values], &owners)?, &lengths, array.nulls().cloned(), call.gives())
}

/// Looks for an element for which the lambda says `wanted`; `found` is the answer when there is one.
/// Where none is found but the lambda gave NULL for some, the answer is NULL.
fn matches(call: &Call, wanted: bool, found: bool) -> Result<ArrayRef> {
    let array = Lists::new(&call.value(0)?)?;
    let (values, owners) = flat(&array)?;
    let said = call.test(1, &[values], &owners)?;
    let mut begun = 0;
    let answers: BooleanArray = array
        .rows()
        .map(|elements| {
            let elements = begun..begun + elements?.len();
            begun = elements.end;
            if elements.clone().any(|element| said.is_valid(element) && said.value(element) == wanted) {
                return Some(found);
            }
            elements.into_iter().all(|element| said.is_valid(element)).then_some(!found)
        })
        .collect();
    Ok(Arc::new(answers))
}

fn zip_with(call: &Call) -> Result<ArrayRef> {
    let arrays = [Lists::new(&call.value(0)?)?, Lists::new(&call.value(1)?)?];
    let aligned = align(&arrays);
    let parameters = arrays
        .iter()
        .zip(&aligned.places)
        .map(|(array, places)| Ok(take(&array.values, places, None)?))
        .collect::<Result<Vec<_>>>()?;
    let values = call.evaluate(2, &parameters, &owners(aligned.lengths.iter().copied()))?;
    lists(values, &aligned.lengths, Some(aligned.valid.into()), call.gives())
}
