//! Entries to the rows of the tables that hold them.

use std::collections::HashSet;
use std::sync::Arc;

use anyhow::{Context, Result, bail};
use arrow::array::{
    ArrayRef, AsArray, BinaryArray, BooleanArray, Date32Array, Int64Array, ListArray, RecordBatch,
    StringArray, StructArray, TimestampMicrosecondArray,
};
use arrow::buffer::OffsetBuffer;
use arrow::datatypes::{DataType, Date32Type};
use chrono::{DateTime, Utc};
use uuid::Uuid;

use super::entry::{DigestEntry, LogFileEntry, QuarantineEntry, QuarantineStatus, Quarantined};
use super::tables::Kind;

/// The ledger's rows, as of now.
pub(crate) fn log_files_batch(files: &[LogFileEntry], ingested_by: &str) -> Result<RecordBatch> {
    let rows = Rows(files);
    let dates: Date32Array =
        files.iter().map(|file| file.log_date.map(Date32Type::from_naive_date)).collect();
    let columns: Vec<ArrayRef> = vec![
        rows.text(|file| Some(file.id().to_string())),
        rows.text(|file| Some(file.log_file.clone())),
        rows.text(|file| file.bucket.clone()),
        rows.text(|file| file.key.clone()),
        rows.text(|file| file.version_id.clone()),
        rows.text(|file| file.etag.clone()),
        rows.long(|file| Some(file.size)),
        rows.long(|file| file.uncompressed_size),
        rows.text(|file| file.sha256.clone()),
        rows.long(|file| Some(file.record_count)),
        rows.long(|file| Some(file.event_count)),
        rows.long(|file| Some(file.quarantined_count)),
        rows.long(|file| Some(file.odd_count)),
        rows.time(|file| file.min_event_time),
        rows.time(|file| file.max_event_time),
        rows.text(|file| file.account.clone()),
        rows.text(|file| file.region.clone()),
        Arc::new(dates),
        rows.text(|file| file.tree.clone()),
        rows.text(|file| Some(file.status.as_str().to_owned())),
        rows.text(|_| Some("pending".to_owned())),
        rows.long(|file| Some(file.revision.into())),
        rows.now(),
        rows.text(|_| Some(ingested_by.to_owned())),
    ];
    RecordBatch::try_new(Kind::LogFiles.schema(), columns).context("the ledger's rows")
}

/// Rows of quarantine for what is new in it, as of now.
pub(crate) fn quarantine_batch(entries: Vec<QuarantineEntry>) -> Result<RecordBatch> {
    let now = Utc::now();
    let bytes: BinaryArray = entries.iter().map(|entry| Some(entry.bytes.as_slice())).collect();
    // Of a whole file, as many as there are.
    let length = |entry: &QuarantineEntry| entry.byte_length.or(Some(entry.bytes.len() as u64));
    let open = entries.into_iter().map(|entry| Quarantined {
        id: Uuid::new_v4().to_string(),
        entry: QuarantineEntry { byte_length: length(&entry), ..entry },
        quarantined_at: now,
        status: QuarantineStatus::Open,
        resolved_at: None,
        resolved_by: None,
    });
    quarantine_rows(&open.collect::<Vec<_>>(), bytes)
}

/// Rows of quarantine that say what became of earlier ones. The bytes stay with those.
pub(crate) fn resolved_batch(resolved: &[Quarantined]) -> Result<RecordBatch> {
    let none: BinaryArray = resolved.iter().map(|_| None::<&[u8]>).collect();
    quarantine_rows(resolved, none)
}

fn quarantine_rows(quarantined: &[Quarantined], bytes: BinaryArray) -> Result<RecordBatch> {
    let rows = Rows(quarantined);
    let columns: Vec<ArrayRef> = vec![
        rows.text(|row| Some(row.id.clone())),
        rows.text(|row| Some(row.entry.log_file.clone())),
        rows.text(|row| row.entry.bucket.clone()),
        rows.text(|row| row.entry.key.clone()),
        rows.text(|row| row.entry.version_id.clone()),
        rows.text(|row| Some(row.entry.reason.clone())),
        rows.text(|row| Some(row.entry.detail.clone())),
        rows.long(|row| row.entry.record_index),
        rows.long(|row| row.entry.byte_offset),
        rows.long(|row| row.entry.byte_length),
        Arc::new(bytes),
        rows.time(|row| Some(row.quarantined_at)),
        rows.text(|row| Some(row.status.as_str().to_owned())),
        rows.time(|row| row.resolved_at),
        rows.text(|row| row.resolved_by.clone()),
    ];
    RecordBatch::try_new(Kind::Quarantine.schema(), columns).context("quarantine's rows")
}

/// Rows of digests, checked now.
pub(crate) fn digests_batch(digests: &[DigestEntry], checked_by: &str) -> Result<RecordBatch> {
    let rows = Rows(digests);
    let backfill: BooleanArray = digests.iter().map(|digest| Some(digest.backfill)).collect();
    let columns: Vec<ArrayRef> = vec![
        rows.text(|digest| Some(digest.id().to_string())),
        rows.text(|digest| Some(digest.digest.clone())),
        rows.text(|digest| Some(digest.bucket.clone())),
        rows.text(|digest| Some(digest.key.clone())),
        rows.text(|digest| Some(digest.account.clone())),
        rows.text(|digest| Some(digest.region.clone())),
        rows.text(|digest| Some(digest.trail.clone())),
        rows.text(|digest| Some(digest.home_region.clone())),
        Arc::new(backfill),
        rows.time(|digest| digest.digest_start_time),
        rows.time(|digest| Some(digest.digest_end_time)),
        rows.text(|digest| Some(digest.status.as_str().to_owned())),
        rows.text(|digest| digest.reason.clone()),
        rows.text(|digest| digest.detail.clone()),
        rows.text(|digest| digest.hash_value.clone()),
        rows.text(|digest| digest.signature.clone()),
        rows.text(|digest| digest.public_key_fingerprint.clone()),
        rows.text(|digest| digest.previous_digest_s3_bucket.clone()),
        rows.text(|digest| digest.previous_digest_s3_object.clone()),
        rows.text(|digest| digest.previous_digest_hash_value.clone()),
        rows.text(|digest| digest.previous_digest_signature.clone()),
        Arc::new(listed_log_files(digests)?),
        rows.now(),
        rows.text(|_| Some(checked_by.to_owned())),
    ];
    RecordBatch::try_new(Kind::Digests.schema(), columns).context("the rows of digests")
}

/// Chooses the rows of digests other than these ids with these outcomes.
pub(crate) fn digests_unless(rows: &RecordBatch, unwanted: &HashSet<(String, &str)>) -> Result<BooleanArray> {
    let text =
        |name: &'static str| rows.column_by_name(name).and_then(|column| column.as_string_opt::<i32>());
    let (ids, statuses) = (text("id").context("no id")?, text("status").context("no status")?);
    let rows = ids.iter().zip(statuses);
    let wanted = rows.map(|(id, status)| match (id, status) {
        (Some(id), Some(status)) => Some(!unwanted.contains(&(id.to_owned(), status))),
        _ => Some(true),
    });
    Ok(wanted.collect())
}

fn listed_log_files(digests: &[DigestEntry]) -> Result<ListArray> {
    let schema = Kind::Digests.schema();
    let DataType::List(element) = schema.field_with_name("log_files")?.data_type() else {
        bail!("log_files is a list");
    };
    let DataType::Struct(members) = element.data_type() else { bail!("log_files is a list of structs") };
    let listed = || digests.iter().flat_map(|digest| &digest.log_files);
    let names: StringArray = listed().map(|file| Some(file.log_file.as_str())).collect();
    let hashes: StringArray = listed().map(|file| Some(file.hash_value.as_str())).collect();
    let values = StructArray::try_new(members.clone(), vec![Arc::new(names), Arc::new(hashes)], None)?;
    let lengths = digests.iter().map(|digest| digest.log_files.len());
    let offsets = OffsetBuffer::from_lengths(lengths);
    Ok(ListArray::try_new(element.clone(), offsets, Arc::new(values), None)?)
}

/// Entries, to be turned into columns.
struct Rows<'a, T>(&'a [T]);

impl<T> Rows<'_, T> {
    fn text(&self, value: impl Fn(&T) -> Option<String>) -> ArrayRef {
        Arc::new(self.0.iter().map(value).collect::<StringArray>())
    }

    fn long(&self, value: impl Fn(&T) -> Option<u64>) -> ArrayRef {
        let values = self.0.iter().map(|entry| value(entry).and_then(|value| i64::try_from(value).ok()));
        Arc::new(values.collect::<Int64Array>())
    }

    fn time(&self, value: impl Fn(&T) -> Option<DateTime<Utc>>) -> ArrayRef {
        let values = self.0.iter().map(|entry| value(entry).map(|time| time.timestamp_micros()));
        Arc::new(values.collect::<TimestampMicrosecondArray>().with_timezone("UTC"))
    }

    fn now(&self) -> ArrayRef {
        let now = Utc::now();
        self.time(|_| Some(now))
    }
}
