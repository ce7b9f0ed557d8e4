//! How far an audit of everything is, so that one that was interrupted need not begin anew. A file of this machine, in the
//! cache folder: digests that were found to be right, of one registry at one place and in one generation, for a day.

use crate::{
    client::Client,
    package::{Sha256, Timestamp},
};
use serde::{Deserialize, Serialize};
use std::{
    collections::HashSet,
    fs::{self, File},
    io::{BufRead, BufReader, BufWriter, Write},
    path::{Path, PathBuf},
    time::{Duration, Instant},
};

/// What was right longer ago is read again.
const GOOD_FOR: Duration = Duration::from_secs(24 * 3600);

/// So much work is lost, at most, when the process is killed.
const FLUSHED: Duration = Duration::from_secs(1);

pub(super) struct Journal {
    path: PathBuf,
    /// What an interrupted audit found to be right.
    known: HashSet<Sha256>,
    file: BufWriter<File>,
    flushed: Instant,
}

/// The first line: what the rest is good for.
#[derive(PartialEq, Eq, Serialize, Deserialize)]
struct Header {
    generation: u64,
    keys: Vec<String>,
    /// When the first of the digests may have been found to be right.
    since: Timestamp,
    store: String,
}

impl Client {
    /// The journal of an audit of that generation: with `resume` the one that an interrupted audit left, if there is one that
    /// still counts. Without a cache folder there is none; that it cannot be written is no reason not to audit.
    pub(super) fn journal(&self, generation: u64, resume: bool) -> Option<Journal> {
        let keys: Vec<String> = self.inner.keys.iter().map(ToString::to_string).collect();
        // The whole path of a folder: what one copy holds says nothing about another one.
        let store = self.inner.store.place("");
        let header = Header { generation, keys, since: Timestamp::now(), store };
        let folder = self.inner.options.cache.as_ref()?.join("verify");
        let name = Sha256::of(format!("{}\n{}", header.keys.join("\n"), header.store).as_bytes()).short();
        let path = folder.join(name);
        Journal::open(&path, header, resume).map_err(|e| tracing::warn!("cannot write {}: {e}", path.display())).ok()
    }
}

impl Journal {
    fn open(path: &Path, header: Header, resume: bool) -> std::io::Result<Self> {
        fs::create_dir_all(path.parent().unwrap_or(Path::new(".")))?;
        let known = if resume { read(path, &header) } else { None };
        let file = match &known {
            Some(_) => fs::OpenOptions::new().append(true).open(path)?,
            None => File::create(path)?,
        };
        let mut journal =
            Self { path: path.to_owned(), file: BufWriter::new(file), flushed: Instant::now(), known: HashSet::new() };
        match known {
            // The last line may be cut off.
            Some(_) => journal.file.write_all(b"\n")?,
            None => {
                serde_json::to_writer(&mut journal.file, &header)?;
                journal.file.write_all(b"\n")?;
                journal.file.flush()?;
            }
        }
        journal.known = known.unwrap_or_default();
        Ok(journal)
    }

    pub(super) fn knows(&self, sha256: &Sha256) -> bool {
        self.known.contains(sha256)
    }

    pub(super) fn add(&mut self, sha256: &Sha256) {
        // A line that is not written is an object that is read once more.
        let _ = writeln!(self.file, "{sha256}");
        if self.flushed.elapsed() > FLUSHED {
            let _ = self.file.flush();
            self.flushed = Instant::now();
        }
    }

    /// The audit came to its end: the next one begins anew.
    pub(super) fn finish(self) {
        let Self { path, file, .. } = self;
        drop(file);
        let _ = fs::remove_file(path);
    }
}

/// The digests in a journal that counts for this audit.
fn read(path: &Path, now: &Header) -> Option<HashSet<Sha256>> {
    let mut lines = BufReader::new(File::open(path).ok()?).lines();
    let header: Header = serde_json::from_str(&lines.next()?.ok()?).ok()?;
    let same = Header { since: now.since, ..header } == *now;
    let age = now.since.since(header.since);
    // A time in the future is of a clock that was wrong.
    if !same || age > GOOD_FOR || header.since > now.since {
        return None;
    }
    Some(lines.map_while(Result::ok).filter_map(|l| l.parse().ok()).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn header(generation: u64, since: i64) -> Header {
        Header { generation, keys: vec!["key".into()], since: Timestamp::from_unix(since), store: "store".into() }
    }

    #[test]
    fn a_journal_counts_for_the_same_audit_and_for_a_day() {
        const DAY: i64 = 24 * 3600;
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("journal");
        let right = Sha256::of(b"right");
        let left = || {
            let mut journal = Journal::open(&path, header(7, 1_000), false).unwrap();
            journal.add(&right);
            drop(journal);
            // Killed in the middle of a line.
            let half = Sha256::of(b"half").to_string();
            fs::OpenOptions::new().append(true).open(&path).unwrap().write_all(&half.as_bytes()[..30]).unwrap();
        };
        for (now, resume, counts) in [
            (header(7, 1_000), true, true),
            (header(7, 1_000 + DAY), true, true),
            (header(7, 1_001 + DAY), true, false),
            (header(7, 999), true, false),
            (header(8, 1_000), true, false),
            (Header { store: "elsewhere".into(), ..header(7, 1_000) }, true, false),
            (Header { keys: vec!["other".into()], ..header(7, 1_000) }, true, false),
            (header(7, 1_000), false, false),
        ] {
            left();
            let journal = Journal::open(&path, now, resume).unwrap();
            assert_eq!((journal.knows(&right), journal.known.len()), (counts, usize::from(counts)));
        }
        // Goes on in the same file, and keeps the time of the first.
        left();
        let mut journal = Journal::open(&path, header(7, 1_000 + DAY), true).unwrap();
        let more = Sha256::of(b"more");
        journal.add(&more);
        drop(journal);
        let journal = Journal::open(&path, header(7, 1_000 + DAY), true).unwrap();
        assert!(journal.knows(&right) && journal.knows(&more));
        assert!(!Journal::open(&path, header(7, 1_001 + DAY), true).unwrap().knows(&right));
        Journal::open(&path, header(7, 1_000), false).unwrap().finish();
        assert!(!path.exists());
    }
}
