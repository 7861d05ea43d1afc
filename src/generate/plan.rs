//! Decides when and where how much happens, and has it written: five-minute slot after slot, each
//! account and region of it, digests every hour.

use super::delivery::{Chain, FileWriter};
use super::record::iso_time;
use super::rng::Rng;
use super::signing::SigningKey;
use super::story::{self, StoryEvent};
use super::traffic::{Scene, write_event};
use super::world::World;
use super::{GeneratedObject, Options, Volume, rare};
use crate::object::Tree;
use anyhow::Result;
use chrono::Datelike as _;
use std::collections::VecDeque;

/// CloudTrail delivers about every five minutes.
pub(super) const SLOT: i64 = 300;
const SLOTS_PER_DAY: i64 = 288;

/// Everyday traffic comes in bursts of about this many events where it is thin. A small organization works
/// by cron jobs and deployments, and a file with a single event is rare.
const BURST: u64 = 22;

/// Activity by hour (UTC) of a European working day.
const WEEKDAY: [u64; 24] =
    [5, 5, 6, 5, 5, 6, 8, 11, 15, 17, 17, 16, 14, 16, 17, 16, 15, 13, 10, 8, 7, 7, 6, 5];
const WEEKEND: u64 = 5;

/// One account in one region.
struct Cell {
    account: usize,
    region: usize,
    weight: u64,
    chain: Chain,
    /// Events of the story that are not delivered yet, in order.
    story: VecDeque<StoryEvent>,
}

/// Generates everything, object by object.
pub(super) fn run(
    options: &Options,
    key: &SigningKey,
    mut put: impl FnMut(GeneratedObject) -> Result<()>,
) -> Result<()> {
    let world = World::new(options);
    let start = options.start.and_hms_opt(0, 0, 0).unwrap_or_default().and_utc().timestamp();
    let mut cells = cells(&world, options, start);
    let story = options.story.map_or_else(Vec::new, |_| story::intrusion(&world, options, start));
    let story_length = story.len() as u64;
    for event in story {
        if let Some(cell) = cells.iter_mut().find(|cell| (cell.account, cell.region) == event.place) {
            cell.story.push_back(event);
        }
    }
    let mut traffic = Traffic::new(options, story_length);
    let mut files = FileWriter::new(options.seed);

    let slots = i64::from(options.days) * SLOTS_PER_DAY;
    for slot in 1..slots {
        let name_time = start + slot * SLOT;
        let counts = traffic.counts(slot, &cells, options.seed);
        for (cell, count) in cells.iter_mut().zip(counts) {
            let Options { seed, aggregated, .. } = *options;
            let place = Place { world: &world, start, name_time, seed, aggregated };
            deliver(&place, cell, count, &mut files, &mut put)?;
        }
        let hour_ends = (slot + 1) % 12 == 0;
        if options.digests && hour_ends {
            for cell in &mut cells {
                put(cell.chain.close_hour(&world, name_time + SLOT, key)?)?;
                if let Some(backfill) = cell.chain.backfill(&world, name_time + SLOT, key)? {
                    put(backfill)?;
                }
            }
        }
    }
    Ok(())
}

fn cells(world: &World, options: &Options, start: i64) -> Vec<Cell> {
    let mut cells = Vec::new();
    for (account, details) in world.accounts.iter().enumerate() {
        for (region, name) in world.regions.iter().enumerate() {
            let mut chain = Chain::new(options.seed, details.id.clone(), name.clone(), start);
            if options.backfill {
                // Early enough for the backfill digest to come before the end.
                chain.miss_one_from(start + i64::from(options.days) * 86_400 / 3);
            }
            cells.push(Cell {
                account,
                region,
                weight: world.weight(details, name),
                chain,
                story: VecDeque::new(),
            });
        }
    }
    cells
}

/// When and in which world a file is delivered.
struct Place<'a> {
    world: &'a World,
    start: i64,
    name_time: i64,
    seed: u64,
    aggregated: bool,
}

/// Writes the log files of one cell in one slot.
fn deliver(
    place: &Place,
    cell: &mut Cell,
    mut count: u64,
    files: &mut FileWriter,
    put: &mut impl FnMut(GeneratedObject) -> Result<()>,
) -> Result<()> {
    let Place { world, start, name_time, seed, aggregated } = *place;
    let stream = [name_time.unsigned_abs(), cell.account as u64, cell.region as u64];
    let mut rng = Rng::new(seed, &stream);
    let (account, region) = (&world.accounts[cell.account], &world.regions[cell.region]);
    let mut due = Vec::new();
    while cell.story.front().is_some_and(|event| event.delivered_at() <= name_time) {
        due.extend(cell.story.pop_front());
    }
    due.sort_by_key(|event| event.time);
    for tree in [Tree::Insight, Tree::NetworkActivity, Tree::Aggregated] {
        let mut texts: Vec<StoryEvent> = Vec::new();
        due.retain(|event| {
            if event.tree == tree {
                texts.push(event.clone());
            }
            event.tree != tree
        });
        if tree == Tree::NetworkActivity && count > 0 && rng.one_in(60) {
            let time = (name_time - 140).max(start);
            texts.push(rare::network_activity(world, cell.account, cell.region, time, &mut rng));
            count -= 1;
        }
        if tree == Tree::Aggregated && aggregated && count > 1 {
            // Draws of its own, so that the rest is the same with and without.
            let mut rng = Rng::new(seed, &[11, stream[0], stream[1], stream[2]]);
            texts.push(rare::aggregated(world, (cell.account, cell.region), name_time, &mut rng));
            count -= 1;
        }
        if !texts.is_empty() {
            files.begin();
            for event in &texts {
                files.push_text(event.time, &event.text);
            }
            put(files.finish(world, &mut cell.chain, tree, name_time, &mut rng)?)?;
        }
    }

    let mut times = event_times(start, name_time, count, &mut rng);
    let mut due = due.into_iter().peekable();
    while !times.is_empty() || due.peek().is_some() {
        files.begin();
        // CloudTrail writes several files for one slot where much happens.
        let limit = 200 + rng.index(400);
        let rest = times.split_off(times.len().min(limit));
        for time in times {
            while let Some(event) = due.next_if(|event| event.time <= time) {
                files.push_text(event.time, &event.text);
            }
            let scene = Scene { world, account, region, time };
            files.push(time, |out| write_event(scene, &mut rng, out));
        }
        if rest.is_empty() {
            for event in due.by_ref() {
                files.push_text(event.time, &event.text);
            }
        }
        times = rest;
        put(files.finish(world, &mut cell.chain, Tree::CloudTrail, name_time, &mut rng)?)?;
    }
    Ok(())
}

/// Draws the times of events in a file of that name: up to ten minutes before, mostly two to six, in order
/// in three files of four.
fn event_times(start: i64, name_time: i64, count: u64, rng: &mut Rng) -> Vec<i64> {
    let mut draw = |limit| rng.seconds(limit);
    let mut times: Vec<i64> =
        (0..count).map(|_| (name_time - 35 - draw(280) - draw(280)).max(start)).collect();
    times.sort_unstable();
    if times.len() > 2 && rng.one_in(4) {
        let at = rng.index(times.len() - 1);
        times.swap(at, at + 1);
    }
    times
}

/// Spreads the everyday events over the slots: by hour of the day, exactly as many as asked for.
struct Traffic {
    total: u64,
    first_weekday: i64,
    days: i64,
    /// Sum of the weights of all slots, and of those before the current one.
    all: u64,
    passed: u64,
    handed_out: u64,
}

impl Traffic {
    fn new(options: &Options, story_length: u64) -> Self {
        let days = i64::from(options.days);
        let total = match options.volume {
            Volume::PerHour(rate) => rate.saturating_mul(24 * u64::from(options.days)),
            Volume::Total(total) => total.saturating_sub(story_length),
        };
        let first_weekday = i64::from(options.start.weekday().num_days_from_monday());
        let mut this = Self { total, first_weekday, days, all: 0, passed: 0, handed_out: 0 };
        this.all = (1..days * SLOTS_PER_DAY).map(|slot| this.weight(slot)).sum();
        this
    }

    fn weight(&self, slot: i64) -> u64 {
        let weekday = (self.first_weekday + slot / SLOTS_PER_DAY) % 7;
        let hour = usize::try_from(slot % SLOTS_PER_DAY / 12).unwrap_or(0);
        if weekday < 5 { WEEKDAY[hour] } else { WEEKEND }
    }

    /// Returns how many events each cell gets in a slot. Must be called slot after slot.
    fn counts(&mut self, slot: i64, cells: &[Cell], seed: u64) -> Vec<u64> {
        self.passed += self.weight(slot);
        let is_last = slot == self.days * SLOTS_PER_DAY - 1;
        let due = u128::from(self.total) * u128::from(self.passed) / u128::from(self.all);
        let due = u64::try_from(due).unwrap_or(u64::MAX);
        let due = if is_last { self.total } else { due - due % BURST };
        let count = due.saturating_sub(self.handed_out);
        self.handed_out += count;

        let mut counts = vec![0; cells.len()];
        if count == 0 {
            return counts;
        }
        let mut rng = Rng::new(seed, &[7, slot.unsigned_abs()]);
        // Dense traffic goes everywhere by weight; thin traffic to as few cells as make whole bursts.
        let bursts = count.div_ceil(BURST);
        let (mut left, per_burst) = (count, count.div_ceil(bursts));
        for _ in 0..bursts {
            let cell = rng.weighted(cells.iter().map(|cell| cell.weight));
            counts[cell] += per_burst.min(left);
            left -= per_burst.min(left);
        }
        counts
    }
}

/// Returns the first and last moment of all that is generated, as text.
pub(super) fn span(options: &Options) -> (String, String) {
    let start = options.start.and_hms_opt(0, 0, 0).unwrap_or_default().and_utc().timestamp();
    (iso_time(start), iso_time(start + i64::from(options.days) * 86_400))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::generate::Volume;

    #[test]
    fn the_slots_add_up_to_exactly_what_was_asked_for() {
        for total in [0, 1, 1000, 123_457] {
            let options = Options { volume: Volume::Total(total), ..Options::default() };
            let world = World::new(&options);
            let cells = cells(&world, &options, 0);
            let mut traffic = Traffic::new(&options, 0);
            let slots = i64::from(options.days) * SLOTS_PER_DAY;
            let sum: u64 = (1..slots).flat_map(|slot| traffic.counts(slot, &cells, 1)).sum();
            assert_eq!(sum, total);
        }
    }

    #[test]
    fn events_lie_in_the_ten_minutes_before_the_file() {
        let times = event_times(0, 6000, 500, &mut Rng::new(1, &[]));
        assert!(times.iter().all(|time| (5400..=5965).contains(time)), "{times:?}");
        assert!(event_times(5900, 6000, 50, &mut Rng::new(1, &[])).iter().all(|time| *time >= 5900));
    }
}
