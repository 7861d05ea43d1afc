//! The key that signs generated digests.
//!
//! `signing-key.pk8` is a **public demonstration key**: everybody who has trailq has its private half. A
//! signature by it shows how verification works and proves nothing about who wrote a log. Give a key of
//! your own to [`SigningKey::parse`] (`trailq generate --key`) where that matters.

use crate::digest;
use anyhow::{Result, anyhow};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;
use ring::rand::SystemRandom;
use ring::rsa::KeyPair;
use ring::signature::{KeyPair as _, RSA_PKCS1_SHA256};

/// An RSA key pair, 2048 to 4096 bits.
#[derive(Debug)]
pub struct SigningKey {
    pair: KeyPair,
    fingerprint: String,
}

impl SigningKey {
    /// Returns the demonstration key.
    pub fn demonstration() -> Result<Self> {
        Self::parse(include_bytes!("signing-key.pk8"))
    }

    /// Takes an unencrypted RSA key in PEM or DER, PKCS#8 or PKCS#1: whatever openssl writes.
    pub fn parse(key: &[u8]) -> Result<Self> {
        let der = decode_pem(key).unwrap_or_else(|| key.to_vec());
        let pair = KeyPair::from_pkcs8(&der).or_else(|_| KeyPair::from_der(&der)).map_err(|error| {
            anyhow!("not an unencrypted RSA key of 2048 to 4096 bits in PEM or DER ({error})")
        })?;
        let fingerprint = digest::fingerprint(pair.public_key().as_ref());
        Ok(Self { pair, fingerprint })
    }

    /// Returns the name of the key in digests.
    pub fn fingerprint(&self) -> &str {
        &self.fingerprint
    }

    /// Signs a text, and returns the signature in hex. PKCS#1 v1.5 is deterministic: the random numbers
    /// only blind the computation.
    pub fn sign(&self, text: &str) -> Result<String> {
        let mut signature = vec![0; self.pair.public().modulus_len()];
        self.pair
            .sign(&RSA_PKCS1_SHA256, &SystemRandom::new(), text.as_bytes(), &mut signature)
            .map_err(|_| anyhow!("signing with the RSA key failed"))?;
        Ok(crate::hex::encode(&signature))
    }

    /// Returns the public key as `aws cloudtrail list-public-keys` would print it.
    pub fn public_keys_json(&self, valid_from: &str, valid_until: &str) -> String {
        format!(
            "{{\n    \"PublicKeyList\": [\n        {{\n            \"Value\": \"{}\",\n            \"ValidityStartTime\": \"{valid_from}\",\n            \"ValidityEndTime\": \"{valid_until}\",\n            \"Fingerprint\": \"{}\"\n        }}\n    ]\n}}\n",
            BASE64.encode(self.pair.public_key().as_ref()),
            self.fingerprint,
        )
    }
}

/// Returns what stands between the first pair of PEM's lines, decoded; `None` if it is not PEM.
fn decode_pem(text: &[u8]) -> Option<Vec<u8>> {
    let text = std::str::from_utf8(text).ok()?;
    let (_, text) = text.split_once("-----BEGIN ")?;
    let (_, text) = text.split_once("-----")?;
    let (body, _) = text.split_once("-----END ")?;
    let body: String = body.split_whitespace().collect();
    BASE64.decode(body).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The traditional form is the octet string inside PKCS#8, 26 bytes from its start for this key size.
    fn forms() -> Vec<Vec<u8>> {
        let pkcs8 = include_bytes!("signing-key.pk8");
        let pkcs1 = &pkcs8[26..];
        let pem = |label: &str, der: &[u8]| {
            let body = BASE64.encode(der);
            let lines: Vec<&str> =
                body.as_bytes().chunks(64).map(|line| std::str::from_utf8(line).unwrap()).collect();
            format!("-----BEGIN {label}-----\r\n{}\r\n-----END {label}-----\r\n", lines.join("\r\n"))
                .into_bytes()
        };
        vec![pkcs8.to_vec(), pkcs1.to_vec(), pem("PRIVATE KEY", pkcs8), pem("RSA PRIVATE KEY", pkcs1)]
    }

    #[test]
    fn a_key_in_any_form_is_the_same_key() {
        let expected = SigningKey::demonstration().unwrap();
        for form in forms() {
            let key = SigningKey::parse(&form).unwrap();
            assert_eq!(key.fingerprint(), expected.fingerprint());
            assert_eq!(key.sign("text").unwrap(), expected.sign("text").unwrap());
        }
    }

    #[test]
    fn what_is_no_key_is_refused() {
        for text in ["", "-----BEGIN PRIVATE KEY-----", "-----BEGIN X-----\n%%\n-----END X-----\n"] {
            assert!(SigningKey::parse(text.as_bytes()).is_err(), "{text:?}");
        }
    }
}
