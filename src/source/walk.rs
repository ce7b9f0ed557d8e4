//! Finds packages in a source. Only names and manifests are looked at here; reading is done by many threads afterwards.

use super::{Error, Place, Refusal, Result, folder};
use crate::ErrorKind;
use std::path::{Path, PathBuf};

/// Something to read.
pub(super) enum Item {
    Archive(PathBuf),
    Folder(PathBuf),
    List(PathBuf),
    Refused(Refusal),
}

/// Goes through one source, sorted by file name, so that two runs find things in the same order.
pub(super) struct Walk(walkdir::IntoIter);

impl Walk {
    /// Fails when the source is not there or cannot be read.
    pub(super) fn new(source: &Path) -> Result<Self> {
        let meta = std::fs::metadata(source).map_err(|e| Error::io("read source", source, e))?;
        if meta.is_dir() {
            std::fs::read_dir(source).map_err(|e| Error::io("read source", source, e))?;
        } else if meta.is_file() {
            std::fs::File::open(source).map_err(|e| Error::io("read source", source, e))?;
        } else {
            // A pipe can be read once, and this program may have to read a source again.
            let message = format!("the source {} is neither a folder nor a file", source.display());
            return Err(Error::new(ErrorKind::Invalid, message).with_hint("write what it holds into a file first"));
        }
        Ok(Self(walkdir::WalkDir::new(source).sort_by_file_name().into_iter()))
    }
}

impl Iterator for Walk {
    type Item = Item;

    fn next(&mut self) -> Option<Item> {
        loop {
            let entry = match self.0.next()? {
                Ok(entry) => entry,
                Err(e) => return Some(Item::Refused(unreadable(e))),
            };
            let (path, named) = (entry.path(), entry.depth() == 0);
            // `file_type` of a source that is a link is the link's; what was named is followed.
            let kind = if named { path.metadata().map(|m| m.file_type()).ok() } else { None };
            let kind = kind.unwrap_or_else(|| entry.file_type());
            if kind.is_dir() {
                if !named && skipped(path) {
                    self.0.skip_current_dir();
                } else if folder::is_package(path) {
                    self.0.skip_current_dir();
                    return Some(Item::Folder(entry.into_path()));
                }
            } else if kind.is_file() {
                match by_name(path) {
                    Some(make) => return Some(make(entry.into_path())),
                    None if named => return Some(unnamed(path)),
                    None => tracing::trace!(path = %path.display(), "passed over: neither archive nor list"),
                }
            } else {
                tracing::debug!(path = %path.display(), "passed over: not a regular file");
            }
        }
    }
}

fn by_name(path: &Path) -> Option<fn(PathBuf) -> Item> {
    let name = path.file_name()?.as_encoded_bytes().to_ascii_lowercase();
    let ends = |suffixes: &[&str]| suffixes.iter().any(|s| name.ends_with(s.as_bytes()));
    if ends(&[".crate", ".tar.gz", ".tgz"]) {
        Some(Item::Archive)
    } else if ends(&[".jsonl", ".jsonl.gz"]) {
        Some(Item::List)
    } else {
        None
    }
}

/// A file that was named as a source but is nothing to publish from.
fn unnamed(path: &Path) -> Item {
    let e = Error::new(ErrorKind::Invalid, "not a source: expected a folder, *.crate, *.tar.gz, *.tgz or *.jsonl[.gz]");
    let toml = path.extension().is_some_and(|e| e.eq_ignore_ascii_case("toml"));
    let e = if toml { e.with_hint("a manifest alone is not a package: name its folder") } else { e };
    Item::Refused(Refusal { place: Place::of(path), error: e })
}

/// Folders that are never a place of packages to publish.
fn skipped(path: &Path) -> bool {
    let Some(name) = path.file_name().and_then(|n| n.to_str()) else { return false };
    match name {
        // `.ggen` holds packages of others that are installed there.
        ".git" | ".hg" | ".svn" | ".jj" | ".ggen" | "node_modules" => true,
        // Anybody may call a folder that; cargo marks its own. (Not every folder with the mark is left out: cargo's
        // registry cache has it too, and is a good source of crates.)
        "target" => path.join("CACHEDIR.TAG").is_file(),
        // They may be installed in any other folder, too.
        _ => path.join(".ggen-market/installed").is_dir(),
    }
}

fn unreadable(e: walkdir::Error) -> Refusal {
    let path = e.path().unwrap_or(Path::new("")).to_owned();
    let place = Place::of(&path);
    let cause = e.into_io_error().unwrap_or_else(|| std::io::Error::other("a loop of links"));
    Refusal { place, error: Error::io("read", &path, cause) }
}
