//! JSON text, checked and measured in place: where a value ends, and what kind it is.
//!
//! It accepts exactly what RFC 8259 allows, to [`MAX_DEPTH`], and builds nothing: the reader keeps
//! free-form parts byte for byte and copies the rest straight into columns, so a tree would be
//! thrown away. `serde_json` serves wherever speed does not matter; a property test holds the two
//! to the same verdict on every input.

#![expect(
    clippy::inline_always,
    reason = "otherwise what a value is goes from one to the next through memory"
)]

mod name;
mod stops;

use std::ops::Range;

pub use name::Name;
use stops::Stops;

/// Nesting that a value may have. Real records go to 12; the limit keeps hostile ones harmless.
pub const MAX_DEPTH: usize = 512;

/// Why a text is not JSON, and at which byte.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("{what} at byte {at}")]
pub struct Invalid {
    /// Offset into the text.
    pub at: usize,
    /// What was wrong there.
    pub what: &'static str,
}

/// What a JSON value is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Type {
    /// `{…}`
    Object,
    /// `[…]`
    Array,
    /// `"…"` without escapes: the text between the quotes is the value.
    PlainString,
    /// `"…"` with escapes.
    EscapedString,
    /// A number.
    Number,
    /// `true`
    True,
    /// `false`
    False,
    /// `null`
    Null,
}

/// A value's place in the text, quotes and brackets included.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Span {
    /// Offset of its first byte.
    pub start: usize,
    /// Offset after its last byte.
    pub end: usize,
    /// What it is.
    pub kind: Type,
}

impl Span {
    /// The bytes of the value.
    pub fn range(self) -> Range<usize> {
        self.start..self.end
    }

    /// The bytes between a string's quotes.
    pub fn inner(self) -> Range<usize> {
        self.start + 1..self.end - 1
    }
}

/// A place in a JSON text that moves forward.
#[derive(Debug, Clone)]
pub struct Cursor<'a> {
    bytes: &'a [u8],
    at: usize,
    stops: Stops,
}

impl<'a> Cursor<'a> {
    /// Starts at offset `at` of `bytes`.
    pub fn new(bytes: &'a [u8], at: usize) -> Self {
        Cursor { bytes, at, stops: Stops::default() }
    }

    /// The offset that it stands at.
    pub fn at(&self) -> usize {
        self.at
    }

    /// Moves to offset `at`.
    pub fn move_to(&mut self, at: usize) {
        self.at = at;
    }

    /// The next byte that is not white space, without passing it.
    #[inline]
    pub fn peek(&mut self) -> Option<u8> {
        match self.bytes.get(self.at) {
            Some(&byte) if byte > b' ' => Some(byte),
            _ => self.peek_behind_space(),
        }
    }

    #[cold]
    fn peek_behind_space(&mut self) -> Option<u8> {
        while let Some(&byte) = self.bytes.get(self.at) {
            if !matches!(byte, b' ' | b'\n' | b'\r' | b'\t') {
                return Some(byte);
            }
            self.at += 1;
        }
        None
    }

    /// Passes `byte` if it is what comes next, white space aside.
    #[inline]
    pub fn take(&mut self, byte: u8) -> bool {
        let found = self.peek() == Some(byte);
        self.at += usize::from(found);
        found
    }

    /// Passes `byte`, or says what is missing.
    #[inline]
    pub fn expect(&mut self, byte: u8, what: &'static str) -> Result<(), Invalid> {
        if self.take(byte) { Ok(()) } else { Err(self.invalid(what)) }
    }

    /// Passes an object's next key and its colon. `None` at the closing brace, which is passed too.
    ///
    /// `first` is whether no member has been read yet.
    #[inline]
    pub fn key(&mut self, first: bool) -> Result<Option<Span>, Invalid> {
        if self.member(first)? { self.any_key().map(Some) } else { Ok(None) }
    }

    /// Moves to an object's next key, and stands on its quote. `false` at the closing brace, which is passed.
    #[inline]
    pub fn member(&mut self, first: bool) -> Result<bool, Invalid> {
        if !first && self.bytes[self.at.min(self.bytes.len())..].starts_with(b",\"") {
            self.at += 1;
            return Ok(true);
        }
        self.member_or_end(first)
    }

    fn member_or_end(&mut self, first: bool) -> Result<bool, Invalid> {
        if self.take(b'}') {
            return Ok(false);
        }
        if !first {
            self.expect(b',', "expected , or }")?;
        }
        if self.peek() != Some(b'"') {
            return Err(self.invalid("expected a key"));
        }
        Ok(true)
    }

    /// Passes the key that the cursor stands on, and its colon.
    #[inline]
    pub fn any_key(&mut self) -> Result<Span, Invalid> {
        let start = self.at;
        let kind = self.string()?;
        let key = Span { start, end: self.at, kind };
        self.expect(b':', "expected :")?;
        Ok(key)
    }

    /// Whether the key that the cursor stands on is `name`, written without escapes. It passes nothing.
    #[inline]
    pub fn is_at_key(&self, name: &Name) -> bool {
        self.bytes.get(self.at + 1..).is_some_and(|rest| name.begins(rest))
    }

    /// Passes a key that [`Cursor::is_at_key`] has recognized, and its colon.
    #[inline]
    pub fn known_key(&mut self, name: &Name) -> Result<(), Invalid> {
        self.at += name.text().len() + 2;
        self.expect(b':', "expected :")
    }

    /// Moves to an array's next element. `false` at the closing bracket, which is passed.
    #[inline]
    pub fn element(&mut self, first: bool) -> Result<bool, Invalid> {
        if self.take(b']') {
            return Ok(false);
        }
        if !first {
            self.expect(b',', "expected , or ]")?;
            if self.peek() == Some(b']') {
                return Err(self.invalid("expected a value"));
            }
        }
        Ok(true)
    }

    /// Passes one value of any kind.
    #[inline(always)]
    pub fn value(&mut self) -> Result<Span, Invalid> {
        let next = self.peek();
        let start = self.at;
        let kind = if next == Some(b'"') { self.string()? } else { self.no_string()? };
        Ok(Span { start, end: self.at, kind })
    }

    fn no_string(&mut self) -> Result<Type, Invalid> {
        match self.peek() {
            Some(b'{' | b'[') => self.container(),
            Some(_) => self.scalar(),
            None => Err(self.invalid("expected a value")),
        }
    }

    fn scalar(&mut self) -> Result<Type, Invalid> {
        match self.bytes[self.at] {
            b't' => self.word(b"true", Type::True),
            b'f' => self.word(b"false", Type::False),
            b'n' => self.word(b"null", Type::Null),
            b'-' | b'0'..=b'9' => self.number(),
            _ => Err(self.invalid("expected a value")),
        }
    }

    fn word(&mut self, word: &[u8], kind: Type) -> Result<Type, Invalid> {
        if !self.bytes[self.at..].starts_with(word) {
            return Err(self.invalid("expected a value"));
        }
        self.at += word.len();
        Ok(kind)
    }

    fn number(&mut self) -> Result<Type, Invalid> {
        self.at += usize::from(self.bytes[self.at] == b'-');
        if self.bytes.get(self.at) == Some(&b'0') {
            self.at += 1;
        } else {
            self.digits()?;
        }
        if self.bytes.get(self.at) == Some(&b'.') {
            self.at += 1;
            self.digits()?;
        }
        if matches!(self.bytes.get(self.at), Some(b'e' | b'E')) {
            self.at += 1;
            if matches!(self.bytes.get(self.at), Some(b'+' | b'-')) {
                self.at += 1;
            }
            self.digits()?;
        }
        Ok(Type::Number)
    }

    fn digits(&mut self) -> Result<(), Invalid> {
        let start = self.at;
        while self.bytes.get(self.at).is_some_and(u8::is_ascii_digit) {
            self.at += 1;
        }
        if self.at == start { Err(self.invalid("expected a digit")) } else { Ok(()) }
    }

    /// Passes a string; the cursor stands on its opening quote.
    #[inline(always)]
    fn string(&mut self) -> Result<Type, Invalid> {
        self.at = self.stops.next(self.bytes, self.at + 1);
        if self.bytes.get(self.at) != Some(&b'"') {
            return self.rest_of_string();
        }
        self.at += 1;
        Ok(Type::PlainString)
    }

    /// Passes the rest of a string that has an escape where the cursor stands, or is broken.
    fn rest_of_string(&mut self) -> Result<Type, Invalid> {
        let mut kind = Type::PlainString;
        loop {
            match self.bytes.get(self.at) {
                Some(b'"') => break,
                Some(b'\\') => {
                    kind = Type::EscapedString;
                    self.escape()?;
                }
                Some(_) => return Err(self.invalid("control character in a string")),
                None => return Err(self.invalid("string without an end")),
            }
            self.at = self.stops.next(self.bytes, self.at);
        }
        self.at += 1;
        Ok(kind)
    }

    fn escape(&mut self) -> Result<(), Invalid> {
        match self.bytes.get(self.at + 1) {
            Some(b'"' | b'\\' | b'/' | b'b' | b'f' | b'n' | b'r' | b't') => self.at += 2,
            Some(b'u') => {
                let hex = self.bytes.get(self.at + 2..self.at + 6);
                if !hex.is_some_and(|hex| hex.iter().all(u8::is_ascii_hexdigit)) {
                    return Err(self.invalid("escape without four hex digits"));
                }
                self.at += 6;
            }
            _ => return Err(self.invalid("unknown escape")),
        }
        Ok(())
    }

    /// Passes an object or array without recursion, so that depth costs no stack.
    fn container(&mut self) -> Result<Type, Invalid> {
        let kind = if self.bytes[self.at] == b'{' { Type::Object } else { Type::Array };
        let mut open = Nesting::default();
        open.push(kind == Type::Object);
        self.at += 1;
        let mut first = true;
        while let Some(object) = open.innermost() {
            let more = if object { self.pass_key(first)? } else { self.element(first)? };
            first = false;
            if !more {
                open.pop();
                continue;
            }
            match self.peek() {
                Some(byte @ (b'{' | b'[')) => {
                    if !open.push(byte == b'{') {
                        return Err(self.invalid("nested too deeply"));
                    }
                    self.at += 1;
                    first = true;
                }
                Some(b'"') => _ = self.string()?,
                Some(_) => _ = self.scalar()?,
                None => return Err(self.invalid("expected a value")),
            }
        }
        Ok(kind)
    }

    /// Passes an object's next key; `false` at the closing brace, which is passed.
    #[inline]
    fn pass_key(&mut self, first: bool) -> Result<bool, Invalid> {
        let more = self.member(first)?;
        if more {
            self.string()?;
            self.expect(b':', "expected :")?;
        }
        Ok(more)
    }

    fn invalid(&self, what: &'static str) -> Invalid {
        Invalid { at: self.at, what }
    }
}

/// Which brackets are open: one bit each, set for an object.
#[derive(Default)]
struct Nesting {
    bits: [u64; MAX_DEPTH / 64],
    depth: usize,
}

impl Nesting {
    fn push(&mut self, object: bool) -> bool {
        if self.depth == MAX_DEPTH {
            return false;
        }
        let (word, bit) = (self.depth / 64, self.depth % 64);
        self.bits[word] = self.bits[word] & !(1 << bit) | u64::from(object) << bit;
        self.depth += 1;
        true
    }

    fn pop(&mut self) {
        self.depth -= 1;
    }

    fn innermost(&self) -> Option<bool> {
        let top = self.depth.checked_sub(1)?;
        Some(self.bits[top / 64] >> (top % 64) & 1 == 1)
    }
}

/// Appends the value of an escaped string's inside to `out`.
///
/// Returns whether the value is whole: a surrogate without its partner becomes U+FFFD. The escapes
/// must have been checked by a [`Cursor`].
pub fn unescape(inside: &str, out: &mut String) -> bool {
    let mut whole = true;
    let mut rest = inside;
    while let Some(slash) = rest.find('\\') {
        out.push_str(&rest[..slash]);
        let code = rest.as_bytes()[slash + 1];
        rest = &rest[slash + 2..];
        match code {
            b'b' => out.push('\u{8}'),
            b'f' => out.push('\u{c}'),
            b'n' => out.push('\n'),
            b'r' => out.push('\r'),
            b't' => out.push('\t'),
            b'u' => whole &= unescape_unicode(&mut rest, out),
            other => out.push(char::from(other)),
        }
    }
    out.push_str(rest);
    whole
}

fn unescape_unicode(rest: &mut &str, out: &mut String) -> bool {
    let first = hex4(rest);
    *rest = &rest[4..];
    if let Some(found) = char::from_u32(first) {
        out.push(found);
        return true;
    }
    let low = rest.strip_prefix("\\u").map(hex4).filter(|low| (0xDC00..0xE000).contains(low));
    if let (0xD800..0xDC00, Some(low)) = (first, low) {
        let code = 0x10000 + ((first - 0xD800) << 10) + (low - 0xDC00);
        out.push(char::from_u32(code).unwrap_or(char::REPLACEMENT_CHARACTER));
        *rest = &rest[6..];
        return true;
    }
    out.push(char::REPLACEMENT_CHARACTER);
    false
}

fn hex4(text: &str) -> u32 {
    u32::from_str_radix(&text[..4], 16).unwrap_or(0xFFFD)
}

/// Appends `text` to `out` as a JSON string, quotes included.
pub fn write_string(out: &mut String, text: &str) {
    use std::fmt::Write as _;
    out.push('"');
    for found in text.chars() {
        match found {
            '"' => out.push_str("\\\""),
            '\\' => out.push_str("\\\\"),
            '\n' => out.push_str("\\n"),
            '\r' => out.push_str("\\r"),
            '\t' => out.push_str("\\t"),
            control if control < ' ' => {
                let _ = write!(out, "\\u{:04x}", u32::from(control));
            }
            other => out.push(other),
        }
    }
    out.push('"');
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn whole(text: &[u8]) -> bool {
        let mut cursor = Cursor::new(text, 0);
        cursor.value().is_ok() && cursor.peek().is_none()
    }

    #[test]
    fn values_end_where_they_end() {
        let text = br#" {"a":[1,2.5e-3,true,null,"x\"y"],"b":{}} ,"#;
        let span = Cursor::new(text, 0).value().unwrap();
        assert_eq!((span.start, span.end, span.kind), (1, text.len() - 2, Type::Object));
    }

    #[test]
    fn a_key_is_known_where_it_stands_whole_and_plain() {
        let names = ["arn", "eventID", "eventName", "eventNames", "requestParameters"].map(Name::new);
        let texts = [
            (r#""arn":1}"#, Some("arn")),
            (r#""arn""#, Some("arn")),
            (r#""arn"#, None),
            (r#""arnx":1}"#, None),
            (r#""ar\u006e":1}"#, None),
            (r#""eventName" : 1}"#, Some("eventName")),
            (r#""eventNames":1}"#, Some("eventNames")),
            (r#""eventID":1}"#, Some("eventID")),
            (r#""eventId":1}"#, None),
            (r#""requestParameters":{}}"#, Some("requestParameters")),
            (r#""requestParametert":{}}"#, None),
        ];
        let spaced = texts.map(|(text, expected)| (format!("{text}{:40}", ""), expected));
        let short = texts.map(|(text, expected)| (text.to_owned(), expected));
        for (text, expected) in spaced.into_iter().chain(short) {
            let mut cursor = Cursor::new(text.as_bytes(), 0);
            let found = names.iter().find(|name| cursor.is_at_key(name));
            assert_eq!(found.map(Name::text), expected, "{text}");
            let mut scanned = cursor.clone();
            if let (Some(name), Ok(_)) = (found, scanned.any_key()) {
                cursor.known_key(name).unwrap();
                assert_eq!(cursor.at(), scanned.at());
            }
        }
    }

    #[test]
    fn broken_values_are_refused() {
        for text in [
            "",
            "{",
            "[1,]",
            "{\"a\":1,}",
            "{\"a\" 1}",
            "{a:1}",
            "01",
            "1.",
            "-",
            "1e",
            "tru",
            "\"a",
            "\"\u{1}\"",
            "\"\\x\"",
            "\"\\u12g4\"",
            "[1 2]",
            "{\"a\":1 \"b\":2}",
            "]",
            "nul",
            "+1",
            ".5",
            "[,]",
            "{,}",
        ] {
            assert!(!whole(text.as_bytes()), "{text:?}");
            assert!(serde_json::from_str::<serde_json::Value>(text).is_err(), "{text:?}");
        }
    }

    #[test]
    fn depth_is_limited_and_costs_no_stack() {
        assert!(whole(("[".repeat(MAX_DEPTH) + &"]".repeat(MAX_DEPTH)).as_bytes()));
        let error = Cursor::new("[".repeat(1_000_000).as_bytes(), 0).value().unwrap_err();
        assert_eq!((error.at, error.what), (MAX_DEPTH, "nested too deeply"));
    }

    #[test]
    fn surrogates_without_a_partner_are_replaced_and_reported() {
        let mut out = String::new();
        assert!(unescape(r"a\ud83d\ude00\u00e9\/", &mut out));
        assert_eq!(out, "a😀é/");
        for lone in [r"\ud83d", r"\ud83dx", r"\ude00", r"\ud83d\ud83d", r"\ud83d\u0041"] {
            assert!(!unescape(lone, &mut String::new()), "{lone}");
        }
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(4000))]

        #[test]
        fn the_verdict_is_that_of_serde_json(text in r#"[\[\]{}:,"\\ua-f0-9.eE+\- tr]{0,24}"#) {
            let peer = serde_json::from_str::<&serde_json::value::RawValue>(&text);
            prop_assert_eq!(whole(text.as_bytes()), peer.is_ok());
        }

        #[test]
        fn strings_survive_writing_and_reading(text in any::<String>()) {
            let mut written = String::new();
            write_string(&mut written, &text);
            let peer: String = serde_json::from_str(&written).unwrap();
            prop_assert_eq!(&peer, &text);
            let span = Cursor::new(written.as_bytes(), 0).value().unwrap();
            prop_assert_eq!(span.end, written.len());
            let mut read = String::new();
            prop_assert!(unescape(&written[span.inner()], &mut read));
            prop_assert_eq!(read, text);
        }
    }
}
