//! `trailq sql` and `trailq query`, run as a person would.

use std::io::Write;
use std::process::{Command, Output, Stdio};

use super::support::{Folder, ingest, log_file, rows};

fn trailq(arguments: &[&str]) -> Output {
    trailq_reading(arguments, "")
}

fn trailq_reading(arguments: &[&str], input: &str) -> Output {
    let mut child = Command::new(env!("CARGO_BIN_EXE_trailq"))
        .args(arguments)
        .env_remove("TRAILQ_LAKE")
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    // A command that does not read its input may have ended before it is written.
    let _ = child.stdin.take().unwrap().write_all(input.as_bytes());
    child.wait_with_output().unwrap()
}

fn stdout(output: &Output) -> String {
    assert!(output.status.success(), "{}", stderr(output));
    String::from_utf8(output.stdout.clone()).unwrap()
}

fn stderr(output: &Output) -> String {
    String::from_utf8(output.stderr.clone()).unwrap()
}

#[test]
fn statements_come_from_the_argument_a_file_or_standard_input() {
    let folder = tempfile::tempdir().unwrap();
    let file = |name: &str, text: &str| {
        let path = folder.path().join(name);
        std::fs::write(&path, text).unwrap();
        path.to_str().unwrap().to_owned()
    };
    let (first, second) = (file("a.sql", "SELECT 1 AS a -- end"), file("b.sql", "SELECT 2 AS b;"));
    assert_eq!(stdout(&trailq(&["sql", "SELECT 1 AS a"])), "a\r\n1\r\n");
    assert_eq!(stdout(&trailq(&["sql", "-f", &first, "-f", &second])), "a\r\n1\r\nb\r\n2\r\n");
    assert_eq!(stdout(&trailq_reading(&["sql"], "SELECT 3 AS c")), "c\r\n3\r\n");
}

#[test]
fn the_footer_goes_to_standard_error() {
    let output = trailq(&["sql", "SELECT * FROM (VALUES (1), (2)) AS t(x)", "--format", "ndjson"]);
    assert_eq!(stdout(&output), "{\"x\":1}\n{\"x\":2}\n");
    assert!(stderr(&output).starts_with("2 rows in 0."), "{}", stderr(&output));
}

#[test]
fn an_error_shows_the_place_and_exits_with_2() {
    let output = trailq(&["sql", "SELECT 1;\nSELECT lenth('x')"]);
    assert_eq!(output.status.code(), Some(2));
    let expected = "error: FUNCTION_NOT_FOUND: Function 'lenth' not registered (line 2, column 8)
  2 | SELECT lenth('x')
    |        ^^^^^
  did you mean: length";
    assert!(stderr(&output).contains(expected), "{}", stderr(&output));
}

#[test]
fn an_error_in_one_of_several_files_names_the_file() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("bad.sql");
    std::fs::write(&path, "SELECT 1 +").unwrap();
    let path = path.to_str().unwrap();
    let output = trailq(&["sql", "-f", path, "-f", path]);
    assert_eq!(output.status.code(), Some(2));
    assert!(
        stderr(&output).contains("bad.sql: SYNTAX_ERROR: expected an expression, found the end of the text"),
        "{}",
        stderr(&output)
    );
}

#[test]
fn a_file_appears_when_it_is_complete_and_not_when_it_fails() {
    let folder = tempfile::tempdir().unwrap();
    let path = |name: &str| folder.path().join(name).to_str().unwrap().to_owned();
    stdout(&trailq(&["sql", "SELECT 1 AS a", "--output", &path("a.json")]));
    assert_eq!(std::fs::read_to_string(path("a.json")).unwrap(), "[\n{\"a\":1}\n]\n");
    stdout(&trailq(&["sql", "SELECT 1 AS a", "--output", &path("a.parquet")]));
    assert!(std::fs::read(path("a.parquet")).unwrap().starts_with(b"PAR1"));
    let failed = trailq(&[
        "sql",
        "SELECT CAST(concat('x', a) AS INT) FROM (VALUES ('y')) t(a)",
        "--output",
        &path("b.csv"),
    ]);
    assert_eq!(failed.status.code(), Some(2), "{}", stderr(&failed));
    let mut names: Vec<_> =
        std::fs::read_dir(folder.path()).unwrap().map(|entry| entry.unwrap().file_name()).collect();
    names.sort();
    assert_eq!(names, ["a.json", "a.parquet"]);
}

#[test]
fn a_reader_that_leaves_is_no_error() {
    let mut child = Command::new(env!("CARGO_BIN_EXE_trailq"))
        .args(["sql", "SELECT * FROM generate_series(1, 3000000)"])
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    drop(child.stdout.take());
    let output = child.wait_with_output().unwrap();
    assert_eq!(output.status.code(), Some(0));
    assert_eq!(stderr(&output), "");
}

#[test]
fn a_table_says_what_it_leaves_out() {
    let output =
        trailq(&["sql", "SELECT * FROM generate_series(1, 5000)", "--format", "table", "--max-rows", "2"]);
    let text = stdout(&output);
    assert!(
        text.ends_with("… and 4,998 rows not shown: --max-rows 0 shows all, --format csv writes all\n"),
        "{text}"
    );
    assert_eq!(text.lines().count(), 7);
}

#[test]
fn writing_statements_are_refused() {
    let output = trailq(&["sql", "DELETE FROM events"]);
    assert_eq!(output.status.code(), Some(2));
    let expected = "error: NOT_SUPPORTED: DELETE is refused: SQL only reads the lake";
    assert!(stderr(&output).contains(expected), "{}", stderr(&output));
}

#[test]
fn named_queries_are_listed_shown_and_checked() {
    let list = stdout(&trailq(&["query", "list"]));
    assert!(list.contains("who-used-access-key") && list.contains("access_key_id"), "{list}");
    let shown = stdout(&trailq(&["query", "show", "root-activity"]));
    assert_eq!(shown, include_str!("../../queries/root-activity.sql"));
    let missing = trailq(&["query", "run", "who-used-access-key"]);
    assert_eq!(missing.status.code(), Some(2));
    assert!(stderr(&missing).contains("-p access_key_id=…"), "{}", stderr(&missing));
}

#[test]
fn questions_that_no_file_can_answer_have_empty_answers() {
    let folder = Folder::new();
    let lake = folder.lake();
    ingest(&lake, &[&folder.write("a.json.gz", &log_file(&["a"]))]).expect(0);
    for table in ["quarantine", "cloudtrail_logs WHERE eventtime > '2030'"] {
        let sql = format!("SELECT count(*) AS n, count(DISTINCT log_file) AS files FROM {table}");
        assert_eq!(rows(&lake, &sql), [serde_json::json!({"n": 0, "files": 0})], "{sql}");
        let empty = [
            format!("SELECT log_file, count(*) FROM {table} GROUP BY 1 ORDER BY 2 DESC LIMIT 3"),
            format!("SELECT row_number() OVER (ORDER BY log_file) FROM {table}"),
            format!(
                "SELECT q.log_file FROM (SELECT log_file FROM {table}) q JOIN log_files USING (log_file)"
            ),
            format!("SELECT DISTINCT log_file FROM {table}"),
        ];
        for sql in empty {
            assert!(rows(&lake, &sql).is_empty(), "{sql}");
        }
    }
}

#[test]
fn a_view_of_the_information_schema_is_described_like_any_other() {
    let folder = Folder::new();
    let lake = folder.lake();
    ingest(&lake, &[&folder.write("a.json.gz", &log_file(&["a"]))]).expect(0);
    let sql = |statement: &str| stdout(&trailq(&["sql", "--lake", &lake, "--format", "csv", statement]));
    sql("CREATE VIEW all_tables AS SELECT table_name FROM information_schema.tables");
    sql("CREATE VIEW columns AS SELECT 1 AS x");
    // Each in a process that knows the views from the lake alone.
    assert!(sql("SHOW TABLES").contains("all_tables"));
    let tables = sql("SELECT * FROM all_tables");
    assert!(tables.contains("cloudtrail_logs") && tables.contains("all_tables"), "{tables}");
    let twice =
        sql("SELECT count(*) > 100 FROM information_schema.columns; SELECT count(*) > 5 FROM all_tables");
    assert_eq!(twice.matches("true").count(), 2, "{twice}");
}

#[test]
fn a_lake_that_has_lost_the_log_of_a_table_says_so_in_one_line() {
    let folder = Folder::new();
    let lake = folder.lake();
    ingest(&lake, &[&folder.write("a.json.gz", &log_file(&["a"]))]).expect(0);
    for entry in std::fs::read_dir(std::path::Path::new(&lake).join("log_files/_delta_log")).unwrap() {
        std::fs::remove_file(entry.unwrap().path()).unwrap();
    }
    for _ in 0..5 {
        let output = trailq(&["sql", "--lake", &lake, "SELECT count(*) FROM cloudtrail_logs"]);
        let error = stderr(&output);
        assert_eq!((output.status.code(), error.lines().count()), (Some(2), 1), "{error}");
        assert!(error.contains("reading the log of") && error.contains("log_files"), "{error}");
    }
}
