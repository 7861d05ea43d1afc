//! `trailq collect-metadata`.

use std::process::ExitCode;

use anyhow::Result;

/// Save the signatures of digests beside a local copy of their bucket
#[derive(Debug, clap::Args)]
pub struct Args {}

/// Runs the command.
pub async fn run(_args: Args) -> Result<ExitCode> {
    anyhow::bail!("under construction")
}
