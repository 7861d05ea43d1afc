//! S3 as the AWS CLI asks it: `GetBucketLocation`, `ListObjects` with a marker, `GetObject`.

use std::collections::HashMap;
use std::sync::Mutex;
use std::time::Duration;

use aws_config::{Region, SdkConfig};
use aws_sdk_s3::Client;
use aws_sdk_s3::config::ResponseChecksumValidation;
use aws_sdk_s3::config::timeout::TimeoutConfig;
use aws_sdk_s3::types::{BucketLocationConstraint, EncodingType};

use super::{Body, GetError, Hashed, Hasher, Page, StoredObject, is_small};
use crate::cloudtrail::ApiError;
use crate::log_file::Limits;
use crate::object::ObjectRef;

/// Buckets in S3, each in a region of its own.
#[derive(Debug)]
pub struct S3Bucket {
    config: SdkConfig,
    clients: Mutex<HashMap<String, Client>>,
}

/// A body that breaks off is fetched so often.
const FETCHES: usize = 3;

impl S3Bucket {
    /// Connects to nothing yet.
    pub fn new(config: SdkConfig) -> Self {
        S3Bucket { config, clients: Mutex::default() }
    }

    /// Begins a listing.
    pub(super) async fn list(
        &self,
        bucket: &str,
        prefix: &str,
        marker: &str,
        delimiter: bool,
    ) -> Result<Pages, ApiError> {
        let client = self.client(bucket).await?;
        Ok(Pages {
            client,
            bucket: bucket.to_owned(),
            prefix: prefix.to_owned(),
            marker: marker.to_owned(),
            delimiter,
            ended: false,
        })
    }

    /// Loads an object of at most `limit` bytes.
    pub(super) async fn get(&self, object: &ObjectRef, limit: u64) -> Result<StoredObject, GetError> {
        let mut fetches = 1;
        loop {
            match self.get_once(object, limit).await {
                Err(GetError::Cut { .. }) if fetches < FETCHES => fetches += 1,
                other => return other,
            }
        }
    }

    async fn get_once(&self, object: &ObjectRef, limit: u64) -> Result<StoredObject, GetError> {
        let (mut body, metadata) = self.open(object).await?;
        if body.length > limit {
            return Err(GetError::TooLarge(limit));
        }
        let mut bytes = Vec::with_capacity(usize::try_from(body.length).unwrap_or(0));
        while let Some(piece) = body.next().await? {
            bytes.extend_from_slice(&piece);
            if bytes.len() as u64 > limit {
                return Err(GetError::TooLarge(limit));
            }
        }
        Ok(StoredObject { bytes, metadata: metadata.into_iter().collect() })
    }

    /// Hashes an object's content as it comes.
    pub(super) async fn hash(&self, object: &ObjectRef, limits: &Limits) -> Result<Hashed, GetError> {
        let mut fetches = 1;
        loop {
            match self.hash_once(object, limits).await {
                Err(GetError::Cut { .. }) if fetches < FETCHES => fetches += 1,
                other => return other,
            }
        }
    }

    async fn hash_once(&self, object: &ObjectRef, limits: &Limits) -> Result<Hashed, GetError> {
        let (mut body, _) = self.open(object).await?;
        let mut hasher = Hasher::new(limits.uncompressed);
        while let Some(piece) = body.next().await? {
            if !hasher.update(&piece) && !is_small(body.length.saturating_sub(body.read)) {
                break;
            }
        }
        Ok(hasher.finish())
    }

    async fn open(&self, object: &ObjectRef) -> Result<(Body, HashMap<String, String>), GetError> {
        let client = self.client(&object.bucket).await?;
        let request = client.get_object().bucket(&object.bucket).key(&object.key);
        let answer = request.set_version_id(object.version_id.clone()).send().await;
        let answer = answer.map_err(|error| ApiError::new("GetObject", error)).map_err(|error| {
            if error.code() == Some("NoSuchKey") { GetError::NotFound } else { GetError::Api(error) }
        })?;
        let length = answer.content_length.and_then(|length| u64::try_from(length).ok()).unwrap_or(0);
        let metadata = answer.metadata.unwrap_or_default();
        Ok((Body { stream: answer.body, read: 0, length }, metadata))
    }

    async fn client(&self, bucket: &str) -> Result<Client, ApiError> {
        let known = self.clients.lock().ok().and_then(|clients| clients.get(bucket).cloned());
        if let Some(client) = known {
            return Ok(client);
        }
        let region = self.region_of(bucket).await?;
        let client = self.connect(Some(&region));
        if let Ok(mut clients) = self.clients.lock() {
            clients.insert(bucket.to_owned(), client.clone());
        }
        Ok(client)
    }

    /// The region that a bucket is in. Who may not ask for its location, as across accounts, may still ask
    /// for its head, which names the region even in a refusal.
    async fn region_of(&self, bucket: &str) -> Result<String, ApiError> {
        let client = self.connect(None);
        let answer = client.get_bucket_location().bucket(bucket).send().await;
        match answer.map_err(|error| ApiError::new("GetBucketLocation", error)) {
            Ok(answer) => Ok(match answer.location_constraint().map(BucketLocationConstraint::as_str) {
                None | Some("") => "us-east-1".to_owned(),
                Some("EU") => "eu-west-1".to_owned(),
                Some(region) => region.to_owned(),
            }),
            Err(error) if error.code() == Some("AccessDenied") => {
                let head = client.head_bucket().bucket(bucket).send().await;
                let told = match &head {
                    Ok(head) => head.bucket_region().map(str::to_owned),
                    Err(refusal) => refusal
                        .raw_response()
                        .and_then(|response| response.headers().get("x-amz-bucket-region"))
                        .map(str::to_owned),
                };
                told.ok_or(error)
            }
            Err(error) => Err(error),
        }
    }

    fn connect(&self, region: Option<&str>) -> Client {
        let fallback = || self.config.region().map_or("us-east-1", |region| region.as_ref()).to_owned();
        let region = region.map_or_else(fallback, str::to_owned);
        let timeouts = TimeoutConfig::builder()
            .connect_timeout(Duration::from_mins(1))
            .read_timeout(Duration::from_mins(1))
            .build();
        let builder = aws_sdk_s3::config::Builder::from(&self.config)
            .region(Region::new(region))
            .timeout_config(timeouts)
            // What comes is hashed anyway, by a function that an intruder cannot bend.
            .response_checksum_validation(ResponseChecksumValidation::WhenRequired);
        let own = self.config.endpoint_url().is_some()
            || ["AWS_ENDPOINT_URL", "AWS_ENDPOINT_URL_S3"]
                .iter()
                .any(|name| std::env::var_os(name).is_some());
        Client::from_conf(builder.force_path_style(own).build())
    }
}

/// A listing, a page at a time.
pub(in crate::validation) struct Pages {
    client: Client,
    bucket: String,
    prefix: String,
    marker: String,
    delimiter: bool,
    ended: bool,
}

impl Pages {
    /// The next page, of up to a thousand keys.
    pub(super) async fn next(&mut self) -> Result<Option<Page>, ApiError> {
        if self.ended {
            return Ok(None);
        }
        let request = self.client.list_objects().bucket(&self.bucket).prefix(&self.prefix);
        let request = request.set_delimiter(self.delimiter.then(|| "/".to_owned()));
        // Keys may hold what XML cannot.
        let request = request.marker(&self.marker).encoding_type(EncodingType::Url);
        let answer = request.send().await.map_err(|error| ApiError::new("ListObjects", error))?;
        let encoded = answer.encoding_type() == Some(&EncodingType::Url);
        let decode = |text: &str| if encoded { decoded(text) } else { text.to_owned() };
        let keys: Vec<String> =
            answer.contents().iter().filter_map(|object| object.key()).map(decode).collect();
        let folders: Vec<String> =
            answer.common_prefixes().iter().filter_map(|common| common.prefix()).map(decode).collect();
        let last = answer.next_marker().map(decode).or_else(|| keys.last().max(folders.last()).cloned());
        match last {
            Some(last) if answer.is_truncated() == Some(true) && last > self.marker => self.marker = last,
            _ => self.ended = true,
        }
        Ok(Some(Page { keys, folders }))
    }
}

fn decoded(text: &str) -> String {
    let spaced = text.replace('+', " ");
    percent_encoding::percent_decode_str(&spaced).decode_utf8_lossy().into_owned()
}
