//! What goes wrong on purpose, by a seed.

use std::time::Duration;

/// Of so many cases, how many go wrong.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Share(pub(crate) f64);

/// How often what goes wrong. Nothing by default.
#[derive(Debug, Clone)]
pub(crate) struct Faults {
    pub(crate) rng: fastrand::Rng,
    /// Answered with 503, or SQS's way to say it.
    pub(crate) throttled: Share,
    /// Answered with 500, and not done.
    pub(crate) failed: Share,
    /// Done, and answered with nothing: the connection ends.
    pub(crate) unanswered: Share,
    /// Bodies of objects that break off.
    pub(crate) cut: Share,
    /// Entries of a batch that fail, the others not.
    pub(crate) entries: Share,
    /// Messages delivered once more while somebody has them.
    pub(crate) twice: Share,
    /// Answered late.
    pub(crate) slow: Share,
    /// How late, at most.
    pub(crate) delay: Duration,
}

impl Default for Faults {
    fn default() -> Self {
        Faults::none(0)
    }
}

impl Faults {
    pub(crate) fn none(seed: u64) -> Self {
        let never = Share(0.0);
        Faults {
            rng: fastrand::Rng::with_seed(seed),
            throttled: never,
            failed: never,
            unanswered: never,
            cut: never,
            entries: never,
            twice: never,
            slow: never,
            delay: Duration::ZERO,
        }
    }

    pub(crate) fn happens(&mut self, share: Share) -> bool {
        share.0 > 0.0 && self.rng.f64() < share.0
    }

    pub(crate) fn delay(&mut self) -> Duration {
        if self.happens(self.slow) { self.delay.mul_f64(self.rng.f64()) } else { Duration::ZERO }
    }

    /// Any number below `limit`.
    pub(crate) fn below(&mut self, limit: usize) -> usize {
        self.rng.usize(..limit.max(1))
    }
}
