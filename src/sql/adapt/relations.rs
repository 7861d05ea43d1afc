//! What the names after FROM mean: `db.cloudtrail_logs`, an event data store's id, a name that the user gave.

use std::collections::BTreeSet;
use std::ops::ControlFlow;

use datafusion::sql::sqlparser::ast::{ExcludeSelectItem, Spanned as _};
use datafusion::sql::sqlparser::ast::{
    Expr, Ident, ObjectName, ObjectNamePart, Query, Select, SelectItem, SelectItemQualifiedWildcardKind,
    TableAlias, TableFactor, Visit, VisitMut, Visitor, VisitorMut,
};

use super::Names;
use super::fold::fold_name;
use crate::sql::error::SqlError;
use crate::sql::syntax::ident;
use crate::sql::tokens::is_event_data_store;

/// The schema in which SQL describes tables.
const INFORMATION_SCHEMA: &str = "information_schema";

/// The last parts of all names of relations in `query`, in lower case.
pub(in crate::sql) fn named_relations(query: &Query) -> BTreeSet<String> {
    struct Collect(BTreeSet<String>);
    impl Visitor for Collect {
        type Break = ();
        fn pre_visit_relation(&mut self, relation: &ObjectName) -> ControlFlow<()> {
            self.0.extend(parts(relation).pop().map(|name| name.to_lowercase()));
            ControlFlow::Continue(())
        }
    }
    let mut found = Collect(BTreeSet::new());
    let _ = Visit::visit(query, &mut found);
    found.0
}

/// Puts the table that is meant in place of each name; an unknown one is an error that names the nearest.
pub(super) fn resolve(query: &mut Query, names: &Names, text: &str) -> Result<(), SqlError> {
    let mut used = Used::default();
    let _ = Visit::visit(query, &mut used);
    let wide = used.columns.iter().any(|column| names.hidden.contains(column));
    let mut resolver = Resolver { names, text, used, wide };
    match VisitMut::visit(query, &mut resolver) {
        ControlFlow::Break(error) => Err(*error),
        ControlFlow::Continue(()) => Ok(()),
    }
}

/// The names that stand in a query.
#[derive(Default)]
struct Used {
    ctes: BTreeSet<String>,
    /// The relations that are written with a database before them, all parts of each.
    qualified: Vec<Vec<String>>,
    columns: BTreeSet<String>,
}

impl Visitor for Used {
    type Break = ();

    fn pre_visit_query(&mut self, query: &Query) -> ControlFlow<()> {
        let ctes = query.with.iter().flat_map(|with| &with.cte_tables);
        self.ctes.extend(ctes.map(|cte| cte.alias.name.value.clone()));
        ControlFlow::Continue(())
    }

    fn pre_visit_relation(&mut self, relation: &ObjectName) -> ControlFlow<()> {
        let parts = parts(relation);
        if parts.len() > 1 {
            self.qualified.push(parts);
        }
        ControlFlow::Continue(())
    }

    fn pre_visit_expr(&mut self, expr: &Expr) -> ControlFlow<()> {
        match expr {
            Expr::Identifier(ident) => {
                self.columns.insert(ident.value.clone());
            }
            Expr::CompoundIdentifier(idents) => {
                self.columns.extend(idents.iter().map(|ident| ident.value.clone()));
            }
            _ => {}
        }
        ControlFlow::Continue(())
    }
}

struct Resolver<'a> {
    names: &'a Names,
    text: &'a str,
    used: Used,
    wide: bool,
}

impl Resolver<'_> {
    /// The table that a name means, or none for what the query itself defines.
    fn table(&self, name: &ObjectName) -> Result<Option<String>, SqlError> {
        let parts = parts(name);
        let Some(last) = parts.last() else { return Ok(None) };
        if parts.len() == 1 && self.used.ctes.contains(last) {
            return Ok(None);
        }
        if parts.iter().rev().nth(1).is_some_and(|schema| schema == INFORMATION_SCHEMA) {
            return Ok(Some(format!("{INFORMATION_SCHEMA}.{last}")));
        }
        let table = self.names.synonyms.get(last).unwrap_or(last);
        if self.names.tables.contains(table) {
            return Ok(Some(self.names.wide.get(table).filter(|_| self.wide).unwrap_or(table).clone()));
        }
        if is_event_data_store(last)
            && let Some(face) = &self.names.lake_face
        {
            return Ok(Some(face.clone()));
        }
        let known = self.names.tables.iter().chain(self.names.synonyms.keys()).map(String::as_str);
        Err(SqlError::unknown_table(&parts.join("."), known, name.span(), self.text))
    }

    fn replace(&self, name: &mut ObjectName, alias: &mut Option<TableAlias>) -> Result<(), SqlError> {
        let Some(table) = self.table(name)? else { return Ok(()) };
        let span = name.span();
        let written = parts(name).pop().unwrap_or_default();
        if alias.is_none() && table != written {
            *alias = Some(TableAlias {
                explicit: true,
                name: ident(&written, span),
                columns: Vec::new(),
                at: None,
            });
        }
        let parts = table.split('.').map(|part| ObjectNamePart::Identifier(ident(part, span)));
        *name = ObjectName(parts.collect());
        Ok(())
    }

    /// The names behind the database, if they begin with the full name of a relation.
    fn without_database(&self, idents: &mut Vec<Ident>) {
        let begins = |name: &Vec<String>| {
            name.len() <= idents.len()
                && name.iter().zip(idents.iter()).all(|(part, ident)| *part == ident.value)
        };
        if let Some(name) = self.used.qualified.iter().find(|name| begins(name)) {
            idents.drain(..name.len() - 1);
        }
    }
}

impl VisitorMut for Resolver<'_> {
    type Break = Box<SqlError>;

    fn pre_visit_table_factor(&mut self, factor: &mut TableFactor) -> ControlFlow<Self::Break> {
        if let TableFactor::Table { name, alias, args: None, .. } = factor
            && let Err(error) = self.replace(name, alias)
        {
            return ControlFlow::Break(Box::new(error));
        }
        ControlFlow::Continue(())
    }

    fn pre_visit_select(&mut self, select: &mut Select) -> ControlFlow<Self::Break> {
        for item in &mut select.projection {
            if let SelectItem::QualifiedWildcard(SelectItemQualifiedWildcardKind::ObjectName(name), _) = item
            {
                fold_name(name);
                let mut idents: Vec<Ident> =
                    name.0.iter().filter_map(|part| part.as_ident().cloned()).collect();
                self.without_database(&mut idents);
                *name = ObjectName(idents.into_iter().map(ObjectNamePart::Identifier).collect());
            }
        }
        if self.wide {
            self.hide(select);
        }
        ControlFlow::Continue(())
    }

    fn pre_visit_expr(&mut self, expr: &mut Expr) -> ControlFlow<Self::Break> {
        if let Expr::CompoundIdentifier(idents) = expr {
            self.without_database(idents);
            if let [only] = idents.as_slice() {
                *expr = Expr::Identifier(only.clone());
            }
        }
        ControlFlow::Continue(())
    }
}

impl Resolver<'_> {
    /// `*` without what Athena never shows, `"$path"`, where it is of one table that has it.
    fn hide(&self, select: &mut Select) {
        let [from] = select.from.as_slice() else { return };
        let TableFactor::Table { name, .. } = &from.relation else { return };
        let Some(last) = parts(name).pop() else { return };
        let table = self.names.synonyms.get(&last).unwrap_or(&last);
        if !self.names.wide.contains_key(table) || !from.joins.is_empty() {
            return;
        }
        let named = |name: &&String| name.starts_with('$') && self.used.columns.contains(*name);
        let mut hidden: Vec<&String> = self.names.hidden.iter().filter(named).collect();
        hidden.sort();
        if hidden.is_empty() {
            return;
        }
        for item in &mut select.projection {
            if let SelectItem::Wildcard(options) | SelectItem::QualifiedWildcard(_, options) = item {
                let span = options.wildcard_token.0.span;
                let columns = hidden
                    .iter()
                    .map(|column| ObjectName(vec![ObjectNamePart::Identifier(ident(column, span))]));
                options.opt_exclude = Some(ExcludeSelectItem::Multiple(columns.collect()));
            }
        }
    }
}

fn parts(name: &ObjectName) -> Vec<String> {
    name.0.iter().filter_map(|part| part.as_ident().map(|ident| ident.value.clone())).collect()
}
