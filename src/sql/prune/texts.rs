//! What comparisons of a function of a text imply about the text: a range in which it is.
//!
//! `lower(x) = 'abc'` holds for texts of either case. The bytes of each of their characters lie between the
//! upper-case letter's and the lower-case one's, or, for the few characters beyond ASCII that turn into an
//! ASCII letter (the Kelvin sign), above it. So x is between 'ABC' and 'abc', with the last of these in
//! place of letters that have such.

use arrow::datatypes::DataType;
use datafusion::common::ScalarValue;
use datafusion::logical_expr::{Expr, ExprSchemable, Operator, lit};

use super::Context;

/// Letters which other characters beyond ASCII become by `lower`: U+0130 and U+212A.
const ALSO_LOWER_TO: [char; 2] = ['i', 'k'];

/// Letters with which what others become by `upper` begins: U+00DF, U+0131, U+017F, U+FB00 to U+FB06, and
/// those that `upper` writes as a letter and a mark.
const ALSO_UPPER_TO: [char; 9] = ['A', 'F', 'H', 'I', 'J', 'S', 'T', 'W', 'Y'];

/// What a text function does to its argument.
enum Function {
    /// The first so many characters of it.
    Prefix(usize),
    Lower,
    Upper,
}

/// What `of op value` implies about the text that `of` is made of.
pub(super) fn of_comparison(of: &Expr, op: Operator, value: &ScalarValue, context: &Context) -> Option<Expr> {
    let value = value.try_as_str()??;
    let (function, text) = parts(of)?;
    let least = |bound: &str| Some(text.clone().gt_eq(literal(text, bound, context)?));
    let below = |bound: Option<String>| Some(text.clone().lt(literal(text, &bound?, context)?));
    match (function, op) {
        (Function::Prefix(length), Operator::Eq) => {
            if value.chars().count() > length {
                return None;
            }
            both(least(value), below(after_all_with(value)))
        }
        (Function::Prefix(_), Operator::GtEq | Operator::Gt) => least(value),
        (Function::Prefix(length), Operator::LtEq | Operator::Lt) => {
            let prefix: String = value.chars().take(length).collect();
            below(after_all_with(&prefix))
        }
        (Function::Lower, Operator::Eq) => of_case(text, &lower_bounds(value)?, context),
        (Function::Upper, Operator::Eq) => of_case(text, &upper_bounds(value)?, context),
        _ => None,
    }
}

/// What `of LIKE pattern` implies.
pub(super) fn of_like(of: &Expr, pattern: &Expr, context: &Context) -> Option<Expr> {
    // Of a column itself DataFusion knows it.
    let (false, Expr::Literal(pattern, _)) = (matches!(of, Expr::Column(_)), pattern) else { return None };
    let pattern = pattern.try_as_str()??;
    // Some dialects escape with a backslash, some do not: before one, both mean the same.
    let end = pattern.find(['%', '_', '\\']).unwrap_or(pattern.len());
    starting_with(of, &pattern[..end], context)
}

/// What `starts_with(of, prefix)` implies.
pub(super) fn of_prefix(of: &Expr, prefix: &Expr, context: &Context) -> Option<Expr> {
    let Expr::Literal(prefix, _) = prefix else { return None };
    starting_with(of, prefix.try_as_str()??, context)
}

fn starting_with(of: &Expr, prefix: &str, context: &Context) -> Option<Expr> {
    if prefix.is_empty() {
        return None;
    }
    let (bounds, text) = match parts(of) {
        Some((Function::Lower, text)) => (lower_bounds(prefix)?, text),
        Some((Function::Upper, text)) => (upper_bounds(prefix)?, text),
        Some((Function::Prefix(_), text)) => ((prefix.to_owned(), prefix.to_owned()), text),
        None if is_stored(of) => ((prefix.to_owned(), prefix.to_owned()), of),
        None => return None,
    };
    let least = text.clone().gt_eq(literal(text, &bounds.0, context)?);
    let below = after_all_with(&bounds.1)?;
    Some(least.and(text.clone().lt(literal(text, &below, context)?)))
}

fn of_case(text: &Expr, (least, greatest): &(String, String), context: &Context) -> Option<Expr> {
    let least = text.clone().gt_eq(literal(text, least, context)?);
    Some(least.and(text.clone().lt_eq(literal(text, greatest, context)?)))
}

fn both(a: Option<Expr>, b: Option<Expr>) -> Option<Expr> {
    match (a, b) {
        (Some(a), Some(b)) => Some(a.and(b)),
        (a, b) => a.or(b),
    }
}

/// The function, and the stored text that it is of.
fn parts(of: &Expr) -> Option<(Function, &Expr)> {
    let of = match of {
        Expr::Cast(cast) if cast.field.data_type().is_string() => &cast.expr,
        other => other,
    };
    let Expr::ScalarFunction(call) = of else { return None };
    let (function, text) = match (call.name(), call.args.as_slice()) {
        ("lower", [text]) => (Function::Lower, text),
        ("upper", [text]) => (Function::Upper, text),
        ("substr" | "substring", [text, first, length]) if number(first)? == 1 => {
            (Function::Prefix(usize::try_from(number(length)?).ok().filter(|length| *length > 0)?), text)
        }
        _ => return None,
    };
    let text = match text {
        Expr::Cast(cast) if cast.field.data_type().is_string() => &cast.expr,
        other => other,
    };
    is_stored(text).then_some((function, text))
}

/// A column, or a member of one.
fn is_stored(expr: &Expr) -> bool {
    match expr {
        Expr::Column(_) => true,
        Expr::ScalarFunction(call) if call.name() == "get_field" => {
            let mut path = call.args.iter().skip(1);
            matches!(call.args.first(), Some(Expr::Column(_)))
                && path.all(|name| matches!(name, Expr::Literal(..)))
        }
        _ => false,
    }
}

fn number(expr: &Expr) -> Option<i64> {
    let Expr::Literal(value, _) = expr else { return None };
    match value.cast_to(&DataType::Int64).ok()? {
        ScalarValue::Int64(number) => number,
        _ => None,
    }
}

/// The literal in the type of the text that it is compared with, if that is text.
fn literal(text: &Expr, value: &str, context: &Context) -> Option<Expr> {
    let data_type = text.get_type(&context.schema).ok().filter(DataType::is_string)?;
    Some(lit(ScalarValue::from(value).cast_to(&data_type).ok()?))
}

/// A text that is greater than all that begin with `prefix`, and not than others that are greater than
/// those, as far as that can be written.
fn after_all_with(prefix: &str) -> Option<String> {
    let mut characters: Vec<char> = prefix.chars().collect();
    while let Some(last) = characters.pop() {
        let next = (u32::from(last) + 1..=u32::from(char::MAX)).find_map(char::from_u32);
        if let Some(next) = next {
            characters.push(next);
            return Some(characters.into_iter().collect());
        }
    }
    None
}

/// Between which texts those lie that `lower` makes `value` of, if it is ASCII in lower case.
fn lower_bounds(value: &str) -> Option<(String, String)> {
    let is_lower = value.is_ascii() && !value.bytes().any(|byte| byte.is_ascii_uppercase());
    is_lower.then(|| (value.to_ascii_uppercase(), up_to(value, value, &ALSO_LOWER_TO)))
}

/// Between which texts those lie that `upper` makes `value` of, if it is ASCII in upper case.
fn upper_bounds(value: &str) -> Option<(String, String)> {
    let is_upper = value.is_ascii() && !value.bytes().any(|byte| byte.is_ascii_lowercase());
    is_upper.then(|| (value.to_owned(), up_to(value, &value.to_ascii_lowercase(), &ALSO_UPPER_TO)))
}

/// `greatest` up to the first place where `value` has one of these letters: there, any character may be.
fn up_to(value: &str, greatest: &str, letters: &[char]) -> String {
    match value.find(letters) {
        Some(at) => format!("{}{}", &greatest[..at], char::MAX),
        None => greatest.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_lower_and_upper_turn_into_ascii_is_within_the_bounds() {
        for found in (0..=u32::from(char::MAX)).filter_map(char::from_u32) {
            // Trino maps each character to one, Rust to as many as Unicode says.
            let lowered: [String; 2] =
                [found.to_lowercase().collect(), found.to_lowercase().next().into_iter().collect()];
            for lowered in lowered {
                let text = format!("x{found}y");
                let lowered = format!("x{lowered}y");
                if let Some((least, greatest)) = lower_bounds(&lowered) {
                    assert!(least <= text && text <= greatest, "{text} is not within {least}..{greatest}");
                }
            }
            let uppered: [String; 2] =
                [found.to_uppercase().collect(), found.to_uppercase().next().into_iter().collect()];
            for uppered in uppered {
                let (text, uppered) = (format!("X{found}Y"), format!("X{uppered}Y"));
                if let Some((least, greatest)) = upper_bounds(&uppered) {
                    assert!(least <= text && text <= greatest, "{text} is not within {least}..{greatest}");
                }
            }
        }
    }

    #[test]
    fn bounds_of_names_are_tight() {
        assert_eq!(lower_bounds("root"), Some(("ROOT".to_owned(), "root".to_owned())));
        assert_eq!(
            lower_bounds("consolelogin"),
            Some(("CONSOLELOGIN".to_owned(), format!("consolelog{}", char::MAX)))
        );
        assert_eq!(lower_bounds("Root"), None);
        assert_eq!(lower_bounds("é"), None);
        assert_eq!(after_all_with("ab"), Some("ac".to_owned()));
        assert_eq!(after_all_with("a\u{d7ff}"), Some("a\u{e000}".to_owned()));
        assert_eq!(after_all_with(&char::MAX.to_string()), None);
    }
}
