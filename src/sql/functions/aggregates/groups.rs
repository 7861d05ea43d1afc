//! `max_by`, `min_by` and `arbitrary` of many groups at once.

use arrow::array::{Array, ArrayRef, BooleanArray, UInt64Array, new_null_array};
use arrow::compute::take;
use arrow::datatypes::DataType;
use arrow::row::{OwnedRow, RowConverter, SortField};
use datafusion::common::Result;
use datafusion::logical_expr::{EmitTo, GroupsAccumulator};

/// Which row of a group is the one.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Pick {
    /// The one with the largest key, the second column.
    Largest,
    /// The one with the smallest key.
    Smallest,
    /// The first that is not NULL. There is one column alone.
    First,
}

/// The row that was picked in each group, in the form in which rows compare.
pub(super) struct Picked {
    pick: Pick,
    values: RowConverter,
    keys: RowConverter,
    value_type: DataType,
    key_type: DataType,
    groups: Vec<Option<Chosen>>,
    /// Where in this batch the best row of each group is so far. All None between batches.
    winners: Vec<Option<usize>>,
    bytes: usize,
}

struct Chosen {
    value: OwnedRow,
    key: OwnedRow,
}

impl Picked {
    pub(super) fn new(pick: Pick, types: &[DataType]) -> Result<Self> {
        let key = usize::from(pick != Pick::First);
        let (value_type, key_type) = (types[0].clone(), types[key].clone());
        let converter = |data_type: &DataType| RowConverter::new(vec![SortField::new(data_type.clone())]);
        Ok(Self {
            pick,
            values: converter(&value_type)?,
            keys: converter(&key_type)?,
            value_type,
            key_type,
            groups: Vec::new(),
            winners: Vec::new(),
            bytes: 0,
        })
    }

    /// A column of what was picked, NULL for groups where nothing was.
    fn column(&self, chosen: &[Option<Chosen>], key: bool) -> Result<ArrayRef> {
        let (converter, data_type) =
            if key { (&self.keys, &self.key_type) } else { (&self.values, &self.value_type) };
        let null = converter.convert_columns(&[new_null_array(data_type, 1)])?;
        let rows = chosen.iter().map(|chosen| match chosen {
            Some(chosen) if key => chosen.key.row(),
            Some(chosen) => chosen.value.row(),
            None => null.row(0),
        });
        let column = converter.convert_rows(rows)?.remove(0);
        Ok(if column.data_type() == data_type { column } else { arrow::compute::cast(&column, data_type)? })
    }

    fn take(&mut self, emit_to: EmitTo) -> Vec<Option<Chosen>> {
        let chosen = emit_to.take_needed(&mut self.groups);
        self.bytes -= chosen.iter().flatten().map(size).sum::<usize>();
        chosen
    }
}

fn size(chosen: &Chosen) -> usize {
    chosen.value.as_ref().len() + chosen.key.as_ref().len()
}

impl GroupsAccumulator for Picked {
    fn update_batch(
        &mut self,
        values: &[ArrayRef],
        group_indices: &[usize],
        filter: Option<&BooleanArray>,
        total: usize,
    ) -> Result<()> {
        self.groups.resize_with(total, || None);
        self.winners.resize(total, None);
        let key_column = &values[usize::from(self.pick != Pick::First)];
        let keys = self.keys.convert_columns(std::slice::from_ref(key_column))?;
        let nulls = key_column.logical_nulls();
        let mut touched = Vec::new();
        for (row, &group) in group_indices.iter().enumerate() {
            let out = nulls.as_ref().is_some_and(|nulls| nulls.is_null(row))
                || filter.is_some_and(|filter| filter.is_null(row) || !filter.value(row));
            if out {
                continue;
            }
            let known = match (self.winners[group], &self.groups[group]) {
                (Some(winner), _) => Some(keys.row(winner)),
                (None, Some(chosen)) => Some(chosen.key.row()),
                (None, None) => None,
            };
            let better = known.is_none_or(|known| match self.pick {
                Pick::Largest => keys.row(row) > known,
                Pick::Smallest => keys.row(row) < known,
                Pick::First => false,
            });
            if better {
                if self.winners[group].is_none() {
                    touched.push(group);
                }
                self.winners[group] = Some(row);
            }
        }
        let rows: Vec<_> =
            touched.iter().map(|&group| self.winners[group].take().unwrap_or_default()).collect();
        let places: UInt64Array = rows.iter().map(|&row| row as u64).collect();
        let picked = self.values.convert_columns(&[take(&values[0], &places, None)?])?;
        for (at, (group, row)) in touched.into_iter().zip(rows).enumerate() {
            let chosen = Chosen { value: picked.row(at).owned(), key: keys.row(row).owned() };
            self.bytes += size(&chosen);
            if let Some(before) = self.groups[group].replace(chosen) {
                self.bytes -= size(&before);
            }
        }
        Ok(())
    }

    fn evaluate(&mut self, emit_to: EmitTo) -> Result<ArrayRef> {
        let chosen = self.take(emit_to);
        self.column(&chosen, false)
    }

    fn state(&mut self, emit_to: EmitTo) -> Result<Vec<ArrayRef>> {
        let chosen = self.take(emit_to);
        let value = self.column(&chosen, false)?;
        Ok(if self.pick == Pick::First { vec![value] } else { vec![value, self.column(&chosen, true)?] })
    }

    fn merge_batch(&mut self, states: &[ArrayRef], group_indices: &[usize], total: usize) -> Result<()> {
        self.update_batch(states, group_indices, None, total)
    }

    /// Each row is a group of its own. One that is filtered out has no key.
    fn convert_to_state(&self, values: &[ArrayRef], filter: Option<&BooleanArray>) -> Result<Vec<ArrayRef>> {
        let values = if self.pick == Pick::First { &values[..1] } else { &values[..2] };
        let Some(filter) = filter else { return Ok(values.to_vec()) };
        let kept: UInt64Array =
            filter.iter().enumerate().map(|(row, kept)| (kept == Some(true)).then_some(row as u64)).collect();
        values.iter().map(|column| Ok(take(column, &kept, None)?)).collect()
    }

    fn size(&self) -> usize {
        size_of_val(self)
            + self.bytes
            + self.groups.capacity() * size_of::<Option<Chosen>>()
            + self.winners.capacity() * size_of::<Option<usize>>()
    }
}

/// The accumulator for many groups, boxed.
pub(super) fn groups(pick: Pick, types: &[DataType]) -> Result<Box<dyn GroupsAccumulator>> {
    Ok(Box::new(Picked::new(pick, types)?))
}

/// Whether values of the types can be held as rows.
pub(super) fn fits(types: &[DataType]) -> bool {
    let fields: Vec<_> = types.iter().map(|data_type| SortField::new(data_type.clone())).collect();
    RowConverter::supports_fields(&fields)
}
