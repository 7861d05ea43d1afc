//! The `trailq` command: parse, run, exit code.

use std::process::ExitCode;

use clap::Parser;
use tracing_subscriber::EnvFilter;
use trailq::commands::{query, sql};

/// The CloudTrail lake that you run yourself.
#[derive(Debug, Parser)]
#[command(version, about)]
enum Command {
    /// Ask the events in SQL
    Sql(sql::Args),
    /// Ask questions that have a name
    Query(query::Args),
}

#[tokio::main]
async fn main() -> ExitCode {
    let filter = EnvFilter::try_from_env("TRAILQ_LOG").unwrap_or_else(|_| EnvFilter::new("warn"));
    tracing_subscriber::fmt().with_env_filter(filter).with_writer(std::io::stderr).init();
    let result = match Command::parse() {
        Command::Sql(args) => sql::run(args).await,
        Command::Query(args) => query::run(args).await,
    };
    result.unwrap_or_else(|error| {
        eprintln!("error: {error:#}");
        ExitCode::from(2)
    })
}
