//! The hot functions between a stored log file and its rows, over the repository's sample logs.
//!
//! `cargo bench --bench hot` prints the time and the rate of each; bytes are those of the text, after inflating.

use std::path::{Path, PathBuf};
use std::sync::LazyLock;

use divan::counter::{BytesCount, ItemsCount};
use divan::{Bencher, black_box};
use trailq::event::{EventBuilder, Origin, parse_time};
use trailq::json::Cursor;
use trailq::log_file::{Limits, LogFile};

fn main() {
    divan::main();
}

/// The sample logs as stored, digests aside.
static STORED: LazyLock<Vec<Vec<u8>>> = LazyLock::new(|| {
    let mut stored = Vec::new();
    let mut directories = vec![Path::new(env!("CARGO_MANIFEST_DIR")).join("sample-logs/AWSLogs")];
    while let Some(directory) = directories.pop() {
        for entry in std::fs::read_dir(&directory).expect("the sample logs can be listed") {
            let path: PathBuf = entry.expect("the sample logs can be listed").path();
            if path.is_dir() {
                directories.push(path);
            } else if path.to_string_lossy().contains("_CloudTrail_") {
                stored.push(std::fs::read(&path).expect("the sample logs can be read"));
            }
        }
    }
    stored
});

static INFLATED: LazyLock<Vec<LogFile>> =
    LazyLock::new(|| STORED.iter().map(|stored| inflated(stored)).collect());

fn inflated(stored: &[u8]) -> LogFile {
    LogFile::read(stored, &Limits::default()).expect("the sample logs are whole")
}

fn text_bytes() -> BytesCount {
    BytesCount::new(INFLATED.iter().map(|file| file.bytes.len()).sum::<usize>())
}

/// Gzip to text and SHA-256.
#[divan::bench]
fn inflate_and_hash(bencher: Bencher) {
    bencher.counter(text_bytes()).bench(|| {
        for stored in STORED.iter() {
            black_box(inflated(black_box(stored)));
        }
    });
}

/// The text checked as JSON, and nothing else.
#[divan::bench]
fn check_json(bencher: Bencher) {
    bencher.counter(text_bytes()).bench(|| {
        for file in INFLATED.iter() {
            black_box(Cursor::new(black_box(&file.bytes), 0).value().expect("the sample logs are JSON"));
        }
    });
}

/// Text to columns, and those to a batch.
#[divan::bench]
fn records_to_rows(bencher: Bencher) {
    let origin = Origin {
        log_file: "s3://example-bucket/AWSLogs/111122223333/CloudTrail/us-east-1/2026/03/03/log.json.gz",
        account: Some("111122223333"),
        region: Some("us-east-1"),
        log_date: None,
    };
    bencher.counter(text_bytes()).bench(|| {
        let mut builder = EventBuilder::new();
        for file in INFLATED.iter() {
            builder
                .append(black_box(file), &origin, Limits::default().records)
                .expect("the sample logs hold records");
        }
        builder.finish()
    });
}

/// An event's time.
#[divan::bench]
fn event_time(bencher: Bencher) {
    bencher.counter(ItemsCount::new(1usize)).bench(|| parse_time(black_box("2026-03-03T06:58:46Z")));
}
