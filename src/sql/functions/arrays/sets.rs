//! Arrays as sets and in order: `array_distinct`, `array_union`, `array_position`, `array_max` …

use std::collections::HashSet;
use std::ops::Range;
use std::sync::Arc;

use arrow::array::{Array, ArrayRef, BooleanArray, Int64Array, UInt64Array};
use arrow::compute::take;
use arrow::datatypes::DataType;
use datafusion::common::HashMap;
use datafusion::common::Result;
use datafusion::logical_expr::ScalarUDF;

use super::super::maps::maps;
use super::count;
use super::function::{Function, Types, array_of, common, element_of, list_of, map_of};
use super::lists::{Lists, Picks, keys};

/// The functions of this file.
pub(super) fn scalar() -> Vec<ScalarUDF> {
    vec![
        Function::udf("array_distinct", "array_distinct(array(E))", same_types, array_distinct),
        Function::udf("array_max", "array_max(array(T))", element_types, |args, _| extreme(&args[0], true)),
        Function::udf("array_min", "array_min(array(T))", element_types, |args, _| extreme(&args[0], false)),
        Function::udf("array_position", "array_position(array(T), T)", position_types, array_position),
        Function::udf("array_remove", "array_remove(array(E), E)", remove_types, array_remove),
        Function::udf("array_union", "array_union(array(E), array(E))", two_types, array_union),
        Function::udf("array_intersect", "array_intersect(array(E), array(E))", two_types, array_intersect),
        Function::udf("array_except", "array_except(array(E), array(E))", two_types, array_except),
        Function::udf("arrays_overlap", "arrays_overlap(array(E), array(E))", test_types, arrays_overlap),
        Function::udf(
            "contains_sequence",
            "contains_sequence(array(T), array(T))",
            test_types,
            contains_sequence,
        ),
        Function::udf("array_histogram", "array_histogram(array(T))", histogram_types, array_histogram),
    ]
}

fn same_types(given: &[DataType]) -> Option<Types> {
    let [array] = given else { return None };
    let array = array_of(array)?;
    Types::new([array.clone()], array)
}

fn element_types(given: &[DataType]) -> Option<Types> {
    let types = same_types(given)?;
    let element = element_of(&types.gives)?.clone();
    Types::new(types.takes, element)
}

fn remove_types(given: &[DataType]) -> Option<Types> {
    let [array, element] = given else { return None };
    let element = common(element_of(array)?, element)?;
    let array = list_of(element.clone());
    Types::new([array.clone(), element], array)
}

fn position_types(given: &[DataType]) -> Option<Types> {
    Types::new(remove_types(given)?.takes, DataType::Int64)
}

fn two_types(given: &[DataType]) -> Option<Types> {
    let [left, right] = given else { return None };
    let array = list_of(common(element_of(left)?, element_of(right)?)?);
    Types::new([array.clone(), array.clone()], array)
}

fn test_types(given: &[DataType]) -> Option<Types> {
    Types::new(two_types(given)?.takes, DataType::Boolean)
}

fn histogram_types(given: &[DataType]) -> Option<Types> {
    let types = same_types(given)?;
    let key = element_of(&types.gives)?.clone();
    Types::new(types.takes, map_of(key, DataType::Int64))
}

fn array_distinct(args: &[ArrayRef], gives: &DataType) -> Result<ArrayRef> {
    let lists = Lists::new(&args[0])?;
    let keys = lists.keys()?;
    let mut picks = Picks::default();
    let mut seen = HashSet::new();
    for elements in lists.rows() {
        let Some(elements) = elements else {
            picks.end_null();
            continue;
        };
        seen.clear();
        picks.extend(elements.filter(|&element| seen.insert(keys.row(element))));
        picks.end_row();
    }
    picks.finish(&[&lists.values], gives)
}

/// The largest or smallest element; NULL if there is none, or a NULL among them.
fn extreme(array: &ArrayRef, largest: bool) -> Result<ArrayRef> {
    let lists = Lists::new(array)?;
    let keys = lists.keys()?;
    let places: UInt64Array = lists
        .rows()
        .map(|elements| {
            let mut elements =
                elements.filter(|elements| !elements.clone().any(|element| lists.is_null(element)))?;
            let first = elements.next()?;
            let best = elements.fold(first, |best, element| {
                let better = if largest {
                    keys.row(element) > keys.row(best)
                } else {
                    keys.row(element) < keys.row(best)
                };
                if better { element } else { best }
            });
            Some(best as u64)
        })
        .collect();
    Ok(take(&lists.values, &places, None)?)
}

/// Where the element first is, from 1; 0 if it is not there.
fn array_position(args: &[ArrayRef], _: &DataType) -> Result<ArrayRef> {
    let lists = Lists::new(&args[0])?;
    let (keys, begins) = keys(&[Arc::clone(&lists.values), Arc::clone(&args[1])])?;
    let wanted = args[1].logical_nulls();
    let positions: Int64Array = lists
        .rows()
        .enumerate()
        .map(|(row, elements)| {
            let mut elements =
                elements.filter(|_| wanted.as_ref().is_none_or(|nulls| nulls.is_valid(row)))?;
            let wanted = keys.row(begins[1] + row);
            let found = elements.position(|element| keys.row(element) == wanted);
            Some(found.map_or(0, |found| count(found + 1)))
        })
        .collect();
    Ok(Arc::new(positions))
}

fn array_remove(args: &[ArrayRef], gives: &DataType) -> Result<ArrayRef> {
    let lists = Lists::new(&args[0])?;
    let (keys, begins) = keys(&[Arc::clone(&lists.values), Arc::clone(&args[1])])?;
    let wanted = args[1].logical_nulls();
    let mut picks = Picks::default();
    for (row, elements) in lists.rows().enumerate() {
        match elements.filter(|_| wanted.as_ref().is_none_or(|nulls| nulls.is_valid(row))) {
            Some(elements) => {
                let wanted = keys.row(begins[1] + row);
                picks.extend(elements.filter(|&element| keys.row(element) != wanted));
                picks.end_row();
            }
            None => picks.end_null(),
        }
    }
    picks.finish(&[&lists.values], gives)
}

fn array_union(args: &[ArrayRef], gives: &DataType) -> Result<ArrayRef> {
    let (left, right) = (Lists::new(&args[0])?, Lists::new(&args[1])?);
    let (keys, begins) = keys(&[Arc::clone(&left.values), Arc::clone(&right.values)])?;
    let mut picks = Picks::default();
    let mut seen = HashSet::new();
    for (left, right) in left.rows().zip(right.rows()) {
        let (Some(left), Some(right)) = (left, right) else {
            picks.end_null();
            continue;
        };
        seen.clear();
        let both = left.chain(right.start + begins[1]..right.end + begins[1]);
        picks.extend(both.filter(|&element| seen.insert(keys.row(element))));
        picks.end_row();
    }
    picks.finish(&[&left.values, &right.values], gives)
}

/// Where the elements of an array are.
type Elements = Range<usize>;

/// In the order of the longer array, as in Trino.
fn array_intersect(args: &[ArrayRef], gives: &DataType) -> Result<ArrayRef> {
    choose(
        args,
        gives,
        |left, right| {
            if left.len() < right.len() { (right, left, true) } else { (left, right, true) }
        },
    )
}

fn array_except(args: &[ArrayRef], gives: &DataType) -> Result<ArrayRef> {
    choose(args, gives, |left, right| (left, right, false))
}

/// The distinct elements of one array that are in the other, or that are not. `sides` says which is which.
fn choose(
    args: &[ArrayRef],
    gives: &DataType,
    sides: fn(Elements, Elements) -> (Elements, Elements, bool),
) -> Result<ArrayRef> {
    let (left, right) = (Lists::new(&args[0])?, Lists::new(&args[1])?);
    let (keys, begins) = keys(&[Arc::clone(&left.values), Arc::clone(&right.values)])?;
    let mut picks = Picks::default();
    let (mut others, mut seen) = (HashSet::new(), HashSet::new());
    for (left, right) in left.rows().zip(right.rows()) {
        let (Some(left), Some(right)) = (left, right) else {
            picks.end_null();
            continue;
        };
        let (from, other, wanted) = sides(left, right.start + begins[1]..right.end + begins[1]);
        others.clear();
        seen.clear();
        others.extend(other.map(|element| keys.row(element)));
        picks.extend(from.filter(|&element| {
            let key = keys.row(element);
            others.contains(&key) == wanted && seen.insert(key)
        }));
        picks.end_row();
    }
    picks.finish(&[&left.values, &right.values], gives)
}

/// Whether they have an element in common. NULL if they have none, and one of them has a NULL.
fn arrays_overlap(args: &[ArrayRef], _: &DataType) -> Result<ArrayRef> {
    let (left, right) = (Lists::new(&args[0])?, Lists::new(&args[1])?);
    let (keys, begins) = keys(&[Arc::clone(&left.values), Arc::clone(&right.values)])?;
    let mut others = HashSet::new();
    let answers: BooleanArray = left
        .rows()
        .zip(right.rows())
        .map(|(mine, theirs)| {
            let (mut mine, theirs) = (mine?, theirs?);
            if mine.is_empty() || theirs.is_empty() {
                return Some(false);
            }
            let nulls = mine.clone().any(|element| left.is_null(element))
                || theirs.clone().any(|element| right.is_null(element));
            others.clear();
            others.extend(theirs.map(|element| keys.row(begins[1] + element)));
            if mine.any(|element| !left.is_null(element) && others.contains(&keys.row(element))) {
                return Some(true);
            }
            (!nulls).then_some(false)
        })
        .collect();
    Ok(Arc::new(answers))
}

/// Whether the elements of the second stand in the first one after the other.
fn contains_sequence(args: &[ArrayRef], _: &DataType) -> Result<ArrayRef> {
    let (array, sequence) = (Lists::new(&args[0])?, Lists::new(&args[1])?);
    let (keys, begins) = keys(&[Arc::clone(&array.values), Arc::clone(&sequence.values)])?;
    let answers: BooleanArray = array
        .rows()
        .zip(sequence.rows())
        .map(|(array, sequence)| {
            let (array, sequence) = (array?, sequence?);
            let Some(last) = array.len().checked_sub(sequence.len()) else {
                return Some(false);
            };
            Some((0..=last).any(|start| {
                (0..sequence.len())
                    .all(|at| keys.row(array.start + start + at) == keys.row(begins[1] + sequence.start + at))
            }))
        })
        .collect();
    Ok(Arc::new(answers))
}

/// How often each element is there. NULLs are not counted.
fn array_histogram(args: &[ArrayRef], gives: &DataType) -> Result<ArrayRef> {
    let lists = Lists::new(&args[0])?;
    let keys = lists.keys()?;
    let (mut picks, mut counts, mut lengths) = (Vec::new(), Vec::new(), Vec::new());
    for elements in lists.rows() {
        let begun = counts.len();
        let mut places = HashMap::new();
        for element in elements.into_iter().flatten().filter(|&element| !lists.is_null(element)) {
            let place = *places.entry(keys.row(element)).or_insert_with(|| {
                picks.push(element as u64);
                counts.push(0i64);
                counts.len() - 1
            });
            counts[place] += 1;
        }
        lengths.push(counts.len() - begun);
    }
    let keys = take(&lists.values, &UInt64Array::from(picks), None)?;
    maps(keys, Arc::new(Int64Array::from(counts)), &lengths, lists.nulls().cloned(), gives)
}
