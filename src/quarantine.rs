//! Quarantine, read again: what the reader of today, other limits or another fetch can make of it.
//!
//! A piece is a whole log file or one record of it. What reads now becomes rows of `events`, and the
//! piece is marked as replayed, in one commit; what does not stays as it is. A whole log file with
//! broken records in it gives its good ones, and the broken ones become pieces by themselves.
//!
//! The commit carries the next revision of the log file, which the lake takes once: two replays of one
//! piece, or one that crashed and is run again, add its rows once.

mod read;

use std::collections::{BTreeMap, HashMap, HashSet};

use anyhow::{Context, Result, bail};

use self::read::{Again, Group};
use crate::contain::contained;
use crate::lake::{Batch, Lake, QuarantineFilter, QuarantineStatus, Quarantined};
use crate::log_file::Limits;
use crate::object::ObjectRef;
use crate::store::{S3, read_local};

/// How often pieces are tried anew after another writer has changed the same log files.
const ATTEMPTS: usize = 20;

/// Pieces are read and committed together until they have so many bytes.
const BATCH_BYTES: u64 = 64 << 20;

/// Pieces that are read and committed together, at most.
const BATCH_PIECES: usize = 1000;

/// How a replay goes about it.
#[derive(Debug)]
pub struct Options {
    /// What a file may cost.
    pub limits: Limits,
    /// Fetch the log files again, instead of reading the bytes that quarantine has.
    pub refetch: Option<S3>,
    /// Read, and change nothing.
    pub dry_run: bool,
}

/// What became of the pieces.
#[derive(Debug, Default)]
pub struct Replayed {
    /// Pieces whose records are in `events` now.
    pub pieces: u64,
    /// Rows that `events` has gained.
    pub events: u64,
    /// Pieces that quarantine has gained: broken records of files that could be read.
    pub quarantined: u64,
    /// Pieces that still cannot be read, and why.
    pub failed: Vec<Failed>,
}

/// A piece that cannot be read, still.
#[derive(Debug)]
pub struct Failed {
    /// The piece.
    pub id: String,
    /// Its log file.
    pub log_file: String,
    /// Why, as a short code.
    pub reason: String,
    /// Why, in words.
    pub detail: String,
}

/// Reads pieces again. Those that were dealt with in the meantime are passed over.
pub async fn replay(lake: &Lake, ids: &[String], options: &Options) -> Result<Replayed> {
    let mut replayed = Replayed::default();
    for _ in 0..ATTEMPTS {
        let failed: HashSet<&String> = replayed.failed.iter().map(|failed| &failed.id).collect();
        let ids = ids.iter().filter(|id| !failed.contains(id)).cloned().collect();
        let filter = QuarantineFilter { ids: Some(ids), ..QuarantineFilter::default() };
        let open = lake.quarantined(&filter).await?;
        if open.is_empty() {
            replayed.failed = still_open(lake, replayed.failed).await?;
            return Ok(replayed);
        }
        for pieces in batches(open) {
            replay_batch(lake, pieces, options, &mut replayed).await?;
        }
        if options.dry_run {
            return Ok(replayed);
        }
    }
    bail!("other writers keep changing the same log files: try again")
}

/// Those that another has not dealt with in the meantime. Between looking at a piece and at the ledger the other's
/// commit may have come, by which the piece looked as if its log file had got into the lake without it.
async fn still_open(lake: &Lake, mut failed: Vec<Failed>) -> Result<Vec<Failed>> {
    if failed.is_empty() {
        return Ok(failed);
    }
    let ids = failed.iter().map(|failed| failed.id.clone()).collect();
    let filter = QuarantineFilter { ids: Some(ids), ..QuarantineFilter::default() };
    let open: HashSet<String> = lake.quarantined(&filter).await?.into_iter().map(|piece| piece.id).collect();
    failed.retain(|failed| open.contains(&failed.id));
    Ok(failed)
}

/// Puts a log file into the lake that was put down as missing, and has been found after all.
pub(crate) async fn found(lake: &Lake, log_file: &str, bytes: Vec<u8>, limits: &Limits) -> Result<Replayed> {
    let filter = QuarantineFilter {
        reason: Some("missing".to_owned()),
        log_files: Some(vec![log_file.to_owned()]),
        ..QuarantineFilter::default()
    };
    let mut replayed = Replayed::default();
    let pieces = lake.quarantined(&filter).await?;
    let Some(ledger) = lake.ledger(&[log_file]).await?.pop().filter(|_| !pieces.is_empty()) else {
        return Ok(replayed);
    };
    let (group, limits) = (Group { ledger, pieces, others: vec![], fetched: Some(bytes) }, limits.clone());
    let again = tokio::task::spawn_blocking(move || group.read(&limits)).await??;
    let mut batch = Batch::default();
    take(lake, again, &mut batch, &mut Replayed::default(), &mut replayed);
    if !batch.files.is_empty() {
        let committed = lake.commit(vec![lake.writer().write(batch).await?]).await?;
        replayed.pieces += committed.resolved;
        replayed.events += committed.events;
        replayed.quarantined += committed.quarantined;
    }
    Ok(replayed)
}

/// Pieces by log file, in batches that fit into memory.
fn batches(pieces: Vec<Quarantined>) -> Vec<Vec<Quarantined>> {
    let mut by_log_file: BTreeMap<String, Vec<Quarantined>> = BTreeMap::new();
    for piece in pieces {
        by_log_file.entry(piece.entry.log_file.clone()).or_default().push(piece);
    }
    let (mut batches, mut bytes): (Vec<Vec<Quarantined>>, u64) = (vec![], 0);
    for pieces in by_log_file.into_values() {
        let size: u64 = pieces.iter().filter_map(|piece| piece.entry.byte_length).sum();
        match batches.last_mut() {
            Some(batch) if bytes + size <= BATCH_BYTES && batch.len() + pieces.len() <= BATCH_PIECES => {
                batch.extend(pieces);
                bytes += size;
            }
            _ => {
                batches.push(pieces);
                bytes = size;
            }
        }
    }
    batches
}

async fn replay_batch(
    lake: &Lake,
    pieces: Vec<Quarantined>,
    options: &Options,
    replayed: &mut Replayed,
) -> Result<()> {
    let groups = groups(lake, pieces, options).await?;
    let (mut batch, mut gained) = (Batch::default(), Replayed::default());
    for mut group in groups {
        if let Some(s3) = &options.refetch {
            match fetch(s3, &group, &options.limits).await {
                Ok(bytes) => group.fetched = Some(bytes),
                Err(error) => {
                    let failed = |piece: &Quarantined| failed(piece, "not_fetched", format!("{error:#}"));
                    replayed.failed.extend(group.pieces.iter().map(failed));
                    continue;
                }
            }
        }
        let limits = options.limits.clone();
        let named = |piece: &Quarantined| (piece.id.clone(), piece.entry.log_file.clone());
        let named: Vec<(String, String)> = group.pieces.iter().map(named).collect();
        let read = tokio::task::spawn_blocking(move || contained(|| group.read(&limits))).await?;
        match read {
            Ok(again) => take(lake, again?, &mut batch, &mut gained, replayed),
            // The reader of today is not up to it either.
            Err(panicked) => replayed.failed.extend(named.into_iter().map(|(id, log_file)| Failed {
                id,
                log_file,
                reason: "reader_panicked".to_owned(),
                detail: panicked.clone(),
            })),
        }
    }
    if batch.files.is_empty() {
        return Ok(());
    }
    if options.dry_run {
        replayed.add(&gained);
        return Ok(());
    }
    let staged = lake.writer().write(batch).await?;
    let committed = lake.commit(vec![staged]).await?;
    // What another has changed first was left out; the next round sees it as it is now.
    replayed.pieces += committed.resolved;
    replayed.events += committed.events;
    replayed.quarantined += committed.quarantined;
    Ok(())
}

impl Replayed {
    fn add(&mut self, other: &Self) {
        self.pieces += other.pieces;
        self.events += other.events;
        self.quarantined += other.quarantined;
    }
}

fn take(lake: &Lake, again: Again, batch: &mut Batch, gained: &mut Replayed, replayed: &mut Replayed) {
    replayed.failed.extend(again.failed);
    let Some(entry) = again.entry else { return };
    gained.pieces += again.resolved.len() as u64;
    gained.events += again.events.iter().map(|rows| rows.num_rows() as u64).sum::<u64>();
    gained.quarantined += again.quarantine.len() as u64;
    batch.files.push(entry);
    batch.events.extend(again.events);
    batch.quarantine.extend(again.quarantine);
    let resolved = again.resolved.into_iter();
    batch.resolved.extend(resolved.map(|piece| lake.resolve(piece, QuarantineStatus::Replayed)));
}

/// The pieces of each log file with their bytes, and what the ledger says of it.
async fn groups(lake: &Lake, pieces: Vec<Quarantined>, options: &Options) -> Result<Vec<Group>> {
    let mut names: Vec<String> = pieces.iter().map(|piece| piece.entry.log_file.clone()).collect();
    names.dedup();
    let refetch = options.refetch.is_some();
    let wanted: HashSet<String> = pieces.iter().map(|piece| piece.id.clone()).collect();
    // A file that is fetched again as a whole takes the place of all that quarantine has of it.
    let (ids, log_files) =
        if refetch { (None, Some(names.clone())) } else { (Some(wanted.iter().cloned().collect()), None) };
    let filter = QuarantineFilter { ids, log_files, bytes: !refetch, ..QuarantineFilter::default() };
    let mut by_log_file: HashMap<String, (Vec<Quarantined>, Vec<Quarantined>)> = HashMap::new();
    for piece in lake.quarantined(&filter).await? {
        let (meant, others) = by_log_file.entry(piece.entry.log_file.clone()).or_default();
        if wanted.contains(&piece.id) { meant.push(piece) } else { others.push(piece) }
    }
    let names: Vec<&str> = names.iter().map(String::as_str).collect();
    let mut groups = vec![];
    for ledger in lake.ledger(&names).await? {
        if let Some((pieces, others)) = by_log_file.remove(&ledger.log_file) {
            groups.push(Group { ledger, pieces, others, fetched: None });
        }
    }
    match by_log_file.keys().next() {
        Some(log_file) => bail!("{log_file:?} is in quarantine, but not in the ledger"),
        None => Ok(groups),
    }
}

/// The log file as it is where it came from.
async fn fetch(s3: &S3, group: &Group, limits: &Limits) -> Result<Vec<u8>> {
    let entry = &group.ledger;
    let limit = limits.compressed;
    if let (Some(bucket), Some(key)) = (&entry.bucket, &entry.key) {
        let version_id = entry.version_id.clone();
        let object = ObjectRef { bucket: bucket.clone(), key: key.clone(), version_id };
        return s3.get(&object, limit).await;
    }
    let path = entry.log_file.clone();
    let read = move || read_local(std::path::Path::new(&path), limit);
    tokio::task::spawn_blocking(read).await.context("reading a file")?
}

fn failed(piece: &Quarantined, reason: &str, detail: impl Into<String>) -> Failed {
    Failed {
        id: piece.id.clone(),
        log_file: piece.entry.log_file.clone(),
        reason: reason.to_owned(),
        detail: detail.into(),
    }
}
