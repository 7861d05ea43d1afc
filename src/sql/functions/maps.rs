//! Trino's functions of maps.

use std::collections::HashSet;
use std::ops::Range;
use std::sync::Arc;

use arrow::array::{Array, ArrayRef, AsArray, MapArray, StructArray, UInt64Array};
use arrow::buffer::{NullBuffer, OffsetBuffer};
use arrow::compute::{cast, take};
use arrow::datatypes::DataType;
use datafusion::common::{HashMap, Result, exec_err, internal_datafusion_err, internal_err};
use datafusion::logical_expr::ScalarUDF;

use super::arrays::function::{
    Function, Types, array_of, common, element_of, list_of, map_of, row_of, sides_of,
};
use super::arrays::lists::{Lists, Picks, keys, lists, too_large};
use super::arrays::{columns_of, text};

#[cfg(test)]
mod tests;

/// The functions of this file.
pub(super) fn scalar() -> Vec<ScalarUDF> {
    vec![
        Function::udf("$map", "map(), map(array(K), array(V))", map_types, map),
        Function::udf("map_keys", "map_keys(map(K,V))", keys_types, |args, gives| {
            side(&args[0], gives, true)
        }),
        Function::udf("map_values", "map_values(map(K,V))", values_types, |args, gives| {
            side(&args[0], gives, false)
        }),
        Function::udf("map_entries", "map_entries(map(K,V))", entries_types, map_entries),
        Function::udf("map_from_entries", "map_from_entries(array(row(K,V)))", from_types, map_from_entries),
        Function::udf(
            "multimap_from_entries",
            "multimap_from_entries(array(row(K,V)))",
            multimap_types,
            multimap_from_entries,
        ),
        Function::udf("map_concat", "map_concat(map(K,V), map(K,V), …)", concat_types, map_concat),
    ]
}

/// A column of maps: all entries one after the other, and where each row's begin and end.
pub(super) struct Maps {
    pub(super) keys: ArrayRef,
    pub(super) values: ArrayRef,
    map: MapArray,
    first: usize,
}

impl Maps {
    pub(super) fn new(array: &ArrayRef) -> Result<Self> {
        let map = array
            .as_map_opt()
            .ok_or_else(|| internal_datafusion_err!("{} is no map", array.data_type()))?
            .clone();
        let first = offset(&map, 0);
        let length = offset(&map, map.len()) - first;
        let (keys, values) = (map.keys().slice(first, length), map.values().slice(first, length));
        Ok(Self { keys, values, map, first })
    }

    pub(super) fn len(&self) -> usize {
        self.map.len()
    }

    pub(super) fn nulls(&self) -> Option<&NullBuffer> {
        self.map.nulls()
    }

    /// Which entries a row has. None: the map is NULL.
    pub(super) fn row(&self, row: usize) -> Option<Range<usize>> {
        self.map
            .is_valid(row)
            .then(|| offset(&self.map, row) - self.first..offset(&self.map, row + 1) - self.first)
    }

    /// All rows in order.
    pub(super) fn rows(&self) -> impl Iterator<Item = Option<Range<usize>>> + '_ {
        (0..self.len()).map(|row| self.row(row))
    }

    /// How many entries each row has.
    pub(super) fn lengths(&self) -> Vec<usize> {
        self.rows().map(|entries| entries.map_or(0, |entries| entries.len())).collect()
    }
}

/// Offsets are never negative.
fn offset(map: &MapArray, row: usize) -> usize {
    usize::try_from(map.offsets()[row]).unwrap_or_default()
}

/// Maps of consecutive entries. The caller has seen to it that no map has a key twice, or NULL.
pub(super) fn maps(
    keys: ArrayRef,
    values: ArrayRef,
    lengths: &[usize],
    nulls: Option<NullBuffer>,
    gives: &DataType,
) -> Result<ArrayRef> {
    let DataType::Map(entries, ordered) = gives else {
        return internal_err!("{gives} is no map");
    };
    let DataType::Struct(fields) = entries.data_type() else {
        return internal_err!("{gives} has no entries");
    };
    let length = keys.len();
    if i32::try_from(length).is_err() {
        return Err(too_large());
    }
    let columns = [keys, values]
        .iter()
        .zip(fields)
        .map(|(column, field)| {
            if column.data_type() == field.data_type() {
                Ok(Arc::clone(column))
            } else {
                Ok(cast(column, field.data_type())?)
            }
        })
        .collect::<Result<Vec<_>>>()?;
    let rows = StructArray::try_new_with_length(fields.clone(), columns, None, length)?;
    let offsets = OffsetBuffer::from_lengths(lengths.iter().copied());
    let nulls = nulls.filter(|nulls| nulls.null_count() > 0);
    Ok(Arc::new(MapArray::try_new(Arc::clone(entries), offsets, rows, nulls, *ordered)?))
}

/// Refuses maps with a key twice, in the words of the function that made them.
pub(super) fn check_keys(keys: &ArrayRef, lengths: &[usize], what: &str) -> Result<()> {
    if keys.logical_null_count() > 0 {
        return exec_err!("INVALID_FUNCTION_ARGUMENT: map key cannot be null");
    }
    let (rows, _) = super::arrays::lists::keys(std::slice::from_ref(keys))?;
    let mut seen = HashSet::new();
    let mut begun = 0;
    for length in lengths {
        seen.clear();
        for entry in begun..begun + length {
            if !seen.insert(rows.row(entry)) {
                return exec_err!(
                    "INVALID_FUNCTION_ARGUMENT: {what} ({}) are not allowed",
                    text(keys, entry)?
                );
            }
        }
        begun += length;
    }
    Ok(())
}

fn map_types(given: &[DataType]) -> Option<Types> {
    match given {
        [] => Types::new([], map_of(DataType::Null, DataType::Null)),
        [keys, values] => {
            let (key, value) = (element_of(keys)?.clone(), element_of(values)?.clone());
            Types::new([array_of(keys)?, array_of(values)?], map_of(key, value))
        }
        _ => None,
    }
}

fn map(args: &[ArrayRef], gives: &DataType) -> Result<ArrayRef> {
    let [keys, values] = args else {
        let none = arrow::array::new_empty_array(&DataType::Null);
        return maps(Arc::clone(&none), none, &[0], None, gives);
    };
    let (keys, values) = (Lists::new(keys)?, Lists::new(values)?);
    let (mut key_places, mut value_places) = (Vec::new(), Vec::new());
    let (mut lengths, mut valid) = (Vec::new(), Vec::new());
    for (keys, values) in keys.rows().zip(values.rows()) {
        let both = keys.zip(values);
        lengths.push(both.as_ref().map_or(0, |(keys, _)| keys.len()));
        valid.push(both.is_some());
        let Some((keys, values)) = both else { continue };
        if keys.len() != values.len() {
            return exec_err!("INVALID_FUNCTION_ARGUMENT: Key and value arrays must be the same length");
        }
        key_places.extend(keys.map(|key| key as u64));
        value_places.extend(values.map(|value| value as u64));
    }
    let keys = take(&keys.values, &UInt64Array::from(key_places), None)?;
    let values = take(&values.values, &UInt64Array::from(value_places), None)?;
    check_keys(&keys, &lengths, "Duplicate map keys")?;
    maps(keys, values, &lengths, Some(valid.into()), gives)
}

fn keys_types(given: &[DataType]) -> Option<Types> {
    let [map] = given else { return None };
    let (key, _) = sides_of(map)?;
    Types::new([map.clone()], list_of(key.clone()))
}

fn values_types(given: &[DataType]) -> Option<Types> {
    let [map] = given else { return None };
    let (_, value) = sides_of(map)?;
    Types::new([map.clone()], list_of(value.clone()))
}

/// The keys of maps, or their values, as arrays.
fn side(map: &ArrayRef, gives: &DataType, keys: bool) -> Result<ArrayRef> {
    let maps = Maps::new(map)?;
    let column = if keys { &maps.keys } else { &maps.values };
    let mut picks = Picks::default();
    for entries in maps.rows() {
        match entries {
            Some(entries) => {
                picks.extend(entries);
                picks.end_row();
            }
            None => picks.end_null(),
        }
    }
    picks.finish(&[column], gives)
}

fn entries_types(given: &[DataType]) -> Option<Types> {
    let [map] = given else { return None };
    let (key, value) = sides_of(map)?;
    Types::new([map.clone()], list_of(row_of([key.clone(), value.clone()])))
}

fn map_entries(args: &[ArrayRef], gives: &DataType) -> Result<ArrayRef> {
    let maps = Maps::new(&args[0])?;
    let DataType::List(element) = gives else {
        return internal_err!("{gives} is no array");
    };
    let DataType::Struct(fields) = element.data_type() else {
        return internal_err!("{element} is no row");
    };
    // A map that is NULL may have entries underneath.
    let kept: UInt64Array = maps.rows().flatten().flatten().map(|entry| entry as u64).collect();
    let columns = vec![take(&maps.keys, &kept, None)?, take(&maps.values, &kept, None)?];
    let rows = StructArray::try_new_with_length(fields.clone(), columns, None, kept.len())?;
    lists(Arc::new(rows), &maps.lengths(), maps.nulls().cloned(), gives)
}

fn entry_of(given: &[DataType]) -> Option<(DataType, DataType, DataType)> {
    let [DataType::List(row)] = given else { return None };
    let DataType::Struct(fields) = row.data_type() else { return None };
    let [key, value] = fields.as_ref() else { return None };
    Some((given[0].clone(), key.data_type().clone(), value.data_type().clone()))
}

fn from_types(given: &[DataType]) -> Option<Types> {
    let (array, key, value) = entry_of(given)?;
    Types::new([array], map_of(key, value))
}

fn multimap_types(given: &[DataType]) -> Option<Types> {
    let (array, key, value) = entry_of(given)?;
    Types::new([array], map_of(key, list_of(value)))
}

/// The keys and values of arrays of rows; how many there are, and which arrays are NULL.
fn entries(array: &ArrayRef) -> Result<(ArrayRef, ArrayRef, Vec<usize>, Vec<bool>)> {
    let arrays = Lists::new(array)?;
    let kept: UInt64Array = arrays.rows().flatten().flatten().map(|row| row as u64).collect();
    let rows = take(&arrays.values, &kept, None)?;
    if rows.null_count() > 0 {
        return exec_err!("INVALID_FUNCTION_ARGUMENT: map entry cannot be null");
    }
    let (columns, ..) = columns_of(&rows)?;
    let lengths = arrays.rows().map(|rows| rows.map_or(0, |rows| rows.len())).collect();
    let valid = arrays.rows().map(|rows| rows.is_some()).collect();
    Ok((Arc::clone(&columns[0]), Arc::clone(&columns[1]), lengths, valid))
}

fn map_from_entries(args: &[ArrayRef], gives: &DataType) -> Result<ArrayRef> {
    let (keys, values, lengths, valid) = entries(&args[0])?;
    check_keys(&keys, &lengths, "Duplicate keys")?;
    maps(keys, values, &lengths, Some(valid.into()), gives)
}

fn multimap_from_entries(args: &[ArrayRef], gives: &DataType) -> Result<ArrayRef> {
    let (key_column, values, lengths, valid) = entries(&args[0])?;
    if key_column.logical_null_count() > 0 {
        return exec_err!("INVALID_FUNCTION_ARGUMENT: map key cannot be null");
    }
    let (rows, _) = keys(std::slice::from_ref(&key_column))?;
    let (mut firsts, mut counts, mut picks) = (Vec::new(), Vec::new(), Picks::default());
    let mut begun = 0;
    for length in lengths {
        let mut order = Vec::new();
        let mut groups: HashMap<_, Vec<usize>> = HashMap::new();
        for entry in begun..begun + length {
            let group = groups.entry(rows.row(entry)).or_default();
            if group.is_empty() {
                order.push(entry);
            }
            group.push(entry);
        }
        begun += length;
        counts.push(order.len());
        for first in order {
            firsts.push(first as u64);
            picks.extend(groups[&rows.row(first)].iter().copied());
            picks.end_row();
        }
    }
    let Some((_, value)) = sides_of(gives) else {
        return internal_err!("{gives} is no map");
    };
    let values = picks.finish(&[&values], value)?;
    let keys = take(&key_column, &UInt64Array::from(firsts), None)?;
    maps(keys, values, &counts, Some(valid.into()), gives)
}

fn concat_types(given: &[DataType]) -> Option<Types> {
    let map = given.iter().try_fold(DataType::Null, |map, other| common(&map, other))?;
    sides_of(&map).filter(|_| given.len() > 1)?;
    Types::new(vec![map.clone(); given.len()], map)
}

/// The last map that has a key gives its value.
fn map_concat(args: &[ArrayRef], gives: &DataType) -> Result<ArrayRef> {
    let all = args.iter().map(Maps::new).collect::<Result<Vec<_>>>()?;
    let columns: Vec<_> = all.iter().map(|maps| Arc::clone(&maps.keys)).collect();
    let (rows, begins) = keys(&columns)?;
    let (mut places, mut lengths, mut valid) = (Vec::new(), Vec::new(), Vec::new());
    for row in 0..all[0].len() {
        let begun = places.len();
        let entries: Option<Vec<_>> = all.iter().map(|maps| maps.row(row)).collect();
        let mut found = HashMap::new();
        for (entries, begin) in entries.iter().flatten().zip(&begins) {
            for entry in entries.start + begin..entries.end + begin {
                let place = *found.entry(rows.row(entry)).or_insert_with(|| {
                    places.push(0);
                    places.len() - 1
                });
                places[place] = entry as u64;
            }
        }
        lengths.push(places.len() - begun);
        valid.push(entries.is_some());
    }
    let places = UInt64Array::from(places);
    let keys: Vec<&dyn Array> = all.iter().map(|maps| maps.keys.as_ref()).collect();
    let values: Vec<&dyn Array> = all.iter().map(|maps| maps.values.as_ref()).collect();
    let keys = take(&arrow::compute::concat(&keys)?, &places, None)?;
    let values = take(&arrow::compute::concat(&values)?, &places, None)?;
    maps(keys, values, &lengths, Some(valid.into()), gives)
}
