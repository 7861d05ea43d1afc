//! The ids of events in memory: exact, and small for those that look as AWS makes them.

use std::collections::hash_map::Entry;
use std::collections::{HashMap, HashSet};
use std::hash::{BuildHasher, Hash, RandomState};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

/// Sets are split so that threads rarely wait for each other.
const SHARDS: u64 = 64;

/// An event's account and id.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(super) enum Id {
    /// A UUID in the usual spelling, and an account of twelve digits or none.
    Usual([u64; 2], Option<u64>),
    /// Whatever else somebody wrote.
    Other(Arc<(Option<String>, String)>),
}

impl Id {
    pub(super) fn of(account: Option<&str>, event_id: &str) -> Self {
        if let (Some(uuid), Some(number)) = (uuid(event_id), account.map(digits).map_or(Some(None), wrap)) {
            return Self::Usual(uuid, number);
        }
        Self::Other(Arc::new((account.map(str::to_owned), event_id.to_owned())))
    }
}

#[expect(clippy::option_option, reason = "no account, or one that is no number")]
fn wrap(number: Option<u64>) -> Option<Option<u64>> {
    number.map(Some)
}

/// Twelve digits as a number: of this length no two texts are the same number.
fn digits(account: &str) -> Option<u64> {
    let usual = account.len() == 12 && account.bytes().all(|byte| byte.is_ascii_digit());
    if usual { account.parse().ok() } else { None }
}

/// A UUID in lower case with its four hyphens: of this spelling no two texts are the same number.
fn uuid(text: &str) -> Option<[u64; 2]> {
    let text: &[u8; 36] = text.as_bytes().try_into().ok()?;
    let (mut number, mut digits) = ([0_u64; 2], 0);
    for (at, byte) in text.iter().enumerate() {
        if matches!(at, 8 | 13 | 18 | 23) {
            if *byte != b'-' {
                return None;
            }
            continue;
        }
        let digit = match byte {
            b'0'..=b'9' => byte - b'0',
            b'a'..=b'f' => byte - b'a' + 10,
            _ => return None,
        };
        number[digits / 16] = number[digits / 16] << 4 | u64::from(digit);
        digits += 1;
    }
    Some(number)
}

/// A map in shards.
struct Sharded<T> {
    shards: Vec<Mutex<T>>,
    hasher: RandomState,
}

impl<T: Default> Sharded<T> {
    fn new() -> Self {
        Self { shards: (0..SHARDS).map(|_| Mutex::default()).collect(), hasher: RandomState::new() }
    }

    fn of(&self, id: &Id) -> MutexGuard<'_, T> {
        // Of a UUID some bits will do; the map hashes all of it again, with a key of its own.
        let bits = match id {
            Id::Usual([high, low], _) => high ^ low,
            Id::Other(_) => self.hasher.hash_one(id),
        };
        let shard = usize::try_from(bits % SHARDS).unwrap_or_default();
        self.shards[shard].lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Which events were met.
pub(super) struct Met {
    ids: Sharded<HashSet<Id>>,
}

impl Met {
    pub(super) fn new() -> Self {
        Self { ids: Sharded::new() }
    }

    /// Whether this event is met for the first time.
    pub(super) fn is_new(&self, id: Id) -> bool {
        self.ids.of(&id).insert(id)
    }
}

/// Where a row stands: a number for its log file, and the record's index in that.
pub(super) type Place = (u32, i32);

/// The first place of each event, by name of the log file and index.
pub(super) struct Firsts {
    places: Sharded<HashMap<Id, Place>>,
    log_files: Mutex<LogFiles>,
}

#[derive(Default)]
struct LogFiles {
    numbers: HashMap<Arc<str>, u32>,
    names: Vec<Arc<str>>,
}

impl Firsts {
    pub(super) fn new() -> Self {
        Self { places: Sharded::new(), log_files: Mutex::default() }
    }

    /// The number of a log file.
    pub(super) fn number(&self, log_file: &str) -> u32 {
        let mut log_files = self.log_files();
        if let Some(number) = log_files.numbers.get(log_file) {
            return *number;
        }
        let (name, number): (Arc<str>, _) = (log_file.into(), log_files.names.len());
        let number = u32::try_from(number).unwrap_or(u32::MAX);
        log_files.names.push(name.clone());
        log_files.numbers.insert(name, number);
        number
    }

    pub(super) fn note(&self, id: Id, place: Place) {
        match self.places.of(&id).entry(id) {
            Entry::Vacant(vacant) => drop(vacant.insert(place)),
            Entry::Occupied(mut known) => {
                if self.is_before(place, *known.get()) {
                    known.insert(place);
                }
            }
        }
    }

    /// Whether a row of this event at this place is the one to show.
    pub(super) fn is_first(&self, id: &Id, place: Place) -> bool {
        self.places.of(id).get(id) == Some(&place)
    }

    fn is_before(&self, place: Place, other: Place) -> bool {
        if place.0 == other.0 {
            return place.1 < other.1;
        }
        let names = &self.log_files().names;
        names[place.0 as usize] < names[other.0 as usize]
    }

    fn log_files(&self) -> MutexGuard<'_, LogFiles> {
        self.log_files.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ids_are_equal_only_if_their_texts_are() {
        let usual = "0f1e2d3c-4b5a-6978-8796-a5b4c3d2e1f0";
        let texts = [usual, &usual.to_uppercase(), &usual.replace('-', "_"), "", "x"];
        let accounts = [None, Some("111122223333"), Some("011122223333"), Some("11122223333"), Some("")];
        let mut ids = HashSet::new();
        for text in texts {
            for account in accounts {
                assert!(ids.insert(Id::of(account, text)), "{account:?} {text}");
            }
        }
        assert!(matches!(Id::of(accounts[1], usual), Id::Usual(_, Some(111_122_223_333))));
        assert_eq!(Id::of(None, usual), Id::of(None, usual));
    }

    #[test]
    fn the_first_place_is_that_of_the_first_name_and_index() {
        let firsts = Firsts::new();
        let (b, a) = (firsts.number("b"), firsts.number("a"));
        let id = || Id::of(None, "x");
        for place in [(b, 0), (a, 3), (b, 1), (a, 2), (a, 9)] {
            firsts.note(id(), place);
        }
        assert!(firsts.is_first(&id(), (a, 2)));
        assert!(!firsts.is_first(&id(), (b, 0)));
        assert!(!firsts.is_first(&Id::of(None, "y"), (a, 2)));
    }
}
