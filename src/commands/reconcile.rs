//! `trailq reconcile`: the difference of the bucket, its digests and the lake.

mod tell;

use std::path::{Path, PathBuf};
use std::process::ExitCode;

use anyhow::{Context as _, Result, bail};
use chrono::{NaiveDate, Utc};
use tokio_util::sync::CancellationToken;

use super::aws::Access;
use crate::bucket::{PUBLIC_KEYS_FILE, Wanted, read_public_keys};
use crate::digest::PublicKeys;
use crate::integrity::{self, Checker, Keys};
use crate::lake::Lake;
use crate::log_file::Limits;
use crate::output;
use crate::reconcile::{Options, Reconciler, Repaired, repair};
use tell::{Format, Teller};

/// Compare the bucket, its digests and the lake
///
/// Three witnesses are heard: the listing of the bucket, the digests that CloudTrail signed, and the lake's ledger.
/// Exit code 1 says that something is there to look into: log files that were altered, deleted or injected, digests
/// that do not hold, hours without one. That the lake lacks a file, or the bucket no longer has one that has expired,
/// is told and is no such thing.
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples:
  trailq reconcile s3://my-trail-bucket --from 2026-01-01
  trailq reconcile ./bucket-copy --lake ./my-lake --deep
  trailq reconcile s3://my-trail-bucket --repair
  trailq reconcile s3://my-trail-bucket --config /etc/trailq/trailq.toml")]
pub struct Args {
    /// A bucket, or a directory with a copy of one (repeatable)
    #[arg(value_name = "SOURCE", required = true)]
    sources: Vec<String>,

    /// The lake: a directory or an S3 URL [default: ./trailq-lake, if there is one]
    #[arg(long, value_name = "LOCATION", env = "TRAILQ_LAKE")]
    lake: Option<String>,

    /// Only from this date on, by the date in the keys
    #[arg(long, value_name = "YYYY-MM-DD")]
    from: Option<NaiveDate>,

    /// Only up to this date, included
    #[arg(long, value_name = "YYYY-MM-DD")]
    to: Option<NaiveDate>,

    /// Only this account (repeatable)
    #[arg(long, value_name = "ACCOUNT")]
    account: Vec<String>,

    /// Only this region (repeatable)
    // The daemon's settings have a `region` that says something else.
    #[arg(id = "regions", long = "region", value_name = "REGION")]
    region: Vec<String>,

    /// Read all digests and log files again and take their hashes, instead of believing those of the lake
    #[arg(long)]
    deep: bool,

    /// Ingest what the lake lacks, but for what looks injected or altered, and keep the digests
    #[arg(long)]
    repair: bool,

    /// Public keys, as `aws cloudtrail list-public-keys` prints them (repeatable) [default: public-keys.json of a
    /// copy, those that the lake remembers, and CloudTrail itself for a bucket]
    #[arg(long, value_name = "FILE")]
    public_keys: Vec<PathBuf>,

    /// How to tell it; ndjson tells every finding
    #[arg(long, value_enum, default_value_t = Format::Text)]
    format: Format,

    /// Findings to tell of each kind in text and JSON
    #[arg(long, value_name = "N", default_value_t = 10)]
    limit: usize,

    #[command(flatten)]
    access: Access,
}

/// Runs the command.
pub async fn run(args: Args) -> Result<ExitCode> {
    if let (Some(from), Some(to)) = (args.from, args.to)
        && from > to
    {
        bail!("--from {from} is after --to {to}: nothing lies between");
    }
    let lake = args.open_lake().await?;
    let stop = CancellationToken::new();
    tokio::spawn(stop_on_signal(stop.clone()));
    let mut teller = Teller::new(args.format, args.limit);
    for source in &args.sources {
        match Box::pin(args.reconcile(source, lake.as_ref(), &mut teller, &stop)).await {
            Err(error) if output::is_broken_pipe(&error) => return Ok(ExitCode::SUCCESS),
            outcome => outcome?,
        }
    }
    let clean = teller.finish(lake.is_some(), args.repair, stop.is_cancelled())?;
    Ok(match (stop.is_cancelled(), clean) {
        (true, _) => ExitCode::from(130),
        (false, clean) => ExitCode::from(u8::from(!clean)),
    })
}

impl Args {
    async fn reconcile(
        &self,
        source: &str,
        lake: Option<&Lake>,
        teller: &mut Teller,
        stop: &CancellationToken,
    ) -> Result<()> {
        let checker = Checker::new(self.keys(source, lake).await?);
        let wanted = Wanted {
            accounts: self.account.clone(),
            regions: self.region.clone(),
            from: self.from,
            to: self.to,
            kind: None,
        };
        let s3 = self.access.store();
        let options = Options { wanted, deep: self.deep, limits: Limits::default(), s3: s3.clone() };
        let mut reconciler = Reconciler::start(source, lake, checker, options, Utc::now())
            .await
            .with_context(|| format!("looking at {source}"))?;
        teller.source(reconciler.bucket());
        while let Some(report) = reconciler.next_day().await? {
            let mut repaired = Repaired::default();
            if let Some(lake) = lake.filter(|_| self.repair) {
                repaired = Box::pin(repair(lake, source, &s3, &report, stop)).await?;
            }
            teller.day(&report, repaired, reconciler.days_left())?;
            if stop.is_cancelled() {
                break;
            }
        }
        Ok(())
    }

    /// The lake: written to only for a repair. Without one the bucket and its digests are compared.
    async fn open_lake(&self) -> Result<Option<Lake>> {
        const DEFAULT: &str = "./trailq-lake";
        let location = self.lake.as_deref().unwrap_or(DEFAULT);
        if self.repair {
            return Lake::open_or_create(location).await.map(Some);
        }
        if self.lake.is_none() && !Lake::exists(location).await? {
            return Ok(None);
        }
        Lake::open(location).await.map(Some)
    }

    /// The keys that were named, or those beside a copy; those that the lake remembers; CloudTrail's.
    async fn keys(&self, source: &str, lake: Option<&Lake>) -> Result<Keys> {
        let is_bucket = source.starts_with("s3://");
        let mut known = PublicKeys::default();
        for file in &self.public_keys {
            known.extend(read_public_keys(file)?);
        }
        let beside = Path::new(source).join(PUBLIC_KEYS_FILE);
        let from_copy = self.public_keys.is_empty() && !is_bucket && beside.exists();
        if from_copy {
            known.extend(read_public_keys(&beside)?);
        }
        let keys = match lake {
            // Whoever made the copy may have made the keys beside it: the lake is not to trust them from now on.
            Some(lake) if self.repair && !from_copy => Keys::of(known).with_lake(lake),
            Some(lake) => {
                known.extend(integrity::remembered(lake).await?);
                Keys::of(known)
            }
            None => Keys::of(known),
        };
        let asks = is_bucket && self.public_keys.is_empty();
        Ok(if asks { keys.with_cloudtrail(self.access.cloudtrail()) } else { keys })
    }
}

async fn stop_on_signal(stop: CancellationToken) {
    if tokio::signal::ctrl_c().await.is_ok() {
        stop.cancel();
    }
}
