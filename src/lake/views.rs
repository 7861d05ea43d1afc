//! Texts as queries read them: as views of a page instead of copies.
//!
//! DataFusion asks for views by itself, but not in members of structs, and casts what it is given otherwise.
//! So a lake's files say in the Arrow schema that they carry that all their texts are to be read so.
//! Whoever writes rows on reads them as Parquet has them: there one type is enough.

use std::sync::Arc;

use arrow::datatypes::{DataType, Field, FieldRef, Fields, Schema};
use parquet::arrow::arrow_reader::ArrowReaderOptions;

/// The schema with views for the texts of its columns and of their members.
pub(crate) fn with_views(schema: &Schema) -> Schema {
    Schema::new(fields(schema.fields()))
}

fn fields(fields: &Fields) -> Fields {
    fields.iter().map(field).collect()
}

fn field(field: &FieldRef) -> FieldRef {
    let with = |data_type| Arc::new(Field::clone(field).with_data_type(data_type));
    match field.data_type() {
        DataType::Utf8 => with(DataType::Utf8View),
        DataType::Struct(members) => with(DataType::Struct(fields(members))),
        _ => field.clone(),
    }
}

/// How to read a file to write its rows on.
pub(crate) fn as_stored() -> ArrowReaderOptions {
    ArrowReaderOptions::new().with_skip_arrow_metadata(true)
}
