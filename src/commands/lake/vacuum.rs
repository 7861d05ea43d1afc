//! `trailq lake vacuum`.

use std::fmt::Write as _;
use std::process::ExitCode;
use std::time::Duration;

use anyhow::{Result, bail};

use super::Place;
use super::tell::{self, bytes};
use crate::config::duration;
use crate::lake::{SHORTEST_RETENTION, VacuumOptions};
use crate::output::{counted, escape};

/// Delete files that are in no table any more, and commits of old versions
///
/// A file stays while it is younger than the retention, whether it is not committed yet or not any more: until then
/// a writer may be about to commit it, or a query read it.
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples:
  trailq lake vacuum --dry-run
  trailq lake vacuum --retention 3d")]
pub(super) struct Args {
    /// How long files stay that are in no table
    #[arg(long, value_name = "TIME", env = "TRAILQ_VACUUM_RETENTION", default_value = "7d", value_parser = duration)]
    retention: Duration,

    /// How long the commits of old versions stay, and at least as long as the files [default: as long]
    #[arg(long, value_name = "TIME", value_parser = duration)]
    log_retention: Option<Duration>,

    /// Say what would be deleted, and delete nothing
    #[arg(long)]
    dry_run: bool,

    /// Allow a retention below a day: nobody else reads or writes the lake
    #[arg(long)]
    force: bool,

    #[command(flatten)]
    place: Place,
}

impl Args {
    pub(super) async fn run(&self) -> Result<ExitCode> {
        let log_retention = self.log_retention.unwrap_or(self.retention).max(self.retention);
        if self.retention < SHORTEST_RETENTION && !self.force {
            bail!(
                "a retention below a day may take what a running writer or query needs: if nobody else uses the \
                 lake, say --force"
            );
        }
        let options = VacuumOptions {
            retention: self.retention,
            log_retention,
            alone: self.force,
            dry_run: self.dry_run,
        };
        let lake = if self.dry_run { self.place.read().await? } else { self.place.write().await? };
        let mut told = String::new();
        for (table, done) in lake.vacuum(&options).await? {
            let (files, size) = (counted(done.files.len() as u64, "file"), bytes(done.bytes));
            if self.dry_run {
                for file in &done.files {
                    let _ = writeln!(told, "{table}/{}", escape(file, false));
                }
                let _ = writeln!(told, "{table}: {files} ({size}) would be deleted");
            } else {
                let log = counted(done.log_files, "file");
                let _ = writeln!(told, "{table}: {files} ({size}) deleted, and {log} of the log");
            }
        }
        tell::print(&told)?;
        Ok(ExitCode::SUCCESS)
    }
}
