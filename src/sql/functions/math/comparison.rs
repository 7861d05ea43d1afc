//! `greatest` and `least`: NULL if one of the values is.

use std::sync::Arc;

use arrow::array::{Array, ArrayRef, BooleanArray};
use arrow::buffer::NullBuffer;
use arrow::compute::kernels::cmp::{gt, lt};
use arrow::compute::kernels::zip::zip;
use arrow::compute::{cast, nullif};
use arrow::datatypes::DataType;
use datafusion::common::{Result, plan_err};
use datafusion::logical_expr::ScalarUDF;
use datafusion::logical_expr::binary::type_union_resolution;

use super::super::scalar::{Arguments, Function, Kind};
use super::super::types::type_name;

/// The functions of this file.
pub(super) fn scalar() -> Vec<ScalarUDF> {
    const TAKES: &[&[Kind]] = &[&[Kind::Any]];
    let function = |name, greater| {
        Function::new(name, TAKES, DataType::Null, move |args| extreme(args, greater))
            .repeats()
            .check(of_one_type)
            .returns_type_of(0)
            .into()
    };
    vec![function("greatest", true), function("least", false)]
}

fn of_one_type(name: &str, types: &[DataType]) -> Result<Vec<DataType>> {
    let is_text = |data_type: &DataType| matches!(data_type, DataType::Utf8 | DataType::Utf8View);
    let known = || types.iter().filter(|data_type| !data_type.is_null());
    // Text and something else have a common type in DataFusion, but not in Trino.
    let mixed = known().any(is_text) && !known().all(is_text);
    match type_union_resolution(types) {
        Some(common) if !mixed => Ok(vec![common; types.len()]),
        _ => {
            let types: Vec<_> = types.iter().map(type_name).collect();
            plan_err!("TYPE_MISMATCH: {name}: values of one type expected, not {}", types.join(", "))
        }
    }
}

fn extreme(args: &Arguments, greater: bool) -> Result<ArrayRef> {
    let first = cast(&args.array(0)?, args.return_type())?;
    let mut best = Arc::clone(&first);
    let mut nulls = best.logical_nulls();
    for index in 1..args.len() {
        let next = args.array(index)?;
        nulls = NullBuffer::union(nulls.as_ref(), next.logical_nulls().as_ref());
        let better = if greater { gt(&next, &best)? } else { lt(&next, &best)? };
        best = zip(&better, &next, &best)?;
    }
    let Some(nulls) = nulls else { return Ok(best) };
    let is_null = BooleanArray::new(!nulls.inner(), None);
    Ok(nullif(&best, &is_null)?)
}
