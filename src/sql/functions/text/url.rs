//! URLs as Java's `URI` reads them: what is no URL gives NULL, and a part that it does not have, ''.

use std::borrow::Cow;

use arrow::array::ArrayRef;
use arrow::datatypes::{DataType, Int64Type};
use datafusion::common::{Result, exec_err};
use datafusion::logical_expr::ScalarUDF;
use percent_encoding::percent_decode_str;

use super::super::scalar::{Arguments, Function, Kind, put};

/// The functions of this file.
pub(super) fn scalar() -> Vec<ScalarUDF> {
    const ONE: &[&[Kind]] = &[&[Kind::Text]];
    const TWO: &[&[Kind]] = &[&[Kind::Text, Kind::Text]];
    vec![
        part("url_extract_protocol", |url| url.scheme.into()),
        part("url_extract_host", |url| url.host().into()),
        part("url_extract_path", |url| decoded(url.path)),
        part("url_extract_query", |url| decoded(url.query)),
        part("url_extract_fragment", |url| decoded(url.fragment)),
        Function::new("url_extract_port", ONE, DataType::Int64, |args| {
            let urls = args.text(0)?;
            args.to_numbers::<Int64Type, _>(|row| {
                Ok(urls.at(row).and_then(Url::parse).and_then(|url| url.port()))
            })
        })
        .into(),
        Function::new("url_extract_parameter", TWO, DataType::Utf8, parameter).into(),
        Function::new("url_encode", ONE, DataType::Utf8, url_encode).into(),
        Function::new("url_decode", ONE, DataType::Utf8, url_decode).into(),
    ]
}

fn part(name: &'static str, of: for<'a> fn(&Url<'a>) -> Cow<'a, str>) -> ScalarUDF {
    Function::new(name, &[&[Kind::Text]], DataType::Utf8, move |args| {
        let urls = args.text(0)?;
        args.to_texts(|row, out| urls.at(row).and_then(Url::parse).map(|url| put(out, &of(&url))).transpose())
    })
    .into()
}

fn decoded(text: &str) -> Cow<'_, str> {
    percent_decode_str(text).decode_utf8_lossy()
}

fn parameter(args: &Arguments) -> Result<ArrayRef> {
    let (urls, names) = (args.text(0)?, args.text(1)?);
    args.to_texts(|row, out| {
        let (Some(url), Some(name)) = (urls.at(row).and_then(Url::parse), names.at(row)) else {
            return Ok(None);
        };
        let pairs = url.query.split('&').map(|pair| pair.split_once('=').unwrap_or((pair, "")));
        let value = pairs.map(|(key, value)| (decoded(key), value)).find(|(key, _)| key == name);
        value.filter(|_| !url.query.is_empty()).map(|(_, value)| put(out, &decoded(value))).transpose()
    })
}

/// The parts of a URL, as they are written.
#[derive(Default)]
struct Url<'a> {
    scheme: &'a str,
    authority: &'a str,
    path: &'a str,
    query: &'a str,
    fragment: &'a str,
}

impl<'a> Url<'a> {
    fn parse(text: &'a str) -> Option<Self> {
        if !text.chars().all(is_legal) || !escapes_are_whole(text) {
            return None;
        }
        let (rest, fragment) = text.split_once('#').unwrap_or((text, ""));
        if fragment.contains('#') {
            return None;
        }
        let (rest, query) = rest.split_once('?').unwrap_or((rest, ""));
        let colon = rest.find(':').filter(|colon| !rest[..*colon].contains('/'));
        let (scheme, rest) = match colon {
            Some(colon) if is_scheme(&rest[..colon]) && rest.len() + query.len() > colon + 1 => {
                (&rest[..colon], &rest[colon + 1..])
            }
            Some(_) => return None,
            None => ("", rest),
        };
        // mailto:a@b has neither path nor query.
        if !scheme.is_empty() && !rest.starts_with('/') {
            return Some(Self { scheme, fragment, ..Self::default() });
        }
        let (authority, path) = match rest.strip_prefix("//") {
            Some(rest) => rest.split_at(rest.find('/').unwrap_or(rest.len())),
            None => ("", rest),
        };
        if path.contains(['[', ']']) {
            return None;
        }
        Some(Self { scheme, authority, path, query, fragment })
    }

    fn host_and_port(&self) -> (&'a str, &'a str) {
        let server = self.authority.rsplit_once('@').map_or(self.authority, |(_, server)| server);
        match server.rfind(':').filter(|colon| !server[*colon..].contains(']')) {
            Some(colon) => (&server[..colon], &server[colon + 1..]),
            None => (server, ""),
        }
    }

    /// Java has no host where its name is not one of a server's.
    fn host(&self) -> &'a str {
        let (host, port) = self.host_and_port();
        let address = host.starts_with('[') && host.ends_with(']');
        let named = host.bytes().all(|b| b.is_ascii_alphanumeric() || matches!(b, b'-' | b'.'))
            && !host.starts_with(['-', '.']);
        if (address || named) && port.bytes().all(|b| b.is_ascii_digit()) { host } else { "" }
    }

    fn port(&self) -> Option<i64> {
        if self.host().is_empty() { None } else { self.host_and_port().1.parse().ok() }
    }
}

fn is_scheme(text: &str) -> bool {
    text.starts_with(|c: char| c.is_ascii_alphabetic())
        && text.bytes().all(|b| b.is_ascii_alphanumeric() || matches!(b, b'+' | b'-' | b'.'))
}

fn is_legal(c: char) -> bool {
    if c.is_ascii() {
        return c.is_ascii_alphanumeric() || "-_.!~*'();/?:@&=+$,[]%#".contains(c);
    }
    !c.is_control() && !c.is_whitespace()
}

fn escapes_are_whole(text: &str) -> bool {
    text.split('%')
        .skip(1)
        .all(|rest| rest.as_bytes().get(..2).is_some_and(|digits| digits.iter().all(u8::is_ascii_hexdigit)))
}

/// As a form's field.
fn url_encode(args: &Arguments) -> Result<ArrayRef> {
    const DIGITS: &[u8; 16] = b"0123456789ABCDEF";
    let texts = args.text(0)?;
    let mut encoded = String::new();
    args.to_texts(|row, out| {
        let Some(text) = texts.at(row) else { return Ok(None) };
        encoded.clear();
        for byte in text.bytes() {
            match byte {
                b' ' => encoded.push('+'),
                byte if byte.is_ascii_alphanumeric() || b"-_.*".contains(&byte) => {
                    encoded.push(char::from(byte));
                }
                byte => {
                    encoded.push('%');
                    encoded.push(char::from(DIGITS[usize::from(byte >> 4)]));
                    encoded.push(char::from(DIGITS[usize::from(byte & 15)]));
                }
            }
        }
        put(out, &encoded).map(Some)
    })
}

fn url_decode(args: &Arguments) -> Result<ArrayRef> {
    let texts = args.text(0)?;
    args.to_texts(|row, out| {
        let Some(text) = texts.at(row) else { return Ok(None) };
        if !escapes_are_whole(text) {
            return exec_err!("INVALID_FUNCTION_ARGUMENT: URLDecoder: Illegal hex characters in escape (%) pattern: '{text}'");
        }
        put(out, &decoded(&text.replace('+', " "))).map(Some)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn parts_are_those_of_javas_uri() {
        let url = Url::parse("https://me@console.aws.amazon.com:8443/console/home?state=x&y#top").unwrap();
        let parts = (url.scheme, url.host(), url.port(), url.path, url.query, url.fragment);
        assert_eq!(
            parts,
            ("https", "console.aws.amazon.com", Some(8443), "/console/home", "state=x&y", "top")
        );
        let url = Url::parse("foo").unwrap();
        assert_eq!((url.scheme, url.host(), url.port(), url.path), ("", "", None, "foo"));
        let url = Url::parse("mailto:a@b.example").unwrap();
        assert_eq!((url.scheme, url.host(), url.path), ("mailto", "", ""));
        assert_eq!(Url::parse("http://[2001:db8::1]:80/x").unwrap().host(), "[2001:db8::1]");
        assert_eq!(Url::parse("http://a_b.example/").unwrap().host(), "");
        for text in ["http://not a url", "foo bar", "http://x/%zz", "http://x/{y}", ":x", "http:", "a#b#c"] {
            assert!(Url::parse(text).is_none(), "{text}");
        }
    }
}
