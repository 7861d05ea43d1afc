//! `TRY`: a lambda without parameters, NULL for the rows where it fails.

use std::cell::Cell;
use std::sync::Arc;

use arrow::array::{ArrayRef, new_null_array};
use arrow::compute::concat;
use arrow::datatypes::{DataType, FieldRef};
use arrow::error::ArrowError;
use datafusion::common::{DataFusionError, Result, plan_err};
use datafusion::logical_expr::{
    ColumnarValue, HigherOrderFunctionArgs, HigherOrderReturnFieldArgs, HigherOrderSignature, HigherOrderUDF,
    HigherOrderUDFImpl, LambdaArgument, LambdaParametersProgress, ValueOrLambda, Volatility,
};

use super::null;

/// `try(() -> x)`.
pub(super) fn attempt() -> HigherOrderUDF {
    let signature = HigherOrderSignature::exact(vec![ValueOrLambda::Lambda(())], Volatility::Immutable);
    HigherOrderUDF::new_from_impl(Attempt { signature })
}

#[derive(Debug, PartialEq, Eq, Hash)]
struct Attempt {
    signature: HigherOrderSignature,
}

impl HigherOrderUDFImpl for Attempt {
    fn name(&self) -> &'static str {
        "try"
    }

    fn signature(&self) -> &HigherOrderSignature {
        &self.signature
    }

    fn coerce_value_types(&self, _: &[DataType]) -> Result<Vec<DataType>> {
        Ok(Vec::new())
    }

    fn lambda_parameters(
        &self,
        _: usize,
        _: &[ValueOrLambda<FieldRef, Option<FieldRef>>],
    ) -> Result<LambdaParametersProgress> {
        Ok(LambdaParametersProgress::Complete(vec![vec![]]))
    }

    fn return_field_from_args(&self, args: HigherOrderReturnFieldArgs) -> Result<FieldRef> {
        let [ValueOrLambda::Lambda(field)] = args.arg_fields else {
            return plan_err!("SYNTAX_ERROR: TRY takes one expression");
        };
        Ok(Arc::new(field.as_ref().clone().with_nullable(true)))
    }

    /// What is tried must not be computed outside of it.
    fn short_circuits(&self) -> bool {
        true
    }

    fn invoke_with_args(&self, args: HigherOrderFunctionArgs) -> Result<ColumnarValue> {
        let [ValueOrLambda::Lambda(lambda)] = args.args.as_slice() else {
            return plan_err!("SYNTAX_ERROR: TRY takes one expression");
        };
        let attempt = Rows { lambda, data_type: args.return_type() };
        let captures = Cell::new(false);
        match attempt.evaluate(0, args.number_rows, &captures) {
            Err(error) if !is_swallowed(&error) => Err(error),
            // All rows are alike.
            Err(_) if !captures.get() => null(args.return_type()),
            Err(_) => Ok(ColumnarValue::Array(attempt.halves(0, args.number_rows)?)),
            Ok(value) => Ok(value),
        }
    }
}

struct Rows<'a> {
    lambda: &'a LambdaArgument,
    data_type: &'a DataType,
}

impl Rows<'_> {
    /// Tries some of the rows at once. `captures` tells whether the expression has columns.
    fn evaluate(&self, first: usize, rows: usize, captures: &Cell<bool>) -> Result<ColumnarValue> {
        // A lambda without parameters and captures learns from this how many rows there are.
        let number: &dyn Fn() -> Result<ArrayRef> = &|| Ok(new_null_array(&DataType::Null, rows));
        self.lambda.evaluate(&[number], |columns| {
            captures.set(true);
            Ok(columns.iter().map(|column| column.slice(first, rows)).collect())
        })
    }

    /// The rows fail together: those of each half may not, down to single ones. Few failures cost little.
    fn halves(&self, first: usize, rows: usize) -> Result<ArrayRef> {
        if rows <= 1 {
            return Ok(new_null_array(self.data_type, rows));
        }
        let left = self.half(first, rows / 2)?;
        let right = self.half(first + rows / 2, rows - rows / 2)?;
        Ok(concat(&[left.as_ref(), right.as_ref()])?)
    }

    fn half(&self, first: usize, rows: usize) -> Result<ArrayRef> {
        match self.evaluate(first, rows, &Cell::new(false)).and_then(|value| value.into_array(rows)) {
            Err(error) if is_swallowed(&error) => self.halves(first, rows),
            answer => answer,
        }
    }
}

/// Trino's TRY forgives these classes of errors, and no others.
fn is_swallowed(error: &DataFusionError) -> bool {
    const CLASSES: [&str; 9] = [
        "DIVISION_BY_ZERO",
        "INVALID_CAST_ARGUMENT",
        "INVALID_FUNCTION_ARGUMENT",
        "INVALID_JSON_LITERAL",
        "JSON_INPUT_CONVERSION_ERROR",
        "JSON_OUTPUT_CONVERSION_ERROR",
        "JSON_VALUE_RESULT_ERROR",
        "NUMERIC_VALUE_OUT_OF_RANGE",
        "PATH_EVALUATION_ERROR",
    ];
    match error.find_root() {
        DataFusionError::Execution(message) => CLASSES.iter().any(|class| message.starts_with(class)),
        DataFusionError::ArrowError(error, _) => matches!(
            error.as_ref(),
            ArrowError::DivideByZero
                | ArrowError::ArithmeticOverflow(_)
                | ArrowError::CastError(_)
                | ArrowError::ParseError(_)
        ),
        _ => false,
    }
}
