//! The SQL standard's functions over JSON, whose arguments are words: `json_value(j, 'lax $.a' RETURNING bigint
//! DEFAULT 0 ON EMPTY)`. They become calls with one argument for each clause.

use datafusion::sql::sqlparser::ast::{Expr, Value};
use datafusion::sql::sqlparser::parser::{Parser, ParserError};
use datafusion::sql::sqlparser::tokenizer::{Span, Token};

use super::CAST;
use crate::sql::syntax::{call, expect_word, text, word};

/// The functions, as the grammar has them and as they are called here.
const FUNCTIONS: [(&str, &str); 3] =
    [("json_value", "$json_value"), ("json_query", "$json_query"), ("json_exists", "$json_exists")];

/// What the clauses of a call say.
#[derive(Default)]
struct Clauses {
    returning: Option<String>,
    wrapper: Option<&'static str>,
    omit_quotes: bool,
    on_empty: Option<Otherwise>,
    on_error: Option<Otherwise>,
}

/// What is given where there is nothing, or an error.
enum Otherwise {
    Word(String),
    Default(Box<Expr>),
}

/// The function that a call begins with.
pub(super) fn function(parser: &Parser) -> Option<&'static str> {
    called(parser, &FUNCTIONS)
}

/// That of some functions, by their names in the grammar, of which a call begins.
pub(super) fn called(parser: &Parser, functions: &[(&'static str, &'static str)]) -> Option<&'static str> {
    let Token::Word(word) = &parser.peek_token_ref().token else { return None };
    if parser.peek_nth_token_ref(1).token != Token::LParen {
        return None;
    }
    functions.iter().find(|(name, _)| word.value.eq_ignore_ascii_case(name)).map(|(_, function)| *function)
}

/// Reads a call of one of them.
pub(super) fn parse(parser: &mut Parser, function: &'static str) -> Result<Expr, ParserError> {
    let span = parser.next_token().span;
    parser.expect_token(&Token::LParen)?;
    let input = parser.parse_expr()?;
    format_json(parser);
    parser.expect_token(&Token::Comma)?;
    let path = parser.parse_literal_string()?;
    let clauses = clauses(parser)?;
    parser.expect_token(&Token::RParen)?;
    Ok(planned(function, input, &path, clauses, span))
}

fn planned(function: &str, input: Expr, path: &str, clauses: Clauses, span: Span) -> Expr {
    let null = || Expr::Value(Value::Null.with_span(span));
    let mut args = vec![input, text(path, span)];
    if function == "$json_query" {
        args.push(text(clauses.wrapper.unwrap_or("without"), span));
        args.push(text(if clauses.omit_quotes { "omit" } else { "keep" }, span));
    }
    let mut defaults = Vec::new();
    for otherwise in [clauses.on_empty, clauses.on_error] {
        let (word, default) = match otherwise {
            Some(Otherwise::Default(value)) => {
                ("default".to_owned(), call(CAST, vec![*value, text("varchar", span)], span))
            }
            Some(Otherwise::Word(word)) => (word, null()),
            None => (String::new(), null()),
        };
        args.push(text(&word, span));
        defaults.push(default);
    }
    if function == "$json_value" {
        args.extend(defaults);
    }
    let found = call(function, args, span);
    match clauses.returning {
        Some(data_type) => call(CAST, vec![found, text(&data_type.to_lowercase(), span)], span),
        None => found,
    }
}

fn clauses(parser: &mut Parser) -> Result<Clauses, ParserError> {
    let mut clauses = Clauses::default();
    loop {
        if word(parser, "returning") {
            clauses.returning = Some(parser.parse_data_type()?.to_string());
            format_json(parser);
        } else if word(parser, "without") {
            word(parser, "array");
            expect_word(parser, "wrapper")?;
        } else if word(parser, "with") {
            let conditional = word(parser, "conditional");
            word(parser, "unconditional");
            word(parser, "array");
            expect_word(parser, "wrapper")?;
            clauses.wrapper = Some(if conditional { "conditional" } else { "with" });
        } else if word(parser, "keep") {
            quotes(parser)?;
        } else if word(parser, "omit") {
            quotes(parser)?;
            clauses.omit_quotes = true;
        } else if let Some(otherwise) = otherwise(parser)? {
            expect_word(parser, "on")?;
            if word(parser, "empty") {
                clauses.on_empty = Some(otherwise);
            } else {
                expect_word(parser, "error")?;
                clauses.on_error = Some(otherwise);
            }
        } else {
            return Ok(clauses);
        }
    }
}

fn otherwise(parser: &mut Parser) -> Result<Option<Otherwise>, ParserError> {
    if word(parser, "default") {
        return parser.parse_expr().map(|value| Some(Otherwise::Default(Box::new(value))));
    }
    if word(parser, "empty") {
        let object = word(parser, "object");
        word(parser, "array");
        return Ok(Some(Otherwise::Word(if object { "{}" } else { "[]" }.to_owned())));
    }
    let found = ["null", "error", "true", "false", "unknown"].into_iter().find(|name| word(parser, name));
    Ok(found.map(|name| Otherwise::Word(name.to_owned())))
}

fn quotes(parser: &mut Parser) -> Result<(), ParserError> {
    expect_word(parser, "quotes")?;
    if word(parser, "on") {
        expect_word(parser, "scalar")?;
        expect_word(parser, "string")?;
    }
    Ok(())
}

/// `FORMAT JSON`, which most of these are anyway; whether it stands there.
pub(super) fn format_json(parser: &mut Parser) -> bool {
    let format = word(parser, "format");
    if format {
        word(parser, "json");
    }
    format
}
