//! Names as Athena reads them: quoted ones without case, `resources[1].arn`, `useridentity.arn` called `arn`.
//!
//! All of it is done on the syntax tree, before planning.

use std::collections::HashSet;
use std::ops::ControlFlow;

use arrow::datatypes::{DataType, Fields};
use datafusion::common::TableReference;
use datafusion::execution::SessionState;
use datafusion::sql::parser::Statement as SqlStatement;
use datafusion::sql::sqlparser::ast::{
    AccessExpr, Expr, Ident, ObjectName, ObjectNamePart, Query, Select, SelectItem, TableAlias, TableFactor,
    Value, Visit, VisitMut, Visitor, VisitorMut,
};

use super::CLOUDTRAIL_LOGS;

/// The names of the columns, and of the members of structs, that the tables of the session have.
pub(super) async fn known(state: &SessionState) -> HashSet<String> {
    let mut names = HashSet::new();
    for table in tables(state) {
        names.extend(column_paths(state, &table).await.into_iter().flatten());
        names.insert(table);
    }
    names
}

/// The names of the tables.
pub(super) fn tables(state: &SessionState) -> Vec<String> {
    let schema = state.schema_for_ref(TableReference::bare(CLOUDTRAIL_LOGS));
    let mut names = schema.map(|schema| schema.table_names()).unwrap_or_default();
    names.sort();
    names
}

/// Every column of `table` and every struct member in it, as its path.
pub(super) async fn column_paths(state: &SessionState, table: &str) -> Vec<Vec<String>> {
    let Ok(schema) = state.schema_for_ref(TableReference::bare(table)) else { return Vec::new() };
    let Ok(Some(provider)) = schema.table(table).await else { return Vec::new() };
    paths(provider.schema().fields())
}

/// The paths of `fields` and of all their members.
pub(super) fn paths(fields: &Fields) -> Vec<Vec<String>> {
    let mut paths = Vec::new();
    for field in fields {
        paths.push(vec![field.name().clone()]);
        let members = match field.data_type() {
            DataType::Struct(members) => self::paths(members),
            DataType::List(element) | DataType::LargeList(element) => match element.data_type() {
                DataType::Struct(members) => self::paths(members),
                _ => continue,
            },
            _ => continue,
        };
        paths.extend(members.into_iter().map(|member| [vec![field.name().clone()], member].concat()));
    }
    paths
}

/// Rewrites the names in `statement`; `known` are those that exist in lower case.
pub(super) fn adapt(statement: &mut SqlStatement, known: &HashSet<String>) {
    match statement {
        SqlStatement::Statement(statement) => {
            let mut aliases = Aliases::default();
            let _ = Visit::visit(&**statement, &mut aliases);
            let _ = VisitMut::visit(&mut **statement, &mut Adapter { known, defined: aliases.0 });
        }
        SqlStatement::Explain(explain) => adapt(&mut explain.statement, known),
        _ => {}
    }
}

/// The names that the statement itself defines in some case of its own; they are left alone.
#[derive(Default)]
struct Aliases(HashSet<String>);

impl Aliases {
    fn add(&mut self, alias: &TableAlias) {
        self.0.insert(alias.name.value.clone());
        self.0.extend(alias.columns.iter().map(|column| column.name.value.clone()));
    }
}

impl Visitor for Aliases {
    type Break = ();

    fn pre_visit_query(&mut self, query: &Query) -> ControlFlow<()> {
        for cte in query.with.iter().flat_map(|with| &with.cte_tables) {
            self.add(&cte.alias);
        }
        ControlFlow::Continue(())
    }

    fn pre_visit_select(&mut self, select: &Select) -> ControlFlow<()> {
        for item in &select.projection {
            if let SelectItem::ExprWithAlias { alias, .. } = item {
                self.0.insert(alias.value.clone());
            }
        }
        ControlFlow::Continue(())
    }

    fn pre_visit_table_factor(&mut self, factor: &TableFactor) -> ControlFlow<()> {
        if let TableFactor::Table { alias: Some(alias), .. }
        | TableFactor::Derived { alias: Some(alias), .. } = factor
        {
            self.add(alias);
        }
        ControlFlow::Continue(())
    }
}

struct Adapter<'a> {
    known: &'a HashSet<String>,
    defined: HashSet<String>,
}

impl Adapter<'_> {
    /// Folds a quoted identifier to lower case, where that names something and this does not.
    fn fold(&self, ident: &mut Ident) {
        if ident.quote_style.is_none() || self.defined.contains(&ident.value) {
            return;
        }
        let lower = ident.value.to_lowercase();
        if !self.known.contains(&ident.value) && self.known.contains(&lower) {
            ident.value = lower;
        }
    }
}

impl VisitorMut for Adapter<'_> {
    type Break = ();

    fn pre_visit_relation(&mut self, relation: &mut ObjectName) -> ControlFlow<()> {
        for part in &mut relation.0 {
            if let ObjectNamePart::Identifier(ident) = part {
                self.fold(ident);
            }
        }
        ControlFlow::Continue(())
    }

    fn pre_visit_select(&mut self, select: &mut Select) -> ControlFlow<()> {
        name_members(&mut select.projection);
        ControlFlow::Continue(())
    }

    fn pre_visit_expr(&mut self, expr: &mut Expr) -> ControlFlow<()> {
        match expr {
            Expr::Identifier(ident) => self.fold(ident),
            Expr::CompoundIdentifier(idents) => idents.iter_mut().for_each(|ident| self.fold(ident)),
            Expr::CompoundFieldAccess { access_chain, .. } => {
                for access in access_chain {
                    member_by_name(access);
                }
            }
            _ => {}
        }
        ControlFlow::Continue(())
    }
}

/// `[1].arn`: DataFusion takes a member after a subscript only as a string.
fn member_by_name(access: &mut AccessExpr) {
    if let AccessExpr::Dot(Expr::Identifier(ident)) = access {
        // The members of every struct that we have are in lower case.
        let name = Value::SingleQuotedString(ident.value.to_lowercase());
        *access = AccessExpr::Dot(Expr::Value(name.with_span(ident.span)));
    }
}

/// Names what is selected from inside a struct after the member, unless that name is taken.
fn name_members(projection: &mut [SelectItem]) {
    let mut taken: HashSet<String> = projection.iter().filter_map(own_name).collect();
    for item in projection {
        let SelectItem::UnnamedExpr(expr) = item else { continue };
        let Some(member) = member_name(expr) else { continue };
        if taken.insert(member.clone()) {
            let alias = Ident::with_quote('"', member);
            *item = SelectItem::ExprWithAlias { expr: expr.clone(), alias };
        }
    }
}

fn own_name(item: &SelectItem) -> Option<String> {
    match item {
        SelectItem::UnnamedExpr(Expr::Identifier(ident)) => Some(ident.value.to_lowercase()),
        SelectItem::ExprWithAlias { alias, .. } => Some(alias.value.to_lowercase()),
        _ => None,
    }
}

fn member_name(expr: &Expr) -> Option<String> {
    let ident = match expr {
        Expr::CompoundIdentifier(idents) => idents.last()?,
        Expr::CompoundFieldAccess { access_chain, .. } => match access_chain.last()? {
            AccessExpr::Dot(Expr::Identifier(ident)) => ident,
            _ => return None,
        },
        _ => return None,
    };
    Some(ident.value.to_lowercase())
}
