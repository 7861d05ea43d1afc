//! Where the tables of a session come from: a lake, or log files read in place.

use std::sync::Arc;

use anyhow::{Result, bail};
use datafusion::datasource::empty::EmptyTable;

use super::Tables;
use crate::event::schema::schema;

/// The tables of the lake at `location`, a path or an `s3://` URL.
#[expect(clippy::unused_async, reason = "opening a lake waits")]
pub async fn open_lake(location: &str) -> Result<Tables> {
    bail!("no lake at {location}: make one with `trailq ingest`, or read files in place with --from")
}

/// The events in log files, without a lake: `sources` are directories, files, globs or `s3://` URLs.
#[expect(clippy::unused_async, reason = "listing sources waits")]
pub async fn open_files(sources: &[String]) -> Result<Tables> {
    bail!("{} cannot be read in place by this build", sources.join(", "))
}

/// No events at all: what statements that name no table run over, so that they need no lake.
pub fn no_tables() -> Tables {
    Tables { events: Arc::new(EmptyTable::new(schema())), log_files: None, quarantine: None }
}
