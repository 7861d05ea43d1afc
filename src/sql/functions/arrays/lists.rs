//! Reading arrays row by row, and putting new ones together.

use std::ops::Range;
use std::sync::Arc;

use arrow::array::{Array, ArrayRef, AsArray, ListArray, UInt64Array, new_empty_array};
use arrow::buffer::{NullBuffer, OffsetBuffer};
use arrow::compute::{SortOptions, cast, concat, take};
use arrow::datatypes::DataType;
use arrow::row::{RowConverter, Rows, SortField};
use datafusion::common::{DataFusionError, Result, exec_datafusion_err, internal_datafusion_err};

/// A column of arrays: all elements one after the other, and where each row's begin and end.
pub(crate) struct Lists {
    /// The elements of all rows, and no others.
    pub(crate) values: ArrayRef,
    nulls: Option<NullBuffer>,
    offsets: OffsetBuffer<i32>,
    first: usize,
    /// Which elements are NULL. An array of `unknown` knows it without a buffer.
    null_values: Option<NullBuffer>,
}

impl Lists {
    pub(crate) fn new(array: &ArrayRef) -> Result<Self> {
        let list = array
            .as_list_opt::<i32>()
            .ok_or_else(|| internal_datafusion_err!("{} is no array", array.data_type()))?;
        let offsets = list.offsets().clone();
        let first = position(offsets[0]);
        let length = position(offsets[list.len()]) - first;
        let values = list.values().slice(first, length);
        let null_values = values.logical_nulls();
        Ok(Self { values, nulls: list.nulls().cloned(), offsets, first, null_values })
    }

    pub(crate) fn len(&self) -> usize {
        self.offsets.len() - 1
    }

    pub(crate) fn nulls(&self) -> Option<&NullBuffer> {
        self.nulls.as_ref()
    }

    /// Where in `values` the elements of a row are. None: the array is NULL.
    pub(crate) fn row(&self, row: usize) -> Option<Range<usize>> {
        if self.nulls.as_ref().is_some_and(|nulls| nulls.is_null(row)) {
            return None;
        }
        Some(position(self.offsets[row]) - self.first..position(self.offsets[row + 1]) - self.first)
    }

    /// All rows in order.
    pub(crate) fn rows(&self) -> impl Iterator<Item = Option<Range<usize>>> + '_ {
        (0..self.len()).map(|row| self.row(row))
    }

    /// Whether an element is NULL.
    pub(crate) fn is_null(&self, element: usize) -> bool {
        self.null_values.as_ref().is_some_and(|nulls| nulls.is_null(element))
    }

    /// The elements in a form that compares and hashes, whatever their type. NULL is the largest.
    pub(crate) fn keys(&self) -> Result<Rows> {
        keys(std::slice::from_ref(&self.values)).map(|(keys, _)| keys)
    }
}

/// Offsets are never negative.
fn position(offset: i32) -> usize {
    usize::try_from(offset).unwrap_or_default()
}

/// Columns of one type, one after the other, as keys that compare and hash. Also where each column begins.
pub(crate) fn keys(columns: &[ArrayRef]) -> Result<(Rows, Vec<usize>)> {
    let data_type = columns[0].data_type().clone();
    let options = SortOptions { descending: false, nulls_first: false };
    let converter = RowConverter::new(vec![SortField::new_with_options(data_type, options)])?;
    let mut rows = converter.empty_rows(0, 0);
    let mut begins = Vec::with_capacity(columns.len());
    for column in columns {
        begins.push(rows.num_rows());
        converter.append(&mut rows, std::slice::from_ref(column))?;
    }
    Ok((rows, begins))
}

/// New arrays that are made of elements of a column, given by their places.
#[derive(Default)]
pub(crate) struct Picks {
    places: Vec<u64>,
    lengths: Vec<usize>,
    valid: Vec<bool>,
    begun: usize,
}

impl Picks {
    pub(crate) fn push(&mut self, place: usize) {
        self.places.push(place as u64);
    }

    pub(crate) fn extend(&mut self, places: impl IntoIterator<Item = usize>) {
        self.places.extend(places.into_iter().map(|place| place as u64));
    }

    /// The row has all that was pushed since the last one.
    pub(crate) fn end_row(&mut self) {
        self.lengths.push(self.places.len() - self.begun);
        self.valid.push(true);
        self.begun = self.places.len();
    }

    /// The row is NULL.
    pub(crate) fn end_null(&mut self) {
        self.places.truncate(self.begun);
        self.lengths.push(0);
        self.valid.push(false);
    }

    /// The arrays, with elements from columns laid one after the other.
    pub(crate) fn finish(self, columns: &[&ArrayRef], gives: &DataType) -> Result<ArrayRef> {
        let columns: Vec<&dyn Array> = columns.iter().map(AsRef::as_ref).collect();
        let places = UInt64Array::from(self.places);
        let values = match columns.as_slice() {
            [column] => take(*column, &places, None)?,
            columns => take(&concat(columns)?, &places, None)?,
        };
        lists(values, &self.lengths, Some(NullBuffer::from(self.valid)), gives)
    }
}

/// Arrays of consecutive values.
pub(crate) fn lists(
    values: ArrayRef,
    lengths: &[usize],
    nulls: Option<NullBuffer>,
    gives: &DataType,
) -> Result<ArrayRef> {
    let DataType::List(element) = gives else {
        return Err(internal_datafusion_err!("{gives} is no array"));
    };
    if i32::try_from(values.len()).is_err() {
        return Err(too_large());
    }
    let values = if values.data_type() == element.data_type() {
        values
    } else if values.is_empty() {
        new_empty_array(element.data_type())
    } else {
        cast(&values, element.data_type())?
    };
    let offsets = OffsetBuffer::from_lengths(lengths.iter().copied());
    let nulls = nulls.filter(|nulls| nulls.null_count() > 0);
    Ok(Arc::new(ListArray::try_new(Arc::clone(element), offsets, values, nulls)?))
}

/// The error of a result beyond what a column can hold.
pub(crate) fn too_large() -> DataFusionError {
    exec_datafusion_err!(
        "INVALID_FUNCTION_ARGUMENT: the arrays have more than {} elements together",
        i32::MAX
    )
}
