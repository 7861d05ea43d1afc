//! Functions of Trino that documented queries cannot do without.

use std::sync::Arc;

use arrow::array::{Array, ArrayRef, AsArray, StringBuilder, TimestampMillisecondBuilder};
use arrow::datatypes::{DataType, TimeUnit};
use datafusion::common::{Result, ScalarValue, exec_datafusion_err, internal_err};
use datafusion::logical_expr::{
    ColumnarValue, ScalarFunctionArgs, ScalarUDF, ScalarUDFImpl, Signature, Volatility,
};

use super::super::time::parse_iso8601;
use super::json_path::JsonPath;

/// The functions of this file.
pub(super) fn scalar() -> Vec<ScalarUDF> {
    vec![
        ScalarUDF::from(JsonExtract::new("json_extract", false)),
        ScalarUDF::from(JsonExtract::new("json_extract_scalar", true)),
        ScalarUDF::from(FromIso8601Timestamp::new()),
    ]
}

/// `json_extract(json, path)` and `json_extract_scalar(json, path)`.
#[derive(Debug, PartialEq, Eq, Hash)]
struct JsonExtract {
    name: &'static str,
    scalar: bool,
    signature: Signature,
}

impl JsonExtract {
    fn new(name: &'static str, scalar: bool) -> Self {
        Self { name, scalar, signature: Signature::string(2, Volatility::Immutable) }
    }

    fn extract(&self, json: &ArrayRef, path: &Paths<'_>) -> Result<ArrayRef> {
        let mut values = StringBuilder::with_capacity(json.len(), json.len() * 16);
        for (row, text) in strings(json)?.enumerate() {
            let value = match (text, path.at(row)?.as_deref()) {
                (Some(text), Some(path)) if self.scalar => path.scalar(text),
                (Some(text), Some(path)) => path.json(text),
                _ => None,
            };
            values.append_option(value);
        }
        Ok(Arc::new(values.finish()))
    }
}

impl ScalarUDFImpl for JsonExtract {
    fn name(&self) -> &str {
        self.name
    }

    fn signature(&self) -> &Signature {
        &self.signature
    }

    fn return_type(&self, _: &[DataType]) -> Result<DataType> {
        Ok(DataType::Utf8)
    }

    fn invoke_with_args(&self, args: ScalarFunctionArgs) -> Result<ColumnarValue> {
        let [json, path] = args.args.as_slice() else { return internal_err!("two arguments") };
        let rows = if is_scalar(json) && is_scalar(path) { 1 } else { args.number_rows };
        let json_array = json.to_array(rows)?;
        let path_array = path.to_array(rows)?;
        let paths = match path {
            ColumnarValue::Scalar(path) => Paths::One(parse_path(path.try_as_str().flatten())?),
            ColumnarValue::Array(_) => Paths::Each(strings(&path_array)?.collect()),
        };
        let values = self.extract(&json_array, &paths)?;
        scalar_if(is_scalar(json) && is_scalar(path), values)
    }
}

/// The path of every row: nearly always one and the same.
enum Paths<'a> {
    One(Option<Arc<JsonPath>>),
    Each(Vec<Option<&'a str>>),
}

impl Paths<'_> {
    fn at(&self, row: usize) -> Result<Option<Arc<JsonPath>>> {
        match self {
            Self::One(path) => Ok(path.clone()),
            Self::Each(paths) => parse_path(paths[row]),
        }
    }
}

fn parse_path(text: Option<&str>) -> Result<Option<Arc<JsonPath>>> {
    let Some(text) = text else { return Ok(None) };
    let path = JsonPath::parse(text).ok_or_else(|| exec_datafusion_err!("Invalid JSON path: '{text}'"))?;
    Ok(Some(Arc::new(path)))
}

/// `from_iso8601_timestamp(text)`: a time with its zone, in milliseconds as Trino has it.
#[derive(Debug, PartialEq, Eq, Hash)]
struct FromIso8601Timestamp {
    signature: Signature,
}

impl FromIso8601Timestamp {
    fn new() -> Self {
        Self { signature: Signature::string(1, Volatility::Immutable) }
    }
}

impl ScalarUDFImpl for FromIso8601Timestamp {
    fn name(&self) -> &'static str {
        "from_iso8601_timestamp"
    }

    fn signature(&self) -> &Signature {
        &self.signature
    }

    fn return_type(&self, _: &[DataType]) -> Result<DataType> {
        Ok(DataType::Timestamp(TimeUnit::Millisecond, Some("UTC".into())))
    }

    fn invoke_with_args(&self, args: ScalarFunctionArgs) -> Result<ColumnarValue> {
        let [text] = args.args.as_slice() else { return internal_err!("one argument") };
        let texts = text.to_array(if is_scalar(text) { 1 } else { args.number_rows })?;
        let mut times = TimestampMillisecondBuilder::with_capacity(texts.len());
        for text in strings(&texts)? {
            let time = text.map(|text| {
                parse_iso8601(text).ok_or_else(|| exec_datafusion_err!("not an ISO 8601 time: '{text}'"))
            });
            times.append_option(time.transpose()?.map(|time| time.timestamp_millis()));
        }
        scalar_if(is_scalar(text), Arc::new(times.finish().with_timezone("UTC")))
    }
}

fn is_scalar(value: &ColumnarValue) -> bool {
    matches!(value, ColumnarValue::Scalar(_))
}

fn scalar_if(scalar: bool, values: ArrayRef) -> Result<ColumnarValue> {
    if scalar {
        return Ok(ColumnarValue::Scalar(ScalarValue::try_from_array(&values, 0)?));
    }
    Ok(ColumnarValue::Array(values))
}

/// The strings of an array of any of Arrow's string types.
fn strings(array: &ArrayRef) -> Result<Box<dyn Iterator<Item = Option<&str>> + '_>> {
    Ok(match array.data_type() {
        DataType::Utf8 => Box::new(array.as_string::<i32>().iter()),
        DataType::LargeUtf8 => Box::new(array.as_string::<i64>().iter()),
        DataType::Utf8View => Box::new(array.as_string_view().iter()),
        other => return internal_err!("text expected, not {other}"),
    })
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use crate::sql::testing::{answer, session};

    #[tokio::test]
    async fn constants_columns_and_nulls_may_stand_in_either_argument() {
        let session = session(&[json!({"requestparameters": "{\"a\":1}", "eventname": "$.a"})]);
        let sql = "SELECT json_extract_scalar('{\"a\":\"x\"}', '$.a'),
            json_extract_scalar(requestparameters, eventname), json_extract_scalar('{\"a\":2}', eventname),
            json_extract_scalar(NULL, '$.a'), json_extract_scalar(requestparameters, NULL),
            json_extract_scalar(responseelements, '$.a') FROM cloudtrail_logs";
        assert_eq!(answer(&session, sql).await, ["x,1,2,,,"]);
    }

    #[tokio::test]
    async fn an_invalid_path_is_an_error_that_shows_it() {
        let session = session(&[json!({"requestparameters": "{}"})]);
        let sql = "SELECT json_extract_scalar(requestparameters, 'a.b') FROM cloudtrail_logs";
        let error = session.collect(sql, &[]).await.unwrap_err().to_string();
        assert!(error.contains("Invalid JSON path: 'a.b'"), "{error}");
    }

    #[tokio::test]
    async fn times_are_read_with_their_zone() {
        let session = session(&[json!({"eventtime": "2026-01-05T13:51:00Z"})]);
        let sql = "SELECT from_iso8601_timestamp(eventtime),
            from_iso8601_timestamp('2026-01-05T13:51:00.250+02:00'), from_iso8601_timestamp('2026-01-05')
            FROM cloudtrail_logs
            WHERE from_iso8601_timestamp(eventtime) > TIMESTAMP '2026-01-05 13:50:00'";
        let expected = ["2026-01-05T13:51:00Z,2026-01-05T11:51:00.250Z,2026-01-05T00:00:00Z"];
        assert_eq!(answer(&session, sql).await, expected);
    }
}
