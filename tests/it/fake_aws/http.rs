//! Just enough of HTTP: a thread for each connection, requests one after the other.

use std::collections::HashMap;
use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::net::{TcpListener, TcpStream};
use std::sync::Arc;

use percent_encoding::percent_decode_str;

use super::{Shared, bucket, sqs, sts};

pub(super) struct Request {
    pub(super) method: String,
    /// Decoded, without the query.
    pub(super) path: String,
    pub(super) query: HashMap<String, String>,
    headers: HashMap<String, String>,
    pub(super) body: Vec<u8>,
}

pub(super) struct Response {
    pub(super) status: u16,
    pub(super) headers: Vec<(String, String)>,
    pub(super) body: Vec<u8>,
    /// The body ends here, whatever its length was said to be, and the connection with it.
    pub(super) cut_at: Option<usize>,
}

impl Request {
    pub(super) fn header(&self, name: &str) -> Option<&str> {
        self.headers.get(name).map(String::as_str)
    }

    /// The access key and the region that the request is signed with.
    pub(super) fn signed_by(&self) -> Option<(&str, &str)> {
        let credential = self.header("authorization")?.split_once("Credential=")?.1;
        let mut parts = credential.split('/');
        let (access_key, _date, region) = (parts.next()?, parts.next()?, parts.next()?);
        Some((access_key, region))
    }
}

impl Response {
    pub(super) fn new(status: u16, body: impl Into<Vec<u8>>) -> Self {
        Response { status, headers: Vec::new(), body: body.into(), cut_at: None }
    }

    pub(super) fn header(mut self, name: &str, value: impl Into<String>) -> Self {
        self.headers.push((name.to_owned(), value.into()));
        self
    }
}

pub(super) fn serve(listener: &TcpListener, shared: &Arc<Shared>) {
    for stream in listener.incoming().flatten() {
        let shared = shared.clone();
        std::thread::spawn(move || converse(&stream, &shared));
    }
}

/// Answers until one of the two has enough.
fn converse(stream: &TcpStream, shared: &Shared) -> Option<()> {
    let _ = stream.set_nodelay(true);
    let mut reader = BufReader::new(stream);
    loop {
        let request = read(&mut reader)?;
        let response = answer(&request, shared)?;
        write(stream, &request, &response)?;
        if response.cut_at.is_some() {
            return None;
        }
    }
}

/// The answer; nothing if the connection is to end without one.
fn answer(request: &Request, shared: &Shared) -> Option<Response> {
    let (delay, unanswered) = {
        let mut faults = shared.faults.lock().unwrap();
        let unanswered = faults.unanswered;
        (faults.delay(), faults.happens(unanswered))
    };
    std::thread::sleep(delay);
    let response = if let Some(target) = request.header("x-amz-target") {
        sqs::answer(target.rsplit('.').next().unwrap_or_default(), request, shared)
    } else if request.method == "POST" && request.path == "/" {
        sts::answer(request, shared)
    } else {
        bucket::answer(request, shared)
    };
    (!unanswered).then_some(response)
}

fn read(reader: &mut BufReader<&TcpStream>) -> Option<Request> {
    let mut line = String::new();
    reader.read_line(&mut line).ok().filter(|read| *read > 0)?;
    let mut parts = line.split_whitespace();
    let (method, target) = (parts.next()?.to_owned(), parts.next()?.to_owned());
    let mut headers = HashMap::new();
    loop {
        let mut line = String::new();
        reader.read_line(&mut line).ok().filter(|read| *read > 0)?;
        let Some((name, value)) = line.trim_end().split_once(':') else { break };
        headers.insert(name.to_ascii_lowercase(), value.trim().to_owned());
    }
    let length = headers.get("content-length").and_then(|length| length.parse().ok()).unwrap_or(0);
    let mut body = vec![0; length];
    reader.read_exact(&mut body).ok()?;
    let (path, query) = target.split_once('?').unwrap_or((&target, ""));
    let path = percent_decode_str(path).decode_utf8_lossy().into_owned();
    let query = url::form_urlencoded::parse(query.as_bytes()).into_owned().collect();
    Some(Request { method, path, query, headers, body })
}

fn write(mut stream: &TcpStream, request: &Request, response: &Response) -> Option<()> {
    use std::fmt::Write as _;
    let mut head = format!("HTTP/1.1 {} Fake\r\n", response.status);
    for (name, value) in &response.headers {
        write!(head, "{name}: {value}\r\n").ok()?;
    }
    let framed = ["content-length", "transfer-encoding"];
    if !response.headers.iter().any(|(name, _)| framed.contains(&name.as_str())) {
        write!(head, "content-length: {}\r\n", response.body.len()).ok()?;
    }
    head.push_str("\r\n");
    let mut bytes = head.into_bytes();
    if request.method != "HEAD" {
        bytes.extend_from_slice(&response.body[..response.cut_at.unwrap_or(response.body.len())]);
    }
    stream.write_all(&bytes).ok()
}
