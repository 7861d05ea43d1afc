//! Aggregates over window frames that move on: what leaves the frame has to be forgotten.

use std::collections::VecDeque;

use arrow::array::ArrayRef;
use datafusion::common::Result;
use datafusion::logical_expr::Accumulator;
use datafusion::scalar::ScalarValue;

use super::Spec;

/// An accumulator for a frame that slides: it keeps the frame, and starts anew for each row.
/// One that can take values back itself is used as it is.
pub(super) fn sliding(
    accumulator: fn(&Spec) -> Result<Box<dyn Accumulator>>,
    spec: Spec,
) -> Result<Box<dyn Accumulator>> {
    let one = accumulator(&spec)?;
    if one.supports_retract_batch() {
        return Ok(one);
    }
    Ok(Box::new(Frame { accumulator, spec, batches: VecDeque::new() }))
}

struct Frame {
    accumulator: fn(&Spec) -> Result<Box<dyn Accumulator>>,
    spec: Spec,
    batches: VecDeque<Vec<ArrayRef>>,
}

impl std::fmt::Debug for Frame {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.debug_struct("Frame").field("batches", &self.batches.len()).finish_non_exhaustive()
    }
}

impl Frame {
    fn whole(&self) -> Result<Box<dyn Accumulator>> {
        let mut accumulator = (self.accumulator)(&self.spec)?;
        for batch in &self.batches {
            accumulator.update_batch(batch)?;
        }
        Ok(accumulator)
    }
}

impl Accumulator for Frame {
    fn update_batch(&mut self, values: &[ArrayRef]) -> Result<()> {
        if values.first().is_some_and(|column| !column.is_empty()) {
            self.batches.push_back(values.to_vec());
        }
        Ok(())
    }

    fn retract_batch(&mut self, values: &[ArrayRef]) -> Result<()> {
        let mut gone = values.first().map_or(0, |column| column.len());
        while gone > 0 {
            let Some(batch) = self.batches.front_mut() else { break };
            let length = batch[0].len();
            if length <= gone {
                self.batches.pop_front();
                gone -= length;
            } else {
                for column in batch {
                    *column = column.slice(gone, length - gone);
                }
                gone = 0;
            }
        }
        Ok(())
    }

    fn supports_retract_batch(&self) -> bool {
        true
    }

    fn evaluate(&mut self) -> Result<ScalarValue> {
        self.whole()?.evaluate()
    }

    fn state(&mut self) -> Result<Vec<ScalarValue>> {
        self.whole()?.state()
    }

    fn merge_batch(&mut self, _: &[ArrayRef]) -> Result<()> {
        datafusion::common::internal_err!("a window frame is not computed in parts")
    }

    fn size(&self) -> usize {
        let batches = self.batches.iter().flatten().map(|column| column.get_array_memory_size());
        size_of_val(self) + batches.sum::<usize>()
    }
}
