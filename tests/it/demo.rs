//! `trailq demo`: the first thing that a newcomer runs.

use super::support::{Folder, rows, trailq};

#[test]
fn the_demo_tells_the_whole_story() {
    let run = trailq(&["demo"]).expect(0);
    for told in [
        "469 log files and 648 signed digests",
        "9154 events in",
        "648 of 648 digests are valid",
        "469 of 469 log files are as CloudTrail",
    ] {
        assert!(run.stdout.contains(told), "no {told:?} in\n{}", run.stdout);
    }
    for number in 1..=5 {
        assert!(run.stdout.contains(&format!("\nQuestion {number}. ")), "{}", run.stdout);
    }
    assert_eq!(run.stdout.matches("    SELECT ").count(), 5, "{}", run.stdout);
    // What the intruder is known by, in the answers.
    for answer in ["203.0.113.66", "CreateAccessKey", "StopLogging", "348"] {
        assert!(run.stdout.contains(answer), "no {answer:?} in\n{}", run.stdout);
    }
    assert_eq!(run.stderr, "");
}

#[test]
fn the_lake_of_the_demo_can_be_kept_and_asked() {
    let folder = Folder::new();
    let kept = folder.text("kept");
    trailq(&["demo", "--keep", &kept]).expect(0);
    let lake = format!("{kept}/lake");
    let answer = rows(&lake, "SELECT count(*) AS n, count(DISTINCT log_file) AS files FROM cloudtrail_logs");
    assert_eq!(answer, [serde_json::json!({"n": 9154, "files": 469})]);
    let again = trailq(&["demo", "--keep", &kept]).expect(2);
    assert!(again.stderr.contains(&kept), "{}", again.stderr);
}
