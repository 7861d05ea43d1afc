//! Structs that are used as a whole have the members of AWS's table definition, in its order.
//!
//! Records have more members than that definition knows, and a query can name each of them. But `resources`
//! as a whole, `SELECT *`, `typeof` and UNNEST are to give what Athena gives. A query that names any of the
//! further members sees all of them.

use std::collections::BTreeSet;
use std::ops::ControlFlow;

use datafusion::sql::sqlparser::ast::{
    Expr, Function, Query, Select, SelectItem, Spanned as _, TableFactor, Value, ValueWithSpan, Visit,
    VisitMut, Visitor, VisitorMut,
};

use super::Names;
use super::expressions::function_name;
use crate::sql::CLOUDTRAIL_LOGS;
use crate::sql::ddl::{EXTRA_MEMBERS, NARROW, STRUCTS};
use crate::sql::faces::FACES;
use crate::sql::syntax::{call, ident};

/// Narrows whole structs in a query of `cloudtrail_logs`.
pub(super) fn narrow(query: &mut Query, names: &Names) {
    let mut used = Used::default();
    let _ = Visit::visit(query, &mut used);
    let other_face = names.lake_face.as_ref().is_some_and(|face| used.tables.contains(face));
    if used.extra || other_face || !used.tables.contains(CLOUDTRAIL_LOGS) {
        return;
    }
    let _ = VisitMut::visit(query, &mut Narrow);
}

#[derive(Default)]
struct Used {
    tables: BTreeSet<String>,
    /// Whether a member is named that AWS's definition does not have.
    extra: bool,
}

impl Visitor for Used {
    type Break = ();

    fn pre_visit_table_factor(&mut self, factor: &TableFactor) -> ControlFlow<()> {
        if let TableFactor::Table { name, .. } = factor {
            let parts: Vec<_> = name.0.iter().filter_map(|part| part.as_ident()).collect();
            let is_face = parts.first().is_some_and(|schema| schema.value == FACES);
            let table = parts.last().map(|ident| ident.value.clone());
            self.tables.extend(if is_face { Some(CLOUDTRAIL_LOGS.to_owned()) } else { table });
        }
        ControlFlow::Continue(())
    }

    fn pre_visit_expr(&mut self, expr: &Expr) -> ControlFlow<()> {
        let is_extra = |name: &str| EXTRA_MEMBERS.contains(&name);
        self.extra |= match expr {
            Expr::CompoundIdentifier(idents) => idents.iter().skip(1).any(|ident| is_extra(&ident.value)),
            // The name of a member in `$field(row, 'name')`.
            Expr::Value(ValueWithSpan { value: Value::SingleQuotedString(text), .. }) => is_extra(text),
            _ => false,
        };
        ControlFlow::Continue(())
    }
}

struct Narrow;

impl VisitorMut for Narrow {
    type Break = ();

    fn pre_visit_select(&mut self, select: &mut Select) -> ControlFlow<()> {
        for item in &mut select.projection {
            // What stands for itself keeps its name.
            if let SelectItem::UnnamedExpr(expr) = item
                && is_whole(expr)
                && let Expr::Identifier(name) = &expr
            {
                let alias = ident(&name.value, name.span);
                *item = SelectItem::ExprWithAlias { expr: expr.clone(), alias };
            }
        }
        ControlFlow::Continue(())
    }

    fn post_visit_expr(&mut self, expr: &mut Expr) -> ControlFlow<()> {
        if is_whole(expr) {
            let span = expr.span();
            let whole = std::mem::replace(expr, Expr::Tuple(Vec::new()));
            *expr = call(NARROW, vec![whole], span);
        }
        // Whether it is there at all is asked of the column itself.
        if let Expr::IsNull(inner) | Expr::IsNotNull(inner) = expr
            && let Expr::Function(function) = &**inner
            && function_name(function) == NARROW
            && let Some(only) = argument(function)
        {
            **inner = only;
        }
        ControlFlow::Continue(())
    }
}

fn argument(function: &Function) -> Option<Expr> {
    use datafusion::sql::sqlparser::ast::{FunctionArg, FunctionArgExpr, FunctionArguments};
    match &function.args {
        FunctionArguments::List(list) => match list.args.as_slice() {
            [FunctionArg::Unnamed(FunctionArgExpr::Expr(expr))] => Some(expr.clone()),
            _ => None,
        },
        _ => None,
    }
}

/// Whether an expression is the path of a struct, perhaps behind the name of its table.
fn is_whole(expr: &Expr) -> bool {
    let path: Vec<&str> = match expr {
        Expr::Identifier(ident) => vec![ident.value.as_str()],
        Expr::CompoundIdentifier(idents) => idents.iter().map(|ident| ident.value.as_str()).collect(),
        _ => return false,
    };
    STRUCTS.iter().any(|whole| path == *whole || path.get(1..).is_some_and(|behind| behind == *whole))
}
