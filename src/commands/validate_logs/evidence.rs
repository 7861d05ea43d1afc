//! `--evidence`: what the check goes by, in a bundle that others can repeat it from.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use anyhow::{Result, bail};

use super::Args;
use super::plan::Plan;
use crate::evidence::{About, DigestEvidence, EvidenceWriter, HASH_MISMATCH, LogFileEvidence, VALID};
use crate::object::ObjectRef;
use crate::validation::{Event, Finding, Kind, Outcome, Verdict};

/// A bundle being written while the check goes on.
pub(super) struct Evidence {
    path: PathBuf,
    writer: EvidenceWriter,
    about: About,
    /// The last digest, if it holds: the log files that follow are vouched for.
    vouching: Option<ObjectRef>,
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
        Ok(Evidence { path: path.to_owned(), writer: EvidenceWriter::create(path)?, about, vouching: None })
    }

    pub(super) fn tell(&mut self, event: &Event<'_>) -> Result<()> {
        match event {
            Event::Found(finding) => self.found(finding),
            Event::Done(outcome) => {
                for listed in &outcome.keys {
                    let key = listed.public_key();
                    // A key in another form was not taken, as the AWS CLI does not take it.
                    if key.pkcs1 == listed.der {
                        self.writer.public_key(&outcome.target.region, &key);
                    }
                }
                Ok(())
            }
            _ => Ok(()),
        }
    }

    fn found(&mut self, finding: &Finding) -> Result<()> {
        match (finding.kind, &finding.object) {
            (Kind::Digest | Kind::BackfillDigest, Some(object)) => self.digest(finding, object),
            (Kind::LogFile, Some(object)) => self.log_file(finding, object),
            _ => self.writer.note(finding),
        }
    }

    fn digest(&mut self, finding: &Finding, object: &ObjectRef) -> Result<()> {
        let holds = finding.verdict == Verdict::Valid;
        self.vouching = holds.then(|| object.clone());
        self.writer.digest(&DigestEvidence {
            object,
            stored: finding.stored.as_ref().map(|stored| (stored.bytes.as_slice(), &stored.metadata)),
            verdict: if holds { VALID } else { finding.verdict.name() },
            detail: finding.reason.as_deref(),
        })
    }

    fn log_file(&mut self, finding: &Finding, object: &ObjectRef) -> Result<()> {
        let (sha256, detail) = (finding.sha256.as_deref(), finding.reason.as_deref());
        let is_vouched_for = self.vouching.is_some() && finding.digest == self.vouching;
        let Some(hash_value) = finding.expected_sha256.as_deref().filter(|_| is_vouched_for) else {
            let verdict = match finding.verdict {
                // It has the hash that a digest lists which does not hold.
                Verdict::Valid => Verdict::Unproven,
                other => other,
            };
            return self.writer.unlisted(object, sha256, verdict.name(), detail);
        };
        let verdict = match finding.verdict {
            Verdict::Valid => VALID,
            Verdict::Invalid if sha256.is_some_and(|sha256| sha256 != hash_value) => HASH_MISMATCH,
            other => other.name(),
        };
        self.writer.log_file(&LogFileEvidence { object, hash_value, sha256, verdict, detail })
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
