//! `trailq validate-logs`.

use std::process::ExitCode;

use anyhow::Result;

/// Check log files against the digests that CloudTrail signed
#[derive(Debug, clap::Args)]
pub struct Args {}

/// Runs the command.
pub async fn run(_args: Args) -> Result<ExitCode> {
    anyhow::bail!("under construction")
}
