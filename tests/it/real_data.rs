//! Records of real accounts, where they lie beside the repository; they are not ours to publish.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::process::Command;

use serde_json::Value;
use serde_json::value::RawValue;
use trailq::event::schema::{Kind, RECORD};
use trailq::event::{EventBuilder, Origin, record_json};
use trailq::log_file::{Limits, LogFile};

use super::python::{run_script, system_python};
use super::support::{Folder, inflated, ingest, log_files, number, repository, rows};

/// The directory of real log files, or a word that there is none.
fn shared_data() -> Option<PathBuf> {
    let data = repository().join("../shared/data");
    let there = data.join("real").is_dir();
    if !there {
        eprintln!("skipped: no real log files in {}", data.display());
    }
    there.then(|| data.canonicalize().unwrap())
}

#[test]
fn all_real_files_are_ingested_with_every_field() {
    let Some(data) = shared_data() else { return };
    let (folder, real) = (Folder::new(), data.join("real"));
    let real = real.to_str().unwrap();
    let run = ingest(&folder.lake(), &[real]).expect(0);
    assert_eq!((run.summary("new in the lake"), run.summary("events added")), (177, 3780));
    assert_eq!(number(&folder.lake(), "SELECT count(*) AS n FROM quarantine"), 0);
    let checked = run_script("compare.py", &[&folder.lake(), real]);
    assert_eq!(checked.stdout, "columns 67138\nnull 3689\nunmapped 0\n");
}

#[test]
fn every_real_record_can_be_rebuilt_from_its_row() {
    let Some(data) = shared_data() else { return };
    let mut rebuilt = 0;
    for path in log_files(&data.join("real")) {
        rebuilt += rebuild_all(&path);
    }
    assert_eq!(rebuilt, 3780);
}

/// Rebuilds the records of a file from their rows, and compares; says how many.
fn rebuild_all(path: &Path) -> usize {
    #[derive(serde::Deserialize)]
    struct File {
        #[serde(rename = "Records")]
        records: Vec<Box<RawValue>>,
    }
    let stored = std::fs::read(path).unwrap();
    let file = LogFile::read(&stored, &Limits::default()).unwrap();
    let mut builder = EventBuilder::new();
    let origin = Origin { log_file: "x", account: None, region: None, log_date: None };
    builder.append(&file, &origin, u64::MAX).unwrap();
    let batch = builder.finish();
    let originals: File = serde_json::from_str(&inflated(path)).unwrap();
    assert_eq!(batch.num_rows(), originals.records.len());
    for (row, original) in originals.records.iter().enumerate() {
        let rebuilt = record_json(&batch, row).unwrap();
        assert_same_record(&rebuilt, original.get(), &format!("record {row} of {}", path.display()));
    }
    batch.num_rows()
}

fn assert_same_record(rebuilt: &str, original: &str, place: &str) {
    let value = |text: &str| serde_json::from_str::<Value>(text).unwrap();
    assert_eq!(value(rebuilt), value(original), "{place}");
    let members = |text| serde_json::from_str::<BTreeMap<String, &RawValue>>(text).unwrap();
    let (rebuilt, original) = (members(rebuilt), members(original));
    for field in RECORD.iter().filter(|field| matches!(field.kind, Kind::Json)) {
        let text =
            |members: &BTreeMap<String, &RawValue>| members.get(field.name).map(|raw| raw.get().to_owned());
        assert_eq!(text(&rebuilt), text(&original), "{place}: {}", field.name);
    }
}

#[test]
fn a_made_corpus_counts_as_its_truth_says() {
    let Some(data) = shared_data() else { return };
    let folder = Folder::new();
    let mut maker = Command::new(system_python());
    maker.arg(data.join("make_corpus.py")).arg("--from").arg(data.join("real"));
    maker.args(["--out", &folder.text("corpus"), "--records", "20000", "--seed", "1", "--procs", "2"]);
    let made = maker.output().unwrap();
    assert!(made.status.success(), "{}", String::from_utf8_lossy(&made.stderr));
    let truth = std::fs::read_to_string(folder.path("corpus/truth.json")).unwrap();
    let truth: Value = serde_json::from_str(&truth).unwrap();
    let run = ingest(&folder.lake(), &[&folder.text("corpus")]).expect(0);
    assert_eq!(run.summary("new in the lake"), truth["files"].as_u64().unwrap());
    let raw = number(&folder.lake(), "SELECT sum(uncompressed_size) AS n FROM log_files");
    assert_eq!(raw, truth["raw_bytes"].as_u64().unwrap());
    for (name, key) in [
        ("event", "eventsource || '/' || eventname"),
        ("errorCode", "errorcode"),
        ("userType", "coalesce(useridentity.type, 'None')"),
        ("accountRegionDate", "account || '/' || region || '/' || replace(\"timestamp\", '/', '-')"),
    ] {
        let sql = format!(
            "SELECT {key} AS k, count(*) AS n FROM cloudtrail_logs WHERE {key} IS NOT NULL GROUP BY 1"
        );
        let counted: serde_json::Map<String, Value> = rows(&folder.lake(), &sql)
            .iter()
            .map(|row| (row["k"].as_str().unwrap().to_owned(), row["n"].clone()))
            .collect();
        assert_eq!(Value::from(counted), truth[name], "{name}");
    }
}
