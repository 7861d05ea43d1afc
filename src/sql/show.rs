//! Tables, columns and functions as rows: SHOW, DESCRIBE and `information_schema`.

use std::collections::BTreeMap;
use std::sync::Arc;

use arrow::array::{ArrayRef, Int64Array, RecordBatch, StringArray};
use arrow::datatypes::{DataType, Field, Schema, SchemaRef};
use arrow::error::ArrowError;

use super::types::type_name;

/// One column of text.
pub(super) fn column(
    name: &str,
    values: impl IntoIterator<Item = String>,
) -> Result<RecordBatch, ArrowError> {
    let values: ArrayRef = Arc::new(StringArray::from_iter_values(values));
    let schema = Schema::new(vec![Field::new(name, DataType::Utf8, false)]);
    RecordBatch::try_new(Arc::new(schema), vec![values])
}

/// Whether a name fits Athena's pattern for SHOW: `*` is anything, `|` is or; `%` is taken for `*`.
pub(super) fn fits(name: &str, pattern: Option<&str>) -> bool {
    let Some(pattern) = pattern else { return true };
    pattern.split('|').any(|part| {
        let anything = regex::escape(&part.to_lowercase()).replace(r"\*", ".*").replace('%', ".*");
        regex::Regex::new(&format!("^{anything}$")).is_ok_and(|regex| regex.is_match(name))
    })
}

/// `CREATE EXTERNAL TABLE …` as Athena would print it for a table with these columns.
pub(super) fn create_table(name: &str, schema: &Schema, partitions: &[&str]) -> String {
    let is_partition = |field: &Field| partitions.contains(&field.name().as_str());
    let columns = |wanted: bool| {
        let fields = schema.fields().iter().filter(|field| is_partition(field) == wanted);
        fields
            .map(|field| format!("  `{}` {}", field.name(), hive_type(field.data_type())))
            .collect::<Vec<_>>()
            .join(",\n")
    };
    let partitioned = columns(true);
    let partitioned =
        if partitioned.is_empty() { String::new() } else { format!("\nPARTITIONED BY (\n{partitioned})") };
    format!("CREATE EXTERNAL TABLE `{name}`(\n{}){partitioned}", columns(false))
}

/// A type as Hive's DDL writes it.
fn hive_type(data_type: &DataType) -> String {
    match data_type {
        DataType::Struct(members) => {
            let members =
                members.iter().map(|member| format!("{}:{}", member.name(), hive_type(member.data_type())));
            format!("struct<{}>", members.collect::<Vec<_>>().join(","))
        }
        DataType::List(element) => format!("array<{}>", hive_type(element.data_type())),
        DataType::Map(entries, _) => match entries.data_type() {
            DataType::Struct(pair) => {
                let pair = pair.iter().map(|part| hive_type(part.data_type())).collect::<Vec<_>>();
                format!("map<{}>", pair.join(","))
            }
            other => hive_type(other),
        },
        DataType::Timestamp(..) => "timestamp".to_owned(),
        DataType::Int32 => "int".to_owned(),
        other => match type_name(other).as_str() {
            "varchar" => "string".to_owned(),
            other => other.to_owned(),
        },
    }
}

/// What a relation is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    Table,
    View,
}

/// The tables of `information_schema`, of relations with their columns.
pub(super) fn information_schema(
    relations: &BTreeMap<String, (Kind, SchemaRef)>,
) -> Result<Vec<(&'static str, RecordBatch)>, ArrowError> {
    let texts = |values: Vec<String>| -> ArrayRef { Arc::new(StringArray::from(values)) };
    let same = |value: &str, rows: usize| texts(vec![value.to_owned(); rows]);
    let names: Vec<String> = relations.keys().cloned().collect();
    let kinds = relations.values().map(|(kind, _)| if *kind == Kind::View { "VIEW" } else { "BASE TABLE" });
    let tables = RecordBatch::try_from_iter([
        ("table_catalog", same(CATALOG, names.len())),
        ("table_schema", same(DATABASE, names.len())),
        ("table_name", texts(names)),
        ("table_type", texts(kinds.map(str::to_owned).collect())),
    ])?;
    let columns: Vec<(&String, usize, &Field)> = relations
        .iter()
        .flat_map(|(name, (_, schema))| {
            schema.fields().iter().enumerate().map(move |(at, field)| (name, at, field.as_ref()))
        })
        .collect();
    let rows = columns.len();
    let positions: ArrayRef = Arc::new(Int64Array::from_iter_values(
        columns.iter().map(|(_, at, _)| i64::try_from(at + 1).unwrap_or(i64::MAX)),
    ));
    let columns = RecordBatch::try_from_iter([
        ("table_catalog", same(CATALOG, rows)),
        ("table_schema", same(DATABASE, rows)),
        ("table_name", texts(columns.iter().map(|(name, ..)| (*name).clone()).collect())),
        ("column_name", texts(columns.iter().map(|(_, _, field)| field.name().clone()).collect())),
        ("ordinal_position", positions),
        ("is_nullable", same("YES", rows)),
        (
            "data_type",
            texts(columns.iter().map(|(_, _, field)| super::types::shown_type(field.data_type())).collect()),
        ),
    ])?;
    let schemata =
        RecordBatch::try_from_iter([("catalog_name", same(CATALOG, 1)), ("schema_name", same(DATABASE, 1))])?;
    Ok(vec![("tables", tables), ("columns", columns), ("schemata", schemata)])
}

/// The names of the one catalogue and the one database, as Athena has them.
pub(super) const CATALOG: &str = "awsdatacatalog";
pub(super) const DATABASE: &str = "default";

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn patterns_have_stars_and_bars() {
        assert!(fits("cloudtrail_logs", Some("cloudtrail_log*")));
        assert!(fits("events", Some("x|EVENTS")) && fits("events", None));
        assert!(!fits("cloudtrail_logs", Some("cloud")) && !fits("a.b", Some("a*c")));
    }

    #[test]
    fn a_table_is_shown_as_ddl() {
        let schema = crate::event::schema::schema();
        let ddl = create_table("t", &schema, &["region"]);
        assert!(ddl.starts_with("CREATE EXTERNAL TABLE `t`(\n  `eventversion` string,\n"), "{ddl}");
        assert!(ddl.contains("`useridentity` struct<type:string,"), "{ddl}");
        assert!(ddl.ends_with("PARTITIONED BY (\n  `region` string)"), "{ddl}");
    }
}
