//! A queue as SQS has it: visibility, receipts, at-least-once delivery, a dead-letter queue.

use std::collections::{BTreeSet, HashMap};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

/// A queue. It has a clock of its own, which can be put forward.
pub(crate) struct FakeQueue {
    pub(crate) visibility_timeout: Duration,
    /// Messages received more often than this become dead letters.
    pub(crate) max_receive_count: Option<u32>,
    /// The role that may use it, and nobody else.
    pub(crate) role: Option<String>,
    /// The region that requests must be signed for.
    pub(crate) region: Option<String>,
    messages: HashMap<u64, Stored>,
    /// By the time from which on they may be received.
    order: BTreeSet<(Instant, u64)>,
    next_id: u64,
    ahead: Duration,
    behind: Duration,
    pub(crate) dead: Vec<String>,
    pub(crate) deleted: Vec<u64>,
    pub(crate) stats: Stats,
}

#[derive(Debug, Default, Clone, Copy)]
pub(crate) struct Stats {
    pub(crate) received: u64,
    pub(crate) extended: u64,
    pub(crate) stale: u64,
}

struct Stored {
    body: String,
    sent_millis: u128,
    receive_count: u32,
    visible_at: Instant,
    /// Whether somebody has it, as far as it was ever received.
    in_flight: bool,
}

/// A message as it was received.
#[derive(Debug, Clone)]
pub(crate) struct Received {
    pub(crate) id: u64,
    pub(crate) receipt_handle: String,
    pub(crate) body: String,
    pub(crate) receive_count: u32,
    pub(crate) sent_millis: u128,
}

/// The receipt handle is too old.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Stale;

impl FakeQueue {
    pub(crate) fn new(visibility_timeout: Duration) -> Self {
        FakeQueue {
            visibility_timeout,
            max_receive_count: None,
            role: None,
            region: None,
            messages: HashMap::new(),
            order: BTreeSet::new(),
            next_id: 1,
            ahead: Duration::ZERO,
            behind: Duration::ZERO,
            dead: Vec::new(),
            deleted: Vec::new(),
            stats: Stats::default(),
        }
    }

    pub(crate) fn now(&self) -> Instant {
        let ahead = Instant::now() + self.ahead;
        ahead.checked_sub(self.behind).unwrap_or(ahead)
    }

    /// Stops the queue's clock for a time that is over: nobody got to do anything in it.
    pub(crate) fn leave_out(&mut self, time: Duration) {
        self.behind += time;
    }

    /// Puts the queue's clock forward.
    pub(crate) fn jump(&mut self, by: Duration) {
        self.ahead += by;
    }

    pub(crate) fn send(&mut self, body: &str) -> u64 {
        let (id, visible_at) = (self.next_id, self.now());
        self.next_id += 1;
        let sent_millis = SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_millis();
        let body = body.to_owned();
        self.messages
            .insert(id, Stored { body, sent_millis, receive_count: 0, visible_at, in_flight: false });
        self.order.insert((visible_at, id));
        id
    }

    /// Messages that are there, in hand or not; dead letters are not.
    pub(crate) fn len(&self) -> usize {
        self.messages.len()
    }

    pub(crate) fn in_flight(&self) -> usize {
        let now = self.now();
        self.messages.values().filter(|message| message.in_flight && message.visible_at > now).count()
    }

    pub(crate) fn ids(&self) -> Vec<u64> {
        self.messages.keys().copied().collect()
    }

    pub(crate) fn receive(&mut self, most: usize, visibility: Duration) -> Vec<Received> {
        let now = self.now();
        let mut received = Vec::new();
        while received.len() < most {
            let Some(&(visible_at, id)) = self.order.first().filter(|(visible_at, _)| *visible_at <= now)
            else {
                break;
            };
            self.order.remove(&(visible_at, id));
            let message = self.messages.get_mut(&id).unwrap();
            if self.max_receive_count.is_some_and(|most| message.receive_count >= most) {
                let message = self.messages.remove(&id).unwrap();
                self.dead.push(message.body);
                continue;
            }
            message.receive_count += 1;
            (message.visible_at, message.in_flight) = (now + visibility, true);
            self.order.insert((message.visible_at, id));
            received.push(Received {
                id,
                receipt_handle: format!("{id}/{}", message.receive_count),
                body: message.body.clone(),
                receive_count: message.receive_count,
                sent_millis: message.sent_millis,
            });
        }
        self.stats.received += received.len() as u64;
        received
    }

    /// Delivers messages once more that somebody has: SQS is free to.
    pub(crate) fn deliver_twice(&mut self, id: u64) {
        let now = self.now();
        let Some(message) = self.messages.get_mut(&id) else { return };
        self.order.remove(&(message.visible_at, id));
        message.visible_at = now;
        self.order.insert((now, id));
    }

    pub(crate) fn change_visibility(
        &mut self,
        receipt_handle: &str,
        visibility: Duration,
    ) -> Result<(), Stale> {
        let now = self.now();
        let Some((id, message)) = self.find(receipt_handle, now) else {
            self.stats.stale += 1;
            return Err(Stale);
        };
        let before = message.visible_at;
        (message.visible_at, message.in_flight) = (now + visibility, !visibility.is_zero());
        self.order.remove(&(before, id));
        self.order.insert((now + visibility, id));
        self.stats.extended += u64::from(!visibility.is_zero());
        Ok(())
    }

    pub(crate) fn delete(&mut self, receipt_handle: &str) -> Result<(), Stale> {
        let now = self.now();
        let Some((id, message)) = self.find(receipt_handle, now) else {
            self.stats.stale += 1;
            return Err(Stale);
        };
        let visible_at = message.visible_at;
        self.order.remove(&(visible_at, id));
        self.messages.remove(&id);
        self.deleted.push(id);
        Ok(())
    }

    /// The message, if this is its newest receipt and its time is not over.
    fn find(&mut self, receipt_handle: &str, now: Instant) -> Option<(u64, &mut Stored)> {
        let (id, count) = receipt_handle.split_once('/')?;
        let (id, count): (u64, u32) = (id.parse().ok()?, count.parse().ok()?);
        let message = self.messages.get_mut(&id)?;
        (message.receive_count == count && message.in_flight && message.visible_at > now)
            .then_some((id, message))
    }
}
