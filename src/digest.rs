//! A CloudTrail digest: what it lists, whether its signature holds, and whether it links to the one before.
//!
//! All here is arithmetic over bytes that somebody else loaded. A digest is trusted only after
//! [`verify`]; until then everything in it, addresses included, is what an intruder may have written.

use crate::hex;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;
use chrono::{DateTime, Utc};
use md5::{Digest as _, Md5};
use ring::signature::{RSA_PKCS1_2048_8192_SHA256, UnparsedPublicKey};
use serde::{Deserialize, Deserializer};
use std::collections::BTreeMap;

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

/// Why a digest does not link to the one before it, though its own signature may hold.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum LinkError {
    /// The digest before lies elsewhere than this one says.
    #[error("names another previous digest")]
    Address,
    /// The content of the digest before is not the one that was linked.
    #[error("hash value of the previous digest doesn't match")]
    Hash,
    /// The signature of the digest before is not the one that was linked.
    #[error("signature of the previous digest doesn't match")]
    Signature,
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

/// A digest that is at hand, for the one after it to be held against.
#[derive(Debug, Clone, Copy)]
pub struct Linked<'a> {
    /// Where it lies: bucket and key.
    pub location: (&'a str, &'a str),
    /// Hex SHA-256 of its uncompressed bytes.
    pub hash: &'a str,
    /// Its signature in hex, as in the metadata.
    pub signature: &'a str,
}

/// Checks that `digest` links to `previous`. The signed part of the link is the signature; the hash is
/// stored besides, and both must fit.
pub fn check_link(digest: &Digest, previous: Linked) -> Result<(), LinkError> {
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

/// An RSA public key of CloudTrail's.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PublicKey {
    /// Hex MD5 of the PKCS#1 DER form, computed here and not taken from the list.
    pub fingerprint: String,
    /// The key as a PKCS#1 `RSAPublicKey` in DER.
    pub pkcs1: Vec<u8>,
    /// When CloudTrail began to sign with it.
    pub validity_start: Option<DateTime<Utc>>,
    /// When CloudTrail stopped signing with it.
    pub validity_end: Option<DateTime<Utc>>,
}

impl PublicKey {
    /// Takes a key in PKCS#1 or `SubjectPublicKeyInfo` DER.
    pub fn from_der(der: &[u8]) -> Self {
        let pkcs1 = strip_subject_public_key_info(der).unwrap_or(der).to_vec();
        Self { fingerprint: fingerprint(&pkcs1), pkcs1, validity_start: None, validity_end: None }
    }
}

/// A public key as `ListPublicKeys` lists it, unchecked.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ListedKey {
    /// The name in the list, which may not be that of the key.
    pub fingerprint: String,
    /// The key in DER: PKCS#1 or `SubjectPublicKeyInfo`, or nonsense.
    pub der: Vec<u8>,
    /// When CloudTrail began to sign with it.
    pub validity_start: Option<DateTime<Utc>>,
    /// When CloudTrail stopped signing with it.
    pub validity_end: Option<DateTime<Utc>>,
}

impl ListedKey {
    /// The key in the form that signatures are checked with, under the name computed from it.
    pub fn public_key(&self) -> PublicKey {
        let key = PublicKey::from_der(&self.der);
        PublicKey { validity_start: self.validity_start, validity_end: self.validity_end, ..key }
    }

    /// Reads what `aws cloudtrail list-public-keys` prints.
    pub fn parse_list(json: &[u8]) -> Result<Vec<Self>, PublicKeysError> {
        let list: PublicKeyList = serde_json::from_slice(json)?;
        let key = |(index, item): (usize, PublicKeyItem)| {
            let der = BASE64.decode(item.value.trim()).map_err(|_| PublicKeysError::NotBase64(index))?;
            let named = item.fingerprint.map(|name| name.to_ascii_lowercase());
            Ok(Self {
                fingerprint: named.unwrap_or_else(|| PublicKey::from_der(&der).fingerprint),
                der,
                validity_start: item.validity_start_time.and_then(KeyTime::into_time),
                validity_end: item.validity_end_time.and_then(KeyTime::into_time),
            })
        };
        list.public_key_list.into_iter().enumerate().map(key).collect()
    }
}

/// The public keys at hand, by fingerprint.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct PublicKeys {
    keys: BTreeMap<String, PublicKey>,
}

impl PublicKeys {
    /// Reads what `aws cloudtrail list-public-keys` prints.
    pub fn from_json(json: &[u8]) -> Result<Self, PublicKeysError> {
        Ok(Self::from_listed(&ListedKey::parse_list(json)?))
    }

    /// Takes listed keys. The user guide lists an SPKI key under the MD5 of its SPKI form, so each is
    /// found by either name.
    pub fn from_listed(listed: &[ListedKey]) -> Self {
        let mut keys = Self::default();
        for item in listed {
            let key = item.public_key();
            if item.fingerprint != key.fingerprint {
                keys.keys.insert(item.fingerprint.clone(), key.clone());
            }
            keys.insert(key);
        }
        keys
    }

    /// Adds a key.
    pub fn insert(&mut self, key: PublicKey) {
        self.keys.insert(key.fingerprint.clone(), key);
    }

    /// Adds all of another list.
    pub fn extend(&mut self, other: Self) {
        self.keys.extend(other.keys);
    }

    /// The names by which keys are found.
    pub fn fingerprints(&self) -> impl Iterator<Item = &String> {
        self.keys.keys()
    }

    /// Returns the key of that fingerprint.
    pub fn get(&self, fingerprint: &str) -> Option<&PublicKey> {
        self.keys.get(fingerprint)
    }

    /// Returns the keys and the names that they are known by.
    pub fn iter(&self) -> impl Iterator<Item = (&str, &PublicKey)> {
        self.keys.iter().map(|(name, key)| (name.as_str(), key))
    }

    /// Returns whether no key is known.
    pub fn is_empty(&self) -> bool {
        self.keys.is_empty()
    }
}

/// Why a list of public keys could not be read.
#[derive(Debug, thiserror::Error)]
pub enum PublicKeysError {
    /// Not the JSON of `ListPublicKeys`.
    #[error("not what `aws cloudtrail list-public-keys` prints: {0}")]
    Json(#[from] serde_json::Error),
    /// A key is not base64.
    #[error("the value of key {0} is not base64")]
    NotBase64(usize),
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct PublicKeyList {
    public_key_list: Vec<PublicKeyItem>,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct PublicKeyItem {
    value: String,
    fingerprint: Option<String>,
    validity_start_time: Option<KeyTime>,
    validity_end_time: Option<KeyTime>,
}

/// The CLI prints ISO times, or epoch seconds with `cli_timestamp_format = none` and in the raw API.
#[derive(Deserialize)]
#[serde(untagged)]
enum KeyTime {
    Epoch(f64),
    Iso(String),
}

impl KeyTime {
    fn into_time(self) -> Option<DateTime<Utc>> {
        match self {
            #[expect(
                clippy::cast_possible_truncation,
                reason = "casts saturate, and chrono refuses the rest"
            )]
            Self::Epoch(seconds) => DateTime::from_timestamp(seconds.floor() as i64, 0),
            Self::Iso(text) => parse_time(&text),
        }
    }
}

/// Returns the hex MD5 of a PKCS#1 DER key, which is how digests name it.
pub fn fingerprint(pkcs1: &[u8]) -> String {
    hex::encode(&Md5::digest(pkcs1))
}

/// Returns the lower-case hex SHA-256 of some bytes.
pub fn sha256_hex(bytes: &[u8]) -> String {
    hex::encode(ring::digest::digest(&ring::digest::SHA256, bytes).as_ref())
}

fn parse_time(text: &str) -> Option<DateTime<Utc>> {
    DateTime::parse_from_rfc3339(text).ok().map(|time| time.to_utc())
}

/// Returns the PKCS#1 key inside `SEQUENCE { SEQUENCE { rsaEncryption, NULL }, BIT STRING }`, or `None`
/// if the bytes are not of that shape.
fn strip_subject_public_key_info(der: &[u8]) -> Option<&[u8]> {
    /// `SEQUENCE { OBJECT IDENTIFIER 1.2.840.113549.1.1.1, NULL }`, without its own tag and length.
    const RSA_ENCRYPTION: &[u8] = &[6, 9, 0x2a, 0x86, 0x48, 0x86, 0xf7, 0x0d, 1, 1, 1, 5, 0];
    let (outer, _) = der_value(der, 0x30)?;
    let (algorithm, rest) = der_value(outer, 0x30)?;
    if algorithm != RSA_ENCRYPTION {
        return None;
    }
    let (bits, _) = der_value(rest, 0x03)?;
    bits.strip_prefix(&[0])
}

/// Splits one DER value of that tag off the front: its content, and what follows.
pub(crate) fn der_value(bytes: &[u8], tag: u8) -> Option<(&[u8], &[u8])> {
    let (&first, rest) = bytes.split_first()?;
    let (&length, rest) = rest.split_first()?;
    if first != tag {
        return None;
    }
    let (length, rest) = match length {
        0..=0x7f => (usize::from(length), rest),
        0x81..=0x84 => {
            let (digits, rest) = rest.split_at_checked(usize::from(length - 0x80))?;
            (digits.iter().fold(0, |sum, digit| sum << 8 | usize::from(*digit)), rest)
        }
        _ => return None,
    };
    rest.split_at_checked(length)
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

    #[test]
    fn times_of_keys_are_iso_or_epoch() {
        for time in [json!("2026-03-02T01:00:00+01:00"), json!(1_772_409_600), json!(1_772_409_600.5)] {
            let json =
                json!({"PublicKeyList": [{"Value": "MAA=", "ValidityStartTime": time, "Fingerprint": "x"}]});
            let keys = PublicKeys::from_json(json.to_string().as_bytes()).unwrap();
            let key = keys.keys.values().next().unwrap();
            assert_eq!(key.validity_start.unwrap().timestamp(), 1_772_409_600);
        }
    }

    #[test]
    fn a_cut_key_is_not_taken_apart() {
        for cut in 0..4 {
            assert!(strip_subject_public_key_info(&[0x30, 0x84, 0xff, 0xff][..cut]).is_none());
        }
        assert!(der_value(&[0x30, 0x84, 0xff, 0xff, 0xff, 0xff], 0x30).is_none());
    }
}
