use proptest::prelude::*;
use serde_json::json;

use super::*;

const KEY: &str = "AWSLogs/123456789012/CloudTrail/us-east-2/2016/08/11/123456789012_CloudTrail_us-east-2_20160811T2215Z_kpaMYavMQA9Ahp7L.json.gz";

/// AWS's own samples.
const S3_EVENT: &str = r#"{"Records":[{"eventVersion":"2.1","eventSource":"aws:s3","awsRegion":"us-west-2","eventTime":"1970-01-01T00:00:00.000Z","eventName":"ObjectCreated:Put","userIdentity":{"principalId":"AIDAJDPLRKLG7UEXAMPLE"},"requestParameters":{"sourceIPAddress":"172.16.0.1"},"responseElements":{"x-amz-request-id":"C3D13FE58DE4C810","x-amz-id-2":"FMyUVURIY8/IgAtTv8xRjskZQpcIZ9KG4V5Wp6S7S/JRWeUWerMUE5JgHvANOjpD"},"s3":{"s3SchemaVersion":"1.0","configurationId":"testConfigRule","bucket":{"name":"amzn-s3-demo-bucket","ownerIdentity":{"principalId":"A3NL1KOZZKExample"},"arn":"arn:aws:s3:::amzn-s3-demo-bucket"},"object":{"key":"audit+logs/AWSLogs/111122223333/CloudTrail/us-west-2/2026/01/05/111122223333_CloudTrail_us-west-2_20260105T0810Z_kpaMYavMQA9Ahp7L.json.gz","size":1024,"eTag":"d41d8cd98f00b204e9800998ecf8427e","versionId":"096fKKXTRTtl3on89fVO.nfljtsv6qko","sequencer":"0055AED6DCD90281E5"}}}]}"#;
const EVENT_BRIDGE: &str = r#"{"version":"0","id":"17793124-05d4-b198-2fde-7ededc63b103","detail-type":"Object Created","source":"aws.s3","account":"111122223333","time":"2021-11-12T00:00:00Z","region":"ca-central-1","resources":["arn:aws:s3:::amzn-s3-demo-bucket1"],"detail":{"version":"0","bucket":{"name":"amzn-s3-demo-bucket1"},"object":{"key":"example-key","size":5,"etag":"b1946ac92492d2347c6235b4d2611184","version-id":"IYV3p45BT0ac8hjHg1houSdS1a.Mro8e","sequencer":"617f08299329d189"},"request-id":"N4N7GDK58NMKJ12R","requester":"123456789012","source-ip-address":"1.2.3.4","reason":"PutObject"}}"#;
const TEST_EVENT: &str = r#"{"Service":"Amazon S3","Event":"s3:TestEvent","Time":"2014-10-13T15:57:02.089Z","Bucket":"amzn-s3-demo-bucket","RequestId":"5582815E1AEA5ADF","HostId":"8cLeGAmw098X5cv4Zkwcmo8vvZa3eH3eKxsPzbB9wrR+YstdA6Knx4Ip8EXAMPLE"}"#;

/// SNS' envelope of a real message of 2014.
fn enveloped(message: &str) -> String {
    json!({
        "Type": "Notification",
        "MessageId": "55508fe9-870b-590c-960f-c34960b669f0",
        "TopicArn": "arn:aws:sns:eu-west-1:459220251735:cloudtrail-write",
        "Message": message,
        "Timestamp": "2014-09-27T16:27:41.258Z",
        "SignatureVersion": "1",
        "Signature": "O05joR97NvGHqMJQwsSNXzeSHrtbLqbRcqsXB7xmqARyaCGX",
        "UnsubscribeURL": "https://sns.eu-west-1.amazonaws.com/?Action=Unsubscribe"
    })
    .to_string()
}

/// An S3 event of objects with these encoded keys.
fn s3_event(records: &[(&str, &str)]) -> String {
    let record = |(name, key): &(&str, &str)| {
        json!({
            "eventVersion": "2.3", "eventSource": "aws:s3", "eventName": name,
            "s3": {"bucket": {"name": "logs"}, "object": {"key": key}}
        })
    };
    json!({"Records": records.iter().map(record).collect::<Vec<_>>()}).to_string()
}

fn announced(body: &str) -> (Source, Vec<Announced>, u32) {
    match parse(body).unwrap() {
        Notification::Objects { source, objects, skipped } => (source, objects, skipped),
        other => panic!("{other:?}"),
    }
}

fn keys(body: &str) -> Vec<String> {
    announced(body).1.into_iter().map(|announced| announced.object.key).collect()
}

fn foreign(body: &str) -> Foreign {
    parse(body).unwrap_err()
}

#[test]
fn an_s3_event_announces_an_object_with_its_version() {
    let (source, objects, skipped) = announced(S3_EVENT);
    assert_eq!((source, skipped, objects.len()), (Source::S3, 0, 1));
    let Announced { object, size, etag, event_time } = &objects[0];
    assert_eq!(object.bucket, "amzn-s3-demo-bucket");
    assert!(object.key.starts_with("audit logs/AWSLogs/111122223333/"), "{}", object.key);
    assert_eq!(object.version_id.as_deref(), Some("096fKKXTRTtl3on89fVO.nfljtsv6qko"));
    assert_eq!((*size, etag.as_deref()), (Some(1024), Some("d41d8cd98f00b204e9800998ecf8427e")));
    assert_eq!(event_time.unwrap().timestamp(), 0);
}

#[test]
fn all_records_of_an_s3_event_are_read_and_removals_skipped() {
    let body = s3_event(&[
        ("ObjectCreated:Put", "a"),
        ("ObjectRemoved:Delete", "b"),
        ("ObjectCreated:CompleteMultipartUpload", "c"),
        ("s3:ObjectCreated:Copy", "d"),
        ("ObjectTagging:Put", "e"),
    ]);
    assert_eq!(keys(&body), ["a", "c", "d"]);
    assert_eq!(announced(&body).2, 2);
    let removed = announced(&s3_event(&[("ObjectRemoved:DeleteMarkerCreated", "b")]));
    assert_eq!((removed.1.len(), removed.2), (0, 1));
}

#[test]
fn keys_of_s3_events_are_form_encoded() {
    for (encoded, key) in [
        ("audit+logs/a", "audit logs/a"),
        ("audit%20logs/a", "audit logs/a"),
        ("1%2B1/a", "1+1/a"),
        ("%C3%BCn%C3%AF/%25", "ünï/%"),
        ("a%00b", "a\0b"),
        ("plain/a", "plain/a"),
    ] {
        assert_eq!(keys(&s3_event(&[("ObjectCreated:Put", encoded)])), [key]);
    }
    let cut = foreign(&s3_event(&[("ObjectCreated:Put", "%C3")]));
    assert_eq!(cut.kind, ForeignKind::Malformed);
}

#[test]
fn keys_of_cloudtrail_and_eventbridge_are_plain() {
    let body = json!({"s3Bucket": "logs", "s3ObjectKey": ["a+b/%41"]}).to_string();
    assert_eq!(keys(&body), ["a+b/%41"]);
    assert_eq!(keys(&EVENT_BRIDGE.replace("example-key", "a+b/%41")), ["a+b/%41"]);
}

#[test]
fn cloudtrails_own_message_announces_all_its_keys_raw_or_enveloped() {
    let body = json!({"s3Bucket": "logs", "s3ObjectKey": [KEY, "b"], "somethingNew": {"x": 1}}).to_string();
    assert_eq!(keys(&body), [KEY, "b"]);
    assert_eq!(announced(&body).0, Source::CloudTrail);
    assert_eq!(keys(&enveloped(&body)), [KEY, "b"]);
    assert_eq!(announced(&enveloped(&body)).0, Source::SnsCloudTrail);
}

#[test]
fn envelopes_are_opened_twice_and_no_further() {
    let once = enveloped(S3_EVENT);
    assert_eq!(announced(&once).0, Source::SnsS3);
    let twice = enveloped(&once);
    assert_eq!(announced(&twice).1, announced(S3_EVENT).1);
    assert_eq!(foreign(&enveloped(&twice)).kind, ForeignKind::Malformed);
    assert_eq!(foreign(r#"{"Type":"Notification","Message":{"s3Bucket":"b"}}"#).kind, ForeignKind::Malformed);
}

#[test]
fn eventbridge_announces_an_object_with_its_own_names() {
    let (source, objects, _) = announced(EVENT_BRIDGE);
    assert_eq!((source, objects.len()), (Source::EventBridge, 1));
    let Announced { object, size, etag, event_time } = &objects[0];
    assert_eq!((object.bucket.as_str(), object.key.as_str()), ("amzn-s3-demo-bucket1", "example-key"));
    assert_eq!(object.version_id.as_deref(), Some("IYV3p45BT0ac8hjHg1houSdS1a.Mro8e"));
    assert_eq!((*size, etag.as_deref()), (Some(5), Some("b1946ac92492d2347c6235b4d2611184")));
    assert_eq!(event_time.unwrap().to_rfc3339(), "2021-11-12T00:00:00+00:00");
    let deleted = announced(&EVENT_BRIDGE.replace("Object Created", "Object Deleted"));
    assert_eq!((deleted.1.len(), deleted.2), (0, 1));
    assert_eq!(announced(&enveloped(EVENT_BRIDGE)).0, Source::EventBridge);
}

#[test]
fn test_and_validation_messages_are_told_raw_or_enveloped() {
    for (text, expected) in [
        (TEST_EVENT, Notification::Test),
        ("CloudTrail validation message.", Notification::Validation),
        ("\u{feff}CloudTrail validation message.\n", Notification::Validation),
    ] {
        assert_eq!(parse(text).unwrap(), expected);
        assert_eq!(parse(&enveloped(text)).unwrap(), expected);
    }
}

#[test]
fn other_bodies_are_foreign_and_described() {
    let config = json!({"configurationItem": {}, "messageType": "ConfigurationItemChangeNotification"});
    let api_call = json!({"detail-type": "AWS API Call via CloudTrail", "source": "aws.iam", "detail": {}});
    let confirmation = json!({"Type": "SubscriptionConfirmation", "TopicArn": "arn", "Token": "secret"});
    let log_file = json!({"Records": [{"eventVersion": "1.08", "eventSource": "iam.amazonaws.com",
        "eventID": "x", "eventCategory": "Management"}]});
    let ses = json!({"Records": [{"eventVersion": "1.0", "eventSource": "aws:ses"}]});
    for (body, kind, description) in [
        (enveloped(&config.to_string()), ForeignKind::Json, "configurationItem"),
        (api_call.to_string(), ForeignKind::EventBridge, "AWS API Call via CloudTrail"),
        (confirmation.to_string(), ForeignKind::Sns, "SubscriptionConfirmation"),
        (log_file.to_string(), ForeignKind::LogFile, "iam.amazonaws.com"),
        (ses.to_string(), ForeignKind::Json, "aws:ses"),
        ("hello".to_owned(), ForeignKind::Text, "hello"),
        (enveloped("hello"), ForeignKind::Text, "hello"),
        (String::new(), ForeignKind::Text, "empty"),
        ("[1]".to_owned(), ForeignKind::Json, "no object"),
        ("\"a\"".to_owned(), ForeignKind::Json, "no object"),
        ("{\"Records\":[{".to_owned(), ForeignKind::Malformed, "cannot be read"),
    ] {
        let foreign = foreign(&body);
        assert_eq!(foreign.kind, kind, "{body}");
        assert!(foreign.description.contains(description), "{foreign}");
        assert!(!foreign.description.contains("secret"));
    }
}

#[test]
fn a_notification_with_something_wrong_in_it_is_foreign_as_a_whole() {
    let right = ("ObjectCreated:Put", "a");
    let created = |change: &dyn Fn(&mut Value)| {
        let mut body: Value = serde_json::from_str(&s3_event(&[right, right])).unwrap();
        change(&mut body["Records"][1]);
        body.to_string()
    };
    for body in [
        created(&|record| record["eventVersion"] = json!("3.0")),
        created(&|record| record["eventVersion"] = json!(2.1)),
        created(&|record| record["eventName"] = Value::Null),
        created(&|record| record["s3"] = json!([])),
        created(&|record| record["s3"]["bucket"] = json!("logs")),
        created(&|record| record["s3"]["bucket"]["name"] = json!("a/b")),
        created(&|record| record["s3"]["bucket"]["name"] = json!("")),
        created(&|record| record["s3"]["object"]["key"] = json!("")),
        created(&|record| record["s3"]["object"]["key"] = json!(7)),
        created(&|record| record["s3"]["object"]["key"] = json!("k".repeat(1025))),
        created(&|record| *record = json!("x")),
        json!({"Records": []}).to_string(),
        json!({"Records": {"eventSource": "aws:s3"}}).to_string(),
        json!({"s3ObjectKey": ["a"]}).to_string(),
        json!({"s3Bucket": "logs", "s3ObjectKey": []}).to_string(),
        json!({"s3Bucket": "logs", "s3ObjectKey": ["a", null]}).to_string(),
        json!({"s3Bucket": "logs", "s3ObjectKey": ["a", ""]}).to_string(),
        json!({"s3Bucket": "../logs", "s3ObjectKey": ["a"]}).to_string(),
        json!({"detail-type": "Object Created", "source": "aws.s3"}).to_string(),
        json!({"detail-type": "Object Created", "source": "aws.s3",
            "detail": {"bucket": {"name": "b"}, "object": {"key": ["a"]}}})
        .to_string(),
    ] {
        assert_eq!(foreign(&body).kind, ForeignKind::Malformed, "{body}");
    }
}

#[test]
fn what_only_helps_may_be_of_any_type() {
    let mut body: Value = serde_json::from_str(S3_EVENT).unwrap();
    let object = &mut body["Records"][0]["s3"]["object"];
    (object["size"], object["eTag"], object["versionId"]) = (json!(-1), json!([]), json!(""));
    body["Records"][0]["eventTime"] = json!("yesterday");
    let (_, objects, _) = announced(&body.to_string());
    let Announced { object, size, etag, event_time } = &objects[0];
    assert_eq!((&object.version_id, size, etag, event_time), (&None, &None, &None, &None));
}

#[test]
fn bodies_of_absurd_size_depth_and_count_have_a_result() {
    let deep = format!("{}{}", "[".repeat(200_000), "]".repeat(200_000));
    assert_eq!(foreign(&deep).kind, ForeignKind::Malformed);
    assert_eq!(foreign(&format!(r#"{{"Records":{deep}}}"#)).kind, ForeignKind::Malformed);
    assert_eq!(foreign(&"x".repeat(10 << 20)).kind, ForeignKind::Text);
    let many = vec![("ObjectCreated:Put", "a"); 20_000];
    assert_eq!(keys(&s3_event(&many)).len(), 20_000);
    let keys_of = json!({"s3Bucket": "logs", "s3ObjectKey": vec!["a"; 50_000]}).to_string();
    assert_eq!(keys(&keys_of).len(), 50_000);
}

#[test]
fn a_description_is_short_and_moves_no_cursor() {
    for body in ["\u{1b}[2J\r\n\u{202e}x".repeat(99), json!({"\u{1b}]0;x\u{7}": 1}).to_string()] {
        let description = foreign(&body).description;
        assert!(!description.chars().any(char::is_control), "{description:?}");
        assert!(description.chars().count() < 1000, "{description:?}");
    }
}

/// Any JSON, made of the names that we look at.
fn any_json() -> impl Strategy<Value = Value> {
    let name = prop::sample::select(vec![
        "Type",
        "Message",
        "Records",
        "s3ObjectKey",
        "s3Bucket",
        "detail-type",
        "source",
        "detail",
        "bucket",
        "name",
        "object",
        "key",
        "eventSource",
        "eventVersion",
        "eventName",
        "s3",
        "Event",
        "size",
        "versionId",
    ]);
    let text = prop::sample::select(vec![
        "",
        "Notification",
        "aws:s3",
        "aws.s3",
        "2.1",
        "Object Created",
        "ObjectCreated:Put",
        "a%",
        "\0",
        "é+%FF",
    ]);
    let leaf = prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::from),
        any::<i64>().prop_map(Value::from),
        text.prop_map(Value::from),
        any::<String>().prop_map(Value::from),
    ];
    leaf.prop_recursive(6, 64, 6, move |inner| {
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..4).prop_map(Value::from),
            prop::collection::vec((name.clone(), inner), 0..6).prop_map(|fields| {
                Value::Object(fields.into_iter().map(|(name, value)| (name.to_owned(), value)).collect())
            }),
        ]
    })
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(2000))]

    #[test]
    fn no_text_panics(body in ".*") {
        let _ = parse(&body);
    }

    #[test]
    fn no_json_panics_and_objects_always_have_an_address(body in any_json()) {
        for body in [body.to_string(), enveloped(&body.to_string())] {
            if let Ok(Notification::Objects { objects, .. }) = parse(&body) {
                for announced in objects {
                    prop_assert!(!announced.object.bucket.is_empty() && !announced.object.key.is_empty());
                }
            }
        }
    }

    #[test]
    fn a_cut_or_changed_sample_does_not_panic(cut in 0usize..2000, at in 0usize..2000, byte: u8) {
        for sample in [S3_EVENT, EVENT_BRIDGE, TEST_EVENT, &enveloped(S3_EVENT)] {
            let mut bytes = sample.as_bytes()[..cut.min(sample.len())].to_vec();
            if let Some(place) = bytes.get_mut(at) {
                *place = byte;
            }
            let _ = parse(&String::from_utf8_lossy(&bytes));
        }
    }

    #[test]
    fn any_key_survives_form_encoding(key in "\\PC{1,80}") {
        let encoded: String = url::form_urlencoded::byte_serialize(key.as_bytes()).collect();
        prop_assert_eq!(keys(&s3_event(&[("ObjectCreated:Put", &encoded)])), [key]);
    }
}
