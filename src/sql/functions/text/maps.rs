//! `split_to_map` and `split_to_multimap`: `a=1,b=2`.

use std::sync::Arc;

use arrow::array::{ArrayBuilder, ArrayRef, ListBuilder, MapBuilder, MapFieldNames, StringBuilder};
use arrow::datatypes::{DataType, Field};
use datafusion::common::{Result, exec_err};
use datafusion::logical_expr::ScalarUDF;

use super::super::scalar::{Arguments, Function, Kind};
use super::split::array_of_texts;

/// The functions of this file.
pub(super) fn scalar() -> Vec<ScalarUDF> {
    const TAKES: &[&[Kind]] = &[&[Kind::Text, Kind::Text, Kind::Text]];
    vec![
        Function::new("split_to_map", TAKES, map_to(DataType::Utf8), split_to_map).into(),
        Function::new("split_to_multimap", TAKES, map_to(array_of_texts()), split_to_multimap).into(),
    ]
}

fn map_to(value: DataType) -> DataType {
    let fields = vec![Field::new("key", DataType::Utf8, false), Field::new("value", value, true)];
    DataType::Map(Arc::new(Field::new("entries", DataType::Struct(fields.into()), false)), false)
}

fn builder<V: ArrayBuilder>(values: V) -> MapBuilder<StringBuilder, V> {
    let names = MapFieldNames { entry: "entries".into(), key: "key".into(), value: "value".into() };
    MapBuilder::new(Some(names), StringBuilder::new(), values)
}

/// Keys and values in order.
fn pairs<'a>(text: &'a str, entry: &str, pair: &str) -> Result<Vec<(&'a str, &'a str)>> {
    if entry.is_empty() || pair.is_empty() {
        let which = if entry.is_empty() { "entryDelimiter" } else { "keyValueDelimiter" };
        return exec_err!("INVALID_FUNCTION_ARGUMENT: {which} is empty");
    }
    if entry == pair {
        return exec_err!(
            "INVALID_FUNCTION_ARGUMENT: entryDelimiter and keyValueDelimiter must not be the same"
        );
    }
    let entries = text.strip_suffix(entry).unwrap_or(text);
    let entries = if text.is_empty() { None } else { Some(entries.split(entry)) };
    let read = |text: &'a str| match text.split_once(pair) {
        Some((key, value)) if !value.contains(pair) => Ok((key, value)),
        _ => exec_err!(
            "INVALID_FUNCTION_ARGUMENT: Key-value delimiter must appear exactly once in each entry. Bad input: '{text}'"
        ),
    };
    entries.into_iter().flatten().map(read).collect()
}

fn split_to_map(args: &Arguments) -> Result<ArrayRef> {
    let (texts, entries, delimiters) = (args.text(0)?, args.text(1)?, args.text(2)?);
    let mut out = builder(StringBuilder::new());
    for row in 0..args.rows() {
        let (Some(text), Some(entry), Some(delimiter)) = (texts.at(row), entries.at(row), delimiters.at(row))
        else {
            out.append(false)?;
            continue;
        };
        let mut seen = std::collections::HashSet::new();
        for (key, value) in pairs(text, entry, delimiter)? {
            if !seen.insert(key) {
                return exec_err!("INVALID_FUNCTION_ARGUMENT: Duplicate keys ({key}) are not allowed");
            }
            out.keys().append_value(key);
            out.values().append_value(value);
        }
        out.append(true)?;
    }
    Ok(Arc::new(out.finish()))
}

fn split_to_multimap(args: &Arguments) -> Result<ArrayRef> {
    let (texts, entries, delimiters) = (args.text(0)?, args.text(1)?, args.text(2)?);
    let mut out = builder(ListBuilder::new(StringBuilder::new()));
    for row in 0..args.rows() {
        let (Some(text), Some(entry), Some(delimiter)) = (texts.at(row), entries.at(row), delimiters.at(row))
        else {
            out.append(false)?;
            continue;
        };
        let mut values: Vec<(&str, Vec<&str>)> = Vec::new();
        let mut places = std::collections::HashMap::new();
        for (key, value) in pairs(text, entry, delimiter)? {
            let place = *places.entry(key).or_insert(values.len());
            if place == values.len() {
                values.push((key, Vec::new()));
            }
            values[place].1.push(value);
        }
        for (key, values) in values {
            out.keys().append_value(key);
            for value in values {
                out.values().values().append_value(value);
            }
            out.values().append(true);
        }
        out.append(true)?;
    }
    Ok(Arc::new(out.finish()))
}
