//! `trailq demo`: everything once, on made-up logs with an intrusion in them.

use std::collections::HashMap;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::sync::Arc;
use std::time::Instant;

use anyhow::{Context, Result, ensure};
use arrow::array::AsArray;
use tokio_util::sync::CancellationToken;

use crate::bucket::LocalBucket;
use crate::generate::signing::SigningKey;
use crate::generate::{self, Options as Sample};
use crate::ingest::digests::DigestOptions;
use crate::ingest::{self, Options, Progress};
use crate::integrity::State;
use crate::lake::{DigestStatus, Lake};
use crate::log_file::Limits;
use crate::output::{self, Format};
use crate::source::Filter;
use crate::sql::{Script, Session, sources};
use crate::store::S3Options;

/// Walk through an intrusion in made-up logs: ingest them, check them, ask what happened
///
/// Needs nothing but this program: the logs are those of `sample-logs/`, before somebody tampered with two
/// of them, and the lake is in a temporary directory.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// Keep the logs and the lake in this directory, new or empty, to go on with
    #[arg(long, value_name = "DIR")]
    keep: Option<PathBuf>,
}

/// The questions, and what their answers mean.
const QUESTIONS: [(&str, &str); 5] = [
    (
        include_str!("../demo/1-leaked-key.sql"),
        "192.0.2.144 is the pipeline. The key has leaked: a scanner tried it, then 203.0.113.66 did, mostly in vain.",
    ),
    (
        include_str!("../demo/2-reconnaissance.sql"),
        "Nearly everything is refused, except looking around in IAM. And CreateAccessKey, the last call of all.",
    ),
    (
        include_str!("../demo/3-escalation.sql"),
        "CreateAccessKey for rosa.admin, a console session without MFA, then AssumeRole into production.",
    ),
    (
        include_str!("../demo/4-blinded.sql"),
        "One trail and GuardDuty were stopped. The organization's trail was out of reach: it wrote all of this.",
    ),
    (
        include_str!("../demo/5-data-taken.sql"),
        "348 customer files were read, and a snapshot went to an account outside of the organization.",
    ),
];

/// Rows of an answer that the walk shows.
const SHOWN_ROWS: usize = 13;

/// Columns of a table where the terminal does not say.
const WIDTH: u16 = 120;

/// Runs the command.
pub async fn run(args: Args) -> Result<ExitCode> {
    let temporary;
    let dir = if let Some(dir) = &args.keep {
        ensure_new(dir)?;
        dir.clone()
    } else {
        temporary = tempfile::Builder::new()
            .prefix("trailq-demo-")
            .tempdir()
            .context("making a temporary directory")?;
        temporary.path().to_path_buf()
    };
    let mut out = std::io::stdout();
    let outcome = Box::pin(walk(&dir, args.keep.as_deref(), &mut out)).await;
    match outcome {
        Err(error) if output::is_broken_pipe(&error) => Ok(ExitCode::SUCCESS),
        other => other.map(|()| ExitCode::SUCCESS),
    }
}

async fn walk(dir: &Path, kept: Option<&Path>, out: &mut (dyn Write + Send)) -> Result<()> {
    let started = Instant::now();
    let (logs, lake) = (dir.join("logs"), dir.join("lake"));
    writeln!(
        out,
        "trailq demo: three days in the CloudTrail logs of a small bookshop, and an intruder in them.\n"
    )?;
    make_logs(&logs, out)?;
    let lake_at = lake.to_string_lossy().into_owned();
    ingest_logs(&logs, &lake_at, out).await?;
    let session = Session::new(sources::open_lake(&lake_at).await?)?;
    tell_integrity(&session, out).await?;
    writeln!(out, "\nOn the morning of 3 March somebody notices that GuardDuty is gone. What happened?")?;
    for (number, (sql, meaning)) in QUESTIONS.iter().enumerate() {
        ask(number + 1, sql, meaning, &session, out).await?;
    }
    writeln!(out, "\nThat took {:.1} s.", started.elapsed().as_secs_f64())?;
    say_what_next(kept, out)
}

fn make_logs(logs: &Path, out: &mut dyn Write) -> Result<()> {
    // As CloudTrail wrote them: `sample-logs/` has two log files besides that somebody has tampered with.
    let untouched = Sample { tamper: Vec::new(), tamper_in: None, ..Sample::sample() };
    let made = generate::write_directory(&untouched, &SigningKey::demonstration()?, logs)?;
    writeln!(
        out,
        "1. The logs: {} log files and {} signed digests, as CloudTrail puts them into a bucket.",
        made.log_files, made.digests
    )?;
    Ok(())
}

async fn ingest_logs(logs: &Path, lake: &str, out: &mut dyn Write) -> Result<()> {
    let bucket = LocalBucket::open(logs)?.bucket().to_owned();
    let options = Options {
        sources: vec![logs.to_string_lossy().into_owned()],
        rename: Some(format!("s3://{bucket}")),
        filter: Filter::default(),
        memory_limit: 256 << 20,
        threads: ingest::cores(),
        s3: S3Options::default(),
        limits: Limits::default(),
        dry_run: false,
        digests: Some(DigestOptions::default()),
    };
    let lake = Lake::open_or_create(lake).await?;
    let progress = Arc::new(Progress::default());
    let summary = ingest::run(Some(&lake), &options, &progress, &CancellationToken::new()).await?;
    ensure!(
        summary.quarantined.is_empty() && summary.failed == 0,
        "the sample logs did not ingest whole: {summary:?}"
    );
    writeln!(
        out,
        "2. trailq ingest: {} events in {:.2} s, as Parquet in a Delta table. A second run would add nothing.",
        summary.events,
        summary.elapsed.as_secs_f64()
    )?;
    Ok(())
}

/// Tells what the digests say of the log files; ingesting has checked them.
async fn tell_integrity(session: &Session, out: &mut dyn Write) -> Result<()> {
    let digests = counts(session, "SELECT status AS what, count(*) AS n FROM digests GROUP BY 1").await?;
    let log_files =
        counts(session, "SELECT integrity AS what, count(*) AS n FROM log_files GROUP BY 1").await?;
    let of = |counts: &HashMap<String, i64>, what: &str| counts.get(what).copied().unwrap_or(0);
    let all = |counts: &HashMap<String, i64>| counts.values().sum::<i64>();
    writeln!(
        out,
        "3. Signatures: {} of {} digests are valid and link to the one before; {} of {} log files are as CloudTrail\n   \
         wrote them; {} log files are in no digest.",
        of(&digests, DigestStatus::Valid.as_str()),
        all(&digests),
        of(&log_files, State::Verified.as_str()),
        all(&log_files),
        of(&log_files, State::Uncovered.as_str()),
    )?;
    let verified = of(&log_files, State::Verified.as_str());
    ensure!(verified == all(&log_files), "the sample logs are not as they were made");
    Ok(())
}

async fn counts(session: &Session, sql: &str) -> Result<HashMap<String, i64>> {
    let mut counts = HashMap::new();
    for batch in session.collect(sql, &[]).await? {
        let names = arrow::compute::cast(batch.column(0), &arrow::datatypes::DataType::Utf8)?;
        let numbers = batch.column(1).as_primitive::<arrow::datatypes::Int64Type>();
        let rows = names.as_string::<i32>().iter().zip(numbers);
        counts.extend(rows.filter_map(|(name, number)| Some((name?.to_owned(), number?))));
    }
    Ok(counts)
}

async fn ask(
    number: usize,
    sql: &str,
    meaning: &str,
    session: &Session,
    out: &mut (dyn Write + Send),
) -> Result<()> {
    let (question, query) = sql.split_once('\n').unwrap_or(("", sql));
    writeln!(out, "\nQuestion {number}. {}\n", question.trim_start_matches("-- "))?;
    for line in query.trim_end().lines() {
        writeln!(out, "    {line}")?;
    }
    writeln!(out)?;
    let script = Script::parse(sql)?;
    let options = output::Options {
        format: Format::Table,
        max_rows: Some(SHOWN_ROWS),
        width: Some(output::terminal_width().unwrap_or(WIDTH)),
        terminal: true,
        color: output::wants_color(),
        keep_lines: false,
    };
    for statement in script.statements() {
        let answer = session.run(&script, statement, &[]).await?;
        let written = output::write(answer, &options, out).await?;
        if written.left_out > 0 {
            writeln!(out, "… and {} more rows", written.left_out)?;
        }
    }
    writeln!(out, "→ {meaning}")?;
    Ok(())
}

fn say_what_next(kept: Option<&Path>, out: &mut dyn Write) -> Result<()> {
    writeln!(out, "\nNext:")?;
    let lake = match kept {
        Some(dir) => {
            writeln!(out, "  export TRAILQ_LAKE={}/lake", dir.display())?;
            "this lake"
        }
        None => "your own logs",
    };
    if kept.is_none() {
        writeln!(out, "  trailq demo --keep ./demo                  keep the logs and the lake, and ask on")?;
        writeln!(out, "  trailq ingest s3://YOUR-TRAIL-BUCKET       your own logs, into ./trailq-lake")?;
    }
    writeln!(out, "  trailq query list                          questions that are ready to ask")?;
    writeln!(out, "  trailq query run trail-tampering           one of them, of {lake}")?;
    writeln!(
        out,
        "  trailq sql \"SELECT …\"                      anything else, in the SQL that you have for Athena"
    )?;
    Ok(())
}

fn ensure_new(dir: &Path) -> Result<()> {
    let empty = std::fs::read_dir(dir).map_or(!dir.exists(), |mut entries| entries.next().is_none());
    ensure!(empty, "{} is not empty: name a directory that is new", dir.display());
    Ok(())
}
