//! Trino's aggregates, and its window functions where their results have other types.

use std::sync::Arc;

use arrow::array::{Array, ArrayRef, new_empty_array};
use arrow::datatypes::{DataType, Field, FieldRef};
use datafusion::common::{Result, internal_err};
use datafusion::functions_aggregate::bit_and_or_xor::{bit_and_udaf, bit_or_udaf, bit_xor_udaf};
use datafusion::functions_aggregate::bool_and_or::bool_and_udaf;
use datafusion::functions_aggregate::variance::var_samp_udaf;
use datafusion::logical_expr::function::{AccumulatorArgs, StateFieldsArgs};
use datafusion::logical_expr::utils::{AggregateOrderSensitivity, format_state_name};
use datafusion::logical_expr::{
    Accumulator, AggregateUDF, AggregateUDFImpl, GroupsAccumulator, Signature, Volatility,
};
use datafusion::scalar::ScalarValue;

use super::arrays::function::{Types, list_of};
use super::by_name::same_by_name;
use super::types::unexpected;
use groups::Pick;

mod approx_distinct;
mod average;
mod best;
mod count_if;
mod digest;
mod distinct;
mod first;
mod groups;
mod listagg;
mod mapped;
mod moments;
mod ordered;
mod percentile;
mod single;
mod sliding;
mod sum;
#[cfg(test)]
mod tests;
mod windows;

pub(in crate::sql) use single::single;
pub(super) use windows::window;

/// The functions of these files.
pub(super) fn aggregate() -> Vec<AggregateUDF> {
    let named = |function: Arc<AggregateUDF>, name| function.as_ref().clone().with_aliases([name]);
    let same = vec![
        named(bool_and_udaf(), "every"),
        named(bit_and_udaf(), "bitwise_and_agg"),
        named(bit_or_udaf(), "bitwise_or_agg"),
        named(bit_xor_udaf(), "bitwise_xor_agg"),
        named(var_samp_udaf(), "variance"),
    ];
    [
        same,
        best::aggregate(),
        first::aggregate(),
        mapped::aggregate(),
        moments::aggregate(),
        percentile::aggregate(),
        vec![
            approx_distinct::approx_distinct(),
            average::average(),
            count_if::count_if(),
            listagg::listagg(),
            sum::sum(),
        ],
    ]
    .concat()
}

/// What an accumulator has to know of its call: the types of its arguments, and of its result.
struct Spec {
    takes: Vec<DataType>,
    gives: DataType,
}

/// An aggregate whose types follow from those of its arguments.
#[derive(Debug)]
struct Aggregate {
    name: &'static str,
    /// Trino's signatures, for the message to someone who called it with others.
    expected: &'static str,
    types: fn(&[DataType]) -> Option<Types>,
    /// The types of its state, with which the parts of a query hand over to each other.
    state: fn(&Spec) -> Vec<DataType>,
    accumulator: fn(&Spec) -> Result<Box<dyn Accumulator>>,
    /// How it does many groups at once, if it can.
    pick: fn(&Spec) -> Option<Pick>,
    signature: Signature,
}

impl Aggregate {
    fn udaf(
        name: &'static str,
        expected: &'static str,
        types: fn(&[DataType]) -> Option<Types>,
        state: fn(&Spec) -> Vec<DataType>,
        accumulator: fn(&Spec) -> Result<Box<dyn Accumulator>>,
    ) -> AggregateUDF {
        let signature = Signature::user_defined(Volatility::Immutable);
        AggregateUDF::from(Self { name, expected, types, state, accumulator, pick: |_| None, signature })
    }

    /// One that picks a row.
    fn picking_udaf(
        name: &'static str,
        expected: &'static str,
        types: fn(&[DataType]) -> Option<Types>,
        state: fn(&Spec) -> Vec<DataType>,
        accumulator: fn(&Spec) -> Result<Box<dyn Accumulator>>,
        pick: fn(&Spec) -> Option<Pick>,
    ) -> AggregateUDF {
        let signature = Signature::user_defined(Volatility::Immutable);
        AggregateUDF::from(Self { name, expected, types, state, accumulator, pick, signature })
    }

    /// Whether it gives something else if its rows come in another order, and such an order is asked for.
    fn is_ordered(&self, keys: usize) -> bool {
        keys > 0 && matches!(self.name, "arbitrary" | "any_value" | "map_agg" | "multimap_agg" | "map_union")
    }

    fn types(&self, given: &[DataType]) -> Result<Types> {
        let given: Vec<_> = given.iter().map(plain).collect();
        (self.types)(&given).ok_or_else(|| unexpected(self.name, &given, self.expected))
    }
}

same_by_name!(Aggregate);

impl AggregateUDFImpl for Aggregate {
    fn name(&self) -> &str {
        self.name
    }

    fn signature(&self) -> &Signature {
        &self.signature
    }

    fn coerce_types(&self, given: &[DataType]) -> Result<Vec<DataType>> {
        Ok(self.types(given)?.takes)
    }

    fn return_type(&self, given: &[DataType]) -> Result<DataType> {
        Ok(self.types(given)?.gives)
    }

    fn state_fields(&self, args: StateFieldsArgs) -> Result<Vec<FieldRef>> {
        let takes: Vec<_> = args.input_fields.iter().map(|field| field.data_type().clone()).collect();
        if args.is_distinct || self.is_ordered(args.ordering_fields.len()) {
            let keys = args.ordering_fields.iter().map(|field| field.data_type().clone());
            let keys = keys.filter(|_| self.is_ordered(1));
            return Ok(fields(args.name, takes.into_iter().chain(keys).map(list_of).collect()));
        }
        let spec = Spec { takes, gives: args.return_type().clone() };
        Ok(fields(args.name, (self.state)(&spec)))
    }

    /// Which one is first matters to few. The others are not told of an order.
    fn order_sensitivity(&self) -> AggregateOrderSensitivity {
        if self.is_ordered(1) {
            AggregateOrderSensitivity::SoftRequirement
        } else {
            AggregateOrderSensitivity::Insensitive
        }
    }

    /// Rows are sorted here, in whichever order they come.
    fn with_beneficial_ordering(self: Arc<Self>, _: bool) -> Result<Option<Arc<dyn AggregateUDFImpl>>> {
        Ok(Some(self))
    }

    fn accumulator(&self, args: AccumulatorArgs) -> Result<Box<dyn Accumulator>> {
        let spec = spec(&args);
        let mut accumulator = (self.accumulator)(&spec)?;
        if args.is_distinct {
            accumulator = distinct::distinct(accumulator, &spec.takes)?;
        }
        if self.is_ordered(args.order_bys.len()) {
            accumulator = ordered::ordered(accumulator, &spec.takes, &args)?;
        }
        Ok(accumulator)
    }

    fn create_sliding_accumulator(&self, args: AccumulatorArgs) -> Result<Box<dyn Accumulator>> {
        sliding::sliding(self.accumulator, spec(&args))
    }

    fn groups_accumulator_supported(&self, args: AccumulatorArgs) -> bool {
        let spec = spec(&args);
        let plain = !args.is_distinct && !self.is_ordered(args.order_bys.len());
        plain && (self.pick)(&spec).is_some() && groups::fits(&spec.takes)
    }

    fn create_groups_accumulator(&self, args: AccumulatorArgs) -> Result<Box<dyn GroupsAccumulator>> {
        let spec = spec(&args);
        if let Some(pick) = (self.pick)(&spec) {
            return groups::groups(pick, &spec.takes);
        }
        internal_err!("{} has no accumulator for groups", self.name)
    }
}

fn spec(args: &AccumulatorArgs) -> Spec {
    let takes = args.expr_fields.iter().map(|field| field.data_type().clone()).collect();
    Spec { takes, gives: args.return_type().clone() }
}

/// A type without its encoding.
fn plain(data_type: &DataType) -> DataType {
    match data_type {
        DataType::Dictionary(_, value) => value.as_ref().clone(),
        other => other.clone(),
    }
}

/// Fields of a state.
fn fields(name: &str, types: Vec<DataType>) -> Vec<FieldRef> {
    let named = |(at, data_type)| {
        Arc::new(Field::new(format_state_name(name, &format!("state{at}")), data_type, true))
    };
    types.into_iter().enumerate().map(named).collect()
}

/// Values as a column of a type.
fn column(values: &[ScalarValue], data_type: &DataType) -> Result<ArrayRef> {
    if values.is_empty() {
        return Ok(new_empty_array(data_type));
    }
    let column = ScalarValue::iter_to_array(values.iter().cloned())?;
    if column.data_type() == data_type { Ok(column) } else { Ok(arrow::compute::cast(&column, data_type)?) }
}

/// A column as one array.
fn one_array(values: &ArrayRef) -> ScalarValue {
    let field = Arc::new(Field::new_list_field(values.data_type().clone(), true));
    let offsets = arrow::buffer::OffsetBuffer::from_lengths([values.len()]);
    ScalarValue::List(Arc::new(arrow::array::ListArray::new(field, offsets, Arc::clone(values), None)))
}

/// Bytes that values take.
fn bytes(values: &[ScalarValue]) -> usize {
    values.iter().map(ScalarValue::size).sum()
}
