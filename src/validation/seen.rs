//! What a walk through the digests has seen, for strict checks to ask.

use std::collections::{BTreeSet, HashMap, HashSet};
use std::hash::{BuildHasher as _, RandomState};

use super::fetched::Checked;
use super::keys::Keys;
use crate::object::{LogKey, ObjectRef};

/// What is known of a digest once it was looked at.
#[derive(Debug, Clone)]
pub(super) enum Fact {
    /// It holds.
    Holds(Box<Checked>),
    /// It is there and does not hold, or could not be read.
    Fails,
    /// It is not there.
    Missing,
}

/// What a walk has seen.
#[derive(Default)]
pub(super) struct Seen {
    pub(super) digests: HashMap<ObjectRef, Fact>,
    pub(super) log_files: LogFiles,
    /// Keys by the name that digests have for them.
    pub(super) keys: Keys,
}

/// The log files that valid digests list, a number each: under a random function, so that nobody can choose a
/// name that passes for another.
#[derive(Default)]
pub(super) struct LogFiles {
    hashes: HashSet<u64>,
    hasher: RandomState,
    folders: BTreeSet<(String, String)>,
}

impl LogFiles {
    pub(super) fn insert(&mut self, object: &ObjectRef) {
        let hash = self.hasher.hash_one((&object.bucket, &object.key));
        self.hashes.insert(hash);
        // Above the folders of year, month and day.
        if let Some(folder) = object.key.rsplitn(5, '/').nth(4) {
            let known = |(bucket, known): &(String, String)| *bucket == object.bucket && known == folder;
            if !self.folders.iter().any(known) && LogKey::parse(&object.key).is_some() {
                self.folders.insert((object.bucket.clone(), folder.to_owned()));
            }
        }
    }

    /// Buckets and folders that the log files lie in, above those of the days.
    pub(super) fn folders(&self) -> &BTreeSet<(String, String)> {
        &self.folders
    }

    pub(super) fn contains(&self, object: &ObjectRef) -> bool {
        self.hashes.contains(&self.hasher.hash_one((&object.bucket, &object.key)))
    }
}
