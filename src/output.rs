//! Answers as text: a table for people, CSV, JSON and Parquet for programs.
//!
//! Every format but the table is written as the rows come, so that an answer may be larger than
//! memory. It knows nothing of where the rows came from.

use std::io::{self, IsTerminal, Write};
use std::time::{Duration, Instant};

use anyhow::{Context, Result};
use arrow::datatypes::{Schema, SchemaRef};
use arrow::record_batch::{RecordBatch, RecordBatchOptions};
use futures::StreamExt;

use crate::sql::Answer;

mod csv;
mod json;
mod number;
mod parquet;
mod table;
mod text;

pub use number::{counted, thousands};
pub use text::escape;

/// How rows are written.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
pub enum Format {
    /// A table for people; the default on a terminal.
    Table,
    /// Comma-separated (RFC 4180) with a header; NULL is empty, an empty text is "".
    Csv,
    /// One JSON array of objects.
    Json,
    /// One JSON object on each line.
    Ndjson,
    /// An Apache Parquet file.
    Parquet,
}

/// How an answer is to look.
#[derive(Clone, Debug)]
pub struct Options {
    /// The format.
    pub format: Format,
    /// The most rows that a table shows; none shows all.
    pub max_rows: Option<usize>,
    /// The width of the terminal; none lets lines be as long as they are.
    pub width: Option<u16>,
    /// Whether a person reads this on a terminal: no control character gets there in any format.
    pub terminal: bool,
    /// Whether a table may have colour.
    pub color: bool,
    /// Whether line breaks inside values are to be kept, as for the plan of `EXPLAIN`.
    pub keep_lines: bool,
}

impl Options {
    /// Options for a program or a file.
    pub fn plain(format: Format) -> Self {
        Self { format, max_rows: None, width: None, terminal: false, color: false, keep_lines: false }
    }
}

/// What was written.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Summary {
    /// The rows written.
    pub rows: usize,
    /// The rows that a table left out.
    pub left_out: usize,
    /// Whether there are still more rows, uncounted.
    pub more: bool,
}

/// How long the rows beyond a table's last one are counted before it says "more than".
const COUNTING: Duration = Duration::from_secs(2);

enum Writer<'a> {
    Table(table::Table<'a>),
    Csv(csv::Csv<'a>),
    Json(json::Json<'a>),
    Parquet(Box<parquet::Parquet<&'a mut (dyn Write + Send)>>),
}

/// Writes a whole answer to `out`.
pub async fn write(answer: Answer, options: &Options, out: &mut (dyn Write + Send)) -> Result<Summary> {
    // Members of an object and columns of a file need names of their own; a heading may stand twice.
    let schema = match options.format {
        Format::Table | Format::Csv => answer.schema.clone(),
        Format::Json | Format::Ndjson | Format::Parquet => distinct_names(&answer.schema),
    };
    let mut batches = answer.batches;
    let mut writer = Writer::begin(&schema, options, out)?;
    let mut summary = Summary::default();
    let limit = options.max_rows.filter(|_| options.format == Format::Table).unwrap_or(usize::MAX);
    let mut full_since: Option<Instant> = None;
    while let Some(batch) = batches.next().await {
        let batch = batch?;
        let room = (limit - summary.rows).min(batch.num_rows());
        summary.left_out += batch.num_rows() - room;
        summary.rows += room;
        writer.batch(&renamed(&batch.slice(0, room), &schema)?)?;
        if summary.rows == limit {
            let since = *full_since.get_or_insert_with(Instant::now);
            summary.more = since.elapsed() > COUNTING;
            if summary.more {
                break;
            }
        }
    }
    writer.finish()?;
    Ok(summary)
}

/// The same rows under other names.
fn renamed(batch: &RecordBatch, schema: &SchemaRef) -> Result<RecordBatch> {
    let options = RecordBatchOptions::new().with_row_count(Some(batch.num_rows()));
    Ok(RecordBatch::try_new_with_options(schema.clone(), batch.columns().to_vec(), &options)?)
}

impl<'a> Writer<'a> {
    fn begin(schema: &SchemaRef, options: &Options, out: &'a mut (dyn Write + Send)) -> Result<Self> {
        Ok(match options.format {
            Format::Table => Self::Table(table::Table::new(schema, options, out)),
            Format::Csv => Self::Csv(csv::Csv::begin(schema, options.terminal, out)?),
            Format::Json => Self::Json(json::Json::array(out)),
            Format::Ndjson => Self::Json(json::Json::lines(out)),
            Format::Parquet => Self::Parquet(Box::new(parquet::Parquet::begin(schema, out)?)),
        })
    }

    fn batch(&mut self, batch: &RecordBatch) -> Result<()> {
        match self {
            Self::Table(table) => table.batch(batch),
            Self::Csv(csv) => csv.batch(batch),
            Self::Json(json) => json.batch(batch),
            Self::Parquet(parquet) => parquet.batch(batch),
        }
    }

    fn finish(self) -> Result<()> {
        match self {
            Self::Table(table) => table.finish(),
            Self::Csv(csv) => csv.finish(),
            Self::Json(json) => json.finish(),
            Self::Parquet(parquet) => parquet.finish(),
        }
    }
}

/// The rows as CSV, in one string.
pub fn to_csv(batches: &[RecordBatch]) -> String {
    let mut out = Vec::new();
    let write = |out: &mut Vec<u8>| -> Result<()> {
        let Some(first) = batches.first() else { return Ok(()) };
        let mut csv = csv::Csv::begin(&first.schema(), false, out)?;
        batches.iter().try_for_each(|batch| csv.batch(batch))?;
        csv.finish()
    };
    // Writing into memory cannot fail; a value that cannot be formatted ends the text early.
    if let Err(error) = write(&mut out) {
        tracing::error!(%error, "answer not written");
    }
    String::from_utf8_lossy(&out).into_owned()
}

/// An error with its causes, each once: some of them repeat their own cause in their words.
pub fn causes(error: &anyhow::Error) -> String {
    let mut told = String::new();
    for cause in error.chain().map(ToString::to_string) {
        if !told.contains(&cause) {
            let colon = if told.is_empty() { "" } else { ": " };
            told.push_str(colon);
            told.push_str(&cause);
        }
    }
    told
}

/// Whether `error` is only that nobody reads any more, as behind `| head`.
pub fn is_broken_pipe(error: &anyhow::Error) -> bool {
    let broken = |io: &io::Error| io.kind() == io::ErrorKind::BrokenPipe;
    error.chain().any(|cause| cause.downcast_ref::<io::Error>().is_some_and(broken))
}

/// Whether tables may have colour: on a terminal, unless `NO_COLOR` is set.
pub fn wants_color() -> bool {
    io::stdout().is_terminal() && std::env::var_os("NO_COLOR").is_none_or(|value| value.is_empty())
}

/// The width of the terminal that standard output is, if it is one.
pub fn terminal_width() -> Option<u16> {
    if !io::stdout().is_terminal() {
        return None;
    }
    comfy_table::Table::new().width()
}

/// Columns of one name get numbers, since JSON objects and Parquet files cannot have two of a name.
fn distinct_names(schema: &SchemaRef) -> SchemaRef {
    let mut taken: std::collections::HashSet<String> = std::collections::HashSet::new();
    let mut fields = Vec::with_capacity(schema.fields().len());
    for field in schema.fields() {
        let mut name = field.name().clone();
        let mut number = 1;
        while !taken.insert(name.clone()) {
            number += 1;
            name = format!("{}_{number}", field.name());
        }
        fields.push(field.as_ref().clone().with_name(name));
    }
    Schema::new(fields).into()
}

/// Adds what failed to an error of writing.
fn written<T>(result: io::Result<T>) -> Result<T> {
    result.context("writing the answer")
}

#[cfg(test)]
pub(crate) mod testing {
    use futures::StreamExt;

    use super::*;

    pub(crate) async fn written(batches: Vec<RecordBatch>, options: &Options) -> (String, Summary) {
        let schema = batches[0].schema();
        let batches = futures::stream::iter(batches.into_iter().map(Ok)).boxed();
        let mut out = Vec::new();
        let summary = write(Answer { schema, batches, note: None }, options, &mut out).await.unwrap();
        (String::from_utf8(out).unwrap(), summary)
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use arrow::array::{ArrayRef, Int64Array};

    use super::*;

    #[test]
    fn equal_names_are_numbered() {
        let one: ArrayRef = Arc::new(Int64Array::from(vec![1]));
        let field = |name: &str| arrow::datatypes::Field::new(name, one.data_type().clone(), true);
        let schema = Schema::new(vec![field("a"), field("a"), field("a_2"), field("a")]);
        let names = distinct_names(&Arc::new(schema));
        let names: Vec<_> = names.fields().iter().map(|field| field.name().as_str()).collect();
        assert_eq!(names, ["a", "a_2", "a_2_2", "a_3"]);
    }
}
