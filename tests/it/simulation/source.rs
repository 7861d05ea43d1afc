//! What there is to ingest: objects good and bad, and the messages that announce them.

use std::collections::{BTreeMap, BTreeSet};

use fastrand::Rng;
use serde_json::json;

use super::super::support::{gzip, key, log_text};

pub(super) const BUCKET: &str = "logs";

/// Where an event is, and which it is.
pub(super) type Place = (String, i64, String);

#[derive(Default)]
pub(super) struct Source {
    /// By bucket and key.
    pub(super) objects: BTreeMap<(String, String), Vec<u8>>,
    pub(super) places: BTreeSet<Place>,
    /// Log files of which nothing can be stored, and why.
    pub(super) set_aside: BTreeMap<String, &'static str>,
    /// Log files of which something is stored.
    pub(super) stored: BTreeSet<String>,
    /// To be deleted when all is done.
    pub(super) messages: Vec<String>,
    /// Never to be deleted.
    pub(super) foreign: Vec<String>,
}

impl Source {
    pub(super) fn new(rng: &mut Rng) -> Self {
        let mut source = Source::default();
        let mut keys = Vec::new();
        for number in 0..rng.usize(3..14) {
            keys.push(source.add_object(rng, number));
        }
        source.announce(rng, &keys);
        source.add_noise(rng);
        rng.shuffle(&mut source.messages);
        source
    }

    fn add_object(&mut self, rng: &mut Rng, number: usize) -> String {
        let date = format!("2026-01-{:02}", rng.u32(1..5));
        let name = key("111122223333", "eu-west-1", &date, &format!("n{number}"));
        let key = format!("{}{name}", rng.choice(["", "a b/", "1+1/ü%/"]).unwrap());
        let log_file = format!("s3://{BUCKET}/{key}");
        let ids: Vec<String> = (0..rng.usize(1..8)).map(|record| format!("{number}-{record}")).collect();
        let text = log_text(&ids.iter().map(String::as_str).collect::<Vec<_>>());
        let bytes = match rng.u32(..12) {
            0 => return self.set_aside(key, log_file, None, "missing"),
            1 => {
                let bytes = gzip(text.as_bytes());
                let cut = bytes[..bytes.len() - rng.usize(1..8)].to_vec();
                return self.set_aside(key, log_file, Some(cut), "damaged_gzip");
            }
            2 => {
                // A broken record last costs its neighbours nothing.
                gzip(text.replace("]}", ",7]}").as_bytes())
            }
            3 => text.into_bytes(),
            _ => gzip(text.as_bytes()),
        };
        for (index, id) in ids.into_iter().enumerate() {
            self.places.insert((log_file.clone(), i64::try_from(index).unwrap(), id));
        }
        self.stored.insert(log_file);
        self.objects.insert((BUCKET.to_owned(), key.clone()), bytes);
        key
    }

    fn set_aside(
        &mut self,
        key: String,
        log_file: String,
        bytes: Option<Vec<u8>>,
        why: &'static str,
    ) -> String {
        self.set_aside.insert(log_file, why);
        if let Some(bytes) = bytes {
            self.objects.insert((BUCKET.to_owned(), key.clone()), bytes);
        }
        key
    }

    /// Announces each key at least once, some several times and together with others.
    fn announce(&mut self, rng: &mut Rng, keys: &[String]) {
        let mut open: Vec<&String> = keys.iter().collect();
        rng.shuffle(&mut open);
        while !open.is_empty() {
            let mut some: Vec<&str> = open
                .split_off(open.len() - rng.usize(1..4).min(open.len()))
                .into_iter()
                .map(String::as_str)
                .collect();
            if rng.u32(..3) == 0 {
                some.push(keys[rng.usize(..keys.len())].as_str());
            }
            for _ in 0..=rng.u32(..3) / 2 {
                for body in bodies(rng, &some) {
                    self.messages.push(body);
                }
            }
        }
    }

    /// What is nothing to us, and what is not ours.
    fn add_noise(&mut self, rng: &mut Rng) {
        if rng.bool() {
            self.messages.push("CloudTrail validation message.".to_owned());
            self.messages
                .push(r#"{"Service":"Amazon S3","Event":"s3:TestEvent","Bucket":"logs"}"#.to_owned());
        }
        if rng.bool() {
            self.messages.extend(bodies(rng, &["AWSLogs/", "AWSLogs/111122223333/Config/a.json.gz"]));
        }
        if rng.bool() {
            self.messages.push(s3_event("ObjectRemoved:Delete", &["AWSLogs/gone"]));
        }
        if rng.u32(..4) == 0 {
            let other = s3_event("ObjectCreated:Put", &["AWSLogs/a"]).replace("\"logs\"", "\"not-allowed\"");
            self.foreign.extend([other, "what is this".to_owned()]);
        }
    }
}

/// One or more bodies that announce these keys, of any kind.
fn bodies(rng: &mut Rng, keys: &[&str]) -> Vec<String> {
    let of_cloudtrail = json!({"s3Bucket": BUCKET, "s3ObjectKey": keys}).to_string();
    match rng.u32(..5) {
        0 => vec![s3_event("ObjectCreated:Put", keys)],
        1 => vec![enveloped(&s3_event("ObjectCreated:CompleteMultipartUpload", keys))],
        2 => vec![of_cloudtrail],
        3 => vec![enveloped(&of_cloudtrail)],
        _ => keys.iter().map(|key| event_bridge(key)).collect(),
    }
}

fn s3_event(name: &str, keys: &[&str]) -> String {
    let record = |key: &&str| {
        let key: String = url::form_urlencoded::byte_serialize(key.as_bytes()).collect();
        json!({
            "eventVersion": "2.1", "eventSource": "aws:s3", "eventName": name,
            "s3": {"bucket": {"name": BUCKET}, "object": {"key": key}}
        })
    };
    json!({"Records": keys.iter().map(record).collect::<Vec<_>>()}).to_string()
}

fn event_bridge(key: &str) -> String {
    json!({
        "detail-type": "Object Created", "source": "aws.s3", "time": "2026-01-05T08:10:00Z",
        "detail": {"bucket": {"name": BUCKET}, "object": {"key": key, "size": 1}}
    })
    .to_string()
}

fn enveloped(message: &str) -> String {
    json!({"Type": "Notification", "TopicArn": "arn:aws:sns:eu-west-1:111122223333:t", "Message": message})
        .to_string()
}
