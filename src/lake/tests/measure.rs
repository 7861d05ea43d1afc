//! Figures, printed: `cargo test --release --lib lake -- --nocapture measure`.

#![allow(clippy::print_stdout, reason = "figures are what these tests are for")]

use std::time::Instant;

use chrono::TimeDelta;

use super::support::{batch, entry, events, number_of, session, stage, temporary, time};
use crate::lake::{Batch, Lake};

#[tokio::test(flavor = "multi_thread")]
async fn measure_two_hundred_commits() {
    let (_directory, path) = temporary();
    let lake = Lake::open_or_create(&path).await.unwrap();
    let (mut writing, mut committing) = (vec![], vec![]);
    for index in 0..200 {
        let start = Instant::now();
        let staged = stage(&lake, &[&format!("file-{index}")]).await;
        writing.push(start.elapsed());
        let start = Instant::now();
        lake.commit(vec![staged]).await.unwrap();
        committing.push(start.elapsed());
    }
    writing.sort();
    committing.sort();
    println!("write: median {:?}, longest {:?}", writing[100], writing[199]);
    println!("commit: median {:?}, longest {:?} (checkpoints)", committing[100], committing[199]);
    let log = std::path::Path::new(&path).join("events/_delta_log");
    assert!(log.join(format!("{:020}.checkpoint.parquet", 200)).exists());
    let start = Instant::now();
    let lake = Lake::open(&path).await.unwrap();
    lake.refresh().await.unwrap();
    println!("open for reading: {:?}", start.elapsed());
    let start = Instant::now();
    let lake = Lake::open_or_create(&path).await.unwrap();
    println!("open for writing: {:?}", start.elapsed());
    let committed = lake.commit(vec![stage(&lake, &["file-0", "new"]).await]).await.unwrap();
    assert_eq!((committed.files, committed.duplicates), (1, 1));
    assert_eq!(number_of(&session(&lake).await, "SELECT count(DISTINCT eventid) FROM events").await, 2010);
}

#[tokio::test(flavor = "multi_thread")]
async fn measure_planning_over_a_thousand_files() {
    let (_directory, path) = temporary();
    let lake = Lake::open_or_create(&path).await.unwrap();
    let first = time("2024-01-01T12:00:00Z");
    // A file a date, so that one commit makes a thousand.
    let batch = Batch {
        events: (0..1000).map(|day| events("all", first + TimeDelta::days(day), 3)).collect(),
        files: vec![entry("all", first, 3000)],
        ..Batch::default()
    };
    let staged = lake.writer().write(batch).await.unwrap();
    let committed = lake.commit(vec![staged]).await.unwrap();
    assert_eq!(committed.num_added_files, 1000);
    let start = Instant::now();
    let lake = Lake::open(&path).await.unwrap();
    lake.refresh().await.unwrap();
    println!("open with 1,000 files: {:?}", start.elapsed());
    let context = session(&lake).await;
    for filter in ["true", "event_time >= '2026-01-01T00:00:00Z'", "event_date = '2025-05-05'"] {
        let sql = format!("SELECT eventid FROM events WHERE {filter}");
        let start = Instant::now();
        context.sql(&sql).await.unwrap().create_physical_plan().await.unwrap();
        println!("plan {filter}: {:?}", start.elapsed());
    }
    let start = Instant::now();
    assert_eq!(number_of(&context, "SELECT count(*) FROM events").await, 3000);
    println!("count(*): {:?}", start.elapsed());
    let start = Instant::now();
    let sql = "SELECT count(*) FROM events WHERE event_date = '2025-05-05'";
    assert_eq!(number_of(&context, sql).await, 3);
    println!("count(*) of a day: {:?}", start.elapsed());
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "a measurement: half a minute"]
async fn measure_memory_and_time_of_the_seen_set() {
    let (_directory, path) = temporary();
    let lake = Lake::open_or_create(&path).await.unwrap();
    let noon = time("2026-01-05T12:00:00Z");
    for part in 0..100 {
        let files = (0..10_000).map(|index| entry(&format!("s3://bucket/{part}/{index}"), noon, 1)).collect();
        let staged = lake.writer().write(Batch { files, ..Batch::default() }).await.unwrap();
        lake.commit(vec![staged]).await.unwrap();
    }
    drop(lake);
    let lake = Lake::open_or_create(&path).await.unwrap();
    let before = resident();
    let start = Instant::now();
    assert_eq!(
        lake.known(&[crate::lake::LogFileId::of("s3://bucket/0/0")], None).await.unwrap(),
        [Some(1001)]
    );
    println!("1,000,000 ids read in {:?}, {} kB more resident", start.elapsed(), resident() - before);
}

pub(super) fn resident() -> i64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap();
    let line = status.lines().find(|line| line.starts_with("VmRSS")).unwrap();
    line.split_whitespace().nth(1).unwrap().parse().unwrap()
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "a measurement: needs memory and a quiet machine"]
async fn measure_writing_a_large_batch() {
    let (_directory, path) = temporary();
    let lake = Lake::open_or_create(&path).await.unwrap();
    let noon = time("2026-01-05T12:00:00Z");
    let names: Vec<String> = (0..20).map(|index| format!("file-{index}")).collect();
    let batch = Batch {
        events: names.iter().map(|name| events(name, noon, 10_000)).collect(),
        ..batch(&names.iter().map(String::as_str).collect::<Vec<_>>(), noon)
    };
    let bytes: usize = batch.events.iter().map(arrow::array::RecordBatch::get_array_memory_size).sum();
    let start = Instant::now();
    let staged = lake.writer().write(batch).await.unwrap();
    println!("200,000 rows, {bytes} bytes of Arrow to {} in {:?}", staged.bytes(), start.elapsed());
    lake.commit(vec![staged]).await.unwrap();
}
