//! The tables of a lake: their names, columns, and what Delta's log keeps of each file.

use std::sync::{Arc, LazyLock};

use anyhow::{Result, anyhow};
use arrow::datatypes::{DataType, Field, Fields, Schema, SchemaRef, TimeUnit};

use super::location::Location;
use super::table::Table;
use crate::event::schema;

/// One of the lake's tables.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    /// One row a record.
    Events,
    /// The ledger: one row a log file.
    LogFiles,
    /// One row a piece of a log file that could not be stored as events, and one more once it was
    /// dealt with.
    Quarantine,
    /// One row a digest and outcome of checking it.
    Digests,
}

impl Kind {
    /// All of them, `events` last: a lake that has it has the others too.
    pub(crate) const ALL: [Self; 4] = [Self::LogFiles, Self::Quarantine, Self::Digests, Self::Events];

    /// The same, the one that most is asked of first.
    pub(crate) const BY_READERS: [Self; 4] = [Self::Events, Self::LogFiles, Self::Digests, Self::Quarantine];

    /// The table's name, and its directory in the lake.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Events => "events",
            Self::LogFiles => "log_files",
            Self::Quarantine => "quarantine",
            Self::Digests => "digests",
        }
    }

    /// The table's columns.
    pub(crate) fn schema(self) -> SchemaRef {
        match self {
            Self::Events => schema::schema(),
            Self::LogFiles => LOG_FILES.clone(),
            Self::Quarantine => QUARANTINE.clone(),
            Self::Digests => DIGESTS.clone(),
        }
    }

    /// The columns that are in the path and the log instead of the file.
    pub(crate) fn partition_columns(self) -> &'static [&'static str] {
        match self {
            Self::Events => &[schema::EVENT_DATE],
            Self::LogFiles | Self::Quarantine | Self::Digests => &[],
        }
    }

    /// The columns whose statistics stand in the log: those that queries narrow down by, and few,
    /// since each costs some forty bytes a file in every checkpoint. No members of structs: Polars
    /// fails on a struct of which the log knows some members only.
    pub(crate) fn stats_columns(self) -> &'static [&'static str] {
        match self {
            Self::Events => &[
                schema::EVENT_TIME,
                "eventtime",
                "eventname",
                "eventsource",
                "awsregion",
                "recipientaccountid",
                schema::ACCOUNT,
                schema::REGION,
                schema::LOG_DATE,
            ],
            Self::LogFiles => &[
                "log_date",
                "min_event_time",
                "max_event_time",
                "ingested_at",
                "account",
                "region",
                "status",
                "revision",
            ],
            Self::Quarantine => &["quarantined_at", "reason", "status"],
            Self::Digests => {
                &["digest_start_time", "digest_end_time", "account", "region", "status", "checked_at"]
            }
        }
    }
}

/// The tables of one lake.
#[derive(Clone, Debug)]
pub(crate) struct Tables {
    by_kind: [Arc<Table>; 4],
}

impl Tables {
    /// The tables at a location, whether they exist or not.
    pub(crate) fn at(location: &Location) -> Result<Self> {
        let kinds = [Kind::Events, Kind::LogFiles, Kind::Quarantine, Kind::Digests];
        let stores = location.log_stores(kinds.map(Kind::name))?;
        let tables: Vec<_> = kinds
            .into_iter()
            .zip(stores)
            .map(|(kind, log_store)| Arc::new(Table { name: kind.name(), log_store }))
            .collect();
        let by_kind = tables.try_into().map_err(|_| anyhow!("as many tables as kinds"))?;
        Ok(Self { by_kind })
    }

    /// One of them.
    pub(crate) fn get(&self, kind: Kind) -> &Arc<Table> {
        let [events, log_files, quarantine, digests] = &self.by_kind;
        match kind {
            Kind::Events => events,
            Kind::LogFiles => log_files,
            Kind::Quarantine => quarantine,
            Kind::Digests => digests,
        }
    }

    /// The same, but for one that is reached through another log store.
    #[cfg(test)]
    pub(crate) fn with(&self, kind: Kind, table: Table) -> Self {
        let mut tables = self.clone();
        let place = match kind {
            Kind::Events => 0,
            Kind::LogFiles => 1,
            Kind::Quarantine => 2,
            Kind::Digests => 3,
        };
        tables.by_kind[place] = Arc::new(table);
        tables
    }
}

fn text(name: &str) -> Field {
    Field::new(name, DataType::Utf8, true)
}

fn long(name: &str) -> Field {
    Field::new(name, DataType::Int64, true)
}

fn timestamp(name: &str) -> Field {
    Field::new(name, DataType::Timestamp(TimeUnit::Microsecond, Some("UTC".into())), true)
}

static LOG_FILES: LazyLock<SchemaRef> = LazyLock::new(|| {
    Schema::new(vec![
        text("id"),
        text("log_file"),
        text("bucket"),
        text("key"),
        text("version_id"),
        text("etag"),
        long("size"),
        long("uncompressed_size"),
        text("sha256"),
        long("record_count"),
        long("event_count"),
        long("quarantined_count"),
        long("odd_count"),
        timestamp("min_event_time"),
        timestamp("max_event_time"),
        text("account"),
        text("region"),
        Field::new("log_date", DataType::Date32, true),
        text("tree"),
        text("status"),
        text("integrity"),
        // Which row of the log file this is, from 0: the one with the highest counts.
        long("revision"),
        timestamp("ingested_at"),
        text("ingested_by"),
    ])
    .into()
});

static QUARANTINE: LazyLock<SchemaRef> = LazyLock::new(|| {
    Schema::new(vec![
        text("id"),
        text("log_file"),
        text("bucket"),
        text("key"),
        text("version_id"),
        text("reason"),
        text("detail"),
        long("record_index"),
        long("byte_offset"),
        long("byte_length"),
        Field::new("bytes", DataType::Binary, true),
        timestamp("quarantined_at"),
        text("status"),
        timestamp("resolved_at"),
        text("resolved_by"),
    ])
    .into()
});

static DIGESTS: LazyLock<SchemaRef> = LazyLock::new(|| {
    let listed = DataType::Struct(Fields::from(vec![text("log_file"), text("hash_value")]));
    let listed = Field::new("element", listed, true);
    Schema::new(vec![
        text("id"),
        text("digest"),
        text("bucket"),
        text("key"),
        text("account"),
        text("region"),
        text("trail"),
        text("home_region"),
        Field::new("backfill", DataType::Boolean, true),
        timestamp("digest_start_time"),
        timestamp("digest_end_time"),
        text("status"),
        text("reason"),
        text("detail"),
        text("hash_value"),
        text("signature"),
        text("public_key_fingerprint"),
        text("previous_digest_s3_bucket"),
        text("previous_digest_s3_object"),
        text("previous_digest_hash_value"),
        text("previous_digest_signature"),
        Field::new("log_files", DataType::List(Arc::new(listed)), true),
        timestamp("checked_at"),
        text("checked_by"),
    ])
    .into()
});

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_partition_column_stands_last() {
        let schema = Kind::Events.schema();
        assert_eq!(schema.fields().last().unwrap().name(), schema::EVENT_DATE);
    }
}
