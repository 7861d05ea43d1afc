//! What a copy of a bucket would lose: the signatures of its digests, which S3 keeps as metadata of the
//! objects, and the public keys.
//!
//! Both go into files beside the copy's `AWSLogs`, where [`crate::bucket::LocalBucket`] looks for them.
//! What a file has already is kept, so a run that was interrupted is resumed by running it again.

use std::collections::{BTreeMap, BTreeSet};
use std::io::Write as _;
use std::path::Path;

use anyhow::{Context as _, Result, bail, ensure};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;
use chrono::{DateTime, SecondsFormat, TimeDelta, Utc};
use futures::StreamExt as _;
use serde::Serialize;
use tokio_util::sync::CancellationToken;
use tracing::{info, warn};

use crate::bucket::{self, Bucket, Metadata, Wanted, WantedKind, days};
use crate::cloudtrail::{CloudTrail, Connect};
use crate::digest::{ListedKey, Signature};
use crate::object::{DigestKey, ObjectRef};
use crate::store::{FetchError, S3, S3Options};

/// Requests at once. Each is answered in a few hundred bytes.
const REQUESTS: usize = 64;

/// The file is written again after so many digests: an interruption costs no more than their requests.
const SAVED_EVERY: usize = 10_000;

/// How far around the digests public keys are asked for, as the AWS CLI does.
const AROUND: TimeDelta = TimeDelta::hours(2);

/// What was done.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Collected {
    /// Digests in the bucket.
    pub digests: u64,
    /// Digests that the file had.
    pub known: u64,
    /// Digests whose metadata was added.
    pub added: u64,
    /// Digests without a signature.
    pub unsigned: u64,
    /// Digests that went away between the listing and the request.
    pub gone: u64,
    /// Whether it was stopped before the end.
    pub stopped: bool,
}

/// Writes the metadata of a bucket's digests into the file at `to`. `progress` is told how many of how
/// many digests are done.
pub async fn collect_metadata(
    source: &str,
    wanted: &Wanted,
    to: &Path,
    s3: &S3Options,
    stop: &CancellationToken,
    mut progress: impl FnMut(u64, u64),
) -> Result<Collected> {
    let (bucket, prefix) = Bucket::open_s3(source, s3)?;
    let Bucket::S3 { store, name } = &bucket else { bail!("{source} is not in S3") };
    let mut metadata = existing(to, name)?;
    let mut collected = Collected::default();
    let keys = digest_keys(&bucket, &prefix, wanted).await?;
    collected.digests = keys.len() as u64;
    let keys: Vec<String> = keys.into_iter().filter(|key| !metadata.objects.contains_key(key)).collect();
    collected.known = collected.digests - keys.len() as u64;
    let total = keys.len() as u64;
    let requests = keys.into_iter().map(|key| head(store, ObjectRef::new(name, key)));
    let mut answers = std::pin::pin!(futures::stream::iter(requests).buffer_unordered(REQUESTS));
    let mut done = 0;
    loop {
        let answer = tokio::select! {
            answer = answers.next() => answer,
            () = stop.cancelled() => { collected.stopped = true; None }
        };
        let Some(answer) = answer else { break };
        done += 1;
        match answer {
            Ok((key, Some(found))) => {
                collected.added += 1;
                collected.unsigned += u64::from(!found.contains_key(Signature::METADATA));
                metadata.objects.insert(key, found);
            }
            Ok((_, None)) => collected.gone += 1,
            Err(error) => {
                save(to, &metadata)?;
                return Err(error);
            }
        }
        progress(done, total);
        if done % SAVED_EVERY as u64 == 0 {
            save(to, &metadata)?;
        }
    }
    save(to, &metadata)?;
    info!(digests = collected.digests, added = collected.added, "collected metadata");
    Ok(collected)
}

async fn head(store: &S3, object: ObjectRef) -> Result<(String, Option<BTreeMap<String, String>>)> {
    match store.metadata(&object).await {
        Ok(metadata) => Ok((object.key, Some(metadata))),
        Err(FetchError::NotFound) => Ok((object.key, None)),
        Err(FetchError::Other(error)) => {
            Err(error).with_context(|| format!("asking for the metadata of {}", object.uri()))
        }
        Err(error) => Err(error).with_context(|| format!("asking for the metadata of {}", object.uri())),
    }
}

async fn digest_keys(bucket: &Bucket, prefix: &str, wanted: &Wanted) -> Result<Vec<String>> {
    let wanted = Wanted { kind: Some(WantedKind::Digests), ..wanted.clone() };
    let mut keys = Vec::new();
    let days = days(bucket, prefix, &wanted).await?;
    let mut listings = std::pin::pin!(
        futures::stream::iter(&days).map(async |day| bucket.objects(&day.folder).await).buffered(REQUESTS)
    );
    while let Some(objects) = listings.next().await {
        let objects = objects?.into_iter().map(|object| object.key);
        keys.extend(objects.filter(|key| DigestKey::parse(key).is_some()));
    }
    Ok(keys)
}

/// What an earlier run has written, which must be of the same bucket.
fn existing(to: &Path, bucket: &str) -> Result<Metadata> {
    if !to.exists() {
        return Ok(Metadata { bucket: bucket.to_owned(), ..Metadata::default() });
    }
    let metadata = bucket::read_metadata(to)?;
    ensure!(
        metadata.bucket == bucket,
        "{} is of the bucket {}: name another file for {bucket}",
        to.display(),
        metadata.bucket
    );
    Ok(metadata)
}

fn save(to: &Path, metadata: &Metadata) -> Result<()> {
    #[derive(Serialize)]
    struct File<'a> {
        bucket: &'a str,
        objects: &'a BTreeMap<String, BTreeMap<String, String>>,
    }
    write_json(to, &File { bucket: &metadata.bucket, objects: &metadata.objects })
}

/// Writes a file as a whole or not at all.
fn write_json(to: &Path, content: &impl Serialize) -> Result<()> {
    let writing = || format!("writing {}", to.display());
    let directory = to.parent().filter(|parent| !parent.as_os_str().is_empty()).unwrap_or(Path::new("."));
    std::fs::create_dir_all(directory).with_context(writing)?;
    let mut builder = tempfile::Builder::new();
    builder.prefix(".trailq-").suffix(".json");
    #[cfg(unix)]
    builder.permissions(std::os::unix::fs::PermissionsExt::from_mode(0o666));
    let file = builder.tempfile_in(directory).with_context(writing)?;
    let mut out = std::io::BufWriter::new(file);
    serde_json::to_writer_pretty(&mut out, content).with_context(writing)?;
    out.write_all(b"\n").with_context(writing)?;
    let file = out.into_inner().with_context(writing)?;
    file.as_file().sync_all().with_context(writing)?;
    file.persist(to).with_context(writing)?;
    Ok(())
}

/// Asks CloudTrail for the public keys that the digests in `metadata_file` were signed with, adds them to
/// the file at `to`, and returns how many are in it.
pub async fn collect_public_keys(metadata_file: &Path, to: &Path, connect: &Connect) -> Result<usize> {
    let metadata = bucket::read_metadata(metadata_file)?;
    let mut listed: Vec<(Option<String>, ListedKey)> = Vec::new();
    if to.exists() {
        let text = std::fs::read(to).with_context(|| format!("reading {}", to.display()))?;
        let known = ListedKey::parse_list(&text).with_context(|| format!("reading {}", to.display()))?;
        listed.extend(known.into_iter().map(|key| (None, key)));
    }
    for (region, (from, until)) in spans(&metadata) {
        let connect = Connect { region: Some(region.clone()), ..connect.clone() };
        let client = CloudTrail::connect(&connect).await?;
        let keys = client.list_keys(from - AROUND, until + AROUND).await;
        let keys = keys.with_context(|| format!("asking for the public keys of {region}"))?;
        if keys.is_empty() {
            warn!(region, "CloudTrail lists no public keys for the time of these digests");
        }
        listed.extend(keys.into_iter().map(|key| (Some(region.clone()), key)));
    }
    let mut met = BTreeSet::new();
    listed.reverse();
    listed.retain(|(_, key)| met.insert(key.fingerprint.clone()));
    listed.reverse();
    write_keys(to, &listed)?;
    Ok(listed.len())
}

/// From when until when the digests of each region were signed.
fn spans(metadata: &Metadata) -> BTreeMap<String, (DateTime<Utc>, DateTime<Utc>)> {
    let mut spans: BTreeMap<String, (DateTime<Utc>, DateTime<Utc>)> = BTreeMap::new();
    for (key, object) in &metadata.objects {
        let Some(key) = DigestKey::parse(key) else { continue };
        let generated = object.get("backfill-generation-timestamp");
        let generated = generated.and_then(|time| DateTime::parse_from_rfc3339(time).ok());
        let time = generated.map_or(key.end_time, |time| time.to_utc());
        let span = spans.entry(key.region).or_insert((time, time));
        *span = (span.0.min(time), span.1.max(time));
    }
    spans
}

fn write_keys(to: &Path, listed: &[(Option<String>, ListedKey)]) -> Result<()> {
    #[derive(Serialize)]
    #[serde(rename_all = "PascalCase")]
    struct Item<'a> {
        value: String,
        validity_start_time: Option<String>,
        validity_end_time: Option<String>,
        fingerprint: &'a str,
        #[serde(skip_serializing_if = "Option::is_none")]
        region: Option<&'a str>,
    }
    #[derive(Serialize)]
    #[serde(rename_all = "PascalCase")]
    struct List<'a> {
        public_key_list: Vec<Item<'a>>,
    }
    let iso = |time: DateTime<Utc>| time.to_rfc3339_opts(SecondsFormat::Secs, true);
    let mut list = List { public_key_list: Vec::with_capacity(listed.len()) };
    for (region, key) in listed {
        list.public_key_list.push(Item {
            value: BASE64.encode(&key.der),
            validity_start_time: key.validity_start.map(iso),
            validity_end_time: key.validity_end.map(iso),
            fingerprint: &key.fingerprint,
            region: region.as_deref(),
        });
    }
    write_json(to, &list)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_are_asked_for_when_a_digest_was_signed() {
        let digest = |end: &str, backfill: &str| {
            format!(
                "AWSLogs/111122223333/CloudTrail-Digest/eu-west-1/2026/01/05/111122223333_CloudTrail-Digest_eu-west-1_t_us-east-1_{end}{backfill}.json.gz"
            )
        };
        let mut metadata = Metadata::default();
        metadata.objects.insert(digest("20260105T080000Z", ""), BTreeMap::new());
        metadata.objects.insert(digest("20260105T100000Z", ""), BTreeMap::new());
        let late =
            BTreeMap::from([("backfill-generation-timestamp".to_owned(), "2026-01-09T00:00:00Z".to_owned())]);
        metadata.objects.insert(digest("20260105T090000Z", "_backfill"), late);
        let spans = spans(&metadata);
        let (from, until) = spans["eu-west-1"];
        assert_eq!(from.to_rfc3339(), "2026-01-05T08:00:00+00:00");
        assert_eq!(until.to_rfc3339(), "2026-01-09T00:00:00+00:00");
    }
}
