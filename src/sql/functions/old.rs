//! Functions of Trino that documented queries cannot do without.

use std::sync::Arc;

use arrow::array::{Array, ArrayRef, AsArray, TimestampMillisecondBuilder};
use arrow::datatypes::{DataType, TimeUnit};
use datafusion::common::{Result, ScalarValue, exec_datafusion_err, internal_err};
use datafusion::logical_expr::{
    ColumnarValue, ScalarFunctionArgs, ScalarUDF, ScalarUDFImpl, Signature, Volatility,
};

use super::super::time::parse_iso8601;

/// The functions of this file.
pub(super) fn scalar() -> Vec<ScalarUDF> {
    vec![ScalarUDF::from(FromIso8601Timestamp::new())]
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
