use super::*;
use arrow::array::{Array, AsArray, Int32Array, StringArray, StructArray};
use proptest::prelude::*;
use serde_json::{Value, json};

const ORIGIN: Origin = Origin {
    log_file: "s3://b/k",
    account: Some("111122223333"),
    region: Some("eu-west-1"),
    log_date: Some(20_000),
};

/// More records than any of these files has.
const MOST: u64 = 1_000_000;

fn file(text: &[u8]) -> LogFile {
    LogFile::read(text, &crate::log_file::Limits::default()).unwrap()
}

fn read(text: &str) -> (Appended, RecordBatch) {
    let mut builder = EventBuilder::new();
    let appended = builder.append(&file(text.as_bytes()), &ORIGIN, MOST).unwrap();
    (appended, builder.finish())
}

fn column(batch: &RecordBatch, name: &str) -> Vec<Option<String>> {
    let column: &StringArray = batch.column_by_name(name).unwrap().as_string();
    column.iter().map(|value| value.map(str::to_owned)).collect()
}

fn cell(batch: &RecordBatch, name: &str) -> Option<String> {
    assert_eq!(batch.num_rows(), 1);
    column(batch, name).pop().unwrap()
}

fn rebuilt(batch: &RecordBatch, row: usize) -> Value {
    serde_json::from_str(&record_json(batch, row).unwrap()).unwrap()
}

/// Reads one record and checks that its row gives it back.
fn record(text: &str) -> (Appended, RecordBatch) {
    let (appended, batch) = read(&format!("{{\"Records\":[{text}]}}"));
    assert_eq!((appended.rows, appended.broken.len()), (1, 0), "{text}");
    assert_eq!(rebuilt(&batch, 0), serde_json::from_str::<Value>(text).unwrap(), "{text}");
    (appended, batch)
}

fn good(id: u32) -> String {
    format!(r#"{{"eventVersion":"1.08","eventTime":"2026-01-05T08:10:00Z","eventID":"{id}"}}"#)
}

fn ids(batch: &RecordBatch) -> Vec<String> {
    column(batch, "eventid").into_iter().flatten().collect()
}

#[test]
fn an_ordinary_record_fills_its_columns() {
    let (appended, batch) = record(
        r#"{"eventVersion":"1.11","userIdentity":{"type":"AssumedRole","arn":"arn:aws:sts::1:assumed-role/a/b",
        "sessionContext":{"sessionIssuer":{"userName":"a"},"webIdFederationData":{"federatedProvider":"p",
        "attributes":{"aud":"x"}},"attributes":{"mfaAuthenticated":"false"}}},"eventTime":"2026-01-05T08:10:01Z",
        "eventName":"Get\u00e9\n","readOnly":true,"requestParameters":{ "a" : [1.0, 1e3,"\u00e9"] },
        "responseElements":null,"resources":[{"ARN":"arn:x","type":"AWS::S3::Object"},{"accountId":"1"}],
        "tlsDetails":{}}"#,
    );
    assert_eq!(cell(&batch, "eventname").unwrap(), "Geté\n");
    assert_eq!(cell(&batch, "readonly").unwrap(), "true");
    assert_eq!(cell(&batch, "requestparameters").unwrap(), r#"{ "a" : [1.0, 1e3,"\u00e9"] }"#);
    assert_eq!(cell(&batch, "responseelements"), None);
    assert_eq!(cell(&batch, "null_fields").unwrap(), "responseElements");
    assert_eq!(cell(&batch, "unmapped"), None);
    assert_eq!(appended.oddities.total(), 0);
    let identity: &StructArray = batch.column_by_name("useridentity").unwrap().as_struct();
    let context = identity.column_by_name("sessioncontext").unwrap().as_struct();
    let issuer = context.column_by_name("sessionissuer").unwrap().as_struct();
    assert_eq!(issuer.column_by_name("username").unwrap().as_string::<i32>().value(0), "a");
    let tls = batch.column_by_name("tlsdetails").unwrap();
    assert!(tls.is_valid(0), "an empty object is not null");
    let index: &Int32Array = batch.column_by_name("record_index").unwrap().as_primitive();
    assert_eq!(index.value(0), 0);
}

#[test]
fn odd_values_keep_the_row_and_the_value_and_are_counted() {
    let odd = |text: &str| record(text).0.oddities;
    assert_eq!(odd(r#"{"eventVersion":1.08}"#).wrong_type, 1);
    assert_eq!(odd(r#"{"userIdentity":"root"}"#).wrong_type, 1);
    assert_eq!(odd(r#"{"resources":""}"#).wrong_type, 1);
    assert_eq!(odd(r#"{"resources":[{"ARN":"a"},"b",null,{"ARN":5}]}"#).wrong_type, 2);
    assert_eq!(odd(r#"{"readOnly":"true"}"#).wrong_type, 1);
    assert_eq!(odd(r#"{"eventTime":"yesterday"}"#).unparseable_time, 1);
    assert_eq!(odd(r#"{"eventTime":"2026-02-30T00:00:00Z"}"#).unparseable_time, 1);
    assert_eq!(odd(r#"{"eventId":"a","accountId":"1"}"#).other_case, 1);
    assert_eq!(odd(r#"{"userIdentity":{"accesskeyid":"A","new":{"x":[1]}}}"#).other_case, 1);
    assert_eq!(odd(r#"{"userIdentity":{"arn":"a","arn":"b"}}"#).duplicate_key, 1);
    assert_eq!(odd(r#"{"resources":[{"arn":"a"}]}"#).other_case, 1);
    assert_eq!(
        odd(r#"{"eventName":"a","eventName":{"b":1}}"#),
        Oddities { wrong_type: 1, duplicate_key: 1, ..Oddities::default() }
    );
    assert_eq!(odd(r#"{"requestId":"a","requestID":null,"RequestID":5}"#).other_case, 1);
    assert_eq!(odd(r#"{"userIdentity":{"userName":null,"sessionContext":null}}"#).total(), 0);
}

#[test]
fn a_lone_surrogate_keeps_its_escape_in_unmapped() {
    let (appended, batch) = read(r#"{"Records":[{"eventName":"a\ud83d"}]}"#);
    assert_eq!(cell(&batch, "eventname").unwrap(), "a\u{FFFD}");
    assert_eq!(cell(&batch, "unmapped").unwrap(), r#"{"eventName":"a\ud83d"}"#);
    assert_eq!(appended.oddities.wrong_type, 1);
}

#[test]
fn a_replaced_duplicate_is_kept_beside_the_row() {
    let (_, batch) = read(r#"{"Records":[{"eventName":"first","x":1,"eventName":"last"}]}"#);
    assert_eq!(cell(&batch, "eventname").unwrap(), "last");
    assert_eq!(cell(&batch, "unmapped").unwrap(), r#"{"x":1,"$duplicates":[{"eventName":"first"}]}"#);
}

#[test]
fn a_replaced_struct_leaves_nothing_behind() {
    let (_, batch) = read(r#"{"Records":[{"userIdentity":{"arn":"a"},"userIdentity":{"type":"Root"}}]}"#);
    assert_eq!(rebuilt(&batch, 0), json!({"userIdentity":{"type":"Root"}}));
}

#[test]
fn fields_may_stand_in_another_order_in_each_record() {
    let fields = [
        r#""eventVersion":"1.08""#,
        r#""eventID":"1""#,
        r#""userIdentity":{"type":"Root","arn":"a"}"#,
        r#""userIdentity":{"arn":"a","type":"Root"}"#,
        r#""eventTime":"2026-01-05T08:10:00Z""#,
    ];
    let orders = [[0, 1, 2, 4], [4, 3, 1, 0], [0, 1, 2, 4], [0, 4, 1, 2]];
    let records = orders.map(|order| format!("{{{}}}", order.map(|field| fields[field]).join(",")));
    let (_, batch) = read(&format!("{{\"Records\":[{}]}}", records.join(",")));
    for row in 0..orders.len() {
        assert_eq!(rebuilt(&batch, row), serde_json::from_str::<Value>(&records[0]).unwrap());
    }
}

#[test]
fn fields_of_the_future_are_kept_whole() {
    let (_, batch) = record(r#"{"eventVersion":"2.0","quantumDetails":{"a":[1.50,{"b":null}]},"n":null}"#);
    assert_eq!(cell(&batch, "unmapped").unwrap(), r#"{"quantumDetails":{"a":[1.50,{"b":null}]},"n":null}"#);
}

#[test]
fn rows_without_a_time_go_to_the_date_of_their_file() {
    let (appended, batch) = record(r#"{"eventId":"e","timeWindow":{"windowStart":"2026-01-01T00:00:00Z"}}"#);
    let date = batch.column_by_name("event_date").unwrap();
    assert_eq!(date.as_primitive::<arrow::datatypes::Date32Type>().value(0), 20_000);
    assert_eq!((appended.min_event_time, cell(&batch, "eventid").unwrap()), (None, "e".to_owned()));
}

#[test]
fn rows_of_wild_times_go_to_the_date_of_their_file() {
    let date = |time: &str| {
        let (_, batch) = record(&format!("{{\"eventTime\":\"{time}\"}}"));
        batch.column_by_name("event_date").unwrap().as_primitive::<arrow::datatypes::Date32Type>().value(0)
    };
    // The file is of 2024-10-04, day 20,000.
    assert_eq!(date("2024-10-03T23:59:59Z"), 19_999);
    assert_eq!(date("2024-09-04T00:00:00Z"), 19_970);
    assert_eq!(date("1999-01-01T00:00:00Z"), 20_000);
    assert_eq!(date("2031-01-01T00:00:00Z"), 20_000);
}

#[test]
fn times_are_read_in_every_iso_form() {
    assert_eq!(parse_time("2023-01-03T02:22:28Z"), Some(1_672_712_548_000_000));
    assert_eq!(parse_time("2023-01-03T02:22:28z"), Some(1_672_712_548_000_000));
    assert_eq!(parse_time("2023-01-03T03:22:28.5+01:00"), Some(1_672_712_548_500_000));
    for bad in ["", "2023-01-03", "2023-13-03T02:22:28Z", "1900-01-01T00:00:00Z", "9999-12-31T23:59:59Z"] {
        assert_eq!(parse_time(bad), None, "{bad}");
    }
}

#[test]
fn a_broken_record_costs_only_itself() {
    for broken in [
        r#"{"eventName": tru}"#,
        r#"{"a":"x}"#,
        r#"{"a":[1,2}"#,
        "nonsense",
        r#"{"a":"b" "c":1}"#,
        "{\"a\":\"line\nbreak\"}",
        "5",
        r#"{"a":{"b":1}"#,
    ] {
        let text = format!("{{\"Records\":[{},{broken},{},{}]}}", good(1), good(3), good(4));
        let (appended, batch) = read(&text);
        assert_eq!(ids(&batch), ["1", "3", "4"], "{broken}");
        assert_eq!(appended.broken.len(), 1, "{broken}: {:?}", appended.broken);
        let bad = &appended.broken[0];
        assert!(text[bad.byte_offset..][..bad.byte_length].contains(broken), "{broken}: {bad:?}");
        assert_eq!(bad.record_index, Some(1), "{broken}");
        assert_eq!(appended.records, 4, "{broken}");
    }
}

#[test]
fn invalid_utf8_costs_only_its_record() {
    let mut text = format!("{{\"Records\":[{},{{\"a\":\"X\"}},{}]}}", good(1), good(3)).into_bytes();
    let place = text.iter().position(|&byte| byte == b'X').unwrap();
    text[place] = 0xFF;
    let mut builder = EventBuilder::new();
    let appended = builder.append(&file(&text), &ORIGIN, MOST).unwrap();
    assert_eq!(ids(&builder.finish()), ["1", "3"]);
    assert_eq!((appended.broken[0].reason, appended.broken[0].record_index), ("invalid_utf8", Some(1)));
}

#[test]
fn a_document_that_is_cut_off_gives_what_it_has() {
    let text = format!("{{\"Records\":[{},{}]}}", good(1), good(2));
    for cut in 12..text.len() {
        let (appended, batch) = read(&text[..cut]);
        let ends = [12 + good(1).len(), 13 + good(1).len() + good(2).len()];
        let expected = ends.iter().filter(|&&end| end <= cut).count();
        assert_eq!(batch.num_rows(), expected, "{}", &text[..cut]);
        assert_eq!(appended.broken.len(), 1, "{}", &text[..cut]);
        assert_eq!(appended.broken[0].reason, "cut_off", "{}", &text[..cut]);
    }
}

#[test]
fn several_documents_and_bare_records_are_read() {
    let documents = format!("{{\"Records\":[{}]}}\n{{\"Records\":[{}]}} [{}]", good(1), good(2), good(3));
    assert_eq!(ids(&read(&documents).1), ["1", "2", "3"]);
    let lines = format!("\u{FEFF}{}\n{}\nbroken\n", good(1), good(2));
    let (appended, batch) = read(&lines);
    assert_eq!(ids(&batch), ["1", "2"]);
    assert_eq!(appended.broken[0].reason, "trailing_bytes");
    let (appended, batch) = read(&format!("{}\n{{\"bad\n{}\n", good(1), good(3)));
    assert_eq!((ids(&batch), appended.broken.len()), (vec!["1".to_owned(), "3".to_owned()], 1));
}

#[test]
fn what_is_no_log_file_is_refused_whole() {
    for text in [
        "{}",
        "[1",
        "hello",
        r#"{"awsAccountId":"1","logFiles":[]}"#,
        r#"{"Records":5}"#,
        "{\"a\":",
        "\u{FEFF}",
    ] {
        let mut builder = EventBuilder::new();
        let outcome = builder.append(&file(text.as_bytes()), &ORIGIN, MOST);
        let refused = outcome.as_ref().map_or(true, |appended| !appended.broken.is_empty());
        assert!(refused && builder.rows() == 0, "{text}: {outcome:?}");
    }
}

#[test]
fn a_file_of_too_many_records_is_refused_and_leaves_the_rows_before_it_alone() {
    let members = format!("{{\"Records\":[{}],\"a\":1,\"b\":2,\"c\":3,\"d\":4}}", good(1));
    let documents = format!("{{\"Records\":[{}]}}", good(1)).repeat(4);
    let records = |records: [&str; 4]| format!("{{\"Records\":[{}]}}", records.join(","));
    let empty = records(["{}"; 4]);
    let no_records = records(["1"; 4]);
    let broken = records(["{\"a\"}", &good(1), "{\"a\"}", &good(2)]);
    let lines = [good(1), good(2), good(3), good(4)].join("\n");
    for text in [empty, no_records, broken, lines, documents, members] {
        let mut builder = EventBuilder::new();
        builder.append(&file(good(1).as_bytes()), &ORIGIN, 3).unwrap();
        let text = file(text.as_bytes());
        assert_eq!(builder.append(&text, &ORIGIN, 3), Err(Refused::TooManyRecords(3)));
        assert_eq!(builder.rows(), 1);
        // As many as there may be are none too many.
        let appended = builder.append(&text, &ORIGIN, 4).unwrap();
        builder.append(&file(good(9).as_bytes()), &ORIGIN, 3).unwrap();
        let batch = builder.finish();
        assert_eq!(batch.num_rows() as u64, 2 + appended.rows);
        assert_eq!(column(&batch, "eventid").pop().unwrap().as_deref(), Some("9"));
        assert_eq!(builder.rows(), 0);
    }
}

#[test]
fn rows_before_an_append_that_panicked_are_salvaged_whole() {
    let text = r#"{"eventVersion":"1.11","userIdentity":{"type":"Root","sessionContext":{"attributes":{"a":"b"}}},
        "eventID":"2","resources":[{"ARN":"arn:x"},{"ARN":"arn:y"}],"more":[1],"tlsDetails":{"tlsVersion":"x"}}"#;
    let text = format!(r#"{{"Records":[{},{text}]}}"#, good(1));
    let whole = read(&text).1;
    std::panic::set_hook(Box::new(|_| {}));
    let mut panics = 0;
    for length in (0..text.len()).filter(|length| text.is_char_boundary(*length)) {
        let mut builder = EventBuilder::new();
        builder.append(&file(text.as_bytes()), &ORIGIN, MOST).unwrap();
        let EventBuilder { row, columns, .. } = &mut builder;
        // Part of the text is missing, so that the last record's row is appended in part.
        let append = || columns.append(row, &text[..length], 0, RowTime::default(), 2, &ORIGIN);
        panics += usize::from(std::panic::catch_unwind(std::panic::AssertUnwindSafe(append)).is_err());
        assert_eq!(builder.salvage(2), whole, "{length}");
    }
    drop(std::panic::take_hook());
    assert!(panics > 100, "{panics}");
}

#[test]
fn members_beside_records_are_set_aside() {
    let (appended, batch) = read(&format!("{{\"Records\":[{}],\"NextToken\":\"t\"}}", good(1)));
    assert_eq!((batch.num_rows(), appended.broken[0].reason), (1, "extra_member"));
}

#[test]
fn hostile_brackets_end_in_a_moment_and_are_kept() {
    let unclosed = format!("{{,{}", good(1));
    for pattern in ["{,", "[,{", "{\"a\":[{\"b\":", ",{\"a\"", &unclosed] {
        let text = format!("{{\"Records\":[{}", pattern.repeat(4_000_000 / pattern.len()));
        let (appended, batch) = read(&text);
        let kept: usize = appended.broken.iter().map(|broken| broken.byte_length).sum();
        assert!(kept + batch.num_rows() * (good(1).len() + 1) + 20 >= text.len(), "{pattern}: {kept}");
    }
}

/// Any JSON value, with the names of real fields among its keys.
fn any_json() -> impl Strategy<Value = Value> {
    let leaf = prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::from),
        any::<i64>().prop_map(Value::from),
        any::<String>().prop_map(Value::from),
        Just(json!("2026-01-05T08:10:01Z")),
    ];
    leaf.prop_recursive(4, 40, 6, |inner| {
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..5).prop_map(Value::from),
            prop::collection::vec((any_key(), inner), 0..6)
                .prop_map(|members| Value::Object(members.into_iter().collect())),
        ]
    })
}

fn any_key() -> impl Strategy<Value = String> {
    let real = [
        "type",
        "arn",
        "ARN",
        "accountId",
        "sessionContext",
        "attributes",
        "webIdFederationData",
        "userName",
    ];
    prop_oneof![3 => prop::sample::select(real.to_vec()).prop_map(str::to_owned), 1 => any::<String>()]
}

fn any_record() -> impl Strategy<Value = Value> {
    let names: Vec<&str> =
        schema::RECORD.iter().map(|field| field.name).chain(["eventId", "EVENTNAME"]).collect();
    let key = prop_oneof![6 => prop::sample::select(names).prop_map(str::to_owned), 1 => any::<String>()];
    prop::collection::btree_map(key, any_json(), 0..12)
        .prop_map(|members| Value::Object(members.into_iter().collect()))
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(6000))]

    #[test]
    fn any_record_can_be_rebuilt_from_its_row(records in prop::collection::vec(any_record(), 1..4)) {
        let text = json!({ "Records": records }).to_string();
        let (appended, batch) = read(&text);
        prop_assert_eq!(appended.rows, records.len() as u64);
        prop_assert!(appended.broken.is_empty());
        for (row, record) in records.iter().enumerate() {
            prop_assert_eq!(&rebuilt(&batch, row), record);
        }
    }

    #[test]
    fn any_damage_to_one_record_leaves_its_neighbours(
        record in any_record(), at in any::<prop::sample::Index>(), byte in any::<u8>()
    ) {
        let middle = record.to_string().into_bytes();
        let mut damaged = middle.clone();
        damaged[at.index(middle.len())] = byte;
        let (before, after) = (good(1), format!(",{},{}]}}", good(2), good(3)));
        let text = [b"{\"Records\":[", before.as_bytes(), b",", &damaged, after.as_bytes()].concat();
        let mut builder = EventBuilder::new();
        let appended = builder.append(&file(&text), &ORIGIN, MOST).unwrap();
        let found = ids(&builder.finish());
        for id in ["1", "2", "3"] {
            prop_assert!(found.iter().any(|other| other == id), "{} is lost: {:?}", id, appended.broken);
        }
        let kept = usize::try_from(appended.rows).unwrap() + appended.broken.len();
        prop_assert!(kept >= 4, "something vanished: {:?}", appended);
    }

    #[test]
    fn any_bytes_are_read_without_a_panic(bytes in prop::collection::vec(any::<u8>(), 0..200)) {
        if let Ok(file) = LogFile::read(&bytes, &crate::log_file::Limits::default()) {
            let _ = EventBuilder::new().append(&file, &ORIGIN, MOST);
        }
    }

    #[test]
    fn any_json_like_text_is_read_without_a_panic(text in r#"(\{"Records":\[)?[\[\]{}:,"\\ua0-9.tfn ]{0,60}"#) {
        if let Ok(file) = LogFile::read(text.as_bytes(), &crate::log_file::Limits::default()) {
            let _ = EventBuilder::new().append(&file, &ORIGIN, MOST);
        }
    }
}

#[test]
fn texts_that_repeat_are_codes_and_others_are_not() {
    let records: Vec<String> = (0..5000)
        .map(|id| {
            let time = format!("2026-01-05T08:{:02}:00Z", id % 60);
            format!(
                r#"{{"eventVersion":"1.08","eventTime":"{time}","eventID":"{id}","userIdentity":{{"arn":"arn-{id}","type":"Root"}}}}"#
            )
        })
        .collect();
    let mut builder = EventBuilder::new();
    for _ in 0..2 {
        builder.append(&file(records.join("\n").as_bytes()), &ORIGIN, MOST).unwrap();
        let batch = builder.finish_as_codes();
        let different = |column: &dyn Array| column.as_any_dictionary_opt().map(|codes| codes.values().len());
        let of = |name| different(batch.column_by_name(name).unwrap());
        let identity = batch.column_by_name("useridentity").unwrap().as_struct();
        let member = |name| different(identity.column_by_name(name).unwrap());
        assert_eq!(
            [of("eventtime"), of("eventid"), of("errorcode"), of("log_file")],
            [Some(60), None, Some(0), Some(1)]
        );
        assert_eq!([member("type"), member("arn"), member("username")], [Some(1), None, Some(0)]);
        let batch = as_texts(&batch);
        assert_eq!(batch.schema(), schema::schema());
        assert_eq!(ids(&batch), (0..5000).map(|id| id.to_string()).collect::<Vec<_>>());
        for (row, record) in records.iter().enumerate().step_by(97) {
            assert_eq!(rebuilt(&batch, row), serde_json::from_str::<Value>(record).unwrap());
        }
    }
}

#[test]
fn a_million_different_texts_in_a_column_are_kept_as_texts() {
    // Half of the rows have no text in this column, as if it were a member that only some records have.
    let mut column = text_column::RepeatingColumn::default();
    for row in 0..1_000_000 {
        column.append(2 * row, &format!("{row:x}"));
    }
    let texts = column.finish(2_000_000);
    let texts: &StringArray = texts.as_string();
    assert_eq!((texts.len(), texts.null_count()), (2_000_000, 1_000_000));
    assert!((0..1_000_000).all(|row| texts.value(2 * row) == format!("{row:x}")));
}
