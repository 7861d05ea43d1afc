//! A condition on one text, asked once for each text of a batch instead of once for each row.
//!
//! The columns of a log repeat a few names, keys and addresses, and a Parquet dictionary gives equal texts of a batch
//! equal views. What a `LIKE`, a function or a join's table of keys says of a text holds for all rows that have it.
//! For pruning, which reads conditions instead of asking them, the condition stands there as it is.

use std::fmt::{self, Display, Formatter};
use std::hash::{Hash, Hasher};
use std::sync::Arc;

use arrow::array::{Array, AsArray, BooleanArray, RecordBatch, StringViewArray, UInt32Array};
use arrow::buffer::{BooleanBuffer, NullBuffer};
use arrow::compute::take_record_batch;
use arrow::datatypes::{DataType, Schema};
use datafusion::common::Result;
use datafusion::logical_expr::{ColumnarValue, Operator};
use datafusion::physical_expr::expressions::{
    BinaryExpr, Column, DynamicFilterPhysicalExpr, IsNotNullExpr, IsNullExpr, Literal, NotExpr,
};
use datafusion::physical_expr::{PhysicalExpr, ScalarFunctionExpr};
use datafusion::physical_expr_common::physical_expr::is_volatile;

use crate::remembered::Remembered;

/// A batch in which a text stands in fewer rows than this on average is asked row by row.
const WORTH: usize = 4;

type Expr = Arc<dyn PhysicalExpr>;

/// The condition, each part of which is asked once for each text where that is cheaper.
pub(crate) fn once_per_text(condition: Expr, schema: &Schema) -> Expr {
    if let Some(both) = condition.downcast_ref::<BinaryExpr>()
        && *both.op() == Operator::And
    {
        let part = |part: &Expr| once_per_text(part.clone(), schema);
        return Arc::new(BinaryExpr::new(part(both.left()), Operator::And, part(both.right())));
    }
    match text_of(&condition) {
        Some(text)
            if !is_cheap(&condition)
                && !is_volatile(&condition)
                && text.data_type(schema).is_ok_and(|data_type| data_type == DataType::Utf8View) =>
        {
            Arc::new(OncePerText { condition, text })
        }
        _ => condition,
    }
}

/// The one column, or member of a struct, that a condition is about.
fn text_of(condition: &Expr) -> Option<Expr> {
    let mut found = Vec::new();
    collect_leaves(condition, &mut found);
    let (first, others) = found.split_first()?;
    others.iter().all(|other| *other == *first).then(|| (*first).clone())
}

fn collect_leaves<'a>(expr: &'a Expr, found: &mut Vec<&'a Expr>) {
    if expr.is::<Column>() || is_member(expr) {
        found.push(expr);
    } else {
        for child in expr.children() {
            collect_leaves(child, found);
        }
    }
}

/// Whether it is a member of a struct that is a column.
fn is_member(expr: &Expr) -> bool {
    let Some(call) = expr.downcast_ref::<ScalarFunctionExpr>() else { return false };
    let Some((base, names)) = call.args().split_first() else { return false };
    call.fun().name() == "get_field"
        && names.iter().all(|name| name.is::<Literal>())
        && (base.is::<Column>() || is_member(base))
}

/// Whether asking each row costs no more than looking for rows that are alike: one comparison of a text as it is.
fn is_cheap(condition: &Expr) -> bool {
    comparisons(condition).is_some_and(|comparisons| comparisons <= 1)
}

/// How many comparisons it consists of, if of nothing else.
fn comparisons(expr: &Expr) -> Option<usize> {
    if expr.is::<Literal>() || expr.is::<Column>() || is_member(expr) {
        return Some(0);
    }
    let of_children = || expr.children().into_iter().map(comparisons).sum::<Option<usize>>();
    if let Some(binary) = expr.downcast_ref::<BinaryExpr>() {
        return match binary.op() {
            Operator::And | Operator::Or => of_children(),
            Operator::Eq
            | Operator::NotEq
            | Operator::Lt
            | Operator::LtEq
            | Operator::Gt
            | Operator::GtEq
            | Operator::IsDistinctFrom
            | Operator::IsNotDistinctFrom => Some(of_children()? + 1),
            _ => None,
        };
    }
    let is_plain = expr.is::<IsNullExpr>() || expr.is::<IsNotNullExpr>() || expr.is::<NotExpr>();
    if is_plain { of_children() } else { None }
}

/// A condition with the one text that it is about.
#[derive(Debug)]
struct OncePerText {
    condition: Expr,
    text: Expr,
}

impl PartialEq for OncePerText {
    fn eq(&self, other: &Self) -> bool {
        self.condition.eq(&other.condition)
    }
}

impl Eq for OncePerText {}

impl Hash for OncePerText {
    fn hash<H: Hasher>(&self, state: &mut H) {
        self.condition.hash(state);
    }
}

impl Display for OncePerText {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        self.condition.fmt(f)
    }
}

impl PhysicalExpr for OncePerText {
    fn data_type(&self, input: &Schema) -> Result<DataType> {
        self.condition.data_type(input)
    }

    fn nullable(&self, input: &Schema) -> Result<bool> {
        self.condition.nullable(input)
    }

    fn evaluate(&self, batch: &RecordBatch) -> Result<ColumnarValue> {
        // What a join or a sorting limit asks is known only when it runs, and may be little.
        if let Some(dynamic) = self.condition.downcast_ref::<DynamicFilterPhysicalExpr>() {
            let current = dynamic.current()?;
            if is_cheap(&current) {
                return current.evaluate(batch);
            }
        }
        let texts = self.text.evaluate(batch)?.into_array(batch.num_rows())?;
        let Some(alike) = texts.as_string_view_opt().and_then(Alike::of) else {
            return self.condition.evaluate(batch);
        };
        let asked = take_record_batch(batch, &UInt32Array::from(alike.firsts.clone()))?;
        match self.condition.evaluate(&asked)? {
            ColumnarValue::Array(answers) => match answers.as_boolean_opt() {
                Some(answers) => Ok(ColumnarValue::Array(Arc::new(alike.spread(answers)))),
                None => self.condition.evaluate(batch),
            },
            one @ ColumnarValue::Scalar(_) => Ok(one),
        }
    }

    fn children(&self) -> Vec<&Expr> {
        vec![&self.condition]
    }

    /// The text is looked for anew: a file may lack the column, or have it under another number.
    fn with_new_children(self: Arc<Self>, children: Vec<Expr>) -> Result<Expr> {
        let condition = children.into_iter().next().unwrap_or_else(|| self.condition.clone());
        Ok(match text_of(&condition) {
            Some(text) => Arc::new(Self { condition, text }),
            None => condition,
        })
    }

    fn snapshot(&self) -> Result<Option<Expr>> {
        Ok(Some(self.condition.clone()))
    }

    fn fmt_sql(&self, f: &mut Formatter<'_>) -> fmt::Result {
        self.condition.fmt_sql(f)
    }
}

/// Which rows of a batch have the same text.
struct Alike {
    /// A row of each text, at least one.
    firsts: Vec<u32>,
    /// For each row, which of these has its text.
    of_row: Vec<u16>,
}

impl Alike {
    /// Nothing if they do not repeat enough.
    fn of(texts: &StringViewArray) -> Option<Self> {
        let most = (texts.len() / WORTH).min(usize::from(u16::MAX));
        let mut alike = Self { firsts: Vec::new(), of_row: vec![0; texts.len()] };
        let nulls = texts.nulls().filter(|nulls| nulls.null_count() > 0);
        if let Some(nulls) = nulls {
            let null = (0..texts.len()).find(|row| nulls.is_null(*row))?;
            alike.firsts.push(u32::try_from(null).ok()?);
        }
        match nulls {
            None => alike.number(texts.views(), 0..texts.len(), most)?,
            Some(nulls) => alike.number(texts.views(), nulls.valid_indices(), most)?,
        }
        Some(alike)
    }

    /// Numbers the texts of some rows.
    fn number(&mut self, views: &[u128], rows: impl Iterator<Item = usize>, most: usize) -> Option<()> {
        let mut remembered = Remembered::new();
        for row in rows {
            let view = views[row];
            self.of_row[row] = if let Some(known) = remembered.known(view) {
                known
            } else {
                let number = u16::try_from(self.firsts.len()).ok()?;
                if usize::from(number) >= most {
                    return None;
                }
                self.firsts.push(u32::try_from(row).ok()?);
                remembered.remember(view, number);
                number
            };
        }
        Some(())
    }

    /// The answer for each row, from those for each text.
    fn spread(&self, answers: &BooleanArray) -> BooleanArray {
        let spread = |bits: &BooleanBuffer| {
            let bits: Vec<bool> = bits.iter().collect();
            BooleanBuffer::collect_bool(self.of_row.len(), |row| bits[usize::from(self.of_row[row])])
        };
        let nulls = answers.nulls().map(|nulls| NullBuffer::new(spread(nulls.inner())));
        BooleanArray::new(spread(answers.values()), nulls)
    }
}

#[cfg(test)]
mod tests;
