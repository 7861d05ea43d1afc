//! A log file's text to its records, good and broken.
//!
//! A file is `{"Records":[…]}`. Also read: several such documents one after the other, an array of
//! records, and bare records (one a line, as exports have them). A record that is not whole costs
//! nothing but itself: its bytes are set aside with their place, and reading goes on behind it.

use crate::json::{Cursor, Invalid, Type};

use super::record::Row;

/// Bytes of a log file that are no record.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Broken {
    /// Which record of the file it would be, from 0. `None` if it stands outside the records.
    pub record_index: Option<i32>,
    /// Offset into the uncompressed bytes.
    pub byte_offset: usize,
    /// Length in bytes; 0 where something is missing rather than wrong.
    pub byte_length: usize,
    /// A short name of the reason.
    pub reason: &'static str,
    /// The reason for people.
    pub detail: String,
}

/// Why a file is refused as a whole.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Refused {
    /// It is JSON or text, but nothing that CloudTrail delivers as a log file.
    #[error("not a CloudTrail log file: {0}")]
    NotRecords(String),
    /// Its records, or the pieces of it that are none, are more than
    /// [`crate::log_file::Limits::records`].
    #[error("more than the {0} records that a log file may have")]
    TooManyRecords(u64),
}

impl Refused {
    /// A short name for tables and metrics.
    pub fn code(&self) -> &'static str {
        match self {
            Refused::NotRecords(_) => "not_a_log_file",
            Refused::TooManyRecords(_) => "too_many_records",
        }
    }
}

/// How many times over the bytes of a file may be looked at again to find the next good records
/// behind broken ones. A file that needs more is hostile or hopeless; its rest is set aside in one
/// piece. Without a limit, a few megabytes of open brackets would keep a core busy for hours.
const RECOVERY_PASSES: usize = 16;
/// Smaller files may be looked at as if they had this many bytes.
const RECOVERY_BYTES: usize = 1 << 20;
/// Records have numbers of 32 bits with a sign.
const MOST_RECORDS: usize = 1 << 30;

/// Where a record stands in the file.
pub(super) struct Place {
    pub(super) start: usize,
    pub(super) end: usize,
    pub(super) index: i32,
}

/// Takes a whole record's values and its place; may refuse it with a reason.
type Sink<'a> = dyn FnMut(&Row, Place) -> Result<(), &'static str> + 'a;

/// Reads the records of `bytes` in order, and hands each whole one to `sink`: `most` of them, and if there
/// are more, one too many.
pub(super) fn read<'a>(
    bytes: &'a [u8],
    row: &'a mut Row,
    sink: &'a mut Sink<'a>,
    most: u64,
) -> Result<(i32, Vec<Broken>), Refused> {
    let start = if bytes.starts_with(b"\xEF\xBB\xBF") { 3 } else { 0 };
    let cursor = Cursor::new(bytes, start);
    let recovery = bytes.len().max(RECOVERY_BYTES) * RECOVERY_PASSES;
    let limit = usize::try_from(most).unwrap_or(usize::MAX).min(MOST_RECORDS);
    let mut reader = Reader { bytes, cursor, row, sink, next_index: 0, broken: Vec::new(), limit, recovery };
    reader.documents()?;
    if reader.is_over() {
        return Err(Refused::TooManyRecords(limit as u64));
    }
    Ok((reader.next_index, reader.broken))
}

struct Reader<'a, 'b> {
    bytes: &'a [u8],
    cursor: Cursor<'a>,
    row: &'b mut Row,
    sink: &'b mut Sink<'b>,
    next_index: i32,
    broken: Vec<Broken>,
    /// Records, and pieces that are none, that there may be.
    limit: usize,
    /// Bytes that may still be looked at again.
    recovery: usize,
}

impl Reader<'_, '_> {
    fn documents(&mut self) -> Result<(), Refused> {
        let mut first = true;
        while let Some(byte) = self.cursor.peek().filter(|_| !self.is_over()) {
            let start = self.cursor.at();
            let read = match byte {
                b'{' => self.object(),
                b'[' => {
                    self.cursor.take(b'[');
                    let _whole = self.records();
                    Ok(())
                }
                _ => Err("neither an object nor an array".to_owned()),
            };
            match read {
                Ok(()) => {}
                Err(reason) if first => return Err(Refused::NotRecords(reason)),
                Err(reason) => self.set_aside_rest(start, "trailing_bytes", reason),
            }
            first = false;
        }
        if first { Err(Refused::NotRecords("no content".to_owned())) } else { Ok(()) }
    }

    /// Whether there are more records than there may be. Then the rest is of no interest.
    fn is_over(&self) -> bool {
        usize::try_from(self.next_index).is_ok_and(|index| index > self.limit)
            || self.broken.len() > self.limit
    }

    /// An object: a document with `Records`, or a bare record.
    fn object(&mut self) -> Result<(), String> {
        let start = self.cursor.at();
        self.cursor.take(b'{');
        let (mut first, mut found) = (true, false);
        while !self.is_over() {
            let member = self.cursor.at();
            let key = match self.cursor.key(first) {
                Ok(Some(key)) => key,
                Ok(None) => break,
                Err(error) if found => {
                    self.document_cut_off(member, error);
                    return Ok(());
                }
                Err(error) => return self.bare_record(start, Some(error)),
            };
            first = false;
            if &self.bytes[key.inner()] == b"Records" && self.cursor.take(b'[') {
                found = true;
                if !self.records() {
                    return Ok(());
                }
            } else if let Err(error) = self.cursor.value() {
                if !found {
                    return self.bare_record(start, Some(error));
                }
                self.set_aside_rest(member, "invalid_json", error.to_string());
                return Ok(());
            } else if found {
                self.extra_member(key.start);
            }
        }
        if found { Ok(()) } else { self.bare_record(start, None) }
    }

    fn document_cut_off(&mut self, from: usize, error: Invalid) {
        let rest = self.bytes.len() - from;
        let reason = if rest == 0 || error.at >= self.bytes.len() { "cut_off" } else { "invalid_json" };
        self.set_aside_rest(from, reason, format!("the document does not end: {error}"));
    }

    /// Something beside `Records` in the document belongs to no row.
    fn extra_member(&mut self, start: usize) {
        let length = self.cursor.at() - start;
        self.push(None, start, length, "extra_member", "a member beside Records".to_owned());
    }

    /// An object without `Records`: a record by itself, if it looks like one.
    fn bare_record(&mut self, start: usize, error: Option<Invalid>) -> Result<(), String> {
        let mut cursor = Cursor::new(self.bytes, start);
        let parsed = self.row.parse(&mut cursor, self.bytes);
        let known = self.next_index > 0;
        match parsed {
            Ok(()) if self.row.looks_like_a_record() => {
                self.cursor = cursor;
                self.deliver(start);
                Ok(())
            }
            Ok(()) => Err("an object without Records".to_owned()),
            // A file of bare records with a broken one in it: the line is its natural end.
            Err(error) if known => {
                let line = self.bytes[start..].iter().position(|&byte| byte == b'\n');
                let end = line.map_or(self.bytes.len(), |length| start + length);
                self.broken_record(start, end, error);
                self.cursor = Cursor::new(self.bytes, end);
                Ok(())
            }
            Err(invalid) => Err(error.unwrap_or(invalid).to_string()),
        }
    }

    /// The elements of an array of records, whose bracket has been passed. `false` if the text gave
    /// out before its end, which has been reported then, or there are too many.
    fn records(&mut self) -> bool {
        let mut first = true;
        while !self.is_over() {
            let before = self.cursor.at();
            match self.cursor.element(first) {
                Ok(true) => {}
                Ok(false) => return true,
                Err(error) => {
                    if !self.resume(before, error) {
                        return false;
                    }
                    continue;
                }
            }
            first = false;
            let start = self.cursor.peek().map_or(before, |_| self.cursor.at());
            if let Err(error) = self.element(start)
                && !self.resume(start, error)
            {
                return false;
            }
        }
        false
    }

    fn element(&mut self, start: usize) -> Result<(), Invalid> {
        if self.cursor.peek() == Some(b'{') {
            self.row.parse(&mut self.cursor, self.bytes)?;
            self.deliver(start);
            return Ok(());
        }
        let span = self.cursor.value()?;
        if matches!(span.kind, Type::PlainString | Type::EscapedString | Type::Array) {
            // A stray quote makes a string of what is the beginning of the next record.
            return Err(Invalid { at: start, what: "expected a record" });
        }
        let kind = if span.kind == Type::Null { "null" } else { "a value that is no object" };
        let index = self.index();
        self.push(
            Some(index),
            start,
            span.end - start,
            "not_a_record",
            format!("{kind} where a record should be"),
        );
        Ok(())
    }

    fn deliver(&mut self, start: usize) {
        let index = self.index();
        let end = self.cursor.at();
        if let Err(reason) = (self.sink)(self.row, Place { start, end, index }) {
            self.push(Some(index), start, end - start, reason, "the record is not valid UTF-8".to_owned());
        }
    }

    /// Sets the broken record aside that begins at `start`, and finds the place to go on from.
    /// `false` if there is none.
    fn resume(&mut self, start: usize, error: Invalid) -> bool {
        let start = start.min(self.bytes.len());
        let balanced = self.balanced_end(start).filter(|&end| end > error.at && self.goes_on_at(end));
        let limit = balanced.unwrap_or(self.bytes.len());
        let end = self.next_record(limit.min(start + 1), limit).or(balanced);
        let Some(end) = end else {
            let reason = if error.at >= self.bytes.len() { "cut_off" } else { "invalid_json" };
            let index =
                (start < self.bytes.len() && self.bytes[start..].contains(&b'{')).then(|| self.index());
            self.push(index, start, self.bytes.len() - start, reason, error.to_string());
            self.cursor = Cursor::new(self.bytes, self.bytes.len());
            return false;
        };
        self.broken_record(start, end, error);
        self.cursor = Cursor::new(self.bytes, end);
        true
    }

    fn broken_record(&mut self, start: usize, end: usize, error: Invalid) {
        let index = self.index();
        self.push(Some(index), start, end - start, "invalid_json", error.to_string());
    }

    /// Whether a comma or the closing bracket comes at `at`.
    fn separator_at(&self, at: usize) -> bool {
        matches!(Cursor::new(self.bytes, at).peek(), Some(b',' | b']'))
    }

    /// Whether the records go on, or end, at `at`. A stray quote turns text into brackets, so that
    /// these balance in odd places: only a whole record behind the place, or the document's end,
    /// proves it right.
    fn goes_on_at(&mut self, at: usize) -> bool {
        let mut cursor = Cursor::new(self.bytes, at);
        if cursor.take(b',') {
            return self.record_at(&mut cursor);
        }
        cursor.take(b']') && cursor.take(b'}') && matches!(cursor.peek(), None | Some(b'{' | b'['))
    }

    /// Whether a whole record is at the cursor, and what may follow one.
    fn record_at(&mut self, cursor: &mut Cursor) -> bool {
        let start = cursor.at();
        let parsed = self.row.parse(cursor, self.bytes);
        let end = parsed.as_ref().map_or_else(|error| error.at, |()| cursor.at());
        self.recovery = self.recovery.saturating_sub(end - start);
        parsed.is_ok() && self.row.looks_like_a_record() && self.separator_at(cursor.at())
    }

    /// The comma before the next whole record that begins between `from` and `limit`.
    fn next_record(&mut self, from: usize, limit: usize) -> Option<usize> {
        let mut at = from;
        // One cursor for all attempts: what it has seen of the text it need not look at again.
        let mut cursor = Cursor::new(self.bytes, at);
        while let Some(comma) = self.bytes[at..limit].iter().position(|&byte| byte == b',').map(|p| p + at) {
            self.recovery = self.recovery.checked_sub(comma + 1 - at)?;
            at = comma + 1;
            cursor.move_to(at);
            if cursor.peek() == Some(b'{') && self.record_at(&mut cursor) {
                return Some(comma);
            }
        }
        None
    }

    /// Where the object or array that begins at `start` would end by its brackets alone.
    fn balanced_end(&mut self, start: usize) -> Option<usize> {
        let end = self.bytes.len().min(start.saturating_add(self.recovery));
        let found = balanced_end(&self.bytes[..end], start);
        self.recovery -= found.unwrap_or(end) - start;
        found
    }

    fn set_aside_rest(&mut self, start: usize, reason: &'static str, detail: String) {
        self.push(None, start, self.bytes.len() - start, reason, detail);
        self.cursor = Cursor::new(self.bytes, self.bytes.len());
    }

    fn index(&mut self) -> i32 {
        self.next_index += 1;
        self.next_index - 1
    }

    fn push(
        &mut self,
        record_index: Option<i32>,
        start: usize,
        length: usize,
        reason: &'static str,
        detail: String,
    ) {
        self.broken.push(Broken { record_index, byte_offset: start, byte_length: length, reason, detail });
    }
}

/// Where the object or array that begins at `start` would end by its brackets alone.
fn balanced_end(bytes: &[u8], start: usize) -> Option<usize> {
    let (mut depth, mut in_string, mut escaped) = (0usize, false, false);
    for (offset, &byte) in bytes.get(start..)?.iter().enumerate() {
        match byte {
            _ if escaped => escaped = false,
            b'\\' if in_string => escaped = true,
            b'"' => in_string = !in_string,
            _ if in_string => {}
            b'{' | b'[' => depth += 1,
            b'}' | b']' => {
                depth = depth.checked_sub(1)?;
                if depth == 0 {
                    return Some(start + offset + 1);
                }
            }
            _ => {}
        }
    }
    None
}
