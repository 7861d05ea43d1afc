//! DESCRIBE: the columns of a table with their types in Athena's words.

use std::sync::Arc;

use arrow::array::{RecordBatch, StringArray};
use arrow::datatypes::{DataType, Field, Schema};
use arrow::error::ArrowError;

pub(super) use super::functions::types::type_name;

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
        assert_eq!(of("event_time"), "timestamp(6) with time zone");
    }
}
