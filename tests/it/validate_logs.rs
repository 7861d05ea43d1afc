//! `trailq validate-logs` beside the AWS CLI, and beyond it.

mod beyond;
mod bundle;
mod cases;
mod genuine;
mod offline;
mod property;
pub(crate) mod servers;
