//! A row back to the record that it came from.

use anyhow::{Context, Result};
use arrow::array::{Array, ArrayRef, AsArray, RecordBatch, StructArray};

use super::record::DUPLICATES;
use super::schema::{Field, Kind, NULL_FIELDS, RECORD, UNMAPPED};
use crate::json::{Cursor, write_string};

/// Writes row `row` of `batch` as the JSON of its record: the same members with the same values.
///
/// Free-form parts are byte for byte those of the record. Order and white space of the typed parts
/// are this function's; the record's own bytes are in its log file. Works on any batch that has
/// the columns of the schema, in any order, also as views.
pub fn record_json(batch: &RecordBatch, row: usize) -> Result<String> {
    Rebuilder::new(&batch.slice(row, 1))?.record(0)
}

/// Rows back to records, many at a time.
#[derive(Debug)]
pub struct Rebuilder {
    fields: Vec<(&'static Field, ArrayRef)>,
    unmapped: ArrayRef,
    null_fields: ArrayRef,
}

impl Rebuilder {
    /// Takes what it needs of a batch as in [`record_json`].
    pub fn new(batch: &RecordBatch) -> Result<Self> {
        let column = |name: &str| {
            let column = batch.column_by_name(name);
            plain(column.with_context(|| format!("no column {name} to rebuild the record"))?)
        };
        let fields = RECORD.iter().map(|field| Ok((field, column(field.column)?)));
        Ok(Self {
            fields: fields.collect::<Result<_>>()?,
            unmapped: column(UNMAPPED)?,
            null_fields: column(NULL_FIELDS)?,
        })
    }

    /// The JSON of the record in a row, as [`record_json`] writes it.
    pub fn record(&self, row: usize) -> Result<String> {
        let text = |column: &ArrayRef| {
            let column = column.as_string_opt::<i32>().context("a column of text is none")?;
            anyhow::Ok(if column.is_valid(row) { column.value(row).to_owned() } else { String::new() })
        };
        let (unmapped, nulls) = (text(&self.unmapped)?, text(&self.null_fields)?);
        let kept = members(&unmapped)?;
        let mut object = ObjectWriter::new();
        for (field, column) in &self.fields {
            let replaced = kept.iter().any(|(name, _)| name.eq_ignore_ascii_case(field.name));
            if nulls.split(',').any(|name| name == field.name) {
                object.member(field.name, |out| out.push_str("null"));
            } else if !replaced && column.is_valid(row) {
                object.member(field.name, |out| write_value(out, &field.kind, column.as_ref(), row));
            }
        }
        for (name, value) in kept.iter().filter(|(name, _)| name != DUPLICATES) {
            object.member(name, |out| out.push_str(value));
        }
        Ok(object.finish())
    }
}

/// The members of a JSON object, each with its raw value.
fn members(object: &str) -> Result<Vec<(String, &str)>> {
    let mut found = Vec::new();
    let mut cursor = Cursor::new(object.as_bytes(), 0);
    if !cursor.take(b'{') {
        return Ok(found);
    }
    while let Some(key) = cursor.key(found.is_empty())? {
        let value = cursor.value()?;
        let name = serde_json::from_str(&object[key.range()]).context("reading a key of unmapped")?;
        found.push((name, &object[value.range()]));
    }
    Ok(found)
}

/// The column without string views, which is how the writer below knows it.
fn plain(column: &ArrayRef) -> Result<ArrayRef> {
    let field = super::schema::schema();
    let wanted = field.fields().iter().map(|field| field.data_type());
    let same = |a: &arrow::datatypes::DataType| a == column.data_type();
    if wanted.into_iter().any(same) {
        return Ok(column.clone());
    }
    let target = without_views(column.data_type());
    Ok(arrow::compute::cast(column, &target)?)
}

fn without_views(data_type: &arrow::datatypes::DataType) -> arrow::datatypes::DataType {
    use arrow::datatypes::DataType as T;
    let inner = |field: &arrow::datatypes::FieldRef| {
        std::sync::Arc::new(field.as_ref().clone().with_data_type(without_views(field.data_type())))
    };
    match data_type {
        T::Utf8View | T::LargeUtf8 => T::Utf8,
        T::Dictionary(_, value) => without_views(value),
        T::Struct(fields) => T::Struct(fields.iter().map(inner).collect()),
        T::List(element) => T::List(inner(element)),
        T::Map(entries, sorted) => T::Map(inner(entries), *sorted),
        other => other.clone(),
    }
}

/// Writes an object's members with commas between them.
struct ObjectWriter {
    out: String,
}

impl ObjectWriter {
    fn new() -> Self {
        ObjectWriter { out: String::from("{") }
    }

    fn member(&mut self, name: &str, value: impl FnOnce(&mut String)) {
        write_member(&mut self.out, name, value);
    }

    fn finish(mut self) -> String {
        self.out.push('}');
        self.out
    }
}

fn write_member(out: &mut String, name: &str, value: impl FnOnce(&mut String)) {
    if !out.ends_with('{') {
        out.push(',');
    }
    write_string(out, name);
    out.push(':');
    value(out);
}

fn write_value(out: &mut String, kind: &Kind, column: &dyn Array, row: usize) {
    if column.is_null(row) {
        out.push_str("null");
        return;
    }
    match kind {
        Kind::Text => write_string(out, column.as_string::<i32>().value(row)),
        Kind::Flag | Kind::Json => out.push_str(column.as_string::<i32>().value(row)),
        Kind::Struct(fields) => write_struct(out, fields, column.as_struct(), row),
        Kind::List(fields) => {
            let values = column.as_list::<i32>().value(row);
            let element = |out: &mut String, at| write_value(out, &Kind::Struct(fields), values.as_ref(), at);
            write_list(out, values.len(), element);
        }
        Kind::Map => {
            let entries = column.as_map().value(row);
            let (keys, values) = (entries.column(0).as_string::<i32>(), entries.column(1));
            out.push('{');
            for at in 0..entries.len() {
                write_member(out, keys.value(at), |out| write_value(out, &Kind::Text, values.as_ref(), at));
            }
            out.push('}');
        }
    }
}

fn write_struct(out: &mut String, fields: &[Field], column: &StructArray, row: usize) {
    out.push('{');
    for (field, values) in fields.iter().zip(column.columns()) {
        if values.is_valid(row) {
            write_member(out, field.name, |out| write_value(out, &field.kind, values.as_ref(), row));
        }
    }
    out.push('}');
}

fn write_list(out: &mut String, len: usize, element: impl Fn(&mut String, usize)) {
    out.push('[');
    for at in 0..len {
        if at > 0 {
            out.push(',');
        }
        element(out, at);
    }
    out.push(']');
}
