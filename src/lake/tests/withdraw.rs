//! Rows leave `events` for quarantine and come back, each once, whoever does it and whatever fails.

use super::support::{Fault, Faulty, batch, number, number_of, session, stage, temporary, time};
use crate::lake::table::Table;
use crate::lake::{
    Batch, Kind, Lake, LogFileEntry, QuarantineEntry, QuarantineFilter, QuarantineStatus, Status, Withdrawn,
};
use crate::log_file::Limits;
use crate::quarantine::{Options, replay};

const ROWS: &str = "SELECT count(*) FROM events";
const DISTINCT: &str = "SELECT count(DISTINCT eventid) FROM events";
const LEDGER: &str = "SELECT count(*) FROM log_files";
const OPEN: &str = "SELECT count(*) FROM quarantine WHERE status = 'open'";

pub(super) async fn lake_of(path: &str, log_files: &[&str]) -> Lake {
    let lake = Lake::open_or_create(path).await.unwrap();
    let staged = stage(&lake, log_files).await;
    lake.commit(vec![staged]).await.unwrap();
    lake
}

pub(super) async fn withdraw(lake: &Lake, log_file: &str) -> Withdrawn {
    lake.withdraw(&[log_file.to_owned()], "integrity_failed", "hash mismatch").await.unwrap()
}

fn options() -> Options {
    Options { limits: Limits::default(), refetch: None, dry_run: false }
}

pub(super) async fn replay_all(lake: &Lake) -> crate::quarantine::Replayed {
    let open = lake.quarantined(&QuarantineFilter::default()).await.unwrap();
    let ids: Vec<String> = open.into_iter().map(|piece| piece.id).collect();
    replay(lake, &ids, &options()).await.unwrap()
}

pub(super) async fn ledger(lake: &Lake, log_file: &str) -> LogFileEntry {
    lake.refresh().await.unwrap();
    let [entry] = lake.ledger(&[log_file]).await.unwrap().try_into().unwrap();
    entry
}

/// Every row with its place, as text.
pub(super) async fn all_rows(lake: &Lake) -> String {
    let context = session(lake).await;
    let sql = "SELECT * FROM events ORDER BY log_file, record_index";
    let batches = context.sql(sql).await.unwrap().collect().await.unwrap();
    arrow::util::pretty::pretty_format_batches(&batches).unwrap().to_string()
}

#[tokio::test(flavor = "multi_thread")]
async fn withdrawn_rows_leave_and_come_back_as_they_were() {
    let (_directory, path) = temporary();
    let lake = lake_of(&path, &["a", "b", "c"]).await;
    let before = all_rows(&lake).await;
    assert_eq!(withdraw(&lake, "b").await, Withdrawn { log_files: 1, events: 10 });
    assert_eq!(number(&path, ROWS).await, 20);
    assert_eq!(number(&path, "SELECT count(*) FROM events WHERE log_file = 'b'").await, 0);
    assert_eq!((number(&path, LEDGER).await, number(&path, OPEN).await), (3, 1));
    let entry = ledger(&lake, "b").await;
    assert_eq!((entry.status, entry.event_count, entry.quarantined_count), (Status::Quarantined, 0, 10));
    // Again, and of what is not there.
    assert_eq!(withdraw(&lake, "b").await, Withdrawn::default());
    assert_eq!(withdraw(&lake, "z").await, Withdrawn::default());
    // It is known, so nobody ingests it again.
    let other = Lake::open_or_create(&path).await.unwrap();
    let staged = stage(&other, &["b"]).await;
    assert_eq!(other.commit(vec![staged]).await.unwrap().duplicates, 1);
    let replayed = replay_all(&other).await;
    assert_eq!((replayed.pieces, replayed.events, replayed.failed.len()), (1, 10, 0));
    assert_eq!(all_rows(&lake).await, before);
    let entry = ledger(&lake, "b").await;
    assert_eq!((entry.status, entry.event_count, entry.quarantined_count), (Status::Committed, 10, 0));
    assert_eq!((entry.revision, number(&path, OPEN).await, number(&path, LEDGER).await), (2, 0, 3));
    // And once more around.
    assert_eq!(withdraw(&lake, "b").await.events, 10);
    assert_eq!(replay_all(&lake).await.events, 10);
    assert_eq!(all_rows(&other).await, before);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_log_file_that_was_emptied_leaves_and_comes_back_as_it_was() {
    let (_directory, path) = temporary();
    let lake = lake_of(&path, &["a"]).await;
    let sha256 = Some("ab".repeat(32));
    let emptied =
        LogFileEntry { log_file: "e".to_owned(), sha256: sha256.clone(), ..LogFileEntry::default() };
    let batch = Batch { files: vec![emptied], ..Batch::default() };
    lake.commit(vec![lake.writer().write(batch).await.unwrap()]).await.unwrap();
    assert_eq!(withdraw(&lake, "e").await, Withdrawn { log_files: 1, events: 0 });
    assert_eq!(withdraw(&lake, "e").await, Withdrawn::default());
    assert_eq!((ledger(&lake, "e").await.status, number(&path, OPEN).await), (Status::Quarantined, 1));
    let replayed = replay_all(&lake).await;
    assert_eq!((replayed.pieces, replayed.events, replayed.failed.len()), (1, 0, 0));
    let entry = ledger(&lake, "e").await;
    assert_eq!((entry.status, entry.sha256, entry.quarantined_count), (Status::Committed, sha256, 0));
    assert_eq!((number(&path, ROWS).await, number(&path, OPEN).await), (10, 0));
}

#[tokio::test(flavor = "multi_thread")]
async fn several_log_files_leave_in_one_commit() {
    let (_directory, path) = temporary();
    let lake = lake_of(&path, &["a", "b"]).await;
    let staged = stage(&lake, &["c", "d"]).await;
    lake.commit(vec![staged]).await.unwrap();
    let names = ["a", "b", "c"].map(str::to_owned);
    let withdrawn = lake.withdraw(&names, "integrity_failed", "").await.unwrap();
    assert_eq!(withdrawn, Withdrawn { log_files: 3, events: 30 });
    assert_eq!((number(&path, ROWS).await, lake.table(Kind::Events).head().await.unwrap().0), (10, 3));
    assert_eq!(replay_all(&lake).await.events, 30);
    assert_eq!((number(&path, ROWS).await, number(&path, DISTINCT).await), (40, 40));
}

#[tokio::test(flavor = "multi_thread")]
async fn two_withdrawals_at_once_take_rows_out_once() {
    let (_directory, path) = temporary();
    let first = lake_of(&path, &["a", "b", "c"]).await;
    let second = Lake::open_or_create(&path).await.unwrap();
    let (one, other) = tokio::join!(withdraw(&first, "a"), withdraw(&second, "a"));
    assert_eq!(one.events + other.events, 10);
    // Of one Parquet file, but not of one log file: whoever is second does it anew.
    let (one, other) = tokio::join!(withdraw(&first, "b"), withdraw(&second, "c"));
    assert_eq!((one.events, other.events), (10, 10));
    assert_eq!((number(&path, ROWS).await, number(&path, OPEN).await), (0, 3));
    let (one, other) = tokio::join!(replay_all(&first), replay_all(&second));
    assert_eq!((one.events + other.events, one.pieces + other.pieces), (30, 3));
    assert_eq!((number(&path, ROWS).await, number(&path, DISTINCT).await), (30, 30));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_withdrawal_that_lost_its_race_is_not_committed() {
    let (_directory, path) = temporary();
    let first = lake_of(&path, &["a", "b"]).await;
    let second = Lake::open_or_create(&path).await.unwrap();
    let names = |name: &str| [name.to_owned()];
    let commit = async |lake: &Lake, plan: &crate::lake::withdraw::Withdrawal| {
        let mut committer = lake.committer().await.unwrap().lock().await;
        committer.replace(plan.base, &plan.removes, &plan.staged).await.unwrap()
    };
    let plan = async |lake: &Lake, name| lake.plan_withdrawal(&names(name), "r", "").await.unwrap().unwrap();
    let (a, b) = (plan(&first, "a").await, plan(&second, "b").await);
    // Appends do not matter; a file replaced by another does.
    let staged = stage(&second, &["c"]).await;
    second.commit(vec![staged]).await.unwrap();
    assert!(commit(&first, &a).await.is_some());
    assert!(commit(&second, &b).await.is_none());
    let a_again = plan(&second, "b").await;
    assert!(commit(&second, &a_again).await.is_some());
    assert!(commit(&first, &a_again).await.is_none(), "committed twice");
    assert_eq!(number(&path, ROWS).await, 10);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_crash_after_a_withdrawal_or_a_replay_leaves_nothing_undone() {
    let (_directory, path) = temporary();
    let lake = lake_of(&path, &["a", "b"]).await;
    let before = all_rows(&lake).await;
    withdraw(&cut_off(&lake), "a").await;
    for _ in 0..2 {
        assert_eq!(
            [number(&path, ROWS).await, number(&path, OPEN).await, number(&path, LEDGER).await],
            [10, 1, 2]
        );
        let lake = Lake::open_or_create(&path).await.unwrap();
        assert_eq!(withdraw(&lake, "a").await, Withdrawn::default());
        assert_eq!(ledger(&lake, "a").await.status, Status::Quarantined);
    }
    assert_eq!(replay_all(&cut_off(&lake)).await.events, 10);
    for _ in 0..2 {
        let lake = Lake::open_or_create(&path).await.unwrap();
        assert_eq!(all_rows(&lake).await, before);
        assert_eq!(replay_all(&lake).await.events, 0);
        assert_eq!((number(&path, OPEN).await, number(&path, LEDGER).await), (0, 2));
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_withdrawal_whose_answer_is_lost_has_happened() {
    for fault in [Fault::LosesAnswer, Fault::SaysExists, Fault::Refuses] {
        let (_directory, path) = temporary();
        let lake = lake_of(&path, &["a", "b"]).await;
        let faulty = through(&lake, &[Kind::Events], fault, 1);
        assert_eq!(withdraw(&faulty, "a").await.events, 10, "{fault:?}");
        let faulty = through(&lake, &[Kind::Events], fault, 1);
        assert_eq!(replay_all(&faulty).await.events, 10, "{fault:?}");
        assert_eq!((number(&path, ROWS).await, number(&path, DISTINCT).await), (20, 20), "{fault:?}");
    }
    let (_directory, path) = temporary();
    let lake = lake_of(&path, &["a", "b"]).await;
    let dark = through(&lake, &[Kind::Events], Fault::GoesDark, 1);
    dark.withdraw(&["a".to_owned()], "r", "").await.unwrap_err();
    assert_eq!(number(&path, ROWS).await, 10);
    assert_eq!(withdraw(&Lake::open_or_create(&path).await.unwrap(), "a").await, Withdrawn::default());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_query_that_runs_is_not_disturbed() {
    let (_directory, path) = temporary();
    let lake = lake_of(&path, &["a", "b"]).await;
    let reader = session(&Lake::open(&path).await.unwrap()).await;
    withdraw(&lake, "a").await;
    let sql = "SELECT count(*) FROM events WHERE eventid LIKE 'a-%'";
    assert_eq!(number_of(&reader, sql).await, 10, "its version is the old one");
    assert_eq!(number(&path, sql).await, 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn discarded_pieces_stay_in_the_table_and_are_dealt_with_once() {
    let (_directory, path) = temporary();
    let first = lake_of(&path, &["a", "b"]).await;
    let second = Lake::open_or_create(&path).await.unwrap();
    withdraw(&first, "a").await;
    let open = first.quarantined(&QuarantineFilter::default()).await.unwrap();
    let ids: Vec<String> = open.iter().map(|piece| piece.id.clone()).collect();
    let (discarded, options) = (first.discard_quarantined(&ids), options());
    let (discarded, replayed) = tokio::join!(discarded, replay(&second, &ids, &options));
    let (discarded, replayed) = (discarded.unwrap(), replayed.unwrap());
    assert_eq!(discarded + replayed.pieces, 1, "one of the two has done it");
    assert_eq!(number(&path, ROWS).await, if discarded == 1 { 10 } else { 20 });
    assert_eq!(first.discard_quarantined(&ids).await.unwrap(), 0);
    let all = QuarantineFilter { resolved: true, bytes: true, ..QuarantineFilter::default() };
    let [piece] = first.quarantined(&all).await.unwrap().try_into().unwrap();
    assert_ne!(piece.status, QuarantineStatus::Open);
    assert!(piece.resolved_at.is_some() && piece.resolved_by.is_some());
    assert!(piece.entry.bytes.starts_with(b"{\"recordIndexes\":[[0,9]],\"Records\":[{"));
    assert_eq!(number(&path, "SELECT count(*) FROM quarantine").await, 1);
}

const LOG: &str = "s3://b/AWSLogs/111122223333/CloudTrail/eu-west-1/2026/01/05/111122223333_CloudTrail_eu-west-1_20260105T0810Z_abc.json.gz";

/// A log file of four records: two are in `events`, two in quarantine, and one of these is whole.
async fn half_read(path: &str) -> Lake {
    let lake = Lake::open_or_create(path).await.unwrap();
    let noon = time("2026-01-05T12:00:00Z");
    let mut batch = batch(&[LOG], noon);
    let events = batch.events[0].slice(0, 0);
    let lines = [0, 3].map(|index| {
        serde_json::json!({"eventid": format!("e{index}"), "record_index": index, "log_file": LOG,
            "eventtime": "2026-01-05T12:00:00Z", "event_time": "2026-01-05T12:00:00Z", "event_date": "2026-01-05", "log_date": "2026-01-05"})
    });
    let lines = format!("{}\n{}\n", lines[0], lines[1]);
    assert_eq!(events.schema(), super::support::decode(&lines).schema());
    batch.events = vec![super::support::decode(&lines)];
    batch.files[0] = LogFileEntry {
        record_count: 4,
        event_count: 2,
        quarantined_count: 2,
        sha256: Some("ab".to_owned()),
        ..batch.files[0].clone()
    };
    let piece = |index, bytes: &str| QuarantineEntry {
        log_file: LOG.to_owned(),
        reason: "invalid_json".to_owned(),
        record_index: Some(index),
        byte_offset: Some(100 * index),
        byte_length: Some(bytes.len() as u64),
        bytes: bytes.as_bytes().to_vec(),
        ..QuarantineEntry::default()
    };
    let whole = r#"{"eventID":"e1","eventTime":"2026-01-05T11:59:00Z","eventName":"ConsoleLogin"}"#;
    batch.quarantine = vec![piece(1, whole), piece(2, r#"{"eventID":"e2", nonsense}"#)];
    let staged = lake.writer().write(batch).await.unwrap();
    lake.commit(vec![staged]).await.unwrap();
    lake
}

#[tokio::test(flavor = "multi_thread")]
async fn a_record_that_reads_now_joins_its_file_under_its_own_index() {
    let (_directory, path) = temporary();
    let lake = half_read(&path).await;
    let dry = Options { dry_run: true, ..options() };
    let open = lake.quarantined(&QuarantineFilter::default()).await.unwrap();
    let ids: Vec<String> = open.into_iter().map(|piece| piece.id).collect();
    let replayed = replay(&lake, &ids, &dry).await.unwrap();
    assert_eq!((replayed.pieces, replayed.events, replayed.failed.len()), (1, 1, 1));
    assert_eq!((number(&path, ROWS).await, number(&path, OPEN).await), (2, 2));
    let second = Lake::open_or_create(&path).await.unwrap();
    let (one, other) = tokio::join!(replay_all(&lake), replay_all(&second));
    assert_eq!((one.pieces + other.pieces, one.events + other.events), (1, 1));
    assert_eq!(one.failed[0].reason, "invalid_json");
    assert_eq!(replay_all(&second).await.failed.len(), 1);
    let sql = "SELECT count(*) FROM events WHERE (eventid = 'e1' AND record_index = 1 AND account IS NULL) \
               OR record_index IN (0, 3)";
    assert_eq!((number(&path, sql).await, number(&path, ROWS).await), (3, 3));
    let entry = ledger(&lake, LOG).await;
    assert_eq!((entry.record_count, entry.event_count, entry.quarantined_count), (4, 3, 1));
    assert_eq!(entry.sha256.as_deref(), Some("ab"));
    assert_eq!(entry.min_event_time, Some(time("2026-01-05T11:59:00Z")));
    assert_eq!((number(&path, OPEN).await, number(&path, "SELECT count(*) FROM quarantine").await), (1, 2));
}

#[tokio::test(flavor = "multi_thread")]
async fn withdrawn_records_keep_their_indexes_around_broken_ones() {
    let (_directory, path) = temporary();
    let lake = half_read(&path).await;
    replay_all(&lake).await;
    let before = all_rows(&lake).await;
    assert_eq!(withdraw(&lake, LOG).await.events, 3);
    let replayed = replay_all(&lake).await;
    assert_eq!((replayed.pieces, replayed.events), (1, 3));
    assert_eq!(all_rows(&lake).await, before);
    // While it is out as a whole, its single records wait.
    withdraw(&lake, LOG).await;
    let open = lake.quarantined(&QuarantineFilter::default()).await.unwrap();
    let single: Vec<String> =
        open.into_iter().filter(|piece| piece.entry.record_index.is_some()).map(|piece| piece.id).collect();
    assert_eq!(replay(&lake, &single, &options()).await.unwrap().failed[0].reason, "not_alone");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_whole_file_gives_its_good_records_and_quarantines_the_others() {
    let (_directory, path) = temporary();
    let lake = Lake::open_or_create(&path).await.unwrap();
    let record = |id: &str, rest: &str| {
        format!(r#"{{"eventVersion":"1.11","eventTime":"2026-01-05T12:00:00Z","eventID":"{id}"{rest}}}"#)
    };
    let records = [record("good", ""), record("bad", ", nonsense"), record("also", "")];
    let text = format!(r#"{{"Records":[{}]}}"#, records.join(","));
    let entry = LogFileEntry {
        log_file: LOG.to_owned(),
        size: text.len() as u64,
        status: Status::Quarantined,
        log_date: Some("2026-01-05".parse().unwrap()),
        ..LogFileEntry::default()
    };
    let piece = QuarantineEntry {
        log_file: LOG.to_owned(),
        reason: "decompression_bomb".to_owned(),
        bytes: text.as_bytes().to_vec(),
        ..QuarantineEntry::default()
    };
    let batch = Batch { files: vec![entry], quarantine: vec![piece], ..Batch::default() };
    let staged = lake.writer().write(batch).await.unwrap();
    lake.commit(vec![staged]).await.unwrap();
    let replayed = replay_all(&lake).await;
    assert_eq!((replayed.pieces, replayed.events, replayed.quarantined), (1, 2, 1));
    let [piece] = lake.quarantined(&QuarantineFilter::default()).await.unwrap().try_into().unwrap();
    assert_eq!((piece.entry.reason.as_str(), piece.entry.record_index), ("invalid_json", Some(1)));
    let entry = ledger(&lake, LOG).await;
    assert_eq!((entry.status, entry.record_count, entry.event_count), (Status::Committed, 3, 2));
    assert_eq!(entry.uncompressed_size, Some(text.len() as u64));
    assert_eq!(number(&path, "SELECT count(*) FROM events WHERE record_index IN (0, 2)").await, 2);
}

/// Random changes by two writers at once: a log file is in the lake as a whole or not at all.
#[tokio::test(flavor = "multi_thread")]
async fn any_order_of_changes_keeps_each_log_file_once() {
    for seed in 0..4 {
        let mut random = fastrand::Rng::with_seed(seed);
        let (_directory, path) = temporary();
        let lakes = [Lake::open_or_create(&path).await.unwrap(), Lake::open_or_create(&path).await.unwrap()];
        let names = ["a", "b", "c", "d"];
        for _ in 0..12 {
            let [first, second] = &lakes;
            let (one, other) = (random.usize(..names.len() * 3), random.usize(..names.len() * 3));
            let change = async |lake: &Lake, choice: usize| {
                let name = names[choice / 3];
                match choice % 3 {
                    0 => {
                        let staged = stage(lake, &[name]).await;
                        lake.commit(vec![staged]).await.unwrap();
                    }
                    1 => drop(withdraw(lake, name).await),
                    _ => drop(replay_all(lake).await),
                }
            };
            tokio::join!(change(first, one), change(second, other));
        }
        let reader = Lake::open(&path).await.unwrap();
        let mut expected = 0;
        for entry in reader.ledger(&names).await.unwrap() {
            let rows = format!("SELECT count(*) FROM events WHERE log_file = '{}'", entry.log_file);
            let whole = if entry.status == Status::Committed { 10 } else { 0 };
            assert_eq!(number(&path, &rows).await, whole, "seed {seed}, {entry:?}");
            assert_eq!(entry.event_count, whole.unsigned_abs(), "seed {seed}");
            expected += whole;
        }
        assert_eq!(number(&path, ROWS).await, expected, "seed {seed}");
        assert_eq!(number(&path, DISTINCT).await, expected, "seed {seed}");
        let out = "SELECT count(*) FROM log_files WHERE status = 'quarantined'";
        assert_eq!(number(&path, OPEN).await, number(&path, out).await, "seed {seed}");
    }
}

/// The same lake, whose other tables cannot be written to.
fn cut_off(lake: &Lake) -> Lake {
    through(lake, &[Kind::LogFiles, Kind::Quarantine], Fault::Refuses, u32::MAX)
}

/// The same lake, opened anew, with logs that fail.
pub(super) fn through(lake: &Lake, kinds: &[Kind], fault: Fault, times: u32) -> Lake {
    let mut tables = lake.inner.tables.clone();
    for kind in kinds {
        let table = tables.get(*kind);
        let log_store = Faulty::wrap(table.log_store.clone(), fault, times);
        tables = tables.with(*kind, Table { name: table.name, log_store });
    }
    Lake::of_tables(lake.inner.location.clone(), tables)
}
