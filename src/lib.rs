//! trailq: the CloudTrail lake that you run yourself.

pub mod commands;
pub mod digest;
pub mod event;
pub mod generate;
pub mod object;
pub mod validation;
