//! What replaces a match: `$1` and `${name}` are groups, `\$` is a dollar.

use arrow::array::StringBuilder;
use datafusion::common::{Result, exec_err};
use regex::{Match, Regex};

use super::super::scalar::put;

/// A replacement, once it is read.
pub(super) struct Replacement {
    parts: Vec<Part>,
}

enum Part {
    Literal(String),
    Group(usize),
}

impl Replacement {
    pub(super) fn parse(text: &str, regex: &Regex) -> Result<Self> {
        let mut parts = Vec::new();
        let mut literal = String::new();
        let mut rest = text.chars().peekable();
        let illegal = || exec_err!("INVALID_FUNCTION_ARGUMENT: Illegal replacement sequence: {text}");
        while let Some(character) = rest.next() {
            match character {
                '\\' => match rest.next() {
                    Some(escaped) => literal.push(escaped),
                    None => return illegal(),
                },
                '$' => {
                    let group = match rest.peek() {
                        Some('{') => {
                            let name: String = rest.by_ref().skip(1).take_while(|c| *c != '}').collect();
                            named(&name, regex)?
                        }
                        Some(digit) if digit.is_ascii_digit() => numbered(&mut rest, regex)?,
                        _ => return illegal(),
                    };
                    parts.push(Part::Literal(std::mem::take(&mut literal)));
                    parts.push(Part::Group(group));
                }
                other => literal.push(other),
            }
        }
        parts.push(Part::Literal(literal));
        Ok(Self { parts })
    }

    /// Writes it for one match.
    pub(super) fn write(
        &self,
        regex: &Regex,
        text: &str,
        found: &Match<'_>,
        out: &mut StringBuilder,
    ) -> Result<()> {
        let groups = self.parts.iter().any(|part| matches!(part, Part::Group(1..)));
        let captures = if groups { regex.captures_at(text, found.start()) } else { None };
        for part in &self.parts {
            match part {
                Part::Literal(text) => put(out, text)?,
                Part::Group(0) => put(out, found.as_str())?,
                // A group that took no part is empty.
                Part::Group(group) => {
                    let group = captures.as_ref().and_then(|captures| captures.get(*group));
                    put(out, group.map_or("", |group| group.as_str()))?;
                }
            }
        }
        Ok(())
    }
}

fn named(name: &str, regex: &Regex) -> Result<usize> {
    match regex.capture_names().position(|group| group == Some(name)) {
        Some(group) => Ok(group),
        None => {
            exec_err!("INVALID_FUNCTION_ARGUMENT: Illegal replacement sequence: unknown group {{ {name} }}")
        }
    }
}

/// As many digits as there is a group for: `$12` may be the group 1 and a 2.
fn numbered(rest: &mut std::iter::Peekable<std::str::Chars<'_>>, regex: &Regex) -> Result<usize> {
    let mut group = 0;
    let mut first = true;
    while let Some(digit) = rest.peek().and_then(|c| c.to_digit(10)) {
        let longer = group * 10 + digit as usize;
        if longer >= regex.captures_len() {
            if first {
                return exec_err!(
                    "INVALID_FUNCTION_ARGUMENT: Illegal replacement sequence: unknown group {longer}"
                );
            }
            break;
        }
        (group, first) = (longer, false);
        rest.next();
    }
    Ok(group)
}
