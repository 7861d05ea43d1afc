//! Texts that repeat, each kept once and told by a number.

#![expect(clippy::cast_possible_truncation, reason = "hashes are cut to the half that is used")]

use std::hash::BuildHasher;
use std::hash::RandomState;
use std::ops::Range;
use std::sync::{Arc, LazyLock};

use arrow::array::StringArray;
use arrow::buffer::{Buffer, OffsetBuffer, ScalarBuffer};

/// Numbers texts in the order in which they are first met.
#[derive(Debug)]
pub(super) struct Interner {
    /// Nobody outside knows them, so that nobody can prepare texts whose hashes collide.
    seeds: [u64; 2],
    texts: String,
    /// Where each text ends; it begins where the one before it ends.
    ends: Vec<u32>,
    /// Half of a text's hash and its number plus one, or 0 where nothing is: as many as a power of two.
    slots: Vec<u64>,
    /// How many texts were asked for.
    asked: usize,
    last: u32,
}

/// As many slots as an interner begins with.
const FEWEST_SLOTS: usize = 64;

/// As many slots as an interner keeps for the next texts.
const MOST_KEPT_SLOTS: usize = 1 << 16;

/// From so many different texts on, they must repeat to be worth their numbers.
const MANY: usize = 2048;

/// How many slots may be looked at for one text: with a fair hash and half of the slots empty it is never
/// reached. Log files are anybody's, and nobody shall make each look-up dearer than the one before.
const MOST_PROBES: usize = 128;

static SEEDS: LazyLock<[u64; 2]> =
    LazyLock::new(|| [1, 2].map(|seed: u64| RandomState::new().hash_one(seed)));

impl Default for Interner {
    fn default() -> Self {
        Interner { seeds: *SEEDS, texts: String::new(), ends: vec![], slots: vec![], asked: 0, last: 0 }
    }
}

impl Interner {
    /// The number of a text. `None` if texts are not worth numbers here: nearly each of them is a new one.
    #[inline]
    pub(super) fn intern(&mut self, text: &str) -> Option<u32> {
        self.asked += 1;
        if self.asked > 1 && self.bytes(self.last) == text.as_bytes() {
            return Some(self.last);
        }
        self.last = self.find_or_add(text)?;
        Some(self.last)
    }

    fn find_or_add(&mut self, text: &str) -> Option<u32> {
        if self.ends.len() * 2 >= self.slots.len() {
            self.grow()?;
        }
        let hash = hash(text.as_bytes(), self.seeds) >> 32;
        let mask = self.slots.len() - 1;
        for probe in 0..MOST_PROBES {
            let at = (hash as usize + probe) & mask;
            let slot = self.slots[at];
            if slot == 0 {
                let end = i32::try_from(self.texts.len() + text.len()).ok()?;
                let number = self.ends.len() as u32;
                self.texts.push_str(text);
                self.ends.push(end.cast_unsigned());
                self.slots[at] = hash << 32 | u64::from(number + 1);
                return Some(number);
            }
            let number = slot as u32 - 1;
            if slot >> 32 == hash && self.bytes(number) == text.as_bytes() {
                return Some(number);
            }
        }
        None
    }

    /// Makes room for twice as many texts, unless these repeat too little.
    fn grow(&mut self) -> Option<()> {
        let texts = self.ends.len();
        if texts >= MANY && texts * 4 > self.asked * 3 {
            return None;
        }
        let length = (self.slots.len() * 2).max(FEWEST_SLOTS);
        let old = std::mem::replace(&mut self.slots, vec![0; length]);
        for slot in old.into_iter().filter(|slot| *slot != 0) {
            let mut at = (slot >> 32) as usize & (length - 1);
            while self.slots[at] != 0 {
                at = (at + 1) & (length - 1);
            }
            self.slots[at] = slot;
        }
        Some(())
    }

    fn bytes(&self, number: u32) -> &[u8] {
        &self.texts.as_bytes()[self.place(number)]
    }

    /// The text that has a number.
    pub(super) fn text(&self, number: u32) -> &str {
        &self.texts[self.place(number)]
    }

    #[inline]
    fn place(&self, number: u32) -> Range<usize> {
        let number = number as usize;
        let start = if number == 0 { 0 } else { self.ends[number - 1] };
        start as usize..self.ends[number] as usize
    }

    /// Hands over the texts by their numbers, and starts anew.
    pub(super) fn finish(&mut self) -> Arc<StringArray> {
        let offsets: Vec<i32> = std::iter::once(0).chain(self.ends.drain(..).map(u32::cast_signed)).collect();
        let next = String::with_capacity(self.texts.len());
        let texts = std::mem::replace(&mut self.texts, next);
        if self.slots.len() > MOST_KEPT_SLOTS {
            self.slots = Vec::new();
        }
        self.slots.fill(0);
        (self.asked, self.last) = (0, 0);
        let offsets = OffsetBuffer::new(ScalarBuffer::from(offsets));
        Arc::new(StringArray::new(offsets, Buffer::from(texts.into_bytes()), None))
    }
}

/// A hash of 16 bytes a step, each of which multiplies its halves: fast for texts of a hundred bytes.
fn hash(bytes: &[u8], seeds: [u64; 2]) -> u64 {
    let mut hash = seeds[0] ^ bytes.len() as u64;
    let mut rest = bytes;
    while let Some((pair, behind)) = rest.split_first_chunk::<16>() {
        hash = multiplied(word(&pair[..8]) ^ hash, word(&pair[8..]) ^ seeds[1]);
        rest = behind;
    }
    let (low, high) = match rest.len() {
        0 => (0, 0),
        // The two words may overlap: together they have all bytes.
        8.. => (word(&rest[..8]), word(&rest[rest.len() - 8..])),
        4..=7 => (half(&rest[..4]), half(&rest[rest.len() - 4..])),
        length => (u64::from(rest[0]) | u64::from(rest[length / 2]) << 8, u64::from(rest[length - 1])),
    };
    multiplied(multiplied(low ^ hash, high ^ seeds[1]), 0x9E37_79B9_7F4A_7C15 ^ seeds[0])
}

fn multiplied(one: u64, other: u64) -> u64 {
    let product = u128::from(one) * u128::from(other);
    product as u64 ^ (product >> 64) as u64
}

fn word(bytes: &[u8]) -> u64 {
    u64::from_le_bytes(bytes.try_into().expect("eight bytes"))
}

fn half(bytes: &[u8]) -> u64 {
    u64::from(u32::from_le_bytes(bytes.try_into().expect("four bytes")))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn a_number_stands_for_one_text(texts in prop::collection::vec("[a-c]{0,3}|[a-z]{7,40}|.{0,20}", 0..400)) {
            let mut interner = Interner::default();
            for _ in 0..2 {
                let numbers: Vec<u32> = texts.iter().map(|text| interner.intern(text).unwrap()).collect();
                for (number, text) in numbers.iter().zip(&texts) {
                    prop_assert_eq!(interner.text(*number), text);
                }
                let different: std::collections::HashSet<_> = texts.iter().collect();
                let kept = interner.finish();
                prop_assert_eq!(kept.iter().flatten().collect::<Vec<_>>().len(), different.len());
                for (number, text) in numbers.iter().zip(&texts) {
                    prop_assert_eq!(kept.value(*number as usize), text);
                }
            }
        }
    }

    #[test]
    fn texts_of_each_length_have_hashes_of_their_own() {
        let texts = (0..100).flat_map(|length| ["a".repeat(length), "\0".repeat(length)]);
        let hashes: std::collections::HashSet<u64> =
            texts.map(|text| hash(text.as_bytes(), [3, 5])).collect();
        assert_eq!(hashes.len(), 199);
    }

    #[test]
    fn texts_whose_hashes_collide_are_given_up_before_they_cost_much() {
        // With these seeds the second half takes the first half out of the hash.
        let mut interner = Interner { seeds: [0, 0], ..Interner::default() };
        let texts = (0..).map(|index| format!("{index:08}\0\0\0\0\0\0\0\0"));
        assert_eq!(texts.map_while(|text| interner.intern(&text)).count(), MOST_PROBES);
    }

    #[test]
    fn texts_are_given_up_only_if_they_do_not_repeat() {
        let mut interner = Interner::default();
        assert_eq!((0..).map_while(|index| interner.intern(&format!("{index}"))).count(), MANY);
        let mut interner = Interner::default();
        assert!((0..500_000).all(|index| interner.intern(&format!("{}", index / 2)).is_some()));
    }
}
