//! What SQL names in a lake: views, other names of `cloudtrail_logs`, tables made by a query, and files.

use serde_json::json;

use super::support::{Folder, Run, command, ingest, log_file, rows};

fn lake_of(ids: &[&str]) -> (Folder, String) {
    let folder = Folder::new();
    let lake = folder.lake();
    ingest(&lake, &[&folder.write("a.json.gz", &log_file(ids))]).expect(0);
    (folder, lake)
}

fn sql(lake: &str, arguments: &[&str]) -> Run {
    command(&[&["sql", "--lake", lake], arguments].concat()).output().unwrap().into()
}

#[test]
fn a_view_is_there_in_the_next_run() {
    let (_folder, lake) = lake_of(&["a", "b", "c"]);
    let create = "CREATE VIEW Late AS SELECT eventID AS id FROM cloudtrail_logs WHERE eventid > 'a'";
    let run = sql(&lake, &[create]).expect(0);
    assert!(run.stderr.contains("view late is there, in this lake"), "{}", run.stderr);
    sql(&lake, &["CREATE VIEW last AS SELECT max(id) AS id FROM late"]).expect(0);
    assert_eq!(
        rows(&lake, "SELECT id FROM default.LATE ORDER BY id"),
        [json!({"id": "b"}), json!({"id": "c"})]
    );
    assert_eq!(rows(&lake, "SELECT * FROM last"), [json!({"id": "c"})]);
    assert_eq!(rows(&lake, "SHOW VIEWS"), [json!({"views": "last"}), json!({"views": "late"})]);
    let shown = sql(&lake, &["SHOW CREATE VIEW late", "--format", "table"]).expect(0).stdout;
    assert!(shown.contains("SELECT eventID AS id FROM cloudtrail_logs WHERE eventid > 'a'"), "{shown}");
    let twice = sql(&lake, &[create]).expect(2).stderr;
    assert!(twice.contains("ALREADY_EXISTS: View already exists: 'late'"), "{twice}");
    sql(&lake, &["CREATE OR REPLACE VIEW late AS SELECT 'x' AS id"]).expect(0);
    assert_eq!(rows(&lake, "SELECT * FROM last"), [json!({"id": "x"})]);
    sql(&lake, &["DROP VIEW late"]).expect(0);
    let gone = sql(&lake, &["SELECT * FROM last"]).expect(2).stderr;
    assert!(gone.contains("TABLE_NOT_FOUND: Table 'late' does not exist"), "{gone}");
}

#[test]
fn a_view_that_would_contain_itself_is_refused() {
    let (_folder, lake) = lake_of(&["a"]);
    sql(&lake, &["CREATE VIEW a AS SELECT 1 AS x; CREATE VIEW b AS SELECT x FROM a"]).expect(0);
    let direct = sql(&lake, &["CREATE OR REPLACE VIEW a AS SELECT x FROM a"]).expect(2).stderr;
    assert!(direct.contains("INVALID_VIEW"), "{direct}");
    sql(&lake, &["CREATE OR REPLACE VIEW a AS SELECT x FROM b"]).expect(0);
    let round = sql(&lake, &["SELECT * FROM a"]).expect(2).stderr;
    assert!(round.contains("INVALID_VIEW: view 'a' is defined by itself"), "{round}");
    // What is wrong with one view leaves the others, and the way to mend it.
    assert!(sql(&lake, &["SHOW TABLES"]).expect(0).stdout.contains("cloudtrail_logs"));
    sql(&lake, &["DROP VIEW a"]).expect(0);
}

#[test]
fn queries_keep_their_own_name_of_the_table() {
    let (_folder, lake) = lake_of(&["a", "b"]);
    let query = "SELECT count(*) AS n FROM db.CloudTrail_Logs_Prod p WHERE p.eventid = 'a'";
    let unknown = sql(&lake, &[query]).expect(2).stderr;
    assert!(unknown.contains("TABLE_NOT_FOUND: Table 'db.cloudtrail_logs_prod' does not exist"), "{unknown}");
    assert!(unknown.contains("did you mean: cloudtrail_logs?"), "{unknown}");
    assert!(unknown.contains("--table cloudtrail_logs_prod"), "{unknown}");
    let known = sql(&lake, &["--table", "db.cloudtrail_logs_PROD", query]).expect(0);
    assert_eq!(known.stdout, "n\r\n1\r\n");
    let mut with_environment = command(&["sql", "--lake", &lake, query]);
    with_environment.env("TRAILQ_TABLE", "other,cloudtrail_logs_prod");
    assert_eq!(Run::from(with_environment.output().unwrap()).expect(0).stdout, "n\r\n1\r\n");
}

#[test]
fn a_definition_from_the_guide_names_the_table() {
    let (_folder, lake) = lake_of(&["a", "b"]);
    let ddl = "CREATE EXTERNAL TABLE IF NOT EXISTS `sec`.`trail_2026` (
        eventVersion STRING, userIdentity STRUCT<type: STRING, sessionContext: STRUCT<a: STRING>>)
        PARTITIONED BY (`timestamp` string) ROW FORMAT SERDE 'org.apache.hive.hcatalog.data.JsonSerDe'
        STORED AS INPUTFORMAT 'com.amazon.emr.cloudtrail.CloudTrailInputFormat'
        LOCATION 's3://bucket/AWSLogs/' TBLPROPERTIES ('projection.enabled'='true');
        MSCK REPAIR TABLE sec.trail_2026;
        ALTER TABLE sec.trail_2026 ADD PARTITION (region='us-east-1') LOCATION 's3://x/'";
    let run = sql(&lake, &[ddl]).expect(0);
    assert!(run.stderr.contains("no definition is needed"), "{}", run.stderr);
    assert!(run.stderr.contains("trail_2026 now means cloudtrail_logs"), "{}", run.stderr);
    assert_eq!(rows(&lake, "SELECT count(*) AS n FROM sec.trail_2026"), [json!({"n": 2})]);
    sql(&lake, &["DROP TABLE trail_2026"]).expect(0);
    sql(&lake, &["SELECT 1 FROM trail_2026"]).expect(2);
}

#[test]
fn an_answer_becomes_a_table_or_a_file() {
    let (folder, lake) = lake_of(&["a", "b"]);
    let made = "CREATE TABLE sec.ids WITH (format = 'PARQUET', parquet_compression = 'SNAPPY')
        AS SELECT eventid, useridentity.arn, count(*) AS n FROM cloudtrail_logs GROUP BY 1, 2";
    let run = sql(&lake, &[made]).expect(0);
    assert!(run.stderr.contains("table ids has 2 rows"), "{}", run.stderr);
    assert_eq!(
        rows(&lake, "SELECT sum(n) AS n, max(eventid) AS last FROM ids"),
        [json!({"n": 2, "last": "b"})]
    );
    assert!(sql(&lake, &[made]).expect(2).stderr.contains("ALREADY_EXISTS"));
    sql(&lake, &["DROP TABLE ids"]).expect(0);
    assert!(sql(&lake, &["SELECT 1 FROM ids"]).expect(2).stderr.contains("TABLE_NOT_FOUND"));
    for (format, name) in
        [("PARQUET", "part-00000.parquet"), ("JSON", "part-00000.json"), ("TEXTFILE", "part-00000.csv")]
    {
        let to = folder.text(format);
        let unload = format!(
            "UNLOAD (SELECT eventid FROM cloudtrail_logs ORDER BY 1) TO '{to}' WITH (format = '{format}')"
        );
        let run = sql(&lake, &[&unload]).expect(0);
        assert!(run.stderr.contains("2 rows written to"), "{}", run.stderr);
        assert!(folder.path(format).join(name).metadata().unwrap().len() > 10);
        assert!(sql(&lake, &[&unload]).expect(2).stderr.contains("HIVE_PATH_ALREADY_EXISTS"));
    }
    assert_eq!(
        std::fs::read_to_string(folder.path("JSON").join("part-00000.json")).unwrap(),
        "{\"eventid\":\"a\"}\n{\"eventid\":\"b\"}\n"
    );
}

#[test]
fn parameters_are_values_and_never_sql() {
    let (_folder, lake) = lake_of(&["a", "b"]);
    let query = "SELECT count(*) AS n FROM cloudtrail_logs WHERE eventid = ? AND eventname = ?";
    assert_eq!(sql(&lake, &[query, "-p", "a", "-p", "GetObject"]).expect(0).stdout, "n\r\n1\r\n");
    assert_eq!(sql(&lake, &[query, "-p", "a' OR '1'='1", "-p", "GetObject"]).expect(0).stdout, "n\r\n0\r\n");
    let wrong = sql(&lake, &[query, "-p", "a"]).expect(2).stderr;
    assert!(
        wrong.contains("INVALID_PARAMETER_USAGE: Incorrect number of parameters: expected 2 but found 1"),
        "{wrong}"
    );
}

#[test]
fn names_of_views_are_never_paths() {
    let (folder, lake) = lake_of(&["a"]);
    sql(&lake, &[r#"CREATE VIEW "../../escape" AS SELECT 1 AS x"#]).expect(0);
    assert_eq!(rows(&lake, r#"SELECT x FROM "../../escape""#), [json!({"x": 1})]);
    let outside: Vec<_> =
        std::fs::read_dir(folder.path("")).unwrap().map(|entry| entry.unwrap().file_name()).collect();
    assert_eq!(outside.len(), 2, "{outside:?}");
}
