//! What a validation finds: one record per digest and per log file, and one for what should be there
//! and is not.

use std::sync::Arc;

use chrono::{DateTime, Utc};
use serde::Serialize;

use super::StoredObject;
use crate::object::ObjectRef;

/// What a finding is about.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Kind {
    /// A digest.
    Digest,
    /// A digest that lists what an earlier one missed.
    BackfillDigest,
    /// A log file.
    LogFile,
    /// The link of a digest to the one before.
    Link,
    /// Hours that no valid digest covers.
    Hours,
    /// Something in the folder of the digests that is none.
    Other,
}

/// Whether it holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Verdict {
    /// As CloudTrail wrote it.
    Valid,
    /// Not as CloudTrail wrote it.
    Invalid,
    /// A digest names it, and it is not there.
    Missing,
    /// It is there, and no digest names it.
    Unlisted,
    /// Could not be read: the network, permissions, archived. It may well be valid.
    Unreadable,
    /// Nothing is wrong, and nothing is proven: there is no signature at hand.
    Unproven,
    /// No digest covers these hours.
    Uncovered,
    /// Worth knowing, and not wrong.
    Note,
}

impl Verdict {
    /// The word in texts and JSON.
    pub fn name(self) -> &'static str {
        match self {
            Verdict::Valid => "valid",
            Verdict::Invalid => "invalid",
            Verdict::Missing => "missing",
            Verdict::Unlisted => "unlisted",
            Verdict::Unreadable => "unreadable",
            Verdict::Unproven => "unproven",
            Verdict::Uncovered => "uncovered",
            Verdict::Note => "note",
        }
    }

    /// Whether a run that finds it has not proven what it was asked to prove.
    pub fn fails(self) -> bool {
        !matches!(self, Verdict::Valid | Verdict::Note)
    }
}

/// What the AWS CLI makes of the same thing.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Told {
    /// `valid`.
    Valid,
    /// `INVALID: ` and this.
    Invalid(String),
    /// `No log files were delivered by CloudTrail between … and …`.
    Gap {
        /// Whether between backfill digests.
        backfill: bool,
    },
    /// Nothing: the AWS CLI does not see it, or would give up here.
    Nothing,
}

/// One thing that was looked at.
#[derive(Debug, Clone, Serialize)]
pub struct Finding {
    /// What it is about.
    pub kind: Kind,
    /// The object, if it is one.
    #[serde(serialize_with = "as_uri", rename = "object", skip_serializing_if = "Option::is_none")]
    pub object: Option<ObjectRef>,
    /// Whether it holds.
    pub verdict: Verdict,
    /// Why not.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
    /// The digest that lists the log file, or links to the digest.
    #[serde(serialize_with = "as_uri", skip_serializing_if = "Option::is_none")]
    pub digest: Option<ObjectRef>,
    /// The account whose events these are.
    pub account_id: String,
    /// The region of the events.
    pub region: String,
    /// Name of the trail.
    pub trail: String,
    /// Beginning of the hours that a digest covers, or that are not covered.
    #[serde(serialize_with = "as_time", skip_serializing_if = "Option::is_none")]
    pub start: Option<DateTime<Utc>>,
    /// End of those hours.
    #[serde(serialize_with = "as_time", skip_serializing_if = "Option::is_none")]
    pub end: Option<DateTime<Utc>>,
    /// Hex SHA-256 that the digest lists, or that the next digest has of this one.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub expected_sha256: Option<String>,
    /// Hex SHA-256 of the uncompressed bytes found.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub sha256: Option<String>,
    /// Name of the public key that signed the digest.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub public_key_fingerprint: Option<String>,
    /// Whether the AWS CLI says so too. What it does not see is found by strict checks alone.
    pub strict_only: bool,
    /// What the AWS CLI makes of it.
    #[serde(skip)]
    pub told: Told,
    /// A digest as it was loaded, if [`super::Options::keep_digests`] asks for it.
    #[serde(skip)]
    pub stored: Option<Arc<StoredObject>>,
}

impl Finding {
    /// Whether a run that finds it has not proven what it was asked to prove.
    pub fn fails(&self) -> bool {
        self.verdict.fails()
    }
}

#[expect(clippy::ref_option, reason = "serde calls it so")]
fn as_uri<S: serde::Serializer>(object: &Option<ObjectRef>, to: S) -> Result<S::Ok, S::Error> {
    object.as_ref().map(ObjectRef::uri).serialize(to)
}

#[expect(clippy::ref_option, reason = "serde calls it so")]
fn as_time<S: serde::Serializer>(time: &Option<DateTime<Utc>>, to: S) -> Result<S::Ok, S::Error> {
    time.map(display).serialize(to)
}

/// A time as the AWS CLI prints it, fractions cut.
pub fn display(time: DateTime<Utc>) -> String {
    time.format("%Y-%m-%dT%H:%M:%SZ").to_string()
}
