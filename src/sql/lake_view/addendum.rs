//! `$addendum_map`: the addendum as CloudTrail Lake's MAP of text to text.
//!
//! The lake keeps it as AWS's Athena table has it, a struct, in which a member that is absent and one that is
//! null are one. The map always has the four keys that CloudTrail documents, and others where they have a value.

use std::borrow::Cow;

use arrow::array::{Array, ArrayRef, AsArray};
use arrow::compute::cast;
use arrow::datatypes::DataType;
use datafusion::common::{Result, exec_err};
use datafusion::logical_expr::{
    ColumnarValue, Expr, ScalarFunctionArgs, ScalarUDF, ScalarUDFImpl, Signature, Volatility,
};

use super::json_map::{MapBuilder, map_type};
use crate::event::schema::ADDENDUM;

/// How many of the members are always there: those that CloudTrail documents come first.
const DOCUMENTED: usize = 4;

/// The map made of the stored addendum.
pub(super) fn addendum_map(addendum: Expr) -> Expr {
    ScalarUDF::from(AddendumMap { signature: Signature::any(1, Volatility::Immutable) }).call(vec![addendum])
}

#[derive(Debug, PartialEq, Eq, Hash)]
struct AddendumMap {
    signature: Signature,
}

impl ScalarUDFImpl for AddendumMap {
    fn name(&self) -> &'static str {
        "$addendum_map"
    }

    fn signature(&self) -> &Signature {
        &self.signature
    }

    fn return_type(&self, _: &[DataType]) -> Result<DataType> {
        Ok(map_type())
    }

    fn invoke_with_args(&self, args: ScalarFunctionArgs) -> Result<ColumnarValue> {
        let addendum = args.args[0].to_array(args.number_rows)?;
        let Some(addendum) = addendum.as_struct_opt() else {
            return exec_err!("an addendum that is no struct: {}", addendum.data_type());
        };
        let column = |column: &ArrayRef| cast(column, &DataType::Utf8View);
        let columns = addendum.columns().iter().map(column).collect::<Result<Vec<_>, _>>()?;
        let mut maps = MapBuilder::new(args.number_rows);
        for row in 0..args.number_rows {
            let mut entries = Vec::new();
            for (at, (field, column)) in ADDENDUM.iter().zip(&columns).enumerate() {
                let texts = column.as_string_view();
                let value = texts.is_valid(row).then(|| Cow::Borrowed(texts.value(row)));
                if at < DOCUMENTED || value.is_some() {
                    entries.push((Cow::Borrowed(field.name), value));
                }
            }
            maps.append(addendum.is_valid(row).then_some(entries.as_slice()))?;
        }
        Ok(ColumnarValue::Array(maps.finish()?))
    }
}
