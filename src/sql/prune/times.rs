//! What comparisons of a function of the event's time imply about the time itself.
//!
//! A function that never falls as time goes on splits the times in two at one point, whatever it
//! computes; the point is searched for by asking the comparison itself, so that no function has to be turned
//! around here. What is searched is between the bounds that [`crate::event::parse_time`] has.

use std::sync::Arc;

use arrow::array::{ArrayRef, AsArray, RecordBatch, TimestampMicrosecondArray};
use arrow::datatypes::{DataType, Schema};
use datafusion::common::{Column, DFSchema, Result, ScalarValue};
use datafusion::logical_expr::expr::{Cast, ScalarFunction, TryCast};
use datafusion::logical_expr::{BinaryExpr, Expr, ExprSchemable, Operator, binary_expr, lit};
use datafusion::physical_expr::PhysicalExpr;

use super::Context;
use crate::event::schema::{self, EVENT_TIME};

/// The times that rows can have, in microseconds: 1970 to 2261.
const FIRST: i64 = 0;
const LAST: i64 = 9_183_110_399_999_999;

/// How many times are asked about at once.
const ASKED: i64 = 256;

/// What `of op literal` implies about `event_time`.
pub(super) fn of_comparison(of: &Expr, op: Operator, literal: &Expr, context: &Context) -> Option<Expr> {
    // Comparisons of the column itself need no help.
    if matches!(of, Expr::Column(_)) || !never_falls(of, context) {
        return None;
    }
    let ask = |op| Comparison::new(of, op, literal, context).ok();
    let from = |op| Some(column().gt_eq(instant(ask(op)?.first_true()?)));
    let to = |op| Some(column().lt_eq(instant(ask(op)?.last_true()?)));
    match op {
        Operator::Gt | Operator::GtEq => from(op),
        Operator::Lt | Operator::LtEq => to(op),
        Operator::Eq => Some(from(Operator::GtEq)?.and(to(Operator::LtEq)?)),
        _ => None,
    }
}

fn column() -> Expr {
    Expr::Column(Column::new_unqualified(EVENT_TIME))
}

fn instant(micros: i64) -> Expr {
    lit(ScalarValue::TimestampMicrosecond(Some(micros), Some("UTC".into())))
}

/// Whether an expression is of the event's time alone, and never falls as that rises.
fn never_falls(expr: &Expr, context: &Context) -> bool {
    let inner = |expr: &Expr| never_falls(expr, context);
    match expr {
        Expr::Column(column) => column.name == EVENT_TIME,
        Expr::Alias(alias) => inner(&alias.expr),
        Expr::Cast(Cast { expr, field }) | Expr::TryCast(TryCast { expr, field }) => {
            inner(expr) && !field.data_type().is_string() && is_order(expr, field.data_type(), context)
        }
        Expr::BinaryExpr(BinaryExpr { left, op: Operator::Plus | Operator::Minus, right }) => {
            inner(left) && is_literal(right)
        }
        Expr::ScalarFunction(ScalarFunction { func, args }) => match (func.name(), args.as_slice()) {
            ("date" | "to_unixtime" | "year" | "last_day_of_month", [time]) => inner(time),
            ("date_trunc", [unit, time]) => is_literal(unit) && inner(time),
            ("date_add", [unit, by, time]) => is_literal(unit) && is_literal(by) && inner(time),
            ("date_format", [time, pattern]) => {
                falls_to(pattern, &["%Y", "%m", "%d", "%H", "%i", "%s"]) && inner(time)
            }
            ("format_datetime", [time, pattern]) => {
                falls_to(pattern, &["yyyy", "MM", "dd", "HH", "mm", "ss"]) && inner(time)
            }
            ("substr" | "substring", [text, first, _]) => {
                is_one(first) && is_text(text, context) && inner(text)
            }
            ("$cast" | "$try_cast", [of, _]) => {
                expr.get_type(&context.schema).is_ok_and(|to| is_order(of, &to, context)) && inner(of)
            }
            _ => false,
        },
        _ => false,
    }
}

/// Whether a cast keeps the order. Numbers as text would not: '10' comes before '9'. Nor would local time,
/// nor Arrow's own text of times, which has as many digits as it needs: '00.5Z' comes before '00Z'.
fn is_order(from: &Expr, to: &DataType, context: &Context) -> bool {
    let utc = |zone: &Option<Arc<str>>| zone.as_deref().is_none_or(|zone| zone == "UTC" || zone == "+00:00");
    let is_time = |data_type: &DataType| match data_type {
        DataType::Timestamp(_, zone) => utc(zone),
        DataType::Date32 | DataType::Date64 => true,
        _ => false,
    };
    let Ok(from) = from.get_type(&context.schema) else { return false };
    if is_time(&from) {
        return is_time(to) || to.is_string();
    }
    from.is_numeric() && to.is_numeric() || from.is_string() && to.is_string()
}

fn is_text(expr: &Expr, context: &Context) -> bool {
    expr.get_type(&context.schema).is_ok_and(|data_type| data_type.is_string())
}

fn is_literal(expr: &Expr) -> bool {
    matches!(expr, Expr::Literal(value, _) if !value.is_null())
}

fn is_one(expr: &Expr) -> bool {
    let Expr::Literal(value, _) = expr else { return false };
    value.cast_to(&DataType::Int64).is_ok_and(|value| value == ScalarValue::Int64(Some(1)))
}

/// Whether a pattern has the parts of a time in this order, without a gap, and nothing else but marks
/// and quoted text between them: then the text's order is the time's.
fn falls_to(pattern: &Expr, parts: &[&str]) -> bool {
    let Expr::Literal(value, _) = pattern else { return false };
    let Some(Some(pattern)) = value.try_as_str() else { return false };
    let mut rest = pattern;
    for (at, part) in parts.iter().enumerate() {
        let is_mark = |found: char| matches!(found, '-' | '/' | ':' | '.' | ' ' | '\'') || found == 'T';
        match rest.trim_start_matches(is_mark) {
            "" => return at > 0,
            next => match next.strip_prefix(part) {
                Some(after) => rest = after,
                None => return false,
            },
        }
    }
    // `%T` and the like are left alone; a last mark such as 'Z' is not.
    rest.chars().all(|found| matches!(found, 'Z' | '\''))
}

/// A comparison that can be asked about times.
struct Comparison {
    expr: Arc<dyn PhysicalExpr>,
    schema: Arc<Schema>,
}

impl Comparison {
    fn new(of: &Expr, op: Operator, literal: &Expr, context: &Context) -> Result<Self> {
        let field = schema::schema().field_with_name(EVENT_TIME)?.clone();
        let schema = Arc::new(Schema::new(vec![field]));
        let known = DFSchema::try_from(schema.clone())?;
        let expr = binary_expr(of.clone(), op, literal.clone());
        Ok(Self { expr: context.state.create_physical_expr(expr, &known)?, schema })
    }

    /// The first time at which it is true, if it is true ever after and false before.
    fn first_true(&self) -> Option<i64> {
        let (last_false, first_true) = self.turn(|answer| answer)?;
        debug_assert!(last_false < first_true);
        Some(first_true)
    }

    /// The last time at which it is true, if it was true always and is false after.
    fn last_true(&self) -> Option<i64> {
        Some(self.turn(|answer| !answer)?.0)
    }

    /// The neighbours between which `is_after` turns true: beyond the bounds if it never does, or always did.
    fn turn(&self, is_after: impl Fn(bool) -> bool) -> Option<(i64, i64)> {
        let (mut before, mut after) = (FIRST - 1, LAST + 1);
        while after - before > 1 {
            let step = ((after - before) / (ASKED + 1)).max(1);
            let asked: Vec<i64> =
                (1..=ASKED).map(|n| before + n * step).take_while(|micros| *micros < after).collect();
            let answers = self.ask(&asked)?;
            let turned = answers.iter().position(|answer| is_after(*answer)).unwrap_or(asked.len());
            if answers.iter().skip(turned).any(|answer| !is_after(*answer)) {
                return None;
            }
            if turned < asked.len() {
                after = asked[turned];
            }
            if turned > 0 {
                before = asked[turned - 1];
            }
        }
        Some((before, after))
    }

    /// The answers, unless there is none for some time.
    fn ask(&self, micros: &[i64]) -> Option<Vec<bool>> {
        let times = TimestampMicrosecondArray::from(micros.to_vec()).with_timezone("UTC");
        let batch = RecordBatch::try_new(self.schema.clone(), vec![Arc::new(times) as ArrayRef]).ok()?;
        let answers = self.expr.evaluate(&batch).ok()?.into_array(batch.num_rows()).ok()?;
        let answers = answers.as_boolean_opt()?;
        answers.iter().collect()
    }
}
