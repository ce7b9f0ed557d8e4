//! The lock file on disk, and what the verbs that go by it have in common.

use crate::{
    args::{Choice, Reader},
    config,
    failure::Failure,
    files,
    settings::Settings,
};
use ggen_marketplace::{
    Client, Error, Resolver,
    package::{Kind, PackageId, PackageSpec, Sha256, Timestamp},
    resolve::{Lock, Locked, Want},
};
use serde::Serialize;
use std::{
    collections::BTreeMap,
    fs::{self, File, OpenOptions, TryLockError},
    io::{self, Read as _},
    path::{Path, PathBuf},
    time::Duration,
};

/// No minimum age is longer.
const MAX_AGE: Duration = Duration::from_secs(3650 * 86_400);

/// More is no lock file.
const MAX_BYTES: u64 = (64 << 20) + 1;

/// How often a run goes by a lock file that others change meanwhile.
const ATTEMPTS: u32 = 20;

/// How often it is tried to lock the file itself for a moment, 10 ms apart. Whoever has it for longer is not one of us: perhaps it is who
/// has started this program (`flock ggen.lock …`).
#[cfg(unix)]
const PATIENCE: u32 = 200;

/// A lock file and where it is.
pub(crate) struct LockFile {
    pub(crate) path: PathBuf,
    pub(crate) lock: Lock,
    /// Its text as it was read; `None` where there is none.
    text: Option<String>,
}

impl LockFile {
    /// Reads it; one that is not there is empty.
    pub(crate) fn load(path: &Path) -> Result<Self, Failure> {
        let text = read(path)?;
        let lock = match &text {
            None => Lock::default(),
            Some(text) => text.parse().map_err(|e| Failure::from(Error::from(e)).at(&path.display().to_string()))?,
        };
        Ok(Self { path: path.to_owned(), lock, text })
    }

    /// Reads one that has to hold something.
    pub(crate) fn require(path: &Path) -> Result<Self, Failure> {
        let file = Self::load(path)?;
        if file.lock.packages().is_empty() {
            let message = format!("nothing is locked in {}", path.display());
            return Err(Failure::usage(message).hint("`ggen-market install NAME` locks what it installs"));
        }
        Ok(file)
    }

    /// Whether writing this would change the file.
    pub(crate) fn differs(&self, lock: &Lock) -> bool {
        self.text.as_deref().unwrap_or_default() != lock.to_text()
    }

    /// Writes it, whole or not at all, and only where it differs. False, and nothing is written, where somebody has changed the
    /// file since it was read.
    pub(crate) fn save(&self, lock: &Lock) -> Result<bool, Failure> {
        let ready =
            if self.differs(lock) { Some(files::prepare(&self.path, lock.to_text().as_bytes(), 0o644)?) } else { None };
        // Of those who have read the same file, one at a time looks whether it still is the file, and replaces it.
        let _held = held(&self.path);
        if read(&self.path)? != self.text {
            return Ok(false);
        }
        let Some(ready) = ready else { return Ok(true) };
        match files::place(ready, &self.path, self.text.is_some()) {
            Ok(()) => Ok(true),
            Err(e) if e.kind() == io::ErrorKind::AlreadyExists && self.text.is_none() => Ok(false),
            Err(e) => Err(Failure::io("write", &self.path, &e)),
        }
    }

    /// The lock file is of the registry that is asked.
    pub(crate) fn require_origin(&self, client: &Client) -> Result<(), Failure> {
        let locked = self.lock.registry();
        if locked.is_empty() || locked == client.origin() {
            return Ok(());
        }
        let message = format!("{} is of {locked}, and the registry is {}", self.path.display(), client.origin());
        Err(Failure::usage(message)
            .hint("another lock file is named with --lock-file, another registry with --registry"))
    }

    /// The locked package that a name means.
    pub(crate) fn find(&self, spec: &PackageSpec) -> Result<PackageId, Failure> {
        if spec.version.is_some() {
            return Err(Failure::usage(format!("leave out the version of {spec}")));
        }
        let candidates = spec.candidates().map_err(Error::from)?;
        let found: Vec<_> = candidates.into_iter().filter(|id| self.lock.find(id).next().is_some()).collect();
        match &found[..] {
            [id] => Ok(id.clone()),
            [] => Err(Failure::not_found(format!("{} is not locked in {}", spec.name, self.path.display()))),
            _ => Err(Failure::usage(format!("{} is the name of several packages", spec.name)).hint(format!(
                "say which: {}",
                found.iter().map(ToString::to_string).collect::<Vec<_>>().join(" or ")
            ))),
        }
    }
}

fn read(path: &Path) -> Result<Option<String>, Failure> {
    let mut text = String::new();
    match File::open(path).and_then(|f| f.take(MAX_BYTES).read_to_string(&mut text)) {
        Ok(_) => Ok(Some(text)),
        Err(e) if e.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(e) => Err(Failure::io("read the lock file", path, &e)),
    }
}

/// The right of one run to change a lock file: those of this user's that have a cache in common take turns. It ends when this
/// is dropped.
pub(crate) struct Turn<'s> {
    path: &'s Path,
    settings: &'s Settings,
    attempts: u32,
    /// Held until its file is closed.
    _lock: Option<File>,
}

/// The lock file itself, locked. Whoever waits for it holds one that has been replaced, and sees that.
#[cfg(unix)]
fn held(path: &Path) -> Option<File> {
    // On a network's file system only who may write can lock.
    let file = OpenOptions::new().read(true).write(true).open(path).or_else(|_| File::open(path)).ok()?;
    for _ in 0..PATIENCE {
        match file.try_lock() {
            Ok(()) => return Some(file),
            Err(TryLockError::WouldBlock) => std::thread::sleep(Duration::from_millis(10)),
            Err(TryLockError::Error(_)) => break,
        }
    }
    None
}

/// A file that is locked cannot be replaced here.
#[cfg(not(unix))]
fn held(_: &Path) -> Option<File> {
    None
}

/// How a file is locked: at once or not at all, and when it is free.
type How = (fn(&File) -> Result<(), TryLockError>, fn(&File) -> io::Result<()>);

impl<'s> Turn<'s> {
    /// Waits until nobody else goes by the lock file. Where there is no cache, or no locks, there are no turns; then
    /// [`LockFile::save`] sees what others did.
    pub(crate) async fn take(path: &'s Path, reader: &Reader, settings: &'s Settings) -> Self {
        Self::wait(path, reader, settings, (File::try_lock, File::lock)).await
    }

    /// Waits until nobody changes the lock file: several may go by it as it is.
    pub(crate) async fn share(path: &'s Path, reader: &Reader, settings: &'s Settings) -> Self {
        Self::wait(path, reader, settings, (File::try_lock_shared, File::lock_shared)).await
    }

    async fn wait(path: &'s Path, reader: &Reader, settings: &'s Settings, (now, later): How) -> Self {
        let cache = settings.cache(&reader.cache).ok().filter(|_| !reader.no_cache);
        let mut lock = cache.and_then(|cache| turn_file(path, &cache).ok());
        if let Some(file) = lock.take_if(|file| matches!(now(file), Err(TryLockError::WouldBlock))) {
            settings.ui.note(&format!("waiting for another run that goes by {}", path.display()));
            let waiting = tokio::task::spawn_blocking(move || later(&file).map(|()| file).ok());
            lock = waiting.await.ok().flatten();
        }
        Self { path, settings, attempts: 0, _lock: lock }
    }

    /// Begins, and begins again where another program has changed the lock file meanwhile; not for ever.
    pub(crate) fn begin(&mut self) -> Result<(), Failure> {
        if self.attempts == ATTEMPTS {
            let cause = io::Error::other("another program changes it again and again");
            return Err(Failure::io("write", self.path, &cause));
        }
        if self.attempts > 0 {
            let line = format!("{} was changed by another program meanwhile: once more", self.path.display());
            self.settings.ui.warn(&line);
        }
        self.attempts += 1;
        Ok(())
    }
}

/// It is not beside the lock file, where somebody would commit it. Nobody removes it: who waits for it would hold another one.
fn turn_file(path: &Path, cache: &Path) -> io::Result<File> {
    let folder = path.parent().filter(|p| !p.as_os_str().is_empty()).unwrap_or(Path::new("."));
    let real = fs::canonicalize(folder)?.join(path.file_name().unwrap_or_default());
    let folder = cache.join("turns");
    fs::create_dir_all(&folder)?;
    let name = Sha256::of(real.as_os_str().as_encoded_bytes()).short();
    OpenOptions::new().read(true).write(true).create(true).truncate(false).open(folder.join(name))
}

/// What is wanted, as a resolver takes it.
pub(crate) fn wants(lock: &Lock) -> Vec<Want> {
    requirements(lock.wants())
}

/// The kind of a package that is wanted already, where a bare name can only mean that.
pub(crate) fn known_kind(lock: &Lock, want: &Want) -> Option<Kind> {
    let spec = PackageSpec { kind: want.kind, name: want.name.clone(), version: None };
    let candidates = spec.candidates().ok()?;
    let mut known = candidates.iter().filter(|id| lock.wants().contains_key(*id)).map(PackageId::kind);
    known.next().filter(|_| known.next().is_none())
}

/// What holds for all packages of a lock file, whenever it is resolved.
pub(crate) struct Rules {
    optional: bool,
    overrides: Vec<Want>,
}

impl Rules {
    /// Those of the lock file, as far as the options do not say otherwise.
    pub(crate) fn of(lock: &Lock, choice: &Choice) -> Self {
        let mut overrides = requirements(lock.overrides());
        overrides.retain(|old| !choice.overrides.iter().any(|new| means(new, old)));
        overrides.extend(choice.overrides.iter().filter(|w| w.req != semver::VersionReq::STAR).cloned());
        Self { optional: choice.optional.unwrap_or(lock.optional()), overrides }
    }

    /// Whether the options say what the lock file says.
    pub(crate) fn hold_in(&self, lock: &Lock) -> bool {
        let known = requirements(lock.overrides());
        let same = |w: &Want| known.iter().any(|k| means(w, k) && k.req == w.req);
        self.optional == lock.optional() && self.overrides.len() == known.len() && self.overrides.iter().all(same)
    }

    /// The lock file with them in it, once it is known what they are about. The second is what nothing needs.
    pub(crate) fn note_in(&self, lock: Lock) -> (Lock, Vec<String>) {
        let (mut overrides, mut idle) = (BTreeMap::new(), Vec::new());
        for want in &self.overrides {
            let is_meant =
                |p: &&Locked| want.kind.is_none_or(|k| k == p.id.kind()) && p.id.name() == want.name.normalized();
            let meant: Vec<_> = lock.packages().iter().filter(is_meant).map(|p| p.id.clone()).collect();
            if meant.is_empty() {
                idle.push(want.to_string());
            }
            overrides.extend(meant.into_iter().map(|id| (id, want.req.clone())));
        }
        (lock.by(self.optional, overrides), idle)
    }
}

/// Whether the first names what the second is about.
fn means(new: &Want, old: &Want) -> bool {
    new.kind.is_none_or(|k| old.kind == Some(k)) && new.name.normalized() == old.name.normalized()
}

fn requirements(of: &BTreeMap<PackageId, semver::VersionReq>) -> Vec<Want> {
    of.iter().filter_map(|(id, req)| Some(Want::new(id.kind(), id.name().parse().ok()?, req.clone()))).collect()
}

/// A resolver that goes by these options.
pub(crate) fn resolver(
    client: &Client,
    choice: &Choice,
    rules: &Rules,
    reader: &Reader,
    settings: &Settings,
) -> Result<Resolver, Failure> {
    let mut resolver = client.resolve().optional(rules.optional);
    for (address, other) in settings.others(reader)? {
        resolver = resolver.registry(address, other);
    }
    for want in &rules.overrides {
        resolver = resolver.override_with(want.clone());
    }
    if let Some(text) = choice.exclude_newer.as_ref().filter(|t| !t.is_empty()) {
        // A day means all of it.
        let time = if text.len() == 10 { format!("{text}T23:59:59Z") } else { text.clone() };
        let time: Timestamp = time.parse().map_err(|_| {
            Failure::usage(format!("--exclude-newer: {text:?} is no time"))
                .hint("for instance 2026-11-23 or 2026-11-23T15:20:57Z")
        })?;
        resolver = resolver.exclude_newer(time);
    }
    if let Some(text) = choice.min_age.as_ref().filter(|t| !t.is_empty()) {
        resolver = resolver
            .min_age(config::duration_up_to(text, MAX_AGE).map_err(|e| Failure::usage(format!("--min-age: {e}")))?);
    }
    Ok(resolver)
}

/// One locked or resolved package in JSON.
#[derive(Serialize)]
pub(crate) struct Row {
    pub(crate) kind: Kind,
    pub(crate) name: String,
    pub(crate) version: String,
}

impl From<&Locked> for Row {
    fn from(p: &Locked) -> Self {
        Self { kind: p.id.kind(), name: p.name.to_string(), version: p.version.to_string() }
    }
}

/// What differs between two lock files, by package: its versions before and after.
pub(crate) fn changes(before: &Lock, after: &Lock) -> Vec<(PackageId, Vec<String>, Vec<String>)> {
    let versions = |lock: &Lock| {
        let mut out: BTreeMap<PackageId, Vec<String>> = BTreeMap::new();
        lock.packages().iter().for_each(|p| out.entry(p.id.clone()).or_default().push(p.version.to_string()));
        out
    };
    let (mut old, new) = (versions(before), versions(after));
    let mut out: Vec<_> = new
        .into_iter()
        .map(|(id, versions)| (old.remove(&id).unwrap_or_default(), id, versions))
        .map(|(old, id, new)| (id, old, new))
        .collect();
    out.extend(old.into_iter().map(|(id, versions)| (id, versions, Vec::new())));
    out.retain(|(_, old, new)| old != new);
    out.sort();
    out
}
