//! Rows to Arrow columns.

use std::sync::Arc;

use arrow::array::{
    ArrayRef, BooleanBufferBuilder, Date32Builder, Int32Builder, ListArray, MapArray, RecordBatch,
    StringBuilder, StructArray, TimestampMicrosecondBuilder, new_null_array,
};
use arrow::buffer::{NullBuffer, OffsetBuffer};
use arrow::datatypes::{DataType, Field as ArrowField, FieldRef, Fields, Schema};

use super::plan::{Node, PLAN, Shape};
use super::record::{Leaf, List, Map, Row};
use super::schema::{self, map_entries};
use super::{Origin, RowTime};
use crate::json::unescape;

/// The columns under construction.
#[derive(Debug)]
pub(super) struct Columns {
    leaves: Vec<StringBuilder>,
    structs: Vec<BooleanBufferBuilder>,
    lists: Vec<ListColumn>,
    maps: Vec<MapColumn>,
    unmapped: StringBuilder,
    null_fields: StringBuilder,
    event_time: TimestampMicrosecondBuilder,
    log_file: StringBuilder,
    record_index: Int32Builder,
    account: StringBuilder,
    region: StringBuilder,
    log_date: Date32Builder,
    event_date: Date32Builder,
    rows: usize,
    text_bytes: usize,
    scratch: String,
}

#[derive(Debug)]
struct ListColumn {
    leaves: Vec<StringBuilder>,
    elements: BooleanBufferBuilder,
    offsets: Vec<i32>,
    present: BooleanBufferBuilder,
}

#[derive(Debug)]
struct MapColumn {
    keys: StringBuilder,
    values: StringBuilder,
    entries: i32,
    offsets: Vec<i32>,
    present: BooleanBufferBuilder,
}

impl Columns {
    pub(super) fn new() -> Self {
        let plan = &*PLAN;
        Columns {
            leaves: strings(plan.leaves),
            structs: (0..plan.structs).map(|_| BooleanBufferBuilder::new(0)).collect(),
            lists: list_nodes(&plan.root).iter().map(|node| ListColumn::new(node.members.len())).collect(),
            maps: (0..plan.maps).map(|_| MapColumn::new()).collect(),
            unmapped: StringBuilder::new(),
            null_fields: StringBuilder::new(),
            event_time: TimestampMicrosecondBuilder::new().with_timezone("UTC"),
            log_file: StringBuilder::new(),
            record_index: Int32Builder::new(),
            account: StringBuilder::new(),
            region: StringBuilder::new(),
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

    /// Bytes held, near enough: the text, and offsets and flags of each row.
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
        for (leaf, column) in row.leaves.iter().zip(&mut self.leaves) {
            append_leaf(column, *leaf, text, base, &mut self.scratch);
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
        append_unless_empty(&mut self.unmapped, &self.scratch);
        row.null_fields(&mut self.scratch);
        append_unless_empty(&mut self.null_fields, &self.scratch);
        self.append_provenance(time, index, origin);
        self.rows += 1;
        self.text_bytes += text.len() + origin.log_file.len();
    }

    fn append_provenance(&mut self, time: RowTime, index: i32, origin: &Origin) {
        self.event_time.append_option(time.micros);
        self.log_file.append_value(origin.log_file);
        self.record_index.append_value(index);
        self.account.append_option(origin.account);
        self.region.append_option(origin.region);
        self.log_date.append_option(origin.log_date);
        self.event_date.append_option(time.date.or(origin.log_date));
    }

    /// Hands over what was appended, and starts anew.
    pub(super) fn finish(&mut self) -> RecordBatch {
        let rows = self.rows;
        let schema = schema::schema();
        let root = &PLAN.root;
        let mut arrays: Vec<ArrayRef> = root
            .members
            .iter()
            .zip(schema.fields())
            .map(|(member, field)| self.finish_shape(&member.shape, field.data_type()))
            .collect();
        arrays.extend::<[ArrayRef; 9]>([
            Arc::new(self.unmapped.finish()),
            Arc::new(self.null_fields.finish()),
            Arc::new(self.event_time.finish()),
            Arc::new(self.log_file.finish()),
            Arc::new(self.record_index.finish()),
            Arc::new(self.account.finish()),
            Arc::new(self.region.finish()),
            Arc::new(self.log_date.finish()),
            Arc::new(self.event_date.finish()),
        ]);
        (self.rows, self.text_bytes) = (0, 0);
        debug_assert!(arrays.iter().all(|array| array.len() == rows));
        RecordBatch::try_new(schema, arrays).expect("the columns are built after the schema")
    }

    fn finish_shape(&mut self, shape: &Shape, data_type: &DataType) -> ArrayRef {
        match (shape, data_type) {
            (Shape::Leaf { slot, .. }, _) => Arc::new(self.leaves[*slot].finish()),
            (Shape::Struct { slot, node }, DataType::Struct(fields)) => {
                self.finish_struct(*slot, node, fields)
            }
            (Shape::List { slot, .. }, DataType::List(element)) => self.lists[*slot].finish(element),
            (Shape::Map { slot }, DataType::Map(entries, _)) => self.maps[*slot].finish(entries),
            _ => unreachable!("plan and schema come from one table"),
        }
    }

    fn finish_struct(&mut self, slot: usize, node: &Node, fields: &Fields) -> ArrayRef {
        let present = NullBuffer::new(self.structs[slot].finish());
        let children = node.members.iter().zip(fields);
        let arrays =
            children.map(|(member, field)| self.finish_shape(&member.shape, field.data_type())).collect();
        Arc::new(StructArray::new(fields.clone(), arrays, Some(present)))
    }
}

impl ListColumn {
    fn new(members: usize) -> Self {
        ListColumn {
            leaves: strings(members),
            elements: BooleanBufferBuilder::new(0),
            offsets: vec![0],
            present: BooleanBufferBuilder::new(0),
        }
    }

    fn append(&mut self, list: &List, text: &str, base: usize, scratch: &mut String) {
        for leaves in list.leaves.chunks_exact(self.leaves.len()) {
            for (leaf, column) in leaves.iter().zip(&mut self.leaves) {
                append_leaf(column, *leaf, text, base, scratch);
            }
        }
        list.elements.iter().for_each(|object| self.elements.append(*object));
        self.offsets.push(offset(self.elements.len()));
        self.present.append(list.present);
    }

    fn finish(&mut self, element: &FieldRef) -> ArrayRef {
        let DataType::Struct(fields) = element.data_type() else { unreachable!("lists are of structs") };
        let leaves = self.leaves.iter_mut().map(|column| Arc::new(column.finish()) as ArrayRef).collect();
        let there = NullBuffer::new(self.elements.finish());
        let values = Arc::new(StructArray::new(fields.clone(), leaves, Some(there)));
        let offsets = OffsetBuffer::new(std::mem::replace(&mut self.offsets, vec![0]).into());
        let present = NullBuffer::new(self.present.finish());
        Arc::new(ListArray::new(element.clone(), offsets, values, Some(present)))
    }
}

impl MapColumn {
    fn new() -> Self {
        MapColumn {
            keys: StringBuilder::new(),
            values: StringBuilder::new(),
            entries: 0,
            offsets: vec![0],
            present: BooleanBufferBuilder::new(0),
        }
    }

    fn append(&mut self, map: &Map, text: &str, base: usize, scratch: &mut String) {
        for (key, value) in &map.entries {
            append_leaf(&mut self.keys, *key, text, base, scratch);
            append_leaf(&mut self.values, *value, text, base, scratch);
            self.entries += 1;
        }
        self.offsets.push(self.entries);
        self.present.append(map.present);
    }

    fn finish(&mut self, entries: &FieldRef) -> ArrayRef {
        let (keys, values) = (Arc::new(self.keys.finish()), Arc::new(self.values.finish()));
        let pairs = StructArray::new(map_entries(), vec![keys, values], None);
        let offsets = OffsetBuffer::new(std::mem::replace(&mut self.offsets, vec![0]).into());
        let present = NullBuffer::new(self.present.finish());
        self.entries = 0;
        Arc::new(MapArray::new(entries.clone(), offsets, pairs, Some(present), false))
    }
}

/// A batch stays far below two thousand million elements: its memory is bounded.
fn offset(len: usize) -> i32 {
    i32::try_from(len).expect("a batch has fewer than 2^31 elements")
}

fn strings(count: usize) -> Vec<StringBuilder> {
    (0..count).map(|_| StringBuilder::new()).collect()
}

fn list_nodes(node: &Node) -> Vec<&Node> {
    let nodes = node.members.iter().flat_map(|member| match &member.shape {
        Shape::Struct { node, .. } => list_nodes(node),
        Shape::List { node, .. } => vec![node],
        _ => Vec::new(),
    });
    nodes.collect()
}

#[inline]
fn append_leaf(column: &mut StringBuilder, leaf: Leaf, text: &str, base: usize, scratch: &mut String) {
    match leaf {
        Leaf::Absent => column.append_null(),
        Leaf::Plain(start, end) => column.append_value(&text[start - base..end - base]),
        Leaf::Escaped(start, end) => {
            scratch.clear();
            unescape(&text[start - base..end - base], scratch);
            column.append_value(scratch.as_str());
        }
    }
}

fn append_unless_empty(column: &mut StringBuilder, text: &str) {
    if text.is_empty() { column.append_null() } else { column.append_value(text) }
}

/// A batch of `schema` without rows, for tables that have no files.
pub(super) fn empty(schema: &Arc<Schema>) -> RecordBatch {
    let null = |field: &Arc<ArrowField>| new_null_array(field.data_type(), 0);
    RecordBatch::try_new(schema.clone(), schema.fields().iter().map(null).collect())
        .expect("empty columns of the schema's types")
}
