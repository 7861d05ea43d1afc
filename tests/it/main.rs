<<<<<<< HEAD
//! The tests of whole commands, in one binary.

mod sql;
=======
//! Tests from outside the crate, in one binary.

#![allow(clippy::unwrap_used, reason = "a test may panic")]

mod generate;
>>>>>>> gen
