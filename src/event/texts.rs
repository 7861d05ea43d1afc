//! Codes back to the texts that they stand for.

use std::sync::Arc;

use arrow::array::{Array, ArrayRef, AsArray, RecordBatch, StructArray};
use arrow::compute::take;
use arrow::datatypes::{DataType, Field, FieldRef, Fields, Schema, SchemaRef, UInt32Type};

/// The schema with texts for the codes of texts.
pub(crate) fn with_texts(schema: &Schema) -> SchemaRef {
    Arc::new(Schema::new(fields(schema.fields())))
}

/// The rows with texts for the codes of texts.
pub(crate) fn as_texts(batch: &RecordBatch) -> RecordBatch {
    let columns = batch.columns().iter().map(texts).collect();
    RecordBatch::try_new(with_texts(&batch.schema()), columns).expect("the columns are of this schema")
}

/// A column with texts for the codes of texts.
fn texts(column: &ArrayRef) -> ArrayRef {
    if let Some(codes) = column.as_dictionary_opt::<UInt32Type>() {
        return take(codes.values(), codes.keys(), None).expect("each code has its text");
    }
    match column.as_struct_opt() {
        Some(structs) if has_codes(structs.data_type()) => {
            let members = structs.columns().iter().map(texts).collect();
            Arc::new(StructArray::new(fields(structs.fields()), members, structs.nulls().cloned()))
        }
        _ => column.clone(),
    }
}

fn has_codes(data_type: &DataType) -> bool {
    match data_type {
        DataType::Dictionary(codes, _) => **codes == DataType::UInt32,
        DataType::Struct(members) => members.iter().any(|member| has_codes(member.data_type())),
        _ => false,
    }
}

fn fields(fields: &Fields) -> Fields {
    fields.iter().map(field).collect()
}

/// The field of texts for a field of their codes.
fn field(field: &FieldRef) -> FieldRef {
    let with = |data_type| Arc::new(Field::clone(field).with_data_type(data_type));
    match field.data_type() {
        DataType::Dictionary(_, texts) if has_codes(field.data_type()) => with(texts.as_ref().clone()),
        DataType::Struct(members) if has_codes(field.data_type()) => with(DataType::Struct(fields(members))),
        _ => field.clone(),
    }
}
