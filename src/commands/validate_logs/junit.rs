//! `JUnit` XML: a test suite for each account and region, a test case for each digest and log file.

use anyhow::Result;
use quick_junit::{NonSuccessKind, Report, TestCase, TestCaseStatus, TestSuite};

use super::tell::{Streams, Tell};
use crate::validation::{Event, Finding, Kind, Outcome, Target, Verdict, display};

pub(super) struct Junit {
    streams: Streams,
    report: Report,
    suite: TestSuite,
}

impl Junit {
    pub(super) fn new(streams: Streams) -> Self {
        Junit { streams, report: Report::new("trailq validate-logs"), suite: TestSuite::new("") }
    }

    fn start(&mut self, target: &Target) {
        let Target { account_id, region, trail, .. } = target;
        self.suite = TestSuite::new(format!("account {account_id}, region {region}, trail {trail}"));
    }
}

impl Tell for Junit {
    fn begin(&mut self) -> Result<()> {
        Ok(())
    }

    fn tell(&mut self, event: &Event<'_>) -> Result<()> {
        match event {
            Event::Started(target) => self.start(target),
            Event::Found(finding) => {
                self.suite.add_test_case(case(finding));
            }
            Event::GaveUp(fatal) => {
                let mut status = TestCaseStatus::non_success(NonSuccessKind::Error);
                status.set_message(fatal.message.clone());
                self.suite.add_test_case(TestCase::new("the check was completed", status));
            }
            Event::Done(_) => {
                let suite = std::mem::replace(&mut self.suite, TestSuite::new(""));
                self.report.add_test_suite(suite);
            }
            Event::Digests(_) | Event::Walked => {}
        }
        Ok(())
    }

    fn end(&mut self, _: &[Outcome]) -> Result<()> {
        let xml = self.report.to_string()?;
        self.streams.out(&xml)?;
        self.streams.flush()
    }
}

fn case(finding: &Finding) -> TestCase {
    let status = match finding.verdict {
        Verdict::Valid | Verdict::Note => TestCaseStatus::success(),
        Verdict::Unproven => TestCaseStatus::skipped(),
        Verdict::Unreadable => TestCaseStatus::non_success(NonSuccessKind::Error),
        Verdict::Invalid | Verdict::Missing | Verdict::Unlisted | Verdict::Uncovered => {
            TestCaseStatus::non_success(NonSuccessKind::Failure)
        }
    };
    let name = match (&finding.object, finding.start, finding.end) {
        (Some(object), _, _) => object.uri(),
        (None, Some(start), Some(end)) => format!("{} to {}", display(start), display(end)),
        _ => "hours".to_owned(),
    };
    let mut case = TestCase::new(name, status);
    case.set_classname(class(finding.kind));
    if finding.verdict != Verdict::Valid {
        let reason = finding.reason.as_deref().unwrap_or_default();
        case.status.set_message(format!("{}: {reason}", finding.verdict.name()));
        case.status.set_type(finding.verdict.name());
    }
    case
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
