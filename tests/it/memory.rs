//! Memory is bounded by what the user says, not by how much there is to ingest.

use super::python::run_script;
use super::support::{Folder, trailq};

/// The limit, what the process takes before it has read anything, and what the allocator keeps: about 100 MB
/// here. Generous, so that only memory that grows with the input exceeds it.
const BOUND_MB: u64 = 200;

#[test]
fn peak_memory_stays_near_the_limit_whatever_the_input() {
    let folder = Folder::new();
    let logs = folder.text("logs");
    let many = ["--days", "7", "--accounts", "4", "--events", "200000", "--no-digests"];
    trailq(&[&["generate", "--out", &logs][..], &many].concat()).expect(0);
    let binary = env!("CARGO_BIN_EXE_trailq");
    let limit = ["--memory-limit", "64", "--threads", "2"];
    let run = run_script(
        "peak.py",
        &[&[binary, "ingest", "--lake", &folder.lake()][..], &limit, &[&logs]].concat(),
    );
    assert_eq!(run.summary("events added"), 200_000);
    let peak = run.summary("peak") / 1024;
    eprintln!("peak memory: {peak} MB");
    assert!(peak < BOUND_MB, "{peak} MB");
}
