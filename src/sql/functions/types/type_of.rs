//! `typeof(x)`.

use std::sync::Arc;

use arrow::datatypes::{DataType, Field, FieldRef};
use datafusion::common::{Result, ScalarValue};
use datafusion::logical_expr::{
    ColumnarValue, ReturnFieldArgs, ScalarFunctionArgs, ScalarUDF, ScalarUDFImpl, Signature, Volatility,
};

use super::type_name;

/// The functions of this file.
pub(in super::super) fn scalar() -> Vec<ScalarUDF> {
    vec![ScalarUDF::from(TypeOf { signature: Signature::any(1, Volatility::Immutable) })]
}

/// `typeof(x)`: the name of the type of `x`.
#[derive(Debug, PartialEq, Eq, Hash)]
struct TypeOf {
    signature: Signature,
}

impl ScalarUDFImpl for TypeOf {
    fn name(&self) -> &'static str {
        "typeof"
    }

    fn signature(&self) -> &Signature {
        &self.signature
    }

    fn return_type(&self, _: &[DataType]) -> Result<DataType> {
        Ok(DataType::Utf8)
    }

    /// The answer travels as the field's name.
    fn return_field_from_args(&self, args: ReturnFieldArgs<'_>) -> Result<FieldRef> {
        Ok(Arc::new(Field::new(type_name(args.arg_fields[0].data_type()), DataType::Utf8, false)))
    }

    fn invoke_with_args(&self, args: ScalarFunctionArgs) -> Result<ColumnarValue> {
        Ok(ColumnarValue::Scalar(ScalarValue::from(args.return_field.name().as_str())))
    }
}

#[cfg(test)]
mod tests {
    use arrow::array::AsArray;

    use super::super::super::args::testing::{call, named};
    use super::super::super::testing;
    use super::*;

    fn type_of(value: ScalarValue) -> String {
        let answer = call(&named(scalar(), "typeof"), &[ColumnarValue::Scalar(value)]).unwrap();
        answer.as_string::<i32>().value(0).to_owned()
    }

    #[test]
    fn constants_have_the_type_that_they_were_given() {
        assert_eq!(type_of(ScalarValue::from(1_i64)), "bigint");
        assert_eq!(type_of(ScalarValue::from("abc")), "varchar");
        assert_eq!(type_of(ScalarValue::from(1.5)), "double");
        assert_eq!(type_of(ScalarValue::Decimal128(Some(15), 2, 1)), "decimal(2,1)");
        assert_eq!(type_of(ScalarValue::Null), "unknown");
        assert_eq!(
            type_of(ScalarValue::TimestampMillisecond(None, Some("UTC".into()))),
            "timestamp(3) with time zone"
        );
    }

    #[test]
    fn columns_have_the_type_of_the_column() {
        let column = ColumnarValue::Array(Arc::new(arrow::array::Int64Array::from(vec![1, 2])));
        let answer = call(&named(scalar(), "typeof"), &[column]).unwrap();
        assert_eq!(answer.as_string::<i32>().value(1), "bigint");
    }

    #[tokio::test]
    async fn a_query_asks_for_what_was_computed() {
        testing::expect(&[
            ("typeof(3000000000)", "bigint"),
            ("typeof(\"$cast\"(1, 'bigint'))", "bigint"),
            ("typeof(\"$cast\"(1, 'integer'))", "integer"),
            ("typeof(\"$cast\"('abc', 'varchar'))", "varchar"),
            ("typeof(1.5)", "decimal(2,1)"),
            ("typeof(\"$cast\"('[[1]]', 'json'))", "json"),
            ("typeof(\"$cast\"(json_parse('[[1]]'), 'array(array(integer))'))", "array(array(integer))"),
            ("typeof(NULL)", "unknown"),
            ("typeof(uuid())", "varchar"),
        ])
        .await;
        let sql = "SELECT typeof(t) FROM (VALUES (1), (2)) AS x(t)";
        assert_eq!(testing::column(sql).await.unwrap(), ["bigint", "bigint"]);
    }
}
