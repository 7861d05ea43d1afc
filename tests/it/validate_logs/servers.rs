//! Trails made for a test, and an S3 and a CloudTrail of our own to serve them.

use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::path::PathBuf;
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};
use std::sync::{Mutex, OnceLock};

use tempfile::TempDir;

use crate::python::system_python;
use crate::support::{self, Run, repository};

/// The servers. They end with the tests, whatever ends them: they read from a pipe of ours.
pub(crate) struct Servers {
    pipes: Mutex<(ChildStdin, BufReader<ChildStdout>)>,
    _child: Child,
    root: TempDir,
    s3: String,
    cloudtrail: String,
}

pub(crate) fn servers() -> &'static Servers {
    static SERVERS: OnceLock<Servers> = OnceLock::new();
    SERVERS.get_or_init(Servers::start)
}

impl Servers {
    fn start() -> Self {
        let root = tempfile::tempdir().unwrap();
        let mut command = Command::new(system_python());
        command.arg(repository().join("tests/oracle/serve.py")).arg(root.path());
        command.env("PYTHONDONTWRITEBYTECODE", "1").stdin(Stdio::piped()).stdout(Stdio::piped());
        let mut child = command.spawn().unwrap();
        let mut answers = BufReader::new(child.stdout.take().unwrap());
        let mut line = String::new();
        answers.read_line(&mut line).unwrap();
        let ports: Vec<u16> = line.split_whitespace().map(|port| port.parse().unwrap()).collect();
        let url = |port: u16| format!("http://127.0.0.1:{port}");
        Servers {
            pipes: Mutex::new((child.stdin.take().unwrap(), answers)),
            _child: child,
            root,
            s3: url(ports[0]),
            cloudtrail: url(ports[1]),
        }
    }

    /// Makes a trail with the arguments of `make_trail.py`.
    pub(crate) fn make(&self, name: &str, arguments: &str) -> Trail {
        let mut pipes = self.pipes.lock().unwrap();
        writeln!(pipes.0, "{name} {arguments}").unwrap();
        let mut arn = String::new();
        pipes.1.read_line(&mut arn).unwrap();
        assert!(arn.starts_with("arn:"), "making {name} failed");
        Trail { name: name.to_owned(), arn: arn.trim().to_owned() }
    }
}

/// A trail that was made.
#[derive(Clone)]
pub(crate) struct Trail {
    pub(crate) name: String,
    pub(crate) arn: String,
}

impl Trail {
    pub(crate) fn bucket(&self) -> String {
        format!("ct-{}", self.name)
    }

    /// Where its files lie: the bucket below `s3`, the public keys beside.
    pub(crate) fn folder(&self) -> PathBuf {
        servers().root.path().join(&self.name)
    }

    /// The bucket's objects.
    pub(crate) fn objects(&self) -> PathBuf {
        self.folder().join("s3").join(self.bucket())
    }

    /// What sends a command to our servers.
    pub(crate) fn environment(&self) -> Vec<(&'static str, String)> {
        let api = format!("{}/{}", servers().cloudtrail, self.name);
        let mut environment = vec![
            ("AWS_ENDPOINT_URL_S3", servers().s3.clone()),
            ("AWS_ENDPOINT_URL_CLOUDTRAIL", api.clone()),
            ("AWS_ENDPOINT_URL_ORGANIZATIONS", api),
        ];
        let fixed = [
            ("AWS_ACCESS_KEY_ID", "test"),
            ("AWS_SECRET_ACCESS_KEY", "test"),
            ("AWS_EC2_METADATA_DISABLED", "true"),
            ("AWS_CONFIG_FILE", "/dev/null"),
            ("AWS_SHARED_CREDENTIALS_FILE", "/dev/null"),
            ("AWS_PAGER", ""),
            ("PYTHONUNBUFFERED", "1"),
        ];
        environment.extend(fixed.map(|(name, value)| (name, value.to_owned())));
        environment
    }

    /// `trailq validate-logs` with these arguments and those that nearly every run needs.
    pub(crate) fn command(&self, arguments: &[&str]) -> Command {
        let mut arguments: Vec<&str> = arguments.to_vec();
        let usual = [
            ("--trail-arn", self.arn.as_str()),
            ("--start-time", "2024-03-01T00:00:00Z"),
            ("--end-time", "2024-03-01T06:17:28Z"),
            ("--region", "us-east-1"),
        ];
        for (name, value) in usual {
            if !arguments.contains(&name) {
                arguments.extend([name, value]);
            }
        }
        let mut command = support::command(&[&["validate-logs"][..], &arguments].concat());
        command.envs(self.environment());
        command
    }

    pub(crate) fn validate(&self, arguments: &[&str]) -> Run {
        self.command(arguments).output().unwrap().into()
    }
}

/// Runs a command with standard output and standard error in one, as written, and says how it ended.
pub(crate) fn run_merged(mut command: Command) -> String {
    let (mut reader, writer) = std::io::pipe().unwrap();
    command.stdin(Stdio::null()).stdout(writer.try_clone().unwrap()).stderr(writer);
    let mut child = command.spawn().unwrap();
    drop(command);
    let mut text = String::new();
    reader.read_to_string(&mut text).unwrap();
    let code = child.wait().unwrap().code();
    format!("{text}exit={}\n", code.unwrap_or(-1))
}

/// Runs a command, and puts standard error after standard output.
pub(crate) fn run_apart(mut command: Command) -> String {
    let run: Run = command.stdin(Stdio::null()).output().unwrap().into();
    format!("{}--- stderr\n{}exit={}\n", run.stdout, run.stderr, run.code.unwrap_or(-1))
}
