//! `split` and `split_part`.

use std::sync::Arc;

use arrow::array::{ArrayRef, ListBuilder, StringBuilder};
use arrow::datatypes::{DataType, Field};
use datafusion::common::{Result, exec_err};
use datafusion::logical_expr::ScalarUDF;

use super::super::scalar::{Arguments, Function, Kind, put};

/// The functions of this file.
pub(super) fn scalar() -> Vec<ScalarUDF> {
    const SPLIT: &[&[Kind]] = &[&[Kind::Text, Kind::Text], &[Kind::Text, Kind::Text, Kind::BigInt]];
    const PART: &[&[Kind]] = &[&[Kind::Text, Kind::Text, Kind::BigInt]];
    vec![
        Function::new("split", SPLIT, array_of_texts(), split).into(),
        Function::new("split_part", PART, DataType::Utf8, split_part).into(),
    ]
}

/// `array(varchar)`.
pub(in super::super) fn array_of_texts() -> DataType {
    DataType::List(Arc::new(Field::new_list_field(DataType::Utf8, true)))
}

fn split(args: &Arguments) -> Result<ArrayRef> {
    let (texts, delimiters) = (args.text(0)?, args.text(1)?);
    let limits = if args.len() > 2 { Some(args.bigint(2)?) } else { None };
    let mut out = ListBuilder::new(StringBuilder::new());
    for row in 0..args.rows() {
        let limit = limits.as_ref().map_or(Some(i64::from(i32::MAX)), |limits| limits.at(row));
        let (Some(text), Some(delimiter), Some(limit)) = (texts.at(row), delimiters.at(row), limit) else {
            out.append(false);
            continue;
        };
        if delimiter.is_empty() {
            return exec_err!("INVALID_FUNCTION_ARGUMENT: The delimiter may not be the empty string");
        }
        let limit = match usize::try_from(limit) {
            Ok(limit @ 1..=0x7fff_ffff) => limit,
            Ok(0) | Err(_) => return exec_err!("INVALID_FUNCTION_ARGUMENT: Limit must be positive"),
            Ok(_) => return exec_err!("INVALID_FUNCTION_ARGUMENT: Limit is too large"),
        };
        text.splitn(limit, delimiter).for_each(|part| out.values().append_value(part));
        out.append(true);
    }
    Ok(Arc::new(out.finish()))
}

fn split_part(args: &Arguments) -> Result<ArrayRef> {
    let (texts, delimiters, indexes) = (args.text(0)?, args.text(1)?, args.bigint(2)?);
    args.to_texts(|row, out| {
        let (Some(text), Some(delimiter), Some(index)) = (texts.at(row), delimiters.at(row), indexes.at(row))
        else {
            return Ok(None);
        };
        let Some(index) = usize::try_from(index).ok().and_then(|index| index.checked_sub(1)) else {
            return exec_err!("INVALID_FUNCTION_ARGUMENT: Index must be greater than zero");
        };
        let part = if delimiter.is_empty() {
            text.char_indices().nth(index).map(|(at, c)| &text[at..at + c.len_utf8()])
        } else {
            text.split(delimiter).nth(index)
        };
        part.map(|part| put(out, part)).transpose()
    })
}
