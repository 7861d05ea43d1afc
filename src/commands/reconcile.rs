//! `trailq reconcile`.

use std::process::ExitCode;

use anyhow::Result;

/// Compare the bucket, its digests and the lake
#[derive(Debug, clap::Args)]
pub struct Args {}

/// Runs the command.
pub async fn run(_args: Args) -> Result<ExitCode> {
    anyhow::bail!("under construction")
}
