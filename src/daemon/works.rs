//! Objects in work: each is fetched once, however many messages announce it meanwhile.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use super::hand::{Failed, Ticket};
use crate::lake::LogFileId;
use crate::metrics::{Metrics, ObjectOutcome};

/// Objects in work, and who waits for them.
#[derive(Default)]
pub(super) struct Works {
    waiting: Mutex<HashMap<LogFileId, Vec<Ticket>>>,
    metrics: Arc<Metrics>,
}

/// How the work on an object ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum End {
    Committed,
    Quarantined,
    Duplicate,
    Failed(Failed),
}

impl Works {
    pub(super) fn new(metrics: Arc<Metrics>) -> Self {
        Works { waiting: Mutex::default(), metrics }
    }

    /// Enters an object; returns whether it was not in work yet.
    pub(super) fn begin(&self, id: LogFileId, ticket: Ticket) -> bool {
        self.metrics.object_seen();
        let mut waiting = self.waiting();
        let tickets = waiting.entry(id).or_default();
        tickets.push(ticket);
        tickets.len() == 1
    }

    /// An object that is nothing to us.
    pub(super) fn ignore(&self, ticket: Ticket, foreign: bool) {
        self.metrics.object_seen();
        self.metrics.object_done(ObjectOutcome::Ignored, ticket.since.elapsed());
        if foreign { ticket.settle_as_foreign() } else { ticket.settle() }
    }

    /// How often the messages that announce it were received, at most. Nothing if no message did.
    pub(super) fn receive_count(&self, id: LogFileId) -> Option<u32> {
        self.waiting().get(&id)?.iter().filter_map(Ticket::receive_count).max()
    }

    /// The message that announced it first.
    pub(super) fn message_id(&self, id: LogFileId) -> String {
        let waiting = self.waiting();
        waiting.get(&id).and_then(|tickets| tickets.first()).map_or("", Ticket::message_id).to_owned()
    }

    /// Tells all who wait. The first has brought it; to the others it is a duplicate.
    pub(super) fn finish(&self, id: LogFileId, end: End) {
        let tickets = self.waiting().remove(&id).unwrap_or_default();
        for (index, ticket) in tickets.into_iter().enumerate() {
            let outcome = match end {
                End::Failed(_) => ObjectOutcome::Failed,
                End::Committed if index == 0 => ObjectOutcome::Committed,
                End::Quarantined if index == 0 => ObjectOutcome::Quarantined,
                _ => ObjectOutcome::Duplicate,
            };
            self.metrics.object_done(outcome, ticket.since.elapsed());
            match end {
                End::Failed(failed) => ticket.fail(failed),
                _ => ticket.settle(),
            }
        }
    }

    fn waiting(&self) -> MutexGuard<'_, HashMap<LogFileId, Vec<Ticket>>> {
        self.waiting.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
