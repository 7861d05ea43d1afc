//! The small tables: a group of their files is sorted in memory, and split by month.

use std::collections::BTreeMap;
use std::sync::Arc;

use anyhow::{Context, Result, bail};
use arrow::array::{Array, ArrayRef, AsArray, RecordBatch};
use arrow::compute::{SortColumn, SortOptions, concat_batches, lexsort_to_indices, take_record_batch};
use arrow::datatypes::{Date32Type, TimestampMicrosecondType};
use chrono::{DateTime, Datelike};
use futures::TryStreamExt;

use super::Unfit;
use super::merge::stored_schema;
use super::plan::Group;
use crate::lake::action::Add;
use crate::lake::encode::{self, Encoded};
use crate::lake::stream;
use crate::lake::table::Table;
use crate::lake::tables::Kind;

/// Rows that are read at once: a row of quarantine may be large.
const READ_ROWS: usize = 1024;

/// Writes the files that take the place of a group.
pub(crate) async fn rewrite(table: &Arc<Table>, kind: Kind, group: &Group) -> Result<Vec<Add>> {
    let schema = stored_schema(kind);
    let mut batches = vec![];
    for member in &group.files {
        let unreadable = || Unfit::unreadable(&member.file.path);
        let mut rows = stream::rows(table, &member.file, &[], READ_ROWS).await.with_context(unreadable)?;
        if rows.schema().fields() != schema.fields() {
            bail!(Unfit::columns(&member.file.path));
        }
        while let Some(batch) = rows.try_next().await.with_context(unreadable)? {
            batches.push(batch);
        }
    }
    let rows = concat_batches(&schema, &batches)?;
    drop(batches);
    if rows.num_rows() as u64 != group.num_records() {
        let (told, found) = (group.num_records(), rows.num_rows());
        bail!("the log of {table} tells of {told} rows, and their files hold {found}");
    }
    let mut adds = vec![];
    for Encoded { add, bytes } in encoded(kind, &rows)? {
        let written = table.put_file(&add.path, bytes).await;
        adds.push(add);
        if let Err(error) = written {
            table.delete_files(&adds).await;
            return Err(error);
        }
    }
    Ok(adds)
}

fn encoded(kind: Kind, rows: &RecordBatch) -> Result<Vec<Encoded>> {
    let sorted = sorted(kind, rows)?;
    let files = by_month(kind, &sorted)?;
    files.into_iter().map(|rows| encode::encode_rows(kind, rows)).collect()
}

/// The order in which a table is read: by its dates, and what is read together stands together.
fn sorted(kind: Kind, rows: &RecordBatch) -> Result<RecordBatch> {
    let columns: &[&str] = match kind {
        Kind::LogFiles => &["log_date", "account", "region", "log_file", "revision"],
        Kind::Digests => &["digest_end_time", "account", "region", "digest", "checked_at"],
        Kind::Quarantine => &["quarantined_at", "id", "status"],
        Kind::Events => bail!("events are merged, not sorted anew"),
    };
    let options = Some(SortOptions { descending: false, nulls_first: false });
    let columns = columns.iter().map(|name| {
        let values = rows.column_by_name(name).with_context(|| format!("rows without {name}"))?;
        Ok(SortColumn { values: values.clone(), options })
    });
    let order = lexsort_to_indices(&columns.collect::<Result<Vec<_>>>()?, None)?;
    Ok(take_record_batch(rows, &order)?)
}

/// Sorted rows by the month of their date, those without one by themselves. Who asks for a day then
/// reads the file of a month.
fn by_month(kind: Kind, rows: &RecordBatch) -> Result<Vec<RecordBatch>> {
    let column = |name: &str| rows.column_by_name(name).with_context(|| format!("rows without {name}"));
    let months: Vec<Option<(i32, u32)>> = match kind {
        Kind::LogFiles => months_of_dates(column("log_date")?)?,
        Kind::Digests => months_of_times(column("digest_end_time")?)?,
        Kind::Quarantine | Kind::Events => return Ok(vec![rows.clone()]),
    };
    let mut ranges: BTreeMap<Option<(i32, u32)>, (usize, usize)> = BTreeMap::new();
    for (row, month) in months.into_iter().enumerate() {
        ranges.entry(month).or_insert((row, 0)).1 += 1;
    }
    Ok(ranges.into_values().map(|(start, len)| rows.slice(start, len)).collect())
}

fn months_of_dates(dates: &ArrayRef) -> Result<Vec<Option<(i32, u32)>>> {
    let dates = dates.as_primitive_opt::<Date32Type>().context("not a date")?;
    let month = |row| dates.value_as_date(row).map(|date| (date.year(), date.month()));
    Ok((0..dates.len()).map(|row| dates.is_valid(row).then(|| month(row)).flatten()).collect())
}

fn months_of_times(times: &ArrayRef) -> Result<Vec<Option<(i32, u32)>>> {
    let times = times.as_primitive_opt::<TimestampMicrosecondType>().context("not a time")?;
    let month = |micros| DateTime::from_timestamp_micros(micros).map(|time| (time.year(), time.month()));
    Ok((0..times.len()).map(|row| times.is_valid(row).then(|| month(times.value(row))).flatten()).collect())
}
