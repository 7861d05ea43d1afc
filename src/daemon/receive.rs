//! Receiving: messages from a queue into hand, as long as there is room.

use std::sync::Arc;
use std::time::{Duration, Instant};

use chrono::Utc;
use tokio::sync::{OwnedSemaphorePermit, mpsc, watch};
use tokio_util::sync::CancellationToken;
use tracing::error;

use super::dispatch::Arrival;
use super::hand::Hand;
use crate::ingest::load::Turn;
use crate::metrics::Health;
use crate::queue::Message;

/// Messages of one receive.
const RECEIVE: u32 = 10;
/// A receive that is under way at the end may still bring messages: they would be invisible to others
/// for nothing.
const LAST_RECEIVE: Duration = Duration::from_secs(1);
/// How often a batch is asked for while there is no room for more messages.
const ASK: Duration = Duration::from_secs(1);
/// The time that an empty answer takes at least.
const EMPTY: Duration = Duration::from_millis(200);
/// The pause after a failed receive, the first and at most.
const PAUSES: (Duration, Duration) = (Duration::from_secs(1), Duration::from_mins(1));

/// One receiver of one queue.
pub(super) struct Receiver {
    pub(super) queue: usize,
    pub(super) hand: Arc<Hand>,
    pub(super) arrivals: mpsc::Sender<Arrival>,
    pub(super) turn: Turn,
    /// Whether the lake takes commits. While it does not, messages are better off on the queue.
    pub(super) open: watch::Receiver<bool>,
    pub(super) health: Arc<Health>,
    pub(super) part: String,
}

impl Receiver {
    pub(super) async fn run(mut self, stop: CancellationToken) {
        let mut failures = 0;
        loop {
            let Some(Some(room)) = stop.run_until_cancelled(self.room()).await else { return };
            let asked = Instant::now();
            let Some(received) = self.receive(&stop).await else { return };
            let pause = match received {
                Ok(messages) => {
                    failures = 0;
                    self.health.fine(&self.part);
                    let empty = messages.is_empty();
                    if !self.take(messages, room).await {
                        return;
                    }
                    // A queue that is not told to wait would be asked without end.
                    if empty { EMPTY.saturating_sub(asked.elapsed()) } else { Duration::ZERO }
                }
                Err(error) => {
                    failures += 1;
                    self.failed(&error);
                    jittered(PAUSES, failures)
                }
            };
            if stop.run_until_cancelled(tokio::time::sleep(pause)).await.is_none() {
                return;
            }
        }
    }

    /// Waits until there is room for a receive. What fills it is written meanwhile.
    async fn room(&mut self) -> Option<OwnedSemaphorePermit> {
        self.open.wait_for(|open| *open).await.ok()?;
        loop {
            let room = self.hand.room.clone().acquire_many_owned(RECEIVE);
            if let Ok(room) = tokio::time::timeout(ASK, room).await {
                return room.ok();
            }
            self.turn.advance();
            self.health.fine(&self.part);
        }
    }

    /// Nothing when it is time to end.
    async fn receive(&self, stop: &CancellationToken) -> Option<anyhow::Result<Vec<Message>>> {
        let receive = self.hand.queues[self.queue].receive();
        tokio::pin!(receive);
        tokio::select! {
            received = &mut receive => return Some(received),
            () = stop.cancelled() => {}
        }
        tokio::time::timeout(LAST_RECEIVE, receive).await.ok()
    }

    /// Returns whether somebody still wants messages.
    async fn take(&self, messages: Vec<Message>, mut room: OwnedSemaphorePermit) -> bool {
        // All are in hand before anything is waited for: whatever ends this task then, they are handed back.
        let mut taken = Vec::with_capacity(messages.len());
        for message in messages {
            if message.receive_count <= 1
                && let Some(sent_at) = message.sent_at
            {
                self.hand.metrics.lag((Utc::now() - sent_at).to_std().unwrap_or_default());
            }
            taken.push(self.hand.take(self.queue, message, room.split(1)));
        }
        drop(room);
        for (ticket, body) in taken {
            if self.arrivals.send(Arrival::Message(ticket, body)).await.is_err() {
                return false;
            }
        }
        true
    }

    fn failed(&self, error: &anyhow::Error) {
        let (queue, told) = (self.hand.queues[self.queue].name(), format!("{error:#}"));
        error!(queue, error = told, "receiving failed; tried again after a pause");
        self.hand.metrics.error("receive", "sqs");
        self.health.troubled(&self.part, &told);
    }
}

/// A pause that doubles with each failure, and never falls together with that of others.
pub(super) fn jittered((first, most): (Duration, Duration), failures: u32) -> Duration {
    let pause = first.saturating_mul(1 << failures.saturating_sub(1).min(16)).min(most);
    pause.mul_f64(0.5 + 0.5 * fastrand::f64())
}
