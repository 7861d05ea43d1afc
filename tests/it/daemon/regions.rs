//! Several queues and buckets, in several regions, and one daemon that follows them all.

use std::fmt::Write as _;
use std::time::Duration;

use super::super::fake_aws::{FakeAws, FakeQueue, Faults};
use super::super::support::{Folder, any_key, command, event_ids, log_file};
use super::s3_event;
use super::setup::{Page, Running};

#[tokio::test(flavor = "multi_thread")]
async fn one_daemon_follows_queues_and_buckets_of_several_regions() {
    let (aws, folder) = (FakeAws::start(Faults::none(0)), Folder::new());
    let mut text = format!("lake = '{}'\n", folder.lake());
    for region in ["eu-west-1", "us-east-1", "ap-south-1"] {
        let (queue, bucket) = (format!("queue-{region}"), format!("logs-{region}"));
        let mut theirs = FakeQueue::new(Duration::from_secs(30));
        theirs.region = Some(region.to_owned());
        let url = aws.create_queue(&queue, theirs);
        let key = any_key(&region.replace('-', ""));
        aws.put(&bucket, &key, log_file(&[region]));
        // Nobody says where the bucket is: it is found out.
        aws.with_bucket(&bucket, |bucket| bucket.region = Some(region.to_owned()));
        aws.send(&queue, &s3_event(&bucket, &[&key]));
        let queue = format!("[[queue]]\nurl = '{url}'\nregion = '{region}'");
        writeln!(text, "{queue}\n[[bucket]]\nname = '{bucket}'").unwrap();
    }
    let settings = folder.write("trailq.toml", text.as_bytes());
    let mut command = command(&["daemon", "--config", &settings]);
    command.envs(aws.environment());
    let daemon = Running::start(command, &folder);
    let page = daemon.wait_for("committed", |page| page.objects("committed") == 3).await;
    page.assert_balanced();
    let settled = |page: &Page| page.sum("sqs_messages_inflight") == 0;
    let deleted = daemon.wait_for("settled", settled).await.by("sqs_messages_deleted_total", "queue");
    assert_eq!((deleted.len(), deleted.values().sum::<u64>()), (3, 3), "{deleted:?}");
    assert!(daemon.stop().0.success());
    assert_eq!(event_ids(&folder.lake()), ["ap-south-1", "eu-west-1", "us-east-1"]);
}
