//! What the verdicts are, and that neither order nor repetition of the facts matters.

use chrono::{DateTime, TimeDelta, Utc};
use proptest::prelude::*;

use super::evidence::Evidence;
use super::fact::{DigestFact, Link, LogFileFact, Mark};
use super::gaps::{Why, gaps};
use super::state::{Reason, State, Verdict};
use crate::lake::{DigestStatus, ListedLogFile, Status};

const ACCOUNT: &str = "111122223333";
const REGION: &str = "eu-west-1";

fn midnight() -> DateTime<Utc> {
    "2026-03-02T00:00:00Z".parse().unwrap()
}

fn at(hours: f64) -> DateTime<Utc> {
    #[expect(clippy::cast_possible_truncation, reason = "small")]
    let seconds = (hours * 3600.0).round() as i64;
    midnight() + TimeDelta::seconds(seconds)
}

fn hash(seed: u8) -> [u8; 32] {
    [seed; 32]
}

fn log_file(hours: f64, name: &str) -> String {
    let time = at(hours);
    let (day, minute) = (time.format("%Y/%m/%d"), time.format("%Y%m%dT%H%MZ"));
    format!(
        "s3://logs/AWSLogs/{ACCOUNT}/CloudTrail/{REGION}/{day}/{ACCOUNT}_CloudTrail_{REGION}_{minute}_{name}.json.gz"
    )
}

fn ledger(log_file: &str, seed: u8) -> LogFileFact {
    LogFileFact {
        log_file: log_file.to_owned(),
        sha256: Some(hash(seed)),
        status: Status::Committed,
        missing: false,
        revision: 0,
    }
}

fn digest_key(trail: &str, end: f64) -> String {
    let (day, time) = (at(end).format("%Y/%m/%d"), at(end).format("%Y%m%dT%H%M%SZ"));
    format!(
        "AWSLogs/{ACCOUNT}/CloudTrail-Digest/{REGION}/{day}/{ACCOUNT}_CloudTrail-Digest_{REGION}_{trail}_us-east-1_{time}.json.gz"
    )
}

fn mark(trail: &str, end: f64) -> Mark {
    Mark::of(&digest_key(trail, end))
}

type Fact = (DigestFact, Vec<ListedLogFile>);

/// The digest of the hour before `end`, linked to the one before unless it is the first of a chain.
fn digest(trail: &str, end: f64, first: bool, listed: &[(&str, u8)]) -> Fact {
    let link = Link {
        bucket: "logs".to_owned(),
        key: digest_key(trail, end - 1.0),
        hash_value: Some(mark(trail, end - 1.0)),
        signature: Some(mark(trail, end - 1.0)),
    };
    let fact = DigestFact {
        digest: format!("s3://logs/{}", digest_key(trail, end)),
        account: ACCOUNT.to_owned(),
        region: REGION.to_owned(),
        trail: trail.to_owned(),
        home_region: "us-east-1".to_owned(),
        start: Some(at(end - 1.0)),
        end: at(end),
        status: DigestStatus::Valid,
        hash_value: Some(mark(trail, end)),
        signature: Some(mark(trail, end)),
        previous: (!first).then_some(link),
        checked_at: None,
    };
    let listed = listed.iter().map(|(log_file, seed)| ListedLogFile {
        log_file: (*log_file).to_owned(),
        hash_value: crate::hex::encode(&hash(*seed)),
    });
    (fact, listed.collect())
}

fn with_status(mut fact: Fact, status: DigestStatus) -> Fact {
    fact.0.status = status;
    if status == DigestStatus::Missing {
        (fact.0.start, fact.0.previous, fact.0.hash_value, fact.0.signature) = (None, None, None, None);
        fact.1.clear();
    }
    fact
}

/// A chain of digests for the hours up to each of 1 to `hours`, of which that of hour 3 lists the file.
fn chain(hours: u8, listed: &[(&str, u8)]) -> Vec<Fact> {
    (1..=hours)
        .map(|end| digest("t", f64::from(end), end == 1, if end == 3 { listed } else { &[] }))
        .collect()
}

fn judge(facts: Vec<Fact>, file: &LogFileFact, now: f64) -> Verdict {
    let mut evidence = Evidence::default();
    evidence.extend(facts);
    evidence.judge(file, at(now)).0
}

fn not(reason: Reason) -> Verdict {
    Verdict::Not(reason)
}

#[test]
fn a_valid_digest_verifies_what_it_lists_with_the_same_hash() {
    let name = log_file(2.5, "a");
    let file = ledger(&name, 1);
    assert_eq!(judge(chain(4, &[(&name, 1)]), &file, 4.0), Verdict::Verified);
    assert_eq!(judge(chain(4, &[(&name, 2)]), &file, 4.0), not(Reason::HashMismatch));
    let mut upper = chain(4, &[(&name, 0xab)]);
    upper[2].1[0].hash_value.make_ascii_uppercase();
    assert_eq!(judge(upper, &ledger(&name, 0xab), 4.0), not(Reason::HashMismatch));
}

#[test]
fn a_file_waits_for_the_digests_that_may_list_it_and_no_longer_than_a_day() {
    let file = ledger(&log_file(2.5, "a"), 1);
    assert_eq!(judge(vec![], &file, 3.0), not(Reason::NoDigestYet));
    assert_eq!(judge(vec![], &file, 26.4), not(Reason::NoDigestYet));
    assert_eq!(judge(vec![], &file, 26.6), not(Reason::NoDigest));
    // Its own hour's digest is there, but it may have been delivered in the next.
    assert_eq!(judge(chain(3, &[]), &file, 3.1), not(Reason::NoDigestYet));
    assert_eq!(judge(chain(4, &[]), &file, 4.1), not(Reason::NoDigestYet));
    assert_eq!(judge(chain(5, &[]), &file, 5.1), not(Reason::NotListed));
    // The trail was deleted.
    assert_eq!(judge(chain(3, &[]), &file, 50.0), not(Reason::NoDigest));
}

#[test]
fn a_file_from_before_the_first_digest_is_uncovered() {
    let file = ledger(&log_file(0.5, "a"), 1);
    let later = vec![digest("t", 4.0, true, &[]), digest("t", 5.0, false, &[])];
    assert_eq!(judge(later.clone(), &file, 5.0), not(Reason::NoDigest));
    // If the first that is known is no beginning, others may come.
    assert_eq!(judge(later[1..].to_vec(), &file, 5.0), not(Reason::NoDigestYet));
    assert_eq!(judge(later[1..].to_vec(), &file, 30.0), not(Reason::NoDigest));
}

#[test]
fn what_only_invalid_digests_list_has_a_bad_signature() {
    let name = log_file(2.5, "a");
    let mut facts = chain(6, &[(&name, 1)]);
    facts[2] = with_status(facts[2].clone(), DigestStatus::Invalid);
    assert_eq!(judge(facts.clone(), &ledger(&name, 1), 6.0), not(Reason::BadSignature));
    // Somebody struck it from the list.
    facts[2].1.clear();
    assert_eq!(judge(facts.clone(), &ledger(&name, 1), 6.0), not(Reason::BadSignature));
    // A later digest lists it after all.
    facts[3].1.extend(digest("t", 4.0, false, &[(&name, 1)]).1);
    assert_eq!(judge(facts, &ledger(&name, 1), 6.0), Verdict::Verified);
}

#[test]
fn a_digest_whose_key_is_not_found_leaves_its_files_pending_for_as_long_as_it_takes() {
    let name = log_file(2.5, "a");
    let mut facts = chain(6, &[(&name, 1)]);
    facts[2] = with_status(facts[2].clone(), DigestStatus::KeyNotFound);
    assert_eq!(judge(facts.clone(), &ledger(&name, 1), 600.0), not(Reason::KeyNotFound));
    facts.push(chain(3, &[(&name, 1)]).remove(2));
    assert_eq!(judge(facts, &ledger(&name, 1), 600.0), Verdict::Verified);
}

#[test]
fn a_missing_digest_breaks_the_chain_and_so_do_those_before_it() {
    let file = |hours: f64| ledger(&log_file(hours, "a"), 1);
    let mut facts = chain(8, &[]);
    facts[4] = with_status(facts[4].clone(), DigestStatus::Missing);
    // The one before it was deleted too, and with it the link.
    facts.remove(3);
    for hours in [3.5, 4.5] {
        assert_eq!(judge(facts.clone(), &file(hours), 9.0), not(Reason::BrokenChain), "{hours}");
    }
    assert_eq!(judge(facts.clone(), &file(5.5), 9.0), not(Reason::NotListed));
    let mut evidence = Evidence::default();
    evidence.extend(facts);
    let gaps: Vec<_> = gaps(&evidence).iter().map(|gap| (gap.from, gap.to, gap.why, gap.hours())).collect();
    assert_eq!(gaps, [(at(3.0), at(5.0), Why::Missing, 2)]);
}

#[test]
fn digests_deleted_before_one_that_does_not_hold_are_not_forgotten() {
    let mut facts = chain(12, &[]);
    facts[8] = with_status(facts[8].clone(), DigestStatus::Invalid);
    facts.drain(3..8);
    for hours in [3.5, 5.5, 8.5] {
        let file = ledger(&log_file(hours, "a"), 1);
        assert_eq!(judge(facts.clone(), &file, 90.0), not(Reason::BadSignature), "{hours}");
    }
}

#[test]
fn a_digest_that_was_replaced_proves_nothing() {
    let name = log_file(2.5, "a");
    let mut facts = chain(6, &[(&name, 1)]);
    facts[2].0.hash_value = Some(Mark::of("another"));
    assert_eq!(judge(facts.clone(), &ledger(&name, 1), 6.0), not(Reason::BrokenChain));
    assert_eq!(judge(facts.clone(), &ledger(&log_file(2.6, "b"), 1), 6.0), not(Reason::BrokenChain));
    // Nobody knows before the next digest comes.
    assert_eq!(judge(facts[..3].to_vec(), &ledger(&name, 1), 6.0), Verdict::Verified);
    facts[2] = chain(3, &[(&name, 1)]).remove(2);
    facts[2].0.signature = Some(Mark::of("another"));
    assert_eq!(judge(facts, &ledger(&name, 1), 6.0), not(Reason::BrokenChain));
}

#[test]
fn a_file_that_is_listed_and_gone_was_deleted() {
    let name = log_file(2.5, "a");
    let gone = LogFileFact { sha256: None, status: Status::Quarantined, missing: true, ..ledger(&name, 1) };
    assert_eq!(judge(chain(4, &[(&name, 1)]), &gone, 4.0), not(Reason::Deleted));
    let unreadable = LogFileFact { missing: false, ..gone.clone() };
    assert_eq!(judge(chain(4, &[(&name, 1)]), &unreadable, 4.0), not(Reason::Unreadable));
    assert_eq!(judge(chain(6, &[]), &gone, 6.0), not(Reason::NotListed));
    // It was found after all.
    let found = LogFileFact { revision: 1, ..ledger(&name, 1) };
    assert_eq!(judge(chain(4, &[(&name, 1)]), &gone.newer(found), 4.0), Verdict::Verified);
}

#[test]
fn with_two_trails_any_listing_suffices_and_all_must_deny() {
    let (name, other) = (log_file(2.5, "a"), log_file(2.6, "b"));
    let second = |ends: std::ops::RangeInclusive<u8>, listed: &[(&str, u8)]| -> Vec<Fact> {
        let list = |end: u8| if end == 3 { listed } else { &[] };
        ends.map(|end| digest("second", f64::from(end), end == 1, list(end))).collect()
    };
    let both = [chain(6, &[]), second(1..=6, &[(&name, 1)])].concat();
    assert_eq!(judge(both.clone(), &ledger(&name, 1), 6.0), Verdict::Verified);
    assert_eq!(judge(both, &ledger(&other, 1), 6.0), not(Reason::NotListed));
    // The second trail's digests are late, or broken: the first trail says nothing of its files.
    let late = [chain(6, &[]), second(1..=2, &[])].concat();
    assert_eq!(judge(late, &ledger(&other, 1), 6.0), not(Reason::NoDigestYet));
    let mut broken = second(1..=6, &[]);
    broken[2] = with_status(broken[2].clone(), DigestStatus::Missing);
    assert_eq!(judge([chain(6, &[]), broken].concat(), &ledger(&other, 1), 6.0), not(Reason::BrokenChain));
}

#[test]
fn digests_of_another_bucket_or_account_have_no_say_but_by_address() {
    let name = log_file(2.5, "a");
    let mut facts = chain(6, &[]);
    for (digest, _) in &mut facts {
        digest.digest = digest.digest.replace("s3://logs/", "s3://others/");
    }
    assert_eq!(judge(facts.clone(), &ledger(&name, 1), 6.0), not(Reason::NoDigestYet));
    facts[3].1.extend(digest("t", 4.0, false, &[(&name, 1)]).1);
    assert_eq!(judge(facts, &ledger(&name, 1), 6.0), Verdict::Verified);
}

#[test]
fn a_file_whose_name_says_nothing_is_uncovered_unless_it_is_listed() {
    let file = ledger("s3://logs/copied.json.gz", 1);
    assert_eq!(judge(chain(6, &[]), &file, 6.0), not(Reason::NoKey));
    assert_eq!(judge(chain(6, &[("s3://logs/copied.json.gz", 1)]), &file, 6.0), Verdict::Verified);
}

#[test]
fn gaps_tell_why_there_is_no_valid_digest() {
    let mut facts = chain(9, &[]);
    facts[1] = with_status(facts[1].clone(), DigestStatus::Invalid);
    facts[4] = with_status(facts[4].clone(), DigestStatus::KeyNotFound);
    facts[6] = digest("t", 7.0, true, &[]);
    facts.remove(7);
    facts.remove(5);
    let mut evidence = Evidence::default();
    evidence.extend(facts);
    let gaps: Vec<_> = gaps(&evidence).iter().map(|gap| (gap.from, gap.to, gap.why)).collect();
    assert_eq!(
        gaps,
        [
            (at(1.0), at(2.0), Why::Invalid),
            (at(4.0), at(5.0), Why::KeyNotFound),
            (at(5.0), at(6.0), Why::Off),
            (at(7.0), at(8.0), Why::NotSeen),
        ]
    );
}

#[test]
fn a_verdict_is_read_as_it_is_written() {
    let all = Reason::ALL.into_iter().map(not).chain([Verdict::Verified]);
    for verdict in all {
        assert_eq!(Verdict::parse(verdict.as_str()), Some(verdict));
        assert!(!verdict.is_final() || verdict.state() != State::Pending, "{verdict:?}");
    }
    assert_eq!(Verdict::parse("pending"), None);
}

/// What happens to each hour of a trail.
#[derive(Debug, Clone, Copy)]
enum Fate {
    Valid,
    Invalid,
    Missing,
    KeyNotFound,
    KeyFoundLater,
    FoundLater,
    Unknown,
    Replaced,
    Restart,
}

fn fate() -> impl Strategy<Value = Fate> {
    prop_oneof![
        8 => Just(Fate::Valid),
        1 => Just(Fate::Invalid),
        1 => Just(Fate::Missing),
        1 => Just(Fate::KeyNotFound),
        1 => Just(Fate::KeyFoundLater),
        1 => Just(Fate::FoundLater),
        1 => Just(Fate::Unknown),
        1 => Just(Fate::Replaced),
        1 => Just(Fate::Restart),
    ]
}

/// Files by the hour in which they are written, how much later they are listed, whether they are at all,
/// with which hash.
fn files() -> impl Strategy<Value = Vec<(u8, u8, bool, bool)>> {
    prop::collection::vec((0..10_u8, 0..2_u8, prop::bool::weighted(0.9), prop::bool::weighted(0.9)), 1..20)
}

fn facts_of(fates: &[Fate], files: &[(u8, u8, bool, bool)], trail: &str) -> (Vec<Fact>, Vec<LogFileFact>) {
    let names: Vec<String> = files
        .iter()
        .enumerate()
        .map(|(number, (hour, ..))| log_file(f64::from(*hour) + 0.5, &format!("{trail}{number}")))
        .collect();
    let mut facts = Vec::new();
    for (hour, fate) in fates.iter().enumerate() {
        let listed: Vec<(&str, u8)> = files
            .iter()
            .zip(&names)
            .filter(|((written, later, listed, _), _)| *listed && usize::from(written + later) == hour)
            .map(|((.., same), name)| (name.as_str(), if *same { 1 } else { 2 }))
            .collect();
        #[expect(clippy::cast_precision_loss, reason = "small")]
        let end = hour as f64 + 1.0;
        let whole = digest(trail, end, hour == 0 || matches!(fate, Fate::Restart), &listed);
        let changed = |status| with_status(whole.clone(), status);
        match fate {
            Fate::Valid | Fate::Restart => facts.push(whole),
            Fate::Invalid => facts.push(changed(DigestStatus::Invalid)),
            Fate::Missing => facts.push(changed(DigestStatus::Missing)),
            Fate::KeyNotFound => facts.push(changed(DigestStatus::KeyNotFound)),
            Fate::KeyFoundLater => facts.extend([changed(DigestStatus::KeyNotFound), whole]),
            Fate::FoundLater => facts.extend([changed(DigestStatus::Missing), whole]),
            Fate::Replaced => {
                let mut replaced = whole;
                replaced.0.hash_value = Some(Mark::of("replaced"));
                facts.push(replaced);
            }
            Fate::Unknown => {}
        }
    }
    let ledger = names.iter().map(|name| ledger(name, 1)).collect();
    (facts, ledger)
}

fn verdicts(facts: Vec<Fact>, files: &[LogFileFact], now: f64) -> Vec<(Verdict, Option<String>)> {
    let mut evidence = Evidence::default();
    evidence.extend(facts);
    let judge = |file| {
        let (verdict, digest) = evidence.judge(file, at(now));
        (verdict, digest.map(str::to_owned))
    };
    files.iter().map(judge).collect()
}

fn world() -> impl Strategy<Value = (Vec<Fact>, Vec<LogFileFact>, f64)> {
    let trail = || (prop::collection::vec(fate(), 12), files());
    (trail(), trail(), any::<bool>(), prop_oneof![Just(6.0), Just(13.0), Just(60.0)]).prop_map(
        |((fates, files), (more_fates, more_files), two, now)| {
            let (mut facts, mut ledger) = facts_of(&fates, &files, "t");
            if two {
                let (more, others) = facts_of(&more_fates, &more_files, "second");
                facts.extend(more);
                ledger.extend(others);
            }
            (facts, ledger, now)
        },
    )
}

proptest! {
    #[test]
    fn any_order_and_any_repetition_of_facts_gives_the_same_verdicts(
        (facts, files, now) in world(), seed in any::<u64>(),
    ) {
        let expected = verdicts(facts.clone(), &files, now);
        let mut random = fastrand::Rng::with_seed(seed);
        let mut shuffled = facts.clone();
        shuffled.extend(facts.iter().filter(|_| random.bool()).cloned());
        random.shuffle(&mut shuffled);
        prop_assert_eq!(verdicts(shuffled.clone(), &files, now), expected.clone());
        // In two parts, as they come.
        let mut evidence = Evidence::default();
        let later = shuffled.split_off(shuffled.len() / 2);
        evidence.extend(shuffled);
        evidence.extend(later);
        let parts: Vec<Verdict> = files.iter().map(|file| evidence.judge(file, at(now)).0).collect();
        prop_assert_eq!(parts, expected.into_iter().map(|(verdict, _)| verdict).collect::<Vec<_>>());
    }

    #[test]
    fn any_change_of_a_hash_is_a_failure((facts, files, now) in world(), which in any::<prop::sample::Index>(), bit in 0..256_usize) {
        let before = verdicts(facts.clone(), &files, now);
        let at = which.index(files.len());
        prop_assume!(before[at].0 == Verdict::Verified);
        let mut changed = files.clone();
        changed[at].sha256.as_mut().unwrap()[bit / 8] ^= 1 << (bit % 8);
        let after = verdicts(facts, &changed, now);
        prop_assert_eq!(after[at].0, Verdict::Not(Reason::HashMismatch));
        for (other, (before, after)) in before.iter().zip(&after).enumerate() {
            prop_assert!(other == at || before == after);
        }
    }

    #[test]
    fn what_was_verified_is_never_pending_or_uncovered_again((facts, files, now) in world(), kept in any::<u64>()) {
        let mut random = fastrand::Rng::with_seed(kept);
        let some: Vec<Fact> = facts.iter().filter(|_| random.bool()).cloned().collect();
        let before = verdicts(some, &files, now);
        let after = verdicts(facts, &files, now + 100.0);
        for ((before, _), (after, _)) in before.into_iter().zip(after) {
            if before == Verdict::Verified {
                prop_assert!(matches!(after.state(), State::Verified | State::Failed), "{after:?}");
            }
        }
    }

    #[test]
    fn nothing_waits_for_a_digest_for_more_than_a_day((facts, files, _) in world()) {
        for (verdict, _) in verdicts(facts, &files, 100.0) {
            prop_assert_ne!(verdict, Verdict::Not(Reason::NoDigestYet));
        }
    }

    #[test]
    fn time_alone_changes_no_verdict_that_is_final((facts, files, now) in world(), hours in 0..1000_u16) {
        let before = verdicts(facts.clone(), &files, now);
        let after = verdicts(facts, &files, now + f64::from(hours));
        for (before, after) in before.into_iter().zip(after) {
            prop_assert!(!before.0.is_final() || before == after, "{before:?} {after:?}");
        }
    }

    #[test]
    fn of_two_facts_about_a_file_the_same_counts_in_either_order(
        a in (any::<bool>(), any::<bool>(), any::<bool>(), 0..3_u32), b in (any::<bool>(), any::<bool>(), any::<bool>(), 0..3_u32),
    ) {
        let fact = |(hashed, committed, missing, revision): (bool, bool, bool, u32)| LogFileFact {
            sha256: hashed.then(|| hash(1)),
            status: if committed { Status::Committed } else { Status::Quarantined },
            missing,
            revision,
            ..ledger("x", 1)
        };
        let (a, b) = (fact(a), fact(b));
        prop_assert_eq!(a.clone().newer(b.clone()), b.newer(a));
    }
}
