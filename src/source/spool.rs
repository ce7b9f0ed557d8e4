//! A place on disk for what is too much for memory: packed folders, details, whatever is made before it is known whether
//! it will be needed.

use bytes::Bytes;
use std::{
    fs::File,
    io::{self, Read, Seek, SeekFrom, Write},
    sync::atomic::{AtomicU64, Ordering},
};

/// How much of one entry a [`SpoolWriter`] keeps in memory before it goes to disk.
const IN_MEMORY: usize = 1 << 20;

/// An append-only temporary file that threads share. It has no name, so nothing is left behind, however the process ends.
///
/// ```
/// use ggen_marketplace::source::Spool;
/// let spool = Spool::new().unwrap();
/// let range = spool.append(b"some bytes").unwrap();
/// assert_eq!(&spool.read(range).unwrap()[..], b"some bytes");
/// ```
#[derive(Debug)]
pub struct Spool {
    file: Positioned,
    end: AtomicU64,
}

/// Where in a [`Spool`] something stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct SpoolRange {
    /// Its first byte.
    pub offset: u64,
    /// How many bytes it has.
    pub len: u64,
}

impl Spool {
    /// A new spool in the system's folder for temporary files.
    pub fn new() -> io::Result<Self> {
        Ok(Self { file: Positioned::new(tempfile::tempfile()?), end: AtomicU64::new(0) })
    }

    /// Appends `bytes`.
    pub fn append(&self, bytes: &[u8]) -> io::Result<SpoolRange> {
        let range = self.reserve(bytes.len() as u64);
        self.file.write_all_at(bytes, range.offset)?;
        Ok(range)
    }

    /// Starts an entry whose length is not known yet. Nothing is appended before [`SpoolWriter::finish`].
    pub fn writer(&self) -> SpoolWriter<'_> {
        SpoolWriter { spool: self, held: tempfile::SpooledTempFile::new(IN_MEMORY), len: 0 }
    }

    /// What stands at `range`.
    pub fn read(&self, range: SpoolRange) -> io::Result<Bytes> {
        self.check(range)?;
        let len = usize::try_from(range.len).map_err(|_| io::ErrorKind::OutOfMemory)?;
        let mut out = vec![0; len];
        self.file.read_exact_at(&mut out, range.offset)?;
        Ok(out.into())
    }

    /// Appends what stands at these places to `out`; what stands side by side is read at once.
    pub(crate) fn read_all(&self, ranges: impl Iterator<Item = SpoolRange>, out: &mut Vec<u8>) -> io::Result<()> {
        let mut ranges = ranges.peekable();
        while let Some(mut range) = ranges.next() {
            while let Some(next) = ranges.next_if(|next| range.offset.checked_add(range.len) == Some(next.offset)) {
                range.len += next.len;
            }
            self.check(range)?;
            let (from, len) = (out.len(), usize::try_from(range.len).map_err(|_| io::ErrorKind::OutOfMemory)?);
            out.resize(from + len, 0);
            self.file.read_exact_at(&mut out[from..], range.offset)?;
        }
        Ok(())
    }

    /// Reads what stands at `range` piece by piece.
    pub fn reader(&self, range: SpoolRange) -> io::Result<SpoolReader<'_>> {
        self.check(range)?;
        Ok(SpoolReader { spool: self, at: range.offset, left: range.len })
    }

    /// How many bytes it holds.
    pub fn len(&self) -> u64 {
        self.end.load(Ordering::Relaxed)
    }

    /// Whether it holds nothing.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    fn reserve(&self, len: u64) -> SpoolRange {
        // Every entry has its own range, so writers need no lock between them.
        SpoolRange { offset: self.end.fetch_add(len, Ordering::Relaxed), len }
    }

    fn check(&self, range: SpoolRange) -> io::Result<()> {
        match range.offset.checked_add(range.len) {
            Some(end) if end <= self.len() => Ok(()),
            _ => Err(io::Error::new(io::ErrorKind::InvalidInput, "the range is not one of this spool")),
        }
    }
}

/// Writes one entry of a [`Spool`]. See [`Spool::writer`].
#[derive(Debug)]
pub struct SpoolWriter<'s> {
    spool: &'s Spool,
    held: tempfile::SpooledTempFile,
    len: u64,
}

impl SpoolWriter<'_> {
    /// Appends what was written as one entry.
    pub fn finish(mut self) -> io::Result<SpoolRange> {
        let range = self.spool.reserve(self.len);
        self.held.seek(SeekFrom::Start(0))?;
        let (mut at, mut buffer) = (range.offset, vec![0; 64 << 10]);
        loop {
            let n = self.held.read(&mut buffer)?;
            if n == 0 {
                return Ok(range);
            }
            self.spool.file.write_all_at(&buffer[..n], at)?;
            at += n as u64;
        }
    }
}

impl Write for SpoolWriter<'_> {
    fn write(&mut self, buf: &[u8]) -> io::Result<usize> {
        let n = self.held.write(buf)?;
        self.len += n as u64;
        Ok(n)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.held.flush()
    }
}

/// Reads one entry of a [`Spool`]. See [`Spool::reader`].
#[derive(Debug)]
pub struct SpoolReader<'s> {
    spool: &'s Spool,
    at: u64,
    left: u64,
}

impl Read for SpoolReader<'_> {
    fn read(&mut self, buf: &mut [u8]) -> io::Result<usize> {
        let n = buf.len().min(usize::try_from(self.left).unwrap_or(usize::MAX));
        self.spool.file.read_exact_at(&mut buf[..n], self.at)?;
        self.at += n as u64;
        self.left -= n as u64;
        Ok(n)
    }
}

/// Reading and writing at a place, by threads at once.
#[cfg(unix)]
#[derive(Debug)]
struct Positioned(File);

#[cfg(unix)]
impl Positioned {
    fn new(file: File) -> Self {
        Self(file)
    }

    fn write_all_at(&self, bytes: &[u8], at: u64) -> io::Result<()> {
        std::os::unix::fs::FileExt::write_all_at(&self.0, bytes, at)
    }

    fn read_exact_at(&self, bytes: &mut [u8], at: u64) -> io::Result<()> {
        std::os::unix::fs::FileExt::read_exact_at(&self.0, bytes, at)
    }
}

/// Reading and writing at a place, one thread at a time: elsewhere a file has one position for all.
#[cfg(not(unix))]
#[derive(Debug)]
struct Positioned(std::sync::Mutex<File>);

#[cfg(not(unix))]
impl Positioned {
    fn new(file: File) -> Self {
        Self(std::sync::Mutex::new(file))
    }

    fn at(&self, at: u64) -> io::Result<std::sync::MutexGuard<'_, File>> {
        // A thread that panicked left the position anywhere; it is set anew each time.
        let mut file = self.0.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
        file.seek(SeekFrom::Start(at))?;
        Ok(file)
    }

    fn write_all_at(&self, bytes: &[u8], at: u64) -> io::Result<()> {
        self.at(at)?.write_all(bytes)
    }

    fn read_exact_at(&self, bytes: &mut [u8], at: u64) -> io::Result<()> {
        self.at(at)?.read_exact(bytes)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn entries_of_many_threads_do_not_mix() {
        let spool = Spool::new().unwrap();
        let ranges: Vec<_> = std::thread::scope(|s| {
            let threads: Vec<_> = (0..8u8)
                .map(|i| {
                    let spool = &spool;
                    s.spawn(move || {
                        (0..50)
                            .map(|n| {
                                let bytes = vec![i; n * 37];
                                // Both ways of writing, and entries that pass what is held in memory.
                                let range = if n % 2 == 0 {
                                    spool.append(&bytes).unwrap()
                                } else {
                                    let mut w = spool.writer();
                                    w.write_all(&bytes).unwrap();
                                    w.finish().unwrap()
                                };
                                (i, range)
                            })
                            .collect::<Vec<_>>()
                    })
                })
                .collect();
            threads.into_iter().flat_map(|t| t.join().unwrap()).collect()
        });
        assert_eq!(spool.len(), ranges.iter().map(|(_, r)| r.len).sum::<u64>());
        for (i, range) in ranges {
            assert!(spool.read(range).unwrap().iter().all(|b| *b == i));
        }
    }

    #[test]
    fn a_long_entry_goes_over_disk_and_reads_back_in_pieces() {
        let spool = Spool::new().unwrap();
        spool.append(b"before").unwrap();
        let bytes: Vec<u8> = (0..IN_MEMORY * 2 + 5).map(|i| (i % 251) as u8).collect();
        let mut w = spool.writer();
        w.write_all(&bytes).unwrap();
        let range = w.finish().unwrap();
        let mut back = Vec::new();
        spool.reader(range).unwrap().read_to_end(&mut back).unwrap();
        assert!(back == bytes);
    }

    #[test]
    fn a_range_of_another_spool_is_refused() {
        let spool = Spool::new().unwrap();
        spool.append(b"abc").unwrap();
        for range in [SpoolRange { offset: 1, len: 3 }, SpoolRange { offset: u64::MAX, len: 2 }] {
            assert_eq!(spool.read(range).unwrap_err().kind(), io::ErrorKind::InvalidInput);
            assert!(spool.reader(range).is_err());
        }
    }
}
