//! Small pieces of syntax trees.

use datafusion::sql::sqlparser::ast::{
    Expr, Function, FunctionArg, FunctionArgExpr, FunctionArgumentList, FunctionArguments, Ident, ObjectName,
    ObjectNamePart, Value,
};
use datafusion::sql::sqlparser::tokenizer::Span;

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
