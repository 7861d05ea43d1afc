//! AWS: what all clients share. Configuration of the standard chain, roles, and errors in the service's
//! own words.
//!
//! Everything that the SDK reads counts: `AWS_*`, profiles, container and instance roles, SSO;
//! `AWS_USE_FIPS_ENDPOINT` and `AWS_USE_DUALSTACK_ENDPOINT`; `HTTPS_PROXY` and `NO_PROXY`;
//! `AWS_ENDPOINT_URL` and its kin. The SDK retries what is worth it, up to `AWS_MAX_ATTEMPTS` times and
//! with jitter.

use std::time::Duration;

use aws_config::sts::AssumeRoleProvider;
use aws_config::timeout::TimeoutConfig;
use aws_config::{BehaviorVersion, Region, SdkConfig};
use aws_sdk_s3::config::SharedCredentialsProvider;
use aws_sdk_s3::error::{ProvideErrorMetadata, SdkError};

/// What the user sets over the standard chain.
#[derive(Debug, Clone, Default)]
pub(crate) struct Connect {
    /// What stands in place of the standard chain.
    pub(crate) config: Option<SdkConfig>,
    pub(crate) region: Option<String>,
    pub(crate) profile: Option<String>,
    pub(crate) endpoint_url: Option<String>,
}

/// The region of a client where nobody names one; S3 tells from there where a bucket is.
const FALLBACK_REGION: &str = "us-east-1";
/// The time for a connection to be made.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(5);

/// Reads the configuration. It always has a region.
pub(crate) async fn load(connect: &Connect) -> SdkConfig {
    let config = match &connect.config {
        Some(config) => config.clone(),
        None => load_standard(connect).await,
    };
    if config.region().is_some() {
        return config;
    }
    config.into_builder().region(Region::from_static(FALLBACK_REGION)).build()
}

async fn load_standard(connect: &Connect) -> SdkConfig {
    let mut loader = aws_config::defaults(BehaviorVersion::latest());
    if let Some(profile) = &connect.profile {
        loader = loader.profile_name(profile);
    }
    if let Some(endpoint_url) = &connect.endpoint_url {
        loader = loader.endpoint_url(endpoint_url);
    }
    if let Some(region) = &connect.region {
        loader = loader.region(Region::new(region.clone()));
    }
    loader.load().await
}

/// The same configuration, with the credentials of a role, renewed as they expire.
pub(crate) async fn assume(config: &SdkConfig, role_arn: &str, external_id: Option<&str>) -> SdkConfig {
    let mut provider = AssumeRoleProvider::builder(role_arn).session_name("trailq").configure(config);
    if let Some(external_id) = external_id {
        provider = provider.external_id(external_id);
    }
    let provider = SharedCredentialsProvider::new(provider.build().await);
    config.clone().into_builder().credentials_provider(provider).build()
}

/// Times for a connection, and for the first byte of an answer to come.
pub(crate) fn timeouts(answer: Duration) -> TimeoutConfig {
    TimeoutConfig::builder().connect_timeout(CONNECT_TIMEOUT).read_timeout(answer).build()
}

/// The code of the service's answer, if it has answered, or else its HTTP status.
pub(crate) fn code<E: ProvideErrorMetadata>(error: &SdkError<E>) -> Option<String> {
    let SdkError::ServiceError(answer) = error else { return None };
    let status = answer.raw().status().as_u16();
    Some(answer.err().code().map_or_else(|| format!("HTTP status {status}"), str::to_owned))
}

/// The HTTP status, if there was an answer.
pub(crate) fn status<E>(error: &SdkError<E>) -> Option<u16> {
    error.raw_response().map(|response| response.status().as_u16())
}

/// Whether the service asks for fewer requests.
pub(crate) fn is_throttling(code: &str) -> bool {
    matches!(code, "SlowDown" | "RequestLimitExceeded" | "TooManyRequestsException" | "OverLimit")
        || code.contains("Throttl")
}

/// The service's own words, or what kept the request from it. The SDK's `Display` says neither, and its
/// `DisplayErrorContext` adds the whole response.
pub(crate) fn explain<E>(error: SdkError<E>) -> anyhow::Error
where
    E: ProvideErrorMetadata + std::error::Error + Send + Sync + 'static,
{
    if let (SdkError::ServiceError(answer), Some(code)) = (&error, code(&error)) {
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
