//! `trailq verify-evidence`: repeats the check that a bundle is the evidence of.

use std::collections::BTreeMap;
use std::io::Write;
use std::path::PathBuf;
use std::process::ExitCode;

use anyhow::Result;

use crate::bucket::read_public_keys;
use crate::evidence::{self, Options, Report};
use crate::output;

/// Repeat the check that an evidence bundle was written by, without the bucket
///
/// The bundle holds the digests, their signatures and the public keys. Every verdict in it must follow from them.
/// Exit code 0 says that all verdicts are confirmed, be they good or bad; 1 says that something is not.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// The bundle, or the directory that it was unpacked into
    #[arg(value_name = "FILE")]
    bundle: PathBuf,

    /// Trust these keys instead of those in the bundle (what `aws cloudtrail list-public-keys` prints)
    #[arg(long, value_name = "FILE")]
    public_keys: Option<PathBuf>,

    /// Hold the log files in this copy of the bucket against the digests
    #[arg(long, value_name = "DIR")]
    logs: Option<PathBuf>,

    /// How to say what came of it
    #[arg(long, value_enum, default_value_t = Format::Text)]
    format: Format,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
enum Format {
    Text,
    Json,
}

/// Runs the command.
pub async fn run(args: Args) -> Result<ExitCode> {
    let public_keys = args.public_keys.as_deref().map(read_public_keys).transpose()?;
    let options = Options { public_keys, logs: args.logs };
    let bundle = args.bundle;
    let report = tokio::task::spawn_blocking(move || evidence::check(&bundle, &options)).await??;
    let told = match args.format {
        Format::Text => tell(&report, &mut std::io::stdout().lock()),
        Format::Json => tell_json(&report, &mut std::io::stdout().lock()),
    };
    if let Err(error) = told.map_err(anyhow::Error::from)
        && !output::is_broken_pipe(&error)
    {
        return Err(error.context("writing to standard output"));
    }
    Ok(ExitCode::from(u8::from(!report.is_confirmed())))
}

/// In the words of the bundle's `verify.py`.
fn tell(report: &Report, out: &mut impl Write) -> std::io::Result<()> {
    for problem in &report.problems {
        writeln!(out, "NOT CONFIRMED: {}", output::escape(problem, true))?;
    }
    if report.problem_count > report.problems.len() as u64 {
        writeln!(out, "NOT CONFIRMED: and more")?;
    }
    let keys = if report.own_keys { "your own" } else { "those of the bundle" };
    let verdicts = if report.is_confirmed() { "all confirmed" } else { "NOT CONFIRMED" };
    writeln!(out, "files of the bundle  {}, seal {}", report.members, report.seal)?;
    writeln!(out, "public keys          {keys}")?;
    writeln!(out, "digests              {}", counted(&report.digests))?;
    writeln!(out, "links of digests     {}", counted(&report.links))?;
    writeln!(out, "log files            {}", counted(&report.log_files))?;
    if let Some(at_hand) = &report.log_files_at_hand {
        writeln!(out, "log files at hand    {}", counted(at_hand))?;
    }
    writeln!(out, "verdicts             {verdicts}")
}

fn counted(counts: &BTreeMap<String, u64>) -> String {
    let told =
        |(what, count): (&String, &u64)| format!("{count} {}", output::escape(&what.replace('_', " "), true));
    let told: Vec<String> = counts.iter().map(told).collect();
    if told.is_empty() { "none".to_owned() } else { told.join(", ") }
}

fn tell_json(report: &Report, out: &mut impl Write) -> std::io::Result<()> {
    serde_json::to_writer_pretty(&mut *out, report)?;
    writeln!(out)
}
