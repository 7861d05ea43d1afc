//! Holds the log files of a bucket against its digests: which are as CloudTrail wrote them, which are
//! not, and which nobody vouches for.
//!
//! Two ways lead through a bucket. [`run`] is `trailq validate-logs`: it goes from the newest digest to the
//! one before, as the AWS CLI does and with its words, fetching ahead; strict checks come after. [`validate`]
//! looks at everything at once, given the keys of a bucket and a way to load an object; it does no I/O of
//! its own.
//!
//! Nothing here prints. What is found comes as [`Finding`]s, one per digest and per log file.

mod bucket;
mod check;
mod coverage;
pub mod dates;
mod discover;
mod fetched;
mod finding;
mod gunzip;
mod keys;
mod local;
mod report;
mod run;
mod strict;
mod target;
mod walk;

pub use bucket::{Bucket, GetError, Hashed, S3Bucket};
pub use check::{
    CheckedDigest, InvalidDigest, StoredObject, check_digest, check_log_file, compare_hash, inflate,
};
pub use coverage::Coverage;
pub use discover::{Search, discover};
pub use finding::{Finding, Kind, Told, Verdict, display};
pub use gunzip::{Broken, Inflated};
pub use keys::KeySource;
pub use local::{LocalBucket, METADATA_FILE, Metadata, PUBLIC_KEYS_FILE, read_metadata, read_public_keys};
pub use report::{
    DigestFinding, DigestVerdict, LogFileFinding, LogFileVerdict, Report, Unlisted, UnlistedLogFile, validate,
};
pub use run::{Context, Event, Fatal, Options, Outcome, run};
pub use target::Target;
