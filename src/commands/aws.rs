//! How AWS is reached: flags of the commands that fetch.

use std::path::PathBuf;

use clap::ArgAction;

use crate::cloudtrail::Connect;
use crate::config::Bucket;
use crate::store::{BucketRole, S3Options};

// No doc comments on these: clap would take them for the help of the command.

// How AWS is reached.
#[derive(Debug, clap::Args)]
#[command(next_help_heading = "AWS")]
pub(super) struct Aws {
    /// The region to start from; queues' and buckets' own regions are found out
    #[arg(long, value_name = "REGION", env = "TRAILQ_REGION")]
    pub(super) region: Option<String>,

    #[command(flatten)]
    pub(super) reach: Reach,
}

// The same where --region means something else, and is not needed.
#[derive(Debug, clap::Args)]
#[command(next_help_heading = "AWS")]
pub(super) struct Reach {
    /// The profile of the AWS configuration files
    #[arg(long, value_name = "NAME", env = "TRAILQ_PROFILE")]
    pub(super) profile: Option<String>,

    /// A role to be assumed for queues and buckets that do not name one themselves
    #[arg(long, value_name = "ARN", env = "TRAILQ_ROLE_ARN")]
    pub(super) role_arn: Option<String>,

    /// The external id that the role asks for
    #[arg(long, value_name = "ID", env = "TRAILQ_EXTERNAL_ID", requires = "role_arn")]
    pub(super) external_id: Option<String>,

    /// The endpoint of a store and queue of your own that speak the protocols of S3 and SQS
    #[arg(long, value_name = "URL", env = "TRAILQ_ENDPOINT")]
    pub(super) endpoint: Option<String>,

    /// Name buckets in the path, not in the host name [default: with another endpoint only]
    #[arg(long, value_name = "BOOL", env = "TRAILQ_PATH_STYLE", action = ArgAction::Set, num_args = 0..=1, default_missing_value = "true")]
    pub(super) path_style: Option<bool>,
}

// How the buckets are reached that a command is given, by the daemon's settings if it is given them.
#[derive(Debug, clap::Args)]
#[command(next_help_heading = "AWS")]
pub(super) struct Access {
    /// A TOML file of settings, that of the daemon: it says where the lake is and how buckets are reached
    #[arg(long, value_name = "FILE", env = "TRAILQ_CONFIG")]
    config: Option<PathBuf>,

    /// How a bucket is reached, as `name=NAME,role_arn=ARN,external_id=ID` (repeatable)
    #[arg(long, value_name = "BUCKET", env = "TRAILQ_BUCKET", value_delimiter = ' ')]
    bucket: Vec<Bucket>,

    #[command(flatten)]
    reach: Reach,
}

impl Aws {
    /// How buckets are reached: by the role that each names, or else by the one for all.
    pub(super) fn store(&self, buckets: &[Bucket]) -> S3Options {
        S3Options { region: self.region.clone(), ..self.reach.store(buckets) }
    }
}

impl Reach {
    fn store(&self, buckets: &[Bucket]) -> S3Options {
        let role = |bucket: &Bucket| {
            Some(BucketRole {
                bucket: bucket.name.clone(),
                role_arn: bucket.role_arn.clone()?,
                external_id: bucket.external_id.clone(),
            })
        };
        S3Options {
            endpoint_url: self.endpoint.clone(),
            profile: self.profile.clone(),
            roles: buckets.iter().filter_map(role).collect(),
            role_arn: self.role_arn.clone(),
            external_id: self.external_id.clone(),
            path_style: self.path_style,
            ..S3Options::default()
        }
    }
}

impl Access {
    /// How buckets are reached.
    pub(super) fn store(&self) -> S3Options {
        self.reach.store(&self.bucket)
    }

    /// How CloudTrail is asked for public keys: not by a bucket's role, since all accounts have the same.
    pub(super) fn cloudtrail(&self) -> Connect {
        Connect { profile: self.reach.profile.clone(), ..Connect::default() }
    }
}
