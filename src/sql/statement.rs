//! A script: one text with any number of statements, all of them checked before the first one runs.

use datafusion::sql::parser::{DFParser, DFParserBuilder, Statement as SqlStatement};
use datafusion::sql::sqlparser::ast::Statement as Sql;
use datafusion::sql::sqlparser::dialect::GenericDialect;
use datafusion::sql::sqlparser::keywords::Keyword;
use datafusion::sql::sqlparser::tokenizer::{Span, Token, TokenWithSpan, Tokenizer};

use super::error::SqlError;
use super::nearest::nearest;
use super::place::Place;

/// What a statement may begin with. `DESC` is Athena's short form of `DESCRIBE`.
const READING: &[&str] =
    &["SELECT", "WITH", "VALUES", "TABLE", "FROM", "EXPLAIN", "SHOW", "DESCRIBE", "DESC"];

/// DataFusion's table functions: they read no table.
const GENERATING: &[&str] = &["generate_series", "range"];

/// How deep expressions and queries may be nested.
const RECURSION_LIMIT: usize = 200;

/// A text and the statements in it.
#[derive(Debug)]
pub struct Script {
    text: String,
    statements: Vec<Statement>,
}

/// One statement that only reads.
#[derive(Debug)]
pub struct Statement {
    syntax: SqlStatement,
    span: Span,
}

impl Script {
    /// Parses all of `text`; an error in any statement is an error of the script.
    pub fn parse(text: &str) -> Result<Self, SqlError> {
        let text = text.trim_start_matches('\u{feff}').to_owned();
        let explain = |error| SqlError::explain(&error, &text, None);
        let tokens = tokenize(&text)?;
        let mut parser = DFParserBuilder::new(tokens.clone())
            .with_recursion_limit(RECURSION_LIMIT)
            .build()
            .map_err(explain)?;
        let mut statements = Vec::new();
        while next_statement(&mut parser, &text)? {
            let start = parser.parser.peek_token().span;
            refuse_by_first_word(&parser.parser.peek_token(), &text)?;
            let syntax = parser.parse_statement().map_err(explain)?;
            let span = start.union(&last_before(&tokens, parser.parser.index()));
            refuse_unless_reading(&syntax, start, &text)?;
            statements.push(Statement { syntax, span });
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
        let start = offset(&self.text, statement.span.start.line, statement.span.start.column);
        let end = offset(&self.text, statement.span.end.line, statement.span.end.column);
        self.text.get(start..end.max(start)).unwrap_or_default().trim_end()
    }
}

impl Statement {
    /// The syntax tree.
    pub(super) fn syntax(&self) -> &SqlStatement {
        &self.syntax
    }

    /// Whether it names a table, or asks about tables: without one it needs no lake.
    pub fn reads_tables(&self) -> bool {
        let inner = match &self.syntax {
            SqlStatement::Explain(explain) => &explain.statement,
            other => other,
        };
        let SqlStatement::Statement(statement) = inner else { return true };
        if !matches!(**statement, Sql::Query(_)) {
            return true;
        }
        datafusion::sql::resolve::resolve_table_references(inner, true)
            .map_or(true, |(tables, _)| tables.iter().any(|table| !GENERATING.contains(&table.table())))
    }

    /// Whether its answer is text over several lines, such as a plan.
    pub fn is_explain(&self) -> bool {
        match &self.syntax {
            SqlStatement::Explain(_) => true,
            SqlStatement::Statement(statement) => matches!(**statement, Sql::Explain { .. }),
            _ => false,
        }
    }
}

fn tokenize(text: &str) -> Result<Vec<TokenWithSpan>, SqlError> {
    Tokenizer::new(&GenericDialect {}, text).tokenize_with_location().map_err(|error| {
        let at = error.location;
        SqlError::at(error.message, Place::at(text, at.line, at.column))
    })
}

/// The span of the last token before `index` that is neither blank nor a comment.
fn last_before(tokens: &[TokenWithSpan], index: usize) -> Span {
    let read = &tokens[..index.min(tokens.len())];
    let last = read.iter().rev().find(|token| !matches!(token.token, Token::Whitespace(_) | Token::EOF));
    last.map_or_else(Span::empty, |token| token.span)
}

/// Skips semicolons; whether another statement follows.
fn next_statement(parser: &mut DFParser<'_>, text: &str) -> Result<bool, SqlError> {
    let first = parser.parser.index() == 0;
    let mut separated = false;
    while parser.parser.consume_token(&Token::SemiColon) {
        separated = true;
    }
    let next = parser.parser.peek_token();
    if next.token == Token::EOF {
        return Ok(false);
    }
    if first || separated {
        return Ok(true);
    }
    let message = format!("expected the end of the statement, found {}", next.token);
    Err(SqlError::at(message, Place::of_span(text, next.span)))
}

fn refuse_by_first_word(first: &TokenWithSpan, text: &str) -> Result<(), SqlError> {
    let Token::Word(word) = &first.token else { return Ok(()) };
    let name = word.value.to_uppercase();
    if word.quote_style.is_none() && READING.contains(&name.as_str()) {
        return Ok(());
    }
    let place = Place::of_span(text, first.span);
    if word.keyword != Keyword::NoKeyword && word.quote_style.is_none() {
        return Err(refusal(&name, place));
    }
    let message = format!("expected a statement, found '{}'", word.value);
    Err(SqlError::at(message, place).suggest(&nearest(&name, READING.iter().copied())))
}

fn refusal(what: &str, place: Option<Place>) -> SqlError {
    let message = format!("{what} is refused: trailq only reads (SELECT, EXPLAIN, SHOW, DESCRIBE)");
    SqlError::at(message, place)
}

fn refuse_unless_reading(statement: &SqlStatement, span: Span, text: &str) -> Result<(), SqlError> {
    let refused = match statement {
        SqlStatement::Explain(explain) => return refuse_unless_reading(&explain.statement, span, text),
        SqlStatement::CopyTo(_) => "COPY",
        SqlStatement::CreateExternalTable(_) => "CREATE EXTERNAL TABLE",
        SqlStatement::Reset(_) => "RESET",
        SqlStatement::Statement(statement) => match &**statement {
            Sql::Query(_)
            | Sql::ExplainTable { .. }
            | Sql::Explain { .. }
            | Sql::ShowTables { .. }
            | Sql::ShowColumns { .. }
            | Sql::ShowFunctions { .. }
            | Sql::ShowVariable { .. }
            | Sql::ShowCreate { .. } => return Ok(()),
            _ => "this statement",
        },
    };
    Err(refusal(refused, Place::of_span(text, span)))
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
        assert!(reads("SELECT (SELECT count(*) FROM cloudtrail_logs)"));
        assert!(!reads("EXPLAIN SELECT 1") && reads("EXPLAIN SELECT 1 FROM events"));
        assert!(reads("SHOW TABLES"));
        assert!(!reads("SELECT * FROM generate_series(1, 3)"));
    }

    #[test]
    fn a_misspelt_statement_names_the_nearest() {
        let error = Script::parse("SELECT 1;\nSELCT 2").unwrap_err().to_string();
        let expected = "expected a statement, found 'SELCT' (line 2, column 1)\n  2 | SELCT 2\n    | ^^^^^\n  did you mean: SELECT?";
        assert_eq!(error, expected);
    }

    #[test]
    fn writing_is_refused_with_its_place() {
        let error = Script::parse("SELECT 1; DROP TABLE events").unwrap_err().to_string();
        assert!(error.starts_with("DROP is refused: trailq only reads"), "{error}");
        assert!(error.contains("(line 1, column 11)"), "{error}");
    }
}
