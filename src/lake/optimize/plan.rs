//! Which files are worth being replaced by one: a pure function of what the log says of them.

use std::collections::BTreeMap;

use chrono::{DateTime, Datelike, NaiveDate, TimeDelta, Utc};

use crate::event::schema::{EVENT_DATE, EVENT_TIME};
use crate::lake::encode::{ROW_GROUP_ROWS, SortKey};
use crate::lake::entry::{DigestStatus, QuarantineStatus};
use crate::lake::file_stats::FileStats;
use crate::lake::swap::is_plain;
use crate::lake::table::DataFile;
use crate::lake::tables::Kind;

/// The size of files of the small tables: writers read them as a whole, sixteen at once.
const SMALL_TABLE_TARGET: u64 = 8 << 20;

/// Files that have not been joined for so long belong to a day that gets no more.
const SETTLED_AFTER: TimeDelta = TimeDelta::hours(6);

/// Of a day that still gets files, so many small ones are worth a new file.
const WORTHWHILE_FILES: usize = 8;

/// Of a day that still gets files, a file is written again once so many times its own bytes have come.
const WORTHWHILE_BYTES: u64 = 3;

/// Memory that a reader takes whatever it reads.
const READER_BYTES: u64 = 1 << 20;

/// What a row group takes in memory, by its bytes in the file: those, and pages that are unpacked.
const UNPACKED: u64 = 4;

/// What is to be done, and with how much.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Policy {
    /// The size that files of `events` should have.
    pub(crate) target_size: u64,
    /// Memory for the files that are read at once.
    pub(crate) memory: u64,
    /// Whether every small file is worth it; otherwise only so many that no row is written often.
    pub(crate) everything: bool,
    pub(crate) now: DateTime<Utc>,
}

impl Policy {
    fn target_size(&self, kind: Kind) -> u64 {
        match kind {
            Kind::Events => self.target_size,
            Kind::LogFiles | Kind::Quarantine | Kind::Digests => {
                SMALL_TABLE_TARGET.min(self.target_size).min((self.memory / 32).max(READER_BYTES))
            }
        }
    }
}

/// Files that one file, or a few, can take the place of, in the order of their first rows.
#[derive(Clone, Debug)]
pub(crate) struct Group {
    pub(crate) files: Vec<Member>,
}

/// A file of a group.
#[derive(Clone, Debug)]
pub(crate) struct Member {
    pub(crate) file: DataFile,
    /// No row of it comes before this.
    pub(crate) first: SortKey,
    last: SortKey,
    num_records: u64,
}

impl Group {
    /// Compressed bytes.
    pub(crate) fn bytes(&self) -> u64 {
        self.files.iter().map(|member| member.file.size).sum()
    }

    /// Rows, as the log has them.
    pub(crate) fn num_records(&self) -> u64 {
        self.files.iter().map(|member| member.num_records).sum()
    }
}

impl Member {
    /// Nothing if the log does not say enough, or the file is not one of ours.
    fn of(kind: Kind, file: &DataFile) -> Option<Self> {
        let stats = FileStats::parse(file.stats.as_deref());
        let num_records = stats.num_records.filter(|rows| *rows > 0)?;
        let column = time_column(kind);
        let nulls = stats.nulls(column)?;
        let last_of = (true, 0);
        let (first, last) = match bounds(kind, &stats, column) {
            Some((first, last)) => ((false, first), if nulls > 0 { last_of } else { (false, last) }),
            None if nulls == num_records => (last_of, last_of),
            // A time beyond the year 9999 has no spelling in the log.
            None => ((false, i64::MIN), last_of),
        };
        is_plain(file).then(|| Self { file: file.clone(), first, last, num_records })
    }

    /// The memory that reading it takes, once a row of it is due.
    fn memory(&self) -> u64 {
        let groups = self.num_records.div_ceil(ROW_GROUP_ROWS as u64).max(1);
        READER_BYTES + UNPACKED * self.file.size / groups
    }
}

fn time_column(kind: Kind) -> &'static str {
    match kind {
        Kind::Events => EVENT_TIME,
        Kind::LogFiles => "log_date",
        Kind::Quarantine => "quarantined_at",
        Kind::Digests => "digest_end_time",
    }
}

fn bounds(kind: Kind, stats: &FileStats, column: &str) -> Option<(i64, i64)> {
    if kind == Kind::LogFiles {
        let days = |date: NaiveDate| i64::from(date.num_days_from_ce());
        return stats.dates(column).map(|(first, last)| (days(first), days(last)));
    }
    stats.times(column)
}

/// What files must have in common to be replaced by one.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Place {
    /// A partition of `events`.
    Partition(Option<String>),
    /// Rows of one month, and whether they are corrections of others.
    Month(bool, Option<(i32, u32)>),
    /// Rows of several months, to be split by month.
    Months(bool),
}

impl Place {
    fn of(kind: Kind, file: &DataFile) -> Self {
        let stats = FileStats::parse(file.stats.as_deref());
        let corrects = corrects(kind, &stats);
        let month = |date: NaiveDate| (date.year(), date.month());
        match kind {
            Kind::Events => {
                let value = file.partition_values.iter().find(|(name, _)| name == EVENT_DATE);
                Self::Partition(value.and_then(|(_, value)| value.clone()))
            }
            Kind::Quarantine => Self::Months(corrects),
            Kind::LogFiles | Kind::Digests => {
                let column = time_column(kind);
                match (stats.dates(column), stats.nulls(column)) {
                    (Some((first, last)), Some(0)) if month(first) == month(last) => {
                        Self::Month(corrects, Some(month(first)))
                    }
                    (None, Some(nulls)) if stats.num_records == Some(nulls) => Self::Month(corrects, None),
                    _ => Self::Months(corrects),
                }
            }
        }
    }
}

/// Whether some rows of a file correct others. Readers look for these first, so they stay apart.
fn corrects(kind: Kind, stats: &FileStats) -> bool {
    let only = |column, text| stats.texts(column) == Some((text, text));
    match kind {
        Kind::Events => false,
        Kind::LogFiles => stats.numbers("revision").is_none_or(|(_, highest)| highest > 0),
        Kind::Quarantine => !only("status", QuarantineStatus::Open.as_str()),
        Kind::Digests => !only("status", DigestStatus::Valid.as_str()),
    }
}

/// Chooses the files of a table that are to be replaced, newest days first.
pub(crate) fn plan(kind: Kind, files: &[DataFile], policy: &Policy) -> Vec<Group> {
    let small = policy.target_size(kind) / 2;
    let mut places: BTreeMap<Place, Vec<Member>> = BTreeMap::new();
    for file in files.iter().filter(|file| file.size < small) {
        if let Some(member) = Member::of(kind, file) {
            places.entry(Place::of(kind, file)).or_default().push(member);
        }
    }
    places.into_values().rev().flat_map(|members| groups(kind, members, policy)).collect()
}

fn groups(kind: Kind, members: Vec<Member>, policy: &Policy) -> Vec<Group> {
    let mut chosen = worthwhile(members, policy);
    chosen.sort_by(|a, b| (a.first, &a.file.path).cmp(&(b.first, &b.file.path)));
    let mut groups: Vec<Group> = vec![];
    let mut open = Group { files: vec![] };
    for member in chosen {
        let fits = open.bytes() + member.file.size <= policy.target_size(kind)
            && (kind != Kind::Events || peak(&open.files, &member) <= policy.memory);
        if !fits {
            groups.push(std::mem::replace(&mut open, Group { files: vec![] }));
        }
        open.files.push(member);
    }
    groups.push(open);
    groups.retain(|group| group.files.len() > 1);
    groups
}

/// The memory that is taken when the last file of a group is opened. Files come in the order of their
/// first rows, and one is done with when its last row has been merged.
fn peak(open: &[Member], next: &Member) -> u64 {
    let overlapping = open.iter().filter(|member| member.last >= next.first);
    overlapping.map(Member::memory).sum::<u64>() + next.memory()
}

/// Leaves out what would be written again too often for what it is worth.
///
/// While a day still gets files, a file waits until those smaller than it come to thrice its size. So it
/// gets four times as large each time, and a row is written as many times as that takes to the target size.
fn worthwhile(mut members: Vec<Member>, policy: &Policy) -> Vec<Member> {
    let newest = members.iter().map(|member| member.file.modification_time).max().unwrap_or_default();
    let settled = policy.now - SETTLED_AFTER;
    if policy.everything || newest < settled.timestamp_millis() {
        return members;
    }
    members.sort_by_key(|member| member.file.size);
    let (mut bytes, mut count) = (0, 0);
    for (index, member) in members.iter().enumerate() {
        if index == 0 || WORTHWHILE_BYTES * member.file.size <= bytes {
            count = index + 1;
        }
        bytes += member.file.size;
    }
    members.truncate(if count < WORTHWHILE_FILES { 0 } else { count });
    members
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::event::schema::LOG_DATE;

    const MB: u64 = 1 << 20;

    fn policy() -> Policy {
        let now = "2026-01-06T00:00:00Z".parse().unwrap();
        Policy { target_size: 256 * MB, memory: 300 * MB, everything: true, now }
    }

    /// A file of a day with rows between these minutes.
    fn file(name: &str, size: u64, date: &str, minutes: (i64, i64)) -> DataFile {
        let at = |minute: i64| format!("{date}T{:02}:{:02}:00.000000Z", minute / 60, minute % 60);
        let stats = serde_json::json!({
            "numRecords": 10,
            "minValues": {"event_time": at(minutes.0), LOG_DATE: date},
            "maxValues": {"event_time": at(minutes.1), LOG_DATE: date},
            "nullCount": {"event_time": 0, LOG_DATE: 0},
        });
        DataFile {
            path: format!("event_date={date}/{name}.parquet").as_str().into(),
            size,
            partition_values: vec![("event_date".to_owned(), Some(date.to_owned()))],
            stats: Some(stats.to_string()),
            modification_time: policy().now.timestamp_millis(),
        }
    }

    fn names(groups: &[Group]) -> Vec<Vec<String>> {
        let name = |member: &Member| member.file.path.filename().unwrap().replace(".parquet", "");
        groups.iter().map(|group| group.files.iter().map(name).collect()).collect()
    }

    #[test]
    fn small_files_of_a_day_make_a_group_in_the_order_of_time_newest_day_first() {
        let files = [
            file("b", MB, "2026-01-05", (30, 40)),
            file("a", MB, "2026-01-05", (0, 31)),
            file("large", 130 * MB, "2026-01-05", (0, 60)),
            file("c", MB, "2026-01-04", (0, 9)),
            file("d", MB, "2026-01-04", (9, 19)),
            file("alone", MB, "2026-01-03", (0, 9)),
        ];
        assert_eq!(names(&plan(Kind::Events, &files, &policy())), [["a", "b"], ["c", "d"]]);
    }

    #[test]
    fn a_group_is_full_at_the_target_size() {
        let files: Vec<_> =
            (0..10).map(|at| file(&at.to_string(), 60 * MB, "2026-01-05", (at, at))).collect();
        let groups = plan(Kind::Events, &files, &policy());
        assert_eq!(groups.iter().map(|group| group.files.len()).collect::<Vec<_>>(), [4, 4, 2]);
    }

    #[test]
    fn files_that_overlap_are_merged_as_far_as_memory_goes_and_others_are_not_limited() {
        let apart: Vec<_> =
            (0..60).map(|at| file(&at.to_string(), 4 * MB, "2026-01-05", (2 * at, 2 * at + 1))).collect();
        let overlapping: Vec<_> =
            (0..60).map(|at| file(&at.to_string(), 4 * MB, "2026-01-05", (0, 60 + at))).collect();
        let count = |files: &[DataFile]| plan(Kind::Events, files, &policy()).len();
        assert_eq!(count(&apart), 1);
        // 17 MB each.
        assert_eq!(count(&overlapping), 60_usize.div_ceil(17));
    }

    #[test]
    fn what_the_log_does_not_tell_enough_of_is_left_alone() {
        let mut files = [file("a", MB, "2026-01-05", (0, 9)), file("b", MB, "2026-01-05", (0, 9))];
        files[0].stats = None;
        assert!(plan(Kind::Events, &files, &policy()).is_empty());
        files[0].stats = files[1].stats.clone();
        files[0].path = "event_date=2026-01-05/a%20b.parquet".into();
        assert!(plan(Kind::Events, &files, &policy()).is_empty());
    }

    #[test]
    fn a_day_that_still_gets_files_waits_until_it_is_worth_it() {
        let worthwhile = Policy { everything: false, ..policy() };
        let mut files: Vec<_> = (0..7).map(|at| file(&at.to_string(), MB, "2026-01-05", (at, at))).collect();
        files.push(file("merged", 20 * MB, "2026-01-05", (0, 0)));
        assert!(plan(Kind::Events, &files, &worthwhile).is_empty());
        files.push(file("eighth", MB, "2026-01-05", (8, 8)));
        let groups = plan(Kind::Events, &files, &worthwhile);
        assert_eq!(groups[0].files.len(), 8, "the merged one waits for its like");
        let settled = Policy { now: policy().now + TimeDelta::hours(7), ..worthwhile };
        assert_eq!(plan(Kind::Events, &files, &settled)[0].files.len(), 9);
    }

    /// What a day of small files costs: each byte is written a few times, not once per round.
    #[test]
    fn a_row_is_written_a_few_times_however_often_there_is_something_new() {
        let worthwhile = Policy { everything: false, ..policy() };
        let (mut files, mut written, mut next) = (vec![], 0, 0);
        for _ in 0..144 {
            for _ in 0..10 {
                next += 1;
                files.push(file(&format!("new-{next}"), MB / 8, "2026-01-05", (next % 1440, next % 1440)));
            }
            for group in plan(Kind::Events, &files, &worthwhile) {
                let gone: Vec<_> = group.files.iter().map(|member| member.file.path.clone()).collect();
                files.retain(|file| !gone.contains(&file.path));
                next += 1;
                files.push(file(&format!("merged-{next}"), group.bytes(), "2026-01-05", (0, 1439)));
                written += group.bytes();
            }
            assert!(files.len() < 40, "{} files", files.len());
        }
        let total = 1440 * MB / 8;
        assert!(written <= 4 * total, "written {} times", written / total);
    }

    fn ledger_file(name: &str, dates: (&str, &str), revision: u32) -> DataFile {
        let stats = serde_json::json!({
            "numRecords": 5,
            "minValues": {LOG_DATE: dates.0, "revision": 0},
            "maxValues": {LOG_DATE: dates.1, "revision": revision},
            "nullCount": {LOG_DATE: 0, "revision": 0},
        });
        let path = format!("{name}.parquet").as_str().into();
        DataFile {
            path,
            partition_values: vec![],
            stats: Some(stats.to_string()),
            ..file("", MB, "2026-01-05", (0, 0))
        }
    }

    #[test]
    fn the_ledger_is_merged_by_month_and_corrections_stay_apart() {
        let files = [
            ledger_file("a", ("2026-01-05", "2026-01-05"), 0),
            ledger_file("b", ("2026-01-09", "2026-01-10"), 0),
            ledger_file("c", ("2026-02-01", "2026-02-01"), 0),
            ledger_file("wide", ("2026-01-01", "2026-03-01"), 0),
            ledger_file("wide-2", ("2025-01-01", "2026-03-01"), 0),
            ledger_file("d", ("2026-01-05", "2026-01-05"), 1),
            ledger_file("e", ("2026-01-06", "2026-01-06"), 2),
        ];
        let mut groups = names(&plan(Kind::LogFiles, &files, &policy()));
        groups.sort();
        assert_eq!(groups, [["a", "b"], ["d", "e"], ["wide-2", "wide"]]);
    }
}
