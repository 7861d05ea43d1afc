//! A bucket as CloudTrail fills it, in S3 or copied to disk: listed by day, read by key.

mod days;
mod local;

use std::path::Path;

use anyhow::{Context as _, Result, bail};

use crate::object::ObjectRef;
use crate::store::{FetchError, Listed, Object, S3, S3Options};
pub use days::{Day, Kind, Wanted, WantedKind, days};
pub use local::{LocalBucket, METADATA_FILE, Metadata, PUBLIC_KEYS_FILE, read_metadata, read_public_keys};

/// A bucket, or a copy of one.
#[derive(Debug)]
pub enum Bucket {
    /// In S3.
    S3 {
        /// How to reach it.
        store: S3,
        /// Its name.
        name: String,
    },
    /// On disk, with the metadata of its digests.
    Local(LocalBucket),
}

/// Folders and objects at one level.
type Level = (Vec<String>, Vec<Listed>);

impl Bucket {
    /// Opens `s3://bucket/prefix` or a directory, and returns it with the prefix. Nothing is read from S3 yet.
    pub fn open(source: &str, s3: &S3Options) -> Result<(Self, String)> {
        if source.starts_with("s3://") {
            return Self::open_s3(source, s3);
        }
        let root = Path::new(source.strip_prefix("file://").unwrap_or(source));
        if root.is_dir() && !root.join(METADATA_FILE).exists() {
            bail!(
                "{source} has no {METADATA_FILE}, so the signatures of its digests are lost: \
                 `trailq collect-metadata s3://BUCKET --to {source}/{METADATA_FILE}` saves them"
            );
        }
        Ok((Self::Local(LocalBucket::open(root)?), String::new()))
    }

    /// Opens `s3://bucket/prefix`, and nothing else.
    pub fn open_s3(source: &str, s3: &S3Options) -> Result<(Self, String)> {
        let rest = source.strip_prefix("s3://").unwrap_or_default();
        let (name, prefix) = rest.split_once('/').unwrap_or((rest, ""));
        if name.is_empty() {
            bail!("{source} names no bucket: write s3://BUCKET or s3://BUCKET/PREFIX");
        }
        let store = S3::with_options(s3.clone());
        Ok((Self::S3 { store, name: name.to_owned() }, prefix.to_owned()))
    }

    /// The name of the bucket.
    pub fn name(&self) -> &str {
        match self {
            Self::S3 { name, .. } => name,
            Self::Local(local) => local.bucket(),
        }
    }

    /// Names an object of it.
    pub fn object(&self, key: &str) -> ObjectRef {
        ObjectRef::new(self.name(), key)
    }

    /// The folders right below a prefix.
    pub async fn folders(&self, prefix: &str) -> Result<Vec<String>> {
        Ok(self.level(prefix, true).await?.0)
    }

    /// All objects whose keys begin with a prefix, in order.
    pub async fn objects(&self, prefix: &str) -> Result<Vec<Listed>> {
        Ok(self.level(prefix, false).await?.1)
    }

    async fn level(&self, prefix: &str, delimiter: bool) -> Result<Level> {
        match self {
            Self::S3 { store, name } => {
                let (mut folders, mut objects) = (Vec::new(), Vec::new());
                let mut pages = store.list(name, prefix, delimiter).await?;
                while let Some(page) = pages.next().await? {
                    folders.extend(page.folders);
                    objects.extend(page.objects);
                }
                Ok((folders, objects))
            }
            Self::Local(local) => Ok(local.level(prefix, delimiter)),
        }
    }

    /// Reads an object of at most `limit` bytes.
    pub async fn fetch(&self, key: &str, limit: u64) -> Result<Fetched> {
        let object = self.object(key);
        let Self::S3 { store, .. } = self else { return self.load(&object) };
        match store.fetch(&object, limit).await {
            Ok(fetched) => Ok(Fetched::Object(fetched)),
            Err(FetchError::NotFound) => Ok(Fetched::NotThere),
            Err(
                error @ (FetchError::AccessDenied(_) | FetchError::Archived(_) | FetchError::TooLarge { .. }),
            ) => Ok(Fetched::Unreadable(error.to_string())),
            Err(FetchError::Other(error)) => Err(error.context(format!("fetching {}", object.uri()))),
            Err(error) => Err(error).with_context(|| format!("fetching {}", object.uri())),
        }
    }

    fn load(&self, object: &ObjectRef) -> Result<Fetched> {
        let Self::Local(local) = self else { return Ok(Fetched::NotThere) };
        Ok(match local.load(object)? {
            None => Fetched::NotThere,
            Some(stored) => {
                let (bytes, metadata) = (stored.bytes, stored.metadata);
                Fetched::Object(Object { bytes, metadata, ..Object::default() })
            }
        })
    }
}

/// What came of reading an object.
#[derive(Debug)]
pub enum Fetched {
    /// It is here.
    Object(Object),
    /// The bucket does not have it.
    NotThere,
    /// It is there and may not or cannot be read, and would not be the next time either.
    Unreadable(String),
}
