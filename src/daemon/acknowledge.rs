//! The end of a message: deleted, handed back, or left. Always after the commit.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use futures::StreamExt as _;
use tokio::sync::mpsc::UnboundedReceiver;
use tokio_util::sync::CancellationToken;
use tracing::warn;

use super::hand::{Action, Delivery, Done, Hand};
use crate::failpoint;
use crate::metrics::Ending;
use crate::queue::{Held, Message, Refused};

/// Messages that are deleted or handed back by one request.
const AT_ONCE: usize = 10;
/// Requests at once.
const REQUESTS: usize = 8;
/// What is taken from the line in one go.
const IN_ONE_GO: usize = 1000;

/// Acknowledges what comes, until `end` and until nothing is waiting.
pub(super) async fn acknowledge(hand: Arc<Hand>, mut done: UnboundedReceiver<Done>, end: CancellationToken) {
    let mut some = Vec::new();
    loop {
        let taken = tokio::select! {
            biased;
            taken = done.recv_many(&mut some, IN_ONE_GO) => taken,
            () = end.cancelled() => return,
        };
        if taken == 0 {
            return;
        }
        let mut groups: HashMap<(usize, Action), Vec<Done>> = HashMap::new();
        for one in some.drain(..) {
            groups.entry((one.queue, whole_seconds(one.action))).or_default().push(one);
        }
        let mut requests = Vec::new();
        for ((queue, action), mut group) in groups {
            while !group.is_empty() {
                let rest = group.split_off(group.len().min(AT_ONCE));
                requests.push(finish(&hand, queue, action, std::mem::replace(&mut group, rest)));
            }
        }
        futures::stream::iter(requests).buffer_unordered(REQUESTS).collect::<()>().await;
    }
}

/// SQS counts in seconds, so messages with about the same rest go back by one request.
fn whole_seconds(action: Action) -> Action {
    match action {
        Action::HandBack(reason, after) => Action::HandBack(reason, Duration::from_secs(after.as_secs())),
        action => action,
    }
}

async fn finish(hand: &Hand, queue: usize, action: Action, done: Vec<Done>) {
    let name = hand.queues[queue].name();
    let (held, deliveries): (Vec<Held>, Vec<Arc<Delivery>>) =
        done.into_iter().map(|one| (one.held, one.delivery)).unzip();
    let results = match action {
        Action::Leave => held.iter().map(|_| Ok(())).collect(),
        Action::HandBack(_, Duration::ZERO) => hand.keepers[queue].hand_back(held).await,
        Action::HandBack(_, after) => {
            let messages: Vec<Message> = held.iter().map(|held| (**held).clone()).collect();
            // Nobody extends them any more from here on.
            drop(held);
            let messages: Vec<&Message> = messages.iter().collect();
            hand.queues[queue].extend(&messages, after).await
        }
        Action::Delete => delete(hand, queue, &held).await,
    };
    for (delivery, result) in deliveries.iter().zip(results) {
        match result {
            Ok(()) => hand.metrics.ended(name, ending(action)),
            Err(error) => give_up(hand, delivery, &error),
        }
    }
}

/// Whoever owns the queue has tried again where that is of use. What is not deleted now comes back when its
/// visibility has run out, and is a duplicate then.
async fn delete(hand: &Hand, queue: usize, held: &[Held]) -> Vec<Result<(), Refused>> {
    failpoint::reach(failpoint::BEFORE_DELETE);
    let messages: Vec<&Message> = held.iter().map(|held| &**held).collect();
    let results = hand.queues[queue].delete(&messages).await;
    failpoint::reach(failpoint::AFTER_DELETE);
    results
}

fn ending(action: Action) -> Ending {
    match action {
        Action::Delete => Ending::Deleted,
        Action::Leave => Ending::Returned("foreign"),
        Action::HandBack(reason, _) => Ending::Returned(reason),
    }
}

/// The message comes again when its visibility has run out, and is a duplicate then.
fn give_up(hand: &Hand, delivery: &Delivery, error: &Refused) {
    let name = hand.queues[delivery.queue].name();
    hand.metrics.ended(name, Ending::Expired);
    let kind = if matches!(error, Refused::Stale(_)) { "stale_receipt" } else { "sqs" };
    hand.metrics.error("acknowledge", kind);
    let (message_id, error) = (&delivery.message_id, format!("{error:#}"));
    warn!(queue = name, message_id, error, "not acknowledged: it will be received again");
}
