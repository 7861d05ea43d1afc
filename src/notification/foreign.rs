//! Bodies that announce nothing to us: kept out of the way, and described so that a person knows what
//! they are. What they say is quoted in a few words and escaped.

use std::fmt;

use serde_json::{Map, Value};

use crate::output::escape;

/// A body that is none of ours, or that cannot be what it says.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{description}")]
pub struct Foreign {
    /// What kind of thing it is.
    pub kind: ForeignKind,
    /// What it is, in a line that is safe to print.
    pub description: String,
}

/// What kind of thing a foreign body is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum ForeignKind {
    /// Text that is no JSON.
    Text,
    /// JSON of another service or person.
    Json,
    /// SNS' own messages, such as the confirmation of a subscription.
    Sns,
    /// An event of EventBridge about something else.
    EventBridge,
    /// The contents of a log file: records, not news of them.
    LogFile,
    /// It looks like a notification, and something in it is missing or wrong.
    Malformed,
}

impl ForeignKind {
    /// A short name for metrics.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Text => "text",
            Self::Json => "json",
            Self::Sns => "sns",
            Self::EventBridge => "eventbridge",
            Self::LogFile => "log_file",
            Self::Malformed => "malformed",
        }
    }
}

impl fmt::Display for ForeignKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// Characters of a body that are quoted at once.
const QUOTED: usize = 60;
/// Names of fields that are quoted.
const NAMES: usize = 5;

impl Foreign {
    pub(super) fn new(kind: ForeignKind, description: impl Into<String>) -> Self {
        Foreign { kind, description: description.into() }
    }

    pub(super) fn malformed(description: impl Into<String>) -> Self {
        Self::new(ForeignKind::Malformed, description)
    }

    /// What is no JSON, or none that we read.
    pub(super) fn text(body: &str, error: &serde_json::Error) -> Self {
        if body.is_empty() {
            return Self::new(ForeignKind::Text, "an empty text");
        }
        if body.starts_with(['{', '[']) {
            return Self::malformed(format!("JSON that cannot be read: {error}"));
        }
        Self::new(ForeignKind::Text, format!("a text: {}", quoted(body)))
    }

    /// A JSON object of somebody else.
    pub(super) fn of_object(object: &Map<String, Value>) -> Self {
        let text = |name: &str| object.get(name).and_then(Value::as_str);
        if let Some(detail_type) = text("detail-type") {
            let source = quoted(text("source").unwrap_or_default());
            let description = format!("an EventBridge event: {} of {source}", quoted(detail_type));
            return Self::new(ForeignKind::EventBridge, description);
        }
        if let (Some(kind), Some(_)) = (text("Type"), text("TopicArn")) {
            return Self::new(ForeignKind::Sns, format!("an SNS message: {}", quoted(kind)));
        }
        let names: Vec<_> = object.keys().take(NAMES).map(|name| quoted(name)).collect();
        let more = if object.len() > NAMES { ", …" } else { "" };
        Self::new(ForeignKind::Json, format!("a JSON object of {}{more}", names.join(", ")))
    }

    /// An entry of `Records` that is no event of S3.
    pub(super) fn of_record(record: &Map<String, Value>) -> Self {
        let source = record.get("eventSource").and_then(Value::as_str).unwrap_or_default();
        if record.contains_key("eventID") || record.contains_key("eventCategory") {
            let description = format!("CloudTrail records, not news of them; eventSource {}", quoted(source));
            return Self::new(ForeignKind::LogFile, description);
        }
        Self::new(ForeignKind::Json, format!("Records of {}, not of S3", quoted(source)))
    }
}

/// The beginning of a text, in quotation marks, with nothing that a terminal would obey.
fn quoted(text: &str) -> String {
    let start: String = text.chars().take(QUOTED).collect();
    let dots = if start.len() < text.len() { "…" } else { "" };
    format!("\"{}{dots}\"", escape(&start, false))
}
