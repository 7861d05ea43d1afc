//! How the daemon is told to end, and what it tells systemd.

use std::os::unix::net::UnixDatagram;
use std::time::{Duration, Instant};

use super::super::fake_aws::{FakeAws, FakeQueue, Faults, StoredObject};
use super::super::support::{Folder, any_key, command, event_ids, log_file};
use super::s3_event;
use super::setup::{Running, Trail};

#[tokio::test(flavor = "multi_thread")]
async fn a_second_signal_ends_it_at_once_and_nothing_is_lost() {
    let aws = FakeAws::start(Faults::none(0));
    let queue_url = aws.create_queue("twice", FakeQueue::new(Duration::from_secs(2)));
    let slow = StoredObject { error: Some((503, "SlowDown")), ..StoredObject::default() };
    aws.with_bucket("logs", |bucket| bucket.put(&any_key("a"), slow));
    aws.put("logs", &any_key("b"), log_file(&["b"]));
    for name in ["a", "b"] {
        aws.send("twice", &s3_event("logs", &[&any_key(name)]));
    }
    let folder = Folder::new();
    let lake = folder.lake();
    let start = |more: &[&str]| {
        let places = ["daemon", "--queue-url", &queue_url, "--bucket", "logs", "--lake", &lake];
        let mut command = command(&[&places[..], more].concat());
        command.envs(aws.environment()).env("AWS_MAX_ATTEMPTS", "50");
        Running::start(command, &folder)
    };
    // Neither is committed: one cannot be fetched, the other's batch would wait for an hour.
    let daemon = start(&["--batch-age", "1h", "--shutdown-grace", "1h"]);
    daemon.wait_for("in hand", |page| page.sum("s3_bytes_total") > 0).await;
    daemon.signal("-INT");
    let asked = Instant::now();
    while !daemon.log().contains("a second signal ends at once") {
        assert!(asked.elapsed() < Duration::from_secs(20), "{}", daemon.log());
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    let asked = Instant::now();
    let (status, log) = daemon.stop();
    assert_eq!(status.code(), Some(130), "{log}");
    assert!(asked.elapsed() < Duration::from_secs(2), "{:?}", asked.elapsed());

    aws.put("logs", &any_key("a"), log_file(&["a"]));
    let daemon = start(&[]);
    daemon.wait_for("committed", |page| page.objects("committed") + page.objects("duplicate") == 2).await;
    assert!(daemon.stop().0.success());
    assert_eq!(event_ids(&lake), ["a", "b"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn systemd_hears_that_it_is_ready_alive_and_stopping() {
    let trail = Trail::new("notified", 10).await;
    let path = trail.folder.text("notify.sock");
    let socket = UnixDatagram::bind(&path).unwrap();
    socket.set_read_timeout(Some(Duration::from_secs(20))).unwrap();
    let variables = [("NOTIFY_SOCKET", path.as_str()), ("WATCHDOG_USEC", "600000")];
    let daemon = trail.daemon_with(&[], &variables);
    let hear = |wanted: &str| {
        let mut heard = Vec::new();
        while heard.len() < 100 {
            let mut bytes = [0; 500];
            let length =
                socket.recv(&mut bytes).unwrap_or_else(|error| panic!("{error}: no {wanted} in {heard:?}"));
            heard.push(String::from_utf8_lossy(&bytes[..length]).into_owned());
            if heard.last().is_some_and(|last| last.contains(wanted)) {
                return;
            }
        }
        panic!("no {wanted} in {heard:?}");
    };
    hear("READY=1");
    hear("messages received, 0 in hand");
    hear("WATCHDOG=1");
    hear("WATCHDOG=1");
    assert!(daemon.stop().0.success());
    hear("STOPPING=1");
}
