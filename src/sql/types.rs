//! DESCRIBE: the columns of a table with their types in Athena's words.

use std::fmt::Write as _;
use std::sync::Arc;

use arrow::array::{RecordBatch, StringArray};
use arrow::datatypes::{DataType, Field, Schema};
use arrow::error::ArrowError;

/// The rows that DESCRIBE gives: each column of `schema` with its type, and below a row type each of
/// its members by the name that a query writes, `useridentity.arn`.
pub(super) fn describe(schema: &Schema) -> Result<RecordBatch, ArrowError> {
    let mut rows = Vec::new();
    schema.fields().iter().for_each(|field| add(field, "", &mut rows));
    let names: StringArray = rows.iter().map(|(name, _)| Some(name.as_str())).collect();
    let types: StringArray = rows.iter().map(|(_, data_type)| Some(data_type.as_str())).collect();
    let columns = ["column_name", "data_type"].map(|name| Field::new(name, DataType::Utf8, false));
    RecordBatch::try_new(Arc::new(Schema::new(columns.to_vec())), vec![Arc::new(names), Arc::new(types)])
}

fn add(field: &Field, parent: &str, rows: &mut Vec<(String, String)>) {
    let name = format!("{parent}{}", field.name());
    let DataType::Struct(members) = field.data_type() else {
        rows.push((name, type_name(field.data_type())));
        return;
    };
    rows.push((name.clone(), "row".to_owned()));
    members.iter().for_each(|member| add(member, &format!("{name}."), rows));
}

/// The type of a column as the schema of tables shows it.
pub(super) fn shown_type(data_type: &DataType) -> String {
    type_name(&super::ddl::narrowed(data_type))
}

/// A type as Athena writes it: `varchar`, `row(type varchar, …)`.
pub(super) fn type_name(data_type: &DataType) -> String {
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
    use arrow::array::AsArray;

    #[test]
    fn types_are_in_the_words_of_athena() {
        let schema = crate::event::schema::schema();
        let described = describe(&schema).unwrap();
        let text =
            |column: usize, row: usize| described.column(column).as_string::<i32>().value(row).to_owned();
        let rows: Vec<(String, String)> =
            (0..described.num_rows()).map(|row| (text(0, row), text(1, row))).collect();
        let of = |wanted: &str| rows.iter().find(|(name, _)| name == wanted).unwrap().1.as_str();
        assert_eq!(of("eventtime"), "varchar");
        assert_eq!(
            of("resources"),
            "array(row(arn varchar, accountid varchar, type varchar, arnprefix varchar))"
        );
        assert_eq!((of("useridentity"), of("useridentity.arn")), ("row", "varchar"));
        assert_eq!(of("useridentity.sessioncontext.webidfederationdata.attributes"), "map(varchar, varchar)");
        assert_eq!(of("event_time"), "timestamp with time zone");
    }
}
