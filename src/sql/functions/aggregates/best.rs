//! `max_by`, `min_by`, and the n largest or smallest: `max(x, n)`.

use std::sync::Arc;

use arrow::array::{Array, ArrayRef, AsArray};
use arrow::compute::cast;
use arrow::datatypes::{DataType, Int64Type};
use datafusion::common::{Result, exec_err};
use datafusion::logical_expr::{Accumulator, AggregateUDF};
use datafusion::scalar::ScalarValue;

use super::super::arrays::function::{Types, list_of};
use super::super::arrays::lists::{Lists, keys};
use super::groups::Pick;
use super::{Aggregate, Spec, bytes, column, one_array};

/// Trino's limit for n.
const MOST: i64 = 10_000;

/// The functions of this file.
pub(super) fn aggregate() -> Vec<AggregateUDF> {
    vec![
        Aggregate::picking_udaf(
            "max_by",
            "max_by(V, K), max_by(V, K, bigint)",
            by_types,
            by_state,
            |spec| by(spec, true),
            |spec| (spec.takes.len() == 2).then_some(Pick::Largest),
        ),
        Aggregate::picking_udaf(
            "min_by",
            "min_by(V, K), min_by(V, K, bigint)",
            by_types,
            by_state,
            |spec| by(spec, false),
            |spec| (spec.takes.len() == 2).then_some(Pick::Smallest),
        ),
        Aggregate::udaf("$max_n", "max(E, bigint)", n_types, n_state, |spec| Ok(n(spec, true))),
        Aggregate::udaf("$min_n", "min(E, bigint)", n_types, n_state, |spec| Ok(n(spec, false))),
    ]
}

fn by_types(given: &[DataType]) -> Option<Types> {
    match given {
        [value, key] => Types::new([value.clone(), key.clone()], value.clone()),
        [value, key, count] if count.is_integer() => {
            Types::new([value.clone(), key.clone(), DataType::Int64], list_of(value.clone()))
        }
        _ => None,
    }
}

fn by_state(spec: &Spec) -> Vec<DataType> {
    match spec.takes.as_slice() {
        [value, key] => vec![value.clone(), key.clone()],
        takes => many_state(takes),
    }
}

fn by(spec: &Spec, largest: bool) -> Result<Box<dyn Accumulator>> {
    if let [value, key] = spec.takes.as_slice() {
        let (value, key) = (ScalarValue::try_new_null(value)?, ScalarValue::try_new_null(key)?);
        return Ok(Box::new(Best { largest, value, key, rank: None }));
    }
    Ok(many(&spec.takes, largest, false))
}

fn n_types(given: &[DataType]) -> Option<Types> {
    match given {
        [value, count] if count.is_integer() => {
            Types::new([value.clone(), DataType::Int64], list_of(value.clone()))
        }
        _ => None,
    }
}

fn n_state(spec: &Spec) -> Vec<DataType> {
    many_state(&[spec.takes[0].clone(), spec.takes[0].clone()])
}

fn n(spec: &Spec, largest: bool) -> Box<dyn Accumulator> {
    let value = spec.takes[0].clone();
    many(&[value.clone(), value], largest, true)
}

/// The value beside the largest or smallest key. Keys that are NULL do not count.
#[derive(Debug)]
struct Best {
    largest: bool,
    value: ScalarValue,
    key: ScalarValue,
    /// The key as bytes that compare. None: there was no row yet.
    rank: Option<Vec<u8>>,
}

impl Accumulator for Best {
    fn update_batch(&mut self, values: &[ArrayRef]) -> Result<()> {
        let (ranks, _) = keys(std::slice::from_ref(&values[1]))?;
        let nulls = values[1].logical_nulls();
        let mut best: Option<usize> = None;
        for row in (0..values[1].len()).filter(|&row| nulls.as_ref().is_none_or(|nulls| nulls.is_valid(row)))
        {
            let rank = ranks.row(row);
            let better = match best {
                Some(best) if self.largest => rank > ranks.row(best),
                Some(best) => rank < ranks.row(best),
                None => self.rank.as_ref().is_none_or(|known| {
                    if self.largest {
                        rank.as_ref() > known.as_slice()
                    } else {
                        rank.as_ref() < known.as_slice()
                    }
                }),
            };
            if better {
                best = Some(row);
            }
        }
        if let Some(row) = best {
            self.rank = Some(ranks.row(row).as_ref().to_vec());
            self.value = ScalarValue::try_from_array(&values[0], row)?.compacted();
            self.key = ScalarValue::try_from_array(&values[1], row)?.compacted();
        }
        Ok(())
    }

    fn evaluate(&mut self) -> Result<ScalarValue> {
        Ok(self.value.clone())
    }

    fn state(&mut self) -> Result<Vec<ScalarValue>> {
        Ok(vec![self.value.clone(), self.key.clone()])
    }

    fn merge_batch(&mut self, states: &[ArrayRef]) -> Result<()> {
        self.update_batch(states)
    }

    fn size(&self) -> usize {
        size_of_val(self) + self.value.size() + self.key.size() + self.rank.as_ref().map_or(0, Vec::capacity)
    }
}

fn many_state(takes: &[DataType]) -> Vec<DataType> {
    vec![list_of(takes[0].clone()), list_of(takes[1].clone()), DataType::Int64]
}

fn many(takes: &[DataType], largest: bool, alone: bool) -> Box<dyn Accumulator> {
    Box::new(Many {
        largest,
        alone,
        value: takes[0].clone(),
        key: takes[1].clone(),
        count: None,
        ranks: Vec::new(),
        values: Vec::new(),
        keys: Vec::new(),
    })
}

/// The n values beside the largest or smallest keys, the best first.
#[derive(Debug)]
struct Many {
    largest: bool,
    /// Whether the values are their own keys.
    alone: bool,
    value: DataType,
    key: DataType,
    count: Option<usize>,
    ranks: Vec<Vec<u8>>,
    values: Vec<ScalarValue>,
    keys: Vec<ScalarValue>,
}

impl Many {
    fn set_count(&mut self, counts: &ArrayRef) -> Result<()> {
        let counts = counts.as_primitive::<Int64Type>();
        if let (None, Some(count)) = (self.count, counts.iter().flatten().next()) {
            if count <= 0 || count > MOST {
                return exec_err!(
                    "INVALID_FUNCTION_ARGUMENT: the number of values must be from 1 to {MOST}: {count}"
                );
            }
            self.count = usize::try_from(count).ok();
        }
        Ok(())
    }

    fn add(&mut self, values: &ArrayRef, key_column: &ArrayRef) -> Result<()> {
        let Some(count) = self.count else { return Ok(()) };
        let (ranks, _) = keys(std::slice::from_ref(key_column))?;
        let nulls = key_column.logical_nulls();
        for row in (0..key_column.len()).filter(|&row| nulls.as_ref().is_none_or(|nulls| nulls.is_valid(row)))
        {
            let rank = ranks.row(row);
            let place = self.ranks.partition_point(|known| {
                if self.largest {
                    known.as_slice() >= rank.as_ref()
                } else {
                    known.as_slice() <= rank.as_ref()
                }
            });
            if place >= count {
                continue;
            }
            self.ranks.insert(place, rank.as_ref().to_vec());
            self.values.insert(place, ScalarValue::try_from_array(values, row)?.compacted());
            self.keys.insert(place, ScalarValue::try_from_array(key_column, row)?.compacted());
            self.ranks.truncate(count);
            self.values.truncate(count);
            self.keys.truncate(count);
        }
        Ok(())
    }
}

impl Accumulator for Many {
    fn update_batch(&mut self, values: &[ArrayRef]) -> Result<()> {
        let key = if self.alone { &values[0] } else { &values[1] };
        self.set_count(&values[if self.alone { 1 } else { 2 }])?;
        self.add(&values[0], &Arc::clone(key))
    }

    fn evaluate(&mut self) -> Result<ScalarValue> {
        if self.values.is_empty() {
            return ScalarValue::try_new_null(&list_of(self.value.clone()));
        }
        Ok(one_array(&column(&self.values, &self.value)?))
    }

    fn state(&mut self) -> Result<Vec<ScalarValue>> {
        let count = self.count.map(super::super::arrays::count);
        Ok(vec![
            one_array(&column(&self.values, &self.value)?),
            one_array(&column(&self.keys, &self.key)?),
            ScalarValue::Int64(count),
        ])
    }

    fn merge_batch(&mut self, states: &[ArrayRef]) -> Result<()> {
        self.set_count(&cast(&states[2], &DataType::Int64)?)?;
        let (values, keys) = (Lists::new(&states[0])?, Lists::new(&states[1])?);
        self.add(&values.values, &keys.values)
    }

    fn size(&self) -> usize {
        size_of_val(self)
            + bytes(&self.values)
            + bytes(&self.keys)
            + self.ranks.iter().map(Vec::capacity).sum::<usize>()
    }
}
