//! What somebody might do to the bucket after the digests were signed, each to be found by validation.
//!
//! Every kind picks its victim among the objects of the second half, so that digests follow it.

use super::delivery::gzip;
use super::{GeneratedObject, Options};
use crate::digest::Signature;
use crate::object::ObjectKind;
use crate::validation::inflate;
use anyhow::{Context as _, Result, ensure};
use serde::Deserialize;
use serde_json::value::RawValue;
use std::fmt;
use std::str::FromStr;

/// A way to tamper with the bucket.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Tamper {
    /// Removes a record from a log file.
    ModifyLog,
    /// Deletes a log file.
    DeleteLog,
    /// Adds a log file that CloudTrail did not write.
    InjectLog,
    /// Deletes a digest.
    DeleteDigest,
    /// Strikes a log file from the list of a digest.
    ModifyDigest,
    /// Exchanges the signatures of two digests.
    SwapSignature,
}

impl Tamper {
    /// All kinds.
    pub const ALL: [Self; 6] = [
        Self::ModifyLog,
        Self::DeleteLog,
        Self::InjectLog,
        Self::DeleteDigest,
        Self::ModifyDigest,
        Self::SwapSignature,
    ];

    /// Returns the name, as on the command line.
    pub const fn name(self) -> &'static str {
        match self {
            Self::ModifyLog => "modify-log",
            Self::DeleteLog => "delete-log",
            Self::InjectLog => "inject-log",
            Self::DeleteDigest => "delete-digest",
            Self::ModifyDigest => "modify-digest",
            Self::SwapSignature => "swap-signature",
        }
    }

    const fn is_about_digests(self) -> bool {
        matches!(self, Self::DeleteDigest | Self::ModifyDigest | Self::SwapSignature)
    }
}

impl fmt::Display for Tamper {
    fn fmt(&self, f: &mut fmt::Formatter) -> fmt::Result {
        f.write_str(self.name())
    }
}

impl FromStr for Tamper {
    type Err = String;

    fn from_str(name: &str) -> Result<Self, String> {
        let found = Self::ALL.into_iter().find(|kind| kind.name() == name);
        let names = Self::ALL.map(Self::name).join(", ");
        found.ok_or_else(|| format!("unknown kind {name:?}: use one of {names}"))
    }
}

/// What was done, and to which object.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Tampered {
    /// What was done.
    pub kind: Tamper,
    /// Key of the object.
    pub key: String,
}

/// Sees every object on its way out, and tampers with some.
pub(super) struct Tamperer {
    from: chrono::NaiveDate,
    place: Option<(String, String)>,
    todo: Vec<Tamper>,
    /// The first of two digests that exchange their signatures.
    held: Option<GeneratedObject>,
    pub(super) done: Vec<Tampered>,
}

impl Tamperer {
    pub(super) fn new(options: &Options) -> Self {
        let half = chrono::Days::new(u64::from(options.days / 2));
        let from = options.start.checked_add_days(half).unwrap_or(options.start);
        let (place, todo) = (options.tamper_in.clone(), options.tamper.clone());
        Self { from, place, todo, held: None, done: Vec::new() }
    }

    /// Takes an object and returns what is in the bucket in its place.
    pub(super) fn take(&mut self, object: GeneratedObject) -> Result<Vec<GeneratedObject>> {
        if self.todo.is_empty() && self.held.is_none() {
            return Ok(vec![object]);
        }
        let (is_digest, is_early, place) = match ObjectKind::of(&object.key) {
            // A backfill digest is alone in its chain: nothing would tell that it had been there.
            ObjectKind::Digest(key) if !key.backfill => {
                let is_early = key.end_time.date_naive() < self.from || is_first_hour(&key.end_time);
                (true, is_early, (key.account_id, key.region))
            }
            ObjectKind::Log(key) => (false, key.date < self.from, (key.account_id, key.region)),
            _ => return Ok(vec![object]),
        };
        if is_early || self.place.as_ref().is_some_and(|wanted| *wanted != place) {
            return Ok(vec![object]);
        }
        if is_digest && let Some(held) = self.held.take() {
            return Ok(swap_signatures(held, object));
        }
        let fits = |kind: &Tamper| {
            kind.is_about_digests() == is_digest && (*kind != Tamper::ModifyLog || object.records > 1)
        };
        let Some(at) = self.todo.iter().position(fits) else { return Ok(vec![object]) };
        let kind = self.todo.remove(at);
        self.done.push(Tampered { kind, key: object.key.clone() });
        self.apply(kind, object)
    }

    fn apply(&mut self, kind: Tamper, object: GeneratedObject) -> Result<Vec<GeneratedObject>> {
        match kind {
            Tamper::DeleteLog | Tamper::DeleteDigest => Ok(Vec::new()),
            Tamper::ModifyLog => Ok(vec![without_last_record(object)?]),
            Tamper::InjectLog => {
                let forged = forged_log(&object)?;
                if let Some(done) = self.done.last_mut() {
                    done.key.clone_from(&forged.key);
                }
                Ok(vec![object, forged])
            }
            Tamper::ModifyDigest => Ok(vec![with_less_listed(object)?]),
            Tamper::SwapSignature => {
                self.held = Some(object);
                Ok(Vec::new())
            }
        }
    }

    /// Ends; fails if there was no object for one of the kinds.
    pub(super) fn finish(&mut self) -> Result<Vec<GeneratedObject>> {
        ensure!(self.held.is_none(), "there is no second digest to exchange signatures with");
        ensure!(
            self.todo.is_empty(),
            "there is no object left to tamper with for {}{}: generate more days or events",
            self.todo.iter().map(|kind| kind.name()).collect::<Vec<_>>().join(", "),
            self.place
                .as_ref()
                .map_or_else(String::new, |(account, region)| format!(" in {account}/{region}")),
        );
        Ok(Vec::new())
    }
}

/// The very first digest has none before it, so its deletion would look like a later start.
fn is_first_hour(end: &chrono::DateTime<chrono::Utc>) -> bool {
    chrono::Timelike::hour(end) == 0
}

#[derive(Deserialize)]
struct Records<'a> {
    #[serde(borrow, rename = "Records")]
    records: Vec<&'a RawValue>,
}

fn edit_log(object: &GeneratedObject, edit: impl FnOnce(&mut Vec<String>)) -> Result<(Vec<u8>, u64)> {
    let text = inflate(&object.bytes).context("unpacking a log file just written")?;
    let parsed: Records = serde_json::from_slice(&text).context("reading a log file just written")?;
    let mut records = parsed.records.iter().map(|record| record.get().to_owned()).collect();
    edit(&mut records);
    let text = format!("{{\"Records\":[{}]}}", records.join(","));
    let name = object.key.rsplit('/').next().unwrap_or_default();
    Ok((gzip(name, text.as_bytes())?, records.len() as u64))
}

fn without_last_record(mut object: GeneratedObject) -> Result<GeneratedObject> {
    (object.bytes, object.records) = edit_log(&object, |records| {
        records.pop();
    })?;
    Ok(object)
}

/// A copy of the first record with another id, in a file with another name.
fn forged_log(object: &GeneratedObject) -> Result<GeneratedObject> {
    let (stem, _) = object.key.rsplit_once('_').context("a log file's key has underscores")?;
    let key = format!("{stem}_f0rgedf0rgedf0rg.json.gz");
    let renamed = GeneratedObject { key, ..object.clone() };
    let (bytes, records) = edit_log(&renamed, |records| {
        records.truncate(1);
        for record in records {
            if let Some(at) = record.find("\"eventID\":\"") {
                record.replace_range(at + 11..at + 19, "f0f0f0f0");
            }
        }
    })?;
    Ok(GeneratedObject { bytes, records, ..renamed })
}

/// Strikes the last log file from the list, so that it could be deleted unnoticed; from an empty digest a
/// field that means nothing.
fn with_less_listed(mut object: GeneratedObject) -> Result<GeneratedObject> {
    let text = inflate(&object.bytes).context("unpacking a digest just written")?;
    let mut text = String::from_utf8(text).context("reading a digest just written")?;
    let at = text.find("\"logFiles\":[").context("a digest lists log files")?;
    let entries_end = text.len() - 2;
    match text[at..entries_end].rfind("{\"s3Bucket\"") {
        Some(last) => {
            let start = at + last - usize::from(text[..at + last].ends_with(','));
            text.replace_range(start..entries_end, "");
        }
        None => text = text.replacen("\"newestEventTime\":null,", "", 1),
    }
    let name = object.key.rsplit('/').next().unwrap_or_default().to_owned();
    object.bytes = gzip(&name, text.as_bytes())?;
    Ok(object)
}

fn swap_signatures(mut one: GeneratedObject, mut other: GeneratedObject) -> Vec<GeneratedObject> {
    if let (Some(a), Some(b)) =
        (one.metadata.get_mut(Signature::METADATA), other.metadata.get_mut(Signature::METADATA))
    {
        std::mem::swap(a, b);
    }
    vec![one, other]
}
