//! An S3 of our own: moto on a free port of this machine, started by the first test that asks.

use std::io::{BufRead as _, BufReader};
use std::process::{Child, Command, Stdio};
use std::sync::OnceLock;

use aws_config::{BehaviorVersion, Region, SdkConfig};
use aws_sdk_s3::config::{Credentials, SharedCredentialsProvider};

use super::python::{run_script, script_command};
use super::support::{self, Run};

/// The server. It ends with the tests, whatever ends them: it watches its standard input.
struct Server {
    _child: Child,
    endpoint: String,
}

fn server() -> &'static Server {
    static SERVER: OnceLock<Server> = OnceLock::new();
    SERVER.get_or_init(|| {
        let mut command = script_command("aws.py", &[]);
        let mut child = command.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().unwrap();
        let mut line = String::new();
        BufReader::new(child.stdout.take().unwrap()).read_line(&mut line).unwrap();
        let port: u16 = line.trim().parse().expect("tests/python/aws.py prints its port");
        Server { _child: child, endpoint: format!("http://127.0.0.1:{port}") }
    })
}

/// `trailq`, which takes our server for AWS.
pub(crate) fn command(arguments: &[&str]) -> Command {
    let mut command = support::command(arguments);
    command.envs([
        ("AWS_ENDPOINT_URL", server().endpoint.as_str()),
        ("AWS_ACCESS_KEY_ID", "test"),
        ("AWS_SECRET_ACCESS_KEY", "test"),
        ("AWS_REGION", "us-east-1"),
        ("AWS_EC2_METADATA_DISABLED", "true"),
        ("AWS_CONFIG_FILE", "/dev/null"),
        ("AWS_SHARED_CREDENTIALS_FILE", "/dev/null"),
    ]);
    command
}

pub(crate) fn trailq(arguments: &[&str]) -> Run {
    command(arguments).output().unwrap().into()
}

/// What makes a client of the SDK in this process come to our server.
pub(crate) fn config() -> SdkConfig {
    let credentials = Credentials::new("test", "test", None, None, "test");
    SdkConfig::builder()
        .behavior_version(BehaviorVersion::latest())
        .endpoint_url(&server().endpoint)
        .region(Region::from_static("us-east-1"))
        .credentials_provider(SharedCredentialsProvider::new(credentials))
        .build()
}

/// Creates a bucket.
pub(crate) fn create_bucket(bucket: &str) {
    run_script("s3.py", &[&server().endpoint, "create", bucket]);
}

/// Creates a bucket and puts the files below a directory under `prefix` into it.
pub(crate) fn upload(directory: &str, bucket: &str, prefix: &str) {
    run_script("s3.py", &[&server().endpoint, "upload", directory, bucket, prefix]);
}

/// Creates a bucket and puts a copy of a trail's bucket into it, the signatures of its digests as well.
pub(crate) fn upload_trail(directory: &str, bucket: &str) {
    run_script("trail.py", &[&server().endpoint, "upload", directory, bucket]);
}

/// Deletes objects.
pub(crate) fn delete(bucket: &str, keys: &[&str]) {
    run_script("trail.py", &[&[&server().endpoint, "delete", bucket][..], keys].concat());
}
