//! `trailq ingest`: log files into the lake, each once.

use std::io::{IsTerminal, Write};
use std::path::PathBuf;
use std::process::ExitCode;
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Result, bail};
use chrono::NaiveDate;
use tokio_util::sync::CancellationToken;
use tracing::info;

use super::aws::Access;
use crate::ingest::digests::{DigestOptions, Digests};
use crate::ingest::{self, Options, Progress, Summary};
use crate::integrity::State;
use crate::lake::Lake;
use crate::log_file::Limits;
use crate::output::{escape, thousands};
use crate::source::Filter;

/// Put CloudTrail log files into the lake, each of them once
///
/// Running it again adds nothing; an interrupted run is resumed by running it again. What cannot be
/// read as a record is kept in the table `quarantine`, with its place and the reason, and the
/// command then ends with exit code 1.
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples:
  trailq ingest ./AWSLogs
  trailq ingest s3://my-trail-bucket --from 2026-01-01 --account 111122223333
  trailq ingest './export/*.json.gz' --lake s3://my-lake-bucket/trailq
  trailq ingest ./bucket-copy --as s3://my-trail-bucket
  trailq ingest s3://their-bucket --bucket name=their-bucket,role_arn=arn:aws:iam::444455556666:role/reader
  trailq ingest s3://my-trail-bucket --config /etc/trailq/trailq.toml")]
pub struct Args {
    /// A directory, a file, a glob, or an S3 URL (repeatable)
    #[arg(value_name = "SOURCE", required = true)]
    sources: Vec<String>,

    /// The lake: a directory or an S3 URL; it is created if it is not there
    #[arg(long, value_name = "LOCATION", env = "TRAILQ_LAKE", default_value = "./trailq-lake")]
    lake: String,

    /// Only log files of this date and later, by the date in their keys
    #[arg(long, value_name = "YYYY-MM-DD")]
    from: Option<NaiveDate>,

    /// Only log files up to this date, included
    #[arg(long, value_name = "YYYY-MM-DD")]
    to: Option<NaiveDate>,

    /// Only log files of this account (repeatable)
    #[arg(long, value_name = "ACCOUNT")]
    account: Vec<String>,

    /// Only log files of this region (repeatable)
    // The daemon's settings have a `region` that says something else.
    #[arg(id = "regions", long = "region", value_name = "REGION")]
    region: Vec<String>,

    /// What the rows call the source: for a local copy of a bucket, the bucket it is a copy of
    #[arg(long = "as", value_name = "s3://BUCKET[/PREFIX]")]
    rename: Option<String>,

    /// Public keys to check digests by, as `aws cloudtrail list-public-keys` prints them (repeatable)
    ///
    /// Without it CloudTrail is asked for the keys of digests on S3, and a local copy may have them in
    /// `public-keys.json` beside `AWSLogs`.
    #[arg(long, value_name = "FILE", conflicts_with = "no_digests")]
    public_keys: Vec<PathBuf>,

    /// Leave digest files unread: no log file gets verified by them
    #[arg(long)]
    no_digests: bool,

    /// Say what would be done, and do nothing
    #[arg(long)]
    dry_run: bool,

    /// End with exit code 0 even if something went to quarantine
    #[arg(long)]
    allow_quarantine: bool,

    /// Memory for log files and rows on their way, in MB
    #[arg(long, value_name = "MB", default_value_t = 384, value_parser = clap::value_parser!(u32).range(32..))]
    memory_limit: u32,

    /// Threads that read log files [default: one a core]
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u16).range(1..=512))]
    threads: Option<u16>,

    /// The most records that a log file may have; one that has more goes to quarantine
    #[arg(long, value_name = "N", default_value_t = Limits::default().records, value_parser = clap::value_parser!(u64).range(1..))]
    max_records: u64,

    #[command(flatten)]
    access: Access,
}

/// Log files that failed and are told one by one.
const TOLD_FAILED: usize = 20;

/// Runs the command; `stop` is cancelled by the first signal.
pub async fn run(args: Args, stop: CancellationToken) -> Result<ExitCode> {
    let options = args.options()?;
    // Before the lake is created: a source that is misspelt should leave nothing behind.
    crate::source::check(&args.sources)?;
    let lake = args.open_lake().await?;
    let progress = Arc::new(Progress::default());
    let display = tokio::spawn(show(progress.clone()));
    let outcome = ingest::run(lake.as_ref(), &options, &progress, &stop).await;
    display.abort();
    let _ = display.await;
    let summary = outcome?;
    print(&summary, &args)?;
    Ok(args.exit_code(&summary))
}

impl Args {
    fn options(&self) -> Result<Options> {
        if let (Some(from), Some(to)) = (self.from, self.to)
            && from > to
        {
            bail!("--from {from} is after --to {to}: nothing lies between");
        }
        if let Some(base) = &self.rename
            && base.strip_prefix("s3://").is_none_or(str::is_empty)
        {
            bail!("--as takes s3://BUCKET or s3://BUCKET/PREFIX, not {base}");
        }
        Ok(Options {
            sources: self.sources.clone(),
            rename: self.rename.clone(),
            filter: Filter {
                from: self.from,
                to: self.to,
                accounts: self.account.clone(),
                regions: self.region.clone(),
            },
            s3: self.access.store(),
            memory_limit: self.memory_limit as usize * 1_000_000,
            threads: self.threads.map_or_else(ingest::cores, usize::from),
            limits: Limits { records: self.max_records, ..Limits::default() },
            dry_run: self.dry_run,
            digests: (!self.no_digests).then(|| DigestOptions {
                public_keys: self.public_keys.clone(),
                cloudtrail: self.access.cloudtrail(),
            }),
        })
    }

    /// A dry run creates no lake: where there is none, everything would be new.
    async fn open_lake(&self) -> Result<Option<Lake>> {
        if !self.dry_run {
            return Lake::open_or_create(&self.lake).await.map(Some);
        }
        if Lake::exists(&self.lake).await? { Lake::open(&self.lake).await.map(Some) } else { Ok(None) }
    }

    fn exit_code(&self, summary: &Summary) -> ExitCode {
        if summary.stopped {
            // As shells have it for a command that was interrupted.
            return ExitCode::from(130);
        }
        let quarantined = !summary.quarantined.is_empty() && !self.allow_quarantine;
        let tampered = summary.integrity.as_ref().is_some_and(is_tampered);
        ExitCode::from(u8::from(quarantined || summary.failed > 0 || tampered))
    }
}

/// Shows the progress until it is aborted: a bar on a terminal, a line now and then elsewhere.
async fn show(progress: Arc<Progress>) {
    if std::io::stderr().is_terminal() { show_bar(&progress).await } else { show_lines(&progress).await }
}

async fn show_bar(progress: &Progress) {
    let template = "{spinner} {bar:30} {msg}";
    let style = indicatif::ProgressStyle::with_template(template)
        .unwrap_or_else(|_| indicatif::ProgressStyle::default_bar());
    let bar = Cleared(indicatif::ProgressBar::new(0).with_style(style.progress_chars("█▉▊▋▌▍▎▏ ")));
    let started = std::time::Instant::now();
    loop {
        let (found, found_bytes, all) = progress.found_so_far();
        let (done, done_bytes) = progress.done_so_far();
        let events = progress.events_so_far();
        let rate = count_rate(events, started.elapsed());
        bar.0.set_length(found_bytes.max(1));
        bar.0.set_position(done_bytes);
        let more = if all { "" } else { "+" };
        let left = if all {
            format!("{} left", indicatif::HumanDuration(bar.0.eta()))
        } else {
            "still listing".to_owned()
        };
        bar.0.set_message(format!(
            "{}/{}{more} files  {}/{}  {} events  {}/s  {left}",
            thousands(done),
            thousands(found),
            bytes(done_bytes),
            bytes(found_bytes),
            thousands(events),
            thousands(rate),
        ));
        tokio::time::sleep(Duration::from_millis(120)).await;
    }
}

/// A bar that leaves the terminal as it was, however its task ends.
struct Cleared(indicatif::ProgressBar);

impl Drop for Cleared {
    fn drop(&mut self) {
        self.0.finish_and_clear();
    }
}

async fn show_lines(progress: &Progress) {
    let started = std::time::Instant::now();
    loop {
        tokio::time::sleep(Duration::from_secs(15)).await;
        let (found, found_bytes, all) = progress.found_so_far();
        let (done, done_bytes) = progress.done_so_far();
        let events = progress.events_so_far();
        let rate = count_rate(events, started.elapsed());
        info!(
            files = done,
            found,
            listed = all,
            bytes = done_bytes,
            found_bytes,
            events,
            events_per_second = rate,
            "ingesting"
        );
    }
}

fn print(summary: &Summary, args: &Args) -> Result<()> {
    let mut out = std::io::stdout().lock();
    let mut table = comfy_table::Table::new();
    table.load_preset(comfy_table::presets::NOTHING);
    for (name, value) in rows(summary, args) {
        table.add_row(vec![name, value]);
    }
    writeln!(out, "{}", table.trim_fmt())?;
    for failure in &summary.failures {
        writeln!(out, "  failed: {}", escape(&failure.error, false))?;
    }
    if let Some(digests) = &summary.integrity {
        print_failed(digests, &mut out)?;
    }
    if let Some(hint) = hint(summary, args) {
        writeln!(out, "{hint}")?;
    }
    Ok(())
}

fn rows(summary: &Summary, args: &Args) -> Vec<(String, String)> {
    let mut rows = Vec::new();
    let mut row = |name: &str, value: String| rows.push((name.to_owned(), value));
    row("log files found", format!("{}  ({})", thousands(summary.found), bytes(summary.found_bytes)));
    row("  already in the lake", thousands(summary.known));
    if summary.changed > 0 {
        row("    of them changed since", thousands(summary.changed));
    }
    if summary.reappeared > 0 {
        row("    of them missing before, now read", thousands(summary.reappeared));
    }
    if args.dry_run {
        row("  would be ingested", thousands(summary.found - summary.known));
    } else {
        row("  new in the lake", thousands(summary.new));
    }
    if summary.failed > 0 {
        row("  failed", thousands(summary.failed));
    }
    for (name, count) in [
        ("left out by the filter", summary.filtered),
        ("digest files", summary.digests),
        ("other files", summary.others),
    ] {
        if count > 0 {
            row(&format!("{name} (not read)"), thousands(count));
        }
    }
    if args.dry_run {
        return rows;
    }
    if let Some(digests) = &summary.integrity {
        digest_rows(digests, &mut row);
    }
    row("events added", thousands(summary.events));
    if summary.odd_values.total() > 0 {
        row("  odd values in them, kept", odd_values(summary));
    }
    row("quarantined", quarantined(summary));
    let commits = summary.version.map_or_else(
        || "none".to_owned(),
        |version| {
            format!("{}, now at version {version}, {} added", summary.commits, bytes(summary.lake_bytes))
        },
    );
    row("commits", commits);
    let seconds = summary.elapsed.as_secs_f64();
    let rate = format!(
        "{seconds:.1} s  ({} events/s, {}/s of JSON)",
        thousands(count_rate(summary.events, summary.elapsed)),
        bytes(count_rate(summary.raw_bytes, summary.elapsed)),
    );
    row("time", rate);
    rows
}

/// The digests by outcome, and the log files of the days that were touched by state.
fn digest_rows(digests: &Digests, row: &mut impl FnMut(&str, String)) {
    if digests.found > 0 {
        row("digest files found", thousands(digests.found));
    }
    for (name, count) in [
        ("  known to be valid", digests.known),
        ("  valid", digests.valid),
        ("  INVALID", digests.invalid),
        ("  MISSING", digests.missing),
        ("  without their public key", digests.key_not_found),
        ("  not checked", digests.not_checked),
        ("  failed", digests.failed),
    ] {
        if count > 0 {
            row(name, thousands(count));
        }
    }
    let Some(audit) = digests.audit.as_ref().filter(|_| digests.found > digests.not_checked) else { return };
    for (name, state) in [
        ("log files verified", State::Verified),
        ("  pending", State::Pending),
        ("  uncovered", State::Uncovered),
        ("  FAILED", State::Failed),
    ] {
        if audit.count(state) > 0 || state == State::Verified {
            row(name, thousands(audit.count(state)));
        }
    }
    if digests.not_here > 0 {
        row("  listed, but not among the sources", thousands(digests.not_here));
    }
}

fn is_tampered(digests: &Digests) -> bool {
    let failed = digests.audit.as_ref().is_some_and(|audit| audit.count(State::Failed) > 0);
    failed || digests.invalid > 0 || digests.missing > 0
}

/// The log files that failed, one a line.
fn print_failed(digests: &Digests, out: &mut impl Write) -> Result<()> {
    let Some(audit) = &digests.audit else { return Ok(()) };
    let mut failures: Vec<_> = audit.failed.iter().collect();
    failures.sort_unstable_by_key(|failed| &failed.log_file);
    for failed in failures.into_iter().take(TOLD_FAILED) {
        let (log_file, why) = (escape(&failed.log_file, false), failed.why);
        writeln!(out, "  integrity failed: {why}: {log_file}")?;
    }
    let more = audit.count(State::Failed).saturating_sub(TOLD_FAILED as u64);
    if more > 0 {
        writeln!(out, "  integrity failed: {} more", thousands(more))?;
    }
    Ok(())
}

fn odd_values(summary: &Summary) -> String {
    let odd = &summary.odd_values;
    let kinds = [
        ("of another type", odd.wrong_type),
        ("duplicate keys", odd.duplicate_key),
        ("in another case", odd.other_case),
        ("unparseable times", odd.unparseable_time),
    ];
    let told: Vec<String> =
        kinds.iter().filter(|(_, count)| *count > 0).map(|(kind, count)| format!("{count} {kind}")).collect();
    told.join(", ")
}

fn quarantined(summary: &Summary) -> String {
    if summary.quarantined.is_empty() {
        return "nothing".to_owned();
    }
    let told = summary.quarantined.iter().map(|(reason, whole_file, count)| {
        let what = match (whole_file, count) {
            (true, 1) => "file",
            (true, _) => "files",
            (false, 1) => "record",
            (false, _) => "records",
        };
        format!("{} {what}: {reason}", thousands(*count))
    });
    told.collect::<Vec<_>>().join(", ")
}

fn hint(summary: &Summary, args: &Args) -> Option<String> {
    let lake = if args.lake == "./trailq-lake" { String::new() } else { format!(" --lake {}", args.lake) };
    if summary.stopped {
        return Some(
            "Stopped early; what was read is in the lake. Run the same command again to go on.".to_owned(),
        );
    }
    if !summary.quarantined.is_empty() {
        return Some(format!("See what was quarantined:  trailq quarantine list{lake}"));
    }
    if let Some(why) = summary.integrity.as_ref().and_then(|digests| digests.why_not_checked.as_ref()) {
        return Some(format!("Digest files were not checked: {why}."));
    }
    if summary.found == 0 {
        return Some(
            "No CloudTrail log files there: they are called …_CloudTrail_….json.gz. Name other files one by one, or by a glob.".to_owned(),
        );
    }
    None
}

fn count_rate(count: u64, elapsed: Duration) -> u64 {
    let millis = u64::try_from(elapsed.as_millis()).unwrap_or(u64::MAX).max(1);
    count.saturating_mul(1000) / millis
}

fn bytes(number: u64) -> String {
    indicatif::DecimalBytes(number).to_string()
}
