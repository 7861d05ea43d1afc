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

use crate::generate::signing::SigningKey;
use crate::generate::{self, Options as Sample};
use crate::ingest::{self, Options, Progress};
use crate::lake::Lake;
use crate::log_file::Limits;
use crate::output::{self, Format};
use crate::source::Filter;
use crate::sql::{Script, Session, sources};
use crate::validation::{LocalBucket, LogFileVerdict, PUBLIC_KEYS_FILE, read_public_keys, validate};

/// Walk through an intrusion in made-up logs: ingest them, check them, ask what happened
///
/// Needs nothing but this program: the logs are those of `sample-logs/`, made anew, and the lake is in a
/// temporary directory.
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
    let outcome = walk(&dir, args.keep.as_deref(), &mut out).await;
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
    check_digests(&logs, &session, out).await?;
    writeln!(out, "\nOn the morning of 3 March somebody notices that GuardDuty is gone. What happened?")?;
    for (number, (sql, meaning)) in QUESTIONS.iter().enumerate() {
        ask(number + 1, sql, meaning, &session, out).await?;
    }
    writeln!(out, "\nThat took {:.1} s.", started.elapsed().as_secs_f64())?;
    say_what_next(kept, out)
}

fn make_logs(logs: &Path, out: &mut dyn Write) -> Result<()> {
    let made = generate::write_directory(&Sample::sample(), &SigningKey::demonstration()?, logs)?;
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
        limits: Limits::default(),
        dry_run: false,
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

/// Checks the digests, with the hashes that were taken while ingesting.
async fn check_digests(logs: &Path, session: &Session, out: &mut dyn Write) -> Result<()> {
    let bucket = LocalBucket::open(logs)?;
    let keys = read_public_keys(&logs.join(PUBLIC_KEYS_FILE))?;
    let hashes = ingested_hashes(session).await?;
    let sha256_of = |_: &str, key: &str| hashes.get(key).copied();
    let report = validate(bucket.bucket(), &bucket.keys(), &keys, |object| bucket.load(object), sha256_of)?;
    writeln!(
        out,
        "3. Signatures: {} of {} digests are valid and link to the one before; {} of {} log files are as CloudTrail\n   \
         wrote them; {} log files are in no digest.",
        report.digests.len() - report.invalid_digests(),
        report.digests.len(),
        report.log_files.len() - report.invalid_log_files(),
        report.log_files.len(),
        report.suspicious_log_files(),
    )?;
    for log_file in &report.log_files {
        let told = match &log_file.verdict {
            LogFileVerdict::Valid => continue,
            LogFileVerdict::HashMismatch { .. } => "changed",
            LogFileVerdict::Missing => "deleted",
            LogFileVerdict::Unreadable(_) => "unreadable",
        };
        let name = log_file.object.key.rsplit('/').next().unwrap_or_default();
        writeln!(out, "   {told}: {}", output::escape(name, true))?;
    }
    ensure!(
        (report.invalid_digests(), report.invalid_log_files(), report.suspicious_log_files()) == (0, 2, 0),
        "the sample logs are not as they were made"
    );
    Ok(())
}

async fn ingested_hashes(session: &Session) -> Result<HashMap<String, [u8; 32]>> {
    let mut hashes = HashMap::new();
    for batch in
        session.collect("SELECT cast(key AS varchar), cast(sha256 AS varchar) FROM log_files", &[]).await?
    {
        let text =
            |column: usize| arrow::compute::cast(batch.column(column), &arrow::datatypes::DataType::Utf8);
        let (keys, sums) = (text(0)?, text(1)?);
        let (keys, sums) = (keys.as_string::<i32>(), sums.as_string::<i32>());
        for (key, sum) in keys.iter().zip(sums) {
            if let (Some(key), Some(sum)) =
                (key, sum.and_then(crate::hex::decode).and_then(|sum| sum.try_into().ok()))
            {
                hashes.insert(key.to_owned(), sum);
            }
        }
    }
    Ok(hashes)
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
