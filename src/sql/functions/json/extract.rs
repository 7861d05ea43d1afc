//! `json_extract`, `json_extract_scalar` and `json_size`: what a path leads to.

use std::sync::Arc;

use arrow::array::{ArrayRef, Int64Builder, LargeStringBuilder, StringBuilder};
use arrow::datatypes::DataType;
use datafusion::common::{Result, exec_datafusion_err};
use datafusion::logical_expr::{ScalarFunctionArgs, ScalarUDF};

use super::super::args::{Texts, column, constant_text, rows};
use super::super::function::function;
use super::super::types::unexpected;
use super::path::JsonPath;
use super::{is_json, is_varchar};

/// The functions of this file.
pub(super) fn scalar() -> Vec<ScalarUDF> {
    vec![
        function("json_extract", |given| typed("json_extract", given, DataType::LargeUtf8), json_extract),
        function(
            "json_extract_scalar",
            |given| typed("json_extract_scalar", given, DataType::Utf8),
            json_extract_scalar,
        ),
        function("json_size", |given| typed("json_size", given, DataType::Int64), json_size),
    ]
}

fn typed(name: &str, given: &[DataType], result: DataType) -> Result<DataType> {
    match given {
        [json, path] if is_json(json) && is_varchar(path) => Ok(result),
        _ => {
            let expected = format!("{name}(varchar(x), JsonPath), {name}(json, JsonPath)");
            Err(unexpected(name, given, &expected))
        }
    }
}

fn json_extract(args: &ScalarFunctionArgs) -> Result<ArrayRef> {
    let input = Input::of(args)?;
    let mut values = LargeStringBuilder::with_capacity(input.rows(), input.rows() * 32);
    input.each(|found| values.append_option(found.and_then(|(path, text)| path.json(text))))?;
    Ok(Arc::new(values.finish()))
}

fn json_extract_scalar(args: &ScalarFunctionArgs) -> Result<ArrayRef> {
    let input = Input::of(args)?;
    let mut values = StringBuilder::with_capacity(input.rows(), input.rows() * 16);
    input.each(|found| values.append_option(found.and_then(|(path, text)| path.scalar(text))))?;
    Ok(Arc::new(values.finish()))
}

fn json_size(args: &ScalarFunctionArgs) -> Result<ArrayRef> {
    let input = Input::of(args)?;
    let mut values = Int64Builder::with_capacity(input.rows());
    input.each(|found| values.append_option(found.and_then(|(path, text)| path.size(text))))?;
    Ok(Arc::new(values.finish()))
}

/// Texts, and the path of every one of them: nearly always one and the same.
struct Input {
    texts: Texts,
    paths: Paths,
}

enum Paths {
    One(Option<JsonPath>),
    Each(Texts),
}

impl Input {
    fn of(args: &ScalarFunctionArgs) -> Result<Self> {
        let rows = rows(args);
        let texts = Texts::of(&column(&args.args[0], rows)?)?;
        let paths = match constant_text(&args.args[1]) {
            Some(path) => Paths::One(path.map(parse).transpose()?),
            None => Paths::Each(Texts::of(&column(&args.args[1], rows)?)?),
        };
        Ok(Self { texts, paths })
    }

    fn rows(&self) -> usize {
        self.texts.len()
    }

    /// Hands over every row's path and text; nothing where one of them is NULL.
    fn each(&self, mut append: impl FnMut(Option<(&JsonPath, &str)>)) -> Result<()> {
        match &self.paths {
            Paths::One(path) => self.texts.iter().for_each(|text| append(path.as_ref().zip(text))),
            Paths::Each(paths) => {
                for (text, path) in self.texts.iter().zip(paths.iter()) {
                    let path = path.map(parse).transpose()?;
                    append(path.as_ref().zip(text));
                }
            }
        }
        Ok(())
    }
}

fn parse(path: &str) -> Result<JsonPath> {
    JsonPath::parse(path)
        .ok_or_else(|| exec_datafusion_err!("INVALID_FUNCTION_ARGUMENT: Invalid JSON path: '{path}'"))
}

#[cfg(test)]
mod tests {
    use arrow::array::{Array, AsArray, DictionaryArray, StringArray, StringViewArray};
    use arrow::datatypes::Int32Type;
    use datafusion::common::ScalarValue;
    use datafusion::logical_expr::ColumnarValue;

    use super::super::super::args::testing::{call, json, named, text};
    use super::*;

    fn scalars(args: &[ColumnarValue]) -> Vec<Option<String>> {
        let values = call(&named(scalar(), "json_extract_scalar"), args).unwrap();
        values.as_string::<i32>().iter().map(|value| value.map(str::to_owned)).collect()
    }

    fn column(texts: &[Option<&str>]) -> ColumnarValue {
        ColumnarValue::Array(Arc::new(StringArray::from(texts.to_vec())))
    }

    #[test]
    fn constants_columns_and_nulls_may_stand_in_either_argument() {
        let null = || ColumnarValue::Scalar(ScalarValue::Utf8(None));
        let texts = || column(&[Some(r#"{"a":1}"#), None, Some(r#"{"a":"x"}"#), Some("oops")]);
        let expected = [Some("1".to_owned()), None, Some("x".to_owned()), None];
        assert_eq!(scalars(&[texts(), text("$.a")]), expected);
        assert_eq!(
            scalars(&[text(r#"{"a":1}"#), column(&[Some("$.a"), None])]),
            [Some("1".to_owned()), None]
        );
        assert_eq!(scalars(&[texts(), null()]), [None, None, None, None]);
        assert_eq!(scalars(&[null(), text("$.a")]), [None]);
        assert_eq!(scalars(&[ColumnarValue::Scalar(ScalarValue::Null), text("$.a")]), [None]);
        assert_eq!(scalars(&[json(r#"{"a":"x"}"#), text("$.a")]), [Some("x".to_owned())]);
    }

    #[test]
    fn every_encoding_of_text_is_read() {
        let view = StringViewArray::from(vec![Some(r#"{"a":"a long text that is not inlined"}"#), None]);
        let expected = [Some("a long text that is not inlined".to_owned()), None];
        assert_eq!(scalars(&[ColumnarValue::Array(Arc::new(view)), text("$.a")]), expected);
        let dictionary: DictionaryArray<Int32Type> = vec![Some(r#"{"a":1}"#), None].into_iter().collect();
        assert_eq!(
            scalars(&[ColumnarValue::Array(Arc::new(dictionary)), text("$.a")]),
            [Some("1".to_owned()), None]
        );
    }

    #[test]
    fn an_invalid_path_is_an_error_that_shows_it() {
        for path in ["a.b", "$. a", "$..a", "$.a[*", "$['a']"] {
            let error = call(&named(scalar(), "json_extract_scalar"), &[text("{}"), text(path)]).unwrap_err();
            let expected = format!("INVALID_FUNCTION_ARGUMENT: Invalid JSON path: '{path}'");
            assert!(error.to_string().contains(&expected), "{error}");
        }
    }

    #[test]
    fn json_null_is_a_value_and_what_is_absent_is_none() {
        let extract = |path| {
            call(&named(scalar(), "json_extract"), &[text(r#"{"a":null,"b":"x"}"#), text(path)]).unwrap()
        };
        assert_eq!(extract("$.a").as_string::<i64>().value(0), "null");
        assert_eq!(extract("$.b").as_string::<i64>().value(0), "\"x\"");
        assert!(extract("$.c").is_null(0));
    }

    #[test]
    fn sizes_are_bigints() {
        let size = |path| {
            call(&named(scalar(), "json_size"), &[text(r#"{"x":{"a":1,"b":2}}"#), text(path)]).unwrap()
        };
        assert_eq!(size("$.x").as_primitive::<arrow::datatypes::Int64Type>().value(0), 2);
        assert!(size("$.y").is_null(0));
    }
}
