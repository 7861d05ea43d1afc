//! Repeats the check that a bundle is the evidence of.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::fmt;
use std::fs::{self, File};
use std::io::{self, BufRead as _, BufReader, Read};
use std::path::{Path, PathBuf};

use anyhow::{Context as _, Result, bail, ensure};
use flate2::read::MultiGzDecoder;
use ring::digest::{Context, SHA256};
use serde::Serialize;

use super::{HASH_MISMATCH, Line, VALID, members, unpack};
use crate::bucket;
use crate::digest::{Digest, LogFileEntry, PublicKeys};
use crate::object::ObjectRef;
use crate::validation::{self, CheckedDigest, StoredObject};

/// What to go by besides the bundle.
#[derive(Debug, Clone, Default)]
pub struct Options {
    /// Keys to trust instead of those in the bundle.
    pub public_keys: Option<PublicKeys>,
    /// A copy of the bucket, whose log files are to be held against the digests.
    pub logs: Option<PathBuf>,
}

/// What came of it.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub struct Report {
    /// Files in the bundle.
    pub members: u64,
    /// Hex SHA-256 of `SHA256SUMS`.
    pub seal: String,
    /// Whether the keys are those of the bundle.
    pub own_keys: bool,
    /// Digests by verdict.
    pub digests: BTreeMap<String, u64>,
    /// Links from a digest to the one before it, by what became of them.
    pub links: BTreeMap<String, u64>,
    /// Log files by verdict.
    pub log_files: BTreeMap<String, u64>,
    /// Log files in [`Options::logs`], if that was given.
    pub log_files_at_hand: Option<BTreeMap<String, u64>>,
    /// What was not confirmed; no more than [`Self::TOLD`] of it.
    pub problems: Vec<String>,
    /// How much was not confirmed.
    pub problem_count: u64,
}

impl Report {
    /// Problems that are told one by one.
    pub const TOLD: usize = 50;

    /// Whether all verdicts in the bundle follow from its digests and their signatures.
    pub fn is_confirmed(&self) -> bool {
        self.problem_count == 0
    }

    fn problem(&mut self, problem: impl fmt::Display) {
        self.problem_count += 1;
        if self.problems.len() < Self::TOLD {
            self.problems.push(problem.to_string());
        }
    }

    fn damaged(error: &anyhow::Error) -> Self {
        let mut report = Self::default();
        report.problem(format_args!("{error:#}"));
        report
    }
}

/// Repeats the check of the bundle at `path`, a file or the directory that it was unpacked into.
///
/// What is wrong with the bundle is in the report; an error means that the check could not run.
pub fn check(path: &Path, options: &Options) -> Result<Report> {
    if path.is_dir() {
        return check_directory(path, options);
    }
    ensure!(path.exists(), "{}: there is no such file", path.display());
    let directory = tempfile::tempdir().context("making a temporary directory")?;
    match unpack::unpack(path, directory.path()) {
        Ok(()) => check_directory(directory.path(), options),
        Err(error) => Ok(Report::damaged(&error)),
    }
}

fn check_directory(bundle: &Path, options: &Options) -> Result<Report> {
    let mut report = Report { own_keys: options.public_keys.is_some(), ..Report::default() };
    if let Err(error) = check_sums(bundle, &mut report) {
        report.problem(format_args!("{error:#}"));
        return Ok(report);
    }
    let keys = match &options.public_keys {
        Some(keys) => keys.clone(),
        None => bucket::read_public_keys(&bundle.join(members::PUBLIC_KEYS)).or_else(|error| {
            report.problem(format_args!("{error:#}"));
            anyhow::Ok(PublicKeys::default())
        })?,
    };
    let logs =
        options.logs.as_deref().map(Path::canonicalize).transpose().context("opening the log files")?;
    let mut check = Check { bundle, keys, logs, report, listed: HashMap::new(), seen: HashMap::new() };
    if check.logs.is_some() {
        check.report.log_files_at_hand = Some(BTreeMap::new());
    }
    if let Err(error) = check.lines() {
        check.report.problem(format_args!("{error:#}"));
    }
    check.links();
    Ok(check.report)
}

/// Each file is as `SHA256SUMS` says, and there is no other.
fn check_sums(bundle: &Path, report: &mut Report) -> Result<()> {
    let sums = fs::read(bundle.join(members::SUMS)).context("no bundle: it has no SHA256SUMS")?;
    report.seal = crate::digest::sha256_hex(&sums);
    let sums = String::from_utf8(sums).context("SHA256SUMS is no text")?;
    let mut listed = BTreeSet::from([members::SUMS.to_owned()]);
    for line in sums.split_terminator('\n') {
        let Some((sha256, name)) = line.split_once("  ").filter(|(_, name)| members::is_name(name)) else {
            report.problem(format_args!("SHA256SUMS has a line that is none: {line:?}"));
            continue;
        };
        listed.insert(name.to_owned());
        match File::open(bundle.join(name)).and_then(sha256_of) {
            Ok(found) if found == sha256 => {}
            Ok(_) => report.problem(format_args!("{name} was changed since the bundle was made")),
            Err(_) => report.problem(format_args!("{name} is in SHA256SUMS and not in the bundle")),
        }
    }
    report.members = listed.len() as u64;
    for name in files_below(bundle, "")? {
        if !listed.contains(&name) {
            report.problem(format_args!("{name} is in the bundle and not in SHA256SUMS"));
        }
    }
    Ok(())
}

fn files_below(directory: &Path, prefix: &str) -> Result<Vec<String>> {
    let mut names = Vec::new();
    let reading = || format!("reading {}", directory.display());
    for entry in fs::read_dir(directory).with_context(reading)? {
        let entry = entry.with_context(reading)?;
        let name = format!("{prefix}{}", entry.file_name().to_string_lossy());
        if entry.file_type().with_context(reading)?.is_dir() {
            names.extend(files_below(&entry.path(), &format!("{name}/"))?);
        } else {
            names.push(name);
        }
    }
    names.sort();
    Ok(names)
}

fn sha256_of(mut from: impl Read) -> io::Result<String> {
    let mut hash = Context::new(&SHA256);
    let mut piece = vec![0; 64 << 10];
    loop {
        match from.read(&mut piece)? {
            0 => return Ok(crate::hex::encode(hash.finish().as_ref())),
            length => hash.update(&piece[..length]),
        }
    }
}

/// Stands for an address, or for a hash with a signature: there may be a million of them.
type Short = [u8; 16];

fn short(texts: &[&str]) -> Short {
    let mut hash = Context::new(&SHA256);
    for text in texts {
        hash.update(text.as_bytes());
        hash.update(b"\n");
    }
    let mut short = [0; 16];
    short.copy_from_slice(&hash.finish().as_ref()[..16]);
    short
}

/// A digest that holds: its hash and signature, and what it links to.
type Seen = (Short, Option<(Short, Short)>);

/// A check under way.
struct Check<'a> {
    bundle: &'a Path,
    keys: PublicKeys,
    logs: Option<PathBuf>,
    report: Report,
    /// What the last digest lists and no verdict was given on yet: the hash by the address.
    listed: HashMap<String, String>,
    seen: HashMap<Short, Seen>,
}

impl Check<'_> {
    fn lines(&mut self) -> Result<()> {
        let file = File::open(self.bundle.join(members::VERDICTS)).context("opening verdicts.ndjson")?;
        let mut last_digest = String::new();
        for (number, line) in BufReader::new(file).lines().enumerate() {
            let line = line.context("reading verdicts.ndjson")?;
            let line: Line = serde_json::from_str(&line)
                .with_context(|| format!("verdicts.ndjson, line {}", number + 1))?;
            match line {
                Line::Digest { .. } => last_digest = self.digest(line)?,
                Line::LogFile { .. } => self.log_file(&line, &last_digest),
                Line::Unlisted { verdict, .. } => count(&mut self.report.log_files, &verdict),
                Line::Note { .. } => {}
            }
        }
        self.end_of_digest();
        Ok(())
    }

    /// Checks a digest, and returns its address.
    fn digest(&mut self, line: Line) -> Result<String> {
        self.end_of_digest();
        let Line::Digest { member, bucket, key, metadata, sha256, verdict, .. } = line else {
            bail!("not the line of a digest")
        };
        let object = ObjectRef::new(bucket, key);
        let address = object.uri();
        count(&mut self.report.digests, &verdict);
        let found = match member {
            Some(name) => self.load(&name, &object, metadata),
            None => Err("not in the bundle".to_owned()),
        };
        if found.is_ok() != (verdict == VALID) {
            let told = match &found {
                Ok(_) => "it holds".to_owned(),
                Err(why) => format!("it does not hold ({why})"),
            };
            self.report.problem(format_args!("{address}: the bundle says {verdict}; {told}"));
        }
        if let Ok(digest) = found {
            if sha256.is_some_and(|sha256| sha256 != digest.hash) {
                self.report.problem(format_args!("{address}: another SHA-256 than the bundle says"));
            }
            self.take(&address, digest);
        }
        Ok(address)
    }

    fn load(
        &self,
        name: &str,
        object: &ObjectRef,
        metadata: BTreeMap<String, String>,
    ) -> Result<CheckedDigest, String> {
        if !members::is_name(name) {
            return Err("not a file of the bundle".to_owned());
        }
        let bytes = fs::read(self.bundle.join(name)).map_err(|error| error.to_string())?;
        let stored = StoredObject { bytes, metadata };
        let checked = validation::check_digest(object, &stored, &self.keys);
        let checked = checked.map_err(|invalid| invalid.error.to_string())?;
        match oddity(&checked.digest) {
            Some(odd) => Err(format!("invalid format: {odd}")),
            None => Ok(checked),
        }
    }

    fn take(&mut self, address: &str, checked: CheckedDigest) {
        let facts = short(&[&checked.hash, &checked.signature.to_ascii_lowercase()]);
        let link = checked.digest.previous().map(|(bucket, key)| {
            let hash = checked.digest.previous_digest_hash_value.as_deref().unwrap_or_default();
            let signature = checked.digest.previous_digest_signature.as_deref().unwrap_or_default();
            let address = ObjectRef::new(bucket, key).uri();
            (short(&[&address]), short(&[hash, &signature.to_ascii_lowercase()]))
        });
        self.seen.insert(short(&[address]), (facts, link));
        let listed = checked.digest.log_files.into_iter();
        self.listed = listed
            .map(|entry| (ObjectRef::new(entry.s3_bucket, entry.s3_object).uri(), entry.hash_value))
            .collect();
    }

    fn log_file(&mut self, line: &Line, digest: &str) {
        let Line::LogFile { bucket, key, hash_value, sha256, verdict, .. } = line else { return };
        let address = ObjectRef::new(bucket, key).uri();
        count(&mut self.report.log_files, verdict);
        if self.listed.remove(&address).as_ref() != Some(hash_value) {
            self.report.problem(format_args!("{address}: {digest} does not list it with this hash"));
        }
        let same = sha256.as_ref() == Some(hash_value);
        let contradicts = match verdict.as_str() {
            VALID => !same,
            HASH_MISMATCH => same || sha256.is_none(),
            _ => false,
        };
        if contradicts {
            self.report.problem(format_args!("{address}: the bundle says {verdict}, and the hashes do not"));
        }
        if let Some(logs) = &self.logs {
            let found = find(logs, key).map(|path| hash_of_log_file(&path));
            self.at_hand(&address, found, hash_value, sha256.as_deref());
        }
    }

    /// Judges a log file of the copy: nothing if it is not there, or no hash if it cannot be unpacked.
    #[allow(clippy::option_option, reason = "there or not, and with a hash or not")]
    fn at_hand(
        &mut self,
        address: &str,
        found: Option<Option<String>>,
        hash_value: &str,
        sha256: Option<&str>,
    ) {
        let told = match &found {
            None => "not there",
            Some(Some(found)) if found == hash_value => "as the digest says",
            Some(_) => "other than the digest says",
        };
        count(self.report.log_files_at_hand.get_or_insert_default(), told);
        if found.is_some_and(|found| found.as_deref() != sha256) {
            self.report.problem(format_args!(
                "{address}: the file at hand is not the one that the bundle speaks of"
            ));
        }
    }

    /// Counts what the last digest lists and no verdict was given on.
    fn end_of_digest(&mut self) {
        for _ in std::mem::take(&mut self.listed) {
            count(&mut self.report.log_files, "without a verdict");
        }
    }

    fn links(&mut self) {
        for (_, link) in self.seen.values() {
            let told = match link {
                None => "start of a chain",
                Some((address, facts)) => match self.seen.get(address) {
                    None => "to a digest that is not in the bundle or does not hold",
                    Some((found, _)) if found == facts => "hold",
                    Some(_) => "BROKEN",
                },
            };
            count(&mut self.report.links, told);
        }
    }
}

/// What no digest of CloudTrail's is like, though its signature may hold.
fn oddity(digest: &Digest) -> Option<&'static str> {
    if digest.start().is_none() || digest.end().is_none() {
        return Some("a time that is none");
    }
    let other = |entry: &LogFileEntry| entry.hash_algorithm.as_deref().is_some_and(|name| name != "SHA-256");
    digest.log_files.iter().any(other).then_some("another hash than SHA-256")
}

fn count(counts: &mut BTreeMap<String, u64>, what: &str) {
    *counts.entry(what.to_owned()).or_default() += 1;
}

/// The file of a key in a copy of the bucket; nothing outside of it.
fn find(logs: &Path, key: &str) -> Option<PathBuf> {
    let path = logs.join(key).canonicalize().ok()?;
    (path.starts_with(logs) && path.is_file()).then_some(path)
}

fn hash_of_log_file(path: &Path) -> Option<String> {
    sha256_of(MultiGzDecoder::new(File::open(path).ok()?)).ok()
}
