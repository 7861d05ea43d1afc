//! The crash test once more, against moto's S3 and SQS instead of our own stand-in: the bucket announces what
//! is put into it, and two daemons are killed again and again meanwhile.
//!
//! `TRAILQ_TEST_MOTO_RESTARTS=100` kills more often than an ordinary run.

use std::collections::BTreeSet;
use std::fs::File;
use std::os::unix::process::ExitStatusExt as _;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use fastrand::Rng;
use tokio::time::sleep;
use trailq::failpoint;

use super::s3_event;
use super::setup::Trail;
use crate::aws;
use crate::support::{assert_same_places, corpus, log_files, number, places_in_lake};

/// Kills of an ordinary run: each fail point, and so many at any moment.
const ORDINARY_RESTARTS: usize = 14;
/// Log files for each kill.
const FILES_PER_RESTART: usize = 20;

#[tokio::test(flavor = "multi_thread")]
async fn killed_again_and_again_while_the_bucket_announces_each_event_is_there_once() {
    let variable = std::env::var("TRAILQ_TEST_MOTO_RESTARTS");
    let restarts = variable.map_or(ORDINARY_RESTARTS, |text| text.parse().unwrap());
    let world = World::new(restarts).await;
    let started = Instant::now();
    tokio::join!(world.live_and_die(0), world.live_and_die(1));
    world.finish().await;
    let aborted = world.aborted.lock().unwrap().clone();
    let killed = world.killed.load(Ordering::Relaxed);
    eprintln!("{killed} killed, {} died at fail points in {:?}", aborted.len(), started.elapsed());
    assert!(killed + aborted.len() >= restarts, "{killed} killed, {aborted:?}");
    let places: BTreeSet<&str> = aborted.iter().map(String::as_str).collect();
    assert_eq!(places, BTreeSet::from(failpoint::ALL));
    world.check();
}

struct World {
    trail: Trail,
    files: Vec<PathBuf>,
    restarts: usize,
    begun: AtomicUsize,
    put: AtomicUsize,
    killed: AtomicUsize,
    aborted: Mutex<Vec<String>>,
}

fn root() -> &'static Path {
    Path::new(&corpus().dir)
}

fn key(file: &Path) -> &str {
    file.strip_prefix(root()).unwrap().to_str().unwrap()
}

impl World {
    async fn new(restarts: usize) -> Self {
        let mut files = log_files(root());
        Rng::with_seed(5).shuffle(&mut files);
        files.truncate(restarts * FILES_PER_RESTART);
        World {
            trail: Trail::new("killed", 1000).await,
            files,
            restarts,
            begun: AtomicUsize::new(0),
            put: AtomicUsize::new(0),
            killed: AtomicUsize::new(0),
            aborted: Mutex::default(),
        }
    }

    /// One of the two daemons, which is started again each time: first each fail point, then any moment.
    async fn live_and_die(&self, slot: u64) {
        let mut rng = Rng::with_seed(slot);
        loop {
            let number = self.begun.fetch_add(1, Ordering::Relaxed);
            if number >= self.restarts {
                return;
            }
            self.put_some(&mut rng).await;
            match failpoint::ALL.get(number) {
                Some(name) => self.die_at(name, &mut rng).await,
                None => {
                    let child = self.start(None);
                    sleep(Duration::from_millis(rng.u64(50..3000))).await;
                    self.kill(child);
                }
            }
        }
    }

    async fn die_at(&self, name: &str, rng: &mut Rng) {
        let mut child = self.start(Some(name));
        let patience = Instant::now() + Duration::from_mins(2);
        while Instant::now() < patience {
            if let Some(status) = child.try_wait().unwrap() {
                assert_eq!(status.signal(), Some(6), "{status}\n{}", self.log());
                self.aborted.lock().unwrap().push(name.to_owned());
                return;
            }
            sleep(Duration::from_millis(100)).await;
            // There must be something to come to the fail point with.
            self.announce_again(rng).await;
            self.put_next().await;
        }
        self.kill(child);
    }

    fn kill(&self, mut child: Child) {
        child.kill().unwrap();
        let status = child.wait().unwrap();
        assert_eq!(status.signal(), Some(9), "{status}\n{}", self.log());
        self.killed.fetch_add(1, Ordering::Relaxed);
    }

    async fn put_some(&self, rng: &mut Rng) {
        for _ in 0..FILES_PER_RESTART {
            self.put_next().await;
        }
        self.announce_again(rng).await;
    }

    /// Puts the next log file into the bucket, which announces it. Returns whether there was one.
    async fn put_next(&self) -> bool {
        let Some(file) = self.files.get(self.put.fetch_add(1, Ordering::Relaxed)) else { return false };
        self.trail.put(key(file), std::fs::read(file).unwrap()).await;
        true
    }

    /// Announces some log file that is there, once more.
    async fn announce_again(&self, rng: &mut Rng) {
        let there = self.put.load(Ordering::Relaxed).min(self.files.len());
        let key = key(&self.files[rng.usize(..there / 2 + 1)]);
        let encoded: String = url::form_urlencoded::byte_serialize(key.as_bytes()).collect();
        self.trail.send(&s3_event(&self.trail.bucket, &[&encoded])).await;
    }

    fn start(&self, fail_point: Option<&str>) -> Child {
        let lake = self.trail.lake();
        let places = ["--queue-url", &self.trail.queue_url, "--bucket", &self.trail.bucket, "--lake", &lake];
        let mut daemon = aws::command(&[&["daemon"][..], &places].concat());
        daemon.args(["--visibility-timeout", "2s", "--batch-age", "300ms", "--retry-after", "1s"]);
        daemon.args([
            "--retry-after-max",
            "2s",
            "--wait-time",
            "0",
            "--threads",
            "1",
            "--integrity",
            "false",
        ]);
        daemon.args(["--metrics-address", "off"]);
        if let Some(fail_point) = fail_point {
            daemon.env("TRAILQ_FAIL_POINT", fail_point);
        }
        let log = File::options().create(true).append(true).open(self.trail.folder.path("log")).unwrap();
        daemon.stdout(Stdio::null()).stderr(log).spawn().unwrap()
    }

    /// Lets two daemons finish undisturbed, and end in order.
    async fn finish(&self) {
        while self.put_next().await {}
        let daemons = [self.start(None), self.start(None)];
        let patience = Instant::now() + Duration::from_mins(3);
        while self.trail.messages(&self.trail.queue_url).await != (0, 0) {
            assert!(Instant::now() < patience, "messages are left\n{}", self.log());
            sleep(Duration::from_millis(200)).await;
        }
        for mut daemon in daemons {
            assert!(
                Command::new("kill").args(["-TERM", &daemon.id().to_string()]).status().unwrap().success()
            );
            assert_eq!(daemon.wait().unwrap().code(), Some(0), "{}", self.log());
        }
    }

    fn check(&self) {
        let lake = self.trail.lake();
        let wanted: BTreeSet<&str> = self.files.iter().map(|file| key(file)).collect();
        let prefix = format!("{}/", root().canonicalize().unwrap().to_str().unwrap());
        let mut expected: Vec<_> = corpus()
            .places
            .iter()
            .map(|(file, index, id)| (file.strip_prefix(&prefix).unwrap(), *index, id.clone()))
            .filter(|(key, ..)| wanted.contains(key))
            .map(|(key, index, id)| (format!("s3://{}/{key}", self.trail.bucket), index, id))
            .collect();
        expected.sort();
        assert_same_places(&places_in_lake(&lake), &expected);
        assert_eq!(number(&lake, "SELECT count(*) AS n FROM log_files"), self.files.len() as u64);
        assert_eq!(number(&lake, "SELECT count(*) AS n FROM quarantine"), 0);
    }

    /// The end of what the daemons said.
    fn log(&self) -> String {
        let log = std::fs::read_to_string(self.trail.folder.path("log")).unwrap_or_default();
        let lines: Vec<&str> = log.lines().collect();
        lines[lines.len().saturating_sub(40)..].join("\n")
    }
}
