//! `trailq lake check`.

use std::fmt::Write as _;
use std::process::ExitCode;

use anyhow::Result;

use super::Place;
use super::tell::{self, Format};
use crate::lake::{Checked, LakeFinding};
use crate::output::{counted, escape};

/// Check that every file is there and whole, and that the tables agree
///
/// Every file that a table has is opened, and its size and rows are compared with what the table's log says. Then
/// the rows of each log file are counted, each record once, and compared with the ledger; and so are quarantine and
/// digests.
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Exit code 0 if all is as it should be, 1 if something is not, 2 if it could not be found out.

Examples:
  trailq lake check
  trailq lake check --deep --format json")]
pub(super) struct Args {
    /// Read every page of every file, too
    #[arg(long)]
    deep: bool,

    /// Findings to list in a table; JSON lists ten thousand
    #[arg(long, value_name = "N", default_value_t = 100)]
    limit: usize,

    /// How it is told
    #[arg(long, value_enum, default_value = "table")]
    format: Format,

    #[command(flatten)]
    place: Place,
}

impl Args {
    pub(super) async fn run(&self) -> Result<ExitCode> {
        let checked = self.place.read().await?.check(self.deep).await?;
        match self.format {
            Format::Json => tell::print_json(&checked)?,
            Format::Table => tell::print(&self.told(&checked))?,
        }
        Ok(ExitCode::from(u8::from(checked.num_findings > 0)))
    }

    fn told(&self, checked: &Checked) -> String {
        let mut told = String::new();
        for finding in checked.findings.iter().take(self.limit) {
            let LakeFinding { table, what, place, detail } = finding;
            let (place, detail) = (escape(place, false), escape(detail, false));
            let _ = writeln!(told, "{table}: {what} {place}: {detail}");
        }
        let shown = checked.findings.len().min(self.limit) as u64;
        if checked.num_findings > shown {
            let _ = writeln!(told, "and {} more", counted(checked.num_findings - shown, "finding"));
        }
        let (files, events) = (counted(checked.num_files, "file"), counted(checked.num_events, "event"));
        let _ = write!(told, "version {}: {files}, {events}", checked.version);
        if checked.num_log_files > 0 {
            let _ = write!(told, ", {}", counted(checked.num_log_files, "log file"));
        }
        if checked.num_dropped > 0 {
            let _ = write!(told, " ({} with events that retention dropped)", checked.num_dropped);
        }
        if checked.num_digests > 0 {
            let _ = write!(told, ", {}", counted(checked.num_digests, "digest"));
        }
        let _ = match checked.num_findings {
            0 => writeln!(told, ": all as it should be"),
            findings => writeln!(told, ": {}", counted(findings, "finding")),
        };
        if !checked.compared {
            told.push_str("the tables were not compared with each other: that needs all of their files\n");
        }
        told
    }
}
