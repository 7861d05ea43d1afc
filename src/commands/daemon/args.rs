//! The daemon's flags, which are its settings.

#[allow(clippy::struct_field_names, reason = "fields are named as the flags are")]
mod groups;

use std::collections::HashSet;
use std::path::PathBuf;
use std::time::Duration;

use anyhow::{Result, bail};

use crate::commands::aws::{Aws, Reach};
use crate::config::Queue;
use crate::daemon::{Options, limits_within};
use crate::lake::SHORTEST_RETENTION;
use crate::log_file::Limits;
use crate::queue::SqsOptions;
use crate::store::S3Options;
use groups::{Batches, Integrity, LogFormat, Messages, Operation, Places, Upkeep};

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

    #[command(flatten)]
    pub(super) places: Places,
    #[command(flatten)]
    pub(super) aws: Aws,
    #[command(flatten)]
    pub(super) messages: Messages,
    #[command(flatten)]
    pub(super) batches: Batches,
    #[command(flatten)]
    pub(super) integrity: Integrity,
    #[command(flatten)]
    pub(super) upkeep: Upkeep,
    #[command(flatten)]
    pub(super) operation: Operation,
}

impl Args {
    /// Whether logs are JSON objects.
    pub fn logs_json(&self) -> bool {
        self.operation.log_format == LogFormat::Json
    }

    /// The daemon's settings, which must fit together.
    pub(super) fn options(&self) -> Result<Options> {
        if self.places.queue_url.is_empty() {
            bail!("no queue: name it by --queue-url, TRAILQ_QUEUE_URL or queue_url in the --config file");
        }
        if self.places.bucket.is_empty() {
            bail!(
                "no bucket: name those that may be read by --bucket, TRAILQ_BUCKET or bucket in the --config file; \
                 messages about others are never followed"
            );
        }
        if self.messages.visibility_timeout < Duration::from_secs(1)
            || self.messages.visibility_timeout > Duration::from_hours(12)
        {
            bail!("--visibility-timeout must lie between 1 s and 12 h");
        }
        if self.upkeep.vacuum_retention < SHORTEST_RETENTION {
            bail!("--vacuum-retention must be a day or more");
        }
        let memory_limit = self.batches.memory_limit as usize * 1_000_000;
        let receivers = usize::from(self.messages.number_of_workers);
        let needed = receivers * self.places.queue_url.len() * 10;
        Ok(Options {
            buckets: self.places.bucket.iter().map(|bucket| bucket.name.clone()).collect::<HashSet<_>>(),
            receivers,
            visibility_timeout: self.messages.visibility_timeout,
            // A message and what waits for it take some kilobytes.
            max_in_hand: (self.messages.max_in_hand as usize).min(memory_limit / 32_000).max(needed),
            requests: usize::from(self.batches.requests),
            memory_limit,
            threads: self.batches.threads.map_or_else(crate::ingest::cores, usize::from),
            batch_age: self.batches.batch_age,
            batch_size: self.batches.batch_size as usize * 1_000_000,
            limits: self.limits(memory_limit),
            retry_after: self.messages.retry_after,
            retry_after_max: self.messages.retry_after_max,
            max_receive_count: self.messages.max_receive_count,
            foreign_messages: self.messages.foreign_messages,
            start_timestamp: self.places.start_timestamp,
            ignore_older: self.places.ignore_older,
            shutdown_grace: self.operation.shutdown_grace,
            integrity_interval: self.integrity.integrity_interval,
            integrity_grace: self.integrity.integrity_grace,
            integrity_days: self.integrity.integrity_days,
            on_integrity_failure: self.integrity.on_integrity_failure,
            upkeep_interval: self.upkeep.upkeep.then_some(self.upkeep.upkeep_interval),
            vacuum_retention: self.upkeep.vacuum_retention,
            retain_days: self.upkeep.retain_days,
        })
    }

    fn limits(&self, memory_limit: usize) -> Limits {
        let limits = limits_within(memory_limit);
        Limits { records: self.batches.max_records.unwrap_or(limits.records), ..limits }
    }

    /// How each queue is reached.
    pub(super) fn queues(&self) -> Vec<SqsOptions> {
        let Reach { profile, role_arn, external_id, endpoint, .. } = &self.aws.reach;
        let options = |queue: &Queue| {
            let own = queue.role_arn.is_some();
            SqsOptions {
                region: queue.region.clone(),
                profile: profile.clone(),
                endpoint_url: queue.endpoint.clone().or_else(|| endpoint.clone()),
                role_arn: queue.role_arn.clone().or_else(|| role_arn.clone()),
                external_id: if own { queue.external_id.clone() } else { external_id.clone() },
                visibility_timeout: self.messages.visibility_timeout,
                wait_time: self.messages.wait_time,
                max_number_of_messages: self.messages.max_number_of_messages,
                ..SqsOptions::new(queue.url.clone())
            }
        };
        self.places.queue_url.iter().map(options).collect()
    }

    /// How the buckets are reached.
    pub(super) fn store(&self) -> S3Options {
        self.aws.store(&self.places.bucket)
    }

    /// Where the metrics page is served, if it is.
    pub(super) fn metrics_address(&self) -> Option<&str> {
        (self.operation.metrics_address != "off").then_some(self.operation.metrics_address.as_str())
    }
}
