//! The ten lines, or the same as JSON.

use std::collections::BTreeMap;
use std::fmt::{Display, Write as _};
use std::io::Write as _;

use anyhow::Result;
use chrono::{DateTime, SecondsFormat, Utc};
use serde_json::{Value, json};

use super::daemon::DaemonStatus;
use super::lake::LakeStatus;
use crate::output::{escape, thousands};

/// Log files that failed and are named in JSON.
const FAILED_TOLD: usize = 1000;

/// What was found out.
pub(super) struct Report {
    pub(super) lake: LakeStatus,
    /// Nothing if nobody was asked; an error if nobody answered.
    pub(super) daemon: Option<Result<DaemonStatus, String>>,
}

impl Report {
    pub(super) fn print(&self, days: u32) -> Result<()> {
        let mut table = comfy_table::Table::new();
        table.load_preset(comfy_table::presets::NOTHING);
        for (name, value) in self.lines(days) {
            table.add_row(vec![name.to_owned(), escape(&value, true).into_owned()]);
        }
        writeln!(std::io::stdout().lock(), "{}", table.trim_fmt())?;
        Ok(())
    }

    fn lines(&self, days: u32) -> Vec<(&'static str, String)> {
        let lake = &self.lake;
        vec![
            ("lake", format!("{}, version {}", lake.url, lake.version)),
            ("last commit", lake.last_commit.map_or_else(|| "none".to_owned(), with_age)),
            (
                "holds",
                format!("{} events of {} log files", thousands(lake.events), thousands(lake.log_files)),
            ),
            ("newest event", lake.newest_event.map_or_else(|| "none".to_owned(), with_age)),
            (
                "rate",
                format!(
                    "{} events of {} log files in the last hour",
                    thousands(lake.events_last_hour),
                    thousands(lake.log_files_last_hour)
                ),
            ),
            ("daemon", self.daemon_line()),
            ("quarantine", counts(&lake.quarantine, "nothing")),
            ("integrity", self.integrity_line(days)),
            ("digests", self.digest_line()),
            ("gaps", self.gap_line()),
        ]
    }

    fn daemon_line(&self) -> String {
        match &self.daemon {
            None => "not asked".to_owned(),
            Some(Err(why)) => format!("none reached: {why}"),
            Some(Ok(daemon)) => {
                let state = daemon
                    .unready
                    .as_deref()
                    .map_or_else(|| "ready".to_owned(), |why| format!("NOT READY ({why})"));
                let mut line = format!(
                    "{state}: {} messages received, {} in hand, {} returned; {} log files and digests in {} commits",
                    thousands(daemon.received),
                    thousands(daemon.in_flight),
                    thousands(daemon.returned),
                    thousands(daemon.committed),
                    thousands(daemon.commits),
                );
                if !daemon.errors.is_empty() {
                    let errors = daemon.errors.iter().map(|(kind, count)| format!("{kind} {count}"));
                    line.push_str("; errors: ");
                    line.push_str(&errors.collect::<Vec<_>>().join(", "));
                }
                line
            }
        }
    }

    fn integrity_line(&self, days: u32) -> String {
        let mut line = format!("last {days} days: {}", counts(&self.lake.integrity, "no log files"));
        let failures = &self.lake.failures;
        if failures.count() > 0 {
            let (number, reasons) = (thousands(failures.count()), counts(&failures.reasons, ""));
            let _ = write!(line, "; FAILED and not dealt with, of all time: {number} ({reasons})");
        }
        line
    }

    fn digest_line(&self) -> String {
        let mut line = match self.lake.newest_digest_end {
            Some(newest) => format!("newest ends {}", with_age(newest)),
            None => "none valid".to_owned(),
        };
        if let Some((account, region, end)) = &self.lake.oldest_digest_end
            && Some(*end) < self.lake.newest_digest_end
        {
            let _ = write!(line, "; furthest behind {account} {region}, {}", age(*end));
        }
        let bad = counts(&self.lake.digests_not_valid, "");
        if !bad.is_empty() {
            let _ = write!(line, "; of all time: {bad}");
        }
        line
    }

    fn gap_line(&self) -> String {
        let lake = &self.lake;
        let gaps = match lake.gaps {
            0 => "none".to_owned(),
            gaps => {
                format!("{} without valid digests, {} h together", thousands(gaps), thousands(lake.gap_hours))
            }
        };
        match lake.absent {
            0 => gaps,
            absent => {
                format!("{gaps}; {} log files that digests list are not in the lake", thousands(absent))
            }
        }
    }

    pub(super) fn print_json(&self) -> Result<()> {
        let lake = &self.lake;
        let time =
            |time: Option<DateTime<Utc>>| time.map(|time| time.to_rfc3339_opts(SecondsFormat::Secs, true));
        let daemon = match &self.daemon {
            None => json!(null),
            Some(Err(why)) => json!({"reached": false, "error": why}),
            Some(Ok(daemon)) => json!({
                "reached": true,
                "ready": daemon.unready.is_none(),
                "problem": daemon.unready,
                "messages_received": daemon.received,
                "messages_inflight": daemon.in_flight,
                "messages_returned": daemon.returned,
                "objects_committed": daemon.committed,
                "commits": daemon.commits,
                "errors": daemon.errors.iter().cloned().collect::<BTreeMap<_, _>>(),
            }),
        };
        let lag = lake.newest_event.map(|newest| (Utc::now() - newest).num_seconds());
        let digest_lag = lake.newest_digest_end.map(|end| (Utc::now() - end).num_seconds());
        let reasons: BTreeMap<&str, u64> =
            lake.failures.reasons.iter().map(|(why, count)| (why.as_str(), *count)).collect();
        let failed = lake.failures.log_files.iter().take(FAILED_TOLD);
        let failed: Vec<Value> = failed
            .map(|failed| json!({"log_file": failed.log_file, "why": failed.why.as_str(), "digest": failed.digest}))
            .collect();
        let report = json!({
            "lake": lake.url,
            "version": lake.version,
            "last_commit": time(lake.last_commit),
            "events": lake.events,
            "log_files": lake.log_files,
            "newest_event": time(lake.newest_event),
            "lag_seconds": lag,
            "events_last_hour": lake.events_last_hour,
            "log_files_last_hour": lake.log_files_last_hour,
            "daemon": daemon,
            "quarantine": lake.quarantine,
            "integrity": lake.integrity,
            "integrity_failures": reasons,
            "failed_log_files": failed,
            "digests_not_valid": lake.digests_not_valid,
            "newest_digest_end": time(lake.newest_digest_end),
            "digest_lag_seconds": digest_lag,
            "gaps": lake.gaps,
            "gap_hours": lake.gap_hours,
            "absent_log_files": lake.absent,
        });
        writeln!(std::io::stdout().lock(), "{report:#}")?;
        Ok(())
    }
}

/// `3 damaged_gzip, 1 missing`, what is zero left out.
fn counts<K: Display>(counts: &BTreeMap<K, u64>, none: &str) -> String {
    let told: Vec<String> = counts
        .iter()
        .filter(|(_, count)| **count > 0)
        .map(|(name, count)| format!("{} {name}", thousands(*count)))
        .collect();
    if told.is_empty() { none.to_owned() } else { told.join(", ") }
}

fn with_age(time: DateTime<Utc>) -> String {
    format!("{} ({})", time.to_rfc3339_opts(SecondsFormat::Secs, true), age(time))
}

fn age(time: DateTime<Utc>) -> String {
    let Ok(age) = (Utc::now() - time).to_std() else { return "in the future".to_owned() };
    let seconds = age.as_secs();
    match seconds {
        0..120 => format!("{seconds} s ago"),
        120..7200 => format!("{} min ago", seconds / 60),
        7200..172_800 => format!("{} h ago", seconds / 3600),
        _ => format!("{} days ago", seconds / 86400),
    }
}
