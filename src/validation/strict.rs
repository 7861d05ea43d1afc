//! What the AWS CLI does not check: digests that it never comes to, links to the digest before, hours that no
//! digest covers, log files that no digest lists, and what else lies among the digests.

use std::collections::BTreeSet;

use chrono::{DateTime, Datelike as _, NaiveDate, TimeDelta, Utc};

use super::coverage::Coverage;
use super::fetched::Checked;
use super::finding::{Kind, Verdict};
use super::keys::Keys;
use super::run::{Fatal, Producer, Stop};
use super::seen::{Fact, Seen};
use super::walk::{Loaded, Walker};
use crate::object::{DigestKey, LogKey, ObjectKind, ObjectRef};

/// A digest is delivered within two hours after its own: until then its hour may still be covered.
const DELIVERED_WITHIN: TimeDelta = TimeDelta::hours(2);

/// Makes the strict checks of a target, and says which hours valid digests cover.
pub(super) async fn check(producer: &Producer, seen: Seen) -> Result<(Coverage, Keys), Stop> {
    let mut walker = Walker::beyond(producer, seen);
    let listed = list(producer).await?;
    for object in listed.others {
        let mut finding = producer.finding(Kind::Other, Some(object), Verdict::Unlisted);
        finding.reason = Some("no digest, and yet in the folder of the digests".to_owned());
        finding.strict_only = true;
        producer.found(finding).await?;
    }
    let mut keys = all_keys(producer, walker.seen()).await?;
    check_unseen(&mut walker, listed.ours, &mut keys, producer.options.start).await?;
    check_links(producer, walker.seen()).await?;
    let covered = covered(walker.seen());
    tell_gaps(producer, walker.seen(), &covered).await?;
    for object in listed.of_other_trails {
        walker.take_inventory(&object, &mut keys).await?;
    }
    check_unlisted(producer, walker.seen(), &covered).await?;
    Ok((covered.within(producer.options.start, producer.options.end), keys))
}

/// Digests of the folder in the time asked for.
#[derive(Default)]
struct Listed {
    ours: BTreeSet<ObjectRef>,
    of_other_trails: Vec<ObjectRef>,
    others: Vec<ObjectRef>,
}

async fn list(producer: &Producer) -> Result<Listed, Stop> {
    let (target, options) = (&producer.target, &producer.options);
    let mut listed = Listed::default();
    let (first, last) = (options.start, options.end + TimeDelta::hours(1));
    let mut digests = |object: ObjectRef| match ObjectKind::of(&object.key) {
        ObjectKind::Digest(key) if key.end_time < first || key.end_time > last => {}
        ObjectKind::Digest(key) if key.trail == target.trail && key.home_region == target.home_region => {
            listed.ours.insert(object);
        }
        ObjectKind::Digest(_) => listed.of_other_trails.push(object),
        ObjectKind::Folder => {}
        ObjectKind::Log(_) | ObjectKind::Other => listed.others.push(object),
    };
    let days = (first.date_naive(), last.date_naive());
    list_days(producer, &target.bucket, &target.digest_folder(), days, &mut digests).await?;
    Ok(listed)
}

/// Lists the folders of some days below a folder of digests or log files.
async fn list_days(
    producer: &Producer,
    bucket: &str,
    folder: &str,
    (first, last): (NaiveDate, NaiveDate),
    take: &mut (impl FnMut(ObjectRef) + Send),
) -> Result<(), Stop> {
    let day = |day: NaiveDate| format!("{folder}/{}", day.format("%Y/%m/%d"));
    let prefix = format!("{folder}/{}", common_start(first, last));
    // After the last day come keys that are greater than anything in its folder.
    let end = format!("{}0", day(last));
    let (source, marker) = (&producer.context.bucket, day(first));
    let mut pages =
        source.list(bucket, &prefix, &marker, false).await.map_err(|error| Fatal::access(&error))?;
    while let Some(page) = pages.next().await.map_err(|error| Fatal::access(&error))? {
        for key in page.keys {
            if key > end {
                return Ok(());
            }
            take(ObjectRef::new(bucket, key));
        }
    }
    Ok(())
}

fn common_start(first: NaiveDate, last: NaiveDate) -> String {
    if first == last {
        return first.format("%Y/%m/%d/").to_string();
    }
    if (first.year(), first.month()) == (last.year(), last.month()) {
        return first.format("%Y/%m/").to_string();
    }
    if first.year() == last.year() { first.format("%Y/").to_string() } else { String::new() }
}

/// The keys of the walk, and those of the time asked for if it did not get to ask.
async fn all_keys(producer: &Producer, seen: &Seen) -> Result<Keys, Stop> {
    if !seen.keys.is_empty() || !producer.signed() {
        return Ok(seen.keys.clone());
    }
    let (start, end) = (producer.options.start, producer.options.end + TimeDelta::hours(2));
    let keys = producer.context.keys.between(producer.key_region(), start, end).await;
    Ok(keys.map_err(|error| Fatal::access(&error))?)
}

/// Looks at every digest that the walk did not come to, and at those that they link to.
async fn check_unseen(
    walker: &mut Walker<'_>,
    listed: BTreeSet<ObjectRef>,
    keys: &mut Keys,
    start: DateTime<Utc>,
) -> Result<(), Stop> {
    let linked = |checked: &Checked| checked.previous.clone().filter(|_| checked.start >= start);
    let mut waiting: Vec<ObjectRef> = listed.into_iter().collect();
    waiting.extend(walker.seen().digests.values().filter_map(|fact| match fact {
        Fact::Holds(checked) => linked(checked),
        Fact::Fails | Fact::Missing => None,
    }));
    while let Some(object) = waiting.pop() {
        if walker.seen().digests.contains_key(&object) {
            continue;
        }
        let backfill = super::target::is_backfill(&object.key);
        match walker.load(&object, keys, backfill).await? {
            Loaded::Holds(checked) => {
                waiting.extend(linked(&checked));
                match walker.holds(&object, &checked, backfill).await {
                    Err(Stop::Fatal(fatal)) if fatal.in_data => {}
                    other => other?,
                }
            }
            other => walker.fails(&object, other, backfill).await?,
        }
    }
    Ok(())
}

/// Holds each link against the digest that it leads to.
async fn check_links(producer: &Producer, seen: &Seen) -> Result<(), Stop> {
    for (object, checked) in valid(seen) {
        let mut finding = producer.finding(Kind::Link, Some(object.clone()), Verdict::Invalid);
        let linked = checked.previous.as_ref().and_then(|previous| seen.digests.get(previous));
        let linked = if let Some(Fact::Holds(linked)) = linked { Some(linked) } else { None };
        let broken = || broken(checked, linked?, producer.signed());
        finding.reason = checked.half_a_link.clone().or_else(broken);
        if finding.reason.is_none() {
            continue;
        }
        let start = linked.map_or(checked.start, |linked| linked.start);
        (finding.start, finding.end) = (Some(start), Some(checked.end));
        finding.digest.clone_from(&checked.previous);
        finding.expected_sha256.clone_from(&checked.previous_hash);
        finding.sha256 = linked.map(|linked| linked.hash.clone());
        finding.strict_only = true;
        producer.found(finding).await?;
    }
    Ok(())
}

/// Why a link does not fit the digest that it leads to.
fn broken(checked: &Checked, linked: &Checked, signed: bool) -> Option<String> {
    let hash = checked.previous_hash.as_ref() == Some(&linked.hash);
    let signature = !signed || checked.previous_signature == linked.signature;
    let what = if hash { "signature" } else { "SHA-256" };
    (!hash || !signature).then(|| format!("the previous digest has another {what} than this digest says"))
}

/// The digests that hold, newest first.
fn valid(seen: &Seen) -> Vec<(&ObjectRef, &Checked)> {
    fn holds<'a>((object, fact): (&'a ObjectRef, &'a Fact)) -> Option<(&'a ObjectRef, &'a Checked)> {
        match fact {
            Fact::Holds(checked) => Some((object, checked)),
            Fact::Fails | Fact::Missing => None,
        }
    }
    let mut valid: Vec<(&ObjectRef, &Checked)> = seen.digests.iter().filter_map(holds).collect();
    valid.sort_by(|a, b| b.1.end.cmp(&a.1.end).then_with(|| a.0.cmp(b.0)));
    valid
}

fn covered(seen: &Seen) -> Coverage {
    let mut covered = Coverage::default();
    for (_, checked) in valid(seen) {
        covered.add(checked.start, checked.end);
    }
    covered
}

/// Names each stretch that no valid digest covers.
async fn tell_gaps(producer: &Producer, seen: &Seen, covered: &Coverage) -> Result<(), Stop> {
    let options = &producer.options;
    let valid = valid(seen);
    for (start, end) in covered.gaps(options.start, options.end).into_iter().rev() {
        let next = valid.iter().find(|(_, checked)| checked.start == end);
        let pending = end == options.end && options.now < start + DELIVERED_WITHIN;
        let (verdict, reason) = match next {
            None if pending => (Verdict::Note, "the digest of this time is still to come".to_owned()),
            None if covered.ranges().is_empty() => (
                Verdict::Uncovered,
                "no digest covers this time: all were deleted, or log file validation was off".to_owned(),
            ),
            None => (
                Verdict::Uncovered,
                "no digest covers the end: the newest were deleted, or log file validation was off".to_owned(),
            ),
            Some((_, checked)) if checked.previous.is_none() && start == options.start => {
                (Verdict::Note, "before the first digest of the chain".to_owned())
            }
            Some((_, checked)) if checked.previous.is_none() => (
                Verdict::Uncovered,
                "the chain of digests begins again after it: logging or validation was off, or digests were deleted"
                    .to_owned(),
            ),
            Some(_) => (Verdict::Uncovered, missing_digests(seen, end - start)),
        };
        let mut finding = producer.finding(Kind::Hours, None, verdict);
        (finding.start, finding.end, finding.reason) = (Some(start), Some(end), Some(reason));
        finding.digest = next.map(|(object, _)| (*object).clone());
        finding.strict_only = true;
        producer.found(finding).await?;
    }
    Ok(())
}

fn missing_digests(seen: &Seen, length: TimeDelta) -> String {
    let hours = length.num_minutes().saturating_add(59) / 60;
    let missing = seen.digests.values().filter(|fact| matches!(fact, Fact::Missing)).count();
    let known = if missing == 0 { "" } else { ", of which the newest was deleted" };
    match hours {
        1 => "one digest of this time is missing or does not hold".to_owned(),
        hours => format!("{hours} digests of this time are missing or do not hold{known}"),
    }
}

/// Looks for log files that no valid digest lists, where digests cover their time and the two hours after it.
async fn check_unlisted(producer: &Producer, seen: &Seen, covered: &Coverage) -> Result<(), Stop> {
    let target = &producer.target;
    let own = format!("{}/CloudTrail/{}", target.account_folder(), target.region);
    let mut folders = seen.log_files.folders().clone();
    folders.insert((target.bucket.clone(), own));
    let days = (producer.options.start.date_naive(), producer.options.end.date_naive());
    for (bucket, folder) in folders {
        let mut unlisted = Vec::new();
        let mut take = |object: ObjectRef| {
            if seen.log_files.contains(&object) {
                return;
            }
            match ObjectKind::of(&object.key) {
                ObjectKind::Log(LogKey { time, .. }) if covered.contains(time, time + DELIVERED_WITHIN) => {
                    unlisted.push((object, Kind::LogFile, Some(time)));
                }
                ObjectKind::Log(_) | ObjectKind::Folder => {}
                ObjectKind::Digest(_) | ObjectKind::Other => unlisted.push((object, Kind::Other, None)),
            }
        };
        list_days(producer, &bucket, &folder, days, &mut take).await?;
        for (object, kind, time) in unlisted {
            let mut finding = producer.finding(kind, Some(object), Verdict::Unlisted);
            let log = "no digest lists it, and digests cover its time";
            let other = "no log file of CloudTrail's, and yet in their folder";
            finding.reason = Some(if kind == Kind::LogFile { log } else { other }.to_owned());
            finding.strict_only = true;
            (finding.start, finding.end) = (time, time.map(|time| time + TimeDelta::minutes(1)));
            producer.found(finding).await?;
        }
    }
    Ok(())
}

/// The trail that a digest's key names.
pub(super) fn trail_of(key: &DigestKey) -> (String, String) {
    (key.trail.clone(), key.home_region.clone())
}
