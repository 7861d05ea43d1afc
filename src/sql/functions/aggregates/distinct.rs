//! `aggregate(DISTINCT …)`: each combination of arguments counts once.

use std::collections::HashSet;

use arrow::array::{Array, ArrayRef, UInt64Array};
use arrow::compute::{concat, take};
use arrow::datatypes::DataType;
use arrow::row::{RowConverter, SortField};
use datafusion::common::Result;
use datafusion::logical_expr::Accumulator;
use datafusion::scalar::ScalarValue;

use super::super::arrays::lists::Lists;
use super::{column, one_array};

/// Lets only new rows through to an accumulator. Its state is all of them.
pub(super) fn distinct(inner: Box<dyn Accumulator>, types: &[DataType]) -> Result<Box<dyn Accumulator>> {
    let fields = types.iter().map(|data_type| SortField::new(data_type.clone())).collect();
    Ok(Box::new(Distinct {
        inner,
        types: types.to_vec(),
        converter: RowConverter::new(fields)?,
        seen: HashSet::new(),
        kept: Vec::new(),
    }))
}

#[derive(Debug)]
struct Distinct {
    inner: Box<dyn Accumulator>,
    types: Vec<DataType>,
    converter: RowConverter,
    seen: HashSet<Box<[u8]>>,
    kept: Vec<Vec<ArrayRef>>,
}

impl Accumulator for Distinct {
    fn update_batch(&mut self, values: &[ArrayRef]) -> Result<()> {
        let values = &values[..self.types.len()];
        let rows = self.converter.convert_columns(values)?;
        let new: UInt64Array = (0..rows.num_rows())
            .filter(|&row| self.seen.insert(rows.row(row).as_ref().into()))
            .map(|row| row as u64)
            .collect();
        if new.is_empty() {
            return Ok(());
        }
        let columns: Vec<_> =
            values.iter().map(|column| take(column, &new, None)).collect::<Result<_, _>>()?;
        self.inner.update_batch(&columns)?;
        self.kept.push(columns);
        Ok(())
    }

    fn evaluate(&mut self) -> Result<ScalarValue> {
        self.inner.evaluate()
    }

    fn state(&mut self) -> Result<Vec<ScalarValue>> {
        let whole = |(at, data_type): (usize, &DataType)| {
            let parts: Vec<&dyn Array> = self.kept.iter().map(|columns| columns[at].as_ref()).collect();
            Ok(one_array(&if parts.is_empty() { column(&[], data_type)? } else { concat(&parts)? }))
        };
        self.types.iter().enumerate().map(whole).collect()
    }

    fn merge_batch(&mut self, states: &[ArrayRef]) -> Result<()> {
        let columns = states.iter().map(|state| Ok(Lists::new(state)?.values)).collect::<Result<Vec<_>>>()?;
        self.update_batch(&columns)
    }

    fn size(&self) -> usize {
        let kept: usize = self.kept.iter().flatten().map(Array::get_array_memory_size).sum();
        let seen: usize = self.seen.iter().map(|row| row.len() + 32).sum();
        size_of_val(self) + self.inner.size() + kept + seen
    }
}
