//! The words of a query. The id or the ARN of an event data store is one word, though nothing quotes it.

use std::sync::LazyLock;

use datafusion::sql::sqlparser::keywords::Keyword;
use datafusion::sql::sqlparser::tokenizer::{Location, Span, Token, TokenWithSpan, Tokenizer, Word};
use regex::Regex;

use super::dialect::Athena;
use super::error::SqlError;
use super::place::Place;

mod shorthand;

const UUID: &str = "[0-9a-fA-F]{8}-[0-9a-fA-F]{4}-[0-9a-fA-F]{4}-[0-9a-fA-F]{4}-[0-9a-fA-F]{12}";
const ARN: &str = r"arn:aws[a-z-]*:cloudtrail:[a-z0-9-]*:[0-9]*:eventdatastore/";

static STORE: LazyLock<Regex> =
    LazyLock::new(|| Regex::new(&format!(r"^(?:{ARN})?{UUID}")).expect("a valid pattern"));

/// Whether a name is an event data store's id or ARN.
pub(super) fn is_event_data_store(name: &str) -> bool {
    STORE.find(name).is_some_and(|found| found.end() == name.len())
}

/// The words of `text`, with their places.
pub(super) fn tokenize(text: &str) -> Result<Vec<TokenWithSpan>, SqlError> {
    let tokens = Tokenizer::new(&Athena, text).tokenize_with_location().map_err(|error| {
        let at = error.location;
        SqlError::at(format!("SYNTAX_ERROR: {}", error.message), Place::at(text, at.line, at.column))
    })?;
    Ok(shorthand::write_out(join_store_names(tokens, text)))
}

/// Puts one word where the tokenizer saw the pieces of an event data store's id.
fn join_store_names(tokens: Vec<TokenWithSpan>, text: &str) -> Vec<TokenWithSpan> {
    if !text.contains('-') {
        return tokens;
    }
    let lines: Vec<&str> = text.split('\n').collect();
    let mut joined: Vec<TokenWithSpan> = Vec::with_capacity(tokens.len());
    let mut until: Option<Location> = None;
    for token in tokens {
        if until.is_some_and(|end| token.span.start < end) {
            continue;
        }
        until = None;
        let starts = matches!(token.token, Token::Word(Word { quote_style: None, .. }) | Token::Number(..));
        let Some(name) = starts.then(|| store_name_at(&lines, token.span.start)).flatten() else {
            joined.push(token);
            continue;
        };
        let start = token.span.start;
        let end = Location { line: start.line, column: start.column + name.len() as u64 };
        until = Some(end);
        let word = Word { value: name.to_lowercase(), quote_style: Some('"'), keyword: Keyword::NoKeyword };
        joined.push(TokenWithSpan { token: Token::Word(word), span: Span::new(start, end) });
    }
    joined
}

/// The name that begins at a place, if it is one and ends where a word ends.
fn store_name_at<'a>(lines: &[&'a str], at: Location) -> Option<&'a str> {
    let line = lines.get(usize::try_from(at.line.checked_sub(1)?).ok()?)?;
    let column = usize::try_from(at.column.checked_sub(1)?).ok()?;
    let (start, _) = line.char_indices().nth(column)?;
    let name = STORE.find(&line[start..])?.as_str();
    let follows = line[start + name.len()..].chars().next();
    follows.is_none_or(|c| !c.is_alphanumeric() && c != '_' && c != '-').then_some(name)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn words(text: &str) -> Vec<String> {
        let tokens = tokenize(text).unwrap();
        let shown = tokens.into_iter().filter(|token| !matches!(token.token, Token::Whitespace(_)));
        shown.map(|token| token.token.to_string()).collect()
    }

    #[test]
    fn an_event_data_store_is_one_word() {
        for id in ["7c1f0a52-3b9e-4d6a-9c8d-2f4e6a8b0c1d", "0000000e-1234-1e00-9c8d-2f4e6a8b0c1d"] {
            let text = format!("SELECT eventName FROM {id} WHERE 1-1=0");
            assert_eq!(words(&text)[3], format!("\"{id}\""), "{text}");
            assert_eq!(words(&format!("SELECT 1 FROM {id}")).len(), 4);
            assert_eq!(words(&format!("SELECT {id}.x FROM {id};"))[1..4].join(""), format!("\"{id}\".x"));
        }
        let arn =
            "arn:aws:cloudtrail:us-east-1:111122223333:eventdatastore/7c1f0a52-3b9e-4d6a-9c8d-2f4e6a8b0c1d";
        assert_eq!(words(&format!("SELECT 1 FROM {arn} t"))[3], format!("\"{arn}\""));
    }

    #[test]
    fn what_only_looks_like_one_is_left_alone() {
        let text = "'7c1f0a52-3b9e-4d6a-9c8d-2f4e6a8b0c1d'";
        assert_eq!(words(text), [text]);
        assert!(words("SELECT 1 FROM 7c1f0a52-3b9e-4d6a-9c8d").len() > 4);
        assert!(words("SELECT 7c1f0a52-3b9e-4d6a-9c8d-2f4e6a8b0c1dx").len() > 2);
        assert!(is_event_data_store("7c1f0a52-3b9e-4d6a-9c8d-2f4e6a8b0c1d"));
        assert!(!is_event_data_store("x7c1f0a52-3b9e-4d6a-9c8d-2f4e6a8b0c1d"));
    }
}
