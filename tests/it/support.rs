//! What the tests share: the binary as a user runs it, log files to give it, and what is in a lake.

use std::fs;
use std::io::{Read as _, Write as _};
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};
use std::sync::OnceLock;

use serde_json::Value;
use tempfile::TempDir;
use trailq::generate::signing::SigningKey;
use trailq::generate::{Options, Volume, write_directory};

/// What a command left behind.
pub(crate) struct Run {
    pub(crate) code: Option<i32>,
    pub(crate) stdout: String,
    pub(crate) stderr: String,
}

impl Run {
    /// The same run, which must have ended with `code`.
    pub(crate) fn expect(self, code: i32) -> Self {
        let Run { stdout, stderr, .. } = &self;
        assert_eq!(self.code, Some(code), "\nstdout:\n{stdout}\nstderr:\n{stderr}");
        self
    }

    /// The number that the summary has in the line `name`.
    pub(crate) fn summary(&self, name: &str) -> u64 {
        let rest = self.stdout.lines().find_map(|line| line.trim_start().strip_prefix(name));
        let rest = rest.unwrap_or_else(|| panic!("no line {name:?} in\n{}", self.stdout));
        rest.split_whitespace().next().unwrap().replace(',', "").parse().unwrap()
    }
}

impl From<Output> for Run {
    fn from(output: Output) -> Self {
        let text = |bytes| String::from_utf8(bytes).unwrap();
        Run { code: output.status.code(), stdout: text(output.stdout), stderr: text(output.stderr) }
    }
}

/// The binary, untouched by the settings of whoever runs the tests.
pub(crate) fn command<S: AsRef<std::ffi::OsStr>>(arguments: &[S]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_trailq"));
    for (name, _) in std::env::vars_os() {
        let told = name.to_string_lossy();
        if told.starts_with("AWS_") || told.starts_with("TRAILQ_") {
            command.env_remove(&name);
        }
    }
    command.args(arguments).stdin(Stdio::null());
    command
}

pub(crate) fn trailq<S: AsRef<std::ffi::OsStr>>(arguments: &[S]) -> Run {
    command(arguments).output().unwrap().into()
}

/// Ingests `sources` into `lake`; options may stand among the sources.
pub(crate) fn ingest(lake: &str, sources: &[&str]) -> Run {
    trailq(&[&["ingest", "--lake", lake][..], sources].concat())
}

/// The answer to `sql`, a JSON object a row.
pub(crate) fn rows(lake: &str, sql: &str) -> Vec<Value> {
    rows_of(command(&["sql", "--lake", lake, "--format", "ndjson", sql]))
}

/// What a `trailq sql … --format ndjson` answers.
pub(crate) fn rows_of(mut command: Command) -> Vec<Value> {
    let run = Run::from(command.output().unwrap()).expect(0);
    run.stdout.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
}

/// The only number of the only row.
pub(crate) fn number(lake: &str, sql: &str) -> u64 {
    number_in(&rows(lake, sql))
}

pub(crate) fn number_in(rows: &[Value]) -> u64 {
    assert_eq!(rows.len(), 1);
    rows[0].as_object().unwrap().values().next().unwrap().as_u64().unwrap()
}

/// A directory of its own, with a place for a lake in it.
pub(crate) struct Folder {
    dir: TempDir,
}

impl Folder {
    pub(crate) fn new() -> Self {
        Folder { dir: tempfile::tempdir().unwrap() }
    }

    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.dir.path().join(name)
    }

    pub(crate) fn text(&self, name: &str) -> String {
        self.path(name).to_str().unwrap().to_owned()
    }

    pub(crate) fn lake(&self) -> String {
        self.text("lake")
    }

    /// Writes a file, and the folders that it is in; returns its path.
    pub(crate) fn write(&self, name: &str, bytes: &[u8]) -> String {
        let path = self.path(name);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(&path, bytes).unwrap();
        self.text(name)
    }
}

/// The key of a log file; `unique` tells it from others of the same minute.
pub(crate) fn key(account: &str, region: &str, date: &str, unique: &str) -> String {
    let (folders, compact) = (date.replace('-', "/"), date.replace('-', ""));
    let name = format!("{account}_CloudTrail_{region}_{compact}T0810Z_{unique}.json.gz");
    format!("AWSLogs/{account}/CloudTrail/{region}/{folders}/{name}")
}

/// A key like others, when it does not matter which.
pub(crate) fn any_key(unique: &str) -> String {
    key("111122223333", "eu-west-1", "2026-01-05", unique)
}

/// The text of a log file of events with these ids.
pub(crate) fn log_text(ids: &[&str]) -> String {
    let record = |id: &&str| {
        format!(
            r#"{{"eventVersion":"1.11","eventTime":"2026-01-05T08:07:00Z","eventName":"GetObject","awsRegion":"eu-west-1","eventID":"{id}"}}"#
        )
    };
    format!(r#"{{"Records":[{}]}}"#, ids.iter().map(record).collect::<Vec<_>>().join(","))
}

pub(crate) fn log_file(ids: &[&str]) -> Vec<u8> {
    gzip(log_text(ids).as_bytes())
}

pub(crate) fn gzip(bytes: &[u8]) -> Vec<u8> {
    let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::best());
    encoder.write_all(bytes).unwrap();
    encoder.finish().unwrap()
}

/// The eventIDs of a lake, sorted.
pub(crate) fn event_ids(lake: &str) -> Vec<String> {
    let rows = rows(lake, "SELECT eventid FROM cloudtrail_logs ORDER BY eventid");
    rows.iter().map(|row| row["eventid"].as_str().unwrap().to_owned()).collect()
}

/// Where an event is, and which it is: log file, number of the record in it, eventID.
pub(crate) type Place = (String, u64, String);

/// All events of the log files below a directory, read without trailq, in order.
pub(crate) fn places_in(directory: &Path) -> Vec<Place> {
    let mut places = Vec::new();
    for path in log_files(directory) {
        let file: Value = serde_json::from_str(&inflated(&path)).unwrap();
        let name = path.canonicalize().unwrap().to_str().unwrap().to_owned();
        for (index, record) in file["Records"].as_array().unwrap().iter().enumerate() {
            let id = record["eventID"].as_str().unwrap_or_default();
            places.push((name.clone(), index as u64, id.to_owned()));
        }
    }
    places.sort();
    places
}

/// All events of a lake, in order.
pub(crate) fn places_in_lake(lake: &str) -> Vec<Place> {
    places(&rows(lake, "SELECT log_file, record_index, coalesce(eventid, '') AS id FROM cloudtrail_logs"))
}

pub(crate) fn places(rows: &[Value]) -> Vec<Place> {
    let place = |row: &Value| {
        let text = |name: &str| row[name].as_str().unwrap().to_owned();
        (text("log_file"), row["record_index"].as_u64().unwrap(), text("id"))
    };
    let mut places: Vec<Place> = rows.iter().map(place).collect();
    places.sort();
    places
}

/// Compares without printing thousands of rows.
pub(crate) fn assert_same_places(found: &[Place], expected: &[Place]) {
    let differs = found.iter().zip(expected).find(|(found, expected)| found != expected);
    assert_eq!(differs, None, "the first place that differs");
    assert_eq!(found.len(), expected.len());
}

pub(crate) fn inflated(path: &Path) -> String {
    let mut text = String::new();
    flate2::read::MultiGzDecoder::new(&*fs::read(path).unwrap()).read_to_string(&mut text).unwrap();
    text
}

/// The log files below a directory, digests and all else left out.
pub(crate) fn log_files(directory: &Path) -> Vec<PathBuf> {
    let mut found = Vec::new();
    let mut open = vec![directory.to_owned()];
    while let Some(folder) = open.pop() {
        for entry in fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            let name = path.to_string_lossy().into_owned();
            if path.is_dir() {
                open.push(path);
            } else if name.ends_with(".json.gz") && !name.contains("CloudTrail-Digest") {
                found.push(path);
            }
        }
    }
    found.sort();
    found
}

/// Some two thousand log files that many tests read and none changes.
pub(crate) fn corpus() -> &'static Corpus {
    static CORPUS: OnceLock<Corpus> = OnceLock::new();
    CORPUS.get_or_init(|| Corpus::new(50_000))
}

/// Generated log files, and what is in them.
pub(crate) struct Corpus {
    pub(crate) dir: String,
    pub(crate) places: Vec<Place>,
    pub(crate) files: usize,
}

impl Corpus {
    fn new(events: u64) -> Self {
        let dir = Path::new(env!("CARGO_TARGET_TMPDIR")).join("corpus");
        let _ = fs::remove_dir_all(&dir);
        fs::create_dir_all(&dir).unwrap();
        let options = Options {
            accounts: 4,
            days: 7,
            volume: Volume::Total(events),
            digests: false,
            ..Options::default()
        };
        write_directory(&options, &SigningKey::demonstration().unwrap(), &dir).unwrap();
        let (places, files) = (places_in(&dir), log_files(&dir).len());
        assert_eq!((places.len() as u64, files > 1000), (events, true), "{files} files");
        Corpus { dir: dir.to_str().unwrap().to_owned(), places, files }
    }
}

pub(crate) fn repository() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

/// The logs that come with the repository.
pub(crate) fn sample_logs() -> String {
    repository().join("sample-logs").to_str().unwrap().to_owned()
}
