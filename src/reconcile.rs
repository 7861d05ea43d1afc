//! The three-way difference of a bucket, its digests and the lake.
//!
//! What is in the bucket says its listing, what should be there say the digests that CloudTrail signed, and
//! what the lake holds says its ledger. [`Reconciler`] goes through them day by day, so its memory is that of a few
//! days, whatever the bucket holds. The verdicts are those of [`crate::integrity`]; here they meet the listing.
//!
//! A digest that the lake has checked already is not read again, unless everything is ([`Options::deep`]).

mod compare;
mod digests;
mod findings;
mod gaps;
mod late;
mod ledger;
mod repair;

use std::collections::{BTreeMap, BTreeSet, HashMap};

use anyhow::Result;
use chrono::{DateTime, Days, NaiveDate, Utc};
use futures::{StreamExt as _, TryStreamExt as _};

use crate::bucket::{Bucket, Day, Kind, Wanted, WantedKind, days};
use crate::integrity::{Checker, LogFileFact};
use crate::lake::Lake;
use crate::log_file::Limits;
use crate::object::{LogKey, ObjectRef};
use crate::store::{Listed, S3Options};
pub use findings::{DayReport, Finding, Section, Totals};
pub use repair::{Repaired, repair};

/// What to compare.
#[derive(Debug, Clone, Default)]
pub struct Options {
    /// Which accounts, regions and days.
    pub wanted: Wanted,
    /// Reads every object again and takes its hash, instead of believing the lake's.
    pub deep: bool,
    /// What one object may cost.
    pub limits: Limits,
    /// How buckets are reached.
    pub s3: S3Options,
}

/// Requests at once.
const REQUESTS: usize = 48;
/// Days before a log file's date of which digests are looked at, and days after it.
const DAYS_BEFORE: u64 = 1;
const DAYS_AFTER: u64 = 2;
/// `CloudTrail` delivers for 30 days what it could not deliver at once, and lists it then.
const DAYS_LATE: u64 = 35;

/// An account and region below a root: whose digests vouch for whose log files.
type Place = (String, String, String);

/// A comparison under way.
pub struct Reconciler {
    bucket: Bucket,
    prefix: String,
    ledger: ledger::Ledger,
    checker: Checker,
    options: Options,
    now: DateTime<Utc>,
    /// The days to compare, in order.
    todo: std::vec::IntoIter<NaiveDate>,
    logs: BTreeMap<NaiveDate, Vec<Day>>,
    digests: digests::Window,
    gaps: gaps::Gaps,
    late: late::Late,
    /// The first day of each place of which the bucket has log files: before it they have expired.
    first_log_day: HashMap<Place, NaiveDate>,
    ended: bool,
}

impl std::fmt::Debug for Reconciler {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Reconciler").field("bucket", &self.bucket.name()).finish_non_exhaustive()
    }
}

impl Reconciler {
    /// Looks which days there are. `source` is `s3://bucket/prefix`, or a directory with a copy.
    pub async fn start(
        source: &str,
        lake: Option<&Lake>,
        checker: Checker,
        options: Options,
        now: DateTime<Utc>,
    ) -> Result<Self> {
        let (bucket, prefix) = Bucket::open(source, &options.s3)?;
        let facts = match lake {
            Some(lake) => Some(lake.facts().await?),
            None => None,
        };
        let (logs, digests) = find_days(&bucket, &prefix, &options.wanted).await?;
        let mut first_log_day = HashMap::new();
        for day in logs.iter().chain(&digests).filter(|day| day.kind != Kind::Digests) {
            first_log_day.entry(place_of(day)).or_insert(day.date);
        }
        let known = match &facts {
            Some(facts) => facts.dates().await?,
            None => BTreeSet::new(),
        };
        let Wanted { from, to, .. } = options.wanted;
        let takes =
            |date: &NaiveDate| from.is_none_or(|from| *date >= from) && to.is_none_or(|to| *date <= to);
        let dates = logs.iter().chain(&digests).map(|day| day.date).chain(known);
        let todo: BTreeSet<NaiveDate> = dates.filter(takes).collect();
        Ok(Self {
            digests: digests::Window::new(by_date(digests)),
            logs: by_date(logs),
            todo: todo.into_iter().collect::<Vec<_>>().into_iter(),
            gaps: gaps::Gaps::default(),
            late: late::Late::default(),
            ended: false,
            bucket,
            prefix,
            ledger: ledger::Ledger::new(facts),
            checker,
            options,
            now,
            first_log_day,
        })
    }

    /// The name of the bucket.
    pub fn bucket(&self) -> &str {
        self.bucket.name()
    }

    /// How many days are left.
    pub fn days_left(&self) -> usize {
        self.todo.len()
    }

    /// Compares the next day. What it found may be of days before: a digest may come late.
    pub async fn next_day(&mut self) -> Result<Option<DayReport>> {
        let Some(date) = self.todo.next() else { return self.end().await };
        let mut report = DayReport::new(date);
        for date in around(date, DAYS_BEFORE, DAYS_AFTER) {
            self.load_digests(date, &mut report).await?;
        }
        self.digests.forget_before(date - Days::new(DAYS_BEFORE));
        let evidence = self.digests.evidence();
        self.late.settle(&evidence, self.now, &mut report);
        self.late.flush_before(date, &mut report);
        self.gaps.day(&evidence, date, &mut report);
        let present = self.present(date, &mut report).await?;
        let ledger = self.ledger_of(date).await?;
        let hashes = if self.options.deep { self.hashes(&present).await? } else { HashMap::new() };
        let day = compare::Compared { date, present, ledger, hashes };
        self.compare(&day, &evidence, &mut report);
        Ok(Some(report))
    }

    /// Looks for late digests of what is still in doubt, and ends.
    async fn end(&mut self) -> Result<Option<DayReport>> {
        if std::mem::replace(&mut self.ended, true) {
            return Ok(None);
        }
        let mut report = DayReport::new(self.now.date_naive());
        for date in self.digests.unread_days() {
            if self.late.is_empty() {
                break;
            }
            self.load_digests(date, &mut report).await?;
            self.digests.forget_before(date - Days::new(DAYS_BEFORE));
            self.late.settle(&self.digests.evidence(), self.now, &mut report);
        }
        self.late.flush(&mut report);
        self.gaps.flush(&mut report);
        Ok(Some(report))
    }

    /// The log files of a day that the bucket has, by address.
    async fn present(&self, date: NaiveDate, report: &mut DayReport) -> Result<BTreeMap<String, Listed>> {
        let none = Vec::new();
        let days = self.logs.get(&date).unwrap_or(&none);
        let listing = futures::stream::iter(days).map(async |day| self.bucket.objects(&day.folder).await);
        let listed: Vec<Vec<Listed>> = listing.buffered(REQUESTS).try_collect().await?;
        let mut present = BTreeMap::new();
        for listed in listed.into_iter().flatten() {
            let object = self.bucket.object(&listed.key);
            match LogKey::parse(&listed.key) {
                Some(_) => drop(present.insert(object.uri(), listed)),
                None => tell_foreign(&object, report),
            }
        }
        Ok(present)
    }

    /// What the ledger says of the log files of a day, by address.
    async fn ledger_of(&mut self, date: NaiveDate) -> Result<HashMap<String, LogFileFact>> {
        let mut ledger = HashMap::new();
        for mut fact in self.ledger.log_files(date).await? {
            let Some(address) = self.address_here(&fact.log_file) else { continue };
            fact.log_file.clone_from(&address);
            ledger.insert(address, fact);
        }
        Ok(ledger)
    }

    /// The address in this bucket of a log file of the ledger, if it is one that is wanted. A copy may have
    /// been ingested under its paths.
    fn address_here(&self, log_file: &str) -> Option<String> {
        let key = match (&self.bucket, self.key_of(log_file)) {
            (_, Some(key)) => key,
            (Bucket::Local(local), None) => {
                let root = local.root().canonicalize().ok()?;
                log_file.strip_prefix(root.to_str()?)?.strip_prefix('/')?
            }
            _ => return None,
        };
        let parsed = LogKey::parse(key)?;
        let Wanted { accounts, regions, .. } = &self.options.wanted;
        let wanted = key.starts_with(&self.prefix)
            && (accounts.is_empty() || accounts.contains(&parsed.account_id))
            && (regions.is_empty() || regions.contains(&parsed.region));
        wanted.then(|| self.bucket.object(key).uri())
    }
}

/// Tells of an object that is neither log file nor digest. Folders are empty objects of the console.
fn tell_foreign(object: &ObjectRef, report: &mut DayReport) {
    if !object.key.ends_with('/') {
        report.add(Finding::new(Section::Foreign, object.uri()));
    }
}

/// The folders of log files, and those of digests, which may list log files of other days.
async fn find_days(bucket: &Bucket, prefix: &str, wanted: &Wanted) -> Result<(Vec<Day>, Vec<Day>)> {
    let logs = Wanted { kind: Some(WantedKind::Logs), ..wanted.clone() };
    let digests = Wanted {
        kind: Some(WantedKind::Digests),
        from: wanted.from.map(|from| from - Days::new(DAYS_BEFORE)),
        to: wanted.to.map(|to| to + Days::new(DAYS_LATE)),
        ..wanted.clone()
    };
    tokio::try_join!(days(bucket, prefix, &logs), days(bucket, prefix, &digests))
}

fn by_date(days: Vec<Day>) -> BTreeMap<NaiveDate, Vec<Day>> {
    let mut by_date: BTreeMap<NaiveDate, Vec<Day>> = BTreeMap::new();
    for day in days {
        by_date.entry(day.date).or_default().push(day);
    }
    by_date
}

fn place_of(day: &Day) -> Place {
    (day.root.trim_end_matches('/').to_owned(), day.account.clone(), day.region.clone())
}

/// The place of a log file. A root ends before the account.
fn place_of_key(key: &LogKey) -> Place {
    let prefix = if key.prefix.is_empty() { String::new() } else { format!("{}/", key.prefix) };
    let root = match &key.organization_id {
        Some(id) => format!("{prefix}AWSLogs/{id}"),
        None => format!("{prefix}AWSLogs"),
    };
    (root, key.account_id.clone(), key.region.clone())
}

fn around(date: NaiveDate, before: u64, after: u64) -> impl Iterator<Item = NaiveDate> {
    let count = usize::try_from(before + after + 1).unwrap_or(1);
    (date - Days::new(before)).iter_days().take(count)
}
