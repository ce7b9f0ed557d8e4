//! The object cache on disk: immutable objects under their digest, as they were received.

use crate::{format, package::Link};
use bytes::Bytes;
use std::{
    fs,
    io::Write,
    path::{Path, PathBuf},
};

/// A folder of objects. It is only a cache: what cannot be read or written is fetched again, and what is damaged is
/// replaced, since every read is checked by its digest.
pub(super) struct DiskCache {
    folder: PathBuf,
}

impl DiskCache {
    pub(super) fn new(base: &Path) -> Self {
        Self { folder: base.join("blobs") }
    }

    /// Two levels, so that no folder holds a million files.
    fn path(&self, link: &Link) -> PathBuf {
        let name = link.sha256.to_string();
        self.folder.join(&name[..2]).join(name)
    }

    /// Whether it seems to have an object.
    pub(super) fn holds(&self, link: &Link) -> bool {
        fs::metadata(self.path(link)).is_ok_and(|m| m.len() == link.size)
    }

    pub(super) fn get(&self, link: &Link) -> Option<Bytes> {
        let path = self.path(link);
        if fs::metadata(&path).ok()?.len() != link.size {
            let _ = fs::remove_file(&path);
            return None;
        }
        let bytes = Bytes::from(fs::read(&path).ok()?);
        if format::check(&bytes, link).is_err() {
            tracing::warn!("{} was damaged; fetching it again", path.display());
            let _ = fs::remove_file(&path);
            return None;
        }
        Some(bytes)
    }

    pub(super) fn put(&self, link: &Link, bytes: &[u8]) {
        let path = self.path(link);
        if let Err(e) = write(&path, bytes) {
            tracing::warn!("cannot cache {}: {e}", path.display());
        }
    }
}

/// Not flushed: after a crash the file may be short or empty, which the digest finds.
fn write(path: &Path, bytes: &[u8]) -> std::io::Result<()> {
    let folder = path.parent().unwrap_or(Path::new("."));
    fs::create_dir_all(folder)?;
    let mut temporary = tempfile::NamedTempFile::new_in(folder)?;
    temporary.write_all(bytes)?;
    temporary.persist(path)?;
    Ok(())
}
