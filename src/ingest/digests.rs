//! The digests among the sources: checked, put into the lake, and what follows for the log files.
//!
//! A digest is a fact like a log file, so it goes the same way into the same commits. When all is
//! loaded, the log files of the days in question are judged. What a digest lists, or links to, and the
//! listing did not show, is looked for where it should be, and put down as missing if it is not there.

use std::collections::{BTreeSet, HashMap};
use std::fs;
use std::ops::RangeInclusive;
use std::path::{Component, Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};

use anyhow::{Context, Result};
use chrono::{NaiveDate, Utc};
use tokio::sync::{Semaphore, mpsc};
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;
use tracing::warn;

use super::load::{Job, Work};
use super::{FETCHES, LOOK_UP, Options};
use crate::bucket::{METADATA_FILE, Metadata, PUBLIC_KEYS_FILE, read_metadata, read_public_keys};
use crate::cloudtrail::Connect;
use crate::integrity::{self, Audit, Checker, Keys};
use crate::lake::{DigestEntry, DigestStatus, Lake, LogFileId};
use crate::object::{DigestKey, LogKey, ObjectRef};
use crate::source::{Candidate, FoundDigest, Place};
use crate::store::{FetchError, Object, S3, read_local};

/// How to check digests.
#[derive(Debug, Clone, Default)]
pub struct DigestOptions {
    /// Files with public keys. Without any, CloudTrail is asked for those of objects, and the file beside
    /// `AWSLogs` has those of a local copy.
    pub public_keys: Vec<PathBuf>,
    /// How CloudTrail is asked.
    pub cloudtrail: Connect,
}

/// Digests are small; what is larger is none.
const LARGEST: u64 = 64 << 20;

/// A digest that is found may list and link to more; so often it is looked again.
pub(super) const ROUNDS: usize = 10;

/// What became of the digests among the sources.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Digests {
    /// Met.
    pub found: u64,
    /// Of these, known to be valid already.
    pub known: u64,
    /// Checked, by outcome; those put down as missing included.
    pub valid: u64,
    /// See [`DigestStatus::Invalid`].
    pub invalid: u64,
    /// See [`DigestStatus::Missing`].
    pub missing: u64,
    /// See [`DigestStatus::KeyNotFound`].
    pub key_not_found: u64,
    /// Not checked, since nothing says what they are copies of, or their signatures are not at hand.
    pub not_checked: u64,
    /// Why not.
    pub why_not_checked: Option<String>,
    /// Could not be fetched or read. The next run tries again.
    pub failed: u64,
    /// Log files that digests list and that are neither in the lake nor in the sources, which may be
    /// copies in part.
    pub not_here: u64,
    /// The log files of the days that were touched.
    pub audit: Option<Audit>,
}

impl Digests {
    /// Counts one that was checked.
    fn count(&mut self, status: DigestStatus) {
        *match status {
            DigestStatus::Valid => &mut self.valid,
            DigestStatus::Invalid => &mut self.invalid,
            DigestStatus::Missing => &mut self.missing,
            DigestStatus::KeyNotFound => &mut self.key_not_found,
        } += 1;
    }
}

/// What the checking of digests shares.
#[derive(Clone)]
pub(super) struct Desk {
    inner: Arc<Inner>,
}

struct Inner {
    lake: Lake,
    store: Arc<S3>,
    checker: Checker,
    options: Options,
    report: Mutex<Digests>,
    /// The days of which something new is in the lake.
    touched: Mutex<BTreeSet<NaiveDate>>,
    /// The metadata file above a directory, if there is any.
    sidecars: Mutex<HashMap<PathBuf, Option<Arc<Sidecar>>>>,
}

/// A `digest-metadata.json`, and the directory that it is in.
struct Sidecar {
    root: PathBuf,
    metadata: Metadata,
}

/// A digest at hand, or why it is not.
enum Read {
    Object(Object),
    NotFound,
    NotChecked(&'static str),
    Failed(anyhow::Error),
}

const NO_NAME: &str =
    "a digest is signed for the place where it was written: say with --as which bucket this is a copy of";
const NO_SIDECAR: &str = "their signatures are metadata of the objects, which a copy loses: put digest-metadata.json beside AWSLogs";

impl Desk {
    pub(super) fn new(
        lake: &Lake,
        store: &Arc<S3>,
        options: &Options,
        digests: &DigestOptions,
    ) -> Result<Self> {
        let checker = Checker::new(keys(options, digests)?.with_lake(lake));
        let inner = Inner {
            lake: lake.clone(),
            store: store.clone(),
            checker,
            options: options.clone(),
            report: Mutex::default(),
            touched: Mutex::default(),
            sidecars: Mutex::default(),
        };
        Ok(Self { inner: Arc::new(inner) })
    }

    fn report<T>(&self, change: impl FnOnce(&mut Digests) -> T) -> T {
        change(&mut self.inner.report.lock().unwrap_or_else(PoisonError::into_inner))
    }

    /// What there is to tell.
    pub(super) fn finish(&self) -> Digests {
        self.report(|report| report.clone())
    }

    /// Takes note that something of a day is new in the lake.
    pub(super) fn touch(&self, date: NaiveDate) {
        self.inner.touched.lock().unwrap_or_else(PoisonError::into_inner).insert(date);
    }

    /// Checks digests as they are found, many at once, unless the lake knows that they are valid.
    pub(super) async fn check_all(
        &self,
        mut found: mpsc::Receiver<FoundDigest>,
        jobs: mpsc::Sender<Job<()>>,
        stop: &CancellationToken,
    ) -> Result<()> {
        let requests = Arc::new(Semaphore::new(FETCHES));
        let mut running = JoinSet::new();
        let mut chunk = Vec::with_capacity(LOOK_UP);
        loop {
            chunk.clear();
            let received = tokio::select! {
                received = found.recv_many(&mut chunk, LOOK_UP) => received,
                () = stop.cancelled() => 0,
            };
            if received == 0 || jobs.is_closed() {
                break;
            }
            for digest in self.unknown(std::mem::take(&mut chunk)).await? {
                let request = requests.clone().acquire_owned().await;
                let (desk, jobs) = (self.clone(), jobs.clone());
                running.spawn(async move {
                    if let Some(entry) = desk.check(digest).await {
                        let _ = jobs.send(desk.job(entry)).await;
                    }
                    drop(request);
                });
                while running.try_join_next().is_some() {}
            }
        }
        running.join_all().await;
        Ok(())
    }

    /// Those that are not known to be valid.
    async fn unknown(&self, found: Vec<FoundDigest>) -> Result<Vec<FoundDigest>> {
        let named = |digest: &FoundDigest| digest.object.as_ref().map(ObjectRef::uri).unwrap_or_default();
        let ids: Vec<LogFileId> = found.iter().map(|digest| LogFileId::of(&named(digest))).collect();
        let known = self.inner.lake.known_digests_between(&ids, ends(&found)).await;
        let known = known.context("reading what the lake knows of digests")?;
        self.report(|report| {
            report.found += found.len() as u64;
            report.known +=
                known.iter().filter(|status| **status == Some(DigestStatus::Valid)).count() as u64;
        });
        let unknown = found.into_iter().zip(known).filter(|(_, status)| *status != Some(DigestStatus::Valid));
        Ok(unknown.map(|(digest, _)| digest).collect())
    }

    /// Reads and checks one; nothing if that cannot be done.
    async fn check(&self, digest: FoundDigest) -> Option<DigestEntry> {
        let Some(object) = &digest.object else {
            self.not_checked(NO_NAME);
            return None;
        };
        match self.read(&digest.place).await {
            Read::Object(read) => Some(self.inner.checker.check(object, &digest.key, &read).await),
            Read::NotChecked(why) => {
                self.not_checked(why);
                None
            }
            Read::NotFound => None,
            Read::Failed(error) => {
                let digest = object.uri();
                warn!(digest, error = format!("{error:#}"), "not checked; the next run will try again");
                self.report(|report| report.failed += 1);
                None
            }
        }
    }

    fn not_checked(&self, why: &str) {
        self.report(|report| {
            report.not_checked += 1;
            report.why_not_checked = Some(why.to_owned());
        });
    }

    async fn read(&self, place: &Place) -> Read {
        match place {
            Place::S3(object) => match self.inner.store.fetch(object, LARGEST).await {
                Ok(object) => Read::Object(object),
                Err(FetchError::NotFound) => Read::NotFound,
                Err(error) => {
                    Read::Failed(anyhow::Error::new(error).context(format!("fetching {}", object.uri())))
                }
            },
            Place::Local(path) => {
                let (desk, path) = (self.clone(), path.clone());
                let read = tokio::task::spawn_blocking(move || desk.read_local(&path)).await;
                read.unwrap_or_else(|error| Read::Failed(error.into()))
            }
        }
    }

    fn read_local(&self, path: &Path) -> Read {
        let Some(sidecar) = self.sidecar(path) else { return Read::NotChecked(NO_SIDECAR) };
        let key = path.strip_prefix(&sidecar.root).unwrap_or(path).to_string_lossy();
        // One that the file does not name has no signature.
        let metadata = sidecar.metadata.objects.get(&*key).cloned().unwrap_or_default();
        match read_local(path, LARGEST) {
            Ok(bytes) => Read::Object(Object { bytes, metadata, ..Object::default() }),
            Err(error) => Read::Failed(error),
        }
    }

    /// The metadata file of the copy that a digest is in.
    fn sidecar(&self, digest: &Path) -> Option<Arc<Sidecar>> {
        let above = beside_aws_logs(digest)?;
        let mut sidecars = self.inner.sidecars.lock().unwrap_or_else(PoisonError::into_inner);
        let load = || {
            let root = above.ancestors().find(|root| root.join(METADATA_FILE).is_file())?.to_owned();
            match read_metadata(&root.join(METADATA_FILE)) {
                Ok(metadata) => Some(Arc::new(Sidecar { root, metadata })),
                Err(error) => {
                    warn!(error = format!("{error:#}"), "the signatures of digests could not be read");
                    None
                }
            }
        };
        sidecars.entry(above.clone()).or_insert_with(load).clone()
    }

    /// A digest on its way into the lake.
    fn job(&self, entry: DigestEntry) -> Job<()> {
        self.report(|report| report.count(entry.status));
        let end = entry.digest_end_time.date_naive();
        self.touch(end);
        for listed in &entry.log_files {
            if let Some(key) = LogKey::parse(&listed.log_file) {
                self.touch(key.date);
            }
        }
        Job { work: Work::Digest(Box::new(entry)), ticket: (), budget: None }
    }

    /// Judges the log files of the days that were touched, and returns what is to be put into the lake
    /// for them to be judged anew; nothing when all is said.
    pub(super) async fn conclude(&self) -> Result<Vec<Job<()>>> {
        let touched = self.inner.touched.lock().unwrap_or_else(PoisonError::into_inner).clone();
        if touched.is_empty() {
            return Ok(Vec::new());
        }
        let audit = integrity::audit_dates(&self.inner.lake, touched, Utc::now()).await?;
        let mut jobs = Vec::new();
        let mut not_here = 0;
        for absent in &audit.absent {
            match self.look_for(&absent.log_file, &absent.digest).await {
                Some(work) => jobs.push(Job { work, ticket: (), budget: None }),
                None => not_here += 1,
            }
        }
        for object in &audit.unseen {
            if let Some(entry) = self.look_for_digest(object).await {
                jobs.push(self.job(entry));
            }
        }
        self.report(|report| {
            report.not_here = not_here;
            report.audit = Some(audit);
        });
        Ok(jobs)
    }

    /// Looks for a log file that a digest lists and the sources did not show.
    async fn look_for(&self, log_file: &str, digest: &str) -> Option<Work> {
        let key = LogKey::parse(log_file).filter(|key| self.inner.options.filter.takes(key))?;
        let missing = |candidate: Candidate| {
            let detail = format!("{digest} lists it, and it is not there");
            Work::SetAside(candidate, "missing", detail)
        };
        let candidate = |place: Place, size: u64| Candidate {
            place,
            log_file: log_file.to_owned(),
            size,
            etag: None,
            key: Some(key.clone()),
        };
        for place in self.places(log_file) {
            match &place {
                Place::S3(object) => {
                    match self.inner.store.fetch(object, self.inner.options.limits.compressed).await {
                        Ok(found) => {
                            let size = found.bytes.len() as u64;
                            return Some(Work::Fetched(candidate(place, size), found.bytes));
                        }
                        Err(FetchError::NotFound) => return Some(missing(candidate(place, 0))),
                        Err(FetchError::TooLarge { size, limit }) => {
                            return Some(Work::too_large(candidate(place, size), size, limit));
                        }
                        Err(error) => {
                            warn!(
                                log_file,
                                error = error.to_string(),
                                "a digest lists it; could not be fetched"
                            );
                        }
                    }
                }
                Place::Local(path) if path.is_file() => {
                    let size = fs::metadata(path).map_or(0, |metadata| metadata.len());
                    return Some(Work::Local(candidate(place, size)));
                }
                // A copy in part lacks whole folders; one that has others of its day lacks this one.
                Place::Local(path) if path.parent().is_some_and(Path::is_dir) => {
                    return Some(missing(candidate(place, 0)));
                }
                Place::Local(_) => {}
            }
        }
        None
    }

    /// Looks for a digest that a valid one links to, in the midst of a chain.
    async fn look_for_digest(&self, object: &ObjectRef) -> Option<DigestEntry> {
        let key = DigestKey::parse(&object.key)?;
        if !self.inner.options.filter.takes_digest(&key) {
            return None;
        }
        for place in self.places(&object.uri()) {
            match self.read(&place).await {
                Read::Object(read) => return Some(self.inner.checker.check(object, &key, &read).await),
                Read::NotFound => return Some(Checker::missing(object, &key)),
                Read::Failed(_) if matches!(&place, Place::Local(path) if !path.exists()) => {
                    return Some(Checker::missing(object, &key));
                }
                Read::NotChecked(_) | Read::Failed(_) => {}
            }
        }
        None
    }

    /// Where the bytes of an address should be, going by the sources.
    fn places(&self, address: &str) -> Vec<Place> {
        let Options { sources, rename, .. } = &self.inner.options;
        let relative = match rename {
            None => None,
            Some(base) => {
                address.strip_prefix(base.trim_end_matches('/')).and_then(|rest| rest.strip_prefix('/'))
            }
        };
        sources.iter().filter_map(|source| place_in(source, address, relative)).collect()
    }
}

/// Where a source would have an address.
fn place_in(source: &str, address: &str, relative: Option<&str>) -> Option<Place> {
    if let Some(rest) = source.strip_prefix("s3://") {
        let bucket = rest.split('/').next().unwrap_or_default();
        let object = match relative {
            // Only what the user has named is fetched, whatever a digest says.
            None => ObjectRef::from_uri(address).filter(|object| object.bucket == bucket)?,
            Some(key) => ObjectRef::new(bucket, key),
        };
        let in_prefix = object.uri().starts_with(source);
        return in_prefix.then_some(Place::S3(object));
    }
    let (root, relative) =
        (Path::new(source.strip_prefix("file://").unwrap_or(source)), Path::new(relative?));
    let is_inside = relative.components().all(|part| matches!(part, Component::Normal(_)));
    if !root.is_dir() || !is_inside {
        return None;
    }
    Some(Place::Local(root.canonicalize().ok()?.join(relative)))
}

/// The dates on which digests end.
fn ends(found: &[FoundDigest]) -> Option<RangeInclusive<NaiveDate>> {
    let ends = || found.iter().map(|digest| digest.key.end_time.date_naive());
    Some(ends().min()?..=ends().max()?)
}

/// The directory that holds the `AWSLogs` of a path.
fn beside_aws_logs(path: &Path) -> Option<PathBuf> {
    let inside = path.ancestors().find(|above| above.file_name().is_some_and(|name| name == "AWSLogs"))?;
    inside.parent().map(Path::to_owned)
}

/// The keys to check by: those given; else, of a local copy those beside it, of objects those of CloudTrail.
fn keys(options: &Options, digests: &DigestOptions) -> Result<Keys> {
    if !digests.public_keys.is_empty() {
        return Keys::from_files(&digests.public_keys);
    }
    let mut known = crate::digest::PublicKeys::default();
    let mut remote = false;
    for source in &options.sources {
        if source.starts_with("s3://") {
            remote = true;
            continue;
        }
        let path = Path::new(source.strip_prefix("file://").unwrap_or(source));
        let Ok(path) = path.canonicalize() else { continue };
        let is_beside = |root: &&Path| root.join(PUBLIC_KEYS_FILE).is_file() && root.join("AWSLogs").is_dir();
        if let Some(root) = path.ancestors().find(is_beside) {
            known.extend(read_public_keys(&root.join(PUBLIC_KEYS_FILE))?);
        }
    }
    let keys = Keys::default().with_keys_of_copy(known);
    Ok(if remote { keys.with_cloudtrail(digests.cloudtrail.clone()) } else { keys })
}
