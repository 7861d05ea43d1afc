//! Buckets: objects with metadata, regions that are wrong at first, and a role that alone may read.

use std::collections::{BTreeMap, HashMap};
use std::fmt::Write as _;

use super::Shared;
use super::http::{Request, Response};

/// A bucket. It need not be created.
#[derive(Default)]
pub(crate) struct Bucket {
    objects: BTreeMap<String, StoredObject>,
    /// The region that requests must be signed for.
    pub(crate) region: Option<String>,
    /// The role that may read, and nobody else.
    pub(crate) role: Option<String>,
}

/// An object.
#[derive(Clone, Default)]
pub(crate) struct StoredObject {
    pub(crate) bytes: Vec<u8>,
    pub(crate) metadata: HashMap<String, String>,
    /// Answered instead: status and code.
    pub(crate) error: Option<(u16, &'static str)>,
    /// Said to be this long, whatever it is.
    pub(crate) told_length: Option<u64>,
    /// Sent in chunks, without a length.
    pub(crate) chunked: bool,
}

impl Bucket {
    pub(crate) fn put(&mut self, key: &str, object: StoredObject) {
        self.objects.insert(key.to_owned(), object);
    }
}

pub(super) fn answer(request: &Request, shared: &Shared) -> Response {
    let (name, key) = request.path[1..].split_once('/').unwrap_or((&request.path[1..], ""));
    let (throttled, failed, cut) = {
        let mut faults = shared.faults.lock().unwrap();
        let (throttled, failed, cut) = (faults.throttled, faults.failed, faults.cut);
        let cut = faults.happens(cut).then(|| faults.below(usize::MAX / 2));
        (faults.happens(throttled), faults.happens(failed), cut)
    };
    if throttled {
        return error(503, "SlowDown", "Please reduce your request rate.");
    }
    if failed {
        return error(500, "InternalError", "on purpose");
    }
    let buckets = shared.buckets.lock().unwrap();
    let Some(bucket) = buckets.get(name) else {
        return error(404, "NoSuchBucket", "The specified bucket does not exist");
    };
    let (access_key, region) = request.signed_by().unwrap_or_default();
    if let Some(wanted) = bucket.region.as_deref().filter(|wanted| *wanted != region) {
        return error(301, "PermanentRedirect", "elsewhere").header("x-amz-bucket-region", wanted);
    }
    if bucket.role.as_deref().is_some_and(|role| role != access_key) {
        return error(403, "AccessDenied", "Access Denied");
    }
    if key.is_empty() {
        shared.count("ListObjectsV2");
        return list(bucket, request);
    }
    shared.count("GetObject");
    match bucket.objects.get(key).cloned() {
        Some(object) => send(object, cut),
        None => error(404, "NoSuchKey", "The specified key does not exist."),
    }
}

fn send(object: StoredObject, cut: Option<usize>) -> Response {
    if let Some((status, code)) = object.error {
        return error(status, code, "as was asked for");
    }
    let length = object.bytes.len();
    let mut response = Response::new(200, object.bytes)
        .header("etag", "\"0123456789abcdef0123456789abcdef\"")
        .header("last-modified", "Mon, 05 Jan 2026 08:10:00 GMT");
    for (name, value) in object.metadata {
        response = response.header(&format!("x-amz-meta-{name}"), value);
    }
    if object.chunked {
        return chunked(response);
    }
    if let Some(told) = object.told_length {
        response = response.header("content-length", told.to_string());
        response.cut_at = Some(length);
    }
    if let Some(cut) = cut.filter(|_| length > 0) {
        response.cut_at = Some(cut % length);
    }
    response
}

fn chunked(mut response: Response) -> Response {
    let body = std::mem::take(&mut response.body);
    for chunk in body.chunks(1000) {
        response.body.extend_from_slice(format!("{:x}\r\n", chunk.len()).as_bytes());
        response.body.extend_from_slice(chunk);
        response.body.extend_from_slice(b"\r\n");
    }
    response.body.extend_from_slice(b"0\r\n\r\n");
    response = response.header("transfer-encoding", "chunked");
    response
}

fn list(bucket: &Bucket, request: &Request) -> Response {
    if request.method == "HEAD" {
        return Response::new(200, "");
    }
    let query = |name: &str| request.query.get(name).map_or("", String::as_str);
    let (prefix, after) = (query("prefix"), query("continuation-token"));
    if query("delimiter") == "/" {
        return list_level(bucket, prefix);
    }
    let found = bucket.objects.iter().filter(|(key, _)| key.starts_with(prefix) && key.as_str() > after);
    let mut keys: Vec<_> = found.take(1001).collect();
    let more = keys.len() > 1000;
    keys.truncate(1000);
    let mut body = String::from("<?xml version=\"1.0\" encoding=\"UTF-8\"?><ListBucketResult>");
    for (key, object) in &keys {
        body.push_str(&contents(key, object));
    }
    if let Some((last, _)) = keys.last().filter(|_| more) {
        write!(body, "<NextContinuationToken>{last}</NextContinuationToken>").unwrap();
    }
    write!(body, "<IsTruncated>{more}</IsTruncated></ListBucketResult>").unwrap();
    Response::new(200, body)
}

/// One level of the keys, all in one page.
fn list_level(bucket: &Bucket, prefix: &str) -> Response {
    let mut body = String::from("<?xml version=\"1.0\" encoding=\"UTF-8\"?><ListBucketResult>");
    let mut last = String::new();
    for (key, object) in
        bucket.objects.range(prefix.to_owned()..).take_while(|(key, _)| key.starts_with(prefix))
    {
        match key[prefix.len()..].split_once('/') {
            None => body.push_str(&contents(key, object)),
            Some((folder, _)) if last != folder => {
                folder.clone_into(&mut last);
                write!(
                    body,
                    "<CommonPrefixes><Prefix>{}/</Prefix></CommonPrefixes>",
                    escaped(&format!("{prefix}{folder}"))
                )
                .unwrap();
            }
            Some(_) => {}
        }
    }
    Response::new(200, body + "<IsTruncated>false</IsTruncated></ListBucketResult>")
}

fn contents(key: &str, object: &StoredObject) -> String {
    format!("<Contents><Key>{}</Key><Size>{}</Size></Contents>", escaped(key), object.bytes.len())
}

fn escaped(key: &str) -> String {
    key.replace('&', "&amp;").replace('<', "&lt;")
}

fn error(status: u16, code: &str, message: &str) -> Response {
    let body = format!(
        "<?xml version=\"1.0\" encoding=\"UTF-8\"?><Error><Code>{code}</Code><Message>{message}</Message></Error>"
    );
    Response::new(status, body).header("content-type", "application/xml")
}
