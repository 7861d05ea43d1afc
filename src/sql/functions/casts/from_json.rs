//! Casts from JSON: scalars, and arrays, maps and rows of whatever depth.
//!
//! A container is taken apart into the texts of its elements, which still stand in the column, and these
//! are cast all at once.

use std::borrow::Cow;
use std::collections::HashSet;
use std::sync::Arc;

use arrow::array::{
    ArrayRef, ArrowPrimitiveType, BooleanArray, LargeStringArray, ListArray, MapArray, PrimitiveArray,
    StringArray, StringBuilder, StructArray,
};
use arrow::buffer::{NullBuffer, OffsetBuffer};
use arrow::datatypes::{
    DataType, Decimal128Type, Float32Type, Float64Type, Int8Type, Int16Type, Int32Type, Int64Type,
};
use datafusion::common::{Result, exec_datafusion_err, internal_err};

use super::super::args::Texts;
use super::super::float_text::sql_text;
use super::super::json::{Reader, shown, unquote};
use super::super::types::Type;
use super::cast as cast_values;
use super::containers::filled;
use super::failures::Failures;
use super::number_text::{decimal, double, real};
use super::numbers::{rounded, truth};

/// Whether Trino casts JSON to a type.
pub(super) fn is_known(to: &Type) -> bool {
    match to {
        Type::Array(element) => is_known(element),
        Type::Map(key, value) => is_known_key(key) && is_known(value),
        Type::Row(members) => members.iter().all(|(_, member)| is_known(member)),
        Type::Json => true,
        _ => is_known_key(to),
    }
}

fn is_known_key(to: &Type) -> bool {
    matches!(
        to,
        Type::Boolean
            | Type::Tinyint
            | Type::Smallint
            | Type::Integer
            | Type::Bigint
            | Type::Real
            | Type::Double
            | Type::Decimal(..)
            | Type::Varchar(_)
    )
}

/// Casts a column of JSON.
pub(super) fn cast(input: &ArrayRef, to: &Type, failures: &mut Failures) -> Result<ArrayRef> {
    let texts = Texts::of(input)?;
    let is_container = matches!(to, Type::Array(_) | Type::Map(..) | Type::Row(_));
    let mut failed = failures.of_elements();
    let values: Vec<Option<&str>> = texts
        .iter()
        .enumerate()
        .map(|(row, text)| failed.note(row, whole(text?), || "Unexpected token".to_owned()))
        .collect();
    let cast = values_of(&values, to, &mut failed)?;
    failed.explain(|row, reason| {
        let text = shown(texts.get(row).unwrap_or_default());
        if is_container {
            format!("INVALID_CAST_ARGUMENT: Cannot cast to {to}. {reason}\n{text}")
        } else {
            format!("INVALID_CAST_ARGUMENT: Cannot cast '{text}' to {to}")
        }
    });
    failures.take(failed, |row| row);
    Ok(cast)
}

/// A text that is one value and nothing else.
fn whole(text: &str) -> Option<&str> {
    let mut reader = Reader::new(text);
    let value = reader.value()?;
    reader.is_at_end().then_some(value)
}

/// A JSON value: the text of a number, what a string says.
enum Token<'a> {
    Null,
    Boolean(bool),
    Integer(&'a str),
    Fraction(f64),
    Text(Cow<'a, str>),
    Container,
}

fn token(text: &str) -> Token<'_> {
    match text.as_bytes().first() {
        Some(b'{' | b'[') => Token::Container,
        Some(b'"') => Token::Text(unquote(text)),
        Some(b't') => Token::Boolean(true),
        Some(b'f') => Token::Boolean(false),
        Some(b'-' | b'0'..=b'9') if text.contains(['.', 'e', 'E']) => {
            Token::Fraction(text.parse().unwrap_or(f64::NAN))
        }
        Some(b'-' | b'0'..=b'9') => Token::Integer(text),
        _ => Token::Null,
    }
}

fn values_of(texts: &[Option<&str>], to: &Type, failures: &mut Failures) -> Result<ArrayRef> {
    Ok(match to {
        Type::Json => Arc::new(json(texts)),
        Type::Varchar(length) => Arc::new(strings(texts, *length, failures)),
        Type::Boolean => Arc::new(booleans(texts, failures)),
        Type::Tinyint => Arc::new(integers::<Int8Type>(texts, failures)),
        Type::Smallint => Arc::new(integers::<Int16Type>(texts, failures)),
        Type::Integer => Arc::new(integers::<Int32Type>(texts, failures)),
        Type::Bigint => Arc::new(integers::<Int64Type>(texts, failures)),
        Type::Real => Arc::new(reals(texts, failures)),
        Type::Double => Arc::new(doubles(texts, failures)),
        Type::Decimal(precision, scale) => {
            let values = decimals(texts, *precision, *scale, failures);
            Arc::new(values.with_precision_and_scale(*precision, *scale)?)
        }
        Type::Array(element) => array(texts, to, element, failures)?,
        Type::Map(key, value) => map(texts, to, (key, value), failures)?,
        Type::Row(members) => row(texts, to, members, failures)?,
        other => return internal_err!("no cast from json to {other}"),
    })
}

fn json(texts: &[Option<&str>]) -> LargeStringArray {
    texts.iter().copied().collect()
}

/// Converts every scalar; a JSON null is NULL. `convert` gives nothing for what cannot be cast.
fn each<V>(
    texts: &[Option<&str>],
    failures: &mut Failures,
    convert: impl Fn(&Token<'_>) -> Option<V>,
) -> impl Iterator<Item = Option<V>> {
    texts.iter().enumerate().map(move |(row, text)| {
        let text = (*text)?;
        let token = token(text);
        if let Token::Null = token {
            return None;
        }
        failures.note(row, convert(&token), || unexpected(text))
    })
}

fn unexpected(text: &str) -> String {
    match text.chars().next() {
        Some(bracket @ ('{' | '[')) => format!("Unexpected token when cast: {bracket}"),
        _ => format!("Unexpected value when cast: {text}"),
    }
}

fn strings(texts: &[Option<&str>], length: Option<usize>, failures: &mut Failures) -> StringArray {
    let mut values = StringBuilder::with_capacity(texts.len(), texts.len() * 16);
    let mut number = String::new();
    for (row, text) in texts.iter().enumerate() {
        let Some(text) = *text else {
            values.append_null();
            continue;
        };
        let value = match token(text) {
            Token::Null => None,
            Token::Boolean(_) | Token::Integer(_) => Some(Cow::Borrowed(text)),
            Token::Text(text) => Some(text),
            Token::Fraction(value) => {
                number.clear();
                sql_text(&mut number, value);
                Some(Cow::Borrowed(number.as_str()))
            }
            Token::Container => {
                failures.add(row, || unexpected(text));
                None
            }
        };
        values.append_option(value.as_deref().map(|value| cut(value, length)));
    }
    values.finish()
}

fn cut(text: &str, length: Option<usize>) -> &str {
    let end = length.and_then(|length| text.char_indices().nth(length));
    end.map_or(text, |(end, _)| &text[..end])
}

fn booleans(texts: &[Option<&str>], failures: &mut Failures) -> BooleanArray {
    each(texts, failures, |token| match token {
        Token::Boolean(value) => Some(*value),
        Token::Integer(text) => text.parse::<i64>().ok().map(|value| value != 0),
        Token::Fraction(value) => Some(*value != 0.0),
        Token::Text(text) => truth(text),
        Token::Null | Token::Container => None,
    })
    .collect()
}

fn integers<T: ArrowPrimitiveType>(texts: &[Option<&str>], failures: &mut Failures) -> PrimitiveArray<T>
where
    T::Native: TryFrom<i64>,
{
    each(texts, failures, |token| {
        let value = match token {
            Token::Boolean(value) => Some(i64::from(*value)),
            Token::Integer(text) => text.parse().ok(),
            Token::Fraction(value) => rounded(*value),
            Token::Text(text) => text.parse().ok(),
            Token::Null | Token::Container => None,
        };
        value.and_then(|value| value.try_into().ok())
    })
    .collect()
}

fn doubles(texts: &[Option<&str>], failures: &mut Failures) -> PrimitiveArray<Float64Type> {
    each(texts, failures, |token| match token {
        Token::Boolean(value) => Some(f64::from(u8::from(*value))),
        Token::Integer(text) => text.parse().ok(),
        Token::Fraction(value) => Some(*value),
        Token::Text(text) => double(text),
        Token::Null | Token::Container => None,
    })
    .collect()
}

#[expect(clippy::cast_possible_truncation, reason = "a real is the nearest to the double")]
fn reals(texts: &[Option<&str>], failures: &mut Failures) -> PrimitiveArray<Float32Type> {
    each(texts, failures, |token| match token {
        Token::Boolean(value) => Some(f32::from(u8::from(*value))),
        Token::Integer(text) => text.parse().ok(),
        Token::Fraction(value) => Some(*value as f32),
        Token::Text(text) => real(text),
        Token::Null | Token::Container => None,
    })
    .collect()
}

fn decimals(
    texts: &[Option<&str>],
    precision: u8,
    scale: i8,
    failures: &mut Failures,
) -> PrimitiveArray<Decimal128Type> {
    texts
        .iter()
        .enumerate()
        .map(|(row, text)| {
            let text = (*text)?;
            let value = match token(text) {
                Token::Null => return None,
                Token::Boolean(value) => decimal(if value { "1" } else { "0" }, precision, scale),
                Token::Integer(_) | Token::Fraction(_) => decimal(text, precision, scale),
                Token::Text(text) => decimal(&text, precision, scale),
                Token::Container => None,
            };
            failures.note(row, value, || unexpected(text))
        })
        .collect()
}

/// The ranges of elements that rows have, with the row of each element.
struct Ranges {
    lengths: Vec<usize>,
    rows: Vec<usize>,
    valid: Vec<bool>,
}

impl Ranges {
    fn new(rows: usize) -> Self {
        Self { lengths: Vec::with_capacity(rows), rows: Vec::new(), valid: Vec::with_capacity(rows) }
    }

    /// Adds the row that the elements up to `end` belong to.
    fn push(&mut self, end: usize, is_valid: bool) {
        let row = self.lengths.len();
        self.lengths.push(end - self.rows.len());
        self.rows.resize(end, row);
        self.valid.push(is_valid);
    }

    fn offsets(&self) -> Result<OffsetBuffer<i32>> {
        if i32::try_from(self.rows.len()).is_err() {
            return Err(exec_datafusion_err!("GENERIC_INSUFFICIENT_RESOURCES: too many elements"));
        }
        Ok(OffsetBuffer::from_lengths(self.lengths.iter().copied()))
    }

    fn nulls(&self) -> Option<NullBuffer> {
        Some(NullBuffer::from(self.valid.as_slice())).filter(|nulls| nulls.null_count() > 0)
    }
}

fn expected(wanted: &str, text: &str) -> String {
    let got = match text.chars().next() {
        Some(bracket @ ('{' | '[')) => bracket.to_string(),
        _ => text.to_owned(),
    };
    format!("Expected a json {wanted}, but got {}", shown(&got))
}

fn array(texts: &[Option<&str>], to: &Type, element: &Type, failures: &mut Failures) -> Result<ArrayRef> {
    let mut elements = Vec::new();
    let mut ranges = Ranges::new(texts.len());
    for (row, text) in texts.iter().enumerate() {
        let found = text.filter(|text| *text != "null");
        let is_valid = found.and_then(|text| {
            let read = push_elements(text, &mut elements);
            failures.note(row, read, || expected("array", text))
        });
        ranges.push(elements.len(), is_valid.is_some());
    }
    let mut failed = failures.of_elements();
    let values = values_of(&elements, element, &mut failed)?;
    failures.take(failed, |element| ranges.rows[element]);
    let DataType::List(field) = to.arrow() else { return internal_err!("an array is a list") };
    Ok(Arc::new(ListArray::try_new(field, ranges.offsets()?, values, ranges.nulls())?))
}

fn push_elements<'a>(text: &'a str, elements: &mut Vec<Option<&'a str>>) -> Option<()> {
    let mut reader = Reader::new(text);
    reader.expect(b'[')?;
    if reader.next_is(b']')? {
        return Some(());
    }
    loop {
        elements.push(Some(reader.value()?));
        if reader.next_is(b']')? {
            return Some(());
        }
        reader.expect(b',')?;
    }
}

/// Hands over every member of an object, until `each` gives nothing.
fn members<'a>(text: &'a str, mut each: impl FnMut(Cow<'a, str>, &'a str) -> Option<()>) -> Option<()> {
    let mut reader = Reader::new(text);
    reader.expect(b'{')?;
    if reader.next_is(b'}')? {
        return Some(());
    }
    loop {
        let key = unquote(reader.key()?);
        each(key, reader.value()?)?;
        if reader.next_is(b'}')? {
            return Some(());
        }
        reader.expect(b',')?;
    }
}

fn map(texts: &[Option<&str>], to: &Type, of: (&Type, &Type), failures: &mut Failures) -> Result<ArrayRef> {
    let mut keys: Vec<Cow<'_, str>> = Vec::new();
    let mut values = Vec::new();
    let mut ranges = Ranges::new(texts.len());
    for (row, text) in texts.iter().enumerate() {
        let found = text.filter(|text| *text != "null");
        let is_valid = found.and_then(|text| {
            let start = keys.len();
            let read = members(text, |key, value| {
                keys.push(key);
                values.push(Some(value));
                Some(())
            });
            failures.note(row, read, || expected("object", text))?;
            let unique = has_no_duplicates(&keys[start..]).then_some(());
            failures.note(row, unique, || "Duplicate keys are not allowed".to_owned())
        });
        ranges.push(keys.len(), is_valid.is_some());
    }
    let key_texts: ArrayRef = Arc::new(keys.iter().map(|key| Some(key.as_ref())).collect::<StringArray>());
    let mut failed = failures.of_elements();
    let keys = filled(cast_values(&key_texts, of.0, &mut failed)?)?;
    let values = values_of(&values, of.1, &mut failed)?;
    failures.take(failed, |element| ranges.rows[element]);
    let DataType::Map(field, _) = to.arrow() else { return internal_err!("a map") };
    let DataType::Struct(pair) = field.data_type() else { return internal_err!("a map has entries") };
    let entries = StructArray::try_new(pair.clone(), vec![keys, values], None)?;
    Ok(Arc::new(MapArray::try_new(field, ranges.offsets()?, entries, ranges.nulls(), false)?))
}

fn has_no_duplicates(keys: &[Cow<'_, str>]) -> bool {
    let mut seen = HashSet::with_capacity(keys.len());
    keys.iter().all(|key| seen.insert(key.as_ref()))
}

type Members = [(Option<String>, Type)];

fn row(texts: &[Option<&str>], to: &Type, wanted: &Members, failures: &mut Failures) -> Result<ArrayRef> {
    let mut columns: Vec<Vec<Option<&str>>> = vec![vec![None; texts.len()]; wanted.len()];
    let mut valid = Vec::with_capacity(texts.len());
    for (row, text) in texts.iter().enumerate() {
        let found = text.filter(|text| *text != "null");
        let read = found.map(|text| match text.as_bytes()[0] {
            b'{' => from_object(text, row, wanted, &mut columns),
            b'[' => from_array(text, row, &mut columns),
            _ => Err(expected("array or object", text)),
        });
        valid.push(matches!(read, Some(Ok(()))));
        if let Some(Err(reason)) = read {
            failures.add(row, || reason);
        }
    }
    let mut arrays = Vec::with_capacity(wanted.len());
    for (column, (_, of)) in columns.iter().zip(wanted) {
        arrays.push(values_of(column, of, failures)?);
    }
    let DataType::Struct(fields) = to.arrow() else { return internal_err!("a row is a struct") };
    let nulls = Some(NullBuffer::from(valid.as_slice())).filter(|nulls| nulls.null_count() > 0);
    Ok(Arc::new(StructArray::try_new_with_length(fields, arrays, nulls, texts.len())?))
}

/// Members go by their names, in whichever case; others are passed over.
fn from_object<'a>(
    text: &'a str,
    row: usize,
    wanted: &Members,
    columns: &mut [Vec<Option<&'a str>>],
) -> Result<(), String> {
    if wanted.iter().any(|(name, _)| name.is_none()) {
        return Err("Cannot cast a JSON object to anonymous row type. Input must be a JSON array.".to_owned());
    }
    let mut seen = vec![false; wanted.len()];
    let mut duplicate = None;
    let read = members(text, |key, value| {
        let is_meant = |(name, _): &(Option<String>, Type)| {
            name.as_ref().is_some_and(|name| name.to_lowercase() == key.to_lowercase())
        };
        if let Some(place) = wanted.iter().position(is_meant) {
            if seen[place] {
                duplicate = Some(key.into_owned());
                return None;
            }
            seen[place] = true;
            columns[place][row] = Some(value);
        }
        Some(())
    });
    match (duplicate, read) {
        (Some(name), _) => Err(format!("Duplicate field: {name}")),
        (None, Some(())) => Ok(()),
        (None, None) => Err("Unexpected token".to_owned()),
    }
}

fn from_array<'a>(text: &'a str, row: usize, columns: &mut [Vec<Option<&'a str>>]) -> Result<(), String> {
    let mut elements = Vec::new();
    push_elements(text, &mut elements).ok_or("Unexpected token")?;
    if elements.len() != columns.len() {
        return Err(format!(
            "Expected a json array of {} elements, but got {}",
            columns.len(),
            elements.len()
        ));
    }
    columns.iter_mut().zip(elements).for_each(|(column, element)| column[row] = element);
    Ok(())
}
