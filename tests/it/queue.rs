//! SQS by the SDK: messages in hand, let go, deleted, lost.

use std::sync::Arc;
use std::time::{Duration, Instant};

use aws_config::SdkConfig;
use aws_sdk_sqs::Client;
use aws_sdk_sqs::types::QueueAttributeName;
use tokio::time::sleep;
use trailq::queue::{InHand, Message, Queue, Refused, Sqs, SqsOptions};

use super::aws;
use super::fake_aws::{FakeAws, FakeQueue, Faults, Share};

const VISIBILITY: Duration = Duration::from_secs(2);

/// A queue of this URL, received from without waiting.
async fn sqs(config: SdkConfig, queue_url: &str) -> Arc<Sqs> {
    sqs_with(config, queue_url, VISIBILITY).await
}

async fn sqs_with(config: SdkConfig, queue_url: &str, visibility_timeout: Duration) -> Arc<Sqs> {
    let options = SqsOptions {
        config: Some(config),
        visibility_timeout,
        wait_time: Duration::ZERO,
        ..SqsOptions::new(queue_url)
    };
    Arc::new(Sqs::connect(&options).await.unwrap())
}

/// A queue of moto's with messages.
async fn moto(name: &str, messages: usize) -> Arc<Sqs> {
    let client = Client::new(&aws::config());
    let queue_url = client.create_queue().queue_name(name).send().await.unwrap().queue_url.unwrap();
    for number in 0..messages {
        client.send_message().queue_url(&queue_url).message_body(number.to_string()).send().await.unwrap();
    }
    sqs(aws::config(), &queue_url).await
}

/// A made-up queue with messages.
async fn fake(faults: Faults, messages: usize) -> (FakeAws, Arc<Sqs>) {
    let aws = FakeAws::start(Faults::none(0));
    let queue_url = aws.create_queue("queue", FakeQueue::new(VISIBILITY));
    for number in 0..messages {
        aws.send("queue", &number.to_string());
    }
    aws.set_faults(faults);
    let sqs = sqs(aws.config().await, &queue_url).await;
    (aws, sqs)
}

async fn receive(sqs: &Sqs, wanted: usize) -> Vec<Message> {
    let started = Instant::now();
    let mut messages = Vec::new();
    while messages.len() < wanted {
        assert!(started.elapsed() < Duration::from_secs(20), "{} of {wanted} messages", messages.len());
        messages.extend(sqs.receive().await.unwrap());
    }
    messages
}

#[tokio::test]
async fn a_message_in_hand_is_delivered_to_nobody_else_until_it_is_let_go() {
    let sqs = moto("in-hand", 15).await;
    let in_hand = InHand::new(sqs.clone(), VISIBILITY);
    let mut held: Vec<_> = receive(&sqs, 15).await.into_iter().map(|message| in_hand.take(message)).collect();
    assert_eq!(in_hand.len(), 15);
    assert!(held[0].sent_at.is_some());
    assert_eq!(held[0].receive_count, 1);
    let started = Instant::now();
    while started.elapsed() < Duration::from_secs(7) {
        assert_eq!(sqs.receive().await.unwrap().len(), 0, "after {:?}", started.elapsed());
        sleep(Duration::from_millis(100)).await;
    }
    assert!(held.iter().all(|held| !held.is_lost()));
    assert!(in_hand.counts().extended >= 15 * 5, "{:?}", in_hand.counts());

    // Handed back, they come at once; dropped, when their time has run out.
    let dropped = held.split_off(5);
    let body = held[0].body.clone();
    assert!(in_hand.hand_back(held).await.iter().all(Result::is_ok));
    let again = receive(&sqs, 5).await;
    assert!(again.iter().any(|message| message.body == body));
    assert!(again.iter().all(|message| message.receive_count == 2));
    let done: Vec<&Message> = again.iter().collect();
    assert!(sqs.delete(&done).await.iter().all(Result::is_ok));
    let started = Instant::now();
    drop(dropped);
    assert!(in_hand.is_empty());
    assert_eq!(receive(&sqs, 10).await.len(), 10);
    assert!(started.elapsed() < VISIBILITY + Duration::from_secs(1));
}

#[tokio::test]
async fn messages_are_deleted_one_by_one_and_a_stale_receipt_costs_its_neighbours_nothing() {
    let sqs = moto("deleted", 23).await;
    let mut messages = receive(&sqs, 23).await;
    messages[12].receipt_handle = "made-up".to_owned();
    let results = sqs.delete(&messages.iter().collect::<Vec<_>>()).await;
    assert_eq!(results.len(), 23);
    for (place, result) in results.iter().enumerate() {
        match result {
            Ok(()) => assert_ne!(place, 12),
            Err(error) => assert!(place == 12 && matches!(error, Refused::Stale(_)), "{place}: {error}"),
        }
    }
    sleep(VISIBILITY + Duration::from_millis(500)).await;
    let left = receive(&sqs, 1).await;
    assert_eq!((left.len(), &left[0].body), (1, &messages[12].body));
}

#[tokio::test]
async fn what_is_known_about_a_queue_is_told() {
    let client = Client::new(&aws::config());
    let create = client.create_queue().queue_name("told-checked");
    let policy =
        r#"{"deadLetterTargetArn":"arn:aws:sqs:us-east-1:123456789012:told-dead","maxReceiveCount":"7"}"#;
    client.create_queue().queue_name("told-dead").send().await.unwrap();
    let create = create
        .attributes(QueueAttributeName::VisibilityTimeout, "300")
        .attributes(QueueAttributeName::RedrivePolicy, policy);
    let queue_url = create.send().await.unwrap().queue_url.unwrap();
    client.send_message().queue_url(&queue_url).message_body("a").send().await.unwrap();
    let info = sqs(aws::config(), &queue_url).await.check().await.unwrap();
    assert_eq!(info.visibility_timeout, Some(Duration::from_mins(5)));
    assert_eq!(info.approximate_number_of_messages, 1);
    let policy = info.redrive_policy.unwrap();
    assert_eq!(policy.to_string(), "arn:aws:sqs:us-east-1:123456789012:told-dead after 7 receives");
}

#[tokio::test]
async fn a_queue_that_is_not_there_is_an_error_that_names_it() {
    let (aws, _) = fake(Faults::none(0), 0).await;
    let sqs = sqs(aws.config().await, &format!("{}/111122223333/none", aws.endpoint())).await;
    for error in [sqs.check().await.unwrap_err(), sqs.receive().await.unwrap_err()] {
        let told = format!("{error:#}");
        assert!(told.contains("/111122223333/none") && told.contains("does not exist"), "{told}");
    }
}

#[tokio::test]
async fn requests_go_to_the_host_in_the_queues_url() {
    let (aws, _) = fake(Faults::none(0), 1).await;
    let mut config = aws.config().await.into_builder();
    config.set_endpoint_url(None).set_region(None);
    let sqs = sqs(config.build(), &format!("{}/111122223333/queue", aws.endpoint())).await;
    assert_eq!((sqs.name(), sqs.receive().await.unwrap().len()), ("queue", 1));
}

#[tokio::test]
async fn entries_that_fail_are_tried_again() {
    let (aws, sqs) = fake(Faults::none(0), 60).await;
    let messages = receive(&sqs, 60).await;
    aws.set_faults(Faults { entries: Share(0.3), ..Faults::none(3) });
    let results = sqs.delete(&messages.iter().collect::<Vec<_>>()).await;
    let done = results.iter().filter(|result| result.is_ok()).count();
    assert!(done >= 57, "{done} of 60");
    assert_eq!(aws.with_queue("queue", |queue| queue.len()), 60 - done);
    assert!(aws.requests("DeleteMessageBatch") > 6);
}

#[tokio::test]
async fn a_queue_that_asks_for_less_is_told_from_one_that_fails() {
    let (aws, sqs) = fake(Faults::none(0), 1).await;
    let messages = receive(&sqs, 1).await;
    aws.set_faults(Faults { throttled: Share(1.0), ..Faults::none(0) });
    let result = sqs.delete(&[&messages[0]]).await.remove(0);
    assert!(matches!(result, Err(Refused::Throttled(_))), "{result:?}");
    aws.set_faults(Faults { failed: Share(1.0), ..Faults::none(0) });
    let result = sqs.delete(&[&messages[0]]).await.remove(0);
    assert!(matches!(result, Err(Refused::Other(_))), "{result:?}");
}

#[tokio::test]
async fn slow_answers_and_failing_extensions_lose_no_message() {
    let faults = Faults {
        slow: Share(0.5),
        delay: Duration::from_millis(400),
        failed: Share(0.1),
        entries: Share(0.1),
        ..Faults::none(5)
    };
    // More than two seconds: the machine that tests this may be busy.
    let visibility = 3 * VISIBILITY;
    let (aws, sqs) = fake(Faults::none(0), 100).await;
    let sqs = sqs_with(aws.config().await, sqs.url(), visibility).await;
    let in_hand = InHand::new(sqs.clone(), visibility);
    let held: Vec<_> = receive(&sqs, 100).await.into_iter().map(|message| in_hand.take(message)).collect();
    aws.set_faults(faults);
    sleep(Duration::from_secs(14)).await;
    let lost = held.iter().filter(|held| held.is_lost()).count();
    assert_eq!((lost, in_hand.counts().lost), (0, 0), "{:?}", in_hand.counts());
    assert_eq!(aws.with_queue("queue", |queue| queue.stats.received), 100);
}

#[tokio::test]
async fn a_message_whose_time_ran_out_is_known_to_be_lost() {
    let (aws, sqs) = fake(Faults::none(0), 2).await;
    let in_hand = InHand::new(sqs.clone(), VISIBILITY);
    let held: Vec<_> = receive(&sqs, 2).await.into_iter().map(|message| in_hand.take(message)).collect();
    aws.with_queue("queue", |queue| queue.jump(Duration::from_mins(1)));
    sleep(VISIBILITY).await;
    assert!(held.iter().all(trailq::queue::Held::is_lost));
    assert_eq!((in_hand.counts().lost, in_hand.len()), (2, 0));
    // Its receipt is stale: neither deletion nor extension has an effect, and both say so.
    for result in [sqs.delete(&[&held[0]]).await, sqs.extend(&[&held[0]], VISIBILITY).await] {
        assert!(matches!(result[0], Err(Refused::Stale(_))), "{result:?}");
    }
    assert_eq!(receive(&sqs, 2).await.len(), 2);
}

#[tokio::test]
async fn a_queue_that_never_answers_makes_messages_lost_and_not_the_program_stuck() {
    let (aws, sqs) = fake(Faults::none(0), 1).await;
    let in_hand = InHand::new(sqs.clone(), VISIBILITY);
    let held = in_hand.take(receive(&sqs, 1).await.remove(0));
    aws.set_faults(Faults { slow: Share(1.0), delay: Duration::from_secs(30), ..Faults::none(1) });
    sleep(VISIBILITY + Duration::from_millis(500)).await;
    assert!(held.is_lost());
    assert!(in_hand.is_empty());
}
