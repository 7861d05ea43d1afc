//! What can be said of a log file.

use std::fmt;

/// Whether a log file is as CloudTrail wrote it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum State {
    /// The digest that would list it may still come.
    Pending,
    /// A valid digest lists it with the hash that it has.
    Verified,
    /// A digest says that it is not, or the digest that would say so was tampered with.
    Failed,
    /// No digest vouches for it, and none will.
    Uncovered,
}

impl State {
    /// All states, the good one first.
    pub const ALL: [Self; 4] = [Self::Verified, Self::Pending, Self::Uncovered, Self::Failed];

    /// As it stands in the column `integrity`.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Pending => "pending",
            Self::Verified => "verified",
            Self::Failed => "failed",
            Self::Uncovered => "uncovered",
        }
    }
}

impl fmt::Display for State {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// Why a log file is in a state other than verified.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Reason {
    /// Failed: a valid digest lists it with another hash.
    HashMismatch,
    /// Failed: only digests that do not hold list it, or the digest of its hour does not hold.
    BadSignature,
    /// Failed: the digest of its hour is missing, or was replaced.
    BrokenChain,
    /// Failed: a valid digest lists it, and the bucket does not have it.
    Deleted,
    /// Failed: a valid digest lists it, and it could not be unpacked, so it has no hash.
    Unreadable,
    /// Pending: no digest of its time has been seen yet.
    NoDigestYet,
    /// Pending: the digest of its time is there, and its public key could not be looked up.
    KeyNotFound,
    /// Uncovered: valid digests of its time are there, and none lists it.
    NotListed,
    /// Uncovered: no digest of its time came; validation was off, or began later.
    NoDigest,
    /// Uncovered: its name does not say of which account, region and time it is.
    NoKey,
}

impl Reason {
    /// All reasons.
    pub const ALL: [Self; 10] = [
        Self::HashMismatch,
        Self::BadSignature,
        Self::BrokenChain,
        Self::Deleted,
        Self::Unreadable,
        Self::NoDigestYet,
        Self::KeyNotFound,
        Self::NotListed,
        Self::NoDigest,
        Self::NoKey,
    ];

    /// As it stands in the column `integrity_reason`.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::HashMismatch => "hash_mismatch",
            Self::BadSignature => "bad_signature",
            Self::BrokenChain => "broken_chain",
            Self::Deleted => "deleted",
            Self::Unreadable => "unreadable",
            Self::NoDigestYet => "no_digest_yet",
            Self::KeyNotFound => "key_not_found",
            Self::NotListed => "not_listed",
            Self::NoDigest => "no_digest",
            Self::NoKey => "no_key",
        }
    }

    /// The state that it explains.
    pub const fn state(self) -> State {
        match self {
            Self::HashMismatch
            | Self::BadSignature
            | Self::BrokenChain
            | Self::Deleted
            | Self::Unreadable => State::Failed,
            Self::NoDigestYet | Self::KeyNotFound => State::Pending,
            Self::NotListed | Self::NoDigest | Self::NoKey => State::Uncovered,
        }
    }
}

impl fmt::Display for Reason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// What is known of one log file.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Verdict {
    /// It is as CloudTrail wrote it.
    Verified,
    /// Anything else, and why.
    Not(Reason),
}

impl Verdict {
    /// In a word: `verified`, or why not.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Verified => State::Verified.as_str(),
            Self::Not(reason) => reason.as_str(),
        }
    }

    /// Reads that word.
    pub fn parse(word: &str) -> Option<Self> {
        let all = Reason::ALL.into_iter().map(Self::Not).chain([Self::Verified]);
        all.into_iter().find(|verdict| verdict.as_str() == word)
    }

    /// Whether the log file and the digests alone decide it; others follow from the time, or from what
    /// quarantine has.
    pub const fn is_final(self) -> bool {
        match self {
            Self::Verified => true,
            Self::Not(Reason::Deleted | Reason::Unreadable) => false,
            Self::Not(reason) => !matches!(reason.state(), State::Pending),
        }
    }

    /// The state.
    pub const fn state(self) -> State {
        match self {
            Self::Verified => State::Verified,
            Self::Not(reason) => reason.state(),
        }
    }

    /// Why it is not verified.
    pub const fn reason(self) -> Option<Reason> {
        match self {
            Self::Verified => None,
            Self::Not(reason) => Some(reason),
        }
    }
}
