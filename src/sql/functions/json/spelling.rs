//! The spelling of JSON that Trino writes: no blanks, the shortest escapes, doubles as Java prints them.

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::fmt::Write as _;

use super::super::float_text::java_text;
use super::reader::{Reader, unquote};

/// A valid text in that spelling; the order of keys stays.
pub(super) fn canonical(json: &str) -> String {
    let mut out = String::with_capacity(json.len());
    let mut reader = Reader::new(json);
    while let Some(byte) = reader.peek() {
        match byte {
            b'"' => {
                let Some(quoted) = reader.string() else { return out };
                push_respelled(&mut out, quoted);
            }
            b'{' | b'}' | b'[' | b']' | b',' | b':' => {
                out.push(char::from(byte));
                reader.expect(byte);
            }
            _ => {
                let Some(scalar) = reader.value() else { return out };
                push_scalar(&mut out, scalar);
            }
        }
    }
    out
}

/// A whole text in that spelling, the keys of every object in order: what `json_parse` makes of it.
/// `None` if it is not JSON.
pub(in super::super) fn parsed(json: &str) -> Option<Cow<'_, str>> {
    let mut reader = Reader::new(json);
    let (text, is_canonical) = reader.spelled_value()?;
    if !reader.is_at_end() {
        return None;
    }
    if is_canonical && !text.contains('{') {
        return Some(Cow::Borrowed(text));
    }
    let mut out = String::with_capacity(text.len());
    push_sorted(&mut out, &mut Reader::new(text))?;
    Some(Cow::Owned(out))
}

/// Calls itself no deeper than the reader lets a value be.
fn push_sorted(out: &mut String, reader: &mut Reader<'_>) -> Option<()> {
    match reader.peek()? {
        b'{' => push_sorted_object(out, reader),
        b'[' => {
            reader.expect(b'[')?;
            out.push('[');
            if !reader.next_is(b']')? {
                loop {
                    push_sorted(out, reader)?;
                    if reader.next_is(b']')? {
                        break;
                    }
                    reader.expect(b',')?;
                    out.push(',');
                }
            }
            out.push(']');
            Some(())
        }
        b'"' => {
            push_respelled(out, reader.string()?);
            Some(())
        }
        _ => {
            push_scalar(out, reader.value()?);
            Some(())
        }
    }
}

/// The last of two equal keys counts.
fn push_sorted_object(out: &mut String, reader: &mut Reader<'_>) -> Option<()> {
    reader.expect(b'{')?;
    let mut members = BTreeMap::new();
    if !reader.next_is(b'}')? {
        loop {
            let key = unquote(reader.key()?);
            // Java compares strings by their UTF-16 units.
            let order: Vec<u16> = key.encode_utf16().collect();
            let mut value = String::new();
            push_sorted(&mut value, reader)?;
            members.insert(order, (key, value));
            if reader.next_is(b'}')? {
                break;
            }
            reader.expect(b',')?;
        }
    }
    out.push('{');
    for (place, (key, value)) in members.values().enumerate() {
        if place > 0 {
            out.push(',');
        }
        push_string(out, key);
        out.push(':');
        out.push_str(value);
    }
    out.push('}');
    Some(())
}

fn push_respelled(out: &mut String, quoted: &str) {
    if quoted.contains('\\') {
        push_string(out, &unquote(quoted));
    } else {
        out.push_str(quoted);
    }
}

fn push_scalar(out: &mut String, scalar: &str) {
    let is_number = scalar.starts_with(|c: char| c == '-' || c.is_ascii_digit());
    if is_number && scalar.contains(['.', 'e', 'E']) {
        push_double(out, scalar.parse().unwrap_or(f64::NAN));
    } else if scalar == "-0" {
        out.push('0');
    } else {
        out.push_str(scalar);
    }
}

/// Writes a number; what JSON has no number for is a string.
pub(in super::super) fn push_double(out: &mut String, value: f64) {
    if value.is_finite() {
        java_text(out, value);
    } else {
        out.push('"');
        java_text(out, value);
        out.push('"');
    }
}

/// Writes a string with its quotes.
pub(in super::super) fn push_string(out: &mut String, text: &str) {
    out.push('"');
    let mut rest = text;
    while let Some(at) = rest.find(|c: char| c < ' ' || c == '"' || c == '\\') {
        out.push_str(&rest[..at]);
        let byte = rest.as_bytes()[at];
        match byte {
            b'"' => out.push_str("\\\""),
            b'\\' => out.push_str("\\\\"),
            8 => out.push_str("\\b"),
            9 => out.push_str("\\t"),
            10 => out.push_str("\\n"),
            12 => out.push_str("\\f"),
            13 => out.push_str("\\r"),
            _ => {
                let _ = write!(out, "\\u{byte:04X}");
            }
        }
        rest = &rest[at + 1..];
    }
    out.push_str(rest);
    out.push('"');
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn parsing_sorts_the_keys_and_drops_the_blanks() {
        for (text, expected) in [
            (" { \"z\" : 1 , \"a\" : [ 1 , 2.50 ] } ", r#"{"a":[1,2.5],"z":1}"#),
            (
                r#"{"b":{"d":1,"c":[{"y":1,"x":2}]},"a":"\u0041"}"#,
                r#"{"a":"A","b":{"c":[{"x":2,"y":1}],"d":1}}"#,
            ),
            (r#"{"a":1,"b":2,"a":3}"#, r#"{"a":3,"b":2}"#),
            ("{\"\u{ff5e}\":1,\"😀\":2}", "{\"😀\":2,\"\u{ff5e}\":1}"),
            ("\"x\"", "\"x\""),
            ("null", "null"),
            ("1e2", "100.0"),
            ("1e400", "\"Infinity\""),
            ("[ ]", "[]"),
            ("{ }", "{}"),
        ] {
            assert_eq!(parsed(text).unwrap(), expected, "{text}");
        }
        for text in ["", "{broken", "1 2", "[1]]", "{\"a\":1}x"] {
            assert_eq!(parsed(text), None, "{text}");
        }
    }

    proptest! {
        #[test]
        fn strings_are_read_as_they_were_written(text in "\\PC*|[\u{0}-\u{7f}]*") {
            let mut out = String::new();
            push_string(&mut out, &text);
            prop_assert_eq!(serde_json::from_str::<String>(&out).unwrap(), text);
        }

        #[test]
        fn any_text_is_survived(text in "\\PC*") {
            if let Some(first) = parsed(&text) {
                prop_assert_eq!(parsed(&first).unwrap(), first.clone());
            }
        }
    }
}
