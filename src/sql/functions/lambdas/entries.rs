//! Lambdas over entries of maps: `map_filter`, `transform_keys`, `transform_values`, `map_zip_with`.

use std::sync::Arc;

use arrow::array::{Array, ArrayRef, UInt64Array};
use arrow::compute::{concat, take};
use arrow::datatypes::DataType;
use datafusion::common::{HashMap, Result};
use datafusion::logical_expr::HigherOrderUDF;

use super::super::arrays::function::{common, map_of, sides_of};
use super::super::arrays::lists::keys;
use super::super::maps::{Maps, check_keys, maps};
use super::{Call, Lambdas, is_boolean, owners};

/// The functions of this file.
pub(super) fn higher_order() -> Vec<HigherOrderUDF> {
    let map = |name, expected, gives, run| Lambdas::udf(name, expected, "vl", one_map, entry, gives, run);
    vec![
        map("map_filter", "map_filter(map(K,V), function(K,V,boolean))", same, map_filter),
        map("transform_keys", "transform_keys(map(K1,V), function(K1,V,K2))", new_keys, transform_keys),
        map(
            "transform_values",
            "transform_values(map(K,V1), function(K,V1,V2))",
            new_values,
            transform_values,
        ),
        Lambdas::udf(
            "map_zip_with",
            "map_zip_with(map(K,V1), map(K,V2), function(K,V1,V2,V3))",
            "vvl",
            two_maps,
            |values, _| {
                let ((key, left), (_, right)) = (sides_of(&values[0])?, sides_of(&values[1])?);
                Some(vec![vec![key.clone(), left.clone(), right.clone()]])
            },
            new_values,
            map_zip_with,
        ),
    ]
}

fn one_map(given: &[DataType]) -> Option<Vec<DataType>> {
    let [map] = given else { return None };
    sides_of(map)?;
    Some(vec![map.clone()])
}

fn two_maps(given: &[DataType]) -> Option<Vec<DataType>> {
    let [left, right] = given else { return None };
    let ((left_key, left), (right_key, right)) = (sides_of(left)?, sides_of(right)?);
    let key = common(left_key, right_key)?;
    Some(vec![map_of(key.clone(), left.clone()), map_of(key, right.clone())])
}

fn entry(values: &[DataType], _: &[Option<DataType>]) -> Option<Vec<Vec<DataType>>> {
    let (key, value) = sides_of(&values[0])?;
    Some(vec![vec![key.clone(), value.clone()]])
}

fn same(values: &[DataType], outputs: &[DataType]) -> Option<DataType> {
    is_boolean(&outputs[0]).then(|| values[0].clone())
}

fn new_keys(values: &[DataType], outputs: &[DataType]) -> Option<DataType> {
    let (_, value) = sides_of(&values[0])?;
    Some(map_of(outputs[0].clone(), value.clone()))
}

fn new_values(values: &[DataType], outputs: &[DataType]) -> Option<DataType> {
    let (key, _) = sides_of(&values[0])?;
    Some(map_of(key.clone(), outputs[0].clone()))
}

/// The entries of maps that are not NULL: keys, values, and to which rows they belong.
fn flat(map: &Maps) -> Result<(ArrayRef, ArrayRef, UInt64Array)> {
    let owners = owners(map.lengths().into_iter());
    if owners.len() == map.keys.len() {
        return Ok((Arc::clone(&map.keys), Arc::clone(&map.values), owners));
    }
    let places: UInt64Array = map.rows().flatten().flatten().map(|entry| entry as u64).collect();
    Ok((take(&map.keys, &places, None)?, take(&map.values, &places, None)?, owners))
}

fn map_filter(call: &Call) -> Result<ArrayRef> {
    let map = Maps::new(&call.value(0)?)?;
    let (keys, values, owners) = flat(&map)?;
    let kept = call.test(1, &[Arc::clone(&keys), Arc::clone(&values)], &owners)?;
    let (mut places, mut lengths, mut begun) = (Vec::new(), Vec::new(), 0);
    for length in map.lengths() {
        let before = places.len();
        places.extend(
            (begun..begun + length)
                .filter(|&entry| kept.is_valid(entry) && kept.value(entry))
                .map(|entry| entry as u64),
        );
        lengths.push(places.len() - before);
        begun += length;
    }
    let places = UInt64Array::from(places);
    let (keys, values) = (take(&keys, &places, None)?, take(&values, &places, None)?);
    maps(keys, values, &lengths, map.nulls().cloned(), call.gives())
}

fn transform_keys(call: &Call) -> Result<ArrayRef> {
    let map = Maps::new(&call.value(0)?)?;
    let (keys, values, owners) = flat(&map)?;
    let keys = call.evaluate(1, &[keys, Arc::clone(&values)], &owners)?;
    let lengths = map.lengths();
    check_keys(&keys, &lengths, "Duplicate keys")?;
    maps(keys, values, &lengths, map.nulls().cloned(), call.gives())
}

fn transform_values(call: &Call) -> Result<ArrayRef> {
    let map = Maps::new(&call.value(0)?)?;
    let (keys, values, owners) = flat(&map)?;
    let values = call.evaluate(1, &[Arc::clone(&keys), values], &owners)?;
    maps(keys, values, &map.lengths(), map.nulls().cloned(), call.gives())
}

/// One entry for each key of either map. The value of a map that does not have it is NULL.
fn map_zip_with(call: &Call) -> Result<ArrayRef> {
    let (left, right) = (Maps::new(&call.value(0)?)?, Maps::new(&call.value(1)?)?);
    let (rows, begins) = keys(&[Arc::clone(&left.keys), Arc::clone(&right.keys)])?;
    let (mut key_places, mut left_places, mut right_places) = (Vec::new(), Vec::new(), Vec::new());
    let (mut lengths, mut valid) = (Vec::new(), Vec::new());
    for (left, right) in left.rows().zip(right.rows()) {
        let begun = key_places.len();
        let both = left.zip(right);
        valid.push(both.is_some());
        if let Some((left, right)) = both {
            let mut places = HashMap::new();
            for entry in left {
                places.insert(rows.row(entry), key_places.len());
                key_places.push(entry as u64);
                left_places.push(Some(entry as u64));
                right_places.push(None);
            }
            for entry in right {
                let key = begins[1] + entry;
                if let Some(&place) = places.get(&rows.row(key)) {
                    right_places[place] = Some(entry as u64);
                } else {
                    key_places.push(key as u64);
                    left_places.push(None);
                    right_places.push(Some(entry as u64));
                }
            }
        }
        lengths.push(key_places.len() - begun);
    }
    let keys =
        take(&concat(&[left.keys.as_ref(), right.keys.as_ref()])?, &UInt64Array::from(key_places), None)?;
    let parameters = [
        Arc::clone(&keys),
        take(&left.values, &UInt64Array::from(left_places), None)?,
        take(&right.values, &UInt64Array::from(right_places), None)?,
    ];
    let values = call.evaluate(2, &parameters, &owners(lengths.iter().copied()))?;
    maps(keys, values, &lengths, Some(valid.into()), call.gives())
}
