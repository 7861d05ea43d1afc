//! Puts into the lake what it lacks.

use std::collections::BTreeMap;
use std::sync::Arc;

use anyhow::{Context as _, Result};
use tokio_util::sync::CancellationToken;

use super::DayReport;
use crate::bucket::Bucket;
use crate::ingest::{self, Progress};
use crate::lake::{Batch, DigestEntry, Lake, LogFileId};
use crate::log_file::Limits;
use crate::object::LogKey;
use crate::source::Filter;
use crate::store::S3Options;

/// Log files that are ingested at once.
const AT_ONCE: usize = 2000;
/// Memory for them, in bytes.
const MEMORY: usize = 256 << 20;

/// What was put into the lake.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Repaired {
    /// Log files that are in the lake now.
    pub log_files: u64,
    /// Their events.
    pub events: u64,
    /// Log files that could not be read as such, and are in quarantine.
    pub quarantined: u64,
    /// Log files that could not be fetched.
    pub failed: u64,
    /// Digests that are in the lake now.
    pub digests: u64,
}

impl std::ops::AddAssign for Repaired {
    fn add_assign(&mut self, other: Self) {
        self.log_files += other.log_files;
        self.events += other.events;
        self.quarantined += other.quarantined;
        self.failed += other.failed;
        self.digests += other.digests;
    }
}

/// Ingests the log files that a day's report says are lacking, and keeps its digests.
///
/// What speaks against a log file keeps it out: those that were injected or altered, or whose digest does not hold,
/// are not among the lacking ones.
pub async fn repair(
    lake: &Lake,
    source: &str,
    s3: &S3Options,
    report: &DayReport,
    stop: &CancellationToken,
) -> Result<Repaired> {
    let mut repaired =
        Repaired { digests: keep_digests(lake, &report.new_digests).await?, ..Repaired::default() };
    let (bucket, _) = Bucket::open(source, s3)?;
    for (rename, sources) in sources(&bucket, &report.lacking) {
        for sources in sources.chunks(AT_ONCE) {
            repaired += ingest(lake, sources.to_vec(), rename.clone(), s3, stop).await?;
        }
    }
    Ok(repaired)
}

/// The log files as sources, by what their rows are to call them. The rows of a copy name the bucket.
fn sources(bucket: &Bucket, keys: &[String]) -> BTreeMap<Option<String>, Vec<String>> {
    let mut sources: BTreeMap<Option<String>, Vec<String>> = BTreeMap::new();
    for key in keys {
        match bucket {
            Bucket::S3 { .. } => sources.entry(None).or_default().push(bucket.object(key).uri()),
            Bucket::Local(local) => {
                let prefix = LogKey::parse(key).map(|key| key.prefix).unwrap_or_default();
                let base = format!("s3://{}/{prefix}", local.bucket());
                let path = local.root().join(key).to_string_lossy().into_owned();
                sources.entry(Some(base.trim_end_matches('/').to_owned())).or_default().push(path);
            }
        }
    }
    sources
}

async fn ingest(
    lake: &Lake,
    sources: Vec<String>,
    rename: Option<String>,
    s3: &S3Options,
    stop: &CancellationToken,
) -> Result<Repaired> {
    let options = ingest::Options {
        sources,
        rename,
        filter: Filter::default(),
        s3: s3.clone(),
        memory_limit: MEMORY,
        threads: ingest::cores(),
        limits: Limits::default(),
        dry_run: false,
        digests: None,
    };
    let progress = Arc::new(Progress::default());
    let summary =
        ingest::run(Some(lake), &options, &progress, stop).await.context("ingesting what the lake lacks")?;
    Ok(Repaired {
        log_files: summary.new,
        events: summary.events,
        quarantined: summary.quarantined.iter().map(|(_, _, count)| count).sum(),
        failed: summary.failed,
        digests: 0,
    })
}

/// Commits digests that the lake does not know, or knows with another outcome.
async fn keep_digests(lake: &Lake, digests: &[DigestEntry]) -> Result<u64> {
    let ids: Vec<LogFileId> = digests.iter().map(|digest| LogFileId::of(&digest.digest)).collect();
    if ids.is_empty() {
        return Ok(0);
    }
    let known = lake.known_digests(&ids).await?;
    let new = digests.iter().zip(known).filter(|(digest, known)| *known != Some(digest.status));
    let digests: Vec<DigestEntry> = new.map(|(digest, _)| digest.clone()).collect();
    if digests.is_empty() {
        return Ok(0);
    }
    let count = digests.len() as u64;
    let staged = lake.writer().write(Batch { digests, ..Batch::default() }).await?;
    lake.commit(vec![staged]).await.context("committing digests to the lake")?;
    Ok(count)
}
