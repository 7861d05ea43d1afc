//! Finding out which files of `events` have one verdict for nearly all of their rows, and writing it down.
//!
//! It is done last, by whoever has just joined files: what has been joined since is not judged twice. An
//! entry that still holds is kept without a look at the file, so a turn costs what has changed. Anybody may
//! write meanwhile: what is found out is true of the version that was looked at, and says so.

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;

use anyhow::{Context, Result};
use arrow::array::{Array, AsArray};
use chrono::{DateTime, Utc};
use futures::TryStreamExt;
use serde::Serialize;
use tokio_util::sync::CancellationToken;
use tracing::{debug, warn};

use super::check::Checked;
use super::dates::Dates;
use super::settled::{self, Common, Entry, Found, Holding, Place, Summary};
use super::stream;
use super::table::DataFile;
use super::tables::Kind;
use super::{Lake, View};
use crate::event::schema::LOG_FILE;
use crate::integrity::{Basis, Verdict, Verdicts};
use crate::output::causes;

/// Files with log files of more days than these are left to be judged by queries.
const MOST_DAYS: i64 = 40;

/// Log files of a file that may have another verdict than most. A file with more is left to the queries.
const MOST_EXCEPTIONS: usize = 32;

/// Files that are judged before what was found out is written down: who is killed has lost no more.
const WRITE_EVERY: usize = 1000;

/// Rows that are read at once.
const READ_ROWS: usize = 8 * 1024;

/// What there is to be said of the verdicts on files of `events`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Settled {
    /// Files of `events`.
    pub num_files: u64,
    /// Those of which the verdicts are known, so that no query needs to judge them.
    pub num_settled: u64,
    /// Those that were looked into for it this time.
    pub num_judged: u64,
}

/// What is judged together, since the same facts decide it: files with log files of the same dates.
type ByDates<'a> = HashMap<Dates, Vec<&'a DataFile>>;

impl Lake {
    /// Writes down which files of `events` have one verdict for nearly all their rows, and which for the others.
    ///
    /// With `everything` also of days whose digests are still to come. After `stop` it writes what it has.
    pub async fn settle(&self, everything: bool, stop: &CancellationToken) -> Result<Settled> {
        self.refresh().await?;
        let view = self.view().await?;
        let place = self.summary_place()?;
        let (now, written) = (Utc::now(), Summary::load(&place).await);
        let mut holding = written.holding(&view.facts, now);
        let (mut summary, mut due) = (Summary::default(), ByDates::new());
        for (file, dates) in view.dated() {
            match holding.of(file, &dates) {
                Some(entry) => summary.insert(file, entry.clone()),
                None => due.entry(dates).or_default().push(file),
            }
        }
        due.retain(|dates, _| dates.count() <= MOST_DAYS && (everything || !Basis::is_open(dates, now)));
        let mut due: Vec<(Dates, Vec<&DataFile>)> = due.into_iter().collect();
        // The newest days are asked for most.
        due.sort_by_key(|(dates, _)| std::cmp::Reverse(dates.last()));
        let mut settled = Settled { num_files: view.events.files.len() as u64, ..Settled::default() };
        let mut unwritten = usize::from(summary != written);
        for (dates, files) in due {
            if stop.is_cancelled() {
                break;
            }
            let entries = self.judge(&view, &mut holding, &dates, &files, now).await;
            for (file, entry) in entries {
                (settled.num_judged, unwritten) = (settled.num_judged + 1, unwritten + 1);
                summary.insert(file, entry);
            }
            if unwritten >= WRITE_EVERY {
                self.write_summary(&place, &summary).await?;
                unwritten = 0;
            }
        }
        if unwritten > 0 {
            self.write_summary(&place, &summary).await?;
        }
        settled.num_settled = summary.num_settled() as u64;
        debug!(
            files = settled.num_files,
            settled = settled.num_settled,
            judged = settled.num_judged,
            "settled"
        );
        Ok(settled)
    }

    /// How many files of `events` no query needs to judge.
    pub(crate) async fn settled(&self) -> Result<Settled> {
        let view = self.view().await?;
        let summary = Summary::load(&self.summary_place()?).await;
        let mut holding = summary.holding(&view.facts, Utc::now());
        let known = |(file, dates): (&DataFile, Dates)| holding.of(file, &dates)?.common();
        let num_settled = view.dated().filter_map(known).count() as u64;
        Ok(Settled { num_files: view.events.files.len() as u64, num_settled, num_judged: 0 })
    }

    /// Judges what the summary has spared queries, and tells where it says something else.
    pub(super) async fn check_settled(&self, view: &View, checked: &mut Checked) -> Result<()> {
        let summary = Summary::load(&self.summary_place()?).await;
        let now = Utc::now();
        let mut holding = summary.holding(&view.facts, now);
        let mut by_dates: HashMap<Dates, Vec<(&DataFile, &Common)>> = HashMap::new();
        for (file, dates) in view.dated() {
            if let Some(told) = holding.of(file, &dates).and_then(Entry::common) {
                by_dates.entry(dates).or_default().push((file, told));
            }
        }
        for (dates, files) in by_dates {
            let verdicts = Verdicts::load(&view.facts, &dates, now).await?;
            for (file, told) in files {
                let found = self.found_in(file, &verdicts).await?.map(|(found, _)| found);
                if found.as_ref() != Some(told) {
                    let (told, found) = (in_words(Some(told)), in_words(found.as_ref()));
                    let detail = format!("{} says {told}; its log files are judged {found}", settled::NAME);
                    checked.add(Kind::Events, "other verdict", file.path.as_ref(), detail);
                }
            }
        }
        Ok(())
    }

    /// Judges files with log files of these dates. What cannot be judged is left to the queries, which say why.
    async fn judge<'a>(
        &self,
        view: &View,
        holding: &mut Holding<'_>,
        dates: &Dates,
        files: &[&'a DataFile],
        now: DateTime<Utc>,
    ) -> Vec<(&'a DataFile, Entry)> {
        let verdicts = match Verdicts::load(&view.facts, dates, now).await {
            Ok(verdicts) => verdicts,
            Err(error) => {
                warn!(files = files.len(), error = causes(&error), "verdicts could not be settled");
                return vec![];
            }
        };
        let mut entries = Vec::with_capacity(files.len());
        for file in files {
            let found = match self.found_in(file, &verdicts).await {
                Ok(found) => found,
                Err(error) => {
                    warn!(path = %file.path, error = causes(&error), "verdicts could not be settled");
                    continue;
                }
            };
            let (found, basis) = match found {
                Some((common, basis)) if basis.stays(dates, now) => (Found::Settled(common), basis),
                // Time may still tell.
                _ if !Basis::Late.stays(dates, now) => continue,
                _ => (Found::Unsettled, Basis::Near),
            };
            entries.push((*file, Entry { found, basis, facts: holding.fingerprint(dates, basis) }));
        }
        entries
    }

    /// The final verdicts on the log files of a file's rows, and all that they follow from; nothing if they are
    /// too many, or one is not final.
    async fn found_in(&self, file: &DataFile, verdicts: &Verdicts) -> Result<Option<(Common, Basis)>> {
        let mut tally = Tally::default();
        let mut last = String::new();
        let mut rows = stream::rows(self.table(Kind::Events), file, &[LOG_FILE], READ_ROWS).await?;
        while let Some(batch) = rows.try_next().await.with_context(|| format!("reading {}", file.path))? {
            let names = batch.column_by_name(LOG_FILE).and_then(|names| names.as_string_opt::<i32>());
            let names = names.with_context(|| format!("{LOG_FILE} of {} is no text", file.path))?;
            for row in 0..names.len() {
                // A row that names none has no verdict.
                let name = if names.is_valid(row) { names.value(row) } else { return Ok(None) };
                if name == last && !tally.is_empty() {
                    continue;
                }
                name.clone_into(&mut last);
                let known = verdicts.get(name).filter(|(verdict, _)| verdict.is_final());
                let Some((verdict, basis)) = known else { return Ok(None) };
                if !tally.add(name, verdict, basis) {
                    return Ok(None);
                }
            }
        }
        Ok(tally.finish())
    }

    async fn write_summary(&self, place: &Place, summary: &Summary) -> Result<()> {
        summary.store(place, self.inner.writer.name()).await
    }

    pub(super) fn summary_place(&self) -> Result<Place> {
        self.place_of(settled::NAME)
    }
}

/// The log files of a file, by verdict.
#[derive(Debug, Default)]
struct Tally {
    verdicts: HashMap<String, Verdict>,
    counts: BTreeMap<Verdict, usize>,
    basis: Option<Basis>,
}

impl Tally {
    fn is_empty(&self) -> bool {
        self.verdicts.is_empty()
    }

    /// Counts a log file, once. False if too many have another verdict than most.
    fn add(&mut self, log_file: &str, verdict: Verdict, basis: Basis) -> bool {
        if self.verdicts.contains_key(log_file) {
            return true;
        }
        self.verdicts.insert(log_file.to_owned(), verdict);
        *self.counts.entry(verdict).or_default() += 1;
        self.basis = self.basis.max(Some(basis));
        let most = self.counts.values().max().copied().unwrap_or_default();
        self.verdicts.len() - most <= MOST_EXCEPTIONS
    }

    fn finish(self) -> Option<(Common, Basis)> {
        // Of two that are as frequent the better.
        let most = self.counts.iter().max_by_key(|(verdict, count)| (**count, std::cmp::Reverse(**verdict)));
        let verdict = *most?.0;
        let except = self.verdicts.into_iter().filter(|(_, other)| *other != verdict).collect();
        Some((Common { verdict, except: Arc::new(except) }, self.basis?))
    }
}

fn in_words(common: Option<&Common>) -> String {
    let Some(Common { verdict, except }) = common else { return "in several ways".to_owned() };
    let but: Vec<String> = except
        .iter()
        .take(3)
        .map(|(log_file, verdict)| format!("{} of {log_file}", verdict.as_str()))
        .collect();
    let more = if except.len() > but.len() { ", …" } else { "" };
    let but = if but.is_empty() { String::new() } else { format!(" but {}{more}", but.join(", ")) };
    format!("{}{but}", verdict.as_str())
}

impl View {
    /// The files of `events`, and the dates of their log files.
    fn dated(&self) -> impl Iterator<Item = (&DataFile, Dates)> {
        let dates_of = |at| self.events.provider.log_dates(&[at]);
        self.events.files.iter().enumerate().map(move |(at, file)| (file, dates_of(at)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::integrity::Reason;

    #[test]
    fn few_exceptions_are_named_and_many_are_too_many() {
        let altered = Verdict::Not(Reason::HashMismatch);
        let mut tally = Tally::default();
        for number in 0..100 {
            let odd = number < MOST_EXCEPTIONS;
            let verdict = if odd { altered } else { Verdict::Verified };
            for _ in 0..2 {
                assert!(tally.add(&number.to_string(), verdict, if odd { Basis::Late } else { Basis::Near }));
            }
        }
        assert!(!tally.add("one too many", Verdict::Not(Reason::NotListed), Basis::Near));
        let (common, basis) = tally.finish().unwrap();
        assert_eq!((common.verdict, common.except.len(), basis), (Verdict::Verified, 33, Basis::Late));
        assert_eq!(common.except["7"], altered);
        assert_eq!(Tally::default().finish(), None);
        let mut even = Tally::default();
        even.add("a", altered, Basis::Near);
        even.add("b", Verdict::Verified, Basis::Near);
        let (common, basis) = even.finish().unwrap();
        assert_eq!((common.verdict, basis), (Verdict::Verified, Basis::Near));
        assert_eq!(in_words(Some(&common)), "verified but hash_mismatch of a");
    }
}
