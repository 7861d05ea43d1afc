//! `trailq quarantine`.

use std::process::ExitCode;

use anyhow::Result;

/// See what could not be stored, and try it again
#[derive(Debug, clap::Args)]
pub struct Args {}

/// Runs the command.
pub async fn run(_args: Args) -> Result<ExitCode> {
    anyhow::bail!("under construction")
}
