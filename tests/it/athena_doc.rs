//! docs/athena.md: the functions that it names are there, and what it says is refused is refused.

use std::collections::BTreeSet;

use regex::Regex;

use super::support::Run;
use super::support::{Folder, command, ingest, repository, rows, sample_logs};

fn document() -> String {
    std::fs::read_to_string(repository().join("docs/athena.md")).unwrap()
}

/// The names in backquotes of the list of functions.
fn documented() -> BTreeSet<String> {
    let text = document();
    let (_, list) = text.split_once("<!-- functions:").unwrap();
    let (list, _) = list.split_once("<!-- end of functions -->").unwrap();
    let name = Regex::new("`([a-z0-9_]+)`").unwrap();
    name.captures_iter(list).map(|found| found[1].to_owned()).collect()
}

fn lake() -> (Folder, String) {
    let folder = Folder::new();
    let lake = folder.lake();
    ingest(&lake, &[&sample_logs()]);
    (folder, lake)
}

#[test]
fn every_function_that_the_document_names_is_there() {
    let there: BTreeSet<String> = rows("./no-lake", "SHOW FUNCTIONS")
        .iter()
        .map(|row| row["function"].as_str().unwrap().to_owned())
        .collect();
    let documented = documented();
    assert!(documented.len() > 200, "{documented:?}");
    // Forms that the parser knows, and functions only by their shape.
    let forms: BTreeSet<String> =
        ["coalesce", "nullif", "json_value", "json_query", "json_exists", "json_object", "json_array"]
            .map(str::to_owned)
            .into();
    let missing: Vec<_> =
        documented.iter().filter(|name| !there.contains(*name) && !forms.contains(*name)).collect();
    assert!(missing.is_empty(), "{missing:?}");
}

#[test]
fn the_conformance_suite_calls_no_function_that_the_document_does_not_name() {
    let documented = documented();
    let call = Regex::new(r"\b([a-z][a-z0-9_]*)\(").unwrap();
    // What stands before a parenthesis and is no function.
    let others: BTreeSet<&str> = "and array as by cast char cube decimal distinct except exists extract filter from grouping if in intersect
        lateral like not on or over partition position rollup row select sets then timestamp try try_cast union unnest using values varchar
        varbinary when where with all any interval json map time no_such_function t u v w x f ids a n q k recursive r chain letters trim substring
        accounts bernoulli by is s system seen"
        .split_whitespace()
        .collect();
    let text = Regex::new("'[^']*'").unwrap();
    let mut unknown = BTreeSet::new();
    for path in super::slt::files(&repository().join("tests/conformance")) {
        let records = super::slt::records(&path);
        for sql in records.iter().filter_map(super::slt::statement) {
            let sql = text.replace_all(sql, "''").to_lowercase();
            let names = call.captures_iter(&sql).map(|found| found[1].to_owned());
            unknown
                .extend(names.filter(|name| !documented.contains(name) && !others.contains(name.as_str())));
        }
    }
    assert!(unknown.is_empty(), "{unknown:?}");
}

#[test]
fn what_the_document_says_is_refused_is_refused() {
    let (_folder, lake) = lake();
    let text = document();
    let (_, block) = text.split_once("```sql refused\n").unwrap();
    let (block, _) = block.split_once("```").unwrap();
    let mut refused = 0;
    for lines in block.lines().collect::<Vec<_>>().chunks(2) {
        let [class, statement] = lines else { panic!("{lines:?}") };
        let run: Run = command(&["sql", "--lake", &lake, statement]).output().unwrap().into();
        let expected = format!("error: {}", class.trim_start_matches("-- "));
        assert!(run.expect(2).stderr.contains(&expected), "{statement}: no {expected}");
        refused += 1;
    }
    assert_eq!(refused, 13);
}
