//! Proxies and FIPS endpoints, as the environment asks for them: what a proxy gets to see.

use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::net::{TcpListener, TcpStream};
use std::process::Command;
use std::sync::{Arc, Mutex};

use super::fake_aws::{FakeAws, Faults};
use super::support::{Folder, Run, any_key, command, event_ids, log_file};

/// A proxy that hands plain requests on to one server, and refuses tunnels.
struct Proxy {
    address: String,
    /// `METHOD target` of each request.
    seen: Arc<Mutex<Vec<String>>>,
}

impl Proxy {
    fn start(server: &str) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = format!("http://{}", listener.local_addr().unwrap());
        let seen = Arc::new(Mutex::new(Vec::new()));
        let (noted, server) = (seen.clone(), server.trim_start_matches("http://").to_owned());
        std::thread::spawn(move || {
            for stream in listener.incoming().flatten() {
                let (noted, server) = (noted.clone(), server.clone());
                std::thread::spawn(move || converse(&stream, &server, &noted));
            }
        });
        Proxy { address, seen }
    }

    fn seen(&self) -> Vec<String> {
        self.seen.lock().unwrap().clone()
    }

    /// The hosts to which a tunnel was asked for.
    fn tunnels(&self) -> Vec<String> {
        let seen = self.seen();
        let hosts = seen.iter().filter_map(|line| line.strip_prefix("CONNECT ")).map(str::to_owned);
        let mut hosts: Vec<String> = hosts.collect();
        hosts.sort();
        hosts.dedup();
        hosts
    }
}

/// One request, and the connection's end.
fn converse(mut stream: &TcpStream, server: &str, noted: &Mutex<Vec<String>>) -> Option<()> {
    let mut reader = BufReader::new(stream);
    let (mut head, mut length) = (String::new(), 0);
    loop {
        let start = head.len();
        reader.read_line(&mut head).ok().filter(|read| *read > 0)?;
        let line = head[start..].trim().to_ascii_lowercase();
        if let Some(told) = line.strip_prefix("content-length:") {
            length = told.trim().parse().ok()?;
        }
        if line.is_empty() {
            break;
        }
    }
    let mut words = head.split(' ');
    let (method, target) = (words.next()?.to_owned(), words.next()?.to_owned());
    noted.lock().unwrap().push(format!("{method} {target}"));
    if method == "CONNECT" {
        return stream.write_all(b"HTTP/1.1 403 No\r\nContent-Length: 0\r\nConnection: close\r\n\r\n").ok();
    }
    let mut body = vec![0; length];
    reader.read_exact(&mut body).ok()?;
    // To the server in the form in which servers are asked, and with an end.
    let path = target.strip_prefix("http://")?.find('/').map(|at| &target["http://".len() + at..])?;
    let head = head.replacen(&target, path, 1);
    let mut upstream = TcpStream::connect(server).ok()?;
    upstream.write_all(head.as_bytes()).ok()?;
    upstream.write_all(&body).ok()?;
    upstream.shutdown(std::net::Shutdown::Write).ok()?;
    let mut answer = Vec::new();
    upstream.read_to_end(&mut answer).ok()?;
    // One request a connection, and the client is to know.
    let end = answer.windows(2).position(|pair| pair == b"\r\n")?;
    stream.write_all(&answer[..end]).ok()?;
    stream.write_all(b"\r\nConnection: close").ok()?;
    stream.write_all(&answer[end..]).ok()
}

/// `trailq` with credentials, and with these variables instead of those of whoever runs the tests.
fn with(variables: &[(&str, &str)], arguments: &[&str]) -> Command {
    let mut command = command(arguments);
    for name in ["http_proxy", "https_proxy", "no_proxy", "all_proxy"] {
        command.env_remove(name).env_remove(name.to_uppercase());
    }
    command.envs([
        ("AWS_ACCESS_KEY_ID", "test"),
        ("AWS_SECRET_ACCESS_KEY", "test"),
        ("AWS_REGION", "eu-west-1"),
        ("AWS_MAX_ATTEMPTS", "1"),
        ("AWS_EC2_METADATA_DISABLED", "true"),
        ("AWS_CONFIG_FILE", "/dev/null"),
        ("AWS_SHARED_CREDENTIALS_FILE", "/dev/null"),
    ]);
    command.envs(variables.iter().copied());
    command
}

fn run(variables: &[(&str, &str)], arguments: &[&str]) -> Run {
    with(variables, arguments).output().unwrap().into()
}

fn world() -> (FakeAws, Proxy, Folder) {
    let aws = FakeAws::start(Faults::none(0));
    aws.put("logs", &any_key("a"), log_file(&["a"]));
    let proxy = Proxy::start(&aws.endpoint());
    (aws, proxy, Folder::new())
}

#[test]
fn requests_go_through_the_proxy_that_the_environment_names() {
    let (_aws, proxy, folder) = world();
    // Nobody but the proxy could find this host.
    let variables = [("AWS_ENDPOINT_URL", "http://aws.invalid"), ("HTTP_PROXY", &proxy.address)];
    run(&variables, &["ingest", "s3://logs", "--lake", &folder.lake(), "--no-digests"]).expect(0);
    assert_eq!(event_ids(&folder.lake()), ["a"]);
    let seen = proxy.seen();
    assert!(seen.iter().all(|line| line.starts_with("GET http://aws.invalid/logs/")), "{seen:?}");
    assert!(seen.iter().any(|line| line.contains("AWSLogs/")), "{seen:?}");
}

#[test]
fn no_proxy_is_asked_for_hosts_that_are_to_be_reached_without() {
    let (aws, proxy, folder) = world();
    let endpoint = aws.endpoint();
    let ingest = ["ingest", "s3://logs", "--lake", &folder.lake(), "--no-digests"];
    let variables = [
        ("AWS_ENDPOINT_URL", endpoint.as_str()),
        ("HTTP_PROXY", &proxy.address),
        ("NO_PROXY", "localhost,127.0.0.1"),
    ];
    run(&variables, &ingest).expect(0);
    assert_eq!((event_ids(&folder.lake()), proxy.seen()), (vec!["a".to_owned()], vec![]));
    run(&variables[..2], &ingest).expect(0);
    assert!(!proxy.seen().is_empty(), "without NO_PROXY it is asked");
}

/// All that the daemon talks to: queue, bucket, role, CloudTrail and the lake.
fn tunnels(variables: &[(&str, &str)]) -> Vec<String> {
    let (_aws, proxy, folder) = world();
    let queue = "https://sqs.eu-west-1.amazonaws.com/111122223333/trail";
    let lake = "s3://lake/here";
    let check = ["daemon", "--check", "--queue-url", queue, "--bucket", "logs", "--lake", lake];
    let bucket = "name=theirs,role_arn=arn:aws:iam::444455556666:role/reader";
    let check = [&check[..], &["--bucket", bucket, "--region", "eu-west-1"]].concat();
    let secret = folder.write("config", b"[default]\n");
    let variables = [variables, &[("HTTPS_PROXY", &*proxy.address), ("AWS_CONFIG_FILE", &secret)]].concat();
    let run = run(&variables, &check).expect(1);
    assert!(run.stdout.contains("FAILED  queue"), "{}", run.stdout);
    proxy.tunnels()
}

#[test]
fn every_service_is_reached_through_the_proxy_and_at_its_usual_address() {
    let hosts = [
        "cloudtrail.eu-west-1.amazonaws.com:443",
        "logs.s3.eu-west-1.amazonaws.com:443",
        "s3.eu-west-1.amazonaws.com:443",
        "sqs.eu-west-1.amazonaws.com:443",
        "sts.eu-west-1.amazonaws.com:443",
    ];
    assert_eq!(tunnels(&[]), hosts);
}

#[test]
fn every_service_is_reached_at_its_fips_endpoint_if_the_environment_wants_that() {
    let hosts = [
        "cloudtrail-fips.eu-west-1.amazonaws.com:443",
        "logs.s3-fips.eu-west-1.amazonaws.com:443",
        "s3-fips.eu-west-1.amazonaws.com:443",
        "sqs-fips.eu-west-1.amazonaws.com:443",
        "sts-fips.eu-west-1.amazonaws.com:443",
    ];
    assert_eq!(tunnels(&[("AWS_USE_FIPS_ENDPOINT", "true")]), hosts);
}
