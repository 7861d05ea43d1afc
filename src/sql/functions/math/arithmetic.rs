//! The operators `+`, `-` and `*` of integers and the sign: what leaves the range is an error, no other number.

use arrow::array::{Array, ArrayRef, Datum, Scalar};
use arrow::compute::kernels::numeric;
use arrow::datatypes::DataType;
use arrow::error::ArrowError;
use datafusion::common::{DataFusionError, Result, exec_datafusion_err, plan_err};
use datafusion::logical_expr::ScalarUDF;
use datafusion::logical_expr::binary::type_union_resolution;

use super::super::scalar::{Arguments, Function, Kind};
use super::super::types::type_name;

/// What the operators are called here.
pub(in super::super) const ADD: &str = "$add";
pub(in super::super) const SUBTRACT: &str = "$subtract";
pub(in super::super) const MULTIPLY: &str = "$multiply";
const NEGATE: &str = "$negate";

/// The functions of this file.
pub(super) fn scalar() -> Vec<ScalarUDF> {
    vec![
        of_two(ADD, "addition", numeric::add),
        of_two(SUBTRACT, "subtraction", numeric::sub),
        of_two(MULTIPLY, "multiplication", numeric::mul),
        Function::new(NEGATE, &[&[Kind::Any]], DataType::Null, |args: &Arguments| {
            let value = args.one_or_all(0);
            let negated = numeric::neg(value.as_ref());
            negated.map_err(|error| out_of_range(error, value.data_type(), "negation"))
        })
        .check(signed)
        .returns_type_of(0)
        .into(),
    ]
}

type Kernel = fn(&dyn Datum, &dyn Datum) -> Result<ArrayRef, ArrowError>;

fn of_two(name: &'static str, noun: &'static str, kernel: Kernel) -> ScalarUDF {
    const TWO: &[&[Kind]] = &[&[Kind::Any, Kind::Any]];
    Function::new(name, TWO, DataType::Null, move |args: &Arguments| {
        // A constant is not written out for each row.
        let side = |index: usize| -> Box<dyn Datum> {
            let array = ArrayRef::clone(args.one_or_all(index));
            let is_constant = args.literal(index).is_some();
            if is_constant { Box::new(Scalar::new(array)) } else { Box::new(array) }
        };
        let (left, right) = (side(0), side(1));
        let data_type = args.one_or_all(0).data_type();
        let result = kernel(left.as_ref(), right.as_ref());
        result.map_err(|error| out_of_range(error, data_type, noun))
    })
    .check(integers)
    .returns_type_of(0)
    .into()
}

/// Two integers of the wider type of the two.
fn integers(name: &str, types: &[DataType]) -> Result<Vec<DataType>> {
    let plain = |given: &DataType| if given.is_unsigned_integer() { DataType::Int64 } else { given.clone() };
    let plain: Vec<DataType> = types.iter().map(plain).collect();
    match type_union_resolution(&plain) {
        Some(common) if common.is_integer() => Ok(vec![common; types.len()]),
        _ => plan_err!("TYPE_MISMATCH: {name} takes integers"),
    }
}

/// Numbers and intervals.
fn signed(_: &str, types: &[DataType]) -> Result<Vec<DataType>> {
    let interval = |given: &DataType| matches!(given, DataType::Interval(_) | DataType::Duration(_));
    match types {
        [DataType::Null] => Ok(vec![DataType::Int64]),
        [given] if given.is_unsigned_integer() => Ok(vec![DataType::Int64]),
        [given] if given.is_numeric() || interval(given) => Ok(types.to_vec()),
        _ => plan_err!("TYPE_MISMATCH: Cannot negate {}", types.first().map_or_else(String::new, type_name)),
    }
}

/// Arrow says which numbers they were: `Overflow happened on: 1 + 9223372036854775807`.
fn out_of_range(error: ArrowError, data_type: &DataType, noun: &str) -> DataFusionError {
    let ArrowError::ArithmeticOverflow(message) = &error else { return error.into() };
    let numbers = message.rsplit_once(": ").map_or("", |(_, numbers)| numbers);
    let numbers = numbers.trim_start_matches("- ");
    exec_datafusion_err!("NUMERIC_VALUE_OUT_OF_RANGE: {} {noun} overflow: {numbers}", type_name(data_type))
}

#[cfg(test)]
mod tests {
    use super::super::super::testing;

    #[tokio::test]
    async fn what_leaves_the_range_of_the_type_is_an_error() {
        for (sql, expected) in [
            (
                "SELECT 9223372036854775807 + x FROM (VALUES (1)) t(x)",
                "bigint addition overflow: 9223372036854775807 + 1",
            ),
            (
                "SELECT -9223372036854775807 - x FROM (VALUES (2)) t(x)",
                "bigint subtraction overflow: -9223372036854775807 - 2",
            ),
            (
                "SELECT x * x FROM (VALUES (1), (3037000500)) t(x)",
                "bigint multiplication overflow: 3037000500 * 3037000500",
            ),
            (
                "SELECT \"$negate\"(x) FROM (VALUES (-9223372036854775807 - 1)) t(x)",
                "bigint negation overflow",
            ),
        ] {
            // The operators themselves are planned by `sql::operators`.
            let sql = sql.replace("9223372036854775807 + x", "\"$add\"(9223372036854775807, x)");
            let sql = sql.replace("-9223372036854775807 - x", "\"$subtract\"(-9223372036854775807, x)");
            let sql = sql.replace("x * x", "\"$multiply\"(x, x)");
            let error = testing::column(&sql).await.unwrap_err().to_string();
            assert!(error.contains(&format!("NUMERIC_VALUE_OUT_OF_RANGE: {expected}")), "{error}");
        }
    }

    #[tokio::test]
    async fn integers_keep_the_wider_type_and_nulls_stay_null() {
        testing::expect(&[
            ("\"$add\"(\"$cast\"(1, 'tinyint'), \"$cast\"(2, 'smallint'))", "3"),
            ("typeof(\"$add\"(\"$cast\"(1, 'integer'), \"$cast\"(2, 'smallint')))", "integer"),
            ("\"$multiply\"(NULL, 2)", "NULL"),
            ("\"$negate\"(1.50)", "-1.50"),
        ])
        .await;
    }
}
