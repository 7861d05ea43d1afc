//! The pieces of one log file, read again: pure, from bytes to rows.

use std::sync::Arc;

use anyhow::{Context, Result};
use arrow::array::{ArrayRef, Int32Array, RecordBatch};
use arrow::datatypes::Date32Type;
use chrono::{DateTime, Utc};
use serde::Deserialize;

use super::{Failed, failed};
use crate::event::schema::RECORD_INDEX;
use crate::event::{Appended, Broken, EventBuilder, Origin};
use crate::hex;
use crate::lake::{LogFileEntry, QuarantineEntry, Quarantined, Status, WITHDRAWN_FOR};
use crate::log_file::{Limits, LogFile};

/// What quarantine has of one log file.
///
/// While a log file is in quarantine as a whole, `events` has nothing of it: so its rows can be added
/// without asking which are there.
pub(super) struct Group {
    /// What the ledger says of it now.
    pub(super) ledger: LogFileEntry,
    /// The pieces that are meant.
    pub(super) pieces: Vec<Quarantined>,
    /// Other open pieces of the file, if it was fetched again.
    pub(super) others: Vec<Quarantined>,
    /// The file as it is where it came from.
    pub(super) fetched: Option<Vec<u8>>,
}

/// What came of it.
#[derive(Default)]
pub(super) struct Again {
    /// The ledger's next row, if anything has changed.
    pub(super) entry: Option<LogFileEntry>,
    pub(super) events: Vec<RecordBatch>,
    pub(super) quarantine: Vec<QuarantineEntry>,
    pub(super) resolved: Vec<Quarantined>,
    pub(super) failed: Vec<Failed>,
}

/// Why a piece stays where it is.
#[derive(Debug)]
struct Why {
    reason: &'static str,
    detail: String,
}

fn why(reason: &'static str, detail: &(impl ToString + ?Sized)) -> Why {
    Why { reason, detail: detail.to_string() }
}

impl Group {
    pub(super) fn read(mut self, limits: &Limits) -> Result<Again> {
        let is_whole =
            |piece: &Quarantined| piece.entry.record_index.is_none() && piece.entry.byte_offset.is_none();
        let whole = self.pieces.iter().position(is_whole).map(|at| self.pieces.swap_remove(at));
        match (whole, self.ledger.status) {
            (Some(piece), Status::Quarantined) => self.read_whole(piece, limits),
            (Some(piece), Status::Committed) => {
                let why = why("superseded", "the lake has its log file: discard it");
                self.pieces.clear();
                self.pieces.push(piece);
                Ok(self.all_failed(&why))
            }
            (None, Status::Quarantined) => {
                Ok(self.all_failed(&why("not_alone", "its log file is in quarantine as a whole")))
            }
            (None, Status::Committed) => self.read_pieces(limits),
        }
    }

    fn all_failed(&self, why: &Why) -> Again {
        let failed = self.pieces.iter().map(|piece| failed(piece, why.reason, why.detail.as_str()));
        Again { failed: failed.collect(), ..Again::default() }
    }

    /// The file as a whole. Other pieces that are meant come next time, if it reads.
    fn read_whole(mut self, piece: Quarantined, limits: &Limits) -> Result<Again> {
        let fetched = self.fetched.take();
        let is_fetched = fetched.is_some();
        let read = match &fetched {
            Some(bytes) => self.read_file(bytes, limits),
            // Rows that were taken out of the lake again: the ledger knows that they had been read.
            None if self.ledger.record_count > 0 || is_withdrawn(&piece) => self.put_back(&piece)?,
            None if (piece.entry.bytes.len() as u64) < self.ledger.size => Err(incomplete()),
            None => self.read_file(&piece.entry.bytes, limits),
        };
        match read {
            Ok(again) if is_fetched => {
                // It has taken the place of all that quarantine had of it.
                let rest = self.pieces.into_iter().chain(self.others);
                Ok(Again { resolved: std::iter::once(piece).chain(rest).collect(), ..again })
            }
            Ok(again) => Ok(Again { resolved: vec![piece], ..again }),
            Err(why) => {
                self.pieces.push(piece);
                Ok(self.all_failed(&why))
            }
        }
    }

    fn read_file(&self, stored: &[u8], limits: &Limits) -> Result<Again, Why> {
        let file = LogFile::read(stored, limits).map_err(|error| why(error.code(), &error))?;
        let mut builder = EventBuilder::new();
        let appended = builder.append(&file, &self.origin(), limits.records);
        let appended = appended.map_err(|error| why(error.code(), &error))?;
        let quarantine: Vec<_> = appended.broken.iter().map(|broken| self.broken(broken, &file)).collect();
        let mut entry = LogFileEntry {
            size: stored.len() as u64,
            uncompressed_size: Some(file.bytes.len() as u64),
            sha256: Some(hex::encode(&file.sha256)),
            record_count: appended.records,
            event_count: 0,
            quarantined_count: quarantine.len() as u64,
            odd_count: 0,
            min_event_time: None,
            max_event_time: None,
            status: Status::Committed,
            revision: self.ledger.revision + 1,
            ..self.ledger.clone()
        };
        note(&mut entry, &appended);
        Ok(Again { entry: Some(entry), events: rows(&mut builder), quarantine, ..Again::default() })
    }

    /// Rows that [`crate::lake::Lake::withdraw`] has taken out, with the indexes that they had.
    fn put_back(&self, piece: &Quarantined) -> Result<Result<Again, Why>> {
        #[derive(Deserialize)]
        struct Indexes {
            #[serde(rename = "recordIndexes")]
            ranges: Vec<(i32, i32)>,
        }
        if !is_complete(piece) {
            return Ok(Err(incomplete()));
        }
        let Ok(indexes) = serde_json::from_slice::<Indexes>(&piece.entry.bytes) else {
            return Ok(Err(why("not_withdrawn", "its bytes are no records that were taken out of the lake")));
        };
        let indexes: Vec<i32> = indexes.ranges.into_iter().flat_map(|(first, last)| first..=last).collect();
        let mut builder = EventBuilder::new();
        let appended = match builder.append(&text(piece.entry.bytes.clone()), &self.origin(), u64::MAX) {
            Ok(appended) if appended.broken.is_empty() && builder.rows() == indexes.len() => appended,
            Ok(_) => return Ok(Err(why("not_withdrawn", "its records are not those of its indexes"))),
            Err(error) => return Ok(Err(why("not_withdrawn", &error))),
        };
        let entry = LogFileEntry {
            status: Status::Committed,
            event_count: appended.rows,
            quarantined_count: self.ledger.quarantined_count.saturating_sub(appended.rows),
            revision: self.ledger.revision + 1,
            ..self.ledger.clone()
        };
        let rows = with_indexes(&builder.finish(), indexes)?;
        let events = if rows.num_rows() == 0 { vec![] } else { vec![rows] };
        Ok(Ok(Again { entry: Some(entry), events, ..Again::default() }))
    }

    /// Pieces of a file of which the lake has the rest.
    fn read_pieces(mut self, limits: &Limits) -> Result<Again> {
        let source = match self.fetched.take().map(|bytes| self.same_file(&bytes, limits)).transpose() {
            Ok(source) => source,
            Err(why) => return Ok(self.all_failed(&why)),
        };
        let mut again = Again::default();
        let mut entry = LogFileEntry { revision: self.ledger.revision + 1, ..self.ledger.clone() };
        for piece in std::mem::take(&mut self.pieces) {
            let mut builder = EventBuilder::new();
            match self.read_piece(&piece, source.as_ref(), limits, &mut builder) {
                Ok(appended) => {
                    let rows = builder.finish();
                    let count = u64::try_from(rows.num_rows())?;
                    let first = piece.entry.record_index.unwrap_or(entry.record_count);
                    if piece.entry.record_index.is_none() {
                        // Numbered behind the records that the file is known to have.
                        entry.record_count += count;
                    }
                    let indexes = (first..first + count).map(i32::try_from).collect::<Result<_, _>>()?;
                    again.events.push(with_indexes(&rows, indexes)?);
                    note(&mut entry, &appended);
                    entry.quarantined_count = entry.quarantined_count.saturating_sub(1);
                    again.resolved.push(piece);
                }
                Err(why) => again.failed.push(failed(&piece, why.reason, why.detail)),
            }
        }
        again.entry = (!again.resolved.is_empty()).then_some(entry);
        Ok(again)
    }

    /// The file that was fetched again, if it is the one that the lake has read.
    fn same_file(&self, stored: &[u8], limits: &Limits) -> Result<LogFile, Why> {
        let file = LogFile::read(stored, limits).map_err(|error| why(error.code(), &error))?;
        let sha256 = hex::encode(&file.sha256);
        match &self.ledger.sha256 {
            Some(known) if *known != sha256 => Err(why(
                "changed",
                &format!("its SHA-256 is {sha256}, and that of the file that was ingested {known}"),
            )),
            _ => Ok(file),
        }
    }

    fn read_piece(
        &self,
        piece: &Quarantined,
        source: Option<&LogFile>,
        limits: &Limits,
        builder: &mut EventBuilder,
    ) -> Result<Appended, Why> {
        let bytes = match source {
            Some(file) => bytes_of(piece, file).ok_or_else(|| why("changed", "the file is shorter now"))?,
            None if is_complete(piece) => &piece.entry.bytes,
            None => return Err(incomplete()),
        };
        // What stood among the records is read among records; what stood outside, as a file.
        let file = if piece.entry.record_index.is_some() {
            text([b"{\"Records\":[", bytes, b"]}"].concat())
        } else {
            LogFile::read(bytes, limits).map_err(|error| why(error.code(), &error))?
        };
        let appended = builder.append(&file, &self.origin(), limits.records);
        let appended = appended.map_err(|error| why(error.code(), &error))?;
        match appended.broken.first() {
            Some(broken) => Err(why(broken.reason, &broken.detail)),
            None if appended.rows == 0 => Err(why("no_record", "there is no record in it")),
            None if appended.rows > 1 && piece.entry.record_index.is_some() => {
                Err(why("several_records", &format!("it reads as {} records", appended.rows)))
            }
            None => Ok(appended),
        }
    }

    fn origin(&self) -> Origin<'_> {
        Origin {
            log_file: &self.ledger.log_file,
            account: self.ledger.account.as_deref(),
            region: self.ledger.region.as_deref(),
            log_date: self.ledger.log_date.map(Date32Type::from_naive_date),
        }
    }

    fn broken(&self, broken: &Broken, file: &LogFile) -> QuarantineEntry {
        let end = broken.byte_offset + broken.byte_length;
        QuarantineEntry {
            log_file: self.ledger.log_file.clone(),
            bucket: self.ledger.bucket.clone(),
            key: self.ledger.key.clone(),
            version_id: self.ledger.version_id.clone(),
            reason: broken.reason.to_owned(),
            detail: broken.detail.clone(),
            record_index: broken.record_index.and_then(|index| u64::try_from(index).ok()),
            byte_offset: Some(broken.byte_offset as u64),
            byte_length: Some(broken.byte_length as u64),
            bytes: file.bytes.get(broken.byte_offset..end).unwrap_or(&file.trailing_bytes).to_vec(),
        }
    }
}

fn incomplete() -> Why {
    why("incomplete", "quarantine keeps only a part of its bytes: fetch it again")
}

fn is_withdrawn(piece: &Quarantined) -> bool {
    WITHDRAWN_FOR.contains(&piece.entry.reason.as_str())
}

fn is_complete(piece: &Quarantined) -> bool {
    piece.entry.byte_length.is_none_or(|length| length <= piece.entry.bytes.len() as u64)
}

/// The bytes of a piece in the file that it is of: in its text, or behind the compressed stream.
fn bytes_of<'a>(piece: &Quarantined, file: &'a LogFile) -> Option<&'a [u8]> {
    let start = usize::try_from(piece.entry.byte_offset?).ok()?;
    let length = usize::try_from(piece.entry.byte_length?).ok()?;
    if start == file.bytes.len() && length == file.trailing_bytes.len() {
        return Some(&file.trailing_bytes);
    }
    file.bytes.get(start..start.checked_add(length)?)
}

/// Text that is no stored file: its hash is nobody's business.
fn text(bytes: Vec<u8>) -> LogFile {
    LogFile { bytes, sha256: [0; 32], compressed_size: 0, trailing_bytes: vec![] }
}

fn rows(builder: &mut EventBuilder) -> Vec<RecordBatch> {
    if builder.rows() == 0 { vec![] } else { vec![builder.finish()] }
}

/// The rows with other indexes.
fn with_indexes(rows: &RecordBatch, indexes: Vec<i32>) -> Result<RecordBatch> {
    let at = rows.schema().index_of(RECORD_INDEX).context("rows without record_index")?;
    let mut columns = rows.columns().to_vec();
    columns[at] = Arc::new(Int32Array::from(indexes)) as ArrayRef;
    Ok(RecordBatch::try_new(rows.schema(), columns)?)
}

/// Adds what was read to the ledger's row.
fn note(entry: &mut LogFileEntry, appended: &Appended) {
    let time = |micros: Option<i64>| micros.and_then(DateTime::from_timestamp_micros);
    let first: Option<DateTime<Utc>> = time(appended.min_event_time);
    entry.event_count += appended.rows;
    entry.odd_count += appended.oddities.total();
    entry.min_event_time = [entry.min_event_time, first].into_iter().flatten().min();
    entry.max_event_time = entry.max_event_time.max(time(appended.max_event_time));
}
