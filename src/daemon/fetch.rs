//! Fetching: objects to bytes, within a budget, and on to the loaders.

use std::sync::Arc;

use chrono::NaiveDate;
use tokio::sync::{OwnedSemaphorePermit, Semaphore, mpsc};
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;
use tracing::{error, info, warn};

use super::Options;
use super::dispatch::{Asked, Kind};
use super::hand::Failed;
use super::works::{End, Works};
use crate::contain::contained_async;
use crate::ingest::load::{Job, Work};
use crate::integrity::Checker;
use crate::lake::{DigestEntry, DigestStatus, LogFileId};
use crate::metrics::Metrics;
use crate::object::{LogKey, ObjectRef};
use crate::output::escape;
use crate::source::{Candidate, Place};
use crate::store::{Fetch, FetchError, Object};

/// An object in work.
#[derive(Debug, Clone)]
pub(super) struct Wanted {
    pub(super) id: LogFileId,
    pub(super) object: ObjectRef,
    pub(super) kind: Kind,
    /// As the message says. A claim.
    pub(super) size: Option<u64>,
    pub(super) etag: Option<String>,
    /// Why the audit asks for it, if it does.
    pub(super) asked: Option<Asked>,
}

/// The unit of the budget for fetched bytes.
const KIB: u64 = 1024;
/// What an object is taken for whose size nobody says.
const UNKNOWN_SIZE: u64 = 256 * KIB;

impl Wanted {
    pub(super) fn new(object: ObjectRef, kind: Kind) -> Self {
        let id = LogFileId::of(&object.uri());
        Wanted { id, object, kind, size: None, etag: None, asked: None }
    }

    pub(super) fn date(&self) -> NaiveDate {
        match &self.kind {
            Kind::Log(key) => key.date,
            Kind::Digest(key) => key.end_time.date_naive(),
        }
    }

    fn candidate(&self, key: &LogKey, size: u64, etag: Option<String>) -> Candidate {
        Candidate {
            place: Place::S3(self.object.clone()),
            log_file: self.object.uri(),
            size,
            etag: etag.or_else(|| self.etag.clone()),
            key: Some(key.clone()),
        }
    }
}

/// Fetches objects, many at once.
pub(super) struct Fetcher {
    shared: Arc<Shared>,
    running: JoinSet<()>,
}

struct Shared {
    objects: Arc<dyn Fetch>,
    checker: Option<Checker>,
    works: Arc<Works>,
    metrics: Arc<Metrics>,
    jobs: mpsc::Sender<Job<LogFileId>>,
    budget: Arc<Semaphore>,
    budget_kib: u64,
    requests: Arc<Semaphore>,
    options: Arc<Options>,
}

impl Fetcher {
    pub(super) fn new(
        objects: Arc<dyn Fetch>,
        checker: Option<Checker>,
        works: Arc<Works>,
        metrics: Arc<Metrics>,
        jobs: mpsc::Sender<Job<LogFileId>>,
        options: Arc<Options>,
    ) -> Self {
        let budget_kib = (options.fetch_memory() as u64 / KIB).clamp(1, u64::from(u32::MAX));
        let shared = Shared {
            objects,
            checker,
            works,
            metrics,
            jobs,
            budget: Arc::new(Semaphore::new(usize::try_from(budget_kib).unwrap_or(Semaphore::MAX_PERMITS))),
            budget_kib,
            requests: Arc::new(Semaphore::new(options.requests.max(1))),
            options,
        };
        Fetcher { shared: Arc::new(shared), running: JoinSet::new() }
    }

    /// Whether digests can be judged here.
    pub(super) fn checks_digests(&self) -> bool {
        self.shared.checker.is_some()
    }

    /// Begins to fetch objects, as the budget allows; after `stop` hands them back instead.
    pub(super) async fn fetch(&mut self, wanted: Vec<Wanted>, stop: &CancellationToken) {
        for object in wanted {
            let shared = self.shared.clone();
            let size = object.size.unwrap_or(UNKNOWN_SIZE).min(shared.options.limits.compressed);
            let permits =
                async { (shared.budget(size).await, shared.requests.clone().acquire_owned().await) };
            let Some((Some(budget), Ok(request))) = stop.run_until_cancelled(permits).await else {
                shared.works.finish(object.id, End::Failed(Failed::shutdown()));
                continue;
            };
            self.running.spawn(async move { shared.fetch_contained(object, size, budget, request).await });
            while self.running.try_join_next().is_some() {}
        }
    }

    /// Waits for what is under way.
    pub(super) async fn finish(self) {
        self.running.join_all().await;
    }
}

impl Shared {
    async fn budget(&self, size: u64) -> Option<OwnedSemaphorePermit> {
        let share = (size / KIB + 1).min(self.budget_kib);
        self.budget.clone().acquire_many_owned(u32::try_from(share).ok()?).await.ok()
    }

    /// Whoever waits for an object hears of its end, also if what is in it makes us panic.
    async fn fetch_contained(
        &self,
        wanted: Wanted,
        size: u64,
        budget: OwnedSemaphorePermit,
        request: OwnedSemaphorePermit,
    ) {
        let (id, (bucket, key)) = (wanted.id, told(&wanted.object));
        if let Err(panicked) = contained_async(self.fetch(wanted, size, budget, request)).await {
            error!(bucket, key, detail = panicked, "panicked, handed back: please report it");
            self.metrics.error("fetch", "panicked");
            self.works.finish(id, End::Failed(Failed::later("panicked")));
        }
    }

    async fn fetch(
        &self,
        wanted: Wanted,
        size: u64,
        mut budget: OwnedSemaphorePermit,
        request: OwnedSemaphorePermit,
    ) {
        let most = self.options.limits.compressed;
        // What is larger than it was announced to be must first have its share of the memory.
        let mut limit = (size.div_ceil(KIB) * KIB).max(KIB).min(most);
        let fetched = loop {
            match self.objects.fetch(&wanted.object, limit).await {
                Err(FetchError::TooLarge { size, .. }) if limit < most && size <= most => {
                    drop(budget);
                    // A store that does not tell sizes is asked for twice as much each time.
                    limit = size.max(limit * 2).min(most);
                    let Some(larger) = self.budget(limit).await else { return };
                    budget = larger;
                }
                fetched => break fetched,
            }
        };
        drop(request);
        let work = match fetched {
            Ok(object) => {
                self.metrics.fetched(object.bytes.len() as u64);
                self.work(&wanted, object).await
            }
            Err(error) => self.failed(&wanted, &error),
        };
        let Some(work) = work else { return };
        let job = Job { work, ticket: wanted.id, budget: Some(budget) };
        if self.jobs.send(job).await.is_err() {
            self.works.finish(wanted.id, End::Failed(Failed::later("loaders_ended")));
        }
    }

    async fn work(&self, wanted: &Wanted, object: Object) -> Option<Work> {
        match (&wanted.kind, &self.checker) {
            (Kind::Digest(key), Some(checker)) => {
                let entry = checker.check(&wanted.object, key, &object).await;
                if wanted.asked == Some(Asked::Recheck) && entry.status == DigestStatus::KeyNotFound {
                    // Nothing new.
                    self.works.finish(wanted.id, End::Duplicate);
                    return None;
                }
                self.tell(&entry);
                Some(Work::Digest(Box::new(entry)))
            }
            (Kind::Digest(_), None) => {
                self.works.finish(wanted.id, End::Failed(Failed::later("no_public_keys")));
                None
            }
            (Kind::Log(key), _) => {
                if wanted.asked == Some(Asked::Absent) {
                    self.metrics.recovered();
                    let (bucket, key) = told(&wanted.object);
                    info!(bucket, key, "fetched because a digest lists it; no message has announced it");
                }
                let candidate = wanted.candidate(key, object.bytes.len() as u64, object.etag);
                Some(Work::Fetched(candidate, object.bytes))
            }
        }
    }

    /// Says of a digest that it proves nothing: whoever reads of the log files that it should have
    /// vouched for wants to know this first.
    fn tell(&self, entry: &DigestEntry) {
        let digest = escape(&entry.digest, true);
        let (digest, reason) = (&*digest, entry.reason.as_deref().unwrap_or_default());
        let detail = escape(entry.detail.as_deref().unwrap_or_default(), true);
        let detail = &*detail;
        match entry.status {
            DigestStatus::Valid => return,
            DigestStatus::Invalid => {
                error!(digest, reason, detail, "this digest does not hold: nothing that it lists is proven");
            }
            DigestStatus::Missing => {
                error!(digest, reason, "this digest is not in the bucket: nothing that it listed is proven");
            }
            DigestStatus::KeyNotFound => {
                warn!(
                    digest,
                    detail, "the public key of this digest could not be looked up: tried again later"
                );
            }
        }
        self.metrics.error("digest", entry.status.as_str());
    }

    /// What becomes of an object that can't be had: something for quarantine, or its message goes back.
    fn failed(&self, wanted: &Wanted, error: &FetchError) -> Option<Work> {
        let (bucket, key) = told(&wanted.object);
        let message_id = self.works.message_id(wanted.id);
        let receive_count = self.works.receive_count(wanted.id);
        self.metrics.error("fetch", error.code());
        match (error, &wanted.kind) {
            (FetchError::NotFound, kind)
                if receive_count.is_none_or(|count| count >= self.options.max_receive_count) =>
            {
                match kind {
                    Kind::Digest(digest) => {
                        let entry = Checker::missing(&wanted.object, digest);
                        self.tell(&entry);
                        return Some(Work::Digest(Box::new(entry)));
                    }
                    Kind::Log(log) => {
                        let candidate = wanted.candidate(log, wanted.size.unwrap_or(0), None);
                        let detail = missing(receive_count, wanted);
                        return Some(Work::SetAside(candidate, error.code(), detail));
                    }
                }
            }
            (FetchError::TooLarge { size, limit }, Kind::Log(log)) => {
                return Some(Work::too_large(wanted.candidate(log, *size, None), *size, *limit));
            }
            (FetchError::AccessDenied(_) | FetchError::Archived(_) | FetchError::TooLarge { .. }, _) => {
                let error = format!("{error:#}");
                error!(bucket, key, message_id, receive_count, error, "not fetched: handed back");
            }
            _ => {
                let error = format!("{error:#}");
                warn!(bucket, key, message_id, receive_count, error, "not fetched: handed back");
            }
        }
        self.works.finish(wanted.id, End::Failed(Failed::later(error.code())));
        None
    }
}

fn missing(receive_count: Option<u32>, wanted: &Wanted) -> String {
    match (receive_count, wanted.asked) {
        (Some(count), _) => {
            format!("announced, and not in the bucket when the message was received {count} times")
        }
        (None, _) => "listed by a valid digest, and not in the bucket".to_owned(),
    }
}

/// Bucket and key, fit for a terminal.
fn told(object: &ObjectRef) -> (String, String) {
    (escape(&object.bucket, true).into_owned(), escape(&object.key, true).into_owned())
}
