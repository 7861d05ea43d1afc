//! Where a string's plain text may end: found for 64 bytes at a time, and each byte is looked at once.

/// Bytes that are looked at together, one bit of a word each.
const BLOCK: usize = u64::BITS as usize;

/// The quotes, backslashes and control characters of the block that a cursor is in.
#[derive(Debug, Clone)]
pub(super) struct Stops {
    /// Which block of the text, from 0.
    block: usize,
    /// The lowest bit is the block's first byte.
    bits: u64,
}

impl Default for Stops {
    /// Of no block yet.
    fn default() -> Self {
        Stops { block: usize::MAX, bits: 0 }
    }
}

impl Stops {
    /// The offset of the first quote, backslash or control character from `at` on, or the text's end.
    #[inline(always)]
    pub(super) fn next(&mut self, bytes: &[u8], at: usize) -> usize {
        let ahead = self.bits >> (at % BLOCK);
        if at / BLOCK == self.block && ahead != 0 {
            return at + ahead.trailing_zeros() as usize;
        }
        self.next_behind(bytes, at)
    }

    /// The same where the next one is in a block behind the present one, or before it.
    fn next_behind(&mut self, bytes: &[u8], mut at: usize) -> usize {
        loop {
            let block = at / BLOCK;
            *self = Stops { block, bits: block_stops(bytes, block) };
            let ahead = self.bits >> (at % BLOCK);
            if ahead != 0 {
                return at + ahead.trailing_zeros() as usize;
            }
            at = (block + 1) * BLOCK;
        }
    }
}

/// The stops of a block. What it lacks at the text's end counts as stops.
#[inline]
fn block_stops(bytes: &[u8], block: usize) -> u64 {
    let rest = bytes.get(block * BLOCK..).unwrap_or_default();
    if let Some(whole) = rest.first_chunk() {
        return stops(whole);
    }
    let mut padded = [0; BLOCK];
    padded[..rest.len()].copy_from_slice(rest);
    stops(&padded)
}

/// Which bytes are stops. The compiler makes vector instructions of the first loop.
#[inline]
fn stops(block: &[u8; BLOCK]) -> u64 {
    let mut found = [0u8; BLOCK];
    for (found, &byte) in found.iter_mut().zip(block) {
        *found = u8::from(byte == b'"') | u8::from(byte == b'\\') | u8::from(byte < 0x20);
    }
    // The product has the lowest bits of the eight bytes side by side in its highest byte.
    const GATHER: u64 = 0x0102_0408_1020_4080;
    let (words, _) = found.as_chunks();
    let bits = |word: &[u8; 8]| u64::from_le_bytes(*word).wrapping_mul(GATHER) >> 56;
    words.iter().rev().fold(0, |all, word| all << 8 | bits(word))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn the_next_stop_is_that_of_a_plain_search(
            bytes in proptest::collection::vec(prop_oneof![8 => Just(b'a'), 1 => any::<u8>()], 0..300),
            ats in proptest::collection::vec(0usize..300, 1..20),
        ) {
            let mut stops = Stops::default();
            for at in ats.into_iter().filter(|&at| at <= bytes.len()) {
                let is_stop = |&byte: &u8| byte < 0x20 || byte == b'"' || byte == b'\\';
                let searched = bytes[at..].iter().position(is_stop).map_or(bytes.len(), |place| at + place);
                prop_assert_eq!(stops.next(&bytes, at), searched);
            }
        }
    }
}
