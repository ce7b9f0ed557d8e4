//! The object cache on disk: immutable objects under their digest, as they were received.

use crate::{
    Error, Result, format,
    package::{Link, Sha256},
};
use bytes::Bytes;
use std::{
    fs,
    io::{self, Write},
    path::{Path, PathBuf},
};

/// The folders below a cache folder whose content can be fetched or found again, and what they hold.
const PARTS: [(&str, &str); 3] = [
    (OBJECTS, "objects of registries"),
    ("archives", "archives of packages"),
    ("scan", "which source files were read"),
];

const OBJECTS: &str = "blobs";

/// How often it is tried to empty a folder that others fill meanwhile.
const ATTEMPTS: u32 = 16;

/// What a part of a cache folder holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub struct CachePart {
    /// The folder below the cache folder.
    pub name: &'static str,
    /// What is in it.
    pub what: &'static str,
    /// How many files.
    pub files: u64,
    /// Their bytes.
    pub bytes: u64,
}

/// How much is in a cache folder, by parts. (What this machine trusted last lies there too, and is no cache.)
///
/// # Errors
/// [`ErrorKind::Io`](crate::ErrorKind::Io) for a folder that cannot be read; one that is not there is empty.
pub fn cache_usage(folder: &Path) -> Result<Vec<CachePart>> {
    let part = |(name, what)| {
        let mut part = CachePart { name, what, files: 0, bytes: 0 };
        let path = folder.join(name);
        for entry in walkdir::WalkDir::new(&path) {
            // Other programs use it meanwhile: what is gone by now is not counted.
            let meta = match entry.and_then(|e| e.metadata()) {
                Ok(meta) => meta,
                Err(e) if e.io_error().is_some_and(|e| e.kind() == io::ErrorKind::NotFound) => continue,
                Err(e) => return Err(Error::io("read", &path, e.into())),
            };
            if meta.is_file() {
                part.files += 1;
                part.bytes += meta.len();
            }
        }
        Ok(part)
    };
    PARTS.into_iter().map(part).collect()
}

/// Removes what can be fetched or found again, and tells how much it was. What this machine trusted last stays (invariant
/// I23). Programs that use the folder meanwhile go on: they fetch again.
///
/// # Errors
/// [`ErrorKind::Io`](crate::ErrorKind::Io) for what cannot be removed.
pub fn clean_cache(folder: &Path) -> Result<Vec<CachePart>> {
    let parts = cache_usage(folder)?;
    for part in &parts {
        let path = folder.join(part.name);
        // Others may put something in while it is emptied: what is there at last is theirs, and stays.
        let is_busy = |e: &io::Error| e.kind() == io::ErrorKind::DirectoryNotEmpty;
        let mut attempts = (0..ATTEMPTS).map(|_| fs::remove_dir_all(&path));
        match attempts.find(|removed| !removed.as_ref().is_err_and(is_busy)).unwrap_or(Ok(())) {
            Err(e) if e.kind() != io::ErrorKind::NotFound => return Err(Error::io("remove", &path, e)),
            _ => {}
        }
    }
    Ok(parts)
}

/// A folder of objects. It is only a cache: what cannot be read or written is fetched again, and what is damaged is
/// replaced, since every read is checked by its digest.
pub(crate) struct DiskCache {
    folder: PathBuf,
}

impl DiskCache {
    pub(crate) fn new(base: &Path) -> Self {
        Self { folder: base.join(OBJECTS) }
    }

    /// Two levels, so that no folder holds a million files.
    fn path(&self, link: &Link) -> PathBuf {
        let name = link.sha256.to_string();
        self.folder.join(&name[..2]).join(name)
    }

    /// Whether it seems to have an object.
    pub(crate) fn holds(&self, link: &Link) -> bool {
        fs::metadata(self.path(link)).is_ok_and(|m| m.len() == link.size)
    }

    pub(crate) fn get(&self, link: &Link) -> Option<Bytes> {
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

    /// The object of that digest, however large it is, up to a bound.
    pub(crate) fn find(&self, sha256: &Sha256, max: u64) -> Option<Bytes> {
        let link = Link { raw: None, sha256: *sha256, size: 0 };
        let size = fs::metadata(self.path(&link)).ok()?.len();
        if size > max { None } else { self.get(&Link { size, ..link }) }
    }

    pub(crate) fn put(&self, link: &Link, bytes: &[u8]) {
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
