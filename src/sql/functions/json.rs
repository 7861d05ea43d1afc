//! Trino's functions over JSON, be it of type JSON or text that holds it.

use std::sync::Arc;

use arrow::array::{ArrayRef, BooleanBuilder, LargeStringBuilder, StringBuilder};
use arrow::datatypes::DataType;
use datafusion::common::{Result, exec_err};
use datafusion::logical_expr::{ScalarFunctionArgs, ScalarUDF};

use super::args::{Texts, column, rows};
use super::function::function;
use super::types::unexpected;

mod arrays;
mod build;
mod extract;
mod path;
mod reader;
mod spelling;
mod standard;

pub(super) use reader::{Reader, unquote};
pub(super) use spelling::{parsed, push_double, push_string};

/// More of a text than this is not shown in an error.
const LONGEST_SHOWN: usize = 10_000;

/// The functions of this file and those below it.
pub(super) fn scalar() -> Vec<ScalarUDF> {
    let mut functions = vec![
        function("json_parse", json_from_text, json_parse),
        function("json_format", text_from_json, json_format),
        function("is_json_scalar", is_json_scalar_type, is_json_scalar),
    ];
    functions.extend(extract::scalar());
    functions.extend(arrays::scalar());
    functions.extend(standard::scalar());
    functions.extend(build::scalar());
    functions
}

fn is_varchar(data_type: &DataType) -> bool {
    match data_type {
        DataType::Utf8 | DataType::Utf8View | DataType::Null => true,
        DataType::Dictionary(_, value) => is_varchar(value),
        _ => false,
    }
}

/// JSON, or text that may hold it.
fn is_json(data_type: &DataType) -> bool {
    is_varchar(data_type) || data_type == &DataType::LargeUtf8
}

fn json_from_text(given: &[DataType]) -> Result<DataType> {
    match given {
        [text] if is_varchar(text) => Ok(DataType::LargeUtf8),
        _ => Err(unexpected("json_parse", given, "json_parse(varchar(x))")),
    }
}

fn text_from_json(given: &[DataType]) -> Result<DataType> {
    match given {
        [DataType::LargeUtf8 | DataType::Null] => Ok(DataType::Utf8),
        _ => Err(unexpected("json_format", given, "json_format(json)")),
    }
}

fn is_json_scalar_type(given: &[DataType]) -> Result<DataType> {
    match given {
        [json] if is_json(json) => Ok(DataType::Boolean),
        _ => Err(unexpected("is_json_scalar", given, "is_json_scalar(varchar(x)), is_json_scalar(json)")),
    }
}

/// `json_parse(text)`: the text as JSON, its keys in order.
fn json_parse(args: &ScalarFunctionArgs) -> Result<ArrayRef> {
    let texts = Texts::of(&column(&args.args[0], rows(args))?)?;
    let mut values = LargeStringBuilder::with_capacity(texts.len(), texts.len() * 64);
    for text in texts.iter() {
        let Some(text) = text else {
            values.append_null();
            continue;
        };
        let Some(json) = parsed(text) else {
            return exec_err!("INVALID_FUNCTION_ARGUMENT: Cannot convert value to JSON: '{}'", shown(text));
        };
        values.append_value(json);
    }
    Ok(Arc::new(values.finish()))
}

/// `json_format(json)`: its text.
fn json_format(args: &ScalarFunctionArgs) -> Result<ArrayRef> {
    let texts = Texts::of(&column(&args.args[0], rows(args))?)?;
    let mut values = StringBuilder::with_capacity(texts.len(), texts.len() * 64);
    texts.iter().for_each(|text| values.append_option(text));
    Ok(Arc::new(values.finish()))
}

/// `is_json_scalar(json)`: whether it is neither an object nor an array.
fn is_json_scalar(args: &ScalarFunctionArgs) -> Result<ArrayRef> {
    let texts = Texts::of(&column(&args.args[0], rows(args))?)?;
    let mut values = BooleanBuilder::with_capacity(texts.len());
    for text in texts.iter() {
        let Some(text) = text else {
            values.append_null();
            continue;
        };
        let mut reader = Reader::new(text);
        match reader.value() {
            Some(value) if reader.is_at_end() => values.append_value(!value.starts_with(['{', '['])),
            _ => return exec_err!("INVALID_FUNCTION_ARGUMENT: Invalid JSON value: {}", shown(text)),
        }
    }
    Ok(Arc::new(values.finish()))
}

/// A text for an error, cut as Trino cuts it.
pub(super) fn shown(text: &str) -> String {
    if text.len() <= LONGEST_SHOWN {
        return text.to_owned();
    }
    format!("{}...(truncated)", &text[..text.floor_char_boundary(LONGEST_SHOWN)])
}

#[cfg(test)]
mod tests {
    use arrow::array::{Array, AsArray};
    use datafusion::common::ScalarValue;
    use datafusion::logical_expr::ColumnarValue;

    use super::super::args::testing::{call, json, named, text};
    use super::*;

    fn answer(name: &str, args: &[ColumnarValue]) -> ArrayRef {
        call(&named(scalar(), name), args).unwrap()
    }

    fn error(name: &str, args: &[ColumnarValue]) -> String {
        call(&named(scalar(), name), args).unwrap_err().to_string()
    }

    #[test]
    fn parsed_json_is_formatted_in_the_order_of_its_keys() {
        let parsed = answer("json_parse", &[text(" { \"z\" : 1 , \"a\" : [ 1 , 2 ] } ")]);
        assert_eq!(parsed.as_string::<i64>().value(0), r#"{"a":[1,2],"z":1}"#);
        let formatted = answer("json_format", &[ColumnarValue::Array(parsed)]);
        assert_eq!(formatted.as_string::<i32>().value(0), r#"{"a":[1,2],"z":1}"#);
        assert!(answer("json_parse", &[ColumnarValue::Scalar(ScalarValue::Utf8(None))]).is_null(0));
    }

    #[test]
    fn text_that_is_not_json_cannot_be_parsed() {
        let expected = "INVALID_FUNCTION_ARGUMENT: Cannot convert value to JSON: '{broken'";
        assert!(error("json_parse", &[text("{broken")]).contains(expected));
        let expected = "INVALID_FUNCTION_ARGUMENT: Invalid JSON value: [1";
        assert!(error("is_json_scalar", &[text("[1")]).contains(expected));
        let long = error("json_parse", &[text(&"é".repeat(20_000))]);
        assert!(long.contains("...(truncated)'") && long.len() < 11_000);
    }

    #[test]
    fn scalars_are_told_from_containers() {
        let is_scalar = |value| answer("is_json_scalar", &[value]).as_boolean().value(0);
        assert!(is_scalar(text("\"a\"")) && is_scalar(json("1")) && is_scalar(text(" null ")));
        assert!(!is_scalar(text("[1]")) && !is_scalar(json("{}")));
    }

    #[test]
    fn arguments_of_other_types_are_refused_in_trinos_words() {
        let given = ColumnarValue::Scalar(ScalarValue::from(1_i64));
        let expected = "FUNCTION_NOT_FOUND: Unexpected parameters (bigint) for function json_parse. Expected: json_parse(varchar(x))";
        assert!(error("json_parse", &[given]).contains(expected));
        assert!(error("json_format", &[text("{}")]).contains("Unexpected parameters (varchar)"));
    }
}
