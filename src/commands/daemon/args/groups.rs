//! The daemon's flags by their headings in the help.

use std::path::PathBuf;
use std::time::Duration;

use chrono::{DateTime, NaiveDate, Utc};
use clap::ArgAction;

// No doc comments on these: clap would take them for the help of the command.

use crate::config::{Bucket, Queue, duration};
use crate::daemon::{ForeignMessages, OnIntegrityFailure};

// Queues, buckets and the lake.
#[derive(Debug, clap::Args)]
#[command(next_help_heading = "What is read and written")]
pub(in crate::commands::daemon) struct Places {
    /// A queue, by URL or as `url=URL,role_arn=ARN,external_id=ID,region=REGION,endpoint=URL` (repeatable)
    #[arg(long, value_name = "QUEUE", env = "TRAILQ_QUEUE_URL", value_delimiter = ' ')]
    pub(in crate::commands::daemon) queue_url: Vec<Queue>,

    /// A bucket that may be read, by name or as `name=NAME,role_arn=ARN,external_id=ID` (repeatable)
    #[arg(long, value_name = "BUCKET", env = "TRAILQ_BUCKET", value_delimiter = ' ')]
    pub(in crate::commands::daemon) bucket: Vec<Bucket>,

    /// The lake: a directory or an S3 URL; it is created if it is not there
    #[arg(long, value_name = "LOCATION", env = "TRAILQ_LAKE", default_value = "./trailq-lake")]
    pub(in crate::commands::daemon) lake: String,

    /// Leave alone log files whose names say that they are from before this time
    #[arg(long, value_name = "TIME", env = "TRAILQ_START_TIMESTAMP", value_parser = timestamp)]
    pub(in crate::commands::daemon) start_timestamp: Option<DateTime<Utc>>,

    /// Leave alone log files whose names say that they are older than this
    #[arg(long, value_name = "TIME", env = "TRAILQ_IGNORE_OLDER", value_parser = duration)]
    pub(in crate::commands::daemon) ignore_older: Option<Duration>,
}

// How messages are treated.
#[derive(Debug, clap::Args)]
#[command(next_help_heading = "Queue")]
pub(in crate::commands::daemon) struct Messages {
    /// How long a message stays ours after each extension; it is extended at half time
    #[arg(long, value_name = "TIME", env = "TRAILQ_VISIBILITY_TIMEOUT", default_value = "5m", value_parser = duration)]
    pub(in crate::commands::daemon) visibility_timeout: Duration,

    /// How long a request for messages waits for some, at most 20 s
    #[arg(long, value_name = "TIME", env = "TRAILQ_WAIT_TIME", default_value = "20s", value_parser = duration)]
    pub(in crate::commands::daemon) wait_time: Duration,

    /// Messages that a request takes
    #[arg(long, value_name = "N", env = "TRAILQ_MAX_NUMBER_OF_MESSAGES", default_value_t = 10, value_parser = clap::value_parser!(u32).range(1..=10))]
    pub(in crate::commands::daemon) max_number_of_messages: u32,

    /// Requests for messages at once, for each queue
    #[arg(long, value_name = "N", env = "TRAILQ_NUMBER_OF_WORKERS", default_value_t = 2, value_parser = clap::value_parser!(u16).range(1..=64))]
    pub(in crate::commands::daemon) number_of_workers: u16,

    /// Messages in hand, at most
    #[arg(long, value_name = "N", env = "TRAILQ_MAX_IN_HAND", default_value_t = 10_000, value_parser = clap::value_parser!(u32).range(10..=100_000))]
    pub(in crate::commands::daemon) max_in_hand: u32,

    /// After so many receipts of a message an object that is not there goes to quarantine as missing
    #[arg(long, value_name = "N", env = "TRAILQ_MAX_RECEIVE_COUNT", default_value_t = 3, value_parser = clap::value_parser!(u32).range(1..))]
    pub(in crate::commands::daemon) max_receive_count: u32,

    /// How long a message that could not be served rests at first; twice as long each time
    #[arg(long, value_name = "TIME", env = "TRAILQ_RETRY_AFTER", default_value = "15s", value_parser = duration)]
    pub(in crate::commands::daemon) retry_after: Duration,

    /// How long it rests at most
    #[arg(long, value_name = "TIME", env = "TRAILQ_RETRY_AFTER_MAX", default_value = "15m", value_parser = duration)]
    pub(in crate::commands::daemon) retry_after_max: Duration,

    /// What to do with messages that are not understood, or that name a bucket that is not allowed
    #[arg(long, value_name = "WHAT", env = "TRAILQ_FOREIGN_MESSAGES", default_value = "leave", value_enum)]
    pub(in crate::commands::daemon) foreign_messages: ForeignMessages,
}

// How much is done at once.
#[derive(Debug, clap::Args)]
#[command(next_help_heading = "Batches and memory")]
pub(in crate::commands::daemon) struct Batches {
    /// A batch is committed after this time even if it is small
    #[arg(long, value_name = "TIME", env = "TRAILQ_BATCH_AGE", default_value = "60s", value_parser = duration)]
    pub(in crate::commands::daemon) batch_age: Duration,

    /// A batch is committed when its rows have this size in MB, or a tenth of the memory limit
    #[arg(long, value_name = "MB", env = "TRAILQ_BATCH_SIZE", default_value_t = 128, value_parser = clap::value_parser!(u32).range(1..))]
    pub(in crate::commands::daemon) batch_size: u32,

    /// Memory for log files and rows on their way, in MB
    #[arg(long, value_name = "MB", env = "TRAILQ_MEMORY_LIMIT", default_value_t = 512, value_parser = clap::value_parser!(u32).range(64..))]
    pub(in crate::commands::daemon) memory_limit: u32,

    /// The most records that a log file may have [default: one for each 2 kB of the memory limit]
    #[arg(long, value_name = "N", env = "TRAILQ_MAX_RECORDS", value_parser = clap::value_parser!(u64).range(1..))]
    pub(in crate::commands::daemon) max_records: Option<u64>,

    /// Requests for objects at once
    #[arg(long, value_name = "N", env = "TRAILQ_REQUESTS", default_value_t = 48, value_parser = clap::value_parser!(u16).range(1..=1000))]
    pub(in crate::commands::daemon) requests: u16,

    /// Threads that read log files [default: one a core]
    #[arg(long, value_name = "N", env = "TRAILQ_THREADS", value_parser = clap::value_parser!(u16).range(1..=512))]
    pub(in crate::commands::daemon) threads: Option<u16>,
}

// What is done about digests.
#[derive(Debug, clap::Args)]
#[command(next_help_heading = "Integrity")]
pub(in crate::commands::daemon) struct Integrity {
    /// Check digests as they come
    #[arg(long, value_name = "BOOL", env = "TRAILQ_INTEGRITY", default_value_t = true, action = ArgAction::Set, num_args = 0..=1, default_missing_value = "true")]
    pub(in crate::commands::daemon) integrity: bool,

    /// A file of public keys, as `aws cloudtrail list-public-keys` prints them (repeatable)
    #[arg(long, value_name = "FILE", env = "TRAILQ_PUBLIC_KEYS")]
    pub(in crate::commands::daemon) public_keys: Vec<PathBuf>,

    /// Ask CloudTrail for public keys that are not at hand
    #[arg(long, value_name = "BOOL", env = "TRAILQ_LOOK_UP_KEYS", default_value_t = true, action = ArgAction::Set, num_args = 0..=1, default_missing_value = "true")]
    pub(in crate::commands::daemon) look_up_keys: bool,

    /// How often digests and log files are compared
    #[arg(long, value_name = "TIME", env = "TRAILQ_INTEGRITY_INTERVAL", default_value = "5m", value_parser = duration)]
    pub(in crate::commands::daemon) integrity_interval: Duration,

    /// A log file that a digest lists and no message announced is fetched after this time
    #[arg(long, value_name = "TIME", env = "TRAILQ_INTEGRITY_GRACE", default_value = "15m", value_parser = duration)]
    pub(in crate::commands::daemon) integrity_grace: Duration,

    /// How many days back they are compared
    #[arg(long, value_name = "DAYS", env = "TRAILQ_INTEGRITY_DAYS", default_value_t = 3, value_parser = clap::value_parser!(u32).range(1..))]
    pub(in crate::commands::daemon) integrity_days: u32,

    /// What to do with the events of a log file whose integrity failed
    #[arg(
        long,
        value_name = "WHAT",
        env = "TRAILQ_ON_INTEGRITY_FAILURE",
        default_value = "keep",
        value_enum
    )]
    pub(in crate::commands::daemon) on_integrity_failure: OnIntegrityFailure,
}

// How the lake is looked after.
#[derive(Debug, clap::Args)]
#[command(next_help_heading = "Upkeep of the lake")]
pub(in crate::commands::daemon) struct Upkeep {
    /// Look after the lake: join small files, and delete what nobody needs any more
    #[arg(long, value_name = "BOOL", env = "TRAILQ_UPKEEP", default_value_t = true, action = ArgAction::Set, num_args = 0..=1, default_missing_value = "true")]
    pub(in crate::commands::daemon) upkeep: bool,

    /// How often; of several daemons one does it
    #[arg(long, value_name = "TIME", env = "TRAILQ_UPKEEP_INTERVAL", default_value = "10m", value_parser = duration)]
    pub(in crate::commands::daemon) upkeep_interval: Duration,

    /// How long files and commits stay that the lake does not need any more, at least a day
    #[arg(long, value_name = "TIME", env = "TRAILQ_VACUUM_RETENTION", default_value = "7d", value_parser = duration)]
    pub(in crate::commands::daemon) vacuum_retention: Duration,

    /// Drop the events of days that are older than so many days [default: none]
    #[arg(long, value_name = "DAYS", env = "TRAILQ_RETAIN_DAYS", value_parser = clap::value_parser!(u32).range(1..))]
    pub(in crate::commands::daemon) retain_days: Option<u32>,
}

// How the daemon is run.
#[derive(Debug, clap::Args)]
#[command(next_help_heading = "Operation")]
pub(in crate::commands::daemon) struct Operation {
    /// The time for an orderly end after a signal
    #[arg(long, value_name = "TIME", env = "TRAILQ_SHUTDOWN_GRACE", default_value = "30s", value_parser = duration)]
    pub(in crate::commands::daemon) shutdown_grace: Duration,

    /// Where /metrics, /healthz and /readyz answer, or `off`
    #[arg(long, value_name = "ADDRESS", env = "TRAILQ_METRICS_ADDRESS", default_value = "127.0.0.1:9464")]
    pub(in crate::commands::daemon) metrics_address: String,

    /// How logs are written
    #[arg(long, value_name = "FORMAT", env = "TRAILQ_LOG_FORMAT", default_value = "text", value_enum)]
    pub(in crate::commands::daemon) log_format: LogFormat,
}

/// How logs are written.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
pub(in crate::commands::daemon) enum LogFormat {
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
