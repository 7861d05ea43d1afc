//! Columns of text under construction.

use std::sync::Arc;

use arrow::array::{ArrayRef, DictionaryArray, StringBuilder, UInt32Array};
use arrow::buffer::{BooleanBuffer, NullBuffer};
use arrow::datatypes::UInt32Type;

use super::interner::Interner;
use super::record::Leaf;
use crate::json::unescape;

/// A column of text that is told of its texts only: most columns are null in most rows.
#[derive(Debug, Default)]
pub(super) struct TextColumn {
    builder: StringBuilder,
    /// Rows that the builder has.
    filled: usize,
}

impl TextColumn {
    /// Appends the text of row `at`; the rows since the last text are null. A row has one text: the first counts.
    #[inline]
    pub(super) fn append(&mut self, at: usize, text: &str) {
        if self.filled > at {
            return;
        }
        if self.filled < at {
            self.builder.append_nulls(at - self.filled);
        }
        self.builder.append_value(text);
        self.filled = at + 1;
    }

    #[inline]
    pub(super) fn append_leaf(
        &mut self,
        at: usize,
        leaf: Leaf,
        text: &str,
        base: usize,
        scratch: &mut String,
    ) {
        if let Some(text) = leaf.text(text, base, scratch) {
            self.append(at, text);
        }
    }

    /// Hands over the first `rows` rows. The next batch is likely to be as large, and gets the room.
    pub(super) fn finish(&mut self, rows: usize) -> ArrayRef {
        if self.filled < rows {
            self.builder.append_nulls(rows - self.filled);
        }
        let bytes = self.builder.values_slice().len();
        let next = if bytes == 0 { StringBuilder::new() } else { StringBuilder::with_capacity(rows, bytes) };
        let mut full = std::mem::replace(&mut self.builder, next);
        self.filled = 0;
        Arc::new(full.finish().slice(0, rows))
    }
}

/// A column whose texts are expected to repeat: codes of different texts. Should they not, it becomes a
/// [`TextColumn`] for the rest of its batch.
#[derive(Debug, Default)]
pub(super) struct RepeatingColumn {
    codes: Vec<u32>,
    different: Interner,
    texts: TextColumn,
    /// The texts of this batch are in `texts`.
    given_up: bool,
}

/// The code of a row without a text.
const NO_TEXT: u32 = u32::MAX;

impl RepeatingColumn {
    /// Appends the text of row `at`, like [`TextColumn::append`].
    #[inline]
    pub(super) fn append(&mut self, at: usize, text: &str) {
        if self.given_up {
            return self.texts.append(at, text);
        }
        if self.codes.len() > at {
            return;
        }
        let Some(code) = self.different.intern(text) else { return self.give_up(at, text) };
        if self.codes.len() < at {
            self.codes.resize(at, NO_TEXT);
        }
        self.codes.push(code);
    }

    #[cold]
    fn give_up(&mut self, at: usize, text: &str) {
        for (row, &code) in self.codes.iter().enumerate().filter(|(_, code)| **code != NO_TEXT) {
            self.texts.append(row, self.different.text(code));
        }
        self.texts.append(at, text);
        self.given_up = true;
        self.codes.clear();
        self.different.finish();
    }

    /// Hands over the first `rows` rows, as codes or as texts.
    pub(super) fn finish(&mut self, rows: usize) -> ArrayRef {
        if std::mem::take(&mut self.given_up) {
            return self.texts.finish(rows);
        }
        if self.codes.is_empty() {
            let none = UInt32Array::new_null(rows);
            let texts = self.different.finish();
            return Arc::new(
                DictionaryArray::<UInt32Type>::try_new(none, texts).expect("no code needs a text"),
            );
        }
        let next = Vec::with_capacity(rows);
        let mut codes = std::mem::replace(&mut self.codes, next);
        codes.resize(rows, NO_TEXT);
        let present = BooleanBuffer::collect_bool(rows, |row| codes[row] != NO_TEXT);
        for code in &mut codes {
            *code = if *code == NO_TEXT { 0 } else { *code };
        }
        let codes = UInt32Array::new(codes.into(), Some(NullBuffer::new(present)));
        let texts = self.different.finish();
        Arc::new(DictionaryArray::<UInt32Type>::try_new(codes, texts).expect("each code has its text"))
    }
}

impl Leaf {
    /// Its text, if it has one: `record` is the record, which starts at offset `base` of the file.
    #[inline]
    pub(super) fn text<'a>(self, record: &'a str, base: usize, scratch: &'a mut String) -> Option<&'a str> {
        match self {
            Leaf::Absent => None,
            Leaf::Plain(start, end) => Some(&record[start - base..end - base]),
            Leaf::Escaped(start, end) => {
                scratch.clear();
                unescape(&record[start - base..end - base], scratch);
                Some(scratch)
            }
        }
    }
}
