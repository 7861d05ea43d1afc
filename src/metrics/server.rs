//! One small HTTP port: `/metrics`, `/healthz`, `/readyz`.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use anyhow::{Context, Result};
use tiny_http::{Header, Request, Response};

use super::Metrics;

/// Whether the daemon is alive, and whether it can do its work.
///
/// Each part says when it last got on. A part that has said nothing for its time is late.
#[derive(Debug, Default)]
pub struct Health {
    parts: Mutex<BTreeMap<String, Part>>,
}

#[derive(Debug, Clone)]
struct Part {
    /// Whether the process is to be restarted when this one is late.
    vital: bool,
    allowed: Duration,
    last: Instant,
    problem: Option<String>,
}

impl Health {
    /// Adds a part that must get on at least this often. A vital one is part of being alive, any other of
    /// being ready.
    pub fn expect(&self, part: &str, vital: bool, allowed: Duration) {
        let new = Part { vital, allowed, last: Instant::now(), problem: None };
        self.parts().insert(part.to_owned(), new);
    }

    /// A part has got on.
    pub fn fine(&self, part: &str) {
        if let Some(part) = self.parts().get_mut(part) {
            part.last = Instant::now();
            part.problem = None;
        }
    }

    /// A part is alive and can't do its work.
    pub fn troubled(&self, part: &str, problem: &str) {
        if let Some(part) = self.parts().get_mut(part) {
            part.last = Instant::now();
            part.problem = Some(problem.to_owned());
        }
    }

    /// Why the process should be restarted, if so.
    pub fn dead(&self) -> Option<String> {
        self.why(|part| part.vital, |_| None)
    }

    /// Why it can't do its work, if so.
    pub fn unready(&self) -> Option<String> {
        self.why(|_| true, |part| part.problem.clone())
    }

    fn why(
        &self,
        counts: impl Fn(&Part) -> bool,
        problem: impl Fn(&Part) -> Option<String>,
    ) -> Option<String> {
        let parts = self.parts();
        let mut told = Vec::new();
        for (name, part) in parts.iter().filter(|(_, part)| counts(part)) {
            let silent = part.last.elapsed();
            if let Some(problem) = problem(part) {
                told.push(format!("{name}: {problem}"));
            } else if silent > part.allowed {
                told.push(format!("{name}: nothing for {} s", silent.as_secs()));
            }
        }
        (!told.is_empty()).then(|| told.join("\n"))
    }

    fn parts(&self) -> std::sync::MutexGuard<'_, BTreeMap<String, Part>> {
        self.parts.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The server; it ends when it is dropped.
pub struct Server {
    server: Arc<tiny_http::Server>,
    address: SocketAddr,
}

impl Server {
    /// Answers on `address` (port 0 for any free one), on a thread of its own.
    pub fn start(address: &str, metrics: Arc<Metrics>, health: Arc<Health>) -> Result<Self> {
        let listening = || format!("listening on {address} for metrics (--metrics-address)");
        let listener = std::net::TcpListener::bind(address).with_context(listening)?;
        let bound = listener.local_addr().with_context(listening)?;
        let server = tiny_http::Server::from_listener(listener, None)
            .map_err(|error| anyhow::anyhow!("{error}"))
            .with_context(listening)?;
        let server = Arc::new(server);
        let answering = server.clone();
        std::thread::spawn(move || {
            for request in answering.incoming_requests() {
                answer(request, &metrics, &health);
            }
        });
        Ok(Server { server, address: bound })
    }

    /// Where it listens.
    pub fn address(&self) -> SocketAddr {
        self.address
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        self.server.unblock();
    }
}

impl std::fmt::Debug for Server {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Server({})", self.address)
    }
}

const OPEN_METRICS: &str = "application/openmetrics-text; version=1.0.0; charset=utf-8";
const PLAIN: &str = "text/plain; charset=utf-8";

fn answer(request: Request, metrics: &Metrics, health: &Health) {
    let path = request.url().split('?').next().unwrap_or("").to_owned();
    let (status, kind, body) = match path.as_str() {
        "/metrics" => (200, OPEN_METRICS, metrics.page()),
        "/healthz" => state(health.dead()),
        "/readyz" => state(health.unready()),
        _ => (404, PLAIN, "there are /metrics, /healthz and /readyz\n".to_owned()),
    };
    let mut response = Response::from_string(body).with_status_code(status);
    if let Ok(header) = Header::from_bytes(&b"Content-Type"[..], kind.as_bytes()) {
        response.add_header(header);
    }
    // Whoever asked may be gone.
    let _ = request.respond(response);
}

fn state(problem: Option<String>) -> (u16, &'static str, String) {
    match problem {
        None => (200, PLAIN, "ok\n".to_owned()),
        Some(problem) => (503, PLAIN, format!("{problem}\n")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_part_in_trouble_makes_unready_and_only_a_silent_vital_one_dead() {
        let health = Health::default();
        health.expect("loop", true, Duration::from_mins(1));
        health.expect("lake", false, Duration::ZERO);
        std::thread::sleep(Duration::from_millis(2));
        assert_eq!((health.dead(), health.unready()), (None, Some("lake: nothing for 0 s".to_owned())));
        health.troubled("loop", "no bread");
        assert_eq!(health.dead(), None);
        assert!(health.unready().unwrap().contains("loop: no bread"));
        health.expect("loop", true, Duration::ZERO);
        std::thread::sleep(Duration::from_millis(2));
        assert_eq!(health.dead(), Some("loop: nothing for 0 s".to_owned()));
    }
}
