//! The rows that could not be cast.

use arrow::array::{Array, ArrayRef, BooleanArray};
use arrow::compute::nullif;
use datafusion::common::{DataFusionError, Result};

/// Rows with the reason, which is only told to a `CAST`; a `TRY_CAST` has no use for it.
pub(super) struct Failures {
    tell: bool,
    rows: Vec<(usize, String)>,
}

impl Failures {
    /// None so far.
    pub(super) fn new(tell: bool) -> Self {
        Self { tell, rows: Vec::new() }
    }

    /// None so far among the elements of a container.
    pub(super) fn of_elements(&self) -> Self {
        Self::new(self.tell)
    }

    /// Passes a converted value on, and notes the row if there is none.
    pub(super) fn note<T>(
        &mut self,
        row: usize,
        converted: Option<T>,
        reason: impl FnOnce() -> String,
    ) -> Option<T> {
        if converted.is_none() {
            self.add(row, reason);
        }
        converted
    }

    /// Notes a row.
    pub(super) fn add(&mut self, row: usize, reason: impl FnOnce() -> String) {
        let reason = if self.tell { reason() } else { String::new() };
        self.rows.push((row, reason));
    }

    /// Takes over the failures among the elements of the container in `row_of(element)`.
    pub(super) fn take(&mut self, elements: Self, row_of: impl Fn(usize) -> usize) {
        self.rows.extend(elements.rows.into_iter().map(|(element, reason)| (row_of(element), reason)));
    }

    /// Puts every reason into words that show the whole value.
    pub(super) fn explain(&mut self, words: impl Fn(usize, &str) -> String) {
        if self.tell {
            self.rows.iter_mut().for_each(|(row, reason)| *reason = words(*row, reason));
        }
    }

    /// The error of the first row that failed. An element that nobody sees, since its container is NULL,
    /// does not count.
    pub(super) fn first(&self, values: &ArrayRef, input: &ArrayRef) -> Option<DataFusionError> {
        debug_assert_eq!(values.len(), input.len());
        let (_, reason) = self.rows.iter().find(|(row, _)| input.is_valid(*row))?;
        Some(DataFusionError::Execution(reason.clone()))
    }

    /// The values, NULL in every row that failed.
    pub(super) fn as_nulls(&self, values: ArrayRef) -> Result<ArrayRef> {
        if self.rows.is_empty() {
            return Ok(values);
        }
        let mut failed = vec![false; values.len()];
        self.rows.iter().for_each(|(row, _)| failed[*row] = true);
        Ok(nullif(&values, &BooleanArray::from(failed))?)
    }
}
