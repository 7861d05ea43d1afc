//! Stores: where the bytes of log files are. S3 through the AWS SDK, and local files.
//!
//! Requests are retried by the SDK, and a body that breaks off is fetched again here; what still
//! fails is the caller's to report.

mod buckets;
mod fetch;
mod head;

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;

use anyhow::{Context, Result, bail};
use async_trait::async_trait;
use aws_sdk_s3::Client;

use crate::aws::explain;
use crate::object::ObjectRef;
use buckets::Buckets;
pub use buckets::{BucketRole, S3Options};
pub use fetch::{FetchError, Object};

/// Where objects are fetched from: [`S3`], and in simulations a store that fails on purpose.
#[async_trait]
pub trait Fetch: Send + Sync {
    /// Reads an object of at most `limit` bytes, and what is known about it.
    async fn fetch(&self, object: &ObjectRef, limit: u64) -> Result<Object, FetchError>;
}

#[async_trait]
impl Fetch for S3 {
    async fn fetch(&self, object: &ObjectRef, limit: u64) -> Result<Object, FetchError> {
        fetch::fetch(&self.buckets, object, limit).await
    }
}

/// One object of a listing.
#[derive(Debug, Clone)]
pub struct Listed {
    /// Its key, not URL-encoded.
    pub key: String,
    /// Stored bytes.
    pub size: u64,
    /// Its entity tag, without quotes.
    pub etag: Option<String>,
}

/// One page of a listing with a delimiter.
#[derive(Debug, Default)]
pub struct Page {
    /// Objects.
    pub objects: Vec<Listed>,
    /// What S3 calls common prefixes: the folders at this level.
    pub folders: Vec<String>,
}

/// S3, or what speaks its protocol. Each bucket's region is found out, not configured.
///
/// Credentials, region, profile and endpoint come from the standard AWS chain unless [`S3Options`] say
/// otherwise, and with them FIPS endpoints (`AWS_USE_FIPS_ENDPOINT`) and proxies (`HTTPS_PROXY`,
/// `NO_PROXY`).
#[derive(Debug, Default)]
pub struct S3 {
    buckets: Arc<Buckets>,
}

impl S3 {
    /// Connects to nothing yet: the first request reads the AWS configuration.
    pub fn new() -> Self {
        S3::default()
    }

    /// As [`S3::new`], with settings of its own.
    pub fn with_options(options: S3Options) -> Self {
        S3 { buckets: Arc::new(Buckets::new(options)) }
    }

    /// Reads an object of at most `limit` bytes.
    pub async fn get(&self, object: &ObjectRef, limit: u64) -> Result<Vec<u8>> {
        let fetched = self.fetch(object, limit).await.map_err(|error| match error {
            FetchError::Other(error) => error,
            error => error.into(),
        });
        Ok(fetched.with_context(|| format!("fetching {}", object.uri()))?.bytes)
    }

    /// Reads an object of at most `limit` bytes, and what is known about it.
    ///
    /// The limit holds for what comes, whatever the store says about its length.
    pub async fn fetch(&self, object: &ObjectRef, limit: u64) -> Result<Object, FetchError> {
        fetch::fetch(&self.buckets, object, limit).await
    }

    /// Reads what an object's writer said about it: `x-amz-meta-…`, without that prefix.
    pub async fn metadata(&self, object: &ObjectRef) -> Result<BTreeMap<String, String>, FetchError> {
        head::metadata(&self.buckets, object).await
    }

    /// Says whether the bucket can be reached and listed, and if not, why.
    pub async fn check(&self, bucket: &str) -> Result<()> {
        self.list(bucket, "", true).await?.next().await.map(drop)
    }

    /// Lists a prefix. With `delimiter`, only this level of it: what lies below comes as folders.
    pub async fn list(&self, bucket: &str, prefix: &str, delimiter: bool) -> Result<Pages> {
        let client = self.buckets.client(bucket).await?;
        let (bucket, prefix, buckets) = (bucket.to_owned(), prefix.to_owned(), self.buckets.clone());
        Ok(Pages { buckets, client, bucket, prefix, delimiter, token: None, ended: false })
    }
}

/// A listing, a page at a time.
#[derive(Debug)]
pub struct Pages {
    buckets: Arc<Buckets>,
    client: Client,
    bucket: String,
    prefix: String,
    delimiter: bool,
    token: Option<String>,
    ended: bool,
}

impl Pages {
    /// The next page, of up to a thousand objects.
    pub async fn next(&mut self) -> Result<Option<Page>> {
        if self.ended {
            return Ok(None);
        }
        let token = self.token.take();
        let mut answer = self.request(token.clone()).await;
        if let Err(error) = &answer
            && let Some(client) = self.buckets.moved(&self.bucket, &self.client, error).await
        {
            self.client = client;
            answer = self.request(token).await;
        }
        let listing = || format!("listing s3://{}/{}", self.bucket, self.prefix);
        let answer = answer.map_err(|error| explain(*error)).with_context(listing)?;
        self.token = answer.next_continuation_token().map(str::to_owned);
        self.ended = self.token.is_none();
        let folders = answer.common_prefixes().iter().filter_map(|common| common.prefix.clone());
        let objects = answer.contents().iter().filter_map(listed);
        Ok(Some(Page { objects: objects.collect(), folders: folders.collect() }))
    }

    async fn request(
        &self,
        token: Option<String>,
    ) -> Result<
        aws_sdk_s3::operation::list_objects_v2::ListObjectsV2Output,
        Box<aws_sdk_s3::error::SdkError<aws_sdk_s3::operation::list_objects_v2::ListObjectsV2Error>>,
    > {
        let request = self.client.list_objects_v2().bucket(&self.bucket).prefix(&self.prefix);
        let request = request.set_delimiter(self.delimiter.then(|| "/".to_owned()));
        request.set_continuation_token(token).send().await.map_err(Box::new)
    }
}

fn listed(object: &aws_sdk_s3::types::Object) -> Option<Listed> {
    Some(Listed {
        key: object.key()?.to_owned(),
        size: object.size().and_then(|size| u64::try_from(size).ok()).unwrap_or(0),
        etag: object.e_tag().map(|tag| tag.trim_matches('"').to_owned()),
    })
}

/// Reads a local file of at most `limit` bytes.
pub fn read_local(path: &Path, limit: u64) -> Result<Vec<u8>> {
    let name = || path.display().to_string();
    let size = std::fs::metadata(path).with_context(|| format!("reading {}", name()))?.len();
    if size > limit {
        bail!("reading {}: {size} bytes are more than the {limit} that a log file may have", name());
    }
    std::fs::read(path).with_context(|| format!("reading {}", name()))
}
