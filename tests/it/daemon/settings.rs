//! Settings: one list of them, four places where they may stand.

use super::super::support::{Folder, Run, command, repository, trailq};
use super::setup::Trail;
use crate::aws;

/// A line of `--check` about a setting: its value and where it is from.
fn setting(run: &Run, name: &str) -> (String, String) {
    let line = run.stdout.lines().find(|line| line.split_whitespace().next() == Some(name));
    let line = line.unwrap_or_else(|| panic!("no {name} in\n{}", run.stdout));
    let mut words = line.split_whitespace().skip(1);
    (words.next().unwrap().to_owned(), words.next().unwrap().to_owned())
}

#[test]
fn a_flag_beats_the_environment_which_beats_the_file_which_beats_the_default() {
    let folder = Folder::new();
    let file = folder.write(
        "trailq.toml",
        b"wait_time = 7\nbatch_age = '2m'\nmemory_limit = 99\nmax_records = 77\nlake = '/dev/null/at/all'\n\
          [[queue]]\nurl = 'https://q.example/1/a'\nexternal_id = 'our-secret'\n[[bucket]]\nname = 'logs'\n",
    );
    let mut run = command(&[
        "daemon",
        "--check",
        "--config",
        &file,
        "--wait-time",
        "5",
        "--endpoint",
        "http://127.0.0.1:9",
    ]);
    run.envs([("TRAILQ_WAIT_TIME", "6"), ("TRAILQ_BATCH_AGE", "90s")]);
    run.envs([("AWS_ACCESS_KEY_ID", "x"), ("AWS_SECRET_ACCESS_KEY", "x"), ("AWS_MAX_ATTEMPTS", "1")]);
    let run = Run::from(run.output().unwrap()).expect(1);
    assert_eq!(setting(&run, "wait_time"), ("5".into(), "--wait-time".into()));
    assert_eq!(setting(&run, "batch_age"), ("90s".into(), "TRAILQ_BATCH_AGE".into()));
    assert_eq!(setting(&run, "memory_limit"), ("99".into(), file.clone()));
    assert_eq!(setting(&run, "max_records"), ("77".into(), file.clone()));
    assert_eq!(setting(&run, "bucket"), ("name=logs".into(), file.clone()));
    assert_eq!(setting(&run, "max_receive_count"), ("3".into(), "default".into()));
    assert!(setting(&run, "queue_url").0.contains("external_id=(set)") && !run.stdout.contains("secret"));
    for failed in
        ["FAILED  queue https://q.example/1/a", "FAILED  bucket logs", "sqs:ReceiveMessage", "s3:GetObject"]
    {
        assert!(run.stdout.contains(failed), "{failed}\n{}", run.stdout);
    }
}

#[test]
fn a_setting_that_does_not_exist_or_has_no_such_value_is_an_error_that_names_it() {
    let folder = Folder::new();
    for (text, told) in [
        ("wait_tim = 3", "line 1: there is no setting \"wait_tim\"; do you mean \"wait_time\"?"),
        ("\n[[queue]]\nurls = 'x'", "line 2: [[queue]] has no key \"urls\"; do you mean \"url\"?"),
        ("foreign_messages = 'burn'", "invalid value 'burn' for '--foreign-messages <WHAT>'"),
        ("batch_age = 'soon'", "invalid value 'soon' for '--batch-age <TIME>'"),
        ("memory_limit = 1", "1 is not in 64.."),
        ("a = ", "line 1"),
        ("bucket = 'logs'", "no queue: name it by --queue-url, TRAILQ_QUEUE_URL or queue_url"),
        ("queue_url = 'https://q.example/1/a'", "no bucket: name those that may be read by --bucket"),
    ] {
        let file = folder.write("trailq.toml", text.as_bytes());
        let run = trailq(&["daemon", "--config", &file]).expect(2);
        assert!(run.stderr.contains(told), "{text}: {}", run.stderr);
    }
    let run = trailq(&["daemon", "--config", "/no/such/file"]).expect(2);
    assert!(run.stderr.contains("reading the configuration file /no/such/file"), "{}", run.stderr);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_check_says_that_all_is_well_and_leaves_nothing_behind() {
    let trail = Trail::new("checked", 10).await;
    let lake = trail.lake();
    let places =
        ["--queue-url", &trail.queue_url, "--bucket", "checked", "--lake", &lake, "--look-up-keys", "false"];
    let check = [&["daemon", "--check"][..], &places].concat();
    let run = aws::trailq(&check).expect(0);
    for told in
        ["ok      queue", "ok      bucket checked", "ok      lake", "ok      public keys", "All is well"]
    {
        assert!(run.stdout.contains(told), "{told}\n{}", run.stdout);
    }
    let parquet = |folder: &str| glob::glob(&format!("{lake}/{folder}/**/*.parquet")).unwrap().count();
    assert_eq!((parquet("events"), parquet("log_files")), (0, 0));
    let run = aws::trailq(&[&check[..], &["--bucket", "not-there"]].concat()).expect(1);
    assert!(
        run.stdout.contains("FAILED  bucket not-there") && run.stdout.contains("1 failed."),
        "{}",
        run.stdout
    );
}

/// The rows of the settings table in the documentation: flag, variable and default.
fn documented() -> Vec<[String; 3]> {
    let text = std::fs::read_to_string(repository().join("docs/daemon.md")).unwrap();
    let rows = text.lines().filter(|line| line.starts_with("| `--"));
    rows.map(|row| {
        let mut cells = row.split('|').skip(1).map(|cell| cell.trim().replace('`', ""));
        [(); 3].map(|()| cells.next().unwrap())
    })
    .collect()
}

#[test]
fn the_documentation_lists_every_setting_with_its_variable_and_default() {
    let help = command(&["daemon", "--help"]).env("COLUMNS", "1000").output().unwrap();
    let help = String::from_utf8(help.stdout).unwrap();
    let mut flags = Vec::new();
    let mut lines = help.lines().peekable();
    while let Some(line) = lines.next() {
        let Some(flag) = line.trim_start().strip_prefix("--") else { continue };
        let flag = format!("--{}", flag.split([' ', '[']).next().unwrap());
        let mut about = String::new();
        while let Some(more) = lines.next_if(|next| !next.trim().is_empty()) {
            about.push_str(more.trim());
            about.push(' ');
        }
        while let Some(more) = lines.next_if(|next| next.starts_with("          ") || next.trim().is_empty())
        {
            about.push_str(more.trim());
            about.push(' ');
        }
        let part =
            |name: &str| about.split_once(name).map(|(_, rest)| rest.split(']').next().unwrap().to_owned());
        let variable = part("[env: ").map(|variable| variable.trim_end_matches('=').to_owned());
        flags.push([flag, variable.unwrap_or_default(), part("[default: ").unwrap_or_default()]);
    }
    flags.retain(|[flag, ..]| !matches!(flag.as_str(), "--help" | "--version" | "--check"));
    assert!(flags.len() > 30, "{flags:?}");
    let mut documented = documented();
    flags.sort();
    documented.sort();
    for (flag, row) in flags.iter().zip(&documented) {
        assert_eq!(flag, row, "--help and docs/daemon.md");
    }
    assert_eq!(flags.len(), documented.len());
}
