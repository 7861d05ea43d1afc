//! A trail as S3 has it: a bucket that announces its objects to a queue; and the daemon that follows it.

use std::collections::HashMap;
use std::fs::File;
use std::io::{Read as _, Write as _};
use std::net::TcpStream;
use std::process::{Child, Command, ExitStatus};
use std::time::{Duration, Instant};

use aws_sdk_s3::types::{Event, NotificationConfiguration, QueueConfiguration};
use aws_sdk_sqs::types::QueueAttributeName;
use trailq::metrics::{samples, sum};

use crate::aws;
use crate::support::Folder;

/// A bucket, a queue that hears of it, and a dead-letter queue.
pub(super) struct Trail {
    pub(super) bucket: String,
    pub(super) queue_url: String,
    pub(super) dead_letter_url: String,
    pub(super) s3: aws_sdk_s3::Client,
    pub(super) sqs: aws_sdk_sqs::Client,
    pub(super) folder: Folder,
}

impl Trail {
    /// Messages become dead letters after `max_receive_count` receipts.
    pub(super) async fn new(name: &str, max_receive_count: u32) -> Self {
        let config = aws::config();
        let s3 = aws_sdk_s3::Client::from_conf(
            aws_sdk_s3::config::Builder::from(&config).force_path_style(true).build(),
        );
        let sqs = aws_sdk_sqs::Client::new(&config);
        let create = |name: String| sqs.create_queue().queue_name(name).send();
        let dead_letter_url = create(format!("{name}-dead")).await.unwrap().queue_url.unwrap();
        let queue_url = create(name.to_owned()).await.unwrap().queue_url.unwrap();
        let trail =
            Trail { bucket: name.to_owned(), queue_url, dead_letter_url, s3, sqs, folder: Folder::new() };
        let policy = format!(
            r#"{{"deadLetterTargetArn":"{}","maxReceiveCount":"{max_receive_count}"}}"#,
            trail.arn(&trail.dead_letter_url).await
        );
        let set = trail.sqs.set_queue_attributes().queue_url(&trail.queue_url);
        set.attributes(QueueAttributeName::RedrivePolicy, policy).send().await.unwrap();
        trail.s3.create_bucket().bucket(name).send().await.unwrap();
        trail.announce(name).await;
        trail
    }

    async fn arn(&self, queue_url: &str) -> String {
        self.attribute(queue_url, QueueAttributeName::QueueArn).await
    }

    async fn attribute(&self, queue_url: &str, name: QueueAttributeName) -> String {
        let asked = self.sqs.get_queue_attributes().queue_url(queue_url).attribute_names(name.clone());
        asked.send().await.unwrap().attributes.unwrap().remove(&name).unwrap()
    }

    /// Lets a bucket announce its objects to the queue.
    pub(super) async fn announce(&self, bucket: &str) {
        let queue = QueueConfiguration::builder()
            .queue_arn(self.arn(&self.queue_url).await)
            .events(Event::from("s3:ObjectCreated:*"))
            .build()
            .unwrap();
        let configuration = NotificationConfiguration::builder().queue_configurations(queue).build();
        let put = self.s3.put_bucket_notification_configuration().bucket(bucket);
        put.notification_configuration(configuration).send().await.unwrap();
    }

    /// Lets the bucket announce nothing more.
    pub(super) async fn announce_nothing(&self) {
        let put = self.s3.put_bucket_notification_configuration().bucket(&self.bucket);
        put.notification_configuration(NotificationConfiguration::builder().build()).send().await.unwrap();
    }

    /// Puts an object, which S3 announces.
    pub(super) async fn put(&self, key: &str, bytes: Vec<u8>) {
        self.put_into(&self.bucket, key, bytes).await;
    }

    pub(super) async fn put_into(&self, bucket: &str, key: &str, bytes: Vec<u8>) {
        self.s3.put_object().bucket(bucket).key(key).body(bytes.into()).send().await.unwrap();
    }

    /// Sends a message of somebody else's.
    pub(super) async fn send(&self, body: &str) {
        self.sqs.send_message().queue_url(&self.queue_url).message_body(body).send().await.unwrap();
    }

    /// Messages that wait, and messages in somebody's hands.
    pub(super) async fn messages(&self, queue_url: &str) -> (u64, u64) {
        // Asked for at once: a message that comes back meanwhile would be neither, else.
        let names = [
            QueueAttributeName::ApproximateNumberOfMessages,
            QueueAttributeName::ApproximateNumberOfMessagesNotVisible,
        ];
        let asked = self.sqs.get_queue_attributes().queue_url(queue_url);
        let asked = asked.set_attribute_names(Some(names.to_vec()));
        let attributes = asked.send().await.unwrap().attributes.unwrap();
        let [waiting, held] = names.map(|name| attributes[&name].parse().unwrap());
        (waiting, held)
    }

    /// Waits until nothing is on the queue and in nobody's hands.
    pub(super) async fn wait_until_empty(&self) {
        let started = Instant::now();
        while self.messages(&self.queue_url).await != (0, 0) {
            assert!(started.elapsed() < PATIENCE, "{:?}", self.messages(&self.queue_url).await);
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
    }

    /// The daemon with quick settings, and those that a test adds.
    pub(super) fn daemon(&self, more: &[&str]) -> Running {
        self.daemon_with(more, &[])
    }

    /// The same, with environment variables.
    pub(super) fn daemon_with(&self, more: &[&str], variables: &[(&str, &str)]) -> Running {
        let lake = self.folder.lake();
        let places = ["--queue-url", &self.queue_url, "--bucket", &self.bucket, "--lake", &lake];
        let mut command = aws::command(&[&["daemon"][..], &places, more].concat());
        command.envs(variables.iter().copied());
        Running::start(command, &self.folder)
    }

    pub(super) fn lake(&self) -> String {
        self.folder.lake()
    }
}

/// Settings for tests, which flags may beat. Our server answers one request at a time, so nobody may wait
/// in it.
pub(super) const QUICK: [(&str, &str); 8] = [
    ("TRAILQ_WAIT_TIME", "0"),
    ("TRAILQ_VISIBILITY_TIMEOUT", "3"),
    ("TRAILQ_BATCH_AGE", "1"),
    ("TRAILQ_RETRY_AFTER", "1"),
    ("TRAILQ_RETRY_AFTER_MAX", "1"),
    ("TRAILQ_METRICS_ADDRESS", "127.0.0.1:0"),
    ("TRAILQ_LOOK_UP_KEYS", "false"),
    ("TRAILQ_THREADS", "2"),
];

const PATIENCE: Duration = Duration::from_mins(1);

/// A running daemon. It is killed when nobody looks at it any more.
pub(super) struct Running {
    child: Child,
    log: std::path::PathBuf,
    address: String,
}

impl Running {
    pub(super) fn start(mut command: Command, folder: &Folder) -> Self {
        static NUMBER: std::sync::atomic::AtomicU32 = std::sync::atomic::AtomicU32::new(0);
        let number = NUMBER.fetch_add(1, std::sync::atomic::Ordering::Relaxed);
        let log = folder.path(&format!("daemon-{number}.log"));
        let child = command.envs(QUICK).stderr(File::create(&log).unwrap()).spawn().unwrap();
        let mut running = Running { child, log, address: String::new() };
        let rest = running.wait_for_log("metrics");
        let address = rest.split('"').find(|text| text.starts_with("127.0.0.1:")).unwrap();
        address.clone_into(&mut running.address);
        running
    }

    /// What has been logged so far.
    pub(super) fn log(&self) -> String {
        std::fs::read_to_string(&self.log).unwrap()
    }

    /// Waits until something is logged; returns what follows it.
    pub(super) fn wait_for_log(&mut self, wanted: &str) -> String {
        let started = Instant::now();
        loop {
            let log = self.log();
            if let Some((_, rest)) = log.split_once(wanted)
                && rest.contains('\n')
            {
                return rest.to_owned();
            }
            let ended = self.child.try_wait().unwrap();
            assert!(ended.is_none() && started.elapsed() < PATIENCE, "no {wanted:?}, {ended:?}, in\n{log}");
            std::thread::sleep(Duration::from_millis(50));
        }
    }

    /// Status and body of a page.
    pub(super) fn get(&self, path: &str) -> (u16, String) {
        let mut stream = TcpStream::connect(&self.address).unwrap();
        write!(stream, "GET {path} HTTP/1.0\r\n\r\n").unwrap();
        let mut answer = String::new();
        stream.read_to_string(&mut answer).unwrap();
        let (head, body) = answer.split_once("\r\n\r\n").unwrap();
        (head.split(' ').nth(1).unwrap().parse().unwrap(), body.to_owned())
    }

    pub(super) fn metrics(&self) -> Page {
        Page(self.get("/metrics").1)
    }

    /// Waits until the metrics are so.
    pub(super) async fn wait_for(&self, what: &str, wanted: impl Fn(&Page) -> bool) -> Page {
        let started = Instant::now();
        loop {
            let page = self.metrics();
            if wanted(&page) {
                return page;
            }
            assert!(started.elapsed() < PATIENCE, "not {what}:\n{}\n{}", page.short(), self.log());
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
    }

    /// Asks for an orderly end and returns how it ended.
    pub(super) fn stop(mut self) -> (ExitStatus, String) {
        self.signal("-TERM");
        let started = Instant::now();
        loop {
            if let Some(status) = self.child.try_wait().unwrap() {
                return (status, self.log());
            }
            assert!(started.elapsed() < PATIENCE, "it does not stop:\n{}", self.log());
            std::thread::sleep(Duration::from_millis(20));
        }
    }

    pub(super) fn signal(&self, signal: &str) {
        let sent = Command::new("kill").args([signal, &self.child.id().to_string()]).status().unwrap();
        assert!(sent.success());
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// A page of metrics.
pub(super) struct Page(String);

impl Page {
    pub(super) fn sum(&self, name: &str) -> u64 {
        sum(&self.0, &format!("trailq_{name}"))
    }

    /// Values by the value of a label.
    pub(super) fn by(&self, name: &str, label: &str) -> HashMap<String, u64> {
        let name = format!("trailq_{name}");
        let value = |labels: &str| {
            let (_, rest) = labels.split_once(&format!("{label}=\""))?;
            Some(rest.split('"').next()?.to_owned())
        };
        let found = samples(&self.0, &name).filter_map(|(labels, count)| Some((value(labels)?, count)));
        let mut counts = HashMap::new();
        found.for_each(|(value, count)| *counts.entry(value).or_default() += count);
        counts
    }

    pub(super) fn objects(&self, outcome: &str) -> u64 {
        self.by("s3_objects_total", "outcome").get(outcome).copied().unwrap_or(0)
    }

    /// The two identities.
    pub(super) fn assert_balanced(&self) {
        let received = self.sum("sqs_messages_received_total");
        let ended =
            ["sqs_messages_deleted_total", "sqs_messages_returned_total", "sqs_messages_expired_total"];
        let ended: u64 = ended.iter().map(|name| self.sum(name)).sum();
        assert_eq!(received, ended + self.sum("sqs_messages_inflight"), "{}", self.short());
        let objects = self.sum("s3_objects_total") + self.sum("s3_objects_inflight");
        assert_eq!(self.sum("s3_objects_seen_total"), objects, "{}", self.short());
    }

    fn short(&self) -> String {
        let plain = |line: &&str| !line.starts_with('#') && !line.contains("_bucket{");
        self.0.lines().filter(plain).collect::<Vec<_>>().join("\n")
    }
}
