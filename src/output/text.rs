//! Values as text: Athena's forms of times, numbers, arrays, maps and rows, and no way for a value to move the cursor.

use std::borrow::Cow;
use std::fmt::Write;

use anyhow::Result;
use arrow::array::{Array, ArrayRef, AsArray, BinaryArray, Float64Array, StringArray, make_array};
use arrow::datatypes::{DataType, Float64Type};
use arrow::util::display::{ArrayFormatter, FormatOptions};

use crate::sql;

/// `text` with every character spelt out that a terminal would obey or that would disguise the text:
/// controls (C0, C1, ESC, DEL), line and paragraph separators, and marks that turn its direction.
///
/// With `keep_lines`, line breaks stay.
pub fn escape(text: &str, keep_lines: bool) -> Cow<'_, str> {
    if !text.chars().any(|c| is_unsafe(c, keep_lines)) {
        return Cow::Borrowed(text);
    }
    let mut safe = String::with_capacity(text.len() + 16);
    for c in text.chars() {
        match c {
            _ if !is_unsafe(c, keep_lines) => safe.push(c),
            '\n' => safe.push_str("\\n"),
            '\r' => safe.push_str("\\r"),
            '\t' => safe.push_str("\\t"),
            _ => safe.push_str(&c.escape_unicode().to_string()),
        }
    }
    Cow::Owned(safe)
}

fn is_unsafe(c: char, keep_lines: bool) -> bool {
    if c == '\n' {
        return !keep_lines;
    }
    c.is_control() || is_disguise(c)
}

/// Marks that change the direction of text, zero-width characters, and Unicode's own line breaks.
pub(super) fn is_disguise(c: char) -> bool {
    matches!(c,
        '\u{061c}' | '\u{200b}'..='\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2060}'..='\u{2069}' | '\u{feff}'
        | '\u{e0000}'..='\u{e007f}')
}

/// The values of one column, ready to be written as text.
pub(super) enum Column<'a> {
    Leaf(&'a dyn Array, ArrayFormatter<'a>),
    Double(&'a Float64Array),
    Bytes(&'a BinaryArray),
    /// Times and intervals, as a CAST to varchar writes them.
    Written(&'a dyn Array, StringArray),
    List(&'a dyn Array, Box<dyn Fn(usize) -> (usize, usize) + Send + 'a>, Box<Column<'a>>),
    Map(&'a dyn Array, Box<dyn Fn(usize) -> (usize, usize) + Send + 'a>, Box<Column<'a>>, Box<Column<'a>>),
    Row(&'a dyn Array, Vec<(&'a str, Column<'a>)>),
}

impl<'a> Column<'a> {
    pub(super) fn new(array: &'a dyn Array) -> Result<Self> {
        Ok(match array.data_type() {
            DataType::List(_) => {
                let list = array.as_list::<i32>();
                let range =
                    |row: usize| (index(list.value_offsets()[row]), index(list.value_offsets()[row + 1]));
                Self::List(array, Box::new(range), Box::new(Self::new(list.values())?))
            }
            DataType::Map(..) => {
                let map = array.as_map();
                let range =
                    |row: usize| (index(map.value_offsets()[row]), index(map.value_offsets()[row + 1]));
                let (keys, values) = (Self::new(map.keys())?, Self::new(map.values())?);
                Self::Map(array, Box::new(range), Box::new(keys), Box::new(values))
            }
            DataType::Struct(fields) => {
                let columns = array.as_struct().columns();
                let named = fields.iter().zip(columns).map(|(field, column): (_, &'a ArrayRef)| {
                    Ok((field.name().as_str(), Self::new(column)?))
                });
                Self::Row(array, named.collect::<Result<_>>()?)
            }
            DataType::Float64 => Self::Double(array.as_primitive::<Float64Type>()),
            DataType::Binary => Self::Bytes(array.as_binary::<i32>()),
            DataType::Timestamp(..)
            | DataType::Time32(_)
            | DataType::Time64(_)
            | DataType::Interval(_)
            | DataType::Duration(_) => {
                let written = sql::to_varchar(&make_array(array.to_data()))?;
                Self::Written(array, written.as_string::<i32>().clone())
            }
            _ => Self::Leaf(array, ArrayFormatter::try_new(array, &FormatOptions::new())?),
        })
    }

    pub(super) fn is_null(&self, row: usize) -> bool {
        match self {
            Self::Double(values) => values.is_null(row),
            Self::Bytes(values) => values.is_null(row),
            Self::Leaf(array, _)
            | Self::Written(array, _)
            | Self::List(array, ..)
            | Self::Map(array, ..)
            | Self::Row(array, _) => array.is_null(row) || *array.data_type() == DataType::Null,
        }
    }

    /// Appends the value in `row`: `[a, b]`, `{k=v}`, `{field=value}`, and `null` inside of those.
    pub(super) fn write(&self, row: usize, out: &mut String) -> Result<()> {
        if self.is_null(row) {
            out.push_str("null");
            return Ok(());
        }
        match self {
            Self::Leaf(_, values) => write!(out, "{}", values.value(row).try_to_string()?)?,
            Self::Double(values) => sql::push_double(out, values.value(row)),
            Self::Bytes(values) => {
                for (number, byte) in values.value(row).iter().enumerate() {
                    let blank = if number > 0 { " " } else { "" };
                    write!(out, "{blank}{byte:02x}")?;
                }
            }
            Self::Written(_, texts) => out.push_str(texts.value(row)),
            Self::List(_, range, values) => {
                let (start, end) = range(row);
                write_joined(out, '[', ']', start..end, |at, out| values.write(at, out))?;
            }
            Self::Map(_, range, keys, values) => {
                let (start, end) = range(row);
                write_joined(out, '{', '}', start..end, |at, out| {
                    keys.write(at, out)?;
                    out.push('=');
                    values.write(at, out)
                })?;
            }
            Self::Row(_, fields) => {
                write_joined(out, '{', '}', fields, |(name, values), out| {
                    out.push_str(name);
                    out.push('=');
                    values.write(row, out)
                })?;
            }
        }
        Ok(())
    }
}

fn write_joined<T>(
    out: &mut String,
    open: char,
    close: char,
    items: impl IntoIterator<Item = T>,
    mut write: impl FnMut(T, &mut String) -> Result<()>,
) -> Result<()> {
    out.push(open);
    for (number, item) in items.into_iter().enumerate() {
        if number > 0 {
            out.push_str(", ");
        }
        write(item, out)?;
    }
    out.push(close);
    Ok(())
}

/// An Arrow offset as an index; Arrow guarantees that offsets are not negative.
fn index(offset: i32) -> usize {
    usize::try_from(offset).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn nothing_that_a_terminal_obeys_gets_through() {
        let hostile = "a\u{1b}[2Jb\u{9b}c\u{7f}\u{202e}d\u{2066}e\u{0}f\ng\th\r\u{200b}é日🦀\u{2028}";
        let safe = escape(hostile, false);
        let expected =
            "a\\u{1b}[2Jb\\u{9b}c\\u{7f}\\u{202e}d\\u{2066}e\\u{0}f\\ng\\th\\r\\u{200b}é日🦀\\u{2028}";
        assert_eq!(safe, expected);
        assert_eq!(escape("two\nlines\u{1b}", true), "two\nlines\\u{1b}");
        assert!(matches!(escape("plain é", false), Cow::Borrowed(_)));
    }

    #[tokio::test]
    async fn times_numbers_and_bytes_have_athenas_form() {
        let sql = "SELECT timestamp '2026-01-05 13:51:00', from_iso8601_timestamp('2026-01-05T13:51:00.5Z'),
            at_timezone(from_iso8601_timestamp('2026-01-05T13:51:00Z'), 'America/New_York'), date '2026-01-05',
            1e10, 100e0, cast(NULL as double), true, X'00ff', interval '2' day, ARRAY[date '2026-01-05', NULL]";
        let session = sql::testing::session(&[]);
        let expected = "2026-01-05 13:51:00.000,2026-01-05 13:51:00.500 UTC,\
            2026-01-05 08:51:00.000 America/New_York,2026-01-05,1.0E10,100.0,,true,00 ff,2 00:00:00.000,\
            \"[2026-01-05, null]\"";
        assert_eq!(sql::testing::answer(&session, sql).await, [expected]);
    }

    #[test]
    fn nested_values_have_athenas_form() {
        let batch = sql::testing::events(&[
            json!({
                "resources": [{"arn": "x", "type": "T"}, {"accountid": "1"}],
                "useridentity": {"sessioncontext": {"webidfederationdata": {"attributes": {"k": "v", "l": null}}}},
            }),
            json!({"resources": []}),
        ]);
        let text = |name: &str, row: usize| {
            let mut out = String::new();
            let array = batch.column_by_name(name).unwrap();
            Column::new(array).unwrap().write(row, &mut out).unwrap();
            out
        };
        let expected = "[{arn=x, accountid=null, type=T, arnprefix=null}, \
                        {arn=null, accountid=1, type=null, arnprefix=null}]";
        assert_eq!(text("resources", 0), expected);
        assert_eq!(text("resources", 1), "[]");
        let identity = text("useridentity", 0);
        assert!(
            identity.contains("webidfederationdata={federatedprovider=null, attributes={k=v, l=null}}"),
            "{identity}"
        );
        assert_eq!(text("useridentity", 1), "null");
    }
}
