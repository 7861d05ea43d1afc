//! `reduce`: folds an array into one value.

use std::sync::Arc;

use arrow::array::{Array, ArrayRef, UInt64Array, new_null_array};
use arrow::compute::{cast, concat, take};
use arrow::datatypes::{DataType, Field, FieldRef};
use datafusion::common::{Result, plan_datafusion_err};
use datafusion::logical_expr::{
    ColumnarValue, HigherOrderFunctionArgs, HigherOrderReturnFieldArgs, HigherOrderSignature, HigherOrderUDF,
    HigherOrderUDFImpl, LambdaParametersProgress, ValueOrLambda, Volatility,
};

use super::super::arrays::function::{array_of, common, element_of};
use super::super::arrays::lists::Lists;
use super::super::types::unexpected;
use super::Call;

/// `reduce(array, initial, (state, element) -> state, state -> result)`.
pub(super) fn reduce() -> HigherOrderUDF {
    let (value, lambda) = (ValueOrLambda::Value(()), ValueOrLambda::Lambda(()));
    let signature = HigherOrderSignature::user_defined(Volatility::Immutable);
    HigherOrderUDF::new_from_impl(Reduce { signature, shape: [value.clone(), value, lambda.clone(), lambda] })
}

#[derive(Debug, PartialEq, Eq, Hash)]
struct Reduce {
    signature: HigherOrderSignature,
    shape: [ValueOrLambda<(), ()>; 4],
}

const EXPECTED: &str = "reduce(array(T), S, function(S,T,S), function(S,R))";

/// The type of the state: that of the initial value, as far as it can hold what the lambda makes of it.
/// Numbers are taken wide, so that adding to them once more gives the same type again.
fn state(initial: &DataType, made: &DataType) -> Option<DataType> {
    let wide = |data_type: &DataType| match data_type {
        data_type if data_type.is_integer() => DataType::Int64,
        DataType::Float32 | DataType::Float64 => DataType::Float64,
        DataType::Decimal128(_, scale) => DataType::Decimal128(38, *scale),
        other => other.clone(),
    };
    common(&wide(initial), &wide(made)).map(|both| wide(&both))
}

impl HigherOrderUDFImpl for Reduce {
    fn name(&self) -> &'static str {
        "reduce"
    }

    fn signature(&self) -> &HigherOrderSignature {
        &self.signature
    }

    fn coerce_value_types(&self, given: &[DataType]) -> Result<Vec<DataType>> {
        match given {
            [array, initial] if element_of(array).is_some() => {
                let state = state(initial, initial).unwrap_or_else(|| initial.clone());
                Ok(vec![array_of(array).unwrap_or_else(|| array.clone()), state])
            }
            _ => Err(unexpected(self.name(), given, EXPECTED)),
        }
    }

    fn lambda_parameters(
        &self,
        step: usize,
        fields: &[ValueOrLambda<FieldRef, Option<FieldRef>>],
    ) -> Result<LambdaParametersProgress> {
        let [
            ValueOrLambda::Value(array),
            ValueOrLambda::Value(initial),
            ValueOrLambda::Lambda(merge),
            ValueOrLambda::Lambda(finish),
        ] = fields
        else {
            return Err(unexpected(self.name(), &[], EXPECTED));
        };
        let element = element_of(array.data_type()).cloned().unwrap_or(DataType::Null);
        let made = merge.as_ref().map_or(initial.data_type(), |field| field.data_type());
        let state = state(initial.data_type(), made).ok_or_else(|| {
            plan_datafusion_err!(
                "TYPE_MISMATCH: the state of reduce starts as {} and becomes {made}",
                initial.data_type()
            )
        })?;
        let parameter = |data_type: &DataType| Arc::new(Field::new("", data_type.clone(), true));
        let merging = vec![parameter(&state), parameter(&element)];
        // What the lambda makes of the initial value may be wider than that, and has to go through it once more.
        let settled = finish.is_some() || step == 2;
        Ok(if settled {
            LambdaParametersProgress::Complete(vec![merging, vec![parameter(&state)]])
        } else {
            LambdaParametersProgress::Partial(vec![Some(merging), None])
        })
    }

    fn coerce_values_for_lambdas(
        &self,
        fields: &[ValueOrLambda<DataType, DataType>],
    ) -> Result<Option<Vec<DataType>>> {
        Ok(match fields {
            [ValueOrLambda::Value(array), ValueOrLambda::Value(initial), ValueOrLambda::Lambda(made), _] => {
                state(initial, made).map(|state| vec![array.clone(), state])
            }
            _ => None,
        })
    }

    fn return_field_from_args(&self, args: HigherOrderReturnFieldArgs) -> Result<FieldRef> {
        match args.arg_fields {
            [_, _, _, ValueOrLambda::Lambda(finish)] => {
                Ok(Arc::new(finish.as_ref().clone().with_nullable(true)))
            }
            _ => Err(unexpected(self.name(), &[], EXPECTED)),
        }
    }

    fn short_circuits(&self) -> bool {
        true
    }

    /// All rows step through their elements together, the longest arrays in front, so that those which have
    /// an n-th element are always the first ones.
    fn invoke_with_args(&self, args: HigherOrderFunctionArgs) -> Result<ColumnarValue> {
        let call = Call { args: &args };
        let array = Lists::new(&call.value(0)?)?;
        let mut rows: Vec<(usize, usize, usize)> = array
            .rows()
            .enumerate()
            .filter_map(|(row, elements)| elements.map(|elements| (elements.len(), row, elements.start)))
            .collect();
        rows.sort_by_key(|&(length, ..)| std::cmp::Reverse(length));
        let owners: UInt64Array = rows.iter().map(|&(_, row, _)| row as u64).collect();
        let initial = call.value(1)?;
        let mut states = take(&initial, &owners, None)?;
        let mut done: Vec<ArrayRef> = Vec::new();
        for step in 0.. {
            let going = rows.partition_point(|&(length, ..)| length > step);
            done.push(states.slice(going, states.len() - going));
            if going == 0 {
                break;
            }
            let elements: UInt64Array =
                rows[..going].iter().map(|&(.., start)| (start + step) as u64).collect();
            let elements = take(&array.values, &elements, None)?;
            let made = call.evaluate(2, &[states.slice(0, going), elements], &owners.slice(0, going))?;
            states = if made.data_type() == initial.data_type() {
                made
            } else {
                cast(&made, initial.data_type())?
            };
        }
        done.reverse();
        let done: Vec<&dyn Array> = done.iter().map(AsRef::as_ref).collect();
        let finished = call.evaluate(3, &[concat(&done)?], &owners)?;
        let mut places = vec![None; array.len()];
        for (place, &(_, row, _)) in rows.iter().enumerate() {
            places[row] = Some(place as u64);
        }
        if finished.is_empty() {
            return Ok(ColumnarValue::Array(new_null_array(call.gives(), array.len())));
        }
        Ok(ColumnarValue::Array(take(&finished, &UInt64Array::from(places), None)?))
    }
}
