//! `$like`: LIKE with a pattern that is computed. Without an escape character no character is special but
//! `%` and `_`, unlike DataFusion's LIKE.

use arrow::array::ArrayRef;
use arrow::datatypes::DataType;
use datafusion::common::{Result, exec_datafusion_err, exec_err};
use datafusion::logical_expr::ScalarUDF;

use super::super::scalar::{Arguments, Function, Kind};

/// The functions of this file.
pub(super) fn scalar() -> Vec<ScalarUDF> {
    const TAKES: &[&[Kind]] = &[&[Kind::Text, Kind::Text], &[Kind::Text, Kind::Text, Kind::Text]];
    vec![Function::new("$like", TAKES, DataType::Boolean, like).into()]
}

fn like(args: &Arguments) -> Result<ArrayRef> {
    let (texts, patterns) = (args.text(0)?, args.text(1)?);
    let escapes = if args.len() > 2 { Some(args.text(2)?) } else { None };
    let mut last: Option<(&str, Vec<Piece>)> = None;
    args.to_booleans(|row| {
        let escape = escapes.as_ref().map_or(Some(""), |escapes| escapes.at(row));
        let (Some(text), Some(pattern), Some(escape)) = (texts.at(row), patterns.at(row), escape) else {
            return Ok(None);
        };
        if let Some((_, pieces)) = last.as_ref().filter(|(last, _)| *last == pattern && escapes.is_none()) {
            return Ok(Some(matches(text, pieces)));
        }
        let with_escape = if escapes.is_some() { Some(escape_character(escape)?) } else { None };
        let (_, pieces) = last.insert((pattern, pieces(pattern, with_escape)?));
        Ok(Some(matches(text, pieces)))
    })
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Piece {
    Any,
    One,
    Is(char),
}

fn escape_character(text: &str) -> Result<char> {
    let mut characters = text.chars();
    let (Some(escape), None) = (characters.next(), characters.next()) else {
        return exec_err!("INVALID_FUNCTION_ARGUMENT: Escape string must be a single character");
    };
    Ok(escape)
}

fn pieces(pattern: &str, escape: Option<char>) -> Result<Vec<Piece>> {
    let mut pieces = Vec::new();
    let mut characters = pattern.chars();
    while let Some(character) = characters.next() {
        pieces.push(match character {
            character if Some(character) == escape => {
                let next = characters.next().filter(|next| matches!(next, '%' | '_') || Some(*next) == escape);
                Piece::Is(next.ok_or_else(|| {
                    exec_datafusion_err!(
                        "INVALID_FUNCTION_ARGUMENT: Escape character must be followed by '%', '_' or the escape character itself"
                    )
                })?)
            }
            '%' if pieces.last() == Some(&Piece::Any) => continue,
            '%' => Piece::Any,
            '_' => Piece::One,
            character => Piece::Is(character),
        });
    }
    Ok(pieces)
}

/// Goes back to the last `%` only, since what stood before it has been found where it is earliest.
fn matches(text: &str, pieces: &[Piece]) -> bool {
    let mut rest = text.chars();
    let mut at = 0;
    let mut retry = None;
    loop {
        if let Some(Piece::Any) = pieces.get(at) {
            at += 1;
            if at == pieces.len() {
                return true;
            }
            retry = Some((at, rest.clone()));
            continue;
        }
        match (pieces.get(at), rest.next()) {
            (None, None) => return true,
            (Some(Piece::One), Some(_)) => at += 1,
            (Some(Piece::Is(wanted)), Some(found)) if *wanted == found => at += 1,
            _ => {
                let Some((after, from)) = retry.as_mut() else { return false };
                if from.next().is_none() {
                    return false;
                }
                at = *after;
                rest = from.clone();
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_percent_and_underscore_are_special() {
        for (text, pattern, expected) in [
            ("GetObject", "Get%", true),
            ("GetObject", "%ject", true),
            ("GetObject", "%et%ec%", true),
            ("GetObject", "get%", false),
            ("GetObject", "____bject", true),
            ("GetObject", "GetObject_", false),
            ("GetObject", "GetObject%", true),
            ("", "", true),
            ("", "%", true),
            ("", "_", false),
            ("a\\b", "a\\b", true),
            ("aaab", "%aab", true),
            ("aab", "%ab%b", false),
            ("é", "_", true),
            ("abc", "%%", true),
            ("mississippi", "m%iss%ip%", true),
        ] {
            assert_eq!(matches(text, &pieces(pattern, None).unwrap()), expected, "{text} {pattern}");
        }
        assert!(matches("100%", &pieces("100!%", Some('!')).unwrap()));
        assert!(!matches("1000", &pieces("100!%", Some('!')).unwrap()));
        assert!(pieces("a!b", Some('!')).is_err());
        assert!(pieces("a!", Some('!')).is_err());
    }
}
