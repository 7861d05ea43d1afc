//! Special forms of Trino's SQL as calls of functions, and spellings that DataFusion reads otherwise.

use std::ops::ControlFlow;

use datafusion::sql::sqlparser::ast::helpers::attached_token::AttachedToken;
use datafusion::sql::sqlparser::ast::{
    AccessExpr, BinaryOperator, CaseWhen, CeilFloorKind, DateTimeField, Expr, Function, FunctionArg,
    FunctionArgExpr, FunctionArgumentClause, FunctionArguments, Ident, LambdaFunction, LambdaSyntax,
    LimitClause, OneOrManyWithParens, Query, Select, Spanned, Subscript, TrimWhereField, UnaryOperator,
    Value, ValueWithSpan, VisitMut, VisitorMut,
};
use datafusion::sql::sqlparser::tokenizer::Span;

use super::Names;
use super::comparisons::{between, is_in, like};
use super::{groups, intervals, teradata};
use crate::sql::dialect::{CAST, TRY_CAST};
use crate::sql::error::SqlError;
use crate::sql::functions::REPLACE_BY;
use crate::sql::syntax::{call, ident, text};

/// What makes a row of values.
pub(super) const ROW: &str = "$row";

/// Rewrites every expression in `query`.
pub(super) fn rewrite(query: &mut Query, names: &Names, source: &str) -> Result<(), SqlError> {
    match VisitMut::visit(query, &mut Rewriter { names, source, parameters: Vec::new() }) {
        ControlFlow::Break(error) => Err(*error),
        ControlFlow::Continue(()) => Ok(()),
    }
}

struct Rewriter<'a> {
    names: &'a Names,
    source: &'a str,
    /// The parameters of the lambdas around the expression, the innermost last.
    parameters: Vec<Vec<String>>,
}

impl VisitorMut for Rewriter<'_> {
    type Break = Box<SqlError>;

    fn pre_visit_query(&mut self, query: &mut Query) -> ControlFlow<Self::Break> {
        match limit_by_fetch(query) {
            Ok(()) => ControlFlow::Continue(()),
            Err(message) => self.fail(&message, query.span()),
        }
    }

    fn pre_visit_select(&mut self, select: &mut Select) -> ControlFlow<Self::Break> {
        if let Some(selection) = &select.selection
            && let Some(aggregate) = first_aggregate(selection, self.names)
        {
            let message = format!(
                "EXPRESSION_NOT_SCALAR: WHERE clause cannot contain aggregations: {aggregate}; conditions on groups go behind HAVING"
            );
            return self.fail(&message, selection.span());
        }
        groups::flatten(&mut select.group_by);
        ControlFlow::Continue(())
    }

    fn pre_visit_expr(&mut self, expr: &mut Expr) -> ControlFlow<Self::Break> {
        if let Expr::Lambda(lambda) = expr {
            self.parameters.push(parameters(lambda));
        }
        ControlFlow::Continue(())
    }

    fn post_visit_expr(&mut self, expr: &mut Expr) -> ControlFlow<Self::Break> {
        if let Expr::Lambda(_) = expr {
            self.parameters.pop();
        }
        let span = expr.span();
        let taken = std::mem::replace(expr, Expr::Value(Value::Null.into()));
        let taken = self.array_in_lambda(taken, span);
        match rewrite_one(taken, span).map(|expr| self.member_of_parameter(expr)) {
            Ok(rewritten) => {
                *expr = rewritten;
                ControlFlow::Continue(())
            }
            Err(message) => self.fail(&message, span),
        }
    }
}

impl Rewriter<'_> {
    /// `r.type` where `r` is a lambda's parameter: the planner looks up whole names only.
    fn member_of_parameter(&self, expr: Expr) -> Expr {
        let Expr::CompoundIdentifier(idents) = expr else { return expr };
        let is_parameter = |name: &str| self.parameters.iter().flatten().any(|parameter| parameter == name);
        if !is_parameter(&idents[0].value) {
            return Expr::CompoundIdentifier(idents);
        }
        let mut idents = idents.into_iter();
        let root = idents.next().map_or_else(|| Expr::Value(Value::Null.into()), Expr::Identifier);
        idents.fold(root, |owner, member| field(owner, &member))
    }

    /// `ARRAY[x]` as a call: the planner forgets a lambda's parameters inside of the literal.
    fn array_in_lambda(&self, expr: Expr, span: Span) -> Expr {
        match expr {
            Expr::Array(array) if !self.parameters.is_empty() => call("make_array", array.elem, span),
            other => other,
        }
    }

    fn fail(&self, message: &str, span: Span) -> ControlFlow<Box<SqlError>> {
        ControlFlow::Break(Box::new(SqlError::spanned(message, span, self.source)))
    }
}

/// `FETCH FIRST n ROWS ONLY` is LIMIT n.
fn limit_by_fetch(query: &mut Query) -> Result<(), String> {
    let Some(fetch) = query.fetch.take() else { return Ok(()) };
    if fetch.with_ties || fetch.percent {
        return Err(
            "NOT_SUPPORTED: FETCH FIRST takes ROWS ONLY here; rank() OVER (…) does what WITH TIES does"
                .to_owned(),
        );
    }
    let one = || Expr::Value(Value::Number("1".to_owned(), false).into());
    let quantity = Some(fetch.quantity.unwrap_or_else(one));
    match &mut query.limit_clause {
        Some(LimitClause::LimitOffset { limit: limit @ None, .. }) => *limit = quantity,
        None => {
            query.limit_clause =
                Some(LimitClause::LimitOffset { limit: quantity, offset: None, limit_by: Vec::new() });
        }
        Some(_) => return Err("SYNTAX_ERROR: LIMIT and FETCH FIRST exclude one another".to_owned()),
    }
    Ok(())
}

/// The first aggregate in an expression, outside of subqueries and windows.
fn first_aggregate(expr: &Expr, names: &Names) -> Option<String> {
    struct Find<'a> {
        names: &'a Names,
        depth: usize,
    }
    impl datafusion::sql::sqlparser::ast::Visitor for Find<'_> {
        type Break = String;
        fn pre_visit_query(&mut self, _: &Query) -> ControlFlow<String> {
            self.depth += 1;
            ControlFlow::Continue(())
        }
        fn post_visit_query(&mut self, _: &Query) -> ControlFlow<String> {
            self.depth -= 1;
            ControlFlow::Continue(())
        }
        fn pre_visit_expr(&mut self, expr: &Expr) -> ControlFlow<String> {
            if let Expr::Function(function) = expr
                && self.depth == 0
                && function.over.is_none()
                && self.names.aggregates.contains(&function_name(function))
            {
                return ControlFlow::Break(expr.to_string());
            }
            ControlFlow::Continue(())
        }
    }
    match datafusion::sql::sqlparser::ast::Visit::visit(expr, &mut Find { names, depth: 0 }) {
        ControlFlow::Break(found) => Some(found),
        ControlFlow::Continue(()) => None,
    }
}

/// The name of a function, in lower case.
pub(super) fn function_name(function: &Function) -> String {
    function.name.to_string().trim_matches('"').to_lowercase()
}

fn rewrite_one(expr: Expr, span: Span) -> Result<Expr, String> {
    Ok(match expr {
        Expr::Function(function) => rewrite_function(function, span)?,
        Expr::CompoundFieldAccess { root, access_chain } => access(*root, access_chain, span)?,
        Expr::Like { negated, any: false, expr, pattern, escape_char } => {
            like(negated, *expr, *pattern, escape_char.as_ref(), span)?
        }
        Expr::Cast { kind, expr, data_type, .. } => {
            use datafusion::sql::sqlparser::ast::CastKind as K;
            let function = if matches!(kind, K::TryCast | K::SafeCast) { TRY_CAST } else { CAST };
            call(function, vec![*expr, text(&data_type.to_string(), span)], span)
        }
        Expr::Interval(interval) => intervals::written_out(interval, span)?,
        Expr::AtTimeZone { timestamp, time_zone } => call("at_timezone", vec![*timestamp, *time_zone], span),
        Expr::Extract { field, expr, .. } => call(&extracted(&field), vec![*expr], span),
        Expr::Ceil { expr, field: CeilFloorKind::DateTimeField(DateTimeField::NoDateTime) } => {
            call("ceil", vec![*expr], span)
        }
        Expr::Floor { expr, field: CeilFloorKind::DateTimeField(DateTimeField::NoDateTime) } => {
            call("floor", vec![*expr], span)
        }
        Expr::Position { expr, r#in } => call("strpos", vec![*r#in, *expr], span),
        Expr::Substring { expr, substring_from, substring_for, .. } => {
            let parts = [Some(expr), substring_from, substring_for];
            call("substring", parts.into_iter().flatten().map(|part| *part).collect(), span)
        }
        Expr::Trim { trim_where, trim_what, expr, trim_characters: None } => {
            let function = match trim_where {
                Some(TrimWhereField::Leading) => "ltrim",
                Some(TrimWhereField::Trailing) => "rtrim",
                _ => "trim",
            };
            call(function, [Some(expr), trim_what].into_iter().flatten().map(|part| *part).collect(), span)
        }
        Expr::Between { expr, negated, low, high } => between(&expr, negated, *low, *high),
        Expr::Value(value) => literal(value),
        Expr::AnyOp { left, compare_op: BinaryOperator::Eq, right, .. } => match *right {
            Expr::Subquery(subquery) => is_in(left, subquery, false),
            right => {
                Expr::AnyOp { left, compare_op: BinaryOperator::Eq, right: right.into(), is_some: false }
            }
        },
        Expr::InSubquery { expr, subquery, negated } => is_in(expr, subquery, negated),
        Expr::AllOp { left, compare_op: BinaryOperator::NotEq, right } => match *right {
            Expr::Subquery(subquery) => is_in(left, subquery, true),
            right => Expr::AllOp { left, compare_op: BinaryOperator::NotEq, right: right.into() },
        },
        Expr::UnaryOp { op: UnaryOperator::Minus, expr } if !is_number(&expr) => {
            call("$negate", vec![*expr], span)
        }
        Expr::Tuple(members) if members.len() > 1 => call(ROW, members, span),
        Expr::Struct { values, fields } if fields.is_empty() => call(ROW, values, span),
        other => other,
    })
}

/// Whether a number is written out, which is negative as a whole.
fn is_number(expr: &Expr) -> bool {
    match expr {
        Expr::Value(value) => matches!(value.value, Value::Number(..)),
        _ => false,
    }
}

/// A number with an exponent is a double; others are integers and decimals. `U&'…'` is text.
fn literal(value: ValueWithSpan) -> Expr {
    if let Value::UnicodeStringLiteral(written) = &value.value {
        return text(written, value.span);
    }
    let Value::Number(digits, _) = &value.value else { return Expr::Value(value) };
    if !digits.contains(['e', 'E']) {
        return Expr::Value(value);
    }
    let span = value.span;
    call(CAST, vec![text(&digits.clone(), span), text("double", span)], span)
}

/// The function that EXTRACT stands for.
fn extracted(field: &DateTimeField) -> String {
    field.to_string().to_lowercase().trim_matches('"').to_owned()
}

fn rewrite_function(mut function: Function, span: Span) -> Result<Expr, String> {
    let name = function_name(&function);
    match name.as_str() {
        "try" => {
            let [argument] = arguments(&function, "TRY takes one expression")?;
            return Ok(call("try", vec![without_parameters(argument)], span));
        }
        "if" => return conditional(&function, span),
        "typeof" => {
            if let [argument] = all_arguments(&function).as_slice()
                && let Some(name) = literal_type(argument)
            {
                return Ok(text(&name, span));
            }
        }
        "normalize" => name_of_form(&mut function),
        "to_char" | "to_timestamp" | "to_date" => {
            if let [value, pattern] = all_arguments(&function).as_slice()
                && let Some(written) = teradata::written(&name, value, pattern, span)
            {
                return written;
            }
        }
        "regexp_replace" if matches!(all_arguments(&function).get(2), Some(Expr::Lambda(_))) => {
            rename(&mut function, REPLACE_BY);
        }
        "map" => rename(&mut function, "$map"),
        "row" => rename(&mut function, ROW),
        "current_timestamp" | "current_time" | "current_date" | "localtimestamp" | "localtime" => {
            // A precision changes nothing: times have milliseconds.
            return Ok(call(&name, Vec::new(), span));
        }
        "max" | "min" if all_arguments(&function).len() == 2 => rename(&mut function, &format!("${name}_n")),
        "listagg" if !function.within_group.is_empty() => {
            let order = std::mem::take(&mut function.within_group);
            if let FunctionArguments::List(list) = &mut function.args {
                if list.args.len() == 1 {
                    list.args.push(FunctionArg::Unnamed(FunctionArgExpr::Expr(text("", span))));
                }
                list.clauses.retain(|clause| !matches!(clause, FunctionArgumentClause::OnOverflow(_)));
                list.clauses.push(FunctionArgumentClause::OrderBy(order));
            }
        }
        _ => {}
    }
    Ok(Expr::Function(function))
}

/// The form in `normalize(text, NFD)` is a word of the grammar, and a text here.
fn name_of_form(function: &mut Function) {
    let FunctionArguments::List(list) = &mut function.args else { return };
    if let Some(FunctionArg::Unnamed(FunctionArgExpr::Expr(form))) = list.args.get_mut(1)
        && let Expr::Identifier(ident) = form
    {
        *form = text(&ident.value, ident.span);
    }
}

/// The type of what is written out, which is narrower in Trino than here: `1` is an integer, `'abc'` a
/// `varchar(3)`.
fn literal_type(expr: &Expr) -> Option<String> {
    match expr {
        Expr::Nested(inner)
        | Expr::UnaryOp { op: UnaryOperator::Minus | UnaryOperator::Plus, expr: inner } => {
            literal_type(inner)
        }
        Expr::Value(ValueWithSpan { value: Value::Number(digits, _), .. }) => {
            digits.parse::<i32>().is_ok().then(|| "integer".to_owned())
        }
        Expr::Value(ValueWithSpan { value: Value::SingleQuotedString(text), .. }) => {
            Some(format!("varchar({})", text.chars().count()))
        }
        _ => None,
    }
}

fn rename(function: &mut Function, name: &str) {
    let span = function.name.span();
    function.name = ident(name, span).into();
    if matches!(function.args, FunctionArguments::None) {
        *function = match call(name, Vec::new(), span) {
            Expr::Function(empty) => empty,
            _ => unreachable!("call makes a function"),
        };
    }
}

/// The arguments of a call that has as many as asked for.
fn arguments<const N: usize>(function: &Function, message: &str) -> Result<[Expr; N], String> {
    all_arguments(function).try_into().map_err(|_| format!("FUNCTION_NOT_FOUND: {message}"))
}

pub(super) fn all_arguments(function: &Function) -> Vec<Expr> {
    let FunctionArguments::List(list) = &function.args else { return Vec::new() };
    let value = |argument: &FunctionArg| match argument {
        FunctionArg::Unnamed(FunctionArgExpr::Expr(expr)) => Some(expr.clone()),
        _ => None,
    };
    list.args.iter().filter_map(value).collect()
}

fn parameters(lambda: &LambdaFunction) -> Vec<String> {
    match &lambda.params {
        OneOrManyWithParens::One(one) => vec![one.name.value.clone()],
        OneOrManyWithParens::Many(many) => many.iter().map(|one| one.name.value.clone()).collect(),
    }
}

fn without_parameters(body: Expr) -> Expr {
    Expr::Lambda(LambdaFunction {
        params: OneOrManyWithParens::Many(Vec::new()),
        body: Box::new(body),
        syntax: LambdaSyntax::Arrow,
    })
}

/// `IF(condition, then[, else])`.
fn conditional(function: &Function, span: Span) -> Result<Expr, String> {
    let mut parts = all_arguments(function).into_iter();
    let (Some(condition), Some(result)) = (parts.next(), parts.next()) else {
        return Err("SYNTAX_ERROR: IF takes a condition and one or two results".to_owned());
    };
    let else_result = parts.next().map(Box::new);
    if parts.next().is_some() {
        return Err("SYNTAX_ERROR: IF takes a condition and one or two results".to_owned());
    }
    let mut token = AttachedToken::empty();
    token.0.span = span;
    Ok(Expr::Case {
        case_token: token.clone(),
        end_token: token,
        operand: None,
        conditions: vec![CaseWhen { condition, result }],
        else_result,
    })
}

/// `x.a[1].b`: subscripts are calls, and a member of what is called is taken by its name.
fn access(root: Expr, chain: Vec<AccessExpr>, span: Span) -> Result<Expr, String> {
    let mut so_far = root;
    for access in chain {
        so_far = match access {
            AccessExpr::Subscript(Subscript::Index { index }) => {
                call("$subscript", vec![so_far, index], span)
            }
            AccessExpr::Subscript(Subscript::Slice { .. }) => {
                return Err("SYNTAX_ERROR: slice(array, start, length) takes a part of an array".to_owned());
            }
            AccessExpr::Dot(Expr::Identifier(member)) => member_of(so_far, member),
            AccessExpr::Dot(other) => return Err(format!("SYNTAX_ERROR: '.{other}' names no field")),
        };
    }
    Ok(so_far)
}

/// A member of whatever `owner` is; a path of names stays one.
fn member_of(owner: Expr, member: Ident) -> Expr {
    match owner {
        Expr::Identifier(first) => Expr::CompoundIdentifier(vec![first, member]),
        Expr::CompoundIdentifier(mut idents) => {
            idents.push(member);
            Expr::CompoundIdentifier(idents)
        }
        owner => field(owner, &member),
    }
}

/// The member of a row that is no path of names.
pub(super) fn field(owner: Expr, member: &Ident) -> Expr {
    call("$field", vec![owner, text(&member.value, member.span)], member.span)
}
