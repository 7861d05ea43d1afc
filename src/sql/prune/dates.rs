//! What conditions on the dates of log files imply: they are asked about every date.
//!
//! Whatever is made of partition columns alone, `concat(year, month, day) >= '20260105'` as well as ORs of
//! triples, is evaluated over all dates of some decades at once, and the dates for which it is true are the
//! ones to read. Dates outside these decades are always read.

use std::sync::Arc;

use arrow::array::{Array, ArrayRef, AsArray, RecordBatch};
use arrow::datatypes::{DataType, Field, Schema};
use datafusion::common::tree_node::{Transformed, TreeNode, TreeNodeRecursion};
use datafusion::common::{Column, DFSchema, Result, ScalarValue};
use datafusion::logical_expr::utils::conjunction;
use datafusion::logical_expr::{BinaryExpr, Expr, Operator, lit};

use super::{Context, Implied};
use crate::event::schema::{EVENT_DATE, LOG_DATE};
use crate::sql::view::date_text::{Form, form_of};

/// From 2010-01-01 up to 2045-01-01, in days since 1970: `CloudTrail` began in 2013.
const DATES: std::ops::Range<i32> = 14_610..27_394;

/// With more ranges than this a condition only tells files apart: `day = '05'` has hundreds, which would
/// take longer to ask of each row than they save.
const MOST_RANGES: usize = 48;

/// What `filters` imply about the dates of rows, if they say anything of them.
pub(super) fn implied(filters: &[Expr], context: &Context) -> Option<Implied> {
    let weak: Vec<Expr> = filters.iter().map(weakened).filter(|weak| *weak != lit(true)).collect();
    let condition = conjunction(weak)?;
    // A condition that cannot be asked, since it fails on some date, implies nothing.
    let Ok(answers) = ask(&condition, context) else { return None };
    let (undated, dated) = (answers[0], &answers[1..]);
    if dated.iter().all(|is_true| *is_true) {
        return None;
    }
    let ranges = ranges(dated);
    let of_log_file = within(LOG_DATE, &ranges);
    let of_event = within(EVENT_DATE, &ranges);
    let nameless = column(LOG_DATE).is_null();
    let of_event = if undated { of_event.or(column(EVENT_DATE).is_null()) } else { of_event };
    let expr = of_log_file.or(nameless.and(of_event));
    Some(Implied { expr, of_rows: ranges.len() <= MOST_RANGES })
}

/// The condition with all that is not about dates alone taken to be true.
fn weakened(filter: &Expr) -> Expr {
    if is_of_dates(filter) {
        return filter.clone();
    }
    match filter {
        Expr::BinaryExpr(BinaryExpr { left, op: Operator::And, right }) => {
            match (weakened(left), weakened(right)) {
                (left, right) if left == lit(true) => right,
                (left, right) if right == lit(true) => left,
                (left, right) => left.and(right),
            }
        }
        Expr::BinaryExpr(BinaryExpr { left, op: Operator::Or, right }) => {
            match (weakened(left), weakened(right)) {
                (left, right) if left == lit(true) || right == lit(true) => lit(true),
                (left, right) => left.or(right),
            }
        }
        _ => lit(true),
    }
}

/// Whether nothing but the date of the log file decides an expression.
fn is_of_dates(expr: &Expr) -> bool {
    let (mut dates, mut others) = (false, expr.is_volatile());
    let visited = expr.apply(|expr| {
        if form_of(expr).is_some() {
            dates = true;
            return Ok(TreeNodeRecursion::Jump);
        }
        others |= matches!(
            expr,
            Expr::Column(_)
                | Expr::OuterReferenceColumn(..)
                | Expr::ScalarSubquery(_)
                | Expr::Exists(_)
                | Expr::InSubquery(_)
                | Expr::SetComparison(_)
                | Expr::Placeholder(_)
                | Expr::ScalarVariable(..)
        );
        Ok(TreeNodeRecursion::Continue)
    });
    visited.is_ok() && dates && !others
}

/// Whether the condition is true of a row without any date, and of each date.
fn ask(condition: &Expr, context: &Context) -> Result<Vec<bool>> {
    let forms = [Form::Slashes, Form::Dashes, Form::Digits, Form::Year, Form::Month, Form::Day];
    let dates = || std::iter::once(None).chain(DATES.map(Some));
    let fields = forms.map(|form| Field::new(form.pattern(), DataType::Utf8View, true));
    let schema = Arc::new(Schema::new(fields.to_vec()));
    let columns = forms.map(|form| Arc::new(form.texts(dates())) as ArrayRef);
    let batch = RecordBatch::try_new(schema.clone(), columns.to_vec())?;
    let condition = condition.clone().transform_up(|expr| {
        Ok(match form_of(&expr) {
            Some(form) => Transformed::yes(column(form.pattern())),
            None => Transformed::no(expr),
        })
    })?;
    let condition = context.state.create_physical_expr(condition.data, &DFSchema::try_from(schema)?)?;
    let answers = condition.evaluate(&batch)?.into_array(batch.num_rows())?;
    let answers = arrow::compute::cast(&answers, &DataType::Boolean)?;
    let answers = answers.as_boolean();
    Ok((0..answers.len()).map(|row| answers.is_valid(row) && answers.value(row)).collect())
}

/// The ranges of days, both ends included, in which the answer is yes.
fn ranges(answers: &[bool]) -> Vec<(i32, i32)> {
    let mut ranges: Vec<(i32, i32)> = Vec::new();
    for (day, _) in DATES.zip(answers).filter(|(_, is_true)| **is_true) {
        match ranges.last_mut() {
            Some((_, last)) if *last + 1 == day => *last = day,
            _ => ranges.push((day, day)),
        }
    }
    ranges
}

fn within(name: &str, ranges: &[(i32, i32)]) -> Expr {
    let date = |day: i32| lit(ScalarValue::Date32(Some(day)));
    let outside = column(name).lt(date(DATES.start)).or(column(name).gt_eq(date(DATES.end)));
    ranges.iter().fold(outside, |any, (first, last)| {
        any.or(column(name).gt_eq(date(*first)).and(column(name).lt_eq(date(*last))))
    })
}

fn column(name: &str) -> Expr {
    Expr::Column(Column::new_unqualified(name))
}
