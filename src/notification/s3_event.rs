//! S3's event notifications. Their keys are form-encoded.

use percent_encoding::percent_decode_str;
use serde_json::{Map, Value};

use super::{Announced, Foreign, etag, object_ref, text, time};
use crate::object::ObjectRef;

/// Reads all `Records`: the objects created, and how many are about something else.
pub(super) fn records(records: &Value) -> Result<(Vec<Announced>, u32), Foreign> {
    let Value::Array(records) = records else {
        return Err(Foreign::malformed("Records that are no list"));
    };
    if records.is_empty() {
        return Err(Foreign::malformed("Records without a record"));
    }
    let mut created = Vec::with_capacity(records.len().min(100));
    let mut skipped = 0;
    for record in records {
        let Value::Object(record) = record else {
            return Err(Foreign::malformed("Records that are no objects"));
        };
        match read(record)? {
            Some(announced) => created.push(announced),
            None => skipped += 1,
        }
    }
    Ok((created, skipped))
}

/// Reads a record; `None` if it is not about an object that was created.
///
/// A log file has `Records` as well, with other sources; stores that speak S3's protocol have their
/// own source, `minio:s3` or `ceph:s3`, and put `s3:` before the event's name.
fn read(record: &Map<String, Value>) -> Result<Option<Announced>, Foreign> {
    let source = text(record, "eventSource").unwrap_or_default();
    if !source.ends_with(":s3") {
        return Err(Foreign::of_record(record));
    }
    match text(record, "eventVersion").and_then(|version| version.split('.').next()) {
        Some("2") => {}
        _ => return Err(Foreign::malformed("an S3 event of another major version than 2")),
    }
    let name =
        text(record, "eventName").ok_or_else(|| Foreign::malformed("an S3 event without eventName"))?;
    if !name.strip_prefix("s3:").unwrap_or(name).starts_with("ObjectCreated:") {
        return Ok(None);
    }
    let malformed = |what: &str| Foreign::malformed(format!("an S3 event without {what}"));
    let s3 = record.get("s3").ok_or_else(|| malformed("s3"))?;
    let bucket = s3.get("bucket").and_then(|bucket| bucket.get("name")).and_then(Value::as_str);
    let object = s3.get("object").and_then(Value::as_object).ok_or_else(|| malformed("s3.object"))?;
    let key = text(object, "key").ok_or_else(|| malformed("s3.object.key"))?;
    Ok(Some(Announced {
        object: reference(bucket.ok_or_else(|| malformed("s3.bucket.name"))?, key, object)?,
        size: object.get("size").and_then(Value::as_u64),
        etag: etag(text(object, "eTag")),
        event_time: time(text(record, "eventTime")),
    }))
}

fn reference(bucket: &str, encoded: &str, object: &Map<String, Value>) -> Result<ObjectRef, Foreign> {
    let key = decode(encoded).ok_or_else(|| Foreign::malformed("an S3 event whose key is not UTF-8"))?;
    object_ref(bucket, key, text(object, "versionId"))
}

/// Decodes a key: `+` is a space, and a plus comes as `%2B`.
fn decode(encoded: &str) -> Option<String> {
    let spaced = encoded.replace('+', " ");
    percent_decode_str(&spaced).decode_utf8().ok().map(std::borrow::Cow::into_owned)
}
