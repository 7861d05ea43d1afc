//! CloudTrail's public keys: as they are listed, in either form of DER, by the name that digests have for them.

use std::collections::BTreeMap;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;
use chrono::{DateTime, Utc};
use md5::{Digest as _, Md5};
use serde::Deserialize;

use crate::hex;

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
            Self::Iso(text) => super::parse_time(&text),
        }
    }
}

/// Returns the hex MD5 of a PKCS#1 DER key, which is how digests name it.
pub fn fingerprint(pkcs1: &[u8]) -> String {
    hex::encode(&Md5::digest(pkcs1))
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

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

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
