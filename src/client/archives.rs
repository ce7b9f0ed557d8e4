//! Archives on this machine: a folder of them by digest, shared by all processes.
//!
//! It is only a cache. What is in it was right when it was written, and whoever reads it hashes it again. What is damaged is
//! downloaded anew, once, and what was downloaded is used, whether or not it can take the place of what is damaged.

use super::Client;
use crate::{
    Error, ErrorKind, Result, cpu,
    package::{Archive, Link, Sha256, Sha256Hasher},
    store::{Download, Step},
};
use std::{
    fs::{self, File},
    io::{self, Read, Seek, Write},
    path::{Path, PathBuf},
};
use tempfile::{NamedTempFile, TempPath};

/// The bytes of an archive in a file.
pub(super) struct ArchiveFile {
    pub(super) file: File,
    /// Where it is, unless it has no name.
    pub(super) path: Option<PathBuf>,
    /// Whether it was there already: then its bytes are to be checked before anybody relies on them.
    pub(super) old: bool,
}

impl ArchiveFile {
    /// Whoever reads it begins at its begin.
    fn rewind(&mut self) -> Result<()> {
        let path = self.path.as_deref().unwrap_or(Path::new("an archive"));
        self.file.rewind().map_err(|e| Error::io("read", path, e))
    }
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
        Some(self.archives()?.join(&name[..2]).join(name))
    }

    fn archives(&self) -> Option<PathBuf> {
        Some(self.inner.options.cache.as_deref()?.join("archives"))
    }

    /// Where the cache keeps what has not its name yet. What killed processes left there is removed, before a client puts its first
    /// file there.
    fn unfinished(&self) -> Option<PathBuf> {
        let folder = self.archives()?.join("unfinished");
        self.inner.swept.call_once(|| sweep(&folder));
        Some(folder)
    }

    /// An archive: from the cache, else downloaded into it. `progress` hears of every piece.
    pub(super) async fn archive(&self, archive: &Archive, progress: &(dyn Fn(u64) + Sync)) -> Result<ArchiveFile> {
        if let Some(path) = self.archive_path(&archive.sha256)
            && let Ok(file) = File::open(&path)
            && file.metadata().is_ok_and(|m| m.len() == archive.size)
        {
            progress(archive.size);
            return Ok(ArchiveFile { file, path: Some(path), old: true });
        }
        self.archive_anew(archive, progress).await
    }

    /// An archive whose bytes were compared, wherever they are from.
    pub(super) async fn checked_archive(
        &self,
        archive: &Archive,
        progress: &(dyn Fn(u64) + Sync),
    ) -> Result<ArchiveFile> {
        let mut found = self.archive(archive, progress).await?;
        if !found.old {
            return Ok(found);
        }
        let wanted = archive.clone();
        let (found, checked) = cpu::run(move || {
            let checked = Hashed::new(&found.file).check(&wanted).and_then(|()| found.rewind());
            (found, checked)
        })
        .await;
        match checked {
            Ok(()) => Ok(found),
            Err(e) => self.in_place_of(found, &e, archive, progress).await,
        }
    }

    /// Downloads what was found to be damaged in the cache. What comes of it is what was downloaded, and needs no other look.
    pub(super) async fn in_place_of(
        &self,
        damaged: ArchiveFile,
        why: &Error,
        archive: &Archive,
        progress: &(dyn Fn(u64) + Sync),
    ) -> Result<ArchiveFile> {
        let path = damaged.path.unwrap_or_default();
        tracing::warn!("{} was damaged; fetching it again: {}", path.display(), why.chain());
        drop(damaged.file);
        self.archive_anew(archive, progress).await
    }

    /// Downloads an archive, whatever the cache holds under its name, and puts it there. Where the cache cannot be written to,
    /// it does without: the file that is given is the one that was downloaded, and never the one that lies there.
    async fn archive_anew(&self, archive: &Archive, progress: &(dyn Fn(u64) + Sync)) -> Result<ArchiveFile> {
        if self.inner.options.offline {
            let message = format!("the archive sha256:{} is not in the cache, or damaged there", archive.sha256);
            return Err(Error::new(ErrorKind::Unavailable, message).with_hint(
                "run once without --offline and --frozen, or `ggen-market import` what was exported elsewhere",
            ));
        }
        let (mut file, place) = match self.unfinished().zip(self.archive_path(&archive.sha256)) {
            Some((folder, path)) => begin(&folder, path)?,
            None => (unnamed()?, None),
        };
        let failed = |e| Error::io("write to", place.as_ref().map_or(&*std::env::temp_dir(), |p| &p.1), e);
        let mut told = 0;
        let tell = |done: u64| {
            // What comes anew was told already.
            progress(done.saturating_sub(told));
            told = told.max(done);
        };
        save(&mut self.download(archive)?, &mut file, &failed, tell).await?;
        super::fetch::set_usual_mode(&file).map_err(failed)?;
        let mut out = ArchiveFile { file, path: None, old: false };
        out.rewind()?;
        // Not flushed: after a crash the file may be short or hold zeros, which its digest tells. Two that download the same
        // at once write the same bytes, and either name will do.
        if let Some((temporary, path)) = place {
            // Where it is gone, it is only gone from the cache: the file is open.
            match keep(temporary, &path) {
                Ok(()) => out.path = Some(path),
                Err(e) => not_kept(&path, &e),
            }
        }
        Ok(out)
    }

    /// Puts an archive that came by another way into the cache. The last thing that is done is to compare its digest.
    pub(super) fn keep_archive(&self, archive: &Archive, from: &mut dyn Read) -> Result<()> {
        let Some((folder, path)) = self.unfinished().zip(self.archive_path(&archive.sha256)) else {
            return Err(Error::new(ErrorKind::Invalid, "there is no cache folder to import into"));
        };
        let failed = |e| Error::io("write to", &folder, e);
        let mut temporary = fresh(&folder).map_err(failed)?;
        let mut from = Hashed::new(from.take(archive.size + 1));
        io::copy(&mut from, &mut temporary).map_err(failed)?;
        from.check(archive)?;
        super::fetch::set_usual_mode(temporary.as_file()).map_err(failed)?;
        // Open as long as it has not its name.
        let (_open, temporary) = temporary.into_parts();
        keep(temporary, &path).map_err(failed)
    }
}

/// A file of the cache that has not its name yet, and which name that is to be. A cache that cannot be written to, since it is
/// another user's or on a medium that is only read, is no reason to fail, and neither is one that somebody empties all the time.
fn begin(folder: &Path, path: PathBuf) -> Result<(File, Option<(TempPath, PathBuf)>)> {
    use io::ErrorKind::{NotFound, PermissionDenied, ReadOnlyFilesystem};
    match fresh(folder) {
        Ok(temporary) => {
            let (file, temporary) = temporary.into_parts();
            Ok((file, Some((temporary, path))))
        }
        Err(e) if matches!(e.kind(), NotFound | PermissionDenied | ReadOnlyFilesystem) => {
            not_kept(&path, &e);
            Ok((unnamed()?, None))
        }
        Err(e) => Err(Error::io("write to", folder, e)),
    }
}

/// A new file in a folder that is made where it is not there; and made again, where somebody has removed it in between
/// (`cache clean`). The file is locked as long as it is open, so that nobody takes it for one that was left behind.
fn fresh(folder: &Path) -> io::Result<NamedTempFile> {
    let made = || {
        fs::create_dir_all(folder)?;
        let temporary = NamedTempFile::new_in(folder)?;
        // Where there are no locks, nothing is taken away either.
        let _ = temporary.as_file().lock();
        // Before it was locked, somebody may have.
        temporary.path().symlink_metadata().map(|_| temporary)
    };
    made().or_else(|e| if e.kind() == io::ErrorKind::NotFound { made() } else { Err(e) })
}

/// Removes what killed processes left: nobody holds its lock.
fn sweep(folder: &Path) {
    for entry in fs::read_dir(folder).into_iter().flatten().flatten() {
        let path = entry.path();
        if entry.file_type().is_ok_and(|t| t.is_file())
            && let Ok(file) = File::open(&path)
            && file.try_lock().is_ok()
        {
            tracing::debug!("removing what a killed process left in {}", path.display());
            let _ = fs::remove_file(&path);
        }
    }
}

/// Gives a file its name, though its folder may have been removed meanwhile.
fn keep(temporary: TempPath, path: &Path) -> io::Result<()> {
    match temporary.persist(path) {
        Err(e) if e.error.kind() == io::ErrorKind::NotFound => {
            fs::create_dir_all(path.parent().unwrap_or(Path::new(".")))?;
            e.path.persist(path).map_err(|e| e.error)
        }
        kept => kept.map_err(|e| e.error),
    }
}

fn unnamed() -> Result<File> {
    tempfile::tempfile().map_err(|e| Error::io("write to", &std::env::temp_dir(), e))
}

fn not_kept(path: &Path, why: &io::Error) {
    tracing::warn!("cannot cache {}: {why}", path.display());
}

/// Writes what is downloaded into a file, and tells how much of it is there; what is there at the end is what was wanted.
pub(super) async fn save(
    download: &mut Download,
    file: &mut File,
    failed: &impl Fn(io::Error) -> Error,
    mut progress: impl FnMut(u64),
) -> Result<()> {
    let mut done = 0;
    loop {
        match download.step().await? {
            Step::Done => return Ok(()),
            Step::Piece(bytes) => {
                file.write_all(&bytes).map_err(failed)?;
                done += bytes.len() as u64;
            }
            // A mirror gave wrong bytes: the next one gives all of it.
            Step::Restart => {
                file.set_len(0).and_then(|()| file.rewind()).map_err(failed)?;
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
