//! `trailq query`: the named questions.

use std::io::{self, IsTerminal, Write};
use std::process::ExitCode;
use std::sync::Arc;

use anyhow::{Context, Result};
use arrow::array::{ArrayRef, StringArray};
use arrow::record_batch::RecordBatch;

use super::answer::{Output, Source, answer, quiet_on_broken_pipe};
use crate::output::{self, Format, Options};
use crate::sql::named::{self, NamedQuery};
use crate::sql::{Answer, Script};

/// Ask questions that have a name.
#[derive(Debug, clap::Args)]
pub struct Args {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, clap::Subcommand)]
enum Command {
    /// List the questions and the values that they ask for
    List,
    /// Print the SQL of a question
    Show {
        /// The name of the question
        name: String,
    },
    /// Answer a question
    Run(Box<Run>),
}

#[derive(Debug, clap::Args)]
struct Run {
    /// The name of the question
    name: String,
    /// A value that the question asks for (repeatable)
    #[arg(short, long = "parameter", value_name = "NAME=VALUE")]
    parameter: Vec<String>,
    #[command(flatten)]
    source: Source,
    #[command(flatten)]
    output: Output,
}

/// Runs the command.
pub async fn run(args: Args) -> Result<ExitCode> {
    let result = match args.command {
        Command::List => list().await,
        Command::Show { name } => show(&name),
        Command::Run(args) => args.run().await,
    };
    quiet_on_broken_pipe(result)
}

impl Run {
    async fn run(&self) -> Result<ExitCode> {
        let query = named::find(&self.name)?;
        let parameters = query.bind(&self.parameter)?;
        let script = Script::parse(query.sql).with_context(|| format!("query {}", query.name))?;
        answer(&script, &parameters, &self.source, &self.output).await
    }
}

fn show(name: &str) -> Result<ExitCode> {
    let query = named::find(name)?;
    io::stdout().write_all(query.sql.as_bytes()).context("writing the query")?;
    Ok(ExitCode::SUCCESS)
}

async fn list() -> Result<ExitCode> {
    let queries = named::all();
    let column = |text: fn(&NamedQuery) -> String| -> ArrayRef {
        Arc::new(StringArray::from_iter_values(queries.iter().map(text)))
    };
    let batch = RecordBatch::try_from_iter([
        ("name", column(|query| query.name.to_owned())),
        ("question", column(|query| query.question.to_owned())),
        ("parameters", column(parameters)),
    ])?;
    let answer = Answer::of(batch);
    let options = Options {
        width: output::terminal_width(),
        terminal: io::stdout().is_terminal(),
        color: output::wants_color(),
        ..Options::plain(Format::Table)
    };
    output::write(answer, &options, &mut io::stdout()).await?;
    Ok(ExitCode::SUCCESS)
}

fn parameters(query: &NamedQuery) -> String {
    let each = query.parameters.iter().map(|parameter| match parameter.default {
        Some(default) => format!("{}={default}", parameter.name),
        None => parameter.name.to_owned(),
    });
    each.collect::<Vec<_>>().join(", ")
}
