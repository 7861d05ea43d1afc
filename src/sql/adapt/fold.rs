//! Names without case: every one, quoted or not, in lower case, as Athena has them.

use std::ops::ControlFlow;

use datafusion::sql::sqlparser::ast::{
    AccessExpr, Expr, Ident, Join, JoinConstraint, JoinOperator, ObjectName, ObjectNamePart,
    OneOrManyWithParens, Query, Select, SelectItem, SelectItemQualifiedWildcardKind, TableAlias, TableFactor,
    Value, VisitMut, VisitorMut,
};

/// Folds all names in `query`.
pub(super) fn fold(query: &mut Query) {
    let _ = VisitMut::visit(query, &mut Fold);
}

/// The name in lower case, and quoted, so that nothing else is read into it.
pub(super) fn fold_ident(ident: &mut Ident) {
    ident.value = ident.value.to_lowercase();
    ident.quote_style = Some('"');
}

pub(super) fn fold_name(name: &mut ObjectName) {
    for part in &mut name.0 {
        if let ObjectNamePart::Identifier(ident) = part {
            fold_ident(ident);
        }
    }
}

struct Fold;

impl VisitorMut for Fold {
    type Break = ();

    fn pre_visit_query(&mut self, query: &mut Query) -> ControlFlow<()> {
        for cte in query.with.iter_mut().flat_map(|with| &mut with.cte_tables) {
            fold_alias(&mut cte.alias);
        }
        ControlFlow::Continue(())
    }

    fn pre_visit_select(&mut self, select: &mut Select) -> ControlFlow<()> {
        for item in &mut select.projection {
            match item {
                SelectItem::ExprWithAlias { alias, .. } => fold_ident(alias),
                SelectItem::QualifiedWildcard(SelectItemQualifiedWildcardKind::ObjectName(name), _) => {
                    fold_name(name);
                }
                _ => {}
            }
        }
        for join in select.from.iter_mut().flat_map(|from| &mut from.joins) {
            fold_using(join);
        }
        ControlFlow::Continue(())
    }

    fn pre_visit_table_factor(&mut self, factor: &mut TableFactor) -> ControlFlow<()> {
        match factor {
            TableFactor::Table { name, alias, args, .. } => {
                // A function that makes rows is looked up as it is written.
                if args.is_none() {
                    fold_name(name);
                }
                alias.iter_mut().for_each(fold_alias);
            }
            TableFactor::Derived { alias, .. }
            | TableFactor::UNNEST { alias, .. }
            | TableFactor::NestedJoin { alias, .. }
            | TableFactor::Function { alias, .. }
            | TableFactor::TableFunction { alias, .. } => alias.iter_mut().for_each(fold_alias),
            _ => {}
        }
        if let TableFactor::NestedJoin { table_with_joins, .. } = factor {
            table_with_joins.joins.iter_mut().for_each(fold_using);
        }
        ControlFlow::Continue(())
    }

    fn pre_visit_expr(&mut self, expr: &mut Expr) -> ControlFlow<()> {
        match expr {
            Expr::Identifier(ident) => fold_ident(ident),
            Expr::CompoundIdentifier(idents) => idents.iter_mut().for_each(fold_ident),
            Expr::CompoundFieldAccess { access_chain, .. } => {
                access_chain.iter_mut().for_each(fold_access);
            }
            Expr::Lambda(lambda) => match &mut lambda.params {
                OneOrManyWithParens::One(parameter) => fold_ident(&mut parameter.name),
                OneOrManyWithParens::Many(parameters) => {
                    for parameter in parameters {
                        fold_ident(&mut parameter.name);
                    }
                }
            },
            _ => {}
        }
        ControlFlow::Continue(())
    }
}

fn fold_alias(alias: &mut TableAlias) {
    fold_ident(&mut alias.name);
    alias.columns.iter_mut().for_each(|column| fold_ident(&mut column.name));
}

fn fold_access(access: &mut AccessExpr) {
    if let AccessExpr::Dot(expr) = access {
        match expr {
            Expr::Identifier(ident) => fold_ident(ident),
            // `x.'name'` is not Trino's, and is read as x.name.
            Expr::Value(value) => {
                if let Value::DoubleQuotedString(name) | Value::SingleQuotedString(name) = &mut value.value {
                    *name = name.to_lowercase();
                }
            }
            _ => {}
        }
    }
}

fn fold_using(join: &mut Join) {
    if let JoinOperator::Join(JoinConstraint::Using(names))
    | JoinOperator::Inner(JoinConstraint::Using(names))
    | JoinOperator::Left(JoinConstraint::Using(names))
    | JoinOperator::LeftOuter(JoinConstraint::Using(names))
    | JoinOperator::Right(JoinConstraint::Using(names))
    | JoinOperator::RightOuter(JoinConstraint::Using(names))
    | JoinOperator::FullOuter(JoinConstraint::Using(names)) = &mut join.join_operator
    {
        names.iter_mut().for_each(fold_name);
    }
}
