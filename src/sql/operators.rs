//! What the operators take and give, where Trino and DataFusion differ: which types compare, the scale of
//! a quotient, and a dot into JSON.

use arrow::datatypes::{DataType, Field, TimeUnit};
use datafusion::common::{Column, DFSchema, Result, ScalarValue, TableReference, plan_err};
use datafusion::functions::core::expr_fn::get_field;
use datafusion::logical_expr::planner::{ExprPlanner, PlannerResult, RawBinaryExpr};
use datafusion::logical_expr::{BinaryExpr, Expr, ExprSchemable, Operator, cast, lit, try_cast};
use datafusion::sql::sqlparser::ast::BinaryOperator;

use super::functions::{integer_operation, interval_order, scaled_interval};
use super::types::type_name;

/// Plans operators by the types that they are applied to.
#[derive(Debug)]
pub(super) struct Operators;

impl ExprPlanner for Operators {
    fn plan_binary_op(
        &self,
        mut expr: RawBinaryExpr,
        schema: &DFSchema,
    ) -> Result<PlannerResult<RawBinaryExpr>> {
        let (Ok(left), Ok(right)) = (expr.left.get_type(schema), expr.right.get_type(schema)) else {
            return Ok(PlannerResult::Original(expr));
        };
        match &expr.op {
            op if is_comparison(op) => {
                (expr.left, expr.right) = comparable((expr.left, &left), (expr.right, &right), &expr.op)?;
                Ok(PlannerResult::Original(expr))
            }
            BinaryOperator::Minus if left == DataType::Date32 && right == DataType::Date32 => {
                // Days as an interval, not as a number.
                let midnight =
                    |date: Expr| Box::new(cast(date, DataType::Timestamp(TimeUnit::Millisecond, None)));
                let (left, right) = (midnight(expr.left), midnight(expr.right));
                let span = BinaryExpr::new(left, Operator::Minus, right);
                Ok(PlannerResult::Planned(Expr::BinaryExpr(span)))
            }
            BinaryOperator::Multiply if is_interval(&left) && right.is_numeric() => {
                Ok(PlannerResult::Planned(scaled_interval(expr.left, expr.right, right.is_integer(), false)))
            }
            BinaryOperator::Multiply if left.is_numeric() && is_interval(&right) => {
                Ok(PlannerResult::Planned(scaled_interval(expr.right, expr.left, left.is_integer(), false)))
            }
            BinaryOperator::Divide if is_interval(&left) && right.is_numeric() => {
                Ok(PlannerResult::Planned(scaled_interval(expr.left, expr.right, right.is_integer(), true)))
            }
            BinaryOperator::Divide => match (exact(&left), exact(&right)) {
                (Some(left), Some(right)) if is_decimal(&expr, schema) => {
                    Ok(PlannerResult::Planned(quotient(expr, left, right)))
                }
                _ => Ok(PlannerResult::Original(expr)),
            },
            BinaryOperator::Plus | BinaryOperator::Minus | BinaryOperator::Multiply
                if left.is_integer() && right.is_integer() =>
            {
                Ok(match integer_operation(&expr.op, expr.left.clone(), expr.right.clone()) {
                    Some(planned) => PlannerResult::Planned(planned),
                    None => PlannerResult::Original(expr),
                })
            }
            BinaryOperator::StringConcat if is_text(&left) && right.is_numeric() => {
                mismatch(&expr.op, &left, &right)
            }
            BinaryOperator::StringConcat if left.is_numeric() && is_text(&right) => {
                mismatch(&expr.op, &left, &right)
            }
            _ => Ok(PlannerResult::Original(expr)),
        }
    }

    fn plan_compound_identifier(
        &self,
        field: &Field,
        qualifier: Option<&TableReference>,
        nested_names: &[String],
    ) -> Result<PlannerResult<Vec<Expr>>> {
        let mut expr = Expr::Column(Column::from((qualifier, field)));
        let mut data_type = field.data_type().clone();
        for (at, name) in nested_names.iter().enumerate() {
            match member(&data_type, name) {
                Some(member) => {
                    expr = get_field(expr, name.as_str());
                    data_type = member;
                }
                // Text, which holds JSON: Athena has no such form, and everybody tries it.
                None if is_text(&data_type) => {
                    return Ok(PlannerResult::Planned(super::json_dot::json_dot(expr, &nested_names[at..])));
                }
                // The default planner says that there is no such member.
                None => return Ok(PlannerResult::Original(Vec::new())),
            }
        }
        Ok(PlannerResult::Planned(expr))
    }
}

fn member(data_type: &DataType, name: &str) -> Option<DataType> {
    match data_type {
        DataType::Struct(members) => {
            members.iter().find(|member| member.name() == name).map(|member| member.data_type().clone())
        }
        _ => None,
    }
}

fn is_comparison(op: &BinaryOperator) -> bool {
    use BinaryOperator as B;
    matches!(op, B::Eq | B::NotEq | B::Lt | B::LtEq | B::Gt | B::GtEq)
}

fn is_interval(data_type: &DataType) -> bool {
    matches!(data_type, DataType::Interval(_) | DataType::Duration(_))
}

fn is_text(data_type: &DataType) -> bool {
    match data_type {
        DataType::Utf8 | DataType::Utf8View => true,
        DataType::Dictionary(_, value) => is_text(value),
        _ => false,
    }
}

type Side<'a> = (Expr, &'a DataType);

/// The two sides so that they compare as Athena or Lake would have it, or why they do not.
///
/// Athena refuses to compare text with a time. Lake does not, if the text is written out; and so many
/// queries do it with `eventtime`, which is text in Athena's table, that it is taken here in both.
fn comparable(left: Side<'_>, right: Side<'_>, op: &BinaryOperator) -> Result<(Expr, Expr)> {
    let (left_type, right_type) = (left.1, right.1);
    if let Some(number) = part_of_date(&left.0, &right.0) {
        return Ok((left.0, number));
    }
    if let Some(number) = part_of_date(&right.0, &left.0) {
        return Ok((number, right.0));
    }
    if is_text(left_type) && !is_text(right_type) {
        return Ok((as_type(left, right_type, op)?, right.0));
    }
    if is_text(right_type) && !is_text(left_type) {
        let right = as_type(right, left_type, op)?;
        return Ok((left.0, right));
    }
    if is_interval(left_type) && is_interval(right_type) {
        return Ok((interval_order(left.0), interval_order(right.0)));
    }
    let nested = |data_type: &DataType| data_type.is_nested();
    let null = |data_type: &DataType| data_type.is_null();
    if nested(left_type) != nested(right_type) && !null(left_type) && !null(right_type) {
        return mismatch(op, left_type, right_type);
    }
    Ok((left.0, right.0))
}

/// The text of a number that is compared with `year`, `month` or `day`: some define these partitions as numbers.
fn part_of_date(column: &Expr, number: &Expr) -> Option<Expr> {
    let (Expr::Column(column), Expr::Literal(number, _)) = (column, number) else { return None };
    let width = match column.name.as_str() {
        "year" => 4,
        "month" | "day" => 2,
        _ => return None,
    };
    let number = match number {
        ScalarValue::Int64(Some(number)) => *number,
        ScalarValue::Int32(Some(number)) => i64::from(*number),
        _ => return None,
    };
    Some(text(&format!("{number:0width$}")))
}

/// Text as a value of the type that it is compared with.
fn as_type((text, text_type): Side<'_>, other: &DataType, op: &BinaryOperator) -> Result<Expr> {
    let literal = matches!(&text, Expr::Literal(..));
    match other {
        DataType::Null => Ok(text),
        DataType::Boolean if literal => Ok(cast(text, DataType::Boolean)),
        DataType::Timestamp(_, zone) => {
            let data_type = DataType::Timestamp(TimeUnit::Millisecond, zone.clone());
            // A row whose text is no time is not equal to any; a constant that is none is a mistake.
            Ok(if literal { cast(text, data_type) } else { try_cast(text, data_type) })
        }
        DataType::Date32 => {
            Ok(if literal { cast(text, DataType::Date32) } else { try_cast(text, DataType::Date32) })
        }
        DataType::FixedSizeBinary(_) if literal => Ok(super::functions::address(text)),
        other => mismatch(op, text_type, other),
    }
}

fn mismatch<T>(op: &BinaryOperator, left: &DataType, right: &DataType) -> Result<T> {
    let op = if *op == BinaryOperator::NotEq { "<>".to_owned() } else { op.to_string() };
    plan_err!("TYPE_MISMATCH: Cannot apply operator: {} {op} {}", type_name(left), type_name(right))
}

/// Precision and scale of a number without rounding.
fn exact(data_type: &DataType) -> Option<(u8, i8)> {
    match data_type {
        DataType::Int8 => Some((3, 0)),
        DataType::Int16 => Some((5, 0)),
        DataType::Int32 => Some((10, 0)),
        DataType::Int64 => Some((19, 0)),
        DataType::Decimal128(precision, scale) => Some((*precision, *scale)),
        _ => None,
    }
}

fn is_decimal(expr: &RawBinaryExpr, schema: &DFSchema) -> bool {
    [&expr.left, &expr.right].iter().any(|side| matches!(side.get_type(schema), Ok(DataType::Decimal128(..))))
}

/// A quotient of decimals has the greater scale of the two, rounded half up.
fn quotient(expr: RawBinaryExpr, left: (u8, i8), right: (u8, i8)) -> Expr {
    let scale = left.1.max(right.1);
    let grown = i16::from(left.0) + i16::from(right.1) + i16::from((right.1 - left.1).max(0));
    let precision = u8::try_from(grown.clamp(1, 38)).unwrap_or(38);
    let decimal = |side: Expr, (precision, scale)| cast(side, DataType::Decimal128(precision, scale));
    let divided = Expr::BinaryExpr(BinaryExpr::new(
        Box::new(decimal(expr.left, left)),
        Operator::Divide,
        Box::new(decimal(expr.right, right)),
    ));
    cast(divided, DataType::Decimal128(precision, scale))
}

/// Text as a literal.
pub(super) fn text(value: &str) -> Expr {
    lit(ScalarValue::from(value))
}
