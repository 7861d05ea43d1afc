//! A bucket copied to disk, with what the copy would lose kept beside it.
//!
//! Below the root lie the objects, each under its key. Two files beside `AWSLogs` hold what is no object:
//!
//! - `public-keys.json`, as `aws cloudtrail list-public-keys` prints it;
//! - `digest-metadata.json`, the user metadata of the digest objects, which holds their signatures:
//!   `{"bucket": "name", "objects": {"<key>": {"signature": "<hex>", "signature-algorithm": "SHA256withRSA"}}}`.
//!   Under each key stands what `Metadata` is in the answer of S3's HeadObject.

use super::Level;
use crate::digest::{Digest, PublicKeys};
use crate::object::{DigestKey, ObjectRef};
use crate::store::Listed;
use crate::validation::{StoredObject, inflate};
use anyhow::{Context as _, Result};
use serde::Deserialize;
use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::ops::Bound;
use std::path::{Path, PathBuf};

/// Name of the file with the user metadata of the digests, beside `AWSLogs`.
pub const METADATA_FILE: &str = "digest-metadata.json";
/// Name of the file with the public keys, beside `AWSLogs`.
pub const PUBLIC_KEYS_FILE: &str = "public-keys.json";

/// The user metadata of the digests of a copied bucket.
#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize)]
pub struct Metadata {
    /// Name of the bucket that was copied; the signatures cover it.
    pub bucket: String,
    /// User metadata by key.
    pub objects: BTreeMap<String, BTreeMap<String, String>>,
}

/// Reads a `digest-metadata.json`.
pub fn read_metadata(path: &Path) -> Result<Metadata> {
    let text = fs::read(path).with_context(|| format!("reading {}", path.display()))?;
    serde_json::from_slice(&text).with_context(|| {
        format!("{} is not {{\"bucket\": …, \"objects\": {{key: metadata}}}}", path.display())
    })
}

/// Reads what `aws cloudtrail list-public-keys` printed into a file.
pub fn read_public_keys(path: &Path) -> Result<PublicKeys> {
    let text = fs::read(path).with_context(|| format!("reading {}", path.display()))?;
    PublicKeys::from_json(&text).with_context(|| format!("reading public keys from {}", path.display()))
}

/// A bucket copied to a directory.
#[derive(Debug, Clone)]
pub struct LocalBucket {
    root: PathBuf,
    metadata: Metadata,
    signed: bool,
    keys: BTreeSet<String>,
}

impl LocalBucket {
    /// Lists the objects below `root`, and reads the metadata of its digests from [`METADATA_FILE`].
    pub fn open(root: &Path) -> Result<Self> {
        let metadata = read_metadata(&root.join(METADATA_FILE))?;
        let mut keys = BTreeSet::new();
        list(root, "", &mut keys)?;
        Ok(Self { root: root.to_owned(), metadata, signed: true, keys })
    }

    /// Opens a copy that may lack [`METADATA_FILE`]. Without it the signatures of digests are lost, and the
    /// name of the bucket is what was said or, failing that, what a digest says of itself.
    pub fn open_copy(root: &Path, bucket: Option<&str>) -> Result<Self> {
        let path = root.join(METADATA_FILE);
        let signed = path.exists();
        let mut metadata = if signed { read_metadata(&path)? } else { Metadata::default() };
        if let Some(bucket) = bucket {
            bucket.clone_into(&mut metadata.bucket);
        }
        let mut keys = BTreeSet::new();
        list(root, "", &mut keys)?;
        let mut copy = Self { root: root.to_owned(), metadata, signed, keys };
        if copy.metadata.bucket.is_empty() {
            copy.metadata.bucket = copy.bucket_in_digests().with_context(|| {
                format!("which bucket {} is a copy of is not known: say it with --s3-bucket", root.display())
            })?;
        }
        Ok(copy)
    }

    fn bucket_in_digests(&self) -> Option<String> {
        let digests = self.keys.iter().rev().filter(|key| DigestKey::parse(key).is_some());
        let named = |key: &String| {
            let inflated = inflate(&fs::read(self.root.join(key)).ok()?).ok()?;
            Some(Digest::parse(&inflated).ok()?.digest_s3_bucket)
        };
        digests.take(100).find_map(named)
    }

    /// Whether the metadata of the digests, and so their signatures, are at hand.
    pub fn has_metadata(&self) -> bool {
        self.signed
    }

    /// Where an object of the copy lies. Only what was listed does.
    pub fn path(&self, object: &ObjectRef) -> Option<PathBuf> {
        let known = object.bucket == self.metadata.bucket && self.keys.contains(&object.key);
        known.then(|| self.root.join(&object.key))
    }

    /// The keys that start with `prefix` and come after `marker`, in order.
    pub(crate) fn after(&self, prefix: &str, marker: &str) -> Vec<String> {
        let start = if marker > prefix { Bound::Excluded(marker) } else { Bound::Included(prefix) };
        let keys = self.keys.range::<str, _>((start, Bound::Unbounded));
        keys.take_while(|key| key.starts_with(prefix)).cloned().collect()
    }

    /// Returns the name of the bucket that was copied.
    pub fn bucket(&self) -> &str {
        &self.metadata.bucket
    }

    /// Returns the keys, in order.
    pub fn keys(&self) -> Vec<String> {
        self.keys.iter().cloned().collect()
    }

    /// Returns the keys that begin with a prefix, in order.
    pub fn keys_below<'a>(&'a self, prefix: &'a str) -> impl Iterator<Item = &'a str> {
        let from = self.keys.range::<str, _>((Bound::Included(prefix), Bound::Unbounded));
        from.map(String::as_str).take_while(move |key| key.starts_with(prefix))
    }

    /// One level below a prefix, as S3 would list it; without `delimiter` everything below.
    pub(super) fn level(&self, prefix: &str, delimiter: bool) -> Level {
        let (mut folders, mut objects): Level = (Vec::new(), Vec::new());
        for key in self.keys_below(prefix) {
            match key[prefix.len()..].split_once('/').filter(|_| delimiter) {
                Some((folder, _)) => {
                    let folder = format!("{prefix}{folder}/");
                    if folders.last() != Some(&folder) {
                        folders.push(folder);
                    }
                }
                None => objects.push(Listed { key: key.to_owned(), size: self.size(key), etag: None }),
            }
        }
        (folders, objects)
    }

    /// Returns the stored bytes of an object, 0 if it cannot be looked at.
    pub fn size(&self, key: &str) -> u64 {
        let known = self.keys.contains(key).then(|| fs::metadata(self.root.join(key)).ok()).flatten();
        known.map_or(0, |metadata| metadata.len())
    }

    /// Returns where the copy lies.
    pub fn root(&self) -> &Path {
        &self.root
    }

    /// Loads an object. Only what was listed can be loaded, so that a key in a forged digest cannot lead
    /// out of the directory.
    pub fn load(&self, object: &ObjectRef) -> Result<Option<StoredObject>> {
        let Some(path) = self.path(object) else { return Ok(None) };
        let bytes = fs::read(&path).with_context(|| format!("reading {}", path.display()))?;
        let metadata = self.metadata.objects.get(&object.key).cloned().unwrap_or_default();
        Ok(Some(StoredObject { bytes, metadata }))
    }
}

/// Adds the keys of all files below `directory`; symbolic links are not followed.
fn list(directory: &Path, prefix: &str, keys: &mut BTreeSet<String>) -> Result<()> {
    let entries = fs::read_dir(directory).with_context(|| format!("listing {}", directory.display()))?;
    for entry in entries {
        let entry = entry.with_context(|| format!("listing {}", directory.display()))?;
        let Ok(name) = entry.file_name().into_string() else { continue };
        let kind = entry.file_type().with_context(|| format!("reading {}", entry.path().display()))?;
        if kind.is_dir() {
            list(&entry.path(), &format!("{prefix}{name}/"), keys)?;
        } else if kind.is_file() {
            keys.insert(format!("{prefix}{name}"));
        }
    }
    Ok(())
}
