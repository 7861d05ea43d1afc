//! The format of sqllogictest, as far as the conformance suite uses it.

use std::fs;
use std::path::{Path, PathBuf};

/// One statement of a file with what is expected of it.
#[derive(Debug)]
pub(crate) struct Record {
    /// The line on which the statement begins, from 1.
    pub(crate) line: usize,
    pub(crate) sql: String,
    /// The labels of its `onlyif` lines: it runs only with all of them.
    pub(crate) labels: Vec<String>,
    /// The headings of its `# columns:` comment.
    pub(crate) columns: Option<Vec<String>>,
    pub(crate) expected: Expected,
}

#[derive(Debug)]
pub(crate) enum Expected {
    Success,
    /// An error whose text matches this regular expression.
    Error(String),
    /// A letter for each column, and the rows as lines.
    Rows {
        types: String,
        sorted: bool,
        lines: Vec<String>,
    },
}

/// The files below `directory`, in order.
pub(crate) fn files(directory: &Path) -> Vec<PathBuf> {
    let mut found = Vec::new();
    for entry in fs::read_dir(directory).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            found.extend(files(&path));
        } else if path.extension().is_some_and(|extension| extension == "slt") {
            found.push(path);
        }
    }
    found.sort();
    found
}

/// Reads all records of a file; whatever is not understood panics.
pub(crate) fn parse(text: &str) -> Vec<Record> {
    let mut records = Vec::new();
    let mut lines = text.lines().enumerate().peekable();
    let (mut labels, mut columns) = (Vec::new(), None);
    while let Some((index, line)) = lines.next() {
        let words: Vec<&str> = line.split_whitespace().collect();
        let expected = match words.as_slice() {
            [] => continue,
            ["#", "columns:", ..] => {
                let names = line.trim_start_matches("# columns:").split(',');
                columns = Some(names.map(|name| name.trim().to_owned()).collect());
                continue;
            }
            [first, ..] if first.starts_with('#') => continue,
            ["onlyif", label] => {
                labels.push((*label).to_owned());
                continue;
            }
            ["statement", "ok"] => Expected::Success,
            ["statement", "error", ..] => {
                let pattern = line.trim().strip_prefix("statement error").unwrap();
                Expected::Error(pattern.trim().to_owned())
            }
            ["query", types, rest @ ..] => {
                assert!(matches!(rest, [] | ["rowsort"]), "line {}: {line}", index + 1);
                Expected::Rows { types: (*types).to_owned(), sorted: !rest.is_empty(), lines: Vec::new() }
            }
            _ => panic!("line {}: {line}", index + 1),
        };
        let mut sql = Vec::new();
        let mut results = false;
        while let Some((_, line)) = lines.next_if(|(_, line)| !line.trim().is_empty()) {
            if line == "----" {
                results = true;
                break;
            }
            sql.push(line);
        }
        let expected = match expected {
            Expected::Rows { types, sorted, .. } => {
                assert!(results, "line {}: a query without results", index + 1);
                let mut rows = Vec::new();
                while let Some((_, row)) = lines.next_if(|(_, line)| !line.trim().is_empty()) {
                    rows.push(normalized(row));
                }
                Expected::Rows { types, sorted, lines: rows }
            }
            other => other,
        };
        let (labels, columns) = (std::mem::take(&mut labels), columns.take());
        records.push(Record { line: index + 2, sql: sql.join("\n"), labels, columns, expected });
    }
    records
}

/// A line with one blank wherever it has any.
pub(crate) fn normalized(line: &str) -> String {
    line.split_whitespace().collect::<Vec<_>>().join(" ")
}
