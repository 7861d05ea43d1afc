//! The tests from outside the crate, in one binary.

#![allow(clippy::unwrap_used, reason = "a test may panic")]

mod generate;
mod readme;
mod sql;
