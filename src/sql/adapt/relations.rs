//! What the names after FROM mean: `db.cloudtrail_logs`, an event data store's id, a name that the user gave.

use std::collections::BTreeSet;
use std::ops::ControlFlow;

use datafusion::sql::sqlparser::ast::{
    ExcludeSelectItem, Expr, Ident, ObjectName, ObjectNamePart, Query, Select, SelectItem,
    SelectItemQualifiedWildcardKind, TableAlias, TableFactor, Visit, VisitMut, Visitor, VisitorMut,
};
use datafusion::sql::sqlparser::ast::{Spanned as _, WildcardAdditionalOptions};
use datafusion::sql::sqlparser::tokenizer::Span;

use super::Names;
use super::fold::fold_name;
use crate::sql::ddl::shown_members;
use crate::sql::error::SqlError;
use crate::sql::faces::FACES;
use crate::sql::syntax::ident;
use crate::sql::tokens::is_event_data_store;

/// The schema in which SQL describes tables.
const INFORMATION_SCHEMA: &str = "information_schema";

/// The last parts of all names of relations in `query`, in lower case.
pub(in crate::sql) fn named_relations(query: &Query) -> BTreeSet<String> {
    struct Collect(BTreeSet<String>);
    impl Visitor for Collect {
        type Break = ();
        fn pre_visit_table_factor(&mut self, factor: &TableFactor) -> ControlFlow<()> {
            // What has arguments is a function that makes rows.
            if let TableFactor::Table { name, args: None, .. } = factor {
                self.0.extend(parts(name).pop().map(|name| name.to_lowercase()));
            }
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
    let mut resolver = Resolver { names, text, used, depth: 0 };
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
    /// All names in expressions.
    named: BTreeSet<String>,
    /// The names that the query itself gives to columns.
    given: BTreeSet<String>,
}

impl Visitor for Used {
    type Break = ();

    fn pre_visit_query(&mut self, query: &Query) -> ControlFlow<()> {
        let ctes = query.with.iter().flat_map(|with| &with.cte_tables);
        for cte in ctes {
            self.ctes.insert(cte.alias.name.value.clone());
            self.give(&cte.alias);
        }
        ControlFlow::Continue(())
    }

    fn pre_visit_select(&mut self, select: &Select) -> ControlFlow<()> {
        let star = select.projection.iter().any(|item| matches!(item, SelectItem::Wildcard(_)));
        for item in &select.projection {
            match item {
                SelectItem::ExprWithAlias { alias, .. } => {
                    self.given.insert(alias.value.clone());
                }
                // Beside the star already.
                SelectItem::UnnamedExpr(Expr::Identifier(ident)) if star => {
                    self.given.insert(ident.value.clone());
                }
                SelectItem::UnnamedExpr(Expr::CompoundIdentifier(idents)) if star => {
                    self.given.extend(idents.last().map(|ident| ident.value.clone()));
                }
                _ => {}
            }
        }
        ControlFlow::Continue(())
    }

    fn pre_visit_table_factor(&mut self, factor: &TableFactor) -> ControlFlow<()> {
        if let TableFactor::Derived { alias: Some(alias), .. }
        | TableFactor::UNNEST { alias: Some(alias), .. }
        | TableFactor::Table { alias: Some(alias), .. } = factor
        {
            self.give(alias);
        }
        ControlFlow::Continue(())
    }

    fn pre_visit_expr(&mut self, expr: &Expr) -> ControlFlow<()> {
        match expr {
            Expr::Identifier(ident) => {
                self.named.insert(ident.value.clone());
            }
            Expr::CompoundIdentifier(idents) => {
                self.named.extend(idents.iter().take(2).map(|ident| ident.value.clone()));
            }
            _ => {}
        }
        ControlFlow::Continue(())
    }

    fn pre_visit_relation(&mut self, relation: &ObjectName) -> ControlFlow<()> {
        let parts = parts(relation);
        if parts.len() > 1 {
            self.qualified.push(parts);
        }
        ControlFlow::Continue(())
    }
}

impl Used {
    fn give(&mut self, alias: &TableAlias) {
        self.given.extend(alias.columns.iter().map(|column| column.name.value.clone()));
    }
}

struct Resolver<'a> {
    names: &'a Names,
    text: &'a str,
    used: Used,
    /// How many queries there are around, with the main one.
    depth: usize,
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
            return Ok(Some(self.names.faces.get(table).unwrap_or(table).clone()));
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
        // Only names of our own making have a schema; a dot in any other is part of the name.
        let own =
            [INFORMATION_SCHEMA, FACES].iter().find_map(|schema| Some((schema, table.strip_prefix(schema)?)));
        let parts = match own.and_then(|(schema, rest)| Some((*schema, rest.strip_prefix('.')?))) {
            Some((schema, rest)) => vec![schema, rest],
            None => vec![table.as_str()],
        };
        *name =
            ObjectName(parts.into_iter().map(|part| ObjectNamePart::Identifier(ident(part, span))).collect());
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

    fn pre_visit_query(&mut self, _: &mut Query) -> ControlFlow<Self::Break> {
        self.depth += 1;
        ControlFlow::Continue(())
    }

    fn post_visit_query(&mut self, _: &mut Query) -> ControlFlow<Self::Break> {
        self.depth -= 1;
        ControlFlow::Continue(())
    }

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
        self.expand_stars(select);
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

/// A relation of FROM: the name that its columns are qualified by, and the table if it is one with a star
/// of its own.
struct From {
    name: Option<String>,
    table: Option<String>,
}

impl Resolver<'_> {
    /// Writes out `*` and `t.*` of tables of which it shows only some columns.
    fn expand_stars(&self, select: &mut Select) {
        let is_star =
            |item: &SelectItem| matches!(item, SelectItem::Wildcard(_) | SelectItem::QualifiedWildcard(..));
        if !select.projection.iter().any(is_star) {
            return;
        }
        let factors = select.from.iter().flat_map(|from| {
            std::iter::once(&from.relation).chain(from.joins.iter().map(|join| &join.relation))
        });
        let relations: Vec<From> = factors.map(|factor| self.from(factor)).collect();
        if relations.iter().all(|relation| relation.table.is_none()) || has_common_columns(select) {
            return;
        }
        let items = std::mem::take(&mut select.projection);
        select.projection = items.into_iter().flat_map(|item| self.expand(item, &relations)).collect();
    }

    fn expand(&self, item: SelectItem, relations: &[From]) -> Vec<SelectItem> {
        match &item {
            SelectItem::Wildcard(options) => {
                let unknown = |relation: &From| relation.table.is_none();
                let left_out = left_out(options);
                if relations.iter().any(|one| unknown(one) && (one.name.is_none() || !left_out.is_empty())) {
                    return vec![item];
                }
                let span = options.wildcard_token.0.span;
                // The planner says which column there is not.
                if !left_out.iter().all(|name| relations.iter().any(|one| self.shows(one, name))) {
                    return vec![item];
                }
                let columns =
                    relations.iter().flat_map(|relation| self.columns(relation, relations.len() > 1, span));
                columns.filter(|column| !is_among(column, &left_out)).collect()
            }
            SelectItem::QualifiedWildcard(SelectItemQualifiedWildcardKind::ObjectName(name), options) => {
                let wanted = parts(name).pop();
                let span = options.wildcard_token.0.span;
                match relations.iter().find(|relation| relation.table.is_some() && relation.name == wanted) {
                    Some(relation) => self.columns(relation, true, span),
                    None => members_of(name, span).unwrap_or_else(|| vec![item]),
                }
            }
            _ => vec![item],
        }
    }

    fn shows(&self, relation: &From, column: &str) -> bool {
        let star = relation.table.as_ref().and_then(|table| self.names.stars.get(table));
        star.is_some_and(|columns| columns.iter().any(|name| name == column))
    }

    fn columns(&self, relation: &From, qualified: bool, span: Span) -> Vec<SelectItem> {
        let name = relation.name.clone().unwrap_or_default();
        let Some(columns) = relation.table.as_ref().and_then(|table| self.names.stars.get(table)) else {
            let name = ObjectName(vec![ObjectNamePart::Identifier(ident(&name, span))]);
            let kind = SelectItemQualifiedWildcardKind::ObjectName(name);
            return vec![SelectItem::QualifiedWildcard(kind, WildcardAdditionalOptions::default())];
        };
        let column = |column: &String| {
            SelectItem::UnnamedExpr(if qualified {
                Expr::CompoundIdentifier(vec![ident(&name, span), ident(column, span)])
            } else {
                Expr::Identifier(ident(column, span))
            })
        };
        let named = self.named_further(relation.table.as_deref());
        columns.iter().chain(named).map(column).collect()
    }

    /// The hidden columns that `*` in a subquery shows all the same: those that the query names further out, as if
    /// of a table that is partitioned by them.
    fn named_further(&self, table: Option<&str>) -> impl Iterator<Item = &String> {
        let hidden = table.and_then(|table| self.names.hidden.get(table)).filter(|_| self.depth > 1);
        let is_meant = |name: &&String| self.used.named.contains(*name) && !self.used.given.contains(*name);
        hidden.into_iter().flatten().filter(is_meant)
    }

    fn from(&self, factor: &TableFactor) -> From {
        match factor {
            TableFactor::Table { name, alias, args: None, .. } => {
                let table =
                    self.table(name).ok().flatten().filter(|table| self.names.stars.contains_key(table));
                let own = parts(name).pop();
                From { name: alias.as_ref().map(|alias| alias.name.value.clone()).or(own), table }
            }
            TableFactor::Derived { alias, .. } | TableFactor::UNNEST { alias, .. } => {
                From { name: alias.as_ref().map(|alias| alias.name.value.clone()), table: None }
            }
            _ => From { name: None, table: None },
        }
    }
}

/// The members of a struct for `useridentity.sessioncontext.*`, perhaps behind the name of its table.
fn members_of(name: &ObjectName, span: Span) -> Option<Vec<SelectItem>> {
    let path = parts(name);
    let members = shown_members(&path).or_else(|| shown_members(path.get(1..)?))?;
    let member = |member: String| {
        let names = path.iter().chain([&member]);
        SelectItem::UnnamedExpr(Expr::CompoundIdentifier(names.map(|name| ident(name, span)).collect()))
    };
    Some(members.into_iter().map(member).collect())
}

/// The columns that `* EXCLUDE (…)` or `* EXCEPT (…)` leaves out.
fn left_out(options: &WildcardAdditionalOptions) -> BTreeSet<String> {
    let last = |name: &ObjectName| parts(name).pop().unwrap_or_default().to_lowercase();
    let mut names: BTreeSet<String> = match &options.opt_exclude {
        Some(ExcludeSelectItem::Single(name)) => [last(name)].into(),
        Some(ExcludeSelectItem::Multiple(names)) => names.iter().map(last).collect(),
        None => BTreeSet::new(),
    };
    if let Some(except) = &options.opt_except {
        let others = std::iter::once(&except.first_element).chain(&except.additional_elements);
        names.extend(others.map(|name| name.value.to_lowercase()));
    }
    names
}

fn is_among(column: &SelectItem, names: &BTreeSet<String>) -> bool {
    match column {
        SelectItem::UnnamedExpr(Expr::Identifier(ident)) => names.contains(&ident.value),
        SelectItem::UnnamedExpr(Expr::CompoundIdentifier(idents)) => {
            idents.last().is_some_and(|ident| names.contains(&ident.value))
        }
        _ => false,
    }
}

/// Whether joins make one column of two, which only the planner can work out.
fn has_common_columns(select: &Select) -> bool {
    use datafusion::sql::sqlparser::ast::{JoinConstraint as C, JoinOperator as J};
    let constraint = |join: &J| match join {
        J::Join(c)
        | J::Inner(c)
        | J::Left(c)
        | J::LeftOuter(c)
        | J::Right(c)
        | J::RightOuter(c)
        | J::FullOuter(c) => {
            matches!(c, C::Using(_) | C::Natural)
        }
        _ => false,
    };
    select.from.iter().flat_map(|from| &from.joins).any(|join| constraint(&join.join_operator))
}

pub(super) fn parts(name: &ObjectName) -> Vec<String> {
    name.0.iter().filter_map(|part| part.as_ident().map(|ident| ident.value.clone())).collect()
}
