//! `"$single"`: the value of the only row. The planner puts it into scalar subqueries, of which nothing else says that
//! they have one row.

use arrow::array::{Array, ArrayRef, AsArray};
use arrow::datatypes::{DataType, Int64Type};
use datafusion::common::{Result, exec_err};
use datafusion::logical_expr::{Accumulator, AggregateUDF};
use datafusion::scalar::ScalarValue;

use super::super::arrays::function::Types;
use super::Aggregate;

/// The function of this file.
pub(in crate::sql) fn single() -> AggregateUDF {
    Aggregate::udaf(
        "$single",
        "$single(T)",
        |given| match given {
            [one] => Types::new([one.clone()], one.clone()),
            _ => None,
        },
        |spec| vec![spec.gives.clone(), DataType::Int64],
        |spec| Ok(Box::new(Single { value: ScalarValue::try_new_null(&spec.gives)?, rows: 0 })),
    )
}

#[derive(Debug)]
struct Single {
    value: ScalarValue,
    rows: i64,
}

impl Single {
    fn add(&mut self, rows: i64) -> Result<()> {
        self.rows += rows;
        if self.rows > 1 {
            return exec_err!("SUBQUERY_MULTIPLE_ROWS: Scalar sub-query has returned multiple rows");
        }
        Ok(())
    }
}

impl Accumulator for Single {
    fn update_batch(&mut self, values: &[ArrayRef]) -> Result<()> {
        if values[0].is_empty() {
            return Ok(());
        }
        self.value = ScalarValue::try_from_array(&values[0], 0)?.compacted();
        self.add(i64::try_from(values[0].len()).unwrap_or(i64::MAX))
    }

    fn evaluate(&mut self) -> Result<ScalarValue> {
        Ok(self.value.clone())
    }

    fn state(&mut self) -> Result<Vec<ScalarValue>> {
        Ok(vec![self.value.clone(), ScalarValue::from(self.rows)])
    }

    fn merge_batch(&mut self, states: &[ArrayRef]) -> Result<()> {
        let rows = states[1].as_primitive::<Int64Type>();
        for (part, rows) in rows.iter().enumerate() {
            let rows = rows.unwrap_or_default();
            if rows > 0 {
                self.value = ScalarValue::try_from_array(&states[0], part)?.compacted();
                self.add(rows)?;
            }
        }
        Ok(())
    }

    fn size(&self) -> usize {
        size_of_val(self) - size_of_val(&self.value) + self.value.size()
    }
}
