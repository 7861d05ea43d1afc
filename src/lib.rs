//! trailq: the CloudTrail lake that you run yourself.

pub mod event;
pub mod json;
pub mod log_file;
pub mod object;
pub mod source;
pub mod store;
