//! Other engines open the lake and see in it what plain Python sees in the log files.

use super::python::run_script;
use super::support::{Folder, ingest, repository, sample_logs, trailq};

#[test]
fn deltalake_duckdb_and_polars_answer_as_plain_python_does() {
    let folder = Folder::new();
    ingest(&folder.lake(), &[&sample_logs()]).expect(0);
    let checked = run_script("engines.py", &[&folder.lake(), &sample_logs()]);
    assert_eq!(checked.stdout, "by_deltalake 9131\nby_duckdb 9131\nby_polars 9131\n");
}

#[test]
fn a_lake_of_many_commits_looks_the_same_to_all_engines() {
    let folder = Folder::new();
    let logs = folder.text("logs");
    trailq(&["generate", "--out", &logs, "--days", "2", "--events", "4000", "--no-digests"]).expect(0);
    for account in ["111122223333", "444455556666", "777788889999"] {
        for region in ["us-east-1", "eu-west-1", "eu-central-1"] {
            let chosen = ["--account", account, "--region", region, "--threads", "1", &logs];
            ingest(&folder.lake(), &chosen).expect(0);
        }
    }
    let checked = run_script("engines.py", &[&folder.lake(), &logs]);
    assert_eq!(checked.stdout, "by_deltalake 4000\nby_duckdb 4000\nby_polars 4000\n");
}

#[test]
fn every_field_of_sample_logs_is_in_its_column() {
    let folder = Folder::new();
    ingest(&folder.lake(), &[&sample_logs()]).expect(0);
    let checked = run_script("compare.py", &[&folder.lake(), &sample_logs()]);
    assert!(checked.stdout.ends_with("\nunmapped 0\n"), "{}", checked.stdout);
}

#[test]
fn records_of_every_shape_are_kept_whole() {
    let folder = Folder::new();
    let records = repository().join("tests/data/records");
    let run = ingest(&folder.lake(), &[records.to_str().unwrap()]).expect(0);
    assert_eq!((run.summary("new in the lake"), run.summary("events added")), (10, 68));
    assert!(run.stdout.contains("quarantined            nothing"), "{}", run.stdout);
    let checked = run_script("compare.py", &[&folder.lake(), records.to_str().unwrap()]);
    assert_eq!(checked.stdout, "columns 1181\nnull 55\nunmapped 1\n");
}
