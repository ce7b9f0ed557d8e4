//! The index: a Merkle tree of shards. Pure: it computes over nodes that somebody else has fetched, and says which ones
//! it still lacks.
//!
//! The tree is a function of the set of record lines and of nothing else: any order, any batches, any number of threads
//! give the same root. Its rule, from the top: the packages below a place stand in one shard when their lines take at most
//! 64 KiB or when there is only one of them, else they are divided by their next bit; and every ninth bit of a divided
//! place begins a page of its own. So a change rewrites the shards it touches and the pages on the way up to the root.

mod diff;
mod edit;
#[cfg(test)]
mod tests;

pub(crate) use diff::{Difference, diff};
pub(crate) use edit::{Edited, edit, missing};

use crate::format::{Entry, FormatError, NodeType, PackageLines, Page, Shard};
use crate::package::Sha256;
use std::{collections::HashMap, sync::Arc};

/// A node of the tree, fetched and checked.
#[derive(Debug, Clone)]
pub(crate) enum Node {
    Page(Arc<Page>),
    Shard(Arc<Shard>),
}

impl Node {
    /// Reads the decompressed bytes of what `entry` links to.
    pub(crate) fn read(entry: &Entry, raw: Vec<u8>) -> Result<Self, FormatError> {
        Ok(match entry.node {
            NodeType::Page => Self::Page(Arc::new(Page::read(&raw, entry.prefix)?)),
            NodeType::Shard => Self::Shard(Arc::new(Shard::read(raw, entry.prefix)?)),
        })
    }
}

/// The nodes at hand, by digest.
pub(crate) type Nodes = HashMap<Sha256, Node>;

/// A tree: its top page, and the nodes at hand.
#[derive(Debug)]
pub(crate) struct Tree {
    pub(crate) top: Page,
    pub(crate) nodes: Nodes,
}

impl Default for Tree {
    fn default() -> Self {
        Self { top: Page::root(), nodes: Nodes::new() }
    }
}

/// The entries whose nodes a computation needs and does not have. Fetch them, and ask again.
#[derive(Debug)]
pub(crate) struct Missing(pub(crate) Vec<Entry>);

/// The page behind an entry, if it is at hand.
fn page<'a>(nodes: &'a Nodes, entry: &Entry) -> Result<&'a Page, Missing> {
    match nodes.get(&entry.link.sha256) {
        Some(Node::Page(page)) => Ok(page),
        _ => Err(Missing(vec![*entry])),
    }
}

/// The packages of the shard behind an entry, if it is at hand.
fn shard<'a>(nodes: &'a Nodes, entry: &Entry) -> Result<&'a [Arc<PackageLines>], Missing> {
    match nodes.get(&entry.link.sha256) {
        Some(Node::Shard(shard)) => Ok(&shard.packages),
        _ => Err(Missing(vec![*entry])),
    }
}

/// Every package of a tree.
pub(crate) fn all(tree: &Tree) -> Result<Vec<Arc<PackageLines>>, Missing> {
    packages(&tree.nodes, tree.top.entries())
}

/// All packages below some entries, in order.
pub(crate) fn below(nodes: &Nodes, entries: &[Entry]) -> Result<Vec<Arc<PackageLines>>, Missing> {
    packages(nodes, entries)
}

fn packages(nodes: &Nodes, entries: &[Entry]) -> Result<Vec<Arc<PackageLines>>, Missing> {
    let mut out = Vec::new();
    let mut lacking = Vec::new();
    for entry in entries {
        let below = match entry.node {
            NodeType::Shard => shard(nodes, entry).map(<[_]>::to_vec),
            NodeType::Page => page(nodes, entry).and_then(|p| packages(nodes, p.entries())),
        };
        match below {
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

/// The package of a key, looked up in nodes at hand.
pub(crate) fn lookup<'a>(tree: &'a Tree, key: &Sha256) -> Result<Option<&'a Arc<PackageLines>>, Missing> {
    let mut at = &tree.top;
    loop {
        let Some(entry) = at.find(key) else { return Ok(None) };
        match tree.nodes.get(&entry.link.sha256) {
            Some(Node::Page(page)) => at = page,
            Some(Node::Shard(shard)) => return Ok(shard.find(key)),
            None => return Err(Missing(vec![*entry])),
        }
    }
}
