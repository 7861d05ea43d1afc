//! A digest as the AWS CLI reads it: leniently here, strictly there, and with its words for what is wrong.
//!
//! The names and texts of errors are Python's where the AWS CLI prints an exception. What it lets pass and
//! should not is noted beside ([`Checked::strict`]).

use chrono::{DateTime, Utc};
use ring::signature as rsa;
use serde_json::{Map, Value};

use super::check::StoredObject;
use super::dates;
use super::gunzip::{Inflated, inflate_member};
use super::target::is_backfill;
use crate::digest::{ListedKey, Signature};
use crate::integrity::Mark;
use crate::object::ObjectRef;

/// Bytes of an inflated digest at most. One of 50,000 log files an hour has 20 MB.
const LARGEST: u64 = 64 << 20;

/// Metadata that a backfill digest has.
const GENERATED: &str = "backfill-generation-timestamp";

/// A digest that lies where it says and has all fields. Its signature is not checked yet.
pub(super) struct Parsed {
    fields: Map<String, Value>,
    inflated: Inflated,
    signature: String,
    algorithm: String,
    generated: Option<String>,
}

/// A digest whose signature holds, as far as the AWS CLI minds.
#[derive(Debug, Clone)]
pub(super) struct Checked {
    pub(super) start: DateTime<Utc>,
    pub(super) end: DateTime<Utc>,
    pub(super) hash: String,
    pub(super) signature: Mark,
    pub(super) fingerprint: String,
    pub(super) previous: Option<ObjectRef>,
    pub(super) previous_hash: Option<String>,
    pub(super) previous_signature: Mark,
    /// The log files, or what the AWS CLI says before it gives up.
    pub(super) log_files: Result<Vec<Entry>, String>,
    /// Why it does not hold after all.
    pub(super) strict: Option<String>,
    /// What its link to the digest before lacks.
    pub(super) half_a_link: Option<String>,
}

/// A log file as a digest lists it.
#[derive(Debug, Clone)]
pub(super) struct Entry {
    pub(super) object: ObjectRef,
    pub(super) hash: Option<String>,
}

/// Why a digest does not hold: what the AWS CLI says, and what else there is to say.
#[derive(Debug, Clone)]
pub(super) struct Rejected {
    pub(super) told: String,
    pub(super) detail: Option<String>,
}

impl Rejected {
    fn new(told: impl Into<String>) -> Self {
        Rejected { told: told.into(), detail: None }
    }

    fn with(told: &str, detail: impl Into<String>) -> Self {
        Rejected { told: told.to_owned(), detail: Some(detail.into()) }
    }
}

const FORMAT: &str = "invalid format";
const SIGNATURE: &str = "signature verification failed";

const REQUIRED: [&str; 6] = [
    "digestPublicKeyFingerprint",
    "digestS3Bucket",
    "digestS3Object",
    "previousDigestSignature",
    "digestEndTime",
    "digestStartTime",
];

impl Parsed {
    /// Unpacks and parses a digest. Without `signed`, metadata may be missing.
    pub(super) fn read(object: &ObjectRef, stored: &StoredObject, signed: bool) -> Result<Self, Rejected> {
        let inflated = inflate_member(&stored.bytes, LARGEST);
        let inflated = inflated.map_err(|error| Rejected::with(FORMAT, error.to_string()))?;
        let value: Value = serde_json::from_slice(&inflated.bytes)
            .map_err(|error| Rejected::with(FORMAT, format!("not JSON: {error}")))?;
        let metadata = |name: &'static str| match stored.metadata.get(name) {
            None if signed => {
                Err(Rejected::with(SIGNATURE, format!("the object has no {name} in its metadata")))
            }
            other => Ok(other.cloned().unwrap_or_default()),
        };
        let (signature, algorithm) =
            (metadata(Signature::METADATA)?, metadata(Signature::METADATA_ALGORITHM)?);
        let fields = object_of(value)?;
        let generated = stored.metadata.get(GENERATED).cloned();
        if signed && is_backfill(&object.key) && generated.is_none() {
            return Err(Rejected::with(FORMAT, format!("the object has no {GENERATED} in its metadata")));
        }
        let parsed = Parsed { fields, inflated, signature, algorithm, generated };
        if let Some(missing) = REQUIRED.into_iter().find(|name| !parsed.fields.contains_key(*name)) {
            return Err(Rejected::with(FORMAT, format!("no {missing}")));
        }
        let says = (parsed.text("digestS3Bucket"), parsed.text("digestS3Object"));
        if says != (Some(&object.bucket), Some(&object.key)) {
            return Err(Rejected::new("has been moved from its original location"));
        }
        Ok(parsed)
    }

    /// The name of the public key.
    pub(super) fn fingerprint(&self) -> String {
        self.python("digestPublicKeyFingerprint")
    }

    /// When a backfill digest was made, which is when its key was in use.
    pub(super) fn generated(&self) -> Result<DateTime<Utc>, Rejected> {
        let text = self.generated.as_deref().unwrap_or_default();
        dates::parse(text).map(dates::Typed::as_the_cli_does).ok_or_else(|| unparseable(text))
    }

    /// Verifies the signature. `key` is the one of the digest's fingerprint.
    pub(super) fn verify(self, key: &ListedKey) -> Result<Checked, Rejected> {
        let weak = self.verify_signature(key)?;
        let mut checked = self.unverified()?;
        if let Some(weak) = weak {
            checked.strict.get_or_insert(format!("signed with {weak} and not with SHA-256"));
        }
        Ok(checked)
    }

    /// The digest as it stands, signature or not.
    pub(super) fn unverified(self) -> Result<Checked, Rejected> {
        let (end, start) = (self.time("digestEndTime")?, self.time("digestStartTime")?);
        let text = |name| self.text(name).map(str::to_owned);
        let previous = match (text("previousDigestS3Bucket"), text("previousDigestS3Object")) {
            (Some(bucket), Some(key)) => Some(ObjectRef::new(bucket, key)),
            _ => None,
        };
        Ok(Checked {
            start,
            end,
            previous,
            previous_hash: text("previousDigestHashValue"),
            previous_signature: Mark::of(self.text("previousDigestSignature").unwrap_or_default()),
            log_files: self.log_files(),
            strict: self.let_pass(),
            half_a_link: self.half_a_link(),
            fingerprint: self.fingerprint(),
            hash: self.inflated.sha256,
            signature: Mark::of(&self.signature),
        })
    }

    /// What the AWS CLI does not mind.
    fn let_pass(&self) -> Option<String> {
        if self.inflated.trailing {
            return Some("more bytes follow the gzip stream".to_owned());
        }
        if !self.algorithm.is_empty() && self.algorithm != Signature::ALGORITHM {
            return Some(format!("names {:?} as the algorithm of its signature", self.algorithm));
        }
        if let Err(message) = self.log_files() {
            return Some(format!("does not list its log files as digests do: {message}"));
        }
        let is_time = |name| self.text(name).is_some_and(|text| DateTime::parse_from_rfc3339(text).is_ok());
        if let Some(name) = ["digestStartTime", "digestEndTime"].into_iter().find(|name| !is_time(name)) {
            return Some(format!("{name} is no time as CloudTrail writes it"));
        }
        let logs = self.fields.get("logFiles").and_then(Value::as_array);
        let algorithm = |log: &Value| log.get("hashAlgorithm").and_then(Value::as_str).map(str::to_owned);
        let mut others = logs.into_iter().flatten().filter_map(algorithm).filter(|name| name != "SHA-256");
        others.next().map(|name| format!("names {name:?} as the algorithm of a hash"))
    }

    /// What a link to a previous digest lacks.
    fn half_a_link(&self) -> Option<String> {
        let fields = [
            "previousDigestS3Bucket",
            "previousDigestS3Object",
            "previousDigestHashValue",
            "previousDigestSignature",
        ];
        let missing: Vec<&str> = fields.into_iter().filter(|name| self.text(name).is_none()).collect();
        let half = !missing.is_empty() && missing.len() < fields.len();
        half.then(|| format!("links to a previous digest without {}", missing.join(" and ")))
    }

    fn log_files(&self) -> Result<Vec<Entry>, String> {
        let logs = match self.fields.get("logFiles") {
            None => return Err("'logFiles'".to_owned()),
            Some(Value::Array(logs)) => logs,
            Some(Value::Null) => return Ok(Vec::new()),
            Some(_) => return Err("logFiles is not a list".to_owned()),
        };
        let field = |log: &Value, name: &str| log.get(name).and_then(Value::as_str).map(str::to_owned);
        let required = |log: &Value, name: &str| field(log, name).ok_or_else(|| format!("'{name}'"));
        let entry = |log: &Value| {
            let object = ObjectRef::new(required(log, "s3Bucket")?, required(log, "s3Object")?);
            Ok(Entry { object, hash: field(log, "hashValue") })
        };
        logs.iter().map(entry).collect()
    }

    fn verify_signature(&self, key: &ListedKey) -> Result<Option<&'static str>, Rejected> {
        let fingerprint = self.fingerprint();
        if !is_pkcs1(&key.der) {
            return Err(Rejected::new(format!("Unable to load PKCS #1 key with fingerprint {fingerprint}")));
        }
        let text = self.string_to_sign();
        let signature = unhexlify(&self.signature).map_err(Rejected::new)?;
        let holds = |algorithm: &'static rsa::RsaParameters| {
            rsa::UnparsedPublicKey::new(algorithm, &key.der).verify(text.as_bytes(), &signature).is_ok()
        };
        if holds(&rsa::RSA_PKCS1_2048_8192_SHA256) {
            return Ok(None);
        }
        let others: [(&'static rsa::RsaParameters, &'static str); 3] = [
            (&rsa::RSA_PKCS1_2048_8192_SHA1_FOR_LEGACY_USE_ONLY, "SHA-1"),
            (&rsa::RSA_PKCS1_2048_8192_SHA384, "SHA-384"),
            (&rsa::RSA_PKCS1_2048_8192_SHA512, "SHA-512"),
        ];
        let other = others.into_iter().find(|(algorithm, _)| holds(algorithm));
        other.map(|(_, name)| Some(name)).ok_or_else(|| Rejected::new(SIGNATURE))
    }

    fn string_to_sign(&self) -> String {
        let previous = match self.fields.get("previousDigestSignature") {
            None | Some(Value::Null) => "null".to_owned(),
            Some(_) => self.python("previousDigestSignature"),
        };
        let (end, bucket, key) =
            (self.python("digestEndTime"), self.python("digestS3Bucket"), self.python("digestS3Object"));
        format!("{end}\n{bucket}/{key}\n{}\n{previous}", self.inflated.sha256)
    }

    fn text(&self, name: &str) -> Option<&str> {
        self.fields.get(name).and_then(Value::as_str)
    }

    /// A field in the text that Python makes of it.
    fn python(&self, name: &str) -> String {
        match self.fields.get(name) {
            Some(Value::String(text)) => text.clone(),
            Some(Value::Bool(true)) => "True".to_owned(),
            Some(Value::Bool(false)) => "False".to_owned(),
            None | Some(Value::Null) => "None".to_owned(),
            Some(other) => other.to_string(),
        }
    }

    fn time(&self, name: &str) -> Result<DateTime<Utc>, Rejected> {
        let Some(text) = self.text(name) else {
            let kind = self.fields.get(name).map_or("NoneType", python_type);
            return Err(Rejected::new(format!("Parser must be a string or character stream, not {kind}")));
        };
        dates::parse(text).map(dates::Typed::as_the_cli_does).ok_or_else(|| unparseable(text))
    }
}

fn object_of(value: Value) -> Result<Map<String, Value>, Rejected> {
    match value {
        Value::Object(fields) => Ok(fields),
        Value::Array(_) => Err(Rejected::new("list indices must be integers or slices, not str")),
        other => {
            Err(Rejected::new(format!("'{}' object does not support item assignment", python_type(&other))))
        }
    }
}

fn python_type(value: &Value) -> &'static str {
    match value {
        Value::Null => "NoneType",
        Value::Bool(_) => "bool",
        Value::Number(number) if number.is_f64() => "float",
        Value::Number(_) => "int",
        Value::String(_) => "str",
        Value::Array(_) => "list",
        Value::Object(_) => "dict",
    }
}

/// The AWS CLI's words for a time that it cannot read.
pub(super) fn cannot_parse(text: &str) -> String {
    format!("Unable to parse date value: {text}")
}

fn unparseable(text: &str) -> Rejected {
    Rejected::new(cannot_parse(text))
}

/// Reads hex as Python does, and says in its words why not.
fn unhexlify(text: &str) -> Result<Vec<u8>, &'static str> {
    if !text.is_ascii() {
        return Err("string argument should contain only ASCII characters");
    }
    if text.len() % 2 == 1 {
        return Err("Odd-length string");
    }
    crate::hex::decode(text).ok_or("Non-hexadecimal digit found")
}

/// Whether DER begins with a sequence of two integers. A `SubjectPublicKeyInfo` does not.
fn is_pkcs1(der: &[u8]) -> bool {
    let integers = || {
        let (body, _) = crate::digest::der_value(der, 0x30)?;
        let (_, rest) = crate::digest::der_value(body, 0x02)?;
        crate::digest::der_value(rest, 0x02)
    };
    integers().is_some()
}
