//! Reading a bundle: a read-only directory for tantivy over one object, held whole or in parts.
//!
//! Of a bundle held in parts, a read of what is not at hand fails, and is noted ([`attempt`]). Whoever asked fetches what was
//! noted, in parallel, and asks again, as with the nodes of the index: each round goes one level deeper, and there are as
//! many round trips as a question has levels (terms, lists, documents), however many blocks it takes.

use crate::{
    Result,
    format::bundle::{File, Tail},
    package::Sha256,
};
use bytes::Bytes;
use std::{
    cell::RefCell,
    collections::BTreeSet,
    fmt, io,
    ops::Range,
    path::{Path, PathBuf},
    sync::{Arc, Mutex, PoisonError},
};
use tantivy::{
    Directory, HasLen,
    directory::{
        DirectoryLock, FileHandle, Lock, OwnedBytes, WatchCallback, WatchHandle, WritePtr,
        error::{DeleteError, LockError, OpenReadError, OpenWriteError},
    },
};

/// A block that is not at hand: of which bundle, and its number.
pub(super) type Lack = (Sha256, u64);

thread_local! {
    /// What reads of this thread have lacked since the last [`attempt`] began. Reads happen deep inside tantivy, on the
    /// thread that asks.
    static LACKING: RefCell<BTreeSet<Lack>> = const { RefCell::new(BTreeSet::new()) };
}

/// Runs something that reads bundles: what it gives, or the blocks that it lacks. Must not be nested.
pub(super) fn attempt<T>(work: impl FnOnce() -> Result<T>) -> Result<Result<T, BTreeSet<Lack>>> {
    LACKING.with_borrow_mut(BTreeSet::clear);
    let out = work();
    let lacking = LACKING.with_borrow_mut(std::mem::take);
    if lacking.is_empty() { out.map(Ok) } else { Ok(Err(lacking)) }
}

/// Whether this thread's attempt is in vain already: then an answer need not be worked out, only what else it lacks.
pub(super) fn is_lacking() -> bool {
    LACKING.with_borrow(|l| !l.is_empty())
}

/// Where the bytes of a body come from.
pub(super) enum Source {
    Whole(OwnedBytes),
    /// The same, and every read is noted: so it is found out what opening an index takes.
    Noted(Bytes, Mutex<Vec<Range<u64>>>),
    Parts {
        sha256: Sha256,
        blocks: moka::sync::Cache<u64, Bytes>,
    },
}

pub(super) struct Body {
    pub(super) tail: Tail,
    pub(super) source: Source,
}

impl Body {
    pub(super) fn read(&self, range: Range<u64>) -> io::Result<OwnedBytes> {
        let to = |n: u64| usize::try_from(n).map_err(io::Error::other);
        match &self.source {
            Source::Whole(bytes) => Ok(bytes.slice(to(range.start)?..to(range.end)?)),
            Source::Noted(bytes, noted) => {
                if !range.is_empty() {
                    noted.lock().unwrap_or_else(PoisonError::into_inner).push(range.clone());
                }
                Ok(OwnedBytes::new(bytes.slice(to(range.start)?..to(range.end)?).to_vec()))
            }
            Source::Parts { sha256, blocks } => {
                if let Some(bytes) = self.tail.hot(&range) {
                    return Ok(OwnedBytes::new(bytes.to_vec()));
                }
                self.gather(&range, sha256, blocks)
            }
        }
    }

    fn gather(
        &self,
        range: &Range<u64>,
        sha256: &Sha256,
        blocks: &moka::sync::Cache<u64, Bytes>,
    ) -> io::Result<OwnedBytes> {
        let mut out = Vec::with_capacity(usize::try_from(range.end - range.start).unwrap_or(0));
        let block = self.tail.table.block;
        let mut lacking = Vec::new();
        for number in range.start / block..range.end.div_ceil(block) {
            let Some(bytes) = blocks.get(&number) else {
                lacking.push((*sha256, number));
                continue;
            };
            let place = self.tail.block_range(number);
            let from = usize::try_from(range.start.max(place.start) - place.start).unwrap_or(0);
            let to = usize::try_from(range.end.min(place.end) - place.start).unwrap_or(0);
            out.extend_from_slice(bytes.get(from..to).unwrap_or_default());
        }
        if lacking.is_empty() {
            return Ok(OwnedBytes::new(out));
        }
        LACKING.with_borrow_mut(|l| l.extend(lacking));
        Err(io::Error::new(io::ErrorKind::WouldBlock, "not at hand yet"))
    }
}

/// A file of the index.
struct Handle {
    body: Arc<Body>,
    file: File,
}

impl fmt::Debug for Handle {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.file.name)
    }
}

impl HasLen for Handle {
    fn len(&self) -> usize {
        usize::try_from(self.file.size).unwrap_or(usize::MAX)
    }
}

impl FileHandle for Handle {
    fn read_bytes(&self, range: Range<usize>) -> io::Result<OwnedBytes> {
        let (start, end) = (range.start as u64, range.end as u64);
        if start > end || end > self.file.size {
            return Err(io::Error::new(io::ErrorKind::UnexpectedEof, format!("{} ends before {end}", self.file.name)));
        }
        self.body.read(self.file.offset + start..self.file.offset + end)
    }
}

/// The files of a bundle, for tantivy: nothing is ever written, locked or watched.
#[derive(Clone)]
pub(super) struct BundleDirectory(pub(super) Arc<Body>);

impl fmt::Debug for BundleDirectory {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("BundleDirectory")
    }
}

impl BundleDirectory {
    fn handle(&self, path: &Path) -> Result<Handle, OpenReadError> {
        let file = path.to_str().and_then(|name| self.0.tail.file(name)).cloned();
        let file = file.ok_or_else(|| OpenReadError::FileDoesNotExist(path.to_owned()))?;
        Ok(Handle { body: Arc::clone(&self.0), file })
    }
}

fn read_only(path: &Path) -> (io::Error, PathBuf) {
    (io::ErrorKind::ReadOnlyFilesystem.into(), path.to_owned())
}

impl Directory for BundleDirectory {
    fn get_file_handle(&self, path: &Path) -> Result<Arc<dyn FileHandle>, OpenReadError> {
        Ok(Arc::new(self.handle(path)?))
    }

    fn exists(&self, path: &Path) -> Result<bool, OpenReadError> {
        Ok(self.handle(path).is_ok())
    }

    fn atomic_read(&self, path: &Path) -> Result<Vec<u8>, OpenReadError> {
        let handle = self.handle(path)?;
        let bytes = handle.read_bytes(0..handle.len());
        bytes.map(|b| b.to_vec()).map_err(|e| OpenReadError::wrap_io_error(e, path.to_owned()))
    }

    fn delete(&self, path: &Path) -> Result<(), DeleteError> {
        let (e, filepath) = read_only(path);
        Err(DeleteError::IoError { io_error: Arc::new(e), filepath })
    }

    fn open_write(&self, path: &Path) -> Result<WritePtr, OpenWriteError> {
        let (e, path) = read_only(path);
        Err(OpenWriteError::wrap_io_error(e, path))
    }

    fn atomic_write(&self, path: &Path, _: &[u8]) -> io::Result<()> {
        Err(read_only(path).0)
    }

    fn sync_directory(&self) -> io::Result<()> {
        Ok(())
    }

    fn acquire_lock(&self, _: &Lock) -> Result<DirectoryLock, LockError> {
        Ok(DirectoryLock::from(Box::new(())))
    }

    fn watch(&self, _: WatchCallback) -> tantivy::Result<WatchHandle> {
        Ok(WatchHandle::empty())
    }
}
