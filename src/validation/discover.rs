//! Which accounts, regions and trails there are in a bucket, told by the keys of its digests.

use std::collections::BTreeSet;

use anyhow::{Context as _, Result};
use chrono::{DateTime, TimeDelta, Utc};
use futures::{StreamExt as _, TryStreamExt as _};

use super::bucket::Bucket;
use super::strict::trail_of;
use super::target::Target;
use crate::bucket::LocalBucket;
use crate::object::DigestKey;

/// What to look for.
#[derive(Debug, Clone)]
pub struct Search {
    /// The bucket.
    pub bucket: String,
    /// What stands before `AWSLogs/`; of a copy on disk anything, if it is not said.
    pub prefix: Option<String>,
    /// This account only.
    pub account_id: Option<String>,
    /// This region only.
    pub region: Option<String>,
    /// This trail only: its ARN, name and home region.
    pub trail: Option<(String, String, String)>,
    /// Digests of this time.
    pub start: DateTime<Utc>,
    /// Digests of this time.
    pub end: DateTime<Utc>,
}

/// Folders that are asked at a time.
const AT_ONCE: usize = 16;

/// Finds the trails, accounts and regions of a bucket, in order.
pub async fn discover(bucket: &Bucket, search: &Search) -> Result<Vec<Target>> {
    let mut found = match bucket {
        Bucket::Local(local) => in_copy(local, search),
        Bucket::S3(_) => in_s3(bucket, search).await?,
    };
    found.retain(|target| wanted(target, search));
    found.sort();
    found.dedup();
    Ok(found)
}

fn wanted(target: &Target, search: &Search) -> bool {
    let trail = search.trail.as_ref().is_none_or(|(_, name, home)| {
        (name.as_str(), home.as_str()) == (target.trail.as_str(), target.home_region.as_str())
    });
    let account = search.account_id.as_ref().is_none_or(|account| *account == target.account_id);
    trail && account && search.region.as_ref().is_none_or(|region| *region == target.region)
}

fn in_copy(local: &LocalBucket, search: &Search) -> Vec<Target> {
    let prefix = |key: &DigestKey| search.prefix.as_ref().is_none_or(|prefix| *prefix == key.prefix);
    let keys = local.keys();
    let digests = keys.iter().filter_map(|key| DigestKey::parse(key)).filter(|key| prefix(key));
    let targets: BTreeSet<Target> = digests
        .map(|key| {
            let place = Place {
                prefix: Some(key.prefix.clone()).filter(|prefix| !prefix.is_empty()),
                organization_id: key.organization_id.clone(),
                account_id: key.account_id.clone(),
                region: key.region.clone(),
            };
            place.target(search, &trail_of(&key))
        })
        .collect();
    targets.into_iter().collect()
}

async fn in_s3(bucket: &Bucket, search: &Search) -> Result<Vec<Target>> {
    let places = futures::stream::iter(accounts(bucket, search).await?)
        .map(|account| regions(bucket, search, account))
        .buffer_unordered(AT_ONCE)
        .try_concat()
        .await?;
    let trails = |place: Place| async move {
        let trails = match &search.trail {
            Some((_, name, home)) => BTreeSet::from([(name.clone(), home.clone())]),
            None => trails(bucket, search, &place).await?,
        };
        anyhow::Ok((place, trails))
    };
    let found: Vec<(Place, BTreeSet<(String, String)>)> =
        futures::stream::iter(places).map(trails).buffer_unordered(AT_ONCE).try_collect().await?;
    // Where log files lie and digests do not, one of the bucket's trails should have written some.
    let usual = found.iter().flat_map(|(_, trails)| trails).min().cloned();
    let mut targets = Vec::new();
    for (place, trails) in found {
        let guessed = usual.clone().filter(|_| trails.is_empty());
        targets.extend(trails.iter().chain(&guessed).map(|trail| place.target(search, trail)));
    }
    Ok(targets)
}

/// An account and region that log files or digests lie below.
#[derive(Debug, Clone)]
struct Place {
    prefix: Option<String>,
    organization_id: Option<String>,
    account_id: String,
    region: String,
}

impl Place {
    fn target(&self, search: &Search, (trail, home): &(String, String)) -> Target {
        let asked = search.trail.as_ref().map(|(arn, _, _)| arn.clone());
        Target {
            trail_arn: asked.unwrap_or_else(|| self.arn(trail, home)),
            account_id: self.account_id.clone(),
            region: self.region.clone(),
            trail: trail.clone(),
            home_region: home.clone(),
            bucket: search.bucket.clone(),
            prefix: self.prefix.clone(),
            organization_id: self.organization_id.clone(),
        }
    }

    /// The trail's ARN. Who owns an organization's trail does not stand in its keys.
    fn arn(&self, trail: &str, home: &str) -> String {
        let partition = match home.split('-').collect::<Vec<_>>()[..] {
            ["cn", ..] => "aws-cn",
            ["us", "gov", ..] => "aws-us-gov",
            _ => "aws",
        };
        let owner = if self.organization_id.is_some() { "*" } else { &self.account_id };
        format!("arn:{partition}:cloudtrail:{home}:{owner}:trail/{trail}")
    }
}

/// Accounts below `AWSLogs/`, also those of organizations; the region is still open.
async fn accounts(bucket: &Bucket, search: &Search) -> Result<Vec<Place>> {
    let prefix = search.prefix.clone().filter(|prefix| !prefix.is_empty());
    let root = prefix.as_ref().map_or_else(|| "AWSLogs/".to_owned(), |prefix| format!("{prefix}/AWSLogs/"));
    let mut places = Vec::new();
    let mut add = |organization_id: Option<&str>, name: &str| {
        let is_account = name.len() == 12 && name.bytes().all(|byte| byte.is_ascii_digit());
        if is_account && search.account_id.as_ref().is_none_or(|account| account == name) {
            places.push(Place {
                prefix: prefix.clone(),
                organization_id: organization_id.map(str::to_owned),
                account_id: name.to_owned(),
                region: String::new(),
            });
        }
    };
    for name in folders(bucket, &search.bucket, &root).await? {
        if name.starts_with("o-") {
            for account in folders(bucket, &search.bucket, &format!("{root}{name}/")).await? {
                add(Some(&name), &account);
            }
        }
        add(None, &name);
    }
    Ok(places)
}

/// Regions that an account has digests or log files of.
async fn regions(bucket: &Bucket, search: &Search, account: Place) -> Result<Vec<Place>> {
    let folder = account.target(search, &(String::new(), String::new())).account_folder();
    let mut regions = BTreeSet::new();
    for tree in ["CloudTrail-Digest", "CloudTrail"] {
        regions.extend(folders(bucket, &search.bucket, &format!("{folder}/{tree}/")).await?);
    }
    // The region becomes part of the name of the host that is asked for public keys.
    let allowed = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'-';
    let wanted = |region: &String| {
        region.bytes().all(allowed) && search.region.as_ref().is_none_or(|wanted| wanted == region)
    };
    Ok(regions.into_iter().filter(wanted).map(|region| Place { region, ..account.clone() }).collect())
}

/// Trails that have digests of an account and region in the time asked for.
async fn trails(bucket: &Bucket, search: &Search, place: &Place) -> Result<BTreeSet<(String, String)>> {
    let target = place.target(search, &(String::new(), String::new()));
    let folder = format!("{}/", target.digest_folder());
    let day = |time: DateTime<Utc>| format!("{folder}{}", time.format("%Y/%m/%d"));
    let last = format!("{}0", day(search.end + TimeDelta::hours(1)));
    let mut found = BTreeSet::new();
    let mut pages = bucket.list(&search.bucket, &folder, &day(search.start), false).await?;
    while let Some(page) = pages.next().await.with_context(|| format!("looking for trails in {folder}"))? {
        let ended = page.keys.last().is_some_and(|key| *key > last);
        let keys = page.keys.iter().filter(|key| **key <= last);
        found.extend(keys.filter_map(|key| DigestKey::parse(key)).map(|key| trail_of(&key)));
        if ended {
            break;
        }
    }
    Ok(found)
}

/// The names of the folders right below one.
async fn folders(bucket: &Bucket, name: &str, folder: &str) -> Result<Vec<String>> {
    let mut found = Vec::new();
    let mut pages = bucket.list(name, folder, "", true).await?;
    while let Some(page) = pages.next().await? {
        let names = page.folders.iter().filter_map(|path| path.strip_prefix(folder)?.strip_suffix('/'));
        found.extend(names.map(str::to_owned));
    }
    Ok(found)
}
