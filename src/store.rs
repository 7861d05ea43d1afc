//! Stores: where the bytes of log files are. S3 through the AWS SDK, and local files.
//!
//! Requests are retried by the SDK; what still fails is the caller's to report.

use std::collections::HashMap;
use std::path::Path;

use anyhow::{Context, Result, bail};
use aws_config::{BehaviorVersion, Region, SdkConfig};
use aws_sdk_s3::Client;
use aws_sdk_s3::error::{ProvideErrorMetadata, SdkError};
use tokio::sync::{Mutex, OnceCell};

use crate::object::ObjectRef;

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
/// Credentials, region, profile and endpoint come from the standard AWS chain.
#[derive(Debug, Default)]
pub struct S3 {
    config: OnceCell<SdkConfig>,
    clients: Mutex<HashMap<String, Client>>,
}

impl S3 {
    /// Connects to nothing yet: the first request reads the AWS configuration.
    pub fn new() -> Self {
        S3::default()
    }

    /// Reads an object of at most `limit` bytes.
    pub async fn get(&self, object: &ObjectRef, limit: u64) -> Result<Vec<u8>> {
        let client = self.client(&object.bucket).await?;
        let request = client.get_object().bucket(&object.bucket).key(&object.key);
        let answer = request.set_version_id(object.version_id.clone()).send().await;
        let answer = answer.map_err(explain).with_context(|| format!("fetching {}", object.uri()))?;
        let size = answer.content_length().and_then(|size| u64::try_from(size).ok()).unwrap_or(0);
        if size > limit {
            bail!(
                "fetching {}: {size} bytes are more than the {limit} that a log file may have",
                object.uri()
            );
        }
        let body = answer.body.collect().await.with_context(|| format!("fetching {}", object.uri()))?;
        Ok(body.to_vec())
    }

    /// Lists a prefix. With `delimiter`, only this level of it: what lies below comes as folders.
    pub async fn list(&self, bucket: &str, prefix: &str, delimiter: bool) -> Result<Pages> {
        let client = self.client(bucket).await?;
        let (bucket, prefix) = (bucket.to_owned(), prefix.to_owned());
        Ok(Pages { client, bucket, prefix, delimiter, token: None, ended: false })
    }

    async fn client(&self, bucket: &str) -> Result<Client> {
        let mut clients = self.clients.lock().await;
        if let Some(client) = clients.get(bucket) {
            return Ok(client.clone());
        }
        let config = self.config.get_or_init(load_config).await;
        let client = connect(config, bucket).await?;
        clients.insert(bucket.to_owned(), client.clone());
        Ok(client)
    }
}

/// A listing, a page at a time.
#[derive(Debug)]
pub struct Pages {
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
        let request = self.client.list_objects_v2().bucket(&self.bucket).prefix(&self.prefix);
        let request = request.set_delimiter(self.delimiter.then(|| "/".to_owned()));
        let answer = request.set_continuation_token(self.token.take()).send().await.map_err(explain);
        let answer = answer.with_context(|| format!("listing s3://{}/{}", self.bucket, self.prefix))?;
        self.token = answer.next_continuation_token().map(str::to_owned);
        self.ended = self.token.is_none();
        let folders = answer.common_prefixes().iter().filter_map(|common| common.prefix.clone());
        let objects = answer.contents().iter().filter_map(listed);
        Ok(Some(Page { objects: objects.collect(), folders: folders.collect() }))
    }
}

async fn load_config() -> SdkConfig {
    aws_config::load_defaults(BehaviorVersion::latest()).await
}

/// A client for the region that the bucket is in.
async fn connect(config: &SdkConfig, bucket: &str) -> Result<Client> {
    let mut builder = aws_sdk_s3::config::Builder::from(config);
    if config.region().is_none() {
        builder = builder.region(Region::from_static("us-east-1"));
    }
    if custom_endpoint(config) {
        // Stores of one's own rarely answer to bucket names in the host name.
        return Ok(Client::from_conf(builder.force_path_style(true).build()));
    }
    let client = Client::from_conf(builder.clone().build());
    let head = client.head_bucket().bucket(bucket).send().await;
    let region = match &head {
        Ok(answer) => answer.bucket_region().map(str::to_owned),
        Err(error) => error
            .raw_response()
            .and_then(|response| response.headers().get("x-amz-bucket-region").map(str::to_owned)),
    };
    match (region, head) {
        (Some(region), _) => Ok(Client::from_conf(builder.region(Region::new(region)).build())),
        (None, Ok(_)) => Ok(client),
        (None, Err(error)) => Err(explain(error)).with_context(|| format!("reaching the bucket {bucket}")),
    }
}

fn custom_endpoint(config: &SdkConfig) -> bool {
    config.endpoint_url().is_some() || std::env::var_os("AWS_ENDPOINT_URL_S3").is_some()
}

/// The service's own words, or what kept the request from it. The SDK's `Display` says neither, and its
/// `DisplayErrorContext` adds the whole response.
fn explain<E>(error: SdkError<E>) -> anyhow::Error
where
    E: ProvideErrorMetadata + std::error::Error + Send + Sync + 'static,
{
    if let SdkError::ServiceError(answer) = &error {
        let status = answer.raw().status().as_u16();
        let code = answer.err().code().map_or_else(|| format!("HTTP status {status}"), str::to_owned);
        return match answer.err().message() {
            Some(message) => anyhow::anyhow!("{code}: {message}"),
            None => anyhow::anyhow!("{code}"),
        };
    }
    let error = anyhow::Error::new(error);
    let text = format!("{error:#}");
    if text.contains("the credential provider was not enabled") || text.contains("no providers in chain") {
        return error
            .context("no AWS credentials: set AWS_PROFILE, or AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY");
    }
    error
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
