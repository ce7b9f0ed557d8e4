//! The reader.

use super::{
    ArchiveError, Entry, Limits, Summary,
    error::shown,
    header::{self, Header, Kind},
    path::{self, Tree},
    pax,
    stream::Blocks,
};
use std::io::{self, Read};

/// The largest extended header that is taken into memory.
const MAX_EXTENSION: u64 = 64 * 1024;

/// Reads a gzip-compressed tar archive from a stranger and shows each file and folder below its top folder to `visit`.
///
/// `visit` gets the content as a reader and may leave any part of it unread. **What it saw counts only when this function
/// returns `Ok`**: that an archive is damaged or breaks a rule may show at its very end. Memory use is bounded by a fixed
/// 400 KiB and some 50 bytes for each file and folder, whatever the archive holds.
///
/// # Errors
/// The first rule that is broken, as an [`ArchiveError`]; [`ArchiveError::Input`] and [`ArchiveError::Visit`] are not the
/// archive's fault.
///
/// ```
/// use ggen_marketplace::package::archive::{Limits, pack, read};
/// # let folder = tempfile::tempdir()?;
/// std::fs::write(folder.path().join("package.toml"), "name = \"hello\"")?;
/// let mut packed = Vec::new();
/// pack(folder.path(), "hello-1.0.0", &mut packed, &Limits::default())?;
///
/// let mut seen = Vec::new();
/// let summary = read(&packed[..], &Limits::default(), |entry, content| {
///     seen.push((entry.path.to_owned(), std::io::read_to_string(content)?));
///     Ok(())
/// })?;
/// assert_eq!(summary.top, "hello-1.0.0");
/// assert_eq!(seen, [("package.toml".to_owned(), "name = \"hello\"".to_owned())]);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
pub fn read<R: Read>(
    input: R,
    limits: &Limits,
    mut visit: impl FnMut(&Entry<'_>, &mut dyn Read) -> io::Result<()>,
) -> Result<Summary, ArchiveError> {
    let mut blocks = Blocks::new(input, limits);
    let mut tree = Tree::new(limits);
    let mut top = None;
    let (mut files, mut unpacked) = (0, 0);
    let mut name = Vec::new();
    let mut extension = Extension::default();
    while let Some(block) = blocks.block()? {
        if block.iter().all(|b| *b == 0) {
            if extension.given {
                return Err(ArchiveError::Dangling);
            }
            blocks.finish()?;
            let top = top.filter(|_| files > 0).ok_or(ArchiveError::NoFiles)?;
            return Ok(Summary { top, files, unpacked });
        }
        let header = header::parse(&block, &mut name)?;
        if matches!(header.kind, Kind::LongName | Kind::Pax) {
            extension.take(&mut blocks, &header, &name)?;
            continue;
        }
        let raw = if extension.named { &extension.body } else { &name };
        let folder = header.kind == Kind::Folder;
        let full = path::check(raw, folder, limits.path)?;
        check_size(&header, extension.size, full, limits)?;
        let path = below_top(&mut top, full, folder)?;
        tree.add(full, folder)?;
        if !path.is_empty() {
            let entry = Entry { path, size: header.size, executable: header.executable, directory: folder };
            show(&mut blocks, &entry, full, &mut visit)?;
        }
        files += u64::from(!folder);
        unpacked += header.size;
        extension.clear();
    }
    Err(if extension.given { ArchiveError::Dangling } else { ArchiveError::NoEndMarker })
}

fn check_size(header: &Header, pax: Option<u64>, full: &str, limits: &Limits) -> Result<(), ArchiveError> {
    // Programs disagree on which of the two holds, and with it on where the next header is.
    if pax.is_some_and(|size| size != header.size) {
        return Err(ArchiveError::PaxSize { entry: shown(full.as_bytes()) });
    }
    if header.size > limits.file {
        let entry = shown(full.as_bytes());
        return Err(ArchiveError::FileTooLarge { entry, size: header.size, max: limits.file });
    }
    Ok(())
}

/// The part of a path below the top folder, which the first entry sets; empty for the top folder itself.
fn below_top<'p>(top: &mut Option<String>, full: &'p str, folder: bool) -> Result<&'p str, ArchiveError> {
    let (first, rest) = full.split_once('/').unwrap_or((full, ""));
    if rest.is_empty() && !folder {
        return Err(ArchiveError::NoTopFolder { entry: shown(full.as_bytes()) });
    }
    match top {
        None => *top = Some(first.to_owned()),
        Some(top) if top == first => {}
        Some(top) => return Err(ArchiveError::TwoTops { entry: shown(full.as_bytes()), top: shown(top.as_bytes()) }),
    }
    Ok(rest)
}

/// Calls the visitor, and goes over what it leaves.
fn show<R: Read>(
    blocks: &mut Blocks<'_, R>,
    entry: &Entry<'_>,
    full: &str,
    visit: &mut impl FnMut(&Entry<'_>, &mut dyn Read) -> io::Result<()>,
) -> Result<(), ArchiveError> {
    let mut content = Content { blocks, left: entry.size, fault: None };
    let visited = visit(entry, &mut content);
    // What is wrong with the archive goes before what the visitor made of it.
    if let Some(fault) = content.fault {
        return Err(fault);
    }
    visited.map_err(|source| ArchiveError::Visit { entry: shown(full.as_bytes()), source })?;
    let mut left = content.left;
    while left > 0 {
        left -= blocks.bytes(left)?.len() as u64;
    }
    if !blocks.padding(entry.size)? {
        return Err(ArchiveError::Header { entry: shown(full.as_bytes()), field: "padding" });
    }
    Ok(())
}

/// The content of one file.
struct Content<'b, 'l, R> {
    blocks: &'b mut Blocks<'l, R>,
    left: u64,
    /// Why reading failed: the visitor sees only an `io::Error`, and may even keep it to itself.
    fault: Option<ArchiveError>,
}

impl<R: Read> Read for Content<'_, '_, R> {
    fn read(&mut self, into: &mut [u8]) -> io::Result<usize> {
        if self.left == 0 || into.is_empty() {
            return Ok(0);
        }
        if self.fault.is_none() {
            match self.blocks.bytes(self.left.min(into.len() as u64)) {
                Ok(bytes) => {
                    into[..bytes.len()].copy_from_slice(bytes);
                    self.left -= bytes.len() as u64;
                    return Ok(bytes.len());
                }
                Err(fault) => self.fault = Some(fault),
            }
        }
        Err(io::Error::new(io::ErrorKind::InvalidData, "the archive is damaged"))
    }
}

/// What an extended header says about the next entry.
#[derive(Default)]
struct Extension {
    given: bool,
    /// The body is the path.
    named: bool,
    body: Vec<u8>,
    size: Option<u64>,
}

impl Extension {
    fn clear(&mut self) {
        (self.given, self.named, self.size) = (false, false, None);
    }

    /// Takes the body of the extended header `header`, whose own name is `name`.
    fn take<R: Read>(&mut self, blocks: &mut Blocks<'_, R>, header: &Header, name: &[u8]) -> Result<(), ArchiveError> {
        // Two PAX headers, or GNU's long path beside PAX: each program takes another one.
        if std::mem::replace(&mut self.given, true) {
            return Err(ArchiveError::TwoExtensions { entry: shown(name) });
        }
        if header.size > MAX_EXTENSION {
            return Err(ArchiveError::ExtensionTooLarge { entry: shown(name), size: header.size, max: MAX_EXTENSION });
        }
        self.body.clear();
        let mut left = header.size;
        while left > 0 {
            let bytes = blocks.bytes(left)?;
            self.body.extend_from_slice(bytes);
            left -= bytes.len() as u64;
        }
        if !blocks.padding(header.size)? {
            return Err(ArchiveError::Header { entry: shown(name), field: "padding" });
        }
        if header.kind == Kind::LongName {
            self.named = true;
            // GNU and cargo end it with a NUL. Any other NUL is a control character in the path.
            if self.body.last() == Some(&0) {
                self.body.pop();
            }
            return Ok(());
        }
        let records = pax::parse(&self.body, name)?;
        self.size = records.size;
        if let Some(path) = records.path {
            self.named = true;
            self.body.truncate(path.end);
            self.body.drain(..path.start);
        }
        Ok(())
    }
}
