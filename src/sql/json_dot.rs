//! `requestparameters.bucketName`: a dot into a column of JSON text.
//!
//! Athena has no such form, but it is what people try first, and what some tools write. The members are found
//! whatever the case of the name, since names in SQL have none; what is found reads as
//! `json_extract_scalar` would read it, and objects and arrays as their JSON text.

use std::sync::Arc;

use arrow::array::AsArray;
use arrow::array::{Array, ArrayRef, StringBuilder};
use arrow::compute::cast;
use arrow::datatypes::DataType;
use datafusion::common::{Result, exec_err};
use datafusion::logical_expr::{
    ColumnarValue, Expr, ScalarFunctionArgs, ScalarUDF, ScalarUDFImpl, Signature, Volatility,
};
use serde_json::value::RawValue;

use super::operators::text;

/// The member of `json` that `path` leads to.
pub(super) fn json_dot(json: Expr, path: &[String]) -> Expr {
    let args = std::iter::once(json).chain(path.iter().map(|name| text(name))).collect();
    ScalarUDF::from(JsonDot { signature: Signature::variadic_any(Volatility::Immutable) }).call(args)
}

#[derive(Debug, PartialEq, Eq, Hash)]
struct JsonDot {
    signature: Signature,
}

impl ScalarUDFImpl for JsonDot {
    fn name(&self) -> &'static str {
        "json_dot"
    }

    fn signature(&self) -> &Signature {
        &self.signature
    }

    fn return_type(&self, _: &[DataType]) -> Result<DataType> {
        Ok(DataType::Utf8)
    }

    fn invoke_with_args(&self, args: ScalarFunctionArgs) -> Result<ColumnarValue> {
        let mut values = args.args.iter();
        let Some(json) = values.next() else { return exec_err!("a dot needs a value before it") };
        let path: Vec<&str> = values
            .filter_map(|name| match name {
                ColumnarValue::Scalar(name) => name.try_as_str().flatten(),
                ColumnarValue::Array(_) => None,
            })
            .collect();
        let json = cast(&json.to_array(args.number_rows)?, &DataType::Utf8)?;
        let mut found = StringBuilder::with_capacity(json.len(), json.len() * 16);
        for text in json.as_string::<i32>() {
            found.append_option(text.and_then(|text| follow(text, &path)));
        }
        let found: ArrayRef = Arc::new(found.finish());
        Ok(ColumnarValue::Array(found))
    }
}

/// The value at `path`; a member with exactly this name goes before one in another case.
fn follow(json: &str, path: &[&str]) -> Option<String> {
    let mut value: &RawValue = serde_json::from_str(json).ok()?;
    for name in path {
        let members: Vec<(std::borrow::Cow<'_, str>, &RawValue)> = members(value.get())?;
        let exact = members.iter().find(|(key, _)| key == name);
        let found = exact.or_else(|| members.iter().find(|(key, _)| key.to_lowercase() == *name));
        value = found?.1;
    }
    match value.get().trim() {
        "null" => None,
        text if text.starts_with('"') => serde_json::from_str(text).ok(),
        text => Some(text.to_owned()),
    }
}

/// The members of an object, in their order.
fn members(json: &str) -> Option<Vec<(std::borrow::Cow<'_, str>, &RawValue)>> {
    struct Members<'a>(Vec<(std::borrow::Cow<'a, str>, &'a RawValue)>);
    impl<'de: 'a, 'a> serde::Deserialize<'de> for Members<'a> {
        fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
            struct Visit;
            impl<'de> serde::de::Visitor<'de> for Visit {
                type Value = Members<'de>;
                fn expecting(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                    f.write_str("an object")
                }
                fn visit_map<A: serde::de::MapAccess<'de>>(
                    self,
                    mut map: A,
                ) -> Result<Self::Value, A::Error> {
                    let mut members = Vec::new();
                    while let Some((key, value)) = map.next_entry::<Key<'de>, &RawValue>()? {
                        members.push((key.0, value));
                    }
                    Ok(Members(members))
                }
            }
            deserializer.deserialize_map(Visit)
        }
    }
    #[derive(serde::Deserialize)]
    struct Key<'a>(#[serde(borrow)] std::borrow::Cow<'a, str>);
    serde_json::from_str::<Members<'_>>(json).ok().map(|members| members.0)
}

#[cfg(test)]
mod tests {
    use super::follow;

    #[test]
    fn members_are_found_whatever_their_case() {
        let json = r#"{"bucketName":"b","Host":["h"],"a":{"B":{"c":1.50}},"BUCKETNAME":"other"}"#;
        assert_eq!(follow(json, &["bucketname"]).as_deref(), Some("b"));
        assert_eq!(follow(json, &["host"]).as_deref(), Some(r#"["h"]"#));
        assert_eq!(follow(json, &["a", "b", "c"]).as_deref(), Some("1.50"));
        assert_eq!(follow(json, &["a", "x"]), None);
        assert_eq!(follow("not json", &["a"]), None);
        assert_eq!(follow(r#"{"a":null,"k\u0065y":"\u00e9"}"#, &["a"]), None);
        assert_eq!(follow(r#"{"a":null,"k\u0065y":"\u00e9"}"#, &["key"]).as_deref(), Some("é"));
    }
}
