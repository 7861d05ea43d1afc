//! Where a lake is: a path or a URL, and what it takes to reach it.

use std::collections::HashMap;
use std::path::Path;

use anyhow::{Context, Result, anyhow, bail};
use aws_config::default_provider::use_fips::use_fips_provider;
use aws_config::meta::region::ProvideRegion;
use aws_config::profile::ProfileFileRegionProvider;
use aws_config::provider_config::ProviderConfig;
use deltalake::DeltaTableBuilder;
use deltalake::logstore::LogStoreRef;
use deltalake::logstore::object_store::{ClientOptions, aws::resolve_bucket_region};
use url::Url;

/// The address of a lake, and the settings of the store that it is in.
#[derive(Clone, Debug)]
pub(crate) struct Location {
    url: Url,
    options: HashMap<String, String>,
}

impl Location {
    /// Understands `/path`, `path`, `file://…` and `s3://bucket/prefix`.
    pub(crate) async fn parse(location: &str) -> Result<Self> {
        let url = parse_url(location)?;
        let options = match url.scheme() {
            "s3" => s3_options(url.host_str().unwrap_or_default()).await,
            _ => HashMap::new(),
        };
        Ok(Self { url, options })
    }

    /// The URL, ending in a slash.
    pub(crate) fn url(&self) -> &Url {
        &self.url
    }

    /// The log stores of the tables with these names, all over one connection pool.
    pub(crate) fn log_stores<const N: usize>(&self, names: [&str; N]) -> Result<[LogStoreRef; N]> {
        deltalake::aws::register_handlers(None);
        let mut stores: Vec<LogStoreRef> = Vec::with_capacity(N);
        for name in names {
            let url = self.url.join(&format!("{name}/"))?;
            let mut builder =
                DeltaTableBuilder::from_url(url.clone())?.with_storage_options(self.options.clone());
            if let Some(first) = stores.first() {
                builder = builder.with_storage_backend(first.root_object_store(None), url);
            }
            let store = builder.build_storage().with_context(|| format!("reaching {}", self.url))?;
            stores.push(store);
        }
        stores.try_into().map_err(|_| anyhow!("as many stores as names"))
    }
}

fn parse_url(location: &str) -> Result<Url> {
    if let Some((scheme, _)) = location.split_once("://") {
        let mut url = Url::parse(location).with_context(|| format!("the lake's address {location:?}"))?;
        match scheme {
            "file" => {
                let path = url.to_file_path().map_err(|()| anyhow!("{location:?} names no local path"))?;
                return directory_url(&path);
            }
            "s3" | "s3a" => {
                url = Url::parse(&location.replacen("s3a://", "s3://", 1))?;
                if url.host_str().is_none_or(str::is_empty) {
                    bail!("{location:?} names no bucket");
                }
            }
            _ => bail!("a lake is a path, file:///path or s3://bucket/prefix, not {location:?}"),
        }
        if !url.path().ends_with('/') {
            url.set_path(&format!("{}/", url.path()));
        }
        return Ok(url);
    }
    if location.is_empty() {
        bail!("the lake's address is empty");
    }
    directory_url(&std::path::absolute(location).with_context(|| format!("the path {location:?}"))?)
}

fn directory_url(path: &Path) -> Result<Url> {
    let url =
        Url::from_directory_path(path).map_err(|()| anyhow!("{} is no absolute path", path.display()))?;
    // Parsing once more resolves `..`.
    Ok(Url::parse(url.as_str())?)
}

/// What the environment does not say, or says in words that the store's client does not know.
///
/// The client reads `AWS_ACCESS_KEY_ID`, `AWS_REGION`, `AWS_ENDPOINT_URL` and the like by itself.
async fn s3_options(bucket: &str) -> HashMap<String, String> {
    let mut options = HashMap::new();
    let mut set = |key: &str, value: &str| options.insert(key.to_owned(), value.to_owned());
    let endpoint = variable("AWS_ENDPOINT_URL_S3").or_else(|| variable("AWS_ENDPOINT_URL"));
    if let Some(endpoint) = &endpoint {
        set("aws_endpoint", endpoint);
        if endpoint.starts_with("http://") {
            set("aws_allow_http", "true");
        }
        if variable("AWS_ACCESS_KEY_ID").is_none() {
            // With an endpoint the client looks at the environment only, unless told otherwise.
            set("AWS_FORCE_CREDENTIAL_LOAD", "true");
        }
    }
    let mut named = variable("AWS_REGION").or_else(|| variable("AWS_DEFAULT_REGION"));
    if named.is_none() {
        let region = region(bucket, endpoint.is_some()).await;
        set("aws_region", &region);
        named = Some(region);
    }
    if let (None, Some(region)) = (&endpoint, named)
        && use_fips_provider(&ProviderConfig::default()).await == Some(true)
    {
        // The store's client knows nothing of such endpoints.
        set("aws_endpoint", &format!("https://s3-fips.{region}.amazonaws.com"));
        set("AWS_FORCE_CREDENTIAL_LOAD", "true");
    }
    options
}

/// The profile's region, or the bucket's, which anyone may ask for.
async fn region(bucket: &str, custom_endpoint: bool) -> String {
    if let Some(region) = ProfileFileRegionProvider::new().region().await {
        return region.to_string();
    }
    if !custom_endpoint && let Ok(region) = resolve_bucket_region(bucket, &ClientOptions::default()).await {
        return region;
    }
    "us-east-1".to_owned()
}

fn variable(name: &str) -> Option<String> {
    std::env::var(name).ok().filter(|value| !value.is_empty())
}

#[cfg(test)]
mod tests {
    use super::parse_url;

    #[test]
    fn paths_and_urls_become_directory_urls() {
        let cases = [
            ("/a/lake", "file:///a/lake/"),
            ("/a/../b/my lake", "file:///b/my%20lake/"),
            ("file:///a/lake", "file:///a/lake/"),
            ("s3://bucket", "s3://bucket/"),
            ("s3://bucket/x/y", "s3://bucket/x/y/"),
            ("s3a://bucket/x/", "s3://bucket/x/"),
        ];
        for (given, expected) in cases {
            assert_eq!(parse_url(given).unwrap().as_str(), expected, "{given}");
        }
    }

    #[test]
    fn an_address_that_is_no_lake_is_refused() {
        for given in ["", "https://example.com/lake", "s3:///prefix"] {
            assert!(parse_url(given).is_err(), "{given}");
        }
    }
}
