//! A backlog of a hundred thousand messages. Run by hand, on a machine with nothing else to do:
//!
//! ```text
//! cargo test --release --test it -- soak --ignored --nocapture
//! ```
//!
//! `TRAILQ_TEST_MESSAGES` and `TRAILQ_TEST_EVENTS` (in a log file) change its size.

use std::io::{Read as _, Write as _};
use std::net::TcpStream;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use serde_json::json;

use super::crash::daemon;
use super::fake_aws::{FakeAws, FakeQueue, Faults};
use super::support::{Folder, key, log_file, number};

#[test]
#[ignore = "takes minutes, and says something only if nothing else runs"]
fn soak() {
    let setting =
        |name: &str, default: usize| std::env::var(name).map_or(default, |text| text.parse().unwrap());
    let messages = setting("TRAILQ_TEST_MESSAGES", 100_000);
    let events = setting("TRAILQ_TEST_EVENTS", 5);
    let (folder, aws) = (Folder::new(), FakeAws::start(Faults::none(0)));
    let queue_url = aws.create_queue("queue", FakeQueue::new(Duration::from_mins(5)));
    for number in 0..messages {
        let key = key(
            "111122223333",
            "eu-west-1",
            &format!("2026-01-{:02}", 1 + number * 28 / messages),
            &format!("n{number}"),
        );
        let ids: Vec<String> = (0..events).map(|event| format!("{number}-{event}")).collect();
        aws.put("trail", &key, log_file(&ids.iter().map(String::as_str).collect::<Vec<_>>()));
        let record = json!({
            "eventVersion": "2.1", "eventSource": "aws:s3", "eventName": "ObjectCreated:Put",
            "s3": {"bucket": {"name": "trail"}, "object": {"key": key, "size": 400}}
        });
        aws.send("queue", &json!({"Records": [record]}).to_string());
    }
    let port = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
    let lake = folder.lake();
    let mut command = daemon(&aws, &queue_url, "trail", &lake);
    command.args(["--metrics-address", &format!("127.0.0.1:{port}")]);
    for (name, value) in std::env::vars().filter(|(name, _)| name == "TRAILQ_TEST_FLAGS") {
        eprintln!("{name}={value}");
        command.args(value.split_whitespace());
    }
    let mut child = command.stdout(Stdio::null()).stderr(Stdio::inherit()).spawn().unwrap();
    let started = Instant::now();
    let mut told = Instant::now();
    let left = || aws.with_queue("queue", |queue| queue.len());
    while left() > 0 {
        assert!(child.try_wait().unwrap().is_none(), "the daemon has ended");
        if told.elapsed() > Duration::from_secs(10) {
            told = Instant::now();
            eprintln!("{:4} s: {} messages left, {}", started.elapsed().as_secs(), left(), peak(child.id()));
        }
        std::thread::sleep(Duration::from_millis(50));
    }
    let took = started.elapsed();
    let (peak, page) = (peak(child.id()), metrics(port));
    Command::new("kill").args(["-TERM", &child.id().to_string()]).status().unwrap();
    assert!(child.wait().unwrap().success());
    assert_eq!(number(&lake, "SELECT count(*) AS n FROM cloudtrail_logs"), (messages * events) as u64);
    assert_eq!(number(&lake, "SELECT count(DISTINCT log_file) AS n FROM log_files"), messages as u64);
    let commits = std::fs::read_dir(folder.path("lake/events/_delta_log")).unwrap().count();
    #[allow(clippy::cast_precision_loss, reason = "a rate to print")]
    let rate = |count: usize| count as f64 / took.as_secs_f64();
    eprintln!(
        "{messages} messages, {} events in {took:.1?}: {:.0} log files/s, {:.0} events/s, {peak}, {commits} files in the log",
        messages * events,
        rate(messages),
        rate(messages * events),
    );
    let stats = aws.with_queue("queue", |queue| queue.stats);
    eprintln!("{stats:?}");
    for line in page.lines().filter(|line| {
        ["lag", "commits_total", "commit_seconds_sum", "extensions", "errors", "expired"]
            .iter()
            .any(|part| line.contains(part))
            && !line.starts_with('#')
            && !line.contains("_bucket")
    }) {
        eprintln!("{line}");
    }
}

/// The most memory that the process ever had.
fn peak(process: u32) -> String {
    let status = std::fs::read_to_string(format!("/proc/{process}/status")).unwrap_or_default();
    status.lines().find(|line| line.starts_with("VmHWM")).unwrap_or("no VmHWM").to_owned()
}

pub(crate) fn metrics(port: u16) -> String {
    let mut stream = TcpStream::connect(("127.0.0.1", port)).unwrap();
    stream.write_all(b"GET /metrics HTTP/1.1\r\nhost: localhost\r\nconnection: close\r\n\r\n").unwrap();
    let mut page = String::new();
    stream.read_to_string(&mut page).unwrap();
    page
}
