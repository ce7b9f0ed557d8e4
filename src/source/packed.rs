//! An archive, read once: checked, hashed and described in the same pass.

use super::{Candidate, Error, Payload, Result, ScanOptions, Spool, candidate, changed, stamp};
use crate::{
    ErrorKind,
    package::{
        Sha256, Sha256Hasher, TextFile,
        archive::{self, Entry, Limits, Summary},
        manifest::{self, MAX_MANIFEST, MAX_README, Manifest, cargo, pack},
    },
};
use bytes::Bytes;
use std::{
    collections::BTreeMap,
    fs::File,
    io::{self, BufReader, Read},
    path::Path,
};

/// An archive up to this size is read into memory at once, one for each thread: so it can be stored without being read and
/// hashed a second time.
const WHOLE: u64 = 4 << 20;

/// What an archive has to be.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Expect {
    /// A Cargo crate.
    Crate,
    /// Whatever is inside: a ggen package, else a crate.
    Any,
}

/// An archive that was read to its end and found good.
pub(super) struct Packed {
    pub(super) manifest: Manifest,
    pub(super) readme: Option<TextFile>,
    pub(super) summary: Summary,
    pub(super) sha256: Sha256,
    pub(super) size: u64,
}

/// Reads an archive that is a file.
pub(super) fn read_file(path: &Path, options: &ScanOptions, _: &Spool) -> Result<Candidate> {
    let fail = |e| Error::io("read", path, e);
    let file = File::open(path).map_err(fail)?;
    let before = stamp::of_metadata(&file.metadata().map_err(fail)?);
    let is_crate = path.extension().is_some_and(|e| e.eq_ignore_ascii_case("crate"));
    let expect = if is_crate { Expect::Crate } else { Expect::Any };
    let len = before.size().filter(|len| *len <= WHOLE.min(options.limits.packed));
    let bytes = len.map(|len| whole(&file, len)).transpose().map_err(fail)?;
    let packed = match &bytes {
        Some(bytes) => read(&bytes[..], expect, &options.limits)?,
        None => read(BufReader::with_capacity(64 << 10, &file), expect, &options.limits)?,
    };
    if stamp::file(path)? != before {
        return Err(changed(path));
    }
    Ok(Candidate { bytes, ..candidate(packed, Payload::File(path.to_owned()), path, before, options.now) })
}

/// A file that should be so long. One that has grown meanwhile is cut, and found to have changed.
fn whole(file: &File, len: u64) -> io::Result<Bytes> {
    // Not zeroed first, and one byte more, which tells that there is nothing more without asking for space to put it in.
    let mut out = Vec::with_capacity(usize::try_from(len + 1).map_err(|_| io::ErrorKind::OutOfMemory)?);
    file.take(len + 1).read_to_end(&mut out)?;
    Ok(out.into())
}

/// Reads an archive from its first to its last byte.
pub(super) fn read(mut input: impl Read, expect: Expect, limits: &Limits) -> Result<Packed> {
    let mut magic = [0; 2];
    match input.read_exact(&mut magic) {
        Ok(()) if magic == [0x1f, 0x8b] => {}
        Err(e) if e.kind() != io::ErrorKind::UnexpectedEof => {
            return Err(Error::new(ErrorKind::Io, "the archive cannot be read").with_source(e));
        }
        _ => return Err(Error::new(ErrorKind::Refused, "the archive is not a gzip file")),
    }
    let mut input = Hashing { inner: magic.chain(input), hasher: Sha256Hasher::default() };
    let mut kept = Kept::default();
    // Crates are taken as crates.io takes them.
    let limits = &Limits { twins: expect == Expect::Crate, ..limits.clone() };
    let summary = archive::read(&mut input, limits, |entry, body| kept.take(entry, body))?;
    let manifest = kept.manifest(expect, &summary.top)?;
    let readme = kept.readme(manifest.readme.as_deref());
    let size = input.hasher.size();
    Ok(Packed { manifest, readme, summary, sha256: input.hasher.finish(), size })
}

/// Hashes what passes through.
struct Hashing<R> {
    inner: R,
    hasher: Sha256Hasher,
}

impl<R: Read> Read for Hashing<R> {
    fn read(&mut self, buf: &mut [u8]) -> io::Result<usize> {
        let n = self.inner.read(buf)?;
        self.hasher.update(&buf[..n]);
        Ok(n)
    }
}

/// How many texts that may turn out to be the readme are kept until the manifest has been read.
const MAX_TEXTS: usize = 16;

/// The files out of an archive's top folder that describe the package.
#[derive(Default)]
struct Kept {
    manifests: BTreeMap<&'static str, Vec<u8>>,
    texts: BTreeMap<String, Vec<u8>>,
}

impl Kept {
    fn take(&mut self, entry: &Entry<'_>, body: &mut dyn Read) -> io::Result<()> {
        if entry.directory || entry.path.contains('/') {
            return Ok(());
        }
        let names = pack::FILES.into_iter().map(|(name, _)| name).chain([cargo::FILE]);
        if let Some(name) = names.into_iter().find(|n| *n == entry.path) {
            self.manifests.insert(name, capped(body, MAX_MANIFEST)?);
        } else if is_text(entry.path)
            && self.texts.len() < if is_readme(entry.path) { 2 * MAX_TEXTS } else { MAX_TEXTS }
        {
            // Half of the room is for files that are called a readme: others cannot push them out.
            self.texts.insert(entry.path.to_owned(), capped(body, MAX_README as u64)?);
        }
        Ok(())
    }

    fn manifest(&self, expect: Expect, top: &str) -> Result<Manifest> {
        if expect == Expect::Any {
            let held = pack::FILES.iter().filter_map(|(name, _)| Some((*name, self.manifests.get(name)?)));
            if let Some((name, bytes)) = held.into_iter().find(|(_, bytes)| pack::recognizes(bytes)) {
                return Ok(pack::read(name, top, bytes)?);
            }
        }
        let Some(bytes) = self.manifests.get(cargo::FILE) else {
            let message = match expect {
                Expect::Crate => "the archive holds no Cargo.toml in its top folder",
                Expect::Any => {
                    "the archive holds no pack.toml, package.toml, gpack.toml or Cargo.toml in its top folder"
                }
            };
            return Err(Error::new(ErrorKind::Refused, message));
        };
        let manifest = cargo::read(bytes)?;
        let expected = format!("{}-{}", manifest.name, manifest.version);
        if top != expected {
            // Cargo unpacks a crate where its name and version say, and takes the folder for what it is called.
            let message = format!("the crate's top folder is {top:?}, but its manifest says {expected:?}");
            return Err(Error::new(ErrorKind::Refused, message));
        }
        Ok(manifest)
    }

    /// The file that the manifest names, else `README.md`, else any other readme.
    fn readme(&self, named: Option<&str>) -> Option<TextFile> {
        let named = named.map(|n| n.strip_prefix("./").unwrap_or(n));
        let wanted = named.into_iter().chain(["README.md"]);
        let exact = wanted.into_iter().find_map(|w| self.texts.iter().find(|(p, _)| p.eq_ignore_ascii_case(w)));
        let (path, bytes) = exact.or_else(|| self.texts.iter().find(|(path, _)| is_readme(path)))?;
        Some(manifest::readme(path, bytes))
    }
}

/// One byte more than the cap says that there is more.
fn capped(body: &mut dyn Read, cap: u64) -> io::Result<Vec<u8>> {
    let mut bytes = Vec::new();
    body.take(cap + 1).read_to_end(&mut bytes)?;
    Ok(bytes)
}

fn is_readme(path: &str) -> bool {
    path.get(..6).is_some_and(|start| start.eq_ignore_ascii_case("readme"))
}

fn is_text(path: &str) -> bool {
    let extension = path.rsplit_once('.').map(|(_, e)| e.to_ascii_lowercase());
    is_readme(path) || matches!(extension.as_deref(), Some("md" | "markdown" | "txt" | "rst" | "adoc" | "org"))
}
