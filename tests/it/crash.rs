//! The real daemon, killed again and again: at any moment, and at each of its fail points.
//!
//! Two of them share a queue that delivers some messages twice, and all messages again after two
//! seconds. `TRAILQ_TEST_RESTARTS=200` takes longer and kills more often than an ordinary run.

use std::collections::BTreeSet;
use std::fs::File;
use std::os::unix::process::ExitStatusExt as _;
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use fastrand::Rng;
use serde_json::json;
use trailq::failpoint;

use super::fake_aws::{FakeAws, FakeQueue, Faults, Share};
use super::support::{Folder, Place, assert_same_places, command, corpus, log_files, number, places_in_lake};

const BUCKET: &str = "trail";
const QUEUE: &str = "queue";
/// Kills of an ordinary run.
const ORDINARY_RESTARTS: usize = 24;
/// Log files for each kill: some are in work whenever it comes.
const FILES_PER_RESTART: usize = 40;

#[test]
fn killed_at_any_moment_and_at_each_fail_point_each_event_is_there_once() {
    let restarts =
        std::env::var("TRAILQ_TEST_RESTARTS").map_or(ORDINARY_RESTARTS, |text| text.parse().unwrap());
    let world = World::new(restarts);
    let started = Instant::now();
    std::thread::scope(|scope| {
        for slot in 0..2 {
            let world = &world;
            scope.spawn(move || world.live_and_die(slot));
        }
    });
    let (killed, aborted) = (world.killed.load(Ordering::Relaxed), world.aborted.lock().unwrap().clone());
    world.finish();
    let told = format!("{killed} killed, {} died at fail points: {aborted:?}", aborted.len());
    assert!(killed + aborted.len() >= restarts, "{told}");
    let places: BTreeSet<&str> = aborted.iter().map(String::as_str).collect();
    assert_eq!(places, BTreeSet::from(failpoint::ALL), "{told}");
    world.check();
    let queue = world.aws.with_queue(QUEUE, |queue| queue.stats);
    eprintln!(
        "{restarts} restarts in {:?}, {killed} killed, {} died at fail points; {} files, {} messages, {queue:?}",
        started.elapsed(),
        aborted.len(),
        world.keys.len(),
        world.sent.load(Ordering::Relaxed),
    );
}

struct World {
    folder: Folder,
    aws: FakeAws,
    queue_url: String,
    keys: Vec<String>,
    expected: Vec<Place>,
    restarts: usize,
    begun: AtomicUsize,
    announced: AtomicUsize,
    sent: AtomicUsize,
    killed: AtomicUsize,
    aborted: Mutex<Vec<String>>,
}

impl World {
    fn new(restarts: usize) -> Self {
        let faults = Faults {
            twice: Share(0.03),
            throttled: Share(0.01),
            cut: Share(0.01),
            entries: Share(0.02),
            unanswered: Share(0.005),
            ..Faults::none(1)
        };
        let aws = FakeAws::start(faults);
        let queue_url = aws.create_queue(QUEUE, FakeQueue::new(Duration::from_secs(2)));
        let mut files = log_files(corpus().dir.as_ref());
        Rng::with_seed(3).shuffle(&mut files);
        files.truncate(restarts * FILES_PER_RESTART);
        let root = format!("{}/", std::fs::canonicalize(&corpus().dir).unwrap().to_str().unwrap());
        let mut keys = Vec::new();
        for file in &files {
            let path = file.canonicalize().unwrap();
            let key = path.to_str().unwrap().strip_prefix(&root).unwrap().to_owned();
            aws.put(BUCKET, &key, std::fs::read(path).unwrap());
            keys.push(key);
        }
        let wanted: BTreeSet<&str> = keys.iter().map(String::as_str).collect();
        let in_bucket = |(file, index, id): &Place| {
            let key = file.strip_prefix(&root).unwrap();
            wanted.contains(key).then(|| (format!("s3://{BUCKET}/{key}"), *index, id.clone()))
        };
        let mut expected: Vec<Place> = corpus().places.iter().filter_map(in_bucket).collect();
        expected.sort();
        World {
            folder: Folder::new(),
            aws,
            queue_url,
            expected,
            restarts,
            begun: AtomicUsize::new(0),
            announced: AtomicUsize::new(0),
            sent: AtomicUsize::new(0),
            killed: AtomicUsize::new(0),
            aborted: Mutex::default(),
            keys,
        }
    }

    /// One of the two daemons, which is started again each time.
    fn live_and_die(&self, slot: u64) {
        let mut rng = Rng::with_seed(100 + slot);
        loop {
            let number = self.begun.fetch_add(1, Ordering::Relaxed);
            if number >= self.restarts {
                return;
            }
            self.announce_some(&mut rng);
            // Each fail point first, then any, then any moment.
            let name = match number {
                _ if number < failpoint::ALL.len() => Some(failpoint::ALL[number]),
                _ if rng.bool() => rng.choice(failpoint::ALL),
                _ => None,
            };
            match name {
                Some(name) => self.die_at(name, 1 + rng.usize(..3) * usize::from(number > 20), &mut rng),
                None => self.die_any_time(&mut rng),
            }
        }
    }

    fn die_at(&self, name: &str, times: usize, rng: &mut Rng) {
        let mut child = self.start(Some(&format!("{name}:{times}")));
        let patience = Instant::now() + Duration::from_secs(8);
        while Instant::now() < patience {
            if let Some(status) = child.try_wait().unwrap() {
                self.assert_signal(status, 6);
                self.aborted.lock().unwrap().push(name.to_owned());
                return;
            }
            std::thread::sleep(Duration::from_millis(20));
            // There must be something to come to the fail point with.
            if rng.u32(..10) == 0 {
                self.announce_next(rng);
            }
        }
        self.kill(child);
    }

    fn die_any_time(&self, rng: &mut Rng) {
        let child = self.start(None);
        std::thread::sleep(Duration::from_millis(rng.u64(50..2500)));
        self.kill(child);
    }

    fn kill(&self, mut child: Child) {
        child.kill().unwrap();
        self.assert_signal(child.wait().unwrap(), 9);
        self.killed.fetch_add(1, Ordering::Relaxed);
    }

    fn assert_signal(&self, status: ExitStatus, signal: i32) {
        assert_eq!(status.signal(), Some(signal), "{status}\n{}", self.log());
    }

    /// Announces a start's share of the files, and some again.
    fn announce_some(&self, rng: &mut Rng) {
        let share = self.keys.len().div_ceil(self.restarts);
        for _ in 0..share {
            self.announce_next(rng);
        }
    }

    /// Announces the next file, or one again if all are announced.
    fn announce_next(&self, rng: &mut Rng) {
        let next = self.announced.fetch_add(1, Ordering::Relaxed);
        if next < self.keys.len() {
            self.announce(next, rng);
        }
        if next >= self.keys.len() || rng.u32(..4) == 0 {
            self.announce(rng.usize(..=next.min(self.keys.len() - 1)), rng);
        }
    }

    fn announce(&self, which: usize, rng: &mut Rng) {
        let key = &self.keys[which];
        let body = if rng.bool() {
            let encoded: String = url::form_urlencoded::byte_serialize(key.as_bytes()).collect();
            json!({"Records": [{
                "eventVersion": "2.1", "eventSource": "aws:s3", "eventName": "ObjectCreated:Put",
                "s3": {"bucket": {"name": BUCKET}, "object": {"key": encoded}}
            }]})
        } else {
            let message = json!({"s3Bucket": BUCKET, "s3ObjectKey": [key]}).to_string();
            json!({"Type": "Notification", "TopicArn": "arn", "Message": message})
        };
        self.sent.fetch_add(1, Ordering::Relaxed);
        self.aws.send(QUEUE, &body.to_string());
    }

    fn start(&self, fail_point: Option<&str>) -> Child {
        let lake = self.folder.lake();
        let mut daemon = daemon(&self.aws, &self.queue_url, BUCKET, &lake);
        daemon.args(["--visibility-timeout", "2s", "--batch-age", "200ms", "--retry-after", "1s"]);
        daemon.args(["--retry-after-max", "2s", "--wait-time", "1s", "--threads", "1"]);
        if let Some(fail_point) = fail_point {
            daemon.env("TRAILQ_FAIL_POINT", fail_point);
        }
        let log = File::options().create(true).append(true).open(self.folder.path("log")).unwrap();
        daemon.stdout(Stdio::null()).stderr(log).spawn().unwrap()
    }

    /// Lets two daemons finish undisturbed, and end in order.
    fn finish(&self) {
        let mut rng = Rng::with_seed(7);
        while self.announced.load(Ordering::Relaxed) < self.keys.len() {
            self.announce_next(&mut rng);
        }
        let daemons = [self.start(None), self.start(None)];
        let patience = Instant::now() + Duration::from_mins(2);
        while self.aws.with_queue(QUEUE, |queue| queue.len()) > 0 {
            assert!(Instant::now() < patience, "messages are left\n{}", self.log());
            std::thread::sleep(Duration::from_millis(50));
        }
        for mut daemon in daemons {
            let sent = Command::new("kill").args(["-TERM", &daemon.id().to_string()]).status().unwrap();
            assert!(sent.success());
            let status = daemon.wait().unwrap();
            assert_eq!(status.code(), Some(0), "{}", self.log());
        }
    }

    fn check(&self) {
        let lake = self.folder.lake();
        assert_same_places(&places_in_lake(&lake), &self.expected);
        let files = number(&lake, "SELECT count(DISTINCT log_file) AS n FROM log_files");
        assert_eq!(files, self.keys.len() as u64);
        assert_eq!(number(&lake, "SELECT count(*) AS n FROM log_files"), files, "twice in the ledger");
        assert_eq!(
            number(&lake, "SELECT coalesce(sum(event_count), 0) AS n FROM log_files"),
            self.expected.len() as u64
        );
        assert_eq!(number(&lake, "SELECT count(*) AS n FROM quarantine"), 0);
        let deleted: BTreeSet<u64> =
            self.aws.with_queue(QUEUE, |queue| queue.deleted.iter().copied().collect());
        assert_eq!(deleted.len(), self.sent.load(Ordering::Relaxed));
    }

    /// The end of what the daemons said.
    fn log(&self) -> String {
        let log = std::fs::read_to_string(self.folder.path("log")).unwrap_or_default();
        let lines: Vec<&str> = log.lines().collect();
        lines[lines.len().saturating_sub(40)..].join("\n")
    }
}

/// A daemon that takes the made-up AWS for the real one.
pub(crate) fn daemon(aws: &FakeAws, queue_url: &str, bucket: &str, lake: &str) -> Command {
    let options = ["daemon", "--queue-url", queue_url, "--bucket", bucket, "--lake", lake];
    let mut daemon = command(&options);
    daemon.args(["--integrity", "false"]).envs(aws.environment());
    daemon.env("TRAILQ_METRICS_ADDRESS", "off");
    daemon
}
