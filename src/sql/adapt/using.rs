//! The common columns of joins with USING.
//!
//! In `a RIGHT JOIN b USING (x)` and `a FULL JOIN b USING (x)`, `x` is that of whichever side has the row. DataFusion
//! takes the left side's, which is NULL in the rows that only the right side has. And `*` is the common columns, then
//! those of each relation, of a table with hidden columns those that it shows.

use std::collections::{BTreeMap, BTreeSet};
use std::ops::ControlFlow;

use datafusion::sql::sqlparser::ast::{ExcludeSelectItem, ObjectName, ObjectNamePart};
use datafusion::sql::sqlparser::ast::{
    Expr, Ident, JoinConstraint, JoinOperator, OrderByKind, Query, Select, SelectItem,
    SelectItemQualifiedWildcardKind, SetExpr, TableFactor, VisitMut, VisitorMut, WildcardAdditionalOptions,
};
use datafusion::sql::sqlparser::tokenizer::Span;

use super::Names;
use super::relations::parts;
use crate::sql::syntax::{call, ident};

/// Writes out what the common columns of such joins are.
pub(super) fn write_out(query: &mut Query, names: &Names) {
    let _ = VisitMut::visit(query, &mut Using { names });
}

struct Using<'a> {
    names: &'a Names,
}

impl VisitorMut for Using<'_> {
    type Break = ();

    fn pre_visit_query(&mut self, query: &mut Query) -> ControlFlow<()> {
        let SetExpr::Select(select) = &mut *query.body else { return ControlFlow::Continue(()) };
        let (common, lacking) = common(select);
        let relations = self.relations(select);
        let hides = relations.iter().any(|(_, star)| star.is_some());
        if common.is_empty() || !(lacking || hides) {
            return ControlFlow::Continue(());
        }
        let selected = selected(select);
        keep_names(select, &common, &relations);
        if !lacking {
            return ControlFlow::Continue(());
        }
        let mut meant = Meant { common, depth: 0 };
        for item in &mut select.projection {
            let _ = VisitMut::visit(item, &mut meant);
        }
        for part in select.selection.iter_mut().chain(&mut select.having) {
            let _ = VisitMut::visit(part, &mut meant);
        }
        let _ = VisitMut::visit(&mut select.group_by, &mut meant);
        meant.common.retain(|name, _| !selected.contains(name));
        if let Some(order) = &mut query.order_by
            && let OrderByKind::Expressions(exprs) = &mut order.kind
        {
            for by in exprs {
                let _ = VisitMut::visit(&mut by.expr, &mut meant);
            }
        }
        ControlFlow::Continue(())
    }
}

/// A relation of FROM, and what `*` shows of it if it has more.
type Relation = (Ident, Option<Vec<String>>);

impl Using<'_> {
    fn relations(&self, select: &Select) -> Vec<Relation> {
        let factors = select.from.iter().flat_map(|from| {
            std::iter::once(&from.relation).chain(from.joins.iter().map(|join| &join.relation))
        });
        let star = |factor: &TableFactor| match factor {
            TableFactor::Table { name, args: None, .. } => {
                self.names.stars.get(&parts(name).join(".")).cloned()
            }
            _ => None,
        };
        factors.filter_map(|factor| Some((relation(factor)?, star(factor)))).collect()
    }
}

/// Each common column with the relations whose it is, and whether one of the joins can lack the left side's.
fn common(select: &Select) -> (BTreeMap<String, Vec<Ident>>, bool) {
    let nothing = || (BTreeMap::new(), false);
    let [from] = select.from.as_slice() else { return nothing() };
    let mut common: BTreeMap<String, Vec<Ident>> = BTreeMap::new();
    let mut lacking = false;
    let left = relation(&from.relation);
    for join in &from.joins {
        let (JoinOperator::Join(constraint)
        | JoinOperator::Inner(constraint)
        | JoinOperator::Left(constraint)
        | JoinOperator::LeftOuter(constraint)
        | JoinOperator::Right(constraint)
        | JoinOperator::RightOuter(constraint)
        | JoinOperator::FullOuter(constraint)) = &join.join_operator
        else {
            continue;
        };
        let JoinConstraint::Using(columns) = constraint else { continue };
        lacking |= matches!(
            join.join_operator,
            JoinOperator::Right(_) | JoinOperator::RightOuter(_) | JoinOperator::FullOuter(_)
        );
        let (Some(first), Some(right)) = (&left, relation(&join.relation)) else { return nothing() };
        for column in columns.iter().filter_map(|name| name.0.last()?.as_ident()) {
            let sides = common.entry(column.value.clone()).or_insert_with(|| vec![first.clone()]);
            sides.push(right.clone());
        }
    }
    (common, lacking)
}

fn relation(factor: &TableFactor) -> Option<Ident> {
    match factor {
        TableFactor::Table { name, alias, .. } => match alias {
            Some(alias) => Some(alias.name.clone()),
            None => name.0.last()?.as_ident().cloned(),
        },
        TableFactor::Derived { alias, .. } => alias.as_ref().map(|alias| alias.name.clone()),
        _ => None,
    }
}

/// The names of what is selected.
fn selected(select: &Select) -> BTreeSet<String> {
    let name = |item: &SelectItem| match item {
        SelectItem::UnnamedExpr(Expr::Identifier(name)) | SelectItem::ExprWithAlias { alias: name, .. } => {
            Some(name.value.clone())
        }
        _ => None,
    };
    select.projection.iter().filter_map(name).collect()
}

/// What is selected keeps its name; `*` is the common columns, and then what is left of each relation.
fn keep_names(select: &mut Select, common: &BTreeMap<String, Vec<Ident>>, relations: &[Relation]) {
    let named = |name: &Ident| SelectItem::ExprWithAlias {
        expr: Expr::Identifier(name.clone()),
        alias: name.clone(),
    };
    let items = std::mem::take(&mut select.projection);
    let kept = items.into_iter().flat_map(|item| match item {
        SelectItem::UnnamedExpr(Expr::Identifier(name)) if common.contains_key(&name.value) => {
            vec![named(&name)]
        }
        SelectItem::Wildcard(options) if plain(&options) => {
            let first = common.keys().map(|name| named(&ident(name, Span::empty())));
            first.chain(relations.iter().flat_map(|relation| rest(relation, common))).collect()
        }
        other => vec![other],
    });
    select.projection = kept.collect();
}

fn plain(options: &WildcardAdditionalOptions) -> bool {
    options.opt_exclude.is_none() && options.opt_except.is_none() && options.opt_replace.is_none()
}

/// `relation.* EXCLUDE (the common columns)`.
fn rest((relation, star): &Relation, common: &BTreeMap<String, Vec<Ident>>) -> Vec<SelectItem> {
    let is_common = |name: &String| common.get(name).is_some_and(|sides| sides.contains(relation));
    if let Some(star) = star {
        let left = star.iter().filter(|name| !is_common(name));
        let path = |name: &String| vec![relation.clone(), ident(name, relation.span)];
        return left.map(|name| SelectItem::UnnamedExpr(Expr::CompoundIdentifier(path(name)))).collect();
    }
    let part = |ident: Ident| ObjectName(vec![ObjectNamePart::Identifier(ident)]);
    let owned = common.keys().filter(|name| is_common(name));
    let excluded: Vec<ObjectName> = owned.map(|name| part(ident(name, relation.span))).collect();
    let options = WildcardAdditionalOptions {
        opt_exclude: (!excluded.is_empty()).then_some(ExcludeSelectItem::Multiple(excluded)),
        ..WildcardAdditionalOptions::default()
    };
    let kind = SelectItemQualifiedWildcardKind::ObjectName(part(relation.clone()));
    vec![SelectItem::QualifiedWildcard(kind, options)]
}

/// Puts `coalesce(a.x, b.x)` in the place of `x`, outside of queries within.
struct Meant {
    common: BTreeMap<String, Vec<Ident>>,
    depth: usize,
}

impl VisitorMut for Meant {
    type Break = ();

    fn pre_visit_query(&mut self, _: &mut Query) -> ControlFlow<()> {
        self.depth += 1;
        ControlFlow::Continue(())
    }

    fn post_visit_query(&mut self, _: &mut Query) -> ControlFlow<()> {
        self.depth -= 1;
        ControlFlow::Continue(())
    }

    fn post_visit_expr(&mut self, expr: &mut Expr) -> ControlFlow<()> {
        if let Expr::Identifier(name) = expr
            && self.depth == 0
            && let Some(sides) = self.common.get(&name.value)
        {
            let side = |relation: &Ident| Expr::CompoundIdentifier(vec![relation.clone(), name.clone()]);
            *expr = call("coalesce", sides.iter().map(side).collect(), name.span);
        }
        ControlFlow::Continue(())
    }
}
