//! What loaders are given, and what they give back.

use anyhow::Result;
use tokio::sync::OwnedSemaphorePermit;

use crate::lake::{DigestEntry, DigestStatus, Staged};
use crate::log_file::Unreadable;
use crate::source::Candidate;

/// Something that is to be in the lake, and the ticket that comes back when it is written.
pub(crate) struct Job<T> {
    pub(crate) work: Work,
    pub(crate) ticket: T,
    /// Its share of the memory for fetched bytes, given back when it has been read.
    pub(crate) budget: Option<OwnedSemaphorePermit>,
}

/// What is to be in the lake.
pub(crate) enum Work {
    /// A log file that was fetched.
    Fetched(Candidate, Vec<u8>),
    /// A log file of this machine; the loader reads it.
    Local(Candidate),
    /// A log file without its bytes, for quarantine: why as a short code, and in words.
    SetAside(Candidate, &'static str, String),
    /// A digest that was checked.
    Digest(Box<DigestEntry>),
}

impl Work {
    /// A log file that is larger than what may be read: its bytes stay where they are.
    pub(crate) fn too_large(candidate: Candidate, size: u64, limit: u64) -> Self {
        let why = Unreadable::TooLarge { size, limit };
        Work::SetAside(Candidate { size, ..candidate }, why.code(), why.to_string())
    }
}

/// Jobs that were written together, and are in the lake once `staged` is committed.
pub(crate) struct Loaded<T> {
    /// Nothing if no job was there to be written.
    pub(crate) staged: Result<Option<Staged>>,
    pub(crate) done: Vec<Done<T>>,
    /// The turn at which all loaders write, if this is one.
    pub(super) turn: Option<u64>,
}

/// One job, written.
pub(crate) struct Done<T> {
    pub(crate) ticket: T,
    pub(crate) outcome: Outcome,
}

/// What a job has become.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Outcome {
    /// Rows of `events`; some records may be in quarantine.
    Events { rows: u64, raw_bytes: u64, broken: u64 },
    /// In quarantine as a whole, for this reason.
    Quarantined(&'static str),
    /// A row of `digests`.
    Digest(DigestStatus),
}
