//! The Merkle trees: the index, whose leaves are shards of records, and the tree of details. Pure: it computes over nodes that
//! somebody else has fetched, and says which ones it still lacks.
//!
//! A tree is a function of the set of its lines and of nothing else: any order, any batches, any number of threads
//! give the same root. Its rule, from the top: what is below a place stands in one leaf when its lines take at most
//! so many bytes ([`TreeKind::limit`](crate::format::TreeKind)) or when there is only one package (or one detail), else it is
//! divided by its next bit; and every ninth bit of a divided place begins a page of its own. So a change rewrites the leaves
//! it touches and the pages on the way up to the root.
//!
//! Of what stands in the leaves this knows keys and lengths ([`Item`]), so that bytes may wait elsewhere.

mod diff;
mod edit;
#[cfg(test)]
mod tests;

pub(crate) use diff::{Difference, diff};
pub(crate) use edit::{Draft, NewLeaf, edit, is_divided_right, missing};

use crate::format::{Entry, FormatError, Item, Leaf, NodeType, PackageLines, Page, Stored};
use crate::package::Sha256;
use std::{collections::HashMap, sync::Arc};

/// A node of a tree, fetched and checked; of the index, where nothing else is said.
#[derive(Debug)]
pub(crate) enum Node<I = Arc<PackageLines>> {
    Page(Arc<Page>),
    Leaf(Arc<Leaf<I>>),
}

impl<I> Clone for Node<I> {
    fn clone(&self) -> Self {
        match self {
            Self::Page(page) => Self::Page(Arc::clone(page)),
            Self::Leaf(leaf) => Self::Leaf(Arc::clone(leaf)),
        }
    }
}

impl<I: Stored> Node<I> {
    /// Reads the decompressed bytes of what `entry` links to.
    pub(crate) fn read(entry: &Entry, raw: Vec<u8>) -> Result<Self, FormatError> {
        Ok(match entry.node {
            NodeType::Page => Self::Page(Arc::new(Page::read(I::TREE, &raw, entry.prefix)?)),
            // Which type of leaf it is was looked at where the entry was read.
            NodeType::Shard | NodeType::Details => Self::Leaf(Arc::new(I::read(raw, entry.prefix)?)),
        })
    }
}

impl<I> Node<I> {
    /// The rows of a page.
    pub(crate) fn entries(&self) -> &[Entry] {
        match self {
            Self::Page(page) => page.entries(),
            Self::Leaf(_) => &[],
        }
    }
}

/// The nodes at hand, by digest.
pub(crate) type Nodes<I = Arc<PackageLines>> = HashMap<Sha256, Node<I>>;

/// A tree: its top page, and the nodes at hand.
#[derive(Debug)]
pub(crate) struct Tree<I = Arc<PackageLines>> {
    pub(crate) top: Page,
    pub(crate) nodes: Nodes<I>,
}

impl<I> Tree<I> {
    pub(crate) fn new(top: Page) -> Self {
        Self { top, nodes: Nodes::new() }
    }
}

impl<I> Default for Tree<I> {
    fn default() -> Self {
        Self::new(Page::root())
    }
}

/// The entries whose nodes a computation needs and does not have. Fetch them, and ask again.
#[derive(Debug)]
pub(crate) struct Missing(pub(crate) Vec<Entry>);

/// The page behind an entry, if it is at hand.
fn page<'a, I>(nodes: &'a Nodes<I>, entry: &Entry) -> Result<&'a Page, Missing> {
    match nodes.get(&entry.link.sha256) {
        Some(Node::Page(page)) => Ok(page),
        _ => Err(Missing(vec![*entry])),
    }
}

/// What stands in the leaf behind an entry, if it is at hand.
fn leaf<'a, I>(nodes: &'a Nodes<I>, entry: &Entry) -> Result<&'a [I], Missing> {
    match nodes.get(&entry.link.sha256) {
        Some(Node::Leaf(leaf)) => Ok(&leaf.items),
        _ => Err(Missing(vec![*entry])),
    }
}

/// Every package of a tree.
pub(crate) fn all(tree: &Tree) -> Result<Vec<Arc<PackageLines>>, Missing> {
    below(&tree.nodes, tree.top.entries())
}

/// All that stands below some entries, in order.
pub(crate) fn below<I: Item>(nodes: &Nodes<I>, entries: &[Entry]) -> Result<Vec<I>, Missing> {
    let mut out = Vec::new();
    let mut lacking = Vec::new();
    for entry in entries {
        let part = match entry.node {
            NodeType::Page => page(nodes, entry).and_then(|p| self::below(nodes, p.entries())),
            NodeType::Shard | NodeType::Details => leaf(nodes, entry).map(<[_]>::to_vec),
        };
        match part {
            Ok(more) => out.extend(more),
            Err(Missing(more)) => lacking.extend(more),
        }
    }
    if lacking.is_empty() { Ok(out) } else { Err(Missing(lacking)) }
}

/// Both results, or everything that either of them lacks: so that one round of fetching serves both.
fn both<A, B>(a: Result<A, Missing>, b: Result<B, Missing>) -> Result<(A, B), Missing> {
    match (a, b) {
        (Ok(a), Ok(b)) => Ok((a, b)),
        (Err(Missing(mut a)), Err(Missing(b))) => {
            a.extend(b);
            Err(Missing(a))
        }
        (Err(e), _) | (_, Err(e)) => Err(e),
    }
}

/// Divides entries below a place into those of its two halves.
fn halves(at: crate::format::Prefix, entries: &[Entry]) -> (&[Entry], &[Entry]) {
    let right = at.child(true);
    entries.split_at(entries.partition_point(|e| e.prefix < right))
}

/// What stands under a key, looked up in nodes at hand.
pub(crate) fn lookup<'a, I: Item>(tree: &'a Tree<I>, key: &Sha256) -> Result<Option<&'a I>, Missing> {
    let mut at = &tree.top;
    loop {
        let Some(entry) = at.find(key) else { return Ok(None) };
        match tree.nodes.get(&entry.link.sha256) {
            Some(Node::Page(page)) => at = page,
            Some(Node::Leaf(leaf)) => return Ok(leaf.find(key)),
            None => return Err(Missing(vec![*entry])),
        }
    }
}
