//! Queues: messages in, messages away. SQS through the AWS SDK.
//!
//! A message that was received is invisible to others for its visibility timeout, and then it is
//! anybody's. [`InHand`] extends that time for as long as somebody works on the message. A receipt
//! handle grows stale when the time has run out; a deletion may then have no effect, and SQS
//! delivers some messages twice in any case. So nothing here makes anything exactly once: the lake
//! does.
//!
//! This module has never heard of what bodies mean.

mod in_hand;
mod sqs;
mod url;

use std::fmt;
use std::time::{Duration, Instant};

use anyhow::Result;
use async_trait::async_trait;
use chrono::{DateTime, Utc};

pub use in_hand::{Counts, Held, InHand};
pub use sqs::{Sqs, SqsOptions};

/// A message as it was received once; received again, it has another receipt handle.
#[derive(Debug, Clone)]
pub struct Message {
    /// The queue's id of the message.
    pub message_id: String,
    /// What the queue wants to see to extend or delete it.
    pub receipt_handle: String,
    /// The text.
    pub body: String,
    /// How often it was received, this time included; about so, as SQS says.
    pub receive_count: u32,
    /// When it was sent.
    pub sent_at: Option<DateTime<Utc>>,
    /// When it came here.
    pub received_at: Instant,
}

/// Why the queue did not do with a message what it was asked.
#[derive(Debug, thiserror::Error)]
pub enum Refused {
    /// The receipt handle is of no use any more: the visibility timeout ran out, or the message is gone.
    /// Somebody else may have it now.
    #[error("the receipt handle is stale: {0}")]
    Stale(String),
    /// The queue asks for fewer requests, and did so until we gave up.
    #[error("throttled: {0}")]
    Throttled(String),
    /// Something that may be over the next time.
    #[error(transparent)]
    Other(anyhow::Error),
}

/// A queue of messages, each to be deleted by whoever is done with it.
#[async_trait]
pub trait Queue: Send + Sync {
    /// A short name for logs and metrics.
    fn name(&self) -> &str;

    /// Waits for messages, for as long as the queue is set to; none is an answer.
    async fn receive(&self) -> Result<Vec<Message>>;

    /// Makes messages stay invisible for `visibility` from now. Zero hands them back.
    ///
    /// Answers one by one, in order.
    async fn extend(&self, messages: &[&Message], visibility: Duration) -> Vec<Result<(), Refused>>;

    /// Deletes messages. Answers one by one, in order.
    async fn delete(&self, messages: &[&Message]) -> Vec<Result<(), Refused>>;

    /// Asks for what is known about the queue, and so for whether we may.
    async fn check(&self) -> Result<QueueInfo>;
}

/// What is known about a queue. Counts are about right, as SQS says.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct QueueInfo {
    /// How long a message stays invisible that nobody extends, unless the receiver asks for another time.
    pub visibility_timeout: Option<Duration>,
    /// How long a message is kept.
    pub message_retention_period: Option<Duration>,
    /// What becomes of messages that are received too often.
    pub redrive_policy: Option<RedrivePolicy>,
    /// Messages that wait.
    pub approximate_number_of_messages: u64,
    /// Messages in somebody's hands.
    pub approximate_number_of_messages_not_visible: u64,
    /// Messages that were sent to be delivered later.
    pub approximate_number_of_messages_delayed: u64,
    /// Whether it keeps messages in order.
    pub fifo: bool,
}

/// Where messages go that are received too often.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RedrivePolicy {
    /// The dead-letter queue.
    pub dead_letter_target_arn: String,
    /// How often a message is received before it goes there.
    pub max_receive_count: u32,
}

impl fmt::Display for RedrivePolicy {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} after {} receives", self.dead_letter_target_arn, self.max_receive_count)
    }
}
