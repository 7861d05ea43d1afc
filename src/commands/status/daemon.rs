//! What the daemon says, if one answers.

use std::io::{Read as _, Write as _};
use std::net::{TcpStream, ToSocketAddrs as _};
use std::time::Duration;

use anyhow::{Context, Result, bail};

use crate::metrics::{samples, sum};

/// What a running daemon says of itself.
#[derive(Debug, Default)]
pub(super) struct DaemonStatus {
    /// Why it is not ready, if it is not.
    pub(super) unready: Option<String>,
    pub(super) received: u64,
    pub(super) in_flight: u64,
    pub(super) returned: u64,
    pub(super) committed: u64,
    pub(super) commits: u64,
    /// Errors by stage and kind.
    pub(super) errors: Vec<(String, u64)>,
}

/// The time for an answer.
const PATIENCE: Duration = Duration::from_secs(3);
/// A page that is larger is none of ours.
const PAGE: u64 = 4 << 20;
/// Kinds of errors that are told.
const ERRORS: usize = 3;

/// Asks the daemon at `address`.
pub(super) fn ask(address: &str) -> Result<DaemonStatus, String> {
    let page = get(address, "/metrics").and_then(|(status, body)| match status {
        200 => Ok(body),
        status => bail!("HTTP status {status}"),
    });
    let page = page.map_err(|error| format!("{error:#}"))?;
    if !page.contains("trailq_sqs_messages_received") {
        return Err("something else answers there".to_owned());
    }
    let ready = get(address, "/readyz").map_err(|error| format!("{error:#}"))?;
    let mut errors: Vec<(String, u64)> =
        samples(&page, "trailq_errors_total").map(|(labels, count)| (told(labels), count)).collect();
    errors.sort_by_key(|(_, count)| std::cmp::Reverse(*count));
    errors.truncate(ERRORS);
    let committed = samples(&page, "trailq_s3_objects_total")
        .find(|(labels, _)| labels.contains("\"committed\""))
        .map_or(0, |(_, count)| count);
    Ok(DaemonStatus {
        unready: (ready.0 != 200).then(|| ready.1.trim().replace('\n', "; ")),
        received: sum(&page, "trailq_sqs_messages_received_total"),
        in_flight: sum(&page, "trailq_sqs_messages_inflight"),
        returned: sum(&page, "trailq_sqs_messages_returned_total"),
        committed,
        commits: sum(&page, "trailq_commits_total"),
        errors,
    })
}

/// `stage="fetch",kind="missing"` as `fetch missing`.
fn told(labels: &str) -> String {
    let values = labels.split(',').filter_map(|label| Some(label.split_once('=')?.1.trim_matches('"')));
    values.collect::<Vec<_>>().join(" ")
}

/// The status and body of an answer over plain HTTP.
fn get(address: &str, path: &str) -> Result<(u16, String)> {
    let address = address.trim_start_matches("http://").trim_end_matches('/');
    let place = address.to_socket_addrs().ok().and_then(|mut places| places.next());
    let place = place.with_context(|| format!("{address} is no address: write HOST:PORT"))?;
    let mut stream = TcpStream::connect_timeout(&place, PATIENCE)?;
    stream.set_read_timeout(Some(PATIENCE))?;
    stream.set_write_timeout(Some(PATIENCE))?;
    write!(stream, "GET {path} HTTP/1.0\r\nHost: {address}\r\nConnection: close\r\n\r\n")?;
    let mut answer = String::new();
    stream.take(PAGE).read_to_string(&mut answer)?;
    let (head, body) = answer.split_once("\r\n\r\n").context("no HTTP answer")?;
    let status = head.split(' ').nth(1).and_then(|status| status.parse().ok()).context("no HTTP status")?;
    Ok((status, body.to_owned()))
}
