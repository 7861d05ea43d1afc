//! Holds the log files of a bucket against its digests: which are as CloudTrail wrote them, which are
//! not, and which nobody vouches for.
//!
//! [`validate`] is given the keys of a bucket, a way to load an object and, if the hashes of log files are
//! known from ingesting them, a way to look those up. It does no I/O of its own. [`LocalBucket`] is the
//! loader over a copy on disk.

mod local;

use crate::digest::{self, Digest, DigestError, LinkError, Linked, LogFileEntry, PublicKeys, Signature};
use crate::object::{DigestKey, LogKey, ObjectKind, ObjectRef};
use chrono::{DateTime, Utc};
use flate2::read::MultiGzDecoder;
pub use local::{LocalBucket, METADATA_FILE, Metadata, PUBLIC_KEYS_FILE, read_metadata, read_public_keys};
use std::collections::{BTreeMap, BTreeSet};
use std::io::Read as _;

/// An object as it was loaded: stored bytes, and the user metadata that S3 keeps with it.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct StoredObject {
    /// The bytes as stored, so compressed.
    pub bytes: Vec<u8>,
    /// User metadata without the `x-amz-meta-` in front of the names.
    pub metadata: BTreeMap<String, String>,
}

/// What is known of one digest.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DigestFinding {
    /// The digest.
    pub object: ObjectRef,
    /// Whether it holds.
    pub verdict: DigestVerdict,
    /// Why it does not link to the digest before it, although its own signature holds.
    pub broken_link: Option<LinkError>,
}

/// Whether a digest holds.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum DigestVerdict {
    /// It lies where it was written, and its signature holds.
    Valid,
    /// It is there and does not hold.
    Invalid(DigestError),
    /// A valid digest links to it, and it is not there.
    Missing,
}

/// What is known of one log file that a valid digest lists.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LogFileFinding {
    /// The log file.
    pub object: ObjectRef,
    /// The digest that lists it.
    pub digest_key: String,
    /// Whether it is as CloudTrail wrote it.
    pub verdict: LogFileVerdict,
}

/// Whether a log file is as CloudTrail wrote it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum LogFileVerdict {
    /// The hash is the one in the digest.
    Valid,
    /// The content is another.
    HashMismatch {
        /// Hex SHA-256 that the digest lists.
        expected: String,
        /// Hex SHA-256 of what is there.
        found: String,
    },
    /// It is not there.
    Missing,
    /// It is there and cannot be unpacked.
    Unreadable(String),
}

/// A log file that no valid digest lists.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct UnlistedLogFile {
    /// The log file.
    pub object: ObjectRef,
    /// Why nobody vouches for it.
    pub reason: Unlisted,
}

/// Why nobody vouches for a log file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Unlisted {
    /// Digests cover its time, and none lists it.
    NotListed,
    /// A digest that does not hold lists it.
    InvalidDigest(String),
    /// The digest of its hour is not there yet, which is usual for the newest files.
    NotYetDigested,
}

/// What [`validate`] found.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Report {
    /// Every digest found or linked to, by key.
    pub digests: Vec<DigestFinding>,
    /// Every log file that a valid digest lists, by key.
    pub log_files: Vec<LogFileFinding>,
    /// Every log file present that no valid digest lists, by key.
    pub unlisted: Vec<UnlistedLogFile>,
    /// Digests that begin a chain. More than one for an account, region and trail means that logging
    /// was stopped and started again, or that somebody cut the chain off.
    pub chain_starts: Vec<ObjectRef>,
    /// What the oldest digest of a chain links to, where that is not at hand: not copied, expired, or deleted.
    /// Only who knows how far the bucket should reach back can tell, so it does not count as invalid.
    pub unseen_before: Vec<ObjectRef>,
}

impl Report {
    /// Returns whether everything is there and as CloudTrail wrote it.
    pub fn is_valid(&self) -> bool {
        self.invalid_digests() == 0 && self.invalid_log_files() == 0 && self.suspicious_log_files() == 0
    }

    /// Counts the digests that are missing, do not hold, or do not link to the one before.
    pub fn invalid_digests(&self) -> usize {
        let bad = |d: &&DigestFinding| d.verdict != DigestVerdict::Valid || d.broken_link.is_some();
        self.digests.iter().filter(bad).count()
    }

    /// Counts the listed log files that are not as CloudTrail wrote them.
    pub fn invalid_log_files(&self) -> usize {
        self.log_files.iter().filter(|log| log.verdict != LogFileVerdict::Valid).count()
    }

    /// Counts the log files that nobody vouches for, without those that no digest covers yet.
    pub fn suspicious_log_files(&self) -> usize {
        self.unlisted.iter().filter(|log| log.reason != Unlisted::NotYetDigested).count()
    }
}

/// Validates all digests of a bucket and all log files that they list, account by account and region by
/// region.
///
/// `keys_in_bucket` is a listing, `load` returns `None` for an object that is not there, and `sha256_of`
/// may return the SHA-256 of a log file's uncompressed content if it is known, which spares loading it.
/// Every digest in the listing is looked at, also one that nothing links to. An error of `load` ends the
/// validation: a network that fails must not read as tampering.
pub fn validate(
    bucket: &str,
    keys_in_bucket: &[String],
    public_keys: &PublicKeys,
    mut load: impl FnMut(&ObjectRef) -> anyhow::Result<Option<StoredObject>>,
    sha256_of: impl Fn(&str, &str) -> Option<[u8; 32]>,
) -> anyhow::Result<Report> {
    let mut walk = Walk::default();
    let mut listing: Vec<&String> = keys_in_bucket.iter().collect();
    listing.sort();
    for key in listing {
        match ObjectKind::of(key) {
            ObjectKind::Digest(digest_key) => {
                let object = ObjectRef::new(bucket, key.as_str());
                if let Some(stored) = load(&object)? {
                    walk.add_digest(object, &digest_key, &stored, public_keys);
                }
            }
            ObjectKind::Log(log_key) => walk.present.push((key.clone(), log_key)),
            ObjectKind::Folder | ObjectKind::Other => {}
        }
    }
    walk.check_links(bucket);
    walk.check_log_files(&mut load, &sha256_of)?;
    Ok(walk.into_report(bucket))
}

/// Checks one digest as it was loaded: unpacks it, parses it and verifies its signature.
pub fn check_digest(
    object: &ObjectRef,
    stored: &StoredObject,
    public_keys: &PublicKeys,
) -> Result<CheckedDigest, InvalidDigest> {
    let uncompressed =
        inflate(&stored.bytes).map_err(|error| DigestError::InvalidFormat(error.to_string()))?;
    let parsed = Digest::parse(&uncompressed)?;
    let location = (object.bucket.as_str(), object.key.as_str());
    let verified = Signature::from_metadata(&stored.metadata).and_then(|signature| {
        digest::verify(&parsed, &uncompressed, location, &signature, public_keys).map(|()| signature.hex)
    });
    match verified {
        Ok(signature) => {
            Ok(CheckedDigest { hash: digest::sha256_hex(&uncompressed), signature, digest: parsed })
        }
        Err(error) => Err(InvalidDigest { error, digest: Some(Box::new(parsed)) }),
    }
}

/// A digest that does not hold.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct InvalidDigest {
    /// Why not.
    pub error: DigestError,
    /// Its content if it can be read, which nobody vouches for.
    pub digest: Option<Box<Digest>>,
}

impl From<DigestError> for InvalidDigest {
    fn from(error: DigestError) -> Self {
        Self { error, digest: None }
    }
}

/// A digest that holds.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CheckedDigest {
    /// Its content.
    pub digest: Digest,
    /// Hex SHA-256 of its uncompressed bytes.
    pub hash: String,
    /// Its signature in hex.
    pub signature: String,
}

/// Judges one log file by its stored bytes.
pub fn check_log_file(entry: &LogFileEntry, stored: &[u8]) -> LogFileVerdict {
    match inflate(stored) {
        Ok(uncompressed) => compare_hash(entry, digest::sha256_hex(&uncompressed)),
        Err(error) => LogFileVerdict::Unreadable(error.to_string()),
    }
}

/// Judges one log file by the hex SHA-256 of its uncompressed content.
pub fn compare_hash(entry: &LogFileEntry, found: String) -> LogFileVerdict {
    if entry.hash_value == found {
        LogFileVerdict::Valid
    } else {
        LogFileVerdict::HashMismatch { expected: entry.hash_value.clone(), found }
    }
}

/// Unpacks gzip, all members of it. Bytes after the last member are an error.
pub fn inflate(stored: &[u8]) -> std::io::Result<Vec<u8>> {
    let mut uncompressed = Vec::with_capacity(stored.len() * 4);
    MultiGzDecoder::new(stored).read_to_end(&mut uncompressed)?;
    Ok(uncompressed)
}

/// An account, region and trail, with all digests of which each links to the one before.
type Chain = (String, String, String, String, bool);

/// The state of a validation under way.
#[derive(Default)]
struct Walk {
    present: Vec<(String, LogKey)>,
    /// By key; the valid ones carry what the next digest links to.
    digests: BTreeMap<String, (DigestFinding, Option<CheckedDigest>)>,
    /// Log files that invalid digests list, and in which digest.
    listed_by_invalid: BTreeMap<String, String>,
    log_files: BTreeMap<String, LogFileFinding>,
    /// End of the newest digest of each account and region.
    covered_until: BTreeMap<(String, String), DateTime<Utc>>,
    oldest: BTreeMap<Chain, String>,
    chain_starts: Vec<ObjectRef>,
    unseen_before: Vec<ObjectRef>,
}

impl Walk {
    fn add_digest(&mut self, object: ObjectRef, key: &DigestKey, stored: &StoredObject, keys: &PublicKeys) {
        let end = self.covered_until.entry((key.account_id.clone(), key.region.clone())).or_default();
        *end = key.end_time.max(*end);
        let chain = (
            key.account_id.clone(),
            key.region.clone(),
            key.trail.clone(),
            key.home_region.clone(),
            key.backfill,
        );
        self.oldest.entry(chain).or_insert_with(|| object.key.clone());
        let (verdict, checked) = match check_digest(&object, stored, keys) {
            Ok(checked) => (DigestVerdict::Valid, Some(checked)),
            Err(InvalidDigest { error, digest }) => {
                let listed = digest.into_iter().flat_map(|digest| digest.log_files);
                self.listed_by_invalid.extend(listed.map(|log| (log.s3_object, object.key.clone())));
                (DigestVerdict::Invalid(error), None)
            }
        };
        let finding = DigestFinding { object: object.clone(), verdict, broken_link: None };
        self.digests.insert(object.key, (finding, checked));
    }

    fn check_links(&mut self, bucket: &str) {
        let mut missing = BTreeMap::new();
        let mut broken = Vec::new();
        for (key, (finding, checked)) in &self.digests {
            let Some(checked) = checked else { continue };
            let Some((previous_bucket, previous_key)) = checked.digest.previous() else {
                self.chain_starts.push(finding.object.clone());
                continue;
            };
            match self.digests.get(previous_key).filter(|_| previous_bucket == bucket) {
                Some((_, Some(previous))) => {
                    let location = (previous_bucket, previous_key);
                    let previous = Linked { location, hash: &previous.hash, signature: &previous.signature };
                    if let Err(error) = digest::check_link(&checked.digest, previous) {
                        broken.push((key.clone(), error));
                    }
                }
                // An invalid one has its own finding, which says more than the link to it would.
                Some((_, None)) => {}
                // The oldest digest of a copy links to what was not copied, or has expired.
                None if self.is_oldest(key) => {
                    self.unseen_before.push(ObjectRef::new(previous_bucket, previous_key));
                }
                None => {
                    let object = ObjectRef::new(previous_bucket, previous_key);
                    let verdict = DigestVerdict::Missing;
                    missing.insert(
                        previous_key.to_owned(),
                        DigestFinding { object, verdict, broken_link: None },
                    );
                }
            }
        }
        for (key, error) in broken {
            if let Some((finding, _)) = self.digests.get_mut(&key) {
                finding.broken_link = Some(error);
            }
        }
        self.digests.extend(missing.into_iter().map(|(key, finding)| (key, (finding, None))));
    }

    fn is_oldest(&self, key: &str) -> bool {
        self.oldest.values().any(|oldest| oldest == key)
    }

    fn check_log_files(
        &mut self,
        load: &mut impl FnMut(&ObjectRef) -> anyhow::Result<Option<StoredObject>>,
        sha256_of: &impl Fn(&str, &str) -> Option<[u8; 32]>,
    ) -> anyhow::Result<()> {
        for (digest_key, (_, checked)) in &self.digests {
            let Some(checked) = checked else { continue };
            for entry in &checked.digest.log_files {
                let object = ObjectRef::new(&entry.s3_bucket, &entry.s3_object);
                let verdict = if let Some(sha256) = sha256_of(&object.bucket, &object.key) {
                    compare_hash(entry, crate::hex::encode(&sha256))
                } else {
                    match load(&object)? {
                        Some(stored) => check_log_file(entry, &stored.bytes),
                        None => LogFileVerdict::Missing,
                    }
                };
                let finding = LogFileFinding { object, digest_key: digest_key.clone(), verdict };
                self.log_files.insert(entry.s3_object.clone(), finding);
            }
        }
        Ok(())
    }

    fn into_report(self, bucket: &str) -> Report {
        let listed: BTreeSet<&String> = self.log_files.keys().collect();
        let unlisted = self.present.iter().filter(|(key, _)| !listed.contains(key));
        let unlisted = unlisted
            .map(|(key, log)| UnlistedLogFile {
                object: ObjectRef::new(bucket, key.as_str()),
                reason: self.why_unlisted(key, log),
            })
            .collect();
        Report {
            unlisted,
            digests: self.digests.into_values().map(|(finding, _)| finding).collect(),
            log_files: self.log_files.into_values().collect(),
            chain_starts: self.chain_starts,
            unseen_before: self.unseen_before,
        }
    }

    fn why_unlisted(&self, key: &str, log: &LogKey) -> Unlisted {
        if let Some(digest_key) = self.listed_by_invalid.get(key) {
            return Unlisted::InvalidDigest(digest_key.clone());
        }
        match self.covered_until.get(&(log.account_id.clone(), log.region.clone())) {
            Some(end) if log.time < *end => Unlisted::NotListed,
            _ => Unlisted::NotYetDigested,
        }
    }
}
