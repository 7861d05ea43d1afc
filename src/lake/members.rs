//! Row groups are skipped by members of structs, such as `useridentity.arn`, and by bloom filters.
//!
//! DataFusion prunes by the statistics and bloom filters of columns that are no structs, and reads each filter
//! whole. Parquet has both for the members as well, and one block of a filter tells as much of one value. A
//! reader of this module hands DataFusion a file's footer without the row groups that, by those, have no row
//! for the query; it reads no footer twice, and none before its turn.
//!
//! If the query can use the index of pages, the footer that is handed over has it: then it is kept with the footer,
//! and is not read and decoded again for the next query.

use std::collections::HashMap;
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
use parquet::file::metadata::{PageIndexPolicy, ParquetMetaData, ParquetMetaDataBuilder, RowGroupMetaData};
use parquet::file::statistics::Statistics;

use super::blooms::Probe;
use super::encode::BLOOM_COLUMNS;

/// Above this many texts a filter is read whole: nearly all of it would be anyway.
const MAX_PROBES: usize = 64;

/// What a query wants of members of structs, and of columns that have bloom filters.
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

    /// The same, when some texts are known not to be in it.
    fn may_be_without(&self, absent: &[Text]) -> bool {
        match self {
            Self::Each(all) => all.iter().all(|wanted| wanted.may_be_without(absent)),
            Self::Any(any) => any.iter().any(|wanted| wanted.may_be_without(absent)),
            Self::Is(path, value) => !absent.contains(&(path, value)),
            _ => true,
        }
    }

    /// Whether bloom filters of columns that are no structs are asked.
    pub(crate) fn is_of_columns(&self) -> bool {
        self.texts().iter().any(|(path, _)| path.len() == 1)
    }

    /// Whether only few rows can be wanted: what has bloom filters is one text of many. Of what else is shown of
    /// these rows, pages are read instead of all that a row group has.
    pub(crate) fn is_needle(&self) -> bool {
        self.texts().iter().any(|(path, _)| BLOOM_COLUMNS.contains(&path.join(".").as_str()))
    }

    /// The texts that something has to be.
    fn texts(&self) -> Vec<Text<'_>> {
        let mut texts = Vec::new();
        self.add_texts(&mut texts);
        texts.sort_unstable();
        texts.dedup();
        texts
    }

    fn add_texts<'a>(&'a self, texts: &mut Vec<Text<'a>>) {
        match self {
            Self::Each(wanted) | Self::Any(wanted) => wanted.iter().for_each(|one| one.add_texts(texts)),
            Self::Is(path, value) => texts.push((path, value)),
            _ => {}
        }
    }
}

/// A text, and what of a row would be this text.
type Text<'a> = (&'a [String], &'a str);

/// The path to a member of a struct that is a column, or to a column that has bloom filters.
fn path_of(expr: &Expr) -> Option<Vec<String>> {
    match expr {
        Expr::Column(column) if BLOOM_COLUMNS.contains(&column.name.as_str()) => {
            Some(vec![column.name.clone()])
        }
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
        let by_bloom_filter = pruned("row_groups_pruned_bloom_block");
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
            let with_filters = self.wanted.by_filters(keep, &metadata, self.inner.as_mut()).await?;
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

impl Wanted {
    /// The row groups among these that may have such a row by their bloom filters.
    async fn by_filters(
        &self,
        groups: Vec<usize>,
        metadata: &ParquetMetaData,
        reader: &mut (dyn AsyncFileReader + Send),
    ) -> parquet::errors::Result<Vec<usize>> {
        let texts = self.texts();
        let probe = if texts.len() > MAX_PROBES { |column, _| Probe::all(column) } else { Probe::one };
        let mut probes = vec![];
        for &group in &groups {
            for &(path, text) in &texts {
                let row_group = metadata.row_group(group);
                let column = leaf_of(row_group, path).map(|leaf| row_group.column(leaf));
                if let Some(probe) = column.and_then(|column| probe(column, text)) {
                    probes.push((group, (path, text), probe));
                }
            }
        }
        if probes.is_empty() {
            return Ok(groups);
        }
        let mut places: Vec<Range<u64>> = probes.iter().map(|(_, _, probe)| probe.place.clone()).collect();
        places.dedup();
        // In one go: on S3 each request takes its time.
        let read = reader.get_byte_ranges(places.clone()).await?;
        let read: HashMap<Range<u64>, Bytes> = places.into_iter().zip(read).collect();
        let mut absent: HashMap<usize, Vec<Text>> = HashMap::new();
        for (group, text, probe) in probes {
            if read.get(&probe.place).is_some_and(|bytes| !probe.may_have(bytes, text.1)) {
                absent.entry(group).or_default().push(text);
            }
        }
        let may_have = |group: &usize| absent.get(group).is_none_or(|absent| self.may_be_without(absent));
        Ok(groups.into_iter().filter(may_have).collect())
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
