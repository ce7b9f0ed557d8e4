//! Pages: tables of links to leaves and to further pages, one JSON object a line.

use super::{Effort, FormatError, Header, Object, Prefix, TreeKind};
use crate::package::{Link, Sha256};
use serde::{Deserialize, Serialize};

/// What an entry links to.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum NodeType {
    /// A further page.
    Page,
    /// A shard: a leaf of the index.
    Shard,
    /// A leaf of the tree of details.
    Details,
}

/// One row of a page: a link to the node that holds everything below a prefix, and its sums, so that a writer can see
/// whether neighbours still need to be apart without fetching them.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Entry {
    /// Bytes of lines below it, with their line ends.
    pub bytes: u64,
    /// The stored node.
    pub link: Link,
    /// Packages below it. Not counted in the tree of details, where one package may stand in several leaves.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub packages: u64,
    /// The place it covers.
    pub prefix: Prefix,
    /// Releases below it; in the tree of details, those that have one.
    pub releases: u64,
    /// What the link leads to.
    #[serde(rename = "type")]
    pub node: NodeType,
}

fn is_zero(n: &u64) -> bool {
    *n == 0
}

impl Entry {
    /// How many things stand below it that are never divided.
    pub(crate) fn units(&self, tree: TreeKind) -> u64 {
        match tree {
            TreeKind::Index => self.packages,
            TreeKind::Details => self.releases,
        }
    }
}

/// A page: the entries below one prefix, in order. No place is covered twice; a place that no entry covers holds
/// nothing, which is a proof of absence.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Page {
    prefix: Prefix,
    entries: Vec<Entry>,
}

impl Page {
    /// Checks that the entries may stand in a page at `prefix`: in order, apart, and each at a depth where it belongs.
    pub(crate) fn new(tree: TreeKind, prefix: Prefix, entries: Vec<Entry>) -> Result<Self, FormatError> {
        Self::checked(tree, prefix, entries, false)
    }

    /// What a snapshot cites of a tree: of the index the rows of its root page, of the details the one row of their root.
    pub(crate) fn top(tree: TreeKind, entries: Vec<Entry>) -> Result<Self, FormatError> {
        Self::checked(tree, Prefix::ROOT, entries, true)
    }

    fn checked(tree: TreeKind, prefix: Prefix, entries: Vec<Entry>, top: bool) -> Result<Self, FormatError> {
        let wrong = |why: String| Err(FormatError::malformed("page", why));
        if !prefix.is_page_boundary() {
            return wrong(format!("no page stands at {prefix:?}"));
        }
        let of_root = top && tree.has_root();
        for e in &entries {
            let below = e.prefix.depth().saturating_sub(prefix.depth());
            let fits = match e.node {
                _ if of_root => below == 0 && (e.node == NodeType::Page || e.node == tree.leaf()),
                NodeType::Page => below == Prefix::STRIDE && e.prefix.depth() < Prefix::MAX_DEPTH,
                // A page of one leaf that covers all of it is written as that leaf, but where the root stands inline.
                node => node == tree.leaf() && below <= Prefix::STRIDE && (below > 0 || top),
            };
            if !prefix.contains(e.prefix) || !fits {
                return wrong(format!("entry {:?} does not belong into the page {prefix:?}", e.prefix));
            }
            let counted = match tree {
                TreeKind::Index => e.packages > 0 && e.releases >= e.packages,
                TreeKind::Details => e.packages == 0 && e.releases > 0,
            };
            if !counted {
                return wrong(format!("entry {:?} has impossible counts", e.prefix));
            }
        }
        for pair in entries.windows(2) {
            if pair[0].prefix >= pair[1].prefix || pair[0].prefix.contains(pair[1].prefix) {
                return wrong(format!(
                    "entries {:?} and {:?} overlap or are out of order",
                    pair[0].prefix, pair[1].prefix
                ));
            }
        }
        Ok(Self { prefix, entries })
    }

    /// The top of a tree in which nothing is.
    pub(crate) fn root() -> Self {
        Self { prefix: Prefix::ROOT, entries: Vec::new() }
    }

    /// The place it covers.
    pub fn prefix(&self) -> Prefix {
        self.prefix
    }

    /// Its rows, in order.
    pub fn entries(&self) -> &[Entry] {
        &self.entries
    }

    /// The row whose node has what stands under that key, if anything does.
    pub fn find(&self, key: &Sha256) -> Option<&Entry> {
        // The last entry that does not begin after the key is the only one that can cover it.
        let after = self.entries.partition_point(|e| e.prefix.begins_at_or_before(key));
        self.entries[..after].last().filter(|e| e.prefix.covers(key))
    }

    /// Reads the decompressed bytes of a page that was cited for `prefix`.
    pub(crate) fn read(tree: TreeKind, raw: &[u8], prefix: Prefix) -> Result<Self, FormatError> {
        const WHAT: &str = "page";
        let text = std::str::from_utf8(raw).map_err(|e| FormatError::malformed(WHAT, e))?;
        let body = Header::read(text, WHAT, Some(prefix))?;
        let entries = body
            .lines()
            .map(|l| serde_json::from_str(l).map_err(|e| FormatError::malformed(WHAT, e)))
            .collect::<Result<Vec<Entry>, _>>()?;
        Self::new(tree, prefix, entries)
    }

    /// Writes it.
    pub(crate) fn seal(prefix: Prefix, entries: &[Entry]) -> Object {
        let mut raw = Vec::with_capacity(entries.len() * 200 + 64);
        Header::write(&mut raw, "page", Some(prefix));
        for entry in entries {
            // Numbers, text and a digest: this cannot fail.
            serde_json::to_writer(&mut raw, entry).unwrap_or_else(|e| unreachable!("an entry serialises: {e}"));
            raw.push(b'\n');
        }
        Object::seal(&raw, Effort::Digests)
    }
}
