//! The daemon, from the bucket's notification to the lake, as a user runs it.

mod integrity;
mod killed;
mod odd;
mod panics;
mod regions;
mod roles;
mod settings;
mod setup;
mod signals;

use std::time::Duration;

use setup::{Running, Trail};

use super::aws;
use super::fake_aws::{FakeAws, FakeQueue, Faults, StoredObject};
use super::support::{
    Folder, any_key, assert_same_places, corpus, event_ids, gzip, key, log_file, log_files, number,
    places_in_lake, rows,
};

/// An event of S3 about objects, as it is in a message.
fn s3_event(bucket: &str, keys: &[&str]) -> String {
    let record = |key: &&str| {
        format!(
            r#"{{"eventVersion":"2.1","eventSource":"aws:s3","eventName":"ObjectCreated:Put","s3":{{"bucket":{{"name":"{bucket}"}},"object":{{"key":"{key}","size":10}}}}}}"#
        )
    };
    format!(r#"{{"Records":[{}]}}"#, keys.iter().map(record).collect::<Vec<_>>().join(","))
}

fn enveloped(message: &str) -> String {
    serde_json::json!({"Type": "Notification", "MessageId": "m", "TopicArn": "arn:aws:sns:x:1:t", "Message": message})
        .to_string()
}

#[tokio::test(flavor = "multi_thread")]
async fn every_kind_of_message_ends_as_it_should_and_the_counters_balance() {
    let trail = Trail::new("kinds", 2).await;
    let odd = format!("my logs+/ünï/{}", any_key("odd"));
    trail.put(&any_key("announced"), log_file(&["announced"])).await;
    trail.put("notes.txt", b"no log file".to_vec()).await;
    trail
        .put(
            &any_key("broken"),
            gzip(b"{\"Records\":[{\"eventID\":\"fine\",\"eventTime\":\"2026-01-05T08:07:00Z\"},nonsense]}"),
        )
        .await;
    trail.put(&any_key("cut"), log_file(&["cut"])[..30].to_vec()).await;
    // What S3 did not announce, others do.
    trail.announce_nothing().await;
    for name in ["sns", "eventbridge", "cloudtrail1", "cloudtrail2", "snscloudtrail", "many1", "many2"] {
        trail.put(&any_key(name), log_file(&[name])).await;
    }
    let bucket = &trail.bucket;
    // Keys are form-encoded in events of S3.
    trail.put(&odd, log_file(&["odd"])).await;
    trail.send(&s3_event(bucket, &[&format!("my+logs%2B/%C3%BCn%C3%AF/{}", any_key("odd"))])).await;
    trail.send(&enveloped(&s3_event(bucket, &[&any_key("sns")]))).await;
    trail.send(&s3_event(bucket, &[&any_key("many1"), &any_key("many2"), &any_key("many1")])).await;
    trail.send(&s3_event(bucket, &[&any_key("announced")])).await;
    let detail =
        serde_json::json!({"bucket": {"name": bucket}, "object": {"key": any_key("eventbridge"), "size": 9}});
    let event = serde_json::json!({"source": "aws.s3", "detail-type": "Object Created", "detail": detail});
    trail.send(&event.to_string()).await;
    let cloudtrail =
        |keys: &[String]| serde_json::json!({"s3Bucket": bucket, "s3ObjectKey": keys}).to_string();
    trail.send(&cloudtrail(&[any_key("cloudtrail1"), any_key("cloudtrail2")])).await;
    trail.send(&enveloped(&cloudtrail(&[any_key("snscloudtrail")]))).await;
    trail.send("CloudTrail validation message.").await;
    trail.send("hello, is this the coffee queue?").await;
    trail.send(&s3_event("somebody-elses-bucket", &[&any_key("secret")])).await;

    let daemon = trail.daemon(&[]);
    trail.wait_until_empty().await;
    let page = daemon.wait_for("settled", |page| page.sum("sqs_messages_inflight") == 0).await;
    page.assert_balanced();
    let committed = [
        "announced",
        "broken",
        "odd",
        "sns",
        "eventbridge",
        "cloudtrail1",
        "cloudtrail2",
        "snscloudtrail",
        "many1",
        "many2",
    ];
    assert_eq!(page.objects("committed"), committed.len() as u64);
    assert_eq!((page.objects("quarantined"), page.objects("failed")), (1, 0));
    assert_eq!(page.objects("duplicate"), 2, "many1 and announced come twice");
    assert_eq!(page.by("s3_objects_ignored_total", "kind")["other"], 1);
    // Left on the queue, it comes as often as the redrive policy lets it.
    assert_eq!(page.by("s3_objects_ignored_total", "kind")["bucket_not_allowed"], 2);
    assert_eq!(page.sum("records_quarantined_total"), 1);
    // Four of S3's own and five of ours, one of which comes twice; two tests, of S3 and of CloudTrail.
    let bodies = page.by("sqs_message_bodies_total", "kind");
    for (kind, count) in [
        ("s3", 9),
        ("sns_s3", 1),
        ("eventbridge", 1),
        ("cloudtrail", 1),
        ("sns_cloudtrail", 1),
        ("test", 2),
        ("foreign", 2),
    ] {
        assert_eq!(bodies[kind], count, "{kind}: {bodies:?}");
    }
    let (status, log) = daemon.stop();
    assert!(status.success(), "{log}");
    assert!(
        log.contains("not among those that are allowed") && log.contains("somebody-elses-bucket"),
        "{log}"
    );
    let mut expected: Vec<&str> =
        committed.iter().map(|name| if *name == "broken" { "fine" } else { name }).collect();
    expected.sort_unstable();
    assert_eq!(event_ids(&trail.lake()), expected);
    let odd_file = format!("s3://kinds/{odd}");
    let files = rows(&trail.lake(), "SELECT log_file FROM log_files WHERE log_file LIKE '%odd%'");
    assert_eq!(files[0]["log_file"], odd_file);
    let why = rows(&trail.lake(), "SELECT reason FROM quarantine ORDER BY reason");
    assert_eq!(why.len(), 2);

    // What was foreign has become a dead letter, and is nobody's loss.
    assert_eq!(trail.messages(&trail.dead_letter_url).await.0, 2);
}

#[tokio::test(flavor = "multi_thread")]
async fn dead_letters_that_are_driven_back_are_ingested() {
    let trail = Trail::new("redrive", 2).await;
    trail.put(&any_key("a"), log_file(&["a"])).await;
    // Somebody received it twice and did nothing; SQS moves it away.
    for _ in 0..3 {
        let receive = trail.sqs.receive_message().queue_url(&trail.queue_url).visibility_timeout(0);
        receive.max_number_of_messages(10).send().await.unwrap();
    }
    assert!(trail.messages(&trail.dead_letter_url).await.0 >= 1);
    let daemon = trail.daemon(&[]);
    trail.wait_until_empty().await;
    let dead = trail.sqs.receive_message().queue_url(&trail.dead_letter_url).max_number_of_messages(10);
    for message in dead.send().await.unwrap().messages() {
        trail.send(message.body().unwrap()).await;
    }
    daemon.wait_for("committed", |page| page.objects("committed") == 1).await;
    trail.wait_until_empty().await;
    assert!(daemon.stop().0.success());
    assert_eq!(event_ids(&trail.lake()), ["a"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn an_object_deleted_before_its_fetch_is_quarantined_as_missing_after_some_receipts() {
    let trail = Trail::new("deleted-before", 10).await;
    trail.put(&any_key("gone"), log_file(&["gone"])).await;
    trail.put(&any_key("there"), log_file(&["there"])).await;
    trail.s3.delete_object().bucket(&trail.bucket).key(any_key("gone")).send().await.unwrap();
    let daemon = trail.daemon(&["--max-receive-count", "3"]);
    let page = daemon.wait_for("quarantined", |page| page.objects("quarantined") == 1).await;
    assert_eq!(page.by("sqs_messages_returned_total", "reason")["missing"], 2);
    trail.wait_until_empty().await;
    daemon.metrics().assert_balanced();
    assert!(daemon.stop().0.success());
    let found = rows(&trail.lake(), "SELECT reason, key FROM quarantine");
    assert_eq!((found.len(), &found[0]["reason"]), (1, &serde_json::json!("missing")));
    assert_eq!(number(&trail.lake(), "SELECT count(*) AS n FROM log_files WHERE status = 'quarantined'"), 1);
    assert_eq!(event_ids(&trail.lake()), ["there"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn encrypted_objects_old_versions_and_buckets_elsewhere_are_read() {
    let trail = Trail::new("versions", 10).await;
    let s3 = &trail.s3;
    let enabled = aws_sdk_s3::types::VersioningConfiguration::builder()
        .status(aws_sdk_s3::types::BucketVersioningStatus::Enabled)
        .build();
    s3.put_bucket_versioning().bucket("versions").versioning_configuration(enabled).send().await.unwrap();
    let place = aws_sdk_s3::types::CreateBucketConfiguration::builder()
        .location_constraint(aws_sdk_s3::types::BucketLocationConstraint::EuCentral1)
        .build();
    s3.create_bucket().bucket("elsewhere").create_bucket_configuration(place).send().await.unwrap();
    // The stand-in's own announcements do not tell versions; those of S3 do.
    trail.announce_nothing().await;
    let put = s3.put_object().bucket("versions").key(any_key("first")).body(log_file(&["first"]).into());
    let version = put.send().await.unwrap().version_id().unwrap().to_owned();
    let event = s3_event("versions", &[&any_key("first")]);
    trail.send(&event.replace("\"size\":10", &format!("\"size\":10,\"versionId\":\"{version}\""))).await;
    trail.send(&s3_event("versions", &[&any_key("encrypted")])).await;
    let encrypted =
        s3.put_object().bucket("versions").key(any_key("encrypted")).body(log_file(&["encrypted"]).into());
    let encrypted = encrypted.server_side_encryption(aws_sdk_s3::types::ServerSideEncryption::AwsKms);
    encrypted.ssekms_key_id("arn:aws:kms:us-east-1:111122223333:key/1").send().await.unwrap();
    // S3 announces to queues of the bucket's own region only; this one came by another way.
    trail.put_into("elsewhere", &any_key("far"), log_file(&["far"])).await;
    trail.send(&s3_event("elsewhere", &[&any_key("far")])).await;
    // The version that was announced counts, whatever lies there now.
    s3.delete_object().bucket("versions").key(any_key("first")).send().await.unwrap();
    let daemon = trail.daemon(&["--bucket", "elsewhere"]);
    daemon.wait_for("committed", |page| page.objects("committed") == 3).await;
    trail.wait_until_empty().await;
    assert!(daemon.stop().0.success());
    assert_eq!(event_ids(&trail.lake()), ["encrypted", "far", "first"]);
    let versions = "SELECT count(version_id) AS n FROM log_files WHERE bucket = 'versions'";
    assert_eq!(number(&trail.lake(), versions), 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_may_not_be_read_is_told_loudly_handed_back_and_read_once_it_may_be() {
    let aws = FakeAws::start(Faults::none(0));
    let queue_url = aws.create_queue("denied", FakeQueue::new(Duration::from_secs(2)));
    let denied = StoredObject { error: Some((403, "AccessDenied")), ..StoredObject::default() };
    aws.with_bucket("logs", |bucket| bucket.put(&any_key("a"), denied));
    aws.send("denied", &s3_event("logs", &[&any_key("a")]));
    let folder = Folder::new();
    let lake = folder.lake();
    let places = ["--queue-url", &queue_url, "--bucket", "logs", "--lake", &lake];
    let mut command = super::support::command(&[&["daemon"][..], &places].concat());
    command.envs(aws.environment());
    let daemon = Running::start(command, &folder);
    let failed =
        |page: &setup::Page| page.by("errors_total", "kind").get("access_denied").copied().unwrap_or(0);
    let page = daemon.wait_for("denied twice", |page| failed(page) >= 2).await;
    assert!(page.by("sqs_messages_returned_total", "reason")["access_denied"] >= 1);
    assert!(daemon.log().contains("ERROR not fetched: handed back bucket=\"logs\""), "{}", daemon.log());
    aws.put("logs", &any_key("a"), log_file(&["a"]));
    let page = daemon.wait_for("committed", |page| page.objects("committed") == 1).await;
    page.assert_balanced();
    assert!(daemon.stop().0.success());
    assert_eq!((event_ids(&lake), aws.with_queue("denied", |queue| queue.len())), (vec!["a".to_owned()], 0));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_signal_lets_it_commit_what_is_in_hand_and_end_with_zero() {
    let trail = Trail::new("stopped", 10).await;
    for number in 0..40 {
        trail.put(&any_key(&format!("n{number}")), log_file(&[&format!("{number:02}")])).await;
    }
    // The batch would wait for an hour.
    let daemon = trail.daemon(&["--batch-age", "1h"]);
    daemon.wait_for("received", |page| page.sum("s3_objects_seen_total") >= 40).await;
    assert_eq!(daemon.metrics().sum("commits_total"), 0);
    let (status, log) = daemon.stop();
    assert!(status.success() && log.contains("stopped"), "{log}");
    assert_eq!(trail.messages(&trail.queue_url).await, (0, 0));
    assert_eq!(event_ids(&trail.lake()).len(), 40);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_cannot_be_finished_in_the_time_for_it_is_handed_back() {
    let aws = FakeAws::start(Faults::none(0));
    let queue_url = aws.create_queue("slow", FakeQueue::new(Duration::from_mins(5)));
    for name in ["a", "b", "c"] {
        let stored = StoredObject { error: Some((503, "SlowDown")), ..StoredObject::default() };
        aws.with_bucket("logs", |bucket| bucket.put(&any_key(name), stored));
        aws.send("slow", &s3_event("logs", &[&any_key(name)]));
    }
    let folder = Folder::new();
    let lake = folder.lake();
    let places = ["--queue-url", &queue_url, "--bucket", "logs", "--lake", &lake];
    let more = [
        "--visibility-timeout",
        "5m",
        "--shutdown-grace",
        "4",
        "--retry-after",
        "5m",
        "--retry-after-max",
        "5m",
    ];
    let options = [&["daemon"][..], &places, &more].concat();
    let mut command = super::support::command(&options);
    command.envs(aws.environment()).env("AWS_MAX_ATTEMPTS", "50");
    let daemon = Running::start(command, &folder);
    daemon.wait_for("in hand", |page| page.sum("sqs_messages_inflight") == 3).await;
    let asked = std::time::Instant::now();
    let (status, log) = daemon.stop();
    assert!(status.success() && asked.elapsed() < Duration::from_secs(6), "{log}");
    // Somebody else may have them at once.
    let received = aws.with_queue("slow", |queue| queue.receive(10, Duration::from_secs(1)));
    assert_eq!(received.len(), 3, "{log}");
}

#[tokio::test(flavor = "multi_thread")]
async fn two_daemons_and_a_backfill_put_each_event_in_once() {
    let trail = Trail::new("crowd", 50).await;
    let root = std::path::Path::new(&corpus().dir);
    let files: Vec<_> = log_files(root).into_iter().take(300).collect();
    let mut expected = Vec::new();
    for path in &files {
        let key = path.strip_prefix(root).unwrap().to_str().unwrap();
        trail.put(key, std::fs::read(path).unwrap()).await;
        let name = path.canonicalize().unwrap().to_str().unwrap().to_owned();
        let of_file = corpus().places.iter().filter(|place| place.0 == name);
        expected.extend(of_file.map(|place| (format!("s3://crowd/{key}"), place.1, place.2.clone())));
    }
    expected.sort();
    // So short a visibility that messages are received again while they are in hand.
    let more = ["--visibility-timeout", "1", "--number-of-workers", "2"];
    let daemons = [trail.daemon(&more), trail.daemon(&more)];
    let lake = trail.lake();
    let backfill = aws::command(&["ingest", "--lake", &lake, "s3://crowd"]).output().unwrap();
    assert!(backfill.status.success(), "{}", String::from_utf8_lossy(&backfill.stderr));
    trail.wait_until_empty().await;
    for daemon in daemons {
        daemon.metrics().assert_balanced();
        let (status, log) = daemon.stop();
        assert!(status.success(), "{log}");
    }
    assert_same_places(&places_in_lake(&lake), &expected);
    assert_eq!(number(&lake, "SELECT count(*) AS n FROM log_files"), 300);
}

#[tokio::test(flavor = "multi_thread")]
async fn log_files_of_every_tree_are_taken_and_those_before_the_start_are_not() {
    let trail = Trail::new("trees", 10).await;
    for tree in ["CloudTrail", "CloudTrail-Insight", "CloudTrail-NetworkActivity", "CloudTrail-Aggregated"] {
        let key = key("111122223333", "eu-west-1", "2026-01-05", "a").replace("CloudTrail", tree);
        trail.put(&key.replace("AWSLogs/", "AWSLogs/o-example/"), log_file(&[tree])).await;
    }
    trail.put(&key("111122223333", "eu-west-1", "2025-12-31", "old"), log_file(&["old"])).await;
    let daemon = trail.daemon(&["--start-timestamp", "2026-01-01", "--log-format", "json"]);
    let page = daemon.wait_for("committed", |page| page.objects("committed") == 4).await;
    assert_eq!(page.by("s3_objects_ignored_total", "kind")["too_old"], 1);
    assert_eq!((daemon.get("/healthz").0, daemon.get("/readyz").0, daemon.get("/x").0), (200, 200, 404));
    trail.wait_until_empty().await;
    let (status, log) = daemon.stop();
    assert!(status.success());
    let lines: Vec<serde_json::Value> = log.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    // In one commit, or in more on a machine that is busy.
    let committed = lines.iter().filter(|line| line["message"] == "committed");
    assert_eq!(committed.filter_map(|line| line["events"].as_u64()).sum::<u64>(), 4, "{log}");
    assert_eq!(number(&trail.lake(), "SELECT count(DISTINCT tree) AS n FROM log_files"), 4);
}
