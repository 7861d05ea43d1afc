//! `trailq quarantine replay` and `discard`.

use std::fmt::Write as _;
use std::io::{self, Write};
use std::path::PathBuf;
use std::process::ExitCode;

use anyhow::{Context, Result, bail};

use super::{Place, Which, named, pieces, summary};
use crate::commands::aws::Aws;
use crate::config::Bucket;
use crate::lake::{Lake, Quarantined};
use crate::log_file::Limits;
use crate::output::{counted, escape};
use crate::quarantine::{self, Options, Replayed};
use crate::store::S3;

/// Read pieces again
#[derive(Debug, clap::Args)]
#[command(after_help = "\
What can be read now is in the lake afterwards, and the piece is marked as replayed, in one commit; what
cannot stays as it is. Running it twice, or twice at once, adds nothing twice.

Exit codes: 0 all of it was replayed, 1 something is still in quarantine, 2 it could not run.

Examples:
  trailq quarantine replay 3f2a
  trailq quarantine replay --all --dry-run
  trailq quarantine replay --reason missing --refetch
  trailq quarantine replay --reason missing --refetch --config /etc/trailq/trailq.toml
  trailq quarantine replay --reason decompression_bomb --max-uncompressed-size 2048 --max-ratio 2000
  trailq quarantine replay --reason too_many_records --max-records 5000000")]
pub(super) struct Args {
    /// Ids, or as much of them as no others begin with
    #[arg(value_name = "ID")]
    id: Vec<String>,
    /// All that is in quarantine
    #[arg(long, conflicts_with = "id")]
    all: bool,
    #[command(flatten)]
    which: Which,
    /// Fetch the log files again from S3, or from their path, instead of reading the bytes kept
    #[arg(long)]
    refetch: bool,
    /// Say what would be done, and change nothing
    #[arg(long)]
    dry_run: bool,
    /// The most MB that a log file may have as stored
    #[arg(long, value_name = "MB", default_value_t = Limits::default().compressed >> 20)]
    max_size: u64,
    /// The most MB that a log file may have when inflated
    #[arg(long, value_name = "MB", default_value_t = Limits::default().uncompressed >> 20)]
    max_uncompressed_size: u64,
    /// The most bytes that a stored byte may inflate to
    #[arg(long, value_name = "N", default_value_t = Limits::default().ratio)]
    max_ratio: u64,
    /// The most records that a log file may have
    #[arg(long, value_name = "N", default_value_t = Limits::default().records)]
    max_records: u64,
    #[command(flatten)]
    place: Place,
    /// A TOML file of settings, that of the daemon: it says where the lake is and how buckets are reached
    #[arg(long, value_name = "FILE", env = "TRAILQ_CONFIG")]
    config: Option<PathBuf>,
    /// How a bucket is reached for --refetch, as `name=NAME,role_arn=ARN,external_id=ID` (repeatable)
    #[arg(long, value_name = "BUCKET", env = "TRAILQ_BUCKET", value_delimiter = ' ')]
    bucket: Vec<Bucket>,
    #[command(flatten)]
    aws: Aws,
}

/// Leave pieces outside for good
#[derive(Debug, clap::Args)]
#[command(after_help = "\
The pieces and their bytes stay in the table, marked as discarded; `list` leaves them out then.

Examples:
  trailq quarantine discard 3f2a
  trailq quarantine discard --reason empty --yes")]
pub(super) struct Discard {
    /// Ids, or as much of them as no others begin with
    #[arg(value_name = "ID")]
    id: Vec<String>,
    #[command(flatten)]
    which: Which,
    /// Yes, more than one
    #[arg(long)]
    yes: bool,
    #[command(flatten)]
    place: Place,
}

impl Args {
    pub(super) async fn run(&self) -> Result<ExitCode> {
        if self.id.is_empty() && !self.which.is_given() && !self.all {
            bail!("which pieces? Name them, or give --reason, --log-file or --all");
        }
        let lake = if self.dry_run { self.place.read().await? } else { self.place.write().await? };
        let chosen = chosen(&lake, &self.id, &self.which).await?;
        let ids: Vec<String> = chosen.into_iter().map(|piece| piece.id).collect();
        let refetch = self.refetch.then(|| S3::with_options(self.aws.store(&self.bucket)));
        let options = Options { limits: self.limits(), refetch, dry_run: self.dry_run };
        let replayed = Box::pin(quarantine::replay(&lake, &ids, &options)).await?;
        io::stdout().write_all(self.told(&replayed).as_bytes()).context("writing the outcome")?;
        let left = replayed.failed.len() as u64 + replayed.quarantined;
        Ok(if left == 0 { ExitCode::SUCCESS } else { ExitCode::FAILURE })
    }

    fn limits(&self) -> Limits {
        let bytes = |mb: u64| mb.saturating_mul(1 << 20);
        Limits {
            compressed: bytes(self.max_size),
            uncompressed: bytes(self.max_uncompressed_size),
            ratio: self.max_ratio,
            records: self.max_records,
        }
    }

    fn told(&self, replayed: &Replayed) -> String {
        let Replayed { pieces: number, events, quarantined, failed } = replayed;
        let would = if self.dry_run { "would be " } else { "" };
        let mut told = format!("{} {would}replayed: {} added\n", pieces(*number), counted(*events, "event"));
        if *quarantined > 0 {
            let _ = writeln!(
                told,
                "{} {would}quarantined anew: broken records of these files",
                pieces(*quarantined)
            );
        }
        if !failed.is_empty() {
            let reasons = summary(failed.iter().map(|failed| failed.reason.as_str()));
            let _ = writeln!(told, "still in quarantine: {reasons}");
        }
        for piece in failed {
            let line = format!("  {}  {}  {}: {}", piece.id, piece.log_file, piece.reason, piece.detail);
            told.push_str(&escape(&line, false));
            told.push('\n');
        }
        told
    }
}

impl Discard {
    pub(super) async fn run(&self) -> Result<ExitCode> {
        if self.id.is_empty() && !self.which.is_given() {
            bail!("which pieces? Name them, or give --reason or --log-file");
        }
        let lake = self.place.write().await?;
        let chosen = chosen(&lake, &self.id, &self.which).await?;
        if chosen.len() > 1 && !self.yes {
            let reasons = summary(chosen.iter().map(|piece| piece.entry.reason.as_str()));
            bail!("this would discard {reasons}. If that is meant, add --yes");
        }
        let ids: Vec<String> = chosen.into_iter().map(|piece| piece.id).collect();
        let discarded = lake.discard_quarantined(&ids).await?;
        writeln!(io::stdout(), "{} discarded", pieces(discarded)).context("writing the outcome")?;
        Ok(ExitCode::SUCCESS)
    }
}

/// Those that are named, or all that the filter finds; of both, what both find.
async fn chosen(lake: &Lake, ids: &[String], which: &Which) -> Result<Vec<Quarantined>> {
    let found = lake.quarantined(&which.filter()).await?;
    if ids.is_empty() {
        return Ok(found);
    }
    let mut named = named(lake, ids, false).await?;
    if which.is_given() {
        named.retain(|piece| found.iter().any(|found| found.id == piece.id));
    }
    Ok(named)
}
