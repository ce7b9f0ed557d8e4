//! Installing what is locked: downloaded in parallel, checked, unpacked aside, and put in its place whole.

mod download;
mod folder;
mod unpack;

pub use folder::Installed;

use super::{Client, archives::ArchiveFile};
use crate::{
    Error, ErrorKind, Result, cpu,
    resolve::{Lock, Locked},
};
use folder::{Folder, Workshop};
use futures::{StreamExt, TryStreamExt};
use std::{
    collections::BTreeSet,
    fmt, fs,
    path::{Path, PathBuf},
    sync::Arc,
};
use unpack::Unpacked;

/// How many archives are downloaded and unpacked at once.
const PARALLEL: usize = 16;

/// An installation that is being put together.
///
/// ```no_run
/// # async fn example(client: ggen_marketplace::Client) -> Result<(), Box<dyn std::error::Error>> {
/// use ggen_marketplace::resolve::Lock;
/// let lock: Lock = std::fs::read_to_string("ggen.lock")?.parse()?;
/// let report = client.install(&lock).into("packages").run().await?;
/// println!("{} installed, {} were there", report.installed.len(), report.kept);
/// # Ok(()) }
/// ```
#[derive(Clone)]
#[must_use = "nothing is installed before `run`"]
pub struct Installer {
    client: Client,
    others: Vec<Client>,
    lock: Lock,
    folder: Folder,
    progress: Arc<dyn Fn(u64) + Send + Sync>,
}

/// What an installation came to.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct InstallReport {
    /// What was put in its place, in order.
    pub installed: Vec<Installed>,
    /// What was taken away, since it is not locked any more.
    pub removed: Vec<Installed>,
    /// How many packages were there already.
    pub kept: usize,
}

/// What an installation would do.
#[derive(Debug, Clone, Default)]
#[non_exhaustive]
pub struct InstallPlan {
    /// What is not there, or is another release or has other bytes.
    pub install: Vec<Locked>,
    /// What is installed and not locked.
    pub remove: Vec<Installed>,
    /// How many packages are there already.
    pub keep: usize,
}

impl Client {
    /// Installs what is locked, by its digests: no index is read, and nothing is believed but bytes that have them.
    pub fn install(&self, lock: &Lock) -> Installer {
        Installer {
            client: self.clone(),
            others: Vec::new(),
            lock: lock.clone(),
            folder: Folder { root: PathBuf::from("packages") },
            progress: Arc::new(|_| {}),
        }
    }
}

/// Everything that is installed in a folder, in order. Empty when nothing ever was.
///
/// # Errors
/// [`ErrorKind::Invalid`] where what this program keeps there is a link, or a marker cannot be read; [`ErrorKind::Io`].
pub fn installed(folder: impl Into<PathBuf>) -> Result<Vec<Installed>> {
    let folder = Folder { root: folder.into() };
    folder.require_own()?;
    folder.installed()
}

impl Installer {
    /// The folder to install into; `packages` by default. It is made to hold what is locked, and what was installed into it
    /// before and is not locked any more is removed; nothing else in it is touched.
    pub fn into(mut self, folder: impl Into<PathBuf>) -> Self {
        self.folder = Folder { root: folder.into() };
        self
    }

    /// Another registry, for packages that are locked as from its origin.
    pub fn registry(mut self, client: Client) -> Self {
        self.others.push(client);
        self
    }

    /// Is told of every piece of an archive that is at hand, by its size in bytes.
    pub fn progress(mut self, progress: impl Fn(u64) + Send + Sync + 'static) -> Self {
        self.progress = Arc::new(progress);
        self
    }

    /// What [`run`](Self::run) would do.
    ///
    /// # Errors
    /// [`ErrorKind::Invalid`] where a link, or something else that this program did not make, is in the way.
    pub fn plan(&self) -> Result<InstallPlan> {
        self.folder.require_own()?;
        let mut plan = InstallPlan::default();
        let mut places = BTreeSet::new();
        for package in self.lock.packages() {
            let place = package.install_path();
            if !places.insert(place.clone()) {
                let message = format!("{} {} is locked from two registries", package.id, package.version);
                return Err(Error::new(ErrorKind::Invalid, message));
            }
            if self.folder.has(&place, &package.version, &package.registry, &package.archive.sha256)? {
                plan.keep += 1;
            } else {
                plan.install.push(package.clone());
            }
        }
        for marker in self.folder.installed()? {
            if !places.contains(&marker.path()?) {
                plan.remove.push(marker);
            }
        }
        Ok(plan)
    }

    /// Downloads, checks, unpacks and puts in place. Interrupted or killed at any moment, no package is half there; and run
    /// again, it goes on. Several processes may do the same at once.
    ///
    /// # Errors
    /// [`ErrorKind::Untrusted`] for bytes that are not those that are locked, [`ErrorKind::Refused`] for an archive that
    /// breaks a rule, [`ErrorKind::Invalid`] where something that this program did not install is in the way,
    /// [`ErrorKind::Unavailable`], [`ErrorKind::Io`]. Then nothing has changed.
    pub async fn run(self) -> Result<InstallReport> {
        let plan = self.plan()?;
        if plan.install.is_empty() && plan.remove.is_empty() {
            self.folder.sweep();
            return Ok(InstallReport { kept: plan.keep, ..InstallReport::default() });
        }
        self.folder.create()?;
        let workshop = Arc::new(self.folder.workshop()?);
        let made = futures::stream::iter(plan.install.clone().into_iter().enumerate())
            .map(|(number, package)| self.make(package, &workshop, workshop.path.join(number.to_string())));
        let mut made: Vec<(PathBuf, Installed)> = made.buffer_unordered(PARALLEL).try_collect().await?;
        made.sort_by(|a, b| {
            (a.1.kind, a.1.name.normalized(), &a.1.version).cmp(&(b.1.kind, b.1.name.normalized(), &b.1.version))
        });
        let folder = self.folder;
        cpu::run(move || put(&folder, &workshop, made, plan)).await
    }

    fn client_of(&self, package: &Locked) -> Result<&Client> {
        let mut clients = [&self.client].into_iter().chain(&self.others);
        clients.find(|c| c.origin() == package.registry).ok_or_else(|| {
            let message = format!("{} is locked from {}, which is not configured", package.id, package.registry);
            Error::new(ErrorKind::Invalid, message).with_hint("name that registry and its key")
        })
    }

    /// Downloads and unpacks one package.
    async fn make(&self, package: Locked, workshop: &Arc<Workshop>, into: PathBuf) -> Result<(PathBuf, Installed)> {
        let client = self.client_of(&package)?;
        let archive = client.archive(&package.archive, &*self.progress).await?;
        let old = archive.old;
        let (archive, mut unpacked) = unpack(&package, archive, workshop, &into).await;
        if let Err(e) = &unpacked
            && old
            && e.kind() == ErrorKind::Untrusted
        {
            fs::remove_dir_all(&into).map_err(|e| Error::io("remove", &into, e))?;
            let archive = client.in_place_of(archive, e, &package.archive, &*self.progress).await?;
            unpacked = unpack(&package, archive, workshop, &into).await.1;
        }
        let Unpacked { files, bytes } = unpacked?;
        let marker = Installed {
            kind: package.id.kind(),
            name: package.name,
            version: package.version,
            registry: package.registry,
            sha256: package.archive.sha256,
            files,
            bytes,
            unfinished: false,
        };
        Ok((into, marker))
    }
}

async fn unpack(
    package: &Locked,
    archive: ArchiveFile,
    workshop: &Arc<Workshop>,
    into: &Path,
) -> (ArchiveFile, Result<Unpacked>) {
    let (package, into, workshop) = (package.clone(), into.to_owned(), Arc::clone(workshop));
    cpu::run(move || {
        let name = format!("{}-{}", package.name, package.version);
        let unpacked = unpack::unpack(package.id.kind(), &name, &package.archive, &archive, &into);
        // Whoever installs may be gone: then the folder goes with the last who unpacks into it.
        drop(workshop);
        (archive, unpacked)
    })
    .await
}

/// Puts everything in its place, under the folder's lock.
fn put(
    folder: &Folder,
    workshop: &Workshop,
    made: Vec<(PathBuf, Installed)>,
    plan: InstallPlan,
) -> Result<InstallReport> {
    let ready = workshop.prepare(made)?;
    let held = folder.hold()?;
    let mut report = InstallReport { kept: plan.keep, ..InstallReport::default() };
    let mut new = Vec::with_capacity(ready.len());
    for ready in ready {
        // Another process may have been faster.
        let marker = &ready.marker;
        if folder.has(&ready.place, &marker.version, &marker.registry, &marker.sha256)? {
            report.kept += 1;
        } else {
            new.push(ready);
        }
    }
    if !new.is_empty() {
        report.installed = held.place(new, workshop)?;
    }
    for marker in plan.remove {
        held.remove(&marker.path()?, workshop)?;
        report.removed.push(marker);
    }
    Ok(report)
}

impl fmt::Debug for Installer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Installer").field("client", &self.client).field("folder", &self.folder).finish_non_exhaustive()
    }
}
