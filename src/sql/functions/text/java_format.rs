//! Java's `String.format`: the pattern, `%-10s|%,.2f`, and how it writes a value.

use std::fmt::Write as _;

use super::super::float_text::java_text;

/// A value as Java sees it.
#[derive(Clone, Debug)]
pub(super) enum Value {
    Null,
    /// `String`, also of what is only written as text.
    Text(String),
    /// `Long`.
    Integer(i64),
    /// `Double`.
    Double(f64),
    /// `BigDecimal`: its digits.
    Decimal(String),
    /// `Boolean`.
    Boolean(bool),
}

/// A pattern, once it is read.
#[derive(Debug)]
pub(super) struct Format {
    pieces: Vec<Piece>,
}

#[derive(Debug)]
enum Piece {
    Literal(String),
    Value(Specifier),
}

#[derive(Clone, Debug, Default)]
struct Specifier {
    index: usize,
    flags: String,
    width: usize,
    precision: Option<usize>,
    conversion: char,
}

/// Wider than anybody wants.
const LARGEST_WIDTH: usize = 1 << 20;

impl Format {
    /// Reads a pattern. The error is Java's.
    pub(super) fn parse(text: &str) -> Result<Self, String> {
        let mut pieces = Vec::new();
        let mut rest = text;
        let mut ordinary = 0;
        while let Some(at) = rest.find('%') {
            pieces.push(Piece::Literal(rest[..at].to_owned()));
            let (mut specifier, length) = Specifier::parse(&rest[at + 1..])?;
            if specifier.index == 0 && !matches!(specifier.conversion, '%' | 'n') {
                ordinary += 1;
                specifier.index = ordinary;
            }
            pieces.push(Piece::Value(specifier));
            rest = &rest[at + 1 + length..];
        }
        pieces.push(Piece::Literal(rest.to_owned()));
        Ok(Self { pieces })
    }

    /// Writes values by the pattern.
    pub(super) fn write(&self, values: &[Value]) -> Result<String, String> {
        let mut out = String::new();
        for piece in &self.pieces {
            match piece {
                Piece::Literal(text) => out.push_str(text),
                Piece::Value(specifier) => specifier.write(values, &mut out)?,
            }
        }
        Ok(out)
    }
}

impl Specifier {
    /// What follows a `%`, and how long it is.
    fn parse(text: &str) -> Result<(Self, usize), String> {
        let unknown = || {
            let shown = text.chars().next().unwrap_or('%');
            format!("UnknownFormatConversion: Conversion = '{shown}'")
        };
        let mut specifier = Self::default();
        let mut at = 0;
        let digits = |at: usize| text[at..].bytes().take_while(u8::is_ascii_digit).count();
        let number =
            |from: usize, to: usize| text[from..to].parse::<usize>().ok().filter(|n| *n <= LARGEST_WIDTH);
        let length = digits(0);
        if length > 0 && text[length..].starts_with('$') {
            specifier.index = number(0, length).ok_or_else(unknown)?;
            at = length + 1;
        }
        let flags = text[at..].bytes().take_while(|b| b"-#+ 0,(".contains(b)).count();
        text[at..at + flags].clone_into(&mut specifier.flags);
        at += flags;
        let length = digits(at);
        if length > 0 {
            specifier.width = number(at, at + length).ok_or_else(unknown)?;
            at += length;
        }
        if text[at..].starts_with('.') {
            let length = digits(at + 1);
            specifier.precision = Some(number(at + 1, at + 1 + length).ok_or_else(unknown)?);
            at += 1 + length;
        }
        let conversion = text[at..].chars().next().ok_or_else(unknown)?;
        if !"sSdoxXfeEgGbB%n".contains(conversion) {
            return Err(format!("UnknownFormatConversion: Conversion = '{conversion}'"));
        }
        specifier.conversion = conversion;
        specifier.check()?;
        Ok((specifier, at + 1))
    }

    fn check(&self) -> Result<(), String> {
        let has = |flag: char| self.flags.contains(flag);
        if self.precision.is_some() && "doxXn%".contains(self.conversion) {
            return Err(format!("IllegalFormatPrecision: {}", self.precision.unwrap_or_default()));
        }
        if (has('-') || has('0')) && self.width == 0 {
            return Err(format!("MissingFormatWidth: %{}{}", self.flags, self.conversion));
        }
        if (has('-') && has('0')) || (has('+') && has(' ')) {
            return Err(format!("IllegalFormatFlags: Flags = '{}'", self.flags));
        }
        Ok(())
    }

    fn write(&self, values: &[Value], out: &mut String) -> Result<(), String> {
        let text = match self.conversion {
            '%' => "%".to_owned(),
            'n' => "\n".to_owned(),
            _ => {
                let value = values.get(self.index - 1).ok_or_else(|| {
                    format!("MissingFormatArgument: Format specifier '%{}'", self.conversion)
                })?;
                self.text(value)?
            }
        };
        let text = if self.conversion.is_ascii_uppercase() { text.to_uppercase() } else { text };
        let missing = self.width.saturating_sub(text.chars().count());
        let blanks = " ".repeat(missing);
        let _ = if self.flags.contains('-') {
            write!(out, "{text}{blanks}")
        } else {
            write!(out, "{blanks}{text}")
        };
        Ok(())
    }

    fn text(&self, value: &Value) -> Result<String, String> {
        let mismatch =
            |class: &str| Err(format!("IllegalFormatConversion: {} != java.{class}", self.conversion));
        match (self.conversion.to_ascii_lowercase(), value) {
            ('b', Value::Boolean(value)) => Ok(self.cut(&value.to_string())),
            ('b', value) => Ok(self.cut(if matches!(value, Value::Null) { "false" } else { "true" })),
            ('s', value) => Ok(self.cut(&as_text(value))),
            (_, Value::Null) => Ok(self.cut("null")),
            ('d', Value::Integer(value)) => {
                Ok(self.signed(*value < 0, &self.grouped(&value.unsigned_abs().to_string())))
            }
            ('x', Value::Integer(value)) => Ok(self.unsigned(&format!("{value:x}"), "0x")),
            ('o', Value::Integer(value)) => Ok(self.unsigned(&format!("{value:o}"), "0")),
            ('f' | 'e' | 'g', Value::Double(value)) if !value.is_finite() => {
                let name = if value.is_nan() { "NaN" } else { "Infinity" };
                Ok(self.sign(*value < 0.0, name))
            }
            ('f' | 'e' | 'g', Value::Double(value)) => {
                Ok(self.real(value.is_sign_negative(), &format!("{}", value.abs())))
            }
            ('f' | 'e' | 'g', Value::Decimal(value)) => {
                Ok(self.real(value.starts_with('-'), value.trim_start_matches('-')))
            }
            (_, Value::Text(_)) => mismatch("lang.String"),
            (_, Value::Integer(_)) => mismatch("lang.Long"),
            (_, Value::Double(_)) => mismatch("lang.Double"),
            (_, Value::Decimal(_)) => mismatch("math.BigDecimal"),
            (_, Value::Boolean(_)) => mismatch("lang.Boolean"),
        }
    }

    fn cut(&self, text: &str) -> String {
        text.chars().take(self.precision.unwrap_or(usize::MAX)).collect()
    }

    fn real(&self, negative: bool, digits: &str) -> String {
        let precision = self.precision.unwrap_or(6);
        let text = match self.conversion.to_ascii_lowercase() {
            'f' => self.grouped(&fixed(digits, precision)),
            'e' => scientific(digits, precision),
            _ => {
                let precision = precision.max(1);
                match exponent(&scientific(digits, precision - 1)) {
                    _ if digits.bytes().all(|b| matches!(b, b'0' | b'.')) => fixed(digits, precision - 1),
                    exponent if (-4..i64::try_from(precision).unwrap_or(i64::MAX)).contains(&exponent) => {
                        let places = i64::try_from(precision).unwrap_or(0) - exponent - 1;
                        self.grouped(&fixed(digits, usize::try_from(places).unwrap_or(0)))
                    }
                    _ => scientific(digits, precision - 1),
                }
            }
        };
        self.signed(negative, &text)
    }

    fn grouped(&self, number: &str) -> String {
        if !self.flags.contains(',') {
            return number.to_owned();
        }
        let (whole, part) = number.split_at(number.find('.').unwrap_or(number.len()));
        let mut out = String::new();
        for (index, digit) in whole.chars().enumerate() {
            if index > 0 && (whole.len() - index) % 3 == 0 {
                out.push(',');
            }
            out.push(digit);
        }
        out + part
    }

    /// With its sign, and zeros between it and the number if they are asked for.
    fn signed(&self, negative: bool, number: &str) -> String {
        let plain = self.sign(negative, number);
        if !self.flags.contains('0') {
            return plain;
        }
        let zeros = "0".repeat(self.width.saturating_sub(plain.chars().count()));
        self.sign(negative, &format!("{zeros}{number}"))
    }

    fn sign(&self, negative: bool, number: &str) -> String {
        match negative {
            true if self.flags.contains('(') => format!("({number})"),
            true => format!("-{number}"),
            false if self.flags.contains('+') => format!("+{number}"),
            false if self.flags.contains(' ') => format!(" {number}"),
            false => number.to_owned(),
        }
    }

    fn unsigned(&self, digits: &str, prefix: &str) -> String {
        let prefix = if self.flags.contains('#') { prefix } else { "" };
        if !self.flags.contains('0') {
            return format!("{prefix}{digits}");
        }
        let zeros = "0".repeat(self.width.saturating_sub(prefix.len() + digits.len()));
        format!("{prefix}{zeros}{digits}")
    }
}

fn as_text(value: &Value) -> String {
    match value {
        Value::Null => "null".to_owned(),
        Value::Text(text) | Value::Decimal(text) => text.clone(),
        Value::Integer(value) => value.to_string(),
        Value::Double(value) => double_text(*value),
        Value::Boolean(value) => value.to_string(),
    }
}

/// Java's `Double.toString`.
fn double_text(value: f64) -> String {
    let mut text = String::new();
    java_text(&mut text, value);
    text
}

/// A decimal number without sign, half up to so many places.
fn fixed(number: &str, places: usize) -> String {
    let (whole, part) = number.split_once('.').unwrap_or((number, ""));
    let kept: String = part.chars().chain(std::iter::repeat('0')).take(places).collect();
    let mut digits: Vec<u8> = whole.bytes().chain(kept.bytes()).collect();
    if part.as_bytes().get(places).is_some_and(|digit| *digit >= b'5') {
        increment(&mut digits);
    }
    let split = digits.len() - places;
    let text: String = digits.into_iter().map(char::from).collect();
    if places == 0 { text } else { format!("{}.{}", &text[..split], &text[split..]) }
}

fn increment(digits: &mut Vec<u8>) {
    for digit in digits.iter_mut().rev() {
        if *digit < b'9' {
            *digit += 1;
            return;
        }
        *digit = b'0';
    }
    digits.insert(0, b'1');
}

/// `1.234560e+01`.
fn scientific(number: &str, places: usize) -> String {
    let (whole, part) = number.split_once('.').unwrap_or((number, ""));
    let digits: Vec<u8> = whole.bytes().chain(part.bytes()).collect();
    let first = digits.iter().position(|digit| *digit != b'0');
    let mut exponent = match first {
        Some(first) => i64::try_from(whole.len()).unwrap_or(0) - 1 - i64::try_from(first).unwrap_or(0),
        None => 0,
    };
    let significant: String = digits[first.unwrap_or(0)..].iter().copied().map(char::from).collect();
    let (one, rest) = significant.split_at(1);
    let mut mantissa = fixed(&format!("{one}.{rest}"), places);
    if mantissa.starts_with("10") {
        exponent += 1;
        mantissa = fixed("1", places);
    }
    let sign = if exponent < 0 { '-' } else { '+' };
    format!("{mantissa}e{sign}{:02}", exponent.abs())
}

fn exponent(scientific: &str) -> i64 {
    scientific.split_once('e').and_then(|(_, exponent)| exponent.parse().ok()).unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn format(pattern: &str, values: &[Value]) -> Result<String, String> {
        Format::parse(pattern)?.write(values)
    }

    #[test]
    #[allow(clippy::approx_constant, reason = "any number will do")]
    fn patterns_are_those_of_java() {
        let values = [
            Value::Integer(1_234_567),
            Value::Double(3.14159),
            Value::Text("abc".to_owned()),
            Value::Decimal("-12.345".to_owned()),
            Value::Null,
            Value::Integer(-42),
            Value::Double(1e9),
        ];
        for (pattern, text) in [
            ("%d", "1234567"),
            ("%,d", "1,234,567"),
            ("%1$010d|%1$-10d|%1$+d", "0001234567|1234567   |+1234567"),
            ("%2$.2f|%2$10.3f|%2$f|%2$.0f", "3.14|     3.142|3.141590|3"),
            ("%3$s|%3$5s|%3$-5s|%3$.2s|%3$S", "abc|  abc|abc  |ab|ABC"),
            ("%4$.2f|%4$s|%4$(.1f|%4$08.1f", "-12.35|-12.345|(12.3)|-00012.3"),
            ("%5$s|%5$d|%5$b", "null|null|false"),
            ("%6$d|%6$06d|%6$(d|%6$x", "-42|-00042|(42)|ffffffffffffffd6"),
            ("%7$s|%7$,.1f|%7$e|%7$g", "1.0E9|1,000,000,000.0|1.000000e+09|1.00000e+09"),
            ("100%%%n", "100%\n"),
            ("%1$x|%1$#X|%1$o", "12d687|0X12D687|4553207"),
            ("%s %s", "1234567 3.14159"),
        ] {
            assert_eq!(format(pattern, &values).unwrap(), text, "{pattern}");
        }
    }

    #[test]
    fn numbers_are_rounded_half_up() {
        for (number, places, text) in [
            ("0.125", 2, "0.13"),
            ("9.995", 2, "10.00"),
            ("0.5", 0, "1"),
            ("1.005", 2, "1.01"),
            ("2", 3, "2.000"),
        ] {
            assert_eq!(fixed(number, places), text);
        }
        assert_eq!(scientific("0.000123456", 2), "1.23e-04");
        assert_eq!(scientific("9.999", 2), "1.00e+01");
        assert_eq!(scientific("0", 2), "0.00e+00");
    }

    #[test]
    fn what_java_rejects_is_an_error() {
        let values = [Value::Integer(1), Value::Text("x".to_owned())];
        for (pattern, error) in [
            ("%.2f", "IllegalFormatConversion: f != java.lang.Long"),
            ("%2$d", "IllegalFormatConversion: d != java.lang.String"),
            ("%d %d %d", "IllegalFormatConversion: d != java.lang.String"),
            ("%3$s", "MissingFormatArgument: Format specifier '%s'"),
            ("%", "UnknownFormatConversion: Conversion = '%'"),
            ("%q", "UnknownFormatConversion: Conversion = 'q'"),
            ("%é", "UnknownFormatConversion: Conversion = 'é'"),
            ("%.3d", "IllegalFormatPrecision: 3"),
            ("%-d", "MissingFormatWidth: %-d"),
        ] {
            assert_eq!(format(pattern, &values).unwrap_err(), error, "{pattern}");
        }
        assert!(format("%99999999999999999999d", &values).is_err());
        assert!(format("%0$s", &values).is_ok());
    }
}
