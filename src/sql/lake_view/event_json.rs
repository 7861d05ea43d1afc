//! `$event_json`: the record of a row, rebuilt. Its arguments are all the columns that this needs, so that
//! they are read only when it is asked for.

use std::sync::Arc;

use arrow::array::{RecordBatch, RecordBatchOptions, StringBuilder};
use arrow::datatypes::{DataType, Field, Schema};
use datafusion::common::{DataFusionError, Result, exec_err};
use datafusion::logical_expr::{
    ColumnarValue, Expr, ScalarFunctionArgs, ScalarUDF, ScalarUDFImpl, Signature, Volatility,
};

use crate::event::Rebuilder;
use crate::event::schema::{NULL_FIELDS, RECORD, UNMAPPED};

/// The JSON of the record whose columns `column` gives by name.
pub(super) fn event_json(column: impl Fn(&str) -> Expr) -> Expr {
    let signature = Signature::variadic_any(Volatility::Immutable);
    ScalarUDF::from(EventJson { signature }).call(names().map(column).collect())
}

fn names() -> impl Iterator<Item = &'static str> {
    RECORD.iter().map(|field| field.column).chain([UNMAPPED, NULL_FIELDS])
}

#[derive(Debug, PartialEq, Eq, Hash)]
struct EventJson {
    signature: Signature,
}

impl ScalarUDFImpl for EventJson {
    fn name(&self) -> &'static str {
        "$event_json"
    }

    fn signature(&self) -> &Signature {
        &self.signature
    }

    fn return_type(&self, _: &[DataType]) -> Result<DataType> {
        Ok(DataType::Utf8)
    }

    fn invoke_with_args(&self, args: ScalarFunctionArgs) -> Result<ColumnarValue> {
        let external = |error: anyhow::Error| DataFusionError::External(error.into());
        let columns = args.args.iter().map(|column| column.to_array(args.number_rows));
        let columns = columns.collect::<Result<Vec<_>>>()?;
        let fields =
            names().zip(&columns).map(|(name, column)| Field::new(name, column.data_type().clone(), true));
        let schema = Arc::new(Schema::new(fields.collect::<Vec<_>>()));
        let options = RecordBatchOptions::new().with_row_count(Some(args.number_rows));
        let batch = RecordBatch::try_new_with_options(schema, columns, &options)?;
        let rebuilder = Rebuilder::new(&batch).map_err(external)?;
        let mut records = StringBuilder::new();
        for row in 0..args.number_rows {
            let record = rebuilder.record(row).map_err(external)?;
            if i32::try_from(records.values_slice().len() + record.len()).is_err() {
                return exec_err!("GENERIC_INTERNAL_ERROR: eventJson of more than 2 GB in one batch of rows");
            }
            records.append_value(record);
        }
        Ok(ColumnarValue::Array(Arc::new(records.finish())))
    }
}
