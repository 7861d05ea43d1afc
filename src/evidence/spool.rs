//! Text that grows while a bundle is written, and becomes a file of it at the end. A tar archive wants to
//! know the size of a file first, so it waits on disk.

use std::fs::File;
use std::io::{BufWriter, Seek as _, SeekFrom, Write};
use std::path::Path;

use anyhow::{Context as _, Result};
use ring::digest::{Context, SHA256};

/// Text on disk, in a file without a name, with its hash.
pub(super) struct Spool {
    file: BufWriter<File>,
    hash: Context,
    length: u64,
}

/// Text that is complete.
pub(super) struct Spooled {
    pub(super) file: File,
    pub(super) sha256: String,
    pub(super) length: u64,
}

impl Spool {
    pub(super) fn new(directory: &Path) -> Result<Self> {
        let file = tempfile::tempfile_in(directory)
            .with_context(|| format!("making a temporary file in {}", directory.display()))?;
        Ok(Self { file: BufWriter::new(file), hash: Context::new(&SHA256), length: 0 })
    }

    pub(super) fn line(&mut self, line: &str) -> Result<()> {
        for bytes in [line.as_bytes(), b"\n"] {
            self.file.write_all(bytes).context("writing to a temporary file")?;
            self.hash.update(bytes);
            self.length += bytes.len() as u64;
        }
        Ok(())
    }

    /// Takes what was written; the spool is empty and at its end after that.
    pub(super) fn take(&mut self) -> Result<Spooled> {
        self.file.flush().context("writing to a temporary file")?;
        let mut file = self.file.get_ref().try_clone().context("reading a temporary file")?;
        file.seek(SeekFrom::Start(0)).context("reading a temporary file")?;
        let hash = std::mem::replace(&mut self.hash, Context::new(&SHA256));
        Ok(Spooled { file, sha256: crate::hex::encode(hash.finish().as_ref()), length: self.length })
    }
}
