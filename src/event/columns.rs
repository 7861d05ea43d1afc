//! Rows to Arrow columns.

use std::sync::Arc;

use arrow::array::{
    ArrayRef, BooleanBufferBuilder, Date32Builder, Int32Builder, ListArray, MapArray, RecordBatch,
    StructArray, TimestampMicrosecondBuilder, new_null_array,
};
use arrow::buffer::{NullBuffer, OffsetBuffer};
use arrow::datatypes::{DataType, Field as ArrowField, FieldRef, Fields, Schema};

use super::plan::{LeafKind, Node, PLAN, Shape};
use super::record::{Leaf, List, Map, Row};
use super::schema::{self, map_entries};
use super::text_column::{RepeatingColumn, TextColumn};
use super::{Origin, RowTime};

/// The columns under construction.
#[derive(Debug)]
pub(super) struct Columns {
    leaves: Vec<LeafColumn>,
    structs: Vec<BooleanBufferBuilder>,
    lists: Vec<ListColumn>,
    maps: Vec<MapColumn>,
    unmapped: TextColumn,
    null_fields: RepeatingColumn,
    event_time: TimestampMicrosecondBuilder,
    log_file: RepeatingColumn,
    record_index: Int32Builder,
    account: RepeatingColumn,
    region: RepeatingColumn,
    log_date: Date32Builder,
    event_date: Date32Builder,
    rows: usize,
    text_bytes: usize,
    scratch: String,
}

/// A leaf of a record that is in no list and no map.
#[derive(Debug)]
enum LeafColumn {
    Repeating(RepeatingColumn),
    /// Free-form JSON.
    Text(TextColumn),
}

#[derive(Debug)]
struct ListColumn {
    leaves: Vec<TextColumn>,
    elements: BooleanBufferBuilder,
    offsets: Vec<i32>,
    present: BooleanBufferBuilder,
}

#[derive(Debug)]
struct MapColumn {
    keys: TextColumn,
    values: TextColumn,
    entries: usize,
    offsets: Vec<i32>,
    present: BooleanBufferBuilder,
}

impl Columns {
    pub(super) fn new() -> Self {
        let plan = &*PLAN;
        Columns {
            leaves: plan.leaves.iter().map(|kind| LeafColumn::new(*kind)).collect(),
            structs: (0..plan.structs).map(|_| BooleanBufferBuilder::new(0)).collect(),
            lists: list_nodes(&plan.root).iter().map(|node| ListColumn::new(node.members.len())).collect(),
            maps: (0..plan.maps).map(|_| MapColumn::new()).collect(),
            unmapped: TextColumn::default(),
            null_fields: RepeatingColumn::default(),
            event_time: TimestampMicrosecondBuilder::new().with_timezone("UTC"),
            log_file: RepeatingColumn::default(),
            record_index: Int32Builder::new(),
            account: RepeatingColumn::default(),
            region: RepeatingColumn::default(),
            log_date: Date32Builder::new(),
            event_date: Date32Builder::new(),
            rows: 0,
            text_bytes: 0,
            scratch: String::new(),
        }
    }

    pub(super) fn rows(&self) -> usize {
        self.rows
    }

    /// Bytes held, near enough: the text, and offsets or codes, and flags of each row. Texts that repeat count
    /// each time, though they are kept once: whoever needs them as texts may have to have room for all.
    pub(super) fn memory(&self) -> usize {
        self.text_bytes + self.rows * (self.leaves.len() + 8) * 5
    }

    /// Appends a record: `text`, which starts at offset `base` of the file.
    pub(super) fn append(
        &mut self,
        row: &Row,
        text: &str,
        base: usize,
        time: RowTime,
        index: i32,
        origin: &Origin,
    ) {
        for &slot in row.filled() {
            self.leaves[slot].append_leaf(self.rows, row.leaves[slot], text, base, &mut self.scratch);
        }
        for (present, column) in row.present.iter().zip(&mut self.structs) {
            column.append(*present);
        }
        for (list, column) in row.lists.iter().zip(&mut self.lists) {
            column.append(list, text, base, &mut self.scratch);
        }
        for (map, column) in row.maps.iter().zip(&mut self.maps) {
            column.append(map, text, base, &mut self.scratch);
        }
        row.unmapped(text, base, &mut self.scratch);
        if !self.scratch.is_empty() {
            self.unmapped.append(self.rows, &self.scratch);
        }
        row.null_fields(&mut self.scratch);
        if !self.scratch.is_empty() {
            self.null_fields.append(self.rows, &self.scratch);
        }
        self.append_provenance(time, index, origin);
        self.rows += 1;
        self.text_bytes += text.len() + origin.log_file.len();
    }

    fn append_provenance(&mut self, time: RowTime, index: i32, origin: &Origin) {
        self.event_time.append_option(time.micros);
        self.log_file.append(self.rows, origin.log_file);
        self.record_index.append_value(index);
        if let Some(account) = origin.account {
            self.account.append(self.rows, account);
        }
        if let Some(region) = origin.region {
            self.region.append(self.rows, region);
        }
        self.log_date.append_option(origin.log_date);
        self.event_date.append_option(time.date.or(origin.log_date));
    }

    /// Hands over the first `rows` rows, and starts anew.
    ///
    /// What lies beyond them may be of an append that broke off, after which columns differ in length.
    pub(super) fn finish(&mut self, rows: usize) -> RecordBatch {
        let schema = schema::schema();
        let root = &PLAN.root;
        let mut arrays: Vec<ArrayRef> = root
            .members
            .iter()
            .zip(schema.fields())
            .map(|(member, field)| self.finish_shape(&member.shape, field.data_type(), rows))
            .collect();
        arrays.extend::<[ArrayRef; 9]>([
            self.unmapped.finish(rows),
            self.null_fields.finish(rows),
            Arc::new(self.event_time.finish().slice(0, rows)),
            self.log_file.finish(rows),
            Arc::new(self.record_index.finish().slice(0, rows)),
            self.account.finish(rows),
            self.region.finish(rows),
            Arc::new(self.log_date.finish().slice(0, rows)),
            Arc::new(self.event_date.finish().slice(0, rows)),
        ]);
        (self.rows, self.text_bytes) = (0, 0);
        let fields = schema.fields().iter().zip(&arrays);
        let fields: Fields = fields.map(|(field, array)| as_built(field, array)).collect();
        RecordBatch::try_new(Arc::new(Schema::new(fields)), arrays).expect("the columns are of these fields")
    }

    fn finish_shape(&mut self, shape: &Shape, data_type: &DataType, rows: usize) -> ArrayRef {
        match (shape, data_type) {
            (Shape::Leaf { slot, .. }, _) => self.leaves[*slot].finish(rows),
            (Shape::Struct { slot, node }, DataType::Struct(fields)) => {
                self.finish_struct(*slot, node, fields, rows)
            }
            (Shape::List { slot, .. }, DataType::List(element)) => self.lists[*slot].finish(element, rows),
            (Shape::Map { slot }, DataType::Map(entries, _)) => self.maps[*slot].finish(entries, rows),
            _ => unreachable!("plan and schema come from one table"),
        }
    }

    fn finish_struct(&mut self, slot: usize, node: &Node, fields: &Fields, rows: usize) -> ArrayRef {
        let present = first(&mut self.structs[slot], rows);
        let children = node.members.iter().zip(fields);
        let arrays: Vec<ArrayRef> = children
            .map(|(member, field)| self.finish_shape(&member.shape, field.data_type(), rows))
            .collect();
        let fields = fields.iter().zip(&arrays).map(|(field, array)| as_built(field, array)).collect();
        Arc::new(StructArray::new(fields, arrays, Some(present)))
    }
}

impl LeafColumn {
    fn new(kind: LeafKind) -> Self {
        match kind {
            LeafKind::Text | LeafKind::Flag => LeafColumn::Repeating(RepeatingColumn::default()),
            LeafKind::Json => LeafColumn::Text(TextColumn::default()),
        }
    }

    #[inline]
    fn append_leaf(&mut self, at: usize, leaf: Leaf, text: &str, base: usize, scratch: &mut String) {
        let Some(text) = leaf.text(text, base, scratch) else { return };
        match self {
            LeafColumn::Repeating(column) => column.append(at, text),
            LeafColumn::Text(column) => column.append(at, text),
        }
    }

    fn finish(&mut self, rows: usize) -> ArrayRef {
        match self {
            LeafColumn::Repeating(column) => column.finish(rows),
            LeafColumn::Text(column) => column.finish(rows),
        }
    }
}

impl ListColumn {
    fn new(members: usize) -> Self {
        ListColumn {
            leaves: texts(members),
            elements: BooleanBufferBuilder::new(0),
            offsets: vec![0],
            present: BooleanBufferBuilder::new(0),
        }
    }

    fn append(&mut self, list: &List, text: &str, base: usize, scratch: &mut String) {
        for (leaves, object) in list.leaves.chunks_exact(self.leaves.len()).zip(&list.elements) {
            for (leaf, column) in leaves.iter().zip(&mut self.leaves) {
                column.append_leaf(self.elements.len(), *leaf, text, base, scratch);
            }
            self.elements.append(*object);
        }
        self.offsets.push(offset(self.elements.len()));
        self.present.append(list.present);
    }

    fn finish(&mut self, element: &FieldRef, rows: usize) -> ArrayRef {
        let DataType::Struct(fields) = element.data_type() else { unreachable!("lists are of structs") };
        let (offsets, elements) = first_offsets(&mut self.offsets, rows);
        let leaves = self.leaves.iter_mut();
        let leaves = leaves.map(|column| column.finish(elements)).collect();
        let there = first(&mut self.elements, elements);
        let values = Arc::new(StructArray::new(fields.clone(), leaves, Some(there)));
        let present = first(&mut self.present, rows);
        Arc::new(ListArray::new(element.clone(), offsets, values, Some(present)))
    }
}

impl MapColumn {
    fn new() -> Self {
        MapColumn {
            keys: TextColumn::default(),
            values: TextColumn::default(),
            entries: 0,
            offsets: vec![0],
            present: BooleanBufferBuilder::new(0),
        }
    }

    fn append(&mut self, map: &Map, text: &str, base: usize, scratch: &mut String) {
        for (key, value) in &map.entries {
            self.keys.append_leaf(self.entries, *key, text, base, scratch);
            self.values.append_leaf(self.entries, *value, text, base, scratch);
            self.entries += 1;
        }
        self.offsets.push(offset(self.entries));
        self.present.append(map.present);
    }

    fn finish(&mut self, entries: &FieldRef, rows: usize) -> ArrayRef {
        let (offsets, pairs) = first_offsets(&mut self.offsets, rows);
        let arrays = vec![self.keys.finish(pairs), self.values.finish(pairs)];
        let pairs = StructArray::new(map_entries(), arrays, None);
        let present = first(&mut self.present, rows);
        self.entries = 0;
        Arc::new(MapArray::new(entries.clone(), offsets, pairs, Some(present), false))
    }
}

/// The field of a column whose texts may be codes.
fn as_built(field: &FieldRef, array: &ArrayRef) -> FieldRef {
    if field.data_type() == array.data_type() {
        return field.clone();
    }
    Arc::new(ArrowField::clone(field).with_data_type(array.data_type().clone()))
}

/// The first `length` flags.
fn first(flags: &mut BooleanBufferBuilder, length: usize) -> NullBuffer {
    NullBuffer::new(flags.finish().slice(0, length))
}

/// The offsets of the first `rows` rows, and how many elements these have.
fn first_offsets(offsets: &mut Vec<i32>, rows: usize) -> (OffsetBuffer<i32>, usize) {
    let mut offsets = std::mem::replace(offsets, vec![0]);
    offsets.truncate(rows + 1);
    let offsets = OffsetBuffer::new(offsets.into());
    let elements = offsets.last().copied().and_then(|last| usize::try_from(last).ok());
    (offsets, elements.unwrap_or(0))
}

/// A batch stays far below two thousand million elements: its memory is bounded.
fn offset(len: usize) -> i32 {
    i32::try_from(len).expect("a batch has fewer than 2^31 elements")
}

fn texts(count: usize) -> Vec<TextColumn> {
    (0..count).map(|_| TextColumn::default()).collect()
}

fn list_nodes(node: &Node) -> Vec<&Node> {
    let nodes = node.members.iter().flat_map(|member| match &member.shape {
        Shape::Struct { node, .. } => list_nodes(node),
        Shape::List { node, .. } => vec![node],
        _ => Vec::new(),
    });
    nodes.collect()
}

/// A batch of `schema` without rows, for tables that have no files.
pub(super) fn empty(schema: &Arc<Schema>) -> RecordBatch {
    let null = |field: &Arc<ArrowField>| new_null_array(field.data_type(), 0);
    RecordBatch::try_new(schema.clone(), schema.fields().iter().map(null).collect())
        .expect("empty columns of the schema's types")
}
