//! Aggregates that give maps: `histogram`, `map_agg`, `multimap_agg`, `map_union`, `approx_most_frequent`.

use std::sync::Arc;

use arrow::array::{Array, ArrayRef, AsArray, Int64Array};
use arrow::compute::cast;
use arrow::datatypes::{DataType, Int64Type};
use datafusion::common::{HashMap, Result, exec_err};
use datafusion::logical_expr::{Accumulator, AggregateUDF};
use datafusion::scalar::ScalarValue;

use super::super::arrays::function::{Types, is_bigint, list_of, map_of, sides_of};
use super::super::arrays::lists::{Lists, keys, lists};
use super::super::maps::{Maps, maps};
use super::{Aggregate, Spec, bytes, column, one_array};

/// The functions of this file.
pub(super) fn aggregate() -> Vec<AggregateUDF> {
    let state = |spec: &Spec| match sides_of(&spec.gives) {
        Some((key, value)) => vec![list_of(key.clone()), list_of(value.clone())],
        None => Vec::new(),
    };
    vec![
        Aggregate::udaf("histogram", "histogram(K)", histogram_types, state, |spec| keyed(spec, Kind::Count)),
        Aggregate::udaf("map_agg", "map_agg(K, V)", map_types, state, |spec| keyed(spec, Kind::First)),
        Aggregate::udaf("multimap_agg", "multimap_agg(K, V)", multimap_types, state, |spec| {
            keyed(spec, Kind::All)
        }),
        Aggregate::udaf("map_union", "map_union(map(K,V))", union_types, state, |spec| {
            keyed(spec, Kind::Union)
        }),
        Aggregate::udaf(
            "approx_most_frequent",
            "approx_most_frequent(bigint, T, bigint)",
            frequent_types,
            |spec| match sides_of(&spec.gives) {
                Some((key, value)) => vec![list_of(key.clone()), list_of(value.clone()), DataType::Int64],
                None => Vec::new(),
            },
            |spec| keyed(spec, Kind::Frequent),
        ),
    ]
}

fn histogram_types(given: &[DataType]) -> Option<Types> {
    let [key] = given else { return None };
    Types::new([key.clone()], map_of(key.clone(), DataType::Int64))
}

fn map_types(given: &[DataType]) -> Option<Types> {
    let [key, value] = given else { return None };
    Types::new([key.clone(), value.clone()], map_of(key.clone(), value.clone()))
}

fn multimap_types(given: &[DataType]) -> Option<Types> {
    let [key, value] = given else { return None };
    Types::new([key.clone(), value.clone()], map_of(key.clone(), list_of(value.clone())))
}

fn union_types(given: &[DataType]) -> Option<Types> {
    let [map] = given else { return None };
    let (key, value) = sides_of(map)?;
    Types::new([map.clone()], map_of(key.clone(), value.clone()))
}

fn frequent_types(given: &[DataType]) -> Option<Types> {
    match given {
        [buckets, key, capacity] if is_bigint(buckets) && is_bigint(capacity) => {
            Types::new([DataType::Int64, key.clone(), DataType::Int64], map_of(key.clone(), DataType::Int64))
        }
        _ => None,
    }
}

/// What is kept of the values of a key.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Kind {
    /// How many there are.
    Count,
    /// The same, and in the end only the keys that have most.
    Frequent,
    /// The first.
    First,
    /// The first, from maps.
    Union,
    /// All.
    All,
}

fn keyed(spec: &Spec, kind: Kind) -> Result<Box<dyn Accumulator>> {
    let Some((key, value)) = sides_of(&spec.gives) else {
        return exec_err!("TYPE_MISMATCH: {} is no map", spec.gives);
    };
    Ok(Box::new(Keyed {
        kind,
        gives: spec.gives.clone(),
        key: key.clone(),
        value: value.clone(),
        places: HashMap::new(),
        keys: Vec::new(),
        counts: Vec::new(),
        values: Vec::new(),
        buckets: None,
    }))
}

/// Values by key, the keys in the order in which they came.
struct Keyed {
    kind: Kind,
    gives: DataType,
    key: DataType,
    value: DataType,
    places: HashMap<Box<[u8]>, usize>,
    keys: Vec<ScalarValue>,
    counts: Vec<i64>,
    values: Vec<Vec<ScalarValue>>,
    buckets: Option<i64>,
}

impl std::fmt::Debug for Keyed {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter
            .debug_struct("Keyed")
            .field("kind", &self.kind)
            .field("keys", &self.keys)
            .finish_non_exhaustive()
    }
}

impl Keyed {
    /// Calls with the place of each row's key, and the row. Keys that are NULL are left out.
    fn add(
        &mut self,
        column: &ArrayRef,
        mut each: impl FnMut(&mut Self, usize, usize) -> Result<()>,
    ) -> Result<()> {
        let (rows, _) = keys(std::slice::from_ref(column))?;
        let nulls = column.logical_nulls();
        for row in (0..column.len()).filter(|&row| nulls.as_ref().is_none_or(|nulls| nulls.is_valid(row))) {
            let key = rows.row(row);
            let place = if let Some(&place) = self.places.get(key.as_ref()) {
                place
            } else {
                let place = self.keys.len();
                self.places.insert(key.as_ref().into(), place);
                self.keys.push(ScalarValue::try_from_array(column, row)?.compacted());
                self.counts.push(0);
                self.values.push(Vec::new());
                place
            };
            each(self, place, row)?;
        }
        Ok(())
    }

    fn add_values(&mut self, keys: &ArrayRef, values: &ArrayRef) -> Result<()> {
        let all = self.kind == Kind::All;
        self.add(keys, |this, place, row| {
            if all || this.values[place].is_empty() {
                this.values[place].push(ScalarValue::try_from_array(values, row)?.compacted());
            }
            Ok(())
        })
    }

    fn counts(&self) -> bool {
        matches!(self.kind, Kind::Count | Kind::Frequent)
    }

    /// The values of all keys as one column.
    fn column(&self) -> Result<ArrayRef> {
        if self.counts() {
            return Ok(Arc::new(Int64Array::from(self.counts.clone())));
        }
        let values = self.values.concat();
        match &self.value {
            DataType::List(element) if self.kind == Kind::All => {
                let lengths: Vec<_> = self.values.iter().map(Vec::len).collect();
                lists(column(&values, element.data_type())?, &lengths, None, &self.value)
            }
            value => column(&values, value),
        }
    }
}

impl Accumulator for Keyed {
    fn update_batch(&mut self, values: &[ArrayRef]) -> Result<()> {
        match self.kind {
            Kind::Count => self.add(&values[0], |this, place, _| {
                this.counts[place] += 1;
                Ok(())
            }),
            Kind::Frequent => {
                let buckets = values[0].as_primitive::<Int64Type>().iter().flatten().next();
                self.buckets = self.buckets.or(buckets);
                if self.buckets.is_some_and(|buckets| buckets < 2) {
                    return exec_err!(
                        "INVALID_FUNCTION_ARGUMENT: approx_most_frequent bucket count must be greater than one"
                    );
                }
                self.add(&values[1], |this, place, _| {
                    this.counts[place] += 1;
                    Ok(())
                })
            }
            Kind::Union => {
                let maps = Maps::new(&values[0])?;
                if maps.nulls().is_none() {
                    return self.add_values(&maps.keys, &maps.values);
                }
                for entries in maps.rows().flatten() {
                    let (keys, values) = (
                        maps.keys.slice(entries.start, entries.len()),
                        maps.values.slice(entries.start, entries.len()),
                    );
                    self.add_values(&keys, &values)?;
                }
                Ok(())
            }
            Kind::First | Kind::All => self.add_values(&values[0], &values[1]),
        }
    }

    fn evaluate(&mut self) -> Result<ScalarValue> {
        if self.keys.is_empty() {
            return ScalarValue::try_new_null(&self.gives);
        }
        let (mut keys, mut values) = (column(&self.keys, &self.key)?, self.column()?);
        if let (Kind::Frequent, Some(buckets)) = (self.kind, self.buckets) {
            let mut order: Vec<usize> = (0..self.keys.len()).collect();
            order.sort_by_key(|&place| std::cmp::Reverse(self.counts[place]));
            order.truncate(usize::try_from(buckets).unwrap_or(usize::MAX));
            let order: arrow::array::UInt64Array = order.into_iter().map(|place| place as u64).collect();
            keys = arrow::compute::take(&keys, &order, None)?;
            values = arrow::compute::take(&values, &order, None)?;
        }
        let length = keys.len();
        ScalarValue::try_from_array(&maps(keys, values, &[length], None, &self.gives)?, 0)
    }

    fn state(&mut self) -> Result<Vec<ScalarValue>> {
        let mut state = vec![one_array(&column(&self.keys, &self.key)?), one_array(&self.column()?)];
        if self.kind == Kind::Frequent {
            state.push(ScalarValue::Int64(self.buckets));
        }
        Ok(state)
    }

    fn merge_batch(&mut self, states: &[ArrayRef]) -> Result<()> {
        let (keys, values) = (Lists::new(&states[0])?, Lists::new(&states[1])?);
        if let Some(buckets) = states.get(2) {
            let buckets = cast(buckets, &DataType::Int64)?;
            self.buckets = self.buckets.or(buckets.as_primitive::<Int64Type>().iter().flatten().next());
        }
        if self.counts() {
            let counts = values.values.as_primitive::<Int64Type>();
            return self.add(&keys.values, |this, place, row| {
                this.counts[place] += counts.value(row);
                Ok(())
            });
        }
        if self.kind != Kind::All {
            return self.add_values(&keys.values, &values.values);
        }
        let arrays = Lists::new(&values.values)?;
        self.add(&keys.values, |this, place, row| {
            for element in arrays.row(row).into_iter().flatten() {
                this.values[place].push(ScalarValue::try_from_array(&arrays.values, element)?.compacted());
            }
            Ok(())
        })
    }

    fn size(&self) -> usize {
        let values: usize = self.values.iter().map(|values| bytes(values)).sum();
        let places: usize = self.places.keys().map(|key| key.len() + 32).sum();
        size_of_val(self) + bytes(&self.keys) + values + places + self.counts.capacity() * 8
    }
}
