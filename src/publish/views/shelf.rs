//! The details of what a view shows, a few leaves at a time. A view that shows everything goes through it in the order of the
//! index, which is that of the details: so each leaf is read once.

use crate::{
    Result,
    format::{DetailLine, FormatError},
    index::{self, Node, Nodes, Tree},
    package::{Detail, Record, Sha256},
    publish::{head::Head, registry::Registry},
};
use std::sync::Arc;

/// Pages of the tree of details, and the leaves that were asked for last. Cheap to clone.
#[derive(Clone)]
pub(super) struct Shelf(Arc<Tree<DetailLine>>);

impl Shelf {
    pub(super) fn of(head: &Head) -> Self {
        Self(Arc::new(Tree::new(head.details.top.clone())))
    }

    /// Where the detail of a release stands; of a tombstone there is none.
    pub(super) fn place(record: &Record) -> Option<Sha256> {
        record.detail_key().filter(|_| record.removed.is_none())
    }

    /// Reads the leaves that may hold these, and lets others go.
    pub(super) async fn fetch(&mut self, registry: &Registry, mut keys: Vec<Sha256>) -> Result<()> {
        keys.sort_unstable();
        keys.dedup();
        let old = std::mem::take(&mut self.0);
        let mut tree = Tree { top: old.top.clone(), nodes: Nodes::new() };
        loop {
            let mut lacking = index::missing(&tree.top, &tree.nodes, &keys);
            if lacking.is_empty() {
                break;
            }
            lacking.retain(|entry| match old.nodes.get(&entry.link.sha256) {
                Some(node) => {
                    tree.nodes.insert(entry.link.sha256, node.clone());
                    false
                }
                None => true,
            });
            if !lacking.is_empty() {
                registry.load(lacking, &mut tree.nodes).await?;
            }
        }
        let pages = old.nodes.iter().filter(|(_, node)| matches!(node, Node::Page(_)));
        tree.nodes.extend(pages.map(|(sha256, page)| (*sha256, page.clone())));
        self.0 = Arc::new(tree);
        Ok(())
    }

    /// A detail that was asked for; `Err` says why it cannot be shown.
    pub(super) fn find(&self, record: &Record) -> Option<Result<Detail, FormatError>> {
        let key = Self::place(record)?;
        // All that is missing was fetched.
        index::lookup(&self.0, &key).ok().flatten().map(DetailLine::detail)
    }
}
