//! trailq: the CloudTrail lake that you run yourself.

pub mod commands;
pub mod event;
pub mod output;
pub mod sql;
