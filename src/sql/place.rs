//! A place in a query: its line, with a caret under the column.

use std::fmt;

use datafusion::sql::sqlparser::tokenizer::Span;
use unicode_width::UnicodeWidthChar;

use crate::output::escape;

/// Where in the text: what is shown of the line, and what is underlined.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Place {
    line: usize,
    column: usize,
    shown: String,
    indent: usize,
    width: usize,
}

/// The longest part of a line that is shown on either side of the column.
const CONTEXT: usize = 60;
impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let number = self.line.to_string();
        let blank = " ".repeat(number.len());
        let indent = " ".repeat(self.indent);
        let caret = "^".repeat(self.width.max(1));
        write!(f, " (line {number}, column {})", self.column)?;
        write!(f, "\n  {number} | {}", self.shown)?;
        write!(f, "\n  {blank} | {indent}{caret}")
    }
}

impl Place {
    pub(super) fn of_span(text: &str, span: Span) -> Option<Self> {
        if span.start.line == 0 {
            return None;
        }
        let line = usize::try_from(span.start.line).ok()?;
        let start = usize::try_from(span.start.column).ok()?;
        let one_line = span.end.line == span.start.line && span.end.column > span.start.column;
        let length = if one_line { usize::try_from(span.end.column).ok()? - start } else { 1 };
        Self::new(text, line, start, length)
    }

    /// The place behind the last word, where something is missing.
    pub(super) fn end_of(text: &str) -> Option<Self> {
        let (line, last) = text.lines().enumerate().filter(|(_, line)| !line.trim().is_empty()).last()?;
        Self::new(text, line + 1, last.trim_end().chars().count() + 1, 1)
    }

    /// A place of which only the beginning is known: the word that begins there is underlined.
    pub(super) fn at(text: &str, line: u64, column: u64) -> Option<Self> {
        let (line, column) = (usize::try_from(line).ok()?, usize::try_from(column).ok()?);
        let source = text.lines().nth(line.checked_sub(1)?)?;
        let is_word = |c: &char| c.is_alphanumeric() || *c == '_';
        let length = source.chars().skip(column.saturating_sub(1)).take_while(is_word).count();
        Self::new(text, line, column, length.max(1))
    }

    /// `column` counts characters from 1, as the tokenizer does.
    fn new(text: &str, line: usize, column: usize, length: usize) -> Option<Self> {
        let source = text.split('\n').nth(line.checked_sub(1)?)?.trim_end_matches('\r');
        let chars: Vec<char> = source.chars().collect();
        let at = column.checked_sub(1)?.min(chars.len());
        let end = (at + length).min(chars.len()).max(at);
        let from = at.saturating_sub(CONTEXT);
        let to = (end + CONTEXT).min(chars.len());
        let (mut shown, mut indent) = (String::new(), 0);
        if from > 0 {
            shown.push('…');
            indent += 1;
        }
        shown.push_str(&visible(&chars[from..to]));
        if to < chars.len() {
            shown.push('…');
        }
        indent += width(&visible(&chars[from..at]));
        Some(Self { line, column, shown, indent, width: width(&visible(&chars[at..end])) })
    }
}

/// A tab as one space, so that the caret stands right; other control characters spelt out.
fn visible(chars: &[char]) -> String {
    let text: String = chars.iter().map(|&c| if c == '\t' { ' ' } else { c }).collect();
    escape(&text, false).into_owned()
}

fn width(text: &str) -> usize {
    text.chars().map(|c| c.width().unwrap_or(0)).sum()
}
