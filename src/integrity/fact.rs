//! What the lake has seen of log files and digests, as far as their integrity goes.

use chrono::{DateTime, Utc};

use crate::hex;
use crate::lake::{DigestEntry, DigestStatus, LogFileId, Status};

/// A SHA-256.
pub(super) type Sha256 = [u8; 32];

/// What the ledger says of a log file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LogFileFact {
    /// Its address, `s3://bucket/key`.
    pub log_file: String,
    /// SHA-256 of its uncompressed bytes, unless they could not be had.
    pub sha256: Option<Sha256>,
    /// Whether its records are in `events`.
    pub status: Status,
    /// Whether it is in quarantine because the bucket does not have it.
    pub missing: bool,
    /// Which fact about the log file this is; the highest counts.
    pub revision: u32,
}

impl LogFileFact {
    /// Reads the hash as the ledger has it.
    pub fn parse_sha256(text: &str) -> Option<Sha256> {
        // Digests list lower-case digits; the AWS CLI compares text, so others never match.
        let lower = !text.bytes().any(|digit| digit.is_ascii_uppercase());
        lower.then(|| hex::decode_array(text)).flatten()
    }

    /// Of two facts about one log file the one that counts, whatever their order.
    #[must_use]
    pub fn newer(self, other: Self) -> Self {
        let rank =
            |fact: &Self| (fact.revision, fact.status == Status::Committed, fact.sha256, !fact.missing);
        if rank(&other) > rank(&self) { other } else { self }
    }
}

/// What is known of a digest, without what it lists.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DigestFact {
    /// Its address, `s3://bucket/key`.
    pub digest: String,
    /// The account in its key.
    pub account: String,
    /// The region in its key.
    pub region: String,
    /// The trail in its key.
    pub trail: String,
    /// The home region in its key.
    pub home_region: String,
    /// The beginning of its hour, if it is known.
    pub start: Option<DateTime<Utc>>,
    /// The end of its hour.
    pub end: DateTime<Utc>,
    /// Whether it holds.
    pub status: DigestStatus,
    /// SHA-256 of its uncompressed bytes.
    pub hash_value: Option<Mark>,
    /// Its signature.
    pub signature: Option<Mark>,
    /// The digest before it; nothing for the first of a chain.
    pub previous: Option<Link>,
    /// When this was written down.
    pub checked_at: Option<DateTime<Utc>>,
}

/// What a digest says of the one before it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Link {
    /// Bucket of the digest before.
    pub bucket: String,
    /// Key of the digest before.
    pub key: String,
    /// SHA-256 of the digest before.
    pub hash_value: Option<Mark>,
    /// Signature of the digest before.
    pub signature: Option<Mark>,
}

/// What stands for a hash or a signature in hex of either case: as good for comparing, and far shorter
/// than a signature.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Mark(LogFileId);

impl Mark {
    /// Takes hex digits.
    pub fn of(hex: &str) -> Self {
        Self(LogFileId::of(&hex.to_ascii_lowercase()))
    }
}

impl Link {
    /// The address of the digest before.
    pub fn address(&self) -> String {
        format!("s3://{}/{}", self.bucket, self.key)
    }

    /// Whether `digest` is the one that was linked to. The signed part is the signature; both must fit.
    pub(super) fn fits(&self, digest: &DigestFact) -> bool {
        let same = |ours: Option<Mark>, theirs: Option<Mark>| match (ours, theirs) {
            (Some(ours), Some(theirs)) => ours == theirs,
            _ => true,
        };
        same(self.hash_value, digest.hash_value) && same(self.signature, digest.signature)
    }
}

impl From<&DigestEntry> for DigestFact {
    fn from(entry: &DigestEntry) -> Self {
        let mark = |hex: &Option<String>| hex.as_deref().map(Mark::of);
        let previous = entry.previous_digest_s3_bucket.clone().zip(entry.previous_digest_s3_object.clone());
        Self {
            digest: entry.digest.clone(),
            account: entry.account.clone(),
            region: entry.region.clone(),
            trail: entry.trail.clone(),
            home_region: entry.home_region.clone(),
            start: entry.digest_start_time,
            end: entry.digest_end_time,
            status: entry.status,
            hash_value: mark(&entry.hash_value),
            signature: mark(&entry.signature),
            previous: previous.map(|(bucket, key)| Link {
                bucket,
                key,
                hash_value: mark(&entry.previous_digest_hash_value),
                signature: mark(&entry.previous_digest_signature),
            }),
            checked_at: None,
        }
    }
}
