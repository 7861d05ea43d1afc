//! trailq: the CloudTrail lake that you run yourself.

pub mod commands;
pub mod digest;
pub mod event;
pub mod generate;
pub mod ingest;
pub mod json;
pub mod lake;
pub mod log_file;
pub mod object;
pub mod output;
pub mod source;
pub mod sql;
pub mod store;
pub mod validation;
