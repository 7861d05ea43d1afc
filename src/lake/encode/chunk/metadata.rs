//! What a file says of a column chunk: sizes, bounds and where its pages are.

use anyhow::{Context, Result};
use arrow::array::StringArray;
use parquet::basic::{BoundaryOrder, Encoding, EncodingMask, PageType};
use parquet::bloom_filter::Sbbf;
use parquet::column::page::PageWriteSpec;
use parquet::column::writer::ColumnCloseResult;
use parquet::data_type::ByteArray;
use parquet::file::metadata::{
    ColumnChunkMetaData, ColumnIndexBuilder, LevelHistogram, OffsetIndexBuilder, PageEncodingStats,
};
use parquet::file::properties::WriterPropertiesPtr;
use parquet::file::statistics::{Statistics, ValueStatistics};
use parquet::schema::types::ColumnDescPtr;

use super::super::truncated;
use super::{Coded, Numbered};

/// What is to be known of a column chunk, gathered while its pages are written.
pub(super) struct Chunk<'a> {
    column: ColumnDescPtr,
    texts: &'a StringArray,
    compressed: u64,
    uncompressed: u64,
    rows: usize,
    nulls: usize,
    bytes: i64,
    data_page_offset: Option<u64>,
    pages: i32,
    bounds: Option<(u32, u32)>,
    last: Option<(u32, u32)>,
    ascending: bool,
    descending: bool,
    levels: Option<LevelHistogram>,
    page_levels: Option<LevelHistogram>,
    index: ColumnIndexBuilder,
    offsets: OffsetIndexBuilder,
}

impl<'a> Chunk<'a> {
    pub(super) fn new(coded: &Coded<'a>) -> Self {
        let levels = LevelHistogram::try_new(coded.column.max_def_level());
        Self {
            column: coded.column.clone(),
            texts: coded.texts,
            compressed: 0,
            uncompressed: 0,
            rows: 0,
            nulls: 0,
            bytes: 0,
            data_page_offset: None,
            pages: 0,
            bounds: None,
            last: None,
            ascending: true,
            descending: true,
            page_levels: levels.clone(),
            levels,
            index: ColumnIndexBuilder::new(coded.column.physical_type()),
            offsets: OffsetIndexBuilder::new(),
        }
    }

    pub(super) fn start_levels(&mut self) {
        if let Some(levels) = &mut self.page_levels {
            levels.reset();
        }
    }

    pub(super) fn count_level(&mut self, level: u8, count: usize) {
        for levels in [&mut self.levels, &mut self.page_levels].into_iter().flatten() {
            levels.increment_by(level.into(), count as i64);
        }
    }

    /// Counts a page that was written.
    pub(super) fn add(&mut self, written: &PageWriteSpec) {
        self.compressed += written.compressed_size as u64;
        self.uncompressed += written.uncompressed_size as u64;
    }

    pub(super) fn add_page(
        &mut self,
        written: &PageWriteSpec,
        page: &Numbered,
        properties: &WriterPropertiesPtr,
    ) {
        self.add(written);
        self.data_page_offset.get_or_insert(written.offset);
        self.pages += 1;
        let nulls = page.rows.len() - page.texts;
        self.rows += page.rows.len();
        self.nulls += nulls;
        self.bytes += page.bytes;
        let most = properties.column_index_truncate_length();
        let (least, greatest) = match page.bounds {
            None => (vec![], vec![]),
            Some((least, greatest)) => {
                self.extend(least, greatest);
                (truncated::least(self.text(least), most).0, truncated::greatest(self.text(greatest), most).0)
            }
        };
        self.index.append(page.bounds.is_none(), least, greatest, nulls as i64);
        self.index.append_histograms(&None, &self.page_levels);
        self.offsets.append_row_count(page.rows.len() as i64);
        self.offsets.append_unencoded_byte_array_data_bytes(Some(page.bytes));
        self.offsets.append_offset_and_size(written.offset as i64, written.compressed_size as i32);
    }

    fn text(&self, code: u32) -> &'a str {
        self.texts.value(code as usize)
    }

    fn extend(&mut self, least: u32, greatest: u32) {
        if let Some((last_least, last_greatest)) = self.last {
            let (least, greatest) = (self.text(least), self.text(greatest));
            let (last_least, last_greatest) = (self.text(last_least), self.text(last_greatest));
            self.ascending &= last_least <= least && last_greatest <= greatest;
            self.descending &= last_least >= least && last_greatest >= greatest;
        }
        self.last = Some((least, greatest));
        let bounds = extended(self.bounds, least, self.texts);
        self.bounds = Some(extended(Some(bounds), greatest, self.texts));
    }

    fn statistics(&self, properties: &WriterPropertiesPtr) -> Statistics {
        let nulls = Some(self.nulls as u64);
        let Some((least, greatest)) = self.bounds else {
            return Statistics::ByteArray(ValueStatistics::new(None, None, None, nulls, false));
        };
        let most = properties.statistics_truncate_length();
        let (least, less) = truncated::least(self.text(least), most);
        let (greatest, greater) = truncated::greatest(self.text(greatest), most);
        let bounds = (Some(ByteArray::from(least)), Some(ByteArray::from(greatest)));
        let statistics = ValueStatistics::new(bounds.0, bounds.1, None, nulls, false);
        Statistics::ByteArray(statistics.with_min_is_exact(!less).with_max_is_exact(!greater))
    }

    pub(super) fn close(
        mut self,
        properties: &WriterPropertiesPtr,
        filter: Option<Sbbf>,
    ) -> Result<ColumnCloseResult> {
        let data_page_offset = self.data_page_offset.context("a column chunk without pages")?;
        let pages = |page_type, encoding, count| PageEncodingStats { page_type, encoding, count };
        let dictionary = properties.dictionary_page_encoding();
        let compression = properties.compression(self.column.path());
        let metadata = ColumnChunkMetaData::builder(self.column.clone())
            .set_compression(compression)
            .set_encodings_mask(EncodingMask::new_from_encodings(
                [Encoding::RLE, Encoding::RLE_DICTIONARY, dictionary].iter(),
            ))
            .set_page_encoding_stats(vec![
                pages(PageType::DICTIONARY_PAGE, dictionary, 1),
                pages(PageType::DATA_PAGE, Encoding::RLE_DICTIONARY, self.pages),
            ])
            .set_total_compressed_size(self.compressed as i64)
            .set_total_uncompressed_size(self.uncompressed as i64)
            .set_num_values(self.rows as i64)
            .set_dictionary_page_offset(Some(0))
            .set_data_page_offset(data_page_offset as i64)
            .set_statistics(self.statistics(properties))
            .set_unencoded_byte_array_data_bytes(Some(self.bytes))
            .set_definition_level_histogram(self.levels.take())
            .build()?;
        self.index.set_boundary_order(match (self.ascending, self.descending) {
            (true, _) => BoundaryOrder::ASCENDING,
            (false, true) => BoundaryOrder::DESCENDING,
            (false, false) => BoundaryOrder::UNORDERED,
        });
        Ok(ColumnCloseResult {
            bytes_written: self.compressed,
            rows_written: self.rows as u64,
            metadata,
            bloom_filter: filter,
            column_index: Some(self.index.build()?),
            offset_index: Some(self.offsets.build()),
        })
    }
}

/// Bounds that have a text as well.
pub(super) fn extended(bounds: Option<(u32, u32)>, code: u32, texts: &StringArray) -> (u32, u32) {
    let Some((least, greatest)) = bounds else { return (code, code) };
    let text = |code: u32| texts.value(code as usize);
    if text(code) < text(least) {
        (code, greatest)
    } else if text(code) > text(greatest) {
        (least, code)
    } else {
        (least, greatest)
    }
}
