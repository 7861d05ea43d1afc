//! One digest, as it was fetched, to the fact that the lake keeps of it.

use std::collections::BTreeMap;

use chrono::{TimeDelta, Utc};

use super::keys::{Answer, Keys};
use crate::digest::{Digest, DigestError};
use crate::lake::{DigestEntry, DigestStatus, ListedLogFile};
use crate::object::{DigestKey, ObjectRef};
use crate::store::Object;
use crate::validation::{CheckedDigest, InvalidDigest, StoredObject, check_digest};

/// What a digest that does not hold may list and have it kept. CloudTrail's list some thousands.
const KEPT_OF_INVALID: usize = 20_000;

/// A public key may be younger than the list that CloudTrail gives; later a digest of an unknown key is
/// a forgery.
const KEYS_LAG_BEHIND: TimeDelta = TimeDelta::hours(24);

/// Checks digests.
#[derive(Debug, Clone)]
pub struct Checker {
    keys: Keys,
}

impl Checker {
    /// Checks by these keys.
    pub fn new(keys: Keys) -> Self {
        Self { keys }
    }

    /// Checks a digest: unpacks it and verifies its signature, after looking up its public key if need be.
    ///
    /// Bad data is a result like others. Whether it fits the digests before and after it is for
    /// [`super::Evidence`] to say.
    pub async fn check(&self, object: &ObjectRef, key: &DigestKey, fetched: &Object) -> DigestEntry {
        let stored = StoredObject { bytes: fetched.bytes.clone(), metadata: fetched.metadata.clone() };
        let judge = || self.keys.with(|known| check_digest(object, &stored, known));
        let mut checked = judge();
        if let Err(InvalidDigest { error: DigestError::UnknownKey(fingerprint), .. }) = &checked {
            // Each region signs with keys of its own.
            let regions = [key.region.as_str(), key.home_region.as_str()];
            match self.keys.find(fingerprint, &regions, key_time(key, &stored.metadata)).await {
                Answer::Found => checked = judge(),
                Answer::NoSuchKey if Utc::now() - key.end_time > KEYS_LAG_BEHIND => {}
                Answer::NoSuchKey => return not_judged(object, key, checked, "CloudTrail does not list it"),
                Answer::NotAnswered(why) => return not_judged(object, key, checked, &why),
            }
        }
        match checked {
            Ok(valid) => {
                self.keys.remember(&valid.digest.digest_public_key_fingerprint).await;
                of_valid(object, key, valid)
            }
            Err(invalid) => of_invalid(object, key, invalid),
        }
    }

    /// The entry of a digest that a valid one links to, and that is not in the bucket.
    pub fn missing(object: &ObjectRef, key: &DigestKey) -> DigestEntry {
        DigestEntry {
            reason: Some("missing".to_owned()),
            detail: Some("a valid digest links to it, and it is not in the bucket".to_owned()),
            ..entry(object, key, DigestStatus::Missing)
        }
    }
}

/// When the key was in use: a backfill digest is signed long after its hour.
fn key_time(key: &DigestKey, metadata: &BTreeMap<String, String>) -> chrono::DateTime<Utc> {
    let generated = metadata.get("backfill-generation-timestamp").filter(|_| key.backfill);
    let generated = generated.and_then(|time| chrono::DateTime::parse_from_rfc3339(time).ok());
    generated.map_or(key.end_time, |time| time.to_utc())
}

fn not_judged(
    object: &ObjectRef,
    key: &DigestKey,
    checked: Result<CheckedDigest, InvalidDigest>,
    why: &str,
) -> DigestEntry {
    let Err(invalid) = checked else { return entry(object, key, DigestStatus::KeyNotFound) };
    let detail = format!("{}: {why}", invalid.error);
    DigestEntry {
        status: DigestStatus::KeyNotFound,
        reason: Some("key_not_found".to_owned()),
        detail: Some(detail),
        ..of_invalid(object, key, invalid)
    }
}

fn of_valid(object: &ObjectRef, key: &DigestKey, valid: CheckedDigest) -> DigestEntry {
    let CheckedDigest { digest, hash, signature, .. } = valid;
    let entry = DigestEntry {
        hash_value: Some(hash),
        signature: Some(signature),
        ..entry(object, key, DigestStatus::Valid)
    };
    with_content(entry, digest, usize::MAX)
}

fn of_invalid(object: &ObjectRef, key: &DigestKey, invalid: InvalidDigest) -> DigestEntry {
    let entry = DigestEntry {
        reason: Some(reason(&invalid.error).to_owned()),
        detail: Some(invalid.error.to_string()),
        ..entry(object, key, DigestStatus::Invalid)
    };
    match invalid.digest {
        Some(digest) => with_content(entry, *digest, KEPT_OF_INVALID),
        None => entry,
    }
}

fn entry(object: &ObjectRef, key: &DigestKey, status: DigestStatus) -> DigestEntry {
    DigestEntry {
        digest: object.uri(),
        bucket: object.bucket.clone(),
        key: object.key.clone(),
        account: key.account_id.clone(),
        region: key.region.clone(),
        trail: key.trail.clone(),
        home_region: key.home_region.clone(),
        backfill: key.backfill,
        digest_start_time: None,
        digest_end_time: key.end_time,
        status,
        reason: None,
        detail: None,
        hash_value: None,
        signature: None,
        public_key_fingerprint: None,
        previous_digest_s3_bucket: None,
        previous_digest_s3_object: None,
        previous_digest_hash_value: None,
        previous_digest_signature: None,
        log_files: Vec::new(),
    }
}

fn with_content(entry: DigestEntry, digest: Digest, kept: usize) -> DigestEntry {
    // What does not hold may name any time; its key at least says when it was put there.
    let end = if entry.status == DigestStatus::Valid { digest.end() } else { None };
    DigestEntry {
        digest_start_time: digest.start(),
        digest_end_time: end.unwrap_or(entry.digest_end_time),
        public_key_fingerprint: Some(digest.digest_public_key_fingerprint),
        previous_digest_s3_bucket: digest.previous_digest_s3_bucket,
        previous_digest_s3_object: digest.previous_digest_s3_object,
        previous_digest_hash_value: digest.previous_digest_hash_value,
        previous_digest_signature: digest.previous_digest_signature,
        log_files: digest
            .log_files
            .into_iter()
            .take(kept)
            .map(|listed| ListedLogFile {
                log_file: format!("s3://{}/{}", listed.s3_bucket, listed.s3_object),
                hash_value: listed.hash_value,
            })
            .collect(),
        ..entry
    }
}

/// A short code for why a digest does not hold.
fn reason(error: &DigestError) -> &'static str {
    match error {
        DigestError::InvalidFormat(_) => "invalid_format",
        DigestError::Unsigned(_) => "unsigned",
        DigestError::UnknownAlgorithm(_) => "unknown_algorithm",
        DigestError::NotHex => "not_hexadecimal",
        DigestError::Moved(_) => "moved",
        DigestError::UnknownKey(_) => "unknown_key",
        DigestError::WrongSignature => "wrong_signature",
    }
}
