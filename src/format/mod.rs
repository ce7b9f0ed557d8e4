//! The stored format: which keys a store holds, and the bytes of every object but the signed ones (those are in
//! [`trust`](crate::trust)). Pure: bytes in, values out. `docs/format.md` is its specification.
//!
//! Two rules hold for all of it. Every object that is stored compressed is named by a [`Link`] of its *stored* bytes, so
//! nothing unverified reaches the decompressor. And every JSON object is written in one way: members in the order of their
//! names, no white space, defaults left out.

pub(crate) mod bundle;
mod changes;
mod details;
mod gz;
pub(crate) mod keys;
mod leaf;
mod marks;
mod mirror;
mod page;
mod prefix;
mod shard;
mod snapshot;

pub use bundle::{BUNDLE_VERSION, SearchBundle};
pub use changes::{ChangedRelease, Changes, ReleaseChange};
pub(crate) use details::{DetailLine, Keyed, seal_details};
pub use gz::Object;
#[cfg(test)]
pub(crate) use gz::open;
pub(crate) use gz::{Effort, inflate, unpack};
pub(crate) use leaf::{Item, Leaf, Stored, TreeKind};
pub(crate) use marks::Marks;
pub(crate) use mirror::MirrorNote;
pub use page::{Entry, NodeType, Page};
pub use prefix::Prefix;
pub(crate) use shard::{Line, PackageLines, Shard};
pub use snapshot::Snapshot;

use crate::package::{Link, Sha256};

/// The format version that this program writes and reads. Format 1 had an object of its own for each detail.
pub const FORMAT_VERSION: u32 = 2;

/// The limits every reader keeps (invariant I26), in bytes.
pub mod limits {
    /// A slot or a checkpoint.
    pub const SIGNED: u64 = 16 * 1024;
    /// The stored bytes of a shard, page, snapshot or leaf of details.
    pub const NODE: u64 = 16 * 1024 * 1024;
    /// The same, uncompressed.
    pub const NODE_RAW: u64 = 128 * 1024 * 1024;
    /// A change list, stored: it grows with the largest batch ever published.
    pub const CHANGES: u64 = 256 * 1024 * 1024;
    /// A change list, uncompressed.
    pub const CHANGES_RAW: u64 = 1024 * 1024 * 1024;
    /// A search bundle: what a reader takes into memory.
    pub const BUNDLE: u64 = 1024 * 1024 * 1024;
    /// The tail of a search bundle.
    pub const BUNDLE_TAIL: u64 = 64 * 1024 * 1024;
    /// A list of marks, stored.
    pub const MARKS: u64 = 64 * 1024 * 1024;
    /// A list of marks, uncompressed.
    pub const MARKS_RAW: u64 = 128 * 1024 * 1024;
    /// What a mirror says that it holds.
    pub const MIRROR: u64 = 64 * 1024;
    /// The uncompressed record bytes of a shard that is not split further.
    pub const SHARD_BODY: u64 = 64 * 1024;
    /// The uncompressed lines of a leaf of details that is not split further.
    pub const DETAILS_BODY: u64 = 256 * 1024;
    /// The line of one record, ten times the longest that a real package is known to have: what one release may cost whoever looks
    /// up its package.
    pub const RECORD: u64 = 512 * 1024;
    /// The line of one detail: less than a [`NODE`], since one that cannot be compressed must fit into one.
    pub const DETAIL: u64 = 15 * 1024 * 1024;
}

/// Why stored bytes are not what they are cited as.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum FormatError {
    /// Another length than the link says.
    #[error("{got} bytes where the link says {want}")]
    Size {
        /// Bytes found.
        got: u64,
        /// Bytes the link promises.
        want: u64,
    },
    /// Another digest than the link says.
    #[error("sha256 {got} where the link says {want}")]
    Digest {
        /// The digest found.
        got: Sha256,
        /// The digest the link promises.
        want: Sha256,
    },
    /// Another digest than the table of a search bundle says.
    #[error("sha256 {got} of block {number} is not the one in the table")]
    Block {
        /// Which block.
        number: u64,
        /// The digest found.
        got: Sha256,
    },
    /// The link promises more than this program ever reads at once.
    #[error("the link says {size} bytes; at most {max} are read")]
    TooLarge {
        /// Bytes the link promises.
        size: u64,
        /// The limit.
        max: u64,
    },
    /// Not one gzip stream of the promised length.
    #[error("compressed data is damaged: {0}")]
    Gzip(String),
    /// Not what it should be.
    #[error("malformed {what}: {reason}")]
    Malformed {
        /// The type of object.
        what: &'static str,
        /// What is wrong.
        reason: String,
    },
    /// Written by a later version of the format.
    #[error("{what} of format {found}, which is later than this program")]
    Newer {
        /// The type of object.
        what: &'static str,
        /// Its format version.
        found: u32,
    },
    /// Written by an earlier version of the format, which is not read any more.
    #[error("{what} of format {found}, which is not read any more")]
    Older {
        /// The type of object.
        what: &'static str,
        /// Its format version.
        found: u32,
    },
}

impl FormatError {
    fn malformed(what: &'static str, reason: impl std::fmt::Display) -> Self {
        Self::Malformed { what, reason: reason.to_string() }
    }

    /// As an error of the library; `place` names the object.
    pub(crate) fn at(self, place: impl std::fmt::Display) -> crate::Error {
        use crate::{Error, ErrorKind};
        if matches!(self, Self::Newer { .. }) {
            return Error::new(ErrorKind::Unsupported, format!("{place} is written in a newer format"))
                .with_source(self)
                .with_hint("upgrade ggen-market");
        }
        if let Self::Older { what, .. } = self {
            let hint = match what {
                bundle::WHAT => "the next release that is published writes a new one",
                _ => "publish the packages anew into an empty place, or read them with the ggen-market that wrote it",
            };
            return Error::new(ErrorKind::Unsupported, format!("{place} is written in an older format"))
                .with_source(self)
                .with_hint(hint);
        }
        Error::new(ErrorKind::Untrusted, format!("{place} is not what it is cited as"))
            .with_source(self)
            .with_hint("the bytes were changed or damaged on their way or in the store; `ggen-market verify --all` finds all such objects")
    }
}

/// Checks a whole object against the link that cites it.
pub(crate) fn check(bytes: &[u8], link: &Link) -> Result<(), FormatError> {
    if bytes.len() as u64 != link.size {
        return Err(FormatError::Size { got: bytes.len() as u64, want: link.size });
    }
    let got = Sha256::of(bytes);
    if got == link.sha256 { Ok(()) } else { Err(FormatError::Digest { got, want: link.sha256 }) }
}

/// Refuses what another version of the format wrote.
fn require_format(what: &'static str, found: u32) -> Result<(), FormatError> {
    match found.cmp(&FORMAT_VERSION) {
        std::cmp::Ordering::Less => Err(FormatError::Older { what, found }),
        std::cmp::Ordering::Equal => Ok(()),
        std::cmp::Ordering::Greater => Err(FormatError::Newer { what, found }),
    }
}

/// The first line of every JSON Lines object of ours: what it is and what part of the tree it covers.
#[derive(serde::Serialize, serde::Deserialize)]
struct Header {
    format: u32,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    prefix: Option<Prefix>,
    #[serde(rename = "type")]
    kind: String,
}

impl Header {
    fn write(out: &mut Vec<u8>, kind: &str, prefix: Option<Prefix>) {
        let header = Self { format: FORMAT_VERSION, prefix, kind: kind.into() };
        // Three plain fields: this cannot fail, and a Vec takes every byte.
        serde_json::to_writer(&mut *out, &header).unwrap_or_else(|e| unreachable!("a header serialises: {e}"));
        out.push(b'\n');
    }

    /// Splits the header off and checks that the object is of the type, and covers the prefix, that it was cited for
    /// (invariant I28).
    fn read<'a>(text: &'a str, what: &'static str, prefix: Option<Prefix>) -> Result<&'a str, FormatError> {
        let (first, rest) = text.split_once('\n').ok_or_else(|| FormatError::malformed(what, "no first line"))?;
        let header: Self = serde_json::from_str(first).map_err(|e| FormatError::malformed(what, e))?;
        require_format(what, header.format)?;
        if header.kind != what || header.prefix != prefix {
            return Err(FormatError::malformed(
                what,
                format!("it is a {} {}, cited as {what} {}", header.kind, shown(header.prefix), shown(prefix)),
            ));
        }
        if !rest.is_empty() && !rest.ends_with('\n') {
            return Err(FormatError::malformed(what, "the last line is cut off"));
        }
        Ok(rest)
    }
}

fn shown(prefix: Option<Prefix>) -> String {
    prefix.map_or_else(|| "without a prefix".into(), |p| format!("{:?}", p.to_string()))
}

/// Every parser of an unsigned object, for fuzzing and property tests.
#[cfg(any(test, fuzzing))]
pub(crate) fn parse_all(raw: &[u8]) {
    use std::sync::Arc;
    let _ = Snapshot::read(raw);
    let _ = Changes::read(raw);
    let _ = Marks::read(raw);
    let _ = MirrorNote::read(raw);
    let _ = inflate(raw, 1 << 20);
    let _ = bundle::Tail::read(bytes::Bytes::copy_from_slice(raw));
    for prefix in [Prefix::ROOT, Prefix::ROOT.child(true)] {
        let _ = Page::read(TreeKind::Index, raw, prefix);
        let _ = Page::read(TreeKind::Details, raw, prefix);
        if let Ok(shard) = <Arc<PackageLines>>::read(raw.to_vec(), prefix) {
            for line in shard.items.iter().flat_map(|p| &p.lines) {
                let _ = line.record();
            }
        }
        if let Ok(details) = DetailLine::read(raw.to_vec(), prefix) {
            for line in details.items {
                let _ = line.detail();
            }
        }
    }
}

#[cfg(test)]
mod tests;
