//! The subcommands: arguments, a few calls, an exit code. Only here are clap and standard output known.

mod answer;
pub mod demo;
pub mod generate;
pub mod ingest;
pub mod query;
pub mod sql;
