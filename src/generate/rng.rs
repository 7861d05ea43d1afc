//! A small seeded random number generator.
//!
//! The bytes of sample-logs hang on it, so it is ours and does not change with a crate's version. It is
//! no cryptographic generator and makes no secrets.

/// Xoshiro256**, seeded by `SplitMix64`.
#[derive(Debug, Clone)]
pub(super) struct Rng([u64; 4]);

impl Rng {
    /// Makes the generator of one stream. Each account, region and slot draws from its own, so that a
    /// change in one place leaves the others as they were.
    pub(super) fn new(seed: u64, stream: &[u64]) -> Self {
        let mut state = seed;
        for part in stream {
            state = split_mix(&mut state) ^ part.wrapping_mul(0xd6e8_feb8_6659_fd93);
        }
        Self(std::array::from_fn(|_| split_mix(&mut state)))
    }

    /// Draws 64 bits.
    pub(super) fn next(&mut self) -> u64 {
        let [a, b, c, d] = &mut self.0;
        let result = b.wrapping_mul(5).rotate_left(7).wrapping_mul(9);
        let shifted = *b << 17;
        *c ^= *a;
        *d ^= *b;
        *b ^= *c;
        *a ^= *d;
        *c ^= shifted;
        *d = d.rotate_left(45);
        result
    }

    /// Draws a number below `limit`, which must not be zero.
    pub(super) fn below(&mut self, limit: u64) -> u64 {
        let product = u128::from(self.next()) * u128::from(limit);
        u64::try_from(product >> 64).unwrap_or(0)
    }

    /// Draws an index into something of that length.
    pub(super) fn index(&mut self, length: usize) -> usize {
        usize::try_from(self.below(length as u64)).unwrap_or(0)
    }

    /// Draws a number of seconds below `limit`.
    pub(super) fn seconds(&mut self, limit: u64) -> i64 {
        i64::try_from(self.below(limit)).unwrap_or(0)
    }

    /// Draws one of several.
    pub(super) fn pick<'a, T: ?Sized>(&mut self, from: &[&'a T]) -> &'a T {
        from[self.index(from.len())]
    }

    /// Is true in one of `n` cases.
    pub(super) fn one_in(&mut self, n: u64) -> bool {
        self.below(n) == 0
    }

    /// Draws an index by weight.
    pub(super) fn weighted(&mut self, weights: impl Iterator<Item = u64> + Clone) -> usize {
        let mut left = self.below(weights.clone().sum::<u64>().max(1));
        for (index, weight) in weights.enumerate() {
            if left < weight {
                return index;
            }
            left -= weight;
        }
        0
    }

    /// Appends lower-case hex digits.
    pub(super) fn push_hex(&mut self, out: &mut String, digits: usize) {
        self.push_digits(out, digits, b"0123456789abcdef", 4);
    }

    /// Appends letters and digits as in the unique part of a log file's name.
    pub(super) fn push_alphanumeric(&mut self, out: &mut String, length: usize) {
        const ALPHABET: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789aZ";
        self.push_digits(out, length, ALPHABET, 6);
    }

    /// Appends upper-case letters and digits as in S3's request ids.
    pub(super) fn push_base32(&mut self, out: &mut String, length: usize) {
        self.push_digits(out, length, b"ABCDEFGHJKMNPQRSTVWXYZ0123456789", 5);
    }

    /// Appends a UUID of version 4.
    pub(super) fn push_uuid(&mut self, out: &mut String) {
        for (index, digits) in [8, 4, 3, 3, 12].into_iter().enumerate() {
            match index {
                0 => {}
                2 => out.push_str("-4"),
                3 => out.push_str(["-8", "-9", "-a", "-b"][self.index(4)]),
                _ => out.push('-'),
            }
            self.push_hex(out, digits);
        }
    }

    fn push_digits(&mut self, out: &mut String, count: usize, alphabet: &[u8], bits: usize) {
        let mut left = count;
        while left > 0 {
            let mut word = self.next();
            for _ in 0..left.min(64 / bits) {
                #[expect(clippy::cast_possible_truncation, reason = "masked to the alphabet's length")]
                let at = (word as usize) & (alphabet.len() - 1);
                out.push(char::from(alphabet[at]));
                word >>= bits;
            }
            left -= left.min(64 / bits);
        }
    }
}

fn split_mix(state: &mut u64) -> u64 {
    *state = state.wrapping_add(0x9e37_79b9_7f4a_7c15);
    let mut mixed = *state;
    mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    mixed ^ (mixed >> 31)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn streams_are_repeatable_and_differ() {
        let draw = |seed, stream: &[u64]| Rng::new(seed, stream).next();
        assert_eq!(draw(1, &[2, 3]), draw(1, &[2, 3]));
        let all = [draw(1, &[2, 3]), draw(1, &[3, 2]), draw(2, &[2, 3]), draw(1, &[2])];
        assert!((0..4).all(|i| (0..i).all(|j| all[i] != all[j])));
    }

    #[test]
    fn draws_stay_in_range_and_reach_all_of_it() {
        let mut rng = Rng::new(7, &[]);
        let mut seen = [0_u32; 5];
        for _ in 0..1000 {
            seen[rng.index(5)] += 1;
        }
        assert!(seen.iter().all(|&count| count > 100), "{seen:?}");
        let picked: Vec<usize> = (0..100).map(|_| rng.weighted([0, 1, 3].into_iter())).collect();
        assert!(!picked.contains(&0) && picked.contains(&1) && picked.contains(&2));
    }

    #[test]
    fn a_uuid_has_its_form() {
        let mut text = String::new();
        Rng::new(1, &[]).push_uuid(&mut text);
        let lengths: Vec<usize> = text.split('-').map(str::len).collect();
        assert_eq!(lengths, [8, 4, 4, 4, 12]);
        assert_eq!(text.as_bytes()[14], b'4');
    }
}
