//! A queue and a bucket in this process, with everything that can go wrong with them.

use std::collections::{BTreeMap, HashMap};
use std::sync::{Arc, Mutex, MutexGuard};
use std::time::{Duration, Instant};

use anyhow::{Result, anyhow, bail};
use async_trait::async_trait;
use chrono::DateTime;
use tokio::time::sleep;
use trailq::object::ObjectRef;
use trailq::queue::{Message, Queue, QueueInfo, Refused};
use trailq::store::{Fetch, FetchError, Object};

use super::super::fake_aws::{FakeQueue, Received};
use super::chance::Chance;
use super::source::Source;

/// How bad it is, in percent of cases each.
#[derive(Debug, Clone, Copy)]
pub(super) struct Badness {
    pub(super) faults: u64,
    pub(super) slow: u64,
    pub(super) delay: Duration,
    /// Messages that vanish when they are received, which no queue may do: a daemon cannot make up for it.
    pub(super) vanishing: u64,
}

pub(super) struct World {
    chance: Chance,
    badness: Badness,
    visibility: Duration,
    queue: Mutex<FakeQueue>,
    objects: BTreeMap<(String, String), Vec<u8>>,
    /// Messages that are ours to delete, by the id that they were sent with.
    ours: HashMap<u64, bool>,
}

/// One daemon's view of the world. It cannot be used any more once the daemon is dead: a crash in this
/// process leaves tasks behind, which in a process of its own would have died.
pub(super) struct Eye {
    pub(super) world: Arc<World>,
    pub(super) dead: Arc<std::sync::atomic::AtomicBool>,
}

impl World {
    pub(super) fn new(seed: u64, source: &Source, badness: Badness, visibility: Duration) -> Self {
        let mut queue = FakeQueue::new(visibility);
        let mut ours = HashMap::new();
        for body in &source.messages {
            ours.insert(queue.send(body), true);
        }
        for body in &source.foreign {
            ours.insert(queue.send(body), false);
        }
        let objects = source.objects.clone();
        World { chance: Chance::new(seed), badness, visibility, queue: Mutex::new(queue), objects, ours }
    }

    pub(super) fn queue(&self) -> MutexGuard<'_, FakeQueue> {
        self.queue.lock().unwrap()
    }

    /// Whether nothing goes wrong in it by itself.
    pub(super) fn is_good(&self) -> bool {
        self.badness.faults == 0 && self.badness.slow == 0
    }

    /// Lets the queue's clock stand still while the machine is too busy for this process to get on.
    ///
    /// Visibility timeouts are some hundred milliseconds here. On a machine with twenty things to do all of
    /// them run out before anything is done, again and again, and no world ever comes to its end: that is
    /// the machine's fault, and no fault of this world.
    pub(super) async fn keep_time(self: Arc<Self>) {
        const TICK: Duration = Duration::from_millis(5);
        let mut last = Instant::now();
        loop {
            sleep(TICK).await;
            let now = Instant::now();
            let late = (now - last).saturating_sub(2 * TICK);
            last = now;
            self.queue().leave_out(late);
        }
    }

    /// Messages that somebody must still delete.
    pub(super) fn open_messages(&self) -> usize {
        self.queue().ids().into_iter().filter(|id| self.ours[id]).count()
    }

    /// Messages that nobody may delete.
    pub(super) fn foreign_messages(&self) -> usize {
        self.queue().ids().into_iter().filter(|id| !self.ours[id]).count()
    }

    async fn slowly(&self, what: &'static str, which: u64) {
        sleep(self.chance.delay(what, which, self.badness.slow, self.badness.delay)).await;
    }

    fn goes_wrong(&self, what: &'static str, which: u64) -> bool {
        self.chance.percent(what, which, self.badness.faults)
    }

    fn received(&self) -> Vec<Received> {
        let mut queue = self.queue();
        let most = 1 + usize::try_from(self.chance.below("most", 0, 10)).unwrap();
        let mut received = queue.receive(most, self.visibility);
        let vanishes = |message: &Received| self.chance.percent("vanish", message.id, self.badness.vanishing);
        for gone in received.extract_if(.., |message| vanishes(message)) {
            assert!(queue.delete(&gone.receipt_handle).is_ok());
        }
        for message in &received {
            if self.goes_wrong("twice", message.id) {
                queue.deliver_twice(message.id);
            }
        }
        // Out of order, as far as they were in one.
        let turn = usize::try_from(self.chance.below("turn", 0, 10)).unwrap();
        if !received.is_empty() {
            let length = received.len();
            received.rotate_left(turn % length);
        }
        received
    }

    fn message(&self, message: Received, received_at: Instant) -> Message {
        let mut body = message.body;
        // Nothing of a message may be lost by a reader that sees half of it.
        if self.chance.percent("cut", message.id, self.badness.faults / 4) {
            let middle = (0..=body.len() / 2).rev().find(|at| body.is_char_boundary(*at)).unwrap_or(0);
            body.truncate(middle);
        }
        Message {
            message_id: message.id.to_string(),
            receipt_handle: message.receipt_handle,
            body,
            receive_count: message.receive_count,
            sent_at: DateTime::from_timestamp_millis(i64::try_from(message.sent_millis).unwrap()),
            received_at,
        }
    }

    /// Does `act` for each message, of which some fail before and some after it is done.
    async fn each(
        &self,
        what: (&'static str, &'static str, &'static str),
        messages: &[&Message],
        act: impl Fn(&mut FakeQueue, &str) -> bool,
    ) -> Vec<Result<(), Refused>> {
        let mut results = Vec::new();
        for message in messages {
            let id = message.message_id.parse().unwrap();
            self.slowly(what.0, id).await;
            results.push(if self.goes_wrong(what.1, id) {
                Err(Refused::Throttled("on purpose".to_owned()))
            } else if !act(&mut self.queue(), &message.receipt_handle) {
                Err(Refused::Stale("too old".to_owned()))
            } else if self.goes_wrong(what.2, id) {
                Err(Refused::Other(anyhow!("the answer was lost")))
            } else {
                Ok(())
            });
        }
        results
    }
}

impl Eye {
    async fn alive(&self) {
        if self.dead.load(std::sync::atomic::Ordering::SeqCst) {
            std::future::pending::<()>().await;
        }
    }
}

#[async_trait]
impl Queue for Eye {
    fn name(&self) -> &'static str {
        "simulated"
    }

    async fn receive(&self) -> Result<Vec<Message>> {
        let world = &self.world;
        let until = Instant::now() + Duration::from_millis(20);
        loop {
            self.alive().await;
            if world.chance.percent("receive", 0, world.badness.faults / 5) {
                bail!("500 on purpose");
            }
            let received = world.received();
            if received.is_empty() && Instant::now() < until {
                sleep(Duration::from_millis(2)).await;
                continue;
            }
            world.slowly("receive_slowly", 0).await;
            if !received.is_empty() && world.chance.percent("answer", 0, world.badness.faults / 5) {
                bail!("the answer was lost, and the messages are invisible");
            }
            let received_at = Instant::now();
            return Ok(received.into_iter().map(|message| world.message(message, received_at)).collect());
        }
    }

    async fn extend(&self, messages: &[&Message], visibility: Duration) -> Vec<Result<(), Refused>> {
        self.alive().await;
        let what = ("extend_slowly", "extend", "extend_answer");
        let extend =
            |queue: &mut FakeQueue, handle: &str| queue.change_visibility(handle, visibility).is_ok();
        self.world.each(what, messages, extend).await
    }

    async fn delete(&self, messages: &[&Message]) -> Vec<Result<(), Refused>> {
        self.alive().await;
        let what = ("delete_slowly", "delete", "delete_answer");
        self.world.each(what, messages, |queue, handle| queue.delete(handle).is_ok()).await
    }

    async fn check(&self) -> Result<QueueInfo> {
        Ok(QueueInfo::default())
    }
}

#[async_trait]
impl Fetch for Eye {
    async fn fetch(&self, object: &ObjectRef, limit: u64) -> Result<Object, FetchError> {
        self.alive().await;
        let world = &self.world;
        let address = (object.bucket.clone(), object.key.clone());
        let which = world.objects.keys().position(|key| *key == address).unwrap_or(usize::MAX) as u64;
        world.slowly("fetch_slowly", which).await;
        if world.goes_wrong("fetch_503", which) {
            return Err(FetchError::Throttled("503 on purpose".to_owned()));
        }
        if world.goes_wrong("fetch_500", which) {
            return Err(FetchError::Other(anyhow!("500 on purpose, or a body that broke off")));
        }
        if world.goes_wrong("fetch_403", which) {
            return Err(FetchError::AccessDenied("for now".to_owned()));
        }
        let bytes = world.objects.get(&address).ok_or(FetchError::NotFound)?.clone();
        let size = bytes.len() as u64;
        if size > limit {
            return Err(FetchError::TooLarge { size, limit });
        }
        Ok(Object { bytes, ..Object::default() })
    }
}
