//! CloudTrail's own API, and that of Organizations: public keys and trails.
//!
//! What goes wrong is told in the words of the AWS CLI, since people search for those.

use anyhow::{Context as _, Result};
use aws_config::{BehaviorVersion, Region, SdkConfig};
use aws_sdk_cloudtrail::error::{ProvideErrorMetadata, SdkError};
use aws_sdk_cloudtrail::primitives::DateTime as ApiTime;
use chrono::{DateTime, Utc};

use crate::digest::{self, ListedKey};

/// Whom to ask, and as whom. What is not said comes from the AWS environment and configuration.
#[derive(Debug, Clone, Default)]
pub struct Connect {
    /// The region to ask, since public keys are kept by region.
    pub region: Option<String>,
    /// The profile in the AWS configuration files.
    pub profile: Option<String>,
    /// Another address of CloudTrail, and of nothing else.
    pub endpoint_url: Option<String>,
}

/// A trail as `DescribeTrails` tells it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Trail {
    /// Its ARN.
    pub arn: String,
    /// The bucket that it writes to.
    pub s3_bucket_name: String,
    /// What stands before `AWSLogs/` in its keys.
    pub s3_key_prefix: Option<String>,
    /// Whether it logs all accounts of an organization.
    pub is_organization_trail: bool,
}

/// Why the API did not answer.
#[derive(Debug, thiserror::Error)]
pub enum ApiError {
    /// The service refused.
    #[error("An error occurred ({code}) when calling the {operation} operation{retried}: {message}")]
    Service {
        /// The service's code, such as `AccessDenied`.
        code: String,
        /// The operation, such as `ListPublicKeys`.
        operation: &'static str,
        /// `(reached max retries: 4)` where it was tried again.
        retried: &'static str,
        /// The service's words.
        message: String,
    },
    /// No answer came.
    #[error("{operation}: {reason}")]
    Unreachable {
        /// The operation.
        operation: &'static str,
        /// Why not.
        reason: String,
    },
}

impl ApiError {
    /// The service's code; `None` if it did not answer.
    pub fn code(&self) -> Option<&str> {
        match self {
            ApiError::Service { code, .. } => Some(code),
            ApiError::Unreachable { .. } => None,
        }
    }

    /// Tells what an SDK reported. Its own `Display` says next to nothing.
    pub fn new<E>(operation: &'static str, error: SdkError<E>) -> Self
    where
        E: ProvideErrorMetadata + std::error::Error + Send + Sync + 'static,
    {
        if let SdkError::ServiceError(answer) = &error {
            let status = answer.raw().status().as_u16();
            let code = answer.err().code().map_or_else(|| status.to_string(), str::to_owned);
            let again = status >= 500 || code == "SlowDown" || code.contains("Throttl");
            let retried = if again { " (reached max retries: 4)" } else { "" };
            let message = answer.err().message().unwrap_or("Unknown").to_owned();
            return ApiError::Service { code, operation, retried, message };
        }
        let reason = format!("{:#}", anyhow::Error::new(error));
        if reason.contains("the credential provider was not enabled")
            || reason.contains("no providers in chain")
        {
            let reason = "Unable to locate credentials: set AWS_PROFILE, or AWS_ACCESS_KEY_ID and \
                          AWS_SECRET_ACCESS_KEY"
                .to_owned();
            return ApiError::Unreachable { operation, reason };
        }
        ApiError::Unreachable { operation, reason }
    }
}

/// Requests are sent up to so many times, as the AWS CLI does.
pub(crate) const ATTEMPTS: u32 = 5;

/// The AWS configuration for a profile and region.
pub(crate) async fn load_config(profile: Option<&str>, region: Option<&str>) -> SdkConfig {
    let retry = aws_config::retry::RetryConfig::standard().with_max_attempts(ATTEMPTS);
    let mut loader = aws_config::defaults(BehaviorVersion::latest()).retry_config(retry);
    if let Some(profile) = profile {
        loader = loader.profile_name(profile);
    }
    if let Some(region) = region {
        loader = loader.region(Region::new(region.to_owned()));
    }
    loader.load().await
}

/// The API of CloudTrail in one region, and that of Organizations.
#[derive(Debug, Clone)]
pub struct CloudTrail {
    cloudtrail: aws_sdk_cloudtrail::Client,
    organizations: aws_sdk_organizations::Client,
}

impl CloudTrail {
    /// Reads the AWS configuration. Nothing is asked yet.
    pub async fn connect(options: &Connect) -> Result<Self> {
        let config = load_config(options.profile.as_deref(), options.region.as_deref()).await;
        config.region().context("You must specify a region: give --region, or set AWS_REGION")?;
        Ok(Self::new(&config, options.endpoint_url.as_deref()))
    }

    /// Takes a configuration that has been read.
    pub(crate) fn new(config: &SdkConfig, endpoint_url: Option<&str>) -> Self {
        let mut builder = aws_sdk_cloudtrail::config::Builder::from(config);
        if let Some(url) = endpoint_url {
            builder = builder.endpoint_url(url);
        }
        Self {
            cloudtrail: aws_sdk_cloudtrail::Client::from_conf(builder.build()),
            organizations: aws_sdk_organizations::Client::new(config),
        }
    }

    /// The public keys that were in use between two times, as they are listed.
    pub async fn list_keys(
        &self,
        start: DateTime<Utc>,
        end: DateTime<Utc>,
    ) -> Result<Vec<ListedKey>, ApiError> {
        let mut keys = Vec::new();
        let mut token = None;
        loop {
            let request = self.cloudtrail.list_public_keys();
            let request = request.start_time(api_time(start)).end_time(api_time(end)).set_next_token(token);
            let answer = request.send().await.map_err(|error| ApiError::new("ListPublicKeys", error))?;
            keys.extend(answer.public_key_list().iter().filter_map(listed_key));
            token = answer.next_token().filter(|token| !token.is_empty()).map(str::to_owned);
            if token.is_none() {
                return Ok(keys);
            }
        }
    }

    /// The public keys that were in use between two times, in the form that signatures are checked with.
    pub async fn list_public_keys(
        &self,
        start: DateTime<Utc>,
        end: DateTime<Utc>,
    ) -> Result<Vec<digest::PublicKey>, ApiError> {
        let keys = self.list_keys(start, end).await?;
        Ok(keys.iter().map(ListedKey::public_key).collect())
    }

    /// All trails of the account that are seen from this region.
    pub async fn describe_trails(&self) -> Result<Vec<Trail>, ApiError> {
        let answer = self.cloudtrail.describe_trails().send().await;
        let answer = answer.map_err(|error| ApiError::new("DescribeTrails", error))?;
        Ok(answer.trail_list().iter().filter_map(trail).collect())
    }

    /// The id of the organization that the account is in, `o-…`.
    pub async fn organization_id(&self) -> Result<String, ApiError> {
        let answer = self.organizations.describe_organization().send().await;
        let answer = answer.map_err(|error| ApiError::new("DescribeOrganization", error))?;
        let id = answer.organization().and_then(|organization| organization.id());
        id.map(str::to_owned).ok_or_else(|| ApiError::Unreachable {
            operation: "DescribeOrganization",
            reason: "the answer has no id".to_owned(),
        })
    }
}

fn trail(trail: &aws_sdk_cloudtrail::types::Trail) -> Option<Trail> {
    Some(Trail {
        arn: trail.trail_arn()?.to_owned(),
        s3_bucket_name: trail.s3_bucket_name()?.to_owned(),
        s3_key_prefix: trail.s3_key_prefix().filter(|prefix| !prefix.is_empty()).map(str::to_owned),
        is_organization_trail: trail.is_organization_trail().unwrap_or(false),
    })
}

fn listed_key(key: &aws_sdk_cloudtrail::types::PublicKey) -> Option<ListedKey> {
    Some(ListedKey {
        fingerprint: key.fingerprint()?.to_owned(),
        der: key.value()?.as_ref().to_vec(),
        validity_start: key.validity_start_time().and_then(from_api_time),
        validity_end: key.validity_end_time().and_then(from_api_time),
    })
}

fn api_time(time: DateTime<Utc>) -> ApiTime {
    ApiTime::from_secs(time.timestamp())
}

fn from_api_time(time: &ApiTime) -> Option<DateTime<Utc>> {
    DateTime::from_timestamp(time.secs(), time.subsec_nanos())
}
