//! Retention: the rows of old days go, in one commit, and the evidence stays.
//!
//! Whole partitions leave `events`. The ledger keeps its rows: a log file whose events were dropped is
//! known all the same, so that it is not ingested again and nobody takes it for missing, and its hash and
//! verdict can still be asked for. From which date on the rows are there stands in the log of `events`,
//! written by the commit that drops them.

use anyhow::{Result, bail};
use chrono::NaiveDate;
use tracing::info;

use super::Lake;
use super::file_stats::FileStats;
use super::swap::{self, Operation, Swap};
use super::table::DataFile;
use super::tables::Kind;
use crate::event::schema::EVENT_DATE;

/// How often it is tried anew after others have replaced the same files.
const ATTEMPTS: usize = 20;

/// What was dropped, or would be.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Retained {
    /// The first and last date that has gone.
    pub dates: Option<(NaiveDate, NaiveDate)>,
    /// Parquet files.
    pub num_removed_files: u64,
    /// Their bytes, which vacuum frees.
    pub removed_bytes: u64,
    /// Rows of `events`.
    pub events: u64,
    /// The version of `events` without them.
    pub version: Option<u64>,
}

impl Lake {
    /// Drops the events of all days before this one. Rows without a date stay.
    pub async fn retain(&self, from: NaiveDate, dry_run: bool) -> Result<Retained> {
        let table = self.table(Kind::Events);
        for _ in 0..ATTEMPTS {
            let (mut head, files) = swap::look(table).await?;
            let old: Vec<&DataFile> =
                files.iter().filter(|file| event_date(file).is_some_and(|date| date < from)).collect();
            let mut retained = summary(&old);
            if old.is_empty() || dry_run {
                return Ok(retained);
            }
            // What was dropped before stays dropped.
            let from = table.retained_from().await?.map_or(from, |before| before.max(from));
            let removes = old.iter().map(|file| swap::remove(file, true)).collect::<Result<Vec<_>>>()?;
            let swap = Swap { removes, adds: vec![] };
            let swapped = swap::commit(table, &mut head, vec![swap], Operation::Retain(from)).await?;
            if swapped.version.is_some() {
                retained.version = swapped.version;
                info!(
                    version = retained.version,
                    before = %from,
                    files = retained.num_removed_files,
                    events = retained.events,
                    "dropped old events"
                );
                return Ok(retained);
            }
        }
        bail!("other writers keep replacing the same files: try again")
    }

    /// The first date whose events retention has left, if it has dropped any.
    pub async fn retained_from(&self) -> Result<Option<NaiveDate>> {
        self.table(Kind::Events).retained_from().await
    }
}

/// The partition that a file of `events` is in.
pub(crate) fn event_date(file: &DataFile) -> Option<NaiveDate> {
    let value = file.partition_values.iter().find(|(name, _)| name == EVENT_DATE)?;
    value.1.as_deref()?.parse().ok()
}

fn summary(old: &[&DataFile]) -> Retained {
    let dates = || old.iter().filter_map(|file| event_date(file));
    let rows = |file: &&DataFile| FileStats::parse(file.stats.as_deref()).num_records;
    Retained {
        dates: dates().min().zip(dates().max()),
        num_removed_files: old.len() as u64,
        removed_bytes: old.iter().map(|file| file.size).sum(),
        events: old.iter().filter_map(rows).sum(),
        version: None,
    }
}
