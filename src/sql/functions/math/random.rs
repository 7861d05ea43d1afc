//! `random()`, `random(n)`, `random(m, n)`: another one in each row.

use arrow::array::ArrayRef;
use arrow::datatypes::{DataType, Float64Type, Int64Type};
use datafusion::common::{Result, exec_err};
use datafusion::logical_expr::{ScalarUDF, Volatility};

use super::super::scalar::{Arguments, Function, Kind};

/// The functions of this file.
pub(super) fn scalar() -> Vec<ScalarUDF> {
    const TAKES: &[&[Kind]] = &[&[], &[Kind::BigInt], &[Kind::BigInt, Kind::BigInt]];
    let random = Function::new("random", TAKES, DataType::Int64, random)
        .alias("rand")
        .returns(|args| Ok(if args.arg_fields.is_empty() { DataType::Float64 } else { DataType::Int64 }))
        .volatility(Volatility::Volatile);
    vec![random.into()]
}

fn random(args: &Arguments) -> Result<ArrayRef> {
    if args.len() == 0 {
        return args.to_numbers::<Float64Type, _>(|_| Ok(Some(fastrand::f64())));
    }
    let bounds = (0..args.len()).map(|index| args.bigint(index)).collect::<Result<Vec<_>>>()?;
    args.to_numbers::<Int64Type, _>(|row| {
        let values: Option<Vec<_>> = bounds.iter().map(|bound| bound.at(row)).collect();
        let (start, stop) = match values.as_deref() {
            Some([stop]) => (0, *stop),
            Some([start, stop]) => (*start, *stop),
            _ => return Ok(None),
        };
        if start >= stop {
            return exec_err!(
                "INVALID_FUNCTION_ARGUMENT: bound must be positive, and start value less than stop value"
            );
        }
        Ok(Some(fastrand::i64(start..stop)))
    })
}
