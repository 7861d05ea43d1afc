//! `approx_percentile`.

use std::sync::Arc;

use arrow::array::{Array, ArrayRef, AsArray, Float64Array};
use arrow::compute::cast;
use arrow::datatypes::{DataType, Float64Type};
use datafusion::common::{Result, exec_err};
use datafusion::logical_expr::{Accumulator, AggregateUDF};
use datafusion::scalar::ScalarValue;

use super::super::arrays::function::{Types, element_of, list_of};
use super::super::arrays::lists::Lists;
use super::digest::Digest;
use super::{Aggregate, one_array};

/// The functions of this file.
pub(super) fn aggregate() -> Vec<AggregateUDF> {
    let expected = "approx_percentile(T, double), approx_percentile(T, array(double)), \
                    approx_percentile(T, double, double), approx_percentile(T, double, array(double)) \
                    of bigint, double or real";
    vec![Aggregate::udaf(
        "approx_percentile",
        expected,
        types,
        |_| vec![list_of(DataType::Float64); 3],
        |spec| {
            Ok(Box::new(Percentiles {
                gives: spec.gives.clone(),
                weighted: spec.takes.len() > 2,
                digest: Digest::default(),
                asked: Vec::new(),
            }))
        },
    )]
}

fn types(given: &[DataType]) -> Option<Types> {
    let (value, others) = given.split_first()?;
    let value = match value {
        DataType::Float32 | DataType::Float64 => value.clone(),
        number if number.is_integer() => DataType::Int64,
        DataType::Decimal128(..) | DataType::Null => DataType::Float64,
        _ => return None,
    };
    // An accuracy as the last argument asks for less than is given anyway.
    let (weights, percentiles, accuracy) = match others {
        [percentiles] => (None, percentiles, None),
        [weights, percentiles] => (Some(weights), percentiles, None),
        [weights, percentiles, accuracy] => (Some(weights), percentiles, Some(accuracy)),
        _ => return None,
    };
    if ![weights, accuracy].into_iter().flatten().all(DataType::is_numeric) {
        return None;
    }
    let (asked, result) = match percentiles {
        DataType::List(_) if element_of(percentiles)?.is_numeric() => {
            (list_of(DataType::Float64), list_of(value.clone()))
        }
        number if number.is_numeric() => (DataType::Float64, value.clone()),
        _ => return None,
    };
    let mut takes = vec![value];
    takes.extend(weights.map(|_| DataType::Float64));
    takes.push(asked);
    takes.extend(accuracy.map(|_| DataType::Float64));
    Types::new(takes, result)
}

#[derive(Debug)]
struct Percentiles {
    gives: DataType,
    weighted: bool,
    digest: Digest,
    asked: Vec<f64>,
}

impl Percentiles {
    fn set_percentiles(&mut self, column: &ArrayRef) -> Result<()> {
        if !self.asked.is_empty() {
            return Ok(());
        }
        let asked: Vec<f64> = match column.data_type() {
            DataType::List(_) => {
                let lists = Lists::new(column)?;
                let Some(elements) = lists.rows().flatten().find(|elements| !elements.is_empty()) else {
                    return Ok(());
                };
                let values = lists.values.as_primitive::<Float64Type>();
                if elements.clone().any(|element| values.is_null(element)) {
                    return exec_err!("INVALID_FUNCTION_ARGUMENT: Percentile cannot be null");
                }
                elements.map(|element| values.value(element)).collect()
            }
            _ => column.as_primitive::<Float64Type>().iter().flatten().take(1).collect(),
        };
        if asked.iter().any(|percentile| !(0.0..=1.0).contains(percentile)) {
            return exec_err!("INVALID_FUNCTION_ARGUMENT: Percentile must be between 0 and 1");
        }
        self.asked = asked;
        Ok(())
    }
}

impl Accumulator for Percentiles {
    fn update_batch(&mut self, values: &[ArrayRef]) -> Result<()> {
        self.set_percentiles(&values[if self.weighted { 2 } else { 1 }])?;
        let numbers = cast(&values[0], &DataType::Float64)?;
        let numbers = numbers.as_primitive::<Float64Type>();
        let weights = self.weighted.then(|| values[1].as_primitive::<Float64Type>());
        for row in (0..numbers.len()).filter(|&row| numbers.is_valid(row)) {
            let weight = match weights {
                None => 1.0,
                Some(weights) if weights.is_null(row) => continue,
                Some(weights) if weights.value(row) > 0.0 => weights.value(row),
                Some(weights) if weights.value(row) == 0.0 => continue,
                Some(_) => return exec_err!("INVALID_FUNCTION_ARGUMENT: percentile weight must be > 0"),
            };
            self.digest.add(numbers.value(row), weight);
        }
        Ok(())
    }

    fn evaluate(&mut self) -> Result<ScalarValue> {
        let value = element_of(&self.gives).unwrap_or(&self.gives).clone();
        let found: Option<Vec<f64>> =
            self.asked.iter().map(|&percentile| self.digest.quantile(percentile)).collect();
        let Some(mut found) = found.filter(|found| !found.is_empty()) else {
            return ScalarValue::try_new_null(&self.gives);
        };
        if value.is_integer() {
            // As Java's Math.round.
            for number in &mut found {
                *number = (*number + 0.5).floor();
            }
        }
        let column: ArrayRef = Arc::new(Float64Array::from(found));
        let column = cast(&column, &value)?;
        if matches!(self.gives, DataType::List(_)) {
            return Ok(one_array(&column));
        }
        ScalarValue::try_from_array(&column, 0)
    }

    fn state(&mut self) -> Result<Vec<ScalarValue>> {
        let (values, weights): (Vec<_>, Vec<_>) = self.digest.centroids().iter().copied().unzip();
        let columns = [values, weights, self.asked.clone()];
        Ok(columns.map(|numbers| one_array(&(Arc::new(Float64Array::from(numbers)) as ArrayRef))).into())
    }

    fn merge_batch(&mut self, states: &[ArrayRef]) -> Result<()> {
        self.set_percentiles(&states[2])?;
        let (values, weights) = (Lists::new(&states[0])?, Lists::new(&states[1])?);
        let (values, weights) =
            (values.values.as_primitive::<Float64Type>(), weights.values.as_primitive::<Float64Type>());
        values
            .values()
            .iter()
            .zip(weights.values())
            .for_each(|(&value, &weight)| self.digest.add(value, weight));
        Ok(())
    }

    fn size(&self) -> usize {
        size_of_val(self) + size_of_val(self.digest.centroids()) + size_of_val(self.asked.as_slice())
    }
}
