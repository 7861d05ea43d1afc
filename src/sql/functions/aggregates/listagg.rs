//! `listagg`.

use std::sync::Arc;

use arrow::array::{Array, ArrayRef, AsArray, StringArray};
use arrow::compute::cast;
use arrow::datatypes::{DataType, Field, FieldRef};
use datafusion::common::{Result, exec_err};
use datafusion::functions_aggregate::array_agg::ArrayAgg;
use datafusion::logical_expr::function::{AccumulatorArgs, StateFieldsArgs};
use datafusion::logical_expr::utils::AggregateOrderSensitivity;
use datafusion::logical_expr::{Accumulator, AggregateUDF, AggregateUDFImpl, Signature, Volatility};
use datafusion::physical_expr::expressions::{CastExpr, Literal};
use datafusion::physical_expr::{PhysicalExpr, PhysicalSortExpr};
use datafusion::scalar::ScalarValue;

use super::super::arrays::function::{is_varchar, list_of};
use super::super::types::unexpected;

/// `listagg(value[, separator])`.
pub(super) fn listagg() -> AggregateUDF {
    let signature = Signature::user_defined(Volatility::Immutable);
    AggregateUDF::from(ListAgg { signature, array: ArrayAgg::default() })
}

/// DataFusion collects the values, with its order and DISTINCT; they are joined in the end.
#[derive(Debug, PartialEq, Eq, Hash)]
struct ListAgg {
    signature: Signature,
    array: ArrayAgg,
}

/// What the collecting accumulator is told: an array of the first argument.
struct Collected {
    field: FieldRef,
    fields: Vec<FieldRef>,
}

impl Collected {
    fn new(fields: &[FieldRef]) -> Self {
        let field = Arc::new(Field::new("array", list_of(DataType::Utf8), true));
        Self { field, fields: fields[..1].to_vec() }
    }
}

impl AggregateUDFImpl for ListAgg {
    fn name(&self) -> &'static str {
        "listagg"
    }

    fn signature(&self) -> &Signature {
        &self.signature
    }

    fn coerce_types(&self, given: &[DataType]) -> Result<Vec<DataType>> {
        if !given.is_empty() && given.len() <= 2 && given.iter().all(is_varchar) {
            return Ok(vec![DataType::Utf8; given.len()]);
        }
        Err(unexpected(self.name(), given, "listagg(varchar), listagg(varchar, varchar)"))
    }

    fn return_type(&self, _: &[DataType]) -> Result<DataType> {
        Ok(DataType::Utf8)
    }

    fn state_fields(&self, args: StateFieldsArgs) -> Result<Vec<FieldRef>> {
        let collected = Collected::new(args.input_fields);
        self.array.state_fields(StateFieldsArgs {
            return_field: collected.field,
            input_fields: &collected.fields,
            ..args
        })
    }

    fn order_sensitivity(&self) -> AggregateOrderSensitivity {
        self.array.order_sensitivity()
    }

    fn with_beneficial_ordering(self: Arc<Self>, _: bool) -> Result<Option<Arc<dyn AggregateUDFImpl>>> {
        // The collecting accumulator sorts by itself.
        Ok(Some(self))
    }

    fn accumulator(&self, args: AccumulatorArgs) -> Result<Box<dyn Accumulator>> {
        let separator = match args.exprs.get(1) {
            None => String::new(),
            Some(expression) => match expression.downcast_ref::<Literal>().map(Literal::value) {
                Some(ScalarValue::Utf8(Some(separator))) => separator.clone(),
                _ => {
                    return exec_err!(
                        "INVALID_FUNCTION_ARGUMENT: the separator of listagg must be a constant"
                    );
                }
            },
        };
        let extra = args.exprs.len() - 1;
        let collected = Collected::new(args.expr_fields);
        // Without DISTINCT the keys come as they are.
        let order_bys: Vec<_> = if args.is_distinct {
            args.order_bys.iter().map(|order| same_as_value(order, &args.exprs[0])).collect()
        } else {
            args.order_bys.to_vec()
        };
        let array = self.array.accumulator(AccumulatorArgs {
            order_bys: &order_bys,
            return_field: collected.field,
            exprs: &args.exprs[..1],
            expr_fields: &collected.fields,
            ..args
        })?;
        Ok(Box::new(Joined { array, separator, extra }))
    }
}

/// With DISTINCT, what is ordered by must be the value itself; the cast that the value got changes nothing.
fn same_as_value(order: &PhysicalSortExpr, value: &Arc<dyn PhysicalExpr>) -> PhysicalSortExpr {
    let uncast = value.downcast_ref::<CastExpr>().is_some_and(|cast| cast.expr() == &order.expr);
    let expr = if uncast { Arc::clone(value) } else { Arc::clone(&order.expr) };
    PhysicalSortExpr { expr, options: order.options }
}

#[derive(Debug)]
struct Joined {
    array: Box<dyn Accumulator>,
    separator: String,
    /// Columns between the value and those by which it is ordered.
    extra: usize,
}

impl Joined {
    fn without_separator(&self, values: &[ArrayRef]) -> Vec<ArrayRef> {
        [&values[..1], &values[1 + self.extra..]].concat()
    }
}

impl Accumulator for Joined {
    fn update_batch(&mut self, values: &[ArrayRef]) -> Result<()> {
        self.array.update_batch(&self.without_separator(values))
    }

    fn retract_batch(&mut self, values: &[ArrayRef]) -> Result<()> {
        self.array.retract_batch(&self.without_separator(values))
    }

    fn supports_retract_batch(&self) -> bool {
        self.array.supports_retract_batch()
    }

    /// NULLs are left out. Without any value there is no text.
    fn evaluate(&mut self) -> Result<ScalarValue> {
        let ScalarValue::List(array) = self.array.evaluate()? else {
            return exec_err!("listagg collected no array");
        };
        if array.is_null(0) {
            return Ok(ScalarValue::Utf8(None));
        }
        let texts = cast(&array.value(0), &DataType::Utf8)?;
        let texts: &StringArray = texts.as_string::<i32>();
        let texts: Vec<_> = texts.iter().flatten().collect();
        Ok(ScalarValue::Utf8((!texts.is_empty()).then(|| texts.join(&self.separator))))
    }

    fn state(&mut self) -> Result<Vec<ScalarValue>> {
        self.array.state()
    }

    fn merge_batch(&mut self, states: &[ArrayRef]) -> Result<()> {
        self.array.merge_batch(states)
    }

    fn size(&self) -> usize {
        self.array.size() + self.separator.capacity()
    }
}
