//! SQS. The SDK retries requests; here only the entries of a batch are tried again that SQS itself
//! has failed on.

use std::collections::HashMap;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, anyhow};
use async_trait::async_trait;
use aws_config::{Region, SdkConfig};
use aws_sdk_sqs::Client;
use aws_sdk_sqs::config::Builder;
use aws_sdk_sqs::error::{ProvideErrorMetadata, SdkError};
use aws_sdk_sqs::types::{
    BatchResultErrorEntry, ChangeMessageVisibilityBatchRequestEntry, DeleteMessageBatchRequestEntry,
    MessageSystemAttributeName, QueueAttributeName,
};
use chrono::DateTime;
use serde_json::Value;
use tracing::warn;

use super::url::QueueUrl;
use super::{Message, Queue, QueueInfo, RedrivePolicy, Refused};
use crate::aws::{self, Connect};

/// Which queue, and how it is received from.
#[derive(Debug, Clone)]
pub struct SqsOptions {
    /// What stands in place of the standard AWS chain; profile and endpoint are its own then.
    pub config: Option<SdkConfig>,
    /// The queue's URL. It says the region too.
    pub queue_url: String,
    /// The region, where the URL does not say it.
    pub region: Option<String>,
    /// The profile of the AWS configuration files.
    pub profile: Option<String>,
    /// Another endpoint than that of the region.
    pub endpoint_url: Option<String>,
    /// A role to be assumed for the requests to this queue.
    pub role_arn: Option<String>,
    /// The external id that the role asks for.
    pub external_id: Option<String>,
    /// How long messages stay invisible once received.
    pub visibility_timeout: Duration,
    /// How long a receive waits for messages.
    pub wait_time: Duration,
    /// How many messages a receive takes, at most ten.
    pub max_number_of_messages: u32,
}

impl SqsOptions {
    /// The queue at this URL, received from as SQS does best: long polls, ten messages each.
    pub fn new(queue_url: impl Into<String>) -> Self {
        SqsOptions {
            config: None,
            queue_url: queue_url.into(),
            region: None,
            profile: None,
            endpoint_url: None,
            role_arn: None,
            external_id: None,
            visibility_timeout: Duration::from_mins(5),
            wait_time: Duration::from_secs(20),
            max_number_of_messages: 10,
        }
    }
}

/// A queue of SQS.
#[derive(Debug)]
pub struct Sqs {
    client: Client,
    name: String,
    queue_url: String,
    visibility_timeout: i32,
    wait_time: i32,
    max_number_of_messages: i32,
}

/// SQS's own limit for the entries of a batch.
const BATCH: usize = 10;
/// How often an entry is tried that SQS has failed on.
const ATTEMPTS: u32 = 4;
/// The time for an answer, over the time that the request asks SQS to wait.
const ANSWER_TIMEOUT: Duration = Duration::from_secs(15);
/// SQS's own limit for a visibility timeout: twelve hours.
const MAX_VISIBILITY_SECONDS: u64 = 43_200;

/// What is done with a batch of messages.
#[derive(Debug, Clone, Copy)]
enum Action {
    ChangeVisibility(i32),
    Delete,
}

/// Why an entry of a batch failed, and whether that is worth another try.
struct Failure {
    refused: Refused,
    again: bool,
}

impl Sqs {
    /// Reads the AWS configuration; the queue is not asked for yet.
    pub async fn connect(options: &SqsOptions) -> Result<Self> {
        let url = QueueUrl::parse(&options.queue_url)?;
        let connect = Connect {
            config: options.config.clone(),
            region: options.region.clone().or(url.region),
            profile: options.profile.clone(),
            endpoint_url: options.endpoint_url.clone(),
        };
        let mut config = aws::load(&connect).await;
        if let Some(role_arn) = &options.role_arn {
            config = aws::assume(&config, role_arn, options.external_id.as_deref()).await;
        }
        let has_endpoint =
            config.endpoint_url().is_some() || std::env::var_os("AWS_ENDPOINT_URL_SQS").is_some();
        let mut builder =
            Builder::from(&config).timeout_config(aws::timeouts(options.wait_time + ANSWER_TIMEOUT));
        if let Some(endpoint_url) = url.endpoint_url.filter(|_| !has_endpoint) {
            builder = builder.endpoint_url(endpoint_url);
        }
        if let Some(region) = connect.region {
            builder = builder.region(Region::new(region));
        }
        Ok(Sqs {
            client: Client::from_conf(builder.build()),
            name: url.name,
            queue_url: options.queue_url.clone(),
            visibility_timeout: seconds(options.visibility_timeout),
            wait_time: seconds(options.wait_time).min(20),
            max_number_of_messages: i32::try_from(options.max_number_of_messages.clamp(1, 10))?,
        })
    }

    /// The queue's URL.
    pub fn url(&self) -> &str {
        &self.queue_url
    }

    async fn each(&self, action: Action, messages: &[&Message]) -> Vec<Result<(), Refused>> {
        let mut results = Vec::with_capacity(messages.len());
        for chunk in messages.chunks(BATCH) {
            results.extend(self.chunk(action, chunk).await);
        }
        results
    }

    async fn chunk(&self, action: Action, messages: &[&Message]) -> Vec<Result<(), Refused>> {
        let mut results: Vec<_> = messages.iter().map(|_| Ok(())).collect();
        let mut open: Vec<usize> = (0..messages.len()).collect();
        for attempt in 0..ATTEMPTS {
            if attempt > 0 {
                pause(attempt).await;
            }
            let tried = std::mem::take(&mut open);
            let mut failures = self.send(action, messages, &tried).await;
            for at in tried {
                let failure = failures.remove(&at);
                if failure.as_ref().is_some_and(|failure| failure.again) {
                    open.push(at);
                }
                results[at] = failure.map_or(Ok(()), |failure| Err(failure.refused));
            }
            if open.is_empty() {
                break;
            }
        }
        results
    }

    /// Sends one batch; answers what failed. The entries are called by their places.
    async fn send(&self, action: Action, messages: &[&Message], places: &[usize]) -> HashMap<usize, Failure> {
        let answer = match action {
            Action::Delete => self.send_delete(messages, places).await,
            Action::ChangeVisibility(seconds) => self.send_change(messages, places, seconds).await,
        };
        let (done, failed) = match answer {
            Ok(answer) => answer,
            Err(failure) => return places.iter().map(|place| (*place, failure())).collect(),
        };
        let done: Vec<usize> = done.iter().filter_map(|id| id.parse().ok()).collect();
        let mut failed: HashMap<usize, Failure> =
            failed.iter().filter_map(|entry| Some((entry.id().parse().ok()?, failure(entry)))).collect();
        for place in places.iter().filter(|place| !done.contains(place)) {
            let silence =
                || Failure { refused: Refused::Other(anyhow!("SQS said nothing of it")), again: true };
            failed.entry(*place).or_insert_with(silence);
        }
        failed
    }

    async fn send_delete(&self, messages: &[&Message], places: &[usize]) -> Answer {
        let entry = |place: &usize| {
            let entry = DeleteMessageBatchRequestEntry::builder().id(place.to_string());
            entry.receipt_handle(&messages[*place].receipt_handle).build().ok()
        };
        let entries = places.iter().filter_map(entry).collect();
        let request = self.client.delete_message_batch().queue_url(&self.queue_url);
        let answer = request.set_entries(Some(entries)).send().await.map_err(all_failed)?;
        let done = answer.successful().iter().map(|entry| entry.id().to_owned()).collect();
        Ok((done, answer.failed))
    }

    async fn send_change(&self, messages: &[&Message], places: &[usize], seconds: i32) -> Answer {
        let entry = |place: &usize| {
            let entry = ChangeMessageVisibilityBatchRequestEntry::builder().id(place.to_string());
            let entry = entry.receipt_handle(&messages[*place].receipt_handle);
            entry.visibility_timeout(seconds).build().ok()
        };
        let entries = places.iter().filter_map(entry).collect();
        let request = self.client.change_message_visibility_batch().queue_url(&self.queue_url);
        let answer = request.set_entries(Some(entries)).send().await.map_err(all_failed)?;
        let done = answer.successful().iter().map(|entry| entry.id().to_owned()).collect();
        Ok((done, answer.failed))
    }
}

/// The ids that are done and the entries that failed; or, for all of them, why nothing came of it.
type Answer = Result<(Vec<String>, Vec<BatchResultErrorEntry>), Box<dyn Fn() -> Failure + Send + Sync>>;

#[async_trait]
impl Queue for Sqs {
    fn name(&self) -> &str {
        &self.name
    }

    async fn receive(&self) -> Result<Vec<Message>> {
        let request = self.client.receive_message().queue_url(&self.queue_url);
        let request = request
            .max_number_of_messages(self.max_number_of_messages)
            .wait_time_seconds(self.wait_time)
            .visibility_timeout(self.visibility_timeout)
            .message_system_attribute_names(MessageSystemAttributeName::ApproximateReceiveCount)
            .message_system_attribute_names(MessageSystemAttributeName::SentTimestamp);
        let answer = request.send().await.map_err(aws::explain);
        let answer = answer.with_context(|| format!("receiving from {}", self.queue_url))?;
        let received_at = Instant::now();
        let read = |message| read(message, received_at);
        Ok(answer.messages.into_iter().flatten().filter_map(read).collect())
    }

    async fn extend(&self, messages: &[&Message], visibility: Duration) -> Vec<Result<(), Refused>> {
        self.each(Action::ChangeVisibility(seconds(visibility)), messages).await
    }

    async fn delete(&self, messages: &[&Message]) -> Vec<Result<(), Refused>> {
        self.each(Action::Delete, messages).await
    }

    async fn check(&self) -> Result<QueueInfo> {
        let request = self.client.get_queue_attributes().queue_url(&self.queue_url);
        let answer = request.attribute_names(QueueAttributeName::All).send().await.map_err(aws::explain);
        let answer = answer.with_context(|| format!("asking about the queue {}", self.queue_url))?;
        let attributes = answer.attributes.unwrap_or_default();
        Ok(info(|name| attributes.get(&name).map(String::as_str)))
    }
}

/// Whole seconds, rounded up: a message must not come back early.
fn seconds(duration: Duration) -> i32 {
    let seconds = duration.as_secs().saturating_add(u64::from(duration.subsec_nanos() > 0));
    i32::try_from(seconds.min(MAX_VISIBILITY_SECONDS)).unwrap_or(i32::MAX)
}

fn read(message: aws_sdk_sqs::types::Message, received_at: Instant) -> Option<Message> {
    let attribute = |name| message.attributes()?.get(&name).map(String::as_str);
    let sent_at = attribute(MessageSystemAttributeName::SentTimestamp).and_then(|text| text.parse().ok());
    let count = attribute(MessageSystemAttributeName::ApproximateReceiveCount);
    let (receive_count, sent_at) = (
        count.and_then(|text| text.parse().ok()).unwrap_or(1),
        sent_at.and_then(DateTime::from_timestamp_millis),
    );
    let (Some(message_id), Some(receipt_handle)) = (message.message_id, message.receipt_handle) else {
        // Never seen; such a message can't be deleted, so the queue itself must get rid of it.
        warn!("a message without id or receipt handle");
        return None;
    };
    let body = message.body.unwrap_or_default();
    Some(Message { message_id, receipt_handle, body, receive_count, sent_at, received_at })
}

fn info<'a>(attribute: impl Fn(QueueAttributeName) -> Option<&'a str>) -> QueueInfo {
    let number = |name| attribute(name).and_then(|text| text.parse::<u64>().ok());
    QueueInfo {
        visibility_timeout: number(QueueAttributeName::VisibilityTimeout).map(Duration::from_secs),
        message_retention_period: number(QueueAttributeName::MessageRetentionPeriod).map(Duration::from_secs),
        redrive_policy: attribute(QueueAttributeName::RedrivePolicy).and_then(redrive_policy),
        approximate_number_of_messages: number(QueueAttributeName::ApproximateNumberOfMessages).unwrap_or(0),
        approximate_number_of_messages_not_visible: number(
            QueueAttributeName::ApproximateNumberOfMessagesNotVisible,
        )
        .unwrap_or(0),
        approximate_number_of_messages_delayed: number(
            QueueAttributeName::ApproximateNumberOfMessagesDelayed,
        )
        .unwrap_or(0),
        fifo: attribute(QueueAttributeName::FifoQueue) == Some("true"),
    }
}

/// The count is a number, or a number as a text: both have been seen.
fn redrive_policy(text: &str) -> Option<RedrivePolicy> {
    let policy: Value = serde_json::from_str(text).ok()?;
    let count = &policy["maxReceiveCount"];
    let count = count.as_u64().or_else(|| count.as_str()?.parse().ok())?;
    Some(RedrivePolicy {
        dead_letter_target_arn: policy["deadLetterTargetArn"].as_str()?.to_owned(),
        max_receive_count: u32::try_from(count).ok()?,
    })
}

/// A request that failed as a whole, after the SDK's own tries.
fn all_failed<E>(error: SdkError<E>) -> Box<dyn Fn() -> Failure + Send + Sync>
where
    E: ProvideErrorMetadata + std::error::Error + Send + Sync + 'static,
{
    let (code, status) = (aws::code(&error), aws::status(&error));
    let text = format!("{:#}", aws::explain(error));
    let throttled = matches!(status, Some(429 | 503)) || code.is_some_and(|code| aws::is_throttling(&code));
    Box::new(move || {
        let refused =
            if throttled { Refused::Throttled(text.clone()) } else { Refused::Other(anyhow!("{text}")) };
        Failure { refused, again: false }
    })
}

fn failure(entry: &BatchResultErrorEntry) -> Failure {
    let text = match entry.message() {
        Some(message) => format!("{}: {message}", entry.code()),
        None => entry.code().to_owned(),
    };
    if is_stale(entry.code(), entry.message().unwrap_or_default()) {
        return Failure { refused: Refused::Stale(text), again: false };
    }
    let throttled = aws::is_throttling(entry.code());
    let again = throttled || !entry.sender_fault();
    let refused = if throttled { Refused::Throttled(text) } else { Refused::Other(anyhow!("{text}")) };
    Failure { refused, again }
}

/// SQS has several ways to say that a receipt handle is too old.
fn is_stale(code: &str, message: &str) -> bool {
    let code = code.rsplit('.').next().unwrap_or(code);
    match code {
        "ReceiptHandleIsInvalid" | "MessageNotInflight" => true,
        "InvalidParameterValue" | "InvalidParameterValueException" => {
            message.contains("ReceiptHandle") || message.contains("receipt handle")
        }
        _ => false,
    }
}

async fn pause(attempt: u32) {
    let most = 100 << attempt;
    tokio::time::sleep(Duration::from_millis(fastrand::u64(most / 2..most))).await;
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn stale_receipt_handles_are_told_from_other_errors() {
        let expired =
            "Value x for parameter ReceiptHandle is invalid. Reason: The receipt handle has expired.";
        assert!(is_stale("InvalidParameterValue", expired));
        assert!(is_stale("ReceiptHandleIsInvalid", ""));
        assert!(is_stale("AWS.SimpleQueueService.MessageNotInflight", ""));
        let total =
            "Value 300 for parameter VisibilityTimeout is invalid. Reason: beyond the limit [43200 seconds]";
        assert!(!is_stale("InvalidParameterValue", total));
        assert!(!is_stale("InternalError", expired));
    }

    #[test]
    fn parts_of_a_second_are_rounded_up_and_half_a_day_is_the_most() {
        assert_eq!(seconds(Duration::ZERO), 0);
        assert_eq!(seconds(Duration::from_millis(1)), 1);
        assert_eq!(seconds(Duration::from_secs(2)), 2);
        assert_eq!(seconds(Duration::MAX), 43_200);
    }

    #[test]
    fn a_redrive_policy_is_read_with_its_count_as_number_or_text() {
        let arn = "arn:aws:sqs:eu-west-1:111122223333:dead";
        for count in ["5", "\"5\""] {
            let text = format!(r#"{{"deadLetterTargetArn":"{arn}","maxReceiveCount":{count}}}"#);
            let policy = redrive_policy(&text).unwrap();
            assert_eq!((policy.dead_letter_target_arn.as_str(), policy.max_receive_count), (arn, 5));
        }
        assert_eq!(redrive_policy("{}"), None);
        assert_eq!(redrive_policy("x"), None);
    }
}
