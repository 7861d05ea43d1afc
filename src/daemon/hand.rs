//! The messages in hand: who waits for what of them.
//!
//! A message is in hand from its receipt until all its objects are settled; then it is deleted or
//! handed back. All that time its visibility is extended ([`InHand`]), so that nobody else gets it.

use std::collections::HashMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use tokio::sync::{OwnedSemaphorePermit, Semaphore, mpsc};

use super::{ForeignMessages, Options};
use crate::metrics::Metrics;
use crate::queue::{Held, InHand, Message, Queue};

/// A message in hand.
pub(super) struct Delivery {
    id: u64,
    pub(super) queue: usize,
    /// The message without its body. Nothing once it is on its way out.
    held: Mutex<Option<Held>>,
    pub(super) message_id: String,
    receive_count: u32,
    state: Mutex<State>,
    /// Its place among those in hand. Only a queue that gives more than it was asked for finds none.
    _room: Option<OwnedSemaphorePermit>,
}

#[derive(Default)]
struct State {
    /// Tickets that are not settled.
    open: usize,
    foreign: bool,
    failed: Option<Failed>,
}

/// Why a message goes back, and for how long.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Failed {
    pub(super) reason: &'static str,
    /// At once, and not when it has rested.
    at_once: bool,
}

impl Failed {
    pub(super) fn later(reason: &'static str) -> Self {
        Failed { reason, at_once: false }
    }

    pub(super) fn shutdown() -> Self {
        Failed { reason: "shutdown", at_once: true }
    }
}

/// What is to be done with a message whose objects are settled.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(super) enum Action {
    Delete,
    /// Lets the visibility run out.
    Leave,
    HandBack(&'static str, Duration),
}

/// A message that is done with.
pub(super) struct Done {
    pub(super) queue: usize,
    pub(super) held: Held,
    pub(super) action: Action,
    pub(super) delivery: Arc<Delivery>,
}

/// A share in a message: it is done with when all tickets are settled.
pub(super) struct Ticket {
    delivery: Option<Arc<Delivery>>,
    hand: Arc<Hand>,
    settled: bool,
    pub(super) since: Instant,
}

/// All messages in hand.
pub(super) struct Hand {
    pub(super) queues: Vec<Arc<dyn Queue>>,
    pub(super) keepers: Vec<InHand>,
    deliveries: Mutex<HashMap<u64, Arc<Delivery>>>,
    pub(super) room: Arc<Semaphore>,
    done: mpsc::UnboundedSender<Done>,
    next_id: AtomicU64,
    options: Arc<Options>,
    pub(super) metrics: Arc<Metrics>,
}

impl Hand {
    pub(super) fn new(
        queues: Vec<Arc<dyn Queue>>,
        options: Arc<Options>,
        metrics: Arc<Metrics>,
    ) -> (Arc<Self>, mpsc::UnboundedReceiver<Done>) {
        let (done, receiver) = mpsc::unbounded_channel();
        let visibility = options.visibility_timeout;
        let hand = Hand {
            keepers: queues.iter().map(|queue| InHand::new(queue.clone(), visibility)).collect(),
            queues,
            deliveries: Mutex::default(),
            room: Arc::new(Semaphore::new(options.max_in_hand)),
            done,
            next_id: AtomicU64::new(0),
            options,
            metrics,
        };
        (Arc::new(hand), receiver)
    }

    /// Takes a message that was received. Its body is for whoever settles the ticket to read.
    pub(super) fn take(
        self: &Arc<Self>,
        queue: usize,
        mut message: Message,
        room: Option<OwnedSemaphorePermit>,
    ) -> (Ticket, String) {
        self.metrics.received(self.queues[queue].name());
        // Bodies may be large, and messages stay in hand for minutes.
        let body = std::mem::take(&mut message.body);
        let since = message.received_at;
        let id = self.next_id.fetch_add(1, Ordering::Relaxed);
        let (message_id, receive_count) = (message.message_id.clone(), message.receive_count);
        let held = Mutex::new(Some(self.keepers[queue].take(message)));
        let state = Mutex::new(State { open: 1, ..State::default() });
        let delivery = Delivery { id, queue, held, message_id, receive_count, state, _room: room };
        let delivery = Arc::new(delivery);
        self.deliveries().insert(id, delivery.clone());
        (Ticket { delivery: Some(delivery), hand: self.clone(), settled: false, since }, body)
    }

    /// A ticket of no message, for objects that nobody announced.
    pub(super) fn ticket(self: &Arc<Self>) -> Ticket {
        Ticket { delivery: None, hand: self.clone(), settled: false, since: Instant::now() }
    }

    /// Hands back what is still in hand, whatever becomes of its objects.
    pub(super) fn hand_back_all(&self) {
        let left: Vec<_> = self.deliveries().values().cloned().collect();
        for delivery in left {
            self.finish(delivery, Action::HandBack("shutdown", Duration::ZERO));
        }
    }

    fn finish(&self, delivery: Arc<Delivery>, action: Action) {
        // Whoever takes it from the deliveries is the one to finish it.
        if self.deliveries().remove(&delivery.id).is_none() {
            return;
        }
        let held = delivery.held.lock().unwrap_or_else(PoisonError::into_inner).take();
        if let Some(held) = held {
            // Whoever acknowledges is gone only when the daemon has ended.
            let _ = self.done.send(Done { queue: delivery.queue, held, action, delivery });
        }
    }

    fn deliveries(&self) -> MutexGuard<'_, HashMap<u64, Arc<Delivery>>> {
        self.deliveries.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Ticket {
    /// A further share in the same message.
    pub(super) fn split(&self) -> Ticket {
        if let Some(delivery) = &self.delivery {
            delivery.state().open += 1;
        }
        Ticket { delivery: self.delivery.clone(), hand: self.hand.clone(), settled: false, since: self.since }
    }

    /// The message's id; nothing for an object that nobody announced.
    pub(super) fn message_id(&self) -> &str {
        self.delivery.as_ref().map_or("", |delivery| &delivery.message_id)
    }

    /// The queue's name.
    pub(super) fn queue(&self) -> &str {
        self.delivery.as_ref().map_or("", |delivery| self.hand.queues[delivery.queue].name())
    }

    /// How often the message was received; nothing for an object that nobody announced.
    pub(super) fn receive_count(&self) -> Option<u32> {
        self.delivery.as_ref().map(|delivery| delivery.receive_count)
    }

    /// Nothing more is to be done for this share.
    pub(super) fn settle(mut self) {
        self.end(|_| {});
    }

    /// The message is not ours to delete, whatever else it holds.
    pub(super) fn settle_as_foreign(mut self) {
        self.end(|state| state.foreign = true);
    }

    /// This share could not be served: the message goes back.
    pub(super) fn fail(mut self, failed: Failed) {
        self.end(|state| {
            if state.failed.is_none_or(|old| old.at_once) {
                state.failed = Some(failed);
            }
        });
    }

    fn end(&mut self, note: impl FnOnce(&mut State)) {
        self.settled = true;
        let Some(delivery) = &self.delivery else { return };
        let action = {
            let mut state = delivery.state();
            note(&mut state);
            state.open -= 1;
            if state.open > 0 {
                return;
            }
            state.action(&self.hand.options, delivery.receive_count)
        };
        self.hand.finish(delivery.clone(), action);
    }
}

impl Drop for Ticket {
    fn drop(&mut self) {
        if !self.settled {
            self.end(|state| state.failed = Some(Failed::later("dropped")));
        }
    }
}

impl Delivery {
    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl State {
    fn action(&self, options: &Options, receive_count: u32) -> Action {
        match (self.failed, self.foreign, options.foreign_messages) {
            (Some(Failed { reason, at_once: true }), ..) => Action::HandBack(reason, Duration::ZERO),
            (Some(Failed { reason, .. }), ..) => Action::HandBack(reason, options.retry_after(receive_count)),
            (None, true, ForeignMessages::Leave) => Action::Leave,
            (None, ..) => Action::Delete,
        }
    }
}
