//! A scalar function that is told by its name, its types and what it computes.

use std::fmt::{self, Debug};

use arrow::array::ArrayRef;
use arrow::datatypes::DataType;
use datafusion::common::Result;
use datafusion::logical_expr::{
    ColumnarValue, ScalarFunctionArgs, ScalarUDF, ScalarUDFImpl, Signature, Volatility,
};

use super::args::result;
use super::by_name::same_by_name;

/// The type of the result for the types of the arguments, or the error that they do not fit.
type ReturnType = fn(&[DataType]) -> Result<DataType>;

/// The values: one if all arguments are constants, otherwise one for every row.
type Evaluate = fn(&ScalarFunctionArgs) -> Result<ArrayRef>;

/// A function whose value depends on nothing but its arguments.
pub(super) fn function(name: &'static str, return_type: ReturnType, evaluate: Evaluate) -> ScalarUDF {
    let signature = Signature::user_defined(Volatility::Immutable);
    ScalarUDF::from(Function { name, return_type, evaluate, signature })
}

/// A function whose name tells it from all others.
struct Function {
    name: &'static str,
    return_type: ReturnType,
    evaluate: Evaluate,
    signature: Signature,
}

impl Debug for Function {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(out, "Function({})", self.name)
    }
}

same_by_name!(Function);

impl ScalarUDFImpl for Function {
    fn name(&self) -> &str {
        self.name
    }

    fn signature(&self) -> &Signature {
        &self.signature
    }

    /// Nothing is converted; what does not fit is told by `return_type`, in Trino's words.
    fn coerce_types(&self, arg_types: &[DataType]) -> Result<Vec<DataType>> {
        Ok(arg_types.to_vec())
    }

    fn return_type(&self, arg_types: &[DataType]) -> Result<DataType> {
        (self.return_type)(arg_types)
    }

    fn invoke_with_args(&self, args: ScalarFunctionArgs) -> Result<ColumnarValue> {
        result(&args.args, (self.evaluate)(&args)?)
    }
}
