//! The packer: the same files give the same bytes, on any machine and at any time.

use super::{
    ArchiveError, Limits, PathProblem, Summary,
    error::shown,
    path::{self, Tree},
    stream::{BLOCK, BUFFER, explodes},
};
use flate2::{Compression, GzBuilder, write::GzEncoder};
use std::{
    fs,
    io::{self, Read, Write},
    path::{Path, PathBuf},
    time::SystemTime,
};

/// Names of files and folders that are never packed: what version control and macOS keep beside a package's files.
pub const SKIPPED: [&str; 5] = [".git", ".hg", ".svn", ".jj", ".DS_Store"];

/// zlib's best. An archive is packed once and fetched many times; another level would be other bytes for the same files.
const LEVEL: u32 = 9;

/// "Unknown": the system that packs must not show.
const OS: u8 = 255;

/// A file that belongs to a package.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct PackFile {
    /// Its path below the package's folder, `/` between the parts.
    pub(crate) path: String,
    /// Where it is.
    pub(crate) full: PathBuf,
    /// Its size in bytes.
    pub(crate) size: u64,
    /// Its owner may execute it; never so where the system has no such bit.
    pub(crate) executable: bool,
    /// When its content last changed.
    pub(crate) modified: SystemTime,
    /// Which file it is, where the system numbers them.
    pub(crate) inode: Option<u64>,
}

impl PackFile {
    fn new(path: String, full: PathBuf, meta: &fs::Metadata) -> Result<Self, ArchiveError> {
        let modified = match meta.modified() {
            Ok(modified) => modified,
            Err(source) => return Err(ArchiveError::Folder { path: full, source }),
        };
        #[cfg(unix)]
        let (executable, inode) = {
            use std::os::unix::fs::MetadataExt as _;
            (meta.mode() & 0o100 != 0, Some(meta.ino()))
        };
        #[cfg(not(unix))]
        let (executable, inode) = (false, None);
        Ok(Self { path, full, size: meta.len(), executable, modified, inode })
    }

    /// The same file with the same content, as far as its metadata tell.
    fn is_still(&self, meta: &fs::Metadata) -> bool {
        meta.is_file() && Self::new(self.path.clone(), self.full.clone(), meta).is_ok_and(|now| now == *self)
    }
}

/// All files of the package in `folder`, in the order of their paths' bytes; [`SKIPPED`] names are left out.
///
/// # Errors
/// A symbolic link, a special file, or a name that [`read`](super::read) would refuse.
pub(crate) fn walk(folder: &Path) -> Result<Vec<PackFile>, ArchiveError> {
    let mut files = Vec::new();
    let wanted = |e: &walkdir::DirEntry| e.depth() == 0 || e.file_name().to_str().is_none_or(|n| !SKIPPED.contains(&n));
    for found in walkdir::WalkDir::new(folder).into_iter().filter_entry(wanted) {
        let found = found.map_err(|e| walk_error(e, folder))?;
        let (kind, full) = (found.file_type(), found.path());
        if found.depth() == 0 {
            if !full.is_dir() {
                let source = io::ErrorKind::NotADirectory.into();
                return Err(ArchiveError::Folder { path: full.to_owned(), source });
            }
        } else if kind.is_symlink() {
            return Err(ArchiveError::Symlink { path: full.to_owned() });
        } else if kind.is_file() {
            let path = below(folder, full)?;
            let meta = found.metadata().map_err(|e| walk_error(e, folder))?;
            files.push(PackFile::new(path, found.into_path(), &meta)?);
        } else if !kind.is_dir() {
            return Err(ArchiveError::Special { path: full.to_owned() });
        }
    }
    files.sort_unstable_by(|a, b| a.path.cmp(&b.path));
    Ok(files)
}

fn walk_error(e: walkdir::Error, folder: &Path) -> ArchiveError {
    let path = e.path().unwrap_or(folder).to_owned();
    ArchiveError::Folder { path, source: e.into() }
}

/// The path of `full` below `folder`, each part checked.
fn below(folder: &Path, full: &Path) -> Result<String, ArchiveError> {
    let rest = full.strip_prefix(folder).unwrap_or(full);
    let mut path = String::new();
    for part in rest {
        let bad = |problem| ArchiveError::Path { entry: rest.to_string_lossy().into_owned(), problem };
        let part = part.to_str().ok_or_else(|| bad(PathProblem::NotUtf8))?;
        if let Some(problem) = path::problem(part) {
            return Err(bad(problem));
        }
        if !path.is_empty() {
            path.push('/');
        }
        path.push_str(part);
    }
    Ok(path)
}

/// Packs the package in `folder` as a gzip-compressed tar with the one top folder `top`.
///
/// The bytes depend only on the files' paths, contents and owner-may-execute bits (of which a system without such bits
/// has none): paths in the order of their bytes, no times, no owners, no folders, one level of compression. Files whose
/// names begin with a dot are packed; [`SKIPPED`] names are not. What this function writes, [`read`](super::read) accepts
/// with the same limits.
///
/// # Errors
/// Links, special files, unsafe or doubtful names, anything beyond `limits`, and files that change meanwhile. What was
/// written to `out` until then has to be thrown away.
pub fn pack(folder: &Path, top: &str, out: impl Write, limits: &Limits) -> Result<Summary, ArchiveError> {
    let files = walk(folder)?;
    if let Some(problem) = path::problem(top).or(top.contains('/').then_some(PathProblem::Empty)) {
        return Err(ArchiveError::Path { entry: shown(top.as_bytes()), problem });
    }
    let mut summary = Summary { top: top.to_owned(), files: 0, unpacked: 0 };
    let mut tree = Tree::new(limits);
    let mut sink = Sink::new(out, limits);
    for file in &files {
        let full = format!("{top}/{}", file.path);
        path::check(full.as_bytes(), false, limits.path)?;
        tree.add(&full, false)?;
        if file.size > limits.file {
            return Err(ArchiveError::FileTooLarge { entry: full, size: file.size, max: limits.file });
        }
        add(&mut sink, file, &full)?;
        summary.files += 1;
        summary.unpacked += file.size;
    }
    if files.is_empty() {
        return Err(ArchiveError::NoFiles);
    }
    sink.write(&[0; 2 * BLOCK])?;
    sink.finish()?;
    Ok(summary)
}

fn add<W: Write>(sink: &mut Sink<'_, W>, file: &PackFile, full: &str) -> Result<(), ArchiveError> {
    let failed = |source| ArchiveError::Folder { path: file.full.clone(), source };
    let changed = || ArchiveError::Changed { path: file.full.clone() };
    let mut content = fs::File::open(&file.full).map_err(failed)?;
    // Between the walk and now the path may have become another file, or a link to one.
    if !file.is_still(&content.metadata().map_err(failed)?) {
        return Err(changed());
    }
    // PAX, as Python's tarfile writes it, and not GNU's long names: it is the standard, and it says that a path is UTF-8.
    if full.len() > NAME || !full.is_ascii() {
        let record = path_record(full);
        sink.write(&header(tar::EntryType::XHeader, "././@PaxHeader", record.len() as u64, false))?;
        sink.write(record.as_bytes())?;
        sink.pad(record.len() as u64)?;
    }
    sink.write(&header(tar::EntryType::Regular, full, file.size, file.executable))?;
    let mut left = file.size;
    while left > 0 {
        let n = sink.take_from(&mut content, left).map_err(|e| match e {
            TakeError::Source(e) => failed(e),
            TakeError::Sink(e) => e,
        })?;
        if n == 0 {
            return Err(changed());
        }
        left -= n;
    }
    if !file.is_still(&content.metadata().map_err(failed)?) {
        return Err(changed());
    }
    sink.pad(file.size)
}

/// How long a path may be without a PAX header.
const NAME: usize = 100;

/// `<length> path=<path>\n`, where the length counts its own digits.
fn path_record(path: &str) -> String {
    let rest = format!(" path={path}\n");
    let mut len = rest.len() + 1;
    while len != rest.len() + len.to_string().len() {
        len += 1;
    }
    format!("{len}{rest}")
}

fn header(kind: tar::EntryType, path: &str, size: u64, executable: bool) -> [u8; BLOCK] {
    let mut header = tar::Header::new_ustar();
    header.set_entry_type(kind);
    header.set_mode(if executable { 0o755 } else { 0o644 });
    header.set_uid(0);
    header.set_gid(0);
    header.set_mtime(0);
    header.set_size(size);
    let name = &mut header.as_old_mut().name;
    // Where it does not fit, or is not ASCII, the PAX header before this one has the path, and this is for the eyes only.
    for (to, c) in name.iter_mut().zip(path.chars()) {
        *to = if c.is_ascii() { c as u8 } else { b'?' };
    }
    header.set_cksum();
    *header.as_bytes()
}

/// Compresses a tar stream and holds it to the limits.
///
/// It hands over pieces of exactly the size that the reader unpacks at a time: the reader then checks the ratio at the
/// same points of the stream, with no fewer packed bytes in hand. So no archive gets out that would not get in.
struct Sink<'l, W: Write> {
    gz: GzEncoder<Counted<W>>,
    buf: Box<[u8]>,
    len: usize,
    /// Unpacked bytes that were handed to the compressor.
    made: u64,
    limits: &'l Limits,
}

enum TakeError {
    Source(io::Error),
    Sink(ArchiveError),
}

impl<'l, W: Write> Sink<'l, W> {
    fn new(out: W, limits: &'l Limits) -> Self {
        let gz = GzBuilder::new().mtime(0).operating_system(OS);
        let gz = gz.write(Counted { out, written: 0 }, Compression::new(LEVEL));
        Self { gz, buf: vec![0; BUFFER].into_boxed_slice(), len: 0, made: 0, limits }
    }

    fn write(&mut self, mut bytes: &[u8]) -> Result<(), ArchiveError> {
        while !bytes.is_empty() {
            let n = (BUFFER - self.len).min(bytes.len());
            self.buf[self.len..self.len + n].copy_from_slice(&bytes[..n]);
            self.len += n;
            bytes = &bytes[n..];
            self.flush_full()?;
        }
        Ok(())
    }

    /// Zeros up to the next block.
    fn pad(&mut self, size: u64) -> Result<(), ArchiveError> {
        let missing = size.next_multiple_of(BLOCK as u64) - size;
        self.write(&[0; BLOCK][..missing as usize])
    }

    /// Takes at most `max` bytes from a file, as many as one call gives.
    fn take_from(&mut self, source: &mut impl Read, max: u64) -> Result<u64, TakeError> {
        let room = &mut self.buf[self.len..];
        let room = room.len().min(usize::try_from(max).unwrap_or(usize::MAX));
        let n = match source.read(&mut self.buf[self.len..self.len + room]) {
            Err(e) if e.kind() == io::ErrorKind::Interrupted => return self.take_from(source, max),
            n => n.map_err(TakeError::Source)?,
        };
        self.len += n;
        self.flush_full().map_err(TakeError::Sink)?;
        Ok(n as u64)
    }

    fn flush_full(&mut self) -> Result<(), ArchiveError> {
        if self.len == BUFFER { self.flush() } else { Ok(()) }
    }

    fn flush(&mut self) -> Result<(), ArchiveError> {
        self.gz.write_all(&self.buf[..self.len]).map_err(ArchiveError::Output)?;
        self.made += self.len as u64;
        self.len = 0;
        if self.made > self.limits.unpacked {
            return Err(ArchiveError::UnpackedTooLarge { max: self.limits.unpacked });
        }
        let written = self.gz.get_ref().written;
        if explodes(self.made, written, self.limits) {
            return Err(ArchiveError::Ratio { max: self.limits.ratio });
        }
        check_packed(written, self.limits)
    }

    fn finish(mut self) -> Result<(), ArchiveError> {
        self.flush()?;
        let limits = self.limits;
        let mut counted = self.gz.finish().map_err(ArchiveError::Output)?;
        counted.out.flush().map_err(ArchiveError::Output)?;
        check_packed(counted.written, limits)
    }
}

fn check_packed(written: u64, limits: &Limits) -> Result<(), ArchiveError> {
    if written > limits.packed { Err(ArchiveError::PackedTooLarge { max: limits.packed }) } else { Ok(()) }
}

/// Counts what goes through.
struct Counted<W> {
    out: W,
    written: u64,
}

impl<W: Write> Write for Counted<W> {
    fn write(&mut self, buf: &[u8]) -> io::Result<usize> {
        let n = self.out.write(buf)?;
        self.written += n as u64;
        Ok(n)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.out.flush()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_record_counts_its_own_digits() {
        assert_eq!(path_record("a"), "9 path=a\n");
        assert_eq!(path_record("ab"), "11 path=ab\n");
        for n in 0..1200 {
            let record = path_record(&"x".repeat(n));
            assert_eq!(record.split_once(' ').map(|r| r.0.to_owned()), Some(record.len().to_string()));
        }
    }
}
