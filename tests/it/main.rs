//! The tests from outside the crate, in one binary.

#![allow(clippy::unwrap_used, reason = "a test may panic")]

mod athena_doc;
mod aws;
mod conformance;
mod crash;
mod daemon;
mod demo;
mod distinct;
mod evidence;
mod fake_aws;
mod fetch;
mod generate;
mod help;
mod ingest;
mod integrity;
mod interop;
mod interrupted;
mod lake_upkeep;
mod memory;
mod proxy;
mod pruning;
mod python;
mod quarantine;
mod quarantine_command;
mod queue;
mod readme;
mod real_data;
mod reconcile;
mod s3;
mod simulation;
mod slt;
mod soak;
mod sql;
mod sql_names;
mod stand_in;
mod status;
mod support;
mod validate_logs;
mod value;
