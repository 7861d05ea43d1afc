//! Where a string's plain text may end: found for a kilobyte in one go, and each byte is looked at once.

/// Bytes that one word tells of, one bit each.
const BLOCK: usize = u64::BITS as usize;

/// Blocks that are looked at in one go: what one of them takes, the processor does while it waits for another.
const WINDOW: usize = 16;

/// No text has a block there, nor so near before it that the window would show one.
const NOWHERE: usize = usize::MAX / 2;

/// The quotes, backslashes and control characters around a cursor.
#[derive(Debug, Clone)]
pub(super) struct Stops {
    /// The first block of the window, counted from the text's beginning.
    first: usize,
    /// One word a block; its lowest bit is the block's first byte.
    window: [u64; WINDOW],
}

impl Default for Stops {
    /// A window on nothing yet.
    fn default() -> Self {
        Stops { first: NOWHERE, window: [0; WINDOW] }
    }
}

impl Stops {
    /// The offset of the first quote, backslash or control character from `at` on, or the text's end.
    #[inline(always)]
    pub(super) fn next(&mut self, bytes: &[u8], at: usize) -> usize {
        let place = (at / BLOCK).wrapping_sub(self.first);
        let ahead = self.window.get(place).map_or(0, |stops| stops >> (at % BLOCK));
        if ahead != 0 { at + ahead.trailing_zeros() as usize } else { self.next_behind(bytes, at) }
    }

    /// The same where the next one is in a block behind, or the window does not show it.
    fn next_behind(&mut self, bytes: &[u8], mut at: usize) -> usize {
        loop {
            let block = at / BLOCK;
            if block.wrapping_sub(self.first) >= WINDOW {
                self.look(bytes, block);
            }
            let ahead = self.window[block - self.first] >> (at % BLOCK);
            if ahead != 0 {
                return at + ahead.trailing_zeros() as usize;
            }
            at = (block + 1) * BLOCK;
        }
    }

    /// Moves the window to where `block` is its first.
    #[inline(never)]
    fn look(&mut self, bytes: &[u8], block: usize) {
        self.first = block;
        let (whole, rest) = bytes.get(block * BLOCK..).unwrap_or_default().as_chunks();
        for (found, block) in self.window.iter_mut().zip(whole) {
            *found = stops(block);
        }
        if let Some(found) = self.window.get_mut(whole.len()) {
            // What the last block lacks counts as stops.
            let mut padded = [0; BLOCK];
            padded[..rest.len()].copy_from_slice(rest);
            *found = stops(&padded);
        }
    }
}

/// A word's product with it has the lowest bits of the word's eight bytes side by side in its highest byte.
const GATHER: u64 = 0x0102_0408_1020_4080;

/// Which bytes are stops. The compiler makes vector instructions of the first loop.
#[inline]
fn stops(block: &[u8; BLOCK]) -> u64 {
    let mut found = [0u8; BLOCK];
    for (found, &byte) in found.iter_mut().zip(block) {
        *found = u8::from(byte == b'"') | u8::from(byte == b'\\') | u8::from(byte < 0x20);
    }
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
