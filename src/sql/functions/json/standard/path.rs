//! Paths of the SQL standard: `lax $.a[*]."b c"[0, 2 to last]`. Filters and methods are not among them.

use super::super::reader::{Reader, unquote};

/// What a path leads to, each as its JSON text.
pub(super) type Items<'a> = Vec<&'a str>;

/// A parsed path.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct SqlPath {
    /// Whether a structure that the path does not expect is an error.
    strict: bool,
    steps: Vec<Step>,
}

#[derive(Debug, PartialEq, Eq)]
enum Step {
    Member(String),
    AnyMember,
    Elements(Vec<(Index, Index)>),
    AnyElement,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Index {
    At(usize),
    BeforeLast(usize),
}

impl SqlPath {
    /// Parses a path, or says why it cannot.
    pub(super) fn parse(text: &str) -> Result<Self, String> {
        let text = text.trim();
        let (mode, rest) = text.split_once(char::is_whitespace).unwrap_or(("", text));
        let (strict, rest) = match mode.to_lowercase().as_str() {
            "strict" => (true, rest),
            "lax" => (false, rest),
            _ => (false, text),
        };
        let mut rest = rest.trim_start().strip_prefix('$').ok_or("it has no '$'")?;
        let mut steps = Vec::new();
        loop {
            rest = rest.trim_start();
            let step;
            (step, rest) = match rest.chars().next() {
                None => return Ok(Self { strict, steps }),
                Some('.') => member(rest[1..].trim_start())?,
                Some('[') => elements(&rest[1..])?,
                Some('?') => return Err("filters are not supported".to_owned()),
                Some(other) => return Err(format!("'{other}' is not expected")),
            };
            steps.push(step);
        }
    }

    /// The values that it leads to in a text, or what is wrong with the text.
    pub(super) fn items<'a>(&self, json: &'a str) -> Result<Items<'a>, String> {
        let mut reader = Reader::new(json);
        let whole = reader.value().filter(|_| reader.is_at_end()).ok_or("it is no JSON")?;
        let mut items = vec![whole];
        for step in &self.steps {
            let mut next = Vec::new();
            for item in items {
                self.follow(step, item, &mut next)?;
            }
            items = next;
        }
        Ok(items)
    }

    fn follow<'a>(&self, step: &Step, item: &'a str, found: &mut Items<'a>) -> Result<(), String> {
        match step {
            Step::Member(_) | Step::AnyMember if item.starts_with('[') && !self.strict => {
                for element in parts(item).into_iter().filter(|(_, element)| element.starts_with('{')) {
                    self.follow(step, element.1, found)?;
                }
                Ok(())
            }
            Step::Member(_) | Step::AnyMember if !item.starts_with('{') => self.unless_strict("an object"),
            Step::Member(name) => {
                let members = parts(item);
                let value = members.into_iter().find(|(key, _)| key.is_some_and(|key| unquote(key) == *name));
                match value {
                    Some((_, value)) => found.push(value),
                    None => return self.unless_strict(&format!("a member '{name}'")),
                }
                Ok(())
            }
            Step::AnyElement if item.starts_with('[') => {
                found.extend(parts(item).into_iter().map(|(_, value)| value));
                Ok(())
            }
            Step::AnyMember => {
                found.extend(parts(item).into_iter().map(|(_, value)| value));
                Ok(())
            }
            Step::AnyElement | Step::Elements(_) if !item.starts_with('[') => {
                self.unless_strict("an array")?;
                let first = |(from, to): &(Index, Index)| from.of(1) == Some(0) || to.of(1) == Some(0);
                if matches!(step, Step::AnyElement)
                    || matches!(step, Step::Elements(all) if all.iter().any(first))
                {
                    found.push(item);
                }
                Ok(())
            }
            Step::AnyElement => Ok(()),
            Step::Elements(ranges) => {
                let elements = parts(item);
                for (from, to) in ranges {
                    let (from, to) = (from.of(elements.len()), to.of(elements.len()));
                    let (Some(from), Some(to)) = (from, to) else {
                        self.unless_strict("an element there")?;
                        continue;
                    };
                    if to >= elements.len() {
                        self.unless_strict("an element there")?;
                    }
                    found.extend(elements.iter().take(to + 1).skip(from).map(|(_, value)| *value));
                }
                Ok(())
            }
        }
    }

    fn unless_strict(&self, wanted: &str) -> Result<(), String> {
        if self.strict { Err(format!("there is not {wanted}")) } else { Ok(()) }
    }
}

impl Index {
    fn of(self, length: usize) -> Option<usize> {
        match self {
            Self::At(index) => Some(index),
            Self::BeforeLast(back) => length.checked_sub(1 + back),
        }
    }
}

/// The elements of an array, or the members of an object with their keys in quotes. The text is known to be JSON.
fn parts(container: &str) -> Vec<(Option<&str>, &str)> {
    let mut parts = Vec::new();
    let mut reader = Reader::new(container);
    let is_object = reader.peek() == Some(b'{');
    let close = if is_object { b'}' } else { b']' };
    let mut next = || {
        let first = parts.is_empty();
        if first {
            reader.expect(if is_object { b'{' } else { b'[' })?;
        }
        if reader.next_is(close)? {
            return None;
        }
        if !first {
            reader.expect(b',')?;
        }
        let key = if is_object { Some(reader.key()?) } else { None };
        parts.push((key, reader.value()?));
        Some(())
    };
    while next().is_some() {}
    parts
}

fn member(text: &str) -> Result<(Step, &str), String> {
    if let Some(rest) = text.strip_prefix('*') {
        return Ok((Step::AnyMember, rest));
    }
    if text.starts_with('"') {
        let mut reader = Reader::new(text);
        let name = reader.string().ok_or("a quoted name has no end")?;
        return Ok((Step::Member(unquote(name).into_owned()), &text[name.len()..]));
    }
    let end = text.find(|c: char| !(c.is_alphanumeric() || c == '_')).unwrap_or(text.len());
    match &text[..end] {
        "" => Err("a name is missing; one with other characters stands in double quotes".to_owned()),
        name if text[end..].starts_with('(') => Err(format!("the method {name}() is not supported")),
        name => Ok((Step::Member(name.to_owned()), &text[end..])),
    }
}

fn elements(text: &str) -> Result<(Step, &str), String> {
    let (inside, rest) = text.split_once(']').ok_or("']' is missing")?;
    if inside.trim() == "*" {
        return Ok((Step::AnyElement, rest));
    }
    let ranges = inside.split(',').map(|range| match range.split_once(" to ") {
        Some((from, to)) => Ok((index(from)?, index(to)?)),
        None => index(range).map(|index| (index, index)),
    });
    Ok((Step::Elements(ranges.collect::<Result<_, String>>()?), rest))
}

fn index(text: &str) -> Result<Index, String> {
    let text = text.trim();
    let number = |text: &str| text.trim().parse().map_err(|_| format!("'{text}' is no index"));
    match text.strip_prefix("last") {
        None => number(text).map(Index::At),
        Some("") => Ok(Index::BeforeLast(0)),
        Some(back) => number(back.trim().strip_prefix('-').unwrap_or("x")).map(Index::BeforeLast),
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn items<'a>(json: &'a str, path: &str) -> Result<Items<'a>, String> {
        SqlPath::parse(path).unwrap().items(json)
    }

    #[test]
    fn lax_paths_go_into_arrays_and_leave_out_what_is_not_there() {
        let json = r#"{"a":[{"b":1},{"b":"x"},{"c":[5,6,7]}],"d e":true,"n":null}"#;
        assert_eq!(items(json, "$.a.b").unwrap(), ["1", "\"x\""]);
        assert_eq!(items(json, "lax $.a[2].c[1 to last]").unwrap(), ["6", "7"]);
        assert_eq!(items(json, "lax $.a[*].c[0, last]").unwrap(), ["5", "7"]);
        assert_eq!(items(json, "lax $.a[last - 2].b").unwrap(), ["1"]);
        assert_eq!(items(json, r#"lax $."d e"[0]"#).unwrap(), ["true"]);
        assert_eq!(items(json, "lax $.*").unwrap().len(), 3);
        for path in ["lax $.x", "lax $.a[9]", "lax $.n.x", "lax $.a.b.c"] {
            assert_eq!(items(json, path).unwrap(), Vec::<&str>::new(), "{path}");
        }
    }

    #[test]
    fn strict_paths_fail_where_the_structure_differs() {
        let json = r#"{"a":[{"b":1}]}"#;
        assert_eq!(items(json, "strict $.a[0].b").unwrap(), ["1"]);
        for path in ["strict $.x", "strict $.a.b", "strict $.a[1]", "strict $[0]"] {
            assert!(items(json, path).is_err(), "{path}");
        }
        assert!(items("{", "lax $").is_err());
    }

    #[test]
    fn what_is_no_path_says_why() {
        for path in ["", "a", "lax a", "$.", "$[", "$[x]", "$.a ? (@ > 1)", "$.a.size()", "$.a-b"] {
            assert!(SqlPath::parse(path).is_err(), "{path}");
        }
    }

    proptest! {
        #[test]
        fn any_text_and_any_path_are_survived(json in "[\\[\\]{},:\"a1]{0,12}", path in "\\$(\\.a|\\[\\*\\]|\\[last\\]|\\.\\*){0,3}") {
            let _ = items(&json, &path);
        }
    }
}
