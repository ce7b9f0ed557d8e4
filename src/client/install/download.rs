//! The archives themselves, as files under their usual names.

use super::{Installer, PARALLEL};
use crate::{
    Error, ErrorKind, Result,
    client::archives::{ArchiveFile, Hashed},
    cpu,
    package::Archive,
    resolve::Locked,
};
use futures::{StreamExt, TryStreamExt};
use std::{
    collections::BTreeSet,
    fs::{self, File},
    io,
    path::{Path, PathBuf},
};

impl Installer {
    /// Downloads the archive of everything that is locked into a folder, as `NAME-VERSION.EXTENSION`. What is there with the
    /// right bytes stays, anything else of that name is replaced. Where the file system can, the files share their blocks with
    /// those of the cache until one of them is changed, or are hard links to them. Gives the paths, in the order of the lock
    /// file.
    ///
    /// # Errors
    /// As [`run`](Self::run).
    pub async fn download_to(self, folder: &Path) -> Result<Vec<PathBuf>> {
        fs::create_dir_all(folder).map_err(|e| Error::io("create", folder, e))?;
        let name = |p: &Locked| format!("{}-{}.{}", p.name, p.version, p.archive.format.extension());
        let mut names = BTreeSet::new();
        for package in self.lock.packages() {
            if !names.insert(name(package)) {
                return Err(Error::new(ErrorKind::Invalid, format!("two packages would be named {}", name(package))));
            }
        }
        let all: Vec<_> = self.lock.packages().iter().map(|p| (p.clone(), folder.join(name(p)))).collect();
        futures::stream::iter(all).map(|(p, path)| self.download(p, path)).buffered(PARALLEL).try_collect().await
    }

    async fn download(&self, package: Locked, path: PathBuf) -> Result<PathBuf> {
        let client = self.client_of(&package)?;
        if let Ok(file) = File::open(&path)
            && checked(file, &package.archive).await.is_ok()
        {
            (self.progress)(package.archive.size);
            return Ok(path);
        }
        let from = client.checked_archive(&package.archive, &*self.progress).await?;
        cpu::run(move || put(&from, &path).map_err(|e| Error::io("write", &path, e)).map(|()| path)).await
    }
}

async fn checked(file: File, archive: &Archive) -> Result<()> {
    let archive = archive.clone();
    cpu::run(move || Hashed::new(file).check(&archive)).await
}

/// Puts a file of the cache under a name, whole: with the same blocks where the file system can share them between two files, so
/// that who changes the one does not change the other; else as a second name of the same file; else as a copy.
fn put(from: &ArchiveFile, path: &Path) -> io::Result<()> {
    let folder = path.parent().unwrap_or(Path::new("."));
    let aside = tempfile::Builder::new().prefix(".download-").tempdir_in(folder)?;
    let aside = aside.path().join("archive");
    let linked = || from.path.as_ref().is_some_and(|cached| fs::hard_link(cached, &aside).is_ok());
    if !share(&from.file, &aside)? && !linked() {
        let mut to = File::create_new(&aside)?;
        let mut bytes = &from.file;
        io::Seek::rewind(&mut bytes)?;
        io::copy(&mut bytes, &mut to)?;
        to.sync_all()?;
    }
    fs::rename(aside, path)
}

/// Makes a file of the same blocks as another one, which are copied when either is written to (XFS, Btrfs and others). Where that
/// cannot be done there is no file.
fn share(from: &File, path: &Path) -> io::Result<bool> {
    #[cfg(target_os = "linux")]
    {
        let to = File::create_new(path)?;
        if rustix::fs::ioctl_ficlone(&to, from).is_ok() {
            return Ok(true);
        }
        fs::remove_file(path)?;
    }
    let _ = (from, path);
    Ok(false)
}
