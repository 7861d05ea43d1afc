//! JSON text and paths into it, as Trino's `json_extract` reads them.
//!
//! A path is followed over the bytes of the text; no tree is built, and reading stops where the
//! value ends. The first of two equal keys counts.

use std::borrow::Cow;

use serde::de::IgnoredAny;

/// A parsed path: `$.a.b`, `$['a']`, `$["a.b"][0]`, `$[name]`.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(super) struct JsonPath(Vec<Step>);

/// A member of an object, and the element of an array if it is a number.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
struct Step {
    key: String,
    index: Option<usize>,
}

impl JsonPath {
    /// Parses a path; `None` if it is not one.
    pub(super) fn parse(text: &str) -> Option<Self> {
        let mut rest = text.strip_prefix('$')?;
        let mut steps = Vec::new();
        while !rest.is_empty() {
            let (key, after) = match rest.strip_prefix('.') {
                Some(member) => plain_key(member, is_member_char)?,
                None => bracket(rest.strip_prefix('[')?)?,
            };
            steps.push(Step { index: key.parse().ok(), key });
            rest = after;
        }
        Some(Self(steps))
    }

    /// The text of a string, number or boolean; `None` for whatever else, or nothing, is there.
    pub(super) fn scalar<'a>(&self, json: &'a str) -> Option<Cow<'a, str>> {
        let mut cursor = self.walk(json)?;
        match cursor.peek()? {
            b'{' | b'[' | b'n' => None,
            b'"' => unquote(cursor.value()?),
            _ => cursor.value().map(Cow::Borrowed),
        }
    }

    /// The JSON that is there, without blanks between its tokens.
    pub(super) fn json<'a>(&self, json: &'a str) -> Option<Cow<'a, str>> {
        self.walk(json)?.value().map(compact)
    }

    fn walk<'a>(&self, json: &'a str) -> Option<Cursor<'a>> {
        let mut cursor = Cursor { text: json, at: 0 };
        for step in &self.0 {
            match cursor.peek()? {
                b'{' => cursor.member(&step.key)?,
                b'[' => cursor.element(step.index?)?,
                _ => return None,
            }
        }
        Some(cursor)
    }
}

fn is_member_char(c: char) -> bool {
    c == ':' || c == '-' || is_subscript_char(c)
}

fn is_subscript_char(c: char) -> bool {
    c == '_' || c == '$' || c.is_alphanumeric()
}

fn plain_key(text: &str, allowed: fn(char) -> bool) -> Option<(String, &str)> {
    let end = text.find(|c| !allowed(c)).unwrap_or(text.len());
    (end > 0).then(|| (text[..end].to_owned(), &text[end..]))
}

fn bracket(text: &str) -> Option<(String, &str)> {
    let (key, rest) = match text.chars().next()? {
        quote @ ('"' | '\'') => quoted_key(&text[1..], quote)?,
        _ => plain_key(text, |c| c == '-' || is_subscript_char(c))?,
    };
    Some((key, rest.strip_prefix(']')?))
}

fn quoted_key(text: &str, quote: char) -> Option<(String, &str)> {
    let mut key = String::new();
    let mut chars = text.char_indices();
    while let Some((at, c)) = chars.next() {
        match c {
            '\\' => key.push(chars.next()?.1),
            _ if c == quote => return Some((key, &text[at + 1..])),
            _ => key.push(c),
        }
    }
    None
}

/// A place in a JSON text, always before a value or inside a container.
struct Cursor<'a> {
    text: &'a str,
    at: usize,
}

impl<'a> Cursor<'a> {
    /// The next byte that is not blank.
    fn peek(&mut self) -> Option<u8> {
        let bytes = self.text.as_bytes();
        while matches!(bytes.get(self.at), Some(b' ' | b'\t' | b'\n' | b'\r')) {
            self.at += 1;
        }
        bytes.get(self.at).copied()
    }

    fn expect(&mut self, byte: u8) -> Option<()> {
        (self.peek()? == byte).then(|| self.at += 1)
    }

    /// Reads one whole value, and returns its text.
    fn value(&mut self) -> Option<&'a str> {
        self.peek()?;
        let rest = &self.text[self.at..];
        let mut values = serde_json::Deserializer::from_str(rest).into_iter::<IgnoredAny>();
        values.next()?.ok()?;
        let end = values.byte_offset();
        self.at += end;
        Some(&rest[..end])
    }

    /// Moves from the beginning of an object to the value of `key`.
    fn member(&mut self, key: &str) -> Option<()> {
        self.expect(b'{')?;
        loop {
            if self.peek()? != b'"' {
                return None;
            }
            let found = matches(self.value()?, key);
            self.expect(b':')?;
            if found {
                return Some(());
            }
            self.value()?;
            self.expect(b',')?;
        }
    }

    /// Moves from the beginning of an array to the element `index`.
    fn element(&mut self, index: usize) -> Option<()> {
        self.expect(b'[')?;
        for _ in 0..index {
            self.value()?;
            self.expect(b',')?;
        }
        (self.peek()? != b']').then_some(())
    }
}

fn matches(quoted: &str, key: &str) -> bool {
    let inner = &quoted[1..quoted.len() - 1];
    if inner.contains('\\') { unquote(quoted).is_some_and(|name| name == key) } else { inner == key }
}

/// What a JSON string says.
fn unquote(quoted: &str) -> Option<Cow<'_, str>> {
    let inner = &quoted[1..quoted.len() - 1];
    if !inner.contains('\\') {
        return Some(Cow::Borrowed(inner));
    }
    serde_json::from_str(quoted).ok().map(Cow::Owned)
}

/// Drops the blanks between tokens, and spells every string in the shortest way.
fn compact(json: &str) -> Cow<'_, str> {
    if !json.contains(['\\', ' ', '\t', '\n', '\r']) {
        return Cow::Borrowed(json);
    }
    let mut out = String::with_capacity(json.len());
    let mut rest = json;
    while let Some(c) = rest.chars().next() {
        if c != '"' {
            if !c.is_ascii_whitespace() {
                out.push(c);
            }
            rest = &rest[c.len_utf8()..];
            continue;
        }
        let end = string_end(rest);
        let (quoted, after) = rest.split_at(end);
        match unquote(quoted).and_then(|text| serde_json::to_string(&text).ok()) {
            Some(text) => out.push_str(&text),
            None => out.push_str(quoted),
        }
        rest = after;
    }
    Cow::Owned(out)
}

/// The byte after the closing quote of the string with which `text` begins.
fn string_end(text: &str) -> usize {
    let bytes = text.as_bytes();
    let mut at = 1;
    while at < bytes.len() {
        match bytes[at] {
            b'"' => return at + 1,
            b'\\' => at += 2,
            _ => at += 1,
        }
    }
    text.len()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn scalar(json: &str, path: &str) -> Option<String> {
        JsonPath::parse(path).unwrap().scalar(json).map(Cow::into_owned)
    }

    fn json(json: &str, path: &str) -> Option<String> {
        JsonPath::parse(path).unwrap().json(json).map(Cow::into_owned)
    }

    #[test]
    fn scalars_are_the_text_of_the_value() {
        let text = r#"{"s":"a\u00e9\n\"","n":-1.50e3,"t":true,"z":null,"o":{},"l":[1,[2,{"x":"y"}]],"":"e"}"#;
        assert_eq!(scalar(text, "$.s").unwrap(), "aé\n\"");
        assert_eq!(scalar(text, "$.n").unwrap(), "-1.50e3");
        assert_eq!(scalar(text, "$.t").unwrap(), "true");
        assert_eq!(scalar(text, "$.l[1][1].x").unwrap(), "y");
        assert_eq!(scalar(text, "$[\"\"]").unwrap(), "e");
        for path in ["$.z", "$.o", "$.l", "$", "$.nothing", "$.s.x", "$.l[9]", "$.l.x"] {
            assert_eq!(scalar(text, path), None, "{path}");
        }
        assert_eq!(scalar("\"root\"", "$").unwrap(), "root");
    }

    #[test]
    fn keys_may_be_quoted_in_either_way() {
        let text = r#"{"a.b/c":{"x-amz-meta-\"q\"":1,"it's":2},"x-amz":3,"aws:arn":4}"#;
        assert_eq!(scalar(text, r#"$["a.b/c"]["x-amz-meta-\"q\""]"#).unwrap(), "1");
        assert_eq!(scalar(text, r"$['a.b/c']['it\'s']").unwrap(), "2");
        assert_eq!(scalar(text, "$.x-amz").unwrap(), "3");
        assert_eq!(scalar(text, "$.aws:arn").unwrap(), "4");
        assert_eq!(scalar(text, "$[x-amz]").unwrap(), "3");
    }

    #[test]
    fn json_is_given_back_without_blanks() {
        let text = "{ \"a\" : [ 1.0 , \"b c\\u0041\", { } ], \"n\": null }";
        assert_eq!(json(text, "$.a").unwrap(), r#"[1.0,"b cA",{}]"#);
        assert_eq!(json(text, "$.n").unwrap(), "null");
        assert_eq!(json(text, "$").unwrap(), r#"{"a":[1.0,"b cA",{}],"n":null}"#);
    }

    #[test]
    fn what_is_no_json_is_null() {
        for text in ["", " ", "{", "{\"a\"", "{\"a\":", "{\"a\":}", "{a:1}", "nonsense", "{\"b\":x,\"a\":1}"]
        {
            assert_eq!(scalar(text, "$.a"), None, "{text}");
            assert_eq!(json(text, "$.a"), None, "{text}");
        }
        assert_eq!(scalar("nul", "$"), None);
        assert_eq!(scalar("12x", "$"), None);
    }

    #[test]
    fn what_is_no_path_is_refused() {
        for path in ["", "a", "$.", "$..a", "$[", "$[\"a]", "$[]", "$.a b", "$[*]"] {
            assert_eq!(JsonPath::parse(path), None, "{path}");
        }
    }

    proptest! {
        #[test]
        fn any_text_and_any_path_are_survived(text in "\\PC*", path in "\\PC*") {
            if let Some(path) = JsonPath::parse(&path) {
                path.scalar(&text);
                path.json(&text);
            }
        }

        #[test]
        fn whatever_was_put_in_comes_out(key in "\\PC{0,8}", value in "\\PC*", other in "\\PC{0,8}") {
            let text = serde_json::json!({ "before": [other], key.clone(): { "x": [0, value.clone()] } });
            let path = format!("$[{}].x[1]", serde_json::to_string(&key).unwrap());
            let plain = !key.contains(char::is_control) && key != "before";
            if plain {
                prop_assert_eq!(scalar(&text.to_string(), &path), Some(value));
            }
        }
    }
}
