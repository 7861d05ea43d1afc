//! How opening, committing and planning grow with commits and files, printed. Run by hand:
//! `cargo test --release --lib growth -- --ignored --nocapture --test-threads 1`.
//! `TRAILQ_TEST_COMMITS=10,100` and `TRAILQ_TEST_FILES=100,1000` look at other numbers of them.

#![allow(clippy::print_stdout, reason = "figures are what these tests are for")]

use std::path::Path;
use std::time::{Duration, Instant};

use chrono::{Days, NaiveDate, TimeDelta};
use tokio_util::sync::CancellationToken;
use uuid::Uuid;

use super::support::{batch, number_of, session, stage, temporary, time};
use crate::lake::action::{Add, Pointers, append_lines};
use crate::lake::table::Put;
use crate::lake::{Kind, Lake, OptimizeOptions};

/// Where to look, in order.
fn numbers(name: &str, default: &str) -> Vec<u64> {
    let text = std::env::var(name).unwrap_or_else(|_| default.to_owned());
    text.split(',').map(|number| number.parse().unwrap()).collect()
}

/// Above this many files they are not joined: that takes minutes, and no other figure.
const FEW_ENOUGH_TO_JOIN: u64 = 10_000;

/// Opens the lake as a query and as a writer do, plans, commits, and prints how long each took.
async fn look(path: &str, told: &str, name: &str) {
    let start = Instant::now();
    let lake = Lake::open(path).await.unwrap();
    lake.table(Kind::Events).load().await.unwrap();
    let replaying = start.elapsed();
    let start = Instant::now();
    let lake = Lake::open(path).await.unwrap();
    lake.refresh().await.unwrap();
    let reading = start.elapsed();
    let files = lake.data_files(Kind::Events).await.unwrap().len();
    let context = session(&lake).await;
    let mut plans = vec![];
    for filter in ["true", "event_time >= '2026-01-20T00:00:00Z'", "event_date = '2026-01-20'"] {
        let sql = format!("SELECT eventid FROM events WHERE {filter}");
        let start = Instant::now();
        context.sql(&sql).await.unwrap().create_physical_plan().await.unwrap();
        plans.push(start.elapsed());
    }
    let start = Instant::now();
    number_of(&context, "SELECT count(*) FROM events").await;
    let counting = start.elapsed();
    let start = Instant::now();
    let writer = Lake::open_or_create(path).await.unwrap();
    let writing = start.elapsed();
    let mut commits = vec![];
    for part in 0..9 {
        let staged = stage(&writer, &[&format!("s3://b/{name}-{part}")]).await;
        let start = Instant::now();
        writer.commit(vec![staged]).await.unwrap();
        commits.push(start.elapsed());
    }
    commits.sort();
    println!(
        "{told}: {files} files; open {reading:.1?} (the log of events {replaying:.1?}), for writing {writing:.1?}; plan {plans:.1?}, count {counting:.1?}; \
         commit {:.1?} (slowest of 9 {:.1?}); {} MB resident",
        commits[4],
        commits[8],
        super::measure::resident() / 1024,
    );
}

async fn optimize(lake: &Lake) -> Duration {
    let start = Instant::now();
    lake.optimize(&OptimizeOptions::default(), &CancellationToken::new()).await.unwrap();
    start.elapsed()
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "a measurement: some minutes"]
async fn growth_with_commits() {
    let (_directory, path) = temporary();
    let lake = Lake::open_or_create(&path).await.unwrap();
    let first = time("2026-01-01T12:00:00Z");
    let places = numbers("TRAILQ_TEST_COMMITS", "10,100,1000,10000");
    let (mut commits, mut longest) = (vec![], Duration::ZERO);
    for number in 1..=*places.last().unwrap() {
        let at = first + TimeDelta::days(i64::try_from(number % 30).unwrap());
        let staged = lake.writer().write(batch(&[&format!("s3://b/{number}")], at)).await.unwrap();
        let start = Instant::now();
        lake.commit(vec![staged]).await.unwrap();
        commits.push(start.elapsed());
        longest = longest.max(start.elapsed());
        if places.contains(&number) {
            let mut last: Vec<_> = commits.split_off(commits.len().saturating_sub(100));
            last.sort();
            println!(
                "commit number {number}: median of the last {:.1?}, longest of all {longest:.1?}",
                last[last.len() / 2]
            );
            look(&path, &format!("{number} commits"), &format!("at-{number}")).await;
        }
    }
    println!("optimize took {:.1?}", optimize(&lake).await);
    look(&path, "optimized", "after").await;
}

/// The files of a day, real ones, which other days share.
async fn template(path: &str) -> Vec<Add> {
    let lake = Lake::open_or_create(path).await.unwrap();
    let first = time("2026-01-20T00:00:00Z");
    let mut adds = vec![];
    for part in 0..137 {
        let at = first + TimeDelta::minutes(part * 10);
        let staged = lake.writer().write(batch(&[&format!("s3://b/{part}")], at)).await.unwrap();
        adds.extend(staged.events.iter().cloned());
        drop(staged);
    }
    adds
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "a measurement: some minutes"]
async fn growth_with_files() {
    for files in numbers("TRAILQ_TEST_FILES", "100,1000,10000,50000") {
        let (_directory, path) = temporary();
        let adds = template(&path).await;
        let lake = Lake::open(&path).await.unwrap();
        let table = lake.table(Kind::Events);
        let mut version = 0;
        let all: Vec<Add> =
            (0..usize::try_from(files).unwrap()).map(|number| copy(&path, &adds, number)).collect();
        for adds in all.chunks(1000) {
            version += 1;
            let pointers = Pointers { commit_id: Uuid::new_v4().to_string(), ..Pointers::default() };
            let lines = append_lines(adds, &pointers, None).unwrap().into();
            let put = table.put_commit(version, &pointers.commit_id, &lines).await.unwrap();
            assert!(matches!(put, Put::Landed));
        }
        let start = Instant::now();
        table.checkpoint(version).await;
        println!("{files} files: a checkpoint took {:.1?}", start.elapsed());
        look(&path, &format!("{files} files"), "before").await;
        if files > FEW_ENOUGH_TO_JOIN {
            continue;
        }
        println!("{files} files: optimize took {:.1?}", optimize(&Lake::open(&path).await.unwrap()).await);
        look(&path, &format!("{files} files, optimized"), "after").await;
    }
}

/// The same file in another day.
fn copy(path: &str, adds: &[Add], number: usize) -> Add {
    let (day, part) = (number / adds.len(), number % adds.len());
    let date = NaiveDate::default() + Days::new(20_000 + day as u64);
    let (old, events) = (&adds[part], Path::new(path).join("events"));
    let directory = format!("event_date={date}");
    std::fs::create_dir_all(events.join(&directory)).unwrap();
    let new = format!("{directory}/part-{}.parquet", Uuid::new_v4());
    std::fs::hard_link(events.join(&old.path), events.join(&new)).unwrap();
    let partition_values = [("event_date".to_owned(), Some(date.to_string()))].into();
    Add { path: new, partition_values, ..old.clone() }
}
