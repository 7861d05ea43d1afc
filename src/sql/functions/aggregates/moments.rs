//! `geometric_mean`, `skewness`, `kurtosis`, `entropy`: aggregates that a few sums are enough for.

use arrow::array::{ArrayRef, AsArray};
use arrow::datatypes::{DataType, Float64Type};
use datafusion::common::{Result, exec_err};
use datafusion::logical_expr::{Accumulator, AggregateUDF};
use datafusion::scalar::ScalarValue;

use super::super::arrays::function::Types;
use super::Aggregate;

/// The functions of this file.
pub(super) fn aggregate() -> Vec<AggregateUDF> {
    let moments = |name, expected, accumulator| {
        Aggregate::udaf(name, expected, types, |_| vec![DataType::Float64; 5], accumulator)
    };
    vec![
        moments("skewness", "skewness(double)", |_| Ok(Box::new(Moments::new(skewness)))),
        moments("kurtosis", "kurtosis(double)", |_| Ok(Box::new(Moments::new(kurtosis)))),
        Aggregate::udaf("geometric_mean", "geometric_mean(double)", types, two_sums, |_| {
            Ok(Box::new(Sums { both: [0.0; 2], add: |value| Ok([value.ln(), 1.0]), give: geometric_mean }))
        }),
        Aggregate::udaf("entropy", "entropy(bigint)", types, two_sums, |_| {
            Ok(Box::new(Sums { both: [0.0; 2], add: weighted_logarithm, give: |sums| Some(entropy(sums)) }))
        }),
    ]
}

fn types(given: &[DataType]) -> Option<Types> {
    let [number] = given else { return None };
    let fits = number.is_numeric() || number.is_null();
    fits.then(|| Types::new([DataType::Float64], DataType::Float64))?
}

fn two_sums(_: &super::Spec) -> Vec<DataType> {
    vec![DataType::Float64; 2]
}

/// Two sums over the values.
#[derive(Debug)]
struct Sums {
    both: [f64; 2],
    /// What a value adds to them.
    add: fn(f64) -> Result<[f64; 2]>,
    give: fn([f64; 2]) -> Option<f64>,
}

fn geometric_mean([logarithms, count]: [f64; 2]) -> Option<f64> {
    (count > 0.0).then(|| (logarithms / count).exp())
}

fn weighted_logarithm(count: f64) -> Result<[f64; 2]> {
    if count < 0.0 {
        return exec_err!("INVALID_FUNCTION_ARGUMENT: Entropy count argument must be non-negative");
    }
    Ok(if count == 0.0 { [0.0, 0.0] } else { [count * count.ln(), count] })
}

/// In bits.
fn entropy([weighted, count]: [f64; 2]) -> f64 {
    if count > 0.0 { ((count.ln() - weighted / count) / std::f64::consts::LN_2).max(0.0) } else { 0.0 }
}

impl Accumulator for Sums {
    fn update_batch(&mut self, values: &[ArrayRef]) -> Result<()> {
        for value in values[0].as_primitive::<Float64Type>().iter().flatten() {
            let added = (self.add)(value)?;
            self.both = [self.both[0] + added[0], self.both[1] + added[1]];
        }
        Ok(())
    }

    fn evaluate(&mut self) -> Result<ScalarValue> {
        Ok(ScalarValue::Float64((self.give)(self.both)))
    }

    fn state(&mut self) -> Result<Vec<ScalarValue>> {
        Ok(self.both.map(|sum| ScalarValue::Float64(Some(sum))).into())
    }

    fn merge_batch(&mut self, states: &[ArrayRef]) -> Result<()> {
        for (sum, states) in self.both.iter_mut().zip(states) {
            *sum += states.as_primitive::<Float64Type>().iter().flatten().sum::<f64>();
        }
        Ok(())
    }

    fn size(&self) -> usize {
        size_of_val(self)
    }
}

/// Count, mean, and the sums of the powers of the distances from it.
#[derive(Debug, Clone, Copy)]
struct Moments {
    count: f64,
    mean: f64,
    powers: [f64; 3],
    give: fn(&Moments) -> Option<f64>,
}

fn skewness(moments: &Moments) -> Option<f64> {
    let [second, third, _] = moments.powers;
    (moments.count >= 3.0).then(|| moments.count.sqrt() * third / second.powf(1.5))
}

/// The sample's excess kurtosis, as Trino has it.
fn kurtosis(moments: &Moments) -> Option<f64> {
    let (n, [second, _, fourth]) = (moments.count, moments.powers);
    (n >= 4.0).then(|| {
        let variance = second / (n - 1.0);
        let first = n * (n + 1.0) / ((n - 1.0) * (n - 2.0) * (n - 3.0)) * fourth / (variance * variance);
        first - 3.0 * (n - 1.0) * (n - 1.0) / ((n - 2.0) * (n - 3.0))
    })
}

impl Moments {
    fn new(give: fn(&Self) -> Option<f64>) -> Self {
        Self { count: 0.0, mean: 0.0, powers: [0.0; 3], give }
    }

    /// Pébay's formulas for two sets of values taken together.
    fn merge(&mut self, other: &Self) {
        if other.count == 0.0 {
            return;
        }
        let (a, b) = (self.count, other.count);
        let n = a + b;
        let delta = other.mean - self.mean;
        let [a2, a3, a4] = self.powers;
        let [b2, b3, b4] = other.powers;
        let second = a2 + b2 + delta.powi(2) * a * b / n;
        let third =
            a3 + b3 + delta.powi(3) * a * b * (a - b) / n.powi(2) + 3.0 * delta * (a * b2 - b * a2) / n;
        let fourth = a4
            + b4
            + delta.powi(4) * a * b * (a * a - a * b + b * b) / n.powi(3)
            + 6.0 * delta.powi(2) * (a * a * b2 + b * b * a2) / n.powi(2)
            + 4.0 * delta * (a * b3 - b * a3) / n;
        self.mean += delta * b / n;
        self.count = n;
        self.powers = [second, third, fourth];
    }
}

impl Accumulator for Moments {
    fn update_batch(&mut self, values: &[ArrayRef]) -> Result<()> {
        for value in values[0].as_primitive::<Float64Type>().iter().flatten() {
            self.merge(&Self { count: 1.0, mean: value, powers: [0.0; 3], give: self.give });
        }
        Ok(())
    }

    fn evaluate(&mut self) -> Result<ScalarValue> {
        Ok(ScalarValue::Float64((self.give)(self)))
    }

    fn state(&mut self) -> Result<Vec<ScalarValue>> {
        let [second, third, fourth] = self.powers;
        let state = [self.count, self.mean, second, third, fourth];
        Ok(state.map(|number| ScalarValue::Float64(Some(number))).into())
    }

    fn merge_batch(&mut self, states: &[ArrayRef]) -> Result<()> {
        let columns: Vec<_> = states.iter().map(AsArray::as_primitive::<Float64Type>).collect();
        for row in 0..columns[0].len() {
            let [count, mean, second, third, fourth] = [0, 1, 2, 3, 4].map(|at| columns[at].value(row));
            self.merge(&Self { count, mean, powers: [second, third, fourth], give: self.give });
        }
        Ok(())
    }

    fn size(&self) -> usize {
        size_of_val(self)
    }
}
