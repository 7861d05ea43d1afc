//! Makes up the CloudTrail logs of an organization that does not exist: for tests, for trying trailq
//! without logs of one's own, and for `sample-logs/`.
//!
//! The same options give the same bytes, on any machine and at any time: no clock is read, all chance
//! comes from the seed, and the gzip headers hold no time. Memory does not grow with the number of
//! events, since objects are handed out one by one as they are made.
//!
//! What the reader of the logs would find in a real bucket is here too: log files every five minutes per
//! account and region, Insights and network activity in trees of their own, hourly digests signed in a
//! chain ([`signing`]), optionally a story among the everyday traffic ([`Story`]), and optionally traces
//! of somebody who changed the bucket afterwards ([`Tamper`]).
//!
//! One choice of ours: AWS does not say whether digests list the files of the Insights and network
//! activity trees. Here they do.

mod delivery;
mod directory;
mod plan;
mod rare;
mod record;
mod rng;
pub mod signing;
mod story;
mod tamper;
mod traffic;
mod world;

use anyhow::{Result, ensure};
use chrono::NaiveDate;
pub use directory::{is_generated, remove_generated, write_directory};
use signing::SigningKey;
use std::collections::BTreeMap;
pub use tamper::{Tamper, Tampered};

/// The region in which the global services (IAM, sign-in, Organizations) log. Always generated.
pub const GLOBAL_REGION: &str = "us-east-1";
/// Name of the organization trail that writes the logs.
pub const TRAIL: &str = "org-trail";
/// Home region of the trail.
pub const TRAIL_HOME_REGION: &str = GLOBAL_REGION;
/// The most accounts that the generator makes; a guard against a slip, no design limit.
pub const MAX_ACCOUNTS: usize = 1000;

/// What to generate.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Options {
    /// Number of accounts. The first is the management account, the third keeps the logs.
    pub accounts: usize,
    /// Regions; [`GLOBAL_REGION`] is added if it is not among them.
    pub regions: Vec<String>,
    /// First day.
    pub start: NaiveDate,
    /// Number of days.
    pub days: u32,
    /// How much everyday traffic there is; the story comes on top of a rate and is part of a total.
    pub volume: Volume,
    /// Seed of all chance.
    pub seed: u64,
    /// What happens among the everyday traffic.
    pub story: Option<Story>,
    /// Name of the bucket.
    pub bucket: String,
    /// Id of the organization, `o-…`.
    pub organization_id: String,
    /// Whether to write digests.
    pub digests: bool,
    /// What somebody did to the bucket after the digests were signed.
    pub tamper: Vec<Tamper>,
    /// Where they did it, an account and a region; anywhere if nothing is said.
    pub tamper_in: Option<(String, String)>,
    /// Whether the trail sums up data events as well, in files of the `CloudTrail-Aggregated` tree.
    pub aggregated: bool,
    /// Whether each digest chain misses a log file, which a backfill digest lists three hours later.
    pub backfill: bool,
}

/// How many events to generate.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Volume {
    /// Events an hour on average, over all accounts and regions.
    PerHour(u64),
    /// Events altogether, exactly.
    Total(u64),
}

/// What happens among the everyday traffic.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Story {
    /// A leaked access key on the second day, and what follows from it.
    Intrusion,
}

impl Default for Options {
    fn default() -> Self {
        Self {
            accounts: 3,
            regions: ["us-east-1", "eu-west-1", "eu-central-1"].map(str::to_owned).to_vec(),
            start: NaiveDate::from_ymd_opt(2026, 3, 2).unwrap_or_default(),
            days: 3,
            volume: Volume::PerHour(120),
            seed: 1,
            story: None,
            bucket: "example-books-cloudtrail".to_owned(),
            organization_id: "o-exampleorgid".to_owned(),
            digests: true,
            tamper: Vec::new(),
            tamper_in: None,
            aggregated: false,
            backfill: false,
        }
    }
}

/// The account and region of `sample-logs/` where two log files were tampered with. The intrusion that
/// the logs tell of is elsewhere.
const SAMPLE_TAMPERED: (&str, &str) = ("777788889999", "eu-west-1");

impl Options {
    /// Returns the options that `sample-logs/` was generated with: an intrusion, and in one account and
    /// region a log file that somebody has changed and one that somebody has deleted.
    pub fn sample() -> Self {
        let (account, region) = SAMPLE_TAMPERED;
        Self {
            story: Some(Story::Intrusion),
            tamper: vec![Tamper::ModifyLog, Tamper::DeleteLog],
            tamper_in: Some((account.to_owned(), region.to_owned())),
            ..Self::default()
        }
    }

    /// Checks that the options make sense together; [`generate`] does it too.
    pub fn check(&self) -> Result<()> {
        ensure!(
            (1..=MAX_ACCOUNTS).contains(&self.accounts),
            "the number of accounts must be 1 to {MAX_ACCOUNTS}, not {}",
            self.accounts
        );
        ensure!((1..=3660).contains(&self.days), "the number of days must be 1 to 3660, not {}", self.days);
        let year = chrono::Datelike::year(&self.start);
        ensure!(
            (2000..=2100).contains(&year),
            "the first day must be in the years 2000 to 2100, not {}",
            self.start
        );
        let is_region = |region: &String| {
            let fine = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'-';
            !region.is_empty() && region.bytes().all(fine)
        };
        for (index, region) in self.regions.iter().enumerate() {
            ensure!(is_region(region), "{region:?} is not the name of a region, such as eu-west-1");
            ensure!(!self.regions[..index].contains(region), "region {region} is given twice");
        }
        let plain = |text: &str| {
            !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"-.".contains(&byte))
        };
        ensure!(plain(&self.bucket), "{:?} is not the name of a bucket", self.bucket);
        let id = self.organization_id.strip_prefix("o-").unwrap_or_default();
        ensure!(
            plain(id) && id.bytes().all(|byte| byte.is_ascii_alphanumeric()),
            "{:?} is not the id of an organization, such as o-exampleorgid",
            self.organization_id
        );
        if self.story == Some(Story::Intrusion) {
            ensure!(
                self.accounts >= 3 && self.days >= 2,
                "the story `intrusion` needs at least 3 accounts and 2 days"
            );
        }
        ensure!(
            self.digests || self.tamper.is_empty(),
            "without digests nobody could find what was tampered with"
        );
        ensure!(self.digests || !self.backfill, "without digests there is nothing to backfill");
        ensure!(
            self.tamper_in.is_none() || !self.tamper.is_empty(),
            "where to tamper is said, and not how: name a kind of tampering"
        );
        Ok(())
    }
}

/// One object of the bucket.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct GeneratedObject {
    /// Its key.
    pub key: String,
    /// Its bytes, gzip.
    pub bytes: Vec<u8>,
    /// Its user metadata; digests have their signature there.
    pub metadata: BTreeMap<String, String>,
    /// How many records are in it; none in a digest.
    pub records: u64,
}

/// What was generated.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Summary {
    /// Records in log files.
    pub events: u64,
    /// Log files.
    pub log_files: u64,
    /// Digests.
    pub digests: u64,
    /// Bytes of all objects as stored.
    pub bytes: u64,
    /// What was done to the bucket afterwards.
    pub tampered: Vec<Tampered>,
}

/// Generates a bucket, handing each object to `put` as it is made, roughly in the order in which
/// CloudTrail would have written them.
pub fn generate(
    options: &Options,
    key: &SigningKey,
    mut put: impl FnMut(GeneratedObject) -> Result<()>,
) -> Result<Summary> {
    options.check()?;
    let mut summary = Summary::default();
    let mut tamperer = tamper::Tamperer::new(options);
    let mut count = |object: GeneratedObject| {
        summary.events += object.records;
        summary.bytes += object.bytes.len() as u64;
        if object.metadata.is_empty() {
            summary.log_files += 1;
        } else {
            summary.digests += 1;
        }
        put(object)
    };
    plan::run(options, key, |object| {
        for object in tamperer.take(object)? {
            count(object)?;
        }
        Ok(())
    })?;
    for object in tamperer.finish()? {
        count(object)?;
    }
    summary.tampered = tamperer.done;
    Ok(summary)
}
