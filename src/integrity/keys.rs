//! CloudTrail's public keys, from wherever they can be had.

use std::collections::hash_map::Entry;
use std::collections::{HashMap, HashSet};
use std::fmt;
use std::path::Path;
use std::sync::{Arc, PoisonError, RwLock};
use std::time::{Duration, Instant};

use anyhow::{Context, Result};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;
use chrono::{DateTime, SecondsFormat, TimeDelta, Utc};
use futures::future::BoxFuture;
use serde_json::json;
use tokio::sync::Mutex;
use tracing::{debug, warn};

use crate::bucket::read_public_keys;
use crate::cloudtrail::{CloudTrail, Connect};
use crate::digest::{PublicKey, PublicKeys};
use crate::lake::Lake;

/// Asks CloudTrail for the keys of a region that were in use between two times.
type LookUp = Arc<
    dyn Fn(String, DateTime<Utc>, DateTime<Utc>) -> BoxFuture<'static, Result<Vec<PublicKey>>> + Send + Sync,
>;

/// An answer that does not help is believed for so long.
const ASKED_AGAIN_AFTER: Duration = Duration::from_mins(5);

/// How far around the end of a digest's hour its key is looked for. The AWS CLI looks two hours ahead.
const AROUND: TimeDelta = TimeDelta::hours(2);

/// Public keys by fingerprint: those given, those that the lake remembers, those that CloudTrail tells.
///
/// Clones share what they know.
#[derive(Clone, Default)]
pub struct Keys {
    inner: Arc<Inner>,
}

#[derive(Default)]
struct Inner {
    known: RwLock<PublicKeys>,
    /// Fingerprints of keys that came with what they are to verify.
    of_copies: HashSet<String>,
    lake: Option<Lake>,
    look_up: Option<LookUp>,
    state: Mutex<Asked>,
}

/// What was asked for already.
#[derive(Default)]
struct Asked {
    /// By fingerprint and region; the lake's own store has no region.
    when: HashMap<(String, String), (Instant, Answer)>,
    /// Fingerprints that the lake is known to remember.
    remembered: HashSet<String>,
}

/// What came of looking for a key.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Answer {
    /// It is known now.
    Found,
    /// CloudTrail was asked, and has no such key.
    NoSuchKey,
    /// Nobody could be asked, for this reason.
    NotAnswered(String),
}

impl fmt::Debug for Keys {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Keys").finish_non_exhaustive()
    }
}

impl Keys {
    /// Keys that are at hand, and no others.
    pub fn of(known: PublicKeys) -> Self {
        let known = RwLock::new(known);
        Self { inner: Arc::new(Inner { known, ..Inner::default() }) }
    }

    /// Reads files such as `aws cloudtrail list-public-keys` prints.
    pub fn from_files<P: AsRef<Path>>(files: &[P]) -> Result<Self> {
        let mut known = PublicKeys::default();
        for file in files {
            known.extend(read_public_keys(file.as_ref())?);
        }
        Ok(Self::of(known))
    }

    /// Adds keys that lay beside a copy of a bucket. Whoever made the copy may have made them too, so the
    /// lake does not remember them.
    #[must_use]
    pub fn with_keys_of_copy(self, keys: PublicKeys) -> Self {
        self.rebuilt(|inner| {
            let known = inner.known.get_mut().unwrap_or_else(PoisonError::into_inner);
            let new: Vec<String> =
                keys.fingerprints().filter(|name| known.get(name).is_none()).cloned().collect();
            known.extend(keys);
            inner.of_copies.extend(new);
        })
    }

    /// Looks into the lake's store of keys as well, and remembers there what was used.
    #[must_use]
    pub fn with_lake(self, lake: &Lake) -> Self {
        self.rebuilt(|inner| inner.lake = Some(lake.clone()))
    }

    /// Asks CloudTrail for keys that are not at hand, by calling `look_up` with a region and a time.
    #[must_use]
    pub fn with_look_up<F, R>(self, look_up: F) -> Self
    where
        F: Fn(String, DateTime<Utc>, DateTime<Utc>) -> R + Send + Sync + 'static,
        R: Future<Output = Result<Vec<PublicKey>>> + Send + 'static,
    {
        let look_up: LookUp = Arc::new(move |region, start, end| Box::pin(look_up(region, start, end)));
        self.rebuilt(|inner| inner.look_up = Some(look_up))
    }

    /// Asks CloudTrail itself for keys that are not at hand. The region is each digest's own.
    #[must_use]
    pub fn with_cloudtrail(self, connect: Connect) -> Self {
        let clients: Arc<Mutex<HashMap<String, CloudTrail>>> = Arc::default();
        self.with_look_up(move |region, start, end| {
            let (clients, connect) = (clients.clone(), connect.clone());
            async move {
                let mut clients = clients.lock().await;
                let client = match clients.entry(region) {
                    Entry::Occupied(known) => known.into_mut(),
                    Entry::Vacant(new) => {
                        let region = Some(new.key().clone());
                        new.insert(CloudTrail::connect(&Connect { region, ..connect }).await?)
                    }
                };
                Ok(client.list_public_keys(start, end).await?)
            }
        })
    }

    fn rebuilt(self, change: impl FnOnce(&mut Inner)) -> Self {
        let known = self.with(Clone::clone);
        let mut inner = Inner {
            known: RwLock::new(known),
            of_copies: self.inner.of_copies.clone(),
            lake: self.inner.lake.clone(),
            look_up: self.inner.look_up.clone(),
            state: Mutex::default(),
        };
        change(&mut inner);
        Self { inner: Arc::new(inner) }
    }

    /// Lends the keys that are at hand.
    pub(super) fn with<T>(&self, use_them: impl FnOnce(&PublicKeys) -> T) -> T {
        use_them(&self.inner.known.read().unwrap_or_else(PoisonError::into_inner))
    }

    /// Looks for a key: at hand, in the lake, and by asking CloudTrail in each of these regions.
    pub async fn find(&self, fingerprint: &str, regions: &[&str], around: DateTime<Utc>) -> Answer {
        if self.with(|known| known.get(fingerprint).is_some()) {
            return Answer::Found;
        }
        // One at a time: a thousand digests of one new key need not all ask for it.
        let mut asked = self.inner.state.lock().await;
        if self.with(|known| known.get(fingerprint).is_some()) || self.recall(fingerprint, &mut asked).await {
            return Answer::Found;
        }
        let Some(look_up) = &self.inner.look_up else {
            return Answer::NotAnswered("it is not among the keys given".to_owned());
        };
        let mut outcome = Answer::NoSuchKey;
        let mut tried: HashSet<&str> = HashSet::new();
        for region in regions.iter().filter(|region| tried.insert(region)) {
            let subject = (fingerprint.to_owned(), (*region).to_owned());
            let fresh = asked.when.get(&subject).filter(|(when, _)| when.elapsed() < ASKED_AGAIN_AFTER);
            let answer = if let Some((_, answer)) = fresh {
                answer.clone()
            } else {
                debug!(region, fingerprint, "asking CloudTrail for a public key");
                let answer = look_up((*region).to_owned(), around - AROUND, around + AROUND).await;
                let answer = self.take(fingerprint, answer, region);
                asked.when.insert(subject, (Instant::now(), answer.clone()));
                answer
            };
            match answer {
                Answer::Found => return answer,
                Answer::NotAnswered(_) => outcome = answer,
                Answer::NoSuchKey => {}
            }
        }
        outcome
    }

    /// Takes what CloudTrail told.
    fn take(&self, fingerprint: &str, answer: Result<Vec<PublicKey>>, region: &str) -> Answer {
        match answer {
            Ok(keys) => {
                let mut known = self.inner.known.write().unwrap_or_else(PoisonError::into_inner);
                for key in keys {
                    known.insert(key);
                }
                if known.get(fingerprint).is_some() { Answer::Found } else { Answer::NoSuchKey }
            }
            Err(error) => {
                let error = format!("{error:#}");
                warn!(region, fingerprint, error, "could not look up a public key");
                Answer::NotAnswered(error)
            }
        }
    }

    /// Reads a key from the lake's store.
    async fn recall(&self, fingerprint: &str, asked: &mut Asked) -> bool {
        let Some(lake) = &self.inner.lake else { return false };
        let subject = (fingerprint.to_owned(), String::new());
        if asked.when.get(&subject).is_some_and(|(when, _)| when.elapsed() < ASKED_AGAIN_AFTER) {
            return false;
        }
        match stored(lake, fingerprint).await {
            Ok(Some(key)) => {
                self.inner.known.write().unwrap_or_else(PoisonError::into_inner).insert(key);
                asked.remembered.insert(fingerprint.to_owned());
                true
            }
            other => {
                if let Err(error) = other {
                    warn!(
                        fingerprint,
                        error = format!("{error:#}"),
                        "could not read a public key of the lake"
                    );
                }
                let nothing = Answer::NotAnswered(String::new());
                asked.when.insert(subject, (Instant::now(), nothing));
                false
            }
        }
    }

    /// Writes a key that has verified a digest into the lake's store, once.
    pub(super) async fn remember(&self, fingerprint: &str) {
        let Some(lake) = &self.inner.lake else { return };
        if self.inner.of_copies.contains(fingerprint) {
            return;
        }
        let Some(key) = self.with(|known| known.get(fingerprint).cloned()) else { return };
        if !self.inner.state.lock().await.remembered.insert(fingerprint.to_owned()) {
            return;
        }
        if let Err(error) = store(lake, &key).await {
            warn!(fingerprint, error = format!("{error:#}"), "could not remember a public key in the lake");
        }
    }
}

/// Where the lake keeps a key; nothing for what is no fingerprint, since it becomes part of a path.
fn place(fingerprint: &str) -> Option<String> {
    let is_digit = |digit: u8| digit.is_ascii_digit() || (b'a'..=b'f').contains(&digit);
    let fits = fingerprint.len() == 32 && fingerprint.bytes().all(is_digit);
    fits.then(|| format!("public_keys/{fingerprint}.json"))
}

/// Reads a key that the lake remembers, if it is the one that its name says.
async fn stored(lake: &Lake, fingerprint: &str) -> Result<Option<PublicKey>> {
    let Some(place) = place(fingerprint) else { return Ok(None) };
    let Some(json) = lake.read_file(&place).await? else { return Ok(None) };
    let keys = PublicKeys::from_json(&json).with_context(|| format!("reading {place} of the lake"))?;
    // The name in the file is not believed: `fingerprint` is computed from the key.
    Ok(keys.get(fingerprint).filter(|key| key.fingerprint == fingerprint).cloned())
}

async fn store(lake: &Lake, key: &PublicKey) -> Result<()> {
    let Some(place) = place(&key.fingerprint) else { return Ok(()) };
    let time = |time: Option<DateTime<Utc>>| time.map(|time| time.to_rfc3339_opts(SecondsFormat::Secs, true));
    let list = json!({"PublicKeyList": [{
        "Value": BASE64.encode(&key.pkcs1),
        "ValidityStartTime": time(key.validity_start),
        "ValidityEndTime": time(key.validity_end),
        "Fingerprint": key.fingerprint,
    }]});
    lake.write_file(&place, format!("{list:#}\n").into_bytes()).await
}

/// All keys that the lake remembers.
pub async fn remembered(lake: &Lake) -> Result<PublicKeys> {
    let mut keys = PublicKeys::default();
    for name in lake.file_names("public_keys").await? {
        let Some(fingerprint) = name.strip_suffix(".json") else { continue };
        if let Some(key) = stored(lake, fingerprint).await? {
            keys.insert(key);
        }
    }
    Ok(keys)
}
