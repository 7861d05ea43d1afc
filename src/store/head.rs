//! What is known about an object, without its bytes.

use std::collections::BTreeMap;

use aws_sdk_s3::Client;
use aws_sdk_s3::error::SdkError;
use aws_sdk_s3::operation::head_object::{HeadObjectError, HeadObjectOutput};

use super::FetchError;
use super::buckets::Buckets;
use super::fetch::classify;
use crate::object::ObjectRef;

pub(super) async fn metadata(
    buckets: &Buckets,
    object: &ObjectRef,
) -> Result<BTreeMap<String, String>, FetchError> {
    let client = buckets.client(&object.bucket).await.map_err(FetchError::Other)?;
    let mut answer = request(&client, object).await;
    if let Err(error) = &answer
        && let Some(elsewhere) = buckets.moved(&object.bucket, &client, error).await
    {
        answer = request(&elsewhere, object).await;
    }
    let answer = answer.map_err(|error| classify(*error))?;
    Ok(answer.metadata().into_iter().flatten().map(|(k, v)| (k.clone(), v.clone())).collect())
}

async fn request(
    client: &Client,
    object: &ObjectRef,
) -> Result<HeadObjectOutput, Box<SdkError<HeadObjectError>>> {
    let request = client.head_object().bucket(&object.bucket).key(&object.key);
    request.set_version_id(object.version_id.clone()).send().await.map_err(Box::new)
}
