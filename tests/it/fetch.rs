//! Objects fetched from a store that is in another region, behind a role, lying, or gone.

use std::collections::HashMap;

use trailq::object::ObjectRef;
use trailq::store::{BucketRole, FetchError, S3, S3Options};

use super::fake_aws::{FakeAws, Faults, Share, StoredObject};

async fn s3(aws: &FakeAws) -> S3 {
    S3::with_options(S3Options { config: Some(aws.config().await), ..S3Options::default() })
}

fn object(key: &str) -> ObjectRef {
    ObjectRef::new("logs", key)
}

#[tokio::test]
async fn an_object_comes_with_what_is_known_about_it() {
    let aws = FakeAws::start(Faults::none(0));
    let metadata = HashMap::from([("signature".to_owned(), "0a0b".to_owned())]);
    let stored = StoredObject { bytes: b"hello".to_vec(), metadata, ..StoredObject::default() };
    aws.with_bucket("logs", |bucket| bucket.put("ünï + %2F/a", stored));
    let fetched = s3(&aws).await.fetch(&object("ünï + %2F/a"), 5).await.unwrap();
    assert_eq!(fetched.bytes, b"hello");
    assert_eq!(fetched.metadata["signature"], "0a0b");
    assert_eq!(fetched.etag.as_deref(), Some("0123456789abcdef0123456789abcdef"));
    assert_eq!(fetched.last_modified.unwrap().to_rfc3339(), "2026-01-05T08:10:00+00:00");
}

#[tokio::test]
async fn the_limit_holds_whatever_the_store_says_of_the_length() {
    let aws = FakeAws::start(Faults::none(0));
    let bytes = vec![7; 5000];
    aws.put("logs", "told", bytes.clone());
    let chunked = StoredObject { bytes, chunked: true, ..StoredObject::default() };
    aws.with_bucket("logs", |bucket| bucket.put("untold", chunked));
    let s3 = s3(&aws).await;
    for key in ["told", "untold"] {
        assert_eq!(s3.fetch(&object(key), 5000).await.unwrap().bytes.len(), 5000);
        let error = s3.fetch(&object(key), 4999).await.unwrap_err();
        assert!(matches!(error, FetchError::TooLarge { limit: 4999, .. }), "{key}: {error}");
    }
}

#[tokio::test]
async fn a_body_that_breaks_off_is_fetched_again_and_never_taken_for_whole() {
    let aws = FakeAws::start(Faults { cut: Share(0.4), ..Faults::none(7) });
    let bytes: Vec<u8> = (0..100_000u32).flat_map(u32::to_le_bytes).collect();
    aws.put("logs", "a", bytes.clone());
    let s3 = s3(&aws).await;
    let mut whole = 0;
    for _ in 0..30 {
        match s3.fetch(&object("a"), 1 << 20).await {
            Ok(object) => {
                assert!(object.bytes == bytes);
                whole += 1;
            }
            Err(error) => assert!(matches!(error, FetchError::Other(_)), "{error}"),
        }
    }
    assert!(whole >= 20, "{whole} of 30 in up to three tries each");
    assert!(aws.requests("GetObject") > 35, "{} requests", aws.requests("GetObject"));
    let lie = StoredObject { bytes: vec![1; 10], told_length: Some(20), ..StoredObject::default() };
    aws.with_bucket("logs", |bucket| bucket.put("lie", lie));
    let error = s3.fetch(&object("lie"), 100).await.unwrap_err();
    assert!(matches!(error, FetchError::Other(_)), "{error}");
}

#[tokio::test]
async fn why_an_object_cannot_be_had_is_told_apart() {
    let aws = FakeAws::start(Faults::none(0));
    let s3 = s3(&aws).await;
    for (code, status, expected) in [
        ("NoSuchKey", 404, "missing"),
        ("NoSuchVersion", 404, "missing"),
        ("AccessDenied", 403, "access_denied"),
        ("KMS.DisabledException", 400, "access_denied"),
        ("InvalidObjectState", 403, "archived"),
        ("ExpiredToken", 400, "fetch_failed"),
        ("SlowDown", 503, "throttled"),
        ("InternalError", 500, "fetch_failed"),
    ] {
        let stored = StoredObject { error: Some((status, code)), ..StoredObject::default() };
        aws.with_bucket("logs", |bucket| bucket.put(code, stored));
        let error = s3.fetch(&object(code), 100).await.unwrap_err();
        assert_eq!(error.code(), expected, "{code}: {error}");
    }
    assert!(matches!(s3.fetch(&object("none"), 9).await, Err(FetchError::NotFound)));
    let error = s3.get(&object("AccessDenied"), 9).await.unwrap_err();
    let told = format!("{error:#}");
    assert!(told.starts_with("fetching s3://logs/AccessDenied: access denied: AccessDenied"), "{told}");
}

#[tokio::test]
async fn a_bucket_in_another_region_is_found_and_found_again_when_it_moves() {
    let aws = FakeAws::start(Faults::none(0));
    aws.put("logs", "a", b"x".to_vec());
    let s3 = s3(&aws).await;
    for region in ["eu-west-1", "ap-southeast-2"] {
        aws.with_bucket("logs", |bucket| bucket.region = Some(region.to_owned()));
        assert_eq!(s3.fetch(&object("a"), 9).await.unwrap().bytes, b"x");
    }
    aws.with_bucket("logs", |bucket| bucket.region = Some("us-west-2".to_owned()));
    let page = s3.list("logs", "", false).await.unwrap().next().await.unwrap().unwrap();
    assert_eq!(page.objects[0].key, "a");
}

#[tokio::test]
async fn a_bucket_is_read_by_its_own_role_with_an_external_id() {
    let aws = FakeAws::start(Faults::none(0));
    for bucket in ["logs", "ours"] {
        aws.put(bucket, "a", b"x".to_vec());
    }
    aws.with_bucket("logs", |bucket| bucket.role = Some("log-reader".to_owned()));
    aws.create_role("log-reader", "our-secret");
    let error = s3(&aws).await.fetch(&object("a"), 9).await.unwrap_err();
    assert!(matches!(error, FetchError::AccessDenied(_)), "{error}");
    let config = aws.config().await;
    let with_role = |external_id: &str| {
        let role = BucketRole {
            bucket: "logs".to_owned(),
            role_arn: "arn:aws:iam::111122223333:role/log-reader".to_owned(),
            external_id: Some(external_id.to_owned()),
        };
        S3::with_options(S3Options {
            config: Some(config.clone()),
            roles: vec![role],
            ..S3Options::default()
        })
    };
    let s3 = with_role("our-secret");
    assert_eq!(s3.fetch(&object("a"), 9).await.unwrap().bytes, b"x");
    assert_eq!(s3.fetch(&ObjectRef::new("ours", "a"), 9).await.unwrap().bytes, b"x");
    let error = with_role("wrong").fetch(&object("a"), 9).await.unwrap_err();
    assert!(format!("{error:#}").contains("AssumeRole"), "{error:#}");
}
