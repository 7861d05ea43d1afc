//! What the lake says.

use std::collections::BTreeMap;

use anyhow::{Context, Result};
use arrow::record_batch::RecordBatch;
use chrono::{DateTime, Days, NaiveDate, Utc};
use serde_json::Value;

use crate::integrity::{self, Failures, State};
use crate::lake::{DigestStatus, Lake, QuarantineFilter};
use crate::sql::{Session, sources};

/// What the lake holds, and what is known of it.
#[derive(Debug, Default)]
pub(super) struct LakeStatus {
    pub(super) url: String,
    pub(super) version: u64,
    pub(super) log_files: u64,
    pub(super) events: u64,
    pub(super) last_commit: Option<DateTime<Utc>>,
    pub(super) newest_event: Option<DateTime<Utc>>,
    pub(super) log_files_last_hour: u64,
    pub(super) events_last_hour: u64,
    /// Pieces in quarantine by reason.
    pub(super) quarantine: BTreeMap<String, u64>,
    /// Log files of the last days by integrity.
    pub(super) integrity: BTreeMap<&'static str, u64>,
    /// Log files that failed at any time, and were not dealt with.
    pub(super) failures: Failures,
    pub(super) absent: u64,
    /// Digests that do not hold, are not there, or could not be judged.
    pub(super) digests_not_valid: BTreeMap<&'static str, u64>,
    pub(super) newest_digest_end: Option<DateTime<Utc>>,
    /// The account and region whose digests are furthest behind.
    pub(super) oldest_digest_end: Option<(String, String, DateTime<Utc>)>,
    pub(super) gaps: u64,
    pub(super) gap_hours: u64,
}

impl LakeStatus {
    pub(super) fn failed(&self) -> u64 {
        self.failures.count()
    }

    pub(super) fn in_quarantine(&self) -> u64 {
        self.quarantine.values().sum()
    }
}

/// Looks at the lake.
pub(super) async fn look(location: &str, days: u32, failed_since: Option<NaiveDate>) -> Result<LakeStatus> {
    let lake = Lake::open(location).await?;
    let now = Utc::now();
    let mut status = LakeStatus { url: lake.url().to_owned(), ..LakeStatus::default() };
    for piece in lake.quarantined(&QuarantineFilter::default()).await.context("reading quarantine")? {
        *status.quarantine.entry(piece.entry.reason).or_default() += 1;
    }
    status.version = lake.version().await?;
    let session = Session::new(sources::open_lake(location).await?)?;
    ledger(&session, &mut status).await?;
    // The ledger counts those that retention has dropped as well.
    status.events = lake.num_events().await?;
    // The last days that there are: a lake that nobody feeds any more has some too.
    let last = status.newest_event.map_or(now, |newest| newest.min(now)).date_naive();
    let since = last.checked_sub_days(Days::new(u64::from(days))).unwrap_or_default();
    let audit = integrity::audit(&lake, since, now).await.context("comparing digests and log files")?;
    for state in State::ALL {
        status.integrity.insert(state.as_str(), audit.count(state));
    }
    let failures = integrity::failures(&lake, failed_since, now).await;
    status.failures = failures.context("looking for log files that failed")?;
    status.absent = audit.absent.len() as u64;
    status.newest_digest_end = audit.newest_digest_end.values().max().copied();
    let oldest = audit.newest_digest_end.into_iter().min_by_key(|(_, end)| *end);
    status.oldest_digest_end = oldest.map(|((account, region), end)| (account, region, end));
    gaps(&session, since.to_string(), &mut status).await?;
    digests(&session, &mut status).await?;
    Ok(status)
}

async fn digests(session: &Session, status: &mut LakeStatus) -> Result<()> {
    let sql = "SELECT coalesce(sum(CASE WHEN status = 'invalid' THEN 1 ELSE 0 END), 0) AS invalid,
                      coalesce(sum(CASE WHEN status = 'missing' THEN 1 ELSE 0 END), 0) AS missing,
                      coalesce(sum(CASE WHEN status = 'key_not_found' THEN 1 ELSE 0 END), 0) AS key_not_found
               FROM digests";
    let row = first_row(session, sql).await?;
    for outcome in [DigestStatus::Invalid, DigestStatus::Missing, DigestStatus::KeyNotFound] {
        let outcome = outcome.as_str();
        status.digests_not_valid.insert(outcome, number(&row, outcome));
    }
    Ok(())
}

async fn ledger(session: &Session, status: &mut LakeStatus) -> Result<()> {
    let sql = "SELECT count(*) AS log_files, max(ingested_at) AS last_commit, max(max_event_time) AS newest_event,
                      coalesce(sum(CASE WHEN ingested_at > now() - INTERVAL '1 hour' THEN 1 ELSE 0 END), 0) AS files_hour,
                      coalesce(sum(CASE WHEN ingested_at > now() - INTERVAL '1 hour' THEN event_count ELSE 0 END), 0) AS events_hour
               FROM log_files";
    let row = first_row(session, sql).await?;
    status.log_files = number(&row, "log_files");
    status.last_commit = time(&row, "last_commit");
    status.newest_event = time(&row, "newest_event");
    status.log_files_last_hour = number(&row, "files_hour");
    status.events_last_hour = number(&row, "events_hour");
    Ok(())
}

async fn gaps(session: &Session, since: String, status: &mut LakeStatus) -> Result<()> {
    // A gap that may still be filled is none yet.
    let sql = format!(
        "SELECT count(*) AS gaps, coalesce(sum(hours), 0) AS hours FROM integrity_gaps
         WHERE why <> 'not_yet' AND (end_time IS NULL OR end_time >= TIMESTAMP '{since} 00:00:00 UTC')"
    );
    let row = first_row(session, &sql).await?;
    (status.gaps, status.gap_hours) = (number(&row, "gaps"), number(&row, "hours"));
    Ok(())
}

async fn first_row(session: &Session, sql: &str) -> Result<Value> {
    let rows = session.collect(sql, &[]).await.map_err(|error| anyhow::anyhow!("{error}"))?;
    let mut json = arrow::json::ArrayWriter::new(Vec::new());
    json.write_batches(&rows.iter().collect::<Vec<&RecordBatch>>())?;
    json.finish()?;
    let rows: Vec<Value> = serde_json::from_slice(&json.into_inner())?;
    rows.into_iter().next().context("an answer without rows")
}

fn number(row: &Value, name: &str) -> u64 {
    row.get(name).and_then(Value::as_u64).unwrap_or(0)
}

fn time(row: &Value, name: &str) -> Option<DateTime<Utc>> {
    let text = row.get(name)?.as_str()?;
    DateTime::parse_from_rfc3339(text).ok().map(|time| time.to_utc())
}
