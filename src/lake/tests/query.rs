//! Queries read the files that they must, and no others.

use arrow::array::{Array, AsArray};
use arrow::datatypes::TimestampMicrosecondType;
use chrono::TimeDelta;
use datafusion::datasource::physical_plan::FileScanConfig;
use datafusion::datasource::source::DataSourceExec;
use datafusion::physical_plan::ExecutionPlan;
use datafusion::prelude::SessionContext;
use parquet::arrow::ArrowWriter;
use parquet::arrow::arrow_reader::{ArrowReaderOptions, ParquetRecordBatchReaderBuilder};
use parquet::arrow::arrow_writer::ArrowWriterOptions;
use parquet::basic::Encoding;
use parquet::file::metadata::PageIndexPolicy;
use uuid::Uuid;

use super::support::{batch, decode, entry, events, number_of, session, temporary, time};
use crate::lake::action::{Add, Pointers, append_lines};
use crate::lake::shown::Shown;
use crate::lake::table::Put;
use crate::lake::views::as_stored;
use crate::lake::{Batch, Kind, Lake};

/// Ten days with a log file each, and one whose records have no time.
async fn ten_days(path: &str) -> Lake {
    let lake = Lake::open_or_create(path).await.unwrap();
    let first = time("2026-01-01T12:00:00Z");
    for day in 0..10 {
        let name = format!("day-{day}");
        let staged = lake.writer().write(batch(&[&name], first + TimeDelta::days(day))).await.unwrap();
        lake.commit(vec![staged]).await.unwrap();
    }
    let undated = decode("{\"eventid\":\"undated\",\"eventtime\":\"yesterday\",\"log_file\":\"undated\"}\n");
    let files = vec![entry("undated", first, 1)];
    let staged =
        lake.writer().write(Batch { events: vec![undated], files, ..Batch::default() }).await.unwrap();
    lake.commit(vec![staged]).await.unwrap();
    lake
}

#[tokio::test(flavor = "multi_thread")]
async fn a_filter_opens_only_the_files_that_may_match() {
    let (_directory, path) = temporary();
    let context = session(&ten_days(&path).await).await;
    let cases = [
        ("true", 11, 101),
        ("event_date = '2026-01-03'", 1, 10),
        ("event_date IS NULL", 1, 1),
        ("event_date IS NOT NULL", 10, 100),
        ("event_time >= '2026-01-09T00:00:00Z'", 2, 20),
        ("event_time BETWEEN '2026-01-03T12:00:00Z' AND '2026-01-03T12:00:04Z'", 1, 5),
        ("eventtime < '2026-01-02T12:00:05Z'", 2, 15),
        ("eventtime = 'yesterday'", 1, 1),
        ("useridentity.accountid = 'account-of-day-4'", 11, 10),
        ("useridentity.accountid IS NULL AND event_date IS NULL", 1, 1),
        ("eventname = 'ConsoleLogin' AND event_date > '2026-01-08'", 2, 20),
        ("eventname LIKE 'Delete%'", 0, 0),
        ("eventid = 'day-5-3'", 11, 1),
        ("log_date = '2026-01-06'", 1, 10),
    ];
    for (filter, files, rows) in cases {
        let sql = format!("SELECT count(*) FROM events WHERE {filter}");
        assert_eq!(number_of(&context, &sql).await, rows, "{filter}");
        let sql = format!("SELECT eventid FROM events WHERE {filter}");
        assert_eq!(scanned_files(&context, &sql).await, files, "{filter}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn counting_all_rows_opens_no_file() {
    let (_directory, path) = temporary();
    let context = session(&ten_days(&path).await).await;
    let sql = "SELECT count(*) FROM events";
    let plan = context.sql(sql).await.unwrap().create_physical_plan().await.unwrap();
    assert!(find_scan(&plan).is_none());
    assert_eq!(number_of(&context, sql).await, 101);
    // One of the files has a single row, the others ten.
    assert!(scanned_files(&context, "SELECT eventid FROM events LIMIT 12").await <= 3);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_filter_is_left_to_the_parquet_scan() {
    let (_directory, path) = temporary();
    let context = session(&ten_days(&path).await).await;
    let sql = "SELECT eventid FROM events WHERE useridentity.type = 'Root' AND eventname = 'ConsoleLogin'";
    let plan = context.sql(sql).await.unwrap().create_physical_plan().await.unwrap();
    assert!(plan.downcast_ref::<DataSourceExec>().is_some(), "{plan:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn values_too_long_for_the_log_are_found() {
    let (_directory, path) = temporary();
    let lake = Lake::open_or_create(&path).await.unwrap();
    let names = ["x".repeat(200), "é".repeat(200), "\u{10ffff}".repeat(200), "\u{7f}".repeat(200)];
    for (index, name) in names.iter().enumerate() {
        let log_file = index.to_string();
        let line = serde_json::json!({"eventname": name, "log_file": log_file, "event_date": "2026-01-05"});
        let files = vec![entry(&log_file, time("2026-01-05T00:00:00Z"), 1)];
        let events = vec![decode(&format!("{line}\n"))];
        let staged = lake.writer().write(Batch { events, files, ..Batch::default() }).await.unwrap();
        lake.commit(vec![staged]).await.unwrap();
    }
    let context = session(&lake).await;
    for name in &names {
        let sql = format!("SELECT count(*) FROM events WHERE eventname = '{name}'");
        assert_eq!(number_of(&context, &sql).await, 1, "{name}");
    }
    assert_eq!(scanned_files(&context, "SELECT eventid FROM events WHERE eventname = 'y'").await, 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn partition_values_and_nested_values_are_read_back() {
    let (_directory, path) = temporary();
    let context = session(&ten_days(&path).await).await;
    let sql = "SELECT event_date, useridentity.accountid, resources[1]['arn'], record_index FROM events \
               WHERE eventid IN ('day-2-0', 'undated') ORDER BY event_date";
    let batches = context.sql(sql).await.unwrap().collect().await.unwrap();
    let shown = arrow::util::pretty::pretty_format_batches(&batches).unwrap().to_string();
    assert!(shown.contains("| 2026-01-03 | account-of-day-2"), "{shown}");
    assert!(shown.contains("arn:aws:s3:::bucket"), "{shown}");
}

#[tokio::test(flavor = "multi_thread")]
async fn files_are_sorted_by_time_as_they_claim() {
    let (_directory, path) = temporary();
    let lake = Lake::open_or_create(&path).await.unwrap();
    let noon = time("2026-01-05T12:00:00Z");
    let second = events("late", noon + TimeDelta::seconds(5), 9000);
    let first = events("early", noon, 9000);
    let undated = decode("{\"eventid\":\"u\",\"log_file\":\"early\",\"event_date\":\"2026-01-05\"}\n");
    let files = vec![entry("late", noon, 9000), entry("early", noon, 9001)];
    let batch = Batch { events: vec![undated, second, first], files, ..Batch::default() };
    let staged = lake.writer().write(batch).await.unwrap();
    lake.commit(vec![staged]).await.unwrap();
    let [uri] = lake.event_files().await.unwrap().try_into().unwrap();
    assert_sorted(&uri, 18_001);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_file_that_another_program_wrote_is_read_as_well() {
    let (_directory, path) = temporary();
    let lake = Lake::open_or_create(&path).await.unwrap();
    let staged = lake.writer().write(batch(&["a"], time("2026-01-05T12:00:00Z"))).await.unwrap();
    let ours = staged.events[0].clone();
    lake.commit(vec![staged]).await.unwrap();
    // Without the Arrow schema in which ours say how their texts are to be read.
    let directory = std::path::Path::new(&path).join("events");
    let file = std::fs::File::open(directory.join(&ours.path)).unwrap();
    let rows = ParquetRecordBatchReaderBuilder::try_new_with_options(file, as_stored()).unwrap();
    let name = ours.path.replace("part-", "part-theirs-");
    let file = std::fs::File::create(directory.join(&name)).unwrap();
    let options = ArrowWriterOptions::new().with_skip_arrow_metadata(true);
    let mut writer = ArrowWriter::try_new_with_options(file, rows.schema().clone(), options).unwrap();
    rows.build().unwrap().for_each(|rows| writer.write(&rows.unwrap()).unwrap());
    writer.close().unwrap();
    let size = std::fs::metadata(directory.join(&name)).unwrap().len();
    let pointers = Pointers { commit_id: Uuid::new_v4().to_string(), ..Pointers::default() };
    let lines = append_lines(&[Add { path: name, size, ..ours }], &pointers, None).unwrap().into();
    let table = lake.table(Kind::Events);
    let version = lake.version().await.unwrap() + 1;
    assert!(matches!(table.put_commit(version, &pointers.commit_id, &lines).await.unwrap(), Put::Landed));
    let context = session(&Lake::open(&path).await.unwrap()).await;
    let by_account = "SELECT count(*) FROM events WHERE useridentity.accountid = 'account-of-a'";
    assert_eq!(number_of(&context, by_account).await, 20);
    let accounts = "SELECT count(DISTINCT useridentity.accountid) FROM events";
    assert_eq!(number_of(&context, accounts).await, 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn pages_of_ids_and_times_are_small() {
    let (_directory, path) = temporary();
    let lake = Lake::open_or_create(&path).await.unwrap();
    let first = time("2026-01-05T12:00:00Z");
    // Identifiers are as long as this and the number of the record.
    let log_file = "a".repeat(30);
    let batch = Batch {
        events: vec![events(&log_file, first, 5000)],
        files: vec![entry(&log_file, first, 5000)],
        ..Batch::default()
    };
    let staged = lake.writer().write(batch).await.unwrap();
    let file =
        std::fs::File::open(std::path::Path::new(&path).join("events").join(&staged.events[0].path)).unwrap();
    let with_index = ArrowReaderOptions::new().with_page_index_policy(PageIndexPolicy::Optional);
    let reader = ParquetRecordBatchReaderBuilder::try_new_with_options(file, with_index).unwrap();
    let (columns, index) =
        (reader.metadata().row_group(0).columns(), reader.metadata().offset_index().unwrap());
    for (column, index) in columns.iter().zip(&index[0]) {
        let name = column.column_path().string();
        let expected = match name.as_str() {
            "eventid" => 3,
            "eventtime" => 2,
            _ => 1,
        };
        assert_eq!(index.page_locations().len(), expected, "{name}");
    }
}

/// The rows of a file are in order, rows without a time last, and it is written as all others.
pub(super) fn assert_sorted(uri: &str, expected_rows: usize) {
    let file = std::fs::File::open(uri.replace("%20", " ")).unwrap();
    let reader = ParquetRecordBatchReaderBuilder::try_new(file).unwrap();
    let group = reader.metadata().row_group(0);
    let order = &group.sorting_columns().unwrap()[0];
    let leaf = usize::try_from(order.column_idx).unwrap();
    assert_eq!(group.column(leaf).column_path().string(), "event_time");
    let with_bloom = group.columns().iter().filter(|column| column.bloom_filter_offset().is_some());
    assert_eq!(with_bloom.count(), 3);
    // By these, queries leave out row groups and pages: members that are null throughout, too.
    for column in group.columns() {
        let name = column.column_path().string();
        assert!(column.statistics().is_some_and(|known| known.null_count_opt().is_some()), "{name}");
        assert!(column.offset_index_offset().is_some(), "{name}");
        let is_id = ["eventid", "requestid"].contains(&name.as_str());
        assert_eq!(column.column_index_offset().is_none(), is_id, "{name}");
        let lengths_apart = column.encodings().any(|one| one == Encoding::DELTA_LENGTH_BYTE_ARRAY);
        assert_eq!(lengths_apart, is_id || name == "eventtime", "{name}");
    }
    let (mut last, mut rows) = (i64::MIN, 0);
    for batch in reader.build().unwrap() {
        let batch = batch.unwrap();
        let times = batch.column_by_name("event_time").unwrap().as_primitive::<TimestampMicrosecondType>();
        for row in 0..times.len() {
            let time = if times.is_null(row) { i64::MAX } else { times.value(row) };
            assert!(time >= last);
            last = time;
        }
        rows += times.len();
    }
    assert_eq!((last, rows), (i64::MAX, expected_rows));
}

pub(super) async fn scanned_files(context: &SessionContext, sql: &str) -> usize {
    let plan = context.sql(sql).await.unwrap().create_physical_plan().await.unwrap();
    find_scan(&plan).unwrap_or(0)
}

/// How many files the plan's scan reads.
fn find_scan(plan: &std::sync::Arc<dyn ExecutionPlan>) -> Option<usize> {
    if let Some(source) = plan.downcast_ref::<DataSourceExec>()
        && let Some(shown) = source.data_source().downcast_ref::<Shown>()
        && let Some(config) = shown.source().downcast_ref::<FileScanConfig>()
    {
        let mut files: Vec<_> = config
            .file_groups
            .iter()
            .flat_map(|group| group.iter().map(|file| file.path().clone()))
            .collect();
        files.sort();
        files.dedup();
        return Some(files.len());
    }
    plan.children().into_iter().find_map(find_scan)
}
