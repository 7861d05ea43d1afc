//! `to_char(t, 'yyyy-mm-dd hh24:mi:ss')`, `to_timestamp(text, pattern)` and `to_date(text, pattern)`, which Trino has from
//! Teradata: as the functions that read and write times by the patterns of Joda.

use datafusion::sql::sqlparser::ast::{Expr, Value, ValueWithSpan};
use datafusion::sql::sqlparser::tokenizer::Span;

use crate::sql::dialect::CAST;
use crate::sql::syntax::{call, text};

/// The parts of a pattern, the longest first, and Joda's for each.
const PARTS: [(&str, &str); 8] = [
    ("yyyy", "yyyy"),
    ("hh24", "HH"),
    ("yy", "yy"),
    ("mm", "MM"),
    ("dd", "dd"),
    ("hh", "hh"),
    ("mi", "mm"),
    ("ss", "ss"),
];

/// The call that means the same; none if the pattern is not written out.
pub(super) fn written(name: &str, value: &Expr, pattern: &Expr, span: Span) -> Option<Result<Expr, String>> {
    let Expr::Value(ValueWithSpan { value: Value::SingleQuotedString(pattern), .. }) = pattern else {
        return None;
    };
    let Some(joda) = joda(pattern) else {
        let message = format!("INVALID_FUNCTION_ARGUMENT: Failed to tokenize string [{pattern}]");
        return Some(Err(message));
    };
    let pattern = text(&joda, span);
    let cast = |data_type: &str| {
        let parsed = call("parse_datetime", vec![value.clone(), pattern.clone()], span);
        call(CAST, vec![parsed, text(data_type, span)], span)
    };
    Some(Ok(match name {
        "to_timestamp" => cast("timestamp"),
        "to_date" => cast("date"),
        _ => call("format_datetime", vec![value.clone(), pattern], span),
    }))
}

fn joda(pattern: &str) -> Option<String> {
    let mut joda = String::new();
    let mut rest = pattern;
    while let Some(next) = rest.chars().next() {
        if let Some((part, meant)) = PARTS.iter().find(|(part, _)| rest.starts_with(part)) {
            joda.push_str(meant);
            rest = &rest[part.len()..];
        } else if "-/,.;: ".contains(next) {
            joda.push(next);
            rest = &rest[next.len_utf8()..];
        } else {
            return None;
        }
    }
    Some(joda)
}

#[cfg(test)]
mod tests {
    use super::joda;

    #[test]
    fn patterns_have_the_same_in_joda() {
        assert_eq!(joda("yyyy-mm-dd hh24:mi:ss").as_deref(), Some("yyyy-MM-dd HH:mm:ss"));
        assert_eq!(joda("dd/mm/yy hh:mi").as_deref(), Some("dd/MM/yy hh:mm"));
        assert_eq!(joda("YYYY"), None);
    }
}
