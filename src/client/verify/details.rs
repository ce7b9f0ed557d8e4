//! The details: their tree is walked like the index, and its leaves are read like archives, many at a time.

use super::{Audit, blobs::Object, partial::What};
use crate::{
    Result,
    client::{Client, SnapshotReader},
    format::{Entry, FormatError, NodeType, TreeKind, keys},
    index::{self, Node},
};
use futures::StreamExt;

impl Audit {
    /// Looks at all details of a state. Of an older one, only at what no other has been seen to hold.
    pub(super) async fn details(&mut self, reader: &SnapshotReader, newest: bool) {
        let generation = reader.generation();
        let (mut rest, mut leaves, mut whole) = (reader.details().entries().to_vec(), Vec::new(), true);
        while !rest.is_empty() {
            rest.retain(|e| newest || e.node == NodeType::Details || !self.walked.contains(&e.link.sha256));
            let pages;
            (pages, rest) = rest.into_iter().partition(|e| e.node == NodeType::Page);
            leaves.append(&mut rest);
            let client = self.client.clone();
            let mut nodes = futures::stream::iter(pages)
                .map(|entry| {
                    let client = client.clone();
                    async move { (entry, client.detail_node(&entry).await) }
                })
                .buffer_unordered(self.client.inner.store.parallel());
            while let Some((entry, node)) = nodes.next().await {
                match node {
                    Err(error) => {
                        whole = false;
                        if !self.is_left_out(generation, &error, What::Node(&entry)) {
                            self.problem(generation, error);
                        }
                    }
                    Ok(node) => {
                        self.count(&entry.link);
                        self.walked.insert(entry.link.sha256);
                        let sum = |f: fn(&Entry) -> u64| node.entries().iter().map(f).sum();
                        self.counts(generation, &entry, (0, sum(|e| e.releases), sum(|e| e.bytes)));
                        rest.extend(node.entries());
                    }
                }
            }
        }
        for leaf in &leaves {
            let required = generation == self.out.generation && self.part.requires(&leaf.link.sha256);
            self.note_down(generation, Object::Details(*leaf), required);
        }
        self.read_blobs().await;
        leaves.sort_unstable_by_key(|e| e.prefix);
        if newest && whole && !index::is_divided_right(TreeKind::Details, &leaves) {
            let place = self.client.inner.store.place(&keys::blob(&reader.link().sha256));
            let reason = "its details are not divided as the rule says".to_owned();
            self.problem(generation, FormatError::Malformed { what: "snapshot", reason }.at(place));
        }
    }
}

/// Reads a leaf, and all that is in it.
pub(super) async fn check(client: &Client, entry: &Entry) -> Result<()> {
    let Node::Leaf(leaf) = client.detail_node(entry).await? else { return Ok(()) };
    let malformed = |reason: String| {
        let place = client.inner.store.place(&keys::blob(&entry.link.sha256));
        Err(FormatError::Malformed { what: "details", reason }.at(place))
    };
    if let Some(reason) = leaf.skipped.first() {
        return malformed(reason.clone());
    }
    for line in &leaf.items {
        match line.detail() {
            // What a later program wrote, that one reads.
            Ok(_) | Err(FormatError::Newer { .. }) => {}
            Err(e) => return malformed(e.to_string()),
        }
    }
    let sums = (leaf.items.len() as u64, leaf.items.iter().map(|i| i.bytes).sum::<u64>());
    if sums == (entry.releases, entry.bytes) {
        Ok(())
    } else {
        malformed("its counts are not those of its entry".into())
    }
}
