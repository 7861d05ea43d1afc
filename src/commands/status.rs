//! `trailq status`.

use std::process::ExitCode;

use anyhow::Result;

/// Say how the lake and the daemon are doing
#[derive(Debug, clap::Args)]
pub struct Args {}

/// Runs the command.
pub async fn run(_args: Args) -> Result<ExitCode> {
    anyhow::bail!("under construction")
}
