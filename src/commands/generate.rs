//! `trailq generate`: makes up the logs of an organization that does not exist.

use crate::generate::signing::SigningKey;
use crate::generate::{self, Options, Story, Summary, Tamper, Volume};
use anyhow::{Context as _, Result, bail, ensure};
use chrono::NaiveDate;
use std::fs;
use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

/// Make up CloudTrail logs and signed digests, laid out as in a bucket
///
/// The same arguments give the same bytes. Digests are signed with a public demonstration key, which
/// proves nothing about who wrote a log; give one of your own with --key where that matters.
#[derive(Debug, clap::Args)]
#[allow(clippy::struct_excessive_bools, reason = "they are flags")]
pub struct Args {
    /// Directory to write to, new or empty
    #[arg(long, value_name = "DIR")]
    out: PathBuf,

    /// Number of accounts; the first is the management account, the third keeps the logs
    #[arg(long, default_value_t = 3, value_name = "N")]
    accounts: usize,

    /// Regions, separated by commas; us-east-1 is always added, since the global services log there
    #[arg(
        long,
        value_delimiter = ',',
        default_value = "us-east-1,eu-west-1,eu-central-1",
        value_name = "REGION,…"
    )]
    regions: Vec<String>,

    /// First day (UTC)
    #[arg(long, default_value = "2026-03-02", value_name = "YYYY-MM-DD")]
    start: NaiveDate,

    /// Number of days
    #[arg(long, default_value_t = 3, value_name = "N")]
    days: u32,

    /// Everyday events an hour on average, over all accounts and regions
    #[arg(long, default_value_t = 120, value_name = "N")]
    rate: u64,

    /// Events altogether, instead of a rate
    #[arg(long, conflicts_with = "rate", value_name = "N")]
    events: Option<u64>,

    /// Seed of all chance
    #[arg(long, default_value_t = 1, value_name = "N")]
    seed: u64,

    /// What happens among the everyday traffic
    #[arg(long, value_enum, default_value_t = StoryArgument::None)]
    story: StoryArgument,

    /// Write no digests
    #[arg(long, conflicts_with = "tamper")]
    no_digests: bool,

    /// Change the bucket after the digests were signed; may be repeated. One of modify-log, delete-log,
    /// inject-log, delete-digest, modify-digest, swap-signature
    #[arg(long, value_name = "KIND")]
    tamper: Vec<Tamper>,

    /// Tamper in this account and region only
    #[arg(long, requires = "tamper", value_parser = parse_place, value_name = "ACCOUNT/REGION")]
    tamper_in: Option<(String, String)>,

    /// Sum up data events as well, in files of the CloudTrail-Aggregated tree
    #[arg(long)]
    aggregated: bool,

    /// Let each digest chain miss a log file, which a backfill digest lists three hours later
    #[arg(long, conflicts_with = "no_digests")]
    backfill: bool,

    /// RSA key to sign digests with, unencrypted PEM or DER (openssl genpkey -algorithm RSA -out FILE)
    #[arg(long, value_name = "FILE")]
    key: Option<PathBuf>,

    /// Name of the bucket
    #[arg(long, default_value = "example-books-cloudtrail", value_name = "NAME")]
    bucket: String,

    /// Id of the organization
    #[arg(long, default_value = "o-exampleorgid", value_name = "O-…")]
    org: String,

    /// Replace what an earlier run wrote to the directory; other files in it are left alone
    #[arg(long)]
    force: bool,
}

#[derive(Debug, Clone, Copy, clap::ValueEnum)]
enum StoryArgument {
    /// Everyday traffic only
    None,
    /// A leaked access key on the second day, and what follows from it
    Intrusion,
}

/// Runs `trailq generate`.
pub fn run(args: Args) -> Result<ExitCode> {
    let key = match &args.key {
        Some(path) => {
            let key = fs::read(path).with_context(|| format!("reading {}", path.display()))?;
            SigningKey::parse(&key).with_context(|| format!("reading the key {}", path.display()))?
        }
        None => SigningKey::demonstration()?,
    };
    let (out, force) = (args.out.clone(), args.force);
    let options = args.into_options();
    options.check()?;
    make_room(&out, force)?;
    let summary = generate::write_directory(&options, &key, &out)?;
    print_summary(&summary, &out).context("writing to standard output")?;
    Ok(ExitCode::SUCCESS)
}

impl Args {
    fn into_options(self) -> Options {
        Options {
            accounts: self.accounts,
            regions: self.regions,
            start: self.start,
            days: self.days,
            volume: self.events.map_or(Volume::PerHour(self.rate), Volume::Total),
            seed: self.seed,
            story: match self.story {
                StoryArgument::None => None,
                StoryArgument::Intrusion => Some(Story::Intrusion),
            },
            bucket: self.bucket,
            organization_id: self.org,
            digests: !self.no_digests,
            tamper: self.tamper,
            tamper_in: self.tamper_in,
            aggregated: self.aggregated,
            backfill: self.backfill,
        }
    }
}

fn parse_place(text: &str) -> Result<(String, String), String> {
    let place = text.split_once('/').filter(|(account, region)| !account.is_empty() && !region.is_empty());
    let (account, region) = place.ok_or("write ACCOUNT/REGION, such as 777788889999/eu-west-1")?;
    Ok((account.to_owned(), region.to_owned()))
}

/// Refuses to mix with what is there, and never removes what it did not write.
fn make_room(out: &Path, force: bool) -> Result<()> {
    if !out.exists() {
        return Ok(());
    }
    ensure!(out.is_dir(), "{} is not a directory", out.display());
    let mut entries = fs::read_dir(out).with_context(|| format!("listing {}", out.display()))?;
    if entries.next().is_none() {
        return Ok(());
    }
    match (generate::is_generated(out), force) {
        (true, true) => generate::remove_generated(out),
        (true, false) => bail!(
            "{} holds logs that were generated before: give --force to replace them, or another directory",
            out.display()
        ),
        (false, _) => bail!("{} is not empty: give a new or empty directory", out.display()),
    }
}

fn print_summary(summary: &Summary, out: &Path) -> std::io::Result<()> {
    let mut stdout = std::io::stdout().lock();
    writeln!(
        stdout,
        "{}: {} events in {} log files, {} digests, {}.{} MB",
        out.display(),
        summary.events,
        summary.log_files,
        summary.digests,
        summary.bytes / 1_000_000,
        summary.bytes / 100_000 % 10
    )?;
    for tampered in &summary.tampered {
        writeln!(stdout, "{}: {}", tampered.kind, tampered.key)?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use clap::Parser;

    #[derive(Parser)]
    struct Cli {
        #[command(flatten)]
        args: Args,
    }

    fn run_with(out: &Path, more: &[&str]) -> Result<ExitCode> {
        let out = out.to_str().context("a plain path")?;
        let arguments = ["generate", "--days", "1", "--events", "100", "--out", out];
        run(Cli::try_parse_from(arguments.iter().chain(more))?.args)
    }

    #[test]
    fn sample_logs_are_made_by_the_command_in_their_readme() {
        let readme = include_str!("../../sample-logs/README.md");
        let command = readme.lines().find_map(|line| line.trim().strip_prefix("trailq "));
        let cli = Cli::try_parse_from(command.unwrap().split_whitespace()).unwrap();
        assert_eq!(cli.args.into_options(), Options::sample());
    }

    #[test]
    fn what_was_not_generated_is_never_replaced() {
        let root = tempfile::tempdir().unwrap();
        fs::write(root.path().join("mine.txt"), "mine").unwrap();
        let error = run_with(root.path(), &["--force"]).unwrap_err().to_string();
        assert!(error.contains("is not empty"), "{error}");
        assert!(!root.path().join("AWSLogs").exists());
    }

    #[test]
    fn force_replaces_what_was_generated_and_nothing_else() {
        let root = tempfile::tempdir().unwrap();
        let out = root.path().join("out");
        run_with(&out, &["--no-digests"]).unwrap();
        fs::write(out.join("README.md"), "mine").unwrap();
        fs::write(out.join("AWSLogs/stale"), "stale").unwrap();
        let error = run_with(&out, &[]).unwrap_err().to_string();
        assert!(error.contains("--force"), "{error}");
        run_with(&out, &["--force"]).unwrap();
        assert!(out.join("README.md").exists() && !out.join("AWSLogs/stale").exists());
    }

    #[test]
    fn what_a_failed_run_left_behind_can_be_replaced() {
        let root = tempfile::tempdir().unwrap();
        let out = root.path().join("out");
        let too_often = ["--tamper", "modify-log"].repeat(99);
        let error = run_with(&out, &too_often);
        assert!(error.unwrap_err().to_string().contains("no object left to tamper with"));
        run_with(&out, &["--force"]).unwrap();
    }

    #[test]
    fn options_are_checked_before_anything_is_removed() {
        let root = tempfile::tempdir().unwrap();
        let out = root.path().join("out");
        run_with(&out, &[]).unwrap();
        assert!(run_with(&out, &["--force", "--accounts", "0"]).is_err());
        assert!(out.join("AWSLogs").exists());
    }

    #[test]
    fn a_key_that_is_none_is_refused_with_its_path() {
        let root = tempfile::tempdir().unwrap();
        let key = root.path().join("key.der");
        fs::write(&key, "no key").unwrap();
        let error = run_with(&root.path().join("out"), &["--key", key.to_str().unwrap()]).unwrap_err();
        assert!(format!("{error:#}").contains("key.der"), "{error:#}");
    }
}
