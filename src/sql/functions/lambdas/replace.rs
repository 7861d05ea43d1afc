//! `regexp_replace(text, pattern, groups -> …)`: what a lambda makes of the groups of each match.

use std::ops::Range;
use std::sync::Arc;

use arrow::array::{Array, ArrayRef, AsArray, ListBuilder, StringBuilder, UInt64Array};
use arrow::compute::cast;
use arrow::datatypes::DataType;
use datafusion::common::Result;
use datafusion::logical_expr::HigherOrderUDF;

use super::super::args::Texts;
use super::super::arrays::function::list_of;
use super::super::regexps::{compiled, next_start};
use super::{Call, Lambdas};

/// What the syntax tree calls it: a plain function would hide one with lambdas of the same name.
pub(in crate::sql) const REPLACE_BY: &str = "$regexp_replace_by";

/// The function of this file.
pub(super) fn regexp_replace_by() -> HigherOrderUDF {
    Lambdas::udf(
        REPLACE_BY,
        "regexp_replace(varchar(x), pattern, function(array(varchar(x)),varchar(x)))",
        "vvl",
        |given| given.iter().all(is_text).then(|| vec![DataType::Utf8, DataType::Utf8]),
        |_, _| Some(vec![vec![list_of(DataType::Utf8)]]),
        |_, outputs| is_text(&outputs[0]).then_some(DataType::Utf8),
        replace,
    )
}

fn is_text(data_type: &DataType) -> bool {
    match data_type {
        DataType::Utf8 | DataType::Utf8View | DataType::Null => true,
        DataType::Dictionary(_, value) => is_text(value),
        _ => false,
    }
}

/// The matches of a row: where they stand in its text, and which of all matches of the batch they are.
struct Found {
    places: Vec<Range<usize>>,
    first: usize,
}

fn replace(call: &Call) -> Result<ArrayRef> {
    let (texts, patterns) = (Texts::of(&call.value(0)?)?, Texts::of(&call.value(1)?)?);
    let mut groups = ListBuilder::new(StringBuilder::new());
    let mut owners: Vec<u64> = Vec::new();
    let mut rows: Vec<Option<Found>> = Vec::with_capacity(texts.len());
    for row in 0..texts.len() {
        let (Some(text), Some(pattern)) = (texts.get(row), patterns.get(row)) else {
            rows.push(None);
            continue;
        };
        let regex = compiled(pattern)?;
        let mut found = Found { places: Vec::new(), first: owners.len() };
        let mut from = 0;
        while from <= text.len() {
            let Some(captures) = regex.captures_at(text, from) else { break };
            let Some(whole) = captures.get(0) else { break };
            captures.iter().skip(1).for_each(|group| {
                groups.values().append_option(group.map(|group| group.as_str()));
            });
            groups.append(true);
            owners.push(row as u64);
            found.places.push(whole.range());
            from = next_start(text, whole.start(), whole.end());
        }
        rows.push(Some(found));
    }
    let groups: ArrayRef = Arc::new(groups.finish());
    let made = cast(&call.evaluate(2, &[groups], &UInt64Array::from(owners))?, &DataType::Utf8)?;
    let made = made.as_string::<i32>();
    let mut out = StringBuilder::new();
    for (row, found) in rows.iter().enumerate() {
        let (Some(text), Some(found)) = (texts.get(row), found) else {
            out.append_null();
            continue;
        };
        // Where one match becomes NULL, the whole text does.
        let numbers = found.first..found.first + found.places.len();
        if numbers.clone().any(|number| made.is_null(number)) {
            out.append_null();
            continue;
        }
        let mut replaced = String::with_capacity(text.len());
        let mut end = 0;
        for (place, number) in found.places.iter().zip(numbers) {
            replaced.push_str(&text[end..place.start]);
            replaced.push_str(made.value(number));
            end = place.end;
        }
        replaced.push_str(&text[end..]);
        out.append_value(replaced);
    }
    Ok(Arc::new(out.finish()))
}
