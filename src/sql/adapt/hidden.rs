//! Columns that `*` does not show give way to columns of other relations: `SELECT dt FROM cloudtrail_logs JOIN days
//! ON …` means the `dt` of `days`, since a table in Athena has one definition of partitions and not all of them.
//!
//! And what UNNEST takes is of the relations before it in the same FROM, whatever those around the query have: the
//! planner looks at these too.
//!
//! A name without a table before it gets the table that is meant.

use std::collections::{BTreeMap, BTreeSet};
use std::ops::ControlFlow;

use datafusion::sql::sqlparser::ast::{
    Expr, Ident, LambdaFunction, OneOrManyWithParens, OrderByKind, Query, Select, SelectItem, SetExpr,
    TableAlias, TableFactor, VisitMut, VisitorMut,
};
use datafusion::sql::sqlparser::tokenizer::Span;

use super::Names;
use super::relations::parts;
use crate::sql::syntax::ident;

/// The members of `resources`, as UNNEST makes columns of them.
const RESOURCES: [&str; 3] = ["arn", "accountid", "type"];

/// Says which table is meant wherever a hidden column stands in the way.
pub(super) fn give_way(query: &mut Query, names: &Names) {
    let mut unnested = 0;
    let _ = VisitMut::visit(query, &mut Unnamed(&mut unnested));
    let _ = VisitMut::visit(query, &mut Hidden { names, ctes: BTreeMap::new() });
}

/// Gives a name of its own to every UNNEST without one, so that its columns are of a table, and to one that has the
/// name of another: `UNNEST(a) AS _(x) CROSS JOIN UNNEST(b) AS _(y)`.
struct Unnamed<'a>(&'a mut usize);

impl VisitorMut for Unnamed<'_> {
    type Break = ();

    fn pre_visit_select(&mut self, select: &mut Select) -> ControlFlow<()> {
        let mut seen = BTreeSet::new();
        for factor in factors_mut(select) {
            if let Some(name) = relation_name(factor)
                && seen.insert(name.value)
            {
                continue;
            }
            let TableFactor::UNNEST { alias, .. } = factor else { continue };
            *self.0 += 1;
            let name = ident(&format!("$unnest{}", self.0), Span::empty());
            match alias {
                Some(alias) => alias.name = name,
                None => *alias = Some(TableAlias { explicit: true, name, columns: Vec::new(), at: None }),
            }
        }
        ControlFlow::Continue(())
    }
}

struct Hidden<'a> {
    names: &'a Names,
    /// The columns of the queries that WITH names.
    ctes: BTreeMap<String, Vec<String>>,
}

impl VisitorMut for Hidden<'_> {
    type Break = ();

    fn pre_visit_query(&mut self, query: &mut Query) -> ControlFlow<()> {
        for cte in query.with.iter().flat_map(|with| &with.cte_tables) {
            let columns = self.outputs(&cte.query, Some(&cte.alias));
            self.ctes.insert(cte.alias.name.value.clone(), columns);
        }
        let meant = match &mut *query.body {
            SetExpr::Select(select) => {
                self.qualify_unnested(select);
                self.meant(select)
            }
            _ => return ControlFlow::Continue(()),
        };
        if meant.is_empty() {
            return ControlFlow::Continue(());
        }
        let outputs = self.outputs(query, None);
        if let SetExpr::Select(select) = &mut *query.body {
            let _ = VisitMut::visit(select.as_mut(), &mut Qualify::new(meant.clone()));
        }
        let ordered = meant.into_iter().filter(|(name, _)| !outputs.contains(name)).collect();
        let mut qualify = Qualify::new(ordered);
        if let Some(order) = &mut query.order_by
            && let OrderByKind::Expressions(exprs) = &mut order.kind
        {
            for by in exprs {
                let _ = VisitMut::visit(&mut by.expr, &mut qualify);
            }
        }
        ControlFlow::Continue(())
    }
}

impl Hidden<'_> {
    /// The relations that names without a table mean in a SELECT where a table with hidden columns has the name too.
    fn meant(&self, select: &Select) -> BTreeMap<String, Ident> {
        let mut meant: BTreeMap<String, Option<Ident>> = BTreeMap::new();
        let mut shown: Option<BTreeSet<&String>> = None;
        for factor in factors(select) {
            if let Some(star) = self.star(factor) {
                shown.get_or_insert_default().extend(star);
                continue;
            }
            let Some(name) = relation_name(factor) else { continue };
            for column in self.columns(factor) {
                // Where two others have it, the query is ambiguous in itself.
                meant.entry(column).and_modify(|other| *other = None).or_insert(Some(name.clone()));
            }
        }
        let Some(shown) = shown else { return BTreeMap::new() };
        let hidden = meant.into_iter().filter(|(column, _)| !shown.contains(column));
        hidden.filter_map(|(column, relation)| Some((column, relation?))).collect()
    }

    /// Says of which relation before it each name in UNNEST is.
    fn qualify_unnested(&self, select: &mut Select) {
        let mut before: BTreeMap<String, Option<Ident>> = BTreeMap::new();
        let mut columns = Vec::new();
        for factor in factors(select) {
            columns.push((relation_name(factor), self.columns(factor)));
        }
        for (factor, (name, columns)) in factors_mut(select).zip(columns) {
            if let TableFactor::UNNEST { array_exprs, .. } = factor {
                let known =
                    before.iter().filter_map(|(column, relation)| Some((column.clone(), relation.clone()?)));
                let mut qualify = Qualify::new(known.collect());
                for array in array_exprs {
                    let _ = VisitMut::visit(array, &mut qualify);
                }
            }
            for column in columns {
                before.entry(column).and_modify(|other| *other = None).or_insert_with(|| name.clone());
            }
        }
    }

    /// What `*` shows of a table that has more.
    fn star(&self, factor: &TableFactor) -> Option<&Vec<String>> {
        let TableFactor::Table { name, args: None, .. } = factor else { return None };
        self.names.stars.get(&parts(name).join("."))
    }

    /// The columns of a relation, as far as the query says.
    fn columns(&self, factor: &TableFactor) -> Vec<String> {
        match factor {
            TableFactor::Table { name, alias, args: None, .. } => {
                if let Some(columns) = given(alias.as_ref()) {
                    return columns;
                }
                let name = parts(name).join(".");
                let known = self.ctes.get(&name).or_else(|| self.names.stored.get(&name));
                known.or_else(|| self.names.stars.get(&name)).cloned().unwrap_or_default()
            }
            TableFactor::Derived { subquery, alias, .. } => self.outputs(subquery, alias.as_ref()),
            TableFactor::UNNEST { alias, array_exprs, .. } => {
                given(alias.as_ref()).unwrap_or_else(|| match array_exprs.as_slice() {
                    [array] if last_name(array).as_deref() == Some("resources") => {
                        RESOURCES.map(str::to_owned).to_vec()
                    }
                    _ => Vec::new(),
                })
            }
            _ => Vec::new(),
        }
    }

    /// The columns of a query that have names.
    fn outputs(&self, query: &Query, alias: Option<&TableAlias>) -> Vec<String> {
        if let Some(columns) = given(alias) {
            return columns;
        }
        self.outputs_of(&query.body)
    }

    fn outputs_of(&self, body: &SetExpr) -> Vec<String> {
        match body {
            SetExpr::Query(query) => self.outputs(query, None),
            SetExpr::SetOperation { left, .. } => self.outputs_of(left),
            SetExpr::Select(select) => {
                let mut columns = Vec::new();
                for item in &select.projection {
                    match item {
                        SelectItem::UnnamedExpr(expr) => columns.extend(last_name(expr)),
                        SelectItem::ExprWithAlias { alias, .. } => columns.push(alias.value.clone()),
                        SelectItem::Wildcard(_) => {
                            columns.extend(factors(select).flat_map(|factor| self.columns(factor)));
                        }
                        _ => {}
                    }
                }
                columns
            }
            _ => Vec::new(),
        }
    }
}

fn factors_mut(select: &mut Select) -> impl Iterator<Item = &mut TableFactor> {
    select.from.iter_mut().flat_map(|from| {
        std::iter::once(&mut from.relation).chain(from.joins.iter_mut().map(|join| &mut join.relation))
    })
}

fn factors(select: &Select) -> impl Iterator<Item = &TableFactor> {
    select
        .from
        .iter()
        .flat_map(|from| std::iter::once(&from.relation).chain(from.joins.iter().map(|join| &join.relation)))
}

/// The names that `AS t(a, b)` gives.
fn given(alias: Option<&TableAlias>) -> Option<Vec<String>> {
    let columns = &alias?.columns;
    (!columns.is_empty()).then(|| columns.iter().map(|column| column.name.value.clone()).collect())
}

fn relation_name(factor: &TableFactor) -> Option<Ident> {
    match factor {
        TableFactor::Table { name, alias, .. } => match alias {
            Some(alias) => Some(alias.name.clone()),
            None => name.0.last()?.as_ident().cloned(),
        },
        TableFactor::Derived { alias, .. } | TableFactor::UNNEST { alias, .. } => {
            alias.as_ref().map(|alias| alias.name.clone())
        }
        _ => None,
    }
}

fn last_name(expr: &Expr) -> Option<String> {
    match expr {
        Expr::Identifier(ident) => Some(ident.value.clone()),
        Expr::CompoundIdentifier(idents) => idents.last().map(|ident| ident.value.clone()),
        _ => None,
    }
}

/// Puts the table before names, outside of queries within.
struct Qualify {
    meant: BTreeMap<String, Ident>,
    depth: usize,
    parameters: Vec<Vec<String>>,
}

impl Qualify {
    fn new(meant: BTreeMap<String, Ident>) -> Self {
        Self { meant, depth: 0, parameters: Vec::new() }
    }

    fn relation(&self, name: &Ident) -> Option<Ident> {
        let is_parameter = self.parameters.iter().flatten().any(|parameter| *parameter == name.value);
        let relation = self.meant.get(&name.value).filter(|_| self.depth == 0 && !is_parameter)?;
        Some(Ident { span: name.span, ..relation.clone() })
    }
}

impl VisitorMut for Qualify {
    type Break = ();

    fn pre_visit_query(&mut self, _: &mut Query) -> ControlFlow<()> {
        self.depth += 1;
        ControlFlow::Continue(())
    }

    fn post_visit_query(&mut self, _: &mut Query) -> ControlFlow<()> {
        self.depth -= 1;
        ControlFlow::Continue(())
    }

    fn pre_visit_expr(&mut self, expr: &mut Expr) -> ControlFlow<()> {
        if let Expr::Lambda(lambda) = expr {
            self.parameters.push(parameters(lambda));
        }
        ControlFlow::Continue(())
    }

    fn post_visit_expr(&mut self, expr: &mut Expr) -> ControlFlow<()> {
        match expr {
            Expr::Lambda(_) => {
                self.parameters.pop();
            }
            Expr::Identifier(name) => {
                if let Some(relation) = self.relation(name) {
                    *expr = Expr::CompoundIdentifier(vec![relation, name.clone()]);
                }
            }
            Expr::CompoundIdentifier(idents) => {
                let is_relation = self.meant.values().any(|relation| relation.value == idents[0].value);
                if let Some(relation) = self.relation(&idents[0]).filter(|_| !is_relation) {
                    idents.insert(0, relation);
                }
            }
            _ => {}
        }
        ControlFlow::Continue(())
    }
}

fn parameters(lambda: &LambdaFunction) -> Vec<String> {
    match &lambda.params {
        OneOrManyWithParens::One(one) => vec![one.name.value.clone()],
        OneOrManyWithParens::Many(many) => many.iter().map(|one| one.name.value.clone()).collect(),
    }
}
