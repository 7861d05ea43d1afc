//! Members of structs where the struct may be of an outer query: in subqueries, and in UNNEST.
//!
//! The planner finds a column of an outer query by its name, but not a member of one. There a path becomes
//! the column with the members taken out of it one by one.

use std::collections::BTreeSet;
use std::ops::ControlFlow;

use datafusion::sql::sqlparser::ast::{Expr, Query, TableFactor, Visit, VisitMut, Visitor, VisitorMut};

use super::Names;
use super::expressions::field;

/// Takes paths apart wherever an outer query may be meant.
pub(super) fn split_paths(query: &mut Query, names: &Names) {
    let mut given = Given::default();
    let _ = Visit::visit(query, &mut given);
    let _ = VisitMut::visit(query, &mut Splitter { names, given, depth: 0 });
}

/// The names that a query gives to relations, and those of `AS t(a, b)` to columns.
#[derive(Default)]
struct Given {
    relations: BTreeSet<String>,
    columns: BTreeSet<String>,
}

impl Visitor for Given {
    type Break = ();

    fn pre_visit_table_factor(&mut self, factor: &TableFactor) -> ControlFlow<()> {
        if let TableFactor::UNNEST { alias: Some(alias), .. }
        | TableFactor::Derived { alias: Some(alias), .. }
        | TableFactor::Table { alias: Some(alias), .. } = factor
        {
            self.relations.insert(alias.name.value.clone());
            self.columns.extend(alias.columns.iter().map(|column| column.name.value.clone()));
        }
        ControlFlow::Continue(())
    }
}

struct Splitter<'a> {
    names: &'a Names,
    given: Given,
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
        let is_column = |name: &String| {
            self.names.columns.contains(name)
                || (self.given.columns.contains(name) && !self.given.relations.contains(name))
        };
        let Some(column) = idents.iter().take(2).position(|ident| is_column(&ident.value)) else { return };
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
