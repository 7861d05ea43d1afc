use std::sync::atomic::{AtomicUsize, Ordering};

use arrow::array::{ArrayRef, StringArray, StructArray};
use arrow::compute::take;
use arrow::datatypes::Field;
use datafusion::common::ScalarValue;
use datafusion::common::config::ConfigOptions;
use datafusion::functions::core::get_field;
use datafusion::logical_expr::{Volatility, create_udf};
use datafusion::physical_expr::expressions::{binary, col, like, lit};
use datafusion::physical_expr_common::physical_expr::snapshot_physical_expr;

use super::*;

const LONG: &str = "a text that is too long to stand in a view";

/// Rows that repeat these texts, the views of which are equal as those of a dictionary are.
fn repeating(texts: &[Option<&str>], rows: usize) -> ArrayRef {
    let dictionary = StringViewArray::from(texts.to_vec());
    let (rows, texts) = (u32::try_from(rows).unwrap(), u32::try_from(texts.len()).unwrap());
    let rows = (0..rows).map(|row| row * row % 7919 % texts);
    take(&dictionary, &rows.collect::<UInt32Array>(), None).unwrap()
}

fn batch(columns: Vec<(&str, ArrayRef)>) -> RecordBatch {
    RecordBatch::try_from_iter_with_nullable(columns.into_iter().map(|(name, array)| (name, array, true)))
        .unwrap()
}

/// Whether a text ends with `x`, or is empty; unknown of null. It counts the rows that it is asked.
fn counting(volatility: Volatility, schema: &Schema, text: Expr) -> (Expr, Arc<AtomicUsize>) {
    let asked = Arc::new(AtomicUsize::new(0));
    let counter = asked.clone();
    let evaluate = move |args: &[ColumnarValue]| {
        let texts = ColumnarValue::values_to_arrays(args)?.remove(0);
        counter.fetch_add(texts.len(), Ordering::Relaxed);
        let ends = |text: Option<&str>| text.map(|text| text.is_empty() || text.ends_with('x'));
        let answers: BooleanArray = texts.as_string_view().iter().map(ends).collect();
        Ok(ColumnarValue::Array(Arc::new(answers)))
    };
    let function =
        create_udf("ends", vec![DataType::Utf8View], DataType::Boolean, volatility, Arc::new(evaluate));
    let call = ScalarFunctionExpr::try_new(
        Arc::new(function),
        vec![text],
        schema,
        Arc::new(ConfigOptions::default()),
    );
    (Arc::new(call.unwrap()), asked)
}

fn answers(condition: &Expr, batch: &RecordBatch) -> BooleanArray {
    let answers = condition.evaluate(batch).unwrap().into_array(batch.num_rows()).unwrap();
    answers.as_boolean().clone()
}

fn is_wrapped(condition: &Expr, schema: &Schema) -> bool {
    once_per_text(condition.clone(), schema).is::<OncePerText>()
}

fn member(schema: &Schema, column: &str, name: &str) -> Expr {
    let args = vec![col(column, schema).unwrap(), lit(name)];
    Arc::new(ScalarFunctionExpr::try_new(get_field(), args, schema, Arc::default()).unwrap())
}

#[test]
fn a_condition_is_asked_once_for_each_text() {
    let texts = [Some("ax"), Some(""), None, Some(LONG), Some("a longer text that ends with x"), Some("b")];
    let batch = batch(vec![("name", repeating(&texts, 1000))]);
    let schema = batch.schema();
    let (plain, of_all) = counting(Volatility::Immutable, &schema, col("name", &schema).unwrap());
    let expected = answers(&plain, &batch);
    assert_eq!(of_all.swap(0, Ordering::Relaxed), 1000);
    assert!(expected.null_count() > 0 && expected.has_true() && expected.has_false());
    let wrapped = once_per_text(plain, &schema);
    assert_eq!(answers(&wrapped, &batch), expected);
    assert_eq!(of_all.load(Ordering::Relaxed), texts.len());
}

#[test]
fn texts_that_hardly_repeat_are_asked_row_by_row() {
    let names = StringArray::from_iter_values((0..1000).map(|row| format!("{} x", row / 2)));
    let names = arrow::compute::cast(&names, &DataType::Utf8View).unwrap();
    let batch = batch(vec![("name", names)]);
    let schema = batch.schema();
    let (plain, asked) = counting(Volatility::Immutable, &schema, col("name", &schema).unwrap());
    let wrapped = once_per_text(plain.clone(), &schema);
    assert_eq!(answers(&wrapped, &batch), answers(&plain, &batch));
    assert_eq!(asked.load(Ordering::Relaxed), 2000);
}

#[test]
fn batches_without_rows_or_with_few_are_asked_as_well() {
    for rows in [0, 1, 2, 7] {
        let batch = batch(vec![("name", repeating(&[Some("x"), None, Some("b")], rows))]);
        let schema = batch.schema();
        let (plain, _) = counting(Volatility::Immutable, &schema, col("name", &schema).unwrap());
        let wrapped = once_per_text(plain.clone(), &schema);
        assert_eq!(answers(&wrapped, &batch), answers(&plain, &batch), "{rows}");
    }
}

#[test]
fn members_of_structs_are_texts_too_and_null_with_their_struct() {
    let names = repeating(&[Some("x"), None, Some("b"), Some(LONG)], 500);
    let present = NullBuffer::from((0..500).map(|row| row % 3 > 0).collect::<Vec<_>>());
    let fields = vec![Field::new("arn", DataType::Utf8View, true)].into();
    let identities = StructArray::new(fields, vec![names], Some(present));
    let batch = batch(vec![("other", repeating(&[Some("y")], 500)), ("useridentity", Arc::new(identities))]);
    let schema = batch.schema();
    let (plain, asked) = counting(Volatility::Immutable, &schema, member(&schema, "useridentity", "arn"));
    let expected = answers(&plain, &batch);
    asked.store(0, Ordering::Relaxed);
    assert_eq!(answers(&once_per_text(plain, &schema), &batch), expected);
    assert_eq!(asked.load(Ordering::Relaxed), 4);
}

#[test]
fn only_what_is_dear_and_about_one_text_is_asked_so() {
    let batch = batch(vec![
        ("name", repeating(&[Some("x")], 8)),
        ("other", repeating(&[Some("x")], 8)),
        ("number", Arc::new(UInt32Array::from_iter_values(0..8))),
    ]);
    let schema = batch.schema();
    let column = |name| col(name, &schema).unwrap();
    let compare = |left, op, right| binary(left, op, right, &schema).unwrap();
    let text = |text: &str| lit(ScalarValue::Utf8View(Some(text.into())));
    let is = |value| compare(column("name"), Operator::Eq, text(value));
    let ends = |name| counting(Volatility::Immutable, &schema, column(name)).0;
    let contains = like(false, false, column("name"), text("%x%"), &schema).unwrap();
    let either = compare(is("a"), Operator::Or, is("b"));
    for dear in [ends("name"), contains.clone(), either] {
        assert!(is_wrapped(&dear, &schema), "{dear}");
    }
    let of_two = compare(contains.clone(), Operator::Or, ends("other"));
    let random = counting(Volatility::Volatile, &schema, column("name")).0;
    let of_number = compare(column("number"), Operator::Gt, lit(3_u32));
    for plain in [is("a"), of_two, random, of_number, lit(true)] {
        assert!(!is_wrapped(&plain, &schema), "{plain}");
    }
    // Of two conditions each for itself.
    let both = once_per_text(compare(contains, Operator::And, ends("other")), &schema);
    let parts = both.downcast_ref::<BinaryExpr>().unwrap();
    assert!(parts.left().is::<OncePerText>() && parts.right().is::<OncePerText>());
}

#[test]
fn pruning_sees_the_condition_itself() {
    let batch = batch(vec![("name", repeating(&[Some("x")], 8))]);
    let schema = batch.schema();
    let name = col("name", &schema).unwrap();
    let contains = like(false, false, name, lit(ScalarValue::Utf8View(Some("x%".into()))), &schema).unwrap();
    let wrapped = once_per_text(contains.clone(), &schema);
    assert!(wrapped.is::<OncePerText>());
    assert_eq!(&snapshot_physical_expr(wrapped.clone()).unwrap(), &contains);
    assert_eq!(wrapped.to_string(), contains.to_string());
}

#[test]
fn a_file_without_the_column_or_with_it_elsewhere_is_asked_what_is_right() {
    let batch = batch(vec![("a", repeating(&[Some("b")], 64)), ("b", repeating(&[Some("x"), None], 64))]);
    let schema = batch.schema();
    let (plain, _) = counting(Volatility::Immutable, &schema, col("a", &schema).unwrap());
    let wrapped = once_per_text(plain.clone(), &schema);
    let elsewhere = plain.clone().with_new_children(vec![col("b", &schema).unwrap()]).unwrap();
    let moved = wrapped.clone().with_new_children(vec![elsewhere.clone()]).unwrap();
    assert!(moved.is::<OncePerText>());
    assert_eq!(answers(&moved, &batch), answers(&elsewhere, &batch));
    let absent = plain.with_new_children(vec![lit(ScalarValue::Utf8View(None))]).unwrap();
    assert!(!wrapped.with_new_children(vec![absent]).unwrap().is::<OncePerText>());
}

#[test]
fn what_becomes_known_while_a_query_runs_is_asked_from_then_on() {
    let batch = batch(vec![("name", repeating(&[Some("x"), None, Some("b")], 300))]);
    let schema = batch.schema();
    let name = col("name", &schema).unwrap();
    let dynamic = Arc::new(DynamicFilterPhysicalExpr::new(vec![name.clone()], lit(true)));
    let wrapped = once_per_text(dynamic.clone(), &schema);
    assert!(wrapped.is::<OncePerText>());
    assert_eq!(answers(&wrapped, &batch).true_count(), 300);
    let (known, asked) = counting(Volatility::Immutable, &schema, name);
    dynamic.update(known.clone()).unwrap();
    let expected = answers(&known, &batch);
    asked.store(0, Ordering::Relaxed);
    assert_eq!(answers(&wrapped, &batch), expected);
    assert_eq!(asked.load(Ordering::Relaxed), 3);
}
