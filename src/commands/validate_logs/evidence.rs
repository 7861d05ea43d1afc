//! `--evidence`: what the check goes by, in a bundle that others can repeat it from.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use anyhow::{Result, bail};

use super::Args;
use super::plan::Plan;
use crate::evidence::{About, DigestEvidence, EvidenceWriter, HASH_MISMATCH, LogFileEvidence, VALID};
use crate::validation::{Event, Finding, Kind, Outcome, Verdict};

/// A bundle being written while the check goes on.
pub(super) struct Evidence {
    path: PathBuf,
    writer: EvidenceWriter,
    about: About,
}

impl Evidence {
    pub(super) fn new(path: &Path, plan: &Plan, args: &Args) -> Result<Self> {
        let distinct = |values: BTreeSet<&String>| values.into_iter().cloned().collect();
        let about = About {
            buckets: distinct(plan.targets.iter().map(|target| &target.bucket).collect()),
            trail_arn: args.trail_arn.clone(),
            accounts: distinct(plan.targets.iter().map(|target| &target.account_id).collect()),
            regions: distinct(plan.targets.iter().map(|target| &target.region).collect()),
            start_time: Some(plan.options.start),
            end_time: Some(plan.options.end),
            started_at: Some(plan.options.now),
        };
        Ok(Evidence { path: path.to_owned(), writer: EvidenceWriter::create(path)?, about })
    }

    pub(super) fn tell(&mut self, event: &Event<'_>) -> Result<()> {
        match event {
            Event::Found(finding) => self.found(finding),
            Event::Done(outcome) => {
                for key in &outcome.keys {
                    self.writer.public_key(&outcome.target.region, &key.public_key());
                }
                Ok(())
            }
            _ => Ok(()),
        }
    }

    fn found(&mut self, finding: &Finding) -> Result<()> {
        let Some(object) = &finding.object else { return Ok(()) };
        let detail = finding.reason.as_deref();
        match finding.kind {
            Kind::Digest | Kind::BackfillDigest => {
                let stored =
                    finding.stored.as_ref().map(|stored| (stored.bytes.as_slice(), &stored.metadata));
                let verdict = if finding.verdict == Verdict::Valid { VALID } else { finding.verdict.name() };
                self.writer.digest(&DigestEvidence { object, stored, verdict, detail })
            }
            Kind::LogFile if finding.verdict == Verdict::Unlisted => {
                self.writer.unlisted(object, None, finding.verdict.name(), detail)
            }
            Kind::LogFile => {
                let sha256 = finding.sha256.as_deref();
                let verdict = match finding.verdict {
                    Verdict::Valid => VALID,
                    Verdict::Invalid if sha256.is_some() => HASH_MISMATCH,
                    other => other.name(),
                };
                let hash_value = finding.expected_sha256.as_deref().unwrap_or_default();
                self.writer.log_file(&LogFileEvidence { object, hash_value, sha256, verdict, detail })
            }
            Kind::Link | Kind::Hours | Kind::Other => Ok(()),
        }
    }

    pub(super) fn finish(self, outcomes: &[Outcome]) -> Result<()> {
        if outcomes.is_empty() || outcomes.iter().any(|outcome| !outcome.strict) {
            bail!("{} was not written, since the check was not completed", self.path.display());
        }
        let sealed = self.writer.finish(&self.about)?;
        eprintln!("evidence: {}, {} bytes, seal {}", self.path.display(), sealed.bytes, sealed.seal);
        Ok(())
    }
}
