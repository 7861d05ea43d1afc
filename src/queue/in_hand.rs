//! Messages in hand: their visibility is extended, from the moment they came, until they are let go.

use std::collections::HashMap;
use std::ops::Deref;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use tokio::sync::{Notify, Semaphore};
use tokio::task::JoinHandle;
use tracing::{debug, warn};

use super::{Message, Queue, Refused};

/// Keeps messages of one queue from coming back while somebody works on them.
///
/// A message is extended when half of its time has passed, together with others of the same age, and
/// again until it is dropped. An extension that fails is tried again while there is time. One that
/// has come too late makes the message *lost*: somebody else may have it, and the work done on it
/// may turn out to be done already, which the lake will know.
#[derive(Debug)]
pub struct InHand {
    shared: Arc<Shared>,
    keeper: JoinHandle<()>,
}

/// A message in hand. It is extended until this is dropped.
#[derive(Debug)]
pub struct Held {
    id: u64,
    message: Arc<Message>,
    lost: Arc<AtomicBool>,
    shared: Arc<Shared>,
}

/// What was done so far, in messages.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Counts {
    /// Extensions that succeeded.
    pub extended: u64,
    /// Extensions that failed, those tried again included.
    pub failed: u64,
    /// Messages whose time ran out while they were in hand.
    pub lost: u64,
}

struct Shared {
    queue: Arc<dyn Queue>,
    visibility: Duration,
    entries: Mutex<HashMap<u64, Entry>>,
    next_id: AtomicU64,
    requests: Semaphore,
    answered: Notify,
    extended: AtomicU64,
    failed: AtomicU64,
    lost: AtomicU64,
}

struct Entry {
    message: Arc<Message>,
    lost: Arc<AtomicBool>,
    /// When to ask for an extension, again if an answer to the last request has not come by then; never
    /// once it is being handed back.
    due: Option<Instant>,
    expires: Instant,
    /// Requests under way.
    asked: u32,
}

/// Requests for extensions at once.
const REQUESTS: usize = 16;
/// Messages of a request.
const BATCH: usize = 10;
/// The keeper looks around this often in a visibility timeout.
const LOOKS: u32 = 20;
/// An answer is waited for so many times in a visibility timeout before the queue is asked again.
const TRIES: u32 = 8;

impl InHand {
    /// Holds messages of `queue`, which makes them invisible for `visibility` when they are received.
    ///
    /// Needs a Tokio runtime.
    pub fn new(queue: Arc<dyn Queue>, visibility: Duration) -> Self {
        let shared = Arc::new(Shared {
            queue,
            visibility,
            entries: Mutex::default(),
            next_id: AtomicU64::new(0),
            requests: Semaphore::new(REQUESTS),
            answered: Notify::new(),
            extended: AtomicU64::new(0),
            failed: AtomicU64::new(0),
            lost: AtomicU64::new(0),
        });
        let keeper = tokio::spawn(keep(shared.clone()));
        InHand { shared, keeper }
    }

    /// Takes a message in hand.
    pub fn take(&self, message: Message) -> Held {
        let shared = self.shared.clone();
        let (message, lost) = (Arc::new(message), Arc::new(AtomicBool::new(false)));
        let (due, expires) = shared.times(message.received_at);
        let id = shared.next_id.fetch_add(1, Ordering::Relaxed);
        let (due, asked) = (Some(due), 0);
        let entry = Entry { message: message.clone(), lost: lost.clone(), due, expires, asked };
        shared.entries().insert(id, entry);
        Held { id, message, lost, shared }
    }

    /// Lets messages go, and makes them visible to others at once.
    ///
    /// Waits for extensions under way, which would undo it. Answers one by one, in order.
    pub async fn hand_back(&self, held: Vec<Held>) -> Vec<Result<(), Refused>> {
        for one in &held {
            self.shared.settle(one.id).await;
        }
        let messages: Vec<&Message> = held.iter().map(|one| &**one).collect();
        self.shared.queue.extend(&messages, Duration::ZERO).await
    }

    /// How many messages are in hand, lost ones not counted.
    pub fn len(&self) -> usize {
        self.shared.entries().len()
    }

    /// Whether no message is in hand.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// What was done so far.
    pub fn counts(&self) -> Counts {
        let count = |counter: &AtomicU64| counter.load(Ordering::Relaxed);
        let Shared { extended, failed, lost, .. } = &*self.shared;
        Counts { extended: count(extended), failed: count(failed), lost: count(lost) }
    }
}

impl Drop for InHand {
    fn drop(&mut self) {
        self.keeper.abort();
    }
}

impl Held {
    /// Whether the message's time ran out: somebody else may have it now.
    pub fn is_lost(&self) -> bool {
        self.lost.load(Ordering::Relaxed)
    }
}

impl Deref for Held {
    type Target = Message;

    fn deref(&self) -> &Message {
        &self.message
    }
}

impl Drop for Held {
    fn drop(&mut self) {
        self.shared.entries().remove(&self.id);
    }
}

impl std::fmt::Debug for Shared {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Shared").field("queue", &self.queue.name()).finish_non_exhaustive()
    }
}

/// Extends what is due, until the task is ended.
async fn keep(shared: Arc<Shared>) {
    let look = (shared.visibility / LOOKS).clamp(Duration::from_millis(5), Duration::from_secs(5));
    loop {
        tokio::time::sleep(look).await;
        let due = shared.due(Instant::now());
        for batch in due.chunks(BATCH) {
            tokio::spawn(extend(shared.clone(), batch.to_vec()));
        }
    }
}

/// Asks for one batch, and waits no longer than an answer could be of use. A slow one is: it counts
/// although the queue may have been asked again by then.
async fn extend(shared: Arc<Shared>, batch: Vec<(u64, Arc<Message>)>) {
    let Ok(_permit) = shared.requests.acquire().await else { return };
    let batch: Vec<_> = batch.into_iter().filter(|(id, _)| shared.entries().contains_key(id)).collect();
    let asked_at = Instant::now();
    let messages: Vec<&Message> = batch.iter().map(|(_, message)| &**message).collect();
    let extending = shared.queue.extend(&messages, shared.visibility);
    let answers = tokio::time::timeout(shared.visibility, extending).await;
    let mut answers = answers.unwrap_or_default().into_iter();
    for (id, _) in &batch {
        let answer =
            answers.next().unwrap_or_else(|| Err(Refused::Other(anyhow::anyhow!("no answer in time"))));
        shared.answered(*id, asked_at, answer);
    }
    shared.answered.notify_waiters();
}

impl Shared {
    fn entries(&self) -> MutexGuard<'_, HashMap<u64, Entry>> {
        self.entries.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// When a message is to be extended whose time has begun at `since`, and when it is lost.
    fn times(&self, since: Instant) -> (Instant, Instant) {
        (since + self.visibility / 2, since + self.visibility)
    }

    /// Marks and returns what is to be extended now. As soon as one message is due, those go along
    /// that will be shortly: requests are paid for. What has run out is given up.
    fn due(&self, now: Instant) -> Vec<(u64, Arc<Message>)> {
        let mut entries = self.entries();
        let late: Vec<u64> =
            entries.iter().filter(|(_, entry)| entry.expires <= now).map(|(id, _)| *id).collect();
        for id in late {
            self.lose(&mut entries, id, "its visibility timeout ran out");
        }
        let is_due = |entry: &Entry, by: Instant| entry.due.is_some_and(|due| due <= by);
        if !entries.values().any(|entry| is_due(entry, now)) {
            return Vec::new();
        }
        let soon = now + self.visibility / 10;
        let mut due = Vec::new();
        for (id, entry) in entries.iter_mut().filter(|(_, entry)| is_due(entry, soon)) {
            entry.asked += 1;
            entry.due = Some(now + self.visibility / TRIES);
            due.push((entry.expires, *id, entry.message.clone()));
        }
        due.sort_unstable_by_key(|(expires, id, _)| (*expires, *id));
        due.into_iter().map(|(_, id, message)| (id, message)).collect()
    }

    fn answered(&self, id: u64, asked_at: Instant, answer: Result<(), Refused>) {
        let mut entries = self.entries();
        let Some(entry) = entries.get_mut(&id) else { return };
        entry.asked -= 1;
        match answer {
            Ok(()) => {
                let (due, expires) = self.times(asked_at);
                entry.due = entry.due.map(|old| old.max(due));
                entry.expires = entry.expires.max(expires);
                self.extended.fetch_add(1, Ordering::Relaxed);
            }
            Err(Refused::Stale(why)) => {
                self.failed.fetch_add(1, Ordering::Relaxed);
                self.lose(&mut entries, id, &why);
            }
            Err(error) => {
                self.failed.fetch_add(1, Ordering::Relaxed);
                let (queue, message_id) = (self.queue.name(), &entry.message.message_id);
                debug!(queue, message_id, error = format!("{error:#}"), "not extended; tried again");
                let again = Instant::now() + self.visibility.mul_f64(0.05 + 0.05 * fastrand::f64());
                entry.due = entry.due.map(|due| due.min(again));
            }
        }
    }

    fn lose(&self, entries: &mut HashMap<u64, Entry>, id: u64, why: &str) {
        let Some(entry) = entries.remove(&id) else { return };
        entry.lost.store(true, Ordering::Relaxed);
        self.lost.fetch_add(1, Ordering::Relaxed);
        let (queue, message_id) = (self.queue.name(), &entry.message.message_id);
        warn!(queue, message_id, why, "message lost: it may be delivered to somebody else");
    }

    /// Ends the extending of a message, and waits for the extension under way, if there is one.
    async fn settle(&self, id: u64) {
        loop {
            let answered = self.answered.notified();
            let mut answered = std::pin::pin!(answered);
            answered.as_mut().enable();
            match self.entries().get_mut(&id) {
                Some(entry) => {
                    entry.due = None;
                    if entry.asked == 0 {
                        return;
                    }
                }
                None => return,
            }
            answered.await;
        }
    }
}
