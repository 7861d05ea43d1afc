//! The AWS CLI's way through the digests: from the newest in a listing, along the links, and back to the
//! listing where a link leads nowhere. Exactly its way, since what it does not look at it does not report.

use std::collections::{HashMap, HashSet};
use std::sync::Arc;

use chrono::{DateTime, TimeDelta, Utc};
use tokio_util::task::AbortOnDropHandle;

use super::bucket::GetError;
use super::check::StoredObject;
use super::dates;
use super::fetched::{Checked, Entry, Parsed, Rejected, cannot_parse};
use super::finding::{Finding, Kind, Told, Verdict, display};
use super::judge::{judge, unsigned};
use super::keys::Keys;
use super::run::{Fatal, Producer, Step, Stop};
use super::seen::{Fact, Seen};
use super::target::{compact, date_in_name, is_backfill};
use crate::object::ObjectRef;

/// What looking at a digest gave.
pub(super) enum Loaded {
    Holds(Box<Checked>),
    Rejected(Rejected),
    Missing,
    Unreadable(String),
}

/// Digests fetched ahead.
const AHEAD: usize = 12;

pub(super) struct Walker<'a> {
    producer: &'a Producer,
    seen: Seen,
    /// Standard and backfill digests of each listing, taken out as they are walked.
    listings: HashMap<(String, DateTime<Utc>), [Vec<String>; 2]>,
    ahead: HashMap<ObjectRef, AbortOnDropHandle<Result<StoredObject, GetError>>>,
    /// The digest loaded last, if digests are kept.
    kept: Option<(ObjectRef, Arc<StoredObject>)>,
    /// Whether this goes beyond what the AWS CLI looks at.
    extra: bool,
}

impl<'a> Walker<'a> {
    pub(super) fn new(producer: &'a Producer) -> Self {
        Walker {
            producer,
            seen: Seen::default(),
            listings: HashMap::new(),
            ahead: HashMap::new(),
            kept: None,
            extra: false,
        }
    }

    /// Goes on where another walk ended, beyond what the AWS CLI looks at.
    pub(super) fn beyond(producer: &'a Producer, seen: Seen) -> Self {
        Walker { seen, extra: true, ..Walker::new(producer) }
    }

    pub(super) fn seen(&self) -> &Seen {
        &self.seen
    }

    pub(super) fn into_seen(self) -> Seen {
        self.seen
    }

    /// Walks the standard digests, or the backfill ones.
    pub(super) async fn walk(&mut self, backfill: bool) -> Result<(), Stop> {
        let producer = self.producer;
        let (start, end) = (producer.options.start, producer.options.end);
        let mut bucket = producer.target.bucket.clone();
        let mut listing = self.listing(&bucket, end, backfill).await?;
        let mut keys = Keys::new();
        if !backfill && producer.signed() {
            keys = self.load_keys(start, end + TimeDelta::hours(2)).await?.map_err(Fatal::data)?;
            self.seen.keys.clone_from(&keys);
        }
        producer.send(Step::Digests(listing.len())).await?;
        // Signed digests cannot lead in a circle. Unsigned ones can.
        let mut visited = HashSet::new();
        let Some((mut key, mut last_start)) = newest(&mut listing).map_err(Fatal::data)? else {
            return Ok(());
        };
        while start <= last_start {
            let object = ObjectRef::new(&bucket, &key);
            if !visited.insert(object.clone()) {
                break;
            }
            self.fetch_ahead(&object, &listing);
            let loaded = self.load(&object, &mut keys, backfill).await?;
            let next = if let Loaded::Holds(checked) = loaded {
                last_start = checked.start;
                self.holds(&object, &checked, backfill).await?;
                match &checked.previous {
                    Some(previous) => {
                        if previous.bucket != bucket {
                            previous.bucket.clone_into(&mut bucket);
                            self.ahead.clear();
                            listing = self.listing(&bucket, checked.end, backfill).await?;
                        }
                        Some(previous.key.clone())
                    }
                    None => self.after_chain_start(&object, &mut listing, last_start, backfill).await?,
                }
            } else {
                self.fails(&object, loaded, backfill).await?;
                before(&mut listing, &key).map_err(Fatal::data)?.map(|(key, _)| key)
            };
            let Some(next) = next else { break };
            key = next;
        }
        Ok(())
    }

    /// Where a chain begins, the walk goes on with the digest before it in the listing, over a gap.
    async fn after_chain_start(
        &mut self,
        object: &ObjectRef,
        listing: &mut Vec<String>,
        last_start: DateTime<Utc>,
        backfill: bool,
    ) -> Result<Option<String>, Stop> {
        match before(listing, &object.key) {
            Ok(Some((key, end))) => {
                let mut gap = self.producer.finding(Kind::Hours, None, Verdict::Note);
                (gap.start, gap.end, gap.told) = (Some(end), Some(last_start), Told::Gap { backfill });
                gap.digest = Some(object.clone());
                gap.reason = Some("the chain of digests begins again".to_owned());
                self.producer.found(gap).await?;
                Ok(Some(key))
            }
            Ok(None) => Ok(None),
            // The AWS CLI counts this against the digest that it has just called valid.
            Err(message) => {
                let rejected = Loaded::Rejected(Rejected { told: message, detail: None });
                self.fails(object, rejected, backfill).await?;
                Ok(before(listing, &object.key).map_err(Fatal::data)?.map(|(key, _)| key))
            }
        }
    }

    /// Loads and checks a digest.
    pub(super) async fn load(
        &mut self,
        object: &ObjectRef,
        keys: &mut Keys,
        backfill: bool,
    ) -> Result<Loaded, Stop> {
        let fetched = match self.ahead.remove(object) {
            Some(handle) => handle.await.map_err(|error| Fatal::access(&error))?,
            None => self.producer.context.bucket.get(object).await,
        };
        let strict = self.producer.options.strict;
        let stored = match fetched {
            Ok(stored) => stored,
            Err(GetError::NotFound) => return Ok(Loaded::Missing),
            Err(error) if strict => return Ok(Loaded::Unreadable(error.to_string())),
            Err(GetError::Api(error)) if error.code().is_some() => return Err(Fatal::access(&error).into()),
            Err(error) => return Ok(Loaded::Rejected(Rejected { told: error.to_string(), detail: None })),
        };
        let checked = self.check(object, &stored, keys, backfill).await?;
        if self.producer.options.keep_digests {
            self.keep(object, stored);
        }
        Ok(match checked {
            Ok(checked) => Loaded::Holds(Box::new(checked)),
            Err(rejected) => Loaded::Rejected(rejected),
        })
    }

    async fn check(
        &mut self,
        object: &ObjectRef,
        stored: &StoredObject,
        keys: &mut Keys,
        backfill: bool,
    ) -> Result<Result<Checked, Rejected>, Stop> {
        let parsed = match Parsed::read(object, stored, self.producer.signed()) {
            Ok(parsed) => parsed,
            Err(rejected) => return Ok(Err(rejected)),
        };
        if !self.producer.signed() {
            return Ok(parsed.unverified());
        }
        let fingerprint = parsed.fingerprint();
        if backfill && !keys.contains_key(&fingerprint) {
            let generated = match parsed.generated() {
                Ok(generated) => generated,
                Err(rejected) => return Ok(Err(rejected)),
            };
            let hour = TimeDelta::hours(1);
            match self.load_keys(generated - hour, generated + hour).await? {
                Ok(more) => {
                    self.seen.keys.extend(more.clone());
                    keys.extend(more);
                }
                Err(told) => return Ok(Err(Rejected { told, detail: None })),
            }
        }
        let Some(key) = keys.get(&fingerprint) else {
            let home = &self.producer.target.home_region;
            let told = format!("public key not found in region {home} for fingerprint {fingerprint}");
            return Ok(Err(Rejected { told, detail: None }));
        };
        Ok(parsed.verify(key))
    }

    /// The keys of a time; the inner error is that there are none.
    async fn load_keys(
        &self,
        start: DateTime<Utc>,
        end: DateTime<Utc>,
    ) -> Result<Result<Keys, String>, Stop> {
        let source = &self.producer.context.keys;
        let keys = source
            .between(self.producer.key_region(), start, end)
            .await
            .map_err(|error| Fatal::access(&error))?;
        if keys.is_empty() {
            let (start, end) = (display(start), display(end));
            return Ok(Err(format!("No public keys found between {start} and {end}")));
        }
        Ok(Ok(keys))
    }

    fn keep(&mut self, object: &ObjectRef, stored: StoredObject) {
        self.kept = Some((object.clone(), Arc::new(stored)));
    }

    fn kept_of(&mut self, object: &ObjectRef) -> Option<Arc<StoredObject>> {
        self.kept.take().filter(|(kept, _)| kept == object).map(|(_, stored)| stored)
    }

    /// Tells of a digest that holds, and begins to fetch the log files that it lists.
    pub(super) async fn holds(
        &mut self,
        object: &ObjectRef,
        checked: &Checked,
        backfill: bool,
    ) -> Result<(), Stop> {
        let verdict = match (&checked.strict, self.producer.signed()) {
            (Some(_), _) if self.producer.options.strict => Verdict::Invalid,
            (_, false) => Verdict::Unproven,
            _ => Verdict::Valid,
        };
        let mut finding = self.producer.finding(kind(backfill), Some(object.clone()), verdict);
        finding.told = if self.producer.signed() { Told::Valid } else { Told::Nothing };
        finding.reason = match verdict {
            Verdict::Invalid => checked.strict.clone(),
            Verdict::Unproven => Some("there is no signature at hand".to_owned()),
            _ => None,
        };
        (finding.start, finding.end) = (Some(checked.start), Some(checked.end));
        finding.sha256 = Some(checked.hash.clone());
        finding.public_key_fingerprint = Some(checked.fingerprint.clone());
        finding.stored = self.kept_of(object);
        self.tell(finding).await?;
        let fact = match verdict {
            Verdict::Invalid => Fact::Fails,
            _ => Fact::Holds(Box::new(Checked { log_files: Ok(Vec::new()), ..checked.clone() })),
        };
        self.note(object, fact);
        let entries = match &checked.log_files {
            Ok(entries) => entries,
            Err(message) => return Err(Fatal::data(message.clone()).into()),
        };
        for entry in entries {
            if self.producer.options.strict && verdict != Verdict::Invalid {
                self.seen.log_files.insert(&entry.object);
            }
            self.start_log_file(object, checked, entry).await?;
        }
        Ok(())
    }

    /// Notes what a digest of another trail lists: two trails may write to one folder.
    pub(super) async fn take_inventory(&mut self, object: &ObjectRef, keys: &mut Keys) -> Result<(), Stop> {
        let loaded = self.load(object, keys, is_backfill(&object.key)).await?;
        self.kept = None;
        if let Loaded::Holds(checked) = loaded {
            for entry in checked.log_files.iter().flatten() {
                self.seen.log_files.insert(&entry.object);
            }
        }
        Ok(())
    }

    /// Tells of a digest that does not hold.
    pub(super) async fn fails(
        &mut self,
        object: &ObjectRef,
        loaded: Loaded,
        backfill: bool,
    ) -> Result<(), Stop> {
        let (verdict, told, reason) = match loaded {
            Loaded::Missing => {
                (Verdict::Missing, Told::Invalid("not found".to_owned()), "not found".to_owned())
            }
            Loaded::Rejected(Rejected { told, detail }) => {
                let reason = detail.map_or_else(|| told.clone(), |detail| format!("{told}: {detail}"));
                (Verdict::Invalid, Told::Invalid(told), reason)
            }
            Loaded::Unreadable(reason) => (Verdict::Unreadable, Told::Nothing, reason),
            Loaded::Holds(_) => return Ok(()),
        };
        let fact = if verdict == Verdict::Missing { Fact::Missing } else { Fact::Fails };
        let mut finding = self.producer.finding(kind(backfill), Some(object.clone()), verdict);
        (finding.told, finding.reason) = (told, Some(reason));
        finding.stored = self.kept_of(object);
        self.note(object, fact);
        self.tell(finding).await
    }

    /// Keeps what strict checks will ask for.
    fn note(&mut self, object: &ObjectRef, fact: Fact) {
        if self.producer.options.strict {
            self.seen.digests.insert(object.clone(), fact);
        }
    }

    async fn tell(&self, mut finding: Finding) -> Result<(), Stop> {
        if self.extra {
            (finding.told, finding.strict_only) = (Told::Nothing, true);
        }
        Ok(self.producer.found(finding).await?)
    }

    async fn start_log_file(&self, digest: &ObjectRef, checked: &Checked, entry: &Entry) -> Result<(), Stop> {
        let producer = self.producer;
        let mut finding = producer.finding(Kind::LogFile, Some(entry.object.clone()), Verdict::Valid);
        finding.digest = Some(digest.clone());
        (finding.start, finding.end) = (Some(checked.start), Some(checked.end));
        finding.expected_sha256.clone_from(&entry.hash);
        finding.strict_only = self.extra;
        let (signed, strict) = (producer.signed(), producer.options.strict);
        let limits = producer.options.limits.clone();
        let context = Arc::clone(&producer.context);
        let object = entry.object.clone();
        let Ok(permit) = Arc::clone(&producer.permits).acquire_owned().await else { return Err(Stop::Gone) };
        let task = tokio::spawn(async move {
            let hashed = context.bucket.hash(&object, &limits).await;
            drop(permit);
            let judged = judge(finding, hashed, strict);
            judged.map(|finding| if signed { finding } else { unsigned(finding) })
        });
        Ok(producer.send(Step::Pending(AbortOnDropHandle::new(task))).await?)
    }

    /// Begins to fetch the digests that the walk will most likely come to.
    fn fetch_ahead(&mut self, object: &ObjectRef, listing: &[String]) {
        let older = listing.partition_point(|key| key.as_str() < object.key.as_str());
        let coming = listing[..older].iter().rev().take(AHEAD);
        let coming = coming.map(|key| ObjectRef::new(&object.bucket, key));
        let wanted: HashSet<ObjectRef> = coming.chain([object.clone()]).collect();
        self.ahead.retain(|object, _| wanted.contains(object));
        for object in wanted {
            let context = Arc::clone(&self.producer.context);
            self.ahead.entry(object.clone()).or_insert_with(|| {
                AbortOnDropHandle::new(tokio::spawn(async move { context.bucket.get(&object).await }))
            });
        }
    }

    /// Digests of a bucket between the start and `end`, as the AWS CLI lists them.
    async fn listing(
        &mut self,
        bucket: &str,
        end: DateTime<Utc>,
        backfill: bool,
    ) -> Result<Vec<String>, Stop> {
        let at = (bucket.to_owned(), end);
        if !self.listings.contains_key(&at) {
            let listed = self.list(bucket, end).await?;
            self.listings.insert(at.clone(), listed);
        }
        let listing =
            self.listings.get_mut(&at).map(|lists| std::mem::take(&mut lists[usize::from(backfill)]));
        Ok(listing.unwrap_or_default())
    }

    async fn list(&self, bucket: &str, end: DateTime<Utc>) -> Result<[Vec<String>; 2], Stop> {
        let target = &self.producer.target;
        let start = self.producer.options.start;
        let pattern = target.pattern().map_err(|error| Fatal::data(error.to_string()))?;
        let (first, last) = (compact(start), compact(end + TimeDelta::hours(1)));
        let mut lists = [Vec::new(), Vec::new()];
        let source = &self.producer.context.bucket;
        let (folder, marker) = (target.digest_folder(), target.marker(start));
        let mut pages =
            source.list(bucket, &folder, &marker, false).await.map_err(|error| Fatal::access(&error))?;
        while let Some(page) = pages.next().await.map_err(|error| Fatal::access(&error))? {
            for key in page.keys.into_iter().filter(|key| pattern.is_match(key)) {
                let date = date_in_name(&key);
                if date > last {
                    return Ok(lists);
                }
                if date >= first {
                    lists[usize::from(is_backfill(&key))].push(key);
                }
            }
        }
        Ok(lists)
    }
}

/// Takes the newest digest out of a listing.
fn newest(listing: &mut Vec<String>) -> Result<Option<(String, DateTime<Utc>)>, String> {
    let Some(key) = listing.pop() else { return Ok(None) };
    let date = date_of(&key)?;
    Ok(Some((key, date)))
}

/// Takes digests out of a listing until one is older than `key`.
fn before(listing: &mut Vec<String>, key: &str) -> Result<Option<(String, DateTime<Utc>)>, String> {
    if listing.is_empty() {
        return Ok(None);
    }
    let date = date_of(key)?;
    while let Some((next, end)) = newest(listing)? {
        if end < date {
            return Ok(Some((next, end)));
        }
    }
    Ok(None)
}

fn date_of(key: &str) -> Result<DateTime<Utc>, String> {
    let date = date_in_name(key);
    dates::parse(&date).map(dates::Typed::as_the_cli_does).ok_or_else(|| cannot_parse(&date))
}

fn kind(backfill: bool) -> Kind {
    if backfill { Kind::BackfillDigest } else { Kind::Digest }
}
