//! The AWS CLI's lines, and after them what strict checks have found.

use std::fmt::Write as _;

use anyhow::Result;
use chrono::{DateTime, Utc};

use super::plan::Plan;
use super::tell::{Streams, Tell};
use crate::validation::{Event, Finding, Kind, Outcome, Target, Told, Verdict, display};

pub(super) struct Text {
    streams: Streams,
    verbose: bool,
    strict: bool,
    many: bool,
    start: DateTime<Utc>,
    end: DateTime<Utc>,
    section: Section,
}

/// What is counted of one account and region.
struct Section {
    digests: Count,
    backfill_digests: Count,
    log_files: Count,
    found: Option<(DateTime<Utc>, DateTime<Utc>)>,
    /// Whether the last thing written was followed by a blank line.
    blank: bool,
    /// What the AWS CLI takes for valid and is not.
    late: Vec<String>,
    strict_findings: usize,
}

#[derive(Default)]
struct Count {
    valid: u64,
    invalid: u64,
    unproven: u64,
    unreadable: u64,
}

impl Default for Section {
    fn default() -> Self {
        Section {
            digests: Count::default(),
            backfill_digests: Count::default(),
            log_files: Count::default(),
            found: None,
            blank: true,
            late: Vec::new(),
            strict_findings: 0,
        }
    }
}

impl Text {
    pub(super) fn new(plan: &Plan, verbose: bool, streams: Streams) -> Self {
        let (start, end) = (plan.options.start, plan.options.end);
        let (strict, many) = (plan.options.strict, plan.many);
        Text { streams, verbose, strict, many, start, end, section: Section::default() }
    }

    fn header(&mut self, target: &Target) -> Result<()> {
        self.section = Section::default();
        if self.many {
            let Target { account_id, region, trail, .. } = target;
            self.streams.out(&format!("== Account {account_id}, region {region}, trail {trail}\n\n"))?;
        }
        let (start, end) = (display(self.start), display(self.end));
        let arn = &target.trail_arn;
        self.streams.out(&format!("Validating log files for trail {arn} between {start} and {end}\n\n"))?;
        // A fatal error may take long to come.
        self.streams.flush()
    }

    fn found(&mut self, finding: &Finding) -> Result<()> {
        if finding.strict_only {
            return self.strict_only(finding);
        }
        self.section.count(finding, self.start, self.end);
        let line = line(finding);
        match (&finding.told, finding.verdict) {
            (Told::Valid, verdict) => {
                if verdict.fails() {
                    self.section.late.push(strict_line(finding));
                }
                self.status(&format!("{line}valid"))
            }
            (Told::Invalid(reason), _) => self.problem(&format!("{line}INVALID: {reason}")),
            (Told::Gap { backfill }, _) => self.problem(&gap_line(finding, *backfill)),
            (Told::Nothing, Verdict::Unproven) => {
                self.status(&format!("{line}UNPROVEN: {}", reason(finding)))
            }
            (Told::Nothing, verdict) => {
                self.problem(&format!("{line}{}: {}", verdict.name().to_uppercase(), reason(finding)))
            }
        }
    }

    fn status(&mut self, line: &str) -> Result<()> {
        if !self.verbose {
            return Ok(());
        }
        self.section.blank = false;
        self.streams.out(&format!("{line}\n"))
    }

    fn problem(&mut self, line: &str) -> Result<()> {
        let before = if self.section.blank { "" } else { "\n" };
        self.section.blank = true;
        self.streams.err(&format!("{before}{line}\n\n"))
    }

    fn strict_only(&mut self, finding: &Finding) -> Result<()> {
        if finding.fails() {
            self.section.strict_findings += 1;
            return self.streams.err(&strict_line(finding));
        }
        if self.verbose {
            return self.streams.out(&strict_line(finding));
        }
        Ok(())
    }

    fn summary(&mut self) -> Result<()> {
        let (start, end) = (display(self.start), display(self.end));
        let before = if self.section.blank { "" } else { "\n" };
        let mut text = format!("{before}Results requested for {start} to {end}\n");
        let Section { digests, backfill_digests, log_files, found, .. } = &self.section;
        if digests.total() + backfill_digests.total() == 0 {
            text.push_str("No digests found\n");
            return self.streams.out(&text);
        }
        match found {
            Some((first, last)) => {
                let _ = writeln!(text, "Results found for {} to {}:", display(*first), display(*last));
            }
            None => text.push_str("No valid digests found in range\n"),
        }
        for (count, name) in [(digests, "digest"), (backfill_digests, "backfill digest"), (log_files, "log")]
        {
            text.push_str(&count.ratio(name));
        }
        text.push('\n');
        self.streams.out(&text)
    }

    /// What strict checks have found, after everything that the AWS CLI would say.
    fn strict_part(&mut self, outcome: &Outcome) -> Result<()> {
        for line in std::mem::take(&mut self.section.late) {
            self.section.strict_findings += 1;
            self.streams.err(&line)?;
        }
        let found = match self.section.strict_findings {
            0 => "Strict checks: nothing more was found\n".to_owned(),
            1 => "Strict checks: 1 finding more\n".to_owned(),
            more => format!("Strict checks: {more} findings more\n"),
        };
        self.streams.out(&format!("\n{found}"))?;
        if !self.many {
            self.coverage(outcome)?;
        }
        Ok(())
    }

    fn coverage(&mut self, outcome: &Outcome) -> Result<()> {
        let Target { account_id, region, trail, .. } = &outcome.target;
        let mut text = format!("Proven for account {account_id}, region {region}, trail {trail}:\n");
        if !outcome.strict {
            text.push_str("  not known: the check was not completed\n");
        }
        let mut rows: Vec<(DateTime<Utc>, DateTime<Utc>, &str)> =
            outcome.coverage.ranges().iter().map(|range| (range.0, range.1, "proven")).collect();
        let gaps = outcome.coverage.gaps(self.start, self.end);
        rows.extend(gaps.into_iter().map(|gap| (gap.0, gap.1, "NOT PROVEN")));
        rows.sort();
        for (start, end, what) in rows.into_iter().filter(|_| outcome.strict) {
            let _ = writeln!(text, "  {} to {}  {what}", display(start), display(end));
        }
        self.streams.out(&text)
    }
}

impl Tell for Text {
    fn begin(&mut self) -> Result<()> {
        Ok(())
    }

    fn tell(&mut self, event: &Event<'_>) -> Result<()> {
        match event {
            Event::Started(target) => self.header(target),
            Event::Found(finding) => self.found(finding),
            Event::Walked => self.summary(),
            Event::GaveUp(fatal) => self.streams.err(&format!("\n{fatal}\n")),
            Event::Done(outcome) => {
                if self.strict && outcome.strict {
                    self.strict_part(outcome)?;
                }
                if self.many {
                    self.streams.out("\n")?;
                }
                Ok(())
            }
            Event::Digests(_) => Ok(()),
        }
    }

    fn end(&mut self, outcomes: &[Outcome]) -> Result<()> {
        if self.many {
            self.streams.out("== Coverage\n\n")?;
            for outcome in outcomes {
                self.coverage(outcome)?;
            }
        }
        self.streams.flush()
    }
}

impl Section {
    fn count(&mut self, finding: &Finding, start: DateTime<Utc>, end: DateTime<Utc>) {
        let count = match finding.kind {
            Kind::Digest => &mut self.digests,
            Kind::BackfillDigest => &mut self.backfill_digests,
            Kind::LogFile => &mut self.log_files,
            Kind::Link | Kind::Hours | Kind::Other => return,
        };
        match (&finding.told, finding.verdict) {
            (Told::Gap { .. }, _) => return,
            (Told::Valid, _) => count.valid += 1,
            (Told::Invalid(_), _) => count.invalid += 1,
            (Told::Nothing, Verdict::Unproven) => count.unproven += 1,
            (Told::Nothing, _) => count.unreadable += 1,
        }
        let holds = matches!(finding.told, Told::Valid) || finding.verdict == Verdict::Unproven;
        if let (true, true, Some(first), Some(last)) =
            (holds, finding.kind != Kind::LogFile, finding.start, finding.end)
        {
            let (first, last) = (first.max(start), last.min(end));
            let known = self.found.get_or_insert((first, last));
            *known = (known.0.min(first), known.1.max(last));
        }
    }
}

impl Count {
    fn total(&self) -> u64 {
        self.valid + self.invalid + self.unproven + self.unreadable
    }

    /// The AWS CLI's ratio, and after it what it has no words for.
    fn ratio(&self, name: &str) -> String {
        let total = self.total();
        if total == 0 {
            return String::new();
        }
        let mut text = format!("\n{}/{total} {name} files valid", self.valid);
        let rest = [(self.invalid, "INVALID"), (self.unproven, "UNPROVEN"), (self.unreadable, "UNREADABLE")];
        for (count, word) in rest.into_iter().filter(|(count, _)| *count > 0) {
            let _ = write!(text, ", {count}/{total} {name} files {word}");
        }
        text
    }
}

fn kind(kind: Kind) -> &'static str {
    match kind {
        Kind::Digest => "Digest file",
        Kind::BackfillDigest => "(backfill) Digest file",
        Kind::LogFile => "Log file",
        Kind::Link => "Link of digest",
        Kind::Hours => "Hours",
        Kind::Other => "Object",
    }
}

fn reason(finding: &Finding) -> &str {
    finding.reason.as_deref().unwrap_or_default()
}

fn line(finding: &Finding) -> String {
    let object = finding.object.as_ref().map(crate::object::ObjectRef::uri).unwrap_or_default();
    format!("{}\t{object}\t", kind(finding.kind))
}

fn gap_line(finding: &Finding, backfill: bool) -> String {
    let backfill = if backfill { "(backfill) " } else { "" };
    let time = |time: Option<DateTime<Utc>>| time.map(display).unwrap_or_default();
    let (start, end) = (time(finding.start), time(finding.end));
    format!("{backfill}No log files were delivered by CloudTrail between {start} and {end}")
}

fn strict_line(finding: &Finding) -> String {
    let time = |time: Option<DateTime<Utc>>| time.map(display).unwrap_or_default();
    let what = match &finding.object {
        Some(object) => object.uri(),
        None => format!("{} to {}", time(finding.start), time(finding.end)),
    };
    let verdict = match finding.verdict {
        Verdict::Valid => "valid".to_owned(),
        Verdict::Uncovered => "NOT COVERED".to_owned(),
        other => other.name().to_uppercase(),
    };
    let reason = finding.reason.as_ref().map(|reason| format!(": {reason}")).unwrap_or_default();
    format!("Strict\t{}\t{what}\t{verdict}{reason}\n", kind(finding.kind))
}
