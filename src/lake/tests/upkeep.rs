//! What nobody needs goes, what somebody needs stays, and what is wrong is found.

use std::path::{Path, PathBuf};
use std::time::Duration;

use chrono::TimeDelta;
use tokio_util::sync::CancellationToken;

use super::support::{batch, number, number_of, session, stage, temporary, time};
use super::withdraw::{all_rows, lake_of, ledger, through, withdraw};
use crate::lake::{Kind, Lake, OptimizeOptions, Status, VacuumOptions, Vacuumed};

const ROWS: &str = "SELECT count(*) FROM events";
const DISTINCT: &str = "SELECT count(DISTINCT eventid) FROM events";
const LEDGER: &str = "SELECT count(*) FROM log_files";

async fn optimize(lake: &Lake) {
    lake.optimize(&OptimizeOptions::default(), &CancellationToken::new()).await.unwrap();
}

/// Keeps nothing that the lake does not need right now.
fn at_once() -> VacuumOptions {
    let none = Duration::ZERO;
    VacuumOptions { retention: none, log_retention: none, alone: true, dry_run: false }
}

async fn vacuum(lake: &Lake, options: &VacuumOptions) -> Vec<Vacuumed> {
    lake.vacuum(options).await.unwrap().into_iter().map(|(_, vacuumed)| vacuumed).collect()
}

fn parquet_files(path: &str, table: &str) -> Vec<PathBuf> {
    let mut found = vec![];
    let mut open = vec![Path::new(path).join(table)];
    while let Some(directory) = open.pop() {
        for entry in std::fs::read_dir(directory).unwrap() {
            let path = entry.unwrap().path();
            match path.is_dir() {
                true if !path.ends_with("_delta_log") => open.push(path),
                false => found.push(path),
                true => {}
            }
        }
    }
    found
}

async fn commit_days(lake: &Lake, days: i64) {
    for day in 0..days {
        let at = time("2026-01-05T12:00:00Z") + TimeDelta::days(day);
        let staged = lake.writer().write(batch(&[&format!("s3://b/{day}")], at)).await.unwrap();
        lake.commit(vec![staged]).await.unwrap();
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn vacuum_deletes_what_is_in_no_table_once_it_is_old() {
    let (_directory, path) = temporary();
    let lake = lake_of(&path, &["a"]).await;
    let staged = stage(&lake, &["b"]).await;
    lake.commit(vec![staged]).await.unwrap();
    drop(stage(&lake, &["never committed"]).await);
    let left = Path::new(&path).join("events/event_date=2026-01-05/part-x.parquet#1");
    std::fs::write(&left, "left by a writer that was killed").unwrap();
    let before = all_rows(&lake).await;
    optimize(&lake).await;
    assert_eq!(parquet_files(&path, "events").len(), 5);
    // All is younger than a week.
    assert!(vacuum(&lake, &VacuumOptions::default()).await.iter().all(|done| done.files.is_empty()));
    let dry = vacuum(&lake, &VacuumOptions { dry_run: true, ..at_once() }).await;
    assert_eq!((dry[0].files.len(), dry[1].files.len()), (3, 3));
    assert_eq!(parquet_files(&path, "events").len(), 5);
    let done = vacuum(&lake, &at_once()).await;
    assert_eq!((done[0].files.clone(), done[0].bytes), (dry[0].files.clone(), dry[0].bytes));
    assert_eq!((parquet_files(&path, "events").len(), parquet_files(&path, "log_files").len()), (1, 1));
    assert!(!left.exists());
    assert_eq!(all_rows(&Lake::open(&path).await.unwrap()).await, before);
    assert_eq!(lake.check(true).await.unwrap().findings, []);
}

#[tokio::test(flavor = "multi_thread")]
async fn vacuum_with_a_short_retention_is_refused_unless_it_is_meant() {
    let (_directory, path) = temporary();
    let lake = lake_of(&path, &["a"]).await;
    let options = VacuumOptions { alone: false, ..at_once() };
    assert!(lake.vacuum(&options).await.unwrap_err().to_string().contains("below one day"));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_file_that_was_removed_lately_stays_however_old_it_is() {
    let (_directory, path) = temporary();
    let lake = lake_of(&path, &["a"]).await;
    let staged = stage(&lake, &["b"]).await;
    lake.commit(vec![staged]).await.unwrap();
    let reader = session(&Lake::open(&path).await.unwrap()).await;
    for table in ["events", "log_files"] {
        for file in parquet_files(&path, table) {
            age(&file, 30);
        }
    }
    optimize(&lake).await;
    let done = vacuum(&lake, &VacuumOptions::default()).await;
    assert!(done.iter().all(|done| done.files.is_empty()), "{done:?}");
    assert_eq!(number_of(&reader, DISTINCT).await, 20, "a query of before goes on");
    // Once the commits that removed them are old as well, they go.
    for table in ["events", "log_files"] {
        let log = std::fs::read_dir(Path::new(&path).join(table).join("_delta_log")).unwrap();
        log.for_each(|entry| age(&entry.unwrap().path(), 8));
    }
    let done = vacuum(&lake, &VacuumOptions::default()).await;
    assert_eq!((done[0].files.len(), done[1].files.len()), (2, 2));
    assert_eq!(number(&path, DISTINCT).await, 20);
}

fn age(file: &Path, days: u64) {
    let then = std::time::SystemTime::now() - Duration::from_hours(24 * days);
    std::fs::File::options().write(true).open(file).unwrap().set_modified(then).unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn vacuum_keeps_what_the_ledger_has_yet_to_follow() {
    let (_directory, path) = temporary();
    let lake = lake_of(&path, &["a"]).await;
    // As a crash right after the commit leaves it.
    let staged = stage(&lake, &["b"]).await;
    lake.committer().await.unwrap().lock().await.commit_events(vec![staged]).await.unwrap();
    let reader = Lake::open(&path).await.unwrap();
    vacuum(&reader, &at_once()).await;
    drop((lake, reader));
    assert_eq!(number(&path, LEDGER).await, 2);
    let lake = Lake::open_or_create(&path).await.unwrap();
    assert_eq!((number(&path, ROWS).await, number(&path, LEDGER).await), (20, 2));
    assert_eq!(lake.check(true).await.unwrap().findings, []);
}

fn commits(path: &str, table: &str) -> usize {
    let log = std::fs::read_dir(Path::new(path).join(table).join("_delta_log")).unwrap();
    log.filter(|entry| entry.as_ref().unwrap().path().extension().is_some_and(|kind| kind == "json")).count()
}

#[tokio::test(flavor = "multi_thread")]
async fn old_commits_go_up_to_the_last_checkpoint_and_the_lake_opens() {
    let (_directory, path) = temporary();
    let lake = Lake::open_or_create(&path).await.unwrap();
    commit_days(&lake, 105).await;
    assert_eq!(commits(&path, "events"), 106);
    assert_eq!(vacuum(&lake, &VacuumOptions::default()).await[0].log_files, 0);
    let done = vacuum(&lake, &at_once()).await;
    assert_eq!((done[0].log_files, done[1].log_files), (100, 100));
    assert_eq!((commits(&path, "events"), commits(&path, "log_files")), (6, 6));
    let other = Lake::open_or_create(&path).await.unwrap();
    let committed = other.commit(vec![stage(&other, &["s3://b/0", "new"]).await]).await.unwrap();
    assert_eq!((committed.version, committed.files, committed.duplicates), (106, 1, 1));
    assert_eq!(number(&path, ROWS).await, 1060);
}

#[tokio::test(flavor = "multi_thread")]
async fn commits_that_the_ledger_has_yet_to_follow_stay() {
    let (_directory, path) = temporary();
    let lake = Lake::open_or_create(&path).await.unwrap();
    commit_days(&lake, 3).await;
    let cut_off = through(&lake, &[Kind::LogFiles], super::support::Fault::Refuses, u32::MAX);
    let staged = stage(&cut_off, &["late"]).await;
    cut_off.committer().await.unwrap().lock().await.commit_events(vec![staged]).await.unwrap();
    let (head, _) = lake.table(Kind::Events).head().await.unwrap();
    lake.table(Kind::Events).checkpoint(head).await;
    let done = vacuum(&Lake::open(&path).await.unwrap(), &at_once()).await;
    assert_eq!(done[0].log_files, 0, "the only checkpoint is after what is to be followed");
    Lake::open_or_create(&path).await.unwrap();
    assert_eq!((number(&path, ROWS).await, number(&path, LEDGER).await), (40, 4));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_reader_that_slept_until_the_log_was_cleaned_sees_what_is_new() {
    let (_directory, path) = temporary();
    let lake = Lake::open_or_create(&path).await.unwrap();
    commit_days(&lake, 1).await;
    let reader = Lake::open(&path).await.unwrap();
    reader.refresh().await.unwrap();
    commit_days(&lake, 101).await;
    vacuum(&lake, &at_once()).await;
    reader.forget_when_viewed();
    reader.refresh().await.unwrap();
    assert_eq!(reader.version().await.unwrap(), 101);
}

#[tokio::test(flavor = "multi_thread")]
async fn log_files_whose_events_were_dropped_stay_known() {
    let (_directory, path) = temporary();
    let lake = Lake::open_or_create(&path).await.unwrap();
    commit_days(&lake, 10).await;
    let from = "2026-01-08".parse().unwrap();
    let dry = lake.retain(from, true).await.unwrap();
    assert_eq!((dry.num_removed_files, dry.events, dry.version), (3, 30, None));
    assert_eq!(number(&path, ROWS).await, 100);
    let done = lake.retain(from, false).await.unwrap();
    assert_eq!((done.num_removed_files, done.events, done.version), (3, 30, Some(11)));
    let dates = ("2026-01-05".parse().unwrap(), "2026-01-07".parse().unwrap());
    assert_eq!(done.dates, Some(dates));
    assert_eq!((number(&path, ROWS).await, number(&path, LEDGER).await), (70, 10));
    assert_eq!(number(&path, "SELECT count(*) FROM events WHERE event_date < '2026-01-08'").await, 0);
    // They are neither ingested again nor wrong.
    let other = Lake::open_or_create(&path).await.unwrap();
    let committed = other.commit(vec![stage(&other, &["s3://b/0"]).await]).await.unwrap();
    assert_eq!((committed.files, committed.duplicates), (0, 1));
    assert_eq!(ledger(&other, "s3://b/0").await.status, Status::Committed);
    assert_eq!(withdraw(&other, "s3://b/0").await.events, 0);
    let checked = other.check(true).await.unwrap();
    assert_eq!((checked.findings.clone(), checked.num_dropped), (vec![], 3));
    // An earlier date brings nothing back.
    assert_eq!(other.retain("2026-01-01".parse().unwrap(), false).await.unwrap().version, None);
    assert_eq!(other.retained_from().await.unwrap(), Some(from));
}

#[tokio::test(flavor = "multi_thread")]
async fn retention_and_optimize_at_once_agree() {
    let (_directory, path) = temporary();
    let lake = Lake::open_or_create(&path).await.unwrap();
    commit_days(&lake, 6).await;
    let staged = lake.writer().write(batch(&["again"], time("2026-01-05T13:00:00Z"))).await.unwrap();
    lake.commit(vec![staged]).await.unwrap();
    let second = Lake::open_or_create(&path).await.unwrap();
    let from = "2026-01-08".parse().unwrap();
    let (retained, ()) = tokio::join!(lake.retain(from, false), optimize(&second));
    retained.unwrap();
    optimize(&lake).await;
    vacuum(&lake, &at_once()).await;
    assert_eq!(number(&path, ROWS).await, 30);
    assert_eq!(lake.check(true).await.unwrap().findings, []);
}

#[tokio::test(flavor = "multi_thread")]
async fn check_finds_files_that_are_missing_cut_or_broken() {
    let (_directory, path) = temporary();
    let lake = Lake::open_or_create(&path).await.unwrap();
    commit_days(&lake, 4).await;
    let mut files = parquet_files(&path, "events");
    files.sort();
    std::fs::remove_file(&files[0]).unwrap();
    let bytes = std::fs::read(&files[1]).unwrap();
    std::fs::write(&files[1], &bytes[..bytes.len() - 1]).unwrap();
    let mut bytes = std::fs::read(&files[2]).unwrap();
    let end = bytes.len() - 100;
    bytes[end..].fill(b'x');
    std::fs::write(&files[2], &bytes).unwrap();
    let checked = lake.check(false).await.unwrap();
    let mut found: Vec<&str> = checked.findings.iter().map(|finding| finding.what).collect();
    found.sort_unstable();
    assert_eq!((found, checked.num_files), (vec!["broken file", "missing file", "other size"], 8));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_deep_check_finds_a_page_that_is_broken() {
    let (_directory, path) = temporary();
    let lake = Lake::open_or_create(&path).await.unwrap();
    commit_days(&lake, 1).await;
    let [file] = parquet_files(&path, "events").try_into().unwrap();
    let mut bytes = std::fs::read(&file).unwrap();
    // Behind the header of the first page.
    bytes[40..60].fill(0xff);
    std::fs::write(&file, &bytes).unwrap();
    let checked = lake.check(true).await.unwrap();
    assert_eq!(checked.findings.len(), 1);
    assert_eq!(checked.findings[0].what, "broken file");
}

#[tokio::test(flavor = "multi_thread")]
async fn check_finds_rows_that_ledger_and_events_disagree_about() {
    let (_directory, path) = temporary();
    let lake = Lake::open_or_create(&path).await.unwrap();
    commit_days(&lake, 4).await;
    let table = lake.table(Kind::Events);
    let (_, files) = crate::lake::swap::look(table).await.unwrap();
    let of_day = |day: &str| files.iter().find(|file| file.path.as_ref().contains(day)).unwrap();
    // A copy of a file of one day joins, and the file of another day leaves.
    let copied = of_day("2026-01-06");
    let bytes = table.get_file(&copied.path).await.unwrap();
    let path_of_copy = copied.path.as_ref().replace("part-", "part-copy-");
    table.put_file(&path_of_copy, bytes).await.unwrap();
    let add = serde_json::json!({"add": {"path": path_of_copy, "size": copied.size, "modificationTime": 1,
        "dataChange": true, "stats": copied.stats, "partitionValues": {"event_date": "2026-01-06"}}});
    let remove = crate::lake::swap::remove(of_day("2026-01-07"), true).unwrap();
    let lines = format!("{add}\n{}", serde_json::json!({"remove": remove}));
    super::exactly_once::write_commit(&lake, 5, Box::leak(lines.into_boxed_str())).await;
    let checked = lake.check(false).await.unwrap();
    let mut found: Vec<(&str, &str)> =
        checked.findings.iter().map(|finding| (finding.what, finding.place.as_str())).collect();
    found.sort_unstable();
    let expected = [("other rows", "s3://b/1"), ("other rows", "s3://b/2"), ("record twice", "s3://b/1")];
    assert_eq!(found, expected);
}

#[tokio::test(flavor = "multi_thread")]
async fn info_tells_what_optimize_and_vacuum_would_do() {
    let (_directory, path) = temporary();
    let lake = Lake::open_or_create(&path).await.unwrap();
    commit_days(&lake, 3).await;
    let staged = lake.writer().write(batch(&["again"], time("2026-01-05T13:00:00Z"))).await.unwrap();
    lake.commit(vec![staged]).await.unwrap();
    let week = Duration::from_hours(24 * 7);
    let info = lake.info(&OptimizeOptions::default(), week).await.unwrap();
    let [events, ledger, ..] = &info.tables[..] else { panic!("{info:?}") };
    assert_eq!((events.num_records, events.num_files, events.num_partitions), (40, 4, 3));
    assert_eq!((events.optimize.num_removed_files, events.optimize.num_added_files), (2, 1));
    assert_eq!((ledger.num_records, ledger.num_commits, ledger.optimize.num_removed_files), (4, 5, 4));
    assert_eq!(info.first_event_date, Some("2026-01-05".parse().unwrap()));
    optimize(&lake).await;
    let info = lake.info(&OptimizeOptions::default(), week).await.unwrap();
    assert_eq!((info.tables[0].num_files, info.tables[0].optimize.num_removed_files), (3, 0));
    assert_eq!((info.tables[0].vacuum.num_files, info.tables[0].unused.num_files), (0, 2));
    let info = lake.info(&OptimizeOptions::default(), Duration::ZERO).await.unwrap();
    assert_eq!((info.tables[0].vacuum.num_files, info.tables[0].unused.num_files), (2, 0));
}

#[tokio::test(flavor = "multi_thread")]
async fn one_at_a_time_has_the_lease_until_it_ends() {
    let (_directory, path) = temporary();
    let lakes = [lake_of(&path, &["a"]).await, Lake::open_or_create(&path).await.unwrap()];
    let mut lease = lakes[0].lease().await.unwrap().unwrap();
    assert!(lakes[1].lease().await.unwrap().is_none());
    assert!(lease.renew().await.unwrap() && lease.keep().await.unwrap());
    assert!(lakes[1].lease().await.unwrap().is_none());
    lease.vacuumed();
    let at = lease.vacuumed_at();
    lease.release().await.unwrap();
    let other = lakes[1].lease().await.unwrap().unwrap();
    assert_eq!((other.vacuumed_at(), lakes[0].lease().await.unwrap().is_none()), (at, true));
    // One that was not given back ends by itself.
    drop(other);
    let directory = Path::new(&path).join("_upkeep");
    let [file] = std::fs::read_dir(&directory).unwrap().collect::<Vec<_>>().try_into().unwrap();
    let file = file.unwrap().path();
    let term = std::fs::read_to_string(&file).unwrap().replace("20", "19");
    std::fs::write(&file, term).unwrap();
    let (one, other) = tokio::join!(lakes[0].lease(), lakes[1].lease());
    assert_eq!(usize::from(one.unwrap().is_some()) + usize::from(other.unwrap().is_some()), 1);
}
