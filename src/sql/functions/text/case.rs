//! `lower`, `upper`, and what else changes or counts characters one by one: `length`,
//! `translate`, `chr`, `codepoint`.

use std::sync::Arc;

use arrow::array::{Array, ArrayRef, AsArray, StringArray};
use arrow::buffer::Buffer;
use arrow::datatypes::{DataType, Int64Type};
use datafusion::common::{Result, exec_datafusion_err, exec_err};
use datafusion::logical_expr::ScalarUDF;

use super::super::scalar::{Arguments, Function, Kind, put};

/// The functions of this file.
pub(super) fn scalar() -> Vec<ScalarUDF> {
    const TEXT: &[&[Kind]] = &[&[Kind::Text]];
    const LENGTH: &[&[Kind]] = &[&[Kind::Text], &[Kind::Binary]];
    const THREE: &[&[Kind]] = &[&[Kind::Text, Kind::Text, Kind::Text]];
    vec![
        Function::new("lower", TEXT, DataType::Utf8, |args| change(args, &LOWER)).alias("lcase").into(),
        Function::new("upper", TEXT, DataType::Utf8, |args| change(args, &UPPER)).alias("ucase").into(),
        Function::new("length", LENGTH, DataType::Int64, length)
            .alias("char_length")
            .alias("character_length")
            .into(),
        Function::new("translate", THREE, DataType::Utf8, translate).into(),
        Function::new("chr", &[&[Kind::BigInt]], DataType::Utf8, chr).into(),
        Function::new("codepoint", TEXT, DataType::Int64, codepoint).into(),
    ]
}

/// Upper or lower case: of each character by itself, as in Java, so that a character stays one.
struct Case {
    ascii: fn(&mut str),
    ascii_bytes: fn(&[u8]) -> Vec<u8>,
    character: fn(char) -> char,
}

const LOWER: Case = Case {
    ascii: str::make_ascii_lowercase,
    ascii_bytes: <[u8]>::to_ascii_lowercase,
    character: |c| c.to_lowercase().next().unwrap_or(c),
};

const UPPER: Case = Case {
    ascii: str::make_ascii_uppercase,
    ascii_bytes: <[u8]>::to_ascii_uppercase,
    character: |c| {
        let mut upper = c.to_uppercase();
        match (upper.next(), upper.next()) {
            (Some(upper), None) => upper,
            _ => c,
        }
    },
};

fn change(args: &Arguments, case: &Case) -> Result<ArrayRef> {
    let whole = if args.literal(0).is_none() { change_column(args.one_or_all(0), case) } else { None };
    if let Some(changed) = whole {
        return Ok(changed);
    }
    let texts = args.text(0)?;
    let mut changed = String::new();
    args.to_texts(|row, out| {
        let Some(text) = texts.at(row) else { return Ok(None) };
        changed.clear();
        if text.is_ascii() {
            changed.push_str(text);
            (case.ascii)(&mut changed);
        } else {
            changed.extend(text.chars().map(case.character));
        }
        put(out, &changed).map(Some)
    })
}

/// A whole column of ASCII at once.
fn change_column(array: &ArrayRef, case: &Case) -> Option<ArrayRef> {
    let texts: &StringArray = array.as_string_opt()?;
    let used = usize::try_from(texts.value_offsets().last()? - texts.value_offsets().first()?).ok()?;
    // A slice may see but a little of a large buffer.
    if used < texts.values().len() / 2 || !texts.values().is_ascii() {
        return None;
    }
    let values = Buffer::from((case.ascii_bytes)(texts.values()));
    let changed = StringArray::try_new(texts.offsets().clone(), values, texts.nulls().cloned()).ok()?;
    Some(Arc::new(changed))
}

fn length(args: &Arguments) -> Result<ArrayRef> {
    let count = |length: usize| i64::try_from(length).ok();
    if *args.one_or_all(0).data_type() == DataType::Binary {
        let bytes = args.binary(0)?;
        return args.to_numbers::<Int64Type, _>(|row| Ok(bytes(row).and_then(|bytes| count(bytes.len()))));
    }
    let texts = args.text(0)?;
    args.to_numbers::<Int64Type, _>(|row| Ok(texts.at(row).and_then(|text| count(text.chars().count()))))
}

/// A character of `from` becomes the one at its place in `to`, or nothing if `to` is shorter.
fn translate(args: &Arguments) -> Result<ArrayRef> {
    let (texts, from, to) = (args.text(0)?, args.text(1)?, args.text(2)?);
    let mut changed = String::new();
    args.to_texts(|row, out| {
        let (Some(text), Some(from), Some(to)) = (texts.at(row), from.at(row), to.at(row)) else {
            return Ok(None);
        };
        changed.clear();
        changed.extend(text.chars().filter_map(|c| match from.chars().position(|from| from == c) {
            Some(place) => to.chars().nth(place),
            None => Some(c),
        }));
        put(out, &changed).map(Some)
    })
}

fn chr(args: &Arguments) -> Result<ArrayRef> {
    let codes = args.bigint(0)?;
    args.to_texts(|row, out| {
        let Some(code) = codes.at(row) else { return Ok(None) };
        let character = u32::try_from(code).ok().and_then(char::from_u32).ok_or_else(|| {
            exec_datafusion_err!("INVALID_FUNCTION_ARGUMENT: Not a valid Unicode code point: {code}")
        })?;
        put(out, character.encode_utf8(&mut [0; 4])).map(Some)
    })
}

fn codepoint(args: &Arguments) -> Result<ArrayRef> {
    let texts = args.text(0)?;
    args.to_numbers::<Int64Type, _>(|row| {
        let Some(text) = texts.at(row) else { return Ok(None) };
        let mut characters = text.chars();
        let (Some(one), None) = (characters.next(), characters.next()) else {
            return exec_err!("INVALID_FUNCTION_ARGUMENT: Input string must be a single character string");
        };
        Ok(Some(i64::from(u32::from(one))))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_part_of_a_column_keeps_its_place() {
        let texts = StringArray::from(vec![Some("One"), Some("Two"), None, Some("Four")]);
        let all: ArrayRef = Arc::new(texts.slice(1, 3));
        let lower = change_column(&all, &LOWER).unwrap();
        assert_eq!(lower.as_ref(), &StringArray::from(vec![Some("two"), None, Some("four")]) as &dyn Array);
        let few: ArrayRef = Arc::new(texts.slice(3, 0));
        assert!(change_column(&few, &LOWER).is_none());
        let other: ArrayRef = Arc::new(StringArray::from(vec!["É"]));
        assert!(change_column(&other, &LOWER).is_none());
    }
}
