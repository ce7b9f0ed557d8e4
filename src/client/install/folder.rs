//! A folder that packages are installed in, and what is known of it (invariant I29).
//!
//! ```text
//! pack/greeter/                  a pack, unpacked
//! crate/hello-1.0.0/             a crate: several versions of one may be there
//! .ggen-market/lock              held by whoever changes what has a final name
//! .ggen-market/installed/…       for each package a marker, outside of what came from an archive
//! .ggen-market/tmp/…             what is being unpacked; each process has a folder with a lock of its own
//! ```
//!
//! A package's folder appears under its final name by a rename, whole and flushed. Its marker is written before, as one of
//! something that is being placed, and again after. Whatever moment a process is killed at, the folder is the old one, the
//! new one, or (on systems that cannot exchange two folders at once) not there; and the next run sees from the marker that it has
//! to do its work again.

use crate::{
    Error, ErrorKind, Result,
    package::{Kind, PackageId, PackageName, Sha256, Version},
    resolve::install_path,
};
use serde::{Deserialize, Serialize};
use std::{
    fs::{self, File, FileType},
    io::{self, Read as _},
    path::{Path, PathBuf},
};

/// How the name of a folder begins in which a run unpacks.
const RUN: &str = "run-";

/// No marker is longer.
const MAX_MARKER: u64 = 64 << 10;

/// What a marker says.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct Installed {
    /// Its namespace.
    pub kind: Kind,
    /// Its name as its author writes it.
    pub name: PackageName,
    /// In which version.
    pub version: Version,
    /// The origin of the registry that it is from.
    pub registry: String,
    /// The digest of its archive.
    pub sha256: Sha256,
    /// How many files it has.
    pub files: u64,
    /// Bytes of all its files.
    pub bytes: u64,
    /// It was being placed: what lies there may be what was there before.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub unfinished: bool,
}

impl Installed {
    /// Which package.
    pub fn id(&self) -> Result<PackageId> {
        Ok(PackageId::new(self.kind, &self.name)?)
    }

    /// Where it is, below the folder that it is installed in.
    pub fn path(&self) -> Result<PathBuf> {
        Ok(install_path(&self.id()?, &self.version))
    }
}

/// The folder.
#[derive(Debug, Clone)]
pub(super) struct Folder {
    pub(super) root: PathBuf,
}

/// The right to change what has a final name. Ends when it is dropped.
pub(super) struct Held<'f> {
    folder: &'f Folder,
    _lock: File,
}

/// A folder for what is not finished. Goes away when it is dropped; if the process is killed, with the next one's help.
pub(super) struct Workshop {
    pub(super) path: PathBuf,
    lock_path: PathBuf,
    _lock: File,
}

impl Drop for Workshop {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.path);
        let _ = fs::remove_file(&self.lock_path);
    }
}

/// What is there, if anything is, is that itself, and no link to it.
fn require(path: &Path, is: fn(&FileType) -> bool) -> Result<()> {
    let kind = match path.symlink_metadata() {
        Ok(meta) => meta.file_type(),
        Err(e) if e.kind() == io::ErrorKind::NotFound => return Ok(()),
        Err(e) => return Err(Error::io("read", path, e)),
    };
    if is(&kind) {
        return Ok(());
    }
    let what =
        if kind.is_symlink() { "a link, which may lead anywhere" } else { "not what this program has made there" };
    let message = format!("{} is {what}", path.display());
    Err(Error::new(ErrorKind::Invalid, message).with_hint("take it away, and ask whoever put it there what it is for"))
}

fn open_lock(path: &Path) -> Result<File> {
    let mut options = fs::OpenOptions::new();
    options.read(true).write(true).create(true).truncate(false);
    options.open(path).map_err(|e| Error::io("create", path, e))
}

impl Folder {
    fn own(&self) -> PathBuf {
        self.root.join(".ggen-market")
    }

    /// Nothing that this program keeps here is a link. The folder may come with a checkout that a stranger made, and what is written
    /// and removed here must not be led to another place. Where the folder itself is, is for whoever names it to say.
    pub(super) fn require_own(&self) -> Result<()> {
        let below = ["tmp", "installed", "installed/pack", "installed/crate"].map(|f| self.own().join(f));
        let kinds = Kind::ALL.map(|kind| self.root.join(kind.as_str()));
        let mut folders = [self.own()].into_iter().chain(below).chain(kinds);
        folders.try_for_each(|path| require(&path, FileType::is_dir))?;
        require(&self.own().join("lock"), FileType::is_file)
    }

    fn marker(&self, place: &Path) -> PathBuf {
        let mut name = self.own().join("installed").join(place).into_os_string();
        name.push(".json");
        name.into()
    }

    /// Makes the folder where it is not there.
    pub(super) fn create(&self) -> Result<()> {
        for folder in ["installed/pack", "installed/crate", "tmp"] {
            let path = self.own().join(folder);
            fs::create_dir_all(&path).map_err(|e| Error::io("create", &path, e))?;
        }
        for kind in Kind::ALL {
            let path = self.root.join(kind.as_str());
            fs::create_dir_all(&path).map_err(|e| Error::io("create", &path, e))?;
        }
        Ok(())
    }

    /// A folder for what this process has not finished. What killed ones left behind is removed: nobody holds its lock.
    pub(super) fn workshop(&self) -> Result<Workshop> {
        let tmp = self.own().join("tmp");
        self.sweep();
        let failed = |e| Error::io("create a folder in", &tmp, e);
        loop {
            let path = tempfile::Builder::new().prefix(RUN).tempdir_in(&tmp).map_err(failed)?.keep();
            let lock_path = path.with_extension("lock");
            let lock = open_lock(&lock_path)?;
            lock.lock().map_err(|e| Error::io("lock", &lock_path, e))?;
            // Between the two somebody may have taken the folder for one that was left behind.
            if path.is_dir() && lock_path.exists() {
                return Ok(Workshop { path, lock_path, _lock: lock });
            }
            let _ = fs::remove_file(&lock_path);
        }
    }

    /// Removes what killed runs left behind, if anything was ever unpacked here. Anything else is left alone.
    pub(super) fn sweep(&self) {
        for entry in fs::read_dir(self.own().join("tmp")).into_iter().flatten().flatten() {
            // Of a run there is a folder, then its lock as well, and at its end for a moment the lock alone.
            let path = entry.path().with_extension("");
            let lock_path = path.with_extension("lock");
            let is_run = path.file_name().is_some_and(|n| n.to_string_lossy().starts_with(RUN));
            if !is_run || require(&path, FileType::is_dir).and(require(&lock_path, FileType::is_file)).is_err() {
                continue;
            }
            let Ok(lock) = open_lock(&lock_path) else { continue };
            if lock.try_lock().is_ok() {
                tracing::debug!("removing what a killed run left in {}", path.display());
                let _ = fs::remove_dir_all(&path);
                let _ = fs::remove_file(&lock_path);
            }
        }
    }

    /// Waits until nobody else changes anything here.
    pub(super) fn hold(&self) -> Result<Held<'_>> {
        self.require_own()?;
        let path = self.own().join("lock");
        let lock = open_lock(&path)?;
        lock.lock().map_err(|e| Error::io("lock", &path, e))?;
        Ok(Held { folder: self, _lock: lock })
    }

    /// The marker of a package.
    pub(super) fn read_marker(&self, place: &Path) -> Result<Option<Installed>> {
        let path = self.marker(place);
        require(&path, FileType::is_file)?;
        let mut bytes = Vec::new();
        match File::open(&path).and_then(|f| f.take(MAX_MARKER).read_to_end(&mut bytes)) {
            Ok(_) => match serde_json::from_slice::<Installed>(&bytes) {
                Ok(marker) => Ok(Some(marker)),
                Err(e) => {
                    let message = format!("{} is not a marker of an installed package", path.display());
                    Err(Error::new(ErrorKind::Invalid, message)
                        .with_source(e)
                        .with_hint("remove it, and install again"))
                }
            },
            Err(e) if e.kind() == io::ErrorKind::NotFound => Ok(None),
            Err(e) => Err(Error::io("read", &path, e)),
        }
    }

    /// Whether this release is installed, whole. (Another one may have the same bytes.)
    pub(super) fn has(&self, place: &Path, version: &Version, registry: &str, sha256: &Sha256) -> Result<bool> {
        let is_it =
            |m: &Installed| !m.unfinished && m.sha256 == *sha256 && m.version == *version && m.registry == registry;
        let marker = self.read_marker(place)?.filter(is_it);
        Ok(marker.is_some() && self.root.join(place).symlink_metadata().is_ok_and(|m| m.is_dir()))
    }

    /// Everything that is installed, in order.
    pub(super) fn installed(&self) -> Result<Vec<Installed>> {
        let mut out = Vec::new();
        for kind in Kind::ALL {
            let folder = self.own().join("installed").join(kind.as_str());
            let entries = match fs::read_dir(&folder) {
                Ok(entries) => entries,
                Err(e) if e.kind() == io::ErrorKind::NotFound => continue,
                Err(e) => return Err(Error::io("read", &folder, e)),
            };
            for entry in entries {
                let name = entry.map_err(|e| Error::io("read", &folder, e))?.file_name();
                // Others are temporary files.
                let Some(stem) = name.to_str().and_then(|n| n.strip_suffix(".json")) else { continue };
                out.extend(self.read_marker(&Path::new(kind.as_str()).join(stem))?);
            }
        }
        out.sort_by(|a, b| (a.kind, a.name.normalized(), &a.version).cmp(&(b.kind, b.name.normalized(), &b.version)));
        Ok(out)
    }
}

impl Workshop {
    /// Unpacked packages with both of their markers, flushed: from here on there are only renames.
    pub(super) fn prepare(&self, made: Vec<(PathBuf, Installed)>) -> Result<Vec<Ready>> {
        let mut ready = Vec::with_capacity(made.len());
        for (number, (folder, marker)) in made.into_iter().enumerate() {
            let (begun, done) = (self.path.join(format!("{number}.begun")), self.path.join(format!("{number}.done")));
            write_marker(&begun, &Installed { unfinished: true, ..marker.clone() })?;
            write_marker(&done, &marker)?;
            ready.push(Ready { place: marker.path()?, folder, begun, done, marker });
        }
        flush(&self.path)?;
        Ok(ready)
    }
}

/// A package that waits for its name.
pub(super) struct Ready {
    pub(super) place: PathBuf,
    folder: PathBuf,
    begun: PathBuf,
    done: PathBuf,
    pub(super) marker: Installed,
}

impl Held<'_> {
    /// Moves unpacked folders to their final names. All of them take each step before any takes the next: so it takes a
    /// handful of flushes, and not five for each package.
    pub(super) fn place(&self, ready: Vec<Ready>, workshop: &Workshop) -> Result<Vec<Installed>> {
        let root = &self.folder.root;
        for r in &ready {
            let to = root.join(&r.place);
            if to.symlink_metadata().is_ok() && self.folder.read_marker(&r.place)?.is_none() {
                let message = format!("{} is there already, and was not installed by this program", to.display());
                return Err(
                    Error::new(ErrorKind::Invalid, message).with_hint("move it away, or install into another folder")
                );
            }
        }
        let rename = |from: &Path, to: &Path| fs::rename(from, to).map_err(|e| Error::io("write", to, e));
        for r in &ready {
            rename(&r.begun, &self.folder.marker(&r.place))?;
        }
        flush(root)?;
        for r in &ready {
            let to = root.join(&r.place);
            swap(&r.folder, &to, &workshop.path).map_err(|e| Error::io("replace", &to, e))?;
        }
        flush(root)?;
        for r in &ready {
            rename(&r.done, &self.folder.marker(&r.place))?;
        }
        flush(root)?;
        Ok(ready.into_iter().map(|r| r.marker).collect())
    }

    /// Takes a package away. Only what a marker says is ours is touched.
    pub(super) fn remove(&self, place: &Path, workshop: &Workshop) -> Result<()> {
        let path = self.folder.root.join(place);
        // A pack may be named like the folder of a crate.
        let away = workshop.path.join(format!("old-{}", place.display().to_string().replace(['/', '\\'], "-")));
        match fs::rename(&path, &away) {
            Err(e) if e.kind() != io::ErrorKind::NotFound => return Err(Error::io("remove", &path, e)),
            _ => {}
        }
        flush_folder(path.parent());
        let marker = self.folder.marker(place);
        match fs::remove_file(&marker) {
            Err(e) if e.kind() != io::ErrorKind::NotFound => Err(Error::io("remove", &marker, e)),
            _ => Ok(()),
        }
    }
}

fn write_marker(path: &Path, marker: &Installed) -> Result<()> {
    let mut text = serde_json::to_vec_pretty(marker).map_err(|e| Error::io("write", path, e.into()))?;
    text.push(b'\n');
    fs::write(path, text).map_err(|e| Error::io("write", path, e))
}

/// Makes durable what lies below a folder.
fn flush(folder: &Path) -> Result<()> {
    let flushed = {
        #[cfg(target_os = "linux")]
        {
            File::open(folder).and_then(|f| rustix::fs::syncfs(f).map_err(io::Error::from))
        }
        #[cfg(not(target_os = "linux"))]
        {
            flush_each(folder)
        }
    };
    flushed.map_err(|e| Error::io("flush", folder, e))
}

#[cfg(not(target_os = "linux"))]
fn flush_each(folder: &Path) -> io::Result<()> {
    for entry in walkdir::WalkDir::new(folder) {
        let entry = entry?;
        if entry.file_type().is_file() {
            File::open(entry.path())?.sync_all()?;
        } else {
            // Not every system can flush a folder.
            let _ = File::open(entry.path()).and_then(|f| f.sync_all());
        }
    }
    Ok(())
}

fn flush_folder(folder: Option<&Path>) {
    // Not every system can flush a folder; where it cannot, the rename is as durable as it gets.
    let _ = folder.and_then(|f| File::open(f).ok()).map(|f| f.sync_all());
}

/// Puts a folder under a name that another may have; that one ends in the workshop.
fn swap(from: &Path, to: &Path, workshop: &Path) -> io::Result<()> {
    if to.symlink_metadata().is_err() {
        return fs::rename(from, to);
    }
    #[cfg(target_os = "linux")]
    {
        use rustix::fs::{CWD, RenameFlags, renameat_with};
        // Both at once: there is no moment without the package.
        if renameat_with(CWD, from, CWD, to, RenameFlags::EXCHANGE).is_ok() {
            return Ok(());
        }
    }
    let name = from.file_name().unwrap_or_default().to_string_lossy().into_owned();
    fs::rename(to, workshop.join(format!("old-{name}")))?;
    fs::rename(from, to)
}
