//! Casts of arrays, maps and rows to ones of other elements.

use std::sync::Arc;

use arrow::array::{Array, ArrayRef, AsArray, ListArray, MapArray, StructArray};
use arrow::buffer::OffsetBuffer;
use arrow::datatypes::{DataType, FieldRef, Fields};
use datafusion::common::{Result, internal_err};

use super::super::types::Type;
use super::cast as cast_values;
use super::failures::Failures;

/// Casts a container to one of type `to`.
pub(super) fn cast(input: &ArrayRef, to: &Type, failures: &mut Failures) -> Result<ArrayRef> {
    match (to, to.arrow()) {
        (Type::Array(element), DataType::List(field)) => list(input.as_list(), element, field, failures),
        (Type::Map(key, value), DataType::Map(field, _)) => {
            map(input.as_map(), (key, value), field, failures)
        }
        (Type::Row(members), DataType::Struct(fields)) => row(input.as_struct(), members, fields, failures),
        _ => internal_err!("{to} is no container"),
    }
}

/// The row in whose range of elements an element is.
fn row_of(offsets: &OffsetBuffer<i32>) -> impl Fn(usize) -> usize {
    let first = offsets[0];
    move |element| {
        let at = first + i32::try_from(element).unwrap_or(i32::MAX - first);
        offsets.partition_point(|offset| *offset <= at) - 1
    }
}

/// The elements that rows refer to, and the offsets into them.
fn referred(elements: &ArrayRef, offsets: &OffsetBuffer<i32>) -> (ArrayRef, OffsetBuffer<i32>) {
    let start = usize::try_from(offsets[0]).unwrap_or_default();
    let end = usize::try_from(offsets[offsets.len() - 1]).unwrap_or_default();
    (elements.slice(start, end - start), OffsetBuffer::from_lengths(offsets.lengths()))
}

fn list(input: &ListArray, element: &Type, field: FieldRef, failures: &mut Failures) -> Result<ArrayRef> {
    let (elements, offsets) = referred(input.values(), input.offsets());
    let mut failed = failures.of_elements();
    let values = cast_values(&elements, element, &mut failed)?;
    failures.take(failed, row_of(&offsets));
    Ok(Arc::new(ListArray::try_new(field, offsets, values, input.nulls().cloned())?))
}

fn map(input: &MapArray, to: (&Type, &Type), field: FieldRef, failures: &mut Failures) -> Result<ArrayRef> {
    let DataType::Struct(fields) = field.data_type() else { return internal_err!("a map has entries") };
    let mut pair = Vec::new();
    for (elements, to) in [(input.keys(), to.0), (input.values(), to.1)] {
        let (elements, offsets) = referred(elements, input.offsets());
        let mut failed = failures.of_elements();
        let values = cast_values(&elements, to, &mut failed)?;
        // A key that could not be cast must be something: its row is given up.
        pair.push(if pair.is_empty() { filled(values)? } else { values });
        failures.take(failed, row_of(&offsets));
    }
    let entries = StructArray::try_new(fields.clone(), pair, None)?;
    let offsets = OffsetBuffer::from_lengths(input.offsets().lengths());
    Ok(Arc::new(MapArray::try_new(field, offsets, entries, input.nulls().cloned(), false)?))
}

/// The values without their NULLs.
pub(super) fn filled(values: ArrayRef) -> Result<ArrayRef> {
    if values.null_count() == 0 {
        return Ok(values);
    }
    let data = values.to_data().into_builder().nulls(None).build()?;
    Ok(arrow::array::make_array(data))
}

fn row(
    input: &StructArray,
    members: &[(Option<String>, Type)],
    fields: Fields,
    failures: &mut Failures,
) -> Result<ArrayRef> {
    let mut columns = Vec::with_capacity(members.len());
    for (values, (_, to)) in input.columns().iter().zip(members) {
        let mut failed = failures.of_elements();
        columns.push(cast_values(values, to, &mut failed)?);
        failures.take(failed, |row| row);
    }
    Ok(Arc::new(StructArray::try_new_with_length(fields, columns, input.nulls().cloned(), input.len())?))
}
