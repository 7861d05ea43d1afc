//! `trailq daemon`.

mod args;
mod check;
mod service;

use std::process::ExitCode;
use std::sync::Arc;

use anyhow::Result;
use tokio_util::sync::CancellationToken;
use tracing::{info, warn};

use crate::cloudtrail::Connect;
use crate::config::Effective;
use crate::daemon::Daemon;
use crate::integrity::{Checker, Keys};
use crate::lake::Lake;
use crate::metrics::{Health, Metrics, Server};
use crate::queue::{Queue, Sqs};
use crate::store::S3;
pub use args::Args;

/// Runs the command; `stop` is cancelled by the first signal.
pub async fn run(args: Args, effective: Effective, stop: CancellationToken) -> Result<ExitCode> {
    if args.check {
        return check::run(&args, &effective).await;
    }
    let options = args.options()?;
    let mut queues: Vec<Arc<dyn Queue>> = Vec::new();
    for queue in args.queues() {
        let queue = Sqs::connect(&queue).await?;
        look_at(&queue).await;
        queues.push(Arc::new(queue));
    }
    let lake = Lake::open_or_create(&args.places.lake).await?;
    let checker = args.checker(&lake)?;
    let (metrics, health) = (Arc::new(Metrics::new()), Arc::new(Health::default()));
    let server = match args.metrics_address() {
        Some(address) => Some(Server::start(address, metrics.clone(), health.clone())?),
        None => None,
    };
    let address = server.as_ref().map(|server| server.address().to_string()).unwrap_or_default();
    info!(
        queues = queues.len(),
        buckets = options.buckets.len(),
        lake = lake.url(),
        metrics = address,
        "started"
    );
    let service = tokio::spawn(service::notify(metrics.clone(), health.clone(), stop.clone()));
    let objects = Arc::new(S3::with_options(args.store()));
    let daemon = Daemon { queues, objects, lake, checker, options, metrics, health };
    let outcome = daemon.run(stop.clone()).await;
    stop.cancel();
    let _ = service.await;
    // Threads that still write what was handed back already are not waited for.
    match outcome {
        Ok(_) => std::process::exit(0),
        Err(error) => Err(error),
    }
}

/// Says what about the queue will lose messages or time. The daemon goes on all the same.
async fn look_at(queue: &Sqs) {
    let name = queue.name();
    match queue.check().await {
        Ok(info) => {
            for (_, advice) in check::advice(&info) {
                warn!(queue = name, advice, "the queue's settings");
            }
        }
        Err(error) => warn!(queue = name, error = format!("{error:#}"), "the queue could not be looked at"),
    }
}

impl Args {
    fn checker(&self, lake: &Lake) -> Result<Option<Checker>> {
        if !self.integrity.integrity {
            return Ok(None);
        }
        let mut keys = Keys::from_files(&self.integrity.public_keys)?.with_lake(lake);
        if self.integrity.look_up_keys {
            let profile = self.aws.reach.profile.clone();
            keys = keys.with_cloudtrail(Connect { profile, ..Connect::default() });
        }
        Ok(Some(Checker::new(keys)))
    }
}
