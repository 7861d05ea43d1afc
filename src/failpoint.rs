//! Fail points: named places at which a test lets the process die as `kill -9` would.
//!
//! `TRAILQ_FAIL_POINT=before_commit:3` ends it the third time that it comes to `before_commit`, and
//! `before_commit` alone the first time. Without the variable a fail point costs one look at a flag.

use std::sync::OnceLock;
use std::sync::atomic::{AtomicU64, Ordering};

/// Just before Parquet files are written.
pub const BEFORE_WRITE: &str = "before_write";
/// Parquet files are written, and nothing points to them yet.
pub const AFTER_WRITE: &str = "after_write";
/// Just before the commit.
pub const BEFORE_COMMIT: &str = "before_commit";
/// Committed, and no message is deleted yet.
pub const AFTER_COMMIT: &str = "after_commit";
/// Just before messages are deleted.
pub const BEFORE_DELETE: &str = "before_delete";
/// Some messages are deleted.
pub const AFTER_DELETE: &str = "after_delete";

/// Files of the lake are replaced by others: those are written, and nothing points to them yet.
pub const BEFORE_SWAP: &str = "before_swap";
/// They are committed.
pub const AFTER_SWAP: &str = "after_swap";
/// Vacuum has deleted the files of a table, and not yet the commits.
pub const WHILE_VACUUMING: &str = "while_vacuuming";

/// A log file is read, and its rows are among those of others. Here a test lets the reader panic.
pub const PANIC_IN_READER: &str = "panic_in_reader";

/// All names of places to die at while log files are taken in.
pub const ALL: [&str; 6] =
    [BEFORE_WRITE, AFTER_WRITE, BEFORE_COMMIT, AFTER_COMMIT, BEFORE_DELETE, AFTER_DELETE];

/// And while the lake is looked after.
pub const UPKEEP: [&str; 3] = [BEFORE_SWAP, AFTER_SWAP, WHILE_VACUUMING];

/// The place where this process is to die, and how many times it passes there before.
#[derive(Debug, PartialEq, Eq)]
struct Plan {
    name: String,
    at: u64,
}

impl Plan {
    fn parse(text: &str) -> Self {
        let (name, at) = text.split_once(':').unwrap_or((text, "1"));
        Plan { name: name.to_owned(), at: at.parse().unwrap_or(1) }
    }
}

/// Dies here if that was asked for: at once, without flushing, unwinding or letting anybody know.
pub fn reach(name: &str) {
    if is_planned(name) {
        std::process::abort();
    }
}

/// Panics here if that was asked for.
///
/// # Panics
///
/// If `TRAILQ_FAIL_POINT` names this place.
pub fn panic_at(name: &str) {
    assert!(!is_planned(name), "asked for by TRAILQ_FAIL_POINT");
}

fn is_planned(name: &str) -> bool {
    static PLAN: OnceLock<Option<Plan>> = OnceLock::new();
    static REACHED: AtomicU64 = AtomicU64::new(0);
    let plan = PLAN.get_or_init(|| std::env::var("TRAILQ_FAIL_POINT").ok().map(|text| Plan::parse(&text)));
    plan.as_ref()
        .is_some_and(|plan| plan.name == name && REACHED.fetch_add(1, Ordering::SeqCst) + 1 == plan.at)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_fail_point_is_named_with_or_without_a_count() {
        let plan = |name: &str, at| Plan { name: name.to_owned(), at };
        assert_eq!(Plan::parse("before_commit"), plan("before_commit", 1));
        assert_eq!(Plan::parse("after_delete:12"), plan("after_delete", 12));
    }
}
