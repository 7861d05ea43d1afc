//! Writes a bundle while the check goes on.

use std::collections::BTreeMap;
use std::io::{Read, Write as _};
use std::path::{Path, PathBuf};

use anyhow::{Context as _, Result, bail, ensure};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;
use chrono::{DateTime, SecondsFormat, Utc};
use flate2::read::GzDecoder;
use serde::Serialize;
use tempfile::NamedTempFile;

use super::spool::Spool;
use super::{About, DigestEvidence, Line, LogFileEvidence, Sealed, members};
use crate::digest::{self, PublicKey};
use crate::object::ObjectRef;

/// Digests are packed already, and the verdicts are mostly hashes: more effort would gain little.
const LEVEL: i32 = 3;

type Archive = tar::Builder<zstd::Encoder<'static, NamedTempFile>>;

/// A bundle being written. It is under its name only when [`Self::finish`] has succeeded; before that, and if
/// the writer is dropped, there is nothing.
///
/// The order of the calls is the order of the bundle: the log files of a digest follow it. The same calls give
/// the same bytes, but for the times in the manifest.
pub struct EvidenceWriter {
    path: PathBuf,
    archive: Archive,
    verdicts: Spool,
    sums: Spool,
    members: u64,
    digests: u64,
    has_digest: bool,
    keys: BTreeMap<(String, String), PublicKey>,
    counts: BTreeMap<&'static str, BTreeMap<String, u64>>,
}

impl std::fmt::Debug for EvidenceWriter {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("EvidenceWriter")
            .field("path", &self.path)
            .field("digests", &self.digests)
            .finish_non_exhaustive()
    }
}

impl EvidenceWriter {
    /// Begins a bundle. What is there already is never replaced.
    pub fn create(path: &Path) -> Result<Self> {
        ensure!(!path.exists(), "{} is there already: name another file for the evidence", path.display());
        let directory = directory_of(path);
        let writing = || format!("writing {}", path.display());
        let mut builder = tempfile::Builder::new();
        builder.prefix(".trailq-evidence-");
        #[cfg(unix)]
        builder.permissions(std::os::unix::fs::PermissionsExt::from_mode(0o666));
        let file = builder.tempfile_in(directory).with_context(writing)?;
        let mut encoder = zstd::Encoder::new(file, LEVEL).with_context(writing)?;
        encoder.include_checksum(true).with_context(writing)?;
        let mut writer = Self {
            path: path.to_owned(),
            archive: tar::Builder::new(encoder),
            verdicts: Spool::new(directory)?,
            sums: Spool::new(directory)?,
            members: 0,
            digests: 0,
            has_digest: false,
            keys: BTreeMap::new(),
            counts: BTreeMap::new(),
        };
        writer.member(members::README, include_bytes!("README.txt"))?;
        writer.member(members::VERIFY, include_bytes!("verify.py"))?;
        Ok(writer)
    }

    /// Adds a digest. The log files that it lists come next.
    pub fn digest(&mut self, digest: &DigestEvidence) -> Result<()> {
        self.has_digest = true;
        let mut member = None;
        if let Some((bytes, _)) = digest.stored {
            self.digests += 1;
            let name = members::digest(self.digests);
            self.member(&name, bytes)?;
            member = Some(name);
        }
        self.count("digests", digest.verdict);
        self.line(&Line::Digest {
            member,
            bucket: digest.object.bucket.clone(),
            key: digest.object.key.clone(),
            metadata: digest.stored.map(|(_, metadata)| metadata.clone()).unwrap_or_default(),
            sha256: digest.stored.and_then(|(bytes, _)| uncompressed_sha256(bytes)),
            verdict: digest.verdict.to_owned(),
            detail: digest.detail.map(str::to_owned),
        })
    }

    /// Adds the verdict on a log file that the last digest lists.
    pub fn log_file(&mut self, log_file: &LogFileEvidence) -> Result<()> {
        if !self.has_digest {
            bail!("a log file came before any digest: {}", log_file.object.uri());
        }
        self.count("log_files", log_file.verdict);
        self.line(&Line::LogFile {
            bucket: log_file.object.bucket.clone(),
            key: log_file.object.key.clone(),
            hash_value: log_file.hash_value.to_owned(),
            sha256: log_file.sha256.map(str::to_owned),
            verdict: log_file.verdict.to_owned(),
            detail: log_file.detail.map(str::to_owned),
        })
    }

    /// Adds a log file that no valid digest lists: a fact about the bucket, which nothing in the bundle proves.
    pub fn unlisted(
        &mut self,
        object: &ObjectRef,
        sha256: Option<&str>,
        verdict: &str,
        detail: Option<&str>,
    ) -> Result<()> {
        self.count("log_files", verdict);
        self.line(&Line::Unlisted {
            bucket: object.bucket.clone(),
            key: object.key.clone(),
            sha256: sha256.map(str::to_owned),
            verdict: verdict.to_owned(),
            detail: detail.map(str::to_owned),
        })
    }

    /// Adds what else was found, such as hours without a digest: the word of whoever made the bundle.
    pub fn note(&mut self, finding: &impl Serialize) -> Result<()> {
        let finding = serde_json::to_value(finding).context("formatting a finding")?;
        self.line(&Line::Note { finding })
    }

    /// Adds a public key that was used, or might have been. The same key twice is there once.
    pub fn public_key(&mut self, region: &str, key: &PublicKey) {
        self.keys.insert((region.to_owned(), key.fingerprint.clone()), key.clone());
    }

    /// Ends the bundle and gives it its name.
    pub fn finish(mut self, about: &About) -> Result<Sealed> {
        let keys = public_keys_json(&self.keys)?;
        self.member(members::PUBLIC_KEYS, &keys)?;
        let verdicts = self.verdicts.take()?;
        self.append(members::VERDICTS, verdicts.length, verdicts.file, &verdicts.sha256)?;
        let manifest = self.manifest(about)?;
        self.member(members::MANIFEST, &manifest)?;
        let sums = self.sums.take()?;
        let seal = sums.sha256;
        self.append(members::SUMS, sums.length, sums.file, &seal)?;
        let writing = || format!("writing {}", self.path.display());
        let mut file = self.archive.into_inner().and_then(zstd::Encoder::finish).with_context(writing)?;
        file.flush().and_then(|()| file.as_file().sync_all()).with_context(writing)?;
        let bytes = file.as_file().metadata().with_context(writing)?.len();
        file.persist_noclobber(&self.path).with_context(writing)?;
        Ok(Sealed { seal, members: self.members, bytes })
    }

    fn manifest(&self, about: &About) -> Result<Vec<u8>> {
        #[derive(Serialize)]
        struct Manifest<'a> {
            format: &'static str,
            format_version: u32,
            trailq_version: &'static str,
            finished_at: String,
            about: &'a About,
            counts: &'a BTreeMap<&'static str, BTreeMap<String, u64>>,
        }
        let manifest = Manifest {
            format: members::FOLDER,
            format_version: 1,
            trailq_version: env!("CARGO_PKG_VERSION"),
            finished_at: iso(Utc::now()),
            about,
            counts: &self.counts,
        };
        let mut text = serde_json::to_vec_pretty(&manifest).context("formatting the manifest")?;
        text.push(b'\n');
        Ok(text)
    }

    fn count(&mut self, what: &'static str, verdict: &str) {
        *self.counts.entry(what).or_default().entry(verdict.to_owned()).or_default() += 1;
    }

    fn line(&mut self, line: &Line) -> Result<()> {
        self.verdicts.line(&serde_json::to_string(line).context("formatting a verdict")?)
    }

    fn member(&mut self, name: &str, bytes: &[u8]) -> Result<()> {
        self.append(name, bytes.len() as u64, bytes, &digest::sha256_hex(bytes))
    }

    fn append(&mut self, name: &str, length: u64, from: impl Read, sha256: &str) -> Result<()> {
        let mut header = tar::Header::new_ustar();
        header.set_size(length);
        header.set_mode(0o644);
        header.set_mtime(0);
        let path = format!("{}/{name}", members::FOLDER);
        self.archive
            .append_data(&mut header, path, from)
            .with_context(|| format!("writing {}", self.path.display()))?;
        self.members += 1;
        if name == members::SUMS { Ok(()) } else { self.sums.line(&format!("{sha256}  {name}")) }
    }
}

/// Where the file of a path is to be.
fn directory_of(path: &Path) -> &Path {
    path.parent().filter(|parent| !parent.as_os_str().is_empty()).unwrap_or(Path::new("."))
}

/// Hex SHA-256 of what the first gzip member holds, if it is one.
fn uncompressed_sha256(stored: &[u8]) -> Option<String> {
    /// Whoever stored more than that stored no digest.
    const LONGEST: u64 = 1 << 30;
    let mut inflated = GzDecoder::new(stored).take(LONGEST);
    let mut hash = ring::digest::Context::new(&ring::digest::SHA256);
    let mut piece = [0; 16 << 10];
    loop {
        match inflated.read(&mut piece) {
            Ok(0) => return Some(crate::hex::encode(hash.finish().as_ref())),
            Ok(length) => hash.update(&piece[..length]),
            Err(_) => return None,
        }
    }
}

#[derive(Serialize)]
#[serde(rename_all = "PascalCase")]
struct KeyItem<'a> {
    region: &'a str,
    fingerprint: &'a str,
    value: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    validity_start_time: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    validity_end_time: Option<String>,
}

#[derive(Serialize)]
#[serde(rename_all = "PascalCase")]
struct KeyList<'a> {
    public_key_list: Vec<KeyItem<'a>>,
}

/// The keys as `aws cloudtrail list-public-keys` prints them, with the region of each.
fn public_keys_json(keys: &BTreeMap<(String, String), PublicKey>) -> Result<Vec<u8>> {
    let mut list = KeyList { public_key_list: Vec::with_capacity(keys.len()) };
    for ((region, fingerprint), key) in keys {
        list.public_key_list.push(KeyItem {
            region,
            fingerprint,
            value: BASE64.encode(&key.pkcs1),
            validity_start_time: key.validity_start.map(iso),
            validity_end_time: key.validity_end.map(iso),
        });
    }
    let mut text = serde_json::to_vec_pretty(&list).context("formatting the public keys")?;
    text.push(b'\n');
    Ok(text)
}

fn iso(time: DateTime<Utc>) -> String {
    time.to_rfc3339_opts(SecondsFormat::Secs, true)
}
