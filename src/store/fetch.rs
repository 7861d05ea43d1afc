//! Fetching an object: its bytes and what is known about it, or why they can't be had.

use std::collections::BTreeMap;
use std::time::Duration;

use anyhow::{Context, anyhow};
use aws_sdk_s3::Client;
use aws_sdk_s3::error::{ProvideErrorMetadata, SdkError};
use aws_sdk_s3::operation::get_object::{GetObjectError, GetObjectOutput};
use chrono::{DateTime, Utc};
use tracing::debug;

use super::buckets::Buckets;
use crate::aws::{self, explain};
use crate::object::ObjectRef;

/// An object as it was fetched.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Object {
    /// Its bytes as stored.
    pub bytes: Vec<u8>,
    /// What its writer said about it: `x-amz-meta-…`, without that prefix.
    pub metadata: BTreeMap<String, String>,
    /// The entity tag, without quotes.
    pub etag: Option<String>,
    /// The version, in a bucket with versioning.
    pub version_id: Option<String>,
    /// When it was written.
    pub last_modified: Option<DateTime<Utc>>,
}

/// Why an object can't be had. The caller knows which.
#[derive(Debug, thiserror::Error)]
pub enum FetchError {
    /// It is not there, or this version of it is not, or it was deleted.
    #[error("the bucket has no such object")]
    NotFound,
    /// Somebody must allow it: the bucket's policy, or that of the KMS key. Also what S3 says of an
    /// object that is not there to whom may not list the bucket.
    #[error("access denied: {0}")]
    AccessDenied(String),
    /// Larger than the caller wants.
    #[error("{size} bytes are more than the {limit} that a log file may have")]
    TooLarge {
        /// Stored bytes, as far as known.
        size: u64,
        /// The limit.
        limit: u64,
    },
    /// The store asks for fewer requests, and did so until the SDK gave up.
    #[error("throttled: {0}")]
    Throttled(String),
    /// In an archive from which somebody must restore it first.
    #[error("archived, to be restored first: {0}")]
    Archived(String),
    /// Something that may be over the next time: network, server, credentials.
    #[error(transparent)]
    Other(anyhow::Error),
}

impl FetchError {
    /// A short name for tables and metrics.
    pub fn code(&self) -> &'static str {
        match self {
            FetchError::NotFound => "missing",
            FetchError::AccessDenied(_) => "access_denied",
            FetchError::TooLarge { .. } => "too_large",
            FetchError::Throttled(_) => "throttled",
            FetchError::Archived(_) => "archived",
            FetchError::Other(_) => "fetch_failed",
        }
    }
}

/// How often an object is fetched whose body breaks off. The SDK's retries end where the body begins.
const ATTEMPTS: u32 = 3;

pub(super) async fn fetch(buckets: &Buckets, object: &ObjectRef, limit: u64) -> Result<Object, FetchError> {
    let mut client = buckets.client(&object.bucket).await.map_err(FetchError::Other)?;
    let mut attempt = 1;
    loop {
        let answer = match request(&client, object).await {
            Ok(answer) => answer,
            Err(error) => match buckets.moved(&object.bucket, &client, &error).await {
                Some(elsewhere) if attempt < ATTEMPTS => {
                    client = elsewhere;
                    attempt += 1;
                    continue;
                }
                _ => return Err(classify(*error)),
            },
        };
        match read(answer, limit).await {
            Err(FetchError::Other(error)) if attempt < ATTEMPTS => {
                debug!(
                    object = object.uri(),
                    error = format!("{error:#}"),
                    "the body broke off; fetched again"
                );
                pause(attempt).await;
                attempt += 1;
            }
            result => return result,
        }
    }
}

async fn request(
    client: &Client,
    object: &ObjectRef,
) -> Result<GetObjectOutput, Box<SdkError<GetObjectError>>> {
    let request = client.get_object().bucket(&object.bucket).key(&object.key);
    request.set_version_id(object.version_id.clone()).send().await.map_err(Box::new)
}

/// Reads the body as it comes, and not a byte more than allowed.
async fn read(answer: GetObjectOutput, limit: u64) -> Result<Object, FetchError> {
    let told = answer.content_length().and_then(|size| u64::try_from(size).ok());
    if let Some(size) = told.filter(|size| *size > limit) {
        return Err(FetchError::TooLarge { size, limit });
    }
    let mut object = Object {
        bytes: Vec::with_capacity(told.and_then(|size| usize::try_from(size).ok()).unwrap_or(0)),
        metadata: answer.metadata().into_iter().flatten().map(|(k, v)| (k.clone(), v.clone())).collect(),
        etag: answer.e_tag().map(|tag| tag.trim_matches('"').to_owned()),
        version_id: answer.version_id().map(str::to_owned),
        last_modified: answer.last_modified().and_then(to_chrono),
    };
    let mut body = answer.body;
    while let Some(chunk) = body.try_next().await.context("reading the body").map_err(FetchError::Other)? {
        let size = (object.bytes.len() + chunk.len()) as u64;
        if size > limit {
            return Err(FetchError::TooLarge { size, limit });
        }
        object.bytes.extend_from_slice(&chunk);
    }
    match told {
        Some(told) if told != object.bytes.len() as u64 => {
            let error = anyhow!("the body ends after {} of {told} bytes", object.bytes.len());
            Err(FetchError::Other(error))
        }
        _ => Ok(object),
    }
}

fn to_chrono(time: &aws_sdk_s3::primitives::DateTime) -> Option<DateTime<Utc>> {
    DateTime::from_timestamp(time.secs(), time.subsec_nanos())
}

async fn pause(attempt: u32) {
    let most = 200 << attempt;
    tokio::time::sleep(Duration::from_millis(fastrand::u64(most / 2..most))).await;
}

pub(super) fn classify<E>(error: SdkError<E>) -> FetchError
where
    E: ProvideErrorMetadata + std::error::Error + Send + Sync + 'static,
{
    let (code, status) = (aws::code(&error), aws::status(&error));
    let error = explain(error);
    let Some(kind) = code.and_then(|code| Kind::of(&code, status)) else { return FetchError::Other(error) };
    let told = format!("{error:#}");
    match kind {
        Kind::NotFound => FetchError::NotFound,
        Kind::AccessDenied => FetchError::AccessDenied(told),
        Kind::Throttled => FetchError::Throttled(told),
        Kind::Archived => FetchError::Archived(told),
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Kind {
    NotFound,
    AccessDenied,
    Throttled,
    Archived,
}

impl Kind {
    /// Judges the service's code. What is wrong with the credentials says nothing about the object, so it
    /// is not among the denials.
    fn of(code: &str, status: Option<u16>) -> Option<Self> {
        Some(match code {
            // A version that is a delete marker is not allowed to be read.
            "NoSuchKey" | "NoSuchVersion" | "MethodNotAllowed" => Kind::NotFound,
            "InvalidObjectState" => Kind::Archived,
            code if aws::is_throttling(code) => Kind::Throttled,
            "AccessDenied" | "AllAccessDisabled" | "AccountProblem" => Kind::AccessDenied,
            code if code.starts_with("KMS") => Kind::AccessDenied,
            "HTTP status 403" => Kind::AccessDenied,
            "NoSuchBucket" => return None,
            _ => match status {
                Some(404) => Kind::NotFound,
                Some(429 | 503) => Kind::Throttled,
                _ => return None,
            },
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn errors_are_told_apart_by_the_services_code() {
        for (code, status, kind) in [
            ("NoSuchKey", 404, Some(Kind::NotFound)),
            ("NoSuchVersion", 404, Some(Kind::NotFound)),
            ("MethodNotAllowed", 405, Some(Kind::NotFound)),
            ("HTTP status 404", 404, Some(Kind::NotFound)),
            ("NoSuchBucket", 404, None),
            ("AccessDenied", 403, Some(Kind::AccessDenied)),
            ("KMS.DisabledException", 400, Some(Kind::AccessDenied)),
            ("KMS.ThrottlingException", 400, Some(Kind::Throttled)),
            ("SlowDown", 503, Some(Kind::Throttled)),
            ("ServiceUnavailable", 503, Some(Kind::Throttled)),
            ("HTTP status 429", 429, Some(Kind::Throttled)),
            ("InvalidObjectState", 403, Some(Kind::Archived)),
            ("ExpiredToken", 400, None),
            ("SignatureDoesNotMatch", 403, None),
            ("InternalError", 500, None),
        ] {
            assert_eq!(Kind::of(code, Some(status)), kind, "{code}");
        }
    }
}
