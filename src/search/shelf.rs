//! Where tantivy puts the files of an index that is being built. What is large waits on disk: at the end all of them are put
//! together, and until then memory is wanted for what they are made of.

use std::{
    collections::HashMap,
    fmt,
    io::{self, Read as _, Seek as _, SeekFrom, Write},
    path::{Path, PathBuf},
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};
use tantivy::{
    Directory,
    directory::{
        AntiCallToken, FileHandle, OwnedBytes, TerminatingWrite, WatchCallback, WatchHandle, WritePtr,
        error::{DeleteError, OpenReadError, OpenWriteError},
    },
};
use tempfile::SpooledTempFile;

/// So much of each file stays in memory: the index of one release does not touch the disk.
const IN_MEMORY: usize = 4 << 20;

/// How much is written at once.
const PIECE: usize = 256 << 10;

/// A directory that is written once, and then emptied.
#[derive(Clone, Default)]
pub(super) struct Shelf(Arc<Mutex<HashMap<PathBuf, SpooledTempFile>>>);

impl Shelf {
    fn files(&self) -> MutexGuard<'_, HashMap<PathBuf, SpooledTempFile>> {
        // A file is put here when it is whole: a thread that panicked left nothing half-done.
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Appends a file to `out` and takes it away; says how long it was, or that there is none of that name.
    pub(super) fn take(&self, path: &Path, out: &mut Vec<u8>) -> io::Result<Option<u64>> {
        let file = self.files().remove(path);
        file.map(|mut file| read(&mut file, out)).transpose()
    }

    /// How many bytes all files have.
    pub(super) fn size(&self) -> io::Result<u64> {
        self.files().values_mut().map(|file| file.seek(SeekFrom::End(0))).sum()
    }
}

fn read(file: &mut SpooledTempFile, out: &mut Vec<u8>) -> io::Result<u64> {
    file.seek(SeekFrom::Start(0))?;
    Ok(file.read_to_end(out)? as u64)
}

impl fmt::Debug for Shelf {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Shelf({} files)", self.files().len())
    }
}

/// A file that is being written.
struct Writing {
    shelf: Shelf,
    path: PathBuf,
    file: SpooledTempFile,
}

impl Writing {
    fn finish(&mut self) {
        let file = std::mem::replace(&mut self.file, SpooledTempFile::new(0));
        self.shelf.files().insert(std::mem::take(&mut self.path), file);
    }
}

impl Write for Writing {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.file.write(bytes)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.file.flush()
    }
}

impl TerminatingWrite for Writing {
    fn terminate_ref(&mut self, _: AntiCallToken) -> io::Result<()> {
        self.finish();
        Ok(())
    }
}

impl Directory for Shelf {
    fn open_write(&self, path: &Path) -> Result<WritePtr, OpenWriteError> {
        let file = SpooledTempFile::new(IN_MEMORY);
        let writing = Writing { shelf: self.clone(), path: path.to_owned(), file };
        Ok(WritePtr::with_capacity(PIECE, Box::new(writing)))
    }

    fn atomic_write(&self, path: &Path, bytes: &[u8]) -> io::Result<()> {
        let mut file = SpooledTempFile::new(IN_MEMORY);
        file.write_all(bytes)?;
        self.files().insert(path.to_owned(), file);
        Ok(())
    }

    fn atomic_read(&self, path: &Path) -> Result<Vec<u8>, OpenReadError> {
        let mut files = self.files();
        let file = files.get_mut(path).ok_or_else(|| OpenReadError::FileDoesNotExist(path.to_owned()))?;
        let mut out = Vec::new();
        read(file, &mut out).map_err(|e| OpenReadError::wrap_io_error(e, path.to_owned()))?;
        Ok(out)
    }

    fn get_file_handle(&self, path: &Path) -> Result<Arc<dyn FileHandle>, OpenReadError> {
        Ok(Arc::new(OwnedBytes::new(self.atomic_read(path)?)))
    }

    fn exists(&self, path: &Path) -> Result<bool, OpenReadError> {
        Ok(self.files().contains_key(path))
    }

    fn delete(&self, path: &Path) -> Result<(), DeleteError> {
        let there = self.files().remove(path);
        there.map(drop).ok_or_else(|| DeleteError::FileDoesNotExist(path.to_owned()))
    }

    fn sync_directory(&self) -> io::Result<()> {
        Ok(())
    }

    fn watch(&self, _: WatchCallback) -> tantivy::Result<WatchHandle> {
        Ok(WatchHandle::empty())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_is_there_when_it_is_whole_and_is_taken_once() {
        let (shelf, path) = (Shelf::default(), Path::new("terms"));
        // One that stays in memory, and one that goes over disk.
        for length in [5, 3 * IN_MEMORY + 7] {
            let bytes: Vec<u8> = (0..length).map(|i| (i % 251) as u8).collect();
            let mut writing = shelf.open_write(path).unwrap();
            writing.write_all(&bytes).unwrap();
            assert!(!shelf.exists(path).unwrap());
            writing.terminate().unwrap();
            assert_eq!(shelf.get_file_handle(path).unwrap().len(), length);
            assert_eq!(shelf.size().unwrap(), length as u64);
            let mut out = b"before".to_vec();
            assert_eq!(shelf.take(path, &mut out).unwrap(), Some(length as u64));
            assert!(out[6..] == bytes);
            assert_eq!(shelf.take(path, &mut out).unwrap(), None);
            assert_eq!(shelf.size().unwrap(), 0);
        }
    }
}
