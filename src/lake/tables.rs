//! The tables of a lake: their names, columns, and what Delta's log keeps of each file.

use std::sync::LazyLock;

use arrow::datatypes::{DataType, Field, Schema, SchemaRef, TimeUnit};

use crate::event::schema;

/// One of the lake's tables.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    /// One row a record.
    Events,
    /// The ledger: one row a log file.
    LogFiles,
    /// One row a piece of a log file that could not be stored as events.
    Quarantine,
}

impl Kind {
    /// All of them, `events` last: a lake that has it has the others too.
    pub(crate) const ALL: [Self; 3] = [Self::LogFiles, Self::Quarantine, Self::Events];

    /// The table's name, and its directory in the lake.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Events => "events",
            Self::LogFiles => "log_files",
            Self::Quarantine => "quarantine",
        }
    }

    /// The table's columns.
    pub(crate) fn schema(self) -> SchemaRef {
        match self {
            Self::Events => schema::schema(),
            Self::LogFiles => LOG_FILES.clone(),
            Self::Quarantine => QUARANTINE.clone(),
        }
    }

    /// The columns that are in the path and the log instead of the file.
    pub(crate) fn partition_columns(self) -> &'static [&'static str] {
        match self {
            Self::Events => &[schema::EVENT_DATE],
            Self::LogFiles | Self::Quarantine => &[],
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
            ],
            Self::Quarantine => &["quarantined_at", "reason"],
        }
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
