//! Events: the schema of their table.

pub mod schema;
