//! One record of a log file, taken apart in a single pass over its bytes.
//!
//! [`Row::parse`] checks the record's JSON and notes where each typed value stands; nothing is
//! copied until the record has proved whole. What a column can't give back exactly (an unknown
//! field, a number where a string is expected, a duplicate key) is noted with its place, so that
//! the row can keep it.

#![expect(
    clippy::inline_always,
    reason = "otherwise what a value is goes from one to the next through memory"
)]

use super::plan::{LeafKind, Node, Order, PLAN, Shape};
use crate::json::{Cursor, Invalid, Span, Type, unescape};

/// Where a scalar's text stands in the file, and how to read it.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) enum Leaf {
    #[default]
    Absent,
    /// The bytes are the text.
    Plain(usize, usize),
    /// The bytes are the inside of a JSON string with escapes.
    Escaped(usize, usize),
}

/// Whether the columns alone can give a value back.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Fidelity {
    Exact,
    /// It was `null`.
    Null,
    /// They can't: the raw value must be kept.
    Lossy,
}

/// Values that are not as CloudTrail documents them, by kind. Each is kept; this counts them.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Oddities {
    /// A value of another type than documented: a number for a string, `""` for an array.
    pub wrong_type: u64,
    /// The same key twice in one object that we type.
    pub duplicate_key: u64,
    /// A known field in another spelling of upper and lower case.
    pub other_case: u64,
    /// An `eventTime` that is no ISO 8601 time.
    pub unparseable_time: u64,
}

impl Oddities {
    /// All kinds together.
    pub fn total(&self) -> u64 {
        self.wrong_type + self.duplicate_key + self.other_case + self.unparseable_time
    }

    /// Adds the counts of `other`.
    pub fn add(&mut self, other: &Oddities) {
        self.wrong_type += other.wrong_type;
        self.duplicate_key += other.duplicate_key;
        self.other_case += other.other_case;
        self.unparseable_time += other.unparseable_time;
    }
}

/// A top-level member as it stands in the record.
#[derive(Debug, Clone, Copy)]
pub(super) struct Raw {
    pub(super) key: Place,
    pub(super) value: Place,
}

/// Offsets of the first byte, quotes included, and of the one behind the last.
type Place = (usize, usize);

#[derive(Debug, Clone, Copy)]
struct Seen {
    raw: Raw,
    fidelity: Fidelity,
    /// Spelled as CloudTrail spells it.
    canonical: bool,
}

impl Seen {
    /// Keeps the raw value beside the column: where two spellings of a name stand in one record,
    /// the column alone would not say which of them it has.
    fn keep(&mut self) {
        if self.fidelity == Fidelity::Exact {
            self.fidelity = Fidelity::Lossy;
        }
    }
}

/// A list of objects: which elements are there, and their leaves one element after the other.
#[derive(Debug, Default)]
pub(super) struct List {
    pub(super) present: bool,
    pub(super) elements: Vec<bool>,
    pub(super) leaves: Vec<Leaf>,
}

/// A map of text to text.
#[derive(Debug, Default)]
pub(super) struct Map {
    pub(super) present: bool,
    pub(super) entries: Vec<(Leaf, Leaf)>,
}

/// The places of one record's values. Used again for each record.
#[derive(Debug)]
pub(super) struct Row {
    pub(super) leaves: Vec<Leaf>,
    pub(super) present: Vec<bool>,
    pub(super) lists: Vec<List>,
    pub(super) maps: Vec<Map>,
    pub(super) oddities: Oddities,
    /// The slots of `leaves` that have been set; some of them twice, and some cleared again.
    filled: Vec<usize>,
    seen: Vec<Option<Seen>>,
    unknown: Vec<Raw>,
    duplicates: Vec<Raw>,
    order: Order,
}

impl Row {
    pub(super) fn new() -> Self {
        let plan = &*PLAN;
        Row {
            leaves: vec![Leaf::Absent; plan.leaves.len()],
            present: vec![false; plan.structs],
            lists: (0..plan.lists).map(|_| List::default()).collect(),
            maps: (0..plan.maps).map(|_| Map::default()).collect(),
            oddities: Oddities::default(),
            filled: Vec::new(),
            seen: vec![None; plan.root.members.len()],
            unknown: Vec::new(),
            duplicates: Vec::new(),
            order: Order::new(),
        }
    }

    /// Takes the record apart that `cursor` stands on. On an error the row means nothing.
    pub(super) fn parse(&mut self, cursor: &mut Cursor, bytes: &[u8]) -> Result<(), Invalid> {
        self.clear();
        cursor.expect(b'{', "expected a record")?;
        let (mut first, mut last) = (true, PLAN.root.beginning());
        while cursor.member(first)? {
            first = false;
            self.member(cursor, bytes, &mut last)?;
        }
        Ok(())
    }

    /// Whether the record that was parsed has what every CloudTrail record has.
    pub(super) fn looks_like_a_record(&self) -> bool {
        let has = |slot: usize| self.leaves[slot] != Leaf::Absent;
        has(PLAN.event_version) && (has(PLAN.event_time) || has(PLAN.event_id))
    }

    /// The slots whose leaves may have a value: all others are absent.
    pub(super) fn filled(&self) -> &[usize] {
        &self.filled
    }

    fn clear(&mut self) {
        for slot in self.filled.drain(..) {
            self.leaves[slot] = Leaf::Absent;
        }
        self.present.fill(false);
        self.lists.iter_mut().for_each(List::clear);
        self.maps.iter_mut().for_each(Map::clear);
        self.seen.fill(None);
        self.unknown.clear();
        self.duplicates.clear();
        self.oddities = Oddities::default();
    }

    #[inline]
    fn member(&mut self, cursor: &mut Cursor, bytes: &[u8], last: &mut usize) -> Result<(), Invalid> {
        let root = &PLAN.root;
        let start = cursor.at();
        if let Some(index) = root.known_key(cursor, &mut self.order, last)? {
            let key = (start, start + root.members[index].name.text().len() + 2);
            return self.known(cursor, bytes, key, index, true);
        }
        let key = cursor.any_key()?;
        match root.find_in_other_case(&bytes[key.inner()], key.kind) {
            Some(index) if self.seen[index].is_none() => {
                self.known(cursor, bytes, (key.start, key.end), index, false)
            }
            twin => {
                let value = cursor.value()?;
                self.unknown.push(Raw { key: (key.start, key.end), value: (value.start, value.end) });
                if let Some(seen) = twin.and_then(|index| self.seen[index].as_mut()) {
                    seen.keep();
                }
                Ok(())
            }
        }
    }

    #[inline(always)]
    fn known(
        &mut self,
        cursor: &mut Cursor,
        bytes: &[u8],
        key: Place,
        index: usize,
        canonical: bool,
    ) -> Result<(), Invalid> {
        let shape = &PLAN.root.members[index].shape;
        let earlier = self.seen[index].take();
        if let Some(earlier) = earlier {
            self.clear_shape(shape);
            self.set_aside(earlier);
        }
        self.oddities.other_case += u64::from(!canonical);
        cursor.peek();
        let value = cursor.at();
        let fidelity = self.field(cursor, bytes, shape)?;
        let raw = Raw { key, value: (value, cursor.at()) };
        let mut seen = Seen { raw, fidelity, canonical };
        if earlier.is_some_and(|earlier| !earlier.canonical) {
            seen.keep();
        }
        self.seen[index] = Some(seen);
        Ok(())
    }

    /// Keeps a value that a later one of the same name replaces: the last wins, as in most readers.
    fn set_aside(&mut self, earlier: Seen) {
        if earlier.canonical {
            self.oddities.duplicate_key += 1;
            self.duplicates.push(earlier.raw);
        } else {
            self.unknown.push(earlier.raw);
        }
    }

    fn clear_shape(&mut self, shape: &Shape) {
        match shape {
            Shape::Leaf { slot, .. } => self.leaves[*slot] = Leaf::Absent,
            Shape::List { slot, .. } => self.lists[*slot].clear(),
            Shape::Map { slot } => self.maps[*slot].clear(),
            Shape::Struct { slot, node } => {
                self.present[*slot] = false;
                node.members.iter().for_each(|member| self.clear_shape(&member.shape));
            }
        }
    }

    /// Passes a member's value.
    #[inline(always)]
    fn field(&mut self, cursor: &mut Cursor, bytes: &[u8], shape: &Shape) -> Result<Fidelity, Invalid> {
        let Shape::Leaf { slot, kind } = shape else { return self.typed(cursor, bytes, shape) };
        let span = cursor.value()?;
        let (leaf, fidelity) = self.leaf(span, *kind, bytes);
        self.leaves[*slot] = leaf;
        self.filled.push(*slot);
        Ok(fidelity)
    }

    fn typed(&mut self, cursor: &mut Cursor, bytes: &[u8], shape: &Shape) -> Result<Fidelity, Invalid> {
        match (shape, cursor.peek()) {
            (Shape::Struct { slot, node }, Some(b'{')) => {
                self.present[*slot] = true;
                self.members(cursor, bytes, node)
            }
            (Shape::List { slot, node }, Some(b'[')) => self.list(cursor, bytes, *slot, node),
            (Shape::Map { slot }, Some(b'{')) => self.map(cursor, bytes, *slot),
            _ => {
                let span = cursor.value()?;
                Ok(self.untyped(span))
            }
        }
    }

    /// A value that is no object, or no array, where one is expected.
    fn untyped(&mut self, span: Span) -> Fidelity {
        if span.kind == Type::Null {
            return Fidelity::Null;
        }
        self.oddities.wrong_type += 1;
        Fidelity::Lossy
    }

    /// The members of a typed object. Lossy if any of them is not exact: then all of it is kept.
    fn members(&mut self, cursor: &mut Cursor, bytes: &[u8], node: &Node) -> Result<Fidelity, Invalid> {
        cursor.expect(b'{', "expected an object")?;
        let (mut first, mut last, mut exact) = (true, node.beginning(), true);
        let mut seen = 0u64;
        while cursor.member(first)? {
            first = false;
            let found = node.known_key(cursor, &mut self.order, &mut last)?;
            let other = if found.is_none() { node.other_key(cursor, bytes)? } else { None };
            let Some(index) = found.or(other) else {
                cursor.value()?;
                exact = false;
                continue;
            };
            self.oddities.other_case += u64::from(other.is_some());
            if seen >> index & 1 == 1 {
                self.oddities.duplicate_key += 1;
                self.clear_shape(&node.members[index].shape);
                exact = false;
            }
            seen |= 1 << index;
            let fidelity = self.field(cursor, bytes, &node.members[index].shape)?;
            exact &= fidelity == Fidelity::Exact && found.is_some();
        }
        Ok(if exact { Fidelity::Exact } else { Fidelity::Lossy })
    }

    fn list(
        &mut self,
        cursor: &mut Cursor,
        bytes: &[u8],
        slot: usize,
        node: &Node,
    ) -> Result<Fidelity, Invalid> {
        // The elements' leaves go to a list of their own, so it leaves the row while it grows.
        let mut list = std::mem::take(&mut self.lists[slot]);
        list.present = true;
        let read = self.elements(cursor, bytes, node, &mut list);
        self.lists[slot] = list;
        read
    }

    fn elements(
        &mut self,
        cursor: &mut Cursor,
        bytes: &[u8],
        node: &Node,
        list: &mut List,
    ) -> Result<Fidelity, Invalid> {
        cursor.expect(b'[', "expected an array")?;
        let (mut first, mut exact) = (true, true);
        while cursor.element(first)? {
            first = false;
            let from = list.leaves.len();
            list.leaves.resize(from + node.members.len(), Leaf::Absent);
            let object = cursor.peek() == Some(b'{');
            list.elements.push(object);
            if object {
                exact &= self.element(cursor, bytes, node, &mut list.leaves[from..])?;
            } else {
                let span = cursor.value()?;
                exact &= self.untyped(span) == Fidelity::Null;
            }
        }
        Ok(if exact { Fidelity::Exact } else { Fidelity::Lossy })
    }

    fn element(
        &mut self,
        cursor: &mut Cursor,
        bytes: &[u8],
        node: &Node,
        leaves: &mut [Leaf],
    ) -> Result<bool, Invalid> {
        cursor.expect(b'{', "expected an object")?;
        let (mut first, mut last, mut exact) = (true, node.beginning(), true);
        while cursor.member(first)? {
            first = false;
            let found = node.known_key(cursor, &mut self.order, &mut last)?;
            let other = if found.is_none() { node.other_key(cursor, bytes)? } else { None };
            let span = cursor.value()?;
            let Some(index) = found.or(other) else {
                exact = false;
                continue;
            };
            self.oddities.other_case += u64::from(other.is_some());
            let twice = leaves[index] != Leaf::Absent;
            self.oddities.duplicate_key += u64::from(twice);
            let (leaf, fidelity) = self.leaf(span, LeafKind::Text, bytes);
            leaves[index] = leaf;
            exact &= fidelity == Fidelity::Exact && found.is_some() && !twice;
        }
        Ok(exact)
    }

    fn map(&mut self, cursor: &mut Cursor, bytes: &[u8], slot: usize) -> Result<Fidelity, Invalid> {
        cursor.expect(b'{', "expected an object")?;
        self.maps[slot].present = true;
        let (mut first, mut exact) = (true, true);
        while let Some(key) = cursor.key(first)? {
            first = false;
            let span = cursor.value()?;
            let (value, fidelity) = self.leaf(span, LeafKind::Text, bytes);
            let (name, spelled) = self.leaf(key, LeafKind::Text, bytes);
            exact &= fidelity != Fidelity::Lossy && spelled == Fidelity::Exact;
            let entries = &mut self.maps[slot].entries;
            let same = |entry: &(Leaf, Leaf)| entry.0.bytes(bytes) == name.bytes(bytes);
            match entries.iter().position(same) {
                None => entries.push((name, value)),
                Some(twin) => {
                    entries[twin].1 = value;
                    self.oddities.duplicate_key += 1;
                    exact = false;
                }
            }
        }
        Ok(if exact { Fidelity::Exact } else { Fidelity::Lossy })
    }

    #[inline(always)]
    fn leaf(&mut self, span: Span, kind: LeafKind, bytes: &[u8]) -> (Leaf, Fidelity) {
        let raw = Leaf::Plain(span.start, span.end);
        match (kind, span.kind) {
            (_, Type::Null) => (Leaf::Absent, Fidelity::Null),
            (LeafKind::Json, _) | (LeafKind::Flag, Type::True | Type::False) => (raw, Fidelity::Exact),
            (LeafKind::Text, Type::PlainString) => {
                (Leaf::Plain(span.start + 1, span.end - 1), Fidelity::Exact)
            }
            (LeafKind::Text, Type::EscapedString) => {
                let whole = std::str::from_utf8(&bytes[span.inner()])
                    .is_ok_and(|inside| !inside.contains("\\u") || unescape(inside, &mut String::new()));
                self.oddities.wrong_type += u64::from(!whole);
                let fidelity = if whole { Fidelity::Exact } else { Fidelity::Lossy };
                (Leaf::Escaped(span.start + 1, span.end - 1), fidelity)
            }
            (LeafKind::Flag, Type::PlainString) => {
                self.oddities.wrong_type += 1;
                (Leaf::Plain(span.start + 1, span.end - 1), Fidelity::Lossy)
            }
            _ => {
                self.oddities.wrong_type += 1;
                (raw, Fidelity::Lossy)
            }
        }
    }

    /// Writes the `unmapped` column's JSON to `out`; leaves it empty where the columns say it all.
    ///
    /// `text` is the record, which starts at offset `base` of the file.
    pub(super) fn unmapped(&self, text: &str, base: usize, out: &mut String) {
        out.clear();
        let lossy = |seen: &&Seen| seen.fidelity == Fidelity::Lossy || !seen.canonical;
        let known = self.seen.iter().flatten().filter(lossy).map(|seen| &seen.raw);
        for raw in known.chain(&self.unknown) {
            out.push(if out.is_empty() { '{' } else { ',' });
            write_raw(raw, text, base, out);
        }
        if !self.duplicates.is_empty() {
            out.push(if out.is_empty() { '{' } else { ',' });
            out.push('"');
            out.push_str(DUPLICATES);
            out.push_str("\":[");
            for (index, raw) in self.duplicates.iter().enumerate() {
                out.push_str(if index == 0 { "{" } else { ",{" });
                write_raw(raw, text, base, out);
                out.push('}');
            }
            out.push(']');
        }
        if !out.is_empty() {
            out.push('}');
        }
    }

    /// Writes the names of the fields that are `null` to `out`, comma-separated.
    pub(super) fn null_fields(&self, out: &mut String) {
        out.clear();
        for (seen, member) in self.seen.iter().zip(&PLAN.root.members) {
            if seen.is_some_and(|seen| seen.fidelity == Fidelity::Null && seen.canonical) {
                if !out.is_empty() {
                    out.push(',');
                }
                out.push_str(member.name.text());
            }
        }
    }
}

/// The member of `unmapped` that lists values which a later duplicate key replaced. No field of
/// CloudTrail's begins with a dollar sign.
pub(super) const DUPLICATES: &str = "$duplicates";

fn write_raw(raw: &Raw, text: &str, base: usize, out: &mut String) {
    out.push_str(&text[raw.key.0 - base..raw.key.1 - base]);
    out.push(':');
    out.push_str(&text[raw.value.0 - base..raw.value.1 - base]);
}

impl List {
    fn clear(&mut self) {
        self.present = false;
        self.elements.clear();
        self.leaves.clear();
    }
}

impl Map {
    fn clear(&mut self) {
        self.present = false;
        self.entries.clear();
    }
}

impl Leaf {
    fn bytes(self, bytes: &[u8]) -> &[u8] {
        match self {
            Leaf::Absent => &[],
            Leaf::Plain(start, end) | Leaf::Escaped(start, end) => &bytes[start..end],
        }
    }
}
