//! Members of structs where the struct may be of an outer query: in subqueries, and in UNNEST.
//!
//! The planner finds a column of an outer query by its name, but not a member of one. There a path becomes
//! the column with the members taken out of it one by one.

use std::ops::ControlFlow;

use datafusion::sql::sqlparser::ast::{Expr, Query, TableFactor, VisitMut, VisitorMut};

use super::Names;
use super::expressions::field;

/// Takes paths apart wherever an outer query may be meant.
pub(super) fn split_paths(query: &mut Query, names: &Names) {
    let _ = VisitMut::visit(query, &mut Splitter { names, depth: 0 });
}

struct Splitter<'a> {
    names: &'a Names,
    /// How many subqueries and calls of UNNEST there are around the expression.
    depth: usize,
}

impl VisitorMut for Splitter<'_> {
    type Break = ();

    fn pre_visit_table_factor(&mut self, factor: &mut TableFactor) -> ControlFlow<()> {
        self.depth += usize::from(matches!(factor, TableFactor::UNNEST { .. }));
        ControlFlow::Continue(())
    }

    fn post_visit_table_factor(&mut self, factor: &mut TableFactor) -> ControlFlow<()> {
        self.depth -= usize::from(matches!(factor, TableFactor::UNNEST { .. }));
        ControlFlow::Continue(())
    }

    fn pre_visit_expr(&mut self, expr: &mut Expr) -> ControlFlow<()> {
        self.depth += usize::from(is_subquery(expr));
        ControlFlow::Continue(())
    }

    fn post_visit_expr(&mut self, expr: &mut Expr) -> ControlFlow<()> {
        self.depth -= usize::from(is_subquery(expr));
        if self.depth > 0 {
            self.split(expr);
        }
        ControlFlow::Continue(())
    }
}

fn is_subquery(expr: &Expr) -> bool {
    matches!(expr, Expr::Subquery(_) | Expr::Exists { .. } | Expr::InSubquery { .. })
}

impl Splitter<'_> {
    fn split(&self, expr: &mut Expr) {
        let Expr::CompoundIdentifier(idents) = expr else { return };
        let Some(column) = idents.iter().take(2).position(|ident| self.names.columns.contains(&ident.value))
        else {
            return;
        };
        let members = idents.split_off(column + 1);
        let mut rest = std::mem::replace(expr, Expr::Tuple(Vec::new()));
        if let Expr::CompoundIdentifier(idents) = &mut rest
            && idents.len() == 1
            && let Some(only) = idents.pop()
        {
            rest = Expr::Identifier(only);
        }
        *expr = members.iter().fold(rest, field);
    }
}
