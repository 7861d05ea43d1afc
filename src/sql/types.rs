//! DESCRIBE: the columns of a table with their types in Athena's words.

use std::fmt::Write as _;
use std::sync::Arc;

use arrow::array::{RecordBatch, StringArray};
use arrow::datatypes::{DataType, Field, Schema};
use arrow::error::ArrowError;

/// The rows that DESCRIBE gives: the name and type of each column of `schema`.
pub(super) fn describe(schema: &Schema) -> Result<RecordBatch, ArrowError> {
    let names: StringArray = schema.fields().iter().map(|field| Some(field.name().as_str())).collect();
    let types: StringArray = schema.fields().iter().map(|field| Some(type_name(field.data_type()))).collect();
    let columns = ["column_name", "data_type"].map(|name| Field::new(name, DataType::Utf8, false));
    RecordBatch::try_new(Arc::new(Schema::new(columns.to_vec())), vec![Arc::new(names), Arc::new(types)])
}

/// A type as Athena writes it: `varchar`, `row(type varchar, …)`.
fn type_name(data_type: &DataType) -> String {
    match data_type {
        DataType::Utf8 | DataType::LargeUtf8 | DataType::Utf8View => "varchar".to_owned(),
        DataType::Binary | DataType::LargeBinary | DataType::BinaryView => "varbinary".to_owned(),
        DataType::Int64 => "bigint".to_owned(),
        DataType::Int32 => "integer".to_owned(),
        DataType::Float64 => "double".to_owned(),
        DataType::Boolean => "boolean".to_owned(),
        DataType::Date32 => "date".to_owned(),
        DataType::Timestamp(_, None) => "timestamp".to_owned(),
        DataType::Timestamp(_, Some(_)) => "timestamp with time zone".to_owned(),
        DataType::Dictionary(_, value) => type_name(value),
        DataType::List(element) | DataType::LargeList(element) => {
            format!("array({})", type_name(element.data_type()))
        }
        DataType::Struct(members) => {
            let mut text = String::from("row(");
            for (index, member) in members.iter().enumerate() {
                let comma = if index == 0 { "" } else { ", " };
                let _ = write!(text, "{comma}{} {}", member.name(), type_name(member.data_type()));
            }
            text + ")"
        }
        DataType::Map(entries, _) => match entries.data_type() {
            DataType::Struct(pair) => {
                let parts: Vec<String> = pair.iter().map(|part| type_name(part.data_type())).collect();
                format!("map({})", parts.join(", "))
            }
            other => format!("map({})", type_name(other)),
        },
        other => other.to_string().to_lowercase(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn types_are_in_the_words_of_athena() {
        let schema = crate::event::schema::schema();
        let of = |name: &str| type_name(schema.field_with_name(name).unwrap().data_type());
        assert_eq!(of("eventtime"), "varchar");
        assert_eq!(
            of("resources"),
            "array(row(arn varchar, accountid varchar, type varchar, arnprefix varchar))"
        );
        assert!(of("useridentity").contains(
            "webidfederationdata row(federatedprovider varchar, attributes map(varchar, varchar))"
        ));
        assert_eq!(of("event_time"), "timestamp with time zone");
    }
}
