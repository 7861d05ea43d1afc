//! The tests from outside the crate, in one binary.

#![allow(clippy::unwrap_used, reason = "a test may panic")]

mod aws;
mod demo;
mod generate;
mod help;
mod ingest;
mod interop;
mod interrupted;
mod memory;
mod python;
mod quarantine;
mod readme;
mod real_data;
mod s3;
mod sql;
mod support;
