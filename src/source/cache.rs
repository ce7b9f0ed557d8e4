//! The scan cache: which files and folders were read before, what they looked like from outside, and what they were. So a
//! publish over ten thousand archives of which two are new opens two.
//!
//! **What is trusted.** A file is taken for unchanged when its path, size, modification time and number are. A file that is
//! written twice within one tick of the file system's clock can look the same and not be: git calls such an entry *racily
//! clean*. So what was modified within two seconds (the coarsest clock in use, FAT's) of the scan is not written down, and
//! is read again the next time. A wrong cache can make a publish miss a change, no more: the publisher cites a digest that
//! the registry already has, and never one that only the cache says is good.
//!
//! **File.** Text: a first line with the format's and this program's version (another version may read or pack a package
//! differently, so its cache is foreign), one line for each file, sorted by path, and a last line with the digest of all
//! before it. A cache that is foreign or damaged is not used, with a warning; it is only ever a cache.

use super::{Candidate, Known, Place, Stamp, stamp::Look};
use crate::package::{Kind, PackageId, PackageName, Sha256, Timestamp};
use std::{
    io::{self, Write},
    ops::Range,
    path::{Path, PathBuf},
    sync::{
        Mutex, PoisonError,
        atomic::{AtomicBool, Ordering::Relaxed},
    },
};

const HEADER: &str = concat!("ggen-market scan cache 1 ", env!("CARGO_PKG_VERSION"), "\n");
const TRAILER: &str = "sha256 ";

/// How much older than the scan a modification must be.
const RACY: i128 = 2_000_000_000;

pub(super) struct Cache {
    path: PathBuf,
    /// The moment before which a modification is old enough, in nanoseconds since 1970.
    settled: i128,
    /// The file as it was loaded: one allocation, however many entries.
    text: String,
    /// The entries in it, sorted by path.
    lines: Vec<Range<usize>>,
    /// Which of them were seen by this scan.
    seen: Vec<AtomicBool>,
    fresh: Mutex<Vec<String>>,
}

impl Cache {
    /// Loads the cache; `forget` starts with an empty one.
    pub(super) fn load(path: &Path, forget: bool) -> Self {
        let text = if forget { Ok(None) } else { read(path) };
        let text = text.unwrap_or_else(|reason| {
            tracing::warn!(path = %path.display(), %reason, "the scan cache is not used: everything is read anew");
            None
        });
        Self::of(path, text.unwrap_or_default())
    }

    fn of(path: &Path, text: String) -> Self {
        let mut lines = Vec::new();
        let mut at = 0;
        for line in text.split_inclusive('\n') {
            lines.push(at..at + line.len() - 1);
            at += line.len();
        }
        let seen = lines.iter().map(|_| AtomicBool::new(false)).collect();
        // The machine's clock, not `ScanOptions::now`: that one may be pinned, and files are stamped by the clock.
        let settled = i128::from(Timestamp::now().unix()) * 1_000_000_000 - RACY;
        Self { path: path.to_owned(), settled, text, lines, seen, fresh: Mutex::default() }
    }

    /// What is known of the file or folder at `path` if it still looks like that.
    pub(super) fn look_up(&self, path: &Path, stamp: &Stamp) -> Option<Known> {
        if stamp.modified > self.settled {
            return None;
        }
        let key = key(path)?;
        let of = |range: &Range<usize>| self.text[range.clone()].split('\t').next().unwrap_or_default();
        let index = self.lines.binary_search_by(|range| of(range).cmp(&key)).ok()?;
        let line = &self.text[self.lines[index].clone()];
        let mut fields = line.split('\t').skip(1);
        if fields.next()? != written(stamp) {
            return None;
        }
        let kind: Kind = fields.next()?.parse().ok()?;
        let id = PackageId::new(kind, &PackageName::new(fields.next()?).ok()?).ok()?;
        let version = fields.next()?.parse().ok()?;
        let sha256: Sha256 = fields.next()?.parse().ok()?;
        self.seen[index].store(true, Relaxed);
        Some(Known { id, version, sha256, place: Place::of(path) })
    }

    /// Remembers what was read at `path`.
    pub(super) fn note(&self, path: &Path, candidate: &Candidate) {
        let (Some(key), Some(stamp), Ok(id)) = (key(path), &candidate.stamp, candidate.record.id()) else { return };
        if stamp.modified > self.settled {
            return;
        }
        let record = &candidate.record;
        let line = format!(
            "{key}\t{}\t{}\t{}\t{}\t{}",
            written(stamp),
            id.kind(),
            id.name(),
            record.version,
            record.archive.sha256
        );
        self.fresh.lock().unwrap_or_else(PoisonError::into_inner).push(line);
    }

    /// Writes what this scan saw, in one step: another run reads the old cache or the new one. Failing to is no reason to
    /// fail the scan.
    pub(super) fn save(self) {
        let path = self.path.clone();
        if let Err(e) = self.try_save() {
            tracing::warn!(path = %path.display(), error = %e, "the scan cache cannot be written");
        }
    }

    fn try_save(self) -> io::Result<()> {
        let fresh = self.fresh.into_inner().unwrap_or_else(PoisonError::into_inner);
        let all_seen = self.seen.iter().all(|s| s.load(Relaxed));
        if fresh.is_empty() && all_seen && !self.lines.is_empty() {
            return Ok(());
        }
        let old = self.lines.iter().zip(&self.seen).filter(|(_, seen)| seen.load(Relaxed));
        let mut lines: Vec<&str> = old.map(|(range, _)| &self.text[range.clone()]).collect();
        lines.extend(fresh.iter().map(String::as_str));
        lines.sort_unstable_by_key(|line| line.split('\t').next());
        // A file that is in two sources was read twice.
        lines.dedup_by_key(|line| line.split('\t').next());
        let mut out = String::with_capacity(HEADER.len() + lines.iter().map(|l| l.len() + 1).sum::<usize>() + 80);
        out.push_str(HEADER);
        for line in lines {
            out.push_str(line);
            out.push('\n');
        }
        let digest = Sha256::of(out.as_bytes());
        let folder = self.path.parent().filter(|p| !p.as_os_str().is_empty()).unwrap_or(Path::new("."));
        std::fs::create_dir_all(folder)?;
        let mut file = tempfile::NamedTempFile::new_in(folder)?;
        file.write_all(out.as_bytes())?;
        writeln!(file, "{TRAILER}{digest}")?;
        // Not flushed to disk: after a crash the digest tells whether it is whole.
        file.persist(&self.path)?;
        Ok(())
    }
}

/// The entries of the file; nothing when there is none yet, or what is wrong with it.
fn read(path: &Path) -> Result<Option<String>, String> {
    let bytes = match std::fs::read(path) {
        Ok(bytes) => bytes,
        Err(e) if e.kind() == io::ErrorKind::NotFound => return Ok(None),
        Err(e) => return Err(e.to_string()),
    };
    let mut text = String::from_utf8(bytes).map_err(|_| "it is damaged: not UTF-8")?;
    if !text.starts_with(HEADER) {
        return Err("it is of another version or another program".into());
    }
    let body = text.rfind(TRAILER).ok_or("it is damaged: no last line")?;
    let digest = text[body + TRAILER.len()..].strip_suffix('\n').and_then(|d| d.parse::<Sha256>().ok());
    if digest != Some(Sha256::of(&text.as_bytes()[..body])) {
        return Err("it is damaged: its digest does not match".into());
    }
    text.truncate(body);
    text.drain(..HEADER.len());
    Ok(Some(text))
}

/// A path as the cache writes it: absolute, so that the same cache serves from any folder. Paths that are not text or
/// would need escaping are not cached.
fn key(path: &Path) -> Option<String> {
    let path = std::path::absolute(path).ok()?.into_os_string().into_string().ok()?;
    if path.contains(|c: char| c.is_control()) { None } else { Some(path) }
}

fn written(stamp: &Stamp) -> String {
    match stamp.look {
        Look::File { size, inode } => format!("{size}.{}.{inode}", stamp.modified),
        Look::Folder(digest) => digest.to_string(),
    }
}
