//! The subcommands: arguments, a few calls, an exit code. Only here are clap and standard output known.

mod answer;
mod aws;
pub mod collect_metadata;
pub mod daemon;
pub mod demo;
pub mod generate;
pub mod ingest;
pub mod lake;
mod place;
pub mod quarantine;
pub mod query;
pub mod reconcile;
pub mod sql;
pub mod status;
pub mod validate_logs;
pub mod verify_evidence;
