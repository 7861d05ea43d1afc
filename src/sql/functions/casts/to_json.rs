//! Casts to JSON: arrays become arrays, maps and rows objects.

use std::fmt::Write as _;
use std::sync::Arc;

use arrow::array::{Array, ArrayRef, AsArray, LargeStringBuilder};
use arrow::datatypes::{Decimal128Type, Float32Type, Float64Type, Int64Type};
use arrow::{compute, datatypes::DataType};
use datafusion::common::{Result, internal_err};

use super::super::args::Texts;
use super::super::float_text::java_text;
use super::super::json::{push_double, push_string};
use super::super::types::Type;
use super::number_text::decimal_text;
use super::plain;
use super::times;

/// Whether Trino casts a type to JSON.
pub(super) fn is_known(from: &Type) -> bool {
    match from {
        Type::Array(element) => is_known(element),
        Type::Map(key, value) => is_known_key(key) && is_known(value),
        Type::Row(members) => members.iter().all(|(_, member)| is_known(member)),
        Type::Json | Type::Date | Type::Timestamp(_) => true,
        _ => is_known_key(from),
    }
}

fn is_known_key(from: &Type) -> bool {
    matches!(
        from,
        Type::Unknown
            | Type::Boolean
            | Type::Tinyint
            | Type::Smallint
            | Type::Integer
            | Type::Bigint
            | Type::Real
            | Type::Double
            | Type::Decimal(..)
            | Type::Varchar(_)
            | Type::Char(_)
    )
}

/// Casts a column to JSON; NULL stays NULL.
pub(super) fn cast(input: &ArrayRef, from: &Type) -> Result<ArrayRef> {
    let column = Column::of(input, from)?;
    let mut values = LargeStringBuilder::with_capacity(input.len(), input.len() * 16);
    let mut text = String::new();
    for row in 0..input.len() {
        if input.is_null(row) {
            values.append_null();
            continue;
        }
        text.clear();
        column.push(row, &mut text);
        values.append_value(&text);
    }
    Ok(Arc::new(values.finish()))
}

/// A column of values that JSON can hold.
enum Column {
    Null,
    Boolean(ArrayRef),
    Integer(ArrayRef),
    Real(ArrayRef),
    Double(ArrayRef),
    Decimal(ArrayRef, i8),
    Text(Texts),
    Json(Texts),
    List(ArrayRef, Box<Column>),
    Map(ArrayRef, Box<Column>, Box<Column>),
    Row(ArrayRef, Vec<(String, Column)>),
}

impl Column {
    fn of(input: &ArrayRef, from: &Type) -> Result<Self> {
        let input = plain(input)?;
        Ok(match from {
            Type::Unknown => Self::Null,
            Type::Boolean => Self::Boolean(input),
            Type::Tinyint | Type::Smallint | Type::Integer | Type::Bigint => {
                Self::Integer(compute::cast(&input, &DataType::Int64)?)
            }
            Type::Real => Self::Real(compute::cast(&input, &DataType::Float32)?),
            Type::Double => Self::Double(input),
            Type::Decimal(precision, scale) => {
                Self::Decimal(compute::cast(&input, &DataType::Decimal128(*precision, *scale))?, *scale)
            }
            Type::Varchar(_) | Type::Char(_) => Self::Text(Texts::of(&input)?),
            Type::Json => Self::Json(Texts::of(&input)?),
            Type::Date | Type::Timestamp(_) => Self::Text(Texts::of(&times::written(&input, from)?)?),
            Type::Array(element) => {
                let elements = Self::of(input.as_list::<i32>().values(), element)?;
                Self::List(input, Box::new(elements))
            }
            Type::Map(key, value) => {
                let map = input.as_map();
                let (keys, values) = (Self::of(map.keys(), key)?, Self::of(map.values(), value)?);
                Self::Map(input, Box::new(keys), Box::new(values))
            }
            Type::Row(members) => {
                let columns = input.as_struct().columns().iter().zip(members);
                let columns = columns.map(|(column, (name, of))| {
                    Ok((name.clone().unwrap_or_default(), Self::of(column, of)?))
                });
                let columns = columns.collect::<Result<_>>()?;
                Self::Row(input, columns)
            }
            other => return internal_err!("no cast from {other} to json"),
        })
    }

    fn is_null(&self, row: usize) -> bool {
        match self {
            Self::Null => true,
            Self::Text(texts) | Self::Json(texts) => texts.get(row).is_none(),
            Self::Boolean(values)
            | Self::Integer(values)
            | Self::Real(values)
            | Self::Double(values)
            | Self::Decimal(values, _)
            | Self::List(values, _)
            | Self::Map(values, ..)
            | Self::Row(values, _) => values.is_null(row),
        }
    }

    fn push(&self, row: usize, out: &mut String) {
        if self.is_null(row) {
            out.push_str("null");
            return;
        }
        match self {
            Self::Null => {}
            Self::Boolean(values) => {
                out.push_str(if values.as_boolean().value(row) { "true" } else { "false" });
            }
            Self::Integer(values) => {
                let _ = write!(out, "{}", values.as_primitive::<Int64Type>().value(row));
            }
            Self::Real(values) => {
                let value = values.as_primitive::<Float32Type>().value(row);
                if value.is_finite() {
                    java_text(out, value);
                } else {
                    push_double(out, value.into());
                }
            }
            Self::Double(values) => push_double(out, values.as_primitive::<Float64Type>().value(row)),
            Self::Decimal(values, scale) => {
                out.push_str(&decimal_text(values.as_primitive::<Decimal128Type>().value(row), *scale));
            }
            Self::Text(texts) => push_string(out, texts.get(row).unwrap_or_default()),
            Self::Json(texts) => out.push_str(texts.get(row).unwrap_or_default()),
            Self::List(values, elements) => {
                push_list(range(values.as_list::<i32>().offsets(), row), elements, out);
            }
            Self::Map(values, keys, elements) => {
                push_map(range(values.as_map().offsets(), row), keys, elements, out);
            }
            Self::Row(_, members) => push_row(row, members, out),
        }
    }

    /// The text of a key: an object has no others.
    fn key(&self, row: usize) -> String {
        if let Self::Text(texts) = self {
            return texts.get(row).unwrap_or_default().to_owned();
        }
        let mut text = String::new();
        self.push(row, &mut text);
        text.trim_matches('"').to_owned()
    }
}

fn range(offsets: &[i32], row: usize) -> std::ops::Range<usize> {
    let at = |row: usize| usize::try_from(offsets[row]).unwrap_or_default();
    at(row)..at(row + 1)
}

fn push_list(range: std::ops::Range<usize>, elements: &Column, out: &mut String) {
    out.push('[');
    for (place, element) in range.enumerate() {
        if place > 0 {
            out.push(',');
        }
        elements.push(element, out);
    }
    out.push(']');
}

/// The keys of a map are in order, as in Trino.
fn push_map(range: std::ops::Range<usize>, keys: &Column, values: &Column, out: &mut String) {
    let mut members: Vec<(String, usize)> = range.map(|entry| (keys.key(entry), entry)).collect();
    members.sort_by(|(left, _), (right, _)| left.encode_utf16().cmp(right.encode_utf16()));
    out.push('{');
    for (place, (key, entry)) in members.iter().enumerate() {
        if place > 0 {
            out.push(',');
        }
        push_string(out, key);
        out.push(':');
        values.push(*entry, out);
    }
    out.push('}');
}

fn push_row(row: usize, members: &[(String, Column)], out: &mut String) {
    out.push('{');
    for (place, (name, values)) in members.iter().enumerate() {
        if place > 0 {
            out.push(',');
        }
        push_string(out, name);
        out.push(':');
        values.push(row, out);
    }
    out.push('}');
}
