//! What the URL of a queue says: the region, and where to send requests.

use anyhow::{Context, Result, bail};
use url::Url;

/// What a queue's URL says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct QueueUrl {
    /// The last part of the path.
    pub(super) name: String,
    /// The region, if the host is AWS's.
    pub(super) region: Option<String>,
    /// Where requests go, if the host is not one that the SDK finds by itself: an endpoint of a VPC, or a
    /// queue that is not AWS's.
    pub(super) endpoint_url: Option<String>,
}

impl QueueUrl {
    pub(super) fn parse(text: &str) -> Result<Self> {
        let hint = "a queue's URL looks like https://sqs.eu-west-1.amazonaws.com/111122223333/name";
        let url = Url::parse(text).with_context(|| format!("{text:?} is no URL: {hint}"))?;
        let host = url.host_str().with_context(|| format!("{text:?} names no host: {hint}"))?;
        let mut parts = url.path_segments().into_iter().flatten().filter(|part| !part.is_empty());
        let Some(name) = parts.next_back().filter(|_| matches!(url.scheme(), "http" | "https")) else {
            bail!("{text:?} names no queue: {hint}");
        };
        let (region, known) = region_of(host);
        let endpoint_url = (!known).then(|| url.origin().ascii_serialization());
        Ok(QueueUrl { name: name.to_owned(), region, endpoint_url })
    }
}

/// The region in a host's name, and whether the SDK would come to that host by itself.
fn region_of(host: &str) -> (Option<String>, bool) {
    const DOMAINS: [&str; 4] =
        [".amazonaws.com", ".amazonaws.com.cn", ".api.aws", ".api.amazonwebservices.com.cn"];
    let Some(stem) = DOMAINS.iter().find_map(|domain| host.strip_suffix(domain)) else {
        return (None, false);
    };
    match stem.split('.').collect::<Vec<_>>()[..] {
        ["sqs" | "sqs-fips", region] | [region, "queue"] => (Some(region.to_owned()), true),
        ["queue"] => (Some("us-east-1".to_owned()), true),
        [.., "sqs" | "sqs-fips", region, "vpce"] => (Some(region.to_owned()), false),
        _ => (None, false),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_queue_url_says_the_region_and_the_name() {
        for (text, region) in [
            ("https://sqs.eu-west-1.amazonaws.com/111122223333/logs", "eu-west-1"),
            ("https://sqs.cn-north-1.amazonaws.com.cn/111122223333/logs", "cn-north-1"),
            ("https://sqs-fips.us-gov-west-1.amazonaws.com/111122223333/logs", "us-gov-west-1"),
            ("https://sqs.us-east-2.api.aws/111122223333/logs", "us-east-2"),
            ("https://eu-central-1.queue.amazonaws.com/111122223333/logs", "eu-central-1"),
            ("https://queue.amazonaws.com/111122223333/logs", "us-east-1"),
        ] {
            let url = QueueUrl::parse(text).unwrap();
            assert_eq!((url.name.as_str(), url.region.as_deref()), ("logs", Some(region)), "{text}");
            assert_eq!(url.endpoint_url, None, "{text}");
        }
    }

    #[test]
    fn requests_go_to_the_host_of_the_url_where_the_sdk_would_go_elsewhere() {
        let vpc = "https://vpce-0a1b-c2d3.sqs.us-east-1.vpce.amazonaws.com/111122223333/logs";
        let url = QueueUrl::parse(vpc).unwrap();
        assert_eq!(url.region.as_deref(), Some("us-east-1"));
        let endpoint = "https://vpce-0a1b-c2d3.sqs.us-east-1.vpce.amazonaws.com";
        assert_eq!(url.endpoint_url.as_deref(), Some(endpoint));
        let own = QueueUrl::parse("http://localhost:9324/000000000000/logs").unwrap();
        assert_eq!((own.region, own.endpoint_url.as_deref()), (None, Some("http://localhost:9324")));
    }

    #[test]
    fn what_is_no_queue_url_is_refused_with_an_example() {
        for text in [
            "logs",
            "arn:aws:sqs:eu-west-1:111122223333:logs",
            "https://sqs.eu-west-1.amazonaws.com/",
            "s3://a/b",
        ] {
            let error = QueueUrl::parse(text).unwrap_err().to_string();
            assert!(error.contains("looks like https://sqs."), "{error}");
        }
    }
}
