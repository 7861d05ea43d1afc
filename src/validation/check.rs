//! One digest or one log file by itself: pure functions over bytes that somebody else loaded.

use std::collections::BTreeMap;
use std::io::{Error, ErrorKind};

use crate::digest::{self, Digest, DigestError, PublicKeys, Signature};
use crate::log_file::{Limits, LogFile};
use crate::object::ObjectRef;

use super::gunzip::inflate_member;

/// An object as it was loaded: stored bytes, and the user metadata that S3 keeps with it.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct StoredObject {
    /// The bytes as stored, so compressed.
    pub bytes: Vec<u8>,
    /// User metadata without the `x-amz-meta-` in front of the names.
    pub metadata: BTreeMap<String, String>,
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

/// Checks one digest as it was loaded: unpacks it, parses it and verifies its signature.
pub fn check_digest(
    object: &ObjectRef,
    stored: &StoredObject,
    public_keys: &PublicKeys,
) -> Result<CheckedDigest, InvalidDigest> {
    let invalid = |reason: String| InvalidDigest::from(DigestError::InvalidFormat(reason));
    let limits = Limits::default();
    if stored.bytes.len() as u64 > limits.compressed {
        return Err(invalid(format!("more than {} bytes", limits.compressed)));
    }
    let inflated =
        inflate_member(&stored.bytes, limits.uncompressed).map_err(|error| invalid(error.to_string()))?;
    if inflated.trailing {
        return Err(invalid("more bytes follow the gzip stream".to_owned()));
    }
    let uncompressed = inflated.bytes;
    let parsed = Digest::parse(&uncompressed)?;
    let location = (object.bucket.as_str(), object.key.as_str());
    let verified = Signature::from_metadata(&stored.metadata).and_then(|signature| {
        digest::verify(&parsed, &uncompressed, location, &signature, public_keys).map(|()| signature.hex)
    });
    match verified {
        Ok(signature) => Ok(CheckedDigest { hash: inflated.sha256, signature, digest: parsed }),
        Err(error) => Err(InvalidDigest { error, digest: Some(Box::new(parsed)) }),
    }
}

/// Unpacks gzip, all members of it, within [`Limits`]. Bytes after the last member are an error.
pub fn inflate(stored: &[u8]) -> std::io::Result<Vec<u8>> {
    unpack(stored).map(|file| file.bytes)
}

fn unpack(stored: &[u8]) -> std::io::Result<LogFile> {
    if !stored.starts_with(&[0x1f, 0x8b]) {
        return Err(Error::new(ErrorKind::InvalidInput, "invalid gzip header"));
    }
    let file = LogFile::read(stored, &Limits::default())
        .map_err(|error| Error::new(ErrorKind::InvalidData, error))?;
    if !file.trailing_bytes.is_empty() {
        return Err(Error::new(ErrorKind::InvalidData, "more bytes follow the gzip stream"));
    }
    Ok(file)
}
