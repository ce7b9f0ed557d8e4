//! Leaves: what stands at the ends of a tree, and what is different about the two trees.

use super::{FormatError, NodeType, Prefix, limits};
use crate::package::Sha256;

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
    pub(crate) fn new() -> Self {
        Self { items: Vec::new(), skipped: Vec::new() }
    }

    /// What stands there under that key; that nothing does proves that the registry has nothing of that key.
    pub(crate) fn find(&self, key: &Sha256) -> Option<&I> {
        self.items.binary_search_by_key(key, |i| *i.key()).ok().map(|i| &self.items[i])
    }
}
