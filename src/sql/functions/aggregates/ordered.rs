//! `aggregate(… ORDER BY …)`: rows are gathered, and go to the accumulator in their order.

use arrow::array::{Array, ArrayRef, UInt64Array};
use arrow::compute::{SortOptions, concat, take};
use arrow::datatypes::DataType;
use arrow::row::{RowConverter, SortField};
use datafusion::common::Result;
use datafusion::logical_expr::Accumulator;
use datafusion::logical_expr::function::AccumulatorArgs;
use datafusion::scalar::ScalarValue;

use super::super::arrays::lists::Lists;
use super::{column, one_array};

/// Lets rows through to an accumulator in the order that a call asks for. Its state is all of them.
pub(super) fn ordered(
    inner: Box<dyn Accumulator>,
    takes: &[DataType],
    args: &AccumulatorArgs,
) -> Result<Box<dyn Accumulator>> {
    let keys = args.order_bys.iter().map(|key| Ok((key.expr.data_type(args.schema)?, key.options)));
    let keys = keys.collect::<Result<Vec<_>>>()?;
    let types = takes.iter().cloned().chain(keys.iter().map(|(data_type, _)| data_type.clone())).collect();
    Ok(Box::new(Ordered { inner, arguments: takes.len(), types, keys, gathered: Vec::new() }))
}

#[derive(Debug)]
struct Ordered {
    inner: Box<dyn Accumulator>,
    arguments: usize,
    /// Of the arguments, and of the keys behind them.
    types: Vec<DataType>,
    keys: Vec<(DataType, SortOptions)>,
    gathered: Vec<Vec<ArrayRef>>,
}

impl Ordered {
    fn whole(&self, at: usize) -> Result<ArrayRef> {
        let parts: Vec<&dyn Array> = self.gathered.iter().map(|columns| columns[at].as_ref()).collect();
        Ok(if parts.is_empty() { column(&[], &self.types[at])? } else { concat(&parts)? })
    }

    fn order(&self) -> Result<UInt64Array> {
        let sorted = |(data_type, options): &(DataType, SortOptions)| {
            SortField::new_with_options(data_type.clone(), *options)
        };
        let converter = RowConverter::new(self.keys.iter().map(sorted).collect())?;
        let keys = (self.arguments..self.types.len()).map(|at| self.whole(at)).collect::<Result<Vec<_>>>()?;
        let keys = converter.convert_columns(&keys)?;
        let mut order: Vec<usize> = (0..keys.num_rows()).collect();
        order.sort_by(|&left, &right| keys.row(left).cmp(&keys.row(right)));
        Ok(order.into_iter().map(|row| row as u64).collect())
    }
}

impl Accumulator for Ordered {
    fn update_batch(&mut self, values: &[ArrayRef]) -> Result<()> {
        if !values[0].is_empty() {
            self.gathered.push(values[..self.types.len()].to_vec());
        }
        Ok(())
    }

    fn evaluate(&mut self) -> Result<ScalarValue> {
        let order = self.order()?;
        let arguments = (0..self.arguments).map(|at| Ok(take(&self.whole(at)?, &order, None)?));
        let arguments = arguments.collect::<Result<Vec<_>>>()?;
        self.inner.update_batch(&arguments)?;
        self.inner.evaluate()
    }

    fn state(&mut self) -> Result<Vec<ScalarValue>> {
        (0..self.types.len()).map(|at| Ok(one_array(&self.whole(at)?))).collect()
    }

    fn merge_batch(&mut self, states: &[ArrayRef]) -> Result<()> {
        let columns = states.iter().map(|state| Ok(Lists::new(state)?.values)).collect::<Result<Vec<_>>>()?;
        self.update_batch(&columns)
    }

    fn size(&self) -> usize {
        let gathered: usize = self.gathered.iter().flatten().map(Array::get_array_memory_size).sum();
        size_of_val(self) + self.inner.size() + gathered
    }
}
