//! A query for one day of thirty reads one day's files, however it says so.

use std::fmt::Write as _;

use super::support::{Folder, command, gzip, ingest, key, number};

/// Thirty days, from 2026-01-01 on, of a log file with two records each.
fn thirty_days() -> Folder {
    let folder = Folder::new();
    for day in 1..=30 {
        let date = format!("2026-01-{day:02}");
        let mut records = String::new();
        for (at, name) in [("08:07:00", "GetObject"), ("12:30:15", "ConsoleLogin")] {
            let name = if day == 5 && name == "ConsoleLogin" { "StopLogging" } else { name };
            let comma = if records.is_empty() { "" } else { "," };
            write!(
                records,
                r#"{comma}{{"eventVersion":"1.11","eventTime":"{date}T{at}Z","eventName":"{name}","awsRegion":"eu-west-1",
                "eventID":"{day}-{at}","recipientAccountId":"11112222{day:04}",
                "userIdentity":{{"type":"IAMUser","arn":"arn:aws:iam::11112222{day:04}:user/u","accessKeyId":"AKIA{day:016}"}},
                "requestParameters":{{"bucketName":"b{day}","n":1}}}}"#
            )
            .unwrap();
        }
        let log = gzip(format!(r#"{{"Records":[{records}]}}"#).as_bytes());
        let account = format!("11112222{day:04}");
        folder.write(&format!("bucket/{}", key(&account, "eu-west-1", &date, "aaaaaaaaaaaaaaaa")), &log);
    }
    ingest(&folder.lake(), &[&folder.text("bucket")]).expect(0);
    folder
}

fn explained(lake: &str, sql: &str) -> String {
    let run = command(&["sql", "--lake", lake, "--format", "ndjson", sql]).output().unwrap();
    assert!(run.status.success(), "{sql}: {}", String::from_utf8_lossy(&run.stderr));
    String::from_utf8(run.stdout).unwrap()
}

fn after<'a>(text: &'a str, name: &str) -> &'a str {
    let at = text.find(name).unwrap_or_else(|| panic!("no {name} in {text}"));
    let rest = &text[at + name.len()..];
    &rest[..rest.find([',', ']']).unwrap_or(rest.len())]
}

/// The same of a figure that is only told if it is not 0.
fn after_or_none<'a>(text: &'a str, name: &str) -> &'a str {
    if text.contains(name) { after(text, name) } else { "0" }
}

/// Which files the scan reads of which, as EXPLAIN says.
fn files(lake: &str, table: &str, condition: &str) -> String {
    let plan = explained(lake, &format!("EXPLAIN SELECT eventname FROM {table} WHERE {condition}"));
    after(&plan, "files=").to_owned()
}

#[test]
fn a_day_reads_a_days_files_in_every_spelling() {
    let folder = thirty_days();
    let day = [
        "year = '2026' AND month = '01' AND day = '05'",
        "(year = '2026' AND month = '01' AND day = '05') OR (year = '2025' AND month = '12' AND day = '31')",
        "\"timestamp\" = '2026/01/05'",
        "\"timestamp\" BETWEEN '2026/01/05' AND '2026/01/05'",
        "\"timestamp\" >= '2026/01/05' AND \"timestamp\" < '2026/01/06'",
        "\"timestamp\" LIKE '2026/01/05%'",
        "\"timestamp\" IN ('2026/01/05', '2025/01/05')",
        "dt = '2026-01-05'",
        "dt = '2026/01/05'",
        "date_partition >= '2026/01/05' AND date_partition <= '2026/01/05'",
        "p_date = '2026-01-05'",
        "\"date\" = '2026-01-05'",
        "ingest_date = '20260105'",
        "concat(year, month, day) = '20260105'",
        "year || '-' || month || '-' || day = '2026-01-05'",
        "account = '111122220005'",
        "p_account = '111122220005' AND p_date >= '2026-01-01'",
        "account_id IN ('111122220005')",
        "eventtime >= '2026-01-05T00:00:00Z' AND eventtime < '2026-01-06T00:00:00Z'",
        "eventtime BETWEEN '2026-01-05' AND '2026-01-06'",
        "eventtime LIKE '2026-01-05%'",
        "substr(eventtime, 1, 10) = '2026-01-05'",
        "substring(eventtime, 1, 10) = '2026-01-05'",
        "from_iso8601_timestamp(eventtime) BETWEEN TIMESTAMP '2026-01-05 00:00:00' AND TIMESTAMP '2026-01-05 23:59:59'",
        "from_iso8601_timestamp(eventtime) >= from_iso8601_timestamp('2026-01-05T00:00:00Z')
            AND from_iso8601_timestamp(eventtime) < from_iso8601_timestamp('2026-01-06T00:00:00Z')",
        "date_trunc('day', from_iso8601_timestamp(eventtime)) = TIMESTAMP '2026-01-05 00:00:00'",
        "CAST(from_iso8601_timestamp(eventtime) AS DATE) = DATE '2026-01-05'",
        "event_time >= TIMESTAMP '2026-01-05 00:00:00' AND event_time < TIMESTAMP '2026-01-06 00:00:00'",
        "event_date = DATE '2026-01-05'",
        "eventname = 'StopLogging'",
        "lower(eventname) = 'stoplogging'",
        "eventname LIKE 'Stop%'",
        "recipientaccountid = '111122220005'",
    ];
    for condition in day {
        assert_eq!(files(&folder.lake(), "cloudtrail_logs", condition), "1 of 30", "{condition}");
        let sql = format!("SELECT count(*) FROM cloudtrail_logs WHERE {condition}");
        let rows = if condition.to_lowercase().contains("stop") { 1 } else { 2 };
        assert_eq!(number(&folder.lake(), &sql), rows, "{condition}");
    }
    assert_eq!(files(&folder.lake(), "cloudtrail_logs", "day IN ('05', '06')"), "2 of 30");
    assert_eq!(files(&folder.lake(), "cloudtrail_logs", "month = '02'"), "0 of 30");
    assert_eq!(files(&folder.lake(), "cloudtrail_logs", "eventid IS NOT NULL"), "30 of 30");
}

#[test]
fn the_lake_face_reads_a_days_files_as_well() {
    let folder = thirty_days();
    let day = [
        "eventtime >= TIMESTAMP '2026-01-05 00:00:00' AND eventtime < TIMESTAMP '2026-01-06 00:00:00'",
        "eventtime > '2026-01-05 00:00:00' AND eventtime < '2026-01-06 00:00:00'",
        "date_trunc('day', eventtime) = TIMESTAMP '2026-01-05 00:00:00'",
        "CAST(eventtime AS DATE) = DATE '2026-01-05'",
        "eventname = 'StopLogging'",
    ];
    for condition in day {
        assert_eq!(files(&folder.lake(), "cloudtrail_lake", condition), "1 of 30", "{condition}");
    }
}

#[test]
fn members_of_structs_skip_row_groups() {
    let folder = thirty_days();
    let cases = [
        ("useridentity.accesskeyid = 'AKIA0000000000000005'", "statistics", 29),
        ("useridentity.accesskeyid IN ('AKIA0000000000000005', 'AKIA0000000000000006')", "statistics", 28),
        ("useridentity.arn = 'arn:aws:iam::111122220005:user/u'", "statistics", 29),
        ("useridentity.arn LIKE 'arn:aws:iam::111122220005:%'", "statistics", 29),
        ("lower(useridentity.type) = 'root'", "statistics", 30),
        ("useridentity.invokedby IS NOT NULL", "statistics", 30),
        ("useridentity.type = 'IAMUser'", "statistics", 0),
    ];
    for table in ["cloudtrail_logs", "cloudtrail_lake"] {
        for (condition, by, pruned) in cases {
            let sql = format!("EXPLAIN ANALYZE SELECT eventname FROM {table} WHERE {condition}");
            let plan = explained(&folder.lake(), &sql);
            let name = format!("row_groups_pruned_member_{by}=");
            assert_eq!(after_or_none(&plan, &name), pruned.to_string(), "{table}: {condition}: {plan}");
        }
    }
    let sql = "SELECT count(*) FROM cloudtrail_lake WHERE useridentity.accesskeyid = 'AKIA0000000000000005'";
    assert_eq!(number(&folder.lake(), sql), 2);
}

#[test]
fn bloom_filters_skip_what_statistics_cannot() {
    let folder = Folder::new();
    let record = |key: &str| {
        format!(
            r#"{{"eventVersion":"1.11","eventTime":"2026-01-05T08:07:00Z","eventName":"GetObject","eventID":"{key}",
            "sourceIPAddress":"{key}","userIdentity":{{"accessKeyId":"{key}"}}}}"#
        )
    };
    let log = gzip(format!(r#"{{"Records":[{},{}]}}"#, record("AKIA1"), record("AKIA9")).as_bytes());
    folder.write("bucket/x_CloudTrail_y.json.gz", &log);
    ingest(&folder.lake(), &[&folder.text("bucket/x_CloudTrail_y.json.gz")]).expect(0);
    // So many that filters are read whole.
    let many = |begin: &str| {
        let texts: Vec<String> = (1..=80).map(|end| format!("'{begin}{end}'")).collect();
        format!("IN ({})", texts.join(", "))
    };
    let cases = [
        ("= 'AKIA5'", 1, 0),
        ("= 'AKIA9'", 0, 1),
        ("IN ('AKIA5', 'AKIA6')", 1, 0),
        ("IN ('AKIA5', 'AKIA9')", 0, 1),
        (&many("AKIA1"), 1, 0),
        (&many("AKIA"), 0, 2),
    ];
    for column in ["useridentity.accesskeyid", "eventid", "sourceipaddress"] {
        for table in ["cloudtrail_logs", "cloudtrail_lake"] {
            for (wanted, pruned, rows) in cases {
                let condition = format!("{column} {wanted}");
                let sql = format!("EXPLAIN ANALYZE SELECT eventname FROM {table} WHERE {condition}");
                let plan = explained(&folder.lake(), &sql);
                let found = after_or_none(&plan, "row_groups_pruned_bloom_block=");
                assert_eq!(found, pruned.to_string(), "{table}: {condition}: {plan}");
                let sql = format!("SELECT count(*) FROM {table} WHERE {condition}");
                assert_eq!(number(&folder.lake(), &sql), rows, "{table}: {condition}");
            }
        }
    }
    let sql = "EXPLAIN ANALYZE SELECT eventname FROM cloudtrail_logs WHERE eventid = 'AKIA5' OR eventname = 'GetObject'";
    assert_eq!(after_or_none(&explained(&folder.lake(), sql), "row_groups_pruned_bloom_block="), "0");
}

#[test]
fn maps_and_whole_records_are_read_only_when_asked_for() {
    let folder = thirty_days();
    let plan = explained(&folder.lake(), "EXPLAIN SELECT eventname, readonly FROM cloudtrail_lake");
    assert!(!plan.contains("$json_map") && !plan.contains("$event_json"), "{plan}");
    assert!(plan.contains("projection=[eventname, readonly"), "{plan}");
    let sql = "EXPLAIN SELECT eventjson FROM cloudtrail_lake WHERE eventname = 'StopLogging'";
    assert!(explained(&folder.lake(), sql).contains("$event_json"));
}
