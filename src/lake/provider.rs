//! A table of the lake for DataFusion: the log says which files a query must look into, and
//! DataFusion's own Parquet source reads them.

mod parts;

use std::sync::Arc;

use arrow::array::{Array, AsArray};
use arrow::datatypes::{Date32Type, Field, Schema, SchemaRef, UInt64Type};
use async_trait::async_trait;
use chrono::DateTime;
use datafusion::catalog::{Session, TableProvider};
use datafusion::common::stats::Precision;
use datafusion::common::tree_node::TreeNode;
use datafusion::common::{Column, DFSchema, Result, ScalarValue, Statistics};
use datafusion::config::TableParquetOptions;
use datafusion::datasource::TableType;
use datafusion::datasource::listing::PartitionedFile;
use datafusion::datasource::memory::MemorySourceConfig;
use datafusion::datasource::object_store::ObjectStoreUrl;
use datafusion::datasource::physical_plan::parquet::CachedParquetFileReaderFactory;
use datafusion::datasource::physical_plan::{
    FileGroup, FileScanConfigBuilder, FileSource, ParquetFileReaderFactory, ParquetSource,
};
use datafusion::datasource::source::{DataSource, DataSourceExec};
use datafusion::datasource::table_schema::TableSchema;
use datafusion::logical_expr::utils::conjunction;
use datafusion::logical_expr::{Expr, TableProviderFilterPushDown};
use datafusion::physical_optimizer::pruning::PruningPredicateBuilder;
use datafusion::physical_plan::ExecutionPlan;
use datafusion::physical_plan::metrics::MetricBuilder;
use datafusion::physical_plan::union::UnionExec;
use deltalake::logstore::object_store::ObjectMeta;
use deltalake::logstore::object_store::path::Path;
use url::Url;

use self::parts::{Known, Part, Request};
use super::bounds::FileBounds;
use super::dates::Dates;
use super::derived::{Derived, Origin};
use super::file_stats::FileStats;
use super::members::{Readers, Wanted};
use super::parallel;
use super::shown::Shown;
use super::table::DataFile;
use super::tables::Kind;
use super::views::with_views;
use crate::event::schema::{EVENT_DATE, EVENT_TIME, LOG_DATE};

/// Above this many files in a scan, their statistics by themselves would take more memory than they
/// save: some 20 kB each, since DataFusion keeps every column's.
const MAX_FILES_WITH_STATISTICS: usize = 512;

/// Above this many, their indexes of pages would drive the footers out of the session's memory of footers: they
/// take several times as much. A needle is in few files, however many are looked through.
const MAX_FILES_WITH_PAGE_INDEX: usize = 64;

/// What the rows of a file, or the files themselves, are in order of.
const SORTED_BY: [&str; 3] = [EVENT_DATE, EVENT_TIME, "eventtime"];

/// A table at one version.
#[derive(Debug)]
pub(crate) struct LakeTable {
    /// What it is called.
    name: &'static str,
    /// The columns that queries see, stored and derived.
    schema: SchemaRef,
    /// Where each of them comes from.
    columns: Vec<Origin>,
    /// What the derived ones are derived from.
    derived: Option<Derived>,
    /// The stored columns, with view types, which share what the Parquet pages hold instead of copying it.
    source_schema: TableSchema,
    store_url: ObjectStoreUrl,
    files: Vec<PartitionedFile>,
    /// The same as the log has them.
    data_files: Arc<[DataFile]>,
    bounds: Arc<FileBounds>,
}

impl LakeTable {
    /// Builds the provider over the files of a snapshot.
    pub(crate) fn new(kind: Kind, root: &Url, schema: &Schema, files: &Arc<[DataFile]>) -> Result<Self> {
        let schema = with_views(schema);
        let is_partition = |field: &&Arc<Field>| kind.partition_columns().contains(&field.name().as_str());
        let (partition, stored): (Vec<_>, Vec<_>) = schema.fields().iter().partition(is_partition);
        let partition: Vec<_> = partition.into_iter().cloned().collect();
        let stored: Vec<_> = stored.into_iter().cloned().collect();
        let stats = parallel::map(files, files.len(), |file| FileStats::parse(file.stats.as_deref()));
        let table = Path::from_url_path(root.path())?;
        let partitioned =
            parallel::map(files, files.len(), |file| partitioned_file(&table, file, &partition));
        let partitioned = partitioned.into_iter().collect::<Result<Vec<_>>>()?;
        let bounds = FileBounds::new(kind, &schema, &partition, &partitioned, &stats)?;
        let source_schema =
            TableSchema::builder(Arc::new(Schema::new(stored))).with_table_partition_cols(partition).build();
        let schema = source_schema.table_schema().clone();
        Ok(Self {
            name: kind.name(),
            columns: (0..schema.fields().len()).map(Origin::Stored).collect(),
            schema,
            derived: None,
            source_schema,
            store_url: store_url(root)?,
            files: partitioned,
            data_files: files.clone(),
            bounds: Arc::new(bounds),
        })
    }

    /// Adds the columns that the lake's facts give, and leaves out rows that others have replaced.
    #[must_use]
    pub(crate) fn with_derived(mut self, derived: Derived) -> Self {
        let (schema, columns) = derived.columns(self.stored());
        (self.schema, self.columns, self.derived) = (schema, columns, Some(derived));
        self
    }

    /// The stored columns.
    fn stored(&self) -> &SchemaRef {
        self.source_schema.table_schema()
    }

    /// Whether an expression needs stored columns only.
    fn is_stored(&self, filter: &Expr) -> bool {
        filter.column_refs().iter().all(|column| !self.is_derived_column(column))
    }

    /// Whether it needs derived columns only, and nothing that is not known before the query runs.
    fn is_derived(&self, filter: &Expr) -> bool {
        let columns = filter.column_refs();
        let unknown = |expr: &Expr| {
            Ok(matches!(
                expr,
                Expr::ScalarSubquery(_)
                    | Expr::InSubquery(_)
                    | Expr::Exists(_)
                    | Expr::SetComparison(_)
                    | Expr::OuterReferenceColumn(..)
                    | Expr::Placeholder(_)
            ))
        };
        !columns.is_empty()
            && columns.iter().all(|column| self.is_derived_column(column))
            && !filter.is_volatile()
            && !filter.exists(unknown).unwrap_or(true)
    }

    fn is_derived_column(&self, column: &Column) -> bool {
        let found = self.schema.column_with_name(&column.name);
        found.is_some_and(|(at, _)| self.columns[at].is_derived())
    }

    /// Which files may hold rows that pass these filters.
    fn prune(&self, state: &dyn Session, filters: &[Expr]) -> Result<Vec<bool>> {
        let Some(predicate) = conjunction(filters.iter().cloned()) else {
            return Ok(vec![true; self.files.len()]);
        };
        let schema = DFSchema::try_from(self.stored().clone())?;
        let predicate = state.create_physical_expr(predicate, &schema)?;
        let predicate =
            PruningPredicateBuilder::new().with_file_schema(self.stored().clone()).try_build(predicate)?;
        predicate.prune(self.bounds.as_ref())
    }

    /// Whether every file's pages may tell where no row passes one of these filters. Conditions on times say it of
    /// the first and the last file; of others DataFusion sees that all rows pass, and does not look at pages.
    fn prune_pages(&self, state: &dyn Session, filters: &[Expr]) -> Result<bool> {
        let schema = DFSchema::try_from(self.stored().clone())?;
        let is_of_times = |filter: &&Expr| {
            filter.column_refs().iter().all(|column| SORTED_BY.contains(&column.name.as_str()))
        };
        for filter in filters.iter().filter(|filter| !is_of_times(filter)) {
            let predicate = state.create_physical_expr(filter.clone(), &schema)?;
            let pages = PruningPredicateBuilder::new().with_file_schema(self.stored().clone());
            if !pages.try_build(predicate)?.always_true() {
                return Ok(true);
            }
        }
        Ok(false)
    }

    /// The reader of so many files, which skips row groups in which `filters` let no row through.
    fn source(&self, state: &dyn Session, filters: &[Expr], files: usize) -> Result<Arc<ParquetSource>> {
        let mut options = TableParquetOptions {
            global: state.config_options().execution.parquet.clone(),
            ..TableParquetOptions::default()
        };
        let store = state.runtime_env().object_store(&self.store_url)?;
        let footers = state.runtime_env().cache_manager.get_file_metadata_cache();
        let mut readers: Arc<dyn ParquetFileReaderFactory> =
            Arc::new(CachedParquetFileReaderFactory::new(store, footers));
        let wanted = Wanted::by(filters);
        if wanted.is_of_columns() {
            // Ours reads a block of a filter where DataFusion would read all of it.
            options.global.bloom_filter_on_read = false;
        }
        let with_page_index =
            wanted.is_needle() || (files <= MAX_FILES_WITH_PAGE_INDEX && self.prune_pages(state, filters)?);
        if wanted != Wanted::All || with_page_index {
            readers = Arc::new(Readers::new(readers, wanted, with_page_index));
        }
        let source = ParquetSource::new(self.source_schema.clone())
            .with_table_parquet_options(options)
            .with_pushdown_filters(true)
            .with_reorder_filters(true)
            .with_parquet_file_reader_factory(readers);
        Ok(Arc::new(source))
    }

    /// Statistics over the chosen files; without a filter `count(*)` needs nothing else.
    fn statistics_of(&self, chosen: &[usize], schema: &SchemaRef) -> Statistics {
        let mut statistics = Statistics::new_unknown(schema);
        let rows: Option<u64> = chosen.iter().map(|file| self.bounds.rows[*file]).sum();
        statistics.num_rows = rows.map_or(Precision::Absent, |rows| Precision::Exact(to_usize(rows)));
        let bytes = chosen.iter().map(|file| self.files[*file].object_meta.size).sum();
        statistics.total_byte_size = Precision::Inexact(to_usize(bytes));
        statistics
    }
}

#[async_trait]
impl TableProvider for LakeTable {
    fn schema(&self) -> SchemaRef {
        self.schema.clone()
    }

    fn table_type(&self) -> TableType {
        TableType::Base
    }

    fn supports_filters_pushdown(&self, filters: &[&Expr]) -> Result<Vec<TableProviderFilterPushDown>> {
        // Files are chosen by what may match; the scan's own row filter decides. What derived columns must be
        // leaves whole files out, or is asked of each row.
        let support = |filter: &&Expr| {
            if self.is_stored(filter) {
                TableProviderFilterPushDown::Inexact
            } else if self.is_derived(filter) {
                TableProviderFilterPushDown::Exact
            } else {
                TableProviderFilterPushDown::Unsupported
            }
        };
        Ok(filters.iter().map(support).collect())
    }

    fn statistics(&self) -> Option<Statistics> {
        let all: Vec<usize> = (0..self.files.len()).collect();
        let statistics = self.statistics_of(&all, &self.schema);
        let may_replace = self.derived.as_ref().is_some_and(Derived::may_replace);
        Some(if may_replace { statistics.to_inexact() } else { statistics })
    }

    async fn scan(
        &self,
        state: &dyn Session,
        projection: Option<&Vec<usize>>,
        filters: &[Expr],
        limit: Option<usize>,
    ) -> Result<Arc<dyn ExecutionPlan>> {
        let (derived_filters, filters): (Vec<Expr>, Vec<Expr>) =
            filters.iter().cloned().partition(|filter| self.is_derived(filter));
        let filters: Vec<Expr> = filters.into_iter().filter(|filter| self.is_stored(filter)).collect();
        let wanted: Vec<usize> = projection.cloned().unwrap_or_else(|| (0..self.columns.len()).collect());
        let keep = self.prune(state, &filters)?;
        let mut chosen: Vec<usize> = (0..self.files.len()).filter(|file| keep[*file]).collect();
        let replaced = match &self.derived {
            Some(derived) => derived.replaced().await?,
            None => None,
        };
        let limit = limit.filter(|_| replaced.is_none() && derived_filters.is_empty());
        if let (Some(limit), true) = (limit, filters.is_empty()) {
            chosen.truncate(self.files_for(&chosen, limit));
        }
        let origins: Vec<Origin> = wanted.iter().map(|column| self.columns[*column]).collect();
        let request = Request { state, wanted, origins, filters, derived_filters, limit, replaced };
        let parts = self.parts(&request, chosen).await?;
        let mut left_out = self.files.len() - parts.iter().map(|part| part.files.len()).sum::<usize>();
        let mut plans = Vec::with_capacity(parts.len());
        for part in &parts {
            plans.push(self.plan(&request, part, std::mem::take(&mut left_out)).await?);
        }
        if plans.is_empty() {
            // A scan of no files has no partition, and plans that need exactly one would fail.
            let schema = Arc::new(self.schema.project(&request.wanted)?);
            let empty = MemorySourceConfig::try_new(&[vec![]], schema, None)?;
            return Ok(self.shown(empty, &Part { files: vec![], known: Known::Nothing }));
        }
        UnionExec::try_new(plans)
    }
}

impl LakeTable {
    /// The scan of some files and stored columns.
    fn source_over(
        &self,
        request: &Request<'_>,
        part: &Part,
        columns: &[usize],
        left_out: usize,
    ) -> Result<Arc<dyn ExecutionPlan>> {
        let (state, chosen) = (request.state, &part.files);
        let with_statistics = chosen.len() <= MAX_FILES_WITH_STATISTICS;
        let files = chosen.iter().map(|file| {
            let partitioned = self.files[*file].clone();
            if with_statistics {
                self.bounds.attach(*file, partitioned, &self.source_schema)
            } else {
                partitioned
            }
        });
        let groups = FileGroup::new(files.collect()).split_files(state.config().target_partitions());
        let source = self.source(state, &request.filters, chosen.len())?;
        MetricBuilder::new(source.metrics()).global_counter("files_total").add(chosen.len() + left_out);
        MetricBuilder::new(source.metrics()).global_counter("files_pruned").add(left_out);
        let config = FileScanConfigBuilder::new(self.store_url.clone(), source)
            .with_file_groups(groups)
            .with_statistics(self.statistics_of(chosen, self.stored()))
            .with_projection_indices(Some(columns.to_vec()))?
            .with_limit(request.limit)
            .build();
        Ok(self.shown(config, part))
    }

    /// A scan that tells how many files it is of.
    fn shown(&self, source: impl DataSource, part: &Part) -> Arc<dyn ExecutionPlan> {
        let mut told = format!("table={}, files={} of {}", self.name, part.files.len(), self.files.len());
        match part.known {
            Known::All(verdict) => told = format!("{told}, integrity={}", verdict.state()),
            Known::Most(verdict) => told = format!("{told}, integrity={} mostly", verdict.state()),
            Known::Nothing => {}
        }
        DataSourceExec::from_data_source(Shown::new(Arc::new(source), &told))
    }

    /// Between which dates the log files lie that the rows of some files come from.
    pub(crate) fn log_dates(&self, chosen: &[usize]) -> Dates {
        let Some(bounds) = self.bounds.columns.get(LOG_DATE) else { return Dates::all() };
        let (min, max) =
            (bounds.min.as_primitive_opt::<Date32Type>(), bounds.max.as_primitive_opt::<Date32Type>());
        let (Some(min), Some(max)) = (min, max) else { return Dates::all() };
        let range = |file: &usize| Some(min.value_as_date(*file)?..=max.value_as_date(*file)?);
        // Where no row has a date, none has a name that a digest could list.
        let undated = |file: &usize| {
            let nulls = bounds.null_count.as_primitive_opt::<UInt64Type>();
            nulls.is_some_and(|nulls| {
                nulls.is_valid(*file) && self.bounds.rows[*file] == Some(nulls.value(*file))
            })
        };
        let ranges: Option<Vec<_>> = chosen.iter().filter(|file| !undated(file)).map(range).collect();
        ranges.map_or_else(Dates::all, Dates::of)
    }

    /// How many of the chosen files suffice for so many rows.
    fn files_for(&self, chosen: &[usize], limit: usize) -> usize {
        let mut rows = 0;
        for (count, file) in chosen.iter().enumerate() {
            if rows >= limit as u64 {
                return count;
            }
            rows += self.bounds.rows[*file].unwrap_or(0);
        }
        chosen.len()
    }
}

fn partitioned_file(table: &Path, file: &DataFile, partition: &[Arc<Field>]) -> Result<PartitionedFile> {
    // Both are spelt as paths are already.
    let location = Path::parse(format!("{table}/{}", file.path))?;
    let last_modified = DateTime::from_timestamp_millis(file.modification_time).unwrap_or_default();
    let mut partitioned = PartitionedFile::new_from_meta(ObjectMeta {
        location,
        last_modified,
        size: file.size,
        e_tag: None,
        version: None,
    });
    for field in partition {
        let value = file.partition_values.iter().find(|(name, _)| name == field.name());
        let value = value.and_then(|(_, value)| value.as_deref()).filter(|value| !value.is_empty());
        partitioned.partition_values.push(match value {
            Some(value) => ScalarValue::try_from_string(value.to_owned(), field.data_type())?,
            None => ScalarValue::try_from(field.data_type())?,
        });
    }
    Ok(partitioned)
}

/// The part of a URL that DataFusion tells stores apart by.
pub(crate) fn store_url(url: &Url) -> Result<ObjectStoreUrl> {
    ObjectStoreUrl::parse(format!("{}://{}", url.scheme(), url.host_str().unwrap_or_default()))
}

pub(crate) fn to_usize(number: u64) -> usize {
    usize::try_from(number).unwrap_or(usize::MAX)
}
