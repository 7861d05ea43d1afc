//! What the log knows of a table's files, as DataFusion wants it: to choose files by, and to order them.

use std::collections::{BTreeMap, HashSet};
use std::sync::Arc;

use arrow::array::{ArrayRef, BooleanArray, UInt64Array};
use arrow::datatypes::{DataType, Field, Schema};
use datafusion::common::pruning::PruningStatistics;
use datafusion::common::stats::Precision;
use datafusion::common::{Column, ColumnStatistics, Result, ScalarValue, Statistics};
use datafusion::datasource::listing::PartitionedFile;
use datafusion::datasource::table_schema::TableSchema;

use super::file_stats::{ColumnBounds, FileStats};
use super::parallel;
use super::provider::to_usize;
use super::tables::Kind;

/// What the log knows of the files: one array element a file.
#[derive(Debug)]
pub(crate) struct FileBounds {
    pub(crate) columns: BTreeMap<String, ColumnBounds>,
    pub(crate) rows: Vec<Option<u64>>,
}

impl FileBounds {
    pub(crate) fn new(
        kind: Kind,
        schema: &Schema,
        partition: &[Arc<Field>],
        files: &[PartitionedFile],
        stats: &[FileStats],
    ) -> Result<Self> {
        let bounds_of = |name: &&str| Some(((*name).to_owned(), ColumnBounds::gather(stats, schema, name)?));
        let bounds = parallel::map(kind.stats_columns(), stats.len(), bounds_of);
        let mut columns: BTreeMap<String, ColumnBounds> = bounds.into_iter().flatten().collect();
        let rows: Vec<Option<u64>> = stats.iter().map(|stats| stats.num_records).collect();
        for (index, field) in partition.iter().enumerate() {
            let values = files.iter().map(|file| file.partition_values[index].clone());
            let nulls = files
                .iter()
                .zip(&rows)
                .map(|(file, rows)| if file.partition_values[index].is_null() { *rows } else { Some(0) });
            let null_count: ArrayRef = Arc::new(nulls.collect::<UInt64Array>());
            if files.is_empty() {
                continue;
            }
            let values = ScalarValue::iter_to_array(values)?;
            columns
                .insert(field.name().clone(), ColumnBounds { min: values.clone(), max: values, null_count });
        }
        Ok(Self { columns, rows })
    }

    /// Gives a file its statistics, by which DataFusion orders the files of a top-n query.
    pub(crate) fn attach(
        &self,
        file: usize,
        partitioned: PartitionedFile,
        schema: &TableSchema,
    ) -> PartitionedFile {
        if partitioned.partition_values.iter().any(ScalarValue::is_null) {
            // DataFusion takes it that a partition's value is never null.
            return partitioned;
        }
        let stored = schema.file_schema();
        let mut statistics = Statistics::new_unknown(stored);
        let rows = self.rows[file];
        statistics.num_rows = rows.map_or(Precision::Absent, |rows| Precision::Exact(to_usize(rows)));
        statistics.total_byte_size = Precision::Inexact(to_usize(partitioned.object_meta.size));
        for (column, field) in statistics.column_statistics.iter_mut().zip(stored.fields()) {
            if let Some(bounds) = self.columns.get(field.name()) {
                *column = bounds.of_file(file, field.data_type());
            }
        }
        partitioned.with_statistics(Arc::new(statistics))
    }
}

impl ColumnBounds {
    /// One file's bounds; text is inexact, since long values are cut.
    fn of_file(&self, file: usize, data_type: &DataType) -> ColumnStatistics {
        let value = |values: &ArrayRef| {
            let value = ScalarValue::try_from_array(values, file).and_then(|value| value.cast_to(data_type));
            value.ok().filter(|value| !value.is_null()).map_or(Precision::Absent, Precision::Inexact)
        };
        let mut statistics = ColumnStatistics::new_unknown();
        statistics.min_value = value(&self.min);
        statistics.max_value = value(&self.max);
        statistics
    }
}

impl PruningStatistics for FileBounds {
    fn min_values(&self, column: &Column) -> Option<ArrayRef> {
        Some(self.columns.get(&column.name)?.min.clone())
    }

    fn max_values(&self, column: &Column) -> Option<ArrayRef> {
        Some(self.columns.get(&column.name)?.max.clone())
    }

    fn num_containers(&self) -> usize {
        self.rows.len()
    }

    fn null_counts(&self, column: &Column) -> Option<ArrayRef> {
        Some(self.columns.get(&column.name)?.null_count.clone())
    }

    fn row_counts(&self) -> Option<ArrayRef> {
        Some(Arc::new(self.rows.iter().copied().collect::<UInt64Array>()))
    }

    fn contained(&self, _: &Column, _: &HashSet<ScalarValue>) -> Option<BooleanArray> {
        None
    }
}
