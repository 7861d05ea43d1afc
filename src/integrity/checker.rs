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

#[cfg(test)]
mod tests {
    use std::sync::Arc;
    use std::sync::atomic::{AtomicUsize, Ordering};

    use anyhow::bail;

    use super::*;
    use crate::digest::{PublicKey, PublicKeys};
    use crate::generate::signing::SigningKey;
    use crate::generate::{Options, generate};
    use crate::object::ObjectKind;

    /// The first digest of a day of logs, and the key that it was signed with.
    fn signed() -> (ObjectRef, DigestKey, Object, PublicKey) {
        let options =
            Options { accounts: 1, regions: vec!["us-east-1".to_owned()], days: 1, ..Options::default() };
        let signer = SigningKey::demonstration().unwrap();
        let mut first = None;
        generate(&options, &signer, |object| {
            if let (ObjectKind::Digest(key), None) = (ObjectKind::of(&object.key), &first) {
                let fetched = Object { bytes: object.bytes, metadata: object.metadata, ..Object::default() };
                first = Some((ObjectRef::new(&options.bucket, object.key), key, fetched));
            }
            Ok(())
        })
        .unwrap();
        let json = signer.public_keys_json("2026-01-01T00:00:00Z", "2027-01-01T00:00:00Z");
        let keys = PublicKeys::from_json(json.as_bytes()).unwrap();
        let (object, key, fetched) = first.unwrap();
        (object, key, fetched, keys.get(signer.fingerprint()).unwrap().clone())
    }

    #[tokio::test]
    async fn a_digest_is_valid_by_a_key_that_is_looked_up_once_in_its_own_region() {
        let (object, key, fetched, public_key) = signed();
        let asked = Arc::new(AtomicUsize::new(0));
        let (told, count) = (public_key.clone(), asked.clone());
        let keys = Keys::default().with_look_up(move |region, start, end| {
            count.fetch_add(1, Ordering::Relaxed);
            let told = told.clone();
            async move {
                assert!(region == "us-east-1" && start < end);
                Ok(vec![told])
            }
        });
        let checker = Checker::new(keys);
        for _ in 0..3 {
            let entry = checker.check(&object, &key, &fetched).await;
            assert_eq!((entry.status, entry.reason), (DigestStatus::Valid, None));
            assert!(!entry.log_files.is_empty() && entry.hash_value.is_some());
            assert!(entry.log_files[0].log_file.starts_with("s3://example-books-cloudtrail/AWSLogs/"));
            assert_eq!(entry.public_key_fingerprint.as_deref(), Some(&*public_key.fingerprint));
        }
        assert_eq!(asked.load(Ordering::Relaxed), 1);
    }

    #[tokio::test]
    async fn a_look_up_that_fails_judges_nothing_and_one_that_knows_no_such_key_does() {
        let (object, key, fetched, _) = signed();
        let failing = Keys::default().with_look_up(|_, _, _| async { bail!("no network") });
        let entry = Checker::new(failing).check(&object, &key, &fetched).await;
        assert_eq!(
            (entry.status, entry.reason.as_deref()),
            (DigestStatus::KeyNotFound, Some("key_not_found"))
        );
        assert!(entry.detail.unwrap().contains("no network") && !entry.log_files.is_empty());
        let entry = Checker::new(Keys::default()).check(&object, &key, &fetched).await;
        assert_eq!(entry.status, DigestStatus::KeyNotFound);
        let empty = Keys::default().with_look_up(|_, _, _| async { Ok(vec![]) });
        let entry = Checker::new(empty.clone()).check(&object, &key, &fetched).await;
        assert_eq!((entry.status, entry.reason.as_deref()), (DigestStatus::Invalid, Some("unknown_key")));
        // The list may not have the newest key yet.
        let newest = DigestKey { end_time: Utc::now(), ..key };
        let entry = Checker::new(empty).check(&object, &newest, &fetched).await;
        assert_eq!(entry.status, DigestStatus::KeyNotFound);
    }

    #[tokio::test]
    async fn what_does_not_hold_is_an_entry_that_says_why() {
        let (object, key, fetched, public_key) = signed();
        let mut known = PublicKeys::default();
        known.insert(public_key);
        let checker = Checker::new(Keys::of(known));
        let mut unsigned = fetched.clone();
        unsigned.metadata.remove("signature");
        let mut cut = fetched.clone();
        cut.bytes.truncate(100);
        let mut other = fetched.clone();
        let signature = other.metadata.get_mut("signature").unwrap();
        let last = if signature.ends_with('0') { "1" } else { "0" };
        signature.replace_range(signature.len() - 1.., last);
        let moved = ObjectRef::new("elsewhere", &object.key);
        for (object, fetched, reason) in [
            (&object, unsigned, "unsigned"),
            (&object, cut, "invalid_format"),
            (&object, other, "wrong_signature"),
            (&moved, fetched, "moved"),
        ] {
            let entry = checker.check(object, &key, &fetched).await;
            assert_eq!((entry.status, entry.reason.as_deref()), (DigestStatus::Invalid, Some(reason)));
            assert_eq!(entry.digest_end_time, key.end_time);
        }
    }
}
