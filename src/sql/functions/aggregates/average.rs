//! `avg`, which of a decimal is a decimal with as many places.

use std::sync::Arc;

use arrow::array::{Array, ArrayRef, AsArray};
use arrow::datatypes::{DataType, Decimal128Type, FieldRef, Int64Type};
use datafusion::common::{Result, exec_datafusion_err};
use datafusion::functions_aggregate::average::avg_udaf;
use datafusion::logical_expr::function::{AccumulatorArgs, StateFieldsArgs};
use datafusion::logical_expr::{
    Accumulator, AggregateUDF, AggregateUDFImpl, GroupsAccumulator, ReversedUDAF, Signature, Volatility,
};
use datafusion::scalar::ScalarValue;

use super::super::types::unexpected;
use super::fields;

/// `avg(number)`.
pub(super) fn average() -> AggregateUDF {
    let signature = Signature::user_defined(Volatility::Immutable);
    AggregateUDF::from(Average { signature, inner: avg_udaf() })
}

/// DataFusion's own, but for decimals, to which it adds four places.
#[derive(Debug, PartialEq, Eq, Hash)]
struct Average {
    signature: Signature,
    inner: Arc<AggregateUDF>,
}

fn is_decimal(field: &FieldRef) -> bool {
    matches!(field.data_type(), DataType::Decimal128(..))
}

impl AggregateUDFImpl for Average {
    fn name(&self) -> &'static str {
        "avg"
    }

    fn aliases(&self) -> &[String] {
        self.inner.aliases()
    }

    fn signature(&self) -> &Signature {
        &self.signature
    }

    fn coerce_types(&self, given: &[DataType]) -> Result<Vec<DataType>> {
        match given {
            [decimal @ DataType::Decimal128(..)] => Ok(vec![decimal.clone()]),
            [number] if number.is_numeric() || number.is_null() => Ok(vec![DataType::Float64]),
            [interval @ (DataType::Interval(_) | DataType::Duration(_))] => Ok(vec![interval.clone()]),
            _ => {
                Err(unexpected(self.name(), given, "avg(double), avg(bigint), avg(real), avg(decimal(p,s))"))
            }
        }
    }

    fn return_type(&self, given: &[DataType]) -> Result<DataType> {
        match given {
            [decimal @ DataType::Decimal128(..)] => Ok(decimal.clone()),
            _ => self.inner.return_type(given),
        }
    }

    fn state_fields(&self, args: StateFieldsArgs) -> Result<Vec<FieldRef>> {
        if is_decimal(&args.return_field) && !args.is_distinct {
            return Ok(fields(args.name, vec![widest(args.return_type()), DataType::Int64]));
        }
        self.inner.state_fields(args)
    }

    fn accumulator(&self, args: AccumulatorArgs) -> Result<Box<dyn Accumulator>> {
        if is_decimal(&args.return_field) {
            let gives = args.return_type().clone();
            return Ok(Box::new(Exact { sum: 0, count: 0, gives }));
        }
        self.inner.accumulator(args)
    }

    fn create_sliding_accumulator(&self, args: AccumulatorArgs) -> Result<Box<dyn Accumulator>> {
        if is_decimal(&args.return_field) {
            return self.accumulator(args);
        }
        self.inner.create_sliding_accumulator(args)
    }

    fn groups_accumulator_supported(&self, args: AccumulatorArgs) -> bool {
        !is_decimal(&args.return_field) && self.inner.groups_accumulator_supported(args)
    }

    fn create_groups_accumulator(&self, args: AccumulatorArgs) -> Result<Box<dyn GroupsAccumulator>> {
        self.inner.create_groups_accumulator(args)
    }

    fn reverse_expr(&self) -> ReversedUDAF {
        ReversedUDAF::Identical
    }
}

/// The decimal that holds the sum.
fn widest(decimal: &DataType) -> DataType {
    match decimal {
        DataType::Decimal128(_, scale) => DataType::Decimal128(38, *scale),
        other => other.clone(),
    }
}

#[derive(Debug)]
struct Exact {
    sum: i128,
    count: i64,
    gives: DataType,
}

impl Exact {
    fn add(&mut self, decimals: &ArrayRef, sign: i128) -> Result<()> {
        for value in decimals.as_primitive::<Decimal128Type>().iter().flatten() {
            let sum = value.checked_mul(sign).and_then(|value| self.sum.checked_add(value));
            self.sum =
                sum.ok_or_else(|| exec_datafusion_err!("NUMERIC_VALUE_OUT_OF_RANGE: Decimal overflow"))?;
        }
        Ok(())
    }
}

impl Accumulator for Exact {
    fn update_batch(&mut self, values: &[ArrayRef]) -> Result<()> {
        self.count += super::super::arrays::count(values[0].len() - values[0].null_count());
        self.add(&values[0], 1)
    }

    fn retract_batch(&mut self, values: &[ArrayRef]) -> Result<()> {
        self.count -= super::super::arrays::count(values[0].len() - values[0].null_count());
        self.add(&values[0], -1)
    }

    fn supports_retract_batch(&self) -> bool {
        true
    }

    /// Rounds half away from zero.
    fn evaluate(&mut self) -> Result<ScalarValue> {
        let DataType::Decimal128(precision, scale) = self.gives else {
            return ScalarValue::try_new_null(&self.gives);
        };
        let count = i128::from(self.count);
        let average = (count > 0).then(|| {
            let (quotient, rest) = (self.sum / count, self.sum % count);
            if rest.abs() * 2 >= count { quotient + self.sum.signum() } else { quotient }
        });
        Ok(ScalarValue::Decimal128(average, precision, scale))
    }

    fn state(&mut self) -> Result<Vec<ScalarValue>> {
        let DataType::Decimal128(precision, scale) = widest(&self.gives) else {
            return Ok(Vec::new());
        };
        let sum = ScalarValue::Decimal128(Some(self.sum), precision, scale);
        Ok(vec![sum, ScalarValue::Int64(Some(self.count))])
    }

    fn merge_batch(&mut self, states: &[ArrayRef]) -> Result<()> {
        self.count += states[1].as_primitive::<Int64Type>().iter().flatten().sum::<i64>();
        self.add(&states[0], 1)
    }

    fn size(&self) -> usize {
        size_of_val(self)
    }
}
