//! `trailq status`.

mod daemon;
mod lake;
mod report;

use std::path::PathBuf;
use std::process::ExitCode;

use anyhow::Result;
use chrono::NaiveDate;

use report::Report;

/// Say how the lake and the daemon are doing
///
/// Ten lines: what the lake holds and how old its newest event is, how fast it grows, what the daemon is
/// doing if one can be reached, what is in quarantine, and what the digests say.
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Exit code 0 if all is well, 1 if something is in quarantine or its integrity failed, 2 if the lake could
not be read. A log file that failed counts for as long as nobody has dealt with it, however old it is:
`trailq quarantine withdraw --failed` takes such files out of the lake, and `trailq quarantine discard` settles
what is in quarantine.

Examples:
  trailq status --lake s3://my-lake-bucket/trailq
  trailq status --config /etc/trailq/trailq.toml --format json
  trailq status --fail-on integrity")]
pub struct Args {
    /// The daemon's TOML file: lake and metrics address are taken from it
    #[arg(long, value_name = "FILE", env = "TRAILQ_CONFIG")]
    config: Option<PathBuf>,

    /// The lake: a directory or an S3 URL
    #[arg(long, value_name = "LOCATION", env = "TRAILQ_LAKE", default_value = "./trailq-lake")]
    lake: String,

    /// Where the daemon's metrics are, or `off`
    #[arg(long, value_name = "ADDRESS", env = "TRAILQ_METRICS_ADDRESS", default_value = "127.0.0.1:9464")]
    metrics_address: String,

    /// How many days back log files are counted by their integrity; those that failed count from the beginning
    #[arg(long, value_name = "DAYS", env = "TRAILQ_INTEGRITY_DAYS", default_value_t = 3, value_parser = clap::value_parser!(u32).range(1..))]
    integrity_days: u32,

    /// Leave alone log files that failed and whose keys have a date before this one
    #[arg(long, value_name = "YYYY-MM-DD")]
    failed_since: Option<NaiveDate>,

    /// What makes the exit code 1: anything, only failed integrity, only quarantine, or nothing
    #[arg(long, value_name = "WHAT", default_value = "any", value_enum)]
    fail_on: FailOn,

    /// How it is told
    #[arg(long, value_enum, default_value = "text")]
    format: Format,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
enum FailOn {
    Any,
    Integrity,
    Quarantine,
    Nothing,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
enum Format {
    Text,
    Json,
}

/// Runs the command.
pub async fn run(args: Args) -> Result<ExitCode> {
    let address = (args.metrics_address != "off").then(|| args.metrics_address.clone());
    let asked = tokio::task::spawn_blocking(move || address.map(|address| daemon::ask(&address)));
    let lake = lake::look(&args.lake, args.integrity_days, args.failed_since).await?;
    let report = Report { lake, daemon: asked.await? };
    match args.format {
        Format::Text => report.print(args.integrity_days)?,
        Format::Json => report.print_json()?,
    }
    let (failed, quarantined) = (report.lake.failed() > 0, report.lake.in_quarantine() > 0);
    let bad = match args.fail_on {
        FailOn::Any => failed || quarantined,
        FailOn::Integrity => failed,
        FailOn::Quarantine => quarantined,
        FailOn::Nothing => false,
    };
    Ok(ExitCode::from(u8::from(bad)))
}
