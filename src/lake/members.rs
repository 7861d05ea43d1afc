//! Row groups are skipped by members of structs, such as `useridentity.arn`, too.
//!
//! DataFusion prunes by the statistics and bloom filters of columns that are no structs. Parquet has both
//! for the members as well. A reader of this module hands DataFusion a file's footer without the row groups
//! that, by those, have no row for the query; it reads no footer twice, and none before its turn.
//!
//! If the query can use the index of pages, the footer that is handed over has it: then it is kept with the footer,
//! and is not read and decoded again for the next query.

use std::ops::Range;
use std::sync::Arc;

use bytes::Bytes;
use datafusion::common::Result;
use datafusion::datasource::listing::PartitionedFile;
use datafusion::datasource::physical_plan::ParquetFileReaderFactory;
use datafusion::logical_expr::expr::InList;
use datafusion::logical_expr::{Between, BinaryExpr, Expr, Operator};
use datafusion::physical_plan::metrics::{Count, ExecutionPlanMetricsSet, MetricBuilder};
use futures::FutureExt;
use futures::future::BoxFuture;
use parquet::arrow::arrow_reader::ArrowReaderOptions;
use parquet::arrow::async_reader::AsyncFileReader;
use parquet::bloom_filter::Sbbf;
use parquet::file::metadata::{PageIndexPolicy, ParquetMetaData, ParquetMetaDataBuilder, RowGroupMetaData};
use parquet::file::statistics::Statistics;

/// What a query wants of members of structs.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Wanted {
    /// Anything.
    All,
    /// All of these.
    Each(Vec<Wanted>),
    /// One of these.
    Any(Vec<Wanted>),
    /// The member is this text.
    Is(Vec<String>, String),
    /// The member is this text, or one that comes after it.
    From(Vec<String>, String),
    /// The member is this text, or one that comes before it.
    To(Vec<String>, String),
    /// The member is there.
    Known(Vec<String>),
}

impl Wanted {
    /// What conditions want, all of which hold.
    pub(crate) fn by(filters: &[Expr]) -> Self {
        Self::each(filters.iter().map(Self::by_one).collect())
    }

    fn each(mut wanted: Vec<Self>) -> Self {
        wanted.retain(|wanted| *wanted != Self::All);
        if wanted.is_empty() { Self::All } else { Self::Each(wanted) }
    }

    fn any(wanted: Vec<Self>) -> Self {
        if wanted.contains(&Self::All) { Self::All } else { Self::Any(wanted) }
    }

    fn by_one(filter: &Expr) -> Self {
        match filter {
            Expr::BinaryExpr(BinaryExpr { left, op: Operator::And, right }) => {
                Self::each(vec![Self::by_one(left), Self::by_one(right)])
            }
            Expr::BinaryExpr(BinaryExpr { left, op: Operator::Or, right }) => {
                Self::any(vec![Self::by_one(left), Self::by_one(right)])
            }
            Expr::BinaryExpr(BinaryExpr { left, op, right }) => {
                let comparison = Self::comparison(left, *op, right);
                let swapped = || Self::comparison(right, op.swap()?, left);
                comparison.or_else(swapped).unwrap_or(Self::All)
            }
            Expr::Between(Between { expr, negated: false, low, high }) => {
                let bound = |op, value| Self::comparison(expr, op, value).unwrap_or(Self::All);
                Self::each(vec![bound(Operator::GtEq, low), bound(Operator::LtEq, high)])
            }
            Expr::InList(InList { expr, list, negated: false }) => {
                let one = |value| Self::comparison(expr, Operator::Eq, value).unwrap_or(Self::All);
                Self::any(list.iter().map(one).collect())
            }
            Expr::IsNotNull(member) => path_of(member).map_or(Self::All, Self::Known),
            _ => Self::All,
        }
    }

    fn comparison(member: &Expr, op: Operator, value: &Expr) -> Option<Self> {
        let path = path_of(member)?;
        let Expr::Literal(value, _) = value else { return None };
        let value = value.try_as_str()??.to_owned();
        match op {
            Operator::Eq => Some(Self::Is(path, value)),
            Operator::Gt | Operator::GtEq => Some(Self::From(path, value)),
            Operator::Lt | Operator::LtEq => Some(Self::To(path, value)),
            Operator::NotEq => Some(Self::Known(path)),
            _ => None,
        }
    }

    /// Whether a row group may have such a row, by its statistics.
    fn may_be_in(&self, group: &RowGroupMetaData) -> bool {
        match self {
            Self::All => true,
            Self::Each(all) => all.iter().all(|wanted| wanted.may_be_in(group)),
            Self::Any(any) => any.iter().any(|wanted| wanted.may_be_in(group)),
            Self::Is(path, value) => {
                in_bounds(group, path, |min, max| min <= value.as_bytes() && value.as_bytes() <= max)
            }
            Self::From(path, value) => in_bounds(group, path, |_, max| value.as_bytes() <= max),
            Self::To(path, value) => in_bounds(group, path, |min, _| min <= value.as_bytes()),
            Self::Known(path) => in_bounds(group, path, |_, _| true),
        }
    }

    /// The same, by bloom filters as well.
    fn may_be_in_filters(&self, filters: &Filters) -> bool {
        match self {
            Self::Each(all) => all.iter().all(|wanted| wanted.may_be_in_filters(filters)),
            Self::Any(any) => any.iter().any(|wanted| wanted.may_be_in_filters(filters)),
            Self::Is(path, value) => filters.of(path).is_none_or(|filter| filter.check(&value.as_str())),
            _ => true,
        }
    }

    /// The members that have to be something.
    fn paths<'a>(&'a self, paths: &mut Vec<&'a [String]>) {
        match self {
            Self::Each(wanted) | Self::Any(wanted) => wanted.iter().for_each(|wanted| wanted.paths(paths)),
            Self::Is(path, _) if !paths.contains(&path.as_slice()) => paths.push(path),
            _ => {}
        }
    }
}

/// The path to a member of a struct that is a column.
fn path_of(expr: &Expr) -> Option<Vec<String>> {
    match expr {
        Expr::ScalarFunction(call) if call.name() == "get_field" => {
            let (base, names) = call.args.split_first()?;
            let mut path = match base {
                Expr::Column(column) => vec![column.name.clone()],
                _ => path_of(base)?,
            };
            for name in names {
                let Expr::Literal(name, _) = name else { return None };
                path.push(name.try_as_str()??.to_owned());
            }
            Some(path)
        }
        Expr::Cast(cast) if cast.field.data_type().is_string() => path_of(&cast.expr),
        _ => None,
    }
}

fn leaf_of(group: &RowGroupMetaData, path: &[String]) -> Option<usize> {
    group.columns().iter().position(|column| column.column_path().parts() == path)
}

/// Whether the bounds of a member, cut as they may be, fit. Where there are none all may, and nothing if
/// all of it is null.
fn in_bounds(group: &RowGroupMetaData, path: &[String], fit: impl Fn(&[u8], &[u8]) -> bool) -> bool {
    let Some(leaf) = leaf_of(group, path) else { return true };
    let column = group.column(leaf);
    match column.statistics() {
        Some(statistics @ Statistics::ByteArray(values)) => match (values.min_opt(), values.max_opt()) {
            // Old writers ordered bytes as signed numbers.
            (Some(min), Some(max)) => statistics.is_min_max_deprecated() || fit(min.data(), max.data()),
            _ => values.null_count_opt().is_none_or(|nulls| i64::try_from(nulls) != Ok(column.num_values())),
        },
        _ => true,
    }
}

/// Readers of files without the row groups that a query does not want.
#[derive(Debug)]
pub(crate) struct Readers {
    inner: Arc<dyn ParquetFileReaderFactory>,
    wanted: Arc<Wanted>,
    with_page_index: bool,
}

impl Readers {
    pub(crate) fn new(
        inner: Arc<dyn ParquetFileReaderFactory>,
        wanted: Wanted,
        with_page_index: bool,
    ) -> Self {
        Self { inner, wanted: Arc::new(wanted), with_page_index }
    }
}

impl ParquetFileReaderFactory for Readers {
    fn create_reader(
        &self,
        partition: usize,
        file: PartitionedFile,
        metadata_size_hint: Option<usize>,
        metrics: &ExecutionPlanMetricsSet,
    ) -> Result<Box<dyn AsyncFileReader + Send>> {
        let pruned = |name: &'static str| MetricBuilder::new(metrics).counter(name, partition);
        let by_statistics = pruned("row_groups_pruned_member_statistics");
        let by_bloom_filter = pruned("row_groups_pruned_member_bloom_filter");
        let inner = self.inner.create_reader(partition, file, metadata_size_hint, metrics)?;
        Ok(Box::new(Reader {
            inner,
            wanted: self.wanted.clone(),
            with_page_index: self.with_page_index,
            by_statistics,
            by_bloom_filter,
        }))
    }
}

struct Reader {
    inner: Box<dyn AsyncFileReader + Send>,
    wanted: Arc<Wanted>,
    with_page_index: bool,
    by_statistics: Count,
    by_bloom_filter: Count,
}

impl AsyncFileReader for Reader {
    fn get_bytes(&mut self, range: Range<u64>) -> BoxFuture<'_, parquet::errors::Result<Bytes>> {
        self.inner.get_bytes(range)
    }

    fn get_byte_ranges(
        &mut self,
        ranges: Vec<Range<u64>>,
    ) -> BoxFuture<'_, parquet::errors::Result<Vec<Bytes>>> {
        self.inner.get_byte_ranges(ranges)
    }

    fn get_metadata<'a>(
        &'a mut self,
        options: Option<&'a ArrowReaderOptions>,
    ) -> BoxFuture<'a, parquet::errors::Result<Arc<ParquetMetaData>>> {
        async move {
            let mut metadata = self.inner.get_metadata(options).await?;
            let groups = 0..metadata.num_row_groups();
            let keep: Vec<usize> =
                groups.filter(|group| self.wanted.may_be_in(metadata.row_group(*group))).collect();
            self.by_statistics.add(metadata.num_row_groups() - keep.len());
            let kept = keep.len();
            let mut with_filters = Vec::with_capacity(kept);
            for group in keep {
                let filters = Filters::read(&self.wanted, metadata.row_group(group), &mut self.inner).await?;
                if self.wanted.may_be_in_filters(&filters) {
                    with_filters.push(group);
                }
            }
            self.by_bloom_filter.add(kept - with_filters.len());
            if self.with_page_index && !with_filters.is_empty() {
                let index = ArrowReaderOptions::new().with_page_index_policy(PageIndexPolicy::Optional);
                metadata = self.inner.get_metadata(Some(&index)).await?;
            }
            if with_filters.len() == metadata.num_row_groups() {
                return Ok(metadata);
            }
            Ok(Arc::new(only_groups(&metadata, &with_filters)))
        }
        .boxed()
    }
}

/// The bloom filters of some members in one row group.
struct Filters<'a>(Vec<(&'a [String], Sbbf)>);

impl<'a> Filters<'a> {
    async fn read(
        wanted: &'a Wanted,
        group: &RowGroupMetaData,
        reader: &mut Box<dyn AsyncFileReader + Send>,
    ) -> parquet::errors::Result<Self> {
        let mut paths = Vec::new();
        wanted.paths(&mut paths);
        let mut filters = Vec::new();
        for path in paths {
            let column = leaf_of(group, path).map(|leaf| group.column(leaf));
            let place = column.and_then(|column| {
                let start = u64::try_from(column.bloom_filter_offset()?).ok()?;
                Some(start..start + u64::try_from(column.bloom_filter_length()?).ok()?)
            });
            let Some(place) = place else { continue };
            // A filter that cannot be read rules nothing out.
            if let Ok(filter) = Sbbf::from_bytes(&reader.get_bytes(place).await?) {
                filters.push((path, filter));
            }
        }
        Ok(Self(filters))
    }

    fn of(&self, path: &[String]) -> Option<&Sbbf> {
        self.0.iter().find(|(of, _)| *of == path).map(|(_, filter)| filter)
    }
}

/// The footer of a file that has only some of the row groups.
fn only_groups(metadata: &ParquetMetaData, groups: &[usize]) -> ParquetMetaData {
    let row_groups = groups.iter().map(|group| metadata.row_group(*group).clone()).collect();
    let column_index =
        metadata.column_index().map(|index| groups.iter().map(|group| index[*group].clone()).collect());
    let offset_index =
        metadata.offset_index().map(|index| groups.iter().map(|group| index[*group].clone()).collect());
    ParquetMetaDataBuilder::new(metadata.file_metadata().clone())
        .set_row_groups(row_groups)
        .set_column_index(column_index)
        .set_offset_index(offset_index)
        .build()
}
