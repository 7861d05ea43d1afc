//! Trino's grammar, where the parser's own does not have it: types in CAST, typed literals, lambdas.

use std::any::TypeId;

use datafusion::sql::sqlparser::ast::{Expr, Value};
use datafusion::sql::sqlparser::dialect::{Dialect, GenericDialect};
use datafusion::sql::sqlparser::keywords::Keyword;
use datafusion::sql::sqlparser::parser::{Parser, ParserError};
use datafusion::sql::sqlparser::tokenizer::{Token, Word};

use super::syntax::{call, text};

mod json;
mod json_build;

/// What `CAST` and `TRY_CAST` become: functions of a value and the text of a type.
pub(super) const CAST: &str = "$cast";
pub(super) const TRY_CAST: &str = "$try_cast";

/// Types that may stand before a literal: `IPADDRESS '10.0.0.1'`.
const LITERAL_TYPES: &[&str] = &[
    "BIGINT",
    "BOOLEAN",
    "CHAR",
    "DATE",
    "DECIMAL",
    "DOUBLE",
    "INT",
    "INTEGER",
    "IPADDRESS",
    "IPPREFIX",
    "JSON",
    "REAL",
    "SMALLINT",
    "TIME",
    "TIMESTAMP",
    "TINYINT",
    "UUID",
    "VARCHAR",
];

/// The dialect of Athena and of `CloudTrail` Lake.
#[derive(Debug)]
pub(super) struct Athena;

impl Dialect for Athena {
    // The parser asks in places which dialect this is; the general one is the closest.
    fn dialect(&self) -> TypeId {
        TypeId::of::<GenericDialect>()
    }

    fn is_delimited_identifier_start(&self, ch: char) -> bool {
        // Athena takes backquotes in DDL only; taking them everywhere does no harm.
        ch == '"' || ch == '`'
    }

    fn is_identifier_start(&self, ch: char) -> bool {
        ch.is_alphabetic() || ch == '_'
    }

    fn is_identifier_part(&self, ch: char) -> bool {
        ch.is_alphanumeric() || ch == '_'
    }

    fn supports_unicode_string_literal(&self) -> bool {
        true
    }

    fn supports_group_by_expr(&self) -> bool {
        true
    }

    fn supports_filter_during_aggregation(&self) -> bool {
        true
    }

    fn supports_window_function_null_treatment_arg(&self) -> bool {
        true
    }

    fn supports_window_clause_named_window_reference(&self) -> bool {
        true
    }

    fn supports_lambda_functions(&self) -> bool {
        true
    }

    fn supports_numeric_literal_underscores(&self) -> bool {
        true
    }

    fn supports_parens_around_table_factor(&self) -> bool {
        true
    }

    fn supports_values_as_table_factor(&self) -> bool {
        true
    }

    fn supports_left_associative_joins_without_parens(&self) -> bool {
        true
    }

    fn supports_select_wildcard_exclude(&self) -> bool {
        true
    }

    fn supports_select_wildcard_except(&self) -> bool {
        true
    }

    fn supports_dollar_placeholder(&self) -> bool {
        true
    }

    fn parse_prefix(&self, parser: &mut Parser) -> Option<Result<Expr, ParserError>> {
        if let Some(function) = json::function(parser) {
            return Some(json::parse(parser, function));
        }
        if let Some(function) = json_build::function(parser) {
            return Some(json_build::parse(parser, function));
        }
        let token = parser.peek_token_ref();
        let Token::Word(word) = &token.token else { return None };
        if word.quote_style.is_some() {
            return None;
        }
        let function = match word.keyword {
            Keyword::CAST => CAST,
            Keyword::TRY_CAST => TRY_CAST,
            _ => return typed_literal(parser).map(Ok),
        };
        if parser.peek_nth_token_ref(1).token != Token::LParen {
            return None;
        }
        Some(cast(parser, function))
    }
}

/// `CAST(value AS type)`, where the type is whatever stands before the closing parenthesis: which
/// types there are is known where it is planned.
fn cast(parser: &mut Parser, function: &str) -> Result<Expr, ParserError> {
    let span = parser.next_token().span;
    parser.expect_token(&Token::LParen)?;
    let value = parser.parse_expr()?;
    parser.expect_keyword(Keyword::AS)?;
    let data_type = type_text(parser)?;
    parser.expect_token(&Token::RParen)?;
    Ok(call(function, vec![value, text(&data_type, span)], span))
}

/// The words of a type, up to the parenthesis that closes the cast.
fn type_text(parser: &mut Parser) -> Result<String, ParserError> {
    let mut words = String::new();
    let mut depth = 0_usize;
    loop {
        let next = parser.peek_token_ref();
        let word = match &next.token {
            Token::RParen if depth == 0 && !words.is_empty() => return Ok(words),
            Token::LParen | Token::Lt => {
                depth += 1;
                next.token.to_string()
            }
            Token::RParen | Token::Gt if depth > 0 => {
                depth -= 1;
                next.token.to_string()
            }
            Token::ShiftRight if depth > 1 => {
                depth -= 2;
                next.token.to_string()
            }
            Token::Comma | Token::Colon if depth > 0 => next.token.to_string(),
            Token::Word(_) | Token::Number(..) => next.token.to_string(),
            _ => return parser.expected_ref("a type", next).map(|()| String::new()),
        };
        if matches!(next.token, Token::Word(_) | Token::Number(..)) && ends_with_word(&words) {
            words.push(' ');
        }
        words.push_str(&word);
        parser.advance_token();
    }
}

fn ends_with_word(text: &str) -> bool {
    text.ends_with(|last: char| last.is_alphanumeric() || matches!(last, '_' | '"' | ')' | ','))
}

/// `TYPE '…'` and `TYPE(n) '…'`, if that is what follows.
fn typed_literal(parser: &mut Parser) -> Option<Expr> {
    let Token::Word(Word { value, .. }) = &parser.peek_token_ref().token else { return None };
    let mut data_type = value.to_uppercase();
    if !LITERAL_TYPES.contains(&data_type.as_str()) {
        return None;
    }
    let mut at = 1;
    if parser.peek_nth_token_ref(1).token == Token::LParen {
        let Token::Number(digits, _) = &parser.peek_nth_token_ref(2).token else { return None };
        if parser.peek_nth_token_ref(3).token != Token::RParen {
            return None;
        }
        data_type = format!("{data_type}({digits})");
        at = 4;
    }
    let Token::SingleQuotedString(literal) = &parser.peek_nth_token_ref(at).token else { return None };
    let literal = literal.clone();
    let span = parser.peek_token_ref().span;
    for _ in 0..=at {
        parser.advance_token();
    }
    let value = Expr::Value(Value::SingleQuotedString(literal.clone()).with_span(span));
    if data_type == "JSON" {
        return Some(call("json_parse", vec![value], span));
    }
    if data_type == "DECIMAL"
        && let Some((precision, scale)) = exact_size(&literal)
    {
        data_type = format!("DECIMAL({precision}, {scale})");
    }
    if data_type.starts_with("TIMESTAMP") && has_zone(&literal) {
        data_type.push_str(" WITH TIME ZONE");
    }
    Some(call(CAST, vec![value, text(&data_type.to_lowercase(), span)], span))
}

/// The precision and the scale of a number that is written out: those of its digits.
fn exact_size(literal: &str) -> Option<(usize, usize)> {
    let digits = literal.trim().trim_start_matches(['+', '-']);
    let (whole, fraction) = digits.split_once('.').unwrap_or((digits, ""));
    let all_digits = |text: &str| text.bytes().all(|byte| byte.is_ascii_digit());
    let precision = (whole.trim_start_matches('0').len() + fraction.len()).max(1);
    (all_digits(whole) && all_digits(fraction)).then_some((precision, fraction.len()))
}

/// Whether a time is followed by a zone: `2026-01-05 13:51:00 America/New_York`, `… +01:00`, `…Z`.
fn has_zone(literal: &str) -> bool {
    let Some((_, time)) = literal.trim().split_once([' ', 'T']) else { return false };
    time.contains(|c: char| c.is_ascii_alphabetic() || matches!(c, '+' | '-'))
}
