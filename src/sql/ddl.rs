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
    ScalarUDF::from(Narrow { name: NARROW, signature: Signature::any(1, Volatility::Immutable) })
}

/// The members of a resource in the order of CloudTrail Lake's schema: published queries unnest by place.
const LAKE_RESOURCE: &[&str] = &["accountid", "type", "arn", "arnprefix"];

/// The function that puts the members of resources into Lake's order.
pub(super) fn lake_resources() -> ScalarUDF {
    ScalarUDF::from(Narrow { name: "$lake_resources", signature: Signature::any(1, Volatility::Immutable) })
}

/// Which members a struct is to have, in their order; none where it is no struct of ours.
type Members = fn(&Fields) -> Option<&'static [&'static str]>;

fn members_in_lake(fields: &Fields) -> Option<&'static [&'static str]> {
    let has = |name: &&str| fields.iter().any(|field| field.name() == *name);
    (fields.len() == LAKE_RESOURCE.len() && LAKE_RESOURCE.iter().all(has)).then_some(LAKE_RESOURCE)
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
    MEMBERS.iter().copied().find(|members| members.iter().all(has) && rest_is_extra(members))
}

/// The members that a struct of the events shows when all are asked for.
pub(super) fn shown_members(path: &[String]) -> Option<Vec<String>> {
    let (column, members) = path.split_first()?;
    let schema = crate::event::schema::schema();
    let mut data_type = narrowed(schema.column_with_name(column)?.1.data_type());
    for name in members {
        data_type = match data_type {
            DataType::Struct(fields) => fields.iter().find(|field| field.name() == name)?.data_type().clone(),
            _ => return None,
        };
    }
    match data_type {
        DataType::Struct(fields) => Some(fields.iter().map(|field| field.name().clone()).collect()),
        _ => None,
    }
}

/// The type without the members that the definition does not have.
pub(super) fn narrowed(data_type: &DataType) -> DataType {
    shaped(data_type, members)
}

fn shaped(data_type: &DataType, members: Members) -> DataType {
    match data_type {
        DataType::Struct(fields) => match members(fields) {
            Some(wanted) => DataType::Struct(
                wanted.iter().filter_map(|name| shaped_field(fields, name, members)).collect(),
            ),
            None => data_type.clone(),
        },
        DataType::List(element) => DataType::List(shaped_element(element, members)),
        other => other.clone(),
    }
}

fn shaped_field(fields: &Fields, name: &str, members: Members) -> Option<FieldRef> {
    fields.iter().find(|field| field.name() == name).map(|field| shaped_element(field, members))
}

fn shaped_element(field: &FieldRef, members: Members) -> FieldRef {
    Arc::new(Field::new(field.name(), shaped(field.data_type(), members), field.is_nullable()))
}

/// The same rows without those members; nothing is copied.
fn shape(array: &ArrayRef, members: Members) -> Result<ArrayRef> {
    let data_type = shaped(array.data_type(), members);
    if data_type == *array.data_type() {
        return Ok(Arc::clone(array));
    }
    match (&data_type, array.data_type()) {
        (DataType::Struct(fields), DataType::Struct(_)) => {
            let whole = array.as_struct();
            let columns = fields
                .iter()
                .map(|field| {
                    let Some(column) = whole.column_by_name(field.name()) else {
                        return exec_err!("a struct without its member {}", field.name());
                    };
                    shape(column, members)
                })
                .collect::<Result<Vec<_>>>()?;
            Ok(Arc::new(StructArray::try_new(fields.clone(), columns, whole.nulls().cloned())?))
        }
        (DataType::List(element), DataType::List(_)) => {
            let whole = array.as_list::<i32>();
            let values = shape(whole.values(), members)?;
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
    name: &'static str,
    signature: Signature,
}

impl Narrow {
    fn members(&self) -> Members {
        if self.name == NARROW { members } else { members_in_lake }
    }
}

impl ScalarUDFImpl for Narrow {
    fn name(&self) -> &'static str {
        self.name
    }

    fn signature(&self) -> &Signature {
        &self.signature
    }

    fn return_type(&self, args: &[DataType]) -> Result<DataType> {
        Ok(args.first().map_or(DataType::Null, |given| shaped(given, self.members())))
    }

    fn invoke_with_args(&self, args: ScalarFunctionArgs) -> Result<ColumnarValue> {
        let Some(whole) = args.args.first() else { return exec_err!("one argument") };
        Ok(ColumnarValue::Array(shape(&whole.to_array(args.number_rows)?, self.members())?))
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
        let narrow = shape(batch.column_by_name("resources").unwrap(), members).unwrap();
        let rows = narrow.as_list::<i32>();
        assert!(rows.is_null(1));
        assert_eq!(rows.value(0).as_struct().num_columns(), 3);
        assert_eq!(rows.value(0).as_struct().column(0).as_string::<i32>().value(1), "b");
    }
}
