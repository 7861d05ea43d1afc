//! The made-up AWS as a server of its own, which `benches/daemon.py` starts.

use std::io::{Read as _, Write as _};
use std::path::Path;
use std::time::Duration;

use serde_json::json;

use super::fake_aws::{FakeAws, FakeQueue, Faults};
use super::support::log_files;

/// Puts the log files below `TRAILQ_STAND_IN` into the bucket `trail`, announces all of them on each of
/// `TRAILQ_STAND_IN_QUEUES`, says where it is, and serves until its standard input ends.
#[test]
#[ignore = "a server for benches/daemon.py"]
fn stand_in() {
    let setting = |name: &str| std::env::var(name).unwrap_or_else(|_| panic!("{name} is not set"));
    let (directory, queues) = (setting("TRAILQ_STAND_IN"), setting("TRAILQ_STAND_IN_QUEUES"));
    let aws = FakeAws::start(Faults::none(0));
    let mut bodies = Vec::new();
    for file in log_files(Path::new(&directory)) {
        let key = file.strip_prefix(&directory).unwrap().to_str().unwrap().to_owned();
        let bytes = std::fs::read(&file).unwrap();
        let encoded: String = url::form_urlencoded::byte_serialize(key.as_bytes()).collect();
        let object = json!({"key": encoded, "size": bytes.len()});
        let record = json!({
            "eventVersion": "2.1", "eventSource": "aws:s3", "eventName": "ObjectCreated:Put",
            "s3": {"bucket": {"name": "trail"}, "object": object}
        });
        bodies.push(json!({"Records": [record]}).to_string());
        aws.put("trail", &key, bytes);
    }
    for queue in queues.split(',') {
        aws.create_queue(queue, FakeQueue::new(Duration::from_mins(5)));
        bodies.iter().for_each(|body| aws.send(queue, body));
    }
    println!("{}", aws.endpoint());
    std::io::stdout().flush().unwrap();
    std::io::stdin().read_to_end(&mut Vec::new()).unwrap();
}
