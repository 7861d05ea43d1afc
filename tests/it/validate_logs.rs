//! `trailq validate-logs` beside the AWS CLI, and beyond it.

mod beyond;
mod cases;
mod genuine;
mod offline;
mod property;
mod servers;
