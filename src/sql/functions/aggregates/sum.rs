//! `sum`, which of integers fails where it leaves the range of `bigint`, and of decimals has 38 digits.

use std::sync::Arc;

use arrow::array::{
    Array, ArrayRef, ArrowPrimitiveType, AsArray, BooleanArray, Decimal128Array, Int64Array, PrimitiveArray,
};
use arrow::buffer::NullBuffer;
use arrow::compute::{cast, nullif};
use arrow::datatypes::{DataType, Decimal128Type, FieldRef, Int64Type};
use datafusion::common::{DataFusionError, Result, exec_datafusion_err};
use datafusion::functions_aggregate::sum::sum_udaf;
use datafusion::logical_expr::function::{AccumulatorArgs, StateFieldsArgs};
use datafusion::logical_expr::utils::AggregateOrderSensitivity;
use datafusion::logical_expr::{
    Accumulator, AggregateUDF, AggregateUDFImpl, EmitTo, GroupsAccumulator, ReversedUDAF, Signature,
    Volatility,
};
use datafusion::scalar::ScalarValue;

use super::super::types::unexpected;
use super::{distinct, fields};

/// `sum(number)`.
pub(super) fn sum() -> AggregateUDF {
    let signature = Signature::user_defined(Volatility::Immutable);
    AggregateUDF::from(Sum { signature, inner: sum_udaf() })
}

/// DataFusion's own, but for integers, where it wraps around.
#[derive(Debug, PartialEq, Eq, Hash)]
struct Sum {
    signature: Signature,
    inner: Arc<AggregateUDF>,
}

impl AggregateUDFImpl for Sum {
    fn name(&self) -> &'static str {
        "sum"
    }

    fn signature(&self) -> &Signature {
        &self.signature
    }

    fn coerce_types(&self, given: &[DataType]) -> Result<Vec<DataType>> {
        match given {
            [number] if number.is_integer() || number.is_null() => Ok(vec![DataType::Int64]),
            [number] if number.is_floating() => Ok(vec![DataType::Float64]),
            [exact @ (DataType::Decimal128(..) | DataType::Interval(_) | DataType::Duration(_))] => {
                Ok(vec![exact.clone()])
            }
            _ => {
                Err(unexpected(self.name(), given, "sum(double), sum(bigint), sum(real), sum(decimal(p,s))"))
            }
        }
    }

    fn return_type(&self, given: &[DataType]) -> Result<DataType> {
        match given {
            [DataType::Decimal128(_, scale)] => Ok(DataType::Decimal128(38, *scale)),
            _ => self.inner.return_type(given),
        }
    }

    fn state_fields(&self, args: StateFieldsArgs) -> Result<Vec<FieldRef>> {
        if args.is_distinct && is_bigint(args.return_type()) {
            let values = super::list_of(DataType::Int64);
            return Ok(fields(args.name, vec![values]));
        }
        if is_bigint(args.return_type()) {
            return Ok(fields(args.name, vec![WIDE]));
        }
        self.inner.state_fields(args)
    }

    fn accumulator(&self, args: AccumulatorArgs) -> Result<Box<dyn Accumulator>> {
        if !is_bigint(args.return_type()) {
            return self.inner.accumulator(args);
        }
        let exact: Box<dyn Accumulator> = Box::new(Exact { sum: 0, count: 0 });
        if args.is_distinct { distinct::distinct(exact, &[DataType::Int64]) } else { Ok(exact) }
    }

    fn create_sliding_accumulator(&self, args: AccumulatorArgs) -> Result<Box<dyn Accumulator>> {
        if is_bigint(args.return_type()) && !args.is_distinct {
            return self.accumulator(args);
        }
        self.inner.create_sliding_accumulator(args)
    }

    fn groups_accumulator_supported(&self, args: AccumulatorArgs) -> bool {
        self.inner.groups_accumulator_supported(args)
    }

    fn create_groups_accumulator(&self, args: AccumulatorArgs) -> Result<Box<dyn GroupsAccumulator>> {
        if is_bigint(args.return_type()) {
            return Ok(Box::<Sums>::default());
        }
        self.inner.create_groups_accumulator(args)
    }

    fn reverse_expr(&self) -> ReversedUDAF {
        ReversedUDAF::Identical
    }

    fn order_sensitivity(&self) -> AggregateOrderSensitivity {
        AggregateOrderSensitivity::Insensitive
    }
}

fn is_bigint(data_type: &DataType) -> bool {
    *data_type == DataType::Int64
}

/// What a sum of some of the rows may come to, though the whole is a `bigint` again.
const WIDE: DataType = DataType::Decimal128(38, 0);

fn overflow() -> DataFusionError {
    exec_datafusion_err!("NUMERIC_VALUE_OUT_OF_RANGE: bigint addition overflow in sum")
}

/// A sum in as many bits as it takes; what all rows come to has to be a `bigint`.
#[derive(Debug)]
struct Exact {
    sum: i128,
    count: usize,
}

impl Exact {
    fn sum_of(values: &ArrayRef) -> i128 {
        let values = values.as_primitive::<Int64Type>();
        if values.null_count() == 0 {
            return values.values().iter().map(|value| i128::from(*value)).sum();
        }
        values.iter().flatten().map(i128::from).sum()
    }
}

impl Accumulator for Exact {
    fn update_batch(&mut self, values: &[ArrayRef]) -> Result<()> {
        self.count += values[0].len() - values[0].null_count();
        self.sum += Self::sum_of(&values[0]);
        Ok(())
    }

    fn retract_batch(&mut self, values: &[ArrayRef]) -> Result<()> {
        self.count -= values[0].len() - values[0].null_count();
        self.sum -= Self::sum_of(&values[0]);
        Ok(())
    }

    fn supports_retract_batch(&self) -> bool {
        true
    }

    fn evaluate(&mut self) -> Result<ScalarValue> {
        if self.count == 0 {
            return Ok(ScalarValue::Int64(None));
        }
        Ok(ScalarValue::Int64(Some(i64::try_from(self.sum).map_err(|_| overflow())?)))
    }

    fn state(&mut self) -> Result<Vec<ScalarValue>> {
        Ok(vec![ScalarValue::Decimal128((self.count > 0).then_some(self.sum), 38, 0)])
    }

    fn merge_batch(&mut self, states: &[ArrayRef]) -> Result<()> {
        let sums = states[0].as_primitive::<Decimal128Type>();
        self.count += sums.len() - sums.null_count();
        self.sum += sums.iter().flatten().sum::<i128>();
        Ok(())
    }

    fn size(&self) -> usize {
        size_of_val(self)
    }
}

/// The sums of many groups.
#[derive(Default)]
struct Sums {
    sums: Vec<i128>,
    /// Whether a group has a value at all.
    seen: Vec<bool>,
}

impl Sums {
    /// Adds values of one kind or another to their groups.
    fn add<T: ArrowPrimitiveType>(
        &mut self,
        values: &PrimitiveArray<T>,
        group_indices: &[usize],
        total: usize,
    ) where
        i128: From<T::Native>,
    {
        self.sums.resize(total, 0);
        self.seen.resize(total, false);
        let mut add = |group: usize, value: T::Native| {
            self.sums[group] += i128::from(value);
            self.seen[group] = true;
        };
        if values.null_count() == 0 {
            group_indices.iter().zip(values.values()).for_each(|(group, value)| add(*group, *value));
        } else {
            for (group, value) in group_indices.iter().zip(values) {
                if let Some(value) = value {
                    add(*group, value);
                }
            }
        }
    }

    fn take(&mut self, emit_to: EmitTo) -> (Vec<i128>, NullBuffer) {
        let sums = emit_to.take_needed(&mut self.sums);
        (sums, NullBuffer::from(emit_to.take_needed(&mut self.seen)))
    }
}

impl GroupsAccumulator for Sums {
    fn update_batch(
        &mut self,
        values: &[ArrayRef],
        group_indices: &[usize],
        filter: Option<&BooleanArray>,
        total: usize,
    ) -> Result<()> {
        let kept = filtered(&values[0], filter)?;
        self.add(kept.as_primitive::<Int64Type>(), group_indices, total);
        Ok(())
    }

    fn merge_batch(&mut self, states: &[ArrayRef], group_indices: &[usize], total: usize) -> Result<()> {
        self.add(states[0].as_primitive::<Decimal128Type>(), group_indices, total);
        Ok(())
    }

    fn evaluate(&mut self, emit_to: EmitTo) -> Result<ArrayRef> {
        let (sums, seen) = self.take(emit_to);
        let sums = sums.into_iter().map(|sum| i64::try_from(sum).map_err(|_| overflow()));
        let sums = sums.collect::<Result<Vec<i64>>>()?;
        Ok(Arc::new(Int64Array::new(sums.into(), Some(seen))))
    }

    fn state(&mut self, emit_to: EmitTo) -> Result<Vec<ArrayRef>> {
        let (sums, seen) = self.take(emit_to);
        let sums = Decimal128Array::new(sums.into(), Some(seen)).with_data_type(WIDE);
        Ok(vec![Arc::new(sums)])
    }

    /// Each row is a group of its own.
    fn convert_to_state(&self, values: &[ArrayRef], filter: Option<&BooleanArray>) -> Result<Vec<ArrayRef>> {
        Ok(vec![cast(&filtered(&values[0], filter)?, &WIDE)?])
    }

    fn size(&self) -> usize {
        size_of_val(self) + self.sums.capacity() * size_of::<i128>() + self.seen.capacity()
    }
}

/// NULL in place of the values that FILTER leaves out.
fn filtered(values: &ArrayRef, filter: Option<&BooleanArray>) -> Result<ArrayRef> {
    let Some(filter) = filter else { return Ok(Arc::clone(values)) };
    let left_out: BooleanArray = filter.iter().map(|kept| Some(kept != Some(true))).collect();
    Ok(nullif(values, &left_out)?)
}
