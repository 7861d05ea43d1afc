//! `arbitrary` and `any_value`: the first value that is not NULL.

use arrow::array::{Array, ArrayRef};
use datafusion::common::Result;
use datafusion::logical_expr::{Accumulator, AggregateUDF};
use datafusion::scalar::ScalarValue;

use super::super::arrays::function::Types;
use super::Aggregate;
use super::groups::Pick;

/// The functions of this file.
pub(super) fn aggregate() -> Vec<AggregateUDF> {
    ["arbitrary", "any_value"]
        .map(|name| {
            Aggregate::picking_udaf(
                name,
                "arbitrary(T), any_value(T)",
                |given| match given {
                    [one] => Types::new([one.clone()], one.clone()),
                    _ => None,
                },
                |spec| vec![spec.gives.clone()],
                |spec| Ok(Box::new(First { value: ScalarValue::try_new_null(&spec.gives)? })),
                |_| Some(Pick::First),
            )
        })
        .into()
}

#[derive(Debug)]
struct First {
    value: ScalarValue,
}

impl Accumulator for First {
    fn update_batch(&mut self, values: &[ArrayRef]) -> Result<()> {
        if !self.value.is_null() {
            return Ok(());
        }
        let nulls = values[0].logical_nulls();
        let first = (0..values[0].len()).find(|&row| nulls.as_ref().is_none_or(|nulls| nulls.is_valid(row)));
        if let Some(row) = first {
            self.value = ScalarValue::try_from_array(&values[0], row)?.compacted();
        }
        Ok(())
    }

    fn evaluate(&mut self) -> Result<ScalarValue> {
        Ok(self.value.clone())
    }

    fn state(&mut self) -> Result<Vec<ScalarValue>> {
        Ok(vec![self.value.clone()])
    }

    fn merge_batch(&mut self, states: &[ArrayRef]) -> Result<()> {
        self.update_batch(states)
    }

    fn size(&self) -> usize {
        size_of_val(self) - size_of_val(&self.value) + self.value.size()
    }
}
