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
}

#[derive(Debug)]
struct Previous {
    key: String,
    hash: String,
    signature: String,
}

impl Chain {
    pub(super) fn new(seed: u64, account_id: String, region: String, start: i64) -> Self {
        let label = account_id.bytes().chain(region.bytes());
        let label = label.fold(0_u64, |sum, byte| sum.wrapping_mul(131).wrapping_add(u64::from(byte)));
        let offset = 10 + i64::try_from(Rng::new(seed, &[label]).below(280)).unwrap_or(0);
        Self { account_id, region, offset, started: start - offset, log_files: Vec::new(), previous: None }
    }

    fn add(&mut self, file: LogFile) {
        self.log_files.push(file);
    }

    /// Signs the digest of the hour that ends at `full_hour`, or shortly before.
    pub(super) fn close_hour(
        &mut self,
        world: &World,
        full_hour: i64,
        key: &SigningKey,
    ) -> Result<GeneratedObject> {
        let end = full_hour - self.offset;
        let name = format!(
            "{}_CloudTrail-Digest_{}_{TRAIL}_{TRAIL_HOME_REGION}_{}Z.json.gz",
            self.account_id,
            self.region,
            compact_time(end)
        );
        let object = self::key(world, &self.account_id, "CloudTrail-Digest", &self.region, end, &name);
        let text = self.text(&world.bucket, &object, end, key.fingerprint());
        let hash = digest::sha256_hex(text.as_bytes());
        let parsed = digest::Digest::parse(text.as_bytes()).context("reading the digest just written")?;
        let signature = key.sign(&parsed.string_to_sign(&hash))?;
        let metadata = [
            (Signature::METADATA.to_owned(), signature.clone()),
            (Signature::METADATA_ALGORITHM.to_owned(), Signature::ALGORITHM.to_owned()),
        ];
        let bytes = gzip(&name, text.as_bytes())?;
        self.started = end;
        self.log_files.clear();
        self.previous = Some(Previous { key: object.clone(), hash, signature });
        Ok(GeneratedObject { key: object, bytes, metadata: BTreeMap::from(metadata), records: 0 })
    }

    /// Formats the digest, its fields in CloudTrail's order.
    fn text(&self, bucket: &str, object: &str, end: i64, fingerprint: &str) -> String {
        let quoted_time =
            |time: Option<i64>| time.map_or("null".to_owned(), |time| format!("\"{}\"", iso_time(time)));
        let quoted = |text: Option<&str>| text.map_or("null".to_owned(), |text| format!("\"{text}\""));
        let previous = self.previous.as_ref();
        let mut out = format!(
            r#"{{"awsAccountId":"{}","digestStartTime":"{}","digestEndTime":"{}","digestS3Bucket":"{bucket}","digestS3Object":"{object}","digestPublicKeyFingerprint":"{fingerprint}","digestSignatureAlgorithm":"{}","newestEventTime":{},"oldestEventTime":{},"previousDigestS3Bucket":{},"previousDigestS3Object":{},"previousDigestHashValue":{},"previousDigestHashAlgorithm":{},"previousDigestSignature":{},"logFiles":["#,
            self.account_id,
            iso_time(self.started),
            iso_time(end),
            Signature::ALGORITHM,
            quoted_time(self.log_files.iter().map(|file| file.newest).max()),
            quoted_time(self.log_files.iter().map(|file| file.oldest).min()),
            quoted(previous.map(|_| bucket)),
            quoted(previous.map(|previous| previous.key.as_str())),
            quoted(previous.map(|previous| previous.hash.as_str())),
            quoted(previous.map(|_| "SHA-256")),
            quoted(previous.map(|previous| previous.signature.as_str())),
        );
        for (index, file) in self.log_files.iter().enumerate() {
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
