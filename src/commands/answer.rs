//! What `sql` and `query` share: which events are asked, and where and how the answer is written.

use std::fs::File;
use std::io::{self, BufWriter, IsTerminal, Write};
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::time::Instant;

use anyhow::{Context, Result, bail};
use chrono::Utc;

use crate::output::{self, Format, Options, Summary, counted};
use crate::sql::{Script, Session, SessionOptions, Statement, TimeRange, parse_bound, sources};

/// Which events are asked.
#[derive(Debug, clap::Args)]
#[command(next_help_heading = "Events")]
pub(super) struct Source {
    /// The lake: a directory or an S3 URL
    #[arg(long, value_name = "LOCATION", env = "TRAILQ_LAKE", default_value = "./trailq-lake")]
    lake: String,
    /// Read log files in place, without a lake: a directory, a file, a glob or an S3 URL (repeatable)
    #[arg(long, value_name = "SOURCE")]
    from: Vec<String>,
    /// Only events since then: 2026-01-05, 2026-01-05T13:51:00Z, or 24h, 7d ago
    #[arg(long, value_name = "TIME")]
    since: Option<String>,
    /// Only events before then
    #[arg(long, value_name = "TIME")]
    until: Option<String>,
    /// Each event once, though two trails may have delivered it in two log files
    #[arg(long)]
    distinct: bool,
    /// Another name of `cloudtrail_logs`, as your queries have it (repeatable)
    #[arg(long = "table", value_name = "NAME", env = "TRAILQ_TABLE", value_delimiter = ',')]
    tables: Vec<String>,
    /// A name for the lake as CloudTrail Lake would show it; any event data store id means it anyway (repeatable)
    #[arg(
        long = "event-data-store",
        value_name = "NAME",
        env = "TRAILQ_EVENT_DATA_STORE",
        value_delimiter = ','
    )]
    event_data_stores: Vec<String>,
}

/// Where and how the answer is written.
#[derive(Debug, clap::Args)]
#[command(next_help_heading = "Output")]
pub(super) struct Output {
    /// The format [default: table on a terminal, else by the name of --output, else csv]
    #[arg(long, value_enum)]
    format: Option<Format>,
    /// Write to FILE, which appears only once it is complete
    #[arg(short = 'o', long = "output", value_name = "FILE")]
    path: Option<PathBuf>,
    /// The most rows that a table shows, 0 for all; other formats always have all
    #[arg(long, value_name = "N", default_value_t = 1000)]
    max_rows: usize,
}

/// Runs the statements of `script` one after another and writes their answers.
pub(super) async fn answer(
    script: &Script,
    parameters: &[(String, String)],
    source: &Source,
    output: &Output,
) -> Result<ExitCode> {
    let format = output.format(script)?;
    let session = source.session(script).await?;
    let mut sink = Sink::open(output.path.as_deref())?;
    for (number, statement) in script.statements().iter().enumerate() {
        let started = Instant::now();
        let answer = session.run(script, statement, parameters).await?;
        if let Some(note) = &answer.note {
            eprintln!("{}", output::escape(note, false));
            continue;
        }
        if number > 0 && format == Format::Table {
            writeln!(sink).context("writing the answer")?;
        }
        let options = output.options(format, statement);
        let summary = output::write(answer, &options, &mut sink).await?;
        say_left_out(summary, &mut sink)?;
        eprintln!("{} in {:.2} s", rows(summary.rows), started.elapsed().as_secs_f64());
    }
    sink.finish()?;
    Ok(ExitCode::SUCCESS)
}

impl Source {
    async fn session(&self, script: &Script) -> Result<Session> {
        let range = self.range()?;
        let tables = if !script.statements().iter().any(Statement::reads_tables) {
            sources::no_tables()
        } else if self.from.is_empty() {
            sources::open_lake(&self.lake).await?
        } else {
            sources::open_files(&self.from).await?
        };
        let options = SessionOptions {
            range,
            distinct: self.distinct,
            table_names: self.tables.clone(),
            event_data_stores: self.event_data_stores.clone(),
        };
        Session::open(tables, options)
    }

    fn range(&self) -> Result<TimeRange> {
        let now = Utc::now();
        let bound = |text: &Option<String>, name: &str| {
            text.as_deref().map(|text| parse_bound(text, now).context(format!("--{name}"))).transpose()
        };
        Ok(TimeRange { since: bound(&self.since, "since")?, until: bound(&self.until, "until")? })
    }
}

impl Output {
    fn format(&self, script: &Script) -> Result<Format> {
        let format = self.format.unwrap_or_else(|| self.default_format());
        if format != Format::Parquet {
            return Ok(format);
        }
        if self.path.is_none() && io::stdout().is_terminal() {
            bail!("Parquet is not for a terminal: give a file with --output FILE");
        }
        if script.statements().len() != 1 {
            bail!("a Parquet file holds the answer of one statement, not of {}", script.statements().len());
        }
        Ok(format)
    }

    fn default_format(&self) -> Format {
        let Some(file) = &self.path else {
            return if io::stdout().is_terminal() { Format::Table } else { Format::Csv };
        };
        match file.extension().and_then(|extension| extension.to_str()) {
            Some("parquet") => Format::Parquet,
            Some("json") => Format::Json,
            Some("ndjson" | "jsonl") => Format::Ndjson,
            Some("txt") => Format::Table,
            _ => Format::Csv,
        }
    }

    fn options(&self, format: Format, statement: &Statement) -> Options {
        let terminal = self.path.is_none() && io::stdout().is_terminal();
        Options {
            format,
            max_rows: Some(self.max_rows).filter(|&rows| rows > 0),
            width: if terminal { output::terminal_width() } else { None },
            terminal,
            color: terminal && output::wants_color(),
            keep_lines: statement.is_explain(),
        }
    }
}

/// Says, in the table's own place, that it does not show everything.
fn say_left_out(summary: Summary, sink: &mut Sink) -> Result<()> {
    if summary.left_out == 0 && !summary.more {
        return Ok(());
    }
    let more = if summary.more { "more than " } else { "" };
    let left_out = rows(summary.left_out);
    writeln!(sink, "… and {more}{left_out} not shown: --max-rows 0 shows all, --format csv writes all")
        .context("writing the answer")
}

fn rows(number: usize) -> String {
    counted(number as u64, "row")
}

/// Standard output, or a file that gets its name only when it is complete.
enum Sink {
    Stdout(BufWriter<io::Stdout>),
    File { out: BufWriter<File>, partial: Option<PathBuf>, path: PathBuf },
}

impl Sink {
    fn open(path: Option<&Path>) -> Result<Self> {
        let Some(path) = path else { return Ok(Self::Stdout(BufWriter::new(io::stdout()))) };
        // A pipe or a device is written to; renaming a file over it would replace it.
        let special = path.metadata().is_ok_and(|metadata| !metadata.is_file());
        let partial = (!special).then(|| {
            let mut name = path.as_os_str().to_owned();
            name.push(".partial");
            PathBuf::from(name)
        });
        let target = partial.as_deref().unwrap_or(path);
        let file = File::create(target).with_context(|| format!("cannot write {}", target.display()))?;
        Ok(Self::File { out: BufWriter::new(file), partial, path: path.to_owned() })
    }

    fn finish(mut self) -> Result<()> {
        self.flush().context("writing the answer")?;
        if let Self::File { partial, path, .. } = &mut self
            && let Some(partial) = partial.take()
        {
            std::fs::rename(&partial, &*path).with_context(|| format!("cannot write {}", path.display()))?;
        }
        Ok(())
    }
}

impl Drop for Sink {
    fn drop(&mut self) {
        // What was not finished failed, and its half is nobody's answer.
        if let Self::File { partial: Some(partial), .. } = self {
            let _ = std::fs::remove_file(partial);
        }
    }
}

impl Write for Sink {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        match self {
            Self::Stdout(out) => out.write(bytes),
            Self::File { out, .. } => out.write(bytes),
        }
    }

    fn flush(&mut self) -> io::Result<()> {
        match self {
            Self::Stdout(out) => out.flush(),
            Self::File { out, .. } => out.flush(),
        }
    }
}

/// Turns "nobody reads any more" into success, as `| head` expects.
pub(super) fn quiet_on_broken_pipe(result: Result<ExitCode>) -> Result<ExitCode> {
    match result {
        Err(error) if output::is_broken_pipe(&error) => Ok(ExitCode::SUCCESS),
        other => other,
    }
}

#[cfg(test)]
mod tests {
    use super::rows;

    #[test]
    fn numbers_of_rows_are_readable() {
        let numbers: Vec<_> = [0, 1, 999, 1_000, 1_234_567].into_iter().map(rows).collect();
        assert_eq!(numbers, ["0 rows", "1 row", "999 rows", "1,000 rows", "1,234,567 rows"]);
    }
}
