//! trailq: the CloudTrail lake that you run yourself.

pub mod event;
pub mod lake;
