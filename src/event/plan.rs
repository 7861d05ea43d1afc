//! Which value of a record goes where: the schema's table as a tree of numbered slots.

#![expect(
    clippy::inline_always,
    reason = "otherwise what a value is goes from one to the next through memory"
)]

use std::sync::LazyLock;

use super::schema::{Field, Kind, RECORD};
use crate::json::{Cursor, Invalid, Name, Type, unescape};

/// How the members of an object fill the slots of a [`Row`].
#[derive(Debug)]
pub(super) struct Node {
    pub(super) members: Vec<Member>,
    /// Where its part of an [`Order`] begins.
    order: usize,
}

#[derive(Debug)]
pub(super) struct Member {
    pub(super) name: Name,
    pub(super) shape: Shape,
}

#[derive(Debug)]
pub(super) enum Shape {
    /// Index into [`Row::leaves`].
    Leaf { slot: usize, kind: LeafKind },
    /// Index into [`Row::present`].
    Struct { slot: usize, node: Node },
    /// Index into [`Row::lists`]; the members are leaves, with slots from 0.
    List { slot: usize, node: Node },
    /// Index into [`Row::maps`].
    Map { slot: usize },
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum LeafKind {
    Text,
    Flag,
    Json,
}

/// The slots of a record.
#[derive(Debug)]
pub(super) struct Plan {
    pub(super) root: Node,
    /// What the leaf of each slot is.
    pub(super) leaves: Vec<LeafKind>,
    pub(super) structs: usize,
    pub(super) lists: usize,
    pub(super) maps: usize,
    /// Length of an [`Order`].
    order: usize,
    /// The slot of `eventTime`.
    pub(super) event_time: usize,
    /// The slot of `eventVersion`.
    pub(super) event_version: usize,
    /// The slot of `eventID`.
    pub(super) event_id: usize,
}

pub(super) static PLAN: LazyLock<Plan> = LazyLock::new(|| {
    let mut plan = Plan {
        root: Node { members: Vec::new(), order: 0 },
        leaves: Vec::new(),
        structs: 0,
        lists: 0,
        maps: 0,
        order: 0,
        event_time: 0,
        event_version: 0,
        event_id: 0,
    };
    let root = plan.node(RECORD);
    let slot_of = |name| match root.members.iter().find(|member| member.name.text() == name).map(|m| &m.shape)
    {
        Some(Shape::Leaf { slot, .. }) => *slot,
        _ => unreachable!("{name} is a top-level scalar"),
    };
    (plan.event_time, plan.event_version) = (slot_of("eventTime"), slot_of("eventVersion"));
    plan.event_id = slot_of("eventID");
    plan.root = root;
    plan
});

impl Plan {
    fn node(&mut self, fields: &'static [Field]) -> Node {
        let members =
            fields.iter().map(|field| Member { name: Name::new(field.name), shape: self.shape(&field.kind) });
        let members = members.collect();
        self.numbered(members)
    }

    fn numbered(&mut self, members: Vec<Member>) -> Node {
        let order = self.order;
        self.order += members.len() + 1;
        Node { members, order }
    }

    fn shape(&mut self, kind: &'static Kind) -> Shape {
        match kind {
            Kind::Text => self.leaf(LeafKind::Text),
            Kind::Flag => self.leaf(LeafKind::Flag),
            Kind::Json => self.leaf(LeafKind::Json),
            Kind::Struct(fields) => {
                let slot = next(&mut self.structs);
                Shape::Struct { slot, node: self.node(fields) }
            }
            Kind::List(fields) => {
                let leaf = |(slot, field): (usize, &Field)| Member {
                    name: Name::new(field.name),
                    shape: Shape::Leaf { slot, kind: LeafKind::Text },
                };
                let node = self.numbered(fields.iter().enumerate().map(leaf).collect());
                Shape::List { slot: next(&mut self.lists), node }
            }
            Kind::Map => Shape::Map { slot: next(&mut self.maps) },
        }
    }

    fn leaf(&mut self, kind: LeafKind) -> Shape {
        self.leaves.push(kind);
        Shape::Leaf { slot: self.leaves.len() - 1, kind }
    }
}

fn next(counter: &mut usize) -> usize {
    *counter += 1;
    *counter - 1
}

/// Which member of an object has stood behind which: the next record is likely to have the same order.
///
/// Each node has a part of its own, with one place for each member and one for the beginning.
#[derive(Debug)]
pub(super) struct Order(Vec<usize>);

impl Order {
    /// Expects nothing yet.
    pub(super) fn new() -> Self {
        Order(vec![0; PLAN.order])
    }
}

impl Node {
    /// What is the last member before the first.
    pub(super) fn beginning(&self) -> usize {
        self.members.len()
    }

    /// Passes the key that the cursor stands on if a member has just that name, and says which. Otherwise it
    /// passes nothing.
    ///
    /// `last` is the member before it, and becomes this one.
    #[inline(always)]
    pub(super) fn known_key(
        &self,
        cursor: &mut Cursor,
        order: &mut Order,
        last: &mut usize,
    ) -> Result<Option<usize>, Invalid> {
        let expected = &mut order.0[self.order + *last];
        if !cursor.is_at_key(&self.members[*expected].name) {
            let Some(found) = self.find(cursor) else { return Ok(None) };
            *expected = found;
        }
        *last = *expected;
        cursor.known_key(&self.members[*last].name)?;
        Ok(Some(*last))
    }

    fn find(&self, cursor: &Cursor) -> Option<usize> {
        self.members.iter().position(|member| cursor.is_at_key(&member.name))
    }

    /// Passes any key; says which member it names in another spelling.
    #[cold]
    pub(super) fn other_key(&self, cursor: &mut Cursor, bytes: &[u8]) -> Result<Option<usize>, Invalid> {
        let key = cursor.any_key()?;
        Ok(self.find_in_other_case(&bytes[key.inner()], key.kind))
    }

    /// The member whose name differs from `key` in upper and lower case only, or in its escapes.
    #[cold]
    pub(super) fn find_in_other_case(&self, key: &[u8], kind: Type) -> Option<usize> {
        let key = std::str::from_utf8(key).ok()?;
        let mut plain = String::new();
        if kind == Type::EscapedString {
            unescape(key, &mut plain);
        } else {
            plain.push_str(key);
        }
        self.members.iter().position(|member| member.name.text().eq_ignore_ascii_case(&plain))
    }
}
