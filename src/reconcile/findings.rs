//! What a comparison can find.

use chrono::NaiveDate;
use serde::Serialize;

use crate::lake::DigestEntry;

/// A kind of finding.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Section {
    /// A valid digest lists the log file with another hash than it has.
    Altered,
    /// A valid digest lists the log file, and the bucket does not have it.
    Missing,
    /// The log file is in the bucket, and no digest of its time lists it.
    Injected,
    /// The digest that would vouch for the log file does not hold, is missing, or was replaced.
    Untrusted,
    /// The digests stopped before the log file.
    DigestsStopped,
    /// A digest does not hold.
    InvalidDigest,
    /// The lake has checked a digest that is no longer in the bucket.
    MissingDigest,
    /// A time of which a trail has no digest that holds.
    NoDigest,
    /// A digest whose public key could not be looked up, or an object that may not be read.
    NotJudged,
    /// The log file is in the bucket and not in the lake.
    NotInLake,
    /// The log file is in the lake's quarantine.
    Quarantined,
    /// The log file is in the lake and no longer in the bucket, as happens when it expires.
    Expired,
    /// No digest is or was there for the log file's time: validation was off.
    Uncovered,
    /// A time before a chain of digests begins anew: validation was off.
    ValidationOff,
    /// An object in a folder of CloudTrail's that is neither log file nor digest by its name.
    Foreign,
}

impl Section {
    /// All of them, what is suspicious first.
    pub const ALL: [Self; 15] = [
        Self::Altered,
        Self::Missing,
        Self::Injected,
        Self::Untrusted,
        Self::DigestsStopped,
        Self::InvalidDigest,
        Self::MissingDigest,
        Self::NoDigest,
        Self::NotJudged,
        Self::NotInLake,
        Self::Quarantined,
        Self::Expired,
        Self::Uncovered,
        Self::ValidationOff,
        Self::Foreign,
    ];

    /// Its name in JSON.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Altered => "altered",
            Self::Missing => "missing",
            Self::Injected => "injected",
            Self::Untrusted => "untrusted",
            Self::DigestsStopped => "digests_stopped",
            Self::InvalidDigest => "invalid_digest",
            Self::MissingDigest => "missing_digest",
            Self::NoDigest => "no_digest",
            Self::NotJudged => "not_judged",
            Self::NotInLake => "not_in_lake",
            Self::Quarantined => "quarantined",
            Self::Expired => "expired",
            Self::Uncovered => "uncovered",
            Self::ValidationOff => "validation_off",
            Self::Foreign => "foreign",
        }
    }

    /// What it means, for a heading.
    pub const fn title(self) -> &'static str {
        match self {
            Self::Altered => "altered: not what CloudTrail wrote",
            Self::Missing => "missing: a digest lists them, and the bucket does not have them",
            Self::Injected => "injected: in the bucket, and in no digest of their time",
            Self::Untrusted => "untrusted: the digest that would vouch for them does not hold or is missing",
            Self::DigestsStopped => "unsigned since: after the last digest, for more than a day",
            Self::InvalidDigest => "invalid: digests that do not hold",
            Self::MissingDigest => "gone: digests that the lake has checked, and the bucket no longer has",
            Self::NoDigest => "unproven: times without a digest that holds",
            Self::NotJudged => "could not be judged",
            Self::NotInLake => "in the bucket and not in the lake",
            Self::Quarantined => "in the lake's quarantine",
            Self::Expired => "in the lake and no longer in the bucket",
            Self::Uncovered => "from a time without digests",
            Self::ValidationOff => "unsigned: times when validation was off",
            Self::Foreign => "in folders of CloudTrail's, and neither log file nor digest",
        }
    }

    /// Whether somebody should look into it. The rest is information.
    pub const fn is_suspicious(self) -> bool {
        match self {
            Self::Altered
            | Self::Missing
            | Self::Injected
            | Self::Untrusted
            | Self::DigestsStopped
            | Self::InvalidDigest
            | Self::MissingDigest
            | Self::NoDigest
            | Self::NotJudged => true,
            Self::NotInLake
            | Self::Quarantined
            | Self::Expired
            | Self::Uncovered
            | Self::ValidationOff
            | Self::Foreign => false,
        }
    }
}

/// One finding.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Finding {
    /// Its kind.
    pub section: Section,
    /// The log file, the digest, or account, region and trail of a time.
    pub subject: String,
    /// More of it, in words.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub detail: Option<String>,
    /// The digest that says so.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub digest: Option<String>,
}

impl Finding {
    /// A finding without more words.
    pub fn new(section: Section, subject: impl Into<String>) -> Self {
        Self { section, subject: subject.into(), detail: None, digest: None }
    }

    /// The same with words.
    #[must_use]
    pub fn because(mut self, detail: impl Into<String>) -> Self {
        self.detail = Some(detail.into());
        self
    }

    /// The same with the digest that says so.
    #[must_use]
    pub fn says(mut self, digest: Option<&str>) -> Self {
        self.digest = digest.map(str::to_owned);
        self
    }
}

/// How much was compared.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize)]
pub struct Totals {
    /// Log files in the bucket.
    pub log_files: u64,
    /// Those that a valid digest lists, with the hash that they have.
    pub verified: u64,
    /// Those that a valid digest lists, and whose hash nobody has taken yet.
    pub listed: u64,
    /// Those whose digest may still come.
    pub pending: u64,
    /// Those that are in the lake.
    pub in_lake: u64,
    /// Digests that were read.
    pub digests_read: u64,
    /// Digests that the lake had checked before.
    pub digests_known: u64,
}

/// What a day has brought to light.
#[derive(Debug, Clone)]
pub struct DayReport {
    /// The day.
    pub date: NaiveDate,
    /// What was found.
    pub findings: Vec<Finding>,
    /// How much was compared.
    pub totals: Totals,
    /// Keys of log files that the lake lacks and may have: nothing speaks against them.
    pub lacking: Vec<String>,
    /// Digests that the lake has not seen yet.
    pub new_digests: Vec<DigestEntry>,
}

impl DayReport {
    pub(super) fn new(date: NaiveDate) -> Self {
        let (findings, lacking, new_digests) = (Vec::new(), Vec::new(), Vec::new());
        Self { date, findings, totals: Totals::default(), lacking, new_digests }
    }

    pub(super) fn add(&mut self, finding: Finding) {
        self.findings.push(finding);
    }
}

impl std::ops::AddAssign for Totals {
    fn add_assign(&mut self, other: Self) {
        self.log_files += other.log_files;
        self.verified += other.verified;
        self.listed += other.listed;
        self.pending += other.pending;
        self.in_lake += other.in_lake;
        self.digests_read += other.digests_read;
        self.digests_known += other.digests_known;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_suspicious_comes_first() {
        let order: Vec<bool> = Section::ALL.iter().map(|section| section.is_suspicious()).collect();
        assert!(order.is_sorted_by(|a, b| a >= b));
        assert!(Section::ALL.is_sorted());
        for section in Section::ALL {
            assert_eq!(serde_json::to_value(section).unwrap(), section.name());
        }
    }
}
