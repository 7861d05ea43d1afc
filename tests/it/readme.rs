//! README.md and docs: what they show is what happens.
//!
//! Each block marked `console` is run, command by command, in one directory that has `sample-logs`; the
//! screens must be what is printed, apart from numbers that differ by the machine ([`VOLATILE`]) and
//! from what a line `…` leaves out. Blocks marked `sql` are run over the sample lake, and the commands
//! in blocks marked `sh` must have options that exist.

use std::collections::BTreeSet;
use std::fs::File;
use std::path::{Path, PathBuf};
use std::process::Command;

/// What differs from run to run or from machine to machine: `#` is a number, `@` a unit of bytes.
/// Only the `#` and `@` are not compared; everything around them is.
const VOLATILE: [&str; 4] = [
    // How long something took.
    " in # s",
    "That took # s",
    "time                    # s  (# events/s, # @/s of JSON)",
    // One commit or several, as the threads happen to finish.
    "commits                 #, now at version #, # @ added",
];

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

fn read(name: &str) -> String {
    std::fs::read_to_string(root().join(name)).unwrap_or_else(|error| panic!("{name}: {error}"))
}

/// Every Markdown file that people read.
fn documents() -> Vec<String> {
    let mut names: Vec<String> = vec!["README.md", "benches/README.md", "sample-logs/README.md"]
        .into_iter()
        .map(str::to_owned)
        .collect();
    for entry in std::fs::read_dir(root().join("docs")).unwrap() {
        let name = entry.unwrap().file_name().into_string().unwrap();
        if name.to_lowercase().ends_with(".md") {
            names.push(format!("docs/{name}"));
        }
    }
    names
}

/// The blocks of `text` that are marked `language`: the number of their first line, and their lines.
fn blocks(text: &str, language: &str) -> Vec<(usize, Vec<String>)> {
    let mut found = Vec::new();
    let mut open: Option<(bool, usize, String, Vec<String>)> = None;
    for (number, line) in text.lines().enumerate() {
        let fence = line.trim_start().strip_prefix("```");
        match (&mut open, fence) {
            (None, Some(marked)) => {
                let indent = line[..line.len() - line.trim_start().len()].to_owned();
                open = Some((marked.trim() == language, number + 2, indent, Vec::new()));
            }
            (Some(_), Some("")) => {
                if let Some((true, number, _, lines)) = open.take() {
                    found.push((number, lines));
                }
            }
            (Some((_, _, indent, lines)), _) => {
                lines.push(line.strip_prefix(indent.as_str()).unwrap_or(line).to_owned());
            }
            (None, None) => {}
        }
    }
    assert!(open.is_none(), "a block of {language} does not end");
    found
}

/// A command as somebody types it, and what the document says is printed.
struct Screen {
    line: usize,
    command: String,
    shown: Vec<String>,
}

fn screens(text: &str) -> Vec<Screen> {
    let mut screens: Vec<Screen> = Vec::new();
    for (first, lines) in blocks(text, "console") {
        let mut typing = false;
        for (offset, line) in lines.into_iter().enumerate() {
            if let Some(command) = line.strip_prefix("$ ") {
                let command = command.replace("cargo run --release -- ", "trailq ");
                screens.push(Screen { line: first + offset, command, shown: Vec::new() });
                typing = true;
                continue;
            }
            let screen = screens.last_mut().expect("a console block begins with `$ `");
            if let Some(more) = line.strip_prefix("> ").filter(|_| typing) {
                screen.command = format!("{}\n{more}", screen.command);
            } else {
                typing = false;
                screen.shown.push(line);
            }
        }
    }
    screens
}

/// Runs a command as a shell does, and returns all that the terminal would show, in its order.
fn run(command: &str, directory: &Path) -> (String, bool) {
    let program = PathBuf::from(env!("CARGO_BIN_EXE_trailq"));
    let mut path = program.parent().unwrap().as_os_str().to_owned();
    path.push(":");
    path.push(std::env::var_os("PATH").unwrap_or_default());
    let printed = directory.join(".printed");
    let out = File::create(&printed).unwrap();
    let status = Command::new("sh")
        .args(["-c", command])
        .current_dir(directory)
        .env("PATH", path)
        .env_remove("TRAILQ_LAKE")
        .env_remove("TRAILQ_LOG")
        .stdin(std::process::Stdio::null())
        .stderr(out.try_clone().unwrap())
        .stdout(out)
        .status()
        .unwrap();
    let text = std::fs::read_to_string(&printed).unwrap();
    std::fs::remove_file(printed).unwrap();
    (text, status.success())
}

fn directory_with_samples() -> tempfile::TempDir {
    let directory = tempfile::tempdir().unwrap();
    std::os::unix::fs::symlink(root().join("sample-logs"), directory.path().join("sample-logs")).unwrap();
    directory
}

/// `line` with what is volatile in it replaced by the pattern's own `#` and `@`.
fn masked(line: &str) -> String {
    let mut out = String::new();
    let mut rest = line.trim_end();
    'next: while let Some(first) = rest.chars().next() {
        for pattern in VOLATILE {
            if let Some(length) = match_length(pattern, rest) {
                out.push_str(pattern);
                rest = &rest[length..];
                continue 'next;
            }
        }
        out.push(first);
        rest = &rest[first.len_utf8()..];
    }
    out
}

/// How much of the beginning of `text` is what `pattern` stands for.
fn match_length(pattern: &str, text: &str) -> Option<usize> {
    let mut rest = text;
    for wanted in pattern.chars() {
        let length = match wanted {
            '#' => {
                let number = rest.find(|c: char| !c.is_ascii_digit() && c != '.' && c != ',');
                // A comma or full stop behind a number is not part of it.
                rest[..number.unwrap_or(rest.len())].trim_end_matches(['.', ',']).len()
            }
            '@' => ["kB", "MB", "GB", "B"].iter().find(|unit| rest.starts_with(**unit))?.len(),
            plain => rest.strip_prefix(plain).map(|_| plain.len_utf8())?,
        };
        if length == 0 {
            return None;
        }
        rest = &rest[length..];
    }
    Some(text.len() - rest.len())
}

/// Whether `printed` is what `shown` says; a line `…` stands for any number of lines, one at least.
fn agrees(shown: &[String], printed: &[String]) -> bool {
    match shown.split_first() {
        None => printed.is_empty(),
        Some((gap, rest)) if gap.trim() == "…" => {
            (1..=printed.len()).any(|skipped| agrees(rest, &printed[skipped..]))
        }
        Some((line, rest)) => {
            printed.first().is_some_and(|first| masked(first) == masked(line)) && agrees(rest, &printed[1..])
        }
    }
}

fn lines(text: &str) -> Vec<String> {
    text.trim_end().lines().map(|line| line.trim_end().to_owned()).collect()
}

#[test]
fn screens_in_the_readme_are_what_is_printed() {
    let directory = directory_with_samples();
    let screens = screens(&read("README.md"));
    assert!(screens.len() >= 5, "the README shows {} screens", screens.len());
    for Screen { line, command, shown } in screens {
        let (printed, _) = run(&command, directory.path());
        let shown = lines(&shown.join("\n"));
        assert!(
            agrees(&shown, &lines(&printed)),
            "README.md, line {line}: $ {command}\n--- shown:\n{}\n--- printed:\n{printed}",
            shown.join("\n")
        );
    }
}

#[test]
fn sql_in_the_documents_finds_something_in_the_sample_lake() {
    let directory = directory_with_samples();
    let (printed, fine) =
        run("trailq ingest sample-logs --as s3://example-books-cloudtrail; true", directory.path());
    assert!(fine, "{printed}");
    let mut found = 0;
    for name in documents() {
        for (line, sql) in blocks(&read(&name), "sql") {
            for statement in sql.join("\n").split(';').filter(|statement| !statement.trim().is_empty()) {
                std::fs::write(directory.path().join("statement.sql"), statement).unwrap();
                let (printed, fine) = run("trailq sql -f statement.sql --format ndjson", directory.path());
                assert!(fine, "{name}, line {line}: {statement}\n{printed}");
                // The sample has no gap to tell of.
                let empty =
                    statement.contains("integrity_gaps") && printed.trim_start().starts_with("0 rows");
                assert!(printed.starts_with('{') || empty, "{name}, line {line}: no rows: {statement}");
                found += 1;
            }
        }
    }
    assert!(found >= 3, "only {found} statements in all documents");
}

#[test]
fn commands_in_the_documents_have_options_that_exist() {
    let directory = tempfile::tempdir().unwrap();
    let mut found = 0;
    for name in documents() {
        for (first, commands) in blocks(&read(&name), "sh") {
            let joined = commands.join("\n").replace("\\\n", " ");
            for (offset, command) in joined.lines().enumerate() {
                let command = command.split(" # ").next().unwrap().trim();
                let command = command.replace("cargo run --release -- ", "trailq ");
                if command.starts_with("trailq ") {
                    // Whatever is wrong before it is reported instead of the help.
                    let (printed, fine) = run(&format!("{command} --help"), directory.path());
                    assert!(fine, "{name}, line {}: {command}\n{printed}", first + offset);
                    found += 1;
                }
            }
        }
    }
    assert!(found >= 3, "only {found} commands in all documents");
}

#[test]
fn the_readme_names_every_subcommand() {
    let (help, _) = run("trailq --help", root());
    let commands = help.split("Commands:\n").nth(1).unwrap().split("\n\n").next().unwrap();
    // Deeper lines go on with what is said of a command.
    let lines = commands.lines().filter(|line| !line.starts_with("   "));
    let names: Vec<&str> = lines.filter_map(|line| line.split_whitespace().next()).collect();
    assert!(names.contains(&"ingest"), "{help}");
    let readme = read("README.md");
    for name in names.into_iter().filter(|name| *name != "help") {
        let spellings = [format!("trailq {name}"), format!("-- {name}")];
        assert!(
            spellings.iter().any(|text| readme.contains(text)),
            "README.md does not mention trailq {name}"
        );
    }
}

#[test]
fn every_column_is_in_the_documentation() {
    let directory = directory_with_samples();
    let schema = read("docs/schema.md");
    let (_, fine) =
        run("trailq ingest sample-logs --as s3://example-books-cloudtrail; true", directory.path());
    assert!(fine);
    for table in ["cloudtrail_logs", "log_files", "digests", "integrity_gaps", "quarantine"] {
        let (columns, fine) =
            run(&format!("trailq sql --format ndjson 'DESCRIBE {table}'"), directory.path());
        assert!(fine, "{columns}");
        let section = schema.split("\n## ").find(|section| section.starts_with(table)).unwrap();
        let described: Vec<&str> = columns
            .lines()
            .filter_map(|row| row.strip_prefix("{\"column_name\":\"")?.split('"').next())
            .collect();
        assert!(described.len() > 5, "{columns}");
        for column in described {
            let wanted = match column.rsplit_once('.') {
                None => format!("\n| `{column}` |"),
                Some((_, member)) => format!("`{member}`"),
            };
            assert!(section.contains(&wanted), "docs/schema.md lacks {table}.{column}");
        }
    }
}

#[test]
fn links_in_the_documents_lead_somewhere() {
    for name in documents() {
        let text = read(&name);
        for target in text.split("](").skip(1).map(|rest| rest.split(')').next().unwrap()) {
            if target.starts_with("https://") {
                continue;
            }
            let (file, anchor) = target.split_once('#').unwrap_or((target, ""));
            let path = if file.is_empty() {
                root().join(&name)
            } else {
                root().join(&name).parent().unwrap().join(file)
            };
            assert!(path.exists(), "{name} links to {target}, which is not there");
            if !anchor.is_empty() {
                let headings = anchors(&std::fs::read_to_string(&path).unwrap());
                assert!(headings.contains(anchor), "{name} links to {target}, a heading that is not there");
            }
        }
    }
}

/// The anchors that a forge makes of a document's headings.
fn anchors(text: &str) -> BTreeSet<String> {
    let headings = text.lines().filter(|line| line.starts_with('#'));
    let anchor = |heading: &str| -> String {
        let words = heading.trim_start_matches('#').trim().to_lowercase().replace(' ', "-");
        words.chars().filter(|c| c.is_alphanumeric() || matches!(c, '-' | '_')).collect()
    };
    headings.map(anchor).collect()
}

#[test]
fn only_what_is_volatile_is_masked() {
    assert_eq!(masked("9154 events in 0.21 s, as"), masked("9154 events in 13.4 s, as"));
    assert_ne!(masked("9154 events in 0.21 s, as"), masked("9155 events in 0.21 s, as"));
    assert_eq!(masked(" commits                 2, now at version 2, 1.18 MB added"), {
        " commits                 #, now at version #, # @ added"
    });
    assert_eq!(masked("1 row in 0.00 s"), masked("1 row in 1.50 s"));
    assert_ne!(masked("1 row in 0.00 s"), masked("2 rows in 0.00 s"));
    assert_ne!(masked("1 row in 0.00 s"), masked("1 row in the end"));
}

#[test]
fn a_screen_that_differs_is_noticed() {
    let agree = |shown: &str, printed: &str| agrees(&lines(shown), &lines(printed));
    assert!(agree("a\nb in 1 s", "a\nb in 2 s\n"));
    assert!(!agree("a\nb", "a\nc"));
    assert!(!agree("a", "a\nb"));
    assert!(!agree("a\nb", "a"));
    assert!(agree("a\n…", "a\nb\nc"));
    assert!(agree("a\n…\nd", "a\nb\nc\nd"));
    assert!(!agree("a\n…\nd", "a\nb\nc"));
    assert!(!agree("a\n…", "a"));
}

#[test]
fn a_console_block_is_taken_apart() {
    let text = "```console\n$ cargo run --release -- demo\nout\n> more\n$ trailq sql \"a\n> b\"\n```\n```sh\n$ no\n```";
    let taken = screens(text);
    assert_eq!(taken.len(), 2);
    assert_eq!((taken[0].line, taken[0].command.as_str()), (2, "trailq demo"));
    assert_eq!(taken[0].shown, ["out", "> more"]);
    assert_eq!((taken[1].line, taken[1].command.as_str()), (5, "trailq sql \"a\nb\""));
}
