//! The names of members that are looked for.

/// A key that is looked for, made ready to be told from others by words instead of bytes.
#[derive(Debug, Clone, Copy)]
pub struct Name {
    text: &'static str,
    /// The name and the quote behind it, the first byte lowest; zeros behind that.
    words: [u64; 4],
    /// Which bits of `words` are its own.
    masks: [u64; 4],
}

/// Bytes of a [`Name`] and the quote behind it.
const NAME_BYTES: usize = 32;

impl Name {
    /// A name of less than 32 bytes, without quotes, backslashes or control characters.
    pub fn new(text: &'static str) -> Self {
        let (mut name, mut mask) = ([0; NAME_BYTES], [0; NAME_BYTES]);
        name[..text.len()].copy_from_slice(text.as_bytes());
        name[text.len()] = b'"';
        mask[..=text.len()].fill(0xFF);
        Name { text, words: words(&name), masks: words(&mask) }
    }

    /// The name.
    pub fn text(&self) -> &'static str {
        self.text
    }

    /// Whether `bytes` begin with it and a quote.
    #[inline]
    pub(super) fn begins(&self, bytes: &[u8]) -> bool {
        let Some(chunk) = bytes.first_chunk() else {
            return bytes.strip_prefix(self.text.as_bytes()).is_some_and(|rest| rest.starts_with(b"\""));
        };
        let words = words(chunk);
        let same = |place: usize| words[place] & self.masks[place] == self.words[place];
        same(0) && same(1) && same(2) && same(3)
    }
}

#[inline]
fn words(bytes: &[u8; NAME_BYTES]) -> [u64; 4] {
    let word = |place: usize| {
        let word = bytes[place * 8..].first_chunk();
        word.map_or(0, |word| u64::from_le_bytes(*word))
    };
    [word(0), word(1), word(2), word(3)]
}
