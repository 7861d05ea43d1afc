//! The daemon's flags, which are its settings.

use std::collections::HashSet;
use std::path::PathBuf;
use std::time::Duration;

use anyhow::{Result, bail};
use chrono::{DateTime, NaiveDate, Utc};
use clap::ArgAction;

use crate::config::{Bucket, Queue, duration};
use crate::daemon::{ForeignMessages, OnIntegrityFailure, Options, limits_within};
use crate::queue::SqsOptions;
use crate::store::{BucketRole, S3Options};

/// Follow the bucket: take log files into the lake as S3 announces them
///
/// Messages come from SQS queues that S3, SNS, EventBridge or CloudTrail send to. Each log file's records
/// are in the lake exactly once, or the file is in quarantine; a message is deleted only after the commit.
/// It works until it is told to stop (SIGTERM, SIGINT), and may be killed at any moment.
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Every setting is a flag, an environment variable, and a key of the --config file: --wait-time,
TRAILQ_WAIT_TIME, wait_time. Times are 90s, 5m or 1h; a number alone is seconds.

Examples:
  trailq daemon --queue-url https://sqs.eu-west-1.amazonaws.com/111122223333/trail --bucket my-trail-bucket
  trailq daemon --config /etc/trailq/trailq.toml --check")]
pub struct Args {
    /// A TOML file of settings
    #[arg(long, value_name = "FILE", env = "TRAILQ_CONFIG")]
    pub(super) config: Option<PathBuf>,

    /// Show the settings and where they come from, try queue, bucket, lake and keys, and end
    #[arg(long)]
    pub(super) check: bool,

    /// A queue, by URL or as url=URL,role_arn=ARN,external_id=ID,region=REGION,endpoint=URL (repeatable)
    #[arg(
        long,
        value_name = "QUEUE",
        env = "TRAILQ_QUEUE_URL",
        value_delimiter = ' ',
        help_heading = "What is read and written"
    )]
    pub(super) queue_url: Vec<Queue>,

    /// A bucket that may be read, by name or as name=NAME,role_arn=ARN,external_id=ID (repeatable)
    #[arg(
        long,
        value_name = "BUCKET",
        env = "TRAILQ_BUCKET",
        value_delimiter = ' ',
        help_heading = "What is read and written"
    )]
    pub(super) bucket: Vec<Bucket>,

    /// The lake: a directory or an S3 URL; it is created if it is not there
    #[arg(
        long,
        value_name = "LOCATION",
        env = "TRAILQ_LAKE",
        default_value = "./trailq-lake",
        help_heading = "What is read and written"
    )]
    pub(super) lake: String,

    /// Leave alone log files whose names say that they are from before this time
    #[arg(long, value_name = "TIME", env = "TRAILQ_START_TIMESTAMP", value_parser = timestamp, help_heading = "What is read and written")]
    start_timestamp: Option<DateTime<Utc>>,

    /// Leave alone log files whose names say that they are older than this
    #[arg(long, value_name = "TIME", env = "TRAILQ_IGNORE_OLDER", value_parser = duration, help_heading = "What is read and written")]
    ignore_older: Option<Duration>,

    /// The profile of the AWS configuration files
    #[arg(long, value_name = "NAME", env = "TRAILQ_PROFILE", help_heading = "AWS")]
    pub(super) profile: Option<String>,

    /// The region to start from; queues' and buckets' own regions are found out
    #[arg(long, value_name = "REGION", env = "TRAILQ_REGION", help_heading = "AWS")]
    pub(super) region: Option<String>,

    /// A role to be assumed for queues and buckets that do not name one themselves
    #[arg(long, value_name = "ARN", env = "TRAILQ_ROLE_ARN", help_heading = "AWS")]
    role_arn: Option<String>,

    /// The external id that the role asks for
    #[arg(long, value_name = "ID", env = "TRAILQ_EXTERNAL_ID", help_heading = "AWS", requires = "role_arn")]
    external_id: Option<String>,

    /// The endpoint of a store and queue of your own that speak the protocols of S3 and SQS
    #[arg(long, value_name = "URL", env = "TRAILQ_ENDPOINT", help_heading = "AWS")]
    endpoint: Option<String>,

    /// Name buckets in the path, not in the host name [default: with another endpoint only]
    #[arg(long, value_name = "BOOL", env = "TRAILQ_PATH_STYLE", help_heading = "AWS", action = ArgAction::Set, num_args = 0..=1, default_missing_value = "true")]
    path_style: Option<bool>,

    /// How long a message stays ours after each extension; it is extended at half time
    #[arg(long, value_name = "TIME", env = "TRAILQ_VISIBILITY_TIMEOUT", default_value = "5m", value_parser = duration, help_heading = "Queue")]
    visibility_timeout: Duration,

    /// How long a request for messages waits for some, at most 20 s
    #[arg(long, value_name = "TIME", env = "TRAILQ_WAIT_TIME", default_value = "20s", value_parser = duration, help_heading = "Queue")]
    wait_time: Duration,

    /// Messages that a request takes
    #[arg(long, value_name = "N", env = "TRAILQ_MAX_NUMBER_OF_MESSAGES", default_value_t = 10, value_parser = clap::value_parser!(u32).range(1..=10), help_heading = "Queue")]
    max_number_of_messages: u32,

    /// Requests for messages at once, for each queue
    #[arg(long, value_name = "N", env = "TRAILQ_NUMBER_OF_WORKERS", default_value_t = 2, value_parser = clap::value_parser!(u16).range(1..=64), help_heading = "Queue")]
    number_of_workers: u16,

    /// Messages in hand, at most
    #[arg(long, value_name = "N", env = "TRAILQ_MAX_IN_HAND", default_value_t = 10_000, value_parser = clap::value_parser!(u32).range(10..=100_000), help_heading = "Queue")]
    max_in_hand: u32,

    /// After so many receipts of a message an object that is not there goes to quarantine as missing
    #[arg(long, value_name = "N", env = "TRAILQ_MAX_RECEIVE_COUNT", default_value_t = 3, value_parser = clap::value_parser!(u32).range(1..), help_heading = "Queue")]
    max_receive_count: u32,

    /// How long a message that could not be served rests at first; twice as long each time
    #[arg(long, value_name = "TIME", env = "TRAILQ_RETRY_AFTER", default_value = "15s", value_parser = duration, help_heading = "Queue")]
    retry_after: Duration,

    /// How long it rests at most
    #[arg(long, value_name = "TIME", env = "TRAILQ_RETRY_AFTER_MAX", default_value = "15m", value_parser = duration, help_heading = "Queue")]
    retry_after_max: Duration,

    /// What to do with messages that are not understood, or that name a bucket that is not allowed
    #[arg(
        long,
        value_name = "WHAT",
        env = "TRAILQ_FOREIGN_MESSAGES",
        default_value = "leave",
        value_enum,
        help_heading = "Queue"
    )]
    foreign_messages: ForeignMessages,

    /// A batch is committed after this time even if it is small
    #[arg(long, value_name = "TIME", env = "TRAILQ_BATCH_AGE", default_value = "60s", value_parser = duration, help_heading = "Batches and memory")]
    batch_age: Duration,

    /// A batch is committed when its rows have this size in MB, or a tenth of the memory limit
    #[arg(long, value_name = "MB", env = "TRAILQ_BATCH_SIZE", default_value_t = 128, value_parser = clap::value_parser!(u32).range(1..), help_heading = "Batches and memory")]
    batch_size: u32,

    /// Memory for log files and rows on their way, in MB
    #[arg(long, value_name = "MB", env = "TRAILQ_MEMORY_LIMIT", default_value_t = 512, value_parser = clap::value_parser!(u32).range(64..), help_heading = "Batches and memory")]
    memory_limit: u32,

    /// Requests for objects at once
    #[arg(long, value_name = "N", env = "TRAILQ_REQUESTS", default_value_t = 48, value_parser = clap::value_parser!(u16).range(1..=1000), help_heading = "Batches and memory")]
    requests: u16,

    /// Threads that read log files [default: one a core]
    #[arg(long, value_name = "N", env = "TRAILQ_THREADS", value_parser = clap::value_parser!(u16).range(1..=512), help_heading = "Batches and memory")]
    threads: Option<u16>,

    /// Check digests as they come
    #[arg(long, value_name = "BOOL", env = "TRAILQ_INTEGRITY", default_value_t = true, action = ArgAction::Set, num_args = 0..=1, default_missing_value = "true", help_heading = "Integrity")]
    pub(super) integrity: bool,

    /// A file of public keys, as `aws cloudtrail list-public-keys` prints them (repeatable)
    #[arg(long, value_name = "FILE", env = "TRAILQ_PUBLIC_KEYS", help_heading = "Integrity")]
    pub(super) public_keys: Vec<PathBuf>,

    /// Ask CloudTrail for public keys that are not at hand
    #[arg(long, value_name = "BOOL", env = "TRAILQ_LOOK_UP_KEYS", default_value_t = true, action = ArgAction::Set, num_args = 0..=1, default_missing_value = "true", help_heading = "Integrity")]
    pub(super) look_up_keys: bool,

    /// How often digests and log files are compared
    #[arg(long, value_name = "TIME", env = "TRAILQ_INTEGRITY_INTERVAL", default_value = "5m", value_parser = duration, help_heading = "Integrity")]
    integrity_interval: Duration,

    /// A log file that a digest lists and no message announced is fetched after this time
    #[arg(long, value_name = "TIME", env = "TRAILQ_INTEGRITY_GRACE", default_value = "15m", value_parser = duration, help_heading = "Integrity")]
    integrity_grace: Duration,

    /// How many days back they are compared
    #[arg(long, value_name = "DAYS", env = "TRAILQ_INTEGRITY_DAYS", default_value_t = 3, value_parser = clap::value_parser!(u32).range(1..), help_heading = "Integrity")]
    integrity_days: u32,

    /// What to do with the events of a log file whose integrity failed
    #[arg(
        long,
        value_name = "WHAT",
        env = "TRAILQ_ON_INTEGRITY_FAILURE",
        default_value = "keep",
        value_enum,
        help_heading = "Integrity"
    )]
    on_integrity_failure: OnIntegrityFailure,

    /// The time for an orderly end after a signal
    #[arg(long, value_name = "TIME", env = "TRAILQ_SHUTDOWN_GRACE", default_value = "30s", value_parser = duration, help_heading = "Operation")]
    shutdown_grace: Duration,

    /// Where /metrics, /healthz and /readyz answer, or `off`
    #[arg(
        long,
        value_name = "ADDRESS",
        env = "TRAILQ_METRICS_ADDRESS",
        default_value = "127.0.0.1:9464",
        help_heading = "Operation"
    )]
    pub(super) metrics_address: String,

    /// How logs are written
    #[arg(
        long,
        value_name = "FORMAT",
        env = "TRAILQ_LOG_FORMAT",
        default_value = "text",
        value_enum,
        help_heading = "Operation"
    )]
    pub log_format: LogFormat,
}

/// How logs are written.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
pub enum LogFormat {
    /// For people
    Text,
    /// A JSON object a line
    Json,
}

/// A time, or the beginning of a day.
fn timestamp(text: &str) -> Result<DateTime<Utc>, String> {
    if let Ok(time) = DateTime::parse_from_rfc3339(text) {
        return Ok(time.to_utc());
    }
    let day: Result<NaiveDate, _> = text.parse();
    let day = day.map_err(|_| "write 2026-01-05 or 2026-01-05T08:00:00Z".to_owned())?;
    Ok(day.and_time(chrono::NaiveTime::MIN).and_utc())
}

impl Args {
    /// The daemon's settings, which must fit together.
    pub(super) fn options(&self) -> Result<Options> {
        if self.queue_url.is_empty() {
            bail!("no queue: name it by --queue-url, TRAILQ_QUEUE_URL or queue_url in the --config file");
        }
        if self.bucket.is_empty() {
            bail!(
                "no bucket: name those that may be read by --bucket, TRAILQ_BUCKET or bucket in the --config file; \
                 messages about others are never followed"
            );
        }
        if self.visibility_timeout < Duration::from_secs(1)
            || self.visibility_timeout > Duration::from_hours(12)
        {
            bail!("--visibility-timeout must lie between 1 s and 12 h");
        }
        let memory_limit = self.memory_limit as usize * 1_000_000;
        let receivers = usize::from(self.number_of_workers);
        let needed = receivers * self.queue_url.len() * 10;
        Ok(Options {
            buckets: self.bucket.iter().map(|bucket| bucket.name.clone()).collect::<HashSet<_>>(),
            receivers,
            visibility_timeout: self.visibility_timeout,
            // A message and what waits for it take some kilobytes.
            max_in_hand: (self.max_in_hand as usize).min(memory_limit / 32_000).max(needed),
            requests: usize::from(self.requests),
            memory_limit,
            threads: self.threads.map_or_else(crate::ingest::cores, usize::from),
            batch_age: self.batch_age,
            batch_size: self.batch_size as usize * 1_000_000,
            limits: limits_within(memory_limit),
            retry_after: self.retry_after,
            retry_after_max: self.retry_after_max,
            max_receive_count: self.max_receive_count,
            foreign_messages: self.foreign_messages,
            start_timestamp: self.start_timestamp,
            ignore_older: self.ignore_older,
            shutdown_grace: self.shutdown_grace,
            integrity_interval: self.integrity_interval,
            integrity_grace: self.integrity_grace,
            integrity_days: self.integrity_days,
            on_integrity_failure: self.on_integrity_failure,
        })
    }

    /// How each queue is reached.
    pub(super) fn queues(&self) -> Vec<SqsOptions> {
        let options = |queue: &Queue| {
            let own = queue.role_arn.is_some();
            SqsOptions {
                region: queue.region.clone(),
                profile: self.profile.clone(),
                endpoint_url: queue.endpoint.clone().or_else(|| self.endpoint.clone()),
                role_arn: queue.role_arn.clone().or_else(|| self.role_arn.clone()),
                external_id: if own { queue.external_id.clone() } else { self.external_id.clone() },
                visibility_timeout: self.visibility_timeout,
                wait_time: self.wait_time,
                max_number_of_messages: self.max_number_of_messages,
                ..SqsOptions::new(queue.url.clone())
            }
        };
        self.queue_url.iter().map(options).collect()
    }

    /// How the buckets are reached.
    pub(super) fn store(&self) -> S3Options {
        let role = |bucket: &Bucket| {
            let own = bucket.role_arn.is_some();
            Some(BucketRole {
                bucket: bucket.name.clone(),
                role_arn: bucket.role_arn.clone().or_else(|| self.role_arn.clone())?,
                external_id: if own { bucket.external_id.clone() } else { self.external_id.clone() },
            })
        };
        S3Options {
            endpoint_url: self.endpoint.clone(),
            region: self.region.clone(),
            profile: self.profile.clone(),
            roles: self.bucket.iter().filter_map(role).collect(),
            path_style: self.path_style,
            ..S3Options::default()
        }
    }

    /// Where the metrics page is served, if it is.
    pub(super) fn metrics_address(&self) -> Option<&str> {
        (self.metrics_address != "off").then_some(self.metrics_address.as_str())
    }
}
