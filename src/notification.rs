//! Notifications: what a message body says, of the eight kinds that end up on CloudTrail's queues.
//!
//! Kinds are told apart by content, never by where the queue hangs: S3 events, EventBridge's "Object
//! Created" and CloudTrail's own message, each raw or in up to two SNS envelopes; the messages by
//! which S3 and CloudTrail try a queue; and everything else, which is [`Foreign`] and nobody's to
//! delete. A body is hostile until read: it may be of any size, depth and type, and what it asks
//! for is still the caller's to allow.
//!
//! This module has never heard of SQS, nor of what is in a log file.

mod foreign;
mod s3_event;
#[cfg(test)]
mod tests;

use chrono::{DateTime, Utc};
use serde_json::{Map, Value};

use crate::object::ObjectRef;
pub use foreign::{Foreign, ForeignKind};

/// What a message says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Notification {
    /// Objects were written.
    Objects {
        /// Who says so.
        source: Source,
        /// The objects, in the order of the message.
        objects: Vec<Announced>,
        /// How many events of it are about something else: removals, restores, tags.
        skipped: u32,
    },
    /// S3 tries whether it may send to the queue.
    Test,
    /// CloudTrail tries whether it may send to the topic.
    Validation,
}

/// An object that a message announces.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Announced {
    /// The object, its key decoded.
    pub object: ObjectRef,
    /// Stored bytes, if the message says it. A claim.
    pub size: Option<u64>,
    /// The entity tag, if the message says it.
    pub etag: Option<String>,
    /// When the object was written, if the message says it.
    pub event_time: Option<DateTime<Utc>>,
}

/// Who announces objects, and by which way.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Source {
    /// S3, to the queue itself.
    S3,
    /// S3, through SNS.
    SnsS3,
    /// EventBridge, be it through SNS.
    EventBridge,
    /// CloudTrail, through SNS with raw delivery.
    CloudTrail,
    /// CloudTrail, through SNS.
    SnsCloudTrail,
}

impl Source {
    /// A short name for metrics.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::S3 => "s3",
            Self::SnsS3 => "sns_s3",
            Self::EventBridge => "eventbridge",
            Self::CloudTrail => "cloudtrail",
            Self::SnsCloudTrail => "sns_cloudtrail",
        }
    }
}

/// What CloudTrail sends to a topic that is set on a trail. It is no JSON.
const VALIDATION: &str = "CloudTrail validation message.";
/// SNS envelopes around each other that are opened: a topic may feed another through a queue.
const ENVELOPES: usize = 2;
/// S3's own limit for keys, in bytes.
const KEY_BYTES: usize = 1024;
/// The longest name that a bucket ever could have.
const BUCKET_BYTES: usize = 255;

/// Reads a message body.
///
/// A body is understood as a whole or not at all: one record that makes no sense makes it foreign,
/// so that no message is deleted that announces something nobody fetched.
pub fn parse(body: &str) -> Result<Notification, Foreign> {
    let mut text = std::borrow::Cow::Borrowed(body);
    for opened in 0..=ENVELOPES {
        let trimmed = text.trim_start_matches('\u{feff}').trim();
        if trimmed == VALIDATION {
            return Ok(Notification::Validation);
        }
        let mut object = match serde_json::from_str(trimmed) {
            Ok(Value::Object(object)) => object,
            Ok(_) => return Err(Foreign::new(ForeignKind::Json, "JSON, but no object")),
            Err(error) => return Err(Foreign::text(trimmed, &error)),
        };
        if object.get("Type").and_then(Value::as_str) != Some("Notification") {
            return read(&object, opened > 0);
        }
        match object.remove("Message") {
            Some(Value::String(message)) => text = message.into(),
            _ => return Err(Foreign::malformed("an SNS notification whose Message is no text")),
        }
    }
    Err(Foreign::malformed("SNS notifications in each other, more than two deep"))
}

/// Reads a message without its envelopes.
fn read(message: &Map<String, Value>, enveloped: bool) -> Result<Notification, Foreign> {
    if message.contains_key("s3ObjectKey") {
        let source = if enveloped { Source::SnsCloudTrail } else { Source::CloudTrail };
        return Ok(objects(source, cloudtrail(message)?, 0));
    }
    if let Some(records) = message.get("Records") {
        let source = if enveloped { Source::SnsS3 } else { Source::S3 };
        let (found, skipped) = s3_event::records(records)?;
        return Ok(objects(source, found, skipped));
    }
    if message.contains_key("detail-type") {
        let found = event_bridge(message)?;
        let skipped = u32::from(found.is_none());
        return Ok(objects(Source::EventBridge, found.into_iter().collect(), skipped));
    }
    match text(message, "Event") {
        Some("s3:TestEvent") => Ok(Notification::Test),
        _ => Err(Foreign::of_object(message)),
    }
}

fn objects(source: Source, objects: Vec<Announced>, skipped: u32) -> Notification {
    Notification::Objects { source, objects, skipped }
}

/// CloudTrail's own message: a bucket, and plain keys.
fn cloudtrail(message: &Map<String, Value>) -> Result<Vec<Announced>, Foreign> {
    let malformed = |what: &str| Foreign::malformed(format!("CloudTrail's notification {what}"));
    let bucket = text(message, "s3Bucket").ok_or_else(|| malformed("without s3Bucket"))?;
    let keys = match message.get("s3ObjectKey") {
        Some(Value::Array(keys)) if !keys.is_empty() => keys.as_slice(),
        Some(key @ Value::String(_)) => std::slice::from_ref(key),
        _ => return Err(malformed("without keys in s3ObjectKey")),
    };
    let announced = |key: &Value| {
        let key = key.as_str().ok_or_else(|| malformed("whose s3ObjectKey holds no text"))?;
        let object = object_ref(bucket, key.to_owned(), None)?;
        Ok(Announced { object, size: None, etag: None, event_time: None })
    };
    keys.iter().map(announced).collect()
}

/// EventBridge's event of S3, with one object and a plain key; `None` if it was not created.
fn event_bridge(message: &Map<String, Value>) -> Result<Option<Announced>, Foreign> {
    if text(message, "source") != Some("aws.s3") {
        return Err(Foreign::of_object(message));
    }
    if text(message, "detail-type") != Some("Object Created") {
        return Ok(None);
    }
    let malformed = |what: &str| Foreign::malformed(format!("EventBridge's Object Created without {what}"));
    let detail = message.get("detail").and_then(Value::as_object).ok_or_else(|| malformed("detail"))?;
    let bucket = detail.get("bucket").and_then(|bucket| bucket.get("name")).and_then(Value::as_str);
    let bucket = bucket.ok_or_else(|| malformed("detail.bucket.name"))?;
    let object = detail.get("object").and_then(Value::as_object);
    let object = object.ok_or_else(|| malformed("detail.object"))?;
    let key = text(object, "key").ok_or_else(|| malformed("detail.object.key"))?;
    Ok(Some(Announced {
        object: object_ref(bucket, key.to_owned(), text(object, "version-id"))?,
        size: object.get("size").and_then(Value::as_u64),
        etag: etag(text(object, "etag")),
        event_time: time(text(message, "time")),
    }))
}

fn text<'a>(object: &'a Map<String, Value>, name: &str) -> Option<&'a str> {
    object.get(name).and_then(Value::as_str)
}

fn etag(text: Option<&str>) -> Option<String> {
    text.map(|tag| tag.trim_matches('"').to_owned()).filter(|tag| !tag.is_empty())
}

fn time(text: Option<&str>) -> Option<DateTime<Utc>> {
    DateTime::parse_from_rfc3339(text?).ok().map(|time| time.to_utc())
}

/// An object, if it can be one. A bucket's name holds no slash: two addresses could be one otherwise.
fn object_ref(bucket: &str, key: String, version_id: Option<&str>) -> Result<ObjectRef, Foreign> {
    let allowed = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'.' | b'-' | b'_');
    if bucket.is_empty() || bucket.len() > BUCKET_BYTES || !bucket.bytes().all(allowed) {
        return Err(Foreign::malformed("a bucket name that no bucket can have"));
    }
    if key.is_empty() || key.len() > KEY_BYTES {
        return Err(Foreign::malformed("a key that is empty or longer than 1024 bytes"));
    }
    let version_id = version_id.filter(|version| !version.is_empty()).map(str::to_owned);
    Ok(ObjectRef { bucket: bucket.to_owned(), key, version_id })
}
