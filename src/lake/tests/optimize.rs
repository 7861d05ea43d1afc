//! Small files become large ones, and nobody can tell by the rows.

use std::path::Path;

use arrow::array::RecordBatch;
use chrono::TimeDelta;
use tokio_util::sync::CancellationToken;

use super::digests::{digest, of};
use super::query::scanned_files;
use super::support::{Fault, batch, entry, events, number, quarantined, session, stage, temporary, time};
use super::withdraw::{all_rows, lake_of, ledger, replay_all, through, withdraw};
use crate::lake::optimize::Optimized;
use crate::lake::stream::FileWriter;
use crate::lake::swap::{self, Operation, Swap};
use crate::lake::{Batch, DigestStatus, Kind, Lake, LogFileId, OptimizeOptions, QuarantineFilter, Status};

const ROWS: &str = "SELECT count(*) FROM events";
const DISTINCT: &str = "SELECT count(DISTINCT eventid) FROM events";

async fn optimize(lake: &Lake) -> Vec<(&'static str, Optimized)> {
    lake.optimize(&OptimizeOptions::default(), &CancellationToken::new()).await.unwrap()
}

/// Commits of three days, several a day, and of what comes with them.
async fn many_commits(path: &str) -> Lake {
    let lake = Lake::open_or_create(path).await.unwrap();
    let first = time("2026-01-30T12:00:00Z");
    for day in 0..3 {
        for part in 0..5 {
            let name = format!("s3://bucket/{day}-{part}");
            // Log files overlap by half.
            let at = first + TimeDelta::days(day) + TimeDelta::seconds(part * 5);
            let mut batch = batch(&[&name], at);
            batch.digests = of(vec![digest(&format!("{day}-{part}"), DigestStatus::Valid, at)]).digests;
            let staged = lake.writer().write(batch).await.unwrap();
            lake.commit(vec![staged]).await.unwrap();
        }
    }
    for name in ["q", "r"] {
        let staged = lake.writer().write(quarantined(name, first)).await.unwrap();
        lake.commit(vec![staged]).await.unwrap();
    }
    lake
}

async fn files(lake: &Lake) -> [usize; 4] {
    lake.refresh().await.unwrap();
    let mut files = [0; 4];
    for (count, kind) in files.iter_mut().zip(Kind::BY_READERS) {
        *count = lake.data_files(kind).await.unwrap().len();
    }
    files
}

#[tokio::test(flavor = "multi_thread")]
async fn an_optimized_lake_has_the_same_rows_in_few_files() {
    let (_directory, path) = temporary();
    let lake = many_commits(&path).await;
    let before = all_rows(&lake).await;
    assert_eq!(files(&lake).await, [15, 17, 15, 2]);
    let done = optimize(&lake).await;
    let [(_, events), (_, ledger), ..] = done[..] else { panic!("{done:?}") };
    assert_eq!((events.num_removed_files, events.num_added_files, events.commits), (15, 3, 1));
    // January and February.
    assert_eq!((ledger.num_removed_files, ledger.num_added_files), (17, 2));
    assert_eq!(files(&lake).await, [3, 2, 2, 1]);
    assert_eq!(all_rows(&lake).await, before);
    let other = Lake::open_or_create(&path).await.unwrap();
    assert_eq!(all_rows(&other).await, before);
    // Again there is nothing to do.
    assert!(optimize(&other).await.iter().all(|(_, done)| done.commits == 0));
    let checked = other.check(true).await.unwrap();
    assert_eq!(checked.findings, []);
    assert_eq!((checked.num_events, checked.num_log_files, checked.num_digests), (150, 17, 15));
}

#[tokio::test(flavor = "multi_thread")]
async fn what_the_lake_knows_it_knows_after_optimize() {
    let (_directory, path) = temporary();
    let lake = many_commits(&path).await;
    optimize(&lake).await;
    let names: Vec<String> =
        (0..3).flat_map(|day| (0..5).map(move |part| format!("s3://bucket/{day}-{part}"))).collect();
    let ids: Vec<LogFileId> = names.iter().map(|name| LogFileId::of(name)).collect();
    for lake in [lake, Lake::open_or_create(&path).await.unwrap()] {
        assert!(lake.known(&ids, None).await.unwrap().iter().all(Option::is_some));
        assert!(lake.known_digests(&ids).await.unwrap().iter().all(Option::is_some));
        let names: Vec<&str> = names.iter().map(String::as_str).collect();
        let committed = lake.commit(vec![stage(&lake, &names).await]).await.unwrap();
        assert_eq!((committed.files, committed.duplicates), (0, 15));
        assert_eq!(lake.quarantined(&QuarantineFilter::default()).await.unwrap().len(), 2);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn queries_look_into_few_files_after_optimize() {
    let (_directory, path) = temporary();
    let lake = Lake::open_or_create(&path).await.unwrap();
    let first = time("2026-01-05T00:00:00Z");
    for part in 0..40 {
        let (name, at) = (format!("s3://b/{part}"), first + TimeDelta::minutes(part * 30));
        let batch = Batch {
            events: vec![events(&name, at, 1500)],
            files: vec![entry(&name, at, 1500)],
            ..Batch::default()
        };
        let staged = lake.writer().write(batch).await.unwrap();
        lake.commit(vec![staged]).await.unwrap();
    }
    let noon = "event_time BETWEEN '2026-01-05T12:00:00Z' AND '2026-01-05T12:00:03Z'";
    let sql = format!("SELECT eventid FROM events WHERE {noon}");
    let everything = "SELECT eventid FROM events WHERE eventid = 'none'";
    let context = session(&lake).await;
    assert_eq!((scanned_files(&context, &sql).await, scanned_files(&context, everything).await), (1, 40));
    // About eight files each, so that the files of a day still are of different times.
    let sizes: Vec<u64> = lake.data_files(Kind::Events).await.unwrap().iter().map(|file| file.size).collect();
    let options =
        OptimizeOptions { target_size: sizes.iter().sum::<u64>() / 5, ..OptimizeOptions::default() };
    lake.optimize(&options, &CancellationToken::new()).await.unwrap();
    let context = session(&lake).await;
    let all = scanned_files(&context, everything).await;
    assert!((2..=8).contains(&all), "{all}");
    assert_eq!(scanned_files(&context, &sql).await, 1);
    assert_eq!(number(&path, &format!("SELECT count(*) FROM events WHERE {noon}")).await, 4);
}

#[tokio::test(flavor = "multi_thread")]
async fn merged_files_are_sorted_and_written_as_all_others() {
    let (_directory, path) = temporary();
    let lake = Lake::open_or_create(&path).await.unwrap();
    let noon = time("2026-01-05T12:00:00Z");
    // Three that overlap wholly, one after them, and one without times.
    for (name, count, later) in [("a", 3000, 0), ("b", 9000, 1), ("c", 50, 2), ("d", 2000, 20_000)] {
        let start = noon + TimeDelta::seconds(later);
        let rows = events(name, start, count);
        let files = vec![entry(name, noon, count.unsigned_abs())];
        let staged =
            lake.writer().write(Batch { events: vec![rows], files, ..Batch::default() }).await.unwrap();
        lake.commit(vec![staged]).await.unwrap();
    }
    let undated = super::support::decode(
        "{\"eventid\":\"u\",\"log_file\":\"u\",\"event_date\":\"2026-01-05\",\"log_date\":\"2026-01-05\"}\n",
    );
    let files = vec![entry("u", noon, 1)];
    let staged =
        lake.writer().write(Batch { events: vec![undated], files, ..Batch::default() }).await.unwrap();
    lake.commit(vec![staged]).await.unwrap();
    optimize(&lake).await;
    lake.refresh().await.unwrap();
    let files = lake.event_files().await.unwrap();
    assert_eq!(files.len(), 1, "{files:?}");
    super::query::assert_sorted(&files[0], 14_051);
    assert_eq!((number(&path, ROWS).await, number(&path, DISTINCT).await), (14_051, 14_051));
}

#[tokio::test(flavor = "multi_thread")]
async fn little_memory_takes_more_rounds_and_ends_at_the_same() {
    let (_directory, path) = temporary();
    let lake = Lake::open_or_create(&path).await.unwrap();
    let noon = time("2026-01-05T12:00:00Z");
    for part in 0..30 {
        let staged = lake.writer().write(batch(&[&format!("s3://b/{part}")], noon)).await.unwrap();
        lake.commit(vec![staged]).await.unwrap();
    }
    let before = all_rows(&lake).await;
    let options = OptimizeOptions { memory_limit: 6 << 20, ..OptimizeOptions::default() };
    let done = lake.optimize(&options, &CancellationToken::new()).await.unwrap();
    assert!(done[0].1.commits > 1, "{done:?}");
    assert_eq!(files(&lake).await[0], 1);
    assert_eq!(all_rows(&lake).await, before);
}

#[tokio::test(flavor = "multi_thread")]
async fn two_optimizers_at_once_double_nothing() {
    let (_directory, path) = temporary();
    let first = many_commits(&path).await;
    let before = all_rows(&first).await;
    let second = Lake::open_or_create(&path).await.unwrap();
    tokio::join!(optimize(&first), optimize(&second));
    assert_eq!(all_rows(&first).await, before);
    assert_eq!(files(&first).await, [3, 2, 2, 1]);
    assert_eq!(second.check(true).await.unwrap().findings, []);
}

#[tokio::test(flavor = "multi_thread")]
async fn rows_that_were_taken_out_meanwhile_are_not_put_back() {
    let (_directory, path) = temporary();
    let lake = lake_of(&path, &["a", "b"]).await;
    let staged = stage(&lake, &["c"]).await;
    lake.commit(vec![staged]).await.unwrap();
    let table = lake.table(Kind::Events);
    let (mut head, old) = swap::look(table).await.unwrap();
    let removes = old.iter().map(|file| swap::remove(file, false).unwrap()).collect();
    let swaps = vec![Swap { removes, adds: vec![] }];
    assert_eq!(withdraw(&lake, "a").await.events, 10);
    let swapped = swap::commit(table, &mut head, swaps, Operation::Optimize).await.unwrap();
    assert_eq!((swapped.version, swapped.landed.len(), swapped.lost.len()), (None, 0, 1));
    assert_eq!(number(&path, ROWS).await, 20);
    // Of the same files as they are now it can be done, once.
    let (mut head, old) = swap::look(table).await.unwrap();
    let (mut behind, _) = swap::look(table).await.unwrap();
    let removes: Vec<_> = old.iter().map(|file| swap::remove(file, false).unwrap()).collect();
    let swaps = || vec![Swap { removes: removes.clone(), adds: vec![] }];
    assert!(swap::commit(table, &mut head, swaps(), Operation::Optimize).await.unwrap().version.is_some());
    assert!(swap::commit(table, &mut behind, swaps(), Operation::Optimize).await.unwrap().version.is_none());
}

#[tokio::test(flavor = "multi_thread")]
async fn appends_do_not_disturb_it() {
    let (_directory, path) = temporary();
    let lake = lake_of(&path, &["a", "b"]).await;
    let table = lake.table(Kind::Events);
    let (mut head, _) = swap::look(table).await.unwrap();
    let staged = stage(&lake, &["c"]).await;
    lake.commit(vec![staged]).await.unwrap();
    let (_, old) = swap::look(table).await.unwrap();
    let removes = vec![swap::remove(&old[0], false).unwrap()];
    let swaps = vec![Swap { removes, adds: vec![] }];
    let swapped = swap::commit(table, &mut head, swaps, Operation::Optimize).await.unwrap();
    assert_eq!((swapped.version, head.version), (Some(3), 3));
}

#[tokio::test(flavor = "multi_thread")]
async fn an_optimize_whose_answer_is_lost_has_happened_once() {
    for fault in [Fault::LosesAnswer, Fault::SaysExists, Fault::Refuses] {
        let (_directory, path) = temporary();
        let lake = many_commits(&path).await;
        let before = all_rows(&lake).await;
        optimize(&through(&lake, &[Kind::Events, Kind::LogFiles], fault, 1)).await;
        assert_eq!(all_rows(&lake).await, before, "{fault:?}");
        assert_eq!(files(&lake).await, [3, 2, 2, 1], "{fault:?}");
    }
    let (_directory, path) = temporary();
    let lake = many_commits(&path).await;
    let before = all_rows(&lake).await;
    let dark = through(&lake, &[Kind::Events], Fault::GoesDark, 1);
    dark.optimize(&OptimizeOptions::default(), &CancellationToken::new()).await.unwrap_err();
    assert_eq!(all_rows(&Lake::open(&path).await.unwrap()).await, before);
    optimize(&lake).await;
    assert_eq!(all_rows(&lake).await, before);
    assert_eq!(lake.check(true).await.unwrap().findings, []);
}

#[tokio::test(flavor = "multi_thread")]
async fn log_files_are_withdrawn_from_joined_files_and_put_back() {
    let (_directory, path) = temporary();
    let lake = many_commits(&path).await;
    let before = all_rows(&lake).await;
    optimize(&lake).await;
    assert_eq!(withdraw(&lake, "s3://bucket/1-2").await.events, 10);
    assert_eq!(ledger(&lake, "s3://bucket/1-2").await.status, Status::Quarantined);
    optimize(&lake).await;
    assert_eq!(number(&path, ROWS).await, 140);
    assert_eq!(replay_all(&lake).await.events, 10);
    optimize(&lake).await;
    assert_eq!(all_rows(&lake).await, before);
    assert_eq!(lake.check(true).await.unwrap().findings, []);
}

/// Random changes and joins by two at once: nothing is lost, and nothing is there twice.
#[tokio::test(flavor = "multi_thread")]
async fn any_order_of_changes_and_optimize_keeps_each_log_file_once() {
    for seed in 0..4 {
        let mut random = fastrand::Rng::with_seed(seed);
        let (_directory, path) = temporary();
        let lakes = [Lake::open_or_create(&path).await.unwrap(), Lake::open_or_create(&path).await.unwrap()];
        let names = ["a", "b", "c", "d"];
        for _ in 0..12 {
            let change = async |lake: &Lake, choice: usize| {
                let name = names[choice / 4];
                match choice % 4 {
                    0 => {
                        let staged = stage(lake, &[name]).await;
                        lake.commit(vec![staged]).await.unwrap();
                    }
                    1 => drop(withdraw(lake, name).await),
                    2 => drop(replay_all(lake).await),
                    _ => drop(optimize(lake).await),
                }
            };
            let [first, second] = &lakes;
            let (one, other) = (random.usize(..16), random.usize(..16));
            tokio::join!(change(first, one), change(second, other));
        }
        let checked = lakes[0].check(true).await.unwrap();
        assert_eq!(checked.findings, [], "seed {seed}");
        assert_eq!(number(&path, ROWS).await, number(&path, DISTINCT).await, "seed {seed}");
        let out = "SELECT count(*) FROM log_files WHERE status = 'quarantined'";
        let open = "SELECT count(*) FROM quarantine WHERE status = 'open'";
        assert_eq!(number(&path, open).await, number(&path, out).await, "seed {seed}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_file_that_is_not_sorted_is_left_alone_and_the_others_are_joined() {
    let (_directory, path) = temporary();
    let lake = lake_of(&path, &["a"]).await;
    for name in ["b", "c"] {
        let staged = stage(&lake, &[name]).await;
        lake.commit(vec![staged]).await.unwrap();
    }
    // As another engine may write it: the latest row first.
    let table = lake.table(Kind::Events);
    let rows = events("d", time("2026-01-05T12:00:00Z"), 10);
    let rows = stored(&rows);
    let (_, files) = swap::look(table).await.unwrap();
    let mut writer = FileWriter::beside(table, Kind::Events, &rows.schema(), &files[0]).unwrap();
    writer.write(&rows).await.unwrap();
    let add = writer.finish().await.unwrap();
    let line = serde_json::json!({"add": add}).to_string();
    super::exactly_once::write_commit(&lake, 4, Box::leak(line.into_boxed_str())).await;
    assert_eq!(number(&path, ROWS).await, 40);
    let done = optimize(&lake).await;
    assert_eq!((done[0].1.failed, done[0].1.num_removed_files), (1, 3));
    assert_eq!((number(&path, ROWS).await, number(&path, DISTINCT).await), (40, 40));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_damaged_file_is_left_alone_and_the_others_are_joined() {
    for damage in ["it is gone", "it is cut", "a page is overwritten"] {
        let (_directory, path) = temporary();
        let lake = lake_of(&path, &["a"]).await;
        for name in ["b", "c"] {
            let staged = stage(&lake, &[name]).await;
            lake.commit(vec![staged]).await.unwrap();
        }
        let (_, files) = swap::look(lake.table(Kind::Events)).await.unwrap();
        let file = Path::new(&path).join("events").join(files[1].path.as_ref());
        let mut bytes = std::fs::read(&file).unwrap();
        match damage {
            "it is gone" => std::fs::remove_file(&file).unwrap(),
            "it is cut" => std::fs::write(&file, &bytes[..100]).unwrap(),
            _ => {
                bytes[40..60].fill(0xff);
                std::fs::write(&file, &bytes).unwrap();
            }
        }
        let done = optimize(&lake).await[0].1;
        assert_eq!((done.failed, done.num_removed_files, done.num_added_files), (1, 2, 1), "{damage}");
        let checked = lake.check(true).await.unwrap();
        assert_eq!((checked.num_findings, checked.compared), (1, false), "{damage}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn told_to_stop_it_ends_with_what_it_has_joined() {
    let (_directory, path) = temporary();
    let lake = many_commits(&path).await;
    let before = all_rows(&lake).await;
    let stop = CancellationToken::new();
    stop.cancel();
    let done = lake.optimize(&OptimizeOptions::default(), &stop).await.unwrap();
    assert!(done.iter().all(|(_, done)| done.commits == 0 && done.failed == 0), "{done:?}");
    assert_eq!(all_rows(&lake).await, before);
}

pub(super) fn stored(rows: &RecordBatch) -> RecordBatch {
    let date = rows.schema().index_of("event_date").unwrap();
    let stored: Vec<usize> = (0..rows.num_columns()).filter(|column| *column != date).collect();
    rows.project(&stored).unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_query_that_runs_is_not_disturbed_by_optimize() {
    let (_directory, path) = temporary();
    let lake = many_commits(&path).await;
    let reader = session(&Lake::open(&path).await.unwrap()).await;
    optimize(&lake).await;
    assert_eq!(super::support::number_of(&reader, DISTINCT).await, 150, "its version is the old one");
    assert!(Path::new(&path).join("events").exists());
    let (removed, groups, _) = Lake::plan_optimize(Kind::Events, &[], &OptimizeOptions::default());
    assert_eq!((removed, groups), (0, 0));
}
