//! The SQL standard's functions over JSON: `json_value`, `json_query` and `json_exists`. The parser makes of their
//! clauses arguments of these.

use std::borrow::Cow;
use std::sync::Arc;

use arrow::array::{ArrayRef, BooleanBuilder, StringBuilder};
use arrow::datatypes::DataType;
use datafusion::common::{Result, exec_datafusion_err, exec_err};
use datafusion::logical_expr::{ScalarFunctionArgs, ScalarUDF};

use self::path::{Items, SqlPath};
use super::super::args::{Texts, column, constant_text, rows};
use super::super::function::function;
use super::super::types::unexpected;
use super::reader::unquote;
use super::spelling::canonical;
use super::{is_json, is_varchar};

mod path;

/// The functions of this file.
pub(super) fn scalar() -> Vec<ScalarUDF> {
    vec![
        function("$json_value", |given| typed("json_value", given, DataType::Utf8), json_value),
        function("$json_query", |given| typed("json_query", given, DataType::Utf8), json_query),
        function("$json_exists", |given| typed("json_exists", given, DataType::Boolean), json_exists),
    ]
}

fn typed(name: &str, given: &[DataType], result: DataType) -> Result<DataType> {
    match given {
        [json, path, ..] if is_json(json) && is_varchar(path) => Ok(result),
        _ => Err(unexpected(name, given, &format!("{name}(varchar, path)"))),
    }
}

/// `"$json_value"(json, path, on empty, on error, default on empty, default on error)`.
fn json_value(args: &ScalarFunctionArgs) -> Result<ArrayRef> {
    let input = Input::of(args)?;
    let (on_empty, on_error) = (input.word(2), input.word(3));
    let defaults = [texts(args, 4)?, texts(args, 5)?];
    let mut values = StringBuilder::new();
    for row in 0..input.texts.len() {
        let found = match input.items(row) {
            None => None,
            Some(Err(reason)) => otherwise(&on_error, defaults[1].get(row), &reason)?,
            Some(Ok(items)) => match items.as_slice() {
                [] => otherwise(&on_empty, defaults[0].get(row), "the path leads to nothing")?,
                ["null"] => None,
                [item] if item.starts_with(['{', '[']) => {
                    otherwise(&on_error, defaults[1].get(row), "the path leads to no scalar")?
                }
                [item] if item.starts_with('"') => Some(unquote(item)),
                [item] => Some(Cow::Borrowed(*item)),
                _ => otherwise(&on_error, defaults[1].get(row), "the path leads to several values")?,
            },
        };
        values.append_option(found);
    }
    Ok(Arc::new(values.finish()))
}

/// What stands in for a value that there is not.
fn otherwise<'a>(word: &str, default: Option<&'a str>, reason: &str) -> Result<Option<Cow<'a, str>>> {
    match word {
        "error" => {
            exec_err!("JSON_VALUE_RESULT_ERROR: cannot extract SQL scalar from JSON sequence: {reason}")
        }
        "default" => Ok(default.map(Cow::Borrowed)),
        _ => Ok(None),
    }
}

/// `"$json_query"(json, path, wrapper, quotes, on empty, on error)`: JSON as text.
fn json_query(args: &ScalarFunctionArgs) -> Result<ArrayRef> {
    let input = Input::of(args)?;
    let (wrapper, quotes) = (input.word(2), input.word(3));
    let (on_empty, on_error) = (input.word(4), input.word(5));
    let mut values = StringBuilder::new();
    for row in 0..input.texts.len() {
        match input.items(row) {
            None => values.append_null(),
            Some(Err(reason)) => values.append_option(instead(&on_error, &reason)?),
            Some(Ok(items)) if items.is_empty() => {
                values.append_option(instead(&on_empty, "the path leads to nothing")?);
            }
            Some(Ok(items)) => {
                let alone = items.len() == 1;
                let wraps = match wrapper.as_str() {
                    "with" => true,
                    "conditional" => !(alone && items[0].starts_with(['{', '['])),
                    _ => false,
                };
                if wraps {
                    values.append_value(canonical(&format!("[{}]", items.join(","))));
                } else if !alone {
                    values.append_option(instead(&on_error, "the path leads to several values")?);
                } else if quotes == "omit" && items[0].starts_with('"') {
                    values.append_value(unquote(items[0]));
                } else {
                    values.append_value(canonical(items[0]));
                }
            }
        }
    }
    Ok(Arc::new(values.finish()))
}

fn instead<'a>(word: &'a str, reason: &str) -> Result<Option<&'a str>> {
    match word {
        "error" => exec_err!("JSON_QUERY_RESULT_ERROR: cannot extract JSON from JSON sequence: {reason}"),
        "[]" | "{}" => Ok(Some(word)),
        _ => Ok(None),
    }
}

/// `"$json_exists"(json, path, on empty, on error)`.
fn json_exists(args: &ScalarFunctionArgs) -> Result<ArrayRef> {
    let input = Input::of(args)?;
    let on_error = input.word(3);
    let mut values = BooleanBuilder::with_capacity(input.texts.len());
    for row in 0..input.texts.len() {
        values.append_option(match input.items(row) {
            None => None,
            Some(Ok(items)) => Some(!items.is_empty()),
            Some(Err(reason)) => match on_error.as_str() {
                "error" => return exec_err!("PATH_EVALUATION_ERROR: path evaluation failed: {reason}"),
                "true" => Some(true),
                "unknown" => None,
                _ => Some(false),
            },
        });
    }
    Ok(Arc::new(values.finish()))
}

/// The JSON texts, the path, and the words of the clauses.
struct Input<'a> {
    args: &'a ScalarFunctionArgs,
    texts: Texts,
    path: SqlPath,
}

impl<'a> Input<'a> {
    fn of(args: &'a ScalarFunctionArgs) -> Result<Self> {
        let written = constant_text(&args.args[1]).flatten().unwrap_or_default();
        let path = SqlPath::parse(written).map_err(|why| {
            exec_datafusion_err!("INVALID_PATH: '{written}' is no JSON path that can be read: {why}")
        })?;
        Ok(Self { args, texts: texts(args, 0)?, path })
    }

    fn word(&self, argument: usize) -> String {
        constant_text(&self.args.args[argument]).flatten().unwrap_or_default().to_owned()
    }

    /// What the path leads to in a row; nothing if the row is NULL.
    fn items(&self, row: usize) -> Option<Result<Items<'_>, String>> {
        Some(self.path.items(self.texts.get(row)?))
    }
}

fn texts(args: &ScalarFunctionArgs, argument: usize) -> Result<Texts> {
    Texts::of(&column(&args.args[argument], rows(args))?)
}
