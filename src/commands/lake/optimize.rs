//! `trailq lake optimize`.

use std::fmt::Write as _;
use std::process::ExitCode;

use anyhow::Result;
use tokio_util::sync::CancellationToken;

use super::tell::{self, bytes};
use super::{Joining, Place};
use crate::output::{counted, thousands};

/// Join small files to large ones, in the order of time
///
/// Files of one day become files of the target size, sorted by time, with statistics and bloom filters like all
/// others. Others may read and write meanwhile: what they change is left to them. The files that were joined stay
/// until vacuum deletes them, so that running queries and older versions can be read.
///
/// Then it is written down which files hold only events of one integrity, as nearly all do, so that queries
/// need not judge them again.
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Exit code 0 if all that could be joined was, 1 if some files could not be (the log says why).

Examples:
  trailq lake optimize
  trailq lake optimize --lake s3://my-lake-bucket/trailq --target-size 128 --memory-limit 1024")]
pub(super) struct Args {
    #[command(flatten)]
    joining: Joining,

    #[command(flatten)]
    place: Place,
}

impl Args {
    pub(super) async fn run(&self, stop: &CancellationToken) -> Result<ExitCode> {
        let lake = self.place.write().await?;
        let done = lake.optimize(&self.joining.options(), stop).await?;
        let (mut told, mut failed) = (String::new(), 0);
        for (table, done) in done {
            failed += done.failed;
            if done.failed > 0 {
                let _ = writeln!(told, "{table}: some files could not be joined");
            }
            if done.num_removed_files == 0 {
                if done.failed == 0 {
                    let _ = writeln!(told, "{table}: nothing to join");
                }
                continue;
            }
            let (from, to) = (counted(done.num_removed_files, "file"), thousands(done.num_added_files));
            let (old, new) = (bytes(done.removed_bytes), bytes(done.added_bytes));
            let commits = counted(done.commits, "commit");
            let _ = writeln!(told, "{table}: {from} ({old}) joined to {to} ({new}) in {commits}");
        }
        if !stop.is_cancelled() {
            let done = lake.settle(true, stop).await?;
            let (settled, files) = (thousands(done.num_settled), counted(done.num_files, "file"));
            let _ = writeln!(told, "events: integrity is settled for {settled} of {files}");
        }
        tell::print(&told)?;
        Ok(match (stop.is_cancelled(), failed) {
            (true, _) => ExitCode::from(130),
            (false, 0) => ExitCode::SUCCESS,
            (false, _) => ExitCode::from(1),
        })
    }
}
