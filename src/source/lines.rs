//! Lists of records: JSON Lines files that describe packages hosted elsewhere, a million in one file if need be.
//!
//! A list is read in pieces of whole lines. While all threads parse some pieces, the next are read (and decompressed), so
//! memory holds a few megabytes of a list of any length.

mod line;

use super::{Candidate, Place, Refusal, refused};
use crate::{Error, package::Timestamp};
use flate2::read::MultiGzDecoder;
use rayon::prelude::*;
use std::{
    fs::File,
    io::{self, Read},
    path::Path,
    sync::Arc,
};

/// The longest line, in bytes.
pub(super) const MAX_LINE: usize = 1 << 20;

/// How much of a list is one piece of work.
const CHUNK: usize = 512 << 10;

/// Reads the list at `path`.
pub(super) fn scan(path: &Path, now: Timestamp, sink: impl Fn(Result<Candidate, Refusal>) + Sync) {
    let place = Place::of(path);
    let input = match open(path) {
        Ok(input) => input,
        Err(e) => return sink(Err(Refusal { place, error: Error::io("read", path, e) })),
    };
    let mut chunks = Chunks::new(input);
    // Two pieces for each thread even out lines that take longer than others.
    let batch = 2 * rayon::current_num_threads();
    let mut ready = chunks.take(batch);
    while !ready.is_empty() {
        let parse = || ready.par_iter().for_each(|chunk| chunk.lines(&place.path, now, &sink));
        let ((), next) = rayon::join(parse, || chunks.take(batch));
        ready = next;
    }
    if let Some(e) = chunks.failed {
        let place = Place { line: Some(chunks.line), ..place };
        sink(Err(Refusal { error: Error::io("read on in", path, e), place }));
    }
}

fn open(path: &Path) -> io::Result<Box<dyn Read + Send>> {
    let mut magic = Vec::new();
    let mut file = File::open(path)?;
    file.by_ref().take(2).read_to_end(&mut magic)?;
    // By content: `.jsonl` that a server compressed on the way is common.
    let gzip = magic == [0x1f, 0x8b];
    let whole = io::Cursor::new(magic).chain(file);
    Ok(if gzip {
        Box::new(MultiGzDecoder::new(io::BufReader::with_capacity(256 << 10, whole)))
    } else {
        Box::new(whole)
    })
}

/// Some whole lines.
struct Chunk {
    bytes: Vec<u8>,
    /// The number of its first line.
    first: u64,
    /// It is the beginning of a line that is too long; the rest was dropped.
    cut: bool,
}

/// Cuts a stream into chunks.
struct Chunks<R> {
    input: R,
    /// The beginning of a line whose end has not been read yet.
    carry: Vec<u8>,
    /// The number of the line that `carry` begins.
    line: u64,
    done: bool,
    failed: Option<io::Error>,
}

impl<R: Read> Chunks<R> {
    fn new(input: R) -> Self {
        Self { input, carry: Vec::new(), line: 1, done: false, failed: None }
    }

    fn take(&mut self, count: usize) -> Vec<Chunk> {
        std::iter::from_fn(|| self.next()).take(count).collect()
    }

    /// Reads on until `bytes` has `CHUNK` bytes more or the input ends.
    fn fill(&mut self, bytes: &mut Vec<u8>) {
        if self.done {
            return;
        }
        let before = bytes.len();
        match self.input.by_ref().take(CHUNK as u64).read_to_end(bytes) {
            Ok(_) => self.done = bytes.len() - before < CHUNK,
            Err(e) => {
                // The lines before the failure are good; what it cut is not a line.
                (self.done, self.failed) = (true, Some(e));
                let whole = bytes.iter().rposition(|b| *b == b'\n').map_or(0, |i| i + 1);
                bytes.truncate(whole);
            }
        }
    }

    fn next(&mut self) -> Option<Chunk> {
        let mut bytes = std::mem::take(&mut self.carry);
        bytes.reserve(CHUNK);
        let first = self.line;
        loop {
            let before = bytes.len();
            self.fill(&mut bytes);
            if let Some(end) = bytes.iter().rposition(|b| *b == b'\n') {
                self.carry = bytes.split_off(end + 1);
                break;
            }
            if bytes.len() > MAX_LINE {
                self.skip_line();
                self.line += 1;
                bytes.truncate(80);
                return Some(Chunk { bytes, first, cut: true });
            }
            if self.done || bytes.len() == before {
                break;
            }
        }
        self.line += bytes.iter().filter(|b| **b == b'\n').count() as u64;
        if bytes.is_empty() { None } else { Some(Chunk { bytes, first, cut: false }) }
    }

    /// Drops everything to the end of the line.
    fn skip_line(&mut self) {
        let mut bytes = Vec::new();
        while !self.done {
            bytes.clear();
            self.fill(&mut bytes);
            if let Some(end) = bytes.iter().position(|b| *b == b'\n') {
                self.carry = bytes.split_off(end + 1);
                return;
            }
        }
    }
}

impl Chunk {
    fn lines(&self, path: &Arc<Path>, now: Timestamp, sink: &impl Fn(Result<Candidate, Refusal>)) {
        let place = |line| Place { path: path.clone(), line: Some(line) };
        let too_long = || refused("the record is refused", line::LineError::TooLong);
        if self.cut {
            return sink(Err(Refusal { place: place(self.first), error: too_long() }));
        }
        for (line, number) in self.bytes.split(|b| *b == b'\n').zip(self.first..) {
            let line = if number == 1 { line.strip_prefix(b"\xef\xbb\xbf").unwrap_or(line) } else { line };
            if line.trim_ascii().is_empty() {
                continue;
            }
            let place = place(number);
            sink(if line.len() > MAX_LINE {
                Err(Refusal { place, error: too_long() })
            } else {
                match line::read(line, now) {
                    Ok(read) => Ok(line::candidate(read, place)),
                    Err(e) => Err(Refusal { place, error: refused("the record is refused", e) }),
                }
            });
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    /// A reader that gives what it has in small pieces.
    fn numbers(input: &[u8]) -> Vec<(u64, Vec<u8>)> {
        let mut chunks = Chunks::new(input);
        let mut out = Vec::new();
        while let Some(chunk) = chunks.next() {
            assert!(chunk.bytes.len() <= MAX_LINE + CHUNK + 1);
            for (line, number) in chunk.bytes.split(|b| *b == b'\n').zip(chunk.first..) {
                if !line.is_empty() {
                    out.push((number, line[..line.len().min(80)].to_vec()));
                }
            }
        }
        out
    }

    fn simple(input: &[u8]) -> Vec<(u64, Vec<u8>)> {
        let lines = input.split(|b| *b == b'\n').zip(1..).filter(|(line, _)| !line.is_empty());
        lines.map(|(line, n)| (n, line[..line.len().min(80)].to_vec())).collect()
    }

    #[test]
    fn lines_keep_their_numbers_across_chunks_and_around_lines_that_are_too_long() {
        let mut text = Vec::new();
        for i in 0..9 {
            text.extend(std::iter::repeat_n(b'a' + i, [10, CHUNK - 5, MAX_LINE + 1, 3, 4 * MAX_LINE][i as usize % 5]));
            text.push(b'\n');
            text.push(b'\n');
        }
        assert_eq!(numbers(&text), simple(&text));
        text.extend(std::iter::repeat_n(b'z', 3 * MAX_LINE));
        assert_eq!(numbers(&text), simple(&text));
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(32))]
        #[test]
        fn any_cut_into_lines_is_the_same(lengths in proptest::collection::vec(prop_oneof![0..20usize, 0..2 * CHUNK], 0..8)) {
            let mut text = Vec::new();
            for (i, n) in lengths.into_iter().enumerate() {
                text.extend(std::iter::repeat_n(b'a' + i as u8, n));
                text.push(b'\n');
            }
            prop_assert_eq!(numbers(&text), simple(&text));
        }
    }
}
