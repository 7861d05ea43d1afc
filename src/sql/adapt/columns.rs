//! What the columns of an answer are called: `arn` for `useridentity.arn`, `_col2` for an expression,
//! and the same name as often as the query gives it.
//!
//! DataFusion wants different names for the columns of one query. So whatever is selected gets a name of
//! its own; those that cannot be written, since they hold a `$`, are put right in the headings.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::ops::ControlFlow;

use arrow::datatypes::Schema;
use datafusion::sql::sqlparser::ast::{
    Distinct, Expr, GroupByExpr, OrderByKind, Query, Select, SelectItem, SetExpr, Spanned, Visit, VisitMut,
    Visitor, VisitorMut,
};

use super::Names;
use crate::sql::error::SqlError;
use crate::sql::syntax::ident;

/// Begins the names of columns without a name.
const ANONYMOUS: &str = "$col";

/// The headings of an answer.
#[derive(Clone, Debug, Default)]
pub(in crate::sql) struct Headings {
    /// Names as the query spells them, by the same in lower case.
    spelt: HashMap<String, String>,
    /// Whether no column has a name, as in VALUES.
    nameless: bool,
}

impl Headings {
    /// The headings of the columns of `schema`.
    pub(in crate::sql) fn of(&self, schema: &Schema) -> Vec<String> {
        let heading = |(at, name): (usize, &String)| {
            if self.nameless || name.starts_with(ANONYMOUS) {
                return format!("_col{at}");
            }
            let name =
                name.split_once('$').map(|(name, _)| name).filter(|name| !name.is_empty()).unwrap_or(name);
            self.spelt.get(name).map_or(name, String::as_str).to_owned()
        };
        schema.fields().iter().map(|field| field.name()).enumerate().map(heading).collect()
    }

    /// Why the columns cannot be those of a view: one has no name, or two have the same.
    pub(in crate::sql) fn refusal(&self, schema: &Schema) -> Option<String> {
        let mut seen = BTreeSet::new();
        let headings = self.of(schema);
        for ((at, field), heading) in schema.fields().iter().enumerate().zip(headings) {
            if self.nameless || field.name().starts_with(ANONYMOUS) {
                return Some(format!(
                    "MISSING_COLUMN_NAME: Column name not specified at position {}",
                    at + 1
                ));
            }
            if !seen.insert(heading.to_lowercase()) {
                return Some(format!(
                    "DUPLICATE_COLUMN_NAME: Column name '{heading}' specified more than once"
                ));
            }
        }
        None
    }
}

/// The names of the first SELECT of a query as it spells them, by the same in lower case.
pub(super) fn spelt(query: &mut Query) -> HashMap<String, String> {
    let Some(select) = first_select(&mut query.body) else { return HashMap::new() };
    let name = |item: &SelectItem| match item {
        SelectItem::UnnamedExpr(expr) => path_name(expr),
        SelectItem::ExprWithAlias { alias, .. } => Some(alias.value.clone()),
        _ => None,
    };
    select.projection.iter().filter_map(name).map(|name| (name.to_lowercase(), name)).collect()
}

/// Names what is selected; `spelt` are the names as the query spells them.
pub(super) fn name(
    query: &mut Query,
    spelt: HashMap<String, String>,
    names: &Names,
    text: &str,
) -> Result<Headings, SqlError> {
    let mut inputs = Inputs { names: names.columns.iter().cloned().collect() };
    let _ = Visit::visit(query, &mut inputs);
    let mut naming = Namer { names, inputs: inputs.names, text };
    if let ControlFlow::Break(error) = VisitMut::visit(query, &mut naming) {
        return Err(*error);
    }
    Ok(Headings { spelt, nameless: matches!(innermost(&query.body), SetExpr::Values(_)) })
}

/// The last name of a path of names; an expression has none.
fn path_name(expr: &Expr) -> Option<String> {
    match expr {
        Expr::Identifier(ident) => Some(ident.value.clone()),
        Expr::CompoundIdentifier(idents) => idents.last().map(|ident| ident.value.clone()),
        Expr::Nested(inner) => path_name(inner),
        // The parser's form of a path that a keyword or a quoted name stands in.
        Expr::CompoundFieldAccess { root, access_chain } => {
            use datafusion::sql::sqlparser::ast::AccessExpr;
            let all_names = matches!(**root, Expr::Identifier(_) | Expr::CompoundIdentifier(_))
                && access_chain.iter().all(|access| matches!(access, AccessExpr::Dot(Expr::Identifier(_))));
            match access_chain.last() {
                Some(AccessExpr::Dot(Expr::Identifier(ident))) if all_names => Some(ident.value.clone()),
                _ => None,
            }
        }
        _ => None,
    }
}

fn innermost(body: &SetExpr) -> &SetExpr {
    match body {
        SetExpr::Query(query) => innermost(&query.body),
        SetExpr::SetOperation { left, .. } => innermost(left),
        other => other,
    }
}

fn first_select(body: &mut SetExpr) -> Option<&mut Select> {
    match body {
        SetExpr::Select(select) => Some(select),
        SetExpr::Query(query) => first_select(&mut query.body),
        SetExpr::SetOperation { left, .. } => first_select(left),
        _ => None,
    }
}

/// What may be a column of an input: the columns of tables, and what subqueries call theirs.
struct Inputs {
    names: BTreeSet<String>,
}

impl Visitor for Inputs {
    type Break = ();

    fn pre_visit_query(&mut self, query: &Query) -> ControlFlow<()> {
        for cte in query.with.iter().flat_map(|with| &with.cte_tables) {
            self.names.extend(cte.alias.columns.iter().map(|column| column.name.value.clone()));
            self.add_selected(&cte.query.body);
        }
        ControlFlow::Continue(())
    }

    fn pre_visit_table_factor(
        &mut self,
        factor: &datafusion::sql::sqlparser::ast::TableFactor,
    ) -> ControlFlow<()> {
        use datafusion::sql::sqlparser::ast::TableFactor as T;
        if let T::Derived { subquery, alias, .. } = factor {
            self.names.extend(alias.iter().flat_map(|a| &a.columns).map(|column| column.name.value.clone()));
            self.add_selected(&subquery.body);
        }
        if let T::UNNEST { alias: Some(alias), .. } = factor {
            self.names.extend(alias.columns.iter().map(|column| column.name.value.clone()));
        }
        ControlFlow::Continue(())
    }
}

impl Inputs {
    fn add_selected(&mut self, body: &SetExpr) {
        match body {
            SetExpr::Select(select) => {
                for item in &select.projection {
                    match item {
                        SelectItem::ExprWithAlias { alias, .. } => {
                            self.names.insert(alias.value.clone());
                        }
                        SelectItem::UnnamedExpr(expr) => self.names.extend(path_name(expr)),
                        _ => {}
                    }
                }
            }
            SetExpr::Query(query) => self.add_selected(&query.body),
            SetExpr::SetOperation { left, .. } => self.add_selected(left),
            _ => {}
        }
    }
}

struct Namer<'a> {
    names: &'a Names,
    inputs: BTreeSet<String>,
    text: &'a str,
}

impl VisitorMut for Namer<'_> {
    type Break = Box<SqlError>;

    fn pre_visit_query(&mut self, query: &mut Query) -> ControlFlow<Self::Break> {
        let mut selected = BTreeMap::new();
        let grouped = match &mut *query.body {
            SetExpr::Select(select) => {
                if let Err(error) = self.refuse_alias_in_having(select) {
                    return ControlFlow::Break(Box::new(error));
                }
                self.name_items(select, &mut selected);
                is_grouped(select)
            }
            other => {
                self.name_all(other);
                return ControlFlow::Continue(());
            }
        };
        let Some(order_by) = &mut query.order_by else { return ControlFlow::Continue(()) };
        if let OrderByKind::Expressions(exprs) = &mut order_by.kind {
            for order in exprs {
                order_by_alias(&mut order.expr, &selected, grouped);
            }
        }
        ControlFlow::Continue(())
    }
}

fn is_grouped(select: &Select) -> bool {
    let grouped = !matches!(&select.group_by, GroupByExpr::Expressions(exprs, _) if exprs.is_empty());
    grouped || matches!(select.distinct, Some(Distinct::Distinct))
}

/// What is selected is ordered by under its name: behind GROUP BY and DISTINCT nothing else is left.
fn order_by_alias(expr: &mut Expr, selected: &BTreeMap<String, (Expr, String)>, grouped: bool) {
    struct Replace<'a>(&'a BTreeMap<String, (Expr, String)>);
    impl VisitorMut for Replace<'_> {
        type Break = ();
        fn pre_visit_expr(&mut self, expr: &mut Expr) -> ControlFlow<()> {
            replace(expr, self.0);
            ControlFlow::Continue(())
        }
    }
    fn replace(expr: &mut Expr, selected: &BTreeMap<String, (Expr, String)>) {
        if matches!(expr, Expr::Value(_)) {
            return;
        }
        // A name is that of a column of the answer first, though another column may be made of an input of that name.
        if let Expr::Identifier(name) = expr
            && selected.values().any(|(_, alias)| *alias == name.value)
        {
            return;
        }
        if let Some((same, alias)) = selected.get(&expr.to_string())
            && same == expr
        {
            let span = expr.span();
            *expr = Expr::Identifier(ident(alias, span));
        }
    }
    if grouped {
        let _ = VisitMut::visit(expr, &mut Replace(selected));
    } else {
        replace(expr, selected);
    }
}

impl Namer<'_> {
    fn name_all(&self, body: &mut SetExpr) {
        match body {
            SetExpr::Select(select) => self.name_items(select, &mut BTreeMap::new()),
            SetExpr::SetOperation { left, right, .. } => {
                self.name_all(left);
                self.name_all(right);
            }
            _ => {}
        }
    }

    /// Gives every item a name that no other has; `selected` gets each expression with its name.
    fn name_items(&self, select: &mut Select, selected: &mut BTreeMap<String, (Expr, String)>) {
        let is_wildcard =
            |item: &SelectItem| matches!(item, SelectItem::Wildcard(_) | SelectItem::QualifiedWildcard(..));
        let wildcard = select.projection.iter().any(is_wildcard);
        let mut count: HashMap<String, usize> = HashMap::new();
        for item in &select.projection {
            if let Some(name) = own_name(item) {
                *count.entry(name).or_default() += 1;
            }
        }
        for (at, item) in select.projection.iter_mut().enumerate() {
            let name = own_name(item);
            let (expr, plain) = match item {
                SelectItem::UnnamedExpr(expr) => {
                    let plain = matches!(expr, Expr::Identifier(_));
                    (expr.clone(), plain)
                }
                SelectItem::ExprWithAlias { expr, .. } => (expr.clone(), false),
                _ => continue,
            };
            let span = expr.span();
            let unique = match &name {
                None => format!("{ANONYMOUS}{at}"),
                Some(name) if count[name] > 1 => format!("{name}${at}"),
                // Beside `*` there may be a column of this name already.
                Some(name) if wildcard && self.names.columns.contains(name) => format!("{name}${at}"),
                Some(name) => name.clone(),
            };
            selected.entry(expr.to_string()).or_insert_with(|| (expr.clone(), unique.clone()));
            if !(plain && name.as_deref() == Some(unique.as_str())) {
                *item = SelectItem::ExprWithAlias { expr, alias: ident(&unique, span) };
            }
        }
    }

    /// HAVING comes before the columns have their names.
    fn refuse_alias_in_having(&self, select: &Select) -> Result<(), SqlError> {
        let Some(having) = &select.having else { return Ok(()) };
        let aliases: BTreeSet<&str> = select
            .projection
            .iter()
            .filter_map(|item| match item {
                SelectItem::ExprWithAlias { alias, .. } => Some(alias.value.as_str()),
                _ => None,
            })
            .filter(|alias| !self.inputs.contains(*alias))
            .collect();
        if let ControlFlow::Break(found) = Visit::visit(having, &mut Find(&aliases)) {
            let message = format!("COLUMN_NOT_FOUND: Column '{}' cannot be resolved", found.value);
            return Err(SqlError::spanned(&message, found.span, self.text)
                .with_help("HAVING comes before columns have their names: write the expression itself"));
        }
        Ok(())
    }
}

/// Finds the first of some names.
struct Find<'a>(&'a BTreeSet<&'a str>);
impl Visitor for Find<'_> {
    type Break = datafusion::sql::sqlparser::ast::Ident;
    fn pre_visit_expr(&mut self, expr: &Expr) -> ControlFlow<Self::Break> {
        match expr {
            Expr::Identifier(ident) if self.0.contains(ident.value.as_str()) => {
                ControlFlow::Break(ident.clone())
            }
            _ => ControlFlow::Continue(()),
        }
    }
}

/// The name that an item has of itself.
fn own_name(item: &SelectItem) -> Option<String> {
    match item {
        SelectItem::UnnamedExpr(expr) => path_name(expr),
        SelectItem::ExprWithAlias { alias, .. } => Some(alias.value.clone()),
        _ => None,
    }
}
