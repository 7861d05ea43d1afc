//! LIKE, BETWEEN and IN, where DataFusion reads them otherwise.

use datafusion::sql::sqlparser::ast::helpers::attached_token::AttachedToken;
use datafusion::sql::sqlparser::ast::{
    BinaryOperator, CaseWhen, Expr, Query, SelectItem, SetExpr, Spanned, TableFactor, TableWithJoins,
    UnaryOperator, Value, ValueWithSpan,
};
use datafusion::sql::sqlparser::tokenizer::Span;

use super::expressions::{ROW, all_arguments, function_name};
use crate::sql::syntax::{call, text};

/// LIKE without an escape character unless ESCAPE names one; DataFusion's is always the backslash.
pub(super) fn like(
    negated: bool,
    expr: Expr,
    pattern: Expr,
    escape_char: Option<&ValueWithSpan>,
    span: Span,
) -> Result<Expr, String> {
    let escape = match escape_char {
        None => None,
        Some(value) => match &value.value {
            Value::SingleQuotedString(text) if text.chars().count() == 1 => text.chars().next(),
            _ => return Err("INVALID_FUNCTION_ARGUMENT: Escape string must be a single character".to_owned()),
        },
    };
    if let Expr::Value(ValueWithSpan { value: Value::SingleQuotedString(written), span: at }) = &pattern {
        let pattern = Box::new(text(&like_pattern(written, escape)?, *at));
        return Ok(Expr::Like { negated, any: false, expr: Box::new(expr), pattern, escape_char: None });
    }
    let mut parts = vec![expr, pattern];
    parts.extend(escape.map(|escape| text(&escape.to_string(), span)));
    let call = call("$like", parts, span);
    Ok(if negated { Expr::UnaryOp { op: UnaryOperator::Not, expr: Box::new(call) } } else { call })
}

/// The pattern with backslashes as its escape characters.
fn like_pattern(written: &str, escape: Option<char>) -> Result<String, String> {
    let mut pattern = String::with_capacity(written.len());
    let mut chars = written.chars();
    while let Some(c) = chars.next() {
        if Some(c) == escape {
            let escaped = chars.next().filter(|next| matches!(next, '%' | '_') || Some(*next) == escape);
            let Some(next) = escaped else {
                return Err("INVALID_FUNCTION_ARGUMENT: Escape character must be followed by '%', '_' or the escape character itself".to_owned());
            };
            if matches!(next, '%' | '_' | '\\') {
                pattern.push('\\');
            }
            pattern.push(next);
        } else {
            if c == '\\' {
                pattern.push('\\');
            }
            pattern.push(c);
        }
    }
    Ok(pattern)
}

/// As two comparisons, which are planned like any other.
pub(super) fn between(expr: &Expr, negated: bool, low: Expr, high: Expr) -> Expr {
    let compare = |op, side| Expr::BinaryOp {
        left: Box::new(Expr::Nested(Box::new(expr.clone()))),
        op,
        right: Box::new(Expr::Nested(Box::new(side))),
    };
    let both = Expr::Nested(Box::new(Expr::BinaryOp {
        left: Box::new(compare(BinaryOperator::GtEq, low)),
        op: BinaryOperator::And,
        right: Box::new(compare(BinaryOperator::LtEq, high)),
    }));
    if negated { Expr::UnaryOp { op: UnaryOperator::Not, expr: Box::new(both) } } else { both }
}

/// `x IN (…)`; values that are written out are a list.
pub(super) fn is_in(expr: Box<Expr>, subquery: Box<Query>, negated: bool) -> Expr {
    match values(&subquery) {
        Some(list) => Expr::InList { expr, list, negated },
        None => in_subquery(*expr, subquery, negated),
    }
}

/// `(a, b) IN (SELECT x, y …)`: a row of columns is one value. One that has a NULL in it equals none.
fn in_subquery(expr: Expr, mut subquery: Box<Query>, negated: bool) -> Expr {
    let members = match &expr {
        Expr::Nested(inner) => members(inner),
        other => members(other),
    };
    let expr = match members {
        Some(members) if members.len() > 1 && select_rows(&mut subquery.body, members.len()) => row(members),
        _ => expr,
    };
    Expr::InSubquery { expr: Box::new(expr), subquery, negated }
}

/// The members of a row that is written out.
fn members(expr: &Expr) -> Option<Vec<Expr>> {
    let Expr::Function(function) = expr else { return None };
    (function_name(function) == ROW).then(|| all_arguments(function))
}

/// Makes of the columns that a query selects one; false if it has others than these.
fn select_rows(body: &mut SetExpr, number: usize) -> bool {
    match body {
        SetExpr::Query(query) => select_rows(&mut query.body, number),
        SetExpr::SetOperation { left, right, .. } => select_rows(left, number) && select_rows(right, number),
        SetExpr::Select(select) => {
            let value = |item: &SelectItem| match item {
                SelectItem::UnnamedExpr(expr) | SelectItem::ExprWithAlias { expr, .. } => Some(expr.clone()),
                _ => None,
            };
            let values: Option<Vec<Expr>> = select.projection.iter().map(value).collect();
            let Some(values) = values.filter(|values| values.len() == number) else { return false };
            select.projection = vec![SelectItem::UnnamedExpr(row(values))];
            true
        }
        _ => false,
    }
}

/// A row, or NULL if one of its members is.
fn row(members: Vec<Expr>) -> Expr {
    let span = members.first().map_or_else(Span::empty, Spanned::span);
    let mut token = AttachedToken::empty();
    token.0.span = span;
    let null = || Expr::Value(Value::Null.with_span(span));
    let missing = members
        .iter()
        .map(|member| CaseWhen { condition: Expr::IsNull(Box::new(member.clone())), result: null() });
    Expr::Case {
        case_token: token.clone(),
        end_token: token,
        operand: None,
        conditions: missing.collect(),
        else_result: Some(Box::new(call(ROW, members, span))),
    }
}

/// The values of `VALUES 1, 2` and `SELECT * FROM (VALUES 1, 2)`, if that is all of a query.
fn values(query: &Query) -> Option<Vec<Expr>> {
    let plain = query.with.is_none() && query.order_by.is_none() && query.limit_clause.is_none();
    match (&*query.body, plain) {
        (SetExpr::Query(inner), true) => values(inner),
        (SetExpr::Values(values), true) => {
            let rows = values.rows.iter();
            rows.map(|row| if row.len() == 1 { row.first().cloned() } else { None }).collect()
        }
        (SetExpr::Select(select), true) => {
            let whole = matches!(select.projection.as_slice(), [SelectItem::Wildcard(_)])
                && select.selection.is_none()
                && select.distinct.is_none();
            match select.from.as_slice() {
                [TableWithJoins { relation: TableFactor::Derived { subquery, .. }, joins }]
                    if whole && joins.is_empty() =>
                {
                    values(subquery)
                }
                _ => None,
            }
        }
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::like_pattern;

    #[test]
    fn a_backslash_is_a_character_like_any_other_unless_it_is_the_escape_character() {
        assert_eq!(like_pattern(r"%C:\docs%", None).unwrap(), r"%C:\\docs%");
        assert_eq!(like_pattern("%1!%.csv", Some('!')).unwrap(), r"%1\%.csv");
        assert_eq!(like_pattern(r"a\_b\\c", Some('\\')).unwrap(), r"a\_b\\c");
        assert_eq!(like_pattern("a!!b", Some('!')).unwrap(), "a!b");
        assert!(like_pattern("a!b", Some('!')).unwrap_err().starts_with("INVALID_FUNCTION_ARGUMENT"));
        assert!(like_pattern("a!", Some('!')).is_err());
    }
}
