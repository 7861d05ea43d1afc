//! Events: a log file's records to the rows of the `events` table, and back.
//!
//! One pass over the bytes checks the JSON, finds the values and copies them into Arrow columns.
//! Nothing of a record is lost on the way: what the columns can't give back exactly is kept in
//! `unmapped`, and [`record_json`] rebuilds the record from its row. What is no record is reported
//! as [`Broken`], with its place.

mod columns;
mod interner;
mod plan;
mod reader;
mod rebuild;
mod record;
pub mod schema;
#[cfg(test)]
mod tests;
mod text_column;
mod texts;

use arrow::array::RecordBatch;
use arrow::compute::concat_batches;
use chrono::{DateTime, Timelike};

use crate::log_file::LogFile;
use columns::Columns;
use plan::PLAN;
use reader::Place;
pub use reader::{Broken, Refused};
pub use rebuild::{Rebuilder, record_json};
pub use record::Oddities;
use record::{Leaf, Row};
pub(crate) use texts::{as_texts, with_texts};

/// Where a log file's rows say that they come from.
#[derive(Debug, Clone, Copy)]
pub struct Origin<'a> {
    /// `s3://bucket/key`, or the absolute path of a local file.
    pub log_file: &'a str,
    /// The account in its key.
    pub account: Option<&'a str>,
    /// The region in its key.
    pub region: Option<&'a str>,
    /// The date in its key, as days since 1970-01-01.
    pub log_date: Option<i32>,
}

/// What a log file held.
#[derive(Debug, Default, Clone, PartialEq, Eq)]
pub struct Appended {
    /// Records that became rows.
    pub rows: u64,
    /// Records in the file, broken ones included.
    pub records: u64,
    /// The first event time, microseconds since 1970 UTC.
    pub min_event_time: Option<i64>,
    /// The last event time, microseconds since 1970 UTC.
    pub max_event_time: Option<i64>,
    /// Values that are not as documented. They are in the rows all the same.
    pub oddities: Oddities,
    /// What is no record.
    pub broken: Vec<Broken>,
}

/// Collects the records of log files into a batch of rows.
#[derive(Debug)]
pub struct EventBuilder {
    row: Row,
    columns: Columns,
    /// Rows from before a file that was refused when it had appended some.
    kept: Vec<RecordBatch>,
}

impl Default for EventBuilder {
    fn default() -> Self {
        EventBuilder::new()
    }
}

impl EventBuilder {
    /// Starts with no rows.
    pub fn new() -> Self {
        EventBuilder { row: Row::new(), columns: Columns::new(), kept: Vec::new() }
    }

    /// Rows so far.
    pub fn rows(&self) -> usize {
        self.kept_rows() + self.columns.rows()
    }

    fn kept_rows(&self) -> usize {
        self.kept.iter().map(RecordBatch::num_rows).sum()
    }

    /// Memory that the rows take, in bytes, near enough to decide when to write them.
    pub fn memory(&self) -> usize {
        self.kept.iter().map(RecordBatch::get_array_memory_size).sum::<usize>() + self.columns.memory()
    }

    /// Appends the records of a log file, of which there may be `most`. A file that is refused has appended
    /// nothing.
    pub fn append(&mut self, file: &LogFile, origin: &Origin, most: u64) -> Result<Appended, Refused> {
        let before = self.columns.rows();
        let appended = self.read(file, origin, most);
        if appended.is_err() && self.columns.rows() > before {
            let kept = self.columns.finish(before);
            if before > 0 {
                self.kept.push(as_texts(&kept));
            }
        }
        appended
    }

    fn read(&mut self, file: &LogFile, origin: &Origin, most: u64) -> Result<Appended, Refused> {
        let mut appended = Appended::default();
        let columns = &mut self.columns;
        let bytes = &file.bytes;
        let mut sink = |row: &Row, Place { start, end, index }| {
            let text = std::str::from_utf8(&bytes[start..end]).map_err(|_| "invalid_utf8")?;
            let time = appended.note(row, text, start).near(origin.log_date);
            columns.append(row, text, start, time, index, origin);
            Ok(())
        };
        let (records, broken) = reader::read(bytes, &mut self.row, &mut sink, most)?;
        appended.records = u64::from(records.unsigned_abs());
        appended.broken = broken;
        appended.note_trailing(file);
        Ok(appended)
    }

    /// Hands over the rows, and starts anew.
    pub fn finish(&mut self) -> RecordBatch {
        as_texts(&self.finish_as_codes())
    }

    /// The same, but texts that repeat are codes of a dictionary. Whether those of a column do is found out while
    /// they come, so that the schema is that of the `events` table only as far as a dictionary is as good as text.
    pub fn finish_as_codes(&mut self) -> RecordBatch {
        self.finish_at(self.rows())
    }

    /// Hands over the first `rows` rows and nothing else: the end of a builder whose last
    /// [`EventBuilder::append`] has panicked, somewhere between two of its columns.
    pub fn salvage(mut self, rows: usize) -> RecordBatch {
        as_texts(&self.finish_at(rows))
    }

    fn finish_at(&mut self, rows: usize) -> RecordBatch {
        let last = self.columns.finish(rows - self.kept_rows());
        if self.kept.is_empty() {
            return last;
        }
        let mut batches = std::mem::take(&mut self.kept);
        batches.push(as_texts(&last));
        concat_batches(&schema::schema(), &batches).expect("they are all of one schema")
    }
}

/// A batch of no rows.
pub fn empty_batch() -> RecordBatch {
    columns::empty(&schema::schema())
}

/// A row's time and date.
#[derive(Debug, Clone, Copy, Default)]
struct RowTime {
    micros: Option<i64>,
    date: Option<i32>,
}

/// How many days before and after its file's date a row may be filed. CloudTrail delivers within
/// minutes, and after a failure of S3 tries again for 30 days.
const FILED_NEAR: std::ops::RangeInclusive<i32> = -45..=2;

impl RowTime {
    /// Files rows of wild times under their log file's date: every date of a batch becomes a file
    /// of its own, and a log file must not be able to make thousands of them.
    fn near(self, log_date: Option<i32>) -> Self {
        let near = |date: i32| log_date.is_none_or(|log_date| FILED_NEAR.contains(&(date - log_date)));
        RowTime { date: self.date.filter(|date| near(*date)), ..self }
    }
}

impl Appended {
    fn note(&mut self, row: &Row, text: &str, base: usize) -> RowTime {
        self.rows += 1;
        self.oddities.add(&row.oddities);
        let micros = match row.leaves[PLAN.event_time] {
            Leaf::Absent => return RowTime::default(),
            Leaf::Plain(start, end) => parse_time(&text[start - base..end - base]),
            Leaf::Escaped(..) => None,
        };
        let Some(micros) = micros else {
            self.oddities.unparseable_time += 1;
            return RowTime::default();
        };
        self.min_event_time = Some(self.min_event_time.map_or(micros, |least| least.min(micros)));
        self.max_event_time = self.max_event_time.max(Some(micros));
        RowTime { micros: Some(micros), date: i32::try_from(micros.div_euclid(86_400_000_000)).ok() }
    }

    fn note_trailing(&mut self, file: &LogFile) {
        let length = file.trailing_bytes.len();
        if length > 0 {
            self.broken.push(Broken {
                record_index: None,
                byte_offset: file.bytes.len(),
                byte_length: length,
                reason: "trailing_bytes",
                detail: "bytes after the end of the compressed stream".to_owned(),
            });
        }
    }
}

/// An event time in microseconds since 1970 UTC: ISO 8601 with a zone, of the years 1970 to 2261.
///
/// Beyond these years lies no event; a partition of the year 9999 would only be noise.
pub fn parse_time(text: &str) -> Option<i64> {
    let micros = canonical_time(text.as_bytes()).or_else(|| {
        let time = DateTime::parse_from_rfc3339(text).ok()?;
        // A leap second is read as the second before: Arrow has none.
        let nanosecond = time.nanosecond().min(999_999_999);
        Some(time.timestamp() * 1_000_000 + i64::from(nanosecond / 1000))
    })?;
    (0..9_183_110_400_000_000).contains(&micros).then_some(micros)
}

/// `YYYY-MM-DDTHH:MM:SSZ`, which is how nearly all are written.
fn canonical_time(text: &[u8]) -> Option<i64> {
    let text: &[u8; 20] = text.try_into().ok()?;
    let marks = [(4, b'-'), (7, b'-'), (10, b'T'), (13, b':'), (16, b':'), (19, b'Z')];
    if marks.iter().any(|&(at, mark)| text[at] != mark) {
        return None;
    }
    let number = |from: usize, to: usize| {
        text[from..to]
            .iter()
            .try_fold(0u32, |sum, digit| digit.is_ascii_digit().then(|| sum * 10 + u32::from(digit - b'0')))
    };
    let year = i32::try_from(number(0, 4)?).ok()?;
    let date = chrono::NaiveDate::from_ymd_opt(year, number(5, 7)?, number(8, 10)?)?;
    let time = date.and_hms_opt(number(11, 13)?, number(14, 16)?, number(17, 19)?)?;
    Some(time.and_utc().timestamp() * 1_000_000)
}
