//! `trailq quarantine list`.

use std::io::{self, IsTerminal, Write};
use std::process::ExitCode;
use std::sync::Arc;

use anyhow::{Context, Result};
use arrow::array::{ArrayRef, Int64Array, StringArray, TimestampMicrosecondArray};
use arrow::record_batch::RecordBatch;
use chrono::{DateTime, Utc};

use super::{Place, Which, short, summary};
use crate::lake::{QuarantineFilter, Quarantined};
use crate::output::{self, Format, Options};
use crate::sql::Answer;

/// List what is in quarantine
#[derive(Debug, clap::Args)]
#[command(after_help = "\
A table shows as much of each id as tells it from the others; that much is enough for the other
commands. The other formats have the whole id and all fields, but not the bytes.

Examples:
  trailq quarantine list
  trailq quarantine list --reason invalid_json --format ndjson
  trailq quarantine list --all")]
pub(super) struct Args {
    #[command(flatten)]
    which: Which,
    /// Those that were replayed or discarded as well
    #[arg(long)]
    all: bool,
    /// The format [default: table on a terminal, else csv]
    #[arg(long, value_enum)]
    format: Option<Format>,
    #[command(flatten)]
    place: Place,
}

impl Args {
    pub(super) async fn run(&self) -> Result<ExitCode> {
        let terminal = io::stdout().is_terminal();
        let format = self.format.unwrap_or(if terminal { Format::Table } else { Format::Csv });
        let lake = self.place.read().await?;
        let filter = QuarantineFilter { resolved: self.all, ..self.which.filter() };
        let found = lake.quarantined(&filter).await?;
        let batch = if format == Format::Table {
            // Told apart from those that are not shown as well.
            let all = QuarantineFilter { resolved: true, ..QuarantineFilter::default() };
            let all = lake.quarantined(&all).await?;
            table(&found, short(&all.iter().map(|piece| piece.id.as_str()).collect::<Vec<_>>()), self.all)?
        } else {
            everything(&found)?
        };
        let answer = Answer::of(batch);
        let options = Options {
            width: output::terminal_width(),
            terminal,
            color: terminal && output::wants_color(),
            ..Options::plain(format)
        };
        let mut out = io::stdout();
        output::write(answer, &options, &mut out).await?;
        out.flush().context("writing the list")?;
        eprintln!("{}", summary(found.iter().map(|piece| piece.entry.reason.as_str())));
        Ok(ExitCode::SUCCESS)
    }
}

fn table(found: &[Quarantined], id_length: usize, with_status: bool) -> Result<RecordBatch> {
    let rows = Rows(found);
    let mut columns = vec![
        ("id", rows.text(|piece| piece.id.get(..id_length).map(str::to_owned))),
        ("when", rows.text(|piece| Some(piece.quarantined_at.format("%Y-%m-%d %H:%M:%S").to_string()))),
        ("reason", rows.text(|piece| Some(piece.entry.reason.clone()))),
        ("log_file", rows.text(|piece| Some(piece.entry.log_file.clone()))),
        ("record", rows.text(|piece| Some(record(piece)))),
        ("bytes", rows.long(|piece| piece.entry.byte_length)),
    ];
    if with_status {
        columns.push(("status", rows.text(|piece| Some(piece.status.as_str().to_owned()))));
    }
    Ok(RecordBatch::try_from_iter(columns)?)
}

/// Which record it is, or what else.
fn record(piece: &Quarantined) -> String {
    match (piece.entry.record_index, piece.entry.byte_offset) {
        (Some(index), _) => index.to_string(),
        (None, Some(offset)) => format!("at byte {offset}"),
        (None, None) => "whole file".to_owned(),
    }
}

fn everything(found: &[Quarantined]) -> Result<RecordBatch> {
    let rows = Rows(found);
    let columns = [
        ("id", rows.text(|piece| Some(piece.id.clone()))),
        ("log_file", rows.text(|piece| Some(piece.entry.log_file.clone()))),
        ("bucket", rows.text(|piece| piece.entry.bucket.clone())),
        ("key", rows.text(|piece| piece.entry.key.clone())),
        ("version_id", rows.text(|piece| piece.entry.version_id.clone())),
        ("reason", rows.text(|piece| Some(piece.entry.reason.clone()))),
        ("detail", rows.text(|piece| Some(piece.entry.detail.clone()))),
        ("record_index", rows.long(|piece| piece.entry.record_index)),
        ("byte_offset", rows.long(|piece| piece.entry.byte_offset)),
        ("byte_length", rows.long(|piece| piece.entry.byte_length)),
        ("quarantined_at", rows.time(|piece| Some(piece.quarantined_at))),
        ("status", rows.text(|piece| Some(piece.status.as_str().to_owned()))),
        ("resolved_at", rows.time(|piece| piece.resolved_at)),
        ("resolved_by", rows.text(|piece| piece.resolved_by.clone())),
    ];
    Ok(RecordBatch::try_from_iter_with_nullable(columns.map(|(name, column)| (name, column, true)))?)
}

struct Rows<'a>(&'a [Quarantined]);

impl Rows<'_> {
    fn text(&self, value: impl Fn(&Quarantined) -> Option<String>) -> ArrayRef {
        Arc::new(self.0.iter().map(value).collect::<StringArray>())
    }

    fn long(&self, value: impl Fn(&Quarantined) -> Option<u64>) -> ArrayRef {
        let values = self.0.iter().map(|piece| value(piece).and_then(|value| i64::try_from(value).ok()));
        Arc::new(values.collect::<Int64Array>())
    }

    fn time(&self, value: impl Fn(&Quarantined) -> Option<DateTime<Utc>>) -> ArrayRef {
        let values = self.0.iter().map(|piece| value(piece).map(|time| time.timestamp_micros()));
        Arc::new(values.collect::<TimestampMicrosecondArray>().with_timezone("UTC"))
    }
}
