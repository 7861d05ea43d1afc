//! Grouping by texts of which there are few: by a number for each.
//!
//! DataFusion hashes and compares the text of every row to find its group. The columns of a log repeat a few
//! hundred names a million times, and a Parquet dictionary gives equal names of a batch equal views. So the first
//! of two aggregates groups by numbers that are looked up by view, and gives each group its text back. If it groups
//! by nothing else, and aggregates nothing that may take much room, the numbers are those of its groups.

mod few_groups;

use std::collections::HashMap;
use std::fmt::{self, Display, Formatter};
use std::hash::{Hash, Hasher};
use std::sync::{Arc, PoisonError, RwLock};

use arrow::array::{Array, ArrayRef, AsArray, Int32Array, RecordBatch, StringViewArray, StringViewBuilder};
use arrow::datatypes::{DataType, Int32Type, Schema};
use datafusion::common::config::ConfigOptions;
use datafusion::common::tree_node::{Transformed, TransformedResult, TreeNode};
use datafusion::common::{DataFusionError, Result};
use datafusion::logical_expr::ColumnarValue;
use datafusion::physical_expr::PhysicalExpr;
use datafusion::physical_expr::expressions::Column;
use datafusion::physical_expr::projection::ProjectionExpr;
use datafusion::physical_optimizer::PhysicalOptimizerRule;
use datafusion::physical_plan::aggregates::{AggregateExec, AggregateMode, PhysicalGroupBy};
use datafusion::physical_plan::projection::ProjectionExec;
use datafusion::physical_plan::{ExecutionPlan, InputOrderMode};

use self::few_groups::FewGroups;
use crate::remembered::Remembered;

/// Columns of which a lake has at most some thousand values. Others would fill the table of numbers with texts
/// that hardly repeat. That a query calls something else so costs time at worst.
const REPEATED: [&str; 11] = [
    "awsregion",
    "errorcode",
    "eventcategory",
    "eventname",
    "eventsource",
    "eventtype",
    "eventversion",
    "integrity",
    "integrity_reason",
    "recipientaccountid",
    "tlsversion",
];

/// The rule; it comes after all of DataFusion's, which know aggregates of columns better.
#[derive(Debug)]
pub(super) struct NumberedGroups;

impl PhysicalOptimizerRule for NumberedGroups {
    fn optimize(&self, plan: Arc<dyn ExecutionPlan>, _: &ConfigOptions) -> Result<Arc<dyn ExecutionPlan>> {
        plan.transform_up(|node| {
            let numbered = node.downcast_ref::<AggregateExec>().map(with_numbers).transpose()?.flatten();
            Ok(numbered.map_or_else(|| Transformed::no(node), Transformed::yes))
        })
        .data()
    }

    fn name(&self) -> &'static str {
        "NumberedGroups"
    }

    fn schema_check(&self) -> bool {
        true
    }
}

/// The same aggregate by numbers instead of texts, if it groups by any that repeat.
fn with_numbers(aggregate: &AggregateExec) -> Result<Option<Arc<dyn ExecutionPlan>>> {
    let groups = aggregate.group_expr();
    let mode = *aggregate.mode();
    let plain = matches!(mode, AggregateMode::Partial | AggregateMode::Single)
        && groups.is_single()
        && *aggregate.input_order_mode() == InputOrderMode::Linear
        && aggregate.limit_options().is_none()
        && aggregate.dynamic_expressions_produced().is_empty();
    if !plain {
        return Ok(None);
    }
    let input = aggregate.input().schema();
    let tables: Vec<Option<Arc<Numbers>>> = groups
        .expr()
        .iter()
        .map(|(expr, _)| Ok(repeats(expr, &input)?.then(Arc::default)))
        .collect::<Result<_>>()?;
    if tables.iter().all(Option::is_none) {
        return Ok(None);
    }
    if tables.iter().all(Option::is_some)
        && let Some(few) = FewGroups::instead_of(aggregate)
    {
        return Ok(Some(Arc::new(few)));
    }
    let by = groups.expr().iter().zip(&tables).map(|((expr, name), table)| {
        let expr: Arc<dyn PhysicalExpr> = match table {
            Some(numbers) => Arc::new(NumberOf { text: expr.clone(), numbers: numbers.clone() }),
            None => expr.clone(),
        };
        (expr, name.clone())
    });
    let numbered = AggregateExec::try_new(
        mode,
        PhysicalGroupBy::new_single(by.collect()),
        aggregate.aggr_expr().to_vec(),
        aggregate.filter_expr().to_vec(),
        aggregate.input().clone(),
        aggregate.input_schema(),
    )?;
    let fields = numbered.schema();
    let columns = fields.fields().iter().enumerate().map(|(at, field)| {
        let column = Arc::new(Column::new(field.name(), at));
        let expr: Arc<dyn PhysicalExpr> = match tables.get(at).and_then(Option::as_ref) {
            Some(numbers) => Arc::new(TextOf { number: column, numbers: numbers.clone() }),
            None => column,
        };
        ProjectionExpr { expr, alias: field.name().clone() }
    });
    let columns: Vec<ProjectionExpr> = columns.collect();
    Ok(Some(Arc::new(ProjectionExec::try_new(columns, Arc::new(numbered))?)))
}

fn repeats(expr: &Arc<dyn PhysicalExpr>, input: &Schema) -> Result<bool> {
    let Some(column) = expr.downcast_ref::<Column>() else { return Ok(false) };
    Ok(REPEATED.contains(&column.name()) && expr.data_type(input)? == DataType::Utf8View)
}

/// The number of each text, shared by all partitions of an aggregate.
#[derive(Debug, Default)]
struct Numbers(RwLock<Known>);

/// Texts in the order in which they came; their places are their numbers.
#[derive(Debug, Default)]
struct Known {
    numbers: HashMap<Arc<str>, usize>,
    texts: Vec<Option<Arc<str>>>,
}

impl Known {
    /// The number of a text, which is new if nobody has asked for it.
    fn of_text(&mut self, text: &str) -> usize {
        self.numbers.get(text).copied().unwrap_or_else(|| self.add(Some(text)))
    }

    /// The number of a text that has none, or of there being none.
    fn add(&mut self, text: Option<&str>) -> usize {
        let (number, text) = (self.texts.len(), text.map(Arc::<str>::from));
        self.numbers.extend(text.iter().map(|text| (text.clone(), number)));
        self.texts.push(text);
        number
    }

    /// The text of each number.
    fn to_column(&self, numbers: impl ExactSizeIterator<Item = Option<usize>>) -> StringViewArray {
        let mut texts = StringViewBuilder::with_capacity(numbers.len());
        for number in numbers {
            texts.append_option(number.and_then(|number| self.texts.get(number)?.as_deref()));
        }
        texts.finish()
    }
}

impl Numbers {
    fn of_text(&self, text: &str) -> Result<i32> {
        let known = self.0.read().unwrap_or_else(PoisonError::into_inner).numbers.get(text).copied();
        // Another partition may have been here in between.
        let number =
            known.unwrap_or_else(|| self.0.write().unwrap_or_else(PoisonError::into_inner).of_text(text));
        i32::try_from(number)
            .map_err(|_| DataFusionError::ResourcesExhausted("more than two thousand million groups".into()))
    }

    /// The number for each text of a column.
    fn of_column(&self, texts: &StringViewArray) -> Result<Int32Array> {
        let mut remembered = Remembered::new();
        let mut numbers = Vec::with_capacity(texts.len());
        let nulls = texts.nulls().filter(|nulls| nulls.null_count() > 0);
        for (row, view) in texts.views().iter().enumerate() {
            numbers.push(if nulls.is_some_and(|nulls| nulls.is_null(row)) {
                0
            } else {
                remembered.get(*view, || self.of_text(texts.value(row)))?
            });
        }
        Ok(Int32Array::new(numbers.into(), texts.nulls().cloned()))
    }

    /// The text for each number of a column.
    fn to_column(&self, numbers: &Int32Array) -> StringViewArray {
        let known = self.0.read().unwrap_or_else(PoisonError::into_inner);
        known.to_column(numbers.iter().map(|number| usize::try_from(number?).ok()))
    }
}

/// The number of a text.
#[derive(Debug)]
struct NumberOf {
    text: Arc<dyn PhysicalExpr>,
    numbers: Arc<Numbers>,
}

/// The text of a number.
#[derive(Debug)]
struct TextOf {
    number: Arc<dyn PhysicalExpr>,
    numbers: Arc<Numbers>,
}

/// Both are of one child and of one table, and differ in what they make of it.
macro_rules! translation {
    ($name:ident, $child:ident, $data_type:expr, $verb:literal, $evaluate:expr) => {
        impl PartialEq for $name {
            fn eq(&self, other: &Self) -> bool {
                self.$child.eq(&other.$child) && Arc::ptr_eq(&self.numbers, &other.numbers)
            }
        }

        impl Eq for $name {}

        impl Hash for $name {
            fn hash<H: Hasher>(&self, state: &mut H) {
                self.$child.hash(state);
                Arc::as_ptr(&self.numbers).hash(state);
            }
        }

        impl Display for $name {
            fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
                write!(f, "{}({})", $verb, self.$child)
            }
        }

        impl PhysicalExpr for $name {
            fn data_type(&self, _: &Schema) -> Result<DataType> {
                Ok($data_type)
            }

            fn nullable(&self, input: &Schema) -> Result<bool> {
                self.$child.nullable(input)
            }

            fn evaluate(&self, batch: &RecordBatch) -> Result<ColumnarValue> {
                let column = self.$child.evaluate(batch)?.into_array(batch.num_rows())?;
                let evaluate: fn(&Numbers, &ArrayRef) -> Result<ArrayRef> = $evaluate;
                Ok(ColumnarValue::Array(evaluate(&self.numbers, &column)?))
            }

            fn children(&self) -> Vec<&Arc<dyn PhysicalExpr>> {
                vec![&self.$child]
            }

            fn with_new_children(
                self: Arc<Self>,
                children: Vec<Arc<dyn PhysicalExpr>>,
            ) -> Result<Arc<dyn PhysicalExpr>> {
                let $child = children.into_iter().next().unwrap_or_else(|| self.$child.clone());
                Ok(Arc::new(Self { $child, numbers: self.numbers.clone() }))
            }

            fn fmt_sql(&self, f: &mut Formatter<'_>) -> fmt::Result {
                write!(f, "{}(", $verb)?;
                self.$child.fmt_sql(f)?;
                write!(f, ")")
            }
        }
    };
}

translation!(NumberOf, text, DataType::Int32, "number_of", |numbers, texts| {
    Ok(Arc::new(numbers.of_column(texts.as_string_view())?))
});
translation!(TextOf, number, DataType::Utf8View, "text_of", |numbers, column| {
    Ok(Arc::new(numbers.to_column(column.as_primitive::<Int32Type>())))
});

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::sql::testing::{answer, session};

    #[test]
    fn equal_texts_have_equal_numbers_and_numbers_their_texts() {
        let numbers = Numbers::default();
        let long = "a text that is too long to stand in a view";
        // Not of one dictionary: equal texts of a batch with views of their own.
        let first = StringViewArray::from(vec![Some(long), None, Some(""), Some("a"), Some(long), Some("a")]);
        let second = StringViewArray::from(vec![Some("b"), Some(long), None, Some("")]);
        let (one, two) = (numbers.of_column(&first).unwrap(), numbers.of_column(&second).unwrap());
        assert_eq!(one, Int32Array::from(vec![Some(0), None, Some(1), Some(2), Some(0), Some(2)]));
        assert_eq!(two, Int32Array::from(vec![Some(3), Some(0), None, Some(1)]));
        assert_eq!((numbers.to_column(&one), numbers.to_column(&two)), (first, second));
    }

    #[tokio::test]
    async fn groups_of_repeated_names_have_their_texts() {
        let names = ["GetObject", "PutObject", "GetObject", "AssumeRoleWithWebIdentity", "GetObject"];
        let rows: Vec<_> = names
            .iter()
            .enumerate()
            .map(|(at, name)| {
                let error = (at % 2 == 1).then_some("AccessDenied");
                json!({"eventname": name, "errorcode": error, "awsregion": "eu-central-1"})
            })
            .collect();
        let session = session(&rows);
        let counts = "SELECT eventname, errorcode, count(*), count(DISTINCT awsregion), max(eventname)
            FROM cloudtrail_logs GROUP BY 1, 2 ORDER BY 1, 2";
        let expected = [
            "AssumeRoleWithWebIdentity,AccessDenied,1,1,AssumeRoleWithWebIdentity",
            "GetObject,,3,1,GetObject",
            "PutObject,AccessDenied,1,1,PutObject",
        ];
        assert_eq!(answer(&session, counts).await, expected);
        let distinct = "SELECT DISTINCT errorcode FROM cloudtrail_logs ORDER BY 1";
        assert_eq!(answer(&session, distinct).await, ["AccessDenied", ""]);
        let sets =
            "SELECT eventname, count(*) FROM cloudtrail_logs GROUP BY ROLLUP (eventname) ORDER BY 2, 1";
        let expected = ["AssumeRoleWithWebIdentity,1", "PutObject,1", "GetObject,3", ",5"];
        assert_eq!(answer(&session, sets).await, expected);
    }

    #[tokio::test]
    async fn the_plan_groups_by_numbers() {
        let session = session(&[json!({"eventname": "GetObject"}), json!({"eventname": "PutObject"})]);
        let plan =
            answer(&session, "EXPLAIN SELECT eventname, count(*) FROM cloudtrail_logs GROUP BY 1").await;
        let plan = plan.concat();
        assert!(
            plan.contains("NumberedAggregateExec: mode=Partial, gby=[eventname@0 as eventname]"),
            "{plan}"
        );
    }
}
