//! Values in the place of `?`: always values, never SQL.

use std::ops::ControlFlow;

use datafusion::sql::sqlparser::ast::{Expr, Query, Value, ValueWithSpan, VisitMut, VisitorMut};

use super::command::Command;

/// Puts `values` in the places of the `?` of a prepared statement, in their order.
pub(super) fn bind(command: &mut Command, values: &[Expr]) -> Result<(), String> {
    let query = match command {
        Command::Query(query)
        | Command::Explain { query, .. }
        | Command::CreateTableAs { query, .. }
        | Command::InsertInto { query, .. }
        | Command::Unload { query, .. } => query,
        _ if values.is_empty() => return Ok(()),
        _ => return Err(wrong_number(0, values.len())),
    };
    let expected = count(query);
    if expected != values.len() {
        return Err(wrong_number(expected, values.len()));
    }
    put(query, values);
    Ok(())
}

/// Puts those of `parameters` that are called `1`, `2` … in the places of the `?` of a query, as text.
pub(super) fn bind_numbered(query: &mut Query, parameters: &[(String, String)]) -> Result<(), String> {
    let expected = count(query);
    if expected == 0 {
        return Ok(());
    }
    let value = |number: usize| {
        let (_, value) = parameters.iter().find(|(name, _)| *name == number.to_string())?;
        Some(Expr::Value(Value::SingleQuotedString(value.clone()).into()))
    };
    let values: Vec<Expr> = (1..=expected).map_while(value).collect();
    if values.len() != expected {
        return Err(wrong_number(expected, values.len()));
    }
    put(query, &values);
    Ok(())
}

fn wrong_number(expected: usize, found: usize) -> String {
    format!("INVALID_PARAMETER_USAGE: Incorrect number of parameters: expected {expected} but found {found}")
}

fn is_question_mark(expr: &Expr) -> bool {
    matches!(expr, Expr::Value(ValueWithSpan { value: Value::Placeholder(name), .. }) if name == "?")
}

fn count(query: &mut Query) -> usize {
    struct Count(usize);
    impl VisitorMut for Count {
        type Break = ();
        fn pre_visit_expr(&mut self, expr: &mut Expr) -> ControlFlow<()> {
            self.0 += usize::from(is_question_mark(expr));
            ControlFlow::Continue(())
        }
    }
    let mut counted = Count(0);
    let _ = VisitMut::visit(query, &mut counted);
    counted.0
}

fn put(query: &mut Query, values: &[Expr]) {
    struct Put<'a>(std::slice::Iter<'a, Expr>);
    impl VisitorMut for Put<'_> {
        type Break = ();
        // Afterwards, so that a value is not searched for further places.
        fn post_visit_expr(&mut self, expr: &mut Expr) -> ControlFlow<()> {
            if is_question_mark(expr)
                && let Some(value) = self.0.next()
            {
                *expr = value.clone();
            }
            ControlFlow::Continue(())
        }
    }
    let _ = VisitMut::visit(query, &mut Put(values.iter()));
}
