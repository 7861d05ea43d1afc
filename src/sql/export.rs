//! Answers that become files: UNLOAD, and tables made by a query.

use std::io::{Seek, SeekFrom};
use std::sync::Arc;

use anyhow::{Context, Result, bail, ensure};
use arrow::datatypes::Schema;
use datafusion::catalog::TableProvider;
use datafusion::datasource::MemTable;
use datafusion::object_store::path::Path;
use datafusion::object_store::{ObjectStore, ObjectStoreExt, WriteMultipart};
use datafusion::prelude::{ParquetReadOptions, SessionContext};
use futures::TryStreamExt;
use tokio::io::AsyncReadExt as _;

use super::Answer;
use super::catalogue::{Catalogue, Entry};
use super::command::Properties;
use crate::lake::directory;
use crate::output::{self, Format, Options, counted};

/// Writes an answer to a file in the directory or below the S3 prefix `to`; says what was written.
pub(super) async fn unload(answer: Answer, to: &str, properties: &Properties) -> Result<String> {
    let format = format(properties)?;
    let (store, folder) = directory(to).await.with_context(|| format!("UNLOAD to '{to}'"))?;
    let first = store.list(Some(&folder)).try_next().await.with_context(|| format!("looking into '{to}'"))?;
    ensure!(
        first.is_none(),
        "HIVE_PATH_ALREADY_EXISTS: '{to}' is not empty: name a place where nothing is yet"
    );
    let extension = match format {
        Format::Parquet => "parquet",
        Format::Ndjson => "json",
        _ => "csv",
    };
    let path = folder.join(format!("part-00000.{extension}"));
    let rows = write(answer, format, store, &path).await.with_context(|| format!("writing to '{to}'"))?;
    let rows = counted(rows as u64, "row");
    Ok(format!("{rows} written to {}/part-00000.{extension}", to.trim_end_matches('/')))
}

/// Makes a table of an answer: a Parquet file in the lake, or rows in memory where there is no lake.
pub(super) async fn create_table(
    context: &SessionContext,
    catalogue: &Catalogue,
    name: &str,
    answer: Answer,
    properties: &Properties,
) -> Result<(Arc<dyn TableProvider>, String)> {
    // Wherever Athena would put the files and in whatever format, here they are Parquet in the lake.
    let elsewhere = properties.iter().any(|(name, _)| name == "external_location" || name == "format");
    let remark = if elsewhere { " (as Parquet, in the lake; UNLOAD writes elsewhere)" } else { "" };
    let (Some(store), Some(path)) = (catalogue.store(), catalogue.table_path(name)) else {
        let schema = Arc::new(nullable(&answer.schema));
        let rows: Vec<_> = answer.batches.try_collect().await?;
        let number: usize = rows.iter().map(arrow::array::RecordBatch::num_rows).sum();
        let table = Arc::new(MemTable::try_new(schema, vec![rows])?);
        catalogue.put(name, Entry::Table(Vec::new())).await?;
        return Ok((
            table,
            format!(
                "table {name} has {}, until the end: only a lake keeps tables",
                counted(number as u64, "row")
            ),
        ));
    };
    let rows = write(answer, Format::Parquet, store.clone(), &path).await?;
    let files = vec![path];
    catalogue.put(name, Entry::Table(files.clone())).await?;
    Ok((
        table(context, catalogue, &files).await?,
        format!("table {name} has {}{remark}", counted(rows as u64, "row")),
    ))
}

/// Adds the rows of an answer, which has the columns of the table, to a table in the lake.
pub(super) async fn append(
    context: &SessionContext,
    catalogue: &Catalogue,
    name: &str,
    answer: Answer,
) -> Result<(Arc<dyn TableProvider>, usize)> {
    let (Some(store), Some(path)) = (catalogue.store(), catalogue.part_path(name)) else {
        bail!("there is no lake that it could be in")
    };
    let rows = write(answer, Format::Parquet, store.clone(), &path).await?;
    let files = catalogue.add_part(name, path).await?;
    Ok((table(context, catalogue, &files).await?, rows))
}

/// The table whose files these are.
pub(super) async fn table(
    context: &SessionContext,
    catalogue: &Catalogue,
    files: &[Path],
) -> Result<Arc<dyn TableProvider>> {
    let addresses: Option<Vec<String>> = files.iter().map(|file| catalogue.address(file)).collect();
    let Some(addresses) = addresses.filter(|addresses| !addresses.is_empty()) else {
        bail!("there is no lake that it could be in")
    };
    let first = context.read_parquet(addresses[0].as_str(), ParquetReadOptions::default()).await?;
    let schema = nullable(first.schema().as_arrow());
    Ok(context.read_parquet(addresses, ParquetReadOptions::default().schema(&schema)).await?.into_view())
}

/// The columns as those of a table, which takes NULL in each, whatever the first rows had.
fn nullable(schema: &Schema) -> Schema {
    let fields = schema.fields().iter().map(|field| field.as_ref().clone().with_nullable(true));
    Schema::new(fields.collect::<Vec<_>>())
}

fn format(properties: &Properties) -> Result<Format> {
    let wanted = properties.iter().find(|(name, _)| name == "format").map(|(_, value)| value.to_uppercase());
    Ok(match wanted.as_deref() {
        None | Some("PARQUET") => Format::Parquet,
        Some("JSON") => Format::Ndjson,
        Some("TEXTFILE" | "CSV") => Format::Csv,
        Some(other) => bail!("NOT_SUPPORTED: UNLOAD writes PARQUET, JSON and TEXTFILE, not {other}"),
    })
}

/// Writes an answer to an object, through a file of its own, since an answer may be larger than memory.
async fn write(answer: Answer, format: Format, store: Arc<dyn ObjectStore>, path: &Path) -> Result<usize> {
    let mut file = tempfile::tempfile().context("making a temporary file")?;
    let written = output::write(answer, &Options::plain(format), &mut file).await?;
    file.seek(SeekFrom::Start(0))?;
    let mut file = tokio::fs::File::from_std(file);
    let mut upload = WriteMultipart::new(store.put_multipart(path).await?);
    let mut buffer = vec![0; 1 << 20];
    loop {
        let read = file.read(&mut buffer).await?;
        if read == 0 {
            break;
        }
        upload.write(&buffer[..read]);
        upload.wait_for_capacity(4).await?;
    }
    upload.finish().await?;
    Ok(written.rows)
}
