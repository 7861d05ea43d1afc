//! What the ledger and quarantine say of a log file that was loaded.

use crate::event::{Broken, Origin};
use crate::lake::{LogFileEntry, QuarantineEntry};
use crate::log_file::LogFile;
use crate::source::{Candidate, Place};

/// Where the rows of a candidate come from.
pub(in crate::ingest) fn origin(candidate: &Candidate) -> Origin<'_> {
    let key = candidate.key.as_ref();
    let epoch = chrono::NaiveDate::default();
    Origin {
        log_file: &candidate.log_file,
        account: key.map(|key| key.account_id.as_str()),
        region: key.map(|key| key.region.as_str()),
        log_date: key.and_then(|key| i32::try_from((key.date - epoch).num_days()).ok()),
    }
}

/// The ledger's row of a candidate, before it is read.
pub(super) fn of_candidate(candidate: &Candidate, size: u64) -> LogFileEntry {
    let key = candidate.key.as_ref();
    let address = candidate.log_file.strip_prefix("s3://").and_then(|rest| rest.split_once('/'));
    LogFileEntry {
        log_file: candidate.log_file.clone(),
        bucket: address.map(|(bucket, _)| bucket.to_owned()),
        key: address.map(|(_, key)| key.to_owned()),
        version_id: version_id(&candidate.place),
        etag: candidate.etag.clone(),
        size,
        account: key.map(|key| key.account_id.clone()),
        region: key.map(|key| key.region.clone()),
        log_date: key.map(|key| key.date),
        tree: key.map(|key| key.tree.folder().to_owned()),
        ..LogFileEntry::default()
    }
}

fn version_id(place: &Place) -> Option<String> {
    match place {
        Place::S3(object) => object.version_id.clone(),
        Place::Local(_) => None,
    }
}

/// Quarantine's row of a whole file, without reason and bytes.
pub(super) fn whole_file(entry: &LogFileEntry) -> QuarantineEntry {
    QuarantineEntry {
        log_file: entry.log_file.clone(),
        bucket: entry.bucket.clone(),
        key: entry.key.clone(),
        version_id: entry.version_id.clone(),
        ..QuarantineEntry::default()
    }
}

/// Quarantine's row of one record.
pub(super) fn broken_record(entry: &LogFileEntry, broken: &Broken, file: &LogFile) -> QuarantineEntry {
    QuarantineEntry {
        reason: broken.reason.to_owned(),
        detail: broken.detail.clone(),
        record_index: broken.record_index.and_then(|index| u64::try_from(index).ok()),
        byte_offset: Some(broken.byte_offset as u64),
        byte_length: Some(broken.byte_length as u64),
        bytes: broken_bytes(broken, file).to_vec(),
        ..whole_file(entry)
    }
}

/// The bytes that are no record: of the text, or of what follows the compressed stream.
fn broken_bytes<'a>(broken: &Broken, file: &'a LogFile) -> &'a [u8] {
    let end = broken.byte_offset + broken.byte_length;
    file.bytes.get(broken.byte_offset..end).unwrap_or(&file.trailing_bytes)
}
