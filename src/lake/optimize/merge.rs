//! Sorted files to one sorted file, some rows of each at a time.
//!
//! A file is opened when its first row is due and closed after its last. What a day brings, commit by
//! commit, hardly overlaps, so that a thousand files are merged with a few of them open.

use std::cmp::Reverse;
use std::collections::{BinaryHeap, HashMap, VecDeque};
use std::sync::Arc;

use anyhow::{Context, Result, bail};
use arrow::array::RecordBatch;
use arrow::compute::{concat_batches, interleave_record_batch};
use arrow::datatypes::{Schema, SchemaRef};
use deltalake::logstore::object_store::path::Path;
use futures::{StreamExt, TryStreamExt};
use tokio_util::sync::CancellationToken;

use super::Unfit;
use super::plan::{Group, Member};
use crate::lake::action::Add;
use crate::lake::encode::{GATHER_ROWS, SortKey, sort_keys};
use crate::lake::stream::{self, FileWriter, Rows};
use crate::lake::table::{DataFile, Table};
use crate::lake::tables::Kind;

/// Rows that are read of a file at once.
const READ_ROWS: usize = 1024;

/// Files that are opened ahead.
const OPENED_AHEAD: usize = 4;

/// Runs of rows at least this long, on average, are copied as runs.
const LONG_RUN: usize = 16;

/// Merges the files of a group of `events` into one.
pub(crate) async fn merge(table: &Arc<Table>, group: &Group, stop: &CancellationToken) -> Result<Add> {
    let schema = stored_schema(Kind::Events);
    let first = &group.files.first().context("a group without files")?.file;
    let mut writer = FileWriter::beside(table, Kind::Events, &schema, first)?;
    let merged = write_merged(table, group, &schema, &mut writer, stop).await;
    let rows = writer.num_rows();
    match merged {
        Ok(()) if rows == group.num_records() => writer.finish().await,
        Ok(()) => {
            writer.abort().await;
            bail!("the log of {table} tells of {} rows, and their files hold {rows}", group.num_records())
        }
        Err(error) => {
            writer.abort().await;
            Err(error)
        }
    }
}

/// The columns of a table that its files have.
pub(crate) fn stored_schema(kind: Kind) -> SchemaRef {
    let schema = kind.schema();
    let stored =
        schema.fields().iter().filter(|field| !kind.partition_columns().contains(&field.name().as_str()));
    Arc::new(Schema::new(stored.cloned().collect::<Vec<_>>()))
}

async fn write_merged(
    table: &Table,
    group: &Group,
    schema: &SchemaRef,
    writer: &mut FileWriter,
    stop: &CancellationToken,
) -> Result<()> {
    let files: Vec<DataFile> = group.files.iter().map(|member| member.file.clone()).collect();
    let open = |file: DataFile| async move {
        let rows = stream::rows(table, &file, &[], READ_ROWS).await;
        let rows = rows.with_context(|| Unfit::unreadable(&file.path))?;
        if rows.schema().fields() != schema.fields() {
            bail!(Unfit::columns(&file.path));
        }
        Ok(rows)
    };
    let mut opened = futures::stream::iter(files).map(open).buffered(OPENED_AHEAD);
    let mut waiting: VecDeque<&Member> = group.files.iter().collect();
    let mut cursors: HashMap<usize, Cursor> = HashMap::new();
    let mut heap: BinaryHeap<Reverse<(SortKey, usize)>> = BinaryHeap::new();
    let mut chunk = Chunk::default();
    let mut number = 0;
    loop {
        while let Some(next) = waiting.front()
            && heap.peek().is_none_or(|Reverse((key, _))| next.first <= *key)
        {
            let rows = opened.try_next().await?.context("a file was opened for each")?;
            let cursor = Cursor::start(rows, next).await?;
            waiting.pop_front();
            if let Some(cursor) = cursor {
                heap.push(Reverse((cursor.key(), number)));
                cursors.insert(number, cursor);
                number += 1;
            }
        }
        let Some(Reverse((_, at))) = heap.pop() else { break };
        let others = heap.peek().map(|Reverse((key, _))| *key);
        let until = others.into_iter().chain(waiting.front().map(|next| next.first)).min();
        let cursor = cursors.get_mut(&at).context("a cursor for each entry")?;
        chunk.take(cursor, until);
        if chunk.rows >= GATHER_ROWS {
            if stop.is_cancelled() {
                bail!("told to stop");
            }
            writer.write(&chunk.gather(schema)?).await?;
            for cursor in cursors.values_mut() {
                cursor.place = None;
            }
        }
        let cursor = cursors.get_mut(&at).context("a cursor for each entry")?;
        if cursor.advance().await? {
            heap.push(Reverse((cursor.key(), at)));
        } else {
            cursors.remove(&at);
        }
    }
    if chunk.rows > 0 {
        writer.write(&chunk.gather(schema)?).await?;
    }
    Ok(())
}

/// Where the merge is in a file.
struct Cursor {
    path: Path,
    rows: Rows,
    batch: RecordBatch,
    keys: Vec<SortKey>,
    row: usize,
    /// The number of the batch in the chunk, once rows of it are there.
    place: Option<usize>,
}

impl Cursor {
    async fn start(rows: Rows, member: &Member) -> Result<Option<Self>> {
        let batch = RecordBatch::new_empty(rows.schema().clone());
        let path = member.file.path.clone();
        // As if a row that may be its first had been read.
        let mut cursor = Self { path, rows, batch, keys: vec![member.first], row: 1, place: None };
        Ok(cursor.advance().await?.then_some(cursor))
    }

    fn key(&self) -> SortKey {
        self.keys[self.row]
    }

    /// Makes sure that there is a row, unless the file is at its end.
    async fn advance(&mut self) -> Result<bool> {
        while self.row == self.keys.len() {
            let read = self.rows.try_next().await.with_context(|| Unfit::unreadable(&self.path))?;
            let Some(batch) = read else { return Ok(false) };
            let last = self.keys.last().copied();
            let keys = sort_keys(&batch)?;
            if !keys.is_sorted() || keys.first().copied().zip(last).is_some_and(|(key, last)| key < last) {
                bail!(Unfit::order(&self.path));
            }
            if !keys.is_empty() {
                (self.batch, self.keys, self.row, self.place) = (batch, keys, 0, None);
            }
        }
        Ok(true)
    }
}

/// Rows that will be written next: runs of rows of batches.
#[derive(Default)]
struct Chunk {
    batches: Vec<RecordBatch>,
    runs: Vec<(usize, usize, usize)>,
    rows: usize,
}

impl Chunk {
    /// Takes a cursor's rows up to those of others, as far as there is room.
    fn take(&mut self, cursor: &mut Cursor, until: Option<SortKey>) {
        let room = GATHER_ROWS - self.rows;
        let ahead = &cursor.keys[cursor.row..];
        let due = until.map_or(ahead.len(), |until| ahead.partition_point(|key| *key <= until));
        let len = due.max(1).min(room);
        let place = *cursor.place.get_or_insert_with(|| {
            self.batches.push(cursor.batch.clone());
            self.batches.len() - 1
        });
        self.runs.push((place, cursor.row, len));
        self.rows += len;
        cursor.row += len;
    }

    /// The rows in one batch; the chunk is empty afterwards.
    fn gather(&mut self, schema: &SchemaRef) -> Result<RecordBatch> {
        let Self { batches, runs, rows } = std::mem::take(self);
        if runs.len() * LONG_RUN <= rows {
            let slices: Vec<RecordBatch> =
                runs.iter().map(|(place, start, len)| batches[*place].slice(*start, *len)).collect();
            return Ok(concat_batches(schema, &slices)?);
        }
        let places: Vec<(usize, usize)> = runs
            .iter()
            .flat_map(|(place, start, len)| (*start..start + len).map(|row| (*place, row)))
            .collect();
        Ok(interleave_record_batch(&batches.iter().collect::<Vec<_>>(), &places)?)
    }
}
