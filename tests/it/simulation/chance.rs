//! Chance by seed. Whether something goes wrong depends on what it happens to and for the how many-th
//! time, not on what other threads have done before: so a seed repeats itself.

use std::collections::HashMap;
use std::hash::{DefaultHasher, Hash as _, Hasher as _};
use std::sync::Mutex;
use std::time::Duration;

pub(super) struct Chance {
    seed: u64,
    times: Mutex<HashMap<(&'static str, u64), u64>>,
}

impl Chance {
    pub(super) fn new(seed: u64) -> Self {
        Chance { seed, times: Mutex::default() }
    }

    /// Any number below `limit`, for this thing and this time.
    pub(super) fn below(&self, what: &'static str, which: u64, limit: u64) -> u64 {
        let mut times = self.times.lock().unwrap();
        let time = times.entry((what, which)).or_default();
        *time += 1;
        let mut hash = DefaultHasher::new();
        (self.seed, what, which, *time).hash(&mut hash);
        fastrand::Rng::with_seed(hash.finish()).u64(..limit.max(1))
    }

    /// Whether it happens, in so many of a hundred cases.
    pub(super) fn percent(&self, what: &'static str, which: u64, percent: u64) -> bool {
        self.below(what, which, 100) < percent
    }

    /// A time up to `most`, in so many of a hundred cases; else none.
    pub(super) fn delay(&self, what: &'static str, which: u64, percent: u64, most: Duration) -> Duration {
        if !self.percent(what, which, percent) {
            return Duration::ZERO;
        }
        most.mul_f64(f64::from(u32::try_from(self.below(what, which, 1000)).unwrap()) / 1000.0)
    }
}
