//! The log files and digests that the lake has, as far as anyone has asked: sets that fill from its
//! tables.

use std::collections::HashMap;
use std::collections::hash_map::Entry;
use std::ops::RangeInclusive;

use anyhow::{Context, Result};
use arrow::array::{Array, AsArray};
use arrow::datatypes::Int64Type;
use bytes::Bytes;
use chrono::NaiveDate;

use super::action::Add;
use super::encode::read_columns;
use super::entry::{DigestStatus, LogFileId};
use super::table::{DataFile, Table};
use super::unread::Unread;
use super::writer::{StagedDigest, StagedFile};

/// Which log files the lake has.
///
/// An id costs 32 bytes and its share of the table's empty places. Ledger files are read only when
/// someone asks for dates that they may hold.
#[derive(Debug)]
pub(crate) struct Seen {
    log_files: HashMap<LogFileId, Known>,
    ledger: Unread,
}

/// What the ledger's newest row of a log file says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Known {
    /// Compressed bytes.
    pub(crate) size: u64,
    /// The row's number.
    pub(crate) revision: u32,
}

impl Default for Seen {
    fn default() -> Self {
        Self { log_files: HashMap::new(), ledger: Unread::new("log_date") }
    }
}

impl Seen {
    /// Replaces the list of ledger files to look into by that of a newer snapshot.
    pub(crate) fn set_ledger(&mut self, files: &[DataFile]) {
        self.ledger.set(files);
    }

    /// Adds ledger files that a commit points to.
    pub(crate) fn add_ledger(&mut self, adds: &[Add]) {
        self.ledger.add(adds);
    }

    /// Adds log files that we have committed ourselves, so that their ledger needs no reading.
    pub(crate) fn add_own(&mut self, files: &[StagedFile], ledger: &[Add]) {
        for file in files {
            let known = Known { size: file.size, revision: file.revision };
            note(&mut self.log_files, file.id, known);
        }
        self.ledger.skip(ledger);
    }

    /// Reads the ledger files that may hold log files of these dates; of all dates, if none is given.
    pub(crate) async fn read(
        &mut self,
        ledger: &Table,
        dates: Option<&RangeInclusive<NaiveDate>>,
    ) -> Result<()> {
        let log_files = &mut self.log_files;
        self.ledger.read(ledger, dates, ledger_rows, |(id, known)| note(log_files, id, known)).await
    }

    /// What is known of a log file that the lake has.
    pub(crate) fn known(&self, id: LogFileId) -> Option<Known> {
        self.log_files.get(&id).copied()
    }

    /// Whether a row of this number is the next that the ledger may have of a log file.
    ///
    /// This is what makes every change of a log file happen once: to add it, to take it out, to put
    /// back what was in quarantine. Whoever comes second finds that the number is taken.
    pub(crate) fn is_next(&self, file: &StagedFile) -> bool {
        self.known(file.id).map_or(0, |known| known.revision + 1) == file.revision
    }
}

/// The highest revision counts, in whichever order the rows are read.
fn note(log_files: &mut HashMap<LogFileId, Known>, id: LogFileId, known: Known) {
    match log_files.entry(id) {
        Entry::Vacant(place) => {
            place.insert(known);
        }
        Entry::Occupied(mut place) => {
            if place.get().revision < known.revision {
                place.insert(known);
            }
        }
    }
}

fn ledger_rows(file: Bytes) -> Result<Vec<(LogFileId, Known)>> {
    let mut rows = vec![];
    for batch in read_columns(file, &["id", "size", "revision"])? {
        let hex = batch.column_by_name("id").context("no id")?.as_string::<i32>();
        let long = |name: &'static str| batch.column_by_name(name).context(name);
        let (sizes, revisions) = (long("size")?, long("revision")?);
        let (sizes, revisions) = (sizes.as_primitive::<Int64Type>(), revisions.as_primitive::<Int64Type>());
        for (row, hex) in hex.iter().enumerate() {
            let id = hex.and_then(LogFileId::parse).context("a row of the ledger has no id")?;
            let size = if sizes.is_valid(row) { sizes.value(row) } else { 0 };
            let revision = if revisions.is_valid(row) { revisions.value(row) } else { 0 };
            let known = Known {
                size: u64::try_from(size).unwrap_or_default(),
                revision: u32::try_from(revision).unwrap_or_default(),
            };
            rows.push((id, known));
        }
    }
    Ok(rows)
}

/// Which digests the lake has, and with which outcomes.
#[derive(Debug)]
pub(crate) struct SeenDigests {
    digests: HashMap<LogFileId, Outcomes>,
    files: Unread,
}

/// A set of outcomes: a bit each.
#[derive(Clone, Copy, Debug, Default)]
struct Outcomes(u8);

impl Outcomes {
    fn bit(status: DigestStatus) -> u8 {
        match status {
            DigestStatus::Valid => 1,
            DigestStatus::Invalid => 2,
            DigestStatus::KeyNotFound => 4,
            DigestStatus::Missing => 8,
        }
    }

    fn best(self) -> Option<DigestStatus> {
        use DigestStatus::{Invalid, KeyNotFound, Missing, Valid};
        [Valid, Invalid, KeyNotFound, Missing].into_iter().find(|status| self.0 & Self::bit(*status) != 0)
    }
}

impl Default for SeenDigests {
    fn default() -> Self {
        Self { digests: HashMap::new(), files: Unread::new("digest_end_time") }
    }
}

impl SeenDigests {
    /// Replaces the list of files to look into by that of a newer snapshot.
    pub(crate) fn set(&mut self, files: &[DataFile]) {
        self.files.set(files);
    }

    /// Adds files that a commit points to.
    pub(crate) fn add(&mut self, adds: &[Add]) {
        self.files.add(adds);
    }

    /// Adds digests that we have committed ourselves.
    pub(crate) fn add_own(&mut self, digests: &[StagedDigest], files: &[Add]) {
        for digest in digests {
            self.digests.entry(digest.id).or_default().0 |= Outcomes::bit(digest.status);
        }
        self.files.skip(files);
    }

    /// Reads the files that may hold digests that end on these dates; all, if none is given.
    pub(crate) async fn read(
        &mut self,
        table: &Table,
        dates: Option<&RangeInclusive<NaiveDate>>,
    ) -> Result<()> {
        let digests = &mut self.digests;
        let take = |(id, status)| digests.entry(id).or_default().0 |= Outcomes::bit(status);
        self.files.read(table, dates, digest_rows, take).await
    }

    /// The best outcome of a digest: valid before invalid before unknown key before missing.
    pub(crate) fn best(&self, id: LogFileId) -> Option<DigestStatus> {
        self.digests.get(&id)?.best()
    }

    /// Whether the lake has this digest with this outcome.
    pub(crate) fn has(&self, id: LogFileId, status: DigestStatus) -> bool {
        self.digests.get(&id).is_some_and(|outcomes| outcomes.0 & Outcomes::bit(status) != 0)
    }
}

/// The ids and outcomes of the digests in a file.
pub(crate) fn digest_rows(file: Bytes) -> Result<Vec<(LogFileId, DigestStatus)>> {
    let mut rows = vec![];
    for batch in read_columns(file, &["id", "status"])? {
        let text = |name: &'static str| batch.column_by_name(name).context(name);
        let (ids, statuses) = (text("id")?.as_string::<i32>(), text("status")?.as_string::<i32>());
        for (hex, status) in ids.iter().zip(statuses) {
            let id = hex.and_then(LogFileId::parse).context("a digest has no id")?;
            rows.push((id, status.and_then(DigestStatus::parse).context("a digest has no known status")?));
        }
    }
    Ok(rows)
}
