//! A CloudTrail digest: what it lists, and whether its signature holds.
//!
//! All here is arithmetic over bytes that somebody else loaded. A digest is trusted only after
//! [`verify`]; until then everything in it, addresses included, is what an intruder may have written.

mod public_keys;

use crate::hex;
use chrono::{DateTime, Utc};
use ring::signature::{RSA_PKCS1_2048_8192_SHA256, UnparsedPublicKey};
use serde::{Deserialize, Deserializer};
use std::collections::BTreeMap;

pub(crate) use public_keys::der_value;
pub use public_keys::{ListedKey, PublicKey, PublicKeys, PublicKeysError, fingerprint};

/// A digest file, uncompressed and parsed. The strings are kept as they stand, because they are signed so.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Digest {
    /// The account whose log files are listed.
    #[serde(default)]
    pub aws_account_id: Option<String>,
    /// Beginning of the hour covered.
    pub digest_start_time: String,
    /// End of the hour covered.
    pub digest_end_time: String,
    /// Bucket that CloudTrail wrote this digest to.
    #[serde(rename = "digestS3Bucket")]
    pub digest_s3_bucket: String,
    /// Key that CloudTrail wrote this digest to.
    #[serde(rename = "digestS3Object")]
    pub digest_s3_object: String,
    /// Which public key verifies the signature: hex MD5 of its PKCS#1 DER form.
    pub digest_public_key_fingerprint: String,
    /// Time of the newest event in the log files listed.
    #[serde(default)]
    pub newest_event_time: Option<String>,
    /// Time of the oldest event in the log files listed.
    #[serde(default)]
    pub oldest_event_time: Option<String>,
    /// Bucket of the digest before this one; none at the start of a chain.
    #[serde(default, rename = "previousDigestS3Bucket")]
    pub previous_digest_s3_bucket: Option<String>,
    /// Key of the digest before this one; none at the start of a chain.
    #[serde(default, rename = "previousDigestS3Object")]
    pub previous_digest_s3_object: Option<String>,
    /// Hex SHA-256 of the uncompressed digest before this one.
    #[serde(default)]
    pub previous_digest_hash_value: Option<String>,
    /// Hex signature of the digest before this one. The field must be there, though it may be null.
    #[serde(deserialize_with = "required")]
    pub previous_digest_signature: Option<String>,
    /// The log files delivered in the hour. The field must be there; null stands for none.
    #[serde(deserialize_with = "null_is_none_listed")]
    pub log_files: Vec<LogFileEntry>,
}

/// A log file as a digest lists it.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct LogFileEntry {
    /// Bucket of the log file.
    #[serde(rename = "s3Bucket")]
    pub s3_bucket: String,
    /// Key of the log file.
    #[serde(rename = "s3Object")]
    pub s3_object: String,
    /// Lower-case hex SHA-256 of the uncompressed log file.
    pub hash_value: String,
    /// Always `SHA-256` so far.
    #[serde(default)]
    pub hash_algorithm: Option<String>,
    /// Time of the newest event in the log file.
    #[serde(default)]
    pub newest_event_time: Option<String>,
    /// Time of the oldest event in the log file.
    #[serde(default)]
    pub oldest_event_time: Option<String>,
}

/// Why a digest does not hold.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum DigestError {
    /// Not JSON, or without the fields of a digest.
    #[error("invalid format: {0}")]
    InvalidFormat(String),
    /// The object carries no `signature` or no `signature-algorithm`.
    #[error("signature verification failed: the object has no {0} in its metadata")]
    Unsigned(&'static str),
    /// The signature names another algorithm than `SHA256withRSA`.
    #[error("signature verification failed: unknown algorithm {0:?}")]
    UnknownAlgorithm(String),
    /// The signature is not hex.
    #[error("signature verification failed: the signature is not hexadecimal")]
    NotHex,
    /// The digest says that it was written elsewhere.
    #[error("has been moved from its original location {0:?}")]
    Moved(String),
    /// No key of that fingerprint is known.
    #[error("public key not found for fingerprint {0:?}")]
    UnknownKey(String),
    /// The signature does not fit the content.
    #[error("signature verification failed")]
    WrongSignature,
}

impl Digest {
    /// Parses the uncompressed bytes of a digest file.
    pub fn parse(uncompressed: &[u8]) -> Result<Self, DigestError> {
        serde_json::from_slice(uncompressed).map_err(|error| DigestError::InvalidFormat(error.to_string()))
    }

    /// Returns the text that CloudTrail signs, given the hex SHA-256 of the uncompressed digest.
    pub fn string_to_sign(&self, hash: &str) -> String {
        format!(
            "{}\n{}/{}\n{hash}\n{}",
            self.digest_end_time,
            self.digest_s3_bucket,
            self.digest_s3_object,
            self.previous_digest_signature.as_deref().unwrap_or("null"),
        )
    }

    /// Returns bucket and key of the digest before this one, or `None` at the start of a chain.
    pub fn previous(&self) -> Option<(&str, &str)> {
        Some((self.previous_digest_s3_bucket.as_deref()?, self.previous_digest_s3_object.as_deref()?))
    }

    /// Returns the start of the hour covered, if it is a time.
    pub fn start(&self) -> Option<DateTime<Utc>> {
        parse_time(&self.digest_start_time)
    }

    /// Returns the end of the hour covered, if it is a time.
    pub fn end(&self) -> Option<DateTime<Utc>> {
        parse_time(&self.digest_end_time)
    }
}

/// The signature that S3 keeps in the metadata of a digest object.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Signature {
    /// The signature as it was written, hex, in either case.
    pub hex: String,
    /// The signature itself.
    pub bytes: Vec<u8>,
    /// Its algorithm, `SHA256withRSA`.
    pub algorithm: String,
}

impl Signature {
    /// Name of the metadata that holds the signature (`x-amz-meta-signature` on the wire).
    pub const METADATA: &str = "signature";
    /// Name of the metadata that holds the algorithm.
    pub const METADATA_ALGORITHM: &str = "signature-algorithm";
    /// The one algorithm that CloudTrail uses: RSA PKCS#1 v1.5 over SHA-256.
    pub const ALGORITHM: &str = "SHA256withRSA";

    /// Takes the signature from an object's user metadata, as S3's HeadObject and GetObject give it.
    pub fn from_metadata(metadata: &BTreeMap<String, String>) -> Result<Self, DigestError> {
        let get = |name| metadata.get(name).ok_or(DigestError::Unsigned(name));
        let hex = get(Self::METADATA)?.clone();
        let algorithm = get(Self::METADATA_ALGORITHM)?.clone();
        if algorithm != Self::ALGORITHM {
            return Err(DigestError::UnknownAlgorithm(algorithm));
        }
        Ok(Self { bytes: hex::decode(&hex).ok_or(DigestError::NotHex)?, hex, algorithm })
    }
}

/// Verifies a digest: that it lies where it was written, and that its signature holds.
pub fn verify(
    digest: &Digest,
    uncompressed: &[u8],
    (bucket, key): (&str, &str),
    signature: &Signature,
    keys: &PublicKeys,
) -> Result<(), DigestError> {
    if (digest.digest_s3_bucket.as_str(), digest.digest_s3_object.as_str()) != (bucket, key) {
        return Err(DigestError::Moved(format!("{}/{}", digest.digest_s3_bucket, digest.digest_s3_object)));
    }
    let fingerprint = &digest.digest_public_key_fingerprint;
    let public_key = keys.get(fingerprint).ok_or_else(|| DigestError::UnknownKey(fingerprint.clone()))?;
    let text = digest.string_to_sign(&sha256_hex(uncompressed));
    UnparsedPublicKey::new(&RSA_PKCS1_2048_8192_SHA256, &public_key.pkcs1)
        .verify(text.as_bytes(), &signature.bytes)
        .map_err(|_| DigestError::WrongSignature)
}

/// Returns the lower-case hex SHA-256 of some bytes.
pub fn sha256_hex(bytes: &[u8]) -> String {
    hex::encode(ring::digest::digest(&ring::digest::SHA256, bytes).as_ref())
}

fn parse_time(text: &str) -> Option<DateTime<Utc>> {
    DateTime::parse_from_rfc3339(text).ok().map(|time| time.to_utc())
}

/// A field that may be null but not missing: serde takes a missing `Option` for null otherwise.
fn required<'de, D: Deserializer<'de>>(from: D) -> Result<Option<String>, D::Error> {
    Option::deserialize(from)
}

fn null_is_none_listed<'de, D: Deserializer<'de>>(from: D) -> Result<Vec<LogFileEntry>, D::Error> {
    Ok(Option::deserialize(from)?.unwrap_or_default())
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn sample() -> serde_json::Value {
        json!({
            "awsAccountId": "111122223333", "digestStartTime": "2026-03-02T00:00:00Z",
            "digestEndTime": "2026-03-02T01:00:00Z", "digestS3Bucket": "logs", "digestS3Object": "a/b.json.gz",
            "digestPublicKeyFingerprint": "00", "previousDigestSignature": null, "logFiles": null,
        })
    }

    #[test]
    fn null_means_nothing_listed_and_a_missing_field_is_an_error() {
        let digest = Digest::parse(sample().to_string().as_bytes()).unwrap();
        assert!(digest.log_files.is_empty() && digest.previous().is_none());
        for field in ["logFiles", "previousDigestSignature", "digestEndTime", "digestS3Object"] {
            let mut without = sample();
            without.as_object_mut().unwrap().remove(field);
            let error = Digest::parse(without.to_string().as_bytes()).unwrap_err();
            assert!(error.to_string().contains(field), "{error}");
        }
    }

    #[test]
    fn the_string_to_sign_has_four_lines_and_no_final_newline() {
        let mut digest = Digest::parse(sample().to_string().as_bytes()).unwrap();
        assert_eq!(digest.string_to_sign("ff"), "2026-03-02T01:00:00Z\nlogs/a/b.json.gz\nff\nnull");
        digest.previous_digest_signature = Some("ab".into());
        assert!(digest.string_to_sign("ff").ends_with("\nab"));
    }

    #[test]
    fn hex_reads_either_case_and_refuses_the_rest() {
        assert_eq!(hex::decode("00fFa1"), Some(vec![0, 255, 161]));
        assert_eq!(hex::encode(&[0, 255, 161]), "00ffa1");
        assert!(hex::decode("0").is_none() && hex::decode("0g").is_none() && hex::decode("é").is_none());
    }
}
