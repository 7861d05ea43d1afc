//! `--evidence`: what was found, into a bundle that somebody else can repeat the check from.

use std::collections::{BTreeMap, BTreeSet};
use std::path::PathBuf;
use std::sync::Arc;

use anyhow::{Context as _, Result};
use chrono::{DateTime, TimeDelta, Utc};

use super::Args;
use super::plan::Plan;
use crate::evidence::{About, DigestEvidence, EvidenceWriter, HASH_MISMATCH, LogFileEvidence, Sealed};
use crate::object::ObjectRef;
use crate::validation::{Context, Event, Finding, Kind, Verdict};

/// How far around the digests their keys are asked for again.
const AROUND: TimeDelta = TimeDelta::hours(2);

/// A bundle being filled.
pub(super) struct Evidence {
    path: PathBuf,
    writer: EvidenceWriter,
    context: Arc<Context>,
    about: About,
    accounts: BTreeSet<String>,
    regions: BTreeSet<String>,
    buckets: BTreeSet<String>,
    /// The region that is asked for the keys of the digests now.
    key_region: String,
    /// The keys that have verified a digest, by region, and when.
    keys: BTreeMap<(String, String), (DateTime<Utc>, DateTime<Utc>)>,
    /// The last digest, if it holds: the log files that follow are vouched for.
    vouching: Option<ObjectRef>,
}

impl Evidence {
    /// Begins a bundle, if one was asked for.
    pub(super) fn begin(plan: &Plan, args: &Args) -> Result<Option<Self>> {
        let Some(path) = args.evidence.clone() else { return Ok(None) };
        let about = About {
            trail_arn: args.trail_arn.clone(),
            start_time: Some(plan.options.start),
            end_time: Some(plan.options.end),
            started_at: Some(Utc::now()),
            ..About::default()
        };
        Ok(Some(Self {
            writer: EvidenceWriter::create(&path)?,
            path,
            context: Arc::clone(&plan.context),
            about,
            accounts: BTreeSet::new(),
            regions: BTreeSet::new(),
            buckets: BTreeSet::new(),
            key_region: String::new(),
            keys: BTreeMap::new(),
            vouching: None,
        }))
    }

    /// Takes what was found.
    pub(super) fn take(&mut self, event: &Event<'_>) -> Result<()> {
        match event {
            Event::Started(target) => {
                self.accounts.insert(target.account_id.clone());
                self.regions.insert(target.region.clone());
                self.buckets.insert(target.bucket.clone());
                self.key_region = self.context.key_region.clone().unwrap_or_else(|| target.region.clone());
                self.vouching = None;
            }
            Event::Found(finding) => self.found(finding)?,
            Event::GaveUp(fatal) => self.writer.note(&format!("gave up: {fatal}"))?,
            Event::Digests(_) | Event::Walked | Event::Done(_) => {}
        }
        Ok(())
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
        if let (true, Some(fingerprint), Some(end)) = (holds, &finding.public_key_fingerprint, finding.end) {
            let used = self.keys.entry((self.key_region.clone(), fingerprint.clone())).or_insert((end, end));
            *used = (used.0.min(end), used.1.max(end));
        }
        self.writer.digest(&DigestEvidence {
            object,
            stored: finding.stored.as_ref().map(|stored| (stored.bytes.as_slice(), &stored.metadata)),
            verdict: finding.verdict.name(),
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
            Verdict::Invalid if sha256.is_some_and(|sha256| sha256 != hash_value) => HASH_MISMATCH,
            other => other.name(),
        };
        self.writer.log_file(&LogFileEvidence { object, hash_value, sha256, verdict, detail })
    }

    /// Adds the keys, and ends the bundle.
    pub(super) async fn end(mut self) -> Result<()> {
        for ((region, fingerprint), (from, until)) in &self.keys {
            let keys = self.context.keys.between(region, *from - AROUND, *until + AROUND).await;
            let keys = keys.with_context(|| format!("asking for the public keys of {region} again"))?;
            let key =
                keys.get(fingerprint).with_context(|| format!("the public key {fingerprint} is gone"))?;
            self.writer.public_key(region, &key.public_key());
        }
        let list = |set: BTreeSet<String>| set.into_iter().collect();
        let about = About {
            buckets: list(self.buckets),
            accounts: list(self.accounts),
            regions: list(self.regions),
            ..self.about
        };
        let Sealed { seal, members, bytes } = self.writer.finish(&about)?;
        eprintln!("evidence: {}, {members} files, {bytes} bytes, seal {seal}", self.path.display());
        Ok(())
    }
}
