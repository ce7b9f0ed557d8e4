//! Stamps: what a file or folder looks like from outside, to tell without reading it that it has not changed.

use super::{Error, Result};
use crate::package::{Sha256, Sha256Hasher, archive};
use std::{
    fs::Metadata,
    path::Path,
    time::{SystemTime, UNIX_EPOCH},
};

/// What a file or folder looks like from outside. Equal stamps mean unchanged, but for changes too quick for the clock of
/// the file system: so what was modified just before the scan is not trusted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Stamp {
    pub(super) look: Look,
    /// The newest modification, in nanoseconds since 1970.
    pub(super) modified: i128,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Look {
    /// Size and number of a file; a file that another was renamed over has another number.
    File { size: u64, inode: u64 },
    /// A digest over path, size, time, number and mode of all files of a folder.
    Folder(Sha256),
}

impl Stamp {
    /// Bytes of a file.
    pub(super) fn size(&self) -> Option<u64> {
        match self.look {
            Look::File { size, .. } => Some(size),
            Look::Folder(_) => None,
        }
    }
}

pub(super) fn file(path: &Path) -> Result<Stamp> {
    std::fs::metadata(path).map(|meta| of_metadata(&meta)).map_err(|e| Error::io("read", path, e))
}

pub(super) fn of_metadata(meta: &Metadata) -> Stamp {
    // A file system without modification times gives 1970 each time; size and number still tell.
    let modified = meta.modified().map_or(0, nanoseconds);
    Stamp { look: Look::File { size: meta.len(), inode: inode(meta) }, modified }
}

pub(super) fn folder(path: &Path) -> Result<Stamp> {
    let files = archive::walk(path)?;
    let (mut hasher, mut newest) = (Sha256Hasher::default(), 0);
    for file in files {
        let modified = nanoseconds(file.modified);
        newest = modified.max(newest);
        // Lengths before texts: no two lists of files give the same bytes.
        hasher.update(&(file.path.len() as u64).to_le_bytes());
        hasher.update(file.path.as_bytes());
        hasher.update(&file.size.to_le_bytes());
        hasher.update(&modified.to_le_bytes());
        hasher.update(&file.inode.unwrap_or(0).to_le_bytes());
        hasher.update(&[u8::from(file.executable)]);
    }
    Ok(Stamp { look: Look::Folder(hasher.finish()), modified: newest })
}

fn nanoseconds(time: SystemTime) -> i128 {
    let after = time.duration_since(UNIX_EPOCH).map(|d| i128::try_from(d.as_nanos()).unwrap_or(i128::MAX));
    after.unwrap_or_else(|e| -i128::try_from(e.duration().as_nanos()).unwrap_or(i128::MAX))
}

#[cfg(unix)]
fn inode(meta: &Metadata) -> u64 {
    std::os::unix::fs::MetadataExt::ino(meta)
}

#[cfg(not(unix))]
fn inode(_: &Metadata) -> u64 {
    0
}
