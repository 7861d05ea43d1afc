//! `trailq quarantine withdraw`.

use std::collections::{BTreeMap, HashSet};
use std::io::{self, Write};
use std::process::ExitCode;

use anyhow::{Context, Result, bail};
use chrono::Utc;

use super::Place;
use crate::integrity::{Failures, failures};
use crate::lake::{Lake, WITHDRAWN_FOR, Withdrawn};
use crate::output::{counted, escape};

/// Take the events of log files out of the lake
#[derive(Debug, clap::Args)]
#[command(after_help = "\
The events leave the lake and stand in quarantine, a piece for each log file; `trailq quarantine replay` puts
them back, `discard` settles it. What `trailq daemon --on-integrity-failure quarantine` does by itself, this
does for log files that failed under `keep`, or before anybody asked.

Examples:
  trailq quarantine withdraw --failed --dry-run
  trailq quarantine withdraw --failed
  trailq quarantine withdraw s3://my-trail-bucket/AWSLogs/111122223333/CloudTrail/eu-west-1/2026/01/05/….json.gz")]
pub(super) struct Args {
    /// Log files: their addresses, as the column `log_file` has them
    #[arg(value_name = "ADDRESS", required_unless_present = "failed")]
    log_file: Vec<String>,
    /// All log files of the lake whose integrity failed
    #[arg(long, conflicts_with = "log_file")]
    failed: bool,
    /// Say which they are, and change nothing
    #[arg(long)]
    dry_run: bool,
    #[command(flatten)]
    place: Place,
}

impl Args {
    pub(super) async fn run(&self) -> Result<ExitCode> {
        let lake = if self.dry_run { self.place.read().await? } else { self.place.write().await? };
        let wanted = if self.failed {
            by_detail(&failures(&lake, None, Utc::now()).await?)
        } else {
            BTreeMap::from([("withdrawn by hand".to_owned(), self.log_file.clone())])
        };
        let [failed, by_hand] = WITHDRAWN_FOR;
        let reason = if self.failed { failed } else { by_hand };
        let mut out = io::stdout();
        let mut total = Withdrawn::default();
        for (detail, log_files) in wanted {
            check(&lake, &log_files).await?;
            for log_file in &log_files {
                let line = format!("{log_file}  {detail}");
                writeln!(out, "{}", escape(&line, false)).context("writing the outcome")?;
            }
            if self.dry_run {
                total.log_files += log_files.len() as u64;
                continue;
            }
            let withdrawn = lake.withdraw(&log_files, reason, &detail).await?;
            total.log_files += withdrawn.log_files;
            total.events += withdrawn.events;
        }
        let (log_files, events) = (counted(total.log_files, "log file"), counted(total.events, "event"));
        let told = if self.dry_run {
            format!("{log_files} would be withdrawn")
        } else {
            format!("{log_files} withdrawn, {events} moved to quarantine")
        };
        writeln!(out, "{told}").context("writing the outcome")?;
        Ok(ExitCode::SUCCESS)
    }
}

/// A misspelt address must not look like a log file that is in quarantine already.
async fn check(lake: &Lake, log_files: &[String]) -> Result<()> {
    let names: Vec<&str> = log_files.iter().map(String::as_str).collect();
    let known: HashSet<String> = lake.ledger(&names).await?.into_iter().map(|entry| entry.log_file).collect();
    match log_files.iter().find(|log_file| !known.contains(*log_file)) {
        Some(unknown) => bail!("the lake has no log file {unknown}: write it as the column log_file does"),
        None => Ok(()),
    }
}

/// Log files that are in `events`, by what is to stand beside them in quarantine.
fn by_detail(failures: &Failures) -> BTreeMap<String, Vec<String>> {
    let mut by_detail: BTreeMap<String, Vec<String>> = BTreeMap::new();
    for failed in failures.log_files.iter().filter(|failed| failures.in_events.contains(&failed.log_file)) {
        by_detail
            .entry(format!("integrity failed: {}", failed.why))
            .or_default()
            .push(failed.log_file.clone());
    }
    by_detail
}
