//! `trailq lake retain`.

use std::process::ExitCode;
use std::time::Duration;

use anyhow::{Result, bail};
use chrono::{NaiveDate, TimeDelta, Utc};

use super::Place;
use super::tell::{self, bytes};
use crate::config::duration;
use crate::output::counted;

/// Drop the events of old days; what is known of their log files stays
///
/// The days leave the table in one commit, and vacuum frees the space. The ledger keeps its rows: the log files stay
/// known, are not ingested again and are not missing, and their hashes and verdicts can still be asked for. What is
/// in quarantine stays as well.
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples:
  trailq lake retain --older-than 400d --dry-run
  trailq lake retain --before 2025-01-01")]
pub(super) struct Args {
    #[command(flatten)]
    age: Age,

    /// Say what would be dropped, and drop nothing
    #[arg(long)]
    dry_run: bool,

    #[command(flatten)]
    place: Place,
}

#[derive(Debug, clap::Args)]
#[group(required = true, multiple = false)]
struct Age {
    /// Drop the days that are older than this
    #[arg(long, value_name = "TIME", value_parser = duration)]
    older_than: Option<Duration>,

    /// Drop the days before this one
    #[arg(long, value_name = "YYYY-MM-DD")]
    before: Option<NaiveDate>,
}

impl Args {
    pub(super) async fn run(&self) -> Result<ExitCode> {
        let from = self.age.from()?;
        let lake = if self.dry_run { self.place.read().await? } else { self.place.write().await? };
        let done = lake.retain(from, self.dry_run).await?;
        let Some((first, last)) = done.dates else {
            tell::print(&format!("no events of days before {from}\n"))?;
            return Ok(ExitCode::SUCCESS);
        };
        let (events, files) = (counted(done.events, "event"), counted(done.num_removed_files, "file"));
        let (size, verb) = (bytes(done.removed_bytes), if self.dry_run { "would be" } else { "were" });
        tell::print(&format!("{events} of {first} to {last} ({files}, {size}) {verb} dropped\n"))?;
        Ok(ExitCode::SUCCESS)
    }
}

impl Age {
    /// The first day that stays.
    fn from(&self) -> Result<NaiveDate> {
        let today = Utc::now();
        if let Some(before) = self.before {
            if before > today.date_naive() {
                bail!("--before {before} lies in the future: all events would be dropped, and those to come");
            }
            return Ok(before);
        }
        let age = self.older_than.unwrap_or_default();
        match TimeDelta::from_std(age).ok().and_then(|age| today.checked_sub_signed(age)) {
            Some(from) => Ok(from.date_naive()),
            None => bail!("--older-than reaches back before all dates"),
        }
    }
}
