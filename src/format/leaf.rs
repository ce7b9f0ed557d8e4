//! Leaves: what stands at the ends of a tree, and what is different about the two trees.

use super::{FormatError, Header, NodeType, Prefix, limits};
use crate::package::{PackageName, RECORD_VERSION, Sha256, Version};
use bytes::Bytes;
use serde::Deserialize;
use std::borrow::Cow;

/// Which tree: of records, or of details. One rule makes both (docs/format.md, section 7); what it is given differs.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum TreeKind {
    Index,
    Details,
}

impl TreeKind {
    /// What its pages call its leaves.
    pub(crate) fn leaf(self) -> NodeType {
        match self {
            Self::Index => NodeType::Shard,
            Self::Details => NodeType::Details,
        }
    }

    /// The bytes of lines up to which a leaf is not divided.
    pub(crate) fn limit(self) -> u64 {
        match self {
            Self::Index => limits::SHARD_BODY,
            Self::Details => limits::DETAILS_BODY,
        }
    }

    /// Whether its root is an object of its own. That of the index stands in the snapshot.
    pub(crate) fn has_root(self) -> bool {
        self == Self::Details
    }
}

/// What stands in a leaf: all that the shape of a tree depends on.
pub(crate) trait Item: Clone + Send + Sync + 'static {
    /// The tree in which it stands.
    const TREE: TreeKind;
    /// Its place.
    fn key(&self) -> &Sha256;
    /// What it weighs: its lines and their line ends. Nothing, where nothing is left of it.
    fn bytes(&self) -> u64;
    /// How many releases it tells of.
    fn releases(&self) -> u64;
    /// Whether it is known to be the same as another one of its key.
    fn is_same(&self, other: &Self) -> bool;
}

/// What can be read from the stored bytes of a leaf.
pub(crate) trait Stored: Item {
    /// Reads the decompressed bytes of a leaf that was cited for `prefix`. Lenient for each line (it is skipped with a
    /// reason), strict for the object: order, place and header must hold.
    fn read(raw: Vec<u8>, prefix: Prefix) -> Result<Leaf<Self>, FormatError>;
}

/// A leaf, read.
#[derive(Debug)]
pub(crate) struct Leaf<I> {
    /// In the order of their keys.
    pub(crate) items: Vec<I>,
    /// Lines that could not be read, with the reason: never silently dropped.
    pub(crate) skipped: Vec<String>,
}

impl<I: Item> Leaf<I> {
    /// Goes through a leaf that was cited for `prefix`: `take` gets each line, and which release it is of. A line that does not
    /// say that is skipped.
    pub(super) fn read_lines(
        raw: Vec<u8>,
        what: &'static str,
        prefix: Prefix,
        mut take: impl FnMut(&mut Self, OwnedHead, Bytes) -> Result<(), FormatError>,
    ) -> Result<Self, FormatError> {
        let raw = Bytes::from(raw);
        let text = std::str::from_utf8(&raw).map_err(|e| FormatError::malformed(what, e))?;
        let body = Header::read(text, what, Some(prefix))?;
        let mut out = Self { items: Vec::new(), skipped: Vec::new() };
        for (number, line) in body.lines().enumerate() {
            match read_head(line) {
                Ok(head) => take(&mut out, head, raw.slice_ref(line.as_bytes()))?,
                Err(reason) => out.skipped.push(format!("line {}: {reason}", number + 2)),
            }
        }
        Ok(out)
    }

    /// What stands there under that key; that nothing does proves that the registry has nothing of that key.
    pub(crate) fn find(&self, key: &Sha256) -> Option<&I> {
        self.items.binary_search_by_key(key, |i| *i.key()).ok().map(|i| &self.items[i])
    }
}

/// The members that every record has, and every detail, whatever its version.
#[derive(Deserialize)]
struct Head<'a> {
    #[serde(borrow)]
    kind: Cow<'a, str>,
    #[serde(borrow)]
    name: Cow<'a, str>,
    v: u32,
    #[serde(borrow)]
    version: Cow<'a, str>,
}

/// Which release a line is of: the kind may be one that this program does not know, the name is normalised.
pub(super) struct OwnedHead {
    pub(super) kind: String,
    pub(super) name: String,
    pub(super) version: Version,
}

/// Reads what the line of a record, or of a detail, has whatever its version.
fn read_head(line: &str) -> Result<OwnedHead, String> {
    let head: Head<'_> = serde_json::from_str(line).map_err(|e| e.to_string())?;
    let name = PackageName::new(&head.name).map_err(|e| e.to_string())?;
    let version: Version = head.version.parse().map_err(|e: crate::package::VersionError| e.to_string())?;
    if head.v < RECORD_VERSION || head.kind.is_empty() || !head.kind.bytes().all(|b| b.is_ascii_lowercase()) {
        return Err(format!("version {} of kind {:?}", head.v, head.kind));
    }
    Ok(OwnedHead { kind: head.kind.into_owned(), name: name.normalized(), version })
}
