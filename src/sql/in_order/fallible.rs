//! Which expressions may fail for some rows: casts, divisions, and functions that refuse values.

use datafusion::common::tree_node::{TreeNode, TreeNodeRecursion};
use datafusion::common::{DFSchema, ScalarValue};
use datafusion::logical_expr::{BinaryExpr, Case, Cast, Expr, ExprSchemable, Operator};

use crate::sql::dialect::{CAST, TRY_CAST};

/// Functions that give an answer to whatever they are given; a pattern or a path that is written out is
/// refused before any row is looked at. Functions that are not named here are taken to fail.
const SURE: &[&str] = &[
    "$addendum_map",
    "$date_text",
    "$event_json",
    "$field",
    "$insight_context",
    "$json_map",
    "$json_member",
    "$lake_identity",
    "$lake_resources",
    "$like",
    "$max_n",
    "$min_n",
    "$narrow",
    "$row",
    "abs",
    "all_match",
    "any_match",
    "array_distinct",
    "array_has",
    "array_join",
    "array_max",
    "array_min",
    "array_position",
    "array_remove",
    "array_sort",
    "arrays_overlap",
    "at_timezone",
    "cardinality",
    "ceil",
    "ceiling",
    "character_length",
    "coalesce",
    "concat",
    "concat_ws",
    "contains",
    "current_date",
    "current_time",
    "current_timestamp",
    "date_diff",
    "date_format",
    "date_trunc",
    "day",
    "day_of_month",
    "day_of_week",
    "day_of_year",
    "dow",
    "doy",
    "element_at",
    "ends_with",
    "filter",
    "floor",
    "format_datetime",
    "from_unixtime",
    "get_field",
    "greatest",
    "hour",
    "is_nan",
    "json_array_contains",
    "json_array_get",
    "json_array_length",
    "json_dot",
    "json_extract",
    "json_extract_scalar",
    "json_format",
    "json_size",
    "least",
    "length",
    "localtime",
    "localtimestamp",
    "lower",
    "ltrim",
    "make_array",
    "map_keys",
    "map_values",
    "minute",
    "month",
    "none_match",
    "now",
    "nullif",
    "quarter",
    "regexp_count",
    "regexp_extract",
    "regexp_like",
    "regexp_position",
    "regexp_replace",
    "replace",
    "reverse",
    "round",
    "rtrim",
    "second",
    "sign",
    "split",
    "starts_with",
    "strpos",
    "substr",
    "substring",
    "to_iso8601",
    "to_unixtime",
    "transform",
    "trim",
    "try",
    "typeof",
    "upper",
    "url_extract_host",
    "url_extract_parameter",
    "url_extract_path",
    "url_extract_protocol",
    "url_extract_query",
    "week",
    "with_timezone",
    "year",
    TRY_CAST,
];

/// Whether an expression may fail for some rows.
pub(super) fn may_fail(expr: &Expr, schema: &DFSchema) -> bool {
    let mut found = false;
    each(expr, false, &mut |expr| {
        found |= fails_itself(expr, schema);
        !found
    });
    found
}

/// Whether whatever may fail in `expr` is computed by `before` anyway, for all rows.
pub(super) fn fails_only_as(expr: &Expr, before: &Expr, schema: &DFSchema) -> bool {
    let mut computed = Vec::new();
    each(before, true, &mut |inner| {
        computed.push(inner.clone());
        true
    });
    let mut covered = true;
    each(expr, false, &mut |inner| {
        covered &= !fails_itself(inner, schema) || computed.contains(inner);
        covered
    });
    covered
}

/// Whether a subquery stands in an expression: those are joins, or answered beforehand.
pub(super) fn has_subquery(expr: &Expr) -> bool {
    let is_subquery = |expr: &Expr| {
        matches!(
            expr,
            Expr::Exists(_) | Expr::InSubquery(_) | Expr::ScalarSubquery(_) | Expr::SetComparison(_)
        )
    };
    expr.exists(|expr| Ok(is_subquery(expr))).unwrap_or(true)
}

/// Visits an expression and what it is made of until `visit` says no; with `for_all`, only what is computed
/// for all rows. What TRY is given fails without consequences.
fn each(expr: &Expr, for_all: bool, visit: &mut impl FnMut(&Expr) -> bool) {
    let _ = expr.apply(|inner| {
        if !visit(inner) {
            return Ok(TreeNodeRecursion::Stop);
        }
        match inner {
            Expr::HigherOrderFunction(call) if for_all || call.func.name() == "try" => {
                Ok(TreeNodeRecursion::Jump)
            }
            Expr::Case(Case { expr, when_then_expr, .. }) if for_all => {
                let first = expr.as_deref().or(when_then_expr.first().map(|(when, _)| &**when));
                if let Some(first) = first {
                    each(first, true, visit);
                }
                Ok(TreeNodeRecursion::Jump)
            }
            _ => Ok(TreeNodeRecursion::Continue),
        }
    });
}

/// Whether an expression may fail though all that it is made of did not.
fn fails_itself(expr: &Expr, schema: &DFSchema) -> bool {
    match expr {
        Expr::ScalarFunction(call) => match call.name() {
            CAST => cast_fails(&call.args, schema),
            name => !SURE.contains(&name),
        },
        Expr::HigherOrderFunction(call) => !SURE.contains(&call.func.name()),
        // What types need to be alike, and what was said in `given`: text becomes another type only in `CAST`.
        Expr::Cast(Cast { expr, field }) => {
            let from_text = expr.get_type(schema).map_or(true, |given| given.is_string());
            from_text && !field.data_type().is_string()
        }
        Expr::BinaryExpr(BinaryExpr { left, op: Operator::Divide | Operator::Modulo, right }) => {
            let by_constant = matches!(&**right, Expr::Literal(value, _) if !is_zero(value));
            let floating = left.get_type(schema).is_ok_and(|given| given.is_floating());
            !by_constant && !floating
        }
        Expr::Placeholder(_) | Expr::Unnest(_) => true,
        _ => false,
    }
}

/// Everything can be made text but JSON, and a number becomes a wider one.
fn cast_fails(args: &[Expr], schema: &DFSchema) -> bool {
    let [value, Expr::Literal(target, _)] = args else { return true };
    let (Ok(given), Some(Some(target))) = (value.get_type(schema), target.try_as_str()) else { return true };
    let json = given == arrow::datatypes::DataType::LargeUtf8;
    match target.to_lowercase().as_str() {
        "varchar" | "string" => json || given.is_nested(),
        "double" | "bigint" => !given.is_integer(),
        "json" => given.is_nested(),
        _ => true,
    }
}

fn is_zero(value: &ScalarValue) -> bool {
    ScalarValue::new_zero(&value.data_type()).map_or(true, |zero| zero == *value) || value.is_null()
}
