//! `trailq sql`: SQL over the lake, or over log files in place.

use std::io::{self, IsTerminal, Read};
use std::path::PathBuf;
use std::process::ExitCode;

use anyhow::{Context, Result, bail};

use super::answer::{Output, Source, answer, quiet_on_broken_pipe};
use crate::sql::Script;

/// Ask the events in SQL.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// One or more statements, separated by semicolons; without them they are read from standard input
    #[arg(value_name = "SQL", conflicts_with = "file")]
    sql: Option<String>,
    /// Read the statements from FILE (repeatable)
    #[arg(short, long, value_name = "FILE")]
    file: Vec<PathBuf>,
    /// The value of the next ? in the statements, as text (repeatable)
    #[arg(short, long = "parameter", value_name = "VALUE")]
    parameter: Vec<String>,
    #[command(flatten)]
    source: Source,
    #[command(flatten)]
    output: Output,
}

/// Runs the command.
pub async fn run(args: Args) -> Result<ExitCode> {
    quiet_on_broken_pipe(run_scripts(&args).await)
}

async fn run_scripts(args: &Args) -> Result<ExitCode> {
    let text = args.text()?;
    let script = Script::parse(&text)?;
    if script.statements().is_empty() {
        bail!("there is no statement in the SQL");
    }
    let numbered = args.parameter.iter().enumerate();
    let parameters: Vec<_> = numbered.map(|(at, value)| ((at + 1).to_string(), value.clone())).collect();
    answer(&script, &parameters, &args.source, &args.output).await
}

impl Args {
    fn text(&self) -> Result<String> {
        if let Some(sql) = &self.sql {
            return Ok(sql.clone());
        }
        match self.file.as_slice() {
            [] => from_stdin(),
            [file] => read(file),
            files => joined(files),
        }
    }
}

/// Several files as one script; each is checked alone first, so that an error names its file and line.
fn joined(files: &[PathBuf]) -> Result<String> {
    let mut text = String::new();
    for file in files {
        let sql = read(file)?;
        Script::parse(&sql).with_context(|| format!("in {}", file.display()))?;
        text.push_str(&sql);
        // A line of its own, since the file may end in a comment.
        text.push_str("\n;\n");
    }
    Ok(text)
}

fn read(file: &PathBuf) -> Result<String> {
    std::fs::read_to_string(file).with_context(|| format!("cannot read {}", file.display()))
}

fn from_stdin() -> Result<String> {
    if io::stdin().is_terminal() {
        bail!(
            "no SQL: try  trailq sql \"SELECT eventname, count(*) FROM cloudtrail_logs GROUP BY 1 ORDER BY 2 DESC\""
        );
    }
    let mut text = String::new();
    io::stdin().read_to_string(&mut text).context("cannot read SQL from standard input")?;
    Ok(text)
}
