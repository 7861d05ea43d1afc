//! `trailq lake`: looking after the lake.

mod check;
mod info;
mod optimize;
mod retain;
mod tell;
mod vacuum;

use std::process::ExitCode;

use anyhow::Result;
use tokio_util::sync::CancellationToken;

use super::answer::quiet_on_broken_pipe;
use super::place::Place;

/// Look after the lake: join small files, delete what is not needed, drop old days, check all of it
///
/// A daemon does the first two by itself. All of it is safe while others read and write the lake.
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples:
  trailq lake info
  trailq lake optimize
  trailq lake vacuum --dry-run
  trailq lake retain --older-than 400d --dry-run
  trailq lake check")]
pub struct Args {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, clap::Subcommand)]
enum Command {
    /// Show what the lake consists of, and what optimize and vacuum would make of it
    Info(info::Args),
    /// Join small files to large ones, in the order of time
    Optimize(optimize::Args),
    /// Delete files that are in no table any more, and commits of old versions
    Vacuum(vacuum::Args),
    /// Drop the events of old days; what is known of their log files stays
    Retain(retain::Args),
    /// Check that every file is there and whole, and that the tables agree
    Check(check::Args),
}

impl Args {
    /// Whether the command has something to finish when it is told to stop.
    pub fn ends_in_order(&self) -> bool {
        matches!(self.command, Command::Optimize(_))
    }
}

/// Runs the command; `stop` is cancelled by the first signal.
pub async fn run(args: Args, stop: CancellationToken) -> Result<ExitCode> {
    let result = match args.command {
        Command::Info(args) => args.run().await,
        Command::Optimize(args) => args.run(&stop).await,
        Command::Vacuum(args) => args.run().await,
        Command::Retain(args) => args.run().await,
        Command::Check(args) => args.run().await,
    };
    quiet_on_broken_pipe(result)
}

/// How files are to be joined.
#[derive(Debug, clap::Args)]
struct Joining {
    /// The size of a file of events to aim for, in MB; files of more than half of it are left alone
    #[arg(long, value_name = "MB", default_value_t = 256, value_parser = clap::value_parser!(u64).range(1..=4096))]
    target_size: u64,

    /// Memory to stay within, in MB
    #[arg(long, value_name = "MB", env = "TRAILQ_MEMORY_LIMIT", default_value_t = 512, value_parser = clap::value_parser!(u64).range(64..))]
    memory_limit: u64,
}

impl Joining {
    fn options(&self) -> crate::lake::OptimizeOptions {
        crate::lake::OptimizeOptions {
            target_size: self.target_size * 1_000_000,
            memory_limit: self.memory_limit * 1_000_000,
            everything: true,
        }
    }
}
