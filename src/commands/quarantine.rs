//! `trailq quarantine`: what could not be stored, and what to do about it.

mod list;
mod replay;
mod show;
mod withdraw;

use std::collections::BTreeMap;
use std::process::ExitCode;

use anyhow::{Result, bail};

use super::answer::quiet_on_broken_pipe;
use super::place::Place;
use crate::lake::{Lake, QuarantineFilter, Quarantined};
use crate::output::{counted, escape};

/// See what could not be stored, and try it again
///
/// A log file that cannot be read, or a record of one, is not lost and does not stop the others: it
/// goes to the table `quarantine`, with the reason, its place and its bytes. From there it can be read
/// again, by a newer version of trailq, with other limits, or after its source was mended.
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples:
  trailq quarantine list
  trailq quarantine show 3f2a
  trailq quarantine replay --all --dry-run
  trailq quarantine replay --reason damaged_gzip --refetch
  trailq quarantine discard 3f2a
  trailq quarantine withdraw --failed")]
pub struct Args {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, clap::Subcommand)]
enum Command {
    /// List what is in quarantine, oldest first
    List(list::Args),
    /// Show one piece with its bytes
    Show(show::Args),
    /// Read pieces again, and put what can be read now into the lake
    Replay(Box<replay::Args>),
    /// Leave pieces outside for good; they and their bytes stay in the table
    Discard(replay::Discard),
    /// Take the events of log files out of the lake, such as those whose integrity failed
    Withdraw(withdraw::Args),
}

/// Runs the command.
pub async fn run(args: Args) -> Result<ExitCode> {
    let result = match args.command {
        Command::List(args) => args.run().await,
        Command::Show(args) => args.run().await,
        Command::Replay(args) => args.run().await,
        Command::Discard(args) => args.run().await,
        Command::Withdraw(args) => args.run().await,
    };
    quiet_on_broken_pipe(result)
}

/// Which pieces are meant, besides those that are named.
#[derive(Debug, Default, clap::Args)]
struct Which {
    /// Only those of this reason, as `list` shows it
    #[arg(long, value_name = "REASON")]
    reason: Option<String>,
    /// Only those of this log file: its address as `list` shows it (repeatable)
    #[arg(long, value_name = "ADDRESS")]
    log_file: Vec<String>,
}

impl Which {
    fn is_given(&self) -> bool {
        self.reason.is_some() || !self.log_file.is_empty()
    }

    fn filter(&self) -> QuarantineFilter {
        QuarantineFilter {
            reason: self.reason.clone(),
            log_files: (!self.log_file.is_empty()).then(|| self.log_file.clone()),
            ..QuarantineFilter::default()
        }
    }
}

/// The pieces with these ids, or with ids that begin so and no others do.
async fn named(lake: &Lake, prefixes: &[String], resolved: bool) -> Result<Vec<Quarantined>> {
    let filter = QuarantineFilter { resolved: true, ..QuarantineFilter::default() };
    let all = lake.quarantined(&filter).await?;
    let mut found: Vec<Quarantined> = vec![];
    for prefix in prefixes {
        let matching: Vec<&Quarantined> = all.iter().filter(|piece| piece.id.starts_with(prefix)).collect();
        let piece = match matching[..] {
            [piece] if !prefix.is_empty() => piece,
            [] => bail!("nothing in quarantine has the id {prefix:?}: see `trailq quarantine list --all`"),
            _ => bail!("{} ids in quarantine begin with {prefix:?}: give more of it", matching.len()),
        };
        if piece.resolved_at.is_some() && !resolved {
            bail!("{} was {} already", piece.id, piece.status.as_str());
        }
        if !found.iter().any(|known| known.id == piece.id) {
            found.push(piece.clone());
        }
    }
    Ok(found)
}

/// How many characters of ids tell all of them apart: at least eight.
fn short(ids: &[&str]) -> usize {
    let mut sorted = ids.to_vec();
    sorted.sort_unstable();
    let common = |a: &str, b: &str| a.bytes().zip(b.bytes()).take_while(|(one, other)| one == other).count();
    let longest = sorted.windows(2).map(|pair| common(pair[0], pair[1]) + 1).max();
    longest.unwrap_or(0).max(8)
}

fn pieces(number: u64) -> String {
    counted(number, "piece")
}

/// `3 pieces: 2 invalid_json, 1 damaged_gzip`, most frequent first.
fn summary<'a>(reasons: impl Iterator<Item = &'a str>) -> String {
    let mut counts: BTreeMap<&str, u64> = BTreeMap::new();
    reasons.for_each(|reason| *counts.entry(reason).or_default() += 1);
    let total = pieces(counts.values().sum());
    let mut counts: Vec<_> = counts.into_iter().collect();
    counts.sort_by_key(|(_, count)| std::cmp::Reverse(*count));
    let each: Vec<String> =
        counts.iter().map(|(reason, count)| format!("{count} {}", escape(reason, false))).collect();
    if each.is_empty() { total } else { format!("{total}: {}", each.join(", ")) }
}

#[cfg(test)]
mod tests {
    use super::{short, summary};

    #[test]
    fn short_ids_tell_all_apart() {
        assert_eq!(short(&[]), 8);
        assert_eq!(short(&["aaaaaaaa-1"]), 8);
        assert_eq!(short(&["aaaaaaaa-1", "b", "aaaaaaaa-2"]), 10);
    }

    #[test]
    fn a_summary_counts_by_reason() {
        assert_eq!(summary(["a", "b", "b"].into_iter()), "3 pieces: 2 b, 1 a");
        assert_eq!(summary(std::iter::empty()), "0 pieces");
    }
}
