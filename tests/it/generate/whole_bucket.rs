//! A bucket as a whole: all its digests, all its log files, and what nobody vouches for. A second opinion on what the
//! generator makes: nothing of it is what `validate-logs` or the lake do.

use std::collections::{BTreeMap, BTreeSet};

use chrono::{DateTime, Utc};

use trailq::digest::{Digest, DigestError, LogFileEntry, PublicKeys, sha256_hex};
use trailq::hex;
use trailq::object::{DigestKey, LogKey, ObjectKind, ObjectRef};
use trailq::validation::{CheckedDigest, InvalidDigest, StoredObject, check_digest, inflate};

/// What is known of one digest.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct DigestFinding {
    /// The digest.
    pub(crate) object: ObjectRef,
    /// Whether it holds.
    pub(crate) verdict: DigestVerdict,
    /// Why it does not link to the digest before it, although its own signature holds.
    pub(crate) broken_link: Option<LinkError>,
}

/// Whether a digest holds.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum DigestVerdict {
    /// It lies where it was written, and its signature holds.
    Valid,
    /// It is there and does not hold.
    Invalid(DigestError),
    /// A valid digest links to it, and it is not there.
    Missing,
}

/// What is known of one log file that a valid digest lists.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct LogFileFinding {
    /// The log file.
    pub(crate) object: ObjectRef,
    /// The digest that lists it.
    pub(crate) digest_key: String,
    /// Whether it is as CloudTrail wrote it.
    pub(crate) verdict: LogFileVerdict,
}

/// Whether a log file is as CloudTrail wrote it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum LogFileVerdict {
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
pub(crate) struct UnlistedLogFile {
    /// The log file.
    pub(crate) object: ObjectRef,
    /// Why nobody vouches for it.
    pub(crate) reason: Unlisted,
}

/// Why nobody vouches for a log file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Unlisted {
    /// Digests cover its time, and none lists it.
    NotListed,
    /// A digest that does not hold lists it.
    InvalidDigest(String),
    /// The digest of its hour is not there yet, which is usual for the newest files.
    NotYetDigested,
}

/// What [`validate`] found.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Report {
    /// Every digest found or linked to, by key.
    pub(crate) digests: Vec<DigestFinding>,
    /// Every log file that a valid digest lists, by key.
    pub(crate) log_files: Vec<LogFileFinding>,
    /// Every log file present that no valid digest lists, by key.
    pub(crate) unlisted: Vec<UnlistedLogFile>,
    /// Digests that begin a chain. More than one for an account, region and trail means that logging
    /// was stopped and started again, or that somebody cut the chain off.
    pub(crate) chain_starts: Vec<ObjectRef>,
    /// What the oldest digest of a chain links to, where that is not at hand: not copied, expired, or deleted.
    /// Only who knows how far the bucket should reach back can tell, so it does not count as invalid.
    pub(crate) unseen_before: Vec<ObjectRef>,
}

impl Report {
    /// Returns whether everything is there and as CloudTrail wrote it.
    pub(crate) fn is_valid(&self) -> bool {
        self.invalid_digests() == 0 && self.invalid_log_files() == 0 && self.suspicious_log_files() == 0
    }

    /// Counts the digests that are missing, do not hold, or do not link to the one before.
    pub(crate) fn invalid_digests(&self) -> usize {
        let bad = |d: &&DigestFinding| d.verdict != DigestVerdict::Valid || d.broken_link.is_some();
        self.digests.iter().filter(bad).count()
    }

    /// Counts the listed log files that are not as CloudTrail wrote them.
    pub(crate) fn invalid_log_files(&self) -> usize {
        self.log_files.iter().filter(|log| log.verdict != LogFileVerdict::Valid).count()
    }

    /// Counts the log files that nobody vouches for, without those that no digest covers yet.
    pub(crate) fn suspicious_log_files(&self) -> usize {
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
pub(crate) fn validate(
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
                    if let Err(error) = check_link(&checked.digest, previous) {
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
                    compare_hash(entry, hex::encode(&sha256))
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

/// Why a digest does not link to the one before it, though its own signature may hold.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum LinkError {
    /// The digest before lies elsewhere than this one says.
    Address,
    /// The content of the digest before is not the one that was linked.
    Hash,
    /// The signature of the digest before is not the one that was linked.
    Signature,
}

/// A digest that is at hand, for the one after it to be held against.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Linked<'a> {
    /// Where it lies: bucket and key.
    pub(crate) location: (&'a str, &'a str),
    /// Hex SHA-256 of its uncompressed bytes.
    pub(crate) hash: &'a str,
    /// Its signature in hex, as in the metadata.
    pub(crate) signature: &'a str,
}

/// Checks that `digest` links to `previous`. The signed part of the link is the signature; the hash is
/// stored besides, and both must fit.
pub(crate) fn check_link(digest: &Digest, previous: Linked) -> Result<(), LinkError> {
    if digest.previous() != Some(previous.location) {
        return Err(LinkError::Address);
    }
    if digest.previous_digest_hash_value.as_deref() != Some(previous.hash) {
        return Err(LinkError::Hash);
    }
    let linked = digest.previous_digest_signature.as_deref().unwrap_or_default();
    if !linked.eq_ignore_ascii_case(previous.signature) {
        return Err(LinkError::Signature);
    }
    Ok(())
}
/// Judges one log file by its stored bytes.
pub(crate) fn check_log_file(entry: &LogFileEntry, stored: &[u8]) -> LogFileVerdict {
    match inflate(stored) {
        Ok(text) => compare_hash(entry, sha256_hex(&text)),
        Err(error) => LogFileVerdict::Unreadable(error.to_string()),
    }
}

/// Judges one log file by the hex SHA-256 of its uncompressed content.
pub(crate) fn compare_hash(entry: &LogFileEntry, found: String) -> LogFileVerdict {
    if entry.hash_value == found {
        LogFileVerdict::Valid
    } else {
        LogFileVerdict::HashMismatch { expected: entry.hash_value.clone(), found }
    }
}
