//! The bucket to validate: S3, asked as the AWS CLI asks it, or a copy on disk.

mod s3;

use bytes::Bytes;

use super::check::StoredObject;
use super::gunzip::{Broken, Gunzip, Inflated};
use crate::bucket::LocalBucket;
use crate::cloudtrail::ApiError;
use crate::log_file::Limits;
use crate::object::ObjectRef;

pub use s3::S3Bucket;

/// A bucket to validate, and the buckets that its digests lead to.
#[derive(Debug)]
pub enum Bucket {
    /// In S3.
    S3(Box<S3Bucket>),
    /// Copied to a directory.
    Local(LocalBucket),
}

/// Why an object could not be had.
#[derive(Debug, thiserror::Error)]
pub enum GetError {
    /// It is not there.
    #[error("not found")]
    NotFound,
    /// The service refused, or did not answer.
    #[error(transparent)]
    Api(#[from] ApiError),
    /// The connection broke in the middle.
    #[error(
        "An error occurred while reading from response stream: ('Connection broken: IncompleteRead({read} bytes read, {missing} more expected)', IncompleteRead({read} bytes read, {missing} more expected))"
    )]
    Cut {
        /// Bytes that came.
        read: u64,
        /// Bytes that did not.
        missing: u64,
    },
    /// Larger than such a file may be.
    #[error("larger than {0} bytes")]
    TooLarge(u64),
    /// A file of a copy could not be read.
    #[error("{0}")]
    Local(String),
}

/// What the bytes of a log file come to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Hashed {
    /// They inflate, as far as zlib minds.
    Inflated(Inflated),
    /// They do not.
    Broken(Broken),
}

/// Keys of a page, and folders if those were asked for.
#[derive(Debug, Default)]
pub(super) struct Page {
    pub(super) keys: Vec<String>,
    pub(super) folders: Vec<String>,
}

/// A listing, a page at a time.
pub(super) enum Pages<'a> {
    S3(s3::Pages),
    Local(Option<(&'a LocalBucket, String, String)>),
}

/// Stored bytes of a digest at most. One of 50,000 log files an hour has 4 MB.
const LARGEST_DIGEST: u64 = 32 << 20;

impl Bucket {
    /// Begins to list what starts with `prefix` and comes after `marker`. With `delimiter`, only this level.
    pub(super) async fn list(
        &self,
        bucket: &str,
        prefix: &str,
        marker: &str,
        delimiter: bool,
    ) -> Result<Pages<'_>, ApiError> {
        match self {
            Bucket::S3(s3) => Ok(Pages::S3(s3.list(bucket, prefix, marker, delimiter).await?)),
            Bucket::Local(local) if local.bucket() == bucket && !delimiter => {
                Ok(Pages::Local(Some((local, prefix.to_owned(), marker.to_owned()))))
            }
            Bucket::Local(_) => Ok(Pages::Local(None)),
        }
    }

    /// Loads a digest, with its metadata.
    pub async fn get(&self, object: &ObjectRef) -> Result<StoredObject, GetError> {
        match self {
            Bucket::S3(s3) => s3.get(object, LARGEST_DIGEST).await,
            Bucket::Local(local) if local.size(&object.key) > LARGEST_DIGEST => {
                Err(GetError::TooLarge(LARGEST_DIGEST))
            }
            Bucket::Local(local) => {
                let loaded = local.load(object).map_err(|error| GetError::Local(format!("{error:#}")))?;
                loaded.ok_or(GetError::NotFound)
            }
        }
    }

    /// Hashes what a log file inflates to, without keeping any of it.
    pub async fn hash(&self, object: &ObjectRef, limits: &Limits) -> Result<Hashed, GetError> {
        match self {
            Bucket::S3(s3) => s3.hash(object, limits).await,
            Bucket::Local(local) => {
                let path = local.path(object).ok_or(GetError::NotFound)?;
                let limit = limits.uncompressed;
                let hashed = tokio::task::spawn_blocking(move || hash_file(&path, limit)).await;
                hashed.map_err(|error| GetError::Local(error.to_string()))?
            }
        }
    }

    /// Whether digests come with their signatures.
    pub fn has_signatures(&self) -> bool {
        match self {
            Bucket::S3(_) => true,
            Bucket::Local(local) => local.has_metadata(),
        }
    }
}

impl Pages<'_> {
    pub(super) async fn next(&mut self) -> Result<Option<Page>, ApiError> {
        match self {
            Pages::S3(pages) => pages.next().await,
            Pages::Local(listing) => Ok(listing.take().map(|(local, prefix, marker)| Page {
                keys: local.after(&prefix, &marker),
                folders: Vec::new(),
            })),
        }
    }
}

/// Bytes of a log file as they come.
struct Hasher {
    gunzip: Gunzip,
    broken: Option<Broken>,
}

impl Hasher {
    fn new(limit: u64) -> Self {
        Hasher { gunzip: Gunzip::new(limit, false), broken: None }
    }

    /// Takes a piece; `false` once nothing that follows can matter.
    fn update(&mut self, piece: &[u8]) -> bool {
        if self.broken.is_none() {
            self.broken = self.gunzip.update(piece).err();
        }
        self.broken.is_none()
    }

    fn finish(self) -> Hashed {
        match self.broken {
            Some(broken) => Hashed::Broken(broken),
            None => Hashed::Inflated(self.gunzip.finish()),
        }
    }
}

fn hash_file(path: &std::path::Path, limit: u64) -> Result<Hashed, GetError> {
    use std::io::Read as _;
    let told = |error: std::io::Error| GetError::Local(format!("reading {}: {error}", path.display()));
    let mut file = std::fs::File::open(path).map_err(told)?;
    let mut hasher = Hasher::new(limit);
    let mut piece = vec![0; 64 << 10];
    loop {
        let read = file.read(&mut piece).map_err(told)?;
        if read == 0 || !hasher.update(&piece[..read]) {
            return Ok(hasher.finish());
        }
    }
}

/// Takes what is left of a body so that its connection can be used again.
fn is_small(left: u64) -> bool {
    left < 256 << 10
}

/// A body in pieces, and how much of it has come.
pub(super) struct Body {
    stream: aws_sdk_s3::primitives::ByteStream,
    read: u64,
    length: u64,
}

impl Body {
    async fn next(&mut self) -> Result<Option<Bytes>, GetError> {
        match self.stream.try_next().await {
            Ok(Some(piece)) => {
                self.read += piece.len() as u64;
                Ok(Some(piece))
            }
            Ok(None) if self.read < self.length => Err(self.cut()),
            Ok(None) => Ok(None),
            Err(_) => Err(self.cut()),
        }
    }

    fn cut(&self) -> GetError {
        GetError::Cut { read: self.read, missing: self.length.saturating_sub(self.read) }
    }
}
