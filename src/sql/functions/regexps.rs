//! Functions of regular expressions, in Java's syntax.

use std::sync::Arc;

use arrow::array::{ArrayRef, ListBuilder, StringBuilder};
use arrow::datatypes::{DataType, Int64Type};
use datafusion::common::{Result, ScalarValue, exec_err};
use datafusion::logical_expr::simplify::{ExprSimplifyResult, SimplifyContext};
use datafusion::logical_expr::{Expr, ScalarUDF};
use regex::Regex;

use super::scalar::{Arguments, Function, Kind, put};
use super::text::{array_of_texts, starts_with_literal};

mod compile;
mod java;
mod replacement;
#[cfg(test)]
mod tests;

use compile::Patterns;
pub(super) use compile::compiled;
use replacement::Replacement;

/// The functions of this family.
pub(super) fn scalar() -> Vec<ScalarUDF> {
    const TWO: &[&[Kind]] = &[&[Kind::Text, Kind::Text]];
    const GROUP: &[&[Kind]] = &[&[Kind::Text, Kind::Text], &[Kind::Text, Kind::Text, Kind::BigInt]];
    const REPLACE: &[&[Kind]] = &[&[Kind::Text, Kind::Text], &[Kind::Text, Kind::Text, Kind::Text]];
    const POSITION: &[&[Kind]] = &[
        &[Kind::Text, Kind::Text],
        &[Kind::Text, Kind::Text, Kind::BigInt],
        &[Kind::Text, Kind::Text, Kind::BigInt, Kind::BigInt],
    ];
    vec![
        Function::new("regexp_like", TWO, DataType::Boolean, regexp_like).simplify(prefix_as_like).into(),
        Function::new("regexp_extract", GROUP, DataType::Utf8, regexp_extract).into(),
        Function::new("regexp_extract_all", GROUP, array_of_texts(), regexp_extract_all).into(),
        Function::new("regexp_replace", REPLACE, DataType::Utf8, regexp_replace).into(),
        Function::new("regexp_split", TWO, array_of_texts(), regexp_split).into(),
        Function::new("regexp_count", TWO, DataType::Int64, regexp_count).into(),
        Function::new("regexp_position", POSITION, DataType::Int64, regexp_position).into(),
    ]
}

fn regexp_like(args: &Arguments) -> Result<ArrayRef> {
    let texts = args.text(0)?;
    let mut patterns = Patterns::new(args, 1)?;
    args.to_booleans(|row| {
        let (Some(text), Some(regex)) = (texts.at(row), patterns.at(row)?) else { return Ok(None) };
        Ok(Some(regex.is_match(text)))
    })
}

/// `^arn:aws:` is a prefix, by which DataFusion leaves out row groups.
fn prefix_as_like(args: Vec<Expr>, info: &SimplifyContext) -> Result<ExprSimplifyResult> {
    if let Expr::Literal(ScalarValue::Utf8(Some(pattern)) | ScalarValue::Utf8View(Some(pattern)), _) =
        &args[1]
        && let Some(prefix) = pattern.strip_prefix('^')
        && prefix.chars().all(|c| c.is_alphanumeric() || " _-:/@=,;<>&%#!~'\"".contains(c))
    {
        return Ok(ExprSimplifyResult::Simplified(starts_with_literal(&args[0], prefix, info)?));
    }
    Ok(ExprSimplifyResult::Original(args))
}

/// The groups that are asked for; 0 is the whole match.
fn group_at(args: &Arguments, regex: &Regex, row: usize) -> Result<Option<usize>> {
    let group = if args.len() > 2 { args.bigint(2)?.at(row) } else { Some(0) };
    let Some(group) = group else { return Ok(None) };
    let groups = regex.captures_len() - 1;
    match usize::try_from(group) {
        Ok(group) if group <= groups => Ok(Some(group)),
        Ok(group) => {
            exec_err!("INVALID_FUNCTION_ARGUMENT: Pattern has {groups} groups. Cannot access group {group}")
        }
        Err(_) => exec_err!("INVALID_FUNCTION_ARGUMENT: Group cannot be negative"),
    }
}

fn regexp_extract(args: &Arguments) -> Result<ArrayRef> {
    let texts = args.text(0)?;
    let mut patterns = Patterns::new(args, 1)?;
    args.to_texts(|row, out| {
        let (Some(text), Some(regex)) = (texts.at(row), patterns.at(row)?) else { return Ok(None) };
        let Some(group) = group_at(args, regex, row)? else { return Ok(None) };
        let found = match group {
            0 => regex.find(text),
            group => regex.captures(text).and_then(|captures| captures.get(group)),
        };
        found.map(|found| put(out, found.as_str())).transpose()
    })
}

/// Calls `each` with every match, one after the other. As in Java, an empty one may follow a match at once,
/// which the crate's own iterators leave out.
fn for_each_match<'t, F>(regex: &Regex, text: &'t str, mut each: F) -> Result<()>
where
    F: FnMut(regex::Match<'t>) -> Result<()>,
{
    let mut from = 0;
    while from <= text.len() {
        let Some(found) = regex.find_at(text, from) else { break };
        from = next_start(text, found.start(), found.end());
        each(found)?;
    }
    Ok(())
}

/// Where the search goes on after a match: a character later if it was empty.
pub(super) fn next_start(text: &str, start: usize, end: usize) -> usize {
    if start < end {
        return end;
    }
    end + text[end..].chars().next().map_or(1, char::len_utf8)
}

fn regexp_extract_all(args: &Arguments) -> Result<ArrayRef> {
    let texts = args.text(0)?;
    let mut patterns = Patterns::new(args, 1)?;
    let mut out = ListBuilder::new(StringBuilder::new());
    for row in 0..args.rows() {
        let (Some(text), Some(regex)) = (texts.at(row), patterns.at(row)?) else {
            out.append(false);
            continue;
        };
        let Some(group) = group_at(args, regex, row)? else {
            out.append(false);
            continue;
        };
        for_each_match(regex, text, |found| {
            let value = match group {
                0 => Some(found.as_str()),
                group => regex
                    .captures_at(text, found.start())
                    .and_then(|captures| captures.get(group))
                    .map(|group| group.as_str()),
            };
            out.values().append_option(value);
            Ok(())
        })?;
        out.append(true);
    }
    Ok(Arc::new(out.finish()))
}

fn regexp_replace(args: &Arguments) -> Result<ArrayRef> {
    let texts = args.text(0)?;
    let replacements = if args.len() > 2 { Some(args.text(2)?) } else { None };
    let mut patterns = Patterns::new(args, 1)?;
    let mut last: Option<(&str, Replacement)> = None;
    args.to_texts(|row, out| {
        let replacement = replacements.as_ref().map_or(Some(""), |replacements| replacements.at(row));
        let (Some(text), Some(replacement)) = (texts.at(row), replacement) else { return Ok(None) };
        let constant = patterns.is_constant();
        let Some(regex) = patterns.at(row)? else { return Ok(None) };
        let mut end = 0;
        let mut from = 0;
        while from <= text.len() {
            let Some(found) = regex.find_at(text, from) else { break };
            // Read at the first match, as in Trino: what never matches is never wrong.
            if !constant || last.as_ref().is_none_or(|(last, _)| *last != replacement) {
                last = Some((replacement, Replacement::parse(replacement, regex)?));
            }
            put(out, &text[end..found.start()])?;
            if let Some((_, replacement)) = &last {
                replacement.write(regex, text, &found, out)?;
            }
            end = found.end();
            from = next_start(text, found.start(), end);
        }
        put(out, &text[end..]).map(Some)
    })
}

fn regexp_split(args: &Arguments) -> Result<ArrayRef> {
    let texts = args.text(0)?;
    let mut patterns = Patterns::new(args, 1)?;
    let mut out = ListBuilder::new(StringBuilder::new());
    for row in 0..args.rows() {
        let (Some(text), Some(regex)) = (texts.at(row), patterns.at(row)?) else {
            out.append(false);
            continue;
        };
        let mut end = 0;
        for_each_match(regex, text, |found| {
            out.values().append_value(&text[end..found.start()]);
            end = found.end();
            Ok(())
        })?;
        out.values().append_value(&text[end..]);
        out.append(true);
    }
    Ok(Arc::new(out.finish()))
}

fn regexp_count(args: &Arguments) -> Result<ArrayRef> {
    let texts = args.text(0)?;
    let mut patterns = Patterns::new(args, 1)?;
    args.to_numbers::<Int64Type, _>(|row| {
        let (Some(text), Some(regex)) = (texts.at(row), patterns.at(row)?) else { return Ok(None) };
        let mut count = 0;
        for_each_match(regex, text, |_| {
            count += 1;
            Ok(())
        })?;
        Ok(Some(count))
    })
}

/// The place of a match, in characters from 1; -1 if there is none.
fn regexp_position(args: &Arguments) -> Result<ArrayRef> {
    let texts = args.text(0)?;
    let mut patterns = Patterns::new(args, 1)?;
    let number = |index: usize, row: usize| -> Result<Option<i64>> {
        if args.len() > index { Ok(args.bigint(index)?.at(row)) } else { Ok(Some(1)) }
    };
    args.to_numbers::<Int64Type, _>(|row| {
        let (Some(text), Some(regex)) = (texts.at(row), patterns.at(row)?) else { return Ok(None) };
        let (Some(start), Some(occurrence)) = (number(2, row)?, number(3, row)?) else {
            return Ok(None);
        };
        if start < 1 {
            return exec_err!("INVALID_FUNCTION_ARGUMENT: start position cannot be smaller than 1");
        }
        if occurrence < 1 {
            return exec_err!("INVALID_FUNCTION_ARGUMENT: occurrence cannot be smaller than 1");
        }
        Ok(Some(position(regex, text, start, occurrence)))
    })
}

fn position(regex: &Regex, text: &str, start: i64, occurrence: i64) -> i64 {
    let skip = usize::try_from(start - 1).unwrap_or(usize::MAX);
    let Some((mut from, _)) = text.char_indices().nth(skip) else { return -1 };
    let mut left = occurrence;
    while from <= text.len() {
        let Some(found) = regex.find_at(text, from) else { break };
        left -= 1;
        if left == 0 {
            return i64::try_from(text[..found.start()].chars().count()).unwrap_or(i64::MAX - 1) + 1;
        }
        from = next_start(text, found.start(), found.end());
    }
    -1
}
