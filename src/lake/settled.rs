//! Which files of `events` need no judging, since the verdict on their rows is known, but for a few log files
//! that are named: a summary of verdicts, kept in the lake as a cache.
//!
//! Facts stay stored and verdicts derived. The summary, `_verdicts/settled.json`, says of a Parquet file of
//! `events` what judging has found out about its log files, and names what it was found out from: the
//! Parquet files that the ledger and the digests of those days were read from, by a hash of their names. Such
//! a file is never changed, only replaced by another. So whatever comes later (a digest, a log file, another
//! revision of one, rows that were withdrawn, even files that were merely joined) makes another hash, and
//! an entry with the wrong hash counts for nothing: the query judges for itself.
//!
//! A file is judged by what a query about this file alone would judge it by. Only what time alone cannot change
//! is written down, and only of files whose log files were read from the file itself. Who [`settle`]s may be killed, be late, or be several at once: the worst is an entry that
//! does not count. A summary that is broken, or of another version, is as good as none.
//!
//! It proves nothing by itself, no more than the ledger does: who may write to the lake may write it.
//! `trailq lake check` judges anew and tells where the summary says something else.
//!
//! [`settle`]: super::settle

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;

use anyhow::{Context, Result, bail};
use chrono::{DateTime, Utc};
use deltalake::logstore::object_store::{Error as StoreError, ObjectStore, ObjectStoreExt, path::Path};
use serde::{Deserialize, Serialize};
use tracing::warn;

use super::dates::Dates;
use super::facts::{Facts, Fingerprint};
use super::table::DataFile;
use crate::hex;
use crate::integrity::{Basis, Verdict};
use crate::output::causes;

/// The summary's name in the lake.
pub(crate) const NAME: &str = "_verdicts/settled.json";

/// Changes whenever judging does, or what a fingerprint is made of.
const VERSION: u32 = 1;

/// What a reader takes into memory: room for half a million files.
const MAX_BYTES: u64 = 64 << 20;

/// What stands for files that are not settled.
const UNSETTLED: &str = "unsettled";

/// Where the summary lies.
pub(crate) type Place = (Arc<dyn ObjectStore>, Path);

/// What was found out about files of `events`, by their paths.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Summary {
    entries: HashMap<String, Entry>,
}

/// What was found out about one, and from what.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Entry {
    pub(crate) found: Found,
    pub(crate) basis: Basis,
    pub(crate) facts: Fingerprint,
}

/// What the log files of a file's rows have in common.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Found {
    /// Nearly all have one verdict.
    Settled(Common),
    /// Too many have another, or time may change one. It is noted so that nobody judges it again in vain.
    Unsettled,
}

/// The verdict on all rows of a file but those of some log files.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Common {
    pub(crate) verdict: Verdict,
    pub(crate) except: Arc<BTreeMap<String, Verdict>>,
}

impl Entry {
    /// The verdict on nearly every row.
    pub(crate) fn common(&self) -> Option<&Common> {
        match &self.found {
            Found::Settled(common) => Some(common),
            Found::Unsettled => None,
        }
    }
}

/// The summary as it is written: files with the same to say together.
#[derive(Debug, Deserialize, Serialize)]
struct Content {
    version: u32,
    written_at: DateTime<Utc>,
    written_by: String,
    groups: Vec<Group>,
}

#[derive(Debug, Deserialize, Serialize)]
struct Group {
    verdict: String,
    basis: String,
    facts: String,
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    except: BTreeMap<String, String>,
    files: Vec<String>,
}

/// What another version has as well.
#[derive(Debug, Deserialize)]
struct Versioned {
    version: u32,
}

impl Summary {
    /// Reads the summary of a lake. One that cannot be read costs time, so it is told and that is all.
    pub(crate) async fn load(place: &Place) -> Self {
        match read(place).await {
            Ok(summary) => summary.unwrap_or_default(),
            Err(error) => {
                let error = causes(&error);
                warn!(error, "the summary of verdicts is not used; `trailq lake optimize` writes a new one");
                Self::default()
            }
        }
    }

    /// Writes it in place of the one before, which nobody sees half of.
    pub(crate) async fn store(&self, (store, path): &Place, written_by: &str) -> Result<()> {
        let bytes = serde_json::to_vec(&self.written(written_by.to_owned()))?;
        store.put(path, bytes.into()).await.with_context(|| format!("writing {path}"))?;
        Ok(())
    }

    /// Notes what was found out about a file.
    pub(crate) fn insert(&mut self, file: &DataFile, entry: Entry) {
        self.entries.insert(file.path.to_string(), entry);
    }

    /// Whether there is something about a file, be it of use or not.
    pub(crate) fn knows(&self, file: &DataFile) -> bool {
        self.entries.contains_key(file.path.as_ref())
    }

    /// How many files are settled.
    pub(crate) fn num_settled(&self) -> usize {
        self.entries.values().filter(|entry| entry.common().is_some()).count()
    }

    /// What still holds of it, by the facts of a lake.
    pub(crate) fn holding<'a>(&'a self, facts: &'a Facts, now: DateTime<Utc>) -> Holding<'a> {
        Holding { summary: self, facts, now, known: HashMap::new() }
    }

    fn written(&self, written_by: String) -> Content {
        let mut groups: BTreeMap<(Option<&Common>, Basis, Fingerprint), Vec<String>> = BTreeMap::new();
        for (path, entry) in &self.entries {
            groups.entry((entry.common(), entry.basis, entry.facts)).or_default().push(path.clone());
        }
        let group =
            |((common, basis, facts), mut files): ((Option<&Common>, Basis, Fingerprint), Vec<String>)| {
                files.sort_unstable();
                let word = |verdict: Verdict| verdict.as_str().to_owned();
                let except = common.into_iter().flat_map(|common| common.except.iter());
                Group {
                    verdict: common.map_or(UNSETTLED.to_owned(), |common| word(common.verdict)),
                    basis: basis.as_str().to_owned(),
                    facts: hex::encode(&facts),
                    except: except.map(|(log_file, verdict)| (log_file.clone(), word(*verdict))).collect(),
                    files,
                }
            };
        let groups = groups.into_iter().map(group).collect();
        Content { version: VERSION, written_at: Utc::now(), written_by, groups }
    }

    fn parse(bytes: &[u8]) -> Result<Self> {
        let Versioned { version } = serde_json::from_slice(bytes)?;
        if version != VERSION {
            bail!("it is of version {version}, and this trailq knows {VERSION}");
        }
        let written: Content = serde_json::from_slice(bytes)?;
        let mut entries = HashMap::new();
        for group in written.groups {
            let entry = group.entry()?;
            entries.extend(group.files.into_iter().map(|path| (path, entry.clone())));
        }
        Ok(Self { entries })
    }
}

impl Group {
    fn entry(&self) -> Result<Entry> {
        let found = match self.verdict.as_str() {
            UNSETTLED => Found::Unsettled,
            word => {
                let except =
                    self.except.iter().map(|(log_file, word)| Ok((log_file.clone(), verdict(word)?)));
                let except = Arc::new(except.collect::<Result<_>>()?);
                Found::Settled(Common { verdict: verdict(word)?, except })
            }
        };
        let basis = Basis::parse(&self.basis).context("no such basis")?;
        let facts = hex::decode_array(&self.facts).context("no fingerprint")?;
        Ok(Entry { found, basis, facts })
    }
}

fn verdict(word: &str) -> Result<Verdict> {
    let verdict = Verdict::parse(word).filter(|verdict| verdict.is_final());
    verdict.with_context(|| format!("{word:?} is no verdict that stays"))
}

async fn read((store, path): &Place) -> Result<Option<Summary>> {
    let found = match store.get(path).await {
        Ok(found) => found,
        Err(StoreError::NotFound { .. }) => return Ok(None),
        Err(error) => return Err(error).with_context(|| format!("reading {path}")),
    };
    if found.meta.size > MAX_BYTES {
        bail!("reading {path}: {} bytes are too many", found.meta.size);
    }
    let bytes = found.bytes().await.with_context(|| format!("reading {path}"))?;
    Ok(Some(Summary::parse(&bytes).with_context(|| format!("reading {path}"))?))
}

/// The entries of a summary that hold by the facts of a lake. Many files have the same dates, and so the same
/// fingerprint, which is made once.
pub(crate) struct Holding<'a> {
    summary: &'a Summary,
    facts: &'a Facts,
    now: DateTime<Utc>,
    known: HashMap<(Dates, Basis), Fingerprint>,
}

impl<'a> Holding<'a> {
    /// The entry of a file whose log files are of these dates.
    pub(crate) fn of(&mut self, file: &DataFile, dates: &Dates) -> Option<&'a Entry> {
        let summary: &'a Summary = self.summary;
        let entry = summary.entries.get(file.path.as_ref())?;
        let holds = entry.facts == self.fingerprint(dates, entry.basis) && entry.basis.stays(dates, self.now);
        holds.then_some(entry)
    }

    /// What an entry about log files of these dates is to name.
    pub(crate) fn fingerprint(&mut self, dates: &Dates, basis: Basis) -> Fingerprint {
        let made = || basis.fingerprint(self.facts, dates);
        *self.known.entry((dates.clone(), basis)).or_insert_with(made)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::integrity::Reason;

    fn summary() -> Summary {
        let entry = |found, basis, seed| Entry { found, basis, facts: [seed; 32] };
        let common = |verdict, except: &[(&str, Verdict)]| {
            let except = except.iter().map(|(name, verdict)| ((*name).to_owned(), *verdict));
            Found::Settled(Common { verdict, except: Arc::new(except.collect()) })
        };
        let altered = [("s3://b/\"odd\"\n", Verdict::Not(Reason::HashMismatch))];
        let verified = entry(common(Verdict::Verified, &[]), Basis::Near, 1);
        let entries = [
            ("event_date=2026-03-01/a.parquet", verified.clone()),
            ("event_date=2026-03-01/b.parquet", verified),
            ("c.parquet", entry(common(Verdict::Not(Reason::NotListed), &[]), Basis::Late, 2)),
            ("d.parquet", entry(Found::Unsettled, Basis::Near, 3)),
            ("e.parquet", entry(common(Verdict::Verified, &altered), Basis::Near, 1)),
        ];
        Summary { entries: entries.map(|(path, entry)| (path.to_owned(), entry)).into() }
    }

    fn json(change: impl FnOnce(&mut serde_json::Value)) -> Vec<u8> {
        let mut value = serde_json::to_value(summary().written("me".to_owned())).unwrap();
        change(&mut value);
        value.to_string().into_bytes()
    }

    #[test]
    fn a_summary_is_read_as_it_was_written() {
        assert_eq!(Summary::parse(&json(|_| {})).unwrap(), summary());
        assert_eq!(summary().num_settled(), 4);
        let groups = summary().written(String::new()).groups;
        assert_eq!(groups.iter().map(|group| group.files.len()).collect::<Vec<_>>(), [1, 2, 1, 1]);
    }

    #[test]
    fn what_is_no_summary_of_this_version_is_refused() {
        let parse = |bytes: &[u8]| Summary::parse(bytes).map(drop).unwrap_err();
        assert!(parse(&json(|value| value["version"] = 2.into())).to_string().contains("version 2"));
        // Another version may look different in everything else.
        assert!(parse(br#"{"version": 7, "groups": "none"}"#).to_string().contains("version 7"));
        for (member, odd) in [
            ("verdict", "verifiziert"),
            ("verdict", "no_digest_yet"),
            ("verdict", "key_not_found"),
            ("verdict", "deleted"),
            ("verdict", "pending"),
            ("basis", "far"),
            ("facts", "00"),
        ] {
            parse(&json(|value| value["groups"][1][member] = odd.into()));
        }
        parse(&json(|value| value["groups"][1]["except"]["s3://b/c"] = "pending".into()));
        let whole = json(|_| {});
        for len in 0..whole.len() {
            parse(&whole[..len]);
        }
    }
}
