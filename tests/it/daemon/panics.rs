//! A reader that panics, which must not be the end of the daemon or of anybody else's log file.

use super::super::support::{any_key, event_ids, log_file, number, rows, trailq};
use super::setup::Trail;

#[tokio::test(flavor = "multi_thread")]
async fn a_log_file_that_makes_the_reader_panic_is_quarantined_and_can_be_replayed() {
    let trail = Trail::new("panics", 10).await;
    let names = ["a", "b", "c", "d", "e"];
    for name in names {
        trail.put(&any_key(name), log_file(&[name, &format!("{name}-2")])).await;
    }
    // One thread, and the third of its files: others are in the same batch before and after it.
    let fail_point = ("TRAILQ_FAIL_POINT", "panic_in_reader:3");
    let daemon = trail.daemon_with(&["--threads", "1"], &[fail_point]);
    trail.wait_until_empty().await;
    let settled = |page: &super::setup::Page| page.sum("sqs_messages_inflight") == 0;
    let page = daemon.wait_for("settled", settled).await;
    page.assert_balanced();
    assert_eq!((page.objects("committed"), page.objects("quarantined")), (4, 1));
    // It goes on.
    trail.put(&any_key("f"), log_file(&["f"])).await;
    daemon.wait_for("committed", |page| page.objects("committed") == 5).await;
    let (status, log) = daemon.stop();
    assert!(status.success() && log.contains("the reader panicked: please report it"), "{log}");

    let lake = trail.lake();
    assert_eq!(event_ids(&lake).len(), 9, "two of each but one, and f");
    let quarantined = rows(&lake, "SELECT reason, detail, log_file FROM quarantine");
    assert_eq!(quarantined.len(), 1);
    assert_eq!(quarantined[0]["reason"], "reader_panicked");
    assert!(quarantined[0]["detail"].as_str().unwrap().contains("TRAILQ_FAIL_POINT"));
    // Its bytes are kept, and a reader that is up to it has them.
    trail.s3.delete_object().bucket(&trail.bucket).key(any_key("c")).send().await.unwrap();
    trailq(&["quarantine", "replay", "--reason", "reader_panicked", "--lake", &lake]).expect(0);
    let mut expected: Vec<String> =
        names.iter().flat_map(|name| [name.to_string(), format!("{name}-2")]).collect();
    expected.push("f".to_owned());
    assert_eq!(event_ids(&lake), expected);
    assert_eq!(number(&lake, "SELECT count(*) AS n FROM log_files WHERE status = 'committed'"), 6);
}

#[test]
fn ingest_sets_aside_what_makes_the_reader_panic_and_keeps_the_rest() {
    use super::super::support::{Folder, Run, command};
    let folder = Folder::new();
    for name in ["a", "b", "c"] {
        folder.write(&format!("logs/{}", any_key(name)), &log_file(&[name]));
    }
    let (lake, logs) = (folder.lake(), folder.text("logs"));
    let mut ingest = command(&["ingest", "--lake", &lake, "--threads", "1", &logs]);
    ingest.env("TRAILQ_FAIL_POINT", "panic_in_reader:2");
    Run::from(ingest.output().unwrap()).expect(1);
    assert_eq!((event_ids(&lake).len(), rows(&lake, "SELECT * FROM quarantine").len()), (2, 1));
}
