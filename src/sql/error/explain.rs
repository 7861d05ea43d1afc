//! What an error of the parser, of DataFusion or of Arrow means for the text of a query.

use datafusion::common::{Column, DataFusionError, SchemaError, Span as PlanSpan};
use datafusion::execution::SessionState;
use datafusion::sql::sqlparser::tokenizer::{Span, Token, TokenWithSpan};

use super::{MATCH_RECOGNIZE, NEEDS_A_LAKE, SqlError};
use crate::sql::members;
use crate::sql::nearest::nearest;
use crate::sql::place::Place;
use crate::sql::tokens::tokenize;

/// The types that people cast to.
const TYPES: [&str; 14] = [
    "ARRAY",
    "BIGINT",
    "BOOLEAN",
    "DATE",
    "DECIMAL",
    "DOUBLE",
    "INTEGER",
    "IPADDRESS",
    "JSON",
    "MAP",
    "REAL",
    "TIME",
    "TIMESTAMP",
    "VARCHAR",
];
/// Columns that log files read in place do not have.
const LAKE_COLUMNS: [&str; 2] = ["integrity", "integrity_reason"];
/// Athena's hidden columns that there are not, and what there is instead.
const HIDDEN_COLUMNS: [(&str, &str); 3] = [
    (
        "$file_modified_time",
        "when an object was last written is not kept: log_files has ingested_at, and max_event_time of each log_file",
    ),
    (
        "$file_size",
        "the size of a log file is in another table: JOIN log_files f ON f.log_file = \"$path\", f.size",
    ),
    ("$partition", "the partitions are columns: account, region, year, month, day, \"timestamp\""),
];
const LISTS_ALL: &str = "trailq sql \"describe cloudtrail_logs\" lists all columns";

/// The innermost error, and the place that the planner noted for it.
pub(super) fn unwrap(error: &DataFusionError) -> (Option<Span>, &DataFusionError) {
    let mut span = None;
    let mut error = error;
    loop {
        error = match error {
            DataFusionError::Diagnostic(diagnostic, inner) => {
                span = diagnostic.span.map(parser_span).or(span);
                inner
            }
            DataFusionError::Context(_, inner) => inner,
            DataFusionError::Shared(inner) => inner,
            DataFusionError::Collection(errors) if !errors.is_empty() => &errors[0],
            DataFusionError::ArrowError(arrow, _) => match arrow.as_ref() {
                arrow::error::ArrowError::ExternalError(inner) => {
                    match inner.downcast_ref::<DataFusionError>() {
                        Some(inner) => inner,
                        None => return (span, error),
                    }
                }
                _ => return (span, error),
            },
            _ => return (span, error),
        }
    }
}

fn parser_span(span: PlanSpan) -> Span {
    let location = |at: datafusion::common::Location| (at.line, at.column).into();
    Span::new(location(span.start), location(span.end))
}

/// The text in question, with what helps to explain it.
pub(super) struct Query<'a> {
    pub(super) text: &'a str,
    pub(super) state: Option<&'a SessionState>,
    pub(super) span: Option<Span>,
}

impl Query<'_> {
    fn place(&self) -> Option<Place> {
        Place::of_span(self.text, self.span?)
    }

    pub(super) fn syntax_error(&self, message: &str) -> SqlError {
        let message = message.trim_start_matches("sql parser error: ");
        if message.to_uppercase().contains(&format!("FOUND: {MATCH_RECOGNIZE}")) {
            return SqlError::match_recognize(self.find(&MATCH_RECOGNIZE.to_lowercase(), Sought::Any));
        }
        let (message, location) = match message.rsplit_once(" at Line: ") {
            Some((message, location)) => (message, parse_location(location)),
            None => (message, None),
        };
        let message = match message.strip_prefix("Expected: ") {
            Some(rest) => format!("SYNTAX_ERROR: expected {rest}"),
            None => format!("SYNTAX_ERROR: {}", first_line(message)),
        };
        let at_end = message.contains("found: EOF");
        let message = message.replace("found: EOF", "found the end of the text");
        let place = location.and_then(|(line, column)| Place::at(self.text, line, column));
        let place = place.or_else(|| self.place()).or_else(|| Place::end_of(self.text).filter(|_| at_end));
        SqlError::at(message.replace("found: ", "found "), place)
    }

    pub(super) fn schema_error(&self, error: &SchemaError) -> SqlError {
        match error {
            SchemaError::FieldNotFound { field, valid_fields } => self.unknown_column(field, valid_fields),
            SchemaError::AmbiguousReference { field } => {
                let message = format!("AMBIGUOUS_NAME: Column '{}' is ambiguous", field.name);
                let place = self.place().or_else(|| self.find(&field.name, Sought::Any));
                SqlError::at(message, place).with_help("write the name of its table before it: table.column")
            }
            SchemaError::DuplicateQualifiedField { name, .. }
            | SchemaError::DuplicateUnqualifiedField { name } => {
                let message = format!("there are two columns '{name}'");
                SqlError::at(message, self.find(name, Sought::Any))
                    .with_help("give one of them another name with AS")
            }
        }
    }

    fn unknown_column(&self, field: &Column, valid: &[Column]) -> SqlError {
        let place = field.spans().first().map(parser_span).or(self.span);
        let place = place.and_then(|span| Place::of_span(self.text, span));
        let place = place.or_else(|| self.find(&field.name, Sought::Any));
        let candidates: Vec<&str> = valid.iter().map(|column| column.name.as_str()).collect();
        // A name that is selected twice is kept as two names, neither of which is this one.
        if candidates.iter().any(|name| name.split_once('$').is_some_and(|(name, _)| name == field.name)) {
            let message = format!("AMBIGUOUS_NAME: Column '{}' is ambiguous", field.name);
            return SqlError::at(message, place).with_help("give one of the two another name with AS");
        }
        let name = match &field.relation {
            Some(relation) => format!("{relation}.{}", field.name),
            None => field.name.clone(),
        };
        let error = SqlError::at(format!("COLUMN_NOT_FOUND: Column '{name}' cannot be resolved"), place);
        if let Some((_, help)) = HIDDEN_COLUMNS.iter().find(|(name, _)| *name == field.name) {
            return error.with_help(help);
        }
        let lake = candidates.iter().any(|name| LAKE_COLUMNS.contains(name));
        if LAKE_COLUMNS.contains(&field.name.as_str()) && !lake {
            return error.with_help(NEEDS_A_LAKE);
        }
        let mut candidates: Vec<&str> = candidates.into_iter().filter(|name| !name.contains('$')).collect();
        let relation = field.relation.as_ref().map(ToString::to_string);
        let tables: Vec<String> =
            valid.iter().filter_map(|column| Some(column.relation.as_ref()?.table().to_owned())).collect();
        let sought = match &relation {
            Some(relation) if !tables.contains(relation) => {
                candidates.extend(tables.iter().map(String::as_str));
                relation.split('.').next().unwrap_or_default()
            }
            _ => field.name.as_str(),
        };
        let error = error.suggest(&nearest(sought, candidates));
        if self.is_double_quoted(&field.name) {
            return error.with_help("double quotes are for names; a text stands in single quotes");
        }
        error.with_help(LISTS_ALL)
    }

    /// Whether a name stands in double quotes in the text.
    fn is_double_quoted(&self, name: &str) -> bool {
        self.tokens().iter().any(|token| {
            matches!(&token.token, Token::Word(word)
                if word.quote_style == Some('"') && word.value.eq_ignore_ascii_case(name))
        })
    }

    /// Errors of Arrow and the like, some of which Trino knows by name.
    pub(super) fn other(&self, message: &str) -> SqlError {
        // The Parquet reader has conditions of its own, and prints what one of them says: `Execution("…")`.
        if let Some(inner) = between(message, "Execution(\"", "\")")
            .filter(|inner| inner.split_once(": ").is_some_and(|(class, _)| is_class(class)))
        {
            return self.plan_error(&inner.replace("\\\"", "\"").replace("\\\\", "\\"));
        }
        let class = if message.contains("Divide by zero") {
            "DIVISION_BY_ZERO: Division by zero".to_owned()
        } else if message.contains("Cast error") {
            format!("INVALID_CAST_ARGUMENT: {}", first_line(message))
        } else if message.contains("verflow") {
            format!("NUMERIC_VALUE_OUT_OF_RANGE: {}", first_line(message))
        } else {
            first_line(message)
        };
        SqlError::at(class, self.place())
    }

    pub(super) fn plan_error(&self, message: &str) -> SqlError {
        // What a function says of its arguments comes wrapped in what DataFusion says of that.
        let message = message
            .rsplit_once("Error during planning: ")
            .map(|(_, inner)| inner)
            .filter(|inner| inner.split_once(": ").is_some_and(|(class, _)| is_class(class)))
            .unwrap_or(message);
        if let Some(name) = between(message, "Invalid function '", "'.") {
            return self.unknown_function(name);
        }
        if let Some(name) = between(message, "Column '", "' cannot be resolved: no such field")
            .or_else(|| between(message, "Field ", " not found in struct"))
        {
            return self.unknown_member(name);
        }
        if let Some(name) = between(message, "Placeholder '$", "' was not provided")
            .or_else(|| between(message, "No value found for placeholder with name $", ""))
        {
            let message = format!("SYNTAX_ERROR: parameter ${name} has no value");
            let error = SqlError::at(message, self.find_parameter(name));
            return match name {
                "path" => error.with_help("the file of a row is \"$path\", in double quotes"),
                _ => error.with_help(&format!("set it with: -p {name}=VALUE")),
            };
        }
        if let Some(name) = between(message, "column \"", "\" must appear in the GROUP BY") {
            return self.ungrouped(name);
        }
        let classed = message.split_once(": ").is_some_and(|(class, _)| is_class(class));
        if let Some(class) = class_of(message).filter(|_| !classed) {
            return SqlError::at(format!("{class}: {}", first_line(message)), self.place());
        }
        if let Some(name) = between(message, "Unknown type: ", "") {
            let place = self.place().or_else(|| self.find(name, Sought::Any));
            return SqlError::at(first_line(message), place).suggest(&nearest(name, TYPES));
        }
        let call =
            between(message, "Function '", "'").or_else(|| between(message, "call to '", "' function"));
        let call =
            call.or_else(|| between(message, "for function ", "").map(|name| name.trim_end_matches('.')));
        let place = self.place().or_else(|| self.find(call?, Sought::Any));
        SqlError::at(first_line(message), place)
    }

    fn ungrouped(&self, name: &str) -> SqlError {
        let name = name.split_once('.').map_or(name, |(_, name)| name);
        let place = self.place().or_else(|| self.find(name, Sought::Any));
        let message = format!(
            "EXPRESSION_NOT_AGGREGATE: '{name}' must be an aggregate expression or appear in GROUP BY clause"
        );
        SqlError::at(message, place)
            .with_help("what is selected and what is grouped by must be written alike")
    }

    pub(super) fn not_supported(&self, message: &str) -> SqlError {
        // The planner prints its own structure here, which helps nobody.
        let subquery = ["OuterReferenceColumn", "Subquery("].iter().any(|node| message.contains(node));
        let what = if subquery {
            "a subquery that refers to the outer query in this way".to_owned()
        } else {
            first_line(message)
        };
        SqlError::at(format!("NOT_SUPPORTED: {what}"), self.place())
    }

    fn unknown_function(&self, name: &str) -> SqlError {
        let place = self.place().or_else(|| self.find(name, Sought::Any));
        let mut functions: Vec<&str> = Vec::new();
        if let Some(state) = self.state {
            functions.extend(state.scalar_functions().keys().map(String::as_str));
            functions.extend(state.aggregate_functions().keys().map(String::as_str));
            functions.extend(state.window_functions().keys().map(String::as_str));
            functions.extend(state.higher_order_functions().keys().map(String::as_str));
            functions.retain(|name| !name.starts_with('$'));
        }
        SqlError::at(format!("FUNCTION_NOT_FOUND: Function '{name}' not registered"), place)
            .suggest(&nearest(name, functions))
    }

    fn unknown_member(&self, name: &str) -> SqlError {
        let place = self.find(name, Sought::Member);
        let fields = crate::event::schema::schema();
        let paths = members::paths(fields.fields());
        let path = self.path_before(name);
        let inside: Vec<&str> = paths
            .iter()
            .filter(|candidate| candidate.len() == path.len() + 1 && candidate.starts_with(&path))
            .filter_map(|candidate| candidate.last().map(String::as_str))
            .collect();
        let owner = if path.is_empty() { "the struct".to_owned() } else { format!("'{}'", path.join(".")) };
        let error =
            SqlError::at(format!("COLUMN_NOT_FOUND: Column '{name}' cannot be resolved in {owner}"), place);
        let near = nearest(name, inside.iter().copied());
        if near.is_empty() && !inside.is_empty() {
            return error.with_help(&format!("it has: {}", inside.join(", ")));
        }
        error.suggest(&near)
    }

    /// The names before `.name`, without a leading table: `useridentity.sessioncontext`.
    fn path_before(&self, name: &str) -> Vec<String> {
        let tokens = self.tokens();
        let Some(at) = position(&tokens, name, Sought::Member) else { return Vec::new() };
        let mut path = Vec::new();
        let mut before = &tokens[..at];
        while let [rest @ .., owner, dot] = before {
            if dot.token != Token::Period {
                break;
            }
            before = match &owner.token {
                Token::Word(word) => {
                    path.insert(0, word.value.to_lowercase());
                    rest
                }
                // A subscript: the name stands before its bracket.
                Token::RBracket => {
                    let open = rest.iter().rposition(|token| token.token == Token::LBracket).unwrap_or(0);
                    match &rest[..open] {
                        [rest @ .., TokenWithSpan { token: Token::Word(word), .. }] => {
                            path.insert(0, word.value.to_lowercase());
                            rest
                        }
                        _ => break,
                    }
                }
                _ => break,
            };
        }
        let known = crate::event::schema::schema();
        while path.first().is_some_and(|first| known.column_with_name(first).is_none()) {
            path.remove(0);
        }
        path
    }

    fn find(&self, name: &str, sought: Sought) -> Option<Place> {
        let tokens = self.tokens();
        Place::of_span(self.text, tokens[position(&tokens, name, sought)?].span)
    }

    fn find_parameter(&self, name: &str) -> Option<Place> {
        let wanted = Token::Placeholder(format!("${name}"));
        let tokens = self.tokens();
        Place::of_span(self.text, tokens.iter().find(|token| token.token == wanted)?.span)
    }

    fn tokens(&self) -> Vec<TokenWithSpan> {
        let mut tokens = tokenize(self.text).unwrap_or_default();
        tokens.retain(|token| !matches!(token.token, Token::Whitespace(_)));
        tokens
    }
}

/// Whether a word is a name of Trino's for an error.
fn is_class(word: &str) -> bool {
    word.len() > 3 && word.bytes().all(|byte| byte.is_ascii_uppercase() || byte == b'_')
}

/// The class that Trino has for a mistake that DataFusion finds.
fn class_of(message: &str) -> Option<&'static str> {
    let classes = [
        ("Cannot find column with position", "INVALID_COLUMN_REFERENCE"),
        ("For SELECT DISTINCT, ORDER BY", "EXPRESSION_NOT_IN_DISTINCT"),
        ("must have the same number of columns", "TYPE_MISMATCH"),
        ("have different number of columns", "TYPE_MISMATCH"),
        ("Cannot infer common argument type", "TYPE_MISMATCH"),
        ("Cannot coerce", "TYPE_MISMATCH"),
        ("isn't a common type to coerce", "TYPE_MISMATCH"),
        ("No function matches the given name", "FUNCTION_NOT_FOUND"),
        ("Duplicate", "DUPLICATE_NAMED_QUERY"),
        ("DDL not supported", "NOT_SUPPORTED"),
        ("Scalar subquery returned more than one row", "SUBQUERY_MULTIPLE_ROWS"),
    ];
    classes.into_iter().find(|(part, _)| message.contains(part)).map(|(_, class)| class)
}

/// What a name that is looked for in the text may be.
#[derive(Clone, Copy, PartialEq)]
enum Sought {
    Any,
    Member,
}

fn position(tokens: &[TokenWithSpan], name: &str, sought: Sought) -> Option<usize> {
    let is_name = |token: &Token| match token {
        Token::Word(word) => word.value.eq_ignore_ascii_case(name),
        Token::SingleQuotedString(text) => sought == Sought::Member && text == name,
        _ => false,
    };
    let after_dot = |at: usize| at > 0 && matches!(tokens[at - 1].token, Token::Period | Token::LBracket);
    (0..tokens.len()).find(|&at| is_name(&tokens[at].token) && (sought == Sought::Any || after_dot(at)))
}

fn parse_location(text: &str) -> Option<(u64, u64)> {
    let (line, column) = text.split_once(", Column: ")?;
    let digits = column.split(|c: char| !c.is_ascii_digit()).next()?;
    Some((line.parse().ok()?, digits.parse().ok()?))
}

fn between<'a>(text: &'a str, before: &str, after: &str) -> Option<&'a str> {
    let rest = &text[text.find(before)? + before.len()..];
    if after.is_empty() {
        return rest.split_whitespace().next();
    }
    rest.find(after).map(|end| &rest[..end])
}

/// The message on one line, without DataFusion's own prefixes and appendices.
pub(super) fn first_line(message: &str) -> String {
    let mut message = message.trim();
    for prefix in PREFIXES {
        message = message.strip_prefix(prefix).unwrap_or(message);
    }
    for appendix in APPENDICES {
        message = message.find(appendix).map_or(message, |end| &message[..end]);
    }
    let line = message.lines().map(str::trim).collect::<Vec<_>>().join(" ");
    line.replace("Internal error: ", "").trim_end_matches(['.', ' ']).to_owned()
}

const PREFIXES: [&str; 4] =
    ["Error during planning: ", "Execution error: ", "Arrow error: ", "External error: "];

const APPENDICES: [&str; 4] = [
    "\n\nbacktrace:",
    " No function matches the given name",
    ".\nThis issue was likely caused",
    ". This issue was likely caused",
];
