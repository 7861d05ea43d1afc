//! Reads the text of a type.

use super::Type;

/// More than anybody nests, and few enough for the stack.
const DEEPEST: usize = 64;

/// The type that the whole of `text` is.
pub(super) fn parse(text: &str) -> Option<Type> {
    let mut parser = Parser { tokens: tokens(text)?, at: 0, depth: 0 };
    let parsed = parser.any()?;
    (parser.at == parser.tokens.len()).then_some(parsed)
}

#[derive(Clone, Debug, PartialEq, Eq)]
enum Token {
    Word(String),
    Quoted(String),
    Number(usize),
    Sign(char),
}

fn tokens(text: &str) -> Option<Vec<Token>> {
    let mut tokens = Vec::new();
    let mut rest = text.trim_start();
    while let Some(c) = rest.chars().next() {
        let (token, length) = match c {
            '"' | '`' => quoted(rest, c)?,
            '(' | ')' | '<' | '>' | ',' | ':' => (Token::Sign(c), 1),
            _ => word(rest)?,
        };
        tokens.push(token);
        rest = rest[length..].trim_start();
    }
    Some(tokens)
}

fn quoted(text: &str, quote: char) -> Option<(Token, usize)> {
    let mut name = String::new();
    let mut chars = text.char_indices().skip(1).peekable();
    while let Some((at, c)) = chars.next() {
        if c != quote {
            name.push(c);
        } else if chars.next_if(|(_, next)| *next == quote).is_some() {
            name.push(quote);
        } else {
            return Some((Token::Quoted(name), at + 1));
        }
    }
    None
}

fn word(text: &str) -> Option<(Token, usize)> {
    let length = text.find(|c: char| !c.is_alphanumeric() && c != '_').unwrap_or(text.len());
    let word = &text[..length];
    if word.starts_with(|c: char| c.is_ascii_digit()) {
        return Some((Token::Number(word.parse().ok()?), length));
    }
    (length > 0).then(|| (Token::Word(word.to_lowercase()), length))
}

struct Parser {
    tokens: Vec<Token>,
    at: usize,
    depth: usize,
}

impl Parser {
    fn sign(&mut self, sign: char) -> bool {
        let found = self.tokens.get(self.at) == Some(&Token::Sign(sign));
        self.at += usize::from(found);
        found
    }

    /// One of two signs: Trino's round bracket, or Hive's angle.
    fn either(&mut self, round: char, angle: char) -> Option<()> {
        (self.sign(round) || self.sign(angle)).then_some(())
    }

    fn word(&mut self) -> Option<String> {
        let Some(Token::Word(word)) = self.tokens.get(self.at) else { return None };
        self.at += 1;
        Some(word.clone())
    }

    fn words(&mut self, wanted: &[&str]) -> bool {
        let found = wanted.iter().enumerate().all(
            |(offset, wanted)| matches!(self.tokens.get(self.at + offset), Some(Token::Word(word)) if word == wanted),
        );
        self.at += if found { wanted.len() } else { 0 };
        found
    }

    /// A number in brackets, if there is one.
    #[allow(clippy::option_option, reason = "none is as good as one; a broken one is not")]
    fn length(&mut self) -> Option<Option<usize>> {
        if !self.sign('(') {
            return Some(None);
        }
        let Some(Token::Number(number)) = self.tokens.get(self.at) else { return None };
        let number = *number;
        self.at += 1;
        self.sign(')').then_some(Some(number))
    }

    fn any(&mut self) -> Option<Type> {
        if self.depth == DEEPEST {
            return None;
        }
        self.depth += 1;
        let parsed = self.word().and_then(|word| self.named(&word));
        self.depth -= 1;
        parsed
    }

    fn named(&mut self, word: &str) -> Option<Type> {
        Some(match word {
            "unknown" => Type::Unknown,
            "boolean" => Type::Boolean,
            "tinyint" => Type::Tinyint,
            "smallint" => Type::Smallint,
            "int" | "integer" => Type::Integer,
            "bigint" => Type::Bigint,
            "real" | "float" => Type::Real,
            "double" => {
                self.words(&["precision"]);
                Type::Double
            }
            "decimal" | "numeric" | "dec" => return self.decimal(),
            "string" => Type::Varchar(None),
            "varchar" => Type::Varchar(self.length()?),
            "char" => Type::Char(self.length()?.or(Some(1)).filter(|length| (1..=65_536).contains(length))?),
            "varbinary" | "binary" => Type::Varbinary,
            "date" => Type::Date,
            "time" => Type::Time(self.precision()?),
            "timestamp" => {
                let precision = self.precision()?;
                if self.words(&["with", "time", "zone"]) {
                    return Some(Type::TimestampWithTimeZone(precision));
                }
                self.words(&["without", "time", "zone"]);
                Type::Timestamp(precision)
            }
            "interval" if self.words(&["year", "to", "month"]) => Type::IntervalYearToMonth,
            "interval" if self.words(&["day", "to", "second"]) => Type::IntervalDayToSecond,
            "json" => Type::Json,
            "ipaddress" => Type::IpAddress,
            "ipprefix" => Type::IpPrefix,
            "uuid" => Type::Uuid,
            "array" => {
                self.either('(', '<')?;
                let element = self.any()?;
                self.either(')', '>')?;
                Type::Array(Box::new(element))
            }
            "map" => {
                self.either('(', '<')?;
                let key = self.any()?;
                self.sign(',').then_some(())?;
                let value = self.any()?;
                self.either(')', '>')?;
                Type::Map(Box::new(key), Box::new(value))
            }
            "row" | "struct" => return self.row(),
            _ => return None,
        })
    }

    fn precision(&mut self) -> Option<u8> {
        u8::try_from(self.length()?.unwrap_or(3)).ok().filter(|precision| *precision <= 12)
    }

    fn decimal(&mut self) -> Option<Type> {
        if !self.sign('(') {
            return Some(Type::Decimal(38, 0));
        }
        let precision = self.number()?;
        let scale = if self.sign(',') { self.number()? } else { 0 };
        let valid = (1..=38).contains(&precision) && scale <= precision && self.sign(')');
        valid.then(|| Some(Type::Decimal(u8::try_from(precision).ok()?, i8::try_from(scale).ok()?)))?
    }

    fn number(&mut self) -> Option<usize> {
        let Some(Token::Number(number)) = self.tokens.get(self.at) else { return None };
        let number = *number;
        self.at += 1;
        Some(number)
    }

    fn row(&mut self) -> Option<Type> {
        self.either('(', '<')?;
        let mut members = Vec::new();
        loop {
            members.push(self.member()?);
            if !self.sign(',') {
                break;
            }
        }
        self.either(')', '>')?;
        Some(Type::Row(members))
    }

    /// `name type`, `name:type` or a type alone. A word is a type alone if a type can be read there that
    /// ends where a member ends.
    fn member(&mut self) -> Option<(Option<String>, Type)> {
        let start = self.at;
        if let Some(alone) = self.any()
            && matches!(self.tokens.get(self.at), Some(Token::Sign(',' | ')' | '>')))
        {
            return Some((None, alone));
        }
        self.at = start;
        let name = match self.tokens.get(self.at)? {
            Token::Word(name) | Token::Quoted(name) => name.clone(),
            _ => return None,
        };
        self.at += 1;
        self.sign(':');
        Some((Some(name), self.any()?))
    }
}
