//! Packs records into log files and log files into signed digests, as CloudTrail delivers them.

use super::record::{iso_time, push};
use super::rng::Rng;
use super::signing::SigningKey;
use super::world::World;
use super::{GeneratedObject, TRAIL, TRAIL_HOME_REGION};
use crate::digest::{self, Signature};
use crate::object::Tree;
use anyhow::{Context as _, Result};
use flate2::{Compression, GzBuilder};
use std::collections::BTreeMap;
use std::io::Write as _;

/// Fast and still a sixth of the text. The bytes of sample-logs hang on it.
const LEVEL: u32 = 1;

/// Builds one log file after the other in the same buffer.
pub(super) struct FileWriter {
    seed: u64,
    files: u64,
    text: String,
    records: u64,
    oldest: i64,
    newest: i64,
}

impl FileWriter {
    pub(super) fn new(seed: u64) -> Self {
        Self { seed, files: 0, text: String::new(), records: 0, oldest: i64::MAX, newest: i64::MIN }
    }

    /// Begins a file.
    pub(super) fn begin(&mut self) {
        self.text.clear();
        self.text.push_str("{\"Records\":[");
        (self.records, self.oldest, self.newest) = (0, i64::MAX, i64::MIN);
    }

    /// Adds a record that `write` appends.
    pub(super) fn push(&mut self, time: i64, write: impl FnOnce(&mut String)) {
        if self.records > 0 {
            self.text.push(',');
        }
        write(&mut self.text);
        self.records += 1;
        self.oldest = self.oldest.min(time);
        self.newest = self.newest.max(time);
    }

    /// Adds a record that is text already.
    pub(super) fn push_text(&mut self, time: i64, record: &str) {
        self.push(time, |out| out.push_str(record));
    }

    /// Ends the file and tells the chain of it.
    pub(super) fn finish(
        &mut self,
        world: &World,
        chain: &mut Chain,
        tree: Tree,
        name_time: i64,
        rng: &mut Rng,
    ) -> Result<GeneratedObject> {
        self.text.push_str("]}");
        self.files += 1;
        let mut unique = String::with_capacity(16);
        Rng::new(self.seed, &[rng.next(), self.files]).push_alphanumeric(&mut unique, 16);
        let (folder, Chain { account_id, region, .. }) = (tree.folder(), &*chain);
        let minute = compact_time(name_time)[..13].to_owned();
        let name = format!("{account_id}_{folder}_{region}_{minute}Z_{unique}.json.gz");
        let key = key(world, account_id, folder, region, name_time, &name);
        chain.add(LogFile {
            key: key.clone(),
            hash: digest::sha256_hex(self.text.as_bytes()),
            oldest: self.oldest,
            newest: self.newest,
        });
        let bytes = gzip(&name, self.text.as_bytes())?;
        Ok(GeneratedObject { key, bytes, metadata: BTreeMap::new(), records: self.records })
    }
}

/// A log file that the next digest will list.
#[derive(Debug)]
struct LogFile {
    key: String,
    hash: String,
    oldest: i64,
    newest: i64,
}

/// The digests of one account and region, each linked to the one before.
#[derive(Debug)]
pub(super) struct Chain {
    account_id: String,
    region: String,
    /// Seconds by which the hours of this chain end before the full hour; CloudTrail's do not end on it
    /// either. Less than a slot, so that the last file of an hour is in the digest of that hour.
    offset: i64,
    started: i64,
    log_files: Vec<LogFile>,
    previous: Option<Previous>,
    /// From when on a log file is to be missed, until one was.
    misses_from: Option<i64>,
    missed: Option<Missed>,
}

#[derive(Debug)]
struct Previous {
    key: String,
    hash: String,
    signature: String,
}

/// A log file that the digest of its hour does not list.
#[derive(Debug)]
struct Missed {
    file: LogFile,
    /// The hour of it, once that has ended.
    hour: Option<(i64, i64)>,
}

/// A backfill digest comes this long after the hour that it is of.
const BACKFILL_DELAY: i64 = 3 * 3600;

/// What a digest is of, and what it says.
struct Hour<'a> {
    start: i64,
    end: i64,
    log_files: &'a [LogFile],
    previous: Option<&'a Previous>,
    /// When it was made, if it is a backfill digest.
    backfilled: Option<i64>,
}

impl Chain {
    pub(super) fn new(seed: u64, account_id: String, region: String, start: i64) -> Self {
        let label = account_id.bytes().chain(region.bytes());
        let label = label.fold(0_u64, |sum, byte| sum.wrapping_mul(131).wrapping_add(u64::from(byte)));
        let offset = 10 + i64::try_from(Rng::new(seed, &[label]).below(280)).unwrap_or(0);
        let (log_files, started) = (Vec::new(), start - offset);
        let (previous, misses_from, missed) = (None, None, None);
        Self { account_id, region, offset, started, log_files, previous, misses_from, missed }
    }

    /// Misses the first log file from then on.
    pub(super) fn miss_one_from(&mut self, time: i64) {
        self.misses_from = Some(time);
    }

    fn add(&mut self, file: LogFile) {
        if self.misses_from.take_if(|time| *time <= file.newest).is_some() {
            self.missed = Some(Missed { file, hour: None });
        } else {
            self.log_files.push(file);
        }
    }

    /// Signs the digest of the hour that ends at `full_hour`, or shortly before.
    pub(super) fn close_hour(
        &mut self,
        world: &World,
        full_hour: i64,
        key: &SigningKey,
    ) -> Result<GeneratedObject> {
        let end = full_hour - self.offset;
        let previous = self.previous.as_ref();
        let log_files = &self.log_files;
        let hour = Hour { start: self.started, end, log_files, previous, backfilled: None };
        let (object, signed) = self.sign(world, &hour, key)?;
        if let Some(missed) = &mut self.missed {
            missed.hour.get_or_insert((self.started, end));
        }
        self.started = end;
        self.log_files.clear();
        self.previous = Some(signed);
        Ok(object)
    }

    /// Signs the backfill digest of what was missed, if its time has come by `full_hour`.
    pub(super) fn backfill(
        &mut self,
        world: &World,
        full_hour: i64,
        key: &SigningKey,
    ) -> Result<Option<GeneratedObject>> {
        let is_due =
            |missed: &mut Missed| missed.hour.is_some_and(|(_, end)| end + BACKFILL_DELAY <= full_hour);
        let Some(Missed { file, hour: Some((start, end)) }) = self.missed.take_if(is_due) else {
            return Ok(None);
        };
        let backfilled = Some(end + BACKFILL_DELAY);
        let hour = Hour { start, end, log_files: &[file], previous: None, backfilled };
        Ok(Some(self.sign(world, &hour, key)?.0))
    }

    fn sign(&self, world: &World, hour: &Hour, key: &SigningKey) -> Result<(GeneratedObject, Previous)> {
        let name = format!(
            "{}_CloudTrail-Digest_{}_{TRAIL}_{TRAIL_HOME_REGION}_{}Z{}.json.gz",
            self.account_id,
            self.region,
            compact_time(hour.end),
            if hour.backfilled.is_some() { "_backfill" } else { "" },
        );
        let object = self::key(world, &self.account_id, "CloudTrail-Digest", &self.region, hour.end, &name);
        let text = self.text(&world.bucket, &object, hour, key.fingerprint());
        let hash = digest::sha256_hex(text.as_bytes());
        let parsed = digest::Digest::parse(text.as_bytes()).context("reading the digest just written")?;
        let signature = key.sign(&parsed.string_to_sign(&hash))?;
        let mut metadata = BTreeMap::from([
            (Signature::METADATA.to_owned(), signature.clone()),
            (Signature::METADATA_ALGORITHM.to_owned(), Signature::ALGORITHM.to_owned()),
        ]);
        if let Some(time) = hour.backfilled {
            metadata.insert("backfill-generation-timestamp".to_owned(), iso_time(time));
        }
        let bytes = gzip(&name, text.as_bytes())?;
        let signed = Previous { key: object.clone(), hash, signature };
        Ok((GeneratedObject { key: object, bytes, metadata, records: 0 }, signed))
    }

    /// Formats the digest, its fields in CloudTrail's order.
    fn text(&self, bucket: &str, object: &str, hour: &Hour, fingerprint: &str) -> String {
        let quoted_time =
            |time: Option<i64>| time.map_or("null".to_owned(), |time| format!("\"{}\"", iso_time(time)));
        let quoted = |text: Option<&str>| text.map_or("null".to_owned(), |text| format!("\"{text}\""));
        let Hour { log_files, previous, .. } = *hour;
        let mut out = format!(
            r#"{{"awsAccountId":"{}","digestStartTime":"{}","digestEndTime":"{}","digestS3Bucket":"{bucket}","digestS3Object":"{object}","digestPublicKeyFingerprint":"{fingerprint}","digestSignatureAlgorithm":"{}","newestEventTime":{},"oldestEventTime":{},"previousDigestS3Bucket":{},"previousDigestS3Object":{},"previousDigestHashValue":{},"previousDigestHashAlgorithm":{},"previousDigestSignature":{},"logFiles":["#,
            self.account_id,
            iso_time(hour.start),
            iso_time(hour.end),
            Signature::ALGORITHM,
            quoted_time(log_files.iter().map(|file| file.newest).max()),
            quoted_time(log_files.iter().map(|file| file.oldest).min()),
            quoted(previous.map(|_| bucket)),
            quoted(previous.map(|previous| previous.key.as_str())),
            quoted(previous.map(|previous| previous.hash.as_str())),
            quoted(previous.map(|_| "SHA-256")),
            quoted(previous.map(|previous| previous.signature.as_str())),
        );
        for (index, file) in log_files.iter().enumerate() {
            push(&mut out, &[if index > 0 { "," } else { "" }, "{\"s3Bucket\":\"", bucket]);
            push(&mut out, &["\",\"s3Object\":\"", &file.key, "\",\"hashValue\":\"", &file.hash]);
            push(
                &mut out,
                &["\",\"hashAlgorithm\":\"SHA-256\",\"newestEventTime\":\"", &iso_time(file.newest)],
            );
            push(&mut out, &["\",\"oldestEventTime\":\"", &iso_time(file.oldest), "\"}"]);
        }
        out.push_str("]}");
        out
    }
}

fn key(world: &World, account_id: &str, folder: &str, region: &str, time: i64, name: &str) -> String {
    let day = iso_time(time)[..10].replace('-', "/");
    format!("AWSLogs/{}/{account_id}/{folder}/{region}/{day}/{name}", world.organization_id)
}

/// Returns a time as `20260302T081500`.
fn compact_time(seconds: i64) -> String {
    iso_time(seconds).replace(['-', ':', 'Z'], "")
}

/// Packs text. CloudTrail's gzip header holds the name of the file too; the time is left at nothing.
pub(super) fn gzip(name: &str, text: &[u8]) -> Result<Vec<u8>> {
    let name = name.strip_suffix(".gz").unwrap_or(name);
    let out = Vec::with_capacity(text.len() / 4 + 256);
    let builder = GzBuilder::new().mtime(0).operating_system(255).filename(name);
    let mut encoder = builder.write(out, Compression::new(LEVEL));
    encoder.write_all(text).and_then(|()| encoder.finish()).context("packing with gzip")
}
