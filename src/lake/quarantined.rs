//! What is in quarantine, and what the ledger says of its log files: for those who deal with it.

use std::collections::{HashMap, HashSet};
use std::ops::RangeInclusive;
use std::sync::Arc;

use anyhow::{Context, Result};
use chrono::{NaiveDate, Utc};
use datafusion::catalog::TableProvider;
use datafusion::logical_expr::{Expr, lit};
use datafusion::prelude::{SessionConfig, SessionContext, col};

use super::cells::Cells;
use super::entry::{LogFileEntry, LogFileId, QuarantineEntry, QuarantineStatus, Quarantined, Status};
use super::{Batch, Lake};
use crate::object::LogKey;

/// How often a change is tried anew after another writer has changed the same log files.
const ATTEMPTS: usize = 20;

/// Which pieces in quarantine are meant: those for which all that is given holds.
#[derive(Clone, Debug, Default)]
pub struct QuarantineFilter {
    /// These ids, if any are given.
    pub ids: Option<Vec<String>>,
    /// Of this reason.
    pub reason: Option<String>,
    /// Of these log files, if any are given.
    pub log_files: Option<Vec<String>>,
    /// Those that were dealt with as well.
    pub resolved: bool,
    /// With their bytes.
    pub bytes: bool,
}

const COLUMNS: [&str; 14] = [
    "id",
    "log_file",
    "bucket",
    "key",
    "version_id",
    "reason",
    "detail",
    "record_index",
    "byte_offset",
    "byte_length",
    "quarantined_at",
    "status",
    "resolved_at",
    "resolved_by",
];

impl Lake {
    /// What is in quarantine now, oldest first.
    pub async fn quarantined(&self, filter: &QuarantineFilter) -> Result<Vec<Quarantined>> {
        self.refresh().await?;
        let rows = self.rows(self.quarantine().await?, filter.conditions(), &COLUMNS).await?;
        let mut found = vec![];
        for cells in rows {
            for row in 0..cells.num_rows() {
                found.push(quarantined(&cells, row).context("a row of quarantine")?);
            }
        }
        found.sort_by(|a, b| key(a).cmp(&key(b)));
        if filter.bytes {
            self.add_bytes(&mut found).await?;
        }
        Ok(found)
    }

    /// Bytes stand in the first row of a piece only.
    async fn add_bytes(&self, found: &mut [Quarantined]) -> Result<()> {
        let raw = self.view().await?.quarantine.provider.clone();
        let ids = found.iter().map(|piece| lit(piece.id.as_str())).collect();
        let open = col("status").eq(lit(QuarantineStatus::Open.as_str()));
        let rows = self.rows(raw, vec![open, col("id").in_list(ids, false)], &["id", "bytes"]).await?;
        let mut bytes = HashMap::new();
        for cells in rows {
            for row in 0..cells.num_rows() {
                bytes.insert(cells.text("id", row)?, cells.bytes("bytes", row)?);
            }
        }
        for piece in found {
            piece.entry.bytes = bytes.remove(&Some(piece.id.clone())).flatten().unwrap_or_default();
        }
        Ok(())
    }

    /// What the ledger says of these log files, as of the last refresh.
    pub async fn ledger(&self, log_files: &[&str]) -> Result<Vec<LogFileEntry>> {
        let ids = log_files.iter().map(|log_file| lit(LogFileId::of(log_file).to_string())).collect();
        let mut conditions = vec![col("id").in_list(ids, false)];
        if let Some(dates) = log_dates(log_files) {
            let (first, last) = (lit(days(*dates.start())), lit(days(*dates.end())));
            conditions.push(col("log_date").is_null().or(col("log_date").between(first, last)));
        }
        let mut found = vec![];
        for cells in self.rows(self.log_files().await?, conditions, &LEDGER).await? {
            for row in 0..cells.num_rows() {
                found.push(log_file(&cells, row).context("a row of the ledger")?);
            }
        }
        Ok(found)
    }

    /// Leaves pieces in quarantine outside for good. Says how many it was that nobody else had dealt
    /// with; they and their bytes stay in the table.
    pub async fn discard_quarantined(&self, ids: &[String]) -> Result<u64> {
        let filter = QuarantineFilter { ids: Some(ids.to_owned()), ..QuarantineFilter::default() };
        let mut discarded = 0;
        for _ in 0..ATTEMPTS {
            let open = self.quarantined(&filter).await?;
            if open.is_empty() {
                return Ok(discarded);
            }
            let files = self.next_revisions(&open).await?;
            let resolved = open.into_iter().map(|piece| self.resolve(piece, QuarantineStatus::Discarded));
            let batch = Batch { files, resolved: resolved.collect(), ..Batch::default() };
            let staged = self.writer().write(batch).await?;
            discarded += self.commit(vec![staged]).await?.resolved;
        }
        anyhow::bail!("other writers keep changing the same log files: try again")
    }

    /// The ledger's next rows for the log files of these pieces.
    async fn next_revisions(&self, pieces: &[Quarantined]) -> Result<Vec<LogFileEntry>> {
        let names: HashSet<&str> = pieces.iter().map(|piece| piece.entry.log_file.as_str()).collect();
        let mut files = self.ledger(&names.into_iter().collect::<Vec<_>>()).await?;
        for file in &mut files {
            file.revision += 1;
        }
        Ok(files)
    }

    /// The row that says what has become of a piece now.
    pub(crate) fn resolve(&self, piece: Quarantined, status: QuarantineStatus) -> Quarantined {
        Quarantined {
            entry: QuarantineEntry { bytes: vec![], ..piece.entry },
            status,
            resolved_at: Some(Utc::now()),
            resolved_by: Some(self.inner.writer.name().to_owned()),
            ..piece
        }
    }

    /// Some columns of the rows of a table that meet all conditions.
    pub(crate) async fn rows(
        &self,
        table: Arc<dyn TableProvider>,
        conditions: Vec<Expr>,
        columns: &[&str],
    ) -> Result<Vec<Cells>> {
        let context = SessionContext::new_with_config(SessionConfig::new());
        self.register_object_store(&context)?;
        let mut frame = context.read_table(table)?;
        for condition in conditions {
            frame = frame.filter(condition)?;
        }
        let batches = frame.select_columns(columns)?.collect().await?;
        batches.iter().map(Cells::of).collect()
    }
}

impl QuarantineFilter {
    fn conditions(&self) -> Vec<Expr> {
        let mut conditions = vec![];
        let mut among = |column: &str, values: &Option<Vec<String>>| {
            if let Some(values) = values {
                let values = values.iter().map(|value| lit(value.as_str())).collect();
                conditions.push(col(column).in_list(values, false));
            }
        };
        among("id", &self.ids);
        among("log_file", &self.log_files);
        among("reason", &self.reason.clone().map(|reason| vec![reason]));
        if !self.resolved {
            conditions.push(col("status").eq(lit(QuarantineStatus::Open.as_str())));
        }
        conditions
    }
}

fn key(piece: &Quarantined) -> (chrono::DateTime<Utc>, &str, Option<u64>, Option<u64>) {
    (piece.quarantined_at, &piece.entry.log_file, piece.entry.record_index, piece.entry.byte_offset)
}

/// Between which dates the keys of all of these log files lie, if each has one.
pub(crate) fn log_dates(log_files: &[&str]) -> Option<RangeInclusive<NaiveDate>> {
    let dates: Option<Vec<_>> =
        log_files.iter().map(|log_file| LogKey::parse(log_file).map(|key| key.date)).collect();
    let dates = dates?;
    Some(*dates.iter().min()?..=*dates.iter().max()?)
}

fn days(date: NaiveDate) -> datafusion::common::ScalarValue {
    datafusion::common::ScalarValue::Date32(Some(arrow::datatypes::Date32Type::from_naive_date(date)))
}

fn quarantined(cells: &Cells, row: usize) -> Result<Quarantined> {
    let text = |name: &str| cells.text(name, row);
    Ok(Quarantined {
        id: text("id")?.context("no id")?,
        entry: QuarantineEntry {
            log_file: text("log_file")?.context("no log_file")?,
            bucket: text("bucket")?,
            key: text("key")?,
            version_id: text("version_id")?,
            reason: text("reason")?.unwrap_or_default(),
            detail: text("detail")?.unwrap_or_default(),
            record_index: cells.number("record_index", row)?,
            byte_offset: cells.number("byte_offset", row)?,
            byte_length: cells.number("byte_length", row)?,
            bytes: vec![],
        },
        quarantined_at: cells.time("quarantined_at", row)?.unwrap_or_default(),
        status: text("status")?.and_then(|status| QuarantineStatus::parse(&status)).context("no status")?,
        resolved_at: cells.time("resolved_at", row)?,
        resolved_by: text("resolved_by")?,
    })
}

const LEDGER: [&str; 21] = [
    "log_file",
    "bucket",
    "key",
    "version_id",
    "etag",
    "size",
    "uncompressed_size",
    "sha256",
    "record_count",
    "event_count",
    "quarantined_count",
    "odd_count",
    "min_event_time",
    "max_event_time",
    "account",
    "region",
    "log_date",
    "tree",
    "status",
    "revision",
    "id",
];

fn log_file(cells: &Cells, row: usize) -> Result<LogFileEntry> {
    let text = |name: &str| cells.text(name, row);
    let number = |name: &str| cells.number(name, row);
    Ok(LogFileEntry {
        log_file: text("log_file")?.context("no log_file")?,
        bucket: text("bucket")?,
        key: text("key")?,
        version_id: text("version_id")?,
        etag: text("etag")?,
        size: number("size")?.unwrap_or_default(),
        uncompressed_size: number("uncompressed_size")?,
        sha256: text("sha256")?,
        record_count: number("record_count")?.unwrap_or_default(),
        event_count: number("event_count")?.unwrap_or_default(),
        quarantined_count: number("quarantined_count")?.unwrap_or_default(),
        odd_count: number("odd_count")?.unwrap_or_default(),
        min_event_time: cells.time("min_event_time", row)?,
        max_event_time: cells.time("max_event_time", row)?,
        account: text("account")?,
        region: text("region")?,
        log_date: cells.date("log_date", row)?,
        tree: text("tree")?,
        status: text("status")?.and_then(|status| Status::parse(&status)).context("no status")?,
        revision: u32::try_from(number("revision")?.unwrap_or_default())?,
    })
}
