//! The lake is looked after while it is used: `trailq lake`, and the daemon that does it by itself.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Mutex, OnceLock};
use std::time::{Duration, Instant};

use fastrand::Rng;
use serde_json::{Value, json};

use trailq::failpoint;

use super::aws;
use super::crash::daemon;
use super::fake_aws::{FakeAws, FakeQueue, Faults};
use super::python::run_script;
use super::support::{
    Folder, Place, Run, assert_same_places, command, corpus, event_ids, inflated, ingest, key, log_file,
    log_files, number, places, places_in, places_in_lake, rows, rows_of, trailq,
};

fn lake(lake: &str, arguments: &[&str]) -> Run {
    let (subcommand, rest) = arguments.split_first().unwrap();
    trailq(&[&["lake", subcommand, "--lake", lake][..], rest].concat())
}

fn info(of: &str) -> Value {
    serde_json::from_str(&lake(of, &["info", "--format", "json"]).expect(0).stdout).unwrap()
}

fn files(of: &str, table: &str) -> u64 {
    let info = info(of);
    let table = info["tables"].as_array().unwrap().iter().find(|one| one["table"] == table).unwrap();
    table["num_files"].as_u64().unwrap()
}

const BUCKET: &str = "s3://example-books-cloudtrail";

/// A lake of many commits, with digests, and one log file that was altered. Tests work on copies.
struct Made {
    logs: String,
    lake: PathBuf,
    places: Vec<Place>,
}

fn made() -> &'static Made {
    static MADE: OnceLock<Made> = OnceLock::new();
    MADE.get_or_init(|| {
        let directory = Path::new(env!("CARGO_TARGET_TMPDIR")).join("lake_upkeep");
        let _ = std::fs::remove_dir_all(&directory);
        let (logs, lake) = (directory.join("logs"), directory.join("lake"));
        let (logs, place) = (logs.to_str().unwrap().to_owned(), lake.to_str().unwrap());
        let days = ["--days", "3", "--events", "4000", "--tamper", "modify-log"];
        trailq(&[&["generate", "--out", &logs][..], &days].concat()).expect(0);
        for account in ["111122223333", "444455556666", "777788889999"] {
            for region in ["us-east-1", "eu-west-1", "eu-central-1"] {
                let chosen = ["--account", account, "--region", region, "--threads", "1"];
                let run = ingest(place, &[&chosen[..], &[&logs, "--as", BUCKET]].concat());
                assert!(run.code.is_some_and(|code| code < 2), "{}", run.stderr);
            }
        }
        let root = format!("{}/", Path::new(&logs).canonicalize().unwrap().to_str().unwrap());
        let mut places = places_in(logs.as_ref());
        for place in &mut places {
            place.0 = format!("{BUCKET}/{}", place.0.strip_prefix(&root).unwrap());
        }
        Made { logs, lake, places }
    })
}

/// A copy of the lake of many commits.
fn many_commits(folder: &Folder) -> &'static Made {
    let copied = Command::new("cp").arg("-r").arg(&made().lake).arg(folder.lake()).status().unwrap();
    assert!(copied.success());
    made()
}

#[test]
fn other_engines_read_an_optimized_and_vacuumed_lake() {
    let folder = Folder::new();
    let logs = &made().logs;
    for region in ["us-east-1", "eu-west-1", "eu-central-1"] {
        ingest(&folder.lake(), &["--region", region, "--threads", "1", "--no-digests", logs]).expect(0);
    }
    let before = files(&folder.lake(), "events");
    lake(&folder.lake(), &["optimize"]).expect(0);
    lake(&folder.lake(), &["vacuum", "--retention", "0", "--force"]).expect(0);
    let after = files(&folder.lake(), "events");
    assert!(before > 2 * after, "{before} files became {after}");
    let checked = run_script("engines.py", &[&folder.lake(), logs]);
    let told = |engine: &str| format!("by_{engine} {}\n", made().places.len());
    assert_eq!(checked.stdout, ["deltalake", "duckdb", "polars"].map(told).concat());
}

#[test]
fn verdicts_gaps_and_ledger_are_the_same_after_optimize() {
    let folder = Folder::new();
    many_commits(&folder);
    let ask = || {
        let by_state = "SELECT integrity, integrity_reason, count(*) AS n FROM cloudtrail_logs GROUP BY 1, 2 ORDER BY 1, 2";
        let ledger =
            "SELECT log_file, sha256, status, integrity, digest, event_count FROM log_files ORDER BY 1";
        let digests = "SELECT digest, status FROM digests ORDER BY 1, 2";
        let gaps = "SELECT * FROM integrity_gaps ORDER BY 1, 2, 3, 4";
        [by_state, ledger, digests, gaps].map(|sql| rows(&folder.lake(), sql))
    };
    let before = ask();
    let states = ["failed", "verified"];
    assert!(before[0].iter().map(|row| row["integrity"].as_str().unwrap()).eq(states), "{:?}", before[0]);
    assert!(before[2].len() > 100, "{} digests", before[2].len());
    let told = lake(&folder.lake(), &["optimize"]).expect(0).stdout;
    assert!(told.contains("events: ") && told.contains(" joined to "), "{told}");
    assert_eq!(ask(), before);
    assert_eq!(lake(&folder.lake(), &["check", "--deep"]).expect(0).stdout.lines().count(), 1);
    let again = lake(&folder.lake(), &["optimize"]).expect(0).stdout;
    assert_eq!(again.lines().filter(|line| line.ends_with(": nothing to join")).count(), 4, "{again}");
}

#[test]
fn days_that_retention_dropped_are_known_and_nothing_is_missing() {
    let folder = Folder::new();
    let Made { logs, places, .. } = many_commits(&folder);
    let reconcile = || {
        let told = trailq(&["reconcile", logs, "--lake", &folder.lake(), "--format", "ndjson"]).stdout;
        let summary: Value = serde_json::from_str(told.lines().last().unwrap()).unwrap();
        (summary["counts"].clone(), summary["totals"].clone())
    };
    let before = reconcile();
    assert!(before.0["altered"] == 1 && before.1["in_lake"].as_u64().unwrap() > 100, "{before:?}");
    let dates =
        rows(&folder.lake(), "SELECT event_date, count(*) AS n FROM cloudtrail_logs GROUP BY 1 ORDER BY 1");
    let (first, second) = (&dates[0], dates[1]["event_date"].as_str().unwrap());
    let told = lake(&folder.lake(), &["retain", "--before", second, "--dry-run"]).expect(0).stdout;
    assert!(told.ends_with("would be dropped\n"), "{told}");
    lake(&folder.lake(), &["retain", "--before", second]).expect(0);
    let left = number(&folder.lake(), "SELECT count(*) AS n FROM cloudtrail_logs");
    assert_eq!(left, places.len() as u64 - first["n"].as_u64().unwrap());
    let run = ingest(&folder.lake(), &[logs, "--as", BUCKET]);
    assert_eq!(run.summary("new in the lake"), 0);
    assert_eq!(number(&folder.lake(), "SELECT count(*) AS n FROM cloudtrail_logs"), left);
    assert_eq!(info(&folder.lake())["retained_from"], second);
    let told = lake(&folder.lake(), &["check"]).expect(0).stdout;
    assert!(told.contains("with events that retention dropped"), "{told}");
    assert_eq!(reconcile(), before);
}

#[test]
fn check_lists_what_is_wrong_with_one() {
    let folder = Folder::new();
    many_commits(&folder);
    lake(&folder.lake(), &["check"]).expect(0);
    let [gone, cut, ..] = &parquet_files(&folder.path("lake/events"))[..] else { panic!("no files") };
    std::fs::remove_file(gone).unwrap();
    std::fs::write(cut, b"PAR1").unwrap();
    let run = lake(&folder.lake(), &["check"]).expect(1);
    assert!(
        run.stdout.contains("events: missing file") && run.stdout.contains("events: other size"),
        "{}",
        run.stdout
    );
    let run = lake(&folder.lake(), &["check", "--format", "json"]).expect(1);
    let report: Value = serde_json::from_str(&run.stdout).unwrap();
    assert_eq!(report["num_findings"], json!(2));
    lake(&folder.text("nowhere"), &["check"]).expect(2);
}

#[test]
fn what_is_asked_wrongly_is_told_and_nothing_is_done() {
    let folder = Folder::new();
    let source = folder.write(&key("111122223333", "eu-west-1", "2026-01-05", "a"), &log_file(&["a"]));
    ingest(&folder.lake(), &[&source]).expect(0);
    let run = lake(&folder.lake(), &["vacuum", "--retention", "1h"]).expect(2);
    assert!(run.stderr.contains("--force"), "{}", run.stderr);
    lake(&folder.lake(), &["retain"]).expect(2);
    let run = lake(&folder.text("nowhere"), &["optimize"]).expect(2);
    assert!(run.stderr.contains("no lake at") && !folder.path("nowhere").exists(), "{}", run.stderr);
    let told = lake(&folder.lake(), &["info"]).expect(0).stdout;
    assert!(told.contains("optimize would find nothing to join"), "{told}");
}

fn parquet_files(directory: &Path) -> Vec<PathBuf> {
    let (mut found, mut open) = (Vec::new(), vec![directory.to_owned()]);
    while let Some(directory) = open.pop() {
        for entry in std::fs::read_dir(directory).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() && !path.ends_with("_delta_log") {
                open.push(path);
            } else if path.extension().is_some_and(|kind| kind == "parquet") {
                found.push(path);
            }
        }
    }
    found.sort();
    found
}

#[test]
fn killed_at_any_step_of_upkeep_the_lake_is_whole() {
    for (point, time) in failpoint::UPKEEP.into_iter().flat_map(|point| [(point, 1), (point, 3)]) {
        let folder = Folder::new();
        let Made { places, .. } = many_commits(&folder);
        let (place, fail_point) = (folder.lake(), format!("{point}:{time}"));
        for doing in [&["optimize", "--target-size", "1"][..], &["vacuum", "--retention", "0", "--force"]] {
            let arguments = [&["lake"][..], doing, &["--lake", &place]].concat();
            let died = command(&arguments).env("TRAILQ_FAIL_POINT", &fail_point).output().unwrap();
            let is_at = (point == failpoint::WHILE_VACUUMING) == (doing[0] == "vacuum");
            assert_eq!(died.status.code(), if is_at { None } else { Some(0) }, "{fail_point} {doing:?}");
            lake(&place, &["check", "--deep"]).expect(0);
        }
        lake(&place, &["optimize"]).expect(0);
        assert_same_places(&places_in_lake(&place), places);
    }
}

#[test]
fn a_lake_in_a_bucket_is_looked_after_as_one_on_disk_is() {
    let (folder, place) = (Folder::new(), "s3://kept-lake/our lake");
    aws::create_bucket("kept-lake");
    let lake = |arguments: &[&str]| aws::trailq(&[&["lake"][..], arguments, &["--lake", place]].concat());
    let logs = folder.text("logs");
    trailq(&["generate", "--out", &logs, "--days", "2", "--events", "1500"]).expect(0);
    for account in ["111122223333", "444455556666", "777788889999"] {
        let run = aws::trailq(&["ingest", "--lake", place, "--account", account, "--threads", "1", &logs]);
        assert!(run.code.is_some_and(|code| code < 2), "{}", run.stderr);
    }
    let ask = |sql: &str| rows_of(aws::command(&["sql", "--lake", place, "--format", "ndjson", sql]));
    let sql = "SELECT log_file, record_index, coalesce(eventid, '') AS id FROM cloudtrail_logs";
    let expected = places_in(logs.as_ref());
    assert_same_places(&places(&ask(sql)), &expected);
    let told = lake(&["optimize"]).expect(0).stdout;
    assert!(told.contains("events: ") && told.contains(" joined to "), "{told}");
    let told = lake(&["vacuum", "--retention", "0", "--force"]).expect(0).stdout;
    assert!(!told.contains("events: 0 files"), "{told}");
    assert_same_places(&places(&ask(sql)), &expected);
    lake(&["check", "--deep"]).expect(0);
    let days = ask("SELECT event_date, count(*) AS n FROM cloudtrail_logs GROUP BY 1 ORDER BY 1");
    let told = lake(&["retain", "--before", days[1]["event_date"].as_str().unwrap()]).expect(0).stdout;
    assert!(told.ends_with(" were dropped\n"), "{told}");
    let left = ask("SELECT count(*) AS n FROM cloudtrail_logs");
    assert_eq!(left[0]["n"].as_u64().unwrap(), 1500 - days[0]["n"].as_u64().unwrap());
    let unused = lake(&["vacuum", "--retention", "0", "--force", "--dry-run"]).expect(0).stdout;
    let unused = unused.lines().next().unwrap();
    lake(&["check"]).expect(0);
    // What a dry run names is not needed, and everything else is.
    aws::delete("kept-lake", &[&format!("our lake/{unused}")]);
    lake(&["check"]).expect(0);
    lake(&["vacuum", "--retention", "0", "--force"]).expect(0);
    let used = objects("kept-lake", "our lake/events/event_date=");
    aws::delete("kept-lake", &[&used[0]]);
    let run = lake(&["check"]).expect(1);
    assert!(run.stdout.starts_with("events: missing file event_date="), "{}", run.stdout);
}

/// The keys of a bucket's objects.
fn objects(bucket: &str, prefix: &str) -> Vec<String> {
    let config = aws_sdk_s3::config::Builder::from(&aws::config()).force_path_style(true).build();
    let listing = aws_sdk_s3::Client::from_conf(config).list_objects_v2().bucket(bucket).prefix(prefix);
    let listed = tokio::runtime::Runtime::new().unwrap().block_on(listing.send()).unwrap();
    listed.contents().iter().map(|object| object.key().unwrap().to_owned()).collect()
}

/// How long everything goes on at once. `TRAILQ_TEST_SECONDS` makes it longer.
const ORDINARY_SECONDS: u64 = 30;
/// How long vacuum lets files stay.
const RETENTION: Duration = Duration::from_secs(15);
/// Nobody has a file in hand for as long as that: who is slower is killed.
const LONGEST: Duration = Duration::from_secs(12);

#[test]
fn ingest_optimize_vacuum_retain_and_queries_at_once_lose_nothing_though_they_are_killed() {
    let seconds = std::env::var("TRAILQ_TEST_SECONDS").map_or(ORDINARY_SECONDS, |text| text.parse().unwrap());
    let world = World::new(Duration::from_secs(seconds));
    ingest(&world.lake, &[&world.sources[0]]).expect(0);
    std::thread::scope(|scope| {
        scope.spawn(|| world.ingest(1));
        scope.spawn(|| world.optimize(2));
        scope.spawn(|| world.optimize(3));
        scope.spawn(|| world.vacuum(4));
        scope.spawn(|| world.retain(5));
        scope.spawn(|| world.query());
    });
    assert_eq!(*world.failed.lock().unwrap(), Vec::<String>::new());
    let (killed, queries) = (world.killed.load(Ordering::Relaxed), world.queries.load(Ordering::Relaxed));
    assert!(killed >= 5 && queries >= 5, "{killed} killed, {queries} queries");
    // In peace it comes to an end, and all is there.
    ingest(&world.lake, &[&corpus().dir]).expect(0);
    lake(&world.lake, &["retain", "--before", &world.first_day]).expect(0);
    lake(&world.lake, &["optimize"]).expect(0);
    let unused = lake(&world.lake, &["vacuum", "--retention", "0", "--force"]).expect(0).stdout;
    lake(&world.lake, &["check", "--deep"]).expect(0);
    assert_same_places(&places_in_lake(&world.lake), &places_since(&world.first_day));
    assert_eq!(number(&world.lake, "SELECT count(*) AS n FROM log_files"), corpus().files as u64);
    let days = "SELECT count(DISTINCT event_date) AS n FROM cloudtrail_logs";
    assert_eq!(files(&world.lake, "events"), number(&world.lake, days), "a file a day");
    assert_eq!(parquet_files(&world.folder.path("lake/events")).len() as u64, files(&world.lake, "events"));
    eprintln!("{killed} killed, {queries} queries\n{unused}");
}

/// A lake, and those who use it at the same time.
struct World {
    folder: Folder,
    lake: String,
    /// Folders of log files: one account, region and day each.
    sources: Vec<String>,
    /// The first day whose events are to stay.
    first_day: String,
    until: Instant,
    broken: AtomicBool,
    killed: AtomicUsize,
    queries: AtomicUsize,
    failed: Mutex<Vec<String>>,
}

impl World {
    fn new(time: Duration) -> Self {
        let folders: BTreeSet<String> = log_files(corpus().dir.as_ref())
            .iter()
            .map(|file| file.parent().unwrap().to_str().unwrap().to_owned())
            .collect();
        let mut sources: Vec<String> = folders.into_iter().collect();
        let days: BTreeSet<String> = sources.iter().map(|folder| day_of(folder)).collect();
        let first_day = days.into_iter().nth(2).unwrap();
        Rng::with_seed(11).shuffle(&mut sources);
        let folder = Folder::new();
        World {
            lake: folder.lake(),
            folder,
            sources,
            first_day,
            until: Instant::now() + time,
            broken: AtomicBool::new(false),
            killed: AtomicUsize::new(0),
            queries: AtomicUsize::new(0),
            failed: Mutex::default(),
        }
    }

    fn goes_on(&self) -> bool {
        Instant::now() < self.until && !self.broken.load(Ordering::Relaxed)
    }

    fn fail(&self, what: String) {
        self.broken.store(true, Ordering::Relaxed);
        self.failed.lock().unwrap().push(what);
    }

    /// Lets a command end, or kills it after a while. It must end well if it ends. Returns what it said.
    fn run(&self, arguments: &[&str], patience: Option<Duration>) -> Option<String> {
        let mut child: Child =
            command(arguments).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
        let until = Instant::now() + patience.unwrap_or(LONGEST);
        while child.try_wait().unwrap().is_none() && Instant::now() < until {
            std::thread::sleep(Duration::from_millis(5));
        }
        if child.try_wait().unwrap().is_none() {
            child.kill().unwrap();
            self.killed.fetch_add(1, Ordering::Relaxed);
            child.wait().unwrap();
            return None;
        }
        let run = Run::from(child.wait_with_output().unwrap());
        if run.code != Some(0) {
            self.fail(format!("{arguments:?} ended with {:?}: {}", run.code, run.stderr));
            return None;
        }
        Some(run.stdout)
    }

    /// Ingests a few folders at a time, and each second time is killed.
    fn ingest(&self, seed: u64) {
        let mut rng = Rng::with_seed(seed);
        let mut next = 1;
        while self.goes_on() && next < self.sources.len() {
            let some: Vec<&str> =
                self.sources[next..].iter().take(1 + rng.usize(..4)).map(String::as_str).collect();
            next += some.len();
            let arguments = [&["ingest", "--lake", &self.lake, "--threads", "1"][..], &some].concat();
            let killed = rng.bool().then(|| Duration::from_millis(rng.u64(10..400)));
            self.run(&arguments, killed);
            std::thread::sleep(Duration::from_millis(rng.u64(..300)));
        }
    }

    fn optimize(&self, seed: u64) {
        let mut rng = Rng::with_seed(seed);
        while self.goes_on() {
            let killed = rng.bool().then(|| Duration::from_millis(rng.u64(20..1200)));
            self.run(&["lake", "optimize", "--lake", &self.lake, "--target-size", "1"], killed);
            std::thread::sleep(Duration::from_millis(rng.u64(..800)));
        }
    }

    fn vacuum(&self, seed: u64) {
        let mut rng = Rng::with_seed(seed);
        while self.goes_on() {
            let killed = (rng.u32(..3) == 0).then(|| Duration::from_millis(rng.u64(20..300)));
            let retention = format!("{}s", RETENTION.as_secs());
            self.run(&["lake", "vacuum", "--lake", &self.lake, "--retention", &retention, "--force"], killed);
            std::thread::sleep(Duration::from_millis(rng.u64(300..1500)));
        }
    }

    fn retain(&self, seed: u64) {
        let mut rng = Rng::with_seed(seed);
        while self.goes_on() {
            let killed = rng.bool().then(|| Duration::from_millis(rng.u64(20..600)));
            self.run(&["lake", "retain", "--lake", &self.lake, "--before", &self.first_day], killed);
            std::thread::sleep(Duration::from_millis(rng.u64(1000..3000)));
        }
    }

    /// Asks whether each record is there once, and whether of the days that stay all are there that the
    /// ledger knows.
    fn query(&self) {
        let first_day = &self.first_day;
        let sql = format!(
            "WITH kept AS (SELECT log_file, event_count FROM log_files
                           WHERE min_event_time >= from_iso8601_timestamp('{first_day}T00:00:00Z'))
             SELECT count(*) AS events, count(kept.log_file) AS kept,
                    count(DISTINCT e.log_file || '#' || CAST(record_index AS VARCHAR)) AS places,
                    (SELECT coalesce(sum(event_count), 0) FROM kept) AS ledger,
                    (SELECT count(*) - count(DISTINCT log_file) FROM log_files) AS twice
             FROM cloudtrail_logs e LEFT JOIN kept ON kept.log_file = e.log_file"
        );
        let mut last = 0;
        while self.goes_on() {
            let Some(told) = self.run(&["sql", "--lake", &self.lake, "--format", "ndjson", &sql], None)
            else {
                continue;
            };
            self.queries.fetch_add(1, Ordering::Relaxed);
            let row: Value = serde_json::from_str(told.trim()).unwrap();
            let number = |name: &str| row[name].as_u64().unwrap();
            let kept = number("kept");
            let agrees =
                number("places") == number("events") && number("ledger") == kept && number("twice") == 0;
            if !agrees || kept < last {
                return self.fail(format!("after {last} events that stay: {row}"));
            }
            last = kept;
        }
    }
}

/// The day of a folder of log files, `…/2026/01/05`.
fn day_of(folder: &str) -> String {
    let parts: Vec<&str> = folder.rsplit('/').take(3).collect();
    format!("{}-{}-{}", parts[2], parts[1], parts[0])
}

/// The events of the corpus of this day and later ones, read without trailq.
fn places_since(first_day: &str) -> Vec<Place> {
    let mut old = BTreeSet::new();
    for file in log_files(corpus().dir.as_ref()) {
        let records: Value = serde_json::from_str(&inflated(&file)).unwrap();
        let name = file.canonicalize().unwrap().to_str().unwrap().to_owned();
        for (index, record) in records["Records"].as_array().unwrap().iter().enumerate() {
            if record["eventTime"].as_str().is_some_and(|time| time < first_day) {
                old.insert((name.clone(), index as u64));
            }
        }
    }
    let is_old = |place: &&Place| old.contains(&(place.0.clone(), place.1));
    corpus().places.iter().filter(|place| !is_old(place)).cloned().collect()
}

#[test]
fn the_daemon_joins_small_files_while_it_works() {
    let (folder, aws) = (Folder::new(), FakeAws::start(Faults::none(0)));
    let queue_url = aws.create_queue("queue", FakeQueue::new(Duration::from_mins(5)));
    let port = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
    let mut daemons: Vec<Child> = (0..2)
        .map(|number| {
            let mut daemon = daemon(&aws, &queue_url, "trail", &folder.lake());
            daemon.args(["--batch-age", "100ms", "--wait-time", "1s", "--upkeep-interval", "500ms"]);
            let address = if number == 0 { format!("127.0.0.1:{port}") } else { "off".to_owned() };
            daemon.args(["--metrics-address", &address]);
            daemon.stdout(Stdio::null()).stderr(Stdio::inherit()).spawn().unwrap()
        })
        .collect();
    let mut ids = Vec::new();
    for number in 0..40 {
        let (id, key) =
            (format!("{number:02}"), key("111122223333", "eu-west-1", "2026-01-05", &format!("n{number}")));
        aws.put("trail", &key, log_file(&[&id]));
        let record = json!({
            "eventVersion": "2.1", "eventSource": "aws:s3", "eventName": "ObjectCreated:Put",
            "s3": {"bucket": {"name": "trail"}, "object": {"key": key, "size": 400}}
        });
        aws.send("queue", &json!({"Records": [record]}).to_string());
        ids.push(id);
        std::thread::sleep(Duration::from_millis(150));
    }
    let started = Instant::now();
    let joined = || {
        let left = aws.with_queue("queue", |queue| queue.len());
        left == 0 && event_ids(&folder.lake()).len() == 40 && files(&folder.lake(), "events") < 12
    };
    while !joined() {
        assert!(started.elapsed() < Duration::from_mins(1), "{} files", files(&folder.lake(), "events"));
        std::thread::sleep(Duration::from_millis(200));
    }
    let page = super::soak::metrics(port);
    assert!(page.contains("trailq_upkeep_turns_total{outcome="), "{page}");
    for daemon in &mut daemons {
        Command::new("kill").args(["-TERM", &daemon.id().to_string()]).status().unwrap();
        assert!(daemon.wait().unwrap().success());
    }
    assert_eq!(event_ids(&folder.lake()), ids);
    lake(&folder.lake(), &["check", "--deep"]).expect(0);
}
