//! Bloom filters of Parquet files, asked about a text without reading them whole.
//!
//! Such a filter is made of blocks of 32 bytes, and a value's hash says in which block it would be: this block
//! by itself is a filter for the value. So a filter may be large enough to err next to never, and costs a
//! query nothing for it.

use std::ops::Range;

use parquet::bloom_filter::Sbbf;
use parquet::file::metadata::ColumnChunkMetaData;
use twox_hash::XxHash64;

const BLOCK: u64 = 32;

/// What of a filter is to be read to ask it about a text.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Probe {
    /// Bytes of the file.
    pub(super) place: Range<u64>,
    /// Whether these are all of the filter, behind a header, and not one block.
    whole: bool,
}

impl Probe {
    /// How to ask the filter of a column chunk about one text. `None` if it has no filter.
    pub(super) fn one(column: &ColumnChunkMetaData, text: &str) -> Option<Self> {
        let all = Self::all(column)?;
        let length = all.place.end - all.place.start;
        let Some(blocks) = blocks_behind_header(length) else { return Some(all) };
        // As the Parquet format has it: the upper half of the hash, scaled to the number of blocks.
        let block = ((XxHash64::oneshot(0, text.as_bytes()) >> 32) * blocks) >> 32;
        let start = all.place.end - (blocks - block) * BLOCK;
        Some(Self { place: start..start + BLOCK, whole: false })
    }

    /// How to ask it about many.
    pub(super) fn all(column: &ColumnChunkMetaData) -> Option<Self> {
        let start = u64::try_from(column.bloom_filter_offset()?).ok()?;
        let length = u64::try_from(column.bloom_filter_length()?).ok()?;
        Some(Self { place: start..start.checked_add(length)?, whole: true })
    }

    /// Whether the text may be in the column chunk, by the bytes that the place has. A filter that cannot be
    /// read rules nothing out.
    pub(super) fn may_have(&self, bytes: &[u8], text: &str) -> bool {
        let filter = if self.whole { Sbbf::from_bytes(bytes).ok() } else { Some(Sbbf::new(bytes)) };
        filter.filter(|filter| filter.num_blocks() > 0).is_none_or(|filter| filter.check(&text))
    }
}

/// How many blocks a filter has that takes so many bytes with its header. `None` if the header is not the one
/// that writers of uncompressed filters make: of 15 bytes with a number of one byte, the length of the blocks.
fn blocks_behind_header(length: u64) -> Option<u64> {
    // Lengths are multiples of a block, so a header shorter than one is what is left over.
    let (blocks, header) = (length / BLOCK, length % BLOCK);
    (header == header_length(blocks * BLOCK) && blocks > 0).then_some(blocks)
}

/// Of Thrift's compact form: a number is zigzag, seven bits a byte; the rest is 14 bytes of types and ends.
fn header_length(number: u64) -> u64 {
    let bits = u64::from(64 - (number * 2).leading_zeros());
    14 + bits.div_ceil(7)
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use arrow::array::{ArrayRef, RecordBatch, StringArray};
    use parquet::arrow::ArrowWriter;
    use parquet::file::properties::WriterProperties;

    use super::*;

    #[test]
    fn a_block_tells_what_the_whole_filter_tells() {
        let texts: Vec<String> = (0..5_000).map(|number| format!("event-{number}")).collect();
        let column: ArrayRef = Arc::new(StringArray::from_iter_values(&texts));
        let rows = RecordBatch::try_from_iter([("eventid", column)]).unwrap();
        let properties = WriterProperties::builder().set_bloom_filter_enabled(true).build();
        let mut file = vec![];
        let mut writer = ArrowWriter::try_new(&mut file, rows.schema(), Some(properties)).unwrap();
        writer.write(&rows).unwrap();
        let metadata = writer.close().unwrap();
        let column = metadata.row_group(0).column(0);
        let bytes = |probe: &Probe| {
            let place = probe.place.start.try_into().unwrap()..probe.place.end.try_into().unwrap();
            file[place].to_vec()
        };
        let all = Probe::all(column).unwrap();
        assert!(all.place.end - all.place.start > 64 * BLOCK, "{all:?}");
        let (mut absent, others) = (0, (0..5_000).map(|number| format!("other-{number}")));
        for text in texts.iter().cloned().chain(others) {
            let one = Probe::one(column, &text).unwrap();
            assert_eq!(one.place.end - one.place.start, BLOCK);
            let may_have = one.may_have(&bytes(&one), &text);
            assert_eq!(may_have, all.may_have(&bytes(&all), &text), "{text}");
            absent += usize::from(!may_have);
            assert!(may_have || text.starts_with("other-"), "{text}");
        }
        assert!(absent > 4_000, "{absent} of 5000 are told to be absent");
        assert!(all.may_have(b"no filter", "text"), "what cannot be read rules nothing out");
    }

    #[test]
    fn a_header_is_as_long_as_the_writer_makes_it() {
        for power in 5..24 {
            let filter = Sbbf::new_with_num_of_bytes(1 << power);
            let mut bytes = vec![];
            filter.write(&mut bytes).unwrap();
            let blocks = filter.num_blocks() as u64;
            assert_eq!(blocks_behind_header(bytes.len() as u64), Some(blocks), "{blocks} blocks");
        }
        for odd in [0, 14, 15, 31, 32, 64, 32 + 14, 32 + 17] {
            assert_eq!(blocks_behind_header(odd), None, "{odd} bytes");
        }
    }
}
