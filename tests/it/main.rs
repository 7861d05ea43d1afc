//! The tests of whole commands, in one binary.

mod sql;
