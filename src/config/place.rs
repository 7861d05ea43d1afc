//! Queues and buckets as they are named: by a URL or name alone, or with what it takes to reach them.
//!
//! A comma in a value, which external ids may have, is written `\\,`.

use std::str::FromStr;

/// A queue: `URL`, or `url=URL,role_arn=ARN,external_id=ID,region=REGION,endpoint=URL`.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Queue {
    /// Its URL.
    pub url: String,
    /// The role to be assumed for it.
    pub role_arn: Option<String>,
    /// The external id that the role asks for.
    pub external_id: Option<String>,
    /// Its region, where the URL does not say it.
    pub region: Option<String>,
    /// Another endpoint than that of the region.
    pub endpoint: Option<String>,
}

/// A bucket: `NAME`, or `name=NAME,role_arn=ARN,external_id=ID`.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Bucket {
    /// Its name.
    pub name: String,
    /// The role to be assumed for it.
    pub role_arn: Option<String>,
    /// The external id that the role asks for.
    pub external_id: Option<String>,
}

impl FromStr for Queue {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let mut queue = Queue::default();
        for (key, value) in parts(text, "url") {
            match key.as_str() {
                "url" => queue.url = value,
                "role_arn" => queue.role_arn = Some(value),
                "external_id" => queue.external_id = Some(value),
                "region" => queue.region = Some(value),
                "endpoint" => queue.endpoint = Some(value),
                _ => {
                    return Err(format!(
                        "a queue has url, role_arn, external_id, region and endpoint, not {key:?}"
                    ));
                }
            }
        }
        if queue.url.starts_with("http://") || queue.url.starts_with("https://") {
            return Ok(queue);
        }
        Err("a queue is named by its URL, https://sqs.REGION.amazonaws.com/ACCOUNT/NAME".to_owned())
    }
}

impl FromStr for Bucket {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let mut bucket = Bucket::default();
        for (key, value) in parts(text, "name") {
            match key.as_str() {
                "name" => bucket.name = value,
                "role_arn" => bucket.role_arn = Some(value),
                "external_id" => bucket.external_id = Some(value),
                _ => return Err(format!("a bucket has name, role_arn and external_id, not {key:?}")),
            }
        }
        let name = bucket.name.strip_prefix("s3://").unwrap_or(&bucket.name).trim_end_matches('/').to_owned();
        if name.is_empty() || name.contains('/') {
            return Err("a bucket is named without a prefix: my-trail-bucket".to_owned());
        }
        Ok(Bucket { name, ..bucket })
    }
}

/// `key=value` parts, or one value of the key `alone`.
fn parts(text: &str, alone: &str) -> Vec<(String, String)> {
    let named = |part: String| {
        let (key, value) = part.split_once('=')?;
        let is_key = !key.is_empty() && key.bytes().all(|byte| byte.is_ascii_lowercase() || byte == b'_');
        is_key.then(|| (key.to_owned(), value.to_owned()))
    };
    let parts: Option<Vec<_>> = split_at_commas(text).into_iter().map(named).collect();
    parts.unwrap_or_else(|| vec![(alone.to_owned(), text.to_owned())])
}

/// A value as it stands among others.
pub(super) fn with_commas_escaped(value: &str) -> String {
    value.replace(',', "\\,")
}

/// What stands between the commas that are not escaped.
pub(crate) fn split_at_commas(text: &str) -> Vec<String> {
    let (mut parts, mut part, mut characters) = (Vec::new(), String::new(), text.chars().peekable());
    while let Some(character) = characters.next() {
        match character {
            '\\' if characters.next_if_eq(&',').is_some() => part.push(','),
            ',' => parts.push(std::mem::take(&mut part)),
            other => part.push(other),
        }
    }
    parts.push(part);
    parts
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_queue_is_a_url_alone_or_with_how_to_reach_it() {
        let url = "https://sqs.eu-west-1.amazonaws.com/111122223333/trail";
        assert_eq!(url.parse(), Ok(Queue { url: url.to_owned(), ..Queue::default() }));
        let text = format!("url={url},role_arn=arn:aws:iam::1:role/r,external_id=a=b");
        let queue: Queue = text.parse().unwrap();
        assert_eq!((queue.url.as_str(), queue.external_id.as_deref()), (url, Some("a=b")));
        let text = format!(r"url={url},external_id=a\,b=c\,,role_arn=arn:x");
        let queue: Queue = text.parse().unwrap();
        assert_eq!(
            (queue.external_id.as_deref(), queue.role_arn.as_deref()),
            (Some("a,b=c,"), Some("arn:x"))
        );
        assert!("trail".parse::<Queue>().unwrap_err().contains("https://"));
        assert!(format!("url={url},rolearn=x").parse::<Queue>().unwrap_err().contains("\"rolearn\""));
    }

    #[test]
    fn a_bucket_is_a_name_and_no_prefix() {
        assert_eq!("s3://logs/".parse(), Ok(Bucket { name: "logs".to_owned(), ..Bucket::default() }));
        assert!("logs/AWSLogs".parse::<Bucket>().is_err() && "".parse::<Bucket>().is_err());
        let bucket: Bucket = "name=logs,role_arn=arn:x".parse().unwrap();
        assert_eq!(bucket.role_arn.as_deref(), Some("arn:x"));
    }
}
