//! What a statement asks for: Athena's statements that only read, and those that name things.

use datafusion::sql::sqlparser::ast::{Expr, Query};
use datafusion::sql::sqlparser::keywords::Keyword;
use datafusion::sql::sqlparser::parser::{Parser, ParserError};
use datafusion::sql::sqlparser::tokenizer::{Span, Token, TokenWithSpan, Word};

use super::error::SqlError;
use super::nearest::nearest;
use super::place::Place;
use super::syntax::{expect_word, word};

/// A name as it stands in the text: its parts in lower case, and its place.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Name {
    pub(super) parts: Vec<String>,
    pub(super) span: Span,
}

impl Name {
    /// The last part: the database before it means nothing, as there is one lake.
    pub(super) fn last(&self) -> &str {
        self.parts.last().map_or("", String::as_str)
    }

    pub(super) fn full(&self) -> String {
        self.parts.join(".")
    }
}

/// Properties of `WITH (name = value, …)`.
pub(super) type Properties = Vec<(String, String)>;

/// One statement.
#[derive(Clone, Debug)]
pub(super) enum Command {
    Query(Box<Query>),
    Explain {
        query: Box<Query>,
        analyze: bool,
        verbose: bool,
    },
    Describe(Name),
    ShowTables {
        pattern: Option<String>,
    },
    ShowViews {
        pattern: Option<String>,
    },
    ShowColumns(Name),
    ShowPartitions(Name),
    ShowCreate(Name),
    ShowDatabases,
    ShowFunctions {
        pattern: Option<String>,
    },
    CreateView {
        name: Name,
        or_replace: bool,
        query: Box<Query>,
        source: Span,
    },
    DropView {
        name: Name,
        if_exists: bool,
    },
    CreateTableAs {
        name: Name,
        if_not_exists: bool,
        properties: Properties,
        query: Box<Query>,
    },
    InsertInto {
        name: Name,
        /// The columns that get values, if not all do in their order.
        columns: Option<Vec<String>>,
        query: Box<Query>,
    },
    DropTable {
        name: Name,
        if_exists: bool,
    },
    /// `CREATE EXTERNAL TABLE`: the table is there; from now on it has this name as well.
    DefineTable(Name),
    Prepare {
        name: String,
        statement: Box<Command>,
    },
    Execute {
        name: Name,
        values: Vec<Expr>,
    },
    ExecuteImmediate {
        sql: String,
        span: Span,
        values: Vec<Expr>,
    },
    Deallocate(Name),
    Unload {
        query: Box<Query>,
        to: String,
        properties: Properties,
        span: Span,
    },
    /// A statement that Athena needs and that there is nothing to do for; why.
    NotNeeded(&'static str),
}

/// What a statement may begin with, for whoever misspelt it.
const FIRST_WORDS: &[&str] = &[
    "SELECT",
    "WITH",
    "VALUES",
    "TABLE",
    "EXPLAIN",
    "SHOW",
    "DESCRIBE",
    "DESC",
    "CREATE",
    "DROP",
    "INSERT",
    "PREPARE",
    "EXECUTE",
    "DEALLOCATE",
    "UNLOAD",
    "MSCK",
    "ALTER",
    "USE",
];

const NO_PARTITIONS: &str =
    "there are no partitions to add or repair: every log file in the lake is found by itself";

/// Reads one statement; the parser then stands behind it.
pub(super) fn parse(parser: &mut Parser, text: &str) -> Result<Command, SqlError> {
    let first = parser.peek_token();
    let result = match &first.token {
        Token::LParen => parser.parse_query().map(Command::Query),
        Token::Word(word) if word.quote_style.is_none() => match word.value.to_uppercase().as_str() {
            "SELECT" | "WITH" | "VALUES" | "TABLE" => parser.parse_query().map(Command::Query),
            "EXPLAIN" => explain(parser),
            "DESCRIBE" | "DESC" => describe(parser),
            "SHOW" => show(parser),
            "CREATE" => create(parser),
            "DROP" => drop(parser),
            "INSERT" => insert(parser),
            "PREPARE" => return prepare(parser, text),
            "EXECUTE" => execute(parser),
            "DEALLOCATE" => deallocate(parser),
            "UNLOAD" => unload(parser),
            "MSCK" | "ALTER" => Ok(skip(parser, NO_PARTITIONS)),
            "USE" => Ok(skip(parser, "any database name means the lake")),
            _ => return Err(refuse(word, &first, text)),
        },
        _ => return Err(misspelt(&first.token.to_string(), &first, text)),
    };
    result.map_err(|error| SqlError::syntax(&error, text))
}

/// Why a statement is not run: it would write, or it is none.
fn refuse(word: &Word, token: &TokenWithSpan, text: &str) -> SqlError {
    if word.keyword == Keyword::NoKeyword {
        return misspelt(&word.value, token, text);
    }
    let message = format!(
        "NOT_SUPPORTED: {} is refused: SQL only reads the lake (SELECT, EXPLAIN, SHOW, DESCRIBE, views, UNLOAD)",
        word.value.to_uppercase()
    );
    SqlError::at(message, Place::of_span(text, token.span))
}

fn misspelt(word: &str, token: &TokenWithSpan, text: &str) -> SqlError {
    let message = format!("SYNTAX_ERROR: expected a statement, found '{word}'");
    SqlError::at(message, Place::of_span(text, token.span))
        .suggest(&nearest(&word.to_uppercase(), FIRST_WORDS.iter().copied()))
}

fn if_exists(parser: &mut Parser) -> Result<bool, ParserError> {
    let exists = word(parser, "if");
    if exists {
        word(parser, "not");
        expect_word(parser, "exists")?;
    }
    Ok(exists)
}

fn name(parser: &mut Parser) -> Result<Name, ParserError> {
    let start = parser.peek_token_ref().span;
    let object = parser.parse_object_name(false)?;
    let idents = object.0.iter().filter_map(|part| part.as_ident());
    let parts = idents.flat_map(|ident| {
        let name = ident.value.to_lowercase();
        // Hive's DDL may quote the whole of a name in one pair of backquotes.
        if ident.quote_style == Some('`') { name.split('.').map(str::to_owned).collect() } else { vec![name] }
    });
    Ok(Name { parts: parts.collect(), span: start.union(&parser.get_current_token().span) })
}

fn string(parser: &mut Parser) -> Result<String, ParserError> {
    parser.parse_literal_string()
}

/// Everything up to the end of the statement.
fn skip(parser: &mut Parser, why: &'static str) -> Command {
    skip_rest(parser);
    Command::NotNeeded(why)
}

fn skip_rest(parser: &mut Parser) {
    while !matches!(parser.peek_token_ref().token, Token::SemiColon | Token::EOF) {
        parser.advance_token();
    }
}

fn explain(parser: &mut Parser) -> Result<Command, ParserError> {
    parser.advance_token();
    let mut analyze = word(parser, "analyze");
    let verbose = word(parser, "verbose");
    let option = |token: &Token| {
        matches!(token, Token::Word(word)
        if ["type", "format"].iter().any(|name| word.value.eq_ignore_ascii_case(name)))
    };
    if parser.peek_token_ref().token == Token::LParen && option(&parser.peek_nth_token_ref(1).token) {
        // (TYPE DISTRIBUTED, FORMAT TEXT): there is one plan, and it is text.
        while parser.next_token().token != Token::RParen {
            if parser.peek_token_ref().token == Token::EOF {
                return parser.expected_ref(")", parser.peek_token_ref());
            }
        }
    }
    analyze |= word(parser, "analyze");
    Ok(Command::Explain { query: parser.parse_query()?, analyze, verbose })
}

fn describe(parser: &mut Parser) -> Result<Command, ParserError> {
    parser.advance_token();
    for detail in ["extended", "formatted", "table"] {
        word(parser, detail);
    }
    Ok(Command::Describe(name(parser)?))
}

fn show(parser: &mut Parser) -> Result<Command, ParserError> {
    parser.advance_token();
    if word(parser, "tables") {
        database(parser)?;
        return Ok(Command::ShowTables { pattern: pattern(parser)? });
    }
    if word(parser, "views") {
        database(parser)?;
        return Ok(Command::ShowViews { pattern: pattern(parser)? });
    }
    if word(parser, "columns") {
        if !word(parser, "in") {
            expect_word(parser, "from")?;
        }
        let table = name(parser)?;
        database(parser)?;
        return Ok(Command::ShowColumns(table));
    }
    if word(parser, "partitions") {
        return Ok(Command::ShowPartitions(name(parser)?));
    }
    if word(parser, "create") {
        if !word(parser, "table") {
            expect_word(parser, "view")?;
        }
        return Ok(Command::ShowCreate(name(parser)?));
    }
    if word(parser, "databases") || word(parser, "schemas") {
        skip_rest(parser);
        return Ok(Command::ShowDatabases);
    }
    if word(parser, "functions") {
        return Ok(Command::ShowFunctions { pattern: pattern(parser)? });
    }
    let all = "TABLES, VIEWS, COLUMNS, PARTITIONS, CREATE, DATABASES or FUNCTIONS";
    parser.expected_ref(all, parser.peek_token_ref())
}

/// `IN db`, which changes nothing.
fn database(parser: &mut Parser) -> Result<(), ParserError> {
    if word(parser, "in") || word(parser, "from") {
        name(parser)?;
    }
    Ok(())
}

fn pattern(parser: &mut Parser) -> Result<Option<String>, ParserError> {
    let like = word(parser, "like");
    if !like && !matches!(parser.peek_token_ref().token, Token::SingleQuotedString(_)) {
        return Ok(None);
    }
    string(parser).map(Some)
}

fn create(parser: &mut Parser) -> Result<Command, ParserError> {
    parser.advance_token();
    let or_replace = word(parser, "or");
    if or_replace {
        expect_word(parser, "replace")?;
    }
    if word(parser, "view") {
        let name = name(parser)?;
        expect_word(parser, "as")?;
        let start = parser.peek_token_ref().span;
        let query = parser.parse_query()?;
        let source = start.union(&parser.get_current_token().span);
        return Ok(Command::CreateView { name, or_replace, query, source });
    }
    if !or_replace && word(parser, "external") {
        expect_word(parser, "table")?;
        if_exists(parser)?;
        let name = name(parser)?;
        skip_rest(parser);
        return Ok(Command::DefineTable(name));
    }
    if !or_replace && word(parser, "table") {
        let if_not_exists = if_exists(parser)?;
        let name = name(parser)?;
        let properties = properties(parser)?;
        expect_word(parser, "as")?;
        return Ok(Command::CreateTableAs { name, if_not_exists, properties, query: parser.parse_query()? });
    }
    if !or_replace && (word(parser, "database") || word(parser, "schema")) {
        return Ok(skip(parser, "any database name means the lake"));
    }
    parser.expected_ref("VIEW, TABLE or EXTERNAL TABLE", parser.peek_token_ref())
}

/// `INSERT INTO t [(a, b)] query`.
fn insert(parser: &mut Parser) -> Result<Command, ParserError> {
    parser.advance_token();
    expect_word(parser, "into")?;
    let name = name(parser)?;
    let is_query = |token: &Token| match token {
        Token::Word(word) => {
            matches!(word.keyword, Keyword::SELECT | Keyword::WITH | Keyword::VALUES | Keyword::TABLE)
        }
        other => *other == Token::LParen,
    };
    let mut columns = None;
    if parser.peek_token_ref().token == Token::LParen && !is_query(&parser.peek_nth_token_ref(1).token) {
        parser.expect_token(&Token::LParen)?;
        let idents = parser.parse_comma_separated(Parser::parse_identifier)?;
        parser.expect_token(&Token::RParen)?;
        columns = Some(idents.into_iter().map(|ident| ident.value.to_lowercase()).collect());
    }
    Ok(Command::InsertInto { name, columns, query: parser.parse_query()? })
}

fn drop(parser: &mut Parser) -> Result<Command, ParserError> {
    parser.advance_token();
    if word(parser, "view") {
        let if_exists = if_exists(parser)?;
        return Ok(Command::DropView { name: name(parser)?, if_exists });
    }
    if word(parser, "table") {
        let if_exists = if_exists(parser)?;
        return Ok(Command::DropTable { name: name(parser)?, if_exists });
    }
    parser.expected_ref("VIEW or TABLE", parser.peek_token_ref())
}

fn prepare(parser: &mut Parser, text: &str) -> Result<Command, SqlError> {
    let syntax = |error: ParserError| SqlError::syntax(&error, text);
    parser.advance_token();
    let name = name(parser).map_err(syntax)?;
    expect_word(parser, "from").map_err(syntax)?;
    let span = parser.peek_token_ref().span;
    let statement = parse(parser, text)?;
    if matches!(
        statement,
        Command::Prepare { .. } | Command::Execute { .. } | Command::ExecuteImmediate { .. }
    ) {
        let message = "NOT_SUPPORTED: PREPARE takes a query";
        return Err(SqlError::spanned(message, span, text));
    }
    Ok(Command::Prepare { name: name.last().to_owned(), statement: Box::new(statement) })
}

fn execute(parser: &mut Parser) -> Result<Command, ParserError> {
    parser.advance_token();
    if word(parser, "immediate") {
        let span = parser.peek_token_ref().span;
        let sql = string(parser)?;
        return Ok(Command::ExecuteImmediate { sql, span, values: using(parser)? });
    }
    Ok(Command::Execute { name: name(parser)?, values: using(parser)? })
}

fn using(parser: &mut Parser) -> Result<Vec<Expr>, ParserError> {
    if !word(parser, "using") {
        return Ok(Vec::new());
    }
    parser.parse_comma_separated(Parser::parse_expr)
}

fn deallocate(parser: &mut Parser) -> Result<Command, ParserError> {
    parser.advance_token();
    word(parser, "prepare");
    Ok(Command::Deallocate(name(parser)?))
}

fn unload(parser: &mut Parser) -> Result<Command, ParserError> {
    let span = parser.next_token().span;
    parser.expect_token(&Token::LParen)?;
    let query = parser.parse_query()?;
    parser.expect_token(&Token::RParen)?;
    expect_word(parser, "to")?;
    let to = string(parser)?;
    Ok(Command::Unload { query, to, properties: properties(parser)?, span })
}

/// `WITH (name = value, …)`; a list of one text is that text.
fn properties(parser: &mut Parser) -> Result<Properties, ParserError> {
    if !word(parser, "with") {
        return Ok(Vec::new());
    }
    parser.expect_token(&Token::LParen)?;
    let properties = parser.parse_comma_separated(|parser| {
        let name = parser.parse_identifier()?.value.to_lowercase();
        parser.expect_token(&Token::Eq)?;
        let value = parser.parse_expr()?;
        Ok((name, plain(&value)))
    })?;
    parser.expect_token(&Token::RParen)?;
    Ok(properties)
}

fn plain(value: &Expr) -> String {
    match value {
        Expr::Value(value) => value.value.clone().into_string().unwrap_or_else(|| value.to_string()),
        Expr::Array(array) => array.elem.iter().map(plain).collect::<Vec<_>>().join(","),
        other => other.to_string(),
    }
}
