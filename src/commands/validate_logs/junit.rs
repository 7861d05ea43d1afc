//! `JUnit` XML: a test suite for each account and region, a test case for each digest and log file.
//!
//! The head of a suite says how many of its tests failed, which is known at its end, and a bucket has
//! more findings than memory should hold: so test cases wait in a temporary file.

use std::fmt::Write as _;
use std::fs::File;
use std::io::{BufRead as _, BufReader, BufWriter, Read as _, Seek as _, SeekFrom, Write as _};

use anyhow::{Context as _, Result};

use super::tell::{Streams, Tell};
use crate::validation::{Event, Finding, Kind, Outcome, Target, Verdict, display};

pub(super) struct Junit {
    streams: Streams,
    spool: BufWriter<File>,
    suites: Vec<Suite>,
}

/// A test suite, as far as it has come.
struct Suite {
    name: String,
    tests: Count,
    /// How many bytes of the spool are its test cases.
    bytes: u64,
}

#[derive(Clone, Copy, Default)]
struct Count {
    all: u64,
    skipped: u64,
    failures: u64,
    errors: u64,
}

/// What became of a test.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Status {
    Success,
    Skipped,
    Failure,
    Error,
}

impl Junit {
    pub(super) fn new(streams: Streams) -> Result<Self> {
        let spool = tempfile::tempfile().context("making a temporary file for test cases")?;
        Ok(Junit { streams, spool: BufWriter::new(spool), suites: Vec::new() })
    }

    fn add(&mut self, status: Status, case: &str) -> Result<()> {
        let Some(suite) = self.suites.last_mut() else { return Ok(()) };
        self.spool.write_all(case.as_bytes()).context("writing test cases to a temporary file")?;
        suite.bytes += case.len() as u64;
        suite.tests.add(status);
        Ok(())
    }

    fn write(&mut self) -> Result<()> {
        let mut total = Count::default();
        self.suites.iter().for_each(|suite| total.add_all(suite.tests));
        self.streams.out("<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n")?;
        self.streams.out(&format!("<testsuites name=\"trailq validate-logs\"{}>\n", total.attributes()))?;
        self.spool.flush()?;
        self.spool.get_mut().seek(SeekFrom::Start(0))?;
        let mut cases = BufReader::new(self.spool.get_ref());
        for Suite { name, tests, bytes } in &self.suites {
            let head = format!("    <testsuite name=\"{}\"{}>\n", escaped(name), tests.attributes());
            self.streams.out(&head)?;
            // No test case has a line of more than a few kilobytes: keys and reasons end somewhere.
            for line in (&mut cases).take(*bytes).lines() {
                self.streams.out(&format!("{}\n", line?))?;
            }
            self.streams.out("    </testsuite>\n")?;
        }
        self.streams.out("</testsuites>\n")
    }
}

impl Tell for Junit {
    fn begin(&mut self) -> Result<()> {
        Ok(())
    }

    fn tell(&mut self, event: &Event<'_>) -> Result<()> {
        match event {
            Event::Started(target) => {
                let Target { account_id, region, trail, .. } = target;
                let name = format!("account {account_id}, region {region}, trail {trail}");
                self.suites.push(Suite { name, tests: Count::default(), bytes: 0 });
                Ok(())
            }
            Event::Found(finding) => {
                let status = status(finding.verdict);
                self.add(status, &case_of(finding, status))
            }
            Event::GaveUp(fatal) => {
                let case = case("the check was completed", None, Status::Error, None, &fatal.message);
                self.add(Status::Error, &case)
            }
            Event::Digests(_) | Event::Walked | Event::Done(_) => Ok(()),
        }
    }

    fn end(&mut self, _: &[Outcome]) -> Result<()> {
        self.write().context("writing JUnit XML")?;
        self.streams.flush()
    }
}

impl Count {
    fn add(&mut self, status: Status) {
        self.all += 1;
        match status {
            Status::Success => {}
            Status::Skipped => self.skipped += 1,
            Status::Failure => self.failures += 1,
            Status::Error => self.errors += 1,
        }
    }

    fn add_all(&mut self, other: Count) {
        self.all += other.all;
        self.skipped += other.skipped;
        self.failures += other.failures;
        self.errors += other.errors;
    }

    fn attributes(self) -> String {
        let Count { all, skipped, failures, errors } = self;
        format!(" tests=\"{all}\" skipped=\"{skipped}\" failures=\"{failures}\" errors=\"{errors}\"")
    }
}

fn status(verdict: Verdict) -> Status {
    match verdict {
        Verdict::Valid | Verdict::Note => Status::Success,
        Verdict::Unproven => Status::Skipped,
        Verdict::Unreadable => Status::Error,
        Verdict::Invalid | Verdict::Missing | Verdict::Unlisted | Verdict::Uncovered => Status::Failure,
    }
}

fn case_of(finding: &Finding, status: Status) -> String {
    let name = match (&finding.object, finding.start, finding.end) {
        (Some(object), _, _) => object.uri(),
        (None, Some(start), Some(end)) => format!("{} to {}", display(start), display(end)),
        _ => "hours".to_owned(),
    };
    let verdict = finding.verdict.name();
    let message = format!("{verdict}: {}", finding.reason.as_deref().unwrap_or_default());
    case(&name, Some(class(finding.kind)), status, Some(verdict), &message)
}

/// A test case; a success says nothing more.
fn case(name: &str, class: Option<&str>, status: Status, kind: Option<&str>, message: &str) -> String {
    let mut case = format!("        <testcase name=\"{}\"", escaped(name));
    if let Some(class) = class {
        let _ = write!(case, " classname=\"{class}\"");
    }
    let element = match status {
        Status::Success => return case + "/>\n",
        Status::Skipped => "skipped",
        Status::Failure => "failure",
        Status::Error => "error",
    };
    let _ = write!(case, ">\n            <{element} message=\"{}\"", escaped(message));
    if let Some(kind) = kind {
        let _ = write!(case, " type=\"{kind}\"");
    }
    case + "/>\n        </testcase>\n"
}

fn class(kind: Kind) -> &'static str {
    match kind {
        Kind::Digest => "digest",
        Kind::BackfillDigest => "backfill digest",
        Kind::LogFile => "log file",
        Kind::Link => "link",
        Kind::Hours => "hours",
        Kind::Other => "other object",
    }
}

/// Text for an attribute. What XML has no way to say becomes U+FFFD.
fn escaped(text: &str) -> String {
    let mut safe = String::with_capacity(text.len());
    for char in text.chars() {
        match char {
            '&' => safe.push_str("&amp;"),
            '<' => safe.push_str("&lt;"),
            '>' => safe.push_str("&gt;"),
            '"' => safe.push_str("&quot;"),
            '\t' | '\n' | '\r' => {
                let _ = write!(safe, "&#{};", u32::from(char));
            }
            '\u{20}'..='\u{d7ff}' | '\u{e000}'..='\u{fffd}' | '\u{10000}'..='\u{10ffff}' => safe.push(char),
            _ => safe.push(char::REPLACEMENT_CHARACTER),
        }
    }
    safe
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn text_is_made_fit_for_an_attribute() {
        assert_eq!(escaped("<a b=\"c\" & d>"), "&lt;a b=&quot;c&quot; &amp; d&gt;");
        assert_eq!(escaped("a\tb\nc\rd"), "a&#9;b&#10;c&#13;d");
        assert_eq!(escaped("\u{0}\u{1b}[31m\u{ffff}é😀"), "\u{fffd}\u{fffd}[31m\u{fffd}é😀");
    }

    #[test]
    fn a_test_case_says_what_is_wrong() {
        assert_eq!(
            case("s3://b/k", Some("log file"), Status::Failure, Some("invalid"), "invalid: <hash>"),
            "        <testcase name=\"s3://b/k\" classname=\"log file\">\n            \
             <failure message=\"invalid: &lt;hash&gt;\" type=\"invalid\"/>\n        </testcase>\n"
        );
        assert_eq!(case("x", None, Status::Success, None, ""), "        <testcase name=\"x\"/>\n");
    }
}
