//! Reads JSON text where it stands: no tree is built, and nothing is copied.
//!
//! `None` means that the text is not JSON. Whatever is passed over is checked all the same, for Trino
//! answers NULL as soon as it meets an error, and reads no further than the value that it looks for.

use std::borrow::Cow;

/// Deeper values are refused: Trino's parser stops at 1000.
const DEEPEST: usize = 1000;

/// A place in a JSON text: before a value, or between the tokens of a container.
pub(in super::super) struct Reader<'a> {
    text: &'a str,
    at: usize,
    /// Whether all that was passed since it was set is spelled as Trino would spell it.
    canonical: bool,
}

impl<'a> Reader<'a> {
    pub(in super::super) fn new(text: &'a str) -> Self {
        Self { text, at: 0, canonical: true }
    }

    /// The next byte that is not blank.
    pub(in super::super) fn peek(&mut self) -> Option<u8> {
        let bytes = self.text.as_bytes();
        while matches!(bytes.get(self.at), Some(b' ' | b'\t' | b'\n' | b'\r')) {
            self.at += 1;
            self.canonical = false;
        }
        bytes.get(self.at).copied()
    }

    /// Passes `byte`.
    pub(in super::super) fn expect(&mut self, byte: u8) -> Option<()> {
        (self.peek()? == byte).then(|| self.at += 1)
    }

    /// Whether `byte` comes next; passes it if so.
    pub(in super::super) fn next_is(&mut self, byte: u8) -> Option<bool> {
        let found = self.peek()? == byte;
        self.at += usize::from(found);
        Some(found)
    }

    /// Whether nothing is left.
    pub(in super::super) fn is_at_end(&mut self) -> bool {
        self.peek().is_none()
    }

    /// Passes one whole value, and returns its text.
    pub(in super::super) fn value(&mut self) -> Option<&'a str> {
        self.peek()?;
        let start = self.at;
        self.pass()?;
        Some(&self.text[start..self.at])
    }

    /// As `value`, and whether the text is spelled as Trino would spell it.
    pub(in super::super) fn spelled_value(&mut self) -> Option<(&'a str, bool)> {
        self.peek()?;
        self.canonical = true;
        let text = self.value()?;
        Some((text, self.canonical))
    }

    /// Passes a string, and returns it with its quotes.
    pub(in super::super) fn string(&mut self) -> Option<&'a str> {
        let start = self.at;
        self.pass_string()?;
        Some(&self.text[start..self.at])
    }

    /// Passes a key and its colon, and returns the key with its quotes.
    pub(in super::super) fn key(&mut self) -> Option<&'a str> {
        (self.peek()? == b'"').then_some(())?;
        let key = self.string()?;
        self.expect(b':')?;
        Some(key)
    }

    /// Moves from the beginning of an object to the value of `key`, the first of that name.
    pub(in super::super) fn member(&mut self, key: &str) -> Option<()> {
        self.expect(b'{')?;
        if self.peek()? == b'}' {
            return None;
        }
        loop {
            if self.next_key_is(key)? {
                return Some(());
            }
            self.peek()?;
            self.pass()?;
            self.expect(b',')?;
        }
    }

    /// Moves from the beginning of an array to the element `index`.
    pub(in super::super) fn element(&mut self, index: usize) -> Option<()> {
        self.expect(b'[')?;
        if self.peek()? == b']' {
            return None;
        }
        for _ in 0..index {
            self.peek()?;
            self.pass()?;
            self.expect(b',')?;
        }
        Some(())
    }

    /// Passes a key and its colon, and says whether it is `key`.
    fn next_key_is(&mut self, key: &str) -> Option<bool> {
        (self.peek()? == b'"').then_some(())?;
        let start = self.at;
        let is_escaped = self.pass_string()?;
        let end = self.at;
        self.expect(b':')?;
        if is_escaped {
            return Some(unquote(&self.text[start..end]) == key);
        }
        Some(&self.text.as_bytes()[start + 1..end - 1] == key.as_bytes())
    }

    fn pass(&mut self) -> Option<()> {
        match self.text.as_bytes().get(self.at)? {
            b'{' | b'[' => self.pass_container(),
            _ => self.pass_scalar(),
        }
    }

    fn pass_container(&mut self) -> Option<()> {
        let mut open = Open::default();
        loop {
            match self.peek()? {
                b'{' => {
                    self.at += 1;
                    if !self.next_is(b'}')? {
                        open.push(true)?;
                        self.pass_key()?;
                        continue;
                    }
                }
                b'[' => {
                    self.at += 1;
                    if !self.next_is(b']')? {
                        open.push(false)?;
                        continue;
                    }
                }
                _ => self.pass_scalar()?,
            }
            if self.close(&mut open)? {
                return Some(());
            }
        }
    }

    /// What may follow a value: moves to the next one, or returns true after the last bracket.
    fn close(&mut self, open: &mut Open) -> Option<bool> {
        while let Some(is_object) = open.top() {
            match self.peek()? {
                b',' => {
                    self.at += 1;
                    if is_object {
                        self.pass_key()?;
                    }
                    return Some(false);
                }
                b'}' if is_object => open.pop(),
                b']' if !is_object => open.pop(),
                _ => return None,
            }
            self.at += 1;
        }
        Some(true)
    }

    fn pass_key(&mut self) -> Option<()> {
        (self.peek()? == b'"').then_some(())?;
        self.pass_string()?;
        self.expect(b':')
    }

    fn pass_scalar(&mut self) -> Option<()> {
        match self.text.as_bytes().get(self.at)? {
            b'"' => self.pass_string().map(|_| ()),
            b't' => self.pass_word("true"),
            b'f' => self.pass_word("false"),
            b'n' => self.pass_word("null"),
            _ => self.pass_number(),
        }
    }

    fn pass_word(&mut self, word: &str) -> Option<()> {
        self.text.as_bytes()[self.at..].starts_with(word.as_bytes()).then_some(())?;
        self.at += word.len();
        self.scalar_ends()
    }

    fn pass_number(&mut self) -> Option<()> {
        let bytes = self.text.as_bytes();
        let start = self.at;
        self.at += usize::from(bytes.get(self.at) == Some(&b'-'));
        if bytes.get(self.at) == Some(&b'0') {
            self.at += 1;
            self.canonical &= start + 1 == self.at;
        } else {
            self.pass_digits()?;
        }
        if bytes.get(self.at) == Some(&b'.') {
            self.canonical = false;
            self.at += 1;
            self.pass_digits()?;
        }
        if matches!(bytes.get(self.at), Some(b'e' | b'E')) {
            self.canonical = false;
            self.at += 1;
            self.at += usize::from(matches!(bytes.get(self.at), Some(b'+' | b'-')));
            self.pass_digits()?;
        }
        self.scalar_ends()
    }

    fn pass_digits(&mut self) -> Option<()> {
        let bytes = self.text.as_bytes();
        let start = self.at;
        while bytes.get(self.at).is_some_and(u8::is_ascii_digit) {
            self.at += 1;
        }
        (self.at > start).then_some(())
    }

    fn scalar_ends(&self) -> Option<()> {
        let next = self.text.as_bytes().get(self.at);
        matches!(next, None | Some(b' ' | b'\t' | b'\n' | b'\r' | b',' | b'}' | b']')).then_some(())
    }

    /// Passes a string, and says whether anything is escaped in it.
    fn pass_string(&mut self) -> Option<bool> {
        let bytes = self.text.as_bytes();
        let mut at = self.at + 1;
        let mut is_escaped = false;
        loop {
            at = next_special(bytes, at);
            match bytes.get(at)? {
                b'"' => break,
                b'\\' => {
                    is_escaped = true;
                    at = after_escape(bytes, at)?;
                }
                0..0x20 => return None,
                _ => at += 1,
            }
        }
        self.at = at + 1;
        self.canonical &= !is_escaped;
        Some(is_escaped)
    }
}

/// Passes whole words of a string that hold neither a quote, a backslash nor a control character.
fn next_special(bytes: &[u8], mut at: usize) -> usize {
    const ONES: u64 = u64::MAX / 255;
    const HIGH: u64 = ONES * 128;
    let zero = |word: u64| word.wrapping_sub(ONES) & !word & HIGH;
    while let Some(chunk) = bytes.get(at..).and_then(|rest| rest.first_chunk::<8>()) {
        let word = u64::from_le_bytes(*chunk);
        let control = word.wrapping_sub(ONES * 0x20) & !word & HIGH;
        let special =
            control | zero(word ^ (ONES * u64::from(b'"'))) | zero(word ^ (ONES * u64::from(b'\\')));
        if special != 0 {
            return at + special.trailing_zeros() as usize / 8;
        }
        at += 8;
    }
    at
}

fn after_escape(bytes: &[u8], at: usize) -> Option<usize> {
    match bytes.get(at + 1)? {
        b'"' | b'\\' | b'/' | b'b' | b'f' | b'n' | b'r' | b't' => Some(at + 2),
        b'u' => bytes.get(at + 2..at + 6)?.iter().all(u8::is_ascii_hexdigit).then_some(at + 6),
        _ => None,
    }
}

/// The containers that are open, a bit for each: set for an object.
struct Open {
    bits: [u64; DEEPEST.div_ceil(64)],
    depth: usize,
}

impl Default for Open {
    fn default() -> Self {
        Self { bits: [0; DEEPEST.div_ceil(64)], depth: 0 }
    }
}

impl Open {
    fn push(&mut self, is_object: bool) -> Option<()> {
        if self.depth == DEEPEST {
            return None;
        }
        let mask = 1 << (self.depth % 64);
        let bits = &mut self.bits[self.depth / 64];
        *bits = if is_object { *bits | mask } else { *bits & !mask };
        self.depth += 1;
        Some(())
    }

    fn top(&self) -> Option<bool> {
        let last = self.depth.checked_sub(1)?;
        Some((self.bits[last / 64] >> (last % 64)) & 1 == 1)
    }

    fn pop(&mut self) {
        self.depth -= 1;
    }
}

/// What a string says that was read with its quotes.
pub(in super::super) fn unquote(quoted: &str) -> Cow<'_, str> {
    let inner = &quoted[1..quoted.len() - 1];
    if !inner.contains('\\') {
        return Cow::Borrowed(inner);
    }
    let mut out = String::with_capacity(inner.len());
    let mut rest = inner;
    while let Some(at) = rest.find('\\') {
        out.push_str(&rest[..at]);
        let (c, length) = escaped(&rest[at..]);
        out.push(c);
        rest = &rest[at + length..];
    }
    out.push_str(rest);
    Cow::Owned(out)
}

/// The character of the escape with which `text` begins, and its length. Half of a surrogate pair
/// is a question mark, as Java writes it.
fn escaped(text: &str) -> (char, usize) {
    let c = match text.as_bytes()[1] {
        b'b' => '\u{8}',
        b'f' => '\u{c}',
        b'n' => '\n',
        b'r' => '\r',
        b't' => '\t',
        b'u' => return unicode(text),
        other => char::from(other),
    };
    (c, 2)
}

fn unicode(text: &str) -> (char, usize) {
    let high = code_unit(text).unwrap_or_default();
    if let Some(c) = char::from_u32(high) {
        return (c, 6);
    }
    let low = text.get(6..).and_then(code_unit).filter(|low| (0xDC00..0xE000).contains(low));
    match low {
        Some(low) if high < 0xDC00 => {
            let c = 0x10000 + ((high - 0xD800) << 10) + (low - 0xDC00);
            (char::from_u32(c).unwrap_or('?'), 12)
        }
        _ => ('?', 6),
    }
}

fn code_unit(text: &str) -> Option<u32> {
    u32::from_str_radix(text.strip_prefix("\\u")?.get(..4)?, 16).ok()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn read(text: &str) -> Option<&str> {
        let mut reader = Reader::new(text);
        let value = reader.value()?;
        reader.is_at_end().then_some(value)
    }

    #[test]
    fn whatever_is_not_json_is_refused() {
        for text in [
            "",
            " ",
            "{",
            "}",
            "[",
            "[1",
            "[1,",
            "[1,]",
            "[,1]",
            "{\"a\"}",
            "{\"a\":}",
            "{\"a\":1,}",
            "{a:1}",
            "{1:1}",
            "[1}",
            "{\"a\":1]",
            "01",
            "-",
            "1.",
            ".5",
            "+1",
            "1e",
            "1e+",
            "nul",
            "truee",
            "12x",
            "\"a",
            "\"\\x\"",
            "\"\\u12g4\"",
            "\"\\u123",
            "\"a\nb\"",
            "'a'",
            "NaN",
            "1 2",
            "[1 2]",
            "\u{a0}1",
        ] {
            assert_eq!(read(text), None, "{text}");
        }
    }

    #[test]
    fn json_is_read_to_its_end() {
        for text in [
            "0",
            "-0",
            "-1.5e+10",
            "1E5",
            "\"\"",
            "\"\\u0041\\\"\\\\\\/\\b\\f\\n\\r\\t\"",
            "[]",
            "{}",
            "[ ]",
            "[[],{}]",
            "{\"a\":[1,{\"b\":null}],\"c\":true}",
            "null",
        ] {
            assert_eq!(read(text), Some(text), "{text}");
        }
        assert_eq!(read(" [ 1 ] "), Some("[ 1 ]"));
    }

    #[test]
    fn depth_is_bounded() {
        let nested = |depth: usize| "[".repeat(depth) + &"]".repeat(depth);
        assert!(read(&nested(1000)).is_some());
        assert!(read(&nested(1002)).is_none());
        assert!(read(&"[".repeat(1_000_000)).is_none());
    }

    #[test]
    fn half_of_a_surrogate_pair_is_a_question_mark() {
        assert_eq!(unquote(r#""\ud83d\ude00""#), "😀");
        assert_eq!(unquote(r#""a\ud83db""#), "a?b");
        assert_eq!(unquote(r#""\ude00\ud83d""#), "??");
        assert_eq!(unquote(r#""\ud83d\u0041""#), "?A");
    }

    proptest! {
        #[test]
        fn what_serde_reads_is_read(text in r#"[\[\]{},:"a\\ 01.eE+-]{0,12}|[a-z"\\{}:, \[\]]{0,16}"#) {
            let expected = serde_json::from_str::<serde::de::IgnoredAny>(&text).is_ok();
            prop_assert_eq!(read(&text).is_some(), expected);
        }

        #[test]
        fn strings_say_what_was_written(text in "\\PC*|[\u{0}-\u{7f}]*") {
            let quoted = serde_json::to_string(&text).unwrap();
            prop_assert_eq!(read(&quoted), Some(quoted.as_str()));
            prop_assert_eq!(unquote(&quoted), text);
        }
    }
}
