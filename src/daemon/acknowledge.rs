//! The end of a message: deleted, handed back, or left. Always after the commit.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use futures::StreamExt as _;
use tokio::sync::mpsc::UnboundedReceiver;
use tokio_util::sync::CancellationToken;
use tracing::{debug, warn};

use super::hand::{Action, Delivery, Hand};
use crate::failpoint;
use crate::metrics::Ending;
use crate::queue::Message;

type Done = (Arc<Delivery>, Action);

/// Messages that are deleted or handed back by one request.
const AT_ONCE: usize = 10;
/// Requests at once.
const REQUESTS: usize = 8;
/// What is taken from the line in one go.
const IN_ONE_GO: usize = 1000;
/// Times that a request is made for a message. Then it comes back by itself, as a duplicate.
const ATTEMPTS: u32 = 5;

/// Acknowledges what comes, until `end` and until nothing is waiting.
pub(super) async fn acknowledge(hand: Arc<Hand>, mut done: UnboundedReceiver<Done>, end: CancellationToken) {
    let mut some = Vec::new();
    loop {
        some.clear();
        let taken = tokio::select! {
            biased;
            taken = done.recv_many(&mut some, IN_ONE_GO) => taken,
            () = end.cancelled() => return,
        };
        if taken == 0 {
            return;
        }
        let mut groups: HashMap<(usize, Action), Vec<Arc<Delivery>>> = HashMap::new();
        for (delivery, action) in some.drain(..) {
            groups.entry((delivery.queue, whole_seconds(action))).or_default().push(delivery);
        }
        let chunks = groups.iter().flat_map(|(&(queue, action), deliveries)| {
            deliveries.chunks(AT_ONCE).map(move |chunk| (queue, action, chunk.to_vec()))
        });
        let requests = chunks.map(|(queue, action, chunk)| finish(&hand, queue, action, chunk));
        futures::stream::iter(requests).buffer_unordered(REQUESTS).collect::<()>().await;
    }
}

/// SQS counts in seconds, so that messages with about the same rest go back by one request.
fn whole_seconds(action: Action) -> Action {
    match action {
        Action::HandBack(reason, after) => Action::HandBack(reason, Duration::from_secs(after.as_secs())),
        action => action,
    }
}

async fn finish(hand: &Hand, queue: usize, action: Action, mut left: Vec<Arc<Delivery>>) {
    let name = hand.queues[queue].name();
    if action == Action::Leave {
        left.iter().for_each(|_| hand.metrics.ended(name, Ending::Returned("foreign")));
        return;
    }
    for attempt in 1.. {
        let results = request(hand, queue, action, &left).await;
        let mut again = Vec::new();
        for (delivery, result) in left.into_iter().zip(results) {
            match result {
                Ok(()) => hand.metrics.ended(name, ending(action)),
                Err(error) if attempt < ATTEMPTS && !is_stale(&error) => {
                    debug!(queue = name, error = format!("{error:#}"), "tried again");
                    again.push(delivery);
                }
                Err(error) => give_up(hand, &delivery, &error),
            }
        }
        if again.is_empty() {
            return;
        }
        left = again;
        let pause = Duration::from_millis(100 << attempt);
        tokio::time::sleep(pause.mul_f64(0.5 + fastrand::f64())).await;
    }
}

async fn request(
    hand: &Hand,
    queue: usize,
    action: Action,
    deliveries: &[Arc<Delivery>],
) -> Vec<anyhow::Result<()>> {
    let messages: Vec<&Message> = deliveries.iter().map(|delivery| &delivery.message).collect();
    match action {
        Action::HandBack(_, after) => {
            let _extending = hand.settled_extensions(queue).await;
            hand.queues[queue].extend(&messages, after).await
        }
        Action::Delete | Action::Leave => {
            failpoint::reach(failpoint::BEFORE_DELETE);
            let results = hand.queues[queue].delete(&messages).await;
            failpoint::reach(failpoint::AFTER_DELETE);
            results
        }
    }
}

fn ending(action: Action) -> Ending {
    match action {
        Action::Delete => Ending::Deleted,
        Action::Leave => Ending::Returned("foreign"),
        Action::HandBack(reason, _) => Ending::Returned(reason),
    }
}

/// The message comes again when its visibility has run out, and is a duplicate then.
fn give_up(hand: &Hand, delivery: &Delivery, error: &anyhow::Error) {
    let name = hand.queues[delivery.queue].name();
    hand.metrics.ended(name, Ending::Expired);
    hand.metrics.error("acknowledge", if is_stale(error) { "stale_receipt" } else { "sqs" });
    let (message_id, error) = (&delivery.message.message_id, format!("{error:#}"));
    warn!(queue = name, message_id, error, "not acknowledged: it will be received again");
}

/// Whether the receipt is no longer valid, so that trying again would be no use.
fn is_stale(error: &anyhow::Error) -> bool {
    crate::queue::is_stale(error)
}
