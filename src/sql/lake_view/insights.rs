//! What CloudTrail Lake tells of an Insights event, out of the `insightDetails` that log files have.
//!
//! | Lake | `insightDetails` |
//! |---|---|
//! | `insightContext.baselineAverage`, `insightAverage` | `insightContext.statistics.baseline.average`, `….insight.average` |
//! | `insightContext.baselineDuration`, `insightDuration` | `insightContext.statistics.baselineDuration`, `….insightDuration` |
//! | `insightContext.attributions` | `insightContext.attributions`: a row for each pair of values of an attribute |

use std::sync::{Arc, LazyLock};

use arrow::array::new_empty_array;
use arrow::datatypes::{DataType, Field, Schema};
use arrow::json::ReaderBuilder;
use datafusion::common::{Result, exec_datafusion_err};
use datafusion::logical_expr::{
    ColumnarValue, Expr, ScalarFunctionArgs, ScalarUDF, ScalarUDFImpl, Signature, Volatility,
};
use serde_json::{Value, json};

use super::json_map::texts;

/// The struct `insightContext` made of `insightDetails`.
pub(super) fn insight_context(details: Expr) -> Expr {
    ScalarUDF::from(InsightContext { signature: Signature::any(1, Volatility::Immutable) })
        .call(vec![details])
}

static CONTEXT: LazyLock<DataType> = LazyLock::new(|| {
    let text = |name| Field::new(name, DataType::Utf8, true);
    let double = |name| Field::new(name, DataType::Float64, true);
    let integer = |name| Field::new(name, DataType::Int32, true);
    let attribution = DataType::Struct(
        vec![
            text("attribute"),
            text("insightvalue"),
            double("insightaverage"),
            text("baselinevalue"),
            double("baselineaverage"),
        ]
        .into(),
    );
    let attributions = DataType::List(Arc::new(Field::new("element", attribution, true)));
    DataType::Struct(
        vec![
            double("baselineaverage"),
            double("insightaverage"),
            integer("baselineduration"),
            integer("insightduration"),
            Field::new("attributions", attributions, true),
        ]
        .into(),
    )
});

#[derive(Debug, PartialEq, Eq, Hash)]
struct InsightContext {
    signature: Signature,
}

impl ScalarUDFImpl for InsightContext {
    fn name(&self) -> &'static str {
        "$insight_context"
    }

    fn signature(&self) -> &Signature {
        &self.signature
    }

    fn return_type(&self, _: &[DataType]) -> Result<DataType> {
        Ok(CONTEXT.clone())
    }

    fn invoke_with_args(&self, args: ScalarFunctionArgs) -> Result<ColumnarValue> {
        let details = texts(&args.args[0], args.number_rows)?;
        let schema = Schema::new(vec![Field::new("context", CONTEXT.clone(), true)]);
        let mut decoder = ReaderBuilder::new(Arc::new(schema)).build_decoder()?;
        let rows: Vec<Value> = details.iter().map(|row| json!({"context": row.and_then(context)})).collect();
        if rows.is_empty() {
            return Ok(ColumnarValue::Array(new_empty_array(&CONTEXT)));
        }
        decoder.serialize(&rows)?;
        let batch = decoder.flush()?.ok_or_else(|| exec_datafusion_err!("no rows of insightContext"))?;
        Ok(ColumnarValue::Array(batch.column(0).clone()))
    }
}

fn context(details: &str) -> Option<Value> {
    let details: Value = serde_json::from_str(details).ok()?;
    let context = details.get("insightContext")?.as_object()?;
    let statistics = context.get("statistics").unwrap_or(&Value::Null);
    let number = |pointer: &str| statistics.pointer(pointer).and_then(Value::as_f64);
    let duration =
        |name: &str| statistics.get(name)?.as_i64().and_then(|minutes| i32::try_from(minutes).ok());
    let attributions = context.get("attributions").and_then(Value::as_array);
    let attributions: Option<Vec<Value>> =
        attributions.map(|attributions| attributions.iter().flat_map(attribution).collect());
    Some(json!({
        "baselineaverage": number("/baseline/average"),
        "insightaverage": number("/insight/average"),
        "baselineduration": duration("baselineDuration"),
        "insightduration": duration("insightDuration"),
        "attributions": attributions,
    }))
}

/// A row for each value that an attribute had during the insight or before it.
fn attribution(attribution: &Value) -> Vec<Value> {
    let values = |name: &str| attribution.get(name).and_then(Value::as_array).map_or(&[][..], Vec::as_slice);
    let (insight, baseline) = (values("insight"), values("baseline"));
    let row = |at: usize| {
        let text = |values: &[Value]| values.get(at)?.get("value")?.as_str().map(str::to_owned);
        let average = |values: &[Value]| values.get(at)?.get("average")?.as_f64();
        json!({
            "attribute": attribution.get("attribute").and_then(Value::as_str),
            "insightvalue": text(insight),
            "insightaverage": average(insight),
            "baselinevalue": text(baseline),
            "baselineaverage": average(baseline),
        })
    };
    (0..insight.len().max(baseline.len())).map(row).collect()
}
