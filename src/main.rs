//! The `trailq` command: parse, signals to a token, exit code.

// The futures of a query over an S3 lake nest deeper than the compiler's default allows for.
#![recursion_limit = "256"]

use std::process::ExitCode;

use clap::Parser;
use tokio_util::sync::CancellationToken;
use tracing_subscriber::EnvFilter;
use trailq::commands::{
    collect_metadata, daemon, demo, generate, ingest, lake, quarantine, query, reconcile, sql, status,
    validate_logs, verify_evidence,
};

/// The CloudTrail lake that you run yourself
///
/// trailq puts CloudTrail log files into a lake of Parquet files, each of them once, and answers
/// questions about them in SQL.
#[derive(Debug, Parser)]
#[command(version, about, propagate_version = true)]
#[command(after_help = "Logs go to standard error; TRAILQ_LOG=info shows more of them, TRAILQ_LOG=off none.")]
enum Command {
    /// Walk through an intrusion in made-up logs: ingest them, check them, ask what happened
    Demo(demo::Args),
    /// Put CloudTrail log files into the lake, each of them once
    Ingest(ingest::Args),
    /// Follow the bucket: take log files into the lake as S3 announces them
    Daemon(daemon::Args),
    /// Say how the lake and the daemon are doing
    Status(status::Args),
    /// Ask the events in SQL
    Sql(sql::Args),
    /// Ask questions that have a name
    Query(query::Args),
    /// Check log files against the digests that CloudTrail signed
    ValidateLogs(validate_logs::Args),
    /// Repeat the check that an evidence bundle was written by, without the bucket
    VerifyEvidence(verify_evidence::Args),
    /// Compare the bucket, its digests and the lake
    Reconcile(reconcile::Args),
    /// Save the signatures of digests beside a local copy of their bucket
    CollectMetadata(collect_metadata::Args),
    /// See what could not be stored, and try it again
    Quarantine(quarantine::Args),
    /// Look after the lake: join small files, delete what is not needed, drop old days, check all of it
    Lake(lake::Args),
    /// Make up CloudTrail logs and signed digests, to try things on
    Generate(generate::Args),
}

#[tokio::main]
async fn main() -> ExitCode {
    let (command, effective) = match trailq::config::parse::<Command>() {
        Ok(parsed) => parsed,
        Err(error) => return failed(&error),
    };
    // The demo tells its story itself.
    let default = if matches!(command, Command::Demo(_)) { "error" } else { DEFAULT_LOG };
    log_to_stderr(default, matches!(&command, Command::Daemon(args) if args.logs_json()));
    let stop = CancellationToken::new();
    let result = match command {
        Command::Ingest(args) => {
            stop_on_signal(stop.clone(), "what has been read is still committed");
            Box::pin(ingest::run(args, stop)).await
        }
        Command::Demo(args) => Box::pin(demo::run(args)).await,
        Command::Daemon(args) => {
            stop_on_signal(stop.clone(), "what is in hand is finished or handed back");
            Box::pin(daemon::run(args, effective, stop)).await
        }
        Command::Status(args) => Box::pin(status::run(args)).await,
        Command::ValidateLogs(args) => Box::pin(validate_logs::run(args)).await,
        Command::VerifyEvidence(args) => Box::pin(verify_evidence::run(args)).await,
        Command::Reconcile(args) => Box::pin(reconcile::run(args)).await,
        Command::CollectMetadata(args) => Box::pin(collect_metadata::run(args)).await,
        Command::Quarantine(args) => Box::pin(quarantine::run(args)).await,
        Command::Lake(args) => {
            if args.ends_in_order() {
                stop_on_signal(stop.clone(), "what has been joined is still committed");
            }
            Box::pin(lake::run(args, stop)).await
        }
        Command::Sql(args) => Box::pin(sql::run(args)).await,
        Command::Query(args) => Box::pin(query::run(args)).await,
        Command::Generate(args) => generate::run(args),
    };
    result.unwrap_or_else(|error| failed(&error))
}

fn failed(error: &anyhow::Error) -> ExitCode {
    eprintln!("error: {}", told(error));
    ExitCode::from(2)
}

/// Warnings, how an ingest run is getting on where no terminal shows it, and what the daemon does.
const DEFAULT_LOG: &str =
    "warn,trailq::commands::ingest=info,trailq::commands::daemon=info,trailq::daemon=info";

/// An error with its causes. Names of files and answers of servers are in it, so what a terminal would obey
/// is spelt out.
fn told(error: &anyhow::Error) -> String {
    trailq::output::escape(&trailq::output::causes(error), true).into_owned()
}

fn log_to_stderr(default: &str, json: bool) {
    // The kernel crate reports a table that does not exist yet as an error.
    let quiet = ",delta_kernel=off,buoyant_kernel=off";
    let level = std::env::var("TRAILQ_LOG").unwrap_or_else(|_| default.to_owned());
    let filter = EnvFilter::try_new(format!("{level}{quiet}"))
        .unwrap_or_else(|_| EnvFilter::new(format!("warn{quiet}")));
    let terminal = std::io::IsTerminal::is_terminal(&std::io::stderr());
    let log = tracing_subscriber::fmt().with_env_filter(filter).with_writer(std::io::stderr);
    if json {
        log.json().flatten_event(true).with_ansi(false).init();
    } else {
        log.with_target(false).with_ansi(terminal && trailq::output::wants_color()).init();
    }
}

/// The first signal asks for an orderly end, the second ends at once. Nothing is lost either way.
fn stop_on_signal(stop: CancellationToken, meanwhile: &'static str) {
    tokio::spawn(async move {
        let mut signals = Signals::new();
        signals.next().await;
        tracing::warn!("stopping: {meanwhile}; a second signal ends at once");
        stop.cancel();
        signals.next().await;
        std::process::exit(130);
    });
}

/// SIGINT and SIGTERM, listened to all the time: none is missed between one and the next.
struct Signals {
    #[cfg(unix)]
    terminate: Option<tokio::signal::unix::Signal>,
    #[cfg(unix)]
    interrupt: Option<tokio::signal::unix::Signal>,
}

impl Signals {
    #[cfg(unix)]
    fn new() -> Self {
        use tokio::signal::unix::{SignalKind, signal};
        Signals {
            terminate: signal(SignalKind::terminate()).ok(),
            interrupt: signal(SignalKind::interrupt()).ok(),
        }
    }

    #[cfg(unix)]
    async fn next(&mut self) {
        let wait = async |signal: &mut Option<tokio::signal::unix::Signal>| match signal {
            Some(signal) => signal.recv().await,
            None => std::future::pending().await,
        };
        tokio::select! {
            _ = wait(&mut self.terminate) => {}
            _ = wait(&mut self.interrupt) => {}
        }
    }

    #[cfg(not(unix))]
    fn new() -> Self {
        Signals {}
    }

    #[cfg(not(unix))]
    async fn next(&mut self) {
        let _ = tokio::signal::ctrl_c().await;
    }
}
