//! What the digests prove about the log files of a lake.
//!
//! Facts are stored, verdicts are derived. The lake keeps what was seen: log files with their SHA-256
//! (the ledger), and digests with what they list and whether their signature holds. From these and
//! the present time [`Evidence`] says what is known of a log file, so it does not matter in which
//! order things arrive, how often, or who writes them down.
//!
//! [`Keys`] and [`Checker`] make the facts of a digest, [`audit`] draws the conclusions that somebody
//! should act on. What cannot be proven is said in `docs/integrity.md`.

mod audit;
mod checker;
mod evidence;
mod fact;
mod failures;
mod gap_table;
mod gaps;
mod keys;
mod state;
mod trail;
mod verdicts;

#[cfg(test)]
mod tests;

pub use audit::{Absent, Audit, Failed, audit, audit_dates};
pub use checker::Checker;
pub use evidence::Evidence;
pub(crate) use evidence::rank;
pub use fact::{DigestFact, Link, LogFileFact, Mark};
pub use failures::{Failures, failures};
pub use gap_table::GapTable;
pub use gaps::{Gap, Why, gaps};
pub use keys::{Answer, Keys, remembered};
pub use state::{Reason, State, Verdict};
pub(crate) use verdicts::{Basis, Verdicts};
