//! `trailq daemon`.

use std::process::ExitCode;

use anyhow::Result;

/// Follow the bucket: take log files into the lake as S3 announces them
#[derive(Debug, clap::Args)]
pub struct Args {}

/// Runs the command.
pub async fn run(_args: Args) -> Result<ExitCode> {
    anyhow::bail!("under construction")
}
