//! Paths into JSON, as Trino's `json_extract` reads them: `$.a.b`, `$["a.b"][0]`, `$[name]`; and with CloudTrail
//! Lake's `$.a[*].b`, which leads to all elements.

use std::borrow::Cow;

use super::reader::{Reader, unquote};
use super::spelling::canonical;

/// A parsed path.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(in super::super) struct JsonPath(Vec<Step>);

#[derive(Clone, Debug, PartialEq, Eq, Hash)]
enum Step {
    /// A member of an object, and the element of an array if it is a number.
    One { key: String, index: Option<usize> },
    /// All members or elements: `[*]` and `.*`.
    All,
}

impl JsonPath {
    /// Parses a path; `None` if it is not one.
    pub(in super::super) fn parse(text: &str) -> Option<Self> {
        let mut rest = text.strip_prefix('$')?;
        let mut steps = Vec::new();
        while !rest.is_empty() {
            if let Some(after) = rest.strip_prefix("[*]").or_else(|| rest.strip_prefix(".*")) {
                steps.push(Step::All);
                rest = after;
                continue;
            }
            let (key, after) = match rest.strip_prefix('.') {
                Some(member) => plain_key(member, |c| c == ':' || is_subscript_char(c))?,
                None => bracket(rest.strip_prefix('[')?)?,
            };
            steps.push(Step::One { index: key.parse().ok(), key });
            rest = after;
        }
        Some(Self(steps))
    }

    /// The text of a string, number or boolean; `None` for whatever else, or nothing, is there. All of
    /// something is an array, and so no scalar.
    pub(in super::super) fn scalar<'a>(&self, json: &'a str) -> Option<Cow<'a, str>> {
        if self.all_at().is_some() {
            return None;
        }
        let mut reader = walk(&self.0, Reader::new(json))?;
        match reader.peek()? {
            b'{' | b'[' | b'n' => None,
            b'"' => reader.string().map(unquote),
            _ => reader.value().map(Cow::Borrowed),
        }
    }

    /// The JSON that is there, spelled as Trino writes it.
    pub(in super::super) fn json<'a>(&self, json: &'a str) -> Option<Cow<'a, str>> {
        if self.all_at().is_some() {
            let found = self.all(json)?;
            return Some(Cow::Owned(canonical(&format!("[{}]", found.join(",")))));
        }
        let (text, is_canonical) = walk(&self.0, Reader::new(json))?.spelled_value()?;
        Some(if is_canonical { Cow::Borrowed(text) } else { Cow::Owned(canonical(text)) })
    }

    /// How many members or elements the value there has; 0 for a scalar.
    pub(super) fn size(&self, json: &str) -> Option<i64> {
        if self.all_at().is_some() {
            return i64::try_from(self.all(json)?.len()).ok();
        }
        let mut size = 0;
        let mut reader = walk(&self.0, Reader::new(json))?;
        match reader.peek()? {
            b'{' | b'[' => each(reader, &mut |_| size += 1)?,
            _ => {
                reader.value()?;
            }
        }
        Some(size)
    }

    /// Where the first step stands that leads to more than one value.
    fn all_at(&self) -> Option<usize> {
        self.0.iter().position(|step| *step == Step::All)
    }

    /// All values to which the path leads. There has to be something of which they are all.
    fn all<'a>(&self, json: &'a str) -> Option<Vec<&'a str>> {
        let (before, after) = self.0.split_at(self.all_at()?);
        let mut found = Vec::new();
        let mut container = walk(before, Reader::new(json))?;
        matches!(container.peek()?, b'{' | b'[').then_some(())?;
        gather(after, container.value()?, &mut found)?;
        Some(found)
    }
}

/// The reader before the value to which some steps lead.
fn walk<'a>(steps: &[Step], mut reader: Reader<'a>) -> Option<Reader<'a>> {
    for step in steps {
        let Step::One { key, index } = step else { return None };
        match reader.peek()? {
            b'{' => reader.member(key)?,
            b'[' => reader.element((*index)?)?,
            _ => return None,
        }
    }
    Some(reader)
}

/// Adds the values to which the rest of a path leads from one value. `None` means that it is not JSON.
fn gather<'a>(steps: &[Step], value: &'a str, found: &mut Vec<&'a str>) -> Option<()> {
    let Some(at) = steps.iter().position(|step| *step == Step::All) else {
        found.extend(walk(steps, Reader::new(value)).and_then(|mut reader| reader.value()));
        return Some(());
    };
    let Some(mut reader) = walk(&steps[..at], Reader::new(value)) else { return Some(()) };
    match reader.peek()? {
        b'{' | b'[' => {
            let mut values = Vec::new();
            each(reader, &mut |value| values.push(value))?;
            values.into_iter().try_for_each(|value| gather(&steps[at + 1..], value, found))
        }
        _ => Some(()),
    }
}

/// Hands over each member or element of the container that the reader stands before.
fn each<'a>(mut reader: Reader<'a>, visit: &mut dyn FnMut(&'a str)) -> Option<()> {
    let close = if reader.peek()? == b'{' { b'}' } else { b']' };
    reader.expect(if close == b'}' { b'{' } else { b'[' })?;
    if reader.next_is(close)? {
        return Some(());
    }
    loop {
        if close == b'}' {
            reader.key()?;
        }
        visit(reader.value()?);
        if reader.next_is(close)? {
            return Some(());
        }
        reader.expect(b',')?;
    }
}

fn is_subscript_char(c: char) -> bool {
    c == '_' || c == '-' || c.is_alphanumeric()
}

fn plain_key(text: &str, allowed: fn(char) -> bool) -> Option<(String, &str)> {
    let end = text.find(|c| !allowed(c)).unwrap_or(text.len());
    (end > 0).then(|| (text[..end].to_owned(), &text[end..]))
}

fn bracket(text: &str) -> Option<(String, &str)> {
    let (key, rest) = match text.strip_prefix('"') {
        Some(quoted) => quoted_key(quoted)?,
        None => plain_key(text, is_subscript_char)?,
    };
    Some((key, rest.strip_prefix(']')?))
}

fn quoted_key(text: &str) -> Option<(String, &str)> {
    let mut key = String::new();
    let mut chars = text.char_indices();
    while let Some((at, c)) = chars.next() {
        match c {
            '\\' => key.push(chars.next().map(|(_, c)| c).filter(|c| matches!(c, '"' | '\\'))?),
            '"' => return Some((key, &text[at + 1..])),
            _ => key.push(c),
        }
    }
    None
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
        assert_eq!(scalar(text, "$.l.0").unwrap(), "1");
        assert_eq!(scalar(text, "$[\"\"]").unwrap(), "e");
        for path in ["$.z", "$.o", "$.l", "$", "$.nothing", "$.s.x", "$.l[9]", "$.l.x", "$.l[-1]", "$.o.x"] {
            assert_eq!(scalar(text, path), None, "{path}");
        }
        assert_eq!(scalar("\"root\"", "$").unwrap(), "root");
        assert_eq!(scalar(r#"{"1":"a"}"#, "$[1]").unwrap(), "a");
    }

    #[test]
    fn keys_are_plain_or_in_double_quotes() {
        let text =
            r#"{"a.b/c":{"x-amz-meta-\"q\"":1,"it's":2},"x-amz":3,"aws:arn":4,"15day":5,"é":6,"\u0061b":7}"#;
        assert_eq!(scalar(text, r#"$["a.b/c"]["x-amz-meta-\"q\""]"#).unwrap(), "1");
        assert_eq!(scalar(text, r#"$["a.b/c"]["it's"]"#).unwrap(), "2");
        assert_eq!(scalar(text, "$.x-amz").unwrap(), "3");
        assert_eq!(scalar(text, "$.aws:arn").unwrap(), "4");
        assert_eq!(scalar(text, "$[x-amz]").unwrap(), "3");
        assert_eq!(scalar(text, "$.15day").unwrap(), "5");
        assert_eq!(scalar(text, "$.é").unwrap(), "6");
        assert_eq!(scalar(text, "$.ab").unwrap(), "7");
    }

    #[test]
    fn json_is_given_back_as_trino_spells_it() {
        let text = "{ \"a\" : [ 1.0 , \"b c\\u0041\", { } , 1.50, 1e10, -0, 12345678901234567890, 0.0001 ], \"n\": null }";
        let list = r#"[1.0,"b cA",{},1.5,1.0E10,0,12345678901234567890,1.0E-4]"#;
        assert_eq!(json(text, "$.a").unwrap(), list);
        assert_eq!(json(text, "$.n").unwrap(), "null");
        assert_eq!(json(text, "$").unwrap(), format!("{{\"a\":{list},\"n\":null}}"));
        assert_eq!(json(r#"["\u0001\u001f\t\/é"]"#, "$").unwrap(), r#"["\u0001\u001F\t/é"]"#);
        assert!(matches!(
            JsonPath::parse("$.a").unwrap().json(r#"{"a":{"b":[1,"x"]}}"#),
            Some(Cow::Borrowed(_))
        ));
    }

    #[test]
    fn the_first_of_two_equal_keys_counts_and_nothing_behind_it_is_read() {
        assert_eq!(scalar(r#"{"a":1,"a":2}"#, "$.a").unwrap(), "1");
        assert_eq!(scalar(r#"{"a":1,oops"#, "$.a").unwrap(), "1");
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
        for path in [
            "",
            "a",
            "$a",
            "$.",
            "$..a",
            "$[",
            "$[\"a]",
            "$[]",
            "$.a b",
            "$. a",
            "$[*",
            "$.*a",
            "$**",
            "$['a']",
            "$.a/b",
            "$.a[",
            "$.a[1",
            "$[\"\\x\"]",
            " $.a",
            "$.a ",
        ] {
            assert_eq!(JsonPath::parse(path), None, "{path}");
        }
    }

    #[test]
    fn sizes_are_of_members_and_elements() {
        let size = |json: &str, path: &str| JsonPath::parse(path).unwrap().size(json);
        let text = r#"{"x":{"a":1,"b":[2,3]},"y":[1,[2],{}],"z":1,"e":{},"f":[]}"#;
        assert_eq!(size(text, "$"), Some(5));
        assert_eq!(size(text, "$.x"), Some(2));
        assert_eq!(size(text, "$.y"), Some(3));
        assert_eq!((size(text, "$.z"), size(text, "$.e"), size(text, "$.f")), (Some(0), Some(0), Some(0)));
        assert_eq!((size(text, "$.no"), size("[1,", "$")), (None, None));
    }

    #[test]
    fn a_star_leads_to_all_elements_or_members() {
        let text = r#"{"s":[{"a":1,"b":[2,{"c":3}]},{"b":[]},{"a": "x y" ,"b":4}],"o":{"k":[1.0],"l":"m"},"e":[],"n":1}"#;
        assert_eq!(json(text, "$.s[*].a").unwrap(), r#"[1,"x y"]"#);
        assert_eq!(json(text, "$.s[*].b").unwrap(), r#"[[2,{"c":3}],[],4]"#);
        assert_eq!(json(text, "$.s[*].b[*]").unwrap(), r#"[2,{"c":3}]"#);
        assert_eq!(json(text, "$.s.*.b[1].c").unwrap(), "[3]");
        assert_eq!(json(text, "$.o.*").unwrap(), r#"[[1.0],"m"]"#);
        assert_eq!(json(text, "$.e[*].a").unwrap(), "[]");
        assert_eq!((json(text, "$.n[*]"), json(text, "$.no[*].a"), json("[1,", "$[*]")), (None, None, None));
        assert_eq!((scalar(text, "$.s[*].a"), scalar(text, "$.o[*]")), (None, None));
        assert_eq!(JsonPath::parse("$.s[*].b").unwrap().size(text), Some(3));
    }

    proptest! {
        #[test]
        fn any_text_and_any_path_are_survived(text in "\\PC*|[\\[\\]{},:\"a1]{0,12}", path in "\\PC*|\\$(\\[\\*\\]|\\.a|\\[0\\]){0,3}") {
            if let Some(path) = JsonPath::parse(&path) {
                path.scalar(&text);
                path.json(&text);
                path.size(&text);
            }
        }

        #[test]
        fn whatever_was_put_in_comes_out(key in "\\PC{0,8}", value in "\\PC*", other in "\\PC{0,8}") {
            let text = serde_json::json!({ "before": [other], key.clone(): { "x": [0, value.clone()] } });
            let quoted = key.replace('\\', "\\\\").replace('"', "\\\"");
            let path = format!("$[\"{quoted}\"].x[1]");
            if key != "before" {
                prop_assert_eq!(scalar(&text.to_string(), &path), Some(value));
            }
        }
    }
}
