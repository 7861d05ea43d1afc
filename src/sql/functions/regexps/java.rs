//! Java's regular expressions in the spelling of the `regex` crate.
//!
//! Both mean the same by nearly all that people write. What the crate spells differently is rewritten here;
//! what it cannot do, since it never goes back in a text, is an error that says so.

use std::fmt::Write as _;
use std::iter::Peekable;
use std::str::Chars;

/// The pattern that the `regex` crate reads.
pub(super) fn to_rust(pattern: &str) -> Result<String, String> {
    let mut translation = Translation { rest: pattern.chars().peekable(), out: String::new() };
    translation.pattern()?;
    Ok(translation.out)
}

struct Translation<'a> {
    rest: Peekable<Chars<'a>>,
    out: String,
}

fn unsupported(what: &str, instead: &str) -> String {
    format!("{what} is not supported by trailq's regular expressions; {instead}")
}

impl Translation<'_> {
    fn pattern(&mut self) -> Result<(), String> {
        while let Some(character) = self.rest.next() {
            match character {
                '\\' => self.escape(false)?,
                '[' => self.class()?,
                '(' => self.group()?,
                '{' => self.brace()?,
                '*' | '+' | '?' => {
                    self.out.push(character);
                    self.possessive()?;
                }
                other => self.out.push(other),
            }
        }
        Ok(())
    }

    /// `{2}`, `{2,}` and `{2,5}` repeat; any other brace is a brace.
    fn brace(&mut self) -> Result<(), String> {
        let mut ahead = self.rest.clone();
        let mut interval = String::from("{");
        while let Some(character) = ahead.next_if(|c| c.is_ascii_digit() || *c == ',') {
            interval.push(character);
        }
        let begins_with_digit = interval.as_bytes().get(1).is_some_and(u8::is_ascii_digit);
        if !begins_with_digit || interval.matches(',').count() > 1 || ahead.next() != Some('}') {
            self.out.push_str("\\{");
            return Ok(());
        }
        self.rest = ahead;
        self.out.push_str(&interval);
        self.out.push('}');
        self.possessive()
    }

    /// A `+` after a repetition: Java would not give back what it took.
    fn possessive(&mut self) -> Result<(), String> {
        if self.rest.peek() == Some(&'+') {
            return Err(unsupported("a possessive quantifier ('++', '*+', '?+')", "use '+', '*' or '?'"));
        }
        Ok(())
    }

    fn group(&mut self) -> Result<(), String> {
        self.out.push('(');
        if self.rest.next_if_eq(&'?').is_none() {
            return Ok(());
        }
        let mut ahead = self.rest.clone();
        match (ahead.next(), ahead.next()) {
            (Some('=' | '!'), _) => {
                Err(unsupported("look-ahead ('(?=', '(?!')", "use a second regexp_like, with NOT for '(?!'"))
            }
            (Some('<'), Some('=' | '!')) => {
                Err(unsupported("look-behind ('(?<=', '(?<!')", "use a group and regexp_extract(…, …, 1)"))
            }
            (Some('>'), _) => Err(unsupported("an atomic group ('(?>')", "use '(?:'")),
            (Some('#'), _) => {
                self.out.pop();
                self.rest.by_ref().take_while(|c| *c != ')').for_each(drop);
                Ok(())
            }
            _ => {
                self.out.push('?');
                Ok(())
            }
        }
    }

    /// What follows a backslash, in a class or outside.
    fn escape(&mut self, in_class: bool) -> Result<(), String> {
        let Some(character) = self.rest.next() else {
            return Err("a backslash at the end".to_owned());
        };
        match character {
            'd' | 'D' | 'w' | 'W' | 's' | 'S' | 'n' | 'r' | 't' | 'f' | 'v' | 'a' => self.keep(character),
            'b' if in_class => self.out.push_str("\\x08"),
            'b' | 'B' | 'A' | 'z' if !in_class => self.keep(character),
            // The crate knows no end but the very end.
            'Z' if !in_class => self.out.push_str("\\z"),
            'e' => self.out.push_str("\\x1B"),
            'x' | 'u' => self.code(character)?,
            'c' => match self.rest.next() {
                Some(control) if control.is_ascii() => self.code_point(u32::from(control) & 31),
                _ => return Err("'\\c' without a letter".to_owned()),
            },
            '0' => self.octal()?,
            '1'..='9' if in_class => self.literal(character),
            '1'..='9' => return Err(back_reference(&format!("\\{character}"))),
            'k' if !in_class && self.rest.peek() == Some(&'<') => return Err(back_reference("\\k<name>")),
            'G' if !in_class => return Err(unsupported("'\\G'", "use regexp_extract_all")),
            'Q' => self.quoted(),
            'p' | 'P' => self.property(character),
            other => self.literal(other),
        }
        Ok(())
    }

    fn keep(&mut self, character: char) {
        self.out.push('\\');
        self.out.push(character);
    }

    /// A character that means itself: of ASCII's letters, those that mean nothing in Java either.
    fn literal(&mut self, character: char) {
        if character.is_ascii_punctuation() && !matches!(character, '<' | '>' | '_') {
            self.out.push('\\');
        }
        self.out.push(character);
    }

    fn code_point(&mut self, code: u32) {
        let _ = write!(self.out, "\\x{{{code:X}}}");
    }

    /// `\x41`, `\x{1F600}` and `\u0041`.
    fn code(&mut self, kind: char) -> Result<(), String> {
        let braced = kind == 'x' && self.rest.next_if_eq(&'{').is_some();
        let most = match (kind, braced) {
            ('x', true) => 8,
            ('x', false) => 2,
            _ => 4,
        };
        let mut digits = String::new();
        while let Some(digit) = self.rest.next_if(|c| digits.len() < most && c.is_ascii_hexdigit()) {
            digits.push(digit);
        }
        let closed = !braced || self.rest.next_if_eq(&'}').is_some();
        match u32::from_str_radix(&digits, 16) {
            Ok(code) if closed && (kind == 'x' || digits.len() == 4) => self.code_point(code),
            _ => return Err(format!("'\\{kind}' without the digits of a character")),
        }
        Ok(())
    }

    fn octal(&mut self) -> Result<(), String> {
        let mut code = 0;
        for _ in 0..3 {
            let Some(digit) = self.rest.next_if(|c| ('0'..='7').contains(c)) else { break };
            code = code * 8 + digit.to_digit(8).unwrap_or(0);
        }
        if code > 0o377 {
            return Err("'\\0' with a number above 377".to_owned());
        }
        self.code_point(code);
        Ok(())
    }

    /// Up to `\E`, all is itself.
    fn quoted(&mut self) {
        while let Some(character) = self.rest.next() {
            if character == '\\' && self.rest.next_if_eq(&'E').is_some() {
                return;
            }
            self.literal(character);
        }
    }

    /// `\p{Alpha}`: the names that Java has and Unicode has not.
    fn property(&mut self, kind: char) {
        if self.rest.next_if_eq(&'{').is_none() {
            self.out.push('\\');
            self.out.push(kind);
            return;
        }
        let mut name: String = self.rest.by_ref().take_while(|c| *c != '}').collect();
        let mut negated = kind == 'P';
        if let Some(positive) = name.strip_prefix('^') {
            (name, negated) = (positive.to_owned(), !negated);
        }
        let lower = name.to_ascii_lowercase();
        let caret = if negated { "^" } else { "" };
        let class = match lower.as_str() {
            "alnum" => "\\p{Alphabetic}\\p{Nd}",
            "alpha" => "\\p{Alphabetic}",
            "blank" => "\\p{Zs}\\t",
            "cntrl" => "\\p{Cc}",
            "digit" => "\\p{Nd}",
            "graph" => "\\p{L}\\p{M}\\p{N}\\p{P}\\p{S}",
            "print" => "\\p{L}\\p{M}\\p{N}\\p{P}\\p{S}\\p{Zs}",
            "punct" => "\\p{P}\\p{S}",
            "space" => "\\s",
            "upper" => "\\p{Uppercase}",
            "lower" => "\\p{Lowercase}",
            "xdigit" => "0-9A-Fa-f",
            "word" => "\\w",
            "ascii" => "\\x00-\\x7F",
            _ => {
                let bare = name.strip_prefix("Is").or_else(|| name.strip_prefix("In"));
                let name =
                    bare.filter(|bare| bare.starts_with(|c: char| c.is_ascii_uppercase())).unwrap_or(&name);
                let letter = if negated { 'P' } else { 'p' };
                let _ = write!(self.out, "\\{letter}{{{name}}}");
                return;
            }
        };
        let _ = write!(self.out, "[{caret}{class}]");
    }

    /// `[…]`: what stands in it is written one by one, so that nothing means more than it does in Java.
    fn class(&mut self) -> Result<(), String> {
        self.out.push('[');
        if self.rest.next_if_eq(&'^').is_some() {
            self.out.push('^');
        }
        let mut first = true;
        // Whether a range may begin with what was written last.
        let mut single = false;
        while let Some(character) = self.rest.next() {
            match character {
                ']' if !first => {
                    self.out.push(']');
                    return Ok(());
                }
                '[' if self.rest.peek() == Some(&':') && self.posix_class() => single = false,
                '[' => {
                    self.class()?;
                    single = false;
                }
                '&' if self.rest.peek() == Some(&'&') => {
                    self.rest.next();
                    self.out.push_str("&&");
                    single = false;
                }
                '-' => {
                    let range = single && self.begins_single();
                    self.out.push_str(if range { "-" } else { "\\-" });
                    single = false;
                    if range {
                        self.class_single()?;
                    }
                }
                '\\' => {
                    single = self.rest.peek().is_some_and(|next| {
                        !matches!(next, 'd' | 'D' | 'w' | 'W' | 's' | 'S' | 'p' | 'P' | 'Q')
                    });
                    self.escape(true)?;
                }
                other => {
                    self.literal(other);
                    single = true;
                }
            }
            first = false;
        }
        Err("a '[' that is not closed".to_owned())
    }

    /// `[:alpha:]` within a class.
    fn posix_class(&mut self) -> bool {
        let mut ahead = self.rest.clone();
        ahead.next();
        let name: String = ahead.by_ref().take_while(|c| *c != ':').collect();
        if ahead.next() != Some(']') {
            return false;
        }
        self.rest = ahead;
        let (kind, name) = name.strip_prefix('^').map_or(('p', name.as_str()), |name| ('P', name));
        let spelled = format!("{{{name}}}");
        let mut inner = Translation { rest: spelled.chars().peekable(), out: String::new() };
        inner.property(kind);
        self.out.push_str(&inner.out);
        true
    }

    /// Whether a single character follows, with which a range may end.
    fn begins_single(&self) -> bool {
        let mut ahead = self.rest.clone();
        match ahead.next() {
            None | Some(']' | '[') => false,
            Some('&') => ahead.next() != Some('&'),
            Some('\\') => ahead.next().is_some_and(|next| !"dDwWsSpPQ".contains(next)),
            Some(_) => true,
        }
    }

    fn class_single(&mut self) -> Result<(), String> {
        match self.rest.next() {
            Some('\\') => self.escape(true),
            Some(character) => {
                self.literal(character);
                Ok(())
            }
            None => Ok(()),
        }
    }
}

fn back_reference(written: &str) -> String {
    unsupported(&format!("a back reference ('{written}')"), "compare two regexp_extract(…) instead")
}

#[cfg(test)]
mod tests {
    use super::super::compile::regex;
    use super::*;

    #[test]
    fn what_java_means_is_what_matches() {
        for (pattern, text, expected) in [
            (r"^(Put|Attach|Create).*(Policy|User|Role)$", "CreateRole", true),
            (r"[\w-\.]+@[\w-]+", "a.b-c@d-e", true),
            (r"^[\w-.]+$", "a.b-c", true),
            (r"^[a-\d]+$", "a-7", true),
            (r"^[+--]$", ",", true),
            (r"^[a-z&&[^b]]$", "b", false),
            (r"^[a-c[x-z]]+$", "axz", true),
            (r"^\Qa.b*\E$", "a.b*", true),
            (r"^\Qa.b", "axb", false),
            (r#"{"key":"v"}"#, r#"{"key":"v"}"#, true),
            (r"a{2}", "aa", true),
            (r"^a{x}$", "a{x}", true),
            (r"^a{,2}$", "a{,2}", true),
            (r"\<b\>", "<b>", true),
            (r"^\p{Alpha}+\p{Punct}$", "abc$", true),
            (r"^[\p{Alnum}_]+$", "aé1_", true),
            (r"^[[:alpha:]_]+$", "ab_", true),
            (r"^\p{IsLatin}+$", "é", true),
            (r"^\x41\u0042\0103$", "ABC", true),
            (r"\/\-\_\:\@\ \=\%\#\é", "/-_:@ =%#é", true),
            (r"(?i)get", "GET", true),
            (r"(?<verb>Get)Object", "GetObject", true),
            (r"a(?# comment )b", "ab", true),
            (r"^[]a]+$", "]a", true),
            (r"^[^]]+$", "a", true),
            (r"a\++", "a++", true),
            (r"^[\]\[\-]+$", "[-]", true),
            (r"^[*+?.{}()|^$~]+$", "*+?.{}()|^$~", true),
            (r"^.$", "\n", false),
            (r"(?m)^b$", "a\nb\nc", true),
            (r"\bRoot\b", "a Root b", true),
            (r"[ #]", "#", true),
            (r"^[a-]$", "-", true),
        ] {
            assert_eq!(
                regex(pattern).is_match(text),
                expected,
                "{pattern} {text}: {}",
                to_rust(pattern).unwrap()
            );
        }
    }

    #[test]
    fn what_needs_to_go_back_in_the_text_is_an_error_that_says_so() {
        for (pattern, what) in [
            ("a(?=b)", "look-ahead"),
            ("a(?!b)", "look-ahead"),
            ("(?<=a)b", "look-behind"),
            ("(?<!a)b", "look-behind"),
            ("(?>a)b", "atomic"),
            (r"(a)\1", "back reference"),
            (r"(?<x>a)\k<x>", "back reference"),
            ("a++", "possessive"),
            ("a{2}+", "possessive"),
        ] {
            let error = to_rust(pattern).unwrap_err();
            assert!(error.contains(what) && error.contains("is not supported"), "{pattern}: {error}");
        }
        for pattern in ["a\\", "[a", r"\xZZ", r"\u00", r"\x{110000}", r"\p{", "\\c", "(", "*a"] {
            let compiled =
                to_rust(pattern).and_then(|rust| regex::Regex::new(&rust).map_err(|e| e.to_string()));
            assert!(compiled.is_err(), "{pattern}");
        }
    }
}
