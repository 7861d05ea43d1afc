//! Clients by bucket: each with the region that the bucket is in, and the role that reads it.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context, Result};
use aws_config::{Region, SdkConfig};
use aws_sdk_s3::Client;
use aws_sdk_s3::config::Builder;
use aws_sdk_s3::error::SdkError;
use tokio::sync::{Mutex, OnceCell};
use tracing::info;

use crate::aws::{self, Connect};

/// Settings of S3 over those of the standard AWS chain.
#[derive(Debug, Clone, Default)]
pub struct S3Options {
    /// What stands in place of the standard chain; region, profile and endpoint are its own then.
    pub config: Option<SdkConfig>,
    /// Another endpoint than AWS's, for stores that speak S3's protocol.
    pub endpoint_url: Option<String>,
    /// The region to start from. A bucket's own region is found out.
    pub region: Option<String>,
    /// The profile of the AWS configuration files.
    pub profile: Option<String>,
    /// Roles that read certain buckets.
    pub roles: Vec<BucketRole>,
    /// The role that reads the others.
    pub role_arn: Option<String>,
    /// The external id that it asks for.
    pub external_id: Option<String>,
    /// Whether the bucket stands in the path and not in the host name; by default with another
    /// endpoint only.
    pub path_style: Option<bool>,
}

/// A role to be assumed for the requests to a bucket.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct BucketRole {
    /// The bucket.
    pub bucket: String,
    /// The role's ARN.
    pub role_arn: String,
    /// The external id that the role asks for.
    pub external_id: Option<String>,
}

/// The time for the first byte of an answer. A body that stalls later is ended by the SDK.
const ANSWER_TIMEOUT: Duration = Duration::from_secs(30);
/// The header by which S3 tells where a bucket is, also to whom it tells nothing else.
const REGION_HEADER: &str = "x-amz-bucket-region";

/// All clients so far. The first request reads the configuration.
#[derive(Debug, Default)]
pub(super) struct Buckets {
    options: S3Options,
    config: OnceCell<SdkConfig>,
    clients: Mutex<HashMap<String, Arc<OnceCell<Client>>>>,
}

impl Buckets {
    pub(super) fn new(options: S3Options) -> Self {
        Buckets { options, ..Buckets::default() }
    }

    /// The client for a bucket.
    pub(super) async fn client(&self, bucket: &str) -> Result<Client> {
        // Buckets are asked one beside the other: one that does not answer keeps nobody else waiting.
        let cell = self.clients.lock().await.entry(bucket.to_owned()).or_default().clone();
        cell.get_or_try_init(|| self.connect(bucket)).await.cloned()
    }

    /// If the bucket turns out to be in another region than the client's, a client for there.
    pub(super) async fn moved<E>(
        &self,
        bucket: &str,
        client: &Client,
        error: &SdkError<E>,
    ) -> Option<Client> {
        let region = told_region(error).filter(|_| matches!(aws::status(error), Some(301 | 307 | 400)))?;
        if client.config().region().is_some_and(|known| known.as_ref() == region) {
            return None;
        }
        info!(bucket, region, "the bucket is in another region");
        let builder = self.builder(bucket).await.region(Region::new(region.to_owned()));
        let client = Client::from_conf(builder.build());
        let cell = Arc::new(OnceCell::new_with(Some(client.clone())));
        self.clients.lock().await.insert(bucket.to_owned(), cell);
        Some(client)
    }

    /// Asks where the bucket is, unless the store is not AWS's: there is one place there.
    async fn connect(&self, bucket: &str) -> Result<Client> {
        let builder = self.builder(bucket).await;
        let client = Client::from_conf(builder.clone().build());
        if self.has_own_endpoint().await {
            return Ok(client);
        }
        let head = client.head_bucket().bucket(bucket).send().await;
        let region = match &head {
            Ok(answer) => answer.bucket_region().map(str::to_owned),
            Err(error) => told_region(error).map(str::to_owned),
        };
        match (region, head) {
            (Some(region), _) => Ok(Client::from_conf(builder.region(Region::new(region)).build())),
            (None, Ok(_)) => Ok(client),
            (None, Err(error)) => {
                Err(aws::explain(error)).with_context(|| format!("reaching the bucket {bucket}"))
            }
        }
    }

    async fn builder(&self, bucket: &str) -> Builder {
        let config = self.config().await;
        let S3Options { roles, role_arn, external_id, .. } = &self.options;
        let (role_arn, external_id) = match roles.iter().find(|role| role.bucket == bucket) {
            Some(role) => (Some(&role.role_arn), &role.external_id),
            None => (role_arn.as_ref(), external_id),
        };
        let assumed = match role_arn {
            Some(role_arn) => Some(aws::assume(config, role_arn, external_id.as_deref()).await),
            None => None,
        };
        // Stores of one's own rarely answer to bucket names in the host name.
        let path_style = match self.options.path_style {
            Some(path_style) => path_style,
            None => self.has_own_endpoint().await,
        };
        Builder::from(assumed.as_ref().unwrap_or(config))
            .force_path_style(path_style)
            .timeout_config(aws::timeouts(ANSWER_TIMEOUT))
    }

    async fn has_own_endpoint(&self) -> bool {
        self.config().await.endpoint_url().is_some() || std::env::var_os("AWS_ENDPOINT_URL_S3").is_some()
    }

    async fn config(&self) -> &SdkConfig {
        let S3Options { config, endpoint_url, region, profile, .. } = &self.options;
        let connect = Connect {
            config: config.clone(),
            region: region.clone(),
            profile: profile.clone(),
            endpoint_url: endpoint_url.clone(),
        };
        self.config.get_or_init(|| async move { aws::load(&connect).await }).await
    }
}

fn told_region<E>(error: &SdkError<E>) -> Option<&str> {
    error.raw_response()?.headers().get(REGION_HEADER)
}
