//! What systemd is told: that the daemon is ready, alive, how it is doing, and that it is stopping.
//!
//! Without systemd nobody listens, and nothing is said.

use std::sync::Arc;
use std::time::Duration;

use sd_notify::NotifyState;
use tokio_util::sync::CancellationToken;
use tracing::{debug, error};

use crate::metrics::{Health, Metrics};

/// How often the status line is renewed if there is no watchdog.
const STATUS: Duration = Duration::from_secs(30);

/// Tells until `stop`.
pub(super) async fn notify(metrics: Arc<Metrics>, health: Arc<Health>, stop: CancellationToken) {
    if std::env::var_os("NOTIFY_SOCKET").is_none() {
        return;
    }
    tell(&[NotifyState::Ready]);
    let watchdog = sd_notify::watchdog_enabled();
    let interval = watchdog.map_or(STATUS, |within| within / 3).min(STATUS);
    while stop.run_until_cancelled(tokio::time::sleep(interval)).await.is_some() {
        let totals = metrics.totals();
        let status = format!(
            "{} messages received, {} in hand; {} log files and {} events committed",
            totals.received, totals.in_flight, totals.committed, totals.events
        );
        tell(&[NotifyState::Status(&status)]);
        match health.dead() {
            None if watchdog.is_some() => tell(&[NotifyState::Watchdog]),
            None => {}
            // The watchdog bites, and systemd starts it anew.
            Some(why) => error!(why, "stuck"),
        }
    }
    tell(&[NotifyState::Stopping]);
}

fn tell(states: &[NotifyState<'_>]) {
    if let Err(error) = sd_notify::notify(states) {
        debug!(%error, "systemd was not told");
    }
}
