//! Log files as a table, read in place at every query: SQL without a lake.

use std::sync::Arc;

use anyhow::{Result, bail};
use arrow::array::RecordBatch;
use arrow::datatypes::SchemaRef;
use datafusion::catalog::TableProvider;
use datafusion::catalog::streaming::StreamingTable;
use datafusion::error::DataFusionError;
use datafusion::execution::TaskContext;
use datafusion::physical_plan::SendableRecordBatchStream;
use datafusion::physical_plan::stream::RecordBatchReceiverStreamBuilder;
use datafusion::physical_plan::streaming::PartitionStream;
use tracing::warn;

use super::load::origin;
use crate::event::{EventBuilder, schema};
use crate::log_file::{Limits, LogFile};
use crate::source::{self, Candidate, Filter, Ignored, Place};
use crate::store::{S3, read_local};

/// Rows that are handed on at once.
const BATCH_ROWS: usize = 8192;

/// A table of the events in `sources`: files, directories, globs, `s3://bucket/prefix`.
///
/// Only names are read now. Each query reads the files, in parallel and in constant memory; what
/// is no record in them is left out with a warning.
pub async fn table_from(sources: &[String]) -> Result<Arc<dyn TableProvider>> {
    let files = list_all(sources).await?;
    if files.is_empty() {
        bail!(
            "no log files in {}: CloudTrail's are called …_CloudTrail_….json.gz; name others one by one or by a glob",
            sources.join(", ")
        );
    }
    let store = Arc::new(S3::new());
    let parts = super::cores().min(files.len());
    let mut shares: Vec<Vec<Candidate>> = (0..parts).map(|_| Vec::new()).collect();
    for (index, file) in files.into_iter().enumerate() {
        shares[index % parts].push(file);
    }
    let partition = |files: Vec<Candidate>| -> Arc<dyn PartitionStream> {
        Arc::new(Files { schema: schema::schema(), candidates: files.into(), store: store.clone() })
    };
    let table = StreamingTable::try_new(schema::schema(), shares.into_iter().map(partition).collect())?;
    Ok(Arc::new(table))
}

async fn list_all(sources: &[String]) -> Result<Vec<Candidate>> {
    let (sender, mut receiver) = tokio::sync::mpsc::channel(1000);
    let (filter, ignored, store) = (Filter::default(), Arc::new(Ignored::default()), S3::new());
    let listing = source::list(sources, None, &filter, &store, &ignored, sender, None);
    let collecting = async {
        let mut files = Vec::new();
        while let Some(file) = receiver.recv().await {
            files.push(file);
        }
        files
    };
    let (listed, mut files) = tokio::join!(listing, collecting);
    listed?;
    let mut met = std::collections::HashSet::new();
    files.retain(|file| met.insert(file.log_file.clone()));
    Ok(files)
}

/// One partition: its share of the files.
#[derive(Debug)]
struct Files {
    schema: SchemaRef,
    candidates: Arc<[Candidate]>,
    store: Arc<S3>,
}

impl PartitionStream for Files {
    fn schema(&self) -> &SchemaRef {
        &self.schema
    }

    fn execute(&self, _: Arc<TaskContext>) -> SendableRecordBatchStream {
        let mut builder = RecordBatchReceiverStreamBuilder::new(self.schema.clone(), 2);
        let (output, files, store) = (builder.tx(), self.candidates.clone(), self.store.clone());
        builder.spawn_blocking(move || {
            let runtime = tokio::runtime::Handle::current();
            let mut reader = Reader { events: EventBuilder::new(), limits: Limits::default() };
            for file in files.iter() {
                let bytes = match &file.place {
                    Place::Local(path) => read_local(path, reader.limits.compressed),
                    Place::S3(object) => runtime.block_on(store.get(object, reader.limits.compressed)),
                };
                let bytes = bytes.map_err(|error| DataFusionError::External(error.into()))?;
                reader.read(file, &bytes);
                if reader.events.rows() >= BATCH_ROWS && !send(&output, reader.events.finish()) {
                    return Ok(());
                }
            }
            if reader.events.rows() > 0 {
                send(&output, reader.events.finish());
            }
            Ok(())
        });
        builder.build()
    }
}

/// `false` when the query wants no more.
fn send(
    output: &tokio::sync::mpsc::Sender<datafusion::error::Result<RecordBatch>>,
    batch: RecordBatch,
) -> bool {
    output.blocking_send(Ok(batch)).is_ok()
}

struct Reader {
    events: EventBuilder,
    limits: Limits,
}

impl Reader {
    fn read(&mut self, candidate: &Candidate, bytes: &[u8]) {
        let log_file = &candidate.log_file;
        let file = match LogFile::read(bytes, &self.limits) {
            Ok(file) => file,
            Err(error) => return warn!(log_file, error = error.to_string(), "left out"),
        };
        match self.events.append(&file, &origin(candidate), self.limits.records) {
            Ok(appended) => {
                for broken in appended.broken {
                    let (index, detail) = (broken.record_index, broken.detail);
                    warn!(log_file, index, reason = broken.reason, detail, "left out");
                }
            }
            Err(error) => warn!(log_file, error = error.to_string(), "left out"),
        }
    }
}
