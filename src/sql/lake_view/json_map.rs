//! `$json_map`: the JSON object of a free-form part as CloudTrail Lake's MAP of text to text.
//!
//! Strings are as they are, numbers and booleans their JSON text, objects and arrays their compact JSON
//! text; `null` is NULL under its key. What is no object is NULL. Of two members of one name the first counts.
//!
//! `$json_member` and `$json_required_member` are `element_at($json_map(json), key)` and
//! `$json_map(json)[key]` without the map: they stop at the member.

use std::borrow::Cow;
use std::collections::HashSet;
use std::sync::Arc;

use arrow::array::{
    Array, ArrayRef, AsArray, MapArray, NullBufferBuilder, StringBuilder, StringViewArray, StringViewBuilder,
    StructArray,
};
use arrow::buffer::OffsetBuffer;
use arrow::compute::cast;
use arrow::datatypes::{DataType, Field, Fields};
use datafusion::common::{Result, ScalarValue, exec_err};
use datafusion::logical_expr::{
    ColumnarValue, Expr, ScalarFunctionArgs, ScalarUDF, ScalarUDFImpl, Signature, Volatility, lit,
};

use crate::json::{Cursor, Span, Type, unescape};

/// Above this many members, the names that were met are looked up in a set.
const FEW: usize = 16;

/// The map of `json`.
pub(in crate::sql) fn json_map(json: Expr) -> Expr {
    ScalarUDF::from(JsonMap { signature: Signature::any(1, Volatility::Immutable) }).call(vec![json])
}

/// The text under `key` in the object `json`; if `required`, it is an error that there is none.
pub(in crate::sql) fn json_member(json: Expr, key: &str, required: bool) -> Expr {
    let signature = Signature::any(2, Volatility::Immutable);
    ScalarUDF::from(JsonMember { required, signature }).call(vec![json, lit(key)])
}

/// The argument of `$json_map`, if that is what `expr` is.
pub(in crate::sql) fn argument_of_json_map(expr: &Expr) -> Option<&Expr> {
    let Expr::ScalarFunction(call) = expr else { return None };
    call.func.inner().is::<JsonMap>().then(|| call.args.first())?
}

/// MAP of text to text.
pub(super) fn map_type() -> DataType {
    DataType::Map(Arc::new(Field::new("entries", DataType::Struct(entry_fields()), false)), false)
}

fn entry_fields() -> Fields {
    Fields::from(vec![Field::new("key", DataType::Utf8, false), Field::new("value", DataType::Utf8, true)])
}

/// Builds maps, a row at a time.
pub(super) struct MapBuilder {
    keys: StringBuilder,
    values: StringBuilder,
    lengths: Vec<usize>,
    valid: NullBufferBuilder,
}

impl MapBuilder {
    pub(super) fn new(rows: usize) -> Self {
        Self {
            keys: StringBuilder::new(),
            values: StringBuilder::new(),
            lengths: Vec::with_capacity(rows),
            valid: NullBufferBuilder::new(rows),
        }
    }

    /// Adds a row, or NULL.
    pub(super) fn append(&mut self, entries: Option<&[Entry<'_>]>) -> Result<()> {
        for (key, value) in entries.unwrap_or_default() {
            let added = key.len().max(value.as_ref().map_or(0, |value| value.len()));
            let held = self.keys.values_slice().len().max(self.values.values_slice().len());
            if i32::try_from(held + added).is_err() {
                return exec_err!("GENERIC_INTERNAL_ERROR: maps of more than 2 GB in one batch of rows");
            }
            self.keys.append_value(key);
            self.values.append_option(value.as_deref());
        }
        self.lengths.push(entries.map_or(0, <[_]>::len));
        self.valid.append(entries.is_some());
        Ok(())
    }

    pub(super) fn finish(mut self) -> Result<ArrayRef> {
        let columns: Vec<ArrayRef> = vec![Arc::new(self.keys.finish()), Arc::new(self.values.finish())];
        let entries = StructArray::try_new(entry_fields(), columns, None)?;
        let field = Arc::new(Field::new("entries", entries.data_type().clone(), false));
        let offsets = OffsetBuffer::from_lengths(self.lengths);
        Ok(Arc::new(MapArray::try_new(field, offsets, entries, self.valid.finish(), false)?))
    }
}

/// An argument as text, one value a row.
pub(super) fn texts(argument: &ColumnarValue, rows: usize) -> Result<StringViewArray> {
    Ok(cast(&argument.to_array(rows)?, &DataType::Utf8View)?.as_string_view().clone())
}

#[derive(Debug, PartialEq, Eq, Hash)]
struct JsonMap {
    signature: Signature,
}

impl ScalarUDFImpl for JsonMap {
    fn name(&self) -> &'static str {
        "$json_map"
    }

    fn signature(&self) -> &Signature {
        &self.signature
    }

    fn return_type(&self, _: &[DataType]) -> Result<DataType> {
        Ok(map_type())
    }

    fn invoke_with_args(&self, args: ScalarFunctionArgs) -> Result<ColumnarValue> {
        let json = texts(&args.args[0], args.number_rows)?;
        let mut maps = MapBuilder::new(json.len());
        for row in &json {
            maps.append(row.and_then(entries).as_deref())?;
        }
        Ok(ColumnarValue::Array(maps.finish()?))
    }
}

/// A key and its value.
type Entry<'a> = (Cow<'a, str>, Option<Cow<'a, str>>);

/// The members of an object as text, or nothing if it is no object.
fn entries(json: &str) -> Option<Vec<Entry<'_>>> {
    let mut found: Vec<Entry<'_>> = Vec::new();
    let mut met: HashSet<Cow<str>> = HashSet::new();
    members(json, |key, value| {
        let known = if found.len() < FEW {
            found.iter().any(|(other, _)| *other == key)
        } else {
            if met.is_empty() {
                met.extend(found.iter().map(|(key, _)| key.clone()));
            }
            !met.insert(key.clone())
        };
        if !known {
            found.push((key, text_of(json, value)));
        }
        true
    })?;
    Some(found)
}

/// Calls `each` with the members of an object until it has enough; nothing if it is no object.
fn members<'a>(json: &'a str, mut each: impl FnMut(Cow<'a, str>, Span) -> bool) -> Option<()> {
    let mut cursor = Cursor::new(json.as_bytes(), 0);
    if !cursor.take(b'{') {
        return None;
    }
    let mut first = true;
    while let Some(key) = cursor.key(first).ok()? {
        first = false;
        let value = cursor.value().ok()?;
        if !each(string(json, key), value) {
            break;
        }
    }
    Some(())
}

fn string(json: &str, span: Span) -> Cow<'_, str> {
    let inside = &json[span.inner()];
    if span.kind == Type::PlainString {
        return Cow::Borrowed(inside);
    }
    let mut text = String::with_capacity(inside.len());
    unescape(inside, &mut text);
    Cow::Owned(text)
}

fn text_of(json: &str, value: Span) -> Option<Cow<'_, str>> {
    match value.kind {
        Type::Null => None,
        Type::PlainString | Type::EscapedString => Some(string(json, value)),
        Type::Number | Type::True | Type::False => Some(Cow::Borrowed(&json[value.range()])),
        Type::Object | Type::Array => Some(compact(&json[value.range()])),
    }
}

/// The same JSON without white space between its tokens.
fn compact(json: &str) -> Cow<'_, str> {
    let (mut inside, mut escaped) = (false, false);
    let is_blank = |found: char| {
        if inside {
            inside = escaped || found != '"';
            escaped = !escaped && found == '\\';
            return false;
        }
        inside = found == '"';
        matches!(found, ' ' | '\n' | '\r' | '\t')
    };
    let blanks: Vec<bool> = json.chars().map(is_blank).collect();
    if !blanks.contains(&true) {
        return Cow::Borrowed(json);
    }
    json.chars().zip(blanks).filter(|(_, blank)| !blank).map(|(found, _)| found).collect()
}

#[derive(Debug, PartialEq, Eq, Hash)]
struct JsonMember {
    required: bool,
    signature: Signature,
}

impl ScalarUDFImpl for JsonMember {
    fn name(&self) -> &'static str {
        if self.required { "$json_required_member" } else { "$json_member" }
    }

    fn signature(&self) -> &Signature {
        &self.signature
    }

    fn return_type(&self, _: &[DataType]) -> Result<DataType> {
        Ok(DataType::Utf8View)
    }

    fn invoke_with_args(&self, args: ScalarFunctionArgs) -> Result<ColumnarValue> {
        let json = texts(&args.args[0], args.number_rows)?;
        let ColumnarValue::Scalar(key) = &args.args[1] else {
            return exec_err!("the key of {} is a literal", self.name());
        };
        let Some(Some(key)) = key.try_as_str() else {
            return Ok(ColumnarValue::Scalar(ScalarValue::Utf8View(None)));
        };
        let mut values = StringViewBuilder::with_capacity(json.len());
        for row in &json {
            match row.and_then(|json| Some((json, member(json, key)?))) {
                Some((json, Some(value))) => values.append_option(text_of(json, value)),
                Some((_, None)) if self.required => {
                    return exec_err!("INVALID_FUNCTION_ARGUMENT: Key not present in map: {key}");
                }
                Some((_, None)) | None => values.append_null(),
            }
        }
        Ok(ColumnarValue::Array(Arc::new(values.finish())))
    }
}

/// Where the value of a member is, if the object has it; nothing if it is no object.
#[expect(clippy::option_option, reason = "no object is not the same as an object without the member")]
fn member(json: &str, wanted: &str) -> Option<Option<Span>> {
    let mut found = None;
    members(json, |key, value| {
        let is_it = key == wanted;
        if is_it {
            found = Some(value);
        }
        !is_it
    })?;
    Some(found)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn map(json: &str) -> Option<Vec<(String, Option<String>)>> {
        let owned =
            |(key, value): (Cow<str>, Option<Cow<str>>)| (key.into_owned(), value.map(Cow::into_owned));
        Some(entries(json)?.into_iter().map(owned).collect())
    }

    #[allow(clippy::option_option, reason = "no member, and a member that is null")]
    fn direct(json: &str, key: &str) -> Option<Option<String>> {
        Some(member(json, key)?.and_then(|value| Some(text_of(json, value)?.into_owned())))
    }

    #[test]
    fn every_kind_of_value_becomes_its_text() {
        let json = r#"{"s":"a\"\u00e9","n":1.50,"big":9007199254740993,"t":true,"z":null,"e":"","o":{ "a" : [1, "x y"] }}"#;
        let expected = [
            ("s", Some("a\"é")),
            ("n", Some("1.50")),
            ("big", Some("9007199254740993")),
            ("t", Some("true")),
            ("z", None),
            ("e", Some("")),
            ("o", Some(r#"{"a":[1,"x y"]}"#)),
        ];
        let owned: Vec<_> =
            expected.iter().map(|(key, value)| ((*key).to_owned(), value.map(str::to_owned))).collect();
        assert_eq!(map(json).unwrap(), owned);
    }

    #[test]
    fn what_is_no_object_has_no_map() {
        for json in ["", "[]", "\"{}\"", "null", "1", "{\"a\"", "{\"a\":}"] {
            assert_eq!(map(json), None, "{json}");
        }
        assert_eq!(map("{}"), Some(vec![]));
    }

    #[test]
    fn white_space_and_escapes_inside_strings_stay() {
        assert_eq!(compact(r#"{"a\\" : "x \" y" , "b":[ 1 ]}"#), r#"{"a\\":"x \" y","b":[1]}"#);
    }

    #[test]
    fn a_member_is_what_the_map_has_under_its_key() {
        let many: Vec<String> = (0..40).map(|n| format!("\"k{}\":{n}", n % 30)).collect();
        let documents = [
            r#"{"a":1,"a":2,"b":null}"#.to_owned(),
            "{}".to_owned(),
            "[1]".to_owned(),
            r#"{"\u0061":"escaped key","a":"second"}"#.to_owned(),
            format!("{{{}}}", many.join(",")),
        ];
        for json in documents {
            for key in ["a", "b", "c", "k3", "k29"] {
                let of_map = map(&json)
                    .map(|map| map.into_iter().find(|(name, _)| name == key).and_then(|(_, value)| value));
                assert_eq!(direct(&json, key), of_map, "{key} in {json}");
            }
        }
    }
}
