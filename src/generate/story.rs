//! The story `intrusion`: a leaked access key and what follows from it, on the second day.
//!
//! `sample-logs/README.md` tells it with its times, keys and addresses. Names that an investigator meets
//! again and again are constants here, so that the story stays of one piece.

mod defenders;
mod intruder;

use super::GLOBAL_REGION;
use super::record::Record;
use super::rng::Rng;
use super::world::{self, World};
use crate::object::Tree;

/// The user in the management account whose key leaks.
const CI_USER: &str = "ci-deploy";
/// The key that leaks.
const CI_KEY: &str = "AKIACIDEPLOY7EXAMPLE";
/// The key that replaces it.
const NEW_CI_KEY: &str = "AKIACIDEPLOY6EXAMPLE";
/// The administrator for whom the intruder makes a key.
const ADMIN_USER: &str = "rosa.admin";
/// The key that the intruder makes.
const ADMIN_KEY: &str = "AKIAROSAADMN7EXAMPLE";
/// The temporary key of the intruder's session in the production account.
const SESSION_KEY: &str = "ASIAROSAMNT77EXAMPLE";
const SESSION_NAME: &str = "rosa-maintenance";
const ACCESS_ROLE: &str = "OrganizationAccountAccessRole";
/// Where the intruder comes from, on the command line and in the browser.
const INTRUDER: &str = "203.0.113.66";
const INTRUDER_BROWSER: &str = "2001:db8:66:6::1f";
/// Who takes the snapshot.
const FOREIGN_ACCOUNT: &str = "999900001111";
/// The production account's own trail, which the intruder stops.
const ACCOUNT_TRAIL: &str = "orders-trail";
const SNAPSHOT: &str = "snap-0bad5eed0000example";
const DETECTOR: &str = "12abc34d567e8fa901bc2d34EXAMPLE0";

const MANAGEMENT: usize = 0;
const PRODUCTION: usize = 1;

/// An event with its place in the order of deliveries.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct StoryEvent {
    /// Index of account and region.
    pub(super) place: (usize, usize),
    pub(super) tree: Tree,
    pub(super) time: i64,
    /// The record.
    pub(super) text: String,
    /// Seconds that CloudTrail takes beyond the usual ones.
    pub(super) delay: i64,
}

impl StoryEvent {
    /// Returns when CloudTrail has the event ready: one to four minutes after it.
    pub(super) fn delivered_at(&self) -> i64 {
        self.time + 60 + self.time % 180 + self.delay
    }
}

/// Returns all events of the story, in the order of their delivery.
pub(super) fn intrusion(world: &World, options: &super::Options, start: i64) -> Vec<StoryEvent> {
    let rng = Rng::new(options.seed, &[u64::MAX, u64::MAX]);
    let mut teller = Teller { world, start, rng, events: Vec::new() };
    for day in 0..i64::from(options.days) {
        defenders::continuous_integration(&mut teller, day);
    }
    intruder::act(&mut teller);
    defenders::respond(&mut teller);
    let mut events = teller.events;
    events.sort_by_key(|event| (event.delivered_at(), event.time));
    events
}

/// Who acts, and with what.
#[derive(Debug, Clone)]
struct Caller {
    /// JSON of `userIdentity`.
    identity: String,
    address: &'static str,
    agent: &'static str,
    from_console: bool,
}

/// Collects the events.
struct Teller<'a> {
    world: &'a World,
    start: i64,
    rng: Rng,
    events: Vec<StoryEvent>,
}

impl Teller<'_> {
    /// Returns a moment; day 1 is the second, when most of the story happens.
    fn at(&self, day: i64, hour: i64, minute: i64, second: i64) -> i64 {
        self.start + day * 86_400 + hour * 3600 + minute * 60 + second
    }

    fn global_region(&self) -> usize {
        self.region(GLOBAL_REGION)
    }

    fn main_region(&self) -> usize {
        self.region(&self.world.main_region)
    }

    fn region(&self, name: &str) -> usize {
        self.world.regions.iter().position(|region| region == name).unwrap_or(0)
    }

    fn account(&self, account: usize) -> &str {
        &self.world.accounts[account].id
    }

    fn main_region_name(&self) -> &str {
        &self.world.main_region
    }

    /// Writes an event; `record` says what, the rest is filled in.
    #[expect(clippy::large_types_passed_by_value, reason = "callers build it in place")]
    fn tell(&mut self, place: (usize, usize), time: i64, caller: &Caller, record: Record) {
        let (account, region) = (&self.world.accounts[place.0].id, &self.world.regions[place.1]);
        let host = match record.source {
            "iam" => "iam.amazonaws.com".to_owned(),
            source => format!("{source}.{region}.amazonaws.com"),
        };
        let mut text = String::with_capacity(1500);
        let record = Record {
            identity: &caller.identity,
            time,
            region,
            account,
            address: caller.address,
            agent: caller.agent,
            tls_host: if record.tls_host.is_empty() { &host } else { record.tls_host },
            from_console: caller.from_console,
            ..record
        };
        record.write(&mut text, &mut self.rng);
        self.events.push(StoryEvent { place, tree: Tree::CloudTrail, time, text, delay: 0 });
    }
}

/// A call with its request, which is JSON.
fn call<'a>(source: &'a str, name: &'a str, request: &'a str) -> Record<'a> {
    let read_only = ["Get", "List", "Describe", "Lookup"].iter().any(|start| name.starts_with(start))
        || name == "AssumeRole";
    Record { request, read_only, ..Record::call(source, name) }
}

fn ci_identity(world: &World, key: &str) -> String {
    world::user(&world.accounts[MANAGEMENT].id, CI_USER, "AIDACIDEPLOYUSEREXAMPLE", key)
}
