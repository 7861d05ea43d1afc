//! `JSON_OBJECT('a' : 1, KEY 'b' VALUE x NULL ON NULL)` and `JSON_ARRAY(1, 'x' ABSENT ON NULL)`. They become calls with
//! values that are JSON.

use datafusion::sql::sqlparser::ast::Expr;
use datafusion::sql::sqlparser::dialect::{Dialect as _, Precedence};
use datafusion::sql::sqlparser::parser::{Parser, ParserError};
use datafusion::sql::sqlparser::tokenizer::{Span, Token};

use super::json::{called, format_json};
use super::{Athena, CAST};
use crate::sql::syntax::{call, expect_word, text, word};

/// The functions, as the grammar has them and as they are called here.
const FUNCTIONS: [(&str, &str); 2] = [("json_object", "$json_object"), ("json_array", "$json_array")];

/// Calls that give JSON, which is then no text to be quoted.
const JSON: [&str; 3] = ["$json_object", "$json_array", "$json_query"];

/// The function that a call begins with.
pub(super) fn function(parser: &Parser) -> Option<&'static str> {
    called(parser, &FUNCTIONS)
}

/// Reads a call of one of them.
pub(super) fn parse(parser: &mut Parser, function: &'static str) -> Result<Expr, ParserError> {
    let span = parser.next_token().span;
    let object = function == "$json_object";
    parser.expect_token(&Token::LParen)?;
    let mut members = Vec::new();
    let mut on_null = None;
    let mut returning = None;
    while parser.peek_token_ref().token != Token::RParen {
        if let Some(clause) = null_clause(parser)? {
            on_null = Some(clause);
        } else if word(parser, "with") || word(parser, "without") {
            // Whether keys may stand there twice: they are written as they come.
            expect_word(parser, "unique")?;
            word(parser, "keys");
        } else if word(parser, "returning") {
            returning = Some(parser.parse_data_type()?.to_string());
            format_json(parser);
        } else {
            if !members.is_empty() {
                parser.expect_token(&Token::Comma)?;
            }
            if object {
                members.push(key(parser)?);
            }
            members.push(value(parser, span)?);
        }
    }
    parser.expect_token(&Token::RParen)?;
    let on_null = on_null.unwrap_or(if object { "null" } else { "absent" });
    let args = std::iter::once(text(on_null, span)).chain(members).collect();
    let built = call(function, args, span);
    Ok(match returning {
        Some(data_type) => call(CAST, vec![built, text(&data_type.to_lowercase(), span)], span),
        None => built,
    })
}

/// `NULL ON NULL` or `ABSENT ON NULL`; NULL alone is a value.
fn null_clause(parser: &mut Parser) -> Result<Option<&'static str>, ParserError> {
    let is_word = |token: &Token, wanted: &str| matches!(token, Token::Word(word) if word.value.eq_ignore_ascii_case(wanted));
    if !is_word(&parser.peek_nth_token_ref(1).token, "on") {
        return Ok(None);
    }
    let Some(clause) = ["null", "absent"].into_iter().find(|name| word(parser, name)) else {
        return Ok(None);
    };
    expect_word(parser, "on")?;
    expect_word(parser, "null")?;
    Ok(Some(clause))
}

/// The key of a member, up to its value: `KEY k VALUE`, `k VALUE`, `k :`.
fn key(parser: &mut Parser) -> Result<Expr, ParserError> {
    let is_word =
        matches!(&parser.peek_token_ref().token, Token::Word(word) if word.value.eq_ignore_ascii_case("key"));
    let begins_key =
        !matches!(parser.peek_nth_token_ref(1).token, Token::Colon | Token::Period | Token::LParen);
    if is_word && begins_key {
        parser.advance_token();
    }
    // Behind what binds as fast as a colon, which is an operator elsewhere.
    let key = parser.parse_subexpr(Athena.prec_value(Precedence::Colon))?;
    if !parser.consume_token(&Token::Colon) {
        expect_word(parser, "value")?;
    }
    Ok(key)
}

/// A value as JSON.
fn value(parser: &mut Parser, span: Span) -> Result<Expr, ParserError> {
    let value = parser.parse_expr()?;
    let formatted = format_json(parser);
    let is_json = matches!(&value, Expr::Function(function)
        if JSON.iter().any(|name| function.name.to_string().trim_matches('"') == *name));
    if formatted || is_json {
        return Ok(call("json_parse", vec![value], span));
    }
    Ok(call(CAST, vec![value, text("json", span)], span))
}
