//! Archives on this machine: a folder of them by digest, shared by all processes.
//!
//! It is only a cache. What is in it was right when it was written, and whoever reads it hashes it again: a damaged file is
//! removed and downloaded anew.

use super::Client;
use crate::{
    Error, ErrorKind, Result,
    package::{Archive, Link, Sha256, Sha256Hasher},
    store::{Download, Step},
};
use std::{
    fs::{self, File},
    io::{self, Read, Seek, Write},
    path::{Path, PathBuf},
};
use tempfile::NamedTempFile;

/// The bytes of an archive in a file.
pub(super) struct ArchiveFile {
    pub(super) file: File,
    /// Where it is, unless it has no name.
    pub(super) path: Option<PathBuf>,
    /// Whether it was there already: then its bytes are to be checked before anybody relies on them.
    pub(super) old: bool,
}

impl Client {
    /// A download of an archive, from the registry or from where it is hosted.
    pub(super) fn download(&self, archive: &Archive) -> Result<Download> {
        if self.inner.options.offline {
            return Err(Error::new(ErrorKind::Unavailable, "an archive cannot be fetched with --offline"));
        }
        let link = Link { raw: None, sha256: archive.sha256, size: archive.size };
        self.inner.store.download(&link, archive.url.as_deref())
    }

    /// Where the cache keeps an archive.
    fn archive_path(&self, sha256: &Sha256) -> Option<PathBuf> {
        let name = sha256.to_string();
        let base = self.inner.options.cache.as_deref()?;
        Some(base.join("archives").join(&name[..2]).join(name))
    }

    /// An archive: from the cache, else downloaded into it. `progress` hears of every piece.
    pub(super) async fn archive(&self, archive: &Archive, progress: &(dyn Fn(u64) + Sync)) -> Result<ArchiveFile> {
        let path = self.archive_path(&archive.sha256);
        if let Some(path) = &path
            && let Ok(file) = File::open(path)
        {
            if file.metadata().is_ok_and(|m| m.len() == archive.size) {
                progress(archive.size);
                return Ok(ArchiveFile { file, path: Some(path.clone()), old: true });
            }
            let _ = fs::remove_file(path);
        }
        if self.inner.options.offline {
            let message = format!("the archive sha256:{} is not in the cache", archive.sha256);
            return Err(Error::new(ErrorKind::Unavailable, message).with_hint(
                "run once without --offline and --frozen, or `ggen-market import` what was exported elsewhere",
            ));
        }
        let folder = match path.as_deref().and_then(Path::parent) {
            Some(folder) => folder.to_owned(),
            None => std::env::temp_dir(),
        };
        let failed = |e| Error::io("write to", &folder, e);
        fs::create_dir_all(&folder).map_err(failed)?;
        let mut temporary = tempfile::NamedTempFile::new_in(&folder).map_err(failed)?;
        let mut told = 0;
        let tell = |done: u64| {
            // What comes anew was told already.
            progress(done.saturating_sub(told));
            told = told.max(done);
        };
        save(&mut self.download(archive)?, &mut temporary, &failed, tell).await?;
        super::fetch::set_usual_mode(temporary.as_file()).map_err(failed)?;
        let file = File::open(temporary.path()).map_err(failed)?;
        // Not flushed: after a crash the file may be short or hold zeros, which its digest tells. Two that download the same
        // at once write the same bytes, and either name will do.
        if let Some(path) = &path {
            temporary.persist(path).map_err(|e| failed(e.error))?;
        }
        Ok(ArchiveFile { file, path, old: false })
    }

    /// Puts an archive that came by another way into the cache. The last thing that is done is to compare its digest.
    pub(super) fn keep_archive(&self, archive: &Archive, from: &mut dyn Read) -> Result<()> {
        let Some(path) = self.archive_path(&archive.sha256) else {
            return Err(Error::new(ErrorKind::Invalid, "there is no cache folder to import into"));
        };
        let folder = path.parent().unwrap_or(Path::new(".")).to_owned();
        let failed = |e| Error::io("write to", &folder, e);
        fs::create_dir_all(&folder).map_err(failed)?;
        let mut temporary = tempfile::NamedTempFile::new_in(&folder).map_err(failed)?;
        let mut from = Hashed::new(from.take(archive.size + 1));
        io::copy(&mut from, &mut temporary).map_err(failed)?;
        from.check(archive)?;
        super::fetch::set_usual_mode(temporary.as_file()).map_err(failed)?;
        temporary.persist(&path).map_err(|e| failed(e.error))?;
        Ok(())
    }
}

/// Writes what is downloaded into a file, and tells how much of it is there; what is there at the end is what was wanted.
pub(super) async fn save(
    download: &mut Download,
    temporary: &mut NamedTempFile,
    failed: &impl Fn(io::Error) -> Error,
    mut progress: impl FnMut(u64),
) -> Result<()> {
    let mut done = 0;
    loop {
        match download.step().await? {
            Step::Done => return Ok(()),
            Step::Piece(bytes) => {
                temporary.write_all(&bytes).map_err(failed)?;
                done += bytes.len() as u64;
            }
            // A mirror gave wrong bytes: the next one gives all of it.
            Step::Restart => {
                temporary.as_file().set_len(0).and_then(|()| temporary.rewind()).map_err(failed)?;
                done = 0;
            }
        }
        progress(done);
    }
}

/// A reader that hashes what passes.
pub(super) struct Hashed<R> {
    inner: R,
    hasher: Sha256Hasher,
}

impl<R: Read> Hashed<R> {
    pub(super) fn new(inner: R) -> Self {
        Self { inner, hasher: Sha256Hasher::default() }
    }

    /// Reads what is left, and compares.
    pub(super) fn check(mut self, archive: &Archive) -> Result<()> {
        let failed = |e: io::Error| Error::new(ErrorKind::Io, "cannot read an archive of the cache").with_source(e);
        io::copy(&mut self, &mut io::sink()).map_err(failed)?;
        let (size, digest) = (self.hasher.size(), self.hasher.finish());
        if (size, digest) == (archive.size, archive.sha256) {
            return Ok(());
        }
        let message =
            format!("an archive has the digest {digest} and {size} bytes, not {} and {}", archive.sha256, archive.size);
        Err(Error::new(ErrorKind::Untrusted, message))
    }
}

impl<R: Read> Read for Hashed<R> {
    fn read(&mut self, into: &mut [u8]) -> io::Result<usize> {
        let n = self.inner.read(into)?;
        self.hasher.update(&into[..n]);
        Ok(n)
    }
}
