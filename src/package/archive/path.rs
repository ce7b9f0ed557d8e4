//! Which paths an archive may hold, and which of them are one and the same somewhere.

use super::{ArchiveError, Limits, PathProblem, error::shown};
use std::{
    collections::{HashMap, hash_map},
    hash::{DefaultHasher, Hash as _, Hasher as _},
};
use unicode_normalization::UnicodeNormalization as _;

/// What the usual file systems hold in one part of a path, in bytes.
const MAX_PART: usize = 255;

/// The path `raw` of an entry without the `/` that a folder's may end with, if every system can hold it and reads it the
/// same.
pub(super) fn check(raw: &[u8], folder: bool, max: usize) -> Result<&str, ArchiveError> {
    if raw.len() > max {
        return Err(ArchiveError::PathTooLong { entry: shown(raw), len: raw.len(), max });
    }
    let bad = |problem| ArchiveError::Path { entry: shown(raw), problem };
    let path = std::str::from_utf8(raw).map_err(|_| bad(PathProblem::NotUtf8))?;
    let path = if folder { path.strip_suffix('/').unwrap_or(path) } else { path };
    if path.starts_with('/') {
        return Err(bad(PathProblem::Absolute));
    }
    if let [letter, b':', ..] = path.as_bytes()
        && letter.is_ascii_alphabetic()
    {
        return Err(bad(PathProblem::Drive));
    }
    match path.split('/').find_map(problem) {
        Some(problem) => Err(bad(problem)),
        None => Ok(path),
    }
}

/// What is wrong with one part of a path.
pub(super) fn problem(part: &str) -> Option<PathProblem> {
    match part {
        "" => return Some(PathProblem::Empty),
        "." => return Some(PathProblem::Current),
        ".." => return Some(PathProblem::Parent),
        _ => {}
    }
    let mut found = None;
    let mut ascii = true;
    for b in part.bytes() {
        match b {
            b'\\' => return Some(PathProblem::Backslash),
            0..=0x1f | 0x7f => return Some(PathProblem::Control),
            b'<' | b'>' | b':' | b'"' | b'|' | b'?' | b'*' => found = Some(PathProblem::Windows),
            _ => ascii &= b.is_ascii(),
        }
    }
    if !ascii && part.chars().any(is_control) {
        return Some(PathProblem::Control);
    }
    if part.len() > MAX_PART {
        return Some(PathProblem::PartTooLong);
    }
    if part.ends_with(['.', ' ']) || is_device(part) {
        return Some(PathProblem::Windows);
    }
    found
}

/// Besides the control characters proper those that break lines or reorder what stands around them: with them a list of
/// files can be made to show something else.
fn is_control(c: char) -> bool {
    c.is_control()
        || matches!(c, '\u{61c}' | '\u{200e}' | '\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2066}'..='\u{2069}' | '\u{feff}')
}

/// Windows opens a device for these, whatever extension follows. Cargo only warns of them, so a crate with such a file may
/// exist; but it cannot be unpacked on Windows, so it is refused.
fn is_device(part: &str) -> bool {
    let stem = part.split('.').next().unwrap_or_default().trim_end_matches(' ');
    // The longest is "conout$".
    if !(3..=7).contains(&stem.len()) {
        return false;
    }
    let is = |name: &str| stem.eq_ignore_ascii_case(name);
    if ["con", "prn", "aux", "nul", "conin$", "conout$"].into_iter().any(is) {
        return true;
    }
    stem.split_at_checked(3).is_some_and(|(word, number)| {
        (word.eq_ignore_ascii_case("com") || word.eq_ignore_ascii_case("lpt"))
            && matches!(number, "0" | "1" | "2" | "3" | "4" | "5" | "6" | "7" | "8" | "9" | "¹" | "²" | "³")
    })
}

/// All paths seen so far, as nodes of a tree that is known by hashes only: some 50 bytes a node, however long its name.
///
/// The hashes are not secret. Whoever makes two names collide gets their own archive refused, never a wrong one accepted.
pub(super) struct Tree {
    /// By the hash of the parent's key and the folded name.
    nodes: HashMap<u64, Node>,
    max: u64,
    twins: bool,
    scratch: String,
}

#[derive(Clone, Copy)]
struct Node {
    /// Hash of the name as it is written.
    exact: u64,
    file: bool,
    /// It stands in the archive itself and is not only implied by a path below it.
    listed: bool,
}

impl Tree {
    pub(super) fn new(limits: &Limits) -> Self {
        Self { nodes: HashMap::new(), max: limits.files, twins: limits.twins, scratch: String::new() }
    }

    /// Takes the next path, which passed [`check`].
    pub(super) fn add(&mut self, path: &str, folder: bool) -> Result<(), ArchiveError> {
        let entry = || shown(path.as_bytes());
        let mut parent = 0;
        let mut parts = path.split('/').peekable();
        while let Some(part) = parts.next() {
            let last = parts.peek().is_none();
            let new = Node { exact: hash(0, part), file: last && !folder, listed: last };
            let mut key = fold_hash(parent, part, &mut self.scratch);
            if self.twins && new.file && self.nodes.get(&key).is_some_and(|old| old.file && old.exact != new.exact) {
                // A twin that is allowed stands beside the first one, under its exact name.
                key = hash(key, part);
            }
            let count = self.nodes.len() as u64;
            match self.nodes.entry(key) {
                hash_map::Entry::Vacant(_) if count >= self.max => {
                    return Err(ArchiveError::TooManyFiles { max: self.max });
                }
                hash_map::Entry::Vacant(place) => {
                    place.insert(new);
                }
                hash_map::Entry::Occupied(mut place) => {
                    let old = place.get_mut();
                    if old.exact != new.exact {
                        return Err(ArchiveError::Twin { entry: entry() });
                    }
                    if old.file != new.file {
                        return Err(ArchiveError::FileAndFolder { entry: entry() });
                    }
                    if last && old.listed {
                        return Err(ArchiveError::Duplicate { entry: entry() });
                    }
                    old.listed |= last;
                }
            }
            parent = key;
        }
        Ok(())
    }
}

fn hash(seed: u64, text: &str) -> u64 {
    let mut hasher = DefaultHasher::new();
    (seed, text).hash(&mut hasher);
    hasher.finish()
}

/// A hash that is equal for names that are one on a system that ignores case, normalises Unicode or does both.
///
/// Upper case and then lower case, character by character, on decomposed text: coarser than any one system's table
/// ("ß" is "ss", "ı" is "i"), so no pair of twins passes. Characters that HFS+ does not see are left out.
fn fold_hash(parent: u64, part: &str, scratch: &mut String) -> u64 {
    scratch.clear();
    if part.is_ascii() {
        scratch.push_str(part);
        scratch.make_ascii_lowercase();
    } else {
        let ignored = |c: &char| !matches!(c, '\u{200c}'..='\u{200f}' | '\u{206a}'..='\u{206f}' | '\u{ad}');
        let folded = part.nfd().filter(ignored).flat_map(char::to_uppercase).flat_map(char::to_lowercase);
        scratch.extend(folded.nfd());
    }
    hash(parent, scratch)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn twins(a: &str, b: &str) -> bool {
        let mut scratch = String::new();
        fold_hash(7, a, &mut scratch) == fold_hash(7, b, &mut scratch)
    }

    #[test]
    fn twins_of_every_kind_fold_to_one() {
        for (a, b) in [
            ("README.md", "readme.MD"),
            ("é", "e\u{301}"),
            ("É", "e\u{301}"),
            ("Straße", "STRASSE"),
            ("ſ", "s"),
            ("\u{212a}", "k"),
            ("ΟΔΟΣ", "οδος"),
            ("ﬁ", "FI"),
            ("İ", "i\u{307}"),
            ("한", "\u{1112}\u{1161}\u{11ab}"),
            (".g\u{200c}it", ".git"),
            ("q\u{307}\u{323}", "q\u{323}\u{307}"),
        ] {
            assert!(twins(a, b), "{a:?} {b:?}");
        }
        assert!(!twins("a", "b"));
        assert!(!twins("テンプレート", "テンフレート"));
    }

    #[test]
    fn device_names() {
        for name in ["con", "AUX.rs", "nul.tar.gz", "com1", "LPT9.txt", "COM\u{b9}", "conin$", "CONOUT$.x", "con .txt"]
        {
            assert!(is_device(name), "{name}");
        }
        for name in ["console", "aux-1", "com10", "com", "lpt", "nu", ".aux", "com\u{3c0}", "日本"] {
            assert!(!is_device(name), "{name}");
        }
    }
}
