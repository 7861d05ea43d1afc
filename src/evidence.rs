//! Evidence: what a check of digests and log files went by, in one file that a third party can repeat it from.
//!
//! A bundle is a tar archive, compressed with zstd, of the digests as they were stored, the public keys, a line
//! for each verdict, and a script that needs nothing but Python. [`EvidenceWriter`] writes one as the check goes
//! on, in memory that does not grow; [`check`] repeats the check. The bundle is a claim: whoever reads it, `verify.py`
//! and [`check`] alike, takes no verdict from it that does not follow from a digest and its signature.
//!
//! `SHA256SUMS` names every other file with its hash, and its own hash is the bundle's seal.

mod check;
mod members;
mod spool;
mod unpack;
mod writer;

use std::collections::BTreeMap;

use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};

use crate::object::ObjectRef;

pub use check::{Options, Report, check};
pub use writer::EvidenceWriter;

/// What was checked, for the manifest.
#[derive(Debug, Clone, Default, Serialize)]
pub struct About {
    /// The buckets that were read.
    pub buckets: Vec<String>,
    /// The trail, if one was named.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub trail_arn: Option<String>,
    /// The accounts that were looked at.
    pub accounts: Vec<String>,
    /// The regions that were looked at.
    pub regions: Vec<String>,
    /// From when on digests were looked at.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub start_time: Option<DateTime<Utc>>,
    /// Until when.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub end_time: Option<DateTime<Utc>>,
    /// When the check began.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub started_at: Option<DateTime<Utc>>,
}

/// A digest, as it was found.
#[derive(Debug, Clone, Copy)]
pub struct DigestEvidence<'a> {
    /// Where it lies.
    pub object: &'a ObjectRef,
    /// Its stored bytes and user metadata, if it is there.
    pub stored: Option<(&'a [u8], &'a BTreeMap<String, String>)>,
    /// [`VALID`], or a code for what it is instead.
    pub verdict: &'a str,
    /// Why, in words.
    pub detail: Option<&'a str>,
}

/// A log file, as it was found.
#[derive(Debug, Clone, Copy)]
pub struct LogFileEvidence<'a> {
    /// Where it lies.
    pub object: &'a ObjectRef,
    /// Hex SHA-256 that the digest lists.
    pub hash_value: &'a str,
    /// Hex SHA-256 of its uncompressed bytes, if it is there and can be unpacked.
    pub sha256: Option<&'a str>,
    /// [`VALID`], [`HASH_MISMATCH`], or a code for what it is instead.
    pub verdict: &'a str,
    /// Why, in words.
    pub detail: Option<&'a str>,
}

/// A bundle that is finished.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Sealed {
    /// Hex SHA-256 of `SHA256SUMS`: whoever writes it down can later tell this bundle from another.
    pub seal: String,
    /// Files in the bundle.
    pub members: u64,
    /// Its size in bytes.
    pub bytes: u64,
}

/// The verdict on what is as CloudTrail wrote it.
pub const VALID: &str = "valid";
/// The verdict on a log file whose content is another than the digest says.
pub const HASH_MISMATCH: &str = "hash_mismatch";

/// A line of `verdicts.ndjson`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "type", rename_all = "snake_case")]
enum Line {
    Digest {
        /// Its file in the bundle, if the digest was there.
        member: Option<String>,
        bucket: String,
        key: String,
        metadata: BTreeMap<String, String>,
        sha256: Option<String>,
        verdict: String,
        detail: Option<String>,
    },
    LogFile {
        bucket: String,
        key: String,
        hash_value: String,
        sha256: Option<String>,
        verdict: String,
        detail: Option<String>,
    },
    /// A log file that no valid digest lists.
    Unlisted { bucket: String, key: String, sha256: Option<String>, verdict: String, detail: Option<String> },
    /// Something else that was found: a gap, a link that does not fit.
    Note { finding: serde_json::Value },
}
