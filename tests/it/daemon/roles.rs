//! Queues and buckets that only certain roles may use, each with an external id of its own.

use std::time::Duration;

use super::super::fake_aws::{FakeAws, FakeQueue, Faults};
use super::super::support::{Folder, Run, any_key, command, event_ids, log_file, rows};
use super::s3_event;
use super::setup::Running;

/// The made-up AWS: a queue and two buckets of others, each with its role, and a bucket of our own.
fn world() -> (FakeAws, String) {
    let aws = FakeAws::start(Faults::none(0));
    let mut queue = FakeQueue::new(Duration::from_secs(30));
    queue.role = Some("queue-reader".to_owned());
    let queue_url = aws.create_queue("theirs", queue);
    for (bucket, role, event) in
        [("theirs-a", Some("reader-a"), "a"), ("theirs-b", Some("reader-b"), "b"), ("ours", None, "o")]
    {
        aws.put(bucket, &any_key("x"), log_file(&[event]));
        aws.with_bucket(bucket, |bucket| bucket.role = role.map(str::to_owned));
        aws.send("theirs", &s3_event(bucket, &[&any_key("x")]));
    }
    for (role, external_id) in [("queue-reader", "q,1"), ("reader-a", "a,b=c,"), ("reader-b", "b")] {
        aws.create_role(role, external_id);
    }
    (aws, queue_url)
}

/// Settings that name the roles; `external_id` is that of the first bucket.
fn settings(folder: &Folder, queue_url: &str, external_id: &str) -> String {
    let role = |name: &str| format!("role_arn = 'arn:aws:iam::444455556666:role/{name}'");
    let text = format!(
        "lake = '{}'\nregion = 'us-east-1'\n[[queue]]\nurl = '{queue_url}'\n{}\nexternal_id = 'q,1'\n\
         [[bucket]]\nname = 'theirs-a'\n{}\nexternal_id = '{external_id}'\n\
         [[bucket]]\nname = 'theirs-b'\n{}\nexternal_id = 'b'\n[[bucket]]\nname = 'ours'\n",
        folder.lake(),
        role("queue-reader"),
        role("reader-a"),
        role("reader-b"),
    );
    folder.write("trailq.toml", text.as_bytes())
}

fn daemon(aws: &FakeAws, folder: &Folder, settings: &str) -> Running {
    let mut command = command(&["daemon", "--config", settings]);
    command.envs(aws.environment());
    Running::start(command, folder)
}

#[tokio::test(flavor = "multi_thread")]
async fn each_queue_and_bucket_is_used_by_its_own_role_with_its_external_id() {
    let ((aws, queue_url), folder) = (world(), Folder::new());
    let daemon = daemon(&aws, &folder, &settings(&folder, &queue_url, "a,b=c,"));
    let page = daemon.wait_for("committed", |page| page.objects("committed") == 3).await;
    page.assert_balanced();
    assert!(daemon.stop().0.success());
    assert_eq!(event_ids(&folder.lake()), ["a", "b", "o"]);
    assert_eq!(aws.with_queue("theirs", |queue| queue.len()), 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_wrong_external_id_costs_only_its_bucket_and_is_told() {
    let ((aws, queue_url), folder) = (world(), Folder::new());
    let daemon = daemon(&aws, &folder, &settings(&folder, &queue_url, "a"));
    let returned = |page: &super::setup::Page| page.sum("sqs_messages_returned_total");
    let wanted = |page: &super::setup::Page| page.objects("committed") == 2 && returned(page) >= 1;
    daemon.wait_for("committed", wanted).await.assert_balanced();
    let (status, log) = daemon.stop();
    assert!(status.success() && log.contains("AssumeRole") && log.contains("theirs-a"), "{log}");
    assert_eq!(event_ids(&folder.lake()), ["b", "o"]);
}

#[test]
fn other_commands_read_buckets_by_the_roles_of_the_daemons_settings() {
    let ((aws, queue_url), folder) = (world(), Folder::new());
    let settings = settings(&folder, &queue_url, "a,b=c,");
    let run = |options: &[&str]| {
        let mut command = command(options);
        Run::from(command.envs(aws.environment()).output().unwrap())
    };
    let (lake, copied) = (folder.lake(), folder.text("metadata.json"));
    for command in [
        &["ingest", "s3://theirs-a", "--lake", &lake][..],
        &["reconcile", "s3://theirs-a"],
        &["collect-metadata", "s3://theirs-a", "--to", &copied],
    ] {
        let denied = run(command).expect(2);
        assert!(denied.stderr.contains("AccessDenied"), "{command:?}: {}", denied.stderr);
    }
    // The settings' region is the one to start from, and none that log files must be of.
    run(&["ingest", "s3://theirs-a", "s3://ours", "--config", &settings]).expect(0);
    let bucket = r"name=theirs-b,role_arn=arn:aws:iam::444455556666:role/reader-b,external_id=b";
    run(&["ingest", "s3://theirs-b", "--lake", &lake, "--bucket", bucket]).expect(0);
    assert_eq!(event_ids(&lake), ["a", "b", "o"]);
    aws.put("theirs-a", &any_key("late"), log_file(&["late"]));
    let told = run(&["reconcile", "s3://theirs-a", "--config", &settings, "--repair"]);
    assert!(told.code < Some(2), "{}", told.stderr);
    assert_eq!(event_ids(&lake), ["a", "b", "late", "o"]);
    run(&["collect-metadata", "s3://theirs-a", "--to", &copied, "--config", &settings]).expect(0);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_replay_fetches_again_by_the_roles_of_the_daemons_settings() {
    let ((aws, queue_url), folder) = (world(), Folder::new());
    let settings = settings(&folder, &queue_url, "a,b=c,");
    aws.send("theirs", &s3_event("theirs-a", &[&any_key("late")]));
    let mut command_line = command(&["daemon", "--config", &settings, "--max-receive-count", "1"]);
    command_line.envs(aws.environment());
    let daemon = Running::start(command_line, &folder);
    daemon.wait_for("quarantined", |page| page.objects("quarantined") == 1).await;
    assert!(daemon.stop().0.success());
    aws.put("theirs-a", &any_key("late"), log_file(&["late"]));
    let replay = |more: &[&str]| {
        let options = ["quarantine", "replay", "--reason", "missing", "--refetch"];
        let mut command = command(&[&options[..], more].concat());
        Run::from(command.envs(aws.environment()).output().unwrap())
    };
    let denied = replay(&["--lake", &folder.lake()]).expect(1);
    assert!(denied.stdout.contains("not_fetched") && denied.stdout.contains("denied"), "{}", denied.stdout);
    replay(&["--config", &settings]).expect(0);
    assert_eq!(event_ids(&folder.lake()), ["a", "b", "late", "o"]);
    assert_eq!(rows(&folder.lake(), "SELECT * FROM log_files WHERE status = 'quarantined'").len(), 0);
}
