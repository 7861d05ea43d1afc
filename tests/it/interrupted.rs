//! Ingest that is killed, stopped, or run twice at once: each event is in the lake once all the same.

use std::os::unix::process::ExitStatusExt as _;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use super::support::{
    Folder, Place, Run, assert_same_places, command, corpus, ingest, number, places_in_lake,
};

/// Starts an ingest of the corpus that commits often: little memory, so small batches.
fn start(lake: &str) -> Child {
    let options = ["ingest", "--lake", lake, "--memory-limit", "32", "--threads", "1", &corpus().dir];
    command(&options).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap()
}

/// The number of commits to `events` that are in the lake.
fn commits(folder: &Folder) -> usize {
    std::fs::read_dir(folder.path("lake/events/_delta_log")).map_or(0, Iterator::count)
}

fn wait_for_commits(folder: &Folder, wanted: usize) {
    let started = Instant::now();
    while commits(folder) < wanted {
        assert!(started.elapsed() < Duration::from_mins(1), "no commit in a minute");
        std::thread::sleep(Duration::from_millis(1));
    }
}

/// Checks that no place is there twice, in the events and in the ledger.
fn assert_nothing_twice(lake: &str) -> Vec<Place> {
    let places = places_in_lake(lake);
    let twice = places.windows(2).find(|pair| pair[0] == pair[1]);
    assert_eq!(twice, None);
    let ledger = "SELECT count(*) - count(DISTINCT log_file) AS n FROM log_files";
    assert_eq!(number(lake, ledger), 0);
    let counted = number(lake, "SELECT coalesce(sum(event_count), 0) AS n FROM log_files");
    assert_eq!(counted, places.len() as u64, "the ledger counts what is there");
    places
}

fn assert_complete(lake: &str) {
    assert_same_places(&assert_nothing_twice(lake), &corpus().places);
    assert_eq!(number(lake, "SELECT count(*) AS n FROM log_files"), corpus().files as u64);
}

#[test]
fn killed_at_any_moment_and_run_again_each_event_is_there_once() {
    let folder = Folder::new();
    let lake = folder.lake();
    let mut killed = 0;
    for round in 0..8u64 {
        let mut child = start(&lake);
        if round % 2 == 0 {
            // Right after a commit: the ledger may lag behind.
            let wanted = commits(&folder) + 1 + usize::from(round > 0);
            wait_for_commits(&folder, wanted.max(2));
        } else {
            std::thread::sleep(Duration::from_millis(17 * round));
        }
        child.kill().unwrap();
        killed += u32::from(child.wait().unwrap().signal() == Some(9));
        let there = if commits(&folder) > 0 { assert_nothing_twice(&lake).len() } else { 0 };
        assert!(there < corpus().places.len(), "round {round} left nothing to kill");
    }
    assert_eq!(killed, 8);
    let run = ingest(&lake, &[&corpus().dir]).expect(0);
    assert!(run.summary("already in the lake") > 0 && run.summary("new in the lake") > 0, "{}", run.stdout);
    assert_complete(&lake);
}

#[test]
fn a_signal_ends_the_run_with_130_and_what_was_read_is_committed() {
    for signal in ["-INT", "-TERM"] {
        let folder = Folder::new();
        let lake = folder.lake();
        let child = start(&lake);
        wait_for_commits(&folder, 2);
        let sent = Command::new("kill").args([signal, &child.id().to_string()]).status().unwrap();
        assert!(sent.success());
        let run = Run::from(child.wait_with_output().unwrap()).expect(130);
        assert!(run.stdout.contains("Run the same command again to go on."), "{}", run.stdout);
        let (files, events) = (run.summary("new in the lake"), run.summary("events added"));
        assert!(files > 0 && files < corpus().files as u64, "stopped after {files} files");
        assert_eq!(assert_nothing_twice(&lake).len() as u64, events);
        let rest = ingest(&lake, &[&corpus().dir]).expect(0);
        assert_eq!(rest.summary("already in the lake"), files);
        assert_complete(&lake);
    }
}

#[test]
fn two_processes_with_the_same_sources_put_each_event_in_once() {
    let folder = Folder::new();
    let lake = folder.lake();
    let both = [start(&lake), start(&lake)];
    let runs = both.map(|child| Run::from(child.wait_with_output().unwrap()).expect(0));
    let sum = |name: &str| runs.iter().map(|run| run.summary(name)).sum::<u64>();
    assert_eq!(sum("new in the lake"), corpus().files as u64);
    assert_eq!(sum("already in the lake"), corpus().files as u64);
    assert_eq!(sum("events added"), corpus().places.len() as u64);
    assert_complete(&lake);
}
