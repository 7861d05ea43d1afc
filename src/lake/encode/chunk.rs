//! A column chunk of texts that are codes already: they are numbered anew by first use, and neither hashed nor copied.
//!
//! What it writes is, byte for byte, what the parquet crate's own writer makes of the same texts with a
//! dictionary, if its pages end after as many rows.

#![expect(
    clippy::cast_possible_truncation,
    clippy::cast_possible_wrap,
    clippy::cast_sign_loss,
    reason = "a row group has fewer rows, texts and levels than that"
)]

mod metadata;

use std::ops::Range;

use anyhow::Result;
use arrow::array::{Array, StringArray};
use bytes::Bytes;
use parquet::basic::Encoding;
use parquet::bloom_filter::Sbbf;
use parquet::column::page::{CompressedPage, Page, PageWriter};
use parquet::column::writer::ColumnCloseResult;
use parquet::file::properties::WriterPropertiesPtr;
use parquet::file::writer::{SerializedPageWriter, TrackedWrite};
use parquet::schema::types::ColumnDescPtr;

use super::hybrid;
use metadata::{Chunk, extended};

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

    /// Numbers the texts in the order of their first use. Pages end after their rows: codes of so many are far from
    /// the bytes that a page may have.
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
        chunk.add(&writer.write_page(self.dictionary_page(coded.texts)?)?);
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
        let numbers = &coded.codes[page.rows.clone()];
        chunk.start_levels();
        self.write_levels(numbers, coded, page, chunk);
        let length = u32::try_from(self.page.len() - 4)?;
        self.page[..4].copy_from_slice(&length.to_le_bytes());
        self.page.push(u8::try_from(page.width)?);
        if page.texts == numbers.len() {
            hybrid::encode(numbers, page.width, &mut self.page);
        } else {
            self.numbers.clear();
            self.numbers.extend(numbers.iter().filter(|number| **number != NO_TEXT));
            hybrid::encode(&self.numbers, page.width, &mut self.page);
        }
        let compressed = Page::DataPage {
            buf: self.compressor.compress(&self.page)?.into(),
            num_values: u32::try_from(numbers.len())?,
            encoding: Encoding::RLE_DICTIONARY,
            def_level_encoding: Encoding::RLE,
            rep_level_encoding: Encoding::RLE,
            statistics: None,
        };
        Ok(CompressedPage::new(compressed, self.page.len()))
    }

    fn write_levels(&mut self, numbers: &[u32], coded: &Coded, page: &Numbered, chunk: &mut Chunk) {
        let most = coded.column.max_def_level().unsigned_abs() as u8;
        let width = hybrid::width(usize::from(most));
        let same = match coded.parents {
            _ if page.texts == numbers.len() => Some(most),
            Levels::Same(level) if page.texts == 0 => Some(*level),
            _ => None,
        };
        if let Some(level) = same {
            chunk.count_level(level, numbers.len());
            return hybrid::run(level.into(), numbers.len(), width, &mut self.page);
        }
        self.levels.clear();
        match coded.parents {
            Levels::Same(level) => {
                let levels = numbers.iter().map(|number| if *number == NO_TEXT { *level } else { most });
                self.levels.extend(levels);
            }
            Levels::Each(levels) => {
                let levels = numbers.iter().zip(&levels[page.rows.clone()]);
                let levels = levels.map(|(number, level)| if *number == NO_TEXT { *level } else { most });
                self.levels.extend(levels);
            }
        }
        for level in 0..=most {
            chunk.count_level(level, self.levels.iter().map(|one| usize::from(*one == level)).sum());
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
