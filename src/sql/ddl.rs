//! AWS's table definition: which members its structs have, of those that records have.

use std::sync::Arc;

use arrow::array::{Array, ArrayRef, AsArray, ListArray, StructArray};
use arrow::datatypes::{DataType, Field, FieldRef, Fields};
use datafusion::common::{Result, exec_err};
use datafusion::logical_expr::{
    ColumnarValue, ScalarFunctionArgs, ScalarUDF, ScalarUDFImpl, Signature, Volatility,
};

/// The function that leaves only the members of AWS's definition.
pub(super) const NARROW: &str = "$narrow";

/// The paths of the structs with members that the definition does not have.
pub(super) const STRUCTS: &[&[&str]] = &[
    &["useridentity"],
    &["useridentity", "sessioncontext"],
    &["useridentity", "sessioncontext", "attributes"],
    &["resources"],
    &["addendum"],
    &["tlsdetails"],
];

/// The members that the definition does not have.
pub(super) const EXTRA_MEMBERS: &[&str] = &[
    "arnprefix",
    "assumedroot",
    "credentialid",
    "ec2issuedinvpc",
    "identityprovider",
    "inscopeof",
    "invokedbydelegate",
    "keyexchange",
    "originaluid",
    "sessioncredentialfromconsole",
    "sourceidentity",
];

/// The members of each struct in the order of the definition.
const MEMBERS: &[&[&str]] = &[
    &[
        "type",
        "principalid",
        "arn",
        "accountid",
        "invokedby",
        "accesskeyid",
        "username",
        "onbehalfof",
        "sessioncontext",
    ],
    &["attributes", "sessionissuer", "ec2roledelivery", "webidfederationdata"],
    &["mfaauthenticated", "creationdate"],
    &["arn", "accountid", "type"],
    &["reason", "updatedfields", "originalrequestid", "originaleventid"],
    &["tlsversion", "ciphersuite", "clientprovidedhostheader"],
];

/// The function by that name.
pub(super) fn narrow() -> ScalarUDF {
    ScalarUDF::from(Narrow { signature: Signature::any(1, Volatility::Immutable) })
}

/// The members of a struct that the definition has, or none where it is no struct of ours.
fn members(fields: &Fields) -> Option<&'static [&'static str]> {
    let has = |name: &&str| fields.iter().any(|field| field.name() == *name);
    let rest_is_extra = |members: &[&str]| {
        fields
            .iter()
            .map(|field| field.name().as_str())
            .all(|name| members.contains(&name) || EXTRA_MEMBERS.contains(&name))
    };
    MEMBERS.iter().copied().find(|members| members.iter().all(|name| has(name)) && rest_is_extra(members))
}

/// The type without the members that the definition does not have.
pub(super) fn narrowed(data_type: &DataType) -> DataType {
    match data_type {
        DataType::Struct(fields) => match members(fields) {
            Some(members) => {
                DataType::Struct(members.iter().filter_map(|name| narrowed_field(fields, name)).collect())
            }
            None => data_type.clone(),
        },
        DataType::List(element) => DataType::List(narrowed_element(element)),
        other => other.clone(),
    }
}

fn narrowed_field(fields: &Fields, name: &str) -> Option<FieldRef> {
    fields.iter().find(|field| field.name() == name).map(narrowed_element)
}

fn narrowed_element(field: &FieldRef) -> FieldRef {
    Arc::new(Field::new(field.name(), narrowed(field.data_type()), field.is_nullable()))
}

/// The same rows without those members; nothing is copied.
fn narrow_array(array: &ArrayRef) -> Result<ArrayRef> {
    let data_type = narrowed(array.data_type());
    if data_type == *array.data_type() {
        return Ok(Arc::clone(array));
    }
    match (&data_type, array.data_type()) {
        (DataType::Struct(fields), DataType::Struct(_)) => {
            let whole = array.as_struct();
            let columns = fields
                .iter()
                .map(|field| match whole.column_by_name(field.name()) {
                    Some(column) => narrow_array(column),
                    None => exec_err!("a struct without its member {}", field.name()),
                })
                .collect::<Result<Vec<_>>>()?;
            Ok(Arc::new(StructArray::try_new(fields.clone(), columns, whole.nulls().cloned())?))
        }
        (DataType::List(element), DataType::List(_)) => {
            let whole = array.as_list::<i32>();
            let values = narrow_array(whole.values())?;
            let list = ListArray::try_new(
                Arc::clone(element),
                whole.offsets().clone(),
                values,
                whole.nulls().cloned(),
            )?;
            Ok(Arc::new(list))
        }
        _ => Ok(Arc::clone(array)),
    }
}

#[derive(Debug, PartialEq, Eq, Hash)]
struct Narrow {
    signature: Signature,
}

impl ScalarUDFImpl for Narrow {
    fn name(&self) -> &'static str {
        NARROW
    }

    fn signature(&self) -> &Signature {
        &self.signature
    }

    fn return_type(&self, args: &[DataType]) -> Result<DataType> {
        Ok(args.first().map_or(DataType::Null, narrowed))
    }

    fn invoke_with_args(&self, args: ScalarFunctionArgs) -> Result<ColumnarValue> {
        let Some(whole) = args.args.first() else { return exec_err!("one argument") };
        Ok(ColumnarValue::Array(narrow_array(&whole.to_array(args.number_rows)?)?))
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::event::schema::schema;
    use crate::sql::testing::events;

    #[test]
    fn structs_have_the_members_of_the_definition_in_its_order() {
        let schema = schema();
        let shown = |name: &str| {
            super::super::types::type_name(&narrowed(schema.field_with_name(name).unwrap().data_type()))
        };
        assert_eq!(shown("resources"), "array(row(arn varchar, accountid varchar, type varchar))");
        let user = shown("useridentity");
        assert!(
            user.contains(
                "username varchar, onbehalfof row(userid varchar, identitystorearn varchar), sessioncontext"
            ),
            "{user}"
        );
        assert!(
            !user.contains("sourceidentity") && user.contains("ec2roledelivery varchar, webidfederationdata"),
            "{user}"
        );
        assert_eq!(shown("eventname"), "varchar");
    }

    #[test]
    fn rows_lose_nothing_else() {
        let batch =
            events(&[json!({"resources": [{"arn": "a", "arnprefix": "p"}, {"arn": "b"}]}), json!({})]);
        let narrow = narrow_array(batch.column_by_name("resources").unwrap()).unwrap();
        let rows = narrow.as_list::<i32>();
        assert!(rows.is_null(1));
        assert_eq!(rows.value(0).as_struct().num_columns(), 3);
        assert_eq!(rows.value(0).as_struct().column(0).as_string::<i32>().value(1), "b");
    }
}
