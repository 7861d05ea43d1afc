//! `trailq lake info`.

use std::fmt::Write as _;
use std::process::ExitCode;
use std::time::Duration;

use anyhow::Result;

use super::tell::{self, Format, bytes};
use super::{Joining, Place};
use crate::config::duration;
use crate::lake::{LakeInfo, TableInfo};
use crate::output::{counted, thousands};

/// Show what the lake consists of, and what optimize and vacuum would make of it
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples:
  trailq lake info
  trailq lake info --format json")]
pub(super) struct Args {
    #[command(flatten)]
    joining: Joining,

    /// How long vacuum lets files stay that the lake does not need any more
    #[arg(long, value_name = "TIME", env = "TRAILQ_VACUUM_RETENTION", default_value = "7d", value_parser = duration)]
    retention: Duration,

    /// How it is told
    #[arg(long, value_enum, default_value = "table")]
    format: Format,

    #[command(flatten)]
    place: Place,
}

impl Args {
    pub(super) async fn run(&self) -> Result<ExitCode> {
        let lake = self.place.read().await?;
        let info = lake.info(&self.joining.options(), self.retention).await?;
        match self.format {
            Format::Json => tell::print_json(&info)?,
            Format::Table => tell::print(&told(&info))?,
        }
        Ok(ExitCode::SUCCESS)
    }
}

fn told(info: &LakeInfo) -> String {
    let mut told = format!("{}\n", info.url);
    if let (Some(first), Some(last)) = (info.first_event_date, info.last_event_date) {
        let _ = writeln!(told, "events of {first} to {last}");
    }
    if let Some(from) = info.retained_from {
        let _ = writeln!(told, "events of days before {from} were dropped by retention");
    }
    let header =
        ["table", "rows", "files", "bytes", "median file", "largest", "version", "commits kept", "log"];
    let row = |table: &TableInfo| {
        vec![
            table.table.to_owned(),
            thousands(table.num_records),
            thousands(table.num_files),
            bytes(table.size_in_bytes),
            bytes(table.median_file_size),
            bytes(table.max_file_size),
            table.version.to_string(),
            thousands(table.num_commits),
            bytes(table.log_size_in_bytes),
        ]
    };
    let _ = writeln!(told, "\n{}", tell::table(&header, info.tables.iter().map(row)));
    let wins = |table: &&TableInfo| table.optimize.num_removed_files > 0;
    let winners: Vec<&TableInfo> = info.tables.iter().filter(wins).collect();
    if winners.is_empty() {
        told.push_str("\noptimize would find nothing to join\n");
    }
    for table in winners {
        let (from, to) = (table.optimize.num_removed_files, table.optimize.num_added_files);
        let (left, size) = (table.num_files - from + to, bytes(table.optimize.removed_bytes));
        let files = counted(from, "file");
        let _ = write!(told, "\noptimize would join {files} of {} to {}", table.table, thousands(to));
        let _ = write!(told, " ({size}), which leaves {}", thousands(left));
    }
    let integrity = &info.integrity;
    let (settled, files) = (thousands(integrity.num_settled), counted(integrity.num_files, "file"));
    let _ = write!(told, "\nintegrity is settled for {settled} of {files} of events");
    told.push('\n');
    let (old, young) = info.tables.iter().fold(((0, 0), (0, 0)), |(old, young), table| {
        let add = |sum: (u64, u64), unused: crate::lake::Unused| {
            (sum.0 + unused.num_files, sum.1 + unused.size_in_bytes)
        };
        (add(old, table.vacuum), add(young, table.unused))
    });
    let _ = writeln!(told, "vacuum would delete {} ({})", counted(old.0, "file"), bytes(old.1));
    if young.0 > 0 {
        let _ = writeln!(told, "{} more ({}) may go later", counted(young.0, "file"), bytes(young.1));
    }
    told
}
