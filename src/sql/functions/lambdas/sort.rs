//! `array_sort`, by the order of the elements or by a lambda that compares two of them.

use arrow::array::{Array, ArrayRef, AsArray, UInt64Array};
use arrow::compute::{cast, take};
use arrow::datatypes::{DataType, Int64Type};
use datafusion::common::{Result, exec_err};
use datafusion::logical_expr::HigherOrderUDF;

use super::super::arrays::function::element_of;
use super::super::arrays::lists::{Lists, Picks};
use super::elements::arrays;
use super::{Call, Lambdas};

/// `array_sort(array[, comparator])`.
pub(super) fn array_sort() -> HigherOrderUDF {
    Lambdas::udf(
        "array_sort",
        "array_sort(array(E)), array_sort(array(T), function(T,T,integer))",
        "vl v",
        |given| arrays(given).filter(|arrays| arrays.len() == 1),
        |values, outputs| {
            let element = element_of(&values[0])?;
            Some(outputs.iter().map(|_| vec![element.clone(), element.clone()]).collect())
        },
        |values, outputs| {
            let compares = outputs.iter().all(|output| output.is_integer() || output.is_null());
            compares.then(|| values[0].clone())
        },
        |call| if call.args.args.len() == 1 { by_value(call) } else { by_lambda(call) },
    )
}

/// NULLs come last.
fn by_value(call: &Call) -> Result<ArrayRef> {
    let array = Lists::new(&call.value(0)?)?;
    let keys = array.keys()?;
    let mut picks = Picks::default();
    for elements in array.rows() {
        let Some(elements) = elements else {
            picks.end_null();
            continue;
        };
        let mut order: Vec<_> = elements.collect();
        order.sort_by(|&left, &right| keys.row(left).cmp(&keys.row(right)));
        picks.extend(order);
        picks.end_row();
    }
    picks.finish(&[&array.values], call.gives())
}

/// Two runs that are merged into one. They lie side by side in the order.
struct Merge {
    row: usize,
    left: std::ops::Range<usize>,
    right: std::ops::Range<usize>,
    merged: Vec<usize>,
}

/// Sorts the arrays of all rows at once, by merging runs twice as long each time. Each step asks the lambda
/// about one pair of every merge that is under way, so it is called once for many rows.
fn by_lambda(call: &Call) -> Result<ArrayRef> {
    let array = Lists::new(&call.value(0)?)?;
    let mut order: Vec<usize> = (0..array.values.len()).collect();
    let longest = array.rows().flatten().map(|elements| elements.len()).max().unwrap_or(0);
    let mut run = 1;
    while run < longest {
        merge_runs(call, &array, &mut order, run)?;
        run *= 2;
    }
    let mut picks = Picks::default();
    for elements in array.rows() {
        match elements {
            Some(elements) => {
                picks.extend(order[elements].iter().copied());
                picks.end_row();
            }
            None => picks.end_null(),
        }
    }
    picks.finish(&[&array.values], call.gives())
}

fn merge_runs(call: &Call, array: &Lists, order: &mut [usize], run: usize) -> Result<()> {
    let mut merges = Vec::new();
    for (row, elements) in array.rows().enumerate() {
        let Some(elements) = elements else { continue };
        for start in elements.clone().step_by(run * 2).filter(|start| start + run < elements.end) {
            let (middle, end) = (start + run, (start + 2 * run).min(elements.end));
            merges.push(Merge { row, left: start..middle, right: middle..end, merged: Vec::new() });
        }
    }
    while !merges.is_empty() {
        let column = |place: fn(&Merge) -> usize| -> Result<ArrayRef> {
            let places: UInt64Array = merges.iter().map(|merge| order[place(merge)] as u64).collect();
            Ok(take(&array.values, &places, None)?)
        };
        let (left, right) = (column(|merge| merge.left.start)?, column(|merge| merge.right.start)?);
        let rows: UInt64Array = merges.iter().map(|merge| merge.row as u64).collect();
        let compared = compare(call, &[left, right], &rows)?;
        for (merge, compared) in merges.iter_mut().zip(compared) {
            let from = if compared > 0 { &mut merge.right } else { &mut merge.left };
            merge.merged.push(order[from.start]);
            from.start += 1;
        }
        merges.retain_mut(|merge| {
            let going = !merge.left.is_empty() && !merge.right.is_empty();
            if !going {
                finish(merge, order);
            }
            going
        });
    }
    Ok(())
}

/// What is left of either run follows; then all goes back to where the two runs were.
fn finish(merge: &mut Merge, order: &mut [usize]) {
    let rest = [merge.left.clone(), merge.right.clone()];
    let end = merge.right.end;
    merge.merged.extend(rest.into_iter().flatten().map(|at| order[at]));
    order[end - merge.merged.len()..end].copy_from_slice(&merge.merged);
}

fn compare(call: &Call, pair: &[ArrayRef], rows: &UInt64Array) -> Result<Vec<i64>> {
    let compared = cast(&call.evaluate(1, pair, rows)?, &DataType::Int64)?;
    let compared = compared.as_primitive::<Int64Type>();
    if compared.null_count() > 0 || compared.values().iter().any(|said| !(-1..=1).contains(said)) {
        return exec_err!("INVALID_FUNCTION_ARGUMENT: Lambda comparator must return either -1, 0, or 1");
    }
    Ok(compared.values().to_vec())
}
