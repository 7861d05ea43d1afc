//! Parts of a text by their place: `substr`, `strpos`, `starts_with`; and `replace`.

use arrow::array::{ArrayRef, BinaryBuilder};
use arrow::datatypes::{DataType, Int64Type};
use datafusion::common::{Result, ScalarValue, exec_err};
use datafusion::logical_expr::expr::Like;
use datafusion::logical_expr::simplify::{ExprSimplifyResult, SimplifyContext};
use datafusion::logical_expr::{Expr, ScalarUDF};
use std::sync::Arc;

use super::super::scalar::{Arguments, Function, Kind, put};

/// The functions of this file.
pub(super) fn scalar() -> Vec<ScalarUDF> {
    const SUBSTR: &[&[Kind]] = &[
        &[Kind::Text, Kind::BigInt],
        &[Kind::Text, Kind::BigInt, Kind::BigInt],
        &[Kind::Binary, Kind::BigInt],
        &[Kind::Binary, Kind::BigInt, Kind::BigInt],
    ];
    const STRPOS: &[&[Kind]] = &[&[Kind::Text, Kind::Text], &[Kind::Text, Kind::Text, Kind::BigInt]];
    const REPLACE: &[&[Kind]] = &[&[Kind::Text, Kind::Text], &[Kind::Text, Kind::Text, Kind::Text]];
    const TWO: &[&[Kind]] = &[&[Kind::Text, Kind::Text]];
    vec![
        Function::new("substr", SUBSTR, DataType::Utf8, substr)
            .alias("substring")
            .returns(|args| {
                let binary = *args.arg_fields[0].data_type() == DataType::Binary;
                Ok(if binary { DataType::Binary } else { DataType::Utf8 })
            })
            .into(),
        Function::new("strpos", STRPOS, DataType::Int64, strpos).alias("instr").into(),
        Function::new("replace", REPLACE, DataType::Utf8, replace).into(),
        Function::new("starts_with", TWO, DataType::Boolean, starts_with)
            .simplify(|args, info| match &args[1] {
                Expr::Literal(ScalarValue::Utf8(Some(prefix)) | ScalarValue::Utf8View(Some(prefix)), _) => {
                    Ok(ExprSimplifyResult::Simplified(starts_with_literal(&args[0], prefix, info)?))
                }
                _ => Ok(ExprSimplifyResult::Original(args)),
            })
            .into(),
    ]
}

/// Where `length` of `count` things from `start` begin and end; from the end, if `start` is negative.
fn range(start: i64, length: i64, count: impl Fn() -> usize) -> Option<(usize, usize)> {
    let skip = match start {
        0 => return None,
        start if start > 0 => usize::try_from(start - 1).ok()?,
        start => count().checked_sub(usize::try_from(start.unsigned_abs()).ok()?)?,
    };
    let length = usize::try_from(length).ok().filter(|length| *length > 0)?;
    Some((skip, length))
}

fn substr(args: &Arguments) -> Result<ArrayRef> {
    let starts = args.bigint(1)?;
    let lengths = if args.len() > 2 { Some(args.bigint(2)?) } else { None };
    let length_at = |row| lengths.as_ref().map_or(Some(i64::MAX), |lengths| lengths.at(row));
    if *args.return_type() == DataType::Binary {
        let bytes = args.binary(0)?;
        let mut out = BinaryBuilder::new();
        for row in 0..args.rows() {
            let (Some(bytes), Some(start), Some(length)) = (bytes(row), starts.at(row), length_at(row))
            else {
                out.append_null();
                continue;
            };
            let (skip, length) = range(start, length, || bytes.len()).unwrap_or((0, 0));
            let rest = bytes.get(skip..).unwrap_or_default();
            out.append_value(&rest[..length.min(rest.len())]);
        }
        return Ok(Arc::new(out.finish()));
    }
    let texts = args.text(0)?;
    args.to_texts(|row, out| {
        let (Some(text), Some(start), Some(length)) = (texts.at(row), starts.at(row), length_at(row)) else {
            return Ok(None);
        };
        put(out, part(text, start, length)).map(Some)
    })
}

fn part(text: &str, start: i64, length: i64) -> &str {
    let Some((skip, length)) = range(start, length, || text.chars().count()) else { return "" };
    let rest = &text[place(text, skip)..];
    &rest[..place(rest, length)]
}

/// The byte at which the character number `count` begins, counted from 0; the end if there is none.
pub(super) fn place(text: &str, count: usize) -> usize {
    let head = text.as_bytes().get(..count).unwrap_or(text.as_bytes());
    if head.is_ascii() && (head.len() == text.len() || text.is_char_boundary(count)) {
        return head.len();
    }
    text.char_indices().nth(count).map_or(text.len(), |(place, _)| place)
}

fn strpos(args: &Arguments) -> Result<ArrayRef> {
    let (texts, parts) = (args.text(0)?, args.text(1)?);
    let instances = if args.len() > 2 { Some(args.bigint(2)?) } else { None };
    args.to_numbers::<Int64Type, _>(|row| {
        let instance = instances.as_ref().map_or(Some(1), |instances| instances.at(row));
        let (Some(text), Some(part), Some(instance)) = (texts.at(row), parts.at(row), instance) else {
            return Ok(None);
        };
        if instance == 0 {
            return exec_err!("INVALID_FUNCTION_ARGUMENT: 'instance' must be a positive or negative number.");
        }
        let found = if part.is_empty() { Some(0) } else { find(text, part, instance) };
        Ok(Some(found.map_or(0, |at| i64::try_from(text[..at].chars().count()).unwrap_or(0) + 1)))
    })
}

/// The byte at which the instance begins; instances may overlap.
fn find(text: &str, part: &str, instance: i64) -> Option<usize> {
    let step = part.chars().next()?.len_utf8();
    let mut wanted = instance.unsigned_abs();
    if instance > 0 {
        let mut from = 0;
        loop {
            let at = from + text[from..].find(part)?;
            wanted -= 1;
            if wanted == 0 {
                return Some(at);
            }
            from = at + step;
        }
    }
    let mut to = text.len();
    loop {
        let at = text[..to].rfind(part)?;
        wanted -= 1;
        if wanted == 0 {
            return Some(at);
        }
        // The next one may begin just before this one, and end within it.
        let before = text[..at].chars().next_back()?.len_utf8();
        to = place_within(text, at - before + part.len());
    }
}

fn place_within(text: &str, at: usize) -> usize {
    (at..=text.len()).find(|at| text.is_char_boundary(*at)).unwrap_or(text.len())
}

fn replace(args: &Arguments) -> Result<ArrayRef> {
    let (texts, searches) = (args.text(0)?, args.text(1)?);
    let replacements = if args.len() > 2 { Some(args.text(2)?) } else { None };
    args.to_texts(|row, out| {
        let replacement = replacements.as_ref().map_or(Some(""), |replacements| replacements.at(row));
        let (Some(text), Some(search), Some(replacement)) = (texts.at(row), searches.at(row), replacement)
        else {
            return Ok(None);
        };
        let mut end = 0;
        for (at, found) in text.match_indices(search) {
            put(out, &text[end..at])?;
            put(out, replacement)?;
            end = at + found.len();
        }
        put(out, &text[end..]).map(Some)
    })
}

/// A LIKE, by which DataFusion leaves out row groups.
pub(in super::super) fn starts_with_literal(
    text: &Expr,
    prefix: &str,
    info: &SimplifyContext,
) -> Result<Expr> {
    let mut pattern = String::new();
    for character in prefix.chars() {
        if matches!(character, '%' | '_' | '\\') {
            pattern.push('\\');
        }
        pattern.push(character);
    }
    pattern.push('%');
    let pattern = match info.get_data_type(text)? {
        DataType::Utf8View => ScalarValue::Utf8View(Some(pattern)),
        _ => ScalarValue::Utf8(Some(pattern)),
    };
    let pattern = Expr::Literal(pattern, None);
    Ok(Expr::Like(Like::new(false, Box::new(text.clone()), Box::new(pattern), None, false)))
}

fn starts_with(args: &Arguments) -> Result<ArrayRef> {
    let (texts, prefixes) = (args.text(0)?, args.text(1)?);
    args.to_booleans(|row| {
        let (Some(text), Some(prefix)) = (texts.at(row), prefixes.at(row)) else { return Ok(None) };
        Ok(Some(text.starts_with(prefix)))
    })
}
