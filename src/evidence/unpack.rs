//! Unpacks a bundle that somebody else may have made: into a directory, and nothing outside of it.

use std::fs::{self, File, OpenOptions};
use std::io::{self, Read};
use std::path::Path;

use anyhow::{Context as _, Result, bail};

use super::members;

/// A bundle inflates to at most this many times its size, and this many bytes besides. Lines of verdicts are
/// mostly hashes, so real ones stay far below; what does not would only fill the disk.
const RATIO: u64 = 400;
const BESIDES: u64 = 256 << 20;

/// Unpacks the bundle at `path` into `directory`. An error says what is wrong with the bundle.
pub(super) fn unpack(path: &Path, directory: &Path) -> Result<()> {
    let file = File::open(path).with_context(|| format!("opening {}", path.display()))?;
    let size = file.metadata().with_context(|| format!("opening {}", path.display()))?.len();
    let limit = size.saturating_mul(RATIO).saturating_add(BESIDES);
    let inflated = zstd::Decoder::new(file).context("not a zstd file")?;
    let mut archive = tar::Archive::new(inflated.take(limit));
    fs::create_dir(directory.join("digests")).context("unpacking into a temporary directory")?;
    for entry in archive.entries().context("not a tar archive")? {
        let mut entry = entry.context("the archive is damaged")?;
        let name = entry.path_bytes().into_owned();
        let name = std::str::from_utf8(&name).ok().and_then(|name| name.strip_prefix(members::FOLDER));
        let name = name.and_then(|name| name.strip_prefix('/')).filter(|name| members::is_name(name));
        let Some(name) = name else { bail!("the archive holds a file that no bundle has") };
        if !entry.header().entry_type().is_file() {
            bail!("{name} is no regular file");
        }
        write(&mut entry, &directory.join(name)).with_context(|| format!("unpacking {name}"))?;
    }
    // The checksum of the whole comes last.
    let mut rest = archive.into_inner();
    let after = io::copy(&mut (&mut rest).take(1 << 20), &mut OnlyZeros).context("the archive is damaged")?;
    if after == 1 << 20 || rest.limit() == 0 {
        bail!("the archive is longer than a bundle is");
    }
    Ok(())
}

fn write(entry: &mut impl Read, path: &Path) -> Result<()> {
    if let Some(folder) = path.parent() {
        fs::create_dir_all(folder)?;
    }
    let mut file = OpenOptions::new().write(true).create_new(true).open(path)?;
    io::copy(entry, &mut file)?;
    Ok(())
}

/// Takes the padding of an archive, and nothing else.
struct OnlyZeros;

impl io::Write for OnlyZeros {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        if bytes.iter().any(|byte| *byte != 0) {
            return Err(io::Error::other("something follows the archive"));
        }
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}
