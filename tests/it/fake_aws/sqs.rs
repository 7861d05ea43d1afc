//! SQS's JSON protocol.

use std::collections::HashMap;
use std::sync::MutexGuard;
use std::time::{Duration, Instant};

use serde_json::{Value, json};

use super::http::{Request, Response};
use super::queue::{FakeQueue, Stale};
use super::{Faults, Shared};

pub(super) fn answer(action: &str, request: &Request, shared: &Shared) -> Response {
    shared.count(action);
    let input: Value = serde_json::from_slice(&request.body).unwrap_or_default();
    let name = input["QueueUrl"].as_str().and_then(|url| url.rsplit('/').next()).unwrap_or_default();
    {
        let mut faults = shared.faults.lock().unwrap();
        let (throttled, failed) = (faults.throttled, faults.failed);
        if faults.happens(throttled) {
            return error(400, "RequestThrottled", "slow down");
        }
        if faults.happens(failed) {
            return error(500, "InternalError", "on purpose");
        }
    }
    let asked = |queue: &FakeQueue| (queue.role.clone(), queue.region.clone());
    let Some((role, region)) = shared.queues.lock().unwrap().get(name).map(asked) else {
        return error(400, "QueueDoesNotExist", "The specified queue does not exist.");
    };
    let (asks, signed_for) = request.signed_by().unwrap_or_default();
    if region.is_some_and(|region| region != signed_for) {
        return error(403, "SignatureDoesNotMatch", "Credential should be scoped to a valid region");
    }
    if role.is_some_and(|role| role != asks) {
        return error(403, "AccessDeniedException", "no policy allows it");
    }
    match action {
        "ReceiveMessage" => receive(name, &input, shared),
        "DeleteMessageBatch" => batch(name, &input, shared, |queue, entry| queue.delete(handle(entry))),
        "ChangeMessageVisibilityBatch" => batch(name, &input, shared, |queue, entry| {
            let seconds = entry["VisibilityTimeout"].as_u64().unwrap_or(30);
            queue.change_visibility(handle(entry), Duration::from_secs(seconds))
        }),
        "SendMessage" => {
            let id =
                queue(&mut shared.queues.lock().unwrap(), name).send(input["MessageBody"].as_str().unwrap());
            shared.sent.notify_all();
            ok(&json!({"MessageId": id.to_string(), "MD5OfMessageBody": ""}))
        }
        "GetQueueAttributes" => attributes(queue(&mut shared.queues.lock().unwrap(), name)),
        _ => error(400, "InvalidAction", action),
    }
}

fn queue<'a>(queues: &'a mut MutexGuard<'_, HashMap<String, FakeQueue>>, name: &str) -> &'a mut FakeQueue {
    queues.get_mut(name).unwrap()
}

fn receive(name: &str, input: &Value, shared: &Shared) -> Response {
    let number = |name: &str| input[name].as_u64();
    let until = Instant::now() + Duration::from_secs(number("WaitTimeSeconds").unwrap_or(0));
    let most = usize::try_from(number("MaxNumberOfMessages").unwrap_or(1)).unwrap();
    let mut queues = shared.queues.lock().unwrap();
    loop {
        let queue = queue(&mut queues, name);
        let visibility = number("VisibilityTimeout").map_or(queue.visibility_timeout, Duration::from_secs);
        let received = queue.receive(most, visibility);
        let left = until.saturating_duration_since(Instant::now());
        if !received.is_empty() || left.is_zero() {
            let mut faults = shared.faults.lock().unwrap();
            for message in &received {
                let twice = faults.twice;
                if faults.happens(twice) {
                    queue.deliver_twice(message.id);
                }
            }
            let message = |message: &super::queue::Received| {
                json!({
                    "MessageId": message.id.to_string(),
                    "ReceiptHandle": message.receipt_handle,
                    "Body": message.body,
                    "Attributes": {
                        "ApproximateReceiveCount": message.receive_count.to_string(),
                        "SentTimestamp": message.sent_millis.to_string(),
                    },
                })
            };
            return ok(&json!({"Messages": received.iter().map(message).collect::<Vec<_>>()}));
        }
        // Messages also come back without anybody saying so.
        let nap = left.min(Duration::from_millis(50));
        queues = shared.sent.wait_timeout(queues, nap).unwrap().0;
    }
}

fn handle(entry: &Value) -> &str {
    entry["ReceiptHandle"].as_str().unwrap_or_default()
}

fn batch(
    name: &str,
    input: &Value,
    shared: &Shared,
    act: impl Fn(&mut FakeQueue, &Value) -> Result<(), Stale>,
) -> Response {
    let mut queues = shared.queues.lock().unwrap();
    let queue = queue(&mut queues, name);
    let mut faults = shared.faults.lock().unwrap();
    let (mut successful, mut failed) = (Vec::new(), Vec::new());
    let entries = input["Entries"].as_array().cloned().unwrap_or_default();
    if entries.is_empty() || entries.len() > 10 {
        return error(400, "TooManyEntriesInBatchRequest", "one to ten");
    }
    for entry in entries {
        let id = entry["Id"].clone();
        if fails(&mut faults) {
            failed.push(
                json!({"Id": id, "SenderFault": false, "Code": "InternalError", "Message": "on purpose"}),
            );
        } else if act(queue, &entry) == Err(Stale) {
            let message =
                "Value x for parameter ReceiptHandle is invalid. Reason: The receipt handle has expired.";
            failed.push(
                json!({"Id": id, "SenderFault": true, "Code": "InvalidParameterValue", "Message": message}),
            );
        } else {
            successful.push(json!({"Id": id}));
        }
    }
    shared.sent.notify_all();
    ok(&json!({"Successful": successful, "Failed": failed}))
}

fn fails(faults: &mut Faults) -> bool {
    let share = faults.entries;
    faults.happens(share)
}

fn attributes(queue: &FakeQueue) -> Response {
    let in_flight = queue.in_flight();
    let mut attributes = json!({
        "VisibilityTimeout": queue.visibility_timeout.as_secs().to_string(),
        "MessageRetentionPeriod": "1209600",
        "ApproximateNumberOfMessages": (queue.len() - in_flight).to_string(),
        "ApproximateNumberOfMessagesNotVisible": in_flight.to_string(),
        "ApproximateNumberOfMessagesDelayed": "0",
    });
    if let Some(count) = queue.max_receive_count {
        let target = "arn:aws:sqs:us-east-1:111122223333:dead";
        let policy = json!({"deadLetterTargetArn": target, "maxReceiveCount": count});
        attributes["RedrivePolicy"] = policy.to_string().into();
    }
    ok(&json!({"Attributes": attributes}))
}

fn ok(body: &Value) -> Response {
    Response::new(200, body.to_string()).header("content-type", "application/x-amz-json-1.0")
}

fn error(status: u16, code: &str, message: &str) -> Response {
    let body = json!({"__type": format!("com.amazonaws.sqs#{code}"), "message": message});
    Response::new(status, body.to_string()).header("content-type", "application/x-amz-json-1.0")
}
