//! What `trailq reconcile` prints.

use std::collections::BTreeMap;
use std::io::{IsTerminal as _, Write};

use anyhow::{Context as _, Result};
use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};
use serde::Serialize;
use serde_json::json;

use crate::output::escape;
use crate::reconcile::{DayReport, Finding, Repaired, Section, Totals};

/// How to tell it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
pub(super) enum Format {
    Text,
    Json,
    Ndjson,
}

/// Gathers what is found, and tells it.
pub(super) struct Teller {
    format: Format,
    limit: usize,
    buckets: Vec<String>,
    days: u64,
    totals: Totals,
    found: BTreeMap<Section, Found>,
    repaired: Repaired,
    bar: ProgressBar,
}

/// Findings of a kind: how many, and the first of them.
#[derive(Debug, Default, Serialize)]
struct Found {
    count: u64,
    first: Vec<Finding>,
}

impl Teller {
    pub(super) fn new(format: Format, limit: usize) -> Self {
        let bar = ProgressBar::hidden();
        if std::io::stderr().is_terminal()
            && let Ok(style) = ProgressStyle::with_template("{bar:30} {pos} of {len} days, {eta} left")
        {
            bar.set_draw_target(ProgressDrawTarget::stderr());
            bar.set_style(style);
        }
        let (buckets, totals, found, repaired) =
            (Vec::new(), Totals::default(), BTreeMap::new(), Repaired::default());
        Self { format, limit, buckets, days: 0, totals, found, repaired, bar }
    }

    pub(super) fn source(&mut self, bucket: &str) {
        self.buckets.push(bucket.to_owned());
    }

    pub(super) fn day(&mut self, report: &DayReport, repaired: Repaired, left: usize) -> Result<()> {
        self.totals += report.totals;
        self.repaired += repaired;
        self.days += 1;
        self.bar.set_length(self.days + left as u64);
        self.bar.set_position(self.days);
        let mut out = std::io::stdout().lock();
        for finding in &report.findings {
            let found = self.found.entry(finding.section).or_default();
            found.count += 1;
            if self.format == Format::Ndjson {
                let line = serde_json::to_string(finding).context("formatting a finding")?;
                self.bar.suspend(|| writeln!(out, "{line}")).context("writing to standard output")?;
            } else if found.first.len() < self.limit {
                found.first.push(finding.clone());
            }
        }
        Ok(())
    }

    /// Tells the rest, and returns whether nothing suspicious was found.
    pub(super) fn finish(self, with_lake: bool, repair: bool, stopped: bool) -> Result<bool> {
        self.bar.finish_and_clear();
        let mut out = std::io::stdout().lock();
        let told = match self.format {
            Format::Text => self.text(with_lake, repair, stopped, &mut out),
            Format::Json => self.json(true, with_lake, repair, stopped, &mut out),
            Format::Ndjson => self.json(false, with_lake, repair, stopped, &mut out),
        };
        match told.context("writing to standard output") {
            Err(error) if crate::output::is_broken_pipe(&error) => {}
            told => told?,
        }
        Ok(self.suspicious() == 0)
    }

    fn suspicious(&self) -> u64 {
        let suspicious = self.found.iter().filter(|(section, _)| section.is_suspicious());
        suspicious.map(|(_, found)| found.count).sum()
    }

    fn text(
        &self,
        with_lake: bool,
        repair: bool,
        stopped: bool,
        out: &mut impl Write,
    ) -> std::io::Result<()> {
        let Totals { log_files, verified, listed, pending, in_lake, digests_read, digests_known } =
            self.totals;
        let buckets: Vec<String> =
            self.buckets.iter().map(|bucket| format!("s3://{}", escape(bucket, true))).collect();
        writeln!(out, " bucket                   {}", buckets.join(", "))?;
        writeln!(out, " log files in the bucket  {log_files}")?;
        writeln!(out, "   verified               {verified}")?;
        writeln!(out, "   listed, not hashed     {listed}")?;
        writeln!(out, "   digest not due yet     {pending}")?;
        if with_lake {
            writeln!(out, "   in the lake            {in_lake}")?;
        } else {
            writeln!(out, " lake                     none: only the bucket and its digests were compared")?;
        }
        writeln!(out, " digests                  {digests_read} read, {digests_known} known to the lake")?;
        if repair {
            let Repaired { log_files, events, quarantined, failed, digests } = self.repaired;
            writeln!(
                out,
                " put into the lake        {log_files} log files with {events} events, {digests} digests"
            )?;
            if quarantined + failed > 0 {
                writeln!(
                    out,
                    "                          {quarantined} quarantined, {failed} could not be read"
                )?;
            }
        }
        for section in Section::ALL {
            self.section(section, with_lake, out)?;
        }
        match (stopped, self.suspicious()) {
            (true, _) => writeln!(out, "\nstopped before the end"),
            (false, 0) => writeln!(out, "\nnothing suspicious"),
            (false, count) => writeln!(out, "\n{count} to look into"),
        }
    }

    fn section(&self, section: Section, with_lake: bool, out: &mut impl Write) -> std::io::Result<()> {
        let Some(found) = self.found.get(&section) else { return Ok(()) };
        if section == Section::NotInLake && !with_lake {
            return Ok(());
        }
        writeln!(out, "\n{} {}", found.count, section.title())?;
        for Finding { subject, detail, digest, .. } in &found.first {
            let detail =
                detail.as_ref().map(|detail| format!(" ({})", escape(detail, true))).unwrap_or_default();
            writeln!(out, "  {}{detail}", escape(subject, true))?;
            if let Some(digest) = digest {
                writeln!(out, "    says {}", escape(digest, true))?;
            }
        }
        let more = found.count - found.first.len() as u64;
        if more > 0 {
            writeln!(out, "  … and {more} more")?;
        }
        Ok(())
    }

    #[allow(clippy::fn_params_excessive_bools, reason = "each is a field of the document")]
    fn json(
        &self,
        whole: bool,
        with_lake: bool,
        repair: bool,
        stopped: bool,
        out: &mut impl Write,
    ) -> std::io::Result<()> {
        let counts: BTreeMap<&str, u64> = Section::ALL
            .into_iter()
            .map(|section| (section.name(), self.found.get(&section).map_or(0, |found| found.count)))
            .collect();
        let first: Vec<&Finding> = self.found.values().flat_map(|found| &found.first).collect();
        let Repaired { log_files, events, quarantined, failed, digests } = self.repaired;
        let mut summary = json!({
            "section": "summary",
            "buckets": self.buckets,
            "with_lake": with_lake,
            "totals": self.totals,
            "counts": counts,
            "suspicious": self.suspicious(),
            "stopped": stopped,
        });
        if repair {
            summary["repaired"] = json!({"log_files": log_files, "events": events, "digests": digests,
                "quarantined": quarantined, "failed": failed});
        }
        if whole {
            summary["findings"] = json!(first);
            return writeln!(out, "{summary:#}");
        }
        writeln!(out, "{summary}")
    }
}
