//! The folders of a bucket in which CloudTrail puts the files of a day.

use anyhow::Result;
use chrono::NaiveDate;
use futures::{StreamExt as _, TryStreamExt as _};

use super::Bucket;
use crate::object::Tree;

/// Listings at once.
const LISTINGS: usize = 32;

/// What a folder of the tree is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Kind {
    /// Digests.
    Digests,
    /// Log files of a tree.
    Logs(Tree),
}

/// The folder of a day.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Day {
    /// The day.
    pub date: NaiveDate,
    /// Everything up to the account: `prefix/AWSLogs/o-…/`.
    pub root: String,
    /// The account.
    pub account: String,
    /// The region.
    pub region: String,
    /// What is in it.
    pub kind: Kind,
    /// The folder, with a slash at its end.
    pub folder: String,
}

/// Which folders are wanted. Empty means all.
#[derive(Debug, Clone, Default)]
pub struct Wanted {
    /// Accounts.
    pub accounts: Vec<String>,
    /// Regions.
    pub regions: Vec<String>,
    /// The first day.
    pub from: Option<NaiveDate>,
    /// The last day, included.
    pub to: Option<NaiveDate>,
    /// Only digests, or only log files, or both.
    pub kind: Option<WantedKind>,
}

/// Half of the tree.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum WantedKind {
    /// Digests only.
    Digests,
    /// Log files only.
    Logs,
}

/// Finds the folders of days below a prefix, in order. Only folders are listed, level by level, and
/// none that is not wanted, so it costs little in a bucket of millions of objects.
pub async fn days(bucket: &Bucket, prefix: &str, wanted: &Wanted) -> Result<Vec<Day>> {
    let mut days = Vec::new();
    // A prefix may end in the midst of a name; S3 lists what it begins.
    let mut level = vec![prefix.to_owned()];
    while !level.is_empty() {
        let listing = futures::stream::iter(level).map(async |folder| bucket.folders(&folder).await);
        let listed: Vec<Vec<String>> = listing.buffered(LISTINGS).try_collect().await?;
        level = Vec::new();
        for folder in listed.into_iter().flatten() {
            match Step::of(&folder, wanted) {
                Step::Enter => level.push(folder),
                Step::Day(day) => days.push(day),
                Step::Skip => {}
            }
        }
    }
    days.sort();
    Ok(days)
}

/// What to do with a folder.
#[derive(Debug, PartialEq, Eq)]
enum Step {
    Enter,
    Day(Day),
    Skip,
}

impl Step {
    fn of(folder: &str, wanted: &Wanted) -> Self {
        let Some(at) = folder.rfind("AWSLogs/").filter(|at| *at == 0 || folder[..*at].ends_with('/')) else {
            return Self::Enter;
        };
        let below = &folder[at + "AWSLogs/".len()..];
        let (organization, below) = match below.split_once('/') {
            Some((id, rest)) if id.starts_with("o-") => (id.len() + 1, rest),
            _ => (0, below),
        };
        let root = &folder[..at + "AWSLogs/".len() + organization];
        let parts: Vec<&str> = below.split('/').filter(|part| !part.is_empty()).collect();
        Self::below(folder, root, &parts, wanted)
    }

    fn below(folder: &str, root: &str, parts: &[&str], wanted: &Wanted) -> Self {
        let unwanted = |list: &[String], part: &str| !list.is_empty() && !list.iter().any(|one| one == part);
        let [account, more @ ..] = parts else { return Self::Enter };
        let is_account = account.len() == 12 && account.bytes().all(|byte| byte.is_ascii_digit());
        if !is_account || unwanted(&wanted.accounts, account) {
            return Self::Skip;
        }
        let [tree, more @ ..] = more else { return Self::Enter };
        let Some(kind) = kind_of(tree).filter(|kind| wanted.takes_kind(*kind)) else { return Self::Skip };
        let [region, more @ ..] = more else { return Self::Enter };
        if unwanted(&wanted.regions, region) {
            return Self::Skip;
        }
        let numbers: Option<Vec<u32>> = more.iter().map(|part| part.parse().ok()).collect();
        let date = |numbers: &[u32], end: bool| date_of(numbers, end);
        match numbers.as_deref() {
            Some([]) => Self::Enter,
            Some(numbers @ ([_] | [_, _])) => match (date(numbers, false), date(numbers, true)) {
                (Some(first), Some(last)) if wanted.may_take(first, last) => Self::Enter,
                _ => Self::Skip,
            },
            Some(numbers @ [_, _, _]) => match date(numbers, false).filter(|day| wanted.may_take(*day, *day))
            {
                Some(date) => Self::Day(Day {
                    date,
                    root: root.to_owned(),
                    account: (*account).to_owned(),
                    region: (*region).to_owned(),
                    kind,
                    folder: folder.to_owned(),
                }),
                None => Self::Skip,
            },
            _ => Self::Skip,
        }
    }
}

impl Wanted {
    fn takes_kind(&self, kind: Kind) -> bool {
        match self.kind {
            None => true,
            Some(WantedKind::Digests) => kind == Kind::Digests,
            Some(WantedKind::Logs) => kind != Kind::Digests,
        }
    }

    fn may_take(&self, first: NaiveDate, last: NaiveDate) -> bool {
        self.from.is_none_or(|from| last >= from) && self.to.is_none_or(|to| first <= to)
    }
}

fn kind_of(folder: &str) -> Option<Kind> {
    if folder == "CloudTrail-Digest" {
        return Some(Kind::Digests);
    }
    Tree::ALL.into_iter().find(|tree| tree.folder() == folder).map(Kind::Logs)
}

/// The first or last day of a year, of a month, or of the day itself.
fn date_of(numbers: &[u32], end: bool) -> Option<NaiveDate> {
    let year = i32::try_from(*numbers.first()?).ok()?;
    let month = numbers.get(1).copied();
    let first = NaiveDate::from_ymd_opt(year, month.unwrap_or(1), numbers.get(2).copied().unwrap_or(1))?;
    if !end || numbers.len() == 3 {
        return Some(first);
    }
    let months = chrono::Months::new(if month.is_some() { 1 } else { 12 });
    first.checked_add_months(months)?.pred_opt()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn wanted() -> Wanted {
        Wanted {
            accounts: vec!["111122223333".to_owned()],
            regions: vec!["eu-west-1".to_owned()],
            from: "2026-01-30".parse().ok(),
            to: "2026-02-02".parse().ok(),
            kind: None,
        }
    }

    #[test]
    fn only_folders_that_may_hold_what_is_wanted_are_entered() {
        let base = "pre fix/AWSLogs/o-abc/111122223333/";
        for (folder, enters) in [
            ("pre fix/", true),
            ("pre fix/AWSLogs/o-abc/", true),
            (base, true),
            ("pre fix/AWSLogs/o-abc/444455556666/", false),
            ("pre fix/AWSLogs/o-abc/elasticloadbalancing/", false),
            (&format!("{base}Config/"), false),
            (&format!("{base}CloudTrail-Digest/"), true),
            (&format!("{base}CloudTrail/eu-west-1/"), true),
            (&format!("{base}CloudTrail/us-east-1/"), false),
            (&format!("{base}CloudTrail/eu-west-1/2026/"), true),
            (&format!("{base}CloudTrail/eu-west-1/2025/"), false),
            (&format!("{base}CloudTrail/eu-west-1/2026/01/"), true),
            (&format!("{base}CloudTrail/eu-west-1/2026/03/"), false),
            (&format!("{base}CloudTrail/eu-west-1/2026/x/"), false),
        ] {
            let expected = if enters { Step::Enter } else { Step::Skip };
            assert_eq!(Step::of(folder, &wanted()), expected, "{folder}");
        }
    }

    #[test]
    fn a_day_says_where_it_is() {
        let folder = "p/AWSLogs/o-abc/111122223333/CloudTrail-Insight/eu-west-1/2026/02/01/";
        let Step::Day(day) = Step::of(folder, &wanted()) else { panic!("no day") };
        assert_eq!((day.root.as_str(), day.account.as_str()), ("p/AWSLogs/o-abc/", "111122223333"));
        assert_eq!((day.kind, day.date.to_string().as_str()), (Kind::Logs(Tree::Insight), "2026-02-01"));
        assert_eq!(day.folder, folder);
        let outside = folder.replace("02/01", "02/03");
        assert_eq!(Step::of(&outside, &wanted()), Step::Skip);
    }
}
