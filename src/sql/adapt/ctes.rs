//! The names of WITH, each where it is known: behind its own definition, and in front of any table of that name.
//!
//! The planner knows no such places: a name may stand once in all of a query, and what has the name of a table hides
//! it everywhere. So names that stand twice, or are those of tables, become others.

use std::collections::{BTreeMap, BTreeSet};
use std::ops::ControlFlow;

use datafusion::sql::sqlparser::ast::{
    ObjectName, ObjectNamePart, Query, TableAlias, TableFactor, Visit, VisitMut, Visitor, VisitorMut, With,
};

use super::Names;
use super::relations::parts;
use crate::sql::syntax::ident;
use crate::sql::tokens::is_event_data_store;

/// Renames what would be taken for something else.
pub(super) fn rename(query: &mut Query, names: &Names) {
    let mut counts = Counts::default();
    let _ = Visit::visit(query, &mut counts);
    let is_table = |name: &String| {
        names.tables.contains(name) || names.synonyms.contains_key(name) || is_event_data_store(name)
    };
    let taken = counts.0.into_iter().filter(|(name, count)| *count > 1 || is_table(name));
    let taken: BTreeSet<String> = taken.map(|(name, _)| name).collect();
    if !taken.is_empty() {
        let _ = VisitMut::visit(query, &mut Scopes { taken, ..Scopes::default() });
    }
}

/// The last parts of the names of relations that a query does not define for itself, in lower case.
pub(in crate::sql) fn free_relations(query: &Query) -> BTreeSet<String> {
    let mut scopes = Scopes::default();
    let _ = VisitMut::visit(&mut query.clone(), &mut scopes);
    scopes.free
}

/// How often each name stands in a WITH.
#[derive(Default)]
struct Counts(BTreeMap<String, usize>);

impl Visitor for Counts {
    type Break = ();

    fn pre_visit_query(&mut self, query: &Query) -> ControlFlow<()> {
        for cte in query.with.iter().flat_map(|with| &with.cte_tables) {
            *self.0.entry(cte.alias.name.value.clone()).or_default() += 1;
        }
        ControlFlow::Continue(())
    }
}

/// What is known where: the names of WITH in lower case, each with what it is called now.
#[derive(Default)]
struct Scopes {
    taken: BTreeSet<String>,
    open: Vec<BTreeMap<String, String>>,
    /// What has been gone through already, to be put back.
    withs: Vec<Option<With>>,
    renamed: usize,
    free: BTreeSet<String>,
}

impl VisitorMut for Scopes {
    type Break = ();

    fn pre_visit_query(&mut self, query: &mut Query) -> ControlFlow<()> {
        self.open.push(BTreeMap::new());
        let mut with = query.with.take();
        if let Some(with) = &mut with {
            for cte in &mut with.cte_tables {
                let name = cte.alias.name.value.to_lowercase();
                let new = self.new_name(&name);
                if with.recursive {
                    self.define(name.clone(), new.clone());
                }
                let _ = VisitMut::visit(cte.query.as_mut(), self);
                if new != name {
                    cte.alias.name = ident(&new, cte.alias.name.span);
                }
                self.define(name, new);
            }
        }
        self.withs.push(with);
        ControlFlow::Continue(())
    }

    fn post_visit_query(&mut self, query: &mut Query) -> ControlFlow<()> {
        self.open.pop();
        query.with = self.withs.pop().flatten();
        ControlFlow::Continue(())
    }

    fn pre_visit_table_factor(&mut self, factor: &mut TableFactor) -> ControlFlow<()> {
        let TableFactor::Table { name, alias, args: None, .. } = factor else {
            return ControlFlow::Continue(());
        };
        let written = parts(name);
        let Some(last) = written.last().map(|last| last.to_lowercase()) else {
            return ControlFlow::Continue(());
        };
        let known = self.open.iter().rev().find_map(|scope| scope.get(&last));
        match known.filter(|_| written.len() == 1) {
            None => {
                self.free.insert(last);
            }
            Some(new) if *new != last => {
                let span = name.0.first().and_then(ObjectNamePart::as_ident).map(|ident| ident.span);
                let span = span.unwrap_or_else(datafusion::sql::sqlparser::tokenizer::Span::empty);
                if alias.is_none() {
                    let name = ident(&last, span);
                    *alias = Some(TableAlias { explicit: true, name, columns: Vec::new(), at: None });
                }
                *name = ObjectName(vec![ObjectNamePart::Identifier(ident(new, span))]);
            }
            Some(_) => {}
        }
        ControlFlow::Continue(())
    }
}

impl Scopes {
    fn new_name(&mut self, name: &str) -> String {
        if !self.taken.contains(name) {
            return name.to_owned();
        }
        self.renamed += 1;
        format!("{name}$with{}", self.renamed)
    }

    fn define(&mut self, name: String, new: String) {
        if let Some(scope) = self.open.last_mut() {
            scope.insert(name, new);
        }
    }
}
