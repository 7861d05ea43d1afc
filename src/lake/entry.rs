//! What the ledger says of a log file, what quarantine keeps of one, and what is known of a digest.

use std::fmt;

use chrono::{DateTime, NaiveDate, Utc};
use ring::digest::{SHA256, digest};

/// Which log file: the first 16 bytes of the SHA-256 of its address.
///
/// The address is the `log_file` of its rows, `s3://bucket/key` or an absolute path. The contents
/// play no part: CloudTrail never writes to a key twice.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct LogFileId([u8; 16]);

impl LogFileId {
    /// The id of the log file at this address.
    pub fn of(log_file: &str) -> Self {
        let hash = digest(&SHA256, log_file.as_bytes());
        let mut id = [0; 16];
        id.copy_from_slice(&hash.as_ref()[..16]);
        Self(id)
    }

    /// Reads the 32 hexadecimal digits that stand in the ledger.
    pub fn parse(hex: &str) -> Option<Self> {
        let is_id = hex.len() == 32 && hex.bytes().all(|digit| digit.is_ascii_hexdigit());
        is_id.then(|| u128::from_str_radix(hex, 16).ok()).flatten().map(|id| Self(id.to_be_bytes()))
    }
}

impl fmt::Display for LogFileId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:032x}", u128::from_be_bytes(self.0))
    }
}

impl fmt::Debug for LogFileId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "LogFileId({self})")
    }
}

/// What became of a log file.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Status {
    /// Its records are in `events`, apart from those in quarantine, if any.
    #[default]
    Committed,
    /// Nothing of it is in `events`: it is in quarantine as a whole.
    Quarantined,
}

impl Status {
    /// As it stands in the ledger.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Committed => "committed",
            Self::Quarantined => "quarantined",
        }
    }

    /// Reads it back.
    pub(crate) fn parse(text: &str) -> Option<Self> {
        [Self::Committed, Self::Quarantined].into_iter().find(|status| status.as_str() == text)
    }
}

/// One row of the ledger, without what the writer adds: id, integrity, when and by whom.
#[derive(Clone, Debug, Default)]
pub struct LogFileEntry {
    /// Its address, as in the `log_file` of its rows.
    pub log_file: String,
    /// Its bucket, if it came from S3.
    pub bucket: Option<String>,
    /// Its key, if it came from S3.
    pub key: Option<String>,
    /// Its version, in a versioned bucket.
    pub version_id: Option<String>,
    /// S3's `ETag`.
    pub etag: Option<String>,
    /// Compressed bytes.
    pub size: u64,
    /// Bytes once inflated.
    pub uncompressed_size: Option<u64>,
    /// SHA-256 of the inflated bytes, in hexadecimal digits, as digest files have it.
    pub sha256: Option<String>,
    /// How many records it has.
    pub record_count: u64,
    /// How many of them are rows of `events`.
    pub event_count: u64,
    /// How many of them are in quarantine.
    pub quarantined_count: u64,
    /// How many rows have an odd value somewhere.
    pub odd_count: u64,
    /// The time of its first event.
    pub min_event_time: Option<DateTime<Utc>>,
    /// The time of its last event.
    pub max_event_time: Option<DateTime<Utc>>,
    /// The account in its key.
    pub account: Option<String>,
    /// The region in its key.
    pub region: Option<String>,
    /// The date in its key.
    pub log_date: Option<NaiveDate>,
    /// The tree that it stands in: `CloudTrail`, `CloudTrail-Insight`, ….
    pub tree: Option<String>,
    /// What became of it.
    pub status: Status,
    /// Which row of the log file this is: 0 for the first; each change of what the lake has of the
    /// log file adds a row with the next number, and the highest counts.
    pub revision: u32,
}

impl LogFileEntry {
    /// The log file's id.
    pub fn id(&self) -> LogFileId {
        LogFileId::of(&self.log_file)
    }
}

/// One row of quarantine, without what the writer adds: id and time.
#[derive(Clone, Debug, Default)]
pub struct QuarantineEntry {
    /// The address of the log file.
    pub log_file: String,
    /// Its bucket, if it came from S3.
    pub bucket: Option<String>,
    /// Its key, if it came from S3.
    pub key: Option<String>,
    /// Its version, in a versioned bucket.
    pub version_id: Option<String>,
    /// Why, as a short code.
    pub reason: String,
    /// Why, in words.
    pub detail: String,
    /// Which record of the file, if it is only one.
    pub record_index: Option<u64>,
    /// Where the bytes start in the inflated file.
    pub byte_offset: Option<u64>,
    /// How many they are; of a whole file, if it is not said, as many as are kept.
    pub byte_length: Option<u64>,
    /// The bytes that could not be stored as events.
    pub bytes: Vec<u8>,
}

/// What became of something in quarantine.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum QuarantineStatus {
    /// Nobody has dealt with it.
    #[default]
    Open,
    /// It was read again: its records are in `events` now, or in quarantine one by one.
    Replayed,
    /// Somebody decided that it may stay outside.
    Discarded,
}

impl QuarantineStatus {
    /// As it stands in the table `quarantine`.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Open => "open",
            Self::Replayed => "replayed",
            Self::Discarded => "discarded",
        }
    }

    /// Reads it back.
    pub(crate) fn parse(text: &str) -> Option<Self> {
        [Self::Open, Self::Replayed, Self::Discarded].into_iter().find(|status| status.as_str() == text)
    }
}

/// A piece in quarantine, and what became of it.
#[derive(Clone, Debug)]
pub struct Quarantined {
    /// Its id.
    pub id: String,
    /// What it is.
    pub entry: QuarantineEntry,
    /// When it was quarantined.
    pub quarantined_at: DateTime<Utc>,
    /// What became of it.
    pub status: QuarantineStatus,
    /// When it was dealt with.
    pub resolved_at: Option<DateTime<Utc>>,
    /// Who dealt with it.
    pub resolved_by: Option<String>,
}

/// What became of a digest when it was checked.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum DigestStatus {
    /// It lies where it was written, and its signature holds.
    Valid,
    /// It is there and does not hold.
    Invalid,
    /// It could not be judged: its public key could not be looked up. To be tried again.
    KeyNotFound,
    /// A valid digest links to it, and it is not in the bucket.
    Missing,
}

impl DigestStatus {
    /// As it stands in the table `digests`.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Valid => "valid",
            Self::Invalid => "invalid",
            Self::KeyNotFound => "key_not_found",
            Self::Missing => "missing",
        }
    }

    /// Reads it back.
    pub(crate) fn parse(text: &str) -> Option<Self> {
        [Self::Valid, Self::Invalid, Self::KeyNotFound, Self::Missing]
            .into_iter()
            .find(|status| status.as_str() == text)
    }
}

/// One row of `digests`, without what the writer adds: id, when and by whom.
///
/// A digest may have several rows, one for each time that it was checked with another outcome.
#[derive(Clone, Debug)]
pub struct DigestEntry {
    /// Its address, `s3://bucket/key`.
    pub digest: String,
    /// Its bucket.
    pub bucket: String,
    /// Its key.
    pub key: String,
    /// The account in its key.
    pub account: String,
    /// The region in its key, whose log files it lists.
    pub region: String,
    /// The trail in its key.
    pub trail: String,
    /// The home region in its key.
    pub home_region: String,
    /// Whether it lists what earlier digests missed.
    pub backfill: bool,
    /// The beginning of its hour, if it can be read.
    pub digest_start_time: Option<DateTime<Utc>>,
    /// The end of its hour; that of its key, if it cannot be read.
    pub digest_end_time: DateTime<Utc>,
    /// Whether it holds.
    pub status: DigestStatus,
    /// Why it does not, as a short code.
    pub reason: Option<String>,
    /// Why it does not, in words.
    pub detail: Option<String>,
    /// Hex SHA-256 of its uncompressed bytes.
    pub hash_value: Option<String>,
    /// Its signature, in hex.
    pub signature: Option<String>,
    /// Which public key it names.
    pub public_key_fingerprint: Option<String>,
    /// The bucket of the digest before it; nothing for the first of a chain.
    pub previous_digest_s3_bucket: Option<String>,
    /// The key of the digest before it.
    pub previous_digest_s3_object: Option<String>,
    /// Hex SHA-256 of the digest before it.
    pub previous_digest_hash_value: Option<String>,
    /// The signature of the digest before it.
    pub previous_digest_signature: Option<String>,
    /// The log files that it lists. Those of an invalid digest are kept too; nobody vouches for them.
    pub log_files: Vec<ListedLogFile>,
}

impl DigestEntry {
    /// The digest's id: that of its address.
    pub fn id(&self) -> LogFileId {
        LogFileId::of(&self.digest)
    }
}

/// A log file as a digest lists it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ListedLogFile {
    /// Its address, `s3://bucket/key`, as in the `log_file` of its rows.
    pub log_file: String,
    /// Hex SHA-256 of its uncompressed bytes.
    pub hash_value: String,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_id_is_read_back_from_its_digits() {
        let id = LogFileId::of("s3://bucket/AWSLogs/1.json.gz");
        assert_eq!(LogFileId::parse(&id.to_string()), Some(id));
        assert_ne!(id, LogFileId::of("s3://bucket/AWSLogs/2.json.gz"));
        assert_eq!(LogFileId::parse("12"), None);
        assert_eq!(LogFileId::parse("+1234567890123456789012345678901"), None);
    }
}
