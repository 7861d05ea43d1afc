//! `JSON_OBJECT('a' : 1)` and `JSON_ARRAY(1, 'x')`. The parser makes JSON of each value.

use std::sync::Arc;

use arrow::array::{ArrayRef, StringBuilder};
use arrow::datatypes::DataType;
use datafusion::common::{Result, exec_err};
use datafusion::logical_expr::{ScalarFunctionArgs, ScalarUDF};

use super::super::args::{Texts, column, constant_text, rows};
use super::super::function::function;
use super::super::types::unexpected;
use super::spelling::push_string;
use super::{is_json, is_varchar};

/// The first argument of both when members that are NULL are left out.
const ABSENT: &str = "absent";

/// The functions of this file.
pub(super) fn scalar() -> Vec<ScalarUDF> {
    vec![
        function("$json_object", |given| typed("json_object", given), json_object),
        function("$json_array", |given| typed("json_array", given), json_array),
    ]
}

fn typed(name: &str, given: &[DataType]) -> Result<DataType> {
    if given.iter().all(is_json) && given.first().is_some_and(is_varchar) {
        return Ok(DataType::Utf8);
    }
    Err(unexpected(name, &given[1..], &format!("{name} of varchar keys and of values that JSON can hold")))
}

/// The columns behind the first argument, and whether that says that members that are NULL are left out.
fn columns(args: &ScalarFunctionArgs) -> Result<(Vec<Texts>, bool)> {
    let absent = constant_text(&args.args[0]).flatten() == Some(ABSENT);
    let columns = args.args[1..].iter().map(|arg| Texts::of(&column(arg, rows(args))?));
    Ok((columns.collect::<Result<_>>()?, absent))
}

/// `"$json_object"(null or absent, key, value, key, value, …)`.
fn json_object(args: &ScalarFunctionArgs) -> Result<ArrayRef> {
    let (columns, absent) = columns(args)?;
    let mut objects = StringBuilder::new();
    for row in 0..rows(args) {
        let mut object = String::from("{");
        for member in columns.chunks(2) {
            let [key, value] = member else { continue };
            let Some(key) = key.get(row) else {
                return exec_err!("INVALID_FUNCTION_ARGUMENT: null value passed for JSON object key");
            };
            let value = value.get(row);
            if value.is_none() && absent {
                continue;
            }
            if object.len() > 1 {
                object.push(',');
            }
            push_string(&mut object, key);
            object.push(':');
            object.push_str(value.unwrap_or("null"));
        }
        object.push('}');
        objects.append_value(object);
    }
    Ok(Arc::new(objects.finish()))
}

/// `"$json_array"(null or absent, value, value, …)`.
fn json_array(args: &ScalarFunctionArgs) -> Result<ArrayRef> {
    let (columns, absent) = columns(args)?;
    let mut arrays = StringBuilder::new();
    for row in 0..rows(args) {
        let values = columns.iter().map(|values| values.get(row));
        let kept = values.filter(|value| value.is_some() || !absent).map(|value| value.unwrap_or("null"));
        arrays.append_value(format!("[{}]", kept.collect::<Vec<_>>().join(",")));
    }
    Ok(Arc::new(arrays.finish()))
}
