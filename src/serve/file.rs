//! Opening a file below a folder, past no link.

use std::{
    fs::File,
    io,
    path::{Path, PathBuf},
};

/// The folder that is served, opened once: what becomes of its path later does not matter.
#[derive(Debug)]
pub(super) struct Folder {
    #[cfg(unix)]
    opened: std::os::fd::OwnedFd,
    #[cfg(not(unix))]
    path: PathBuf,
}

impl Folder {
    pub(super) fn open(path: &Path) -> io::Result<Self> {
        let path: PathBuf = path.canonicalize()?;
        if !path.is_dir() {
            return Err(io::ErrorKind::NotADirectory.into());
        }
        #[cfg(unix)]
        {
            Ok(Self { opened: File::open(path)?.into() })
        }
        #[cfg(not(unix))]
        {
            Ok(Self { path })
        }
    }

    /// The regular file under that key, with its size. Each name on the way is opened below the one before without following
    /// links, so that nothing that is swapped in between leads out of the folder.
    pub(super) fn file(&self, key: &str) -> io::Result<(File, u64)> {
        let file = self.walk(key)?;
        let meta = file.metadata()?;
        // A pipe or a device would never end.
        if !meta.is_file() {
            return Err(io::ErrorKind::NotFound.into());
        }
        Ok((file, meta.len()))
    }

    #[cfg(unix)]
    fn walk(&self, key: &str) -> io::Result<File> {
        use rustix::{
            fs::{Mode, OFlags, openat},
            io::Errno,
        };
        let always = OFlags::RDONLY | OFlags::NOFOLLOW | OFlags::CLOEXEC | OFlags::NONBLOCK;
        let mut names = key.split('/').peekable();
        let mut at: Option<std::os::fd::OwnedFd> = None;
        while let Some(name) = names.next() {
            let flags = if names.peek().is_some() { always | OFlags::DIRECTORY } else { always };
            let opened = openat(at.as_ref().unwrap_or(&self.opened), name, flags, Mode::empty());
            at = Some(opened.map_err(|e| match e {
                // A link, a socket, a name longer than any that is there.
                Errno::LOOP | Errno::MLINK | Errno::NXIO | Errno::NAMETOOLONG => io::ErrorKind::NotFound.into(),
                other => io::Error::from(other),
            })?);
        }
        at.map(File::from).ok_or_else(|| io::ErrorKind::NotFound.into())
    }

    #[cfg(not(unix))]
    fn walk(&self, key: &str) -> io::Result<File> {
        let mut path = self.path.clone();
        for name in key.split('/') {
            path.push(name);
            if path.symlink_metadata()?.is_symlink() {
                return Err(io::ErrorKind::NotFound.into());
            }
        }
        File::open(path)
    }
}
