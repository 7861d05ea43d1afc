//! Arrays from arrays, element by element in other places: `slice`, `reverse`, `flatten` …

use std::sync::Arc;

use arrow::array::{Array, ArrayRef, AsArray, BinaryArray, StringArray};
use arrow::datatypes::{DataType, Int64Type};
use datafusion::common::{Result, exec_err};
use datafusion::logical_expr::ScalarUDF;

use super::function::{Function, Types, array_of, element_of, is_bigint, is_varchar, list_of};
use super::lists::{Lists, Picks, lists};

/// What one array may become at most, as in Trino.
const MAX_COMBINATIONS: usize = 100_000;
const MAX_REPEATED: i64 = 10_000;

/// The functions of this file.
pub(super) fn scalar() -> Vec<ScalarUDF> {
    vec![
        Function::udf("slice", "slice(array(E), bigint, bigint)", slice_types, slice),
        Function::udf("trim_array", "trim_array(array(E), bigint)", sized_types, trim_array),
        Function::udf(
            "reverse",
            "reverse(array(E)), reverse(varchar), reverse(varbinary)",
            reverse_types,
            reverse,
        ),
        Function::udf("flatten", "flatten(array(array(E)))", flatten_types, flatten),
        Function::udf("repeat", "repeat(E, integer)", repeat_types, repeat),
        Function::udf("combinations", "combinations(array(E), bigint)", nested_types, combinations),
        Function::udf("ngrams", "ngrams(array(E), bigint)", nested_types, ngrams),
        Function::volatile_udf("shuffle", "shuffle(array(E))", shuffle_types, shuffle),
    ]
}

fn slice_types(given: &[DataType]) -> Option<Types> {
    let [array, start, length] = given else { return None };
    let array = array_of(array).filter(|_| is_bigint(start) && is_bigint(length))?;
    Types::new([array.clone(), DataType::Int64, DataType::Int64], array)
}

fn slice(args: &[ArrayRef], gives: &DataType) -> Result<ArrayRef> {
    let lists = Lists::new(&args[0])?;
    let (starts, lengths) = (args[1].as_primitive::<Int64Type>(), args[2].as_primitive::<Int64Type>());
    let mut picks = Picks::default();
    for (row, elements) in lists.rows().enumerate() {
        let Some(elements) = elements.filter(|_| starts.is_valid(row) && lengths.is_valid(row)) else {
            picks.end_null();
            continue;
        };
        let (start, length) = (starts.value(row), lengths.value(row));
        if start == 0 {
            return exec_err!("INVALID_FUNCTION_ARGUMENT: SQL array indices start at 1");
        }
        let Ok(length) = usize::try_from(length) else {
            return exec_err!("INVALID_FUNCTION_ARGUMENT: length must be greater than or equal to 0");
        };
        let away = usize::try_from(start.unsigned_abs()).unwrap_or(usize::MAX);
        let first = if start > 0 { Some(away - 1) } else { elements.len().checked_sub(away) };
        if let Some(first) = first.filter(|&first| first < elements.len()) {
            let end = first.saturating_add(length).min(elements.len());
            picks.extend(elements.start + first..elements.start + end);
        }
        picks.end_row();
    }
    picks.finish(&[&lists.values], gives)
}

fn sized_types(given: &[DataType]) -> Option<Types> {
    let [array, size] = given else { return None };
    let array = array_of(array).filter(|_| is_bigint(size))?;
    Types::new([array.clone(), DataType::Int64], array)
}

fn trim_array(args: &[ArrayRef], gives: &DataType) -> Result<ArrayRef> {
    let lists = Lists::new(&args[0])?;
    let sizes = args[1].as_primitive::<Int64Type>();
    let mut picks = Picks::default();
    for (row, elements) in lists.rows().enumerate() {
        let Some(elements) = elements.filter(|_| sizes.is_valid(row)) else {
            picks.end_null();
            continue;
        };
        let (size, length) = (sizes.value(row), elements.len());
        match usize::try_from(size) {
            Err(_) => return exec_err!("INVALID_FUNCTION_ARGUMENT: size must not be negative: {size}"),
            Ok(size) if size > length => {
                return exec_err!(
                    "INVALID_FUNCTION_ARGUMENT: size must not exceed array cardinality {length}: {size}"
                );
            }
            Ok(size) => picks.extend(elements.start..elements.end - size),
        }
        picks.end_row();
    }
    picks.finish(&[&lists.values], gives)
}

fn reverse_types(given: &[DataType]) -> Option<Types> {
    match given {
        [array @ DataType::List(_)] => Types::new([array.clone()], array.clone()),
        [DataType::Binary | DataType::BinaryView] => Types::new([DataType::Binary], DataType::Binary),
        [text] if is_varchar(text) => Types::new([DataType::Utf8], DataType::Utf8),
        _ => None,
    }
}

fn reverse(args: &[ArrayRef], gives: &DataType) -> Result<ArrayRef> {
    match args[0].data_type() {
        DataType::Utf8 => {
            let texts = args[0].as_string::<i32>().iter();
            let reversed: StringArray =
                texts.map(|text| text.map(|text| text.chars().rev().collect::<String>())).collect();
            Ok(Arc::new(reversed))
        }
        DataType::Binary => {
            let bytes = args[0].as_binary::<i32>().iter();
            let reversed: BinaryArray = bytes
                .map(|bytes| bytes.map(|bytes| bytes.iter().rev().copied().collect::<Vec<_>>()))
                .collect();
            Ok(Arc::new(reversed))
        }
        _ => {
            let lists = Lists::new(&args[0])?;
            let mut picks = Picks::default();
            for elements in lists.rows() {
                match elements {
                    Some(elements) => {
                        picks.extend(elements.rev());
                        picks.end_row();
                    }
                    None => picks.end_null(),
                }
            }
            picks.finish(&[&lists.values], gives)
        }
    }
}

fn flatten_types(given: &[DataType]) -> Option<Types> {
    let [outer] = given else { return None };
    let inner = array_of(element_of(outer)?)?;
    let outer = if matches!(element_of(outer), Some(DataType::List(_))) {
        outer.clone()
    } else {
        list_of(inner.clone())
    };
    Types::new([outer], inner)
}

/// An inner array that is NULL adds nothing.
fn flatten(args: &[ArrayRef], gives: &DataType) -> Result<ArrayRef> {
    let outer = Lists::new(&args[0])?;
    let inner = Lists::new(&outer.values)?;
    let mut picks = Picks::default();
    for arrays in outer.rows() {
        match arrays {
            Some(arrays) => {
                picks.extend(arrays.filter_map(|array| inner.row(array)).flatten());
                picks.end_row();
            }
            None => picks.end_null(),
        }
    }
    picks.finish(&[&inner.values], gives)
}

fn repeat_types(given: &[DataType]) -> Option<Types> {
    let [element, count] = given else { return None };
    let array = list_of(element.clone());
    is_bigint(count).then(|| Types::new([element.clone(), DataType::Int64], array))?
}

fn repeat(args: &[ArrayRef], gives: &DataType) -> Result<ArrayRef> {
    let counts = args[1].as_primitive::<Int64Type>();
    let mut picks = Picks::default();
    for row in 0..args[0].len() {
        if counts.is_null(row) {
            picks.end_null();
            continue;
        }
        let count = counts.value(row);
        if count < 0 {
            return exec_err!(
                "INVALID_FUNCTION_ARGUMENT: count argument of repeat function must be greater than or equal to 0"
            );
        }
        if count > MAX_REPEATED {
            return exec_err!(
                "INVALID_FUNCTION_ARGUMENT: count argument of repeat function must be less than or equal to {MAX_REPEATED}"
            );
        }
        (0..count).for_each(|_| picks.push(row));
        picks.end_row();
    }
    picks.finish(&[&args[0]], gives)
}

/// Of functions that make arrays of arrays.
fn nested_types(given: &[DataType]) -> Option<Types> {
    let types = sized_types(given)?;
    Types::new(types.takes, list_of(types.gives))
}

/// All subsets of a size, in Trino's order: `[1,2], [1,3], [2,3]`.
fn combinations(args: &[ArrayRef], gives: &DataType) -> Result<ArrayRef> {
    nested(args, gives, |length, size, found| {
        let Ok(size) = usize::try_from(size) else {
            return exec_err!("INVALID_FUNCTION_ARGUMENT: combination size must not be negative: {size}");
        };
        if size > 5 {
            return exec_err!("INVALID_FUNCTION_ARGUMENT: combination size must not exceed 5: {size}");
        }
        if size > length {
            return Ok(());
        }
        let mut subset: Vec<usize> = (0..size).collect();
        loop {
            if found.len() * size.max(1) >= MAX_COMBINATIONS {
                return exec_err!("INVALID_FUNCTION_ARGUMENT: combinations exceed max size");
            }
            found.push(subset.clone());
            // The first element that can move up without meeting the next one does, and those before it start again.
            let Some(moved) =
                (0..size).find(|&at| subset[at] + 1 < subset.get(at + 1).copied().unwrap_or(length))
            else {
                return Ok(());
            };
            subset[moved] += 1;
            (0..moved).for_each(|at| subset[at] = at);
        }
    })
}

/// All runs of `n` neighbours; the whole array where it is shorter.
fn ngrams(args: &[ArrayRef], gives: &DataType) -> Result<ArrayRef> {
    nested(args, gives, |length, size, found| {
        let Some(size) = usize::try_from(size).ok().filter(|&size| size > 0) else {
            return exec_err!("INVALID_FUNCTION_ARGUMENT: N must be positive");
        };
        if size >= length {
            found.push((0..length).collect());
        } else {
            found.extend((0..=length - size).map(|start| (start..start + size).collect()));
        }
        Ok(())
    })
}

/// Arrays of arrays, where `choose` says of which elements each inner one is made.
fn nested(
    args: &[ArrayRef],
    gives: &DataType,
    choose: impl Fn(usize, i64, &mut Vec<Vec<usize>>) -> Result<()>,
) -> Result<ArrayRef> {
    let outer = Lists::new(&args[0])?;
    let sizes = args[1].as_primitive::<Int64Type>();
    let (mut inner, mut lengths, mut valid) = (Picks::default(), Vec::new(), Vec::new());
    for (row, elements) in outer.rows().enumerate() {
        let mut found = Vec::new();
        let elements = elements.filter(|_| sizes.is_valid(row));
        if let Some(elements) = &elements {
            choose(elements.len(), sizes.value(row), &mut found)?;
            for places in &found {
                inner.extend(places.iter().map(|place| elements.start + place));
                inner.end_row();
            }
        }
        lengths.push(found.len());
        valid.push(elements.is_some());
    }
    let inner = inner.finish(&[&outer.values], args[0].data_type())?;
    lists(inner, &lengths, Some(valid.into()), gives)
}

fn shuffle_types(given: &[DataType]) -> Option<Types> {
    let [array] = given else { return None };
    let array = array_of(array)?;
    Types::new([array.clone()], array)
}

fn shuffle(args: &[ArrayRef], gives: &DataType) -> Result<ArrayRef> {
    let lists = Lists::new(&args[0])?;
    let mut picks = Picks::default();
    for elements in lists.rows() {
        match elements {
            Some(elements) => {
                let mut places: Vec<_> = elements.collect();
                fastrand::shuffle(&mut places);
                picks.extend(places);
                picks.end_row();
            }
            None => picks.end_null(),
        }
    }
    picks.finish(&[&lists.values], gives)
}
