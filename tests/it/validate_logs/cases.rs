//! Every way to damage a trail, and the AWS CLI's words for it, byte for byte.

use std::process::Command;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Mutex, OnceLock};

use super::servers::{Trail, run_apart, run_merged, servers};
use crate::support::{self, repository};

/// Cases whose text on standard error is that of the CLI's framework, or of Python's HTTP client and says how many
/// bytes came before the connection broke. Of these the header and the exit status are compared.
const FRAMEWORK: [&str; 2] = ["no-arguments", "digest-cut"];

/// A line of `cases.txt`.
pub(super) struct Case {
    pub(super) name: String,
    pub(super) arguments: Vec<String>,
    pub(super) environment: Vec<(String, String)>,
    pub(super) trail: Trail,
}

/// All cases, each with its trail.
pub(super) fn cases() -> &'static [Case] {
    static CASES: OnceLock<Vec<Case>> = OnceLock::new();
    CASES.get_or_init(|| {
        let text = std::fs::read_to_string(repository().join("tests/oracle/cases.txt")).unwrap();
        let lines = text.lines().filter(|line| !line.trim().is_empty() && !line.starts_with('#'));
        lines.map(case).collect()
    })
}

fn case(line: &str) -> Case {
    let [name, make, arguments] = line.splitn(3, '|').collect::<Vec<_>>()[..] else { panic!("{line}") };
    let name = name.trim().to_owned();
    let trail = servers().make(&name, make.trim());
    let words: Vec<String> = arguments.split_whitespace().map(str::to_owned).collect();
    let is_variable =
        |word: &&String| word.starts_with(|c: char| c.is_ascii_uppercase()) && word.contains('=');
    let variables = words.iter().take_while(is_variable).count();
    let environment: Vec<(String, String)> = words[..variables]
        .iter()
        .map(|word| word.split_once('=').unwrap())
        .map(|(n, v)| (n.into(), v.into()))
        .collect();
    let mut arguments = words[variables..].to_vec();
    let set = |name: &str| environment.iter().any(|(known, _)| known == name);
    let usual = [
        ("--trail-arn", trail.arn.as_str()),
        ("--start-time", "2024-03-01T00:00:00Z"),
        ("--end-time", "2024-03-01T07:00:00Z"),
        ("--region", "us-east-1"),
    ];
    for (option, value) in usual {
        let wanted = !set("NODEFAULTS") && (option != "--region" || !set("NOREGION"));
        if wanted && !arguments.iter().any(|argument| argument == option) {
            arguments.extend([option.to_owned(), value.to_owned()]);
        }
    }
    for argument in &mut arguments {
        if !argument.starts_with("s3") && !argument.starts_with("ct-") {
            *argument = argument.replace('_', " ");
        }
    }
    Case { name, arguments, environment, trail }
}

impl Case {
    /// `validate-logs` of a program, with the case's arguments.
    pub(super) fn command(&self, mut command: Command, verbose: bool) -> Command {
        command.args(&self.arguments).args(verbose.then_some("--verbose"));
        command.envs(self.trail.environment());
        command.envs(self.environment.iter().filter(|(name, _)| name.starts_with("AWS_")).cloned());
        command
    }

    /// With `--verbose` and everything in one, and without and apart.
    fn expected(&self) -> (String, String) {
        let path = repository().join("tests/oracle/expected").join(format!("{}.txt", self.name));
        let text = std::fs::read_to_string(path).unwrap();
        let (verbose, quiet) = text.split_once("=== without --verbose\n").unwrap();
        (verbose.to_owned(), quiet.to_owned())
    }
}

/// Header and exit status, which is all that matters of some cases.
fn essence(output: &str) -> String {
    let header = output.lines().next().filter(|line| line.starts_with("Validating log files"));
    let status = output.lines().last().unwrap();
    format!("{}\n{status}\n", header.unwrap_or_default())
}

fn difference(case: &Case, verbose: bool) -> Option<String> {
    let command = case.command(support::command(&["validate-logs"]), verbose);
    let (mut found, expected) = if verbose {
        (run_merged(command), case.expected().0)
    } else {
        (run_apart(command), case.expected().1)
    };
    let mut expected = expected;
    if FRAMEWORK.contains(&case.name.as_str()) {
        (found, expected) = (essence(&found), essence(&expected));
    }
    let what = if verbose { "verbose" } else { "quiet" };
    (found != expected).then(|| format!("{} ({what})\n--- expected\n{expected}--- found\n{found}", case.name))
}

#[test]
fn all_cases_read_as_the_aws_cli_writes_them() {
    let cases = cases();
    assert_eq!(cases.len(), 116);
    let (next, differences) = (AtomicUsize::new(0), Mutex::new(Vec::new()));
    std::thread::scope(|scope| {
        for _ in 0..6 {
            scope.spawn(|| {
                while let Some(case) = cases.get(next.fetch_add(1, Ordering::Relaxed)) {
                    let found = [true, false].into_iter().filter_map(|verbose| difference(case, verbose));
                    differences.lock().unwrap().extend(found);
                }
            });
        }
    });
    let differences = differences.into_inner().unwrap();
    assert!(differences.is_empty(), "{} differences\n{}", differences.len(), differences.join("\n"));
}
