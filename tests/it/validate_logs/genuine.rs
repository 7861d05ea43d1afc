//! The genuine AWS CLI on the same servers, so that what was recorded is known to be what it says today.

use std::process::Command;

use super::cases::cases;
use super::servers::run_apart;
use crate::python;
use crate::support;

/// A few cases of each kind: each run of the AWS CLI takes seconds.
const COMPARED: [&str; 8] = [
    "clean",
    "log-blank-lines",
    "digest-deleted-two",
    "gap-two",
    "backfill-log",
    "junk-stops-listing",
    "log-appended",
    "time-offset",
];

#[test]
fn the_genuine_aws_cli_says_the_same_today() {
    let python = python::environment("tests/oracle/requirements.txt");
    let aws = python.with_file_name("aws");
    for case in cases().iter().filter(|case| COMPARED.contains(&case.name.as_str())) {
        let mut genuine = Command::new(&python);
        genuine.arg(&aws).args(["cloudtrail", "validate-logs"]);
        for (name, _) in std::env::vars_os().filter(|(name, _)| name.to_string_lossy().starts_with("AWS_")) {
            genuine.env_remove(name);
        }
        let expected = run_apart(case.command(genuine, false));
        let found = run_apart(case.command(support::command(&["validate-logs"]), false));
        assert_eq!(found, expected, "{}", case.name);
    }
}
