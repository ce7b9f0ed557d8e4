//! Sources: where published packages come from. Any number of folders and files, read in parallel, none of them trusted.
//!
//! A source is a folder, which is searched, or a single file. What is found is told by what is inside, not by a file's name
//! alone, and never is a name or a version taken from a file's name:
//!
//! * **a package folder**: one that holds a `pack.toml`, `package.toml` or `gpack.toml` with a table `[pack]`, `[package]`
//!   or `[gpack]`. It is packed into a `tar.gz`. Everything below it belongs to it: a manifest further down is an example, a
//!   test or a template of that package, not a package of its own. (Folders that only group packages have no manifest, and
//!   are searched as deep as they go; to publish a package out of another one, name its folder as a source.)
//! * **an archive**: `*.crate`, `*.tar.gz`, `*.tgz`, stored byte for byte;
//! * **a list of records** of packages that are hosted elsewhere: `*.jsonl`, `*.jsonl.gz`, one on each line.
//!
//! Not searched: `.git`, `.hg`, `.svn`, `.jj`, `node_modules`, and a `target` with cargo's `CACHEDIR.TAG` in it: what lies
//! there is other people's packages, or the leavings of a build. Symbolic links are not followed: a link out of the source
//! would publish what nobody meant to. (A source that is itself a link is followed, since it was named.) Other files, among
//! them manifests that stand alone and `Cargo.toml` (a crate is what `cargo package` makes of its folder), are passed over.
//!
//! One bad package never stops the others: it is a [`Refusal`] that says where and why.

mod cache;
mod folder;
mod lines;
mod packed;
mod spool;
mod stamp;
mod walk;

pub use spool::{Spool, SpoolRange, SpoolReader, SpoolWriter};
pub use stamp::Stamp;

use crate::{
    Error, ErrorKind, Result,
    package::{Archive, ArchiveFormat, Detail, Kind, PackageId, Record, Sha256, Timestamp, Version, archive},
};
use bytes::Bytes;
use cache::Cache;
use rayon::prelude::*;
use std::{
    fmt,
    path::{Path, PathBuf},
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicU64, Ordering::Relaxed},
    },
};
use walk::{Item, Walk};

/// How to scan.
#[derive(Debug, Clone)]
pub struct ScanOptions {
    /// When a release was published whose source does not say.
    pub now: Timestamp,
    /// What an archive may be.
    pub limits: archive::Limits,
    /// The scan cache: which files were read before and what they were. None: every file is read.
    pub cache: Option<PathBuf>,
    /// Read every file, whatever the cache says; it is written anew.
    pub rescan: bool,
}

impl ScanOptions {
    /// The usual limits and no cache.
    pub fn new(now: Timestamp) -> Self {
        Self { now, limits: archive::Limits::default(), cache: None, rescan: false }
    }
}

/// A release that could be published.
#[derive(Debug, Clone, PartialEq)]
pub struct Candidate {
    /// Its record.
    pub record: Record,
    /// What a person reads about it, where there is more than the record holds.
    pub detail: Option<Detail>,
    /// Its archive.
    pub payload: Payload,
    /// The archive itself, where it is small enough to be read whole: the very bytes that were checked and hashed, for whoever
    /// stores them at once.
    pub bytes: Option<Bytes>,
    /// Where it was found.
    pub place: Place,
    /// How often its package was downloaded, where the source says so.
    pub downloads: Option<u64>,
    /// What its file or folder looked like when it was read; none for a line of a list.
    pub stamp: Option<Stamp>,
}

/// Where the bytes of an archive are.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Payload {
    /// In this file. Whoever reads it checks the digest again: the file may have changed since.
    File(PathBuf),
    /// In the scan's spool.
    Spooled(SpoolRange),
    /// Under the record's URL; this registry does not hold them.
    Elsewhere,
}

/// A file or folder that is unchanged since it was last read.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Known {
    /// Which package it was.
    pub id: PackageId,
    /// In which version.
    pub version: Version,
    /// The digest of its archive.
    pub sha256: Sha256,
    /// Where it is.
    pub place: Place,
}

/// What a scan found at one place.
#[derive(Debug, Clone, PartialEq)]
pub enum Found {
    /// A release, read just now.
    Fresh(Box<Candidate>),
    /// A file or folder that the cache knows; [`read_again`] gives the release.
    Known(Known),
}

/// Something that is not published, and why.
#[derive(Debug)]
pub struct Refusal {
    /// Where it was found.
    pub place: Place,
    /// What is wrong with it.
    pub error: Error,
}

/// A file, a folder, or a line of a file.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Place {
    /// The file or folder.
    pub path: Arc<Path>,
    /// The line, from 1.
    pub line: Option<u64>,
}

impl Place {
    fn of(path: &Path) -> Self {
        Self { path: path.into(), line: None }
    }
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.path.display())?;
        self.line.map_or(Ok(()), |line| write!(f, ":{line}"))
    }
}

/// What a scan did.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct ScanStats {
    /// Archives found.
    pub archives: u64,
    /// Package folders found.
    pub folders: u64,
    /// Records read from lists.
    pub lines: u64,
    /// Archives and folders that the cache knew.
    pub known: u64,
    /// Files, folders and lines refused.
    pub refused: u64,
}

/// Reads all sources and hands what is found to `sink`, from several threads at once and in any order.
///
/// Memory stays flat: what is packed goes to the spool, lists are read in pieces, and nothing that was handed over is kept.
/// `sink` may block, but must not wait for work of rayon's pool: it runs in that pool.
///
/// Fails only when a source itself cannot be read; everything else is a [`Refusal`].
pub fn scan(
    sources: &[PathBuf],
    options: &ScanOptions,
    spool: &Spool,
    sink: impl Fn(Result<Found, Refusal>) + Sync,
) -> Result<ScanStats> {
    let walks = sources.iter().map(|s| Walk::new(s)).collect::<Result<Vec<_>>>()?;
    let cache = options.cache.as_deref().map(|path| Cache::load(path, options.rescan));
    let scan = Scan { options, spool, cache: cache.as_ref(), count: Counters::default(), sink: &sink };
    let lists = Mutex::new(Vec::new());
    for (source, walk) in walks.into_iter().enumerate() {
        walk.par_bridge().for_each(|item| match item {
            // A list is read by all threads together, one list at a time: so the pieces in memory are bounded.
            Item::List(path) => lists.lock().unwrap_or_else(PoisonError::into_inner).push((source, path)),
            item => scan.item(item),
        });
    }
    let mut lists = lists.into_inner().unwrap_or_else(PoisonError::into_inner);
    lists.sort();
    for (_, path) in &lists {
        lines::scan(path, options.now, |result| scan.hand_over(result));
    }
    let stats = scan.count.stats();
    if let Some(cache) = cache {
        cache.save();
    }
    Ok(stats)
}

/// Reads the file or folder at `place` without asking the cache: for a [`Known`] that turns out to be needed after all.
pub fn read_again(place: &Place, options: &ScanOptions, spool: &Spool) -> Result<Candidate, Refusal> {
    let refuse = |error| Refusal { place: place.clone(), error };
    if place.line.is_some() {
        let e = Error::new(ErrorKind::Invalid, "a line of a list is never known: scan the list");
        return Err(refuse(e));
    }
    let meta = std::fs::metadata(&place.path).map_err(|e| refuse(Error::io("read", &place.path, e)))?;
    let read = if meta.is_dir() { folder::read } else { packed::read_file };
    read(&place.path, options, spool).map_err(refuse)
}

#[derive(Default)]
struct Counters {
    archives: AtomicU64,
    folders: AtomicU64,
    lines: AtomicU64,
    known: AtomicU64,
    refused: AtomicU64,
}

impl Counters {
    fn stats(&self) -> ScanStats {
        ScanStats {
            archives: self.archives.load(Relaxed),
            folders: self.folders.load(Relaxed),
            lines: self.lines.load(Relaxed),
            known: self.known.load(Relaxed),
            refused: self.refused.load(Relaxed),
        }
    }
}

struct Scan<'s, S> {
    options: &'s ScanOptions,
    spool: &'s Spool,
    cache: Option<&'s Cache>,
    count: Counters,
    sink: &'s S,
}

impl<S: Fn(Result<Found, Refusal>) + Sync> Scan<'_, S> {
    fn item(&self, item: Item) {
        match item {
            Item::Archive(path) => {
                self.count.archives.fetch_add(1, Relaxed);
                self.one(&path, &stamp::file, packed::read_file);
            }
            Item::Folder(path) => {
                self.count.folders.fetch_add(1, Relaxed);
                self.one(&path, &stamp::folder, folder::read);
            }
            Item::Refused(refusal) => self.hand_over(Err(refusal)),
            Item::List(_) => unreachable!("lists are collected by the caller"),
        }
    }

    /// One file or folder: from the cache, or else by `read`.
    fn one(
        &self,
        path: &Path,
        stamp: &dyn Fn(&Path) -> Result<Stamp>,
        read: fn(&Path, &ScanOptions, &Spool) -> Result<Candidate>,
    ) {
        // Without a cache nobody compares, and the stamp is taken by the reader.
        if let Some(cache) = self.cache
            && let Ok(stamp) = stamp(path)
            && let Some(known) = cache.look_up(path, &stamp)
        {
            self.count.known.fetch_add(1, Relaxed);
            (self.sink)(Ok(Found::Known(known)));
            return;
        }
        match read(path, self.options, self.spool) {
            Ok(candidate) => {
                if let Some(cache) = self.cache {
                    cache.note(path, &candidate);
                }
                self.hand_over(Ok(candidate));
            }
            Err(error) => self.hand_over(Err(Refusal { place: Place::of(path), error })),
        }
    }

    fn hand_over(&self, result: Result<Candidate, Refusal>) {
        match &result {
            Ok(c) if c.place.line.is_some() => _ = self.count.lines.fetch_add(1, Relaxed),
            Ok(_) => {}
            Err(_) => _ = self.count.refused.fetch_add(1, Relaxed),
        }
        (self.sink)(result.map(|c| Found::Fresh(Box::new(c))));
    }
}

/// The candidate that a packed archive describes.
fn candidate(packed: packed::Packed, payload: Payload, path: &Path, stamp: Stamp, now: Timestamp) -> Candidate {
    let format = match packed.manifest.kind {
        Kind::Crate => ArchiveFormat::Crate,
        _ => ArchiveFormat::TarGz,
    };
    let archive = Archive { format, sha256: packed.sha256, size: packed.size, url: None };
    let (record, detail) =
        packed.manifest.into_release(archive, now, packed.readme, packed.summary.files, packed.summary.unpacked);
    let place = Place::of(path);
    Candidate { record, detail: Some(detail), payload, bytes: None, place, downloads: None, stamp: Some(stamp) }
}

/// The error for a package that was looked into and is not acceptable.
fn refused(message: impl Into<String>, cause: impl Into<Box<dyn std::error::Error + Send + Sync>>) -> Error {
    Error::new(ErrorKind::Refused, message).with_source(cause)
}

/// The error for a file or folder that was written to while it was read: what was read may be neither the old nor the new.
fn changed(path: &Path) -> Error {
    Error::new(ErrorKind::Io, format!("{} changed while it was read", path.display()))
        .with_hint("run the same command again when nothing writes there")
}
