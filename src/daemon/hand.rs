//! The messages in hand: who waits for what of them, and how long they stay ours.
//!
//! A message is in hand from its receipt until all its objects are settled; then it is deleted or
//! handed back. All that time its visibility is extended, so that nobody else receives it.

use std::collections::HashMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use futures::StreamExt as _;
use tokio::sync::{OwnedSemaphorePermit, Semaphore, mpsc};
use tokio_util::sync::CancellationToken;
use tracing::{debug, warn};

use super::Options;
use crate::metrics::SharedMetrics;
use crate::queue::{Message, Queue};

/// A message in hand.
pub(super) struct Delivery {
    id: u64,
    pub(super) queue: usize,
    pub(super) message: Message,
    state: Mutex<State>,
    _room: OwnedSemaphorePermit,
}

#[derive(Default)]
struct State {
    /// Tickets that are not settled.
    open: usize,
    foreign: bool,
    failed: Option<Failed>,
    extend_at: Option<Instant>,
}

/// Why a message goes back, and for how long.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Failed {
    pub(super) reason: &'static str,
    /// At once, and not when it has rested.
    pub(super) at_once: bool,
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
    held: Vec<Mutex<HashMap<u64, Arc<Delivery>>>>,
    /// Taken while visibility is extended, so that it is not extended after a message was handed back.
    extending: Vec<tokio::sync::Mutex<()>>,
    pub(super) room: Arc<Semaphore>,
    done: mpsc::UnboundedSender<(Arc<Delivery>, Action)>,
    next_id: AtomicU64,
    options: Arc<Options>,
    pub(super) metrics: SharedMetrics,
}

/// Messages whose visibility is extended at once, by several requests.
const EXTENDED_AT_ONCE: usize = 10;
/// Requests for extensions at once.
const EXTENSIONS: usize = 8;

impl Hand {
    pub(super) fn new(
        queues: Vec<Arc<dyn Queue>>,
        options: Arc<Options>,
        metrics: SharedMetrics,
    ) -> (Arc<Self>, mpsc::UnboundedReceiver<(Arc<Delivery>, Action)>) {
        let (done, receiver) = mpsc::unbounded_channel();
        let hand = Hand {
            held: queues.iter().map(|_| Mutex::default()).collect(),
            extending: queues.iter().map(|_| tokio::sync::Mutex::default()).collect(),
            queues,
            room: Arc::new(Semaphore::new(options.max_in_hand)),
            done,
            next_id: AtomicU64::new(0),
            options,
            metrics,
        };
        (Arc::new(hand), receiver)
    }

    /// Takes a message that was received. The ticket is for whoever reads its body.
    pub(super) fn take(
        self: &Arc<Self>,
        queue: usize,
        message: Message,
        room: OwnedSemaphorePermit,
    ) -> Ticket {
        let since = message.received_at;
        let state = State {
            open: 1,
            extend_at: Some(since + self.options.visibility_timeout / 2),
            ..State::default()
        };
        let id = self.next_id.fetch_add(1, Ordering::Relaxed);
        let delivery = Arc::new(Delivery { id, queue, message, state: Mutex::new(state), _room: room });
        self.held(queue).insert(id, delivery.clone());
        Ticket { delivery: Some(delivery), hand: self.clone(), settled: false, since }
    }

    /// A ticket of no message, for objects that nobody announced.
    pub(super) fn ticket(self: &Arc<Self>) -> Ticket {
        Ticket { delivery: None, hand: self.clone(), settled: false, since: Instant::now() }
    }

    /// How many messages are not settled yet.
    pub(super) fn in_hand(&self) -> usize {
        (0..self.queues.len()).map(|queue| self.held(queue).len()).sum()
    }

    /// Hands back what is still in hand, whatever becomes of its objects.
    pub(super) fn hand_back_all(&self) {
        for queue in 0..self.queues.len() {
            let left: Vec<_> = self.held(queue).drain().map(|(_, delivery)| delivery).collect();
            for delivery in left {
                // Whoever acknowledges is gone only when the daemon has ended.
                let _ = self.done.send((delivery, Action::HandBack("shutdown", Duration::ZERO)));
            }
        }
    }

    /// Waits until no extension is under way.
    pub(super) async fn settled_extensions(&self, queue: usize) -> tokio::sync::MutexGuard<'_, ()> {
        self.extending[queue].lock().await
    }

    fn held(&self, queue: usize) -> MutexGuard<'_, HashMap<u64, Arc<Delivery>>> {
        self.held[queue].lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Extends the visibility of what is in hand of a queue, each at half time, until `end`.
    pub(super) async fn keep(self: Arc<Self>, queue: usize, end: CancellationToken) {
        let visibility = self.options.visibility_timeout;
        let tick = (visibility / 20).clamp(Duration::from_millis(50), Duration::from_secs(5));
        while end.run_until_cancelled(tokio::time::sleep(tick)).await.is_some() {
            let _extending = self.extending[queue].lock().await;
            let due = self.due(queue, Instant::now());
            let extensions = due.chunks(EXTENDED_AT_ONCE).map(|due| self.extend(queue, due));
            futures::stream::iter(extensions).buffer_unordered(EXTENSIONS).collect::<()>().await;
        }
    }

    fn due(&self, queue: usize, now: Instant) -> Vec<Arc<Delivery>> {
        let held = self.held(queue);
        let is_due = |delivery: &&Arc<Delivery>| delivery.state().extend_at.is_some_and(|at| at <= now);
        held.values().filter(is_due).cloned().collect()
    }

    async fn extend(&self, queue: usize, due: &[Arc<Delivery>]) {
        let messages: Vec<&Message> = due.iter().map(|delivery| &delivery.message).collect();
        let visibility = self.options.visibility_timeout;
        let asked = Instant::now();
        let results = self.queues[queue].extend(&messages, visibility).await;
        for (delivery, result) in due.iter().zip(results) {
            let message_id = &delivery.message.message_id;
            match result {
                Ok(()) => {
                    self.metrics.extended(self.queues[queue].name());
                    delivery.state().extend_at = Some(asked + visibility / 2);
                }
                Err(error) if self.held(queue).contains_key(&delivery.id) => {
                    self.metrics.error("extend", "sqs");
                    let error = format!("{error:#}");
                    warn!(queue = self.queues[queue].name(), message_id, error, "visibility not extended");
                    // Tried again soon; if the message is lost to us, its work only comes out as a duplicate.
                    delivery.state().extend_at = Some(asked + visibility / 6);
                }
                Err(_) => debug!(message_id, "done with while its visibility was extended"),
            }
        }
    }
}

impl Delivery {
    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Ticket {
    /// A further share in the same message.
    pub(super) fn split(&self) -> Ticket {
        if let Some(delivery) = &self.delivery {
            delivery.state().open += 1;
        }
        Ticket {
            delivery: self.delivery.clone(),
            hand: self.hand.clone(),
            settled: false,
            since: self.since,
        }
    }

    /// The message, if there is one.
    pub(super) fn message(&self) -> Option<&Message> {
        self.delivery.as_ref().map(|delivery| &delivery.message)
    }

    /// How often the message was received.
    pub(super) fn receive_count(&self) -> u32 {
        self.message().map_or(u32::MAX, |message| message.receive_count)
    }

    /// Nothing more is to be done for this share.
    pub(super) fn settle(mut self) {
        self.settled = true;
        self.end(|_| {});
    }

    /// The message is not ours to delete, whatever else it holds.
    pub(super) fn settle_as_foreign(mut self) {
        self.settled = true;
        self.end(|state| state.foreign = true);
    }

    /// This share could not be served: the message goes back.
    pub(super) fn fail(mut self, failed: Failed) {
        self.settled = true;
        self.end(|state| state.failed = Some(state.failed.filter(|old| !old.at_once).unwrap_or(failed)));
    }

    fn end(&self, note: impl FnOnce(&mut State)) {
        let Some(delivery) = &self.delivery else { return };
        let action = {
            let mut state = delivery.state();
            note(&mut state);
            state.open -= 1;
            if state.open > 0 {
                return;
            }
            state.action(&self.hand.options, delivery.message.receive_count)
        };
        // Nobody extends its visibility any more; and if it is gone, it has been handed back already.
        if self.hand.held(delivery.queue).remove(&delivery.id).is_some() {
            let _ = self.hand.done.send((delivery.clone(), action));
        }
    }
}

impl Drop for Ticket {
    fn drop(&mut self) {
        if !self.settled {
            self.end(|state| state.failed = Some(Failed::later("dropped")));
        }
    }
}

impl State {
    fn action(&self, options: &Options, receive_count: u32) -> Action {
        match (self.failed, self.foreign, options.foreign_messages) {
            (Some(Failed { reason, at_once: true }), ..) => Action::HandBack(reason, Duration::ZERO),
            (Some(Failed { reason, .. }), ..) => Action::HandBack(reason, options.retry_after(receive_count)),
            (None, true, super::ForeignMessages::Leave) => Action::Leave,
            (None, ..) => Action::Delete,
        }
    }
}
