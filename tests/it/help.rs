//! Every command explains itself.

use super::support::trailq;

/// The names of the commands that a help text lists.
fn commands(help: &str) -> Vec<String> {
    let list = help.lines().skip_while(|line| *line != "Commands:").skip(1);
    let list = list.take_while(|line| line.starts_with("  ")).filter(|line| !line.starts_with("   "));
    let names = list.map(|line| line.split_whitespace().next().unwrap().to_owned());
    names.filter(|name| name != "help").collect()
}

#[test]
fn every_command_has_help_with_its_usage() {
    let mut open = vec![Vec::<String>::new()];
    let mut seen = Vec::new();
    while let Some(path) = open.pop() {
        let mut arguments = path.clone();
        arguments.push("--help".to_owned());
        let run = trailq(&arguments).expect(0);
        let usage = [&["Usage: trailq".to_owned()][..], &path].concat().join(" ");
        assert!(run.stdout.contains(&usage) && run.stderr.is_empty(), "{}", run.stdout);
        let below = commands(&run.stdout);
        open.extend(below.iter().map(|name| [&path[..], std::slice::from_ref(name)].concat()));
        seen.push(path.join(" "));
    }
    for wanted in ["", "ingest", "sql", "query list", "query run", "query show", "generate"] {
        assert!(seen.iter().any(|name| name == wanted), "no {wanted:?} in {seen:?}");
    }
}

#[test]
fn the_version_is_that_of_the_package() {
    assert_eq!(trailq(&["--version"]).expect(0).stdout, concat!("trailq ", env!("CARGO_PKG_VERSION"), "\n"));
}

#[test]
fn a_command_that_does_not_exist_is_an_error() {
    let run = trailq(&["ingset", "x"]).expect(2);
    assert!(
        run.stderr.contains("unrecognized subcommand 'ingset'") && run.stderr.contains("'ingest'"),
        "{}",
        run.stderr
    );
}
