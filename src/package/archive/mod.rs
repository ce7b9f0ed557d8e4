//! Archives: the one reader of hostile gzip-compressed tar files, and the packer whose bytes depend on nothing but a
//! folder's files.
//!
//! [`read`] accepts by list: regular files and folders under one top folder, named so that every system can hold them and
//! every program that reads the archive sees the same list. Whatever is not on that list is an [`ArchiveError`] that says
//! which entry broke which rule. The publisher and the client run the same function, so what a registry lets in and what
//! a machine unpacks can never differ.
//!
//! The headers' layout comes from the `tar` crate; the policy, and all parsing of numbers, names and extended headers, is
//! here, because the programs that read tar files disagree on exactly these.

mod error;
mod header;
mod pack;
mod path;
mod pax;
mod read;
mod stream;

pub use error::{ArchiveError, PathProblem};

pub(crate) use pack::walk;
pub use pack::{SKIPPED, pack};
pub use read::read;

/// How large an archive, and what it unpacks to, may be.
///
/// The defaults let every crate pass that crates.io takes (10 MiB packed, 512 MiB unpacked) and leave room for packs that
/// carry data: no step holds an archive in memory, so their size costs time alone.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Limits {
    /// Bytes of the archive as it is stored.
    pub packed: u64,
    /// Bytes of the tar stream in it: all files with their headers and padding.
    pub unpacked: u64,
    /// Unpacked bytes for each packed byte, at every point of the stream; the first 16 MiB are free, since small archives
    /// of small, similar files compress by any factor and harm nobody.
    pub ratio: u64,
    /// Files and folders, those included that are only implied by the path of another, and the top folder.
    pub files: u64,
    /// Bytes of one file.
    pub file: u64,
    /// Bytes of one path as it stands in the archive, the top folder included.
    pub path: usize,
    /// Whether two files of one folder may have names that are one on a system which ignores case. Some published crates
    /// have such (`README.md` beside `Readme.md`), and cargo takes them; in packs they are refused. Whoever unpacks creates
    /// every file anew, so on such a system the second of them fails, and never replaces the first.
    pub twins: bool,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            packed: 4 << 30,
            unpacked: 16 << 30,
            ratio: 200,
            files: 100_000,
            file: 4 << 30,
            path: 1024,
            twins: false,
        }
    }
}

/// What an archive says about one file or folder.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Entry<'a> {
    /// Its path below the top folder: never empty, `/` between the parts, none at either end.
    pub path: &'a str,
    /// Bytes of its content; 0 for a folder.
    pub size: u64,
    /// Its owner may execute it. No other bit of the stored mode means anything here.
    pub executable: bool,
    /// It is a folder. Folders that hold files need not be listed.
    pub directory: bool,
}

/// What a whole archive came to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Summary {
    /// The name of the top folder.
    pub top: String,
    /// Number of files, folders not counted.
    pub files: u64,
    /// Bytes of all files' content, without headers and padding.
    pub unpacked: u64,
}
