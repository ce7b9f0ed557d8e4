//! Why an archive is refused, or could not be packed.

use std::{io, path::PathBuf};

/// Why an archive is refused, or a folder cannot be packed.
///
/// `entry` is the path as it stands in the archive, made printable and cut to a readable length.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ArchiveError {
    /// The bytes of the archive could not be had: not the archive's fault.
    #[error("cannot read the archive")]
    Input(#[source] io::Error),
    /// The caller's visitor failed: not the archive's fault.
    #[error("cannot process {entry:?} of the archive")]
    Visit {
        /// The entry it was called for.
        entry: String,
        /// What it returned.
        source: io::Error,
    },

    /// Not gzip, corrupt, or with a checksum or length in its trailer that does not hold.
    #[error("the archive is not an intact gzip stream")]
    Gzip(#[source] io::Error),
    /// The gzip stream, a header or a file's content ends too early.
    #[error("the archive is cut short")]
    Truncated,
    /// Another gzip stream follows the first: some programs would read it too, some would not.
    #[error("a second gzip stream follows the archive")]
    SecondMember,
    /// Bytes follow the gzip stream.
    #[error("the archive is followed by bytes that do not belong to it")]
    TrailingBytes,
    /// The tar stream does not end with two blocks of zeros.
    #[error("the archive has no end marker")]
    NoEndMarker,
    /// Something other than zeros follows the end marker.
    #[error("the archive goes on after its end marker")]
    AfterEndMarker,

    /// A field of a tar header is malformed, or one that has to be empty is not.
    #[error("the header of {entry:?} has a malformed {field}")]
    Header {
        /// The entry.
        entry: String,
        /// Which field.
        field: &'static str,
    },
    /// A symbolic or hard link, or the long target of one.
    #[error("{entry:?} is a link; only files and folders are allowed")]
    Link {
        /// The entry.
        entry: String,
    },
    /// A character or block device.
    #[error("{entry:?} is a device; only files and folders are allowed")]
    Device {
        /// The entry.
        entry: String,
    },
    /// A named pipe.
    #[error("{entry:?} is a named pipe; only files and folders are allowed")]
    Fifo {
        /// The entry.
        entry: String,
    },
    /// A sparse file, in GNU's or in PAX's spelling.
    #[error("{entry:?} is a sparse file; only plain files and folders are allowed")]
    Sparse {
        /// The entry.
        entry: String,
    },
    /// A contiguous file.
    #[error("{entry:?} is a contiguous file; only plain files and folders are allowed")]
    Contiguous {
        /// The entry.
        entry: String,
    },
    /// Any other type of entry.
    #[error("{entry:?} is of the unknown type {:?}", char::from(*.flag))]
    UnknownType {
        /// The entry.
        entry: String,
        /// Its type byte.
        flag: u8,
    },

    /// A PAX header for the whole archive: programs disagree on what it applies to.
    #[error("the archive has a global PAX header")]
    GlobalPax,
    /// A PAX header with a record that is malformed, unterminated or overlong.
    #[error("the PAX header {entry:?} is malformed")]
    PaxMalformed {
        /// The entry.
        entry: String,
    },
    /// A PAX header that gives one key twice.
    #[error("a PAX header gives {key:?} twice")]
    PaxDuplicate {
        /// The key.
        key: String,
    },
    /// A PAX record that is not on the list of harmless ones.
    #[error("a PAX header sets {key:?}, which is not allowed")]
    PaxKey {
        /// The key.
        key: String,
    },
    /// A PAX record with extended attributes or an access list.
    #[error("a PAX header sets the extended attribute {key:?}")]
    Attribute {
        /// The key.
        key: String,
    },
    /// A PAX size that is no number or not the size in the header.
    #[error("the PAX size of {entry:?} is not that of its header")]
    PaxSize {
        /// The entry.
        entry: String,
    },
    /// Two extended headers for one entry: programs disagree on which one names it.
    #[error("{entry:?} has more than one extended header")]
    TwoExtensions {
        /// The second one, by its own name.
        entry: String,
    },
    /// An extended header that no entry follows.
    #[error("the archive ends after an extended header")]
    Dangling,
    /// An extended header that is too large.
    #[error("the extended header {entry:?} is {size} bytes large; at most {max} are allowed")]
    ExtensionTooLarge {
        /// The entry.
        entry: String,
        /// Its size in bytes.
        size: u64,
        /// The limit.
        max: u64,
    },

    /// A path that is unsafe, or that not every system can hold.
    #[error("the path {entry:?} {problem}")]
    Path {
        /// The entry.
        entry: String,
        /// What is wrong with it.
        problem: PathProblem,
    },
    /// The same path twice.
    #[error("{entry:?} occurs twice")]
    Duplicate {
        /// The second entry.
        entry: String,
    },
    /// Two paths that are one on systems that ignore case or normalise Unicode.
    #[error("{entry:?} and another path differ only in case or in the spelling of a character")]
    Twin {
        /// The second entry.
        entry: String,
    },
    /// A path that is a file and, by another entry, a folder.
    #[error("{entry:?} makes one path both a file and a folder")]
    FileAndFolder {
        /// The second entry.
        entry: String,
    },
    /// A file that does not stand in a top folder.
    #[error("{entry:?} does not stand in a top folder")]
    NoTopFolder {
        /// The entry.
        entry: String,
    },
    /// An entry outside the archive's one top folder.
    #[error("{entry:?} is outside the archive's top folder {top:?}")]
    TwoTops {
        /// The entry.
        entry: String,
        /// The top folder of the entries before it.
        top: String,
    },
    /// There is no file in it.
    #[error("there are no files in it")]
    NoFiles,

    /// See [`Limits::packed`](super::Limits::packed).
    #[error("the archive is larger than {max} bytes")]
    PackedTooLarge {
        /// The limit.
        max: u64,
    },
    /// See [`Limits::unpacked`](super::Limits::unpacked).
    #[error("the archive unpacks to more than {max} bytes")]
    UnpackedTooLarge {
        /// The limit.
        max: u64,
    },
    /// See [`Limits::ratio`](super::Limits::ratio).
    #[error("the archive unpacks to more than {max} times its size")]
    Ratio {
        /// The limit.
        max: u64,
    },
    /// See [`Limits::files`](super::Limits::files).
    #[error("there are more than {max} files and folders in it")]
    TooManyFiles {
        /// The limit.
        max: u64,
    },
    /// See [`Limits::file`](super::Limits::file).
    #[error("{entry:?} is {size} bytes large; at most {max} are allowed")]
    FileTooLarge {
        /// The entry.
        entry: String,
        /// Its size in bytes.
        size: u64,
        /// The limit.
        max: u64,
    },
    /// See [`Limits::path`](super::Limits::path).
    #[error("the path {entry:?} is {len} bytes long; at most {max} are allowed")]
    PathTooLong {
        /// The entry.
        entry: String,
        /// Its length in bytes.
        len: usize,
        /// The limit.
        max: usize,
    },

    /// A folder or file to pack could not be read.
    #[error("cannot read {}", path.display())]
    Folder {
        /// Where.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// A symbolic link in a folder to pack.
    #[error("{} is a symbolic link; packages hold only files", path.display())]
    Symlink {
        /// Where.
        path: PathBuf,
    },
    /// A pipe, socket or device in a folder to pack.
    #[error("{} is neither a file nor a folder", path.display())]
    Special {
        /// Where.
        path: PathBuf,
    },
    /// A file that was written to while it was being packed.
    #[error("{} changed while it was being packed", path.display())]
    Changed {
        /// Where.
        path: PathBuf,
    },
    /// The packed bytes could not be written.
    #[error("cannot write the archive")]
    Output(#[source] io::Error),
}

/// What is wrong with a path.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, thiserror::Error)]
#[non_exhaustive]
pub enum PathProblem {
    /// Starts at the root, or names a server.
    #[error("is absolute")]
    Absolute,
    /// Starts with a drive letter.
    #[error("starts with a drive letter")]
    Drive,
    /// Holds a backslash, which is a separator on some systems.
    #[error("holds a backslash")]
    Backslash,
    /// Has a `..` part.
    #[error("has a part '..'")]
    Parent,
    /// Has a `.` part: the same file could be named in two ways.
    #[error("has a part '.'")]
    Current,
    /// Has an empty part, or is empty, or is a file's and ends with `/`.
    #[error("has an empty part")]
    Empty,
    /// Holds a control character, a line break or a character that reorders the text around it.
    #[error("holds a control character")]
    Control,
    /// Is not UTF-8.
    #[error("is not UTF-8")]
    NotUtf8,
    /// Windows reserves a part of it (`aux.rs`, `a:b`, `name.`).
    #[error("holds a name that Windows reserves")]
    Windows,
    /// Has a part that is longer than file systems hold.
    #[error("has a part longer than 255 bytes")]
    PartTooLong,
}

impl From<ArchiveError> for crate::Error {
    fn from(e: ArchiveError) -> Self {
        use ArchiveError as A;
        match e {
            A::Input(source) => Self::new(crate::ErrorKind::Io, "cannot read the archive").with_source(source),
            A::Output(source) => Self::new(crate::ErrorKind::Io, "cannot write the archive").with_source(source),
            A::Visit { entry, source } => {
                Self::new(crate::ErrorKind::Io, format!("cannot process {entry:?} of the archive")).with_source(source)
            }
            A::Folder { path, source } => Self::io("read", &path, source),
            A::Gzip(source) => {
                let message = "the archive is not an intact gzip stream";
                Self::new(crate::ErrorKind::Refused, message).with_source(source)
            }
            e @ A::Changed { .. } => Self::new(crate::ErrorKind::Io, e.to_string())
                .with_hint("wait until nothing writes to the folder and run the same command again"),
            e => Self::new(crate::ErrorKind::Refused, e.to_string()),
        }
    }
}

/// A path for a message: what is not UTF-8 is marked, what is long is cut. (The messages print it escaped.)
pub(super) fn shown(raw: &[u8]) -> String {
    const MAX: usize = 160;
    let mut text = String::from_utf8_lossy(&raw[..raw.len().min(MAX)]).into_owned();
    if raw.len() > MAX {
        text.push('…');
    }
    text
}
