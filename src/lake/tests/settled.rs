//! A summary of verdicts changes no answer, whatever comes after it.

use std::collections::BTreeMap;
use std::path::PathBuf;

use arrow::array::{Array, AsArray, RecordBatch};
use arrow::datatypes::Int64Type;
use chrono::{DateTime, TimeDelta, Utc};
use datafusion::physical_plan::displayable;
use tokio_util::sync::CancellationToken;

use super::digests::digest;
use super::exactly_once::write_commit;
use super::optimize::stored;
use super::support::{batch, decode, events, number, session, temporary, time};
use super::withdraw::{replay_all, withdraw};
use crate::lake::settled::NAME;
use crate::lake::stream::FileWriter;
use crate::lake::swap;
use crate::lake::{
    Batch, DigestEntry, DigestStatus, Kind, Lake, ListedLogFile, OptimizeOptions, Settled, VacuumOptions,
};

const BY_LOG_FILE: &str = "SELECT log_file, integrity, integrity_reason, count(*) AS n FROM events
    GROUP BY 1, 2, 3 ORDER BY 1, 2, 3";
const BY_STATE: &str =
    "SELECT integrity, integrity_reason, count(*) AS n FROM events GROUP BY 1, 2 ORDER BY 1, 2";

fn noon(day: i64) -> DateTime<Utc> {
    time("2026-01-05T12:00:00Z") + TimeDelta::days(day)
}

fn log_file(at: DateTime<Utc>, name: &str) -> String {
    let (day, minute) = (at.format("%Y/%m/%d"), at.format("%Y%m%dT%H%MZ"));
    format!(
        "s3://bucket/AWSLogs/111122223333/CloudTrail/eu-west-1/{day}/111122223333_CloudTrail_eu-west-1_{minute}_{name}.json.gz"
    )
}

/// What a digest says of a log file.
#[derive(Clone, Copy, Debug)]
enum Lists {
    Its,
    Another,
}

fn hash(name: &str, lists: Lists) -> String {
    let seed: u8 = name.bytes().fold(0, u8::wrapping_add);
    let hash = match lists {
        Lists::Its => [seed; 32],
        Lists::Another => [seed.wrapping_add(1); 32],
    };
    crate::hex::encode(&hash)
}

fn hourly(end: DateTime<Utc>, status: DigestStatus, listed: &[(&str, Lists)]) -> DigestEntry {
    let (day, minute) = (end.format("%Y/%m/%d"), end.format("%Y%m%dT%H%M%SZ"));
    let name = format!(
        "AWSLogs/111122223333/CloudTrail-Digest/eu-west-1/{day}/111122223333_CloudTrail-Digest_eu-west-1_trail_eu-west-1_{minute}.json.gz"
    );
    let listed = listed
        .iter()
        .map(|(name, lists)| ListedLogFile { log_file: (*name).to_owned(), hash_value: hash(name, *lists) });
    DigestEntry { log_files: listed.collect(), ..digest(&name, status, end) }
}

/// A lake that is looked at with its summary and without it.
struct World {
    _directory: tempfile::TempDir,
    path: String,
    lake: Lake,
}

impl World {
    async fn new() -> Self {
        let (directory, path) = temporary();
        let lake = Lake::open_or_create(&path).await.unwrap();
        Self { _directory: directory, path, lake }
    }

    async fn take(&self, day: i64, names: &[&str], digests: Vec<DigestEntry>) {
        let mut batch = if names.is_empty() { Batch::default() } else { batch(names, noon(day)) };
        for file in &mut batch.files {
            file.sha256 = Some(hash(&file.log_file, Lists::Its));
        }
        batch.digests = digests;
        self.lake.commit(vec![self.lake.writer().write(batch).await.unwrap()]).await.unwrap();
    }

    /// A day with some log files, and a digest that lists them.
    async fn verified_day(&self, day: i64) -> Vec<String> {
        let names: Vec<String> = ["a", "b"].map(|name| log_file(noon(day), name)).into();
        let names_of: Vec<&str> = names.iter().map(String::as_str).collect();
        let listed: Vec<_> = names_of.iter().map(|name| (*name, Lists::Its)).collect();
        let digest = hourly(noon(day) + TimeDelta::hours(1), DigestStatus::Valid, &listed);
        self.take(day, &names_of, vec![digest]).await;
        names
    }

    async fn settle(&self) -> Settled {
        self.lake.settle(true, &CancellationToken::new()).await.unwrap()
    }

    async fn optimize(&self) {
        self.lake.optimize(&OptimizeOptions::default(), &CancellationToken::new()).await.unwrap();
    }

    fn summary(&self) -> PathBuf {
        PathBuf::from(&self.path).join(NAME)
    }

    async fn ask(&self, sql: &str) -> Vec<RecordBatch> {
        let context = session(&Lake::open(&self.path).await.unwrap()).await;
        context.sql(sql).await.unwrap().collect().await.unwrap()
    }

    async fn told(&self, sql: &str) -> String {
        arrow::util::pretty::pretty_format_batches(&self.ask(sql).await).unwrap().to_string()
    }

    /// The answer, which is the same without the summary.
    async fn same(&self, sql: &str) -> String {
        let with = self.told(sql).await;
        let (here, away) = (self.summary(), self.summary().with_extension("away"));
        if here.exists() {
            std::fs::rename(&here, &away).unwrap();
            assert_eq!(self.told(sql).await, with, "{sql}");
            std::fs::rename(&away, &here).unwrap();
        }
        with
    }

    /// Rows by state, which are the same without the summary.
    async fn states(&self) -> BTreeMap<String, i64> {
        self.same(BY_LOG_FILE).await;
        self.same(BY_STATE).await;
        let mut states = BTreeMap::new();
        for batch in self.ask(BY_STATE).await {
            let (state, reason) = (batch.column(0).as_string_view(), batch.column(1).as_string_view());
            for row in 0..batch.num_rows() {
                let word = if reason.is_valid(row) { reason.value(row) } else { state.value(row) };
                states.insert(word.to_owned(), batch.column(2).as_primitive::<Int64Type>().value(row));
            }
        }
        states
    }

    async fn plan(&self, sql: &str) -> String {
        let context = session(&Lake::open(&self.path).await.unwrap()).await;
        let plan = context.sql(sql).await.unwrap().create_physical_plan().await.unwrap();
        displayable(plan.as_ref()).indent(true).to_string()
    }

    /// How many files need no judging now.
    async fn num_settled(&self) -> u64 {
        let lake = Lake::open(&self.path).await.unwrap();
        lake.settled().await.unwrap().num_settled
    }
}

fn states<const N: usize>(states: [(&str, i64); N]) -> BTreeMap<String, i64> {
    states.map(|(word, rows)| (word.to_owned(), rows)).into()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_settled_file_is_read_without_its_log_files() {
    let world = World::new().await;
    for day in 0..3 {
        world.verified_day(day).await;
    }
    let asked = "SELECT eventname, integrity FROM events";
    assert!(world.plan(asked).await.contains("log_file"));
    let settled = world.settle().await;
    assert_eq!((settled.num_files, settled.num_settled, settled.num_judged), (3, 3, 3));
    assert_eq!(world.settle().await.num_judged, 0);
    let plan = world.plan(asked).await;
    assert!(plan.contains("files=3 of 3, integrity=verified") && !plan.contains("log_file"), "{plan}");
    assert_eq!(world.states().await, states([("verified", 60)]));
    // Neither is a ledger or a digest.
    for table in ["log_files", "digests"] {
        for entry in std::fs::read_dir(format!("{}/{table}", world.path)).unwrap() {
            let path = entry.unwrap().path();
            if path.extension().is_some_and(|kind| kind == "parquet") {
                std::fs::remove_file(path).unwrap();
            }
        }
    }
    assert_eq!(number(&world.path, "SELECT count(*) FROM events WHERE integrity = 'verified'").await, 60);
    assert_eq!(number(&world.path, "SELECT count(integrity_reason) FROM events").await, 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn filters_on_integrity_leave_settled_files_out() {
    let world = World::new().await;
    for day in 0..3 {
        world.verified_day(day).await;
    }
    // One that no digest lists, on a day of its own.
    world.take(40, &[&log_file(noon(40), "x")], vec![]).await;
    assert_eq!(world.settle().await.num_settled, 4);
    for (filter, files, rows) in [
        ("integrity = 'verified'", "3 of 4", 60),
        ("integrity <> 'verified'", "1 of 4", 10),
        ("integrity IN ('uncovered', 'failed')", "1 of 4", 10),
        ("integrity_reason IS NULL", "3 of 4", 60),
        ("integrity_reason LIKE 'no_d%' OR integrity = 'failed'", "1 of 4", 10),
        ("integrity <> 'verified' AND event_date < DATE '2026-02-01'", "0 of 4", 0),
        ("coalesce(integrity_reason, 'none') = 'none' AND event_date = DATE '2026-01-06'", "1 of 4", 20),
    ] {
        let sql = format!("SELECT eventname FROM events WHERE {filter}");
        let plan = world.plan(&sql).await;
        assert!(plan.contains(&format!("files={files}")), "{plan}");
        assert!(filter.contains("event_date") || !plan.contains("FilterExec"), "{plan}");
        let sql = format!("SELECT count(*) FROM events WHERE {filter}");
        assert_eq!(number(&world.path, &sql).await, rows, "{filter}");
        world.same(&sql).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn settled_files_and_others_are_one_table() {
    let world = World::new().await;
    for day in 0..3 {
        world.verified_day(day).await;
    }
    let listed = log_file(noon(5), "listed");
    let digest = hourly(noon(5) + TimeDelta::hours(1), DigestStatus::Valid, &[(&listed, Lists::Its)]);
    world.take(5, &[&listed, &log_file(noon(5), "forged")], vec![digest]).await;
    let waiting = log_file(noon(10), "waiting");
    let unknown =
        hourly(noon(10) + TimeDelta::hours(1), DigestStatus::KeyNotFound, &[(&waiting, Lists::Its)]);
    world.take(10, &[&waiting], vec![unknown]).await;
    world.take(60, &[&log_file(noon(60), "x")], vec![]).await;
    let settled = world.settle().await;
    assert_eq!((settled.num_files, settled.num_settled, settled.num_judged), (6, 5, 6));
    // What was looked at in vain is not looked at again.
    assert_eq!(world.settle().await.num_judged, 0);
    let plan = world.plan("SELECT eventname, integrity FROM events").await;
    for part in [
        "3 of 6, integrity=verified",
        "1 of 6, integrity=verified mostly",
        "1 of 6, integrity=uncovered",
        "1 of 6, file_groups",
    ] {
        assert!(plan.contains(&format!("files={part}")), "{part}: {plan}");
    }
    let plan = world.plan("SELECT eventname FROM events WHERE integrity = 'uncovered'").await;
    assert!(
        !plan.contains("files=3 of 6") && plan.contains("files=1 of 6, integrity=verified mostly"),
        "{plan}"
    );
    assert_eq!(world.states().await, states([("verified", 70), ("no_digest", 20), ("key_not_found", 10)]));
    for sql in [
        "SELECT eventid, integrity FROM events WHERE integrity <> 'verified' ORDER BY eventid",
        "SELECT eventid FROM events WHERE integrity = 'verified' ORDER BY eventid",
        "SELECT eventid, integrity_reason FROM events WHERE integrity = 'verified' ORDER BY eventid",
        "SELECT eventid, integrity FROM events WHERE integrity = 'uncovered' OR eventid LIKE '%/05/%-3' ORDER BY eventid",
        "SELECT eventid, integrity FROM events ORDER BY event_time DESC, eventid LIMIT 15",
        "SELECT eventid, integrity FROM events WHERE integrity = 'uncovered' ORDER BY event_time, eventid LIMIT 7",
        "SELECT count(*) FROM (SELECT integrity FROM events LIMIT 35)",
        "SELECT count(*) FROM (SELECT eventid FROM events WHERE integrity = 'uncovered' LIMIT 15)",
        "SELECT e.eventid, v.s FROM events e JOIN (VALUES ('verified'), ('none')) AS v(s) ON e.integrity = v.s ORDER BY 1",
        "SELECT max(integrity), min(integrity_reason), count(integrity_reason), count(*) FROM events",
        "SELECT DISTINCT integrity FROM events ORDER BY 1",
        "SELECT integrity, event_date, count(*) FROM events GROUP BY 1, 2 ORDER BY 2, 1",
        "SELECT count(*) FROM events WHERE integrity = (SELECT max(integrity) FROM log_files)",
        "SELECT count(*) FROM events WHERE integrity IN (SELECT integrity FROM log_files)",
        "SELECT log_file, integrity FROM events WHERE record_index = 0 ORDER BY 1",
        "SELECT count(*) FROM events e JOIN log_files f ON e.log_file = f.log_file AND e.integrity = f.integrity",
    ] {
        assert!(!world.same(sql).await.is_empty());
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn what_comes_later_counts_at_once() {
    let world = World::new().await;
    let mut names = vec![];
    for day in 0..8 {
        names.extend(world.verified_day(day).await);
    }
    assert_eq!(world.settle().await.num_settled, 8);
    // A digest of the fourth day: only that day and those near it are open again.
    let replacing = hourly(noon(3) + TimeDelta::hours(2), DigestStatus::Valid, &[]);
    let key = hourly(noon(3) + TimeDelta::hours(1), DigestStatus::Valid, &[]).key;
    let replacing = DigestEntry {
        previous_digest_s3_bucket: Some("bucket".to_owned()),
        previous_digest_s3_object: Some(key),
        previous_digest_hash_value: Some("cd".to_owned()),
        ..replacing
    };
    world.take(3, &[], vec![replacing]).await;
    assert_eq!(world.num_settled().await, 4);
    assert_eq!(world.states().await, states([("verified", 140), ("broken_chain", 20)]));
    assert_eq!(world.settle().await.num_settled, 8);
    assert_eq!(world.states().await, states([("verified", 140), ("broken_chain", 20)]));
    // A log file is withdrawn, and comes back.
    withdraw(&world.lake, &names[0]).await;
    assert_eq!(world.num_settled().await, 7);
    assert_eq!(world.states().await, states([("verified", 130), ("broken_chain", 20)]));
    assert_eq!(world.settle().await.num_settled, 8);
    replay_all(&world.lake).await;
    assert!(world.num_settled().await < 8);
    assert_eq!(world.states().await, states([("verified", 140), ("broken_chain", 20)]));
    world.settle().await;
    // A month later a digest lists a log file that none had listed.
    let late = log_file(noon(60), "late");
    world.take(60, &[&late], vec![]).await;
    let settled = world.settle().await.num_settled;
    assert_eq!(world.states().await["no_digest"], 10);
    let backfill = hourly(noon(85), DigestStatus::Valid, &[(&late, Lists::Its)]);
    world.take(85, &[], vec![backfill]).await;
    assert_eq!(world.num_settled().await, settled - 1);
    assert_eq!(world.states().await, states([("verified", 150), ("broken_chain", 20)]));
    assert_eq!(world.settle().await.num_settled, settled);
    // What hangs on the late digest falls with it.
    let other = DigestEntry {
        previous_digest_s3_bucket: Some("bucket".to_owned()),
        previous_digest_s3_object: Some(hourly(noon(85), DigestStatus::Valid, &[]).key),
        previous_digest_hash_value: Some("cd".to_owned()),
        ..hourly(noon(85) + TimeDelta::hours(1), DigestStatus::Valid, &[(&late, Lists::Another)])
    };
    world.take(85, &[], vec![other]).await;
    assert_eq!(world.states().await["hash_mismatch"], 10);
}

#[tokio::test(flavor = "multi_thread")]
async fn optimize_vacuum_and_retain_leave_nothing_that_is_wrong() {
    let world = World::new().await;
    for day in 0..4 {
        for part in 0..3 {
            let name = log_file(noon(day), &format!("{part}"));
            let end = noon(day) + TimeDelta::hours(part + 1);
            world.take(day, &[&name], vec![hourly(end, DigestStatus::Valid, &[(&name, Lists::Its)])]).await;
        }
    }
    assert_eq!(world.settle().await.num_settled, 12);
    world.optimize().await;
    assert_eq!(world.num_settled().await, 0);
    assert_eq!(world.states().await, states([("verified", 120)]));
    let settled = world.settle().await;
    assert_eq!((settled.num_files, settled.num_settled), (4, 4));
    let none = std::time::Duration::ZERO;
    let at_once = VacuumOptions { retention: none, log_retention: none, alone: true, dry_run: false };
    world.lake.vacuum(&at_once).await.unwrap();
    assert_eq!(world.num_settled().await, 4);
    world.lake.retain(noon(2).date_naive(), false).await.unwrap();
    assert_eq!(world.num_settled().await, 2);
    assert_eq!(world.states().await, states([("verified", 60)]));
    assert_eq!(world.settle().await, Settled { num_files: 2, num_settled: 2, num_judged: 0 });
    assert!(world.summary().exists());
    assert_eq!(world.lake.check(true).await.unwrap().findings, []);
}

#[tokio::test(flavor = "multi_thread")]
async fn check_finds_a_summary_that_says_something_else() {
    let world = World::new().await;
    world.verified_day(0).await;
    world.take(40, &[&log_file(noon(40), "x")], vec![]).await;
    world.settle().await;
    assert_eq!(world.lake.check(false).await.unwrap().findings, []);
    let written = std::fs::read_to_string(world.summary()).unwrap();
    std::fs::write(world.summary(), written.replace("\"no_digest\"", "\"verified\"")).unwrap();
    let findings = world.lake.check(false).await.unwrap().findings;
    let [finding] = &findings[..] else { panic!("{findings:?}") };
    assert_eq!((finding.table, finding.what), ("events", "other verdict"));
    assert!(finding.detail.contains("says verified") && finding.detail.contains("no_digest"), "{finding:?}");
    // What is not used is not wrong.
    let mut summary: serde_json::Value = serde_json::from_str(&written).unwrap();
    for group in summary["groups"].as_array_mut().unwrap() {
        group["verdict"] = "bad_signature".into();
        group["facts"] = "00".repeat(32).into();
    }
    std::fs::write(world.summary(), summary.to_string()).unwrap();
    assert_eq!(world.lake.check(false).await.unwrap().findings, []);
    assert_eq!(world.num_settled().await, 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_broken_summary_is_as_good_as_none() {
    let world = World::new().await;
    world.verified_day(0).await;
    world.settle().await;
    let whole = std::fs::read(world.summary()).unwrap();
    for broken in [&b""[..], b"{}", b"\x00\xff", b"{\"version\": 2}", &whole[..whole.len() - 1]] {
        std::fs::write(world.summary(), broken).unwrap();
        assert_eq!(world.num_settled().await, 0);
        assert_eq!(world.states().await, states([("verified", 20)]));
        assert_eq!(world.settle().await.num_settled, 1);
        assert_eq!(world.num_settled().await, 1);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn what_time_may_change_is_not_written_down() {
    let world = World::new().await;
    let today = Utc::now() - TimeDelta::hours(1);
    let mut young = batch(&[&log_file(today, "young")], today);
    young.files[0].log_date = Some(today.date_naive());
    world.lake.commit(vec![world.lake.writer().write(young).await.unwrap()]).await.unwrap();
    world.verified_day(0).await;
    assert_eq!(world.settle().await, Settled { num_files: 2, num_settled: 1, num_judged: 1 });
    let states_of = world.states().await;
    assert_eq!(states_of, states([("no_digest_yet", 10), ("verified", 20)]));
    // A daemon does not even look at days whose digests are still to come.
    let told = world.lake.settle(false, &CancellationToken::new()).await.unwrap();
    assert_eq!(told, Settled { num_files: 2, num_settled: 1, num_judged: 0 });
}

#[tokio::test(flavor = "multi_thread")]
async fn rows_that_the_ledger_does_not_know_are_not_settled() {
    let world = World::new().await;
    world.verified_day(0).await;
    // Another engine adds a file with rows of a log file that nobody knows, and one whose rows name none.
    let rows = stored(&events(&log_file(noon(0), "stranger"), noon(0), 10));
    let anonymous = r#"{"eventid":"x","event_time":"2026-01-05T12:00:00Z","log_date":"2026-01-05"}"#;
    let anonymous = stored(&decode(&format!("{anonymous}\n")));
    let table = world.lake.table(Kind::Events);
    let (_, files) = swap::look(table).await.unwrap();
    let mut lines = vec![];
    for rows in [rows, anonymous] {
        let mut writer = FileWriter::beside(table, Kind::Events, &rows.schema(), &files[0]).unwrap();
        writer.write(&rows).await.unwrap();
        lines.push(serde_json::json!({"add": writer.finish().await.unwrap()}).to_string());
    }
    write_commit(&world.lake, 2, Box::leak(lines.join("\n").into_boxed_str())).await;
    assert_eq!(world.settle().await, Settled { num_files: 3, num_settled: 1, num_judged: 3 });
    world.same(BY_LOG_FILE).await;
    assert_eq!(number(&world.path, "SELECT count(*) FROM events WHERE integrity IS NULL").await, 11);
}

/// What may happen to a lake, in any order.
async fn happens(world: &World, random: &mut fastrand::Rng, step: u64) {
    let day = random.i64(0..4);
    let name = log_file(noon(day), &format!("{}", random.u8(..12)));
    let status = [
        DigestStatus::Valid,
        DigestStatus::Valid,
        DigestStatus::Invalid,
        DigestStatus::Missing,
        DigestStatus::KeyNotFound,
    ];
    match random.u8(..10) {
        0..=2 => world.take(day, &[&name], vec![]).await,
        3..=5 => {
            let names: Vec<String> = (0..12)
                .filter(|_| random.u8(..4) > 0)
                .map(|n| log_file(noon(day), &format!("{n}")))
                .collect();
            let lists = if random.u8(..6) == 0 { Lists::Another } else { Lists::Its };
            let listed: Vec<_> = names.iter().map(|name| (name.as_str(), lists)).collect();
            let late = if random.u8(..4) == 0 { 24 * 20 } else { 0 };
            let end = noon(day) + TimeDelta::hours(1 + random.i64(0..4) + late);
            let status = status[random.usize(..status.len())];
            let listed = if status == DigestStatus::Missing { &[][..] } else { &listed };
            world.take(day, &[], vec![hourly(end, status, listed)]).await;
        }
        6 => world.optimize().await,
        7 => drop(withdraw(&world.lake, &name).await),
        8 => drop(replay_all(&world.lake).await),
        _ => world
            .lake
            .retain(noon(i64::try_from(step / 20).unwrap() - 1).date_naive(), false)
            .await
            .map(drop)
            .unwrap(),
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn no_order_of_events_makes_a_summary_lie() {
    for seed in 0..6 {
        let mut random = fastrand::Rng::with_seed(seed);
        let world = World::new().await;
        for day in 0..4 {
            world.verified_day(day).await;
        }
        for step in 0..20 {
            happens(&world, &mut random, step).await;
            if random.bool() {
                world.settle().await;
            }
            // Day by day: what is asked for together is judged by the digests of all of its days.
            for day in 0..4 {
                let of_day = format!("FROM events WHERE event_date = DATE '{}'", noon(day).date_naive());
                world.same(&BY_LOG_FILE.replace("FROM events", &of_day)).await;
            }
        }
        world.settle().await;
        assert_eq!(world.lake.check(false).await.unwrap().findings, [], "seed {seed}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn settling_while_others_write_settles_nothing_wrong() {
    let world = World::new().await;
    let other = World {
        _directory: tempfile::tempdir().unwrap(),
        path: world.path.clone(),
        lake: Lake::open_or_create(&world.path).await.unwrap(),
    };
    world.verified_day(0).await;
    let writes = async {
        for part in 0..10_u32 {
            let name = log_file(noon(0), &format!("n{part}"));
            let lists = if part % 3 == 2 { Lists::Another } else { Lists::Its };
            let end = noon(0) + TimeDelta::minutes(61 + i64::from(part));
            other.take(0, &[&name], vec![hourly(end, DigestStatus::Valid, &[(&name, lists)])]).await;
            if part % 4 == 3 {
                other.optimize().await;
            }
        }
    };
    let settles = async {
        for _ in 0..10 {
            world.settle().await;
            world.ask(BY_STATE).await;
        }
    };
    tokio::join!(writes, settles);
    assert_eq!(world.states().await, states([("verified", 90), ("hash_mismatch", 30)]));
    world.settle().await;
    assert_eq!(world.states().await, states([("verified", 90), ("hash_mismatch", 30)]));
    assert_eq!(world.lake.check(false).await.unwrap().findings, []);
}
