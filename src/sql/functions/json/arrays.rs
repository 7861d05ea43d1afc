//! `json_array_length`, `json_array_get` and `json_array_contains`.

use std::borrow::Cow;
use std::sync::Arc;

use arrow::array::{Array, ArrayRef, AsArray, BooleanBuilder, Int64Array, Int64Builder, LargeStringBuilder};
use arrow::compute::cast;
use arrow::datatypes::{DataType, Float64Type, Int64Type};
use datafusion::common::Result;
use datafusion::logical_expr::{ScalarFunctionArgs, ScalarUDF};

use super::super::args::{Texts, column, rows};
use super::super::function::function;
use super::super::types::unexpected;
use super::reader::{Reader, unquote};
use super::spelling::canonical;
use super::{is_json, is_varchar};

/// The functions of this file.
pub(super) fn scalar() -> Vec<ScalarUDF> {
    vec![
        function("json_array_length", length_type, json_array_length),
        function("json_array_get", get_type, json_array_get),
        function("json_array_contains", contains_type, json_array_contains),
    ]
}

fn length_type(given: &[DataType]) -> Result<DataType> {
    match given {
        [json] if is_json(json) => Ok(DataType::Int64),
        _ => {
            let expected = "json_array_length(varchar(x)), json_array_length(json)";
            Err(unexpected("json_array_length", given, expected))
        }
    }
}

fn get_type(given: &[DataType]) -> Result<DataType> {
    match given {
        [json, index] if is_json(json) && (index.is_integer() || index.is_null()) => Ok(DataType::LargeUtf8),
        _ => {
            let expected = "json_array_get(varchar(x), bigint), json_array_get(json, bigint)";
            Err(unexpected("json_array_get", given, expected))
        }
    }
}

fn contains_type(given: &[DataType]) -> Result<DataType> {
    let comparable = |value: &DataType| {
        value.is_numeric() || is_varchar(value) || matches!(value, DataType::Boolean | DataType::Null)
    };
    match given {
        [json, value] if is_json(json) && comparable(value) => Ok(DataType::Boolean),
        _ => {
            let expected: Vec<String> = ["boolean", "bigint", "double", "varchar(y)"]
                .iter()
                .map(|value| format!("json_array_contains(json, {value})"))
                .collect();
            Err(unexpected("json_array_contains", given, &expected.join(", ")))
        }
    }
}

/// Walks the elements of an array, as long as `keep_on` says so; `None` if it is no array, or broken.
fn elements<'a>(json: &'a str, mut keep_on: impl FnMut(&'a str) -> bool) -> Option<()> {
    let mut reader = Reader::new(json);
    reader.expect(b'[')?;
    if reader.next_is(b']')? {
        return Some(());
    }
    loop {
        if !keep_on(reader.value()?) || reader.next_is(b']')? {
            return Some(());
        }
        reader.expect(b',')?;
    }
}

fn length(json: &str) -> Option<i64> {
    let mut length = 0;
    elements(json, |_| {
        length += 1;
        true
    })?;
    Some(length)
}

/// `json_array_length(json)`: NULL if it is no array.
fn json_array_length(args: &ScalarFunctionArgs) -> Result<ArrayRef> {
    let texts = Texts::of(&column(&args.args[0], rows(args))?)?;
    let mut values = Int64Builder::with_capacity(texts.len());
    texts.iter().for_each(|text| values.append_option(text.and_then(length)));
    Ok(Arc::new(values.finish()))
}

/// `json_array_get(json, index)`: from the end if the index is negative.
fn json_array_get(args: &ScalarFunctionArgs) -> Result<ArrayRef> {
    let rows = rows(args);
    let texts = Texts::of(&column(&args.args[0], rows)?)?;
    let indices = integers(&column(&args.args[1], rows)?)?;
    let mut values = LargeStringBuilder::with_capacity(rows, rows * 16);
    for (text, index) in texts.iter().zip(&indices) {
        values.append_option(text.zip(index).and_then(|(text, index)| get(text, index)));
    }
    Ok(Arc::new(values.finish()))
}

fn integers(array: &ArrayRef) -> Result<Int64Array> {
    Ok(cast(array, &DataType::Int64)?.as_primitive::<Int64Type>().clone())
}

/// Trino gives a string without its quotes here, calls that broken, and keeps it so for those who rely on it.
fn get(json: &str, index: i64) -> Option<Cow<'_, str>> {
    let wanted = if index < 0 { length(json)?.checked_add(index)? } else { index };
    if wanted < 0 {
        return None;
    }
    let mut at = 0;
    let mut found = None;
    elements(json, |element| {
        found = (at == wanted).then_some(element);
        at += 1;
        found.is_none()
    })?;
    let element = found?;
    Some(match element.as_bytes()[0] {
        b'"' => unquote(element),
        b'{' | b'[' => Cow::Owned(canonical(element)),
        _ => Cow::Borrowed(element),
    })
}

/// `json_array_contains(json, value)`: NULL if it is no array.
fn json_array_contains(args: &ScalarFunctionArgs) -> Result<ArrayRef> {
    let rows = rows(args);
    let texts = Texts::of(&column(&args.args[0], rows)?)?;
    let wanted = Wanted::of(&column(&args.args[1], rows)?)?;
    let mut values = BooleanBuilder::with_capacity(rows);
    for (row, text) in texts.iter().enumerate() {
        let contained = text.filter(|_| !wanted.is_null(row)).and_then(|text| {
            let mut found = false;
            elements(text, |element| {
                found = wanted.equals(row, element);
                !found
            })?;
            Some(found)
        });
        values.append_option(contained);
    }
    Ok(Arc::new(values.finish()))
}

/// The values that are looked for: numbers with a fraction only equal numbers with a fraction.
enum Wanted {
    Boolean(ArrayRef),
    Integer(Int64Array),
    Double(ArrayRef),
    Text(Texts),
}

impl Wanted {
    fn of(array: &ArrayRef) -> Result<Self> {
        Ok(match array.data_type() {
            DataType::Boolean => Self::Boolean(Arc::clone(array)),
            integer if integer.is_integer() => Self::Integer(integers(array)?),
            number if number.is_numeric() => Self::Double(cast(array, &DataType::Float64)?),
            _ => Self::Text(Texts::of(array)?),
        })
    }

    fn is_null(&self, row: usize) -> bool {
        match self {
            Self::Boolean(values) | Self::Double(values) => values.is_null(row),
            Self::Integer(values) => values.is_null(row),
            Self::Text(values) => values.get(row).is_none(),
        }
    }

    fn equals(&self, row: usize, element: &str) -> bool {
        match self {
            Self::Boolean(values) => element == if values.as_boolean().value(row) { "true" } else { "false" },
            Self::Integer(values) => element.parse() == Ok(values.value(row)),
            Self::Double(values) => is_double(element, values.as_primitive::<Float64Type>().value(row)),
            Self::Text(values) => {
                element.starts_with('"') && values.get(row) == Some(unquote(element).as_ref())
            }
        }
    }
}

#[expect(clippy::float_cmp, reason = "Trino compares them exactly")]
fn is_double(element: &str, wanted: f64) -> bool {
    let has_fraction = !element.starts_with(['"', '{', '[']) && element.contains(['.', 'e', 'E']);
    has_fraction && element.parse::<f64>().is_ok_and(|value| value.is_finite() && value == wanted)
}

#[cfg(test)]
mod tests {
    use datafusion::common::ScalarValue;
    use datafusion::logical_expr::ColumnarValue;

    use super::super::super::args::testing::{call, json, named, text};
    use super::*;

    fn integer(value: i64) -> ColumnarValue {
        ColumnarValue::Scalar(ScalarValue::from(value))
    }

    #[test]
    fn lengths_are_of_arrays_alone() {
        let length = |value| {
            let values = call(&named(scalar(), "json_array_length"), &[value]).unwrap();
            values.is_valid(0).then(|| values.as_primitive::<Int64Type>().value(0))
        };
        assert_eq!(length(text("[1, [2, 3], {}]")), Some(3));
        assert_eq!(length(json("[]")), Some(0));
        assert_eq!(
            (length(text("{\"not\":\"array\"}")), length(text("[1,")), length(text("1"))),
            (None, None, None)
        );
    }

    #[test]
    fn elements_are_counted_from_either_end() {
        let get = |value: &str, index| {
            let values = call(&named(scalar(), "json_array_get"), &[text(value), integer(index)]).unwrap();
            values.is_valid(0).then(|| values.as_string::<i64>().value(0).to_owned())
        };
        let list = r#"["a", 1.50, {"b": [1.50]}, null, "q\"e"]"#;
        assert_eq!(get(list, 0).unwrap(), "a");
        assert_eq!(get(list, 1).unwrap(), "1.50");
        assert_eq!(get(list, 2).unwrap(), r#"{"b":[1.5]}"#);
        assert_eq!(get(list, -2).unwrap(), "null");
        assert_eq!(get(list, -1).unwrap(), "q\"e");
        assert_eq!(get(list, -5).unwrap(), "a");
        for index in [5, -6, i64::MIN, i64::MAX] {
            assert_eq!(get(list, index), None, "{index}");
        }
        assert_eq!((get("{}", 0), get("[1", 5), get("[]", 0)), (None, None, None));
    }

    #[test]
    fn elements_equal_values_of_their_own_type() {
        let contains = |list: &str, value: ScalarValue| {
            let args = [text(list), ColumnarValue::Scalar(value)];
            let values = call(&named(scalar(), "json_array_contains"), &args).unwrap();
            values.is_valid(0).then(|| values.as_boolean().value(0))
        };
        assert_eq!(contains("[1, 2, 3]", ScalarValue::from(2_i64)), Some(true));
        assert_eq!(contains("[1, 2.0, \"3\"]", ScalarValue::from(2_i64)), Some(false));
        assert_eq!(contains("[1, 2.5e0]", ScalarValue::Decimal128(Some(25), 2, 1)), Some(true));
        assert_eq!(contains("[2]", ScalarValue::from(2.0)), Some(false));
        assert_eq!(contains("[\"a\", [\"b\"]]", ScalarValue::from("b")), Some(false));
        assert_eq!(contains("[\"\\u0061\"]", ScalarValue::from("a")), Some(true));
        assert_eq!(contains("[false, true]", ScalarValue::from(true)), Some(true));
        assert_eq!(contains("[\"true\"]", ScalarValue::from(true)), Some(false));
        assert_eq!(contains("{}", ScalarValue::from(true)), None);
        assert_eq!(contains("[1]", ScalarValue::Int64(None)), None);
    }
}
