//! `trailq validate-logs`: the flags, lines and exit codes of `aws cloudtrail validate-logs`, and more.

mod evidence;
mod junit;
mod machine;
mod plan;
mod progress;
mod tell;
mod text;

use std::path::PathBuf;
use std::process::ExitCode;

use anyhow::Result;

use crate::output::is_broken_pipe;
use crate::validation::{Event, run as validate};
use plan::{Plan, Refused};
use tell::{Tell, Tellers};

/// Check log files against the digests that CloudTrail signed
///
/// Takes the arguments of `aws cloudtrail validate-logs`, prints its lines and ends with its codes: 0 if
/// nothing is invalid, 1 if something is, 255 if the check could not be made.
#[derive(Debug, Clone, clap::Args)]
#[expect(clippy::struct_excessive_bools, reason = "each is a flag")]
#[expect(clippy::doc_markdown, reason = "the help of a flag is plain text")]
#[command(
    after_help = "docs/validate-logs.md says what each format holds, and where this differs from the AWS CLI."
)]
pub struct Args {
    /// The trail
    #[arg(long, value_name = "ARN")]
    trail_arn: Option<String>,
    /// Log files delivered from this time on, UTC: 2026-03-01T00:00:00Z
    #[arg(long, value_name = "TIME")]
    start_time: Option<String>,
    /// Log files delivered up to this time; now if left out
    #[arg(long, value_name = "TIME")]
    end_time: Option<String>,
    /// The bucket, if it is not the one that the trail writes to now
    #[arg(long, value_name = "BUCKET")]
    s3_bucket: Option<String>,
    /// What stands before AWSLogs/ in the bucket that --s3-bucket names
    #[arg(long, value_name = "PREFIX")]
    s3_prefix: Option<String>,
    /// The account, for the trail of an organization
    #[arg(long, value_name = "ID")]
    account_id: Option<String>,
    /// Also tell what is valid
    #[arg(long)]
    verbose: bool,
    /// The region whose log files to check; the trail's own if left out
    #[arg(long)]
    region: Option<String>,
    /// A profile of the AWS configuration
    #[arg(long)]
    profile: Option<String>,
    /// Another address of CloudTrail's API, and of nothing else
    #[arg(long, value_name = "URL")]
    endpoint_url: Option<String>,

    /// Also check what the AWS CLI does not: links, hours without a digest, log files that no digest lists
    #[arg(long, help_heading = "Beyond the AWS CLI")]
    strict: bool,
    /// Check all accounts of the bucket
    #[arg(long, help_heading = "Beyond the AWS CLI", conflicts_with = "account_id")]
    all_accounts: bool,
    /// Check all regions of the bucket
    #[arg(long, help_heading = "Beyond the AWS CLI")]
    all_regions: bool,
    /// How to tell what was found; all but text check strictly
    #[arg(long, value_enum, default_value = "text", help_heading = "Beyond the AWS CLI")]
    format: Format,
    /// Objects to fetch at a time
    #[arg(long, value_name = "N", default_value_t = 64, help_heading = "Beyond the AWS CLI")]
    concurrency: usize,
    /// Check a copy of the bucket on disk
    #[arg(long, value_name = "DIR", help_heading = "Beyond the AWS CLI")]
    local: Option<PathBuf>,
    /// Public keys, as `aws cloudtrail list-public-keys` prints them, instead of asking CloudTrail
    #[arg(long, value_name = "FILE", help_heading = "Beyond the AWS CLI")]
    public_keys: Vec<PathBuf>,
    /// Take the public keys that this lake has seen
    #[arg(long, value_name = "LAKE", help_heading = "Beyond the AWS CLI")]
    lake: Option<String>,
    /// Write down what the check goes by, for others to repeat it
    #[arg(long, value_name = "FILE.tar.zst", help_heading = "Beyond the AWS CLI")]
    evidence: Option<PathBuf>,

    /// Accepted as the AWS CLI accepts it: the output is not affected
    #[arg(long, hide = true)]
    output: Option<String>,
    /// Accepted as the AWS CLI accepts it: the output is not affected
    #[arg(long, hide = true)]
    query: Option<String>,
    /// Accepted and ignored: certificates are always checked
    #[arg(long, hide = true)]
    no_verify_ssl: bool,
    /// Accepted and ignored
    #[arg(long, hide = true)]
    no_paginate: bool,
    /// Accepted and ignored
    #[arg(long, hide = true)]
    color: Option<String>,
    /// Accepted and ignored
    #[arg(long, hide = true)]
    cli_read_timeout: Option<String>,
    /// Accepted and ignored
    #[arg(long, hide = true)]
    cli_connect_timeout: Option<String>,
}

/// How to tell what was found.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
#[expect(clippy::doc_markdown, reason = "the help of a value is plain text")]
enum Format {
    /// The AWS CLI's lines
    Text,
    /// One JSON document
    Json,
    /// A JSON object a line
    Ndjson,
    /// JUnit XML, for CI
    Junit,
}

/// The check could not be made: the AWS CLI's code.
const COULD_NOT: u8 = 255;

/// Runs the command.
pub async fn run(args: Args) -> Result<ExitCode> {
    let plan = match Plan::make(&args).await {
        Ok(plan) => plan,
        Err(Refused::Usage(message)) => {
            clap::Error::raw(clap::error::ErrorKind::MissingRequiredArgument, format!("{message}\n")).exit()
        }
        Err(Refused::Fatal(message)) => {
            eprintln!("\n{message}");
            return Ok(ExitCode::from(COULD_NOT));
        }
    };
    match check(plan, &args).await {
        Err(error) if is_broken_pipe(&error) => Ok(ExitCode::SUCCESS),
        Err(error) => {
            eprintln!("\n{}", crate::output::escape(&format!("{error:#}"), true));
            Ok(ExitCode::from(COULD_NOT))
        }
        other => other,
    }
}

async fn check(plan: Plan, args: &Args) -> Result<ExitCode> {
    let mut tellers = Tellers::new(&plan, args)?;
    let (mut failed, mut gave_up) = (false, false);
    let strict = plan.options.strict;
    tellers.begin()?;
    let outcomes = validate(plan.context, plan.targets, plan.options, |event| {
        match &event {
            Event::Found(finding) => {
                let told_invalid = matches!(finding.told, crate::validation::Told::Invalid(_));
                let unproven = finding.verdict == crate::validation::Verdict::Unproven;
                failed |= told_invalid || unproven || (strict && finding.fails());
            }
            Event::GaveUp(fatal) => {
                gave_up |= !strict || !fatal.in_data;
                failed |= strict;
            }
            _ => {}
        }
        tellers.tell(&event)
    })
    .await?;
    tellers.end(&outcomes)?;
    Ok(ExitCode::from(if gave_up { COULD_NOT } else { u8::from(failed) }))
}
