//! The conformance suite's files, as the sqllogictest crate reads them.

use std::fs;
use std::path::{Path, PathBuf};

use arrow::datatypes::DataType;
use sqllogictest::{ColumnType, Record};

/// What a letter after `query` asks of a column.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Letter {
    Boolean,
    Date,
    Integer,
    /// A float or a decimal.
    Real,
    Text,
    Timestamp,
    /// Of a column that is all NULL, which may stand anywhere.
    Null,
    /// Of a column that may stand nowhere.
    None,
}

impl Letter {
    /// The letter for a column of an answer.
    pub(crate) fn of(data_type: &DataType) -> Self {
        match data_type {
            DataType::Null => Self::Null,
            DataType::Boolean => Self::Boolean,
            DataType::Date32 => Self::Date,
            DataType::Timestamp(..) => Self::Timestamp,
            DataType::Decimal128(..) => Self::Real,
            DataType::FixedSizeBinary(_) => Self::Text,
            other if other.is_signed_integer() => Self::Integer,
            other if other.is_floating() => Self::Real,
            other if other.is_string() || other.is_nested() => Self::Text,
            _ => Self::None,
        }
    }

    /// Whether an answer's columns are those that were asked for.
    #[expect(clippy::ptr_arg, reason = "the runner's type of a validator")]
    pub(crate) fn fit(found: &Vec<Self>, expected: &Vec<Self>) -> bool {
        let fits = |(found, expected): (&Self, &Self)| *found == Self::Null || found == expected;
        found.len() == expected.len() && found.iter().zip(expected).all(fits)
    }
}

impl ColumnType for Letter {
    fn from_char(letter: char) -> Option<Self> {
        Some(match letter {
            'B' => Self::Boolean,
            'D' => Self::Date,
            'I' => Self::Integer,
            'R' => Self::Real,
            'T' => Self::Text,
            'P' => Self::Timestamp,
            _ => return None,
        })
    }

    fn to_char(&self) -> char {
        match self {
            Self::Boolean => 'B',
            Self::Date => 'D',
            Self::Integer => 'I',
            Self::Real => 'R',
            Self::Text => 'T',
            Self::Timestamp => 'P',
            Self::Null | Self::None => '?',
        }
    }
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

/// The records of a file; whatever is not understood panics.
pub(crate) fn records(path: &Path) -> Vec<Record<Letter>> {
    sqllogictest::parse_file(path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}

/// The statement of a record that has one.
pub(crate) fn statement(record: &Record<Letter>) -> Option<&str> {
    match record {
        Record::Statement { sql, .. } | Record::Query { sql, .. } => Some(sql),
        _ => None,
    }
}

/// The headings that a `# columns:` comment expects of the next answer.
pub(crate) fn headings(record: &Record<Letter>) -> Option<Vec<String>> {
    let Record::Comment(lines) = record else { return None };
    let names = lines.iter().find_map(|line| line.trim().strip_prefix("columns:"))?;
    Some(names.split(',').map(|name| name.trim().to_owned()).collect())
}
