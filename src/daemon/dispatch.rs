//! Dispatching: what messages say, to objects that are fetched, known already, or nothing to us.

use std::collections::{BTreeMap, HashSet};
use std::sync::Arc;
use std::time::Duration;

use chrono::{NaiveDate, TimeDelta, Utc};
use tokio::sync::mpsc;
use tokio_util::sync::CancellationToken;
use tracing::{error, info, warn};

use super::fetch::{Fetcher, Wanted};
use super::hand::{Failed, Hand, Ticket};
use super::works::{End, Works};
use super::{ForeignMessages, Options};
use crate::contain::contained;
use crate::ingest::load::Turn;
use crate::lake::{DigestStatus, Lake, LogFileId};
use crate::metrics::Health;
use crate::notification::{self, Announced, Notification};
use crate::object::{DigestKey, LogKey, ObjectKind, ObjectRef};
use crate::output::escape;

/// What comes to be dispatched.
pub(super) enum Arrival {
    /// A message and its body.
    Message(Ticket, String),
    /// Objects that the audit asks for, and why.
    Asked(Vec<ObjectRef>, Asked),
}

/// Why the audit asks for an object.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Asked {
    /// A digest lists this log file, and the lake lacks it.
    Absent,
    /// A digest links to this digest.
    Linked,
    /// The key of this digest could not be looked up.
    Recheck,
}

/// What an object is to us.
#[derive(Debug, Clone)]
pub(super) enum Kind {
    Log(LogKey),
    Digest(DigestKey),
}

/// Messages that are dispatched together, so that the lake is asked once for all their objects.
const TOGETHER: usize = 100;
/// Dates of keys that lie no further apart are looked up together.
const DAYS_TOGETHER: TimeDelta = TimeDelta::days(7);
/// Buckets that are remembered as told.
const REFUSED: usize = 1000;
/// Times that the lake is asked what it knows.
const LOOK_UPS: u32 = 3;

/// Messages to objects in work.
pub(super) struct Dispatcher {
    pub(super) hand: Arc<Hand>,
    pub(super) works: Arc<Works>,
    pub(super) fetcher: Fetcher,
    pub(super) lake: Lake,
    pub(super) options: Arc<Options>,
    pub(super) health: Arc<Health>,
    pub(super) turn: Turn,
    /// Objects begun since the last turn.
    pub(super) begun: usize,
    /// Buckets that digests name and that are not allowed, each told once.
    pub(super) refused: HashSet<String>,
}

impl Dispatcher {
    /// Dispatches what comes until nothing more does; after `stop`, hands back what has not been begun.
    pub(super) async fn run(mut self, mut arrivals: mpsc::Receiver<Arrival>, stop: CancellationToken) {
        let mut some = Vec::with_capacity(TOGETHER);
        while arrivals.recv_many(&mut some, TOGETHER).await > 0 {
            let mut wanted = Vec::new();
            for arrival in some.drain(..) {
                match arrival {
                    Arrival::Message(ticket, _) if stop.is_cancelled() => ticket.fail(Failed::shutdown()),
                    Arrival::Message(ticket, body) => self.message(ticket, &body, &mut wanted),
                    Arrival::Asked(objects, why) => self.asked(objects, why, &mut wanted),
                }
            }
            let wanted = self.unknown(wanted, &stop).await;
            self.begun += wanted.len();
            self.fetcher.fetch(wanted, &stop).await;
            self.make_room();
            self.health.fine("dispatch");
        }
        self.fetcher.finish().await;
    }

    /// Lets a batch be written before the messages in hand are too many: while it is committed, others
    /// are received and fetched.
    fn make_room(&mut self) {
        if self.begun >= self.options.max_in_hand / 2 {
            self.begun = 0;
            self.turn.advance();
        }
    }

    fn message(&self, ticket: Ticket, body: &str, wanted: &mut Vec<Wanted>) {
        let parsed = match contained(|| notification::parse(body)) {
            Ok(parsed) => parsed,
            Err(panicked) => return self.unread(ticket, &panicked),
        };
        match parsed {
            Ok(Notification::Objects { source, objects, skipped }) => {
                self.hand.metrics.body(source.as_str());
                if skipped > 0 {
                    let message_id = ticket.message_id();
                    info!(queue = ticket.queue(), message_id, skipped, "events that announce no object");
                }
                for announced in objects {
                    self.announced(ticket.split(), announced, wanted);
                }
                ticket.settle();
            }
            Ok(Notification::Test | Notification::Validation) => {
                self.hand.metrics.body("test");
                info!(queue = ticket.queue(), message_id = ticket.message_id(), "a test message");
                ticket.settle();
            }
            Err(foreign) => {
                self.hand.metrics.body("foreign");
                self.hand.metrics.error("notification", foreign.kind.as_str());
                let fate = match self.options.foreign_messages {
                    ForeignMessages::Leave => "left on the queue",
                    ForeignMessages::Delete => "deleted",
                };
                warn!(
                    queue = ticket.queue(),
                    message_id = ticket.message_id(),
                    kind = foreign.kind.as_str(),
                    what = foreign.description,
                    fate,
                    "a message that announces nothing"
                );
                ticket.settle_as_foreign();
            }
        }
    }

    /// A body that we are not up to: the message becomes a dead letter, and is nobody else's harm.
    fn unread(&self, ticket: Ticket, panicked: &str) {
        let (queue, message_id) = (ticket.queue(), ticket.message_id());
        error!(queue, message_id, detail = panicked, "reading the message panicked: please report it");
        self.hand.metrics.error("notification", "panicked");
        ticket.fail(Failed::later("panicked"));
    }

    fn announced(&self, ticket: Ticket, announced: Announced, wanted: &mut Vec<Wanted>) {
        let Announced { object, size, etag, .. } = announced;
        if !self.options.buckets.contains(&object.bucket) {
            self.refuse(ticket, &object);
            return;
        }
        match self.kind(&object.key) {
            Ok(kind) => self.begin(ticket, Wanted { size, etag, ..Wanted::new(object, kind) }, wanted),
            Err(why) => {
                self.hand.metrics.ignored(why);
                self.works.ignore(ticket, false);
            }
        }
    }

    /// A bucket that nobody allowed: a message is not an authority.
    fn refuse(&self, ticket: Ticket, object: &ObjectRef) {
        error!(
            queue = ticket.queue(),
            message_id = ticket.message_id(),
            bucket = %escape(&object.bucket, true),
            key = %escape(&object.key, true),
            "not fetched: the bucket is not among those that are allowed (--bucket)"
        );
        self.hand.metrics.error("notification", "bucket_not_allowed");
        self.hand.metrics.ignored("bucket_not_allowed");
        self.works.ignore(ticket, true);
    }

    fn asked(&mut self, objects: Vec<ObjectRef>, why: Asked, wanted: &mut Vec<Wanted>) {
        for object in objects {
            if !self.options.buckets.contains(&object.bucket) {
                if self.refused.len() < REFUSED && self.refused.insert(object.bucket.clone()) {
                    let bucket = escape(&object.bucket, true);
                    error!(%bucket, "digests list objects of a bucket that is not allowed (--bucket)");
                    self.hand.metrics.error("integrity", "bucket_not_allowed");
                }
                continue;
            }
            let Ok(kind) = self.kind(&object.key) else { continue };
            let asked = Wanted { asked: Some(why), ..Wanted::new(object, kind) };
            self.begin(self.hand.ticket(), asked, wanted);
        }
    }

    fn begin(&self, ticket: Ticket, object: Wanted, wanted: &mut Vec<Wanted>) {
        if self.works.begin(object.id, ticket) {
            wanted.push(object);
        }
    }

    /// What the key says the object is, or why it is nothing to us.
    fn kind(&self, key: &str) -> Result<Kind, &'static str> {
        let log = match ObjectKind::of(key) {
            ObjectKind::Log(log) => log,
            ObjectKind::Digest(digest) if self.fetcher.checks_digests() => return Ok(Kind::Digest(digest)),
            ObjectKind::Digest(_) => return Err("digest"),
            ObjectKind::Folder => return Err("folder"),
            ObjectKind::Other => LogKey::from_file_name(key).ok_or("other")?,
        };
        let oldest = self
            .options
            .ignore_older
            .and_then(|age| Utc::now().checked_sub_signed(TimeDelta::from_std(age).ok()?));
        let start = self.options.start_timestamp.max(oldest);
        if start.is_some_and(|start| log.time < start) { Err("too_old") } else { Ok(Kind::Log(log)) }
    }

    /// Leaves out what the lake has.
    async fn unknown(&self, wanted: Vec<Wanted>, stop: &CancellationToken) -> Vec<Wanted> {
        let mut unknown = Vec::with_capacity(wanted.len());
        for group in by_date(wanted) {
            match self.look_up(&group, stop).await {
                Ok(known) => {
                    for (object, known) in group.into_iter().zip(known) {
                        if known {
                            self.works.finish(object.id, End::Duplicate);
                        } else {
                            unknown.push(object);
                        }
                    }
                }
                Err(error) => {
                    error!(error = format!("{error:#}"), "the lake could not be asked what it has");
                    self.hand.metrics.error("look_up", "lake");
                    let failed = End::Failed(Failed::later("lake"));
                    for object in group {
                        self.works.finish(object.id, failed);
                    }
                }
            }
        }
        unknown
    }

    async fn look_up(&self, group: &[Wanted], stop: &CancellationToken) -> anyhow::Result<Vec<bool>> {
        let mut attempt = 1;
        loop {
            let pause = Duration::from_millis(250 << attempt);
            match self.ask(group).await {
                Err(_) if attempt < LOOK_UPS && !stop.is_cancelled() => tokio::time::sleep(pause).await,
                answer => return answer,
            }
            attempt += 1;
        }
    }

    async fn ask(&self, group: &[Wanted]) -> anyhow::Result<Vec<bool>> {
        let ids: Vec<LogFileId> = group.iter().map(|object| object.id).collect();
        let dates: Vec<NaiveDate> = group.iter().map(Wanted::date).collect();
        let Some(range) = dates.iter().min().copied().zip(dates.iter().max().copied()) else {
            return Ok(Vec::new());
        };
        if group.iter().any(|object| matches!(object.kind, Kind::Digest(_))) {
            let known = self.lake.known_digests_between(&ids, Some(range.0..=range.1)).await?;
            let settled = |status: Option<DigestStatus>| {
                matches!(status, Some(DigestStatus::Valid | DigestStatus::Invalid))
            };
            return Ok(known.into_iter().map(settled).collect());
        }
        let known = self.lake.known(&ids, Some(range.0..=range.1)).await?;
        Ok(known.into_iter().map(|size| size.is_some()).collect())
    }
}

/// Groups of log files whose dates lie together, and digests by themselves: a single old date must not
/// make the lake read the ledger of all days since.
fn by_date(wanted: Vec<Wanted>) -> Vec<Vec<Wanted>> {
    let mut by_day: BTreeMap<(bool, NaiveDate), Vec<Wanted>> = BTreeMap::new();
    for object in wanted {
        let digest = matches!(object.kind, Kind::Digest(_));
        by_day.entry((digest, object.date())).or_default().push(object);
    }
    let mut groups: Vec<Vec<Wanted>> = Vec::new();
    let mut last: Option<(bool, NaiveDate)> = None;
    for (day, objects) in by_day {
        let near = last.is_some_and(|last| last.0 == day.0 && day.1 - last.1 <= DAYS_TOGETHER);
        match groups.last_mut().filter(|_| near) {
            Some(group) => group.extend(objects),
            None => groups.push(objects),
        }
        last = Some(day);
    }
    groups
}

#[cfg(test)]
mod tests {
    use super::*;

    fn wanted(date: &str, digest: bool) -> Wanted {
        let (folder, name) = if digest {
            ("CloudTrail-Digest", "CloudTrail-Digest_eu-west-1_t_eu-west-1")
        } else {
            ("CloudTrail", "CloudTrail_eu-west-1")
        };
        let (path, compact) = (date.replace('-', "/"), date.replace('-', ""));
        let time = if digest { "T081000Z" } else { "T0810Z_a" };
        let key = format!(
            "AWSLogs/111122223333/{folder}/eu-west-1/{path}/111122223333_{name}_{compact}{time}.json.gz"
        );
        let kind = match ObjectKind::of(&key) {
            ObjectKind::Log(log) => Kind::Log(log),
            ObjectKind::Digest(digest) => Kind::Digest(digest),
            other => panic!("{key}: {other:?}"),
        };
        Wanted::new(ObjectRef::new("b", key), kind)
    }

    #[test]
    fn an_old_date_is_looked_up_by_itself() {
        let days =
            [("2026-01-05", false), ("2019-01-01", false), ("2026-01-09", false), ("2026-01-06", true)];
        let groups = by_date(days.iter().map(|(day, digest)| wanted(day, *digest)).collect());
        let told: Vec<Vec<String>> =
            groups.iter().map(|group| group.iter().map(|one| one.date().to_string()).collect()).collect();
        assert_eq!(told, [vec!["2019-01-01"], vec!["2026-01-05", "2026-01-09"], vec!["2026-01-06"]]);
    }
}
