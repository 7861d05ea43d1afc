//! The members of structs, by their paths.

use arrow::datatypes::{DataType, Fields};

/// The paths of `fields` and of all their members.
pub(super) fn paths(fields: &Fields) -> Vec<Vec<String>> {
    let mut paths = Vec::new();
    for field in fields {
        paths.push(vec![field.name().clone()]);
        let members = match field.data_type() {
            DataType::Struct(members) => self::paths(members),
            DataType::List(element) | DataType::LargeList(element) => match element.data_type() {
                DataType::Struct(members) => self::paths(members),
                _ => continue,
            },
            _ => continue,
        };
        paths.extend(members.into_iter().map(|member| [vec![field.name().clone()], member].concat()));
    }
    paths
}
