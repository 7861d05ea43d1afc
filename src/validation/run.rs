//! A validation from targets to findings, in the order in which the AWS CLI would tell them.
//!
//! Each target has a producer, which walks its digests and starts to fetch its log files; what it finds
//! goes through a bounded channel to the one consumer, which waits for each in turn. So objects are fetched
//! side by side, lines come in order, and memory does not grow with the trail.

use std::sync::Arc;

use anyhow::Result;
use chrono::{DateTime, Utc};
use tokio::sync::{Semaphore, mpsc};
use tokio_util::task::AbortOnDropHandle;

use super::bucket::Bucket;
use super::coverage::Coverage;
use super::finding::{Finding, Kind, Told, Verdict};
use super::keys::{KeySource, Keys};
use super::strict;
use super::target::Target;
use super::walk::Walker;
use crate::digest::ListedKey;
use crate::log_file::Limits;
use crate::object::ObjectRef;

/// What to validate, and how.
#[derive(Debug, Clone)]
pub struct Options {
    /// Digests from here on.
    pub start: DateTime<Utc>,
    /// Digests up to here, and the one after.
    pub end: DateTime<Utc>,
    /// The time of asking: digests of the last two hours may still come.
    pub now: DateTime<Utc>,
    /// Also check what the AWS CLI does not.
    pub strict: bool,
    /// Keep loaded digests in their findings.
    pub keep_digests: bool,
    /// Objects fetched at a time.
    pub concurrency: usize,
    /// What a file may cost.
    pub limits: Limits,
}

/// Where objects and keys come from.
#[derive(Debug)]
pub struct Context {
    /// The bucket.
    pub bucket: Bucket,
    /// The public keys.
    pub keys: KeySource,
    /// The region to ask for keys; each target's own if `None`.
    pub key_region: Option<String>,
}

/// Why a target could not be validated to the end.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{message}")]
pub struct Fatal {
    /// The AWS CLI's words.
    pub message: String,
    /// Whether data is at fault, and not the network or a permission: strict checks can still go on.
    pub in_data: bool,
}

impl Fatal {
    /// Data that the AWS CLI gives up on.
    pub(super) fn data(message: impl Into<String>) -> Self {
        Fatal { message: message.into(), in_data: true }
    }

    /// A request that failed.
    pub(super) fn access(message: &impl ToString) -> Self {
        Fatal { message: message.to_string(), in_data: false }
    }
}

/// What became of a target.
#[derive(Debug, Clone)]
pub struct Outcome {
    /// Whose digests these were.
    pub target: Target,
    /// Which hours are proven.
    pub coverage: Coverage,
    /// Whether strict checks were made, so that `coverage` means something.
    pub strict: bool,
    /// Where the AWS CLI would have given up.
    pub fatal: Option<Fatal>,
    /// The public keys of the time.
    pub keys: Vec<ListedKey>,
}

/// What a validation tells, in order.
#[derive(Debug)]
pub enum Event<'a> {
    /// A target begins.
    Started(&'a Target),
    /// So many digests are ahead.
    Digests(usize),
    /// Something was looked at.
    Found(&'a Finding),
    /// The AWS CLI would have come to its end here.
    Walked,
    /// The AWS CLI would have given up here.
    GaveUp(&'a Fatal),
    /// A target ends.
    Done(&'a Outcome),
}

/// What a producer sends.
pub(super) enum Step {
    Digests(usize),
    Found(Box<Finding>),
    Pending(AbortOnDropHandle<Result<Finding, Fatal>>),
    Walked,
    GaveUp(Fatal),
    Done(Box<(Coverage, Keys)>),
}

/// The consumer is gone.
pub(super) struct Gone;

/// Why a walk ends early.
pub(super) enum Stop {
    Fatal(Fatal),
    Gone,
}

impl From<Gone> for Stop {
    fn from(_: Gone) -> Self {
        Stop::Gone
    }
}

impl From<Fatal> for Stop {
    fn from(fatal: Fatal) -> Self {
        Stop::Fatal(fatal)
    }
}

/// Targets whose producers are at work at a time.
const TARGETS_AT_ONCE: usize = 8;

/// Steps that wait to be told.
const STEPS_AHEAD: usize = 512;

/// Validates targets one after the other, as far as `tell` can see. Its first error ends the run.
pub async fn run(
    context: Arc<Context>,
    targets: Vec<Target>,
    options: Options,
    mut tell: impl FnMut(Event<'_>) -> Result<()>,
) -> Result<Vec<Outcome>> {
    let options = Arc::new(options);
    let permits = Arc::new(Semaphore::new(options.concurrency.max(1)));
    let mut waiting = targets.into_iter();
    let mut started = std::collections::VecDeque::new();
    let mut outcomes = Vec::new();
    loop {
        while started.len() < TARGETS_AT_ONCE {
            let Some(target) = waiting.next() else { break };
            let target = Arc::new(target);
            let (sender, receiver) = mpsc::channel(STEPS_AHEAD);
            let producer = Producer {
                context: Arc::clone(&context),
                options: Arc::clone(&options),
                permits: Arc::clone(&permits),
                target: Arc::clone(&target),
                sender,
            };
            let task = AbortOnDropHandle::new(tokio::spawn(async move {
                let _ = producer.produce().await;
            }));
            started.push_back((target, receiver, task));
        }
        let Some((target, receiver, task)) = started.pop_front() else { return Ok(outcomes) };
        let outcome = consume(&target, receiver, &options, &mut tell).await?;
        if outcome.fatal.is_none() {
            // A producer that has panicked must not look like one that found nothing.
            task.await?;
        }
        outcomes.push(outcome);
    }
}

async fn consume(
    target: &Target,
    mut steps: mpsc::Receiver<Step>,
    options: &Options,
    tell: &mut impl FnMut(Event<'_>) -> Result<()>,
) -> Result<Outcome> {
    let (mut coverage, mut keys) = (Coverage::default(), Keys::new());
    let (mut fatal, mut done) = (None, false);
    let mut failed = Vec::new();
    tell(Event::Started(target))?;
    while let Some(step) = steps.recv().await {
        let finding = match step {
            Step::Digests(digests) => {
                tell(Event::Digests(digests))?;
                continue;
            }
            Step::Walked => {
                tell(Event::Walked)?;
                continue;
            }
            Step::Found(finding) => Ok(*finding),
            Step::Pending(handle) => handle.await?,
            Step::GaveUp(fatal) => Err(fatal),
            Step::Done(found) => {
                ((coverage, keys), done) = (*found, true);
                continue;
            }
        };
        match finding {
            Ok(finding) => {
                if let (true, Some(start), Some(end)) = (finding.fails(), finding.start, finding.end) {
                    failed.push((start, end));
                }
                tell(Event::Found(&finding))?;
            }
            Err(reason) => {
                tell(Event::GaveUp(&reason))?;
                let go_on = options.strict && reason.in_data;
                fatal = Some(reason);
                if !go_on {
                    break;
                }
            }
        }
    }
    for (start, end) in failed {
        coverage.remove(start, end);
    }
    let keys = keys.into_values().collect();
    let outcome = Outcome { target: target.clone(), coverage, strict: done && options.strict, fatal, keys };
    tell(Event::Done(&outcome))?;
    Ok(outcome)
}

/// The task that walks one target.
pub(super) struct Producer {
    pub(super) context: Arc<Context>,
    pub(super) options: Arc<Options>,
    pub(super) permits: Arc<Semaphore>,
    pub(super) target: Arc<Target>,
    sender: mpsc::Sender<Step>,
}

impl Producer {
    async fn produce(self) -> Result<(), Gone> {
        let mut walker = Walker::new(&self);
        let result = match walker.walk(false).await {
            Ok(()) => walker.walk(true).await,
            stopped => stopped,
        };
        let seen = walker.into_seen();
        match result {
            Ok(()) => self.send(Step::Walked).await?,
            Err(Stop::Gone) => return Err(Gone),
            Err(Stop::Fatal(fatal)) => {
                let go_on = self.options.strict && fatal.in_data;
                self.send(Step::GaveUp(fatal)).await?;
                if !go_on {
                    return Ok(());
                }
            }
        }
        if !self.options.strict {
            return self.send(Step::Done(Box::default())).await;
        }
        match strict::check(&self, seen).await {
            Ok(done) => self.send(Step::Done(Box::new(done))).await,
            Err(Stop::Gone) => Err(Gone),
            Err(Stop::Fatal(fatal)) => self.send(Step::GaveUp(Fatal { in_data: false, ..fatal })).await,
        }
    }

    pub(super) async fn send(&self, step: Step) -> Result<(), Gone> {
        self.sender.send(step).await.map_err(|_| Gone)
    }

    pub(super) async fn found(&self, finding: Finding) -> Result<(), Gone> {
        self.send(Step::Found(Box::new(finding))).await
    }

    /// A finding about this target, with everything left open.
    pub(super) fn finding(&self, kind: Kind, object: Option<ObjectRef>, verdict: Verdict) -> Finding {
        Finding {
            kind,
            object,
            verdict,
            reason: None,
            digest: None,
            account_id: self.target.account_id.clone(),
            region: self.target.region.clone(),
            trail: self.target.trail.clone(),
            start: None,
            end: None,
            expected_sha256: None,
            sha256: None,
            public_key_fingerprint: None,
            strict_only: false,
            told: Told::Nothing,
            stored: None,
        }
    }

    /// Whether signatures are at hand.
    pub(super) fn signed(&self) -> bool {
        self.context.bucket.has_signatures()
    }

    /// The region to ask for this target's keys.
    pub(super) fn key_region(&self) -> &str {
        self.context.key_region.as_deref().unwrap_or(&self.target.region)
    }
}
