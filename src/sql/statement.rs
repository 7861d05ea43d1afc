//! A script: one text with any number of statements, all of them checked before the first one runs.

use datafusion::sql::sqlparser::parser::Parser;
use datafusion::sql::sqlparser::tokenizer::{Span, Token, TokenWithSpan};

use super::adapt::free_relations;
use super::command::{self, Command};
use super::dialect::Athena;
use super::error::{MATCH_RECOGNIZE, SqlError};
use super::place::Place;
use super::tokens::tokenize;

/// How deep expressions and queries may be nested.
const RECURSION_LIMIT: usize = 200;

/// A text and the statements in it.
#[derive(Debug)]
pub struct Script {
    text: String,
    statements: Vec<Statement>,
}

/// One statement. Nothing that it can ask for changes what was recorded.
#[derive(Debug)]
pub struct Statement {
    command: Command,
    span: Span,
}

impl Script {
    /// Parses all of `text`; an error in any statement is an error of the script.
    pub fn parse(text: &str) -> Result<Self, SqlError> {
        let text = text.trim_start_matches('\u{feff}').to_owned();
        let tokens = tokenize(&text)?;
        let mut parser = Parser::new(&Athena)
            .with_recursion_limit(RECURSION_LIMIT)
            .with_tokens_with_locations(tokens.clone());
        let mut statements = Vec::new();
        while next_statement(&mut parser, &text)? {
            let start = parser.peek_token_ref().span;
            let command = command::parse(&mut parser, &text)?;
            let span = start.union(&last_before(&tokens, parser.index()));
            statements.push(Statement { command, span });
        }
        Ok(Self { text, statements })
    }

    /// The text, as it was given.
    pub fn text(&self) -> &str {
        &self.text
    }

    /// The statements, in their order.
    pub fn statements(&self) -> &[Statement] {
        &self.statements
    }

    /// The text of one of its statements.
    pub fn source(&self, statement: &Statement) -> &str {
        self.slice(statement.span)
    }

    /// What stands at a place in the text.
    pub(super) fn slice(&self, span: Span) -> &str {
        let start = offset(&self.text, span.start.line, span.start.column);
        let end = offset(&self.text, span.end.line, span.end.column);
        self.text.get(start..end.max(start)).unwrap_or_default().trim_end()
    }
}

impl Statement {
    /// What it asks for.
    pub(super) fn command(&self) -> &Command {
        &self.command
    }

    /// Whether it names a table, or asks about tables: without one it needs no lake.
    pub fn reads_tables(&self) -> bool {
        match &self.command {
            Command::Query(query) | Command::Explain { query, .. } | Command::Unload { query, .. } => {
                !free_relations(query).is_empty()
            }
            Command::ShowFunctions { .. } | Command::ShowDatabases | Command::NotNeeded(_) => false,
            _ => true,
        }
    }

    /// Whether its answer is text over several lines, such as a plan.
    pub fn is_explain(&self) -> bool {
        matches!(self.command, Command::Explain { .. } | Command::ShowCreate(_))
    }
}

/// The span of the last token before `index` that is neither blank nor a comment.
fn last_before(tokens: &[TokenWithSpan], index: usize) -> Span {
    let read = &tokens[..index.min(tokens.len())];
    let last = read.iter().rev().find(|token| !matches!(token.token, Token::Whitespace(_) | Token::EOF));
    last.map_or_else(Span::empty, |token| token.span)
}

/// Skips semicolons; whether another statement follows.
fn next_statement(parser: &mut Parser<'_>, text: &str) -> Result<bool, SqlError> {
    let first = parser.index() == 0;
    let mut separated = false;
    while parser.consume_token(&Token::SemiColon) {
        separated = true;
    }
    let next = parser.peek_token();
    if next.token == Token::EOF {
        return Ok(false);
    }
    if first || separated {
        return Ok(true);
    }
    if next.token.to_string().eq_ignore_ascii_case(MATCH_RECOGNIZE) {
        return Err(SqlError::match_recognize(Place::of_span(text, next.span)));
    }
    let message = format!("SYNTAX_ERROR: expected the end of the statement, found {}", next.token);
    Err(SqlError::at(message, Place::of_span(text, next.span)))
}

/// The byte at a line and column as the tokenizer counts them: from 1, in characters.
fn offset(text: &str, line: u64, column: u64) -> usize {
    let line = usize::try_from(line).unwrap_or(1).max(1);
    let column = usize::try_from(column).unwrap_or(1).max(1);
    let start: usize = text.split_inclusive('\n').take(line - 1).map(str::len).sum();
    let rest = &text[start..];
    start + rest.char_indices().nth(column - 1).map_or(rest.len(), |(at, _)| at)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn no_text_makes_it_panic(
            text in r#"(SELECT |FROM |WHERE |EXPLAIN |[a-z]{1,4}|\PC{0,3}|'|"|;|\(|\)|\$x|::|--|/\*|\n|\t| ){0,12}"#
        ) {
            match Script::parse(&text) {
                Ok(script) => script.statements().iter().for_each(|one| {
                    script.source(one);
                    one.reads_tables();
                }),
                Err(error) => prop_assert!(!error.to_string().is_empty()),
            }
        }
    }

    #[test]
    fn semicolons_in_strings_and_comments_do_not_separate() {
        let text = "-- first; not a statement\nSELECT ';' AS a; ;\n/* ; */ SELECT 'é', 2 -- end;\n;";
        let script = Script::parse(text).unwrap();
        let sources: Vec<_> = script.statements().iter().map(|one| script.source(one)).collect();
        assert_eq!(sources, ["SELECT ';' AS a", "SELECT 'é', 2"]);
    }

    #[test]
    fn an_empty_text_has_no_statements() {
        for text in ["", " ;; ", "-- only a comment", "/* x */"] {
            assert!(Script::parse(text).unwrap().statements().is_empty(), "{text:?}");
        }
    }

    #[test]
    fn a_statement_without_a_table_needs_no_lake() {
        let reads = |text: &str| Script::parse(text).unwrap().statements()[0].reads_tables();
        assert!(!reads("SELECT 1"));
        assert!(!reads("WITH a AS (SELECT 1 AS x) SELECT x FROM a"));
        assert!(reads("WITH a AS (SELECT x FROM a) SELECT x FROM a"));
        assert!(reads("SELECT (SELECT count(*) FROM cloudtrail_logs)"));
        assert!(!reads("EXPLAIN SELECT 1") && reads("EXPLAIN SELECT 1 FROM events"));
        assert!(reads("SHOW TABLES"));
        assert!(!reads("SELECT * FROM UNNEST(sequence(1, 3)) AS t(n)"));
    }

    #[test]
    fn a_misspelt_statement_names_the_nearest() {
        let error = Script::parse("SELECT 1;\nSELCT 2").unwrap_err().to_string();
        let expected = "SYNTAX_ERROR: expected a statement, found 'SELCT' (line 2, column 1)\n  2 | SELCT 2\n    | ^^^^^\n  did you mean: SELECT?";
        assert_eq!(error, expected);
    }

    #[test]
    fn writing_is_refused_with_its_place() {
        let error = Script::parse("SELECT 1; DELETE FROM events").unwrap_err().to_string();
        assert!(error.starts_with("NOT_SUPPORTED: DELETE is refused: SQL only reads"), "{error}");
        assert!(error.contains("(line 1, column 11)"), "{error}");
    }
}
