//! Where the tables of a session come from: a lake, or log files read in place.

use std::sync::Arc;

use anyhow::Result;
use datafusion::datasource::empty::EmptyTable;
use datafusion::prelude::SessionContext;

use super::Tables;
use crate::event::schema::schema;
use crate::ingest::scan;
use crate::integrity::GapTable;
use crate::lake::Lake;

/// The tables of the lake at `location`, a path or an `s3://` URL.
pub async fn open_lake(location: &str) -> Result<Tables> {
    let lake = Lake::open(location).await?;
    Ok(Tables {
        events: lake.events().await?,
        log_files: Some(lake.log_files().await?),
        quarantine: Some(lake.quarantine().await?),
        digests: Some(lake.digests().await?),
        integrity_gaps: Some(Arc::new(GapTable::of(&lake).await?)),
        lake: Some(lake),
    })
}

/// The events in log files, without a lake: `sources` are directories, files, globs or `s3://` URLs.
pub async fn open_files(sources: &[String]) -> Result<Tables> {
    Ok(Tables::of(scan::table_from(sources).await?))
}

/// No events at all: what statements that name no table run over, so that they need no lake.
pub fn no_tables() -> Tables {
    Tables::of(Arc::new(EmptyTable::new(schema())))
}

/// Lets the session read the files that its tables are made of.
pub(super) fn register_stores(tables: &Tables, context: &SessionContext) -> Result<()> {
    tables.lake.as_ref().map_or(Ok(()), |lake| lake.register_object_store(context))
}
