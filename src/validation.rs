//! Holds the log files of a bucket against its digests: which are as CloudTrail wrote them, which are
//! not, and which nobody vouches for.
//!
//! [`run`] is `trailq validate-logs`: it goes from the newest digest to the one before, as the AWS CLI does and
//! with its words, fetching ahead; strict checks come after. [`check_digest`] is what the lake and evidence go
//! by: a digest holds or not, with nothing let pass.
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
mod judge;
mod keys;
mod run;
mod seen;
mod strict;
mod target;
mod walk;

pub use bucket::{Bucket, GetError, Hashed, S3Bucket};
pub use check::{CheckedDigest, InvalidDigest, StoredObject, check_digest, inflate};
pub use coverage::Coverage;
pub use discover::{Search, discover};
pub use finding::{Finding, Kind, Told, Verdict, display};
pub use gunzip::{Broken, Inflated};
pub use keys::KeySource;
pub use run::{Context, Event, Fatal, Options, Outcome, run};
pub use target::Target;
