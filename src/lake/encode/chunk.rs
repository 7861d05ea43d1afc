//! A column chunk of texts that are codes already: they are numbered anew by first use, and neither hashed nor copied.
//!
//! What it writes is, byte for byte, what the parquet crate's own writer makes of the same texts with a
//! dictionary, if its pages end after as many rows.

use std::ops::Range;

use anyhow::{Context, Result};
use arrow::array::{Array, StringArray};
use bytes::Bytes;
use parquet::basic::{BoundaryOrder, Compression, Encoding, EncodingMask, PageType};
use parquet::bloom_filter::Sbbf;
use parquet::column::page::{CompressedPage, Page, PageWriteSpec, PageWriter};
use parquet::column::writer::ColumnCloseResult;
use parquet::data_type::ByteArray;
use parquet::file::metadata::{
    ColumnChunkMetaData, ColumnIndexBuilder, LevelHistogram, OffsetIndexBuilder, PageEncodingStats,
};
use parquet::file::properties::WriterPropertiesPtr;
use parquet::file::statistics::{Statistics, ValueStatistics};
use parquet::file::writer::{SerializedPageWriter, TrackedWrite};
use parquet::schema::types::ColumnDescPtr;

use super::{hybrid, truncated};

/// The code of a row without a text.
pub(super) const NO_TEXT: u32 = u32::MAX;

/// How much of the path to a leaf is there in the rows: Parquet's definition levels, of its parents alone.
pub(super) enum Levels {
    Same(u8),
    Each(Vec<u8>),
}

/// Writes column chunks, one after another.
pub(super) struct ChunkWriter {
    properties: WriterPropertiesPtr,
    compressor: zstd::bulk::Compressor<'static>,
    /// What is known of each text; as it was before, between two chunks.
    facts: Vec<Fact>,
    /// The texts of this chunk, in the order of their first use.
    used: Vec<u32>,
    numbers: Vec<u32>,
    levels: Vec<u8>,
    page: Vec<u8>,
}

#[derive(Clone, Copy)]
struct Fact {
    number: u32,
    length: u32,
    /// The last page that has it.
    page: u32,
}

const UNKNOWN: Fact = Fact { number: u32::MAX, length: 0, page: u32::MAX };

/// A page of codes, numbered for its chunk.
struct Numbered {
    rows: Range<usize>,
    texts: usize,
    bytes: i64,
    /// The least and the greatest text.
    bounds: Option<(u32, u32)>,
    /// Bits of a number: texts that come later may need more.
    width: u32,
}

/// A leaf's part of a row group: what [`ChunkWriter::write`] makes a column chunk of.
pub(super) struct Coded<'a> {
    pub(super) column: ColumnDescPtr,
    pub(super) texts: &'a StringArray,
    /// A code for each row, [`NO_TEXT`] where one of its parents is missing.
    pub(super) codes: &'a mut [u32],
    pub(super) parents: &'a Levels,
}

impl ChunkWriter {
    pub(super) fn new(properties: WriterPropertiesPtr, level: i32) -> Result<Self> {
        Ok(Self {
            properties,
            compressor: zstd::bulk::Compressor::new(level)?,
            facts: vec![],
            used: vec![],
            numbers: vec![],
            levels: vec![],
            page: vec![],
        })
    }

    /// The column chunk, and what is to be known of it. `None` if its texts are too much for a dictionary; then
    /// its codes are of no more use.
    pub(super) fn write(&mut self, coded: &mut Coded) -> Result<Option<(Bytes, ColumnCloseResult)>> {
        self.facts.resize(coded.texts.len().max(self.facts.len()), UNKNOWN);
        self.used.clear();
        let pages = self.number(coded);
        let written = pages.map(|pages| self.write_pages(coded, &pages)).transpose();
        for text in &self.used {
            self.facts[*text as usize] = UNKNOWN;
        }
        written
    }

    /// Numbers the texts in the order of their first use.
    fn number(&mut self, coded: &mut Coded) -> Option<Vec<Numbered>> {
        let most = self.properties.column_dictionary_page_size_limit(coded.column.path());
        let page_rows = self.properties.data_page_row_count_limit();
        let (texts, mut size, mut pages) = (coded.texts, 0, vec![]);
        for (index, codes) in coded.codes.chunks_mut(page_rows).enumerate() {
            let index = u32::try_from(index).ok()?;
            let start = index as usize * page_rows;
            let mut page =
                Numbered { rows: start..start + codes.len(), texts: 0, bytes: 0, bounds: None, width: 0 };
            for code in codes.iter_mut().filter(|code| **code != NO_TEXT) {
                let fact = &mut self.facts[*code as usize];
                if fact.page != index {
                    fact.page = index;
                    page.bounds = Some(extended(page.bounds, *code, texts));
                    if fact.number == u32::MAX {
                        let length = texts.value_length(*code as usize);
                        *fact = Fact { number: self.used.len() as u32, length: length as u32, page: index };
                        self.used.push(*code);
                        size += 4 + length as usize;
                    }
                }
                page.texts += 1;
                page.bytes += i64::from(fact.length);
                *code = fact.number;
            }
            if size >= most {
                return None;
            }
            page.width = hybrid::width(self.used.len().saturating_sub(1));
            pages.push(page);
        }
        Some(pages)
    }

    fn write_pages(&mut self, coded: &Coded, pages: &[Numbered]) -> Result<(Bytes, ColumnCloseResult)> {
        let mut sink = TrackedWrite::new(Vec::new());
        let mut writer = SerializedPageWriter::new(&mut sink);
        let mut chunk = Chunk::new(coded);
        chunk.add_dictionary(&writer.write_page(self.dictionary_page(coded.texts)?)?);
        for page in pages {
            let data = self.data_page(coded, page, &mut chunk)?;
            chunk.add_page(&writer.write_page(data)?, page, &self.properties);
        }
        let filter = self.bloom_filter(coded)?;
        let closed = chunk.close(&self.properties, filter)?;
        Ok((sink.into_inner()?.into(), closed))
    }

    fn dictionary_page(&mut self, texts: &StringArray) -> Result<CompressedPage> {
        self.page.clear();
        for text in &self.used {
            let text = texts.value(*text as usize).as_bytes();
            self.page.extend_from_slice(&u32::try_from(text.len())?.to_le_bytes());
            self.page.extend_from_slice(text);
        }
        let page = Page::DictionaryPage {
            buf: self.compressor.compress(&self.page)?.into(),
            num_values: u32::try_from(self.used.len())?,
            encoding: self.properties.dictionary_page_encoding(),
            is_sorted: false,
        };
        Ok(CompressedPage::new(page, self.page.len()))
    }

    fn data_page(&mut self, coded: &Coded, page: &Numbered, chunk: &mut Chunk) -> Result<CompressedPage> {
        self.page.clear();
        self.page.extend_from_slice(&[0; 4]);
        let codes = &coded.codes[page.rows.clone()];
        chunk.start_levels();
        self.write_levels(codes, coded, page, chunk);
        let length = u32::try_from(self.page.len() - 4)?;
        self.page[..4].copy_from_slice(&length.to_le_bytes());
        self.page.push(u8::try_from(page.width)?);
        if page.texts == codes.len() {
            hybrid::encode(codes, page.width, &mut self.page);
        } else {
            self.numbers.clear();
            self.numbers.extend(codes.iter().filter(|code| **code != NO_TEXT));
            hybrid::encode(&self.numbers, page.width, &mut self.page);
        }
        let compressed = Page::DataPage {
            buf: self.compressor.compress(&self.page)?.into(),
            num_values: u32::try_from(codes.len())?,
            encoding: Encoding::RLE_DICTIONARY,
            def_level_encoding: Encoding::RLE,
            rep_level_encoding: Encoding::RLE,
            statistics: None,
        };
        Ok(CompressedPage::new(compressed, self.page.len()))
    }

    fn write_levels(&mut self, codes: &[u32], coded: &Coded, page: &Numbered, chunk: &mut Chunk) {
        let most = coded.column.max_def_level().unsigned_abs() as u8;
        let width = hybrid::width(usize::from(most));
        let same = match coded.parents {
            _ if page.texts == codes.len() => Some(most),
            Levels::Same(level) if page.texts == 0 => Some(*level),
            _ => None,
        };
        if let Some(level) = same {
            chunk.count_level(level, codes.len());
            return hybrid::run(level.into(), codes.len(), width, &mut self.page);
        }
        self.levels.clear();
        match coded.parents {
            Levels::Same(level) => {
                let levels = codes.iter().map(|code| if *code == NO_TEXT { *level } else { most });
                self.levels.extend(levels);
            }
            Levels::Each(levels) => {
                let levels = codes.iter().zip(&levels[page.rows.clone()]);
                let levels = levels.map(|(code, level)| if *code == NO_TEXT { *level } else { most });
                self.levels.extend(levels);
            }
        }
        for level in 0..=most {
            chunk.count_level(level, self.levels.iter().filter(|one| **one == level).count());
        }
        hybrid::encode(&self.levels, width, &mut self.page);
    }

    fn bloom_filter(&self, coded: &Coded) -> Result<Option<Sbbf>> {
        let properties = self.properties.bloom_filter_properties(coded.column.path());
        let Some(properties) = properties else { return Ok(None) };
        let mut filter = Sbbf::new_with_ndv_fpp(properties.ndv(), properties.fpp())?;
        for text in &self.used {
            filter.insert(coded.texts.value(*text as usize));
        }
        filter.fold_to_target_fpp(properties.fpp());
        Ok(Some(filter))
    }
}

fn extended(bounds: Option<(u32, u32)>, code: u32, texts: &StringArray) -> (u32, u32) {
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

/// What is to be known of a column chunk, gathered while its pages are written.
struct Chunk<'a> {
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
    fn new(coded: &Coded<'a>) -> Self {
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

    fn start_levels(&mut self) {
        if let Some(levels) = &mut self.page_levels {
            levels.reset();
        }
    }

    fn count_level(&mut self, level: u8, count: usize) {
        for levels in [&mut self.levels, &mut self.page_levels].into_iter().flatten() {
            levels.increment_by(level.into(), count as i64);
        }
    }

    fn add(&mut self, written: &PageWriteSpec) {
        self.compressed += written.compressed_size as u64;
        self.uncompressed += written.uncompressed_size as u64;
    }

    fn add_dictionary(&mut self, written: &PageWriteSpec) {
        self.add(written);
    }

    fn add_page(&mut self, written: &PageWriteSpec, page: &Numbered, properties: &WriterPropertiesPtr) {
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

    fn close(mut self, properties: &WriterPropertiesPtr, filter: Option<Sbbf>) -> Result<ColumnCloseResult> {
        let data_page_offset = self.data_page_offset.context("a column chunk without pages")?;
        let pages = |page_type, encoding, count| PageEncodingStats { page_type, encoding, count };
        let dictionary = properties.dictionary_page_encoding();
        let compression: Compression = properties.compression(self.column.path());
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
