//! Gzip as zlib reads it, piece by piece and hashed while it is inflated: nothing of the content is kept
//! unless asked for, so a file of any size takes the same memory.
//!
//! zlib's own habits matter here, because verdicts of the AWS CLI hang on them: a stream that is cut off is
//! no error to it, a missing trailer neither, a wrong one is.

use flate2::{Crc, Decompress, FlushDecompress, Status};
use ring::digest::{Context, SHA256};

/// Why a stream is not gzip, or not whole.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Broken {
    /// zlib would give up.
    #[error("not gzip: {0}")]
    NotGzip(&'static str),
    /// The stream ends too early.
    #[error("the gzip stream is cut off")]
    Cut,
    /// More comes out than is allowed.
    #[error("inflates to more than {0} bytes: refused as a decompression bomb")]
    Bomb(u64),
}

/// What a whole stream was.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Inflated {
    /// Hex SHA-256 of what came out.
    pub sha256: String,
    /// Whether the stream came to its end, trailer included.
    pub whole: bool,
    /// Whether more bytes followed.
    pub trailing: bool,
    /// What came out, if it was kept.
    pub bytes: Vec<u8>,
}

enum Stage {
    Header(Vec<u8>),
    Body,
    Trailer(Vec<u8>),
    End,
}

/// An inflater of one gzip member.
pub(super) struct Gunzip {
    stage: Stage,
    inflate: Decompress,
    crc: Crc,
    hash: Context,
    out: Box<[u8]>,
    kept: Option<Vec<u8>>,
    size: u64,
    limit: u64,
    trailing: bool,
}

/// A header longer than this is somebody's joke: it holds a file's name at most.
const LONGEST_HEADER: usize = 1 << 20;
const STEP: usize = 32 << 10;

impl Gunzip {
    /// Inflates at most `limit` bytes, and keeps them if told so.
    pub(super) fn new(limit: u64, keep: bool) -> Self {
        Gunzip {
            stage: Stage::Header(Vec::new()),
            inflate: Decompress::new(false),
            crc: Crc::new(),
            hash: Context::new(&SHA256),
            out: vec![0; STEP].into_boxed_slice(),
            kept: keep.then(Vec::new),
            size: 0,
            limit,
            trailing: false,
        }
    }

    /// Takes the next piece of the stored bytes.
    pub(super) fn update(&mut self, piece: &[u8]) -> Result<(), Broken> {
        let mut rest = piece;
        while !rest.is_empty() {
            rest = match &mut self.stage {
                Stage::Header(_) => self.header(rest)?,
                Stage::Body => self.body(rest)?,
                Stage::Trailer(_) => self.trailer(rest)?,
                Stage::End => {
                    self.trailing = true;
                    return Ok(());
                }
            };
        }
        Ok(())
    }

    /// Ends the stream.
    pub(super) fn finish(self) -> Inflated {
        Inflated {
            sha256: crate::hex::encode(self.hash.finish().as_ref()),
            whole: matches!(self.stage, Stage::End),
            trailing: self.trailing,
            bytes: self.kept.unwrap_or_default(),
        }
    }

    fn header<'a>(&mut self, piece: &'a [u8]) -> Result<&'a [u8], Broken> {
        let Stage::Header(seen) = &mut self.stage else { return Ok(piece) };
        let before = seen.len();
        seen.extend_from_slice(&piece[..piece.len().min(LONGEST_HEADER)]);
        match header_length(seen)? {
            Some(length) => {
                self.stage = Stage::Body;
                Ok(&piece[length - before..])
            }
            None if seen.len() > LONGEST_HEADER => Err(Broken::NotGzip("a header without an end")),
            None => Ok(&[]),
        }
    }

    fn body<'a>(&mut self, mut piece: &'a [u8]) -> Result<&'a [u8], Broken> {
        loop {
            let (read, written) = (self.inflate.total_in(), self.inflate.total_out());
            let status = self.inflate.decompress(piece, &mut self.out, FlushDecompress::None);
            let status = status.map_err(|_| Broken::NotGzip("invalid compressed data"))?;
            let read = usize::try_from(self.inflate.total_in() - read).unwrap_or(piece.len());
            let written = usize::try_from(self.inflate.total_out() - written).unwrap_or(0);
            self.take(written)?;
            piece = &piece[read..];
            if status == Status::StreamEnd {
                self.stage = Stage::Trailer(Vec::with_capacity(8));
                return Ok(piece);
            }
            if piece.is_empty() && written < STEP {
                return Ok(piece);
            }
            if read == 0 && written == 0 {
                return Err(Broken::NotGzip("invalid compressed data"));
            }
        }
    }

    fn take(&mut self, written: usize) -> Result<(), Broken> {
        let out = &self.out[..written];
        self.size += written as u64;
        if self.size > self.limit {
            return Err(Broken::Bomb(self.limit));
        }
        self.crc.update(out);
        self.hash.update(out);
        if let Some(kept) = &mut self.kept {
            kept.extend_from_slice(out);
        }
        Ok(())
    }

    /// Checksum and size: each is checked as soon as it is there.
    fn trailer<'a>(&mut self, piece: &'a [u8]) -> Result<&'a [u8], Broken> {
        let Stage::Trailer(seen) = &mut self.stage else { return Ok(piece) };
        let (now, later) = piece.split_at(piece.len().min(8 - seen.len()));
        seen.extend_from_slice(now);
        if seen.get(..4).is_some_and(|sum| *sum != self.crc.sum().to_le_bytes()) {
            return Err(Broken::NotGzip("incorrect data check"));
        }
        if seen.get(4..8).is_some_and(|size| *size != self.crc.amount().to_le_bytes()) {
            return Err(Broken::NotGzip("incorrect length check"));
        }
        if seen.len() == 8 {
            self.stage = Stage::End;
        }
        Ok(later)
    }
}

/// Where the header ends, if it is all there.
fn header_length(bytes: &[u8]) -> Result<Option<usize>, Broken> {
    const CRC: u8 = 2;
    const EXTRA: u8 = 4;
    const NAME: u8 = 8;
    const COMMENT: u8 = 16;
    if bytes.len() >= 2 && !bytes.starts_with(&[0x1f, 0x8b]) {
        return Err(Broken::NotGzip("incorrect header check"));
    }
    let (Some(&method), Some(&flags)) = (bytes.get(2), bytes.get(3)) else { return Ok(None) };
    if method != 8 {
        return Err(Broken::NotGzip("unknown compression method"));
    }
    if flags & 0xe0 != 0 {
        return Err(Broken::NotGzip("unknown header flags set"));
    }
    let mut length = 10;
    if flags & EXTRA != 0 {
        let Some(size) = bytes.get(10..12) else { return Ok(None) };
        length += 2 + usize::from(size[0]) + (usize::from(size[1]) << 8);
    }
    for _ in 0..(flags & (NAME | COMMENT)).count_ones() {
        let Some(end) = bytes.get(length..).and_then(|text| text.iter().position(|&byte| byte == 0)) else {
            return Ok(None);
        };
        length += end + 1;
    }
    if flags & CRC != 0 {
        let (Some(covered), Some(stored)) = (bytes.get(..length), bytes.get(length..length + 2)) else {
            return Ok(None);
        };
        let mut crc = Crc::new();
        crc.update(covered);
        if crc.sum().to_le_bytes()[..2] != *stored {
            return Err(Broken::NotGzip("header crc mismatch"));
        }
        length += 2;
    }
    Ok((bytes.len() >= length).then_some(length))
}

/// Inflates stored bytes at once: one member, which must be whole. Says whether more bytes follow.
pub(super) fn inflate_member(stored: &[u8], limit: u64) -> Result<Inflated, Broken> {
    let mut gunzip = Gunzip::new(limit, true);
    gunzip.update(stored)?;
    let inflated = gunzip.finish();
    if inflated.whole { Ok(inflated) } else { Err(Broken::Cut) }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use std::io::Write as _;

    fn gzip(bytes: &[u8]) -> Vec<u8> {
        let builder = flate2::GzBuilder::new().filename("a name").comment("a comment").extra(vec![1, 2, 3]);
        let mut encoder = builder.write(Vec::new(), flate2::Compression::fast());
        encoder.write_all(bytes).unwrap();
        encoder.finish().unwrap()
    }

    fn read(stored: &[u8], step: usize) -> Result<Inflated, Broken> {
        let mut gunzip = Gunzip::new(1 << 20, true);
        stored.chunks(step.max(1)).try_for_each(|piece| gunzip.update(piece))?;
        Ok(gunzip.finish())
    }

    proptest! {
        #[test]
        fn pieces_of_any_size_give_the_same(text in proptest::collection::vec(any::<u8>(), 0..3000), step in 1usize..90) {
            let inflated = read(&gzip(&text), step).unwrap();
            prop_assert!(inflated.whole && !inflated.trailing);
            prop_assert_eq!(inflated.sha256, crate::digest::sha256_hex(&text));
            prop_assert_eq!(inflated.bytes, text);
        }
    }

    #[test]
    fn cut_and_lengthened_streams_are_told_apart_as_zlib_does() {
        let stored = gzip(&b"hello ".repeat(1000));
        for step in [1, 7, 1 << 20] {
            let without_trailer = read(&stored[..stored.len() - 8], step).unwrap();
            assert!(!without_trailer.whole && without_trailer.bytes.len() == 6000);
            let longer = read(&[stored.clone(), b"X".to_vec()].concat(), step).unwrap();
            assert!(longer.whole && longer.trailing);
            let mut wrong = stored.clone();
            let at = wrong.len() - 8;
            wrong[at] ^= 1;
            assert_eq!(read(&wrong, step), Err(Broken::NotGzip("incorrect data check")));
            assert!(read(b"plain text", step).is_err());
            assert!(!read(b"", step).unwrap().whole);
        }
    }

    #[test]
    fn a_bomb_is_refused_before_it_takes_memory() {
        let stored = gzip(&vec![0; 4 << 20]);
        assert_eq!(read(&stored, 1 << 20), Err(Broken::Bomb(1 << 20)));
    }
}
