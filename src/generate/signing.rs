//! The key that signs generated digests.
//!
//! `signing-key.pk8` is a **public demonstration key**: everybody who has trailq has its private half. A
//! signature by it shows how verification works and proves nothing about who wrote a log. Give a key of
//! your own to [`SigningKey::from_pkcs8`] (`trailq generate --key`) where that matters.

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
        Self::from_pkcs8(include_bytes!("signing-key.pk8"))
    }

    /// Takes an unencrypted RSA key in PKCS#8 DER.
    pub fn from_pkcs8(der: &[u8]) -> Result<Self> {
        let pair = KeyPair::from_pkcs8(der).map_err(|error| {
            anyhow!("not an unencrypted RSA key of 2048 to 4096 bits in PKCS#8 DER ({error})")
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
        Ok(digest::hex_encode(&signature))
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
