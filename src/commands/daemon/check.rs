//! `trailq daemon --check`: the settings, where they come from, and whether they work.

use std::io::Write as _;
use std::process::ExitCode;
use std::time::Duration;

use anyhow::{Context, Result};
use chrono::{TimeDelta, Utc};

use super::Args;
use crate::cloudtrail::{CloudTrail, Connect};
use crate::config::{Effective, Setting, split_at_commas};
use crate::integrity::Keys;
use crate::lake::Lake;
use crate::output::escape;
use crate::queue::{Queue as _, QueueInfo, Sqs};
use crate::store::S3;

/// Settings whose values are nobody's business.
const SECRET: [&str; 1] = ["external-id"];
/// A message must outlive an outage of the daemon.
const RETENTION: Duration = Duration::from_hours(4 * 24);

/// What one line of the report says.
struct Finding {
    what: String,
    /// What was found, or what is wrong.
    outcome: Result<String, String>,
    /// What to do.
    hint: String,
    /// It works all the same.
    advice: bool,
}

/// Prints settings and findings. Exit code 1 if something is wrong, 2 if the settings do not fit together.
pub(super) async fn run(args: &Args, effective: &Effective) -> Result<ExitCode> {
    show(effective)?;
    let options = args.options()?;
    let mut findings = Vec::new();
    for queue in args.queues() {
        findings.extend(queue_findings(&queue).await);
    }
    let store = S3::with_options(args.store());
    for bucket in &args.places.bucket {
        findings.push(bucket_finding(&store, &bucket.name).await);
    }
    findings.push(lake_finding(&args.places.lake).await);
    if args.integrity.integrity {
        findings.push(keys_finding(args).await);
    }
    if options.shutdown_grace < Duration::from_secs(5) {
        findings.push(Finding {
            what: "shutdown grace".to_owned(),
            outcome: Err("less than 5 s".to_owned()),
            hint: "what is in hand could not be handed back in this time".to_owned(),
            advice: true,
        });
    }
    report(&findings)
}

fn show(effective: &Effective) -> Result<()> {
    let mut out = std::io::stdout().lock();
    let mut table = comfy_table::Table::new();
    table.load_preset(comfy_table::presets::NOTHING);
    for setting in &effective.settings {
        let name = setting.name.replace('-', "_");
        table.add_row(vec![name, told(setting), setting.origin_told(effective.file.as_deref())]);
    }
    writeln!(out, "{}\n", table.trim_fmt())?;
    Ok(())
}

fn told(setting: &Setting) -> String {
    let hide = |value: &String| {
        if SECRET.contains(&setting.name.as_str()) {
            return "(set)".to_owned();
        }
        let parts = split_at_commas(value).into_iter().map(|part| match part.split_once('=') {
            Some(("external_id", _)) => "external_id=(set)".to_owned(),
            _ => part,
        });
        escape(&parts.collect::<Vec<_>>().join(","), true).into_owned()
    };
    if setting.values.is_empty() {
        return setting.unset.as_ref().map_or_else(|| "-".to_owned(), |unset| format!("({unset})"));
    }
    setting.values.iter().map(hide).collect::<Vec<_>>().join(" ")
}

fn report(findings: &[Finding]) -> Result<ExitCode> {
    let mut out = std::io::stdout().lock();
    for Finding { what, outcome, hint, advice } in findings {
        match outcome {
            Ok(found) => writeln!(out, "ok      {what}: {}", escape(found, true))?,
            Err(wrong) if *advice => {
                writeln!(out, "advice  {what}: {}\n        {hint}", escape(wrong, true))?;
            }
            Err(wrong) => writeln!(out, "FAILED  {what}: {}\n        needs {hint}", escape(wrong, true))?,
        }
    }
    let failed = findings.iter().filter(|finding| finding.outcome.is_err() && !finding.advice).count();
    if failed == 0 {
        writeln!(out, "\nAll is well: trailq daemon can start.")?;
    } else {
        writeln!(out, "\n{failed} failed.")?;
    }
    Ok(ExitCode::from(u8::from(failed > 0)))
}

async fn queue_findings(options: &crate::queue::SqsOptions) -> Vec<Finding> {
    let what = format!("queue {}", escape(&options.queue_url, true));
    let hint =
        "sqs:ReceiveMessage, sqs:DeleteMessage, sqs:ChangeMessageVisibility and sqs:GetQueueAttributes on \
                the queue; kms:Decrypt if it is encrypted by a key of yours"
            .to_owned();
    let info = match Sqs::connect(options).await {
        Ok(queue) => queue.check().await,
        Err(error) => Err(error),
    };
    let info = match info {
        Ok(info) => info,
        Err(error) => {
            return vec![Finding {
                what,
                outcome: Err(reason(&error, &options.queue_url)),
                hint,
                advice: false,
            }];
        }
    };
    let waiting = info.approximate_number_of_messages;
    let found = match &info.redrive_policy {
        Some(policy) => format!("messages that wait: about {waiting}; dead letters to {policy}"),
        None => format!("messages that wait: about {waiting}"),
    };
    let mut findings = vec![Finding { what: what.clone(), outcome: Ok(found), hint, advice: false }];
    for (wrong, advice) in advice(&info) {
        findings.push(Finding { what: what.clone(), outcome: Err(wrong), hint: advice, advice: true });
    }
    findings
}

/// What went wrong, without the name of the thing, which is told already.
fn reason(error: &anyhow::Error, name: &str) -> String {
    let mut causes: Vec<String> = error.chain().map(ToString::to_string).collect();
    if causes.len() > 1 && causes[0].contains(name) {
        causes.remove(0);
    }
    causes.join(": ")
}

/// What is wrong with a queue's settings, and what to do about it.
pub(super) fn advice(info: &QueueInfo) -> Vec<(String, String)> {
    let mut advice = Vec::new();
    let mut add = |wrong: String, what: &str| advice.push((wrong, what.to_owned()));
    match &info.redrive_policy {
        None => add(
            "no dead-letter queue".to_owned(),
            "set a RedrivePolicy (maxReceiveCount 10): without it what cannot be understood comes back until it expires",
        ),
        Some(policy) if policy.max_receive_count < 5 => add(
            format!("dead letters after {} receives", policy.max_receive_count),
            "set maxReceiveCount to 10: fewer makes dead letters of good messages in a short outage",
        ),
        Some(_) => {}
    }
    if let Some(kept) = info.message_retention_period.filter(|kept| *kept < RETENTION) {
        add(
            format!("messages are kept for {} h only", kept.as_secs() / 3600),
            "set MessageRetentionPeriod to 1209600 (14 days), so that an outage loses nothing",
        );
    }
    if info.fifo {
        add("a FIFO queue".to_owned(), "S3 cannot send to it: use a standard queue");
    }
    advice
}

async fn bucket_finding(store: &S3, bucket: &str) -> Finding {
    let outcome = store.check(bucket).await;
    Finding {
        what: format!("bucket {}", escape(bucket, true)),
        outcome: outcome.map(|()| "readable".to_owned()).map_err(|error| reason(&error, bucket)),
        hint: "s3:GetObject (and s3:GetObjectVersion) on its objects, s3:ListBucket on the bucket, without which a \
               missing object looks like a forbidden one; kms:Decrypt on the key of encrypted trails"
            .to_owned(),
        advice: false,
    }
}

async fn lake_finding(location: &str) -> Finding {
    let outcome = match Lake::open_or_create(location).await {
        Ok(lake) => try_lake(&lake).await,
        Err(error) => Err(error),
    };
    Finding {
        what: format!("lake {}", escape(location, true)),
        outcome: outcome.map_err(|error| format!("{error:#}")),
        hint: "a directory that may be written, or s3:GetObject, s3:PutObject, s3:DeleteObject and s3:ListBucket on \
               the bucket; the store must know conditional writes (If-None-Match)"
            .to_owned(),
        advice: false,
    }
}

/// Writes files of a digest that does not exist, and deletes them again: nothing of it is committed.
async fn try_lake(lake: &Lake) -> Result<String> {
    let batch =
        crate::lake::Batch { files: vec![crate::lake::LogFileEntry::default()], ..Default::default() };
    let staged = lake.writer().write(batch).await.context("writing a file to try it")?;
    lake.discard(staged).await;
    lake.refresh().await?;
    Ok(format!("writable, at version {}", lake.version().await?))
}

async fn keys_finding(args: &Args) -> Finding {
    let outcome = async {
        let files = args.integrity.public_keys.len();
        Keys::from_files(&args.integrity.public_keys)?;
        if !args.integrity.look_up_keys {
            let and = if files == 0 { "" } else { "those of the files that were named, and " };
            return Ok(format!("{and}those that the lake remembers; CloudTrail is not asked"));
        }
        let region = args.aws.region.clone();
        let connect = Connect { region, profile: args.aws.reach.profile.clone(), ..Connect::default() };
        let now = Utc::now();
        let keys =
            CloudTrail::connect(&connect).await?.list_public_keys(now - TimeDelta::days(30), now).await?;
        Ok(format!("listed by CloudTrail for the last 30 days: {}; files of more: {files}", keys.len()))
    };
    Finding {
        what: "public keys".to_owned(),
        outcome: outcome.await.map_err(|error: anyhow::Error| format!("{error:#}")),
        hint: "cloudtrail:ListPublicKeys, or --public-keys FILE with --look-up-keys false; --integrity false leaves \
               digests alone"
            .to_owned(),
        advice: false,
    }
}
