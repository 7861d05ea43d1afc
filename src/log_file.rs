//! Log files: from the bytes of an object to its text and hash.
//!
//! Gzip (also several members), zstd or plain, told by the first bytes and not by the name. The
//! SHA-256 that CloudTrail's digests list is that of the uncompressed bytes; it is taken while they
//! are inflated. What is in the text is the reader's business ([`crate::event`]).

use std::io::Read;

use flate2::{Decompress, FlushDecompress, Status};
use ring::digest::{Context, SHA256};

/// What a file may cost, at most. CloudTrail's own files stay under 50 MB uncompressed.
#[derive(Debug, Clone)]
pub struct Limits {
    /// Bytes as stored.
    pub compressed: u64,
    /// Bytes after inflating.
    pub uncompressed: u64,
    /// Uncompressed bytes per stored byte, heeded from 16 MB on. Real files reach 20.
    pub ratio: u64,
    /// Records, and pieces that are none. A row takes memory however short its record is, so that the
    /// bytes alone do not bound it. Real files stay under 50,000.
    pub records: u64,
}

/// Records of real files have about a kilobyte; a file may have so many as would be half of that.
const BYTES_PER_RECORD: u64 = 512;

impl Default for Limits {
    fn default() -> Self {
        Limits::of(256 << 20, 512 << 20)
    }
}

impl Limits {
    /// The limits that go with these sizes.
    pub fn of(compressed: u64, uncompressed: u64) -> Self {
        Limits { compressed, uncompressed, ratio: 250, records: uncompressed / BYTES_PER_RECORD }
    }
}

/// Below this size no ratio is suspicious: a file of one record repeated compresses well.
const RATIO_HEEDED_FROM: u64 = 16 << 20;

/// A log file, inflated: the compressed stream was whole and its checksum right.
#[derive(Debug)]
pub struct LogFile {
    /// The uncompressed bytes.
    pub bytes: Vec<u8>,
    /// SHA-256 of all uncompressed bytes.
    pub sha256: [u8; 32],
    /// Size as stored.
    pub compressed_size: u64,
    /// Bytes after the end of the compressed stream, which belong to no record.
    pub trailing_bytes: Vec<u8>,
}

/// Why a file's text can't be had. The file goes to quarantine as a whole.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Unreadable {
    /// Nothing in it.
    #[error("the file is empty")]
    Empty,
    /// Larger than [`Limits::compressed`].
    #[error("{size} bytes are more than the {limit} that a stored file may have")]
    TooLarge {
        /// Stored bytes.
        size: u64,
        /// The limit.
        limit: u64,
    },
    /// Inflates to more than [`Limits::uncompressed`] or [`Limits::ratio`] allow.
    #[error("{compressed} bytes inflate to more than {limit}: refused as a decompression bomb")]
    Bomb {
        /// Stored bytes.
        compressed: u64,
        /// The limit that was hit, in bytes.
        limit: u64,
    },
    /// Cut off, or its checksum is wrong.
    #[error("the {format} stream is damaged after {inflated} bytes: {detail}")]
    Damaged {
        /// `gzip` or `zstd`.
        format: &'static str,
        /// Bytes that came out before the damage.
        inflated: u64,
        /// The decoder's words.
        detail: String,
    },
}

impl Unreadable {
    /// A short name for tables and metrics.
    pub fn code(&self) -> &'static str {
        match self {
            Unreadable::Empty => "empty",
            Unreadable::TooLarge { .. } => "too_large",
            Unreadable::Bomb { .. } => "decompression_bomb",
            Unreadable::Damaged { format: "gzip", .. } => "damaged_gzip",
            Unreadable::Damaged { .. } => "damaged_zstd",
        }
    }
}

impl LogFile {
    /// Inflates and hashes a stored file.
    pub fn read(stored: &[u8], limits: &Limits) -> Result<LogFile, Unreadable> {
        LogFile::read_into(Vec::new(), stored, limits)
    }

    /// The same into memory that another file was in: what is in `room` does not matter. The system clears a
    /// page before it hands it out, and memory that is new to a process costs more than inflating into it does.
    pub fn read_into(room: Vec<u8>, stored: &[u8], limits: &Limits) -> Result<LogFile, Unreadable> {
        let size = stored.len() as u64;
        if size > limits.compressed {
            return Err(Unreadable::TooLarge { size, limit: limits.compressed });
        }
        if stored.iter().all(u8::is_ascii_whitespace) {
            return Err(Unreadable::Empty);
        }
        let mut inflater = Inflater::new(room, size, limits);
        let trailing = match stored {
            [0x1f, 0x8b, ..] => inflater.gzip(stored)?,
            [0x28, 0xb5, 0x2f, 0xfd, ..] => inflater.zstd(stored)?,
            plain => inflater.drain(plain, "plain").map(|()| &[][..])?,
        };
        let trailing_bytes = trailing.to_vec();
        inflater.out.truncate(inflater.inflated);
        Ok(LogFile {
            bytes: inflater.out,
            sha256: to_array(&inflater.hash.finish()),
            compressed_size: size,
            trailing_bytes,
        })
    }
}

/// The uncompressed bytes so far, hashed as they come.
struct Inflater {
    /// The bytes, and behind them what is to be overwritten.
    out: Vec<u8>,
    /// How many bytes there are.
    inflated: usize,
    hash: Context,
    compressed: u64,
    limit: u64,
}

impl Inflater {
    fn new(room: Vec<u8>, compressed: u64, limits: &Limits) -> Self {
        let by_ratio = compressed.saturating_mul(limits.ratio).max(RATIO_HEEDED_FROM);
        Inflater {
            out: room,
            inflated: 0,
            hash: Context::new(&SHA256),
            compressed,
            limit: limits.uncompressed.min(by_ratio),
        }
    }

    /// Inflates member after member; returns what follows the last.
    ///
    /// Zero padding after a member is no content: tape and block tools add it, gzip itself skips it.
    fn gzip<'a>(&mut self, stored: &'a [u8]) -> Result<&'a [u8], Unreadable> {
        let room = self.room_for(stored);
        let mut rest = stored;
        while rest.starts_with(&[0x1f, 0x8b]) {
            rest = match self.member_at_once(rest, room) {
                Some(after) => after,
                None => self.member_by_steps(rest)?,
            };
        }
        Ok(if rest.iter().all(|&byte| byte == 0) { &[] } else { rest })
    }

    /// Inflates a member in one go, as CloudTrail writes it: straight into its place, which takes half the time
    /// of steps through the decoder's window. `None`, and nothing done, if it is not that simple.
    fn member_at_once<'a>(&mut self, member: &'a [u8], room: usize) -> Option<&'a [u8]> {
        let deflated = after_gzip_header(member)?;
        let end = self.inflated.checked_add(room).filter(|&end| end as u64 <= self.limit)?;
        let place = self.out.get_mut(self.inflated..end)?;
        let mut decoder = Decompress::new(false);
        let status = decoder.decompress(deflated, place, FlushDecompress::Finish);
        if !matches!(status, Ok(Status::StreamEnd)) {
            return None;
        }
        let consumed = usize::try_from(decoder.total_in()).ok()?;
        let inflated = &place[..usize::try_from(decoder.total_out()).ok()?];
        let (trailer, after) = deflated[consumed..].split_first_chunk::<8>()?;
        if *trailer != gzip_trailer(inflated) {
            return None;
        }
        self.hash.update(inflated);
        self.inflated += inflated.len();
        Some(after)
    }

    /// Inflates any member, and says what is wrong with one that can't be.
    fn member_by_steps<'a>(&mut self, member: &'a [u8]) -> Result<&'a [u8], Unreadable> {
        let mut decoder = flate2::bufread::GzDecoder::new(member);
        self.drain(&mut decoder, "gzip")?;
        Ok(decoder.into_inner())
    }

    /// Makes room for what the last member says it inflates to: a hint of hostile origin. Says how much.
    fn room_for(&mut self, stored: &[u8]) -> usize {
        let hint = stored.last_chunk::<4>().map_or(0, |hint| u64::from(u32::from_le_bytes(*hint)));
        let believable = hint.min(self.limit).min(self.compressed.saturating_mul(32));
        let room = usize::try_from(believable).unwrap_or(0);
        if self.out.capacity() < room {
            self.out = vec![0; room];
        } else if self.out.len() < room {
            self.out.resize(room, 0);
        }
        room
    }

    fn zstd<'a>(&mut self, stored: &'a [u8]) -> Result<&'a [u8], Unreadable> {
        let mut rest = stored;
        while rest.starts_with(&[0x28, 0xb5, 0x2f, 0xfd]) {
            let decoder = zstd::stream::read::Decoder::with_buffer(&mut rest);
            let damaged = |error: std::io::Error| damage("zstd", 0, &error);
            self.drain(decoder.map_err(damaged)?.single_frame(), "zstd")?;
        }
        Ok(rest)
    }

    fn drain(&mut self, mut reader: impl Read, format: &'static str) -> Result<(), Unreadable> {
        const STEP: usize = 64 << 10;
        self.out.truncate(self.inflated);
        loop {
            let start = self.out.len();
            let step = reader.by_ref().take(STEP as u64).read_to_end(&mut self.out);
            let read = step.map_err(|error| damage(format, self.out.len(), &error))?;
            self.inflated = self.out.len();
            self.hash.update(&self.out[start..]);
            if self.out.len() as u64 > self.limit {
                return Err(Unreadable::Bomb { compressed: self.compressed, limit: self.limit });
            }
            if read < STEP {
                return Ok(());
            }
        }
    }
}

/// What follows a gzip header that has at most a name in it; `None` if there is more, or less.
fn after_gzip_header(member: &[u8]) -> Option<&[u8]> {
    const NAME: u8 = 8;
    let (header, rest) = member.split_first_chunk::<10>()?;
    match header {
        [0x1f, 0x8b, 8, 0, ..] => Some(rest),
        [0x1f, 0x8b, 8, NAME, ..] => rest.iter().position(|&byte| byte == 0).map(|end| &rest[end + 1..]),
        _ => None,
    }
}

/// What stands behind a member that holds `inflated`: its CRC-32, and its length modulo 2^32.
fn gzip_trailer(inflated: &[u8]) -> [u8; 8] {
    let length = (inflated.len() as u64) << 32;
    (length | u64::from(crc32fast::hash(inflated))).to_le_bytes()
}

fn damage(format: &'static str, inflated: usize, error: &std::io::Error) -> Unreadable {
    Unreadable::Damaged { format, inflated: inflated as u64, detail: error.to_string() }
}

fn to_array(digest: &ring::digest::Digest) -> [u8; 32] {
    let mut sha256 = [0; 32];
    sha256.copy_from_slice(digest.as_ref());
    sha256
}

#[cfg(test)]
mod tests {
    use super::*;
    use flate2::{Compression, write::GzEncoder};
    use proptest::prelude::*;
    use std::io::Write as _;

    fn gzip(bytes: &[u8]) -> Vec<u8> {
        let mut encoder = GzEncoder::new(Vec::new(), Compression::fast());
        encoder.write_all(bytes).unwrap();
        encoder.finish().unwrap()
    }

    fn read(stored: &[u8]) -> Result<LogFile, Unreadable> {
        LogFile::read(stored, &Limits::default())
    }

    #[test]
    fn every_container_gives_the_same_text_and_hash() {
        let text = br#"{"Records":[]}"#.repeat(9000);
        let two_members = [gzip(&text[..70_000]), gzip(&text[70_000..])].concat();
        let padded = [gzip(&text), vec![0; 512]].concat();
        let zstd = zstd::encode_all(&text[..], 3).unwrap();
        for stored in [text.clone(), gzip(&text), two_members, padded, zstd] {
            for room in [0, 100, text.len() - 1, text.len(), 3 * text.len()] {
                let file = LogFile::read_into(vec![b'?'; room], &stored, &Limits::default()).unwrap();
                assert!(file.bytes == text && file.trailing_bytes.is_empty());
                assert_eq!(file.sha256[..], *ring::digest::digest(&SHA256, &text).as_ref());
            }
        }
    }

    #[test]
    fn a_header_may_say_more_or_less() {
        let text = br#"{"Records":[]}"#.repeat(100);
        let encode = |builder: flate2::GzBuilder| {
            let mut encoder = builder.write(Vec::new(), Compression::fast());
            encoder.write_all(&text).unwrap();
            encoder.finish().unwrap()
        };
        let headers = [
            flate2::GzBuilder::new(),
            flate2::GzBuilder::new().filename("a.json"),
            flate2::GzBuilder::new().comment("by hand"),
            flate2::GzBuilder::new().extra(*b"more").filename("a.json").comment("by hand"),
        ];
        for stored in headers.map(encode) {
            let twice = stored.repeat(2);
            for (stored, times) in [(stored, 1), (twice, 2)] {
                let file = read(&stored).unwrap();
                assert!(file.bytes == text.repeat(times) && file.trailing_bytes.is_empty());
                assert_eq!(file.sha256[..], *ring::digest::digest(&SHA256, &file.bytes).as_ref());
            }
        }
        for cut in 0..40 {
            assert_eq!(
                read(&[0x1f, 0x8b, 8, 8, 0, 0, 0, 0, 0, 3].repeat(4)[..cut.max(2)]).unwrap_err().code(),
                "damaged_gzip"
            );
        }
    }

    #[test]
    fn bytes_after_the_stream_are_kept_apart() {
        let file = read(&[gzip(b"{}"), b"garbage".to_vec()].concat()).unwrap();
        assert_eq!((&file.bytes[..], &file.trailing_bytes[..]), (&b"{}"[..], &b"garbage"[..]));
    }

    #[test]
    fn bombs_and_oversized_files_are_refused() {
        let code =
            |stored: &[u8], limits: &Limits| LogFile::read(stored, limits).err().map(|error| error.code());
        let nested = zstd::encode_all(&vec![b' '; 64 << 20][..], 3).unwrap();
        assert_eq!(code(&nested, &Limits::default()), Some("decompression_bomb"));
        let stored = gzip(&vec![b' '; 64 << 20]);
        let small = Limits { uncompressed: 32 << 20, ..Limits::default() };
        assert_eq!(code(&stored, &small), Some("decompression_bomb"));
        let members = gzip(&vec![b' '; 1 << 20]).repeat(33);
        assert_eq!(code(&members, &small), Some("decompression_bomb"));
        let large = vec![0; 64 << 20];
        let refused = LogFile::read_into(large, &members, &small).unwrap_err();
        assert_eq!(refused.code(), "decompression_bomb");
        let limits = Limits { compressed: 10, ..Limits::default() };
        assert_eq!(code(&stored, &limits), Some("too_large"));
        assert_eq!(code(b"", &Limits::default()), Some("empty"));
    }

    proptest! {
        #[test]
        fn damaged_gzip_is_refused_or_reads_the_same(at in 0usize..2000, bit in 0u8..8, cut in 0usize..2000) {
            let text: Vec<u8> = (0..4000u32).flat_map(|n| n.wrapping_mul(2_654_435_761).to_le_bytes()).collect();
            let stored = gzip(&text);
            let mut flipped = stored.clone();
            let place = at % stored.len();
            flipped[place] ^= 1 << bit;
            // Ten header bytes hold nothing of the content: time, flags for names, the system.
            if let Ok(file) = read(&flipped) {
                prop_assert!(file.bytes == text || place < 10);
            }
            let shorter = &stored[..stored.len() - 1 - cut % (stored.len() - 20)];
            prop_assert_eq!(read(shorter).unwrap_err().code(), "damaged_gzip");
        }
    }
}
