//! Small pieces of syntax trees, and of reading them.

use datafusion::sql::sqlparser::ast::{
    Expr, Function, FunctionArg, FunctionArgExpr, FunctionArgumentList, FunctionArguments, Ident, ObjectName,
    ObjectNamePart, Value,
};
use datafusion::sql::sqlparser::parser::{Parser, ParserError};
use datafusion::sql::sqlparser::tokenizer::{Span, Token};

/// The call of a function. `span` is where errors about it point.
pub(super) fn call(name: &str, args: Vec<Expr>, span: Span) -> Expr {
    let args = args.into_iter().map(|arg| FunctionArg::Unnamed(FunctionArgExpr::Expr(arg))).collect();
    Expr::Function(Function {
        name: ObjectName(vec![ObjectNamePart::Identifier(ident(name, span))]),
        uses_odbc_syntax: false,
        parameters: FunctionArguments::None,
        args: FunctionArguments::List(FunctionArgumentList {
            duplicate_treatment: None,
            args,
            clauses: Vec::new(),
        }),
        filter: None,
        null_treatment: None,
        over: None,
        within_group: Vec::new(),
    })
}

/// A name that stands for itself, whatever its case and whatever else it could mean.
pub(super) fn ident(name: &str, span: Span) -> Ident {
    Ident { value: name.to_owned(), quote_style: Some('"'), span }
}

/// A text literal.
pub(super) fn text(value: &str, span: Span) -> Expr {
    Expr::Value(Value::SingleQuotedString(value.to_owned()).with_span(span))
}

/// Takes a word if it comes next.
pub(super) fn word(parser: &mut Parser, wanted: &str) -> bool {
    let found = matches!(&parser.peek_token_ref().token, Token::Word(word)
        if word.quote_style.is_none() && word.value.eq_ignore_ascii_case(wanted));
    if found {
        parser.advance_token();
    }
    found
}

/// Takes a word, which has to come next. An error names it as the grammar does, in capitals.
pub(super) fn expect_word(parser: &mut Parser, wanted: &str) -> Result<(), ParserError> {
    if word(parser, wanted) {
        return Ok(());
    }
    parser.expected_ref(&wanted.to_uppercase(), parser.peek_token_ref())
}
